"""The kernels give what one frame after another would, for any number of heads of any width."""

import dataclasses
import random

import numpy as np
import pytest

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.frame import Frames
from dsrecords._format.layout import (
    COMMIT,
    KIND_SHIFT,
    NONE,
    PENDING,
    RECORD,
    REVISION,
    HeadLayout,
    frame_word,
    offset_mix,
)

ID = bytes(range(16))
COUNTS = (0, 1, 2, 31, 32, 33, 999, 1000, 1001, 1024, 1500)  # around where other ways pay


@dataclasses.dataclass
class Number:
    code: str
    width: int
    nullable: bool = False
    blank: int = 0


def layout_of(payload_count, number_count):
    numbers = [Number("q", 8)] * number_count
    return HeadLayout(payload_count, numbers, [np.dtype("<i8")] * number_count)


NARROW = layout_of(0, 0)
PLAIN = layout_of(0, 2)
PAYLOADS = layout_of(3, 1)
WIDEST = layout_of(0, 126)  # 1024 bytes
WIDE = layout_of(0, 127)


def random_heads(layout, count, seed=0):
    data = random.Random(seed).randbytes(layout.size * count)
    return np.frombuffer(bytearray(data), layout.dtype, count)


def offsets_of(count, step=4096):
    return np.arange(count, dtype=np.uint64) * np.uint64(step) + np.uint64(2**33)


def checks_of(frames, heads, offsets):
    return kernels.frame_checks(heads, offsets, frames.seed, frames.tables)


def checks_one_by_one(frames, heads, offsets):
    seed, size = frames.seed, heads.itemsize
    data = heads.tobytes()
    rows = [data[first : first + size] for first in range(0, len(data), size)]
    return [
        crc32(row[4:], seed) ^ offset_mix(int(at)) for row, at in zip(rows, offsets, strict=True)
    ]


# frame_checks


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "layout", [NARROW, PLAIN, PAYLOADS, WIDEST, WIDE], ids=lambda layout: layout.size
)
def test_checks_of_many_heads_are_those_of_each(layout, count):
    frames = Frames(layout, ID)
    heads, offsets = random_heads(layout, count), offsets_of(count)
    checks = checks_of(frames, heads, offsets)
    assert checks.dtype == np.uint32
    assert checks.tolist() == checks_one_by_one(frames, heads, offsets)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "differing", [(), (4,), (4, 31), (0, 1, 2, 3), (16, 17), range(32)], ids=str
)
def test_checks_of_heads_that_differ_in_few_bytes(count, differing):
    frames, rng = Frames(PLAIN, ID), random.Random(1)
    heads = np.tile(random_heads(PLAIN, 1), count)
    rows = heads.view(np.uint8).reshape(count, 32)
    for position in differing:
        rows[:, position] = list(rng.randbytes(count))
    offsets = offsets_of(count)
    assert checks_of(frames, heads, offsets).tolist() == checks_one_by_one(frames, heads, offsets)


@pytest.mark.parametrize("count", [100, 2000])
@pytest.mark.parametrize("differing", [0, 40, 96, 97, 200, 1020])
def test_tables_are_for_heads_that_differ_in_few_bytes(monkeypatch, by_python, count, differing):
    """A byte takes 1.7 ns by tables, and a whole checksum 150 ns: so many bytes make a loop faster."""
    frames = Frames(WIDEST, ID)
    heads = np.tile(random_heads(WIDEST, 1), count)
    rows = heads.view(np.uint8).reshape(count, WIDEST.size)
    rows[:, 4 : 4 + differing] = np.arange(count)[:, None] % 251
    offsets = offsets_of(count)
    wanted = checks_one_by_one(frames, heads, offsets)
    assert frames.tables is not None
    computed = []
    monkeypatch.setattr(kernels, "crc32", lambda *given: computed.append(given) or crc32(*given))
    assert checks_of(frames, heads, offsets).tolist() == wanted
    is_loop = differing > 96 or count < 1000  # of few heads nobody looks for what they share
    assert len(computed) == (count if is_loop else 1)


def test_a_single_head_that_differs_is_not_overlooked():
    frames = Frames(PLAIN, ID)
    for at in (0, 1, 31, 32, 1000, 1023, 1024, 1029):
        heads = np.tile(random_heads(PLAIN, 1), 1030)
        heads["at 24"][at] ^= 1
        offsets = offsets_of(1030)
        assert checks_of(frames, heads, offsets).tolist() == checks_one_by_one(
            frames, heads, offsets
        )


