"""Beginning early to write to the disk, by the system's own call, which Python does not have.

Knows nothing of the format.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin, wait for nothing


def _load() -> Callable[[int, int, int, int], int] | None:
    """The system's `sync_file_range`; None where there is none: Linux alone has it."""
    if os.name != "posix" or ctypes.sizeof(ctypes.c_void_p) < 8:
        return None
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is None:
        return None
    function.argtypes = [
        ctypes.c_int,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_uint,
    ]
    begin: Callable[[int, int, int, int], int] = function
    return begin


_sync_file_range = _load()


def begin_writing(fd: int, offset: int, length: int) -> None:
    """Let the system begin to write a part of an open file to the disk.

    This is advice: nothing is waited for, nothing leaves memory, and what fails is left to whoever
    syncs the file. (`posix_fadvise` with POSIX_FADV_DONTNEED begins as well, but lets go of pages
    that are written by the time that it comes to them.)

    Args:
        fd: of the file.
        offset: of the part.
        length: in bytes, more than 0.
    """
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, length, _WRITE)
