"""Computations over the frames of many records: arrays in, arrays out, no state.

Knows nothing of files, and of frames only what every head has in common. The functions are called
through the module (`kernels.frame_checks(...)`), so that another implementation can replace them.

In all of them, `heads` is a structured array as `HeadLayout.dtype` describes it; an item is a whole
head, check included, and a multiple of 8 bytes. Where it says so, or where both will do, it is one
of rows of an index with their heads, as `HeadLayout.row_dtype` describes it. `data` is the log from
its beginning, as far as it is known to be whole; offsets and sizes are bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.layout import (
    LARGEST_FRAME,
    LOW_32_BITS,
    NONE,
    PENDING,
    RECORD,
    REVISION,
    SHORT_ROW,
    HeadLayout,
    frame_tag,
    frame_word,
    offset_mixes,
    padded_sizes,
    sizes_of_words,
    tags_of_words,
)
from dsrecords._native import core

_ALL_RIGHT = -1  # instead of the number of what is wrong

# How to get the value of a field from what the struct of a head unpacks:
# - whether it is a number, else it is a payload;
# - the index of the number, or of the payload's size;
# - the index of the byte that is 0 if the value is None, or -1;
# - what makes the value: of a payload and whether to copy it, or of a number. None where the number
#   is the value;
# - what raises the error of a payload that is None; None where it may be.
# A plain tuple, since Python takes those apart twice as fast as named ones.
Step = tuple[bool, int, int, Callable[..., Any] | None, Callable[[], None] | None]

_CHECK_SIZE = 4  # bytes of a head that its check does not cover: the check itself
_WIDEST_TABLE = 1024  # bytes of head up to which there are tables; each byte takes 1 KiB of them
_MOST_SUMMED = 96  # bytes that differ between heads, each of which takes 1.7 ns; a checksum 150 ns
_FIRST = 128  # heads that are looked at first: if they differ in more bytes, so do all
_KEPT_TABLES = 8  # kinds of heads whose tables are kept: making them takes half a millisecond
_MANY = 1000  # heads for which it pays to look for the bytes that all have in common
_ROWS = 32  # heads that are compared as one row
_MANY_OFFSETS = 1000  # heads for which it pays to ask whether they lie one behind the other
_COPIED_BY_NUMPY = 2**16  # bytes of a payload
_MANY_RUNS = 8192  # heads of which it pays to look for runs that do
_LONG_RUN = 64  # heads of a run, on average, that are copied together
_CHUNK = 4096  # heads that are verified together: so many stay in the processor's cache
_EIGHTH = np.uint64(3)  # bits to shift to divide by eight
_SEVEN = np.uint64(7)
_HALF = np.uint64(32)  # bits of a word
_LOW = np.uint64(LOW_32_BITS)
_RECORD_TAG = np.uint64(frame_tag(RECORD))
_REVISION_TAG = np.uint64(frame_tag(REVISION))
_OTHER_RECORD_KINDS = PENDING - RECORD  # which follow that of RECORD


@functools.lru_cache(_KEPT_TABLES)
def crc_tables(head_size: int) -> np.ndarray | None:
    """Make the tables by which the checks of many heads are computed together. Not to be changed.

    Args:
        head_size: in bytes.

    Returns:
        uint32, ((head_size - 4) * 256,): at 256 * i + b, what the byte b at position i behind the
        check adds to the CRC-32 of zeros. None for heads so wide that the tables do not pay.
    """
    if head_size > _WIDEST_TABLE:
        return None
    last = np.empty(256, np.uint32)
    crc_of_zero = crc32(b"\0")
    for byte in range(256):
        last[byte] = crc32(bytes([byte])) ^ crc_of_zero
    tables = [last]
    for _ in range(_CHECK_SIZE, head_size - 1):
        # One position earlier, which is one more zero byte behind it.
        later = tables[-1]
        low_bytes = later & np.uint32(255)
        shifted = later >> np.uint32(8)
        tables.append(shifted ^ last[low_bytes])
    tables.reverse()
    made = np.concatenate(tables)
    made.flags.writeable = False  # whoever asks next gets the same
    return made


def frame_checks(
    heads: np.ndarray,
    offsets: np.ndarray,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """Compute what the checks of many frames must be.

    Args:
        heads: structured, (n,), C-contiguous; the checks in them are not read.
        offsets: uint64, (n,): of the frames, in the log.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        uint32, (n,).
    """
    if core is None:
        return frame_checks_by_numpy(heads, offsets, seed, tables)
    count = len(heads)
    checks = np.empty(count, np.uint32)
    core.frame_checks(
        heads.view(np.uint8),
        count,
        heads.itemsize,
        _first_covered(heads.dtype),
        np.ascontiguousarray(offsets, np.uint64),
        seed,
        checks,
    )
    return checks


def frame_checks_by_numpy(
    heads: np.ndarray,
    offsets: np.ndarray,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """`frame_checks` in Python."""
    count = len(heads)
    data = heads.view(np.uint8)
    rows = data.reshape(count, heads.itemsize)
    first = _first_covered(heads.dtype)
    if tables is None:
        crcs = _crcs_one_by_one(rows, first, seed)
    else:
        crcs = _crcs_by_tables(rows, first, seed, tables)
    checks: np.ndarray = crcs ^ offset_mixes(offsets)
    return checks


def _first_covered(dtype: np.dtype) -> int:
    """The offset, in an item of `heads`, of the first byte that its check covers."""
    fields: Any = dtype.fields
    _, offset = fields["check"]
    return int(offset) + _CHECK_SIZE


def scan_frames(
    heads: np.ndarray,
    offsets: np.ndarray,
    prev: int,
    seed: int,
    tables: np.ndarray | None,
) -> int:
    """Count the frames of records, one behind the other in the log, that verify.

    Args:
        heads: structured, (n,), n > 0, C-contiguous, of which the first is that of a record or of a
            pending one.
        offsets: uint64, (n,): of the frames.
        prev: what the first must name if it is not pending.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        How many come before the first that does not verify or is of another kind.
    """
    words = heads["word"]
    tags = tags_of_words(words)
    right = tags == tags[0]
    right &= sizes_of_words(words) == record_sizes(heads)
    checks = frame_checks(heads, offsets, seed, tables)
    right &= checks == heads["check"]
    expected = np.zeros(len(heads), np.uint32)
    if tags[0] == _RECORD_TAG:
        expected[0] = prev
        expected[1:] = checks[:-1]
    right &= heads["prev"] == expected
    return _count_leading(right)


def record_sizes(heads: np.ndarray) -> np.ndarray:
    """The sizes of frames that consist of a head and payloads: from structured, (n,), to uint64.

    Of sizes of payloads that no frame can have, the result is one that no frame has.
    """
    head_size = _head_size(heads.dtype)
    sizes = heads["sizes"]
    if not sizes.shape[1]:
        return np.full(len(heads), head_size, np.uint64)
    padded = padded_sizes(sizes)
    totals: np.ndarray = padded.sum(axis=1, dtype=np.uint64)
    totals += np.uint64(head_size)
    # The sum of larger sizes may have wrapped around.
    if int(padded.max(initial=0)) > LARGEST_FRAME:
        totals[padded.max(axis=1) > LARGEST_FRAME] = NONE
    result: np.ndarray = totals
    return result


def _head_size(dtype: np.dtype) -> int:
    return dtype.itemsize - _first_covered(dtype) + _CHECK_SIZE


def pack_frames(
    heads: np.ndarray,
    kind: int,
    offset: int,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """Complete the heads of records that are to follow each other in the log.

    Args:
        heads: structured, (n,), C-contiguous, with sizes and checksums of the payloads, and numbers
            set. Modified in place: the words and checks of the frames are set.
        kind: of the frames.
        offset: of the first frame, in the log.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        Offset of each frame: uint64, (n,).
    """
    sizes = record_sizes(heads)
    ends = sizes.cumsum()
    ends += np.uint64(offset)
    offsets: np.ndarray = ends - sizes
    heads["word"] = sizes | np.uint64(frame_word(kind, 0))
    checks = frame_checks(
        heads,
        offsets,
        seed,
        tables,
    )
    heads["check"] = checks
    return offsets


def make_rows(
    heads: np.ndarray,
    offsets: np.ndarray,
    width: int,
) -> np.ndarray:
    """Make the rows of an index, whose checks are not mixed with anything yet.

    Args:
        heads: structured, (n,), C-contiguous.
        offsets: uint64, (n,): of the frames.
        width: of a row, in words of eight bytes.

    Returns:
        uint64, (n, width).
    """
    count = len(heads)
    rows = np.empty((count, width), np.uint64)
    rows[:, 0] = offsets
    if width > SHORT_ROW // 8:
        words = heads.view(np.uint64)
        rows[:, 1:] = words.reshape(count, -1)
        return rows
    sizes = sizes_of_words(heads["word"])
    eighths = np.minimum(sizes >> _EIGHTH, _LOW)
    checks = heads["check"].astype(np.uint64)
    rows[:, 1] = eighths | checks << _HALF
    return rows


def gather_heads(
    data: Any,
    dtype: np.dtype,
    offsets: np.ndarray,
) -> np.ndarray:
    """The heads at these offsets.

    Args:
        data: which contains all of them: a memoryview, or what is sliced as one.
        dtype: of a head, structured.
        offsets: multiples of 8: uint64, (n,), n > 0.

    Returns:
        Structured, (n,); not to be changed, as it may be a view of `data`.
    """
    size = dtype.itemsize
    count = len(offsets)
    if count > _MANY_OFFSETS:
        distances = np.diff(offsets)
        if (distances == size).all():  # as they were appended
            first = int(offsets[0])
            return np.frombuffer(data[first : first + count * size], dtype)
        if count >= _MANY_RUNS:
            breaks = np.flatnonzero(distances != size) + 1
            if len(breaks) <= count // _LONG_RUN:  # as they were written, in batches
                return _heads_of_runs(data, dtype, offsets, breaks.tolist())
    if not isinstance(data, memoryview):  # no mapping: it is read where it is sliced
        heads_read = [data[offset : offset + size] for offset in offsets.tolist()]
        return np.frombuffer(b"".join(heads_read), dtype)
    # A head at each multiple of 8, each as one item: NumPy copies those five times faster than rows
    # of words.
    last_word = (len(data) - size) // 8
    everywhere = np.ndarray(
        shape=(last_word + 1,),
        dtype=f"V{size}",
        buffer=data,
        strides=(8,),
    )
    words = offsets >> _EIGHTH
    heads = everywhere[words.view(np.int64)]
    return heads.view(dtype)


def _heads_of_runs(
    data: Any,
    dtype: np.dtype,
    offsets: np.ndarray,
    breaks: list[int],
) -> np.ndarray:
    """The heads at offsets that are runs of heads side by side; `breaks`: where others begin."""
    size = dtype.itemsize
    plain = np.dtype(f"V{size}")  # whose items are copied as they are, not part by part
    runs = []
    for start, stop in zip([0, *breaks], [*breaks, len(offsets)]):
        first = int(offsets[start])
        last = first + (stop - start) * size
        runs.append(np.frombuffer(data[first:last], plain))
    return np.concatenate(runs).view(dtype)


def verify_rows(
    heads: np.ndarray,
    layout: HeadLayout,
    seed: int,
    tables: np.ndarray | None,
    first_offset: int,
    end: int,
    mixes: np.ndarray,
    compare_checks: bool,
) -> np.ndarray:
    """Verify rows of an index that have heads.

    Args:
        heads: the rows: structured as `HeadLayout.row_dtype`, (n,), n > 0, C-contiguous.
        layout: of a head.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.
        first_offset: where the first frame can be.
        end: where the log ends.
        mixes: what the checks in the rows are mixed with: uint64, (n,).
        compare_checks: whether to compute the checks, and compare them.

    Returns:
        Which are right: bool, (n,).
    """
    right = np.empty(len(heads), bool)
    for first in range(0, len(heads), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        some = heads[chunk]
        offsets = some["offset"]
        some_right = _can_be_records(some, offsets, layout, first_offset, end)
        if compare_checks:
            checks = frame_checks(some, offsets, seed, tables)
            stored = some["check"] ^ mixes[chunk].astype(np.uint32)
            some_right &= checks == stored
        right[chunk] = some_right
    return right


def verify_scattered(
    heads: np.ndarray,
    offsets: np.ndarray,
    layout: HeadLayout,
    tables: np.ndarray | None,
    starts: np.ndarray,
    ends: np.ndarray,
    checks: np.ndarray | None,
) -> np.ndarray:
    """Verify heads of records in several files, which have one layout.

    Args:
        heads: structured, (n,), n > 0, C-contiguous.
        offsets: of their frames, each in its file: uint64, (n,).
        layout: of a head.
        tables: of `crc_tables`.
        starts: where the first frame of each file can be: uint64, (n,).
        ends: where the log of each file ends: uint64, (n,).
        checks: what the checks must be, each xor what it would differ by if its file's seed was 0:
            uint32, (n,). None: they are not compared.

    Returns:
        Which are right: bool, (n,).
    """
    right = _can_be_records(heads, offsets, layout, starts, ends)
    if checks is not None:
        right &= frame_checks(heads, offsets, 0, tables) == checks
    return right


def verify_heads(
    data: memoryview,
    layout: HeadLayout,
    seed: int,
    tables: np.ndarray | None,
    first_offset: int,
    mixes: np.ndarray,
    rows: np.ndarray,
    compare_checks: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the heads of many records, and verify them against themselves and their rows.

    Args:
        data: the log.
        layout: of a head.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.
        first_offset: where the first frame can be.
        mixes: what the checks in the rows are mixed with: uint64, (n,).
        rows: of the index, without heads: uint64, (n, 2), n > 0.
        compare_checks: whether to compute the checks of the heads, and compare them.

    Returns:
        The heads, structured, (n,), of which those that are not right may be anything; and which
        are right: bool, (n,).
    """
    offsets = rows[:, 0]
    last_offset = len(data) - layout.size
    # As ufuncs, since a batch can be small: methods of arrays take twice as long to begin.
    lowest = int(np.minimum.reduce(offsets))
    highest = int(np.maximum.reduce(offsets))
    all_bits = int(np.bitwise_or.reduce(offsets))
    if first_offset <= lowest and highest <= last_offset and all_bits % 8 == 0:
        return _verify_heads_inside(
            data,
            layout,
            seed,
            tables,
            first_offset,
            mixes,
            rows,
            compare_checks,
        )
    inside = offsets & _SEVEN == 0
    inside &= offsets >= first_offset
    inside &= offsets <= max(last_offset, 0)
    heads = np.zeros(len(rows), layout.dtype)
    right = inside.copy()
    if inside.any():
        heads[inside], right[inside] = _verify_heads_inside(
            data,
            layout,
            seed,
            tables,
            first_offset,
            mixes[inside],
            rows[inside],
            compare_checks,
        )
    return heads, right


