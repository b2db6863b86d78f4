"""Arrays in Arrow: as lists within lists where the type says how; else as numbers and a shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._arrow.base import (
    Form,
    Values,
    mask_array,
    missing,
    offsets_of,
    pyarrow,
    restored_each,
)
from dsrecords._arrow.nested import ListForm, StructForm
from dsrecords._arrow.scalars import NumberForm
from dsrecords._types.arrays import ShapedArray, view
from dsrecords._types.base import Type
from dsrecords._types.dtypes import decode_dtype, encode_dtype
from dsrecords._types.numbers import number_type
from dsrecords.errors import SchemaError

_NULLS_WITHIN = "an array of which a part is null"


class FixedArrayForm(Form):
    """An array of a fixed shape: lists of a fixed size, one within the other.

    Args:
        kind: the type.
        element: the form of its values.
    """

    def __init__(self, kind: ShapedArray, element: Form) -> None:
        shape: Any = kind.shape
        self._shape = shape
        self._dtype = kind.dtype
        self._element = element
        super().__init__(kind, kind, _lists_of(element.arrow_type, shape))

    def build(self, values: Values) -> Any:
        mask = None
        if not isinstance(values, np.ndarray):
            mask = missing(values)
            values = _stacked(values, self._shape, self._dtype)
        flat = np.ascontiguousarray(values).reshape(-1)
        return _within_lists(self._element.build(flat), self._shape, mask)

    def restore(self, array: Any) -> Values:
        present = array.drop_null()
        for _ in self._shape:
            present = present.flatten()
        numbers = _plain(self._element.restore(present))
        arrays = numbers.reshape(-1, *self._shape)
        if array.null_count == 0:
            return arrays
        return _scattered(array, arrays)


class FreeArrayForm(Form):
    """An array with one free size: lists of any size, in and around which are those of fixed sizes.

    Args:
        kind: the type.
        element: the form of its values.
    """

    def __init__(self, kind: ShapedArray, element: Form) -> None:
        shape: Any = kind.shape
        axis = shape.index(None)
        self._outer = shape[:axis]
        self._inner = shape[axis + 1 :]
        self._dtype = kind.dtype
        self._element = element
        self._axis = axis
        of_lists = pyarrow().list_(_lists_of(element.arrow_type, self._inner))
        super().__init__(kind, kind, _lists_of(of_lists, self._outer))

    def build(self, values: Values) -> Any:
        mask = missing(values)
        flat = [np.zeros(0, self._dtype)]
        sizes = np.zeros(len(values), np.int64)
        for position, value in enumerate(values):
            if value is not None:
                flat.append(value.reshape(-1))
                sizes[position] = value.shape[self._axis]
        numbers = self._joined(flat)
        rows = _within_lists(self._element.build(numbers), self._inner, None)
        lengths = np.repeat(sizes, math.prod(self._outer))
        of_lists = mask
        if self._outer:
            of_lists = None
        lists = pyarrow().ListArray.from_arrays(
            offsets_of(lengths),
            rows,
            mask=mask_array(of_lists),
        )
        if not self._outer:
            return lists
        return _within_lists(lists, self._outer, mask)

    @staticmethod
    def _joined(flat: list[np.ndarray]) -> np.ndarray:
        """Return the numbers of arrays, of which the first has none; of their own dtype."""
        if len(flat) == 1:
            return flat[0]
        return np.concatenate(flat[1:])

    def restore(self, array: Any) -> Values:
        present = array.drop_null()
        for _ in self._outer:
            present = present.flatten()
        if present.null_count:
            raise SchemaError(_NULLS_WITHIN)
        lengths = present.value_lengths().to_numpy(zero_copy_only=False)
        for _ in (None, *self._inner):
            present = present.flatten()
        numbers = _plain(self._element.restore(present))
        count = math.prod(self._outer)
        sizes = lengths.reshape(-1, count)
        if (sizes != sizes[:, :1]).any():
            raise SchemaError(f"lists of different lengths are no {self.written()}")
        size_of_row = math.prod(self._inner)
        arrays = []
        start = 0
        for size in sizes[:, 0].tolist():
            stop = start + count * size * size_of_row
            shape = (*self._outer, size, *self._inner)
            arrays.append(numbers[start:stop].reshape(shape))
            start = stop
        return _scattered(array, arrays)


class ShapeAndDataForm(Form):
    """An array with several free sizes: a struct of its numbers, in C order, and its shape.

    Lists within lists would not say the shape of an array that has no numbers.

    Args:
        kind: the type.
        element: the form of its values.
    """

    def __init__(self, kind: ShapedArray, element: Form) -> None:
        shape = ShapedArray(number_type("int64"), (len(kind.shape),))
        parts = {
            "shape": FixedArrayForm(shape, NumberForm(shape.scalar)),
            "data": ListForm(kind, element),
        }
        self._parts = StructForm(kind, parts)
        super().__init__(kind, kind, self._parts.arrow_type)

    def build(self, values: Values) -> Any:
        if isinstance(values, np.ndarray):  # of a shape in which a size is 0
            values = list(values)
        structs = restored_each(values, _shape_and_data)
        return self._parts.build(structs)

    def restore(self, array: Any) -> Values:
        structs = self._parts.restore(array)
        return restored_each(structs, self._reshaped)

    def _reshaped(self, parts: dict[str, Any]) -> np.ndarray:
        shape = _checked_shape(parts["shape"])
        numbers = _plain(parts["data"])
        if math.prod(shape) != len(numbers):
            raise SchemaError(f"{len(numbers)} numbers are no array with shape {tuple(shape)}")
        return numbers.reshape(shape)


class AnyArrayForm(Form):
    """`array`: a struct of its dtype, as it is stored, its shape, and its bytes.

    Args:
        kind: the type.
        parts: the form of the struct.
    """

    def __init__(self, kind: Type, parts: Form) -> None:
        super().__init__(kind, kind, parts.arrow_type)
        self._parts = parts

    def build(self, values: Values) -> Any:
        structs = restored_each(values, _described)
        return self._parts.build(structs)

    def restore(self, array: Any) -> Values:
        structs = self._parts.restore(array)
        return restored_each(structs, _of_description)


def _shape_and_data(array: np.ndarray) -> dict[str, Any]:
    flat = array.reshape(-1)
    return {
        "shape": np.array(array.shape, np.int64),
        "data": flat,
    }


def _described(array: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": encode_dtype(array.dtype),
        "shape": np.array(array.shape, np.int64),
        "data": array.tobytes(),
    }


def _of_description(parts: dict[str, Any]) -> np.ndarray:
    dtype = decode_dtype(parts["dtype"])
    shape = _checked_shape(parts["shape"])
    data = memoryview(parts["data"])
    return view(
        data,
        dtype,
        tuple(shape),
        copy=True,
    )


def _checked_shape(sizes: Any) -> list[int]:
    shape: list[int] = _plain(sizes).tolist()
    if min(shape, default=0) < 0:
        raise SchemaError(f"no array has the shape {tuple(shape)}")
    return shape


def _lists_of(arrow_type: Any, sizes: Sequence[int]) -> Any:
    """Return the type of lists of fixed sizes, from the outside in, of values of a type."""
    for size in reversed(sizes):
        arrow_type = pyarrow().list_(arrow_type, size)
    return arrow_type


def _within_lists(items: Any, sizes: Sequence[int], mask: np.ndarray | None) -> Any:
    """Return items within lists of fixed sizes; a mask says which of the outermost are null."""
    lists = pyarrow().FixedSizeListArray
    array = items
    for axis in reversed(range(len(sizes))):
        of_lists = None
        if axis == 0:
            of_lists = mask_array(mask)
        array = lists.from_arrays(array, sizes[axis], mask=of_lists)
    return array


def _stacked(values: Sequence[Any], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return arrays of one shape as one array (n, …), with zeros in the place of None."""
    arrays = [value for value in values if value is not None]
    if arrays:
        dtype = arrays[0].dtype
    stacked = np.zeros((len(values), *shape), dtype)
    for row, value in zip(stacked, values):
        if value is not None:
            row[...] = value
    return stacked


def _scattered(array: Any, present: Any) -> list[Any]:
    """Return the values that are present, and None where an array of Arrow has nulls."""
    each = iter(present)
    values: list[Any] = []
    for is_present in array.is_valid().to_pylist():
        value = None
        if is_present:
            value = next(each)
        values.append(value)
    return values


def _plain(values: Values) -> np.ndarray:
    """Return the numbers of arrays. Raises SchemaError if one of them is null."""
    if isinstance(values, np.ma.MaskedArray):
        raise SchemaError(_NULLS_WITHIN)
    if isinstance(values, list) and None in values:
        raise SchemaError(_NULLS_WITHIN)
    return np.asarray(values)
