"""The memory of this process as one window: so that NumPy gathers from many mappings at once.

Whoever reads in it holds the mappings whose addresses these are, and has made sure that what is
read lies within them: nothing else is looked at, and nothing is written.
"""

from __future__ import annotations

import ctypes

import numpy as np

_BEGINNING = 2**16  # nothing is mapped before this address
_END = 2**47  # nor behind this one


def _window() -> memoryview:
    if ctypes.sizeof(ctypes.c_void_p) < 8:
        return memoryview(b"")
    size = _END - _BEGINNING
    return memoryview((ctypes.c_ubyte * size).from_address(_BEGINNING)).cast("B").toreadonly()


MEMORY = _window()
"""The memory, as a memoryview of bytes; empty where addresses are not 64 bits."""


def place_of(view: memoryview) -> int:
    """Where a piece of memory begins in `MEMORY`; -1 if it is not in there."""
    if not len(view):
        return -1
    address = int(np.frombuffer(view, np.uint8).__array_interface__["data"][0])
    place = address - _BEGINNING
    if place < 0 or place + view.nbytes > len(MEMORY):
        return -1
    return place


def take(dtype: np.dtype, places: np.ndarray) -> np.ndarray:
    """Copy items of memory.

    Args:
        dtype: of an item.
        places: where each begins, a multiple of its size: int64, (n,).
    """
    items = np.frombuffer(
        MEMORY,
        dtype,
        len(MEMORY) // dtype.itemsize,
    )
    taken: np.ndarray = items[places // dtype.itemsize]
    return taken
