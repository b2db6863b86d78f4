"""`bool`, integers, floats and complex numbers. Knows nothing of files, fields or records."""

from __future__ import annotations

import math
import operator
import struct
from typing import Any

import numpy as np

from dsrecords._types.array_likes import as_array
from dsrecords._types.base import wrong
from dsrecords._types.scalars import Scalar
from dsrecords.errors import SchemaError

SCALARS = {  # names of the types of numbers, and their struct codes
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "float16": "e",
    "float32": "f",
    "float64": "d",
    "complex64": "8s",
    "complex128": "16s",
}


_INTEGERS = (
    int,
    np.integer,
)
_PLAIN_NUMBERS = (
    int,
    float,
    np.number,
    np.bool_,
)


class Bool(Scalar):
    """`bool`."""

    zero = False
    direct = frozenset({bool})

    def to_number(self, value: Any) -> Any:
        if value.__class__ is bool or isinstance(value, np.bool_):
            return value
        array = as_array(value)
        if array is None:
            raise wrong(self, value)
        return self.single(array).item()


class Integer(Scalar):
    """`int8` to `int64` and `uint8` to `uint64`."""

    direct = frozenset({int})

    def __init__(self, name: str, code: str) -> None:
        super().__init__(name, code)
        limits = np.iinfo(self.dtype)
        self._lowest = int(limits.min)
        self._highest = int(limits.max)

    def to_number(self, value: Any) -> int:
        if value.__class__ is not int:
            try:
                if not isinstance(value, _INTEGERS):
                    value = self._to_integer(value)
                value = operator.index(value)
            except TypeError:
                raise wrong(self, value) from None
        if self._lowest <= value <= self._highest:
            return value  # type: ignore[no-any-return]
        limits = f"{self._lowest} to {self._highest}"
        raise SchemaError(f"{value} is out of the range of {self.name}, {limits}")

    def _to_integer(self, value: Any) -> Any:
        """Return the integer of an array-like; any other value as it is."""
        if isinstance(value, np.bool_):  # which is no integer to `operator.index`
            return int(value)
        if not isinstance(value, _PLAIN_NUMBERS):
            array = as_array(value)
            if array is not None:
                return self.single(array).item()
        return value


_NO_FLOATS = (
    str,  # which float() would parse, as the next two
    bytes,
    bytearray,
    np.complexfloating,  # of which float() would lose the imaginary part
    np.timedelta64,  # of which it would lose the unit
)


class Float(Scalar):
    """`float16`, `float32` and `float64`. Values are rounded, but never to an infinity."""

    present = Scalar.present | {float}

    direct = frozenset({float, int})

    def to_number(self, value: Any) -> float:
        if value.__class__ is not float:
            value = self._to_float(value)
        # Between these bounds a number is finite even as a float16. Most values end here.
        if self.code == "d" or 65503.0 >= value >= -65503.0 or math.isinf(value):
            return value  # type: ignore[no-any-return]
        try:
            self.pack(value)
        except OverflowError:
            raise self._would_be_infinite(value) from None
        return value  # type: ignore[no-any-return]

    def _to_float(self, value: Any) -> float:
        if isinstance(value, _NO_FLOATS):
            raise wrong(self, value)
        if not isinstance(value, _PLAIN_NUMBERS):
            array = as_array(value)
            if array is not None:
                single: float = self.single(array).item()
                return single
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise wrong(self, value) from None
        except OverflowError:
            raise SchemaError(f"an integer is too large for {self.name}") from None
        if math.isinf(number) and value != number:  # a long double or a Decimal
            raise self._would_be_infinite(value)
        return number

    def _would_be_infinite(self, value: Any) -> SchemaError:
        return SchemaError(f"{value!r} is finite but would become infinite as {self.name}")


class Complex(Scalar):
    """`complex64` and `complex128`: the real part, then the imaginary one. Rounded as floats are.

    No code of `struct` is of complex numbers, so heads hold them as bytes.
    """

    blank = b""
    present = Scalar.present | {float, complex}

    def __init__(self, name: str, code: str) -> None:
        super().__init__(name, code, name)
        part = np.finfo(self.dtype).dtype.char
        self._parts = struct.Struct(f"<2{part}")

    def to_number(self, value: Any) -> bytes:
        array = as_array(value)
        if array is None:
            if not isinstance(value, (complex, float, int)):
                raise wrong(self, value)
            array = np.asarray(value)
        return self.single(array).tobytes()

    def from_number(self, number: bytes) -> complex:
        real, imaginary = self._parts.unpack(number)
        return complex(real, imaginary)

    def each(self, numbers: np.ndarray) -> list[Any]:
        values: list[Any] = numbers.tolist()
        return values

    def numbers(self, column: np.ndarray) -> list[Any]:
        raw: list[Any] = column.view(f"V{self.width}").tolist()
        return raw


def number_type(name: str) -> Scalar:
    """Return the type with this name, one of `SCALARS`."""
    code = SCALARS[name]
    if name == "bool":
        return Bool(name, code)
    if name.startswith("float"):
        return Float(name, code)
    if name.startswith("complex"):
        return Complex(name, code)
    return Integer(name, code)
