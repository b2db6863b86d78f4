"""Scanning the frames of a `.rec`. Knows nothing of the index, or of samples."""

from __future__ import annotations

import array
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32, crc32_of_payload
from dsrecords._format.entries import FrameRef, row_checks, row_of
from dsrecords._format.frame import COMMIT_HEAD, DELETE, FRAME, METADATA_HEAD, NO_PREV, Frames
from dsrecords._format.header import parse_json
from dsrecords._format.layout import (
    COMMIT,
    FIRST_SKIPPED,
    KIND_SHIFT,
    LARGEST_METADATA,
    METADATA,
    NONE,
    PENDING,
    RECORD,
    REVISION,
    frame_tag,
    kind_of_word,
    offset_mix,
    padded_size,
    size_of_word,
    sizes_of_words,
    tags_of_words,
)
from dsrecords._native import core
from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError, UnsupportedVersionError

LARGEST_COMMIT = 256 * 2**20
"""Bytes: so that a reader never has to hold more positions than these."""

PENDING_KINDS = (PENDING, REVISION)
"""Kinds of frames that wait for a commit."""

OF_RECORDS = (RECORD, *PENDING_KINDS)
"""Kinds of frames whose head is that of a record."""

_CHUNK = 2**20  # bytes read at once
_FAR = 2**16  # bytes: where frames are larger, only their heads are read
_FAR_CHUNK = 2**12  # bytes read at once there
_NEAR_CHUNK = 2**12  # bytes that a search for a frame reads first, then twice as many each time
_RUN = 2**13  # heads verified together
# What C looks at of frames, each with what stands before it.
_HEADS = 0
_PAYLOADS = 1
_PADDING = 2
_MOVED_TOGETHER = 2**16  # rows
_PATIENCE = 32  # frames scanned one by one before a run is looked for again
_LOOKS = 16  # how often `find_frame` may read the same byte, on average
_COMMIT_FIELDS = struct.Struct("<QQII")  # behind the start of a commit: start, count, crc, op
_JSON_SIZE = struct.Struct("<Q")  # behind the start of a frame of metadata
_WORD = struct.Struct("<Q")
_WORD_OFFSET = 8  # of a frame's word
_NO_POSITIONS = ()


class Batch(NamedTuple):
    """What the frames up to one that is not pending do to the list.

    Attributes:
        rows: of the records to append, mixed with nothing: uint64, (n, width).
        op: what is done besides: see `Entries.apply`.
        positions: what the op applies to.
        end: of the log, behind the batch.
        last: offset of its last frame.
        check: of its last frame.
        metadata: offset of the frame of metadata that it is; 0 if it is none.
    """

    rows: np.ndarray
    op: int
    positions: Sequence[int]
    end: int
    last: int
    check: int
    metadata: int


class ScannedFrame(NamedTuple):
    """What a scan found at an offset.

    Attributes:
        offset: of the frame.
        kind: of the frame.
        size: of the frame in bytes; 0 if it cannot be known.
        check: of the frame.
        prev: the check of the frame before it, as this one names it.
        problem: what is wrong with it, empty if there is none.
        payload: which of its payloads has the problem; None if it is none of them.
        problem_offset: where that is.
    """

    offset: int
    kind: int
    size: int
    check: int
    prev: int
    problem: str
    payload: int | None
    problem_offset: int


