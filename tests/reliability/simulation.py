"""A machine that can lose its power: the `os`, `mmap` and `fcntl` that `dsrecords._storage.files` sees, in memory.

`Machine` keeps files as a real system does. What was written is there for every process, and each change is also noted in
`events`. `crashes` goes along these notes and yields what a disk could hold if the process was killed, or the power was lost, at
each of them: of what was not yet synced, each write may be there, be missing, be torn, be zeros or garbage; each name that its
directory was not synced for may be the old or the new one.

A disk that destroys bytes beside those that are being written is not simulated: no file format on one disk survives it.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import random
import stat
import types
import weakref
from typing import NamedTuple

from dsrecords._read import open as _state
from dsrecords._storage import files

FIRST_FD = (
    10**6
)  # far from real descriptors: one that leaks out of the simulation is a bad descriptor


CHANGES = ("create", "pwrite", "ftruncate", "fsync", "rename", "link", "unlink")


class File:
    """An inode: what every process sees of it now."""

    def __init__(self, number, data=b""):
        self.number, self.data, self.locked_by = number, bytearray(data), None


class Status(NamedTuple):
    st_mode: int
    st_dev: int
    st_ino: int
    st_size: int
    st_uid: int = 0
    st_gid: int = 0
    st_nlink: int = 1


class Fault(NamedTuple):
    """What goes wrong at the n-th call of those that reach the disk: an error number, or "short" for a short write."""

    n: int
    kind: int | str
    for_good: bool = False


class Killed(BaseException):
    """The process is no more. What it wrote is there for others."""


FLAGS = {
    "rb": os.O_RDONLY,
    "r+b": os.O_RDWR,
    "x+b": os.O_RDWR | os.O_CREAT | os.O_EXCL,
}


class Opened:
    """A file of a machine, which is closed there, whenever that is. It is opened as one of `io.FileIO` is: by `__init__`."""

    def __new__(cls, machine):
        made = super().__new__(cls)
        made.machine, made.fd = machine, -1
        return made

    def __init__(self, path, mode, opener=None):
        self.fd = self.machine.open(path, FLAGS[mode])

    def fileno(self):
        return self.fd

    def close(self):
        if self.fd in self.machine.fds:
            self.machine.close(self.fd)


class Machine:
    """Files in memory, behind the calls that `files` makes. Stands in the place of the modules `os`, `mmap` and `fcntl`.

    Args:
        files: path → content; all of it on the disk, safely.
        fault: what is to go wrong.

    Attributes:
        events: what changed, in order; `crashes` says what the tuples mean.
        calls: names of the calls so far that could have failed.
        killed_in_write: which part of the next write is done (0 to 1) before the process is killed; None: all of it.
    """

    path, name, environ = os.path, os.name, os.environ
    O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_CLOEXEC, O_NONBLOCK = (
        os.O_RDONLY,
        os.O_RDWR,
        os.O_CREAT,
        os.O_EXCL,
        os.O_CLOEXEC,
        os.O_NONBLOCK,
    )
    LOCK_EX, LOCK_NB, ACCESS_READ, ACCESS_COPY = 1, 2, 1, 3
    MAP_PRIVATE, PROT_READ, PROT_WRITE = 2, 1, 2
    SEEK_END = os.SEEK_END

    def __init__(self, files=(), fault=None):
        self.names = {
            path: File(number, data) for number, (path, data) in enumerate(dict(files).items(), 1)
        }
        self.start = dict(files)
        self.numbers = itertools.count(len(self.names) + 1)
        self.fds = {}
        self.events = []
        self.fault, self.calls, self.failed = fault, [], []
        self.killed_in_write = None

    @contextlib.contextmanager
    def running(self):
        """Within, `files` works on this machine. What a broken state would be looked at again for is looked at once."""
        patches = (
            (files, "os", self),
            (files, "io", self),
            (files, "mapping", self),
            (files, "fcntl", self),
            (_state, "_TRIES", 1),
            (_state, "_PATIENCE", 1),
            (_state, "read_header", _remembered_header),
            (files, "exists", self.exists),
        )
        before = [getattr(target, attribute) for target, attribute, _ in patches]
        for (
            target,
            attribute,
            new,
        ) in patches:  # without unittest.mock, which would take as long as opening a dataset does
            setattr(target, attribute, new)
        try:
            yield self
        finally:
            for (target, attribute, _), old in zip(patches, before, strict=True):
                setattr(target, attribute, old)

    def exists(self, path, real_exists=os.path.lexists):
        return path in self.names or (not path.startswith("/sim/") and real_exists(path))

    def contents(self):
        return {path: bytes(file.data) for path, file in self.names.items()}

    def note(self, *event):
        self.events.append(event)

    def _enter(self, call, writes=0):
        """Count a call; let it fail if it is its turn. Returns how many of `writes` bytes it may write."""
        self.calls.append(call)
        fault = self.fault
        if fault is None or not (
            len(self.calls) == fault.n or (fault.for_good and len(self.calls) > fault.n)
        ):
            return writes
        if fault.kind == errno.ENOSPC and call not in CHANGES:
            return writes  # a full disk can be read
        if fault.kind == "short":
            if writes and len(self.calls) == fault.n:
                self.failed.append(call)
                return writes // 2
            if writes:
                self.failed.append(call)
                raise OSError(
                    errno.ENOSPC, "the disk is full"
                )  # after a short write that stays short
            return writes
        self.failed.append(call)
        raise OSError(fault.kind, os.strerror(fault.kind))

    @property
    def FileIO(self):  # noqa: N802 - as in `io`
        # No class of its own for each machine, which only the garbage collector would remove.
        return types.SimpleNamespace(__new__=lambda cls: Opened.__new__(Opened, self))

    def open(self, path, flags, mode=0o777):
        self._enter("create" if flags & os.O_CREAT else "open")
        if flags & os.O_CREAT:
            if path in self.names:
                raise FileExistsError(errno.EEXIST, "File exists", path)
            file = File(next(self.numbers))
            self._rename_all({path: file})
        elif path in self.names:
            file = self.names[path]
        elif path in ("/sim", "/sim/"):
            file = "directory"
        else:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        fd = next(_fds)
        self.fds[fd] = file
        _machines[fd] = self
        return fd

    def _rename_all(self, changes):
        for path, file in changes.items():
            if file is None:
                del self.names[path]
            else:
                self.names[path] = file
        self.note("names", {path: file and file.number for path, file in changes.items()})

    def close(self, fd):
        file = self.fds.pop(fd)
        if isinstance(file, File) and file.locked_by == fd:
            file.locked_by = None

    def _status(self, file):
        return Status(stat.S_IFREG | 0o644, 1, file.number, len(file.data))

    def fstat(self, fd):
        self._enter("fstat")
        return self._status(self.fds[fd])

    def stat(self, path):
        self._enter("stat")
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self._status(self.names[path])

    def readlink(self, path):
        raise OSError(errno.EINVAL, "not a link", path)  # there are none

    def listdir(self, folder):
        return [
            name for path in self.names for head, name in [os.path.split(path)] if head == folder
        ]

    def pread(self, fd, count, offset):
        self._enter("pread")
        return bytes(self.fds[fd].data[offset : offset + count])

    def pwrite(self, fd, data, offset):
        data = bytes(data)
        data = data[: self._enter("pwrite", len(data))]
        part = self.killed_in_write
        if part is not None:
            data = data[: int(part * len(data))]
        file = self.fds[fd]
        if data:
            put(file.data, offset, data)
            self.note("write", file.number, offset, data)
        if part is not None:
            self.killed_in_write = None
            self._die()
        return len(data)

    def _die(self):
        for fd in list(self.fds):
            self.close(fd)
        raise Killed

    def pwritev(self, fd, buffers, offset):
        return self.pwrite(fd, b"".join(bytes(buffer) for buffer in buffers), offset)

    def ftruncate(self, fd, length):
        self._enter("ftruncate")
        file = self.fds[fd]
        cut(file.data, length)
        self.note("truncate", file.number, length)

    def fsync(self, fd):
        self._enter("fsync")
        file = self.fds[fd]
        self.note(*(("sync", file.number) if isinstance(file, File) else ("sync directory",)))

    fdatasync = fsync  # which makes the length durable as well, if reading the data needs it

    def replace(self, source, target):
        self._enter("rename")
        self._rename_all({target: self.names[source], source: None})

    rename = replace

    def link(self, source, target):
        self._enter("link")
        if target in self.names:
            raise FileExistsError(errno.EEXIST, "File exists", source, None, target)
        self._rename_all({target: self.names[source]})

    def unlink(self, path):
        self._enter("unlink")
        self._rename_all({path: None})

    def flock(self, fd, operation):
        self._enter("flock")
        file = self.fds[fd]
        if file.locked_by not in (None, fd):
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        file.locked_by = fd

    def map_read(self, fd, length):
        self._enter("mmap")
        return memoryview(bytes(self.fds[fd].data[:length]))

    def map_private(self, fd, length):
        self._enter("mmap")
        data = self.fds[fd].data
        if len(data) < length:
            raise ValueError("the file is shorter")
        return memoryview(bytearray(data[:length]))

    def will_need(self, window, start, length):
        pass


def _remembered_header(storage, read_header=_state.read_header):
    """`read_header`, once for the same bytes: a third of the time of opening a dataset goes into its schema."""
    fd = storage.descriptor.number
    machine = _machines[fd]
    data = machine.fds[fd].data
    raw = bytes(data[: min(max(int.from_bytes(data[16:20], "little"), 4096), 2**16)])
    if raw not in _headers or len(raw) == 2**16:
        if len(_headers) == MOST_HEADERS:  # each dataset that is made has an id of its own
            _headers.clear()
        calls, fault, machine.fault = len(machine.calls), machine.fault, None
        _headers[raw] = read_header(storage)
        del machine.calls[
            calls:
        ]  # whether it is the first time does not change which call is the n-th
        machine.fault = fault
    return _headers[raw]


MOST_HEADERS = 100
_headers = {}
_fds = itertools.count(FIRST_FD)  # no two machines have the same
_machines = weakref.WeakValueDictionary()  # by descriptor


def put(data, offset, new):
    if offset > len(data):
        data += bytes(offset - len(data))
    data[offset : offset + len(new)] = new


def cut(data, length):
    del data[length:]
    data += bytes(length - len(data))


# What may be left of one write that was not synced: kept, dropped, its beginning, its end, its length alone, garbage, a
# beginning with garbage or zeros behind it, and blocks each of which is new, zeros, garbage, or what lay there before: perhaps
# of a tail that was cut off, the ghost of an earlier writer.
FATES = (
    "keep", "drop", "begin", "end", "zeros", "garbage", "begin+garbage", "begin+zeros", "ghosts", "new and ghosts",
)  # fmt: skip
BLOCKS = (8, 16, 32, 64, 128)  # bytes


def suffer(data, operation, fate, rng, ghost=b""):
    """Do to a file's bytes what is left of an operation. `ghost`: all that has been in the file, whatever was cut off."""
    kind, _, place, *rest = operation
    if fate == "drop":
        return
    if kind == "truncate":
        cut(data, place)
        return
    new = rest[0]
    middle = rng.randrange(len(new) + 1)
    if "ghosts" in fate:
        before = ghost[place : place + len(new)].ljust(len(new), b"\0")
        kinds = [new, before] if fate == "new and ghosts" else [new, before, bytes(len(new)), None]
        put(data, place, _blocks(kinds, rng))
        return
    if fate == "begin":
        put(data, place, new[:middle])
    elif fate == "end":
        put(data, place + middle, new[middle:])
    elif fate == "zeros":
        put(data, place, bytes(len(new)))
    elif fate == "garbage":
        put(data, place, rng.randbytes(len(new)))
    elif fate == "begin+garbage":
        put(data, place, new[:middle] + rng.randbytes(len(new) - middle))
    elif fate == "begin+zeros":
        put(data, place, new[:middle].ljust(len(new), b"\0"))
    else:
        put(data, place, new)


