"""One frame of the log: packing and verifying it. Knows the layout of heads, and nothing of files.

Every check is mixed with the dataset's id and the frame's offset, so that zeros, frames of another dataset and frames in the
wrong place never verify.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.layout import (
    NONE,
    HeadLayout,
    offset_mix,
    offset_mixes,
    padded_size,
    padding,
)

RECORD, PENDING, COMMIT = 1, 2, 3
TAKE_LAST, DELETE = 1, 2
FRAME = struct.Struct("<IIQ")  # check, kind, size: how every frame begins
_COMMIT = struct.Struct("<IQQQII")  # from byte 4 on: kind, size, start, n, crc32 of the checks, op
COMMIT_HEAD = 4 + _COMMIT.size
_U32 = struct.Struct("<I").pack
_MANY = 1000  # heads for which looking for what they have in common pays
_ROWS = 32  # heads that are compared as one row
_WIDEST_TABLE = (
    1024  # bytes of head for which checking many heads by tables pays; 1 KiB of table for each byte
)


class Frames:
    """How the frames of one dataset are packed and verified."""

    def __init__(self, layout: HeadLayout, id: bytes) -> None:
        self.layout = layout
        self.seed = crc32(id)
        self._tables: np.ndarray | None = None

    def record(
        self, kind: int, numbers: list[Any], payloads: Sequence[bytes | None], offset: int
    ) -> tuple[list[bytes], int, int]:
        """Buffers of a record's frame, its size, and its check."""
        sizes, checksums, buffers, size = [], [], [b"", b""], self.layout.size
        for payload in payloads:
            if payload is None:
                sizes.append(NONE)
                checksums.append(0)
                continue
            length = len(payload)
            sizes.append(length)
            checksums.append(crc32(payload))
            buffers += (payload, padding(length)) if length & 7 else (payload,)
            size += padded_size(length)
        buffers[1] = self.layout.pack(kind, size, *sizes, *checksums, *numbers)
        check = crc32(buffers[1], self.seed) ^ offset_mix(offset)
        buffers[0] = _U32(check)
        return buffers, size, check

    def alone(self, head: bytes, offset: int) -> tuple[bytes, int]:
        """The frame of a record without payloads, from its head without the check; and the check."""
        check = crc32(head, self.seed) ^ offset_mix(offset)
        return _U32(check) + head, check

    def commit(
        self, start: int, checks: Any, op: int, positions: Sequence[int], offset: int
    ) -> tuple[bytes, int]:
        """A commit's frame and its check. `checks` are those of its pending frames."""
        size = COMMIT_HEAD + 8 * len(positions)
        total = crc32(np.asarray(checks, "<u4").tobytes())
        body = (
            _COMMIT.pack(COMMIT, size, start, len(checks), total, op)
            + np.asarray(positions, "<u8").tobytes()
        )
        check = crc32(body, self.seed) ^ offset_mix(offset)
        return _U32(check) + body, check

    def head_size(self, kind: int, size: int) -> int:
        """How many bytes of a frame its check covers; 0 if no frame of this kind can have this size."""
        if kind in (RECORD, PENDING):
            return self.layout.size if size >= self.layout.size else 0
        return size if size >= (COMMIT_HEAD if kind == COMMIT else FRAME.size) and kind else 0

    def verifies(self, head: memoryview | bytes, offset: int) -> bool:
        """Whether a head (all of it that the check covers) is what was written at this offset."""
        check = int.from_bytes(head[:4], "little")
        return crc32(head[4:], self.seed) ^ offset_mix(offset) == check

    def extent(self, sizes: Sequence[int]) -> int:
        """The size that a record's frame must have by its payloads' sizes."""
        size = self.layout.size
        for length in sizes:
            size += padded_size(length) if length != NONE else 0
        return size

    def checks_of(self, heads: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """What the checks of many heads must be.

        CRC is linear: the checksum of a head is that of zeros, xor one number for each byte and its position.

        Args:
            heads: structured, (n,), contiguous.
            offsets: uint64, (n,), of the frames.

        Returns:
            uint32, (n,).
        """
        rows = heads.view(np.uint8).reshape(-1, self.layout.size)
        if self.layout.size > _WIDEST_TABLE:
            crcs = np.fromiter((crc32(row[4:], self.seed) for row in rows), np.uint32, len(rows))
        else:
            places, rest = np.arange(4, self.layout.size), bytearray(self.layout.size)
            if len(rows) >= _MANY:  # the bytes that are the same in all heads are looked at once
                differing = _differing(
                    heads.view(np.uint64).reshape(-1, self.layout.size // 8)
                ).view(np.uint8)
                places, rest = differing[4:].nonzero()[0] + 4, bytearray(rows[0])
                for place in places.tolist():
                    rest[place] = 0
            crcs = np.full(len(rows), crc32(memoryview(rest)[4:], self.seed), np.uint32)
            if len(places):
                keys = rows.T[places] + (256 * (places - 4))[:, None]
                # "wrap" only so that NumPy need not look for places out of range: there are none
                crcs ^= np.bitwise_xor.reduce(self._crc_tables().take(keys, mode="wrap"), axis=0)
        checks: np.ndarray = crcs ^ offset_mixes(offsets)
        return checks

    def _crc_tables(self) -> np.ndarray:
        """uint32, (head - 4) × 256 flat: what each byte at each position adds to the checksum of zeros."""
        if self._tables is None:
            last = np.array([crc32(bytes([byte])) ^ crc32(b"\0") for byte in range(256)], np.uint32)
            rows = [last]
            for _ in range(
                self.layout.size - 5
            ):  # one position earlier: one more zero byte behind it
                rows.append(rows[-1] >> np.uint32(8) ^ last[rows[-1] & np.uint32(255)])
            self._tables = np.concatenate(rows[::-1])
        return self._tables


def _differing(words: np.ndarray) -> np.ndarray:
    """Which bits are not the same in all rows of uint64, (n, m): (m,). NumPy is slow on short rows: it gets many as one."""
    count = len(words) // _ROWS
    whole = (
        (words[: count * _ROWS].reshape(count, -1) ^ np.tile(words[0], _ROWS))
        if count
        else words[:0]
    )
    ends = np.bitwise_or.reduce(whole, axis=0).reshape(-1, words.shape[1])
    rest = words[count * _ROWS :] ^ words[0]
    bits: np.ndarray = np.bitwise_or.reduce(np.concatenate([ends, rest]), axis=0)
    return bits
