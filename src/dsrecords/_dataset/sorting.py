"""Sorting the records of a list by one field."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._dataset.field_values import (
    all_values,
    parted,
    picked,
    plan_for_values,
    small_numbers,
)
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords.errors import SchemaError


def sort(
    reading: Reading,
    field: Any,
    reverse: bool,
    pass_over: PassOver,
) -> Reading:
    """Return a view of the records in the order of a field, as `IndexedRecordDataset.sort` does."""
    now = reading.selected(slice(None))
    plan = plan_for_values(now, field, "sort")
    values = all_values(now, plan, pass_over)
    try:
        order = _order(values.column, reverse)
    except (TypeError, ValueError) as error:
        name = plan.fields[0].type.name
        message = f"values of {name} that have no order: {error}"
        raise SchemaError(message, field=field) from error
    return now.selected(values.indices[order])


def _order(column: Any, reverse: bool) -> np.ndarray:
    """Return the positions of values in their order, then those of NaN, then those of None."""
    which = parted(column)
    order = _stable_order(picked(column, which.ordinary), reverse)
    return np.concatenate([which.ordinary[order], which.nans, which.nones])


def _stable_order(values: Any, reverse: bool) -> np.ndarray:
    """Return the order of values that have one: int64, (n,). Equal ones stay as they are."""
    if isinstance(values, list):
        positions = range(len(values))
        order = sorted(positions, key=values.__getitem__, reverse=reverse)
        return np.array(order, np.int64)
    if values.dtype.kind == "c":
        raise TypeError("complex numbers")
    small = small_numbers(values)
    if small is not None:
        values = small[0]
    if not reverse:
        return np.argsort(values, kind="stable")
    # Backwards twice, or equal values would be in the opposite order.
    backwards = np.argsort(values[::-1], kind="stable")
    return len(values) - 1 - backwards[::-1]
