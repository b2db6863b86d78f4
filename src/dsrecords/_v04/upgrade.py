"""`upgrade`: a dataset of a file of dsrecords 0.4."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dsrecords._dataset.reading import Functions
from dsrecords._schema.resolve import make_schema
from dsrecords._schema.schema import Field, Schema
from dsrecords._types.binary import Bytes, Custom
from dsrecords._v04.reader import begins_as_one, reader_of
from dsrecords._write.create import make_dataset
from dsrecords.dataset import IndexedRecordDataset

Path = str | os.PathLike[str]


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

    Encoded images stay the bytes that they are. Numbers are read by their length, whatever the options of the function that wrote
    them.

    Args:
        old: path of its data file.
        new: path of the dataset.
        schema: what its fields are, in their order: names to types (which gives them names), a list of types, or its serializers.
        deserializers: functions that read what functions of one's own wrote (None for other fields), a list or a dict by name.
            The values are then written as the schema says. Without one, the bytes of such a field are copied.
        old_index_path: of its index; by default `old` with the ending `.idx`.
        index_path: of the new index, as in `make_dataset`; so are those that follow.
        metadata: kept in the header.
        progress: whether to show a progress bar.
        num_workers: as in `make_dataset`.

    Returns:
        (data path, index path) of the new dataset.

    Raises:
        CorruptError: it is no such file, or a record is not of its type; nothing is written.
        SchemaError: a value does not fit the schema.
        FileExistsError: there is a file at the new path.
        ValueError: it is a dataset of version 1 already.
    """
    if not begins_as_one(os.fspath(old)):
        IndexedRecordDataset(
            old, index_path=old_index_path, create=False
        )  # raises if it is none of ours either
        raise ValueError(f"{os.fspath(old)} is a dataset of version 1 already: it needs no upgrade")
    given = make_schema(schema)
    own = deserializers or {}
    if not isinstance(own, Mapping):
        own = dict(zip(given.keys, own))
    readers, fields = {}, []
    for field in given.fields:
        function = own.get(field.key)
        readers[field.key] = function or reader_of(field.type.name)
        # What is not read as a value is written as the type writes bytes, not by a function that takes a value.
        dump = (
            field.dump
            if function is not None
            else Bytes().dump
            if isinstance(field.type, Custom)
            else None
        )
        fields.append(Field(field.key, field.type, dump))
    functions = readers if given.named else list(readers.values())
    source = IndexedRecordDataset(
        old, deserializers=functions, index_path=old_index_path, create=False
    )
    return make_dataset(
        source,
        new,
        Schema(fields, given.named),
        index_path,
        metadata=metadata,
        progress=progress,
        num_workers=num_workers,
    )
