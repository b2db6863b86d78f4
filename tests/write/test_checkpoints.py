"""What a checkpoint writes, what it vouches for, and what becomes of an index that is missing, exchanged or unreadable."""

import itertools
import os
import shutil
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import SCHEMA, flip, frames, row, rows

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, ReadOnlyError, make_dataset
from dsrecords._format import index as _index
from dsrecords._read import mark as _mark
from dsrecords._read import open as _open
from dsrecords._storage import files
from dsrecords._write import writer as _writer

NUMBERS = {"label": "int64"}
SCHEMAS = pytest.mark.parametrize("schema", [SCHEMA, NUMBERS], ids=["heads in rows", "short rows"])


def some(schema, *numbers):
    return [{name: sample[name] for name in schema} for sample in rows(*numbers)]


class Slot(NamedTuple):
    """What a slot of an index says, of which a test asks."""

    seq: int
    count: int
    covered: int
    salt: int
    edits: int
    end: int


class Index:
    """An index as its file is: its slots, the newest first, its rows, and its inode."""

    def __init__(self, path):
        self.path = Path(path).with_suffix(".idx")
        data = self.path.read_bytes()
        self.slots = []
        for at in (0, 4096):
            slot = data[at : at + 128]
            if slot[:8] == b"\x89DSX\r\n\x1a\n":
                assert struct.unpack_from("<I", slot, 8) == (zlib.crc32(slot[12:]),)
                seq, count, covered = struct.unpack_from("<QQQ", slot, 32)
                (salt, edits, _, end) = struct.unpack_from("<IQQQ", slot, 76)
                self.slots.append(Slot(seq, count, covered, salt, edits, end))
        self.slots.sort(reverse=True)
        self.rows = data[3 * 4096 :]
        self.inode = self.path.stat().st_ino

    @property
    def slot(self):
        return self.slots[0]


@pytest.fixture
def large(monkeypatch):
    """As if the index were so large that it is not written anew after each edit."""
    monkeypatch.setattr(_writer, "_BYTES_A_FRAME", 1)


