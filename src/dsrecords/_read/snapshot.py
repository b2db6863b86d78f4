"""Reading one record: from its position to its values, each byte verified before it is believed.

Knows nothing of how a dataset is opened, nor of how many records are read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.entries import Entries, FrameRef
from dsrecords._format.frame import Kept
from dsrecords._format.layout import (
    LOW_32_BITS,
    NONE,
    OFFSET_SIZE,
    REVISION,
    kind_of_word,
    padded_size,
    size_of_word,
    sizes_of_words,
)
from dsrecords._format.log import OF_RECORDS
from dsrecords._native import SnapshotBase
from dsrecords._read.log import Log
from dsrecords._read.mark import Mark, beginning, metadata_at
from dsrecords._read.plan import Item, Plan
from dsrecords._read.verification import ALL_PARTS, HEAD, REVISED, Verified, block_around
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field, Schema
from dsrecords._storage.base import Storage
from dsrecords._types.base import cause_of, reading_error
from dsrecords.errors import (
    CorruptError,
    DecodeError,
    DSRecordsError,
    SchemaError,
    StaleViewError,
    UnsupportedVersionError,
    annotate,
    in_words,
)

WRONG_CHECKSUM = "the checksum is wrong"

LARGEST_AHEAD = 64 * 2**20
"""Bytes of one record that are prepared before its head is verified: damage may state any size."""

# What the compiled twin may do with a list, as `native/native.h` names it: nothing, read what is
# verified, or as `verify` says.
_NOTHING = 0
_READ = 1
_MODES = {
    True: 2,
    "always": 3,
    False: 4,
}
_REACHED_BY_COMPILED = (
    "data",
    "entries",
    "verified",
    "schema",
    "log",
    "_mark",
    "first_offset",
    "seed",
    "mode",
)

_SPREAD = 4  # heads lie near each other within so many times their own bytes
_MOST = 0.75  # of the heads of a block must lie near each other
_NOTHING_VERIFIED = 0
_MADE_AGAIN = "an index (no view) that is removed is made again"
_OTHER_SCHEMA = (
    "its schema was changed while this was read: read again, or, if a schema was given, open it "
    "again without one"
)

Columns = Callable[[Any, Plan, Any], list[Any]]


class Found(NamedTuple):
    """A record whose head is verified, as its row says.

    Attributes:
        row: number of its row.
        ref: of its frame.
        head: all of it; the check in it may be mixed with what a row is mixed with.
        kind: of its frame.
        sizes: of its payloads, as the head stores them.
        starts: offsets of the payloads that were asked for, counted from the first.
    """

    row: int
    ref: FrameRef
    head: bytes | memoryview
    kind: int
    sizes: Sequence[int]
    starts: Sequence[int]


def _lasting(storage: Storage, entries: Entries) -> int:
    """The parts of records that stay in memory once they are read: else they are read anew."""
    if not storage.forgets:
        return ALL_PARTS
    return HEAD if entries.has_heads else 0


class Snapshot(SnapshotBase):
    """The list of records, as it is at one moment.

    It holds no lock, starts no thread and has no file position: threads and forked processes may
    share it. It only grows: an edit makes another one (see `Entries`), and whoever has this one
    goes on reading what it was.

    What is verified of a record is also there to be read: where a storage needs `ensure` to be
    called, that comes before verifying, and only there. So reading what is verified costs no call.

    Args:
        storage: of the `.rec`.
        header: its header, whose schema is in reach of each read.
        entries: the records, by their rows.
        end: up to where the log is known to be whole.
        verify: True: each byte when it is first read. "always": whenever it is read. False: sizes
            and offsets, but no checksums.
        verified: what has been verified of the records; nothing by default.

    Attributes:
        file: path of the `.rec`, for messages.
        log: the `.rec`.
        is_of_log: whether the rows are of frames in the log. Else the compiled twin is not to read
            by them.
        data: the log, mapped as far as it was needed; see `mapped`.
        columns: of records in a file of another format, what reads many of them; else None.
        payload_facts: of records in many files, what tells the sizes and checksums of their
            payloads (see `_read.lengths`); else None.
    """

    entries: Entries
    verified: Verified
    schema: Schema
    log: Log
    _mark: tuple[int, int, int, int, int]
    is_of_log = True
    columns: Columns | None = None
    payload_facts: Callable[[np.ndarray, int, str], np.ndarray] | None = None

    def __init__(
        self,
        storage: Storage,
        header: Header,
        entries: Entries,
        end: int,
        verify: bool | str,
        verified: Verified | None = None,
    ) -> None:
        self.storage = storage
        self.file = storage.path
        self.header = header
        self.schema = header.schema
        self.entries = entries
        self.verify = verify
        self.log = Log(storage, end)
        if verified is None:
            payload_count = len(header.schema.payloads)
            verified = Verified(entries.row_count, payload_count, _lasting(storage, entries))
        self.verified = verified
        self.data = memoryview(b"")
        self.seed = header.frames.seed
        self.first_offset = header.size
        self.mode = self._mode_of_compiled()
        # As a plain tuple, which takes a fifth of the time of a named one for each append.
        self._mark = beginning(header)

    def _mode_of_compiled(self) -> int:
        """What the compiled twin may do with this list."""
        if not self.is_of_log or self.storage.forgets:
            return _NOTHING
        if self.storage.needs_ensuring:
            return _READ
        return _MODES[self.verify]

    def __copy__(self) -> Snapshot:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        for name in _REACHED_BY_COMPILED:
            setattr(other, name, getattr(self, name))
        return other

    @property
    def is_elsewhere(self) -> bool:
        """Whether what is read costs requests, so that it is worth to ask for it beforehand."""
        return self.storage.forgets

    @property
    def mark(self) -> Mark:
        """Which moment of the log the list is of."""
        return Mark(*self._mark)

    @mark.setter
    def mark(self, mark: Mark) -> None:
        self._mark = mark

    @property
    def last(self) -> int:
        """Offset of the last frame of the log that is not pending; 0 if there is none."""
        return self._mark[1]

    @property
    def check(self) -> int:
        """The check of the last frame of the log that is not pending: what the next one names."""
        return self._mark[2]

    @property
    def end(self) -> int:
        """Up to where the log is known to be whole."""
        return self.log.end

    @end.setter
    def end(self, end: int) -> None:
        self.log.end = end

    def mapped(self) -> memoryview:
        """The log, mapped at least as far as all entries that were read before point to.

        Raises:
            CorruptError: the file was cut short.
        """
        data = self.data
        if len(data) >= self.log.end:
            return data
        data = self.log.map()
        # What is not mapped is read by slices alone, as what was not verified yet is.
        if len(data) > len(self.data) and isinstance(data, memoryview):
            self.data = data
        return data

    def metadata(self, mark: Mark | None = None) -> dict[str, Any]:
        """The metadata of the log at a moment; by default the last one that is known.

        Raises:
            CorruptError: it is damaged.
        """
        return metadata_at(mark or self.mark, self.storage, self.header)

    def where(self, i: int) -> tuple[str, int]:
        """Path of the file that has a record, and the record's position in it."""
        return self.file, i

    # The list after a change

    def append(
        self,
        offset: int,
        size: int,
        check: int,
        head: bytes,
    ) -> None:
        """Append a record to this list, which is then of a later moment: see `Entries.append`."""
        entries = self.entries
        count = entries.kept + entries.used
        if count >= len(self.verified.bits):
            self.verified.make_room(count + 1)
        # First: another thread may read the record once it is in the list, or save a view of it.
        end = offset + size
        self.log.end = end
        _, _, _, edits, metadata = self._mark
        self._mark = (end, offset, check, edits, metadata)
        entries.append(offset, size, check, head)

    def extend(self, rows: np.ndarray) -> None:
        """Append records to this list: rows as for `Entries.extend`."""
        self.verified.make_room(self.entries.row_count + len(rows))
        self.entries.extend(rows)

    def edited(
        self,
        rows: np.ndarray,
        op: int,
        positions: Sequence[int],
        shared_parts: Sequence[int] = (),
    ) -> Snapshot:
        """The list after a batch that edits it; this one remains what it is.

        Args:
            rows: as for `Entries.apply`.
            op: the same; not 0.
            positions: the same.
            shared_parts: for each of the rows, the parts of its record that are known to be right,
                as they are those of another; and REVISED, if it is a revision. Nothing by default.

        Raises:
            CorruptError: the list does not have these positions.
        """
        entries = self.entries
        first = entries.row_count
        self.verified.make_room(first + len(rows))
        after = entries.apply(rows, op, positions)
        if after.mapped is not entries.mapped:  # they were copied together, in new memory
            return self._with(after, None)
        for row, parts in enumerate(shared_parts, first):
            self.verified.remember(row, parts)
        return self._with(after, self.verified)

    def with_entries(self, entries: Entries) -> Snapshot:
        """A list with other rows, of whose records nothing is known."""
        return self._with(entries, None)

    def with_same_records(self, entries: Entries) -> Snapshot:
        """The same list with rows of the same records, and none that is gone, in other memory."""
        verified = self.verified
        if self.entries.is_edited:  # else the rows have the numbers that they had
            numbers = self.entries.live_rows(0, len(entries))
            verified = verified.picked(numbers)
        return self._with(entries, verified)

    def _with(self, entries: Entries, verified: Verified | None) -> Snapshot:
        other = Snapshot(
            self.storage,
            self.header,
            entries,
            self.log.end,
            self.verify,
            verified,
        )
        other.log = self.log
        other.data = self.data
        other.mark = self.mark
        return other

    # Values

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        """The values of the fields of one record, in the plan's order. Raises CorruptError."""
        entries = self.entries
        data = self.data
        is_ready = plan.schema is self.schema and len(data) >= self.log.end
        if is_ready and i < entries.direct:
            if entries.has_heads:
                unpacked = plan.unpack_row(entries.mapped_data, entries.row_size * i)
                offset = unpacked[0]
                is_verified = self.verified.bits[i] & plan.mask == plan.need
                unpacked = unpacked[1:]
            else:
                offset = entries.mapped_words[i + i]
                is_verified = self.verified.bits[i] & plan.mask == plan.need
                if is_verified:
                    unpacked = plan.unpack(data, offset)
            if is_verified:
                starts: Sequence[int] = (offset + plan.head_size,)
                if plan.payloads > 1:
                    starts = plan.payload_offsets(unpacked[: plan.payloads - 1], offset)
                return self._made(i, plan, data, unpacked, offset, starts)
        found = self.found(i, plan)
        return self._made(
            i,
            plan,
            self.mapped(),
            plan.unpack(found.head),
            found.ref.offset,
            found.starts,
        )

    def _made(
        self,
        i: int,
        plan: Plan,
        data: memoryview,
        unpacked: Sequence[Any],
        offset: int,
        starts: Sequence[int],
    ) -> list[Any]:
        """The values of one record, which is verified.

        Args:
            i: its position.
            plan: what is read.
            data: the log.
            unpacked: its head.
            offset: of its frame.
            starts: of its payloads.
        """
        values: list[Any] = []
        try:
            kernels.read_sample(data, unpacked, starts, plan.steps, plan.copy, values)
        except Exception as error:
            if len(values) == len(plan.items):  # it came from elsewhere, such as a signal handler
                raise
            item = plan.items[len(values)]
            field = item.field
            start = offset + field.number_offset
            if field.number_slot < 0:
                start = starts[field.payload]
            self.raise_with_place(error, i, item, start)
            raise
        return values

    def load(
        self,
        data: memoryview,
        i: int,
        item: Item,
        start: int,
        length: int,
        copy: bool,
    ) -> Any:
        """The value of one payload.

        Raises CorruptError, or what a function of the user's raises.
        """
        if length == NONE:
            self.check_nullable(i, item.field, start)
            return None
        try:
            return item.make(data[start : start + length], copy)  # type: ignore[misc]
        except Exception as error:
            self.raise_with_place(error, i, item, start)
            raise

    def check_nullable(
        self,
        i: int,
        field: Field,
        start: int,
    ) -> None:
        """Raise CorruptError if a payload that is None, at `start`, may not be None."""
        kind = field.type
        if not kind.nullable:
            text = f"None, but the type is {kind.name}"
            raise self.damaged(text, i, start, field)

    def plain(
        self,
        i: int,
        field: Field,
        data: bytes,
    ) -> bytes:
        """The payload of a record without its compression. Raises CorruptError."""
        compressed = memoryview(data)
        try:
            return bytes(field.type.plain(compressed))
        except (CorruptError, DecodeError) as error:
            raise type(error)(
                error.message,
                file=self.file,
                record=i,
                field=field.key,
            ) from None

    def encoded(self, i: int, plan: Plan) -> tuple[list[Any], list[bytes | None]]:
        """The numbers and payloads of a record as they are stored.

        Args:
            i: the record's position.
            plan: of all fields. They are verified, whatever was verified before.
        """
        self.check_plan(plan)
        row = self.entries.row(i)
        found = self._find(i, row, self.entries.stored(row), _NOTHING_VERIFIED, plan, True)
        data = self.mapped()
        payloads: list[bytes | None] = []
        for start, size in zip(found.starts, found.sizes):
            if size == NONE:
                payloads.append(None)
                continue
            payload = data[start : start + size]
            payloads.append(bytes(payload))
        return self._numbers(found), payloads

    def kept(self, i: int, plan: Plan) -> tuple[list[Any], list[Kept]]:
        """The numbers of a record as they are stored, and where its payloads are.

        Args:
            i: the record's position.
            plan: of no payload, as these are not read. The head is verified, whatever was verified
                before.
        """
        self.check_plan(plan)
        row = self.entries.row(i)
        found = self._find(i, row, self.entries.stored(row), _NOTHING_VERIFIED, plan, True)
        layout = self.header.schema.layout
        starts = self._starts(i, found, layout.payload_count)
        kept = []
        for start, size, checksum in zip(starts, found.sizes, layout.unpack_checksums(found.head)):
            if size in (0, NONE):  # it is nowhere
                start = 0
            kept.append(Kept(start, size, checksum))
        return self._numbers(found), kept

    def _numbers(self, found: Found) -> list[Any]:
        layout = self.header.schema.layout
        unpacked = layout.unpack(found.head)
        return list(unpacked[layout.payload_count :])

    # Preparing

    def _ensure_head(self, ref: FrameRef, plan: Plan) -> None:
        """Prepare a head; with it, if the plan has payloads, what the row says is the record."""
        if ref.head:  # it is in the row: so it is known where the payloads are, and no more is read
            return
        size = self.header.schema.layout.size
        if plan.payloads:
            size = max(size, min(ref.size, LARGEST_AHEAD))
        self._ensure([ref.offset], [ref.offset + size])

    def _ensure_payloads(
        self,
        plan: Plan,
        starts: Sequence[int],
        sizes: Sequence[int],
    ) -> None:
        """Prepare the payloads that a plan needs of a record whose head is verified."""
        wanted_starts = []
        stops = []
        for number, _ in plan.wanted:
            size = sizes[number]
            if size != NONE:
                start = starts[number]
                wanted_starts.append(start)
                stops.append(start + size)
        self._ensure(wanted_starts, stops)

    def _ensure(self, starts: Sequence[int], stops: Sequence[int]) -> None:
        self.storage.ensure(np.array(starts, np.uint64), np.array(stops, np.uint64))

    # Verification

    def check_plan(self, plan: Plan) -> None:
        """Raise StaleViewError if the files were just replaced by files of another schema."""
        header = self.header
        if plan.schema is header.schema or header in plan.equal_headers:
            return
        if plan.header.schema.to_json() != header.schema.to_json():
            raise StaleViewError(_OTHER_SCHEMA, file=self.file)
        plan.equal_headers.add(header)  # not to compare them again

    def check_field(self, field: Field) -> None:
        """Raise StaleViewError if the files were just replaced, and it is another one in them."""
        known = self.header.schema.by_key.get(field.key)
        if known is field:
            return
        is_same = (
            known is not None
            and known.payload == field.payload
            and known.type.name == field.type.name
        )
        if not is_same:
            raise StaleViewError(_OTHER_SCHEMA, file=self.file)

    def verified_head(self, i: int, plan: Plan) -> bytes | memoryview:
        """The head of a record, of which all that a plan needs is verified: see `found`."""
        return self.found(i, plan).head

    def found(self, i: int, plan: Plan) -> Found:
        """Verify what a plan needs of one record, unless it is verified, and remember it.

        Args:
            i: the record's position.
            plan: what is to be read.

        Raises:
            CorruptError: it is not what was written.
            StaleViewError: another thread has opened files of another schema.
        """
        self.check_plan(plan)
        verified = self.verified
        row = self.entries.row(i)
        stored = self.entries.stored(row)
        known = verified.bits[row]
        is_single = self.verify is True and not known & HEAD
        if is_single and verified.count_single(row):
            self._verify_block(row)
            known = verified.bits[row]
        return self._find(i, row, stored, known, plan, self.verify)

    def _find(
        self,
        i: int,
        row: int,
        stored: bytes,
        known: int,
        plan: Plan,
        verify: bool | str,
    ) -> Found:
        """Verify what is not known of one record.

        Args:
            i: the record's position.
            row: the number of its row.
            stored: the row.
            known: the parts of the record of that row that are verified.
            plan: what is to be read.
            verify: whether to compare checksums.
        """
        ref = self.entries.ref_of(row, stored)
        offset = ref.offset
        data = self.mapped()
        layout = self.header.schema.layout
        end = offset + layout.size
        if offset & 7 or offset < self.header.size or end > len(data):
            text = f"the index's row points outside of the log; {_MADE_AGAIN}"
            raise self.damaged(text, i, offset)
        if self.storage.needs_ensuring:
            self._ensure_head(ref, plan)
        head: bytes | memoryview = stored[OFFSET_SIZE:]
        if not ref.head:
            head = data[offset:end]
        sizes = layout.unpack(head)[: layout.payload_count]
        word = int.from_bytes(head[8:16], "little")
        kind = kind_of_word(word)
        found = Found(row, ref, head, kind, sizes, ())
        if not known & HEAD:
            problem = self._wrong_head(found, word, len(data), verify)
            if problem:
                raise self.damaged(problem, i, offset)
        parts = plan.proven
        if plan.payloads:
            found = found._replace(starts=self._starts(i, found, plan.payloads))
            if self.storage.needs_ensuring:
                self._ensure_payloads(plan, found.starts, sizes)
            if verify:
                self._verify_payloads(i, found, known, plan, data)
            if kind == REVISION:
                parts |= REVISED
        if self.verify != "always":
            self.verified.remember(row, parts)
        return found

    def _starts(self, i: int, found: Found, count: int) -> Sequence[int]:
        """The offsets of the first payloads of a record whose head is verified."""
        layout = self.header.schema.layout
        offset = found.ref.offset
        if found.kind != REVISION:
            return layout.payload_offsets(found.sizes[: count - 1], offset)
        if self.storage.needs_ensuring:
            table = offset + layout.size
            self._ensure([table], [table + layout.table_size])
        return self.table_offsets(i, found.ref, found.sizes)

    def table_offsets(
        self,
        i: int,
        ref: FrameRef,
        sizes: Sequence[int],
    ) -> Sequence[int]:
        """The offsets of all payloads of a revision, from the table behind its head.

        Args:
            i: the record's position.
            ref: of its frame, whose head is verified, and whose table was prepared for being read.
            sizes: of its payloads.

        Raises:
            CorruptError: the table is damaged.
        """
        layout = self.header.schema.layout
        start = ref.offset + layout.size
        stop = start + layout.table_size
        offsets = self.header.frames.table_offsets(
            self.mapped()[start:stop],
            ref.check,
            ref.offset,
            ref.size,
            sizes,
        )
        if offsets is None:
            raise self.damaged("the table of a revision is damaged", i, start)
        return offsets

    def _verify_payloads(
        self,
        i: int,
        found: Found,
        known: int,
        plan: Plan,
        data: memoryview,
    ) -> None:
        """Compare the checksums of the payloads that a plan needs, but for those that are known."""
        schema = self.header.schema
        checksums = schema.layout.unpack_checksums(found.head)
        unknown = [number for number, part in plan.wanted if not known & part]
        wrong = kernels.verify_payloads(data, unknown, found.starts, found.sizes, checksums)
        if wrong >= 0:
            field = schema.payloads[wrong]
            raise self.damaged(WRONG_CHECKSUM, i, found.starts[wrong], field)

    def _wrong_head(
        self,
        found: Found,
        word: int,
        end: int,
        verify: bool | str,
    ) -> str:
        """What is wrong with a head, verified against itself and its row; empty if nothing is.

        Args:
            found: the record.
            word: of its frame.
            end: of the log.
            verify: whether to compare its check.
        """
        frames = self.header.frames
        ref = found.ref
        is_in_log = not ref.head
        size = size_of_word(word)
        computed = ref.check
        if verify:
            computed = frames.check(found.head[4:], ref.offset)
        if is_in_log:
            check = int.from_bytes(found.head[:4], "little")
            if verify and computed != check:
                return "the frame's check is wrong: its head, or the index's row, is damaged"
            if check != ref.check or ref.size not in (0, size):
                return f"the index's row is of another record; {_MADE_AGAIN}"
        elif computed != ref.check:
            return f"the index's row is damaged; {_MADE_AGAIN}"
        if found.kind in OF_RECORDS and ref.offset + size > end:
            return "the frame reaches beyond the log"
        if not self._can_be_record(found, size):
            return f"no record has a frame of kind {found.kind} and {size} bytes with such payloads"
        return ""

    def _can_be_record(self, found: Found, size: int) -> bool:
        """Whether a frame of this size can be that of a record with such payloads."""
        frames = self.header.frames
        layout = frames.layout
        if found.kind == REVISION:
            smallest = layout.size + layout.table_size
            return layout.payload_count > 0 and smallest <= size == padded_size(size)
        return found.kind in OF_RECORDS and size == frames.extent(found.sizes)

    def verify_heads(
        self,
        numbers: np.ndarray,
        rows: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The heads of many records, and which are right.

        Args:
            numbers: of their rows: int64, (n,), n > 0.
            rows: the rows: uint64, (n, width).

        Returns:
            The heads: structured, (n,), as `HeadLayout.dtype` or, where they are in the rows,
            `HeadLayout.row_dtype` describes them; and which are right: bool, (n,).
        """
        frames = self.header.frames
        layout = frames.layout
        mixes = self.entries.mixes(numbers)
        tables = frames.tables if self.verify else None
        if not self.entries.has_heads:
            return kernels.verify_heads(
                self.mapped(),
                layout,
                frames.seed,
                tables,
                self.header.size,
                mixes,
                rows,
                bool(self.verify),
            )
        heads = self.heads_in(rows)
        right = kernels.verify_rows(
            heads,
            layout,
            frames.seed,
            tables,
            self.header.size,
            self.log.end,
            mixes,
            bool(self.verify),
        )
        return heads, right

    def heads_in(self, rows: np.ndarray) -> np.ndarray:
        """The heads in rows that have some: from uint64, (n, width), to structured, (n,)."""
        heads = rows.view(self.header.schema.layout.row_dtype)
        return heads[:, 0]

    def rows_at(self, positions: np.ndarray) -> np.ndarray:
        """Copy the rows at these positions (int64, (n,)): uint64, (n, width)."""
        numbers = self.entries.row_numbers(positions)
        return self.entries.gather(numbers)

    def announce(self, positions: np.ndarray, plan: Plan) -> None:
        """Prepare many records for being read, as `Storage.ensure` does, without a thread.

        Args:
            positions: of the records: int64, (n,).
            plan: what will be read of them.
        """
        if self.storage.is_full():
            return
        rows = self.rows_at(positions)
        if self.storage.forgets and self.entries.has_heads:
            self._announce_payloads(rows, plan)
        else:
            self.prefetch(rows, heads_only=not plan.payloads)

    def _announce_payloads(self, rows: np.ndarray, plan: Plan) -> None:
        """Prepare payloads where the heads of records, in rows, say that they are.

        The heads need not be right yet, and revisions have their payloads elsewhere: what is
        prepared for nothing does no harm.

        Raises:
            StaleViewError: the files were just replaced by files of another schema.
        """
        self.check_plan(plan)
        if not plan.payloads or not len(rows):
            return
        heads = self.heads_in(rows)
        layout = self.header.schema.layout
        sizes = heads["sizes"][:, : plan.payloads]
        starts = layout.payload_offset_table(sizes, rows[:, 0])
        wanted = [number for number, _ in plan.wanted]
        most = np.uint64(LARGEST_AHEAD)
        lengths = np.where(sizes == NONE, np.uint64(0), np.minimum(sizes, most))
        self.mapped()  # `ensure` looks at windows that are there
        begins = starts[:, wanted].ravel()
        self.storage.ensure(begins, begins + lengths[:, wanted].ravel())

    def prefetch(self, rows: np.ndarray, heads_only: bool) -> None:
        """As `announce`, by the rows of the index: uint64, (n, width)."""
        if heads_only and self.entries.has_heads:
            return  # they are in the rows
        starts = rows[:, 0]
        if self.storage.seems_ready(starts):
            return
        self.mapped()  # `ensure` looks at windows that are there
        if heads_only:
            stops = starts + self.header.schema.layout.size
        else:
            stops = starts + self._stated_sizes(rows)
        self.storage.ensure(starts, stops)

    def release(self, positions: np.ndarray) -> None:
        """Let the storage forget records that were read: see `Storage.release`."""
        rows = self.rows_at(positions)
        starts = rows[:, 0]
        self.storage.release(starts, starts + self._stated_sizes(rows))

    def _stated_sizes(self, rows: np.ndarray) -> np.ndarray:
        """How large the frames of some rows are, as these say, within reason: uint64, (n,).

        A row that is damaged, so that a sum may wrap around, is found out when it is read.
        """
        if self.entries.has_heads:
            sizes = sizes_of_words(rows[:, 2])
        else:
            eighths = rows[:, 1] & np.uint64(LOW_32_BITS)
            sizes = eighths << np.uint64(3)
        reasonable: np.ndarray = np.minimum(sizes, np.uint64(LARGEST_AHEAD))
        return reasonable

    def _verify_block(self, row: int) -> None:
        """Verify the heads around one record together, if most of them lie near each other.

        Then a head takes a thirtieth of the time that it takes alone. If they do not, to read them
        all would be to read much that nobody asked for. What is damaged is left to whoever asks for
        it.
        """
        block = block_around(row, self.entries.row_count)
        numbers = np.arange(block.start, block.stop)
        rows = np.ascontiguousarray(self.entries.rows(block.start, block.stop))
        if not self.entries.has_heads:
            near = self._near(rows)
            if near is None:
                return
            numbers = numbers[near]  # the others were replaced
            rows = rows[near]
            if self.storage.needs_ensuring:
                starts = rows[:, 0]
                size = np.uint64(self.header.schema.layout.size)
                self.storage.ensure(starts, starts + size)
        _, right = self.verify_heads(numbers, rows)
        if not right.all():
            numbers = numbers[right]
        self.verified.remember_many(numbers, HEAD)

    def _near(self, rows: np.ndarray) -> np.ndarray | None:
        """Which heads of a block lie near each other: bool, (n,). None if they are too few."""
        offsets = rows[:, 0]
        spread = int(offsets.max()) - int(offsets.min())
        allowed = _SPREAD * self.header.schema.layout.size * len(rows)
        if spread <= allowed:
            return np.ones(len(rows), bool)
        middle = int(np.median(offsets))
        lowest = max(middle - allowed // 2, 0)
        highest = middle + allowed // 2
        near: np.ndarray = (offsets >= lowest) & (offsets <= highest)
        if near.mean() < _MOST:
            return None
        return near

    # Errors

    def damaged(
        self,
        text: str,
        i: int,
        offset: int,
        field: Field | None = None,
    ) -> CorruptError:
        """The error of a record that is not what was written."""
        error = CorruptError(text, file=self.file, record=i, offset=offset)
        if field is not None:
            error.field = field.key
        return error

    def raise_with_place(
        self,
        error: Exception,
        i: int,
        item: Item,
        offset: int,
    ) -> None:
        """Raise an error that says where, if the file or its decoder is to blame for `error`.

        Otherwise nothing is raised, and `error` gets a note.

        Args:
            error: what making a value has raised.
            i: the record's position.
            item: whose value it was.
            offset: where its number or payload is.
        """
        field = item.field
        found = self._error_of(error, item)
        if found is None:
            annotate(error, in_words(self.file, i, field.key))
            return
        kind = type(found)
        raise kind(
            found.message,
            file=self.file,
            record=i,
            field=field.key,
            offset=offset,
        ) from cause_of(error, found)

    def _error_of(self, error: Exception, item: Item) -> DSRecordsError | None:
        """The error of the file or of its decoder; None if neither is to blame."""
        field = item.field
        is_payload = field.number_slot < 0
        if isinstance(error, (CorruptError, DecodeError, UnsupportedVersionError)):
            return error
        if not is_payload:
            return None
        if item.is_builtin:
            return reading_error(error, field.type)
        if isinstance(error, SchemaError):
            return error
        return None
