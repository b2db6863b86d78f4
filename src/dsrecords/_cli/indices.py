"""Indices on a command line, as Python writes them: `17`, `0:100`, `::10`, `5,7,-1`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
import numpy as np

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_INDICES = re.compile(r"[-\d:,\s]+")
_INDEX = re.compile(r"-?\d+")
_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?(:(-?\d+)?)?")
_LONGEST_NUMBER = 19


def are_indices(text: str) -> bool:
    """Return whether a text is made of what indices are made of; no condition is."""
    return _INDICES.fullmatch(text) is not None


def selected(dataset: IndexedRecordDataset, text: str) -> IndexedRecordDataset:
    """Return a view of the records at some indices.

    Raises:
        UsageError: these are no indices.
        IndexError: one is out of range.
    """
    count = len(dataset)
    parts = [part.strip() for part in text.split(",")]
    which: Any
    if len(parts) == 1 and ":" in text:
        which = _slice(parts[0])
    else:
        positions = [_positions(part, count) for part in parts]
        which = np.concatenate(positions)
    found: IndexedRecordDataset = dataset[which]
    return found


def _positions(part: str, count: int) -> np.ndarray:
    if ":" in part:
        start, stop, step = _slice(part).indices(count)
        return np.arange(start, stop, step, dtype=np.int64)
    match = _INDEX.fullmatch(part)
    if match is None:
        raise _no_index(part)
    index = _number(part)
    if not -count <= index < count:
        raise IndexError(f"no sample {index}: there are {count:,}")
    return np.array([index % count], np.int64)


def _slice(part: str) -> slice:
    match = _SLICE.fullmatch(part)
    if match is None:
        raise _no_index(part)
    start = _bound(match[1])
    stop = _bound(match[2])
    step = _bound(match[4])
    if step == 0:
        raise click.UsageError(f"{part!r}: the step of a slice cannot be 0")
    return slice(start, stop, step)


def _bound(text: str | None) -> int | None:
    if text is None:
        return None
    return _number(text)


def _number(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise click.UsageError(f"an index has at most {_LONGEST_NUMBER} digits")
    return int(text)


def _no_index(part: str) -> click.UsageError:
    return click.UsageError(f"{part!r} is neither an index such as 17 nor a slice such as 0:100")
