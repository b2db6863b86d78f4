"""`datetime64[unit]` and `timedelta64[unit]`. Knows nothing of files, fields or records."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._types.base import LIST_TYPES, masked, unexpected, wrong
from dsrecords._types.names import shorten
from dsrecords._types.scalars import Scalar
from dsrecords.errors import SchemaError

UNITS = (
    "Y",  # years
    "M",  # months
    "W",  # weeks
    "D",  # days
    "h",  # hours
    "m",  # minutes
    "s",
    "ms",
    "us",
    "ns",
    "ps",
    "fs",
    "as",
)
_NUMPY_TYPES: dict[str, Any] = {
    "datetime64": np.datetime64,
    "timedelta64": np.timedelta64,
}
_PYTHON_TYPES = {
    "datetime64": datetime.date,  # and datetime, which is a date
    "timedelta64": datetime.timedelta,
}
_NO_TIMES = (str, bytes, list, tuple)  # NumPy would parse strings


class Time(Scalar):
    """NumPy's `datetime64[unit]` or `timedelta64[unit]`, stored as an int64.

    The number is a count of units, for a datetime since 1970; the lowest stands for NaT.
    """

    def __init__(self, kind: str, unit: str) -> None:
        if unit not in UNITS:
            known = ", ".join(UNITS)
            given = shorten(unit)
            raise SchemaError(f"{kind} has one of the units {known}, not {given}")
        super().__init__(f"{kind}[{unit}]", "q")
        self.dtype = np.dtype(self.name).newbyteorder("<")
        numpy_type = _NUMPY_TYPES[kind]
        self._numpy_type = numpy_type
        self._accepted_types = (numpy_type, _PYTHON_TYPES[kind])

        # Called for each value that is read. A method would look up two attributes each time.
        def from_number(number: int) -> Any:
            return numpy_type(number, unit)

        self.from_number = from_number
        self.zero = from_number(0)

    def to_number(self, value: Any) -> int:
        if isinstance(value, _NO_TIMES):
            raise wrong(self, value)
        array = self.array(value, self.name)
        if array.ndim > 0:
            raise wrong(self, value)
        number = array.view(np.int64)
        return int(number)

    def array(self, values: Any, name: str) -> np.ndarray:
        if isinstance(values, np.ma.MaskedArray):
            raise masked(name)
        times = self._read(values, name)
        if times.dtype == self.dtype:
            return times
        is_empty_list = times.size == 0 and not isinstance(values, np.ndarray)
        if is_empty_list:  # it has no type of its own
            return times.astype(self.dtype)
        if times.dtype.kind != self.dtype.kind:
            raise unexpected(name, values)
        return self._convert(times, name)

    def each(self, numbers: np.ndarray) -> list[Any]:
        return list(numbers)

    def _read(self, values: Any, name: str) -> np.ndarray:
        """Return values as an array of NumPy's times, of any unit, or of whatever else they are."""
        try:
            if isinstance(values, LIST_TYPES):
                values = self._of_one_unit(values, name)
            array = np.asarray(values)
            if array.dtype == object and array.size > 0:
                times = self._from_objects(array, name)
                array = times.reshape(array.shape)
        except SchemaError:
            raise
        except ValueError as error:  # rows of different lengths
            raise SchemaError(f"{name} expected: {error}") from None
        return array

    def _of_one_unit(self, values: Sequence[Any], name: str) -> Sequence[Any]:
        """Return values or rows of values, converted to `dtype` unless all have one dtype.

        NumPy would convert them to the finest of their units, and wrap those that do not fit.
        """
        first = next(iter(values), None)
        if not isinstance(first, LIST_TYPES):
            dtypes = {getattr(value, "dtype", None) for value in values}
            if len(dtypes) <= 1:
                return values
        return [self.array(value, name) for value in values]

    def _from_objects(self, objects: np.ndarray, name: str) -> np.ndarray:
        """Return Python's times, or single ones of NumPy's, as an array (n,) of NumPy's times."""
        times = []
        for value in objects.flat:
            if not isinstance(value, self._accepted_types):
                raise unexpected(name, value)
            if getattr(value, "tzinfo", None) is not None:
                advice = f"convert {value} to UTC and remove its tzinfo"
                raise SchemaError(f"{name} has no time zone: {advice}")
            time = self._numpy_type(value)
            times.append(time)
        of_one_unit = self._of_one_unit(times, name)
        return np.array(of_one_unit)

    def _convert(self, times: np.ndarray, name: str) -> np.ndarray:
        """Return times as an array of `dtype`. Raises SchemaError if one would change."""
        try:
            converted = times.astype(self.dtype)
            back = converted.astype(times.dtype)
        except (TypeError, OverflowError) as error:  # months have no number of days
            raise SchemaError(f"{name} expected: {error}") from None
        was_missing = np.isnat(times)
        is_missing = np.isnat(converted)
        differs = back != times  # true also for NaT, which is not equal to itself
        changed = differs & ~was_missing
        lost = changed | (is_missing != was_missing)
        if lost.any():
            first = times[lost].flat[0]
            raise SchemaError(f"{first} is out of the range of {name}, or finer than its unit")
        return converted
