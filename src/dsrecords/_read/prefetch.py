"""Telling the kernel what will be read: prefetching without a thread, and without a call for what is in memory already."""

from __future__ import annotations

import numpy as np

from dsrecords._read.snapshot import Snapshot
from dsrecords._storage import files

_LOW = np.uint64(2**32 - 1)
_PAGE = np.uint64(4096)
_LARGEST = np.uint64(64 * 2**20)  # bytes of one record: nobody reads more than this at once


def prefetch(snapshot: Snapshot, rows: np.ndarray, heads_only: bool) -> None:
    """Ask for the pages of many records, if two of them that were looked at are not all in memory.

    A batch of random records from a cold disk is then read at once, at the disk's full depth, instead of one page fault after
    another.

    Args:
        snapshot: the list.
        rows: the records' entries: uint64, (n, 2).
        heads_only: whether only the heads will be read.
    """
    count = len(rows)
    if count < 2 or all(
        files.in_memory(snapshot.descriptor.number, int(rows[i, 0]))
        for i in (count // 3, count - 1)
    ):
        return
    offsets, eighths = rows[:, 0], rows[:, 1] & _LOW
    sizes = (
        np.uint64(snapshot.header.schema.layout.size)
        if heads_only
        else np.minimum(eighths * np.uint64(8), _LARGEST)
    )
    data = snapshot.mapped()
    inside = offsets < np.uint64(len(data))  # an entry that is damaged is found out later
    if not inside.any():
        return
    first = (offsets // _PAGE)[inside]
    last = (
        np.minimum(offsets + sizes, np.uint64(len(data)))[inside] + _PAGE - np.uint64(1)
    ) // _PAGE
    order = np.argsort(first, kind="stable")
    first, last = first[order], np.maximum.accumulate(last[order])
    gaps = np.flatnonzero(first[1:] > last[:-1])  # between them, extents that touch are one
    starts = first[np.concatenate([[0], gaps + 1]).astype(np.int64)] * _PAGE
    stops = last[np.concatenate([gaps, [len(last) - 1]]).astype(np.int64)] * _PAGE
    for start, stop in zip(starts.tolist(), stops.tolist()):
        files.will_need(data, start, stop - start)
