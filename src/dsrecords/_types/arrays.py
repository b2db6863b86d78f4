"""Types of arrays. Knows nothing of files or samples."""

from __future__ import annotations

import json
import math
import re
import struct
from typing import Any

import numpy as np

from dsrecords._types.base import PAD, Type, describe
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

# All that NumPy writes for a dtype that is not a record. It reads far more, and divides by zero for some of it ("M8[s/0]").
_DTYPE = re.compile(
    r"[<>|](b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[SUV]\d{1,9}|[mM]8(\[([1-9]\d{0,8})?(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?)"
)
_MOST_DIMENSIONS = 31  # NumPy 1 has 32, of which a batch takes one
_LIMIT = 2**62  # bytes; NumPy's own sizes are signed 64-bit numbers


class ShapedArray(Type):
    """An array of one dtype and shape, such as `float32[3,224,224]`; a `*` in the shape is free."""

    def __init__(self, scalar: Scalar, shape: tuple[int | None, ...]) -> None:
        self.scalar, self.dtype, self.shape = scalar, scalar.dtype, shape
        self.free = shape.count(None)
        self.name = f"{scalar.name}[{','.join('*' if n is None else str(n) for n in shape)}]"
        if math.prod(n or 1 for n in shape) * self.dtype.itemsize > _LIMIT:
            raise SchemaError(f"{self.name} is larger than any memory")
        if len(shape) > _MOST_DIMENSIONS:
            raise SchemaError(f"an array of {len(shape)} dimensions; at most {_MOST_DIMENSIONS}")
        self.nbytes = math.prod(n for n in shape if n is not None) * self.dtype.itemsize  # of a fixed shape

    def dump(self, value: Any) -> bytes:
        array = self.scalar.array(value, self.name)
        if self.free and array.shape == (0,):  # [] is how one writes no boxes at all
            array = array.reshape([n or 0 for n in self.shape])
        if len(array.shape) != len(self.shape) or any(n not in (None, m) for n, m in zip(self.shape, array.shape)):
            raise SchemaError(f"{self.name} expected, not shape {array.shape}")
        if not self.free:
            return array.tobytes()
        sizes = [m for n, m in zip(self.shape, array.shape) if n is None]
        return struct.pack(f"<{len(sizes)}Q", *sizes) + array.tobytes()

    def load(self, data: memoryview, copy: bool) -> np.ndarray:
        shape: Any = self.shape
        if self.free:
            if len(data) < 8 * self.free:
                raise CorruptError(f"{self.name} takes more than {len(data)} bytes")
            sizes = iter(struct.unpack_from(f"<{self.free}Q", data))
            shape = tuple(next(sizes) if n is None else n for n in shape)
            data = data[8 * self.free :]
        return view(data, self.scalar.native(), shape, copy)

    def row(self) -> np.ndarray | None:
        shape: Any = self.shape
        return None if self.free or self.nullable else np.empty((0, *shape), self.scalar.native())


class AnyArray(Type):
    """An array that says its own dtype and shape: any but objects."""

    name = "array"

    def dump(self, value: Any) -> bytes:
        if isinstance(value, (str, bytes, bytearray, np.ma.MaskedArray)):
            masked = isinstance(value, np.ma.MaskedArray)
            raise SchemaError(f"an array expected, not {'a masked one: fill it first' if masked else describe(value)}")
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise SchemaError(f"an array of numbers, texts, times or records expected, not of objects such as {describe(value)}")
        described = array.dtype.descr if array.dtype.names is not None else array.dtype.str
        descr = json.dumps(described, separators=(",", ":")).encode()
        if _dtype(json.loads(descr)) != array.dtype or not _fits(array.shape, array.dtype):
            raise SchemaError(f"{describe(array)} cannot be stored: of its dtype NumPy says only {described!r}")
        head = struct.pack(f"<II{array.ndim}Q", len(descr), array.ndim, *array.shape) + descr
        return head + PAD[len(head) & 7] + array.tobytes()

    def load(self, data: memoryview, copy: bool) -> np.ndarray:
        if len(data) < 8:
            raise CorruptError(f"an array takes more than {len(data)} bytes")
        length, ndim = struct.unpack_from("<II", data)
        start = 8 + 8 * ndim
        if ndim > 64 or start + length > len(data):
            raise CorruptError(f"an array of {ndim} dimensions does not fit into {len(data)} bytes")
        dtype = _dtype(json.loads(str(data[start : start + length], "utf-8")))
        return view(data[(start + length + 7) & -8 :], dtype, struct.unpack_from(f"<{ndim}Q", data, 8), copy)


def _dtype(descr: Any) -> np.dtype[Any]:
    """The dtype of a description: what NumPy writes for it, once JSON has made lists of the tuples. Raises CorruptError."""
    return np.lib.format.descr_to_dtype(_tuples(descr, 0))


def _tuples(descr: Any, depth: int) -> Any:
    if isinstance(descr, list) and depth < 32:  # fields: name (or title and name), dtype, and perhaps a shape
        return [
            (tuple(name) if isinstance(name, list) else name, _tuples(kind, depth + 1), *(tuple(n) for n in shape))
            for name, kind, *shape in descr
        ]
    if isinstance(descr, str) and _DTYPE.fullmatch(descr):
        return descr
    raise CorruptError(f"{str(descr)[:80]!r} is not the description of a dtype")


def _fits(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether NumPy can have such an array. Values that take no bytes (`V0`) would else be as many as a file claims."""
    return math.prod(n or 1 for n in shape) * dtype.itemsize <= _LIMIT and (dtype.itemsize > 0 or math.prod(shape) < 2**24)


def view(data: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], copy: bool) -> np.ndarray:
    """An array over bytes, once the shape is known to fit them."""
    if math.prod(shape) * dtype.itemsize != len(data) or not (len(data) or _fits(shape, dtype)):
        raise CorruptError(f"{dtype} with shape {shape} does not take {len(data)} bytes")
    array: np.ndarray = np.ndarray(shape, dtype, data)
    return array.copy() if copy and len(data) else array  # a copy of nothing would make U1 of U0, and memory for it
