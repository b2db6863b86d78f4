"""One sample after the other: looping over a dataset, and the samples that a loader asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dsrecords._dataset.options import Transform
from dsrecords._dataset.reading import Reading
from dsrecords._dataset.skipping import UNREADABLE, OnError, Skipped, pass_over
from dsrecords._read.batch import as_array, rows
from dsrecords._read.selection import position
from dsrecords._read.snapshot import Snapshot
from dsrecords.errors import CorruptError, annotate, in_words

_WINDOW = 256  # records that are asked for ahead of the loop
_PAUSE = 16  # records that Python reads before C is asked again
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
        runs = self._runs_of(positions, is_plain=False)
        return list(itertools.chain.from_iterable(runs))

    def __iter__(self) -> Iterator[Any]:
        # So that no generator stands between a loop and what makes the samples.
        return itertools.chain.from_iterable(self._runs())

    def _runs(self) -> Iterator[Iterable[Any]]:
        """Yield the samples of window after window, in one or more runs each."""
        is_plain = self._reading.fields.all.plain is not None
        largest = _LARGEST_WINDOW if is_plain else _WINDOW
        for window in self._windows(largest):
            for run in self._runs_of(window, is_plain):
                yield run
                if isinstance(run, _InPython) and not run.is_whole:
                    return  # as a loop that an error has ended
            if self._reading.options.drop_behind:
                self._snapshot.release(window)

    def _runs_of(
        self,
        window: np.ndarray,
        is_plain: bool,
    ) -> Iterator[Iterable[Any]]:
        """Yield the samples of a window in runs: by C, and what is left to Python by Python."""
        samples = self._reading.fields.all.samples
        if samples is None or not self._snapshot.is_of_log:
            yield self._in_python(window, is_plain)
            return
        done = 0
        while done < len(window):
            left = window[done:]
            run = samples(self._snapshot, np.ascontiguousarray(left))
            if self._transform is None:
                yield run
            else:
                yield _InPython(self._transformed(run, left))
            left = left[run.done :]
            if done == 0 or run.done:
                left = left[:_PAUSE]  # else all the rest may be left to Python
            done += run.done + len(left)
            if len(left):
                yield self._in_python(left, is_plain)

    def _in_python(self, window: np.ndarray, is_plain: bool) -> _InPython:
        """The samples of some records, read by Python: those of numbers at once."""
        if is_plain:
            return _InPython(self._in_columns(window))
        return _InPython(self._one_by_one(window))

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


class _InPython:
    """Samples that an iterator of Python's makes.

    Attributes:
        is_whole: whether all of them were made; not if there was an error instead of one.
    """

    def __init__(self, samples: Iterator[Any]) -> None:
        self._samples = samples
        self.is_whole = False

    def __iter__(self) -> Iterator[Any]:
        yield from self._samples
        self.is_whole = True


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
