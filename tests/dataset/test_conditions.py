"""Conditions such as `label == 3 and score > 0.5`: which records they keep, and what is said of those that are none."""

import numpy as np
import pytest

import dsrecords
from dsrecords import SchemaError
from dsrecords._dataset import conditions
from dsrecords._dataset.condition_grammar import parse

NAN = float("nan")
SCHEMA = {
    "x": "int64",
    "score": "float32?",
    "text": "str?",
    "kind": "category[cat,dog,bird]",
    "maybe": "category[cat,dog]?",
    "tokens": "int32[*]",
    "tags": "list[str]?",
    "flag": "bool",
    "when": "datetime64[D]",
    "took": "timedelta64[s]",
    "big": "uint64",
    "box": "float32[4]",
    "blob": "bytes?",
    "half": "float16",
    "packed": "zstd(str)",
    "odd name": "int8",
}
COUNT = 60
ROWS = [
    {
        "x": i - 5,
        "score": None if i % 3 == 0 else NAN if i % 7 == 0 else i / 10,
        "text": None if i % 4 == 0 else f"té{i}",
        "kind": ["cat", "dog", "bird"][i % 3],
        "maybe": [None, "cat", "dog"][i % 3],
        "tokens": np.arange(i % 5, dtype=np.int32),
        "tags": None if i % 6 == 0 else ["a", "b", "c"][: i % 4],
        "flag": i % 2 == 0,
        "when": np.datetime64("2026-01-01") + np.timedelta64(i, "D"),
        "took": np.timedelta64(i, "m"),
        "big": 2**63 + i,
        "box": np.arange(4, dtype=np.float32) * i,
        "blob": None if i % 5 == 0 else bytes(i),
        "half": i / 4,
        "packed": f"p{i % 3}",
        "odd name": i % 3,
    }
    for i in range(COUNT)
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("conditions") / "data.rec"
    dsrecords.make_dataset(ROWS, path, SCHEMA)
    return dsrecords.open(path)


def score(row):
    """The score as float32 has it."""
    value = row["score"]
    return None if value is None else np.float32(value)


def known(value, test):
    """What a comparison with a value is: None where that is None."""
    return None if value is None else bool(test(value))


def negated(truth):
    return None if truth is None else not truth


def both(first, second):
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


CONDITIONS = {
    "x == 3": lambda row: row["x"] == 3,
    "x == -2 or true": lambda row: True,
    "3 < x": lambda row: row["x"] > 3,
    "-1 <= x < 4": lambda row: -1 <= row["x"] < 4,
    "x != 3 and not x > 10": lambda row: row["x"] != 3 and not row["x"] > 10,
    "x in (1, 2.5, -3)": lambda row: row["x"] in (1, -3),
    "x not in [1, 2, 3,]": lambda row: row["x"] not in (1, 2, 3),
    "x in (0,1,2,3,4,5,6,7,8,9,123456789012345678901234567890)": lambda row: 0 <= row["x"] <= 9,
    "x < 1e999 and x > -1_0.5": lambda row: True,
    "x == 123456789012345678901234567890": lambda row: False,
    "x < `odd name` or x > 0": lambda row: row["x"] < row["odd name"] or row["x"] > 0,
    "big > x": lambda row: True,
    "big == 9223372036854775810": lambda row: row["big"] == 2**63 + 2,
    "score > 2": lambda row: known(score(row), lambda value: value > 2),
    "not score > 2": lambda row: negated(known(score(row), lambda value: value > 2)),
    "score != 0.1": lambda row: known(score(row), lambda value: value != np.float32(0.1)),
    "score == 0.1": lambda row: known(score(row), lambda value: value == np.float32(0.1)),
    "score is nan": lambda row: known(score(row), np.isnan),
    "score is not nan": lambda row: known(score(row), lambda value: not np.isnan(value)),
    "score is None": lambda row: score(row) is None,
    "score == None": lambda row: score(row) is None,
    "None != score": lambda row: score(row) is not None,
    "score in (0.5, None)": lambda row: (
        score(row) is None or known(score(row), lambda value: value == 0.5)
    ),
    "score > 2 or x < 3": lambda row: negated(
        both(
            negated(known(score(row), lambda value: value > 2)),
            negated(row["x"] < 3),
        )
    ),
    "score > x": lambda row: known(score(row), lambda value: value > row["x"]),
    "text == 'té5'": lambda row: known(row["text"], lambda value: value == "té5"),
    'text < "té3"': lambda row: known(row["text"], lambda value: value < "té3"),
    "'5' in text": lambda row: known(row["text"], lambda value: "5" in value),
    "'5' not in text": lambda row: known(row["text"], lambda value: "5" not in value),
    "text in ('té1', 'té2', None)": lambda row: row["text"] in ("té1", "té2", None),
    "text != packed": lambda row: known(row["text"], lambda value: True),
    r"text == 't\'\\\n'": lambda row: known(row["text"], lambda value: False),
    "len(text) == 3": lambda row: known(row["text"], lambda value: len(value) == 3),
    "packed == 'p1'": lambda row: row["packed"] == "p1",
    "kind == 'cat'": lambda row: row["kind"] == "cat",
    "'dog' != kind": lambda row: row["kind"] != "dog",
    "kind in ('cat', 'bird')": lambda row: row["kind"] in ("cat", "bird"),
    "maybe == 'cat'": lambda row: known(row["maybe"], lambda value: value == "cat"),
    "maybe is not None": lambda row: row["maybe"] is not None,
    "flag": lambda row: row["flag"],
    "not flag and flag == False": lambda row: not row["flag"],
    "flag == 1": lambda row: row["flag"],
    "when >= '2026-02-01'": lambda row: row["when"] >= np.datetime64("2026-02-01"),
    "when > '2026-01-03T12:00Z'": lambda row: row["when"] >= np.datetime64("2026-01-04"),
    "took > '10 m'": lambda row: row["took"] > np.timedelta64(10, "m"),
    "took <= '1h'": lambda row: row["took"] <= np.timedelta64(1, "h"),
    "len(tokens) > 2": lambda row: len(row["tokens"]) > 2,
    "3 >= len(tokens)": lambda row: len(row["tokens"]) <= 3,
    "3 in tokens": lambda row: 3 in row["tokens"],
    "'a' in tokens": lambda row: False,
    "'b' in tags": lambda row: known(row["tags"], lambda value: "b" in value),
    "len(tags) == 2": lambda row: known(row["tags"], lambda value: len(value) == 2),
    "tags is None": lambda row: row["tags"] is None,
    "10 in box": lambda row: 10 in row["box"],
    "len(box) == 4": lambda row: True,
    "blob is None or len(blob) > 30": lambda row: row["blob"] is None or len(row["blob"]) > 30,
    "not len(blob) > 30": lambda row: known(row["blob"], lambda value: len(value) <= 30),
    "half < 1e6": lambda row: True,
    "False": lambda row: False,
    "((((x == 1))))": lambda row: row["x"] == 1,
    "not not not x == 1": lambda row: row["x"] != 1,
}


@pytest.mark.parametrize("text", CONDITIONS, ids=range(len(CONDITIONS)))
def test_a_condition_keeps_what_python_says(dataset, text):
    kept = dataset.filter(text)
    expected = [row["x"] for row in ROWS if CONDITIONS[text](row)]
    assert kept.column("x").tolist() == expected


@pytest.mark.parametrize("text", CONDITIONS, ids=range(len(CONDITIONS)))
def test_blocks_and_the_order_of_a_view_change_nothing(dataset, text, monkeypatch):
    monkeypatch.setattr(conditions, "BLOCK", 7)
    view = dataset.shuffle(3)[5:50]
    rows = [ROWS[i + 5] for i in view.column("x").tolist()]
    expected = [row["x"] for row in rows if CONDITIONS[text](row)]
    assert view.filter(text).column("x").tolist() == expected


WRONG = {
    "": "column 1: a comparison is expected",
    "   ": "column 1: a comparison is expected",
    "x": "column 1: x is int64: compare it, as in x == …",
    "3": "column 1: a comparison is expected",
    "x ==": "column 5: a field or a value is expected, not the end",
    "x = 3": "column 3: write == in the place of =",
    "x == 3 & flag": "column 8: write and in the place of &",
    "!flag": "column 1: write not in the place of !",
    "x <> 3": "column 3: write != in the place of <>",
    "x == 3 4": "column 8: 'and' or 'or' is expected, not '4'",
    "(x == 3": "column 8: ')' is expected, not the end",
    "x == 3)": "column 7: 'and' or 'or' is expected, not ')'",
    "x in ()": "column 6: the list has no values",
    "x in (1, y)": "column 10: a list has numbers and strings",
    "x in 3": "column 3: 'in' is for",
    "x in tokens": "column 3: 'in' is for",
    "x not 3": "column 7: 'in' is expected behind 'not'",
    "x is 3": "column 6: 'is' is for None and nan, not '3'",
    "3 is None": "column 1: only a field can be None",
    "len(x) is None": "column 1: only a field can be None",
    "text is nan": "column 1: text is str?, which has no nan",
    "x < None": "column 3: None has no order",
    "1 < 2": "column 3: one of the two must be a field",
    "y == 1": "column 1: no field 'y': there are x, score",
    "scor > 1": "column 1: no field 'scor': did you mean score?",
    "x.real == 1": "column 2: '.' means nothing here",
    "x; y": "column 2: ';' means nothing here",
    "x == 'a": "column 6: the string has no end",
    "`x == 1": "column 1: the name has no closing backquote",
    r"text == 'a\x'": r"column 11: strings have",
    "x == 1.2.3": "column 6: '1.2.' is no number",
    "x == 'a'": "column 6: x is int64: a number fits, not 'a'",
    "x == True": "column 6: x is int64: a number fits, not True",
    "text == 3": "column 9: text is str?: a string fits, not 3",
    "text > x": "column 6: str? and int64 cannot be compared",
    "kind == maybe": "column 6: ",
    "kind < 'cat'": "column 6: kind has no order",
    "kind == 'cta'": "column 9: kind has no category 'cta': did you mean 'cat'?",
    "kind == 0": "column 9: kind has no category 0: there are cat, dog, bird",
    "when > 'now'": "column 8: a string such as",
    "when > '2026-13-40'": "column 8: a string such as",
    "when > 3": "column 8: a string such as",
    "took > '3 parsecs'": "column 8: a string such as '36h'",
    "blob == 'a'": "column 1: blob is bytes?: of such a field",
    "3 in blob": "column 6: blob is bytes?, which has no",
    "3 in text": "column 1: text is str?: it has parts that are strings",
    "len(x) == 1": "column 1: x is int64, which has no length",
    "len(tokens) == 'a'": "column 16: len is compared with a number",
    "len(tokens) == x": "column 16: len is compared with a number",
    "x == len(tokens)": "column 6: len is compared with a number",
    "len(3) == 1": "column 5: len takes the name of a field",
    "max(x) == 1": "column 1: len is the only function",
    "(" * 60: "more than 50 levels",
    "not " * 60 + "flag": "more than 50 levels",
    "x == " + "1" * 401: "a number has at most 400 digits",
    "x == 1 or " * 2000: "a condition has at most 10000 characters",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_no_condition_is_told_with_its_column(dataset, text):
    with pytest.raises(SchemaError) as caught:
        dataset.filter(text)
    assert WRONG[text] in str(caught.value)


def test_a_condition_takes_no_fields(dataset):
    with pytest.raises(TypeError, match="names its fields"):
        dataset.filter("x == 3", fields=["x"])
    with pytest.raises(TypeError, match="names its fields"):
        dataset.filter("x == 3", batched=True)


def test_fields_without_names_are_named_by_their_positions(tmp_path):
    path = tmp_path / "data.rec"
    dsrecords.make_dataset([(i, f"t{i}") for i in range(5)], path, ["int32", "str"])
    dataset = dsrecords.open(path)
    assert dataset.filter("`0` >= 3 and `1` != 't4'").column(0).tolist() == [3]
    with pytest.raises(SchemaError, match="column 1: no field '2'"):
        dataset.filter("`2` == 1")


def test_none_and_lengths_are_known_without_reading_a_value(tmp_path):
    path = tmp_path / "data.rec"
    rows = [{"x": i, "image": None if i % 2 else b"no image", "t": [i] * i} for i in range(6)]
    dsrecords.make_dataset(rows, path, {"x": "int8", "image": "bytes?", "t": "list[int64]"})
    data = bytearray(path.read_bytes())
    start = data.index(b"no image")
    data[start] ^= 255
    path.write_bytes(data)
    dataset = dsrecords.open(path)
    assert dataset.filter("image is None and len(t) > 2").column("x").tolist() == [3, 5]
    assert len(dataset.check()) == 1


def test_records_that_cannot_be_read_are_an_error_or_left_out(tmp_path):
    path = tmp_path / "data.rec"
    dsrecords.make_dataset([{"t": f"text {i}"} for i in range(6)], path, {"t": "str"})
    data = bytearray(path.read_bytes())
    data[data.index(b"text 2")] ^= 255
    path.write_bytes(data)
    with pytest.raises(dsrecords.CorruptError):
        dsrecords.open(path).filter("'text' in t")
    dataset = dsrecords.open(path, on_error="skip")
    assert len(dataset.filter("'text' in t")) == 5
    assert len(dataset.skipped) == 1


def test_many_files_are_filtered_as_one(tmp_path):
    rows = [{"x": i, "t": None if i % 3 else "a" * i} for i in range(30)]
    dsrecords.make_dataset(rows, tmp_path / "d.rec", {"x": "int64", "t": "str?"}, shards=4)
    dataset = dsrecords.open(tmp_path / "d.json")
    assert dataset.filter("t is not None and x > 20").column("x").tolist() == [21, 24, 27]
    assert dataset.filter("len(t) > 20").column("x").tolist() == [21, 24, 27]


def test_no_text_raises_anything_but_a_schema_error():
    pieces = ["x", "==", "(", ")", "not", "in", "is", "None", "'a'", "3", "-", ",", "len", "`", "'"]
    for first in pieces:
        for second in pieces:
            for third in pieces:
                try:
                    parse(f"{first} {second} {third}")
                except SchemaError as error:
                    assert "column" in str(error)
