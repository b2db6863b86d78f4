"""Computations over the frames of many records: arrays in, arrays out, no state.

Knows nothing of files, and of frames only what every head has in common. The functions are called
through the module (`kernels.frame_checks(...)`), so that another implementation can replace them.

In all of them, `heads` is a structured array as `HeadLayout.dtype` describes it; an item is a whole
head, check included, and a multiple of 8 bytes. `data` is the log from its beginning, as far as it
is known to be whole; offsets and sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.layout import (
    LOW_32_BITS,
    NONE,
    PENDING,
    RECORD,
    HeadLayout,
    offset_mixes,
    padded_sizes,
    position_mixes,
)

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
_WIDEST_TABLE = 1024  # bytes of head up to which tables pay; each byte takes 1 KiB of table
_MANY = 1000  # heads for which it pays to look for the bytes that all have in common
_ROWS = 32  # heads that are compared as one row
_MANY_OFFSETS = 1000  # heads for which it pays to ask whether they lie one behind the other
_CHUNK = 4096  # heads that are verified together: so many stay in the processor's cache
_EIGHTH = np.uint64(3)  # bits to shift to divide by eight
_SEVEN = np.uint64(7)
_HALF = np.uint64(32)  # bits of a word
_LOW = np.uint64(LOW_32_BITS)
_RECORD = np.uint32(RECORD)
_OTHER_RECORD_KINDS = PENDING - RECORD  # which follow that of RECORD


def crc_tables(head_size: int) -> np.ndarray | None:
    """Make the tables by which the checks of many heads are computed together.

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
    return np.concatenate(tables)


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
    count = len(heads)
    data = heads.view(np.uint8)
    rows = data.reshape(count, heads.itemsize)
    if tables is None:
        crcs = np.empty(count, np.uint32)
        for i, row in enumerate(rows):
            crcs[i] = crc32(row[_CHECK_SIZE:], seed)
    else:
        crcs = _crcs_by_tables(rows, seed, tables)
    checks: np.ndarray = crcs ^ offset_mixes(offsets)
    return checks


