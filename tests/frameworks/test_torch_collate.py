"""What `dsrecords.torch.collate` makes of a batch, beside what PyTorch's own function makes of samples."""

import math
import pickle
import sys

import numpy as np
import pytest
from conftest import large
from PIL import Image

import dsrecords
from dsrecords import SchemaError, io

data = large("torch.utils.data")
torch = sys.modules["torch"]

pytestmark = pytest.mark.large

DTYPES = {
    "bool": torch.bool,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "uint32": torch.uint32,
    "uint64": torch.uint64,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "complex64": torch.complex64,
    "bfloat16": torch.bfloat16,
}


def collate(ds, indices=None):
    """The batch of some samples, by default of all, as a loader makes it."""
    indices = range(len(ds)) if indices is None else indices
    return dsrecords.torch.collate(dsrecords.torch.Dataset(ds).__getitems__(indices))


@pytest.fixture
def make(path):
    """Make and open a dataset of some values of one field, `f`."""

    def make(kind, values, **options):
        samples = [{"f": value} for value in values]
        dsrecords.make_dataset(samples, path, {"f": kind}, overwrite=True)
        return dsrecords.open(path, **options)

    return make


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_and_arrays_keep_the_dtype_that_is_stored(make, dtype):
    values = [False, True, True, False, True] if dtype == "bool" else [0, 1, 1, 0, 1]
    numbers = collate(make(dtype, values))["f"]
    assert numbers.dtype == DTYPES[dtype] and numbers.shape == (5,)
    assert [complex(value) for value in numbers.tolist()] == values
    kind = np.float32 if dtype == "bfloat16" else dtype
    for shape in ("2,3", "*,3"):
        arrays = [np.full((2, 3), value, kind) for value in values]
        stacked = collate(make(f"{dtype}[{shape}]", arrays), [4, 0])["f"]
        assert stacked.dtype == DTYPES[dtype] and stacked.shape == (2, 2, 3)
        assert [complex(row[1, 2].item()) for row in stacked] == [1, 0]


def test_arrays_of_each_dtype_come_out_of_workers(path):
    schema = {dtype: f"{dtype}[*]" for dtype in DTYPES}
    schema |= {f"fixed {dtype}": f"{dtype}[2]" for dtype in DTYPES}
    samples = []
    for i in range(6):
        sample = {}
        for name in schema:
            dtype = name.removeprefix("fixed ")
            sample[name] = np.array([i % 2, 1], "f4" if dtype == "bfloat16" else dtype)
        samples.append(sample)
    dsrecords.make_dataset(samples, path, schema)
    dataset = dsrecords.torch.Dataset(dsrecords.open(path))
    for batch in data.DataLoader(dataset, 3, num_workers=1, collate_fn=dsrecords.torch.collate):
        for name, tensor in batch.items():
            assert tensor.dtype == DTYPES[name.removeprefix("fixed ")], name
            assert tensor.shape == (3, 2) and tensor[:, 1].to(torch.complex64).sum() == 3


def test_bits_of_bfloat16_and_of_nan_stay(make):
    stored = np.array([0x7FC1, 0xFF80, 0x3F81, 0x8000], np.uint16)
    ds = make("bfloat16[4]", [stored.view(np.dtype("bfloat16"))] * 2)
    tensor = collate(ds)["f"]
    assert tensor.dtype == torch.bfloat16
    assert (tensor.view(torch.uint16).numpy() == stored).all()


def test_arrays_of_one_shape_are_not_copied_again(path):
    dsrecords.make_dataset({"x": np.arange(12.0).reshape(4, 3)}, path)
    rows = dsrecords.torch.Dataset(dsrecords.open(path)).__getitems__([3, 1])
    tensor = dsrecords.torch.collate(rows)["x"]
    assert tensor.data_ptr() == rows.columns["x"].ctypes.data
    tensor += 1  # it is the caller's
    assert dsrecords.open(path)[3, "x"].tolist() == [9, 10, 11]


