"""Batches of PyTorch's tensors and of JAX's arrays: the values of NumPy's, the same memory, and never an invented number."""

import warnings

import ml_dtypes
import numpy as np
import pytest
from conftest import large
from loaders import make_everything, make_numbers, rows_of, wait_for_threads

import dsrecords
from dsrecords import Loader, Pad, SchemaError

torch = large("torch")
jax = large("jax")

pytestmark = pytest.mark.large
FORMATS = ("torch", "jax")
FILLS = {"maybe": -1.0, "flag": False, "later": np.datetime64(0, "ms"), "absent": [0, 0]}


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return make_everything(str(tmp_path_factory.mktemp("loader") / "everything.rec"))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return make_numbers(str(tmp_path_factory.mktemp("loader") / "numbers.rec"), 640, ["x"])


@pytest.fixture
def wide():
    """JAX with numbers of 64 bits."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def is_foreign(value):
    return isinstance(value, (torch.Tensor, jax.Array))


def as_numpy(value):
    if isinstance(value, torch.Tensor) and value.dtype is torch.bfloat16:
        return value.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return np.asarray(value)


def check(got, wanted):
    for one, other in zip(rows_of(got), rows_of(wanted), strict=True):
        if is_foreign(one):
            np.testing.assert_array_equal(as_numpy(one), other)
        else:
            assert np.array_equal(one, other)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("options", [{}, {"transform": dict}, {"num_threads": 0}], ids=str)
def test_values_are_those_of_numpy(everything, name, options):
    plain = Loader(everything, 7, shuffle=True, fill_null=FILLS, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = list(Loader(everything, 7, shuffle=True, fill_null=FILLS, format=name, **options))
    for got, wanted in zip(batches, plain, strict=True):
        assert list(got) == list(wanted)
        for key, column in wanted.items():
            is_array = isinstance(column, np.ndarray) and column.dtype.kind not in "mM"
            assert is_foreign(got[key]) == is_array, key
            check(got[key], column)


def test_dtypes_of_tensors(everything):
    batch = next(iter(Loader(everything, 7, format="torch", fill_null=FILLS)))
    assert batch["number"].dtype is torch.int64
    assert batch["half"].dtype is torch.bfloat16
    assert batch["small"].dtype is torch.uint16
    assert batch["kind"].dtype is torch.int64  # a category: losses take no uint16
    assert batch["flag"].dtype is torch.bool
    assert batch["maybe"].dtype is torch.float64
    assert batch["complex"].dtype is torch.complex64
    assert batch["fixed"].shape == (7, 3, 4)
    assert batch["picture"].dtype is torch.uint8
    assert isinstance(batch["tokens"][1], torch.Tensor)
    assert isinstance(batch["text"], list) and isinstance(batch["text"][0], str)
    assert batch["when"].dtype == "datetime64[s]"
    assert batch["document"][2] == {"a": [2, None]}


def test_categories_are_numbers_that_losses_take(tmp_path):
    samples = [(["cat", "dog"][i % 2], i, None if i == 2 else "cat") for i in range(4)]
    schema = ["category[cat,dog]", "uint16", "category[dog,cat]?"]
    path, _ = dsrecords.make_dataset(samples, tmp_path / "kinds.rec", schema)
    ds = dsrecords.open(path)
    ((kind, number, other),) = Loader(ds, 4, format="torch", fill_null=0)
    assert kind.dtype is torch.int64 and kind.tolist() == [0, 1, 0, 1]
    assert number.dtype is torch.uint16
    assert other.dtype is torch.int64 and other.tolist() == [1, 1, 0, 1]
    assert torch.nn.functional.cross_entropy(torch.zeros(4, 2), kind) > 0
    ((number, kind),) = Loader(dsrecords.concat([ds, ds]), 8, fields=[1, 0], format="torch")
    assert number.dtype is torch.uint16
    assert kind.dtype is torch.int64 and kind.tolist() == [0, 1, 0, 1] * 2
    ((kind, *_),) = Loader(ds, 4, format="torch", transform=lambda sample: sample[:2])
    assert kind == ["cat", "dog", "cat", "dog"]


@pytest.mark.parametrize("name", FORMATS)
def test_none_is_an_error_that_names_the_field_and_never_a_number(everything, name):
    for key in ("maybe", "flag"):
        with pytest.raises(
            SchemaError, match=f"field '{key}'.*is None.*fill_null={{'{key}': value}}"
        ):
            list(
                Loader(
                    everything, 7, fields=["number", key] if name == "torch" else [key], format=name
                )
            )
    for key in ("absent", "blob"):
        (batch, *_) = Loader(everything, 6, fields=[key], format=name)
        assert any(value is None for value in batch[key])
    masked = [np.ma.masked_array([1, 2], [False, True])] * 4
    with pytest.raises(SchemaError, match="is None"):
        list(Loader(masked, 4, format=name))
    whole = [np.ma.masked_array([1, 2], [False, False])] * 4
    (batch,) = Loader(whole, 4, format=name)
    assert [np.asarray(each).tolist() for each in batch] == [[1, 2]] * 4


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("num_threads", [0, 2])
def test_batches_that_are_held_never_change(numbers, name, num_threads):
    """Tensors share the memory of the loader's arrays, which is used again when they are gone."""
    loader = Loader(numbers, 64, shuffle=True, format=name, num_threads=num_threads, prefetch=0)
    kept = [(batch["x"][1:3, 5], batch["label"]) for batch in loader]
    for _ in range(2):
        for batch in loader:
            del batch
    loader.set_epoch(0)
    for step, (rows, label) in enumerate(kept):
        indices = loader.indices(step).tolist()
        assert np.asarray(rows).tolist() == indices[1:3]
        assert np.asarray(label).tolist() == indices


