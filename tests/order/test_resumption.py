"""Random stops and resumptions on other numbers of ranks: nothing lost, nothing twice, the same global batches."""

import collections

import pytest
import resumptions

import dsrecords
from dsrecords._order.sampler import _Plan
from dsrecords._order.steps import Steps
from dsrecords._order.windowed import Windowed

pytestmark = pytest.mark.slow

SEED = 20_261_126
TRIALS = 20  # of each of fifteen tests: 300


@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(15))
def test_nothing_is_lost_and_nothing_comes_twice(part):
    tally = collections.Counter()
    for number in range(TRIALS):
        tally += resumptions.trial(SEED + part * TRIALS + number)
    assert tally["trials"] == TRIALS
    assert tally["epochs"] == TRIALS * resumptions.EPOCHS
    wanted = ["stops", "equal batches", "mixtures", "windows", "by length", "16 ranks", "3 ranks"]
    assert all(tally[what] for what in wanted), tally


# Planted defects


def from_the_beginning(steps, position):
    return steps


def of_its_own_rank(steps, step, rank, part=Steps.part):
    return range(part(steps, step, rank).start, part(steps, step, rank).stop + 1)


def without_marks(sampler, step, rank=None, repeats=dsrecords.Sampler.repeats):
    return repeats(sampler, step, rank) & False


def of_one_window(windowed, number, start, stop, within=Windowed._within):
    return within(windowed, number, start, stop) % windowed._window.size


def a_step_behind(plan, step, position_at=_Plan.position_at):
    return position_at(plan, step + (step > 3))


DEFECTS = {
    "steps of a resumed epoch begin at its beginning": (Steps, "resumed", from_the_beginning),
    "a rank has a sample of the next one": (Steps, "part", of_its_own_rank),
    "repeats are not marked": (dsrecords.Sampler, "repeats", without_marks),
    "all windows are the first": (Windowed, "_within", of_one_window),
    "a state is a step ahead": (_Plan, "position_at", a_step_behind),
}


def train(count):
    for number in range(count):
        resumptions.trial(SEED + number)


@pytest.mark.parametrize("defect", DEFECTS)
def test_planted_defects_are_caught(defect, monkeypatch):
    owner, name, replacement = DEFECTS[defect]
    monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(AssertionError):
        train(TRIALS)