def test_a_batch_with_copy_false_can_be_written_to_without_a_warning(make):
    ds = make("float64[*]", [np.zeros(3), np.ones(3)], copy=False)
    collate(ds)["f"].fill_(7)
    assert ds[1, "f"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("copy", [True, False])
def test_strings_and_bytes_and_lists_of_them_stay_lists(make, copy):
    assert collate(make("str", ["a", "", "é"], copy=copy))["f"] == ["a", "", "é"]
    assert collate(make("str?", [None, "b"], copy=copy))["f"] == [None, "b"]
    for kind, values in (("bytes", [b"ab", b""]), ("list[bytes]", [[b"ab"], [b"", b"c"]])):
        found = collate(make(kind, values, copy=copy))["f"]
        assert pickle.loads(pickle.dumps(found)) == values  # which a view of the file would not
    assert collate(make("list[str]", [["a"], ["b", "c"]], copy=copy))["f"] == [["a"], ["b", "c"]]


def test_categories_are_their_numbers(make):
    ds = make("category[cat,dog]", ["dog", "cat", "dog"])
    numbers = collate(ds)["f"]
    assert numbers.dtype is torch.int64  # which losses take, and no uint16
    assert numbers.tolist() == [1, 0, 1]
    assert ds.categories("f") == ["cat", "dog"]
    scores = torch.zeros(3, 2)
    assert torch.nn.functional.cross_entropy(scores, numbers) > 0
    some = collate(make("category[cat,dog]?", ["dog", None, "cat"]), [0, 2])["f"]
    assert some.dtype is torch.int64 and some.tolist() == [1, 0]


def test_categories_of_fields_without_names_are_their_numbers(tmp_path):
    samples = [(i, ["cat", "dog"][i % 2]) for i in range(4)]
    path, _ = dsrecords.make_dataset(samples, tmp_path / "f.rec", ["uint16", "category[cat,dog]"])
    number, kind = collate(dsrecords.open(path))
    assert number.dtype is torch.uint16
    assert kind.dtype is torch.int64 and kind.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "kind", ["int64?", "float32?", "bool?", "category[cat,dog]?", "float32[2]?"]
)
def test_none_is_an_error_that_names_field_and_way_out_and_never_a_number(make, kind):
    others = {"category[cat,dog]?": "dog", "float32[2]?": [1, 1], "bool?": True}
    value = others.get(kind, 1)
    ds = make(kind, [value, None, value, None, value])
    with pytest.raises(ValueError, match=r"field 'f': 2 of 5 values are None.*transform.*filter"):
        collate(ds)
    whole = collate(ds, [0, 2, 4])["f"]
    assert whole.reshape(3, -1)[:, 0].tolist() == [1, 1, 1]


def test_shapes_that_differ_are_named(make):
    ds = make("float32[*,4]", [np.zeros((n, 4)) for n in (1, 2, 3, 4, 5, 1)])
    with pytest.raises(ValueError, match=r"field 'f'.*\(1, 4\) and \(2, 4\) cannot be stacked"):
        collate(ds, [0, 1])
    with pytest.raises(ValueError, match=r"\(1, 4\), \(2, 4\), \(3, 4\) and 2 more"):
        collate(ds)
    assert collate(ds, [0, 5])["f"].shape == (2, 1, 4)


def test_dtypes_that_differ_are_named(make):
    ds = make("array", [np.zeros(2, "f4"), np.zeros(2, "f8")])
    with pytest.raises(ValueError, match=r"field 'f': arrays of float32 and float64"):
        collate(ds)


