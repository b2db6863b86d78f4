"""The errors of the library, and how they say where something is wrong.

    DSRecordsError
    ├── SchemaError              (ValueError)    a sample, a type or a schema that does not fit
    ├── CorruptError             (ValueError)    bytes that are not what was written
    ├── UnsupportedVersionError  (ValueError)    a file of a later version of the format
    ├── LockedError              (BlockingIOError)  another writer is at work
    ├── ReadOnlyError            (io.UnsupportedOperation)  a change that this dataset does not allow
    └── StaleViewError           (RuntimeError)  the records that a view or a copy showed are no longer there

What a file contains raises only these. `FileNotFoundError`, `IndexError`, `TypeError` and the system's `OSError` stay themselves.
"""

from __future__ import annotations

import importlib
import io
from typing import Any

__all__ = [
    "CorruptError",
    "DSRecordsError",
    "LockedError",
    "ReadOnlyError",
    "SchemaError",
    "StaleViewError",
    "UnsupportedVersionError",
]


class DSRecordsError(Exception):
    """Base of all errors of the library.

    Attributes:
        file: path of the file, or None.
        record: position of the record in the dataset (or in the rows that were given), or None.
        field: name of the field (its position where fields have no names), or None.
        offset: byte offset in the file, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        record: int | None = None,
        field: str | int | None = None,
        offset: int | None = None,
    ) -> None:
        self.message, self.file, self.record, self.field, self.offset = message, file, record, field, offset
        Exception.__init__(self, message)

    def __str__(self) -> str:
        where = [] if self.file is None else [self.file]
        where += [] if self.record is None else [f"record {self.record}"]
        where += [] if self.field is None else [f"field {self.field!r}"]
        where += [] if self.offset is None else [f"byte {self.offset}"]
        return ", ".join(where) + ": " + self.message if where else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.file, self.record, self.field, self.offset)


def _rebuild(cls: type[DSRecordsError], message: str, *where: Any) -> DSRecordsError:
    return cls(message, **dict(zip(("file", "record", "field", "offset"), where)))


class SchemaError(DSRecordsError, ValueError):
    """A sample, a type or a schema that does not fit."""


class CorruptError(DSRecordsError, ValueError):
    """Bytes of a file that are not what was written, or that no writer writes."""


class UnsupportedVersionError(DSRecordsError, ValueError):
    """A file of a later version of the format."""


class LockedError(DSRecordsError, BlockingIOError):
    """Another writer has the dataset."""


class ReadOnlyError(DSRecordsError, io.UnsupportedOperation):
    """A change that this dataset does not allow: a view, a forked child, a file that cannot be written."""


class StaleViewError(DSRecordsError, RuntimeError):
    """The dataset was edited or compacted, so that positions no longer mean what they meant."""


def optional(module: str, package: str) -> Any:
    """Import a module of an optional package; without it, say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"this needs the package {package}: pip install {package}", name=module) from None
