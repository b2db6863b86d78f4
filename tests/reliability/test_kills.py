"""Readers at work while writers are killed."""

import kills


def test_writers_are_killed_while_readers_look():
    tally = kills.rounds(25, seed=5, readers=2)
    assert tally["acknowledged"] > 25
    assert tally["looks"] > 20