def _verify_heads_inside(
    data: memoryview,
    layout: HeadLayout,
    seed: int,
    tables: np.ndarray | None,
    first_offset: int,
    mixes: np.ndarray,
    rows: np.ndarray,
    compare_checks: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for heads whose offsets are aligned and lie within `data`."""
    end = len(data)
    heads = gather_heads(data, layout.dtype, rows[:, 0])
    right = np.empty(len(heads), bool)
    for first in range(0, len(heads), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        some = heads[chunk]
        offsets = rows[chunk, 0]
        some_right = _can_be_records(some, offsets, layout, first_offset, end)
        some_right &= agree_with_rows(some, rows[chunk, 1] ^ mixes[chunk] << _HALF)
        if compare_checks:
            checks = frame_checks(some, offsets, seed, tables)
            some_right &= checks == some["check"]
        right[chunk] = some_right
    return heads, right


def _can_be_records(
    heads: np.ndarray,
    offsets: np.ndarray,
    layout: HeadLayout,
    first_offset: Any,
    end: Any,
) -> np.ndarray:
    """Which heads state a record that lies in the log, which ends at `end`: bool, (n,).

    `first_offset` and `end` are integers, or uint64, (n,).
    """
    words = heads["word"]
    tags = tags_of_words(words)
    sizes = sizes_of_words(words)
    right: np.ndarray = tags - _RECORD_TAG <= _OTHER_RECORD_KINDS  # 0 - 1 wraps around
    right &= sizes == record_sizes(heads)
    if layout.payload_count and not right.all():
        is_revision = tags == _REVISION_TAG
        is_revision &= sizes >= layout.size + layout.table_size
        is_revision &= sizes & _SEVEN == 0
        right |= is_revision
    right &= offsets & _SEVEN == 0
    right &= offsets >= first_offset
    right &= offsets <= end
    right &= sizes <= end - offsets  # where the difference wraps around, it is wrong already
    return right


def agree_with_rows(heads: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Which heads are those that their rows mean: bool, (n,).

    Args:
        heads: structured, (n,).
        words: the rows' second words, with nothing mixed in: uint64, (n,).
    """
    eighths = sizes_of_words(heads["word"]) >> _EIGHTH
    checks = heads["check"].astype(np.uint64)
    right: np.ndarray = words == (checks << _HALF | np.minimum(eighths, _LOW))
    if not right.all():  # some are damaged, or a row does not say how large its frame is
        has_no_size = words & _LOW == _LOW
        right |= has_no_size & (words >> _HALF == checks)
    return right


def are_revisions(heads: np.ndarray) -> np.ndarray:
    """Which heads, of records that verify, are of revisions: bool, (n,)."""
    revisions: np.ndarray = tags_of_words(heads["word"]) == _REVISION_TAG
    return revisions


def verify_payloads(
    data: memoryview,
    numbers: Sequence[int],
    starts: Sequence[int],
    sizes: Sequence[int],
    checksums: Sequence[int],
) -> int:
    """Compare the checksums of some payloads of one record.

    Args:
        data: the log, which contains all of them.
        numbers: of the payloads to look at.
        starts: of each of the record's payloads, by its number.
        sizes: of the same; `NONE` of a payload that is None.
        checksums: of the same.

    Returns:
        The number of the first payload whose checksum is wrong; -1 if there is none.
    """
    for number in numbers:
        size = sizes[number]
        if size == NONE:
            continue
        start = starts[number]
        if crc32(data[start : start + size]) != checksums[number]:
            return number
    return -1


def read_sample(
    data: memoryview,
    unpacked: Sequence[Any],
    starts: Sequence[int],
    steps: Sequence[Step],
    copied: bool,
    values: list[Any],
) -> None:
    """Make the values of one record, all of which is verified.

    Args:
        data: the log, which contains the record.
        unpacked: what the struct of its head unpacks: sizes of payloads, numbers, presence bytes.
        starts: offsets of its payloads, as far as they are to be read.
        steps: how to make each value.
        copied: whether values of payloads are to be owned, and not views of `data`.
        values: to which the values are appended, one for each step. What a function raises is not
            caught here: there are then as many values as steps that were done.
    """
    for is_number, index, presence_index, make, refuse_none in steps:
        value = unpacked[index]
        if is_number:
            if presence_index >= 0 and not unpacked[presence_index]:
                value = None
            elif make is not None:
                value = make(value)
        elif value != NONE:
            start = starts[index]
            value = make(data[start : start + value], copied)  # type: ignore[misc]
        else:
            value = None
            if refuse_none is not None:
                refuse_none()
        values.append(value)


class ToVerify(NamedTuple):
    """Which payloads of a field are to be verified before they are used.

    Attributes:
        checksums: what theirs must be: uint32, (n,).
        lacking: which are not verified yet: bool, (n,). None: all are to be verified.
    """

    checksums: np.ndarray
    lacking: np.ndarray | None


class Loading(NamedTuple):
    """How payloads become values that are simple.

    Attributes:
        is_text: whether they are strings; else they are bytes.
        may_be_none: whether a value may be None.
    """

    is_text: bool
    may_be_none: bool


def copy_payloads(
    data: memoryview,
    starts: np.ndarray,
    size: int,
    to_verify: ToVerify | None,
    target: memoryview,
) -> int:
    """Copy payloads of one size one behind the other, and verify each right before it is copied.

    So each comes from memory only once. A loop is ten times faster than gathering rows through a
    strided array. Large payloads are copied by NumPy, which lets other threads run meanwhile; of
    small ones the copy takes less time than to ask for that.

    Args:
        data: the log, which contains all of them.
        starts: their offsets: uint64, (n,).
        size: of each.
        to_verify: which of them are to be verified; None: none.
        target: n * size bytes.

    Returns:
        The number of the first payload whose checksum is wrong, at which it stops; -1 if there is
        none.
    """
    if core is not None and isinstance(data, memoryview):
        copied = _copy_payloads_in_c(data, starts, size, to_verify, target)
        if copied >= _ALL_RIGHT:
            return copied
    return copy_payloads_by_numpy(data, starts, size, to_verify, target)


def _copy_payloads_in_c(
    data: memoryview,
    starts: np.ndarray,
    size: int,
    to_verify: ToVerify | None,
    target: memoryview,
) -> int:
    copied: int = core.copy_payloads(
        data,
        len(starts),
        np.ascontiguousarray(starts),
        size,
        *_in_line(to_verify),
        target,
    )
    return copied


def _in_line(to_verify: ToVerify | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The arrays of what is to be verified as C takes them."""
    if to_verify is None:
        return None, None
    return np.ascontiguousarray(to_verify.checksums), to_verify.lacking


def load_payloads(
    data: memoryview,
    starts: np.ndarray,
    sizes: np.ndarray,
    to_verify: ToVerify | None,
    loading: Loading,
) -> list[Any] | None:
    """Make the values of payloads of one field, and verify each right before.

    Args:
        data: the log.
        starts: their offsets: uint64, (n,).
        sizes: as heads store them: uint64, (n,).
        to_verify: which of them are to be verified; None: none.
        loading: what they become.

    Returns:
        None where they are to be made one by one: C is not there, or one of them is unusual.
    """
    if core is None or not isinstance(data, memoryview):
        return None
    loaded = core.load_payloads(
        data,
        len(starts),
        np.ascontiguousarray(starts),
        np.ascontiguousarray(sizes),
        *_in_line(to_verify),
        *loading,
    )
    if isinstance(loaded, int):
        return None
    values: list[Any] = loaded
    return values


def copy_payloads_by_numpy(
    data: memoryview,
    starts: np.ndarray,
    size: int,
    to_verify: ToVerify | None,
    target: memoryview,
) -> int:
    """`copy_payloads` in Python."""
    end = 0
    source: Any = data
    to: Any = target
    if size >= _COPIED_BY_NUMPY and isinstance(data, memoryview):
        source = np.frombuffer(data, np.uint8)
        to = np.frombuffer(target, np.uint8)
    start_list = starts.tolist()
    if to_verify is None:
        for start in start_list:
            begin = end
            end += size
            to[begin:end] = source[start : start + size]
        return _ALL_RIGHT
    checksums = to_verify.checksums.tolist()
    lacking = [True] * len(checksums)
    if to_verify.lacking is not None:
        lacking = to_verify.lacking.tolist()
    for number, start in enumerate(start_list):
        payload = source[start : start + size]
        if lacking[number] and crc32(payload) != checksums[number]:
            return number
        begin = end
        end += size
        to[begin:end] = payload
    return _ALL_RIGHT


def _crcs_one_by_one(rows: np.ndarray, first: int, seed: int) -> np.ndarray:
    """CRC-32 of heads, each from byte `first` on: from uint8, (n, size), to uint32, (n,)."""
    return np.array([crc32(covered, seed) for covered in rows[:, first:]], np.uint32)


def _crcs_by_tables(
    rows: np.ndarray,
    first: int,
    seed: int,
    tables: np.ndarray,
) -> np.ndarray:
    """The same by tables, unless so many bytes differ that one by one takes less time.

    CRC is linear: the checksum of a head is that of zeros, xor one number for each byte and its
    position. Instead of zeros it can be any bytes that the heads have in common.
    """
    count, size = rows.shape
    common = bytearray(size)
    positions = np.arange(first, size)
    columns = rows.T[first:]
    if count >= _MANY:
        if size - first > _MOST_SUMMED:
            positions = _differing_bytes(rows[:_FIRST], first)
        if len(positions) <= _MOST_SUMMED:
            positions = _differing_bytes(rows, first)
        columns = columns[positions]
        positions += first
        common = bytearray(rows[0])
        for position in positions.tolist():
            common[position] = 0
    if len(positions) > _MOST_SUMMED:
        return _crcs_one_by_one(rows, first, seed)
    common_crc = crc32(memoryview(common)[first:], seed)
    crcs = np.full(count, common_crc, np.uint32)
    if len(positions):
        bases = 256 * (positions - first)
        # As narrow as they fit: NumPy then takes a third less time to add and to look up.
        narrow = bases.astype(np.min_scalar_type(len(tables) - 1))
        keys = columns + narrow[:, None]
        # "wrap" only so that NumPy does not look for keys out of range: there are none.
        additions = tables.take(keys, mode="wrap")
        crcs ^= np.bitwise_xor.reduce(additions, axis=0)
    return crcs


def _differing_bytes(rows: np.ndarray, first: int) -> np.ndarray:
    """Where rows (uint8, (n, m), n > 0) are not all the same, counted from byte `first` on."""
    differing = _differing_bits(rows)
    positions: np.ndarray = differing[first:].nonzero()[0]
    return positions


def _differing_bits(rows: np.ndarray) -> np.ndarray:
    """Which bits are not the same in all rows: from uint8, (n, m), n > 0, to uint8, (m,).

    NumPy is slow on short rows: it gets many of them as one.
    """
    words = rows.view(np.uint64)
    count, width = words.shape
    in_blocks = count // _ROWS * _ROWS
    blocks = words[:in_blocks].reshape(-1, _ROWS * width)
    differences = blocks ^ np.tile(words[0], _ROWS)
    of_blocks = np.bitwise_or.reduce(differences, axis=0)
    of_the_rest = words[in_blocks:] ^ words[0]
    both = np.concatenate(
        [
            of_blocks.reshape(_ROWS, width),
            of_the_rest,
        ]
    )
    bits: np.ndarray = np.bitwise_or.reduce(both, axis=0)
    return bits.view(np.uint8)


def _count_leading(flags: np.ndarray) -> int:
    """How many items are true before the first that is not."""
    if flags.all():
        return len(flags)
    return int(flags.argmin())
