"""Sizes of images, from the headers of their files: nothing is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._dataset.reading import Reading
from dsrecords._read.plan import Plan
from dsrecords._types.compressed import Zstd
from dsrecords._types.image_files import image_size
from dsrecords._types.images import Image
from dsrecords.errors import SchemaError

_NO_SIZE = (0, 0)  # in an array of sizes, of an image that is None


class _SizeOf:
    """A decoder of images that returns (height, width)."""

    def decode_image(self, data: memoryview) -> tuple[int, int]:
        return image_size(data)


def size_of_one(reading: Reading, index: Any, field: Any) -> tuple[int, int] | None:
    """Return (height, width) of one image; None if it is None."""
    plan = _plan(reading, field)
    snapshot = reading.snapshot()
    found = reading.position(index, snapshot)
    size: tuple[int, int] | None = plan.read(snapshot, found)
    return size


def sizes_of_many(reading: Reading, field: Any, indices: Any) -> np.ndarray:
    """Return (height, width) of many images: int64, (n, 2)."""
    plan = _plan(reading, field)
    (sizes,) = reading.columns(plan, indices)
    rows = [size or _NO_SIZE for size in sizes]
    return np.array(rows, np.int64).reshape(len(rows), 2)


def _plan(reading: Reading, key: Any) -> Plan:
    """What to read for the sizes of a field. Raises SchemaError if it is none of images."""
    header = reading.fields.header
    field = reading.fields.field(key)
    kind = field.type
    if isinstance(kind, Zstd):
        kind = kind.inner
    if not isinstance(kind, Image):
        name = field.type.name
        raise SchemaError(f"sizes are of images, this is {name}", field=field.key)
    load = field.type.decoder(_SizeOf(), field.key)
    return Plan(
        header,
        [(field, load)],
        copy=False,
        shape=None,
    )
