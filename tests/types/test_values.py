"""What goes in comes out, or is refused: one test of each way in which a value could change or be lost."""

import collections
import datetime
import io
import json
import pickle
import sys
import time
import uuid
import zoneinfo
from pathlib import Path

import bytes_by_hand as by_hand
import numpy as np
import pytest
from conftest import flip, large, shown
from PIL import Image
from sameness import same

import dsrecords
from dsrecords import (
    CorruptError,
    DecodeError,
    DSRecordsError,
    SchemaError,
    UnsupportedVersionError,
    infer_schema,
    make_dataset,
)

UTC = datetime.timezone.utc


@pytest.fixture
def stored(tmp_path):
    """A function: store one value in a new dataset of the field `v`; its path."""

    def stored(kind, *values):
        number = len(list(tmp_path.glob("*.rec")))
        path, _ = make_dataset(
            [{"v": value} for value in values], tmp_path / f"{number}.rec", {"v": kind}
        )
        return path

    return stored


@pytest.fixture
def back(stored):
    def back(kind, value, **options):
        return dsrecords.open(stored(kind, value), **options)[0, "v"]

    return back


def refused(function, *arguments):
    try:
        function(*arguments)
    except SchemaError:
        return True
    return False


# One door for array-likes


class Interface:
    """What has NumPy's array interface, and nothing else."""

    def __init__(self, array):
        self.kept = array
        self.__array_interface__ = array.__array_interface__


class DLPack:
    """What has DLPack, and nothing else."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Method:
    """What has `__array__`, and nothing else."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)
PIXELS = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


@pytest.mark.parametrize("wrap", [Interface, DLPack, Method])
def test_whatever_has_a_protocol_of_arrays_comes_in(back, wrap):
    for kind in ("float32[2,3]", "float32[*,3]", "float64[*,*]", "array"):
        assert np.array_equal(back(kind, wrap(NUMBERS)), NUMBERS)
    assert back("list[float32]", wrap(NUMBERS[0])) == [0, 1, 2]
    assert back("bool[2]", wrap(np.array([1, 0], np.uint8).view(bool))).tolist() == [True, False]
    assert np.array_equal(back("png", wrap(PIXELS), decode={"v": "array"}), PIXELS)
    assert infer_schema([{"v": wrap(NUMBERS)}]) == {"v": "float32[2,3]"}


@pytest.mark.parametrize("wrap", [Interface, DLPack, Method])
def test_numbers_in_arrays_of_no_dimensions_come_in(back, wrap):
    assert back("float32", wrap(np.array(0.5, "f4"))) == 0.5
    assert back("int64", wrap(np.array(5))) == 5
    assert back("bool", wrap(np.array(True))) is True


@pytest.mark.parametrize("wrap", [Interface, DLPack, Method])
def test_indices_of_any_package(stored, wrap):
    ds = dsrecords.open(stored("int64", *range(5)))
    assert ds.batch(wrap(np.array([3, 1])))["v"].tolist() == [3, 1]
    assert [row["v"] for row in ds[wrap(np.array([3, 1]))]] == [3, 1]


@pytest.mark.large
def test_indices_of_torch_jax_pandas_and_arrow(stored):
    torch, jnp, pd, pa = map(large, ("torch", "jax.numpy", "pandas", "pyarrow"))
    ds = dsrecords.open(stored("int64", *range(5)))
    for indices in (torch.tensor([3, 1]), jnp.asarray([3, 1]), pd.Series([3, 1]), pa.array([3, 1])):
        assert ds.batch(indices)["v"].tolist() == [3, 1]
        assert [row["v"] for row in ds[indices]] == [3, 1]
    for index in (torch.tensor(3), jnp.asarray(3), pd.Series([3])[0], np.array(3)):
        assert ds[index]["v"] == 3
    masks = [
        torch.tensor([True, False, True, False, False]),
        pd.array([True, False, True, False, False]),
    ]
    for mask in masks:
        assert refused(ds.batch, mask) or ds.batch(mask)["v"].tolist() == [0, 2]


SCALARS = ("bool", "int8", "int64", "uint8", "float16", "float32", "float64")


@pytest.mark.large
@pytest.mark.parametrize("kind", SCALARS)
def test_a_single_number_in_an_array_is_treated_alike(stored, kind):
    torch, jnp, pd = map(large, ("torch", "jax.numpy", "pandas"))
    one = np.array([1], kind)
    given = [
        one,
        torch.from_numpy(one.copy()),
        jnp.asarray(one),
        pd.Series(one),
        Interface(one),
        one.reshape(1, 1),
    ]
    assert len({refused(stored, kind, value) for value in given}) == 1


