"""Values as one column: an array where they are numbers, or arrays of one shape; else a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._loader.buffers import Buffers


def chosen(column: Any, mask: np.ndarray) -> Any:
    """Return some rows of a column: those of a mask, bool, (n,)."""
    if isinstance(column, np.ndarray):
        return column[mask]
    rows = np.flatnonzero(mask)
    return [column[row] for row in rows.tolist()]


def stacked(values: Sequence[Any], buffers: Buffers) -> Any:
    """Return values as one array where they are numbers, or arrays of one dtype and shape.

    Anything else stays a list, as do strings. Python's numbers become int64, float64 or bool; what
    has a method `__array__`, such as a tensor of PyTorch's, is an array.
    """
    values = [as_array(value) for value in values]
    shape = common_shape(values)
    if shape is not None:
        dtype, row_shape = shape
        out = buffers.array(dtype, (len(values), *row_shape))
        return np.stack(values, out=out)
    if all(isinstance(value, _NUMBERS) for value in values):
        return _as_numbers(values)
    return values


def common_shape(values: Sequence[Any]) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
    """The dtype and shape that all values have; None if they differ, or some are no arrays."""
    if not values:
        return None
    first = values[0]
    if not is_array(first):
        return None
    dtype = first.dtype
    shape = first.shape
    for value in values:
        if not is_array(value):
            return None
        if value.dtype != dtype or value.shape != shape:
            return None
    return dtype, shape


def is_array(value: Any) -> bool:
    """Whether a value is an array that loses nothing where it is copied into another."""
    return isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)


def as_array(value: Any) -> Any:
    """What has a method `__array__` as an array; one of no dimension as a number."""
    if isinstance(value, np.generic):
        return value
    if not hasattr(value, "__array__"):
        return value
    try:
        array = np.asanyarray(value)
    except (TypeError, RuntimeError):  # a tensor of a device, or of a dtype that NumPy lacks
        return value
    if array.ndim == 0 and is_array(array):
        return array[()]
    return array


def _as_numbers(values: list[Any]) -> Any:
    """Numbers as an array; a list where they are integers beyond 64 bits, or NumPy's strings."""
    dtype = None
    if all(type(value) is int for value in values):
        dtype = np.int64
    try:
        array = np.array(values, dtype)
    except (OverflowError, ValueError, TypeError):
        return values
    if array.dtype.kind in "OSU":
        return values
    return array


_NUMBERS = (bool, int, float, complex, np.generic)
