"""Tables of pandas, Arrow and Polars as samples. `make test-all` installs these packages."""

import datetime
import decimal
import logging
import sys

import numpy as np
import pytest
from conftest import large
from test_documents import ROOT, blocks_of

import dsrecords
from dsrecords import SchemaError, infer_schema, make_dataset

pd = large("pandas")
pa = large("pyarrow")
pl = large("polars")
large("pyarrow.compute")

pytestmark = pytest.mark.large
F4 = np.float32


@pytest.fixture(autouse=True)
def _is_quiet(caplog):
    caplog.set_level(logging.ERROR)


def values(column):
    """What a column has, as Python's values; times as strings, arrays as lists."""
    found = []
    for value in column.tolist() if isinstance(column, np.ma.MaskedArray) else column:
        if isinstance(value, (np.datetime64, np.timedelta64, datetime.date, datetime.timedelta)):
            value = str(value)
        found.append(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value)
    return found


def read(table, path):
    """The type and the values of the only column of a table, written without a schema."""
    make_dataset(table, path, overwrite=True)
    with dsrecords.open(path) as ds:
        (field,) = ds.fields
        return ds.schema[field], values([sample[field] for sample in ds])


TIMES = pd.to_datetime(["2026-11-22 01:02:03.123456789", None])
SERIES = {
    "int64": (pd.Series([1, -2]), "int64", [1, -2]),
    "uint8": (pd.Series([1, 255], dtype="uint8"), "uint8", [1, 255]),
    "float64": (pd.Series([0.5, 1]), "float64", [0.5, 1.0]),
    "bool": (pd.Series([True, False]), "bool", [True, False]),
    "Int64": (pd.Series([1, None], dtype="Int64"), "int64?", [1, None]),
    "Int8, none missing": (pd.Series([1, 2], dtype="Int8"), "int8", [1, 2]),
    "Float32": (pd.Series([0.5, None], dtype="Float32"), "float32?", [0.5, None]),
    "boolean": (pd.Series([True, None], dtype="boolean"), "bool?", [True, None]),
    "str": (pd.Series(["a", None]), "str?", ["a", None]),
    "string": (pd.Series(["a", pd.NA], dtype="string"), "str?", ["a", None]),
    "object": (pd.Series(["a", None, pd.NA], dtype=object), "str?", ["a", None, None]),
    "object with NaN": (pd.Series(["a", np.nan], dtype=object), "str?", ["a", None]),
    "NA": (pd.Series([1, pd.NA], dtype=object), "int64?", [1, None]),
    "lists": (pd.Series([[1, 2], [], None]), "list[int64]?", [[1, 2], [], None]),
    "arrays": (pd.Series([np.zeros(2, F4)] * 2), "float32[2]", [[0, 0], [0, 0]]),
    "dicts": (pd.Series([{"a": 1}, {"a": 2}]), "{a:int64}", [{"a": 1}, {"a": 2}]),
    "category": (pd.Series(["u", None], dtype=pd.CategoricalDtype(["u", "v"])), "category[u,v]?", ["u", None]),
    "many categories": (pd.Series([str(i) for i in range(2000)], dtype="category"), "str", [str(i) for i in range(2000)]),
    "categories of integers": (pd.Series([5, 6], dtype="category"), "int64", [5, 6]),
    "datetime64": (pd.Series(TIMES), "datetime64[ns]?", ["2026-11-22T01:02:03.123456789", None]),
    "timedelta64": (pd.Series(pd.to_timedelta([5], "s").as_unit("ns")), "timedelta64[ns]", ["5000000000 nanoseconds"]),
    "sparse": (pd.Series(pd.arrays.SparseArray([0, 1])), "int64", [0, 1]),
    "Arrow integers": (pd.Series([1, None], dtype="int64[pyarrow]"), "int64?", [1, None]),
    "Arrow lists": (pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int16()))), "list[int16]?", [[1], None]),
}  # fmt: skip


@pytest.mark.parametrize(("series", "wanted", "given"), SERIES.values(), ids=SERIES)
def test_a_column_of_pandas_is_read_equal(path, series, wanted, given):
    for table in (series.to_frame("v"), {"v": series}):
        assert read(table, path) == (wanted, given)
    with dsrecords.open(path) as ds:
        ds.extend(series.to_frame("v"))
        assert values([sample["v"] for sample in ds]) == given * 2


def test_a_dataframe_without_names_has_fields_without_names(path):
    make_dataset(pd.DataFrame(np.arange(6.0).reshape(3, 2)), path)
    ds = dsrecords.open(path)
    assert (ds.schema, ds[2]) == (["float64", "float64"], (4.0, 5.0))