@pytest.mark.parametrize("kind", ["float32[2,3]", "array", "list[list[float32]]", "float64[*,*]"])
def test_subclasses_without_a_meaning_of_their_own(back, tmp_path, kind):
    mapped = np.memmap(tmp_path / "m", np.float32, "w+", shape=(2, 3))
    mapped[:] = NUMBERS
    got = back(kind, mapped)
    assert got == NUMBERS.tolist() if isinstance(got, list) else np.array_equal(got, NUMBERS)


MASKED = np.ma.MaskedArray(PIXELS, PIXELS > 30)
KINDS_OF_MASKED = ["uint8[4,5,3]", "uint8[*,*,*]", "array", "png", "jpeg", "webp", "image", "list[array]", "json", "msgpack", "list[list[list[uint8]]]"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS_OF_MASKED)
def test_a_mask_is_not_dropped(stored, kind):
    value = [MASKED] if kind == "list[array]" else MASKED
    with pytest.raises(SchemaError):
        stored(kind, value)


@pytest.mark.parametrize(
    "kind",
    ["int64", "float32", "bool", "str", "bfloat16", "datetime64[us]", "category[a,b]", "json"],
)
def test_a_masked_number_is_no_number(stored, kind):
    with pytest.raises(SchemaError):
        stored(kind, np.ma.masked)


@pytest.mark.large
def test_a_mask_in_audio_is_not_dropped(stored):
    large("soundfile")
    samples = np.ma.MaskedArray(np.zeros(4, np.int16), [0, 1, 0, 0])
    with pytest.raises(SchemaError):
        stored("audio", (samples, 16_000))


@pytest.mark.large
def test_tensors_of_bfloat16_go_in_and_out(back):
    torch = large("torch")
    tensor = torch.tensor([0.5, 1e30, -2], dtype=torch.bfloat16)
    for kind in ("bfloat16[3]", "bfloat16[*]"):
        array = back(kind, tensor)
        again = torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
        assert torch.equal(again, tensor)
    assert back("bfloat16", tensor[0]) == 0.5 and back("float32", tensor[0]) == 0.5
    assert back("float32[3]", tensor).tolist() == tensor.float().tolist()


@pytest.mark.large
def test_a_tensor_that_requires_grad_or_is_conjugated(back):
    torch = large("torch")
    assert back("float32[3]", torch.ones(3, requires_grad=True)).tolist() == [1, 1, 1]
    assert back("float32", torch.tensor(0.5, requires_grad=True)) == 0.5
    assert back("list[float32]", torch.ones(3, requires_grad=True)) == [1, 1, 1]
    assert back("complex64[2]", torch.tensor([1j, 2]).conj()).tolist() == [-1j, 2]


@pytest.mark.parametrize("values", [[1, "a"], [True, "a"], [b"a", "b"], [0.5, "a"], [True, 2], [2**63, -1]], ids=repr)  # fmt: skip
def test_an_array_of_several_types_is_equal_or_refused(back, stored, values):
    assert refused(stored, "array", values) or back("array", values).tolist() == values


@pytest.mark.large
def test_a_dict_of_arrow_is_no_array(stored):
    pa = large("pyarrow")
    assert refused(stored, "array", pa.scalar({"a": 1, "b": 2}))
    assert refused(stored, "array", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))[0])


@pytest.mark.large
def test_structs_and_nulls_within_values_of_polars(back, stored):
    pl = large("polars")
    structs = pl.Series([{"a": 1, "b": 2}])
    assert back("list[map[int64]]", structs) == [{"a": 1, "b": 2}]
    for kind in ("array", "int64[*,2]", "list[int64[2]]", "list[array]", "list[list[int64]]"):
        assert refused(stored, kind, structs)
    assert refused(stored, "list[array]", pl.Series([[{"a": 1}], []]))
    lists = pl.Series([[1, None], [2, 3]])
    for gaps in (lists, lists.cast(pl.Array(pl.Int64, 2))):
        assert back("list[list[int64?]]", gaps) == [[1, None], [2, 3]]
        for kind in ("array", "list[array]", "float64[*,2]", "list[float64[2]]"):
            assert refused(stored, kind, gaps)
    whole = pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int16, 2))
    assert same(back("array", whole), np.array([[1, 2], [3, 4]], "int16"))
    with dsrecords.open(stored("{a:int64,b:int64}?")) as ds:
        ds.extend_columns({"v": pl.concat([structs, pl.Series([None], dtype=structs.dtype)])})
        assert list(ds) == [{"v": {"a": 1, "b": 2}}, {"v": None}]


