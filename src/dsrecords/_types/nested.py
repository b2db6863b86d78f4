"""What types that are made of other types have in common: lists, structs and tables.

Knows nothing of files or records.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dsrecords._format.layout import NONE, padding
from dsrecords._types.base import (
    Load,
    NoPartError,
    Path,
    Type,
    cause_of,
    reading_error,
    writing_error,
)
from dsrecords.errors import SchemaError, annotate

Dumped = list[bytes | None]  # the payloads of values, None where a value is None


class Nested(Type):
    """A type that can be read as columns: as arrays instead of lists of numbers."""

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding != "columns":
            forms = "'columns', or a dict with what its parts are decoded as"
            message = f"decode of {self.name} can be {forms}, not {decoding!r}"
            raise SchemaError(message, field=field)
        return self.load_columns


def is_list(value: Any) -> bool:
    """Whether a value is a list of items: strings and bytes are not."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return False
    return isinstance(value, (Sequence, np.ndarray))


def pad_payloads(dumped: Dumped) -> tuple[list[int], list[bytes]]:
    """The sizes of payloads, and the payloads, each with its padding behind it."""
    sizes = []
    padded = []
    for payload in dumped:
        if payload is None:
            sizes.append(NONE)
            continue
        size = len(payload)
        sizes.append(size)
        padded.append(payload)
        padded.append(padding(size))
    return sizes, padded


def raise_in_reading(
    error: Exception,
    label: str,
    kind: Type,
) -> None:
    """Raise the error of a value that cannot be read, its message begun with the item or the part.

    If the file and its decoders are not to blame, nothing is raised, and `error` gets a note.
    """
    if isinstance(error, NoPartError):
        raise NoPartError(f"{label}: {error.message}", error.kind) from None
    found = reading_error(error, kind)
    if found is None:
        annotate(error, label)
        return
    raise type(found)(f"{label}: {found.message}") from cause_of(error, found)


def raise_in_writing(
    error: Exception,
    label: str,
    kind: Type,
) -> None:
    """The same of a value that cannot be written."""
    found = writing_error(error, kind)
    if found is None:
        annotate(error, label)
        return
    raise within(label, found) from cause_of(error, found)


def picked(
    key: Any,
    count: int,
    pick: Callable[[int], Any],
) -> Any:
    """What `pick` returns for the position of an item; a list of that for a slice.

    Raises:
        NoPartError: there is no such item.
        SchemaError: it is neither.
    """
    if isinstance(key, slice):
        return [pick(position) for position in range(count)[key]]
    try:
        position = operator.index(key)
    except TypeError:
        message = f"an item is asked for by its position, or several by a slice, not {key!r}"
        raise SchemaError(message) from None
    if not -count <= position < count:
        raise NoPartError(f"no item {position} in a list of {count}", IndexError)
    return pick(position % count)


def none_of(path: Path, label: str) -> None:
    """What `path` picks of an item or a part that is None: itself. Raises NoPartError."""
    if path:
        kind: type[LookupError] = KeyError if isinstance(path[0], str) else IndexError
        raise NoPartError(f"{label} is None", kind)


def within(label: str, error: SchemaError) -> SchemaError:
    """The same error, its message begun with the item or the part that it is about."""
    message = f"{label}: {error.message}"
    return SchemaError(message)
