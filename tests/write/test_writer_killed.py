"""A writer is killed a hundred times: what it had acknowledged is there, what it had not is whole or not there."""

import os
import random
import signal
import time

import pytest
from conftest import SCHEMA, row

import dsrecords
from dsrecords import make_dataset
from dsrecords._storage import files

pytestmark = pytest.mark.slow

KILLS = 100
MOST = 150  # samples; above that the list is cut down


def step(chance, model):
    """One random operation: a function that does it to a dataset, and the list after it."""
    count, number = len(model), chance.randrange(10**9)
    new = [
        {**row(number + i), "text": f"{number + i} " * chance.choice([0, 1, 10, 20_000])}
        for i in range(3)
    ]
    at, other = chance.randrange(count or 1), chance.randrange(count or 1)
    kind = chance.randrange(12)
    if count > MOST:
        return (lambda ds: ds.__delitem__(slice(0, None, 2))), model[1::2]
    if count < 5 or kind < 3:
        return (lambda ds: ds.append(new[0])), [*model, new[0]]
    if kind < 5:
        return (lambda ds: ds.extend(iter(new))), model + new
    if kind == 5:
        columns = {name: [sample[name] for sample in new] for name in SCHEMA}
        return (lambda ds: ds.extend_columns(columns)), model + new
    if kind == 6:
        changes = {at: new[0], other: new[1]}
        return (lambda ds: ds.update(changes)), [
            changes.get(i, sample) for i, sample in enumerate(model)
        ]
    if kind == 7:
        gone = {at, other}
        return (lambda ds: ds.__delitem__(list(gone))), [
            sample for i, sample in enumerate(model) if i not in gone
        ]
    if kind == 8:
        left = model[:-1]
        if at < len(left):
            left[at] = model[-1]
        return (lambda ds: ds.quick_remove_at(at)), left
    if kind == 9:
        part = {"text": f"{model[at]['label']} " * chance.choice([0, 1, 10, 2000])}
        changed = [*model]
        changed[at] = {**model[at], **part}
        return (lambda ds: ds.update({at: part}, partial=True)), changed
    if kind == 10:
        return (lambda ds: ds.set_metadata({"number": number})), model
    files = (lambda ds: ds.flush()) if number % 4 else (lambda ds: ds.compact())
    return files, model


def in_pieces(chance):
    """A `pwrite` that takes its time: many a kill comes in the middle of it."""

    def pwrite(fd, data, offset):
        data, done = bytes(data), 0
        while done < len(data):
            done += os.pwrite(fd, data[done : done + chance.choice([1, 3, 20])], offset + done)

    return pwrite


def write(path, seed, model, acknowledge):
    """What the writer's process does until it is killed: operations, one byte through the pipe after each."""
    chance = random.Random(seed)
    if seed % 4:
        files.pwrite = in_pieces(random.Random(seed))
        files.pwritev = lambda fd, buffers, offset: files.pwrite(fd, b"".join(buffers), offset)
    ds = dsrecords.open(path)
    ds.extend([])  # takes the lock, and recovers
    while True:
        operation, model = step(chance, model)
        operation(ds)
        os.write(acknowledge, b".")


def killed_writer(path, seed, model, seconds):
    """How many operations a writer acknowledged before it was killed."""
    acknowledged, acknowledge = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(acknowledged)
            write(path, seed, model, acknowledge)
        except BaseException:  # noqa: BLE001 - a writer that fails by itself must not look like one that was killed
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(acknowledge)
    first = os.read(acknowledged, 1)  # so that the time does not go into starting
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (
        "the writer failed before it was killed"
    )
    count = len(first)
    while more := os.read(acknowledged, 2**16):
        count += len(more)
    os.close(acknowledged)
    return count


# A writer that is killed amid a compaction leaves the new log, and the index of the old one.
@pytest.mark.filterwarnings("ignore:.* is of another dataset. the list was made again:UserWarning")
@pytest.mark.long
@pytest.mark.exhaustive
def test_nothing_acknowledged_is_lost_and_nothing_else_is_half_there(tmp_path):
    path, index_path = make_dataset([], tmp_path / "data.rec", SCHEMA)
    chance, model, torn, unacknowledged = random.Random(7), [], 0, 0
    for seed in range(KILLS):
        count = killed_writer(
            path, seed, model, chance.choice([0, 0.002, 0.01, 0.03]) * chance.random()
        )
        replay = random.Random(seed)
        for _ in range(count):
            _, model = step(replay, model)
        _, next_model = step(replay, model)

        if seed % 5 == 0:
            os.unlink(index_path)
        with dsrecords.open(path) as ds:
            found = list(ds)
        assert found in (model, next_model), (
            f"after kill {seed}: {len(found)} samples, {len(model)} acknowledged"
        )
        unacknowledged += found != model
        model = found
        if seed % 3 == 0:  # in the other rounds the next writer recovers
            before = os.path.getsize(path)
            with dsrecords.open(path) as ds:
                ds.extend([])
                assert list(ds) == model
            assert dsrecords.open(path).check() == []
            torn += os.path.getsize(path) < before
        for name in os.listdir(tmp_path):  # a compaction that was killed leaves its temporary files
            if not name.endswith(("data.rec", "data.idx")):
                assert ".tail-" not in name, "something that verifies was cut off"
    assert torn >= 5, "hardly any kill came in the middle of a write: this test shows nothing"
    with dsrecords.open(path) as ds:
        ds.append(row(1))
        ds.compact()
        assert list(ds) == [*model, row(1)]
