"""Writing by the compiled twin: how it is told what the fields of a sample are.

It encodes numbers, categories, strings, bytes and arrays of one shape by itself, and calls the
type's own method for other values and a few other types. If that raises, Python encodes the sample
anew, and says what is wrong. So functions of users stay with Python, as they must not be called
twice for one value.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from dsrecords._native import core
from dsrecords._schema.schema import Field, Schema
from dsrecords._storage import files
from dsrecords._types.arrays import AnyArray, ShapedArray
from dsrecords._types.binary import Bytes
from dsrecords._types.category import Category
from dsrecords._types.numbers import Bool, Float, Integer
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Json, Str

# How a value is encoded, as in `native/block.c`.
_NUMBER = 0
_BOOL = 1
_CATEGORY = 2
_OTHER_NUMBER = 3
_TEXT = 4
_BYTES = 5
_ARRAY = 6
_PAYLOAD = 7

_CALLED = (AnyArray, Json, ShapedArray)

# The functions that an append stands for: (the names of a module, one of them, what it meant).
# Where it means another one by now, as in tests of disks that fail, Python appends.
_STANDS_FOR = (
    (files, "pwrite"),
    (files, "holds"),
    (os, "pwrite"),
    (os, "pread"),
)
_FUNCTIONS: list[Any] = []
for _module, _name in _STANDS_FOR:
    _FUNCTIONS += [vars(_module), _name, vars(_module).get(_name)]

_Way = tuple[Any, int, int, int, int, int, Any, Any, Any, Any, Any]


def is_compiled() -> bool:
    """Whether the twin packs records here."""
    return core is not None


def compiled_encoder(schema: Schema) -> Any:
    """What packs the records of a schema; None where Python does.

    Its `append(writer, sample)` writes a sample, and its `block()` has the frames of many. Where it
    does not know the type of a field it encodes no sample, and a block takes what Python encodes.
    """
    if core is None:
        return None
    layout = schema.layout
    return core.Encoder(
        tuple(_ways(schema)),
        schema.named,
        layout.size,
        layout.payload_count,
        layout.pack_numbers,
        tuple(_FUNCTIONS),
        np.ndarray,
    )


def is_stored_as_given(kind: ShapedArray) -> bool:
    """Whether arrays of the type's own dtype and shape are stored as their bytes.

    Of bfloat16 they are not: an array of uint16 is one of numbers there.
    """
    return type(kind) is ShapedArray and not kind.free and type(kind.scalar) in (Integer, Float)


def encode_strings(values: list[Any]) -> Any:
    """Strings in UTF-8, by C: a list of bytes; None if one of the values is not a usual string."""
    return core.encode_strings(values)


def _ways(schema: Schema) -> list[_Way]:
    """How each field is encoded; empty if the twin does not know one of them."""
    ways = []
    for field in schema.fields:
        way = _way(field)
        if way is None:
            return []
        ways.append(way)
    return ways


def _way(field: Field) -> _Way | None:
    kind = field.type
    if isinstance(kind, Scalar):
        return _way_of_number(field, kind)
    if field.dump != kind.dump:
        return None
    found = _kind_of_payload(kind)
    if found is None:
        return None
    size = 0
    dtype: Any = None
    shape: Any = None
    if isinstance(kind, ShapedArray) and found == _ARRAY:
        shape = kind.shape
        dtype = np.dtype(kind.dtype.str)  # the one object that NumPy has for it
        size = dtype.itemsize * math.prod(shape)
    return (
        field.key,
        found,
        0,
        field.payload,
        size,
        -1,
        field.present,
        field.dump,
        None,
        dtype,
        shape,
    )


def _way_of_number(field: Field, kind: Scalar) -> _Way:
    found = _OTHER_NUMBER
    names = None
    if isinstance(kind, Category):
        found = _CATEGORY
        names = kind.numbers_by_name
    elif isinstance(kind, Bool):
        found = _BOOL
    elif isinstance(kind, (Integer, Float)):
        found = _NUMBER
    return (
        field.key,
        found,
        ord(kind.code[-1]),
        field.number_offset,
        kind.width,
        field.presence_offset,
        field.present,
        field.dump,
        names,
        None,
        None,
    )


def _kind_of_payload(kind: Any) -> int | None:
    found = type(kind)
    if found is Str:
        return _TEXT
    if found is Bytes:
        return _BYTES
    if found is ShapedArray and is_stored_as_given(kind):
        return _ARRAY
    if found in _CALLED:
        return _PAYLOAD
    return None
