"""Columns of a list, a block of records at a time, for what sorts, counts, filters and splits.

What cannot be read is left out if `on_error` says so: hence each block says which records it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._dataset.skipping import UNREADABLE
from dsrecords._read.plan import Plan

BLOCK = 2**16
"""Records of a block whose fields are read from the heads of records."""

_SMALL_BLOCK = 256  # records of which payloads are read: images of so many fit into memory


class Block(NamedTuple):
    """Columns of some records.

    Attributes:
        indices: of the records in the list: int64, (n,), ascending.
        columns: one for each field that was read, of n values: see `IndexedRecordDataset.batch`.
    """

    indices: np.ndarray
    columns: list[Any]


def blocks(
    reading: Reading,
    plan: Plan,
    pass_over: PassOver,
    size: int = 0,
) -> Iterator[Block]:
    """Yield columns of all records of a list.

    Args:
        reading: the list; nobody may edit it meanwhile, so it is a view.
        plan: what to read.
        pass_over: called with the error of a record that cannot be read, which is left out; None:
            the error is raised.
        size: records of a block; by default as many as fit into memory, whatever they hold.
    """
    if not size:
        size = _SMALL_BLOCK if plan.payloads else BLOCK
    count = reading.count()
    for start in range(0, count, size):
        stop = min(start + size, count)
        yield _block(reading, plan, range(start, stop), pass_over)


def _block(
    reading: Reading,
    plan: Plan,
    which: range,
    pass_over: PassOver,
) -> Block:
    try:
        columns = reading.columns(plan, slice(which.start, which.stop))
    except UNREADABLE as error:
        if pass_over is None or error.record is None:
            raise
    else:
        return Block(np.arange(which.start, which.stop), columns)
    readable = []
    for index in which:
        try:
            read_one(reading, plan, index)
        except UNREADABLE as error:
            pass_over(error)
        else:
            readable.append(index)
    indices = np.array(readable, np.int64)
    return Block(indices, reading.columns(plan, indices))


def read_one(reading: Reading, plan: Plan, index: int) -> Any:
    """Return what a plan reads of one record of a list. Raises as reading it does."""
    snapshot = reading.snapshot()
    found = reading.position(index, snapshot)
    return plan.read(snapshot, found)
