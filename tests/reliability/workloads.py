"""What is done to a dataset on a simulated machine, with a Python list kept beside it as the model of what must be there."""

import contextlib
import itertools
import os
import random
import warnings
from unittest import mock

from simulation import Machine

import dsrecords
from dsrecords import IndexedRecordDataset, make_dataset
from dsrecords._write import writer as _writer

PATH, INDEX = "/sim/d.rec", "/sim/d.idx"
SCHEMA = {"n": "int64", "b": "bytes"}


def row(i):
    """Sample number i: its payload's length, 0 to 20 bytes, takes every remainder of a division by eight."""
    return {"n": i, "b": bytes([i % 251 + 1]) * (7 * i % 21)}


class World:
    """A dataset at work on a machine, and every state that its list has been in.

    The operations note on the machine when a state may begin to be seen, when it was acknowledged, and when it was promised to
    survive a loss of power.

    Attributes:
        states: what the list was, from the first state on; None where there was no dataset yet.
    """

    def __init__(self, machine, known=None):
        self.machine, self.states, self.fresh = machine, [known], itertools.count(1000)
        self.ds = None

    @property
    def now(self):
        return self.states[-1]

    def row(self):
        return row(next(self.fresh))

    def _will_be(self, *states):
        self.states += states
        self.machine.note("begin", len(self.states) - 1)

    def _is(self, durable=False):
        self.machine.note("done", len(self.states) - 1)
        if durable:
            self.machine.note("durable", len(self.states) - 1)

    def open(self):
        self.ds = dsrecords.open(PATH)

    def create(self):
        self._will_be([])
        self.ds = IndexedRecordDataset(PATH, schema=SCHEMA)
        self._is(durable=True)

    def append(self):
        new = self.row()
        self._will_be([*self.now, new])
        self.ds.append(new)
        self._is()

    def extend(self):
        """Three records in two batches: `_BATCH_RECORDS` is two."""
        a, b, c = self.row(), self.row(), self.row()
        self._will_be([*self.now, a, b], [*self.now, a, b, c])
        self.ds.extend([a, b, c])
        self._is()

    def extend_columns(self):
        new = [self.row(), self.row()]
        self._will_be([*self.now, *new])
        self.ds.extend_columns({key: [sample[key] for sample in new] for key in SCHEMA})
        self._is()

    def replace(self):
        if self.now:
            place, new = len(self.now) // 2, self.row()
            self._will_be([*self.now[:place], new, *self.now[place + 1 :]])
            self.ds[place] = new
            self._is()

    def update(self):
        if len(self.now) > 1:
            new, last = {0: self.row(), len(self.now) - 1: self.row()}, len(self.now) - 1
            self._will_be([new[0], *self.now[1:last], new[last]])
            self.ds.update(new)
            self._is()

    def delete(self):
        if self.now:
            place = len(self.now) // 3
            self._will_be([*self.now[:place], *self.now[place + 1 :]])
            del self.ds[place]
            self._is()

    def remove(self):
        if self.now:
            self._will_be([self.now[-1], *self.now[1:-1]] if len(self.now) > 1 else [])
            self.ds.quick_remove_at(0)
            self._is()

    def publish(self):
        self.ds.flush()
        self._is(durable=True)

    def sync(self):
        self.ds.flush(sync=True)
        self._is(durable=True)

    def compact(self):
        self.ds.compact()
        self._is(durable=True)

    def remake(self):
        """Another dataset in the place of this one, with the id that all such have."""
        self.ds.close()
        self._is(durable=True)
        new = [self.row() for _ in range(len(self.states) % 4)]
        self._will_be(new)
        make_dataset(new, PATH, SCHEMA, overwrite=True, id=b"one id for all..")
        self._is(durable=True)
        self.open()

    def reopen(self):
        self.ds.close()
        self._is(durable=True)
        self.open()


OPERATIONS = ("append", "extend", "replace", "delete", "publish", "compact", "reopen")
MORE = (*OPERATIONS, "extend_columns", "update", "remove", "sync", "remake")


_numbers = (
    itertools.count()
)  # in the place of random ones, so that runs can be repeated; no two datasets have one id


@contextlib.contextmanager
def small_writers(checkpoint=10**9):
    """Batches of two records, and a checkpoint after so many frames: what takes thousands of records happens in a few."""
    with (
        mock.patch.object(_writer, "_BATCH_RECORDS", 2),
        mock.patch.object(_writer, "_CHECKPOINT_FRAMES", checkpoint),
        mock.patch.object(os, "urandom", lambda count: next(_numbers).to_bytes(count, "big")),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def beginning(count=3):
    """A machine's files: a dataset of `row(0)`, `row(1)`, …, closed; and its list."""
    machine = Machine()
    with machine.running():
        ds = IndexedRecordDataset(PATH, schema=SCHEMA)
        for i in range(count):
            ds.append(row(i))
        ds.close()
    return machine.contents(), [row(i) for i in range(count)]


def run(operations, start=None, fault=None):
    """A world after these operations, and its machine. `start`: files and list, else the dataset is created first."""
    files, known = start or ({}, None)
    machine = Machine(files, fault)
    world = World(machine, known)
    with machine.running():
        if start is None:
            world.create()
        else:
            world.open()
        for name in operations:
            getattr(world, name)()
    return world


def all_short():
    """Every sequence of one to three operations."""
    return [names for length in (1, 2, 3) for names in itertools.product(OPERATIONS, repeat=length)]


def random_long(seed):
    """Ten to thirty operations, and after how many frames there is a checkpoint."""
    rng = random.Random(seed)
    return [rng.choice(MORE) for _ in range(rng.randrange(10, 31))], rng.choice((3, 7, 10**9))
