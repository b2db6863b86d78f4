"""How fast a file is read on this machine, beside what the machine can do at most.

Each figure is of a run of some tenths of a second. What the machine can do is measured in the same
way: the same number of bytes, at random offsets of the same file, by one system call each; or one
behind the other, into memory that is there already.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_BATCH = 256
_CHUNK = 2**20  # bytes that are read at once where the file is read in its order
_MOST_COLD = 2**28  # bytes that are read from the disk
_PAGE = 4096


class Speed(NamedTuple):
    """How fast something was read.

    Attributes:
        name: what was read.
        records_per_second: of the dataset.
        bytes_per_second: of what records take in the file.
        limit: bytes per second that the machine read in the same way; None where there is nothing
            to compare with.
    """

    name: str
    records_per_second: float
    bytes_per_second: float
    limit: float | None

    def share(self) -> float | None:
        """Return which part of the machine's limit it is."""
        if not self.limit:
            return None
        return self.bytes_per_second / self.limit


def measured(dataset: IndexedRecordDataset, seconds: float) -> list[Speed]:
    """Measure random samples, random batches, columns and a loop, in this order.

    Args:
        dataset: with at least one record.
        seconds: for each of them.
    """
    path = dataset.files[0]
    size = sum(map(os.path.getsize, dataset.files))
    record_size = size / len(dataset)
    found = [
        _random_samples(dataset, path, record_size, seconds),
        _random_batches(dataset, path, record_size, seconds),
    ]
    columns = _columns(dataset, seconds)
    if columns is not None:
        found.append(columns)
    found.append(loop(dataset, seconds, "one after the other"))
    return found


def _random_samples(
    dataset: IndexedRecordDataset,
    path: str,
    record_size: float,
    seconds: float,
) -> Speed:
    count = len(dataset)
    rng = np.random.default_rng(0)
    indices = rng.integers(0, count, 10_000).tolist()

    def read(number: int) -> int:
        dataset[indices[number % len(indices)]]
        return 1

    rate = _rate(read, seconds)
    limit = _random_reads(path, record_size, 1, seconds)
    return Speed("random samples", rate, rate * record_size, limit)


def _random_batches(
    dataset: IndexedRecordDataset,
    path: str,
    record_size: float,
    seconds: float,
) -> Speed:
    count = len(dataset)
    rng = np.random.default_rng(1)
    size = min(_BATCH, count)
    batches = [rng.integers(0, count, size) for _ in range(100)]

    def read(number: int) -> int:
        dataset.batch(batches[number % len(batches)])
        return size

    rate = _rate(read, seconds)
    limit = _random_reads(path, record_size, size, seconds)
    return Speed(f"random batches of {size}", rate, rate * record_size, limit)


def _random_reads(
    path: str,
    record_size: float,
    reads: int,
    seconds: float,
) -> float:
    """Return how many bytes a second come from random offsets of a file, record by record."""
    size = os.path.getsize(path)
    length = max(1, min(round(record_size), size))
    rng = np.random.default_rng(2)
    offsets = rng.integers(0, size - length + 1, 10_000).tolist()
    buffer = bytearray(length)
    buffers = [buffer]
    descriptor = os.open(path, os.O_RDONLY)

    def read(number: int) -> int:
        for k in range(reads):
            offset = offsets[(number * reads + k) % len(offsets)]
            os.preadv(descriptor, buffers, offset)
        return reads * length

    try:
        return _rate(read, seconds / 2)
    finally:
        os.close(descriptor)


def _columns(dataset: IndexedRecordDataset, seconds: float) -> Speed | None:
    """Measure the column of the first field of numbers; None if there is none."""
    some = dataset[: min(len(dataset), 2**16)]
    for key in dataset.fields:
        try:
            some.checksums(key)
        except ValueError:  # it is a number, which has no checksum
            break
    else:
        return None
    column = np.ma.getdata(some.column(key))
    width = column.dtype.itemsize
    count = len(some)

    def read(number: int) -> int:
        start = number * count % max(1, len(dataset) - count + 1)
        dataset[start : start + count].column(key)
        return count

    source = np.zeros(count, column.dtype)
    target = np.empty_like(source)

    def copy(number: int) -> int:
        np.copyto(target, source)
        return source.nbytes

    rate = _rate(read, seconds)
    limit = _rate(copy, seconds / 4)
    return Speed(f"column {key}", rate, rate * width, limit)


