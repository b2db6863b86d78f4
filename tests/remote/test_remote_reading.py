"""Datasets in buckets: the same values as on a disk, by few requests."""

import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
from buckets import make_public

import dsrecords
from dsrecords._storage import object_store, requests
from dsrecords.errors import CorruptError, ReadOnlyError, RemoteError, StaleViewError

pytestmark = pytest.mark.large
pytest_plugins = ["servers"]

SCHEMA = {
    "label": "int64",
    "score": "float64?",
    "text": "str",
    "blob": "bytes?",
    "box": "float32[4]",
    "tokens": "array",
}
WIDE = {f"x{i}": "float64" for i in range(40)} | {"blob": "bytes"}  # heads are not in the index


def row(i):
    return {
        "label": i % 7,
        "score": None if i % 3 == 0 else i / 2,
        "text": f"text {i} é" * (i % 3),
        "blob": None if i % 4 == 1 else random.Random(i).randbytes(i * 37 % 5000),
        "box": np.arange(4, dtype=np.float32) + i,
        "tokens": np.arange(i % 50, dtype=np.int32),
    }


def wide_row(i):
    return {f"x{k}": float(i + k) for k in range(40)} | {"blob": bytes([i % 256]) * (i % 300)}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture(params=["heads in the index", "heads in the log"])
def local(request, path):
    """A local dataset of 300 records, some of which were edited."""
    if request.param == "heads in the index":
        dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
        ds = dsrecords.open(path)
        ds[17, "label"] = 3
        ds[19] = row(1000)
        del ds[200]
        ds.close()
    else:
        dsrecords.make_dataset(map(wide_row, range(300)), path, WIDE)
    return dsrecords.open(path)


@pytest.fixture
def remote(local, publish, options):
    return dsrecords.open(publish(local.path), storage_options=options)


def test_every_way_of_reading_gives_what_the_disk_gives(local, remote):
    assert len(remote) == len(local)
    assert remote.schema == local.schema
    order = np.random.default_rng(1).permutation(len(local))[:60]
    for i in order[:10].tolist():
        assert same(remote[i], local[i])
        for field in local.fields:
            assert same(remote[i, field], local[i, field])
    assert same(remote.batch(order), local.batch(order))
    for field in local.fields:
        assert same(remote.column(field), local.column(field))
    assert all(map(same, remote, local))
    assert all(map(same, remote[order], local[order]))
    assert remote.check() == []


@pytest.mark.parametrize("verify", [True, False, "always"])
@pytest.mark.parametrize("copy", [True, False])
def test_values_stay_when_memory_is_short(local, publish, options, verify, copy):
    path = publish(local.path)
    ds = dsrecords.open(path, storage_options=options, verify=verify, copy=copy, cache_limit=10_000)
    kept = [ds[i] for i in range(60)]
    for _ in range(2):
        assert same(ds.batch(range(60, 299)), local.batch(range(60, 299)))
    assert same(kept, [local[i] for i in range(60)])


def test_labels_and_a_stratified_split_read_nothing_of_the_data(path, publish, proxy, options):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    remote = dsrecords.open(publish(path), storage_options=options)
    proxy.forget()
    labels = remote.column("label")
    parts = remote.split({"train": 0.8, "test": 0.2}, stratify="label")
    kept = remote.filter(lambda sample: sample["label"] == 3, fields=["label"])
    counts = remote.value_counts("label")
    assert proxy.of(".rec") == []
    local = dsrecords.open(path)
    assert list(labels) == list(local.column("label"))
    own = local.split({"train": 0.8, "test": 0.2}, stratify="label")
    assert same(list(parts["test"].column("label")), list(own["test"].column("label")))
    assert len(kept) == counts[3]


def test_opening_takes_few_requests(path, publish, proxy, options):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    name = publish(path)
    proxy.forget()
    dsrecords.open(name, storage_options=options)
    assert len(proxy.requests) <= 4


def test_a_batch_takes_at_most_one_request_a_record(path, publish, proxy, options):
    dsrecords.make_dataset(({"blob": bytes([i]) * 100_000} for i in range(40)), path)
    ds = dsrecords.open(publish(path), storage_options=options)
    proxy.forget()
    ds.batch([31, 7, 13, 22])
    assert len(proxy.requests) == 4
    assert sum(each.sent for each in proxy.requests) < 4 * 101_000
    proxy.forget()
    ds.batch([31, 7, 13, 22])  # what is in memory is not asked for again
    assert proxy.requests == []
    ds.batch(range(20, 26))
    assert len(proxy.requests) <= 3  # neighbours come together


