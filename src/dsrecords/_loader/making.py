"""Making batches: cut into parts for threads, put together by the thread that ends last."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from dsrecords._loader.assembly import Stop
from dsrecords._loader.buffers import Buffers
from dsrecords._loader.finishing import Finisher
from dsrecords._loader.keys import Key
from dsrecords._loader.order import Steps
from dsrecords._loader.processes import Processes
from dsrecords._loader.randomness import Randomness
from dsrecords._loader.reader import Reader, Samples, Target
from dsrecords._loader.steps import Batch, Step
from dsrecords._loader.threads import Executor
from dsrecords._loader.times import UNMEASURED, Times
from dsrecords._loader.work import Done, Task, do, put_returned

_LARGEST_PART = 32  # samples that one thread decodes or transforms
_SMALLEST_PART = 4
_PART_BYTES = 2**23  # about as much of arrays as one thread copies: a part has its own costs


class Targets:
    """Which columns can be read into memory that is given: learned from a batch.

    Attributes:
        by_key: by field, dtype and shape of a row. It is replaced and never changed, as other
            threads go through it.
        row_bytes: of a row of all these columns.
        is_known: whether there was a batch.
    """

    def __init__(self) -> None:
        self.by_key: Mapping[Key, Target] = {}
        self.row_bytes = 0
        self.is_known = False

    def learn(self, by_key: Mapping[Key, Target]) -> None:
        """Remember what a batch has shown."""
        row_bytes = 0
        for dtype, row_shape in by_key.values():
            row_bytes += dtype.itemsize * math.prod(row_shape)
        self.row_bytes = row_bytes
        self.by_key = by_key
        self.is_known = True


class Maker:
    """Makes the batches of an epoch. Threads have it, and nothing that refers to the iteration.

    Args:
        reader, finisher: what is done.
        buffers: where memory comes from.
        processes: that read in the place of threads, or None.
        leaves_out: whether samples that cannot be read are left out.
        num_threads: that make parts.
        targets: learned from the first batch, and the same object for all epochs.

    Attributes:
        times: what it took.
        stopped: set when nobody waits for batches any more.
    """

    def __init__(
        self,
        reader: Reader,
        finisher: Finisher,
        buffers: Buffers,
        processes: Processes | None,
        leaves_out: bool,
        num_threads: int,
        targets: Targets,
    ) -> None:
        self._reader = reader
        self._finisher = finisher
        self._buffers = buffers
        self._processes = processes
        self._leaves_out = leaves_out
        self._num_threads = max(num_threads, 1)
        self._targets = targets
        self.times = Times()
        self.stopped = Stop()

    def begin(self, samples: Steps, randomness: Randomness, executor: Executor) -> Step:
        """Begin to make a step."""
        if self._processes is None:  # else they read, and what came here would be read twice
            self._reader.prefetch(samples.indices)
        rows = self._part_rows(len(samples.indices))
        step = Step(samples, rows, self._buffers, self.stopped)
        is_measured = self.times.measures_next()
        for start in step.starts:
            executor.submit(self._make, step, start, randomness, is_measured)
        if not step.starts:
            step.finish(Batch(None, 0, []), None)
        return step

    def _part_rows(self, count: int) -> int:
        """How many rows of a batch one thread makes."""
        each = -(-count // self._num_threads)
        if self._reader.is_costly:
            return min(_LARGEST_PART, max(_SMALLEST_PART, each))
        row_bytes = self._targets.row_bytes
        if row_bytes * count <= 2 * _PART_BYTES:
            return max(count, 1)
        return max(_PART_BYTES // row_bytes, 1)

    def _make(
        self,
        step: Step,
        start: int,
        randomness: Randomness,
        is_measured: bool,
    ) -> None:
        """Make a part, and the batch if it is the last one. Whatever goes wrong is its result."""
        times: Times = UNMEASURED
        began = 0.0
        if is_measured:
            times = Times()
            began = time.thread_time()
        try:
            self.stopped.check()
            done = self._done(step, start, randomness, times)
        except BaseException as error:  # noqa: BLE001 - it is raised where the batch is asked for
            is_last = step.note(start, None, error)
        else:
            is_last = step.note(start, done, None)
        if is_last:
            self._finish(step, randomness, times)
        if is_measured:
            times.processor += time.thread_time() - began
            self.times.add(times)

    def _done(self, step: Step, start: int, randomness: Randomness, times: Times) -> Done:
        first, stop = step.span(start)
        part = step.assembly.part(first, stop)
        whole = Samples(step.indices, step.draws, randomness)
        samples = whole.within(first, stop)
        task = Task(samples, self._leaves_out)
        times.count_part(samples.indices)
        if self._processes is None:
            return do(self._reader, task, part, self._targets.by_key, times)
        began = time.perf_counter()
        returned = self._processes.do(task, self.stopped)
        put_returned(part, returned)
        times.sent += time.perf_counter() - began - returned.times.work()
        times.add(returned.times)
        return returned.done

    def _finish(self, step: Step, randomness: Randomness, times: Times) -> None:
        if step.has_failed():
            step.finish(None, None)
            return
        try:
            batch = self._finisher.finished(step, randomness, self._buffers, times)
        except BaseException as error:  # noqa: BLE001 - it is raised where the batch is asked for
            step.finish(None, error)
            return
        if self._processes is None and not self._targets.is_known:
            arrays = step.assembly.arrays()
            self._targets.learn(self._reader.targets_of(arrays))
        step.finish(batch, None)
