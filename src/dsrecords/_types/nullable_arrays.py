"""Arrays of pandas, Polars and Arrow, in which values can be missing and times can have a zone.

Knows nothing of types. What NumPy makes of them by itself is not what they are: integers with a
gap become floats, and times lose their zone.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np

from dsrecords.errors import SchemaError


@dataclasses.dataclass(frozen=True, slots=True)
class Instant:
    """A time with a time zone, as an item of an array of objects.

    Attributes:
        time: in UTC.
        tzinfo: the zone it was given in.
    """

    time: np.datetime64
    tzinfo: Any

    def to_datetime64(self) -> np.datetime64:
        """Return the time in UTC, as a Timestamp of pandas does."""
        return self.time

    def __str__(self) -> str:
        return f"{self.time}+00:00"


def from_nullable(value: Any) -> np.ndarray | None:
    """Return a series, a column, a scalar or a table of these packages as a NumPy array.

    It is a masked array where values are missing; times with a zone are an array of objects.
    Returns None for anything else. Raises SchemaError for decimals, and for tables of several
    dtypes.
    """
    package = _package_of(value)
    convert = _BY_PACKAGE.get(package)
    if convert is None:
        return None
    return convert(value)


def is_missing(value: Any) -> bool:
    """Return whether a value is the NA or NaT of pandas, NaT of NumPy, or a null of Arrow."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    package = _package_of(value)
    if package == "pandas":
        pandas: Any = sys.modules["pandas"]
        return value is pandas.NA or value is pandas.NaT
    if package == "pyarrow":
        return getattr(value, "is_valid", True) is False
    return False


def is_nat(value: Any) -> bool:
    """Return whether a value is the NaT of pandas."""
    if _package_of(value) != "pandas":
        return False
    pandas: Any = sys.modules["pandas"]
    return value is pandas.NaT


def _package_of(value: Any) -> str:
    module = str(type(value).__module__)
    return module.partition(".")[0]


# Arrow


def _from_arrow(value: Any) -> np.ndarray | None:
    pyarrow: Any = sys.modules["pyarrow"]
    if isinstance(value, pyarrow.Scalar):
        return _from_arrow_scalar(value, pyarrow)
    arrays = (
        pyarrow.Array,
        pyarrow.ChunkedArray,
    )
    if isinstance(value, arrays):
        return _from_arrow_array(value, pyarrow)
    return None


def _from_arrow_scalar(scalar: Any, pyarrow: Any) -> np.ndarray | None:
    types = pyarrow.types
    kind = scalar.type
    if types.is_struct(kind) or types.is_map(kind):
        return None
    if _is_list(kind, types):
        if not scalar.is_valid:
            return np.ma.MaskedArray(None, True, object)
        return _from_arrow_array(scalar.values, pyarrow)
    one = pyarrow.array([scalar], kind)
    array = _from_arrow_array(one, pyarrow)
    shape = array.shape[1:]
    return array.reshape(shape)


def _is_list(kind: Any, types: Any) -> bool:
    names = (
        "is_list",
        "is_large_list",
        "is_fixed_size_list",
        "is_list_view",  # since pyarrow 16, as the next
        "is_large_list_view",
    )
    tests = [getattr(types, name, None) for name in names]
    return any(test is not None and test(kind) for test in tests)


def _from_arrow_array(array: Any, pyarrow: Any) -> np.ndarray:
    types = pyarrow.types
    kind = array.type
    if types.is_decimal(kind):
        raise _decimals("an array of Arrow", "array.cast('float64')")
    if isinstance(kind, pyarrow.BaseExtensionType):
        return _from_arrow_extension(array, pyarrow)
    if types.is_dictionary(kind):
        decoded = array.cast(kind.value_type)
        return _from_arrow_array(decoded, pyarrow)
    if types.is_fixed_size_list(kind) and array.null_count == 0:
        items = array.flatten()
        flat = _from_arrow_array(items, pyarrow)
        return flat.reshape(len(array), kind.list_size, *flat.shape[1:])
    is_null = array.is_null()
    mask = np.asarray(is_null)
    present = array.drop_null()
    if _is_list(kind, types):
        lists = [_from_arrow_scalar(item, pyarrow) for item in present]
        values = _objects(lists)
        return _with_gaps(values, mask)
    values = np.asarray(present)
    if types.is_timestamp(kind) and kind.tz is not None:
        values = _instants(values, kind.tz)
    return _with_gaps(values, mask)


def _from_arrow_extension(array: Any, pyarrow: Any) -> np.ndarray:
    if hasattr(array, "to_numpy_ndarray"):  # of tensors of one shape
        values: np.ndarray = array.to_numpy_ndarray()
        return values
    stored = array.cast(array.type.storage_type)
    return _from_arrow_array(stored, pyarrow)


