"""How many requests, bytes and seconds a dataset in a bucket takes, from a thousand files to internet scale.

    python benchmarks/scale.py                       # 1,000 files of 200 records; 10,000 by --shards 10000
    python benchmarks/scale.py --live --shards 200   # the bucket also answers as late as it is said to: a check of the model

The library runs as it always does, on a bucket that is simulated in this process: its requests are counted, and their processor
time is measured. What they take elsewhere is computed from that, for a latency and a bandwidth: they are bound by the bandwidth, or by how
many are under way at once, or by one core, whichever is the slowest. No network is measured here.
"""

import argparse
import collections
import math
import os
import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import dsrecords
from dsrecords._storage import object_store, requests
from dsrecords._storage.clients import Found
from dsrecords._storage.registry import register

BATCH = 256
LABELS = 10**9
MANY = 10_000  # files
LEAST = 4096  # bytes of a simulated payload


class Line(NamedTuple):
    """Between a client and a bucket.

    Attributes:
        latency: seconds from a request to the first byte of its answer.
        bandwidth: bytes a second, of all requests of a client together.
    """

    latency: float
    bandwidth: float


class Cost(NamedTuple):
    """What something took.

    Attributes:
        requests: how many.
        size: bytes that came.
        processor: seconds of this process.
        elapsed: seconds until it was there, here.
    """

    requests: int
    size: int
    processor: float
    elapsed: float = 0.0

    def times(self, factor):
        return Cost(
            round(self.requests * factor),
            round(self.size * factor),
            self.processor * factor,
            self.elapsed * factor,
        )

    def plus(self, other):
        return Cost(*(one + two for one, two in zip(self, other, strict=True)))

    def seconds(self, line, at_once, rounds):
        """How long it takes on a line.

        Args:
            line: which.
            at_once: requests that are under way together.
            rounds: of requests that wait for one another.
        """
        of_latency = math.ceil(self.requests / at_once) * line.latency
        of_bandwidth = self.size / line.bandwidth
        return max(of_latency, of_bandwidth, self.processor) + rounds * line.latency


class Bucket:
    """Files of a folder as a service has them, which counts what is asked for.

    Args:
        folder: of the files.
        line: if given, answers are as late as they are on it.
    """

    def __init__(self, folder, line=None):
        self._folder = folder
        self._line = line
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.counts = collections.Counter()
        self.sizes = collections.Counter()

    def _path(self, path):
        return os.path.join(self._folder, path.removeprefix("sim://bucket/"))

    def _answer(self, path, data):
        ending = path[-4:]
        with self._lock:
            self.counts[ending] += 1
            self.sizes[ending] += len(data)
        if self._line is not None:
            self._be_late(len(data))
        return data

    def _be_late(self, size):
        now = time.monotonic()
        with self._lock:
            self._free_at = max(self._free_at, now) + size / self._line.bandwidth
            ready = max(self._free_at, now + self._line.latency)
        time.sleep(ready - now)

    def find(self, path, wanted):
        with open(self._path(path), "rb") as file:
            start = file.read(wanted)
            size = os.fstat(file.fileno()).st_size
        return Found(size, "1", "1", self._answer(path, start))

    def read(self, path, found, start, stop):
        with open(self._path(path), "rb") as file:
            file.seek(start)
            return self._answer(path, file.read(stop - start))

    def list(self, path):
        names = sorted(os.listdir(self._folder))
        return [f"sim://bucket/{name}" for name in names if f"sim://bucket/{name}".startswith(path)]

    def taken(self):
        """What was asked for until now: requests and bytes."""
        return sum(self.counts.values()), sum(self.sizes.values())


def measured(bucket, function):
    """What a function returns, and what it cost."""
    count, size = bucket.taken()
    began = time.monotonic()
    used_before = time.process_time()
    found = function()
    used = time.process_time() - used_before
    elapsed = time.monotonic() - began
    count_after, size_after = bucket.taken()
    return found, Cost(count_after - count, size_after - size, used, elapsed)


def make(folder, shards, records):
    """Make the files, of records with a label and an image."""
    count = shards * records
    image = np.random.default_rng(0).bytes(LEAST)
    table = {"label": np.arange(count) % 1000}
    table["image"] = [image] * count
    dsrecords.make_dataset(
        table,
        os.path.join(folder, "train.rec"),
        {"label": "int64", "image": "bytes"},
        shards=shards,
    )


def row_size():
    """Bytes of an index for each further record: what its file has besides does not grow."""
    sizes = []
    for records in (1000, 2000):
        with tempfile.TemporaryDirectory() as folder:
            make(folder, 1, records)
            sizes += [path.stat().st_size for path in Path(folder).glob("*.idx")]
    return (sizes[1] - sizes[0]) / 1000


def memory():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def opened(bucket):
    """Serve the bucket to this process, and open its manifest."""
    object_store.client_of = lambda path: bucket
    return dsrecords.open("sim://bucket/train.json")


class Measured(NamedTuple):
    """What was measured of one dataset.

    Attributes:
        manifest: of opening it.
        first: of its first shuffled batch.
        files: of opening all of its files.
        record: of one record of a shuffled epoch whose files are open.
        labels: of all labels, once more.
        row: bytes of the index that a record has.
        file_memory: bytes of memory that an open file takes besides.
    """

    manifest: Cost
    first: Cost
    files: Cost
    record: Cost
    labels: Cost
    row: float
    file_memory: float


