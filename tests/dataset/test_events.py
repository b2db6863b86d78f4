"""What happens around a list while it is changed: other handles, signals, Ctrl-C, code of the user's, forks, other makers.

`tests/reliability/interruptions.py` puts an event between two instructions of the library; `make torture` tries all of them.
"""

import contextlib
import fcntl
import itertools
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import IN_FULL, SOURCE

import dsrecords
from dsrecords import (
    CorruptError,
    DSRecordsError,
    IndexedRecordDataset,
    LockedError,
    ReadOnlyError,
    SchemaError,
    StaleViewError,
)
from dsrecords._format import kernels
from dsrecords._write import writer
from dsrecords._write.lock import lock

sys.path.insert(0, str(Path(__file__).parents[1] / "reliability"))

from interruptions import Between, Interrupt, descriptors

SCHEMA = {"text": "str", "y": "int64"}
STEP = 7 if IN_FULL else 61  # of the instructions, one of so many is tried


def row(y):
    return {"text": f"text {y}", "y": y}


def make(path, count=4):
    dsrecords.make_dataset([row(y) for y in range(count)], path, SCHEMA)
    return str(path)


def shown(ds):
    return [sample["y"] for sample in ds]


def truth(path):
    """The list as a new reader finds it."""
    return dsrecords.open(path).column("y").tolist()


def is_free(path):
    """Whether nobody has the lock of a data file."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def copied(path, name):
    """A copy of both files, under another name."""
    other = Path(path).with_name(f"{name}.rec")
    for ending in (".rec", ".idx"):
        shutil.copy(Path(path).with_suffix(ending), other.with_suffix(ending))
    return str(other)


CHANGES = {
    "append": lambda ds: ds.append(row(100)),
    "extend": lambda ds: ds.extend([row(100), row(101)]),
    "extend_columns": lambda ds: ds.extend_columns({"text": ["a", "b"], "y": [100, 101]}),
    "replace": lambda ds: ds.__setitem__(1, row(100)),
    "replace a field": lambda ds: ds.__setitem__((1, "y"), 100),
    "delete": lambda ds: ds.__delitem__(0),
    "take the last": lambda ds: ds.quick_remove_at(0),
    "set_metadata": lambda ds: ds.set_metadata({"a": 1}),
    "flush": lambda ds: ds.flush(),
    "refresh": lambda ds: ds.refresh(),
    "compact": lambda ds: ds.compact(),
}
AFTER = {
    "append": lambda before: [*before, 100],
    "extend": lambda before: [*before, 100, 101],
    "extend_columns": lambda before: [*before, 100, 101],
    "replace": lambda before: [before[0], 100, *before[2:]],
    "replace a field": lambda before: [before[0], 100, *before[2:]],
    "delete": lambda before: before[1:],
    "take the last": lambda before: [before[-1], *before[1:-1]],
}


def after(change, before):
    return AFTER.get(change, list)(before)


@pytest.fixture
def appends_by_python(monkeypatch):
    """An append by C has no instruction of Python's amid it, and so nobody comes between."""
    monkeypatch.setattr("dsrecords._write.compiled.core", None)


# Interruptions


def interrupted(path, change, number, is_first_change):
    """Interrupt a change at one instruction, then look at everything. Returns whether it was reached."""
    ds = dsrecords.open(path)
    before = list(range(4))
    if not is_first_change:
        ds.append(row(50))
        before.append(50)
    between = Between(number)
    remembered = None  # as a notebook does, the traceback included
    try:
        with between:
            CHANGES[change](ds)
    except Interrupt as error:
        remembered = error
    allowed = [before, after(change, before)]
    if change == "extend":  # what came before the exception is written
        allowed.append([*before, 100])
    on_disk = truth(path)
    assert on_disk in allowed
    seen = shown(ds)
    assert seen in allowed
    assert ds[:].column("y").tolist() == seen
    # A change by position hits the record that is shown there, or is refused.
    last = seen[-1]
    try:
        ds[-1, "y"] = 777
        assert truth(path) == [777 if y == last else y for y in on_disk]
    except StaleViewError:
        assert truth(path) == on_disk
    ds.close()
    with dsrecords.open(path) as other:  # the lock is free, whoever remembers the exception
        other.append(row(1))
    del remembered
    return between.happened


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("is_first_change", [True, False])
@pytest.mark.parametrize("change", [name for name in CHANGES if name != "compact"])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_an_exception_at_any_instruction_leaves_the_list_before_or_after(
    tmp_path, monkeypatch, change, is_first_change
):
    # An exception within `__del__` is only told of; whoever tells must not remember it.
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    made = make(tmp_path / "made.rec")
    open_before = descriptors()
    number = 6  # from 5 on, one is where CPython 3.11 loses a reference to an OSError
    while interrupted(copied(made, number), change, number, is_first_change):
        number += STEP * (6 if is_first_change else 1)
    assert descriptors() == open_before


