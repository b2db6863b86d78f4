"""The files of a dataset, opened when they are first read, and closed again if they are too many.

A file that is open keeps its mappings, and no descriptor. What memory of it is still in use, such
as an array that `copy=False` gave, keeps its mapping. Reading takes no lock. Threads that open a
file, or let go of one, take turns for the moment in which that is noted.
"""

from __future__ import annotations

import collections
import copy
import functools
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.layout import HeadLayout
from dsrecords._read.open import State, default_index
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Version
from dsrecords._read.verification import Verified
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Schema
from dsrecords._shards.manifest import Shard
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.memory import place_of
from dsrecords._storage.parked import ParkedStorage, parked
from dsrecords._storage.registry import is_local
from dsrecords._storage.requests import OPENED_AT_ONCE, awaited, submit_opening
from dsrecords.errors import CorruptError, DSRecordsError, SchemaError, ShardError, StaleViewError

MOST_MAPPED = 4096
"""Files that stay open without a descriptor. Each has two mappings; Linux allows 65,530."""

MOST_OPEN = 32
"""Files that stay open with a descriptor, as they cannot be mapped."""

MOST_ELSEWHERE = 2**17
"""Files elsewhere that stay open: each has its index in memory, which was fetched."""

_WORTH_OPENING_AHEAD = 4  # files that were read in their order: of a shuffle they rarely are

CHECK_SIZE = 4
"""Bytes of a head that its check does not cover: the check itself."""

_DROPPED_TOGETHER = 16  # files that are let go of before the memory of the first can be given back


# What is noted of a file are several addresses, which must be of one mapping.
_lock = threading.Lock()  # held while a pool notes what is open, never while a file is read


def _renew_lock() -> None:
    """In a forked child: another thread of the parent may have held it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class Part:
    """One of the files, open. What it holds stays in memory as long as it does.

    Attributes:
        snapshot: the list.
        rows: of its index: a memoryview of bytes.
        bits: what of each record is verified.
        data: the log.
        direct: up to which position the record is that of the row with this number, and lies in
            `rows`; 0 where that is not so simple.
        heads: all heads, side by side and verified: see `gather.heads_side_by_side`.
        has_looked: whether it is known if they lie side by side.
        number: of the file.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        count: int,
        number: int,
    ) -> None:
        self.number = number
        entries = snapshot.entries
        self.snapshot = snapshot
        self.rows = entries.mapped_data
        self.bits = snapshot.verified.bits
        self.data = snapshot.mapped()
        self.direct = min(entries.direct, count)
        self.heads: np.ndarray | None = None
        self.has_looked = False

    def array(self) -> np.ndarray:
        """Return the rows: uint64, (n, width)."""
        return self.snapshot.entries.mapped.array()


class Epoch:
    """What keeps files in memory that were let go of, for whoever began to read before that.

    A reader holds the epoch in which it begins. Each epoch holds the next one, so it holds all
    that is let go of from then on.
    """

    def __init__(self) -> None:
        self.dropped: list[Part] = []
        self.next: Epoch | None = None


