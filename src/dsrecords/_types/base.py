"""What all types have in common, and how messages describe a value.

A type turns a value into bytes (`dump`) and bytes back into a value (`load`). It knows nothing of
files, fields or records: its errors say what is wrong, and the caller adds where. `load` reads
sizes and counts from a file that may be damaged, and checks each of them before it is used.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from dsrecords._types.nullable_arrays import is_missing
from dsrecords.errors import (
    CorruptError,
    DecodeError,
    DSRecordsError,
    SchemaError,
    UnsupportedVersionError,
)

Load = Callable[[memoryview, bool], Any]
Path = Sequence[Any]  # of a part of a value: positions, slices and names, from the outside in
DType = np.dtype[Any]
LIST_TYPES = (list, tuple)  # what stands for many values, apart from arrays

_DECODED_TYPES = "images, audio, videos, files, categories, messages, structs and lists"
_TYPES_SHOWN_WITH_VALUE = (
    str,
    bytes,
    int,
    float,
    complex,
    np.generic,
)
_OF_USER = "_is_of_a_decoder_of_the_user"  # an attribute of errors
_LONGEST_SHOWN = 40  # characters of a value in a message


class Type:
    """Base of all types.

    Attributes:
        name: what a schema calls the type, `?` included.
        code: the struct code of a scalar; empty for all other types.
        nullable: whether a value may be None.
        present: classes whose values never mean None. Without `float`, NaN means None.
        unreadable: what `load` may raise for bytes that passed their checksum and still are no
            value of the type: it becomes a CorruptError. Whatever else it raises is a defect of
            the library, or an error of the user's.
        undecodable: what `load` may raise for bytes that are as they were written, and that a
            decoder cannot read here: it becomes a DecodeError. It goes before `unreadable`. A lack
            of memory is only meant where more is made of the bytes than a copy.
        amplifies: whether a value may be much larger than its payload: then calls have a budget.
        object_size: bytes of memory that a value takes at least, whatever its payload.
        objects_in_byte: bytes of objects, at most, that a byte of a payload becomes.
    """

    name = ""
    code = ""
    nullable = False
    present: frozenset[type] = frozenset(
        (
            bool,
            int,
            str,
            bytes,
            list,
            tuple,
            dict,
            np.ndarray,
        )
    )
    unreadable: tuple[type[Exception], ...] = (
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
        struct.error,
    )
    undecodable: tuple[type[Exception], ...] = (RecursionError,)
    amplifies = False
    object_size = 64
    objects_in_byte = 0.0

    def is_missing(self, value: Any) -> bool:
        """Return whether a value means None, where the type allows None.

        So do None, the NA and NaT of pandas, NaT of NumPy, a null of Arrow, and NaN for types that
        have no NaN of their own.
        """
        if value.__class__ is np.ndarray and value.ndim == 0:
            value = value[()]
        if value is None or is_missing(value):
            return True
        if float in self.present or not isinstance(value, (float, np.floating)):
            return False
        return bool(value != value)

    def missing(self, column: np.ndarray) -> np.ndarray:
        """Return which values of an array mean None, where the type allows None: bool, (n,)."""
        kinds = "mM"
        if float not in self.present:
            kinds += "f"
        if column.ndim > 1 or column.dtype.kind not in kinds:
            return np.zeros(len(column), bool)
        missing: np.ndarray = column != column
        return missing

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

    def weight(self, data: memoryview) -> int:
        """Return how many bytes the objects of a value take, at most, without making them."""
        return int(self.objects_in_byte * len(data))

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

    def pick(
        self,
        data: memoryview,
        copy: bool,
        path: Path,
        decoding: Any,
    ) -> Any:
        """Return one part of a value, without decoding the others.

        Args:
            data: the payload.
            copy: as of `load`.
            path: of the part: positions or slices of lists, names of parts, from the outside in.
            decoding: what `decode` says of the whole value; None: nothing.

        Raises:
            NoPartError: there is no such part.
            SchemaError: the type has none.
            CorruptError: as of `load`, as are others.
        """
        if path:
            raise SchemaError(f"{self.name} has no items: [{path[0]!r}] asks for one")
        if decoding is None:
            return self.load(data, copy)
        if decoding == "columns":
            return self.load_columns(data, copy)
        load = self.decoder(decoding, None)
        return load(data, copy)

    def __repr__(self) -> str:
        return self.name


class NoPartError(Exception):
    """A value has no such part.

    Attributes:
        message: what it has instead.
        kind: the class of the error that the user is to see.
    """

    def __init__(self, message: str, kind: type[LookupError]) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


def reading_error(error: Exception, kind: Type) -> DSRecordsError | None:
    """Return the error that a payload is no value of a type, or cannot be decoded here.

    Args:
        error: what reading the payload has raised.
        kind: the type.

    Returns:
        None if neither the payload nor its decoder is to blame: then `error` itself is to be seen.
    """
    if isinstance(error, (CorruptError, DecodeError, SchemaError, UnsupportedVersionError)):
        return error
    if isinstance(error, (DSRecordsError, ImportError, NoPartError)):
        return None
    if getattr(error, _OF_USER, False):
        return None
    if isinstance(error, kind.undecodable):
        return DecodeError(f"{kind.name} that cannot be decoded here: {_reason(error)}")
    if isinstance(error, kind.unreadable):
        return CorruptError(f"not {kind.name}: {error}")
    return None


def mark_as_users(error: Exception) -> None:
    """Note that a decoder of the user's has raised an error: no file is to blame for it."""
    if not isinstance(error, DSRecordsError):
        setattr(error, _OF_USER, True)


