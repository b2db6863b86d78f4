"""Files of object stores and web servers, read by ranges that are fetched together.

What is asked for is fetched in the background, and waited for where it is sliced. Each request is
bound to the version that was opened, so that bytes of two versions never mix.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import cast

import numpy as np

from dsrecords._storage import requests
from dsrecords._storage.clients import Client, Found, root_and_key
from dsrecords._storage.extents import Extent, Extents, Memory, merged
from dsrecords._storage.fsspec_client import FsspecClient, HubClient
from dsrecords._storage.kept import Folder, Kept
from dsrecords._storage.locations import OF_OBSTORE, access_of, alike
from dsrecords._storage.obstore_client import ObstoreClient
from dsrecords.errors import CorruptError

_START = 2**16  # bytes that are read when a file is opened: most headers, and small indices
_GAP = 2**16  # bytes between two parts that are fetched with them rather than by another request
_LARGEST_REQUEST = 2**23  # bytes; of more than that, parts come at once
_LEAST_AHEAD = 2**16  # bytes that are fetched where nothing was announced
_MOST_AHEAD = 2**23
_USUAL_MEMORY = 2**28  # bytes: more of it is more memory that the system must clear first


class ObjectStorage:
    """A file elsewhere, as `Storage` describes it. Its windows are read where they are sliced.

    Such files never change in place. One that is replaced is told of: reading what is not in memory
    raises StaleViewError.

    Args:
        path: of the file, which may be a `Location`.

    Attributes:
        path: of the file.

    Raises:
        FileNotFoundError: there is none.
        RemoteError: it cannot be read.
    """

    needs_ensuring = True
    forgets = True

    def __init__(self, path: str) -> None:
        self.path = path
        self._access = access_of(path)
        requests.require_usable(path)
        client = client_of(path)
        self._found: Found = requests.persistently(
            lambda: client.find(path, _START),
            path,
            "opening it",
        )
        limit = self._access.cache_limit
        if self._access.cache is not None:
            limit = None  # it is that of the folder
        self._memory = memory_of(limit)
        self._extents = Extents(self._memory)
        self._kept = kept_of(path, self._found)
        self._window_length = 0
        self._ahead = _LEAST_AHEAD
        self._last_stop = -1
        self._keep_start(self._found.start)
        self._found = self._found._replace(start=b"")

    def _keep_start(self, start: bytes) -> None:
        """Keep what was read when the file was opened, as all else that was read."""
        if start:
            extent = Extent(0, len(start))
            extent.fill(0, start)
            self._extents.add(extent)
            self._extents.note_read(extent)

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def version(self) -> Hashable:
        """What the service tells versions by: see `Found`."""
        return self._found.version

    def size(self) -> int:
        """The size of the file in bytes."""
        return self._found.size

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes: see `Storage.read`."""
        if offset < 0 or length < 0:
            raise ValueError(f"there are no {length} bytes at {offset}")
        stop = min(offset + length, self.size())
        if offset >= stop:
            return b""
        return bytes(self.part(offset, stop))

    def window(self, length: int) -> memoryview:
        """The beginning of the file, read where it is sliced: see `Storage.window`."""
        if length > self.size():
            raise self._cut_short(length)
        if length > self._window_length:
            self._window_length = length
        # `Storage.window` says what its readers may do with it: what both classes can.
        return cast(memoryview, Window(self, self._window_length))

    def writable_window(self, length: int) -> memoryview:
        """A copy of the beginning of the file: see `Storage.writable_window`."""
        if length > self.size():
            raise self._cut_short(length)
        copy = np.empty(length, np.uint8)
        first = 0
        for extent in self._fetched(length):
            stop = min(extent.stop, length)
            copy[first:stop] = np.frombuffer(extent.part(first, stop, self.path), np.uint8)
            first = stop
        return memoryview(copy)

    def _fetched(self, length: int) -> list[Extent]:
        """Parts that follow one another from the first byte on, all on their way at once."""
        extents = []
        start = 0
        first = self._extents.find(0, min(length, _START))
        if first is not None:
            extents.append(first)
            start = first.stop
        while start < length:
            end = min(start + _LARGEST_REQUEST, length)
            extent = Extent(start, end)
            self._begin(extent)
            extents.append(extent)
            start = end
        return extents

    def _cut_short(self, length: int) -> CorruptError:
        return CorruptError(
            f"the file was cut short: it had {length} bytes",
            file=self.path,
            offset=self.size(),
        )

    def seems_ready(self, starts: np.ndarray) -> bool:
        """False: where parts end is not known yet."""
        return False

    def ensure(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Begin to fetch parts of the file that are not in memory: see `Storage.ensure`."""
        end = np.uint64(self._window_length)
        stops = np.minimum(stops, end)
        wanted = starts < stops
        lacking_starts = []
        lacking_stops = []
        for start, stop in zip(starts[wanted].tolist(), stops[wanted].tolist()):
            if self._extents.find(start, stop) is not None:
                continue
            if self._kept is not None and self._kept.has(start, stop):
                self._add(Extent(start, stop))
            else:
                lacking_starts.append(start)
                lacking_stops.append(stop)
        if not lacking_starts:
            return
        parts = merged(
            np.array(lacking_starts, np.uint64),
            np.array(lacking_stops, np.uint64),
            _GAP,
            _LARGEST_REQUEST,
        )
        for start, stop in parts:
            self._add(Extent(start, stop))

    def is_full(self) -> bool:
        """Whether memory is full of what was not read yet: see `Storage.is_full`."""
        return self._memory.is_full()

    def release(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Forget parts of the file: see `Storage.release`."""
        for start, stop in zip(starts.tolist(), stops.tolist()):
            extent = self._extents.find(start, stop)
            if extent is not None and extent.stop <= stop:
                self._extents.drop(extent)

    def part(self, start: int, stop: int) -> memoryview:
        """Return bytes of the file, as soon as they are in memory.

        Args:
            start: offset of the first.
            stop: offset behind the last, not behind the end of the file.

        Raises:
            StaleViewError: the file was replaced.
            RemoteError: it cannot be read.
        """
        if start >= stop:
            return memoryview(b"")
        extent = self._extents.find(start, stop)
        if extent is None:
            extent = self._add(Extent(start - start % 8, self._stop_ahead(start, stop)))
        self._extents.note_read(extent)
        try:
            return extent.part(start, stop, self.path)
        except BaseException:
            self._extents.drop(extent)  # so that it is fetched again when it is asked for again
            raise

    def _stop_ahead(self, start: int, stop: int) -> int:
        """Where to stop fetching what was not announced: further, if that goes on and on."""
        if start == self._last_stop:
            self._ahead = min(2 * self._ahead, _MOST_AHEAD)
        elif not self._last_stop - self._ahead <= start <= self._last_stop:
            self._ahead = _LEAST_AHEAD
        end = min(max(stop, start + self._ahead), self.size())
        self._last_stop = end
        return end

    def _add(self, extent: Extent) -> Extent:
        self._begin(extent)
        self._extents.add(extent)
        return extent

    def _begin(self, extent: Extent) -> None:
        """Let a part be fetched, by several requests if it is large."""
        requests.require_usable(self.path)
        me = weakref.ref(self)
        if extent.stop - extent.start > _LARGEST_REQUEST:
            extent.expect_pieces()
        arrivals = []
        for start in range(extent.start, extent.stop, _LARGEST_REQUEST):
            stop = min(start + _LARGEST_REQUEST, extent.stop)
            fetch = functools.partial(
                _fetch,
                me,
                extent,
                start,
                stop,
            )
            arrivals.append(requests.submit(fetch))
        extent.arrivals = arrivals

    def fetched(self, start: int, stop: int) -> memoryview:
        """Return bytes of the file, kept or read from the service: it is waited for."""
        kept = self._kept
        if kept is None:
            return memoryview(self._requested(start, stop))
        data = kept.read(start, stop)
        if data is None:
            data = memoryview(self._requested(start, stop))
            kept.keep(start, data)
        return data

    def _requested(self, start: int, stop: int) -> bytes:
        client = client_of(self.path)

        def request() -> bytes:
            data = client.read(
                self.path,
                self._found,
                start,
                stop,
            )
            if len(data) != stop - start:
                text = f"{len(data)} bytes came, of {stop - start}"
                raise requests.TransientError(text)
            return cast(bytes, data)

        with requests.share_of_line(stop - start):
            return requests.persistently(request, self.path, f"reading bytes {start} to {stop}")


def _fetch(
    storage: weakref.ref[ObjectStorage],
    extent: Extent,
    start: int,
    stop: int,
) -> None:
    """Fetch bytes of a part, in a thread that makes requests."""
    owner = storage()
    if owner is None:  # nobody waits for it
        return
    extent.fill(start, owner.fetched(start, stop))


class Window:
    """The beginning of a file elsewhere: it is read where it is sliced.

    Args:
        storage: of the file.
        length: of the window in bytes.
    """

    def __init__(self, storage: ObjectStorage, length: int) -> None:
        self._storage = storage
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> memoryview:
        start, stop, _ = part.indices(self._length)
        return self._storage.part(start, stop)


# What the files of a process share

_lock = threading.Lock()
_clients: dict[tuple[str, str], Client] = {}  # by bucket and options
_memories: dict[int, Memory] = {}  # by limit
_folders: dict[tuple[str, int | None], Folder] = {}  # by path and limit


def _renew_lock() -> None:
    """In a forked child: another thread of the parent may have held it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def kept_of(path: str, found: Found) -> Kept | None:
    """Return what a folder keeps of a file; None if nothing is to be kept."""
    access = access_of(path)
    if access.cache is None:
        return None
    key = (access.cache, access.cache_limit)
    with _lock:
        folder = _folders.get(key)
        if folder is None:
            folder = Folder(*key)
            _folders[key] = folder
    endpoints = [pair for pair in access.options if "endpoint" in pair[0]]
    return folder.version(
        str(path),
        endpoints,
        found.version,
        found.size,
    )


def client_of(path: str) -> Client:
    """Return what reaches a file. Raises ImportError if a package is not installed."""
    root, _ = root_and_key(path)
    options = access_of(path).options
    key = (root, repr(options))
    client = _clients.get(key)
    if client is not None:
        return client
    made: Client
    scheme, _, _ = root.partition("://")
    if scheme in OF_OBSTORE:
        made = ObstoreClient(root, dict(options))
    elif scheme == "hf":
        made = HubClient(scheme, dict(options))
    else:
        made = FsspecClient(scheme, dict(options))
    with _lock:
        return _clients.setdefault(key, made)


def version_of(path: str) -> Hashable:
    """Look at a file without opening it: the version that `ObjectStorage.version` tells of it.

    It asks for one byte, as opening asks for the first ones: so that both get the same answer.

    Raises:
        FileNotFoundError, RemoteError: as of `ObjectStorage`.
    """
    requests.require_usable(path)
    client = client_of(path)
    found: Found = requests.persistently(
        lambda: client.find(path, 1),
        path,
        "looking at it",
    )
    return found.version


def listed(path: str) -> Iterator[str]:
    """Yield the paths of the files that begin with this one: see `registry.listed`."""
    requests.require_usable(path)
    client = client_of(path)
    names = requests.persistently(
        lambda: list(client.list(path)),
        path,
        "looking which files there are",
    )
    for name in names:
        yield alike(name, path)


def put(local: str, path: str, overwrite: bool) -> None:
    """Copy a file of this machine: see `registry.copied_to`."""
    requests.require_usable(path)
    client = client_of(path)
    has_failed = False

    def request() -> None:
        nonlocal has_failed
        try:
            client.put(local, path, overwrite)
        except requests.TransientError:
            has_failed = True
            raise
        except FileExistsError:
            # An attempt whose answer was lost may have copied it.
            if not (has_failed and _is_copy(client, local, path)):
                raise

    requests.persistently(request, path, "copying it there")


def _is_copy(client: Client, local: str, path: str) -> bool:
    """Whether a file elsewhere begins and ends as one of this machine: it has a random id."""
    with open(local, "rb") as file:
        start = file.read(_START)
        size = file.seek(0, os.SEEK_END)
    found = client.find(path, _START)
    return found.size == size and found.start == start


def remove(path: str) -> None:
    """Remove a file: see `registry.removed`."""
    requests.require_usable(path)
    client = client_of(path)
    requests.persistently(
        lambda: client.delete(path),
        path,
        "removing it",
    )


def memory_of(limit: int | None) -> Memory:
    """Return the memory that all files with the same limit share."""
    size = _USUAL_MEMORY if limit is None else limit
    with _lock:
        memory = _memories.get(size)
        if memory is None:
            memory = Memory(size)
            _memories[size] = memory
    return memory
