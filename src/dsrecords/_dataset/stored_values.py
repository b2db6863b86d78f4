"""How many bytes values take, and their checksums, as the heads of records say."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._dataset.blocks import BLOCK
from dsrecords._dataset.reading import Reading
from dsrecords._format.layout import NONE
from dsrecords._read.lengths import knows_sizes, payload_checksums, payload_sizes
from dsrecords._types.scalars import Scalar
from dsrecords.errors import SchemaError

_NONE_SIZE = -1


def stored_sizes(reading: Reading, key: Any) -> np.ndarray:
    """Return what `IndexedRecordDataset.stored_sizes` does: int64, (n,)."""
    (item,) = reading.fields.plan_for(key).items
    field = item.field
    count = reading.count()
    if isinstance(field.type, Scalar):
        return np.full(count, field.type.width, np.int64)
    _require_heads(reading, key)
    snapshot = reading.snapshot()
    found = np.empty(count, np.int64)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        positions = reading.positions(slice(start, stop), snapshot)
        sizes = payload_sizes(snapshot, positions, field)
        is_none = sizes == np.uint64(NONE)
        found[start:stop] = sizes.astype(np.int64)
        found[start:stop][is_none] = _NONE_SIZE
    return found


def checksums(reading: Reading, key: Any) -> np.ndarray:
    """Return what `IndexedRecordDataset.checksums` does: uint32, (n,)."""
    (item,) = reading.fields.plan_for(key).items
    field = item.field
    if isinstance(field.type, Scalar):
        message = f"{field.type.name} has no checksum of its own: compare ds.column({key!r})"
        raise SchemaError(message, field=key)
    _require_heads(reading, key)
    count = reading.count()
    snapshot = reading.snapshot()
    found = np.empty(count, np.uint32)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        positions = reading.positions(slice(start, stop), snapshot)
        found[start:stop] = payload_checksums(snapshot, positions, field)
    return found


def _require_heads(reading: Reading, key: Any) -> None:
    if knows_sizes(reading.snapshot()):
        return
    raise SchemaError(
        "a file of dsrecords 0.4 does not say how its values are stored, nor does MDS: "
        "dsrecords.upgrade, or of MDS dsrecords.convert, makes a dataset that does",
        file=reading.path,
        field=key,
    )
