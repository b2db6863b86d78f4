"""Files that a package of fsspec's family reads, such as those of the Hugging Face Hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dsrecords._optional import import_optional
from dsrecords._storage.clients import Found, first_line
from dsrecords._storage.requests import TransientError
from dsrecords.errors import RemoteError

# What a file system may state that changes with a file, the best first.
_VERSIONS = ("ETag", "etag", "e_tag", "blob_id", "sha", "checksum", "mtime", "created", "ino")


class FsspecClient:
    """A file system of fsspec's.

    It has no condition that a request could be bound to. Where a file is replaced while it is
    read, the checksums of the records tell; and a `refresh` looks at its version.

    Args:
        scheme: of its paths.
        options: of the file system.

    Raises:
        ImportError: fsspec is not installed, or the package of this file system.
    """

    def __init__(self, scheme: str, options: Mapping[str, Any]) -> None:
        self._core = import_optional("fsspec.core", "fsspec")
        self._options = dict(options)
        self._system_of(f"{scheme}://")  # so that a package that is missing is told of now

    def _system_of(self, path: str) -> tuple[Any, str]:
        """The file system that has a path, one for each thread, and the file's name there."""
        system, name = self._core.url_to_fs(path, **self._options)
        return system, name

    def _stated(self, path: str) -> Mapping[str, Any]:
        """What the file system says of a file now."""
        system, name = self._system_of(path)
        system.invalidate_cache()
        stated: Mapping[str, Any] = system.info(name)
        return stated

    def _read(
        self,
        path: str,
        start: int,
        stop: int,
    ) -> Any:
        system, name = self._system_of(path)
        return system.cat_file(name, start=start, end=stop)

    def find(self, path: str, wanted: int) -> Found:
        """Look at a file: see `Client.find`."""
        try:
            stated = self._stated(path)
        except Exception as error:
            raise _translated(error, path) from error
        if stated.get("type") == "directory":
            raise FileNotFoundError(2, "it is a folder", path)
        size = stated.get("size")
        if size is None:
            raise RemoteError("the file system does not say how large it is", file=path)
        return Found(size, _version_of(stated), "")

    def read(
        self,
        path: str,
        found: Found,
        start: int,
        stop: int,
    ) -> Any:
        """Read bytes of a file: see `Client.read`."""
        try:
            return self._read(path, start, stop)
        except Exception as error:
            raise _translated(error, path) from error

    def list(self, path: str) -> Iterator[str]:
        """Yield the paths that begin with this one: see `Client.list`."""
        folder, slash, _ = path.rpartition("/")
        try:
            system, within = self._system_of(folder + slash)
            system.invalidate_cache()
            names = system.find(within)
        except Exception as error:
            raise _translated(error, path) from error
        for name in names:
            full = system.unstrip_protocol(name)
            if full.startswith(path):
                yield full

    def put(
        self,
        local: str,
        path: str,
        overwrite: bool,
    ) -> None:
        """Copy a file to a path: see `Client.put`."""
        system, name = self._system_of(path)
        try:
            if not overwrite and system.exists(name):
                raise FileExistsError(17, "there is a file already", path)
            system.put_file(local, name)
        except FileExistsError:
            raise
        except Exception as error:
            raise _translated(error, path) from error

    def delete(self, path: str) -> None:
        """Remove a file: see `Client.delete`."""
        system, name = self._system_of(path)
        try:
            if system.exists(name):
                system.rm_file(name)
        except Exception as error:
            raise _translated(error, path) from error


class HubClient(FsspecClient):
    """The Hugging Face Hub, whose file system lists the whole folder of a file to know of it.

    Args:
        scheme: of its paths.
        options: of the file system.
    """

    def __init__(self, scheme: str, options: Mapping[str, Any]) -> None:
        self._lock = threading.Lock()
        self._listed_at = -_LISTED_FOR
        self._hub: Any = None
        super().__init__(scheme, options)

    def _system_of(self, path: str) -> tuple[Any, str]:
        """The file system, one for all threads: each of its own would list all folders anew."""
        if self._hub is None:
            self._hub, _ = super()._system_of(path)
        return self._hub, self._core.strip_protocol(path)

    def _stated(self, path: str) -> Mapping[str, Any]:
        with self._lock:
            if time.monotonic() < self._listed_at + _LISTED_FOR:
                system, name = self._system_of(path)
                listed: Mapping[str, Any] = system.info(name)
                return listed
            stated = super()._stated(path)
            self._listed_at = time.monotonic()
            return stated

    def _read(
        self,
        path: str,
        start: int,
        stop: int,
    ) -> Any:
        system, name = self._system_of(path)
        # Else 5 MB behind each range would come with it.
        return system.cat_file(name, start=start, end=stop, cache_type="none")


_LISTED_FOR = 5.0  # seconds for which the listing of a folder is believed


def _version_of(stated: Mapping[str, Any]) -> str:
    """What tells versions of a file apart, as far as the file system says it."""
    said = [str(stated[key]) for key in _VERSIONS if stated.get(key) is not None]
    return " ".join([str(stated.get("size")), *said])


def _translated(error: Exception, path: str) -> Exception:
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(2, "there is no such file", path)
    if isinstance(error, (PermissionError, ValueError, NotImplementedError, TypeError)):
        return RemoteError(first_line(error), file=path)
    failed = TransientError(first_line(error))
    failed.__cause__ = error
    return failed
