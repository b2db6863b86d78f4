"""Damage is lived with: records that cannot be read are left out on demand, and `repair` saves what can be saved."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
from conftest import SCHEMA, flip, frames, row, rows

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    LockedError,
    UnsupportedVersionError,
    make_dataset,
    repair,
)
from dsrecords._storage import files


def hurt(path, *records):
    """Flip a bit in the head of each of these records."""
    for number in records:
        flip(path, frames(path)[number].offset + 20)


def content(path):
    folder = os.path.dirname(path)
    return {name: Path(folder, name).read_bytes() for name in sorted(os.listdir(folder))}


# on_error


def test_iteration_raises_at_a_damaged_record_by_default(made):
    hurt(made, 3)
    samples = iter(dsrecords.open(made))
    assert [next(samples) for _ in range(3)] == rows(3)
    with pytest.raises(CorruptError, match="record 3"):
        next(samples)


def test_skipping_leaves_damaged_records_out_and_lists_their_errors(made):
    hurt(made, 3, 8)
    ds = dsrecords.open(made, on_error="skip")
    assert list(ds) == [row(i) for i in range(10) if i not in (3, 8)]
    assert [(error.record, error.file) for error in ds.skipped] == [(3, made), (8, made)]


def test_views_skip_as_well_and_share_the_list(made):
    hurt(made, 3)
    ds = dsrecords.open(made, on_error="skip")
    assert list(ds[2:5]) == [row(2), row(4)]
    assert [error.record for error in ds.skipped] == [3]


def test_a_function_is_told_of_each_damaged_record(made):
    hurt(made, 3)
    told = []
    ds = dsrecords.open(made, on_error=told.append)
    assert len(list(ds)) == 9
    assert [error.record for error in told] == [3]
    assert ds.skipped == []


def test_a_function_may_raise(made):
    hurt(made, 3)

    def stop(error):
        raise KeyError(error.record)

    with pytest.raises(KeyError, match="3"):
        list(dsrecords.open(made, on_error=stop))


def test_batches_of_a_loader_leave_damaged_records_out(made):
    hurt(made, 3)
    ds = dsrecords.open(made, on_error="skip")
    assert ds.__getitems__([2, 3, 4]) == [row(2), row(4)]
    assert [error.record for error in ds.skipped] == [3]
    with pytest.raises(CorruptError, match="record 3"):
        dsrecords.open(made).__getitems__([2, 3, 4])


def test_a_record_that_is_asked_for_is_an_error_whatever_on_error_says(made):
    hurt(made, 3)
    ds = dsrecords.open(made, on_error="skip")
    with pytest.raises(CorruptError, match="record 3"):
        ds[3]


def test_on_error_is_kept_by_a_pickled_copy(made):
    hurt(made, 3)
    ds = pickle.loads(pickle.dumps(dsrecords.open(made, on_error="skip")))
    assert len(list(ds)) == 9


def test_another_on_error_is_a_value_error(made):
    with pytest.raises(ValueError, match="'ignore'"):
        dsrecords.open(made, on_error="ignore")


# repair


def test_a_whole_dataset_has_no_problems(made):
    before = content(made)
    report = repair(made)
    assert (report.problems, report.records, report.lost, report.output) == ([], 10, [], None)
    repair(made, in_place=True)
    assert content(made) == before


def test_damaged_records_are_named_and_the_others_saved(made, tmp_path):
    hurt(made, 3, 8)
    before = content(made)
    report = repair(made)
    assert (report.records, report.lost) == (8, [3, 8])
    assert [problem.record for problem in report.problems] == [3, 8]
    assert content(made) == before
    output = str(tmp_path / "saved.rec")
    assert repair(made, output).output == output
    assert list(dsrecords.open(output)) == [row(i) for i in range(10) if i not in (3, 8)]
    assert dsrecords.open(output).check() == []
    assert {name: content(made)[name] for name in before} == before


def test_damaged_records_cannot_be_mended_in_place(made):
    hurt(made, 3)
    before = content(made)
    with pytest.raises(CorruptError, match="give an output"):
        repair(made, in_place=True)
    assert content(made) == before


def test_without_an_index_the_records_around_the_damage_are_saved(made, tmp_path):
    hurt(made, 3)
    Path(made).with_suffix(".idx").unlink()
    with pytest.raises(CorruptError, match="repair"):
        dsrecords.open(made)
    report = repair(made, tmp_path / "saved.rec")
    assert report.records == 9
    assert len(report.problems) == 1
    assert list(dsrecords.open(tmp_path / "saved.rec")) == [row(i) for i in range(10) if i != 3]


def test_of_a_damaged_batch_the_records_that_verify_are_saved(path, tmp_path):
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        ds.extend(rows(5))
        ds.append(row(5))
    flip(path, frames(path)[2].offset + 20)
    Path(path).with_suffix(".idx").unlink()
    assert repair(path, tmp_path / "saved.rec").records == 5
    assert list(dsrecords.open(tmp_path / "saved.rec")) == [row(i) for i in range(6) if i != 2]


def test_edits_behind_damage_that_no_index_covers_are_not_guessed_at(path, tmp_path):
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        for i in range(5):
            ds.append(row(i))
        del ds[0]
        ds.append(row(5))
    flip(path, frames(path)[2].offset + 20)
    Path(path).with_suffix(".idx").unlink()
    assert list(_saved(path, tmp_path)) == [row(0), row(1), row(3), row(4)]


def test_edits_before_and_behind_damage_are_followed_with_an_index(path, tmp_path):
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        for i in range(5):
            ds.append(row(i))
        ds[1] = row(9)
        del ds[0]
    damaged = frames(path)[2].offset
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        ds.append(row(5))
    flip(path, damaged + 20)
    assert list(_saved(path, tmp_path)) == [row(9), row(3), row(4), row(5)]


def _saved(path, folder):
    return dsrecords.open(repair(path, folder / "saved.rec").output)


def test_nothing_is_read_through_a_mapping(made, tmp_path, monkeypatch):
    """So that a file that is cut while it is looked at is an error, and not the end of the process."""
    hurt(made, 3)
    monkeypatch.setattr(files, "map_read", None)
    report = repair(made, tmp_path / "saved.rec")
    assert (report.records, report.lost) == (9, [3])


def test_a_file_that_is_cut_while_it_is_saved_is_an_error(made, tmp_path, monkeypatch):
    pread, calls = files.pread, []
    whole = os.path.getsize(made)

    def cut(fd, count, offset):
        calls.append(offset)
        if len(calls) > 12 and os.path.getsize(made) == whole:
            os.truncate(made, frames(made)[4].offset + 4)
        return pread(fd, count, offset)

    monkeypatch.setattr(files, "pread", cut)
    report = repair(made)
    monkeypatch.undo()
    assert report.problems
    assert os.path.getsize(made) < whole


def test_what_cannot_be_mended_in_place_is_not_touched_whatever_else_is_wrong(made):
    hurt(made, 3)
    with open(made, "ab") as file:
        file.write(b"a tail")  # which could be cut off
    index = Path(made).with_suffix(".idx")
    flip(index, 12288 + 16 * 4)  # and an entry that could be written anew
    before = content(made)
    with pytest.raises(CorruptError, match="give an output"):
        repair(made, in_place=True)
    assert content(made) == before
    with dsrecords.open(made) as ds:
        ds.append(row(10))  # nobody holds the lock


def test_padding_that_is_not_zero_is_zeroed_in_place(made):
    at = Path(made).read_bytes().index(row(4)["text"].encode()) + len(row(4)["text"].encode())
    assert at % 8
    whole = Path(made).read_bytes()
    flip(made, at)
    flip(Path(made).with_suffix(".idx"), 12288 + 16 * 4)  # both are mended at once
    assert "padding" in str(repair(made).problems)
    repair(made, in_place=True)
    assert repair(made).problems == []
    assert Path(made).read_bytes() == whole


def test_the_copy_of_the_header_stands_in_for_one_whose_version_is_damaged(made, tmp_path):
    flip(made, 12)
    with pytest.raises(UnsupportedVersionError):
        dsrecords.open(made)
    assert list(_saved(made, tmp_path)) == rows(10)
    flip(Path(made).with_suffix(".idx"), 8192 + 12)
    with pytest.raises(UnsupportedVersionError, match=r"data\.rec"):
        repair(made)


def test_a_damaged_index_is_written_anew_in_place(made):
    index = Path(made).with_suffix(".idx")
    whole = index.read_bytes()
    flip(index, 12288 + 16 * 4)
    with pytest.raises(CorruptError, match="index"):
        dsrecords.open(made)[4]
    assert len(repair(made).problems) == 1
    repair(made, in_place=True)
    assert repair(made).problems == []
    assert list(dsrecords.open(made)) == rows(10)
    assert index.read_bytes()[12288:] == whole[12288:]


def test_a_missing_index_is_written_anew_in_place(made):
    index = Path(made).with_suffix(".idx")
    index.unlink()
    assert "no index" in str(repair(made).problems[0])
    assert not index.exists()
    repair(made, in_place=True)
    assert index.exists()
    assert repair(made).problems == []


def test_writes_that_a_crash_lost_are_cut_off_in_place_and_kept_beside(made, tmp_path):
    ds = dsrecords.open(made)
    for i in range(10, 13):
        ds.append(row(i))
    shutil.copytree(tmp_path, tmp_path / "crash")
    path = str(tmp_path / "crash" / "data.rec")
    ds.close()
    flip(
        path, frames(path)[11].offset + 20
    )  # appended, not yet synced: the second one outlived the first
    with pytest.raises(CorruptError, match="crash"):
        dsrecords.open(path)
    assert repair(path).problems
    tail = os.path.getsize(path) - frames(made)[11].offset
    with pytest.warns(UserWarning, match="moved to"):
        repair(path, in_place=True)
    assert list(dsrecords.open(path)) == rows(10)
    assert repair(path).problems == []
    assert [
        os.path.getsize(tmp_path / "crash" / name)
        for name in os.listdir(tmp_path / "crash")
        if ".tail" in name
    ] == [tail]


def test_the_header_is_found_in_the_index(made, tmp_path):
    flip(made, 100)
    with pytest.raises(CorruptError, match="header"):
        dsrecords.open(made)
    report = repair(made, tmp_path / "saved.rec")
    assert report.records == 10
    assert list(dsrecords.open(tmp_path / "saved.rec")) == rows(10)


def test_a_file_without_any_header_is_corrupt(made):
    flip(made, 100)
    Path(made).with_suffix(".idx").unlink()
    with pytest.raises(CorruptError, match="header"):
        repair(made)


def test_a_file_cut_short_gives_what_is_left_of_it(made, tmp_path):
    os.truncate(made, frames(made)[6].offset + 10)
    assert list(_saved(made, tmp_path)) == rows(6)


def test_nothing_is_mended_while_a_writer_is_at_work(made):
    with dsrecords.open(made) as ds:
        ds.append(row(10))
        Path(made).with_suffix(".idx").unlink()
        with pytest.raises(LockedError):
            repair(made, in_place=True)


def test_the_output_is_never_written_over(made, path, tmp_path):
    make_dataset(rows(1), tmp_path / "other.rec", SCHEMA)
    with pytest.raises(FileExistsError):
        repair(made, tmp_path / "other.rec")
