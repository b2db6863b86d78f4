"""Reading by the compiled twin: which plans it knows, and how it is told what to read.

It makes numbers, strings, bytes and arrays by itself, and calls the type's own method for a few
other types. Functions of users stay with Python, as they must not be called twice for one value.

It stands below plans and snapshots, which ask it: so it knows them without their classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.layout import HeadLayout
from dsrecords._native import core
from dsrecords._schema.schema import Field
from dsrecords._types.arrays import AnyArray, ShapedArray
from dsrecords._types.binary import Bytes
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Json, Str

# How a value is made, as in `native/reader.c`.
_NUMBER = 0
_TEXT = 1
_BYTES = 2
_ARRAY = 3
_PAYLOAD = 4

# What is assembled of them, as there.
_SHAPES: dict[type | None, int] = {
    None: 0,
    tuple: 1,
    dict: 2,
}
_MOST_PAYLOADS = 1024

_NOT_ASKED = -1  # whether the log is in memory
_INT64 = np.dtype(np.int64)
_PLAIN_MEMORY = "biuf"  # kinds of arrays whose memory NumPy shows to others as it is

# What the functions in C return where nothing was in their way.
_DONE = -1
_ALL_KNOWN = -3

_Step = tuple[int, int, int, int, int, int, Any, Any, Any]


def compiled_reader(plan: Any) -> Any:
    """What reads samples as a plan says.

    Returns:
        Its `read(snapshot, index)` stands for `plan.read`, which it calls if need be; its
        `samples(snapshot, positions)` (int64, (n,)) is an iterator of samples, up to the first that
        is left to Python, whose number is its `done`. None where Python reads all.
    """
    if core is None or plan.shape not in _SHAPES or not plan.items:
        return None
    if plan.amplifies or plan.payloads > _MOST_PAYLOADS:
        return None
    steps = []
    for item in plan.items:
        step = _step(item)
        if step is None:
            return None
        steps.append(step)
    layout = plan.schema.layout
    keys = [field.key for field in plan.fields]
    return core.Reader(
        plan.schema,
        tuple(keys),
        tuple(steps),
        plan.read,
        layout.size,
        layout.payload_count,
        plan.payloads,
        plan.need,
        plan.mask,
        plan.proven,
        _SHAPES[plan.shape],
        plan.copy,
    )


def compiled_loading(kind: Any, copied: bool) -> kernels.Loading | None:
    """How C makes many values of a type of payloads; None if it does not."""
    found = _kind_of_payload(kind)
    if found == _TEXT or (found == _BYTES and copied):
        return kernels.Loading(found == _TEXT, kind.nullable)
    return None


def _step(item: Any) -> _Step | None:
    """How C makes the value of a field; None if it cannot."""
    if not item.is_builtin:
        return None
    kind = item.field.type
    if isinstance(kind, Scalar):
        return _step_of_number(item, kind)
    if item.make != kind.load:
        return None
    found = _kind_of_payload(kind)
    if found is None:
        return None
    make: Any = None
    shape: Any = None
    dtype: Any = None
    size = 0
    if found == _ARRAY:
        row: Any = kind.row()
        shape = row.shape[1:]
        dtype = row.dtype
        size = dtype.itemsize * math.prod(shape)
        make = np.ndarray
    elif found == _PAYLOAD:
        make = item.make
    number = item.field.payload
    return found, 0, int(kind.nullable), number, size, -1, make, shape, dtype


def _step_of_number(item: Any, kind: Scalar) -> _Step:
    field = item.field
    code = ord(kind.code[-1])
    return (
        _NUMBER,
        code,
        0,
        field.number_offset,
        kind.width,
        field.presence_offset,
        item.make,
        None,
        None,
    )


def _kind_of_payload(kind: Any) -> int | None:
    found = type(kind)
    if found is Str:
        return _TEXT
    if found is Bytes:
        return _BYTES
    if found is ShapedArray:
        row = kind.row()
        if row is not None and math.prod(row.shape[1:]) > 0:
            return _ARRAY
        return _PAYLOAD
    if found in (AnyArray, Json):
        return _PAYLOAD
    return None


# Many records


class Column(NamedTuple):
    """Numbers of a head that become a column.

    Attributes:
        name: as `HeadLayout.dtype` has it.
        offset: in a head.
        dtype: of them.
    """

    name: str
    offset: int
    dtype: np.dtype


def number_columns(layout: HeadLayout, fields: Sequence[Field]) -> list[Column]:
    """The numbers of some fields, then the presence bytes of those that may be None."""
    offsets = [field.number_offset for field in fields if field.number_offset >= 0]
    offsets += [field.presence_offset for field in fields if field.presence_offset >= 0]
    of_head: Any = layout.dtype.fields
    columns = []
    for offset in offsets:
        name = f"at {offset}"
        dtype, _ = of_head[name]
        columns.append(Column(name, offset, dtype))
    return columns


def quick_columns_of(columns: Sequence[Column]) -> list[tuple[int, int, np.dtype, bool]]:
    """For `quick_columns`: offset, width and dtype of each, and whether NumPy shows its memory."""
    needed = []
    for _, offset, dtype in columns:
        is_shown = dtype.kind in _PLAIN_MEMORY
        needed.append((offset, dtype.itemsize, dtype, is_shown))
    return needed


def gather_numbers(
    snapshot: Any,
    positions: range | np.ndarray,
    wanted: Sequence[Column],
) -> dict[str, np.ndarray] | None:
    """Numbers of n > 0 records, by their names in a head; verified, and that is remembered.

    Args:
        snapshot: the list.
        positions: of the records.
        wanted: which numbers.

    Returns:
        None where Python is to read them: C is not there, or one of them is unusual.
    """
    if core is None:
        return None
    probe = _probe(snapshot, not snapshot.entries.has_heads)
    if probe is None:
        return None
    layout = snapshot.schema.layout
    count = len(positions)
    numbers = {}
    columns = []
    for name, offset, dtype in wanted:
        column = np.empty(count, dtype)
        numbers[name] = column
        columns.append((offset, dtype.itemsize, column.view(np.uint8)))
    stopped = core.gather_numbers(
        snapshot,
        snapshot.schema,
        layout.size,
        layout.payload_count,
        *_as_arguments(positions),
        tuple(columns),
        snapshot.end,
        probe,
    )
    if stopped != _DONE:
        return None
    return numbers


def quick_columns(snapshot: Any, positions: Any, plan: Any) -> list[np.ndarray] | None:
    """The columns of a plan that is `plain`, by as few steps as there can be.

    Args:
        snapshot: the list.
        positions: what a user has given.
        plan: of numbers alone.

    Returns:
        None where these are no positions as an array of int64, or where `gather_numbers` is to
        look at them.
    """
    if core is None or positions.__class__ is not np.ndarray or not snapshot.mode:
        return None
    if positions.dtype != _INT64 or positions.ndim != 1 or not positions.flags.c_contiguous:
        return None
    probe = getattr(snapshot.storage, "probe", None)
    count = len(positions)
    if probe is None or not count:
        return None
    if len(snapshot.data) < snapshot.end:
        snapshot.mapped()
    found = []
    columns = []
    for offset, width, dtype, is_shown in plan.quick_numbers:
        column = np.empty(count, dtype)
        found.append(column)
        memory = column if is_shown else column.view(np.uint8)
        columns.append((offset, width, memory))
    layout = plan.schema.layout
    stopped = core.gather_numbers(
        snapshot,
        plan.schema,
        layout.size,
        layout.payload_count,
        positions,
        0,
        1,
        count,
        tuple(columns),
        snapshot.end,
        probe(),
    )
    if stopped != _DONE:
        return None
    return found


class GatheredHeads(NamedTuple):
    """The heads of n records, verified, none of which is a revision.

    Attributes:
        heads: structured, (n,), as `HeadLayout.dtype` describes it.
        offsets: of their frames: uint64, (n,).
        starts: of their first payloads: uint64, (n, payloads).
        are_known: whether nothing of the records is left to be verified.
    """

    heads: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    are_known: bool


def gather_heads(
    snapshot: Any,
    positions: range | np.ndarray,
    payloads: int,
    need: int,
) -> GatheredHeads | None:
    """The heads of n > 0 records, and where their first payloads begin.

    Args:
        snapshot: the list.
        positions: of the records.
        payloads: how many.
        need: the parts of the records that are to be verified.

    Returns:
        None as of `gather_numbers`.
    """
    if core is None:
        return None
    probe = _probe(snapshot, True)
    if probe is None:
        return None
    layout = snapshot.schema.layout
    count = len(positions)
    heads = np.empty(count, layout.dtype)
    offsets = np.empty(count, np.uint64)
    starts = np.empty((count, payloads), np.uint64)
    stopped = core.gather_heads(
        snapshot,
        snapshot.schema,
        layout.size,
        layout.payload_count,
        *_as_arguments(positions),
        heads.view(np.uint8),
        offsets,
        payloads,
        starts,
        snapshot.end,
        probe,
        need,
    )
    if stopped not in (_DONE, _ALL_KNOWN):
        return None
    return GatheredHeads(heads, offsets, starts, stopped == _ALL_KNOWN)


def _as_arguments(positions: range | np.ndarray) -> tuple[Any, int, int, int]:
    """Positions as C takes them: an array or None, and start, step and count of a range."""
    if isinstance(positions, range):
        return None, positions.start, positions.step, len(positions)
    return np.ascontiguousarray(positions, np.int64), 0, 1, len(positions)


def _probe(snapshot: Any, looks_at_log: bool) -> int | None:
    """Whom C is to ask whether records are in memory; None if C is not to read them.

    What is not there, Python asks the system for first: see `Snapshot.prefetch`.
    """
    if not snapshot.mode:
        return None
    if not looks_at_log:
        return _NOT_ASKED
    probe = getattr(snapshot.storage, "probe", None)
    if probe is None:
        return None
    snapshot.mapped()
    number: int = probe()
    return number
