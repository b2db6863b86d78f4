"""Datasets of the Hugging Face Hub, read by its own package from a server that answers as it does."""

import numpy as np
import pytest
from conftest import large
from hub import REPOSITORY, Hub
from test_remote_reading import SCHEMA, row, same

import dsrecords
from dsrecords.errors import RemoteError

pytestmark = pytest.mark.large


@pytest.fixture
def hub():
    large("huggingface_hub")
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def options(hub):
    return {"endpoint": hub.url, "token": False}


def published(hub, folder):
    for file in folder.iterdir():
        hub.files[file.name] = file.read_bytes()
    return f"hf://datasets/{REPOSITORY}"


def test_a_file_of_the_hub_is_read_by_ranges(hub, options, path, tmp_path):
    rows = [{"blob": bytes([i]) * 100_000, "label": i % 7} for i in range(40)]
    dsrecords.make_dataset(rows, path, {"blob": "bytes", "label": "int64"})
    ds = dsrecords.open(published(hub, tmp_path) + "/data.rec", storage_options=options)
    hub.requests.clear()
    assert list(ds.column("label")) == [i % 7 for i in range(40)]
    assert hub.requests == []
    assert ds.batch([31, 7, 13], "blob") == [rows[i]["blob"] for i in (31, 7, 13)]
    assert [sent for path, sent in hub.requests] == pytest.approx([100_000] * 3, abs=10)
    with pytest.raises(FileNotFoundError):
        dsrecords.open(f"hf://datasets/{REPOSITORY}/none.rec", storage_options=options)


def test_many_files_of_the_hub(hub, options, tmp_path):
    path = str(tmp_path / "train.rec")
    dsrecords.make_dataset(list(map(row, range(200))), path, SCHEMA, shards=4)
    local = dsrecords.open(str(tmp_path / "train-*.rec"))
    folder = published(hub, tmp_path)
    for name in ("train-*.rec", "train.json", ""):
        ds = dsrecords.open(f"{folder}/{name}", storage_options=options)
        order = np.random.default_rng(1).permutation(200)[:50]
        assert same(ds.batch(order), local.batch(order))
    loader = dsrecords.Loader(ds, 32, shuffle=True, seed=1)
    wanted = dsrecords.Loader(local, 32, shuffle=True, seed=1)
    assert all(map(same, loader, wanted))


def test_one_listing_serves_all_files_that_are_opened(hub, options, tmp_path):
    path = str(tmp_path / "train.rec")
    dsrecords.make_dataset(list(map(row, range(200))), path, SCHEMA, shards=8)
    folder = published(hub, tmp_path)
    hub.requests.clear()
    ds = dsrecords.open(f"{folder}/train.json", storage_options=options)
    assert sorted(set(ds.column("label"))) == list(range(7))
    listings = [path for path, sent in hub.requests if "/tree/" in path]
    assert len(listings) < 8  # of 17 files, as long as they are opened within some seconds each


def test_a_repository_that_is_not_there(hub, options):
    with pytest.raises((FileNotFoundError, RemoteError)):
        dsrecords.open("hf://datasets/nobody/nothing/data.rec", storage_options=options)