def seen(path, wanted):
    """What whoever opens it sees, without a word of the index."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with dsrecords.open(path) as ds:
            assert list(ds) == wanted
            assert ds.check() == []


# The three kinds


@SCHEMAS
def test_records_that_were_only_added_are_added_to_the_index(path, schema):
    make_dataset(some(schema, 10), path, schema)
    with dsrecords.open(path) as ds:
        for count in (11, 14, 14, 15):
            before = Index(path)
            ds.extend(some(schema, len(ds), count))
            if count == 14:
                ds.set_metadata({"count": len(ds)})
            ds.flush()
            after = Index(path)
            assert after.inode == before.inode
            assert after.rows.startswith(before.rows)
            assert (after.slot.seq, after.slot.count) == (before.slot.seq + 1, count)
            assert after.slot.salt == before.slot.salt
            assert after.slot.covered == after.slot.end == os.path.getsize(path)
            assert after.slots[1] == before.slot  # which stays until then
            seen(path, some(schema, count))


@SCHEMAS
def test_a_small_index_is_written_anew_after_an_edit(path, schema):
    make_dataset(some(schema, 10), path, schema)
    before = Index(path)
    with dsrecords.open(path) as ds:
        ds[4, "label"] = 40
        del ds[:2]
        ds.flush()
    after = Index(path)
    assert after.inode != before.inode
    assert (after.slot.seq, after.slot.count, after.slot.edits) == (before.slot.seq + 1, 8, 2)
    assert after.slot.covered == after.slot.end == os.path.getsize(path)
    assert after.slot.salt != before.slot.salt
    assert len(after.slots) == 1
    wanted = some(schema, 2, 10)
    wanted[2]["label"] = 40
    seen(path, wanted)


@SCHEMAS
def test_of_a_large_index_the_slot_alone_is_written_after_few_edits(path, schema, large):
    make_dataset(some(schema, 10), path, schema)
    wanted = some(schema, 10)
    first = Index(path)
    with dsrecords.open(path) as ds:
        for i in range(5):
            before = Index(path)
            ds[i, "label"] = wanted[i]["label"] = -i
            if i % 2:
                ds.append(some(schema, 20, 21)[0])
                wanted += some(schema, 20, 21)
            ds.flush()
            after = Index(path)
            assert (after.inode, after.rows) == (first.inode, first.rows)
            assert after.slot == before.slot._replace(
                seq=before.slot.seq + 1, end=os.path.getsize(path)
            )
            assert after.slots[1] == before.slot
            seen(path, wanted)
        ds.flush()  # there is nothing more to say
        assert Index(path).slot == after.slot
    with dsrecords.open(path) as ds:  # the next writer goes on so
        del ds[-1]
    assert Index(path).rows == first.rows
    seen(path, wanted[:-1])


@SCHEMAS
def test_a_large_index_is_written_anew_when_many_frames_lie_behind_its_rows(
    path, schema, large, monkeypatch
):
    monkeypatch.setattr(_writer, "_MANY_FRAMES", 6)
    make_dataset(some(schema, 10), path, schema)
    inodes = [Index(path).inode]
    with dsrecords.open(path) as ds:
        for i in range(8):  # two frames each
            ds[i, "label"] = -i
            ds.flush()
            index = Index(path)
            inodes.append(index.inode)
            assert index.slot.end == os.path.getsize(path)
    changed = [a != b for a, b in itertools.pairwise(inodes)]
    assert changed == [False, False, True, False, False, True, False, False]
    wanted = [{**sample, "label": -i if i < 8 else i} for i, sample in enumerate(some(schema, 10))]
    seen(path, wanted)


@pytest.mark.parametrize("count", [100, 1000, 5000])
def test_how_many_edits_wait_grows_with_the_index(path, monkeypatch, count):
    """So neither what is written for an edit nor what opening replays has a step."""
    bytes_a_frame = 4096
    monkeypatch.setattr(_writer, "_BYTES_A_FRAME", bytes_a_frame)
    make_dataset([], path, NUMBERS)
    with dsrecords.open(path) as ds:
        ds.extend_columns({"label": range(count)})
        ds.flush()
        inode = Index(path).inode
        size = os.path.getsize(Index(path).path)
        most = min(size // bytes_a_frame, _writer._MANY_FRAMES)
        whole = 0
        edits = 2 * most + 3
        for _ in range(edits):  # one frame each
            del ds[7]
            ds.flush()
            whole += Index(path).inode != inode
            inode = Index(path).inode
            assert ds._editing._log().frames_behind < max(most, 1)
        # As a new index is as if nothing had been edited, each is worth as many edits.
        assert edits // max(most, 1) - 1 <= whole <= edits // max(most - 1, 1)


def test_how_many_edits_wait_has_a_bound(path, monkeypatch):
    monkeypatch.setattr(_writer, "_BYTES_A_FRAME", 1)
    monkeypatch.setattr(_writer, "_MANY_FRAMES", 5)
    make_dataset([{"label": i} for i in range(10)], path, NUMBERS)
    with dsrecords.open(path) as ds:
        for i in range(20):
            ds[i % 10, "label"] = 3
            ds.flush()
            assert ds._editing._log().frames_behind < 5


@SCHEMAS
def test_a_checkpoint_of_a_killed_writer_that_had_replayed_much_is_taken_over(path, schema, large):
    """The next writer does not count the frames behind the rows anew."""
    make_dataset(some(schema, 10), path, schema)
    for i in range(5):
        with dsrecords.open(path) as ds:
            ds[i, "label"] = -i
            ds.flush()
    ds = dsrecords.open(path)
    assert ds._editing._log().frames_behind == 10


# What it vouches for


@pytest.mark.exhaustive
@SCHEMAS
@pytest.mark.parametrize("kind", ["added", "whole", "slot alone"])
def test_what_flush_has_acknowledged_is_never_taken_back_silently(path, schema, kind, monkeypatch):
    monkeypatch.setattr(_open, "_PAUSE", 0)  # nobody else is at work, for whom it would wait
    if kind == "slot alone":
        monkeypatch.setattr(_writer, "_BYTES_A_FRAME", 1)
    acknowledged(path, schema, kind)


def acknowledged(path, schema, kind):
    """AssertionError if damage to what flush() has acknowledged shows what was there before."""
    make_dataset(some(schema, 10), path, schema)
    with dsrecords.open(path) as ds:
        if kind == "added":
            ds.append(some(schema, 10, 11)[0])
        else:
            ds[3, "label"] = 33
        ds.flush()
    index = Index(path)
    assert index.slot.end == os.path.getsize(path)
    assert (index.slot.covered < index.slot.end) == (kind == "slot alone")
    whole = Path(path).read_bytes()
    wanted = list(dsrecords.open(path))
    start = frames(path)[11].offset
    for at in range(start, len(whole)):
        for mask in (1, 0x80):
            damaged = bytearray(whole)
            damaged[at] ^= mask
            Path(path).write_bytes(damaged)
            assert_refused_or_right(path, wanted)
    for cut in range(start, len(whole)):
        Path(path).write_bytes(whole[:cut])
        assert "vouches for" in refusal(path)
    Path(path).write_bytes(whole[:-1])
    index.path.unlink()  # then nothing vouches for the end
    assert len(dsrecords.open(path)) == (10 if kind == "added" else len(wanted))


def refusal(path):
    """Why it cannot be opened."""
    try:
        dsrecords.open(path)
    except CorruptError as error:
        return error.message
    return ""


def assert_refused_or_right(path, wanted):
    """Whoever opens it is not shown the list of before."""
    if refusal(path):
        return
    ds = dsrecords.open(path)
    assert len(ds) == len(wanted)
    for i, sample in enumerate(wanted):
        try:
            assert ds[i] == sample
        except CorruptError as error:
            assert error.record == i


@SCHEMAS
def test_a_writer_does_not_cut_off_what_a_slot_alone_vouches_for(path, schema, large):
    make_dataset(some(schema, 10), path, schema)
    ds = dsrecords.open(path)
    with dsrecords.open(path) as first:
        first[3, "label"] = 33
    size = os.path.getsize(path)
    flip(path, size - 20)
    before = sorted(os.listdir(os.path.dirname(path)))
    with pytest.raises(CorruptError, match="vouches for"):
        ds.append(some(schema, 1)[0])
    assert os.path.getsize(path) == size
    assert sorted(os.listdir(os.path.dirname(path))) == before


@pytest.mark.parametrize("at", [16, 20, 23])
def test_damage_to_the_last_frame_is_damage_to_one_record_and_not_to_the_index(path, at):
    """Of that frame the index has 16 bytes; what they say of the log is compared, and not computed anew."""
    last_record_damaged(path, at)


def last_record_damaged(path, at):
    """AssertionError if that harms more than the record."""
    make_dataset([], path, NUMBERS)
    with dsrecords.open(path) as ds:
        for sample in some(NUMBERS, 5):
            ds.append(sample)
    last = frames(path)[-1]
    flip(path, last.offset + at)
    assert not refusal(path)
    ds, messages = told(lambda: dsrecords.open(path))
    assert not messages
    assert [ds[i] for i in range(4)] == some(NUMBERS, 4)
    with pytest.raises(CorruptError, match="record 4"):
        ds[4]


# An index that is another one


@SCHEMAS
@pytest.mark.parametrize("how", ["renamed", "copied over", "older", "removed"])
def test_an_index_that_was_exchanged_under_a_writer_is_not_added_to(path, tmp_path, schema, how):
    make_dataset(some(schema, 10), path, schema)
    index = Path(path).with_suffix(".idx")
    older = index.read_bytes()
    _, other = make_dataset(some(schema, 3), tmp_path / "other.rec", schema)
    ds = dsrecords.open(path)
    ds.append(some(schema, 10, 11)[0])
    ds.flush()
    ds.append(some(schema, 11, 12)[0])
    if how == "renamed":
        os.replace(other, index)
    elif how == "removed":
        index.unlink()
    else:
        with open(index, "r+b") as file:
            file.write(older if how == "older" else Path(other).read_bytes())
    ds.append(some(schema, 12, 13)[0])
    _, messages = told(ds.flush)
    # In the same file, rows that were mapped may have changed: the list is made again.
    is_told = "is no longer what was written: the list was made again" in "".join(messages)
    assert is_told == (how in ("copied over", "older"))
    assert len(messages) == is_told
    seen(path, some(schema, 13))
    assert Index(path).slot.count == 13
    ds.append(some(schema, 13, 14)[0])
    ds.close()
    seen(path, some(schema, 14))


@pytest.mark.parametrize("kind", ["a view", "a text"])
def test_a_file_of_another_kind_is_not_written_over_by_a_writer(made, tmp_path, kind):
    ds = dsrecords.open(made)
    ds[:3].save_view(tmp_path / "view.idx")
    ds.append(row(10))
    index = Path(made).with_suffix(".idx")
    if kind == "a text":
        (tmp_path / "view.idx").write_text("mine")
    os.replace(tmp_path / "view.idx", index)
    before = index.read_bytes()
    with pytest.raises(ReadOnlyError, match=r"data\.idx: .*move it away"):
        ds.flush()
    ds.append(row(11))
    assert list(ds) == rows(12)
    with pytest.warns(UserWarning, match="move it away.*: all records are in"):
        ds.close()
    assert index.read_bytes() == before
    index.unlink()
    assert list(dsrecords.open(made)) == rows(12)


# Who may read it


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664])
def test_new_files_may_be_read_by_those_who_might_read_the_old_ones(made, tmp_path, permissions):
    """The index has labels in it, and so has a view."""
    kept(made, tmp_path, permissions)


def kept(made, tmp_path, permissions):
    """AssertionError if the permissions are not kept."""
    index = Path(made).with_suffix(".idx")
    for file in (made, index):
        os.chmod(file, permissions)
    with dsrecords.open(made) as ds:
        ds[0, "label"] = 7
        ds.flush()
        assert mode(index) == permissions
        ds.compact()
        assert [mode(made), mode(index)] == [permissions] * 2
        ds.add_field("more", "int8?")
        assert [mode(made), mode(index)] == [permissions] * 2
        index.unlink()
        ds.append({**row(10), "more": 1})
        ds.flush()
        assert mode(index) == permissions  # as the log, where there is no old one
        ds[:2].save_view(tmp_path / "view.idx")
        assert mode(tmp_path / "view.idx") == permissions
    make_dataset(rows(3), made, SCHEMA, overwrite=True)
    assert [mode(made), mode(index)] == [permissions] * 2


def test_nobody_else_may_read_a_new_index_before_it_has_the_permissions_of_the_old_one(
    made, monkeypatch
):
    index = Path(made).with_suffix(".idx")
    os.chmod(index, 0o600)
    modes, pwrite = [], files.pwrite

    def looks(fd, data, offset):
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        pwrite(fd, data, offset)

    with dsrecords.open(made) as ds:
        del ds[0]
        monkeypatch.setattr(files, "pwrite", looks)
        ds.flush()
    assert set(modes) == {0o600}


# An index that is missing, or cannot be read


def told(function):
    """What a function returns, and the warnings that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return function(), [str(warning.message) for warning in caught]


