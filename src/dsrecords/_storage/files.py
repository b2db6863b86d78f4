"""Every system call that touches a disk: the one place where tests inject faults.

Knows nothing of the format. The functions are called through the module (`files.pwrite(...)`), so
that a test can replace one of them. All take explicit offsets: no shared file position is used.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import mmap
import os
import stat
import sys
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from dsrecords._storage import mapping, writeback

try:
    import fcntl
except ImportError:  # Windows: reading only
    fcntl = None  # type: ignore[assignment]

Buffer = Any  # bytes, bytearray, memoryview, or a C-contiguous array

PAGE_SIZE = mmap.PAGESIZE
"""The unit, in bytes, in which the system maps files and reads ahead."""

_MAX_BUFFERS = 512  # for one `pwritev`: POSIX guarantees 16, Linux and macOS accept 1024
_MAX_WRITE = 0x7FFF_F000  # bytes: no more are written by one call, see write(2)
# In one call of C, as all of `Descriptor`: `os.open` in the place of FileIO's own.
_open_private = functools.partial(os.open, mode=stat.S_IRUSR | stat.S_IWUSR)
_PERMISSIONS = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
_GROUP_SHIFT = 3  # bits: from the permissions of everybody to those of the group
_MOST_LINKS = 40  # that Linux follows for one path: path_resolution(7)
_ACCESS_LIST = "system.posix_acl_access"
_PROBE = [bytearray(1)]  # where `in_memory` reads to; nobody looks at it

# How file systems say that they do not do a thing at all; what a disk that fails says is not among
# them.
_NOT_SUPPORTED = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}
# An attribute that a file system does not have, or that only another user may give.
_NOT_POSSIBLE = {
    *_NOT_SUPPORTED,
    *_NOT_ALLOWED,
    errno.ENODATA,
}
_NO_LOCKS = {*_NOT_SUPPORTED, errno.ENOLCK}
# ENOMEM is also said where the addresses that a process may use are limited (`ulimit -v`).
_NO_MAPPINGS = {
    *_NOT_SUPPORTED,
    *_NOT_ALLOWED,
    errno.ENODEV,
    errno.ENOMEM,
}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


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
        private: whether a file that is created may be opened by nobody else for now.

    Attributes:
        number: of the descriptor; -1 once it is closed.
    """

    number = -1

    def __init__(
        self,
        path: str,
        mode: str,
        known: Known | None = None,
        private: bool = False,
    ) -> None:
        opener = None
        if private:
            opener = _open_private
        self._file = io.FileIO.__new__(io.FileIO)  # which has no descriptor yet
        if known is not None:
            known.add(self)
        # Opens it.
        self._file.__init__(path, mode, opener=opener)  # type: ignore[misc]
        self.number = self._file.fileno()

    def close(self) -> None:
        """Close it; does nothing the second time."""
        self.number = -1
        self._file.close()

    def read_all(self) -> bytes:
        """All bytes of a file that the system makes up, and which has no size."""
        return self._file.readall()

    def __del__(self) -> None:
        # So that Python does not warn of a file that was not closed.
        try:  # noqa: SIM105 - at the very end, the modules may be gone before this object
            self._file.close()
        except AttributeError:  # it was never opened
            pass


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
    replaces: str = "",
    known: Known | None = None,
) -> Descriptor:
    """Create a file, and open it for reading and writing.

    Where it is to be as another one, nobody but this user can open it before it is.

    Args:
        path: of the file.
        like: paths of files, of which the first that exists gives the new one its owner and
            permissions before there is a byte in it; as far as this process may give them.
        replaces: path of the file whose place the new one is to take, which is looked at before
            those. It gives all its extended attributes as well.
        known: as of `Descriptor`.

    Raises:
        FileExistsError: there is a file at `path`.
    """
    for other in (replaces, *like):
        status = _status(other)
        if status is not None:
            return _create_like(path, other, status, other == replaces, known)
    return Descriptor(path, "x+b", known)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:  # most likely there is none
        return None


def _create_like(
    path: str,
    other: str,
    status: os.stat_result,
    is_replaced: bool,
    known: Known | None,
) -> Descriptor:
    file = Descriptor(path, "x+b", known, private=True)
    try:
        _copy_access(file.number, other, status, is_replaced)
    except BaseException:
        file.close()
        os.unlink(path)
        raise
    return file


