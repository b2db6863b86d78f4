"""Every system call that touches a disk: the one place where faults are injected. Knows nothing of the format.

The functions are called through the module (`files.pwrite(...)`), so that a test can put another in the place of each. All take
explicit offsets: no shared file position is ever used.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: reading only
    fcntl = None  # type: ignore[assignment]

Buffer = Any  # bytes, bytearray, memoryview, or a C-contiguous array

_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_PROBE = [bytearray(1)]  # for bytes that nobody looks at
_IOV_MAX = 512  # POSIX promises 16, Linux and macOS take 1024


class Descriptor:
    """A file descriptor that is closed with the last reference to it, if not before."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self, close: Callable[[int], None] = os.close) -> None:
        number, self.number = self.number, -1
        if number >= 0:
            close(number)

    __del__ = close


def open_read(path: str) -> int:
    """File descriptor for reading a regular file. A FIFO or a device is refused without waiting for it."""
    fd = os.open(path, os.O_RDONLY | _CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    return _regular(fd, path)


def open_write(path: str) -> int:
    return _regular(os.open(path, os.O_RDWR | _CLOEXEC | getattr(os, "O_NONBLOCK", 0)), path)


def create(path: str) -> int:
    """File descriptor of a new file; FileExistsError where there is one."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o666)


def _regular(fd: int, path: str) -> int:
    import stat

    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is not a regular file")
    return fd


def exists(path: str) -> bool:
    """Whether anything has this name, a link that leads nowhere included."""
    return os.path.lexists(path)


def close(fd: int) -> None:
    os.close(fd)


def size(fd: int) -> int:
    return os.fstat(fd).st_size


def identity(target: int | str) -> tuple[int, int] | None:
    """Which file this is (device and inode), so that a replaced one is noticed; None where there is none."""
    try:
        status = os.fstat(target) if isinstance(target, int) else os.stat(target)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def pread(fd: int, count: int, offset: int) -> bytes:
    """`count` bytes from `offset`; fewer only at the end of the file."""
    if not hasattr(os, "pread"):  # Windows
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as view:
            return view[offset : offset + count]
    data = os.pread(fd, count, offset)
    while len(data) < count and (more := os.pread(fd, count - len(data), offset + len(data))):
        data += more
    return data


def pwrite(fd: int, data: Buffer, offset: int) -> None:
    """Write all of `data` at `offset`, looping on short writes."""
    done = os.pwrite(fd, data, offset)
    if done == (len(data) if isinstance(data, bytes) else memoryview(data).nbytes):
        return
    view = memoryview(data).cast("B")
    while done < len(view):
        done += os.pwrite(fd, view[done:], offset + done)


def pwritev(fd: int, buffers: Sequence[Buffer], offset: int) -> None:
    """Write all of the buffers one after another at `offset`, without joining them where the system can."""
    if not hasattr(os, "pwritev"):
        pwrite(fd, b"".join(buffers), offset)
        return
    for first in range(0, len(buffers), _IOV_MAX):
        part = buffers[first : first + _IOV_MAX]
        total = sum(memoryview(buffer).nbytes for buffer in part)
        done = os.pwritev(fd, part, offset)
        if done < total:
            pwrite(fd, b"".join(part)[done:], offset + done)
        offset += total


def truncate(fd: int, length: int) -> None:
    os.ftruncate(fd, length)


def sync(fd: int, *, metadata: bool = False) -> None:
    """Wait until what was written is on the disk. On macOS only F_FULLFSYNC says so (fsync(2) there)."""
    if sys.platform == "darwin" and fcntl is not None:
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif metadata or not hasattr(os, "fdatasync"):
        os.fsync(fd)
    else:
        os.fdatasync(fd)


def sync_directory(path: str) -> None:
    """Wait until the names in the directory that holds `path` are on the disk."""
    if os.name == "nt":
        return
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lock(fd: int) -> bool:
    """Take the writer's lock; False where another has it. It goes with the last descriptor of this opening."""
    if fcntl is None:
        raise OSError("writing is not supported on this system: it has no flock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def rename(source: str, target: str) -> None:
    os.replace(source, target)


def link(source: str, target: str) -> None:
    """Give `source` the name `target`, FileExistsError where there is one: of two creators one wins."""
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
    os.unlink(path)


def map_read(fd: int, length: int) -> mmap.mmap:
    return mmap.mmap(fd, length, access=mmap.ACCESS_READ)


def map_private(fd: int, length: int) -> mmap.mmap:
    """A mapping whose changes stay in this process."""
    return mmap.mmap(fd, length, access=mmap.ACCESS_COPY)


def in_memory(fd: int, offset: int) -> bool:
    """Whether the page at an offset is in the page cache; False where the system does not say."""
    if not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        return os.preadv(fd, _PROBE, offset, os.RWF_NOWAIT) >= 0
    except (
        OSError,
        OverflowError,
    ):  # it would have to wait, this file system cannot tell, or there is no such offset
        return False


def will_need(mapping: memoryview, start: int, length: int) -> None:
    """Let the kernel begin to read a part of a mapping; `start` is a multiple of the page size."""
    mapped = mapping.obj
    if (
        hasattr(mmap, "MADV_WILLNEED")
        and isinstance(mapped, mmap.mmap)
        and start % mmap.PAGESIZE == 0
    ):
        mapped.madvise(mmap.MADV_WILLNEED, start, min(length, len(mapped) - start))