def test_tables_say_what_each_byte_adds():
    tables = kernels.crc_tables(24).reshape(20, 256)
    zeros = crc32(bytes(20))
    for position, byte in [(0, 0), (0, 1), (0, 255), (7, 128), (19, 1), (19, 255)]:
        data = bytes(position) + bytes([byte]) + bytes(19 - position)
        assert tables[position, byte] == crc32(data) ^ zeros


def test_wide_heads_have_no_tables():
    assert kernels.crc_tables(WIDEST.size) is not None
    assert kernels.crc_tables(WIDE.size) is None
    assert Frames(WIDE, ID).tables is None


def test_a_dataset_makes_its_tables_once():
    frames = Frames(PLAIN, ID)
    assert frames.tables is frames.tables


# scan_frames


PREV = 0x89ABCDEF  # the check of what is before the first frame


def log_of(count, kind=RECORD, prev=PREV, start=4096):
    """A log of records without payloads that follow each other, as heads."""
    frames = Frames(PLAIN, ID)
    data = bytearray()
    for i in range(count):
        named = prev if kind == RECORD else 0
        head = PLAIN.pack(named, frame_word(kind, PLAIN.size), i, -i)
        frame, prev = frames.alone(head, start + len(data))
        data += frame
    return np.frombuffer(data, PLAIN.dtype, count)


def scanned(heads, start=4096, prev=PREV, frames=None):
    """How many frames of the size of a head, one behind the other, are a run."""
    frames = frames or Frames(PLAIN, ID)
    offsets = start + heads.itemsize * np.arange(len(heads), dtype=np.uint64)
    return kernels.scan_frames(heads, offsets, prev, frames.seed, frames.tables)


@pytest.mark.parametrize("kind", [RECORD, PENDING])
@pytest.mark.parametrize("count", COUNTS[1:])
def test_a_run_of_frames_is_found_whole(count, kind):
    assert scanned(log_of(count, kind)) == count


@pytest.mark.parametrize("at", [0, 1, 5, 1099])
@pytest.mark.parametrize("kind", [RECORD, PENDING])
@pytest.mark.parametrize("field", ["check", "prev", "word", "at 16", "at 24"])
def test_a_run_ends_before_the_first_frame_that_is_damaged(field, kind, at):
    heads = log_of(1100, kind)
    heads[field][at] ^= 8
    assert scanned(heads) == at


@pytest.mark.parametrize("byte", range(8))
def test_each_byte_of_a_word_is_looked_at(byte):
    heads = log_of(10)
    heads["word"][6] ^= np.uint64(1 << 8 * byte)
    assert scanned(heads) == 6
    frame = heads[6:7]
    frame["check"] = checks_of(Frames(PLAIN, ID), frame, np.array([4096 + 6 * 32], np.uint64))
    assert scanned(heads) == 6  # even if the check is right


@pytest.mark.parametrize("at", [1, 5, 1099])
def test_a_run_is_of_one_kind(at):
    heads = log_of(1100)
    heads[at:] = log_of(1100, PENDING)[at:]
    assert scanned(heads) == at
    heads = log_of(1100, PENDING)
    heads[at:] = log_of(1100)[at:]
    assert scanned(heads) == at


def test_frames_at_another_offset_or_of_another_dataset_are_no_run():
    heads = log_of(10)
    assert scanned(heads, start=4096 + 8) == 0
    assert scanned(heads, frames=Frames(PLAIN, ID[::-1])) == 0


@pytest.mark.parametrize("at", [0, 1, 5, 1099])
def test_a_run_is_of_frames_each_of_which_names_the_one_before_it(at):
    heads = log_of(1100)
    if at == 0:
        assert scanned(heads, prev=PREV ^ 1) == 0
        return
    heads[at:] = log_of(1100, prev=PREV ^ 1)[at:]  # each right, of another history
    assert scanned(heads) == at


def test_the_first_of_pending_frames_names_none_whatever_is_before_it():
    assert scanned(log_of(10, PENDING), prev=PREV ^ 1) == 10
    heads = log_of(10, PENDING)
    heads["prev"][4] = PREV
    offsets = offsets_of(10, 32)
    heads["check"] = checks_of(Frames(PLAIN, ID), heads, offsets)
    frames = Frames(PLAIN, ID)
    assert kernels.scan_frames(heads, offsets, PREV, frames.seed, frames.tables) == 4


