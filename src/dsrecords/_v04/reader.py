"""Reading files of dsrecords 0.4, as a dataset reads its own. They are never written to.

What the fields are is not in the files: it must be given. There are no checksums, so that a wrong
byte is read as it is: all that is verified is that each record fits into the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.entries import Entries, memory_of
from dsrecords._format.header import RawHeader
from dsrecords._format.layout import LOW_32_BITS, PAGE
from dsrecords._read.batch import as_array
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Version
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field, Schema
from dsrecords._storage.base import Storage
from dsrecords._storage.registry import open_storage
from dsrecords._types.binary import Bytes
from dsrecords._v04.detect import header_was_zeroed, misfit, possible_field_counts, read_index
from dsrecords._v04.functions import reader_of_function
from dsrecords.errors import CorruptError, ReadOnlyError, SchemaError

_ADVICE = "dsrecords.upgrade(old, new, schema) makes a dataset of it"
_ID = struct.Struct("<QII")  # size of the `.rec`, crc32 of the index, count of records


class V04State:
    """A pair of files of 0.4, open for reading: stands in for the `State` of a dataset.

    Args:
        path: of the `.rec`.
        index_path: of the `.idx`.
        verify: as of any dataset; there is nothing to verify.
        index_must_exist: whether the index was named.
        deserializers: functions that read the fields, a list or a dict by name, which gives the
            fields their names.
        given: whether a schema was given, which these files cannot have.

    Attributes:
        header: made up, as such files have none; its fields are all bytes.
        snapshot: the list.

    Raises:
        CorruptError: a record does not fit, or it is a `.rec` of version 1 whose header was zeroed.
        FileNotFoundError: there is no index.
        SchemaError: no deserializers were given.
    """

    # As those of `State`: nothing is edited, and no file of 0.4 is a view.
    view = 0

    def __init__(
        self,
        path: str,
        index_path: str,
        verify: bool | str,
        *,
        index_must_exist: bool,
        deserializers: Any,
        given: bool,
    ) -> None:
        self.path = path
        self.index_path = index_path
        self._verify = verify
        self._index_must_exist = index_must_exist
        self._deserializers = deserializers
        self._given = given
        self.refresh()

    def refresh(self) -> None:
        """Read the index anew, and verify that each record fits."""
        storage = open_storage(self.path)
        size = storage.size()
        data = storage.window(size)[:size]
        if storage.needs_ensuring:
            start = np.array([0], np.uint64)
            stop = np.array([size], np.uint64)
            storage.ensure(start, stop)
        index = read_index(self.path, self.index_path, self._index_must_exist)
        if header_was_zeroed(data):
            text = "a DSRecords file whose header was zeroed: none of dsrecords 0.4"
            raise CorruptError(text, file=self.path)
        count = int(index[0])
        offsets = index[1:]
        if self._given:
            text = "a file of dsrecords 0.4: it is read with deserializers=[...] alone"
            raise SchemaError(f"{text}, and never written; {_ADVICE}", file=self.path)
        if self._deserializers is None:
            counts = possible_field_counts(data, offsets, count)
            raise _missing_deserializers(counts, self.path)
        schema = self._make_schema()
        field_count = len(schema.fields)
        reason = misfit(data, offsets, count, field_count)
        if reason is not None:
            text = f"not a DSRecords file, nor one of dsrecords 0.4 with {field_count} fields"
            raise CorruptError(f"{text}: {reason}", file=self.path)
        id = _make_id(size, index, count)
        raw = RawHeader(b"", 0, 0, id, {})
        self.header = Header(raw, schema, {})
        self.snapshot = V04Snapshot(
            storage,
            self.header,
            offsets[:count],
            data,
            self._verify,
        )

    def _make_schema(self) -> Schema:
        """Make a schema of the fields that were given: all are bytes."""
        given = self._deserializers
        named = isinstance(given, Mapping)
        keys = list(given) if named else range(len(given))
        fields = [Field(key, Bytes()) for key in keys]
        return Schema(fields, named)

    def need_log(self) -> None:
        """Refuse what needs a log. Raises ReadOnlyError."""
        raise ReadOnlyError(f"a file of dsrecords 0.4 is only read; {_ADVICE}", file=self.path)

    def deserializers(self, given: Any) -> Any:
        """Replace functions of `io` by those that read what 0.4 wrote; other functions stay."""
        if isinstance(given, Mapping):
            return {key: reader_of_function(function) for key, function in given.items()}
        return [reader_of_function(function) for function in given]

    def shows(self, version: Version) -> bool:
        """Whether these are the files that had this version: see `Source`."""
        return self.header.id == version.id

    def problems(self) -> list[CorruptError]:
        """Return what is wrong, as far as that shows without checksums."""
        try:
            self.refresh()
        except CorruptError as error:
            return [error]
        return []


def _make_id(size: int, index: np.ndarray, count: int) -> bytes:
    """Return 16 bytes that differ where the files do: `index` has the numbers of the index."""
    used = index[: count + 1]
    checksum = crc32(used.tobytes())
    return _ID.pack(size, checksum, count & LOW_32_BITS)


def _missing_deserializers(field_counts: list[int], path: str) -> SchemaError:
    """Return an error that says what to give. `field_counts`: how many fields there may be."""
    text = "a file of dsrecords 0.4, which does not say what is in it"
    hint = "give deserializers=[io.load_…, …]"
    if field_counts:
        shown = " or ".join(map(str, field_counts[:3]))
        hint += f" (its records seem to have {shown} fields)"
    return SchemaError(f"{text}: {hint}; or {_ADVICE}", file=path)


class V04Snapshot(Snapshot):
    """The records of a file of 0.4, as they are at one moment.

    Args:
        storage: of the `.rec`.
        header: see `V04State`.
        offsets: of the records, uint64 (n,).
        data: the whole `.rec`.
        verify: see `V04State`.
    """

    is_of_log = False

    def __init__(
        self,
        storage: Storage,
        header: Header,
        offsets: np.ndarray,
        data: memoryview,
        verify: bool | str,
    ) -> None:
        entries = _entries_of(offsets)
        super().__init__(storage, header, entries, len(data), verify)
        self.data = data
        self.columns = self._columns
        self._offsets = offsets
        self._sizes = struct.Struct(f"<{len(header.schema.fields)}Q")

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        """Read the values of the fields of one record, in the plan's order. Raises CorruptError."""
        data = self.data
        offset = int(self._offsets[i])
        sizes = self._sizes.unpack_from(data, offset)
        starts = []
        start = offset + self._sizes.size
        for size in sizes:
            starts.append(start)
            start += size
        values = []
        for item in plan.items:
            number = item[0].payload
            start = starts[number]
            size = sizes[number]
            value = self.load(data, i, item, start, size, plan.copy)
            values.append(value)
        return values

    def _columns(self, positions: range | np.ndarray, plan: Plan, out: Any) -> list[Any]:
        """Read many records, field by field: a list for each field of the plan."""
        if out:
            text = "out is for columns that are arrays, which a file of dsrecords 0.4 does not have"
            raise SchemaError(text, file=self.file)
        columns: list[list[Any]] = [[] for _ in plan.items]
        for i in as_array(positions).tolist():
            values = self.values(i, plan)
            for column, value in zip(columns, values):
                column.append(value)
        return columns


def _entries_of(offsets: np.ndarray) -> Entries:
    """Make entries of offsets: uint64, (n,).

    The sizes are not known: the system is asked for the first page of each record.
    """
    rows = np.empty((len(offsets), 2), np.uint64)
    rows[:, 0] = offsets
    rows[:, 1] = PAGE // 8
    return Entries(memory_of(rows), len(offsets))
