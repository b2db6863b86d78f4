"""A folder of this machine that keeps what was read of files elsewhere.

Each process appends to files of its own, and reads those of all; so nothing is locked. The oldest
files go first. What a kill has cut off, or a disk has changed, is noticed by its checksum, and read
anew. A folder that cannot be written to is as one that is not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
from typing import NamedTuple

import numpy as np

from dsrecords._storage.crc import crc32
from dsrecords._storage.ranges import Ranges

# Before each part: magic, CRC-32 of what follows up to the bytes, the first offset, the one behind
# the last. Then a CRC-32 for each 64 KiB, and the bytes.
_HEAD = struct.Struct("<4sIQQ")
_MAGIC = b"DSK1"
_COVERED = 8  # bytes of the head that its checksum does not cover
_CHUNK = 2**16
_ENDING = ".kept"
_USUAL_LIMIT = 100 * 10**9  # bytes
_LARGEST_FILE = 64 * 2**20  # bytes
_SMALLEST_FILE = 2**20
_FILES = 8  # the limit is that of so many files, or more


class KeptPart(NamedTuple):
    """Where a part of a file elsewhere is kept.

    Attributes:
        start: its offset in the file elsewhere.
        stop: the offset behind it.
        path: of the file that has it.
        place: the offset of its checksums there.
    """

    start: int
    stop: int
    path: str
    place: int


class Folder:
    """What is kept in a folder, by one process.

    Args:
        path: of the folder.
        limit: how many bytes all that is kept may take; None: 100 GB.
    """

    def __init__(self, path: str, limit: int | None) -> None:
        self._path = path
        self._limit = _USUAL_LIMIT if limit is None else limit
        size = self._limit // _FILES
        self._file_size = max(min(size, _LARGEST_FILE), _SMALLEST_FILE)
        self.lock = threading.Lock()

    def version(self, *what: object) -> Kept:
        """Return what is kept of one version of a file.

        Args:
            what: tells it from all other versions and files.
        """
        text = repr(what).encode()
        name = hashlib.blake2b(text, digest_size=16).hexdigest()
        return Kept(self, os.path.join(self._path, name), self._file_size)

    def make_room(self) -> None:
        """Remove the oldest files, until those that are left are within the limit."""
        found = []
        for folder in _entries(self._path):
            found += _files_in(folder.path)
        found.sort()
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total + self._file_size <= self._limit:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size


class Kept:
    """What is kept of one version of a file elsewhere. Threads may share it.

    Args:
        folder: which it is in.
        path: of its own folder within that.
        file_size: from which on another file is begun.
    """

    def __init__(self, folder: Folder, path: str, file_size: int) -> None:
        self._folder = folder
        self._path = path
        self._file_size = file_size
        self._own = ""  # the file that is appended to
        self._own_size = 0
        self._is_useless = False
        self._parts: Ranges[KeptPart] = Ranges()
        for entry in _entries(path):
            if entry.name.endswith(_ENDING):
                self._look_at(entry.path)

    def _look_at(self, path: str) -> None:
        """Note which parts a file has."""
        with contextlib.suppress(OSError), open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            place = 0
            while place < size:
                file.seek(place)
                head = file.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    return
                magic, _, start, stop = _HEAD.unpack(head)
                place += _HEAD.size
                end = place + _size_of_checksums(start, stop) + stop - start
                if magic != _MAGIC or stop <= start or end > size:
                    return  # the rest was cut off
                self._parts.add(KeptPart(start, stop, path, place))
                place = end

    def has(self, start: int, stop: int) -> bool:
        """Whether bytes of the file seem to be kept, in one part."""
        return self._parts.find(start, stop) is not None

    def read(self, start: int, stop: int) -> memoryview | None:
        """Return bytes of the file, if they are kept and right."""
        part = self._parts.find(start, stop)
        if part is None:
            return None
        try:
            data = _read(part, start, stop)
        except OSError:
            data = None
        if data is None:  # removed by another process, or damaged
            self._parts.drop(part)
        return data

    def keep(self, start: int, data: memoryview) -> None:
        """Keep bytes of the file that begin at an offset, if that can be."""
        if self._is_useless or not len(data):
            return
        stop = start + len(data)
        checksums = _checksums_of(data)
        rest = struct.pack("<QQ", start, stop) + checksums
        entry = b"".join([_MAGIC, struct.pack("<I", crc32(rest)), rest, data])
        with self._folder.lock:
            try:
                self._begin_file_if_needed()
                place = self._own_size + _HEAD.size
                self._append(entry)
            except OSError:  # the disk is full, or may not be written to
                self._is_useless = True
                return
            path = self._own
        self._parts.add(KeptPart(start, stop, path, place))

    def _begin_file_if_needed(self) -> None:
        if self._own and self._own_size < self._file_size:
            return
        os.makedirs(self._path, exist_ok=True)
        self._folder.make_room()
        name = f"{os.getpid()}-{os.urandom(6).hex()}{_ENDING}"
        self._own = os.path.join(self._path, name)
        self._own_size = 0

    def _append(self, entry: bytes) -> None:
        with open(self._own, "ab", buffering=0) as file:
            if file.tell() != self._own_size:  # it was removed
                self._own = ""
                return
            written = file.write(entry)
            if written != len(entry):
                raise OSError("the disk is full")
        self._own_size += len(entry)


def _files_in(folder: str) -> list[tuple[int, int, str]]:
    """The files of a folder that keep parts: when they were changed, their sizes, their paths."""
    found = []
    for entry in _entries(folder):
        if not entry.name.endswith(_ENDING):
            continue
        with contextlib.suppress(OSError):  # another process has removed it
            stat = entry.stat()
            found.append((stat.st_mtime_ns, stat.st_size, entry.path))
    return found


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _size_of_checksums(start: int, stop: int) -> int:
    chunks = -(-(stop - start) // _CHUNK)
    return 4 * chunks


def _checksums_of(data: memoryview) -> bytes:
    found = []
    for first in range(0, len(data), _CHUNK):
        chunk = data[first : first + _CHUNK]
        found.append(crc32(chunk))
    return np.array(found, "<u4").tobytes()


def _read(part: KeptPart, start: int, stop: int) -> memoryview | None:
    """Read bytes of a part; None if they are not what was kept."""
    length = part.stop - part.start
    # As whole chunks, since each has a checksum.
    first_chunk = (start - part.start) // _CHUNK
    stop_chunk = -(-(stop - part.start) // _CHUNK)
    first = first_chunk * _CHUNK
    last = min(stop_chunk * _CHUNK, length)
    head_size = _HEAD.size + _size_of_checksums(part.start, part.stop)
    begin = part.place - _HEAD.size
    with open(part.path, "rb", buffering=0) as file:
        file.seek(begin)
        head = file.read(head_size)
        file.seek(begin + head_size + first)
        data = memoryview(file.read(last - first))
    if len(head) < head_size or len(data) < last - first:
        return None
    _, checksum, _, _ = _HEAD.unpack_from(head)
    if crc32(head[_COVERED:]) != checksum:
        return None
    stated = head[_HEAD.size + 4 * first_chunk :]
    found = _checksums_of(data)
    if not stated.startswith(found):
        return None
    offset = start - part.start - first
    return data[offset : offset + stop - start]