@pytest.mark.large
@pytest.mark.parametrize("form", ["list_", "large_list", "list_view", "large_list_view"])
def test_nulls_within_lists_of_arrow(back, stored, form):
    pa = large("pyarrow")
    lists = pa.array([[1, None], [2]], getattr(pa, form)(pa.int64()))
    assert back("list[list[int64?]]", lists) == [[1, None], [2]]
    assert refused(stored, "list[array]", lists)
    assert refused(stored, "list[float64[*]]", lists)


# Times


STAMP = np.datetime64("2024-01-01T00:00:00.123456789")


@pytest.mark.large
def test_nanoseconds_of_pandas(back, stored):
    pd = large("pandas")
    stamp, took = pd.Timestamp(STAMP), pd.Timedelta(1, "ns")
    assert back("datetime64[ns]", stamp) == STAMP
    assert back("timedelta64[ns]", took) == np.timedelta64(1, "ns")
    for kind in ("datetime64[us]", "datetime64[s]", "datetime64[D]"):
        for value in (stamp, STAMP, pd.Series([stamp]).iloc[0], np.array(STAMP)):
            assert refused(stored, kind, value)
    for kind in ("timedelta64[us]", "timedelta64[s]"):
        assert refused(stored, kind, took)
    column = pd.Series([stamp, stamp])
    assert same(back("datetime64[ns][2]", column), np.array([STAMP, STAMP]))
    assert refused(stored, "datetime64[us][2]", column)
    assert refused(stored, "list[datetime64[us]]", [stamp])
    assert refused(stored, "{t:datetime64[us]}", {"t": stamp})


@pytest.mark.large
def test_nanoseconds_of_arrow(back, stored):
    pa = large("pyarrow")
    value = pa.array([STAMP])[0]
    assert refused(stored, "datetime64[ns]", value) or back("datetime64[ns]", value) == STAMP
    assert refused(stored, "datetime64[us]", value)


@pytest.mark.parametrize("kind", ["datetime64[s]", "datetime64[ms]", "datetime64[D]"])
def test_a_time_of_python_that_is_finer_is_refused(stored, kind):
    assert refused(stored, kind, datetime.datetime(2024, 1, 1, 0, 0, 0, 1))


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "bool", "complex128", "bfloat16"])
@pytest.mark.parametrize(
    "time", [STAMP, np.timedelta64(5, "ns"), np.timedelta64(5, "s"), np.array(STAMP)], ids=repr
)
def test_a_time_is_no_number(stored, kind, time):
    assert refused(stored, kind, time)
    assert refused(stored, f"list[{kind}]", [time])
    assert refused(stored, f"list[{kind}]", np.reshape(time, 1))
    assert refused(stored, f"{kind}[1]", np.reshape(time, 1))


MISSING = ["bool?", "int64?", "uint8?", "str?", "bytes?", "datetime64[us]?", "timedelta64[s]?", "category[a,b]?", "float32[3]?", "array?", "list[int64]?", "json?"]  # fmt: skip


@pytest.mark.large
@pytest.mark.parametrize("kind", MISSING)
def test_what_is_missing_in_pandas_is_none(back, kind):
    pd = large("pandas")
    assert back(kind, None) is None
    assert back(kind, pd.NA) is None
    assert back(kind, pd.NaT) is None


@pytest.mark.large
@pytest.mark.parametrize("kind", ["int64?", "str?", "datetime64[us]?", "bool?", "category[a,b]?"])
def test_what_is_missing_in_a_column_is_none(stored, kind):
    pd = large("pandas")
    path = stored(kind)
    value = {"i": 1, "s": "x", "d": datetime.datetime(2024, 1, 1), "b": True, "c": "a"}[kind[0]]
    with dsrecords.open(path) as ds:
        ds.extend_columns({"v": [value, None, pd.NA, pd.NaT, float("nan")]})
        ds.extend_columns({"v": pd.Series([value, None])})
        ds.extend_columns({"v": pd.Series([value, None]).convert_dtypes()})
        ds.extend({"v": each} for each in pd.Series([value, None], dtype=object))
    values = [row["v"] for row in dsrecords.open(path)]
    assert [value is None for value in values] == [
        False,
        True,
        True,
        True,
        True,
        *[False, True] * 3,
    ]


@pytest.mark.parametrize("kind", ["datetime64[us]?", "timedelta64[s]?"])
def test_not_a_time_is_none_where_none_is_allowed(back, stored, kind):
    number = np.datetime64("NaT", "s") if kind[0] == "d" else np.timedelta64("NaT", "s")
    assert back(kind, number) is None
    assert back(kind, np.array(number)) is None
    path = stored(kind)
    with dsrecords.open(path) as ds:
        ds.extend_columns(
            {
                "v": np.array(
                    [number, number], f"{kind[0]}8[s]".replace("d8", "M8").replace("t8", "m8")
                )
            }
        )
    assert [row["v"] for row in dsrecords.open(path)] == [None, None]


