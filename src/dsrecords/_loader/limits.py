"""What this machine can do at most: measured once a process, in about a tenth of a second."""

from __future__ import annotations

import functools
import importlib.util
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dsrecords._format.checksums import crc32

_SIZE = 2**26  # bytes: more than most caches keep
_PIECE = 2**20  # bytes that are worked on at a time, as a record is
_ROUNDS = 3


class Limits(NamedTuple):
    """What the machine can do.

    Attributes:
        cores: that this process may use.
        verify_rate: bytes/s of which one core computes the checksum.
        copy_rate: bytes/s that one core copies. Both are of more bytes than a cache keeps.
    """

    cores: int
    verify_rate: float
    copy_rate: float


def lacks_vision() -> bool:
    """Return whether a package of the extra `vision` is not installed."""
    packages = ("simplejpeg", "cv2")
    return any(importlib.util.find_spec(name) is None for name in packages)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def machine() -> Limits:
    """Return the limits of this machine, by the processor time of this thread."""
    source = np.ones(_SIZE, np.uint8)
    target = np.ones(_PIECE, np.uint8)
    pieces = [source[start : start + _PIECE] for start in range(0, _SIZE, _PIECE)]
    verify = least_time(lambda: [crc32(piece) for piece in pieces])
    copy = least_time(lambda: _copy(pieces, target))
    return Limits(cores(), _SIZE / verify, _SIZE / copy)


def _copy(pieces: list[np.ndarray], target: np.ndarray) -> None:
    for piece in pieces:
        np.copyto(target, piece)


def least_time(function: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Return the least processor time of some calls, in seconds, above 0."""
    found = []
    for _ in range(rounds):
        began = time.thread_time()
        function()
        found.append(time.thread_time() - began)
    return max(min(found), 1e-9)
