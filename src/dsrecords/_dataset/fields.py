"""The fields of a dataset with the functions that read and write them. Knows no records."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from typing import Any

from dsrecords._dataset.options import Functions, Options
from dsrecords._read.plan import Plan
from dsrecords._read.source import Source
from dsrecords._schema.binding import Deserializer, bind
from dsrecords._schema.resolve import Serializer
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords._types.base import Load, Path, Type
from dsrecords._types.scalars import Scalar
from dsrecords.errors import SchemaError

Keys = tuple[Key, ...]


class Fields:
    """The options of a dataset, fitted to the schema of its files. Made anew when that changes.

    Args:
        source: the files.
        options: what was given.
        path: of the data file, for messages.

    Attributes:
        header: of the files that this was made for.
        schema: that of the files, with the serializers that were given.
        deserializers: by field, those that were given.
        decode: by field, the decodings that were given.
        serializers: by field, the functions that were given to write it.
        loads: by field, the function that reads it.
        copy: whether what is read is owned.
        all: the plan that reads all fields.

    Raises:
        SchemaError: the schema that was given is not that of the files, or a function or decoding
            does not fit it.
    """

    def __init__(self, source: Source, options: Options, path: str) -> None:
        self.header = source.header
        stored = self.header.schema
        self.schema: Schema = options.schema or stored
        if options.schema is not None:
            _check_schema(options.schema, stored, path)
            options.schema.use_dictionaries(stored)
        self.serializers: Mapping[Key, Serializer] = options.serializers or {}
        try:
            self.deserializers = _functions_by_field(options.deserializers, stored)
            self.decode = by_field(options.decode or {}, stored)
            self.loads = self._bind(source)
        except SchemaError as error:
            error.file = path
            raise
        self.start_plans(options.copy)

    def start_plans(self, copy: bool) -> None:
        """Forget all plans, and make that of all fields; `copy` as of the attributes."""
        self.copy = copy
        self._single_plans: dict[Key, Plan] = {}
        self._plans: dict[Keys, Plan] = {}
        self.all = self.plan_for(self.schema.keys)

    def field(self, key: Key) -> Field:
        """Return a field as the files have it. Raises SchemaError if there is none."""
        return self.header.schema.field(key)

    def selected(self) -> list[Field]:
        """Return all fields that are shown, as the files have them."""
        return self.header.schema.fields

    def by_stored_key(self, given: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """Return what was given for fields, by the keys that they have in the files."""
        return given

    def decodings(self) -> dict[Key, Any]:
        """Return the decodings that were given, by the keys of the fields that are shown."""
        found = {}
        for key in self.schema.keys:
            stored_key = self.field(key).key
            if stored_key in self.decode:
                found[key] = self.decode[stored_key]
        return found

    def _bind(self, source: Source) -> dict[Key, Load]:
        functions = source.deserializers(self.deserializers)
        loads = {}
        for field in self.header.schema.fields:
            key = field.key
            loads[key] = bind(field, functions.get(key), self.decode.get(key))
        return loads

    def plan_for(self, fields: Any) -> Plan:
        """Return what to read for several fields, or for one: its value alone.

        Raises:
            SchemaError: there is no such field.
        """
        if not isinstance(fields, (list, tuple)):
            plan = self._single_plans.get(fields)
            if plan is None:
                plan = self._make_plan((fields,), None)
                self._single_plans[fields] = plan
            return plan
        keys = tuple(fields)
        plan = self._plans.get(keys)
        if plan is None:
            shape = dict if self.schema.named else tuple
            plan = self._make_plan(keys, shape)
            self._plans[keys] = plan
        return plan

    def plan_for_part(self, key: Key, path: Path) -> Plan:
        """Return what to read for a part of one field: a tuple of its value alone.

        Raises:
            SchemaError: there is no such field, or it has numbers.
        """
        field = self.field(key)
        if isinstance(field.type, Scalar):
            advice = "several fields are given as a list, ds[7, [...]]"
            raise SchemaError(f"{field.type.name} has no items; {advice}", field=field.key)
        if self.deserializers.get(field.key) is None:
            load = _picker(field.type, path, self.decode.get(field.key))
        else:
            load = _picker_after(self.loads[field.key], path)
        return Plan(
            self.header,
            [(field, load)],
            self.copy,
            None,
        )

    def decoding_plans(self) -> list[Plan]:
        """Return for each field what reads it as it is used, but decoded where that is bytes."""
        plans = []
        for field in self.selected():
            load = self.loads[field.key]
            if _leaves_bytes(self.decode.get(field.key)):
                load = field.type.load
            plans.append(Plan(self.header, [(field, load)], False, None))
        return plans

    def _make_plan(self, keys: Keys, shape: type | None) -> Plan:
        items = []
        for key in keys:
            field = self.field(key)
            item = (field, self.loads[field.key])
            items.append(item)
        return Plan(
            self.header,
            items,
            self.copy,
            shape,
        )

    def deserializers_in_order(self) -> list[Deserializer | None]:
        """Return for each field the function that was given to read it; None if none was."""
        return [self.deserializers.get(field.key) for field in self.selected()]

    def serializers_in_order(self) -> list[Serializer | str]:
        """Return for each field the function that was given to write it, else its type's name."""
        functions: list[Serializer | str] = []
        for field in self.selected():
            type_name = field.type.name
            function = self.serializers.get(field.key, type_name)
            functions.append(function)
        return functions


def _leaves_bytes(decoding: Any) -> bool:
    """Return whether a value, or a part of it, is not decoded."""
    if isinstance(decoding, Mapping):
        return any(map(_leaves_bytes, decoding.values()))
    return isinstance(decoding, str) and decoding == "bytes"


def _picker(kind: Type, path: Path, decoding: Any) -> Load:
    """Return what reads a part of a payload, without decoding the others."""

    def load(self: Type, data: memoryview, copy: bool) -> tuple[Any]:
        return (self.pick(data, copy, path, decoding),)

    # Readers know the library's own decoders by their `__self__`: it is this type.
    return types.MethodType(load, kind)


def _picker_after(load_whole: Load, path: Path) -> Load:
    """Return what reads a part of what a deserializer of the user's returns."""

    def load(data: memoryview, copy: bool) -> tuple[Any]:
        value = load_whole(data, copy)
        for key in path:
            value = value[key]
        return (value,)

    return load


def _check_schema(given: Schema, stored: Schema, path: str) -> None:
    name = os.path.basename(path)
    difference = given.difference(stored, "this", name)
    if difference is not None:
        message = f"the schema given is not that of the file: {difference}"
        raise SchemaError(message, file=path)


def _functions_by_field(
    functions: Functions | None,
    schema: Schema,
) -> Mapping[Key, Deserializer | None]:
    if functions is None:
        return {}
    if isinstance(functions, Mapping):
        return by_field(functions, schema)
    given = len(functions)
    wanted = len(schema.fields)
    if given != wanted:
        raise SchemaError(f"{given} deserializers for {wanted} fields")
    return dict(zip(schema.keys, functions))


def by_field(given: Mapping[Any, Any], schema: Schema) -> dict[Key, Any]:
    """Return what was given for fields, by their keys: positions may have been negative."""
    found = {}
    for key, value in given.items():
        field = schema.field(key)
        found[field.key] = value
    return found
