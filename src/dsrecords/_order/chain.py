"""Selections of selections, where some are formulas: these stay formulas too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._order.formula import Formula, slice_in_words

Step = range | Formula


def chosen(base: Step, order: Formula) -> Formula:
    """Return the items of `base` at the values of `order`, which are below the length of `base`."""
    everything = range(len(base))
    if base == everything:
        return order
    steps = [*_steps(base), *_steps(order)]
    return Chain(steps)


def _steps(sequence: Step) -> tuple[Step, ...]:
    """Return what a sequence consists of: a chain of its steps, any other of itself."""
    if isinstance(sequence, Chain):
        return sequence.shown_steps()
    return (sequence,)


class Chain(Formula):
    """The items of a sequence at the values of a second, at the values of a third, and so on.

    Args:
        steps: the sequences. Each is as long as all values of the next one ask for.

    Attributes:
        steps: the same.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: list[Step]) -> None:
        self.steps = tuple(steps)
        count = len(steps[-1])
        super().__init__(range(count))

    def shown_steps(self) -> tuple[Step, ...]:
        """Return steps whose values are those that are shown."""
        part = self._as_slice()
        *others, last = self.steps
        return (*others, last[part])

    def _as_slice(self) -> slice:
        span = self.span
        if not span:
            return slice(0, 0)
        stop: int | None = span.stop
        if span.stop < 0:
            stop = None
        return slice(span.start, stop, span.step)

    def value(self, position: int) -> int:
        """Compute the value at one position of the whole chain."""
        for step in reversed(self.steps):
            position = step[position]
        return position

    def fill(
        self,
        positions: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Compute the values at some positions of the whole chain, as `Formula.fill` does."""
        out[:] = positions
        for step in reversed(self.steps):
            if isinstance(step, range):
                out *= step.step
                out += step.start
            else:
                step.fill_shown(out, out)

    def find(self, value: int) -> int | None:
        """Return where a value is in the whole chain; None if it is not there."""
        for step in self.steps:
            if value not in step:
                return None
            value = step.index(value)
        return value

    @property
    def limit(self) -> int:
        """A number that all values are below."""
        first = self.steps[0]
        if isinstance(first, Formula):
            return first.limit
        return max(first, default=-1) + 1

    def sliced(self, span: range) -> Chain:
        """Return the chain, of which other positions are shown."""
        return _restored(self.steps, span)

    def identity(self) -> tuple[Any, ...]:
        """Return what makes two chains the same."""
        return self.steps

    def __repr__(self) -> str:
        words = [repr(step) for step in self.steps]
        steps = " of ".join(reversed(words))
        count = len(self.steps[-1])
        part = slice_in_words(self.span, count)
        return f"<{steps}>{part}"

    def __reduce__(self) -> tuple[Callable[..., Chain], tuple[Any, ...]]:
        return _restored, (self.steps, self.span)


def _restored(steps: tuple[Step, ...], span: range) -> Chain:
    """Make a chain, or a part of one."""
    chain = Chain(list(steps))
    chain.span = span
    return chain
