"""Several files of one dataset, written at once: each by one process, which reads its own samples.

The processes are forked where that is safe, and then neither samples nor schema have to pickle; see
`pool`, which says when.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dsrecords._interrupts import without_interrupts
from dsrecords._schema.schema import Schema
from dsrecords._shards.manifest import Shard
from dsrecords._write.pool import ENDED, begin_worker, encoded, pickled_schema, unpickled_schema
from dsrecords._write.progress import shown
from dsrecords._write.sharded import Build, Target, write_shard
from dsrecords._write.stop import Stop, Stopped, stop_of_processes, stop_of_threads
from dsrecords._write.threads import has_other_threads
from dsrecords.errors import DSRecordsError

if TYPE_CHECKING:
    from concurrent.futures import Executor


class _Work(NamedTuple):
    """What the files are made of.

    Attributes:
        samples: all of them, read by position.
        schema: of the dataset, or a pickle of it.
        metadata: of the dataset.
        target: where the files go.
        bounds: positions of the first sample of each file, and how many there are.
        build: what writes encoded records.
    """

    samples: Any
    schema: Schema | bytes
    metadata: dict[str, Any]
    target: Target
    bounds: Sequence[int]
    build: Build


_Item = TypeVar("_Item")

# Of a worker, or of this process where workers are threads: what it does, and what stops it.
_work: list[tuple[_Work, Stop]] = []


def written_in_pool(
    samples: Any,
    schema: Schema,
    metadata: dict[str, Any],
    target: Target,
    bounds: Sequence[int],
    options: Any,
    build: Build,
) -> Iterator[Shard]:
    """Write the files of a dataset in several processes, and yield what a manifest says of each.

    Raises:
        SchemaError: a sample does not fit.
        DSRecordsError: a process was killed.
    """
    # Not at the import of this module: all who only read would wait for it.
    from concurrent.futures import BrokenExecutor

    work = _Work(samples, schema, metadata, target, bounds, build)
    count = len(bounds) - 1
    pool, stop = _pool(work, min(options.num_workers, count))
    numbers = shown(range(count), count, target.root, options.progress)
    with pool:
        with without_interrupts():  # it starts processes
            futures = [pool.submit(_write, number) for number in range(count)]
        try:
            for number in numbers:
                yield futures[number].result()
        except BrokenExecutor as error:
            raise DSRecordsError(ENDED) from error
        finally:
            stop.set()


def _pool(work: _Work, num_workers: int) -> tuple[Executor, Stop]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    if platform.system() != "Linux":
        flag = stop_of_threads()
        threads = ThreadPoolExecutor(num_workers, initializer=_begin, initargs=(work, flag))
        return threads, flag
    method = "fork"
    if has_other_threads():
        method = "spawn"
        work = work._replace(schema=pickled_schema(_schema_of(work)))
    context = multiprocessing.get_context(method)
    stop = stop_of_processes(context)
    pool = ProcessPoolExecutor(
        num_workers,
        context,
        initializer=_begin_process,
        initargs=(work, stop, os.getpid()),
    )
    return pool, stop


def _schema_of(work: _Work) -> Schema:
    if isinstance(work.schema, Schema):
        return work.schema
    return unpickled_schema(work.schema)


def _begin(work: _Work, stop: Stop) -> None:
    _work[:] = [(work, stop)]


def _begin_process(work: _Work, stop: Stop, parent: int) -> None:
    begin_worker(parent)
    _begin(work, stop)


def _write(number: int) -> Shard:
    """Write one file."""
    ((work, stop),) = _work
    schema = _schema_of(work)
    positions = _until(stop, range(work.bounds[number], work.bounds[number + 1]))
    numbered = ((position, work.samples[position]) for position in positions)
    records = encoded(schema, numbered, 0)
    return write_shard(work.target, number, schema, work.metadata, work.build, records)


def _until(stop: Stop, items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield items until it is set.

    Raises:
        Stopped: it is set. What is being written is removed by those who write it.
    """
    for item in items:
        if stop.is_set():
            raise Stopped
        yield item
