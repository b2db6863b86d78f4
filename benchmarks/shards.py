"""Many files against one file of the same records: opening, length, batches and columns.

Usage: shards.py [FILES [RECORDS [MOST]]]    1,000 files of 2,000 records each; then MOST, 10,000
       files of one record, with at most 256 descriptors

Times are of the processor, the best of five. Files are opened once before.
"""

import os
import resource
import sys
import tempfile
import time

import numpy as np

import dsrecords

KINDS = {
    "numbers": {"x": "float32", "label": "int64"},
    "arrays": {"x": "float32[16]", "label": "int64", "name": "str"},
}


def columns(kind: str, count: int) -> dict:
    """The columns of so many records."""
    generator = np.random.default_rng(0)
    labels = np.arange(count)
    if kind == "numbers":
        return {"x": generator.random(count, np.float32), "label": labels}
    arrays = generator.random((count, 16), np.float32)
    return {"x": arrays, "label": labels, "name": [f"record {i}" for i in range(count)]}


def seconds(function, argument, times: int) -> float:
    """The processor time of one call."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            function(argument)
        best = min(best, (time.process_time() - start) / times)
    return best


def compare(kind: str, files: int, records: int) -> None:
    """Print how long one file and many take."""
    count = files * records
    given = columns(kind, count)
    dsrecords.make_dataset(given, f"{kind}.rec", KINDS[kind])
    for number in range(files):
        part = slice(number * records, (number + 1) * records)
        own = {key: column[part] for key, column in given.items()}
        dsrecords.make_dataset(own, f"{kind}-{number}.rec", KINDS[kind])
    dsrecords.merge([f"{kind}-*.rec"], f"{kind}.json")
    one = dsrecords.open(f"{kind}.rec")
    many = dsrecords.open(f"{kind}.json")
    generator = np.random.default_rng(1)
    batches = [generator.integers(0, count, 256) for _ in range(50)]
    actions = {
        "len": (lambda ds: len(ds), 1000),
        "batch of 256": (lambda ds: [ds.batch(batch) for batch in batches], 1),
        "labels of 256": (lambda ds: [ds.batch(batch, ["label"]) for batch in batches], 1),
        "column": (lambda ds: ds.column("label"), 3),
        # Now all heads are verified, as they are once a fourth of the records were asked for.
        "batch later": (lambda ds: [ds.batch(batch) for batch in batches], 1),
        "labels later": (lambda ds: [ds.batch(batch, ["label"]) for batch in batches], 1),
        "256 samples": (lambda ds: [ds[i] for i in batches[0].tolist()], 3),
    }
    for name, (action, times) in actions.items():
        action(many)
        alone = seconds(action, one, times)
        together = seconds(action, many, times)
        ratio = together / alone
        print(
            f"{kind:8} {name:14} {alone * 1e6:10.1f} µs  {together * 1e6:10.1f} µs  × {ratio:.2f}"
        )


def open_many(files: int) -> None:
    """Print how long it takes to open so many files, and to read a record of each."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    for number in range(files):
        dsrecords.make_dataset({"label": [number]}, f"few-{number}.rec", {"label": "int64"})
    for name in ("few-*.rec", "few.json"):
        start = time.process_time()
        many = dsrecords.open(name)
        opened = time.process_time()
        labels = many.batch(slice(None), ["label"])["label"]
        read = time.process_time()
        assert labels.tolist() == list(range(files))
        print(f"{files} files, {name}: open {opened - start:.3f} s, read all {read - opened:.3f} s")
        if name == "few-*.rec":
            dsrecords.merge([name], "few.json")


def main() -> None:
    """Compare, then open many."""
    sizes = [1000, 2000, 10_000]
    for place, argument in enumerate(sys.argv[1:]):
        sizes[place] = int(argument)
    files, records, most = sizes
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for kind in KINDS:
            compare(kind, files, records)
        open_many(most)
        os.chdir("/")


if __name__ == "__main__":
    main()
