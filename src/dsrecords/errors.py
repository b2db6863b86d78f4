"""The errors of the library, and how they state where something is wrong.

    DSRecordsError
    ├── SchemaError (ValueError): a sample, a type or a schema that does not fit
    ├── CorruptError (ValueError): bytes that are not what was written
    ├── DecodeError (ValueError): bytes as they were written, which cannot be decoded here
    ├── UnsupportedVersionError (ValueError): a file of a later version of the format
    ├── LockedError (BlockingIOError): another writer has the dataset open
    ├── ReadOnlyError (io.UnsupportedOperation): a change that this dataset does not allow
    └── StaleViewError (RuntimeError): the records of a view or a copy no longer exist

The contents of a file raise only these errors. `FileNotFoundError`, `IndexError`, `TypeError` and
the operating system's `OSError` are not wrapped.
"""

from __future__ import annotations

import io
from typing import Any

__all__ = [
    "CorruptError",
    "DSRecordsError",
    "DecodeError",
    "LockedError",
    "ReadOnlyError",
    "SchemaError",
    "StaleViewError",
    "UnsupportedVersionError",
]


class DSRecordsError(Exception):
    """Base of all errors of the library.

    Attributes:
        message: what is wrong, without where.
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
        self.message = message
        self.file = file
        self.record = record
        self.field = field
        self.offset = offset
        Exception.__init__(self, message)

    def __str__(self) -> str:
        where = []
        if self.file is not None:
            where.append(self.file)
        if self.record is not None:
            where.append(f"record {self.record}")
        if self.field is not None:
            where.append(f"field {self.field!r}")
        if self.offset is not None:
            where.append(f"byte {self.offset}")
        if not where:
            return self.message
        return f"{', '.join(where)}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled as its class and positional arguments; ours are given by name.
        arguments = (type(self), self.message, self.file, self.record, self.field, self.offset)
        return _rebuild, arguments


def _rebuild(
    cls: type[DSRecordsError],
    message: str,
    file: str | None,
    record: int | None,
    field: str | int | None,
    offset: int | None,
) -> DSRecordsError:
    return cls(message, file=file, record=record, field=field, offset=offset)


class SchemaError(DSRecordsError, ValueError):
    """A sample, a type or a schema that does not fit."""


class CorruptError(DSRecordsError, ValueError):
    """Bytes of a file that are not what was written, or that no writer writes."""


class DecodeError(DSRecordsError, ValueError):
    """Bytes that are what was written, and that a decoder of another package cannot read here."""


class UnsupportedVersionError(DSRecordsError, ValueError):
    """A file of a later version of the format."""


class LockedError(DSRecordsError, BlockingIOError):
    """Another writer has the dataset open."""


class ReadOnlyError(DSRecordsError, io.UnsupportedOperation):
    """A change that is not allowed: in a view, in a forked child, in a file without permission."""


class StaleViewError(DSRecordsError, RuntimeError):
    """The dataset was edited or compacted, so positions no longer refer to the same records."""
