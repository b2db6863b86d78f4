"""Values as an array of numbers of one dtype, in which none changes. Knows nothing of types."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._types.array_likes import as_array
from dsrecords._types.base import LIST_TYPES, DType, masked, unexpected
from dsrecords.errors import SchemaError

_CONVERTIBLE_KINDS = {  # kinds of dtypes, and the kinds of arrays that they take
    "b": "b",
    "i": "biu",
    "u": "biu",
    "f": "biuf",
    "c": "biufc",
}
_WIDER_DTYPES = (  # of bfloat16, float8 and int4
    np.int8,
    np.uint8,
    np.float32,
)
_NO_NUMBERS = "OSU"  # kinds of arrays which array-likes become that NumPy does not know
_LISTS = frozenset(LIST_TYPES)
_DEEPEST = 64  # dimensions of NumPy
_PLAIN_CLASSES = frozenset(  # of items of a list that are no array-likes
    (
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        np.ndarray,
        datetime.datetime,
        datetime.date,
        datetime.timedelta,
        type(None),
    )
)


def cast(
    value: Any,
    dtype: DType,
    name: str,
) -> np.ndarray:
    """Return `value` as an array of `dtype`, which may be `value` itself.

    Raises SchemaError if a number would change beyond rounding (a fraction as an integer, a number
    out of range, a finite number as an infinity) or is masked. The message calls the type `name`.
    """
    array = to_array(value, name)
    if array.dtype == dtype:
        return array
    is_empty_list = array.size == 0 and isinstance(value, LIST_TYPES)
    if is_empty_list:  # it has no type of its own
        return array.astype(dtype)
    array = _widened(array)
    convertible = _CONVERTIBLE_KINDS[dtype.kind]
    if array.dtype.kind not in convertible:
        raise unexpected(name, array)
    return _convert(array, dtype, name)


def to_array(value: Any, name: str) -> np.ndarray:
    """Return a number, a list or an array-like as an array of the dtype that it has.

    Raises SchemaError if values are masked or missing, or mean more than numbers; the message calls
    the type `name`.
    """
    if value.__class__ is np.ndarray:
        given: np.ndarray = value
        return given
    if isinstance(value, np.generic):
        return np.asarray(value)
    if value is np.ma.masked:
        raise unexpected(name, value)
    if isinstance(value, np.ma.MaskedArray):
        raise masked(name)
    if isinstance(value, LIST_TYPES):
        return _from_list(value, name)
    array = as_array(value)
    if array is None:
        if isinstance(value, Mapping) or hasattr(value, "as_py"):  # a struct or a map of Arrow
            raise unexpected(name, value)
        array = np.asarray(value)
    return array


def _from_list(values: Sequence[Any], name: str) -> np.ndarray:
    array = None
    reason = ""
    try:
        array = np.asarray(values)
    except Exception as error:  # noqa: BLE001 -- of NumPy, or of a package's own tensors
        reason = str(error)
    depth = _DEEPEST
    if array is not None and array.dtype.kind not in _NO_NUMBERS:
        depth = array.ndim - 1  # what lies deeper are numbers
    plain = _with_arrays(values, depth)
    if plain is not values:
        return _from_list(plain, name)
    if array is None:
        if "inhomogeneous" in reason:
            reason = "not lists of different lengths"
        raise SchemaError(f"{name} expected, {reason}")
    if _has_masked(values, array):
        raise SchemaError(f"{name} expected, not masked values")
    return array


def _with_arrays(values: Sequence[Any], depth: int) -> Sequence[Any]:
    """Return a list with arrays in the place of array-likes; itself if there are none.

    Args:
        values: the list.
        depth: down to which lists within lists are looked at.
    """
    if depth <= 0:
        return values
    classes = set(map(type, values))
    if classes <= _PLAIN_CLASSES or (depth == 1 and classes <= _LISTS):
        return values
    replaced = False
    items = []
    for value in values:
        item = _with_arrays_in(value, depth)
        if item is not value:
            replaced = True
        items.append(item)
    if replaced:
        return items
    return values


def _with_arrays_in(value: Any, depth: int) -> Any:
    if isinstance(value, LIST_TYPES):
        return _with_arrays(value, depth - 1)
    if value is np.ma.masked or isinstance(value, np.generic):
        return value
    array = as_array(value)
    if array is None:
        return value
    if array.ndim == 0 and array.dtype == object:  # which NumPy would put into an array as it is
        return array.item()
    return array


def _widened(array: np.ndarray) -> np.ndarray:
    """Return the numbers of a dtype of ml_dtypes in one of NumPy's that holds them all."""
    if array.dtype.kind == "V":
        for dtype in _WIDER_DTYPES:
            if np.can_cast(array.dtype, dtype):
                return array.astype(dtype)
    return array


def _has_masked(values: Any, array: np.ndarray) -> bool:
    """Whether a list holds masked values; in its array they are NaN."""
    if array.dtype.kind != "f":
        return False
    has_nan = np.isnan(array).any()
    return bool(has_nan) and _holds_masked(values)


def _holds_masked(values: Any) -> bool:
    for value in values:
        if isinstance(value, np.ma.MaskedArray):
            return True
        if isinstance(value, LIST_TYPES) and _holds_masked(value):
            return True
    return False


def _convert(
    array: np.ndarray,
    dtype: DType,
    name: str,
) -> np.ndarray:
    to_real = dtype.kind == "f"
    with np.errstate(over="ignore", invalid="ignore"):
        if to_real and array.dtype.kind in "iu":
            # Rounded twice, as `struct` does it for single integers beyond 2 to the 53.
            array = array.astype(np.float64)
        converted: np.ndarray = array.astype(dtype)
    if dtype.kind in "fc":  # rounding is no loss
        lost = _became_infinite(array.real, converted.real)
        if dtype.kind == "c":
            lost |= _became_infinite(array.imag, converted.imag)
    else:
        lost = converted != array
    if lost.any():
        raise out_of_range(array[lost], name)
    return converted


def _became_infinite(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    became: np.ndarray = np.isinf(after) & np.isfinite(before)
    return became


def out_of_range(numbers: np.ndarray, name: str) -> SchemaError:
    """Return the error that the first of these numbers is out of the range of the type `name`."""
    first = numbers.flat[0].item()
    return SchemaError(f"{first!r} is out of the range of {name}")
