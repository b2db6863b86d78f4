"""The values of one field of all records, and what can be done with any of them: order, equality.

An array of values may be masked where they are None; values of payloads are a list. Knows nothing
of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.blocks import BLOCK, blocks
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._mds.types import Number as MdsNumber
from dsrecords._read.batch import joined
from dsrecords._read.plan import Plan
from dsrecords._schema.schema import Field
from dsrecords._types.base import Type
from dsrecords._types.binary import Bytes
from dsrecords._types.category import Category
from dsrecords._types.compressed import Zstd
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Json, Str
from dsrecords.errors import SchemaError

_COMPARED = (Scalar, Str, Bytes, Json)
_WORDS = "numbers, strings, bytes, categories and times"
_WITH_NAN = "fcmM"  # kinds of dtypes with a value that is not equal to itself: NaN, NaT
_NEVER_NAN = {str, bytes, int, bool, type(None)}
_FEW = 2**16  # as many integers have a span that counts as small


class Values(NamedTuple):
    """Values of a field of some records.

    Attributes:
        indices: of the records: int64, (n,), ascending.
        column: the values: an array (n,), masked where they are None, or a list.
    """

    indices: np.ndarray
    column: Any


def plan_for_values(
    reading: Reading,
    field: Any,
    method: str,
) -> Plan:
    """Return what reads the values of one field.

    Args:
        reading: the list.
        field: its name or position.
        method: the method of the dataset that asks, for messages.

    Raises:
        TypeError: these are several fields.
        SchemaError: there is no such field, or its values cannot be compared.
    """
    if isinstance(field, (list, tuple)):
        raise TypeError(f"{method} takes one field, not {field!r}")
    plan = reading.fields.plan_for(field)
    (item,) = plan.items
    if item.is_builtin and not isinstance(plain_type(item.field), _COMPARED):
        name = item.field.type.name
        raise SchemaError(f"{method} takes {_WORDS}: this is {name}", field=field)
    return plan


def plain_type(field: Field) -> Type:
    """Return the type of a field's values, whether they are compressed or not; of MDS ours."""
    if isinstance(field.type, Zstd):
        return field.type.inner
    if isinstance(field.type, MdsNumber):
        return field.type.scalar
    return field.type


def values_in_blocks(
    reading: Reading,
    plan: Plan,
    pass_over: PassOver,
) -> Iterator[Values]:
    """Yield the values of one field of all records; `pass_over` as of `blocks`."""
    for block in blocks(reading, plan, pass_over, BLOCK):
        (column,) = block.columns
        if isinstance(column, list):
            column = _owned(column)
        elif column.dtype.kind == "V":  # bfloat16, which NumPy neither sorts nor compares
            column = column.astype(np.float32)
        yield Values(block.indices, column)


def all_values(
    reading: Reading,
    plan: Plan,
    pass_over: PassOver,
) -> Values:
    """Return the values of one field of all records; `pass_over` as of `blocks`."""
    indices = [np.zeros(0, np.int64)]
    columns = []
    for values in values_in_blocks(reading, plan, pass_over):
        indices.append(values.indices)
        columns.append(values.column)
    if not columns:
        return Values(indices[0], [])
    return Values(np.concatenate(indices), joined(columns))


def _owned(column: list[Any]) -> list[Any]:
    """Return a list with bytes in the place of views of the file, which have no order."""
    if memoryview not in set(map(type, column)):
        return column
    owned = []
    for value in column:
        if isinstance(value, memoryview):
            value = bytes(value)
        owned.append(value)
    return owned


class Parted(NamedTuple):
    """Which of the values are ordinary, NaN or NaT, and None: int64, positions in the column.

    Attributes:
        ordinary: of values that are equal to themselves.
        nans: of NaN and NaT.
        nones: of None.
    """

    ordinary: np.ndarray
    nans: np.ndarray
    nones: np.ndarray


