"""How much more than is stored a call may make of it: so a small file cannot fill the memory.

A call reads one record, a batch or a column. What it makes of compressed payloads counts, beyond a
multiple of their own size: numbers, strings and arrays are stored as large as they are, and cost
nothing here. The count belongs to a thread, since types are called without one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from dsrecords.errors import DecodeError

Result = TypeVar("Result")

_MOST = 3 * 2**28  # bytes: with what is needed for a moment besides, less than 1 GiB
_VARIABLE = "DSRECORDS_BUDGET"  # of the environment: other bytes than these

# So many times its stored bytes a payload may always become: ten times what is usual of such.
OF_OBJECTS = 64
OF_PIXELS = 256
OF_SAMPLES = 256
OF_FRAMES = 1000


class _OfThread(threading.local):
    """What the call of a thread has taken.

    Attributes:
        calls: how many calls are open: one within another belongs to it.
        spent: bytes, beyond what its payloads may always become.
    """

    calls = 0
    spent = 0


_of_thread = _OfThread()


def in_call(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return what a function returns; all values that it makes share one budget.

    A call within another belongs to it. However this one ends, it is over afterwards: nothing is
    called on the way out, so no exception such as that of Ctrl-C comes in between.
    """
    of_thread = _of_thread
    calls = of_thread.calls
    try:
        if not calls:
            of_thread.spent = 0
        of_thread.calls = calls + 1
        return function(*arguments)
    finally:
        of_thread.calls = calls


def spent() -> int:
    """How much the call has taken so far, for `restore`."""
    return _of_thread.spent


def restore(before: int) -> None:
    """Forget what was taken since: the values are gone."""
    _of_thread.spent = before


def claim(made: int, free: int, at_once: int = 0) -> None:
    """Take memory for a value, before it is made.

    Args:
        made: bytes of the value.
        free: bytes that do not count, since as many are expected of what is stored.
        at_once: bytes that are needed while it is made, if these are more.

    Raises:
        DecodeError: the call would make too much of what is stored.
    """
    excess = max(made - free, 0)
    needed = max(at_once - free, excess)
    if not needed:
        return
    before = _of_thread.spent if _of_thread.calls else 0
    if before + needed > _MOST and before + needed > _most():
        raise DecodeError(
            f"what is compressed would become {before + needed} bytes more than is usual, and the "
            f"budget of a call is {_most()}: read fewer records at a time, decode as 'bytes', or "
            f"set the environment variable {_VARIABLE} to more bytes if you trust the file"
        )
    _of_thread.spent = before + excess


def _most() -> int:
    """The limit in bytes, as the environment says it."""
    text = os.environ.get(_VARIABLE, "")
    if not text.isdecimal():
        return _MOST
    return int(text)
