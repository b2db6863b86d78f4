"""Every system call that touches a disk: the one place where tests inject faults.

Knows nothing of the format. The functions are called through the module (`files.pwrite(...)`), so
that a test can replace one of them. All take explicit offsets: no shared file position is used.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: reading only
    fcntl = None  # type: ignore[assignment]

Buffer = Any  # bytes, bytearray, memoryview, or a C-contiguous array

PAGE_SIZE = mmap.PAGESIZE
"""The unit, in bytes, in which the system maps files and reads ahead."""

_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # so that opening a FIFO does not wait for its other end
_MAX_BUFFERS = 512  # for one `pwritev`: POSIX guarantees 16, Linux and macOS accept 1024
# `mmap` names it only from Python 3.13 on.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
_PROBE = [bytearray(1)]  # where `in_memory` reads to; nobody looks at it


class Descriptor:
    """A file descriptor that is closed with the last reference to it, if not before.

    Attributes:
        number: of the descriptor; -1 once it is closed.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    # A default argument, since `os` may be gone when the interpreter exits.
    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Close it; does nothing the second time."""
        number = self.number
        self.number = -1
        if number >= 0:
            close(number)

    __del__ = close


def open_read(path: str) -> int:
    """Open a regular file for reading.

    Returns:
        Its descriptor.

    Raises:
        OSError: it is not a regular file. A FIFO or a device is refused without waiting for it.
    """
    flags = os.O_RDONLY | _CLOEXEC | _NONBLOCK
    fd = os.open(path, flags)
    return _require_regular(fd, path)


def open_write(path: str) -> int:
    """Open a regular file for reading and writing; otherwise as `open_read`."""
    flags = os.O_RDWR | _CLOEXEC | _NONBLOCK
    fd = os.open(path, flags)
    return _require_regular(fd, path)


def create(path: str, like: str | None = None) -> int:
    """Create a file.

    Args:
        path: of the file.
        like: path of a file, which need not exist, whose owner and permissions the new one gets
            before there is a byte in it; as far as this process may give them.

    Returns:
        Its descriptor, for reading and writing.

    Raises:
        FileExistsError: there is a file at `path`.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOEXEC
    status = None
    if like is not None and os.path.exists(like):
        status = os.stat(like)
    if status is None:
        return os.open(path, flags, 0o666)
    fd = os.open(path, flags, 0o600)
    _copy_access(fd, status)
    return fd


def _copy_access(fd: int, status: os.stat_result) -> None:
    """Give an open file the owner and the permissions of another."""
    if hasattr(os, "fchown"):
        own = os.fstat(fd)
        if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            with contextlib.suppress(OSError):  # only the superuser may give files away
                os.fchown(fd, status.st_uid, status.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(fd, stat.S_IMODE(status.st_mode))


def _require_regular(fd: int, path: str) -> int:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise OSError(f"{path} is not a regular file")
    return fd


def exists(path: str) -> bool:
    """Whether there is anything at this path, a broken symbolic link included."""
    return os.path.lexists(path)


def close(fd: int) -> None:
    """Close a descriptor."""
    os.close(fd)


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
    directory = os.path.dirname(path) or "."
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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


def map_read(fd: int, length: int) -> mmap.mmap:
    """Map the first `length` bytes of a file for reading."""
    return mmap.mmap(fd, length, access=mmap.ACCESS_READ)


def map_private(fd: int, length: int) -> mmap.mmap:
    """Map the first `length` bytes of a file; changes to the mapping stay in this process.

    No memory is set aside for changes to all of it, so that the file may be larger than memory.
    """
    if not _NORESERVE:
        return mmap.mmap(fd, length, access=mmap.ACCESS_COPY)
    return mmap.mmap(
        fd,
        length,
        flags=mmap.MAP_PRIVATE | _NORESERVE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE,
    )


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


def will_need(mapping: memoryview, start: int, length: int) -> None:
    """Let the system begin to read a part of a mapping.

    Args:
        mapping: of a file. Anything else is left alone.
        start: a multiple of `PAGE_SIZE`, before the mapping's end.
        length: bytes.
    """
    if not hasattr(mmap, "MADV_WILLNEED"):
        return
    mapped = mapping.obj
    if not isinstance(mapped, mmap.mmap):
        return
    if start % PAGE_SIZE == 0:
        length = min(length, len(mapped) - start)
        mapped.madvise(mmap.MADV_WILLNEED, start, length)