def test_an_index_is_a_field_if_it_has_a_name(path):
    frame = pd.DataFrame({"a": [1, 2, 3]})
    assert infer_schema(frame[frame["a"] > 1]) == {"a": "int64"}  # rows 1 and 2 of another
    named = frame.set_axis(pd.Index(["x", "y", "z"], name="key"))
    assert infer_schema(named) == {"key": "str", "a": "int64"}
    levels = pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["k", "i"])
    make_dataset(frame.set_axis(levels), path)
    assert dsrecords.open(path)[1] == {"k": "x", "i": 2, "a": 2}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [1]}, index=["x"]), "index without a name.*rename_axis.*reset_index"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "field 'a': two columns"),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="a")), "field 'a': two columns"),
        (pd.DataFrame([[1, 2]], columns=["a", 5]), "a string as its name, not 5: rename it"),
        (pd.DataFrame({"a": pd.period_range("2026", periods=2)}), "field 'a': .*to_timestamp"),
        (pd.DataFrame({"a": [None, None]}), "field 'a': all values are None"),
        (pd.DataFrame({"a": [1, "b"]}), "field 'a': values of several types, such as 1"),
        (pd.DataFrame({"a": [decimal.Decimal(1)]}), "field 'a': no type holds a Decimal"),
    ],
)
def test_a_dataframe_that_is_no_table_of_samples_is_refused(frame, message):
    with pytest.raises(SchemaError, match=message):
        infer_schema(frame)


COLUMNS = {
    "int8": (pa.array([1, None], pa.int8()), "int8?", [1, None]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), "uint64", [2**64 - 1]),
    "halffloat": (pa.array([0.5, None], pa.float16()), "float16?", [0.5, None]),
    "double": (pa.array([0.5, None]), "float64?", [0.5, None]),
    "bool": (pa.array([True, None]), "bool?", [True, None]),
    "string": (pa.array(["é", None]), "str?", ["é", None]),
    "large_string": (pa.array(["a"], pa.large_string()), "str", ["a"]),
    "string_view": (pa.array(["a", None], pa.string_view()), "str?", ["a", None]),
    "binary": (pa.array([b"\0", None]), "bytes?", [b"\0", None]),
    "fixed_size_binary": (pa.array([b"ab"], pa.binary(2)), "bytes", [b"ab"]),
    "timestamp": (pa.array([1, None], pa.timestamp("ns")), "datetime64[ns]?", ["1970-01-01T00:00:00.000000001", None]),
    "duration": (pa.array([5], pa.duration("ms")), "timedelta64[ms]", ["5 milliseconds"]),
    "date32": (pa.array([1, None], pa.date32()), "datetime64[D]?", ["1970-01-02", None]),
    "date64": (pa.array([86_400_000], pa.date64()), "datetime64[D]", ["1970-01-02"]),
    "list": (pa.array([[1, 2], [], None], pa.list_(pa.int32())), "list[int32]?", [[1, 2], [], None]),
    "list with nulls": (pa.array([[1, None]]), "list[int64?]", [[1, None]]),
    "large_list of strings": (pa.array([["a"]], pa.large_list(pa.string())), "list[str]", [["a"]]),
    "fixed_size_list": (pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)), "float32[2]", [[1, 2], [3, 4]]),
    "fixed_size_list, null": (pa.array([[1, 2], None], pa.list_(pa.float32(), 2)), "float32[2]?", [[1, 2], None]),
    "of fixed_size_list": (pa.array([[[1, 2]]], pa.list_(pa.list_(pa.int8(), 2), 1)), "int8[1,2]", [[[1, 2]]]),
    "tensor": (pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 1, 2), F4)), "float32[1,2]", [[[1, 1]]] * 2),
    "struct": (pa.array([{"a": 1, "b": None}, {"a": 2, "b": "x"}]), "{a:int64,b:str?}", [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
    "struct, null": (pa.array([{"a": 1}, None]), "{a:int64}?", [{"a": 1}, None]),
    "list of structs": (pa.array([[{"a": 1}], []]), "list[{a:int64}]", [[{"a": 1}], []]),
    "dictionary": (pa.array(["u", None, "u"]).dictionary_encode(), "category[u]?", ["u", None, "u"]),
    "dictionary of integers": (pa.array([5, None]).dictionary_encode(), "int64?", [5, None]),
    "run_end_encoded": (pa.compute.run_end_encode(pa.array([1, 1])), "int64", [1, 1]),
}  # fmt: skip


@pytest.mark.parametrize(("column", "wanted", "given"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_of_arrow_is_read_equal(path, column, wanted, given):
    table = pa.table({"v": column})
    assert read(table, path) == (wanted, given)
    assert read(pa.concat_tables([table, table.slice(0, 1)]), path) == (wanted, [*given, given[0]])
    assert read({"v": column}, path) == (wanted, given)
    assert read(pa.record_batch({"v": column}), path) == (wanted, given)
    sliced = read(table.slice(len(given) - 1), path)
    assert sliced[1] == given[-1:]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.nulls(2), "Arrow's null: drop the column, or give a schema"),
        (pa.array([decimal.Decimal("1.5")]), "decimal128.*cast it to float64, or to string"),
        (pa.array([datetime.time(1)]), "time64.*duration"),
        (pa.array([[decimal.Decimal("1.5")]]), "decimal128.*cast it"),
        (pa.array([{"a": datetime.time(1)}]), "'a' of a struct: .*time64"),
        (pa.array([[(1, 2)]], pa.map_(pa.int8(), pa.int8())), "keys are no strings"),
    ],
    ids=str,
)
def test_a_column_of_arrow_that_no_type_holds_is_refused(column, message):
    with pytest.raises(SchemaError, match=f"field 'v': .*{message}"):
        infer_schema(pa.table({"v": column}))


