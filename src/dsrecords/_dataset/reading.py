"""Reading a dataset: which records it shows, and what is read of them. Knows nothing of changes."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dsrecords._dataset.fields import Fields
from dsrecords._dataset.opening import problems
from dsrecords._dataset.options import Options
from dsrecords._dataset.selected_fields import fields_of, select
from dsrecords._dataset.skipping import UNREADABLE, Unreadable
from dsrecords._native import ReadingBase
from dsrecords._order.fingerprints import fingerprint, spread
from dsrecords._order.formula import Formula
from dsrecords._order.indices import Indices
from dsrecords._order.permutation import Permutation
from dsrecords._read.batch import as_array, columns, joined
from dsrecords._read.compiled import quick_columns
from dsrecords._read.extents import dead_bytes
from dsrecords._read.plan import Plan
from dsrecords._read.selection import position, positions, several
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Source, Version
from dsrecords._schema.resolve import make_schema
from dsrecords._shards.source import ShardsSource
from dsrecords._tools.check import check_values
from dsrecords._types.base import NoPartError
from dsrecords._types.budget import in_call, restore, spent
from dsrecords._types.nested import none_of
from dsrecords._write.progress import shown
from dsrecords.errors import CorruptError, DSRecordsError, ReadOnlyError, SchemaError, in_words

Read = Callable[[Snapshot, int], Any]
PassOver = Callable[[Unreadable], None] | None  # what is done at a record that cannot be read
Out = Mapping[Any, np.ndarray]  # by field, arrays to read columns into

_LONGEST_SCHEMA = 400  # characters of a schema that `repr` shows
_COLUMN_CHUNK = 2**16  # records whose heads are read together


class Selection:
    """Which records a view shows.

    Args:
        snapshot: the list as it was when the view was made.
        version: which list that was.
        positions: of the records in that list: a range, a formula, or int64, (n,).

    Attributes:
        indices: the positions, so that each item is an `int` of Python's.
    """

    def __init__(self, snapshot: Snapshot, version: Version, positions: Any) -> None:
        self.snapshot = snapshot
        self.version = version
        self.positions = positions
        self.indices: range | memoryview | Indices = positions
        if isinstance(positions, np.ndarray):
            self.indices = memoryview(positions)
        elif isinstance(positions, Formula):
            self.indices = Indices(positions)


class Reading(ReadingBase):
    """The list of records that a dataset shows.

    Args:
        path: of the data file, as the user has given it: for messages.
        source: the open files.
        options: what was given to read and write them.
        fields: the options, fitted to the files; made from them by default.
        selection: of a view; None if all records of the files are shown.

    Attributes:
        source: None once the dataset is closed; see `opened`.
        whole: the same, but None of a view.
        read: from a snapshot and a position in it to a sample, before `transform`. It is
            `fields.all.read`: one attribute less on the way to each sample.
    """

    whole: Source | None
    read: Read

    def __init__(
        self,
        path: str,
        source: Source,
        options: Options,
        fields: Fields | None = None,
        selection: Selection | None = None,
    ) -> None:
        self.path = path
        self.source: Source | None = source
        self.options = options
        self.selection = selection
        self.whole = source if selection is None else None
        if fields is None:
            fields = fields_of(source, options, path)
        self._use(fields)

    def _use(self, fields: Fields) -> None:
        self.fields = fields
        self.read = fields.all.read

    def bind(self, options: Options | None = None) -> None:
        """Fit the options, or others, to the schema that the files have now.

        Raises:
            SchemaError: they do not fit.
        """
        if options is not None:
            self.options = options
        source = self.opened()
        fields = fields_of(source, self.options, self.path)
        self._use(fields)

    def opened(self) -> Source:
        """Return the files. Raises ValueError if the dataset is closed."""
        if self.source is None:
            raise ValueError(f"{self.path} is closed")
        return self.source

    def close(self) -> None:
        """Let go of the files, which views may still have."""
        self.source = None
        self.whole = None
        self.selection = None

    def refresh(self) -> None:
        """Read what others have written since. Raises ReadOnlyError if this is a view."""
        source = self.opened()
        if self.is_view():
            message = "a view does not change: refresh the dataset that it was made from"
            raise ReadOnlyError(message, file=self.path)
        source.refresh()
        self.bind()

    # Which records

    def is_view(self) -> bool:
        """Return whether this shows a selection, or was opened from a view file."""
        if self.selection is not None:
            return True
        return self.opened().view != 0

    def version(self) -> Version:
        """Return which list it is."""
        if self.selection is not None:
            return self.selection.version
        source = self.opened()
        return Version(source.header.id, source.view, source.snapshot.mark)

    def snapshot(self) -> Snapshot:
        """Return the list in which positions are looked up: of a view, as it was."""
        if self.selection is not None:
            return self.selection.snapshot
        return self.opened().snapshot

    def count(self) -> int:
        """Return how many records are shown."""
        if self.selection is not None:
            return len(self.selection.indices)
        return len(self.opened().snapshot.entries)

    def fingerprint(self) -> str:
        """Return what `IndexedRecordDataset.fingerprint` says."""
        version = self.version()
        count = self.count()
        some = np.array(spread(count), np.int64)
        positions = as_array(self.positions(some, self.snapshot()))
        return fingerprint(version.id, version.view, count, positions.tolist())

    def position(self, index: Any, snapshot: Snapshot) -> int:
        """Return the position in the whole list of the record at one index.

        Raises:
            IndexError: the index is out of range.
            TypeError: it is none.
        """
        if self.selection is None:
            return position(index, len(snapshot.entries))
        indices = self.selection.indices
        return indices[position(index, len(indices))]

    def positions(self, key: Any, snapshot: Snapshot) -> Any:
        """Return the positions in the whole list of the records at many indices.

        Returns:
            A range, a formula, or int64, (n,), which may share memory with the key.

        Raises:
            IndexError: an index is out of range, or a mask has another length.
            TypeError: these are no indices.
        """
        shown: Any = range(len(snapshot.entries))
        if self.selection is not None:
            shown = self.selection.positions
        return positions(key, shown)

    def selected(self, key: Any) -> Reading:
        """Return a view of the records at a slice, a list or a mask.

        Raises:
            IndexError, TypeError: as `positions`.
        """
        everything = self._everything()
        found = positions(key, everything.positions)
        may_be_the_callers = not isinstance(key, slice)
        if may_be_the_callers and isinstance(found, np.ndarray):
            found = found.copy()
        return self._view(Selection(everything.snapshot, everything.version, found))

    def shuffled(self, seed: int) -> Reading:
        """Return a view of all records that are shown, in an order that the seed decides."""
        everything = self._everything()
        order = Permutation(len(everything.positions), seed)
        found = positions(order, everything.positions)
        return self._view(Selection(everything.snapshot, everything.version, found))

    def showing(self, positions: Any, version: Version) -> Reading:
        """Return a view of some records.

        Args:
            positions: of the records: a range, a formula, or int64, (n,).
            version: which list it is that they are of.
        """
        snapshot = self._everything().snapshot
        return self._view(Selection(snapshot, version, positions))

    def with_fields(self, keys: Any) -> Reading:
        """Return a view of all records with some of the fields.

        Raises:
            TypeError: `keys` is no list.
            SchemaError: there is no such field, or one is named twice.
        """
        fields, options = select(self.fields, self.options, keys)
        selection = self._everything()
        return Reading(
            self.path,
            self.opened(),
            options,
            fields,
            selection,
        )

    def decoded(self, decode: Mapping[Any, Any], copy: bool | None) -> Reading:
        """Return a view of all records, some of whose fields are decoded in another way.

        Raises:
            SchemaError: there is no such field, or it cannot be decoded so.
        """
        decodings = dict(self.options.decode or {})
        decodings.update(self.fields.by_stored_key(decode))
        options = dataclasses.replace(self.options, decode=decodings)
        if copy is not None:
            options.copy = copy
        source = self.opened()
        return Reading(
            self.path,
            source,
            options,
            fields_of(source, options, self.path),
            self._everything(),
        )

    def _view(self, selection: Selection) -> Reading:
        return Reading(
            self.path,
            self.opened(),
            self.options,
            self.fields,
            selection,
        )

    def _everything(self) -> Selection:
        """Return a selection of all that is shown: of no view, as it is between two edits."""
        if self.selection is not None:
            return self.selection
        source = self.opened()
        snapshot = source.snapshot
        count = len(snapshot.entries)
        # Behind the count: a list grows only after its mark has.
        version = Version(snapshot.header.id, source.view, snapshot.mark)
        return Selection(snapshot, version, range(count))

    # What is read of them

    def sample(self, index: Any) -> Any:
        """Return the sample at one index, before `transform`.

        Raises:
            IndexError, TypeError: as `position`.
            CorruptError: the record is damaged.
        """
        selection = self.selection
        if selection is None:
            snapshot = self.opened().snapshot
            found = position(index, len(snapshot.entries))
        else:
            snapshot = selection.snapshot
            indices = selection.indices
            found = indices[position(index, len(indices))]
        read = self.read
        return read(snapshot, found)

    def part(self, key: tuple[Any, ...]) -> Any:
        """Return one or several fields of one sample, or a part of one field.

        Args:
            key: the index of the sample, then the fields; or one field, and the path to the part.
        """
        if len(key) < 2 or several(key[0]):
            name = self.fields.schema.keys[0]
            raise TypeError(
                f"parts of one sample: ds[0, {name!r}]; of many: ds.batch([0, 1], "
                f"fields=[{name!r}]); of all: ds.column({name!r})"
            )
        snapshot = self.snapshot()
        found = self.position(key[0], snapshot)
        if len(key) > 2:
            return self._part_of_field(snapshot, found, key[1], key[2:])
        plan = self.fields.plan_for(key[1])
        return plan.read(snapshot, found)

    def _part_of_field(
        self,
        snapshot: Snapshot,
        found: int,
        field: Any,
        path: tuple[Any, ...],
    ) -> Any:
        """Return a part of one field of the record at a position."""
        if isinstance(field, (list, tuple)):
            raise TypeError(f"a part is of one field, as in ds[0, 'steps', 3], not of {field!r}")
        plan = self.fields.plan_for_part(field, path)
        try:
            picked = plan.read(snapshot, found)
            if picked is None:
                none_of(path, "the value")
        except NoPartError as error:
            where = in_words(snapshot.file, found, field)
            raise error.kind(f"{where}: {error.message}") from None
        (part,) = picked
        return part

    def batch(
        self,
        indices: Any,
        fields: Any,
        out: Out | None,
        pass_over: PassOver,
    ) -> Any:
        """Return the columns of many records, as `IndexedRecordDataset.batch` does.

        `pass_over` is called with the error of each record that cannot be read; unless it raises,
        the record is left out of all columns. Where it is None, the error is raised.
        """
        plan = self.fields.all
        if fields is not None:
            plan = self.fields.plan_for(fields)
        stored_out: Out = {}
        if out:
            stored_out = self.fields.by_stored_key(out)
        found = self._columns(plan, indices, stored_out, pass_over)
        return plan.assemble(found)

    def column(self, field: Any, pass_over: PassOver) -> Any:
        """Return the column of one field of all records; `pass_over` as of `batch`."""
        if isinstance(field, (list, tuple)):
            advice = "for several call ds.batch(slice(None), fields=[...])"
            raise TypeError(f"a column is of one field; {advice}")
        plan = self.fields.plan_for(field)
        (found,) = self._columns(plan, slice(None), {}, pass_over)
        return found

    def columns(self, plan: Plan, indices: Any, pass_over: PassOver = None) -> list[Any]:
        """Return the columns of many records that a plan of one's own reads."""
        return self._columns(plan, indices, {}, pass_over)

    def _columns(
        self,
        plan: Plan,
        indices: Any,
        out: Out,
        pass_over: PassOver = None,
    ) -> list[Any]:
        snapshot = self.snapshot()
        if plan.plain is not None and self.selection is None and not out:
            columns = quick_columns(snapshot, indices, plan)
            if columns is not None:
                return columns
        found = self.positions(indices, snapshot)
        if out:
            _check_out(out, plan)
        if not plan.payloads:  # nothing that becomes more than is stored
            return self._in_chunks(snapshot, found, plan, out, pass_over)
        return in_call(self._in_chunks, snapshot, found, plan, out, pass_over)

    @staticmethod
    def _in_chunks(
        snapshot: Snapshot,
        found: Any,
        plan: Plan,
        out: Out,
        pass_over: PassOver,
    ) -> list[Any]:
        if out or len(found) <= _COLUMN_CHUNK:
            return _gathered(snapshot, found, plan, out, pass_over)
        chunks = []
        for start in range(0, len(found), _COLUMN_CHUNK):
            stop = start + _COLUMN_CHUNK
            chunk = _gathered(snapshot, found[start:stop], plan, out, pass_over)
            chunks.append(chunk)
        return [joined(pieces) for pieces in zip(*chunks)]

    def problems(self, decode: bool, progress: bool) -> list[DSRecordsError]:
        """Return what is wrong with the files and, with `decode`, with the values shown."""
        found = problems(self.opened(), progress)
        if not decode:
            return found
        snapshot = self.snapshot()
        positions = self.positions(slice(None), snapshot)
        if isinstance(positions, np.ndarray):
            positions = positions.tolist()
        shown_positions = shown(positions, len(positions), self.path, progress)
        plans = self.fields.decoding_plans()
        return found + list(check_values(snapshot, shown_positions, plans, found))

    def metadata(self) -> dict[str, Any]:
        """Return a copy of the metadata: of a view, as it was.

        Raises:
            CorruptError: it is damaged, or nested too deep.
        """
        try:
            text = json.dumps(self.snapshot().metadata(self.version().mark))
            metadata: dict[str, Any] = json.loads(text)
        except RecursionError:
            raise CorruptError("the metadata is nested too deeply", file=self.path) from None
        return metadata

    def files(self) -> list[str]:
        """Return the paths of the data files."""
        source = self.opened()
        if isinstance(source, ShardsSource):
            return [shard.path for shard in source.manifest.shards]
        return [source.path]

    def where(self, index: Any) -> tuple[str, int]:
        """Return the path of the file that has a record, and the record's position in it."""
        snapshot = self.snapshot()
        return snapshot.where(self.position(index, snapshot))

    def prefetch(self, indices: Any, fields: Any) -> None:
        """Let files elsewhere be asked for fields of many records, which is not waited for."""
        plan = self.fields.all
        if fields is not None:
            plan = self.fields.plan_for(fields)
        self.announce(indices, plan)

    def announce(self, indices: Any, plan: Plan) -> None:
        """Do the same for a plan of one's own."""
        snapshot = self.snapshot()
        positions = as_array(self.positions(indices, snapshot))
        if snapshot.is_elsewhere:
            snapshot.announce(positions, plan)

    def refuse_edit(self, index: Any) -> None:
        """Raise ReadOnlyError if the record at an index is one of many files; names its file."""
        source = self.opened()
        if isinstance(source, ShardsSource):
            snapshot = self.snapshot()
            raise source.read_only_at(self.position(index, snapshot))

    def dead_bytes(self) -> int:
        """Return what compaction would give back, of all records of the files."""
        source = self.opened()
        if isinstance(source, ShardsSource):
            return sum(map(_dead_bytes, source.states()))
        source.need_log()
        return _dead_bytes(source)

    # In words

    def difference(self, other: Any, name: str) -> str:
        """Return in words how another schema differs from this one; empty if it does not."""
        schema = make_schema(other)
        other_name = os.path.basename(name)
        own_name = os.path.basename(self.path)
        return schema.difference(self.fields.schema, other_name, own_name) or ""

    def description(self) -> str:
        """Return what `repr` says of it."""
        count = self._described_count()
        types = self.fields.schema.types()
        if isinstance(types, dict):
            pairs = [f"{key}: {kind}" for key, kind in types.items()]
            schema = "{" + _shortened(pairs) + "}"
        else:
            schema = "[" + _shortened(types) + "]"
        return f"{self.path!r}: {count}, {schema}"

    def _described_count(self) -> str:
        if self.source is None:
            return "closed"
        count = f"{self.count():,} records"
        if self.is_view():
            count += " (view)"
        return count