def test_nan_is_none_for_types_that_have_no_nan(back, stored):
    for kind in ("int64?", "str?", "bool?", "datetime64[us]?"):
        assert back(kind, float("nan")) is None
        assert back(kind, np.float32("nan")) is None
    for kind in ("int64", "str", "bool", "datetime64[us]"):
        assert refused(stored, kind, float("nan"))
    assert np.isnan(back("float64", float("nan")))


ZONES = [
    UTC,
    datetime.timezone(datetime.timedelta(hours=5, minutes=30)),
    zoneinfo.ZoneInfo("America/New_York"),
]


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_time_with_a_zone_is_stored_as_utc(back, stored, zone):
    moment = datetime.datetime(2024, 7, 1, 12, 30, 0, 250, tzinfo=zone)
    got = back("datetime64[us,UTC]", moment)
    got = got.replace(tzinfo=None) if isinstance(got, datetime.datetime) else got
    assert np.datetime64(got) == np.datetime64(moment.astimezone(UTC).replace(tzinfo=None))
    assert refused(stored, "datetime64[us]", moment)
    assert refused(stored, "datetime64[us]?", moment)


def test_a_time_without_a_zone_is_not_taken_for_utc(stored):
    assert refused(stored, "datetime64[us,UTC]", datetime.datetime(2024, 7, 1))


def test_inference_of_an_aware_time_agrees_with_writing(back):
    moment = datetime.datetime.now(UTC)
    kind = infer_schema([{"v": moment}])["v"]
    assert np.datetime64(back(kind, moment)).astype("M8[us]") == np.datetime64(
        moment.replace(tzinfo=None)
    )


# msgpack, json, complex numbers, maps


@pytest.mark.large
@pytest.mark.parametrize(
    "value",
    [
        {(1, 2): "e"}, {1: "a", "1": "b"}, {None: 1}, {True: 1, 1.5: 2}, {b"k": 1}, {1: 2, 1.5: 3},
        [1, {"a": (1, 2)}], 2**64, -(2**63) - 1, {"a": {1, 2}}, datetime.datetime(2024, 1, 1), {"x": float("nan")},
        {"s": "\ud800"}, {frozenset([1]): 2}, [[[[]]]], {"": {"": {}}}, {"n": np.int64(5)}, np.float32(0.5), np.bool_(True),
    ],
    ids=repr,
)  # fmt: skip
def test_what_msgpack_takes_is_read_again(back, stored, value):
    large("msgpack")
    if refused(stored, "msgpack", value):
        return
    assert as_lists(back("msgpack", value)) == as_lists(value)


def as_lists(value):
    """A tuple as a list, and NaN as a string, to compare; a key stays what it is."""
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(as_lists, value))
    return "NaN" if value != value else value


@pytest.mark.large
def test_what_msgpack_must_take(back):
    large("msgpack")
    for value in (
        {"n": np.int64(5), "x": np.float32(0.5), "yes": np.bool_(True)},
        {5: "five"},
        {"a": b"b"},
    ):
        assert back("msgpack", value) == value


