"""Asking a storage for the records that will be read, without a thread.

Knows entries and offsets, and nothing of what a record holds.
"""

from __future__ import annotations

import numpy as np

from dsrecords._format.layout import LOW_32_BITS
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
        rows: the records' entries: uint64, (n, 2).
        heads_only: whether only the heads will be read.
    """
    storage = snapshot.storage
    starts = rows[:, 0]
    if storage.seems_ready(starts):
        return
    snapshot.mapped()  # `ensure` looks at windows that are there
    # An entry that is damaged, so that a sum may wrap around, is found out later.
    if heads_only:
        stops = starts + snapshot.header.schema.layout.size
    else:
        eighths = rows[:, 1] & _LOW
        sizes = np.minimum(eighths << _EIGHTH, _LARGEST)
        stops = starts + sizes
    storage.ensure(starts, stops)
