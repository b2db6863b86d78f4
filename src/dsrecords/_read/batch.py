"""Reading many records at once: their heads are gathered and verified together, then each field becomes a column."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.entries import Entries
from dsrecords._format.layout import NONE, padded_sizes
from dsrecords._read.prefetch import prefetch
from dsrecords._read.snapshot import WRONG_SUM, Item, Plan, Snapshot
from dsrecords._read.verification import (
    HEAD_SEEN,
    NEVER_SEEN,
    heads_seen,
    remember,
    take,
    unverified,
    verified,
)
from dsrecords._schema.schema import Field
from dsrecords._types.base import describe
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError


def columns(
    snapshot: Snapshot, positions: np.ndarray, plan: Plan, out: Mapping[Any, Any]
) -> list[Any]:
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
        CorruptError: naming a record that is not as it was written.
    """
    entries = snapshot.entries
    changes = entries.changes[0]
    snapshot.check_plan(plan)
    if len(positions):
        heads, places = _heads(snapshot, entries, positions, plan)
    else:
        heads, places = (
            np.zeros(0, snapshot.header.schema.layout.dtype),
            np.zeros((0, 2), np.uint64),
        )
    offsets, data = places[:, 0], snapshot.mapped()
    if plan.payloads:
        padded = padded_sizes(heads["sizes"][:, : plan.payloads])
        starts = (
            (offsets + np.uint64(snapshot.header.schema.layout.size))[:, None]
            + padded.cumsum(axis=1, dtype=np.uint64)
            - padded
        )
    found: list[Any] = []
    for item in plan.items:
        field = item[0]
        if isinstance(field.type, Scalar):
            found.append(
                _into(out, field, _numbers(snapshot, positions, item, field.type, heads, offsets))
            )
            continue
        begins, lengths = (
            starts[:, field.payload].tolist(),
            heads["sizes"][:, field.payload].tolist(),
        )
        unseen = unverified(snapshot, entries, positions, field, changes)
        sums = heads["checksums"][:, field.payload].tolist() if unseen else []
        found.append(
            _payloads(
                snapshot, data, positions, item, begins, lengths, unseen, sums, plan.copy, out
            )
        )
    if plan.payloads and snapshot.verify != "always":
        remember(entries, positions, changes, plan.need & ~NEVER_SEEN)
    return found


def _into(out: Mapping[Any, Any], field: Field, column: Any) -> Any:
    """A column, in the array of `out` that is for it."""
    if field.key not in out:
        return column
    if not isinstance(column, np.ndarray) or isinstance(column, np.ma.MaskedArray):
        raise SchemaError(
            f"out is for numbers and arrays of one shape, this is {field.type.name}",
            field=field.key,
        )
    target = out[field.key]
    if not isinstance(target, np.ndarray) or (target.dtype, target.shape) != (
        column.dtype,
        column.shape,
    ):
        raise SchemaError(
            f"out needs an array of {column.dtype} with shape {column.shape}, not {describe(target)}",
            field=field.key,
        )
    if target is not column:
        target[...] = column
    return target


def _numbers(
    snapshot: Snapshot,
    positions: np.ndarray,
    item: Item,
    kind: Scalar,
    heads: np.ndarray,
    offsets: np.ndarray,
) -> Any:
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
            numbers = zip(
                positions.tolist(), offsets.tolist(), column.view("<" + kind.code).tolist(), there
            )
            return [
                _made(snapshot, item, n, i, at + field.at) if has else None
                for i, at, n, has in numbers
            ]
    return column if absent is None else np.ma.MaskedArray(column, absent)


def _made(snapshot: Snapshot, item: Item, number: Any, i: int, offset: int) -> Any:
    field, make, builtin = item
    try:
        return make(number)  # type: ignore[misc]
    except Exception as error:
        snapshot.explain(error, i, field, builtin, offset)
        raise


def _payloads(
    snapshot: Snapshot, data: memoryview, positions: np.ndarray, item: Item, starts: list[int], sizes: list[int],
    unseen: list[bool] | None, sums: list[int], copy: bool, out: Mapping[Any, Any],
) -> Any:  # fmt: skip
    """A column of payloads. What is not verified yet is, right before it is copied: so it comes from memory only once."""
    field = item[0]
    row = field.type.stored_row() if item[2] else None
    if row is not None and sizes.count(nbytes := row.itemsize * math.prod(row.shape[1:])) == len(
        sizes
    ):
        stacked: Any = out.get(field.key)
        shape = (len(sizes), *row.shape[1:])
        fits = (
            isinstance(stacked, np.ndarray)
            and stacked.flags.carray
            and (stacked.dtype, stacked.shape) == (row.dtype, shape)
        )
        stacked = stacked if fits else np.empty(shape, row.dtype)
        target, at = (
            memoryview(stacked.reshape(-1).view(np.uint8) if stacked.size else bytearray()),
            0,
        )
        for k, start in enumerate(
            starts
        ):  # ten times faster than gathering rows through a strided array
            piece = data[start : start + nbytes]
            if unseen and unseen[k] and crc32(piece) != sums[k]:
                raise snapshot.wrong(WRONG_SUM, int(positions[k]), start, field)
            target[at : at + nbytes] = piece
            at += nbytes
        return _into(out, field, stacked)
    values: Any = []
    for k, i in enumerate(positions.tolist()):
        if (
            unseen
            and unseen[k]
            and sizes[k] != NONE
            and crc32(data[starts[k] : starts[k] + sizes[k]]) != sums[k]
        ):
            raise snapshot.wrong(WRONG_SUM, i, starts[k], field)
        values.append(snapshot.load(data, i, item, starts[k], sizes[k], copy))
    if item[2] and (row := field.type.row()) is not None:
        values = np.array(values, row.dtype).reshape(len(values), *row.shape[1:])
    return _into(out, field, values)


def rows(snapshot: Snapshot, positions: np.ndarray, plan: Plan) -> Iterable[tuple[Any, ...]]:
    """The values of the fields of many records, record by record, of a plan that is `plain`. Raises CorruptError."""
    heads, _ = _heads(snapshot, snapshot.entries, positions, plan)
    return zip(*(heads[f"at {field.at}"].tolist() for field in plan.fields))


def _heads(
    snapshot: Snapshot, entries: Entries, positions: np.ndarray, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    """The verified heads of many records, structured, and their entries (uint64, (n, 2)). Raises CorruptError."""
    changes, places = entries.changes[0], entries.gather(positions)
    prefetch(snapshot, places, heads_only=not plan.payloads)
    if heads_seen(snapshot, entries, positions) and entries.changes[0] == changes:
        return take(snapshot, places[:, 0]), places
    heads, right = verified(snapshot, positions, places)
    if not right.all():
        for k in np.flatnonzero(
            ~right
        ).tolist():  # which raises what is wrong, if another thread has not put others here
            places[k, 0] = snapshot.look(entries, int(positions[k]), plan)
        return take(snapshot, places[:, 0]), places
    if (
        not plan.payloads and snapshot.verify != "always"
    ):  # else it is noted together with the payloads
        remember(entries, positions, changes, HEAD_SEEN)
    return heads, places
