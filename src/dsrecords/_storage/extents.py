"""Parts of a file elsewhere, in the memory of this process: found by offset, forgotten by age.

A part that is forgotten stays in memory for as long as somebody has a view of it, so that nothing
changes under a reader. Knows no service.
"""

from __future__ import annotations

import collections
import concurrent.futures
import threading
import weakref

import numpy as np

from dsrecords._storage.ranges import Ranges
from dsrecords._storage.requests import awaited

_WORTH_KEEPING = 2**14  # bytes: smaller ones may lie in a much larger buffer, which is let go of
_ALIGNMENT = 8
"""Bytes: a part begins at a multiple, so that arrays in it are aligned as they are in the file."""


class Extent:
    """A part of a file, which is on its way or there.

    Attributes:
        start: its offset in the file.
        stop: the offset behind it.
        arrivals: what to wait for before its bytes are there.
        share: its place in a memory, until it is read.
    """

    __slots__ = ("__weakref__", "_memory", "_view", "arrivals", "share", "start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.arrivals: list[concurrent.futures.Future[None]] = []
        self.share: Share | None = None
        self._memory: np.ndarray | None = None  # of one that comes in pieces
        self._view = memoryview(b"")

    def expect_pieces(self) -> None:
        """Make room for bytes that come in several pieces, by several threads."""
        self._memory = np.empty(self.stop - self.start, np.uint8)
        self._view = memoryview(self._memory).toreadonly()

    def fill(self, offset: int, data: bytes | memoryview) -> None:
        """Take bytes of the file, which begin at this offset of it."""
        if self._memory is None:
            self._view = _aligned(data)
            return
        first = offset - self.start
        self._memory[first : first + len(data)] = np.frombuffer(data, np.uint8)

    def part(
        self,
        start: int,
        stop: int,
        path: str,
    ) -> memoryview:
        """Return bytes of it, as soon as they are there.

        Args:
            start: offset of the first.
            stop: offset behind the last.
            path: of the file, for the error.

        Raises:
            RemoteError: this process was forked while they were on their way.
            Exception: what kept them from coming.
        """
        arrivals = self.arrivals
        if arrivals:
            for arrival in arrivals:
                awaited(arrival, path)
            self.arrivals = []
        return self._view[start - self.start : stop - self.start]


def _aligned(data: bytes | memoryview) -> memoryview:
    """The same bytes, where arrays in them are aligned. Large ones are not copied without need.

    A copy takes longer than to verify them, since it needs memory that the system clears before.
    """
    if not len(data):
        return memoryview(b"")
    array = np.frombuffer(data, np.uint8)
    address = array.__array_interface__["data"][0]
    if address % _ALIGNMENT or len(data) < _WORTH_KEEPING:
        array = array.copy()
    return memoryview(array).toreadonly()


class Extents:
    """The parts of one file. Threads may share it: looking up takes no lock.

    Args:
        memory: which they are a share of.

    Attributes:
        find, drop: those of `Ranges`: a part that has some bytes, and forgetting one.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._parts: Ranges[Extent] = Ranges()
        self.find = self._parts.find
        self.drop = self._parts.drop
        self._held = [0]  # bytes, as the memory counts them
        weakref.finalize(self, memory.give_back, self._held).atexit = False

    def add(self, extent: Extent) -> None:
        """Add a part, which may still be on its way."""
        share = Share(self, extent, self._held)
        extent.share = share
        self._parts.add(extent)
        self._memory.take(share)

    def note_read(self, extent: Extent) -> None:
        """Note that a part was read, so that it may go before those that were not."""
        share = extent.share
        if share is not None:
            extent.share = None
            self._memory.note_read(share)


class Share:
    """The place that a part takes in a memory.

    Args:
        extents: which the part is of.
        extent: the part.
        held: what the memory counts for all parts of that file: one number of bytes.
    """

    def __init__(
        self,
        extents: Extents,
        extent: Extent,
        held: list[int],
    ) -> None:
        self.extents = weakref.ref(extents)
        self.extent = weakref.ref(extent)
        self.size = extent.stop - extent.start
        self.held = held


class Memory:
    """How much memory the parts of many files may take together.

    What was read goes first, the oldest of it before the rest. What was asked for and not read yet
    is soon needed: it may take as much again, and goes only then.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._total = 0
        # Reentrant, as a file that is given up may give back what it holds at any moment.
        self._lock = threading.RLock()
        self._unread: dict[Share, None] = {}  # as an ordered set
        self._unread_total = 0
        self._read: collections.deque[Share] = collections.deque()

    def take(self, share: Share) -> None:
        """Count a part of a file, and forget others that are too many with it."""
        with self._lock:
            share.held[0] += share.size
            self._total += share.size
            self._unread[share] = None
            self._unread_total += share.size
            while self._total > self.limit and self._read:
                self._forget(self._read.popleft())
            while self._total > 2 * self.limit and len(self._unread) > 1:
                oldest = next(iter(self._unread))
                self._take_out(oldest)
                self._forget(oldest)

    def note_read(self, share: Share) -> None:
        """Count a part as one that was read."""
        with self._lock:
            if share in self._unread:
                self._take_out(share)
                self._read.append(share)

    def is_full(self) -> bool:
        """Whether what was not read yet takes as much as there should be."""
        return self._unread_total >= self.limit

    def _take_out(self, share: Share) -> None:
        del self._unread[share]
        self._unread_total -= share.size

    def _forget(self, share: Share) -> None:
        owner = share.extents()
        if owner is None:  # given back already
            return
        share.held[0] -= share.size
        self._total -= share.size
        extent = share.extent()
        if extent is not None:
            owner.drop(extent)

    def give_back(self, held: list[int]) -> None:
        """Count a file no more, which nobody uses now."""
        with self._lock:
            self._total -= held[0]
            held[0] = 0
            self._unread = {share: None for share in self._unread if share.held is not held}
            self._unread_total = sum(share.size for share in self._unread)
            self._read = collections.deque(share for share in self._read if share.held is not held)


def merged(
    starts: np.ndarray,
    stops: np.ndarray,
    gap: int,
    largest: int,
) -> list[tuple[int, int]]:
    """Merge parts of a file that lie near each other.

    Args:
        starts: uint64, (n,): offsets at which they begin.
        stops: uint64, (n,): offsets at which they end.
        gap: bytes between two parts that are worth less than a request.
        largest: bytes of a merged part, unless it is one that was given.

    Returns:
        The first offset of each merged part, a multiple of 8, and the one behind it, ascending.
    """
    order = np.argsort(starts, kind="stable")
    found: list[tuple[int, int]] = []
    begin = -1
    end = 0
    for start, stop in zip(starts[order].tolist(), stops[order].tolist()):
        is_near = begin >= 0 and start <= end + gap
        if is_near and max(stop, end) - begin <= largest:
            end = max(stop, end)
            continue
        if begin >= 0 and stop <= end:  # it lies within
            continue
        if begin >= 0:
            found.append((begin, end))
        begin = start - start % _ALIGNMENT
        end = stop
    if begin >= 0:
        found.append((begin, end))
    return found
