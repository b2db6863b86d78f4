"""Categories, times and bfloat16, beyond what every type does."""

import json
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from conftest import SOURCE

import dsrecords
from dsrecords import CorruptError, SchemaError, make_dataset

COCO = ["person", "traffic light", "stop sign"]


@pytest.fixture
def signs(tmp_path):
    rows = [{"sign": name, "maybe": None if i else name} for i, name in enumerate(COCO)]
    kind = f"category{json.dumps(COCO)}"
    path, _ = make_dataset(rows, tmp_path / "a.rec", {"sign": kind, "maybe": kind + "?"})
    return path


def test_names_of_a_category_are_in_the_schema(signs):
    assert dsrecords.open(signs).schema["sign"] == 'category[person,"traffic light","stop sign"]'


def test_category_reads_as_its_name_or_its_number(signs):
    assert [row["sign"] for row in dsrecords.open(signs)] == COCO
    assert dsrecords.open(signs).column("sign").tolist() == COCO
    assert dsrecords.open(signs).column("maybe").tolist() == ["person", None, None]
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


def test_category_of_many_names(tmp_path):
    names = [f"n{i}" for i in range(300)]
    path, _ = make_dataset(
        [{"x": name} for name in names], tmp_path / "a.rec", {"x": f"category[{','.join(names)}]"}
    )
    assert dsrecords.open(path).column("x").tolist() == names


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
        {"t": np.datetime64("NaT"), "d": None},
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
