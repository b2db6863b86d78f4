"""What a log does to a list, also where it is damaged. Knows nothing of the index."""

from __future__ import annotations

import struct

from dsrecords._format.entries import Entries, FrameRef
from dsrecords._format.frame import COMMIT_HEAD, FRAME
from dsrecords._format.layout import COMMIT, FIRST_SKIPPED, METADATA, RECORD, SHORT_ROW
from dsrecords._format.log import OF_RECORDS, PENDING_KINDS, LogScanner, ScannedFrame
from dsrecords._schema.header import Header
from dsrecords._storage.base import Storage
from dsrecords._tools.chain import Chain, read
from dsrecords._tools.scan import LogScan
from dsrecords.errors import DSRecordsError

_COMMIT = struct.Struct("<QQII")  # of a commit, behind its start: start, count, crc of checks, op


class Replay:
    """What a log does to a list.

    Behind damage that the other frames do not explain, records are taken that verify, and of a
    batch those that are left if its commit verifies. An edit there refers to positions that nobody
    knows any more: the list ends before it.

    Args:
        storage: of the `.rec`.
        header: of the `.rec`.
        entries: the list so far.
        start: offset of the first frame that is not in it.
        check: of the last frame before that one that is not pending; of the header if there is
            none.

    Attributes:
        entries: the list.
        is_exact: whether it is what the log means up to its end: what is damaged is in it, as
            records that cannot be read.
        metadata: offsets of the whole frames of metadata.
        heads: of records whose heads can be put right, by their offsets.
    """

    def __init__(
        self,
        storage: Storage,
        header: Header,
        entries: Entries,
        start: int,
        check: int,
    ) -> None:
        self.entries = entries
        self.is_exact = True
        self.metadata: list[int] = []
        self.heads: dict[int, bytes] = {}
        self._storage = storage
        self._header = header
        self._stop = storage.size()
        self._start = start
        self._check = check

    def run(self) -> None:
        """Take one frame after another."""
        try:
            self._take_whole_frames()
            if self._start < self._stop:
                self._take_explained_frames()
        except DSRecordsError:  # an edit of positions that are not there, or of a later version
            self.is_exact = False
            return
        if self._start < self._stop:
            self._take_what_verifies()

    def _take_whole_frames(self) -> None:
        """Go on to the first that is damaged: many at a time."""
        walk = LogScanner(
            self._storage,
            self._header.frames,
            self._start,
            self._stop,
            self._check,
            self.entries.row_size,
            payloads_from=self._stop,
        )
        for batch in walk:
            self.entries = self.entries.apply(batch.rows, batch.op, batch.positions)
            if batch.metadata:
                self.metadata.append(batch.metadata)
        self._start = walk.end
        self._check = walk.check
        if walk.fault is None:  # what follows, if anything, waits for a commit
            self._start = self._stop

    def _take_explained_frames(self) -> None:
        """Go on to the first damage that the other frames do not explain: one at a time."""
        walk = LogScanner(self._storage, self._header.frames, self._start, self._stop, 0, SHORT_ROW)
        chain = Chain(
            self._header,
            walk,
            self.entries.width,
            self._start,
            self._stop,
            self._check,
        )
        for rows, op, positions in chain:
            self.entries = self.entries.apply(rows, op, positions)
        self.metadata += chain.metadata
        self.heads |= chain.heads
        self._start = chain.end

    def _take_what_verifies(self) -> None:
        """Go on to the end of the log, or to the first edit."""
        self.is_exact = False
        scan = LogScan(self._storage, self._header, self._start, self._stop)
        pending: list[FrameRef] = []
        for found in scan:
            if found.problem:
                continue
            if found.kind in OF_RECORDS:
                pending.append(_ref(scan.walk, found, self._header.schema.layout.size))
            if found.kind in PENDING_KINDS:
                continue
            if found.kind == METADATA:
                self.metadata.append(found.offset)
            added = _what_is_left(scan.walk, found, pending)
            if added is None:
                return
            for ref in added:
                self.entries.append(*ref)
            pending = []


def _ref(walk: LogScanner, found: ScannedFrame, head_size: int) -> FrameRef:
    head = read(walk, found.offset, head_size)
    return FrameRef(found.offset, found.size, found.check, head[4:])


def _what_is_left(
    walk: LogScanner,
    found: ScannedFrame,
    behind: list[FrameRef],
) -> list[FrameRef] | None:
    """The records that a frame behind damage adds to the list; None if the list ends before it.

    Args:
        walk: reads the log.
        found: the frame, which verifies and is not pending.
        behind: the records since the last such frame, this one included.
    """
    if found.kind == RECORD:
        return behind[-1:]
    if found.kind == METADATA or found.kind >= FIRST_SKIPPED:
        return []
    if found.kind != COMMIT:
        return None  # of a later version: it may be an edit
    head = read(walk, found.offset, COMMIT_HEAD)
    start, _, _, op = _COMMIT.unpack_from(head, FRAME.size)
    if op:
        return None
    return [ref for ref in behind if ref.offset >= start]
