"""The frames of a log, damaged or not: what `check`, `repair` and salvage have in common.

Reads without a mapping: a file that is cut short meanwhile is an error, not a SIGBUS. Knows nothing
of the index, except what a row states of a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsrecords._format.checksums import crc32
from dsrecords._format.entries import FrameRef
from dsrecords._format.layout import NONE, REVISION, SHORT_ROW, padded_size
from dsrecords._format.log import OF_RECORDS, LogScanner, ScannedFrame, find_frame
from dsrecords._schema.header import Header
from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError

Read = Callable[[int, int], bytes | memoryview]  # from an offset, so many bytes

_CHUNK = 2**20  # bytes read at once
_OUTSIDE = "the index's row points outside of the log"
_OTHER_RECORD = "the index's row is of another record"
_DAMAGED_HEAD = "the head in the index's row is damaged"


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
        stop: the same.
    """

    def __init__(self, storage: Storage, header: Header, start: int, stop: int) -> None:
        self.walk = LogScanner(storage, header.frames, start, stop, 0, SHORT_ROW)
        self.stop = stop
        self._storage = storage
        self._header = header
        self._start = start

    def __iter__(self) -> Iterator[ScannedFrame]:
        walk = self.walk
        offset = self._start
        while offset < self.stop:
            found = walk.frame(offset)
            yield found
            if found.size:
                offset += found.size
            else:
                offset = self._next_frame(offset + 8)

    def _next_frame(self, start: int) -> int:
        """Return the offset of the first frame that verifies; the end of the log if none does."""
        try:
            offset = find_frame(
                self._storage,
                self._header.frames,
                start,
                self.stop,
                pending=True,
            )
        except CorruptError:  # somebody has made the file to be slow to read
            return self.stop
        if offset is None:
            return self.stop
        return offset

    def record(self, ref: FrameRef) -> ScannedFrame:
        """Verify the head of the record that a row of an index describes.

        Returns:
            Its frame. `problem` also says where the frame is not the one that the row describes.
        """
        offset = ref.offset
        aligned = offset & 7 == 0
        inside = self._header.size <= offset < self.stop
        if not (aligned and inside):
            return ScannedFrame(offset, 0, 0, 0, 0, _OUTSIDE, None, offset)
        found = self.walk.frame(offset, payloads=False)
        if found.problem:
            return found
        is_record = found.kind in OF_RECORDS
        same_size = ref.size in (0, found.size)  # 0: the row does not know it
        if not (is_record and same_size and ref.check == found.check):
            return found._replace(problem=_OTHER_RECORD)
        if ref.head and self._header.frames.check(ref.head, offset) != ref.check:
            return found._replace(problem=_DAMAGED_HEAD)
        return found


def dirty_padding(
    walk: LogScanner,
    header: Header,
    found: ScannedFrame,
) -> list[tuple[int, int]]:
    """Find the padding in a record's frame that is not zero: (start, stop) of each, in bytes.

    Args:
        walk: reads the log.
        header: of the log.
        found: the frame, in which nothing is wrong.
    """
    layout = header.schema.layout
    head = walk.read(found.offset, layout.size)
    if len(head) < layout.size:  # the file was cut just now
        return []
    sizes: tuple[int, ...] = layout.unpack(head)[: layout.payload_count]
    starts = payload_starts(walk.read, header, found, sizes)
    dirty = []
    for start, size in zip(starts, sizes):
        is_here = start > found.offset  # and not in another frame
        if size == NONE or not is_here:
            continue
        end = start + size
        stop = padded_size(end)
        padding = walk.read(end, stop - end)
        if any(padding):
            dirty.append((end, stop))
    return dirty


def payload_starts(
    read: Read,
    header: Header,
    found: ScannedFrame,
    sizes: tuple[int, ...],
) -> list[int]:
    """Where the payloads of a record are; of a revision 0 where one is nowhere.

    Args:
        read: reads the log.
        header: of the log.
        found: the record's frame, whose head verifies.
        sizes: of its payloads, as its head stores them.

    Returns:
        An offset for each of them, or none at all if the table of a revision is damaged.
    """
    layout = header.schema.layout
    if found.kind != REVISION:
        return layout.payload_offsets(sizes[:-1], found.offset)
    table = bytes(read(found.offset + layout.size, layout.table_size))
    if len(table) < layout.table_size:  # the file was cut just now
        return []
    offsets = header.frames.table_offsets(
        table,
        found.check,
        found.offset,
        found.size,
        sizes,
    )
    return list(offsets or ())


def checksum_of(read: Read, start: int, size: int) -> int:
    """The CRC-32 of a part of the log, read in pieces; of less where the file was cut just now."""
    checksum = 0
    stop = start + size
    for offset in range(start, stop, _CHUNK):
        checksum = crc32(read(offset, min(_CHUNK, stop - offset)), checksum)
    return checksum
