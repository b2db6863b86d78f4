"""Whose turn it is in a mixture: weights that change from a step on, and where the mixture ends."""

from __future__ import annotations

import bisect
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from dsrecords._order.ratios import whole_weights
from dsrecords._order.shares import Shares

Change: TypeAlias = tuple[int, Sequence[Any]]
"""A step, and the weights from it on."""


class Phase(NamedTuple):
    """A stretch of the stream with the same weights.

    Attributes:
        start: its first step.
        shares: who has which of its steps.
        before: how many steps each source had before it.
    """

    start: int
    shares: Shares
    before: list[int]


class Schedule:
    """An endless stream of steps, of which each is a sample of one source.

    Args:
        weights: of the sources, from step 0 on.
        changes: (step, weights), in the order of the steps.

    Attributes:
        phases: the stretches with the same weights, in their order.

    Raises:
        ValueError: the steps do not rise from above 0, or weights are not one a source, or no
            weights; see `whole_weights`.
        TypeError: a weight is no number.
    """

    def __init__(
        self,
        weights: Sequence[Any],
        changes: Sequence[Change] = (),
    ) -> None:
        self.phases: list[Phase] = []
        self._starts: list[int] = []
        nothing = [0] * len(weights)
        self._begin(0, weights, nothing)
        for start, changed in changes:
            step = operator.index(start)
            self._change(step, changed)
        before = [phase.before for phase in self.phases]
        self._before = np.array(before, np.int64)

    def _begin(
        self,
        step: int,
        weights: Sequence[Any],
        before: list[int],
    ) -> None:
        whole = whole_weights(weights)
        shares = Shares(whole)
        phase = Phase(step, shares, before)
        self.phases.append(phase)
        self._starts.append(step)

    def _change(self, step: int, weights: Sequence[Any]) -> None:
        last = self.phases[-1]
        if step <= last.start:
            raise ValueError(
                f"a schedule has rising steps above 0, and {step} comes after {last.start}"
            )
        count = len(last.before)
        given = len(weights)
        if given != count:
            raise ValueError(f"{given} weights from step {step} on, for {count} datasets")
        before = self.counts(step)
        self._begin(step, weights, before)

    def _phase_of(self, step: int) -> Phase:
        number = bisect.bisect_right(self._starts, step)
        return self.phases[number - 1]

    def counts(self, length: int) -> list[int]:
        """Return how many of the first steps each source has."""
        phase = self._phase_of(length)
        length_since = length - phase.start
        since = phase.shares.counts(length_since)
        counts = []
        for before, count in zip(phase.before, since):
            counts.append(before + count)
        return counts

    def at(self, step: int) -> tuple[int, int]:
        """Return which source has a step, and how many it had before."""
        phase = self._phase_of(step)
        since = step - phase.start
        source, number = phase.shares.at(since)
        before = phase.before[source]
        return source, before + number

    def at_many(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for many steps (int64, (n,)): two arrays, int64, (n,)."""
        length = len(steps)
        sources = np.empty(length, np.int64)
        numbers = np.empty(length, np.int64)
        which = np.searchsorted(
            self._starts,
            steps,
            side="right",
        )
        for number, places in groups_of(which):
            phase = self.phases[number - 1]
            since = steps[places] - phase.start
            source, count = phase.shares.at_many(since)
            sources[places] = source
            before = self._before[number - 1]
            numbers[places] = before[source] + count
        return sources, numbers

    def steps(self, source: int, numbers: np.ndarray) -> np.ndarray:
        """Return at which steps a source has its samples of these numbers: int64, (n,).

        There are such steps.
        """
        before = self._before[:, source]
        steps = np.empty_like(numbers)
        which = np.searchsorted(
            before,
            numbers,
            side="right",
        )
        for number, places in groups_of(which):
            phase = self.phases[number - 1]
            since = numbers[places] - before[number - 1]
            found = phase.shares.positions(source, since)
            steps[places] = found + phase.start
        return steps

    def end_of(self, source: int, count: int) -> int | None:
        """Return how many steps there are until a source has had so many; None if it never has."""
        last = self.phases[-1]
        weight = last.shares.weights[source]
        before = last.before[source]
        if not weight and before < count:
            return None
        if not count:
            return 0
        last_one = np.array([count - 1], np.int64)
        steps = self.steps(source, last_one)
        (step,) = steps.tolist()
        return int(step) + 1


def groups_of(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each number, and where in the array it is: int64, (n,)."""
    for number in np.unique(numbers).tolist():
        is_here = numbers == number
        yield number, np.flatnonzero(is_here)
