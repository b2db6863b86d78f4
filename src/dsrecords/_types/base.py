"""What all types have in common, and how messages describe a value.

A type turns a value into bytes (`dump`) and bytes back into a value (`load`). It knows nothing of
files, fields or records: its errors say what is wrong, and the caller adds where. `load` reads
sizes and counts from a file that may be damaged, and checks each of them before it is used.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from dsrecords.errors import CorruptError, SchemaError

Load = Callable[[memoryview, bool], Any]
DType = np.dtype[Any]
LIST_TYPES = (list, tuple)  # what stands for many values, apart from arrays

_DECODED_TYPES = "images, audio, categories, messages and lists of structs"
_TYPES_SHOWN_WITH_VALUE = (
    str,
    bytes,
    int,
    float,
    complex,
    np.generic,
)
_LONGEST_SHOWN = 40  # characters of a value in a message


class Type:
    """Base of all types.

    Attributes:
        name: what a schema calls the type, `?` included.
        code: the struct code of a scalar; empty for all other types.
        nullable: whether a value may be None.
        unreadable: what `load` may raise for bytes that passed their checksum and still are no
            value of the type. Whatever else it raises is a defect of the library.
    """

    name = ""
    code = ""
    nullable = False
    unreadable: tuple[type[Exception], ...] = (
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
        struct.error,
    )

    def dump(self, value: Any) -> bytes:
        """Return the bytes of a value that is not None.

        Raises SchemaError if it is not of this type, or whatever the value's own methods raise.
        """
        raise SchemaError(f"type {self.name} cannot be written")

    def accept(self, data: bytes) -> bytes:
        """Return the bytes that a serializer made as a payload of this type. Raises SchemaError."""
        return as_bytes(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        """Return the value of a payload. Raises CorruptError, or one of `unreadable`.

        If `copy` is true, the value owns its memory; else it may be a read-only view of `data`.
        """
        raise CorruptError(f"type {self.name} cannot be read")

    def plain(self, data: memoryview) -> memoryview:
        """Return the bytes that a deserializer is called with: the payload, decompressed."""
        return data

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        """Return the value as `load` does, but lists as columns.

        That is: lists of numbers as arrays, lists of structs as dicts of columns.
        """
        return self.load(data, copy)

    def row(self) -> np.ndarray | None:
        """Return an array of no values, (0, …), if all have one dtype and shape; else None."""
        return None

    def stored_row(self) -> np.ndarray | None:
        """Return what `row` does if values in such an array are stored as they are; else None."""
        return self.row()

    def decoder(self, decoding: Any, field: Any) -> Load:
        """Return the function that reads a field for `decode={field: decoding}`.

        Raises SchemaError if the type has no such decoding.
        """
        raise SchemaError(f"decode is for {_DECODED_TYPES}, this is {self.name}", field=field)

    def __repr__(self) -> str:
        return self.name


def as_bytes(value: Any) -> bytes:
    """Return bytes, a bytearray or a memoryview as bytes. Raises SchemaError for anything else."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)  # a copy, because the caller may change its buffer afterwards
    raise unexpected("bytes", value)


def describe(value: Any) -> str:
    """Describe a value in a few words, for messages: "an int (5)", "a list of 3", "None"."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    type_name = type(value).__name__
    described = _with_article(type_name)
    if isinstance(value, _TYPES_SHOWN_WITH_VALUE):
        text = repr(value)
        if len(text) > _LONGEST_SHOWN:
            text = text[:_LONGEST_SHOWN] + "…"
        return f"{described} ({text})"
    if isinstance(value, (Mapping, Set, Sequence)):
        return f"{described} of {len(value)}"
    return described


def _with_article(type_name: str) -> str:
    if type_name == "bytes":
        return type_name
    if type_name[0] in "aeiouAEIOU":
        return f"an {type_name}"
    return f"a {type_name}"


def unexpected(expected: str, value: Any) -> SchemaError:
    """Return the error that something else was expected than `value`; `expected` names it."""
    return SchemaError(f"{expected} expected, not {describe(value)}")


def masked(expected: str) -> SchemaError:
    """Return the error that something else was expected than a masked array."""
    return SchemaError(f"{expected} expected, not a masked array: fill it first")


def wrong(kind: Type, value: Any) -> SchemaError:
    """Return the error that a value is not of type `kind`."""
    name = kind.name.rstrip("?")
    return unexpected(name, value)
