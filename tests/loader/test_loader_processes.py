"""Worker processes of a loader: the same batches, clear errors, and nothing is left of them. And forks of its own process."""

import ast
import contextlib
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SOURCE, flip
from loaders import (
    check_batch,
    descriptors,
    make_everything,
    make_numbers,
    plain,
    sample,
    wait_for_threads,
)

import dsrecords
from dsrecords import CorruptError, DSRecordsError, Loader, Pad, SchemaError

HAS_FORK = "fork" in multiprocessing.get_all_start_methods()


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return make_numbers(str(tmp_path_factory.mktemp("loader") / "numbers.rec"), 100, ["x"])


def noisy(sample, rng):
    label = int(sample["label"])
    return {
        **sample,
        "noise": rng.random(),
        "kind": label if label % 7 else None,
        "n": label,
        "shape": np.zeros(1 + label % 3),
    }


def scaled(batch, rng):
    return {**batch, "scale": rng.random()}


class CannotBeMadeAgainError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def failing(sample):
    label = int(sample["label"])
    if label == 5:
        raise LookupError(label)
    if label == 15:
        raise CannotBeMadeAgainError(1, 2)
    if 20 <= label < 30:
        return {**sample, "f": lambda: 1}
    if label == 35:
        os.kill(os.getpid(), signal.SIGKILL)
    if label == 45:
        raise SystemExit(3)
    return sample


def whoami(sample):
    return {"label": sample["label"], "process": os.getpid()}


def asleep(sample):
    time.sleep(1000)


