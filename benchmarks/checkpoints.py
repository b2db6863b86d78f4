"""What a checkpoint costs whoever appends: `checkpoints.py [--records 1000000,10000000]`.

Prints for each number of records that a dataset has: the processor time of a checkpoint, which is that of
an append with one less that of an append without; the longest append, from call to return; and of how
many appends the rest is a median. What waits for the disk is in the longest append, not in the processor
time. Records are of two int64, in a temporary folder, or in `--folder`.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import dsrecords
from dsrecords._write.writer import Writer

SCHEMA = {"a": "int64", "b": "int64"}
APPENDS = 200_000
STEP = 1_000_000  # records written together


def main() -> None:
    """Measure, and print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", default="1000,1000000,10000000")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print("records     checkpoints   ms of processor each   ms of wall each   longest append, ms")
    for count in map(int, options.records.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure(Path(folder) / "x.rec", count)


def measure(path: Path, count: int) -> None:
    """Append to a dataset of so many records."""
    make(path, count)
    checkpoints: list[tuple[float, float]] = []
    watch(checkpoints)
    longest = 0.0
    sample = {"a": 1, "b": 2}
    with dsrecords.open(path) as ds:
        ds.append(sample)  # takes the lock
        checkpoints.clear()
        for _ in range(APPENDS):
            start = time.perf_counter()
            ds.append(sample)
            longest = max(longest, time.perf_counter() - start)
        made = list(checkpoints)
    processor = 1e3 * statistics.median(cost for cost, _ in made)
    wall = 1e3 * statistics.median(cost for _, cost in made)
    print(
        f"{count:10,}  {len(made):11}   {processor:20.2f}   {wall:15.2f}   {1e3 * longest:18.2f}",
        flush=True,
    )


def make(path: Path, count: int) -> None:
    """A dataset of so many records."""
    with dsrecords.IndexedRecordDataset(path, schema=SCHEMA, create=True) as ds:
        for start in range(0, count, STEP):
            numbers = np.arange(start, min(start + STEP, count))
            ds.extend_columns({"a": numbers, "b": numbers})


def watch(checkpoints: list[tuple[float, float]]) -> None:
    """Note what each checkpoint takes: (processor time, time), in seconds."""
    make_checkpoint = getattr(Writer, "_unwatched", Writer._make_checkpoint)
    Writer._unwatched = make_checkpoint

    def watched(writer: Writer, sync: bool) -> None:
        start = time.perf_counter()
        cost = time.process_time()
        make_checkpoint(writer, sync)
        checkpoints.append((time.process_time() - cost, time.perf_counter() - start))

    Writer._make_checkpoint = watched


if __name__ == "__main__":
    main()
