"""Where a dataset is cut into ranges of about equal sizes, of which each is read by one task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsrecords.dataset import IndexedRecordDataset
from dsrecords.errors import CorruptError

_ALL = 2**16  # records of which each is looked at
_SPOTS = 256  # places of more records that are looked at, evenly spread
_RUN = 64  # records that are looked at there
_OF_VALUE = 4  # bytes that Arrow needs besides a value, about
_UNKNOWN = 2**17  # bytes that a record is taken for where the index is damaged
_NEAR = 4  # a file's beginning that is nearer than a 4th of a range is taken for a bound


class Sizes:
    """How large the records of a dataset are together, up to each of them; from the index.

    Of more than 65,536 records, 16,384 are looked at.

    Args:
        dataset: or a view.

    Raises:
        SchemaError: it is a file of dsrecords 0.4.
        CorruptError: a record that was looked at is not what was written.
    """

    def __init__(self, dataset: IndexedRecordDataset) -> None:
        count = len(dataset)
        if count <= _ALL:
            edges = np.arange(count + 1)
            sizes = sizes_of(dataset)
        else:
            edges = np.linspace(0, count, _SPOTS + 1).astype(np.int64)
            sizes = _estimated(dataset, edges)
        self._edges = edges
        self._up_to = np.concatenate([[0.0], np.cumsum(sizes)])

    def total(self) -> int:
        """Return how many bytes all records take."""
        return int(self._up_to[-1])

    def between(self, start: int, stop: int) -> int:
        """Return how many bytes the records from one position to another take."""
        up_to = np.interp(
            [start, stop],
            self._edges,
            self._up_to,
        )
        return int(up_to[1] - up_to[0])

    def bounds(self, count: int) -> list[int]:
        """Return where ranges of equal sizes begin, and where the last one ends.

        Args:
            count: how many there are to be. There are fewer of fewer records.
        """
        shares = np.linspace(0, self._up_to[-1], count + 1)
        found = np.interp(
            shares,
            self._up_to,
            self._edges,
        )
        inner = np.round(found[1:-1])
        bounds = set(inner.astype(int).tolist())
        bounds.add(0)
        bounds.add(int(self._edges[-1]))
        return sorted(bounds)


def _estimated(dataset: IndexedRecordDataset, edges: np.ndarray) -> np.ndarray:
    """Return how many bytes the records between two edges take, as the first of them tell."""
    starts = edges[:-1, np.newaxis]
    indices = starts + np.arange(_RUN)
    looked_at = sizes_of(dataset[indices.ravel()])
    means = looked_at.reshape(_SPOTS, _RUN).mean(axis=1)
    sizes: np.ndarray = means * np.diff(edges)
    return sizes


def sizes_of(dataset: IndexedRecordDataset) -> np.ndarray:
    """Return how many bytes each record takes in memory, as it is stored: int64, (n,).

    Raises:
        CorruptError: the index does not tell, and `on_error` is to raise.
    """
    sizes = np.zeros(len(dataset), np.int64)
    try:
        for field in dataset.fields:
            stored = dataset.stored_sizes(field)
            sizes += np.maximum(stored, 0)
            sizes += _OF_VALUE
    except CorruptError:
        if dataset.on_error == "raise":
            raise
        sizes[:] = _UNKNOWN
    return sizes


def at_files(dataset: IndexedRecordDataset, bounds: Sequence[int]) -> list[int]:
    """Return bounds, of which those near the first record of a file are moved to it.

    So fewer files are opened by two tasks.
    """
    ranges = len(bounds) - 1
    if len(dataset.files) == 1 or ranges < 2:
        return list(bounds)
    near = bounds[-1] // ranges // _NEAR
    moved = {bounds[0], bounds[-1]}
    for bound in bounds[1:-1]:
        first = _first_of_file(dataset, bound, near)
        moved.add(first)
    return sorted(moved)


def _first_of_file(
    dataset: IndexedRecordDataset,
    bound: int,
    near: int,
) -> int:
    """Return the position near a bound at which a file begins; the bound, if there is none."""
    later = min(bound + near, len(dataset) - 1)
    for position in (bound, later):
        path, number = dataset.shard_of(position)
        first = position - number
        if first <= 0 or abs(first - bound) > near:
            continue
        # In a view, a position says nothing of those before it.
        if dataset.shard_of(first) == (path, 0):
            return first
    return bound


def files_of(
    dataset: IndexedRecordDataset,
    start: int,
    stop: int,
) -> list[str] | None:
    """Return the files that a range of records is in; None if only reading would tell."""
    paths = list(dataset.files)
    if len(paths) == 1:
        return paths
    last = stop - 1
    path, number = dataset.shard_of(start)
    if dataset.shard_of(last) == (path, number + last - start):
        return [path]
    return None
