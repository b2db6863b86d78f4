"""The datasets that growth.py measures, and what it does with each: one function an operation.

    python benchmarks/growth_cells.py FOLDER CELL OPERATION      # the memory that one operation leaves in use, as JSON

An operation returns how many calls, or records, its processor time is divided by.
"""

import contextlib
import dataclasses
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import dsrecords

STEP = 1_000_000  # records that are written at once
POSITIONS = 65_536  # of records that are read at random
LOOP = 20_000  # records of a loop
PASSES = 10  # over the positions, by each of many threads or processes: so long that starting one does not count


@dataclasses.dataclass
class Cell:
    """A dataset of one size of everything, and what is done with it at once.

    Attributes:
        records: in the dataset.
        numbers: fields of int64.
        payloads: fields of bytes.
        size: bytes of a payload.
        batch: samples of a batch, read or written.
        threads: that read at once.
        forks: processes that read at once.
        head: bytes of a head of numbers alone; it takes the place of `numbers` and `payloads`.
    """

    records: int = 20_000
    numbers: int = 2
    payloads: int = 1
    size: int = 24
    batch: int = 256
    threads: int = 1
    forks: int = 1
    head: int = 0

    def __post_init__(self) -> None:
        if self.head:
            self.numbers = (self.head - 16) // 8
            self.payloads = 0

    def schema(self) -> dict[str, str]:
        """The fields."""
        numbers = {f"n{i}": "int64" for i in range(self.numbers)}
        return {**numbers, **{f"p{i}": "bytes" for i in range(self.payloads)}}

    def columns(self, first: int, count: int) -> dict[str, object]:
        """Values of some records."""
        numbers = {f"n{i}": np.arange(first, first + count) + i for i in range(self.numbers)}
        payload = bytes(self.size)
        return {**numbers, **{f"p{i}": [payload] * count for i in range(self.payloads)}}


