"""What a fuzzer found is replayed; and each of its targets is tried with some hundred small changes."""

import random

import fuzz
import pytest

from dsrecords._format import entries as _entries
from dsrecords._read.open import State
from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage
from dsrecords._types.base import Type

pytestmark = pytest.mark.slow

FOUND = sorted(fuzz.FINDINGS.glob("*-*"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_once_is_answered(path):
    fuzz.TARGETS[path.name.split("-")[0]](path.read_bytes())


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_small_changes_are_answered(name):
    small_changes(name, 500 if name == "payload" else 150)  # there are dozens of types


def small_changes(name, count):
    rng, target, seeds = random.Random(name), fuzz.TARGETS[name], fuzz.seeds(name)
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data) + 1)
            kind = rng.randrange(4)
            if kind == 0:
                data[at : at + 1] = rng.randbytes(1)
            elif kind == 1:
                data[at : at + 8] = rng.choice(
                    [0, 1, 7, 8, 2**31, 2**32 - 1, 2**63, 2**64 - 8, 2**64 - 1]
                ).to_bytes(8, "little")
            elif kind == 2:
                data[at:at] = data[at : at + rng.randrange(1, 40)]
            else:
                del data[at : at + rng.randrange(1, 40)]
        try:
            target(bytes(data))
        except Exception as error:
            raise AssertionError(f"{name}: {bytes(data)!r}") from error


# Planted defects


def mapped_unseen(storage, length):
    return memoryview(files.map_private(storage.descriptor.number, length))


DEFECTS = {
    "what a decoder says is let through": ("payload", [(Type, "unreadable", ())]),
    "positions of an edit are not compared with the list": (
        "log",
        [(_entries, "_check_ranges", lambda ranges, count: None)],
    ),
    "a slot is not compared with the file that it is in": (
        "index",
        [
            (State, "_fits_file", lambda state, slot, index: True),
            (LocalStorage, "writable_window", mapped_unseen),  # which would notice it as well
        ],
    ),
}


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    name, patches = DEFECTS[defect]
    for patch in patches:
        monkeypatch.setattr(*patch)
    with pytest.raises(AssertionError):
        small_changes(name, 3000)
