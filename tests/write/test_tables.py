"""Tables as samples: arrays and dicts of columns here, those of other packages in test_foreign_tables.py."""

import logging

import numpy as np
import pytest

import dsrecords
from dsrecords import IndexedRecordDataset, SchemaError, infer_schema, make_dataset
from dsrecords._schema import tabular

F4 = np.float32
COLUMNS = {
    "x": np.arange(6, dtype=F4).reshape(3, 2),
    "n": np.ma.masked_array([1, 2, 3], [False, True, False]),
    "s": ["a", None, "c"],
    "b": (True, False, True),
}
SCHEMA = {"x": "float32[2]", "n": "int64?", "s": "str?", "b": "bool"}
STRUCTURED = np.array(
    [(1, (0, 1), "a"), (2, (2, 3), "bc")], [("n", ">i4"), ("x", "f4", (2,)), ("s", "U2")]
)


@pytest.fixture(autouse=True)
def _is_quiet(caplog):
    caplog.set_level(logging.ERROR)


def test_a_dict_of_columns_is_a_table(path):
    assert infer_schema(COLUMNS) == SCHEMA
    make_dataset(COLUMNS, path)
    with dsrecords.open(path) as ds:
        assert ds.schema == SCHEMA
        ds.extend({"b": [False], "x": np.ones((1, 2)), "s": ["d"]})
        assert ds.column("x").tolist() == [[0, 1], [2, 3], [4, 5], [1, 1]]
        assert ds.column("n").tolist() == [1, None, 3, None]
        assert ds.column("s") == ["a", None, "c", "d"]


def test_a_structured_array_is_a_table(path):
    wanted = {"n": "int32", "x": "float32[2]", "s": "str"}
    for table in (STRUCTURED, STRUCTURED.view(np.recarray), list(STRUCTURED)):
        assert infer_schema(table) == wanted
        make_dataset(table, path, overwrite=True)
        ds = dsrecords.open(path)
        assert ds.column("n").tolist() == [1, 2]
        assert ds.column("x").tolist() == [[0, 1], [2, 3]]
        assert ds.column("s") == ["a", "bc"]


def test_an_npz_file_is_a_table(path, tmp_path):
    np.savez(tmp_path / "columns.npz", x=np.zeros((3, 2), F4), n=np.arange(3))
    with np.load(tmp_path / "columns.npz") as columns:
        make_dataset(columns, path)
        assert dsrecords.open(path).schema == {"x": "float32[2]", "n": "int64"}
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object), allow_pickle=True)
    for allow_pickle, problem in ((False, "field 'x': .*allow_pickle"), (True, "without allow")):
        columns = np.load(tmp_path / "objects.npz", allow_pickle=allow_pickle)
        with columns, pytest.raises(SchemaError, match=problem):
            make_dataset(columns, path, overwrite=True)


def test_columns_are_the_fields_by_position_where_these_have_no_names(path):
    make_dataset(COLUMNS, path, list(SCHEMA.values()))
    assert dsrecords.open(path)[2][2] == "c"
    with pytest.raises(SchemaError, match="must have 2 fields, not 4"):
        make_dataset(COLUMNS, path, ["float32[2]", "int64?"], overwrite=True)


@pytest.mark.parametrize("count", [0, 1, 4096, 4097])
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("options", [{}, {"progress": True}, {"num_workers": 1}])
def test_a_table_of_any_length_is_written_whole(path, count, options):
    columns = {"n": np.arange(count), "s": np.arange(count).astype("U4")}
    make_dataset(columns, path, **options)
    ds = dsrecords.open(path)
    assert ds.schema == {"n": "int64", "s": "str"}
    assert ds.column("n").tolist() == list(range(count))
    assert ds.column("s") == [str(i) for i in range(count)]


def test_a_table_trains_dictionaries(path):
    texts = [f"the cat number {i} sat on the mat" for i in range(300)]
    make_dataset({"s": texts}, path, {"s": "zstd(str)"})
    assert dsrecords.open(path).column("s") == texts


def test_columns_are_read_in_batches(path):
    """Ten batches are asked for, and none is larger than the others: no table becomes objects at once."""
    asked = []

    class Watched(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, slice):
                asked.append(key.stop - key.start)
            return super().__getitem__(key)

    count = 9 * tabular._BATCH + 1
    make_dataset({"n": np.arange(count).view(Watched)}, path, {"n": "int64"})
    assert asked == [tabular._BATCH] * 9 + [1]


def test_a_row_that_does_not_fit_is_named(path):
    columns = {"n": np.arange(5000), "s": ["a"] * 4999 + [7]}
    with pytest.raises(SchemaError, match=r"record 4999, field 's': str expected.*inferred"):
        make_dataset(columns, path)
    with IndexedRecordDataset(path, schema={"n": "int64", "s": "str"}) as ds:
        ds.append({"n": 1, "s": "first"})
        with pytest.raises(SchemaError, match="record 5000, field 's': row 4999 of those given"):
            ds.extend(columns)
        assert len(ds) == 5000  # those before it are there


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1], "y": 2}, "'y' is an int"),
        ({"x": [1], "y": "a"}, "'y' is a str"),
        ({"x": [1], "y": np.float32(2)}, "'y' is a float32"),
        ({"x": [1], "y": [1, 2]}, "'x' has 1 values, 'y' has 2"),
        ({}, "there are none"),
    ],
)
def test_a_dict_that_is_one_sample_is_no_table(path, columns, message):
    for take in (infer_schema, lambda columns: make_dataset(columns, path)):
        with pytest.raises(SchemaError, match=rf"samples must be a list .*{message}.*\[sample\]"):
            take(columns)


def test_a_table_with_other_columns_than_fields_is_refused(made):
    with dsrecords.open(made) as ds:
        with pytest.raises(SchemaError, match="field 'text': missing"):
            ds.extend({"label": [1]})
        with pytest.raises(SchemaError, match="field 'more': unknown"):
            ds.extend({"label": [1], "text": ["a"], "more": [1]})
        assert len(ds) == 10
