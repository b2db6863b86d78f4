"""Bagz: files of byte strings with a table of where each ends, by the standard library."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import FILES, json_value, named, plain_name, types_by_name
from dsrecords._convert.records_of_bytes import content_of, row_of
from dsrecords._optional import import_optional

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_ENDING = ".bagz"
_PLAIN_ENDING = ".bag"
_U64 = struct.Struct("<Q")
_LARGEST = 2**31  # bytes that a record may become


class BagzSource(Source):
    """A file of Bagz, whose limits are at its end.

    Args:
        path: of the file.
        is_compressed: whether each record is compressed by zstd, as the name of the file says.
    """

    def __init__(
        self,
        path: str,
        is_compressed: bool,
    ) -> None:
        super().__init__(path)
        self._is_compressed = is_compressed
        self._limits = _limits_of(path)
        self.count = len(self._limits)
        self._content = ""

    def types(self) -> dict[str, Any]:
        """Return the types of what is in the first thousand records."""
        self._content, types = content_of(data for _, data in self._records(Damage("skip")))
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the records, of which one is in memory."""
        for position, data in self._records(damage):
            try:
                yield row_of(
                    data,
                    self._content,
                    schema,
                )
            except (ValueError, RecursionError) as error:
                damage.leave_out(unreadable(self.path, f"record {position}: {error}"))

    def _records(self, damage: Damage) -> Iterator[tuple[int, bytes]]:
        start = 0
        with open(self.path, "rb") as file:
            for position, end in enumerate(self._limits.tolist()):
                data = file.read(end - start)
                start = end
                if self._is_compressed and data:
                    try:
                        data = _decompressed(data)
                    except ValueError as error:
                        damage.leave_out(unreadable(self.path, f"record {position}: {error}"))
                        continue
                yield position, data


def _limits_of(path: str) -> np.ndarray:
    """Return where each record ends: uint64, (n,). Raises CorruptError."""
    size = os.path.getsize(path)
    if not size:
        return np.zeros(0, np.uint64)
    with open(path, "rb") as file:
        if size < _U64.size:
            raise unreadable(path, "it is cut short")
        file.seek(size - _U64.size)
        (start,) = _U64.unpack(file.read(_U64.size))
        if start > size - _U64.size or (size - start) % _U64.size:
            raise unreadable(path, "it does not end with the limits of its records: cut short?")
        file.seek(start)
        limits = np.frombuffer(file.read(), "<u8")
    if (limits[1:] < limits[:-1]).any() or limits[-1] != start:
        raise unreadable(path, "the limits of its records do not ascend")
    return limits


def _decompressed(data: bytes) -> bytes:
    zstd = import_optional(
        "zstandard",
        "zstandard",
        extra="zstd",
    )
    try:
        return bytes(zstd.ZstdDecompressor().decompress(data, max_output_size=_LARGEST))
    except zstd.ZstdError as error:
        raise ValueError(f"zstd cannot read it: {error}") from None


class Bagz(Format):
    """Bagz."""

    name = "bagz"
    title = "Bagz"
    endings = (_ENDING, _PLAIN_ENDING)
    writes: ClassVar[Mapping[str, str]] = {}

    def recognizes(self, look: Look) -> bool:
        """Return whether it ends with limits. It has no signature, so its name counts as well."""
        if look.is_folder or not look.path.endswith(self.endings):
            return False
        return bool(look.head)

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file."""
        return BagzSource(path, path.endswith(_ENDING))

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write the bytes of datasets with one field, else each record as JSON."""
        types = list(types_by_name(dataset).values())
        is_plain = len(types) == 1 and plain_name(types[0]) in ("bytes", "str", *FILES)
        compress: Any = bytes
        if progress.name.endswith(_ENDING):
            zstd = import_optional(
                "zstandard",
                "zstandard",
                extra="zstd",
            )
            compress = zstd.ZstdCompressor().compress
        ends = []
        end = 0
        with open(path, "wb") as file:
            for row in progress.of(dataset, len(dataset)):
                data = compress(_data_of(named(row), is_plain))
                file.write(data)
                end += len(data)
                ends.append(end)
            file.write(np.array(ends, "<u8").tobytes())


def _data_of(row: Mapping[str, Any], is_plain: bool) -> bytes:
    if not is_plain:
        return json.dumps(json_value(row), ensure_ascii=False).encode()
    (value,) = row.values()
    if isinstance(value, str):
        return value.encode()
    return bytes(value)


FORMAT = Bagz()
