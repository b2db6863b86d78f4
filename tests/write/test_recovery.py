"""What is found after a crash: the index is only a cache, a torn tail is not damage, and damage is not a torn tail."""

import errno
import functools
import os
import re
import shutil
import struct
import warnings
from pathlib import Path

import bytes_by_hand as hand
import pytest
from conftest import SCHEMA, flip, frames, row, rows, shown

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, ReadOnlyError, make_dataset
from dsrecords._schema.resolve import make_schema
from dsrecords._storage import files
from dsrecords._write import writer as _writer

pytestmark = pytest.mark.slow

INDEX_WARNING = r"data\.idx"


def there(path):
    """What a reader that opens it now sees, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with dsrecords.open(path) as ds:
            return list(ds)


def goes_on(path, wanted):
    """A writer finds the list, changes it, and leaves a dataset that nothing is wrong with."""
    with dsrecords.open(path) as ds:
        ds.append(row(77))
        assert list(ds) == [*wanted, row(77)]
        del ds[-1]
    with dsrecords.open(path) as ds:
        assert list(ds) == wanted
        assert ds.check() == []


def index_of(path):
    return Path(path).with_suffix(".idx")


def row_size(schema):
    """Bytes: a row of an index has the head of its record where there are payloads."""
    return make_schema(schema).layout.row_size


@pytest.fixture
def edited(made):
    """A dataset with appends, replacements and deletions, closed; and its list."""
    with dsrecords.open(made) as ds:
        ds.extend(rows(10, 13))
        ds[4] = row(40)
        ds.flush()
        ds.append(row(13))
        del ds[[0, 7]]
        ds.quick_remove_at(2)
        ds.update({0: row(50), 5: row(51)})
        wanted = list(ds)
    return made, wanted


# The index is a cache


def test_without_the_index_the_content_is_the_same(edited):
    path, wanted = edited
    os.remove(index_of(path))
    assert there(path) == wanted
    assert not index_of(path).exists()  # readers never write
    goes_on(path, wanted)
    assert index_of(path).exists()


def test_an_index_that_is_made_again_is_that_which_was_lost(edited):
    path, _ = edited
    with dsrecords.open(path) as ds:
        ds.compact()
    before = index_of(path).read_bytes()[8192:]
    os.remove(index_of(path))
    with dsrecords.open(path) as ds:
        ds.extend([])
    assert index_of(path).read_bytes()[8192:] == before


def test_an_older_index_is_brought_up_to_date_by_the_log(made):
    versions = []
    ds = dsrecords.open(made)
    changes = [
        lambda: ds.append(row(10)), lambda: ds.__delitem__(3), lambda: ds.append(row(11)), lambda: ds.quick_remove_at(0),
        lambda: ds.__setitem__(1, row(20)), lambda: ds.extend(rows(30, 33)), lambda: ds.__delitem__(slice(2, 5)),
    ]  # fmt: skip
    for change in changes:
        versions.append(index_of(made).read_bytes())
        change()
        ds.flush()
    wanted = list(ds)
    ds.close()
    for version in versions:
        index_of(made).write_bytes(version)
        with dsrecords.open(made) as opened:
            assert list(opened) == wanted
            assert opened.check() == []
    index_of(made).write_bytes(versions[2])
    goes_on(made, wanted)


def test_an_index_cut_short_anywhere_does_no_harm(edited):
    path, wanted = edited
    whole = index_of(path).read_bytes()
    row = row_size(SCHEMA)
    for cut in [0, 1, 127, 128, 4095, 4096, 4100, 4224, 8192, 9000, 12_288,
                len(whole) - row - 1, len(whole) - row, len(whole) - 1]:  # fmt: skip
        index_of(path).write_bytes(whole[:cut])
        assert there(path) == wanted, cut


def test_an_index_damaged_as_a_whole_is_named_in_a_warning_and_made_again(edited):
    path, wanted = edited
    index = bytearray(index_of(path).read_bytes())
    index[40] ^= 1
    index[4096 + 40] ^= 1
    index_of(path).write_bytes(index)
    with pytest.warns(UserWarning, match=INDEX_WARNING):
        ds = dsrecords.open(path)
    assert list(ds) == wanted
    ds.append(row(60))  # with no warning: it is told once
    ds.close()
    goes_on(path, [*wanted, row(60)])  # with no warning: the index is a new one


@pytest.mark.parametrize("slot", [0, 4096], ids=["A", "B"])
@pytest.mark.parametrize("torn", ["zeros", "half", "other"])
def test_a_torn_slot_leaves_the_other_one(made, slot, torn):
    with dsrecords.open(made) as ds:
        for i in range(10, 14):  # each publication in place, the slots in turn
            ds.append(row(i))
            ds.flush()
    index = bytearray(index_of(made).read_bytes())
    assert index[0:8] == index[4096:4104] == b"\x89DSX\r\n\x1a\n"
    if torn == "half":
        index[slot + 44 : slot + 128] = index[4096 - slot + 44 : 4096 - slot + 128]
    else:
        index[slot : slot + 128] = bytes(128) if torn == "zeros" else b"\xff" * 128
    index_of(made).write_bytes(index)
    with dsrecords.open(made) as ds:
        assert list(ds) == rows(14)
    goes_on(made, rows(14))


def test_an_index_of_another_dataset_is_named_in_a_warning_and_made_again(edited, tmp_path):
    path, wanted = edited
    _, other = make_dataset(rows(3), tmp_path / "other.rec", SCHEMA)
    shutil.copy(other, index_of(path))
    with pytest.warns(UserWarning, match="another dataset"):
        ds = dsrecords.open(path)
    assert list(ds) == wanted
    ds.append(row(60))
    ds.close()
    goes_on(path, [*wanted, row(60)])


@pytest.mark.parametrize("schema", [SCHEMA, {"n": "int64"}], ids=["long rows", "short rows"])
def test_rows_that_were_swapped_or_changed_are_never_believed(path, schema):
    samples = rows(10) if schema is SCHEMA else [{"n": i} for i in range(10)]
    make_dataset(samples, path, schema)
    index = bytearray(index_of(path).read_bytes())
    size = row_size(schema)
    base = len(index) - 10 * size
    for one, other in ((0, 1), (3, 9)):
        a, b = base + size * one, base + size * other
        swapped = bytearray(index)
        swapped[a : a + size], swapped[b : b + size] = index[b : b + size], index[a : a + size]
        index_of(path).write_bytes(swapped)
        ds = dsrecords.open(path)
        for i in (one, other):
            with pytest.raises(CorruptError, match=f"record {i}, .*index"):
                ds[i]
        assert ds[5] == samples[5]
        assert {error.record for error in ds.check()} == {one, other}


# The tail of the log


@pytest.fixture
def grown(path):
    """A dataset whose index knows of three records only, as a killed writer leaves it.

    Its path; and where the log ended after each operation, with the list as it then was.
    """
    make_dataset(rows(3), path, SCHEMA)
    ds = dsrecords.open(path)
    ends = [(os.path.getsize(path), list(ds))]
    for change in (
        lambda: ds.append(row(3)),
        lambda: ds.extend(rows(4, 7)),
        lambda: ds.__setitem__(0, row(50)),
        lambda: ds.__delitem__([1, 2]),
        lambda: ds.quick_remove_at(0),
        lambda: ds.extend_columns({name: [row(i)[name] for i in (8, 9)] for name in SCHEMA}),
        lambda: ds.append(row(10)),
    ):
        change()
        ends.append((os.path.getsize(path), list(ds)))
    copy = str(Path(path).with_name("killed.rec"))
    shutil.copy(path, copy)
    shutil.copy(index_of(path), index_of(copy))
    ds.close()
    return copy, ends


@pytest.mark.exhaustive
@pytest.mark.parametrize("index", ["older", "none"])
def test_of_a_log_cut_anywhere_exactly_the_whole_batches_are_there(grown, index):
    path, ends = grown
    whole = Path(path).read_bytes()
    if index == "none":
        os.remove(index_of(path))
    for cut in range(len(whole), ends[0][0] - 1, -1):
        os.truncate(path, cut)
        assert there(path) == [model for end, model in ends if end <= cut][-1], cut


@pytest.mark.exhaustive
def test_after_a_cut_anywhere_the_next_writer_cuts_the_rest_off_and_goes_on(grown):
    path, ends = grown
    whole, index = Path(path).read_bytes(), index_of(path).read_bytes()
    for cut in range(ends[0][0], len(whole), 23):
        Path(path).write_bytes(whole[:cut])
        index_of(path).write_bytes(index)
        end, model = [one for one in ends if one[0] <= cut][-1]
        with dsrecords.open(path) as ds:
            ds.extend([])
            assert list(ds) == model
        assert os.path.getsize(path) == end
        goes_on(path, model)
    assert sorted(os.listdir(os.path.dirname(path))) == [
        "data.idx",
        "data.rec",
        "killed.idx",
        "killed.rec",
    ]


def test_a_log_shorter_than_its_index_says_is_corrupt_for_readers_and_writers(made):
    whole = Path(made).read_bytes()
    last = frames(made)[-1]
    ds = dsrecords.open(made)
    for cut in (len(whole) - 1, last.offset + 8, last.offset, frames(made)[4].offset, 4096):
        os.truncate(made, cut)
        with pytest.raises(CorruptError, match=r"index vouches|cut short"):
            dsrecords.open(made)
        with pytest.raises(CorruptError, match=r"index vouches|cut short"):
            ds.append(row(10))
        assert os.path.getsize(made) == cut
    Path(made).write_bytes(whole)
    assert there(made) == rows(10)


def test_a_file_that_is_cut_while_it_is_open_is_an_error_and_not_a_crash(made):
    ds = dsrecords.open(made)
    os.truncate(made, frames(made)[4].offset)
    for read in (lambda: ds[9], lambda: ds.column("text"), lambda: ds.refresh()):
        with pytest.raises(CorruptError, match="cut short"):
            read()
    assert ds.column("label").tolist() == list(range(10))  # which the index has
    assert all(isinstance(error, CorruptError) for error in ds.check())
    assert ds.check()


def test_pending_records_without_their_commit_are_not_there(made):
    with dsrecords.open(made) as ds:
        ds.extend(rows(10, 15))
    commit = frames(made)[-1]
    assert [frame.kind for frame in frames(made)[11:]] == [2] * 5 + [3]
    os.truncate(made, commit.offset)
    os.remove(index_of(made))
    assert there(made) == rows(10)
    with dsrecords.open(made) as ds:
        ds.append(row(10))
        assert list(ds) == rows(11)
    assert [frame.kind for frame in frames(made)] == [2] * 10 + [3, 1]


def test_a_record_behind_pending_records_without_their_commit_is_damage(path):
    log = hand.Log()
    log.number(1, kind=hand.PENDING)
    log.number(2, kind=hand.PENDING)
    log.number(3)
    Path(path).write_bytes(log.data)
    with pytest.raises(CorruptError, match="pending records before it have no commit"):
        dsrecords.open(path)


@pytest.mark.parametrize(
    "garbage",
    [b"\0", b"\xff" * 7, bytes(16), bytes(5000), os.urandom(300), b"\1\0\0\0" * 64],
    ids=len,
)
def test_garbage_behind_the_log_is_ignored_by_readers_and_cut_off_by_the_writer(made, garbage):
    size = os.path.getsize(made)
    with open(made, "ab") as file:
        file.write(garbage)
    assert there(made) == rows(10)
    assert os.path.getsize(made) == size + len(garbage)
    with dsrecords.open(made) as ds:
        ds.extend([])
        assert os.path.getsize(made) == size
    goes_on(made, rows(10))


def test_frames_of_another_dataset_or_in_another_place_never_verify(made, tmp_path):
    other, _ = make_dataset(rows(20), tmp_path / "other.rec", SCHEMA)
    size = os.path.getsize(made)
    for data in (
        Path(other).read_bytes()[size:],
        Path(made).read_bytes()[frames(made)[0].offset :],
    ):
        with open(made, "ab") as file:
            file.write(data)
        assert there(made) == rows(10)
        os.truncate(made, size)


def damaged_tail(path):
    """A record that no index knows of is damaged, and whole frames follow. Where it lies, and the bytes from there on."""
    ds = dsrecords.open(path)
    ds.extend([])
    for i in range(10, 14):
        ds.append(row(i))
    index = index_of(path).read_bytes()
    ds.close()
    index_of(path).write_bytes(index)  # as if the writer had been killed
    damaged = frames(path)[
        12
    ]  # of record 11: behind ten pending frames, their commit, and record 10
    flip(path, damaged.offset + 30)
    return damaged.offset, Path(path).read_bytes()[damaged.offset :]


def test_damage_that_whole_frames_follow_is_an_error_for_a_reader(made):
    offset, _ = damaged_tail(made)
    with pytest.raises(CorruptError, match="whole frames follow") as caught:
        dsrecords.open(made)
    assert (caught.value.file, caught.value.record, caught.value.offset) == (made, 11, offset)


def test_a_writer_saves_such_a_tail_aside_with_a_warning_and_goes_on(made, tmp_path):
    ds = dsrecords.open(made)
    offset, tail = damaged_tail(made)
    with pytest.warns(
        UserWarning, match=rf"data\.rec: the log is damaged from byte {offset} on.*\.tail-{offset}"
    ):
        ds.append(row(90))
    assert list(ds) == [*rows(11), row(90)]
    saved = [name for name in os.listdir(tmp_path) if "tail" in name]
    assert saved == [f"data.rec.tail-{offset}"]
    assert (tmp_path / saved[0]).read_bytes() == tail
    ds.close()
    goes_on(made, [*rows(11), row(90)])


def test_a_last_record_whose_payload_is_damaged_is_saved_aside_before_it_is_cut_off(path, tmp_path):
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        for i in range(9):
            ds.append(row(i))
    os.remove(index_of(path))
    frame = frames(path)[8]
    flip(path, frame.offset + frame.size - 1)
    tail = Path(path).read_bytes()[frame.offset :]
    with pytest.warns(UserWarning, match="moved to"):
        goes_on(path, rows(8))
    assert (tmp_path / f"data.rec.tail-{frame.offset}").read_bytes() == tail


def test_where_the_cut_of_a_tail_cannot_be_synced_nothing_is_written_until_it_is_opened_again(
    made, monkeypatch
):
    with open(made, "ab") as file:
        file.write(b"tail")
    ds, synced = dsrecords.open(made), []

    def fails(fd, *, metadata=False):
        synced.append(fd)
        raise OSError(errno.EIO, "the disk")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", fails)
        with pytest.raises(OSError, match="the disk"):
            ds.append(row(10))
    for change in (lambda: ds.append(row(10)), ds.compact, lambda: ds.update({0: row(1)})):
        with pytest.raises(ReadOnlyError, match="open it again"):
            change()
    assert len(synced) == 1
    assert list(ds) == rows(10)
    ds.close()
    goes_on(made, rows(10))


def test_without_an_index_damage_is_an_error_for_a_writer_too(made, tmp_path):
    ds = dsrecords.open(made)
    damaged_tail(made)
    os.remove(index_of(made))
    before = Path(made).read_bytes()
    with pytest.raises(CorruptError, match="whole frames follow"):
        ds.append(row(90))
    assert Path(made).read_bytes() == before
    assert os.listdir(tmp_path) == ["data.rec"]


def test_damage_before_what_the_index_covers_is_found_when_it_is_read_and_stays(made):
    frame = frames(made)[3]
    flip(made, frame.offset + frame.size - 8)
    with dsrecords.open(made) as ds:
        ds.append(row(10))
    for _ in ("with the index", "without it"):
        ds = dsrecords.open(made)
        assert [ds[i] for i in range(11) if i != 3] == [row(i) for i in range(11) if i != 3]
        with pytest.raises(CorruptError, match="record 3, field 'blob'"):
            ds[3]
        Path(index_of(made)).unlink(missing_ok=True)


def test_a_damaged_head_is_read_from_the_index_as_long_as_that_is_there(made):
    offset = frames(made)[3].offset
    flip(made, offset + 30)
    with dsrecords.open(made) as ds:
        assert list(ds) == rows(10)
        assert [problem.offset for problem in ds.check()] == [offset]
        ds.append(row(10))
    os.remove(index_of(made))
    with pytest.raises(CorruptError, match="whole frames follow") as caught:
        dsrecords.open(made)
    assert caught.value.offset == offset


# Faults in the middle of an operation

CALLS = (
    "pwrite",
    "pwritev",
    "sync",
    "sync_directory",
    "truncate",
    "create",
    "open_write",
    "rename",
    "link",
    "unlink",
)


class Faults:
    """Makes one call of `files` fail: before it does anything, when half is written, or after all is done."""

    def __init__(self, monkeypatch, calls=CALLS):
        self.armed, self.calls = None, 0
        for name in calls:
            monkeypatch.setattr(files, name, self.failing(name, getattr(files, name)))

    def failing(self, name, function):
        def call(*args, **options):
            if self.armed is None:
                return function(*args, **options)
            number, when, error = self.armed
            self.calls += 1
            if self.calls - 1 != number:
                return function(*args, **options)
            self.armed = None
            if when == "amid" and name in ("pwrite", "pwritev"):
                fd, data, offset = args
                data = bytes(data) if name == "pwrite" else b"".join(data)
                os.pwrite(fd, data[: len(data) // 2], offset)
            elif when == "after":
                function(*args, **options)
            raise error

        return call

    def during(self, operation, number, when, error):
        """Do an operation whose call of that number fails. False if it has not so many calls."""
        self.armed, self.calls = (number, when, error), 0
        try:
            operation()
        except type(error) as raised:
            assert raised is error
            return True
        except UserWarning as warning:  # of an index that could not be written, when the log was
            assert re.search(
                rf"idx (cannot|could not) be written \({re.escape(str(error))}\): ", str(warning)
            )
            return True
        finally:
            armed, self.armed = self.armed, None
        assert armed is not None, "the error was swallowed"
        return False


LONG = {**row(100), "text": "long " * 20_000}  # too long for its buffers to be joined
OPERATIONS = {
    "append": (lambda ds: ds.append(row(100)), [*rows(6), row(100)]),
    "append a long one": (lambda ds: ds.append(LONG), [*rows(6), LONG]),
    "extend": (lambda ds: ds.extend(rows(6, 9)), rows(9)),
    "extend_columns": (
        lambda ds: ds.extend_columns({name: [row(i)[name] for i in (6, 7)] for name in SCHEMA}), rows(8),
    ),
    "replace": (lambda ds: ds.__setitem__(2, row(20)), [*rows(2), row(20), *rows(3, 6)]),
    "update": (lambda ds: ds.update({1: row(20), 4: row(21)}), [row(0), row(20), *rows(2, 4), row(21), row(5)]),
    "replace a field": (lambda ds: ds.__setitem__((4, "label"), 40), [*rows(4), {**row(4), "label": 40}, row(5)]),
    "replace fields": (
        lambda ds: ds.update({1: {"text": "new"}, 4: {"label": 40}}, partial=True),
        [row(0), {**row(1), "text": "new"}, *rows(2, 4), {**row(4), "label": 40}, row(5)],
    ),
    "set_metadata": (lambda ds: ds.set_metadata({"a": 1}), rows(6)),
    "delete": (lambda ds: ds.__delitem__([1, 3]), [row(0), row(2), *rows(4, 6)]),
    "quick_remove_at": (lambda ds: ds.quick_remove_at(1), [row(0), row(5), *rows(2, 5)]),
    "flush": (lambda ds: ds.flush(), rows(6)),
    "flush with sync": (lambda ds: ds.flush(sync=True), rows(6)),
    "compact": (lambda ds: ds.compact(), rows(6)),
    "close": (lambda ds: ds.close(), rows(6)),
}  # fmt: skip


def writer_of_six(folder, name):
    """A writer with something to publish: of `rows(6)`, the index knows four."""
    path = os.path.join(folder, name)
    make_dataset(rows(4), path, SCHEMA)
    ds = dsrecords.open(path)
    ds.extend(rows(4, 6))
    return path, ds


@pytest.mark.exhaustive
@pytest.mark.parametrize("when", ["before", "amid", "after"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_interrupted_operation_is_done_or_not_done_and_the_next_one_goes_on(
    tmp_path, monkeypatch, name, when
):
    operation, changed = OPERATIONS[name]
    faults = Faults(monkeypatch)
    for number in range(100):
        path, ds = writer_of_six(tmp_path, f"{number}.rec")
        if not faults.during(lambda ds=ds: operation(ds), number, when, KeyboardInterrupt()):
            break
        found = there(path)
        assert found in (rows(6), changed), f"interrupted in call {number}"
        if name == "close":
            ds = dsrecords.open(path)
        assert list(ds) in (rows(6), found)
        ds.append(row(200))
        assert list(ds) == [*found, row(200)], f"interrupted in call {number}"
        assert there(path) == [*found, row(200)], f"interrupted in call {number}"
        ds.flush()
        assert ds.check() == []
        ds.close()
        with dsrecords.open(path) as ds:
            del ds[0]
            assert list(ds) == [*found[1:], row(200)]
    assert number > 0, "nothing was interrupted"


@pytest.mark.exhaustive
@pytest.mark.parametrize("when", ["before", "amid", "after"])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    "calls",
    [("pwrite", "pwritev"), ("sync", "sync_directory"), ("create", "rename", "link")],
    ids=shown,
)
def test_after_a_failed_write_or_sync_nothing_committed_is_lost(
    tmp_path, monkeypatch, name, when, calls
):
    operation, changed = OPERATIONS[name]
    faults = Faults(monkeypatch, calls)
    full = OSError(errno.ENOSPC, "No space left on device")
    for number in range(100):
        path, ds = writer_of_six(tmp_path, f"{number}.rec")
        if not faults.during(lambda ds=ds: operation(ds), number, when, full):
            break
        found = there(path)
        assert found in (rows(6), changed), f"failed in call {number}"
        if name != "close":
            assert list(ds) in (rows(6), changed)
            try:
                ds.append(row(200))
            except ReadOnlyError as error:
                assert "open it again" in str(error)
            else:  # where nothing of the dataset itself was being written, it may go on
                assert name == "compact"
                found = [*found, row(200)]
                assert there(path) == found, f"failed in call {number}"
            ds.close()
        goes_on(path, found)


@pytest.mark.parametrize("call", ["pwrite", "sync"])
def test_after_a_failed_write_or_sync_the_writer_refuses_until_it_is_opened_again(
    made, monkeypatch, call
):
    faults = Faults(monkeypatch, (call,))
    full = OSError(errno.ENOSPC, "No space left on device")
    ds = dsrecords.open(made)
    ds.append(row(10))
    assert faults.during(lambda: (ds.append(row(11)), ds.flush()), 0, "before", full)
    known = there(made)
    for change in (
        lambda: ds.append(row(12)), lambda: ds.extend(rows(2)), lambda: ds.__delitem__(0), lambda: ds.__setitem__(0, row(1)),
        lambda: ds.quick_remove_at(0), lambda: ds.flush(), lambda: ds.compact(),
        lambda: ds.extend_columns({name: [row(0)[name]] for name in SCHEMA}),
    ):  # fmt: skip
        with pytest.raises(ReadOnlyError, match="open it again"):
            change()
    assert list(ds)[:11] == rows(11)  # reading goes on
    ds.close()
    assert there(made) == known
    goes_on(made, known)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")],
    ids=["interrupt", "full"],
)
@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_an_interrupted_make_dataset_leaves_the_old_one_or_the_new_one(
    tmp_path, monkeypatch, when, error
):
    faults = Faults(monkeypatch)
    for number in range(100):
        path = str(tmp_path / f"{number}.rec")
        make_dataset(rows(3), path, SCHEMA)
        make = functools.partial(make_dataset, rows(5, 9), path, SCHEMA, overwrite=True)
        if not faults.during(make, number, when, error):
            break
        found = there(path)
        assert found in (rows(3), rows(5, 9)), f"interrupted in call {number}"
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # of an index that does not belong to what is there
            with dsrecords.open(path) as ds:
                ds.append(row(200))
        make_dataset(rows(2), path, SCHEMA, overwrite=True)
        goes_on(path, rows(2))
    assert number > 3


def calls_during(monkeypatch, operation):
    """Which calls of `files` an operation makes, in order: the name of each, and the ending of its file."""
    calls = []

    def noting(name, function):
        def call(target, *args, **options):
            path = (
                os.readlink(f"/proc/self/fd/{target}")
                if isinstance(target, int)
                else args[-1]
                if args
                else target
            )
            where = (args[1],) if name == "pwrite" and path.endswith("idx") else ()
            calls.append((name, str(path).rpartition(".")[2], *where))
            return function(target, *args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("pwrite", "sync", "rename"):
            patch.setattr(files, name, noting(name, getattr(files, name)))
        operation()
    return calls


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="looks up the names of open files in /proc"
)
def test_the_log_is_durable_before_the_index_says_so_and_the_entries_before_the_slot(
    made, monkeypatch
):
    ds = dsrecords.open(made)
    ds.append(row(10))
    ds.flush()
    ds.append(row(11))
    ds.set_metadata({"a": 1})
    calls = calls_during(monkeypatch, ds.flush)
    assert [call[:2] for call in calls] == [
        ("sync", "rec"),
        ("pwrite", "idx"),
        ("sync", "idx"),
        ("pwrite", "idx"),
        ("sync", "idx"),
    ]
    assert calls[1][2] >= 8192  # the entries
    assert calls[3][2] in (0, 4096)  # the slot


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="looks up the names of open files in /proc"
)
def test_after_an_edit_of_a_large_list_the_log_is_durable_before_the_slot_says_so(
    made, monkeypatch
):
    monkeypatch.setattr(_writer, "_BYTES_A_FRAME", 1)
    ds = dsrecords.open(made)
    ds[0, "label"] = 7
    calls = calls_during(monkeypatch, ds.flush)
    assert [call[:2] for call in calls] == [("sync", "rec"), ("pwrite", "idx"), ("sync", "idx")]
    assert calls[1][2] in (0, 4096)


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="looks up the names of open files in /proc"
)
def test_after_an_edit_a_whole_new_index_is_durable_before_it_takes_the_place_of_the_old_one(
    made, monkeypatch
):
    ds = dsrecords.open(made)
    del ds[0]
    calls = calls_during(monkeypatch, ds.flush)
    assert calls[0] == ("sync", "rec")
    assert [call[:2] for call in calls[-2:]] == [("sync", "tmp"), ("rename", "idx")]
    assert all(call[:2] == ("pwrite", "tmp") for call in calls[1:-2])


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="looks up the names of open files in /proc"
)
def test_a_compaction_is_durable_before_it_takes_the_place_of_what_was_there(made, monkeypatch):
    ds = dsrecords.open(made)
    del ds[0]
    calls = calls_during(monkeypatch, ds.compact)
    first = next(i for i, call in enumerate(calls) if call[0] == "rename")
    assert [call[:2] for call in calls if call[0] == "rename"] == [
        ("rename", "rec"),
        ("rename", "idx"),
    ]
    assert [call[0] for call in calls[:first]].count("sync") >= 2
    assert "pwrite" not in [call[0] for call in calls[first:]]


def test_an_append_that_is_interrupted_does_not_come_twice_when_it_is_repeated(made, monkeypatch):
    faults = Faults(monkeypatch)
    ds = dsrecords.open(made)
    ds.extend([])
    for i, when in enumerate(["before", "amid", "after"]):
        assert faults.during(lambda i=i: ds.append(row(10 + i)), 0, when, KeyboardInterrupt())
        if there(made)[-1] != row(10 + i):
            ds.append(row(10 + i))
        assert there(made) == rows(11 + i)
    assert list(dsrecords.open(made)) == rows(13)
    ds.append(row(13))
    assert list(ds) == rows(14)


def test_an_error_of_the_samples_in_the_middle_of_extend_is_no_fault_of_the_writer(made):
    ds = dsrecords.open(made)

    def samples():
        yield row(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ds.extend(samples())
    ds.append(row(11))
    assert list(ds) == rows(12) and there(made) == rows(12)


def test_whatever_the_tail_holds_opening_raises_only_errors_of_ours(made):
    with dsrecords.open(made) as ds:
        ds.append(row(10))
    whole = Path(made).read_bytes()
    last = frames(made)[-1]
    (word,) = struct.unpack_from("<Q", whole, last.offset + 8)
    words = {word ^ last.size | size for size in (0, 8, last.size + 8, 2**47, 2**48 - 8)}
    words |= {word & ~(0xFF << 48) | kind << 48 for kind in (0, 2, 3, 4, 5, 6, 127, 128, 255)}
    words |= {0, 2**64 - 1, word & ~(0xFF << 56)}  # without the mark of a frame
    os.remove(index_of(made))
    for wrong in words:
        raw = bytearray(whole)
        struct.pack_into("<Q", raw, last.offset + 8, wrong)
        Path(made).write_bytes(raw)
        assert there(made) == rows(10), hex(wrong)


@pytest.mark.parametrize("written", [1, 50, 127])
def test_a_slot_that_a_killed_writer_left_half_written_is_written_anew_by_the_next_checkpoint(
    written, tmp_path
):
    path, index = str(tmp_path / "half.rec"), tmp_path / "half.idx"
    with dsrecords.IndexedRecordDataset(path, schema={"n": "int64"}) as ds:
        ds.append({"n": 1})
    slots = bytearray(index.read_bytes())
    older = 4096 * (int(slots[32] > slots[4096 + 32]))
    half = b"\x89DSX\r\n\x1a\n" + bytes(range(1, 121))
    slots[older : older + 128] = half[:written].ljust(128, b"\0")
    index.write_bytes(slots)
    ds = dsrecords.open(path)
    assert [problem.message for problem in ds.check()] == ["a slot is damaged"]
    ds.extend([])
    ds.flush()
    assert ds.check() == []
    ds.close()
    assert list(dsrecords.open(path)) == [{"n": 1}]