def loop(
    dataset: IndexedRecordDataset,
    seconds: float,
    name: str,
) -> Speed:
    """Measure a loop over a dataset, which begins again where it ends."""
    path = dataset.files[0]
    record_size = sum(map(os.path.getsize, dataset.files)) / len(dataset)
    iterator = iter(dataset)

    def read(number: int) -> int:
        nonlocal iterator
        if next(iterator, None) is None:
            iterator = iter(dataset)
        return 1

    rate = _rate(read, seconds)
    limit = _sequential(path, seconds / 2)
    return Speed(name, rate, rate * record_size, limit)


def _sequential(path: str, seconds: float) -> float:
    """Return how many bytes a second come from a file that is read in its order."""
    size = os.path.getsize(path)
    buffers = [bytearray(_CHUNK)]
    descriptor = os.open(path, os.O_RDONLY)

    def read(number: int) -> int:
        offset = number * _CHUNK % max(size, 1)
        return os.preadv(descriptor, buffers, offset)

    try:
        return _rate(read, seconds)
    finally:
        os.close(descriptor)


def _rate(read: Callable[[int], int], seconds: float) -> float:
    """Return how much is read in a second: the sum of what `read` returns, called by number."""
    read(0)  # what is made once is not counted
    done = 0
    number = 1
    start = time.perf_counter()
    elapsed = 0.0
    while elapsed < seconds:
        done += read(number)
        number += 1
        elapsed = time.perf_counter() - start
    return done / elapsed


# From the disk


def forget(paths: list[str]) -> bool:
    """Ask the system to forget what it has in memory of files.

    Returns:
        Whether it has: it keeps what anybody has mapped, and some systems do not listen.
    """
    forgotten = [_forget(path) for path in paths]  # of each, whatever becomes of the others
    return all(forgotten)


def _forget(path: str) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a read-only file system needs none
            os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return not _is_in_memory(descriptor)
    finally:
        os.close(descriptor)


def _is_in_memory(descriptor: int) -> bool:
    """Return whether the middle of a file is in memory; True where nobody can tell."""
    if not hasattr(os, "RWF_NOWAIT"):
        return True
    middle = os.fstat(descriptor).st_size // 2
    buffers = [bytearray(_PAGE)]
    try:
        return os.preadv(descriptor, buffers, middle, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError:
        return True


def cold(open_again: Callable[[], Any], paths: list[str]) -> Speed | None:
    """Measure a loop over a dataset of which nothing is in memory.

    Args:
        open_again: opens it; nobody else may have it open.
        paths: of its data files.

    Returns:
        The speed; None if the system has kept the files in memory.
    """
    if not forget(paths):
        return None
    limit = _from_disk(paths[0])
    if not forget(paths):
        return None
    size = sum(map(os.path.getsize, paths))
    dataset = open_again()
    record_size = size / len(dataset)
    most = min(len(dataset), max(1, int(_MOST_COLD / record_size)))
    start = time.perf_counter()
    for _ in dataset[:most]:
        pass
    elapsed = time.perf_counter() - start
    rate = most / elapsed
    return Speed("from the disk", rate, rate * record_size, limit)


def _from_disk(path: str) -> float:
    buffers = [bytearray(_CHUNK)]
    descriptor = os.open(path, os.O_RDONLY)
    done = 0
    start = time.perf_counter()
    try:
        while done < _MOST_COLD:
            count = os.preadv(descriptor, buffers, done)
            if not count:
                break
            done += count
    finally:
        os.close(descriptor)
    return done / (time.perf_counter() - start)
