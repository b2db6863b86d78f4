"""Threads that make batches. They never keep a process from ending, and none outlives it."""

from __future__ import annotations

import atexit
import contextlib
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from dsrecords._loader.assembly import Stop

_GRACE = 5.0  # seconds that threads have at the end of the process for the samples they are at

Work = tuple[Callable[..., None], tuple[Any, ...]]


class Executor(Protocol):
    """What does work."""

    def start(self) -> None: ...

    def submit(self, function: Callable[..., None], *arguments: Any) -> None: ...

    def end(self) -> None: ...


class Inline:
    """Does each piece of work at once, in the thread of the caller."""

    def start(self) -> None:
        """Do nothing."""

    def submit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function."""
        function(*arguments)

    def end(self) -> None:
        """Do nothing."""


class Threads:
    """Do work in the order in which it comes.

    They are daemons, which Python does not wait for at its end. A thread in the midst of a batch
    would make all others first; told to stop, it ends behind the sample that it is at. One that
    hangs there is left behind.

    Args:
        count: how many.
        stopped: is set at the end of the process.
    """

    def __init__(self, count: int, stopped: Stop) -> None:
        self._stopped = stopped
        self._has_ended = False
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads = []
        for number in range(count):
            thread = threading.Thread(
                target=_do,
                args=(self._work,),
                name=f"dsrecords-loader-{number}",
                daemon=True,
            )
            self._threads.append(thread)

    def start(self) -> None:
        """Let them begin."""
        _running.add(self)
        _alive.update(self._threads)
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Let a function be called. It raises nothing."""
        self._work.put((function, arguments))
        if self._has_ended:  # meanwhile: the threads may be gone
            self._do_the_rest()

    def _do_the_rest(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                piece = self._work.get_nowait()
                if piece is not None:
                    function, arguments = piece
                    function(*arguments)
        self.end()  # for threads that are not

    def end(self) -> None:
        """Let them end when what they have is done; nobody waits for it."""
        self._has_ended = True
        for _ in self._threads:
            self._work.put(None)

    def stop(self) -> None:
        """Let them give up what they do."""
        self._stopped.is_set = True
        self.end()


def _do(work: queue.SimpleQueue[Work | None]) -> None:
    while True:
        piece = work.get()
        if piece is None:
            break
        function, arguments = piece
        function(*arguments)
        del piece, function, arguments  # nothing is kept while there is nothing to do
    _alive.discard(threading.current_thread())


_running: weakref.WeakSet[Threads] = weakref.WeakSet()
# Also of iterations that are over: some are at their last piece. A thread that is still in a
# library of C++ when Python is gone ends the process by an abort.
_alive: set[threading.Thread] = set()


@atexit.register
def _end_all() -> None:
    for threads in list(_running):
        threads.stop()
    deadline = time.monotonic() + _GRACE
    for thread in list(_alive):
        left = deadline - time.monotonic()
        if thread.is_alive() and left > 0:
            thread.join(left)
