"""What to read of each record, and how its values are made: worked out once, used for every record.

Knows a record's layout. What it reads from is known here by its protocol alone.
"""

from __future__ import annotations

import copy
import functools
import operator
import struct
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.entries import Entries
from dsrecords._read.compiled import (
    compiled_loading,
    compiled_reader,
    number_columns,
    quick_columns_of,
)
from dsrecords._read.selection import position
from dsrecords._read.verification import HEAD, REVISED, Verified, payload_part, proven
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field, Schema
from dsrecords._types.base import Load
from dsrecords._types.budget import in_call
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

Make = Callable[..., Any]
Assemble = Callable[[Sequence[Any]], Any]


class Readable(Protocol):
    """What a plan reads from: the list of records at one moment, see `Snapshot`."""

    header: Header
    entries: Entries
    verified: Verified
    data: memoryview

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        """The values of the plan's fields of one record."""

    def verified_head(self, i: int, plan: Plan) -> bytes | memoryview:
        """The head of a record, of which all that the plan needs is verified."""


class Item(NamedTuple):
    """A field to read.

    Attributes:
        field: which one.
        make: what makes its value: of a payload and whether to copy it, or of a number. None where
            the number is the value.
        is_builtin: whether `make` is a function of the field's type, and not of the user's.
        compiled: how C makes many of its values, see `kernels.load_payloads`; None: it does not.
    """

    field: Field
    make: Make | None
    is_builtin: bool
    compiled: kernels.Loading | None


class Plan:
    """What to read of each record, and how.

    Args:
        header: of the `.rec`.
        items: the fields, each with the function that loads it.
        copy: whether values are owned, and not views of the file.
        shape: what a record is read as: `dict`, `tuple`, or None for the value of a single field.

    Attributes:
        read: takes a `Readable` and an index, which may be negative, and returns what a record is
            read as. Raises IndexError, CorruptError.
        samples: takes a `Readable` and positions (int64, (n,)), and returns an iterator of what the
            records are read as, up to the first that is left to `read`: its `done` says which. None
            where there is none.
        assemble: assembles what is returned from the values of the fields (a tuple or a list), or
            from columns of them.
        fields: to be read.
        items: the same, with what makes their values.
        steps: how to get the values of one record, in the order of the fields.
        numbers: where the numbers of the fields are, then their presence bytes; payloads have none.
        quick_numbers: the same, as `compiled.quick_columns` needs it.
        number_names: of the same, as `HeadLayout.dtype` has them.
        need: the parts of a record that must be verified first.
        proven: the parts that are known to be right once that is done.
        mask: what to look at of what is known of a record: it can be read where its row says if
            that is `need`.
        wanted: of each payload to be read: its number, and which part of the record it is.
        payloads: how many of a record's payloads, counted from the first, these lie in.
        plain: where all fields are numbers that cannot be None and are themselves the values, and
            records have nothing but numbers: where each is among what the struct of a head unpacks.
            Else None.
        are_all_stored: whether all fields are numbers that cannot be None and are themselves the
            values, each once, whatever else records have.
        amplifies: whether values may be much larger than their payloads: then a call has a budget.
        schema: of the header. Headers of several files may share it, and so one plan.
        equal_headers: other headers of the same schema, which it fits as well.
        translated: by other schemas, which differ in their dictionaries alone, the same plan.
        head_size, unpack, unpack_row, payload_offsets: of the layout of a record's head.
    """

    def __init__(
        self,
        header: Header,
        items: Sequence[tuple[Field, Load]],
        copy: bool,
        shape: type | None,
    ) -> None:
        self.header = header
        self.schema = header.schema
        layout = header.schema.layout
        self.head_size = layout.size
        self.unpack = layout.unpack
        self.unpack_row = layout.unpack_row
        self.payload_offsets = layout.payload_offsets
        self.copy = copy
        self.shape = shape
        self.equal_headers: set[Header] = set()
        self.translated: dict[Schema, Plan] = {}
        self._given = list(items)
        self.items = [_item(field, load, copy) for field, load in items]
        self.fields = [item.field for item in self.items]
        keys = [field.key for field in self.fields]
        self.assemble = _assembler(shape, keys)
        self._want_payloads()
        payload_count = len(header.schema.payloads)
        self.steps = [_step(item, payload_count) for item in self.items]
        self.numbers = number_columns(layout, self.fields)
        self.quick_numbers = quick_columns_of(self.numbers)
        self.number_names = [number.name for number in self.numbers]
        self.plain: list[int] | None = None
        self.read: Callable[[Any, int], Any] = self._read
        are_plain = bool(items) and all(_is_plain(item) for item in self.items)
        self.are_all_stored = are_plain and len(set(self.number_names)) == len(self.items)
        if are_plain and not payload_count:
            self.plain = [index for _, index, *_ in self.steps]
            self.read = _number_reader(self, self.plain)
        self.amplifies = any(field.type.amplifies for field in self.fields)
        if self.amplifies:
            self.read = self._read_in_budget
        self.samples: Callable[[Any, np.ndarray], Any] | None = None
        reader = compiled_reader(self)
        if reader is not None:
            self.read = reader.read
            self.samples = reader.samples

    def _want_payloads(self) -> None:
        numbers = {field.payload for field in self.fields}
        numbers.discard(-1)  # of fields that are no payloads
        self.wanted: list[tuple[int, int]] = []
        self.need = HEAD
        self.payloads = 0
        for number in sorted(numbers):
            part = payload_part(number)
            self.wanted.append((number, part))
            self.need |= part
            self.payloads = number + 1
        self.proven = proven(self.need, numbers, self.schema.layout.payload_count)
        self.mask = self.need
        if self.payloads:
            self.mask |= REVISED

    def for_schema(self, schema: Schema) -> Plan:
        """Return the same plan for files whose schema differs in its dictionaries alone."""
        items = []
        for field, load in self._given:
            twin = schema.field(field.key)
            if getattr(load, "__self__", None) is field.type:
                load = types.MethodType(load.__func__, twin.type)  # type: ignore[attr-defined]
            elif twin.type.name.startswith("zstd("):
                text = "each file has a dictionary of its own, which a deserializer does not get"
                raise SchemaError(text, field=field.key)
            items.append((twin, load))
        header = copy.copy(self.header)
        header.schema = schema
        return Plan(header, items, self.copy, self.shape)

    def _read(self, source: Readable, index: int) -> Any:
        if not 0 <= index < source.entries.direct:
            count = len(source.entries)
            index = position(index, count)
        values = source.values(index, self)
        return self.assemble(values)

    def _read_in_budget(self, source: Readable, index: int) -> Any:
        return in_call(self._read, source, index)


