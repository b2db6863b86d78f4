"""Writers that are killed while readers are at work: what was acknowledged stays, and each reader sees a state that there was."""

import hashlib
import itertools
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from conftest import SCHEMA, row
from power_loss import LostError, Tally
from test_writer_killed import killed_writer, step

import dsrecords
from dsrecords import make_dataset

_DIGEST = 16  # bytes


def digest(samples):
    """Of a list of samples as `step` makes them; each is checked to be one. 16 bytes."""
    told = []
    for sample in samples:
        n = sample["label"]
        word = f"{n} "
        repeats = len(sample["text"]) // len(word)
        if sample != {**row(n), "text": word * repeats}:
            raise LostError(f"sample {n} is not what was written")
        told.append((n, repeats))
    return hashlib.blake2b(repr(told).encode(), digest_size=_DIGEST).digest()


def _reader(path, notes, refreshes):
    """A process that looks at the dataset until it is killed, and notes the digest of what it saw. Returns its id."""
    if child := os.fork():
        return child
    warnings.simplefilter(
        "ignore"
    )  # a writer that is killed amid a compaction leaves the index of the dataset before
    try:
        with open(notes, "ab", buffering=0) as file:
            ds = dsrecords.open(path)
            while True:
                if refreshes:
                    ds.refresh()
                else:
                    ds = dsrecords.open(path)
                file.write(digest(ds))
                time.sleep(0.001)
    except BaseException:  # noqa: BLE001  # whatever it is, the parent shall see it
        Path(f"{notes}.error").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(1)


def rounds(count, seed, readers=4, looks=0):
    """Kill a writer `count` times under the eyes of some readers, half of which reopen, half of which refresh.

    It goes on until the readers have looked `looks` times: how fast they are depends on what else the machine does.
    """
    tally, chance, model = Tally(), random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        path, _ = make_dataset([], os.path.join(folder, "data.rec"), SCHEMA)
        seen = {digest([])}
        notes = [os.path.join(folder, f"notes-{number}") for number in range(readers)]
        children = [_reader(path, note, number % 2 == 1) for number, note in enumerate(notes)]
        try:
            for number in itertools.count():
                if (
                    number >= count
                    and sum(os.path.getsize(note) for note in notes if os.path.exists(note))
                    >= looks * _DIGEST
                ):
                    break
                acknowledged = killed_writer(
                    path,
                    seed + number,
                    model,
                    chance.choice([0, 0.01, 0.05, 0.2]) * chance.random(),
                )
                replay = random.Random(seed + number)
                for _ in range(acknowledged):
                    _, model = step(replay, model)
                    seen.add(digest(model))
                _, after = step(replay, model)
                seen.add(digest(after))
                found = list(dsrecords.open(path))
                if found not in (model, after):
                    raise LostError(
                        f"after kill {number}: {len(found)} samples, {len(model)} were acknowledged"
                    )
                model = found
                tally["rounds"] += 1
                tally["acknowledged"] += acknowledged
                for note in notes:
                    if os.path.exists(f"{note}.error"):
                        raise LostError(Path(f"{note}.error").read_text(encoding="utf-8"))
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        for note in notes:
            data = Path(note).read_bytes()
            for at in range(0, len(data) - _DIGEST + 1, _DIGEST):
                tally["looks"] += 1
                if data[at : at + _DIGEST] not in seen:
                    raise LostError(
                        f"look {at // _DIGEST} of {note} saw a list that there never was"
                    )
    return tally
