"""Encoded files of other formats, which are stored as they are. Knows nothing of our own files."""

from __future__ import annotations

import os
from typing import Any

from dsrecords._format.signatures import kind_of
from dsrecords._types.base import Type
from dsrecords.errors import CorruptError, SchemaError


class File(Type):
    """Base of images and audio.

    A value is the path of a file, the bytes of one, or what `encode` makes one of.

    Attributes:
        expected: what such a file is, in words.
    """

    expected = ""

    def recognizes(self, data: bytes | memoryview) -> bool:
        """Whether these bytes begin as such a file does."""
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        """A file made of a value that is neither a path nor bytes. Raises SchemaError."""
        raise NotImplementedError

    def dump(self, value: Any) -> bytes:
        if isinstance(value, (str, os.PathLike)):
            path = os.fspath(value)
            with open(path, "rb") as file:
                data = file.read()
            return self.accept(data, f"the file {path}")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.accept(bytes(value))
        return self.encode(value)

    def accept(self, data: bytes, what: str = "the data") -> bytes:
        if self.recognizes(data):
            return data
        message = f"{what} is not {self.expected}"
        kind = kind_of(data)
        if kind is not None:
            message += f": it seems to be {kind}"
        raise SchemaError(message)

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
