"""Structs and lists of structs, beyond what every type does: nested schemas, columns, and who is named when one does not fit."""

import numpy as np
import pytest
from sameness import same

import dsrecords
from dsrecords import SchemaError, make_dataset

OBJECTS = {
    "objects": [{"box": "float32[4]", "label": "int32", "score": "float64?", "name": "str?"}],
    "n": "int8",
}


def thing(i):
    return {
        "box": np.full(4, i, "<f4"),
        "label": i,
        "score": None if i % 2 else i / 2,
        "name": f"thing {i}" if i % 3 else None,
    }


@pytest.fixture
def made(tmp_path):
    rows = [{"objects": [thing(i) for i in range(count)], "n": count} for count in (3, 0, 1)]
    path, _ = make_dataset(rows, tmp_path / "a.rec", OBJECTS)
    return path


def test_schema_of_dicts_and_lists_is_one_of_texts(made):
    text = "list[{box:float32[4],label:int32,score:float64?,name:str?}]"
    assert dsrecords.open(made).schema == {"objects": text, "n": "int8"}
    assert (
        dsrecords.IndexedRecordDataset(made, schema=OBJECTS).schema == dsrecords.open(made).schema
    )


def test_rows_are_dicts(made):
    assert same(dsrecords.open(made)[0, "objects"], [thing(0), thing(1), thing(2)])
    assert dsrecords.open(made)[1, "objects"] == []


@pytest.mark.parametrize("copy", [True, False])
def test_columns_on_request(made, copy):
    ds = dsrecords.open(made, decode={"objects": "columns"}, copy=copy)
    columns = ds[0, "objects"]
    assert list(columns) == ["box", "label", "score", "name"]
    assert same(columns["box"], np.repeat(np.arange(3, dtype="<f4")[:, None], 4, axis=1))
    assert same(columns["label"], np.arange(3, dtype="<i4"))
    assert same(columns["score"], np.ma.MaskedArray(np.array([0.0, 0, 1]), [False, True, False]))
    assert columns["name"] == [None, "thing 1", "thing 2"]
    assert columns["box"].flags.writeable == columns["label"].flags.writeable == copy
    assert {key: len(column) for key, column in ds[1, "objects"].items()} == dict.fromkeys(
        columns, 0
    )
    assert ds[1, "objects"]["box"].shape == (0, 4)


def test_columns_of_a_batch_are_a_list(made):
    ds = dsrecords.open(made, decode={"objects": "columns"})
    assert [columns["label"].tolist() for columns in ds.batch([2, 0])["objects"]] == [
        [0],
        [0, 1, 2],
    ]


def test_what_is_read_as_columns_can_be_written(made, tmp_path):
    ds = dsrecords.open(made, decode={"objects": "columns"})
    rows = [
        {**row, "objects": {**row["objects"], "score": row["objects"]["score"].tolist()}}
        for row in ds
    ]
    path, _ = make_dataset(rows, tmp_path / "again.rec", ds.schema)
    assert same(list(dsrecords.open(path)), list(dsrecords.open(made)))


def test_columns_within_columns(tmp_path):
    lines = [
        {"text": "ab", "words": [{"at": [0, 1], "text": "a"}, {"at": [1, 2], "text": "b"}]},
        {"text": "", "words": []},
    ]
    schema = {
        "lines": [{"text": "str", "words": [{"at": "int32[2]", "text": "str"}]}],
        "tags": "list[int16]",
        "page": {"w": "int8"},
    }
    row = {"lines": lines, "tags": [1, 2], "page": {"w": 3}}
    path, _ = make_dataset([row], tmp_path / "a.rec", schema)
    found = dsrecords.open(path, decode=dict.fromkeys(schema, "columns"))[0]
    assert [words["at"].tolist() for words in found["lines"]["words"]] == [[[0, 1], [1, 2]], []]
    assert found["lines"]["words"][0]["text"] == ["a", "b"]
    assert same(found["tags"], np.array([1, 2], "<i2"))
    assert found["page"] == {"w": 3}


def test_column_of_structs_within_structs(tmp_path):
    rows = [{"x": [{"p": {"u": 1, "v": 2}}, {"p": {"u": 3, "v": 4}}]}]
    path, _ = make_dataset(rows, tmp_path / "a.rec", {"x": [{"p": {"u": "int8", "v": "int8"}}]})
    assert dsrecords.open(path)[0] == rows[0]
    columns = dsrecords.open(path, decode={"x": "columns"})[0, "x"]
    assert {key: column.tolist() for key, column in columns["p"].items()} == {
        "u": [1, 3],
        "v": [2, 4],
    }


# A struct within the columns is a dict of columns itself: of one with 3 parts and 2 rows, the rows count.


STEPS = {
    "steps": [{"at": "int64", "hand": {"x": "int8", "y": "int8?", "name": "str"}}],
    "n": "int8",
}
HANDS = {"x": [1, 2], "y": np.ma.MaskedArray([3, 4], [False, True]), "name": ["a", "b"]}
ROWS_OF_HANDS = [{"x": 1, "y": 3, "name": "a"}, {"x": 2, "y": None, "name": "b"}]


