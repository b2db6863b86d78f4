"""Files of copies that were edited apart, exchanged, half overwritten, and overwritten while they are open."""

import mixtures
import pytest
from power_loss import LostError, Tally

from dsrecords._format import index as _index
from dsrecords._format import kernels as _kernels
from dsrecords._format import log as _log
from dsrecords._read import open as _open
from dsrecords._read import views as _views
from dsrecords._storage.registry import version_at
from dsrecords._write import writer as _writer

pytestmark = pytest.mark.exhaustive
SEED = 20_261_122
PAIRS = 15  # of copies


def test_no_list_is_shown_that_never_was():
    tally = Tally()
    for seed in range(SEED, SEED + PAIRS):
        mixtures.trials(tally, seed)
    print(tally)
    assert min(tally["mixtures"], tally["exchanged"], tally["refused"], tally["shown"]) > 120
    assert tally["shown in part"] > 5


# Planted defects


def whatever_it_names(walk, found, complete=_log.LogScanner._complete):
    walk._prev = found.prev
    return complete(walk, found)


def each_alone(heads, offsets, prev, *rest, scan_frames=_kernels.scan_frames):
    """Frames that verify, whatever they name."""
    for k in range(len(heads)):
        own = int(heads["prev"][k])
        if not scan_frames(heads[k : k + 1], offsets[k : k + 1], own, *rest):
            return k
    return len(heads)


def without_salt(writer, next_slot=_writer.Writer.next_slot):
    return next_slot(writer)._replace(salt=0)


def as_far_as_covered(storage, read_slots=_index.read_slots):
    return [slot._replace(end=slot.covered) for slot in read_slots(storage)]


def by_the_slot_in_use(state, index, choose=_open.State._choose_slot):
    choose(state, index)
    index.end = state.slot.end if state.slot else 0


DEFECTS = {
    "a frame need not name the one before it": [
        (_log.LogScanner, "_complete", whatever_it_names),
        (_kernels, "scan_frames", each_alone),
    ],
    "pending frames name a frame before them": [(_writer, "NO_PREV", 1)],
    "an index is believed by its id": [(_open, "is_past", lambda mark, storage, header: True)],
    "the rows of all indexes are mixed with the same": [
        (_writer.Writer, "next_slot", without_salt)
    ],
    "a slot vouches only for what its rows are of": [(_index, "read_slots", as_far_as_covered)],
    "only the slot that is used vouches for the log": [
        (_open.State, "_choose_slot", by_the_slot_in_use)
    ],
    "a writer does not look whether the log is its own": [
        (_writer.Writer, "require_own_log", lambda writer: None)
    ],
    "whichever index there is is added to": [
        (_writer.Writer, "_is_as_published", lambda writer, old: True)
    ],
    "refresh does not look whether the log is what it was": [
        (
            _open.State,
            "is_what_it_was",
            lambda state: version_at(state.path) == state.storage.version(),
        )
    ],
    "a pickle is opened beside any log of its id": [
        (
            _open.State,
            "shows",
            lambda state, version: (
                (version.id, version.mark.edits) == (state.header.id, state.edits)
            ),
        )
    ],
    "a view is saved of what is no longer there": [
        (_views, "is_past", lambda mark, storage, header: True),
        (_views, "has_header", lambda storage, header: True),
    ],
    "a view is believed by its id": [(_views, "is_past", lambda mark, storage, header: True)],
}


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    for patch in DEFECTS[defect]:
        monkeypatch.setattr(*patch)
    with pytest.raises(LostError):
        many_pairs()


def many_pairs():
    for seed in range(SEED, SEED + 500):
        mixtures.trials(Tally(), seed)
