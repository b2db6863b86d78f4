"""Steps of an epoch that are made ahead: cut into parts, done by threads, finished in order."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from dsrecords._loader.assembly import Assembly, Stop, StoppedError
from dsrecords._loader.buffers import Buffers
from dsrecords._loader.order import Steps
from dsrecords._loader.structure import Structure, common
from dsrecords._loader.work import Done


class Batch(NamedTuple):
    """A finished batch.

    Attributes:
        value: what the caller gets; None if all samples were left out.
        samples: how many it has.
        left_out: errors of samples that it lacks.
    """

    value: Any
    samples: int
    left_out: list[Any]


class Step:
    """One batch that is being made.

    Args:
        samples: of which it is to be.
        rows: how many of them are one part.
        buffers: where the memory comes from.
        stopped: set when nobody waits for batches any more.

    Attributes:
        number: of the step in the epoch.
        indices, draws: of its samples, as those of `Steps`.
        assembly: its columns.
        starts: first rows of the parts.
    """

    def __init__(self, samples: Steps, rows: int, buffers: Buffers, stopped: Stop) -> None:
        self.number = samples.numbers[-1]
        self.indices = samples.indices
        self.draws = samples.draws
        self.assembly = Assembly(len(self.indices), buffers, stopped)
        self.starts = range(0, len(self.indices), rows)
        self._rows = rows
        self._lock = threading.Lock()
        self._left = len(self.starts)
        self._done: dict[int, Done] = {}
        self._errors: dict[int, BaseException] = {}
        self._has_failed = False
        self._is_wanted = True
        self._batch: Batch | None = None
        self._is_made = threading.Lock()
        self._is_made.acquire()

    def span(self, start: int) -> tuple[int, int]:
        """Return the first row of a part, and the one behind it."""
        return start, min(start + self._rows, len(self.indices))

    # What threads say

    def note(self, start: int, done: Done | None, error: BaseException | None) -> bool:
        """Remember how a part has ended; return whether it was the last one."""
        with self._lock:
            if error is not None:
                self._remember(start, error)
            elif done is not None:
                self._done[start] = done
            self._left -= 1
            return self._left == 0

    def _remember(self, start: int, error: BaseException) -> None:
        self._has_failed = True
        if self._is_wanted:
            self._errors[start] = error

    def has_failed(self) -> bool:
        """Return whether a part has, once all have ended."""
        return self._has_failed

    def structure(self) -> Structure | None:
        """Return what the batch is; None if all samples were left out.

        Raises:
            SchemaError: samples have different keys.
        """
        return common(self._done[start].structure for start in sorted(self._done))

    def left_out(self) -> list[Any]:
        """Return the errors of the samples that were left out, in their order."""
        errors = []
        for start in sorted(self._done):
            errors += self._done[start].errors
        return errors

    def finish(self, batch: Batch | None, error: BaseException | None) -> None:
        """Let the caller have the batch, or the error; without either, that of the first part."""
        with self._lock:
            if error is not None:
                self._remember(0, error)
        self._batch = batch
        self._is_made.release()

    # What the caller asks

    def result(self) -> Batch:
        """Wait for the batch. To be called once.

        Raises:
            StoppedError: nobody wants batches any more.
            Exception: what the first part that failed has raised, whichever failed first.
        """
        with self._is_made:
            batch = self._batch
        if batch is not None:
            return batch
        errors = self._forget()
        if not errors:
            raise StoppedError
        first = min(errors)
        try:
            raise errors[first]
        finally:
            errors.clear()

    def give_up(self) -> None:
        """Say that nobody will ask for the batch."""
        self._forget()

    def _forget(self) -> dict[int, BaseException]:
        """Return the errors. Their frames refer to the step, so it must not refer to them."""
        with self._lock:
            self._is_wanted = False
            errors = self._errors
            self._errors = {}
        return errors
