"""How does each cost grow, and does it fall off a cliff on the way?

    python benchmarks/growth.py                          # all axes, up to 10 million records, here and in /dev/shm
    python benchmarks/growth.py --axes records --largest 100000000 --data FOLDER

An axis is a size that is swept while all others stay: records, fields of numbers, payload fields, bytes of
a payload or a head, samples of a batch, threads, forked processes. A cell is the processor time of one call,
in microseconds, of a batch or a loop that of one record of it: the least of some rounds, in a process that
has verified what it reads, unless the operation says otherwise. Of the records' axes, also the memory
that an operation leaves in use, in a process of its own. Behind each row stands its growth: the exponent
of a line through the logarithms of its upper half, 0 where the cost stays, 1 where it doubles with the size.

Exits with 1 where a cost is far above that of its neighbours, grows by more than the axis allows, or is
more on one file system than on the first; or where memory is. `--json FILE` writes the figures, from
which growth_chart.py draws the pictures of docs/performance.md; axes that the file has already, and that
were not measured again, stay in it.
"""

import argparse
import dataclasses
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from growth_cells import (
    ADDING,
    CONSTANT,
    EDITING,
    MANY,
    READING,
    Cell,
    Dataset,
    Spent,
)
from run import machine

HERE = Path(__file__).parent
CLIFF = 1.7  # times the geometric mean of both neighbours
JUMP = 3.0  # times what the axis allows from one size to the next
BESIDE = 2.5  # times the cost on the first file system
NOISE = 0.5  # microseconds: what no cost is told from
ROUNDS = 5
PATIENCE = 1.0  # seconds after which no further round begins
ELSEWHERE = 1_000_000  # records on all file systems but the first
OWN = 16  # bytes a record that an operation may leave in use; a column's values are 8 of them
FLOOR = (
    8 << 20
)  # bytes of memory that no growth is told from: modules that are imported when they are needed
Operation = Callable[[Dataset], int]


@dataclasses.dataclass
class Axis:
    """A size that is swept.

    Attributes:
        name: as it is printed.
        sizes: which are measured.
        operations: what is measured.
        most: the greatest exponent by which a cost may grow with it.
        varies: the attribute of `Cell` that is swept; by default the name.
        others: attributes of the cells that differ from the usual ones.
        memory: whether memory is measured too.
        everywhere: whether it is measured on all file systems.
    """

    name: str
    sizes: Sequence[int]
    operations: dict[str, Operation]
    most: float
    varies: str = ""
    others: dict[str, int] = dataclasses.field(default_factory=dict)
    memory: bool = False
    everywhere: bool = False

    def cell(self, size: int) -> Cell:
        """The cell of one of the sizes."""
        return Cell(**{**self.others, self.varies or self.name: size})


def decades(first: int, last: int) -> tuple[int, ...]:
    """Sizes at 1, 2, 5, 10, … from the first to the last."""
    steps = [k * 10**power for power in range(10) for k in (1, 2, 5)]
    return tuple(step for step in steps if first <= step <= last)


def is_power_of_ten(size: int) -> bool:
    """1, 10, 100, …: where memory is measured, which takes a process an operation."""
    return size == 10 ** round(math.log10(size))


def axes(largest: int) -> list[Axis]:
    """All axes, with at most so many records."""
    everything = {**CONSTANT, **READING, **ADDING, **EDITING}
    some = {**READING, **ADDING}
    powers = tuple(2**k for k in range(17))
    heads = (24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096)
    few = {"records": 2_000}
    bare = {"payloads": 0}
    with_bytes = decades(1000, min(largest, 10_000_000))
    return [
        Axis("records", with_bytes, everything, 0.2, memory=True, everywhere=True),
        Axis("rows", decades(1000, largest), everything, 0.2, "records", bare, memory=True),
        Axis("numbers", decades(1, 1000), some, 1.15, others=few),
        Axis("payloads", decades(1, 100), some, 1.15, others=few),
        Axis("size", tuple(2**k for k in range(3, 17)), some, 1.15, others=few, everywhere=True),
        Axis("head", heads, some, 1.15, others={"records": 10_000}),
        Axis("batch", powers, {"batch": READING["batch"], "extend": ADDING["extend"]}, 0.1,
             others={"records": 70_000}, everywhere=True),
        Axis("threads", (1, 2, 4, 8, 16), {"threads": MANY["threads"]}, 0.2),
        Axis("forks", (1, 2, 4, 8, 16), {"forks": MANY["forks"]}, 0.2),
    ]  # fmt: skip


