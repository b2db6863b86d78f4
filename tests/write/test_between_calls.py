"""What other processes do between two calls of the system: whoever makes or opens a dataset meets files that have just gone, or come."""

import contextlib
import fcntl
import os
import sys
import warnings
from pathlib import Path

import pytest

import dsrecords
from dsrecords import DSRecordsError, LockedError, make_dataset

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no such locks here")

SCHEMA = {"a": "int64"}
OURS = [1, 2, 3]
THEIRS = [7, 8]
MODULES = ("posix", "fcntl")


def rows(numbers, schema=SCHEMA):
    if "t" in schema:
        return [{"t": f"the text of {number}"} for number in numbers for _ in range(100)]
    return [{"a": number} for number in numbers]


def shown(path):
    with contextlib.closing(dsrecords.open(path)) as ds:
        return list(ds)


class Before:
    """Within a `with` statement, does something before or behind a call of the system.

    Args:
        number: of the moment; each call has two.
        act: a function.
    """

    def __init__(self, number, act):
        self.left = number
        self.act = act

    def __enter__(self):
        sys.setprofile(self.note)
        return self

    def __exit__(self, *exception):
        sys.setprofile(None)

    def note(self, frame, event, argument):
        if not event.startswith("c_") or getattr(argument, "__module__", "") not in MODULES:
            return
        if "dsrecords" not in frame.f_code.co_filename:
            return
        self.left -= 1
        if self.left == -1:
            self.act()


class Other:
    """Another process that makes the dataset: its files, and the lock while it is at work."""

    def __init__(self, schema=SCHEMA):
        make_dataset(rows(THEIRS, schema), "other.rec", schema)
        os.rename("other.rec", "a.rec.partial")
        os.rename("other.idx", "other.kept")
        self.file = os.open("a.rec.partial", os.O_RDONLY)
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def end(self):
        """It gives its files their names."""
        os.link("a.rec.partial", "a.rec")
        os.unlink("a.rec.partial")
        os.rename("other.kept", "a.idx")
        os.close(self.file)

    def fail(self):
        """It removes its files."""
        os.unlink("a.rec.partial")
        os.close(self.file)

    def die(self):
        """It is killed."""
        os.close(self.file)


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def moments(begin, call):
    """Call something again and again, while another process does something at each moment of it.

    Args:
        begin: puts files into an empty folder, and returns what the other does.
        call: a function.

    Yields:
        The error of the call, or None.
    """
    for number in range(1000):
        for path in Path().iterdir():
            path.unlink()
        act = begin()
        before = Before(number, act)
        error = None
        try:
            with before:
                call()
        except (DSRecordsError, FileExistsError) as raised:
            error = raised
        if before.left >= 0:  # it was over before
            act()
            assert number > 10
            return
        yield error
    raise AssertionError("it does not end")


def test_a_maker_that_ends_meanwhile_is_in_the_way_and_no_missing_file():
    for error in moments(lambda: Other().end, lambda: make_dataset(rows(OURS), "a.rec", SCHEMA)):
        assert isinstance(error, (FileExistsError, LockedError))
        assert shown("a.rec") == rows(THEIRS)


@pytest.mark.parametrize("ends", ["fail", "die"])
def test_a_maker_that_fails_meanwhile_makes_room(ends):
    def begin():
        return getattr(Other(), ends)

    for error in moments(begin, lambda: make_dataset(rows(OURS), "a.rec", SCHEMA)):
        if error is None:
            assert shown("a.rec") == rows(OURS)
        else:
            assert isinstance(error, LockedError)
            assert not os.path.exists("a.rec")


@pytest.mark.long
@pytest.mark.parametrize("ends", ["end", "fail", "die"])
@pytest.mark.parametrize("schema", [SCHEMA, {"t": "zstd(str, dict=4096)"}], ids=["plain", "zstd"])
def test_a_maker_that_goes_on_where_another_one_is_at_work(ends, schema):
    def begin():
        return getattr(Other(schema), ends)

    def call():
        make_dataset(rows(THEIRS, schema), "a.rec", schema, resume=True)

    for error in moments(begin, call):
        if error is None:
            assert shown("a.rec") == rows(THEIRS, schema)
        else:
            assert isinstance(error, (FileExistsError, LockedError))
            assert os.path.exists("a.rec") == (ends == "end")


class Old:
    """A dataset that is to give way, until another process removes or replaces it."""

    kept = ()  # descriptors of the last one's files: while they are open, no new file gets their inodes

    def __init__(self, shards=None):
        self.shards = shards
        for descriptor in Old.kept:
            os.close(descriptor)
        Old.kept = ()
        make_dataset(rows(THEIRS), "a.rec", SCHEMA, shards=shards)
        self.files = {path: path.stat().st_ino for path in Path().iterdir()}
        Old.kept = [os.open(path, os.O_RDONLY) for path in self.files]

    def remove(self):
        for path, inode in self.files.items():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == inode:
                    path.unlink()

    def replace(self):
        with contextlib.suppress(DSRecordsError):
            make_dataset(rows([9]), "a.rec", SCHEMA, overwrite=True, shards=self.shards)


def no_others():
    """That nothing is left but a dataset."""
    names = {path.suffix for path in Path().iterdir()}
    assert names <= {".rec", ".idx", ".json"}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("how", ["remove", "replace"])
@pytest.mark.parametrize("shards", [None, 1])
def test_a_dataset_that_is_to_give_way_has_gone_or_is_another_one(how, shards):
    def begin():
        return getattr(Old(shards), how)

    def call():
        make_dataset(rows(OURS), "a.rec", SCHEMA, overwrite=True, shards=shards)

    for error in moments(begin, call):
        found = shown("a.json" if shards else "a.rec")
        if error is None:
            assert found == rows(OURS) or (found == rows([9]) and how == "replace")
        else:
            assert isinstance(error, LockedError)
            assert how == "replace"
        no_others()


def test_a_dataset_is_opened_or_created_where_another_process_makes_it():
    def act():
        with contextlib.suppress(LockedError, FileExistsError):
            make_dataset(rows(THEIRS), "a.rec", SCHEMA)

    def call():
        with contextlib.closing(dsrecords.IndexedRecordDataset("a.rec", schema=SCHEMA)) as ds:
            found.append(list(ds))

    found = []
    for error in moments(lambda: act, call):
        assert error is None or isinstance(error, LockedError)
    assert all(one in ([], rows(THEIRS)) for one in found)
    assert [] in found
    assert rows(THEIRS) in found


def without_index():
    Path("a.idx").unlink()


@pytest.mark.parametrize("how", ["replace", "compact", "without index"])
def test_a_reader_shows_a_list_that_was_there_while_it_opened(how):
    def compact():
        with dsrecords.open("a.rec") as ds:
            ds.compact()

    def begin():
        acts = {"replace": Old().replace, "compact": compact, "without index": without_index}
        return acts[how]

    found = []
    for error in moments(begin, lambda: found.append(shown("a.rec"))):
        assert error is None
        assert found[-1] == rows(THEIRS) or (how == "replace" and found[-1] == rows([9]))