@SCHEMAS
def test_a_missing_index_is_told_of_once_and_written_by_flush(path, schema):
    make_dataset(some(schema, 10), path, schema)
    index = Path(path).with_suffix(".idx")
    index.unlink()
    ds, messages = told(lambda: dsrecords.open(path))
    assert len(messages) == 1
    assert "data.idx is missing: the list was made again" in messages[0]
    assert "flush() writes the index" in messages[0]
    assert told(lambda: (list(ds), ds.refresh(), ds[2:], ds.check()))[1] == []
    assert not index.exists()
    assert told(ds.flush)[1] == []
    assert Index(path).slot.count == 10
    ds.close()
    seen(path, some(schema, 10))


def test_a_new_dataset_is_made_without_a_word(path):
    def create():
        with IndexedRecordDataset(path, schema=SCHEMA) as ds:
            ds.append(row(0))
            ds.compact()
            ds.add_field("more", "int8?")
        make_dataset(rows(2), path, SCHEMA, overwrite=True)

    assert told(create)[1] == []


def unreadable(index, how, monkeypatch):
    index.unlink()
    if how == "a directory":
        index.mkdir()
    elif how == "a loop of links":
        index.symlink_to(index)
    elif how == "a pipe":
        os.mkfifo(index)
    else:
        index.write_bytes(b"")
        open_read = files.open_read

        def denied(path):
            if path == str(index):
                raise PermissionError(13, "Permission denied", path)
            return open_read(path)

        monkeypatch.setattr(files, "open_read", denied)


