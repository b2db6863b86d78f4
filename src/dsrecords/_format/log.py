"""Scanning the frames of a `.rec`. Knows nothing of the index, or of samples."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.frame import COMMIT_HEAD, DELETE, FRAME, Frames
from dsrecords._format.layout import COMMIT, NONE, PENDING, RECORD, offset_mix, padded_size
from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError, UnsupportedVersionError

LARGEST_COMMIT = 256 * 2**20
"""Bytes: so that a reader never has to hold more positions than these."""

_CHUNK = 2**20  # bytes read at once
_RUN = 2**13  # heads verified together
_PATIENCE = 32  # frames scanned one by one before a run is looked for again
_LOOKS = 16  # how often `find_frame` may read the same byte, on average
_COMMIT_FIELDS = struct.Struct("<QQII")  # behind the start of a commit: start, count, crc, op


FrameRef = tuple[int, int, int]
"""Offset, size and check of a record's frame."""

FrameRefs = Any
"""Many of them: a list of FrameRef, or uint64, (n, 3)."""

Batch = tuple[FrameRefs, int, Sequence[int]]
"""Frames of the records to append, the op, and the positions that it applies to."""


class ScannedFrame(NamedTuple):
    """What a scan found at an offset.

    Attributes:
        offset: of the frame.
        kind: of the frame.
        size: of the frame in bytes; 0 if it cannot be known.
        check: of the frame.
        problem: what is wrong with it, empty if there is none.
        payload: which of its payloads has the problem; None if it is none of them.
        problem_offset: where that is.
    """

    offset: int
    kind: int
    size: int
    check: int
    problem: str
    payload: int | None
    problem_offset: int


