"""The batches of an epoch by length, of samples that are neighbours in length.

Samples are taken in the order of the epoch, some thousands at a time: a pool. A pool is sorted by
length and cut into batches, and its batches are shuffled. So the samples of a batch have nearly one
length, which spares padding, and yet batches of all lengths follow each other, and a sample can be
with any other of its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from dsrecords._order.lengths import MaxTokens
from dsrecords._order.permutation import Permutation, derived_seed


class Order(Protocol):
    """The samples of an epoch by their positions in it."""

    def __len__(self) -> int: ...

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return the samples from one position to another: int64, (n,)."""


class Pool(NamedTuple):
    """What is made of the samples of one pool.

    Attributes:
        samples: in the order of the batches: int64, (n,).
        ends: where each batch ends: int64, (batches,).
    """

    samples: np.ndarray
    ends: np.ndarray


class Batches:
    """The batches of an epoch.

    Args:
        order: the samples of the epoch.
        budget: how long batches are.
        seed: by which batches of a pool are shuffled; None: they rise in length.

    Attributes:
        ends: how many samples there are up to the end of each batch: int64, (batches,).
    """

    def __init__(
        self,
        order: Order,
        budget: MaxTokens,
        seed: int | None,
    ) -> None:
        self._order = order
        self._budget = budget
        self._seed = seed
        self._made: tuple[int, Pool] | None = None  # the pool that was used last, and its number
        none = np.empty(0, np.int64)
        ends = [none]
        starts = range(0, len(order), budget.pool)
        for number, start in enumerate(starts):
            pool = self._make_pool(number)
            ends.append(pool.ends + start)
        self.ends = np.concatenate(ends)

    def __len__(self) -> int:
        return len(self.ends)

    def batch(self, number: int) -> np.ndarray:
        """Return the samples of one batch: int64, (n,)."""
        start = self.start(number)
        size = self.size(number)
        pool_size = self._budget.pool
        pool = self._pool(start // pool_size)
        first = start % pool_size
        return pool.samples[first : first + size]

    def size(self, number: int) -> int:
        """Return how many samples a batch has."""
        end = int(self.ends[number])
        return end - self.start(number)

    def behind(self, samples: int) -> int:
        """Return which batch begins behind so many samples."""
        found = self.ends.searchsorted(samples, side="right")
        return int(found)

    def start(self, number: int) -> int:
        """Return how many samples there are before a batch."""
        if not number:
            return 0
        end = self.ends[number - 1]
        return int(end)

    def _pool(self, number: int) -> Pool:
        if self._made is None or self._made[0] != number:
            pool = self._make_pool(number)
            self._made = (number, pool)
        return self._made[1]

    def _make_pool(self, number: int) -> Pool:
        budget = self._budget
        start = number * budget.pool
        stop = start + budget.pool
        samples = self._order.block(start, stop)
        lengths = budget.lengths[samples]
        by_length = lengths.argsort(kind="stable")
        cuts = budget.cuts(lengths[by_length])
        batches = np.split(by_length, cuts[1:-1])
        places = self._shuffled(number, len(batches))
        shuffled = [batches[place] for place in places]
        sizes = [len(batch) for batch in shuffled]
        together = np.concatenate(shuffled)
        ends = np.cumsum(sizes)
        return Pool(samples[together], ends)

    def _shuffled(self, pool: int, count: int) -> Sequence[int]:
        """Return the order of the batches of a pool."""
        if self._seed is None:
            return range(count)
        seed = derived_seed(self._seed, pool)
        return Permutation(count, seed)
