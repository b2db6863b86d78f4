"""A dataset after each crash that a run can end in: what is found there is a state that the list was in, never something else.

What is looked at, on each disk that `simulation.crashes` yields:

- A reader finds a state from the last one that had to survive to the last one that was begun. After a loss of power it may
  refuse instead, where a write was lost and a later one is there ("whole frames follow"); after a mere kill it may not.
- It finds the index in use: a slot or a row that is damaged was vouched for too early.
- A writer finds the same, goes on, and what it appends is there for the next one.
- The crash comes again while that writer recovers.
"""

import collections
import random
import warnings
import zlib
from typing import NamedTuple

from operations import (
    PATH,
    SMALL_INDEX,
    State,
    all_short,
    beginning,
    random_long,
    row,
    run,
    small_writers,
    state_of,
)
from simulation import Machine, crashes, fingerprint

import dsrecords
from dsrecords import CorruptError, DSRecordsError, repair

MARK = row(7)
REMADE = [
    ("remake", "remake"),
    ("remake", "extend", "remake"),
    ("remake", "replace", "compact", "remake"),
    ("remake", "describe", "remake"),
]


class LostError(AssertionError):
    """A crash left something that must not be."""


class Tally(collections.Counter):
    """How many states were looked at, and what was found.

    Attributes:
        seen: of each state that was looked at, a number that tells it from others: a disk, and the states that may be found on it.
    """

    def __init__(self, *counts):
        super().__init__(*counts)
        self.seen = set()

    def __str__(self):
        return ", ".join(f"{count:,} {name}" for name, count in self.items())


class Found(NamedTuple):
    """What is on a disk, whatever was to be expected there.

    Attributes:
        state: the list and its metadata; None where there is no dataset.
        refused: what a reader said before `repair` mended it; "" if it read it as it was.
        machine: with the events of the recovery, if this is the first look at the disk.
        recovered: how many of the events are of the recovery, and not of MARK's append.
    """

    state: State | None
    refused: str = ""
    machine: Machine | None = None
    recovered: int = 0


def _short(states):
    return [
        state and ([sample["n"] for sample in state.samples], state.metadata) for state in states
    ]


# What may be told of an index: it was not written yet, or is that of what was there before. And what the writer says of a tail.
FINE = ("is missing", "of another dataset", "the log is damaged from byte")


def with_mark(state):
    return State([*state.samples, MARK], state.metadata)


