"""The `index.json` of an MDS folder: which shards there are, and what their samples have."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage
from dsrecords.errors import CorruptError, UnsupportedVersionError

INDEX = "index.json"

_VERSION = 2
_LARGEST = 2**28  # bytes of an index
_MOST_COLUMNS = 4096


class MdsShard(NamedTuple):
    """A shard.

    Attributes:
        path: of the file with its samples.
        size: how many bytes that has.
        samples: how many there are in it.
        compressed: path of the same file, compressed; empty if it is not.
        compression: the name of the algorithm.
    """

    path: str
    size: int
    samples: int
    compressed: str
    compression: str


class MdsColumn(NamedTuple):
    """A column.

    Attributes:
        name: of the field.
        encoding: how a value is encoded, as MDS calls it: "int", "jpeg", "ndarray:float32".
        size: how many bytes each value has; 0 where they differ.
    """

    name: str
    encoding: str
    size: int


class MdsIndex(NamedTuple):
    """What an index says."""

    columns: tuple[MdsColumn, ...]
    shards: tuple[MdsShard, ...]


def is_mds_folder(path: str) -> bool:
    """Return whether a folder is a dataset of MosaicML's."""
    index = os.path.join(
        path,
        INDEX,
    )
    if not files.exists(index):
        return False
    try:
        said = json.loads(LocalStorage(index).read(0, _LARGEST))
        return bool(said["shards"][0]["format"] == "mds")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, OSError):
        return False


def read_index(folder: str) -> MdsIndex:
    """Return what the index of a folder says.

    Raises:
        CorruptError: it is no such index.
        UnsupportedVersionError: it is of another version.
    """
    path = os.path.join(
        folder,
        INDEX,
    )
    try:
        said = json.loads(LocalStorage(path).read(0, _LARGEST))
        shards = said["shards"]
        first = _columns(shards[0])
        found = [_shard(folder, shard) for shard in shards]
        for shard in shards:
            if _columns(shard) != first:
                raise ValueError("its shards have different columns")
    except UnsupportedVersionError as error:
        error.file = path
        raise
    except (ValueError, RecursionError, KeyError, IndexError, TypeError) as error:
        problem = f"it is no index of MDS: {type(error).__name__}: {error}"
        raise CorruptError(
            problem,
            file=path,
        ) from None
    return MdsIndex(
        first,
        tuple(found),
    )


def _columns(shard: Any) -> tuple[MdsColumn, ...]:
    names = shard["column_names"]
    encodings = shard["column_encodings"]
    sizes = shard["column_sizes"]
    if not len(names) == len(encodings) == len(sizes) <= _MOST_COLUMNS:
        raise ValueError("its columns have different numbers of names, encodings and sizes")
    columns = []
    for name, encoding, size in zip(names, encodings, sizes):
        size = size or 0
        is_right = isinstance(name, str) and isinstance(encoding, str) and type(size) is int
        if not is_right or size < 0:
            raise ValueError(f"it has a column {name!r} of {encoding!r} with {size!r} bytes")
        columns.append(MdsColumn(name, encoding, size))
    if not columns or len({column.name for column in columns}) < len(columns):
        raise ValueError("it has no columns, or two of one name")
    return tuple(columns)


def _shard(folder: str, said: Any) -> MdsShard:
    if said["format"] != "mds":
        raise ValueError(f"a shard is of the format {said['format']!r}")
    if said["version"] != _VERSION:
        text = f"a shard is of version {said['version']!r} of MDS, which is not read"
        raise UnsupportedVersionError(text)
    raw = said["raw_data"]
    samples = said["samples"]
    size = raw["bytes"]
    if type(samples) is not int or type(size) is not int or samples < 0 or size < 0:
        raise ValueError(f"a shard has {samples!r} samples in {size!r} bytes")
    if 4 * samples > size:
        raise ValueError(f"a shard has {samples} samples in only {size} bytes")
    compressed = ""
    if said.get("zip_data"):
        compressed = _inside(
            folder,
            said["zip_data"]["basename"],
        )
    return MdsShard(
        _inside(folder, raw["basename"]),
        size,
        samples,
        compressed,
        str(said.get("compression") or ""),
    )


def _inside(folder: str, name: Any) -> str:
    """Return the path of a shard. Raises ValueError if it is outside of the folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"a shard has the name {name!r}")
    parts = name.replace("\\", "/").split("/")
    if os.path.isabs(name) or ".." in parts:
        raise ValueError(f"the shard {name!r} is outside of the folder")
    return os.path.join(
        folder,
        name,
    )
