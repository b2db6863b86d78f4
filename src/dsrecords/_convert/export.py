"""Datasets of ours in other formats: beside their place until they are whole."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from typing import Any

from dsrecords._convert import registry
from dsrecords._convert.base import Format, Progress, require_options
from dsrecords._convert.conversion import Conversion
from dsrecords._convert.exported import decoding_of, types_by_key
from dsrecords._types.parse import parse
from dsrecords.dataset import IndexedRecordDataset
from dsrecords.errors import SchemaError

_PARTIAL = ".dsrecords-partial"
_OF_SEVERAL = re.compile(r"%\d*d|\*|\{[^}]*\}")  # as other tools name several files


def export(
    source: Any,
    target: str | None,
    target_format: str | None,
    schema: Mapping[str, Any] | None,
    overwrite: bool,
    progress: bool,
    options: Mapping[str, Any],
) -> Conversion:
    """Write a dataset of ours in another format: see `convert`."""
    dataset = _as_bytes(source)
    dataset = _without(dataset, schema)
    if target is None:
        return Conversion(None, "dsrecords", None, len(dataset), 0, dataset.schema)
    if target_format is None and target.endswith(".rec"):
        raise ValueError(
            "the source and the target are both datasets of ours: copy its two files, or make one "
            "by dsrecords compact, merge or shard"
        )
    if target_format is None:
        format = registry.format_of_target(target)
    else:
        format = registry.format_named(target_format)
    if format.writes is None:
        raise ValueError(f"{format.title} is read only: no dataset is written in it")
    require_options(options, format.writes, format.title)
    if _OF_SEVERAL.search(os.path.basename(target)):
        raise ValueError(
            f"{target}: one file is written, and its name is expected, not a pattern: for several, "
            "convert ds.shard(number, index) for each index"
        )
    _write(format, dataset, target.rstrip("/"), overwrite, progress, options)
    return Conversion(target, "dsrecords", format.name, len(dataset), 0, dataset.schema)


def _as_bytes(source: Any) -> IndexedRecordDataset:
    """Return a dataset whose images, sounds and videos are read as they are stored."""
    dataset: IndexedRecordDataset = source
    if not isinstance(source, IndexedRecordDataset):
        dataset = IndexedRecordDataset(source, create=False)
    decode = {}
    for key, kind in types_by_key(dataset).items():
        decoding = decoding_of(parse(kind))
        if decoding is not None:
            decode[key] = decoding
    return dataset.with_decode(decode)


def _without(
    dataset: IndexedRecordDataset,
    schema: Mapping[str, Any] | None,
) -> IndexedRecordDataset:
    """Return a dataset without the fields that are left out."""
    if not schema:
        return dataset
    left_out = []
    for field, kind in schema.items():
        if kind is not None:
            raise SchemaError(
                "a dataset is written with the types that it has: of a field, only None can be "
                "said, which leaves it out",
                field=field,
            )
        left_out.append(field)
    return dataset.select_fields([key for key in dataset.fields if key not in left_out])


def _write(
    format: Format,
    dataset: IndexedRecordDataset,
    target: str,
    overwrite: bool,
    progress: bool,
    options: Mapping[str, Any],
) -> None:
    partial = target + _PARTIAL
    _require_free(target, overwrite)
    _remove(partial)
    try:
        if format.is_folder:
            os.mkdir(partial)
        format.write(dataset, partial, options, Progress(progress, target))
        _put_in_place(partial, target, overwrite)
    except BaseException:
        _remove(partial)
        raise


def _require_free(target: str, overwrite: bool) -> None:
    """Raise FileExistsError if there is something at the target that does not give way."""
    if not os.path.lexists(target):
        folder = os.path.dirname(os.path.abspath(target))
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"{folder}: there is no such folder")
        return
    if os.path.isdir(target):
        if os.listdir(target):
            raise FileExistsError(f"{target} exists and is not empty: remove it first")
        return
    if not overwrite:
        raise FileExistsError(f"{target} exists; overwrite=True replaces it")


def _put_in_place(partial: str, target: str, overwrite: bool) -> None:
    _require_free(target, overwrite)
    os.replace(partial, target)


def _remove(path: str) -> None:
    """Remove what a conversion has left that was killed."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