def parted(column: Any) -> Parted:
    """Return which values of a column are ordinary ones."""
    if isinstance(column, list):
        is_none, is_nan = _unordinary(column)
    else:
        is_none = np.ma.getmaskarray(column)
        is_nan = np.zeros(len(column), bool)
        if column.dtype.kind in _WITH_NAN:
            data = np.ma.getdata(column)
            is_nan = (data != data) & ~is_none
    return Parted(
        np.flatnonzero(~(is_none | is_nan)),
        np.flatnonzero(is_nan),
        np.flatnonzero(is_none),
    )


def _unordinary(values: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return which values are None, and which are NaN: bool, (n,)."""
    is_none = np.zeros(len(values), bool)
    is_nan = np.zeros(len(values), bool)
    types = set(map(type, values))
    if type(None) in types:
        is_none[:] = [value is None for value in values]
    if types - _NEVER_NAN:
        is_nan[:] = [_is_nan(value) for value in values]
    return is_none, is_nan


def _is_nan(value: Any) -> bool:
    differs: Any = value != value
    if not isinstance(differs, (bool, np.bool_)):  # an array's, for example
        return False
    return bool(differs)


def picked(column: Any, positions: np.ndarray) -> Any:
    """Return the values at some positions: an array that is not masked, or a list."""
    if isinstance(column, list):
        if len(positions) == len(column):
            return column
        return [column[position] for position in positions.tolist()]
    data = np.ma.getdata(column)
    if len(positions) == len(data):
        return data
    return data[positions]


def small_numbers(array: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Return integers as their distances from the lowest, where that gains much.

    NumPy sorts integers of 16 bits by their digits, and counts small ones without sorting.

    Returns:
        uint16, (n,), and the lowest integer. None if they are no integers, or too far apart.
    """
    if array.dtype.kind not in "biu" or not len(array):
        return None
    lowest = int(array.min())
    if int(array.max()) - lowest >= _FEW:
        return None
    # Modulo 2**64, in which differences of integers of any width come out right.
    wrapped = array.astype(np.uint64)
    wrapped -= np.uint64(lowest % 2**64)
    return wrapped.astype(np.uint16), lowest


def as_values(array: np.ndarray, kind: Type) -> list[Any]:
    """Return an array of a field's values as samples have them."""
    if isinstance(kind, Category):
        return kind.each(array)
    if array.dtype.kind in "mM":
        return list(array)
    values: list[Any] = array.tolist()
    return values


def sort_values(values: Sequence[Any]) -> list[Any]:
    """Return values in ascending order; in the order that they are in, if they have none."""
    try:
        return sorted(values)
    except (TypeError, ValueError):
        return list(values)


def codes_of(column: Any, field: Any) -> np.ndarray:
    """Return a number for each value, the same for equal ones: int64, (n,), 0 or more.

    NaN is equal to NaN here, and None to None. Raises SchemaError if values cannot be compared.
    """
    which = parted(column)
    ordinary = picked(column, which.ordinary)
    if isinstance(ordinary, list):
        found = _codes_of_list(ordinary, field)
    else:
        found = _codes_of_array(ordinary)
    codes = np.zeros(len(column), np.int64)
    codes[which.ordinary] = found
    count = 0
    if len(found):
        count = int(found.max()) + 1
    codes[which.nans] = count
    codes[which.nones] = count + 1
    return codes


def _codes_of_list(values: list[Any], field: Any) -> np.ndarray:
    known: dict[Any, int] = {}
    try:
        codes = [known.setdefault(value, len(known)) for value in values]
    except TypeError as error:
        message = f"values that cannot be told apart: {error}"
        raise SchemaError(message, field=field) from error
    return np.array(codes, np.int64)


def _codes_of_array(values: np.ndarray) -> np.ndarray:
    small = small_numbers(values)
    if small is not None:
        return small[0].astype(np.int64)
    _, codes = np.unique(values, return_inverse=True)
    return codes.reshape(-1)
