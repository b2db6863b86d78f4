"""Filtering the records of a list by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._dataset.blocks import Block, blocks, read_one
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._dataset.skipping import UNREADABLE
from dsrecords._read.batch import as_array, rows
from dsrecords._read.plan import Plan
from dsrecords._types.array_likes import as_column
from dsrecords.errors import CorruptError, SchemaError, annotate, in_words

Predicate = Callable[[Any], Any]

_WINDOW = 256  # records that are asked for together, and read one by one
_WINDOW_OF_NUMBERS = 4096  # the same of records that have nothing but numbers


def filter_records(
    reading: Reading,
    function: Predicate,
    fields: Any,
    batched: bool,
    pass_over: PassOver,
) -> Reading:
    """Return a view of the records that a function keeps: see `IndexedRecordDataset.filter`."""
    if not callable(function):
        raise TypeError(f"filter takes a function, not {function!r}")
    now = reading.selected(slice(None))
    plan = now.fields.all
    if fields is not None:
        plan = now.fields.plan_for(fields)
    if batched:
        kept = _kept_of_blocks(
            now,
            plan,
            function,
            pass_over,
        )
    else:
        kept = _kept_one_by_one(
            now,
            plan,
            function,
            pass_over,
        )
    return now.selected(kept)


def _kept_of_blocks(
    now: Reading,
    plan: Plan,
    function: Predicate,
    pass_over: PassOver,
) -> np.ndarray:
    kept = [np.zeros(0, np.int64)]
    for block in blocks(now, plan, pass_over):
        if not len(block.indices):
            continue
        try:
            given = function(plan.assemble(block.columns))
            mask = _mask(given, block)
        except Exception as error:
            _note(
                error,
                now,
                block.indices[0],
                f", and the {len(block.indices)} of its batch",
            )
            raise
        kept.append(block.indices[mask])
    return np.concatenate(kept)


def _mask(given: Any, block: Block) -> np.ndarray:
    """Return what a function has returned for a block as a mask: bool, (n,).

    Raises:
        TypeError: it is no mask.
        ValueError: it is of another number of records.
    """
    try:
        mask = as_column(given)
    except SchemaError as error:
        raise TypeError(f"a batched filter returns a mask: {error.message}") from None
    if mask is None:
        mask = np.asarray(given)
    mask = np.ma.filled(mask, False)
    if mask.dtype != bool or mask.ndim != 1:
        what = f"{mask.dtype} with shape {mask.shape}"
        raise TypeError(f"a batched filter returns a mask, one bool for each record, not {what}")
    count = len(block.indices)
    if len(mask) != count:
        raise ValueError(f"a batched filter returned a mask of {len(mask)} for {count} records")
    return mask


def _kept_one_by_one(
    now: Reading,
    plan: Plan,
    function: Predicate,
    pass_over: PassOver,
) -> np.ndarray:
    kept = []
    size = _WINDOW
    if plan.plain:
        size = _WINDOW_OF_NUMBERS
    count = now.count()
    for start in range(0, count, size):
        stop = min(start + size, count)
        which = range(start, stop)
        samples = _samples_together(now, plan, which)
        if samples is None:
            kept += _kept_of_readable(now, plan, which, function, pass_over)
            continue
        for index, sample in zip(which, samples):
            if _is_kept(function, sample, now, index):
                kept.append(index)
    return np.array(kept, np.int64)


def _samples_together(
    now: Reading,
    plan: Plan,
    which: range,
) -> Any:
    """Return the samples of records that have nothing but numbers; None if others do, or damage.

    For those that are read one by one, the storage is asked for all of them.
    """
    snapshot = now.snapshot()
    positions = as_array(now.positions(slice(which.start, which.stop), snapshot))
    if plan.plain:
        try:
            return map(plan.assemble, rows(snapshot, positions, plan))
        except CorruptError:  # one by one, so that those before it come first
            return None
    snapshot.announce(positions, plan)
    return None


def _kept_of_readable(
    now: Reading,
    plan: Plan,
    which: range,
    function: Predicate,
    pass_over: PassOver,
) -> list[int]:
    kept = []
    for index in which:
        try:
            sample = read_one(now, plan, index)
        except UNREADABLE as error:
            if pass_over is None:
                raise
            pass_over(error)
            continue
        if _is_kept(function, sample, now, index):
            kept.append(index)
    return kept


def _is_kept(
    function: Predicate,
    sample: Any,
    now: Reading,
    index: int,
) -> bool:
    try:
        return bool(function(sample))
    except Exception as error:
        _note(error, now, index)
        raise


def _note(
    error: Exception,
    now: Reading,
    index: Any,
    others: str = "",
) -> None:
    """Add a note that the function has raised an error, and at which record of the whole list."""
    snapshot = now.snapshot()
    where = in_words(snapshot.file, now.position(index, snapshot))
    annotate(error, f"{where}{others}, in the function of filter")
