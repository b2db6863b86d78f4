"""The schema of a dataset: its fields, how a record stores them, and how a sample is encoded.

Knows types and the layout of a head, and nothing of files.
"""

from __future__ import annotations

import base64
import operator
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from dsrecords._format.layout import HeadLayout
from dsrecords._schema.compare import Types, difference
from dsrecords._schema.encoded import Encoded, Numbers, Payloads
from dsrecords._schema.samples import named_fields
from dsrecords._schema.stored import (
    MOST_FIELDS,
    read_stated_fields,
    read_stated_type,
    require_stated_layout,
)
from dsrecords._types.base import Type, cause_of, describe, writing_error
from dsrecords._types.category import Category
from dsrecords._types.compressed import Zstd
from dsrecords._types.scalars import Scalar
from dsrecords._types.unknown import CANNOT_BE_WRITTEN, Unknown, unknown_type
from dsrecords.errors import SchemaError, UnsupportedVersionError, annotate, in_words

Key = Any
"""The name of a field; its position where fields have no names."""

_NUMBERS = frozenset((int, float))
_MOST_SHOWN = 20  # names of fields in a message


class Field:
    """A field: its type, the function that writes its values, and where a record stores them.

    A scalar is stored as a number in the head of a record, any other value as a payload. The
    attributes that state where are set by `Schema`, and are -1 where they do not apply.

    Attributes:
        key: its name, or its position where fields have no names.
        type: the type of its values.
        dump: the function that converts a value (not None) to the number that is packed, or to the
            bytes of the payload. Raises SchemaError, or one of `type.unreadable`.
        present: of a field that may be None: classes whose values never mean None; else None.
            Nearly every value is of one, and a call would take longer than to encode it.
        number_offset: of a scalar: byte offset of its number in the head.
        presence_offset: of a scalar that may be None: byte offset of its presence byte in the head.
        number_slot: of a scalar: position of its number among the numbers that are packed.
        presence_slot: of a scalar that may be None: position of its presence byte among them.
        payload: of any other field: number of its payload.
    """

    def __init__(
        self,
        key: Key,
        type: Type,
        dump: Callable[[Any], Any] | None = None,
    ) -> None:
        self.key = key
        self.type = type
        if isinstance(type, Scalar):
            self.dump: Callable[[Any], Any] = type.to_number
        else:
            self.dump = dump or type.dump
        self.present: frozenset[Any] | None = None
        if type.nullable:
            self.present = type.present
        self.number_offset = -1
        self.presence_offset = -1
        self.number_slot = -1
        self.presence_slot = -1
        self.payload = -1

    def to_json(self, named: bool) -> dict[str, Any]:
        """Return what the JSON of a header states about this field."""
        stated = {}
        if named:
            stated["name"] = self.key
        stated["type"] = self.type.name
        if self.payload >= 0:
            stated["payload"] = self.payload
        if self.number_offset >= 0:
            stated["at"] = self.number_offset
        if self.presence_offset >= 0:
            stated["present"] = self.presence_offset
        if isinstance(self.type, Zstd):
            dictionary = self.type.dictionary
            if dictionary is not None:
                stated["dict"] = base64.b64encode(dictionary).decode()
        if isinstance(self.type, Unknown):
            stated.update(self.type.others)
        return stated


EncodedField = tuple[Field, Any]
"""A field, and a value as it is stored: a number or a payload, or None."""

_ScalarField = tuple[Field, Scalar]
"""A field that is a scalar, and its type."""


