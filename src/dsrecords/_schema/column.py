"""A column of a table: its values a batch at a time, and what is known of their type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._schema.kinds import is_missing, stands_for_none
from dsrecords._types.base import describe
from dsrecords.errors import SchemaError

Values = Any
"""Of some rows: an array (n, …), masked where values are missing, or a list with None there."""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        length: its number of rows.
        values: a function that returns the values of the rows from a first one up to a last one,
            which is not among them.
        type: a function that returns the type of the values that are not missing, as it is written
            in a schema, and raises SchemaError if there is none; None if only the values tell.
        has_missing: whether any value is missing.
    """

    length: int
    values: Callable[[int, int], Values]
    type: Callable[[], Any] | None = None
    has_missing: bool = False


def array_column(array: np.ndarray) -> Column:
    """Return an array (n, …) as a column. Raises SchemaError if it has no dimension."""
    if array.ndim == 0:
        raise SchemaError(f"a column must be an array (n, …) or a list, not {describe(array)}")
    if array.dtype.hasobject:
        objects = array.tolist()
        return list_column(objects)
    return Column(
        length=len(array),
        values=lambda first, last: array[first:last],
        has_missing=bool(np.ma.is_masked(array)),
    )


def list_column(values: Sequence[Any]) -> Column:
    """Return a list as a column, in which values that stand for None may be of other packages."""
    has_missing = any(map(stands_for_none, set(map(type, values))))

    def some(first: int, last: int) -> Values:
        chosen = values[first:last]
        if has_missing:
            chosen = list(map(_none_for_missing, chosen))
        return chosen

    return Column(
        length=len(values),
        values=some,
        has_missing=has_missing,
    )


def _none_for_missing(value: Any) -> Any:
    if is_missing(value):
        return None
    return value


def listed(values: Values) -> Sequence[Any]:
    """Return the values of a batch one by one: None where an array is masked."""
    if not isinstance(values, np.ma.MaskedArray):
        return values  # type: ignore[no-any-return]
    masks = np.ma.getmaskarray(values)
    rows = list(values.data)
    for row, mask in enumerate(masks):
        if np.all(mask):
            rows[row] = None
    return rows
