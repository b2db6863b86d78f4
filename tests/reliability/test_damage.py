"""Damaged files: no flipped bit gives a wrong value, no cut file a list that never was; and what is planted is caught."""

import random

import damage
import pytest
from damage import Damaged, cuts, disasters, everywhere, flips, made, one_bit, structure
from operations import INDEX, PATH, small_writers
from power_loss import LostError, Tally
from simulation import Machine

from dsrecords import IndexedRecordDataset
from dsrecords._format import frame as _frame
from dsrecords._format import header as _header
from dsrecords._format import index as _index
from dsrecords._format import kernels, layout
from dsrecords._format.layout import SHORT_ROW
from dsrecords._format.log import Batch, LogScanner
from dsrecords._read.snapshot import Snapshot
from dsrecords._write.writer import Writer

pytestmark = pytest.mark.exhaustive
SEED = 20_261_122
STEP = 7  # bytes: `make torture` cuts at each, and flips each bit


@pytest.fixture(scope="module", params=[False, True], ids=["heads in the log", "heads in rows"])
def small(request):
    return Damaged(*made(few=request.param))


@pytest.fixture(scope="module")
def with_images():
    return Damaged(*made(images=True))


def test_a_flipped_bit_anywhere_is_told_of_or_harmless(small):
    tally = Tally()
    flips(small, tally, one_bit(SEED), list(everywhere(small, quiet_stride=32))[::STEP])
    assert tally["told of"] > (430 if small.row_size == SHORT_ROW else 70)


def test_every_byte_of_heads_slots_and_rows(small):
    tally = Tally()
    flips(small, tally, one_bit(SEED + 1), structure(small))
    # Of a row and of a table each flipped bit is told of, and of a head that is in the log alone. What is wrong in a slot is
    # often made good by the log.
    told = small.row_size * len(small.rows) + small.table[1] - small.table[0]
    if small.row_size == SHORT_ROW:
        told += small.head[1] - small.head[0]
    assert tally["told of"] >= told


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
    disasters(small, tally, 500, SEED)
    assert tally["told of"] > 150


def swapped_rows(damaged):
    """The files with the first two rows of the index in each other's place."""
    data, start, size = damaged.files[INDEX], damage.rows_offset(damaged), damaged.row_size
    middle, stop = start + size, start + 2 * size
    data = data[:start] + data[middle:stop] + data[start:middle] + data[stop:]
    return {**damaged.files, INDEX: data}


def test_swapped_rows_of_the_index_are_told_of(small):
    assert small.look(swapped_rows(small)) == "told of"


def test_a_data_file_that_is_cut_anywhere(small):
    tally, size = Tally(), len(small.files[PATH])
    lengths = [*range(4096, size, STEP), size - 1]
    cuts(small, tally, ({PATH: n} for n in [*range(0, 4096, 64), *lengths]), mend=16)
    assert tally == {"told of": 64 + len(lengths)}  # the index vouches for all of it


def test_a_data_file_that_is_cut_anywhere_and_has_no_index(small):
    tally, size = Tally(), len(small.files[PATH])
    lengths = [*range(4096, size, STEP), size - 1]
    cuts(small, tally, ({PATH: n, INDEX: None} for n in lengths), mend=16)
    assert tally == {"a prefix": len(lengths)}


def test_an_index_that_is_cut_anywhere(small):
    tally, size = Tally(), len(small.files[INDEX])
    rows = range(damage.rows_offset(small), size)
    lengths = sorted({*range(0, size, 64), *range(128), *range(4096, 4224), *rows})[::3]
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
        _index.Slot(*_index._SLOT.unpack_from(storage.read(at, 128), 12))
        for at in (0, 4096)
        if storage.read(at, 8) == _index.MAGIC
    ]
    return sorted(slots, key=lambda slot: -slot.seq)


def without_checks(verify):
    """A kernel that looks at everything but the checks."""
    return lambda *arguments: verify(*arguments[:-1], False)


DEFECTS = {
    "the checksum of a payload is not compared": [(kernels, "verify_payloads", lambda *_: -1)],
    "the check of a head is not compared": [
        (_frame.Frames, "verifies", lambda frames, head, offset: True)
    ],
    "a head that is read alone is not verified": [(Snapshot, "_wrong_head", lambda *_: "")],
    "the checks of heads that are read together are not compared": [
        (kernels, name, without_checks(getattr(kernels, name)))
        for name in ("verify_heads", "verify_rows")
    ],
    "the checksum of the header is not compared": [
        (_header, "crc32", lambda data, seed=0: Equal())
    ],
    "the checksum of a slot is not compared": [(_index, "read_slots", any_slot)],
}


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
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
    "rows are not mixed with their numbers",
    "rows are not mixed with the salt of their index",
    "the log is not compared with what the index vouches for",
    "a list that was cut amid a batch has its first records",
)


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.parametrize("few", [False, True])
def test_rows_that_are_not_mixed_with_their_numbers_are_caught(few, monkeypatch):
    monkeypatch.setattr(layout, "_ROW_FACTOR", 0)
    with pytest.raises(LostError, match="record 0 is wrong"):
        test_swapped_rows_of_the_index_are_told_of(Damaged(*made(few=few)))


def mixed_indexes():
    """A dataset whose index begins as it is, and ends as it was before all labels were replaced."""
    machine = Machine()
    with small_writers(), machine.running():
        ds = IndexedRecordDataset(PATH, schema={"text": "str", "label": "int64"})
        rows = [{"text": "a text", "label": i} for i in range(8)]
        ds.extend(rows)
        ds.flush()
        before = machine.contents()[INDEX]
        rows = [row | {"label": row["label"] + 100} for row in rows]
        ds.update(dict(enumerate(rows)), partial=True)
        ds.close()
    damaged = Damaged(machine.contents(), [rows])
    middle = damage.rows_offset(damaged) + 4 * damaged.row_size
    index = damaged.files[INDEX][:middle] + before[middle:]
    return damaged, {**damaged.files, INDEX: index}


def test_rows_of_an_older_index_are_told_of():
    damaged, files = mixed_indexes()
    assert damaged.look(files) == "told of"


def test_rows_that_are_not_mixed_with_a_salt_are_caught(monkeypatch):
    next_slot = Writer.next_slot
    monkeypatch.setattr(Writer, "next_slot", lambda writer: next_slot(writer)._replace(salt=0))
    damaged, files = mixed_indexes()
    with pytest.raises(LostError, match="record 4 is wrong"):
        damaged.look(files)


def test_a_log_that_is_not_walked_to_what_the_index_vouches_for_is_caught(small, monkeypatch):
    monkeypatch.setattr(_index, "read_slots", lambda storage: [])  # so nothing is vouched for
    with pytest.raises((LostError, AssertionError)):
        test_a_data_file_that_is_cut_anywhere(small)


def test_records_of_a_batch_that_was_cut_are_caught(small, monkeypatch):
    scan = LogScanner.__iter__

    def impatient(scanner):
        yield from scan(scanner)
        rows = scanner._pending.take()
        if len(rows):
            yield Batch(rows, 0, (), scanner._offset, scanner.last or 0, scanner.check, 0)

    monkeypatch.setattr(LogScanner, "__iter__", impatient)
    with pytest.raises(LostError, match="no state that was committed"):
        test_a_data_file_that_is_cut_anywhere_and_has_no_index(small)
