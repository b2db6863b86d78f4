"""The frames of a log, damaged or not: what `check`, `repair` and salvage have in common.

Reads without a mapping: a file that is cut short meanwhile is an error, not a SIGBUS. Knows nothing
of the index, except what an entry states of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator

from dsrecords._format.layout import COMMIT, NONE, PENDING, RECORD, padded_size
from dsrecords._format.log import FrameRef, LogScanner, ScannedFrame, find_frame
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Schema
from dsrecords._storage.base import Storage

_OUTSIDE = "the index's entry points outside of the log"
_OTHER_RECORD = "the index's entry is of another record"
_KNOWN_KINDS = (RECORD, PENDING, COMMIT)


class LogScan:
    """The frames of a log, one after another: iterate. Damage ends a walk, but not a scan.

    Where the size of a damaged frame cannot be known, the scan goes on at the next frame that
    verifies.

    Args:
        storage: of the `.rec`.
        header: of the `.rec`.
        start: offset of the first frame.
        stop: offset where the log ends.

    Attributes:
        walk: reads and verifies the frames.
    """

    def __init__(self, storage: Storage, header: Header, start: int, stop: int) -> None:
        self.walk = LogScanner(storage, header.frames, start, stop)
        self._storage = storage
        self._header = header
        self._start = start
        self._stop = stop

    def __iter__(self) -> Iterator[ScannedFrame]:
        walk = self.walk
        stop = self._stop
        offset = self._start
        while offset < stop:
            found = walk.frame(offset)
            yield found
            if found.size:
                offset += found.size
            else:
                offset = self._next_frame(offset + 8)

    def _next_frame(self, start: int) -> int:
        """Return the offset of the first frame that verifies; the end of the log if none does."""
        offset = find_frame(
            self._storage,
            self._header.frames,
            start,
            self._stop,
            _KNOWN_KINDS,
        )
        if offset is None:
            return self._stop
        return offset

    def record(self, ref: FrameRef) -> ScannedFrame:
        """Verify the record that an entry of an index describes.

        Returns:
            Its frame. `wrong` also says where the frame is not the one that the entry describes.
        """
        offset, size, check = ref
        aligned = offset & 7 == 0
        inside = self._header.size <= offset < self._stop
        if not (aligned and inside):
            return ScannedFrame(offset, 0, 0, 0, _OUTSIDE, None, offset)
        found = self.walk.frame(offset)
        if found.problem:
            return found
        is_record = found.kind in (RECORD, PENDING)
        same_size = size in (0, found.size)  # 0: the entry does not know it
        same_check = check == found.check
        if is_record and same_size and same_check:
            return found
        return found._replace(problem=_OTHER_RECORD)


def dirty_padding(walk: LogScanner, schema: Schema, offset: int) -> list[tuple[int, int]]:
    """Find the padding of a whole record that is not zero: (start, stop) of each, as byte offsets.

    Args:
        walk: reads the log.
        schema: of its records.
        offset: of the record's frame, which is known to verify.
    """
    layout = schema.layout
    head = walk.read(offset, layout.size)
    if len(head) < layout.size:  # the file was cut just now
        return []
    dirty = []
    unpacked = layout.unpack(head)
    payload_sizes: tuple[int, ...] = unpacked[: layout.payload_count]
    start = offset + layout.size
    for payload_size in payload_sizes:
        if payload_size == NONE:
            continue
        end = start + payload_size
        start = padded_size(end)
        padding = walk.read(end, start - end)
        if any(padding):
            dirty.append((end, start))
    return dirty
