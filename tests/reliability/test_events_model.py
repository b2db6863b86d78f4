"""Random events around a dataset, and a Python list: a few dozen runs, and defects that they catch."""

import os
import weakref

import events
import pytest
from handles import DifferenceError

from dsrecords._dataset import opening
from dsrecords._dataset.editing import Editing
from dsrecords._dataset.reading import Reading
from dsrecords._format import index
from dsrecords._format.entries import Entries
from dsrecords._read.open import State
from dsrecords._read.selection import position
from dsrecords._storage import files
from dsrecords._write import lock
from dsrecords._write.builder import Builder
from dsrecords._write.gate import Gate
from dsrecords._write.writer import Writer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", [0, 10, 20])
def test_each_handle_shows_what_it_must(first):
    assert events.runs(first, 10)["runs"] == 10


@pytest.mark.exhaustive
@pytest.mark.parametrize("is_later", [False, True])
@pytest.mark.parametrize("name", events.CHANGES)
def test_a_change_that_is_interrupted_is_there_or_not(name, is_later):
    count = events.opcodes(name, is_later)
    events.interruptions(name, is_later, range(3, count, max(1, count // 8)))


def test_of_six_makers_one_has_made_it():
    assert events.races(8)["races"] == 8


def test_a_timer_that_saves_amid_appends_changes_nothing():
    assert events.signals(0.2, seed=1, least=100)["appends"] > 0


# Planted defects


class Nobody(weakref.WeakSet):
    """Of which nobody becomes a member."""

    def add(self, item):
        pass


def kept(self, log):
    self.writer = Writer(log, gate=self._gate)
    self.writer.open()
    self.reading.bind()
    return self.writer


def let_go(self, reason, real=Writer.let_go):
    if reason != "it could not be opened for writing":
        real(self, reason)


def ready(self):
    self._interrupted = False


def refresh(self, real=Editing.refresh):
    if self.writer is None:
        real(self)


def in_place(entries, rows, op, positions, apply=Entries.apply):
    after = apply(entries, rows, op, positions)
    after.settle()
    return after


OPEN = []


def never_closed(self, *arguments, real=files.Descriptor.__init__):
    real(self, *arguments)
    OPEN.append(os.dup(self.number))


# What is put in the place of what.
DEFECTS = {
    "a signal handler passes the gate": [(Gate, "_is_held_below", lambda self: False)],
    "positions are those of the list of now": [
        (Reading, "position", lambda self, key, seen: position(key, self.count()))
    ],
    "a list that another handle has edited is taken for the same": [
        (State, "shows", lambda self, version: True)
    ],
    "a refused change keeps the writer": [(Editing, "_open_writer", kept)],
    "a change that failed keeps the lock as long as its exception": [(Writer, "let_go", let_go)],
    "a forked child keeps the lock": [(lock, "_lockable", Nobody()), (lock, "_holders", Nobody())],
    "a forked child of a writer does not refresh": [(Editing, "refresh", refresh)],
    "a maker removes the file of one that is alive": [
        (Builder, "_remove_what_was_left", lambda self: os.unlink(self._partial))
    ],
    "edits change what views show": [(Entries, "apply", in_place)],
    "a change that was interrupted is not recovered from": [(Writer, "be_ready", ready)],
    "a file that was replaced is not noticed by readers": [
        (State, "is_what_it_was", lambda self: True)
    ],
    "a file that was replaced is not noticed by its writer": [
        (Writer, "in_place", lambda self: True)
    ],
    "a file of somebody else's is replaced by the index": [
        (index, "may_be_replaced", lambda path: True)
    ],
    "paths are those of the folder of now": [(opening, "absolute", lambda path: path)],
    "the lock is not asked for": [(files, "lock", lambda fd: True)],
    "a schema that another handle has changed is not noticed": [
        (Reading, "bind", lambda self, options=None: None)
    ],
    "descriptors are left open": [(files.Descriptor, "__init__", never_closed)],
}


# The kinds of events that a defect is about, so that fewer runs are enough.
KINDS = {
    "a signal handler passes the gate": ("handled", "reopened"),
    "positions are those of the list of now": ("change", "reopened"),
    "a refused change keeps the writer": ("change", "reopened", "refreshed"),
    "a maker removes the file of one that is alive": ("raced",),
    "a change that was interrupted is not recovered from": ("raised", "change"),
    "a file of somebody else's is replaced by the index": ("unindexed", "change"),
    "paths are those of the folder of now": ("went", "reopened", "refreshed"),
}


def some_runs(kinds):
    for seed in range(100, 160):
        events.run(seed, only=kinds)


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    for patch in DEFECTS[defect]:
        monkeypatch.setattr(*patch)
    try:
        with pytest.raises(DifferenceError):
            some_runs(KINDS.get(defect, ()))
    finally:
        while OPEN:
            os.close(OPEN.pop())
