"""Bytes of the files that the viewer's server hands out, of this machine or elsewhere."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from typing import Protocol

from dsrecords._storage.base import Storage
from dsrecords._storage.registry import open_storage
from dsrecords.viewer.served import is_elsewhere

_PIECE = 2**20  # bytes of an answer that are in memory at once
_PIECE_ELSEWHERE = 2**23  # each is a request


class Ranges(Protocol):
    """A file that ranges are read of.

    Attributes:
        size: in bytes.
        version: tells it from another file of the same name. A log that grows is still the same.
    """

    size: int
    version: str

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from start to stop, some at a time. Closes the file.

        Raises:
            OSError: it cannot be read.
            DSRecordsError: it was replaced, or its server does not answer as it should.
        """

    def close(self) -> None:
        """Close the file."""


class Bytes:
    """Opens files. Those elsewhere stay open, as opening them takes a request; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._elsewhere: dict[str, Storage] = {}

    def opened(self, path: str) -> Ranges:
        """Open a file.

        Raises:
            FileNotFoundError: there is none, or it is no regular file.
            OSError: it cannot be read.
            RemoteError: the server of a file elsewhere does not answer as it should.
        """
        if not is_elsewhere(path):
            return _Local(path)
        with self._lock:
            if path not in self._elsewhere:
                self._elsewhere[path] = open_storage(path)
            return _Elsewhere(self._elsewhere[path])

    def forget(self, path: str) -> None:
        """Open a file anew when it is next asked for, as what was open is of no use any more."""
        with self._lock:
            self._elsewhere.pop(path, None)


class _Local:
    """A file of this machine."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        facts = os.fstat(self._descriptor)
        if not stat.S_ISREG(facts.st_mode):
            os.close(self._descriptor)
            raise FileNotFoundError(f"{path} is not a file")
        self.size = facts.st_size
        self.version = f"{facts.st_dev:x}-{facts.st_ino:x}"

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        try:
            while start < stop:
                length = min(_PIECE, stop - start)
                piece = os.pread(self._descriptor, length, start)
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        os.close(self._descriptor)


class _Elsewhere:
    """A file in a bucket or on a server."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.size = storage.size()
        version = repr(storage.version()).encode()
        self.version = hashlib.sha256(version).hexdigest()[:32]

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            piece = self._storage.read(start, min(_PIECE_ELSEWHERE, stop - start))
            if not piece:
                return
            start += len(piece)
            yield piece

    def close(self) -> None:
        """Nothing: it stays open for the next range."""
