"""Datasets that are made in a bucket."""

import pytest
from faults import Faults
from test_remote_reading import SCHEMA, row, same

import dsrecords
from dsrecords.errors import CorruptError, RemoteError

pytestmark = pytest.mark.large
pytest_plugins = ["servers"]


def make(path, options, count=100, first=0, **more):
    samples = [row(i) for i in range(first, first + count)]
    return dsrecords.make_dataset(samples, path, SCHEMA, storage_options=options, **more)


def test_a_dataset_is_made_in_a_bucket(bucket, options):
    paths = make(f"{bucket}/x.rec", options)
    assert paths == (f"{bucket}/x.rec", f"{bucket}/x.idx")
    ds = dsrecords.open(paths[0], storage_options=options)
    assert same(list(ds), [row(i) for i in range(100)])


def test_another_format_is_converted_into_a_bucket(tmp_path, bucket, options):
    (tmp_path / "a.csv").write_text("a,b\n1,x\n2,y\n")
    made = dsrecords.convert(tmp_path / "a.csv", f"{bucket}/x.rec", storage_options=options)
    assert (made.path, made.records) == (f"{bucket}/x.rec", 2)
    ds = dsrecords.open(made.path, storage_options=options)
    assert list(ds) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        dsrecords.convert(tmp_path / "a.csv", f"{bucket}/x.rec", storage_options=options)


def test_what_a_conversion_into_a_bucket_leaves_out_is_counted(tmp_path, bucket, options):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    more = {"storage_options": options, "on_error": "skip"}
    with pytest.warns(UserWarning, match="line 2"):
        made = dsrecords.convert(tmp_path / "a.jsonl", f"{bucket}/x.rec", **more)
    assert (made.records, made.skipped) == (2, 1)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_the_environment_may_be_without_tls(bucket, options, monkeypatch, name):
    for key in ("region", "access_key_id", "secret_access_key"):
        monkeypatch.setenv(f"AWS_{key.upper()}", options[key])
    monkeypatch.setenv(name, options["endpoint"])
    make(f"{bucket}/x.rec", {})
    assert same(dsrecords.open(f"{bucket}/x.rec")[7], row(7))


def test_what_is_there_is_replaced_only_if_that_is_said(bucket, options):
    asked = []

    def samples():
        asked.append(1)
        yield row(1)

    make(f"{bucket}/x.rec", options)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        dsrecords.make_dataset(samples(), f"{bucket}/x.rec", SCHEMA, storage_options=options)
    assert asked == []
    make(f"{bucket}/x.rec", options, first=50, overwrite=True)
    ds = dsrecords.open(f"{bucket}/x.rec", storage_options=options)
    assert same(ds[0], row(50))


def test_one_that_came_meanwhile_is_not_replaced(bucket, options, put):
    def samples():
        yield row(1)
        put("x.rec", b"of another")

    with pytest.raises(FileExistsError):
        dsrecords.make_dataset(samples(), f"{bucket}/x.rec", SCHEMA, storage_options=options)


def test_shards_are_made_in_a_bucket(bucket, options):
    paths = make(f"{bucket}/a/train.rec", options, shards=3)
    assert paths == (f"{bucket}/a/train-*-of-00003.rec", f"{bucket}/a/train.json")
    for path in paths:
        ds = dsrecords.open(path, storage_options=options)
        assert same(list(ds), [row(i) for i in range(100)])


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("shards", [None, 2])
@pytest.mark.parametrize("done", range(6))
def test_a_broken_copy_leaves_nothing_that_opens(
    bucket, options, monkeypatch, done, shards, overwrite
):
    from dsrecords._storage.obstore_client import ObstoreClient

    name = f"{bucket}/train.json" if shards else f"{bucket}/train.rec"
    if overwrite:
        make(f"{bucket}/train.rec", options, shards=shards)
    change = ObstoreClient.put
    count = 0

    def dies(self, *arguments):
        nonlocal count
        count += 1
        if count > done:
            raise KeyboardInterrupt
        change(self, *arguments)

    monkeypatch.setattr(ObstoreClient, "put", dies)
    if not overwrite:  # as if the process was killed: nothing is taken back
        monkeypatch.setattr(ObstoreClient, "delete", lambda self, path: None)
    files = 5 if shards else 2
    if done >= files:
        make(f"{bucket}/train.rec", options, first=7, shards=shards, overwrite=overwrite)
        assert same(dsrecords.open(name, storage_options=options)[0], row(7))
        return
    with pytest.raises(KeyboardInterrupt):
        make(f"{bucket}/train.rec", options, first=7, shards=shards, overwrite=overwrite)
    with pytest.raises((FileNotFoundError, CorruptError)):
        dsrecords.open(name, storage_options=options)


def test_copying_survives_a_service_that_fails(bucket, options, proxy):
    proxy.faults = Faults(seed=4, share=0.3)
    for number in range(10):
        make(f"{bucket}/x{number}.rec", options)
    proxy.faults.share = 0.0
    for number in range(10):
        ds = dsrecords.open(f"{bucket}/x{number}.rec", storage_options=options)
        assert same(ds[99], row(99))
    assert proxy.faults.planted > 5


def test_large_files_are_copied_in_parts(bucket, options, proxy, monkeypatch):
    from dsrecords._storage import obstore_client

    monkeypatch.setattr(obstore_client, "_MOST_IN_ONE_PUT", 2**20)
    proxy.faults = Faults(seed=4, share=0.1, kinds=("503", "reset"))  # parts are made again

    def rows(first):
        return ({"blob": bytes([first + i]) * 1_000_000} for i in range(12))

    path = f"{bucket}/large.rec"
    dsrecords.make_dataset(rows(0), path, storage_options=options)
    assert any("partNumber=2" in each.path for each in proxy.requests)
    with pytest.raises(FileExistsError):
        dsrecords.make_dataset(rows(20), path, storage_options=options)
    for overwritten in (20, 40):
        dsrecords.make_dataset(rows(overwritten), path, overwrite=True, storage_options=options)
        ds = dsrecords.open(path, storage_options=options)
        assert list(ds) == list(rows(overwritten))


def test_a_service_that_only_fails(bucket, options, proxy):
    proxy.faults = Faults(seed=4, share=1.0, kinds=("503",))
    with pytest.raises(RemoteError, match="failed 8 times"):
        make(f"{bucket}/x.rec", options)


def test_what_there_is_not_elsewhere(bucket, options):
    for more in ({"index_path": "x.idx"}, {"resume": True}):
        with pytest.raises(ValueError, match="leave out index_path and resume"):
            make(f"{bucket}/x.rec", options, **more)
