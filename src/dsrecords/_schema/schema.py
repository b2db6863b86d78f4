"""The schema: which fields a sample has, where each lies in a frame, and how a sample becomes numbers and payloads.

Knows types, and nothing of files. Functions of `dsrecords.io` are known here only by what they say of themselves:
`dsrecords_type` of a serializer and `dsrecords_reads` of a deserializer.
"""

from __future__ import annotations

import base64
import functools
import json
import operator
import struct
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from dsrecords._format.layout import HeadLayout
from dsrecords._schema.annotations import annotated_schema, is_annotated
from dsrecords._schema.samples import named_fields as named
from dsrecords._types.base import Load, Type, describe
from dsrecords._types.binary import Bytes, Custom
from dsrecords._types.compressed import Zstd
from dsrecords._types.parse import parse, type_text
from dsrecords._types.scalars import Scalar
from dsrecords.errors import SchemaError

Key = Any  # a field's name; its position where fields have no names
_MOST_FIELDS = 4096
_MOST_DIFFERENCES = 8  # between two schemas, that are told
_NUMBERS = frozenset((int, float))  # Python's, which `struct` takes as the types of numbers do
_LONGEST_NAME = 200  # of a function, as a custom type


class Field:
    """One field: its type, its place in the frame, and the functions that write it."""

    at = -1  # of a scalar: the byte of the frame where its value lies
    present = (
        -1
    )  # of a scalar that may be None: the byte of the frame that says whether it is there
    payload = -1  # of any other: which payload it is
    slot = presence = -1  # positions among the numbers that the head is packed from

    def __init__(self, key: Key, type: Type, dump: Callable[[Any], Any] | None = None) -> None:
        self.key, self.type = key, type
        self.dump = type.check if isinstance(type, Scalar) else dump or type.dump

    def spec(self, named: bool) -> dict[str, Any]:
        """What the header's JSON says of it."""
        places = {"payload": self.payload, "at": self.at, "present": self.present}
        name = {"name": self.key} if named else {}
        dictionary = self.type.dictionary if isinstance(self.type, Zstd) else None
        kept = {} if dictionary is None else {"dict": base64.b64encode(dictionary).decode()}
        return {
            **name,
            "type": self.type.name,
            **{place: n for place, n in places.items() if n >= 0},
            **kept,
        }