class Eyes:
    """Looks at disks. What it saw on one it knows when the same bytes come again: nothing but them has a say in it."""

    def __init__(self):
        self._disks, self._written = {}, {}

    def look(self, files, number):
        """Open a disk as a reader, then as a writer, then as a reader again. `number`: its fingerprint."""
        if number not in self._disks:
            try:
                found = self._open(files)
            except DSRecordsError as error:
                raise LostError(f"not readable: {error}") from error
            self._disks[number] = found._replace(machine=None)
            return found
        return self._disks[number]

    def _open(self, files):
        machine, refused = Machine(files), ""
        with machine.running(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                ds = dsrecords.open(PATH)
            except FileNotFoundError:
                return Found(None)
            except CorruptError as error:
                if "whole frames follow" not in error.message:
                    raise
                refused = error.message
                repair(PATH, in_place=True)
                ds = dsrecords.open(PATH)
            found = state_of(ds)
            ds.append(MARK)
            recovered, wanted = len(machine.events), with_mark(found)
            one_by_one = State([ds[i] for i in range(len(ds))], ds.metadata)
            self._demand(one_by_one, wanted, "the writer")
            written = machine.contents()
            number = fingerprint(written)
            if number not in self._written:
                self._written[number] = state_of(dsrecords.open(PATH))
            self._demand(self._written[number], wanted, "a reader after the writer")
            for warning in told:
                if not any(fine in str(warning.message) for fine in FINE):
                    raise LostError(f"the index is of no use: {warning.message}")
        return Found(found, refused, machine, recovered)

    @staticmethod
    def _demand(found, wanted, what):
        if found != wanted:
            raise LostError(f"{what}: {_short([found])}, not {_short([wanted])}")


def judge(crash, found, allowed, tally):
    """Whether what was found may be there after this crash."""
    if found.state is None:
        if allowed[0] is not None:
            raise LostError("there is no dataset")
        tally["before it was created"] += 1
        return
    if found.refused:
        if not crash.power:
            raise LostError(f"not readable after a mere kill: {found.refused}")
        tally["refused until mended"] += 1
    if found.state not in allowed:
        raise LostError(f"a reader: {_short([found.state])}, not one of {_short(allowed)}")


def marks(states):
    """A number for each state, to tell it from others; the same in every process."""
    return [-1 if state is None else zlib.crc32(repr(state).encode()) for state in states]


def look(crash, states, known, tally, eyes):
    """Open what a crash left. `known`: marks of the states. Returns what was found if nobody has looked at this disk before."""
    allowed = states[crash.low : crash.high + 1]
    state = hash((crash.fingerprint, crash.power, *known[crash.low : crash.high + 1]))
    if state in tally.seen:
        tally["met again"] += 1
        return None
    tally.seen.add(state)
    tally["states"] += 1
    found = eyes.look(crash.files, crash.fingerprint)
    judge(crash, found, allowed, tally)
    return found if found.machine is not None else None


def look_again(found, tally, seed, eyes):
    """The crash comes again, at each event of the recovery."""
    states, machine = [found.state, with_mark(found.state)], found.machine
    machine.events = [
        *machine.events[: found.recovered - 1],
        ("begin", 1),
        machine.events[found.recovered - 1],
    ]  # MARK's append
    known = marks(states)
    for crash in crashes(machine, seed, draws=1):
        before = tally["states"]
        look(
            crash._replace(power=True), states, known, tally, eyes
        )  # what the first one left may still be there
        tally["crashes in recovery"] += tally["states"] - before


def survey(
    operations, start, tally, seed, draws, again=0.0, checkpoint=10**9, small_index=SMALL_INDEX
):
    """Look at every crash of one run. `again`: at which part of them to crash again. Returns how many there were."""
    rng, eyes = random.Random(seed), Eyes()
    with small_writers(checkpoint, small_index):
        world = run(operations, start)
        tally["runs"] += 1
        known = marks(world.states)
        for crash in crashes(world.machine, seed, draws):
            try:
                found = look(crash, world.states, known, tally, eyes)
                if found and rng.random() < again:
                    look_again(found, tally, seed, eyes)
            except LostError as lost:
                what = "a loss of power" if crash.power else "a kill"
                raise LostError(f"{operations}, {what} at event {crash.at}: {lost}") from lost


def start_of(name):
    """Files and state to start a run from: "a dataset" of three records, or "nothing"."""
    with small_writers():
        return beginning() if name == "a dataset" else None


def short(tally, seed, draws, again, every=1, part=0, parts=1):
    """All sequences of up to three operations on a dataset; of those of three, one in `every`. Or one part of them all."""
    start = start_of("a dataset")
    for number, operations in enumerate(all_short()):
        if number % parts == part and (len(operations) < 3 or number % every == 0):
            small_index = SMALL_INDEX * (number // (parts * every) % 2)  # by turns
            survey(operations, start, tally, seed + number, draws, again, small_index=small_index)


def created(tally, seed, draws, again, part=0, parts=1):
    """All sequences of up to two operations on a dataset that is created first. Or one part of them."""
    for number, operations in enumerate([*all_short(), *REMADE]):
        if number % parts == part and (len(operations) < 3 or operations in REMADE):
            survey(operations, None, tally, seed + number, draws, again)


def long(tally, seed, draws, again):
    """One random long run, with checkpoints of its own."""
    operations, checkpoint, small_index = random_long(seed)
    start = start_of("a dataset")
    survey(operations, start, tally, seed, draws, again, checkpoint, small_index)