def _item(
    field: Field,
    load: Load,
    copy: bool,
) -> Item:
    owner = getattr(load, "__self__", None)
    is_builtin = owner is field.type
    make: Make | None = load
    if isinstance(field.type, Scalar):
        make = _maker_of_number(field.type, load, is_builtin, copy)
    compiled = None
    if is_builtin and load == field.type.load:
        compiled = compiled_loading(field.type, copy)
    return Item(field, make, is_builtin, compiled)


def _maker_of_number(
    kind: Scalar,
    load: Load,
    is_builtin: bool,
    copy: bool,
) -> Make | None:
    """What makes a value of a number that the struct of a head unpacked; None: it is the value."""
    if is_builtin:
        if load == kind.load:
            return kind.from_number
        return None

    def make(number: Any) -> Any:
        payload = kind.pack(number)
        return load(memoryview(payload), copy)

    return make


def _step(item: Item, payload_count: int) -> kernels.Step:
    """The struct of a head unpacks the sizes of all payloads, the numbers, the presence bytes."""
    field = item.field
    if field.number_slot < 0:
        refuse_none = None
        if not field.type.nullable:
            refuse_none = functools.partial(_refuse_none, field.type.name)
        return False, field.payload, -1, item.make, refuse_none
    index = payload_count + field.number_slot
    presence_index = -1
    if field.presence_slot >= 0:
        presence_index = payload_count + field.presence_slot
    return True, index, presence_index, item.make, None


def _refuse_none(type_name: str) -> None:
    raise CorruptError(f"None, but the type is {type_name}")


def _is_plain(item: Item) -> bool:
    field = item.field
    is_number = field.number_slot >= 0
    can_be_none = field.presence_slot >= 0
    return is_number and not can_be_none and item.make is None


def _assembler(shape: type | None, keys: list[Any]) -> Assemble:
    """`Plan.assemble`."""
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


def _number_reader(plan: Plan, indices: list[int]) -> Callable[[Readable, int], Any]:
    """`Plan.read` of a plan that is plain, with as few steps as there can be."""
    unpacked_count = len(plan.header.schema.layout.zeros)
    is_in_order = indices == list(range(unpacked_count))
    if plan.shape is tuple and is_in_order:
        return _tuple_reader(plan)
    if plan.shape is None:
        return _assembling_reader(plan, operator.itemgetter(indices[0]))
    if is_in_order:
        return _assembling_reader(plan, plan.assemble)
    return _assembling_reader(plan, _picking_assembler(plan.assemble, indices))


def _picking_assembler(assemble_all: Assemble, indices: list[int]) -> Assemble:
    """An assembler of the items at these indices."""
    pick = operator.itemgetter(*indices, indices[-1])  # twice the last: of one it gives no tuple

    def assemble(unpacked: Sequence[Any]) -> Any:
        picked = pick(unpacked)
        return assemble_all(picked[:-1])

    return assemble


def _tuple_reader(plan: Plan) -> Callable[[Readable, int], Any]:
    """`Plan.read` where what the struct of a head unpacks is what is to be returned."""
    header = plan.header
    unpack = header.schema.layout.unpack

    def read(source: Readable, index: int) -> tuple[Any, ...]:
        entries = source.entries
        if 0 <= index < entries.direct_offsets:
            offset = entries.mapped_words[index + index]
            if source.verified.bits[index] & HEAD and source.header is header:
                try:
                    return unpack(source.data, offset)
                except struct.error:  # another thread, which mapped less of the log, set `data`
                    return _unpack_slowly(source, index, plan)
        return _unpack_slowly(source, index, plan)

    return read


def _assembling_reader(plan: Plan, assemble: Assemble) -> Callable[[Readable, int], Any]:
    """`Plan.read` where what the struct of a head unpacks is to be assembled.

    The same once more, since to call the other would take a tenth of the time.
    """
    header = plan.header
    unpack = header.schema.layout.unpack

    def read(source: Readable, index: int) -> Any:
        entries = source.entries
        if 0 <= index < entries.direct_offsets:
            offset = entries.mapped_words[index + index]
            if source.verified.bits[index] & HEAD and source.header is header:
                try:
                    return assemble(unpack(source.data, offset))
                except struct.error:
                    return assemble(_unpack_slowly(source, index, plan))
        return assemble(_unpack_slowly(source, index, plan))

    return read


def _unpack_slowly(
    source: Readable,
    index: int,
    plan: Plan,
) -> tuple[Any, ...]:
    count = len(source.entries)
    i = position(index, count)
    head = source.verified_head(i, plan)
    unpacked: tuple[Any, ...] = plan.unpack(head)
    return unpacked
