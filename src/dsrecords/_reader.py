"""Reading records: from positions to values, each byte verified before it is believed. Knows nothing of how a dataset is opened.

A `Snapshot` is the list as it is at one moment. It holds no lock, starts no thread and keeps no file position: threads and forked
processes may share it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _files
from ._frame import FRAME, PENDING, RECORD, crc32
from ._index import Entries, mix
from ._log import Header
from ._schema import Field, Load
from ._values import NONE, Scalar
from .errors import CorruptError, SchemaError

_HEAD_SEEN = 1
_NEVER_SEEN = 1 << 63  # beyond 62 payloads there is no bit left: those are verified at each reading


def seen_bit(field: Field) -> int:
    """Which bit of `Entries.seen` says that this field has been verified."""
    return _HEAD_SEEN if field.payload < 0 else min(2 << field.payload, _NEVER_SEEN)


class Plan:
    """What to read of each record and how: made once for a set of fields, used for every record."""

    def __init__(self, header: Header, items: Sequence[tuple[Field, Load]], copy: bool) -> None:
        payloads = len(header.schema.payloads)
        self.copy, self.fields = copy, [field for field, _ in items]
        self.need = _HEAD_SEEN
        self.items: list[tuple[Field, Load | None, bool]] = []
        for field, load in items:
            self.need |= seen_bit(field)
            builtin = getattr(load, "__self__", None) is field.type
            # The struct that unpacks a head has unpacked its numbers: only a function of the user's has more to do.
            self.items.append((field, None if builtin and isinstance(field.type, Scalar) else load, builtin))
        self.payloads = max((field.payload for field in self.fields), default=-1) + 1
        plain = self.fields and all(load is None and field.presence < 0 for field, load, _ in self.items)
        self.pick = operator.itemgetter(*(payloads + field.slot for field in self.fields)) if plain else None
        self.single = len(self.fields) == 1


class Snapshot:
    """The list of records, as it is at one moment.

    Args:
        file: path of the `.rec`, for messages.
        descriptor: of the `.rec`.
        header: its header.
        entries: where each record is.
        end: up to where the log is known to be whole.
        verify: True: each byte the first time; "always"; False: sizes and places, but no checksums.
    """

    def __init__(
        self, file: str, descriptor: _files.Descriptor, header: Header, entries: Entries, end: int, verify: bool | str
    ) -> None:
        self.file, self.descriptor, self.header, self.entries = file, descriptor, header, entries
        self.end, self.verify = end, verify
        self.shared = False  # whether somebody else looks at these entries, so that edits must copy them first
        self.data = memoryview(b"")

    def with_entries(self, entries: Entries) -> Snapshot:
        twin = Snapshot(self.file, self.descriptor, self.header, entries, self.end, self.verify)
        twin.data = self.data
        return twin

    def _map(self) -> None:
        """Map the log as far as it is now known. A file that was cut short is an error, not a SIGBUS."""
        if (size := _files.size(self.descriptor.number)) < self.end:
            raise CorruptError(f"the file was cut short: it had {self.end} bytes", file=self.file, offset=size)
        self.data = memoryview(_files.map_read(self.descriptor.number, self.end))

    def read(self, i: int, plan: Plan) -> Sequence[Any]:
        """The values of the fields of one record, in the plan's order. Raises CorruptError."""
        entries = self.entries
        offset = entries.base[2 * i] if i < entries.kept else entries.tail[2 * (i - entries.kept)]
        if entries.seen[i] & plan.need != plan.need:
            offset = self._look(entries, i, plan)
        unpacked = self.header.schema.unpack(self.data, offset)
        if plan.pick is not None:
            return (plan.pick(unpacked),) if plan.single else plan.pick(unpacked)
        count, starts, start = len(self.header.schema.payloads), [], offset + self.header.schema.head
        for length in unpacked[: plan.payloads]:
            starts.append(start)
            start += (length + 7) & -8 if length != NONE else 0
        values = []
        for field, load, builtin in plan.items:
            if field.slot >= 0:
                value = unpacked[count + field.slot]
                if field.presence >= 0 and not unpacked[count + field.presence]:
                    value = None
                elif load is not None:
                    value = load(memoryview(field.type.dump(value)), plan.copy)
            elif (length := unpacked[field.payload]) == NONE:
                self._must_be_nullable(i, field, offset)
                value = None
            else:
                start = starts[field.payload]
                value = self._load(self.data[start : start + length], load, builtin, plan.copy, i, field, start)
            values.append(value)
        return values

    def _load(self, data: memoryview, load: Any, builtin: bool, copy: bool, i: int, field: Field, offset: int) -> Any:
        try:
            return load(data, copy)
        except (CorruptError, SchemaError) as error:
            raise type(error)(error.message, file=self.file, record=i, field=field.key, offset=offset) from None
        except field.type.unreadable as error:
            if not builtin:
                raise
            text = f"not {field.type.name}: {error}"
            raise CorruptError(text, file=self.file, record=i, field=field.key, offset=offset) from error

    def _must_be_nullable(self, i: int, field: Field, offset: int) -> None:
        if not field.type.nullable:
            text = f"None, but the type is {field.type.name}"
            raise CorruptError(text, file=self.file, record=i, field=field.key, offset=offset)

    def _look(self, entries: Entries, i: int, plan: Plan) -> int:
        """Verify what a plan needs of one record, and remember it. Returns the offset of its frame."""
        frames, schema = self.header.frames, self.header.schema
        place = entries.get(i)
        offset, size, check = place
        if offset + (size or self.end) > len(self.data) < self.end:
            self._map()

        def wrong(text: str, at: int = offset, field: Field | None = None) -> CorruptError:
            return CorruptError(text, file=self.file, record=i, field=None if field is None else field.key, offset=at)

        if offset & 7 or offset < self.header.size or offset + schema.head > len(self.data):
            raise wrong("the index is damaged: its entry points outside of the log; without the .idx file it is rebuilt")
        head = self.data[offset : offset + schema.head]
        stored, kind, stated = FRAME.unpack(head[: FRAME.size])
        seen = entries.seen[i]
        if not seen & _HEAD_SEEN:
            extent = frames.extent(head)
            if self.verify and not frames.verifies(head, offset):
                raise wrong("the frame's check is wrong: its head, or the index's entry, is damaged")
            if stored != check:
                if entries.get(i) != place:  # another thread has just put another record here
                    return self._look(entries, i, plan)
                raise wrong("the index's entry is damaged, or of another record; without the .idx file it is rebuilt")
            if kind not in (RECORD, PENDING) or extent != stated or size not in (0, stated):
                raise wrong(f"a frame of kind {kind} and {stated} bytes, whose payloads need {extent}")
            if offset + extent > len(self.data):
                raise wrong("the frame reaches beyond the log")
        if self.verify and plan.payloads:
            sizes, checksums, start = schema.unpack(head), schema.checksums(head), offset + schema.head
            for field in schema.payloads[: plan.payloads]:
                if (length := sizes[field.payload]) == NONE:
                    continue
                unseen = seen_bit(field) & plan.need & (~seen | _NEVER_SEEN)
                if unseen and crc32(self.data[start : start + length]) != checksums[field.payload]:
                    raise wrong("the checksum is wrong", start, field)
                start += (length + 7) & -8
        if self.verify != "always" and entries.get(i) == place:
            entries.seen[i] |= plan.need & ~_NEVER_SEEN
        return offset

    def encoded(self, i: int, plan: Plan) -> tuple[list[Any], list[bytes | None]]:
        """The numbers and payloads of a record as they are stored, verified whatever was verified before. `plan`: all fields."""
        self.entries.seen[i] = 0
        offset, schema = self._look(self.entries, i, plan), self.header.schema
        unpacked, start, payloads = schema.unpack(self.data, offset), offset + schema.head, []
        for length in unpacked[: len(schema.payloads)]:
            payloads.append(None if length == NONE else bytes(self.data[start : start + length]))
            start += (length + 7) & -8 if length != NONE else 0
        return list(unpacked[len(schema.payloads) :]), payloads

    def columns(self, positions: np.ndarray, plan: Plan) -> list[Any]:
        """The values of each field of many records, field by field.

        Args:
            positions: int64, (n,), each within the list.
            plan: what to read.

        Returns:
            For each field of the plan: an array (n, …) where all values have one shape, a masked array (n,) of scalars that may
                be None, else a list.

        Raises:
            CorruptError: naming the first record that is not as it was written.
        """
        offsets = self._look_many(positions, plan)
        columns: list[Any] = []
        sizes = starts = np.zeros((0, 0), np.uint64)
        if plan.payloads:
            words = np.frombuffer(self.data, np.uint64)
            where = (offsets >> np.uint64(3)) + np.uint64(2)
            sizes = words[where[:, None] + np.arange(plan.payloads, dtype=np.uint64)]
            padded = np.where(sizes == NONE, np.uint64(0), sizes + np.uint64(7) & ~np.uint64(7))
            starts = (offsets + np.uint64(self.header.schema.head))[:, None] + padded.cumsum(axis=1) - padded
        for field, load, builtin in plan.items:
            if field.slot >= 0:
                columns.append(self._scalar_column(field, load, offsets, plan))
            else:
                lengths, begins = sizes[:, field.payload].tolist(), starts[:, field.payload].tolist()
                columns.append(self._payload_column(field, load, builtin, positions, begins, lengths, plan))
        return columns

    def _scalar_column(self, field: Field, load: Any, offsets: np.ndarray, plan: Plan) -> Any:
        assert isinstance(field.type, Scalar)
        width = field.type.width
        column = np.frombuffer(self.data, field.type.dtype)[(offsets + np.uint64(field.at)) // np.uint64(width)]
        if field.presence >= 0:
            absent = np.frombuffer(self.data, np.uint8)[offsets + np.uint64(field.present)] == 0
            column = np.ma.MaskedArray(column, absent)
        if load is None:
            return column
        dump = field.type.dump
        return [None if v is None else load(memoryview(dump(v)), plan.copy) for v in column.tolist()]

    def _payload_column(
        self, field: Field, load: Any, builtin: bool, positions: np.ndarray, starts: list[int], sizes: list[int], plan: Plan
    ) -> Any:
        data = self.data
        row = field.type.row() if builtin else None
        if row is not None and sizes.count(nbytes := row.itemsize * math.prod(row.shape[1:])) == len(sizes):
            stacked = np.empty((len(sizes), *row.shape[1:]), row.dtype)
            if nbytes:
                target, at = memoryview(stacked.reshape(-1).view(np.uint8)), 0
                for start in starts:
                    target[at : at + nbytes] = data[start : start + nbytes]
                    at += nbytes
            return stacked
        values: list[Any] = []
        for i, start, length in zip(positions.tolist(), starts, sizes):
            if length == NONE:
                self._must_be_nullable(i, field, start)
                values.append(None)
            else:
                values.append(self._load(data[start : start + length], load, builtin, plan.copy, i, field, start))
        return values

    def _look_many(self, positions: np.ndarray, plan: Plan) -> np.ndarray:
        """Verify what a plan needs of many records. Returns the offsets of their frames: uint64, (n,)."""
        entries = self.entries
        rows = entries.gather(positions)
        offsets = rows[:, 0]
        seen = np.asarray(entries.seen)[positions]
        need = seen.dtype.type(plan.need & np.iinfo(seen.dtype).max)
        unseen = np.flatnonzero(seen & need != need)
        if not len(unseen):
            return offsets
        heads_are_right = self._heads_are_right(positions[unseen], rows[unseen])
        if heads_are_right and self.verify != "always":
            np.asarray(entries.seen)[positions[unseen]] |= seen.dtype.type(_HEAD_SEEN)
        if plan.payloads or not heads_are_right:
            for i in positions[unseen].tolist():
                self._look(entries, i, plan)
            offsets = entries.gather(positions)[:, 0]
        return offsets

    def _heads_are_right(self, positions: np.ndarray, rows: np.ndarray) -> bool:
        """Whether the heads of many records are right; where not, looking at each one finds out why."""
        schema, offsets, words = self.header.schema, rows[:, 0], rows[:, 1]
        first, last = int(offsets.min()), int(offsets.max())
        if first < self.header.size or last + schema.head > self.end or (offsets & np.uint64(7)).any():
            return False
        if len(self.data) < self.end:
            self._map()
        where = (offsets >> np.uint64(3))[:, None] + np.arange(schema.head // 8, dtype=np.uint64)
        heads = np.frombuffer(self.data, np.uint64)[where]
        checks, kinds = heads[:, 0] & np.uint64(2**32 - 1), heads[:, 0] >> np.uint64(32)
        lengths = heads[:, 2 : 2 + len(schema.payloads)]
        lengths = np.where(lengths == NONE, np.uint64(0), lengths)
        extents = np.uint64(schema.head) + (lengths + np.uint64(7) & ~np.uint64(7)).sum(axis=1, dtype=np.uint64)
        stated = words & np.uint64(2**32 - 1)
        return bool(
            (not self.verify or (self.header.frames.checks_of(heads.view(np.uint8), offsets) == checks).all())
            and (checks == (words >> np.uint64(32) ^ mix(positions))).all()
            and ((kinds == RECORD) | (kinds == PENDING)).all()
            and (lengths <= np.uint64(self.end)).all()
            and (heads[:, 1] == extents).all()
            and (offsets + extents <= np.uint64(self.end)).all()
            and ((stated == extents >> np.uint64(3)) | (stated == np.uint64(2**32 - 1))).all()
        )
