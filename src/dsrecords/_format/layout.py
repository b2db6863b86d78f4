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

# Kinds of frames.
RECORD = 1
PENDING = 2
COMMIT = 3

_POSITION_FACTOR = 0x9E3779B1  # spreads neighbouring positions over 32 bits (Fibonacci hashing)
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


def position_mix(position: int) -> int:
    """The 32 bits that the check in an index entry at this position is mixed with."""
    return position * _POSITION_FACTOR & LOW_32_BITS


def position_mixes(positions: np.ndarray) -> np.ndarray:
    """Compute the same for many positions: from integers, (n,), to uint64, (n,)."""
    products = positions.astype(np.uint64)
    products *= np.uint64(_POSITION_FACTOR)
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
        dtype: of a head, structured: check, kind, size, sizes (P,), checksums (P,), and each number
            and presence under the name "at OFFSET", such as "at 32".
        pack: packs a head from byte 4 on: kind, size, P sizes, P checksums, numbers, presences.
        unpack: unpacks from the start of a frame: P sizes, numbers, presences.
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
        self.zeros = [0] * (len(numbers) + presence_count)
        self.dtype = self._make_dtype(dtypes)

        codes = self.numbers.codes
        sizes = f"{payload_count}Q"
        checksums = f"{payload_count}I"
        checksums_skipped = f"{4 * payload_count}x"
        packed = f"<IQ{sizes}{checksums}{codes}"
        unpacked = f"<{sizes_offset}x{sizes}{checksums_skipped}{codes}"
        unpacked_checksums = f"<{checksums_offset}x{checksums}"
        self.pack = struct.Struct(packed).pack
        self.unpack = struct.Struct(unpacked).unpack_from
        self.unpack_checksums = struct.Struct(unpacked_checksums).unpack_from

    def _make_dtype(self, dtypes: Sequence[np.dtype]) -> np.dtype:
        count = self.payload_count
        names = [
            "check",
            "kind",
            "size",
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
        return np.dtype(
            {
                "names": names,
                "formats": formats,
                "offsets": offsets,
                "itemsize": self.size,
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
