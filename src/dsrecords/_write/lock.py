"""The writer's lock: how it is taken, and what becomes of it at a fork.

The lock is on the `.rec` itself and belongs to an open descriptor. A forked child inherits that
descriptor, and would keep the lock after the death of its parent. So whoever holds a lock registers
here, and gives it up in every child. Knows nothing of what is written.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

from dsrecords._storage import files
from dsrecords.errors import LockedError


class Holder(Protocol):
    """An object that holds the lock of a file."""

    def forked(self) -> None:
        """Close the descriptor; called in each forked child."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()

# What may have a lock one day. A fork comes between any two instructions, and what the child has
# inherited keeps a lock that its parent takes later: so these are known before they are opened.
_lockable: files.Known = weakref.WeakSet()


def lock(path: str, keep: Callable[[files.Descriptor], object]) -> None:
    """Take the writer's lock of the file that has this path now.

    Args:
        path: of the file.
        keep: called with its descriptor, open for reading and writing, before that has the lock:
            whatever is raised, now or later, the caller can close it. No lock is to last for as
            long as an exception is remembered. Called again where the file is replaced meanwhile.

    Raises:
        LockedError: another writer has the dataset.
    """
    while True:
        file = files.open_write(path, _lockable)
        keep(file)
        if not files.lock(file.number):
            raise LockedError("another writer has it: close that one first", file=path)
        if files.identity(path) == files.identity(file.number):
            return
        # It was replaced between opening and locking: this is the lock of a file without a name.
        file.close()


def create(path: str, like: Sequence[str]) -> files.Descriptor:
    """Create a file that is to be locked before anybody else knows it: see `files.create`."""
    return files.create(path, like, _lockable)


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
