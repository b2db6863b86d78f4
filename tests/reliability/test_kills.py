"""Readers at work while writers are killed."""

import functools

import kills
import pytest
from conftest import rows
from power_loss import LostError

import dsrecords
from dsrecords._format.layout import RECORD
from dsrecords._storage import files
from dsrecords._write import writer as _writer
from dsrecords._write.writer import Writer

pytestmark = pytest.mark.slow


@pytest.mark.exhaustive
def test_writers_are_killed_while_readers_look():
    tally = kills.rounds(25, seed=5, readers=2, looks=20)
    assert tally["acknowledged"] >= 25
    assert tally["looks"] >= 20


@pytest.mark.parametrize("left", [0, 5, 16, 20, 30])
def test_a_tail_that_a_writer_cuts_off_while_a_reader_looks_at_it(made, monkeypatch, left):
    with open(made, "ab") as file:
        file.write(b"\1" * left)
    size = files.size
    monkeypatch.setattr(
        files, "size", lambda fd: size(fd) + 100
    )  # as it was before the writer came
    assert list(dsrecords.open(made)) == rows(10)


# Planted defects

_held = []  # what was acknowledged and is still to be written


def _catch_up(writer, write=Writer._write):
    while _held:
        write(writer, *_held.pop())


def late(writer, buffers, offset, size):
    _catch_up(writer)
    _held.append((buffers, offset, size))


def caught_up(method):
    @functools.wraps(method)
    def call(writer, *arguments):
        _catch_up(writer)
        return method(writer, *arguments)

    return call


DEFECTS = {
    "a change is acknowledged before it is written": [
        (Writer, "_write", late),
        (Writer, "require_own_log", lambda writer: None),  # which would notice
        (Writer, "checkpoint", caught_up(Writer.checkpoint)),
        (Writer, "sync", caught_up(Writer.sync)),
    ],
    "records of a batch count without their commit": [(_writer, "PENDING", RECORD)],
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    for patch in DEFECTS[defect]:
        monkeypatch.setattr(*patch)
    with pytest.raises((LostError, dsrecords.CorruptError)):
        kills.rounds(100, seed=5, readers=1)