class Dataset:
    """The files of a cell, and a reader of them.

    Args:
        cell: their sizes.
        folder: where they are, or will be.
        kept: where the dataset that an operation opened last goes instead of being closed; by default it is closed.
    """

    def __init__(self, cell: Cell, folder: Path, kept: list | None = None) -> None:
        self.cell = cell
        self.path = folder / "data.rec"
        self.kept = kept
        if not self.path.exists():
            self._write()
        self.reader = dsrecords.open(self.path)
        self.order = self._positions()

    def _write(self) -> None:
        cell = self.cell
        with dsrecords.IndexedRecordDataset(self.path, schema=cell.schema(), create=True) as data:
            for first in range(0, cell.records, STEP):
                data.extend_columns(cell.columns(first, min(STEP, cell.records - first)))

    def _positions(self) -> np.ndarray:
        generator = np.random.default_rng(0)
        if self.cell.records > STEP:  # a permutation of all would take longer than what is measured
            return generator.integers(0, self.cell.records, POSITIONS)
        return generator.permutation(self.cell.records)[:POSITIONS]

    def verify(self) -> None:
        """Read once what will be read again."""
        for start in range(0, len(self.order), 4096):
            self.reader.batch(self.order[start : start + 4096])

    def some(self, count: int) -> np.ndarray:
        """Some positions at random, again and again if there are too few."""
        times = -(-count // len(self.order))
        return np.tile(self.order, times)[:count]

    @contextlib.contextmanager
    def opened(self, **options: object) -> Iterator[dsrecords.IndexedRecordDataset]:
        """The dataset once more, as another program has it."""
        while self.kept:  # one at a time writes
            self.kept.pop().close()
        data = dsrecords.open(self.path, **options)
        yield data
        if self.kept is None:
            data.close()
        else:
            self.kept.append(data)


class Spent(int):
    """A number of calls, with the seconds of processor time that they alone took."""

    seconds: float

    def __new__(cls, calls: int, seconds: float) -> "Spent":
        """Make one."""
        made = super().__new__(cls, calls)
        made.seconds = seconds
        return made


def repeated(count: int, call: Callable[[int], object], items: object = None) -> Spent:
    """Call once untimed, which pays for what the first call sets up, then `count` times."""
    items = range(count) if items is None else items
    call(0)
    start = time.process_time()
    for item in items:
        call(item)
    return Spent(count, time.process_time() - start)


def open_(dataset: Dataset) -> int:
    """Open and close."""
    for _ in range(20):
        with dataset.opened():
            pass
    return 20


def get(dataset: Dataset) -> int:
    """A sample."""
    positions = dataset.some(1000).tolist()
    for i in positions:
        dataset.reader[i]
    return len(positions)


def batch(dataset: Dataset, reader: dsrecords.IndexedRecordDataset | None = None) -> int:
    """A record of a random batch."""
    size = dataset.cell.batch
    reader = reader or dataset.reader
    positions = dataset.some(max(4096, size))
    for start in range(0, len(positions), size):
        reader.batch(positions[start : start + size])
    return len(positions)


def first(dataset: Dataset) -> int:
    """A record of a random batch, read by a reader that has verified nothing."""
    with dataset.opened() as reader:
        return batch(dataset, reader)


def threads(dataset: Dataset) -> int:
    """A record of a random batch, read by several threads at once."""
    number = dataset.cell.threads
    workers = [threading.Thread(target=_pass, args=(dataset,)) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return number * PASSES * 4096


def _pass(dataset: Dataset) -> None:
    for _ in range(PASSES):
        batch(dataset)


def forks(dataset: Dataset) -> int:
    """A record of a random batch, read by several forked processes at once, with the reader that they inherit."""
    number = dataset.cell.forks
    children = [_forked(dataset) for _ in range(number)]
    spent = 0.0
    for child in children:
        _, status, usage = os.wait4(child, 0)
        if status:
            raise RuntimeError(f"a forked reader ended with {status}")
        spent += usage.ru_utime + usage.ru_stime
    return Spent(number * PASSES * 4096, spent)


def _forked(dataset: Dataset) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _pass(dataset)
        status = 0
    finally:
        os._exit(status)


def iterate(dataset: Dataset) -> int:
    """A record of a loop."""
    done = 0
    for _ in dataset.reader[:LOOP]:
        done += 1
    return done


def column(dataset: Dataset) -> int:
    """A record of a column of numbers, read by a reader that has verified nothing."""
    with dataset.opened() as reader:
        return len(reader.column("n0"))


def view(dataset: Dataset) -> int:
    """A view by a slice, and its first sample."""
    for _ in range(200):
        dataset.reader[1:][0]
    return 200


def shuffle(dataset: Dataset) -> int:
    """A shuffle, and its first sample."""
    for seed in range(200):
        dataset.reader.shuffle(seed)[0]
    return 200


def append(dataset: Dataset) -> int:
    """An append, in an open dataset."""
    sample = dataset.reader[0]
    with dataset.opened() as data:
        return repeated(500, lambda _: data.append(sample))


def recent(dataset: Dataset) -> int:
    """An append, and reading what was appended as a view of the file."""
    sample = dataset.reader[0]
    with dataset.opened(copy=False) as data:
        return repeated(200, lambda _: data.append(sample) or data[-1])


def extend(dataset: Dataset) -> int:
    """A record of an extend of as many rows as a batch has."""
    size = dataset.cell.batch
    rows = [dataset.reader[0]] * size
    calls = max(1, 4096 // size)
    with dataset.opened() as data:
        spent = repeated(calls, lambda _: data.extend(rows))
    return Spent(calls * size, spent.seconds)


def label(dataset: Dataset) -> int:
    """A field of a record that is replaced, in an open dataset."""
    with dataset.opened() as data:
        return repeated(200, lambda i: _replace(data, i), dataset.some(200).tolist())


def _replace(data: dsrecords.IndexedRecordDataset, i: int) -> None:
    data[i, "n0"] = 7


def beside_view(dataset: Dataset) -> int:
    """A field that is replaced while a view from before is kept."""
    with dataset.opened() as data:
        return repeated(10, lambda i: _replace_beside(data, i))


def _replace_beside(data: dsrecords.IndexedRecordDataset, i: int) -> None:
    kept = data[1:]
    _replace(data, i)
    del kept


def delete(dataset: Dataset) -> int:
    """A deletion of a record, in an open dataset."""
    with dataset.opened() as data:
        return repeated(50, lambda _: _delete(data))


def _delete(data: dsrecords.IndexedRecordDataset) -> None:
    del data[3]


def one_label(dataset: Dataset) -> int:
    """A field of a record that is replaced: opened, flushed, closed."""
    for i in dataset.some(5).tolist():
        with dataset.opened() as data:
            _replace(data, i)
    return 5


CONSTANT = {"open": open_, "view": view, "shuffle": shuffle}
READING = {"get": get, "batch": batch, "first": first, "iterate": iterate, "column": column}
ADDING = {"append": append, "extend": extend}
EDITING = {
    "recent": recent,
    "label": label,
    "beside view": beside_view,
    "delete": delete,
    "one label": one_label,
}
MANY = {"threads": threads, "forks": forks}
OPERATIONS = {**CONSTANT, **READING, **ADDING, **EDITING, **MANY}
MEANINGS = {name: operation.__doc__.splitlines()[0] for name, operation in OPERATIONS.items()}


def memory() -> dict[str, int]:
    """Bytes of this process: `pss`, its share of all it has mapped, and `own`, what of that is in no file."""
    values = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, amount, *_ = line.split()
        values[name] = int(amount) * 1024
    return {"pss": values["Pss:"], "own": values["Pss_Anon:"]}


def main() -> None:
    """Open the dataset, do one operation, and print by how much memory has grown while all stays open."""
    folder, cell, operation = sys.argv[1:]
    before = memory()
    dataset = Dataset(Cell(**json.loads(cell)), Path(folder), kept=[])
    OPERATIONS[operation](dataset)
    gc.collect()
    after = memory()
    print(json.dumps({name: max(0, after[name] - before[name]) for name in before}))


if __name__ == "__main__":
    main()