def test_an_exception_that_is_remembered_keeps_no_lock(tmp_path, monkeypatch):
    """As a notebook remembers the last one."""
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    monkeypatch.setattr("dsrecords._write.writer.recover", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError) as remembered:
        ds.append(row(1))
    monkeypatch.undo()
    with dsrecords.open(path) as other:
        other.append(row(9))
    assert remembered is not None
    assert truth(path) == [0, 1, 2, 3, 9]


def test_an_exception_while_the_lock_is_taken_keeps_no_lock(tmp_path):
    path = make(tmp_path / "a.rec")
    open_before = descriptors()
    remembered = []
    for number in itertools.count():
        kept = []
        try:
            with Between(number) as between:
                lock(path, kept.append)
        except Interrupt as error:
            remembered = [error]
        for file in kept:
            file.close()
        assert is_free(path)
        if not between.happened:
            break
    assert number > 100
    remembered.clear()
    assert descriptors() == open_before


def test_a_repair_that_fails_keeps_no_lock(tmp_path):
    path = make(tmp_path / "a.rec")
    data = bytearray(Path(path).read_bytes())
    data[data.index(b"text 1")] ^= 1
    Path(path).write_bytes(data)
    with pytest.raises(CorruptError) as remembered:
        dsrecords.repair(path, in_place=True)
    assert is_free(path)
    assert remembered is not None


# Signal handlers


def with_handler(path, number, handler):
    """Append, with a call of a handler at one instruction. Returns whether it was reached."""
    ds = dsrecords.open(path)
    ds.append(row(50))
    between = Between(number, lambda: handler(ds))
    with between:
        try:
            ds.append(row(51))
        except ReadOnlyError as error:
            assert "compacted" in str(error)
    ds.close()
    return between.happened


@pytest.mark.slow
@pytest.mark.parametrize("sync", [False, True])
def test_a_handler_that_flushes_amid_an_append_changes_nothing(tmp_path, sync):
    made = make(tmp_path / "made.rec")
    number = 0
    while True:
        path = copied(made, number)
        happened = with_handler(path, number, lambda ds: ds.flush(sync))
        assert truth(path) == [0, 1, 2, 3, 50, 51]
        if not happened:
            return
        number += 7


def test_a_flush_amid_an_append_is_made_up_for_right_after_it(tmp_path):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    ds.append(row(50))
    gate = ds._editing.writer.gate
    amid = []

    def flush():
        if gate.is_held_here():
            amid.append(len(ds))
            ds.flush()

    for number in range(0, 600, 11):
        with Between(number, flush):
            ds.append(row(51))
        if amid:
            break
    assert amid
    slot = ds._reading.source.slot
    assert slot.end == ds._reading.snapshot().end  # published, though nobody flushed since


@pytest.mark.slow
@pytest.mark.parametrize("change", ["append", "flush"])
def test_a_flush_at_any_instruction_of_a_change_is_made_up_for_right_after_it(
    tmp_path, change, appends_by_python
):
    ds = dsrecords.open(make(tmp_path / "a.rec"))
    ds.append(row(50))
    gate = ds._editing.writer.gate
    steps = {"append": 7, "flush": 61}
    amid = []

    def flush():
        if gate.is_held_here():
            amid.append(number)
            ds.flush()

    for number in itertools.count(0, steps[change]):
        ds[0, "y"] = number
        with Between(number, flush) as between:
            ds.append(row(51)) if change == "append" else ds.flush()
        if number in amid:
            source = ds._reading.source
            assert source.slot.end == ds._reading.snapshot().end
            assert gate.after is None
        if not between.happened:
            break
    assert len(amid) > 20


