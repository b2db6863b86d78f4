"""The records of a damaged dataset, as far as they can be known. Each is verified; writes nothing.

Reads the log without a mapping: a file that is cut short meanwhile is an error, not a SIGBUS.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dsrecords._format import index as _index
from dsrecords._format.checksums import crc32
from dsrecords._format.entries import Entries, FrameRef, no_entries
from dsrecords._format.frame import FRAME
from dsrecords._format.header import VERSION
from dsrecords._format.layout import METADATA, NONE, PAGE, SHORT_ROW, kind_of_word, size_of_word
from dsrecords._format.log import OF_RECORDS, LogScanner, ScannedFrame
from dsrecords._read.mark import is_past, mark_of
from dsrecords._read.snapshot import WRONG_CHECKSUM
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.header import Header, read_header
from dsrecords._storage.base import Storage
from dsrecords._storage.registry import open_storage
from dsrecords._tools.replay import Replay
from dsrecords._tools.scan import LogScan, payload_starts
from dsrecords.errors import CorruptError, UnsupportedVersionError

_CUT_SHORT = "the file was cut short"
_BAD_TABLE = "the table of a revision is damaged"


class Salvage:
    """The list of a damaged dataset, as far as it can be known.

    It is what the log means. Where damage hides what edits refer to, it is that of the newest index
    and what follows in the log.

    Args:
        path: of the `.rec`.
        index_path: of its index, which need not exist.

    Attributes:
        header: of the `.rec`, or its copy in the index.
        entries: of the records that the list has. Whether one can be read is not known before
            `encoded` has verified it.
        metadata: the last that is whole.
        path: of the `.rec`.
        size: of the `.rec` in bytes.

    Raises:
        CorruptError, UnsupportedVersionError: there is no header that can be read.
    """

    def __init__(self, path: str, index_path: str) -> None:
        self.path = path
        self._storage = open_storage(path)
        index_storage = _open_if_it_exists(index_path)
        self.header = _find_header(self._storage, index_storage)
        self.size = self._storage.size()
        self._scan = LogScan(self._storage, self.header, self.header.size, self.size)
        self._index = None
        if index_storage is not None:
            self._index = _find_index(index_storage, self._storage, self.header)
        # Heads that were put right, by their offsets.
        self._restored: dict[int, bytes] = {}
        self.entries, metadata_offsets = self._find_list()
        self.metadata = self._find_metadata(metadata_offsets)

    def _find_list(self) -> tuple[Entries, list[int]]:
        """The list, and where there may be metadata."""
        header = self.header
        nothing = no_entries(SHORT_ROW)
        replay = Replay(self._storage, header, nothing, header.size, header.raw.check)
        replay.run()
        self._restored = replay.heads
        index = self._index
        if index is None:
            return replay.entries, replay.metadata
        offsets = [*replay.metadata, index.slot.metadata]
        if replay.is_exact:
            return replay.entries, offsets
        slot = index.slot
        rest = Replay(self._storage, header, index.map(), slot.covered, slot.check)
        rest.run()
        self._restored |= rest.heads
        return rest.entries, [*offsets, *rest.metadata]

    def _find_metadata(self, offsets: Sequence[int]) -> dict[str, Any]:
        """The metadata in the last of these frames that is whole; else that of the header."""
        walk = self._scan.walk
        for offset in sorted(offsets, reverse=True):
            if not self.header.size <= offset < self._scan.stop:
                continue
            found = walk.frame(offset)
            if found.problem or found.kind != METADATA:
                continue
            with contextlib.suppress(ValueError, RecursionError):
                return walk.metadata(found)
        return self.header.metadata

    # Records

    def encoded(self, i: int) -> Encoded:
        """Read and verify the record at a position.

        Returns:
            Its numbers and payloads.

        Raises:
            CorruptError: it is damaged; names record, field and offset.
        """
        row = self.entries.row(i)
        ref = self.entries.ref(row)
        head = self._find_head(ref)
        if head is None:
            found = self._scan.record(ref)
            raise self._damaged(i, found.problem or _CUT_SHORT, found.problem_offset)
        layout = self.header.schema.layout
        unpacked = layout.unpack(head)
        sizes: tuple[int, ...] = unpacked[: layout.payload_count]
        starts = self._find_payloads(i, ref, head, sizes)
        checksums = layout.unpack_checksums(head)
        payloads: list[bytes | None] = []
        for number, checksum in enumerate(checksums):
            payload = None
            if sizes[number] != NONE:
                payload = self._read_payload(i, number, starts[number], sizes[number], checksum)
            payloads.append(payload)
        return list(unpacked[layout.payload_count :]), payloads

    def _find_head(self, ref: FrameRef) -> bytes | None:
        """The head of a record, wherever it is whole; None if it is nowhere."""
        offset = ref.offset
        if offset & 7 or not self.header.size <= offset < self._scan.stop:
            return None
        for head in self._heads(ref):
            if self.header.frames.check(head[4:], offset) == ref.check:
                return head
        return None

    def _heads(self, ref: FrameRef) -> Iterator[bytes]:
        """What may be the head of a record: in the log, put right, in the index."""
        size = self.header.schema.layout.size
        in_log = self._storage.read(ref.offset, size)
        if len(in_log) == size:
            yield in_log
        restored = self._restored.get(ref.offset)
        if restored is not None:
            yield restored
        if self._index is not None and self._index.is_proven:
            if ref.head:
                yield bytes(4) + ref.head
            yield from self._index.heads_at(ref.offset)

    def _find_payloads(
        self,
        i: int,
        ref: FrameRef,
        head: bytes,
        sizes: tuple[int, ...],
    ) -> list[int]:
        """The offsets of the payloads of a record whose head is whole."""
        header = self.header
        _, prev, word = FRAME.unpack_from(head)
        kind = kind_of_word(word)
        size = size_of_word(word)
        if kind not in OF_RECORDS or not header.frames.head_size(kind, size):
            raise self._damaged(i, "the index's row is of another frame", ref.offset)
        if ref.offset + size > self._scan.stop:
            raise self._damaged(i, _CUT_SHORT, ref.offset)
        found = ScannedFrame(ref.offset, kind, size, ref.check, prev, "", None, ref.offset)
        starts = payload_starts(self._storage.read, header, found, sizes)
        if len(starts) < len(sizes):
            raise self._damaged(i, _BAD_TABLE, ref.offset + header.schema.layout.size)
        return starts

    def _read_payload(
        self,
        i: int,
        number: int,
        start: int,
        size: int,
        checksum: int,
    ) -> bytes:
        wrong = WRONG_CHECKSUM
        if start + size <= self._scan.stop:
            data = self._storage.read(start, size)
            if crc32(data) == checksum:
                return data
        else:
            wrong = _CUT_SHORT
        raise self._damaged(i, wrong, start, number)

    def _damaged(
        self,
        i: int,
        text: str,
        offset: int,
        payload: int | None = None,
    ) -> CorruptError:
        return CorruptError(
            text,
            file=self.path,
            record=i,
            field=self.header.schema.payload_key(payload),
            offset=offset,
        )


class _Index:
    """The index of a dataset.

    Args:
        storage: of the index.
        slot: the newest that can be of use.
        is_proven: whether the log has been where the slot says. Else the log is damaged just there:
            then a row is believed only if the log has the same head.
        head_size: of a record.

    Attributes:
        slot: the same.
        is_proven: the same.
    """

    def __init__(
        self,
        storage: Storage,
        slot: _index.Slot,
        is_proven: bool,
        head_size: int,
    ) -> None:
        self.slot = slot
        self.is_proven = is_proven
        self._storage = storage
        self._head_size = head_size
        self._entries: Entries | None = None
        self._order = np.empty(0, np.int64)
        self._offsets = np.empty(0, np.uint64)

    def map(self) -> Entries:
        """Its rows, which may be edited."""
        return _index.map_entries(self._storage, self.slot)

    def heads_at(self, offset: int) -> list[bytes]:
        """The heads that it has of the frame at an offset: one, or none."""
        if self.slot.row == SHORT_ROW:
            return []
        if self._entries is None:
            self._sort()
        assert self._entries is not None
        place = int(np.searchsorted(self._offsets, offset))
        if place == len(self._offsets) or self._offsets[place] != offset:
            return []
        ref = self._entries.ref(int(self._order[place]))
        return [bytes(4) + ref.head]

    def _sort(self) -> None:
        self._entries = self.map()
        rows = self._entries.rows(0, self.slot.count)
        offsets = rows[:, 0].copy()
        self._order = np.argsort(offsets, kind="stable")
        self._offsets = offsets[self._order]


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


def _find_index(
    index: Storage,
    log: Storage,
    header: Header,
) -> _Index | None:
    """The newest slot that may be of use; None if none is.

    Args:
        index: its file.
        log: the `.rec`.
        header: of the `.rec`.
    """
    layout = header.schema.layout
    size = index.size()
    for slot in _index.read_slots(index):
        of_dataset = slot.id == header.id and slot.version == VERSION and not slot.flags
        has_rows = slot.row in (SHORT_ROW, layout.long_row_size)
        fits = slot.base == _index.rows_offset(header.raw)
        if not (of_dataset and has_rows and fits):
            continue
        if slot.base + slot.row * slot.count > size:
            continue
        is_proven = is_past(mark_of(slot), log, header)
        if is_proven or _is_damaged(log, header, slot.last):
            return _Index(index, slot, is_proven, layout.size)
    return None


def _is_damaged(log: Storage, header: Header, offset: int) -> bool:
    """Whether no frame verifies at an offset, where an index says that there is one."""
    size = log.size()
    if offset % 8 or not header.size <= offset < size:
        return offset >= size
    walk = LogScanner(log, header.frames, offset, size, 0, SHORT_ROW)
    return walk.frame(offset, payloads=False).size == 0
