"""The walk along the frames of a `.rec`. Knows nothing of the index, or of samples."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.frame import COMMIT, COMMIT_HEAD, DELETE, FRAME, PENDING, RECORD, Frames
from dsrecords._format.layout import NONE, offset_mix, padded_size
from dsrecords._storage import files
from dsrecords.errors import CorruptError, UnsupportedVersionError

LARGEST_COMMIT = 256 * 2**20  # bytes: so that a reader never has to hold more positions than this
_CHUNK = 2**20
_RUN = 2**13  # heads that are looked at together
_PATIENCE = 32
_CHECKED = 16  # how often a search for frames may look at the same byte, on average


Place = tuple[int, int, int]  # of a record: offset, size and check of its frame
Places = Any  # of many: a list of Place, or uint64 (n, 3)


class Found(NamedTuple):
    """What a walk found at an offset: the size is 0 where it cannot be known; `wrong` is empty, or says what is wrong `where`."""

    at: int
    kind: int
    size: int
    check: int
    wrong: str
    payload: int | None
    where: int


class Walk:
    """The batches of a log from some offset on, each verified as a whole: iterate, then look at the attributes.

    Yields (places of the records to append, op, positions) for each batch.

    Attributes:
        end: behind the last whole batch.
        last: offset of the last frame before `end`; None if there was none.
        check: that frame's check.
        fault: what ended the walk; None if it came to `stop`.
        misplaced: whether that is a whole frame, which cannot be where it is.
    """

    def __init__(self, fd: int, frames: Frames, start: int, stop: int) -> None:
        self._fd, self._frames, self._stop = fd, frames, stop
        self.end, self.check = start, 0
        self.last: int | None = None
        self.fault: Found | None = None
        self.misplaced = False
        self._buffer, self._base = memoryview(b""), 0

    def __iter__(self) -> Iterator[tuple[Places, int, Sequence[int]]]:
        at = self.end
        pending: list[Place] = []
        runs: list[np.ndarray] = []  # of pending records, before those of `pending`
        patience = 0  # frames to look at one by one, since the last that was looked at was not followed by one like it
        while at < self._stop:
            if not self._frames.layout.payload_count and patience <= 0:
                if (run := self._run(at)) is not None:
                    kind, places = run
                    at = int(places[-1, 0] + places[-1, 1])
                    if kind == PENDING:
                        runs += (np.array(pending, np.uint64), places) if pending else (places,)
                        pending = []
                        continue
                    if not pending and not runs:
                        self.end, self.last, self.check = at, int(places[-1, 0]), int(places[-1, 2])
                        yield places, 0, ()
                        continue
                    at = int(
                        places[0, 0]
                    )  # the pending records before it have no commit: as is said below
                patience = _PATIENCE
            patience -= 1
            found = self.frame(at)
            kind, size, check, wrong = found[1:5]
            op = 0
            positions: Sequence[int] = ()
            if not wrong and kind == PENDING:
                pending.append((at, size, check))
                at += size
                continue
            records: Places = (
                np.concatenate([*runs, *([np.array(pending, np.uint64)] if pending else [])])
                if runs
                else pending
            )
            if not wrong and kind == COMMIT:
                wrong, op, positions = self.commit(at, size, records)
                pending, runs, patience = [], [], 0
            elif not wrong and len(records):
                wrong = "the pending records before it have no commit"
            elif kind == RECORD:
                records = [(at, size, check)]
            if wrong:
                self.fault, self.misplaced = found._replace(wrong=wrong), not found.wrong
                return
            self.end, self.last, self.check = at + size, at, check
            yield records, op, positions
            at += size

    def _run(self, at: int) -> tuple[int, np.ndarray] | None:
        """Frames that follow each other and are of one kind, where records have no payloads: looked at together.

        Returns:
            Their kind, and uint64 (n, 3), n > 1: offset, size and check of each; None if the first two are not such frames.
        """
        dtype, head = self._frames.layout.dtype, self._frames.layout.size
        if len(two := self.read(at, 2 * head)) < 2 * head or two[4:16] != two[head + 4 : head + 16]:
            return None
        raw = self._buffer[at - self._base :][
            : _RUN * head
        ]  # what is read already: a run goes on in the next one
        heads = np.frombuffer(raw, dtype, len(raw) // head)
        like = (heads["kind"] == heads["kind"][:1]) & (heads["size"] == head)
        count = len(heads) if like.all() else int(like.argmin())
        if count < 2 or heads["kind"][0] not in (RECORD, PENDING):
            return None
        places = np.empty((count, 3), np.uint64)
        places[:, 0], places[:, 1] = at + np.arange(0, count * head, head), head
        places[:, 2] = self._frames.checks_of(heads[:count], places[:, 0])
        right = places[:, 2] == heads["check"][:count]
        count = count if right.all() else int(right.argmin())
        return (int(heads["kind"][0]), places[:count]) if count > 1 else None

    def frame(self, at: int) -> Found:
        """The frame at an offset, and what is wrong with it."""
        start = self.read(at, FRAME.size)
        check, kind, size = FRAME.unpack(start) if len(start) == FRAME.size else (0, 0, 0)
        covered = self._frames.head_size(kind, size)
        if not covered or size & 7:
            return Found(at, kind, 0, check, f"no frame has kind {kind} and size {size}", None, at)
        if size > self._stop - at:
            return Found(at, kind, 0, check, "the frame is cut short", None, at)
        if not self._verifies(at, covered):
            return Found(at, kind, 0, check, "the frame's check is wrong", None, at)
        wrong = self._bad_payload(at, size) if kind in (RECORD, PENDING) else ("", None, at)
        return Found(at, kind, size, check, *wrong)

    def read(self, at: int, count: int) -> memoryview:
        """Bytes of the file, through a buffer; fewer than asked for at its end."""
        start = at - self._base
        if start < 0 or start + count > len(self._buffer):
            self._buffer = memoryview(
                files.pread(self._fd, min(max(count, _CHUNK), self._stop - at), at)
            )
            self._base, start = at, 0
        return self._buffer[start : start + count]

    def _crc(self, at: int, count: int, seed: int = 0) -> int:
        """crc32 of a part of the file, however long, in pieces."""
        while count > 0 and len(piece := self.read(at, min(count, _CHUNK))):
            seed, at, count = crc32(piece, seed), at + len(piece), count - len(piece)
        return seed if count <= 0 else -1

    def _verifies(self, at: int, covered: int) -> bool:
        if covered <= _CHUNK:
            head = self.read(at, covered)
            return len(head) == covered and self._frames.verifies(head, at)
        check = int.from_bytes(self.read(at, 4), "little")
        return self._crc(at + 4, covered - 4, self._frames.seed) ^ offset_mix(at) == check

    def _bad_payload(self, at: int, size: int) -> tuple[str, int | None, int]:
        layout = self._frames.layout
        head = self.read(at, layout.size)
        sizes, start = layout.unpack(head)[: layout.payload_count], at + layout.size
        if (extent := self._frames.extent(sizes)) != size:
            return f"a frame of {size} bytes, whose payloads need {extent}", None, at
        for payload, checksum in enumerate(layout.unpack_checksums(head)):
            if (length := sizes[payload]) != NONE:
                if self._crc(start, length) != checksum:
                    return "the checksum is wrong", payload, start
                start += padded_size(length)
        return "", None, at

    def commit(self, at: int, size: int, pending: Places) -> tuple[str, int, Sequence[int]]:
        """What is wrong with a commit that verifies; its op and positions."""
        if size > LARGEST_COMMIT:
            return f"a commit of {size} bytes", 0, ()
        frame = self.read(at, size)
        if len(frame) < size:
            return "the frame is cut short", 0, ()
        start, count, total, op = struct.unpack_from("<QQII", frame, FRAME.size)
        places = np.array(pending, np.uint64).reshape(-1, 3)
        checks = places[:, 2].astype("<u4")
        if (start, count) != (
            int(places[0, 0]) if len(places) else at,
            len(places),
        ) or total != crc32(checks.tobytes()):
            return "a commit that is not of the pending records before it", 0, ()
        if op > DELETE:
            raise UnsupportedVersionError(
                f"an edit of the unknown kind {op}: a later version of the format", offset=at
            )
        return "", op, np.frombuffer(frame[COMMIT_HEAD:], "<u8").tolist()


def find_frame(
    fd: int, frames: Frames, start: int, stop: int, kinds: Sequence[int] = (RECORD, COMMIT)
) -> int | None:
    """Offset of the first frame in start … stop that verifies and is of these kinds.

    By default those that somebody may rely on, which a pending record is not. Payloads cannot be mistaken for a frame, since the
    check depends on the offset.

    Raises:
        CorruptError: a great many places look like frames, overlap, and do not verify: a file made to be slow to read.
    """
    walk, budget = Walk(fd, frames, start, stop), _CHECKED * (stop - start) + 64 * _CHUNK
    while start < stop - FRAME.size:
        raw = files.pread(
            fd, min(_CHUNK, stop - start), start
        )  # less where a writer is just cutting a torn tail off
        words = np.frombuffer(raw, "<u8", len(raw) // 8)
        if len(words) < 2:
            return None
        kind, size = words[:-1] >> np.uint64(32), words[1:]
        room = np.uint64(stop - start) - np.arange(0, 8 * len(size), 8, dtype=np.uint64)
        for word in np.flatnonzero(
            np.isin(kind, kinds) & (size <= room) & (size & np.uint64(7) == 0)
        ).tolist():
            covered = frames.head_size(int(kind[word]), int(size[word]))
            if (budget := budget - covered) < 0:
                raise CorruptError(
                    "too many beginnings of frames that do not verify", offset=start + 8 * word
                )
            if covered and walk._verifies(start + 8 * word, covered):
                return start + 8 * word
        start += 8 * len(size)
    return None
