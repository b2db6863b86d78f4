"""A folder that keeps what was read of a bucket: fewer requests, and never a wrong value."""

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
from test_remote_reading import SCHEMA, row, same

import dsrecords
from dsrecords._storage import kept

pytestmark = pytest.mark.large
pytest_plugins = ["servers"]

COUNT = 300


@pytest.fixture
def name(path, publish):
    dsrecords.make_dataset(map(row, range(COUNT)), path, SCHEMA)
    return publish(path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def whole(ds):
    return all(same(sample, row(i)) for i, sample in enumerate(ds)) and len(ds) == COUNT


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_kept_is_not_read_again(name, options, folder, proxy):
    def read():
        assert whole(dsrecords.open(name, storage_options=options, cache=folder))

    read()
    first = sum(each.sent for each in proxy.requests)
    proxy.forget()
    read()
    assert len(proxy.requests) == 2  # that the two files are what they were
    assert sum(each.sent for each in proxy.requests) < first


def test_records_are_kept_one_by_one_and_in_any_order(name, options, folder, proxy):
    ds = dsrecords.open(name, storage_options=options, cache=folder)
    ds.batch([250, 260, 299])
    again = dsrecords.open(name, storage_options=options, cache=folder)
    proxy.forget()
    assert same(again[260], row(260))
    assert same(again.batch([299, 250])["text"], [row(299)["text"], row(250)["text"]])
    assert proxy.requests == []


def test_another_version_is_not_taken_for_this_one(name, options, folder, path, publish):
    assert whole(dsrecords.open(name, storage_options=options, cache=folder))
    other = path.replace("data", "other")
    dsrecords.make_dataset((row(i + 1) for i in range(COUNT)), other, SCHEMA)
    publish(other)
    ds = dsrecords.open(name, storage_options=options, cache=folder)
    assert same(list(ds), [row(i + 1) for i in range(COUNT)])


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "removed"])
def test_what_is_damaged_is_read_anew(name, options, folder, damage):
    assert whole(dsrecords.open(name, storage_options=options, cache=folder))
    ds = dsrecords.open(name, storage_options=options, cache=folder)
    damaged = files_in(folder)
    assert damaged
    for file in damaged:
        data = bytearray(file.read_bytes())
        if damage == "flipped":
            for offset in range(0, len(data), 997):
                data[offset] ^= 1
            file.write_bytes(data)
        elif damage == "removed":
            file.unlink()
        else:
            os.truncate(file, len(data) // 2 if damage == "cut" else 0)
    assert whole(ds)
    assert whole(dsrecords.open(name, storage_options=options, cache=folder))


def test_the_oldest_goes_first_and_the_limit_holds(name, options, folder, monkeypatch):
    monkeypatch.setattr(kept, "_SMALLEST_FILE", 20_000)
    size = 200_000
    for _ in range(2):
        ds = dsrecords.open(name, storage_options=options, cache=folder, cache_limit=size)
        for start in range(0, COUNT, 10):
            assert same(ds[start], row(start))
    assert sum(file.stat().st_size for file in files_in(folder)) <= size + 70_000


def test_a_disk_that_is_full_or_read_only_only_costs_time(name, options, folder, monkeypatch):
    def full(self, entry):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.Kept, "_append", full)
    assert whole(dsrecords.open(name, storage_options=options, cache=folder))
    folder.parent.joinpath("a file").write_bytes(b"")
    assert whole(dsrecords.open(name, storage_options=options, cache=folder.parent / "a file"))


KILLED = """
import pickle, sys
ds = pickle.loads(sys.stdin.buffer.read())
print("begun", flush=True)
while True:
    for start in range(0, 300, 7):
        ds.refresh(), ds.batch(range(start, min(start + 7, 300)))
"""


@pytest.mark.slow
def test_processes_that_share_a_folder_and_are_killed(name, options, folder):
    ds = dsrecords.open(name, storage_options=options, cache=folder)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", KILLED]
    workers = []
    for _ in range(3):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        worker = subprocess.Popen(command, env=environment, **pipes)
        worker.stdin.write(pickle.dumps(ds))
        worker.stdin.close()
        workers.append(worker)
    for worker in workers:
        assert worker.stdout.readline() == b"begun\n"
    for worker in workers:
        time.sleep(0.05)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        assert whole(dsrecords.open(name, storage_options=options, cache=folder))
