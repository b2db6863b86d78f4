"""The rules of the format that many modules need, each stated once: sizes, padding, mixes, heads.

Knows nothing of files, and of types only their struct codes and dtypes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

NONE = 2**64 - 1
"""The size of a payload that is None."""

PAGE = 4096
"""Headers and slots begin at multiples of this many bytes."""

LOW_32_BITS = 2**32 - 1

SHORT_ROW = 16
"""The size of a row without a head, in bytes."""

OFFSET_SIZE = 8
"""Bytes of a row before its head."""

# Kinds of frames.
RECORD = 1
PENDING = 2
COMMIT = 3
REVISION = 4
METADATA = 5

FIRST_SKIPPED = 128
"""The first of the kinds that a reader passes over if it does not know them."""

LARGEST_FRAME = 2**48 - 8
"""Bytes: the size of a frame has 48 bits."""

LARGEST_METADATA = 16 * 2**20
"""Bytes of a frame of metadata, and of a header."""

KIND_SHIFT = 48  # of a frame's word: the size, the kind above it, and a constant byte at the top

_SIZE_BITS = (1 << KIND_SHIFT) - 1
_MARK = 0xD5  # so that payloads hardly ever look like frames

_WIDEST_HEAD_IN_ROW = 256  # bytes: wider heads would make the index as large as the log

_ROW_FACTOR = 0x9E3779B1  # spreads neighbouring numbers over 32 bits (Fibonacci hashing)
_PADDINGS = tuple(bytes(-size % 8) for size in range(8))
_SEVEN = np.uint64(7)


class NumberFormat(Protocol):
    """How a number is stored in a head."""

    @property
    def code(self) -> str:
        """Its code in `struct`."""

    @property
    def width(self) -> int:
        """Its size in bytes."""

    @property
    def nullable(self) -> bool:
        """Whether it may be None, which a byte of its own says."""

    @property
    def blank(self) -> Any:
        """What is packed where it is None."""


class NumberLayout(NamedTuple):
    """Where numbers lie in a head.

    Attributes:
        codes: what `struct` packs from the first number to the end, padding included.
        offsets: for each number, its byte offset.
        slots: for each number, its position among the packed numbers.
        presence_offsets: for each number that may be None, in order, the byte offset of its
            presence: 1 if it has a value, else 0. Presences are packed behind the numbers.
        end: the next 8-byte boundary, in bytes.
    """

    codes: str
    offsets: list[int]
    slots: list[int]
    presence_offsets: list[int]
    end: int


def frame_word(kind: int, size: int) -> int:
    """The eight bytes from byte 8 of a frame on, which say its kind and its size."""
    return frame_tag(kind) << KIND_SHIFT | size


def frame_tag(kind: int) -> int:
    """The upper 16 bits of the word of every frame of a kind."""
    return _MARK << 8 | kind


def kind_of_word(word: int) -> int:
    """The kind of the frame with this word; 0, which no frame has, if it is no frame's."""
    if word >> 56 != _MARK:
        return 0
    kind: int = word >> KIND_SHIFT & 0xFF
    return kind


def size_of_word(word: int) -> int:
    """The size of the frame with this word."""
    size: int = word & _SIZE_BITS
    return size


def sizes_of_words(words: np.ndarray) -> np.ndarray:
    """The sizes of many frames: from uint64, (n,), to uint64, (n,)."""
    sizes: np.ndarray = words & np.uint64(_SIZE_BITS)
    return sizes


def tags_of_words(words: np.ndarray) -> np.ndarray:
    """The tags of many frames: from uint64, (n,), to uint64, (n,)."""
    tags: np.ndarray = words >> np.uint64(KIND_SHIFT)
    return tags


def padded_size(size: int) -> int:
    """Round a size up to a multiple of 8 bytes, which is what payloads and frames take."""
    return (size + 7) & -8


def padded_sizes(sizes: np.ndarray) -> np.ndarray:
    """Do the same for many stored sizes of payloads, of which None takes no bytes.

    Args:
        sizes: uint64, of any shape.

    Returns:
        uint64, of the same shape. A size near 2**64, which only damage makes, stays as large.
    """
    padded = (sizes + _SEVEN) & ~_SEVEN
    not_wrapped = np.maximum(sizes, padded)  # near 2**64, the sum wraps around to a small one
    is_none = sizes == NONE
    return np.where(is_none, np.uint64(0), not_wrapped)


