"""`dsrecords.torch.Dataset` in the loaders of PyTorch and torchdata, with workers of each start method."""

import multiprocessing
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import flip, large

import dsrecords

data = large("torch.utils.data")
torch = sys.modules["torch"]

pytestmark = pytest.mark.large
FORKED = [(0, None), (2, "fork")]
SCHEMA = {"x": "float32[2,3]", "label": "int64", "score": "float32", "text": "str"}
WORKERS = [(0, None), *((2, method) for method in multiprocessing.get_all_start_methods())]


def sample(i):
    return {"x": np.full((2, 3), i, np.float32), "label": i, "score": i / 2, "text": f"text {i}"}


@pytest.fixture
def made(path):
    dsrecords.make_dataset((sample(i) for i in range(50)), path, SCHEMA)
    return path


@pytest.fixture
def dataset(made):
    return dsrecords.torch.Dataset(dsrecords.open(made))


def loader(dataset, batch_size=8, kind=data.DataLoader, **options):
    return kind(dataset, batch_size, collate_fn=dsrecords.torch.collate, **options)


def labels(batches):
    return [label for batch in batches for label in batch["label"].tolist()]


def test_it_is_a_dataset_of_pytorch_and_no_sequence(dataset):
    assert isinstance(dataset, data.Dataset)
    assert not hasattr(dataset, "count")  # else Lightning would walk through it
    assert len(dataset) == 50 and dataset[-1]["label"] == 49
    assert dataset[7, "text"] == "text 7"
    view = dataset[10:20]
    assert isinstance(view, dsrecords.torch.Dataset) and labels(loader(view)) == list(range(10, 20))
    assert "IndexedRecordDataset" in repr(dataset)


@pytest.mark.parametrize(("num_workers", "method"), WORKERS)
def test_workers_of_each_start_method_read_columns_in_each_epoch(dataset, num_workers, method):
    batches = loader(
        dataset,
        shuffle=True,
        num_workers=num_workers,
        multiprocessing_context=method,
        persistent_workers=num_workers > 0,
    )
    for _ in range(2):
        seen = []
        for batch in batches:
            numbers = batch["label"]
            seen += numbers.tolist()
            assert batch["score"].dtype == torch.float32  # the stored one: by columns
            assert (batch["x"] == numbers[:, None, None]).all()
            assert batch["text"] == [f"text {i}" for i in numbers.tolist()]
        assert sorted(seen) == list(range(50))


@pytest.mark.parametrize(("num_workers", "method"), FORKED)
def test_the_default_function_gets_the_samples(dataset, num_workers, method):
    plain = data.DataLoader(dataset.dataset, 8)
    batches = data.DataLoader(dataset, 8, num_workers=num_workers, multiprocessing_context=method)
    for one, other in zip(plain, batches, strict=True):
        assert one["text"] == other["text"] and one["score"].dtype == other["score"].dtype
        assert (one["x"] == other["x"]).all() and (one["score"] == other["score"]).all()


def as_they_are(rows):
    return rows


@pytest.mark.parametrize(("num_workers", "method"), FORKED)
def test_a_function_that_returns_what_it_gets_gives_samples(dataset, num_workers, method):
    batches = data.DataLoader(
        dataset,
        20,
        num_workers=num_workers,
        multiprocessing_context=method,
        collate_fn=as_they_are,
    )
    assert [one["label"] for batch in batches for one in batch] == list(range(50))


@pytest.mark.parametrize(("num_workers", "method"), WORKERS)
def test_damaged_records_are_left_out_of_columns(made, num_workers, method):
    flip(made, Path(made).read_bytes().index(b"text 17"))
    ds = dsrecords.open(made, on_error="skip")
    batches = loader(
        dsrecords.torch.Dataset(ds), num_workers=num_workers, multiprocessing_context=method
    )
    assert labels(batches) == [i for i in range(50) if i != 17]
    assert [error.record for error in ds.skipped] == [17]


def test_a_batch_of_which_nothing_is_left_is_empty(made):
    flip(made, Path(made).read_bytes().index(b"text 17"))
    ds = dsrecords.open(made, on_error="skip")
    (batch,) = loader(dsrecords.torch.Dataset(ds[17:18]))
    assert batch["label"].shape == (0,) and batch["x"].shape == (0, 2, 3) and batch["text"] == []


