"""Reading one record: from its position to its values, each byte verified before it is believed.

A `Snapshot` is the list as it is at one moment. It holds no lock, starts no thread and keeps no file position: threads and forked
processes may share it. It knows nothing of how a dataset is opened; reading many records at once is in `_gather`.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.entries import ENTRY, Entries
from dsrecords._format.frame import FRAME, PENDING, RECORD
from dsrecords._format.layout import NONE, offset_mix, position_mix
from dsrecords._read.selection import position
from dsrecords._read.verification import FEW, HEAD_SEEN, NEVER_SEEN, looks_around, seen_bit
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field
from dsrecords._storage import files
from dsrecords._types.base import Load
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError, StaleViewError

_LOW = 2**32 - 1
WRONG_SUM = "the checksum is wrong"
# A field; what makes its value: of a payload, or of a number (None: the number is the value); and whether its type does.
Item = tuple[Field, Callable[..., Any] | None, bool]


class Plan:
    """What to read of each record and how: made once for a set of fields, used for every record.

    Args:
        header: of the `.rec`.
        items: the fields, and the function that loads each.
        copy: whether values are owned.
        shape: what a record gives: `dict`, `tuple`, or None for the value of a single field.

    Attributes:
        read: from a snapshot and an index, which may be negative, to what a record gives. Raises IndexError.
        give: what the values of the fields (a tuple or a list), or columns of them, are given as.
        need: the bits of `Entries.seen` that must be set first.
        wanted: the numbers of the fields' payloads.
        payloads: how many of the record's payloads, counted from the first, the fields lie in.
        steps: for each field, whether it is a number of the head, where among what the head unpacks to it (or its payload's size)
            and its presence are, the function that makes its value, the field, and whether the function is its type's.
        plain: of fields that are all numbers of the head, and themselves the values, where they are among those numbers.
    """

    def __init__(
        self, header: Header, items: Sequence[tuple[Field, Load]], copy: bool, shape: type | None
    ) -> None:
        self.header, self.copy, self.fields, self.shape = (
            header,
            copy,
            [field for field, _ in items],
            shape,
        )
        self.need = HEAD_SEEN
        self.items: list[Item] = []
        self.steps: list[tuple[bool, int, int, Callable[..., Any] | None, Field, bool]] = []
        count = len(header.schema.payloads)
        for field, load in items:
            self.need |= seen_bit(field)
            builtin = getattr(load, "__self__", None) is field.type
            # The struct that unpacks a head has unpacked its numbers: few types, and functions of the user's, have more to do.
            make = (
                _of_number(field.type, load, builtin, copy)
                if isinstance(field.type, Scalar)
                else load
            )
            self.items.append((field, make, builtin))
            number, presence = (
                field.slot >= 0,
                count + field.presence if field.presence >= 0 else -1,
            )
            place = count + field.slot if number else field.payload
            self.steps.append((number, place, presence, make, field, builtin))
        self.wanted = {field.payload for field in self.fields}
        self.payloads = max((field.payload for field in self.fields), default=-1) + 1
        self.give = _giver(shape, tuple(field.key for field in self.fields))
        plain = all(load is None and field.presence < 0 for field, load, _ in self.items)
        self.plain = [step[1] for step in self.steps] if items and plain else None
        self.read: Callable[[Snapshot, int], Any] = (
            _numbers_reader(self, header) if self.plain else self._read
        )

    def _read(self, snapshot: Snapshot, index: int) -> Any:
        if not 0 <= index < snapshot.entries.kept:
            index = position(index, len(snapshot.entries))
        return self.give(snapshot.values(index, self))


def _giver(shape: type | None, keys: tuple[Any, ...]) -> Callable[[Sequence[Any]], Any]:
    """`Plan.give`. To write a dict of a few keys down is three times faster than `dict(zip(keys, values))`."""
    if shape is None:
        return operator.itemgetter(0)
    if shape is tuple:
        return tuple
    if len(keys) == 1:
        (a,) = keys
        return lambda v: {a: v[0]}
    if len(keys) == 2:
        a, b = keys
        return lambda v: {a: v[0], b: v[1]}
    if len(keys) == 3:
        a, b, c = keys
        return lambda v: {a: v[0], b: v[1], c: v[2]}
    if len(keys) == 4:
        a, b, c, d = keys
        return lambda v: {a: v[0], b: v[1], c: v[2], d: v[3]}
    return lambda v: dict(zip(keys, v))


def _of_number(kind: Scalar, load: Load, builtin: bool, copy: bool) -> Callable[[Any], Any] | None:
    if builtin:
        return kind.give if load == kind.load else None
    return lambda number: load(memoryview(kind.pack(number)), copy)


def _numbers_reader(plan: Plan, header: Header) -> Callable[[Snapshot, int], Any]:
    """`Plan.read` where all fields are numbers of the head that cannot be None: with as few steps as can be."""
    schema, give, places = header.schema, plan.give, plan.plain or []
    unpack = schema.layout.unpack

    def numbers(snapshot: Snapshot, index: int) -> tuple[Any, ...]:
        entries = snapshot.entries
        if 0 <= index < entries.kept and entries.seen[index] & HEAD_SEEN:
            try:
                return unpack(snapshot.data, entries.base[index + index])
            except (
                struct.error
            ):  # another thread, which mapped less of the log, was the last to say so
                return unpack(snapshot.mapped(), entries.base[index + index])
        offset = snapshot.look(entries, position(index, len(entries)), plan)
        return unpack(snapshot.mapped(), offset)

    if places != list(range(len(schema.payloads) + len(schema.layout.zeros))):
        if plan.shape is None:
            give = operator.itemgetter(*places)
        else:
            pick = operator.itemgetter(
                *places, *places[-1:]
            )  # one more: of a single place it would give no tuple
            give = lambda all_numbers: plan.give(pick(all_numbers)[:-1])  # noqa: E731
    elif plan.shape is tuple:
        return numbers
    return lambda snapshot, index: give(numbers(snapshot, index))


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
        ends: `end`, one for all snapshots that may share entries: what an edit puts into those lies before it.
        data: the log, mapped as far as it was needed.
        shared: whether somebody else looks at these entries, so that edits must copy them first.
        mark: of which moment of the log the list is: its end, how many edits it had, the offset and the check of its last frame.
        alone: how many heads were verified one by one.
        columns: of records that are not in a log of version 1: what `_gather.columns` does for those that are.
    """

    def __init__(
        self,
        file: str,
        descriptor: files.Descriptor,
        header: Header,
        entries: Entries,
        end: int,
        verify: bool | str,
    ) -> None:
        self.file, self.descriptor, self.header, self.entries = file, descriptor, header, entries
        self.verify, self.shared = verify, False
        self.ends = [end]
        self.mark = (end, 0, 0, 0)
        self.alone = 0
        self.columns: Callable[[Any, Plan, Any], list[Any]] | None = None
        self.data = memoryview(b"")

    def with_entries(self, entries: Entries) -> Snapshot:
        twin = Snapshot(self.file, self.descriptor, self.header, entries, self.end, self.verify)
        twin.data, twin.mark, twin.ends = self.data, self.mark, self.ends
        return twin

    @property
    def end(self) -> int:
        """Up to where the log is known to be whole."""
        return self.ends[0]

    @end.setter
    def end(self, end: int) -> None:
        self.ends[0] = end

    def mapped(self) -> memoryview:
        """The log, mapped as far as it is now known: all that entries read before point to.

        A file that was cut short is an error, not a SIGBUS.
        """
        data, end = self.data, self.end
        if len(data) >= end:
            return data
        if (size := files.size(self.descriptor.number)) < end:
            raise CorruptError(
                f"the file was cut short: it had {end} bytes", file=self.file, offset=size
            )
        data = memoryview(files.map_read(self.descriptor.number, end))
        if len(data) > len(self.data):
            self.data = data
        return data

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        """The values of the fields of one record, in the plan's order. Raises CorruptError."""
        self.check_plan(plan)
        entries = self.entries
        offset = entries.base[i + i] if i < entries.kept else entries.tail[(i - entries.kept) * 2]
        if entries.seen[i] & plan.need != plan.need:
            offset = self.look(entries, i, plan)
        data, copy, values = self.data, plan.copy, []
        if len(data) < self.ends[0]:
            data = self.mapped()
        unpacked, start = (
            self.header.schema.layout.unpack(data, offset),
            offset + self.header.schema.layout.size,
        )
        starts = [start]
        for length in unpacked[: plan.payloads - 1] if plan.payloads > 1 else ():
            start += (length + 7) & -8 if length != NONE else 0
            starts.append(start)
        try:
            for number, place, presence, make, field, builtin in plan.steps:  # noqa: B007 - `builtin` is for the error
                value = unpacked[place]
                if number:
                    if presence >= 0 and not unpacked[presence]:
                        value = None
                    elif make is not None:
                        value = make(value)
                elif value != NONE:
                    start = starts[place]
                    value = make(data[start : start + value], copy)  # type: ignore[misc]
                else:
                    self.check_none(i, field, starts[place])
                    value = None
                values.append(value)
        except Exception as error:
            self.explain(error, i, field, builtin, offset + field.at if number else starts[place])
            raise
        return values

    def check_none(self, i: int, field: Field, start: int) -> None:
        """A payload that is None. Raises CorruptError if it may not be."""
        if not field.type.nullable:
            text = f"None, but the type is {field.type.name}"
            raise CorruptError(text, file=self.file, record=i, field=field.key, offset=start)

    def explain(self, error: Exception, i: int, field: Field, builtin: bool, start: int) -> None:
        """Raise what a function that makes a value has raised as an error that says where, if the file is to blame."""
        where = {"file": self.file, "record": i, "field": field.key, "offset": start}
        if isinstance(error, CorruptError) or (isinstance(error, SchemaError) and field.slot < 0):
            raise type(error)(error.message, **where) from None
        if builtin and field.slot < 0 and isinstance(error, field.type.unreadable):
            raise CorruptError(f"not {field.type.name}: {error}", **where) from error

    def load(
        self, data: memoryview, i: int, item: Item, start: int, length: int, copy: bool
    ) -> Any:
        """The value of one payload. Raises CorruptError, or what a function of the user's raises."""
        field, make, builtin = item
        if length == NONE:
            self.check_none(i, field, start)
            return None
        try:
            return make(data[start : start + length], copy)  # type: ignore[misc]
        except Exception as error:
            self.explain(error, i, field, builtin, start)
            raise

    def plain(self, i: int, field: Field, data: bytes) -> bytes:
        """The payload of a record without its compression. Raises CorruptError."""
        try:
            return bytes(field.type.plain(memoryview(data)))
        except CorruptError as error:
            raise CorruptError(error.message, file=self.file, record=i, field=field.key) from None

    def look(self, entries: Entries, i: int, plan: Plan, verify: bool | str = False) -> int:
        """Verify what a plan needs of one record, and remember it. Returns the offset of its frame.

        Args:
            entries: the list.
            i: the record's position.
            plan: what is to be read.
            verify: True where the checksums matter whatever the reader has asked for.

        Raises:
            CorruptError: it is not what was written.
            StaleViewError: another thread has opened files of another schema.
        """
        self.check_plan(plan)
        seen, verify = entries.seen[i], verify or self.verify
        if not seen & HEAD_SEEN:
            self.alone += 1
            if self.alone > len(entries) >> FEW and looks_around(self, entries, np.array([i])):
                seen = entries.seen[i]
        part, at = (entries.base, i) if i < entries.kept else (entries.tail, i - entries.kept)
        place: tuple[int, int] = ENTRY.unpack_from(part, 16 * at)
        offset, word = place
        if seen & plan.need == plan.need:
            return offset
        schema, data = self.header.schema, self.mapped()
        start = offset + schema.layout.size
        if offset & 7 or offset < self.header.size or start > len(data):
            text = "the index's entry points outside of the log; an index (no view) that is removed is made again"
            raise self.wrong(text, i, offset)
        sizes = schema.layout.unpack(data, offset)[: len(schema.payloads)]
        if not seen & HEAD_SEEN:
            stored, kind, stated = FRAME.unpack_from(data, offset)
            extent = self.header.frames.extent(sizes)
            computed = (
                crc32(data[offset + 4 : start], self.header.frames.seed) ^ offset_mix(offset)
                if verify
                else stored
            )
            if (
                computed != stored or stored != word >> 32 ^ position_mix(i) or kind not in (RECORD, PENDING)
                or stated != extent or word & _LOW not in (extent >> 3, _LOW) or offset + extent > len(data)
            ):  # fmt: skip
                if (
                    part[2 * at] != offset or part[2 * at + 1] != word
                ):  # another thread has just put another record here
                    return self.look(entries, i, plan, verify)
                raise self._wrong_head(
                    i,
                    offset,
                    computed == stored,
                    kind,
                    stated,
                    stored == word >> 32 ^ position_mix(i),
                )
        if verify and plan.payloads:
            checksums = schema.layout.unpack_checksums(data, offset)
            for number, length in enumerate(sizes[: plan.payloads]):
                if length == NONE:
                    continue
                unseen = number in plan.wanted and (number >= 62 or not seen & 2 << number)
                if unseen and crc32(data[start : start + length]) != checksums[number]:
                    raise self.wrong(WRONG_SUM, i, start, schema.payloads[number])
                start += (length + 7) & -8
        if self.verify != "always" and ENTRY.unpack_from(part, 16 * at) == place:
            entries.seen[i] |= plan.need & ~NEVER_SEEN
            if (
                ENTRY.unpack_from(part, 16 * at) != place
            ):  # another thread has put another record here just now
                entries.seen[i] = 0
        return offset

    def _wrong_head(
        self, i: int, offset: int, whole: bool, kind: int, stated: int, known: bool
    ) -> CorruptError:
        if not whole:
            return self.wrong(
                "the frame's check is wrong: its head, or the index's entry, is damaged", i, offset
            )
        if not known:
            return self.wrong(
                "the index's entry is of another record; an index (no view) that is removed is made again",
                i,
                offset,
            )
        if kind in (RECORD, PENDING) and offset + stated > len(self.data):
            return self.wrong("the frame reaches beyond the log", i, offset)
        return self.wrong(
            f"no record has a frame of kind {kind} and {stated} bytes with such payloads", i, offset
        )

    def check_plan(self, plan: Plan) -> None:
        """Raises StaleViewError where a plan is for files that another thread has just replaced by files of another schema."""
        if (
            plan.header is not self.header
            and plan.header.schema.to_json() != self.header.schema.to_json()
        ):
            raise StaleViewError(
                "its schema was changed while this was read: read again", file=self.file
            )

    def wrong(self, text: str, i: int, offset: int, field: Field | None = None) -> CorruptError:
        """The error of a record that is not what was written."""
        return CorruptError(
            text,
            file=self.file,
            record=i,
            field=None if field is None else field.key,
            offset=offset,
        )

    def encoded(self, i: int, plan: Plan) -> tuple[list[Any], list[bytes | None]]:
        """The numbers and payloads of a record as they are stored, verified whatever was verified before. `plan`: all fields."""
        self.entries.seen[i] = 0
        offset, schema = self.look(self.entries, i, plan, True), self.header.schema
        data, start, payloads = self.mapped(), offset + schema.layout.size, []
        unpacked = schema.layout.unpack(data, offset)
        for length in unpacked[: len(schema.payloads)]:
            payloads.append(None if length == NONE else bytes(data[start : start + length]))
            start += (length + 7) & -8 if length != NONE else 0
        return list(unpacked[len(schema.payloads) :]), payloads
