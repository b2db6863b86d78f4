"""Statistics as text: numbers as a person reads them, histograms as a line, a table of fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dsrecords._stats.distribution import Distribution
    from dsrecords._stats.field_stats import FieldStats

_BLOCKS = "▁▂▃▄▅▆▇█"
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
_LONGEST_TYPE = 32
_LONGEST_VALUE = 24
_TOP_SHOWN = 3
HEADINGS = (
    "field",
    "type",
    "None",
    "min",
    "mean",
    "max",
    "histogram",
    "most frequent",
)


def byte_count(size: float) -> str:
    """Return a number of bytes as a person reads it: "1.2 MB"; units are powers of 1000."""
    for unit in _UNITS:
        if abs(size) < 999.5 or unit == _UNITS[-1]:
            break
        size /= 1000
    if unit == "bytes":
        return f"{size:.0f} {unit}"
    return f"{size:.3g} {unit}"


def number(value: Any) -> str:
    """Return a number or a time as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, (bool, np.datetime64, np.timedelta64)):
        return str(value)
    if isinstance(value, int) and abs(value) < 10**15:
        return f"{value:,}"
    if isinstance(value, float) and abs(value) < 10**15:
        if value.is_integer() or abs(value) >= 10**5:
            return f"{value:,.0f}"
        if abs(value) >= 1000:
            return f"{value:,.1f}"
    return f"{value:.4g}"


def sparkline(counts: Sequence[int]) -> str:
    """Return a histogram as a line of blocks; a bin that has anything has a block, however low."""
    most = max(counts, default=0)
    blocks = []
    for count in counts:
        height = 0
        if count:
            height = max(1, round(count / most * len(_BLOCKS)))
        blocks.append((" " + _BLOCKS)[height])
    return "".join(blocks)


def shortened(text: str, length: int) -> str:
    """Return a text that is cut off where it is too long."""
    if len(text) <= length:
        return text
    return f"{text[: length - 1]}…"


def shown_value(value: Any) -> str:
    """Return a value as Python writes it, shortened: a string cannot pass for anything else."""
    if isinstance(value, str):
        return shortened(repr(value[: _LONGEST_VALUE + 1]), _LONGEST_VALUE)
    return number(value)


def distribution_of(field: FieldStats) -> tuple[Distribution | None, str]:
    """Return what a line shows of a field, and what it is of: "" where that is the values."""
    if field.values is not None:
        return field.values, ""
    if field.lengths is not None:
        return field.lengths, field.length_unit
    return field.sizes, "bytes"


def cells(field: FieldStats) -> tuple[str, ...]:
    """Return what a table shows of a field, in the order of `HEADINGS`."""
    distribution, unit = distribution_of(field)
    nulls = ""
    if field.nulls:
        nulls = f"{field.nulls:,}"
    least = ""
    mean = ""
    greatest = ""
    histogram = ""
    if distribution is not None:
        least = number(distribution.minimum)
        mean = number(distribution.mean)
        greatest = number(distribution.maximum)
        if unit:
            greatest = f"{greatest} {unit}"
        histogram = sparkline(distribution.counts)
    return (
        str(field.name),
        shortened(field.type, _LONGEST_TYPE),
        nulls,
        least,
        mean,
        greatest,
        histogram,
        frequent(field),
    )


def frequent(field: FieldStats) -> str:
    """Return the most frequent values, if some are more frequent than others."""
    if not field.top or field.top[0][1] == 1:
        if field.distinct:
            return f"{field.distinct:,} distinct"
        return ""
    shown = [f"{shown_value(value)} × {count:,}" for value, count in field.top[:_TOP_SHOWN]]
    text = ", ".join(shown)
    more = (field.distinct or 0) - len(shown)
    if more > 0:
        text += f" and {more:,} more"
    return text


def table(records: int, fields: Sequence[FieldStats]) -> str:
    """Return a table of fields, one a line."""
    rows = [HEADINGS, *map(cells, fields)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [f"{records:,} records"]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
