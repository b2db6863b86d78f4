"""Files that stay mapped without a descriptor, of which a process has few."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from dsrecords._storage.local import ASK_MAPPING, LocalStorage
from dsrecords.errors import StaleViewError


class ParkedStorage(LocalStorage):
    """A file that was mapped before its descriptor was closed.

    What lies within the mapping is read as ever, without a call. For all else the file is opened
    for that moment, and must be the one that was mapped.

    Args:
        storage: of the file, which is not used any more.
        length: of what is mapped, in bytes.
    """

    def __init__(
        self,
        storage: LocalStorage,
        length: int,
    ) -> None:
        self.path = storage.path
        self._window = storage.window(length)
        self._mapping = self._window
        self._version = storage.version()

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def version(self) -> Hashable:
        """Device and inode of the file that was mapped."""
        return self._version

    def size(self) -> int:
        """The size of the file in bytes, as it is now."""
        return self._opened().size()

    def read(
        self,
        offset: int,
        length: int,
    ) -> bytes:
        """Read bytes, as they are in the file now: see `Storage.read`."""
        return self._opened().read(offset, length)

    def writable_window(self, length: int) -> memoryview:
        """The beginning of the file, mapped privately: see `Storage.writable_window`."""
        return self._opened().writable_window(length)

    def release(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Let the system forget parts of the file: see `Storage.release`."""
        file = self._opened()
        self.let_go(file.descriptor.number, starts, stops)

    def _map(self, length: int) -> memoryview:
        return self._opened()._map(length)

    def probe(self) -> int:
        """Whom to ask what is in memory: the mapping, as there is no descriptor."""
        return ASK_MAPPING

    def _opened(self) -> LocalStorage:
        """The file, opened for a moment. Raises StaleViewError if it was replaced."""
        storage = LocalStorage(self.path)
        if storage.version() != self._version:
            raise StaleViewError("the file was replaced since it was opened", file=self.path)
        return storage


def parked(storage: LocalStorage, length: int) -> LocalStorage:
    """Return a storage of the same file that keeps no descriptor, if it can be mapped."""
    window: object = storage.window(length)
    if not isinstance(window, memoryview):
        return storage
    return ParkedStorage(storage, length)