def writing_error(error: Exception, kind: Type) -> SchemaError | None:
    """Return the error that a value does not fit a type.

    Args:
        error: what writing the value has raised.
        kind: the type.

    Returns:
        None if the value is not to blame, or it names a file that cannot be read: then `error`
        itself is to be seen.
    """
    if isinstance(error, SchemaError):
        return error
    if isinstance(error, (DSRecordsError, OSError, MemoryError)):
        return None
    if isinstance(error, kind.unreadable):
        return SchemaError(f"{kind.name}: {_reason(error)}")
    return None


def cause_of(error: Exception, found: DSRecordsError) -> BaseException | None:
    """Return what has caused an error that was found in the place of another."""
    if found is error:
        return error.__cause__
    return error


def _reason(error: Exception) -> str:
    """Return what an error of another package says, with its class: many say nothing else."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def as_bytes(value: Any) -> bytes:
    """Return bytes, a bytearray or a memoryview as bytes. Raises SchemaError for anything else."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)  # a copy, because the caller may change its buffer afterwards
    error = unexpected("bytes", value)
    if isinstance(value, (str, os.PathLike)):
        error.message += "; for the path of a file use the type 'file', for text 'str'"
    raise error


def describe(value: Any) -> str:
    """Describe a value in a few words, for messages: "an int (5)", "a list of 3", "None"."""
    if value is None:
        return "None"
    if value is np.ma.masked:
        return "a missing value"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    type_name = type(value).__name__
    described = _with_article(type_name)
    if isinstance(value, _TYPES_SHOWN_WITH_VALUE):
        try:
            text = repr(value)
        except ValueError:  # an integer of more digits than Python writes
            return described
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
    if value is None:
        return SchemaError(f"{expected} expected, not None, which types with a ? take")
    return SchemaError(f"{expected} expected, not {describe(value)}")


def masked(expected: str) -> SchemaError:
    """Return the error that something else was expected than a masked array."""
    return SchemaError(f"{expected} expected, not a masked array: fill it first")


def wrong(kind: Type, value: Any) -> SchemaError:
    """Return the error that a value is not of type `kind`."""
    name = kind.name.rstrip("?")
    return unexpected(name, value)
