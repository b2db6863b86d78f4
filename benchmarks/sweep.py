"""Does any size of record fall off a cliff? Payloads of 16 to 8,192 bytes, heads of 32 to 512.

    python benchmarks/sweep.py                     # prints a table for each operation
    python benchmarks/sweep.py --operations get    # one of get, batch, iterate, compact, cast

Each cell is a dataset of its own: one field of bytes, and as many int64 fields as fill the head. A cell is
the rate (records in a second of processor time) of the best of three runs, each of a reader that has
verified nothing yet. Exits with 1 where a rate is below 0.8 of the mean of its two neighbours, left and
right or above and below: sizes between two that were measured are where users live. The table is one
size wider than what is judged, so that all but the smallest head, which has none smaller, have both.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dsrecords

PAYLOADS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
HEADS = (32, 64, 128, 256, 512, 1024)
LEAST = 0.8
RUNS = 3
HEAD_OF_A_PAYLOAD = 32  # a frame's 16 bytes, a size and a checksum, padded


def schema(head: int) -> dict[str, str]:
    """Fields that make a head of so many bytes."""
    numbers = {f"n{i}": "int64" for i in range((head - HEAD_OF_A_PAYLOAD) // 8)}
    return {"payload": "bytes", **numbers}


def count(payload: int, head: int) -> int:
    """Records of a cell: enough to be timed, and at most some 40 MB."""
    return min(16_000, 40_000_000 // (payload + head))


def make(path: Path, payload: int, head: int) -> int:
    """Write the dataset of a cell; how many records it has."""
    records = count(payload, head)
    generator = np.random.default_rng(payload * head)
    noise = generator.bytes(payload + records)
    columns = {"payload": [noise[i : i + payload] for i in range(records)]}
    for name in schema(head):
        if name != "payload":
            columns[name] = generator.integers(0, 2**40, records)
    with dsrecords.IndexedRecordDataset(path, schema=schema(head), create=True) as data:
        data.extend_columns(columns)
    return records


def get(data: dsrecords.IndexedRecordDataset, order: np.ndarray, folder: Path) -> int:
    """Half of the records, one by one, at random."""
    positions = order[: len(order) // 2].tolist()
    for i in positions:
        data[i]
    return len(positions)


def batch(data: dsrecords.IndexedRecordDataset, order: np.ndarray, folder: Path) -> int:
    """All records in random batches of 256."""
    for start in range(0, len(order), 256):
        data.batch(order[start : start + 256])
    return len(order)


def iterate(data: dsrecords.IndexedRecordDataset, order: np.ndarray, folder: Path) -> int:
    """All records in their order."""
    for _ in data:
        pass
    return len(order)


def compact(data: dsrecords.IndexedRecordDataset, order: np.ndarray, folder: Path) -> int:
    """All records, written to another dataset."""
    data.compact(folder / "compacted.rec")
    return len(order)


def cast(data: dsrecords.IndexedRecordDataset, order: np.ndarray, folder: Path) -> int:
    """A field that is added, and so all records copied."""
    data.add_field("added", "int8", np.zeros(len(order), np.int8))
    data.drop_fields("added")
    data.close()
    return 2 * len(order)


OPERATIONS: dict[str, Callable[..., int]] = {
    "get": get,
    "batch": batch,
    "iterate": iterate,
    "compact": compact,
    "cast": cast,
}


def measure(operation: Callable[..., int], path: Path, folder: Path, records: int) -> float:
    """Records in a second of processor time, in the fastest of some runs."""
    best = 0.0
    for run in range(RUNS):
        order = np.random.default_rng(run).permutation(records)
        data = dsrecords.open(path)
        start = time.process_time()
        done = operation(data, order, folder)
        best = max(best, done / (time.process_time() - start))
        for leftover in folder.glob("compacted.*"):
            leftover.unlink()
    return best


def cliffs(rates: np.ndarray) -> np.ndarray:
    """The lesser of each rate's ratios to the mean of its neighbours on both axes; 1 at the edges."""
    ratios = np.ones_like(rates)
    beside = (rates[:, :-2] + rates[:, 2:]) / 2
    above_and_below = (rates[:-2] + rates[2:]) / 2
    ratios[:, 1:-1] = rates[:, 1:-1] / beside
    ratios[1:-1] = np.minimum(ratios[1:-1], rates[1:-1] / above_and_below)
    return ratios


def show(name: str, rates: np.ndarray, ratios: np.ndarray) -> None:
    """Print the rates of an operation, and mark what falls off."""
    print(f"\n{name}: thousands of records in a second; columns are bytes of payload")
    print("head   " + "".join(f"{payload:>10d}" for payload in PAYLOADS))
    for head, row, ratio in zip(HEADS, rates, ratios, strict=True):
        cells = [
            f"{rate / 1000:9.0f}{'!' if one < LEAST else ' '}"
            for rate, one in zip(row, ratio, strict=True)
        ]
        print(f"{head:4d}   " + "".join(cells))
    print(f"least ratio to the mean of the neighbours: {ratios.min():.2f}")


def main() -> None:
    """Measure, print, and fail on a cliff."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", nargs="*", choices=OPERATIONS, default=list(OPERATIONS))
    names = parser.parse_args().operations
    rates = {name: np.zeros((len(HEADS), len(PAYLOADS))) for name in names}
    for row, head in enumerate(HEADS):
        for column, payload in enumerate(PAYLOADS):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                path = folder / "data.rec"
                records = make(path, payload, head)
                for name, table in rates.items():
                    table[row, column] = measure(OPERATIONS[name], path, folder, records)
    fallen = []
    for name, table in rates.items():
        ratios = cliffs(table)
        show(name, table, ratios)
        if ratios.min() < LEAST:
            fallen.append(name)
    if fallen:
        sys.exit(f"a rate falls below {LEAST} of its neighbours' mean: {', '.join(fallen)}")


if __name__ == "__main__":
    main()
