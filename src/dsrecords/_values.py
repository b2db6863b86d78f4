"""Types of single values: scalars, texts, bytes, JSON, lists. Knows nothing of files or samples.

A type turns a value into bytes (`dump`) and back (`load`). Both say what does not fit without saying where: whoever calls knows
the record and the field. `load` takes sizes and counts from a file, and checks each before it is used.
"""

from __future__ import annotations

import json
import math
import operator
import struct
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from .errors import CorruptError, SchemaError

NONE = 2**64 - 1  # the size of a payload that is None
PAD = tuple(bytes(n) for n in (0, 7, 6, 5, 4, 3, 2, 1))  # the zeros behind a payload of n bytes: PAD[n & 7]


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

    def row(self) -> np.ndarray | None:
        """An array of no values, (0, …), where all have one shape and dtype; else None."""
        return None

    def __repr__(self) -> str:
        return self.name


class Scalar(Type):
    """A number in the head of the record."""

    def __init__(self, name: str, code: str) -> None:
        self.name, self.code = name, code
        self.dtype = np.dtype(code).newbyteorder("<")
        self.width = self.dtype.itemsize
        self._struct = struct.Struct("<" + code)
        self.zero: Any = False if code == "?" else 0
        if self.dtype.kind in "iu":
            info = np.iinfo(self.dtype)
            self._low, self._high = int(info.min), int(info.max)
        self.check: Callable[[Any], Any] = {"b": self._check_bool, "f": self._check_float}.get(self.dtype.kind, self._check_int)

    def _check_bool(self, value: Any) -> Any:
        if value.__class__ is bool or isinstance(value, np.bool_):
            return value
        if isinstance(value, np.ndarray) and value.dtype == bool and not value.ndim and not isinstance(value, np.ma.MaskedArray):
            return bool(value)
        raise _wrong(self, value)

    def _check_int(self, value: Any) -> int:
        if value.__class__ is not int:
            try:
                value = operator.index(value)
            except TypeError:
                raise _wrong(self, value) from None
        if self._low <= value <= self._high:
            return value  # type: ignore[no-any-return]
        raise SchemaError(f"{value} is out of the range of {self.name}, {self._low} to {self._high}")

    def _check_float(self, value: Any) -> float:
        if value.__class__ is not float:
            # float() would also take texts, masked values, and arrays of one element
            refused = isinstance(value, (str, bytes, bytearray, np.complexfloating, np.ma.MaskedArray))
            if refused or (isinstance(value, np.ndarray) and value.ndim):
                raise _wrong(self, value)
            try:
                given, value = value, float(value)
            except (TypeError, ValueError):
                raise _wrong(self, value) from None
            except OverflowError:
                raise SchemaError(f"an integer is too large for {self.name}") from None
            if math.isinf(value) and given != value:  # a long double or a Decimal
                raise SchemaError(f"{given!r} is finite but would become infinite as {self.name}")
        if self.code != "d" and (value > 65503.0 or value < -65503.0) and not math.isinf(value):
            try:
                self._struct.pack(value)
            except OverflowError:
                raise SchemaError(f"{value!r} is finite but would become infinite as {self.name}") from None
        return value  # type: ignore[no-any-return]

    def dump(self, value: Any) -> bytes:
        return self._struct.pack(self.check(value))

    def load(self, data: memoryview, copy: bool) -> Any:
        if len(data) != self.width:
            raise CorruptError(f"{self.name} takes {self.width} bytes, here are {len(data)}")
        return self._struct.unpack(data)[0]


class Bytes(Type):
    name = "bytes"

    def dump(self, value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, (bytearray, memoryview)):
            return bytes(value)  # a copy: the caller may go on to change it
        raise _wrong(self, value)

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
        raise _wrong(self, value)

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


class List(Type):
    """A list of values of one type."""

    def __init__(self, item: Type) -> None:
        self.item, self.name, self.unreadable = item, f"list[{item.name}]", item.unreadable

    def dump(self, value: Any) -> bytes:
        if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, (str, bytes, bytearray, memoryview)):
            raise SchemaError(f"{self.name} takes a list or a tuple, not {describe(value)}")
        items = []
        for position, item in enumerate(value):
            try:
                items.append(self._dump_item(item))
            except SchemaError as error:
                raise SchemaError(f"item {position}: {error.message}") from None
        count = struct.pack("<Q", len(items))
        if isinstance(self.item, Scalar):
            zero = bytes(self.item.width)
            present = [bytes([item is not None]) for item in items] if self.item.nullable else []
            return b"".join([count, *(zero if item is None else item for item in items), *present])
        parts = [count, *(struct.pack("<Q", NONE if item is None else len(item)) for item in items)]
        for item in items:
            if item is not None:
                parts += [item, PAD[len(item) & 7]]
        return b"".join(parts)

    def _dump_item(self, item: Any) -> bytes | None:
        return None if item is None and self.item.nullable else self.item.dump(item)

    def load(self, data: memoryview, copy: bool) -> list[Any]:
        count = int.from_bytes(data[:8], "little")
        item, rest = self.item, data[8:]
        if isinstance(item, Scalar):
            size = count * item.width
            if len(data) < 8 or len(rest) != size + (count if item.nullable else 0):
                raise CorruptError(f"a list of {count} {item.name} does not take {len(data)} bytes")
            values: list[Any] = np.frombuffer(rest[:size], item.dtype).tolist()
            if not item.nullable:
                return values
            return [value if there else None for value, there in zip(values, rest[size:])]
        if len(data) < 8 or count > len(rest) // 8:
            raise CorruptError(f"a list of {count} items does not fit into {len(data)} bytes")
        values, at = [], 8 * count
        for size in struct.unpack_from(f"<{count}Q", rest):
            if size == NONE and item.nullable:
                values.append(None)
                continue
            if size > len(rest) - at:
                raise CorruptError(f"item {len(values)} of a list claims {size} bytes, {len(rest) - at} are left")
            values.append(item.load(rest[at : at + size], copy))
            at += (size + 7) & -8
        if at != len(rest):
            raise CorruptError(f"a list ends at byte {at + 8}, its payload at byte {len(data)}")
        return values


def describe(value: Any) -> str:
    """A value in a few words, for messages."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    text = repr(value) if isinstance(value, (str, bytes, int, float, complex, np.generic)) else ""
    if value is None:
        return "None"
    if isinstance(value, (Mapping, Set, Sequence)) and not text:
        return f"a {type(value).__name__} of {len(value)}"
    return f"a{'n' if type(value).__name__[0] in 'aeiouAEIOU' else ''} {type(value).__name__}" + (
        f" ({text[:40]}{'…' if len(text) > 40 else ''})" if text else ""
    )


def _wrong(kind: Type, value: Any) -> SchemaError:
    return SchemaError(f"{kind.name.rstrip('?')} expected, not {describe(value)}")


SCALARS = {
    "bool": "?", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I",
    "uint64": "Q", "float16": "e", "float32": "f", "float64": "d",
}  # fmt: skip
