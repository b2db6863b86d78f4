"""Asking the kernel for what will be read, without a thread, and without a call for what is in memory.

Knows entries and offsets, and nothing of what a record holds.
"""

from __future__ import annotations

import numpy as np

from dsrecords._format.layout import LOW_32_BITS
from dsrecords._read.snapshot import Snapshot
from dsrecords._storage import files

_LOW = np.uint64(LOW_32_BITS)
_EIGHT = np.uint64(8)
_PAGE = np.uint64(4096)
_LARGEST = np.uint64(64 * 2**20)  # bytes of one record: nobody reads more than this at once


def prefetch(snapshot: Snapshot, rows: np.ndarray, heads_only: bool) -> None:
    """Ask for the pages of many records, unless they seem to be in memory: two of them are looked at.

    A batch of random records from a cold disk is then read at once, at the disk's full depth, instead
    of one page fault after another.

    Args:
        snapshot: the list.
        rows: the records' entries: uint64, (n, 2).
        heads_only: whether only the heads will be read.
    """
    if len(rows) < 2 or _seems_in_memory(snapshot, rows):
        return
    offsets = rows[:, 0]
    if heads_only:
        sizes = np.full(len(rows), snapshot.header.schema.layout.size, np.uint64)
    else:
        sizes = np.minimum((rows[:, 1] & _LOW) * _EIGHT, _LARGEST)
    data = snapshot.mapped()
    end = np.uint64(len(data))
    inside = offsets < end  # an entry that is damaged is found out later
    if not inside.any():
        return
    starts = offsets[inside]
    stops = np.minimum(starts + sizes[inside], end)
    for first_page, stop_page in _page_runs(starts, stops):
        page = int(_PAGE)
        files.will_need(data, first_page * page, (stop_page - first_page) * page)


def _seems_in_memory(snapshot: Snapshot, rows: np.ndarray) -> bool:
    descriptor = snapshot.descriptor.number
    for number in (len(rows) // 3, len(rows) - 1):
        if not files.in_memory(descriptor, int(rows[number, 0])):
            return False
    return True


def _page_runs(starts: np.ndarray, stops: np.ndarray) -> list[tuple[int, int]]:
    """The runs of pages (first, and behind the last) that ranges of bytes lie in, in ascending order."""
    first_pages = starts // _PAGE
    stop_pages = (stops + _PAGE - np.uint64(1)) // _PAGE
    order = np.argsort(first_pages, kind="stable")
    first_pages = first_pages[order]
    stop_pages = np.maximum.accumulate(stop_pages[order])
    # A run ends where the next range begins behind all that came before; those that touch are one.
    gaps = np.flatnonzero(first_pages[1:] > stop_pages[:-1])
    run_starts = np.concatenate([[0], gaps + 1])
    run_stops = np.concatenate([gaps, [len(order) - 1]])
    return list(zip(first_pages[run_starts].tolist(), stop_pages[run_stops].tolist()))