def test_each_byte_is_verified(path, publish, put, options):
    dsrecords.make_dataset(map(row, range(100)), path, SCHEMA)
    name = publish(path)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    ds = dsrecords.open(path)
    expected = [i for i in range(100) if ds[i, "blob"]]
    found = data.index(ds[expected[5], "blob"])
    data[found] ^= 1
    put("data.rec", bytes(data))
    remote = dsrecords.open(name, storage_options=options)
    for read in (
        lambda: remote[expected[5]],
        lambda: remote.batch([expected[5]]),
        lambda: list(remote),
    ):
        with pytest.raises(CorruptError) as caught:
            read()
        assert caught.value.record == expected[5]
    assert len(remote.check()) == 1


def test_a_changed_object_is_noticed_and_never_mixed(path, publish, options):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    name = publish(path)
    ds = dsrecords.open(name, storage_options=options, verify=False)
    first = ds[3]
    other = path.replace("data", "other")
    dsrecords.make_dataset((row(i + 1) for i in range(300)), other, SCHEMA)
    publish(other)
    with pytest.raises(StaleViewError, match="replaced"):
        ds[250]
    with pytest.raises(StaleViewError, match="replaced"):
        ds.batch([240, 280])
    assert same(first, row(3))
    ds.refresh()
    assert same(ds[250], row(251))


def test_refreshing_what_stayed_asks_for_versions_alone(path, publish, options, proxy):
    dsrecords.make_dataset(map(row, range(3000)), path, SCHEMA)
    ds = dsrecords.open(publish(path), storage_options=options)
    before = ds[3]
    for _ in range(3):
        proxy.forget()
        ds.refresh()
        assert sorted(each.path.rpartition(".")[2][:3] for each in proxy.requests) == ["idx", "rec"]
        assert all(each.sent <= 1 for each in proxy.requests)
    proxy.forget()
    assert same(ds[3], before)
    assert len(ds.column("label")) == 3000
    assert proxy.requests == []


def test_refreshing_sees_an_index_that_vouches_for_more(path, publish, put, get, options):
    dsrecords.make_dataset(map(row, range(100)), path, SCHEMA)
    ds = dsrecords.open(publish(path), storage_options=options)
    local = dsrecords.open(path)
    local.extend(map(row, range(100, 200)))
    local.close()
    with open(path.removesuffix(".rec") + ".idx", "rb") as file:
        put("data.idx", file.read())  # and the data file that it is of was not put
    with pytest.raises(CorruptError):
        ds.refresh()
    assert same(ds[3], row(3))
    publish(path)
    ds.refresh()
    assert same(ds[150], row(150))


def test_refreshing_what_does_not_answer(path, publish, options, proxy, monkeypatch):
    monkeypatch.setattr(requests, "ATTEMPTS", 2)
    dsrecords.make_dataset(map(row, range(100)), path, SCHEMA)
    ds = dsrecords.open(publish(path), storage_options=options)
    proxy.faults.share = 1.0
    proxy.faults.kinds = ("503",)
    with pytest.raises(RemoteError, match="failed 2 times"):
        ds.refresh()
    proxy.faults.share = 0.0
    ds.refresh()
    assert same(ds[3], row(3))


def test_appending_is_refused_and_says_what_to_do(remote):
    with pytest.raises(ReadOnlyError, match="to another file"):
        remote.append({})


def test_what_is_not_there(bucket, options):
    with pytest.raises(FileNotFoundError, match=r"s3://.*none\.rec does not exist"):
        dsrecords.open(f"{bucket}/none.rec", storage_options=options)


def test_a_service_that_does_not_answer(path, publish, options, proxy, monkeypatch):
    monkeypatch.setattr(requests, "ATTEMPTS", 3)
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    ds = dsrecords.open(publish(path), storage_options=options)
    proxy.faults.share = 1.0
    proxy.faults.kinds = ("503",)
    with pytest.raises(RemoteError, match="failed 3 times") as caught:
        ds[250]
    assert caught.value.file == ds.path
    proxy.faults.share = 0.0
    assert same(ds[250], row(250))  # it can be used further