@pytest.mark.parametrize(
    "value",
    [
        {1: "one", "1": "uno"},
        {None: 1, "null": 2},
        {True: 1, "true": 2},
        [{"a": {1.5: 0, "1.5": 1}}],
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["json", "zstd(json)", "list[json]"])
def test_keys_that_fall_together_are_refused(stored, kind, value):
    assert refused(stored, kind, [value] if kind[0] == "l" else value)


@pytest.mark.parametrize("value", [{"n": np.int64(5), "x": np.float64(0.5), "yes": np.bool_(True), "s": np.str_("a")}, [np.uint8(1)], np.int32(3)], ids=repr)  # fmt: skip
def test_json_takes_scalars_of_numpy(back, value):
    wanted = json.loads(json.dumps(plain(value)))
    assert same(back("json", value), wanted)


def plain(value):
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("value", [float("nan"), {"x": float("inf")}, np.float32("nan"), "\ud800", {"\ud800": 1}, b"x", {1, 2}, 1j], ids=repr)  # fmt: skip
def test_json_refuses_what_it_cannot_hold(stored, value):
    assert refused(stored, "json", value)


@pytest.mark.parametrize("depth", [10, 500, 5000, 100_000])
@pytest.mark.parametrize("kind", ["json", "msgpack"])
def test_depth_that_is_taken_can_be_read(back, stored, kind, depth):
    if kind == "msgpack":
        pytest.importorskip("msgpack")
    value = []
    for _ in range(depth):
        value = [value]
    if depth > 10 and refused(stored, kind, value):
        return
    got = back(kind, value)
    for _ in range(depth):
        (got,) = got
    assert got == []


def test_long_integers_of_json(back, stored):
    value = 10**5000
    assert refused(stored, "json", value) or back("json", value) == value


@pytest.mark.parametrize(("kind", "dtype"), [("complex64", "<c8"), ("complex128", "<c16")])
def test_complex_numbers(back, stored, kind, dtype):
    assert same(back(kind, 0.5 - 2j), 0.5 - 2j)
    assert same(back(kind, np.array(0.5 - 2j, dtype.replace("<", ">"))), 0.5 - 2j)
    for given in ([[1j, 2]], np.array([[1j, 2]]), np.array([[1j, 2]], ">c16")):
        assert same(back(f"{kind}[*,2]", given), np.array([[1j, 2]], dtype))
    assert back(f"list[{kind}?]", [1j, None]) == [1j, None]
    assert back(f"{kind}?", None) is None
    assert np.isnan(back(kind, complex("nan")).real)
    for wrong in ("1j", None, [1j], np.array([1j])):
        assert refused(stored, kind, wrong)
    path = stored(kind, 1j, 2, 3.5)
    column = dsrecords.open(path).column("v")
    assert same(column, np.array([1j, 2, 3.5], dtype))
    assert refused(stored, "complex64", 1e300 + 0j)
    for real in ("float64", "int64", "float32[1]"):
        assert refused(stored, real, [1j] if real[-1] == "]" else 1j)


def test_maps(back, stored):
    for kind, value in {
        "map[int64]": {"a": 1, "grün b": 2, "": 3},
        "map[str?]": {"a": None, "b": "x"},
        "map[list[float32]]": {"a": [0.5], "b": []},
        "map[{x:int8,y:str}]": {"a": {"x": 1, "y": "z"}},
        "map[map[bool]]": {"a": {"b": True}, "c": {}},
        "list[map[int64]]": [{"a": 1}, {}],
    }.items():
        got = back(kind, value)
        assert got == value and list(got) == list(value)
    assert back("map[int64]", {}) == {}
    assert back("map[int64]?", None) is None
    for wrong in ({1: 1}, {"a": "x"}, {"a": None}, [("a", 1)], "a", {b"a": 1}):
        assert refused(stored, "map[int64]", wrong)


def test_a_struct_given_as_columns_counts_rows(back, stored):
    kind = "list[{a:int64,b:str}]"
    columns = {"a": [1, 2, 3], "b": ["x", "y", "z"]}
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
    assert back(kind, columns) == rows
    for count in (0, 1, 2, 3):
        part = {key: values[:count] for key, values in columns.items()}
        assert back(kind, part) == rows[:count]
    path = stored(kind)
    with dsrecords.open(path) as ds:
        ds.extend_columns({"v": [columns, columns]})
        ds.extend_columns({"v": [rows]})
    assert [row["v"] for row in dsrecords.open(path)] == [rows, rows, rows]
    assert refused(stored, kind, {"a": [1, 2], "b": ["x"]})


# Nested decoding, and items of lists


@pytest.fixture
def steps(tmp_path):
    pictures = [encoded(Image.fromarray(np.full((4, 5, 3), i, np.uint8)), "PNG") for i in range(5)]
    samples = [{"steps": [{"image": data, "n": i} for i, data in enumerate(pictures)], "views": pictures, "one": {"image": pictures[0], "n": 7}}]  # fmt: skip
    schema = {
        "steps": "list[{image:png,n:int64}]",
        "views": "list[png]",
        "one": "{image:png,n:int64}",
    }
    path, _ = make_dataset(samples, tmp_path / "steps.rec", schema)
    return path, pictures


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def test_decoding_within_structs_and_lists(steps):
    path, pictures = steps
    decode = {"steps": {"image": "bytes"}, "one": {"image": "array"}, "views": "array"}
    sample = dsrecords.open(path, decode=decode)[0]
    assert [step["image"] for step in sample["steps"]] == pictures
    assert [step["n"] for step in sample["steps"]] == list(range(5))
    assert sample["one"]["image"].shape == (4, 5, 3) and sample["one"]["n"] == 7
    assert [view[0, 0, 0] for view in sample["views"]] == list(range(5))
    for wrong in (
        {"steps": {"picture": "bytes"}},
        {"one": {"n": "array"}},
        {"steps": {"image": "sideways"}},
    ):
        with pytest.raises(SchemaError):
            dsrecords.open(path, decode=wrong)


def test_one_item_of_a_list(steps):
    path, pictures = steps
    ds = dsrecords.open(path, decode={"steps": {"image": "bytes"}, "views": "bytes"})
    assert ds[0, "steps", 3] == {"image": pictures[3], "n": 3}
    assert ds[0, "steps", -1]["n"] == 4 and ds[0, "views", 2] == pictures[2]
    for index in (5, -6):
        with pytest.raises(IndexError):
            ds[0, "steps", index]


# Inference


def holds(tmp_path, samples):
    """The schema that is inferred; a dataset of it holds the samples."""
    schema = infer_schema(samples)
    path, _ = make_dataset(samples, tmp_path / "inferred.rec", schema, overwrite=True)
    return schema, list(dsrecords.open(path))


@pytest.mark.parametrize(
    ("samples", "schema"),
    [
        ([{"x": 1}, {"x": 0.5}], {"x": "float64"}),
        ([{"x": [1]}, {"x": [0.5]}], {"x": "list[float64]"}),
        ([{"x": 1}, {"x": None}], {"x": "int64?"}),
        ([{"x": 1, "y": "a"}, {"x": 2}], {"x": "int64", "y": "str?"}),
        ([{"x": 2}, {"x": 1, "y": "a"}], {"x": "int64", "y": "str?"}),
        ([{"x": []}, {"x": [1]}], {"x": "list[int64]"}),
        ([{"x": 2**63}], {"x": "uint64"}),
        ([{"x": 1j}, {"x": 2j}], {"x": "complex128"}),
        ([{"x": np.float32(1)}], {"x": "float32"}),
        ([{"x": np.zeros((2, 3), ">f4")}], {"x": "float32[2,3]"}),
        ([{"x": np.zeros((2, 3))}, {"x": np.zeros((5, 3))}], {"x": "float64[*,3]"}),
        ([{"x": dsrecords.StoredFile(b"a", ".b")}, {"x": None}], {"x": "file?"}),
    ],
    ids=repr,
)
def test_what_is_inferred(tmp_path, samples, schema):
    assert holds(tmp_path, samples)[0] == schema


def test_pictures_of_several_formats_are_images(tmp_path):
    image = Image.fromarray(PIXELS)
    files = []
    for format in ("PNG", "JPEG", "WEBP", "GIF"):
        files.append(tmp_path / f"a.{format.lower()}")
        image.save(files[-1], format)
    assert infer_schema([{"v": file} for file in files]) == {"v": "image"}
    assert infer_schema([{"v": image}, {"v": files[0]}])["v"] in ("png", "image")
    opened = [Image.open(file) for file in files]
    assert holds(tmp_path, [{"v": image} for image in opened])[0] == {"v": "image"}
    for image in opened:
        image.close()
    assert infer_schema([{"v": files}]) == {"v": "list[image]"}


def test_what_is_nested_without_an_end_has_no_type():
    itself = []
    itself.append(itself)
    for endless in (itself, collections.UserString("a")):
        with pytest.raises(SchemaError, match=r"field 'x': .*nested without an end"):
            infer_schema([{"x": endless}])


INHOMOGENEOUS = [
    [{"x": 1j}, {"x": 2}], [{"x": 0.5}, {"x": 1j}],
    [{"x": {"a": 1}}, {"x": {"a": 2, "b": 0.5}}],
    [{"x": 1}, {"x": "a"}], [{"x": [1]}, {"x": {"a": 1}}], [{"x": 1}, {"x": True}], [{"x": b"a"}, {"x": "a"}],
    [{"x": 2**64}], [{"x": -1}, {"x": 2**63}], [{"x": 2**53 + 1}, {"x": 0.5}], [{"x": {}}], [{"x": [[1], 2]}],
    [{"x": np.int64(2**53 + 1)}, {"x": 0.5}], [{"x": uuid.UUID(int=5)}], [{"x": {1, 2}}], [{"x": {1: 2}}],
    [{"x": float("nan")}, {"x": 1}], [{"x": {"a b": 1}}], [{"x": "\ud800"}], [{"x": [None]}], [{"x": [1, None, 0.5]}],
    [{"x": datetime.date(2024, 1, 1)}, {"x": datetime.datetime(2024, 1, 1, 5)}], [{"x": np.zeros((0, 3))}, {"x": []}],
    [{"x": datetime.datetime(2024, 1, 1)}, {"x": datetime.datetime(2024, 1, 1, tzinfo=UTC)}], [{"x": np.float16(1)}, {"x": 1e30}],
    [{"x": np.uint8(1)}, {"x": 300}], [{"x": np.array([1])}, {"x": np.array([0.5])}], [{"x": np.int8(1)}, {"x": np.uint64(2**63)}],
]  # fmt: skip


@pytest.mark.parametrize("samples", INHOMOGENEOUS, ids=repr)
def test_inference_never_returns_what_its_samples_do_not_fit(tmp_path, samples):
    if refused(infer_schema, samples):
        return
    _, rows = holds(tmp_path, samples)
    for row, sample in zip(rows, samples, strict=True):
        got, wanted = row["x"], sample["x"]
        assert (
            np.array_equal(got, wanted, equal_nan=True)
            if isinstance(wanted, (np.ndarray, float))
            else got == wanted
        )


def test_a_later_error_says_that_the_schema_was_guessed(tmp_path):
    samples = [{"x": 1}] * 300 + [{"x": "a"}]
    with pytest.raises(SchemaError, match=r"(?i)guess|inferred"):
        make_dataset(samples, tmp_path / "a.rec")


# Errors


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("jpeg", "no-such-file.jpg"), ("json", object()), ("str", "\ud800"), ("float32[2]", [1, [2]]),
        ("list[int8]", [1, 300]), ("{a:int8}", {"a": "x"}), ("png", Image.new("F", (2, 2))), ("int64", 2**70),
        ("bytes", 5), ("array", object()), ("datetime64[us]", "2024"), ("category[a]", "b"), ("zstd(str)", 5),
    ],
    ids=shown,
)  # fmt: skip
@pytest.mark.parametrize("workers", [0, 2])
def test_every_error_of_writing_names_record_and_field(tmp_path, kind, value, workers):
    good = {"jpeg": PIXELS, "png": PIXELS, "category[a]": "a", "float32[2]": [1, 2], "list[int8]": [1], "{a:int8}": {"a": 1}, "int64": 1, "bytes": b"", "array": 1, "datetime64[us]": STAMP.astype("M8[us]")}.get(kind, "s")  # fmt: skip
    samples = [{"v": good}, {"v": good}, {"v": value}]
    with pytest.raises((DSRecordsError, OSError)) as caught:
        make_dataset(samples, tmp_path / "a.rec", {"v": kind}, num_workers=workers)
    assert names_both(caught.value, 2, "v")