def test_arrays_of_another_byte_order_are_stacked(make):
    ds = make("array", [np.array([1, 2], ">i4"), np.array([3, 4], ">i4")])
    assert collate(ds)["f"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("kind", ["datetime64[us]", "timedelta64[s]", "datetime64[s][2]"])
def test_times_are_an_error_that_names_the_field(make, kind):
    times = np.zeros((2, 2), "m8[s]" if kind.startswith("timedelta") else "M8[s]")
    values = times if kind.endswith("[2]") else times[0]
    with pytest.raises(TypeError, match=r"field 'f'.*no times.*select_fields"):
        collate(make(kind, values))


def test_values_that_have_no_tensor_are_an_error_that_names_the_field(make):
    ds = make("array", [np.array(["a", "b"])] * 2)
    with pytest.raises(TypeError, match="field 'f': PyTorch has no tensors of <U1"):
        collate(ds)
    ragged = make("list[int64]", [[1, 2], [3]])
    with pytest.raises(TypeError, match=r"field 'f': values such as this list.*equal size"):
        collate(ragged)


def test_pictures_are_stacked_as_arrays_and_refused_as_pictures(make):
    picture = Image.linear_gradient("L").resize((5, 4)).convert("RGB")
    ds = make("png", [picture, picture])
    with pytest.raises(TypeError, match=r"field 'f': Pillow's images.*decode='rgb'"):
        collate(ds)
    pixels = collate(ds.with_decode({"f": "rgb"}))["f"]
    assert pixels.dtype == torch.uint8 and pixels.shape == (2, 4, 5, 3)
    assert (pixels[0].numpy() == np.asarray(picture)).all()
    mixed = make("png", [picture, picture.resize((8, 8))], decode={"f": "rgb"})
    with pytest.raises(ValueError, match=r"\(4, 5, 3\) and \(8, 8, 3\).*vision\.Decode"):
        collate(mixed)
    decode = {"f": dsrecords.vision.Decode("rgb", size=(6, 6))}
    assert collate(mixed.with_decode(decode))["f"].shape == (2, 6, 6, 3)


def test_structs_are_dicts_of_their_parts(make):
    values = [{"box": [0, 1], "name": "a", "n": 3}, {"box": [2, 3], "name": "b", "n": 4}]
    batch = collate(make({"box": "float32[2]", "name": "str", "n": "int32"}, values))["f"]
    assert batch["box"].tolist() == [[0, 1], [2, 3]] and batch["box"].dtype == torch.float32
    assert batch["name"] == ["a", "b"] and batch["n"].tolist() == [3, 4]
    ragged = make({"box": "float32[*]"}, [{"box": [1]}, {"box": [1, 2]}])
    with pytest.raises(ValueError, match=r"field 'f', part 'box'.*\(1,\) and \(2,\)"):
        collate(ragged)
    with pytest.raises(ValueError, match="field 'f': dicts with different keys"):
        collate(make("json", [{"a": 1}, {"b": 1}]))


def test_samples_without_names_are_a_list_of_columns(path):
    dsrecords.make_dataset([(0.5, 7), (1.5, 8)], path, [io.save_float, io.save_int])
    xs, ys = collate(dsrecords.open(path))
    assert xs.tolist() == [0.5, 1.5] and xs.dtype == torch.float32
    assert ys.tolist() == [7, 8] and ys.dtype == torch.int32
    ds = dsrecords.IndexedRecordDataset(path.replace("data", "ragged"), schema=["int64", "int8[*]"])
    ds.extend([(1, [1]), (2, [1, 2])])
    with pytest.raises(ValueError, match="field 1: arrays of the shapes"):
        collate(ds)


def test_a_batch_of_nothing_is_empty(make):
    assert collate(make("float32[2]", [[1, 2]]), [])["f"].shape == (0, 2)
    assert collate(make("str", ["a"]), [])["f"] == []


def test_plain_samples_go_to_the_function_of_pytorch():
    samples = [{"a": 1, "b": "x", "c": np.zeros(2)}, {"a": 2, "b": "y", "c": np.ones(2)}]
    batch = dsrecords.torch.collate(samples)
    assert batch["a"].tolist() == [1, 2] and batch["b"] == ["x", "y"]
    assert batch["c"].tolist() == [[0, 0], [1, 1]] and batch["c"].dtype == torch.float64
    assert dsrecords.torch.collate([1.5, 2.5]).tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([{"a": 1, "b": None}, {"a": 1, "b": 2}], ValueError, "field 'b': 1 of 2 values are None"),
        ([{"b": 2.5}, {"b": None}], ValueError, "field 'b': 1 of 2 values are None"),
        ([{"b": "x"}, {}], ValueError, "field 'b': sample 1 of the batch does not have it"),
        ([(1, np.zeros(2)), (1, np.zeros(3))], ValueError, r"field 1.*\(2,\) and \(3,\)"),
        ([{"b": torch.zeros(1)}, {"b": torch.zeros(2)}], ValueError, r"field 'b'.*\(1,\) and \(2,\)"),
        ([{"b": Image.new("L", (2, 2))}], TypeError, "field 'b': Pillow's images"),
        ([{"b": object()}], TypeError, "field 'b': values such as this object"),
        ([object()], TypeError, "default_collate"),
        ([], ValueError, "a batch without samples"),
    ],
    ids=["none", "none behind", "missing", "shapes", "tensors", "pictures", "objects", "one", "empty"],
)  # fmt: skip
def test_an_error_of_the_function_of_pytorch_names_the_field(samples, error, message):
    with pytest.raises(error, match=message):
        dsrecords.torch.collate(samples)


def double(sample):
    return {"f": sample["f"] * 2, "g": f"{sample['f']}"}


def negative(sample):
    return {"f": -sample["f"]}


