"""Where the time of a loader goes: measured by each thread, for each part of a batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # of Windows
    resource = None  # type: ignore[assignment]

# What the work of a part consists of.
READ = "read"
DECODE = "decode"
TRANSFORM = "transform"
COLLATE = "collate"
COPY = "copy"
STAGES = (READ, DECODE, TRANSFORM, COLLATE, COPY)

# Measuring a part takes some 20 µs. Of parts that take less than this, few are measured.
_QUICK = 2e-3  # seconds
_EVERY = 32  # one in so many
_FIRST = 8  # parts that are measured before that is decided
_RECENT = 64  # parts whose samples are remembered

# Only Linux counts what a single thread has done.
_THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)
_BLOCK = 512  # bytes: what getrusage(2) counts as one block, on Linux


class Spent:
    """What one stage has taken: added up over threads.

    Attributes:
        wall: seconds.
        processor: seconds of processor time.
        disk: seconds without the processor, of executions in which the disk was read.
        faults: how often a thread had to wait for a page from the disk (see getrusage(2)).
        disk_bytes: that this thread had the disk read.
    """

    __slots__ = ("disk", "disk_bytes", "faults", "processor", "wall")

    def __init__(self) -> None:
        self.wall = 0.0
        self.processor = 0.0
        self.disk = 0.0
        self.faults = 0
        self.disk_bytes = 0

    @property
    def idle(self) -> float:
        """Seconds in which it waited, but not for the disk: for Python's lock, or for a core."""
        return max(self.wall - self.processor - self.disk, 0.0)

    def add(self, other: Spent) -> None:
        """Add what was measured elsewhere."""
        self.wall += other.wall
        self.processor += other.processor
        self.disk += other.disk
        self.faults += other.faults
        self.disk_bytes += other.disk_bytes


class Times:
    """What the stages of an iteration have taken, and how often there was nothing to do.

    Stages, bytes and rows are those of the parts that were measured: of parts that take less than
    two milliseconds, one in 32. All else is of the whole iteration.

    Attributes:
        stages: by name.
        parts: how many were measured.
        rows: how many samples these have.
        batches, samples: how many were delivered.
        stored_bytes: how many bytes of pictures were read, as they are stored.
        batch_bytes: how many bytes the arrays of the batches have.
        processor: seconds of processor time, of all that was done for these parts.
        sent: seconds that threads waited for worker processes, besides the work that these did.
        waited: seconds that the caller waited for batches.
        consumed: seconds that the caller took between them.
        recent: indices of the samples of the last parts: each int64, (n,).
    """

    def __init__(self) -> None:
        self.stages = {name: Spent() for name in STAGES}
        self.parts = 0
        self.rows = 0
        self.batches = 0
        self.samples = 0
        self.stored_bytes = 0
        self.batch_bytes = 0
        self.processor = 0.0
        self.sent = 0.0
        self.waited = 0.0
        self.consumed = 0.0
        self.recent: deque[np.ndarray] = deque(maxlen=_RECENT)
        self._begun = 0
        self._measures_all = True
        self._lock = threading.Lock()

    def measures_next(self) -> bool:
        """Decide whether the next step is measured."""
        self._begun += 1
        return self._measures_all or self._begun % _EVERY == 0

    def work(self) -> float:
        """Return the seconds that all stages have taken."""
        return sum(spent.wall for spent in self.stages.values())

    def add(self, other: Times) -> None:
        """Add what was measured elsewhere, in a thread or a process."""
        with self._lock:
            for name, spent in other.stages.items():
                self.stages[name].add(spent)
            self.parts += other.parts
            self.rows += other.rows
            self.stored_bytes += other.stored_bytes
            self.batch_bytes += other.batch_bytes
            self.processor += other.processor
            self.sent += other.sent
            self.recent.extend(other.recent)
            self._measures_all = self.parts < _FIRST or self.work() > _QUICK * self.parts

    def count_part(self, indices: np.ndarray) -> None:
        """Count a part, and remember its samples."""
        self.parts += 1
        self.rows += len(indices)
        self.recent.append(indices)

    def stage(self, name: str) -> _Stage:
        """Measure what this thread does meanwhile. One `Times` is one thread's at a time."""
        return _Stage(self.stages[name])

    def __getstate__(self) -> dict[str, object]:
        state = dict(vars(self))
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()


class Unmeasured(Times):
    """Takes the place of `Times` where nothing is to be measured. Threads may share it."""

    def add(self, other: Times) -> None:
        """Leave it out."""

    def count_part(self, indices: np.ndarray) -> None:
        """Leave it out."""

    def stage(self, name: str) -> Any:
        """Measure nothing."""
        return _NOTHING


class _Stage:
    """Adds what one thread does within a `with` block to a `Spent`."""

    __slots__ = ("_processor", "_spent", "_usage", "_wall")

    def __init__(self, spent: Spent) -> None:
        self._spent = spent

    def __enter__(self) -> None:
        self._usage = usage()
        self._wall = time.perf_counter()
        self._processor = time.thread_time()

    def __exit__(self, *exception: object) -> None:
        # In this order a thread that is held up between two clocks seems to have waited.
        processor = time.thread_time() - self._processor
        wall = time.perf_counter() - self._wall
        spent = self._spent
        spent.wall += wall
        spent.processor += processor
        before = self._usage
        now = usage()
        if now is None or before is None:
            return
        faults = now.ru_majflt - before.ru_majflt
        blocks = now.ru_inblock - before.ru_inblock
        if faults or blocks:
            spent.faults += faults
            spent.disk_bytes += _BLOCK * blocks
            spent.disk += max(wall - processor, 0.0)


class _Nothing:
    """Measures nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass


_NOTHING = _Nothing()
UNMEASURED = Unmeasured()


def usage() -> Any:
    """What this thread has done so far; None where that is not counted."""
    if _THREAD is None:
        return None
    return resource.getrusage(_THREAD)