class LogScanner:
    """A scan of the log from an offset on, batch by batch; each is verified as a whole.

    Iterating yields what each batch does to the list. The attributes say how far the scan came.

    Args:
        storage: of the `.rec`.
        frames: how its frames are verified.
        start: offset of the first frame.
        stop: where to stop; the end of the file, or before it.

    Attributes:
        end: of the last whole batch.
        last: offset of the last frame before `end`; None if there was none.
        check: of that frame.
        fault: what ended the scan; None if it came to `stop`.
        misplaced: whether the fault is a whole frame that must not follow those before it.
    """

    def __init__(
        self,
        storage: Storage,
        frames: Frames,
        start: int,
        stop: int,
    ) -> None:
        self._storage = storage
        self._frames = frames
        self._stop = stop
        self.end = start
        self.check = 0
        self.last: int | None = None
        self.fault: ScannedFrame | None = None
        self.misplaced = False
        self._offset = start  # of the next frame
        self._pending = _Pending()
        self._buffer = memoryview(b"")
        self._buffer_offset = 0
        self._one_by_one = 0  # how many frames to scan before a run is looked for again

    def __iter__(self) -> Iterator[Batch]:
        """Scan the log.

        Raises:
            UnsupportedVersionError: a commit has an op that this library does not know.
        """
        layout = self._frames.layout
        has_runs = layout.payload_count == 0
        while self._offset < self._stop and self.fault is None:
            run = self._next_run() if has_runs else None
            batch = self._scan_frame() if run is None else self._take_run(run)
            if batch is not None:
                yield batch

    def _scan_frame(self) -> Batch | None:
        """Scan the next frame.

        Returns:
            The batch that it ends. None if it is pending, or the fault that ends the scan.
        """
        found = self.frame(self._offset)
        if found.problem:
            self.fault = found
            return None
        ref = (found.offset, found.size, found.check)
        if found.kind == PENDING:
            self._pending.add(ref)
            self._offset += found.size
            return None
        problem, batch = self._complete(found, ref)
        if problem:
            self.fault = found._replace(problem=problem)
            self.misplaced = True
            return None
        self._advance(ref)
        return batch

    def _take_run(self, run: _Run) -> Batch | None:
        """Go on behind a run.

        Returns:
            The batch of its records. None if they are pending.
        """
        if run.kind == RECORD and self._pending:
            return self._scan_frame()  # which is the fault: no commit came before it
        last = tuple(run.refs[-1].tolist())
        if run.kind == PENDING:
            offset, size, _ = last
            self._pending.add_run(run.refs)
            self._offset = offset + size
            return None
        self._advance(last)
        return run.refs, 0, ()

    def _advance(self, last: FrameRef) -> None:
        """Note that this frame ends a whole batch."""
        offset, size, check = last
        self.end = offset + size
        self.last = offset
        self.check = check
        self._offset = self.end

    def _complete(self, found: ScannedFrame, ref: FrameRef) -> tuple[str, Batch]:
        """Make the batch that ends with a frame, which verifies and is not pending.

        Returns:
            Why the frame must not follow the pending ones, empty if it may; the batch.
        """
        pending = self._pending.take()
        if found.kind == COMMIT:
            self._one_by_one = 0  # a run may well follow the commit
            commit = self.commit(found.offset, found.size, pending)
            problem, op, positions = commit
            return problem, (pending, op, positions)
        records = []
        if found.kind == RECORD:
            records.append(ref)
        # A frame of an unknown kind, of a later version of the format, does nothing to the list.
        problem = "the pending records before it have no commit" if len(pending) else ""
        return problem, (records, 0, ())

    def _next_run(self) -> _Run | None:
        """The run that begins with the next frame, if it is time to look for one.

        Where frames of different kinds alternate there are no runs, and looking for them at each
        frame would only take time.
        """
        if self._one_by_one > 0:
            self._one_by_one -= 1
            return None
        run = self._run(self._offset)
        if run is None:
            self._one_by_one = _PATIENCE - 1  # the next frame is the first of them
        return run

    def _run(self, offset: int) -> _Run | None:
        """Verify, together, frames that follow each other and are of one kind.

        Only for records without payloads.

        Returns:
            Two frames or more; None if the first two are not such frames.
        """
        layout = self._frames.layout
        head = layout.size
        two = self.read(offset, 2 * head)
        if len(two) < 2 * head:
            return None
        _, kind, size = FRAME.unpack_from(two, 0)
        _, next_kind, next_size = FRAME.unpack_from(two, head)
        if next_kind != kind or next_size != size:
            return None
        if kind not in (RECORD, PENDING):
            return None
        # Only what has been read already: a run goes on in the next one.
        buffered = self._buffer[offset - self._buffer_offset :]
        count = min(len(buffered) // head, _RUN)
        heads = np.frombuffer(buffered, layout.dtype, count)
        refs = self._frames.scan(heads, offset)
        if len(refs) < 2:
            return None
        return _Run(kind, refs)

    def frame(self, offset: int) -> ScannedFrame:
        """Scan the frame at an offset: what it is, and the problem with it."""
        start = self.read(offset, FRAME.size)
        if len(start) == FRAME.size:
            check, kind, size = FRAME.unpack(start)
        else:
            check = kind = size = 0
        covered = self._frames.head_size(kind, size)
        if not covered or size & 7:
            problem = f"no frame has kind {kind} and size {size}"
        elif size > self._stop - offset:
            problem = "the frame is cut short"
        elif not self._verifies(offset, covered):
            problem = "the frame's check is wrong"
        else:
            problem = ""
        if problem:
            return ScannedFrame(
                offset,
                kind,
                0,
                check,
                problem,
                None,
                offset,
            )
        payload = None
        where = offset
        if kind in (RECORD, PENDING):
            problem, payload, where = self._bad_payload(offset, size)
        return ScannedFrame(
            offset,
            kind,
            size,
            check,
            problem,
            payload,
            where,
        )

    def read(self, offset: int, count: int) -> memoryview:
        """Read bytes of the file through a buffer; fewer than asked for at its end."""
        start = offset - self._buffer_offset
        stop = start + count
        if start < 0 or stop > len(self._buffer):
            size = min(max(count, _CHUNK), self._stop - offset)
            data = self._storage.read(offset, size)
            self._buffer = memoryview(data)
            self._buffer_offset = offset
            start = 0
            stop = count
        return self._buffer[start:stop]

    def _crc(
        self,
        offset: int,
        count: int,
        seed: int = 0,
    ) -> int:
        """CRC-32 of a part of the file, read in pieces; -1 if the file ends before."""
        stop = offset + count
        crc = seed
        while offset < stop:
            size = min(stop - offset, _CHUNK)
            piece = self.read(offset, size)
            if not len(piece):
                return -1
            crc = crc32(piece, crc)
            offset += len(piece)
        return crc

    def _verifies(self, offset: int, covered: int) -> bool:
        """Whether the check of the frame at an offset, which covers so many bytes, is right."""
        if covered <= _CHUNK:
            head = self.read(offset, covered)
            if len(head) < covered:
                return False
            return self._frames.verifies(head, offset)
        stored = self.read(offset, 4)
        check = int.from_bytes(stored, "little")
        crc = self._crc(
            offset + 4,
            covered - 4,
            self._frames.seed,
        )
        return crc ^ offset_mix(offset) == check

    def _bad_payload(self, offset: int, size: int) -> tuple[str, int | None, int]:
        """The problem with the payloads of a frame, which payload it is, and its offset."""
        layout = self._frames.layout
        head = self.read(offset, layout.size)
        unpacked = layout.unpack(head)
        sizes = unpacked[: layout.payload_count]
        extent = self._frames.extent(sizes)
        if extent != size:
            problem = f"a frame of {size} bytes, whose payloads need {extent}"
            return problem, None, offset
        start = offset + layout.size
        checksums = layout.unpack_checksums(head)
        for payload, checksum in enumerate(checksums):
            length = sizes[payload]
            if length == NONE:
                continue
            if self._crc(start, length) != checksum:
                return "the checksum is wrong", payload, start
            start += padded_size(length)
        return "", None, offset

    def commit(
        self,
        offset: int,
        size: int,
        pending: FrameRefs,
    ) -> tuple[str, int, Sequence[int]]:
        """Read a commit whose check is right.

        Args:
            offset: of the commit.
            size: of the commit.
            pending: the pending frames before it.

        Returns:
            The problem with it, empty if there is none; its op; the positions.

        Raises:
            UnsupportedVersionError: this library does not know the op.
        """
        if size > LARGEST_COMMIT:
            return f"a commit of {size} bytes", 0, ()
        frame = self.read(offset, size)
        if len(frame) < size:
            return "the frame is cut short", 0, ()
        fields = _COMMIT_FIELDS.unpack_from(frame, FRAME.size)
        start, count, crc_of_checks, op = fields
        refs = np.array(pending, np.uint64)
        first = offset
        crc = 0  # of no bytes
        if len(refs):
            first = int(refs[0, 0])
            checks = refs[:, 2]
            packed_checks = checks.astype("<u4").tobytes()
            crc = crc32(packed_checks)
        if (start, count, crc_of_checks) != (first, len(refs), crc):
            return "a commit that is not of the pending records before it", 0, ()
        if op > DELETE:
            raise UnsupportedVersionError(
                f"an edit of the unknown kind {op}: a later version of the format",
                offset=offset,
            )
        positions = np.frombuffer(frame[COMMIT_HEAD:], "<u8")
        return "", op, positions.tolist()


class _Run(NamedTuple):
    """Records without payloads that follow each other.

    Attributes:
        kind: RECORD or PENDING.
        refs: uint64, (n, 3): offset, size and check of each.
    """

    kind: int
    refs: np.ndarray


class _Pending:
    """The pending records that no commit has followed yet, in their order."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []  # before those of `_refs`
        self._refs: list[FrameRef] = []

    def __bool__(self) -> bool:
        return bool(self._refs or self._runs)

    def add(self, ref: FrameRef) -> None:
        self._refs.append(ref)

    def add_run(self, refs: np.ndarray) -> None:
        self._close_run()
        self._runs.append(refs)

    def take(self) -> FrameRefs:
        """Return all of them, and forget them."""
        if not self._runs:
            refs = self._refs
            self._refs = []
            return refs
        self._close_run()
        runs = self._runs
        self._runs = []
        return np.concatenate(runs)

    def _close_run(self) -> None:
        """Make a run of those that came one by one."""
        if self._refs:
            run = np.array(self._refs, np.uint64)
            self._runs.append(run)
            self._refs = []


def find_frame(
    storage: Storage,
    frames: Frames,
    start: int,
    stop: int,
    kinds: Sequence[int] = (RECORD, COMMIT),
) -> int | None:
    """Find the first frame in a part of the log that verifies.

    Payloads cannot be mistaken for a frame, since its check depends on its offset.

    Args:
        storage: of the `.rec`.
        frames: how its frames are verified.
        start: the first offset to look at, a multiple of 8.
        stop: the end of the part.
        kinds: of frames to look for; by default those that may be acknowledged to somebody, which
            a pending record is not.

    Returns:
        Its offset; None if there is none.

    Raises:
        CorruptError: so many offsets look like frames and do not verify that the file must have
            been made to be slow to read.
    """
    walk = LogScanner(storage, frames, start, stop)
    budget = _LOOKS * (stop - start) + 64 * _CHUNK  # bytes that may still be verified
    while start < stop - FRAME.size:
        # Shorter than asked for if a writer is just cutting off a torn tail.
        count = min(_CHUNK, stop - start)
        data = storage.read(start, count)
        words = np.frombuffer(data, "<u8", len(data) // 8)
        if len(words) < 2:
            return None
        for i in _candidates(words, stop - start, kinds):
            kind = int(words[i]) >> 32
            size = int(words[i + 1])
            covered = frames.head_size(kind, size)
            offset = start + 8 * i
            budget -= covered
            if budget < 0:
                raise CorruptError(
                    "too many beginnings of frames that do not verify",
                    offset=offset,
                )
            if covered and walk._verifies(offset, covered):
                return offset
        start += 8 * (len(words) - 1)
    return None


def _candidates(
    words: np.ndarray,
    room: int,
    kinds: Sequence[int],
) -> list[int]:
    """Where, in words of the log, frames may begin.

    Args:
        words: uint64, (n,), n > 1.
        room: bytes of the log from the first word on.
        kinds: of the frames.

    Returns:
        Positions of words that may hold a check and a kind, and the next word a size.
    """
    word_kinds = words[:-1] >> np.uint64(32)
    of_kinds = np.isin(word_kinds, kinds)
    positions = np.flatnonzero(of_kinds)
    sizes = words[positions + 1]
    rooms = (room - 8 * positions).astype(np.uint64)
    is_multiple = sizes & np.uint64(7) == 0
    may_begin = is_multiple & (sizes <= rooms)
    candidates: list[int] = positions[may_begin].tolist()
    return candidates
