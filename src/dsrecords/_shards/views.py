"""Saved views of many files: which records, in which order, and of which lists of which files.

A view of one file refers to frames, which stay; one of many files refers to positions. So it holds
as long as no file was edited, and says so when one was. Files may be renamed, appended to, and
joined by others.
"""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.header import parse_json
from dsrecords._read.batch import as_array
from dsrecords._read.mark import Mark
from dsrecords._read.source import Version
from dsrecords._shards.manifest import Manifest, put_in_place
from dsrecords._shards.pool import Pool
from dsrecords._storage import files
from dsrecords._storage.registry import open_storage
from dsrecords.errors import CorruptError, StaleViewError, UnsupportedVersionError

_MAGIC = b"\x89DSV\r\n\x1a\n"
_VERSION = 1
_START = 24  # bytes: magic, version, crc32 of all that follows it, size of the JSON


class View(NamedTuple):
    """A saved view, as it is opened.

    Attributes:
        number: what tells it from others, more than 0.
        order: positions of its records, counted through all files: int64, (n,).
    """

    number: int
    order: np.ndarray


def save(
    path: str,
    manifest: Manifest,
    positions: Any,
    overwrite: bool,
) -> None:
    """Write a view, durably, under its name at once.

    Args:
        path: of the view.
        manifest: which files.
        positions: of the records, counted through all of them.
        overwrite: whether a view that is there is replaced.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given, or it is none of these.
    """
    _require_free(path, overwrite)
    shards = [
        [shard.id.hex(), shard.length, list(shard.mark), shard.path] for shard in manifest.shards
    ]
    array = as_array(positions).astype("<i8")
    content = {"count": len(array), "shards": shards}
    text = json.dumps(content).encode()
    padding = -len(text) % 8
    text += b" " * padding
    size = len(text).to_bytes(8, "little")
    body = [size, text, memoryview(array).cast("B") if len(array) else b""]
    checksum = 0
    for part in body:
        checksum = crc32(part, checksum)
    start = _MAGIC + _VERSION.to_bytes(4, "little") + checksum.to_bytes(4, "little")
    put_in_place(
        path,
        [start, *body],
        overwrite,
    )


def _require_free(path: str, overwrite: bool) -> None:
    try:
        start = open_storage(files.target(path)).read(0, len(_MAGIC))
    except FileNotFoundError:
        return
    if start != _MAGIC:
        raise FileExistsError(f"{path} exists and is no view of many files: give another path")
    if not overwrite:
        raise FileExistsError(f"{path} exists; overwrite=True would replace it")


def read(
    path: str,
    manifest: Manifest,
    pool: Pool,
) -> View:
    """Read a view of the files that are open.

    Raises:
        FileNotFoundError: there is none.
        CorruptError: it is none, or damaged.
        UnsupportedVersionError: it is of a later version.
        StaleViewError: a file is not among those that are open, or was edited or compacted since.
    """
    storage = open_storage(path)
    data = storage.read(0, storage.size())
    if data[:8] != _MAGIC:
        text = "not a view of many files: ds.save_view writes one"
        raise CorruptError(text, file=path)
    version = int.from_bytes(data[8:12], "little")
    if version != _VERSION:
        text = f"a view of version {version}: this library reads version {_VERSION}"
        raise UnsupportedVersionError(text, file=path)
    checksum = int.from_bytes(data[12:16], "little")
    if len(data) < _START or crc32(memoryview(data)[16:]) != checksum:
        raise CorruptError("the view is damaged: make it anew", file=path)
    size = int.from_bytes(data[16:24], "little")
    try:
        content = parse_json(data[_START : _START + size])
        shards = [_stated(shard) for shard in content["shards"]]
        positions = np.frombuffer(
            data,
            "<i8",
            offset=_START + size,
        )
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise CorruptError(f"the view: {error}", file=path) from None
    return View(
        checksum + 1,
        _found(
            positions,
            shards,
            manifest,
            pool,
            path,
        ),
    )


class _Stated(NamedTuple):
    """What a view says of a file."""

    id: bytes
    length: int
    mark: Mark
    path: str


def _stated(shard: Any) -> _Stated:
    id, count, mark, path = shard
    for number in (count, *mark):
        if type(number) is not int or not 0 <= number <= sys.maxsize:
            raise ValueError(f"{number!r} where a number belongs")
    return _Stated(
        bytes.fromhex(id),
        count,
        Mark(*mark),
        str(path),
    )


def _found(
    positions: np.ndarray,
    shards: list[_Stated],
    manifest: Manifest,
    pool: Pool,
    path: str,
) -> np.ndarray:
    """Return the positions as they are counted through the files that are open."""
    by_id: dict[bytes, int] = {}
    starts = [0]
    for number, shard in enumerate(manifest.shards):
        by_id[shard.id] = number
        starts.append(starts[-1] + shard.length)
    own_starts = [0]
    moved = []
    for stated in shards:
        number_there = by_id.get(stated.id)
        if number_there is None:
            raise StaleViewError(
                f"a view of {stated.path} (id {stated.id.hex()}), which is not among the files, or "
                "was compacted since: make it anew",
                file=path,
            )
        _require_same_list(
            stated,
            number_there,
            manifest,
            pool,
            path,
        )
        moved.append(starts[number_there] - own_starts[-1])
        own_starts.append(own_starts[-1] + stated.length)
    if not len(positions):
        return positions.astype(np.int64)
    if int(positions.min()) < 0 or int(positions.max()) >= own_starts[-1]:
        raise CorruptError("the view has positions that its files do not have", file=path)
    if not any(moved):
        return positions.astype(np.int64)
    own = (
        np.searchsorted(
            np.array(own_starts, np.int64),
            positions,
            side="right",
        )
        - 1
    )
    found: np.ndarray = positions.astype(np.int64) + np.array(moved, np.int64)[own]
    return found


def _require_same_list(
    stated: _Stated,
    number: int,
    manifest: Manifest,
    pool: Pool,
    path: str,
) -> None:
    """Raise StaleViewError if positions in a file mean other records than when it was saved."""
    shard = manifest.shards[number]
    is_same = stated.mark[:4] == shard.mark[:4]
    if not is_same:
        state = pool.state(number)
        is_same = state.shows(
            Version(
                stated.id,
                shard.view,
                stated.mark,
            )
        )
    if not is_same or stated.length > shard.length:
        raise StaleViewError(
            f"{shard.path} was edited since this view was saved, so that its positions mean other "
            "records: make it anew",
            file=path,
        )
