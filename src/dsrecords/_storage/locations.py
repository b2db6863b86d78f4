"""Paths of files elsewhere, and how they are reached. Knows no storage."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

OF_OBSTORE = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "http", "https")
"""Schemes of the paths that obstore reads."""

OF_FSSPEC = (
    "hf",
    "ftp",
    "sftp",
    "ssh",
    "hdfs",
    "webhdfs",
    "dbfs",
    "oss",
    "gdrive",
    "box",
    "dropbox",
    "github",
    "lakefs",
    "memory",
    "oci",
    "r2",
    "smb",
)
"""Schemes of the paths that a file system of fsspec's reads."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Access(NamedTuple):
    """How files elsewhere are reached, and where what was read of them is kept.

    Attributes:
        options: what was given as `storage_options`, as sorted pairs.
        cache: an absolute path of a folder for what was read; None: only memory.
        cache_limit: how many bytes are kept; None: as many as is usual.
    """

    options: tuple[tuple[str, Any], ...] = ()
    cache: str | None = None
    cache_limit: int | None = None


class Location(str):
    """A path of a file elsewhere, with how it is reached. It is shown, and compared, as the path.

    Attributes:
        access: how it is reached.
    """

    access: Access = Access()


def located(path: str, access: Access) -> str:
    """Return a path that is opened in a certain way.

    One of this machine stays as it is, and so does one that says how, where nothing else is said.
    """
    if "://" not in path:
        return path
    if isinstance(path, Location) and access == Access():
        return path
    location = Location(path)
    location.access = access
    return location


def access_of(path: str) -> Access:
    """How a file is reached."""
    if isinstance(path, Location):
        return path.access
    return Access()


def alike(path: str, other: str) -> str:
    """Return a path that is reached as another one is."""
    if isinstance(other, Location):
        return located(path, other.access)
    return path


def make_access(
    storage_options: Mapping[str, Any] | None,
    cache: Any,
    cache_limit: Any,
) -> Access:
    """Return what was given, validated.

    Raises:
        TypeError: `storage_options` is no dict with strings as keys, or an argument is of another
            type.
        ValueError: `cache_limit` is no size.
    """
    given: Any = storage_options or {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        message = "storage_options must be a dict, such as {'endpoint': 'http://…'}"
        raise TypeError(f"{message}, not {storage_options!r}")
    options = tuple(sorted(given.items()))
    folder = None
    if cache is not None:
        folder = os.path.abspath(os.fsdecode(cache))
    return Access(
        options,
        folder,
        _limit_of(cache_limit),
    )


def _limit_of(limit: Any) -> int | None:
    """Return a number of bytes, of a number or of words such as "10GB"."""
    if limit is None:
        return None
    size = -1
    if isinstance(limit, str):
        match = _SIZE.fullmatch(limit.strip())
        if match is not None:
            size = int(float(match[1]) * _UNITS[match[2].upper()])
    elif isinstance(limit, int) and not isinstance(limit, bool):
        size = limit
    if size < 0:
        message = "cache_limit must be a number of bytes, or a size such as '10GB'"
        raise ValueError(f"{message}, not {limit!r}")
    return size


def local_path(path: str) -> str:
    """Return the path of a file of this machine that a `file://` URL names; others as they are."""
    if not path.startswith("file://"):
        return path
    from urllib.parse import unquote, urlsplit  # here, as few need it

    parts = urlsplit(path)
    if parts.netloc not in ("", "localhost"):
        raise ValueError(f"{path}: a file:// URL names a file of this machine, as file:///folder/…")
    return unquote(parts.path)
