"""Sizes of the payloads of many records, from their verified heads: no payload is read."""

from __future__ import annotations

import numpy as np

from dsrecords._order.formula import Formula
from dsrecords._read.batch import as_array, head_columns
from dsrecords._read.snapshot import Snapshot


def knows_sizes(snapshot: Snapshot) -> bool:
    """Whether the sizes of payloads can be told without reading them: a file of 0.4 says none."""
    return snapshot.sizes is not None or snapshot.columns is None


def payload_sizes(
    snapshot: Snapshot,
    positions: range | np.ndarray | Formula,
    payload: int,
) -> np.ndarray:
    """Return how many bytes a payload of each record has: uint64, (n,); `NONE` where it is None.

    Args:
        snapshot: the list.
        positions: a range, a formula or int64, (n,), each within the list.
        payload: the number of the payload.

    Raises:
        CorruptError: a head is not what was written; names the record.
    """
    if snapshot.sizes is not None:
        return snapshot.sizes(as_array(positions), payload)
    if not isinstance(positions, range):
        positions = as_array(positions)
    sizes = head_columns(snapshot, positions, ["sizes"])["sizes"]
    found: np.ndarray = sizes[:, payload]
    return found.astype(np.uint64)