def _copy_access(
    fd: int,
    other: str,
    status: os.stat_result,
    is_replaced: bool,
) -> None:
    """Give an open file the owner, the permissions and the extended attributes of another.

    Nobody gets more than the other file gave: where the group, or a list of access, cannot be kept,
    the group gets no more than everybody.

    Args:
        fd: of the new file.
        other: path of the other file.
        status: of the other file.
        is_replaced: whether the new file takes its place; else of the attributes only the list of
            access is its own.
    """
    keeps_owner = _give(fd, status)
    mode = stat.S_IMODE(status.st_mode)
    if not keeps_owner:
        mode &= _PERMISSIONS  # no program is to run as another user than it did
    own = os.fstat(fd)
    try:
        keeps_access = _copy_attributes(fd, other, is_replaced)
    except FileNotFoundError:  # it has just gone, with its list of access
        keeps_access = False
    if own.st_gid != status.st_gid or not keeps_access:
        of_everybody = mode << _GROUP_SHIFT
        mode &= ~stat.S_IRWXG | of_everybody
    if hasattr(os, "fchmod"):
        with _as_far_as_possible():
            os.fchmod(fd, mode)


def _give(fd: int, status: os.stat_result) -> bool:
    """Give an open file an owner and a group; False if one of them cannot be given."""
    own = os.fstat(fd)
    if (own.st_uid, own.st_gid) == (status.st_uid, status.st_gid):
        return True
    if not hasattr(os, "fchown"):
        return False
    for user in (status.st_uid, -1):  # only the superuser may give files away
        with contextlib.suppress(OSError):
            os.fchown(fd, user, status.st_gid)
            return user != -1 or own.st_uid == status.st_uid
    return False


def _copy_attributes(fd: int, other: str, is_replaced: bool) -> bool:
    """Copy extended attributes; False if there is a list of access that cannot be copied."""
    if not hasattr(os, "listxattr"):  # not on Linux
        return True
    names: list[str] = []
    inherited: list[str] = []
    with _as_far_as_possible():
        names = os.listxattr(other)
        inherited = os.listxattr(fd)
    if not is_replaced:
        names = [name for name in names if name == _ACCESS_LIST]
    if _ACCESS_LIST in inherited and _ACCESS_LIST not in names:
        # A folder may give its files a list that the other file does not have.
        with _as_far_as_possible():
            os.removexattr(fd, _ACCESS_LIST)
    keeps_access = True
    for name in names:
        is_copied = False
        with _as_far_as_possible():
            value = os.getxattr(other, name)
            os.setxattr(fd, name, value)
            is_copied = True
        if name == _ACCESS_LIST:
            keeps_access = is_copied
    return keeps_access


