"""Encoded files of other formats, which are stored as they are. Knows nothing of our own files."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

from dsrecords._format.signatures import kind_of
from dsrecords._types.base import Type, describe, unexpected
from dsrecords.errors import CorruptError, SchemaError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib makes one slash of two


class File(Type):
    """Base of images, audio and video.

    A value is the path of a file, the bytes of one, or what `encode` makes one of.

    Attributes:
        expected: what such a file is, in words.
    """

    expected = ""
    amplifies = True
    # What decoders of other packages raise for files that are broken, or that they do not know.
    undecodable = (
        *Type.undecodable,
        *Type.unreadable,
        MemoryError,
        OSError,
        SyntaxError,
        EOFError,
        IndexError,
        AttributeError,
        RuntimeError,
    )

    def recognizes(self, data: bytes | memoryview) -> bool:
        """Whether these bytes begin as such a file does."""
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        """A file made of a value that is neither a path nor bytes. Raises SchemaError."""
        raise NotImplementedError

    def dump(self, value: Any) -> bytes:
        if isinstance(value, (str, os.PathLike)):
            path = os.fspath(value)
            return self.accept(content(path), f"the file {path}")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.accept(bytes(value))
        if value is None:
            raise unexpected(f"{self.name} (a path, bytes, or what becomes a file)", value)
        return self.encode(value)

    def accept(self, data: bytes, what: str = "the data") -> bytes:
        if self.recognizes(data):
            return data
        raise SchemaError(f"{what} is not {self.expected}: {_seeming(data)}")

    def validate(self, data: memoryview) -> None:
        """Raise CorruptError if these bytes do not begin as such a file does."""
        if not self.recognizes(data):
            kind = kind_of(data) or "the bytes of no known format"
            message = f"{kind}, not {self.expected}"
            raise CorruptError(message)

    def decode_bytes(self, data: memoryview, copy: bool) -> Any:
        """The file as it is."""
        if copy:
            return bytes(data)
        return data


def content(path: Any) -> bytes:
    """The bytes of a file. Raises OSError, or SchemaError if it cannot be the path of one."""
    text = os.fsdecode(path)
    if text.startswith("data:"):
        given = describe(text)
        raise SchemaError(
            f"{given} is a URL that has its data: give the bytes, base64.b64decode(…)"
        )
    if _URL.match(text):
        given = describe(text)
        raise SchemaError(f"{given} is a URL: download it, and give the path of the file or bytes")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        advice = "if it is the data in base64, give base64.b64decode(…)"
        raise SchemaError(f"{describe(text)} is too long for a path; {advice}") from None


def _seeming(data: bytes) -> str:
    """In words, what data of another format seems to be, and what to do."""
    if not data:
        return "it is empty; for a value that is not there say None, which types with a ? take"
    kind = kind_of(data)
    if kind is None:
        return "the type 'file' keeps a file of any kind, and io.save_raw_file its bytes"
    return f"it seems to be {kind}"
