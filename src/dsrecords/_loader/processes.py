"""Worker processes, for transforms that hold Python's lock. None of them is ever forked."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
import weakref
from multiprocessing.connection import Connection, wait
from typing import Any

from dsrecords._interrupts import ignore_interrupts, without_interrupts
from dsrecords._loader.assembly import Stop
from dsrecords._loader.reader import Reader
from dsrecords._loader.work import Returned, Task, do_elsewhere
from dsrecords.errors import DSRecordsError, annotate

_ENDED = (
    "a worker process ended before its work was done: the system has killed it, as for lack of "
    "memory, or the script has no `if __name__ == '__main__':` around what it does, which new "
    "processes need; num_processes=0 does the work in threads"
)
_LOOK = 0.1  # seconds after which a thread that waits looks whether anyone still wants the work
_GRACE = 1.0  # seconds that a process has then, before it is killed

Reply = tuple[Returned | None, BaseException | None]


class Processes:
    """A pool of processes that read parts of batches. It ends with the object, or by `close`.

    Args:
        reader: how samples are read: it is pickled.
        count: how many processes.

    Raises:
        TypeError: the reader does not pickle.
    """

    def __init__(self, reader: Reader, count: int) -> None:
        try:
            pickled = pickle.dumps(reader)
        except Exception as error:
            raise TypeError(
                "the transform, a decoder or the dataset cannot be sent to a process, as it does "
                f"not pickle ({type(error).__name__}: {error}): define it at the top of a module, "
                "or give num_processes=0"
            ) from error
        self._process = os.getpid()
        self._workers = [_Worker(pickled) for _ in range(count)]
        self._end = weakref.finalize(self, _end, self._workers, self._process)
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            worker.start()
            self._idle.put(worker)

    def is_here(self) -> bool:
        """Return whether it is this process whose workers they are, and not one it is a fork of."""
        return os.getpid() == self._process

    def do(self, task: Task, stopped: Stop) -> Returned:
        """Let a process read a part; wait for it.

        Raises:
            DSRecordsError: the process was killed. Another one takes its place.
            StoppedError: nobody wants the part any more.
            Exception: what reading or a transform raises.
        """
        worker = self._idle.get()
        try:
            return worker.do(task, stopped)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._end()


class _Worker:
    """One process. One thread uses it at a time.

    Args:
        pickled: the reader.
    """

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled
        self._process: Any = None
        self._connection: Any = None
        self._is_closed = False

    def start(self) -> None:
        """Start the process, which takes it a second or so; nobody waits for it here."""
        context = multiprocessing.get_context("spawn")
        connection, other = context.Pipe()
        process = context.Process(target=_serve, args=(other, self._pickled), daemon=True)
        with without_interrupts():
            process.start()
        other.close()  # so that its end is seen here when the process ends
        self._process = process
        self._connection = connection

    def do(self, task: Task, stopped: Stop) -> Returned:
        stopped.check()
        if self._is_closed:
            raise DSRecordsError(_ENDED)
        if self._process is None:
            self.start()
        try:
            self._connection.send(task)
            self._wait(stopped)
            data = self._connection.recv_bytes()
        except (EOFError, OSError):
            self._give_up()
            raise DSRecordsError(_ENDED) from None
        except BaseException:
            self._give_up()
            raise
        reply: Reply = pickle.loads(data)  # noqa: S301 - it comes from our own process
        returned, error = reply
        if error is not None:
            raise error
        assert returned is not None
        return returned

    def _wait(self, stopped: Stop) -> None:
        """Wait for a reply, but not longer than anyone wants it."""
        deadline = None
        while not self._connection.poll(_LOOK):
            now = time.monotonic()
            if not stopped.is_set:
                continue
            if deadline is None:
                deadline = now + _GRACE
            elif now > deadline:
                stopped.check()

    def _give_up(self) -> None:
        """End the process; the next task starts another one."""
        process = self._process
        self._process = None
        self._connection.close()
        process.kill()
        process.join()

    def close(self) -> None:
        """End the process, and start no other one. A thread that waits for it sees its end."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
            process.join()


def _end(workers: list[_Worker], process: int) -> None:
    if os.getpid() == process:  # they are no children of a fork
        for worker in workers:
            worker.close()


# In a worker


def _serve(connection: Connection, pickled: bytes) -> None:
    """Do tasks until the parent ends, however it ends. Ctrl-C is the parent's matter."""
    ignore_interrupts()
    watch = threading.Thread(target=_end_with_parent, daemon=True)
    watch.start()
    reader = None
    failed = b""
    try:
        reader = pickle.loads(pickled)  # noqa: S301 - it comes from the parent
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        failed = _described(error)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        reply = failed
        if reader is not None:
            reply = _reply(reader, task)
        connection.send_bytes(reply)


def _end_with_parent() -> None:
    parent: Any = multiprocessing.parent_process()
    wait([parent.sentinel])
    signal.raise_signal(signal.SIGKILL)


def _reply(reader: Reader, task: Task) -> bytes:
    """Return a pickled `Reply`."""
    try:
        returned = do_elsewhere(reader, task)
        return pickle.dumps((returned, None), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        return _described(error)


def _described(error: BaseException) -> bytes:
    """Return a pickled `Reply` of an error, with the traceback of this process as a note."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    annotate(error, "in a worker process:\n" + "".join(lines))
    try:
        pickled = pickle.dumps((None, error))
        pickle.loads(pickled)  # noqa: S301 - some pickle, and cannot be made again
    except Exception:  # noqa: BLE001 - whatever their own code raises
        text = RuntimeError(f"{type(error).__name__}: {error}")
        for note in error.__notes__:
            annotate(text, note)
        pickled = pickle.dumps((None, text))
    return pickled
