"""Encoding samples, here or in a pool of processes. Knows nothing of files."""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dsrecords._schema.encoded import Encoded
from dsrecords._schema.schema import Schema
from dsrecords.errors import SchemaError

if TYPE_CHECKING:  # importing it takes long, and few need it
    from concurrent.futures import Executor, Future

_CHUNK = 64  # samples that one worker encodes at once
_CHUNKS_PER_WORKER = 2  # that wait for it, or for their turn to be written

Numbered = Iterator[tuple[int, Any]]  # samples and their positions
Results = list[Encoded | BaseException]

_PR_SET_PDEATHSIG = 1  # of Linux: see prctl(2)

_worker = threading.local()  # of a process or a thread of the pool: the schema


def encoded(schema: Schema, samples: Numbered, num_workers: int) -> Iterator[Encoded]:
    """Encode samples, in their order.

    Args:
        schema: of the dataset.
        samples: with their positions.
        num_workers: processes that encode them; 0: this one does.

    Raises:
        SchemaError: a sample does not fit; names record and field. Those before it come first.
    """
    if num_workers > 0:
        yield from _encoded_in_pool(schema, samples, num_workers)
        return
    for position, sample in samples:
        yield schema.encode(sample, position)


def _encoded_in_pool(schema: Schema, samples: Numbered, num_workers: int) -> Iterator[Encoded]:
    most = _CHUNKS_PER_WORKER * num_workers
    waiting: collections.deque[Future[Results]] = collections.deque()
    with _pool(schema, num_workers) as pool:
        try:
            for chunk in _chunks(samples):
                waiting.append(pool.submit(_encode, chunk))
                if len(waiting) == most:
                    yield from _records(waiting.popleft())
            while waiting:
                yield from _records(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


def _chunks(samples: Numbered) -> Iterator[list[tuple[int, Any]]]:
    chunk = list(itertools.islice(samples, _CHUNK))
    while chunk:
        yield chunk
        chunk = list(itertools.islice(samples, _CHUNK))


def _records(future: Future[Results]) -> Iterator[Encoded]:
    for result in future.result():
        if isinstance(result, BaseException):
            raise result
        yield result


def _pool(schema: Schema, num_workers: int) -> Executor:
    import multiprocessing
    import os
    import platform
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    # Elsewhere forking is missing, or unsafe with the system's libraries.
    if platform.system() != "Linux":
        return ThreadPoolExecutor(num_workers, initializer=_begin, initargs=(schema,))
    return ProcessPoolExecutor(
        num_workers,
        multiprocessing.get_context("fork"),
        initializer=_begin_process,
        initargs=(schema, os.getpid()),
    )


def _begin(schema: Schema) -> None:
    _worker.schema = schema


def _begin_process(schema: Schema, parent: int) -> None:
    """Leave Ctrl-C to the parent, which ends its workers: no worker is to print a traceback.

    And end with the parent, also where that is killed: a worker would wait for it for ever.
    """
    import ctypes
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)
    _begin(schema)


def _encode(chunk: list[tuple[int, Any]]) -> Results:
    """The records of a chunk; if a sample does not fit, those before it, and the error last."""
    results: Results = []
    for position, sample in chunk:
        try:
            results.append(_worker.schema.encode(sample, position))
        except (SchemaError, OSError) as error:
            results.append(error)
            break
    return results
