"""The writer's lock: how it is taken, and what becomes of it at a fork.

The lock is on the `.rec` itself and belongs to an open descriptor. A forked child inherits that
descriptor, and would keep the lock after the death of its parent. So whoever holds a lock registers
here, and gives it up in every child. Knows nothing of what is written.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol

from dsrecords._storage import files
from dsrecords.errors import LockedError, ReadOnlyError

Keep = Callable[[files.Descriptor], object]
"""Takes a descriptor before it has a lock, or as long as it has one: no lock is to last for as long
as an exception is remembered, of which the frames know whatever has a name in them."""


class Holder(Protocol):
    """An object that holds the lock of a file."""

    def forked(self) -> None:
        """Close the descriptor; called in each forked child."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()

# What may have a lock one day. A fork comes between any two instructions, and what the child has
# inherited keeps a lock that its parent takes later: so these are known before they are opened.
_lockable: files.Known = weakref.WeakSet()


def lock(
    path: str,
    keep: Keep,
    locks: bool = True,
) -> None:
    """Take the writer's lock of the file that has this path now.

    Args:
        path: of the file.
        keep: called with its descriptor, open for reading and writing, before that has the lock:
            whatever is raised, now or later, the caller can close it. No lock is to last for as
            long as an exception is remembered. Called again where the file is replaced meanwhile.
        locks: False: nothing is locked, since the file system has no locks.

    Raises:
        LockedError: another writer has the dataset.
        ReadOnlyError: the file system has no locks.
    """
    while True:
        file = files.open_write(path, _lockable)
        keep(file)
        if locks and not _is_locked(file, path):
            text = f"another writer{holder_of(file)} has it: close that one first"
            raise LockedError(text, file=path)
        if files.identity(path) == files.identity(file.number):
            return
        # It was replaced between opening and locking: this is the lock of a file without a name.
        file.close()


def holder_of(file: files.Descriptor) -> str:
    """Who holds the lock of an open file, in words, as far as the system tells; else ""."""
    process = files.lock_holder(file.number)
    if not process:
        return ""
    if process == os.getpid():
        return " of this process"
    return f" (process {process})"


def create(path: str, replaces: str) -> files.Descriptor:
    """Create a file that is to be locked before anybody else knows it: see `files.create`."""
    return files.create(path, replaces=replaces, known=_lockable)


def locked_from_birth(
    file: files.Descriptor,
    path: str,
    locks: bool = True,
) -> bool:
    """Take the lock of a file that nobody else knows yet; False if the system refuses it.

    Args:
        file: the file.
        path: what errors call it.
        locks: as of `lock`.

    Raises:
        ReadOnlyError: the file system has no locks.
    """
    return not locks or _is_locked(file, path)


def _is_locked(file: files.Descriptor, path: str) -> bool:
    """Take the lock of an open file; False if another has it."""
    try:
        return files.lock(file.number)
    except OSError as error:
        if not files.is_without_locks(error):
            raise
        raise ReadOnlyError(
            f"files cannot be locked here ({error.strerror}): keep the dataset on another file "
            "system, or let this one lock (flock, the lock daemon of NFS); or give lock=False, "
            "and see to it yourself that no two processes write to it at once",
            file=path,
        ) from error


def release_after_fork(holder: Holder) -> None:
    """Call `holder.forked()` in each child that is forked while the holder lives."""
    _holders.add(holder)


def _after_fork() -> None:
    for file in list(_lockable):
        file.close()
    for holder in list(_holders):
        holder.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