def _blocks(kinds, rng):
    """Bytes each block of which is of one of these; None: garbage."""
    size, blocks = rng.choice(BLOCKS), []
    for at in range(0, len(kinds[0]), size):
        kind = rng.choice(kinds)
        length = min(size, len(kinds[0]) - at)
        blocks.append(rng.randbytes(length) if kind is None else kind[at : at + length])
    return b"".join(blocks)


class Crash(NamedTuple):
    """A disk after a crash, and what may be found on it.

    Attributes:
        files: path → content.
        low, high: the first and the last of the states that the list may be in.
        power: whether the power was lost; else the process was killed, and all that was written is there.
        at: number of the event.
        fingerprint: of the files.
    """

    files: dict
    low: int
    high: int
    power: bool
    at: int
    fingerprint: int


def fingerprint(files):
    """64 bits that tell disks apart, the same in every process."""
    told = hashlib.blake2b(digest_size=8)
    for path in sorted(files):
        told.update(f"{path} {len(files[path])} ".encode())
        told.update(files[path])
    return int.from_bytes(told.digest(), "little")


class _Disk:
    """What is durable of each file and name, and what is not yet."""

    def __init__(self, start):
        self.names = {path: number for number, path in enumerate(start, 1)}
        self.waiting_names = []
        self.data = dict(enumerate(start.values(), 1))
        self.waiting = {number: [] for number in self.data}
        self.ghosts = {number: bytearray(data) for number, data in self.data.items()}

    def take(self, event):
        kind = event[0]
        if kind == "names":
            self.waiting_names.append(event[1])
            for number in filter(None, event[1].values()):
                self.data.setdefault(number, b"")
                self.waiting.setdefault(number, [])
                self.ghosts.setdefault(number, bytearray())
        elif kind == "sync directory":
            for change in self.waiting_names:
                self._change(self.names, change)
            self.waiting_names = []
        elif kind in ("write", "truncate"):
            self.waiting[event[1]].append(event)
        elif kind == "sync":
            data = bytearray(self.data[event[1]])
            for operation in self.waiting[event[1]]:
                suffer(data, operation, "keep", _ALWAYS)
                if operation[0] == "write":
                    suffer(self.ghosts[event[1]], operation, "keep", _ALWAYS)
            self.data[event[1]], self.waiting[event[1]] = bytes(data), []

    @staticmethod
    def _change(names, change):
        for path, number in change.items():
            if number is None:
                names.pop(path, None)
            else:
                names[path] = number

    def unsynced(self):
        return [operation for waiting in self.waiting.values() for operation in waiting]

    def after(self, fate_of, keep_name, rng):
        """The files, if each unsynced operation meets its fate."""
        names = dict(self.names)
        for position, change in enumerate(self.waiting_names):
            if keep_name(position):
                self._change(names, change)
        files = {}
        for path, number in names.items():
            if not self.waiting[number]:
                files[path] = self.data[number]
                continue
            data = bytearray(self.data[number])
            for operation in self.waiting[number]:
                suffer(data, operation, fate_of(operation), rng, self.ghosts[number])
            files[path] = bytes(data)
        return files


