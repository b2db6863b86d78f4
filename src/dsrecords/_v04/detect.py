"""Recognising files of dsrecords 0.4.

The `.rec` has 1024 zeros, then records: a u64 size for each of N fields, then their bytes. The
`.idx` has a u64 count and so many u64 offsets; what deletions left there follows. Neither states N,
a type or a checksum. So files are taken for these only if every record fits. Knows nothing of what
a field holds.
"""

from __future__ import annotations

import numpy as np

from dsrecords._format.foreign import describe_foreign_file
from dsrecords._format.frame import FRAME
from dsrecords._format.layout import LARGEST_METADATA, LOW_32_BITS, PAGE, kind_of_word, size_of_word
from dsrecords._storage.registry import open_storage
from dsrecords.errors import CorruptError

_RESERVED = 1024  # zeros before the first record
_RECORDS_AT_ONCE = 2**16
_BYTES_AT_ONCE = 2**20
_MOST_GUESSED = 32  # fields
_MOST_SHARED = 2**30  # bytes that records may take beyond those of the file: they do not overlap
_NOT_OURS = "not a DSRecords file: it begins with zeros, as one of dsrecords 0.4"


def is_v04_file(path: str) -> bool:
    """Whether a `.rec` begins with zeros, as those of 0.4 do, and as no other that can be read."""
    storage = open_storage(path)
    start = storage.read(0, _RESERVED)
    return start == bytes(_RESERVED)


def read_index(path: str, index_path: str, must_exist: bool) -> np.ndarray:
    """Read the index of a file of 0.4.

    Args:
        path: of the `.rec`, for messages.
        index_path: of the index.
        must_exist: whether the index was named: then it is the file that is missing.

    Returns:
        All of its numbers, uint64 (n,): the count, so many offsets, and what deletions left.

    Raises:
        CorruptError: it is not such an index, or there is none.
        FileNotFoundError: there is none, with `must_exist`.
    """
    try:
        index = open_storage(index_path)
    except FileNotFoundError:
        if must_exist:
            raise
        text = f"{_NOT_OURS}, which cannot be read without its index: there is no {index_path}"
        raise CorruptError(text, file=path) from None
    size = index.size()
    first = index.read(0, 8)
    count = int.from_bytes(first, "little")
    holds_u64 = size >= 8 and size % 8 == 0
    if not holds_u64 or count > size // 8 - 1:
        what = describe_foreign_file(index)
        text = f"{_NOT_OURS}, but {index_path} is no index of that: {what}"
        raise CorruptError(text, file=path)
    data = index.read(0, size)
    return np.frombuffer(data, "<u8")


def header_was_zeroed(data: memoryview) -> bool:
    """Whether this is a `.rec` of our own whose header was overwritten with zeros.

    Its first frame begins at a multiple of 4096, and states its kind and size.

    Args:
        data: the whole file.
    """
    size = len(data)
    # No further than a header goes: a sparse file has zeros without an end.
    nonzero = _first_nonzero(data[: LARGEST_METADATA + 1])
    if nonzero is None:  # a header without a record
        return PAGE <= size <= LARGEST_METADATA and size % PAGE == 0
    start = nonzero // PAGE * PAGE
    rest = size - start
    if start == 0 or rest < FRAME.size:
        return False
    _, _, word = FRAME.unpack_from(data, start)
    frame_size = size_of_word(word)
    possible_size = frame_size % 8 == 0 and FRAME.size <= frame_size <= rest
    return kind_of_word(word) != 0 and possible_size


def _first_nonzero(data: memoryview) -> int | None:
    """Return the offset of the first byte that is not zero; None if all are."""
    array = np.frombuffer(data, np.uint8)
    for start in range(0, len(array), _BYTES_AT_ONCE):
        part = array[start : start + _BYTES_AT_ONCE]
        nonzero = part != 0
        if nonzero.any():
            return start + int(nonzero.argmax())
    return None


