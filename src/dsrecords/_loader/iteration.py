"""One iteration of a loader: threads make steps ahead, which are delivered in order."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from dsrecords._loader.assembly import StoppedError
from dsrecords._loader.making import Maker
from dsrecords._loader.order import GivenBatches, Steps, steps_from
from dsrecords._loader.randomness import Randomness
from dsrecords._loader.steps import Batch, Step
from dsrecords._loader.threads import Executor, Inline, Threads
from dsrecords._order.sampler import Sampler

_SINGLES = 32  # samples that are made together where the caller gets one at a time


class _Begun(NamedTuple):
    """Steps that threads make together: which, and what comes of them."""

    samples: Steps
    step: Step


class Iteration:
    """An epoch, or what is left of one. Its threads end with it, also if it is abandoned.

    Args:
        maker: of the batches.
        sampler: says what they have; it is told what was delivered.
        num_threads: 0: each batch is made when it is asked for.
        prefetch: batches that are made ahead.
        is_current: tells whether no later iteration of the loader was begun.
    """

    def __init__(
        self,
        maker: Maker,
        sampler: Sampler | GivenBatches,
        num_threads: int,
        prefetch: int,
        is_current: Callable[[], bool],
    ) -> None:
        self._maker = maker
        self._sampler = sampler
        self._num_threads = num_threads
        self._prefetch = prefetch
        self._is_current = is_current
        self._process = os.getpid()
        self._executor: Executor = Inline()
        self._waiting: deque[_Begun] = deque()
        self._parts = 0  # of the steps that wait

    def batches(self) -> Iterator[Batch]:
        """Begin the epoch; return an iterator over its batches, in their order.

        It raises:
            RuntimeError: a later iteration was begun, or this is a fork of its process.
            Exception: what making a batch has raised.
        """
        sampler = self._sampler
        step = sampler.begin()
        return self._batches(step, sampler.epoch)

    def _batches(self, step: int, epoch: int) -> Iterator[Batch]:
        self._check()
        sampler = self._sampler
        if sampler.epoch != epoch:
            return
        randomness = Randomness(sampler.seed, epoch)
        steps = steps_from(sampler, step, _SINGLES)
        if self._num_threads:
            self._executor = Threads(self._num_threads, self._maker.stopped)
        try:
            self._executor.start()
            while True:
                self._fill(steps, randomness)
                if not self._waiting:
                    self._end()
                    return
                for batch, following in self._next(randomness):
                    sampler.advance(following)
                    handed_over = time.perf_counter()
                    yield batch
                    self._maker.times.consumed += time.perf_counter() - handed_over
                    self._check()
                    if sampler.epoch != epoch:  # it was told of another one meanwhile
                        return
        finally:
            self.stop()

    def _end(self) -> None:
        """Count the last steps as made, of which this rank may have no sample."""
        if not self._sampler.yields_batches:
            self._sampler.advance(len(self._sampler))

    def _fill(self, steps: Iterator[Steps], randomness: Randomness) -> None:
        """Begin steps until as many are made ahead as there should be."""
        while not self._is_full():
            samples = next(steps, None)
            if samples is None:
                return
            step = self._maker.begin(samples, randomness, self._executor)
            self._waiting.append(_Begun(samples, step))
            self._parts += len(step.starts)

    def _is_full(self) -> bool:
        ahead = len(self._waiting)
        if not self._num_threads:
            return ahead > 0
        if ahead <= self._prefetch:
            return False
        return self._parts >= 2 * self._num_threads

    def _next(self, randomness: Randomness) -> Iterator[tuple[Batch, int]]:
        """Wait for the next step; yield what it has, each with the number of the step behind it."""
        samples, step = self._waiting.popleft()
        self._parts -= len(step.starts)
        if self._sampler.yields_batches:
            yield self._result(step), samples.numbers[0] + 1
            return
        batch = None
        try:
            batch = self._result(step)
        except Exception:
            if len(samples.numbers) == 1:
                raise
        if batch is None:
            yield from self._alone(samples, randomness)
            return
        rows = np.flatnonzero(step.assembly.kept).tolist()
        left_out = batch.left_out
        for row, sample in zip(rows, batch.value or []):
            yield Batch(sample, 1, left_out), samples.numbers[row] + 1
            left_out = []
        yield Batch(None, 0, left_out), samples.numbers[-1] + 1

    def _alone(self, samples: Steps, randomness: Randomness) -> Iterator[tuple[Batch, int]]:
        """Make single samples one by one: those before the one that fails are delivered."""
        for row, number in enumerate(samples.numbers):
            step = self._maker.begin(samples.alone(row), randomness, Inline())
            batch = self._result(step)
            value = batch.value
            if value is not None:
                (value,) = value
            yield Batch(value, batch.samples, batch.left_out), number + 1

    def _result(self, step: Step) -> Batch:
        began = time.perf_counter()
        try:
            batch = step.result()
        except StoppedError:
            self._check()
            raise
        times = self._maker.times
        times.waited += time.perf_counter() - began
        times.batches += 1
        times.samples += batch.samples
        return batch

    def stop(self) -> None:
        """Let the threads end; what they still do is given up."""
        if os.getpid() != self._process:
            return  # in a fork there are none, and one of them may have held a lock
        self._maker.stopped.is_set = True
        for _, step in list(self._waiting):
            step.give_up()
        self._executor.end()

    def _check(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(
                "this iteration of a loader began in another process, where its threads are: begin "
                "a new one here, with iter(loader)"
            )
        if not self._is_current():
            raise RuntimeError(
                "a later iteration of this loader was begun, or a state was loaded, which ends "
                "this one: for two at once make two loaders"
            )
