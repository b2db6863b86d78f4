"""The rules of the format that many modules need, each stated once: sizes, padding, mixes, the layout of a head.

Knows nothing of files, and of types only their struct codes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

NONE = 2**64 - 1
"""The size of a payload that is None."""

PAGE = 4096
"""Headers and slots begin at multiples of this many bytes."""

LOW_32_BITS = 2**32 - 1

_POSITION_FACTOR = 0x9E3779B1  # spreads neighbouring positions over 32 bits (Fibonacci hashing)
_PADDING = tuple(bytes(-size % 8) for size in range(8))
_SEVEN = np.uint64(7)


class NumberFormat(Protocol):
    """How a number is stored in a head."""

    @property
    def code(self) -> str:
        """The code of `struct`."""

    @property
    def width(self) -> int:
        """Bytes."""

    @property
    def nullable(self) -> bool:
        """Whether it may be None, which a byte of its own says."""


class NumberLayout(NamedTuple):
    """Where numbers lie in a head.

    Attributes:
        codes: the codes of `struct` from the first number to the end, padding included.
        offsets: for each number, the byte where it lies.
        slots: for each number, its position among those that are packed.
        presence_offsets: for each number that may be None, in order, the byte that says whether it is
            there. Their slots follow those of the numbers.
        end: where the next 8-byte boundary is.
    """

    codes: str
    offsets: list[int]
    slots: list[int]
    presence_offsets: list[int]
    end: int


def padded_size(size: int) -> int:
    """Round a size up to a multiple of 8 bytes, as payloads and frames take it."""
    return (size + 7) & -8


def padded_sizes(sizes: np.ndarray) -> np.ndarray:
    """The same for the stored sizes of payloads (uint64, any shape), of which None takes no bytes."""
    padded = (sizes + _SEVEN) & ~_SEVEN
    not_wrapped = np.maximum(sizes, padded)  # sizes near 2**64 would wrap around to small ones
    return np.where(sizes == NONE, np.uint64(0), not_wrapped)


def padding(size: int) -> bytes:
    """The zeros behind a payload of so many bytes."""
    return _PADDING[size & 7]


def round_up(size: int, multiple: int) -> int:
    """Round a size up to a multiple."""
    return -(-size // multiple) * multiple


def offset_mix(offset: int) -> int:
    """What the check of a frame at this offset is mixed with: 32 bits."""
    return offset >> 3 & LOW_32_BITS


def offset_mixes(offsets: np.ndarray) -> np.ndarray:
    """The same for many offsets: uint64 (n,) to uint32 (n,)."""
    return (offsets >> np.uint64(3)).astype(np.uint32)


def position_mix(position: int) -> int:
    """What the check in an index entry at this position is mixed with: 32 bits."""
    return position * _POSITION_FACTOR & LOW_32_BITS


def position_mixes(positions: np.ndarray) -> np.ndarray:
    """The same for many positions: integers (n,) to uint64 (n,), each below 2**32."""
    products = positions.astype(np.uint64) * np.uint64(_POSITION_FACTOR)
    mixes: np.ndarray = products & np.uint64(LOW_32_BITS)
    return mixes


def lay_out_numbers(numbers: Sequence[NumberFormat], start: int) -> NumberLayout:
    """Lay numbers out from byte `start` on: the wide ones first, so that each is aligned.

    Behind them is a byte for each number that may be None: 1 if it is there.
    """
    widest_first = sorted(range(len(numbers)), key=lambda i: -numbers[i].width)  # stable
    offsets = [0] * len(numbers)
    slots = [0] * len(numbers)
    codes = ""
    end = start
    for slot, i in enumerate(widest_first):
        number = numbers[i]
        offset = round_up(end, number.width)
        codes += f"{offset - end}x{number.code}"
        offsets[i] = offset
        slots[i] = slot
        end = offset + number.width
    presence_offsets = []
    for number in numbers:
        if number.nullable:
            codes += "B"
            presence_offsets.append(end)
            end += 1
    codes += f"{padded_size(end) - end}x"
    return NumberLayout(codes, offsets, slots, presence_offsets, padded_size(end))


class HeadLayout:
    """The layout of a record's head: the frame's own 16 bytes, P sizes, P checksums, the numbers.

    Args:
        payload_count: P.
        numbers: the scalar fields, in their order.
        dtypes: of the same, as NumPy calls them.

    Attributes:
        size: of a head, in bytes.
        payload_count: P.
        numbers: where they lie.
        presence_slots: for each number its presence byte's position among what is packed; -1 if it
            cannot be None.
        dtype: of a head, structured: check, kind, size, sizes (P,), checksums (P,), and the numbers
            and presence bytes by their offsets ("at 32").
        pack: packs a head from byte 4 on: kind, size, P sizes, P checksums, numbers, presence bytes.
        unpack: unpacks from the start of a frame: P sizes, numbers, presence bytes.
        unpack_checksums: unpacks from the start of a frame: P checksums.
        zeros: the numbers and presence bytes of a head in which nothing is set.
    """

    def __init__(
        self, payload_count: int, numbers: Sequence[NumberFormat], dtypes: Sequence[np.dtype]
    ) -> None:
        self.payload_count = payload_count
        self.numbers = lay_out_numbers(numbers, 16 + 12 * payload_count)
        self.size = self.numbers.end
        sizes = f"{payload_count}Q"
        checksums = f"{payload_count}I"
        codes = self.numbers.codes
        self.pack = struct.Struct(f"<IQ{sizes}{checksums}{codes}").pack
        self.unpack = struct.Struct(f"<16x{sizes}{4 * payload_count}x{codes}").unpack_from
        self.unpack_checksums = struct.Struct(f"<{16 + 8 * payload_count}x{checksums}").unpack_from
        self.presence_slots = _presence_slots(numbers)
        self.zeros = [0] * (len(numbers) + len(self.numbers.presence_offsets))
        self.dtype = self._make_dtype(dtypes)

    def _make_dtype(self, dtypes: Sequence[np.dtype]) -> np.dtype:
        count = self.payload_count
        names = ["check", "kind", "size", "sizes", "checksums"]
        formats = ["<u4", "<u4", "<u8", f"({count},)<u8", f"({count},)<u4"]
        offsets = [0, 4, 8, 16, 16 + 8 * count]
        for offset, dtype in zip(self.numbers.offsets, dtypes):
            names.append(f"at {offset}")
            formats.append(dtype.str)
            offsets.append(offset)
        for offset in self.numbers.presence_offsets:
            names.append(f"at {offset}")
            formats.append("u1")
            offsets.append(offset)
        return np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": self.size}
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
        slots.append(next_slot if number.nullable else -1)
        next_slot += number.nullable
    return slots
