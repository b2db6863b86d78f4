"""Files of this machine, read by offset or through a mapping."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from dsrecords._storage import files
from dsrecords.errors import CorruptError

_LARGE = 2**20  # bytes
_SMALLEST_MAPPING = 2**20  # bytes
_FAR = 2**62  # an offset that no file reaches


class LocalStorage:
    """A regular file, as `Storage` describes it. Its windows are mappings of the file.

    A file that is replaced stays readable. One that is cut while it is mapped is not: reading the
    part of a window that is gone kills the process (SIGBUS), so readers only look at what the log
    is known to hold.

    Args:
        path: of the file.

    Attributes:
        path: of the file.
        descriptor: of the file, closed with the last reference to this object.
    """

    needs_ensuring = False
    _window = memoryview(b"")  # the largest so far
    _mapping = memoryview(b"")  # which that is the beginning of

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = files.open_read(path)

    def close(self) -> None:
        """Close the file. Windows stay valid."""
        self.descriptor.close()

    def version(self) -> Hashable:
        """Device and inode: what `files.identity(path)` is until the file is replaced."""
        return files.identity(self.descriptor.number)

    def size(self) -> int:
        """The size of the file in bytes, as it is now."""
        return files.size(self.descriptor.number)

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes, as they are in the file now: see `Storage.read`."""
        if offset < 0 or length < 0:
            raise ValueError(f"there are no {length} bytes at {offset}")
        if length > _LARGE or offset > _FAR:
            # So that no memory is taken for what is not there, and the system is not asked for an
            # offset that it cannot express. What is small costs one call.
            rest = self.size() - offset
            if rest <= 0:
                return b""
            length = min(length, rest)
        return files.pread(self.descriptor.number, length, offset)

    def window(self, length: int) -> memoryview:
        """The beginning of the file, mapped: see `Storage.window`."""
        window = self._window
        if len(window) >= length:
            return window
        size = self.size()
        if size < length:
            raise self._cut_short(length, size)
        mapping = self._mapping
        if len(mapping) < length:
            mapping = self._map(length)
            self._mapping = mapping
        # No further than asked for: behind that, a writer may cut off what another left.
        window = mapping[:length]
        if length > len(self._window):  # unless another thread has mapped more meanwhile
            self._window = window
        return window

    def _map(self, length: int) -> memoryview:
        """Map the file, and as much again of what it may become: a log grows."""
        number = self.descriptor.number
        try:
            return files.map_read(number, max(2 * length, _SMALLEST_MAPPING))
        except OSError:  # the system does not map so much
            return files.map_read(number, length)

    def writable_window(self, length: int) -> memoryview:
        """The beginning of the file, mapped privately: see `Storage.writable_window`."""
        try:
            return files.map_private(self.descriptor.number, length)
        except (OverflowError, ValueError):  # it is shorter
            raise self._cut_short(length, self.size()) from None

    def _cut_short(self, length: int, size: int) -> CorruptError:
        return CorruptError(
            f"the file was cut short: it had {length} bytes",
            file=self.path,
            offset=size,
        )

    def seems_ready(self, starts: np.ndarray) -> bool:
        """Whether parts of the file seem to be in memory: see `Storage.seems_ready`.

        Two are looked at, and if both are in memory, all are taken to be: that costs two system
        calls. A single one is not worth any.
        """
        count = len(starts)
        if count < 2:
            return True
        number = self.descriptor.number
        one = starts.item(count // 3)
        another = starts.item(count - 1)
        return files.in_memory(number, one) and files.in_memory(number, another)

    def ensure(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Let the system read parts of the file that are not in memory: see `Storage.ensure`.

        A batch of random records is then read from a cold disk at once, at the disk's full depth,
        instead of one page fault after another.
        """
        if self.seems_ready(starts):
            return
        window = self._window
        run_starts, run_stops = _page_runs(starts, stops, len(window))
        run_sizes = run_stops - run_starts
        for start, size in zip(run_starts.tolist(), run_sizes.tolist()):
            files.will_need(window, start, size)


def _page_runs(
    starts: np.ndarray,
    stops: np.ndarray,
    end: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Merge parts of a file into runs of whole pages.

    Args:
        starts: uint64, (n,): offsets at which the parts begin.
        stops: uint64, (n,): offsets at which they end.
        end: what lies behind it is left out.

    Returns:
        Offsets at which the runs begin and end, ascending: uint64, (m,), twice. Runs do not touch.
    """
    page = np.uint64(files.PAGE_SIZE)
    one = np.uint64(1)
    stops = np.minimum(stops, np.uint64(end))
    exists = starts < stops
    last_bytes = stops[exists] - one
    first_pages = starts[exists] // page
    stop_pages = last_bytes // page + one

    order = np.argsort(first_pages, kind="stable")
    first_pages = first_pages[order]
    stop_pages = stop_pages[order]
    stop_pages = np.maximum.accumulate(stop_pages)  # of all parts up to this one

    begins_run = np.ones(len(order), bool)
    ends_run = np.ones(len(order), bool)
    gaps = first_pages[1:] > stop_pages[:-1]
    begins_run[1:] = gaps
    ends_run[:-1] = gaps
    run_starts = first_pages[begins_run]
    run_stops = stop_pages[ends_run]
    return run_starts * page, run_stops * page
