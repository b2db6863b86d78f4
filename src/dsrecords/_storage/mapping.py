"""Mapping files into memory, by the system's own call.

Python's `mmap` keeps a descriptor of its own for each mapping, and maps no further than a file
reaches. So a dataset would take three descriptors, and a log that grows a new mapping for each
append that is read. Where the system's call cannot be had, as on Windows, `mmap` it is.

Knows nothing of the format. The functions are called through the module, so that a test can replace
it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref

import numpy as np

from dsrecords._native import core

_FAILED = ctypes.c_void_p(-1).value
# `mmap` names it only from Python 3.13 on. No memory is set aside for changes to all of a mapping,
# so that a file that is mapped privately may be larger than memory.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
_WILL_NEED = getattr(mmap, "MADV_WILLNEED", 3)
# The twin asks the system itself, which takes a fifth of the time.
_has_core = core is not None and sys.platform == "linux"
_DO_NOT_NEED = 4  # MADV_DONTNEED, on Linux and macOS alike


def _load_libc() -> ctypes.CDLL | None:
    """The system's library; None where it is not known to have these functions."""
    if os.name != "posix" or ctypes.sizeof(ctypes.c_void_p) < 8:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int64,
    ]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    return libc


_libc = _load_libc()


def map_read(fd: int, length: int) -> memoryview:
    """Map the first bytes of a file for reading.

    Args:
        fd: of the file.
        length: in bytes, more than 0. Behind the end of the file nothing may be read, until the
            file reaches there: it would end the process.

    Raises:
        OSError: the system cannot map so much.
    """
    if _libc is None:
        size = min(length, os.fstat(fd).st_size)
        return memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
    return _map(fd, length, mmap.PROT_READ, mmap.MAP_SHARED).toreadonly()


def map_private(fd: int, length: int) -> memoryview:
    """Map the first bytes of a file, so that changes to the mapping stay in this process.

    Raises:
        ValueError: the file is shorter.
        OSError: the system cannot map so much.
    """
    if os.fstat(fd).st_size < length:
        raise ValueError(f"the file has less than {length} bytes")
    if _libc is None:
        return memoryview(mmap.mmap(fd, length, access=mmap.ACCESS_COPY))
    return _map(
        fd,
        length,
        mmap.PROT_READ | mmap.PROT_WRITE,
        mmap.MAP_PRIVATE | _NORESERVE,
    )


def _map(
    fd: int,
    length: int,
    protection: int,
    flags: int,
) -> memoryview:
    assert _libc is not None
    address = _libc.mmap(None, length, protection, flags, fd, 0)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    memory = (ctypes.c_ubyte * length).from_address(address)
    # With the last view of it; not at the exit of the interpreter, when others may still read it.
    weakref.finalize(memory, _libc.munmap, address, length).atexit = False
    return memoryview(np.frombuffer(memory, np.uint8))


def will_need(view: memoryview, start: int, length: int) -> None:
    """Let the system begin to read a part of a mapping; `start` is a multiple of its pages."""
    if _has_core:
        core.will_need(view, start, length)
        return
    if _libc is None:
        return
    address = np.frombuffer(view, np.uint8).ctypes.data
    _libc.madvise(address + start, length, _WILL_NEED)


def let_go(view: memoryview, start: int, length: int) -> None:
    """Take a part of a mapping out of this process; `start` is a multiple of its pages.

    It is read from the file again where it is looked at.
    """
    if _libc is None:
        return
    address = np.frombuffer(view, np.uint8).ctypes.data
    _libc.madvise(address + start, length, _DO_NOT_NEED)


def is_resident(view: memoryview, start: int) -> bool:
    """Whether a page of a mapping is in memory; `start` is a multiple of its pages.

    False where the system cannot tell.
    """
    if _has_core:
        is_there: bool = core.page_in_memory(view, start)
        return is_there
    if _libc is None:
        return False
    address = np.frombuffer(view, np.uint8).ctypes.data
    told = ctypes.create_string_buffer(1)
    failed = _libc.mincore(address + start, 1, told)
    return not failed and bool(told.raw[0] & 1)