def test_a_value_that_python_does_not_have_is_named(path):
    pairs = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8()))
    with pytest.raises(SchemaError, match="field 'v': values of rows 0 to 0 cannot be read"):
        make_dataset(pa.table({"v": pairs}), path, {"v": "json"})
    with pytest.raises(SchemaError, match="no columns"):
        make_dataset(pd.DataFrame(index=range(3)), path, {"v": "int64?"})


def batches(*columns):
    parts = [pa.record_batch({"n": column}) for column in columns]
    return pa.RecordBatchReader.from_batches(parts[0].schema, parts)


def test_a_stream_is_read_once_and_to_its_end(path):
    make_dataset(batches(pa.array([1, 2]), pa.array([], pa.int64()), pa.array([3])), path)
    assert dsrecords.open(path).column("n").tolist() == [1, 2, 3]
    make_dataset(batches(pa.array([], pa.int64())), path, overwrite=True)
    assert dsrecords.open(path).schema == {"n": "int64"}
    later = batches(pa.array([1, 2]), pa.array([None], pa.int64()))
    with pytest.raises(SchemaError, match=r"record 2, field 'n': .*not None, .*inferred"):
        make_dataset(later, path, overwrite=True)


def test_structs_of_arrow_are_tables_and_other_columns_are_not(path):
    structs = pa.array([{"a": 1}, {"a": 2}])
    for table in (structs, pa.chunked_array([structs, structs])):
        make_dataset(table, path, overwrite=True)
        assert dsrecords.open(path).schema == {"a": "int64"}
    for column in (pa.array([1]), pl.Series([1]), pd.Series([1])):
        with pytest.raises(SchemaError, match="sample 0 is"):
            infer_schema(column)


def test_a_dataframe_of_polars_is_a_table(path):
    frame = pl.DataFrame(
        {
            "n": [1, None],
            "s": ["a", None],
            "c": pl.Series(["u", "v"], dtype=pl.Categorical),
            "e": pl.Series(["u", "v"], dtype=pl.Enum(["v", "u", "w"])),
            "x": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Float32, 2)),
            "l": [["a"], None],
            "t": [{"p": 1, "q": "a"}, {"p": 2, "q": "b"}],
        }
    )
    make_dataset(frame, path)
    with dsrecords.open(path) as ds:
        assert ds.schema == {
            "n": "int64?", "s": "str?", "c": "category[u,v]", "e": "category[v,u,w]",
            "x": "float32[2]", "l": "list[str]?", "t": "{p:int64,q:str}",
        }  # fmt: skip
        ds.extend(frame)
        assert [ds[i, "e"] for i in range(4)] == ["u", "v"] * 2
    with pytest.raises(SchemaError, match=r"frame\.collect\(\)"):
        infer_schema(frame.lazy())


def test_without_pyarrow_a_frame_of_polars_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        infer_schema(pl.DataFrame({"n": [1]}))
    assert infer_schema(pd.DataFrame({"n": [1]})) == {"n": "int64"}


def test_the_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    blocks = [block for block in blocks_of(page) if block.comment.startswith("no-test: pandas")]
    assert blocks
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec("\n".join(block.lines), {"dsrecords": dsrecords, "make_dataset": make_dataset})
        *_, expected = block.lines[-1].partition("# ")
        assert capsys.readouterr().out.strip() == expected


class HuggingFace:
    """Like a dataset of Hugging Face: a sequence of dicts that is no Sequence."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        return self.rows[key]


def test_a_sequence_of_dicts_is_one_of_samples(path):
    rows = [{"n": i, "s": str(i)} for i in range(300)]
    make_dataset(HuggingFace(rows), path)
    assert list(dsrecords.open(path)) == rows
