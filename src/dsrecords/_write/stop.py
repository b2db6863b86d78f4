"""Telling workers that nobody wants the rest of their work.

Futures are not cancelled for that: the executor can wait for ever for its processes then, in
Python before 3.10.11 and 3.11.3 (https://github.com/python/cpython/issues/94440). And what a worker
has begun could not be cancelled, which may be a whole file.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext


class Stopped(Exception):  # noqa: N818 - no error: nobody sees it
    """Ends work that nobody wants."""


class Stop(Protocol):
    """A flag that is set once."""

    def set(self) -> None:
        """Set it."""

    def is_set(self) -> bool:
        """Return whether it is set."""


class _SharedStop:
    """A flag that processes share.

    It is a semaphore, and is looked at without a lock: one that a killed worker held would never
    be free again.
    """

    def __init__(self, context: BaseContext) -> None:
        self._semaphore = context.Semaphore(0)

    def set(self) -> None:
        self._semaphore.release()

    def is_set(self) -> bool:
        return self._semaphore.get_value() > 0


def stop_of_threads() -> Stop:
    """Return a flag for workers that are threads."""
    return threading.Event()


def stop_of_processes(context: BaseContext) -> Stop:
    """Return a flag for workers that are processes of a start method. Linux alone can read it."""
    return _SharedStop(context)
