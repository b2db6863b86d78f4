"""Whether a fork is safe: which threads this process has. Knows nothing of datasets."""

from __future__ import annotations

import ctypes
import os
import threading
import time

_TASKS = "/proc/self/task"  # of Linux: a folder for each thread
_PAUSE = 0.02  # seconds
_MAPS = "/proc/self/maps"  # of Linux: the libraries that are loaded, among others

# How many threads OpenBLAS computes with, by the names that builds of it give this function.
_COUNTS = (
    "scipy_openblas_get_num_threads64_",
    "scipy_openblas_get_num_threads",
    "openblas_get_num_threads64_",
    "openblas_get_num_threads",
)


def has_other_threads() -> bool:
    """Whether there are threads that could hold a lock which a forked child would wait for.

    Those of OpenBLAS, which NumPy starts when it is imported, do not count: it stops them itself
    before each fork. They have no names of their own, by which others that are not Python's are
    told from them.

    Returns:
        True also if the system does not say.
    """
    if len(threading.enumerate()) > 1:
        return True
    if not _has_only_allowed_threads():
        time.sleep(_PAUSE)  # a thread that was joined may still be about to end
        return not _has_only_allowed_threads()
    return False


def _has_only_allowed_threads() -> bool:
    try:
        names = [_name(number) for number in os.listdir(_TASKS)]
        own_name = _name(str(os.getpid()))
        allowed = 1 + _threads_of_openblas()
    except OSError:
        return False
    return len(names) <= allowed and set(names) == {own_name}


def _name(number: str) -> str:
    with open(f"{_TASKS}/{number}/comm") as file:
        return file.read()


def _threads_of_openblas() -> int:
    """How many threads it may have beside the one that calls it, in all copies that are loaded."""
    paths = set()
    with open(_MAPS) as file:
        for line in file:
            _, _, path = line.rstrip().partition("/")
            if "openblas" in os.path.basename(path):
                paths.add(f"/{path}")
    count = 0
    for path in paths:
        library = ctypes.CDLL(path)
        for name in _COUNTS:
            function = getattr(library, name, None)
            if function is not None:
                count += function() - 1
                break
    return count
