"""One writer and many readers, in processes and threads."""

import functools
import mmap
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, SOURCE, row, rows

import dsrecords
from dsrecords import IndexedRecordDataset, LockedError, ReadOnlyError, make_dataset

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
START = f"""import sys
sys.path[:0] = {[str(SOURCE), str(TESTS)]!r}
from conftest import *
import os, dsrecords
"""


def script(code, *arguments):
    """A process that runs a script, and talks through pipes."""
    command = [sys.executable, "-W", "error", "-c", START + code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def forked(function):
    """Run a function in a forked child: its exit status, 0 if it did not raise."""
    child = os.fork()
    if not child:
        status = 1
        try:
            function()
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it must not go on as a second pytest
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def is_running(child):
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def finished(*children):
    """Wait for forked children; whether each of them did what it should."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(
        children
    )


# One writer


WRITER = """
ds = dsrecords.open(sys.argv[1])
ds.append(row(10))
print("ready", flush=True)
input()
ds.close()
print("closed", flush=True)
input()
"""


def test_a_second_writer_is_refused_at_once_and_gets_in_after_the_first_closes(made):
    with script(WRITER, made) as first:
        assert first.stdout.readline() == "ready\n"
        second = dsrecords.open(made)
        assert list(second) == rows(11)
        for change in (  # were it to wait for the lock, it would do so for ever: the first closes only below
            lambda: second.append(row(11)), lambda: second.__delitem__(0), lambda: second.extend(rows(2)),
            lambda: second.update({0: row(1)}), lambda: second.compact(), lambda: second.quick_remove_at(0),
        ):  # fmt: skip
            with pytest.raises(LockedError, match=r"data\.rec"):
                change()
        assert list(second) == rows(11)
        first.stdin.write("\n")
        first.stdin.flush()
        assert first.stdout.readline() == "closed\n"
        second.append(row(11))
        assert list(second) == rows(12)
        first.kill()


def test_a_second_writer_gets_in_after_the_first_is_killed(made):
    with script(WRITER, made) as first:
        assert first.stdout.readline() == "ready\n"
        second = dsrecords.open(made)
        with pytest.raises(LockedError):
            second.append(row(11))
        first.kill()
    second.append(row(11))
    assert list(second) == rows(12)


def test_two_writers_in_one_process_exclude_each_other_too(made):
    first, second = dsrecords.open(made), dsrecords.open(made)
    first.append(row(10))
    with pytest.raises(LockedError):
        second.append(row(11))
    first.close()
    second.append(row(11))
    with pytest.raises(LockedError):
        dsrecords.open(made).append(row(12))
    assert list(second) == rows(12)


def test_opening_and_reading_take_no_lock(made):
    readers = [dsrecords.open(made) for _ in range(3)]
    assert all(list(reader) == rows(10) for reader in readers)
    dsrecords.open(made).append(row(10))


def test_writers_that_take_turns_lose_nothing(path):
    make_dataset([], path, {"who": "int8", "n": "int32"})

    def write(who):
        done = 0
        while done < 25:
            try:
                with dsrecords.open(path) as ds:
                    ds.append({"who": who, "n": done})
                done += 1
            except LockedError:
                time.sleep(0.001)

    children = [forked(functools.partial(write, who)) for who in range(3)]
    assert finished(*children)
    ds = dsrecords.open(path)
    for who in range(3):
        assert ds[ds.column("who") == who].column("n").tolist() == list(range(25))
    assert len(ds) == 75


# Forks


def test_a_forked_child_of_the_writer_may_read_but_not_write(made):
    ds = dsrecords.open(made)
    ds.append(row(10))

    def child():
        assert list(ds) == rows(11)
        for change in (
            lambda: ds.append(row(11)),
            lambda: ds.__delitem__(0),
            lambda: ds.compact(),
            lambda: ds.flush(),
        ):
            with pytest.raises(ReadOnlyError, match="fork"):
                change()
        with pytest.raises(LockedError):  # the parent still has it
            dsrecords.open(made).append(row(11))
        ds.close()

    assert finished(forked(child))
    ds.append(row(11))
    assert list(ds) == rows(12)
    with pytest.raises(LockedError):
        dsrecords.open(made).append(row(12))


def test_a_forked_child_may_write_what_the_parent_only_reads(made):
    ds = dsrecords.open(made)
    assert ds[0] == row(0)

    def child():
        with ds:
            ds.append(row(10))

    assert finished(forked(child))
    assert len(ds) == 10
    ds.refresh()
    assert list(ds) == rows(11)
    ds.append(row(11))
    assert list(ds) == rows(12)


def test_a_child_that_goes_on_living_does_not_keep_the_lock_of_what_is_replaced(made):
    begun, tell = os.pipe()
    end, live = os.pipe()
    children = []

    def child():
        os.close(live)
        os.write(tell, b".")
        os.read(end, 1)  # until the parent closes the other end

    def samples():
        yield row(0)
        children.append(forked(child))  # as a worker that encodes samples is
        os.read(begun, 1)  # once the child runs: until then it has what its parent has
        raise KeyError

    with pytest.raises(KeyError):
        make_dataset(samples(), made, SCHEMA, overwrite=True)
    with dsrecords.open(made) as ds:
        ds.append(row(10))
    os.close(live)
    assert finished(*children)
    for pipe in (begun, tell, end):
        os.close(pipe)
    assert list(dsrecords.open(made)) == rows(11)


def test_a_child_that_goes_on_living_does_not_keep_the_lock_of_its_parent(made):
    code = """
ds = dsrecords.open(sys.argv[1]); ds.append(row(10))
begun, tell = os.pipe()
if child := os.fork():
    os.read(begun, 1); print(child, flush=True); input()  # once the child runs: until then it has what its parent has
else:
    os.write(tell, b"."); sys.stdin.close(); import time; time.sleep(60)
"""
    with script(code, made) as parent:
        child = int(parent.stdout.readline())
        ds = dsrecords.open(made)
        with pytest.raises(LockedError):
            ds.append(row(11))
        parent.kill()
        parent.wait()
        try:
            os.kill(child, 0)  # it lives
            ds.append(row(11))
        finally:
            os.kill(child, signal.SIGKILL)
    assert list(ds) == rows(12)


def read_all(ds, seed):
    order = random.Random(seed).sample(range(10), 10)
    return [ds[i] for i in order] == [row(i) for i in order] and ds.column(
        "label"
    ).tolist() == list(range(10))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_readers_are_given_to_other_processes(made, method):
    ds = dsrecords.open(made)
    assert ds[0] == row(0)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap(read_all, [(ds, seed) for seed in range(4)]) == [True] * 4
        assert pool.starmap(read_all, [(ds[::-1][::-1], seed) for seed in range(2)]) == [True] * 2


def test_readers_and_views_are_inherited_by_forked_processes(made):
    ds = dsrecords.open(made)
    view = ds[2:5]
    assert ds[3] == row(3)

    def child():
        for seed in range(5):
            assert read_all(ds, seed)
        assert list(view) == rows(2, 5)

    children = [forked(child) for _ in range(3)]
    assert finished(*children)
    assert read_all(ds, 9)


def test_many_processes_that_create_it_at_once_all_get_the_same_one(path, tmp_path):
    for round_ in range(5):
        gate, open_gate = os.pipe()

        def child(number, gate=gate):
            os.read(gate, 1)
            while True:
                try:
                    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
                        ds.append(row(number))
                    return
                except LockedError:
                    time.sleep(0.001)

        children = [forked(functools.partial(child, number)) for number in range(4)]
        os.write(open_gate, b"....")
        assert finished(*children)
        os.close(gate)
        os.close(open_gate)
        assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]
        assert sorted(dsrecords.open(path).column("label").tolist()) == [0, 1, 2, 3], (
            f"round {round_}"
        )
        os.remove(path)
        os.remove(path.replace(".rec", ".idx"))


def test_of_many_processes_that_must_create_it_one_does(path, tmp_path):
    gate, open_gate = os.pipe()

    def child():
        os.read(gate, 1)
        try:
            IndexedRecordDataset(path, schema=SCHEMA, create=True)
        except FileExistsError:
            os._exit(7)

    children = [forked(child) for _ in range(4)]
    os.write(open_gate, b"....")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os.close(gate)
    os.close(open_gate)
    assert sorted(codes) == [0, 7, 7, 7]
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]


def test_many_threads_that_create_it_at_once_all_get_the_same_one(path, tmp_path):
    for _ in range(10):
        gate = threading.Barrier(4)

        def create(gate=gate):
            gate.wait()
            return len(IndexedRecordDataset(path, schema=SCHEMA))

        with ThreadPoolExecutor(4) as pool:
            assert [future.result() for future in [pool.submit(create) for _ in range(4)]] == [
                0
            ] * 4
        assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]
        os.remove(path)
        os.remove(path.replace(".rec", ".idx"))


# Readers beside a writer

PAIR = {
    "n": "int64",
    "text": "str",
}  # in all that follows, n is what text says, and each batch adds up to 0


def pair(n):
    return {"n": n, "text": f"{n} " * (abs(n) % 50)}


def consistent(ds):
    batch = ds.batch(slice(None))
    assert int(batch["n"].sum()) == 0
    assert batch["text"] == [pair(n)["text"] for n in batch["n"].tolist()]
    i = random.randrange(len(ds))
    sample = ds[i]
    assert sample == pair(int(batch["n"][i]))


CHANGES, ROUNDS = 400, 10  # at the least, however fast or slow the machine is
MOST = 40 * CHANGES  # then something is wrong: the later ones are slow


def change_at_random(ds, rounds, seed, run=lambda: True):
    """Changes each of which leaves the sum at 0, until each reader has made its rounds beside them, or one does not run."""
    chance, count = random.Random(seed), 0
    while count < CHANGES or (min(rounds[:]) < ROUNDS and run()):
        assert count < MOST, f"the readers made {rounds[:]} rounds"
        if count > CHANGES:
            time.sleep(0.01)  # leave the processor to the readers
        n, kind = chance.randrange(1, 10**6), chance.randrange(8)
        if kind < 3 or len(ds) < 20:
            ds.extend([pair(n), pair(-n), pair(n + 1), pair(-n - 1)])
        elif kind < 5:
            a, b = chance.sample(range(len(ds)), 2)
            total = ds[a, "n"] + ds[b, "n"]
            ds.update({a: pair(n), b: pair(total - n)})
        elif kind == 5:
            a = chance.randrange(len(ds) // 2 - 1)
            total = int(ds[a : a + 4].column("n").sum())
            ds.append(pair(0))
            ds.update({a: pair(total), **{a + i: pair(0) for i in range(1, 4)}})
            del ds[a + 1 : a + 4]
        elif kind == 6:
            ds.flush()
        elif chance.randrange(4) == 0:
            ds.compact()
        if len(ds) > 400:
            zero = int(ds[:200].column("n").sum())
            ds.update({0: pair(zero), **{i: pair(0) for i in range(1, 200)}})
            del ds[1:200]
        count += 1


def read_beside(path, stop, rounds, number):
    """Open, read, refresh, until told to stop. Opening may look at an index that is just being replaced, and says so."""
    ds = dsrecords.open(path)
    try:
        while not os.path.exists(stop):
            consistent(ds)
            view = ds[::-1]
            if rounds[number] % 3:
                ds.refresh()
            else:
                ds = dsrecords.open(path)
            consistent(ds)
            consistent(view)
            rounds[number] = min(rounds[number] + 1, 255)
    finally:
        rounds[number] = 255  # if it failed: the writer must not wait for it


def test_readers_in_processes_see_whole_batches_while_a_writer_changes_all(path, tmp_path):
    make_dataset([pair(n) for i in range(20) for n in (i, -i)], path, PAIR)
    stop = str(tmp_path / "stop")
    with mmap.mmap(-1, 2) as rounds:  # shared with the children
        children = [
            forked(functools.partial(read_beside, path, stop, rounds, number))
            for number in range(2)
        ]
        try:
            with dsrecords.open(path) as ds:
                change_at_random(ds, rounds, seed=1, run=lambda: all(map(is_running, children)))
                consistent(ds)
        except BaseException:
            for child in filter(is_running, children):
                os.kill(child, signal.SIGABRT)  # it says where it is
            raise
        finally:
            open(stop, "w").close()
            done = finished(*children)
    assert done
    assert dsrecords.open(path).check() == []


def test_readers_in_threads_each_with_its_own_opening_see_whole_batches(path, tmp_path):
    make_dataset([pair(n) for i in range(20) for n in (i, -i)], path, PAIR)
    stop, rounds = str(tmp_path / "stop"), bytearray(2)
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read_beside, path, stop, rounds, number) for number in range(2)]
        try:
            with dsrecords.open(path) as ds:
                change_at_random(ds, rounds, seed=2)
        finally:
            open(stop, "w").close()
        for reader in readers:
            reader.result()


def in_threads(read, change):
    """Read in threads while the main thread changes the very same object."""
    done, interval = threading.Event(), sys.getswitchinterval()

    def loop():
        rounds = 0
        while not done.is_set():
            read()
            rounds += 1
        return rounds

    with ThreadPoolExecutor(2) as pool:
        loops = [pool.submit(loop) for _ in range(2)]
        sys.setswitchinterval(
            interval / 50
        )  # they take turns more often, and who changes waits less for those who read
        try:
            change()
        finally:
            sys.setswitchinterval(interval)
            done.set()
        assert 0 not in [one.result() for one in loops]


def test_threads_read_a_dataset_while_another_thread_edits_it(path):
    make_dataset(({"n": i} for i in range(1000)), path, {"n": "int64"})
    ds = dsrecords.open(path)

    def read():
        assert ds[random.randrange(500)]["n"] >= 0  # there are never fewer
        assert len(ds.batch([3, 4, 499])["n"]) == 3

    def change():
        for i in range(400):
            del ds[i % 7]
            ds.append({"n": i})
            ds[i % 5] = {"n": i}
            ds.quick_remove_at(i % 11)
            ds.append({"n": i})
            if i % 50 == 0:
                ds.flush()

    in_threads(read, change)
    assert len(ds) == 1000


def test_threads_read_a_dataset_while_another_thread_refreshes_it(path):
    make_dataset(({"n": i} for i in range(1000)), path, {"n": "int64"})
    reader, writer = dsrecords.open(path), dsrecords.open(path)

    def read():
        assert reader[random.randrange(500)]["n"] >= 0
        assert len(reader.batch([3, 4, 499])["n"]) == 3

    def change():
        for i in range(200):
            del writer[i % 7]
            writer.append({"n": i})
            if i % 50 == 0:
                writer.compact()
            reader.refresh()

    in_threads(read, change)
    assert list(reader) == list(writer)


def test_threads_append_to_one_dataset_and_nothing_is_lost(path):
    make_dataset([], path, {"who": "int8", "n": "int32"})
    ds = dsrecords.open(path)
    ds.extend([])

    def append(who):
        for n in range(200):
            ds.append({"who": who, "n": n})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))
    for opened in (ds, dsrecords.open(path)):
        for who in range(4):
            assert opened[opened.column("who") == who].column("n").tolist() == list(range(200))
    assert ds.check() == []


def test_threads_that_make_the_first_change_at_once_are_one_writer(path):
    make_dataset([], path, {"n": "int32"})
    for round_ in range(10):
        ds, gate = dsrecords.open(path), threading.Barrier(4)

        def append(n, ds=ds, gate=gate):
            gate.wait()
            ds.append({"n": n})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(append, range(4)))
        ds.close()
        assert sorted(dsrecords.open(path).column("n").tolist()) == sorted(
            [0, 1, 2, 3] * (round_ + 1)
        )


# Compaction by another process


def test_an_open_reader_goes_on_reading_after_a_compaction_elsewhere_and_refresh_sees_it(made):
    reader = dsrecords.open(made)
    view = reader[2:4]
    code = """
ds = dsrecords.open(sys.argv[1])
del ds[0]
ds.append(row(10))
ds.compact()
ds.append(row(11))
print("done", flush=True)
input()
"""
    with script(code, made) as writer:
        assert writer.stdout.readline() == "done\n"
        assert list(reader) == rows(10)
        assert reader.column("label").tolist() == list(range(10))
        reader.refresh()
        assert list(reader) == rows(1, 12)
        assert list(view) == rows(2, 4)
        writer.kill()
    reader.append(row(12))
    assert list(reader) == rows(1, 13)


def test_a_writer_that_opened_before_a_compaction_elsewhere_does_not_write_to_the_old_file(made):
    old = dsrecords.open(made)
    with dsrecords.open(made) as ds:
        ds.compact()
    old.append(row(10))
    assert list(dsrecords.open(made)) == rows(11)


def test_numbers_of_a_column_are_the_same_in_every_process(path):
    make_dataset(({"n": i} for i in range(5000)), path, {"n": "int64"})
    ds = dsrecords.open(path)

    def child():
        assert (ds.column("n") == np.arange(5000)).all()
        assert os.getpid()

    children = [forked(child) for _ in range(2)]
    assert (ds.column("n") == np.arange(5000)).all()
    assert finished(*children)
