"""Reading many records at once: verified heads, from which each field becomes a column."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32_of_payload
from dsrecords._format.entries import FrameRef
from dsrecords._format.layout import NONE, padded_sizes, size_of_word
from dsrecords._order.formula import Formula
from dsrecords._read.compiled import gather_heads, gather_numbers
from dsrecords._read.extents import amplified
from dsrecords._read.plan import Item, Plan
from dsrecords._read.snapshot import WRONG_CHECKSUM, Snapshot
from dsrecords._read.verification import HEAD, REVISED, payload_part
from dsrecords._schema.schema import Field
from dsrecords._types.base import describe
from dsrecords._types.budget import in_call
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError


def columns(
    snapshot: Snapshot,
    positions: range | np.ndarray,
    plan: Plan,
    out: Mapping[Any, Any],
) -> list[Any]:
    """The values of each field of many records, field by field.

    Args:
        snapshot: the list.
        positions: a range or int64, (n,), each within the list.
        plan: what to read.
        out: by field, arrays to read into.

    Returns:
        For each field of the plan: an array (n, …) where all values have one shape, a masked array
        (n,) of scalars that may be None, else a list.

    Raises:
        SchemaError: an array of `out` does not fit.
        CorruptError: a record is not what was written; names the record.
    """
    snapshot.check_plan(plan)
    if plan.are_all_stored and len(positions) and not out:
        numbers = _numbers_in_rows(snapshot, positions, plan)
        if numbers is not None:
            return [numbers[name] for name in plan.number_names]  # a field may be asked for twice
    batch = Batch(snapshot, positions, plan, out)
    if not plan.payloads:
        return batch.columns()
    found = in_call(batch.columns)
    batch.remember()
    return found


def rows(
    snapshot: Snapshot,
    positions: np.ndarray,
    plan: Plan,
) -> Iterable[tuple[Any, ...]]:
    """The values of the fields of many records, record by record, of a plan that is `plain`.

    Raises:
        CorruptError: a record is not what was written; names the record.
        StaleViewError: the files were just replaced by files of another schema.
    """
    snapshot.check_plan(plan)
    if snapshot.columns is not None:
        gathered = snapshot.columns(positions, plan, {})
        return zip(*[column.tolist() for column in gathered])
    found = _read_heads(snapshot, positions, plan)
    values = []
    for field in plan.fields:
        numbers = found.heads[f"at {field.number_offset}"]
        values.append(numbers.tolist())
    return zip(*values)


def as_array(positions: range | np.ndarray | Formula) -> np.ndarray:
    """Return positions, a range, a formula or int64, as an array of int64.

    `np.asarray` would take a range item by item, thirty times as long as `arange` takes.
    """
    if not isinstance(positions, range):
        return np.asarray(positions, np.int64)
    start = positions.start
    stop = positions.stop
    return np.arange(start, stop, positions.step, dtype=np.int64)


def head_columns(
    snapshot: Snapshot,
    positions: range | np.ndarray,
    names: list[str],
) -> Any:
    """Parts of the heads of many records, by name, as `HeadLayout.dtype` names them; verified.

    Raises:
        CorruptError: a head is not what was written; names the record.
    """
    if not len(positions):
        return np.zeros(0, snapshot.header.schema.layout.dtype)
    found = _columns_of_rows(snapshot, positions, names)
    if found is not None:
        return found
    plan = Plan(snapshot.header, [], True, None)
    return _read_heads(snapshot, as_array(positions), plan).heads


_NONE_REVISED = np.empty(0, np.int64)
_CHUNK = 4096  # rows that are verified and copied together: so many stay in the cache


class _Heads(NamedTuple):
    """The heads of n records, verified.

    Attributes:
        numbers: of their rows: int64, (n,).
        heads: structured, (n,); or by name, the numbers that the plan asks for.
        offsets: of their frames: uint64, (n,).
    """

    numbers: np.ndarray
    heads: Any
    offsets: np.ndarray


def _read_heads(
    snapshot: Snapshot,
    positions: np.ndarray,
    plan: Plan,
) -> _Heads:
    """Read and verify the heads of n > 0 records."""
    verified = snapshot.verified
    entries = snapshot.entries
    numbers = entries.row_numbers(positions)
    rows = entries.gather(numbers)
    if not (entries.has_heads and snapshot.storage.needs_ensuring):
        # Else it is known from the rows where the payloads are: these alone are prepared, later.
        snapshot.prefetch(rows, heads_only=not plan.payloads)
    if verified.has_all_heads(numbers):
        return _Heads(numbers, _heads_of(snapshot, rows), rows[:, 0])
    heads, right = snapshot.verify_heads(numbers, rows)
    if not right.all():
        for k in np.flatnonzero(~right).tolist():
            snapshot.found(int(positions[k]), plan)  # raises what is wrong
        heads = _heads_of(snapshot, rows)
    elif not plan.payloads and snapshot.verify != "always":
        verified.remember_many(numbers, HEAD)  # else they are remembered with the payloads
    return _Heads(numbers, heads, rows[:, 0])


def _heads_of(snapshot: Snapshot, rows: np.ndarray) -> np.ndarray:
    """The heads of records, as their rows have them or say where they are."""
    if snapshot.entries.has_heads:
        return snapshot.heads_in(rows)
    layout = snapshot.header.schema.layout
    return kernels.gather_heads(snapshot.mapped(), layout.dtype, rows[:, 0])


def _numbers_in_rows(
    snapshot: Snapshot,
    positions: range | np.ndarray,
    plan: Plan,
) -> dict[str, np.ndarray] | None:
    """The numbers that a plan asks for, by their names in a head, without the heads.

    Returns:
        None where it does not go like that, or where a row is damaged.
    """
    if plan.payloads:
        return None
    entries = snapshot.entries
    has_heads = entries.has_heads and _highest(positions) < entries.direct
    if has_heads and isinstance(positions, range):
        found = _known_columns(snapshot, positions, plan.number_names)
        if found is not None:
            return found
    found = gather_numbers(snapshot, positions, plan.numbers)
    if found is not None or not has_heads:
        return found
    return _columns_of_rows(snapshot, positions, plan.number_names)


def _columns_of_rows(
    snapshot: Snapshot,
    positions: range | np.ndarray,
    names: list[str],
) -> dict[str, np.ndarray] | None:
    """Parts of the heads of n > 0 records, by name, as `_numbers_in_rows` finds them."""
    entries = snapshot.entries
    if not entries.has_heads or _highest(positions) >= entries.direct:
        return None
    known = _known_columns(snapshot, positions, names)
    if known is not None:
        return known
    return _verified_numbers(snapshot, positions, names)


def _known_columns(
    snapshot: Snapshot,
    positions: range | np.ndarray,
    names: list[str],
) -> dict[str, np.ndarray] | None:
    """The same where all heads are verified: of a range NumPy copies them, a nanosecond each."""
    if snapshot.verify == "always":
        return None
    which = _as_selection(positions)
    if not snapshot.verified.has_all_heads(which):
        return None
    heads = snapshot.heads_in(snapshot.entries.mapped.array())
    return {name: heads[name][which].copy() for name in names}


def _highest(positions: range | np.ndarray) -> int:
    """The highest of n > 0 positions."""
    if isinstance(positions, range):
        return max(positions[0], positions[-1])
    return int(positions.max())


def _as_selection(positions: range | np.ndarray) -> slice | np.ndarray:
    """What selects these positions in an array, of a range without copying what it selects."""
    if isinstance(positions, range) and positions.step > 0:
        return slice(positions.start, positions.stop, positions.step)
    return as_array(positions)


def _verified_numbers(
    snapshot: Snapshot,
    positions: range | np.ndarray,
    names: list[str],
) -> dict[str, np.ndarray] | None:
    """The same where not all of the rows are verified: as many at once as stay in the cache."""
    dtypes: Any = snapshot.header.schema.layout.dtype.fields
    numbers = {name: np.empty(len(positions), dtypes[name][0]) for name in names}
    for start in range(0, len(positions), _CHUNK):
        chunk = as_array(positions[start : start + _CHUNK])
        rows = snapshot.entries.gather(chunk)
        heads, right = snapshot.verify_heads(chunk, rows)
        if not right.all():
            return None
        for name, column in numbers.items():
            column[start : start + _CHUNK] = heads[name]
        if snapshot.verify != "always":
            snapshot.verified.remember_many(chunk, HEAD)
    return numbers


class Batch:
    """The records of one call, whose heads are verified.

    Attributes:
        positions: of the records: int64, (n,).
        numbers: of their rows: int64, (n,).
        heads: structured, (n,); or by name, the numbers that the plan asks for.
        offsets: of the heads: uint64, (n,).
        starts: offsets of the plan's payloads: uint64, (n, plan.payloads).
        revised: which of the records are revisions: int64, (m,), counted in the batch.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> None:
        self.ask(snapshot, positions, plan, out)
        layout = snapshot.header.schema.layout
        self.heads: Any
        if not len(positions):
            self.heads = np.zeros(0, layout.dtype)
            self.numbers = np.zeros(0, np.int64)
            self.offsets = np.zeros(0, np.uint64)
        else:
            found = _numbers_in_rows(snapshot, positions, plan)
            if found is not None:
                self.heads = found
                return
            if plan.payloads and self._gathered():
                return
            self.numbers, self.heads, self.offsets = _read_heads(snapshot, self.positions, plan)
        if plan.payloads:
            sizes = self.heads["sizes"][:, : plan.payloads]
            self.starts = layout.payload_offset_table(sizes, self.offsets)
            self.revised = np.flatnonzero(kernels.are_revisions(self.heads))
            self._find_revised_payloads()
            if snapshot.storage.needs_ensuring:
                self._ensure_payloads()

    def _gathered(self) -> bool:
        """Set what there is to know of the heads by C. Returns False where Python is to do it."""
        snapshot = self.snapshot
        plan = self.plan
        found = gather_heads(snapshot, self._given, plan.payloads, plan.need)
        if found is None:
            return False
        self.heads, self.offsets, self.starts, self._are_known = found
        self.numbers = self.positions  # as none was edited
        self.revised = _NONE_REVISED
        if snapshot.storage.needs_ensuring:
            self._ensure_payloads()
        return True

    def ask(
        self,
        snapshot: Snapshot,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> None:
        """Remember what was asked for: all that is known before anything is read."""
        self.snapshot = snapshot
        self.plan = plan
        self.out = out
        self.count = len(positions)
        self._given = positions
        self._are_known = False  # all that is needed of all records has been verified

    @functools.cached_property
    def positions(self) -> np.ndarray:
        """Of the records: int64, (n,)."""
        return as_array(self._given)

    def _find_revised_payloads(self) -> None:
        """Set where payloads of revisions begin: as their tables say."""
        layout = self.snapshot.header.schema.layout
        storage = self.snapshot.storage
        if len(self.revised) and storage.needs_ensuring:
            tables = self.offsets[self.revised] + np.uint64(layout.size)
            storage.ensure(tables, tables + np.uint64(layout.table_size))
        if len(self.revised):
            self._check_shared_payloads()
        for k in self.revised.tolist():
            self.starts[k] = self._table_offsets(k)

    def _check_shared_payloads(self) -> None:
        """Refuse revisions that together have more payloads than there are in the log.

        A record that is asked for twice counts once. Raises CorruptError.
        """
        _, first = np.unique(self.offsets[self.revised], return_index=True)
        sizes = self.heads["sizes"][self.revised[first]]
        wanted = [number for number, _ in self.plan.wanted]
        snapshot = self.snapshot
        # As integers of Python, as in `extents`.
        padded = padded_sizes(sizes[:, wanted])
        room = snapshot.end - snapshot.header.size
        if padded.size and int(padded.max()) > room:  # one that cannot be is told of by its record
            return
        total = sum(padded.ravel().tolist())
        if total > room:
            raise amplified(snapshot.file, total, room)

    def _table_offsets(self, k: int) -> Sequence[int]:
        """The offsets of the plan's payloads of the record k, a revision."""
        head = self.heads[k]
        mix = 0
        if self.snapshot.entries.has_heads:
            mix = int(self.snapshot.entries.mixes(self.numbers[k : k + 1])[0])
        ref = FrameRef(
            int(self.offsets[k]),
            size_of_word(int(head["word"])),
            int(head["check"]) ^ mix,
            b"",
        )
        i = int(self.positions[k])
        offsets = self.snapshot.table_offsets(i, ref, head["sizes"].tolist())
        return offsets[: self.plan.payloads]

    def _ensure_payloads(self) -> None:
        """Prepare the payloads that the plan needs: entries need not say how large a record is."""
        wanted = [number for number, _ in self.plan.wanted]
        sizes = self.heads["sizes"][:, wanted]
        exists = sizes != NONE
        starts = self.starts[:, wanted][exists]
        self.snapshot.storage.ensure(starts, starts + sizes[exists])

    def _offset(self, k: int) -> int:
        """The offset of the frame of the record k."""
        entries = self.snapshot.entries
        row = entries.row(int(self.positions[k]))
        return entries.ref(row).offset

    def remember(self) -> None:
        """Remember that all that the plan needs has been verified."""
        if self._are_known or self.snapshot.verify == "always":
            return
        verified = self.snapshot.verified
        if not len(self.revised):
            verified.remember_many(self.numbers, self.plan.proven)
            return
        is_revised = np.zeros(self.count, bool)
        is_revised[self.revised] = True
        verified.remember_many(self.numbers[~is_revised], self.plan.proven)
        # At once: their payloads, if only these were known, would be looked for behind the head.
        verified.remember_many(self.numbers[is_revised], self.plan.proven | REVISED)

    def columns(self) -> list[Any]:
        """The values of all fields of the plan."""
        return [self.column(item) for item in self.plan.items]

    def column(self, item: Item) -> Any:
        """The values of one field."""
        field = item.field
        if isinstance(field.type, Scalar):
            return self._in_out(field, self._numbers(item, field.type))
        all_sizes = self.heads["sizes"]
        sizes = all_sizes[:, field.payload].tolist()
        column: Any = self._stacked(item, sizes)
        if column is None:
            column = self._loaded(item, sizes)
            row = None
            if item.is_builtin:
                row = field.type.row()
            if row is not None:
                shape = (len(column), *row.shape[1:])
                column = np.array(column, row.dtype).reshape(shape)
        return self._in_out(field, column)

    def _in_out(self, field: Field, column: Any) -> Any:
        if field.key not in self.out:
            return column
        return in_out(field, column, self.out)

    # Numbers of the heads

    def _numbers(self, item: Item, kind: Scalar) -> Any:
        """A column of scalars: an array, a masked one where they may be None, or a list."""
        field = item.field
        heads = self.heads
        column = heads[f"at {field.number_offset}"]
        if isinstance(heads, np.ndarray):  # else it is a copy already
            column = column.copy()
        missing = None
        if field.presence_offset >= 0:
            missing = heads[f"at {field.presence_offset}"] == 0
        if item.make is not None:
            if not item.is_builtin:
                return self._numbers_one_by_one(item, kind, column, missing)
            try:
                column = kind.shown(column)
            except CorruptError:  # one by one, to name the record
                return self._numbers_one_by_one(item, kind, column, missing)
        if missing is None:
            return column
        return np.ma.MaskedArray(column, missing)

    def _numbers_one_by_one(
        self,
        item: Item,
        kind: Scalar,
        column: np.ndarray,
        missing: np.ndarray | None,
    ) -> list[Any]:
        make: Any = item.make
        numbers = kind.numbers(column)
        is_missing = [False] * len(numbers)
        if missing is not None:
            is_missing = missing.tolist()
        values: list[Any] = []
        for k, number in enumerate(numbers):
            if is_missing[k]:
                values.append(None)
                continue
            try:
                values.append(make(number))
            except Exception as error:
                i = int(self.positions[k])
                offset = self._offset(k) + item.field.number_offset
                self.snapshot.raise_with_place(error, i, item, offset)
                raise
        return values

    # Payloads

    def _stacked(self, item: Item, sizes: list[int]) -> np.ndarray | None:
        """A column of payloads that are the bytes of arrays of one shape; None if they are not."""
        field = item.field
        row = None
        if item.is_builtin:
            row = field.type.stored_row()
        if row is None:
            return None
        row_shape = row.shape[1:]
        size = row.itemsize * math.prod(row_shape)
        if sizes.count(size) != len(sizes):
            return None
        shape = (len(sizes), *row_shape)
        target: Any = self.out.get(field.key)
        if _is_like(target, row.dtype, shape) and target.flags.carray:
            stacked: np.ndarray = target
        else:
            stacked = np.empty(shape, row.dtype)
        self._copy(field, size, stacked)
        return stacked

    def _copy(
        self,
        field: Field,
        size: int,
        target: np.ndarray,
    ) -> None:
        buffer = memoryview(bytearray())
        if target.size:
            flat = target.reshape(-1)
            buffer = memoryview(flat.view(np.uint8))
        starts = self.starts[:, field.payload]
        to_verify = self._to_verify(field)
        wrong = kernels.copy_payloads(
            self.snapshot.mapped(),
            starts,
            size,
            to_verify,
            buffer,
        )
        if wrong >= 0:
            raise self._wrong_checksum(wrong, int(starts[wrong]), field)

    def _loaded(self, item: Item, sizes: list[int]) -> list[Any]:
        """A column of values that are made of payloads one by one.

        Each is verified right before it is loaded: so it comes from memory only once.
        """
        field = item.field
        make: Any = item.make
        snapshot = self.snapshot
        data = snapshot.mapped()
        copy = self.plan.copy
        if item.compiled is not None:
            loaded = kernels.load_payloads(
                data,
                self.starts[:, field.payload],
                self.heads["sizes"][:, field.payload],
                self._to_verify(field),
                item.compiled,
            )
            if loaded is not None:
                return loaded
        starts = self._starts_of(field)
        checksums = self._checksums(field)
        values: list[Any] = []
        for k, i in enumerate(self.positions.tolist()):
            start = starts[k]
            size = sizes[k]
            if size == NONE:
                snapshot.check_nullable(i, field, start)
                values.append(None)
                continue
            payload = data[start : start + size]
            if checksums is not None:
                checksum = checksums[k]
                if checksum is not None and crc32_of_payload(payload) != checksum:
                    raise self._wrong_checksum(k, start, field)
            try:
                values.append(make(payload, copy))
            except Exception as error:
                snapshot.raise_with_place(error, i, item, start)
                raise
        return values

    def _checksums(self, field: Field) -> list[int | None] | None:
        """What to compare the checksums of payloads with.

        Returns:
            For each record a checksum, or None where it is verified already; None if all are.
        """
        to_verify = self._to_verify(field)
        if to_verify is None:
            return None
        checksums: list[int | None] = to_verify.checksums.tolist()
        if to_verify.lacking is not None:
            for k in np.flatnonzero(~to_verify.lacking).tolist():
                checksums[k] = None
        return checksums

    def _to_verify(self, field: Field) -> kernels.ToVerify | None:
        """The checksums of payloads, and which are to be compared; None if none are."""
        snapshot = self.snapshot
        if self._are_known or not snapshot.verify:
            return None
        checksums = self.heads["checksums"][:, field.payload]
        if snapshot.verify == "always":
            return kernels.ToVerify(checksums, None)
        part = payload_part(field.payload)
        lacking = snapshot.verified.lacking(self.numbers, part)
        if not lacking.any():
            return None
        return kernels.ToVerify(checksums, lacking)

    def _starts_of(self, field: Field) -> list[int]:
        starts: list[int] = self.starts[:, field.payload].tolist()
        return starts

    def _wrong_checksum(
        self,
        k: int,
        start: int,
        field: Field,
    ) -> CorruptError:
        i = int(self.positions[k])
        return self.snapshot.damaged(WRONG_CHECKSUM, i, start, field)


def joined(pieces: Sequence[Any]) -> Any:
    """A column, of the columns of its parts, of which there is at least one."""
    first = pieces[0]
    if isinstance(first, np.ma.MaskedArray):
        return np.ma.concatenate(pieces)  # type: ignore[no-untyped-call]
    if isinstance(first, np.ndarray):
        return np.concatenate(pieces)
    return [value for piece in pieces for value in piece]


def in_out(field: Field, column: Any, out: Mapping[Any, Any]) -> Any:
    """A column, in the array of `out` that is for it, if there is one.

    Raises:
        SchemaError: that array does not fit.
    """
    if field.key not in out:
        return column
    is_masked = isinstance(column, np.ma.MaskedArray)
    if is_masked or not isinstance(column, np.ndarray):
        text = f"out is for numbers and arrays of one shape, this is {field.type.name}"
        raise SchemaError(text, field=field.key)
    target = out[field.key]
    if not _is_like(target, column.dtype, column.shape):
        wanted = f"an array of {column.dtype} with shape {column.shape}"
        text = f"out needs {wanted}, not {describe(target)}"
        raise SchemaError(text, field=field.key)
    if target is not column:
        target[...] = column
    return target


def _is_like(
    array: Any,
    dtype: np.dtype,
    shape: tuple[int, ...],
) -> bool:
    """Whether it is an array with this dtype and shape."""
    if not isinstance(array, np.ndarray):
        return False
    if array.dtype != dtype:
        return False
    return bool(array.shape == shape)
