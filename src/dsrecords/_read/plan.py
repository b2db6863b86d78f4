"""What to read of each record, and how its values are made: worked out once, used for every record.

Knows a record's layout. What it reads from is known here by its protocol alone.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from dsrecords._format.entries import Entries
from dsrecords._read.selection import position
from dsrecords._read.verification import HEAD, Verified, payload_part
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field
from dsrecords._types.base import Load
from dsrecords._types.scalars import Scalar

Assemble = Callable[[Sequence[Any]], Any]


class Source(Protocol):
    """What a plan reads from: the list of records at one moment, see `Snapshot`."""

    header: Header
    entries: Entries
    verified: Verified
    data: memoryview

    def mapped(self) -> memoryview:
        """The log, mapped as far as it is known to be whole."""

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        """The values of the plan's fields of one record."""

    def verified_offset(self, i: int, plan: Plan) -> int:
        """The offset of a record, of which all that the plan needs is verified."""


class Item(NamedTuple):
    """A field to read.

    Attributes:
        field: which one.
        make: what makes its value: of a payload and whether to copy it, or of a number. None where the
            number is the value.
        is_builtin: whether `make` is a function of the field's type, and not of the user's.
    """

    field: Field
    make: Callable[..., Any] | None
    is_builtin: bool


class Step(NamedTuple):
    """How to get the value of a field from what the struct of a head unpacks.

    Attributes:
        is_number: whether the value is in the head; else it is a payload.
        value_index: where the number, or the payload's size, is among what was unpacked.
        presence_index: where the byte is that is 0 for None; -1 if there is none.
        make: as in `Item`.
    """

    is_number: bool
    value_index: int
    presence_index: int
    make: Callable[..., Any] | None


class Plan:
    """What to read of each record, and how.

    Args:
        header: of the `.rec`.
        items: the fields, each with the function that loads it.
        copy: whether values are owned, and not views of the file.
        shape: what a record is read as: `dict`, `tuple`, or None for the value of a single field.

    Attributes:
        read: takes a `Source` and an index, which may be negative, and returns what a record is read
            as. Raises IndexError, CorruptError.
        give: assembles what is returned from the values of the fields (a tuple or a list), or from
            columns of them.
        fields: to be read.
        items: the same, with what makes their values.
        steps: how to get the values of one record, in the order of the fields.
        need: the parts of a record that must be verified first.
        wanted: of each payload to be read: its number, and which part of the record it is.
        payloads: how many of a record's payloads, counted from the first, these lie in.
        plain: where all fields are numbers that cannot be None and are themselves the values: where
            each is among what the struct of a head unpacks. Else None.
        equal_headers: other headers of the same schema, which it fits as well.
    """

    def __init__(
        self,
        header: Header,
        items: Sequence[tuple[Field, Load]],
        copy: bool,
        shape: type | None,
    ) -> None:
        self.header = header
        self.copy = copy
        self.shape = shape
        self.equal_headers: set[Header] = set()
        self.items = [_item(field, load, copy) for field, load in items]
        self.fields = [item.field for item in self.items]
        numbers = sorted({field.payload for field in self.fields if field.payload >= 0})
        self.wanted = [(number, payload_part(number)) for number in numbers]
        self.payloads = 0
        self.need = HEAD
        for number, part in self.wanted:
            self.payloads = number + 1
            self.need |= part
        count = len(header.schema.payloads)
        self.steps = [_step(item, count) for item in self.items]
        self.give: Assemble = _assembler(shape, tuple(field.key for field in self.fields))
        self.plain: list[int] | None = None
        self.read: Callable[[Any, int], Any] = self._read
        if items and all(_is_plain(item) for item in self.items):
            self.plain = [step.value_index for step in self.steps]
            self.read = _number_reader(self, self.plain)

    def _read(self, source: Source, index: int) -> Any:
        if not 0 <= index < source.entries.kept:
            index = position(index, len(source.entries))
        return self.give(source.values(index, self))


def _item(field: Field, load: Load, copy: bool) -> Item:
    is_builtin = getattr(load, "__self__", None) is field.type
    if isinstance(field.type, Scalar):
        return Item(field, _maker_of_number(field.type, load, is_builtin, copy), is_builtin)
    return Item(field, load, is_builtin)


def _maker_of_number(
    kind: Scalar,
    load: Load,
    is_builtin: bool,
    copy: bool,
) -> Callable[[Any], Any] | None:
    """What makes a value of a number that the struct of a head has unpacked; None: it is the value."""
    if not is_builtin:
        return lambda number: load(memoryview(kind.pack(number)), copy)
    if load == kind.load:
        return kind.give
    return None


def _step(item: Item, payload_count: int) -> Step:
    """The struct of a head unpacks the sizes of all payloads, the numbers, the presence bytes."""
    field = item.field
    if field.slot < 0:
        return Step(False, field.payload, -1, item.make)
    presence_index = -1
    if field.presence >= 0:
        presence_index = payload_count + field.presence
    return Step(True, payload_count + field.slot, presence_index, item.make)


def _is_plain(item: Item) -> bool:
    return item.field.slot >= 0 and item.make is None and item.field.presence < 0


def _assembler(shape: type | None, keys: tuple[Any, ...]) -> Assemble:
    """`Plan.give`."""
    if shape is None:
        return operator.itemgetter(0)
    if shape is tuple:
        return tuple
    # To write a dict of a few keys down is three times faster than `dict(zip(keys, values))`.
    if len(keys) == 1:
        (a,) = keys
        return lambda values: {a: values[0]}
    if len(keys) == 2:
        a, b = keys
        return lambda values: {a: values[0], b: values[1]}
    if len(keys) == 3:
        a, b, c = keys
        return lambda values: {a: values[0], b: values[1], c: values[2]}
    if len(keys) == 4:
        a, b, c, d = keys
        return lambda values: {a: values[0], b: values[1], c: values[2], d: values[3]}
    return lambda values: dict(zip(keys, values))


def _number_reader(plan: Plan, indices: list[int]) -> Callable[[Source, int], Any]:
    """`Plan.read` of a plan that is plain, with as few steps as there can be."""
    header = plan.header
    layout = header.schema.layout
    unpack = layout.unpack

    def read_all(source: Source, index: int) -> tuple[Any, ...]:
        entries = source.entries
        if 0 <= index < entries.kept:
            offset = entries.base[index + index]
            if source.verified.bits[index] & HEAD and source.header is header:
                try:
                    return unpack(source.data, offset)
                except struct.error:
                    # Another thread, which had mapped less of the log, was the last to set `data`.
                    return unpack(source.mapped(), offset)
        offset = source.verified_offset(position(index, len(entries)), plan)
        return unpack(source.mapped(), offset)

    assemble = _assembler_of_all(plan, indices, len(header.schema.payloads) + len(layout.zeros))
    if assemble is None:
        return read_all
    return lambda source, index: assemble(read_all(source, index))


def _assembler_of_all(plan: Plan, indices: list[int], count: int) -> Assemble | None:
    """Assemble the result from all `count` items that a head unpacks to; None: they are the result."""
    if plan.shape is None:
        return operator.itemgetter(indices[0])
    if indices == list(range(count)):
        if plan.shape is tuple:
            return None
        return plan.give
    give = plan.give
    pick = operator.itemgetter(
        *indices, indices[-1]
    )  # one more: of a single index it gives no tuple
    return lambda unpacked: give(pick(unpacked)[:-1])