def is_running(process):
    """Whether a process is there, and no zombie that only waits to be asked for."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(processes):
    deadline = time.monotonic() + 60
    while any(map(is_running, processes)):
        assert time.monotonic() < deadline, processes
        time.sleep(0.01)


def workers_of(loader):
    return [worker._process.pid for worker in loader._processes._workers]


# The same as in threads


@pytest.mark.slow
def test_processes_make_the_same_batches(tmp_path, numbers):
    options = {
        "transform": noisy,
        "batch_transform": scaled,
        "with_index": True,
        "pad": {"shape": Pad(-1)},
        "shuffle": True,
    }
    loader = Loader(numbers, 12, num_threads=0, **options)
    wanted = [plain(batch) for _ in range(2) for batch in loader]
    with Loader(numbers, 12, num_processes=2, num_threads=3, **options) as loader:
        assert [plain(batch) for _ in range(2) for batch in loader] == wanted
    everything = make_everything(str(tmp_path / "everything.rec"), 20)
    with Loader(everything, 7, num_processes=1) as loader:
        for step, batch in enumerate(loader):
            check_batch(batch, everything.batch(loader.indices(step)))
    with Loader(everything, num_processes=1, fields=["maybe", "text"]) as loader:
        got = list(loader)
    assert [one["text"] for one in got] == [sample(i)["text"] for i in range(20)]
    assert [one["maybe"] is None for one in got] == [i % 3 == 0 for i in range(20)]


@pytest.mark.slow
def test_skipped_samples_of_processes(tmp_path):
    path = str(tmp_path / "texts.rec")
    rows = [{"label": i, "text": f"text {i:02}"} for i in range(40)]
    dsrecords.make_dataset(rows, path, {"label": "int64", "text": "str"})
    for number in (3, 16, 17, 18, 19, 20, 21, 22, 23, 39):
        flip(path, Path(path).read_bytes().index(f"text {number:02}".encode()))
    dataset = dsrecords.open(path)

    def epoch(loader):
        got = [plain(batch) for batch in loader]
        return got, [error.record for error in loader.skipped]

    for options in ({}, {"transform": dict}):
        wanted = epoch(
            Loader(dataset, 8, on_error="skip", with_index=True, num_threads=0, **options)
        )
        assert len(wanted[0]) == 4
        with Loader(
            dataset, 8, on_error="skip", with_index=True, num_processes=1, **options
        ) as loader:
            assert epoch(loader) == wanted
        with Loader(dataset, 8, num_processes=1, **options) as loader:
            with pytest.raises(CorruptError) as caught:
                list(loader)
            assert (caught.value.file, caught.value.record, caught.value.field) == (path, 3, "text")


@pytest.mark.slow
def test_processes_are_used_again_and_end_with_the_loader(numbers):
    files = descriptors()
    loader = Loader(numbers, 10, transform=whoami, num_processes=2)
    seen = set()
    for _ in range(3):
        for batch in loader:
            seen.update(batch["process"].tolist())
    assert 1 <= len(seen) <= 2
    assert os.getpid() not in seen
    processes = workers_of(loader)
    assert seen <= set(processes)
    next(iter(loader))
    del loader
    wait_for_threads()
    wait_until_gone(processes)
    assert descriptors() <= files + 2  # multiprocessing's own tracker has one or two


@pytest.mark.slow
def test_closing_ends_processes_whatever_they_do(numbers):
    loader = Loader(numbers, 10, transform=asleep, num_processes=1, prefetch=0)
    iterator = iter(loader)
    processes = workers_of(loader)
    assert all(map(is_running, processes))
    caught = []

    def wait():
        try:
            next(iterator)
        except (RuntimeError, DSRecordsError) as error:
            caught.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    loader.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert len(caught) == 1
    wait_until_gone(processes)


# What goes wrong


def test_what_cannot_be_sent_to_a_process_is_named(numbers):
    with pytest.raises(TypeError, match=r"does not pickle.*top of a module"):
        iter(Loader(numbers, 10, transform=lambda sample: sample, num_processes=1))


@pytest.mark.long
@pytest.mark.slow
def test_what_processes_raise(numbers):
    with Loader(numbers[:10], 10, transform=failing, num_processes=1) as loader:
        for _ in range(2):
            with pytest.raises(LookupError) as caught:
                list(loader)
            assert caught.value.args == (5,)
            notes = "\n".join(caught.value.__notes__)
            assert "record 5" in notes
            assert "in a worker process" in notes
            assert "raise LookupError" in notes
    with (
        Loader(numbers[10:20], 10, transform=failing, num_processes=1) as loader,
        pytest.raises(RuntimeError, match="CannotBeMadeAgainError: 1 and 2"),
    ):
        list(loader)
    with (
        Loader(numbers[20:30], 10, transform=failing, num_processes=1) as loader,
        pytest.raises((AttributeError, pickle.PicklingError), match="lambda"),
    ):
        list(loader)
    with (
        Loader(numbers[40:50], 10, transform=failing, num_processes=1) as loader,
        pytest.raises(SystemExit),
    ):
        list(loader)


@pytest.mark.long
@pytest.mark.slow
def test_a_process_that_is_killed_is_a_clear_error_and_another_takes_its_place(numbers):
    for num_processes in (1, 2):
        with Loader(numbers[30:50], 10, transform=failing, num_processes=num_processes) as loader:
            with pytest.raises(DSRecordsError, match=r"worker process ended.*num_processes=0"):
                list(loader)
            with pytest.raises(DSRecordsError, match="worker process ended"):
                list(loader)
    with Loader(numbers, 10, transform=whoami, num_processes=1) as loader:
        iterator = iter(loader)
        next(iterator)
        (process,) = workers_of(loader)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(DSRecordsError, match="worker process ended"):
            list(iterator)
        loader.set_epoch(0)
        got = [label for batch in loader for label in batch["label"].tolist()]
        assert got == list(range(100))
        assert process not in workers_of(loader)


@pytest.mark.slow
def test_samples_of_other_keys_are_an_error_in_processes_too(numbers):
    with (
        Loader(numbers, 20, transform=other_keys, num_processes=2) as loader,
        pytest.raises(SchemaError, match="'other'"),
    ):
        list(loader)


def other_keys(sample):
    return {"other": 1} if sample["label"] == 19 else sample


_UNGUARDED = """
import dsrecords
loader = dsrecords.Loader(dsrecords.open({path!r}), 10, num_processes=1)
try:
    list(loader)