def test_samples_go_through_the_transform(make):
    ds = make("int32", [1, 2, 3], transform=double)
    batch = collate(ds, [2, 0])
    assert batch["f"].tolist() == [6, 2] and batch["g"] == ["3", "1"]


class Doubled(dsrecords.IndexedRecordDataset):
    """A subclass that makes samples, in one of the two ways in which PyTorch asks for them."""

    def __getitem__(self, key):
        return double(super().__getitem__(key))


class DoubledMany(dsrecords.IndexedRecordDataset):
    def __getitems__(self, indices):
        return [double(sample) for sample in super().__getitems__(indices)]


@pytest.mark.parametrize("kind", [Doubled, DoubledMany])
def test_methods_of_a_subclass_are_not_passed_over(make, kind):
    path = make("int32", [1, 2, 3]).path
    assert collate(kind(path), [2, 0])["f"].tolist() == [6, 2]


def test_views_mixtures_zips_windows_and_many_files(tmp_path):
    paths = [str(tmp_path / f"{name}.rec") for name in "abc"]
    for number, path in enumerate(paths[:2]):
        values = np.arange(10) + 100 * number
        dsrecords.make_dataset({"f": values, "t": values.reshape(10, 1)}, path)
    dsrecords.make_dataset({"g": np.arange(10.0)}, paths[2])
    first, second, third = map(dsrecords.open, paths)
    assert collate(first[::-2])["f"].tolist() == [9, 7, 5, 3, 1]
    assert collate(dsrecords.open(paths[:2]), [19, 0])["f"].tolist() == [109, 0]
    assert collate(dsrecords.concat([second, first]), [0, 10])["f"].tolist() == [100, 0]
    mixed = dsrecords.mix([first, second], seed=None)
    assert collate(mixed)["f"].tolist() == [sample["f"] for sample in mixed]
    zipped = collate(dsrecords.zip([first, third]), [3, 1])
    assert zipped["f"].tolist() == [3, 1] and zipped["g"].tolist() == [3.0, 1.0]
    assert zipped["g"].dtype == torch.float64
    windows = first.windows("t", 4)
    assert collate(windows, [1, 0]).tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    values, starts = collate(first.windows("t", 4, boundaries=True), [1])
    assert values.tolist() == [[4, 5, 6, 7]] and starts[0].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"field of windows.*\(4,\) and \(2,\)"):
        collate(first.windows("t", 4, drop_last=False))
    transformed = dsrecords.open(paths[0], transform=double)
    assert collate(dsrecords.mix([transformed], seed=None))["g"][:2] == ["0", "1"]
    both = collate(dsrecords.zip([dsrecords.open(paths[0], transform=negative), third]))
    assert both["f"].tolist() == [-i for i in range(10)]


def test_a_mixture_of_datasets_with_other_fields_says_so(tmp_path):
    for name in "ab":
        dsrecords.make_dataset({name: np.arange(3)}, tmp_path / f"{name}.rec")
    mixed = dsrecords.mix([dsrecords.open(tmp_path / f"{name}.rec") for name in "ab"])
    with pytest.raises(SchemaError, match="different schemas"):
        collate(mixed)


def test_what_is_no_dataset_is_refused():
    with pytest.raises(TypeError, match=r"dsrecords\.open returns is expected, not list"):
        dsrecords.torch.Dataset([1, 2])


def test_rows_are_the_samples_and_are_read_only_if_asked_for(make, monkeypatch):
    ds = make("float32?", [0.5, None, 1.5])
    asked = []
    method = dsrecords.IndexedRecordDataset.__getitems__
    monkeypatch.setattr(
        dsrecords.IndexedRecordDataset,
        "__getitems__",
        lambda ds, i: asked.append(i) or method(ds, i),
    )
    rows = dsrecords.torch.Dataset(ds).__getitems__([2, 1])
    assert rows.columns["f"].tolist() == [1.5, None] and rows.columns is rows.columns
    dsrecords.torch.collate(dsrecords.torch.Dataset(ds).__getitems__([0]))
    assert not asked
    assert list(rows) == [{"f": 1.5}, {"f": None}] and len(rows) == 2
    assert rows[-1] == {"f": None} and rows[:1] == [{"f": 1.5}]
    assert asked == [[2, 1]]
    copied = pickle.loads(pickle.dumps(rows))
    assert copied == list(rows) and type(copied) is list
    assert "2 samples" in repr(rows)


def test_nan_is_no_missing_value(make):
    assert math.isnan(collate(make("float32?", [math.nan, 1.0]))["f"][0])
