"""The writer's lock: how it is taken, and what becomes of it at a fork.

The lock is on the `.rec` itself and belongs to an open descriptor. A forked child inherits that
descriptor, and would keep the lock after the death of its parent. So whoever holds a lock registers
here, and gives it up in every child. Knows nothing of what is written.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from dsrecords._storage import files
from dsrecords.errors import LockedError


class Holder(Protocol):
    """An object that holds the lock of a file."""

    def forked(self) -> None:
        """Close the descriptor; called in each forked child."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
_lockable: weakref.WeakSet[files.Descriptor] = weakref.WeakSet()


def lock(path: str) -> files.Descriptor:
    """Take the writer's lock of the file that has this path now.

    Returns:
        The descriptor that has the lock, open for reading and writing.

    Raises:
        LockedError: another writer has the dataset.
    """
    while True:
        file = files.open_write(path)
        _lockable.add(file)  # before it has the lock: a child that is forked now closes it
        try:
            if not files.lock(file.number):
                raise LockedError("another writer has it: close that one first", file=path)
            if files.identity(path) == files.identity(file.number):
                return file
        except BaseException:  # it is not to be open for as long as the exception is remembered
            file.close()
            raise
        # It was replaced between opening and locking: this is the lock of a file without a name.
        file.close()


def locked_from_birth(file: files.Descriptor) -> bool:
    """Take the lock of a file that nobody else knows yet; False if the system refuses it."""
    _lockable.add(file)
    return files.lock(file.number)


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
