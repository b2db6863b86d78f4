"""`Log`: the `.rec` as far as it is known to be whole, mapped."""

from __future__ import annotations

from dsrecords._storage.base import Storage


class Log:
    """The `.rec` that snapshots of one dataset share.

    Args:
        storage: of the `.rec`.
        end: up to where it is known to be whole, which grows. What an edit puts into rows that are
            in use lies before it.
    """

    def __init__(self, storage: Storage, end: int) -> None:
        self.storage = storage
        self.end = end

    def map(self) -> memoryview:
        """The log up to its end. A file that was cut short is a CorruptError, not a SIGBUS."""
        end = self.end
        window = self.storage.window(end)
        if len(window) == end:  # a window need not be mapped: a slice of it is read
            return window
        return window[:end]
