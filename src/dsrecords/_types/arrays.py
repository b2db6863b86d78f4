"""Arrays, whose dtype and shape the schema states, or each array by itself.

Knows nothing of files, fields or records.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._format.layout import padded_size, padding
from dsrecords._types.base import (
    LIST_TYPES,
    DType,
    NoPartError,
    Path,
    Type,
    describe,
    unexpected,
)
from dsrecords._types.casting import to_array
from dsrecords._types.dtypes import decode_dtype, encode_dtype
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

Shape = tuple[int, ...]

_COUNTS = struct.Struct("<II")  # of an `array`: length of the description, number of dimensions
_MOST_DIMENSIONS = 31  # NumPy 1 has 32, of which a batch takes one
_MOST_READ_DIMENSIONS = 64  # NumPy's own limit
_MOST_BYTES = 2**62  # NumPy's own sizes are signed 64-bit numbers
_MOST_EMPTY_VALUES = 2**24  # values that take no bytes, such as V0
_LARGE = 2**20  # bytes of an array, from which on it takes more time to copy it than to begin


class ShapedArray(Type):
    """An array of one dtype and shape, such as `float32[3,224,224]`; a `*` is a free size.

    The payload is the free sizes as uint64, then the array's bytes.

    Attributes:
        scalar: the type of its values.
        dtype: their dtype.
        shape: the sizes, None for those that are free.
        free: the number of free sizes.
    """

    def __init__(self, scalar: Scalar, shape: tuple[int | None, ...]) -> None:
        self.scalar = scalar
        self.dtype = scalar.dtype
        self.shape = shape
        self._free_axes = []
        sizes = []
        for axis, size in enumerate(shape):
            if size is None:
                self._free_axes.append(axis)
                sizes.append("*")
            else:
                sizes.append(str(size))
        self.free = len(self._free_axes)
        self._free_sizes = struct.Struct(f"<{self.free}Q")
        shown = ",".join(sizes)
        self.name = f"{scalar.name}[{shown}]"
        smallest_shape = tuple(size or 1 for size in shape)
        if not _fits(smallest_shape, self.dtype):
            raise SchemaError(f"{self.name} is larger than any memory")
        ndim = len(shape)
        if ndim > _MOST_DIMENSIONS:
            raise SchemaError(f"an array of {ndim} dimensions; at most {_MOST_DIMENSIONS}")

    def dump(self, value: Any) -> bytes:
        array = self.scalar.array(value, self.name)
        if self.free:
            return self._dump_free(array)
        if array.shape != self.shape:
            raise self._wrong_shape(array)
        return array.tobytes()

    def _dump_free(self, array: np.ndarray) -> bytes:
        shape = array.shape
        if shape == (0,):  # [] is how one writes no boxes at all
            shape = tuple(size or 0 for size in self.shape)
        if len(shape) != len(self.shape):
            raise self._wrong_shape(array)
        free_sizes = [shape[axis] for axis in self._free_axes]
        expected_shape = self._with_free_sizes(free_sizes)
        if shape != expected_shape:
            raise self._wrong_shape(array)
        head = self._free_sizes.pack(*free_sizes)
        return _with_head(head, array)

    def _with_free_sizes(self, free_sizes: Sequence[int]) -> Shape:
        """Return the shape with these in the place of the free sizes."""
        shape: list[Any] = list(self.shape)
        for axis, size in zip(self._free_axes, free_sizes):
            shape[axis] = size
        return tuple(shape)

    def _wrong_shape(self, array: np.ndarray) -> SchemaError:
        return SchemaError(f"{self.name} expected, not shape {array.shape}")

    def load(self, data: memoryview, copy: bool) -> np.ndarray:
        shape: Any = self.shape
        if self.free:
            nbytes = len(data)
            start = self._free_sizes.size
            if nbytes < start:
                raise CorruptError(f"{self.name} takes more than {nbytes} bytes")
            free_sizes = self._free_sizes.unpack_from(data)
            shape = self._with_free_sizes(free_sizes)
            data = data[start:]
        dtype = self.scalar.native()
        return view(data, dtype, shape, copy)

    def pick(
        self,
        data: memoryview,
        copy: bool,
        path: Path,
        decoding: Any,
    ) -> Any:
        if not path:
            return super().pick(data, copy, path, decoding)
        return picked(self.load(data, False), path, copy)

    def row(self) -> np.ndarray | None:
        if self.free or self.nullable:
            return None
        shape: Any = self.shape
        dtype = self.scalar.native()
        return np.empty((0, *shape), dtype)


_OF_STRINGS = {"U": str, "S": bytes}  # kinds of dtypes, and Python's types of their items


def _all_are(item: type, values: Sequence[Any]) -> bool:
    """Return whether all items of lists within lists are of a type, or arrays."""
    for value in values:
        if isinstance(value, LIST_TYPES):
            if not _all_are(item, value):
                return False
        elif not isinstance(value, (item, np.ndarray)):
            return False
    return True


class AnyArray(Type):
    """An array of any dtype but objects, and of any shape.

    The payload is the length of the dtype's description and the number of dimensions (uint32), the
    shape (uint64), the description in JSON, zeros up to a multiple of 8, and the array's bytes.
    """

    present = Type.present | {float}

    name = "array"
    undecodable = ()  # a description that is nested too deeply is none that is written

    def dump(self, value: Any) -> bytes:
        array = self._to_array(value)
        encoded = encode_dtype(array.dtype)
        description = encoded.encode()
        ndim = array.ndim
        counts = _COUNTS.pack(len(description), ndim)
        sizes = struct.pack(f"<{ndim}Q", *array.shape)
        head = counts + sizes + description
        return _with_head(head + padding(len(head)), array)

    def _to_array(self, value: Any) -> np.ndarray:
        if isinstance(value, (str, bytes, bytearray)):
            raise unexpected("an array", value)
        array = to_array(value, "an array")
        item = _OF_STRINGS.get(array.dtype.kind)
        if item is not None and isinstance(value, LIST_TYPES) and not _all_are(item, value):
            # NumPy makes strings of numbers that stand beside one.
            raise SchemaError("an array of one type expected, not strings and others")
        if array.dtype.hasobject:
            raise SchemaError(
                "an array of numbers, strings, times or records expected, "
                f"not of objects such as {describe(value)}"
            )
        if not _fits(array.shape, array.dtype):
            raise SchemaError(f"{describe(array)} has too many values")
        return array

    def load(self, data: memoryview, copy: bool) -> np.ndarray:
        nbytes = len(data)
        if nbytes < _COUNTS.size:
            raise CorruptError(f"an array takes more than {nbytes} bytes")
        length, ndim = _COUNTS.unpack_from(data)
        sizes_end = _COUNTS.size + 8 * ndim
        end = sizes_end + length
        if ndim > _MOST_READ_DIMENSIONS or end > nbytes:
            raise CorruptError(f"an array of {ndim} dimensions does not fit into {nbytes} bytes")
        sizes = data[_COUNTS.size : sizes_end]
        shape = struct.unpack(f"<{ndim}Q", sizes)
        description = data[sizes_end:end]
        encoded = str(description, "utf-8")
        dtype = decode_dtype(encoded)
        values = data[padded_size(end) :]
        return view(values, dtype, shape, copy)

    def pick(
        self,
        data: memoryview,
        copy: bool,
        path: Path,
        decoding: Any,
    ) -> Any:
        if not path:
            return super().pick(data, copy, path, decoding)
        return picked(self.load(data, False), path, copy)


def _fits(shape: Shape, dtype: DType) -> bool:
    """Whether NumPy can have an array of this shape, and a file may claim that it has one."""
    if dtype.itemsize == 0:
        return math.prod(shape) < _MOST_EMPTY_VALUES
    nbytes = dtype.itemsize
    for size in shape:
        if size > 0:  # NumPy leaves zeros out
            nbytes *= size
    return nbytes <= _MOST_BYTES


def view(
    data: memoryview,
    dtype: DType,
    shape: Shape,
    copy: bool,
) -> np.ndarray:
    """Return an array over `data`, or a copy. Raises CorruptError if the shape does not fit."""
    nbytes = math.prod(shape) * dtype.itemsize
    fits = nbytes == len(data)
    if nbytes == 0:
        fits = fits and _fits(shape, dtype)
    if not fits:
        raise CorruptError(f"{dtype} with shape {shape} does not take {len(data)} bytes")
    array: np.ndarray = np.ndarray(shape, dtype, data)
    if copy and nbytes > 0:  # a copy of no bytes would make U1 of U0, and memory for it
        return array.copy()
    return array


def picked(
    array: np.ndarray,
    path: Path,
    copy: bool,
) -> Any:
    """Return what NumPy picks from an array by indices and slices. Raises NoPartError."""
    try:
        part = array[tuple(path)]
    except IndexError as error:
        raise NoPartError(str(error), IndexError) from None
    if copy and isinstance(part, np.ndarray):
        return part.copy()
    return part


def _with_head(head: bytes, array: np.ndarray) -> bytes:
    """What stands before an array, and its bytes, of which only one copy is made if it is large."""
    if array.nbytes < _LARGE:
        return head + array.tobytes()
    flat = np.ascontiguousarray(array).reshape(-1)
    return b"".join((head, flat.view(np.uint8)))
