"""Categories, times and bfloat16, beyond what every type does."""

import json
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from conftest import SOURCE, large
from hypothesis import given
from hypothesis import strategies as st

import dsrecords
from dsrecords import CorruptError, SchemaError, make_dataset
from dsrecords._types.names import quote, quote_all
from dsrecords._types.parse import parse

COCO = ["person", "traffic light", "stop sign"]


@pytest.fixture
def signs(tmp_path):
    rows = [{"sign": name, "maybe": None if i else name} for i, name in enumerate(COCO)]
    kind = f"category{json.dumps(COCO)}"
    path, _ = make_dataset(rows, tmp_path / "a.rec", {"sign": kind, "maybe": kind + "?"})
    return path


def test_names_of_a_category_are_in_the_schema(signs):
    assert dsrecords.open(signs).schema["sign"] == 'category[person,"traffic light","stop sign"]'


def test_sample_has_the_name_of_a_category_and_a_column_its_numbers(signs):
    ds = dsrecords.open(signs)
    assert [row["sign"] for row in ds] == COCO
    for column in (ds.column("sign"), ds.batch(slice(None))["sign"]):
        assert (column.dtype, column.tolist()) == (np.uint16, [0, 1, 2])
    assert ds.column("maybe").tolist() == [0, None, None]
    assert ds.categories("sign") == ds.categories("maybe") == COCO
    assert [ds.categories("sign")[number] for number in ds.column("sign")] == COCO
    ds.add_field("n", "int8", [1, 2, 3])
    with pytest.raises(SchemaError, match="field 'n': int8 has no categories"):
        ds.categories("n")


def test_category_reads_as_its_name_or_its_number(signs):
    names = dsrecords.open(signs, decode={"sign": "name", "maybe": "name"})
    assert names[1] == {"sign": "traffic light", "maybe": None}
    assert names.column("sign") == COCO
    assert names.batch([2, 0])["maybe"] == [None, "person"]
    numbers = dsrecords.open(signs, decode={"sign": "number", "maybe": "number"})
    assert numbers[1] == {"sign": 1, "maybe": None}
    assert numbers.column("sign").dtype == np.uint16
    assert numbers.column("sign").tolist() == [0, 1, 2]
    assert numbers.column("maybe").tolist() == [0, None, None]
    assert (
        dsrecords.IndexedRecordDataset(signs, {"sign": dsrecords.io.identity})[2, "sign"] == b"\2\0"
    )


def test_unknown_name_is_refused_and_the_names_are_said(signs):
    with pytest.raises(
        SchemaError, match="one of the 3 names person, traffic light, stop sign expected, not a str"
    ):
        dsrecords.open(signs).append({"sign": "cat", "maybe": None})


def test_long_double_is_no_name_and_is_said(signs):
    with pytest.raises(SchemaError, match=r"names .* expected, not a longdouble"):
        dsrecords.open(signs).append({"sign": np.longdouble(1) / 3, "maybe": None})


def test_category_of_many_names(tmp_path):
    names = [f"n{i}" for i in range(300)]
    path, _ = make_dataset(
        [{"x": name} for name in names], tmp_path / "a.rec", {"x": f"category[{','.join(names)}]"}
    )
    assert dsrecords.open(path, decode={"x": "name"}).column("x") == names
    assert dsrecords.open(path).column("x").tolist() == list(range(300))


def test_columns_of_numbers_are_taken_and_others_refused(signs):
    with dsrecords.open(signs) as ds:
        ds.extend_columns(ds.batch([2, 1, 0]))
        assert [row["sign"] for row in ds] == [*COCO, *COCO[::-1]]
        assert ds.column("maybe").tolist() == [0, None, None, None, None, 0]
        for wrong in ([3, 0], [-1, 0]):
            with pytest.raises(
                SchemaError, match="field 'sign': a category of 3 names has no number"
            ):
                ds.extend_columns({"sign": np.array(wrong), "maybe": [None, None]})
        with pytest.raises(SchemaError, match="expected, not an int"):
            ds.extend_columns({"sign": [0, 1], "maybe": [None, None]})
        assert len(ds) == 6


CODES = {
    "names with a mask": lambda: np.ma.MaskedArray(["b", "z"], [False, True]),
    "numbers with a mask": lambda: np.ma.MaskedArray([1, 9], [False, True]),
    "names and NaN": lambda: np.array(["b", np.nan], object),
    "numbers of pandas": lambda: large("pandas").array([1, None], "Int64"),
    "numbers of Arrow": lambda: large("pyarrow").array([1, None]),
    "numbers of Polars": lambda: large("polars").Series([1, None]),
}


