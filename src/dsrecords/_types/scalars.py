"""Types whose values are stored as a number in the head of a record, and how heads are laid out.

Knows nothing of the single types: numbers, times, category, bfloat16.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._types.array_likes import as_column
from dsrecords._types.base import LIST_TYPES, DType, Type, describe
from dsrecords._types.casting import cast
from dsrecords.errors import CorruptError, SchemaError


class Scalar(Type):
    """Base of the types that are stored as a number in the head of a record.

    Attributes:
        code: struct code of the number.
        dtype: NumPy's dtype of the values in an array, little-endian.
        width: size of the number in bytes.
        pack: packs the number.
        zero: the value written to a column where the value is None.
        blank: the number that `struct` packs where the value is None.
        direct: Python's types whose values `struct` packs or refuses exactly as `to_number` does.
        from_number: turns the number that is stored into the value; None if that is the value.
    """

    present = Type.present - {np.ndarray}
    zero: Any = 0
    blank: Any = 0
    direct: frozenset[type] = frozenset()
    from_number: Callable[[Any], Any] | None = None

    def __init__(self, name: str, code: str, dtype: Any = None) -> None:
        self.name = name
        self.code = code
        self.dtype = np.dtype(dtype or code).newbyteorder("<")
        self.width = self.dtype.itemsize
        number = struct.Struct("<" + code)
        self.pack = number.pack
        self._unpack = number.unpack

    def to_number(self, value: Any) -> Any:
        """Return the number that is stored for a value. Raises SchemaError if it does not fit."""
        raise NotImplementedError

    def single(self, array: np.ndarray) -> np.ndarray:
        """Return an array of shape () as `array` does. Raises SchemaError for any other shape."""
        if array.ndim > 0:
            expected = self.name.rstrip("?")
            advice = "give one of its items, as array[0]"
            raise SchemaError(f"{expected} expected, not {describe(array)}: {advice}")
        return self.array(array, self.name)

    def given(self, values: Any) -> Any:
        """Return what was given as a column: an array-like as an array, masked where it has gaps.

        Raises SchemaError.
        """
        if isinstance(values, LIST_TYPES):
            return values
        column = as_column(values)
        if column is None:
            return values
        return column

    def numbers(self, column: np.ndarray) -> list[Any]:
        """Return an array of `dtype` as the numbers that `struct` unpacks."""
        numbers: list[Any] = column.view(f"<{self.code}").tolist()
        return numbers

    def array(self, values: Any, name: str) -> np.ndarray:
        """Return values as an array of `native()`, of any shape.

        Raises SchemaError if one does not fit; `name` is the type that the message names.
        """
        return cast(values, self.dtype, name)

    def column(self, values: Any) -> np.ndarray:
        """Return the numbers of many values as they are stored, (n,). Raises SchemaError."""
        if isinstance(values, LIST_TYPES):
            types = map(type, values)
            if values and self.direct.issuperset(types):
                codes = f"<{len(values)}{self.code}"
                with contextlib.suppress(struct.error, OverflowError):  # `array` says what is wrong
                    packed = struct.pack(codes, *values)  # 5 times faster than NumPy reads a list
                    return np.frombuffer(packed, self.dtype)
        array = self.array(values, self.name)
        return array.view(self.dtype)

    def shown(self, numbers: np.ndarray) -> np.ndarray:
        """Return the values of many numbers as an array of the same shape. Raises CorruptError."""
        return numbers

    def each(self, numbers: np.ndarray) -> list[Any]:
        """Return the values of many numbers, (n,), as a list. Raises CorruptError."""
        listed: list[Any] = numbers.tolist()
        from_number = self.from_number
        if from_number is None:
            return listed
        return [from_number(number) for number in listed]

    def native(self) -> DType:
        """Return the dtype that arrays of values are read with; their bytes are what is stored."""
        return self.dtype

    def dump(self, value: Any) -> bytes:
        number = self.to_number(value)
        return self.pack(number)

    def load(self, data: memoryview, copy: bool) -> Any:
        nbytes = len(data)
        if nbytes != self.width:
            raise CorruptError(f"{self.name} takes {self.width} bytes, here are {nbytes}")
        (number,) = self._unpack(data)
        if self.from_number is None:
            return number
        return self.from_number(number)
