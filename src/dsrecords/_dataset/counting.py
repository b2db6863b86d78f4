"""The distinct values of a field, and how often there is each of them.

What takes memory is the distinct values, not the records.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from dsrecords._dataset.field_values import (
    as_values,
    parted,
    picked,
    plain_type,
    plan_for_values,
    small_numbers,
    sort_values,
    values_in_blocks,
)
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._types.base import Type
from dsrecords.errors import SchemaError

_NAN = float("nan")
_LEAST_PENDING = 2**20  # values that are merged together
_PENDING = 4  # times as many as are known may wait


def unique(
    reading: Reading,
    field: Any,
    pass_over: PassOver,
) -> list[Any]:
    """Return the distinct values of a field, as `IndexedRecordDataset.unique` does."""
    values, _ = _counted(
        reading,
        field,
        "unique",
        pass_over,
    )
    return values


def value_counts(
    reading: Reading,
    field: Any,
    pass_over: PassOver,
) -> dict[Any, int]:
    """Return how often there is each value, as `IndexedRecordDataset.value_counts` does."""
    values, counts = _counted(
        reading,
        field,
        "value_counts",
        pass_over,
    )
    order = np.argsort(-counts, kind="stable").tolist()
    by_count = [values[position] for position in order]
    return dict(zip(by_count, counts[order].tolist()))


def _counted(
    reading: Reading,
    field: Any,
    method: str,
    pass_over: PassOver,
) -> tuple[list[Any], np.ndarray]:
    """Return the distinct values in their order, then NaN, then None; and how often there is each.

    The counts are int64, (n,).
    """
    now = reading.selected(slice(None))
    plan = plan_for_values(now, field, method)
    numbers = _Numbers()
    others: Counter[Any] = Counter()
    nan: Any = _NAN
    nans = 0
    nones = 0
    for values in values_in_blocks(now, plan, pass_over):
        column = values.column
        which = parted(column)
        nones += len(which.nones)
        if len(which.nans):
            nans += len(which.nans)
            nan = column[which.nans[0]]
        ordinary = picked(column, which.ordinary)
        if isinstance(ordinary, list):
            _count(ordinary, others, field)
        else:
            numbers.add(ordinary)
    distinct, found = numbers.counted(plain_type(plan.fields[0]))
    counts = found.tolist()
    for value in sort_values(list(others)):
        distinct.append(value)
        counts.append(others[value])
    if nans:
        distinct.append(_as_nan(nan))
        counts.append(nans)
    if nones:
        distinct.append(None)
        counts.append(nones)
    return distinct, np.array(counts, np.int64)


def _as_nan(value: Any) -> Any:
    """Return the NaN of floats, or the NaT of times, as samples have it."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return value
    return _NAN


def _count(
    values: list[Any],
    counts: Counter[Any],
    field: Any,
) -> None:
    try:
        counts.update(values)
    except TypeError as error:
        message = f"values that cannot be told apart: {error}"
        raise SchemaError(message, field=field) from error


class _Numbers:
    """The distinct values of arrays, none of them NaN, each with its count.

    Distinct values of blocks wait until there are a few times as many as are known; then all are
    merged. So each value is looked at a few times, however many distinct ones there are.
    """

    def __init__(self) -> None:
        self._values: np.ndarray | None = None
        self._counts = np.zeros(0, np.int64)
        self._pending_values: list[np.ndarray] = []
        self._pending_counts: list[np.ndarray] = []
        self._pending = 0

    def add(self, array: np.ndarray) -> None:
        """Count the values of one more array, (n,), of the dtype that the others have."""
        values, counts = _distinct(array)
        self._pending_values.append(values)
        self._pending_counts.append(counts)
        self._pending += len(values)
        known = len(self._counts)
        if self._pending >= max(_LEAST_PENDING, _PENDING * known):
            self._merge()

    def _merge(self) -> None:
        if self._values is not None:
            self._pending_values.append(self._values)
            self._pending_counts.append(self._counts)
        values = np.concatenate(self._pending_values)
        counts = np.concatenate(self._pending_counts)
        if not len(values):
            return
        self._values, self._counts = _merged(values, counts)
        self._pending_values = []
        self._pending_counts = []
        self._pending = 0

    def counted(self, kind: Type) -> tuple[list[Any], np.ndarray]:
        """Return the values, as samples of a type have them, ascending, and their counts."""
        if self._pending_values:
            self._merge()
        if self._values is None:
            return [], self._counts
        return as_values(self._values, kind), self._counts


def _merged(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct ones of n > 0 values, ascending, and the sums of their counts."""
    if counts.max() == 1:  # then NumPy need not know where each value was: twice as fast
        return np.unique(values, return_counts=True)
    order = np.argsort(values, kind="stable")
    values = values[order]
    differs = np.ones(len(values), bool)
    differs[1:] = values[1:] != values[:-1]
    firsts = np.flatnonzero(differs)
    sums: np.ndarray = np.add.reduceat(counts[order], firsts)
    return values[firsts], sums


def _distinct(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values of an array, ascending, and how often there is each."""
    small = small_numbers(array)
    if small is None:
        return np.unique(array, return_counts=True)
    distances, lowest = small
    counts = np.bincount(distances)
    found = np.flatnonzero(counts)
    values = found.astype(np.uint64)
    values += np.uint64(lowest % 2**64)
    return values.astype(array.dtype), counts[found]