def possible_field_counts(data: memoryview, offsets: np.ndarray, count: int) -> list[int]:
    """Return how many fields the records may have. The arguments are those of `misfit`."""
    if not count:
        return []
    possible = []
    for field_count in range(1, _MOST_GUESSED + 1):
        reason = misfit(data, offsets, count, field_count)
        if reason is None:
            possible.append(field_count)
    return possible


def misfit(
    data: memoryview,
    offsets: np.ndarray,
    count: int,
    field_count: int,
) -> str | None:
    """Say why these are not records of so many fields.

    Args:
        data: the whole `.rec`.
        offsets: all that the index has, uint64 (n,): those of the records, and what deletions left.
        count: of the records.
        field_count: of each record.

    Returns:
        The reason; None if they may be such records.
    """
    size = len(data)
    of_records = offsets[:count]
    if not count and size > _RESERVED:  # all were removed; the first one is still in the file
        of_records = np.array([_RESERVED], np.uint64)
    # With too few fields every record would seem to end before it does.
    an_end_fits = not len(of_records)
    total = 0
    for first in range(0, len(of_records), _RECORDS_AT_ONCE):
        part = of_records[first : first + _RECORDS_AT_ONCE]
        wrong, ends = _extents(data, part, field_count)
        if wrong.any():
            number = int(wrong.argmax())
            offset = int(part[number])
            return f"record {first + number}, at byte {offset}, does not fit into {size} bytes"
        total += _sum_of(ends - part)
        if total > size + _MOST_SHARED:
            return f"{first + len(part)} records take {total} bytes, and there are {size}"
        if not an_end_fits:
            an_end_fits = _an_end_fits(part, ends, offsets, size)
    if an_end_fits:
        return None
    return "no record ends where another one, or the file, does"


def _sum_of(sizes: np.ndarray) -> int:
    """The sum of uint64, (n,), each less than 2⁶³: in halves, which do not wrap around."""
    high = int((sizes >> np.uint64(32)).sum())
    low = int((sizes & np.uint64(LOW_32_BITS)).sum())
    return (high << 32) + low


def _extents(
    data: memoryview,
    offsets: np.ndarray,
    field_count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Find out where records end.

    Returns:
        Whether each record lies outside of the file, bool (n,), and where each ends, uint64 (n,).
        The ends mean nothing if a record lies outside.
    """
    size = len(data)
    head = 8 * field_count
    if size < head:
        return np.ones(len(offsets), bool), offsets
    # An append after a removal of the last record leaves an offset of 0: a record without a byte.
    empty = offsets == 0
    in_zeros = (offsets < _RESERVED) & ~empty
    behind_end = offsets > size - head
    outside: np.ndarray = in_zeros | behind_end
    if outside.any():
        return outside, offsets
    sizes = _read_sizes(data, offsets, field_count)
    totals = sizes.sum(axis=1, dtype=np.uint64)
    ends = offsets + np.uint64(head) + totals
    too_large = (sizes > size).any(axis=1)  # their sum may wrap around
    too_long = ends > size
    return too_large | too_long, ends


def _read_sizes(
    data: memoryview,
    offsets: np.ndarray,
    field_count: int,
) -> np.ndarray:
    """Read the sizes of the fields of many records: uint64 (n, field_count)."""
    array = np.frombuffer(data, np.uint8)
    starts = offsets.astype(np.int64)
    bytes_of_head = np.arange(8 * field_count)
    heads = array[starts[:, None] + bytes_of_head]
    sizes: np.ndarray = heads.view("<u8")
    return sizes


def _an_end_fits(
    starts: np.ndarray,
    ends: np.ndarray,
    offsets: np.ndarray,
    size: int,
) -> bool:
    """Whether one of these records ends where another one begins, or the file ends."""
    empty = starts == 0
    if empty.all():
        return True
    fitting = np.append(offsets, np.uint64(size))
    fits = np.isin(ends[~empty], fitting)
    return bool(fits.any())
