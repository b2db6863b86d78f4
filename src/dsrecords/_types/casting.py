"""Values as an array of numbers of one dtype, in which none changes. Knows nothing of types."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._types.base import LIST_TYPES, DType, masked, unexpected
from dsrecords.errors import SchemaError

_CONVERTIBLE_KINDS = {  # kinds of dtypes, and the kinds of arrays that they take
    "b": "b",
    "i": "biu",
    "u": "biu",
    "f": "biuf",
}


def cast(
    value: Any,
    dtype: DType,
    name: str,
) -> np.ndarray:
    """Return `value` as an array of `dtype`, which may be `value` itself.

    Raises SchemaError if a number would change beyond rounding (a fraction as an integer, a number
    out of range, a finite number as an infinity) or is masked. The message calls the type `name`.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise masked(name)
    try:
        array = np.asarray(value)
    except (ValueError, UserWarning) as error:  # masked values, where warnings are errors
        reason = str(error)
        if "inhomogeneous" in reason:
            reason = "not lists of different lengths"
        raise SchemaError(f"{name} expected, {reason}") from None
    if isinstance(value, LIST_TYPES) and _has_masked(value, array):
        raise SchemaError(f"{name} expected, not masked values")
    if array.dtype == dtype:
        return array
    is_empty_list = array.size == 0 and not isinstance(value, (np.ndarray, np.generic))
    if is_empty_list:  # it has no type of its own
        return array.astype(dtype)
    convertible = _CONVERTIBLE_KINDS[dtype.kind]
    if array.dtype.kind not in convertible:
        raise unexpected(name, array)
    return _convert(array, dtype, name)


def _has_masked(values: Any, array: np.ndarray) -> bool:
    """Whether a list holds masked values; in its array they are NaN."""
    if array.dtype.kind != "f":
        return False
    has_nan = np.isnan(array).any()
    return bool(has_nan) and _holds_masked(values)


def _holds_masked(values: Any) -> bool:
    for value in values:
        if value is np.ma.masked:
            return True
        if isinstance(value, LIST_TYPES) and _holds_masked(value):
            return True
    return False


def _convert(
    array: np.ndarray,
    dtype: DType,
    name: str,
) -> np.ndarray:
    to_float = dtype.kind == "f"
    with np.errstate(over="ignore", invalid="ignore"):
        if to_float and array.dtype.kind in "iu":
            # Rounded twice, as `struct` does it for single integers beyond 2 to the 53.
            array = array.astype(np.float64)
        converted: np.ndarray = array.astype(dtype)
    if to_float:  # rounding is no loss
        became_infinite = np.isinf(converted)
        lost = became_infinite & np.isfinite(array)
    else:
        lost = converted != array
    if lost.any():
        raise out_of_range(array[lost], name)
    return converted


def out_of_range(numbers: np.ndarray, name: str) -> SchemaError:
    """Return the error that the first of these numbers is out of the range of the type `name`."""
    first = numbers.flat[0].item()
    return SchemaError(f"{first!r} is out of the range of {name}")
