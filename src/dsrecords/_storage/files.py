"""Every system call that touches a disk: the one place where tests inject faults.

Knows nothing of the format. The functions are called through the module (`files.pwrite(...)`), so
that a test can replace one of them. All take explicit offsets: no shared file position is used.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import stat
import sys
import weakref
from collections.abc import Sequence
from typing import Any

from dsrecords._storage import mapping

try:
    import fcntl
except ImportError:  # Windows: reading only
    fcntl = None  # type: ignore[assignment]

Buffer = Any  # bytes, bytearray, memoryview, or a C-contiguous array

PAGE_SIZE = mmap.PAGESIZE
"""The unit, in bytes, in which the system maps files and reads ahead."""

_MAX_BUFFERS = 512  # for one `pwritev`: POSIX guarantees 16, Linux and macOS accept 1024
_PROBE = [bytearray(1)]  # where `in_memory` reads to; nobody looks at it


class Descriptor:
    """An open file, closed with the last reference to it, if not before.

    The file is Python's own object for one, which is made and closed without an instruction of
    Python's in between: so an exception such as that of Ctrl-C never leaves a descriptor open that
    nobody knows.

    Args:
        path: of the file.
        mode: as of `io.FileIO`.
        known: to which this object is added before the file is opened, so that a child that is
            forked right after that can close it.

    Attributes:
        number: of the descriptor; -1 once it is closed.
    """

    number = -1

    def __init__(
        self,
        path: str,
        mode: str,
        known: Known | None = None,
    ) -> None:
        self._file = io.FileIO.__new__(io.FileIO)  # which has no descriptor yet
        if known is not None:
            known.add(self)
        self._file.__init__(path, mode)  # type: ignore[misc]  # opens it
        self.number = self._file.fileno()

    def close(self) -> None:
        """Close it; does nothing the second time."""
        self.number = -1
        self._file.close()

    def __del__(self) -> None:
        # So that Python does not warn of a file that was not closed.
        with contextlib.suppress(AttributeError):  # it was never opened
            self._file.close()


Known = weakref.WeakSet[Descriptor]


def open_read(path: str) -> Descriptor:
    """Open a regular file for reading.

    Raises:
        OSError: it is not a regular file. A FIFO or a device is refused without opening it.
    """
    return _open_regular(path, "rb")


def open_write(path: str, known: Known | None = None) -> Descriptor:
    """Open a regular file for reading and writing; otherwise as `open_read`.

    Args:
        path: of the file.
        known: as of `Descriptor`.
    """
    return _open_regular(path, "r+b", known)


def _open_regular(
    path: str,
    mode: str,
    known: Known | None = None,
) -> Descriptor:
    # Before it is opened: to open a FIFO is to wait for its other end.
    _require_regular(os.stat(path), path)
    file = Descriptor(path, mode, known)
    _require_regular(os.fstat(file.number), path)
    return file


def _require_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is not a regular file")


def create(
    path: str,
    like: Sequence[str] = (),
    known: Known | None = None,
) -> Descriptor:
    """Create a file, and open it for reading and writing.

    Args:
        path: of the file.
        like: paths of files, of which the first that exists gives the new one its owner and
            permissions before there is a byte in it; as far as this process may give them.
        known: as of `Descriptor`.

    Raises:
        FileExistsError: there is a file at `path`.
    """
    file = Descriptor(path, "x+b", known)
    for other in like:
        try:
            status = os.stat(other)
        except OSError:  # most likely there is none
            continue
        _copy_access(file.number, status)
        break
    return file


def _copy_access(fd: int, status: os.stat_result) -> None:
    """Give an open file the owner and the permissions of another."""
    if hasattr(os, "fchown"):
        own = os.fstat(fd)
        if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            for user in (status.st_uid, -1):  # only the superuser may give files away
                with contextlib.suppress(OSError):
                    os.fchown(fd, user, status.st_gid)
                    break
    if hasattr(os, "fchmod"):
        os.fchmod(fd, stat.S_IMODE(status.st_mode))


def exists(path: str) -> bool:
    """Whether there is anything at this path, a broken symbolic link included."""
    return os.path.lexists(path)


def size(fd: int) -> int:
    """Size of an open file in bytes."""
    return os.fstat(fd).st_size


def identity(target: int | str) -> tuple[int, int] | None:
    """Device and inode of a descriptor or a path, which tell that a file was replaced.

    None if there is no file at the path.
    """
    try:
        status = os.fstat(target) if isinstance(target, int) else os.stat(target)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def pread(fd: int, count: int, offset: int) -> bytes:
    """Read `count` bytes from `offset` on; fewer only at the end of the file."""
    if not hasattr(os, "pread"):  # Windows
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as view:
            return view[offset : offset + count]
    data = os.pread(fd, count, offset)
    while len(data) < count:
        missing = count - len(data)
        more = os.pread(fd, missing, offset + len(data))
        if not more:
            break
        data += more
    return data


def holds(fd: int, data: bytes, offset: int) -> bool:
    """Whether the bytes of an open file from `offset` on are these. For writers, so not Windows."""
    return os.pread(fd, len(data), offset) == data


def pwrite(fd: int, data: Buffer, offset: int) -> None:
    """Write all of `data` at `offset`, going on after short writes."""
    written = os.pwrite(fd, data, offset)
    # Appends pass bytes, for which no memoryview is made.
    size = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
    if written == size:
        return
    view = memoryview(data).cast("B")
    while written < size:
        written += os.pwrite(fd, view[written:], offset + written)


def pwritev(
    fd: int,
    buffers: Sequence[Buffer],
    offset: int,
) -> None:
    """Write all buffers, one behind the other, at `offset`; joined only where the system must."""
    if not hasattr(os, "pwritev"):
        joined = b"".join(buffers)
        pwrite(fd, joined, offset)
        return
    for first in range(0, len(buffers), _MAX_BUFFERS):
        part = buffers[first : first + _MAX_BUFFERS]
        size = sum(memoryview(buffer).nbytes for buffer in part)
        written = os.pwritev(fd, part, offset)
        if written < size:
            joined = b"".join(part)
            pwrite(fd, joined[written:], offset + written)
        offset += size


def truncate(fd: int, length: int) -> None:
    """Cut a file to `length` bytes."""
    os.ftruncate(fd, length)


def sync(fd: int, *, metadata: bool = False) -> None:
    """Wait until what was written is on the disk; with `metadata`, the inode's as well."""
    if sys.platform == "darwin" and fcntl is not None:
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync does not wait for the disk there: fsync(2)
    elif metadata or not hasattr(os, "fdatasync"):
        os.fsync(fd)
    else:
        os.fdatasync(fd)


