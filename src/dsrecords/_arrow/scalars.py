"""Numbers, times and categories in Arrow."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._arrow.base import (
    Form,
    Values,
    array_of_numbers,
    built,
    mask_array,
    masked,
    masked_numbers,
    missing,
    pyarrow,
    restored_each,
)
from dsrecords._types.category import Category
from dsrecords._types.scalars import Scalar
from dsrecords._types.times import UTC, Time
from dsrecords.errors import CorruptError, SchemaError

_HIGHER_HALF = np.uint32(
    16
)  # bits that a bfloat16 is shifted by, to be the upper half of a float32
_ARROWS_UNITS = ("s", "ms", "us", "ns")
_OF_SECONDS = ("m", "h")  # units that are so many seconds
_OF_DAYS = ("D", "W")  # units that are so many days
_OF_THE_CALENDAR = ("M", "Y")  # units that have no one length
_INT32 = np.iinfo(np.int32)


class NumberForm(Form):
    """`bool`, integers and floats: Arrow has the same.

    Attributes:
        dtype: of an array of them.
    """

    def __init__(self, kind: Scalar) -> None:
        self.dtype = kind.dtype
        super().__init__(kind, kind, pyarrow().from_numpy_dtype(kind.dtype))

    def build(self, values: Values) -> Any:
        if isinstance(values, np.ndarray):
            return array_of_numbers(values, self.arrow_type)
        return built(values, self.arrow_type)

    def restore(self, array: Any) -> Values:
        return masked_numbers(array)


class BFloat16Form(Form):
    """`bfloat16`: a float32, which keeps it exactly."""

    def __init__(self, kind: Scalar) -> None:
        super().__init__(kind, kind, pyarrow().float32())

    def build(self, values: Values) -> Any:
        if not isinstance(values, np.ndarray):
            return built(values, self.arrow_type)
        halves = np.ma.getdata(values).view(np.uint16)
        bits = halves.astype(np.uint32) << _HIGHER_HALF
        floats = bits.view(np.float32)
        if isinstance(values, np.ma.MaskedArray):
            mask = np.ma.getmaskarray(values)
            floats = np.ma.MaskedArray(floats, mask)
        return array_of_numbers(floats, self.arrow_type)

    def restore(self, array: Any) -> Values:
        return masked_numbers(array)


class ComplexForm(Form):
    """`complex64` and `complex128`: a list of two floats, the real part and the imaginary one.

    Attributes:
        dtype: of an array of them.
    """

    def __init__(self, kind: Scalar) -> None:
        self.dtype = kind.dtype
        self._part = np.finfo(kind.dtype).dtype
        part = pyarrow().from_numpy_dtype(self._part)
        super().__init__(kind, kind, pyarrow().list_(part, 2))

    def build(self, values: Values) -> Any:
        mask = None
        if isinstance(values, np.ma.MaskedArray):
            mask = np.ma.getmaskarray(values)
            values = values.data
        elif not isinstance(values, np.ndarray):
            mask = missing(values)
            present = [value or 0 for value in values]
            values = np.array(present, self.dtype)
        contiguous = np.ascontiguousarray(values)
        parts = contiguous.view(self._part)
        items = array_of_numbers(parts, None)
        return pyarrow().FixedSizeListArray.from_arrays(
            items,
            type=self.arrow_type,
            mask=mask_array(mask),
        )

    def restore(self, array: Any) -> Values:
        items = array.drop_null().flatten()
        parts = masked_numbers(items)
        if isinstance(parts, np.ma.MaskedArray):
            raise SchemaError("a complex number of which a part is null")
        contiguous = np.ascontiguousarray(parts)
        present = contiguous.view(self.dtype)
        if array.null_count == 0:
            return present
        is_present = array.is_valid().to_numpy(zero_copy_only=False)
        numbers = np.zeros(len(array), self.dtype)
        numbers[is_present] = present
        return masked(numbers, array)


class TimeForm(Form):
    """Times: timestamps, dates and durations, where Arrow has the unit; else the numbers.

    Arrow has no NaT: it is null, and null is NaT again where the type does not take None.
    """

    def __init__(self, kind: Time) -> None:
        self._dtype = kind.dtype
        self._nullable = kind.nullable
        unit, _ = np.datetime_data(kind.dtype)
        self._unit = _arrows_unit(kind, unit)
        super().__init__(kind, kind, _type_of_times(kind, self._unit))

    def build(self, values: Values) -> Any:
        if not isinstance(values, np.ndarray):
            values = self._listed(values)
        arrow = pyarrow()
        times = np.ma.getdata(values)
        is_missing = np.isnat(times) | np.ma.getmaskarray(values)
        mask = None
        if is_missing.any():
            mask = is_missing
        if self._unit is not None:
            times = self._converted(times, is_missing)
        numbers = times.view(np.int64)
        if self._unit == "D":
            numbers = numbers.astype(np.int32)
        counts = arrow.array(numbers, mask=mask)
        return counts.cast(self.arrow_type)

    def _listed(self, values: Any) -> np.ndarray:
        """Return a list of times, None among them, as an array."""
        times = np.full(len(values), "NaT", self._dtype)
        for position, value in enumerate(values):
            if value is not None:
                times[position] = value
        return times

    def _converted(self, times: np.ndarray, is_missing: np.ndarray) -> np.ndarray:
        """Return times in the unit that Arrow has. Raises SchemaError if one is out of range."""
        kind = self._dtype.kind
        zero = np.zeros(1, self._dtype)
        filled = np.where(is_missing, zero, times)
        try:
            converted = filled.astype(f"{kind}8[{self._unit}]")
            back = converted.astype(self._dtype)
            fits = back == filled
        except OverflowError:  # earlier versions of NumPy wrap around
            raise self._out_of_range() from None
        if self._unit == "D":
            days = converted.view(np.int64)
            fits &= (days >= _INT32.min) & (days <= _INT32.max)
        if not fits.all():
            raise self._out_of_range()
        return converted

    def _out_of_range(self) -> SchemaError:
        return SchemaError(f"a time of {self.kind.name} is out of the range of {self.arrow_type}")

    def has_null_of_its_own(self) -> bool:
        return True

    def restore(self, array: Any) -> Values:
        if self._unit is None:
            numbers = np.ma.getdata(masked_numbers(array))
            times = numbers.view(self._dtype)
        else:
            times = array.to_numpy(zero_copy_only=False)
        if self._nullable or array.null_count == 0:
            return masked(times, array)
        nat = np.array("NaT", times.dtype)
        is_missing = array.is_null().to_numpy(zero_copy_only=False)
        return np.where(is_missing, nat, times)


def _arrows_unit(kind: Time, unit: str) -> str | None:
    """Return the unit in which Arrow holds times of a unit; None if it has none."""
    is_date = kind.dtype.kind == "M"
    if unit in _ARROWS_UNITS:
        return unit
    if unit in _OF_SECONDS:
        return "s"
    if unit in _OF_THE_CALENDAR and not is_date:
        return None
    if unit not in _OF_DAYS + _OF_THE_CALENDAR:
        return None
    if is_date and not kind.in_utc:
        return "D"
    return "s"


def _type_of_times(kind: Time, unit: str | None) -> Any:
    arrow = pyarrow()
    if unit is None:
        return arrow.int64()
    if kind.dtype.kind == "m":
        return arrow.duration(unit)
    if unit == "D":
        return arrow.date32()
    if kind.in_utc:
        return arrow.timestamp(unit, UTC)
    return arrow.timestamp(unit)


class CategoryForm(Form):
    """`category[…]`: a dictionary of its names."""

    def __init__(self, kind: Category) -> None:
        arrow = pyarrow()
        strings = arrow.string()
        arrow_type = arrow.dictionary(arrow.int32(), strings)
        super().__init__(kind, kind, arrow_type)
        self.names = kind.names
        self._dictionary = arrow.array(kind.names, strings)
        numbers = range(len(kind.names))
        self._numbers = dict(zip(kind.names, numbers))

    def build(self, values: Values) -> Any:
        if isinstance(values, np.ndarray):
            self._require_names(values)
            numbers = array_of_numbers(values.astype(np.int32), None)
        else:
            listed = [self._numbers.get(name) for name in values]
            numbers = built(listed, pyarrow().int32())
        return pyarrow().DictionaryArray.from_arrays(numbers, self._dictionary)

    def _require_names(self, numbers: np.ndarray) -> None:
        if not numbers.size:
            return
        largest = numbers.max()
        if largest is not np.ma.masked and largest >= len(self.names):
            count = len(self.names)
            raise CorruptError(f"a category of {count} names has no number {largest}")

    def restore(self, array: Any) -> Values:
        strings = array.dictionary.to_pylist()
        positions = array.indices.to_pylist()
        return restored_each(positions, strings.__getitem__)
