"""Readers at work while writers are killed."""

import kills
import pytest
from conftest import rows

import dsrecords
from dsrecords import _files


def test_writers_are_killed_while_readers_look():
    tally = kills.rounds(25, seed=5, readers=2, looks=20)
    assert tally["acknowledged"] >= 25
    assert tally["looks"] >= 20


@pytest.mark.parametrize("left", [0, 5, 16, 20, 30])
def test_a_tail_that_a_writer_cuts_off_while_a_reader_looks_at_it(made, monkeypatch, left):
    with open(made, "ab") as file:
        file.write(b"\1" * left)
    size = _files.size
    monkeypatch.setattr(_files, "size", lambda fd: size(fd) + 100)  # as it was before the writer came
    assert list(dsrecords.open(made)) == rows(10)