def scan_frames(
    heads: np.ndarray,
    offset: int,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """Verify frames without payloads that follow each other in the log.

    Args:
        heads: structured, (n,), C-contiguous: what the log holds from `offset` on, read as heads.
        offset: of the first, in the log.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        uint64, (m, 3), m <= n: offset, size and check of the frames before the first that does not
        verify, is of another kind than the first frame, or has a payload.
    """
    size = heads.itemsize
    kinds = heads["kind"]
    same_kind = kinds == kinds[:1]
    same_size = heads["size"] == size
    alike = _count_leading(same_kind & same_size)
    heads = heads[:alike]
    offsets = np.arange(
        offset,
        offset + alike * size,
        size,
        dtype=np.uint64,
    )
    checks = frame_checks(
        heads,
        offsets,
        seed,
        tables,
    )
    verified = _count_leading(checks == heads["check"])
    return _frame_refs(offsets[:verified], size, checks[:verified])


def pack_frames(
    heads: np.ndarray,
    offset: int,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """Complete the heads of records that are to follow each other in the log.

    Args:
        heads: structured, (n,), C-contiguous, with kinds, sizes and checksums of the payloads, and
            numbers set. Modified in place: the sizes and checks of the frames are set.
        offset: of the first frame, in the log.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        uint64, (n, 3): offset, size and check of each frame.
    """
    payload_sizes = padded_sizes(heads["sizes"])
    sizes = payload_sizes.sum(axis=1, dtype=np.uint64)
    sizes += np.uint64(heads.itemsize)
    ends = sizes.cumsum()
    ends += np.uint64(offset)
    offsets = ends - sizes
    heads["size"] = sizes
    checks = frame_checks(
        heads,
        offsets,
        seed,
        tables,
    )
    heads["check"] = checks
    return _frame_refs(offsets, sizes, checks)


def _frame_refs(
    offsets: np.ndarray,
    sizes: np.ndarray | int,
    checks: np.ndarray,
) -> np.ndarray:
    """Offset, size and check of each frame: uint64, (n, 3)."""
    refs = np.empty((len(offsets), 3), np.uint64)
    refs[:, 0] = offsets
    refs[:, 1] = sizes
    refs[:, 2] = checks
    return refs


def gather_heads(
    data: memoryview,
    dtype: np.dtype,
    offsets: np.ndarray,
) -> np.ndarray:
    """The heads at these offsets.

    Args:
        data: which contains all of them.
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
            return np.frombuffer(data, dtype, count, first)
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


def verify_heads(
    data: memoryview,
    layout: HeadLayout,
    seed: int,
    tables: np.ndarray | None,
    first_offset: int,
    positions: np.ndarray,
    entries: np.ndarray,
    compare_checks: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the heads of many records, and verify them against themselves and their entries.

    Args:
        data: the log.
        layout: of a head.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.
        first_offset: where the first frame can be.
        positions: of the records: int64, (n,), n > 0.
        entries: as in the index: uint64, (n, 2).
        compare_checks: whether to compute the checks of the heads, and compare them.

    Returns:
        The heads, structured, (n,), of which those that are not right may be anything; and which
        are right: bool, (n,).
    """
    offsets = entries[:, 0]
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
            positions,
            entries,
            compare_checks,
        )
    inside = offsets & _SEVEN == 0
    inside &= offsets >= first_offset
    inside &= offsets <= max(last_offset, 0)
    heads = np.zeros(len(entries), layout.dtype)
    right = inside.copy()
    if inside.any():
        heads[inside], right[inside] = _verify_heads_inside(
            data,
            layout,
            seed,
            tables,
            positions[inside],
            entries[inside],
            compare_checks,
        )
    return heads, right


def _verify_heads_inside(
    data: memoryview,
    layout: HeadLayout,
    seed: int,
    tables: np.ndarray | None,
    positions: np.ndarray,
    entries: np.ndarray,
    compare_checks: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for heads whose offsets are aligned and lie within `data`."""
    end = len(data)
    heads = gather_heads(data, layout.dtype, entries[:, 0])
    if len(heads) <= _CHUNK:
        right = _are_right(heads, layout, seed, tables, positions, entries, end, compare_checks)
        return heads, right
    right = np.empty(len(heads), bool)
    for first in range(0, len(heads), _CHUNK):
        some = slice(first, first + _CHUNK)
        right[some] = _are_right(
            heads[some],
            layout,
            seed,
            tables,
            positions[some],
            entries[some],
            end,
            compare_checks,
        )
    return heads, right


def _are_right(
    heads: np.ndarray,
    layout: HeadLayout,
    seed: int,
    tables: np.ndarray | None,
    positions: np.ndarray,
    entries: np.ndarray,
    end: int,
    compare_checks: bool,
) -> np.ndarray:
    """Which heads are right, whose entries point into `end` bytes of log: bool, (n,)."""
    right = _agree_with_entries(heads, layout, positions, entries, end)
    if compare_checks:
        checks = frame_checks(heads, entries[:, 0], seed, tables)
        right &= checks == heads["check"]
    return right


def _agree_with_entries(
    heads: np.ndarray,
    layout: HeadLayout,
    positions: np.ndarray,
    entries: np.ndarray,
    end: int,
) -> np.ndarray:
    """Which heads are of records, and those that their entries mean: bool, (n,).

    The entries point into `end` bytes of log.
    """
    offsets = entries[:, 0]
    words = entries[:, 1]
    stored_checks = heads["check"]
    extents = np.uint64(layout.size)
    eighths = extents >> _EIGHTH
    if layout.payload_count:
        sizes = padded_sizes(heads["sizes"])
        extents = extents + sizes.sum(axis=1, dtype=np.uint64)
        eighths = np.minimum(extents >> _EIGHTH, _LOW)
    mixed_checks = stored_checks ^ position_mixes(positions)
    right: np.ndarray = words == (mixed_checks << _HALF | eighths)
    if not right.all():  # some are damaged, or an entry does not say how large its frame is
        has_no_size = words & _LOW == _LOW
        has_check = words >> _HALF == mixed_checks
        right |= has_no_size & has_check
    right &= heads["kind"] - _RECORD <= _OTHER_RECORD_KINDS  # 0 - 1 wraps around
    right &= heads["size"] == extents
    if layout.payload_count:
        if int(sizes.max()) > end:
            right &= sizes.max(axis=1) <= end  # the sum of larger sizes may have wrapped around
        right &= offsets + extents <= end
    return right


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


def copy_payloads(
    data: memoryview,
    starts: Sequence[int],
    size: int,
    checksums: Sequence[int | None] | None,
    target: memoryview,
) -> int:
    """Copy payloads of one size one behind the other, and verify each right before it is copied.

    So each comes from memory only once. A loop is ten times faster than gathering rows through a
    strided array.

    Args:
        data: the log, which contains all of them.
        starts: their offsets.
        size: of each.
        checksums: what to compare with; None for a payload that is verified already, or for all.
        target: n * size bytes.

    Returns:
        The number of the first payload whose checksum is wrong, at which it stops; -1 if there is
        none.
    """
    end = 0
    if checksums is None:
        for start in starts:
            begin = end
            end += size
            target[begin:end] = data[start : start + size]
        return -1
    for number, start in enumerate(starts):
        payload = data[start : start + size]
        checksum = checksums[number]
        if checksum is not None and crc32(payload) != checksum:
            return number
        begin = end
        end += size
        target[begin:end] = payload
    return -1


def _crcs_by_tables(
    rows: np.ndarray,
    seed: int,
    tables: np.ndarray,
) -> np.ndarray:
    """CRC-32 of many heads: from uint8, (n, head size), to uint32, (n,).

    CRC is linear: the checksum of a head is that of zeros, xor one number for each byte and its
    position. Instead of zeros it can be any bytes that the heads have in common.
    """
    count, size = rows.shape
    common = bytearray(size)
    positions = np.arange(_CHECK_SIZE, size)
    columns = rows.T[_CHECK_SIZE:]
    if count >= _MANY:
        differing = _differing_bits(rows)
        positions = differing[_CHECK_SIZE:].nonzero()[0]
        columns = columns[positions]
        positions += _CHECK_SIZE
        common = bytearray(rows[0])
        for position in positions.tolist():
            common[position] = 0
    common_crc = crc32(memoryview(common)[_CHECK_SIZE:], seed)
    crcs = np.full(count, common_crc, np.uint32)
    if len(positions):
        bases = 256 * (positions - _CHECK_SIZE)
        # As narrow as they fit: NumPy then takes a third less time to add and to look up.
        narrow = bases.astype(np.min_scalar_type(len(tables) - 1))
        keys = columns + narrow[:, None]
        # "wrap" only so that NumPy does not look for keys out of range: there are none.
        additions = tables.take(keys, mode="wrap")
        crcs ^= np.bitwise_xor.reduce(additions, axis=0)
    return crcs


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
