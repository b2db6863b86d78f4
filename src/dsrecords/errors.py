"""The errors of the library, and how they state where something is wrong.

    DSRecordsError
    ├── SchemaError (ValueError): a sample, a type or a schema that does not fit
    ├── CorruptError (ValueError): bytes that are not what was written
    ├── DecodeError (ValueError): bytes as they were written, which cannot be decoded here
    ├── UnsupportedVersionError (ValueError): a file of a later version of the format
    ├── LockedError (BlockingIOError): another writer has the dataset open
    ├── ReadOnlyError (io.UnsupportedOperation): a change that this dataset does not allow
    ├── StaleViewError (RuntimeError): the records of a view or a copy no longer exist
    └── ShardError (ValueError): files that do not make one dataset

The contents of a file raise only these errors. `FileNotFoundError`, `IndexError`, `TypeError` and
the operating system's `OSError` are not wrapped. What else a function of the user's raises keeps
its class, and has a note that says where (`__notes__`, which Python shows from 3.11 on).
"""

from __future__ import annotations

import ast
import io
import re
from typing import Any

__all__ = [
    "CorruptError",
    "DSRecordsError",
    "DecodeError",
    "LockedError",
    "ReadOnlyError",
    "SchemaError",
    "ShardError",
    "StaleViewError",
    "UnsupportedVersionError",
]


# Where something is wrong, as `DSRecordsError.__str__` writes it before the message.
_WHERE = re.compile(
    r"""
    ((?P<file>.+?),[ ])?
    record[ ](?P<record>\d+)
    (,[ ]field[ ](?P<field>\d+ | '([^'\\]|\\.)*' | "([^"\\]|\\.)*"))?
    (,[ ]byte[ ](?P<offset>\d+))?
    :[ ]
    """,
    re.VERBOSE,
)


class DSRecordsError(Exception):
    """Base of all errors of the library.

    PyTorch raises the error of a worker process anew, of the same class, with a text as its only
    argument. That text says where, and so the error does.

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
        if message.startswith("Caught "):
            self._recall()

    def _recall(self) -> None:
        """Take from the text of an error of a worker process where that was."""
        name = f"\n{type(self).__module__}.{type(self).__qualname__}: "
        _, _, text = self.message.rpartition(name)
        where = _WHERE.match(text)
        if where is None:
            return
        self.file = where["file"]
        self.record = int(where["record"])
        if where["field"] is not None:
            self.field = ast.literal_eval(where["field"])
        if where["offset"] is not None:
            self.offset = int(where["offset"])

    def __str__(self) -> str:
        where = in_words(self.file, self.record, self.field, self.offset)
        if not where:
            return self.message
        return f"{where}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled as its class and positional arguments; ours are given by name.
        return type(self), (self.message,), vars(self)


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


class RemoteError(DSRecordsError, OSError):
    """A file of an object store that cannot be reached: the service fails, or refuses, or is slow.

    What was read until then is right, and the dataset can be used further.
    """


class ShardError(DSRecordsError, ValueError):
    """Files that do not make one dataset: one is missing, is there twice, or is of another run."""


def in_words(
    file: str | None = None,
    record: int | None = None,
    field: str | int | None = None,
    offset: int | None = None,
) -> str:
    """Say where something is; empty if nothing is known of it."""
    where = []
    if file is not None:
        where.append(file)
    if record is not None:
        where.append(f"record {record}")
    if field is not None:
        where.append(f"field {field!r}")
    if offset is not None:
        where.append(f"byte {offset}")
    return ", ".join(where)


def annotate(error: BaseException, note: str) -> None:
    """Add a note to an error that is not ours, which keeps its class and its message."""
    if hasattr(error, "add_note"):
        error.add_note(note)
        return
    notes = [*getattr(error, "__notes__", []), note]  # Python 3.10: shown by pytest, not by Python
    error.__notes__ = notes
