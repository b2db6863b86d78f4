"""Asking a storage for the records that will be read, without a thread.

Knows rows and offsets, and nothing of what a record holds.
"""

from __future__ import annotations

import numpy as np

from dsrecords._format.layout import LOW_32_BITS, sizes_of_words
from dsrecords._read.snapshot import LARGEST_AHEAD, Snapshot

_LOW = np.uint64(LOW_32_BITS)
_EIGHTH = np.uint64(3)  # bits to shift to multiply by eight
_LARGEST = np.uint64(LARGEST_AHEAD)


def prefetch(
    snapshot: Snapshot,
    rows: np.ndarray,
    heads_only: bool,
) -> None:
    """Prepare many records for being read, as `Storage.ensure` does.

    Args:
        snapshot: the list.
        rows: of the records, as in the index: uint64, (n, width).
        heads_only: whether only the heads will be read.
    """
    storage = snapshot.storage
    has_heads = snapshot.entries.has_heads
    if heads_only and has_heads:
        return  # they are in the rows
    starts = rows[:, 0]
    if storage.seems_ready(starts):
        return
    snapshot.mapped()  # `ensure` looks at windows that are there
    # A row that is damaged, so that a sum may wrap around, is found out later.
    if heads_only:
        stops = starts + snapshot.header.schema.layout.size
    else:
        stops = starts + np.minimum(_stated_sizes(rows, has_heads), _LARGEST)
    storage.ensure(starts, stops)


def release(snapshot: Snapshot, rows: np.ndarray) -> None:
    """Let a storage forget records that were read, as `Storage.release` does.

    Args:
        snapshot: the list.
        rows: of the records, as in the index: uint64, (n, width).
    """
    starts = rows[:, 0]
    stops = starts + np.minimum(_stated_sizes(rows, snapshot.entries.has_heads), _LARGEST)
    snapshot.storage.release(starts, stops)


def _stated_sizes(rows: np.ndarray, has_heads: bool) -> np.ndarray:
    """How large the frames of some rows are, as these say: uint64, (n,)."""
    if has_heads:
        return sizes_of_words(rows[:, 2])
    eighths: np.ndarray = rows[:, 1] & _LOW
    return eighths << _EIGHTH
