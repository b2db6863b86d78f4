"""The parts of reading that take buffers and arrays and return arrays. They have no state.

Offsets and sizes are bytes; `data` is the log from its beginning, as far as it is known to be whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.frame import PENDING, RECORD, Frames
from dsrecords._format.layout import LOW_32_BITS, padded_sizes, position_mixes

_MANY = 1000  # heads for which it pays to ask whether they lie one behind the other
_EIGHTH = np.uint64(3)  # bits to shift to divide by eight
_SEVEN = np.uint64(7)
_HALF = np.uint64(32)  # bits of a word
_LOW = np.uint64(LOW_32_BITS)
_RECORD = np.uint32(RECORD)
_OTHER_RECORD_KINDS = PENDING - RECORD  # which follow that of RECORD


def gather_heads(data: memoryview, dtype: np.dtype, offsets: np.ndarray) -> np.ndarray:
    """The heads at these offsets.

    Args:
        data: which contains all of them.
        dtype: of a head, structured.
        offsets: multiples of 8: uint64, (n,), n > 0.

    Returns:
        Structured, (n,); not to be changed, as it may be a view of `data`.
    """
    size = dtype.itemsize
    if len(offsets) > _MANY and (np.diff(offsets) == size).all():  # as they were appended
        return np.frombuffer(data, dtype, len(offsets), int(offsets[0]))
    # A head at each multiple of 8, each as one item: NumPy copies those five times faster than rows
    # of words.
    count = (len(data) - size) // 8 + 1
    everywhere = np.ndarray((count,), f"V{size}", data, strides=(8,))
    numbers = (offsets >> _EIGHTH).view(np.int64)
    heads: np.ndarray = everywhere[numbers].view(dtype)
    return heads


def verify_heads(
    data: memoryview,
    frames: Frames,
    first_offset: int,
    positions: np.ndarray,
    entries: np.ndarray,
    compare_checks: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the heads of many records, and verify them against themselves and their entries.

    Args:
        data: the log.
        frames: of the dataset.
        first_offset: where the first frame can be.
        positions: of the records: int64, (n,), n > 0.
        entries: as in the index: uint64, (n, 2).
        compare_checks: whether to compute the checks of the heads, and compare them.

    Returns:
        The heads, structured, (n,), of which those that are not right may be anything; and which are
        right: bool, (n,).
    """
    offsets = entries[:, 0]
    last_offset = len(data) - frames.layout.size
    lowest = int(offsets.min())
    highest = int(offsets.max())
    unaligned = bool(np.bitwise_or.reduce(offsets) & _SEVEN)
    if first_offset <= lowest and highest <= last_offset and not unaligned:
        return _verify_heads_inside(data, frames, positions, entries, compare_checks)
    inside = (offsets >= first_offset) & (offsets & _SEVEN == 0)
    inside &= offsets <= max(last_offset, 0)
    heads = np.zeros(len(entries), frames.layout.dtype)
    right = inside.copy()
    if inside.any():
        heads[inside], right[inside] = _verify_heads_inside(
            data, frames, positions[inside], entries[inside], compare_checks
        )
    return heads, right


def _verify_heads_inside(
    data: memoryview,
    frames: Frames,
    positions: np.ndarray,
    entries: np.ndarray,
    compare_checks: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for heads whose offsets are aligned and lie within `data`."""
    offsets = entries[:, 0]
    words = entries[:, 1]
    end = np.uint64(len(data))
    heads = gather_heads(data, frames.layout.dtype, offsets)
    checks = heads["check"]
    right = checks == (words >> _HALF ^ position_mixes(positions))
    right &= heads["kind"] - _RECORD <= _OTHER_RECORD_KINDS  # 0 - 1 wraps around
    extents = np.uint64(frames.layout.size)
    if frames.layout.payload_count:
        sizes = padded_sizes(heads["sizes"])
        right &= sizes.max(axis=1) <= end  # so that their sum does not overflow
        extents = extents + sizes.sum(axis=1, dtype=np.uint64)
    eighths = words & _LOW
    right &= heads["size"] == extents
    right &= (eighths == extents >> _EIGHTH) | (eighths == _LOW)
    right &= offsets + extents <= end
    if compare_checks:
        right &= frames.checks_of(heads, offsets) == checks
    return heads, right


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
        The number of the first payload whose checksum is wrong, at which it stops; -1 if there is none.
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
