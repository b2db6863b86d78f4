"""What stands in a batch where a value is None: nothing, unless it was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dsrecords._loader.keys import Key
from dsrecords.errors import SchemaError

ADVICE = "fill_null={{{field!r}: value}} says what stands in its place"


def filled(column: Any, fill: Any, field: Key) -> Any:
    """Return a column with a value in the place of each None.

    Raises:
        SchemaError: the value is none of the column's dtype.
    """
    if isinstance(column, np.ma.MaskedArray):
        return _filled_array(column, fill, field)
    if isinstance(column, list):
        return _filled_list(column, fill, field)
    return column


def _filled_array(column: Any, fill: Any, field: Key) -> np.ndarray:
    values: np.ndarray = np.ma.getdata(column).copy()
    replacement = as_one_of(fill, values.dtype)
    if replacement is None:
        raise SchemaError(f"fill_null: {fill!r} is no {values.dtype}", field=field)
    values[np.ma.getmaskarray(column)] = replacement
    return values


def as_one_of(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a value as one of a dtype; None if it is another there, or several."""
    given = np.array(value)
    if given.ndim:
        return None
    try:
        with np.errstate(all="ignore"):
            found = given.astype(dtype)
            is_same = bool((found == value) | (found != found))
    except (TypeError, ValueError, OverflowError):
        return None
    has_infinity = found.dtype.kind == "f"
    if has_infinity and np.isinf(found) and not np.isinf(given):
        return None
    if not is_same:
        return None
    return found[()]


def _filled_list(column: list[Any], fill: Any, field: Key) -> list[Any]:
    arrays = [value for value in column if isinstance(value, np.ndarray)]
    is_complete = len(arrays) == len(column)
    if arrays and not is_complete and np.ndim(fill) == 0:
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise SchemaError(
                f"fill_null: arrays of this batch have different shapes, so {fill!r} alone says no "
                "array: give one, such as []",
                field=field,
            )
        fill = np.full_like(arrays[0], fill)  # such as a picture of one colour
    return [fill if value is None else value for value in column]


def fill_of(fill_null: Any, field: Key) -> tuple[bool, Any]:
    """Return whether something was given for a field, and what."""
    if isinstance(fill_null, Mapping):
        return field in fill_null, fill_null.get(field)
    return fill_null is not None, fill_null


def unmasked(array: np.ndarray, field: Key, format: str) -> np.ndarray:
    """Return an array without a mask. Raises SchemaError if something is masked."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    if np.ma.is_masked(array):
        advice = ADVICE.format(field=field)
        raise SchemaError(
            f"a value is None, which no array of {format} can hold: {advice}", field=field
        )
    values: np.ndarray = np.ma.getdata(array)
    return values
