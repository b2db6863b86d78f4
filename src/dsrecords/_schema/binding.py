"""Which function reads a field: that of its type, one that `decode` names, or a deserializer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsrecords._schema.functions import (
    is_deserializer,
    is_serializer,
    way_of_reading,
    without_options,
)
from dsrecords._schema.schema import Field
from dsrecords._types.base import Load
from dsrecords._types.binary import Bytes
from dsrecords._types.compressed import Zstd
from dsrecords.errors import SchemaError

Deserializer = Callable[..., Any]


def bind(field: Field, deserializer: Deserializer | None, decode: Any) -> Load:
    """Return the function that reads the payload or number of a field.

    Args:
        field: the field.
        deserializer: what the user gave for it, if anything.
        decode: what `decode` says of it, if anything; then there is no deserializer.

    Raises:
        SchemaError: the type cannot be decoded in this way, or the deserializer does not read it.
    """
    if decode is not None:
        return field.type.decoder(decode, field.key)
    if deserializer is None:
        return field.type.load
    if is_deserializer(deserializer):
        if _returns_value(deserializer, field):
            return field.type.load
    elif is_serializer(deserializer):
        name = without_options(deserializer).__name__
        advice = "reading takes a deserializer, io.load_…"
        raise SchemaError(f"io.{name} is a serializer; {advice}", field=field.key)
    return lambda data, copy: deserializer(bytes(field.type.plain(data)))


def _returns_value(deserializer: Deserializer, field: Field) -> bool:
    """Return whether a deserializer of `dsrecords.io` returns what the type itself decodes.

    If not, it must be called with the stored bytes.
    """
    type = field.type
    if isinstance(type, Zstd):
        type = type.inner
    way = way_of_reading(deserializer, type.name.rstrip("?"))
    if way is None and not isinstance(type, Bytes):  # bytes may hold anything
        name = without_options(deserializer).__name__
        raise SchemaError(f"io.{name} does not read {field.type.name}", field=field.key)
    return way == "value"
