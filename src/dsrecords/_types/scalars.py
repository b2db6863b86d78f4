"""Types that are numbers in the head of a record, and the values that they stand for. Knows nothing of files or samples."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import operator
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dsrecords._types.base import Load, Type, describe, wrong
from dsrecords.errors import CorruptError, SchemaError, optional

_MOST_NAMES, _LONGEST_NAME = 2**16, 255
_PLAIN = re.compile(r"[\w.+-]+")
_FLOAT32, _WORD = struct.Struct("<f"), struct.Struct("<I")


class Scalar(Type):
    """A number in the head of the record.

    `check` makes a number of a value, `give` the value of a number: None where the number is the value.
    """

    give: Callable[[Any], Any] | None = None
    # Python's types whose values `struct` takes as `check` does, and refuses where that does
    direct: frozenset[type] = frozenset()

    def __init__(self, name: str, code: str) -> None:
        self.name, self.code = name, code
        self.dtype = np.dtype(code).newbyteorder("<")
        self.width = self.dtype.itemsize
        self._struct = struct.Struct("<" + code)
        self.pack = self._struct.pack
        self.zero: Any = False if code == "?" else 0
        if self.dtype.kind in "iu":
            info = np.iinfo(self.dtype)
            self._low, self._high = int(info.min), int(info.max)
        if type(self) is Scalar:
            self.direct = frozenset({"b": (bool,), "f": (float, int)}.get(self.dtype.kind, (int,)))
        self.check: Callable[[Any], Any] = {"b": self._check_bool, "f": self._check_float}.get(self.dtype.kind, self._check_int)

    def _check_bool(self, value: Any) -> Any:
        if value.__class__ is bool or isinstance(value, np.bool_):
            return value
        if isinstance(value, np.ndarray) and value.dtype == bool and not value.ndim and not isinstance(value, np.ma.MaskedArray):
            return bool(value)
        raise wrong(self, value)

    def _check_int(self, value: Any) -> int:
        if value.__class__ is not int:
            try:
                value = int(value) if isinstance(value, np.bool_) else operator.index(value)
            except TypeError:
                raise wrong(self, value) from None
        if self._low <= value <= self._high:
            return value  # type: ignore[no-any-return]
        raise SchemaError(f"{value} is out of the range of {self.name}, {self._low} to {self._high}")

    def _check_float(self, value: Any) -> float:
        if value.__class__ is not float:
            # float() would also take texts, masked values, and arrays of one element
            refused = isinstance(value, (str, bytes, bytearray, np.complexfloating, np.ma.MaskedArray))
            if refused or (isinstance(value, np.ndarray) and value.ndim):
                raise wrong(self, value)
            try:
                given, value = value, float(value)
            except (TypeError, ValueError):
                raise wrong(self, value) from None
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

    def array(self, values: Any, name: str) -> np.ndarray:
        """Values as an array of the native dtype, of any shape; `name` of what it is for. Raises SchemaError."""
        return cast(values, self.dtype, name)

    def column(self, values: Any) -> np.ndarray:
        """The numbers of many values, (n,), as they lie in heads. Raises SchemaError."""
        if isinstance(values, (list, tuple)) and len(values) and self.direct.issuperset(map(type, values)):
            with contextlib.suppress(struct.error, OverflowError):  # five times faster than NumPy reads a list
                return np.frombuffer(struct.pack(f"<{len(values)}{self.code}", *values), self.dtype)
        return self.array(values, self.name).view(self.dtype)

    def shown(self, numbers: np.ndarray) -> np.ndarray:
        """The values of many numbers, in an array of the same shape. Raises CorruptError."""
        return numbers

    def each(self, numbers: np.ndarray) -> list[Any]:
        """The values of many numbers, (n,), as one by one they are read."""
        values: list[Any] = numbers.tolist()
        return values if self.give is None else [self.give(number) for number in values]

    def native(self) -> np.dtype[Any]:
        """The dtype of arrays of these values; what is stored are their bytes."""
        return self.dtype

    def dump(self, value: Any) -> bytes:
        return self.pack(self.check(value))

    def load(self, data: memoryview, copy: bool) -> Any:
        if len(data) != self.width:
            raise CorruptError(f"{self.name} takes {self.width} bytes, here are {len(data)}")
        number = self._struct.unpack(data)[0]
        return number if self.give is None else self.give(number)


class Time(Scalar):
    """`datetime64[unit]` and `timedelta64[unit]`: NumPy's, a count of units since 1970 or at all; the least number is NaT."""

    def __init__(self, name: str, unit: str) -> None:
        super().__init__(name, "q")
        self._python: tuple[type, ...] = (datetime.timedelta,)
        self._make: Any = np.timedelta64
        if name.startswith("datetime"):
            self._python, self._make = (datetime.date,), np.datetime64
        self.dtype = np.dtype(f"{name.partition('[')[0]}[{unit}]").newbyteorder("<")
        self.check, self.give = self._check_time, lambda number: self._make(number, unit)
        self.zero = self.give(0)

    def _check_time(self, value: Any) -> int:
        if isinstance(value, (str, bytes, list, tuple)):  # NumPy would read texts
            raise wrong(self, value)
        array = self.array(value, self.name)
        if array.ndim:
            raise wrong(self, value)
        return int(array.view(np.int64))

    def array(self, values: Any, name: str) -> np.ndarray:
        if isinstance(values, np.ma.MaskedArray):
            raise SchemaError(f"{name} expected, not a masked array: fill it first")
        try:
            if isinstance(values, (list, tuple)) and len({getattr(value, "dtype", None) for value in values}) > 1:
                values = np.array([self.array(value, name) for value in values])  # NumPy would find a unit for all, and wrap
            given = np.asarray(values)
        except SchemaError:
            raise
        except ValueError as error:  # rows of different lengths
            raise SchemaError(f"{name} expected: {error}") from None
        if given.dtype == object:  # what Python's own dates become
            for value in given.flat:
                if not isinstance(value, (*self._python, self._make)):
                    raise SchemaError(f"{name} expected, not {describe(value)}")
                if getattr(value, "tzinfo", None) is not None:
                    raise SchemaError(f"{name} has no time zone: convert {value} to UTC and remove its tzinfo")
            given = np.array([self._make(value) for value in given.flat]).reshape(given.shape)
        if not given.size and not isinstance(values, np.ndarray):  # an empty list has no type of its own
            given = given.astype(self.dtype)
        if given.dtype.kind != self.dtype.kind:
            raise SchemaError(f"{name} expected, not {describe(values)}")
        try:
            result = given.astype(self.dtype)
            lost = (result.astype(given.dtype) != given) & ~np.isnat(given) | (np.isnat(result) != np.isnat(given))
        except (TypeError, OverflowError) as error:  # months have no number of days
            raise SchemaError(f"{name} expected: {error}") from None
        if lost.any():
            raise SchemaError(f"{given[lost].flat[0]} is out of the range of {name}, or finer than its unit")
        return result

    def each(self, numbers: np.ndarray) -> list[Any]:
        return list(numbers)