def padding(size: int) -> bytes:
    """The zeros behind a payload of `size` bytes."""
    return _PADDINGS[size & 7]


def round_up(size: int, multiple: int) -> int:
    """Round a size up to a multiple."""
    return -(-size // multiple) * multiple


def offset_mix(offset: int) -> int:
    """The 32 bits that the check of a frame at this offset is mixed with."""
    return offset >> 3 & LOW_32_BITS


def offset_mixes(offsets: np.ndarray) -> np.ndarray:
    """Compute the same for many offsets: from uint64, (n,), to uint32, (n,)."""
    eighths = offsets >> np.uint64(3)
    return eighths.astype(np.uint32)


def row_mix(row: int) -> int:
    """The 32 bits that the check in a row with this number is mixed with."""
    return row * _ROW_FACTOR & LOW_32_BITS


def row_mixes(rows: np.ndarray) -> np.ndarray:
    """Compute the same for many numbers of rows: from integers, (n,), to uint64, (n,)."""
    products = rows.astype(np.uint64)
    products *= np.uint64(_ROW_FACTOR)
    products &= np.uint64(LOW_32_BITS)
    return products


def lay_out_numbers(numbers: Sequence[NumberFormat], start: int) -> NumberLayout:
    """Lay out numbers from byte `start` on: the wide ones first, so that each is aligned.

    Behind them lies a byte for each number that may be None.
    """
    count = len(numbers)
    widths = [number.width for number in numbers]
    # Among those of one width, the order stays: sorting is stable, `reverse` included.
    widest_first = sorted(range(count), key=widths.__getitem__, reverse=True)
    offsets = [0] * count
    slots = [0] * count
    codes = ""
    end = start
    for slot, i in enumerate(widest_first):
        number = numbers[i]
        offset = round_up(end, number.width)
        gap = offset - end
        codes += f"{gap}x{number.code}"
        offsets[i] = offset
        slots[i] = slot
        end = offset + number.width
    presence_offsets = []
    for number in numbers:
        if number.nullable:
            codes += "B"
            presence_offsets.append(end)
            end += 1
    padded_end = padded_size(end)
    codes += f"{padded_end - end}x"
    return NumberLayout(codes, offsets, slots, presence_offsets, padded_end)


class HeadLayout:
    """The layout of a record's head: the frame's own 16 bytes, P sizes, P checksums, the numbers.

    A row of an index is an offset and a copy of the head behind it, or 16 bytes.

    Args:
        payload_count: P.
        numbers: the scalar fields, in their order.
        dtypes: the dtype of each of them in NumPy.

    Attributes:
        size: of a head, in bytes.
        payload_count: P.
        numbers: where they lie.
        presence_slots: for each number, the position of its presence among the packed numbers and
            presences; -1 if it cannot be None.
        row_size: of the rows that an index of such records is given, in bytes.
        table_size: of what a revision has behind its head: P offsets, and their checksum.
        dtype: of a head, structured: check, prev, word, sizes (P,), checksums (P,), and each number
            and presence under the name "at OFFSET", such as "at 32".
        row_dtype: of a row with a head, structured: offset, and the same.
        pack: packs a head from byte 4 on: prev, word, P sizes, P checksums, numbers, presences.
        pack_numbers: packs what a head has behind the checksums: numbers, presences.
        unpack: unpacks from the start of a frame: P sizes, numbers, presences.
        unpack_row: unpacks from the start of a row with a head: offset, and the same.
        unpack_checksums: unpacks from the start of a frame: P checksums.
        zeros: the numbers and presences of a head in which nothing is set.
    """

    def __init__(
        self,
        payload_count: int,
        numbers: Sequence[NumberFormat],
        dtypes: Sequence[np.dtype],
    ) -> None:
        self.payload_count = payload_count
        sizes_offset = 16
        checksums_offset = sizes_offset + 8 * payload_count
        numbers_offset = checksums_offset + 4 * payload_count
        self.numbers = lay_out_numbers(numbers, numbers_offset)
        self.size = self.numbers.end
        presence_count = len(self.numbers.presence_offsets)
        self.presence_slots = _presence_slots(numbers)
        self.zeros: list[Any] = [0] * (len(numbers) + presence_count)
        for number, slot in zip(numbers, self.numbers.slots):
            self.zeros[slot] = number.blank
        self.table_size = 8 * payload_count + 8
        self.row_size = SHORT_ROW
        if payload_count and self.size <= _WIDEST_HEAD_IN_ROW:
            self.row_size = self.long_row_size
        self.dtype = self._make_dtype(dtypes, 0)
        self.row_dtype = self._make_dtype(dtypes, OFFSET_SIZE)

        codes = self.numbers.codes
        sizes = f"{payload_count}Q"
        checksums = f"{payload_count}I"
        checksums_skipped = f"{4 * payload_count}x"
        packed = f"<IQ{sizes}{checksums}{codes}"
        unpacked = f"<{sizes_offset}x{sizes}{checksums_skipped}{codes}"
        unpacked_row = f"<Q{unpacked[1:]}"
        unpacked_checksums = f"<{checksums_offset}x{checksums}"
        self.pack_numbers = struct.Struct(f"<{codes}").pack
        self.pack = struct.Struct(packed).pack
        self.unpack = struct.Struct(unpacked).unpack_from
        self.unpack_row = struct.Struct(unpacked_row).unpack_from
        self.unpack_checksums = struct.Struct(unpacked_checksums).unpack_from

    @property
    def long_row_size(self) -> int:
        """The size of a row with a head, in bytes."""
        return OFFSET_SIZE + self.size

    def _make_dtype(self, dtypes: Sequence[np.dtype], start: int) -> np.dtype:
        """The dtype of heads that have `start` bytes before them: none, or the offset of a row."""
        count = self.payload_count
        names = [
            "check",
            "prev",
            "word",
            "sizes",
            "checksums",
        ]
        # Shapes as tuples: NumPy parses "(2,)<u8" with `ast`, which can fail in threads on 3.11.
        formats: list[Any] = [
            "<u4",
            "<u4",
            "<u8",
            ("<u8", (count,)),
            ("<u4", (count,)),
        ]
        offsets = [
            0,
            4,
            8,
            16,
            16 + 8 * count,
        ]
        for offset, dtype in zip(self.numbers.offsets, dtypes):
            names.append(f"at {offset}")
            formats.append(dtype.str)
            offsets.append(offset)
        for offset in self.numbers.presence_offsets:
            names.append(f"at {offset}")
            formats.append("u1")
            offsets.append(offset)
        offsets = [start + offset for offset in offsets]
        if start:
            names.insert(0, "offset")
            formats.insert(0, "<u8")
            offsets.insert(0, 0)
        return np.dtype(
            {
                "names": names,
                "formats": formats,
                "offsets": offsets,
                "itemsize": start + self.size,
            }
        )

    def payload_offsets(self, sizes: Sequence[int], head_offset: int) -> list[int]:
        """Where payloads begin in a record whose head lies at this offset.

        Args:
            sizes: the stored sizes of the first payloads.
            head_offset: of the record's frame.

        Returns:
            An offset for each of those payloads, and where the next one begins.
        """
        offset = head_offset + self.size
        offsets = [offset]
        for size in sizes:
            if size != NONE:
                offset += (size + 7) & -8  # as `padded_size`: this runs for each record
            offsets.append(offset)
        return offsets

    def payload_offset_table(self, sizes: np.ndarray, head_offsets: np.ndarray) -> np.ndarray:
        """Where payloads begin in many records.

        Args:
            sizes: the stored sizes of the first payloads of each record: uint64, (n, k).
            head_offsets: uint64, (n,).

        Returns:
            uint64, (n, k).
        """
        padded = padded_sizes(sizes)
        before = padded.cumsum(axis=1, dtype=np.uint64) - padded
        table: np.ndarray = (head_offsets + np.uint64(self.size))[:, np.newaxis] + before
        return table


def _presence_slots(numbers: Sequence[NumberFormat]) -> list[int]:
    slots = []
    next_slot = len(numbers)
    for number in numbers:
        if number.nullable:
            slots.append(next_slot)
            next_slot += 1
        else:
            slots.append(-1)
    return slots
