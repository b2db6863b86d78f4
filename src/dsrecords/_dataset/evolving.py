"""Changing the schema of a dataset: each change writes a new dataset beside, and puts it in the place of the old one.

What is not changed is copied as it is stored, verified but not decoded: an image keeps its bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from dsrecords._dataset.reading import Records
from dsrecords._format.signatures import sniff
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.resolve import make_schema
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords._types.base import describe
from dsrecords._types.binary import Bytes, Custom
from dsrecords._types.images import Image
from dsrecords._write.create import build
from dsrecords._write.progress import shown
from dsrecords.errors import DSRecordsError, SchemaError

Value = Callable[
    [Snapshot, int, Encoded], Any
]  # what a new field has, from a record and what is stored of it
Change = tuple[
    Field, Field | Value
]  # a field of the new schema, and the old one that it is copied from, or its values
_STORED_AS_THEY_ARE = (Bytes, Custom, Image)


class Evolving(Records):
    """The part of a dataset that changes its schema.

    Views and pickled copies of before become stale, as by `compact`: the new dataset has another id.
    """

    _rewrite: Callable[..., None]
    _change: Callable[..., Any]

    def add_field(
        self, name: Any, type: Any, values: Any = None, *, progress: bool = False
    ) -> None:
        """Add a field behind the others.

        Args:
            name: of the field; None where fields have no names.
            type: a type or a serializer.
            values: a function that is called with each sample; or a list, an array or another iterable with a value for each
                record. By default None, for a type that may be None.
            progress: whether to show a progress bar.

        Raises:
            SchemaError: there is such a field; a value does not fit; there are not as many values as records. All is as it was.
        """
        self._change()
        schema = self._schema
        if name is None and not schema.named:
            name = len(schema.keys)
        if name in schema.by_key:
            raise SchemaError("there is such a field already", file=self.path, field=name)
        if isinstance(name, str) is not schema.named:
            raise SchemaError(
                "a name is a text, or None where fields have no names", file=self.path, field=name
            )
        field = make_schema({name: type} if schema.named else [type]).fields[0]
        field.key = name
        self._evolve([*self._kept(), (field, _values(values, self._plan, field))], progress)

    def drop_fields(self, names: Any, *, progress: bool = False) -> None:
        """Take fields away: a list of their names (or positions), or one. Raises SchemaError if there is no such field."""
        self._change()
        several = names if isinstance(names, Iterable) and not isinstance(names, str) else [names]
        gone = {self._schema.field(name).key for name in several}
        self._evolve([change for change in self._kept() if change[0].key not in gone], progress)

    def rename_fields(self, names: Mapping[Any, str], *, progress: bool = False) -> None:
        """Give fields other names: old names (or positions) to new ones. Where fields had no names, all get one.

        Raises:
            SchemaError: no such field, or two of one name. All is as it was.
        """
        self._change()
        new = self._by_key(names)
        changes = self._kept()
        for field, _ in changes:
            field.key = new.get(field.key, field.key)
        self._evolve(changes, progress)

    def cast(self, types: Mapping[Any, Any], *, progress: bool = False) -> None:
        """Give fields other types: names (or positions) to types. Each value is read, and written as the new type does.

        Between images, bytes and functions of one's own the bytes are kept; an image is decoded and encoded again only where it
        is not in the format of the new type.

        Raises:
            SchemaError: no such field, or a value does not fit: names record and field. All is as it was.
        """
        self._change()
        changes: list[Change] = []
        new = self._by_key(types)
        for field, old in self._kept():
            if field.key not in new:
                changes.append((field, old))
                continue
            cast = make_schema([new[field.key]]).fields[0]
            cast.key = field.key
            load = self._loads[field.key] if isinstance(field.type, Custom) else field.type.load
            assert isinstance(old, Field)
            changes.append(
                (cast, _recast(old, cast, Plan(self._header, [(old, load)], True, None)))
            )
        self._evolve(changes, progress)

    def compare_schema(self, other: Any) -> str:
        """In words, how another schema, or that of another dataset, differs from this one; empty if it does not."""
        name = os.path.basename(other.path) if isinstance(other, Records) else "the other"
        schema = other._schema if isinstance(other, Records) else make_schema(other)
        return schema.difference(self._schema, name, os.path.basename(self.path)) or ""

    def _by_key(self, given: Mapping[Any, Any]) -> dict[Key, Any]:
        if not isinstance(given, Mapping):
            raise TypeError(
                f"a dict by field is expected, such as {{{self._schema.keys[0]!r}: …}}, not {describe(given)}"
            )
        return {self._schema.field(key).key: new for key, new in given.items()}

    def _kept(self) -> list[Change]:
        """All fields as they are, with the functions that write them."""
        stored = self._header.schema.fields
        return [
            (Field(field.key, field.type, self._schema.by_key[field.key].dump), field)
            for field in stored
        ]

    def _evolve(self, changes: Sequence[Change], progress: bool) -> None:
        named = any(isinstance(field.key, str) for field, _ in changes)
        moved: dict[Key, Key] = {}  # old keys to new ones, of fields whose type is what it was
        for position, (field, source) in enumerate(changes):
            field.key = field.key if named else position
            if isinstance(source, Field):
                moved[source.key] = field.key
        schema = Schema([field for field, _ in changes], named)
        path, index_path = self._state.path, self._state.index_path

        def write(snapshot: Snapshot) -> Any:
            count = len(snapshot.entries)
            records = _records(
                snapshot, shown(range(count), count, path, progress), schema, changes
            )
            return build(
                path,
                index_path,
                schema,
                snapshot.header.metadata,
                records,
                overwrite=True,
                held=True,
            )

        def adopt() -> None:
            self._given = None if self._given is None else schema
            given: Any = self._deserializers
            if given is not None and not isinstance(given, Mapping):
                given = dict(zip(self._header.schema.keys, given))
            self._deserializers = (
                None if given is None else {moved[key]: given[key] for key in given if key in moved}
            )
            if self._decode is not None:
                self._decode = {
                    moved[key]: self._decode[key] for key in self._decode if key in moved
                }

        self._rewrite(write, adopt)


def _records(
    snapshot: Snapshot, positions: Iterable[int], schema: Schema, changes: Sequence[Change]
) -> Iterator[Encoded]:
    """The records as the new schema has them."""
    everything = Plan(
        snapshot.header,
        [(field, field.type.load) for field in snapshot.header.schema.fields],
        True,
        tuple,
    )
    alone = {
        field.key: Schema([Field(field.key, field.type, field.dump)], schema.named)
        for field, _ in changes
    }
    end, iterated = snapshot.end, [source for _, source in changes if isinstance(source, _Iterated)]
    for given in iterated:
        given.expect(len(snapshot.entries))
    for i in positions:
        old = snapshot.encoded(i, everything)
        new: Encoded = schema.layout.zeros.copy(), [None] * len(schema.payloads)
        for field, source in changes:
            if isinstance(source, Field):
                _copy(source, old, field, new)
            else:
                value = source(snapshot, i, old)
                one = alone[field.key]
                _copy(
                    one.fields[0],
                    one.encode({field.key: value} if schema.named else (value,), i),
                    field,
                    new,
                )
        yield new
    if snapshot.end != end:
        raise DSRecordsError(
            "it was changed while its schema was: nothing was done", file=snapshot.file
        )
    for given in iterated:
        given.expect_no_more()


def _copy(source: Field, old: Encoded, field: Field, new: Encoded) -> None:
    """A field of a record, as it is stored."""
    if source.slot < 0:
        new[1][field.payload] = old[1][source.payload]
        return
    new[0][field.slot] = old[0][source.slot]
    if source.presence >= 0:
        new[0][field.presence] = old[0][source.presence]


def _values(values: Any, plan: Plan, field: Field) -> Value:
    if values is None and field.type.nullable:
        return lambda snapshot, i, old: None
    if values is None:
        raise SchemaError(
            f"values are needed, or a type that may be None: '{field.type.name}?'", field=field.key
        )
    if callable(values):
        return lambda snapshot, i, old: values(plan.read(snapshot, i))
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise SchemaError(
            f"values are a function, or one for each record, not {describe(values)}",
            field=field.key,
        )
    return _Iterated(
        values.tolist() if isinstance(values, np.ma.MaskedArray) else values, field.key
    )


class _Iterated:
    """Values that come one after another, one for each record."""

    def __init__(self, values: Iterable[Any], key: Key) -> None:
        self._iterator, self._key = iter(values), key
        self._count = len(values) if isinstance(values, Sized) else None

    def expect(self, count: int) -> None:
        """Raises SchemaError if it is known already that there are not so many."""
        if self._count not in (None, count):
            raise SchemaError(f"{self._count} values for {count} records", field=self._key)

    def __call__(self, snapshot: Snapshot, i: int, old: Encoded) -> Any:
        for value in self._iterator:
            return value
        raise SchemaError(f"{i} values for {len(snapshot.entries)} records", field=self._key)

    def expect_no_more(self) -> None:
        """Raises SchemaError if no record has had a value that there is."""
        for _ in self._iterator:
            raise SchemaError("there are more values than records", field=self._key)


def _recast(old: Field, new: Field, plan: Plan) -> Value:
    as_they_are = isinstance(old.type, _STORED_AS_THEY_ARE) and isinstance(
        new.type, _STORED_AS_THEY_ARE
    )
    format = (
        new.type.format if isinstance(new.type, Image) and isinstance(old.type, Image) else None
    )

    def value(snapshot: Snapshot, i: int, stored: Encoded) -> Any:
        if not as_they_are:
            return plan.read(snapshot, i)
        data = stored[1][old.payload]
        return data if data is None or format in (None, sniff(data)) else plan.read(snapshot, i)

    return value
