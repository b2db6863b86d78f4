"""Files that may be compressed, opened so that nothing else need know."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from typing import IO, Any

from dsrecords._convert.base import unreadable

_OPENERS: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)
PROBLEMS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What damaged compressed files raise."""

ENDINGS = (".gz", ".bz2", ".xz")
"""Of the names of files that are written compressed."""


def open_binary(path: str) -> IO[bytes]:
    """Open a file for reading, decompressed if it begins as gzip, bzip2 or xz does."""
    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    head = file.read(6)
    for signature, opener in _OPENERS:
        if head.startswith(signature):
            file.close()
            opened: IO[bytes] = opener(path, "rb")
            return opened
    file.seek(0)
    return file


def is_compressed(path: str) -> bool:
    """Return whether `open_binary` would decompress a file."""
    with open(path, "rb") as file:
        head = file.read(6)
    return any(head.startswith(signature) for signature, _ in _OPENERS)


def create_binary(path: str, name: str) -> IO[bytes]:
    """Create a file, compressed if its name says so.

    Args:
        path: where.
        name: what it will be called.
    """
    for ending, (_, opener) in zip(ENDINGS, _OPENERS):
        if name.endswith(ending):
            created: IO[bytes] = opener(path, "wb")
            return created
    return open(path, "wb")


def head_of(path: str, size: int) -> bytes:
    """Return the first bytes of a file, decompressed. Raises CorruptError."""
    try:
        with open_binary(path) as file:
            return file.read(size)
    except PROBLEMS as error:
        raise unreadable(path, f"it is compressed, and damaged: {error}") from None


def without_compression(name: str) -> str:
    """Return a name without the ending of a compression."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name
