"""Reading one record: from its position to its values, each byte verified before it is believed.

Knows nothing of how a dataset is opened, nor of how many records are read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.entries import Entries
from dsrecords._format.frame import DELETE, FRAME
from dsrecords._format.layout import LOW_32_BITS, NONE, PENDING, RECORD, offset_mix, position_mix
from dsrecords._format.log import FrameRef
from dsrecords._read.plan import Item, Plan
from dsrecords._read.verification import HEAD, Verified, block_around
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field
from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError, SchemaError, StaleViewError

WRONG_CHECKSUM = "the checksum is wrong"

LARGEST_AHEAD = 64 * 2**20
"""Bytes of one record that are prepared before its head is verified: damage may state any size."""

_SPREAD = 4  # heads lie near each other within so many times their own bytes
_MOST = 0.75  # of the heads of a block must lie near each other
_NOTHING_VERIFIED = 0
_MADE_AGAIN = "an index (no view) that is removed is made again"

Columns = Callable[[Any, Plan, Any], list[Any]]


class Log:
    """The `.rec` that snapshots of one dataset share.

    Args:
        storage: of the `.rec`.
        end: up to where it is known to be whole, which grows. What an edit puts into entries that
            are in use lies before it.
    """

    def __init__(self, storage: Storage, end: int) -> None:
        self.storage = storage
        self.end = end

    def map(self) -> memoryview:
        """The log up to its end. A file that was cut short is a CorruptError, not a SIGBUS."""
        end = self.end
        window = self.storage.window(end)
        return window[:end]


class Snapshot:
    """The list of records, as it is at one moment.

    It holds no lock, starts no thread and has no file position: threads and forked processes may
    share it. While one thread edits the list, others may go on reading: they find the old record
    or the new one (see `Entries`), and neither is believed because the other was verified (see
    `Verified`).

    What is verified of a record is also there to be read: where a storage needs `ensure` to be
    called, that comes before verifying, and only there. So reading what is verified costs no call.

    Args:
        storage: of the `.rec`.
        header: its header.
        entries: where each record is.
        end: up to where the log is known to be whole.
        verify: True: each byte when it is first read. "always": whenever it is read. False: sizes
            and offsets, but no checksums.
        verified: what has been verified of the records; nothing by default.

    Attributes:
        file: path of the `.rec`, for messages.
        log: the `.rec`.
        data: the log, mapped as far as it was needed; see `mapped`.
        shared: whether somebody else looks at these entries, so that edits must copy them first.
        mark: which moment of the log the list is of: its end, how many edits it had, and the offset
            and the check of its last frame.
        columns: of records in a file of another format, what reads many of them; else None.
    """

    columns: Columns | None = None

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
        self.entries = entries
        self.verify = verify
        self.log = Log(storage, end)
        if verified is None:
            payload_count = len(header.schema.payloads)
            verified = Verified(len(entries), payload_count)
        self.verified = verified
        self.data = memoryview(b"")
        self.shared = False
        self.mark = (end, 0, 0, 0)

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
        if len(data) > len(self.data):
            self.data = data
        return data

    # The list after a change

    def append(self, ref: FrameRef) -> None:
        """Append a record to this list."""
        entries = self.entries
        count = entries.kept + entries.used
        if count >= len(self.verified.bits):
            self.verified.make_room(count + 1)
        entries.append(ref)

    def extend(self, refs: Any) -> None:
        """Append the records of a batch to this list; refs as for `Entries.apply`."""
        count = len(self.entries) + len(refs)
        self.verified.make_room(count)
        self.entries.apply(refs, 0, ())

    def edited(
        self,
        refs: Any,
        op: int,
        positions: Sequence[int],
    ) -> Snapshot:
        """The list after a batch that edits it.

        This one goes on to be what it is, if it is shared. Else it may only be read by those who
        are just doing so.

        Args:
            refs: as for `Entries.apply`.
            op: the same; not 0.
            positions: the same.

        Raises:
            CorruptError: the list does not have these positions.
        """
        if self.shared:
            entries = self.entries.copy()
            verified = self.verified.copy()
        else:
            entries = self.entries
            verified = self.verified.hand_over()  # before an entry changes
        after = entries.apply(refs, op, positions)
        count = len(entries) + len(refs)  # before the edit itself
        verified.make_room(count)
        if op == DELETE:
            first = min(positions, default=count)
            verified.forget_from(first, count)
        else:
            removed = range(len(after), count)
            verified.forget(positions)
            verified.forget(removed)
        return self._with(after, verified)

    def with_entries(self, entries: Entries) -> Snapshot:
        """The list with other entries, of whose records nothing is known."""
        return self._with(entries, None)

    def with_same_records(self, entries: Entries) -> Snapshot:
        """The same list with entries of the same records that lie elsewhere in memory."""
        verified = self.verified.copy()
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
        if i < entries.kept:
            offset = entries.mapped_words[i + i]
        else:
            offset = entries.appended.words[2 * (i - entries.kept)]
        known = self.verified.bits[i]  # after the entry: see `Verified`
        data = self.data
        if (
            known & plan.need != plan.need
            or plan.header is not self.header
            or len(data) < self.log.end
        ):
            offset = self.verified_offset(i, plan)
            data = self.mapped()
        unpacked = plan.unpack(data, offset)
        starts: Sequence[int] = (offset + plan.head_size,)
        if plan.payloads > 1:
            starts = plan.payload_offsets(unpacked[: plan.payloads - 1], offset)
        values: list[Any] = []
        try:
            kernels.read_sample(data, unpacked, starts, plan.steps, plan.copy, values)
        except Exception as error:
            self._explain(error, i, plan.items[len(values)], offset, starts)
            raise
        return values

    def _explain(
        self,
        error: Exception,
        i: int,
        item: Item,
        offset: int,
        starts: Sequence[int],
    ) -> None:
        """Do what `raise_if_damaged` does, for the record whose frame is at `offset`."""
        field = item.field
        start = offset + field.number_offset
        if field.number_slot < 0:
            start = starts[field.payload]
        self.raise_if_damaged(error, i, item, start)

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
            self.raise_if_damaged(error, i, item, start)
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
        except CorruptError as error:
            raise CorruptError(
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
        entry = self.entries.stored(i)
        offset = self._verify(i, entry, _NOTHING_VERIFIED, plan, True)
        data = self.mapped()
        layout = self.header.schema.layout
        unpacked = layout.unpack(data, offset)
        count = layout.payload_count
        sizes = unpacked[:count]
        numbers = list(unpacked[count:])
        payloads: list[bytes | None] = []
        starts = layout.payload_offsets(sizes, offset)
        for start, size in zip(starts, sizes):
            if size == NONE:
                payloads.append(None)
                continue
            payload = data[start : start + size]
            payloads.append(bytes(payload))
        return numbers, payloads

    # Preparing

    def _ensure_head(self, offset: int, word: int, plan: Plan) -> None:
        """Prepare a head; with it, if the plan has payloads, what the entry says is the record."""
        size = self.header.schema.layout.size
        if plan.payloads:
            stated = 8 * (word & LOW_32_BITS)
            size = max(size, min(stated, LARGEST_AHEAD))
        self._ensure([offset], [offset + size])

    def _ensure_payloads(
        self,
        offset: int,
        plan: Plan,
        sizes: Sequence[int],
    ) -> None:
        """Prepare the payloads that a plan needs of a record whose head is verified."""
        layout = self.header.schema.layout
        all_starts = layout.payload_offsets(sizes[: plan.payloads - 1], offset)
        starts = []
        stops = []
        for number, _ in plan.wanted:
            size = sizes[number]
            if size != NONE:
                start = all_starts[number]
                starts.append(start)
                stops.append(start + size)
        self._ensure(starts, stops)

    def _ensure(self, starts: Sequence[int], stops: Sequence[int]) -> None:
        self.storage.ensure(np.array(starts, np.uint64), np.array(stops, np.uint64))

    # Verification

    def check_plan(self, plan: Plan) -> None:
        """Raise StaleViewError if the files were just replaced by files of another schema."""
        header = self.header
        if plan.header is header or header in plan.equal_headers:
            return
        if plan.header.schema.to_json() != header.schema.to_json():
            text = "its schema was changed while this was read: read again"
            raise StaleViewError(text, file=self.file)
        plan.equal_headers.add(header)  # not to compare them again

    def verified_offset(self, i: int, plan: Plan) -> int:
        """Verify what a plan needs of one record, unless it is verified, and remember it.

        Args:
            i: the record's position.
            plan: what is to be read.

        Returns:
            The offset of its frame.

        Raises:
            CorruptError: it is not what was written.
            StaleViewError: another thread has opened files of another schema.
        """
        self.check_plan(plan)
        verified = self.verified
        entry = self.entries.stored(i)
        known = verified.bits[i]
        if known & plan.need == plan.need:
            return entry[0]
        is_single = self.verify is True and not known & HEAD
        if is_single and verified.count_single(i):
            self._verify_block(i)
            entry = self.entries.stored(i)
            known = verified.bits[i]
        return self._verify(i, entry, known, plan, self.verify)

    def _verify(
        self,
        i: int,
        entry: tuple[int, int],
        known: int,
        plan: Plan,
        verify: bool | str,
    ) -> int:
        """Verify what is not known of one record, and return the offset of its frame.

        Args:
            i: the record's position.
            entry: its entry as it is stored.
            known: the parts of the record at that entry that are verified.
            plan: what is to be read.
            verify: whether to compare checksums.
        """
        offset = entry[0]
        data = self.mapped()
        header = self.header
        layout = header.schema.layout
        end = offset + layout.size
        if offset & 7 or offset < header.size or end > len(data):
            text = f"the index's entry points outside of the log; {_MADE_AGAIN}"
            raise self.damaged(text, i, offset)
        needs_ensuring = self.storage.needs_ensuring
        if needs_ensuring:
            self._ensure_head(offset, entry[1], plan)
        unpacked = layout.unpack(data, offset)
        sizes = unpacked[: layout.payload_count]
        if not known & HEAD and not self._is_right_head(i, entry, data, sizes, verify):
            now = self.entries.stored(i)
            if now != entry:  # another thread has just put another record here
                return self._verify(i, now, _NOTHING_VERIFIED, plan, verify)
            raise self._wrong_head(i, entry, data, verify)
        if needs_ensuring and plan.payloads:
            self._ensure_payloads(offset, plan, sizes)
        if verify and plan.payloads:
            self._verify_payloads(i, offset, known, plan, data, sizes)
        if self.verify != "always":
            self.verified.remember(i, plan.need)
        return offset

    def _verify_payloads(
        self,
        i: int,
        offset: int,
        known: int,
        plan: Plan,
        data: memoryview,
        sizes: Sequence[int],
    ) -> None:
        """Compare the checksums of the payloads that a plan needs, but for those that are known."""
        schema = self.header.schema
        starts = schema.layout.payload_offsets(sizes[: plan.payloads - 1], offset)
        checksums = schema.layout.unpack_checksums(data, offset)
        unknown = [number for number, part in plan.wanted if not known & part]
        wrong = kernels.verify_payloads(data, unknown, starts, sizes, checksums)
        if wrong >= 0:
            field = schema.payloads[wrong]
            raise self.damaged(WRONG_CHECKSUM, i, starts[wrong], field)

    def _is_right_head(
        self,
        i: int,
        entry: tuple[int, int],
        data: memoryview,
        sizes: Sequence[int],
        verify: bool | str,
    ) -> bool:
        """Whether a head verifies against itself and its entry."""
        offset, word = entry
        frames = self.header.frames
        stored, kind, stated_size = FRAME.unpack_from(data, offset)
        computed = stored
        if verify:
            covered = data[offset + 4 : offset + frames.layout.size]
            computed = crc32(covered, frames.seed) ^ offset_mix(offset)
        extent = frames.extent(sizes)
        return (
            computed == stored
            and stored == word >> 32 ^ position_mix(i)
            and kind in (RECORD, PENDING)
            and stated_size == extent
            and word & LOW_32_BITS in (extent >> 3, LOW_32_BITS)
            and offset + extent <= len(data)
        )

    def _wrong_head(
        self,
        i: int,
        entry: tuple[int, int],
        data: memoryview,
        verify: bool | str,
    ) -> CorruptError:
        """The error of a head that is not right."""
        offset, word = entry
        frames = self.header.frames
        stored, kind, size = FRAME.unpack_from(data, offset)
        if verify and not frames.verifies(data[offset : offset + frames.layout.size], offset):
            text = "the frame's check is wrong: its head, or the index's entry, is damaged"
        elif stored != word >> 32 ^ position_mix(i):
            text = f"the index's entry is of another record; {_MADE_AGAIN}"
        elif kind in (RECORD, PENDING) and offset + size > len(data):
            text = "the frame reaches beyond the log"
        else:
            text = f"no record has a frame of kind {kind} and {size} bytes with such payloads"
        return self.damaged(text, i, offset)

    def verify_heads(
        self,
        positions: np.ndarray,
        entries: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The heads of many records, and which are right; see `kernels.verify_heads`."""
        frames = self.header.frames
        return kernels.verify_heads(
            self.mapped(),
            frames.layout,
            frames.seed,
            frames.tables,
            self.header.size,
            positions,
            entries,
            bool(self.verify),
        )

    def _verify_block(self, i: int) -> None:
        """Verify the heads around one record together, if most of them lie near each other.

        Then a head takes a thirtieth of the time that it takes alone. If they do not, to read them
        all would be to read much that nobody asked for. What is damaged is left to whoever asks for
        it.
        """
        block = block_around(i, len(self.entries))
        positions = np.arange(block.start, block.stop)
        rows = self.entries.rows(block.start, block.stop)
        entries = np.array(rows)  # a copy: others may edit them meanwhile
        offsets = entries[:, 0]
        spread = int(offsets.max()) - int(offsets.min())
        allowed = _SPREAD * self.header.schema.layout.size * len(entries)
        if spread > allowed:
            middle = int(np.median(offsets))
            lowest = max(middle - allowed // 2, 0)
            highest = middle + allowed // 2
            near = (offsets >= lowest) & (offsets <= highest)
            if near.mean() < _MOST:
                return
            positions = positions[near]  # the others were replaced
            entries = entries[near]
        if self.storage.needs_ensuring:
            starts = entries[:, 0]
            size = np.uint64(self.header.schema.layout.size)
            self.storage.ensure(starts, starts + size)
        _, right = self.verify_heads(positions, entries)
        if not right.all():
            positions = positions[right]
        self.verified.remember_many(positions, HEAD)

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

    def raise_if_damaged(
        self,
        error: Exception,
        i: int,
        item: Item,
        offset: int,
    ) -> None:
        """Raise an error that says where, if the file is to blame for what raised `error`.

        Args:
            error: what making a value has raised.
            i: the record's position.
            item: whose value it was.
            offset: where its number or payload is.
        """
        field = item.field
        is_payload = field.number_slot < 0
        if isinstance(error, CorruptError) or (isinstance(error, SchemaError) and is_payload):
            kind = type(error)
            raise kind(
                error.message,
                file=self.file,
                record=i,
                field=field.key,
                offset=offset,
            ) from None
        if not item.is_builtin or not is_payload:
            return
        if isinstance(error, field.type.unreadable):
            text = f"not {field.type.name}: {error}"
            raise self.damaged(text, i, offset, field) from error
