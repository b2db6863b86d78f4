"""Samples given as a table: whole columns, which are read a batch at a time. Knows no types."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dsrecords._schema.arrow import arrow_column, arrow_table, exports_arrow
from dsrecords._schema.column import Column, Values, array_column, list_column, listed
from dsrecords._schema.dataframes import frame_columns, is_frame, is_series, series_column
from dsrecords._schema.huggingface import huggingface_table, is_huggingface
from dsrecords._types.array_likes import as_array
from dsrecords._types.base import describe
from dsrecords.errors import SchemaError

_BATCH = 4096  # rows that are read together
_UNREADABLE = (  # what packages raise for values that Python does not have
    ValueError,
    KeyError,  # such as a key that is twice in a map
    OverflowError,
)
_EXPECTED = "samples must be a list or another iterable of samples"


class ExportsArrow(Protocol):
    """A table of any package that exports it through the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return a capsule of an `ArrowArrayStream`."""


class Tabular:
    """A table. One that comes from a stream can be read once.

    Args:
        keys: names of the columns, or their positions.
        columns: the columns, or the first part of them.
        others: the columns of the other parts.
        count: the number of all rows; None if only the end of the parts tells.
        metadata: of the dataset that the table was made of.
    """

    def __init__(
        self,
        keys: Sequence[Any],
        columns: Sequence[Column],
        others: Iterable[Sequence[Column]] = (),
        count: int | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if not columns:
            raise SchemaError("the table has no columns")
        self.keys = list(keys)
        self.columns = list(columns)
        self.count = count
        self.metadata = metadata or {}
        self._others = others

    def batches(self) -> Iterator[list[Values]]:
        """Return the values of some rows, column by column, then those of the next."""
        parts = itertools.chain([self.columns], self._others)
        for columns in parts:
            count = columns[0].length
            for first in range(0, count, _BATCH):
                last = min(first + _BATCH, count)
                yield self._batch(columns, first, last)

    def _batch(self, columns: Sequence[Column], first: int, last: int) -> list[Values]:
        batch = []
        for key, column in zip(self.keys, columns):
            try:
                batch.append(column.values(first, last))
            except _UNREADABLE as error:
                if isinstance(error, SchemaError):
                    raise
                problem = f"values of rows {first} to {last - 1} cannot be read: {error}"
                raise SchemaError(problem, field=key) from error
        return batch

    def samples(self, named: bool) -> Iterator[Any]:
        """Return the rows one by one: as dicts where they are to have names, else as tuples."""
        for batch in self.batches():
            columns = [listed(values) for values in batch]
            for row in zip(*columns):
                if named:
                    yield dict(zip(self.keys, row))
                else:
                    yield row


def as_tabular(given: Any) -> Tabular | None:
    """Return what is given as a table, or None if it is none.

    Raises:
        SchemaError: it is a dict, but not of columns; or a table that cannot be read as one.
        ImportError: it is a table of Arrow, and pyarrow is not installed.
    """
    if type(given) in (list, tuple):  # most of what is given, told first
        return None
    if isinstance(given, np.ndarray):
        return _of_array(given)
    if is_frame(given):
        keys, columns = frame_columns(given)
        return Tabular(keys, columns, count=len(given))
    if isinstance(given, np.lib.npyio.NpzFile):
        return _of_mapping(_arrays_of_file(given))
    if isinstance(given, Mapping):
        return _of_mapping(given)
    if is_huggingface(given):
        whole = huggingface_table(given)
        return Tabular(whole.names, whole.columns, whole.others, whole.length)
    if isinstance(given, Sequence) or is_series(given):
        return None
    if type(given).__name__ == "LazyFrame":
        raise SchemaError("a LazyFrame has no values yet: give frame.collect()")
    if not exports_arrow(given):
        return None
    table = arrow_table(given)
    if table is None:
        return None
    origin = table.origin
    names: Sequence[Any] = table.names
    if not origin.named:
        names = range(len(names))
    return Tabular(names, table.columns, table.others, table.length, origin.metadata)


def iterable(samples: Iterable[Any] | ExportsArrow) -> Iterable[Any]:
    """Return samples that are no table as what can be iterated over. Raises SchemaError."""
    can_be_iterated = hasattr(samples, "__iter__") or hasattr(samples, "__getitem__")
    if isinstance(samples, (str, bytes)) or not can_be_iterated:
        message = f"{_EXPECTED}, not {describe(samples)}"
        if isinstance(samples, str):
            message += "; open a file first, as by numpy.load or pandas.read_csv"
        raise SchemaError(message)
    return samples  # type: ignore[return-value]  # __getitem__ is enough


def _of_array(array: np.ndarray) -> Tabular | None:
    """Return a structured array (n,) as a table; None for other arrays, whose rows are samples."""
    names = array.dtype.names
    if not names or array.ndim != 1:
        return None
    columns = [array_column(array[name]) for name in names]
    return Tabular(names, columns, count=len(array))


def _arrays_of_file(file: Any) -> dict[str, Any]:
    """Return the arrays of an open `.npz` file by their names."""
    if file.allow_pickle:
        raise SchemaError("open the file with np.load(path), without allow_pickle=True")
    arrays = {}
    for name in file.files:
        try:
            arrays[name] = file[name]
        except ValueError as error:
            raise SchemaError(f"no array that can be read ({error})", field=name) from error
    return arrays


def _of_mapping(given: Mapping[Any, Any]) -> Tabular:
    """Return a dict of columns as a table."""
    columns = {}
    for name, values in given.items():
        column = _as_column(values)
        if column is None:
            raise _no_columns(given, f"{name!r} is {describe(values)}")
        columns[name] = column
    if not columns:
        raise _no_columns(given, "there are none")
    first_name, first = next(iter(columns.items()))
    for name, column in columns.items():
        if column.length != first.length:
            lengths = f"{first_name!r} has {first.length} values, {name!r} has {column.length}"
            raise _no_columns(given, lengths)
    return Tabular(list(columns), list(columns.values()), count=first.length)


def _no_columns(given: Any, problem: str) -> SchemaError:
    return SchemaError(
        f"{_EXPECTED}, not {describe(given)}, unless it is a dict of columns of one length, "
        f"but {problem}; one sample goes into a list: [sample]"
    )


def _as_column(values: Any) -> Column | None:
    """Return what is given for one name as a column; None if it is none."""
    if isinstance(values, (str, bytes, bytearray, memoryview, Mapping)):
        return None
    if is_series(values):
        return series_column(values)
    array: Any = None
    if isinstance(values, np.ndarray):  # masked arrays too
        array = values
    elif isinstance(values, Sequence):
        return list_column(values)
    elif exports_arrow(values):
        return arrow_column(values)
    else:
        array = as_array(values)
    if array is None or array.ndim == 0:
        return None
    return array_column(array)