def test_a_run_of_frames_with_payloads_is_of_those_whose_payloads_fit():
    frames = Frames(PAYLOADS, ID)
    data, offsets, prev = b"", [], PREV
    for payloads in ([b"x", None, b""], [b"", b"y" * 9, None], [None, None, None]) * 20:
        offsets.append(4096 + len(data))
        buffers, _, prev = frames.record(RECORD, prev, [1], payloads, offsets[-1])
        data += b"".join(buffers)
    offsets = np.array(offsets, np.uint64)
    heads = kernels.gather_heads(memoryview(bytes(4096) + data), PAYLOADS.dtype, offsets)
    known = (PREV, frames.seed, frames.tables)
    assert kernels.scan_frames(heads, offsets, *known) == 60
    heads = np.frombuffer(bytearray(heads.tobytes()), PAYLOADS.dtype)
    heads["sizes"][30, 0] += np.uint64(8)
    heads["check"][30:31] = checks_of(frames, heads[30:31], offsets[30:31])
    assert kernels.scan_frames(heads, offsets, *known) == 30


# record_sizes


def test_a_record_is_as_large_as_its_head_and_padded_payloads():
    for sizes, size in [((0, 1, NONE), 8), ((NONE, NONE, NONE), 0), ((7, 8, 9), 32)]:
        heads = np.zeros(1, PAYLOADS.dtype)
        heads["sizes"] = sizes
        assert kernels.record_sizes(heads).tolist() == [PAYLOADS.size + size]


@pytest.mark.parametrize("size", [2**48, 2**62, 2**63, 2**64 - 2, 2**64 - 8])
def test_sizes_that_no_frame_can_have_are_those_of_no_record(size):
    heads = np.zeros(4, PAYLOADS.dtype)
    heads["sizes"][2, 1:] = size
    found = kernels.record_sizes(heads).tolist()
    assert found[:2] == found[3:] * 2 == [PAYLOADS.size] * 2
    assert found[2] == NONE
    heads["sizes"][2, 1] = 0  # a single one of them is enough
    assert kernels.record_sizes(heads)[2] == NONE


