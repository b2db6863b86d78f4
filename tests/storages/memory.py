"""A storage in memory, for tests: files that are copied part by part, as from a server."""

import errno
import itertools
import mmap

from dsrecords.errors import CorruptError

_ROOM = 2**30  # bytes of a window at most; those that are never touched take no memory
_versions = itertools.count(1)


class MemoryFile:
    """One version of a file."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.version = next(_versions)


class MemoryStorage:
    """A file out of a dict of files. Its windows hold only what `ensure` was called for."""

    needs_ensuring = True
    forgets = False

    def __init__(self, files, path):
        if path not in files:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", path)
        self.path = path
        self._file = files[path]
        self._memory = mmap.mmap(-1, _ROOM)
        self.calls = 0  # of `ensure`

    def version(self):
        return self._file.version

    def size(self):
        return len(self._file.data)

    def read(self, offset, length):
        if offset < 0 or length < 0:
            raise ValueError("negative")
        return bytes(self._file.data[offset : offset + length])

    def window(self, length):
        if length > self.size():
            raise CorruptError("the file was cut short", file=self.path, offset=self.size())
        return memoryview(self._memory)[:length].toreadonly()

    def writable_window(self, length):
        if length > self.size():
            raise CorruptError("the file was cut short", file=self.path, offset=self.size())
        return memoryview(bytearray(self._file.data[:length]))

    def seems_ready(self, starts):
        return False

    def ensure(self, starts, stops):
        self.calls += 1
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            part = self.read(start, max(stop - start, 0))
            self._memory[start : start + len(part)] = part

    def is_full(self):
        return False

    def release(self, starts, stops):
        """Nothing is forgotten: all of it is in memory."""