def test_tensors_share_memory_and_can_be_written_to(numbers):
    arrays = []
    loader = Loader(numbers, 64, format="torch", num_threads=0)
    original = loader._format.converted
    loader._format.converted = lambda columns: (arrays.append(columns["x"]), original(columns))[1]
    batch = next(iter(loader))
    assert batch["x"].data_ptr() == arrays[0].__array_interface__["data"][0]
    batch["x"] += 1
    assert batch["x"][3, 3] == 4


def test_memory_of_tensors_is_used_again(numbers):
    loader = Loader(numbers, 64, format="torch", num_threads=2)
    list(loader)
    sizes = []
    allocate = loader._buffers._allocate
    loader._buffers._allocate = lambda size: sizes.append(size) or allocate(size)
    for _ in range(5):
        for batch in loader:
            del batch
    assert len(sizes) <= 12


@pytest.mark.parametrize("name", FORMATS)
def test_pads_indices_pairs_and_single_samples(everything, name):
    pads = {"tokens": Pad(-1), "boxes": Pad(0, multiple_of=4)}
    names = ["tokens", "boxes", "small"]
    loader = Loader(everything, 7, fields=names, pad=pads, with_index=True, format=name)
    plain = Loader(everything, 7, fields=names, pad=pads, with_index=True)
    for got, wanted in zip(loader, plain, strict=True):
        assert list(got) == [*names, "tokens_length", "boxes_length", "index"]
        for key in wanted:
            assert is_foreign(got[key])
            check(got[key], wanted[key])
    pairs = Loader([(np.ones(2, np.float32), i) for i in range(5)], 2, format=name)
    x, y = next(iter(pairs))
    assert x.shape == (2, 2) and np.asarray(y).tolist() == [0, 1]
    for index, one in enumerate(Loader(everything, fields=["small", "text"], format=name)):
        assert int(one["small"]) == index
        assert one["text"] == f"text {index}"


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_that_other_packages_do_not_take_as_they_are(name):
    base = np.arange(12, dtype=np.int32).reshape(3, 4)
    frozen = base.copy()
    frozen.flags.writeable = False
    odd = {
        "backwards": base[::-1, ::-1], "frozen": frozen, "big": base.astype(">i4"), "scalar": np.int16(5), "column": base[:, 1],
        "flipped": np.asfortranarray(base), "empty": base[:0], "view": np.broadcast_to(np.int32(7), (2, 2)),
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (batch,) = Loader([odd] * 3, 3, format=name)
        (ragged,) = Loader([odd, {key: value[None] for key, value in odd.items()}], 2, format=name)
        (transformed,) = Loader([odd] * 3, 3, format=name, batch_transform=lambda b: b)
    for key, value in odd.items():
        for got in (batch, transformed):
            np.testing.assert_array_equal(np.asarray(got[key]), np.stack([value] * 3))
            assert is_foreign(got[key]), key
        np.testing.assert_array_equal(np.asarray(ragged[key][0]), value)


def test_what_pytorch_has_no_dtype_for_stays_numpys():
    samples = [
        {
            "long": np.longdouble(1.5) * np.ones(2, np.longdouble),
            "name": np.array(["a"]),
            "when": np.array([1], "m8[s]"),
        }
    ] * 2
    (batch,) = Loader(samples, 2, format="torch")
    for key, column in batch.items():
        assert type(column) is np.ndarray, key


def test_numbers_of_64_bits_without_loss_or_an_error_in_jax(path):
    rows = [
        {"small": i, "large": 2**40 + i, "unsigned": 2**32 - 1 - i, "real": 0.1 * i}
        for i in range(4)
    ]
    dsrecords.make_dataset(
        rows, path, {"small": "int64", "large": "int64", "unsigned": "uint64", "real": "float64"}
    )
    dataset = dsrecords.open(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (batch,) = Loader(dataset, 4, fields=["small", "unsigned", "real"], format="jax")
    assert batch["small"].dtype == np.int32 and batch["small"].tolist() == [0, 1, 2, 3]
    assert batch["unsigned"].dtype == np.uint32 and batch["unsigned"].tolist()[0] == 2**32 - 1
    assert batch["real"].dtype == np.float32
    with pytest.raises(SchemaError, match=r"field 'large'.*int32.*jax_enable_x64"):
        list(Loader(dataset, 4, format="jax"))
    with pytest.raises(SchemaError, match="field 'large'"):
        list(
            Loader(
                [{"large": np.array([-(2**31) - 1])}, {"large": np.array([1, 2])}], 2, format="jax"
            )
        )


@pytest.mark.usefixtures("wide")
def test_numbers_of_64_bits_where_jax_is_told_to_have_them(path):
    dsrecords.make_dataset(
        [{"large": 2**40 + i, "real": 0.1} for i in range(4)],
        path,
        {"large": "int64", "real": "float64"},
    )
    (batch,) = Loader(dsrecords.open(path), 4, format="jax")
    assert batch["large"].dtype == np.int64 and batch["large"].tolist() == [
        2**40 + i for i in range(4)
    ]
    assert batch["real"].tolist() == [0.1] * 4


def test_jax_arrays_are_on_the_device_that_is_asked_for(numbers):
    device = jax.devices()[0]
    batch = next(iter(Loader(numbers, 64, format="jax", device=device)))
    assert batch["x"].devices() == {device}
    assert batch["x"].dtype == np.float32


def test_tensors_are_on_the_device_that_is_asked_for(numbers):
    batch = next(iter(Loader(numbers, 64, format="torch", device="cpu")))
    assert batch["x"].device.type == "cpu"
    meta = next(iter(Loader(numbers, 64, format="torch", device="meta")))
    assert meta["x"].device.type == "meta" and meta["x"].shape == (64, 64)
    with pytest.raises(RuntimeError):
        Loader(numbers, 64, format="torch", device="toaster")


def test_functions_of_the_user_see_the_format(numbers):
    def transform(sample, rng):
        assert type(sample["x"]) is np.ndarray
        return {
            "x": torch.from_numpy(sample["x"]) * 2,
            "half": torch.tensor(1.5),
            "label": sample["label"],
        }

    def whole(batch, rng):
        assert isinstance(batch["x"], torch.Tensor)
        return batch["x"].sum(), batch["label"]

    total, labels = next(
        iter(
            Loader(
                numbers,
                64,
                transform=transform,
                batch_transform=whole,
                format="torch",
                num_threads=2,
            )
        )
    )
    assert total == 2 * 64 * sum(range(64))
    assert labels.tolist() == list(range(64))
    (batch, *_) = Loader(numbers, 64, transform=transform)
    assert type(batch["x"]) is np.ndarray and batch["half"].dtype == np.float32


def test_named_tuples_stay_what_they_are_on_a_device(everything):
    windows = everything.windows("tokens", 5, boundaries=True)
    batch = next(iter(Loader(windows, 4, format="torch", device="cpu")))
    assert type(batch).__name__ == "Window"
    assert isinstance(batch.values, torch.Tensor)


def test_samplers_of_pytorch(numbers):
    data = torch.utils.data
    generator = torch.Generator().manual_seed(1)
    sampler = data.BatchSampler(
        data.RandomSampler(range(640), generator=generator), 100, drop_last=True
    )
    loader = Loader(numbers, sampler=sampler, num_threads=2)
    assert len(loader) == 6
    epochs = [np.concatenate([batch["label"] for batch in loader]) for _ in range(2)]
    assert len(set(epochs[0].tolist())) == 600
    assert epochs[0].tolist() != epochs[1].tolist()
    distributed = data.DistributedSampler(range(640), num_replicas=2, rank=1, seed=3)
    loader = Loader(numbers, sampler=data.BatchSampler(distributed, 64, drop_last=False))
    first = np.concatenate([batch["label"] for batch in loader]).tolist()
    loader.set_epoch(5)
    assert distributed.epoch == 5
    assert np.concatenate([batch["label"] for batch in loader]).tolist() != first
    weighted = data.WeightedRandomSampler([1.0, 1.0] + [0.0] * 638, 50, generator=generator)
    loader = Loader(
        numbers,
        sampler=data.BatchSampler(weighted, 50, False),
        transform=lambda s, rng: rng.random(),
    )
    (drawn,) = loader
    assert len(set(drawn.tolist())) == 50
    with pytest.raises(TypeError, match="BatchSampler"):
        list(Loader(numbers, sampler=distributed))
    wait_for_threads()
