"""`check`: reads every byte of a dataset, and says what is wrong and where. Writes nothing.

The log is scanned from its beginning, and the list that it means is compared with the list that the
dataset shows. Behind damage nobody can tell what edits refer to: then each record of the list is
verified by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import index as _index
from dsrecords._format import kernels
from dsrecords._format.entries import no_entries
from dsrecords._format.layout import (
    FIRST_SKIPPED,
    LOW_32_BITS,
    METADATA,
    NONE,
    PAGE,
    REVISION,
    SHORT_ROW,
)
from dsrecords._format.log import OF_RECORDS, Batch, LogScanner, ScannedFrame, unknown_kind
from dsrecords._read.extents import check_extents
from dsrecords._read.mark import Mark, beginning, mark_of
from dsrecords._read.open import State
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import WRONG_CHECKSUM, Snapshot
from dsrecords._storage.registry import open_storage
from dsrecords._tools.scan import LogScan, checksum_of, dirty_padding, payload_starts
from dsrecords._write.progress import shown_bytes
from dsrecords.errors import CorruptError, DecodeError, DSRecordsError, UnsupportedVersionError

_DIRTY_PADDING = "the padding behind a payload is not zero"
_DAMAGED_ROW = "the index's row is damaged; an index (no view) that is removed is made again"
_CHUNK = 2**16  # rows that are compared together

Problems = list[DSRecordsError]


def check(state: State, progress: bool = False) -> Problems:
    """Check the log, the list and the index.

    Args:
        state: of the dataset.
        progress: whether to show a progress bar of the bytes of the log.

    Returns:
        An error for each thing that is wrong; an empty list if nothing is.
    """
    snapshot = state.snapshot
    slot = state.slot
    with shown_bytes(snapshot.end, state.path, progress) as tell:
        log = _LogCheck(state, snapshot, slot, tell)
        log.run()
    problems = _ListCheck(state, snapshot, log).run()
    if slot is not None:
        problems += _index_problems(state, slot, log.covered)
    return problems


def check_values(
    snapshot: Snapshot,
    positions: Iterable[int],
    plans: Sequence[Plan],
    known: Problems,
) -> Iterator[DSRecordsError]:
    """Read each value of some records, one at a time, and yield an error for each that fails.

    Args:
        snapshot: the list.
        positions: of the records.
        plans: one for each field, that reads it alone.
        known: what is known to be wrong, which is not said again.

    Raises:
        ImportError: a package is missing that a value needs.
    """
    told = {(error.file, error.record, error.field) for error in known}
    for i in positions:
        place = snapshot.where(i)
        if (*place, None) in told:
            continue
        for plan in plans:
            key = plan.fields[0].key
            if (*place, key) in told:
                continue
            problem = _problem_of_value(snapshot, i, plan)
            if problem is not None:
                yield problem


def _problem_of_value(snapshot: Snapshot, i: int, plan: Plan) -> DSRecordsError | None:
    try:
        plan.read(snapshot, i)
    except ImportError:
        raise
    except DSRecordsError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a function of the user's may raise anything
        text = f"{type(error).__name__}: {error}"
        key = plan.fields[0].key
        problem = DecodeError(text, file=snapshot.file, record=i, field=key)
        problem.__cause__ = error
        return problem
    return None


class _Finding(NamedTuple):
    """Something that is wrong with the log, and where: in which field, at which byte offset."""

    text: str
    field: Any
    offset: int
    kind: type[DSRecordsError] = CorruptError


class _LogCheck:
    """Every frame of the log, verified, and the list that they mean.

    Args:
        state: of the dataset.
        snapshot: how far the log is looked at.
        slot: of the index.
        tell: called with the offset up to which the log was looked at.

    Attributes:
        findings: what is wrong; by the offset of the frame, for padding by its own offset.
        entries: the list.
        is_known: whether it is the list, and nothing hides what edits refer to.
        revisions: the offsets of all revisions.
        covered: the moment of the log of which the slot says that the rows are; None if the log has
            none that ends there.
        scan: of the log.
    """

    def __init__(
        self,
        state: State,
        snapshot: Snapshot,
        slot: _index.Slot | None,
        tell: Callable[[int], None],
    ) -> None:
        header = state.header
        self._tell = tell
        self.findings: dict[int, _Finding] = {}
        # Without heads, also where those of the index have them: these verify by themselves.
        self.entries = no_entries(SHORT_ROW)
        self.is_known = True
        self.revisions: list[int] = []
        self.covered: Mark | None = None
        self.scan = LogScan(state.storage, header, header.size, snapshot.end)
        self._storage = state.storage
        self._header = header
        self._stop = snapshot.end
        self._slot = slot
        self._mark = beginning(header)
        self._note_moment(self._mark)

    def run(self) -> None:
        """Scan the whole log."""
        start = self._scan_to_first_fault()
        for found in LogScan(self._storage, self._header, start, self._stop):
            self._look_at(found)
            self._tell(found.offset)
        self._tell(self._stop)

    def _scan_to_first_fault(self) -> int:
        """Take one batch after another, and return where the first frame is that cannot be here."""
        walk = LogScanner(
            self._storage,
            self._header.frames,
            self._header.size,
            self._stop,
            self._header.raw.check,
            self.entries.row_size,
            runs_are_proven=True,
        )
        try:
            for batch in walk:
                self._look_at_all(walk.take_unproven())
                self._take(batch)
        except UnsupportedVersionError as error:
            offset = error.offset or walk.end
            self._note_unsupported(error, offset)
            return offset
        fault = walk.fault
        if fault is None:
            return self._stop
        self.is_known = False
        self._note(fault)
        return fault.offset

    def _take(self, batch: Batch) -> None:
        before = self._mark
        self._mark = Mark(
            end=batch.end,
            last=batch.last,
            check=batch.check,
            edits=before.edits + (batch.op != 0),
            metadata=batch.metadata or before.metadata,
        )
        self._note_moment(self._mark)
        if batch.metadata:
            self._look_at(self.scan.walk.frame(batch.metadata))
        if not self.is_known:
            return
        self._tell(batch.end)
        try:
            self.entries = self.entries.apply(batch.rows, batch.op, batch.positions)
        except CorruptError as error:  # positions that the list does not have
            self.is_known = False
            self.findings[batch.last] = _Finding(error.message, None, batch.last)

    def _look_at_all(self, offsets: Iterable[int]) -> None:
        """Look at frames of records, whose heads are verified."""
        if self._header.schema.payloads:
            for offset in offsets:
                self._look_at(self.scan.walk.frame(offset))

    def _note_moment(self, mark: Mark) -> None:
        if self._slot is not None and self._slot.covered == mark.end:
            self.covered = mark

    def _look_at(self, found: ScannedFrame) -> None:
        """Note what is wrong with one frame, wherever it is."""
        if found.problem:
            self._note(found)
        elif found.kind in OF_RECORDS:
            self._look_at_record(found)
        elif found.kind == METADATA:
            self._look_at_metadata(found)
        elif METADATA < found.kind < FIRST_SKIPPED:
            self._note_unsupported(unknown_kind(found), found.offset)

    def _look_at_record(self, found: ScannedFrame) -> None:
        if found.kind == REVISION:
            self.revisions.append(found.offset)
        if self._header.schema.payloads:
            dirty = dirty_padding(self.scan.walk, self._header, found)
            if dirty:
                start, _ = dirty[0]
                self.findings[start] = _Finding(_DIRTY_PADDING, None, start)

    def _look_at_metadata(self, found: ScannedFrame) -> None:
        try:
            self.scan.walk.metadata(found)
        except (ValueError, RecursionError) as error:
            self._note(found._replace(problem=f"the metadata: {error}"))

    def _note(self, found: ScannedFrame) -> None:
        field = self._header.schema.payload_key(found.payload)
        self.findings[found.offset] = _Finding(found.problem, field, found.problem_offset)

    def _note_unsupported(self, error: UnsupportedVersionError, offset: int) -> None:
        self.is_known = False
        self.findings[offset] = _Finding(error.message, None, offset, UnsupportedVersionError)


class _ListCheck:
    """The list that the dataset shows, compared with the log."""

    def __init__(
        self,
        state: State,
        snapshot: Snapshot,
        log: _LogCheck,
    ) -> None:
        self._state = state
        self._snapshot = snapshot
        self._header = state.header
        self._entries = snapshot.entries
        self._log = log
        # A view shows some records of the list: there is nothing to compare it with.
        self._is_list = log.is_known and not state.view
        # Of revisions, the payloads that they keep: no more than the log has, or a small one could
        # make it be read over and over again.
        self._kept: dict[int, list[_Finding]] = {}
        self._may_be_read = snapshot.end

    def run(self) -> Problems:
        """An error for each record that is damaged, then one for whatever else is wrong."""
        problems: Problems = []
        if not self._state.view:
            problems += self._size_problems()
        count = len(self._entries)
        count_in_log = len(self._log.entries)
        if self._is_list and count != count_in_log:
            self._is_list = False
            text = f"the index has {count} records, the log {count_in_log}"
            problems.append(CorruptError(text, file=self._state.index_path))
        told = set()
        for i, finding in self._record_findings():
            told.add(finding.offset)
            problems.append(self._error(finding, i))
        for finding in self._log.findings.values():
            if finding.offset not in told:
                problems.append(self._error(finding))
        return problems

    def _size_problems(self) -> Problems:
        try:
            check_extents(self._snapshot)
        except CorruptError as error:
            return [error]
        return []

    def _record_findings(self) -> Iterator[tuple[int, _Finding]]:
        """What is wrong with records, by their positions, in their order."""
        found_at = np.array([*self._log.findings], np.uint64)
        revisions = np.array(self._log.revisions, np.uint64)
        count = len(self._entries)
        for first in range(0, count, _CHUNK):
            positions = np.arange(first, min(first + _CHUNK, count))
            rows = self._entries.remixed(positions, first, 0)
            offsets = rows[:, 0]
            is_damaged = self._are_damaged(positions, rows)
            is_to_be_told_of = is_damaged | np.isin(offsets, found_at) | np.isin(offsets, revisions)
            for k in np.flatnonzero(is_to_be_told_of).tolist():
                for finding in self._findings_at(int(offsets[k]), bool(is_damaged[k])):
                    yield first + k, finding

    def _are_damaged(self, positions: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Which records are others than the log says, or not where their rows say: bool, (n,).

        Args:
            positions: of the records: int64, (n,), one behind the other.
            rows: of them, mixed with their positions alone: uint64, (n, width).
        """
        if self._is_list:
            rows_of_log = self._log.entries.remixed(positions, int(positions[0]), 0)
            return self._differ(positions, rows, rows_of_log)
        damaged = np.zeros(len(positions), bool)
        numbers = self._entries.row_numbers(positions)
        for k in np.argsort(rows[:, 0]).tolist():  # as they lie in the file
            ref = self._entries.ref(int(numbers[k]))
            damaged[k] = self._log.scan.record(ref).problem != ""
        return damaged

    def _differ(
        self,
        positions: np.ndarray,
        rows: np.ndarray,
        rows_of_log: np.ndarray,
    ) -> np.ndarray:
        """Which rows are others than those of the log, which have no heads: bool, (n,)."""
        if not self._entries.has_heads:
            differ: np.ndarray = (rows != rows_of_log).any(axis=1)
            return differ
        checks = rows[:, 1] & np.uint64(LOW_32_BITS)
        checks_of_log = rows_of_log[:, 1] >> np.uint64(32)
        differ = (rows[:, 0] != rows_of_log[:, 0]) | (checks != checks_of_log)
        numbers = self._entries.row_numbers(positions)
        # Also where the dataset is read without verification.
        frames = self._header.frames
        rows_with_heads = self._entries.gather(numbers)
        heads = self._snapshot.heads_in(rows_with_heads)
        right = kernels.verify_rows(
            heads,
            frames.layout,
            frames.seed,
            frames.tables,
            self._header.size,
            self._snapshot.end,
            self._entries.mixes(numbers),
            True,
        )
        differ |= ~right
        return differ

    def _findings_at(self, offset: int, is_damaged: bool) -> list[_Finding]:
        """What is wrong with a record.

        Args:
            offset: of its frame, as its row says.
            is_damaged: whether it is another one than its row says.
        """
        finding = self._log.findings.get(offset)
        if finding is not None:
            return [finding]
        if is_damaged:
            return [_Finding(_DAMAGED_ROW, None, offset)]
        if offset not in self._kept:  # a view may show it again and again
            self._kept[offset] = self._damaged_kept_payloads(offset)
        return self._kept[offset]

    def _damaged_kept_payloads(self, offset: int) -> list[_Finding]:
        """The payloads of a revision that lie in other frames, and are not what its head says."""
        header = self._header
        layout = header.schema.layout
        walk = self._log.scan.walk
        found = walk.frame(offset, payloads=False)
        head = bytes(walk.read(offset, layout.size))
        if found.problem or len(head) < layout.size:  # the file was changed just now
            return []
        sizes: tuple[int, ...] = layout.unpack(head)[: layout.payload_count]
        starts = payload_starts(walk.read, header, found, sizes)
        findings = []
        for number, checksum in enumerate(layout.unpack_checksums(head)):
            start = starts[number]
            if not 0 < start < offset or sizes[number] == NONE:
                continue
            self._may_be_read -= sizes[number]
            if self._may_be_read < 0:
                break
            # Not through the buffer of the walk, which would be filled anew for each of them.
            if checksum_of(self._state.storage.read, start, sizes[number]) != checksum:
                field = header.schema.payload_key(number)
                findings.append(_Finding(WRONG_CHECKSUM, field, start))
        return findings

    def _error(self, finding: _Finding, record: int | None = None) -> DSRecordsError:
        return finding.kind(
            finding.text,
            file=self._state.path,
            record=record,
            field=finding.field,
            offset=finding.offset,
        )


def _index_problems(
    state: State,
    slot: _index.Slot,
    covered: Mark | None,
) -> Problems:
    """Check what the index has besides its rows: two slots, and a copy of the header.

    Args:
        state: of the dataset.
        slot: that is in use.
        covered: what it should say of the log; None if that is not known.
    """
    path = state.index_path
    try:
        index = open_storage(path)
    except FileNotFoundError:
        return []
    problems: Problems = []
    if not state.view and covered not in (None, mark_of(slot)):
        text = "the slot says other things of the log than are in it"
        problems.append(CorruptError(text, file=path, offset=PAGE * (slot.seq % 2)))
    valid = {slot.seq % 2 for slot in _index.read_slots(index)}
    for number in (0, 1):
        offset = PAGE * number
        page = index.read(offset, PAGE)
        was_written = any(page)
        if was_written and number not in valid:
            problems.append(CorruptError("a slot is damaged", file=path, offset=offset))
    header = state.header
    copy_offset = 2 * PAGE
    copy = index.read(copy_offset, header.size)
    if copy != header.raw.data:
        text = "the copy of the header differs"
        problems.append(CorruptError(text, file=path, offset=copy_offset))
    return problems
