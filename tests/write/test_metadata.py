"""Metadata that is changed: seen at once, in views as it was, and in the header once the dataset is compacted."""

import copy
import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest
from conftest import SCHEMA, flip, frames, row, rows

import dsrecords
from dsrecords import CorruptError, ReadOnlyError, SchemaError, make_dataset

METADATA_KIND = 5
FIRST, SECOND = {"classes": ["cat"], "deep": {"é": [1, None, 2.5, True]}}, {"": "second"}


def of_header(path):
    data = Path(path).read_bytes()
    (size,) = struct.unpack_from("<I", data, 20)
    return json.loads(data[40 : 40 + size])["metadata"]


@pytest.fixture
def described(path):
    make_dataset(rows(5), path, SCHEMA, metadata={"old": 1})
    return path


def test_it_is_seen_at_once_by_all_who_look_and_after_reopening(described, tmp_path):
    reader = dsrecords.open(described)
    with dsrecords.open(described) as ds:
        for metadata in (FIRST, SECOND, {}, FIRST):
            assert ds.set_metadata(metadata) is None
            assert ds.metadata == metadata
            assert dsrecords.open(described).metadata == metadata
            reader.refresh()
            assert reader.metadata == metadata
        ds.append(row(5))
        assert ds.metadata == FIRST
    shutil.copy(described, tmp_path / "alone.rec")
    for path in (described, tmp_path / "alone.rec"):
        ds = dsrecords.open(path)
        assert ds.metadata == FIRST
        assert list(ds) == rows(6)
        assert ds.check() == []
    assert of_header(described) == {"old": 1}
    assert [frame.kind for frame in frames(described)].count(METADATA_KIND) == 4


def test_it_goes_on_behind_edits_and_checkpoints(described):
    with dsrecords.open(described) as ds:
        ds.set_metadata(FIRST)
        del ds[0]
        ds.flush()
        ds[0, "label"] = 7
        assert ds.metadata == FIRST
        ds.flush()
        ds.set_metadata(SECOND)
        ds.flush()
        assert ds.metadata == dsrecords.open(described).metadata == SECOND
    assert dsrecords.open(described).metadata == SECOND


def test_what_is_given_and_what_is_returned_are_copies(described):
    given = copy.deepcopy(FIRST)
    ds = dsrecords.open(described)
    ds.set_metadata(given)
    given["deep"]["é"].append("more")
    ds.metadata["classes"].append("more")
    assert ds.metadata == FIRST


def test_compaction_puts_it_into_the_header(described, tmp_path):
    with dsrecords.open(described) as ds:
        ds.set_metadata(FIRST)
        ds.compact(tmp_path / "out.rec")
        ds.compact()
        assert ds.metadata == FIRST
    for path in (described, tmp_path / "out.rec"):
        assert of_header(path) == FIRST
        assert METADATA_KIND not in [frame.kind for frame in frames(path)]
        assert dsrecords.open(path).metadata == FIRST
    with dsrecords.open(described) as ds:
        ds.set_metadata(SECOND)
        ds.add_field("new", "int8?")
    assert of_header(described) == SECOND


def test_a_view_has_that_of_the_moment_when_it_was_made(described, tmp_path):
    ds = dsrecords.open(described)
    old = ds[::-1]
    ds.set_metadata(FIRST)
    view = ds[1:3]
    pickled = pickle.dumps(view)
    view.save_view(tmp_path / "view.idx")
    ds.set_metadata(SECOND)
    del ds[0]
    ds.append(row(5))
    assert old.metadata == {"old": 1}
    assert view.metadata == view[:1].metadata == FIRST
    with pytest.warns(UserWarning, match="edited once since"):
        opened = dsrecords.open(described, index_path=tmp_path / "view.idx")
    assert opened.metadata == FIRST
    assert ds[:].metadata == SECOND
    view.compact(tmp_path / "out.rec")
    assert dsrecords.open(tmp_path / "out.rec").metadata == FIRST
    ds.close()
    with pytest.raises(dsrecords.StaleViewError):  # as the list was edited
        pickle.loads(pickled)


def test_a_pickle_has_it(described):
    with dsrecords.open(described) as ds:
        ds.set_metadata(FIRST)
        pickled = [pickle.dumps(ds), pickle.dumps(ds[1:3])]
        ds.set_metadata(SECOND)
    assert [pickle.loads(data).metadata for data in pickled] == [SECOND, FIRST]


@pytest.mark.parametrize(
    "wrong",
    [{"a": object()}, {"a": float("nan")}, {"a": b"bytes"}, {1: "a", "1": "b"}, [1], None, "a", {"a": "x" * 2**24}],
    ids=lambda wrong: type(wrong).__name__ + str(len(str(wrong))),
)  # fmt: skip
def test_what_json_cannot_hold_is_an_error_and_leaves_all_as_it_was(described, wrong):
    before = Path(described).read_bytes()
    ds = dsrecords.open(described)
    with pytest.raises(SchemaError, match="metadata"):
        ds.set_metadata(wrong)
    assert ds.metadata == {"old": 1}
    assert Path(described).read_bytes() == before
    ds.set_metadata(FIRST)
    assert ds.metadata == FIRST


def test_what_just_fits_into_a_header_is_there_after_compaction(path):
    make_dataset([], path, {"n": "int8"})
    header = 40 + len(json.dumps({**json.loads(Path(path).read_bytes()[40:4096].rstrip(b"\0"))}))
    largest = {"a": "x" * (2**24 - header - len('"a": ""'))}
    with dsrecords.open(path) as ds:
        with pytest.raises(SchemaError, match="a header has at most"):
            ds.set_metadata({"a": largest["a"] + "x"})
        ds.set_metadata(largest)
        ds.compact()
        assert ds.metadata == largest
    assert os.path.getsize(path) == 2**24


def test_views_are_read_only(described, tmp_path):
    ds = dsrecords.open(described)
    ds[:2].save_view(tmp_path / "view.idx")
    for view in (ds[:2], dsrecords.open(described, index_path=tmp_path / "view.idx")):
        with pytest.raises(ReadOnlyError, match="a view is read-only"):
            view.set_metadata({})


def test_after_close_it_is_a_value_error(described):
    ds = dsrecords.open(described)
    ds.close()
    for use in (lambda: ds.set_metadata({}), lambda: ds.metadata):
        with pytest.raises(ValueError, match=r"data\.rec is closed"):
            use()


def test_it_is_no_edit(described):
    """Pickles and readers of before go on: positions mean what they meant."""
    first, second = dsrecords.open(described), dsrecords.open(described)
    pickled = pickle.dumps(second)
    with first:
        first.set_metadata(FIRST)
    assert list(pickle.loads(pickled)) == rows(5)
    del second[0]
    assert second.metadata == FIRST and list(second) == rows(1, 5)


def test_damaged_metadata_is_an_error_that_says_where_and_the_records_are_read(described):
    with dsrecords.open(described) as ds:
        ds.set_metadata(FIRST)
        ds.append(row(5))
    frame = next(frame for frame in frames(described) if frame.kind == METADATA_KIND)
    flip(described, frame.offset + 30)
    ds = dsrecords.open(described)
    assert list(ds) == rows(6)
    with pytest.raises(CorruptError) as caught:
        _ = ds.metadata
    assert (caught.value.file, caught.value.offset) == (described, frame.offset)
    assert [problem.offset for problem in ds.check()] == [frame.offset]
    with pytest.raises(CorruptError):
        ds.compact()
    ds.set_metadata(SECOND)
    assert ds.metadata == SECOND
    ds.compact()
    assert dsrecords.open(described).check() == []
