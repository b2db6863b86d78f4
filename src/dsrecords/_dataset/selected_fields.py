"""Some of a dataset's fields, in an order of one's own: of the others no payload is touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dsrecords._dataset.fields import Fields, Keys
from dsrecords._dataset.options import Options
from dsrecords._read.source import Source
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords.errors import SchemaError


class SelectedFields(Fields):
    """Some of the fields of a dataset. Where these have no names, their positions are counted anew.

    Args:
        fields: of the dataset.
        keys: which, names or positions.

    Attributes:
        stored_keys: the keys that the selected fields have in the files, as have all functions
            and decodings.

    Raises:
        SchemaError: there is no such field, or one is named twice.
    """

    def __init__(
        self,
        fields: Fields,
        keys: Sequence[Key],
    ) -> None:
        stored = [fields.field(key) for key in keys]
        stored_keys = [field.key for field in stored]
        self.stored_keys = tuple(stored_keys)
        _require_different(self.stored_keys)
        self.header = fields.header
        self.schema = _schema_of(fields, keys)
        self.deserializers = fields.deserializers
        self.decode = fields.decode
        self.serializers = fields.serializers
        self.loads = fields.loads
        pairs = zip(self.schema.keys, stored)
        self._stored: dict[Key, Field] = dict(pairs)
        self.start_plans(fields.copy)

    def field(self, key: Key) -> Field:
        selected = self.schema.field(key)
        return self._stored[selected.key]

    def selected(self) -> list[Field]:
        return list(self._stored.values())

    def by_stored_key(self, given: Mapping[Any, Any]) -> dict[Any, Any]:
        stored = {}
        for key, value in given.items():
            field = self.field(key)
            stored[field.key] = value
        return stored


def _require_different(keys: Keys) -> None:
    if not keys:
        raise SchemaError("select_fields takes one or more fields")
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise SchemaError("a field is selected twice", field=key)


def _schema_of(fields: Fields, keys: Sequence[Key]) -> Schema:
    schema = fields.schema
    selected = []
    for position, key in enumerate(keys):
        field = schema.field(key)
        new_key = position
        if schema.named:
            new_key = field.key
        copied = Field(new_key, field.type, field.dump)
        selected.append(copied)
    return Schema(selected, schema.named)


def select(
    fields: Fields,
    options: Options,
    keys: Any,
) -> tuple[Fields, Options]:
    """Return some of the fields, and the options of a dataset that shows these alone.

    Raises:
        TypeError: `keys` is no list.
        SchemaError: there is no such field, or one is named twice.
    """
    if not isinstance(keys, (list, tuple)):
        raise TypeError(f"select_fields takes a list of fields, not {keys!r}")
    selected = SelectedFields(fields, keys)
    changed = dataclasses.replace(options, selected=selected.stored_keys)
    return selected, changed


def fields_of(
    source: Source,
    options: Options,
    path: str,
) -> Fields:
    """Return the options of a dataset, fitted to its files: all fields, or those selected.

    Raises:
        SchemaError: they do not fit.
    """
    fields = Fields(source, options, path)
    if options.selected is None:
        return fields
    return SelectedFields(fields, options.selected)