@pytest.mark.parametrize(("num_workers", "method"), FORKED)
def test_the_error_of_a_worker_says_where(made, num_workers, method):
    flip(made, Path(made).read_bytes().index(b"text 17"))
    batches = loader(
        dsrecords.torch.Dataset(dsrecords.open(made)),
        num_workers=num_workers,
        multiprocessing_context=method,
    )
    with pytest.raises(dsrecords.CorruptError, match="record 17, field 'text'") as caught:
        labels(batches)
    assert (caught.value.record, caught.value.field) == (17, "text")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_rank_has_its_part(dataset, num_workers):
    seen = []
    for rank in range(2):
        sampler = data.DistributedSampler(dataset, num_replicas=2, rank=rank, seed=3)
        batches = loader(dataset, sampler=sampler, num_workers=num_workers)
        sampler.set_epoch(1)
        part = labels(batches)
        assert len(part) == 25
        seen += part
    assert sorted(seen) == list(range(50))


def test_subsets_splits_and_datasets_behind_each_other(dataset):
    assert labels(loader(data.Subset(dataset, [3, 1]))) == [3, 1]
    parts = data.random_split(dataset, [40, 10])
    assert sorted(labels(loader(parts[0])) + labels(loader(parts[1]))) == list(range(50))
    assert labels(loader(data.ConcatDataset([dataset[:2], dataset[4:6]]))) == [0, 1, 4, 5]
    assert labels(loader(dataset[:2] + dataset[4:6])) == [0, 1, 4, 5]
    stacked = data.StackDataset(first=dataset[:3], second=dataset[3:6])
    batch = next(iter(loader(stacked)))
    assert batch["first"]["label"].tolist() == [0, 1, 2]
    assert batch["second"]["text"] == ["text 3", "text 4", "text 5"]


def test_indices_of_tensors_and_arrays(dataset):
    for indices in (torch.tensor([4, 2]), list(torch.tensor([4, 2])), np.array([4, 2])):
        rows = dataset.__getitems__(indices)
        assert dsrecords.torch.collate(rows)["label"].tolist() == [4, 2]
        assert [one["label"] for one in rows] == [4, 2]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_sampler_of_batches_goes_on_where_it_ended(dataset, num_workers):
    sampler = dsrecords.Sampler(dataset.dataset, batch_size=8, seed=1)
    batches = data.DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=dsrecords.torch.collate,
    )
    whole = [batch["label"].tolist() for batch in batches]
    state = sampler.state_dict(step=3)
    resumed = dsrecords.Sampler(dataset, batch_size=8)  # knows the same records
    resumed.load_state_dict(state)
    rest = data.DataLoader(dataset, batch_sampler=resumed, collate_fn=dsrecords.torch.collate)
    assert [batch["label"].tolist() for batch in rest] == whole[3:]
    # Without PyTorch's batches, each index of the sampler is a list.
    again = dsrecords.Sampler(dataset, batch_size=8, seed=1)
    lists = data.DataLoader(
        dataset, batch_size=None, sampler=again, collate_fn=dsrecords.torch.collate
    )
    assert [batch["label"].tolist() for batch in lists] == whole


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # by torchdata's own import
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_stateful_loader_goes_on_within_an_epoch(dataset, num_workers, shuffle):
    kind = large("torchdata.stateful_dataloader").StatefulDataLoader
    options = {"kind": kind, "num_workers": num_workers, "shuffle": shuffle}
    torch.manual_seed(5)
    first = loader(dataset, **options)
    seen, state = [], None
    for step, batch in enumerate(first, 1):
        seen += batch["label"].tolist()
        if step == 3:
            state = pickle.loads(pickle.dumps(first.state_dict()))
    assert sorted(seen) == list(range(50)) and (seen == sorted(seen)) is not shuffle
    torch.manual_seed(6)
    second = loader(dataset, **options)
    second.load_state_dict(state)
    assert labels(second) == seen[24:]


def test_it_pickles_small(dataset):
    data = pickle.dumps(dataset[::-1])
    assert len(data) < 2000
    assert pickle.loads(data)[0]["label"] == 49