class LogScanner:
    """A scan of the log from an offset on, batch by batch.

    Iterating yields what each batch does to the list. The attributes say how far the scan came.
    Heads are always verified; payloads where they are new.

    Args:
        storage: of the `.rec`.
        frames: how its frames are verified.
        start: offset of the first frame.
        stop: where to stop; the end of the file, or before it.
        check: what the first frame that is not pending must name.
        row_size: of the rows that are made, in bytes.
        payloads_from: offset of the first frame whose payloads are verified; by default all are.
        only_last_payloads: whether only the payloads of the last batch are verified.
        runs_are_proven: whether runs of frames end before one of which a payload, or the padding
            behind it, is not as it should be. What is no run is given by `take_unproven`.

    Attributes:
        end: of the last whole batch.
        last: offset of the last frame before `end` that is not pending; None if there was none.
        check: of that frame, or what was given.
        fault: what ended the scan; None if it came to `stop`.
        misplaced: whether the fault is a whole frame that must not follow those before it.
        records_before_fault: how many records of the batch that the fault is in come before it.
    """

    def __init__(
        self,
        storage: Storage,
        frames: Frames,
        start: int,
        stop: int,
        check: int,
        row_size: int,
        payloads_from: int = 0,
        only_last_payloads: bool = False,
        runs_are_proven: bool = False,
    ) -> None:
        self._storage = storage
        self._frames = frames
        self._stop = stop
        self._width = row_size // 8
        self._payloads_from = stop if only_last_payloads or runs_are_proven else payloads_from
        self._only_last_payloads = only_last_payloads
        self._runs_are_proven = runs_are_proven
        self.end = start
        self.check = check
        self.last: int | None = None
        self.fault: ScannedFrame | None = None
        self.misplaced = False
        self.records_before_fault = 0
        self._unproven = array.array("Q")
        self._offset = start  # of the next frame
        self._prev = check  # of the frame before it that is not pending
        self._pending = _Pending(self._width)
        self._buffer = memoryview(b"")
        self._buffer_offset = 0
        self._chunk = _CHUNK
        self._one_by_one = 0  # how many frames to scan before a run is looked for again

    def __iter__(self) -> Iterator[Batch]:
        """Scan the log.

        Raises:
            UnsupportedVersionError: there is a frame, or an op of a commit, that only a later
                version of the format knows.
        """
        if not self._only_last_payloads:
            for batch in self._batches():
                self._pass(batch)
                yield batch
            return
        held = None  # which may be the last one
        for batch in self._batches():
            if held is not None:
                self._pass(held)
                yield held
            if batch.op or len(batch.rows) < 2 or not _is_run(batch):
                held = batch
                continue
            before, held = _without_last(batch)
            self._pass(before)
            yield before
        if held is None:
            return
        fault = self._bad_payload_of(held)
        if fault is not None:
            self.fault = fault
            offsets = held.rows[:, 0]
            self.records_before_fault = int(np.searchsorted(offsets, np.uint64(fault.offset)))
            return
        self._pass(held)
        yield held

    def take_unproven(self) -> Sequence[int]:
        """With `runs_are_proven`: the offsets of records of which only the heads were verified.

        Those that the scan has come to since they were last taken.
        """
        taken = self._unproven
        self._unproven = array.array("Q")
        return taken

    def _pass(self, batch: Batch) -> None:
        """Note that the scan came to the end of a batch."""
        self.end = batch.end
        self.last = batch.last
        self.check = batch.check

    def _bad_payload_of(self, batch: Batch) -> ScannedFrame | None:
        """The first frame of a batch with a payload that is damaged; None if there is none."""
        layout = self._frames.layout
        offsets = batch.rows[:, 0]
        suspects = offsets.tolist()
        if self._width * 8 == layout.long_row_size and len(suspects) > 1:
            heads = batch.rows.view(layout.row_dtype)[:, 0]
            suspects = offsets[self._suspects(heads, offsets)].tolist()
        for offset in suspects:
            found = self.frame(offset, payloads=True)
            if found.problem:
                return found
        return None

    def _suspects(self, heads: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Which frames may have a damaged payload: those that have, and revisions: bool, (n,).

        The heads are verified. All payloads are looked at in one loop, ten times as fast as frame
        by frame.
        """
        sizes = heads["sizes"].copy()
        suspects: np.ndarray = kernels.are_revisions(heads)
        sizes[suspects] = NONE
        starts = self._frames.layout.payload_offset_table(sizes, offsets)
        flat = zip(
            starts.ravel().tolist(),
            sizes.ravel().tolist(),
            heads["checksums"].ravel().tolist(),
        )
        payload_count = sizes.shape[1]
        for number, (start, size, checksum) in enumerate(flat):
            if size == NONE:
                continue
            begin = start - self._buffer_offset
            end = begin + size
            if begin >= 0 and end <= len(self._buffer):
                crc = crc32_of_payload(self._buffer[begin:end])
            else:
                crc = self._crc(start, size)
            if crc != checksum:
                suspects[number // payload_count] = True
        return suspects

    def _batches(self) -> Iterator[Batch]:
        while self._offset < self._stop and self.fault is None:
            run = self._next_run()
            batch = self._scan_frame() if run is None else self._take_run(run)
            if batch is not None:
                yield batch

    def _scan_frame(self) -> Batch | None:
        """Scan the next frame.

        Returns:
            The batch that it ends. None if it is pending, or the fault that ends the scan.
        """
        payloads = self._offset >= self._payloads_from
        found = self.frame(self._offset, payloads)
        if found.problem:
            self.fault = found
            self.records_before_fault = len(self._pending)
            return None
        if self._runs_are_proven and found.kind in OF_RECORDS:
            self._unproven.append(found.offset)
        if found.kind in PENDING_KINDS:
            if found.prev:
                problem = "a pending frame that names a frame before it"
                self.fault = found._replace(problem=problem)
                self.records_before_fault = len(self._pending)
                return None
            self._pending.add(self._row(found))
            self._offset += found.size
            return None
        return self._complete(found)

    def _row(self, found: ScannedFrame) -> np.ndarray:
        """The row of a frame of a record."""
        head = self.read(found.offset, self._frames.layout.size)
        ref = FrameRef(found.offset, found.size, found.check, bytes(head[4:]))
        return row_of(ref, self._width)

    def _take_run(self, run: _Run) -> Batch | None:
        """Go on behind a run.

        Returns:
            The batch of its records. None if they are pending.
        """
        if run.kind == RECORD and self._pending:
            return self._scan_frame()  # which is the fault: no commit came before it
        if self._runs_are_proven and core is None:  # NumPy looks at heads alone
            self._unproven.frombytes(run.rows[:, 0].tobytes())
        if run.kind == PENDING:
            self._pending.add(run.rows)
            self._offset = run.end
            return None
        return self._batch(run.rows, 0, _NO_POSITIONS, run.end, run.last, run.check)

    def _batch(
        self,
        rows: np.ndarray,
        op: int,
        positions: Sequence[int],
        end: int,
        last: int,
        check: int,
        metadata: int = 0,
    ) -> Batch:
        """Go on behind a batch, and return it."""
        self._offset = end
        self._prev = check
        return Batch(rows, op, positions, end, last, check, metadata)

    def _complete(self, found: ScannedFrame) -> Batch | None:
        """Make the batch that ends with a frame, which verifies and is not pending.

        Returns:
            None if the frame must not follow those before it: then it is the fault.
        """
        pending = self._pending.take()
        rows = pending
        op = 0
        positions: Sequence[int] = _NO_POSITIONS
        problem = ""
        metadata = 0
        if METADATA < found.kind < FIRST_SKIPPED and found.prev in (self._prev, NO_PREV):
            raise unknown_kind(found)  # which may end a batch, or be pending, too
        if found.prev != self._prev:
            problem = "the frame names another one than that before it"
        elif found.kind == COMMIT:
            self._one_by_one = 0  # a run may well follow the commit
            problem, op, positions = self.commit(found.offset, found.size, pending)
        elif len(pending):
            problem = "the pending records before it have no commit"
        elif found.kind == RECORD:
            rows = self._row(found)
        elif found.kind == METADATA:
            metadata = found.offset
            if found.size > LARGEST_METADATA:
                problem = f"metadata of {found.size} bytes"
        if problem:
            self.fault = found._replace(problem=problem)
            self.misplaced = True
            return None
        end = found.offset + found.size
        return self._batch(rows, op, positions, end, found.offset, found.check, metadata)

    # Runs

    def _next_run(self) -> _Run | None:
        """The run that begins with the next frame, if it is time to look for one.

        Where frames of different kinds alternate there are no runs, and looking for them at each
        frame would only take time.
        """
        if self._one_by_one > 0:
            self._one_by_one -= 1
            return None
        run = self._run(self._offset)
        # One that C does not prove may be the only one, and to look at each by itself takes long.
        has_patience = core is None or not self._runs_are_proven
        if run is None and has_patience:
            self._one_by_one = _PATIENCE - 1  # the next frame is the first of them
        return run

    def _run(self, offset: int) -> _Run | None:
        """Verify, together, frames of records that follow each other and are of one kind.

        Returns:
            Two frames or more; None if the first two are not such frames.
        """
        if core is None:
            return self._run_by_numpy(offset)
        kind = self._kind_at(offset)
        if kind not in (RECORD, PENDING):
            return None
        stop = self._stop
        depth = _HEADS
        if self._frames.layout.payload_count:
            if self._runs_are_proven:
                depth = _PADDING
            elif offset >= self._payloads_from:
                depth = _PAYLOADS
            else:
                stop = min(stop, self._payloads_from)
        return self._walked(offset, stop, kind, depth)

    def _walked(
        self,
        offset: int,
        stop: int,
        kind: int,
        depth: int,
    ) -> _Run | None:
        """A run, as C walks along it.

        Args:
            offset: of the first frame.
            stop: where the last must end.
            kind: of all of them.
            depth: what is looked at: one of _HEADS, _PAYLOADS, _PADDING.
        """
        layout = self._frames.layout
        rows = np.empty((_RUN, self._width), np.uint64)
        count = 0
        last = offset
        check = self._prev
        while offset < stop and count < _RUN:
            if not self._has_ahead(offset, depth):
                break
            found, next_offset, last_of_found, check_of_found = core.walk(
                self._buffer,
                self._buffer_offset,
                offset,
                stop,
                kind,
                check,
                self._frames.seed,
                layout.size,
                layout.payload_count,
                depth,
                rows[count:],
                8 * self._width,
            )
            if not found:
                break
            is_far = next_offset - offset > _FAR * found
            self._chunk = _FAR_CHUNK if is_far and depth == _HEADS else _CHUNK
            count += found
            offset = next_offset
            last = last_of_found
            check = check_of_found
        if count < 2:
            return None
        return _Run(kind, rows[:count], offset, last, check)

    def _has_ahead(self, offset: int, depth: int) -> bool:
        """Read as much of a frame as is to be looked at. Returns False if it is not all there."""
        size = self._frames.layout.size
        head = self.read(offset, size)
        if len(head) == size and depth > _HEADS:
            (word,) = _WORD.unpack_from(head, _WORD_OFFSET)
            size = size_of_word(word)
            if size > _CHUNK:  # read in pieces, by itself
                return False
            head = self.read(offset, size)
        return len(head) == size

    def _run_by_numpy(self, offset: int) -> _Run | None:
        """Verify, together, frames of records that follow each other and are of one kind.

        Only where their payloads are not to be verified.

        Returns:
            Two frames or more; None if the first two are not such frames.
        """
        layout = self._frames.layout
        stop = self._stop
        if layout.payload_count:
            stop = min(stop, self._payloads_from)
        kind = self._kind_at(offset)
        if kind not in (RECORD, PENDING) or offset >= stop:
            return None
        if layout.payload_count:
            heads, offsets = self._heads_ahead(offset, stop, kind)
        else:
            heads, offsets = self._equal_heads_ahead(offset, stop)
        if len(heads) < 2:
            return None
        count = self._frames.scan(heads, offsets, self._prev)
        if count < 2:
            return None
        heads = heads[:count]
        rows = kernels.make_rows(heads, offsets[:count], self._width)
        last = int(offsets[count - 1])
        size = size_of_word(int(heads["word"][-1]))
        check = int(heads["check"][-1])
        return _Run(kind, rows, last + size, last, check)

    def _kind_at(self, offset: int) -> int:
        start = self.read(offset, FRAME.size)
        if len(start) < FRAME.size:
            return 0
        (word,) = _WORD.unpack_from(start, _WORD_OFFSET)
        return kind_of_word(word)

    def _equal_heads_ahead(self, offset: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """What lies ahead, read as heads without payloads, and their offsets."""
        layout = self._frames.layout
        # Only what has been read already: a run goes on in the next one.
        buffered = self._buffer[offset - self._buffer_offset : stop - self._buffer_offset]
        count = min(len(buffered) // layout.size, _RUN)
        heads = np.frombuffer(buffered, layout.dtype, count)
        offsets = offset + layout.size * np.arange(count, dtype=np.uint64)
        return heads, offsets

    def _heads_ahead(
        self,
        offset: int,
        stop: int,
        kind: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The heads of frames of one kind that follow each other, as they say, and their offsets.

        Their checks are not verified. The frames end before `stop`.
        """
        dtype = self._frames.layout.dtype
        # As plain bytes: to concatenate them as they are would change the layout of their fields.
        plain = np.dtype(f"V{dtype.itemsize}")
        heads = [np.empty(0, plain)]
        offsets = [np.empty(0, np.uint64)]
        count = 0
        while offset < stop and count < _RUN:
            self.read(offset, dtype.itemsize)
            base = self._buffer_offset
            starts = _frame_starts(
                self._buffer,
                offset - base,
                stop - base,
                frame_tag(kind),
                dtype.itemsize,
            )
            if len(starts) < 2:
                break
            next_start = starts.pop()
            array = np.array(starts, np.uint64)
            heads.append(kernels.gather_heads(self._buffer, dtype, array).view(plain))
            offsets.append(array + np.uint64(base))
            count += len(starts)
            self._chunk = _FAR_CHUNK if next_start - starts[-1] > _FAR else _CHUNK
            offset = base + next_start
            if next_start + dtype.itemsize <= len(self._buffer):  # it is of another kind
                break
        return np.concatenate(heads).view(dtype), np.concatenate(offsets)

    # One frame

    def frame(self, offset: int, payloads: bool = True) -> ScannedFrame:
        """Scan the frame at an offset: what it is, and the problem with it.

        Args:
            offset: of the frame.
            payloads: whether to verify its payloads.
        """
        start = self.read(offset, FRAME.size)
        check = 0
        prev = 0
        word = 0
        if len(start) == FRAME.size:
            check, prev, word = FRAME.unpack(start)
        kind = kind_of_word(word)
        size = size_of_word(word)
        covered = self._frames.head_size(kind, size)
        if not covered:
            problem = f"no frame has kind {kind} and size {size}"
        elif size > self._stop - offset:
            problem = "the frame is cut short"
        elif not self._verifies(offset, covered):
            problem = "the frame's check is wrong"
        else:
            problem = ""
        found = ScannedFrame(
            offset,
            kind,
            size,
            check,
            prev,
            problem,
            None,
            offset,
        )
        if problem:
            return found._replace(size=0)
        self._chunk = _FAR_CHUNK if size > _FAR and not payloads else _CHUNK
        if kind == REVISION:
            return self._with_bad_revision(found, payloads)
        if kind in OF_RECORDS:
            return self._with_bad_record(found, payloads)
        return found

    def read(self, offset: int, count: int) -> memoryview:
        """Read bytes of the file through a buffer; fewer than asked for at its end."""
        start = offset - self._buffer_offset
        stop = start + count
        if start < 0 or stop > len(self._buffer):
            size = min(max(count, self._chunk), self._stop - offset)
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
            crc = crc32_of_payload(piece, crc)
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

    def _with_bad_record(self, found: ScannedFrame, payloads: bool) -> ScannedFrame:
        """A frame that consists of a head and payloads, with the problem that these have."""
        layout = self._frames.layout
        offset = found.offset
        head = self.read(offset, layout.size)
        sizes = layout.unpack(head)[: layout.payload_count]
        extent = self._frames.extent(sizes)
        if extent != found.size:
            problem = f"a frame of {found.size} bytes, whose payloads need {extent}"
            return found._replace(problem=problem)
        if not payloads:
            return found
        starts = layout.payload_offsets(sizes, offset)
        return self._with_bad_payload(found, starts, sizes, layout.unpack_checksums(head))

    def _with_bad_revision(self, found: ScannedFrame, payloads: bool) -> ScannedFrame:
        """The same of a revision, of which only new payloads are looked at."""
        layout = self._frames.layout
        offset = found.offset
        head = self.read(offset, layout.size)
        sizes = list(layout.unpack(head)[: layout.payload_count])
        checksums = layout.unpack_checksums(head)
        starts = self.table_offsets(found, sizes)
        if starts is None:
            problem = "the table of a revision is damaged"
            return found._replace(problem=problem, problem_offset=offset + layout.size)
        if not payloads:
            return found
        for payload, start in enumerate(starts):
            if start < offset:
                sizes[payload] = NONE
        return self._with_bad_payload(found, starts, sizes, checksums)

    def table_offsets(self, found: ScannedFrame, sizes: Sequence[int]) -> Sequence[int] | None:
        """Where the payloads of a revision are; None if that is damaged."""
        layout = self._frames.layout
        table_offset = found.offset + layout.size
        table = bytes(self.read(table_offset, layout.table_size))
        if len(table) < layout.table_size:  # the file was cut just now
            return None
        return self._frames.table_offsets(
            table,
            found.check,
            found.offset,
            found.size,
            sizes,
        )

    def _with_bad_payload(
        self,
        found: ScannedFrame,
        starts: Sequence[int],
        sizes: Sequence[int],
        checksums: Sequence[int],
    ) -> ScannedFrame:
        for payload, checksum in enumerate(checksums):
            length = sizes[payload]
            if length == NONE:
                continue
            start = starts[payload]
            if self._crc(start, length) != checksum:
                return found._replace(
                    problem="the checksum is wrong",
                    payload=payload,
                    problem_offset=start,
                )
        return found

    def metadata(self, found: ScannedFrame) -> dict[str, Any]:
        """The object in a frame of metadata that verifies.

        Raises:
            ValueError, RecursionError: there is none.
        """
        if found.size > LARGEST_METADATA:
            raise ValueError(f"a frame of {found.size} bytes")
        frame = bytes(self.read(found.offset, found.size))
        (length,) = _JSON_SIZE.unpack_from(frame, FRAME.size)
        stop = METADATA_HEAD + length
        if padded_size(stop) != len(frame):
            raise ValueError(f"{length} bytes of JSON in a frame of {len(frame)}")
        metadata = parse_json(frame[METADATA_HEAD:stop])
        if not isinstance(metadata, dict):
            raise ValueError("not an object")
        return metadata

    def commit(
        self,
        offset: int,
        size: int,
        pending: np.ndarray,
    ) -> tuple[str, int, Sequence[int]]:
        """Read a commit whose check is right.

        Args:
            offset: of the commit.
            size: of the commit.
            pending: rows of the pending frames before it: uint64, (n, width).

        Returns:
            The problem with it, empty if there is none; its op; what that applies to.

        Raises:
            UnsupportedVersionError: this library does not know the op.
        """
        if size > LARGEST_COMMIT:
            return f"a commit of {size} bytes", 0, _NO_POSITIONS
        frame = self.read(offset, size)
        if len(frame) < size:
            return "the frame is cut short", 0, _NO_POSITIONS
        fields = _COMMIT_FIELDS.unpack_from(frame, FRAME.size)
        start, count, crc_of_checks, op = fields
        first = offset
        crc = _crc_of_checks(pending)
        if len(pending):
            first = int(pending[0, 0])
        if (start, count, crc_of_checks) != (first, len(pending), crc):
            return "a commit that is not of the pending records before it", 0, _NO_POSITIONS
        if op > DELETE:
            raise UnsupportedVersionError(
                f"an edit of the unknown kind {op}: a later version of the format",
                offset=offset,
            )
        positions = np.frombuffer(frame[COMMIT_HEAD:], "<u8")
        return "", op, positions.tolist()


def unknown_kind(found: ScannedFrame) -> UnsupportedVersionError:
    """The error of a frame that this library must not pass over."""
    return UnsupportedVersionError(
        f"a frame of the unknown kind {found.kind}: a later version of the format",
        offset=found.offset,
    )


class _Run(NamedTuple):
    """Frames of records that follow each other.

    Attributes:
        kind: RECORD or PENDING.
        rows: uint64, (n, width).
        end: of the last one.
        last: offset of the last one.
        check: of the last one.
    """

    kind: int
    rows: np.ndarray
    end: int
    last: int
    check: int


def _is_run(batch: Batch) -> bool:
    """Whether a batch is of several records, each of which is whole without the others."""
    return int(batch.rows[-1, 0]) == batch.last


def _without_last(batch: Batch) -> tuple[Batch, Batch]:
    """A run without its last record, and that record."""
    rows = batch.rows
    before = batch._replace(
        rows=rows[:-1],
        end=batch.last,
        last=int(rows[-2, 0]),
        check=int(row_checks(rows[-2:-1])[0]),
    )
    return before, batch._replace(rows=rows[-1:])


def _frame_starts(
    buffer: memoryview,
    start: int,
    stop: int,
    tag: int,
    smallest: int,
) -> list[int]:
    """Where frames of one kind that follow each other begin in a buffer, as they say.

    Args:
        buffer: of bytes.
        start: of the first frame in it; it may be of another kind.
        stop: where the last one must end, at the latest; it may lie behind the buffer.
        tag: of the frames.
        smallest: size of a frame in bytes.

    Returns:
        The starts, and behind them where the next frame begins.
    """
    starts = [start]
    unpack = _WORD.unpack_from
    last = len(buffer) - smallest
    while start <= last:
        (word,) = unpack(buffer, start + _WORD_OFFSET)
        size = size_of_word(word)
        if word >> KIND_SHIFT != tag or size < smallest or size & 7:
            break
        start += size
        if start > stop:
            break
        starts.append(start)
    return starts


class _Pending:
    """The rows of pending records that no commit has followed yet, in their order.

    A commit may have millions of them. So they are not held twice: what was added is moved, now and
    then, behind what was moved before.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._moved = np.empty((0, width), np.uint64)
        self._added: list[np.ndarray] = []
        self._added_count = 0

    def __len__(self) -> int:
        return len(self._moved) + self._added_count

    def add(self, rows: np.ndarray) -> None:
        self._added.append(rows)
        self._added_count += len(rows)
        if self._added_count >= _MOVED_TOGETHER:
            self._move()

    def _move(self) -> None:
        start = len(self._moved)
        count = start + self._added_count
        # The system moves large memory without a copy.
        self._moved.resize((count, self._width), refcheck=False)
        for rows in self._added:
            stop = start + len(rows)
            self._moved[start:stop] = rows
            start = stop
        self._added = []
        self._added_count = 0

    def take(self) -> np.ndarray:
        """Return all of them, and forget them."""
        if len(self._added) == 1 and not len(self._moved):
            (rows,) = self._added
        else:
            self._move()
            rows = self._moved
            self._moved = np.empty((0, self._width), np.uint64)
        self._added = []
        self._added_count = 0
        return rows


def _crc_of_checks(rows: np.ndarray) -> int:
    """CRC-32 of the checks of rows, as a commit has it."""
    crc = 0  # of no bytes
    for start in range(0, len(rows), _MOVED_TOGETHER):
        checks = row_checks(rows[start : start + _MOVED_TOGETHER])
        crc = crc32(checks.astype("<u4").tobytes(), crc)
    return crc


def find_frame(
    storage: Storage,
    frames: Frames,
    start: int,
    stop: int,
    pending: bool = False,
) -> int | None:
    """Find the first frame in a part of the log that verifies.

    Payloads cannot be mistaken for a frame, since its check depends on its offset.

    Args:
        storage: of the `.rec`.
        frames: how its frames are verified.
        start: the first offset to look at, a multiple of 8.
        stop: the end of the part.
        pending: whether to look for pending frames as well; others may be acknowledged to somebody.

    Returns:
        Its offset; None if there is none.

    Raises:
        CorruptError: so many offsets look like frames and do not verify that the file must have
            been made to be slow to read.
    """
    scanner = LogScanner(storage, frames, start, stop, 0, 16)
    scanner._chunk = _NEAR_CHUNK
    budget = _LOOKS * (stop - start) + 64 * _CHUNK  # bytes that may still be verified
    # Where every second frame is damaged, the next one is near: each search reads but little.
    chunk = _NEAR_CHUNK
    while start < stop - FRAME.size:
        # Shorter than asked for if a writer is just cutting off a torn tail.
        count = min(chunk, stop - start)
        chunk = min(2 * chunk, _CHUNK)
        data = storage.read(start, count)
        words = np.frombuffer(data, "<u8", len(data) // 8)
        if len(words) < 2:
            return None
        for i in _candidates(words, stop - start, pending):
            word = int(words[i + 1])
            covered = frames.head_size(kind_of_word(word), size_of_word(word))
            offset = start + 8 * i
            budget -= covered
            if budget < 0:
                raise CorruptError(
                    "too many beginnings of frames that do not verify",
                    offset=offset,
                )
            if covered and scanner._verifies(offset, covered):
                return offset
        start += 8 * (len(words) - 1)
    return None


def _candidates(
    words: np.ndarray,
    room: int,
    pending: bool,
) -> list[int]:
    """Where, in words of the log, frames may begin.

    Args:
        words: uint64, (n,), n > 1.
        room: bytes of the log from the first word on.
        pending: whether to look for pending frames as well.

    Returns:
        Positions of words that may hold a check, and the next one a kind and a size.
    """
    tags = tags_of_words(words[1:])
    is_frame = (tags >> np.uint64(8)) == frame_tag(0) >> 8
    if not pending:
        for kind in PENDING_KINDS:
            is_frame &= tags != frame_tag(kind)
    positions = np.flatnonzero(is_frame)
    sizes = sizes_of_words(words[positions + 1])
    rooms = (room - 8 * positions).astype(np.uint64)
    is_multiple = sizes & np.uint64(7) == 0
    may_begin = is_multiple & (sizes <= rooms)
    candidates: list[int] = positions[may_begin].tolist()
    return candidates