class Schema:
    """Fields in their order, and the layout of the head that follows from their types.

    Attributes:
        named: whether samples are dicts (else tuples).
        keys: the fields' names, or their positions.
        payloads: the fields that are payloads; P of them.
        layout: of the head of a record.
    """

    def __init__(self, fields: Sequence[Field], named: bool) -> None:
        self.fields, self.named = list(fields), named
        self.keys = tuple(field.key for field in fields)
        for key in self.keys if named else ():
            if not isinstance(key, str) or not key:
                raise SchemaError(f"a field's name is a text that is not empty, not {key!r}")
            if any("\ud800" <= letter <= "\udfff" for letter in key):
                raise SchemaError(f"a field's name is Unicode, which {key!r} is not")
        self.by_key = {field.key: field for field in fields}
        if not 0 < len(fields) <= _MOST_FIELDS:
            raise SchemaError(f"a schema has 1 to {_MOST_FIELDS} fields, not {len(fields)}")
        if len(self.by_key) < len(fields):
            raise SchemaError(
                "two fields have this name",
                field=next(key for key in self.keys if self.keys.count(key) > 1),
            )
        self.payloads = [field for field in fields if not isinstance(field.type, Scalar)]
        for number, field in enumerate(self.payloads):
            field.payload = number
        self._lay_out()

    def _lay_out(self) -> None:
        scalars = [(field, field.type) for field in self.fields if isinstance(field.type, Scalar)]
        types = [scalar for _, scalar in scalars]
        self.layout = HeadLayout(len(self.payloads), types, [scalar.dtype for scalar in types])
        numbers = self.layout.numbers
        presence_offsets = iter(numbers.presence_offsets)
        for number, (field, scalar) in enumerate(scalars):
            field.at = numbers.offsets[number]
            field.slot = numbers.slots[number]
            field.presence = self.layout.presence_slots[number]
            if scalar.nullable:
                field.present = next(presence_offsets)
        plain = not self.payloads and not numbers.presence_offsets
        plain = plain and all(scalar.direct and scalar.direct != {bool} for scalar in types)
        order = [field.key for field, _ in sorted(scalars, key=lambda item: item[0].slot)]
        self._pick = operator.itemgetter(*order) if plain and len(order) > 1 else None
        self._holder: Any = dict if self.named else tuple

    def payload_key(self, payload: int | None) -> Key:
        """The name (or position) of the field that is payload number `payload`; None for None."""
        return None if payload is None else self.payloads[payload].key

    def types(self) -> dict[str, str] | list[str]:
        """As a user writes it: names to types, or a list of types."""
        if self.named:
            return {field.key: field.type.name for field in self.fields}
        return [field.type.name for field in self.fields]

    def packed(self, sample: Any, kind: int) -> bytes | None:
        """A head from byte 4 on, of the usual sample of numbers; None for whatever needs a closer look."""
        pick = self._pick
        if pick is None or type(sample) is not self._holder or len(sample) != len(self.keys):
            return None
        try:
            numbers = pick(sample)
            return (
                self.layout.pack(kind, self.layout.size, *numbers)
                if _NUMBERS.issuperset(map(type, numbers))
                else None
            )
        except (KeyError, struct.error, OverflowError):
            return None

    def columns(self, samples: Sequence[Any]) -> list[Sequence[Any]] | None:
        """The values of many samples, field by field, if all are dicts (or tuples) of as many fields; else None."""
        types = set(map(type, samples))
        if not types <= ({dict} if self.named else {tuple, list}) or set(map(len, samples)) != {
            len(self.keys)
        }:
            return None
        if not self.named:
            return list(zip(*samples))
        try:
            return [list(map(operator.itemgetter(key), samples)) for key in self.keys]
        except KeyError:
            return None

    def encode(self, sample: Any, record: int | None) -> tuple[list[Any], list[bytes | None]]:
        """The numbers of the head and the payloads of a sample. Raises SchemaError that names record and field."""
        return self.encode_values(self.values(sample, record), record)

    def encode_values(
        self, values: Sequence[Any], record: int | None
    ) -> tuple[list[Any], list[bytes | None]]:
        """The same, from the values of a sample's fields."""
        numbers: list[Any] = self.layout.zeros.copy()
        payloads: list[bytes | None] = [None] * len(self.payloads)
        for field, value in zip(self.fields, values):
            if value is None and field.type.nullable:
                continue
            try:
                if field.slot >= 0:
                    numbers[field.slot] = field.dump(value)
                    if field.presence >= 0:
                        numbers[field.presence] = 1
                else:
                    payloads[field.payload] = field.dump(value)
            except SchemaError as error:
                raise SchemaError(
                    error.message, record=record, field=field.key
                ) from error.__cause__
            except field.type.unreadable as error:
                if isinstance(error, OSError):  # a path that is not there is the caller's to see
                    raise
                raise SchemaError(
                    f"{field.type.name}: {error}", record=record, field=field.key
                ) from error
        return numbers, payloads

    def values(self, sample: Any, record: int | None) -> Sequence[Any]:
        """The values of a sample's fields, in their order. Raises SchemaError that names record and field."""
        if self.named:
            if not isinstance(sample, Mapping):
                sample = named(sample) or sample
            if not isinstance(sample, Mapping):
                raise SchemaError(
                    f"a sample is a dict with {self._names()}, not {describe(sample)}",
                    record=record,
                )
            if sample.keys() != self.by_key.keys():
                for key in self.keys:
                    if key not in sample:
                        raise SchemaError(
                            f"missing: a sample has {self._names()}", record=record, field=key
                        )
                key = next(key for key in sample if key not in self.by_key)
                raise SchemaError(
                    f"unknown: a sample has {self._names()}", record=record, field=key
                )
            return [sample[key] for key in self.keys]
        if (
            isinstance(sample, (str, bytes, Mapping, Set))
            or not hasattr(sample, "__len__")
            or getattr(sample, "ndim", 1) == 0
        ):
            raise SchemaError(
                f"a sample is a tuple of {len(self.keys)}, not {describe(sample)}", record=record
            )
        if len(sample) != len(self.keys):
            raise SchemaError(
                f"a sample has {len(self.keys)} fields, here are {len(sample)}", record=record
            )
        return sample  # type: ignore[no-any-return]

    def _names(self) -> str:
        if len(self.keys) == 1:
            return f"the field {self.keys[0]!r}"
        shown = ", ".join(map(repr, self.keys[:20])) + ", …" * (len(self.keys) > 20)
        return f"the fields {shown if self.named else f'0 to {len(self.keys) - 1}'}"

    def field(self, key: Key) -> Field:
        """The field with this name (or position). Raises SchemaError."""
        if not self.named and isinstance(key, (int, np.integer)) and -len(self.keys) <= key < 0:
            key = key + len(self.keys)
        try:
            return self.by_key[key]
        except (KeyError, TypeError):
            raise SchemaError(f"no field {key!r}: a sample has {self._names()}") from None

    def difference(self, other: Schema, mine: str, its: str) -> str | None:
        """In words, how this schema and another one differ; None where they agree. `mine`, `its`: what the two are called."""
        if self.named != other.named:
            kinds = [
                f"{who} has fields {'with' if one.named else 'without'} names"
                for who, one in ((its, other), (mine, self))
            ]
            return ", ".join(kinds)
        found = []
        for key in dict.fromkeys((*other.keys, *self.keys)):
            here, there = (schema.by_key.get(key) for schema in (self, other))
            label = key if self.named else f"field {key}"
            if here is None or there is None:
                having, lacking, field = (its, mine, there) if here is None else (mine, its, here)
                found.append(
                    f"{having} has {label}: {field.type.name if field else ''}, {lacking} does not"
                )
            elif here.type.name != there.type.name:
                found.append(
                    f"{its} has {label}: {there.type.name}, {mine} has {label}: {here.type.name}"
                )
        if not found and self.keys != other.keys:
            found = [
                f"{its} has its fields in the order {', '.join(other.keys)}, {mine} in the order {', '.join(self.keys)}"
            ]
        more = (
            f"; and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
        )
        return "; ".join(found[:_MOST_DIFFERENCES]) + more if found else None

    def trainable(self) -> list[tuple[Field, Zstd]]:
        """The fields that can have a dictionary."""
        return [
            (field, field.type)
            for field in self.payloads
            if isinstance(field.type, Zstd) and field.type.size
        ]

    def use_dictionaries(self, other: Schema) -> None:
        """Compress as another schema of the same types does."""
        for (_, mine), (_, its) in zip(self.trainable(), other.trainable()):
            mine.use(its.dictionary)

    def to_json(self) -> dict[str, Any]:
        return {
            "fields": [field.spec(self.named) for field in self.fields],
            "head": self.layout.size,
        }

    @classmethod
    def from_json(cls, data: Any) -> Schema:
        """The schema that a header states. Raises SchemaError where it states what does not follow from its types."""
        fields = data.get("fields") if isinstance(data, dict) else None
        if not isinstance(fields, list) or not all(isinstance(field, dict) for field in fields):
            raise SchemaError("the header's JSON has no list of fields")
        if len(fields) > _MOST_FIELDS:
            raise SchemaError(f"{len(fields)} fields, more than {_MOST_FIELDS}")
        named = any("name" in field for field in fields)
        schema = cls(
            [
                Field(f.get("name") if named else i, parse(f.get("type")))
                for i, f in enumerate(fields)
            ],
            named,
        )
        for field, given in zip(schema.fields, fields):
            if isinstance(field.type, Zstd) and field.type.size and "dict" in given:
                field.type.use(base64.b64decode(str(given["dict"]), validate=True))
        stated = {
            "fields": [{k: v for k, v in f.items() if k in _SPEC} for f in fields],
            "head": data.get("head"),
        }
        if json.dumps(stated, sort_keys=True) != json.dumps(
            schema.to_json(), sort_keys=True
        ):  # 16.0 is not 16 here
            raise SchemaError("the places that the header states do not follow from its types")
        return schema


