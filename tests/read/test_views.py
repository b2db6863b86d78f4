"""Views: parts of a dataset that copy no data, show what the list was, and travel to other processes as a few bytes."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, python, row, rows, shown

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    ReadOnlyError,
    StaleViewError,
    io,
    make_dataset,
)

KEYS = [
    slice(2, 5), slice(None), slice(None, None, -1), slice(-3, None), slice(8, 1, -3), slice(50), slice(5, 5), range(1, 9, 3),
    [5, 1, 9], [-1, -10], [3, 3, 3], [], np.array([7, 0]), np.array([7, 0], np.uint8), [np.int64(2), -2],
    [i % 2 == 0 for i in range(10)], np.arange(10) > 6, np.zeros(10, bool),
]  # fmt: skip


def expected(key, count=10):
    return np.arange(count)[
        np.asarray(key, np.int64) if isinstance(key, list) and not key else key
    ].tolist()


# What a view is


@pytest.mark.parametrize("key", KEYS, ids=shown)
def test_slices_lists_and_masks_give_views(made, key):
    ds = dsrecords.open(made)
    view, wanted = ds[key], expected(key)
    assert type(view) is type(ds)
    assert len(view) == len(wanted)
    assert list(view) == [row(i) for i in wanted]
    assert view.column("label").tolist() == wanted
    assert view.batch(range(len(wanted)))["text"] == [row(i)["text"] for i in wanted]
    assert [view[i, "label"] for i in range(len(wanted))] == wanted


@pytest.mark.parametrize("key", KEYS, ids=shown)
def test_views_of_views_select_among_what_the_view_shows(made, key):
    view = dsrecords.open(made)[[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]
    assert view[key].column("label").tolist() == [9 - i for i in expected(key)]


@pytest.mark.parametrize(
    "key", [[10], [0, -11], np.array([10]), [True] * 9, [False] * 11, range(9, 11)], ids=shown
)
def test_a_list_out_of_range_and_a_mask_of_another_length_are_index_errors(made, key):
    ds = dsrecords.open(made)
    with pytest.raises(IndexError, match="10 records"):
        ds[key]


def test_a_mask_of_a_view_has_the_length_of_the_view(made):
    view = dsrecords.open(made)[2:6]
    assert view[view.column("label") > 3].column("label").tolist() == [4, 5]
    with pytest.raises(IndexError, match="mask of 10 for 4"):
        view[[True] * 10]


def test_an_index_out_of_range_of_the_view_is_an_index_error(made):
    view = dsrecords.open(made)[2:6]
    assert view[-1] == row(5)
    for index in (4, -5):
        with pytest.raises(IndexError, match="4 records"):
            view[index]


def test_a_view_writes_no_file_and_copies_no_data(made, tmp_path):
    ds = dsrecords.open(made)
    before = sorted(os.listdir(tmp_path))
    views = [ds[i:] for i in range(10)]
    assert views[3][0] == row(3)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_view_keeps_its_records_when_the_array_of_indices_is_changed(made):
    ds, indices = dsrecords.open(made), np.array([7, 2])
    view = ds[indices]
    indices[:] = 0
    assert view.column("label").tolist() == [7, 2]
    assert view[0] == row(7)


def test_a_view_has_the_options_of_its_dataset(made):
    ds = dsrecords.open(made, copy=False, transform=lambda sample: sample["blob"])
    assert isinstance(ds[2:4][0], memoryview)
    assert ds[2:4].schema == SCHEMA and ds[2:4].path == made


def test_a_view_is_read_only(made):
    view = dsrecords.open(made)[:]
    for change in (
        lambda: view.append(row(0)), lambda: view.extend(rows(2)), lambda: view.extend_columns({}),
        lambda: view.__setitem__(0, row(1)), lambda: view.update({0: row(1)}), lambda: view.__delitem__(0),
        lambda: view.quick_remove_at(0), lambda: view.compact(), lambda: view.refresh(),
    ):  # fmt: skip
        with pytest.raises(ReadOnlyError, match="view"):
            change()
    assert list(view) == rows(10)


def test_a_view_can_be_written_to_a_new_dataset(made, tmp_path):
    ds = dsrecords.open(made)
    ds[[7, 0, 0]].compact(tmp_path / "part.rec")
    assert list(dsrecords.open(tmp_path / "part.rec")) == [row(7), row(0), row(0)]


# A view shows what the list was


# Every way to change a dataset of `rows(10)`, and what the list is then.
APPENDS = [
    pytest.param(lambda ds: ds.append(row(10)), rows(11), id="append"),
    pytest.param(lambda ds: ds.extend(rows(10, 40)), rows(40), id="extend"),
]
EDITS = [
    pytest.param(
        lambda ds: ds.__setitem__(3, row(30)), [*rows(3), row(30), *rows(4, 10)], id="replace"
    ),
    pytest.param(
        lambda ds: ds.update({0: row(30), 9: row(31)}), [row(30), *rows(1, 9), row(31)], id="update"
    ),
    pytest.param(lambda ds: ds.__delitem__(slice(0, 4)), rows(4, 10), id="delete"),
    pytest.param(lambda ds: ds.quick_remove_at(0), [row(9), *rows(1, 9)], id="quick_remove_at"),
    pytest.param(lambda ds: ds.compact(), rows(10), id="compact"),
]


@pytest.mark.parametrize(("change", "wanted"), [*APPENDS, *EDITS])
@pytest.mark.parametrize("looked", [False, True], ids=["unread", "read"])
@pytest.mark.parametrize("flushed", ["", "before", "between"])
def test_a_view_does_not_change_when_the_dataset_does(made, change, wanted, looked, flushed):
    ds = dsrecords.open(made)
    if flushed == "before":
        ds.extend([])
        ds.flush()
    whole, part = ds[:], ds[[9, 0]]
    if looked:
        assert list(whole) == rows(10) and part.column("label").tolist() == [9, 0]
    change(ds)
    if flushed == "between":
        ds.flush()
        change_again = ds[:]
        ds.append(row(99))
        assert list(change_again) == wanted
        wanted = [*wanted, row(99)]
    assert list(ds) == wanted
    assert list(whole) == rows(10)
    assert list(part) == [row(9), row(0)]
    assert whole.column("label").tolist() == list(range(10))
    assert whole.batch([9, 0])["text"] == [row(9)["text"], row(0)["text"]]
    assert list(whole[5:7]) == rows(5, 7)


def test_a_view_of_records_that_the_index_does_not_have_yet_outlives_its_publication(path):
    ds = IndexedRecordDataset(path, schema=SCHEMA)
    ds.append(row(0))
    view = ds[:]
    ds.flush()
    assert ds[0] == row(0)
    assert view[0] == row(0)
    assert view.column("label").tolist() == [0]


def test_a_view_outlives_the_close_of_its_dataset(made):
    with dsrecords.open(made) as ds:
        view = ds[2:5]
    assert list(view) == rows(2, 5)
    assert view.column("label").tolist() == [2, 3, 4]
    assert list(view[1:]) == rows(3, 5)


def test_a_view_outlives_the_files(made, tmp_path):
    view = dsrecords.open(made)[2:5]
    shutil.rmtree(tmp_path)
    assert list(view) == rows(2, 5)


def test_a_view_outlives_a_refresh(made):
    reader = dsrecords.open(made)
    view = reader[:]
    with dsrecords.open(made) as writer:
        del writer[::2]
        reader.refresh()
        assert list(reader) == rows(10)[1::2]
        assert list(view) == rows(10)
        writer.compact()
        reader.refresh()
        assert list(view) == rows(10)


def test_closing_a_view_leaves_its_dataset_open(made):
    ds = dsrecords.open(made)
    with ds[2:5] as view:
        pass
    assert list(ds) == rows(10)
    with pytest.raises(ValueError, match="closed"):
        view[0]
    ds.append(row(10))
    assert len(ds) == 11


def test_a_view_checks_the_bytes_of_records_that_were_taken_out_of_the_list(path):
    # Position 0 has been verified since: but of the record that is there now, not of the one that the view shows.
    make_dataset([{"text": "first"}, {"text": "second"}, {"text": "third"}], path, {"text": "str"})
    ds = dsrecords.open(path)
    ds.extend([])
    view = ds[:]
    ds.flush()
    assert view[1] == {"text": "second"}
    ds.quick_remove_at(0)
    assert ds[0] == {"text": "third"}
    flip(path, Path(path).read_bytes().index(b"first"), mask=1)  # it is a text still
    with pytest.raises(CorruptError, match="record 0, field 'text'"):
        view[0]


# Pickling


def copy_of(ds):
    return pickle.loads(pickle.dumps(ds))


def test_a_pickled_dataset_shows_the_same_records(made):
    ds = dsrecords.open(made)
    assert list(copy_of(ds)) == rows(10)
    assert copy_of(ds).schema == SCHEMA
    assert list(copy_of(copy_of(ds)[3:])) == rows(3, 10)


@pytest.mark.parametrize("key", KEYS, ids=shown)
def test_a_pickled_view_shows_the_same_records(made, key):
    assert list(copy_of(dsrecords.open(made)[key])) == [row(i) for i in expected(key)]


def test_a_pickled_dataset_is_small(path):
    make_dataset(({"n": i} for i in range(5000)), path, {"n": "int64"})
    ds = dsrecords.open(path)
    ds.column("n")
    assert len(pickle.dumps(ds)) < 600
    assert len(pickle.dumps(ds[1000:4000:3])) < 600
    assert len(pickle.dumps(ds[list(range(1000))])) < 9000


def test_a_pickled_copy_has_the_options(made, tmp_path):
    ds = IndexedRecordDataset(
        made,
        deserializers=[io.load_int, io.load_float, io.identity, None],
        copy=False,
        verify="always",
        transform=dict.values,
    )
    texts = [list(sample)[2] for sample in copy_of(ds)]
    assert texts == [row(i)["text"].encode() for i in range(10)]
    index = str(shutil.copy(ds.index_path, tmp_path / "other.idx"))
    assert copy_of(dsrecords.open(made, index_path=index)).index_path == index


def test_a_pickled_copy_is_found_from_another_folder(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(dsrecords.open("data.rec"))
    monkeypatch.chdir("/")
    assert list(pickle.loads(pickled)) == rows(10)


def test_a_pickled_copy_can_be_made_in_another_process(made, tmp_path):
    (tmp_path / "pickled").write_bytes(pickle.dumps(dsrecords.open(made)[[7, 2]]))
    code = "import pickle; print([s['label'] for s in pickle.load(open('pickled', 'rb'))])"
    assert python(code, cwd=tmp_path) == "[7, 2]\n"


def test_a_pickled_copy_shows_what_was_appended_before_and_not_what_came_after(made):
    ds = dsrecords.open(made)
    ds.append(row(10))
    pickled, view = pickle.dumps(ds), pickle.dumps(ds[-2:])
    ds.append(row(11))
    assert list(pickle.loads(pickled)) == rows(11)
    assert list(pickle.loads(view)) == rows(9, 11)
    ds.flush()
    assert list(pickle.loads(pickled)) == rows(11)
    ds.close()
    assert list(pickle.loads(pickled)) == rows(11)


@pytest.mark.parametrize(("change", "wanted"), EDITS)
def test_a_pickled_copy_of_what_was_edited_or_compacted_since_is_stale(made, change, wanted):
    ds = dsrecords.open(made)
    whole, view = pickle.dumps(ds), pickle.dumps(ds[2:4])
    older = ds[2:4]
    change(ds)
    for pickled in (whole, view, pickle.dumps(older)):
        with pytest.raises(StaleViewError, match=r"data\.rec"):
            pickle.loads(pickled)
    assert list(older) == rows(2, 4)  # here it still shows what it showed
    assert list(copy_of(ds)) == wanted


def test_a_pickled_copy_of_a_dataset_that_was_replaced_is_stale(made):
    pickled = pickle.dumps(dsrecords.open(made))
    make_dataset(rows(10), made, SCHEMA, overwrite=True)
    with pytest.raises(StaleViewError):
        pickle.loads(pickled)


def test_a_pickled_copy_of_a_dataset_that_is_gone_is_file_not_found(made, tmp_path):
    pickled = pickle.dumps(dsrecords.open(made))
    os.remove(made)
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)
    assert sorted(os.listdir(tmp_path)) == ["data.idx"]


def test_a_pickled_copy_of_the_writer_is_a_reader_until_the_writer_is_closed(made):
    ds = dsrecords.open(made)
    ds.append(row(10))
    copy = copy_of(ds)
    with pytest.raises(dsrecords.LockedError):
        copy.append(row(11))
    ds.close()
    copy.append(row(11))
    assert list(copy) == rows(12)


def test_a_closed_dataset_does_not_pickle(made):
    ds = dsrecords.open(made)
    ds.close()
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(ds)


def test_configured_functions_pickle():
    assert copy_of(io.save_int(bits=8, signed=False))(200) == b"\xc8"
    assert copy_of(io.load_float(bits=64))(bytes(8)) == 0
    save = io.save_list(save_fn=io.save_int(bits=16))
    assert copy_of(save)([1, 2]) == save([1, 2])
    assert copy_of(io.save_np) is io.save_np