def names_both(error, record, field):
    told = " ".join([str(error), *getattr(error, "__notes__", [])])
    return f"record {record}" in told and repr(field) in told


def raises(value):
    raise ZeroDivisionError("in a function of one's own")


def test_an_error_of_a_serializer_names_record_and_field(tmp_path):
    def half_broken(value):
        return b"x" if value < 2 else raises(value)

    with pytest.raises((ZeroDivisionError, DSRecordsError)) as caught:
        make_dataset([{"v": i} for i in range(4)], tmp_path / "a.rec", {"v": half_broken})
    assert names_both(caught.value, 2, "v")
    path, _ = make_dataset([{"v": b""}] * 3, tmp_path / "b.rec", {"v": "bytes"})
    with pytest.raises((ZeroDivisionError, DSRecordsError)) as caught:
        dsrecords.IndexedRecordDataset(path, deserializers={"v": raises})[1]
    assert names_both(caught.value, 1, "v")


@pytest.mark.parametrize("error", [CorruptError, DecodeError, SchemaError])
def test_where_an_error_was_survives_pickling(error):
    given = error("what", file="a.rec", record=3, field="v", offset=99)
    again = pickle.loads(pickle.dumps(given))
    assert (type(again), again.file, again.record, again.field, again.offset) == (
        error,
        "a.rec",
        3,
        "v",
        99,
    )
    assert str(again) == str(given)


