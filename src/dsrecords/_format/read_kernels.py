"""The parts of reading that take buffers and arrays and return arrays. They have no state.

Offsets and sizes are bytes; `data` is the log from its beginning, as far as it is known to be
whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.frame import PENDING, RECORD, Frames
from dsrecords._format.layout import LOW_32_BITS, padded_sizes, position_mixes

_MANY = 1000  # heads for which it pays to ask whether they lie one behind the other
_CHUNK = 4096  # heads that are verified together: so many stay in the processor's cache
_EIGHTH = np.uint64(3)  # bits to shift to divide by eight
_SEVEN = np.uint64(7)
_HALF = np.uint64(32)  # bits of a word
_LOW = np.uint64(LOW_32_BITS)
_RECORD = np.uint32(RECORD)
_OTHER_RECORD_KINDS = PENDING - RECORD  # which follow that of RECORD


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
    if count > _MANY:
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
        The heads, structured, (n,), of which those that are not right may be anything; and which
        are right: bool, (n,).
    """
    offsets = entries[:, 0]
    last_offset = len(data) - frames.layout.size
    # As ufuncs, since a batch can be small: methods of arrays take twice as long to begin.
    lowest = int(np.minimum.reduce(offsets))
    highest = int(np.maximum.reduce(offsets))
    all_bits = int(np.bitwise_or.reduce(offsets))
    if first_offset <= lowest and highest <= last_offset and all_bits % 8 == 0:
        return _verify_heads_inside(
            data,
            frames,
            positions,
            entries,
            compare_checks,
        )
    inside = offsets & _SEVEN == 0
    inside &= offsets >= first_offset
    inside &= offsets <= max(last_offset, 0)
    heads = np.zeros(len(entries), frames.layout.dtype)
    right = inside.copy()
    if inside.any():
        heads[inside], right[inside] = _verify_heads_inside(
            data,
            frames,
            positions[inside],
            entries[inside],
            compare_checks,
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
    end = len(data)
    heads = gather_heads(data, frames.layout.dtype, entries[:, 0])
    if len(heads) <= _CHUNK:
        return heads, _are_right(
            heads,
            frames,
            positions,
            entries,
            end,
            compare_checks,
        )
    right = np.empty(len(heads), bool)
    for first in range(0, len(heads), _CHUNK):
        some = slice(first, first + _CHUNK)
        right[some] = _are_right(
            heads[some],
            frames,
            positions[some],
            entries[some],
            end,
            compare_checks,
        )
    return heads, right


def _are_right(
    heads: np.ndarray,
    frames: Frames,
    positions: np.ndarray,
    entries: np.ndarray,
    end: int,
    compare_checks: bool,
) -> np.ndarray:
    """Which heads are right, whose entries point into `end` bytes of log: bool, (n,)."""
    layout = frames.layout
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
    if compare_checks:
        right &= frames.checks_of(heads, offsets) == stored_checks
    return right


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
