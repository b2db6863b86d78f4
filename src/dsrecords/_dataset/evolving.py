"""Changing the schema of a dataset: each change writes new files, which take the place of the old.

What is not changed is copied as it is stored, verified but not decoded: an image keeps its bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsrecords._dataset.editing import Editing
from dsrecords._dataset.fields import Fields, by_field
from dsrecords._dataset.options import Options, is_function
from dsrecords._dataset.parts import Computed, Copied, Part, recast, records, value_of
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.resolve import Serializer, make_schema
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords._types.base import describe
from dsrecords._write.create import build
from dsrecords._write.lock import Keep
from dsrecords._write.progress import shown
from dsrecords.errors import SchemaError


def add_field(
    editing: Editing,
    key: Any,
    kind: Any,
    values: Any,
    progress: bool,
) -> None:
    """Add a field behind the others, as `IndexedRecordDataset.add_field` does."""
    editing.begin()
    reading = editing.reading
    schema = reading.fields.schema
    if key is None and not schema.named:
        key = len(schema.keys)
    if key in schema.by_key:
        raise SchemaError("there is such a field already", file=reading.path, field=key)
    if isinstance(key, str) is not schema.named:
        message = "a name must be a string, or None where fields have no names"
        raise SchemaError(message, file=reading.path, field=key)
    field = _new_field(key, kind)
    value = value_of(values, reading.fields.all, field)
    added = Computed(field, value, _serializer_of(kind))
    parts: list[Part] = [*_kept(editing), added]
    _evolve(editing, parts, progress)


def drop_fields(editing: Editing, keys: Any, progress: bool) -> None:
    """Take fields away, as `IndexedRecordDataset.drop_fields` does."""
    editing.begin()
    schema = editing.reading.fields.schema
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        keys = [keys]
    dropped = {schema.field(key).key for key in keys}
    parts = [part for part in _kept(editing) if part.field.key not in dropped]
    _evolve(editing, parts, progress)


def rename_fields(editing: Editing, names: Any, progress: bool) -> None:
    """Give fields other names, as `IndexedRecordDataset.rename_fields` does."""
    editing.begin()
    new_keys = _by_field(names, editing.reading.fields)
    parts = _kept(editing)
    for part in parts:
        field = part.field
        field.key = new_keys.get(field.key, field.key)
    _evolve(editing, parts, progress)


def cast(editing: Editing, kinds: Any, progress: bool) -> None:
    """Give fields other types, as `IndexedRecordDataset.cast` does."""
    editing.begin()
    fields = editing.reading.fields
    new_kinds = _by_field(kinds, fields)
    parts: list[Part] = []
    for part in _kept(editing):
        key = part.field.key
        if key not in new_kinds:
            parts.append(part)
            continue
        kind = new_kinds[key]
        field = _new_field(key, kind)
        value = recast(part.source, field, fields)
        computed = Computed(field, value, _serializer_of(kind))
        parts.append(computed)
    _evolve(editing, parts, progress)


def _by_field(given: Any, fields: Fields) -> dict[Key, Any]:
    schema = fields.schema
    if not isinstance(given, Mapping):
        example = f"{{{schema.keys[0]!r}: …}}"
        expected = f"expected a dict by field, such as {example}"
        raise TypeError(f"{expected}, not {describe(given)}")
    return by_field(given, schema)


def _new_field(key: Key, kind: Any) -> Field:
    try:
        alone = make_schema([kind])
    except SchemaError as error:
        error.field = key
        raise
    field = alone.fields[0]
    field.key = key
    return field


def _serializer_of(kind: Any) -> Serializer | None:
    return kind if is_function(kind) else None


def _kept(editing: Editing) -> list[Copied]:
    """Return all fields as they are, with the functions that write them."""
    fields = editing.reading.fields
    serializers = editing.reading.options.serializers or {}
    kept = []
    for source in fields.header.schema.fields:
        key = source.key
        written = fields.schema.by_key[key]
        field = Field(key, source.type, written.dump)
        copied = Copied(field, source, serializers.get(key))
        kept.append(copied)
    return kept


def _evolve(editing: Editing, parts: Sequence[Part], progress: bool) -> None:
    """Write the dataset anew, with these fields."""
    schema = _schema_of(parts)
    source = editing.reading.opened()

    def write(snapshot: Snapshot, keep: Keep) -> None:
        count = len(snapshot.entries)
        positions = shown(range(count), count, source.path, progress)
        build(
            source.path,
            source.index_path,
            schema,
            snapshot.metadata(),
            records(snapshot, positions, schema, parts),
            overwrite=True,
            held=True,
            locks=editing.reading.options.lock,
            keep=keep,
        )

    options = _options_after(editing, schema, parts)
    editing.rewrite(write, options)


def _schema_of(parts: Sequence[Part]) -> Schema:
    """Return the schema of these fields; where none has a name, they get their positions."""
    fields = [part.field for part in parts]
    named = any(isinstance(field.key, str) for field in fields)
    if not named:
        for position, field in enumerate(fields):
            field.key = position
    return Schema(fields, named)


def _options_after(editing: Editing, schema: Schema, parts: Sequence[Part]) -> Options:
    """Return the options: functions and decodings follow the fields that they were given for."""
    options = editing.reading.options
    fields = editing.reading.fields
    deserializers = {}
    decode = {}
    serializers = {}
    for part in parts:
        key = part.field.key
        if part.serializer is not None:
            serializers[key] = part.serializer
        if isinstance(part, Computed):
            continue
        old_key = part.source.key
        if old_key in fields.deserializers:
            deserializers[key] = fields.deserializers[old_key]
        if old_key in fields.decode:
            decode[key] = fields.decode[old_key]
    changed = dataclasses.replace(options, deserializers=deserializers, decode=decode)
    if options.schema is None:
        return changed
    return dataclasses.replace(changed, serializers=serializers, schema=schema)
