"""LMDB opened with `readahead=False`.

That is MADV_RANDOM, its better setting for random reads from a cold disk. It reads LMDB's files and is asked the cold
questions only: on a warm file it changes nothing.
"""

from .base import NotSupportedError
from .lmdb import Adapter as Lmdb


class Adapter(Lmdb):
    """LMDB without the system's read-ahead."""

    title = "LMDB 0.9, readahead=False"
    readahead = False
    column = None  # it reads in order, which this setting makes slow; LMDB's own row stands

    def open(self, *, cold=False):
        if not cold:
            raise NotSupportedError("only asked on a cold disk")
        super().open(cold=cold)
