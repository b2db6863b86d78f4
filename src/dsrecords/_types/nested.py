"""What types that are made of other types have in common: lists, structs and tables.

Knows nothing of files or records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._format.layout import NONE, padding
from dsrecords._types.base import Load, Type
from dsrecords.errors import SchemaError

Dumped = list[bytes | None]  # the payloads of values, None where a value is None


class Nested(Type):
    """A type that can be read as columns: as arrays instead of lists of numbers."""

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding != "columns":
            message = f"decode of {self.name} can be 'columns', not {decoding!r}"
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


def within(label: str, error: SchemaError) -> SchemaError:
    """The same error, its message begun with the item or the part that it is about."""
    message = f"{label}: {error.message}"
    return SchemaError(message)
