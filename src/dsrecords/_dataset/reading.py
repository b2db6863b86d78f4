"""A dataset as a sequence: samples, parts of them, views, batches, columns. Knows nothing of how one is opened or changed."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._read.batch import columns, rows
from dsrecords._read.plan import Plan
from dsrecords._read.prefetch import prefetch
from dsrecords._read.selection import position, positions, several
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.binding import bind
from dsrecords._schema.header import Header
from dsrecords._schema.schema import Key, Schema
from dsrecords._types.base import Load
from dsrecords.errors import CorruptError, SchemaError

Functions = Sequence[Callable[..., Any] | None] | Mapping[Any, Callable[..., Any] | None]
_LONGEST = 400  # characters of a schema that `repr` shows
_COLUMN_CHUNK = 2**16  # records whose heads are looked at together
_WINDOW = 256  # records that are asked for ahead of iteration
_LARGEST_WINDOW = 4096  # of records that are numbers only


class Records(Sequence[Any]):
    """The half of a dataset that reads; `IndexedRecordDataset` sets the attributes and adds the other half."""

    path: str
    transform: Callable[[Any], Any] | None
    on_error: Any  # "raise", "skip" or a function
    skipped: list[CorruptError]
    _state: Any  # of the files, or Closed
    _given: Schema | None  # the schema that was given, whose functions write
    _deserializers: Functions | None
    _decode: Mapping[Any, str] | None
    _copy: bool
    _writer: Any
    _frozen: Snapshot | None  # of a view: the list as it was
    _selection: Any  # of a view: positions in that list, a range or int64 (n,)
    _chosen: range | memoryview  # of a view: the same, and each item an int of Python's
    _version: tuple[bytes, int, int] | None  # of a view: of which list, see `_list_version`
    _header: Header

    def _bind(self) -> None:
        """Fit what was given to the schema of the file."""
        header = self._state.header
        schema = header.schema
        if self._given is not None and (
            difference := self._given.difference(schema, "this", os.path.basename(self.path))
        ):
            raise SchemaError(
                f"the schema given is not that of the file: {difference}", file=self.path
            )
        if self._given is not None:
            self._given.use_dictionaries(schema)
        self._schema: Schema = self._given or schema
        given = self._state.deserializers(self._deserializers)
        if given is not None and not isinstance(given, Mapping):
            if len(given) != len(schema.fields):
                raise SchemaError(
                    f"{len(given)} deserializers for {len(schema.fields)} fields", file=self.path
                )
            given = dict(zip(schema.keys, given))
        if self._decode is not None and not isinstance(self._decode, Mapping):
            raise TypeError(
                f"decode is a dict, such as {{{schema.keys[0]!r}: 'array'}}, not {self._decode!r}"
            )
        functions, decodings = given or {}, self._decode or {}
        self._loads: dict[Key, Load] = {}
        try:
            for key in (*functions, *decodings):
                schema.field(key)
            for field in schema.fields:
                self._loads[field.key] = bind(
                    field, functions.get(field.key), decodings.get(field.key)
                )
        except SchemaError as error:
            error.file = self.path
            raise
        self._header = header
        self._plans: dict[Any, Plan] = {}
        self._plan = self._plan_for(schema.keys)

    def _plan_for(self, fields: Any) -> Plan:
        """What to read for several fields, or for one: its value alone."""
        several = isinstance(fields, (list, tuple))
        keys = (*fields,) if several else (fields,)
        if (plan := self._plans.get((several, keys))) is None:
            schema = self._header.schema
            chosen = [schema.field(key) for key in keys]
            shape = (dict if schema.named else tuple) if several else None
            plan = Plan(
                self._header,
                [(field, self._loads[field.key]) for field in chosen],
                self._copy,
                shape,
            )
            self._plans[several, keys] = plan
        return plan

    @property
    def schema(self) -> dict[str, str] | list[str]:
        """Names to types, or a list of types: what `make_dataset` takes."""
        return self._schema.types()

    @property
    def fields(self) -> tuple[Any, ...]:
        """The fields' names; their positions where they have no names."""
        return self._schema.keys

    @property
    def metadata(self) -> dict[str, Any]:
        """What was given to `make_dataset`; a copy."""
        try:
            return json.loads(json.dumps(self._header.metadata))  # type: ignore[no-any-return]
        except RecursionError:
            raise CorruptError("the metadata are nested too deeply", file=self.path) from None

    def _list_version(self) -> tuple[bytes, int, int]:
        """Which list it is: its id, how many edits it has had, which view file. Appending does not change what positions mean."""
        return self._version or (self._state.header.id, self._state.edits, self._state.view)

    def _is_view(self) -> bool:
        return self._selection is not None or bool(self._state.view)

    def _snapshot(self) -> Snapshot:
        snapshot: Snapshot = self._frozen or self._state.snapshot
        return snapshot

    def __len__(self) -> int:
        return (
            len(self._state.snapshot.entries) if self._selection is None else len(self._selection)
        )

    def __repr__(self) -> str:
        schema, closed = self._schema.types(), isinstance(self._state, Closed)
        shown = (
            ", ".join(f"{k}: {t}" for k, t in schema.items())
            if isinstance(schema, dict)
            else ", ".join(schema)
        )
        shown = shown if len(shown) < _LONGEST else f"{shown[:_LONGEST]}…"
        brackets = "{}" if isinstance(schema, dict) else "[]"
        count = (
            "closed"
            if closed
            else f"{len(self):,} records" + (" (view)" if self._is_view() else "")
        )
        return f"<IndexedRecordDataset {self.path!r}: {count}, {brackets[0]}{shown}{brackets[1]}>"

    def __getitem__(self, key: Any) -> Any:
        """A sample, parts of one, or a view.

        `ds[7]` is a sample. `ds[7, "label"]` and `ds[7, ["label", "image"]]` are parts of one, read alone. `ds[2:9]`, `ds[[5,
        1]]` and `ds[mask]` are views, which copy no data and go on showing what the list is now.

        Raises:
            IndexError: out of range.
            CorruptError: the record is not what was written; names record, field and byte offset.
        """
        snapshot: Snapshot = self._frozen or self._state.snapshot
        if key.__class__ is int:  # what nearly every call is
            if self._selection is not None:
                key = self._chosen[position(key, len(self._chosen))]
        elif key.__class__ is tuple:
            return self._part(key, snapshot)
        elif several(key):
            return self._view(key)
        else:
            key = self._position(key, snapshot)
        # Two steps: Python looks a function up far faster as an attribute than as what might be a method.
        read, transform = self._plan.read, self.transform
        return read(snapshot, key) if transform is None else transform(read(snapshot, key))

    def _part(self, key: tuple[Any, ...], snapshot: Snapshot) -> Any:
        if len(key) != 2 or several(key[0]):
            name = self._schema.keys[0]
            raise TypeError(
                f"parts of one sample: ds[0, {name!r}]; of many: ds.batch([0, 1], fields=[{name!r}]); of all: ds.column({name!r})"
            )
        return self._plan_for(key[1]).read(snapshot, self._position(key[0], snapshot))

    def _position(self, key: Any, snapshot: Snapshot) -> int:
        """Where in the whole list the record at an index of this one is."""
        if self._selection is None:
            return position(key, len(snapshot.entries))
        return self._chosen[position(key, len(self._chosen))]

    def _positions(self, key: Any, snapshot: Snapshot) -> Any:
        """The same for many: a range or an array of int64."""
        return positions(
            key, range(len(snapshot.entries)) if self._selection is None else self._selection
        )

    def _view(self, key: Any) -> Any:
        view, state = object.__new__(type(self)), self._state
        view.__dict__.update(self.__dict__)
        while True:  # until no other thread edits the list meanwhile
            editing = 0 if self._frozen else state.editing
            snapshot = view._frozen = self._snapshot()
            snapshot.shared = True
            selection, view._version = self._positions(key, snapshot), self._list_version()
            if self._frozen or (editing % 2 == 0 and editing == state.editing):
                break
            time.sleep(0)
        copied = isinstance(selection, np.ndarray) and not isinstance(
            key, slice
        )  # the caller may go on to change theirs
        view._select(selection.copy() if copied else selection)
        view._writer = None
        return view

    def _select(self, selection: Any) -> None:
        self._selection, self._chosen = (
            selection,
            selection if isinstance(selection, range) else memoryview(selection),
        )

    def __iter__(self) -> Iterator[Any]:
        """Over the list as it is now, whatever is changed meanwhile."""
        view: Records = self._view(slice(None))
        return view._ahead()

    def _ahead(self) -> Iterator[Any]:
        """The samples, a window after the other; the kernel is asked for the next one before."""
        count, start, size = len(self), 0, _WINDOW
        self._prefetch(slice(0, size))
        while start < count:
            window, size = (
                range(start, min(start + size, count)),
                min(4 * size, _LARGEST_WINDOW if self._plan.plain else _WINDOW),
            )
            start = window.stop
            self._prefetch(slice(start, start + size))
            yield from self._together(window) if self._plan.plain else self._readable(window)

    def _together(self, indices: range) -> Iterator[Any]:
        """The samples of fields that are numbers, read together: several times faster than one by one."""
        snapshot, plan = self._snapshot(), self._plan
        try:
            found = rows(snapshot, np.asarray(self._positions(indices, snapshot), np.int64), plan)
        except (
            CorruptError
        ):  # one by one, to pass over what is wrong, or say so when the loop comes to it
            return self._readable(indices)
        samples, transform = found if plan.shape is tuple else map(plan.give, found), self.transform
        return iter(samples) if transform is None else (transform(sample) for sample in samples)

    def _readable(self, indices: Iterable[int]) -> Iterator[Any]:
        """The samples, without those that `on_error` passes over."""
        transform = self.transform
        for i in indices:
            snapshot = self._snapshot()
            try:
                sample = self._plan.read(snapshot, self._position(i, snapshot))
            except CorruptError as error:
                if self.on_error == "raise":
                    raise
                (self.skipped.append if self.on_error == "skip" else self.on_error)(error)
            else:
                yield sample if transform is None else transform(sample)

    def _prefetch(self, indices: Any) -> None:
        snapshot = self._snapshot()
        positions = np.asarray(self._positions(indices, snapshot), np.int64)
        prefetch(snapshot, snapshot.entries.gather(positions), heads_only=not self._plan.payloads)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Samples for PyTorch's fetcher: `[ds[i] for i in indices]`, but the kernel is asked for all of them first.

        As iteration does, it leaves out damaged records where `on_error` says so.
        """
        self._prefetch(indices)
        return list(self._readable(indices))

    def batch(
        self, indices: Any, fields: Any = None, *, out: Mapping[Any, np.ndarray] | None = None
    ) -> Any:
        """Many samples, field by field.

        Args:
            indices: integers, a mask, a slice or a range.
            fields: which, a list; by default all. One field alone gives its column alone.
            out: by field, arrays of the column's dtype and shape to read scalars or arrays of one shape into. They are given back
                in its place, and spare the memory of a new one for each batch.

        Returns:
            A dict (a tuple where fields have no names) of one column a field: an array (n,) of scalars, a masked one where they
            may be None; an array (n, …) of arrays of one shape; a list of anything else.

        Raises:
            TypeError, IndexError: of the indices.
            SchemaError: no such field, or an array of `out` does not fit.
            CorruptError: a record is not what was written.
        """
        plan = self._plan if fields is None else self._plan_for(fields)
        return plan.give(self._columns(plan, indices, out or {}))

    def column(self, field: Any) -> Any:
        """One field of all samples, as `batch` gives it. Of the other fields nothing is read.

        Raises:
            SchemaError: no such field.
            CorruptError: a record is not what was written.
        """
        if isinstance(field, (list, tuple)):
            raise TypeError(
                "a column is of one field; for several call ds.batch(slice(None), fields=[...])"
            )
        return self._columns(self._plan_for(field), slice(None), {})[0]

    def _columns(self, plan: Plan, indices: Any, out: Mapping[Any, np.ndarray]) -> list[Any]:
        snapshot = self._snapshot()
        positions = self._positions(indices, snapshot)
        for key in out:
            if key not in [field.key for field in plan.fields]:
                raise SchemaError("out has an array for a field that is not read", field=key)
        gather = snapshot.columns or functools.partial(columns, snapshot)
        if out or len(positions) <= _COLUMN_CHUNK:
            return gather(np.asarray(positions, np.int64), plan, out)
        chunks = [positions[i : i + _COLUMN_CHUNK] for i in range(0, len(positions), _COLUMN_CHUNK)]
        parts = [gather(np.asarray(chunk, np.int64), plan, out) for chunk in chunks]
        return [_join(column) for column in zip(*parts)]


class Closed:
    """In the place of a closed dataset's state."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __getattr__(self, name: str) -> Any:
        raise ValueError(f"{self.path} is closed")


def _join(parts: tuple[Any, ...]) -> Any:
    if isinstance(parts[0], np.ma.MaskedArray):
        return np.ma.concatenate(parts)  # type: ignore[no-untyped-call]
    return (
        np.concatenate(parts)
        if isinstance(parts[0], np.ndarray)
        else [value for part in parts for value in part]
    )