@contextlib.contextmanager
def _as_far_as_possible() -> Iterator[None]:
    """Go on where the file system, or this user's rights, do not allow it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_POSSIBLE:
            raise


def target(path: str) -> str:
    """Where the file of a path is: the path that a symbolic link leads to, by way of others or not.

    What replaces a file is written beside this one, and renamed to it: so the links stay, and the
    other names lead to the new file. There need not be a file.
    """
    for _ in range(_MOST_LINKS):
        leads_to = link_target(path)
        if not leads_to:
            break
        path = leads_to
    return path


def link_target(path: str) -> str:
    """Where a path leads if it is a symbolic link, followed once; else ""."""
    try:
        leads_to = os.readlink(path)
    except OSError:  # it is none
        return ""
    beside = os.path.join(os.path.dirname(path), leads_to)
    folder, name = os.path.split(beside)
    return os.path.join(os.path.realpath(folder), name)


def hard_links(path: str) -> int:
    """How many names a file has; 0 if there is none."""
    status = _status(path)
    if status is None:
        return 0
    return status.st_nlink


def names_beside(path: str) -> list[str]:
    """Names in the folder of `path` that begin as it does; none if the folder cannot be read."""
    folder, start = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    return [name for name in names if name.startswith(start)]


def lock_holder(fd: int) -> int:
    """Which process has taken the lock of an open file; 0 if the system does not tell.

    From `/proc/locks` of Linux: "1: FLOCK  ADVISORY  WRITE 4711 fe:00:8487227 0 EOF", which has the
    number of the process and those of the file, hexadecimal but for the inode (man 5 proc_locks).
    """
    try:
        table = Descriptor("/proc/locks", "rb")
    except OSError:
        return 0
    try:
        lines = table.read_all().decode("ascii", "replace").splitlines()
        status = os.fstat(fd)
    except OSError:
        return 0
    finally:
        table.close()
    device = status.st_dev
    file = f"{os.major(device):02x}:{os.minor(device):02x}:{status.st_ino}"
    for line in lines:
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[5:6] == [file] and words[4].isdecimal():
            return int(words[4])
    return 0


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
            _write_rest(fd, part, offset, written)
        offset += size


def _write_rest(
    fd: int,
    buffers: Sequence[Buffer],
    offset: int,
    written: int,
) -> None:
    """Write what a short write of buffers at `offset` has left, without joining them."""
    start = offset
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        done = min(written, len(view))
        if done < len(view):
            pwrite(fd, view[done:], start + done)
        written -= done
        start += len(view)


def begin_writing(fd: int, offset: int, length: int) -> None:
    """Let the system begin to write a part of a file to the disk, without waiting for it."""
    writeback.begin_writing(fd, offset, length)


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
    """Wait until the names in the directory of `path` are on the disk.

    Where a directory cannot be synced, as on some network file systems, or may not be read by this
    process, the names become durable when the system writes them.
    """
    if os.name == "nt":
        return
    try:
        directory = _Directory(os.path.dirname(target(path)) or ".")
        try:
            directory.sync()
        finally:
            directory.close()
    except OSError as error:
        if error.errno not in {*_NOT_SUPPORTED, *_NOT_ALLOWED}:
            raise


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
        OSError: the system or the file system has no `flock`: see `is_without_locks`.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system has no flock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_without_locks(error: OSError) -> bool:
    """Whether an error of `lock` says that files cannot be locked where this one is."""
    return error.errno in _NO_LOCKS


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk is full, or that a user's share of it is."""
    return error.errno in _NO_ROOM


def is_unmappable(error: OSError) -> bool:
    """Whether an error of `map_read` says that this file, or so much of it, cannot be mapped."""
    return error.errno in _NO_MAPPINGS


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


def discard(path: str) -> None:
    """Remove a file if there is one, which another process may do at the same moment."""
    if exists(path):
        with contextlib.suppress(FileNotFoundError):
            unlink(path)


def map_read(fd: int, length: int) -> memoryview:
    """Map the first `length` bytes of a file for reading: see `mapping.map_read`."""
    return mapping.map_read(fd, length)


def map_private(fd: int, length: int) -> memoryview:
    """Map the first `length` bytes of a file; changes to the mapping stay in this process."""
    return mapping.map_private(fd, length)


def in_memory(fd: int, offset: int) -> bool | None:
    """Whether the page at an offset is in the page cache; None if it cannot be told like that."""
    if not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        return os.preadv(fd, _PROBE, offset, os.RWF_NOWAIT) >= 0
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:  # such as tmpfs or NFS
            return None
        return False  # the read would have to wait
    except OverflowError:  # there is no such offset
        return False


def may_ask_for_pages(fd: int) -> bool:
    """Whether the system says of a file's pages which are in memory: see `page_in_memory`.

    Of files that a process could not change, Linux says that all of them are: mincore(2).
    """
    if not hasattr(os, "geteuid"):
        return False
    return os.geteuid() in (0, os.fstat(fd).st_uid)


def page_in_memory(window: memoryview, start: int) -> bool:
    """Whether a page of a mapping is in memory; False if the system cannot tell.

    Args:
        window: a mapping of a file.
        start: a multiple of `PAGE_SIZE`, before the mapping's end.
    """
    return mapping.is_resident(window, start)


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


def let_go(
    fd: int,
    window: memoryview,
    start: int,
    length: int,
) -> None:
    """Let the system forget a part of a file, as far as nobody else has it mapped.

    Args:
        fd: of the file.
        window: a mapping of it.
        start: a multiple of `PAGE_SIZE`, before the mapping's end.
        length: bytes.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    length = min(length, len(window) - start)
    mapping.let_go(window, start, length)
    os.posix_fadvise(fd, start, length, os.POSIX_FADV_DONTNEED)
