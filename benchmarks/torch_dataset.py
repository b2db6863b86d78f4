"""PyTorch's loader over a dataset itself, over `dsrecords.torch.Dataset`, and what its sampler takes alone.

`python benchmarks/torch_dataset.py [records]` prints microseconds of processor time for each sample.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import dsrecords

ROUNDS = 7
BATCH = 256


class Nothing(Dataset):
    """What the loader and its sampler take where reading takes no time."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitems__(self, indices):
        return indices


def microseconds(loader):
    start = time.process_time()
    for _ in loader:
        pass
    return (time.process_time() - start) * 1e6 / len(loader.dataset)


def columns(count):
    rng = np.random.default_rng(0)
    return {
        "a number": {"label": np.arange(count)},
        "eight numbers": {f"n{k}": rng.normal(size=count) for k in range(8)},
        "16 floats and a label": {
            "x": rng.random((count, 16), np.float32),
            "label": np.arange(count),
        },
        "28×28 bytes and a label": {
            "x": rng.integers(0, 255, (count, 28, 28), np.uint8),
            "label": np.arange(count),
        },
        "128×128×3 bytes and a label": {
            "x": rng.integers(0, 255, (count // 16, 128, 128, 3), np.uint8),
            "label": np.arange(count // 16),
        },
        "512 tokens": {"tokens": rng.integers(0, 50000, (count, 512), np.int32)},
        "a text and a label": {
            "text": [f"text {i} " * 8 for i in range(count)],
            "label": np.arange(count),
        },
    }


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    torch.set_num_threads(1)  # others would be counted while they wait
    print("| a sample | ds | Dataset(ds), collate | faster | of it the loader alone |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, table) in enumerate(columns(count).items()):
            path = Path(folder, f"{number}.rec")
            schema = dsrecords.infer_schema(table)
            dsrecords.make_dataset(table, path, schema)
            ds = dsrecords.open(path)
            options = {"batch_size": BATCH, "shuffle": True}
            loaders = [
                DataLoader(ds, **options),
                DataLoader(
                    dsrecords.torch.Dataset(ds), collate_fn=dsrecords.torch.collate, **options
                ),
                DataLoader(Nothing(len(ds)), collate_fn=len, **options),
            ]
            rounds = [[microseconds(loader) for loader in loaders] for _ in range(ROUNDS)]
            plain, columned, alone = map(statistics.median, zip(*rounds, strict=True))
            print(
                f"| {name} | {plain:.2f} µs | {columned:.2f} µs "
                f"| {plain / columned:.1f} × | {alone:.2f} µs |"
            )


if __name__ == "__main__":
    main()
