"""Asking the kernel for what will be read, without a thread, and only if it is not in memory.

Knows entries and offsets, and nothing of what a record holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsrecords._format.layout import LOW_32_BITS
from dsrecords._read.snapshot import Snapshot
from dsrecords._storage import files

_PAGE = 4096  # bytes
_LARGEST = 64 * 2**20  # bytes of one record: nobody reads more than this at once

_LOW = np.uint64(LOW_32_BITS)
_EIGHT = np.uint64(8)
_PAGE_BITS = np.uint64(12)
_IN_PAGE = np.uint64(_PAGE - 1)


def prefetch(
    snapshot: Snapshot,
    rows: np.ndarray,
    heads_only: bool,
) -> None:
    """Ask for the pages of many records, unless they seem to be in memory: two are looked at.

    A batch of random records from a cold disk is then read at once, at the disk's full depth,
    instead of one page fault after another.

    Args:
        snapshot: the list.
        rows: the records' entries: uint64, (n, 2).
        heads_only: whether only the heads will be read.
    """
    count = len(rows)
    if count < 2:
        return
    if _is_in_memory(snapshot, rows[count // 3]) and _is_in_memory(snapshot, rows[count - 1]):
        return
    data = snapshot.mapped()
    end = np.uint64(len(data))
    offsets = rows[:, 0]
    inside = offsets < end  # an entry that is damaged is found out later
    if not inside.any():
        return
    starts = offsets[inside]
    sizes = np.uint64(snapshot.header.schema.layout.size)
    if not heads_only:
        eighths = rows[inside, 1] & _LOW
        sizes = np.minimum(eighths * _EIGHT, np.uint64(_LARGEST))
    stops = np.minimum(starts + sizes, end)
    for first_page, stop_page in _page_runs(starts, stops):
        start = first_page * _PAGE
        stop = stop_page * _PAGE
        files.will_need(data, start, stop - start)


def _is_in_memory(snapshot: Snapshot, entry: np.ndarray) -> bool:
    offset = int(entry[0])
    return files.in_memory(snapshot.descriptor.number, offset)


def _page_runs(starts: np.ndarray, stops: np.ndarray) -> Iterator[tuple[int, int]]:
    """The runs of pages that ranges of bytes lie in: the first, and the one behind the last."""
    first_pages = starts >> _PAGE_BITS
    order = np.argsort(first_pages, kind="stable")
    first_pages = first_pages[order]
    stop_pages = (stops + _IN_PAGE) >> _PAGE_BITS
    stop_pages = stop_pages[order]
    stop_pages = np.maximum.accumulate(stop_pages)  # behind all that came before
    # A run ends where the next range begins behind it; ranges that touch are one run.
    is_gap = first_pages[1:] > stop_pages[:-1]
    gaps = np.flatnonzero(is_gap)
    last = len(order) - 1
    run_starts = np.append(0, gaps + 1)
    run_stops = np.append(gaps, last)
    return zip(
        first_pages[run_starts].tolist(),
        stop_pages[run_stops].tolist(),
    )
