"""An MDS folder as a dataset that is only read: stands in for a log and its index."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._format.entries import Entries, memory_of
from dsrecords._format.header import RawHeader
from dsrecords._mds.index import INDEX, MdsIndex, read_index
from dsrecords._mds.shards import Shards
from dsrecords._mds.types import Array, Number, type_of
from dsrecords._read.batch import as_array
from dsrecords._read.open import default_index
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Version
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field, Schema
from dsrecords._storage.base import Storage
from dsrecords._storage.local import LocalStorage
from dsrecords.errors import CorruptError, ReadOnlyError, SchemaError

_ADVICE = "dsrecords.convert(folder, 'new.rec') makes a dataset of it"


class MdsState:
    """An MDS folder, open for reading: stands in for the `State` of a dataset.

    There are no checksums of samples, so that a wrong byte is read as it is: what is verified is
    that each sample and each value lies within its shard.

    Args:
        path: of the folder.
        verify: as of any dataset; there is nothing more to verify.

    Attributes:
        header: made up, as there is none; its fields are those of the index.
        snapshot: the list.

    Raises:
        CorruptError: the index is damaged.
        UnsupportedVersionError: it is of another version, or has an encoding that is not known.
    """

    view = 0  # nothing is edited, and no folder is a view

    def __init__(self, path: str, verify: bool | str) -> None:
        self.path = path
        self.index_path = default_index(path)
        self._verify = verify
        self.refresh()

    def refresh(self) -> None:
        """Read the index anew."""
        index = read_index(self.path)
        index_path = os.path.join(self.path, INDEX)
        storage = LocalStorage(index_path)
        content = storage.read(0, storage.size())
        id = hashlib.sha256(content).digest()[:16]
        raw = RawHeader(
            b"",
            0,
            0,
            id,
            {},
        )
        self.header = Header(raw, _schema(index, index_path), {})
        self.snapshot = MdsSnapshot(
            storage,
            self.header,
            index,
            self._verify,
        )

    def need_log(self) -> None:
        """Refuse what needs a log. Raises ReadOnlyError."""
        raise ReadOnlyError(f"a folder of MosaicML's is only read; {_ADVICE}", file=self.path)

    def deserializers(self, given: Any) -> Any:
        """The deserializers that were given, as they are."""
        return given

    def shows(self, version: Version) -> bool:
        """Whether this is the folder that had this version: see `Source`."""
        return self.header.id == version.id

    def data_bytes(self) -> int:
        """Return how many bytes the shards have."""
        return sum(shard.size for shard in self.snapshot.shards.shards)

    def problems(self) -> list[CorruptError]:
        """Return what is wrong, as far as that shows without checksums."""
        found = []
        for number in range(len(self.snapshot.shards.shards)):
            try:
                self.snapshot.shards.shard(number)
            except CorruptError as error:
                found.append(error)
            except OSError as error:
                found.append(CorruptError(str(error), file=self.path))
        return found


def _schema(index: MdsIndex, path: str) -> Schema:
    fields = []
    for column in index.columns:
        try:
            kind = type_of(column.encoding)
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptError(str(error), file=path, field=column.name) from None
        fields.append(Field(column.name, kind))
    return Schema(fields, True)


class MdsSnapshot(Snapshot):
    """The samples of a folder.

    Args:
        storage: of the index.
        header: see `MdsState`.
        index: what it says.
        verify: see `MdsState`.

    Attributes:
        shards: which have the samples.
    """

    def __init__(
        self,
        storage: Storage,
        header: Header,
        index: MdsIndex,
        verify: bool | str,
    ) -> None:
        counts = [shard.samples for shard in index.shards]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        total = int(self._first[-1])
        rows = np.zeros((total, 2), np.uint64)  # never looked at: memory that is not touched
        super().__init__(
            storage,
            header,
            Entries(memory_of(rows), total),
            0,
            verify,
        )
        self.shards = Shards(index.shards)
        self.columns = self._columns
        self._described = index.columns

    def where(self, i: int) -> tuple[str, int]:
        """Path of the shard that has a sample, and its position in it."""
        number, position = self._found(i)
        return self.shards.shards[number].path, position

    def _found(self, i: int) -> tuple[int, int]:
        number = int(np.searchsorted(self._first, i, "right")) - 1
        return number, i - int(self._first[number])

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        """Read the values of the fields of one sample, in the plan's order. Raises CorruptError."""
        number, position = self._found(i)
        shard = self.shards.shard(number)
        start = int(shard.offsets[position])
        stop = int(shard.offsets[position + 1])
        places = self._places(
            shard.data,
            start,
            stop,
            i,
        )
        values = []
        for item in plan.items:
            begin, length = places[item[0].payload]
            value = self.load(
                shard.data,
                i,
                item,
                begin,
                length,
                plan.copy,
            )
            values.append(value)
        return values

    def _places(
        self,
        data: memoryview,
        start: int,
        stop: int,
        i: int,
    ) -> list[tuple[int, int]]:
        """Return where each value of a sample begins, and how long it is."""
        sizes = [column.size for column in self._described]
        at = start
        for number, size in enumerate(sizes):
            if not size:
                sizes[number] = int.from_bytes(data[at : at + 4], "little")
                at += 4
        places = []
        for size in sizes:
            places.append((at, size))
            at += size
        if at > stop:
            path, position = self.where(i)
            problem = "its values have more bytes than the sample"
            raise CorruptError(
                problem,
                file=path,
                record=position,
                offset=start,
            )
        return places

    def _columns(
        self,
        positions: range | np.ndarray,
        plan: Plan,
        out: Any,
    ) -> list[Any]:
        """Read many samples, field by field: numbers as arrays, all else as lists."""
        if out:
            raise SchemaError("out is for datasets of ours, not for MDS", file=self.file)
        columns: list[Any] = [[] for _ in plan.items]
        for i in as_array(positions).tolist():
            for column, value in zip(columns, self.values(i, plan)):
                column.append(value)
        for number, item in enumerate(plan.items):
            kind = item.field.type
            if not item.is_builtin:
                continue
            if isinstance(kind, Number):
                columns[number] = np.array(columns[number], kind.dtype)
            elif isinstance(kind, Array) and kind.shape:
                columns[number] = np.array(columns[number], kind.dtype).reshape(-1, *kind.shape)
        return columns
