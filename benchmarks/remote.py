"""Random records over HTTP: our batches beside a plain concurrent download of the same bytes.

The server is yours, as is its latency: nginx serves ranges in a fraction of a millisecond of CPU.
    python benchmarks/remote.py make folder/images.rec        # 2,000 records of 110 KB
    python benchmarks/remote.py http://127.0.0.1:9323/images.rec folder/images.rec
Each way is run in turn, several times; the medians are printed, and CPU time beside them, since
another program may take a part of the machine.
"""

import argparse
import http.client
import statistics
import threading
import time
from urllib.parse import urlsplit

import numpy as np

import dsrecords

COUNT = 2000
SIZE = 110_000  # bytes of a record's image
THREADS = 64
BATCH = 256


def make(path):
    """Make the dataset."""
    rng = np.random.default_rng(0)
    samples = ({"image": rng.bytes(SIZE), "label": i % 10} for i in range(COUNT))
    dsrecords.make_dataset(samples, path, {"image": "bytes", "label": "int64"})


def ranges_of(path, order):
    """Where the images of a local dataset lie, in this order: offsets and ends."""
    with open(path, "rb") as file:
        data = file.read()
    ds = dsrecords.open(path)
    found = []
    place = 0
    for sample in ds:
        place = data.index(sample["image"], place)
        found.append((place, place + len(sample["image"])))
    return [found[i] for i in order]


def plain(url, ranges):
    """Download ranges with 64 threads, each with a connection; nothing else is done with them."""
    address = urlsplit(url)
    rest = iter(ranges)
    lock = threading.Lock()
    sizes = [0] * THREADS

    def run(number):
        connection = http.client.HTTPConnection(address.hostname, address.port)
        while True:
            with lock:
                part = next(rest, None)
            if part is None:
                return
            headers = {"Range": f"bytes={part[0]}-{part[1] - 1}"}
            connection.request("GET", address.path, headers=headers)
            sizes[number] += len(connection.getresponse().read())

    in_threads(run)
    return sum(sizes)


def by_obstore(url, ranges):
    """The same through obstore, which is what our storage uses."""
    from obstore.store import HTTPStore

    address = urlsplit(url)
    options = {"allow_http": True}
    store = HTTPStore.from_url(f"{address.scheme}://{address.netloc}", client_options=options)
    rest = iter(ranges)
    lock = threading.Lock()
    sizes = [0] * THREADS

    def run(number):
        while True:
            with lock:
                part = next(rest, None)
            if part is None:
                return
            result = store.get(address.path[1:], options={"range": part})
            sizes[number] += len(result.bytes())

    in_threads(run)
    return sum(sizes)


def in_threads(run):
    """Call a function in 64 threads, with their numbers."""
    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_loader(url, seed):
    """All samples in shuffled batches, opened anew, so that nothing is in memory."""
    ds = dsrecords.open(url)
    total = 0
    for batch in dsrecords.Loader(ds, BATCH, shuffle=True, seed=seed):
        total += sum(map(len, batch["image"]))
    return total


def first_batch(url):
    """Open, and read the first batch of a shuffled epoch."""
    ds = dsrecords.open(url)
    batch = next(iter(dsrecords.Loader(ds, BATCH, shuffle=True, seed=5)))
    return sum(map(len, batch["image"]))


def labels(url):
    """Open, and read the labels of all."""
    ds = dsrecords.open(url)
    return ds.column("label").nbytes


def main():
    """Measure, or make the dataset."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url", help="of the .rec on a server; or the word make")
    parser.add_argument("path", help="of the same file on this machine")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.url == "make":
        make(given.path)
        return
    order = np.array(dsrecords.Permutation(COUNT, 1)).tolist()
    ranges = ranges_of(given.path, order)
    ways = {
        "plain, http.client": lambda: plain(given.url, ranges),
        "plain, obstore": lambda: by_obstore(given.url, ranges),
        "Loader, shuffled": lambda: by_loader(given.url, 1),
        "open and first batch": lambda: first_batch(given.url),
        "open and all labels": lambda: labels(given.url),
    }
    measured = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, run in ways.items():
            began = time.perf_counter()
            used = time.process_time()
            size = run()
            seconds = time.perf_counter() - began
            measured[name].append((seconds, time.process_time() - used, size))
    for name, found in measured.items():
        seconds = statistics.median(each[0] for each in found)
        used = statistics.median(each[1] for each in found)
        size = found[0][2]
        print(
            f"{name:22} {seconds:7.3f} s  {size / seconds / 1e6:7.1f} MB/s  "
            f"{size / SIZE / seconds:7.0f} images/s  {used:6.3f} s of CPU"
        )


if __name__ == "__main__":
    main()
