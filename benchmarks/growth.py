"""How does each cost grow, and does it fall off a cliff on the way?

    python benchmarks/growth.py                          # all axes, up to 10 million records
    python benchmarks/growth.py --axes records --largest 100000000 --data FOLDER

An axis is a size that is swept while all others stay: records, fields of numbers, payload fields, bytes of
a head, samples of a batch, threads. A cell is the processor time of one call, in microseconds, of a
batch or a loop that of one record of it: the least of some rounds, in a process that has verified what it
reads, unless the operation says otherwise. Behind each row stands its growth: the exponent of a line
through the logarithms of its upper half, 0 where the cost stays, 1 where it doubles with the size.

Exits with 1 where a cost lies over CLIFF times the geometric mean of its two neighbours, or grows by more
than the axis allows. `--json FILE` writes the figures, for the picture of docs/performance.md.
"""

import argparse
import dataclasses
import json
import math
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dsrecords

CLIFF = 1.7
ROUNDS = 5
STEP = 1_000_000  # records that are written at once
NOISE = 0.5  # microseconds: what no cost is told from
THREADS = (1, 2, 4, 8, 16)


@dataclasses.dataclass
class Cell:
    """A dataset of one size of everything, and what is done with it at once.

    Attributes:
        records: in the dataset.
        numbers: fields of int64.
        payloads: fields of bytes.
        size: bytes of a payload.
        batch: samples of a batch.
        threads: that read at once.
    """

    records: int = 20_000
    numbers: int = 2
    payloads: int = 1
    size: int = 24
    batch: int = 256
    threads: int = 1

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
    """The files of a cell, and a reader of them that has verified all.

    Args:
        cell: their sizes.
        folder: where they are.
    """

    def __init__(self, cell: Cell, folder: Path) -> None:
        self.cell = cell
        self.path = folder / "data.rec"
        with dsrecords.IndexedRecordDataset(self.path, schema=cell.schema(), create=True) as data:
            for first in range(0, cell.records, STEP):
                data.extend_columns(cell.columns(first, min(STEP, cell.records - first)))
        self.reader = dsrecords.open(self.path)
        self.order = np.random.default_rng(0).permutation(cell.records)[:65_536]
        for start in range(0, len(self.order), 4096):
            self.reader.batch(self.order[start : start + 4096])

    def some(self, count: int) -> list[int]:
        """Some positions at random, again and again if there are too few."""
        times = -(-count // len(self.order))
        return np.tile(self.order, times)[:count].tolist()


# What is measured: each returns how many calls, or records, its processor time is divided by.


def open_(dataset: Dataset) -> int:
    """Open and close."""
    for _ in range(20):
        dsrecords.open(dataset.path).close()
    return 20


def get(dataset: Dataset) -> int:
    """A sample."""
    positions = dataset.some(1000)
    for i in positions:
        dataset.reader[i]
    return len(positions)


def batch(dataset: Dataset) -> int:
    """A record of a random batch."""
    size = dataset.cell.batch
    positions = np.array(dataset.some(max(4096, size)))
    for start in range(0, len(positions), size):
        dataset.reader.batch(positions[start : start + size])
    return len(positions)


def threads(dataset: Dataset) -> int:
    """A record of a random batch, read by several threads at once."""
    number = dataset.cell.threads
    workers = [threading.Thread(target=batch, args=(dataset,)) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return number * max(4096, dataset.cell.batch)


def iterate(dataset: Dataset) -> int:
    """A record of a loop."""
    done = 0
    for _ in dataset.reader[:20_000]:
        done += 1
    return done


def column(dataset: Dataset) -> int:
    """A record of a column of numbers, read by a reader that has verified nothing."""
    reader = dsrecords.open(dataset.path)
    found = reader.column("n0")
    reader.close()
    return len(found)


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
    with dsrecords.open(dataset.path) as data:
        data.append(sample)
        start = time.process_time()
        for _ in range(500):
            data.append(sample)
        spent = time.process_time() - start
    return Spent(500, spent)


def label(dataset: Dataset) -> int:
    """A field of a record that is replaced, in an open dataset."""
    with dsrecords.open(dataset.path) as data:
        data[0, "n0"] = 1
        start = time.process_time()
        for i in dataset.some(200):
            data[i, "n0"] = 7
        spent = time.process_time() - start
    return Spent(200, spent)


def one_label(dataset: Dataset) -> int:
    """A field of a record that is replaced: opened, flushed, closed."""
    for i in dataset.some(5):
        with dsrecords.open(dataset.path) as data:
            data[i, "n0"] = 7
    return 5


class Spent(int):
    """A number of calls, with the seconds that they alone took."""

    seconds: float

    def __new__(cls, calls: int, seconds: float) -> "Spent":
        """Make one."""
        made = super().__new__(cls, calls)
        made.seconds = seconds
        return made


READING = {"get": get, "batch": batch, "iterate": iterate, "column": column}
CONSTANT = {"open": open_, "view": view, "shuffle": shuffle}
WRITING = {"append": append, "label": label, "one label": one_label}


@dataclasses.dataclass
class Axis:
    """A size that is swept.

    Attributes:
        name: of the attribute of `Cell`.
        sizes: which are measured.
        operations: what is measured.
        most: the greatest exponent by which a cost may grow with it.
        others: attributes of the cells that differ from the usual ones.
    """

    name: str
    sizes: tuple[int, ...]
    operations: dict[str, Callable[[Dataset], int]]
    most: float
    others: dict[str, int] = dataclasses.field(default_factory=dict)


def decades(first: int, last: int) -> tuple[int, ...]:
    """Sizes at 1, 2, 5, 10, … from the first to the last."""
    steps = [k * 10**power for power in range(10) for k in (1, 2, 5)]
    return tuple(step for step in steps if first <= step <= last)


def axes(largest: int) -> list[Axis]:
    """All axes, with at most so many records."""
    everything = {**CONSTANT, **READING, **WRITING}
    powers = tuple(2**k for k in range(17))
    few = {"records": 2_000}
    return [
        Axis("records", decades(1000, largest), everything, 0.2),
        Axis("numbers", decades(1, 1000), {**READING, "append": append}, 1.15, few),
        Axis("payloads", decades(1, 100), {**READING, "append": append}, 1.15, few),
        Axis("size", tuple(2**k for k in range(3, 17)), {**READING, "append": append}, 1.15, few),
        Axis("batch", powers, {"batch": batch}, 0.1, {"records": 70_000}),
        Axis("threads", THREADS, {"threads": threads}, 0.2),
    ]


def cost(operation: Callable[[Dataset], int], dataset: Dataset) -> float:
    """Microseconds of processor time of one call, or one record: the least of some rounds."""
    least = math.inf
    for _ in range(ROUNDS):
        start = time.process_time()
        done = operation(dataset)
        spent = time.process_time() - start
        if isinstance(done, Spent):
            spent = done.seconds
        least = min(least, spent / done * 1e6)
    return least


def measured(axis: Axis, folder: Path) -> dict[str, list[float]]:
    """The costs of an axis, by operation, in the order of its sizes."""
    costs: dict[str, list[float]] = {name: [] for name in axis.operations}
    for size in axis.sizes:
        place = Path(tempfile.mkdtemp(dir=folder))
        dataset = Dataset(Cell(**{**axis.others, axis.name: size}), place)
        for name, operation in axis.operations.items():
            costs[name].append(cost(operation, dataset))
        dataset.reader.close()
        shutil.rmtree(place)
    return costs


def growth(sizes: tuple[int, ...], costs: list[float]) -> float:
    """The exponent of the upper half of a row."""
    half = len(sizes) // 2
    slope, _ = np.polyfit(np.log(sizes[half:]), np.log(costs[half:]), 1)
    return float(slope)


def cliffs(costs: list[float]) -> list[int]:
    """Where a cost lies too far above both of its neighbours."""
    found = []
    for k in range(1, len(costs) - 1):
        between = math.sqrt(costs[k - 1] * costs[k + 1])
        if costs[k] > CLIFF * between + NOISE:
            found.append(k)
    return found


def show(axis: Axis, costs: dict[str, list[float]]) -> list[str]:
    """Print the table of an axis; return what is wrong with it."""
    wrong = []
    print(f"\n{axis.name}: µs of processor time")
    print(" " * 10 + "".join(f"{size:>10,}" for size in axis.sizes) + "    growth")
    for name, row in costs.items():
        fallen = cliffs(row)
        grown = growth(axis.sizes, row)
        cells = [f"{one:9.4g}{'!' if k in fallen else ' '}" for k, one in enumerate(row)]
        print(f"{name:<10}" + "".join(cells) + f"    {grown:+.2f}")
        wrong += [f"{name} at {axis.sizes[k]:,} {axis.name}" for k in fallen]
        if grown > axis.most:
            wrong.append(f"{name} grows with {axis.name} by {grown:.2f}, over {axis.most}")
    return wrong


def main() -> None:
    """Measure, print, and fail on a cliff."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axes", nargs="*", help="by default all")
    parser.add_argument("--largest", type=int, default=10_000_000, help="records")
    parser.add_argument(
        "--data", type=Path, help="a folder for the files; by default a temporary one"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = [
        axis for axis in axes(options.largest) if not options.axes or axis.name in options.axes
    ]
    found = {}
    wrong = []
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        for axis in chosen:
            costs = measured(axis, Path(folder))
            wrong += show(axis, costs)
            found[axis.name] = {"sizes": axis.sizes, "costs": costs}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if wrong:
        sys.exit("a cliff, or more growth than there should be:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