def cost(operation: Operation, dataset: Dataset) -> float:
    """Microseconds of processor time of one call, or one record: the least of some rounds."""
    least = math.inf
    began = time.perf_counter()
    for _ in range(ROUNDS):
        start = time.process_time()
        done = operation(dataset)
        spent = time.process_time() - start
        if isinstance(done, Spent):
            spent = done.seconds
        least = min(least, spent / done * 1e6)
        if time.perf_counter() - began > PATIENCE:
            break
    return least


def memory_of(operation: str, cell: Cell, folder: Path) -> dict[str, int]:
    """Bytes by which memory grew when a fresh process opened the dataset and did this, all still open."""
    values = json.dumps(dataclasses.asdict(cell))
    command = [sys.executable, str(HERE / "growth_cells.py"), str(folder), values, operation]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def measured(axis: Axis, folder: Path, *, elsewhere: bool = False) -> dict[str, object]:
    """The costs of an axis, by operation, in the order of its sizes.

    Elsewhere than on the first file system, the largest datasets are left out, and memory, which is no other there.
    """
    most = ELSEWHERE if elsewhere else math.inf
    sizes = [size for size in axis.sizes if axis.cell(size).records <= most]
    with_memory = axis.memory and not elsewhere
    costs: dict[str, list[float]] = {name: [] for name in axis.operations}
    memory: dict[str, dict[int, dict[str, int]]] = {name: {} for name in axis.operations}
    for size in sizes:
        place = Path(tempfile.mkdtemp(dir=folder))
        cell = axis.cell(size)
        try:
            dataset = Dataset(cell, place)
            dataset.verify()
            for name, operation in axis.operations.items():
                costs[name].append(cost(operation, dataset))
            dataset.reader.close()
            for name in axis.operations if with_memory and is_power_of_ten(size) else ():
                memory[name][size] = memory_of(name, cell, place)
        finally:
            shutil.rmtree(place)
    found = {"sizes": sizes, "costs": costs}
    return {**found, "memory": memory} if with_memory else found


