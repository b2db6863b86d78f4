"""A dataset after each crash that a run can end in: what is found there is a state that the list was in, never something else.

What is looked at, on each disk that `simulation.crashes` yields:

- A reader finds a state from the last one that had to survive to the last one that was begun. After a loss of power it may
  refuse instead, where a write was lost and a later one is there ("whole frames follow"); after a mere kill it may not.
- It finds the index in use: a slot or an entry that is damaged was vouched for too early.
- A writer finds the same, goes on, and what it appends is there for the next one.
- The crash comes again while that writer recovers.
"""

import collections
import random
import warnings

from simulation import Machine, crashes
from workloads import PATH, all_short, beginning, random_long, row, run, small_writers

import dsrecords
from dsrecords import CorruptError, DSRecordsError, repair

MARK = row(7)
REMADE = [("remake", "remake"), ("remake", "extend", "remake"), ("remake", "replace", "compact", "remake")]


class LostError(AssertionError):
    """A crash left something that must not be."""


class Tally(collections.Counter):
    """How many states were looked at, and what was found."""

    def __str__(self):
        return ", ".join(f"{count:,} {name}" for name, count in self.items())


def _read(ds, allowed, what):
    found = list(ds)
    if found not in allowed:
        raise LostError(f"{what}: {len(found)} records {[sample['n'] for sample in found]}, not one of {_short(allowed)}")
    return found


def _short(states):
    return [state and [sample["n"] for sample in state] for state in states]


def look(crash, states, tally):
    """Open what a crash left as a reader, then as a writer. Returns the machine, with the events of the writer's recovery."""
    allowed = states[crash.low : crash.high + 1]
    machine = Machine(crash.files)
    found = None
    with machine.running(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tally["states"] += 1
        try:
            try:
                ds = dsrecords.open(PATH)
            except FileNotFoundError:
                if allowed[0] is not None:
                    raise LostError("there is no dataset") from None
                tally["before it was created"] += 1
                return None
            except CorruptError as error:
                if not crash.power or "whole frames follow" not in error.message:
                    raise
                tally["refused until mended"] += 1
                repair(PATH, in_place=True)
                ds = dsrecords.open(PATH)
            found = _read(ds, allowed, "a reader")
            ds.append(MARK)
            recovered = len(machine.events)
            _read(ds, [[*found, MARK]], "the writer")
            _read(dsrecords.open(PATH), [[*found, MARK]], "a reader after the writer")
        except DSRecordsError as error:
            raise LostError(f"not readable: {error}") from error
        if any("damaged, or no index" in str(warning.message) for warning in told):
            raise LostError("the index is damaged")
    return machine, found, recovered


def look_again(machine, found, tally, seed):
    """The crash comes again, at each event of the recovery."""
    states = [found, [*found, MARK]]
    machine.events = [*machine.events[:-1], ("begin", 1), machine.events[-1]]  # the last event of all is MARK's append
    for crash in crashes(machine, seed, draws=1):
        tally["crashes in recovery"] += 1
        look(crash._replace(power=True), states, tally)  # what the first one left may still be there


def survey(operations, start, tally, seed, draws, again=0.0, checkpoint=10**9):
    """Look at every crash of one run. `again`: at which part of them to crash again. Returns how many there were."""
    rng = random.Random(seed)
    with small_writers(checkpoint):
        world = run(operations, start)
        for crash in crashes(world.machine, seed, draws):
            try:
                after = look(crash, world.states, tally)
                if after and rng.random() < again:
                    machine, found, _ = after
                    look_again(machine, found, tally, seed)
            except LostError as lost:
                what = "a loss of power" if crash.power else "a kill"
                raise LostError(f"{operations}, {what} at event {crash.at}: {lost}") from lost


def start_of(name):
    """Files and list to start a run from: "a dataset" of three records, or "nothing"."""
    with small_writers():
        return beginning() if name == "a dataset" else None


def short(tally, seed, draws, again, every=1):
    """All sequences of up to three operations on a dataset; of those of three, one in `every`."""
    start = start_of("a dataset")
    for number, operations in enumerate(all_short()):
        if len(operations) < 3 or number % every == 0:
            survey(operations, start, tally, seed + number, draws, again)


def created(tally, seed, draws, again):
    """All sequences of up to two operations on a dataset that is created first."""
    for number, operations in enumerate([*all_short(), *REMADE]):
        if len(operations) < 3 or operations in REMADE:
            survey(operations, None, tally, seed + number, draws, again)


def long(tally, seed, draws, again):
    """One random long run, with checkpoints of its own."""
    operations, checkpoint = random_long(seed)
    survey(operations, start_of("a dataset"), tally, seed, draws, again, checkpoint)