@pytest.mark.parametrize("layout", [PLAIN, PAYLOADS])
def test_rows_with_heads_are_as_good_as_heads(layout):
    heads, offsets = random_heads(layout, 50), offsets_of(50)
    rows = kernels.make_rows(heads, offsets, layout.long_row_size // 8)
    as_rows = rows.view(layout.row_dtype)[:, 0]
    assert (as_rows["offset"] == offsets).all()
    frames = Frames(layout, ID)
    for of in (
        kernels.record_sizes,
        lambda heads: checks_of(frames, heads, offsets),
        lambda heads: heads["check"],
        kernels.are_revisions,
    ):
        assert of(as_rows).tolist() == of(heads).tolist()


# pack_frames


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("layout", [NARROW, PLAIN, PAYLOADS, WIDE], ids=lambda layout: layout.size)
def test_heads_that_are_packed_together_are_those_that_are_packed_one_by_one(layout, count):
    rng, frames = random.Random(count), Frames(layout, ID)
    number_count = len(layout.zeros)
    heads = np.zeros(count, layout.dtype)
    expected, offset = [], 8192
    for i in range(count):
        payloads = [
            rng.choice([None, b"", rng.randbytes(rng.randrange(30))])
            for _ in range(layout.payload_count)
        ]
        numbers = [rng.randrange(-(2**63), 2**63) for _ in range(number_count)]
        buffers, size, check = frames.record(PENDING, 0, numbers, payloads, offset)
        assert b"".join(buffers[:1]) == check.to_bytes(4, "little")
        expected.append((b"".join(buffers[:2]), offset))
        offset += size
        heads["sizes"][i] = [NONE if data is None else len(data) for data in payloads]
        heads["checksums"][i] = [0 if data is None else crc32(data) for data in payloads]
        for at, number in zip(layout.numbers.offsets, numbers, strict=True):
            heads[f"at {at}"][i] = number
    offsets = frames.pack(heads, 8192)
    assert (offsets.dtype, offsets.shape) == (np.uint64, (count,))
    data = heads.tobytes()
    assert [
        (data[i * layout.size : (i + 1) * layout.size], int(offsets[i])) for i in range(count)
    ] == expected


def test_what_is_packed_is_scanned():
    heads = np.zeros(3000, PLAIN.dtype)
    heads["at 16"] = np.arange(3000)
    offsets = Frames(PLAIN, ID).pack(heads, 4096)
    assert offsets.tolist() == list(range(4096, 4096 + 3000 * 32, 32))
    assert scanned(heads) == 3000


# make_rows, verify_rows, verify_heads


def log_with_payloads(count):
    """The bytes of a log of records, pending ones and revisions, and the offset of each."""
    rng, frames = random.Random(count), Frames(PAYLOADS, ID)
    data, offsets = bytearray(4096), []
    for i in range(count):
        payloads = [rng.choice([None, b"", rng.randbytes(rng.randrange(30))]) for _ in range(3)]
        offset = len(data)
        if i % 5 == 4:
            buffers = frames.revision([i], payloads, offset).buffers
        else:
            buffers, _, _ = frames.record(1 + i % 2, 0, [i], payloads, offset)
        data += b"".join(buffers)
        offsets.append(offset)
    return bytes(data), np.array(offsets, np.uint64)


def verified(data, rows, mixes, compare_checks=True):
    """Which rows of such a log are right."""
    frames = Frames(PAYLOADS, ID)
    common = (PAYLOADS, frames.seed, frames.tables, 4096)
    if rows.shape[1] == 2:
        log = memoryview(data)
        return kernels.verify_heads(log, *common, mixes, rows, compare_checks)[1]
    heads = rows.view(PAYLOADS.row_dtype)[:, 0]
    return kernels.verify_rows(heads, *common, len(data), mixes, compare_checks)


LONG = PAYLOADS.long_row_size // 8
ROWS = pytest.mark.parametrize("width", [2, LONG], ids=["short", "with heads"])


def rows_of(count, width, salt=0x12345678):
    """A log, its rows as an index has them, and what they are mixed with."""
    data, offsets = log_with_payloads(count)
    heads = kernels.gather_heads(memoryview(data), PAYLOADS.dtype, offsets)
    rows = kernels.make_rows(heads, offsets, width)
    mixes = np.array([(i * 0x9E3779B1 & 0xFFFFFFFF) ^ salt for i in range(count)], np.uint64)
    rows[:, 1] ^= mixes << np.uint64(32) if width == 2 else mixes
    return data, rows, mixes


@ROWS
@pytest.mark.parametrize("count", COUNTS[1:])
def test_rows_that_are_right_are_verified(width, count):
    assert verified(*rows_of(count, width)).all()


@ROWS
def test_each_flipped_byte_of_a_row_is_seen(width):
    data, rows, mixes = rows_of(40, width)
    right = [i != 17 for i in range(40)]
    for byte in range(8 * width):
        damaged = rows.copy()
        damaged.view(np.uint8)[17, byte] ^= 255
        assert verified(data, damaged, mixes).tolist() == right, byte
        wrong = verified(data, damaged, mixes, compare_checks=False)
        assert wrong[:17].all() and wrong[18:].all()


@ROWS
def test_rows_of_other_places_are_seen(width):
    data, rows, mixes = rows_of(40, width)
    rows[[3, 9]] = rows[[9, 3]]
    assert np.flatnonzero(~verified(data, rows, mixes)).tolist() == [3, 9]
    assert not verified(data, rows, mixes ^ np.uint64(1)).any()


@ROWS
@pytest.mark.parametrize("offset", [0, 8, 4088, 4097, 2**31, 2**63, 2**64 - 8])
def test_rows_that_point_to_where_no_frame_can_be_are_seen_without_checks(width, offset):
    data, rows, mixes = rows_of(40, width)
    rows[5, 0] = offset
    right = verified(data, rows, mixes, compare_checks=False)
    assert np.flatnonzero(~right).tolist() == [5]


@ROWS
def test_records_that_reach_beyond_the_log_are_seen(width):
    data, rows, mixes = rows_of(40, width)
    right = verified(data[:-8], rows, mixes, compare_checks=False)
    assert np.flatnonzero(~right).tolist() == [39]


@pytest.mark.parametrize("kind", [0, COMMIT, REVISION + 1, 255])
@ROWS
def test_heads_of_other_kinds_are_of_no_record(width, kind):
    data, offsets = log_with_payloads(4)
    frames, heads = Frames(PAYLOADS, ID), bytearray(data)
    word = int.from_bytes(data[4096 + 8 : 4096 + 16], "little")
    word = word & (1 << KIND_SHIFT) - 1 | frame_word(kind, 0)
    heads[4096 + 8 : 4096 + 16] = word.to_bytes(8, "little")
    check = frames.check(bytes(heads[4100 : 4096 + PAYLOADS.size]), 4096)
    heads[4096:4100] = check.to_bytes(4, "little")
    gathered = kernels.gather_heads(memoryview(bytes(heads)), PAYLOADS.dtype, offsets)
    rows = kernels.make_rows(gathered, offsets, width)
    right = verified(bytes(heads), rows, np.zeros(4, np.uint64))
    assert right.tolist() == [False, True, True, True]


def test_a_short_row_need_not_say_how_large_its_frame_is():
    data, rows, mixes = rows_of(40, 2)
    rows[[3, 39], 1] |= np.uint64(0xFFFFFFFF)
    assert verified(data, rows, mixes).all()
    rows[3, 1] ^= np.uint64(1 << 40)
    assert np.flatnonzero(~verified(data, rows, mixes)).tolist() == [3]
