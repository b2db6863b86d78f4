"""Object stores and web servers, reached by the package obstore."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from dsrecords._optional import import_optional
from dsrecords._storage.clients import Found, first_line, root_and_key
from dsrecords._storage.requests import TransientError
from dsrecords.errors import RemoteError, StaleViewError

_PACKAGE = "obstore"
_OF_WEB = ("http://", "https://")
_OF_CONNECTIONS = {
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "default_content_type",
    "default_headers",
    "http1_only",
    "http2_keep_alive_interval",
    "http2_keep_alive_timeout",
    "http2_keep_alive_while_idle",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "timeout",
    "user_agent",
}
_ENDPOINTS = ("endpoint", "endpoint_url", "aws_endpoint", "aws_endpoint_url", "azure_endpoint")
_OF_AMAZON = ("s3://", "s3a://")
_ENDPOINTS_OF_ENVIRONMENT = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
_TIMEOUT = "60s"  # of a request with its answer
_OTHERS = {"credential_provider", "retry_config"}
_ATTEMPTS_ARE_OURS = {"max_retries": 0}
# Answers that another attempt would get as well: all of 3xx and 4xx but "too slow" and "too many".
_FINAL = re.compile(r"status code: (3\d\d|4(?!08|29|25)\d\d)")
# Where a machine of a cloud asks for credentials, if it was given none.
_OF_MACHINES = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
_NO_CREDENTIALS = (
    "no credentials were found: give storage_options or the environment's variables; "
    "skip_signature=True is for what everybody may read"
)
_MOST_IN_ONE_PUT = 2**24  # bytes: they are in memory, and have the time of one request


class ObstoreClient:
    """A bucket, a container or a web server.

    Args:
        root: such as `s3://bucket`.
        options: keys of obstore's, in one dict: of the store, of its connections, and of both.

    Raises:
        ImportError: obstore is not installed.
        ValueError: there is no such option.
    """

    def __init__(self, root: str, options: Mapping[str, Any]) -> None:
        self._obstore = import_optional("obstore", _PACKAGE)
        stores = import_optional("obstore.store", _PACKAGE)
        self._errors = import_optional("obstore.exceptions", _PACKAGE)
        # Some of what obstore raises are Python's own errors.
        self._failures = (self._errors.BaseError, OSError)
        self._is_web = root.startswith(_OF_WEB)
        connections = {}
        config = {}
        others: dict[str, Any] = {}
        for key, value in options.items():
            if key in _OF_CONNECTIONS:
                connections[key] = value
            elif key in _OTHERS:
                others[key] = value
            else:
                config[key] = value
        addresses = [root]
        addresses += [str(config[key]) for key in _ENDPOINTS if key in config]
        if root.startswith(_OF_AMAZON):
            addresses += [os.environ.get(name, "") for name in _ENDPOINTS_OF_ENVIRONMENT]
        connections.setdefault("timeout", _TIMEOUT)
        if any(address.startswith("http://") for address in addresses):
            connections.setdefault("allow_http", True)  # who writes that has allowed it
        if config:
            others["config"] = config
        self._root = root
        self._from_url = functools.partial(
            stores.from_url,
            root,
            client_options=connections,
            **others,
        )
        self._store = self._made_store({"retry_config": dict(_ATTEMPTS_ARE_OURS), **others})

    def _made_store(self, others: Mapping[str, Any]) -> Any:
        try:
            return self._from_url(**others)
        except self._failures as error:
            raise ValueError(f"{self._root}, storage_options: {first_line(error)}") from error

    def find(self, path: str, wanted: int) -> Found:
        """Look at a file: see `Client.find`."""
        key = self._key(path)
        try:
            result = self._store.get(key, options={"range": (0, wanted)})
            start = bytes(result.bytes())
            return _found(result.meta, start)
        except self._failures as error:
            problem = error
        if "416" not in str(problem):
            raise self._translated(problem, path) from problem
        try:  # of an empty file there is no range
            return _found(self._store.head(key), b"")
        except self._failures as error:
            raise self._translated(error, path) from error

    def read(
        self,
        path: str,
        found: Found,
        start: int,
        stop: int,
    ) -> Any:
        """Read bytes of a version: see `Client.read`."""
        options: dict[str, Any] = {"range": (start, stop)}
        if found.condition:
            options["if_match"] = found.condition
        try:
            result = self._store.get(self._key(path), options=options)
            version = _version_of(result.meta)
            data = result.bytes()
        except self._failures as error:
            raise self._translated(error, path) from error
        if version != found.version:
            raise replaced(path)
        return data

    def list(self, path: str) -> Iterator[str]:
        """Yield the paths that begin with this one: see `Client.list`."""
        root, _ = root_and_key(path)
        prefix = self._key(path)
        if self._is_web:
            advice = "give a list of paths, or the path of a manifest"
            raise RemoteError(f"a web server does not say which files it has: {advice}", file=path)
        try:
            # The service lists folders: what lies in the one that the last name is in.
            folder, slash, _ = prefix.rpartition("/")
            for batch in self._store.list(folder + slash):
                for each in batch:
                    if each["path"].startswith(prefix):
                        yield f"{root}/{each['path']}"
        except self._failures as error:
            raise self._translated(error, path) from error

    def put(
        self,
        local: str,
        path: str,
        overwrite: bool,
    ) -> None:
        """Copy a file to a path: see `Client.put`."""
        key = self._key(path)
        with open(local, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            try:
                if size <= _MOST_IN_ONE_PUT:
                    mode = "overwrite" if overwrite else "create"
                    self._store.put(key, file, mode=mode, use_multipart=False)
                else:
                    self._put_large(key, file, path, overwrite)
            except (self._errors.AlreadyExistsError, FileExistsError) as error:
                raise _exists(path) from error
            except self._failures as error:
                raise self._translated(error, path) from error

    def _put_large(
        self,
        key: str,
        file: Any,
        path: str,
        overwrite: bool,
    ) -> None:
        """Copy a file in parts, for which no service has a condition.

        Of many parts some fail: obstore makes these again, else all parts would be.
        """
        if not overwrite and self._exists(key):
            raise _exists(path)
        store = self._made_store({})
        store.put(key, file)

    def _exists(self, key: str) -> bool:
        try:
            self._store.head(key)
        except (self._errors.NotFoundError, FileNotFoundError):
            return False
        return True

    def delete(self, path: str) -> None:
        """Remove a file: see `Client.delete`."""
        try:
            self._store.delete(self._key(path))
        except (self._errors.NotFoundError, FileNotFoundError):
            return
        except self._failures as error:
            raise self._translated(error, path) from error

    def _key(self, path: str) -> str:
        _, key = root_and_key(path)
        if not self._is_web:
            return key
        if "?" in key:
            text = "an address with a query is not read: it names no file for certain"
            raise RemoteError(text, file=path)
        return unquote(key)

    def _translated(self, error: BaseException, path: str) -> Exception:
        """Return an error of obstore's as one of those that `Client` raises."""
        errors = self._errors
        text = first_line(error)
        if isinstance(error, (errors.NotFoundError, FileNotFoundError)):
            return FileNotFoundError(2, "there is no such file", path)
        if isinstance(error, errors.PreconditionError):
            return replaced(path)
        refused = (errors.PermissionDeniedError, errors.UnauthenticatedError, PermissionError)
        if isinstance(error, refused):
            advice = "give storage_options; skip_signature=True is for what everybody may read"
            return RemoteError(f"access is refused: {text} ({advice})", file=path)
        final = (errors.NotSupportedError, errors.InvalidPathError)
        if isinstance(error, final) or _FINAL.search(str(error)):
            return RemoteError(text, file=path)
        most_attempts = None
        if any(address in str(error) for address in _OF_MACHINES):
            text = f"{_NO_CREDENTIALS} ({text})"
            most_attempts = 3  # each may wait for a network that is not there
        failed = TransientError(text, most_attempts)
        failed.__cause__ = error
        return failed


def replaced(path: str) -> StaleViewError:
    """The error of a file that is another one now."""
    text = "the object was replaced since it was opened: open the dataset anew, or refresh it"
    return StaleViewError(text, file=path)


def _exists(path: str) -> FileExistsError:
    return FileExistsError(17, "there is a file already", path)


def _found(meta: Any, start: bytes) -> Found:
    tag = meta["e_tag"] or ""
    condition = "" if tag.startswith("W/") else tag  # a weak one is never matched
    return Found(
        meta["size"],
        _version_of(meta),
        condition,
        start,
    )


def _version_of(meta: Any) -> str:
    """What tells versions apart: the ETag, else when it was changed and how large it is."""
    if meta["e_tag"]:
        return str(meta["e_tag"])
    return f"{meta['last_modified']} {meta['size']}"
