"""What serializers and deserializers state about themselves. Knows neither types nor files.

A function of `dsrecords.io` has attributes, which are asked with its options:

- `dsrecords_type(**options)`, of a serializer: the name of the type that it writes.
- `dsrecords_payload`, of a serializer: whether its bytes are stored as the payload as they are.
  If not, the type itself encodes the value.
- `dsrecords_reads(type_name, **options)`, of a deserializer: how it reads a type.

Functions of users have none of these.
"""

from __future__ import annotations

import functools
from typing import Any


def without_options(function: Any) -> Any:
    """Return the function to which `functools.partial` bound options; any other as it is."""
    if isinstance(function, functools.partial):
        return function.func
    return function


def options_of(function: Any) -> dict[str, Any]:
    """Return the options that `functools.partial` bound to a function."""
    if isinstance(function, functools.partial):
        return function.keywords
    return {}


def is_serializer(function: Any) -> bool:
    """Return whether this is a serializer of `dsrecords.io`, with or without options."""
    inner = without_options(function)
    return hasattr(inner, "dsrecords_type")


def is_deserializer(function: Any) -> bool:
    """Return whether this is a deserializer of `dsrecords.io`, with or without options."""
    inner = without_options(function)
    return hasattr(inner, "dsrecords_reads")


def written_type(serializer: Any) -> str | None:
    """Return the name of the type that a serializer writes; None for a function of the user's.

    Raises:
        TypeError: an option is missing that the type depends on.
        ValueError: an option has a value that no type has.
    """
    name: str | None = _ask(serializer, "dsrecords_type")
    return name


def writes_payload(serializer: Any) -> bool:
    """Return whether the bytes of a serializer are stored as they are."""
    answer = _ask(serializer, "dsrecords_payload")
    return bool(answer)


def way_of_reading(deserializer: Any, type_name: str) -> str | None:
    """Return how a deserializer reads a type.

    Returns:
        "value" if it returns what the type itself decodes, "bytes" if it must be called with the
        stored bytes, None if it does not read this type (or is a function of the user's).

    Raises:
        TypeError: an option is missing that the answer depends on.
    """
    way: str | None = _ask(deserializer, "dsrecords_reads", type_name)
    return way


def _ask(function: Any, attribute: str, *arguments: Any) -> Any:
    inner = without_options(function)
    answer = getattr(inner, attribute, None)
    if not callable(answer):
        return answer
    options = options_of(function)
    return answer(*arguments, **options)
