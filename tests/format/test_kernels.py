"""The kernels give what one frame after another would, for any number of heads of any width."""

import dataclasses
import random

import numpy as np
import pytest

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.frame import Frames
from dsrecords._format.layout import COMMIT, NONE, PENDING, RECORD, HeadLayout, offset_mix

ID = bytes(range(16))
COUNTS = (0, 1, 2, 31, 32, 33, 999, 1000, 1001, 1024, 1500)  # around where other ways pay


@dataclasses.dataclass
class Number:
    code: str
    width: int
    nullable: bool = False


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


def log_of(count, kind=RECORD, start=4096):
    """A log of records without payloads that follow each other, as heads."""
    frames = Frames(PLAIN, ID)
    data = bytearray()
    for i in range(count):
        head = PLAIN.pack(kind, PLAIN.size, i, -i)
        data += frames.alone(head, start + len(data))[0]
    return np.frombuffer(data, PLAIN.dtype, count)


def scanned(heads, start=4096):
    return Frames(PLAIN, ID).scan(heads, start)


@pytest.mark.parametrize("kind", [RECORD, PENDING])
@pytest.mark.parametrize("count", COUNTS)
def test_a_run_of_frames_is_found_whole(count, kind):
    heads = log_of(count, kind)
    found = scanned(heads)
    assert (found.dtype, found.shape) == (np.uint64, (count, 3))
    assert found[:, 0].tolist() == list(range(4096, 4096 + 32 * count, 32))
    assert found[:, 1].tolist() == [32] * count
    assert found[:, 2].tolist() == heads["check"].tolist()


@pytest.mark.parametrize("at", [0, 1, 5, 1099])
@pytest.mark.parametrize("field", ["check", "kind", "size", "at 16", "at 24"])
def test_a_run_ends_before_the_first_frame_that_is_damaged(field, at):
    heads = log_of(1100)
    heads[field][at] ^= 8
    found = scanned(heads)
    # A first frame of another kind is a run of that kind, in which its check is wrong.
    assert found.tolist() == scanned(log_of(at)).tolist()


@pytest.mark.parametrize("at", [1, 5, 1099])
def test_a_run_is_of_one_kind(at):
    heads = log_of(1100)
    heads[at:] = log_of(1100, PENDING)[at:]
    assert len(scanned(heads)) == at


def test_frames_at_another_offset_or_of_another_dataset_are_no_run():
    heads = log_of(10)
    assert len(scanned(heads, 4096 + 8)) == 0
    assert len(Frames(PLAIN, ID[::-1]).scan(heads, 4096)) == 0


def test_frames_with_payloads_are_no_run():
    frames = Frames(PAYLOADS, ID)
    record = b"".join(frames.record(RECORD, [1], [b"x", None, b""], 4096)[0])
    heads = np.frombuffer(record, PAYLOADS.dtype, 1)
    assert len(frames.scan(heads, 4096)) == 0


def test_commits_are_a_run_of_their_kind_only_if_they_are_as_long_as_heads():
    # The scan of a log looks at kinds itself: what is a record is not for kernels to know.
    layout = layout_of(0, 3)
    frames = Frames(layout, ID)
    commit, check = frames.commit(4096, [], 0, [], 4096)
    assert len(commit) == layout.size == 40
    found = frames.scan(np.frombuffer(commit, layout.dtype, 1), 4096)
    assert found.tolist() == [[4096, 40, check]]
    assert commit[4] == COMMIT


# pack_frames


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("layout", [NARROW, PLAIN, PAYLOADS, WIDE], ids=lambda layout: layout.size)
def test_heads_that_are_packed_together_are_those_that_are_packed_one_by_one(layout, count):
    rng, frames = random.Random(count), Frames(layout, ID)
    number_count = len(layout.zeros)
    heads = np.zeros(count, layout.dtype)
    heads["kind"] = PENDING
    expected, offset = [], 8192
    for i in range(count):
        payloads = [
            rng.choice([None, b"", rng.randbytes(rng.randrange(30))])
            for _ in range(layout.payload_count)
        ]
        numbers = [rng.randrange(-(2**63), 2**63) for _ in range(number_count)]
        buffers, size, check = frames.record(PENDING, numbers, payloads, offset)
        expected.append((b"".join(buffers[:2]), offset, size, check))
        offset += size
        heads["sizes"][i] = [NONE if data is None else len(data) for data in payloads]
        heads["checksums"][i] = [0 if data is None else crc32(data) for data in payloads]
        for at, number in zip(layout.numbers.offsets, numbers, strict=True):
            heads[f"at {at}"][i] = number
    packed = frames.pack(heads, 8192)
    assert (packed.dtype, packed.shape) == (np.uint64, (count, 3))
    data = heads.tobytes()
    assert [
        (data[i * layout.size : (i + 1) * layout.size], *packed[i].tolist()) for i in range(count)
    ] == expected


def test_what_is_packed_is_scanned():
    heads = np.zeros(3000, PLAIN.dtype)
    heads["kind"] = RECORD
    heads["at 16"] = np.arange(3000)
    packed = Frames(PLAIN, ID).pack(heads, 4096)
    assert scanned(heads).tolist() == packed.tolist()