def test_columns_of_structs_count_rows_and_not_keys(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", STEPS)
    wanted = [{"at": at, "hand": hand} for at, hand in zip([5, 6], ROWS_OF_HANDS, strict=True)]
    with dsrecords.open(path) as ds:
        ds.append({"steps": {"at": [5, 6], "hand": HANDS}, "n": 2})
        assert ds[0, "steps"] == wanted
        again = dsrecords.open(path, decode={"steps": "columns"})[0]
        ds.append(again)
        assert ds[1] == ds[0]


def test_columns_of_a_dataset_hold_structs_as_columns(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"hand": STEPS["steps"][0]["hand"], "n": "int8"})
    with dsrecords.open(path) as ds:
        ds.extend_columns({"hand": HANDS, "n": [7, 8]})
        ds.extend_columns({"hand": ROWS_OF_HANDS, "n": [7, 8]})
        assert ds.column("hand") == ROWS_OF_HANDS * 2
        with pytest.raises(SchemaError, match="field 'n': 3 values, but 2 of 'hand'"):
            ds.extend_columns({"hand": HANDS, "n": [7, 8, 9]})
        with pytest.raises(SchemaError, match="field 'hand': columns of different lengths"):
            ds.extend_columns({"hand": {**HANDS, "x": [1]}, "n": [7, 8]})
        assert len(ds) == 4


WRONG_COLUMNS = {
    "lengths": ({"at": [5], "hand": HANDS}, "columns of different lengths: 1 of 'at', 2 of 'hand'"),
    "lengths within": (
        {"at": [5, 6], "hand": {**HANDS, "x": [1]}},
        "'hand': columns of different lengths: 1 of 'x', 2 of 'y'",
    ),
    "a column too many": (
        {"at": [], "hand": [], "more": []},
        "a dict with .* expected, not 'more'",
    ),
    "a column too few": ({"at": []}, "a dict with .* expected, 'hand' is missing"),
    "a number": (
        {"at": 5, "hand": []},
        r"'at': a column \(an array or a list\) expected, not an int",
    ),
    "a string": ({"at": "56", "hand": []}, "'at': a column .* expected, not a str"),
}


@pytest.mark.parametrize("case", WRONG_COLUMNS)
def test_columns_that_do_not_fit_are_refused(tmp_path, case):
    value, message = WRONG_COLUMNS[case]
    path, _ = make_dataset([], tmp_path / "a.rec", STEPS)
    with dsrecords.open(path) as ds, pytest.raises(SchemaError, match=message):
        ds.append({"steps": value, "n": 0})


WRONG = {
    "a part that does not fit": (
        [thing(0), {**thing(1), "label": 2**31}],
        "item 1: 'label': 2147483648 is out of the range",
    ),
    "an array of another shape": (
        [{**thing(0), "box": [1, 2]}],
        r"item 0: 'box': float32\[4\] expected, not shape",
    ),
    "a part that is missing": (
        [thing(0), {"label": 1}],
        "item 1: a dict with 'box', .* expected, 'box' is missing",
    ),
    "a part too many": ([{**thing(0), "more": 1}], "item 0: a dict with .* expected, not 'more'"),
    "None": ([None], "item 0: a dict with .* expected, not None"),
    "no list": (5, "a list of dicts expected, or a dict of columns, not an int"),
    "columns of different lengths": (
        {"box": np.zeros((1, 4)), "label": [1, 2], "score": [1], "name": ["a"]},
        "columns of different lengths",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_message_names_the_item_and_the_part(made, case):
    value, message = WRONG[case]
    with dsrecords.open(made) as ds:
        with pytest.raises(SchemaError, match=f"record 3, field 'objects': {message}"):
            ds.append({"objects": value, "n": 0})
        assert len(ds) == 3


def test_only_columns_and_parts_can_be_asked_for(made):
    with pytest.raises(SchemaError, match=r"'columns', or a dict .*, not 'arrays'"):
        dsrecords.open(made, decode={"objects": "arrays"})
    with pytest.raises(SchemaError, match="field 'n': decode is for"):
        dsrecords.open(made, decode={"n": "columns"})


@pytest.mark.parametrize(
    "schema",
    [{"x": []}, {"x": ["int8", "int8"]}, {"x": {}}, {"x": {"": "int8"}}, {"x": {5: "int8"}}],
)
def test_nested_schema_that_is_none_is_refused(tmp_path, schema):
    with pytest.raises(SchemaError, match="field 'x'"):
        make_dataset([], tmp_path / "a.rec", schema)


def test_nesting_has_an_end(tmp_path):
    schema = "int8"
    for _ in range(40):
        schema = [schema]
    with pytest.raises(SchemaError, match="32 types within each other"):
        make_dataset([], tmp_path / "a.rec", {"x": schema})


def test_a_struct_of_numbers_takes_what_they_take(tmp_path):
    path, _ = make_dataset(
        [{"p": {"x": 1, "y": 2}}], tmp_path / "a.rec", {"p": {"x": "float32", "y": "float32"}}
    )
    assert (tmp_path / "a.rec").stat().st_size == 4096 + 16 + 12 + 4 + 8
    assert dsrecords.open(path)[0] == {"p": {"x": 1.0, "y": 2.0}}
