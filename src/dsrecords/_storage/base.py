"""The seam between the readers of a file and the place where its bytes are.

Knows nothing of the format. Writing does not go through it: what is written is a local file.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Storage(Protocol):
    """One file, opened for reading. `tests/storages/suite.py` is what every storage must pass.

    A storage has no position, and may be used by many threads at once, and by the processes that
    a process forks. It reads one version of the file for as long as it lives: if the file is
    replaced, it goes on reading what it opened, or raises OSError. It never returns bytes of
    another version. While it is open the file may grow, and bytes of it may be overwritten in
    place; that is still the same version.

    Opening one raises FileNotFoundError, with the path as its `filename`, if there is no such file,
    and another OSError if it cannot be read. So may each of the methods.

    Attributes:
        path: of the file, as messages name it.
        needs_ensuring: whether a part of a window is the file only once `ensure` was called for it.
            False where windows are mappings: then a reader need not find out, record by record,
            what it is about to read.
        forgets: whether a part of a window may be read from the file again, although `ensure` was
            called for it: then nothing of it stays verified. Such windows are no memoryviews.
    """

    path: str
    needs_ensuring: bool
    forgets: bool

    def version(self) -> Hashable:
        """What tells the opened file from others that were at this path, or will be.

        To learn whether the file was replaced, open the path again and compare the versions. It
        does not change when the file grows.
        """

    def size(self) -> int:
        """The size of the file in bytes, as it is now."""

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes, as they are in the file now.

        Args:
            offset: of the first, in bytes. It may lie behind the end of the file, however far.
            length: how many.

        Returns:
            The bytes; fewer than `length` only at the end of the file, and none behind it.

        Raises:
            ValueError: `offset` or `length` is negative.
        """

    def window(self, length: int) -> memoryview:
        """The beginning of the file, in one piece that is read without calls.

        What a window shows is the file only where `ensure` was called for it, or where the storage
        says that its windows are mappings of the file. It is never written to, by either side.

        Args:
            length: in bytes.

        Returns:
            A read-only memoryview of bytes, `length` of them or more. It stays valid when a larger
            one is asked for, and when the storage is closed. Where a file cannot be mapped, it may
            be another object with a length, of which each slice, without steps, is a memoryview of
            bytes that are read at that moment.

        Raises:
            CorruptError: the file is shorter. Its `offset` is the size of the file.
        """

    def writable_window(self, length: int) -> memoryview:
        """The beginning of the file, in memory that only the caller knows of and may write to.

        It is for the entries of an index: an edit that is read in the log changes some of them, in
        this process alone. A mapping copies the pages that are changed, and no others.

        Args:
            length: in bytes, more than 0.

        Returns:
            A memoryview of bytes, `length` of them or more, which are those of the file: `ensure`
            is not needed. What is written to it shows nowhere else.

        Raises:
            CorruptError: as of `window`.
        """

    def seems_ready(self, starts: np.ndarray) -> bool:
        """Whether `ensure` need not be called for parts of the file, as far as can be told at once.

        It is asked before the parts are worked out, which takes longer than to look at two of them.
        Where `needs_ensuring`, it is True only if the parts are in the windows for certain.

        Args:
            starts: uint64, (n,): offsets at which the parts begin.
        """

    def ensure(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Prepare parts of the file that are about to be read in a window.

        Where windows are mappings of the file this is only advice, which may be ignored: it lets
        the system read the parts at once. Elsewhere the bytes are in every window, older and later
        ones, when this returns.

        Args:
            starts: uint64, (n,): offsets at which the parts begin.
            stops: uint64, (n,): offsets at which they end. The parts may be in any order, overlap,
                and be empty; what lies beyond the windows that were asked for so far is passed
                over, and so is a part that ends before it begins.
        """

    def is_full(self) -> bool:
        """Whether what is prepared now would push out what was prepared before, and not read yet.

        Then nothing should be prepared ahead.
        """

    def release(self, starts: np.ndarray, stops: np.ndarray) -> None:
        """Say that parts of the file are not needed any more. This is advice, which may be ignored.

        Args:
            starts: as of `ensure`.
            stops: as of `ensure`.
        """
