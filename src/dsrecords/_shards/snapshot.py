"""The records of many files as one list, as it is at one moment."""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.entries import Entries, memory_of
from dsrecords._format.layout import SHORT_ROW
from dsrecords._read.batch import as_array, columns, in_out, joined
from dsrecords._read.lengths import payload_facts
from dsrecords._read.mark import Mark
from dsrecords._read.plan import Item, Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.verification import HEAD
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Field
from dsrecords._shards.gather import (
    RunBatch,
    ScatteredBatch,
    gathered,
    heads_of,
    numbers_of_run,
    numbers_scattered,
)
from dsrecords._shards.pool import Part, Pool
from dsrecords._storage.memory import MEMORY
from dsrecords._types.budget import in_call
from dsrecords.errors import CorruptError

_TOGETHER = 4096  # records whose heads are gathered together: so many stay in the cache
_RUN = 256  # records that follow each other from which on it pays to look file by file
_WORTH_ANNOUNCING = 64  # records of a file, on average, from which on the system is asked for them


class _NoStorage:
    """Stands for the one file that there is not: nothing of it can be read or prepared."""

    needs_ensuring = False
    forgets = False

    def __init__(self, path: str) -> None:
        self.path = path


class _Counted(Entries):
    """The rows of a list that has none of its own: only how many records it has."""

    def __init__(self, count: int) -> None:
        super().__init__(memory_of(np.empty((0, SHORT_ROW // 8), np.uint64)), 0)
        self._count = count

    def __len__(self) -> int:
        return self._count


class ShardsSnapshot(Snapshot):
    """The records of many files, one file behind the other, or some of them in another order.

    Args:
        pool: the files.
        header: made up, as there is no file that has it.
        order: positions of the records that the list has, counted through all files: int64, (n,).
            None: all of them.

    Attributes:
        pool: the files.
        order: the same.
        starts: the first position of each file, counted through all of them, and their end.
    """

    is_of_log = False

    def __init__(
        self,
        pool: Pool,
        header: Header,
        order: np.ndarray | None = None,
    ) -> None:
        self.pool = pool
        self.order = order
        self.starts = pool.bound_list
        count = self.starts[-1] if order is None else len(order)
        storage: Any = _NoStorage(pool.file)
        super().__init__(
            storage,
            header,
            _Counted(count),
            header.size,
            pool.verify,
        )
        self.columns = self._columns
        self.payload_facts = self._payload_facts

    @property
    def is_elsewhere(self) -> bool:
        """Whether some of the files cost requests: see `Snapshot`."""
        return self.pool.are_elsewhere

    def metadata(self, mark: Mark | None = None) -> dict[str, Any]:
        """The metadata of the whole dataset."""
        metadata: dict[str, Any] = json.loads(json.dumps(self.header.metadata))
        return metadata

    def place(self, i: int) -> tuple[int, int]:
        """The number of the file that has a record, and the record's position in it."""
        if self.order is not None:
            i = int(self.order[i])
        number = bisect.bisect_right(self.starts, i) - 1
        return number, i - self.starts[number]

    def where(self, i: int) -> tuple[str, int]:
        """Path of the file that has a record, and the record's position in it."""
        number, position = self.place(i)
        return self.pool.shards[number].path, position

    def _part(self, number: int) -> Part:
        return self.pool.parts[number] or self.pool.part(number)

    # One record

    def values(
        self,
        i: int,
        plan: Plan,
    ) -> Sequence[Any]:
        """The values of the fields of one record, in the plan's order. Raises CorruptError."""
        number, position = self.place(i)
        snapshot = self._part(number).snapshot
        return snapshot.values(position, self.pool.plan(plan, snapshot.schema))

    def verified_head(
        self,
        i: int,
        plan: Plan,
    ) -> bytes | memoryview:
        """The head of a record, of which all that a plan needs is verified."""
        number, position = self.place(i)
        part = self._part(number)
        snapshot = part.snapshot
        entries = snapshot.entries
        if position < entries.direct_offsets and part.bits[position] & HEAD:
            offset = entries.mapped_words[position + position]
            return part.data[offset : offset + plan.head_size]
        return snapshot.verified_head(position, plan)

    def encoded(
        self,
        i: int,
        plan: Plan,
    ) -> tuple[list[Any], list[bytes | None]]:
        """The numbers and payloads of a record as they are stored: see `Snapshot.encoded`."""
        number, position = self.place(i)
        snapshot = self._part(number).snapshot
        return snapshot.encoded(position, self.pool.plan(plan, snapshot.schema))

    def plain(
        self,
        i: int,
        field: Field,
        data: bytes,
    ) -> bytes:
        """The payload of a record without its compression. Raises CorruptError."""
        number, position = self.place(i)
        snapshot = self._part(number).snapshot
        own = snapshot.schema.field(field.key)
        return snapshot.plain(
            position,
            own,
            data,
        )

    def announce(self, positions: np.ndarray, plan: Plan) -> None:
        """As of `Snapshot`, where enough of the records lie in one file each, or are elsewhere."""
        numbers, own = self._places(positions)
        self._announce(numbers, own, plan)

    def _announce(self, numbers: np.ndarray, own: np.ndarray, plan: Plan) -> None:
        """Prepare records for being read: numbers of their files, and positions in these."""
        different = np.unique(numbers)
        are_many = len(own) >= _WORTH_ANNOUNCING * len(different)
        self.pool.prepare(different.tolist())
        for number in different.tolist():
            if self.pool.is_elsewhere(number):
                self._announce_elsewhere(number, own[numbers == number], plan)
            elif are_many:
                self._announce_in(number, own[numbers == number], plan)

    def _announce_in(
        self,
        number: int,
        own: np.ndarray,
        plan: Plan,
    ) -> None:
        snapshot = self._part(number).snapshot
        own_plan = self.pool.plan(plan, snapshot.schema)
        snapshot.announce(own, own_plan)

    def _announce_elsewhere(
        self,
        number: int,
        own: np.ndarray,
        plan: Plan,
    ) -> None:
        """Do the same without waiting for the file, if it is not open yet."""
        if self.pool.parts[number] is not None:
            self._announce_in(number, own, plan)
            return
        opening = self.pool.begin_to_open(number)

        def announce(opened: Future[Part]) -> None:
            if not opened.cancelled() and opened.exception() is None:
                self._announce_in(number, own, plan)

        opening.add_done_callback(announce)

    def release(self, positions: np.ndarray) -> None:
        """Let the system forget records that were read."""
        numbers, own = self._places(positions)
        for number in np.unique(numbers).tolist():
            self._part(number).snapshot.release(own[numbers == number])

    def _places(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the files that have some records, and the positions of these in them."""
        if self.order is not None:
            positions = self.order[positions]
        return self._files_of(positions)

    def _files_of(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for positions that are counted through all files."""
        bounds = np.array(self.starts, np.int64)
        numbers = np.searchsorted(bounds, positions, side="right") - 1
        return numbers, positions - bounds[numbers]

    # Many records

    def _columns(
        self,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> list[Any]:
        """The values of each field of many records: see `_read.batch.columns`."""
        if self.order is not None:
            positions = self.order[as_array(positions)]
        if not len(positions):
            return _of_nothing(
                self,
                plan,
                out,
            )
        epoch = self.pool.epoch  # before anything is looked up, and until all of it is read
        found = self._run(
            positions,
            plan,
            out,
        )
        if found is None:
            found = self._in_chunks(
                positions,
                plan,
                out,
            )
        del epoch
        return found

    def _payload_facts(self, positions: np.ndarray, payload: int, name: str) -> np.ndarray:
        """What the heads say of a payload of each record: see `_read.lengths.payload_facts`."""
        numbers, own = self._places(positions)
        facts = np.empty(len(positions), np.uint64)
        different = np.unique(numbers).tolist()
        self.pool.prepare(different)
        for number in different:
            is_here = numbers == number
            snapshot = self._part(number).snapshot
            facts[is_here] = payload_facts(snapshot, own[is_here], payload, name)
        return facts

    def _run(
        self,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> list[Any] | None:
        """Read numbers of many records that follow each other; None where these are not so."""
        is_run = isinstance(positions, range) and positions.step == 1
        if not is_run or len(positions) < _RUN or not self._are_numbers(plan):
            return None
        assert isinstance(positions, range)
        self.pool.prepare_run(positions)
        numbers = numbers_of_run(
            self.pool,
            positions,
            plan,
        )
        if numbers is None:
            return None
        batch = RunBatch(
            self,
            positions,
            plan,
            out,
            numbers,
        )
        return batch.columns()

    def _are_numbers(self, plan: Plan) -> bool:
        """Whether a plan reads numbers alone, as they are stored, which are verified once."""
        if plan.payloads or self.verify is not True or plan.schema is not self.pool.schema:
            return False
        return all(item.is_builtin for item in plan.items)

    def _in_chunks(
        self,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> list[Any]:
        if len(positions) <= _TOGETHER:
            return self._together(
                positions,
                plan,
                out,
            )
        chunks = []
        for start in range(
            0,
            len(positions),
            _TOGETHER,
        ):
            stop = start + _TOGETHER
            own = {key: array[start:stop] for key, array in out.items()}
            chunks.append(
                self._together(
                    positions[start:stop],
                    plan,
                    own,
                )
            )
        whole = [joined(pieces) for pieces in zip(*chunks)]
        return _in_out(
            whole,
            plan,
            out,
        )

    def _together(
        self,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> list[Any]:
        """Read records of several files as if these were one, or file by file."""
        if self.pool.are_elsewhere:
            self._announce(*self._files_of(as_array(positions)), plan)
        if self._are_numbers(plan):
            heads = numbers_scattered(self.pool, positions, plan)
            if heads is not None:
                numbers = RunBatch(self, positions, plan, out, heads)
                return numbers.columns()
        batch = self._batch(
            positions,
            plan,
            out,
        )
        if batch is None:
            return self._file_by_file(
                positions,
                plan,
                out,
            )
        found = in_call(batch.columns)
        batch.remember()
        return found

    def _batch(
        self,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> ScatteredBatch | None:
        pool = self.pool
        if plan.schema is not pool.schema or not len(MEMORY):
            return None
        found = gathered(pool, positions)
        if found is None or pool.has_other_schemas():  # which is known once the files are open
            return None
        heads = heads_of(
            found,
            self.header.schema.layout,
            self.verify,
        )
        if heads is None or (plan.payloads and kernels.are_revisions(heads).any()):
            return None
        batch = ScatteredBatch(
            self,
            positions,
            plan,
            out,
            found,
            heads,
        )
        if not batch.lies_inside:
            return None
        return batch

    def mapped(self) -> memoryview:
        """The memory of all files, in which a batch of records of several files is read."""
        return MEMORY

    def _file_by_file(
        self,
        positions: range | np.ndarray,
        plan: Plan,
        out: Mapping[Any, Any],
    ) -> list[Any]:
        """Read the records of each file as those of a dataset, and put them in their order."""
        found = as_array(positions)
        bounds = np.array(self.starts, np.int64)
        files = (
            np.searchsorted(
                bounds,
                found,
                side="right",
            )
            - 1
        )
        order = np.argsort(files, kind="stable")
        edges = np.flatnonzero(np.diff(files[order])) + 1
        pieces = []
        for places in np.split(order, edges):
            number = int(files[places[0]])
            snapshot = self._part(number).snapshot
            own_plan = self.pool.plan(plan, snapshot.schema)
            pieces.append(
                columns(
                    snapshot,
                    found[places] - bounds[number],
                    own_plan,
                    {},
                )
            )
        whole = [joined(columns_of_one) for columns_of_one in zip(*pieces)]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        ordered = [_reordered(column, back) for column in whole]
        return _in_out(
            ordered,
            plan,
            out,
        )

    # Errors

    def raise_with_place(
        self,
        error: Exception,
        i: int,
        item: Item,
        offset: int,
    ) -> None:
        """As of `Snapshot`, of a record and an offset as a batch has them: see `ScatteredBatch`."""
        number = bisect.bisect_right(self.starts, i) - 1
        snapshot = self._part(number).snapshot
        offset -= int(self.pool.data_places[number])
        snapshot.raise_with_place(
            error,
            i - self.starts[number],
            item,
            offset,
        )

    def damaged(
        self,
        text: str,
        i: int,
        offset: int,
        field: Field | None = None,
    ) -> CorruptError:
        """As of `Snapshot`, of a record and an offset as a batch has them."""
        number = bisect.bisect_right(self.starts, i) - 1
        snapshot = self._part(number).snapshot
        offset -= int(self.pool.data_places[number])
        return snapshot.damaged(
            text,
            i - self.starts[number],
            offset,
            field,
        )


def _reordered(column: Any, places: np.ndarray) -> Any:
    if isinstance(column, np.ndarray):
        return column[places]
    return [column[place] for place in places.tolist()]


def _of_nothing(
    snapshot: ShardsSnapshot,
    plan: Plan,
    out: Mapping[Any, Any],
) -> list[Any]:
    """The columns of no records: of the types that they would have."""
    header = snapshot.header
    entries = Entries(memory_of(np.empty((0, SHORT_ROW // 8), np.uint64)), 0)
    empty = Snapshot(
        snapshot.storage,
        header,
        entries,
        0,
        snapshot.verify,
    )
    return columns(
        empty,
        np.empty(0, np.int64),
        plan,
        out,
    )


def _in_out(
    found: list[Any],
    plan: Plan,
    out: Mapping[Any, Any],
) -> list[Any]:
    """Return columns, in the arrays of `out` that are for them."""
    if not out:
        return found
    return [
        in_out(
            field,
            column,
            out,
        )
        for field, column in zip(plan.fields, found)
    ]
