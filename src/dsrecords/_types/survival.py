"""Whether values of any kind come back from a serializer, and which one within them does not.

JSON and MessagePack write some values that they read as others, such as the key 1 as "1". Knows
nothing of types.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dsrecords._types.base import LIST_TYPES, describe
from dsrecords.errors import SchemaError

# What serializers raise for values that they do not hold.
FAILURES = (ValueError, TypeError, OverflowError, RecursionError, BufferError)

# What to give instead of values that neither holds.
_WAYS_OUT: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (np.ndarray, "give array.tolist(), or use a field of type array"),
    ((bytes, bytearray, memoryview), "msgpack does, or a field of type bytes"),
    ((datetime.date, np.datetime64), "give a string, or use a field of type datetime64[us]"),
    ((datetime.timedelta, np.timedelta64), "give a number, or use a field of type timedelta64[us]"),
    ((set, frozenset), "give a list"),
    (float, "msgpack does; for a value that is not there say None"),
)
_LONGEST_PATH = 20  # steps that lead to a value in a message; deeper ones are not looked for

_TIMES = (
    np.datetime64,
    np.timedelta64,
)
_PYTHONS = (
    bool,
    int,
    float,
    str,
)

RoundTrip = Callable[[Any], Any]  # writes a value and reads it again; raises `FAILURES`


def python_number(value: Any) -> Any:
    """A scalar of NumPy as Python's bool, integer, float or string: the `default` of serializers.

    Raises:
        TypeError: the value is none, or Python has no such number.
    """
    if isinstance(value, _TIMES):  # which Python has as an integer if their unit is short
        raise TypeError("it is no number, string, list or dict")
    if isinstance(value, np.generic):
        number = value.item()
        if isinstance(number, _PYTHONS):
            return number
    if isinstance(value, int):
        raise TypeError("it takes more than 64 bits")
    raise TypeError("it is no number, string, list or dict")


def is_same(given: Any, read: Any) -> bool:
    """Whether a value came back: lists for tuples, NaN for NaN, Python's numbers for NumPy's."""
    if isinstance(given, Mapping):
        return _is_same_dict(given, read)
    if isinstance(given, LIST_TYPES) and isinstance(read, list):
        if len(given) != len(read):
            return False
        found = map(is_same, given, read)
        return all(found)
    if isinstance(read, float) and math.isnan(read):
        return bool(given != given)
    return bool(given == read)


def _is_same_dict(given: Mapping[Any, Any], read: Any) -> bool:
    if not isinstance(read, dict) or len(given) != len(read):
        return False
    for key, value in given.items():
        if key not in read:
            return False
        found = read[key]
        if not is_same(value, found):
            return False
    return True


def refusal(name: str, value: Any, round_trip: RoundTrip, keys: str) -> SchemaError:
    """The error that a value does not come back, which names the part of it that is to blame.

    Args:
        name: of the serializer.
        value: what does not come back.
        round_trip: writes a value and reads it again.
        keys: in words, what the serializer takes as keys.
    """
    path = ""
    part = value
    for _ in range(_LONGEST_PATH):
        child = _first_lost(part, round_trip)
        if child is None:
            message = _reason(name, part, round_trip, keys)
            if path:
                message = f"{path}: {message}"
            return SchemaError(message)
        step, part = child
        path += step
    described = describe(value)
    failure = _failure(value, round_trip)
    return SchemaError(f"{name} does not hold {described}: {failure}")


def _first_lost(value: Any, round_trip: RoundTrip) -> tuple[str, Any] | None:
    """The first item of a list or a dict that does not come back: how it is reached, and itself."""
    for step, child in _children(value):
        if _failure(child, round_trip) is not None:
            return step, child
    return None


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield f"[{key!r}]", child
    if isinstance(value, LIST_TYPES):
        for position, child in enumerate(value):
            yield f"[{position}]", child


def _failure(value: Any, round_trip: RoundTrip) -> str | None:
    """Why a value does not come back; None if it does."""
    try:
        read = round_trip(value)
    except FAILURES as error:
        return str(error) or type(error).__name__
    if is_same(value, read):
        return None
    described = describe(read)
    return f"it would be read as {described}"


def _reason(name: str, value: Any, round_trip: RoundTrip, keys: str) -> str:
    described = describe(value)
    if isinstance(value, dict):
        for key in value:
            alone = {key: None}
            if _failure(alone, round_trip) is None:
                continue
            described = describe(key)
            return f"keys of {name} are {keys}, not {described}"
    failure = _failure(value, round_trip)
    message = f"{name} does not hold {described}: {failure}"
    for kind, advice in _WAYS_OUT:
        if isinstance(value, kind):
            return f"{message}; {advice}"
    return message
