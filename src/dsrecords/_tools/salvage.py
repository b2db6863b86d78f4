"""The records of a damaged dataset, as far as they can be known. Each is verified; writes nothing.

Reads without a mapping: a file that is cut short meanwhile is an error, not a SIGBUS.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dsrecords._format import index as _index
from dsrecords._format.entries import Entries
from dsrecords._format.frame import COMMIT_HEAD, FRAME
from dsrecords._format.layout import COMMIT, NONE, PAGE, PENDING, RECORD, padded_size
from dsrecords._format.log import FrameRef, ScannedFrame
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.header import Header, read_header
from dsrecords._schema.schema import Schema
from dsrecords._storage.base import Storage
from dsrecords._storage.registry import open_storage
from dsrecords._tools.scan import LogScan
from dsrecords.errors import CorruptError, DSRecordsError, UnsupportedVersionError

_COMMIT = struct.Struct("<QQII")  # of a commit, from byte 16 on: start, n, crc32 of the checks, op


class Salvage:
    """The list of a damaged dataset, as far as it can be known.

    It is read from the log; where that is damaged, from the newest index and what follows in the
    log.

    Args:
        path: of the `.rec`.
        index_path: of its index, which need not exist.

    Attributes:
        header: of the `.rec`, or its copy in the index.
        entries: of the records that the list has. Whether one can be read is not known before
            `encoded` has verified it.

    Raises:
        CorruptError, UnsupportedVersionError: there is no header that can be read.
    """

    def __init__(self, path: str, index_path: str) -> None:
        self._path = path
        self._storage = open_storage(path)
        self._size = self._storage.size()
        index = _open_if_it_exists(index_path)
        self.header = _find_header(self._storage, index)
        self._scan = self._scan_from(self.header.size)
        self.entries = self._find_entries(index)

    def _scan_from(self, offset: int) -> LogScan:
        return LogScan(
            self._storage,
            self.header,
            offset,
            self._size,
        )

    def _find_entries(self, index: Storage | None) -> Entries:
        nothing = _index.no_entries()
        replay = _Replay(nothing, self._scan)
        replay.run()
        if not replay.damaged or index is None:
            return replay.entries
        slot = _usable_slot(index, self.header)
        if slot is None:
            return replay.entries
        indexed = _index.map_entries(index, slot)
        rest = self._scan_from(slot.covered)
        replay = _Replay(indexed, rest)
        replay.run()
        return replay.entries

    def encoded(self, i: int) -> Encoded:
        """Read and verify the record at a position.

        Returns:
            Its numbers and payloads.

        Raises:
            CorruptError: it is damaged; names record, field and offset.
        """
        ref = self.entries.get(i)
        found = self._scan.record(ref)
        wrong = found.problem
        frame = b""
        if not wrong:
            frame = self._storage.read(found.offset, found.size)
            if len(frame) < found.size:
                wrong = "the file was cut short"
        schema = self.header.schema
        if wrong:
            raise CorruptError(
                wrong,
                file=self._path,
                record=i,
                field=schema.payload_key(found.payload),
                offset=found.problem_offset,
            )
        return _split(frame, schema)


class _Replay:
    """What a log does to a list, also behind damage.

    There, records are taken that verify, and of a batch those that are left if its commit verifies.
    An edit there refers to positions that nobody knows any more: the list ends before it.

    Args:
        entries: the list so far.
        scan: of the rest of the log.

    Attributes:
        entries: the list.
        damaged: whether the rest of the log is damaged.
    """

    def __init__(self, entries: Entries, scan: LogScan) -> None:
        self.entries = entries
        self.damaged = False
        self._scan = scan
        self._pending: list[FrameRef] = []

    def run(self) -> None:
        """Take one frame after another."""
        for found in self._scan:
            if found.problem:
                self.damaged = True
            elif not self._take(found):
                return

    def _take(self, found: ScannedFrame) -> bool:
        """Apply a frame that verifies to the list. False if the list ends before it."""
        ref = (found.offset, found.size, found.check)
        if found.kind == PENDING:
            self._pending.append(ref)
            return True
        if found.kind == RECORD:
            return self._apply([ref])
        if found.kind != COMMIT:
            return True
        if self.damaged:
            return self._take_rest_of_batch(found)
        wrong, op, positions = self._scan.walk.commit(found.offset, found.size, self._pending)
        if wrong:
            self.damaged = True
            return True
        return self._apply(self._pending, op, positions)

    def _take_rest_of_batch(self, commit: ScannedFrame) -> bool:
        """Apply what is left of a batch behind damage. False if it edits."""
        head = self._scan.walk.read(commit.offset, COMMIT_HEAD)
        if len(head) < COMMIT_HEAD:  # the file was cut just now
            return False
        start, _, _, op = _COMMIT.unpack_from(head, FRAME.size)
        if op:
            return False
        of_batch = [ref for ref in self._pending if ref[0] >= start]
        return self._apply(of_batch)

    def _apply(
        self,
        refs: list[FrameRef],
        op: int = 0,
        positions: Sequence[int] = (),
    ) -> bool:
        try:
            self.entries = self.entries.apply(refs, op, positions)
        except DSRecordsError:  # an edit of positions that this list does not have
            return False
        self._pending = []
        return True


def _open_if_it_exists(path: str) -> Storage | None:
    try:
        return open_storage(path)
    except FileNotFoundError:
        return None


def _find_header(log: Storage, index: Storage | None) -> Header:
    """Read the header; if it is damaged, the copy in the index, which is there for this."""
    try:
        return read_header(log)
    except (CorruptError, UnsupportedVersionError) as error:  # damage may look like a later version
        if index is None:
            raise
        try:
            return read_header(index, 2 * PAGE)
        except (CorruptError, UnsupportedVersionError):
            raise error from None


def _usable_slot(index: Storage, header: Header) -> _index.Slot | None:
    """Return the newest slot of an index that is of this dataset, and fits the file that it is in.

    Args:
        index: its file.
        header: of the dataset.
    """
    base = 2 * PAGE + header.size
    size = index.size()
    for slot in _index.read_slots(index):
        of_dataset = slot.id == header.id and slot.base == base
        is_view = slot.flags != 0
        end = base + 16 * slot.count
        if of_dataset and not is_view and end <= size:
            return slot
    return None


def _split(frame: bytes, schema: Schema) -> Encoded:
    """Return the numbers and payloads of a record's frame."""
    layout = schema.layout
    count = layout.payload_count
    unpacked = layout.unpack(frame)
    numbers = list(unpacked[count:])
    payloads: list[bytes | None] = []
    start = layout.size
    for size in unpacked[:count]:
        if size == NONE:
            payloads.append(None)
            continue
        payload = frame[start : start + size]
        payloads.append(payload)
        start += padded_size(size)
    return numbers, payloads
