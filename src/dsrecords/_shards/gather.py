"""Reading records of many files at once: their rows are gathered, then they are as those of one.

NumPy gathers them from the mappings of all files, as if these were one piece of memory. Nothing is
read there before it was made sure that it lies within a file that is open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.layout import NONE, HeadLayout, row_mixes
from dsrecords._read.batch import Batch, as_array, columns
from dsrecords._read.plan import Item, Plan
from dsrecords._read.snapshot import WRONG_CHECKSUM
from dsrecords._read.verification import HEAD, payload_part
from dsrecords._schema.schema import Field
from dsrecords._shards.pool import Part, Pool
from dsrecords._storage.memory import MEMORY, take
from dsrecords.errors import CorruptError

_HALF = np.uint64(32)  # bits of a word
_SEVEN = np.uint64(7)
_MOST_BESIDES = 2**16  # records of a file that are verified though only some are asked for
_ENOUGH = 4  # all are verified once a fourth as many were asked for, here and there


class Gathered(NamedTuple):
    """Records of several files.

    Attributes:
        pool: the files.
        files: the number of the file of each: int64, (n,).
        numbers: of the records, in their files: int64, (n,).
        rows: of the indices: uint64, (n, width).
        known: what of each is verified: unsigned, (n,).
    """

    pool: Pool
    files: np.ndarray
    numbers: np.ndarray
    rows: np.ndarray
    known: np.ndarray


def gathered(pool: Pool, positions: range | np.ndarray) -> Gathered | None:
    """Gather the rows of some records.

    Args:
        pool: the files. Whoever calls this holds `pool.epoch`.
        positions: n > 0, counted through all files.

    Returns:
        None where that is not so simple: files were edited, or cannot be mapped.
    """
    found = as_array(positions)
    files = (
        np.searchsorted(
            pool.bounds,
            found,
            side="right",
        )
        - 1
    )
    numbers = found - pool.bounds.take(files)
    is_direct = numbers < pool.direct.take(files)
    if not is_direct.all():
        for file in np.unique(files[~is_direct]).tolist():
            pool.part(file)
        if (numbers >= pool.direct.take(files)).any():
            return None
    size = pool.row_size
    places = pool.row_places.take(files) + numbers * size
    gathered_rows = kernels.gather_heads(MEMORY, np.dtype(f"V{size}"), places.view(np.uint64))
    rows = gathered_rows.view(np.uint64).reshape(len(found), -1)
    bits = pool.bits_dtype
    known = take(bits, pool.bits_places.take(files) + numbers * bits.itemsize)
    return Gathered(
        pool,
        files,
        numbers,
        rows,
        known,
    )


def heads_of(
    found: Gathered,
    layout: HeadLayout,
    verify: bool | str,
) -> np.ndarray | None:
    """Return the heads of records, verified: structured, (n,).

    Returns:
        None if one is not right: whoever reads the records one by one learns what is wrong.
    """
    pool = found.pool
    has_heads = pool.row_size == layout.long_row_size
    offsets = found.rows[:, 0]
    if has_heads:
        heads = found.rows.view(layout.row_dtype)[:, 0]
    else:
        lasts = pool.ends.take(found.files) - layout.size
        is_inside = (offsets >= pool.starts.take(found.files)) & (offsets <= lasts)
        if not is_inside.all() or (offsets & _SEVEN).any():
            return None
        places = offsets + pool.data_places.take(found.files)
        heads = kernels.gather_heads(
            MEMORY,
            layout.dtype,
            places,
        )
    is_known = bool(np.bitwise_and.reduce(found.known) & HEAD)
    if is_known and verify != "always":
        return heads
    if _are_right(
        found,
        heads,
        layout,
        has_heads,
        verify,
    ):
        return heads
    return None


def _are_right(
    found: Gathered,
    heads: np.ndarray,
    layout: HeadLayout,
    has_heads: bool,
    verify: bool | str,
) -> bool:
    """Whether all heads verify against themselves and their rows."""
    pool = found.pool
    files = found.files
    mixes = row_mixes(found.numbers) ^ pool.salts.take(files)
    expected = None
    if verify:
        expected = heads["check"] ^ pool.seeds.take(files)
        if has_heads:
            expected ^= mixes.astype(np.uint32)
    right = kernels.verify_scattered(
        heads,
        found.rows[:, 0],
        layout,
        pool.tables,
        pool.starts.take(files),
        pool.ends.take(files),
        expected,
    )
    if not has_heads:
        right &= kernels.agree_with_rows(heads, found.rows[:, 1] ^ mixes << _HALF)
    return bool(right.all())


class ScatteredBatch(Batch):
    """The records of one call, from several files, whose heads are verified.

    Their payloads are where they are in memory, and not in a file.

    Args:
        snapshot: the list.
        positions: of the records, counted through all files.
        plan: what to read.
        out: as of `Batch`.
        found: the records.
        heads: theirs.

    Attributes:
        lies_inside: whether all payloads that the plan wants lie within their files.
    """

    def __init__(
        self,
        snapshot: Any,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
        found: Gathered,
        heads: np.ndarray,
    ) -> None:
        self.ask(snapshot, positions, plan, out)
        self._found = found
        self.numbers = found.numbers
        self.heads = heads
        pool = found.pool
        self.offsets = found.rows[:, 0] + pool.data_places.take(found.files)
        self.revised = np.zeros(0, np.int64)
        self.lies_inside = True
        if plan.payloads:
            sizes = heads["sizes"][:, : plan.payloads]
            layout = snapshot.header.schema.layout
            self.starts = layout.payload_offset_table(sizes, self.offsets)
            self.lies_inside = self._all_inside(sizes)

    def _all_inside(self, sizes: np.ndarray) -> bool:
        """Look again, whatever was verified before: another program may write to a file."""
        found = self._found
        pool = found.pool
        begins = pool.starts.take(found.files) + pool.data_places.take(found.files)
        stops = pool.ends.take(found.files) + pool.data_places.take(found.files)
        if not ((self.offsets >= begins) & (self.offsets <= stops)).all():
            return False
        for number, _ in self.plan.wanted:
            own = sizes[:, number]
            starts = self.starts[:, number]
            room = stops - starts  # wraps around where it would be negative
            fits = (starts >= self.offsets) & (starts <= stops) & (own <= room)
            if not (fits | (own == NONE)).all():
                return False
        return True

    def remember(self) -> None:
        """Remember that all that the plan needs has been verified."""
        if self.snapshot.verify == "always":
            return
        found = self._found
        known = found.known
        need = self.plan.proven & found.pool.most_bits
        if int(np.bitwise_and.reduce(known)) & need == need:
            return
        needed = known.dtype.type(need)
        lacking = np.flatnonzero(known & needed != needed)
        files = found.files[lacking].tolist()
        for file, number in zip(files, found.numbers[lacking].tolist()):
            part = found.pool.parts[file]
            if part is not None:
                part.snapshot.verified.remember(number, self.plan.proven)

    def _loaded(
        self,
        item: Item,
        sizes: list[int],
    ) -> list[Any]:
        if self.plan.copy:
            return super()._loaded(item, sizes)
        return self._loaded_as_views(item, sizes)

    def _loaded_as_views(
        self,
        item: Item,
        sizes: list[int],
    ) -> list[Any]:
        """Load values that are views: each of the memory of its own file, which it holds."""
        pool = self._found.pool
        field = item.field
        starts = self.starts[:, field.payload] - pool.data_places.take(self._found.files)
        checksums = self._checksums(field) or [None] * self.count
        values: list[Any] = []
        for k, (file, start) in enumerate(zip(self._found.files.tolist(), starts.tolist())):
            part = pool.part(file)
            number = int(self.numbers[k])
            size = sizes[k]
            checksum = checksums[k]
            is_unknown = checksum is not None and size != NONE
            if is_unknown and crc32(part.data[start : start + size]) != checksum:
                raise part.snapshot.damaged(
                    WRONG_CHECKSUM,
                    number,
                    start,
                    field,
                )
            values.append(
                part.snapshot.load(
                    part.data,
                    number,
                    item,
                    start,
                    size,
                    False,
                )
            )
        return values

    def _checksums(self, field: Field) -> list[int | None] | None:
        verify = self.snapshot.verify
        if not verify:
            return None
        stored = self.heads["checksums"]
        known = self._found.known
        part = payload_part(field.payload)
        is_tracked = part <= self._found.pool.most_bits
        checksums: list[int | None]
        if verify == "always" or not is_tracked:
            checksums = stored[:, field.payload].tolist()
            return checksums
        is_known = known & known.dtype.type(part) != 0
        if is_known.all():
            return None
        checksums = stored[:, field.payload].tolist()
        for k in np.flatnonzero(is_known).tolist():
            checksums[k] = None
        return checksums


class RunBatch(Batch):
    """Numbers of records that follow each other, through several files: copied file by file.

    Args:
        snapshot: the list.
        positions: of the records, counted through all files.
        plan: what to read: numbers.
        out: as of `Batch`.
        numbers: by their names in a head: a dict, or structured, (n,).
    """

    def __init__(
        self,
        snapshot: Any,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
        numbers: dict[str, np.ndarray] | np.ndarray,
    ) -> None:
        self.ask(snapshot, positions, plan, out)
        self.heads = numbers


def numbers_of_run(
    pool: Pool,
    positions: range,
    plan: Plan,
) -> dict[str, np.ndarray] | None:
    """Copy the numbers that a plan asks for, by their names in a head, of whole files.

    Returns:
        None where it does not go like that.
    """
    names = plan.number_names
    dtypes: Any = pool.schema.layout.dtype.fields
    numbers = {name: np.empty(len(positions), dtypes[name][0]) for name in names}
    columns_of_all = list(numbers.items())
    at = 0
    for part, first, stop in pieces(pool, positions):
        heads = heads_side_by_side(
            pool,
            part,
            first,
            stop,
            plan,
        )
        if heads is None:
            return None
        end = at + stop - first
        for name, column in columns_of_all:
            column[at:end] = heads[name][first:stop]
        at = end
    return numbers


def numbers_scattered(
    pool: Pool,
    positions: range | np.ndarray,
    plan: Plan,
) -> np.ndarray | None:
    """Copy the heads of records here and there, of which only numbers are wanted: (n,), structured.

    All heads of a file are verified beforehand, once enough records were asked for. Then a record
    takes a step of arithmetic and a copy.

    Args:
        pool: the files. Whoever calls this holds `pool.epoch`.
        positions: n > 0, counted through all files.
        plan: what to read of them: numbers.

    Returns:
        None where heads are not known, or do not lie side by side.
    """
    found = as_array(positions)
    files = pool.bounds.searchsorted(found, "right")
    files -= 1
    places = pool.head_places.take(files)
    if places.min() < 0:
        _count(pool, len(found), plan)
        return None
    numbers = found - pool.bounds.take(files)
    numbers *= pool.head_step
    places += numbers
    return kernels.gather_heads(MEMORY, pool.head_dtype, places.view(np.uint64))


def _count(pool: Pool, count: int, plan: Plan) -> None:
    """Count records that were asked for; verify all heads of the open files if these are enough."""
    pool.asked += count
    if pool.asked * _ENOUGH < pool.bound_list[-1]:
        return
    pool.asked = 0
    for part in pool.parts:
        if part is not None and part.direct:
            heads_side_by_side(pool, part, 0, part.direct, plan)


def pieces(pool: Pool, positions: range) -> Iterator[tuple[Part, int, int]]:
    """Yield each file of which there are records in a run, and from where to where."""
    position = positions.start
    file = (
        int(
            np.searchsorted(
                pool.bounds,
                position,
                side="right",
            )
        )
        - 1
    )
    bounds: Sequence[int] = pool.bound_list
    while position < positions.stop:
        base = bounds[file]
        stop = min(positions.stop, bounds[file + 1])
        if stop > position:
            yield pool.parts[file] or pool.part(file), position - base, stop - base
            position = stop
        file += 1


def heads_side_by_side(
    pool: Pool,
    part: Part,
    first: int,
    stop: int,
    plan: Plan,
) -> np.ndarray | None:
    """Return the heads of a file, verified, where they lie side by side; not copied.

    Args:
        pool: all files.
        part: the file.
        first: of the records that are asked for. The others are verified with them, unless they
            are too many.
        stop: behind the last of them.
        plan: what is read of them.
    """
    if stop > part.direct:  # the file was edited: positions are not the numbers of rows
        return None
    if part.heads is None and not part.has_looked:
        is_whole = first == 0 and stop == part.direct
        if not is_whole and part.direct > _MOST_BESIDES:
            return None
        snapshot = part.snapshot
        everything = range(part.direct)
        if part.direct and not snapshot.verified.has_all_heads(slice(0, part.direct)):
            own_plan = pool.plan(plan, snapshot.schema)
            # What is damaged is left to whoever asks for it: perhaps nobody does.
            with contextlib.suppress(CorruptError):
                columns(snapshot, everything, own_plan, {})
        part.has_looked = True
        part.heads = _side_by_side(part)
        if part.heads is not None:
            pool.publish_heads(part)
    return part.heads


def _side_by_side(part: Part) -> np.ndarray | None:
    layout = part.snapshot.header.schema.layout
    count = part.direct
    if not count or not part.snapshot.verified.has_all_heads(slice(0, count)):
        return None
    rows = part.array()
    if part.snapshot.entries.has_heads:
        heads: np.ndarray = rows[:count].view(layout.row_dtype)[:, 0]
        return heads
    offsets = rows[:count, 0]
    first = int(offsets[0])
    in_line = np.arange(count, dtype=np.uint64) * np.uint64(layout.size) + np.uint64(first)
    if not (offsets == in_line).all():
        return None
    return np.frombuffer(
        part.data,
        layout.dtype,
        count,
        first,
    )
