"""What a storage elsewhere needs of the service that has its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit


class Found(NamedTuple):
    """A file of a service, as it is at one moment.

    Attributes:
        size: in bytes.
        version: what tells this version of the file from others: of S3, its ETag.
        condition: what a request is bound to, so that it gets this version or none; empty if the
            service has no such thing.
        start: the first bytes of the file, some or none.
    """

    size: int
    version: str
    condition: str
    start: bytes = b""


class Client(Protocol):
    """A service, as one process and one dataset use it. Threads may share it.

    The methods raise FileNotFoundError with the path as `filename`; RemoteError where another
    attempt would fail as well, as without permission; and TransientError where it may not.
    """

    def find(self, path: str, wanted: int) -> Found:
        """Look at a file, and read its first `wanted` bytes with the same request, if it can."""

    def read(
        self,
        path: str,
        found: Found,
        start: int,
        stop: int,
    ) -> Any:
        """Read bytes of the version that was found: an object with their buffer.

        Raises:
            StaleViewError: the file was replaced.
        """

    def list(self, path: str) -> Iterator[str]:
        """Yield the paths of all files whose path begins with this one."""

    def put(
        self,
        local: str,
        path: str,
        overwrite: bool,
    ) -> None:
        """Copy a file of this machine to a path, where it is there as a whole or not at all.

        Raises:
            FileExistsError: there is one, and `overwrite` is not given.
        """

    def delete(self, path: str) -> None:
        """Remove a file; nothing if there is none."""


def first_line(error: BaseException) -> str:
    """Return what an error says, without the details that follow."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def root_and_key(path: str) -> tuple[str, str]:
    """Divide a path: `s3://bucket/a/b.rec` → `s3://bucket`, `a/b.rec`."""
    parts = urlsplit(path, allow_fragments=False)
    root = f"{parts.scheme}://{parts.netloc}"
    return root, path[len(root) :].lstrip("/")
