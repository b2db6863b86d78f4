"""Requests to services elsewhere: how many at once, how often again, and by which process.

Knows no service, and nothing of the format.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from dsrecords.errors import RemoteError

Result = TypeVar("Result")

MOST_AT_ONCE = 64
"""Requests of a process that are under way at once, beside those that open files."""

MOST_BYTES_AT_ONCE = 2**26
"""Bytes that are asked for at once, so that each request of a slow line ends within its time."""

OPENED_AT_ONCE = 32
"""Files that are opened at once, each by requests that wait for one another."""

ATTEMPTS = 8
"""How often a request is made before its failure is an error."""

PATIENCE = 300.0
"""Seconds after which no request is made again."""

PAUSE = 0.1
"""Seconds before the second attempt, doubled for each further one."""

_LONGEST_PAUSE = 8.0  # seconds


class TransientError(Exception):
    """A failure that another attempt may not meet, such as an answer that was cut off.

    Args:
        text: what has failed.
        most_attempts: after how many it is an error; None: `ATTEMPTS`.
    """

    def __init__(self, text: str, most_attempts: int | None = None) -> None:
        super().__init__(text)
        self.most_attempts = most_attempts


class _Process:
    """What this process has begun to use."""

    def __init__(self) -> None:
        self.is_used = False
        self.is_broken = False
        self.lock = threading.Lock()
        self.readers: concurrent.futures.ThreadPoolExecutor | None = None
        self.openers: concurrent.futures.ThreadPoolExecutor | None = None
        self.line = Line()
        self.has_ended = threading.Event()


class Line:
    """How much is asked for at once."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._taken = 0  # bytes

    @contextlib.contextmanager
    def share(self, size: int) -> Iterator[None]:
        """Wait until so many bytes more may be asked for, and count them until they came."""
        size = min(size, MOST_BYTES_AT_ONCE)
        with self._condition:
            while self._taken + size > MOST_BYTES_AT_ONCE:
                self._condition.wait()
            self._taken += size
        try:
            yield
        finally:
            with self._condition:
                self._taken -= size
                self._condition.notify_all()


_process = _Process()


def _in_child() -> None:
    """In a forked child: the threads of the parent are not there, and never answer."""
    global _process
    broken = _process.is_used or _process.is_broken
    _process = _Process()
    _process.is_broken = broken


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def require_usable(path: str) -> None:
    """Note that this process makes requests.

    Raises:
        RemoteError: it was forked from one that does, so that it would wait without an end.
    """
    if _process.is_broken:
        raise RemoteError(
            "this process was forked from one that has read files of an object store, whose "
            "connections do not survive a fork: start workers by 'spawn' or 'forkserver' "
            "(multiprocessing_context='spawn' of a PyTorch DataLoader)",
            file=path,
        )
    _process.is_used = True


def submit(function: Callable[[], Result]) -> concurrent.futures.Future[Result]:
    """Call a function that makes one request, in one of the threads for these."""
    process = _process
    with process.lock:
        if process.readers is None:
            process.readers = _threads(MOST_AT_ONCE, "dsrecords-requests")
        readers = process.readers
    return readers.submit(function)


def submit_opening(function: Callable[[], Result]) -> concurrent.futures.Future[Result]:
    """Call a function that opens a file, in one of the threads for these.

    They are other ones, since such a function waits for those that make requests.
    """
    process = _process
    with process.lock:
        if process.openers is None:
            process.openers = _threads(OPENED_AT_ONCE, "dsrecords-openings")
        openers = process.openers
    return openers.submit(function)


def _threads(count: int, name: str) -> concurrent.futures.ThreadPoolExecutor:
    threads = concurrent.futures.ThreadPoolExecutor(count, thread_name_prefix=name)
    _tell_at_the_end()  # behind the import that lets Python wait: what is told last comes first
    return threads


def _tell_at_the_end() -> None:
    """Let requests that wait be given up when the process ends: Python waits for all threads.

    Without this, which no public function does, a process whose service fails ends minutes later.
    """
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contextlib.suppress(RuntimeError):  # it ends already
            register(_process.has_ended.set)


def awaited(future: concurrent.futures.Future[Result], path: str) -> Result:
    """Wait for what a thread returns, and return it. Raises as `require_usable` does."""
    if not future.done():
        require_usable(path)
    return future.result()


def share_of_line(size: int) -> contextlib.AbstractContextManager[None]:
    """Wait until so many bytes more may be asked for: see `Line`."""
    return _process.line.share(size)


def persistently(
    request: Callable[[], Result],
    path: str,
    what: str,
) -> Result:
    """Make a request until it succeeds, with a longer pause before each further attempt.

    Args:
        request: raises TransientError where another attempt may succeed.
        path: of the file, for the error.
        what: is done, for the error.

    Raises:
        RemoteError: the last attempt failed as well.
    """
    begin = time.monotonic()
    attempt = 1
    has_ended = _process.has_ended
    while not has_ended.is_set():
        try:
            return request()
        except TransientError as error:
            waited = time.monotonic() - begin
            most = error.most_attempts or ATTEMPTS
            if attempt >= most or waited > PATIENCE:
                raise RemoteError(
                    f"{what} failed {attempt} times in {waited:.0f} s: {error}",
                    file=path,
                ) from error.__cause__
        pause = min(PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
        has_ended.wait(pause * random.uniform(0.5, 1.0))  # so that many do not come again at once
        attempt += 1
    raise RemoteError(f"{what} was given up, since the process ends", file=path)
