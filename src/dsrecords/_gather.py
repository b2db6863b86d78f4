"""Reading many records at once: their heads are gathered and verified together, then each field becomes a column."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._frame import PENDING, RECORD
from ._index import mix
from ._prefetch import prefetch
from ._reader import HEAD_SEEN, NEVER_SEEN, Item, Plan, Snapshot
from ._scalars import Scalar
from ._schema import Field
from ._values import NONE, describe
from .errors import CorruptError, SchemaError

_LOW = np.uint64(2**32 - 1)
_EIGHTH, _SEVEN = np.uint64(3), np.uint64(7)  # to divide by eight, and to round up to a multiple of it


def columns(snapshot: Snapshot, positions: np.ndarray, plan: Plan, out: Mapping[Any, Any]) -> list[Any]:
    """The values of each field of many records, field by field.

    Args:
        snapshot: the list.
        positions: int64, (n,), each within the list.
        plan: what to read.
        out: by field, arrays to read into.

    Returns:
        For each field of the plan: an array (n, …) where all values have one shape, a masked array (n,) of scalars that may be
            None, else a list.

    Raises:
        SchemaError: an array of `out` does not fit.
        CorruptError: naming the first record that is not as it was written.
    """
    if len(positions):
        heads, offsets = _heads(snapshot, positions, plan)
    else:
        heads, offsets = np.zeros(0, snapshot.header.schema.dtype), np.zeros(0, np.uint64)
    data, starts = snapshot.mapped(), np.zeros((len(heads), 0), np.uint64)
    if plan.payloads:
        padded = _padded(heads["sizes"][:, : plan.payloads])
        starts = (offsets + np.uint64(snapshot.header.schema.head))[:, None] + padded.cumsum(axis=1, dtype=np.uint64) - padded
    found: list[Any] = []
    for item in plan.items:
        field = item[0]
        if isinstance(field.type, Scalar):
            found.append(_into(out, field, _numbers(snapshot, positions, item, field.type, heads, offsets)))
        else:
            begins, lengths = starts[:, field.payload].tolist(), heads["sizes"][:, field.payload].tolist()
            found.append(_payloads(snapshot, data, positions, item, begins, lengths, plan.copy, out))
    return found


def _into(out: Mapping[Any, Any], field: Field, column: Any) -> Any:
    """A column, in the array of `out` that is for it."""
    if field.key not in out:
        return column
    if not isinstance(column, np.ndarray) or isinstance(column, np.ma.MaskedArray):
        raise SchemaError(f"out is for numbers and arrays of one shape, this is {field.type.name}", field=field.key)
    target = out[field.key]
    if not isinstance(target, np.ndarray) or (target.dtype, target.shape) != (column.dtype, column.shape):
        raise SchemaError(
            f"out needs an array of {column.dtype} with shape {column.shape}, not {describe(target)}", field=field.key
        )
    if target is not column:
        target[...] = column
    return target


def _numbers(snapshot: Snapshot, positions: np.ndarray, item: Item, kind: Scalar, heads: np.ndarray, offsets: np.ndarray) -> Any:
    field, make, builtin = item
    column = heads[f"at {field.at}"].copy()
    absent = heads[f"at {field.present}"] == 0 if field.present >= 0 else None
    if make is not None:
        try:
            if builtin:
                column = kind.shown(column)
        except CorruptError:
            builtin = False  # one by one, to name the record
        if not builtin:
            there = itertools.repeat(True) if absent is None else (~absent).tolist()
            numbers = zip(positions.tolist(), offsets.tolist(), column.view("<" + kind.code).tolist(), there)
            return [snapshot.of_number(make, n, i, field, at + field.at) if has else None for i, at, n, has in numbers]
    return column if absent is None else np.ma.MaskedArray(column, absent)


def _payloads(
    snapshot: Snapshot, data: memoryview, positions: np.ndarray, item: Item, starts: list[int], sizes: list[int], copy: bool,
    out: Mapping[Any, Any],
) -> Any:  # fmt: skip
    row = item[0].type.stored_row() if item[2] else None
    if row is not None and sizes.count(nbytes := row.itemsize * math.prod(row.shape[1:])) == len(sizes):
        stacked: Any = out.get(item[0].key)
        shape = (len(sizes), *row.shape[1:])
        fits = isinstance(stacked, np.ndarray) and stacked.flags.carray and (stacked.dtype, stacked.shape) == (row.dtype, shape)
        stacked = stacked if fits else np.empty(shape, row.dtype)
        if stacked.size:
            target, at = memoryview(stacked.reshape(-1).view(np.uint8)), 0
            for start in starts:  # ten times faster than gathering rows through a strided array
                target[at : at + nbytes] = data[start : start + nbytes]
                at += nbytes
        return _into(out, item[0], stacked)
    places = zip(positions.tolist(), starts, sizes)
    values: Any = [snapshot.load(data, i, item, start, length, copy) for i, start, length in places]
    if item[2] and (row := item[0].type.row()) is not None:
        values = np.array(values, row.dtype).reshape(-1, *row.shape[1:])
    return _into(out, item[0], values)


def _heads(snapshot: Snapshot, positions: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """The heads of many records, structured, and their offsets (uint64, (n,)), once what the plan needs of them is verified."""
    entries = snapshot.entries
    rows, seen = entries.gather(positions), np.asarray(entries.seen)
    need = seen.dtype.type(plan.need & np.iinfo(seen.dtype).max)
    unseen = seen[positions] & need != need
    prefetch(snapshot, rows, heads_only=not plan.payloads)
    if not unseen.any() and plan.need < NEVER_SEEN:
        return _take(snapshot, rows[:, 0]), rows[:, 0]
    heads = _verified_together(snapshot, positions, rows)
    if heads is not None and snapshot.verify != "always":
        seen[positions] |= seen.dtype.type(HEAD_SEEN)
    if heads is None or plan.payloads:  # one by one, which raises what is wrong
        offsets = np.array([snapshot.look(entries, i, plan) for i in positions.tolist()], np.uint64)
        if heads is None or (offsets != rows[:, 0]).any():  # or another thread has meanwhile put others here
            return _take(snapshot, offsets), offsets
    return heads, rows[:, 0]


def _take(snapshot: Snapshot, offsets: np.ndarray) -> np.ndarray:
    """The heads at these offsets, a copy. NumPy copies each as one item: five times faster than as a row of words."""
    dtype = snapshot.header.schema.dtype
    data = snapshot.mapped()
    room = (len(data) - dtype.itemsize) // 8 + 1
    everywhere = np.ndarray((room,), f"V{dtype.itemsize}", data, strides=(8,))
    heads: np.ndarray = everywhere[(offsets >> _EIGHTH).view(np.int64)].view(dtype)
    return heads


def _verified_together(snapshot: Snapshot, positions: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """The heads of many records; None if one of them is not right, or may not be."""
    header, offsets, words = snapshot.header, rows[:, 0], rows[:, 1]
    size = header.schema.head
    low, high = int(offsets.min()), int(offsets.max())
    if low < header.size or high + size > snapshot.end or np.bitwise_or.reduce(offsets) & _SEVEN:
        return None
    heads = _take(snapshot, offsets)
    checks, kinds, extents = heads["check"], heads["kind"], np.uint64(size)
    if header.schema.payloads:
        sizes = _padded(heads["sizes"])
        if int(sizes.max()) > snapshot.end:
            return None
        extents = extents + sizes.sum(axis=1, dtype=np.uint64)
    eighths = words & _LOW
    right = (
        (checks == (words >> np.uint64(32) ^ mix(positions))) & (kinds - np.uint32(RECORD) <= PENDING - RECORD)
        & (heads["size"] == extents) & ((eighths == extents >> _EIGHTH) | (eighths == _LOW))
    )  # fmt: skip
    if not right.all() or int((offsets + extents).max()) > snapshot.end:
        return None
    if snapshot.verify and not (header.frames.checks_of(heads, offsets) == checks).all():
        return None
    return heads


def _padded(sizes: np.ndarray) -> np.ndarray:
    """What payloads of these sizes take: uint64, as the sizes."""
    return np.where(sizes == NONE, np.uint64(0), sizes + _SEVEN & ~_SEVEN)
