"""`file`: a file of any kind, with the suffix of its name. Knows nothing of our own files.

It is stored as a struct `{suffix:str,data:bytes}` would be.
"""

from __future__ import annotations

import dataclasses
import io
import os
from typing import Any

from dsrecords._types.base import Load, Type, as_bytes, describe
from dsrecords._types.binary import Bytes
from dsrecords._types.external_file import content
from dsrecords._types.strings import Str
from dsrecords._types.structs import Struct
from dsrecords.errors import CorruptError, SchemaError

_LONGEST_SUFFIX = 255  # characters
_NOT_IN_SUFFIXES = ("/", "\\", "\0")


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """The contents of a file, and the suffix of its name.

    Attributes:
        data: the contents. With `copy=False`, those of a file that was read are a memoryview.
        suffix: with its dot, such as ".pdf"; empty if there is none.
    """

    data: bytes | memoryview
    suffix: str = ""

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"StoredFile({len(self.data)} bytes, suffix={self.suffix!r})"

    def open(self) -> io.BytesIO:
        """Return the contents as a file that is open for reading, in memory."""
        return io.BytesIO(self.data)


class AnyFile(Type):
    """A file of any kind, read as a `StoredFile`."""

    name = "file"

    def __init__(self) -> None:
        self._stored = Struct({"suffix": Str(), "data": Bytes()})

    def dump(self, value: Any) -> bytes:
        if isinstance(value, (str, os.PathLike)):
            path = os.fspath(value)
            data = content(path)
            _, suffix = os.path.splitext(os.fsdecode(path))
        elif isinstance(value, StoredFile):
            data = as_bytes(value.data)
            suffix = value.suffix
        elif isinstance(value, (bytes, bytearray, memoryview)):
            data = as_bytes(value)
            suffix = ""
        else:
            expected = "file takes a path, a dsrecords.StoredFile(data, suffix), or bytes"
            raise SchemaError(f"{expected}, not {describe(value)}")
        problem = _problem_of(suffix)
        if problem is not None:
            raise SchemaError(problem)
        return self._stored.dump({"suffix": suffix, "data": data})

    def load(self, data: memoryview, copy: bool) -> StoredFile:
        parts = self._stored.load(data, copy)
        suffix = parts["suffix"]
        problem = _problem_of(suffix)
        if problem is not None:
            raise CorruptError(problem)
        return StoredFile(parts["data"], suffix)

    def decode_bytes(self, data: memoryview, copy: bool) -> Any:
        """The contents alone."""
        return self.load(data, copy).data

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding != "bytes":
            message = f"decode of a file can be 'bytes', not {decoding!r}"
            raise SchemaError(message, field=field)
        return self.decode_bytes


def _problem_of(suffix: Any) -> str | None:
    """In words, why this is not the suffix of a name; None if it is one."""
    if not isinstance(suffix, str):
        return f"the suffix of a file is a string, not {describe(suffix)}"
    begins_right = suffix == "" or suffix.startswith(".")
    has_others = any(character in suffix for character in _NOT_IN_SUFFIXES)
    if not begins_right or has_others or len(suffix) > _LONGEST_SUFFIX:
        return f"{suffix[:_LONGEST_SUFFIX]!r} is not a suffix such as '.pdf'"
    return None
