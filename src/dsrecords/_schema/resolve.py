"""From what a user gives as a schema to a `Schema`: which type each entry stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsrecords._schema.annotations import annotated_schema, is_annotated
from dsrecords._schema.functions import (
    is_deserializer,
    without_options,
    writes_payload,
    written_type,
)
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords._types.base import describe
from dsrecords._types.binary import Bytes, Custom
from dsrecords._types.parse import parse, type_text
from dsrecords.errors import SchemaError

Serializer = Callable[[Any], Any]

_LONGEST_NAME = 200  # characters of a function's name, as a custom type has it


def make_schema(schema: Any) -> Schema:
    """Return the schema that a user gives.

    Args:
        schema: names of fields to types or serializers, a list of types or serializers, or a
            dataclass, TypedDict or NamedTuple. A `Schema` is returned as it is.

    Raises:
        SchemaError: it is none of these, or an entry does not stand for a type.
    """
    if isinstance(schema, Schema):
        return schema
    if is_annotated(schema):
        schema = annotated_schema(schema)
    if isinstance(schema, Mapping):
        fields = _fields(schema)
        return Schema(fields, named=True)
    is_string = isinstance(schema, (str, bytes))
    if isinstance(schema, Sequence) and not is_string:
        entries = dict(enumerate(schema))
        fields = _fields(entries)
        return Schema(fields, named=False)
    forms = "a dict or a list of types or serializers, or a dataclass, TypedDict or NamedTuple"
    raise SchemaError(f"a schema must be {forms}, not {_shown(schema)}")


def _shown(schema: Any) -> str:
    if isinstance(schema, type):
        return f"the class {schema.__name__}"
    return describe(schema)


def _fields(entries: Mapping[Key, Any]) -> list[Field]:
    fields = []
    for key, entry in entries.items():
        try:
            field = _field(key, entry)
        except SchemaError as error:
            raise SchemaError(error.message, field=key) from None
        fields.append(field)
    return fields


def _field(key: Key, entry: Any) -> Field:
    """Return the field for an entry: the name of a type, a struct, a list, or a serializer."""
    if isinstance(entry, (Mapping, list)):
        entry = type_text(entry)
    is_function = callable(entry) and not isinstance(entry, type)
    if is_function:
        return _field_of_serializer(key, entry)
    type_of_values = parse(entry)
    return Field(key, type_of_values)


def _field_of_serializer(key: Key, serializer: Serializer) -> Field:
    name = written_type(serializer)
    if name is None:
        return _field_of_user_function(key, serializer)
    type_of_values = parse(name)
    if not writes_payload(serializer):
        return Field(key, type_of_values)
    dump = _checked(serializer, type_of_values.accept)
    return Field(key, type_of_values, dump)


def _field_of_user_function(key: Key, function: Serializer) -> Field:
    inner = without_options(function)
    if is_deserializer(function):
        advice = "writing takes a serializer, io.save_…"
        raise SchemaError(f"io.{inner.__name__} is a deserializer; {advice}")
    class_name = type(function).__name__  # of an object with __call__, which has no name
    name = str(getattr(inner, "__name__", class_name))
    type_of_values = Custom(name[:_LONGEST_NAME])
    check_bytes = Bytes().dump
    dump = _checked(function, check_bytes)
    return Field(key, type_of_values, dump)


def _checked(serializer: Serializer, check: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Return a function that writes with a serializer and checks what that returns."""
    return lambda value: check(serializer(value))