def sync_directory(path: str) -> None:
    """Wait until the names in the directory of `path` are on the disk."""
    if os.name == "nt":
        return
    directory = _Directory(os.path.dirname(path) or ".")
    try:
        directory.sync()
    finally:
        directory.close()


class _Directory:
    """An open directory, of which Python has no object.

    Each step is one call of C, amid which no exception such as that of Ctrl-C comes: when one comes
    before `close` is through, the directory is closed with the last reference to it.

    Args:
        path: of the directory.
    """

    def __init__(self, path: str) -> None:
        self._fds: list[int] = []
        self._fds.extend(map(os.open, [path], [os.O_RDONLY]))

    def sync(self) -> None:
        os.fsync(self._fds[0])

    def close(self) -> None:
        """Close it; does nothing the second time."""
        self._fds[:] = filter(os.close, self._fds)  # which returns None, so none is left

    def __del__(self) -> None:
        self.close()


def lock(fd: int) -> bool:
    """Take the writer's lock of an open file.

    The lock is released with the last descriptor of this opening of the file.

    Returns:
        False if another process, or another opening of the file, has the lock.

    Raises:
        OSError: the system has no `flock`.
    """
    if fcntl is None:
        raise OSError("writing is not supported on this system: it has no flock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def rename(source: str, target: str) -> None:
    """Rename a file; what is at `target` is replaced atomically."""
    os.replace(source, target)


def link(source: str, target: str) -> None:
    """Rename a file to a new name; of two processes that do so, one succeeds.

    Raises:
        FileExistsError: there is a file at `target`.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise FileExistsError(f"{target} exists") from None
    except OSError:  # a file system without hard links
        if exists(target):
            raise FileExistsError(f"{target} exists") from None
        os.rename(source, target)
    else:
        os.unlink(source)


def unlink(path: str) -> None:
    """Remove a file."""
    os.unlink(path)


def map_read(fd: int, length: int) -> memoryview:
    """Map the first `length` bytes of a file for reading: see `mapping.map_read`."""
    return mapping.map_read(fd, length)


def map_private(fd: int, length: int) -> memoryview:
    """Map the first `length` bytes of a file; changes to the mapping stay in this process."""
    return mapping.map_private(fd, length)


def in_memory(fd: int, offset: int) -> bool:
    """Whether the page at an offset is in the page cache; False if the system cannot tell."""
    if not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        return os.preadv(fd, _PROBE, offset, os.RWF_NOWAIT) >= 0
    except OSError:  # the read would have to wait, or this file system cannot tell
        return False
    except OverflowError:  # there is no such offset
        return False


def will_need(window: memoryview, start: int, length: int) -> None:
    """Let the system begin to read a part of a mapping.

    Args:
        window: a mapping of a file.
        start: a multiple of `PAGE_SIZE`, before the mapping's end.
        length: bytes.
    """
    if start % PAGE_SIZE == 0:
        length = min(length, len(window) - start)
        mapping.will_need(window, start, length)
