"""What is done to a dataset on a simulated machine, with a Python list kept beside it as the model of what must be there."""

import contextlib
import itertools
import os
import random
import warnings
from typing import NamedTuple
from unittest import mock

from simulation import Killed, Machine

import dsrecords
from dsrecords import IndexedRecordDataset, make_dataset
from dsrecords._write import samples as _samples
from dsrecords._write import writer as _writer

PATH, INDEX = "/sim/d.rec", "/sim/d.idx"
SCHEMA = {"n": "int64", "b": "bytes"}
NUMBERS = {"n": "int64"}


def row(i, schema=SCHEMA):
    """Sample number i: its payload's length, 0 to 20 bytes, takes every remainder of a division by eight."""
    sample = {"n": i, "b": bytes([i % 251 + 1]) * (7 * i % 21)}
    return {name: sample[name] for name in schema}


class State(NamedTuple):
    """What a dataset holds at one moment."""

    samples: list
    metadata: dict


def state_of(ds):
    return State(list(ds), ds.metadata)


class World:
    """A dataset at work on a machine, and every state that it has been in.

    The operations note on the machine when a state may begin to be seen, when it was acknowledged, and when it was promised to
    survive a loss of power.

    Attributes:
        states: what it held, from the first state on; None where there was no dataset yet.
    """

    def __init__(self, machine, known=None, schema=SCHEMA):
        self.machine, self.states, self.fresh = machine, [known], itertools.count(1000)
        self.schema, self.ds = schema, None

    @property
    def now(self):
        """The list."""
        return self.states[-1].samples

    def row(self):
        return row(next(self.fresh), self.schema)

    def _will_be(self, *lists):
        """The lists that an operation makes one after the other. The metadata stays."""
        metadata = self.states[-1].metadata if self.states[-1] else {}
        self._will_be_states(*[State(samples, metadata) for samples in lists])

    def _will_be_states(self, *states):
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
        self.ds = IndexedRecordDataset(PATH, schema=self.schema)
        self._is(durable=True)

    def append(self):
        new = self.row()
        self._will_be([*self.now, new])
        self.ds.append(new)
        self._is()

    def extend(self):
        """Three records in two batches: `BATCH_RECORDS` is two."""
        a, b, c = self.row(), self.row(), self.row()
        self._will_be([*self.now, a, b], [*self.now, a, b, c])
        self.ds.extend([a, b, c])
        self._is()

    def extend_columns(self):
        new = [self.row(), self.row()]
        self._will_be([*self.now, *new])
        self.ds.extend_columns({key: [sample[key] for sample in new] for key in self.schema})
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

    def revise(self):
        """One field, by turns the first and the last, of the first and of the middle one."""
        if self.now:
            new = self.row()
            place, name = new["n"] % 4 // 2 * (len(self.now) // 2), list(new)[-(new["n"] % 2)]
            changed = {**self.now[place], name: new[name]}
            self._will_be([*self.now[:place], changed, *self.now[place + 1 :]])
            self.ds[place, name] = new[name]
            self._is()

    def revise_several(self):
        if len(self.now) > 1:
            new, last = {0: self.row(), len(self.now) - 1: self.row()}, len(self.now) - 1
            part = dict([new[0].popitem()])
            self._will_be([{**self.now[0], **part}, *self.now[1:last], new[last]])
            self.ds.update({0: part, last: new[last]}, partial=True)
            self._is()

    def describe(self):
        metadata = {"n": next(self.fresh)}
        self._will_be_states(State(self.now, metadata))
        self.ds.set_metadata(metadata)
        self._is()

    def delete_ranges(self):
        """All but every third one: of two or less, all."""
        if self.now:
            mask = [i % 3 < 2 for i in range(len(self.now))]
            self._will_be(self.now[2::3])
            del self.ds[mask]
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

    def die(self):
        """The process is killed amid a batch. Another one cuts off what that left, and goes on."""
        rng = random.Random(next(self.fresh))
        self.machine.killed_in_write = rng.random()
        try:
            if self.now and rng.randrange(2):
                self.ds.update({0: self.row(), len(self.now) // 2: self.row()})
            else:
                self.ds.extend([self.row(), self.row()])
        except Killed:
            pass
        else:
            raise AssertionError("it was not killed")
        self.open()
        self.ds.extend([])

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
        self._will_be_states(State(new, {}))
        make_dataset(new, PATH, self.schema, overwrite=True, id=b"one id for all..")
        self._is(durable=True)
        self.open()

    def reopen(self):
        self.ds.close()
        self._is(durable=True)
        self.open()


OPERATIONS = ("append", "extend", "replace", "revise", "delete", "describe", "publish", "compact", "reopen")  # fmt: skip
MORE = (*OPERATIONS, "extend_columns", "update", "revise_several", "remove", "delete_ranges", "die", "sync", "remake")  # fmt: skip


_numbers = (
    itertools.count()
)  # in the place of random ones, so that runs can be repeated; no two datasets have one id


SMALL_INDEX = _writer._BYTES_A_FRAME


@contextlib.contextmanager
def small_writers(checkpoint=10**9, small_index=SMALL_INDEX):
    """Batches of two records, and a checkpoint after so many frames: what takes thousands of records happens in a few.

    `small_index`: up to how many bytes an index is written anew after each edit. With 0, what a large one would do happens: the
    slot alone is written, unless there are eight frames behind the rows.
    """
    with (
        mock.patch.object(_writer, "BATCH_RECORDS", 2),
        mock.patch.object(_samples, "BATCH_RECORDS", 2),
        mock.patch.object(_writer, "_BYTES_A_FRAME", max(small_index, 1)),
        mock.patch.object(_writer, "_MANY_FRAMES", 8),
        mock.patch.object(_writer, "_CHECKPOINT_FRAMES", checkpoint),
        mock.patch.object(os, "urandom", lambda count: next(_numbers).to_bytes(count, "big")),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def beginning(count=3, schema=SCHEMA):
    """A machine's files: a dataset of `row(0)`, `row(1)`, …, closed; and its state."""
    machine = Machine()
    with machine.running():
        ds = IndexedRecordDataset(PATH, schema=schema)
        for i in range(count):
            ds.append(row(i, schema))
        ds.close()
    return machine.contents(), State([row(i, schema) for i in range(count)], {})


def run(operations, start=None, fault=None):
    """A world after these operations, and its machine. `start`: files and state, else the dataset is created first."""
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
    """Ten to thirty operations; after how many frames there is a checkpoint; up to which size an index is small."""
    rng = random.Random(seed)
    operations = [rng.choice(MORE) for _ in range(rng.randrange(10, 31))]
    return operations, rng.choice((3, 7, 10**9)), rng.choice((0, SMALL_INDEX))
