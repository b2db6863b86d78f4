"""`check`: reads every byte of a dataset, and says what is wrong and where. Writes nothing.

The log is scanned from its beginning, and the list that it means is compared with the list that the
dataset shows. Behind damage nobody can tell what edits refer to: then each record of the list is
verified by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import index as _index
from dsrecords._format.layout import COMMIT, PAGE, PENDING, RECORD
from dsrecords._format.log import FrameRef, ScannedFrame
from dsrecords._read.open import State
from dsrecords._read.snapshot import Snapshot
from dsrecords._storage.registry import open_storage
from dsrecords._tools.scan import LogScan, dirty_padding
from dsrecords.errors import CorruptError

_NO_COMMIT = "the pending records before it have no commit"
_DIRTY_PADDING = "the padding behind a payload is not zero"
_DAMAGED_ENTRY = "the index's entry is damaged; an index (no view) that is removed is made again"


def check(state: State) -> list[CorruptError]:
    """Check the log, the list and the index.

    Returns:
        An error for each thing that is wrong; an empty list if nothing is.
    """
    snapshot = state.snapshot
    log = _LogCheck(state, snapshot)
    log.run()
    if log.findings or state.view:  # there is no list of all records to compare with
        problems = _verify_entries(state, snapshot, log)
    else:
        problems = _compare_entries(state, snapshot, log)
    return problems + _index_problems(state)


class _Finding(NamedTuple):
    """Something that is wrong with the log, and where: in which field, at which byte offset."""

    text: str
    field: Any
    offset: int


class _LogCheck:
    """Every frame of the log, verified, and the list that they mean.

    Attributes:
        findings: what is wrong; by the offset of the frame, for padding by its own offset.
        entries: the list; it is complete if nothing is wrong.
        scan: of the log.
    """

    def __init__(self, state: State, snapshot: Snapshot) -> None:
        header = state.header
        self.findings: dict[int, _Finding] = {}
        self.entries = _index.no_entries()
        self.scan = LogScan(
            state.storage,
            header,
            header.size,
            snapshot.end,
        )
        self._schema = header.schema
        self._pending: list[FrameRef] = []

    def run(self) -> None:
        """Scan the whole log."""
        schema = self._schema
        walk = self.scan.walk
        for found in self.scan:
            wrong = found.problem or self._take(found)
            if wrong:
                field = schema.payload_key(found.payload)
                self.findings[found.offset] = _Finding(wrong, field, found.problem_offset)
            elif schema.payloads and found.kind in (RECORD, PENDING):
                dirty = dirty_padding(walk, schema, found.offset)
                if dirty:
                    start, _ = dirty[0]
                    self.findings[start] = _Finding(_DIRTY_PADDING, None, start)

    def _take(self, found: ScannedFrame) -> str:
        """Apply a frame that verifies to the list.

        Returns:
            Why it cannot be where it is; an empty string if it can.
        """
        ref = (found.offset, found.size, found.check)
        if found.kind == PENDING:
            self._pending.append(ref)
            return ""
        pending = self._pending
        if pending:
            self._pending = []
        if self.findings:  # behind damage nobody can tell what edits and commits refer to
            return ""
        if found.kind == COMMIT:
            wrong, op, positions = self.scan.walk.commit(found.offset, found.size, pending)
            return wrong or self._apply(pending, op, positions)
        if pending:
            return _NO_COMMIT
        if found.kind == RECORD:
            self.entries = self.entries.apply([ref], 0, ())
        return ""

    def _apply(
        self,
        refs: list[FrameRef],
        op: int,
        positions: Sequence[int],
    ) -> str:
        try:
            self.entries = self.entries.apply(refs, op, positions)
        except CorruptError as error:  # positions that the list does not have
            return error.message
        return ""


def _compare_entries(
    state: State,
    snapshot: Snapshot,
    log: _LogCheck,
) -> list[CorruptError]:
    """Compare the list with that of the log, which is whole.

    Returns:
        An error for each entry that differs.
    """
    shown = snapshot.entries
    count = len(shown)
    count_in_log = len(log.entries)
    if count != count_in_log:
        text = f"the index has {count} records, the log {count_in_log}"
        return [CorruptError(text, file=state.index_path)]
    rows = shown.rows(0, count)
    rows_of_log = log.entries.rows(0, count)
    differing = (rows != rows_of_log).any(axis=1)
    positions = np.flatnonzero(differing)
    problems = []
    for i in positions.tolist():
        offset, _, _ = shown.get(i)
        finding = _Finding(_DAMAGED_ENTRY, None, offset)
        problems.append(_error(state, finding, i))
    return problems


def _verify_entries(
    state: State,
    snapshot: Snapshot,
    log: _LogCheck,
) -> list[CorruptError]:
    """Verify each record of the list by itself.

    Returns:
        An error for each record that is damaged, then one for whatever else is wrong with the log.
    """
    entries = snapshot.entries
    problems = []
    elsewhere = dict(log.findings)
    for i in range(len(entries)):
        ref = entries.get(i)
        offset = ref[0]
        finding = log.findings.get(offset)
        if finding is not None:
            elsewhere.pop(offset, None)
        elif log.scan.record(ref).problem:
            finding = _Finding(_DAMAGED_ENTRY, None, offset)
        if finding is not None:
            problems.append(_error(state, finding, i))
    problems += [_error(state, finding) for finding in elsewhere.values()]
    return problems


def _error(state: State, finding: _Finding, record: int | None = None) -> CorruptError:
    return CorruptError(
        finding.text,
        file=state.path,
        record=record,
        field=finding.field,
        offset=finding.offset,
    )


def _index_problems(state: State) -> list[CorruptError]:
    """Check what the index has besides its entries: two slots, and a copy of the header."""
    path = state.index_path
    if state.slot is None:
        return []
    try:
        index = open_storage(path)
    except FileNotFoundError:
        return []
    problems = []
    valid = {slot.seq % 2 for slot in _index.read_slots(index)}
    for number in (0, 1):
        offset = PAGE * number
        page = index.read(offset, PAGE)
        was_written = any(page)
        if was_written and number not in valid:
            problem = CorruptError(
                "a slot is damaged",
                file=path,
                offset=offset,
            )
            problems.append(problem)
    header = state.header
    copy_offset = 2 * PAGE
    copy = index.read(copy_offset, header.size)
    if copy != header.raw.data:
        problem = CorruptError(
            "the copy of the header differs",
            file=path,
            offset=copy_offset,
        )
        problems.append(problem)
    return problems
