"""Does `Loader.report()` name the right cause, and does the change give what it predicts?

Five bottlenecks are planted, each is reported, what the report says is done, and the gain is compared with
the one that was predicted: by processor time where cores are the limit, by counted waits where something is waited for.

    PYTHONPATH=src python benchmarks/report_bottlenecks.py
"""

import io
import logging
import multiprocessing
import os
import statistics
import tempfile
import time

import numpy as np
from PIL import Image

import dsrecords
from dsrecords import vision
from dsrecords._storage import registry
from dsrecords._storage.local import LocalStorage

PIXELS = 2000  # of a side of the large pictures
SAMPLES = 1024  # of what the slow storage reads
WAIT = 0.003  # seconds that the slow storage takes for each call
EPOCHS = 3
ROUNDS = 3


def python_transform(sample):
    """Hold Python's lock for a millisecond or so."""
    total = 0
    for number in range(20_000):
        total += number * number % 7
    return {"x": sample["x"], "total": total}


def processor_time(loader, epochs=EPOCHS):
    """Seconds of processor time that a sample takes, of the whole process: the least of some epochs."""
    best = float("inf")
    for _ in range(epochs):
        count = 0
        began = time.process_time()
        for batch in loader:
            count += len(next(iter(batch.values())))
        best = min(best, (time.process_time() - began) / count)
    return best


def run(loader):
    """Go through an epoch; keep no batch, so that their memory is used again."""
    for _ in loader:
        pass


def show(plant, name, expected, folder):
    """Print a line of the result, from the medians of some rounds, and the last report."""
    predicted = []
    gains = []
    causes = []
    for _ in range(ROUNDS):
        report, measured = plant(folder)
        predicted.append(report.gain)
        gains.append(measured)
        causes.append(report.cause)
    gain = statistics.median(predicted)
    measured = statistics.median(gains)
    verdict = "right" if set(causes) == {expected} else f"WRONG: {expected} expected"
    within = "within 25 %" if 0.75 <= gain / measured <= 1.25 else "NOT within 25 %"
    print(f"## {name}: {', '.join(causes)} ({verdict})")
    print(f"predicted {gain:.2f} ×, measured {measured:.2f} ×: {within}\n\n{report}\n", flush=True)


class SlowStorage:
    """A storage whose `ensure` takes as long as a server that is far away."""

    waits = 0
    wait = WAIT

    def __init__(self, path):
        self._local = LocalStorage(path.removeprefix("slow://"))
        self.path = path
        self.needs_ensuring = True

    def ensure(self, starts, stops):
        if SlowStorage.wait:
            SlowStorage.waits += 1
            time.sleep(SlowStorage.wait)

    def seems_ready(self, starts):
        return False

    def __getattr__(self, name):
        return getattr(self._local, name)


def slow_disk(folder):
    """A storage that sleeps at each call."""
    path = made(folder, "disk", {"x": np.ones((SAMPLES, 2**14), np.float32)})
    registry.register("slow", SlowStorage)
    SlowStorage.wait = 0.0
    loader = dsrecords.Loader(dsrecords.open(f"slow://{path}", verify="always"), 64, num_threads=2)
    run(loader)
    SlowStorage.wait = WAIT
    SlowStorage.waits = 0
    run(loader)
    waited = WAIT * SlowStorage.waits / SAMPLES
    report = loader.report()
    SlowStorage.wait = 0.0
    without = processor_time(loader)
    before = 2 / (without + waited)
    after = 2 / without
    return report, after / before


def lock(folder):
    path = made(folder, "lock", {"x": np.ones((512, 16), np.float32)})
    dataset = dsrecords.open(path)
    loader = dsrecords.Loader(dataset, 64, num_threads=2, transform=python_transform)
    run(loader)
    report = loader.report()
    before = 1 / processor_time(loader)
    with dsrecords.Loader(dataset, 64, num_processes=2, transform=python_transform) as other:
        run(other)
        began = processor_of_all()
        count = 512 * EPOCHS
        for _ in range(EPOCHS):
            run(other)
        after = 2 / ((processor_of_all() - began) / count)
    return report, after / before


def processor_of_all():
    """Processor time of this process and of its children that still run."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = time.process_time()
    for child in multiprocessing.active_children():
        with open(f"/proc/{child.pid}/stat") as file:
            values = file.read().rsplit(")", 1)[1].split()
        total += (int(values[11]) + int(values[12])) / ticks
    return total


def pictures(folder):
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    file = io.BytesIO()
    rough.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    path = os.path.join(folder, "pictures.rec")
    rows = [{"photo": file.getvalue(), "label": number} for number in range(64)]
    dsrecords.make_dataset(rows, path, {"photo": "jpeg", "label": "int64"}, overwrite=True)
    dataset = dsrecords.open(path)
    loader = dsrecords.Loader(dataset, 16, num_threads=2)
    for _ in range(EPOCHS):
        run(loader)
    report = loader.report()
    before = processor_time(loader)
    smaller = dsrecords.Loader(dataset, 16, num_threads=2, decode={"photo": vision.Resize(256)})
    after = processor_time(smaller)
    return report, before / after


def verifying(folder):
    path = made(
        folder, "raw", {"x": np.random.default_rng(0).random((512, 2**17)).astype(np.float32)}
    )
    loader = dsrecords.Loader(
        dsrecords.open(path, verify="always"), 16, num_threads=2, shuffle=True
    )
    run(loader)
    run(loader)
    report = loader.report()
    other = dsrecords.Loader(dsrecords.open(path), 16, num_threads=2, shuffle=True)
    run(other)
    before = float("inf")
    after = float("inf")
    for _ in range(6):
        before = min(before, processor_time(loader, 1))
        after = min(after, processor_time(other, 1))
    return report, before / after


def slow_training(folder):
    path = made(folder, "training", {"x": np.ones((1024, 256), np.float32)})
    loader = dsrecords.Loader(dsrecords.open(path), 64, num_threads=2)
    slept = 0.0
    for _ in loader:
        time.sleep(0.02)
        slept += 0.02
    report = loader.report()
    fastest = 1024 / slept
    return report, max(fastest / report.rate, 1.0)


def made(folder, name, columns):
    """Write a dataset; return its path."""
    path = os.path.join(folder, f"{name}.rec")
    return dsrecords.make_dataset(columns, path, overwrite=True)[0]


def main():
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        show(slow_disk, "a storage that sleeps", "disk", folder)
        show(lock, "a transform in Python", "transform", folder)
        show(pictures, "large pictures", "decode", folder)
        show(verifying, 'verify="always" of large arrays', "verify", folder)
        show(slow_training, "a slow training", "training", folder)


if __name__ == "__main__":
    main()
