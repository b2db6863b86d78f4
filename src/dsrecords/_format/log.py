"""The `.rec` file: its header, and the walk along its frames. Knows nothing of the index, or of samples."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format.foreign import seems
from dsrecords._format.frame import COMMIT, COMMIT_HEAD, DELETE, FRAME, PENDING, RECORD, Frames, crc32
from dsrecords._schema.schema import Schema
from dsrecords._storage import files
from dsrecords._types.base import NONE, describe
from dsrecords.errors import CorruptError, SchemaError, UnsupportedVersionError

MAGIC = b"\x89DSR\r\n\x1a\n"
VERSION = 1
PAGE = 4096
_HEADER = struct.Struct("<8sIHHII16s")
ID_AT = 24  # where in the header the id is
_LARGEST_HEADER = 16 * 2**20
LARGEST_COMMIT = 256 * 2**20  # bytes: so that a reader never has to hold more positions than this
_CHUNK = 2**20
_RUN = 2**13  # heads that are looked at together
_PATIENCE = 32
_CHECKED = 16  # how often a search for frames may look at the same byte, on average


class Header:
    """What the header of a `.rec` says: id, schema, metadata; `raw` is all of it, `size` its length H."""

    def __init__(self, raw: bytes, id: bytes, schema: Schema, metadata: dict[str, Any]) -> None:
        self.raw, self.size, self.id, self.schema, self.metadata = raw, len(raw), id, schema, metadata
        self.frames = Frames(schema, id)


def make_header(schema: Schema, metadata: dict[str, Any], id: bytes) -> Header:
    """Raises SchemaError where the metadata are not JSON, or too much of it."""
    if not isinstance(metadata, dict):
        raise SchemaError(f"metadata are a dict, not {describe(metadata)}")
    try:
        text = json.dumps({**schema.to_json(), "metadata": metadata}, ensure_ascii=False, allow_nan=False).encode()
        _parse(text)  # what nobody could read, such as the keys 1 and "1" beside each other, is not written
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"metadata must be JSON: {error}") from None
    size = -(-(_HEADER.size + len(text)) // PAGE) * PAGE
    if size > _LARGEST_HEADER:
        raise SchemaError(f"schema and metadata take {len(text)} bytes; a header has at most {_LARGEST_HEADER}")
    rest = (struct.pack("<HHII16s", VERSION, 0, size, len(text), id) + text).ljust(size - 12, b"\0")
    return Header(MAGIC + struct.pack("<I", crc32(rest)) + rest, id, schema, metadata)


def read_header(fd: int, path: str, at: int = 0) -> Header:
    """The header (or its copy `at` another offset), everything in it checked. Raises CorruptError or UnsupportedVersionError."""
    start = files.pread(fd, _HEADER.size, at)
    if start[:8] != MAGIC:
        raise CorruptError(f"not a DSRecords file: {seems(fd)}" if start else "empty", file=path)
    if len(start) < _HEADER.size:
        raise CorruptError("the header is cut short", file=path, offset=len(start))
    _, checksum, version, flags, size, length, id = _HEADER.unpack(start)
    if version != VERSION or flags:
        raise UnsupportedVersionError(f"format version {version}, flags {flags}: this library reads version {VERSION}", file=path)
    if size % PAGE or not _HEADER.size + length <= size <= _LARGEST_HEADER:
        raise CorruptError(f"the header claims {size} bytes with {length} of JSON", file=path, offset=16)
    raw = files.pread(fd, size, at)
    if len(raw) < size:
        raise CorruptError(f"the header is cut short: {size} bytes claimed", file=path, offset=len(raw))
    if crc32(raw[12:]) != checksum:
        raise CorruptError("the header's checksum is wrong", file=path, offset=8)
    try:
        data = _parse(raw[_HEADER.size : _HEADER.size + length])
        schema = Schema.from_json(data)
        metadata = data.get("metadata", {})
        if not isinstance(metadata, dict):
            raise ValueError("metadata is not an object")
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"the header's JSON: {error}", file=path, offset=_HEADER.size) from None
    return Header(raw, id, schema, metadata)


def _parse(text: bytes) -> Any:
    return json.loads(str(text, "utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(result := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


Place = tuple[int, int, int]  # of a record: offset, size and check of its frame
Places = Any  # of many: a list of Place, or uint64 (n, 3)


class Found(NamedTuple):
    """What a walk found at an offset: the size is 0 where it cannot be known; `wrong` is empty, or says what is wrong `where`."""

    at: int
    kind: int
    size: int
    check: int
    wrong: str
    field: Any
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
            if not self._frames.schema.payloads and patience <= 0:
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
                    at = int(places[0, 0])  # the pending records before it have no commit: as is said below
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
            records: Places = np.concatenate([*runs, *([np.array(pending, np.uint64)] if pending else [])]) if runs else pending
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
        dtype, head = self._frames.schema.dtype, self._frames.head
        if len(two := self.read(at, 2 * head)) < 2 * head or two[4:16] != two[head + 4 : head + 16]:
            return None
        raw = self._buffer[at - self._base :][: _RUN * head]  # what is read already: a run goes on in the next one
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
            self._buffer = memoryview(files.pread(self._fd, min(max(count, _CHUNK), self._stop - at), at))
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
        return self._crc(at + 4, covered - 4, self._frames.seed) ^ (at >> 3 & 2**32 - 1) == check

    def _bad_payload(self, at: int, size: int) -> tuple[str, Any, int]:
        frames = self._frames
        head = self.read(at, frames.head)
        sizes, start = frames.schema.unpack(head)[: len(frames.schema.payloads)], at + frames.head
        if (extent := frames.extent(sizes)) != size:
            return f"a frame of {size} bytes, whose payloads need {extent}", None, at
        for field, checksum in zip(frames.schema.payloads, frames.schema.checksums(head)):
            if (length := sizes[field.payload]) != NONE:
                if self._crc(start, length) != checksum:
                    return "the checksum is wrong", field.key, start
                start += (length + 7) & -8
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
        if (start, count) != (int(places[0, 0]) if len(places) else at, len(places)) or total != crc32(checks.tobytes()):
            return "a commit that is not of the pending records before it", 0, ()
        if op > DELETE:
            raise UnsupportedVersionError(f"an edit of the unknown kind {op}: a later version of the format", offset=at)
        return "", op, np.frombuffer(frame[COMMIT_HEAD:], "<u8").tolist()


def find_frame(fd: int, frames: Frames, start: int, stop: int, kinds: Sequence[int] = (RECORD, COMMIT)) -> int | None:
    """Offset of the first frame in start … stop that verifies and is of these kinds.

    By default those that somebody may rely on, which a pending record is not. Payloads cannot be mistaken for a frame, since the
    check depends on the offset.

    Raises:
        CorruptError: a great many places look like frames, overlap, and do not verify: a file made to be slow to read.
    """
    walk, budget = Walk(fd, frames, start, stop), _CHECKED * (stop - start) + 64 * _CHUNK
    while start < stop - FRAME.size:
        raw = files.pread(fd, min(_CHUNK, stop - start), start)  # less where a writer is just cutting a torn tail off
        words = np.frombuffer(raw, "<u8", len(raw) // 8)
        if len(words) < 2:
            return None
        kind, size = words[:-1] >> np.uint64(32), words[1:]
        room = np.uint64(stop - start) - np.arange(0, 8 * len(size), 8, dtype=np.uint64)
        for word in np.flatnonzero(np.isin(kind, kinds) & (size <= room) & (size & np.uint64(7) == 0)).tolist():
            covered = frames.head_size(int(kind[word]), int(size[word]))
            if (budget := budget - covered) < 0:
                raise CorruptError("too many beginnings of frames that do not verify", offset=start + 8 * word)
            if covered and walk._verifies(start + 8 * word, covered):
                return start + 8 * word
        start += 8 * len(size)
    return None
