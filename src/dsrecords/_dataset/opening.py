"""Which files a dataset has: a log, many, or files of dsrecords 0.4. What follows need not know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dsrecords._dataset.options import Options
from dsrecords._mds.index import INDEX, is_mds_folder
from dsrecords._mds.reader import MdsState
from dsrecords._read.open import State, default_index
from dsrecords._read.source import Source
from dsrecords._shards.names import in_words, many
from dsrecords._shards.source import Packed, ShardsSource, open_many, unpacked
from dsrecords._storage import files
from dsrecords._storage.locations import local_path, located, make_access
from dsrecords._storage.registry import absolute, exists, is_local, is_url
from dsrecords._tools.check import check
from dsrecords._v04.detect import is_v04_file
from dsrecords._v04.reader import V04State
from dsrecords._write.create import create as create_dataset
from dsrecords.errors import CorruptError, DSRecordsError, SchemaError


def reached(
    path: Any,
    storage_options: Mapping[str, Any] | None,
    cache: Any,
    cache_limit: Any,
) -> Any:
    """Return a path, or a list of paths, which are reached and kept as it is said.

    Raises:
        TypeError, ValueError: an argument is none of its kind.
    """
    access = make_access(storage_options, cache, cache_limit)
    if isinstance(path, (list, tuple)):
        return [located(local_path(os.fsdecode(one)), access) for one in path]
    return located(local_path(os.fsdecode(path)), access)


def open_or_create(
    path: Any,
    index_path: str | None,
    options: Options,
    create: bool | None,
) -> Source:
    """Open the files of a dataset, created before if `create` says so.

    Args:
        path: of the data file; or what means many files.
        index_path: as of `open_files`.
        options: as of `open_files`.
        create: as of `IndexedRecordDataset`.

    Raises:
        FileExistsError: they must be created, and are there.
        SchemaError: they must be created, and no schema was given.
        FileNotFoundError, CorruptError: as of `open_files`.
    """
    if _is_mds(path):
        return open_files(os.fsdecode(path), index_path, options)
    if many(path):
        if create:
            raise ValueError(f"{path}: one file is created, not many; make_dataset(..., shards=8)")
        return open_many(path, index_path, options.verify)
    path = os.fsdecode(path)
    may_be_created = create is None and options.schema is not None
    if create or (may_be_created and not exists(path)):
        index = index_of(path, index_path)
        _create(path, index, options, must=bool(create))
    advice = "to create it, give serializers=[...] or schema={...}"
    if create is False:
        advice = "make_dataset makes one"
    return open_files(path, index_path, options, f"; {advice}")


def _create(path: str, index_path: str, options: Options, must: bool) -> None:
    """Create empty files. Another process may be faster, which is an error if they `must` be."""
    if options.schema is None:
        message = "to create a dataset, give serializers=[...] or schema={...}"
        raise SchemaError(message, file=path)
    try:
        create_dataset(path, index_path, options.schema, options.lock)
    except FileExistsError:
        another_was_faster = not must and files.exists(path)
        if not another_was_faster:
            raise


def open_files(
    path: str,
    index_path: str | None,
    options: Options,
    advice: str = "",
) -> Source:
    """Open the files of a dataset.

    Args:
        path: of the data file.
        index_path: of the index or a view; None: where a dataset has it, and it may be missing.
        options: of which `verify` counts, and for files of 0.4 what was given to read them.
        advice: what to do where there is no data file.

    Raises:
        FileNotFoundError: there is no data file, or no index where its path was given.
        CorruptError: the files are damaged, or no dataset.
        SchemaError: files of 0.4 cannot be read without being given more, or less.
    """
    if _is_mds(path):
        return MdsState(absolute(_folder_of(path)), options.verify)
    data = absolute(path)
    index = absolute(index_of(path, index_path))
    index_must_exist = index_path is not None
    try:
        # Of files elsewhere each look costs a request: these are taken for what they mostly are.
        if is_local(data) and is_v04_file(data):
            return _open_v04(data, index, options, index_must_exist)
        try:
            return State(
                data,
                index,
                options.verify,
                index_must_exist=index_must_exist,
                locks=options.lock,
            )
        except CorruptError:
            if is_local(data) or not is_v04_file(data):
                raise
        return _open_v04(data, index, options, index_must_exist)
    except FileNotFoundError as error:
        if error.filename != data:
            raise
        message = f"{path} does not exist{advice}"
        if is_url(path):
            message = f"{path} is a URL: download both files, and give the path of the .rec"
        raise FileNotFoundError(error.errno, message) from None


def _open_v04(
    data: str,
    index: str,
    options: Options,
    index_must_exist: bool,
) -> V04State:
    return V04State(
        data,
        index,
        options.verify,
        index_must_exist=index_must_exist,
        deserializers=options.deserializers,
        given=options.schema is not None,
    )


def _folder_of(path: str) -> str:
    """Return the folder that a path means: itself, or that of an `index.json`."""
    if os.path.basename(path) == INDEX:
        return os.path.dirname(path) or "."
    return path


def _is_mds(path: Any) -> bool:
    """Return whether a path means a folder of MosaicML's, which is read in place."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False
    name = os.fsdecode(path)
    if not is_local(name):
        return False
    folder = _folder_of(name)
    return os.path.isdir(folder) and is_mds_folder(folder)


def index_of(path: Any, index_path: str | None) -> str:
    """Return the index's path: what was given, else where one file has it, and of many ""."""
    if index_path is None:
        if many(path):
            return ""
        return default_index(os.fsdecode(path))
    return index_path


def open_again(files: str | Packed, index_path: str | None, options: Options) -> Source:
    """Open what a copy shows, as `ShardsSource.packed` or a path says."""
    if isinstance(files, Packed):
        return unpacked(files, index_path, options.verify)
    return open_files(files, index_path, options)


def name_of(path: Any) -> str:
    """What `IndexedRecordDataset.path` is: the path, or what stands for many files."""
    if isinstance(path, (list, tuple)):
        return in_words(path)
    return os.fsdecode(path)


def problems(source: Source, progress: bool = False) -> list[DSRecordsError]:
    """Return what is wrong with the files, after a look at every byte."""
    if isinstance(source, ShardsSource):
        return _problems_of_many(source, progress)
    if isinstance(source, (V04State, MdsState)):
        return [*source.problems()]
    assert isinstance(source, State)
    return check(source, progress)


def _problems_of_many(source: ShardsSource, progress: bool) -> list[DSRecordsError]:
    """Return what is wrong with each of many files; one that cannot be opened is an error of it."""
    found: list[DSRecordsError] = []
    pool = source.snapshot.pool
    for number in range(len(source.manifest.shards)):
        try:
            state = pool.state(number)
        except DSRecordsError as error:
            found.append(error)
        else:
            found += check(state, progress)
    return found
