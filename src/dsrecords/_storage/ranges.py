"""Ranges of a file, found by the bytes that they have. Knows nothing of what is in them."""

from __future__ import annotations

import threading
from typing import Generic, Protocol, TypeVar

_BLOCK_BITS = 16
"""Ranges are looked up by the 64 KiB blocks that they lie in."""


class Range(Protocol):
    """Bytes of a file: the offset of the first, and the one behind the last."""

    @property
    def start(self) -> int:
        """The offset of the first byte."""
        ...

    @property
    def stop(self) -> int:
        """The offset behind the last byte."""
        ...


Item = TypeVar("Item", bound=Range)


class Ranges(Generic[Item]):
    """Ranges of one file, which may overlap. Threads may share it: finding takes no lock."""

    def __init__(self) -> None:
        self._blocks: dict[int, tuple[Item, ...]] = {}
        self._lock = threading.Lock()

    def find(self, start: int, stop: int) -> Item | None:
        """Return a range that has all of these bytes; None if there is none."""
        for each in self._blocks.get(start >> _BLOCK_BITS, ()):
            if each.start <= start and stop <= each.stop:
                return each
        return None

    def add(self, item: Item) -> None:
        """Add a range."""
        with self._lock:
            for block in _blocks_of(item):
                self._blocks[block] = (*self._blocks.get(block, ()), item)

    def drop(self, item: Item) -> None:
        """Remove a range, if it is there."""
        with self._lock:
            for block in _blocks_of(item):
                left = tuple(each for each in self._blocks.get(block, ()) if each is not item)
                if left:
                    self._blocks[block] = left
                else:
                    self._blocks.pop(block, None)


def _blocks_of(item: Range) -> range:
    first = item.start >> _BLOCK_BITS
    last = (item.stop - 1) >> _BLOCK_BITS
    return range(first, last + 1)