class Category(Scalar):
    """One of some texts, stored as its number among them: a uint16."""

    _array: np.ndarray | None = None  # of the names

    def __init__(self, names: Sequence[str]) -> None:
        shown = ",".join(map(quote, names))
        super().__init__(f"category[{shown}]", "H")
        if len(names) > _MOST_NAMES or max(map(len, names), default=0) > _LONGEST_NAME:  # a column is an array of texts
            raise SchemaError(f"a category has at most {_MOST_NAMES} names of {_LONGEST_NAME} characters")
        if any("\0" in name for name in names):
            raise SchemaError("a category's name has no zero characters")  # at its end NumPy would drop it
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(names)}
        if not names or len(self._numbers) < len(names):
            raise SchemaError("a category has one or more names, each of them once")
        self.check, self.give, self.zero = self._check_name, self._name, self.names[0]

    def _check_name(self, value: Any) -> int:
        number = self._numbers.get(value) if isinstance(value, str) else None
        if number is None:
            some = ", ".join(self.names[:5]) + (", …" if len(self.names) > 5 else "")
            raise SchemaError(f"one of the {len(self.names)} names {some} expected, not {describe(value)}")
        return number

    def _name(self, number: int) -> str:
        if number >= len(self.names):
            raise CorruptError(f"a category of {len(self.names)} names has no number {number}")
        return self.names[number]

    def array(self, values: Any, name: str) -> np.ndarray:
        if np.ndim(values) != 1:
            raise SchemaError(f"{len(self.names)} categories: a list of their names expected, not {describe(values)}")
        return np.array([self._check_name(value) for value in values], self.dtype)

    def shown(self, numbers: np.ndarray) -> np.ndarray:
        if numbers.size:
            self._name(int(numbers.max()))
        if self._array is None:
            self._array = np.array(self.names)
        found: np.ndarray = self._array[numbers]
        return found

    def load_number(self, data: memoryview, copy: bool) -> int:
        """The number, for `decode="number"`."""
        self.load(data, copy)
        return int.from_bytes(data, "little")

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding != "number":
            raise SchemaError(f"decode of a category can be 'number', not {decoding!r}", field=field)
        return self.load_number


