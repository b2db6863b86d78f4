"""`tf.train.Example`: its bytes into features and back, without TensorFlow or protobuf.

The messages are those of `tensorflow/core/example/feature.proto`: an Example has Features, a map of
names to Feature, which is a list of bytes, of floats (32 bits) or of integers (64 bits).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

BYTES = "bytes"
FLOATS = "float32"
INTEGERS = "int64"

_KINDS = {
    1: BYTES,
    2: FLOATS,
    3: INTEGERS,
}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_VARINT = 0  # wire types
_FIXED64 = 1
_LENGTH = 2
_FIXED32 = 5
_LONGEST_VARINT = 10  # bytes


class Feature(NamedTuple):
    """A feature: a list of bytes, or an array (n,) of float32 or int64.

    Attributes:
        kind: of its values; empty if there is none.
        values: all of them.
    """

    kind: str
    values: Any


def features_of(data: bytes) -> dict[str, Feature]:
    """Return the features of an Example. Raises ValueError if it is none."""
    view = memoryview(data)
    found = {}
    for number, features in _fields(view):
        if number != 1:
            continue
        for entry_number, entry in _fields(_message(features)):
            if entry_number == 1:
                name, feature = _entry(_message(entry))
                found[name] = feature
    return found


def _entry(data: memoryview) -> tuple[str, Feature]:
    name = ""
    feature = Feature(
        "",
        [],
    )
    for number, value in _fields(data):
        if number == 1:
            name = str(
                _message(value),
                "utf-8",
            )
        elif number == 2:
            feature = _feature(_message(value))
    return name, feature


def _feature(data: memoryview) -> Feature:
    feature = Feature(
        "",
        [],
    )
    for number, value in _fields(data):
        kind = _KINDS.get(number)
        if kind == BYTES:
            feature = Feature(
                kind,
                _bytes_list(_message(value)),
            )
        elif kind == FLOATS:
            feature = Feature(
                kind,
                _float_list(_message(value)),
            )
        elif kind == INTEGERS:
            feature = Feature(
                kind,
                _int_list(_message(value)),
            )
    return feature


def _bytes_list(data: memoryview) -> list[bytes]:
    return [bytes(_message(value)) for number, value in _fields(data) if number == 1]


def _float_list(data: memoryview) -> np.ndarray:
    parts = []
    for number, value in _fields(data):
        if number != 1:
            continue
        if isinstance(value, int):
            parts.append(value.to_bytes(4, "little"))
        else:
            parts.append(bytes(value))
    return np.frombuffer(
        b"".join(parts),
        "<f4",
    )


def _int_list(data: memoryview) -> np.ndarray:
    numbers: list[int] = []
    for number, value in _fields(data):
        if number != 1:
            continue
        if isinstance(value, int):
            numbers.append(value)
        else:
            at = 0
            while at < len(value):
                one, at = _varint(
                    value,
                    at,
                )
                numbers.append(one)
    return np.array(numbers, "<u8").view("<i8")


def _message(value: Any) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message belongs")
    found: memoryview = value
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Return the number and the value of each field: an integer, or the bytes of what has many."""
    at = 0
    end = len(data)
    while at < end:
        tag, at = _varint(
            data,
            at,
        )
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(
                data,
                at,
            )
            yield tag >> 3, value
            continue
        if wire == _LENGTH:
            size, at = _varint(
                data,
                at,
            )
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"there is no wire type {wire}")
        if size > end - at:
            raise ValueError("a message is cut short")
        piece = data[at : at + size]
        at += size
        if wire == _LENGTH:
            yield tag >> 3, piece
        else:
            yield (
                tag >> 3,
                int.from_bytes(
                    piece,
                    "little",
                ),
            )


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a number, and where it ends."""
    value = 0
    for shift in range(_LONGEST_VARINT):
        if at >= len(data):
            raise ValueError("a number is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number has more than 10 bytes")


# Writing


def example_of(features: Mapping[str, Feature]) -> bytes:
    """Return the bytes of an Example, with its features in the order of their names."""
    entries = []
    for name in sorted(features):
        feature = features[name]
        key = _delimited(
            1,
            name.encode(),
        )
        entry = key + _delimited(
            2,
            _packed(feature),
        )
        entries.append(_delimited(1, entry))
    return _delimited(
        1,
        b"".join(entries),
    )


def _packed(feature: Feature) -> bytes:
    if feature.kind == BYTES:
        values = b"".join(_delimited(1, value) for value in feature.values)
    elif feature.kind == FLOATS:
        values = _delimited(
            1,
            np.asarray(feature.values, "<f4").tobytes(),
        )
    else:
        numbers = np.asarray(feature.values, "<i8").view("<u8").tolist()
        values = _delimited(
            1,
            b"".join(map(_encoded, numbers)),
        )
    return _delimited(
        _NUMBERS[feature.kind],
        values,
    )


def _delimited(number: int, data: bytes) -> bytes:
    return _encoded(number << 3 | _LENGTH) + _encoded(len(data)) + data


def _encoded(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