class Pool:
    """The files of a dataset.

    Args:
        shards: the files.
        schema: of the dataset; files with the same one share this object.
        verify: as of any dataset.
        file: what messages call all of them.
        held: by their numbers, lists that are open for as long as this is.

    Attributes:
        are_elsewhere: whether some of the files are not of this machine.
        parts: the files that are open, by their numbers.
        held: the numbers of those that stay open.
        epoch: see `Epoch`.
        bound_list, bounds: the first position of each file, counted through all, and their end.
        direct: as of `Part`; 0 of a file that is not open.
        row_places, bits_places, data_places: where the memory of each file is, see `memory`.
        head_places: where the heads of each file are, which lie side by side, `head_step` bytes
            apart, and are all verified; -1 where that is not known. See
            `gather.heads_side_by_side`.
        head_dtype: of a head there.
        asked: how many records were asked for, here and there, whose numbers alone were wanted.
        starts, ends: of the frames in each file.
        salts: what the checks in the rows of each are mixed with, besides their numbers.
        seeds: what the checks of the heads of each differ by from those that begin with 0.
    """

    def __init__(
        self,
        shards: tuple[Shard, ...],
        schema: Schema,
        verify: bool | str,
        file: str,
        held: dict[int, Snapshot] | None = None,
    ) -> None:
        self.shards = shards
        self.are_elsewhere = any(not is_local(shard.path) for shard in shards)
        self.schema = schema
        self.verify = verify
        self.file = file
        self._schemas: dict[str, Schema] = {_as_text(schema): schema}
        self.parts: list[Part | None] = [None] * len(shards)
        self.epoch = Epoch()
        self._lay_out(schema.layout)
        self._mapped: collections.deque[int] = collections.deque()
        self._open: collections.deque[int] = collections.deque()
        self._elsewhere: collections.deque[int] = collections.deque()
        self._openings: dict[int, Future[Part]] = {}
        self._last_read = -1
        self._followed = 0  # files that were read one behind the other
        self.held = frozenset(held or ())
        for number, snapshot in (held or {}).items():
            self.hold(number, snapshot)

    def _lay_out(self, layout: HeadLayout) -> None:
        count = len(self.shards)
        self.bound_list = [0]
        for shard in self.shards:
            self.bound_list.append(self.bound_list[-1] + shard.length)
        self.bounds = np.array(self.bound_list, np.int64)
        self.direct = np.zeros(count, np.int64)
        self.row_places = np.zeros(count, np.int64)
        self.bits_places = np.zeros(count, np.int64)
        self.data_places = np.zeros(count, np.uint64)
        self.head_places = np.full(count, -1, np.int64)
        self.asked = 0
        self.starts = np.zeros(count, np.uint64)
        self.ends = np.zeros(count, np.uint64)
        self.salts = np.zeros(count, np.uint64)
        self.seeds = np.zeros(count, np.uint32)
        self.row_size = layout.row_size
        self.head_dtype = layout.dtype
        if self.row_size == layout.long_row_size:
            self.head_dtype = layout.row_dtype
        self.head_step = self.head_dtype.itemsize
        self.tables = kernels.crc_tables(layout.size)
        payload_count = layout.payload_count
        self.bits_dtype = np.dtype(Verified(0, payload_count).bits.format)
        self.most_bits = int(np.iinfo(self.bits_dtype).max)

    def _publish(
        self,
        number: int,
        part: Part,
    ) -> None:
        """Say where the memory of an open file is, and last of all that it is there."""
        self.parts[number] = part
        snapshot = part.snapshot
        data: object = part.data
        is_usual = isinstance(data, memoryview) and not snapshot.storage.needs_ensuring
        if not is_usual or snapshot.entries.row_size != self.row_size:
            return
        places = [place_of(memory) for memory in (part.rows, part.bits, part.data)]
        if min(places) < 0 or part.bits.format != self.bits_dtype.char:
            return
        layout = snapshot.header.schema.layout
        zeros = bytes(layout.size - CHECK_SIZE)
        seed = snapshot.header.frames.seed
        self.row_places[number] = places[0]
        self.bits_places[number] = places[1]
        self.data_places[number] = places[2]
        self.starts[number] = snapshot.header.size
        self.ends[number] = snapshot.end
        self.salts[number] = snapshot.entries.salt
        self.seeds[number] = crc32(zeros, seed) ^ crc32(zeros)
        self.direct[number] = part.direct

    def publish_heads(self, part: Part) -> None:
        """Say where the heads of an open file are, if each of its records has one there."""
        with _lock:
            self._publish_heads(part)

    def _publish_heads(self, part: Part) -> None:
        heads = part.heads
        assert heads is not None
        number = part.number
        is_there = self.parts[number] is part and self.direct[number] > 0
        if not is_there or len(heads) != self.shards[number].length:
            return
        if heads.dtype == self.head_dtype and heads.strides == (self.head_step,):
            memory = memoryview(heads.view(np.uint8))
            self.head_places[number] = place_of(memory)

    def _drop(self, number: int) -> None:
        """Let go of a file: first nobody finds it any more, then it is left to the epoch."""
        part = self.parts[number]
        self.direct[number] = 0
        self.head_places[number] = -1
        self.parts[number] = None
        epoch = self.epoch
        if part is not None:
            epoch.dropped.append(part)
        if len(epoch.dropped) >= _DROPPED_TOGETHER:
            following = Epoch()
            epoch.next = following
            self.epoch = following

    def hold(
        self,
        number: int,
        snapshot: Snapshot,
    ) -> None:
        """Show a list that is open already, and stays so."""
        own = copy.copy(snapshot)
        own.header = self._with_shared_schema(snapshot.header, self.shards[number])
        own.schema = own.header.schema
        self._publish(number, Part(own, self.shards[number].length, number))

    def part(self, number: int) -> Part:
        """Return one of the files, opened if it is not.

        Raises:
            ShardError: it is missing, or another dataset.
            StaleViewError: it was edited since.
            SchemaError: it has another schema.
            CorruptError: it is damaged, or has less records than the manifest says.
        """
        part = self.parts[number]
        if part is not None:
            return part
        if self.is_elsewhere(number):
            opening = self.begin_to_open(number)
            return awaited(opening, self.shards[number].path)
        return self._open_here(number)

    def _open_here(self, number: int) -> Part:
        opened = self._opened(number)
        with _lock:
            part = self.parts[number]
            if part is None:  # else another thread opened it meanwhile: that is what is read
                part = opened
                self._publish(number, part)
                self._remember(number, part)
        return part

    def _remember(
        self,
        number: int,
        part: Part,
    ) -> None:
        """Count an open file, and let go of those that were opened first, if they are too many."""
        opened = self._open
        most = MOST_OPEN
        storage = part.snapshot.storage
        if storage.forgets:
            opened = self._elsewhere
            most = MOST_ELSEWHERE
        elif isinstance(storage, ParkedStorage):
            opened = self._mapped
            most = MOST_MAPPED
        opened.append(number)
        while len(opened) > most:
            self._drop(opened.popleft())

    def _opened(self, number: int) -> Part:
        shard = self.shards[number]
        state = self.state(number)
        snapshot = state.snapshot
        snapshot.header = self._with_shared_schema(state.header, shard)
        snapshot.schema = snapshot.header.schema
        storage = snapshot.storage
        if isinstance(storage, LocalStorage):
            storage = parked(storage, snapshot.end)
            snapshot.storage = storage
            snapshot.log.storage = storage
        return Part(snapshot, shard.length, number)

    def is_elsewhere(self, number: int) -> bool:
        """Whether a file is not of this machine, so that each look at it costs requests."""
        return not is_local(self.shards[number].path)

    def begin_to_open(self, number: int) -> Future[Part]:
        """Let a file elsewhere be opened by another thread, one for all who want it.

        What it returns, or raises, is that of `part`.
        """
        with _lock:
            opening = self._openings.get(number)
            if opening is None:
                opening = submit_opening(functools.partial(self._open_there, number))
                self._openings[number] = opening
        return opening

    def prepare(self, numbers: Sequence[int]) -> None:
        """Begin to open files elsewhere that are read now; if in their order, those behind as well.

        Args:
            numbers: of the files, ascending, each once.
        """
        if not self.are_elsewhere or not len(numbers):
            return
        self._begin_to_open_all(numbers)
        first = numbers[0]
        last = numbers[-1]
        are_neighbours = last - first < len(numbers)
        if are_neighbours and 0 <= first - self._last_read <= 1:
            self._followed += last - self._last_read
        else:
            self._followed = 0
        self._last_read = last
        if self._followed >= _WORTH_OPENING_AHEAD:
            stop = min(last + 1 + OPENED_AT_ONCE, len(self.shards))
            self._begin_to_open_all(range(last + 1, stop))

    def _begin_to_open_all(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if self.parts[number] is None and self.is_elsewhere(number):
                self.begin_to_open(number)

    def prepare_run(self, positions: range) -> None:
        """Do the same for the files of records that follow each other."""
        if self.are_elsewhere and positions:
            ends = np.array([positions[0], positions[-1]])
            first, last = (np.searchsorted(self.bounds, ends, side="right") - 1).tolist()
            self.prepare(range(first, last + 1))

    def _open_there(self, number: int) -> Part:
        try:
            part = self.parts[number]
            if part is not None:  # since another thread had just opened it
                return part
            return self._open_here(number)
        finally:
            with _lock:
                del self._openings[number]

    def state(self, number: int) -> State:
        """Open one of the files by itself, which must be the one that is meant.

        Raises:
            As of `part`.
        """
        shard = self.shards[number]
        state = open_shard(
            shard.path,
            shard.index_path,
            self.verify,
            self.file,
        )
        problem = _difference(shard, state)
        if problem is not None:
            raise problem
        return state

    def _with_shared_schema(
        self,
        header: Header,
        shard: Shard,
    ) -> Header:
        """Return the header, with the one object that stands for all equal schemas."""
        schema = header.schema
        text = _as_text(schema)
        known = self._schemas.get(text)
        if known is None:
            require_same_schema(
                self.schema,
                self.file,
                schema,
                shard.path,
            )
            known = self._schemas.setdefault(text, schema)
        shared = copy.copy(header)
        shared.schema = known
        return shared

    def has_other_schemas(self) -> bool:
        """Whether a file that was opened differs from the others in its dictionaries."""
        return len(self._schemas) > 1

    def plan(
        self,
        plan: Plan,
        schema: Schema,
    ) -> Plan:
        """Return a plan as it reads files of another schema, which differs in dictionaries."""
        if plan.schema is schema:
            return plan
        translated = plan.translated.get(schema)
        if translated is None:
            translated = plan.for_schema(schema)
            plan.translated[schema] = translated
        return translated


def open_shard(
    path: str,
    index_path: str | None,
    verify: bool | str,
    file: str,
) -> State:
    """Open one of many files by itself. Raises ShardError if it is missing."""
    index = index_path or default_index(path)
    try:
        return State(
            path,
            index,
            verify,
            index_must_exist=index_path is not None,
        )
    except FileNotFoundError as error:
        if error.filename != path:
            raise
        raise ShardError(f"{path} is missing", file=file) from None


def require_same_schema(
    schema: Schema,
    name: str,
    other: Schema,
    other_name: str,
) -> None:
    """Raise SchemaError if a file has another schema than the dataset; it names a difference."""
    names = [os.path.basename(path) for path in (name, other_name)]
    difference = schema.difference(other, *names)
    if difference is not None:
        raise SchemaError(f"another schema than {name}: {difference}", file=other_name)


def _as_text(schema: Schema) -> str:
    return json.dumps(schema.to_json(), sort_keys=True)


def _difference(shard: Shard, state: State) -> DSRecordsError | None:
    """The error of a file that is not the one that is meant; None if it is."""
    path = shard.path
    if state.header.id != shard.id:
        expected = shard.id.hex()
        found = state.header.id.hex()
        text = f"it is of another run, or was compacted: its id is {found}, not {expected}"
        return ShardError(text, file=path)
    if not state.shows(
        Version(
            shard.id,
            shard.view,
            shard.mark,
        )
    ):
        text = "it was edited since: make the manifest anew with dsrecords.merge, or open it anew"
        return StaleViewError(text, file=path)
    count = len(state.snapshot.entries)
    is_same_moment = state.snapshot.end == shard.mark.end
    if count < shard.length or (is_same_moment and count != shard.length):
        text = f"it has {count} records, and the manifest says {shard.length}"
        return CorruptError(text, file=path)
    return None