@pytest.mark.large
@pytest.mark.parametrize("kind", ["category[a,b]?", "{c:category[a,b]?}"])
@pytest.mark.parametrize("case", CODES)
def test_columns_of_categories_with_gaps(tmp_path, kind, case):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": kind})
    column = CODES[case]()
    with dsrecords.open(path) as ds:
        ds.extend_columns({"x": {"c": column} if kind[0] == "{" else column})
        values = [row["x"]["c"] if kind[0] == "{" else row["x"] for row in ds]
    assert values == ["b", None]


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [True, False], [1j, 2]], ids=repr)
@pytest.mark.parametrize("mask", [False, [False, True]], ids=repr)
def test_what_is_no_number_of_a_category_is_refused(tmp_path, wrong, mask):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "category[a,b]?"})
    with dsrecords.open(path) as ds:
        with pytest.raises(SchemaError, match=r"record 0, field 'x': .*one of the 2 names a, b"):
            ds.extend_columns({"x": np.ma.MaskedArray(wrong, mask)})
        ds.extend_columns({"x": np.ma.MaskedArray(wrong, True)})
        assert ds.column("x").tolist() == [None, None]


@pytest.mark.parametrize("kind", ["str", "json", "int64", "array", "category[a,b]"])
@pytest.mark.parametrize("column", ["ab", b"ab", {"a": [1, 2], "b": 0}, {"a"}], ids=repr)
def test_one_value_and_what_has_no_order_are_no_columns(tmp_path, kind, column):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": kind})
    expected = "field 'x': a column must be an array or a list"
    with dsrecords.open(path) as ds, pytest.raises(SchemaError, match=expected):
        ds.extend_columns({"x": column})


def test_numbers_in_columns_of_structs(tmp_path):
    kind = {"label": "category[a,b]", "maybe": "category[a,b]?"}
    rows = [{"label": "b", "maybe": None}, {"label": "a", "maybe": "b"}]
    path, _ = make_dataset([{"x": rows}], tmp_path / "a.rec", {"x": [kind]})
    columns = dsrecords.open(path, decode={"x": "columns"})[0, "x"]
    assert columns["label"].tolist() == [1, 0]
    assert columns["maybe"].tolist() == [None, 1]
    with dsrecords.open(path) as ds:
        ds.append({"x": columns})
        assert ds[1, "x"] == rows
        with pytest.raises(SchemaError, match="a category of 2 names has no number 2"):
            ds.append({"x": {**columns, "label": np.array([0, 2])}})


NAMES = st.lists(
    st.text(min_size=1, max_size=6) | st.sampled_from(["a", "a b", ",", '","', "]", "\\"]),
    min_size=1,
)


@given(names=NAMES)
def test_names_are_written_one_by_one_or_together(names):
    try:
        written = ",".join(map(quote, names))
    except SchemaError:
        with pytest.raises(SchemaError):
            quote_all(names)
        return
    assert quote_all(names) == written
    if len(set(names)) == len(names) and "\0" not in "".join(names):
        assert parse(f"category[{written}]").names == tuple(names)
        assert parse(f"category[ {written} ]").name == f"category[{written}]"


def test_10000_names_are_not_parsed_one_by_one(monkeypatch):
    for names in (
        [f"class_{i}" for i in range(10_000)],
        [f"class {i}" for i in range(10_000)],
        [f"class {i}" if i % 2 else f"class_{i}" for i in range(10_000)],
    ):
        kind = f"category[{quote_all(names)}]"
        calls = []
        monkeypatch.setattr("dsrecords._types.parse.unquote", calls.append)
        monkeypatch.setattr("dsrecords._types.names.quote", calls.append)
        assert parse(kind).names == tuple(names)
        assert calls == []  # not one by one
        monkeypatch.undo()


def test_category_has_65536_names_at_most(tmp_path):
    names = ",".join(map(str, range(65_537)))
    with pytest.raises(SchemaError, match="at most 65536 names"):
        make_dataset([], tmp_path / "a.rec", {"x": f"category[{names}]"})


@pytest.mark.parametrize("kind", ["category[a,b]", "category[a,b]?"])
def test_number_without_a_name_is_corrupt_and_named(tmp_path, kind):
    """A file that says `category[a,b]` where it was written as 3 names: numbers are in order, the names are not."""
    path, _ = make_dataset(
        [{"x": "a"}, {"x": "c"}], tmp_path / "a.rec", {"x": kind.replace("b", "b,c")}
    )
    import bytes_by_hand as by_hand

    data = (tmp_path / "a.rec").read_bytes()
    contents = json.loads(data[40 : 40 + int.from_bytes(data[20:24], "little")])
    contents["fields"][0]["type"] = kind
    (tmp_path / "a.rec").write_bytes(by_hand.header(contents, id=data[24:40]) + data[4096:])
    ds = dsrecords.open(path)
    for read in (lambda: ds[1], lambda: ds.column("x"), lambda: ds.batch([1])):
        with pytest.raises(CorruptError, match="a category of 2 names has no number 2") as caught:
            read()
        assert (caught.value.record, caught.value.field) == (1, "x")
        assert caught.value.offset == 4096 + 24 + 16
    assert ds[0] == {"x": "a"}