CUT = encoded(
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), "PNG"
)[:-2000]


@pytest.fixture
def undecodable(tmp_path):
    """A dataset of five pictures, of which the third was cut before it was stored."""
    whole = encoded(Image.fromarray(PIXELS), "PNG")
    samples = [{"v": CUT if i == 2 else whole, "n": i} for i in range(5)]
    path, _ = make_dataset(samples, tmp_path / "cut.rec", {"v": "png", "n": "int64"})
    return path


def test_what_cannot_be_decoded_is_not_corrupt(undecodable):
    ds = dsrecords.open(undecodable)
    with pytest.raises(DecodeError) as caught:
        ds[2]
    assert (caught.value.record, caught.value.field) == (2, "v")
    assert ds.check() == []
    assert [(type(error), error.record, error.field) for error in ds.check(decode=True)] == [
        (DecodeError, 2, "v")
    ]
    for decoding in ("array", "pil", "rgb"):
        with pytest.raises(DecodeError):
            dsrecords.open(undecodable, decode={"v": decoding})[2]
    assert dsrecords.open(undecodable, decode={"v": "bytes"})[2, "v"] == CUT


def test_skipping_does_not_swallow_what_cannot_be_decoded(undecodable):
    ds = dsrecords.open(undecodable, on_error="skip")
    with pytest.warns(UserWarning, match="record 2, field 'v'"):
        assert [row["n"] for row in ds] == [0, 1, 3, 4]
    assert [(type(error), error.record) for error in ds.skipped] == [(DecodeError, 2)]


