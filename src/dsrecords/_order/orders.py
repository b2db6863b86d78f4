"""The order of an epoch: how a `Sampler` shuffles, and what its states say of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dsrecords._order.batches import Order
from dsrecords._order.permutation import Permutation, derived_seed
from dsrecords._order.schedule import Schedule, groups_of
from dsrecords._order.weights import Weights
from dsrecords._order.windowed import Window, Windowed


class InOrder:
    """The numbers below n as they are.

    Args:
        n: how many.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return the numbers from one position to another: int64, (n,)."""
        return np.arange(start, min(stop, self._n), dtype=np.int64)


class WithinSources:
    """The steps of a mixture, shuffled so that each keeps its source.

    So weights stay exact over any window, and change where the schedule says so.

    Args:
        schedule: whose turn it is.
        count: of the steps.
        orders: of the samples that each source has among those steps.
    """

    def __init__(
        self,
        schedule: Schedule,
        count: int,
        orders: list[Order],
    ) -> None:
        self._schedule = schedule
        self._count = count
        self._orders = orders

    def __len__(self) -> int:
        return self._count

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return the steps from one position to another: int64, (n,)."""
        positions = np.arange(start, min(stop, self._count), dtype=np.int64)
        sources, numbers = self._schedule.at_many(positions)
        steps = np.empty(len(positions), np.int64)
        for source, places in groups_of(sources):
            first = int(numbers[places[0]])
            # The samples of one source follow each other.
            mixed = self._orders[source].block(first, first + len(places))
            steps[places] = self._schedule.steps(source, mixed)
        return steps


class Shuffling(NamedTuple):
    """How the samples of an epoch are ordered.

    Attributes:
        available: how many samples the dataset has.
        shuffle: whether they are shuffled.
        weights: by which they are drawn instead; None: each comes once.
        window: how far they are shuffled; None: all of them.
        schedule: of a mixture; None of any other dataset.
    """

    available: int
    shuffle: bool
    weights: Weights | None
    window: Window | None
    schedule: Schedule | None

    def order(self, seed: int, epoch: int) -> Order:
        """Return the order of one epoch."""
        seed = derived_seed(seed, epoch)
        if self.weights is not None:
            return self.weights.order(seed)
        if not self.shuffle:
            return InOrder(self.available)
        if self.schedule is None:
            return self._shuffled(self.available, seed)
        orders = []
        for source, count in enumerate(self.schedule.counts(self.available)):
            order = self._shuffled(count, derived_seed(seed, source))
            orders.append(order)
        return WithinSources(self.schedule, self.available, orders)

    def _shuffled(self, count: int, seed: int) -> Order:
        if self.window is None:
            return Permutation(count, seed)
        return Windowed(count, self.window, seed)

    def length(self) -> int:
        """Return how many samples an epoch has."""
        if self.weights is not None:
            return self.weights.num_samples
        return self.available

    def in_words(self) -> str:
        """Return what states say of it."""
        if self.weights is not None:
            return f"weights {self.weights.checksum}"
        if not self.shuffle:
            return "sequential"
        if self.window is not None:
            return f"window {self.window.block} {self.window.size}"
        return "shuffle"
