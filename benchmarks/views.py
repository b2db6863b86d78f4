"""A view of 1 million of 10 million records: how long saving and opening take, without heads in the rows and with them.

`python benchmarks/views.py [records] [selected]`; BENCH_DIR is the folder whose disk is measured.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import dsrecords

ROUNDS = 7


def milliseconds(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return (time.perf_counter() - start) * 1e3, result


def row(name, times, limit):
    print(
        f"| {name} | {min(times):.1f} | {statistics.median(times):.1f} | {max(times):.1f} | {limit} |"
    )


SCHEMAS = {
    "rows of 16 bytes": {"label": "int64"},
    "rows with heads": {"text": "bytes?", "label": "int64"},
}


def measure(name, schema, folder, count, selected):
    path = Path(folder, "train.rec")
    with dsrecords.IndexedRecordDataset(path, schema=schema, create=True) as made:
        for first in range(0, count, 500_000):
            labels = np.arange(first, min(first + 500_000, count))
            columns = {"text": [None] * len(labels), "label": labels}
            made.extend_columns({key: columns[key] for key in schema})
    chosen = np.random.default_rng(0).permutation(count)[:selected]
    saving, opening, reading = [], [], []
    for number in range(ROUNDS):
        view = dsrecords.open(path)[chosen]
        spent, file = milliseconds(view.save_view, Path(folder, f"{number}.idx"))
        saving.append(spent)
        spent, opened = milliseconds(lambda file=file: dsrecords.open(path, index_path=file))
        opening.append(spent)
        reading.append(milliseconds(opened.__getitem__, -1)[0])
        assert len(opened) == selected
        assert opened[-1]["label"] == chosen[-1]
    sample = np.random.default_rng(1).integers(0, selected, 1000)
    assert (opened.batch(sample, "label") == chosen[sample]).all()
    size = os.path.getsize(file)
    print(
        f"\nA view of {selected:,} of {count:,} records, in random order; {name}, {size:,} bytes\n"
    )
    print("| milliseconds | best | median | worst | aim |\n| --- | --- | --- | --- | --- |")
    row("save, synced to the disk", saving, "about 100")
    row("open", opening, "under 10")
    row("read the first record", reading, "")


def main(count=10_000_000, selected=1_000_000):
    for name, schema in SCHEMAS.items():
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
            measure(name, schema, folder, count, selected)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