def test_batches_obey_on_error(tmp_path):
    path, _ = make_dataset(
        [{"v": bytes([i]) * 100} for i in range(5)], tmp_path / "a.rec", {"v": "bytes"}
    )
    data = Path(path).read_bytes()
    flip(path, data.index(b"\2" * 100) + 50)
    ds = dsrecords.open(path)
    with pytest.raises(CorruptError):
        ds.batch(slice(None))
    ds = dsrecords.open(path, on_error="skip")
    assert [value[0] for value in ds.batch(slice(None))["v"]] == [0, 1, 3, 4]
    assert [value[0] for value in ds.column("v")] == [0, 1, 3, 4]
    assert {error.record for error in ds.skipped} == {2}


@pytest.mark.large
def test_errors_of_workers_of_pytorch_say_where(undecodable):
    data = large("torch.utils.data")
    loader = data.DataLoader(
        dsrecords.open(undecodable, decode={"v": "array"}),
        batch_size=1,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    with pytest.raises(DecodeError) as caught:
        list(loader)
    error = caught.value
    assert (error.file, error.record, error.field) == (undecodable, 2, "v")


def test_a_pillow_without_a_format_is_a_decode_error(stored, monkeypatch):
    path = stored("webp", PIXELS)
    Image.init()
    monkeypatch.delitem(Image.OPEN, "WEBP")
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "WEBP"])
    with pytest.raises(DecodeError, match=r"(?i)webp"):
        dsrecords.open(path)[0]


@pytest.mark.parametrize(
    "data",
    [b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", b"<html>404</html>"],
)
def test_a_pointer_says_the_way_out(stored, data):
    with pytest.raises(SchemaError) as caught:
        stored("jpeg", data)
    if data.startswith(b"version"):
        assert "git lfs pull" in str(caught.value)


def test_a_url_is_not_a_missing_file(stored):
    with pytest.raises(DSRecordsError, match=r"(?i)url"):
        stored("jpeg", "https://example.com/cat.jpg")


# Categories


def test_a_category_of_many_names_opens_at_once(tmp_path):
    names = [f"name {i:05}" for i in range(10_000)]
    path, _ = make_dataset(
        [{"v": names[i]} for i in (5, 9999)],
        tmp_path / "a.rec",
        {"v": "category" + json.dumps(names)},
    )
    dsrecords.open(path)[0]
    start = time.process_time()
    ds = dsrecords.open(path)
    assert time.process_time() - start < 5 * 0.005
    assert ds[1, "v"] == "name 09999"
    column = dsrecords.open(path, decode={"v": "number"}).column("v")
    assert column.tolist() == [5, 9999]


def test_a_column_of_categories_is_no_array_of_the_longest_name(tmp_path):
    names = ["a", "b" * 250]
    path, _ = make_dataset(
        [{"v": "a"}] * 1000, tmp_path / "a.rec", {"v": "category" + json.dumps(names)}
    )
    column = dsrecords.open(path).column("v")
    size = getattr(column, "nbytes", None) or sys.getsizeof(column)
    assert size < 100_000
    assert list(column)[:3] == ["a", "a", "a"] or list(column)[:3] == [0, 0, 0]


# Fields of a type that this reader lacks


def test_of_a_type_that_this_reader_lacks_the_other_fields_are_read(tmp_path):
    fields = [
        {"name": "v", "type": "hologram[3]", "payload": 0},
        {"name": "n", "type": "int64", "at": 32},
    ]
    log = by_hand.Log({"fields": fields, "head": 40, "metadata": {}})
    log.record(bytes(4) + (5).to_bytes(8, "little"), payloads=[b"abc"])
    (tmp_path / "a.rec").write_bytes(log.data)
    ds = dsrecords.open(tmp_path / "a.rec")
    assert ds[0, "n"] == 5
    assert ds.column("n").tolist() == [5]
    with pytest.raises(UnsupportedVersionError, match=r"hologram\[3\]") as caught:
        ds[0, "v"]
    assert names_both(caught.value, 0, "v")
    assert dsrecords.__version__ in str(caught.value)
