"""`FieldStats`: what is said of the values of one field."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsrecords._stats.distribution import Distribution


@dataclasses.dataclass(frozen=True)
class FieldStats:
    """What the values of a field are like.

    Attributes:
        name: of the field; its position where fields have no names.
        type: the name of its type.
        records: how many were looked at.
        nulls: how many values are None; None if that was not counted.
        nans: how many are NaN or NaT, of arrays their items.
        infinities: how many are infinite.
        values: of numbers and times, and of the items of arrays; else None.
        lengths: of strings, bytes, 1-D arrays and lists of numbers, without those that are None;
            else None.
        length_unit: what lengths count: "characters", "items" or "bytes"; "" without lengths.
        sizes: how many bytes values take in the file; None of numbers.
        heights, widths: of images in pixels, of up to 1,000, evenly spread; else None.
        distinct: how many different values there are; None where they were not counted (floats,
            integers that lie far apart, more than 100,000 strings, what is neither).
        top: the most frequent values, with how often there is each, the most frequent first; empty
            where they were not counted.
    """

    name: Any
    type: str
    records: int
    nulls: int | None = None
    nans: int = 0
    infinities: int = 0
    values: Distribution | None = None
    lengths: Distribution | None = None
    length_unit: str = ""
    sizes: Distribution | None = None
    heights: Distribution | None = None
    widths: Distribution | None = None
    distinct: int | None = None
    top: tuple[tuple[Any, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, times as strings."""
        facts: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Distribution):
                value = value.to_dict()
            facts[field.name] = value
        facts["top"] = [[value, count] for value, count in self.top]
        return facts