def test_times_are_scalars_of_numpy_and_columns_of_their_dtype(tmp_path):
    rows = [
        {"t": np.datetime64("2026-11-22T05"), "d": np.timedelta64(3, "s")},
        {"t": np.datetime64("NaT", "s"), "d": None},
    ]
    path, _ = make_dataset(
        rows, tmp_path / "a.rec", {"t": "datetime64[s]", "d": "timedelta64[ms]?"}
    )
    ds = dsrecords.open(path)
    assert ds[0] == {"t": np.datetime64("2026-11-22T05:00:00"), "d": np.timedelta64(3000, "ms")}
    assert np.isnat(ds[1, "t"])
    assert ds[1, "d"] is None
    assert ds.column("t").dtype == "M8[s]"
    assert np.isnat(ds.column("t")).tolist() == [False, True]
    assert ds.column("d").mask.tolist() == [False, True]


@pytest.mark.parametrize("kind", ["int16", "float32", "complex64", "complex128", "datetime64[us]"])
def test_a_column_whose_mask_is_empty_is_taken(tmp_path, kind):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": kind})
    numbers = np.array([1, 2], "M8[us]" if kind[0] == "d" else kind)
    with dsrecords.open(path) as ds:
        ds.extend_columns({"x": np.ma.MaskedArray(numbers)})
        assert ds.column("x").tolist() == numbers.tolist()


def test_columns_of_times_are_taken(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"t": "datetime64[D]", "d": "timedelta64[s]?"})
    with dsrecords.open(path) as ds:
        ds.extend_columns(
            {
                "t": np.array(["2026-01-01", "NaT"], "M8[D]"),
                "d": np.ma.MaskedArray(np.array([5, 6], "m8[m]"), [0, 1]),
            }
        )
        assert ds.column("d").tolist() == [np.timedelta64(300, "s").item(), None]
        with pytest.raises(
            SchemaError,
            match=r"row 1 of those given: 2026-01-01T01 is out of the range of datetime64.*, or finer",
        ):
            ds.extend_columns(
                {
                    "t": [np.datetime64("2026-01-01"), np.datetime64("2026-01-01T01")],
                    "d": [None, None],
                }
            )


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


YEAR_1, NANOSECOND = np.datetime64("0001-01-01"), np.datetime64(1, "ns")


# Where NumPy finds one unit for both, nanoseconds, the year 1 becomes 1754.
@pytest.mark.parametrize(
    "values",
    [
        [YEAR_1, NANOSECOND],
        objects(YEAR_1, NANOSECOND),
        [[YEAR_1, NANOSECOND]],
        [[YEAR_1], [NANOSECOND]],
        [objects(YEAR_1), objects(NANOSECOND)],
    ],
    ids=["a list", "an array of objects", "a row", "rows", "arrays of objects"],
)
@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_of_several_units_do_not_wrap(tmp_path, values, unit):
    shape = np.shape(values)
    kind = f"datetime64[{unit}][{','.join(map(str, shape))}]"
    with pytest.raises(
        SchemaError, match=rf"is out of the range of datetime64\[{unit}\].*, or finer"
    ):
        make_dataset([{"t": values}], tmp_path / "a.rec", {"t": kind})


def test_times_of_several_units_in_an_array_of_objects_become_those_of_the_type(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"t": "datetime64[us]"})
    with dsrecords.open(path) as ds:
        ds.extend_columns({"t": objects(YEAR_1, np.datetime64(1000, "ns"))})
        assert ds.column("t").tolist() == [
            YEAR_1.astype("M8[us]").item(),
            np.datetime64(1, "us").item(),
        ]


def test_bfloat16_is_a_float_and_its_columns_are_of_ml_dtypes(tmp_path):
    path, _ = make_dataset(
        [{"x": 0.1, "y": [[1, 2]]}] * 2, tmp_path / "a.rec", {"x": "bfloat16", "y": "bfloat16[1,2]"}
    )
    ds = dsrecords.open(path)
    assert ds[0, "x"] == 0.10009765625
    assert ds.column("x").dtype == ds.column("y").dtype == ml_dtypes.bfloat16
    assert ds.column("y").shape == (2, 1, 2)
    with ds:
        ds.extend_columns(
            {"x": np.array([1.5], ml_dtypes.bfloat16), "y": np.ones((1, 1, 2), ml_dtypes.bfloat16)}
        )
        assert ds[2, "x"] == 1.5


def test_file_with_bfloat16_opens_without_ml_dtypes(tmp_path):
    path, _ = make_dataset([{"x": 0.5, "n": 1}], tmp_path / "a.rec", {"x": "bfloat16", "n": "int8"})
    code = f"""import sys; sys.path.insert(0, {str(SOURCE)!r}); sys.modules["ml_dtypes"] = None
import dsrecords
ds = dsrecords.open({str(path)!r})
print(ds[0])
try: ds.column("x")
except ImportError as error: print(error)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout
        == "{'x': 0.5, 'n': 1}\nthis needs the package ml_dtypes: pip install ml_dtypes\n"
    )
