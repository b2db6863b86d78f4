"""Making whole datasets: of samples, of encoded records, and empty ones."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sized
from typing import Any

from dsrecords._read.open import default_index
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.infer import LIMIT, infer_schema, infer_table
from dsrecords._schema.resolve import make_schema
from dsrecords._schema.samples import kept
from dsrecords._schema.schema import Schema
from dsrecords._schema.tabular import ExportsArrow, Tabular, as_tabular, iterable
from dsrecords._storage.files import Descriptor
from dsrecords._types.base import describe
from dsrecords._write.builder import Builder
from dsrecords._write.dictionaries import encoded_with_dictionaries
from dsrecords._write.pool import encoded
from dsrecords._write.progress import shown, shown_batches
from dsrecords._write.rows import Rows, TableRows
from dsrecords.errors import SchemaError

_Given = Iterable[Any] | Tabular
"""Samples, or a table of which each row is one."""

_GUESSED = (
    f"the schema was inferred from the first {LIMIT} samples: give a schema, such as what "
    "infer_schema(samples, limit=None) returns, which looks at all of them"
)


def make_dataset(
    samples: Iterable[Any] | ExportsArrow,
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
            Any iterable. Or a table: a DataFrame of pandas or Polars, a table of Arrow, a
            structured array, an open `.npz` file, or a dict of columns of equal lengths.
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
    data_path = _path_of(path)
    index = default_index(data_path) if index_path is None else os.fspath(index_path)
    given: _Given = as_tabular(samples) or iterable(samples)
    total = _total(given)
    is_guessed = schema is None
    if is_guessed:
        given, schema = _with_inferred_schema(given, data_path)
    made = make_schema(schema)
    records = _records(made, given, total, data_path, progress, num_workers)
    try:
        build(data_path, index, made, metadata or {}, records, overwrite, id)
    except SchemaError as error:
        if is_guessed and error.record is not None and error.record >= _looked_at(given):
            error.message += f"; {_GUESSED}"
        raise
    return data_path, index


def _path_of(path: Any) -> str:
    """The path of a dataset as a string. Raises TypeError, as if it was exchanged for samples."""
    if not isinstance(path, (str, os.PathLike)):
        order = "make_dataset(samples, path, schema)"
        raise TypeError(f"the path of a dataset is a string, not {describe(path)}: {order}")
    return os.fspath(path)


def _total(given: _Given) -> int | None:
    """How many samples are given; None if that is not known."""
    if isinstance(given, Tabular):
        return given.count
    if isinstance(given, Sized):
        return len(given)
    return None


def _looked_at(given: _Given) -> int:
    """How many of the first samples certainly fit the schema that was inferred."""
    if isinstance(given, Tabular):
        return 0  # of some columns the type alone was looked at
    return LIMIT


def _records(
    schema: Schema,
    given: _Given,
    total: int | None,
    path: str,
    progress: bool,
    num_workers: int,
) -> Iterable[Encoded] | Rows | TableRows:
    """Return what is given as records that can be written."""
    is_encoded_one_by_one = num_workers > 0 or len(schema.trainable()) > 0
    if isinstance(given, Tabular):
        if not is_encoded_one_by_one:
            batches = shown_batches(given.batches(), total, path, progress)
            return TableRows(schema, given, batches, 0)
        given = given.samples(schema.named)
    samples = shown(given, total, path, progress)
    if schema.trainable():
        return encoded_with_dictionaries(schema, enumerate(samples), num_workers)
    if schema.payloads or num_workers:
        return encoded(schema, enumerate(samples), num_workers)
    return Rows(schema, samples, 0)


def build(
    path: str,
    index_path: str,
    schema: Schema,
    metadata: dict[str, Any],
    records: Iterable[Encoded] | Rows | TableRows,
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
        if isinstance(records, (Rows, TableRows)):
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


def _with_inferred_schema(given: _Given, path: str) -> tuple[_Given, Any]:
    """All that is given, and the schema that the first samples have, or the columns of a table."""
    basis = "from the first samples"
    if isinstance(given, Tabular):
        basis = "from the columns of the table"
        schema = infer_table(given)
    elif isinstance(given, (list, tuple)):
        schema = infer_schema(given)
    else:
        # Once only: some can be iterated over once, whatever they look like.
        iterator = iter(given)
        first = [kept(sample) for sample in itertools.islice(iterator, LIMIT)]
        schema = infer_schema(first)
        given = itertools.chain(first, iterator)
    import logging  # here, as few need it

    logger = logging.getLogger("dsrecords")
    logger.warning("%s: no schema was given; %s: %r", path, basis, schema)
    return given, schema
