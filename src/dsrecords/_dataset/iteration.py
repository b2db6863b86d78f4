"""One sample after the other: looping over a dataset, and the samples that a loader asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dsrecords._dataset.options import OnError, Transform
from dsrecords._dataset.reading import Reading
from dsrecords._read.batch import as_array, rows
from dsrecords._read.prefetch import prefetch
from dsrecords.errors import CorruptError

_WINDOW = 256  # records that are asked for ahead of the loop
_LARGEST_WINDOW = 4096  # of records that are numbers only


class Samples:
    """The samples of a list, in its order. Damaged records are left out where `on_error` says so.

    Args:
        reading: the list.
        transform: called with each sample.
        on_error: what to do at a damaged record.
        skipped: a list to which "skip" adds the errors.
    """

    def __init__(
        self,
        reading: Reading,
        transform: Transform | None,
        on_error: OnError,
        skipped: list[CorruptError],
    ) -> None:
        self._reading = reading
        self._transform = transform
        self._on_error = on_error
        self._skipped = skipped
        self._snapshot = reading.snapshot()

    def at(self, indices: Any) -> list[Any]:
        """Return the samples at some indices; the kernel is asked for all of them first."""
        positions = self._announced(indices)
        return list(self._one_by_one(positions))

    def __iter__(self) -> Iterator[Any]:
        read = self._one_by_one
        largest = _WINDOW
        if self._reading.fields.all.plain:
            read = self._together
            largest = _LARGEST_WINDOW
        for window in self._windows(largest):
            yield from read(window)

    def _windows(self, largest: int) -> Iterator[np.ndarray]:
        """Yield the positions, window after window; each is announced before the last is read."""
        stop = 0
        size = _WINDOW
        following = self._announced(slice(0, size))
        while len(following):
            window = following
            stop += len(window)
            size = min(4 * size, largest)
            following = self._announced(slice(stop, stop + size))
            yield window

    def _announced(self, key: Any) -> np.ndarray:
        """Return the positions at some indices; the kernel is asked for all of them."""
        snapshot = self._snapshot
        found = self._reading.positions(key, snapshot)
        positions = as_array(found)
        rows_ahead = snapshot.rows_at(positions)
        heads_only = not self._reading.fields.all.payloads
        prefetch(snapshot, rows_ahead, heads_only)
        return positions

    def _together(self, window: np.ndarray) -> Iterator[Any]:
        """Read records of numbers at once: several times faster than one by one."""
        plan = self._reading.fields.all
        try:
            values = rows(self._snapshot, window, plan)
        except CorruptError:  # one by one, so that the loop comes to what is damaged in its turn
            return self._one_by_one(window)
        samples = iter(values)
        if plan.shape is not tuple:
            samples = map(plan.assemble, values)
        transform = self._transform
        if transform is None:
            return samples
        return (transform(sample) for sample in samples)

    def _one_by_one(self, window: np.ndarray) -> Iterator[Any]:
        read = self._reading.read
        snapshot = self._snapshot
        transform = self._transform
        for position in window.tolist():
            try:
                sample = read(snapshot, position)
            except CorruptError as error:
                if self._on_error == "raise":
                    raise
                self._pass_over(error)
                continue
            yield sample if transform is None else transform(sample)

    def _pass_over(self, error: CorruptError) -> None:
        if callable(self._on_error):
            self._on_error(error)
        else:
            self._skipped.append(error)
