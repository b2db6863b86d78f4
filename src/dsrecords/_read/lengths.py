"""Sizes and checksums of payloads of many records, from their verified heads alone."""

from __future__ import annotations

import numpy as np

from dsrecords._order.formula import Formula
from dsrecords._read.batch import as_array, head_columns
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.schema import Field


def knows_sizes(snapshot: Snapshot) -> bool:
    """Whether the sizes of payloads can be told without reading them: a file of 0.4 says none."""
    return snapshot.payload_facts is not None or snapshot.columns is None


def payload_sizes(
    snapshot: Snapshot,
    positions: range | np.ndarray | Formula,
    field: Field,
) -> np.ndarray:
    """Return how many bytes the values of a field have: uint64, (n,); `NONE` where one is None.

    Args:
        snapshot: the list.
        positions: a range, a formula or int64, (n,), each within the list.
        field: whose values are payloads.

    Raises:
        CorruptError: a head is not what was written; names the record.
        StaleViewError: the files were just replaced by files of another schema.
    """
    snapshot.check_field(field)
    return payload_facts(snapshot, positions, field.payload, "sizes").astype(np.uint64)


def payload_checksums(
    snapshot: Snapshot,
    positions: range | np.ndarray | Formula,
    field: Field,
) -> np.ndarray:
    """Return the CRC-32 of the values of a field: uint32, (n,); 0 where one is None.

    The arguments, and what is raised, are those of `payload_sizes`.
    """
    snapshot.check_field(field)
    return payload_facts(snapshot, positions, field.payload, "checksums").astype(np.uint32)


def payload_facts(
    snapshot: Snapshot,
    positions: range | np.ndarray | Formula,
    payload: int,
    name: str,
) -> np.ndarray:
    """Return what the heads of records say of a payload: its "sizes" or its "checksums", (n,)."""
    if snapshot.payload_facts is not None:
        return snapshot.payload_facts(as_array(positions), payload, name)
    if not isinstance(positions, range):
        positions = as_array(positions)
    facts = head_columns(snapshot, positions, [name])[name]
    found: np.ndarray = facts[:, payload]
    return found