@pytest.mark.parametrize("how", ["a directory", "a loop of links", "a pipe", "not permitted"])
def test_an_index_that_cannot_be_read_is_a_missing_one(made, how, monkeypatch):
    index = Path(made).with_suffix(".idx")
    unreadable(index, how, monkeypatch)
    ds, messages = told(lambda: dsrecords.open(made))
    assert list(ds) == rows(10)
    assert len(messages) == 1 and "data.idx is unreadable (" in messages[0]
    before = Path(made).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for change in (lambda: ds.append(row(10)), ds.flush):
            with pytest.raises((OSError, ReadOnlyError), match=r"data\.idx"):
                change()
    assert Path(made).read_bytes() == before


@pytest.mark.parametrize("how", ["a directory", "a loop of links", "a pipe", "not permitted"])
def test_an_index_elsewhere_that_cannot_be_read_is_an_error(made, tmp_path, how, monkeypatch):
    """It may have been a view."""
    index = tmp_path / "elsewhere.idx"
    shutil.copy(Path(made).with_suffix(".idx"), index)
    assert list(dsrecords.open(made, index_path=index)) == rows(10)
    unreadable(index, how, monkeypatch)
    with pytest.raises(OSError, match=r"elsewhere\.idx"):
        dsrecords.open(made, index_path=index)