def test_an_index_that_cannot_be_read_is_not_made_again(path, publish, options, monkeypatch):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    name = publish(path)
    find = object_store.ObstoreClient.find

    def fails(self, path, wanted):
        if path.endswith(".idx"):
            raise requests.TransientError("planted")
        return find(self, path, wanted)

    monkeypatch.setattr(object_store.ObstoreClient, "find", fails)
    with pytest.raises(RemoteError, match="planted"):
        dsrecords.open(name, storage_options=options)


def test_options_that_there_are_not(bucket):
    with pytest.raises(ValueError, match="storage_options"):
        dsrecords.open(f"{bucket}/a.rec", storage_options={"endpiont": "x"})
    with pytest.raises(TypeError, match="storage_options must be a dict"):
        dsrecords.open(f"{bucket}/a.rec", storage_options=["endpoint"])
    with pytest.raises(ValueError, match="cache_limit"):
        dsrecords.open(f"{bucket}/a.rec", cache_limit="much")


@pytest.fixture
def public(path, publish, moto_port):
    """The path of a dataset of 300 records in a bucket that everybody may read."""
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    name = publish(path)
    make_public(moto_port, name)
    make_public(moto_port, name.replace(".rec", ".idx"))
    return name


def test_what_everybody_may_read_is_asked_for_without_a_signature(public, options, proxy):
    proxy.forget()
    assert same(dsrecords.open(public, storage_options=options)[7], row(7))
    assert proxy.unsigned == 0
    anonymous = {"endpoint": proxy.url, "region": "us-east-1", "skip_signature": True}
    proxy.forget()
    assert same(dsrecords.open(public, storage_options=anonymous)[7], row(7))
    assert proxy.unsigned == len(proxy.requests) > 0


def test_what_not_everybody_may_read_is_refused_without_a_signature(path, publish, proxy):
    dsrecords.make_dataset(map(row, range(10)), path, SCHEMA)
    anonymous = {"endpoint": proxy.url, "region": "us-east-1", "skip_signature": True}
    with pytest.raises(RemoteError, match="access is refused"):
        dsrecords.open(publish(path), storage_options=anonymous)


def test_a_web_server_is_read_by_ranges(public, path, publish, proxy, moto_port):
    url = f"{proxy.url}/{public.removeprefix('s3://')}"
    ds = dsrecords.open(url)
    order = [250, 3, 77]
    assert same(ds.batch(order)["text"], [row(i)["text"] for i in order])
    assert list(ds.column("label")) == [row(i)["label"] for i in range(300)]
    assert len(dsrecords.open([url])) == 300
    with pytest.raises(FileNotFoundError):
        dsrecords.open(url.replace("data", "none"))
    with pytest.raises(RemoteError, match="does not say which files it has"):
        dsrecords.open(url.rpartition("/")[0] + "/")
    with pytest.raises(RemoteError, match="with a query"):
        dsrecords.open(url + "?token=1")
    dsrecords.make_dataset(map(row, range(9)), path, SCHEMA, overwrite=True)
    make_public(moto_port, publish(path))
    with pytest.raises(StaleViewError, match="replaced"):
        ds[299]


def test_views_and_pickles_know_how_to_reach_the_bucket(local, remote):
    view = remote[10:50]
    again = pickle.loads(pickle.dumps(view))
    assert same(list(again), list(local[10:50]))
    assert again.path == remote.path


SPAWNED = """
import pickle, sys
ds = pickle.loads(sys.stdin.buffer.read())
sys.stdout.write(ds[5]["text"])
"""


def test_another_process_reads_what_a_pickle_says(path, publish, options):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    ds = dsrecords.open(publish(path), storage_options=options)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), PYTHONIOENCODING="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SPAWNED],
        input=pickle.dumps(ds),
        capture_output=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == row(5)["text"]


FORKED = """
import os, sys
import dsrecords
ds = dsrecords.open(sys.argv[1], storage_options={"endpoint": sys.argv[2]})
ds[0]
child = os.fork()
if not child:
    code = 1
    try:
        ds[250]
    except dsrecords.errors.RemoteError as error:
        code = 7 if "spawn" in str(error) and "forkserver" in str(error) else 2
    try:
        dsrecords.open(sys.argv[1])
    except dsrecords.errors.RemoteError:
        code += 1
    os._exit(code)
_, status = os.waitpid(child, 0)
ds[250]
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_is_told_at_once(path, publish, options):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    name = publish(path)
    secrets = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    places = {"AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), **secrets, **places)
    done = subprocess.run(
        [sys.executable, "-c", FORKED, name, options["endpoint"]],
        capture_output=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 8, done.stderr
