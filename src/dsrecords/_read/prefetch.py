"""Asking a storage for the records that will be read, without a thread.

Knows rows and offsets, and nothing of what a record holds.
"""

from __future__ import annotations

import numpy as np

from dsrecords._read.snapshot import LARGEST_AHEAD, Snapshot, stated_sizes

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
        stops = starts + np.minimum(stated_sizes(rows, has_heads), _LARGEST)
    storage.ensure(starts, stops)
