"""`dsrecords.diff`: what it finds is what was done to a copy."""

import random

import numpy as np
import pytest
from conftest import SOURCE

import dsrecords

SCHEMA = {"x": "int64", "t": "str?", "z": "zstd(str)", "c": "complex64?", "a": "float32[*]"}


def row(i):
    return {
        "x": i,
        "t": None if i % 3 == 0 else f"text {i}",
        "z": "hello " * (i % 5),
        "c": None if i % 4 == 0 else complex(i, 1),
        "a": np.arange(i % 4, dtype=np.float32),
    }


ROWS = [row(i) for i in range(40)]


@pytest.fixture
def make(tmp_path):
    def make(rows, name="other", schema=SCHEMA, **options):
        path = tmp_path / f"{name}.rec"
        dsrecords.make_dataset(rows, path, schema, overwrite=True, **options)
        return dsrecords.open(path)

    return make


@pytest.fixture
def first(make):
    return make(ROWS, "first")


def summary(found):
    return found.same, found.moved, len(found.changed), len(found.removed), len(found.added)


def test_equal_datasets_do_not_differ(first, make):
    found = dsrecords.diff(first, make(ROWS))
    assert not found
    assert summary(found) == (40, 0, 0, 0, 0)
    assert (found.schema, found.metadata) == ("", ())
    assert not dsrecords.diff(make([], "a"), make([], "b"))
    assert not dsrecords.diff(first, make(ROWS, shards=None))


def test_files_do_not_differ_from_their_shards(first, tmp_path):
    dsrecords.make_dataset(ROWS, tmp_path / "many.rec", SCHEMA, shards=3)
    assert not dsrecords.diff(first, dsrecords.open(tmp_path / "many.json"))


def test_a_change_names_its_records_and_fields(first, make):
    rows = list(ROWS)
    rows[3] = {**rows[3], "x": 100}
    rows[7] = {**rows[7], "t": "new", "c": None}
    found = dsrecords.diff(first, make(rows))
    assert found
    assert found.changed.tolist() == [[3, 3], [7, 7]]
    assert found.changed_fields == {"x": 1, "t": 1, "c": 1}
    assert summary(found) == (38, 0, 2, 0, 0)
    assert "2 changed" in repr(found)


def test_what_is_removed_added_and_moved_is_told_apart(first, make):
    found = dsrecords.diff(first, make(ROWS[:5] + ROWS[6:]))
    assert (found.removed.tolist(), summary(found)) == ([5], (39, 0, 0, 1, 0))
    found = dsrecords.diff(first, make([*ROWS[:2], row(50), *ROWS[2:]]))
    assert (found.added.tolist(), summary(found)) == ([2], (40, 0, 0, 0, 1))
    found = dsrecords.diff(first, make(ROWS[1:] + ROWS[:1]))
    assert (bool(found), summary(found)) == (True, (40, 1, 0, 0, 0))
    found = dsrecords.diff(first, make([]))
    assert summary(found) == (0, 0, 0, 40, 0)


def test_a_changed_record_is_paired_behind_what_was_removed(first, make):
    rows = list(ROWS)
    rows[20] = {**rows[20], "t": "new"}
    del rows[4]
    found = dsrecords.diff(first, make(rows))
    assert found.changed.tolist() == [[20, 19]]
    assert found.removed.tolist() == [4]


def test_equal_records_are_counted_as_often_as_they_are_there(make):
    same = row(1)
    found = dsrecords.diff(make([same] * 5, "a"), make([same] * 3, "b"))
    assert summary(found) == (3, 0, 0, 2, 0)


@pytest.mark.parametrize("seed", range(30))
def test_random_edits_are_found(first, make, seed):
    dice = random.Random(seed)
    rows = list(ROWS)
    removed = sorted(dice.sample(range(40), dice.randrange(6)))
    rows = [rows[i] for i in range(40) if i not in removed]
    added = dice.randrange(5)
    for number in range(added):
        rows.insert(dice.randrange(len(rows) + 1), row(1000 + number))
    found = dsrecords.diff(first, make(rows))
    assert (found.same, found.moved) == (40 - len(removed), 0)
    assert len(found.changed) + len(found.removed) == len(removed)
    assert len(found.changed) + len(found.added) == added
    assert set(found.removed.tolist()) | set(found.changed[:, 0].tolist()) == set(removed)


def test_other_fields_and_types_are_told_and_the_rest_is_compared(first, make):
    rows = [{"x": r["x"], "t": r["t"], "extra": 1} for r in ROWS]
    schema = {"x": "int64", "t": "str?", "extra": "int8"}
    found = dsrecords.diff(first, make(rows, schema=schema, metadata={"a": 1}))
    assert "extra" in found.schema
    assert (found.metadata, found.compared) == (("a",), ("x", "t"))
    assert (bool(found), found.same) == (True, 40)
    assert found.to_dict()["differs"] is True


def test_what_is_compressed_otherwise_is_the_same(make, tmp_path):
    rows = [{"z": f"a long text that compresses well, number {i % 7}"} for i in range(400)]
    schema = {"z": "zstd(str)"}
    pytest.importorskip("zstandard")
    first = make(rows, "a", schema)
    first.compact(tmp_path / "b.rec")
    assert not dsrecords.diff(first, dsrecords.open(tmp_path / "b.rec"))


def test_views_are_compared_as_they_show_records(first):
    assert not dsrecords.diff(first[5:10], first[[5, 6, 7, 8, 9]])
    assert summary(dsrecords.diff(first, first[::-1])) == (40, 39, 0, 0, 0)


def test_a_damaged_record_is_an_error(first, tmp_path):
    path = tmp_path / "first.rec"
    data = bytearray((tmp_path / "first.idx").read_bytes())
    data[-20] ^= 255
    (tmp_path / "bad.rec").write_bytes(path.read_bytes())
    (tmp_path / "bad.idx").write_bytes(data)
    with pytest.raises(dsrecords.CorruptError):
        dsrecords.diff(first, dsrecords.open(tmp_path / "bad.rec"))


def test_what_a_function_reads_is_refused(tmp_path):
    golden = SOURCE.parent / "tests" / "golden_0_4" / "all.rec"
    dataset = dsrecords.IndexedRecordDataset(golden, [bytes, bytes])
    with pytest.raises(dsrecords.SchemaError, match="cannot be compared"):
        dsrecords.diff(dataset, dataset)
