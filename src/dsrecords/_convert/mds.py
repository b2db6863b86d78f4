"""MDS, of MosaicML: a folder that `dsrecords.open` reads in place, as rows of a new dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsrecords._convert.base import Format, Look, Options, Row, Source
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import decoding_of
from dsrecords._mds.index import INDEX, is_mds_folder
from dsrecords._types.parse import parse
from dsrecords.dataset import IndexedRecordDataset
from dsrecords.errors import CorruptError, DecodeError


class MdsSource(Source):
    """A folder of MDS."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        dataset = IndexedRecordDataset(path, create=False)
        self._types: dict[str, Any] = dict(dataset.schema)  # type: ignore[arg-type]
        decode = {}
        for name, kind in self._types.items():
            decoding = decoding_of(parse(kind))
            if kind in ("jpeg", "png") or kind.startswith("list["):
                decode[name] = decoding
        self._dataset = dataset.with_decode(decode)
        self.count = len(dataset)

    def types(self) -> dict[str, Any]:
        """Return the types that its encodings stand for."""
        return dict(self._types)

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the samples, image files as they are. Nothing is unpickled."""
        for position in range(len(self._dataset)):
            try:
                row = self._dataset[position]
            except (CorruptError, DecodeError, FileNotFoundError) as error:
                damage.leave_out(error)
            else:
                yield row


class Mds(Format):
    """MDS."""

    name = "mds"
    title = "MDS"

    def recognizes(self, look: Look) -> bool:
        """Return whether it is a folder with such an index."""
        return INDEX in look.names and is_mds_folder(look.path)

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a folder."""
        return MdsSource(path)


FORMAT = Mds()