except dsrecords.DSRecordsError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(numbers, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_UNGUARDED.format(path=numbers.path))
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000,
        check=True,
    )
    assert "if __name__ == '__main__'" in done.stdout


_PARENT = """
import sys, time
import dsrecords

def slow(sample):
    return sample

if __name__ == "__main__":
    loader = dsrecords.Loader(dsrecords.open({path!r}), 10, num_processes=2, transform=slow)
    iterator = iter(loader)
    next(iterator)
    print(*[worker._process.pid for worker in loader._processes._workers], flush=True)
    time.sleep(1000)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_processes_end_when_their_parent_is_killed(numbers, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_PARENT.format(path=numbers.path))
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    parent = subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True
    )
    processes = [int(word) for word in parent.stdout.readline().split()]
    assert len(processes) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_gone(processes)


# Forks


def in_fork(function):
    """What a function returns in a fork of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            os.close(reader)
            try:
                answer = function()
            except Exception as error:  # noqa: BLE001
                answer = f"{type(error).__name__}: {error}"
            os.write(writer, repr(answer).encode())
            status = 0
        os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, answer
    return ast.literal_eval(answer.decode())


def labels(batches):
    return [label for batch in batches for label in np.ravel(batch["label"]).tolist()]


@pytest.mark.skipif(not HAS_FORK, reason="has no fork")
@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("num_threads", [0, 2])
def test_a_fork_amid_an_iteration(numbers, batch_size, num_threads):
    loader = Loader(numbers, batch_size, num_threads=num_threads, prefetch=4)
    iterator = iter(loader)
    got = labels([next(iterator)])
    answer = in_fork(lambda: labels(iterator))
    assert answer.startswith("RuntimeError: this iteration of a loader began in another process")
    got += labels([next(iterator)])
    assert in_fork(lambda: labels(loader)) == list(range(100))
    assert in_fork(iterator.close) is None
    got += labels(iterator)
    assert got == list(range(100))
    wait_for_threads()


@pytest.mark.skipif(not HAS_FORK, reason="has no fork")
def test_a_fork_does_not_wait_for_a_lock_that_a_thread_held(numbers):
    loader = Loader(numbers, 4, num_threads=1, prefetch=4)
    iterator = iter(loader)
    next(iterator)
    step = loader._running()._waiting[0].step

    def child():
        signal.alarm(60)  # it would wait for ever
        return labels(loader)

    with step._lock:
        assert in_fork(child) == list(range(100))
    assert len(labels(iterator)) == 96


@pytest.mark.slow
@pytest.mark.skipif(not HAS_FORK, reason="has no fork")
def test_a_fork_has_worker_processes_of_its_own(numbers):
    with Loader(numbers, 10, transform=whoami, num_processes=1) as loader:
        next(iter(loader))
        (mine,) = workers_of(loader)

        def child():
            batch = next(iter(loader))
            processes = workers_of(loader)
            loader.close()
            return batch["label"].tolist(), processes, batch["process"].tolist()

        got, (other,), seen = in_fork(child)
        assert got == list(range(10))
        assert set(seen) == {other}
        assert other != mine
        assert is_running(mine)
        loader.set_epoch(0)
        assert set(np.concatenate([b["process"] for b in loader]).tolist()) == {mine}


def fork_many(loader, count):
    """Forks, each amid the work of threads; all must come to an end."""
    for batch in loader:
        if not batch["label"][0] % (100 // count):
            assert in_fork(lambda: labels(loader)) == list(range(100))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(not HAS_FORK, reason="has no fork")
def test_forks_find_no_lock_held(numbers):
    loader = Loader(numbers, 2, num_threads=2, prefetch=16, transform=dict)
    for _ in range(3):
        fork_many(loader, 25)
    assert re.match(r"<Loader: <Sampler", repr(loader))