def measure(folder, shards, records, line):
    bucket = Bucket(folder, line)
    ds, manifest = measured(bucket, lambda: opened(bucket))
    _, first = measured(bucket, lambda: next(iter(dsrecords.Loader(ds, BATCH, shuffle=True))))
    ds = opened(bucket)
    ds[:1].column("label")
    before = memory()
    _, files = measured(bucket, lambda: ds.column("label"))
    grown = memory() - before
    _, labels = measured(bucket, lambda: ds.column("label"))
    loader = dsrecords.Loader(ds, BATCH, shuffle=True)
    steps = min(len(loader), 40)
    iterator = iter(loader)

    def some():
        for _ in range(steps):
            next(iterator)

    _, epoch = measured(bucket, some)
    return Measured(
        manifest,
        first,
        files,
        epoch.times(1 / (steps * BATCH)),
        labels,
        row_size(),
        grown / shards,
    )


def shown(size):
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.0f} PB"


def length(seconds):
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.0f} h"


def report(found, shards, records, image, line):
    """Print what was measured, and what follows from it at another size."""
    at_once = requests.MOST_AT_ONCE
    openers = requests.OPENED_AT_ONCE
    each = found.files.times(1 / shards)
    # The image alone is simulated small; all else is as large as it is.
    record = Cost(1, image, found.record.processor)
    print(f"\n{shards:,} files of {records} records; a line of {line.latency * 1000:.0f} ms and")
    print(f"{shown(line.bandwidth)}/s; records of {shown(image)}; {at_once} requests at once\n")
    print("| what | requests | bytes | processor | on this line |")
    print("| --- | ---: | ---: | ---: | ---: |")

    def row(name, cost, many, rounds):
        seconds = length(cost.seconds(line, many, rounds))
        print(
            f"| {name} | {cost.requests:,} | {shown(cost.size)} | {length(cost.processor)} | {seconds} |"
        )

    row("open the manifest", found.manifest, at_once, 1)
    touched = min(shards, BATCH)
    first = each.times(touched).plus(record.times(BATCH))
    row(f"first shuffled batch of {BATCH}, most of other files", first, openers, 4)
    row("open all files, read all labels", found.files, openers, 2)
    row("all labels once more", found.labels, at_once, 0)
    if shards < MANY:
        row(f"open {MANY:,} such files, counted from these", each.times(MANY), openers, 2)
    total = shards * records
    for clients in (1, 8, 64):
        epoch = found.files.plus(record.times(total / clients))
        row(f"a global shuffle, each of {clients} clients", epoch, at_once, 0)
    print(f"\nof one record of an epoch: {found.record.processor * 1e6:.0f} µs of a core")
    print(
        f"requests of a file that is opened: {each.requests}; of its index {found.row:.0f} bytes a record"
    )
    print(f"memory of a file that is open: {shown(found.file_memory)}")


def check(found, line):
    """Print how long the simulated bucket took indeed, beside what is computed."""
    at_once = requests.MOST_AT_ONCE
    openers = requests.OPENED_AT_ONCE
    print("\n| what | computed | with answers that are late indeed |")
    print("| --- | ---: | ---: |")
    for name, cost, many, rounds in (
        ("open the manifest", found.manifest, at_once, 1),
        ("first shuffled batch, of files that are closed", found.first, openers, 4),
        ("open all files, read all labels", found.files, openers, 2),
        ("a record of a shuffled epoch", found.record, at_once, 0),
    ):
        computed = cost.seconds(line, many, rounds)
        if name.startswith("a record"):  # of many, which are under way together
            computed = max(line.latency / at_once, cost.size / line.bandwidth, cost.processor)
        print(f"| {name} | {computed:.3g} s | {cost.elapsed:.3g} s |")


def plan(found, records_of_file):
    """Print what the counts mean at 10⁹ and 10¹⁰ records."""
    print(
        "\n| records | files | their indices, in a bucket and in memory | labels alone, from the indices |"
    )
    print("| ---: | ---: | ---: | ---: |")
    for count in (LABELS, 10 * LABELS):
        files = count // records_of_file
        print(f"| {count:,} | {files:,} | {shown(found.row * count)} | {shown(8 * count)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--records", type=int, default=200, help="of each file")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes a second")
    parser.add_argument("--image", type=int, default=110_000, help="bytes of a record elsewhere")
    parser.add_argument("--live", action="store_true", help="answers are late indeed")
    parser.add_argument("--folder", help="for the files; by default a temporary one")
    given = parser.parse_args()
    line = Line(given.latency, given.bandwidth)
    register("sim", object_store.ObjectStorage)
    folder = tempfile.mkdtemp(dir=given.folder)
    try:
        make(folder, given.shards, given.records)
        found = measure(folder, given.shards, given.records, line if given.live else None)
    finally:
        shutil.rmtree(folder)
    report(found, given.shards, given.records, given.image, line)
    if given.live:
        check(found, line)
    plan(found, 100_000)


if __name__ == "__main__":
    main()
