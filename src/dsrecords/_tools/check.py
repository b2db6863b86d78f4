"""Looking at every byte of a dataset: what is wrong, and where. Reads with `pread`: a file cut short is no SIGBUS."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._format import index as _index
from dsrecords._format.entries import Entries
from dsrecords._format.frame import COMMIT, PENDING, RECORD
from dsrecords._format.layout import NONE, PAGE, padded_size
from dsrecords._format.log import Found, Place, Walk, find_frame
from dsrecords._read.open import State
from dsrecords._schema.schema import Schema
from dsrecords._storage import files
from dsrecords.errors import CorruptError


def check(state: State) -> list[CorruptError]:
    """What is wrong with the log, the list and the index; empty if nothing is."""
    snapshot, header = state.snapshot, state.header
    entries, end = snapshot.entries, snapshot.end
    wrongs: dict[
        int, tuple[str, Any, int]
    ] = {}  # of the frame at an offset: what is wrong, in which field, and where
    replayed = _index.map_entries(-1, None)
    walk, at = Walk(state.fd, header.frames, header.size, end), header.size
    pending: list[Place] = []
    while at < end:
        _, kind, size, stored, wrong, payload, where = walk.frame(at)
        places, op = pending, 0
        positions: Any = ()
        if not wrong and kind == PENDING:
            pending.append((at, size, stored))
        elif not wrong and kind in (RECORD, COMMIT):
            if kind == RECORD:
                wrong = "the pending records before it have no commit" if pending else ""
                places = [(at, size, stored)]
            else:
                wrong, op, positions = walk.commit(at, size, pending)
            if (
                not wrongs and not wrong
            ):  # behind damage nobody can tell what edits and commits refer to
                replayed = replayed.apply(places, op, positions)
            wrong, pending = "" if wrongs else wrong, []
        elif not wrong and pending:
            wrong, pending = "the pending records before it have no commit", []
        if not wrong and kind in (RECORD, PENDING) and (padded := padding(walk, header.schema, at)):
            wrongs[padded[0][0]] = "the padding behind a payload is not zero", None, padded[0][0]
        if wrong:
            wrongs[at] = wrong, header.schema.payload_key(payload), where
        found = (
            at + size
            if size
            else find_frame(state.fd, header.frames, at + 8, end, (RECORD, PENDING, COMMIT))
        )
        at = end if found is None else found
    problems = _entries_problems(state, walk, wrongs, None if wrongs or state.view else replayed)
    problems += [
        CorruptError(text, file=state.path, field=field, offset=where)
        for text, field, where in wrongs.values()
    ]
    if state.slot is not None and files.identity(state.index_path) is not None:
        index = files.Descriptor(files.open_read(state.index_path))
        slots = {slot.seq % 2 for slot in _index.read_slots(index.number)}
        for seq in {0, 1} - slots:
            if any(
                files.pread(index.number, PAGE, PAGE * seq)
            ):  # one that was never written is all zeros
                problems.append(
                    CorruptError("a slot is damaged", file=state.index_path, offset=PAGE * seq)
                )
        if files.pread(index.number, header.size, 2 * PAGE) != header.raw.data:
            problems.append(
                CorruptError(
                    "the copy of the header differs", file=state.index_path, offset=2 * PAGE
                )
            )
    return problems


def padding(walk: Walk, schema: Schema, at: int) -> list[tuple[int, int]]:
    """Where, in a whole record's frame, the bytes behind a payload should be zero and are not: (start, stop) of each."""
    start, found = at + schema.layout.size, []
    if (
        len(head := walk.read(at, schema.layout.size)) < schema.layout.size
    ):  # the file was cut just now
        return []
    for length in schema.layout.unpack(head)[: len(schema.payloads)]:
        if length != NONE:
            end: int = start + length
            start = padded_size(end)
            if any(walk.read(end, start - end)):
                found.append((end, start))
    return found


def _entries_problems(
    state: State, walk: Walk, wrongs: dict[int, tuple[str, Any, int]], replayed: Entries | None
) -> list[CorruptError]:
    """The records that cannot be read as they were written. Takes out of `wrongs` what is said of a record here."""
    entries, problems = state.snapshot.entries, []
    rows = entries.rows(0, len(entries))
    if replayed is not None:
        if len(replayed) != len(rows):
            return [
                CorruptError(
                    f"the index has {len(rows)} records, the log {len(replayed)}",
                    file=state.index_path,
                )
            ]
        suspects = np.flatnonzero((rows != replayed.rows(0, len(replayed))).any(axis=1))
    else:
        suspects = np.arange(len(rows))
    for i in suspects.tolist():
        offset, size, check = entries.get(i)
        text, field, where = wrongs.pop(offset, ("", None, offset))
        if not text:
            inside = offset & 7 == 0 and state.header.size <= offset < state.snapshot.end
            found = (
                walk.frame(offset)
                if inside
                else Found(offset, 0, 0, 0, "outside of the log", None, offset)
            )
            if (
                found.wrong
                or found.check != check
                or size not in (0, found.size)
                or replayed is not None
            ):
                text = (
                    "the index's entry is damaged; an index (no view) that is removed is made again"
                )
        if text:
            problems.append(
                CorruptError(text, file=state.path, record=i, field=field, offset=where)
            )
    return problems
