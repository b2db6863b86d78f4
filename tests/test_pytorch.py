"""PyTorch's loader over a dataset. `make test-all` installs PyTorch, which is too large for `make setup`."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import flip, large
from test_documents import ROOT, blocks_of

import dsrecords

data = large("torch.utils.data")
torch = sys.modules["torch"]

pytestmark = pytest.mark.large
SCHEMA = {"x": "float32[2,3]", "label": "int64", "score": "float32", "flag": "bool", "text": "str"}
WORKERS = [(0, None), *((2, method) for method in multiprocessing.get_all_start_methods())]


def sample(i):
    return {
        "x": np.full((2, 3), i, np.float32),
        "label": i,
        "score": i / 2,
        "flag": i % 2 == 0,
        "text": f"text {i}",
    }


@pytest.fixture
def made(path):
    dsrecords.make_dataset((sample(i) for i in range(50)), path, SCHEMA)
    return path


def pair(sample):
    return torch.from_numpy(sample["x"]), sample["label"]


def labels(loader):
    return [label for batch in loader for label in batch["label"].tolist()]


def test_the_default_collate_function_stacks_numbers_and_arrays(made):
    batch = next(iter(data.DataLoader(dsrecords.open(made), batch_size=4)))
    assert batch["x"].shape == (4, 2, 3) and batch["x"].dtype == torch.float32
    assert batch["label"].tolist() == [0, 1, 2, 3] and batch["label"].dtype == torch.int64
    assert batch["score"].dtype == torch.float64  # as the page says: one number is Python's
    assert batch["flag"].dtype == torch.bool
    assert batch["text"] == ["text 0", "text 1", "text 2", "text 3"]


@pytest.mark.parametrize(("num_workers", "method"), WORKERS)
@pytest.mark.parametrize("persistent", [False, True])
def test_each_sample_is_there_once_in_each_epoch(made, num_workers, method, persistent):
    loader = data.DataLoader(
        dsrecords.open(made), batch_size=8, shuffle=True, num_workers=num_workers, multiprocessing_context=method,
        persistent_workers=persistent and num_workers > 0,
    )  # fmt: skip
    for _ in range(2):
        assert sorted(labels(loader)) == list(range(50))


@pytest.mark.parametrize(("num_workers", "method"), WORKERS)
def test_views_and_transforms_go_to_workers(made, num_workers, method):
    view = dsrecords.open(made, transform=pair)[torch.arange(49, 9, -1)]
    loader = data.DataLoader(
        view, batch_size=16, num_workers=num_workers, multiprocessing_context=method
    )
    seen = [label for x, batch in loader for label in batch.tolist() if x.shape[1:] == (2, 3)]
    assert seen == list(range(49, 9, -1))


def test_samplers_subsets_and_splits(made):
    ds = dsrecords.open(made)
    batches = data.BatchSampler(data.SequentialSampler(ds), 7, drop_last=True)
    assert labels(data.DataLoader(ds, batch_sampler=batches, num_workers=2)) == list(range(49))
    assert labels(data.DataLoader(data.Subset(ds, [3, 1]), batch_size=2)) == [3, 1]
    first, second = data.random_split(ds, [40, 10])
    assert sorted(labels(data.DataLoader(first)) + labels(data.DataLoader(second))) == list(
        range(50)
    )
    assert labels(data.DataLoader(data.ConcatDataset([ds[:2], ds[4:6]]))) == [0, 1, 4, 5]


@pytest.mark.parametrize(("num_workers", "method"), WORKERS)
def test_damaged_records_are_left_out_where_on_error_says_so(made, num_workers, method):
    flip(made, Path(made).read_bytes().index(b"text 17"))
    ds = dsrecords.open(made, on_error="skip")
    loader = data.DataLoader(
        ds, batch_size=8, num_workers=num_workers, multiprocessing_context=method
    )
    for epoch in (1, 2):
        assert labels(loader) == [i for i in range(50) if i != 17]
        assert [error.record for error in ds.skipped] == [17] * epoch


@pytest.mark.parametrize(("num_workers", "method"), WORKERS)
def test_the_error_of_a_worker_says_where(made, num_workers, method):
    offset = Path(made).read_bytes().index(b"text 17")
    flip(made, offset)
    loader = data.DataLoader(
        dsrecords.open(made), batch_size=8, num_workers=num_workers, multiprocessing_context=method
    )
    with pytest.raises(dsrecords.CorruptError, match="record 17, field 'text'") as caught:
        labels(loader)
    error = caught.value
    assert (error.file, error.record, error.field, error.offset) == (made, 17, "text", offset)


class OwnError(Exception):
    """An error that PyTorch cannot make anew of a text."""

    def __init__(self, *, code):
        super().__init__(code)


def refuse_five(sample):
    if sample["label"] == 5:
        raise OwnError(code=5)
    return sample


def divide(sample):
    return 1 / (sample["label"] - 5)


@pytest.mark.parametrize(
    ("transform", "kind"), [(refuse_five, RuntimeError), (divide, ZeroDivisionError)]
)
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_what_a_transform_raises_in_a_worker_says_of_which_record(made, method, transform, kind):
    ds = dsrecords.open(made, transform=transform)
    loader = data.DataLoader(ds, num_workers=1, multiprocessing_context=method)
    with pytest.raises(kind, match=r"data\.rec, record 5, in transform"):
        list(loader)


def test_what_is_read_becomes_tensors_without_a_warning(made):
    ds = dsrecords.open(made)
    assert torch.from_numpy(ds[1, "x"]).sum() == 6
    assert torch.from_numpy(ds.batch([1, 2], "score")).dtype == torch.float32


def test_tensors_are_written(path):
    ds = dsrecords.IndexedRecordDataset(path, schema=SCHEMA)
    ds.append(
        {
            **sample(3),
            "x": torch.full((2, 3), 3.0),
            "label": torch.tensor(3),
            "score": torch.tensor(1.5),
        }
    )
    assert ds[0, ["label", "score"]] == {"label": 3, "score": 1.5} and (ds[0, "x"] == 3).all()


def test_the_blocks_of_the_page_run(tmp_path):
    """With workers that are forked, and spawned."""
    page = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    blocks = [block for block in blocks_of(page) if block.comment.startswith("no-test: PyTorch")]
    assert blocks
    images = ({"image": np.full((8, 8, 3), i, np.uint8), "label": i} for i in range(64))
    dsrecords.make_dataset(images, tmp_path / "train.rec", {"image": "png", "label": "int64"})
    points = ({"x": np.full(3, i), "label": i} for i in range(1000))
    dsrecords.make_dataset(points, tmp_path / "points.rec", {"x": "float32[3]", "label": "int64"})
    for number, block in enumerate(blocks):
        script = tmp_path / f"block{number}.py"
        script.write_text("\n".join(block.lines), encoding="utf-8")
        subprocess.run(
            [sys.executable, "-W", "error", script], cwd=tmp_path, check=True, timeout=3000
        )


class Scaled(dsrecords.IndexedRecordDataset):
    """A subclass with attributes and an `__init__` of its own, which no worker is to call."""

    def __init__(self, path, scale):
        assert multiprocessing.parent_process() is None
        super().__init__(path, {"text": shout}, schema={**SCHEMA, "text": whisper}, transform=pair)
        self.scale = scale

    def __getitems__(self, indices):
        writes = self.serializers[-1] is whisper
        pairs = super().__getitems__(indices)
        texts = self.batch(indices, "text")
        return [
            (label * self.scale, text, writes)
            for (_, label), text in zip(pairs, texts, strict=True)
        ]


def whisper(text):
    return text.lower().encode()


def shout(data):
    return data.decode().upper()


@pytest.mark.parametrize(("num_workers", "method"), WORKERS)
def test_workers_have_the_subclass_its_attributes_and_functions(path, num_workers, method):
    with dsrecords.IndexedRecordDataset(path, schema={**SCHEMA, "text": whisper}) as made:
        made.extend(sample(i) for i in range(50))
    ds = Scaled(path, scale=10)
    for shown, numbers in ((ds, range(50)), (ds[10:][::-1], range(49, 9, -1))):
        loader = data.DataLoader(
            shown, batch_size=8, num_workers=num_workers, multiprocessing_context=method, collate_fn=list
        )  # fmt: skip
        found = [one for batch in loader for one in batch]
        assert found == [(10 * i, f"TEXT {i}", True) for i in numbers]