@pytest.mark.slow
@pytest.mark.parametrize("change", ["append", "delete", "replace a field", "compact"])
def test_a_handler_that_changes_the_list_amid_a_change_is_refused_or_right(
    tmp_path, change, appends_by_python
):
    made = make(tmp_path / "made.rec")
    refused = 0
    number = 0
    while True:
        path = copied(made, number)
        outcome = []

        def handler(ds, outcome=outcome):
            try:
                CHANGES[change](ds)
                outcome.append("done")
            except LockedError as error:
                assert "interrupts" in str(error)
                outcome.append("refused")

        happened = with_handler(path, number, handler)
        both = {
            "append": ([0, 1, 2, 3, 50, 51, 100], [0, 1, 2, 3, 50, 100, 51]),
            "delete": ([1, 2, 3, 50, 51],),
            "replace a field": ([0, 100, 2, 3, 50, 51],),
            # The handler's is done, and the append that it interrupts is refused.
            "compact": ([0, 1, 2, 3, 50, 51], [0, 1, 2, 3, 50]),
        }
        if outcome == ["done"]:
            assert truth(path) in both[change]
        else:
            assert truth(path) == [0, 1, 2, 3, 50, 51]
            refused += outcome == ["refused"]
        if not happened:
            break
        number += 29
    assert refused


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no such signals here")
def test_autosave_by_a_timer(tmp_path):
    path = make(tmp_path / "a.rec", 0)
    ds = dsrecords.open(path)
    calls = []

    def autosave(*arguments):
        calls.append(len(ds))
        ds.flush()

    before = signal.signal(signal.SIGALRM, autosave)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        count = 0
        while len(calls) < 20 or count < 2000:
            ds.append(row(count))
            count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    ds.close()
    assert truth(path) == list(range(count))


# Code of the user's that a change calls


class Sneaky:
    """An index that changes the list when it is asked for its number."""

    def __init__(self, ds, number):
        self.ds = ds
        self.number = number

    def __index__(self):
        del self.ds[0]
        return self.number


def test_an_index_that_edits_the_list_is_refused(tmp_path):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    with pytest.raises(StaleViewError, match="code that this edit has called"):
        ds[Sneaky(ds, 1)] = row(100)
    assert shown(ds) == truth(path) == [1, 2, 3]
    with pytest.raises(StaleViewError, match="code that this edit has called"):
        del ds[Sneaky(ds, 1)]
    assert shown(ds) == truth(path) == [2, 3]


def test_a_serializer_that_edits_the_list_is_refused(tmp_path):
    def dump(value):
        if value == "edit":
            del ds[0]
        return value.encode()

    path = str(tmp_path / "a.rec")
    ds = dsrecords.IndexedRecordDataset(path, serializers=[dump], deserializers=[bytes])
    ds.extend([("a",), ("b",), ("c",)])
    with pytest.raises(StaleViewError, match="code that this edit has called"):
        ds[1] = ("edit",)
    assert [sample[0] for sample in ds] == [b"b", b"c"]


def test_a_generator_that_edits_the_list_while_it_gives_samples_is_right(tmp_path):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)

    def samples():
        yield row(10)
        del ds[0]
        ds.append(row(11))
        yield row(12)

    ds.extend(samples())
    assert sorted(shown(ds)) == [1, 2, 3, 10, 11, 12]
    assert shown(ds) == truth(path)


# Other handles