_SPEC = ("name", "type", "payload", "at", "present", "dict")


def make_schema(schema: Any) -> Schema:
    """The schema that a user gives: names to types or serializers, a list of them, or a class with annotations."""
    if isinstance(schema, Schema):
        return schema
    if is_annotated(schema):
        schema = annotated_schema(schema)
    has_names = isinstance(schema, Mapping)
    if not has_names and (isinstance(schema, (str, bytes)) or not isinstance(schema, Sequence)):
        it = f"the class {schema.__name__}" if isinstance(schema, type) else describe(schema)
        text = "a schema is a dict or a list of types or serializers, or a dataclass, TypedDict or NamedTuple"
        raise SchemaError(f"{text}, not {it}")
    items = list(schema.items()) if isinstance(schema, Mapping) else list(enumerate(schema))
    fields = []
    for key, entry in items:
        try:
            fields.append(Field(key, *_resolve(entry)))
        except SchemaError as error:
            raise SchemaError(error.message, field=key) from None
    return Schema(fields, has_names)


def _inner(function: Any) -> Any:
    return function.func if isinstance(function, functools.partial) else function


def has(function: Any, attribute: str) -> bool:
    """Whether a function, perhaps with options bound by `functools.partial`, says this of itself."""
    return hasattr(_inner(function), attribute)


