"""Views made of fields, and counts of their values: processor time and memory.

    python benchmarks/views_of_fields.py [--records 1000000 10000000] [--folder /tmp]

For each number of records, a dataset of scalars (a label of 1,000 classes, an id, a score, a category, a time) and one of short
documents of tokens, whose index alone says how long they are. Each method is called on a dataset that was just opened, so that
all heads are verified, and then once more. Processor time of this process, which has one thread; the least of three calls.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

import dsrecords

BATCH = 10**6  # records that are written at once
LABELS = {
    "label": "int64",
    "id": "int64",
    "score": "float32",
    "kind": "category[car,cat,dog]",
    "time": "datetime64[s]",
}
TASKS = {
    "value_counts, 1,000 labels": lambda ds: ds.value_counts("label"),
    "value_counts, 3 categories": lambda ds: ds.value_counts("kind"),
    "unique, all values distinct": lambda ds: ds.unique("id"),
    "sort, 1,000 labels": lambda ds: ds.sort("label"),
    "sort, all values distinct": lambda ds: ds.sort("id"),
    "sort, times, reverse": lambda ds: ds.sort("time", reverse=True),
    "filter, batched": lambda ds: ds.filter(
        lambda label: label < 100, fields="label", batched=True
    ),
    "split, 0.9 and 0.1": lambda ds: ds.split([0.9, 0.1]),
    "split, stratify, 1,000 labels": lambda ds: ds.split([0.9, 0.1], stratify="label"),
    "split, group, 1,000 labels": lambda ds: ds.split([0.9, 0.1], group="label"),
    "split, key, all distinct": lambda ds: ds.split([0.9, 0.1], key="id"),
}
ONE_BY_ONE = {
    "filter, sample by sample": lambda ds: ds.filter(
        lambda sample: sample["label"] < 100, fields=["label"]
    ),
}


def make_labels(path, count):
    random = np.random.default_rng(0)
    ids = random.permutation(count)
    dsrecords.make_dataset([], path, LABELS)
    with dsrecords.open(path) as ds:
        for start in range(0, count, BATCH):
            part = ids[start : start + BATCH]
            size = len(part)
            columns = {
                "label": random.integers(0, 1000, size),
                "id": part,
                "score": random.random(size, np.float32),
                "kind": np.array(["car", "cat", "dog"])[random.integers(0, 3, size)].tolist(),
                "time": random.integers(0, 10**9, size).astype("M8[s]"),
            }
            ds.extend_columns(columns)


def make_documents(path, count):
    random = np.random.default_rng(0)
    lengths = random.integers(0, 16, count)
    tokens = random.integers(0, 50_000, 16).astype(np.uint16)
    documents = [tokens[:length] for length in range(16)]
    dsrecords.make_dataset([], path, {"tokens": "uint16[*]"})
    with dsrecords.open(path) as ds:
        for start in range(0, count, BATCH):
            ds.extend_columns({"tokens": [documents[n] for n in lengths[start : start + BATCH]]})


def measure(name, path, call, count):
    first, again = [], []
    for _ in range(3):
        ds = dsrecords.open(path)
        for times in (first, again):
            start = time.process_time()
            call(ds)
            times.append(time.process_time() - start)
    print(f"{name:32} {count:>11,} {min(first):8.3f} s {min(again):8.3f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, nargs="+", default=[10**6, 10**7])
    parser.add_argument("--folder", default=None)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        for count in arguments.records:
            labels, documents = str(folder / "labels.rec"), str(folder / "documents.rec")
            make_labels(labels, count)
            print(f"{'':32} {'records':>11} {'first':>10} {'again':>10}")
            tasks = {**TASKS, **ONE_BY_ONE} if count <= 10**6 else TASKS
            for name, call in tasks.items():
                measure(name, labels, call, count)
            Path(labels).unlink()
            make_documents(documents, count)
            measure(
                "windows, prefix sums",
                documents,
                lambda ds: len(ds.windows("tokens", 2049, 2048)),
                count,
            )
            windows = dsrecords.open(documents).windows("tokens", 2049, 2048)
            start = time.process_time()
            items = sum(len(window) for window in windows)
            print(
                f"{'windows, iteration':32} {items / (time.process_time() - start) / 1e6:.1f} M items/s of processor time"
            )
            for path in folder.iterdir():
                path.unlink()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
