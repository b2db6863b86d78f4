"""A stream that several sources share by weight: which of them has a position, by a formula.

Sources are split in two, and each half again, down to single sources. Of a stream in which the left
half has weight a of a + b, it has had (p·a + (a + b) // 2) // (a + b) of the first p items: its
share, rounded. Such streams are the balanced words of Morse and Hedlund (1940), whose windows of
one length differ by at most one item.

The tree is Huffman's (1952), so a half that is split again has at most two thirds of what it is
split from. Rounding is off by at most a half at each split, and further down its share of that:
so a source of any number of them has had, of any beginning of the stream, less than two items more
or fewer than its share; of two sources at most a half. Off by less than one is what can always be
reached (Tijdeman, 1980), but by a table, whose length is the sum of the weights.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Node: TypeAlias = "Split | int"
"""A stream, which is split or, as the number of a source, has one source only."""


class Split(NamedTuple):
    """A stream that is split in two.

    Attributes:
        left: the one part.
        right: the other part.
        weight: of the left part.
        total: of both parts; at most 2³¹, so that products fit into 64 bits.
    """

    left: Node
    right: Node
    weight: int
    total: int

    def left_before(self, positions: Any) -> Any:
        """Return how many of the items before each position are the left part's.

        Args:
            positions: one of Python's integers, or int64, (n,); so is what is returned.
        """
        # In whole rounds of `total` items and a rest, so that no product is too large for int64.
        rounds = positions // self.total
        rest = positions - rounds * self.total
        half = self.total // 2
        rounded = (rest * self.weight + half) // self.total
        return rounds * self.weight + rounded

    def of_left(self, numbers: np.ndarray) -> np.ndarray:
        """Return the positions of the items of the left part with these numbers: int64, (n,)."""
        rounds = numbers // self.weight
        rest = numbers - rounds * self.weight
        half = self.total // 2
        # Of the position behind the item: the first at which the rounded share is large enough.
        needed = (rest + 1) * self.total - half
        behind = (needed + self.weight - 1) // self.weight
        start = rounds * self.total
        positions: np.ndarray = start + behind - 1
        return positions

    def of_right(self, numbers: np.ndarray) -> np.ndarray:
        """Return the positions of the items of the right part with these numbers: int64, (n,)."""
        weight = self.total - self.weight
        rounds = numbers // weight
        rest = numbers - rounds * weight
        half = self.total // 2
        smallest = (rest * self.total + half) // weight
        start = rounds * self.total
        positions: np.ndarray = start + smallest
        return positions


class Shares:
    """An endless stream that sources share by weight.

    Args:
        weights: of the sources: integers of at least 0, whose sum is positive and at most
            `ratios.MOST_WEIGHT`.

    Attributes:
        weights: the same.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self.weights = tuple(weights)
        self._root = _tree(self.weights)

    def at(self, position: int) -> tuple[int, int]:
        """Return which source has a position, and how many items it had before."""
        node = self._root
        number = position
        while isinstance(node, Split):
            before = node.left_before(number)
            after = node.left_before(number + 1)
            if after > before:
                node = node.left
                number = before
            else:
                node = node.right
                number -= before
        return node, number

    def at_many(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for many positions (int64, (n,)): two arrays, int64, (n,)."""
        count = len(positions)
        sources = np.empty(count, np.int64)
        numbers = positions.astype(np.int64)
        places = np.arange(count)
        _descend(self._root, places, sources, numbers)
        return sources, numbers

    def counts(self, length: int) -> list[int]:
        """Return how many of the first items each source has."""
        counts = [0] * len(self.weights)
        _count(self._root, length, counts)
        return counts

    def positions(self, source: int, numbers: np.ndarray) -> np.ndarray:
        """Return where the items of a source with these numbers are: int64, (n,).

        The source has a weight above 0.
        """
        found = _ascend(self._root, source, numbers)
        if found is None:
            raise ValueError(f"source {source} has no weight")
        return found


def _descend(
    node: Node,
    places: np.ndarray,
    sources: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """Find the sources of some items of a stream, and their numbers there.

    Args:
        node: the stream.
        places: of the items in the arrays: int64, (n,).
        sources: where the sources are put: int64.
        numbers: of the items in this stream, in whose place those of their sources are put: int64.
    """
    if not isinstance(node, Split):
        sources[places] = node
        return
    here = numbers[places]
    before = node.left_before(here)
    after = node.left_before(here + 1)
    is_left = after > before
    is_right = ~is_left
    numbers[places] = np.where(is_left, before, here - before)
    _descend(
        node.left,
        places[is_left],
        sources,
        numbers,
    )
    _descend(
        node.right,
        places[is_right],
        sources,
        numbers,
    )


def _count(
    node: Node,
    length: int,
    counts: list[int],
) -> None:
    """Count how many of the first items of a stream each of its sources has."""
    if not isinstance(node, Split):
        counts[node] = length
        return
    left = node.left_before(length)
    _count(node.left, left, counts)
    _count(node.right, length - left, counts)


def _ascend(
    node: Node,
    source: int,
    numbers: np.ndarray,
) -> np.ndarray | None:
    """Return where items of a source are in a stream: int64, (n,). None if it has no part of it."""
    if not isinstance(node, Split):
        if node == source:
            return numbers
        return None
    found = _ascend(node.left, source, numbers)
    if found is not None:
        return node.of_left(found)
    found = _ascend(node.right, source, numbers)
    if found is not None:
        return node.of_right(found)
    return None


class _Waiting(NamedTuple):
    """A stream that waits for being joined with another; the lightest comes first.

    Attributes:
        weight: of the stream.
        number: which no other has; it decides between equal weights.
        node: the stream.
    """

    weight: int
    number: int
    node: Node


def _tree(weights: Sequence[int]) -> Node:
    """Return Huffman's tree of the sources that have a weight."""
    waiting = []
    for source, weight in enumerate(weights):
        if weight:
            leaf = _Waiting(weight, source, source)
            waiting.append(leaf)
    heapq.heapify(waiting)
    number = len(weights)
    while len(waiting) > 1:
        lighter = heapq.heappop(waiting)
        heavier = heapq.heappop(waiting)
        total = lighter.weight + heavier.weight
        split = Split(
            lighter.node,
            heavier.node,
            lighter.weight,
            total,
        )
        joined = _Waiting(total, number, split)
        heapq.heappush(waiting, joined)
        number += 1
    return waiting[0].node