class Schema:
    """Fields in their order, and the layout of the head that follows from their types.

    Attributes:
        fields: all fields.
        named: whether fields have names, so that samples are dicts. If not, samples are tuples.
        keys: names of the fields, or their positions.
        by_key: the fields by name or position.
        payloads: the fields that are stored as payloads, P of them.
        layout: of the head of a record.

    Raises:
        SchemaError: there are too few or too many fields, or their names are not distinct,
            non-empty Unicode strings.
    """

    def __init__(self, fields: Sequence[Field], named: bool) -> None:
        self.fields = list(fields)
        self.named = named
        self.keys = tuple(field.key for field in fields)
        _require_valid_keys(self.keys, named)
        self.by_key: dict[Key, Field] = dict(zip(self.keys, fields))
        self.payloads: list[Field] = []
        scalars: list[_ScalarField] = []
        for field in fields:
            type = field.type
            if isinstance(type, Scalar):
                scalars.append((field, type))
            else:
                field.payload = len(self.payloads)
                self.payloads.append(field)
        self.layout = self._lay_out(scalars)
        self._count = len(fields)
        self._pick = self._make_pick(scalars)
        self._unknown = _first_unknown(fields)
        self._usual_class = dict if named else tuple

    def _lay_out(self, scalars: Sequence[_ScalarField]) -> HeadLayout:
        types = [type for _, type in scalars]
        dtypes = [type.dtype for type in types]
        layout = HeadLayout(len(self.payloads), types, dtypes)
        numbers = layout.numbers
        presence_offsets = iter(numbers.presence_offsets)
        for i, (field, type) in enumerate(scalars):
            field.number_offset = numbers.offsets[i]
            field.number_slot = numbers.slots[i]
            field.presence_slot = layout.presence_slots[i]
            if type.nullable:
                field.presence_offset = next(presence_offsets)
        return layout

    def _make_pick(self, scalars: Sequence[_ScalarField]) -> Callable[[Any], Any] | None:
        """Return the function with which `picked` takes the numbers out of a sample.

        Returns:
            None where a sample can need more than `struct` does.
        """
        if self.payloads:
            return None
        if len(scalars) == 1:  # with one key, itemgetter does not return a tuple
            return None
        for _, type in scalars:
            if not _is_packed_as_it_is(type):
                return None
        keys: list[Key] = [None] * len(scalars)
        for field, _ in scalars:
            keys[field.number_slot] = field.key
        return operator.itemgetter(*keys)

    # Lookup

    def field(self, key: Key) -> Field:
        """Return the field with this name or position; a negative position counts from the end.

        Raises:
            SchemaError: there is no such field.
        """
        can_be_position = not self.named and isinstance(key, (int, np.integer))
        if can_be_position and -self._count <= key < 0:
            key = key + self._count
        try:
            return self.by_key[key]
        except (KeyError, TypeError):
            message = f"no field {key!r}: a sample has {self._shown_keys()}"
            raise SchemaError(message) from None

    def payload_key(self, payload: int | None) -> Key:
        """Return the name (or position) of the field with this payload number; None for None."""
        if payload is None:
            return None
        return self.payloads[payload].key

    def types(self) -> Types:
        """Return the names of the types as a user writes them: a dict by name, or a list."""
        names = [field.type.name for field in self.fields]
        if self.named:
            return dict(zip(self.keys, names))
        return names

    def categories(self, key: Key) -> list[str]:
        """Return the names of a category field, in the order of their numbers.

        Raises:
            SchemaError: there is no such field, or it is not of type `category[…]`.
        """
        field = self.field(key)
        if not isinstance(field.type, Category):
            raise SchemaError(f"{field.type.name} has no categories", field=field.key)
        return list(field.type.names)

    def difference(
        self,
        other: Schema,
        mine: str,
        its: str,
    ) -> str | None:
        """Return, in words, how another schema differs from this one; None where they agree.

        Args:
            other: the other schema.
            mine: what this schema is called in the words.
            its: what the other one is called.
        """
        my_types = self.types()
        its_types = other.types()
        return difference(my_types, its_types, mine, its)

    # Dictionaries of zstd

    def trainable(self) -> list[tuple[Field, Zstd]]:
        """Return the fields that can have a dictionary, and their types."""
        found = []
        for field in self.payloads:
            type = field.type
            if isinstance(type, Zstd) and type.size > 0:
                found.append((field, type))
        return found

    def use_dictionaries(self, other: Schema) -> None:
        """Compress with the dictionaries of another schema of the same types."""
        my_fields = self.trainable()
        its_fields = other.trainable()
        for (_, my_type), (_, its_type) in zip(my_fields, its_fields):
            dictionary = its_type.dictionary
            my_type.use(dictionary)

    # The JSON of a header

    def to_json(self) -> dict[str, Any]:
        """Return what the JSON of a header states about the fields and the size of a head."""
        fields = [field.to_json(self.named) for field in self.fields]
        return {
            "fields": fields,
            "head": self.layout.size,
        }

    @classmethod
    def from_json(cls, header: Any) -> Schema:
        """Return the schema that the JSON of a header states.

        Raises:
            SchemaError: it is not a schema, or states offsets that do not follow from its types.
            UnsupportedVersionError: this version does not know the type of a scalar; names the
                field.
            ValueError: a dictionary is not base64.
        """
        stated_fields = read_stated_fields(header)
        named = any("name" in stated for stated in stated_fields)
        fields = []
        for position, stated in enumerate(stated_fields):
            key: Key = position
            if named:
                key = stated.get("name")
            fields.append(_stated_field(key, stated))
        schema = cls(fields, named)
        require_stated_layout(header, schema.to_json())
        return schema

    # Encoding samples

    def picked(self, sample: Any) -> tuple[Any, ...] | None:
        """Return the numbers of a sample as `HeadLayout.pack` takes them, for a fast `append`.

        Args:
            sample: what was given, whatever it is.

        Returns:
            None if the sample (or the schema) needs `encode`, which also finds what is wrong.
        """
        pick = self._pick
        if pick is None or type(sample) is not self._usual_class or len(sample) != self._count:
            return None
        try:
            numbers: tuple[Any, ...] = pick(sample)
            if not _NUMBERS.issuperset(map(type, numbers)):
                return None
        except KeyError:
            return None
        return numbers

    def encode(
        self,
        sample: Any,
        record: int | None,
    ) -> Encoded:
        """Encode a sample.

        Args:
            sample: what `values` takes.
            record: its position, for errors.

        Raises:
            SchemaError: the sample does not fit; names the record and the field.
            UnsupportedVersionError: as of `require_known_types`.
            OSError: a file that a value names cannot be read.
        """
        values = self.values(sample, record)
        return self.encode_values(values, record)

    def encode_values(
        self,
        values: Sequence[Any],
        record: int | None,
    ) -> Encoded:
        """Encode a sample, of which `values` has returned the values."""
        if self._unknown is not None:
            self.require_known_types()
        numbers: Numbers = self.layout.zeros.copy()
        payloads: Payloads = [None] * len(self.payloads)
        for field, value in zip(self.fields, values):
            present = field.present
            can_be_missing = present is not None and value.__class__ not in present
            if can_be_missing and field.type.is_missing(value):
                continue
            try:
                encoded = field.dump(value)
            except Exception as error:
                _raise_encoding_error(error, field, record)
                raise
            if field.number_slot < 0:
                payloads[field.payload] = encoded
                continue
            numbers[field.number_slot] = encoded
            if field.presence_slot >= 0:
                numbers[field.presence_slot] = 1
        return numbers, payloads

    def require_known_types(self) -> None:
        """Raise UnsupportedVersionError if there is a field of which no value can be written."""
        if self._unknown is not None:
            _require_known_type(self._unknown)

    def encode_some(self, part: Any, record: int) -> list[EncodedField]:
        """Encode some fields of a sample.

        Args:
            part: a dict of their values.
            record: its position, for errors.

        Raises:
            SchemaError, UnsupportedVersionError, OSError: as of `encode`.
        """
        if not isinstance(part, Mapping):
            given = describe(part)
            raise SchemaError(f"fields must be a dict of values, not {given}", record=record)
        encoded = []
        for key, value in part.items():
            try:
                field = self.field(key)
            except SchemaError as error:
                error.record = record
                raise
            _require_known_type(field)
            stored = None
            kind = field.type
            if not (kind.nullable and kind.is_missing(value)):
                try:
                    stored = field.dump(value)
                except Exception as error:
                    _raise_encoding_error(error, field, record)
                    raise
            encoded.append((field, stored))
        return encoded

    def values(
        self,
        sample: Any,
        record: int | None,
    ) -> Sequence[Any]:
        """Return the values of a sample's fields, in the order of the fields.

        Args:
            sample: with names: a dict, another mapping, a dataclass or a named tuple. Without: a
                tuple, a list or another sequence, or a row of an array.
            record: its position, for errors.

        Raises:
            SchemaError: the sample is not one, or has other fields.
        """
        if self.named:
            return self._values_by_name(sample, record)
        return self._values_by_position(sample, record)

    def _values_by_name(
        self,
        sample: Any,
        record: int | None,
    ) -> Sequence[Any]:
        fields = sample
        if not isinstance(sample, dict):
            fields = named_fields(sample)
        if fields is None:
            given = describe(sample)
            message = f"a sample must be a dict with {self._shown_keys()}, not {given}"
            raise SchemaError(message, record=record)
        if fields.keys() != self.by_key.keys():
            self._require_fitting_keys(fields, record)
            return [fields.get(key) for key in self.keys]
        return [fields[key] for key in self.keys]

    def _require_fitting_keys(
        self,
        keys: Collection[Key],
        record: int | None,
    ) -> None:
        """Raise SchemaError if a sample lacks a field that may not be None, or has an unknown one.

        A field that may be None is None where a sample lacks it.
        """
        required = [field.key for field in self.fields if not field.type.nullable]
        missing = _first_outside(required, keys)
        unknown = _first_outside(keys, self.by_key)
        key = missing
        problem = "missing"
        if unknown is not None:
            problem = f"missing, and {unknown!r} is unknown"
        if key is None:
            key = unknown
            problem = "unknown"
        if key is None:
            return
        message = f"{problem}: a sample must have {self._shown_keys()}"
        raise SchemaError(message, record=record, field=key)

    def _values_by_position(
        self,
        sample: Any,
        record: int | None,
    ) -> Sequence[Any]:
        # Tuples and lists first: what tells other sequences takes longer than to encode numbers.
        is_row = isinstance(sample, (tuple, list)) or _is_sequence(sample)
        if not is_row:
            given = describe(sample)
            message = f"a sample must be a tuple of {self._count}, not {given}"
            if isinstance(sample, Mapping):
                message += ": a schema that is a dict gives fields their names"
            elif self._count == 1:
                message += ": give (value,)"
            raise SchemaError(message, record=record)
        values: Sequence[Any] = sample
        if len(values) != self._count:
            message = f"a sample must have {self._count} fields, not {len(values)}"
            raise SchemaError(message, record=record)
        return values

    def columns(self, samples: Sequence[Any]) -> list[Sequence[Any]] | None:
        """Return the values of many samples, field by field: the fast path of `extend`.

        Returns:
            None if there are no samples, or `values` must look at each: not all are dicts (without
            names: tuples or lists), or some have other fields.
        """
        usual_classes = {tuple, list}
        if self.named:
            usual_classes = {dict}
        if not usual_classes.issuperset(map(type, samples)):
            return None
        lengths = set(map(len, samples))
        if lengths != {self._count}:
            return None
        if not self.named:
            return list(zip(*samples))
        try:
            return [list(map(operator.itemgetter(key), samples)) for key in self.keys]
        except KeyError:
            return None

    def _shown_keys(self) -> str:
        """Return the names (or positions) of the fields, as messages show them."""
        if self._count == 1:
            return f"the field {self.keys[0]!r}"
        if not self.named:
            return f"the fields 0 to {self._count - 1}"
        some = self.keys[:_MOST_SHOWN]
        names = ", ".join(map(repr, some))
        if len(some) < self._count:
            names += ", …"
        return f"the fields {names}"