class BFloat16(Scalar):
    """The upper half of a float32: its range, 8 bits of precision. Arrays are of ml_dtypes.bfloat16."""

    def __init__(self) -> None:
        super().__init__("bfloat16", "H")
        self.check, self.give = lambda value: int(self._rounded(value)), self._float

    def native(self) -> np.dtype[Any]:
        native: np.dtype[Any] = np.dtype(optional("ml_dtypes", "ml_dtypes").bfloat16)
        return native

    def _rounded(self, value: Any) -> np.ndarray:
        if getattr(value, "dtype", None) != self.native():
            value = _AS_FLOAT64.check(value)
        return self.array(value, self.name).view(self.dtype)

    def _float(self, number: int) -> float:
        return float(_FLOAT32.unpack(_WORD.pack(number << 16))[0])

    def array(self, values: Any, name: str) -> np.ndarray:
        native = self.native()
        with contextlib.suppress(ValueError):  # rows of different lengths, of which `cast` says more
            given = np.asarray(values)
            if given.dtype == native and not isinstance(values, np.ma.MaskedArray):
                return given
        numbers = cast(values, np.dtype("<f8"), name)
        with np.errstate(over="ignore"):
            result = numbers.astype(native)
        if (lost := np.isinf(result.astype("<f4")) & np.isfinite(numbers)).any():
            raise SchemaError(f"{numbers[lost].flat[0].item()!r} is out of the range of {name}")
        return result

    def shown(self, numbers: np.ndarray) -> np.ndarray:
        return numbers.view(self.native())


def quote(name: Any) -> str:
    """A name as it stands in the name of a type: as it is if it is plain, else as JSON."""
    if not isinstance(name, str) or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise SchemaError(f"a name is Unicode text, not {name!r}")
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def lay_out(scalars: Sequence[Scalar], start: int) -> tuple[str, list[int], list[int], list[int], int]:
    """Where numbers lie, from byte `start` on: the wide ones first, then which of those that may be None are there.

    Returns:
        struct codes up to the end; of each scalar the byte where it lies and its position among what is packed; of those that
        may be None, in their order, the byte that says so (its position follows those of the numbers); the end.
    """
    position, codes = start, ""
    places, slots, presences = [0] * len(scalars), [0] * len(scalars), []
    for slot, number in enumerate(sorted(range(len(scalars)), key=lambda i: -scalars[i].width)):  # stable
        scalar = scalars[number]
        at = -(-position // scalar.width) * scalar.width
        codes += f"{at - position}x{scalar.code}"
        places[number], slots[number], position = at, slot, at + scalar.width
    for scalar in scalars:
        if scalar.nullable:
            codes += "B"
            presences.append(position)
            position += 1
    end = (position + 7) & -8
    return f"{codes}{end - position}x", places, slots, presences, end


def cast(value: Any, dtype: np.dtype[Any], name: str) -> np.ndarray:
    """`value` as an array of `dtype`, refusing what would change it beyond rounding.

    That is: a fraction to an integer, a number out of range, a finite one to an infinite one.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise SchemaError(f"{name} expected, not a masked array: fill it first")
    try:
        array = np.asarray(value)
    except (ValueError, UserWarning) as error:  # masked values, where warnings are errors
        text = "not lists of different lengths" if "inhomogeneous" in str(error) else str(error)
        raise SchemaError(f"{name} expected, {text}") from None
    if isinstance(value, (list, tuple)) and array.dtype.kind == "f" and np.isnan(array).any() and _holds_masked(value):
        raise SchemaError(f"{name} expected, not masked values")
    if array.dtype == dtype:
        return array
    allowed = {"b": "b", "i": "biu", "u": "biu", "f": "biuf"}[dtype.kind]
    if not array.size and not isinstance(value, (np.ndarray, np.generic)):
        allowed += array.dtype.kind  # an empty list has no type of its own
    if array.dtype.kind not in allowed:
        raise SchemaError(f"{name} expected, not {describe(array)}")
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype.kind == "f" and array.dtype.kind in "iu":
            array = array.astype(np.float64)  # as `struct` does: rounded twice, or the two would differ beyond 2 to the 53
        result: np.ndarray = array.astype(dtype)
    overflow = np.isinf(result) & np.isfinite(array)
    lost = overflow if dtype.kind == "f" else (result != array) | ((result < 0) != (array < 0))
    if lost.any():
        raise SchemaError(f"{array[lost].flat[0].item()!r} is out of the range of {name}")
    return result


def _holds_masked(value: Any) -> bool:
    """Whether there are masked values in a list, which NumPy takes for NaN."""
    return any(item is np.ma.masked or (isinstance(item, (list, tuple)) and _holds_masked(item)) for item in value)


SCALARS = {
    "bool": "?", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I",
    "uint64": "Q", "float16": "e", "float32": "f", "float64": "d",
}  # fmt: skip
_AS_FLOAT64 = Scalar("bfloat16", "d")  # to check what is rounded afterwards
