"""How long the values of a field are, from the sizes that the index has: no value is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._dataset.blocks import BLOCK
from dsrecords._dataset.reading import Reading
from dsrecords._format.layout import NONE
from dsrecords._read.lengths import knows_sizes, payload_sizes
from dsrecords._schema.schema import Field
from dsrecords._types.arrays import ShapedArray
from dsrecords._types.binary import Bytes
from dsrecords._types.lists import List
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Str
from dsrecords.errors import CorruptError, SchemaError

_COUNT_SIZE = 8  # bytes before the items of a list, or of an array of a free length


def lengths_of(reading: Reading, key: Any) -> np.ndarray:
    """Return how long the values of a field are: int64, (n,), 0 for one that is None.

    It is the number of items of a 1-D array or of a list of numbers, and the number of bytes of a
    string (in UTF-8) or of bytes.

    Raises:
        SchemaError: there is no such field, or its type has no such length.
        CorruptError: a head is not what was written.
    """
    plan = reading.fields.plan_for(key)
    (item,) = plan.items
    field = item.field
    width = _width(field)
    snapshot = reading.snapshot()
    count = reading.count()
    lengths = np.zeros(count, np.int64)
    if not knows_sizes(snapshot):
        raise SchemaError(
            "files of dsrecords 0.4 and MDS do not say how long their values are: "
            "dsrecords.upgrade, or of MDS dsrecords.convert, makes a dataset that does",
            file=reading.path,
            field=field.key,
        )
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        positions = reading.positions(slice(start, stop), snapshot)
        sizes = payload_sizes(snapshot, positions, field)
        lengths[start:stop] = items_in(sizes, field, width, positions, snapshot.file)
    return lengths


def items_in(
    sizes: np.ndarray,
    field: Field,
    width: int,
    positions: Any,
    file: str,
) -> np.ndarray:
    """Return how many items payloads of some sizes have: int64, (n,), 0 for one that is None.

    Args:
        sizes: in bytes: uint64, (n,).
        field: whose payloads these are.
        width: bytes of an item.
        positions: of the records, for the error.
        file: of the records, for the error.

    Raises:
        CorruptError: a payload has no whole number of items.
    """
    kind = field.type
    before = 0
    if isinstance(kind, List) or (isinstance(kind, ShapedArray) and kind.free):
        before = _COUNT_SIZE
    is_none = sizes == np.uint64(NONE)
    sizes = sizes.astype(np.int64)
    sizes[is_none] = before
    lengths, rest = np.divmod(sizes - before, width)
    is_wrong = (rest != 0) | (lengths < 0)
    if is_wrong.any():
        first = int(is_wrong.argmax())
        raise CorruptError(
            f"{kind.name} does not take {sizes[first]} bytes",
            file=file,
            record=int(positions[first]),
            field=field.key,
        )
    return lengths


def _width(field: Field) -> int:
    """Return how many bytes an item takes. Raises SchemaError if a payload does not say."""
    kind = field.type
    if isinstance(kind, (Str, Bytes)):
        return 1
    if isinstance(kind, ShapedArray) and len(kind.shape) == 1:
        return kind.scalar.width
    if isinstance(kind, List) and isinstance(kind.item, Scalar) and not kind.item.nullable:
        return kind.item.width
    raise SchemaError(
        "lengths are of 1-D arrays of one dtype, lists of numbers, strings and bytes, and this is "
        f"{kind.name}: store the length in a field of its own",
        field=field.key,
    )
