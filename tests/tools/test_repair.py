"""Damage is lived with: records that cannot be read are left out on demand, and `repair` saves what can be saved."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
from bytes_by_hand import DELETE, PENDING, RECORD, REVISION, TEXT, Log
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
    """Flip bits in the first payload of each of these records."""
    for number in records:
        flip(path, frames(path)[number].offset + HEAD)


def hurt_head(path, number):
    """Flip bits in the head of a frame, behind the bytes that say which one it is."""
    flip(path, frames(path)[number].offset + 20)


def content(path):
    folder = os.path.dirname(path)
    return {name: Path(folder, name).read_bytes() for name in sorted(os.listdir(folder))}


HEAD = 64  # bytes of a record of `SCHEMA`
ROW = 8 + HEAD  # bytes in the index

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


@pytest.fixture
def edited(path):
    """The path of a dataset without an index: five records appended, the first one deleted, another one appended."""
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        for i in range(5):
            ds.append(row(i))
        del ds[0]
        ds.append(row(5))
    Path(path).with_suffix(".idx").unlink()
    return path


@pytest.mark.exhaustive
@pytest.mark.parametrize("at", [*range(4, HEAD), HEAD + 1])
def test_edits_behind_a_damaged_record_are_followed_as_the_next_frame_names_it(
    edited, tmp_path, at
):
    flip(edited, frames(edited)[2].offset + at, mask=2)
    report = repair(edited, tmp_path / "saved.rec")
    restored = at < 16  # what the first bytes must be follows from the others
    assert report.lost == ([] if restored else [1])
    rest = [row(i) for i in (1, 2, 3, 4, 5) if restored or i != 2]
    assert list(dsrecords.open(report.output)) == rest


def test_a_record_whose_check_is_damaged_is_saved_as_the_next_frame_names_what_it_was(
    edited, tmp_path
):
    flip(edited, frames(edited)[2].offset + 1)
    assert list(_saved(edited, tmp_path)) == rows(1, 6)


def test_damaged_records_that_follow_each_other_are_counted_too(edited, tmp_path):
    for number in (1, 2, 3):
        hurt_head(edited, number)
    report = repair(edited, tmp_path / "saved.rec")
    assert report.lost == [0, 1, 2]
    assert list(dsrecords.open(report.output)) == [row(4), row(5)]


@pytest.mark.parametrize("kind", [RECORD, PENDING])
def test_a_size_that_seems_right_and_leads_past_other_frames_is_not_believed(path, tmp_path, kind):
    log = Log(TEXT)
    for n in range(6):
        log.text("x" * 20, n, kind=kind)
    if kind == PENDING:
        log.commit()
    log.commit(DELETE, [(0, 1)])
    second = log.frames[1]
    Path(path).write_bytes(log.data)
    flip(path, second.offset + 8, mask=0x80)  # three times as large
    flip(path, second.offset + 16)
    assert list(_saved(path, tmp_path)) == [{"text": "x" * 20, "n": n} for n in (0, 2, 3, 4, 5)]


def test_edits_behind_damage_that_nothing_explains_are_not_guessed_at(edited, tmp_path):
    second, third = frames(edited)[2:4]
    with open(edited, "r+b") as file:
        file.seek(second.offset)
        file.write(bytes(second.size + third.size))
    report = repair(edited, tmp_path / "saved.rec")
    assert report.lost == []
    assert list(dsrecords.open(report.output)) == [row(0), row(1), row(4)]


def test_a_commit_that_cannot_be_read_ends_the_list_if_it_may_have_edited(edited, tmp_path):
    hurt_head(edited, 5)
    assert list(_saved(edited, tmp_path)) == [*rows(5), row(5)]


@pytest.mark.parametrize("at", [1, 5, 20, HEAD + 1])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_batch_with_a_damaged_record_is_followed_as_its_commit_names_it(
    path, tmp_path, number, at
):
    make_dataset(rows(4), path, SCHEMA)
    with dsrecords.open(path) as ds:
        ds.update({0: row(8), 1: row(7), 3: row(6)})
        del ds[0]
    Path(path).with_suffix(".idx").unlink()
    flip(path, frames(path)[5 + number].offset + at)
    report = repair(path, tmp_path / "saved.rec")
    whole = [row(7), row(2), row(6)]
    lost = [[], [0], [2]][number] if at > 16 else []
    assert report.lost == lost
    assert list(dsrecords.open(report.output)) == [r for i, r in enumerate(whole) if i not in lost]


def test_a_batch_whose_commit_is_damaged_is_saved_if_that_cannot_have_edited(path, tmp_path):
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        ds.extend(rows(3))
        ds.append(row(3))
        del ds[0]
    Path(path).with_suffix(".idx").unlink()
    hurt_head(path, 3)
    assert list(_saved(path, tmp_path)) == rows(1, 4)


def test_records_whose_heads_are_damaged_are_saved_by_those_in_the_index(made, tmp_path):
    for number in range(10):
        hurt_head(made, number)
    report = repair(made, tmp_path / "saved.rec")
    assert (report.records, report.lost, len(report.problems)) == (10, [], 10)
    assert list(dsrecords.open(report.output)) == rows(10)


def test_the_index_of_a_copy_that_was_changed_apart_is_of_no_use(made, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("data.rec", "data.idx"):
        shutil.copy(tmp_path / name, copy / name)
    with dsrecords.open(made) as ds:
        ds.append({**row(10), "text": "", "blob": b""})
    with dsrecords.open(copy / "data.rec") as ds:
        ds.append({**row(11), "text": "", "blob": b""})
        del ds[0]
    shutil.copy(copy / "data.idx", tmp_path / "data.idx")
    hurt_head(made, 3)
    found = [one["label"] for one in _saved(made, tmp_path)]
    assert found == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]


def test_the_last_metadata_that_is_whole_is_saved(path, tmp_path):
    make_dataset(rows(2), path, SCHEMA, metadata={"is": 0})
    with dsrecords.open(path) as ds:
        ds.set_metadata({"is": 1})
        ds.set_metadata({"is": 2})
    assert _saved(path, tmp_path).metadata == {"is": 2}
    hurt_head(path, 4)
    assert dsrecords.open(repair(path, tmp_path / "one.rec").output).metadata == {"is": 1}
    hurt_head(path, 3)
    assert dsrecords.open(repair(path, tmp_path / "none.rec").output).metadata == {"is": 0}


def test_revisions_are_saved_with_the_payloads_that_they_keep(made, tmp_path):
    with dsrecords.open(made) as ds:
        ds[4, "label"] = 40
        ds[5, "text"] = "another"
    hurt(made, 3)
    wanted = [row(i) for i in (0, 1, 2, 4, 5, 6, 7, 8, 9)]
    wanted[3]["label"] = 40
    wanted[4]["text"] = "another"
    assert list(_saved(made, tmp_path)) == wanted
    Path(made).with_suffix(".idx").unlink()
    assert list(dsrecords.open(repair(made, tmp_path / "again.rec").output)) == wanted


def test_a_small_file_is_not_saved_as_a_large_one(path, tmp_path):
    log = Log(TEXT)
    first = log.text("a text" * 1000, 0)
    for n in range(9):
        log.text(log.old(first), n, kind=REVISION)
    log.commit()
    Path(path).write_bytes(log.data)
    with pytest.raises(CorruptError, match="again and again"):
        repair(path, tmp_path / "saved.rec")
    assert not (tmp_path / "saved.rec").exists()


def test_a_list_ends_before_what_a_later_version_has_written(path, tmp_path):
    log = Log()
    log.number(0)
    log.frame(77, bytes(8))
    log.number(1)
    Path(path).write_bytes(log.data)
    report = repair(path, tmp_path / "saved.rec")
    assert [type(problem) for problem in report.problems] == [UnsupportedVersionError]
    assert list(dsrecords.open(report.output)) == [{"n": 0}]
    before = Path(path).read_bytes()
    with pytest.raises(UnsupportedVersionError):
        repair(path, in_place=True)
    assert Path(path).read_bytes() == before


def test_edits_before_and_behind_damage_are_followed_with_an_index(path, tmp_path):
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        for i in range(5):
            ds.append(row(i))
        ds[1] = row(9)
        del ds[0]
    damaged = frames(path)[2].offset
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        ds.append(row(5))
    flip(path, damaged + HEAD)
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
    flip(index, 12288 + ROW * 4)  # and an entry that could be written anew
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
    flip(Path(made).with_suffix(".idx"), 12288 + ROW * 4)  # both are mended at once
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
    flip(index, 12288 + ROW * 4)
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
