"""The frames of a damaged log, as far as they name each other. Knows nothing of the index.

Every frame that is not pending names the check of the one before it, and a commit those of its
pending frames. So damage to a head need not hide how many records there were: where the others name
the frame that must be there, it is one record that cannot be read, and edits that follow still
refer to what they did.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from dsrecords._format.entries import FrameRef, row_of
from dsrecords._format.frame import COMMIT_HEAD, FRAME, METADATA_HEAD
from dsrecords._format.layout import (
    COMMIT,
    FIRST_SKIPPED,
    METADATA,
    PENDING,
    RECORD,
    REVISION,
    frame_word,
    kind_of_word,
    padded_size,
    size_of_word,
)
from dsrecords._format.log import OF_RECORDS, PENDING_KINDS, LogScanner, ScannedFrame
from dsrecords._schema.header import Header

_LARGEST_RESTORED = 2**20  # bytes of a head
_SECTOR = 512  # bytes of which a disk has all or none: what a frame begins with must lie in one
_JSON_SIZE = struct.Struct("<Q")  # of a frame of metadata, behind its start

Rows = list[bytes]
Change = tuple[np.ndarray, int, Sequence[int]]  # as for `Entries.apply`


class Chain:
    """The frames of a damaged log, as far as they name each other: iterate over what they do.

    A frame whose head is damaged, but not its first bytes, is *presumed*: it is taken only if one
    that verifies names it. Its row says what the others know of it: where it is, and its check.
    What the first bytes of a frame must be, but for the check, follows from the rest: one that
    verifies once they are put right is whole.

    Args:
        header: of the log.
        walk: of the log.
        width: of a row, in words of eight bytes.
        start: offset of the first frame.
        stop: where the log ends.
        check: what the first frame that is not pending must name.

    Attributes:
        end: up to where all is explained.
        metadata: offsets of the whole frames of metadata before it.
        heads: of records whose first bytes were put right, by their offsets.
    """

    def __init__(
        self,
        header: Header,
        walk: LogScanner,
        width: int,
        start: int,
        stop: int,
        check: int,
    ) -> None:
        self.end = start
        self.metadata: list[int] = []
        self.heads: dict[int, bytes] = {}
        self._frames = header.frames
        self._layout = header.schema.layout
        self._walk = walk
        self._width = width
        self._stop = stop
        # Of the last frame that is not pending: where it ends, and by the checks that it may have
        # the rows that it adds to the list. It has none any more if it is not presumed.
        self._last_end = start
        self._last: dict[int, Rows] = {check: []}
        # The rows of presumed frames before that one.
        self._held: Rows = []
        # The rows of the pending frames behind it, and by the number of each one that is presumed
        # its row if nothing but the check is damaged.
        self._pending: Rows = []
        self._others: dict[int, bytes] = {}
        self._is_over = False

    def __iter__(self) -> Iterator[Change]:
        """Follow the log.

        Raises:
            UnsupportedVersionError: it is of a later version of the format.
        """
        offset = self.end
        while not self._is_over:
            found, is_presumed = self._find(offset)
            if not found.size:
                return
            offset += found.size
            if found.kind in PENDING_KINDS:
                self._add_pending(found, is_presumed)
            elif is_presumed:
                self._presume(found)
            else:
                yield from self._take(found)

    def _find(self, offset: int) -> tuple[ScannedFrame, bool]:
        """The frame at an offset, of size 0 if there is none, and whether it is presumed."""
        found = self._walk.frame(offset, payloads=False)
        if found.size:
            return found, False
        restored = self._restored(offset)
        if restored is not None:
            return restored, False
        return self._presumed(offset), True

    # Frames that verify

    def _take(self, found: ScannedFrame) -> list[Change]:
        """What a frame that is not pending does to the list, and what those do that it names.

        It ends the chain if it must not follow those before it.
        """
        rows = self._last.get(found.prev)
        if rows is None:
            self._is_over = True
            return []
        changes: list[Change] = []
        held = self._held + rows
        if held:
            changes.append((self._array(held), 0, ()))
        self._held = []
        self.end = self._last_end
        change = self._change(found)
        if change is None:
            self._is_over = True
            return changes
        changes.append(change)
        self._pass(found, {found.check: []})
        self.end = self._last_end
        return changes

    def _change(self, found: ScannedFrame) -> Change | None:
        """What a frame that is named does to the list; None if it must not be here."""
        if found.kind == COMMIT:
            return self._commit(found)
        if self._pending:
            return None
        if found.kind == RECORD:
            return self._array([self._row(found, found.check)]), 0, ()
        if found.kind == METADATA:
            self.metadata.append(found.offset)
        elif found.kind < FIRST_SKIPPED:
            return None
        return self._array([]), 0, ()

    def _commit(self, found: ScannedFrame) -> Change | None:
        """The change of a batch; None if its frames are others than the commit says."""
        others = [self._others.get(number, row) for number, row in enumerate(self._pending)]
        for pending in (self._pending, others):
            rows = self._array(pending)
            problem, op, positions = self._walk.commit(found.offset, found.size, rows)
            if not problem:
                return rows, op, positions
        return None

    def _pass(self, found: ScannedFrame, last: dict[int, Rows]) -> None:
        """Go on behind a frame that is not pending."""
        self._last = last
        self._last_end = found.offset + found.size
        self._pending = []
        self._others = {}

    # Frames that are presumed

    def _presume(self, found: ScannedFrame) -> None:
        """Hold back what a frame that is not pending does. It ends the chain if it cannot be."""
        rows = self._last.get(found.prev)
        is_in_one_sector = found.offset % _SECTOR <= _SECTOR - FRAME.size
        last = self._possible_ends(found)
        if rows is None or last is None or not is_in_one_sector:
            self._is_over = True
            return
        self._held.extend(rows)
        self._pass(found, last)

    def _possible_ends(self, found: ScannedFrame) -> dict[int, Rows] | None:
        """What a presumed frame adds, by the checks that it may have; None if it cannot be here."""
        checks = (self._computed_check(found), found.check)
        if found.kind == COMMIT:
            # One without an edit: it only adds the frames before it, which must all be known.
            if not self._pending or self._others:
                return None
            return dict.fromkeys(checks, self._pending)
        if self._pending:
            return None
        if found.kind == RECORD:
            return {check: [self._row(found, check)] for check in checks}
        return {check: [] for check in checks}

    def _add_pending(self, found: ScannedFrame, is_presumed: bool) -> None:
        if found.prev:
            self._is_over = True
            return
        if is_presumed:
            check = self._computed_check(found)
            self._others[len(self._pending)] = self._row(found, check)
        self._pending.append(self._row(found, found.check))

    def _presumed(self, offset: int) -> ScannedFrame:
        """A frame as its first bytes describe it; of size 0 if that cannot be."""
        nothing = ScannedFrame(
            offset,
            0,
            0,
            0,
            0,
            "",
            None,
            offset,
        )
        start = self._walk.read(offset, FRAME.size)
        if len(start) < FRAME.size:
            return nothing
        check, prev, word = FRAME.unpack(start)
        kind = kind_of_word(word)
        size = size_of_word(word)
        if size > self._stop - offset or not self._frames.head_size(kind, size):
            return nothing
        if kind in (RECORD, PENDING):
            has_right_size = self._layout.payload_count > 0 or size == self._layout.size
        elif kind == METADATA:
            has_right_size = self._seems_to_be_metadata(offset, size)
        else:
            has_right_size = kind == REVISION or (kind == COMMIT and size == COMMIT_HEAD)
        if not has_right_size:
            return nothing
        return ScannedFrame(
            offset,
            kind,
            size,
            check,
            prev,
            "",
            None,
            offset,
        )

    def _seems_to_be_metadata(self, offset: int, size: int) -> bool:
        """Whether a frame holds an object as JSON, which has the size that it says."""
        start = read(self._walk, offset, METADATA_HEAD + 1)
        (length,) = _JSON_SIZE.unpack_from(start, FRAME.size)
        return start.endswith(b"{") and size == METADATA_HEAD + padded_size(length)

    # First bytes that are put right

    def _restored(self, offset: int) -> ScannedFrame | None:
        """The frame at an offset, if it verifies once its first bytes are put right."""
        start = self._walk.read(offset, FRAME.size)
        if len(start) < FRAME.size:
            return None
        check, _, word = FRAME.unpack(start)
        for kind, size, prev in self._possible_frames(offset, size_of_word(word)):
            covered = self._frames.head_size(kind, size)
            if not 0 < covered <= _LARGEST_RESTORED or size > self._stop - offset:
                continue
            head = bytearray(self._walk.read(offset, covered))
            if len(head) < covered:  # the file was cut just now
                continue
            FRAME.pack_into(head, 0, check, prev, frame_word(kind, size))
            if self._frames.verifies(bytes(head), offset):
                if kind in OF_RECORDS:
                    self.heads[offset] = bytes(head)
                return ScannedFrame(
                    offset,
                    kind,
                    size,
                    check,
                    prev,
                    "",
                    None,
                    offset,
                )
        return None

    def _possible_frames(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Kinds, sizes and what they name of the frames that there may be at an offset.

        Args:
            offset: of the frame.
            size: of the frame, as it says.
        """
        head = self._walk.read(offset, self._layout.size)
        if len(head) == self._layout.size:
            sizes = self._layout.unpack(head)[: self._layout.payload_count]
            extent = self._frames.extent(sizes)
            yield PENDING, extent, 0
            for check in self._last:
                yield RECORD, extent, check
        yield REVISION, size, 0
        for check in self._last:
            yield COMMIT, size, check
            yield METADATA, size, check

    # Rows

    def _head(self, found: ScannedFrame, check: int) -> bytes:
        """The head of a record with its first bytes as they are known to be."""
        head = bytearray(read(self._walk, found.offset, self._layout.size))
        FRAME.pack_into(head, 0, check, found.prev, frame_word(found.kind, found.size))
        return bytes(head)

    def _computed_check(self, found: ScannedFrame) -> int:
        """What the check of a presumed frame is if nothing else in its head is damaged."""
        covered = self._frames.head_size(found.kind, found.size)
        head = self._walk.read(found.offset, covered)
        return self._frames.check(head[4:], found.offset)

    def _row(self, found: ScannedFrame, check: int) -> bytes:
        head = self._head(found, check)
        ref = FrameRef(found.offset, found.size, check, head[4:])
        return row_of(ref, self._width).tobytes()

    def _array(self, rows: Rows) -> np.ndarray:
        """Rows as one array: uint64, (n, width)."""
        words = np.frombuffer(b"".join(rows), np.uint64)
        return words.reshape(-1, self._width)


def read(walk: LogScanner, offset: int, count: int) -> bytes:
    """Bytes of the log; zeros where the file was cut just now, which do not verify."""
    return bytes(walk.read(offset, count)).ljust(count, b"\0")
