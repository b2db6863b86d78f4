"""Every call to the system fails once in each way; a full disk that is real; what is done after a fork."""

import contextlib
import errno
import os
from pathlib import Path

import pytest
import system_errors
from conftest import SCHEMA, python, row, rows
from operations import SMALL_INDEX, World, beginning, small_writers, state_of
from power_loss import LostError, Tally
from simulation import Machine

import dsrecords
from dsrecords import IndexedRecordDataset, ReadOnlyError, make_dataset
from dsrecords._read import open as _state
from dsrecords._storage import files
from dsrecords._write import writer as _writer

RUNS = [
    (start, names) for start in ("a dataset", "nothing") for names in system_errors.WORKLOADS
] + [("a torn dataset", system_errors.WORKLOADS[i]) for i in (0, 2, 4)]

EDITS = {"replace", "update", "revise", "revise_several"}  # whose checkpoint depends on the index

pytestmark = pytest.mark.exhaustive
EVERY = 5  # of the faults, one in so many is tried here


@pytest.mark.parametrize(
    ("start", "operations"),
    RUNS,
    ids=[f"{'-'.join(names) or 'create'}-{start}" for start, names in RUNS],
)
def test_each_call_of_a_run_fails_in_some_way(operations, start):
    tally = Tally()
    with small_writers():
        files = system_errors.STARTS[start]()
    for small_index in {SMALL_INDEX, 0 if set(operations) & EDITS else SMALL_INDEX}:
        system_errors.survey(operations, files, tally, every=EVERY, small_index=small_index)
    # Short writes are gone on with: those do not raise.
    assert tally["faults"] > 30 / EVERY
    assert tally["raised"] > 0.9 * (tally["faults"] - tally["short"])


def all_workloads(start, of=""):
    """Those with an operation of that name, or all."""
    for operations in system_errors.WORKLOADS:
        if of and of not in operations:
            continue
        tally = Tally()
        system_errors.survey(operations, start, tally)
        assert tally["raised"] > 0.9 * tally["faults"]


def planted(monkeypatch):
    """Defects, and how each is put in."""
    sync, pwrite, be_ready = files.sync, files.pwrite, _writer.Writer.be_ready

    def quiet_sync(fd, *, metadata=False):
        with contextlib.suppress(OSError):
            sync(fd, metadata=metadata)

    def one_write(fd, data, offset):
        files.os.pwrite(fd, data, offset)

    def quiet_write(fd, data, offset):
        with contextlib.suppress(OSError):
            pwrite(fd, data, offset)

    def forgets(writer):
        writer._why_stopped = ""
        be_ready(writer)

    def keeps_going(writer):
        return True

    forgetful = property(lambda state: "", lambda state, why: None)

    return {
        "a failed sync is passed over": lambda: monkeypatch.setattr(files, "sync", quiet_sync),
        "a short write is not gone on with": lambda: monkeypatch.setattr(
            files, "pwrite", one_write
        ),
        "a failed write is passed over": lambda: monkeypatch.setattr(files, "pwrite", quiet_write),
        "after a failed sync the writer goes on": lambda: monkeypatch.setattr(
            _writer.Writer, "be_ready", forgets
        ),
        "after half a compaction the old file is written": lambda: monkeypatch.setattr(
            _writer.Writer, "in_place", keeps_going
        ),
        "after a cut that could not be synced the writer goes on": lambda: monkeypatch.setattr(
            _state.State, "refuses", forgetful
        ),
    }


DEFECTS = (
    "a failed sync is passed over",
    "a short write is not gone on with",
    "a failed write is passed over",
    "after a failed sync the writer goes on",
    "after half a compaction the old file is written",
    "after a cut that could not be synced the writer goes on",
)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    with small_writers():
        start = system_errors.torn() if "cut" in defect else beginning()
    planted(monkeypatch)[defect]()
    with pytest.raises((LostError, AssertionError)):
        all_workloads(start, of="compact" if "compaction" in defect else "")


def test_a_full_disk_raises_and_leaves_what_was_there(path):
    make_dataset(rows(10), path, SCHEMA)
    code = """
import resource, signal, sys, dsrecords
path = sys.argv[1]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ds = dsrecords.open(path)
row = {"label": 1, "score": None, "text": "fits", "blob": None}
ds.append(row)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
for what in (lambda: ds.append({**row, "text": "x" * 9000}), lambda: ds.append(row), ds.flush):
    try:
        what()
    except OSError as error:
        print(type(error).__name__)
print(len(ds), ds[10]["text"])
ds.close()
"""
    assert python(code, path).split() == ["OSError", "ReadOnlyError", "ReadOnlyError", "11", "fits"]
    with dsrecords.open(path) as ds:
        assert list(ds)[:10] == rows(10)
        assert ds[10]["label"] == 1
        ds.append(row(11))
        assert len(ds) == 12
        assert ds.check() == []


def test_a_device_that_is_full_is_an_error_after_which_nothing_is_written_until_it_is_opened_again(
    path, monkeypatch
):
    make_dataset(rows(10), path, SCHEMA)
    before = Path(path).read_bytes()
    ds = dsrecords.open(path)
    ds.extend([])  # takes the lock
    # What is read of that device is zeros, and nothing of its own is written over by a writer.
    monkeypatch.setattr(_writer.Writer, "require_own_log", lambda writer: None)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(
        full, ds._editing.writer._file.number
    )  # the kernel itself says from now on that there is no room
    os.close(full)
    with pytest.raises(OSError, match="No space") as told:
        ds.append(row(10))
    assert told.value.errno == errno.ENOSPC
    for change in (lambda: ds.append(row(10)), ds.flush, lambda: ds.update({0: row(1)})):
        with pytest.raises(ReadOnlyError, match="open it again"):
            change()
    assert list(ds) == rows(10)
    ds.close()
    assert Path(path).read_bytes() == before
    with dsrecords.open(path) as ds:
        ds.append(row(10))
        assert list(ds) == rows(11)
        assert ds.check() == []


@pytest.mark.parametrize("change", ["append", "update", "compact", "flush"])
def test_a_forked_child_is_no_writer(path, change):
    ds = IndexedRecordDataset(path, schema=SCHEMA)
    ds.append(row(0))
    before = os.stat(path).st_ino
    if (child := os.fork()) == 0:
        try:
            {
                "append": lambda: ds.append(row(1)),
                "update": lambda: ds.update({0: row(1)}),
                "compact": ds.compact,
                "flush": ds.flush,
            }[change]()
        except ReadOnlyError as error:
            os._exit(0 if "fork" in error.message else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.stat(path).st_ino == before
    ds.append(row(1))
    assert list(dsrecords.open(path)) == rows(2)


def test_after_half_a_compaction_nothing_is_written_to_the_old_file():
    with small_writers():
        files, known = beginning()
        machine = Machine(files)
        world = World(machine, known)
        with machine.running():
            world.open()
            world.append()
            world.describe()
            renames = 0
            real = machine.replace

            def second_fails(source, target):
                nonlocal renames
                renames += 1
                if renames == 2:
                    raise OSError(errno.EIO, "the index could not be renamed")
                real(source, target)

            machine.replace = second_fails
            with pytest.raises(OSError, match="renamed"):
                world.compact()
            world.append()
            assert state_of(world.ds) == world.states[-1]
            with dsrecords.open("/sim/d.rec") as again:
                assert state_of(again) == world.states[-1]