def test_a_change_that_was_refused_as_the_schema_changed_is_refused_again(tmp_path):
    schema = {"v": "int64", "u": "int64"}
    path = tmp_path / "a.rec"
    dsrecords.make_dataset([{"v": 1, "u": 1}], path, schema)
    first = dsrecords.IndexedRecordDataset(path, schema=schema)
    with dsrecords.open(path) as second:
        second.cast({"v": "float64"})
    for number in (5, 6):
        with pytest.raises(SchemaError, match="not that of the file"):
            first.append({"v": number, "u": number})
        with dsrecords.open(path) as third:  # and the lock is not kept
            third[0] = {"v": number, "u": 0}
    first.close()
    assert dsrecords.open(path).column("v").tolist() == [6.0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda ds: ds.__delitem__(-1), [0, 1, 2, 99]),
        (lambda ds: ds.__delitem__(slice(2, None)), [0, 1, 99]),
        (lambda ds: ds.__delitem__(slice(None, None, -3)), [1, 2, 99]),
        (lambda ds: ds.__delitem__([False, False, False, True]), [0, 1, 2, 99]),
        (lambda ds: ds.__setitem__((-1, "y"), 7), [0, 1, 2, 7, 99]),
        (lambda ds: ds.update({-1: row(7), 0: row(8)}), [8, 1, 2, 7, 99]),
        (lambda ds: ds.quick_remove_at(-4), [99, 1, 2, 3]),
    ],
)
def test_positions_are_of_the_list_that_was_seen(tmp_path, change, expected):
    """Another one has appended since: ends and negative positions mean what they meant."""
    path = make(tmp_path / "a.rec")
    first = dsrecords.open(path)
    with dsrecords.open(path) as second:
        second.append(row(99))
    change(first)
    first.close()
    assert truth(path) == expected


def test_positions_in_a_list_that_another_has_edited_are_refused(tmp_path):
    path = make(tmp_path / "a.rec")
    first = dsrecords.open(path)
    with dsrecords.open(path) as second:
        del second[0]
    with pytest.raises(StaleViewError, match="look again"):
        del first[0]
    assert truth(path) == [1, 2, 3]
    assert shown(first) == [1, 2, 3]
    del first[0]
    assert truth(path) == [2, 3]


