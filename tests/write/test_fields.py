"""Fields that are replaced alone: what stays is not written again, and a failure leaves all as it was."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, frames, row, rows, shown

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    ReadOnlyError,
    SchemaError,
    StaleViewError,
    make_dataset,
)

PENDING, COMMIT, REVISION = 2, 3, 4
TEXT = "text " * 40
PARTS = {
    "a number": {"label": -7},
    "a number that was None": {"score": 2.5},
    "a number to None": {"score": None},
    "a payload": {"text": TEXT},
    "an empty payload": {"text": ""},
    "a payload to None": {"blob": None},
    "a payload that was None": {"blob": b"b" * 9},
    "a number and a payload": {"label": 2**62, "text": "é"},
    "all payloads": {"text": TEXT, "blob": b""},
    "all fields": {"label": 1, "score": 0.5, "text": "one", "blob": b"1"},
}


def everywhere(path, wanted):
    """A list is what it must be: for who opens it, with the index and without, and for `check`."""
    alone = Path(path).with_name("alone.rec")
    shutil.copy(path, alone)
    for place in (path, alone):
        with dsrecords.open(place) as ds:
            assert list(ds) == wanted
            assert ds.batch(slice(None))["text"] == [sample["text"] for sample in wanted]
            assert ds.check() == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("i", [4, 5, 7, -1])
@pytest.mark.parametrize("name", PARTS)
def test_what_is_replaced_is_seen_at_once_and_by_all(made, name, i):
    part = PARTS[name]
    reader, view = dsrecords.open(made), dsrecords.open(made)[::-1]
    ds = dsrecords.open(made)
    before = ds[:]
    wanted = rows(10)
    wanted[i] |= part
    if len(part) == 1:
        ((field, value),) = part.items()
        ds[i, field] = value
    else:
        ds[i, list(part)] = part
    assert list(ds) == wanted
    assert ds.column("text") == [sample["text"] for sample in wanted]
    assert list(before) == list(reader) == list(view)[::-1] == rows(10)
    reader.refresh()
    assert list(reader) == wanted
    everywhere(made, wanted)
    ds.close()
    everywhere(made, wanted)
    with dsrecords.open(made) as ds:
        ds.compact()
    everywhere(made, wanted)


@pytest.mark.parametrize("values", [["new", 5], ("new", 5), {"text": "new", "label": 5}], ids=type)
def test_several_fields_are_given_in_their_order_or_by_name(made, values):
    ds = dsrecords.open(made)
    ds[3, ["text", "label"]] = values
    ds[np.int64(4), ("text", "label")] = values
    for i in (3, 4):
        assert ds[i] == {**row(i), "text": "new", "label": 5}


def test_update_replaces_fields_of_several_records_as_one_batch(made):
    with dsrecords.open(made) as ds:
        ds.update(
            {7: {"label": 1}, -10: {"text": "", "blob": b"x"}, 4: {}, 5: row(50)}, partial=True
        )
    wanted = rows(10)
    wanted[7]["label"] = 1
    wanted[0] |= {"text": "", "blob": b"x"}
    wanted[5] = row(50)
    everywhere(made, wanted)
    kinds = [frame.kind for frame in frames(made)[11:]]
    assert sorted(kinds) == [PENDING, PENDING, COMMIT, REVISION]


def test_fields_without_names_have_positions(path):
    make_dataset([(i, f"text {i}", b"x") for i in range(5)], path, ["int64", "str", "bytes?"])
    with dsrecords.open(path) as ds:
        ds[0, 0] = 70
        ds[1, -1] = None
        ds[2, [1, 0]] = ["new", 72]
        ds.update({3: {0: 73, -2: "newer"}, -1: {2: b"y"}}, partial=True)
        wanted = [(70, "text 0", b"x"), (1, "text 1", None), (72, "new", b"x"), (73, "newer", b"x"), (4, "text 4", b"y")]  # fmt: skip
        assert list(ds) == wanted
        for change in (lambda: ds.__setitem__((0, 3), 1), lambda: ds.__setitem__((0, "0"), 1)):
            with pytest.raises(SchemaError, match="no field"):
                change()
    assert list(dsrecords.open(path)) == wanted


def test_revisions_are_revised(made):
    wanted = rows(10)
    with dsrecords.open(made) as ds:
        for number in range(30):
            i, part = number % 3 + 4, list(PARTS.values())[number % len(PARTS)]
            ds.update({i: part}, partial=True)
            wanted[i] |= part
            if number % 15 == 0:
                ds.quick_remove_at(4)
                wanted[4] = wanted.pop()
        assert list(ds) == wanted
    everywhere(made, wanted)


def test_the_schema_of_revisions_changes(made):
    with dsrecords.open(made) as ds:
        ds[4, ["label", "text"]] = [40, "new"]
        ds[5, "label"] = 50
        ds.add_field("length", "int8", lambda sample: len(sample["text"]))
        ds[4, "length"] = 9
        ds[5, "blob"] = b"b"
        ds.rename_fields({"text": "words"})
        ds.cast({"label": "int32"})
        ds.drop_fields(["score"])
        wanted = [
            {"label": sample["label"], "words": sample["text"], "blob": sample["blob"], "length": len(sample["text"])}
            for sample in rows(10)
        ]  # fmt: skip
        wanted[4] |= {"label": 40, "words": "new", "length": 9}
        wanted[5] |= {"label": 50, "blob": b"b"}
        assert list(ds) == wanted
    assert list(dsrecords.open(made)) == wanted
    assert dsrecords.open(made).check() == []


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda ds: ds.__setitem__((7, "nope"), 1), SchemaError, "record 7.*no field"),
        (lambda ds: ds.__setitem__((7, "label"), "one"), SchemaError, "record 7, field 'label'"),
        (lambda ds: ds.__setitem__((7, "label"), None), SchemaError, "record 7, field 'label'"),
        (lambda ds: ds.__setitem__((7, "label"), 2**63), SchemaError, "record 7, field 'label'"),
        (lambda ds: ds.__setitem__((-3, "text"), b"x"), SchemaError, "record 7, field 'text'"),
        (lambda ds: ds.__setitem__((7, ["label", "text"]), [1]), SchemaError, "2 fields need"),
        (lambda ds: ds.__setitem__((7, ["label", "text"]), "ab"), SchemaError, "2 fields need"),
        (lambda ds: ds.__setitem__((7, ["label", "text"]), {"label": 1}), SchemaError, "were given for"),
        (lambda ds: ds.__setitem__((7, ["label", "text"]), {"label": 1, "text": 1}), SchemaError, "'text'"),
        (lambda ds: ds.__setitem__((10, "label"), 1), IndexError, "10 records"),
        (lambda ds: ds.__setitem__((-11, "label"), 1), IndexError, "10 records"),
        (lambda ds: ds.__setitem__((1.0, "label"), 1), TypeError, "float"),
        (lambda ds: ds.update({1: {"label": 1}, 2: {"label": "x"}}, partial=True), SchemaError, "record 2"),
        (lambda ds: ds.update({1: {"label": 1}, 10: {"label": 1}}, partial=True), IndexError, "10 records"),
        (lambda ds: ds.update({1: {"label": 1}, -9: {"text": ""}}, partial=True), IndexError, "same record"),
        (lambda ds: ds.update({1: {"label": 1}, 2: [1]}, partial=True), SchemaError, "record 2.*dict"),
        (lambda ds: ds.update({1: {"label": 1}}), SchemaError, "record 1.*missing"),
        (lambda ds: ds.update([{"label": 1}], partial=True), TypeError, r"ds\.update\(\{"),
    ],
    ids=lambda value: None if callable(value) else shown(value),
)  # fmt: skip
def test_what_does_not_fit_is_an_error_and_leaves_all_as_it_was(made, change, error, says):
    before = Path(made).read_bytes()
    ds = dsrecords.open(made)
    with pytest.raises(error, match=says):
        change(ds)
    assert list(ds) == rows(10)
    assert Path(made).read_bytes() == before
    ds[7, "label"] = 1  # and on
    assert ds[7, "label"] == 1


def test_no_fields_are_no_change(made):
    before = Path(made).read_bytes()
    with dsrecords.open(made) as ds:
        ds[7, []] = {}
        ds[7, []] = []
        ds.update({7: {}, 8: {}}, partial=True)
        ds.update({}, partial=True)
    assert Path(made).read_bytes() == before


def test_a_view_is_read_only(made, tmp_path):
    ds = dsrecords.open(made)
    ds[2:5].save_view(tmp_path / "view.idx")
    for view in (ds[2:5], dsrecords.open(made, index_path=tmp_path / "view.idx")):
        for change in (
            lambda view=view: view.__setitem__((0, "label"), 1),
            lambda view=view: view.update({0: {"label": 1}}, partial=True),
        ):
            with pytest.raises(ReadOnlyError, match="a view is read-only"):
                change()
    assert list(dsrecords.open(made)) == rows(10)


def test_a_field_of_a_list_that_others_have_edited_since_is_stale(made):
    first, second = dsrecords.open(made), dsrecords.open(made)
    with first:
        del first[0]
    with pytest.raises(StaleViewError, match="look again"):
        second[0, "label"] = 5
    assert list(second) == rows(1, 10)


def test_a_record_of_numbers_alone_is_written_whole(path):
    make_dataset(({"n": i, "x": i / 2} for i in range(5)), path, {"n": "int64", "x": "float64?"})
    with dsrecords.open(path) as ds:
        ds[1, "x"] = None
        ds.update({3: {"n": 30}, 4: {"x": 0.5}}, partial=True)
    assert [frame.kind for frame in frames(path)[6:]] == [PENDING, COMMIT, PENDING, PENDING, COMMIT]
    wanted = [(0, 0.0), (1, None), (2, 1.0), (30, 1.5), (4, 0.5)]
    assert [tuple(sample.values()) for sample in dsrecords.open(path)] == wanted
    assert dsrecords.open(path).check() == []


def test_types_that_are_not_stored_as_they_are_given(path):
    schema = {
        "kind": "category[cat,dog]?",
        "text": "zstd(str)",
        "pair": "float32[2]",
        "rest": "json",
    }
    sample = {"kind": "dog", "text": "words " * 50, "pair": np.ones(2, "f4"), "rest": [1]}
    make_dataset([sample] * 3, path, schema)
    with dsrecords.open(path) as ds:
        ds[0, "kind"] = "cat"
        ds[1, ["kind", "rest"]] = [None, {"a": 1}]
        ds[2, "pair"] = [2, 3]
    ds = dsrecords.open(path)
    assert ds.batch(slice(None), "kind").tolist() == [0, None, 1]
    assert ds.column("rest") == [[1], {"a": 1}, [1]]
    assert ds.column("pair").tolist() == [[1, 1], [1, 1], [2, 3]]
    assert ds.column("text") == [sample["text"]] * 3
    assert ds.check() == []


def test_functions_of_ones_own_write_single_fields_too(path):
    def save_reversed(text):
        return text[::-1].encode()

    with IndexedRecordDataset(path, serializers={"a": save_reversed, "n": "int8"}) as ds:
        ds.append({"a": "abc", "n": 1})
        ds[0, "n"] = 2
        ds[0, "a"] = "def"
        ds[0, "n"] = 3
    with dsrecords.open(path) as ds:  # without the function: the others can be replaced
        ds[0, "n"] = 4
        with pytest.raises(SchemaError, match="field 'a'"):
            ds[0, "a"] = "ghi"
    ds = IndexedRecordDataset(path, deserializers={"a": lambda data: bytes(data).decode()})
    assert ds[0] == {"a": "fed", "n": 4}


# What it costs, and what it does not touch


@pytest.mark.parametrize("at_once", [False, True])
def test_a_thousand_labels_of_large_records_are_written_without_the_records(path, at_once):
    make_dataset(
        ({"image": bytes([i % 256]) * 100_000, "label": i} for i in range(1000)),
        path,
        {"image": "bytes", "label": "int64"},
    )
    size = os.path.getsize(path)
    with dsrecords.open(path) as ds:
        if at_once:
            ds.update({i: {"label": -i} for i in range(1000)}, partial=True)
        else:
            for i in range(1000):
                ds[i, "label"] = -i
    assert os.path.getsize(path) - size < 200_000
    ds = dsrecords.open(path)
    assert ds.column("label").tolist() == [-i for i in range(1000)]
    assert ds[999, "image"] == bytes([999 % 256]) * 100_000


def test_of_several_payloads_only_the_one_that_is_new_is_written(path):
    make_dataset([{"a": b"a" * 9000, "b": b"b" * 9000}], path, {"a": "bytes", "b": "bytes"})
    size = os.path.getsize(path)
    with dsrecords.open(path) as ds:
        ds[0, "b"] = b"c" * 1000
    assert os.path.getsize(path) - size < 1200
    assert dsrecords.open(path)[0] == {"a": b"a" * 9000, "b": b"c" * 1000}


def test_what_stays_is_not_read(made):
    at = Path(made).read_bytes().index(row(7)["text"].encode())
    flip(made, at)
    with dsrecords.open(made) as ds:
        ds[7, "label"] = 70
        assert ds[7, "label"] == 70
    ds = dsrecords.open(made)
    assert ds[7, ["label", "blob"]] == {"label": 70, "blob": row(7)["blob"]}
    with pytest.raises(CorruptError, match=f"record 7, field 'text', byte {at}"):
        ds[7]
    ds[7, "text"] = "new"
    assert ds[7] == {**row(7), "label": 70, "text": "new"}


def test_a_damaged_head_is_not_built_on(path):
    make_dataset(rows(10), path, SCHEMA)
    index = Path(path).with_suffix(".idx")
    size = (len(index.read_bytes()) - 3 * 4096) // 10
    flip(index, 3 * 4096 + 7 * size + 30)
    before = Path(path).read_bytes()
    ds = dsrecords.open(path)
    with pytest.raises(CorruptError, match="record 7"):
        ds[7, "label"] = 70
    assert Path(path).read_bytes() == before
    ds[6, "label"] = 60
    ds[7] = row(70)
    assert ds[7] == row(70) and ds[6] == {**row(6), "label": 60}


SCALARS = {
    "bool": True, "int8": -8, "uint64": 2**64 - 1, "float16": 0.5, "float64": 0.1, "complex64": 1j, "complex128": 2 - 1j,
    "bfloat16": 0.5, "category[a,b]": "b", "datetime64[us]": np.datetime64(5, "us"), "timedelta64[s]": np.timedelta64(5, "s"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SCALARS)
def test_a_number_of_any_type_becomes_none_and_a_number_again(tmp_path, kind):
    value = SCALARS[kind]
    path, _ = make_dataset(
        [{"x": value, "n": 1}], tmp_path / "a.rec", {"x": f"{kind}?", "n": "int8"}
    )
    with dsrecords.open(path) as ds:
        for given in (None, value, None):
            ds[0, "x"] = given
            ds.append({"x": given, "n": 2})
    with dsrecords.open(path) as ds:
        assert list(ds) == [
            {"x": None, "n": 1},
            {"x": None, "n": 2},
            {"x": value, "n": 2},
            {"x": None, "n": 2},
        ]
