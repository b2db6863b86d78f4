"""Memory of batches, which is used again as soon as nothing refers to it any more."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and what JAX and vector instructions ask of an array
_SMALLEST = 2**14  # bytes: of fewer, new memory costs less than to keep it

Allocate = Callable[[int], np.ndarray]  # bytes to an array of uint8, at least as long


class Buffers:
    """Arrays whose memory is used again.

    An array is valid for as long as anything refers to it or to a view of it, such as a tensor of
    PyTorch's; then its memory becomes that of a later one. Pages that are there already spare the
    system's work for new ones, which costs about as much as a copy. May be used by many threads,
    and in a fork: no lock is ever held.

    Args:
        most: blocks of one size that are kept while nobody uses them.
        allocate: makes new memory; by default the process's own.
    """

    def __init__(self, most: int, allocate: Allocate | None = None) -> None:
        self._most = most
        self._allocate = allocate or _allocate
        self._free: dict[int, list[_Loan]] = {}  # by size in bytes: blocks that nobody uses
        self._lent: dict[int, _Loan] = {}  # by `id`

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
        """Return an array with any contents, which begins at a multiple of 64 bytes."""
        size = dtype.itemsize * math.prod(shape)
        if dtype.hasobject or not size:
            return np.empty(shape, dtype)
        allocate = _allocate
        if size >= _SMALLEST:
            allocate = self._lend
        memory = allocate(size)
        return memory[:size].view(dtype).reshape(shape)

    def _lend(self, size: int) -> np.ndarray:
        """Return memory that comes back when nothing refers to it any more."""
        rounded = -(-size // ALIGNMENT) * ALIGNMENT
        free = self._free.setdefault(rounded, [])
        block = self._block(rounded, free)
        lease = _Lease(block)
        loan = _Loan(lease, free.append)
        loan.block = block
        self._lent[id(loan)] = loan
        return np.asarray(lease)

    def _block(self, size: int, free: list[_Loan]) -> np.ndarray:
        while True:
            try:
                loan = free.pop()
            except IndexError:
                return self._allocate(size)
            del self._lent[id(loan)]
            if len(free) < self._most:
                return loan.block


class _Lease:
    """One use of a block: the arrays that are made of it keep it alive."""

    def __init__(self, block: np.ndarray) -> None:
        self.__array_interface__ = block.__array_interface__
        self._block = block


class _Loan(weakref.ref["_Lease"]):
    """Sees the end of a lease: `list.append` is then called with this, wherever that happens.

    No code of Python's runs there: a `__del__` would swallow a Ctrl-C that comes meanwhile.
    """

    __slots__ = ("block",)
    block: np.ndarray


def _allocate(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    address: int = memory.__array_interface__["data"][0]
    start = -address % ALIGNMENT
    return memory[start : start + size]
