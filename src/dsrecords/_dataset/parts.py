"""What the records of a changed schema are made of: fields that are copied or computed.

What is copied is verified but not decoded. Knows nothing of files and locks.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from dsrecords._dataset.fields import Fields
from dsrecords._dataset.selected_fields import SelectedFields
from dsrecords._format.signatures import image_format
from dsrecords._read.extents import check_extents
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.resolve import Serializer
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords._types.base import Load, Type, describe
from dsrecords._types.binary import Bytes, Custom
from dsrecords._types.images import Image
from dsrecords.errors import SchemaError

_STORED_UNCHANGED = (Bytes, Custom, Image)  # types that store the bytes they are given


@dataclasses.dataclass(slots=True)
class Old:
    """A record of the old schema.

    Attributes:
        snapshot: the list.
        i: its position in the list.
        encoded: the record as it is stored.
    """

    snapshot: Snapshot
    i: int
    encoded: Encoded


Value = Callable[[Old], Any]  # from a record of the old schema to the value of a new field


@dataclasses.dataclass
class Copied:
    """A field of the new schema that is copied as it is stored.

    Attributes:
        field: the field.
        source: that of the old schema.
        serializer: the function of the user's that writes it; None if its type does.
    """

    field: Field
    source: Field
    serializer: Serializer | None

    def fill(self, new: Encoded, old: Old) -> None:
        """Put the field into a new record."""
        _copy(self.source, old.encoded, self.field, new)


@dataclasses.dataclass
class Computed:
    """A field of the new schema whose values are made by a function.

    Attributes:
        field: the field.
        value: the function.
        serializer: as of `Copied`.
    """

    field: Field
    value: Value
    serializer: Serializer | None

    @functools.cached_property
    def alone(self) -> Schema:
        """A schema of this field, which encodes its values. Made once the field has its key."""
        key = self.field.key
        twin = Field(key, self.field.type, self.field.dump)
        named = isinstance(key, str)
        return Schema([twin], named)

    def fill(self, new: Encoded, old: Old) -> None:
        """Put the field into a new record. Raises SchemaError if a value does not fit."""
        value = self.value(old)
        schema = self.alone
        encoded = schema.encode_values([value], old.i)
        (source,) = schema.fields
        _copy(source, encoded, self.field, new)


Part = Copied | Computed


def copied(fields: SelectedFields) -> list[Part]:
    """Return the fields that are selected, as parts of records that have these alone."""
    parts: list[Part] = []
    for field, source in zip(fields.schema.fields, fields.selected()):
        part = Copied(field, source, None)
        parts.append(part)
    return parts


def _copy(source: Field, old: Encoded, field: Field, new: Encoded) -> None:
    """Copy a field from one record to another, as it is stored."""
    old_numbers, old_payloads = old
    numbers, payloads = new
    if source.number_slot < 0:
        payloads[field.payload] = old_payloads[source.payload]
        return
    numbers[field.number_slot] = old_numbers[source.number_slot]
    if source.presence_slot >= 0:
        numbers[field.presence_slot] = old_numbers[source.presence_slot]


def records(
    snapshot: Snapshot,
    positions: Iterable[int],
    schema: Schema,
    parts: Sequence[Part],
) -> Iterator[Encoded]:
    """Yield the records of a list as a new schema has them.

    Raises:
        SchemaError: a value does not fit, or there are not as many values as records.
        CorruptError: a record is damaged.
    """
    check_extents(snapshot)
    yield from made_of(snapshot, positions, schema, parts)


def made_of(
    snapshot: Snapshot,
    positions: Iterable[int],
    schema: Schema,
    parts: Sequence[Part],
) -> Iterator[Encoded]:
    """Yield some records of a list, perhaps one again and again, as `records` does."""
    everything = _plan_of_everything(snapshot)
    count = len(snapshot.entries)
    given = _given_values(parts)
    for values in given:
        values.expect(count)
    for i in positions:
        encoded = snapshot.encoded(i, everything)
        old = Old(snapshot, i, encoded)
        new = _empty_record(schema)
        for part in parts:
            part.fill(new, old)
        yield new
    for values in given:
        values.expect_no_more()


def _plan_of_everything(snapshot: Snapshot) -> Plan:
    header = snapshot.header
    items = []
    for field in header.schema.fields:
        item = (field, field.type.load)
        items.append(item)
    return Plan(
        header,
        items,
        copy=True,
        shape=tuple,
    )


def _empty_record(schema: Schema) -> Encoded:
    numbers = schema.layout.zeros.copy()
    payloads: list[bytes | None] = [None] * len(schema.payloads)
    return numbers, payloads


# Values


def value_of(values: Any, everything: Plan, field: Field) -> Value:
    """Return the function that computes a new field, from what was given as its values.

    Args:
        values: a function of the whole sample; an iterable; or None, where the type allows it.
        everything: the plan that reads the whole sample.
        field: the new field.

    Raises:
        SchemaError: it is none of these.
    """
    if values is None:
        return _none_for(field)
    if callable(values):
        return _function_of_sample(values, everything)
    is_one_value = isinstance(values, (str, bytes, Mapping))
    if is_one_value or not isinstance(values, Iterable):
        given = describe(values)
        message = f"values must be a function, or one for each record, not {given}"
        raise SchemaError(message, field=field.key)
    if isinstance(values, np.ma.MaskedArray):
        values = values.tolist()
    return GivenValues(values, field.key)


def _function_of_sample(function: Callable[[Any], Any], everything: Plan) -> Value:
    def value(old: Old) -> Any:
        sample = everything.read(old.snapshot, old.i)
        return function(sample)

    return value


def _none_for(field: Field) -> Value:
    if not field.type.nullable:
        message = f"values are needed, or a type that may be None: '{field.type.name}?'"
        raise SchemaError(message, field=field.key)
    return lambda old: None


class GivenValues:
    """Values that were given one after another, one for each record."""

    def __init__(self, values: Iterable[Any], key: Key) -> None:
        self._iterator = iter(values)
        self._key = key
        self._count: int | None = None
        if isinstance(values, Sized):
            self._count = len(values)

    def expect(self, count: int) -> None:
        """Raise SchemaError if it is known already that there are not so many."""
        if self._count not in (None, count):
            message = f"{self._count} values for {count} records"
            raise SchemaError(message, field=self._key)

    def __call__(self, old: Old) -> Any:
        for value in self._iterator:
            return value
        count = len(old.snapshot.entries)
        message = f"{old.i} values for {count} records"
        raise SchemaError(message, field=self._key)

    def expect_no_more(self) -> None:
        """Raise SchemaError if there are more values than records."""
        for _ in self._iterator:
            raise SchemaError("there are more values than records", field=self._key)


def _given_values(parts: Sequence[Part]) -> list[GivenValues]:
    values = [part.value for part in parts if isinstance(part, Computed)]
    return [each for each in values if isinstance(each, GivenValues)]


def recast(source: Field, field: Field, fields: Fields) -> Value:
    """Return the function that computes the values of a field that gets another type.

    Args:
        source: the field as it is.
        field: as it is to be.
        fields: of the dataset as it is.
    """
    load: Load = source.type.load
    if isinstance(source.type, Custom):
        load = fields.loads[source.key]
    items = [(source, load)]
    plan = Plan(
        fields.header,
        items,
        copy=True,
        shape=None,
    )

    def decoded(old: Old) -> Any:
        return plan.read(old.snapshot, old.i)

    types = (source.type, field.type)
    if not all(isinstance(kind, _STORED_UNCHANGED) for kind in types):
        return decoded
    required = _required_format(*types)

    def stored(old: Old) -> Any:
        _, payloads = old.encoded
        data = payloads[source.payload]
        if data is None or required in (None, image_format(data)):
            return data
        return decoded(old)

    return stored


def _required_format(source: Type, kind: Type) -> str | None:
    """Return the format that an image must have for its bytes to be kept; None if any will do."""
    if isinstance(source, Image) and isinstance(kind, Image):
        return kind.format
    return None
