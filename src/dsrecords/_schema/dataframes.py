"""DataFrames and series of pandas as columns. Knows no files.

No package is imported: who has a DataFrame has imported pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._schema.arrow import arrow_column, category_of
from dsrecords._schema.column import Column, Values, array_column, list_column
from dsrecords._schema.notation import is_type_name
from dsrecords.errors import SchemaError

Keys = list[Any]
"""Names of columns; their positions if they have no names."""


def is_frame(value: Any) -> bool:
    """Return whether a value is a DataFrame of pandas."""
    return _is_of_pandas(value, "DataFrame")


def is_series(value: Any) -> bool:
    """Return whether a value is a column of pandas: a series, an index, or an array of its own."""
    if _is_of_pandas(value, "Series") or _is_of_pandas(value, "Index"):
        return True
    return _is_of_pandas(value, "ExtensionArray", "pandas.api.extensions")


def _is_of_pandas(
    value: Any,
    name: str,
    module: str = "pandas",
) -> bool:
    imported = sys.modules.get(module)
    cls = getattr(imported, name, None)
    return cls is not None and isinstance(value, cls)


def frame_columns(frame: Any) -> tuple[Keys, list[Column]]:
    """Return the columns of a DataFrame, and before them those of its index that have names.

    An index without a name is left out if it is a range, or integers: the rows that were left of
    one. Columns that are called 0, 1, 2, … have no names.

    Raises:
        SchemaError: two columns have the same name, or the index has other labels and no name.
    """
    names = list(frame.columns)
    positions = list(range(len(names)))
    index_columns = _index_columns(frame.index)
    if names == positions and not index_columns:
        columns = [series_column(frame.iloc[:, position]) for position in positions]
        return positions, columns
    by_name = dict(index_columns)
    for position, name in enumerate(names):
        if not isinstance(name, str):
            advice = "rename it, as by frame.columns = frame.columns.map(str)"
            raise SchemaError(f"a column must have a string as its name, not {name!r}: {advice}")
        if name in by_name:
            raise SchemaError("two columns of the DataFrame have this name", field=name)
        by_name[name] = series_column(frame.iloc[:, position])
    return list(by_name), list(by_name.values())


def _index_columns(index: Any) -> list[tuple[str, Column]]:
    """Return the levels of an index by their names."""
    columns = []
    for number in range(index.nlevels):
        level = index.get_level_values(number)
        if level.name is None:
            _require_positions(level)
        elif not isinstance(level.name, str):
            raise SchemaError(f"an index must have a string as its name, not {level.name!r}")
        else:
            column = series_column(level)
            columns.append((level.name, column))
    return columns


def _require_positions(level: Any) -> None:
    """Raise SchemaError if an index without a name has more than positions."""
    if len(level) == 0 or level.dtype.kind in "iu":
        return
    raise SchemaError(
        "the DataFrame has an index without a name, which would be lost: name it with "
        "frame.rename_axis('name') to keep it as a field, or drop it with "
        "frame.reset_index(drop=True)"
    )


def series_column(series: Any) -> Column:
    """Return a series of pandas, or an array of its own, as a column."""
    pandas: Any = sys.modules["pandas"]
    series = pandas.Series(series)
    dtype = series.dtype
    if isinstance(dtype, pandas.ArrowDtype):
        chunked = series.array.__arrow_array__()
        return arrow_column(chunked)
    if isinstance(dtype, pandas.CategoricalDtype):
        return _category_column(series)
    if isinstance(dtype, pandas.StringDtype):
        return _column(series, _objects, "str")
    if isinstance(dtype, pandas.SparseDtype):
        return array_column(series.sparse.to_dense().to_numpy())
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return _column(series, _utc_times, f"datetime64[{dtype.unit},UTC]")
    if isinstance(dtype, np.dtype):
        return _numpy_column(series)
    name = getattr(getattr(dtype, "numpy_dtype", None), "name", "")
    if is_type_name(name):  # of integers, floats and bools that may be missing
        return _column(series, _masked, name)
    return list_column(_objects(series))


def _numpy_column(series: Any) -> Column:
    dtype = series.dtype
    if dtype.kind == "O":
        return list_column(_objects(series))
    if dtype.kind in "mM":
        return _column(series, _times, dtype.name)
    return array_column(series.to_numpy())


def _category_column(series: Any) -> Column:
    """Return a column of categories, or of their values if these can be no names, or are many."""
    names = series.cat.categories
    category = category_of(names.tolist())
    if category is None:
        return series_column(series.astype(names.dtype))
    return _column(series, _objects, category)


def _column(series: Any, values_of: Any, name: str) -> Column:
    """Return a column.

    Args:
        series: its values.
        values_of: a function that returns the values of a part of the series.
        name: the type of the values.
    """

    def values(first: int, last: int) -> Values:
        return values_of(series.iloc[first:last])

    return Column(
        length=len(series),
        values=values,
        type=lambda: name,
        has_missing=bool(series.isna().any()),
    )


def _objects(series: Any) -> Sequence[Any]:
    objects = series.to_numpy(dtype=object, na_value=None)
    return objects.tolist()  # type: ignore[no-any-return]


def _masked(series: Any) -> np.ndarray:
    numbers = series.to_numpy(dtype=series.dtype.numpy_dtype, na_value=0)
    return _with_mask(numbers, series)


def _times(series: Any) -> np.ndarray:
    return _with_mask(series.to_numpy(), series)


def _utc_times(series: Any) -> np.ndarray:
    in_utc = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return _with_mask(in_utc.to_numpy(), series)


def _with_mask(values: np.ndarray, series: Any) -> np.ndarray:
    is_missing = series.isna().to_numpy()
    if not is_missing.any():
        return values
    return np.ma.MaskedArray(values, is_missing)
