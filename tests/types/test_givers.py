"""Whoever gives a value: it comes back equal, or is refused; nothing that it means beyond its numbers is dropped."""

import dataclasses
import datetime
import decimal
import re
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from conftest import large
from sameness import same

import dsrecords
from dsrecords import SchemaError, make_dataset

pytestmark = pytest.mark.slow

NUMBERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
REALS = (*NUMBERS, "float16", "float32", "float64")
ALL = (*REALS, "complex64", "complex128", "bfloat16")
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def stored(folder, kind, value):
    path, _ = make_dataset([{"x": value}], folder / "a.rec", {"x": kind}, overwrite=True)
    return dsrecords.open(path)[0, "x"]


def column(folder, kind, values):
    path, _ = make_dataset([], folder / "a.rec", {"x": kind}, overwrite=True)
    with dsrecords.open(path) as ds:
        ds.extend_columns({"x": values})
        return ds.column("x")


def refused(folder, kind, value, message=None):
    with pytest.raises(SchemaError, match=message):
        stored(folder, kind, value)


def dtype_of(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def example(name):
    """Two values of a type, as an array."""
    return np.array([0, 1] if name == "bool" else [1, 3], dtype_of(name))


# A giver makes its own of an array, or says that it has no such dtype by returning None.


def swapped(array):
    return array.astype(array.dtype.newbyteorder("S")) if array.dtype.kind != "V" else None


def with_gaps(array):
    wide = np.zeros(2 * len(array), array.dtype)
    wide[::2] = array
    return wide[::2]


def read_only(array):
    array.flags.writeable = False
    return array


def interface(array):
    """An object that has nothing but the array interface."""
    if array.dtype.kind == "V":
        return None
    return SimpleNamespace(__array_interface__=array.__array_interface__, keeps=array)


class DLPack:
    """An object that has nothing but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def dlpack(array):
    return None if array.dtype.kind == "V" else DLPack(array)


def tensor(array):
    torch = large("torch")
    if array.dtype.kind == "V":
        return torch.tensor(array.astype("f4")).bfloat16()
    made = torch.from_numpy(array.copy())
    return made.requires_grad_() if made.is_floating_point() else made


def conjugate(array):
    """A lazily conjugated tensor, and one with the negative bit, stand for these values."""
    torch = large("torch")
    if array.dtype.kind != "c":
        return None
    return torch.from_numpy(array.conj()).conj()


def jax_array(array):
    large("jax").config.update("jax_enable_x64", True)
    return large("jax.numpy").asarray(array)


def series(array):
    return None if array.dtype.kind == "V" else large("pandas").Series(array)


def arrow(array):
    return None if array.dtype.kind in "Vc" else large("pyarrow").array(array)


def polars_series(array):
    return None if array.dtype.kind in "Vc" else large("polars").Series(array)


LARGE = pytest.mark.large
GIVERS = [
    swapped,
    with_gaps,
    read_only,
    interface,
    dlpack,
    *(
        pytest.param(giver, marks=LARGE)
        for giver in (tensor, conjugate, jax_array, series, arrow, polars_series)
    ),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("giver", GIVERS)
def test_arrays_lists_and_columns_are_taken_from_all(tmp_path, giver, name):
    array = example(name)
    given = giver(array)
    if given is None:
        return
    kept = array.astype(array.dtype.newbyteorder("<"))
    assert same(stored(tmp_path, f"{name}[2]", given), kept)
    assert same(stored(tmp_path, f"{name}[2,2]", [given, given]), np.stack([kept, kept]))
    assert same(stored(tmp_path, f"list[{name}]", given), kept.tolist())
    assert same(column(tmp_path, name, given), kept)
    assert same(column(tmp_path, f"{name}?", given), np.ma.MaskedArray(kept, [False, False]))
    if name != "bfloat16":  # of which NumPy knows no name
        assert same(stored(tmp_path, "array", given).astype(kept.dtype), kept)
    refused(tmp_path, name, given, r"expected, not an array of .* with shape \(2,\): give one")


def first(giver, name):
    """One number of a giver: an array without dimensions, or a scalar of its own."""
    given = giver(example(name)[1:])
    if giver in (with_gaps, read_only, swapped):
        return given.reshape(())
    return None if given is None else given[0]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "giver",
    [
        with_gaps,
        *(pytest.param(giver, marks=LARGE) for giver in (tensor, conjugate, jax_array, arrow)),
    ],
)
def test_single_numbers_are_taken_from_all_and_arrays_of_one_from_none(tmp_path, giver, name):
    number = first(giver, name)
    if number is None:
        return
    assert stored(tmp_path, name, number) == example(name)[1].item()
    refused(tmp_path, name, giver(example(name)[1:]), r"shape \(1,\): give one of its items")


@pytest.mark.parametrize("kind", ["int8", "float32", "complex64", "bool", "bfloat16"])
def test_arrays_of_one_are_no_numbers(tmp_path, kind):
    refused(tmp_path, kind, np.ones(1, dtype_of(kind)), r"shape \(1,\): give one of its items")


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("str", np.array("é"), "é"),
        ("str", np.str_("é"), "é"),
        ("bytes", np.array(b"a"), b"a"),
        ("bytes", np.bytes_(b"a"), b"a"),
        ("category[a,b]", np.array("b"), "b"),
        ("bool", np.array(True), True),
        ("float32[2]", np.array([1, 2], ml_dtypes.bfloat16), np.array([1, 2], "<f4")),
        ("int8[2]", np.array([1, -2], ml_dtypes.int4), np.array([1, -2], "<i1")),
        ("float16[1]", np.array([1], ml_dtypes.float8_e5m2), np.array([1], "<f2")),
        ("complex64", 1, 1 + 0j),
        ("complex64[2]", [1, 2.5], np.array([1, 2.5], "<c8")),
        ("float64[1,2]", np.array([[1.0, 2.0]]).view(np.matrix), np.array([[1.0, 2.0]])),
    ],
)
def test_other_values_of_numpy_are_taken(tmp_path, kind, value, wanted):
    assert same(stored(tmp_path, kind, value), wanted)


MASKED = np.ma.array([1, 2], mask=[False, True])


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("float32[2]", MASKED, "masked"),
        ("float32[2,2]", [MASKED, MASKED], "masked"),
        ("float32[2]", [np.ma.array(1.0, mask=True), 1.0], "missing"),
        ("list[int8]", MASKED, "no missing values"),
        ("array", MASKED, "masked"),
        ("float32", np.ma.masked, "not a missing value"),
        ("float32[2]", [1j, 2], "complex"),
        ("float32", np.complex64(1), "complex"),
        ("complex64", "1", "complex64 expected, not a str"),
        ("complex64", None, "not None"),
        ("complex64", 1e39j, "out of the range"),
        ("complex64", complex("inf") + 1e300j, "out of the range"),
        ("array", np.ones(2, ml_dtypes.bfloat16), "cannot be stored"),
        ("array", np.ones(2, ml_dtypes.float8_e5m2), "cannot be stored"),
        ("bytes", np.array(5), "bytes expected, not an array"),
        ("str", np.array(["a"]), "str expected"),
    ],
)
def test_what_means_more_or_else_is_refused(tmp_path, kind, value, message):
    refused(tmp_path, kind, value, message)


def test_a_value_whose_package_does_not_give_it_is_refused(tmp_path):
    class Lazy:
        def __array__(self, *arguments, **options):
            raise RuntimeError("not now")

    for kind in (
        "float32",
        "int8",
        "bool",
        "float32[2]",
        "list[int8]",
        "array",
        "complex64",
        "str",
    ):
        refused(tmp_path, kind, Lazy(), "no array can be made of a Lazy .RuntimeError: not now")


def test_missing_items_of_a_list_are_none(tmp_path):
    assert stored(tmp_path, "list[int8?]", MASKED) == [1, None]


def test_a_column_of_structs_has_as_many_rows_as_its_columns(tmp_path):
    value = {"s": {"a": [1, 2, 3]}, "n": [4, 5, 6]}
    kind = "list[{s:{a:int8},n:int8}]"
    assert stored(tmp_path, kind, value) == [{"s": {"a": i}, "n": i + 3} for i in (1, 2, 3)]
    refused(tmp_path, kind, {**value, "n": [4]}, "different lengths")


# Times

ZONE = datetime.timezone(datetime.timedelta(hours=2))
NAIVE = datetime.datetime(2026, 11, 22, 13, 48)
AWARE = NAIVE.replace(tzinfo=ZONE)
IN_UTC = np.datetime64("2026-11-22T11:48:00", "us")


def test_times_with_a_zone_are_stored_in_utc(tmp_path):
    kind = "datetime64[us,UTC]"
    assert stored(tmp_path, kind, AWARE) == IN_UTC
    assert column(tmp_path, kind, [AWARE, AWARE]).tolist() == [IN_UTC.item()] * 2
    assert stored(tmp_path, f"list[{kind}?]", [AWARE, None]) == [IN_UTC, None]
    assert stored(tmp_path, f"{kind}[2]", [AWARE, AWARE]).tolist() == [IN_UTC.item()] * 2
    assert stored(tmp_path, kind, IN_UTC) == IN_UTC  # as it was read
    assert dsrecords.open(tmp_path / "a.rec").schema["x"] == kind


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("datetime64[us]", AWARE, r"the type datetime64\[us,UTC\] takes it"),
        ("datetime64[us,UTC]", NAIVE, "has none: say which"),
        ("datetime64[us,UTC]", NAIVE.date(), "has none: say which"),
        ("datetime64[us,UTC]", datetime.datetime.min.replace(tzinfo=ZONE), "out of the range"),
        ("datetime64[s,UTC]", AWARE.replace(microsecond=1), "finer than its unit"),
        ("list[datetime64[us]]", [AWARE], "item 0: .*UTC"),
        ("datetime64[us,UTC][1]", [NAIVE], "has none"),
    ],
)
def test_times_of_the_wrong_kind_are_refused(tmp_path, kind, value, message):
    refused(tmp_path, kind, value, message)


@pytest.mark.parametrize(
    "kind", ["datetime64[us,Europe/Berlin]", "datetime64[us,]", "timedelta64[us,UTC]"]
)
def test_there_is_no_other_zone(tmp_path, kind):
    refused(tmp_path, kind, None)


@pytest.mark.parametrize("kind", ["datetime64[us]", "datetime64[us,UTC]", "timedelta64[us]"])
def test_not_a_time_is_none_where_the_type_allows_it(tmp_path, kind):
    nat = np.array("NaT", kind.replace(",UTC", ""))[()]
    for value in (nat, float("nan"), np.float32("nan"), None):
        assert stored(tmp_path, f"{kind}?", value) is None
        assert stored(tmp_path, f"list[{kind}?]", [value]) == [None]
        assert stored(tmp_path, f"{{t:{kind}?}}", {"t": value}) == {"t": None}
        assert column(tmp_path, f"{kind}?", [value, value]).mask.all()
    assert column(tmp_path, f"{kind}?", np.array([nat, nat])).mask.all()
    assert np.isnat(stored(tmp_path, kind, nat))
    refused(tmp_path, kind, float("nan"), "expected, not a float")


# Other packages


@pytest.mark.large
def test_missing_values_are_none_where_the_type_allows_it(tmp_path):
    pandas = large("pandas")
    pyarrow = large("pyarrow")
    for kind, null in [
        ("int8", pyarrow.scalar(None, pyarrow.int8())),
        ("str", pyarrow.scalar(None, pyarrow.string())),
        ("bytes", pandas.NA),
        ("json", pandas.NA),
        ("float32[2]", pandas.NA),
        ("datetime64[us]", pandas.NaT),
        ("category[a]", pandas.NA),
    ]:
        assert stored(tmp_path, f"{kind}?", null) is None
        assert stored(tmp_path, f"list[{kind}?]", [null, None]) == [None, None]
        assert stored(tmp_path, f"{{a:{kind}?}}", {"a": null}) == {"a": None}
        if kind not in ("json", "datetime64[us]"):
            refused(tmp_path, kind, null)


COLUMNS = {
    "int64": lambda pandas: pandas.Series([2**62, None], dtype="Int64"),
    "bool": lambda pandas: pandas.Series([True, None], dtype="boolean"),
    "str": lambda pandas: pandas.Series(["a", None]),
    "category[a]": lambda pandas: pandas.Series(["a", None], dtype="category"),
    "datetime64[ns]": lambda pandas: pandas.Series([pandas.Timestamp(5), None]),
    "datetime64[ns,UTC]": lambda pandas: pandas.Series(
        [pandas.Timestamp(5, tz="Asia/Tokyo"), None]
    ),
}


@pytest.mark.large
@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("package", ["pandas", "pyarrow", "polars"])
def test_gaps_of_a_column_are_none(tmp_path, kind, package):
    given = COLUMNS[kind](large("pandas"))
    if package == "pyarrow":
        given = large("pyarrow").array(given, from_pandas=True)
    if package == "polars":
        given = large("polars").from_pandas(given)
    found = list(column(tmp_path, f"{kind}?", given))
    wanted = {"int64": 2**62, "bool": True, "str": "a", "category[a]": 0}
    assert found[0] == wanted.get(kind, np.datetime64(5, "ns"))
    assert found[1] is np.ma.masked or found[1] is None
    if kind != "datetime64[ns]" or package != "pandas":  # where NaT is a time, too
        with pytest.raises(SchemaError):
            column(tmp_path, kind, given)


@pytest.mark.large
def test_nan_stays_nan_in_a_series_of_floats(tmp_path):
    found = column(tmp_path, "float64?", large("pandas").Series([1.0, None]))
    assert found.mask.tolist() == [False, False]
    assert np.isnan(found[1])


@pytest.mark.large
def test_nanoseconds_are_kept_or_refused(tmp_path):
    pandas = large("pandas")
    pyarrow = large("pyarrow")
    time = pandas.Timestamp("2026-01-01 00:00:00.123456789")
    zoned = time.tz_localize("Europe/Berlin")
    for kind, value, nanoseconds in [
        ("datetime64", time, time.value),
        ("timedelta64", pandas.Timedelta(5, "ns"), 5),
        ("datetime64", pyarrow.scalar(7, pyarrow.timestamp("ns")), 7),
        ("timedelta64", pyarrow.scalar(7, pyarrow.duration("ns")), 7),
        ("datetime64,UTC", zoned, zoned.value),
        ("datetime64,UTC", pyarrow.scalar(7, pyarrow.timestamp("ns", tz="Europe/Berlin")), 7),
    ]:
        word, _, zone = kind.partition(",")
        zone = zone and f",{zone}"
        assert stored(tmp_path, f"{word}[ns{zone}]", value).astype(int) == nanoseconds
        refused(tmp_path, f"{word}[us{zone}]", value, "finer than its unit")
        refused(tmp_path, f"{word}[us{zone}][1]", [value], "finer than its unit")
        if zone:
            refused(tmp_path, "datetime64[ns]", value, "UTC. takes it")
        elif word == "datetime64":
            refused(tmp_path, "datetime64[ns,UTC]", value, "time zone")


@pytest.mark.large
@pytest.mark.filterwarnings("ignore:torch.quantize:UserWarning")
def test_what_tensors_and_tables_mean_beyond_their_values_is_refused(tmp_path):
    torch = large("torch")
    pyarrow = large("pyarrow")
    units = large("astropy.units")
    table = large("astropy.table")
    for value, message in [
        (torch.eye(2).to_sparse(), "to_dense"),
        (torch.ones(2, device="meta"), "no values"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), "dequantize"),
        (large("jax").random.key(0), "key_data"),
        (np.ones(2) * units.m, "the unit 'm': give its .value"),
        ([1 * units.m, 2 * units.m], "the unit 'm'"),
        (table.Column([1, 2], unit="m"), "the unit 'm'"),
        (table.MaskedColumn([1, 2], mask=[True, False]), "masked"),
        (pyarrow.array([1, None]), "missing values"),
        (pyarrow.array([decimal.Decimal(1)] * 2), "decimals"),
    ]:
        refused(tmp_path, "float32[2]", value, message)
        refused(tmp_path, "array", value, message)
    assert stored(tmp_path, "float32[2]", table.Column([1, 2])).tolist() == [1, 2]


@pytest.mark.large
def test_bfloat16_goes_back_into_torch_as_the_page_says(tmp_path):
    torch = large("torch")
    (definition,) = re.findall(
        r"(?m)^def bfloat16_tensor.*\n .*$", PAGE.read_text(encoding="utf-8")
    )
    names = {"torch": torch}
    exec(definition, names)
    given = torch.tensor([0.1, float("inf"), -0.0]).bfloat16()
    array = stored(tmp_path, "bfloat16[3]", given)
    assert torch.equal(names["bfloat16_tensor"](array), given)


@pytest.mark.large
@pytest.mark.parametrize("package", ["torch", "jax", "pandas", "pyarrow", "polars"])
def test_indices_are_taken_from_all(tmp_path, package):
    module = large({"jax": "jax.numpy"}.get(package, package))
    make = {"torch": "tensor", "pandas": "Index", "polars": "Series"}.get(package, "array")
    make = getattr(module, make)
    path, _ = make_dataset([{"x": i} for i in range(5)], tmp_path / "a.rec", {"x": "int8"})
    ds = dsrecords.open(path)
    mask = make([True, False, False, True, False])
    assert ds.batch(make([3, -1]))["x"].tolist() == [3, 4]
    assert ds.batch(mask)["x"].tolist() == [0, 3]
    assert [row["x"] for row in ds[make([3, 1])]] == [3, 1]
    assert ds[make([3])[0]] == {"x": 3}
    with pytest.raises(TypeError):
        ds.batch(make([0.5]))
    with dsrecords.open(path) as ds:
        del ds[mask]
        assert ds.column("x").tolist() == [1, 2, 4]
        with pytest.raises(TypeError):
            ds[make([0])] = {"x": 1}


def test_complex_numbers_of_a_dataclass(tmp_path):
    @dataclasses.dataclass
    class Wave:
        amplitude: complex
        phase: np.complex64

    path, _ = make_dataset([Wave(1j, np.complex64(2))], tmp_path / "a.rec", Wave)
    ds = dsrecords.open(path)
    assert ds.schema == {"amplitude": "complex128", "phase": "complex64"}
    assert ds[0] == {"amplitude": 1j, "phase": 2 + 0j}
