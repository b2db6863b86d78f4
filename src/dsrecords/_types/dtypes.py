"""NumPy's dtypes as JSON, as arrays of any dtype store them. Knows nothing of arrays.

A dtype is described as NumPy does it in .npy files: `"<f4"`, or a list of fields. Only what NumPy
writes is read.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import numpy as np

from dsrecords._types.base import DType
from dsrecords._types.times import UNITS
from dsrecords.errors import CorruptError, SchemaError

# What NumPy writes for a dtype without fields. It would read far more, and divides by zero for some
# of it ("M8[s/0]").
_BOOL_OR_NUMBER = r"b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)"
_STRING_OR_VOID = r"[SUV]\d{1,9}"
_UNIT = "|".join(UNITS)
_TIME = rf"[mM]8(\[([1-9]\d{{0,8}})?({_UNIT})\])?"
_SIMPLE_DTYPE = re.compile(rf"[<>|]({_BOOL_OR_NUMBER}|{_STRING_OR_VOID}|{_TIME})")

_DEEPEST = 32  # structured dtypes within each other
_encode_json = json.JSONEncoder(separators=(",", ":")).encode


def encode_dtype(dtype: DType) -> str:
    """Return the description of a dtype in JSON. Raises SchemaError if it is not all of it."""
    description: Any = dtype.str
    if dtype.names is not None:
        description = dtype.descr
    encoded = _encode_json(description)
    read = None
    with contextlib.suppress(CorruptError, ValueError, TypeError):
        read = decode_dtype(encoded)
    if read != dtype:
        raise SchemaError(
            f"an array of {dtype} cannot be stored: of its dtype NumPy says only {description!r}"
        )
    return encoded


def decode_dtype(encoded: str) -> DType:
    """Return the dtype of a description in JSON. Raises CorruptError, ValueError or TypeError."""
    description = json.loads(encoded)
    return dtype_of(description)


def dtype_of(description: Any) -> DType:
    """Return the dtype of a description, with lists or tuples. Raises as `decode_dtype` does."""
    with_tuples = _with_tuples(description, 0)
    return np.lib.format.descr_to_dtype(with_tuples)


def _with_tuples(description: Any, depth: int) -> Any:
    """Return a description that JSON has read, with tuples where NumPy expects them."""
    if isinstance(description, str) and _SIMPLE_DTYPE.fullmatch(description):
        return description
    if isinstance(description, list) and depth < _DEEPEST:
        return [_field_with_tuples(field, depth) for field in description]
    shown = str(description)[:80]
    raise CorruptError(f"{shown!r} is not the description of a dtype")


def _field_with_tuples(field: Any, depth: int) -> tuple[Any, ...]:
    name, description, *shape = field
    if isinstance(name, list):  # a title and a name
        name = tuple(name)
    dtype = _with_tuples(description, depth + 1)
    converted = [name, dtype]
    converted.extend(map(tuple, shape))
    return tuple(converted)
