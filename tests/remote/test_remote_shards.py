"""Many files of a bucket as one dataset."""

import pickle

import numpy as np
import pytest
from test_remote_reading import SCHEMA, row, same

import dsrecords
from dsrecords.errors import ShardError

pytestmark = pytest.mark.large
pytest_plugins = ["servers"]


@pytest.fixture
def shards(tmp_path, put):
    """A local dataset of 8 shards and 400 records, whose files are in the bucket as well."""
    path = str(tmp_path / "train.rec")
    dsrecords.make_dataset([row(i) for i in range(400)], path, SCHEMA, shards=8)
    for file in tmp_path.iterdir():
        put(f"folder/{file.name}", file.read_bytes())
    return dsrecords.open(str(tmp_path / "train-*.rec"))


WAYS = ["pattern", "folder", "manifest", "list"]


def open_as(way, bucket, options, **more):
    names = [f"{bucket}/folder/train-{i:05}-of-00008.rec" for i in range(8)]
    path = {
        "pattern": f"{bucket}/folder/train-*.rec",
        "folder": f"{bucket}/folder/",
        "manifest": f"{bucket}/folder/train.json",
        "list": names,
    }[way]
    return dsrecords.open(path, storage_options=options, **more)


@pytest.mark.parametrize("way", WAYS)
def test_files_of_a_bucket_are_one_dataset(shards, bucket, options, way):
    ds = open_as(way, bucket, options)
    assert len(ds) == 400
    order = np.random.default_rng(1).permutation(400)[:50]
    assert same(ds.batch(order), shards.batch(order))
    assert same(ds[321], shards[321])
    assert same(ds[order[0], "text"], shards[order[0], "text"])
    again = pickle.loads(pickle.dumps(ds[order]))
    assert all(map(same, again, shards[order]))


def test_a_path_that_a_dataset_has_named_is_reached_as_it_was(shards, bucket, options):
    ds = open_as("manifest", bucket, options)
    assert same(dsrecords.open(ds.files[2])[0], ds[100])
    both = dsrecords.open(ds.files[2:4])
    assert len(both) == 100 and same(both[99], ds[199])


@pytest.mark.parametrize("way", WAYS)
def test_refreshing_shards_that_stayed_fetches_none_of_them(shards, bucket, options, proxy, way):
    ds = open_as(way, bucket, options)
    labels = list(ds.column("label"))
    proxy.forget()
    ds.refresh()
    assert len(proxy.of(".rec")) == 8
    assert all(each.sent <= 1 for each in proxy.of(".rec"))
    assert proxy.of(".idx") == []
    proxy.forget()
    assert list(ds.column("label")) == labels
    assert proxy.requests == []


@pytest.mark.parametrize("way", WAYS)
def test_refreshing_shards_shows_one_that_was_replaced(shards, bucket, options, put, tmp_path, way):
    ds = open_as(way, bucket, options)
    assert same(ds[0], row(0))
    dsrecords.make_dataset([row(i + 7) for i in range(400)], tmp_path / "b.rec", SCHEMA, shards=8)
    for file in tmp_path.iterdir():
        if file.name.startswith("b"):
            put(f"folder/train{file.name[1:]}", file.read_bytes().replace(b'"b-', b'"train-'))
    ds.refresh()
    assert same(ds[0], row(7))
    assert same(ds[399], row(406))


def test_labels_of_shards_read_nothing_of_the_data(shards, bucket, options, proxy):
    ds = open_as("manifest", bucket, options)
    assert len([each for each in proxy.requests if each.method == "GET"]) <= 1
    len(ds.column("label"))
    proxy.forget()
    assert list(ds.column("label")) == list(shards.column("label"))
    ds.split([0.9, 0.1], stratify="label")
    assert proxy.of(".rec") == []


def test_a_file_that_is_missing(shards, bucket, options, past_the_proxy):
    past_the_proxy.delete("folder/train-00003-of-00008.rec")
    with pytest.raises(ShardError, match="1 of 8 files are missing"):
        open_as("pattern", bucket, options)
    ds = open_as("manifest", bucket, options)
    assert same(ds[399], shards[399])
    with pytest.raises(ShardError, match="is missing"):
        ds[150]


def test_patterns_of_names(put, bucket, options):
    from dsrecords._shards.names import resolved
    from dsrecords._storage.locations import located, make_access

    access = make_access(options, None, None)
    for name in ("a/x1.rec", "a/x2.rec", "a/b/x3.rec", "a/y.rec", "a/x1.idx"):
        put(name, b"-")

    def names(pattern):
        found = resolved(located(f"{bucket}/{pattern}", access)).files
        return [name[len(bucket) + 1 :] for name in found]

    assert names("a/x*.rec") == ["a/x1.rec", "a/x2.rec"]
    assert names("a/x?.rec") == ["a/x1.rec", "a/x2.rec"]
    assert names("a/x[2-9].rec") == ["a/x2.rec"]
    assert names("a/**/x*.rec") == ["a/b/x3.rec", "a/x1.rec", "a/x2.rec"]
    assert names("a/*") == ["a/x1.rec", "a/x2.rec", "a/y.rec"]
    with pytest.raises(FileNotFoundError, match="no file matches"):
        names("z*.rec")


def test_sampler_and_loader_over_a_bucket_resume(shards, bucket, options):
    ds = open_as("pattern", bucket, options)
    plan = {"batch_size": 32, "shuffle": True, "seed": 3, "fields": ["label", "text"]}
    local = [batch["label"].tolist() for batch in dsrecords.Loader(shards, **plan)]
    loader = dsrecords.Loader(ds, **plan)
    first = []
    for batch in loader:
        first.append(batch["label"].tolist())
        if len(first) == 5:
            state = loader.state_dict()
            break
    resumed = dsrecords.Loader(open_as("pattern", bucket, options), **plan)
    resumed.load_state_dict(state)
    rest = [batch["label"].tolist() for batch in resumed]
    assert first + rest == local
