"""One sample after the other: looping over a dataset, and the samples that a loader asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from dsrecords._dataset.options import Transform
from dsrecords._dataset.reading import Reading
from dsrecords._dataset.skipping import UNREADABLE, OnError, Skipped, pass_over
from dsrecords._read.batch import as_array, rows
from dsrecords._read.selection import position
from dsrecords._read.snapshot import Snapshot
from dsrecords.errors import CorruptError, annotate, in_words

ReadMany = Callable[[Snapshot, np.ndarray], list[Any]]

_WINDOW = 256  # records that are asked for ahead of the loop
_RUN = 64  # records that are made together
_LARGEST_WINDOW = 4096  # of records that are numbers only


class Samples:
    """The samples of a list, in its order. What cannot be read is left out if `on_error` says so.

    Args:
        reading: the list.
        transform: called with each sample.
        on_error: what to do at a record that cannot be read.
        skipped: to which "skip" adds the errors.
    """

    def __init__(
        self,
        reading: Reading,
        transform: Transform | None,
        on_error: OnError,
        skipped: Skipped,
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
            if self._reading.options.drop_behind:
                self._snapshot.release(window)

    def _windows(self, largest: int) -> Iterator[np.ndarray]:
        """Yield the positions, window after window; each is announced before the last is read."""
        last: np.ndarray | None = None
        for window in self._cut(largest):
            self._announce(window)
            if last is not None:
                yield last
            last = window
        if last is not None:
            yield last

    def _cut(self, largest: int) -> Iterator[np.ndarray]:
        """Yield the positions, window after window.

        Those of several windows are made together, as a formula takes longer for each apart.
        """
        positions = self._reading.positions(slice(None), self._snapshot)
        size = _WINDOW
        start = 0
        while start < len(positions):
            made = as_array(positions[start : start + size])
            for first in range(0, len(made), largest):
                yield made[first : first + largest]
            start += size
            size = min(4 * size, _LARGEST_WINDOW)

    def _announced(self, key: Any) -> np.ndarray:
        """Return the positions at some indices; the kernel is asked for all of them."""
        found = self._reading.positions(key, self._snapshot)
        positions = as_array(found)
        self._announce(positions)
        return positions

    def _announce(self, positions: np.ndarray) -> None:
        """Ask the kernel for the records at some positions."""
        self._snapshot.announce(positions, self._reading.fields.all)

    def _together(self, window: np.ndarray) -> Iterator[Any]:
        """Read records of numbers at once: several times faster than one by one."""
        read_many = self._reading.fields.all.read_many
        if read_many is None or not self._snapshot.is_of_log:
            return self._in_columns(window)
        return self._in_runs(window, read_many)

    def _in_runs(self, window: np.ndarray, read_many: ReadMany) -> Iterator[Any]:
        """Read records of numbers by C: few at a time, so that their memory is used again."""
        for start in range(0, len(window), _RUN):
            run = window[start : start + _RUN]
            samples = read_many(self._snapshot, run)
            if len(samples) < len(run):  # it is left to Python, as all the rest may be
                yield from self._in_columns(window[start:])
                return
            if self._transform is None:
                yield from samples
            else:
                yield from self._transformed(samples, run)

    def _in_columns(self, window: np.ndarray) -> Iterator[Any]:
        """Read records of numbers by NumPy, as columns that are taken apart again."""
        plan = self._reading.fields.all
        try:
            values = rows(self._snapshot, window, plan)
        except CorruptError:  # one by one, so that the loop comes to what is damaged in its turn
            return self._one_by_one(window)
        samples = iter(values)
        if plan.shape is not tuple:
            samples = map(plan.assemble, values)
        if self._transform is None:
            return samples
        return self._transformed(samples, window)

    def _transformed(self, samples: Iterable[Any], window: np.ndarray) -> Iterator[Any]:
        transform: Any = self._transform
        for sample, i in zip(samples, window.tolist()):
            try:
                made = transform(sample)
            except Exception as error:
                note_record(error, self._snapshot, i)
                raise
            yield made

    def _one_by_one(self, window: np.ndarray) -> Iterator[Any]:
        read = self._reading.read
        snapshot = self._snapshot
        transform = self._transform
        for i in window.tolist():
            try:
                sample = read(snapshot, i)
            except UNREADABLE as error:
                pass_over(error, self._on_error, self._skipped)
                continue
            if transform is not None:
                sample = transformed(transform, sample, snapshot, i)
            yield sample


def transformed(
    transform: Transform,
    sample: Any,
    snapshot: Snapshot,
    index: int,
) -> Any:
    """Return what `transform` makes of a sample. What it raises gets a note that says of which."""
    try:
        return transform(sample)
    except Exception as error:
        note_record(error, snapshot, index)
        raise


def note_record(error: Exception, snapshot: Snapshot, index: int) -> None:
    """Add a note that a transform has raised an error, and of which sample."""
    where = in_words(snapshot.file, position(index, len(snapshot.entries)))
    annotate(error, f"{where}, in transform")