def _stated_field(key: Key, stated: dict[str, Any]) -> Field:
    """Return the field of which this is stated. Raises what `read_stated_type` does."""
    try:
        type = read_stated_type(stated)
    except UnsupportedVersionError as error:
        error.field = key
        raise
    return Field(key, type)


def _require_known_type(field: Field) -> None:
    """Raise UnsupportedVersionError if this version does not know the type of a field."""
    if isinstance(field.type, Unknown):
        raise unknown_type(field.type.name, CANNOT_BE_WRITTEN, field.key)


def _first_unknown(fields: Iterable[Field]) -> Field | None:
    """Return the first field of a type that this version does not know; None if it knows all."""
    for field in fields:
        if isinstance(field.type, Unknown):
            return field
    return None


def _require_valid_keys(keys: Sequence[Key], named: bool) -> None:
    if named:
        for key in keys:
            _require_valid_name(key)
    count = len(keys)
    if not 0 < count <= MOST_FIELDS:
        raise SchemaError(f"a schema must have 1 to {MOST_FIELDS} fields, not {count}")
    known = set()
    for key in keys:
        if key in known:
            raise SchemaError("two fields have this name", field=key)
        known.add(key)


def _require_valid_name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise SchemaError(f"a field's name must be a non-empty string, not {name!r}")
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        raise SchemaError(f"a field's name must be valid Unicode, not {name!r}") from None


def _is_packed_as_it_is(type: Scalar) -> bool:
    """Return whether `struct` packs values of a type as they are, and refuses what the type does.

    Not of bool: `struct` would pack any object as one.
    """
    if type.nullable or type.direct == {bool}:
        return False
    return len(type.direct) > 0


def _raise_encoding_error(
    error: Exception,
    field: Field,
    record: int | None,
) -> None:
    """Raise SchemaError if a value does not fit; else `error` gets a note, and is the caller's."""
    found = writing_error(error, field.type)
    if found is None:
        annotate(error, in_words(record=record, field=field.key))
        return
    cause = cause_of(error, found)
    raise SchemaError(found.message, record=record, field=field.key) from cause


def _first_outside(keys: Iterable[Key], others: Container[Key]) -> Key:
    """Return the first of some keys that is not among others; None if all are."""
    for key in keys:
        if key not in others:
            return key
    return None


def _is_sequence(sample: Any) -> bool:
    """Return whether a sample, neither tuple nor list, has values in an order."""
    if isinstance(sample, (str, bytes, Mapping, Set)):
        return False
    if getattr(sample, "ndim", 1) == 0:  # an array of no dimensions has no length
        return False
    return hasattr(sample, "__len__")
