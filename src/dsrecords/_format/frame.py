"""One frame of the log: packing and verifying it.

Knows the layout of heads, and nothing of files. Every check is mixed with the dataset's id and the
frame's offset, so that zeros, frames of another dataset and frames at a wrong offset never verify.
Every frame that is not pending names the check of the one before it, so that the last of them
proves the whole log.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.layout import (
    COMMIT,
    FIRST_SKIPPED,
    METADATA,
    NONE,
    PENDING,
    RECORD,
    REVISION,
    SHORT_ROW,
    HeadLayout,
    frame_word,
    offset_mix,
    padded_size,
    padding,
)
from dsrecords._native import core

# What a commit does besides appending its records.
TAKE_LAST = 1
DELETE = 2

FRAME = struct.Struct("<IIQ")
"""How every frame begins: check, prev, word."""

# A commit from byte 4 on: prev, word, start, count, CRC-32 of the checks, op.
_COMMIT = struct.Struct("<IQQQII")

COMMIT_HEAD = 4 + _COMMIT.size
"""The size of a commit without what its op applies to, in bytes."""

_METADATA = struct.Struct("<IQQ")  # a frame of metadata from byte 4 on: prev, word, size of JSON

METADATA_HEAD = 4 + _METADATA.size
"""The size of a frame of metadata without its JSON, in bytes."""

SKIPPED_HEAD = 32
"""Bytes that the check covers of a frame that a reader may skip."""

NO_PREV = 0
"""What a pending frame has in the place of the check of the frame before it."""

_pack_check = struct.Struct("<I").pack
_unpack_check_and_zeros = struct.Struct("<II").unpack_from


class Kept(NamedTuple):
    """A payload that a revision keeps where it is.

    Attributes:
        offset: in the log; 0 if it is None or empty, and so is nowhere.
        size: as a head stores it.
        checksum: of its bytes.
    """

    offset: int
    size: int
    checksum: int


class Packed(NamedTuple):
    """The frame of a record, ready to be written.

    Attributes:
        buffers: its bytes, one behind the other: the check, the rest of the head, and what follows.
        size: of the frame in bytes.
        check: of the frame.
    """

    buffers: list[bytes]
    size: int
    check: int

    @property
    def head(self) -> bytes:
        """The head from byte 4 on."""
        return self.buffers[1]


class PackedRows(NamedTuple):
    """The frames of records, ready to be written.

    Attributes:
        frames: one behind the other.
        rows: of the index, mixed with nothing: uint64, (n, width).
        check: of the last frame.
    """

    frames: bytes
    rows: np.ndarray
    check: int


class Frames:
    """How the frames of one dataset are packed and verified.

    Args:
        layout: of its heads.
        id: of the dataset.
        first_offset: of the log's first frame.

    Attributes:
        layout: of its heads.
        first_offset: of the log's first frame.
        seed: what each check begins with, the CRC-32 of the id.
        alone_word: of the frame of a record without payloads.
    """

    def __init__(
        self,
        layout: HeadLayout,
        id: bytes,
        first_offset: int = 0,
    ) -> None:
        self.layout = layout
        self.first_offset = first_offset
        self.seed = crc32(id)
        self.alone_word = frame_word(RECORD, layout.size)
        self._tables: np.ndarray | None = None

    # Packing

    def record(
        self,
        kind: int,
        prev: int,
        numbers: list[Any],
        payloads: Sequence[bytes | None],
        offset: int,
    ) -> tuple[list[bytes], int, int]:
        """Pack the frame of a record.

        Args:
            kind: RECORD or PENDING.
            prev: check of the frame before it; 0 if it is pending.
            numbers: its numbers and presences, as `HeadLayout.pack` takes them.
            payloads: its payloads.
            offset: of the frame.

        Returns:
            What a `Packed` is, as a plain tuple.
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
            prev,
            frame_word(kind, size),
            *sizes,
            *checksums,
            *numbers,
        )
        check = self.check(head, offset)
        buffers[0] = _pack_check(check)
        buffers[1] = head
        return buffers, size, check

    def single(
        self,
        prev: int,
        record: tuple[list[Any], list[bytes | None]],
        offset: int,
    ) -> tuple[bytes, int] | None:
        """Pack the frame of one record that is not pending, by C: the frame and its check.

        Returns None as of `records`.
        """
        if core is None:
            return None
        layout = self.layout
        packed = core.pack_records(
            RECORD,
            self.seed,
            layout.size,
            layout.payload_count,
            layout.pack_numbers,
            SHORT_ROW,
            [record],
            prev,
            offset,
        )
        if packed is None:
            return None
        frame, _, check = packed
        return frame, check

    @property
    def packs_many(self) -> bool:
        """Whether `records` packs any: whether C is there."""
        return core is not None

    def records(
        self,
        kind: int,
        prev: int,
        records: list[tuple[list[Any], list[bytes | None]]],
        offset: int,
        width: int,
    ) -> PackedRows | None:
        """Pack the frames of records that follow each other, by C.

        Args:
            kind: RECORD or PENDING.
            prev: check of the frame before the first; 0 if they are pending.
            records: of each its numbers and its payloads, as of `record`.
            offset: of the first frame.
            width: of a row of the index, in words of eight bytes.

        Returns:
            None where they are to be packed one by one: C is not there, or one of them is unusual.
        """
        if core is None:
            return None
        layout = self.layout
        packed = core.pack_records(
            kind,
            self.seed,
            layout.size,
            layout.payload_count,
            layout.pack_numbers,
            8 * width,
            records,
            prev,
            offset,
        )
        if packed is None:
            return None
        frames, rows, check = packed
        return PackedRows(frames, np.frombuffer(rows, np.uint64).reshape(-1, width), check)

    def revision(
        self,
        numbers: list[Any],
        payloads: Sequence[bytes | Kept | None],
        offset: int,
    ) -> Packed:
        """Pack a pending revision: a record some of whose payloads stay where they are.

        Args:
            numbers: as of `record`.
            payloads: the new ones, and where the others are.
            offset: of the frame.
        """
        layout = self.layout
        size = layout.size + layout.table_size
        offsets = []
        sizes = []
        checksums = []
        new = []
        for payload in payloads:
            if payload is None:
                payload = Kept(0, NONE, 0)
            if isinstance(payload, Kept):
                offsets.append(payload.offset)
                sizes.append(payload.size)
                checksums.append(payload.checksum)
                continue
            length = len(payload)
            # An empty payload is nowhere: at the end of the frame it could seem to be an old one.
            offsets.append(offset + size if length else 0)
            sizes.append(length)
            checksums.append(crc32(payload))
            new.append(payload)
            new.append(padding(length))
            size += padded_size(length)
        head = layout.pack(
            NO_PREV,
            frame_word(REVISION, size),
            *sizes,
            *checksums,
            *numbers,
        )
        check = self.check(head, offset)
        table = struct.pack(f"<{len(offsets)}Q", *offsets)
        table_check = struct.pack("<II", _table_crc(table, check), 0)
        buffers = [_pack_check(check), head, table, table_check, *new]
        return Packed(buffers, size, check)

    def alone(self, head: bytes, offset: int) -> tuple[bytes, int]:
        """Pack the frame of a record without payloads.

        Args:
            head: of the record, without its check.
            offset: of the frame.

        Returns:
            The frame and its check.
        """
        check = self.check(head, offset)
        return _pack_check(check) + head, check

    def commit(
        self,
        prev: int,
        start: int,
        checks: Any,
        op: int,
        positions: Sequence[int],
        offset: int,
    ) -> tuple[bytes, int]:
        """Pack a commit.

        Args:
            prev: check of the nearest frame before it that is not pending.
            start: offset of its first pending frame; that of the commit itself if it has none.
            checks: of its pending frames: integers, (n,).
            op: what it does besides appending the records: 0 (nothing), TAKE_LAST or DELETE.
            positions: what the op applies to: positions, or of DELETE start, stop, start, stop, …
            offset: of the commit.

        Returns:
            The frame and its check.
        """
        size = COMMIT_HEAD + 8 * len(positions)
        packed_checks = np.asarray(checks, "<u4").tobytes()
        packed_positions = np.asarray(positions, "<u8").tobytes()
        fields = _COMMIT.pack(
            prev,
            frame_word(COMMIT, size),
            start,
            len(checks),
            crc32(packed_checks),
            op,
        )
        return self.alone(fields + packed_positions, offset)

    def metadata(
        self,
        prev: int,
        json: bytes,
        offset: int,
    ) -> tuple[bytes, int]:
        """Pack a frame of metadata, as `commit` does a commit."""
        length = len(json)
        size = METADATA_HEAD + padded_size(length)
        fields = _METADATA.pack(prev, frame_word(METADATA, size), length)
        return self.alone(fields + json + padding(length), offset)

    # Verifying

    def check(self, covered: bytes | memoryview, offset: int) -> int:
        """What the check of a frame at this offset must be, whose head is `covered` from byte 4."""
        return crc32(covered, self.seed) ^ offset_mix(offset)

    def head_size(self, kind: int, size: int) -> int:
        """How many bytes of a frame its check covers, the check itself included.

        0 if no frame of this kind has this size.
        """
        layout = self.layout
        covered = size
        smallest = FRAME.size
        if kind in (RECORD, PENDING):
            covered = layout.size
            smallest = covered
        elif kind == REVISION:
            if not layout.payload_count:
                return 0
            covered = layout.size
            smallest = covered + layout.table_size
        elif kind == COMMIT:
            smallest = COMMIT_HEAD
        elif kind == METADATA:
            smallest = METADATA_HEAD
        elif kind >= FIRST_SKIPPED:
            covered = SKIPPED_HEAD
            smallest = covered
        if kind == 0 or size < smallest or size & 7:
            return 0
        return covered

    def verifies(self, head: memoryview | bytes, offset: int) -> bool:
        """Whether a head (all that the check covers) was written at this offset."""
        stored = int.from_bytes(head[:4], "little")
        return self.check(head[4:], offset) == stored

    def extent(self, sizes: Sequence[int]) -> int:
        """The size of a record's frame, computed from the stored sizes of its payloads."""
        size = self.layout.size
        for length in sizes:
            if length != NONE:
                size += padded_size(length)
        return size

    def table_offsets(
        self,
        table: bytes | memoryview,
        check: int,
        offset: int,
        size: int,
        sizes: Sequence[int],
    ) -> Sequence[int] | None:
        """The offsets of a revision's payloads, once they are verified.

        Args:
            table: what follows its head, as many bytes as a table has.
            check: of the frame.
            offset: of the frame.
            size: of the frame.
            sizes: of its payloads, as its head stores them.

        Returns:
            None if the table is damaged, or its frame does not consist of it and new payloads.
        """
        layout = self.layout
        count = layout.payload_count
        offsets = struct.unpack_from(f"<{count}Q", table)
        stored = _unpack_check_and_zeros(table, 8 * count)
        if stored != (_table_crc(table[: 8 * count], check), 0):
            return None
        next_new = offset + layout.size + layout.table_size
        for payload_offset, payload_size in zip(offsets, sizes):
            if payload_size in (0, NONE):
                if payload_offset:
                    return None
            elif payload_offset >= offset:
                if payload_offset != next_new:
                    return None
                next_new += padded_size(payload_size)
            elif not _is_old(payload_offset, payload_size, self.first_offset, offset):
                return None
        if next_new != offset + size:
            return None
        return offsets

    def scan(
        self,
        heads: np.ndarray,
        offsets: np.ndarray,
        prev: int,
    ) -> int:
        """Count frames that follow each other and verify: see `kernels.scan_frames`."""
        return kernels.scan_frames(heads, offsets, prev, self.seed, self.tables)

    def pack(self, heads: np.ndarray, offset: int) -> np.ndarray:
        """Complete heads that are to follow each other: see `kernels.pack_frames`."""
        return kernels.pack_frames(heads, PENDING, offset, self.seed, self.tables)

    @property
    def tables(self) -> np.ndarray | None:
        """What `kernels.crc_tables` returns for these heads; made when it is first needed."""
        if self._tables is None:
            self._tables = kernels.crc_tables(self.layout.size)
        return self._tables


def _table_crc(offsets: bytes | memoryview, check: int) -> int:
    """The CRC-32 of a revision's offsets, by which they belong to the frame with this check."""
    return crc32(offsets, crc32(_pack_check(check)))


def _is_old(
    offset: int,
    size: int,
    first_offset: int,
    stop: int,
) -> bool:
    """Whether a payload can lie in the log before `stop`."""
    return offset % 8 == 0 and first_offset <= offset and offset + size <= stop
