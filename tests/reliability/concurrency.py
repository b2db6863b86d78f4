"""One writer; readers in 8 threads, in forked and in spawned processes; others who want to write. Half a batch is never seen.

Every change leaves the sum of all numbers at 0, and each text says its number. So a reader that sees half a batch, an edit
without its records, or a record of before beside one of after finds a sum that is not 0, or a text of another number.
"""

import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path

from power_loss import LostError, Tally

import dsrecords
from dsrecords import LockedError, make_dataset

SCHEMA = {"n": "int64", "text": "str", "rest": "bytes"}
THREADS, PROCESSES = 8, 2  # processes of each kind
SHARED = 40  # numbers of samples that the threads read from the writer's own object: there are never fewer


def pair(n):
    return {"n": n, "text": f"{n} " * (abs(n) % 50), "rest": b"the same in all"}


def part(n):
    """What differs between samples: the rest stays where it is."""
    return {"n": n, "text": pair(n)["text"]}


def consistent(samples):
    """LostError if it is not what a whole number of changes leaves."""
    for sample in samples:
        if sample != pair(sample["n"]):
            raise LostError(f"number {sample['n']} has the text of another")
    if total := sum(sample["n"] for sample in samples):
        raise LostError(f"half a change is to be seen: the sum is {total}")


def change(ds, chance):
    """One change at random, after which the sum is 0 again."""
    n, kind = chance.randrange(1, 10**6), chance.randrange(8)
    if kind < 3 or len(ds) < 2 * SHARED:
        ds.extend([pair(n), pair(-n), pair(n + 1), pair(-n - 1)])
    elif kind < 5:
        a, b = chance.sample(range(len(ds)), 2)
        total = ds[a, "n"] + ds[b, "n"]
        if kind == 3:
            ds.update({a: part(n), b: part(total - n)}, partial=True)
        else:
            ds.update({a: pair(n), b: pair(total - n)})
    elif kind == 5:
        ds.extend_columns({key: [pair(n)[key], pair(-n)[key]] for key in SCHEMA})
        ds.set_metadata({"changes": ds.metadata.get("changes", 0) + 1})
    elif kind == 6:
        ds.flush(sync=n % 4 == 0)
    elif n % 4 == 0:
        ds.compact()
    if len(ds) > 400:
        total = sum(sample["n"] for sample in ds[200:]) + ds[0, "n"]
        ds.update({0: pair(total), **{i: pair(0) for i in range(200, len(ds))}})
        del ds[200:]


def read(path, stop, notes, seed):
    """What a reader's process does until it is told to stop: open or refresh, read all, in one of three ways."""
    warnings.simplefilter(
        "ignore"
    )  # opening may look at an index that is just being replaced, and says so
    chance, looks, changes = random.Random(seed), 0, 0
    try:
        ds = dsrecords.open(path)
        while not os.path.exists(stop):
            if chance.randrange(3):
                ds.refresh()
            else:
                ds = dsrecords.open(path)
            view = ds[:]
            batch = view.batch(slice(None))
            batch["n"] = batch["n"].tolist()
            consistent(
                [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]
            )
            before, changes = changes, view.metadata.get("changes", 0)
            if changes < before:
                raise LostError("older metadata came back")
            consistent(list(view[::-1]))
            order = chance.sample(range(len(view)), 20)
            if view.__getitems__(order) != [view[i] for i in order]:
                raise LostError("two ways of reading differ")
            looks += 1
            Path(f"{notes}.begun").touch()
            time.sleep(0.001)
        Path(notes).write_text(str(looks), encoding="utf-8")
    except BaseException:  # noqa: BLE001  # whatever it is, the parent shall see it
        Path(f"{notes}.error").write_text(traceback.format_exc(), encoding="utf-8")


def trial(seconds, seed=0, threads=THREADS, processes=PROCESSES, least=0):
    """So long, one writer changes while all others read. Returns a dict of counts.

    It goes on until each reader has looked, and there were `least` changes and looks of threads: how
    fast they are depends on what else the machine does.
    """
    tally, chance = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path, _ = make_dataset(
            [pair(n) for i in range(SHARED) for n in (i, -i)],
            os.path.join(folder, "data.rec"),
            SCHEMA,
        )
        stop, notes = (
            os.path.join(folder, "stop"),
            [os.path.join(folder, f"notes-{n}") for n in range(2 * processes)],
        )
        readers = []
        for number, note in enumerate(notes):
            context = multiprocessing.get_context("fork" if number % 2 else "spawn")
            readers.append(context.Process(target=read, args=(path, stop, note, number)))
            readers[-1].start()
        with dsrecords.open(path) as ds:
            ds.extend([])
            failed, looks = [], [0] * threads
            done = threading.Event()

            def look(number):
                """A thread reads from the writer's own object, and from an opening of its own."""
                try:
                    own, mine = random.Random(number), dsrecords.open(path)
                    while not done.is_set():
                        i = own.randrange(SHARED)
                        sample = ds[i]
                        if sample != pair(sample["n"]):
                            raise LostError(f"record {i}: {sample}")
                        if number % 2 and looks[number] % 8 == 0:
                            mine.refresh()
                            consistent(list(mine))
                        looks[number] += 1
                        time.sleep(0.001)
                except BaseException:  # noqa: BLE001
                    failed.append(traceback.format_exc())

            def is_enough():
                begun = (
                    os.path.exists(f"{note}.begun") or not reader.is_alive()
                    for note, reader in zip(notes, readers, strict=True)
                )
                return min(tally["changes"], sum(looks)) >= least and all(begun)

            lookers = [threading.Thread(target=look, args=(number,)) for number in range(threads)]
            for looker in lookers:
                looker.start()
            until = time.monotonic() + seconds
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    while (time.monotonic() < until or not is_enough()) and not failed:
                        change(ds, chance)
                        tally["changes"] += 1
                        if tally["changes"] % 50 == 0:
                            _refused(path, tally)
                consistent(list(ds))
            finally:
                done.set()
                Path(stop).touch()
                for looker in lookers:
                    looker.join()
                for reader in readers:
                    reader.join()
        errors = [
            *failed,
            *(
                Path(f"{note}.error").read_text("utf-8")
                for note in notes
                if os.path.exists(f"{note}.error")
            ),
        ]
        if errors:
            raise LostError(errors[0])
        tally["looks"] += sum(looks) + sum(int(Path(note).read_text("utf-8")) for note in notes)
        with dsrecords.open(path) as ds:
            consistent(list(ds))
            if ds.check():
                raise LostError("check finds damage")
    return dict(tally)


def _refused(path, tally):
    """A second writer is refused. If it waited, it would wait for this one, and so for ever."""
    try:
        dsrecords.open(path).append(pair(1))
    except LockedError:
        tally["second writers refused"] += 1
    else:
        raise LostError("there are two writers")


if __name__ == "__main__":
    print(trial(float(sys.argv[1])))
