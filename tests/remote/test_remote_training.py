"""Training on datasets of buckets: what is fetched ahead, and that training goes on anywhere."""

import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import loader_resumptions
import numpy as np
import pytest
import resumptions
from test_remote_reading import SCHEMA, row, same

import dsrecords
from dsrecords._storage import requests

pytestmark = pytest.mark.large
pytest_plugins = ["servers"]


def blob(i):
    return {"blob": bytes([i]) * 100_000, "other": bytes([i]) * 100_000}


@pytest.fixture
def blobs(path, publish, options):
    """Two datasets of 20 records in a bucket, whose payloads come by requests of their own."""
    dsrecords.make_dataset(map(blob, range(20)), path)
    rows = ({"more": each["blob"]} for each in map(blob, range(20)))
    other = path.removesuffix("data.rec") + "other.rec"
    dsrecords.make_dataset(rows, other)
    first = dsrecords.open(publish(path), storage_options=options)
    return first, dsrecords.open(publish(other, "other.rec"), storage_options=options)


def wait_for(proxy, count):
    """Wait until so many requests were answered, which nobody waits for but this."""
    deadline = time.monotonic() + 60
    while len(proxy.requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_was_fetched_ahead_is_not_asked_for_again(blobs, proxy):
    ds, _ = blobs
    proxy.forget()
    ds.prefetch([2, 12], ["blob"])
    wait_for(proxy, 2)
    assert ds[2, "blob"] == blob(2)["blob"]
    assert ds.batch([12, 2], "blob") == [blob(12)["blob"], blob(2)["blob"]]
    assert len(proxy.requests) == 2
    assert sum(each.sent for each in proxy.requests) < 2 * 101_000  # and nothing of `other`
    with pytest.raises(IndexError):
        ds.prefetch([20])
    with pytest.raises(dsrecords.SchemaError):
        ds.prefetch([2], ["none"])


def test_mixtures_and_zipped_datasets_fetch_ahead(blobs, proxy):
    ds, other = blobs
    mixture = dsrecords.mix([ds, other], seed=None)
    proxy.forget()
    mixture.prefetch([0, 1, 12, 13])  # records 0 and 6 of both
    wait_for(proxy, 4)
    samples = [mixture[i] for i in (0, 1, 12, 13)]
    assert samples == [blob(0), {"more": blob(0)["blob"]}, blob(6), {"more": blob(6)["blob"]}]
    assert len(proxy.requests) == 4

    zipped = dsrecords.zip([ds, other])
    proxy.forget()
    zipped.prefetch([3], ["other", "more"])
    wait_for(proxy, 2)
    zipped.prefetch([9])
    wait_for(proxy, 4)
    assert zipped[3, ["other", "more"]] == {"other": blob(3)["other"], "more": blob(3)["blob"]}
    assert zipped[9] == blob(9) | {"more": blob(9)["blob"]}
    zipped.prefetch([15], "more")
    wait_for(proxy, 5)
    assert other[15, "more"] == blob(15)["blob"]
    assert len(proxy.requests) == 5


def test_windows_fetch_ahead(path, publish, options, proxy):
    rows = ({"tokens": np.full(30_000, i, np.int32), "other": bytes(120_000)} for i in range(12))
    dsrecords.make_dataset(rows, path, {"tokens": "int32[*]", "other": "bytes"})
    ds = dsrecords.open(publish(path), storage_options=options)
    windows = ds.windows("tokens", 10_000)
    proxy.forget()
    windows.prefetch([7, 29])
    wait_for(proxy, 2)
    assert windows[7].tolist() == [2] * 10_000
    assert windows[29].tolist() == [9] * 10_000
    assert len(proxy.requests) == 2


def test_loaders_of_mixtures_and_windows_fetch_ahead(blobs, monkeypatch):
    ds, other = blobs
    asked = []
    ahead = dsrecords.IndexedRecordDataset.prefetch

    def prefetch(self, indices, fields=None):
        asked.append((self.path, sorted(indices.tolist()), fields))
        return ahead(self, indices, fields)

    monkeypatch.setattr(dsrecords.IndexedRecordDataset, "prefetch", prefetch)
    zipped = dsrecords.zip([ds, other])
    for _ in dsrecords.Loader(zipped, 4, fields=["more"], num_threads=0):
        pass
    assert asked == [(other.path, list(range(i, i + 4)), ["more"]) for i in range(0, 20, 4)]
    asked.clear()
    for _ in dsrecords.Loader(ds[:4], 2, num_threads=0, fields=["other"]):
        pass
    assert asked == [(ds.path, [0, 1], None), (ds.path, [2, 3], None)]


def test_worker_processes_fetch_for_themselves(blobs, proxy):
    ds, _ = blobs
    proxy.forget()
    with dsrecords.Loader(ds, 5, fields=["blob"], num_processes=1) as loader:
        batches = list(loader)
    assert [value for batch in batches for value in batch["blob"]] == [
        blob(i)["blob"] for i in range(20)
    ]
    payloads = [each for each in proxy.of("data.rec") if each.sent > 90_000]
    assert sum(each.sent for each in payloads) < 1.2 * 20 * 200_000  # nothing comes twice


def test_files_that_are_opened_ahead_are_opened_once(tmp_path, put, bucket, options, proxy):
    path = str(tmp_path / "train.rec")
    rows = [row(i) | {"blob": None} for i in range(400)]
    dsrecords.make_dataset(rows, path, SCHEMA, shards=8)
    for file in tmp_path.iterdir():
        put(file.name, file.read_bytes())
    local = dsrecords.open(str(tmp_path / "train.json"))
    ds = dsrecords.open(f"{bucket}/train.json", storage_options=options)
    proxy.forget()
    order = np.random.default_rng(1).permutation(400)[:80]
    for start in range(0, 80, 10):
        ds.prefetch(order[start : start + 10])
    assert same(ds.batch(order), local.batch(order))
    assert len(proxy.of(".idx")) == 8
    assert len(proxy.of(".rec")) == 8  # each is smaller than what is read first


def test_files_that_are_read_in_their_order_are_opened_ahead(tmp_path, put, bucket, options, proxy):
    path = str(tmp_path / "train.rec")
    dsrecords.make_dataset([{"x": i} for i in range(40)], path, {"x": "int64"}, shards=20)
    for file in tmp_path.iterdir():
        put(file.name, file.read_bytes())
    ds = dsrecords.open(f"{bucket}/train.json", storage_options=options)
    proxy.forget()
    for first in (14, 2, 36, 20):  # of another order no more is opened
        assert ds.batch([first, first + 1], "x").tolist() == [first, first + 1]
    assert len(proxy.of(".idx")) == 4
    for first in range(0, 12, 2):
        assert ds.batch([first, first + 1], "x").tolist() == [first, first + 1]
    deadline = time.monotonic() + 60
    while len(proxy.of(".idx")) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert ds.column("x").tolist() == list(range(40))
    assert len(proxy.of(".idx")) == 20


def test_what_cannot_be_fetched_ahead_is_an_error_where_it_is_read(
    tmp_path, put, bucket, options, past_the_proxy
):
    path = str(tmp_path / "train.rec")
    dsrecords.make_dataset([row(i) for i in range(400)], path, SCHEMA, shards=8)
    for file in tmp_path.iterdir():
        put(file.name, file.read_bytes())
    past_the_proxy.delete("train-00003-of-00008.rec")
    ds = dsrecords.open(f"{bucket}/train.json", storage_options=options)
    ds.prefetch([150, 399])
    with pytest.raises(dsrecords.ShardError, match="is missing"):
        ds[150]
    assert same(ds[399], row(399))


# Resumption


@pytest.fixture
def trainings_elsewhere(put, options, monkeypatch):
    """The trainings of tests/order and tests/loader read the same files from a bucket."""

    @functools.cache
    def published(number, count):
        local = Path(resumptions.file_of(number, count))
        put(local.with_suffix(".idx").name, local.with_suffix(".idx").read_bytes())
        return put(local.name, local.read_bytes())

    def opened(path):
        def transform(sample):
            return sample["file"], sample["record"]

        return dsrecords.open(path, storage_options=options, transform=transform)

    def files_of(counts):
        return opened([published(number, count) for number, count in enumerate(counts)])

    def part(number, count):
        return opened(published(number, count))

    monkeypatch.setattr(resumptions, "files_of", files_of)
    monkeypatch.setattr(resumptions, "Part", part)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_samplers_go_on_anywhere(trainings_elsewhere, seed):
    assert resumptions.trial(seed)["trials"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_loaders_go_on_anywhere(trainings_elsewhere, seed):
    assert loader_resumptions.trial(seed)["loaders"]


@pytest.mark.slow
def test_loaders_with_processes_go_on_anywhere(path, publish, options):
    rows = [{"label": i} for i in range(100)]
    dsrecords.make_dataset(rows, path, {"label": "int64"})
    ds = dsrecords.open(publish(path), storage_options=options)
    assert loader_resumptions.trial_with_processes(ds, 1)["loaders"]


# Processes that end, or are forked, while requests are under way


ENDING = """
import sys
import dsrecords
from dsrecords._storage import requests
ds = dsrecords.open(sys.argv[1], storage_options={"endpoint": sys.argv[2]})
requests.PAUSE = requests._LONGEST_PAUSE = 10_000  # of a service that never answers rightly
sys.stdout.write("opened")
sys.stdout.flush()
sys.stdin.readline()
ds.prefetch(range(len(ds)))
sys.stdout.write("asked")
"""

FORKED = """
import os, sys
from concurrent.futures import Future
import dsrecords
from dsrecords._storage import object_store
ds = dsrecords.open(sys.argv[1], storage_options={"endpoint": sys.argv[2]})
object_store.requests.submit = lambda function: Future()  # it never comes
ds.prefetch([12])
child = os.fork()
if not child:
    try:
        ds[12]
    except dsrecords.RemoteError as error:
        os._exit(7 if "spawn" in str(error) else 2)
    os._exit(1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def environment():
    secrets = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    places = {"AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
    return dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), **secrets, **places)


def test_a_process_ends_although_its_requests_wait(blobs, options, proxy):
    ds, _ = blobs
    process = subprocess.Popen(
        [sys.executable, "-c", ENDING, ds.path, options["endpoint"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    try:
        assert process.stdout.read(6) == b"opened"
        proxy.faults.share = 1.0
        proxy.faults.kinds = ("503",)
        out, err = process.communicate(b"\n", timeout=600)
    finally:
        process.kill()
        process.wait()
    assert out == b"asked"
    assert process.returncode == 0, err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_that_is_forked_while_something_is_fetched_does_not_wait(blobs, options):
    ds, _ = blobs
    done = subprocess.run(
        [sys.executable, "-c", FORKED, ds.path, options["endpoint"]],
        capture_output=True,
        timeout=600,
        env=environment(),
    )
    assert done.returncode == 7, done.stderr


def test_of_a_slow_line_few_bytes_are_asked_for_at_once(monkeypatch):
    monkeypatch.setattr(requests, "MOST_BYTES_AT_ONCE", 100)
    line = requests.Line()
    lock = threading.Lock()
    here = [0]
    most = [0]

    def ask(size):
        with line.share(size):
            with lock:
                here[0] += min(size, 100)
                most[0] = max(most[0], here[0])
            time.sleep(0.005)
            with lock:
                here[0] -= min(size, 100)

    sizes = [40, 1000, 60, 10] * 8  # one that is more than ever comes alone
    threads = [threading.Thread(target=ask, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < most[0] <= 100
