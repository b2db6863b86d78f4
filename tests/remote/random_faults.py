"""Random reading and writing of datasets in a bucket whose service fails at random.

What is read is right, or an error of ours, and nothing waits without an end. An object that was replaced is never mixed with
the new one; an upload that failed has left nothing that opens.
"""

import contextlib
import itertools
import os
import random
import tempfile

import numpy as np
from buckets import make_bucket, options, serving, store_of
from faults import Faults, Proxy
from sameness import same

import dsrecords
from dsrecords._storage import requests
from dsrecords.errors import RemoteError, StaleViewError

SCHEMA = {"label": "int64", "version": "int64", "text": "str", "blob": "bytes?"}
COUNT = 300
SHARES = (0.1, 0.3, 0.6)
"""Of the requests that fail: of the last, one in 60 fails eight times, which is an error."""


def row(i, version):
    """Record i of a version of the dataset."""
    blob = None
    if i % 4 != 1:
        blob = random.Random(i).randbytes(i * 37 % 3000)
    return {"label": i, "version": version, "text": f"{version} {i}" * (i % 5), "blob": blob}


class Service:
    """A bucket behind a proxy that fails, and what is in it.

    Args:
        port: of the server.
        name: of the bucket.
        folder: of this machine, for the same files.
    """

    def __init__(self, port, name, folder):
        self.proxy = Proxy(port)
        self.bucket = make_bucket(port, name)
        self.options = options(self.proxy.url)
        self._store = store_of(self.bucket, port)
        self.files = []
        for version in range(2):
            path = os.path.join(folder, f"{version}.rec")
            rows = [row(i, version) for i in range(COUNT)]
            dsrecords.make_dataset(rows, path, SCHEMA)
            self.files.append((_bytes_of(path), _bytes_of(path[:-4] + ".idx")))
        rows = [row(i, 0) for i in range(COUNT)]
        dsrecords.make_dataset(rows, os.path.join(folder, "part.rec"), SCHEMA, shards=4)
        for name in os.listdir(folder):
            if name.startswith("part"):
                self._store.put(name, _bytes_of(os.path.join(folder, name)))
        self.now = 0
        self.replace(0)

    def replace(self, version):
        """Put a version of the dataset into the bucket."""
        data, index = self.files[version]
        self._store.put("data.rec", data)
        self._store.put("data.idx", index)
        self.now = version

    def open(self, name, reliably=False, **more):
        """Open a dataset of the bucket."""
        given = self.options
        if reliably:
            self.proxy.faults.share = 0.0
        return dsrecords.open(f"{self.bucket}/{name}", storage_options=given, **more)


def _bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def trial(seed, planted):
    """Read and write until so many faults were planted; returns a tally."""
    rng = random.Random(f"faults {seed}")
    tally = {"faults": 0, "reads": 0, "errors": 0, "replaced": 0, "uploads": 0, "broken": 0}
    usual = requests.PAUSE
    requests.PAUSE = 0.0001
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, requests, "PAUSE", usual)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        cache = stack.enter_context(tempfile.TemporaryDirectory())
        port = stack.enter_context(serving())
        service = Service(port, f"faults-{seed}", folder)
        stack.callback(service.proxy.close)
        numbers = itertools.count()
        while tally["faults"] < planted:
            service.proxy.faults = Faults(seed=rng.random(), share=rng.choice(SHARES))
            faults = service.proxy.faults
            work = rng.choice((_read, _read, _read, _read_many_files, _read_replaced, _upload))
            work(service, rng, tally, os.path.join(cache, str(next(numbers) % 3)))
            tally["faults"] += faults.planted
    return tally


def _order(rng):
    return np.array(rng.sample(range(COUNT), rng.randint(1, 30)))


def _read(service, rng, tally, cache):
    """Open the dataset, and read in some ways."""
    more = rng.choice(({}, {"cache_limit": 20_000}, {"cache": cache, "cache_limit": 10**6}))
    try:
        ds = service.open("data.rec", **more)
        _check(ds, service.now, rng, tally)
    except RemoteError as error:
        assert "failed 8 times" in str(error)
        tally["errors"] += 1


def _read_many_files(service, rng, tally, cache):
    try:
        ds = service.open(rng.choice(("part.json", "part-*.rec")))
        ds.prefetch(_order(rng))
        _check(ds, 0, rng, tally)
    except RemoteError as error:
        assert "failed 8 times" in str(error)
        tally["errors"] += 1


def _check(ds, version, rng, tally):
    assert len(ds) == COUNT
    order = _order(rng)
    wanted = [row(i, version) for i in order.tolist()]
    batch = ds.batch(order)
    for field in SCHEMA:
        column = batch[field]
        if isinstance(column, np.ndarray):
            column = column.tolist()
        assert same(column, [each[field] for each in wanted])
    i = int(order[0])
    assert same(ds[i], wanted[0])
    assert same(ds[i, "text"], wanted[0]["text"])
    assert ds.column("label").tolist() == list(range(COUNT))
    tally["reads"] += 1


def _read_replaced(service, rng, tally, cache):
    """Read a dataset whose object is replaced meanwhile: of one version alone, or an error."""
    ds = None
    version = service.now
    with contextlib.suppress(RemoteError):
        ds = service.open("data.rec", cache_limit=20_000, verify=rng.choice((True, False)))
    service.replace(1 - version)
    if ds is None:
        return
    try:
        for _ in range(3):
            order = _order(rng)
            assert same(ds.batch(order, "blob"), [row(i, 0)["blob"] for i in order.tolist()])
            assert same(ds.batch(order, "text"), [row(i, version)["text"] for i in order.tolist()])
    except StaleViewError:
        tally["replaced"] += 1
    except RemoteError as error:
        assert "failed 8 times" in str(error)
        tally["errors"] += 1
    try:
        ds.refresh()
    except RemoteError as error:
        assert "failed 8 times" in str(error)
        tally["errors"] += 1
        service.proxy.faults.share = 0.0
        ds.refresh()  # what did not end is made up for
    try:
        _check(ds, service.now, rng, tally)
    except RemoteError as error:
        assert "failed 8 times" in str(error)
        tally["errors"] += 1


def _upload(service, rng, tally, cache):
    """Make a dataset in the bucket: it is there as a whole, or nothing opens."""
    name = f"made-{rng.randrange(4)}.rec"
    version = rng.randrange(100)
    rows = [row(i, version) for i in range(COUNT)]
    path = f"{service.bucket}/{name}"
    try:
        dsrecords.make_dataset(rows, path, SCHEMA, overwrite=True, storage_options=service.options)
    except RemoteError:
        tally["broken"] += 1
        try:
            ds = service.open(name, reliably=True)
        except (FileNotFoundError, dsrecords.CorruptError):
            return
        # The one before, of which nothing was replaced yet; or the answer to the last was lost.
        version = int(ds[0, "version"])
    else:
        ds = service.open(name, reliably=True)
        assert ds[0, "version"] == version
        tally["uploads"] += 1
    assert same(list(ds), [row(i, version) for i in range(COUNT)])