def says(function: Any, attribute: str, *args: Any) -> Any:
    """What a function says of itself, given its options: None if it says nothing."""
    answer = getattr(_inner(function), attribute, None)
    options = function.keywords if isinstance(function, functools.partial) else {}
    return answer(*args, **options) if callable(answer) else answer


def _resolve(entry: Any) -> tuple[Type, Callable[[Any], Any] | None]:
    """The type that an entry of a schema stands for, and the function that writes it, if it is not the type's own."""
    if isinstance(entry, (Mapping, list)):
        return parse(type_text(entry)), None
    if isinstance(entry, type) or not callable(entry):
        return parse(entry), None
    name = says(entry, "dsrecords_type")
    if name is None:
        if has(entry, "dsrecords_reads"):
            raise SchemaError(
                f"io.{_inner(entry).__name__} is a deserializer; writing takes a serializer, io.save_…"
            )
        name = str(getattr(_inner(entry), "__name__", type(entry).__name__))
        return Custom(name[:_LONGEST_NAME]), _checked(Bytes().dump, entry)
    kind = parse(name)
    return kind, _checked(kind.accept, entry) if says(entry, "dsrecords_payload") else None


def _checked(
    dump: Callable[[Any], bytes], function: Callable[[Any], Any]
) -> Callable[[Any], bytes]:
    return lambda value: dump(function(value))


def bind(field: Field, deserializer: Callable[..., Any] | None, decode: str | None) -> Load:
    """The function that reads a field: as its type does, as `decode` says, or by a deserializer."""
    if decode is not None:
        return field.type.decoder(decode, field.key)
    if deserializer is None:
        return field.type.load
    kind = field.type.inner if isinstance(field.type, Zstd) else field.type
    if has(deserializer, "dsrecords_reads"):
        how = says(deserializer, "dsrecords_reads", kind.name.rstrip("?"))
        if how is None and not isinstance(kind, Bytes):  # which may hold anything
            raise SchemaError(
                f"io.{_inner(deserializer).__name__} does not read {field.type.name}",
                field=field.key,
            )
        if how == "value":
            return field.type.load
    elif has(deserializer, "dsrecords_type"):
        raise SchemaError(
            f"io.{_inner(deserializer).__name__} is a serializer; reading takes a deserializer, io.load_…",
            field=field.key,
        )
    return lambda data, copy: deserializer(bytes(field.type.plain(data)))
