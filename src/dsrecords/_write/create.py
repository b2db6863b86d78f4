"""Making whole datasets: of samples, of encoded records, and empty ones."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sized
from typing import Any

from dsrecords._read.open import default_index
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.infer import LIMIT, infer_schema
from dsrecords._schema.resolve import make_schema
from dsrecords._schema.schema import Schema
from dsrecords._storage.files import Descriptor
from dsrecords._write.builder import Builder
from dsrecords._write.dictionaries import encoded_with_dictionaries
from dsrecords._write.pool import encoded
from dsrecords._write.progress import shown
from dsrecords._write.rows import Rows


def make_dataset(
    samples: Iterable[Any],
    path: str | os.PathLike[str],
    schema: Any = None,
    index_path: str | os.PathLike[str] | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    num_workers: int = 0,
    id: bytes | None = None,
) -> tuple[str, str]:
    """Write samples to a new dataset.

    It is written as `path` + ".partial" and renamed at the end: a failure leaves what was there,
    and a kill leaves a `.partial` that opens as a dataset of all that was written so far.

    Args:
        samples: dicts (or dataclasses, named tuples) for a schema with names, else tuples or lists.
            Any iterable.
        path: of the data file; by custom it ends in `.rec`.
        schema: names to types, such as `{"image": "jpeg", "label": "int64"}`, or a list of types.
            Functions of `dsrecords.io` may stand for types, and a dataclass or TypedDict for a
            dict. Without a schema, `infer_schema` looks at the first samples, and what it chose is
            logged as a warning of the logger "dsrecords".
        index_path: of the index; by default `path` with the ending `.idx`.
        metadata: anything that JSON can hold, kept in the header.
        overwrite: whether a dataset that is there gives way. Who has it open goes on reading the
            old one.
        progress: whether to show a progress bar.
        num_workers: processes that encode samples. They help where encoding one takes longer than
            sending it to another process, as PNG and WebP do. They are forked, so that samples must
            pickle, but not serializers. On other systems than Linux they are threads.
        id: 16 bytes that identify the dataset; by default random. The same id and samples give the
            same bytes.

    Returns:
        (data path, index path)

    Raises:
        FileExistsError: there is a file at either path, and `overwrite` is not given, or the file
            is not ours.
        SchemaError: there is no such type, or a sample does not fit: names its position and field.
        LockedError: another writer has the dataset, or is making it.
    """
    data_path = os.fspath(path)
    index = default_index(data_path) if index_path is None else os.fspath(index_path)
    total = None
    if isinstance(samples, Sized):
        total = len(samples)
    if schema is None:
        samples, schema = _with_inferred_schema(samples, data_path)
    made = make_schema(schema)
    samples = shown(samples, total, data_path, progress)
    records: Iterable[Encoded] | Rows
    if not made.payloads and not num_workers:
        records = Rows(made, samples, 0)
    elif made.trainable():
        records = encoded_with_dictionaries(made, enumerate(samples), num_workers)
    else:
        records = encoded(made, enumerate(samples), num_workers)
    build(data_path, index, made, metadata or {}, records, overwrite, id)
    return data_path, index


def build(
    path: str,
    index_path: str,
    schema: Schema,
    metadata: dict[str, Any],
    records: Iterable[Encoded] | Rows,
    overwrite: bool = False,
    id: bytes | None = None,
    temporary: str = ".partial",
    held: bool = False,
) -> Descriptor:
    """Write encoded records to a new dataset. If they raise, no trace of it is left.

    Args:
        path: of the data file.
        index_path: of the index.
        schema: of the records.
        metadata: a dict, kept in the header.
        records: in their order.
        overwrite: whether a dataset that is there gives way.
        id: 16 bytes; by default random.
        temporary: what is added to the path until all is written.
        held: whether the lock of the dataset that gives way is held already.

    Returns:
        The descriptor of the new `.rec`, which holds its lock.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given, or the file is not ours.
        LockedError: another writer has the dataset, or is making it.
    """
    if id is not None and (type(id) is not bytes or len(id) != 16):
        raise ValueError("id must be 16 bytes")
    builder = Builder(path, index_path, path + temporary, schema, metadata, id, overwrite, held)
    try:
        if isinstance(records, Rows):
            records.write(builder.writer)
        else:
            builder.writer.extend(records)
        return builder.finish(replace=overwrite)
    except BaseException:
        builder.abandon()
        raise


def create(path: str, index_path: str, schema: Schema) -> None:
    """Make a dataset without records.

    Raises:
        FileExistsError: there is one, perhaps as another process was faster.
    """
    build(path, index_path, schema, {}, (), temporary=f".{os.urandom(4).hex()}.tmp")


def _with_inferred_schema(samples: Iterable[Any], path: str) -> tuple[Iterable[Any], Any]:
    """All samples, and the schema that the first ones have."""
    iterator = iter(samples)  # once only: some can be iterated over once, whatever they look like
    first = list(itertools.islice(iterator, LIMIT))
    schema = infer_schema(first)
    import logging  # here, as few need it

    logging.getLogger("dsrecords").warning(
        "%s: no schema was given; from the first samples: %r", path, schema
    )
    return itertools.chain(first, iterator), schema