_ALWAYS = random.Random(0)


def crashes(machine, seed, draws):
    """Every disk that a crash at any event of a machine's run could leave, without repetitions.

    Events besides those of the machine itself: ("begin", n): the list may from now on be in state n; ("done", n): state n was
    acknowledged; ("durable", n): it must survive a loss of power as well.

    Args:
        machine: after its run.
        seed: of the random fates.
        draws: how many random combinations of fates to draw at each event.
    """
    rng, disk, seen = random.Random(seed), _Disk(machine.start), set()
    durable = done = high = 0
    for at, event in enumerate([("start",), *machine.events]):
        kind = event[0]
        if kind == "begin":
            high = max(high, event[1])
        elif kind == "done":
            done = event[1]
        elif kind == "durable":
            durable = event[1]
        else:
            disk.take(event)
        if kind in ("begin", "open"):
            continue
        for power, left in _left(disk, event, rng, draws):
            low, disk_hash = durable if power else done, fingerprint(left)
            key = low, high, power, disk_hash
            if key not in seen:
                seen.add(key)
                yield Crash(left, low, high, power, at, disk_hash)


def _left(disk, event, rng, draws):
    everything = disk.after(lambda operation: "keep", lambda position: True, rng)
    yield False, everything
    if event[0] == "write":  # killed amid the write: a part of it is there
        torn = lambda operation: "begin" if operation is event else "keep"  # noqa: E731
        yield False, disk.after(torn, lambda position: True, rng)
    unsynced, names = disk.unsynced(), len(disk.waiting_names)
    if not unsynced and not names:
        return
    yield True, everything
    for keep in (True, False):
        yield True, disk.after(lambda operation: "drop", lambda position, keep=keep: keep, rng)
    for fated in unsynced[-4:]:  # one write alone meets each fate, or is the only one that is there
        for fate in FATES:
            yield (
                True,
                disk.after(
                    lambda o, fated=fated, fate=fate: fate if o is fated else "keep",
                    lambda position: True,
                    rng,
                ),
            )
        yield (
            True,
            disk.after(
                lambda o, fated=fated: "keep" if o is fated else "drop", lambda position: True, rng
            ),
        )
    for lost in range(names):
        yield (
            True,
            disk.after(lambda operation: "keep", lambda position, lost=lost: position != lost, rng),
        )
        yield (
            True,
            disk.after(lambda operation: "keep", lambda position, lost=lost: position < lost, rng),
        )
    for _ in range(draws):
        fates = {id(operation): rng.choice(FATES) for operation in unsynced}
        kept = [rng.random() < 0.5 for _ in range(names)]
        yield (
            True,
            disk.after(
                lambda operation, fates=fates: fates[id(operation)],
                lambda position, kept=kept: kept[position],
                rng,
            ),
        )
