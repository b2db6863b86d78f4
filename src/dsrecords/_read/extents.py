"""How many bytes the records of a list take as whole records: what whoever copies them must know.

A revision keeps payloads of other frames, so a small log can stand for much more than it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dsrecords._format.frame import COMMIT_HEAD
from dsrecords._format.layout import NONE, padded_sizes
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.header import make_header
from dsrecords.errors import CorruptError

BATCH_RECORDS = 4096
"""Where many records are written, there is a commit behind so many of them, or earlier."""

BATCH_BYTES = 4 * 2**20
"""So many bytes of heads and payloads are enough for a commit."""

_CHUNK = 2**14  # records looked at together


def extents(snapshot: Snapshot) -> int:
    """How many bytes all records of a list take as whole records.

    Those that are damaged do not count: nobody can copy them.
    """
    head_size = snapshot.header.schema.layout.size
    total = 0
    for sizes in _payload_sizes(snapshot):
        total += head_size * len(sizes)
        # As integers of Python: the sums of sizes that somebody made up can have more than 64 bits.
        total += sum(padded_sizes(sizes).ravel().tolist())
    return total


def check_extents(snapshot: Snapshot) -> None:
    """Refuse a list that would be larger than its log if it were copied.

    No writer makes such a list. Only a view can show the same bytes again and again, by request: it
    is for whoever copies all records of a whole list.

    Raises:
        CorruptError: somebody has made revisions that keep the same payload again and again.
    """
    total = extents(snapshot)
    room = snapshot.end - snapshot.header.size
    if total > room:
        raise amplified(snapshot.file, total, room)


def amplified(path: str, total: int, room: int) -> CorruptError:
    """The error of a list whose records take more bytes than the log has, if they are copied."""
    return CorruptError(
        f"its records would take {total} bytes, and there are {room}: "
        "revisions keep the same payloads again and again",
        file=path,
    )


def dead_bytes(snapshot: Snapshot, metadata: dict[str, Any]) -> int:
    """By how many bytes compaction would make the log smaller; less than 0 if it would grow.

    Exact where payloads stay as they are: types with a dictionary are compressed anew.

    Args:
        snapshot: the whole list.
        metadata: of the dataset, which compaction puts into the header.
    """
    header = snapshot.header
    compacted = make_header(header.schema, metadata, header.id).size
    batches = _Batches()
    for sizes in _payload_sizes(snapshot):
        compacted += header.schema.layout.size * len(sizes)
        compacted += int(padded_sizes(sizes).sum())
        lengths = np.where(sizes == NONE, np.uint64(0), sizes).sum(axis=1, dtype=np.uint64)
        batches.add(lengths.astype(np.int64) + header.schema.layout.size)
    compacted += COMMIT_HEAD * batches.commits()
    return snapshot.end - compacted


def _payload_sizes(snapshot: Snapshot) -> Iterator[np.ndarray]:
    """The stored sizes of the payloads of all records that verify: uint64, (n, P), some at once."""
    entries = snapshot.entries
    layout = snapshot.header.schema.layout
    storage = snapshot.storage
    count = len(entries)
    for start in range(0, count, _CHUNK):
        stop = min(start + _CHUNK, count)
        if not layout.payload_count:
            yield np.empty((stop - start, 0), np.uint64)
            continue
        numbers = entries.live_rows(start, stop)
        rows = entries.gather(numbers)
        if storage.needs_ensuring and not entries.has_heads:
            starts = rows[:, 0]
            storage.ensure(starts, starts + np.uint64(layout.size))
        heads, right = snapshot.verify_heads(numbers, rows)
        yield heads["sizes"][right]


class _Batches:
    """Counts the commits that a writer writes who is given records one after another."""

    def __init__(self) -> None:
        self._commits = 0
        # Of the batch that is not full yet.
        self._records = 0
        self._bytes = 0

    def add(self, sizes: np.ndarray) -> None:
        """Add records of these sizes, without padding: int64, (n,)."""
        ends = sizes.cumsum()
        count = len(sizes)
        start = 0
        before = 0
        while True:
            enough = before + BATCH_BYTES - self._bytes
            full_by_bytes = int(ends.searchsorted(enough)) + 1
            full_by_number = start + BATCH_RECORDS - self._records
            stop = min(full_by_bytes, full_by_number)
            if stop > count:
                break
            self._records += stop - start
            self._end_batch()
            start = stop
            before = int(ends[stop - 1])
        if start < count:
            self._records += count - start
            self._bytes += int(ends[-1]) - before

    def _end_batch(self) -> None:
        if self._records > 1:  # one alone needs no commit
            self._commits += 1
        self._records = 0
        self._bytes = 0

    def commits(self) -> int:
        """How many they are, once the last record was added."""
        self._end_batch()
        return self._commits