# pandas


def _from_pandas(value: Any) -> np.ndarray | None:
    pandas: Any = sys.modules["pandas"]
    if isinstance(value, pandas.DataFrame):
        return _from_table(value, "DataFrame")
    dtype = getattr(value, "dtype", None)
    if not isinstance(dtype, pandas.api.extensions.ExtensionDtype):
        return None  # NumPy's own, in which NaN is NaN
    inner = getattr(value, "array", value)  # of a Series or an Index
    if isinstance(dtype, pandas.ArrowDtype):
        in_arrow = inner.__arrow_array__()
        return _from_arrow(in_arrow)
    is_missing = inner.isna()
    mask = np.asarray(is_missing)
    present = inner[~mask]
    if isinstance(dtype, pandas.DatetimeTZDtype):
        times = present.to_numpy(f"datetime64[{dtype.unit}]")
        values = _instants(times, dtype.tz)
    elif isinstance(dtype, pandas.CategoricalDtype):
        categories = np.asarray(present.categories)
        codes = np.asarray(present.codes)
        values = categories[codes]
    else:
        values = np.asarray(present)
    return _with_gaps(values, mask)


# Polars


def _from_polars(value: Any) -> np.ndarray | None:
    polars: Any = sys.modules["polars"]
    if isinstance(value, polars.DataFrame):
        return _from_table(value, "DataFrame")
    if not isinstance(value, polars.Series):
        return None
    if isinstance(value.dtype, polars.Decimal):
        raise _decimals("a Series of Polars", "series.cast(polars.Float64)")
    is_null = value.is_null()
    mask = np.asarray(is_null)
    present = value.drop_nulls()
    values = _values_of_polars(present, polars)
    zone = getattr(value.dtype, "time_zone", None)
    if zone is not None:
        values = _instants(values, zone)
    return _with_gaps(values, mask)


def _values_of_polars(series: Any, polars: Any) -> np.ndarray:
    """Return the values of a series without nulls; there may be some within its values."""
    dtype = series.dtype
    if isinstance(dtype, polars.Struct):  # whose names NumPy drops
        return _objects(series.to_list())
    is_nested = isinstance(dtype, (polars.List, polars.Array))
    if is_nested and not _is_plain(series, polars):  # NumPy makes floats of integers with a null
        rows = [_from_polars(row) for row in series]
        return _objects(rows)
    values = np.asarray(series)
    if values.dtype.kind == "U":  # which drops zero characters at the end
        return _objects(series.to_list())
    return values


def _is_plain(series: Any, polars: Any) -> bool:
    """Whether values are arrays of one shape, of numbers of which none is missing."""
    while isinstance(series.dtype, polars.Array):
        series = series.explode()
        if series.null_count():
            return False
    return bool(series.dtype.is_numeric())


# What they have in common


def _from_table(table: Any, name: str) -> np.ndarray:
    """Return a table as an array of two dimensions, if all of its columns have one dtype."""
    columns = []
    for key in table.columns:
        given = table[key]
        column: Any = from_nullable(given)
        if column is None:
            column = np.asarray(given)
        columns.append(column)
    dtypes = {column.dtype for column in columns}
    if len(dtypes) != 1:
        raise SchemaError(f"a {name} is an array only if its columns have one dtype")
    if any(isinstance(column, np.ma.MaskedArray) for column in columns):
        raise SchemaError(f"a {name} has missing values: fill them")
    array: np.ndarray = np.stack(columns, axis=1)
    return array


def _with_gaps(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return values with gaps where the mask is true; as they are if it never is."""
    if not mask.any():
        return values
    shape = (len(mask), *values.shape[1:])
    filled: np.ndarray = np.zeros(shape, values.dtype)
    filled[~mask] = values
    wide_mask = np.zeros(shape, bool)
    wide_mask[mask] = True
    return np.ma.MaskedArray(filled, wide_mask)


def _instants(times: np.ndarray, zone: Any) -> np.ndarray:
    """Return times in UTC as an array of objects."""
    instants = [Instant(time, zone) for time in times]
    return _objects(instants)


def _objects(items: list[Any]) -> np.ndarray:
    array = np.empty(len(items), object)
    for position, item in enumerate(items):
        array[position] = item
    return array


def _decimals(what: str, advice: str) -> SchemaError:
    return SchemaError(f"no type holds decimals, such as those of {what}: give {advice}")


_BY_PACKAGE = {
    "pyarrow": _from_arrow,
    "pandas": _from_pandas,
    "polars": _from_polars,
}