def test_threads_that_edit_at_once_lose_nothing(tmp_path):
    path = make(tmp_path / "a.rec", 0)
    ds = dsrecords.open(path)
    ds.extend(row(y) for y in range(400))

    def work(start):
        for _ in range(50):
            ds.append(row(start))
            del ds[0]

    threads = [threading.Thread(target=work, args=(1000 * (k + 1),)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ds) == 400
    assert shown(ds) == truth(path)
    assert shown(ds)[:200] == list(range(200, 400))


# Forks, replaced files, pickles


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def in_child(function):
    """Call a function in a forked child. Returns its exit code: 0 if it returned true."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if function() else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@needs_fork
def test_a_forked_child_of_a_writer_refreshes_and_the_parent_keeps_its_lock(tmp_path):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    ds.append(row(4))
    read, write = os.pipe()

    def child():
        os.read(read, 1)  # the parent has appended
        ds.refresh()
        return shown(ds) == [0, 1, 2, 3, 4, 5]

    process = multiprocessing.get_context("fork").Process(target=lambda: os._exit(not child()))
    process.start()
    ds.append(row(5))
    os.write(write, b"x")
    process.join()
    assert process.exitcode == 0
    ds.append(row(6))
    assert truth(path) == [0, 1, 2, 3, 4, 5, 6]


@needs_fork
def test_a_child_that_outlives_a_writer_holds_no_lock(tmp_path):
    """Forked by the user's own pool, amid a recovery or not: the lock dies with its owner."""
    path = make(tmp_path / "a.rec")
    code = """
import os, sys, time, dsrecords
from dsrecords._write import writer
real = writer.recover
def forking(*arguments):
    if not os.fork():
        sys.stdout.close(); os.close(1)
        time.sleep(600)
    return real(*arguments)
writer.recover = forking
ds = dsrecords.open(sys.argv[1])
ds.append({"text": "", "y": 9})
if not os.fork():
    os.close(1)
    time.sleep(600)
print("written", flush=True)
os._exit(0)
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-W", "ignore", "-c", code, path]
    done = subprocess.run(
        command, capture_output=False, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )  # fmt: skip
    assert done.stdout == "written\n"
    with dsrecords.open(path) as ds:
        ds.append(row(10))
    assert truth(path) == [0, 1, 2, 3, 9, 10]
    subprocess.run(["pkill", "-f", path], check=False)


@pytest.mark.long
@needs_fork
@pytest.mark.exhaustive
def test_a_child_that_is_forked_while_the_lock_is_taken_does_not_keep_it(tmp_path):
    path = make(tmp_path / "a.rec")
    read, write = os.pipe()
    begun, begins = os.pipe()
    children = []

    def fork():
        child = os.fork()
        if not child:
            os.close(write)
            os.write(begins, b"x")
            os.read(read, 1)  # it lives until its parent closes the pipe
            os._exit(0)
        children.append(child)
        os.read(begun, 1)

    try:
        for number in itertools.count(step=1 if IN_FULL else 3):
            kept = []
            with Between(number, fork) as between:
                lock(path, kept.append)
            for file in kept:
                file.close()
            assert is_free(path)
            if not between.happened:
                break
    finally:
        for end in (write, read, begun, begins):
            os.close(end)
        for child in children:
            os.waitpid(child, 0)
    assert number > 100


def test_a_writer_whose_file_was_replaced_refreshes_and_writes_again(tmp_path):
    path = make(tmp_path / "a.rec")
    other = make(tmp_path / "b.rec", 2)
    ds = dsrecords.open(path)
    ds.append(row(4))
    for ending in (".rec", ".idx"):
        os.replace(Path(other).with_suffix(ending), Path(path).with_suffix(ending))
    ds.refresh()
    assert shown(ds) == [0, 1]
    ds.append(row(2))
    ds.close()
    assert truth(path) == [0, 1, 2]


def test_a_pickle_of_a_list_that_was_edited_says_what_to_do(tmp_path):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    pickled = pickle.dumps(ds[1:3])
    with dsrecords.open(path) as other:
        other[0, "y"] = 7
    with pytest.raises(StaleViewError, match="save_view"):
        pickle.loads(pickled)
    view = ds[1:3].save_view(tmp_path / "view.idx")
    with dsrecords.open(path) as other:
        other[1, "y"] = 8
    with pytest.warns(UserWarning, match="was edited"):
        workers = dsrecords.open(path, index_path=view)
    pickled = pickle.dumps(workers)
    with pytest.warns(UserWarning, match="was edited"):
        assert pickle.loads(pickled).column("y").tolist() == [1, 2]


LOOKS = {
    "a loop": list,
    "the first of a loop": lambda ds: next(iter(ds)),
    "a sample": lambda ds: ds[0],
    "samples": lambda ds: list(ds[1:3]),
    "a batch": lambda ds: ds.batch([0, 2]),
    "a column": lambda ds: ds.column("b"),
    "a filter": lambda ds: ds.filter(lambda a: a == 3, "a"),
    "a condition": lambda ds: ds.filter("a == 3 and b == 4"),
    "lengths": lambda ds: ds.lengths("u"),
    "a condition on lengths": lambda ds: ds.filter("len(u) == 6"),
    "checksums": lambda ds: ds.checksums("u"),
    "bytes": lambda ds: ds.stored_sizes("u"),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("dropped", ["a", "t"])
def test_a_handle_whose_schema_no_longer_fits_shows_no_values_of_other_fields(
    tmp_path, dropped, look
):
    """The fields behind the one that was dropped have taken its place in each record."""
    values = {"a": 3, "b": 4}
    if look in ("lengths", "a condition on lengths", "checksums", "bytes"):
        values |= {"t": "xyz", "u": "longer", "v": "the longest"}
    elif dropped == "t":
        values = {"t": 2, **values}
    kinds = {key: "str" if isinstance(value, str) else "int64" for key, value in values.items()}
    path = dsrecords.make_dataset([values] * 300, tmp_path / "a.rec", kinds)[0]
    ds = IndexedRecordDataset(path, schema=kinds, create=False)
    before = LOOKS[look](ds)
    with dsrecords.open(path) as other:
        other.drop_fields(dropped)
        other.add_field("w", "int64", [77] * 300)
    with pytest.raises(SchemaError, match="the schema given"):
        ds.refresh()
    try:
        after = LOOKS[look](ds)
    except StaleViewError as error:
        assert "without one" in str(error)  # how to go on
    else:
        assert np.array_equal(after, before)


def test_lengths_are_not_counted_in_items_of_another_type(tmp_path):
    kinds = {"items": "list[int32]"}
    path = dsrecords.make_dataset([{"items": [1, 2, 3, 4]}] * 3, tmp_path / "a.rec", kinds)[0]
    ds = IndexedRecordDataset(path, schema=kinds, create=False)
    assert ds.lengths("items").tolist() == [4, 4, 4]
    with dsrecords.open(path) as other:
        other.cast({"items": "list[int64]"})
    with pytest.raises(SchemaError, match="the schema given"):
        ds.refresh()
    with pytest.raises(StaleViewError, match="without one"):
        ds.lengths("items")


# Makers


MAKER = """
import sys, dsrecords
k = int(sys.argv[2])
sys.stdin.read()
try:
    dsrecords.make_dataset([{"y": k}] * (50 + k), sys.argv[1], {"y": "int64"})
    print("made")
except (FileExistsError, dsrecords.LockedError):
    print("another one did")
"""


def race(path, makers):
    """Let several processes make the same dataset at once. Returns which of them say that they did."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    processes = []
    for k in range(makers):
        command = [sys.executable, "-c", MAKER, path, str(k)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        processes.append(process)
    for process in processes:
        process.stdin.close()  # now
    told = []
    for process in processes:
        told.append(process.stdout.read().strip())
        process.wait()
        process.stdout.close()
    assert set(told) <= {"made", "another one did"}
    return [k for k, words in enumerate(told) if words == "made"]


@pytest.mark.long
@pytest.mark.slow
def test_of_several_makers_one_has_made_it(tmp_path):
    for number in range(20 if IN_FULL else 2):
        path = str(tmp_path / f"{number}.rec")
        (winner,) = race(path, 4)
        assert truth(path) == [winner] * (50 + winner)
        assert {
            entry.name for entry in tmp_path.iterdir() if entry.name.startswith(f"{number}.")
        } == {
            f"{number}.rec",
            f"{number}.idx",
        }


def test_what_a_killed_maker_left_is_removed_and_what_a_live_one_has_is_not(tmp_path):
    path = tmp_path / "a.rec"
    partial = Path(f"{path}.partial")
    shutil.copy(make(tmp_path / "b.rec"), partial)
    dsrecords.make_dataset([row(1)], path, SCHEMA)
    assert not partial.exists()
    with pytest.raises(LockedError, match="another process is making it"):
        dsrecords.make_dataset(nested(tmp_path / "c.rec"), tmp_path / "c.rec", SCHEMA)


def nested(path):
    """Samples whose giver makes the same dataset."""
    yield row(1)
    dsrecords.make_dataset([row(2)], path, SCHEMA)


# Files that were put in the place of others


def test_a_file_that_was_put_in_the_place_of_the_index_is_not_written_over(tmp_path):
    path = make(tmp_path / "a.rec")
    index = Path(path).with_suffix(".idx")
    ds = dsrecords.open(path)
    ds.append(row(4))
    index.unlink()
    for _ in range(50):  # one of them gets the index's inode, if any does
        index.write_bytes(b"a letter of somebody else's")
        if ds._reading.source.slot_file == (index.stat().st_dev, index.stat().st_ino):
            break
        index.unlink()
    index.write_bytes(b"a letter of somebody else's")
    with pytest.raises(DSRecordsError, match="no index of this dataset"):
        ds.flush()
    assert index.read_bytes() == b"a letter of somebody else's"


@pytest.mark.filterwarnings("ignore:.*the list was made again")
def test_a_writer_goes_on_once_a_file_in_the_place_of_its_index_is_gone(tmp_path):
    path = make(tmp_path / "a.rec")
    index = tmp_path / "a.idx"
    with dsrecords.open(path) as ds:
        ds.append(row(50))
        index.unlink()
        index.write_bytes(b"a letter of somebody else's")
        for _ in range(2):
            with pytest.raises(ReadOnlyError, match="move it away") as raised:
                ds.flush()
            assert raised.value.file == str(index)
        ds.append(row(51))
        index.unlink()
        ds.append(row(52))
    assert truth(path) == [0, 1, 2, 3, 50, 51, 52]
    assert not dsrecords.open(path).check()


def test_a_view_does_not_take_the_place_of_a_missing_index_wherever_the_process_went(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make("a.rec")
    ds = dsrecords.open("a.rec")
    view = ds[1:3]
    os.remove("a.idx")
    for folder, name in ((".", "a.idx"), ("sub", "../a.idx"), ("sub", str(tmp_path / "a.idx"))):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        with pytest.raises(ValueError, match="index of the dataset itself"):
            view.save_view(name)
    with pytest.raises((CorruptError, FileNotFoundError)):
        dsrecords.open(tmp_path / "a.rec", index_path=tmp_path / "none.idx")


# Found by the model of tests/reliability/events.py


def replaced(path, count=6):
    """Another dataset in the place of this one."""
    other = make(Path(path).with_name("other.rec"), count)
    for ending in (".rec", ".idx"):
        os.replace(Path(other).with_suffix(ending), Path(path).with_suffix(ending))


@pytest.mark.parametrize("change", ["compact", "add a field"])
def test_a_writer_whose_file_was_replaced_does_not_put_its_own_back(tmp_path, change):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    ds.append(row(4))
    replaced(path)
    with pytest.raises(ReadOnlyError, match="replaced"):
        ds.compact() if change == "compact" else ds.add_field("z", "int64", [0] * 5)
    assert truth(path) == [0, 1, 2, 3, 4, 5]


def test_a_change_that_was_interrupted_in_a_file_that_was_replaced_is_not_gone_on_with(tmp_path):
    """Or the file without a name, which readers have mapped, would be cut to the other's length."""
    path = make(tmp_path / "a.rec", 400)
    ds = dsrecords.open(path)
    ds.append(row(4))
    ds._editing.writer._interrupted = True
    replaced(path)
    with pytest.raises(ReadOnlyError, match="replaced"):
        ds.append(row(5))
    assert len(ds) == 401
    ds.refresh()
    assert shown(ds) == [0, 1, 2, 3, 4, 5]


def test_an_exception_that_comes_when_all_values_are_made_is_raised_as_it_is(tmp_path, monkeypatch):
    def read_then_interrupted(*arguments, real=kernels.read_sample):
        real(*arguments)
        raise MemoryError("amid reading")

    ds = dsrecords.open(make(tmp_path / "a.rec"))
    monkeypatch.setattr(kernels, "read_sample", read_then_interrupted)
    with pytest.raises(MemoryError, match="amid reading"):
        ds[0]


@pytest.fixture
def interruptible(monkeypatch):
    """An exception within `__del__` is only told of."""
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.usefixtures("interruptible")
def test_a_close_that_was_interrupted_is_made_up_for(tmp_path):
    path = make(tmp_path / "a.rec")
    for number in itertools.count(0, 1 if IN_FULL else 17):
        ds = dsrecords.open(path)
        ds[0, "y"] = 0
        remembered = None
        try:
            with Between(number) as between:
                ds.close()
        except Interrupt as error:
            remembered = error
        ds.close()
        assert is_free(path)
        if not between.happened:
            assert remembered is None
            break


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    "options", [{}, {"overwrite": True}, {"resume": True}, {"shards": 1}], ids=str
)
def test_a_maker_that_was_interrupted_locks_nobody_out(tmp_path, options):
    """However long the exception is remembered, which keeps the frames, and what has a name in them."""
    path = tmp_path / "a.rec"
    for number in itertools.count(3, STEP * 3):
        for left in tmp_path.iterdir():
            left.unlink()
        if "overwrite" in options:
            make(path)
        remembered = None
        try:
            with Between(number) as between:
                dsrecords.make_dataset([row(1), row(2)], path, SCHEMA, **options)
        except Interrupt as error:
            remembered = error
        again = {**options, "overwrite": True}
        found = dsrecords.make_dataset([row(1), row(2)], path, SCHEMA, **again)
        assert truth(found[-1] if "shards" in options else path) == [1, 2]
        if not between.happened:
            assert remembered is None
            break


NOTHING = {
    "extend": lambda ds: ds.extend([]),
    "extend by a generator": lambda ds: ds.extend(row(y) for y in ()),
    "extend by columns": lambda ds: ds.extend_columns({key: [] for key in SCHEMA}),
    "update": lambda ds: ds.update({}),
    "delete": lambda ds: ds.__delitem__(slice(3, 3)),
}


@pytest.mark.parametrize("change", NOTHING)
def test_a_writer_that_has_stopped_says_so_even_where_there_is_nothing_to_write(tmp_path, change):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    ds.append(row(4))
    NOTHING[change](ds)
    replaced(path)
    with pytest.raises(ReadOnlyError, match="replaced"):
        ds.flush()
    with pytest.raises(ReadOnlyError, match="replaced"):
        NOTHING[change](ds)


def deletes_and_is_interrupted(ds, monkeypatch):
    """Delete a sample; an exception comes when that is written, before it is noted."""
    write = writer.files.pwrite

    def interrupted_write(*arguments):
        write(*arguments)
        raise Interrupt

    with monkeypatch.context() as patched:
        patched.setattr(writer.files, "pwrite", interrupted_write)
        with pytest.raises(Interrupt):
            del ds[1]
    assert shown(ds) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("change", NOTHING)
def test_a_change_of_nothing_makes_up_for_one_that_was_interrupted(tmp_path, monkeypatch, change):
    path = make(tmp_path / "a.rec")
    with dsrecords.open(path) as ds:
        ds.append(row(4))
        deletes_and_is_interrupted(ds, monkeypatch)
        with contextlib.suppress(StaleViewError):  # of an edit, since the list is another one
            NOTHING[change](ds)
        assert shown(ds) == truth(path) == [0, 2, 3, 4]


@pytest.mark.parametrize("change", NOTHING)
def test_a_change_of_nothing_is_refused_where_an_interrupted_writer_has_lost_its_file(
    tmp_path, monkeypatch, change
):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    ds.append(row(4))
    deletes_and_is_interrupted(ds, monkeypatch)
    replaced(path)
    with pytest.raises(ReadOnlyError, match="replaced"):
        NOTHING[change](ds)
    ds.refresh()
    assert shown(ds) == truth(path) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_handle_that_has_not_seen_what_was_cut_off_is_told_too(tmp_path, is_indexed):
    """However much is left: a part of a frame looks like one that is just being written."""
    path = make(tmp_path / "a.rec")
    if not is_indexed:
        os.remove(Path(path).with_suffix(".idx"))
        with pytest.warns(UserWarning, match="missing"):
            ds = dsrecords.open(path)
    else:
        ds = dsrecords.open(path)
    seen = os.path.getsize(path)
    with dsrecords.open(path) as other:
        other.append(row(4))
        between = os.path.getsize(path)
        other.append(row(5))
    whole = Path(path).read_bytes()
    for size in (seen, seen + 1, between - 1, between, between + 1, len(whole) - 1):
        os.truncate(path, size)
        with pytest.raises(CorruptError, match="cut short"):
            ds.refresh()
        with open(path, "r+b") as file:
            file.write(whole)
        assert shown(ds) == [0, 1, 2, 3]  # what it showed, and not what was left
    ds.refresh()
    assert shown(ds) == [0, 1, 2, 3, 4, 5]


def test_a_handler_may_compact_amid_a_refresh(tmp_path):
    made = make(tmp_path / "made.rec")
    number = 0
    while True:
        path = copied(made, number)
        ds = dsrecords.open(path)
        ds.append(row(4))

        def handler(ds=ds):
            with contextlib.suppress(LockedError):
                ds.compact()

        between = Between(number, handler)
        with between:
            ds.refresh()
        assert shown(ds) == truth(path) == [0, 1, 2, 3, 4]
        ds.close()
        if not between.happened:
            return
        number += 3


@pytest.mark.long
@needs_fork
@pytest.mark.exhaustive
@pytest.mark.parametrize("change", ["append", "replace a field", "delete"])
def test_a_child_that_is_forked_amid_a_change_refreshes(tmp_path, change):
    path = make(tmp_path / "a.rec")
    ds = dsrecords.open(path)
    ds.append(row(4))
    codes = []

    def child():
        sys.settrace(None)
        ds.refresh()
        return shown(ds) == truth(path)

    number = 0
    between = None
    while between is None or between.happened:
        between = Between(number, lambda: codes.append(in_child(child)))
        with between:
            CHANGES[change](ds)
        ds.append(row(5))  # so that there is always something to change
        number += STEP
    assert set(codes) == {0}
