"""Types of single values: what all have in common; texts, bytes, JSON. Knows nothing of files or samples.

A type turns a value into bytes (`dump`) and back (`load`). Both say what does not fit without saying where: whoever calls knows
the record and the field. `load` takes sizes and counts from a file, and checks each before it is used.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from dsrecords.errors import CorruptError, SchemaError

Load = Callable[[memoryview, bool], Any]
NONE = 2**64 - 1  # the size of a payload that is None
PAD = tuple(bytes(n) for n in (0, 7, 6, 5, 4, 3, 2, 1))  # the zeros behind a payload of n bytes: PAD[n & 7]
_DECODED = "images, audio, categories, messages and lists of structs"


class Type:
    """Base of all types. `name` is what a schema calls it, `?` included; `code` is a scalar's struct code, else empty."""

    name = ""
    code = ""
    nullable = False
    # What turns bytes that passed their checksum into a value can still find nonsense; anything else it raises is a defect.
    unreadable: tuple[type[Exception], ...] = (ValueError, TypeError, KeyError, OverflowError, RecursionError, struct.error)

    def dump(self, value: Any) -> bytes:
        """The bytes of a value (not None). Raises SchemaError, or what the value itself raises on the way."""
        raise SchemaError(f"type {self.name} cannot be written")

    def accept(self, data: bytes) -> bytes:
        """The bytes that a serializer made, once they are known to be a payload of this type."""
        return Bytes().dump(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        """The value of these bytes: owned if `copy`, else perhaps a read-only view of them. Raises CorruptError."""
        raise CorruptError(f"type {self.name} cannot be read")

    def plain(self, data: memoryview) -> memoryview:
        """The bytes that a deserializer gets."""
        return data

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        """The same, where lists of numbers are arrays and lists of structs are dicts of columns."""
        return self.load(data, copy)

    def row(self) -> np.ndarray | None:
        """An array of no values, (0, …), where all have one shape and dtype; else None."""
        return None

    def stored_row(self) -> np.ndarray | None:
        """The same, where that array's bytes are the payloads as they are stored."""
        return self.row()

    def decoder(self, decoding: Any, field: Any) -> Load:
        """The function for `decode={field: decoding}`. Raises SchemaError."""
        raise SchemaError(f"decode is for {_DECODED}, this is {self.name}", field=field)

    def __repr__(self) -> str:
        return self.name


class Bytes(Type):
    name = "bytes"

    def dump(self, value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, (bytearray, memoryview)):
            return bytes(value)  # a copy: the caller may go on to change it
        raise wrong(self, value)

    def load(self, data: memoryview, copy: bool) -> Any:
        return bytes(data) if copy else data


class Custom(Type):
    """Bytes that a function of the user's wrote: only functions of the user's can write and read them."""

    def __init__(self, function: str) -> None:
        self.function, self.name = function, f"custom({function})"

    def dump(self, value: Any) -> bytes:
        raise SchemaError(f"written by the serializer {self.function}, which is not in the file: give serializers=[...]")

    def load(self, data: memoryview, copy: bool) -> Any:
        raise SchemaError(
            f"written by the serializer {self.function}, which is not in the file: give its deserializer, as in "
            "IndexedRecordDataset(path, deserializers=[...]); io.identity gives the bytes"
        )


class Str(Type):
    name = "str"

    def dump(self, value: Any) -> bytes:
        if isinstance(value, str):
            return value.encode()
        raise wrong(self, value)

    def load(self, data: memoryview, copy: bool) -> str:
        return str(data, "utf-8")


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


class Json(Type):
    """Whatever `json` can write, but NaN and the infinities, which JSON does not have."""

    name = "json"
    _encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    _decode = json.JSONDecoder(parse_constant=_no_constant).decode

    def dump(self, value: Any) -> bytes:
        return self._encode(value).encode()

    def load(self, data: memoryview, copy: bool) -> Any:
        return self._decode(str(data, "utf-8"))


def describe(value: Any) -> str:
    """A value in a few words, for messages."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    text = repr(value) if isinstance(value, (str, bytes, int, float, complex, np.generic)) else ""
    if value is None:
        return "None"
    if isinstance(value, (Mapping, Set, Sequence)) and not text:
        return f"a {type(value).__name__} of {len(value)}"
    name = type(value).__name__
    article = "" if name == "bytes" else "an " if name[0] in "aeiouAEIOU" else "a "
    return article + name + (f" ({text[:40]}{'…' if len(text) > 40 else ''})" if text else "")


def wrong(kind: Type, value: Any) -> SchemaError:
    """The error of a value of another type."""
    return SchemaError(f"{kind.name.rstrip('?')} expected, not {describe(value)}")