def _dead_bytes(source: Source) -> int:
    snapshot = source.snapshot
    return dead_bytes(snapshot, snapshot.metadata())


def _gathered(
    snapshot: Snapshot,
    positions: Any,
    plan: Plan,
    out: Out,
    pass_over: PassOver,
) -> list[Any]:
    """Return columns of some records, without those that are passed over."""
    if not isinstance(positions, (np.ndarray, range)):
        positions = positions.array()
    gather = snapshot.columns or functools.partial(columns, snapshot)
    if pass_over is None:
        return gather(positions, plan, out)
    spent_before = spent()
    try:
        return gather(positions, plan, out)
    except UNREADABLE as error:
        if error.record is None:
            raise
    restore(spent_before)
    readable = []
    for i in as_array(positions).tolist():
        try:
            plan.read(snapshot, i)
        except UNREADABLE as error:
            pass_over(error)
        else:
            readable.append(i)
    shorter = {key: array[: len(readable)] for key, array in out.items()}
    restore(spent_before)
    return gather(np.array(readable, np.int64), plan, shorter)


def _check_out(out: Out, plan: Plan) -> None:
    keys = {field.key for field in plan.fields}
    for key in out:
        if key not in keys:
            raise SchemaError("out has an array for a field that is not read", field=key)


def _shortened(items: list[str]) -> str:
    text = ", ".join(items)
    if len(text) < _LONGEST_SCHEMA:
        return text
    return f"{text[:_LONGEST_SCHEMA]}…"
