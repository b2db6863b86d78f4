"""A shuffle for cold disks and buckets: blocks of neighbours in any order, then within windows.

A block of neighbouring records is read in one piece. The order of blocks is a permutation. What
comes of it is cut into windows, and within each of them the order of samples is a permutation of
its own. So whoever keeps one window at hand reads each block once; and a sample is as far from its
neighbours as a window is long.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from dsrecords._order.permutation import Permutation, derived_seed

_BLOCKS = 16  # in a window, where only its length is given


class Window(NamedTuple):
    """How far samples are mixed.

    Attributes:
        block: records that stay neighbours until they are in a window.
        size: samples that are mixed with each other: a whole number of blocks.
    """

    block: int
    size: int


def as_window(window: Any) -> Window:
    """Return the window that was given: its size, or (size of a block, size of a window).

    Raises:
        ValueError: a size is below 1, or a block does not fit into the window a whole number of
            times.
        TypeError: one is no integer.
    """
    if isinstance(window, tuple):
        if len(window) != 2:
            raise ValueError(f"window is a size, or (block, size), not {window!r}")
        block = operator.index(window[0])
        size = operator.index(window[1])
    else:
        size = operator.index(window)
        block = max(size // _BLOCKS, 1)
        size = size // block * block
    if block < 1 or size < 1 or size % block:
        raise ValueError(f"a window is a whole number of blocks of 1 or more, not {window!r}")
    return Window(block, size)


class Windowed:
    """The numbers below n, shuffled by blocks and then within windows; a formula.

    Args:
        n: how many.
        window: how far they are mixed.
        seed: of this order.
    """

    def __init__(
        self,
        n: int,
        window: Window,
        seed: int,
    ) -> None:
        self._n = n
        self._window = window
        self._seed = seed
        # What is left of the last block stays last, before windows mix it. So that it is not the
        # same records each time, all blocks begin somewhere else in each order.
        self._blocks = Permutation(n // window.block, derived_seed(seed, 0))
        self._shift = derived_seed(seed, 1) % max(n, 1)

    def __len__(self) -> int:
        return self._n

    def block(self, start: int, stop: int) -> np.ndarray:
        """Compute the numbers from one position to another: int64, (n,)."""
        stop = min(stop, self._n)
        size = self._window.size
        parts = []
        while start < stop:
            number = start // size
            end = min((number + 1) * size, stop)
            parts.append(self._within(number, start, end))
            start = end
        if not parts:
            return np.empty(0, np.int64)
        return self._behind_blocks(np.concatenate(parts))

    def _within(
        self,
        number: int,
        start: int,
        stop: int,
    ) -> np.ndarray:
        """Return where the samples of a part of one window were before windows were mixed."""
        first = number * self._window.size
        size = min(self._window.size, self._n - first)
        mixed = Permutation(size, derived_seed(self._seed, 2 + number))
        return mixed.block(start - first, stop - first) + first

    def _behind_blocks(self, positions: np.ndarray) -> np.ndarray:
        """Return the numbers at positions in the order of the blocks."""
        size = self._window.block
        block = positions // size
        is_whole = block < len(self._blocks)
        numbers = positions.copy()
        numbers[is_whole] %= size
        numbers[is_whole] += self._blocks.array(block[is_whole]) * size
        numbers += self._shift
        numbers[numbers >= self._n] -= self._n
        return numbers
