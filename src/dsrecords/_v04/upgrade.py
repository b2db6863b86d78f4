"""`upgrade`: makes a dataset of a file of dsrecords 0.4."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._read.open import State, default_index
from dsrecords._read.plan import Plan
from dsrecords._schema.binding import bind
from dsrecords._schema.resolve import make_schema
from dsrecords._schema.schema import Field, Schema
from dsrecords._storage.registry import absolute
from dsrecords._types.binary import Bytes, Custom
from dsrecords._v04.detect import is_v04_file
from dsrecords._v04.functions import Function, reader_of_type
from dsrecords._v04.reader import V04State
from dsrecords._write.create import make_dataset
from dsrecords.errors import SchemaError

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Functions = Sequence[Function | None] | Mapping[Any, Function | None]

_WINDOW = 256  # records that the kernel is asked for ahead of reading


def upgrade(
    old: Path,
    new: Path,
    schema: Any,
    deserializers: Functions | None = None,
    *,
    old_index_path: Path | None = None,
    index_path: Path | None = None,
    metadata: dict[str, Any] | None = None,
    progress: bool = False,
    num_workers: int = 0,
) -> tuple[str, str]:
    """Make a dataset of the records of a file of dsrecords 0.4, which stays as it is.

    Encoded images stay the bytes that they are. Numbers are read by their length, whatever the
    options of the function that wrote them.

    Args:
        old: path of its data file.
        new: path of the dataset.
        schema: what its fields are, in their order: names to types (which gives them names), a list
            of types, or the serializers that wrote them.
        deserializers: functions that read what functions of your own wrote (None for other fields),
            a list or a dict by name. The values are then written as the schema says. Without one,
            the bytes of such a field are copied.
        old_index_path: of its index; by default `old` with the ending `.idx`.
        index_path: of the new index, as in `make_dataset`; so are those that follow.
        metadata: kept in the header.
        progress: whether to show a progress bar.
        num_workers: as in `make_dataset`.

    Returns:
        (data path, index path) of the new dataset.

    Raises:
        CorruptError: it is not such a file, or a record is not of its type; nothing is written.
        SchemaError: a value does not fit the schema.
        FileExistsError: there is a file at the new path.
        ValueError: it is a dataset of version 1 already.
    """
    old_path = os.fsdecode(old)
    named_index = old_index_path is not None
    old_index = default_index(old_path) if old_index_path is None else os.fsdecode(old_index_path)
    paths = (absolute(old_path), absolute(old_index))
    if not is_v04_file(old_path):
        State(*paths, True, index_must_exist=named_index)  # raises if it is no dataset either
        raise ValueError(f"{old_path} is a dataset of version 1 already: it needs no upgrade")
    new_schema = make_schema(schema)
    own = _own_functions(deserializers, new_schema)
    readers: dict[Any, Function] = {}
    for field in new_schema.fields:
        readers[field.key] = own.get(field.key) or reader_of_type(field.type.name)
    functions = readers if new_schema.named else list(readers.values())
    state = V04State(
        *paths,
        True,
        index_must_exist=named_index,
        deserializers=functions,
        given=False,
    )
    return make_dataset(
        _Samples(state, readers, old_path),
        new,
        _schema_to_write(new_schema, own),
        index_path,
        metadata=metadata,
        progress=progress,
        num_workers=num_workers,
    )


def _own_functions(
    deserializers: Functions | None,
    schema: Schema,
) -> dict[Any, Function]:
    """Return the functions of the user's by field. Raises SchemaError if there is no such field."""
    if deserializers is None:
        return {}
    if not isinstance(deserializers, Mapping):
        if len(deserializers) != len(schema.fields):
            counts = f"{len(deserializers)} deserializers for {len(schema.fields)} fields"
            raise SchemaError(counts)
        deserializers = dict(zip(schema.keys, deserializers))
    functions = {}
    for key, function in deserializers.items():
        field = schema.field(key)
        if function is not None:
            functions[field.key] = function
    return functions


def _schema_to_write(schema: Schema, own: Mapping[Any, Function]) -> Schema:
    """Return the same schema with the functions that write what is read of a file of 0.4."""
    fields = []
    for field in schema.fields:
        dump = None  # as its type does
        if field.key in own:
            dump = field.dump
        elif isinstance(field.type, Custom):
            dump = Bytes().dump  # its bytes were read: its function would take a value
        fields.append(Field(field.key, field.type, dump))
    return Schema(fields, schema.named)


class _Samples:
    """The samples of a file of 0.4, in their order. It has a length, for a progress bar.

    Args:
        state: of the file.
        readers: the functions that read its fields, by field.
        path: of the file, for messages.
    """

    def __init__(
        self,
        state: V04State,
        readers: Mapping[Any, Function],
        path: str,
    ) -> None:
        schema = state.header.schema
        functions = state.deserializers(readers)
        items = []
        for field in schema.fields:
            function = functions[field.key]
            try:
                load = bind(field, function, None)
            except SchemaError as error:
                error.file = path
                raise
            items.append((field, load))
        shape = dict if schema.named else tuple
        self._plan = Plan(state.header, items, True, shape)
        self._snapshot = state.snapshot

    def __len__(self) -> int:
        return len(self._snapshot.entries)

    def __iter__(self) -> Iterator[Any]:
        snapshot = self._snapshot
        count = len(self)
        for start in range(0, count, _WINDOW):
            stop = min(start + _WINDOW, count)
            positions = np.arange(start, stop)
            snapshot.announce(positions, self._plan)
            for i in range(start, stop):
                yield self._plan.read(snapshot, i)
