"""Damaged files: no flipped bit gives a wrong value, no cut file a list that never was; and what is planted is caught."""

import random

import damage
import pytest
from damage import Damaged, cuts, disasters, every_bit, everywhere, flips, made, one_bit, structure
from power_loss import LostError, Tally
from workloads import INDEX, PATH

from dsrecords._format import frame as _frame
from dsrecords._format import header as _header
from dsrecords._format import index as _index
from dsrecords._format import kernels, layout
from dsrecords._read import snapshot as _reader
from dsrecords._write import writer as _writer

pytestmark = pytest.mark.exhaustive
SEED = 20_261_122


@pytest.fixture(scope="module")
def small():
    return Damaged(*made())


@pytest.fixture(scope="module")
def with_images():
    return Damaged(*made(images=True))


def test_a_flipped_bit_anywhere_is_told_of_or_harmless(small):
    tally = Tally()
    flips(small, tally, one_bit(SEED), everywhere(small, quiet_stride=32))
    assert tally["told of"] > 3000


def test_every_bit_of_heads_slots_and_entries(small):
    tally = Tally()
    flips(small, tally, every_bit, structure(small))
    # Of a head each flipped bit is told of. The others lie in the index: what is wrong there is often made good by the log.
    assert tally["told of"] >= 8 * (small.places[0][1] - small.places[0][0])


def test_a_flipped_bit_of_an_image(with_images):
    tally = Tally()
    payloads = [
        (PATH, at)
        for _, _, fields in with_images.places
        for name in damage.encoded()
        for at in range(*fields[name], 9)
    ]
    flips(with_images, tally, one_bit(SEED), payloads)
    assert tally == {"told of": len(payloads)}


def test_bursts_zeroed_and_swapped_blocks(small):
    tally = Tally()
    disasters(small, tally, 2000, SEED)
    assert tally["told of"] > 500


def test_swapped_entries_of_the_index_are_told_of(small):
    data = bytearray(small.files[INDEX])
    data[12288 : 12288 + 32] = data[12304 : 12304 + 16] + data[12288 : 12288 + 16]
    assert small.look({**small.files, INDEX: bytes(data)}) == "told of"


def test_a_data_file_that_is_cut_anywhere(small):
    tally, size = Tally(), len(small.files[PATH])
    cuts(small, tally, ({PATH: n} for n in (*range(0, 4096, 64), *range(4096, size))), mend=16)
    assert tally == {"told of": 64 + size - 4096}  # the index vouches for all of it


def test_a_data_file_that_is_cut_anywhere_and_has_no_index(small):
    tally, size = Tally(), len(small.files[PATH])
    cuts(small, tally, ({PATH: n, INDEX: None} for n in range(4096, size)), mend=16)
    assert tally == {"a prefix": size - 4096}


def test_an_index_that_is_cut_anywhere(small):
    tally, size = Tally(), len(small.files[INDEX])
    lengths = sorted({*range(0, size, 64), *range(80), *range(4096, 4176), *range(12288, size)})
    cuts(small, tally, ({INDEX: n} for n in lengths), mend=4)
    assert tally == {
        "a prefix": len(lengths)
    }  # it is all of it: the list is made again from the log


def test_both_files_cut(small):
    tally, rng = Tally(), random.Random(SEED)
    log, index = len(small.files[PATH]), len(small.files[INDEX])
    cuts(
        small,
        tally,
        ({PATH: rng.randrange(4096, log), INDEX: rng.randrange(index)} for _ in range(500)),
        mend=8,
    )
    assert (
        min(tally["a prefix"], tally["told of"]) > 20
    )  # whether a slot is left that vouches for more


# Planted defects


class Equal:
    """A checksum that is equal to every other."""

    __hash__ = None

    def __xor__(self, other):
        return self

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


def any_slot(storage):
    slots = [
        _index.Slot(*_index._SLOT.unpack(storage.read(at, 92)[12:80]))
        for at in (0, 4096)
        if storage.read(at, 8) == _index.MAGIC
    ]
    return sorted(slots, key=lambda slot: -slot.seq)


def as_stored(heads, offsets, seed, tables):
    return heads["check"]


DEFECTS = {
    "the checksum of a payload is not compared": [(_reader, "crc32", lambda data, seed=0: Equal())],
    "the check of a head is not compared": [
        (_frame.Frames, "verifies", lambda frames, head, offset: True)
    ],
    "the checks of heads that are read together are not compared": [
        (kernels, "frame_checks", as_stored)
    ],
    "the checksum of the header is not compared": [
        (_header, "crc32", lambda data, seed=0: Equal())
    ],
    "the checksum of a slot is not compared": [(_index, "read_slots", any_slot)],
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, small, monkeypatch):
    for patch in DEFECTS[defect]:
        monkeypatch.setattr(*patch)
    monkeypatch.setattr("simulation._headers", {})
    places = list(everywhere(small, quiet_stride=32))
    random.Random(SEED).shuffle(places)  # to be caught the sooner
    with pytest.raises(LostError):
        flips(small, Tally(), one_bit(SEED), places)


MORE_DEFECTS = (  # which have tests of their own below
    "entries are not mixed with their positions",
    "the log is not compared with what the index vouches for",
    "a list that was cut amid a batch has its first records",
)


def test_entries_that_are_not_mixed_with_their_positions_are_caught(monkeypatch):
    monkeypatch.setattr(layout, "_POSITION_FACTOR", 0)
    with pytest.raises(LostError, match="record 0 is wrong"):
        test_swapped_entries_of_the_index_are_told_of(Damaged(*made()))


def test_a_log_that_is_not_walked_to_what_the_index_vouches_for_is_caught(small, monkeypatch):
    monkeypatch.setattr(_index, "read_slots", lambda storage: [])  # so nothing is vouched for
    with pytest.raises((LostError, AssertionError)):
        test_a_data_file_that_is_cut_anywhere(small)


def test_records_of_a_batch_that_was_cut_are_caught(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_writer, "PENDING", layout.RECORD)
        files, states = made()
    files.pop(INDEX)  # which says that all of it is there
    cut = Damaged.__new__(Damaged)  # as it is not even to be read whole
    cut.files, cut.states, cut.decode = files, states, {}
    with pytest.raises(LostError, match="no state that was committed"):
        cuts(cut, Tally(), ({PATH: n} for n in range(4096, len(files[PATH]))), mend=10**9)
