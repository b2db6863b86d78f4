"""The writer's lock: how it is taken, and what becomes of it at a fork.

The lock is on the `.rec` itself and belongs to an open descriptor. A forked child inherits that
descriptor, and would keep the lock after the death of its parent. So whoever holds a lock registers
here, and gives it up in every child. Knows nothing of what is written.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from dsrecords._storage import files
from dsrecords.errors import LockedError


class Holder(Protocol):
    """An object that holds the lock of a file."""

    def forked(self) -> None:
        """Close the descriptor; called in each forked child."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
_first_change = threading.Lock()


def lock(path: str) -> files.Descriptor:
    """Take the writer's lock of the file that has this path now.

    Returns:
        The descriptor that has the lock, open for reading and writing.

    Raises:
        LockedError: another writer has the dataset.
    """
    while True:
        file = files.Descriptor(files.open_write(path))
        if not files.lock(file.number):
            raise LockedError("another writer has it: close that one first", file=path)
        if files.identity(path) == files.identity(file.number):
            return file
        # It was replaced between opening and locking: this is the lock of a file without a name.


def release_after_fork(holder: Holder) -> None:
    """Call `holder.forked()` in each child that is forked while the holder lives."""
    _holders.add(holder)


def first_change() -> threading.Lock:
    """The mutex under which threads of this process decide who becomes the writer of a dataset."""
    return _first_change


def _after_fork() -> None:
    global _first_change
    _first_change = threading.Lock()  # another thread of the parent may have held it
    for holder in list(_holders):
        holder.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