def growth(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The exponent of the upper half of a row."""
    half = len(sizes) // 2
    slope, _ = np.polyfit(np.log(sizes[half:]), np.log(costs[half:]), 1)
    return float(slope)


def cliffs(sizes: Sequence[int], costs: Sequence[float], most: float) -> list[int]:
    """Where a cost lies too far above both of its neighbours, or too far above the one before it."""
    found = []
    for k in range(1, len(costs)):
        allowed = (sizes[k] / sizes[k - 1]) ** most
        jumped = costs[k] > JUMP * allowed * costs[k - 1] + NOISE
        between = math.sqrt(costs[k - 1] * costs[k + 1]) if k + 1 < len(costs) else math.inf
        if jumped or costs[k] > CLIFF * between + NOISE:
            found.append(k)
    return found


def judged(axis: Axis, found: dict[str, object]) -> list[str]:
    """What is wrong with the costs of an axis, and with its memory."""
    sizes = found["sizes"]
    wrong = []
    for name, row in found["costs"].items():
        fallen = cliffs(sizes, row, axis.most)
        wrong += [f"{name} at {sizes[k]:,} {axis.name}: {row[k]:.3g} µs" for k in fallen]
        grown = growth(sizes, row)
        if grown > axis.most and max(row) - min(row) > NOISE:
            wrong.append(f"{name} grows with {axis.name} by {grown:.2f}, over {axis.most}")
    for name, row in found.get("memory", {}).items():
        for size, used in row.items():
            if used["own"] > OWN * size + FLOOR:
                wrong.append(f"{name} of {size:,} {axis.name} leaves {used['own'] / 1e6:.0f} MB")
    return wrong


def beside(axis: Axis, here: dict[str, object], there: dict[str, object], place: str) -> list[str]:
    """Which costs are more on another file system than on the first."""
    wrong = []
    for name, row in there["costs"].items():
        for k, size in enumerate(there["sizes"]):
            usual = here["costs"][name][k]
            if row[k] > BESIDE * usual + NOISE:
                ratio = row[k] / usual
                wrong.append(
                    f"{name} at {size:,} {axis.name} on {place}: {ratio:.1f} times as much"
                )
    return wrong


def show(axis: Axis, found: dict[str, object], place: str) -> None:
    """Print the tables of an axis."""
    sizes = found["sizes"]
    header = " " * 12 + "".join(f"{size:>11,}" for size in sizes)
    print(f"\n{axis.name}, on {place}: µs of processor time\n{header}    growth")
    for name, row in found["costs"].items():
        fallen = cliffs(sizes, row, axis.most)
        cells = [f"{one:10.4g}{'!' if k in fallen else ' '}" for k, one in enumerate(row)]
        print(f"{name:<12}" + "".join(cells) + f"    {growth(sizes, row):+.2f}")
    if "memory" in found:
        sizes = [size for size in sizes if is_power_of_ten(size)]
        header = " " * 12 + "".join(f"{size:>11,}" for size in sizes)
        print(f"\n{axis.name}, on {place}: MB of memory, and in brackets what of it is in no file")
        print(header)
    for name, row in found.get("memory", {}).items():
        cells = [f"{used['pss'] / 1e6:.0f} ({used['own'] / 1e6:.0f})" for used in row.values()]
        print(f"{name:<12}" + "".join(f"{one:>11}" for one in cells), flush=True)


def folders(chosen: list[Path] | None) -> list[Path]:
    """Where files are written: what was asked for, or a folder of the disk, and of the memory if there is one."""
    if chosen:
        return chosen
    shared = Path("/dev/shm")
    return [Path(tempfile.gettempdir()), *([shared] if shared.is_dir() else [])]


def settle_allocator() -> None:
    """Free one block of 31 MiB, as every training process has done before long.

    From then on the C library keeps freed blocks of that size, instead of handing batches of large payloads back to
    the system: without this, a batch of 16 MB costs ten times one of 8 MB.
    """
    del [bytearray(31 << 20)][:]


def main() -> None:
    """Measure, print, and fail on a cliff."""
    settle_allocator()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axes", nargs="*", help="by default all")
    parser.add_argument("--largest", type=int, default=10_000_000, help="records")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="*",
        help="folders for the files, each of a file system; the first gets most",
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = [one for one in axes(options.largest) if not options.axes or one.name in options.axes]
    known = options.json and options.json.exists()
    written = json.loads(options.json.read_text()) if known else {"axes": {}}
    wrong = []
    for axis in chosen:
        found: dict[str, dict] = {}
        for number, data in enumerate(folders(options.data)):
            if number and not axis.everywhere:
                break
            place = machine(data)["filesystem"]
            with tempfile.TemporaryDirectory(dir=data) as folder:
                found[place] = measured(axis, Path(folder), elsewhere=bool(number))
            show(axis, found[place], place)
            wrong += [f"{one} (on {place})" for one in judged(axis, found[place])]
        first, *others = found
        for place in others:
            wrong += beside(axis, found[first], found[place], place)
        written["axes"][axis.name] = found
        if options.json:
            written["machine"] = machine(folders(options.data)[0])
            options.json.write_text(json.dumps(written) + "\n")
    if wrong:
        sys.exit("a cliff, or more growth than there should be:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