# Planted defects


def computed_anew(mark, storage, header, is_past=_mark.is_past):
    """The frame at the end of what an index covers is verified, as if it were to be read."""
    if not is_past(mark, storage, header):
        return False
    if not mark.last:
        return True
    scanner = _mark.LogScanner(storage, header.frames, mark.last, mark.end, 0, 16)
    return not scanner.frame(mark.last).problem


# Of each what is put in its place, and what notices it.
DEFECTS = {
    "after few edits a checkpoint writes nothing": (
        [(_index, "publish_slot", lambda path, slot: None), (_writer, "_BYTES_A_FRAME", 1)],
        lambda path, folder: acknowledged(path, SCHEMA, "slot alone"),
    ),
    "the last frame that an index covers is verified when it is opened": (
        [(_open, "is_past", computed_anew)],
        lambda path, folder: last_record_damaged(path, 20),
    ),
    "a new file has the permissions of any other": (
        [(files, "_copy_access", lambda *arguments: None)],
        lambda path, folder: (make_dataset(rows(10), path, SCHEMA), kept(path, folder, 0o640)),
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, path, tmp_path, monkeypatch):
    patches, notices = DEFECTS[defect]
    for patch in patches:
        monkeypatch.setattr(*patch)
    with pytest.raises(AssertionError):
        notices(path, tmp_path)


# Early writeback


def begun_while(monkeypatch, write):
    """The parts of a file that the system was told to begin writing, and its size at each time."""
    parts = []
    begin = files.begin_writing

    def begins(fd, offset, length):
        parts.append((offset, offset + length, files.size(fd)))
        begin(fd, offset, length)

    with monkeypatch.context() as patched:
        patched.setattr(files, "begin_writing", begins)
        write()
    return parts


@pytest.mark.parametrize("size", [3 * 2**10, 300 * 2**10, 6 * 2**20])
def test_the_disk_begins_right_behind_each_block(path, monkeypatch, size):
    payload = bytes(size)
    count = 24 * 2**20 // size
    ds = IndexedRecordDataset(path, schema={"blob": "bytes"})
    parts = begun_while(monkeypatch, lambda: ds.extend({"blob": payload} for _ in range(count)))
    ds.close()
    most = max(size, 2**22) + 2**22  # bytes: of a batch, and of what was too little to begin
    assert 24 * 2**20 // most <= len(parts) <= 24 // 4
    for start, stop, there in parts:
        assert start % files.PAGE_SIZE == 0 or start == parts[0][0]
        assert stop % files.PAGE_SIZE == 0
        assert 2**22 <= stop - start <= most
        assert stop <= there < stop + most
    starts = [start for start, _, _ in parts]
    stops = [stop for _, stop, _ in parts]
    assert starts[1:] == stops[:-1]
    assert os.path.getsize(path) - stops[-1] < most
    assert list(dsrecords.open(path).column("blob")) == [payload] * count


def test_small_changes_do_not_tell_the_disk_to_begin(path, monkeypatch):
    ds = IndexedRecordDataset(path, schema={"blob": "bytes"})

    def write():
        for _ in range(300):
            ds.append({"blob": bytes(1000)})
            ds.extend([{"blob": bytes(1000)}] * 3)

    assert begun_while(monkeypatch, write) == []
    ds.close()
