"""`datetime64[unit]`, which may be in UTC, and `timedelta64[unit]`.

Knows nothing of files, fields or records.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._types.base import LIST_TYPES, unexpected, wrong
from dsrecords._types.casting import to_array
from dsrecords._types.names import shorten
from dsrecords._types.nullable_arrays import Instant, is_nat
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
_OTHER_TYPES: dict[str, tuple[type, ...]] = {
    "datetime64": (datetime.date, Instant),  # datetime, and the Timestamp of pandas, are dates
    "timedelta64": (datetime.timedelta,),  # as the Timedelta of pandas is
}
_EXACT = (  # methods of pandas that keep nanoseconds, which NumPy by itself does not
    "to_datetime64",
    "to_timedelta64",
)
UTC = "UTC"
_NO_TIMES = (str, bytes, list, tuple)  # NumPy would parse strings


class Time(Scalar):
    """NumPy's `datetime64[unit]` or `timedelta64[unit]`, stored as an int64.

    The number is a count of units, for a datetime since 1970; the lowest stands for NaT. Of
    `datetime64[unit,UTC]`, values have a time zone when they are given; what is stored and read is
    the same time in UTC. NumPy's own times have no zone, and are taken to be in UTC.

    Attributes:
        in_utc: whether it is `datetime64[unit,UTC]`.
    """

    present = frozenset(
        (
            datetime.datetime,
            datetime.date,
            datetime.timedelta,
        )
    )

    def __init__(self, kind: str, unit: str, in_utc: bool = False) -> None:
        if unit not in UNITS:
            known = ", ".join(UNITS)
            given = shorten(unit)
            raise SchemaError(f"{kind} has one of the units {known}, not {given}")
        dtype = f"{kind}[{unit}]"
        name = dtype
        self._name_in_utc = f"{kind}[{unit},{UTC}]"
        if in_utc:
            name = self._name_in_utc
        super().__init__(name, "q", dtype)
        self.in_utc = in_utc
        numpy_type = _NUMPY_TYPES[kind]
        self._numpy_type = numpy_type
        self._accepted_types = (numpy_type, *_OTHER_TYPES[kind])

        # Called for each value that is read. A method would look up two attributes each time.
        def from_number(number: int) -> Any:
            return numpy_type(number, unit)

        self.from_number = from_number
        self.zero = from_number(0)

    def given(self, values: Any) -> Any:
        column = super().given(values)
        if column is not values:
            self._require_zone(column)
        return column

    def _require_zone(self, times: np.ndarray) -> None:
        """Raise SchemaError if another package than NumPy gives times of no zone, and one is due.

        Args:
            times: what it gives: of those with a zone, an array of objects.
        """
        if self.in_utc and times.dtype.kind == "M":
            expected = self.name.rstrip("?")
            raise SchemaError(f"{expected} takes times with a time zone: these have none")

    def to_number(self, value: Any) -> int:
        if isinstance(value, _NO_TIMES):
            raise self._no_time(value, self.name.rstrip("?"))
        array = self.array(value, self.name)
        if array.ndim > 0:
            raise wrong(self, value)
        number = array.view(np.int64)
        return int(number)

    def array(self, values: Any, name: str) -> np.ndarray:
        if isinstance(values, self._numpy_type):  # the usual one
            values = np.asarray(values)
        if values.__class__ is np.ndarray and values.dtype == self.dtype:
            given: np.ndarray = values
            return given
        times = self._read(values, name)
        if times.dtype == self.dtype:
            return times
        is_empty_list = times.size == 0 and isinstance(values, LIST_TYPES)
        if is_empty_list:  # it has no type of its own
            return times.astype(self.dtype)
        if times.dtype.kind != self.dtype.kind:
            raise self._no_time(values, name.rstrip("?"))
        return self._convert(times, name)

    def each(self, numbers: np.ndarray) -> list[Any]:
        return list(numbers)

    def _read(self, values: Any, name: str) -> np.ndarray:
        """Return values as an array of NumPy's times, of any unit, or of whatever else they are."""
        given = values
        if isinstance(values, LIST_TYPES):
            values = self._of_one_unit(values, name)
        array = to_array(values, name)
        if not isinstance(given, (*LIST_TYPES, np.ndarray, np.generic)):
            self._require_zone(array)
        if array.dtype == object and array.size > 0:
            times = self._from_objects(array, name)
            array = times.reshape(array.shape)
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
        """Return Python's times, pandas' or single ones of NumPy's as an array (n,) of NumPy's."""
        times = []
        for value in objects.flat:
            time = self._from_object(value, name)
            times.append(time)
        of_one_unit = self._of_one_unit(times, name)
        return np.array(of_one_unit)

    def _no_time(self, value: Any, name: str) -> SchemaError:
        """The error that a value is no time, which says how NumPy makes one of it."""
        error = unexpected(name, value)
        if isinstance(value, (str, int)):
            unit, _ = np.datetime_data(self.dtype)
            maker = f"numpy.{self._numpy_type.__name__}(value, {unit!r})"
            error.message += f"; {maker} makes one"
        return error

    def _from_object(self, value: Any, name: str) -> Any:
        name = name.rstrip("?")
        if is_nat(value):
            unit, _ = np.datetime_data(self.dtype)
            return self._numpy_type("NaT", unit)
        if not isinstance(value, self._accepted_types):
            raise self._no_time(value, name)
        if isinstance(value, self._numpy_type):
            return value
        zone = getattr(value, "tzinfo", None)
        if zone is not None and not self.in_utc:
            raise SchemaError(
                f"{name} has no time zone, {value} has one: the type {self._name_in_utc} takes it"
            )
        if zone is None and self.in_utc:
            raise SchemaError(
                f"{name} takes times with a time zone, {value} has none: say which, as in "
                "value.replace(tzinfo=datetime.timezone.utc)"
            )
        for method in _EXACT:
            convert = getattr(value, method, None)
            if convert is not None:
                return convert()
        if zone is not None:
            value = _in_utc(value)
        return self._numpy_type(value)

    def _convert(self, times: np.ndarray, name: str) -> np.ndarray:
        """Return times as an array of `dtype`. Raises SchemaError if one would change."""
        try:
            converted = times.astype(self.dtype)
            back = converted.astype(times.dtype)
        except OverflowError:  # earlier versions of NumPy wrap around
            raise self._out_of_range(times, name) from None
        except TypeError as error:  # months have no number of days
            raise SchemaError(f"{name} expected: {error}") from None
        was_missing = np.isnat(times)
        is_missing = np.isnat(converted)
        differs = back != times  # true also for NaT, which is not equal to itself
        changed = differs & ~was_missing
        lost = changed | (is_missing != was_missing)
        if lost.any():
            first = times[lost].flat[0]
            raise _lossy(first, name)
        return converted

    def _out_of_range(self, times: np.ndarray, name: str) -> SchemaError:
        """The error of the first of some times that this dtype cannot hold."""
        for time in times.flat:
            try:
                time.astype(self.dtype)
            except OverflowError:
                return _lossy(time, name)
        return SchemaError(f"{name} expected: the times are out of its range")


def _lossy(time: Any, name: str) -> SchemaError:
    return SchemaError(f"{time} is out of the range of {name}, or finer than its unit")


def _in_utc(value: datetime.datetime) -> datetime.datetime:
    try:
        in_utc = value.astimezone(datetime.timezone.utc)
    except OverflowError:
        raise SchemaError(f"{value} is out of the range of datetime in UTC") from None
    return in_utc.replace(tzinfo=None)
