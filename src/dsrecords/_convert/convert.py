"""`convert`: a dataset of another format into one of ours, or one of ours into another format."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dsrecords._convert import registry
from dsrecords._convert.base import Format, Row, Source, require_options
from dsrecords._convert.conversion import Conversion
from dsrecords._convert.damage import Damage, OnError
from dsrecords._convert.export import export
from dsrecords._convert.given import given_source
from dsrecords._schema.resolve import make_schema
from dsrecords._shards.manifest import is_manifest
from dsrecords._storage.registry import is_local
from dsrecords._warning import warn_user
from dsrecords._write.create import make_dataset
from dsrecords.dataset import IndexedRecordDataset
from dsrecords.errors import SchemaError

_OURS = "dsrecords"
_ENDING = ".rec"
_KEY = "skipped_samples"  # of the metadata, as `make_dataset` has it
_OUR_FIRST = (b"\x89DSR", b"\x89DSX")
_RECORD_IO = b"\x0a\x23\xd7\xce"  # of MXNet, whose files are called .rec as well

_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def convert(
    source: Any,
    target: _Path | None = None,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    schema: Mapping[str, Any] | None = None,
    num_workers: int = 0,
    progress: bool = False,
    resume: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    on_error: OnError = "raise",
    overwrite: bool = False,
    **options: Any,
) -> Conversion:
    """Make a dataset of one of another format, or the other way round.

    One row at a time is in memory. The schema is logged before anything is written, as a warning
    of the logger "dsrecords". A `.rec` is made as by `make_dataset`: it is there when it is
    whole. A target of another format is written beside its place, and gets its name at the end.

    Args:
        source: path of a file or a folder, of which the format is told by what is in it; a pattern,
            such as "train-*.tar", of files of Parquet, Arrow, WebDataset, TFRecord or ArrayRecord,
            which are read one behind the other; or an object: a dataset of Hugging Face or
            torchvision, a table, any sequence or iterable of samples. A `.rec`, or what else
            `dsrecords.open` takes, if the target is of another format.
        target: path; by its ending it is told what is to be written, `.rec` or another format.
            None: nothing is written, and what is returned says what would be.
        source_format: the name of a format, where what is in the source is not to decide. See
            docs/converting.md for the names.
        target_format: the same for the target, whose name then does not count.
        schema: types of some fields, which count instead of those that are found; None leaves a
            field out.
        num_workers: processes that encode samples: see `make_dataset`.
        progress: whether to show a progress bar.
        resume: whether what is written stays if this fails, and is gone on with by the same call:
            the source is read again, and what is there compared with it. Other formats than ours
            are begun anew.
        storage_options: of the object store, where the target or the source is in one.
        on_error: what to do with a row that cannot be read or encoded: "raise" its error; "skip"
            it; or a function that is called with the error, and may raise it. What is left out is
            told of by a warning at the end, and by `metadata["skipped_samples"]`.
        overwrite: whether a dataset that is at the target gives way.
        options: of the format that is read or written, such as `table="photos"` of SQLite. Each
            format has its own; a name that it does not have is an error that says them.

    Returns:
        What was done.

    Raises:
        FileNotFoundError: there is no source.
        FileExistsError: there is something at the target.
        ValueError: the format of the source or the target cannot be told.
        TypeError: the format has no such option.
        CorruptError: the source is damaged; says where.
        SchemaError: a row does not fit, or a field has no place in the format.
        ImportError: a package is needed; says which.
    """
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise ValueError(f"on_error must be 'raise', 'skip' or a function, not {on_error!r}")
    to = None if target is None else os.fsdecode(target)
    if _is_dataset(source, source_format):
        return export(
            source,
            to,
            target_format,
            schema,
            overwrite,
            progress,
            options,
        )
    if to is not None and not _is_ours(to, target_format):
        raise ValueError(
            f"one of the two is a dataset of ours: convert to a .rec first, and that to {to}"
        )
    if to is not None:
        _require_free(to, overwrite)
    opened = _opened(source, source_format, options)
    try:
        return _imported(
            opened,
            to,
            _Making(schema, num_workers, progress, resume, storage_options, overwrite),
            Damage(on_error),
        )
    finally:
        opened.source.close()


class Opened(NamedTuple):
    """A source that is open, and the name of its format."""

    source: Source
    format: str


class _Making(NamedTuple):
    """How a dataset is made: arguments of `convert`."""

    schema: Mapping[str, Any] | None
    num_workers: int
    progress: bool
    resume: bool
    storage_options: Mapping[str, Any] | None
    overwrite: bool


def _is_dataset(source: Any, source_format: str | None) -> bool:
    """Return whether a source is a dataset of ours."""
    if isinstance(source, IndexedRecordDataset) or source_format == _OURS:
        return True
    if not isinstance(source, (str, bytes, os.PathLike)) or source_format is not None:
        return False
    path = os.fsdecode(source)
    if os.path.isfile(path):
        with open(path, "rb") as file:
            first = file.read(4)
        is_named_so = path.endswith(_ENDING) and first != _RECORD_IO
        return is_named_so or first in _OUR_FIRST or is_manifest(path)
    if os.path.isdir(path):
        return any(name.endswith(_ENDING) for name in os.listdir(path))
    return path.endswith(_ENDING)


def _is_ours(target: str, target_format: str | None) -> bool:
    if target_format is not None:
        return target_format == _OURS
    return target.endswith(_ENDING)


def _require_free(target: str, overwrite: bool) -> None:
    """Raise what writing would, before the source is looked at: that may take long."""
    if not is_local(target):  # make_dataset looks there, before the first sample
        return
    if os.path.lexists(target) and not overwrite:
        raise FileExistsError(f"{target} exists; overwrite=True would replace a dataset")
    folder = os.path.dirname(os.path.abspath(target))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder}: there is no such folder")


def _opened(source: Any, source_format: str | None, options: Mapping[str, Any]) -> Opened:
    """Open a source."""
    if not isinstance(source, (str, bytes, os.PathLike)):
        require_options(options, {}, "an object")
        return Opened(given_source(source), "objects")
    path = os.fsdecode(source)
    files = [path]
    if not os.path.exists(path):
        files = sorted(glob.glob(path))
        if not files:
            raise FileNotFoundError(_missing(path))
    format: Format
    if source_format is None:
        format = registry.format_of_source(files[0])
    else:
        format = registry.format_named(source_format)
    require_options(options, format.reads, format.title)
    if files == [path]:
        return Opened(format.open(path, options), format.name)
    return Opened(format.open_many(path, files, options), format.name)


def _missing(path: str) -> str:
    """Return what is said of a source that is not there."""
    if "://" in path:
        return f"{path}: only files of this machine are converted: download it first"
    if "{" in path and ".." in path:  # as WebDataset and shells name many files
        return f"{path} does not exist; many files are a folder, or a pattern as 'train-*.tar'"
    return f"{path} does not exist"


def _imported(
    opened: Opened,
    target: str | None,
    making: _Making,
    damage: Damage,
) -> Conversion:
    source = opened.source
    schema = _schema_of(source, making.schema)
    if target is None:
        return Conversion(None, opened.format, None, source.count, 0, schema)
    count = "" if source.count is None else f", {source.count:,} records"
    _logger().warning("%s: from %s (%s%s): %r", target, source.path, opened.format, count, schema)
    samples = None
    if not damage.may_skip:
        samples = source.table(schema)
    if samples is None:
        samples = _rows(source, schema, damage)
    arguments: dict[str, Any] = {}
    if making.storage_options:
        arguments["storage_options"] = dict(making.storage_options)
    try:
        data_path, _ = make_dataset(
            samples,
            target,
            schema,
            metadata=source.metadata,
            overwrite=making.overwrite,
            progress=making.progress,
            num_workers=making.num_workers,
            resume=making.resume,
            on_error=damage.on_error,
            **arguments,
        )
    except Exception as error:
        better = _better(error, source)
        if better is error:
            raise
        raise better from None
    return _reported(data_path, opened, damage, schema, arguments)


def _better(error: Exception, source: Source) -> Exception:
    """Return the error that says most: Arrow turns those of what it reads into its own."""
    if source.failure is not None:
        return source.failure
    if isinstance(error, SchemaError) and error.field is not None:
        error.message += (
            f"; of {source.path}: give another type, schema={{{error.field!r}: …}}, "
            f"or leave such rows out, on_error='skip'"
        )
    return error


def _reported(
    path: str,
    opened: Opened,
    damage: Damage,
    schema: dict[str, Any],
    where: Mapping[str, Any],
) -> Conversion:
    """Let the metadata say what of the source was left out, and return what was done."""
    with IndexedRecordDataset(path, create=False, **where) as dataset:
        count = len(dataset)
        metadata = dataset.metadata
        known = metadata.get(_KEY, {"count": 0, "first": []})
        if damage.count and is_local(path):  # what is elsewhere cannot be changed
            first = [{"error": text} for text in damage.first]
            total = known["count"] + damage.count
            report = {"count": total, "first": first + known["first"]}
            dataset.set_metadata({**metadata, _KEY: report})
    if damage.count:
        warn_user(f"{path}: {damage.summary()}")
    skipped = damage.count
    if damage.may_skip:
        skipped += known["count"]
    return Conversion(path, opened.format, _OURS, count, skipped, schema)


class _Rows:
    """The rows of a source with the fields of a schema, as samples that `make_dataset` takes."""

    def __init__(self, source: Source, schema: Mapping[str, Any], damage: Damage) -> None:
        self._source = source
        self._schema = schema
        self._damage = damage

    def __iter__(self) -> Iterator[Row]:
        count = 0
        keys = self._schema.keys()
        for row in self._source.rows(self._schema, self._damage):
            count += 1
            if row.keys() != keys:
                row = {key: row[key] for key in keys if key in row}
            yield row
        self._damage.require_others(count)


class _CountedRows(_Rows):
    """Rows of which the number is known beforehand."""

    def __len__(self) -> int:
        return self._source.count or 0


def _rows(source: Source, schema: Mapping[str, Any], damage: Damage) -> _Rows:
    if source.count is None:
        return _Rows(source, schema, damage)
    return _CountedRows(source, schema, damage)


def _schema_of(source: Source, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the types of all fields that are to be written.

    Raises:
        SchemaError: a type was given to a field that there is not, or is none.
    """
    schema = source.types()
    for field, kind in (given or {}).items():
        if field not in schema:
            names = ", ".join(map(repr, schema))
            raise SchemaError(f"there is no such field; there are {names}", field=field)
        if kind is None:
            del schema[field]
        else:
            schema[field] = kind
    if not schema:
        raise SchemaError(f"{source.path} has no fields, or all are left out")
    make_schema(schema)
    return schema


def _logger() -> logging.Logger:
    return logging.getLogger("dsrecords")
