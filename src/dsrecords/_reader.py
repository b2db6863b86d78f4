"""Reading one record: from its position to its values, each byte verified before it is believed.

A `Snapshot` is the list as it is at one moment. It holds no lock, starts no thread and keeps no file position: threads and forked
processes may share it. It knows nothing of how a dataset is opened; reading many records at once is in `_gather`.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any

from . import _files
from ._frame import FRAME, PENDING, RECORD, crc32
from ._index import MIX, Entries
from ._log import Header
from ._scalars import Scalar
from ._schema import Field
from ._values import NONE, Load
from .errors import CorruptError, SchemaError

HEAD_SEEN = 1
NEVER_SEEN = 1 << 63  # beyond 62 payloads there is no bit left: those are verified at each reading
_LOW = 2**32 - 1
# A field; what makes its value: of a payload, or of a number (None: the number is the value); and whether its type does.
Item = tuple[Field, Callable[..., Any] | None, bool]


def _seen_bit(field: Field) -> int:
    """Which bit of `Entries.seen` says that this field has been verified."""
    return HEAD_SEEN if field.payload < 0 else min(2 << field.payload, NEVER_SEEN)


class Plan:
    """What to read of each record and how: made once for a set of fields, used for every record.

    Args:
        header: of the `.rec`.
        items: the fields, and the function that loads each.
        copy: whether values are owned.
        shape: what a record gives: `dict`, `tuple`, or None for the value of a single field.

    Attributes:
        read: from a snapshot and a position to what a record gives.
        need: the bits of `Entries.seen` that must be set first.
        wanted: the numbers of the fields' payloads.
        payloads: how many of the record's payloads, counted from the first, the fields lie in.
    """

    def __init__(self, header: Header, items: Sequence[tuple[Field, Load]], copy: bool, shape: type | None) -> None:
        self.copy, self.fields, self.shape = copy, [field for field, _ in items], shape
        self.need = HEAD_SEEN
        self.items: list[Item] = []
        for field, load in items:
            self.need |= _seen_bit(field)
            builtin = getattr(load, "__self__", None) is field.type
            # The struct that unpacks a head has unpacked its numbers: few types, and functions of the user's, have more to do.
            make = _of_number(field.type, load, builtin, copy) if isinstance(field.type, Scalar) else load
            self.items.append((field, make, builtin))
        self.wanted = {field.payload for field in self.fields}
        self.payloads = max((field.payload for field in self.fields), default=-1) + 1
        plain = all(load is None and field.presence < 0 for field, load, _ in self.items)
        self.read: Callable[[Snapshot, int], Any] = _numbers_reader(self, header) if items and plain else self._read

    def _read(self, snapshot: Snapshot, i: int) -> Any:
        return self.give(snapshot.values(i, self))

    def give(self, values: Sequence[Any]) -> Any:
        """What the values of the fields, or columns of them, are given as."""
        if self.shape is dict:
            return dict(zip((field.key for field in self.fields), values))
        return values[0] if self.shape is None else tuple(values)


def _of_number(kind: Scalar, load: Load, builtin: bool, copy: bool) -> Callable[[Any], Any] | None:
    if builtin:
        return kind.give if load == kind.load else None
    return lambda number: load(memoryview(kind.pack(number)), copy)


def _numbers_reader(plan: Plan, header: Header) -> Callable[[Snapshot, int], Any]:
    """`Plan.read` where all fields are numbers of the head that cannot be None.

    Half of the time goes into verifying what has not been seen, and most into calls: so this does in one function what
    `Snapshot.look` does in several. Whatever is not as expected is left to that one, which says what it is.
    """
    schema, seed = header.schema, header.frames.seed
    unpack, head, need, shape = schema.unpack, schema.head, plan.need, plan.shape
    keys, slots = tuple(field.key for field in plan.fields), [len(schema.payloads) + field.slot for field in plan.fields]
    pick = None if slots == list(range(len(schema.zeros))) else operator.itemgetter(*slots)
    wraps, alone = shape is tuple and len(slots) == 1 and pick is not None, shape is None and pick is None
    frames_are_heads, words = not schema.payloads, head >> 3

    def read(snapshot: Snapshot, i: int) -> Any:
        entries = snapshot.entries
        part, at = (entries.base, i + i) if i < entries.kept else (entries.tail, (i - entries.kept) * 2)
        offset = part[at]
        if not entries.seen[i] & need:
            word, data = part[at + 1], snapshot.data
            if (
                frames_are_heads
                and snapshot.verify is True
                and crc32(data[offset + 4 : offset + head], seed) ^ (offset >> 3 & _LOW) == word >> 32 ^ (i * MIX & _LOW)
                and word & _LOW == words
                and data[offset + 4] < 3  # the kind: nobody but a writer of records could have made this check
            ):
                entries.seen[i] = need
            else:
                offset = snapshot.look(entries, i, plan)
        try:
            numbers = unpack(snapshot.data, offset)
        except struct.error:  # another thread, which mapped less of the log, was the last to say so
            numbers = unpack(snapshot.mapped(), offset)
        if pick is not None:
            numbers = pick(numbers)
        if shape is dict:
            return dict(zip(keys, (numbers,) if pick is not None and len(keys) == 1 else numbers))
        if wraps:
            return (numbers,)
        return numbers[0] if alone else numbers

    return read


class Snapshot:
    """The list of records, as it is at one moment.

    Args:
        file: path of the `.rec`, for messages.
        descriptor: of the `.rec`.
        header: its header.
        entries: where each record is.
        end: up to where the log is known to be whole.
        verify: True: each byte the first time; "always"; False: sizes and places, but no checksums.

    Attributes:
        data: the log, mapped as far as it was needed.
        shared: whether somebody else looks at these entries, so that edits must copy them first.
        mark: of which moment of the log the list is: its end, how many edits it had, the offset and the check of its last frame.
        columns: of records that are not in a log of version 1: what `_gather.columns` does for those that are.
    """

    def __init__(
        self, file: str, descriptor: _files.Descriptor, header: Header, entries: Entries, end: int, verify: bool | str
    ) -> None:
        self.file, self.descriptor, self.header, self.entries = file, descriptor, header, entries
        self.end, self.verify, self.shared = end, verify, False
        self.mark = (end, 0, 0, 0)
        self.columns: Callable[[Any, Plan, Any], list[Any]] | None = None
        self.data = memoryview(b"")

    def with_entries(self, entries: Entries) -> Snapshot:
        twin = Snapshot(self.file, self.descriptor, self.header, entries, self.end, self.verify)
        twin.data, twin.mark = self.data, self.mark
        return twin

    def mapped(self) -> memoryview:
        """The log, mapped as far as it is now known: all that entries read before point to.

        A file that was cut short is an error, not a SIGBUS.
        """
        data, end = self.data, self.end
        if len(data) >= end:
            return data
        if (size := _files.size(self.descriptor.number)) < end:
            raise CorruptError(f"the file was cut short: it had {end} bytes", file=self.file, offset=size)
        data = memoryview(_files.map_read(self.descriptor.number, end))
        if len(data) > len(self.data):
            self.data = data
        return data

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        """The values of the fields of one record, in the plan's order. Raises CorruptError."""
        entries = self.entries
        offset = entries.base[2 * i] if i < entries.kept else entries.tail[2 * (i - entries.kept)]
        if entries.seen[i] & plan.need != plan.need:
            offset = self.look(entries, i, plan)
        data, copy = self.mapped(), plan.copy
        unpacked = self.header.schema.unpack(data, offset)
        count, starts, start = len(self.header.schema.payloads), [], offset + self.header.schema.head
        for length in unpacked[: plan.payloads]:
            starts.append(start)
            start += (length + 7) & -8 if length != NONE else 0
        values = []
        for field, load, builtin in plan.items:
            if field.slot >= 0:
                value = unpacked[count + field.slot]
                if field.presence >= 0 and not unpacked[count + field.presence]:
                    value = None
                elif load is not None:
                    value = self.of_number(load, value, i, field, offset + field.at)
            else:
                start, length = starts[field.payload], unpacked[field.payload]
                value = self.load(data, i, (field, load, builtin), start, length, copy)
            values.append(value)
        return values

    def of_number(self, make: Callable[[Any], Any], number: Any, i: int, field: Field, offset: int) -> Any:
        """The value that a number stands for. Raises CorruptError, or what a function of the user's raises."""
        try:
            return make(number)
        except CorruptError as error:
            raise CorruptError(error.message, file=self.file, record=i, field=field.key, offset=offset) from None

    def load(self, data: memoryview, i: int, item: Item, start: int, length: int, copy: bool) -> Any:
        """The value of one payload. Raises CorruptError, or what a function of the user's raises."""
        field, load, builtin = item
        assert load is not None
        where = {"file": self.file, "record": i, "field": field.key, "offset": start}
        if length == NONE:
            if not field.type.nullable:
                raise CorruptError(f"None, but the type is {field.type.name}", **where)
            return None
        try:
            return load(data[start : start + length], copy)
        except (CorruptError, SchemaError) as error:
            raise type(error)(error.message, **where) from None
        except field.type.unreadable as error:
            if not builtin:
                raise
            raise CorruptError(f"not {field.type.name}: {error}", **where) from error

    def plain(self, i: int, field: Field, data: bytes) -> bytes:
        """The payload of a record without its compression. Raises CorruptError."""
        try:
            return bytes(field.type.plain(memoryview(data)))
        except CorruptError as error:
            raise CorruptError(error.message, file=self.file, record=i, field=field.key) from None

    def look(self, entries: Entries, i: int, plan: Plan) -> int:
        """Verify what a plan needs of one record, and remember it. Returns the offset of its frame."""
        frames, schema, seen = self.header.frames, self.header.schema, entries.seen[i]
        place = offset, size, check = entries.get(i)
        data = self.mapped()
        if offset & 7 or offset < self.header.size or offset + schema.head > len(data):
            text = "the index's entry points outside of the log; an index (no view) that is removed is made again"
            raise self._wrong(text, i, offset)
        head = data[offset : offset + schema.head]
        stored, kind, stated = FRAME.unpack(head[: FRAME.size])
        if not seen & HEAD_SEEN:
            if self.verify and not frames.verifies(head, offset):
                raise self._wrong("the frame's check is wrong: its head, or the index's entry, is damaged", i, offset)
            if stored != check:
                if entries.get(i) != place:  # another thread has just put another record here
                    return self.look(entries, i, plan)
                raise self._wrong(
                    "the index's entry is of another record; an index (no view) that is removed is made again", i, offset
                )
            if kind not in (RECORD, PENDING) or (extent := frames.extent(head)) != stated or size not in (0, stated):
                raise self._wrong(f"no record has a frame of kind {kind} and {stated} bytes with such payloads", i, offset)
            if offset + extent > len(data):
                raise self._wrong("the frame reaches beyond the log", i, offset)
        if self.verify and plan.payloads:
            sizes, checksums, start = schema.unpack(head), schema.checksums(head), offset + schema.head
            for field in schema.payloads[: plan.payloads]:
                if (length := sizes[field.payload]) == NONE:
                    continue
                bit = _seen_bit(field)
                unseen = field.payload in plan.wanted and (bit == NEVER_SEEN or not seen & bit)
                if unseen and crc32(data[start : start + length]) != checksums[field.payload]:
                    raise self._wrong("the checksum is wrong", i, start, field)
                start += (length + 7) & -8
        if self.verify != "always" and entries.get(i) == place:
            entries.seen[i] |= plan.need & ~NEVER_SEEN
        return offset

    def _wrong(self, text: str, i: int, offset: int, field: Field | None = None) -> CorruptError:
        return CorruptError(text, file=self.file, record=i, field=None if field is None else field.key, offset=offset)

    def encoded(self, i: int, plan: Plan) -> tuple[list[Any], list[bytes | None]]:
        """The numbers and payloads of a record as they are stored, verified whatever was verified before. `plan`: all fields."""
        self.entries.seen[i] = 0
        offset, schema = self.look(self.entries, i, plan), self.header.schema
        data, start, payloads = self.mapped(), offset + schema.head, []
        unpacked = schema.unpack(data, offset)
        for length in unpacked[: len(schema.payloads)]:
            payloads.append(None if length == NONE else bytes(data[start : start + length]))
            start += (length + 7) & -8 if length != NONE else 0
        return list(unpacked[len(schema.payloads) :]), payloads
