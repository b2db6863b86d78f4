"""Warnings name the line of the user's that called into the library."""

import os
import shutil

import pytest
from conftest import SCHEMA, flip, rows

import dsrecords
from dsrecords import IndexedRecordDataset, make_dataset


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "data.rec")
    make_dataset(rows(9), path, SCHEMA)
    return path


def lines_of(caught):
    return {warning.filename for warning in caught}


@pytest.mark.parametrize("opener", [dsrecords.open, IndexedRecordDataset])
def test_an_index_that_is_damaged_is_warned_of_where_it_is_opened(opener, path):
    with open(f"{path[:-4]}.idx", "wb") as file:
        file.write(b"\0" * 100)
    with pytest.warns(UserWarning, match="made again") as caught:
        opener(path)
    assert lines_of(caught) == {__file__}


def test_a_view_of_before_an_edit_is_warned_of_where_it_is_opened(path, tmp_path):
    view = str(tmp_path / "view.idx")
    with dsrecords.open(path) as ds:
        ds[:3].save_view(view)
        del ds[0]
    with pytest.warns(UserWarning, match="was edited once") as caught:
        dsrecords.open(path, index_path=view)
    assert lines_of(caught) == {__file__}


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.append(rows(1)[0]),
        lambda ds: ds.extend(rows(2)),
        lambda ds: ds.quick_remove_at(0),
    ],
)
def test_a_damaged_tail_is_warned_of_where_the_dataset_is_changed(change, path, tmp_path):
    damaged = str(tmp_path / "damaged.rec")
    with dsrecords.open(path) as ds:
        ds.append({**rows(1)[0], "text": "eight by", "blob": None})
        for ending in ("rec", "idx"):  # as a kill would leave them
            shutil.copy(f"{path[:-3]}{ending}", f"{damaged[:-3]}{ending}")
    flip(damaged, os.path.getsize(damaged) - 1)
    with dsrecords.open(damaged) as ds, pytest.warns(UserWarning, match="was moved to") as caught:
        change(ds)
    assert lines_of(caught) == {__file__}


def test_a_type_that_is_not_registered_is_warned_of_where_it_is_read(tmp_path, monkeypatch):
    from dsrecords._types import registered

    path = str(tmp_path / "points.rec")
    monkeypatch.setitem(registered.registry, "point", (bytes, bytes))
    make_dataset([{"p": b"12"}], path, {"p": "ext(point)"})
    monkeypatch.delitem(registered.registry, "point")
    ds = dsrecords.open(path)
    with pytest.warns(UserWarning, match="point") as caught:
        assert ds[0] == {"p": b"12"}
    assert lines_of(caught) == {__file__}
