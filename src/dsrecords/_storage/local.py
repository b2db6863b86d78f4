"""Files of this machine, read by offset or through a mapping."""

from __future__ import annotations

from collections.abc import Hashable
from typing import cast

import numpy as np

from dsrecords._storage import files
from dsrecords.errors import CorruptError

ASK_MAPPING = -2
"""In the place of a descriptor: the mapping of a file tells which of its pages are in memory."""

_LARGE = 2**20  # bytes
_MANY_READY = 32  # calls of `seems_ready`, as in native/batch.c
_SMALLEST_MAPPING = 2**20  # bytes
_FAR = 2**62  # an offset that no file reaches
_AT_ONCE = 64 * 2**20  # bytes that are read by one call where a file cannot be mapped
_LARGEST_PIECE = 2**23  # bytes: of memory that the system keeps as one, on most machines


class LocalStorage:
    """A regular file, as `Storage` describes it. Its windows are mappings of the file.

    Where a file cannot be mapped, as on some FUSE file systems or where a process may not use so
    many addresses, its windows are read part by part, as they are sliced.

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
    forgets = False
    _is_unmappable = False
    _ready_calls = 0  # of `seems_ready`, one after the other, whose parts were in memory
    _tells_of_pages: bool | None = None  # the system does; None: it was not asked yet
    _window = memoryview(b"")  # the largest so far
    _mapping = memoryview(b"")  # which that is the beginning of

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = files.open_read(path)

    def close(self) -> None:
        """Close the file. Windows stay valid."""
        if self._is_unmappable:  # they read it: it is closed with the last of them
            return
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
        if self._is_unmappable:
            return self._unmapped(length)
        mapping = self._mapping
        if len(mapping) < length:
            try:
                mapping = self._map(length)
            except OSError as error:
                if not files.is_unmappable(error):
                    raise
                self._is_unmappable = True
                return self._unmapped(length)
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

    def _unmapped(self, length: int) -> memoryview:
        # `Storage.window` says what its readers may do with it: what both classes can.
        return cast(memoryview, UnmappedWindow(self.descriptor, length))

    def writable_window(self, length: int) -> memoryview:
        """The beginning of the file, mapped privately: see `Storage.writable_window`."""
        try:
            return files.map_private(self.descriptor.number, length)
        except (OverflowError, ValueError):  # it is shorter
            raise self._cut_short(length, self.size()) from None
        except OSError as error:
            if not files.is_unmappable(error):
                raise
        return self._copied(length)

    def _copied(self, length: int) -> memoryview:
        """The beginning of the file, read into memory."""
        copy = bytearray(length)
        for start in range(0, length, _AT_ONCE):
            wanted = min(_AT_ONCE, length - start)
            data = self.read(start, wanted)
            if len(data) < wanted:
                raise self._cut_short(length, start + len(data))
            copy[start : start + wanted] = data
        return memoryview(copy)

    def _cut_short(self, length: int, size: int) -> CorruptError:
        return CorruptError(
            f"the file was cut short: it had {length} bytes",
            file=self.path,
            offset=size,
        )

    def seems_ready(self, starts: np.ndarray) -> bool:
        """Whether parts of the file seem to be in memory: see `Storage.seems_ready`.

        Two are looked at, and if both are in memory, all are taken to be: that costs two system
        calls. A single one is not worth any; and where all calls of late found theirs, only every
        fourth looks.
        """
        count = len(starts)
        if count < 2 or self._is_unmappable:
            return True
        self._ready_calls += 1
        if self._ready_calls > _MANY_READY and self._ready_calls % 4:
            return True
        one = starts.item(count // 3)
        another = starts.item(count - 1)
        is_ready = self._in_memory(one) and self._in_memory(another)
        if not is_ready:
            self._ready_calls = 0
        return is_ready

    def _in_memory(self, offset: int) -> bool:
        # Reading with a flag that forbids to wait is the second choice: Linux begins to read ahead
        # then, megabytes, so that the pages that are looked at tell nothing of the others.
        number = self.probe()
        if number == ASK_MAPPING:
            return self._page_in_memory(offset)
        return bool(files.in_memory(number, offset))

    def probe(self) -> int:
        """Whom to ask what is in memory: ASK_MAPPING, or the number of a descriptor."""
        number = self.descriptor.number
        if self._tells_of_pages is None:
            self._tells_of_pages = files.may_ask_for_pages(number)
        return ASK_MAPPING if self._tells_of_pages else number

    def _page_in_memory(self, offset: int) -> bool:
        window = self._window
        if offset >= len(window):  # nothing is mapped yet
            return False
        return files.page_in_memory(window, offset - offset % files.PAGE_SIZE)

    def ensure(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Let the system read parts of the file that are not in memory: see `Storage.ensure`.

        A batch of random records is then read from a cold disk at once, at the disk's full depth,
        instead of one page fault after another. In the order of the parts, so that the first ones
        are there, and can be copied, while the others still come.
        """
        if self.seems_ready(starts):
            return
        window = self._window
        run_starts, run_stops = _page_runs(starts, stops, len(window))
        run_sizes = run_stops - run_starts
        for start, size in zip(run_starts.tolist(), run_sizes.tolist()):
            files.will_need(window, start, size)

    def is_full(self) -> bool:
        """False: the system knows what it can hold."""
        return False

    def release(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Let the system forget parts of the file: see `Storage.release`."""
        if not self._is_unmappable:
            self.let_go(self.descriptor.number, starts, stops)

    def let_go(
        self,
        number: int,
        starts: np.ndarray,
        stops: np.ndarray,
    ) -> None:
        """Let the system forget parts of the file, as far as they are mapped.

        Args:
            number: of a descriptor of the file.
            starts: as of `Storage.release`.
            stops: as of `Storage.release`.
        """
        window = self._window
        run_starts, run_stops = _page_runs(starts, stops, len(window))
        run_sizes = run_stops - run_starts
        for start, size in zip(run_starts.tolist(), run_sizes.tolist()):
            # Once more what lies around it: the system keeps what it has read in one piece with
            # what somebody has mapped, as this process had.
            first = max(start - _LARGEST_PIECE, 0)
            stop = start + size + _LARGEST_PIECE
            files.let_go(number, window, first, stop - first)


class UnmappedWindow:
    """The beginning of a file that cannot be mapped: it is read where it is sliced.

    Args:
        descriptor: of the file, which is kept open.
        length: of the window in bytes.
    """

    def __init__(self, descriptor: files.Descriptor, length: int) -> None:
        self._descriptor = descriptor
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> memoryview:
        start, stop, _ = part.indices(self._length)
        size = max(stop - start, 0)
        data = files.pread(self._descriptor.number, size, start)
        if len(data) < size:
            raise OSError(f"the file was cut short at {start + len(data)} while it was read")
        return memoryview(data)


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
        Offsets at which the runs begin and end: uint64, (m,), twice. Runs do not touch. Their order
        is that of the first part in each, as it is read first.
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
    first_parts = np.minimum.reduceat(order, np.flatnonzero(begins_run))
    by_part = np.argsort(first_parts)
    return run_starts[by_part] * page, run_stops[by_part] * page
