"""`Gate`: one change of a dataset at a time, also where a signal handler begins a second one.

A lock alone is not enough: a handler runs in the thread that it interrupts, amid a change of this
very dataset, and a lock would let it pass, or wait for itself for ever.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType

from dsrecords._native import GateBase
from dsrecords.errors import LockedError


class Gate(GateBase):
    """A lock that knows which call holds it. Held by `with gate:`.

    What an exception between two instructions leaves open, as Ctrl-C may, the same thread closes
    when it comes back.

    Args:
        path: of the data file, for messages.

    Attributes:
        after: what is to be done right after the change that holds it, as it was asked for amid
            it; None: nothing. It waits for the next one if the change fails.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._holder: FrameType | None = None  # the frame of the call that holds it
        self.after: Callable[[], None] | None = None

    def __enter__(self) -> None:
        """Wait for other threads.

        Raises:
            LockedError: a call of this thread holds it, amid which this one is made.
        """
        self._lock.acquire()
        if self._is_held_below():
            self._lock.release()
            raise LockedError(
                "it is being changed by the call that this one interrupts (as a signal handler "
                "does) or is called from: change it after that",
                file=self._path,
            )
        self._holder = sys._getframe(1)

    def __exit__(self, kind: object, *exception: object) -> None:
        self._holder = None  # what is asked for from here on is done at once
        self._lock.release()
        after = self.after
        if after is not None and kind is None:
            self.after = None
            after()

    def is_held_here(self) -> bool:
        """Whether a call of this thread holds it, amid which this is called."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._is_held_below()
        finally:
            self._lock.release()

    def _is_held_below(self) -> bool:
        """Whether the call that held it last is on the stack of this thread."""
        holder = self._holder
        if holder is None:
            return False
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame is holder:
                return True
            frame = frame.f_back
        return False
