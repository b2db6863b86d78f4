"""`dsrecords.grain.DataSource` in Grain's loaders: what is read, and which checkpoints are accepted."""

import pickle
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from conftest import flip, large

import dsrecords

grain = large("grain")
flags = large("absl.flags")

pytestmark = pytest.mark.large


@pytest.fixture(autouse=True)
def _flags_are_parsed():
    """Grain's worker processes ask for flags, which a program that `absl.app.run` starts has parsed."""
    flags.FLAGS.mark_as_parsed()


@pytest.fixture
def ds(path):
    samples = [{"x": np.full(3, i, np.float32), "label": i, "text": f"text {i}"} for i in range(40)]
    dsrecords.make_dataset(samples, path, {"x": "float32[3]", "label": "int64", "text": "str"})
    return dsrecords.open(path)


def loader(dataset, num_workers=0):
    """The batches of an epoch, shuffled by Grain."""
    source = dsrecords.grain.DataSource(dataset)
    sampler = grain.samplers.IndexSampler(
        len(source),
        shard_options=grain.sharding.NoSharding(),
        shuffle=True,
        num_epochs=1,
        seed=3,
    )
    batches = [grain.transforms.Batch(8)]
    return grain.DataLoader(
        data_source=source, sampler=sampler, operations=batches, worker_count=num_workers
    )


def labels(batches):
    return [batch["label"].tolist() for batch in batches]


def test_it_is_a_source_of_grain(ds):
    source = dsrecords.grain.DataSource(ds)
    assert isinstance(source, grain.sources.RandomAccessDataSource)
    assert len(source) == 40 and source[7]["text"] == "text 7" and source[np.int64(7)]["label"] == 7
    copied = pickle.loads(pickle.dumps(source))
    assert copied[39]["label"] == 39 and repr(copied) == repr(source)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_checkpoint_goes_on_within_an_epoch(ds, num_workers):
    batches = iter(loader(ds, num_workers))
    seen = [next(batches)["label"].tolist() for _ in range(2)]
    state = batches.get_state()
    rest = labels(batches)
    assert sorted(chain.from_iterable(seen + rest)) == list(range(40))
    resumed = iter(loader(dsrecords.open(ds.path), num_workers))
    resumed.set_state(state)
    assert labels(resumed) == rest


def test_a_checkpoint_of_another_view_is_refused(ds):
    batches = iter(loader(ds))
    next(batches)
    state = batches.get_state()
    for other in (ds[::-1], ds.shuffle(1), ds[[*range(39), 38]]):
        with pytest.raises(ValueError, match=r"DataSource in checkpoint does not match"):
            iter(loader(other)).set_state(state)
    iter(loader(ds[:])).set_state(state)  # shows the same


def test_the_identity_is_that_of_the_records_wherever_they_are(ds, tmp_path):
    first = repr(dsrecords.grain.DataSource(ds))
    moved = tmp_path / "moved.rec"
    Path(ds.path).rename(moved)
    Path(ds.index_path).rename(tmp_path / "moved.idx")
    assert repr(dsrecords.grain.DataSource(dsrecords.open(moved))) == first


def test_identities_of_windows_mixtures_and_zips(ds):
    sources = [
        ds,
        ds.windows("x", 4),
        ds.windows("x", 4)[::-1],
        ds.windows("x", 4, stride=2)[:30],
        ds.windows("x", 5),
        ds[::-1].windows("x", 4),
        dsrecords.mix([ds, ds[::-1]]),
        dsrecords.mix([ds, ds[::-1]], seed=1),
        dsrecords.zip([ds]),
    ]
    known = [repr(dsrecords.grain.DataSource(source)) for source in sources]
    assert len(set(known)) == len(known)
    for source, name in zip(sources, known, strict=True):
        assert repr(dsrecords.grain.DataSource(pickle.loads(pickle.dumps(source)))) == name


def test_many_samples_are_read_together(ds, monkeypatch):
    asked = []
    method = dsrecords.IndexedRecordDataset.__getitems__
    monkeypatch.setattr(
        dsrecords.IndexedRecordDataset,
        "__getitems__",
        lambda ds, indices: asked.append(list(indices)) or method(ds, indices),
    )
    samples = grain.MapDataset.source(dsrecords.grain.DataSource(ds))
    found = samples.slice(slice(2, 30))._getitems([1, 0, 5])
    assert [one["label"] for one in found] == [3, 2, 7]
    assert asked == [[3, 2, 7]]


@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_of_indices_give_the_same_as_samples(ds, shuffled):
    indices = grain.MapDataset.range(len(ds))
    samples = grain.MapDataset.source(dsrecords.grain.DataSource(ds))
    if shuffled:
        indices, samples = indices.shuffle(seed=2), samples.shuffle(seed=2)
    by_columns = list(indices.batch(8).map(ds.batch).to_iter_dataset())
    one_by_one = list(samples.batch(8).to_iter_dataset())
    assert labels(by_columns) == labels(one_by_one)
    assert by_columns[0]["x"].dtype == np.float32
    assert sorted(chain.from_iterable(labels(by_columns))) == list(range(40))


def test_batches_of_indices_go_on_in_worker_processes(ds):
    batches = grain.MapDataset.range(len(ds)).shuffle(seed=2).batch(8).map(ds.batch)
    options = grain.multiprocessing.MultiprocessingOptions(num_workers=2)
    dataset = batches.to_iter_dataset().mp_prefetch(options)
    running = iter(dataset)
    first = [next(running)["label"].tolist() for _ in range(2)]
    state = running.get_state()
    rest = labels(running)
    assert sorted(chain.from_iterable(first + rest)) == list(range(40))
    resumed = iter(dataset)
    resumed.set_state(state)
    assert labels(resumed) == rest


def test_a_record_that_is_left_out_is_none(ds):
    flip(ds.path, Path(ds.path).read_bytes().index(b"text 17"))
    with pytest.raises(dsrecords.CorruptError, match="record 17"):
        dsrecords.grain.DataSource(ds)[17]
    skipping = dsrecords.open(ds.path, on_error="skip")
    for dataset in (skipping, dsrecords.mix([skipping], seed=None)):
        source = dsrecords.grain.DataSource(dataset)
        assert source[17] is None and source[18]["label"] == 18
        found = grain.MapDataset.source(source)._getitems([16, 17, 18])
        assert [one and one["label"] for one in found] == [16, None, 18]
        # Grain itself leaves out what is not there.
        there = [one["label"] for one in grain.MapDataset.source(source).to_iter_dataset()]
        assert there == [i for i in range(40) if i != 17]
    assert {error.record for error in skipping.skipped} == {17}


def test_what_is_no_dataset_is_refused():
    with pytest.raises(TypeError, match=r"dsrecords\.open returns is expected, not list"):
        dsrecords.grain.DataSource([1, 2])
