"""One frame of the log: packing and verifying it.

Knows the layout of heads, and nothing of files. Every check is mixed with the dataset's id and the
frame's offset, so that zeros, frames of another dataset and frames at a wrong offset never verify.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.layout import (
    COMMIT,
    NONE,
    PENDING,
    RECORD,
    HeadLayout,
    offset_mix,
    padded_size,
    padding,
)

# What a commit does besides appending its records.
TAKE_LAST = 1
DELETE = 2

FRAME = struct.Struct("<IIQ")
"""How every frame begins: check, kind, size."""

# A commit from byte 4 on: kind, size, start, count, CRC-32 of the checks, op.
_COMMIT = struct.Struct("<IQQQII")

COMMIT_HEAD = 4 + _COMMIT.size
"""The size of a commit without its positions, in bytes."""

_pack_check = struct.Struct("<I").pack


class Frames:
    """How the frames of one dataset are packed and verified.

    Args:
        layout: of its heads.
        id: of the dataset.

    Attributes:
        layout: of its heads.
        seed: what each check begins with, the CRC-32 of the id.
    """

    def __init__(self, layout: HeadLayout, id: bytes) -> None:
        self.layout = layout
        self.seed = crc32(id)
        self._tables: np.ndarray | None = None

    def record(
        self,
        kind: int,
        numbers: list[Any],
        payloads: Sequence[bytes | None],
        offset: int,
    ) -> tuple[list[bytes], int, int]:
        """Pack the frame of a record.

        Args:
            kind: RECORD or PENDING.
            numbers: its numbers and presences, as `HeadLayout.pack` takes them.
            payloads: its payloads.
            offset: of the frame.

        Returns:
            The buffers to write one behind the other, the size of the frame, its check.
        """
        layout = self.layout
        size = layout.size
        sizes = []
        checksums = []
        buffers = [b"", b""]  # the check and the rest of the head, once they are known
        for payload in payloads:
            if payload is None:
                sizes.append(NONE)
                checksums.append(0)
                continue
            length = len(payload)
            sizes.append(length)
            checksums.append(crc32(payload))
            buffers.append(payload)
            if length & 7:
                buffers.append(padding(length))
            size += padded_size(length)
        head = layout.pack(
            kind,
            size,
            *sizes,
            *checksums,
            *numbers,
        )
        check = crc32(head, self.seed) ^ offset_mix(offset)
        buffers[0] = _pack_check(check)
        buffers[1] = head
        return buffers, size, check

    def alone(self, head: bytes, offset: int) -> tuple[bytes, int]:
        """Pack the frame of a record without payloads.

        Args:
            head: of the record, without its check.
            offset: of the frame.

        Returns:
            The frame and its check.
        """
        check = crc32(head, self.seed) ^ offset_mix(offset)
        return _pack_check(check) + head, check

    def commit(
        self,
        start: int,
        checks: Any,
        op: int,
        positions: Sequence[int],
        offset: int,
    ) -> tuple[bytes, int]:
        """Pack a commit.

        Args:
            start: offset of its first pending frame; that of the commit itself if it has none.
            checks: of its pending frames: integers, (n,).
            op: what it does besides appending the records: 0 (nothing), TAKE_LAST or DELETE.
            positions: what the op applies to.
            offset: of the commit.

        Returns:
            The frame and its check.
        """
        size = COMMIT_HEAD + 8 * len(positions)
        packed_checks = np.asarray(checks, "<u4").tobytes()
        packed_positions = np.asarray(positions, "<u8").tobytes()
        head = _COMMIT.pack(
            COMMIT,
            size,
            start,
            len(checks),
            crc32(packed_checks),
            op,
        )
        body = head + packed_positions
        check = crc32(body, self.seed) ^ offset_mix(offset)
        return _pack_check(check) + body, check

    def head_size(self, kind: int, size: int) -> int:
        """How many bytes of a frame its check covers, the check itself included.

        0 if no frame of this kind has this size.
        """
        covered = size
        smallest = FRAME.size
        if kind in (RECORD, PENDING):
            covered = self.layout.size
            smallest = covered
        elif kind == COMMIT:
            smallest = COMMIT_HEAD
        if kind == 0 or size < smallest:
            return 0
        return covered

    def verifies(self, head: memoryview | bytes, offset: int) -> bool:
        """Whether a head (all that the check covers) was written at this offset."""
        stored = int.from_bytes(head[:4], "little")
        check = crc32(head[4:], self.seed) ^ offset_mix(offset)
        return check == stored

    def extent(self, sizes: Sequence[int]) -> int:
        """The size of a record's frame, computed from the stored sizes of its payloads."""
        size = self.layout.size
        for length in sizes:
            if length != NONE:
                size += padded_size(length)
        return size

    def scan(self, heads: np.ndarray, offset: int) -> np.ndarray:
        """Verify frames that follow each other: see `kernels.scan_frames`."""
        return kernels.scan_frames(heads, offset, self.seed, self.tables)

    def pack(self, heads: np.ndarray, offset: int) -> np.ndarray:
        """Complete heads that are to follow each other: see `kernels.pack_frames`."""
        return kernels.pack_frames(heads, offset, self.seed, self.tables)

    @property
    def tables(self) -> np.ndarray | None:
        """What `kernels.crc_tables` returns for these heads; made when it is first needed."""
        if self._tables is None:
            self._tables = kernels.crc_tables(self.layout.size)
        return self._tables
