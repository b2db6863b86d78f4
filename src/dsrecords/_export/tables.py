"""A dataset as a table of pyarrow, pandas or Polars: all of it in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._arrow.arrays import AnyArrayForm, FixedArrayForm, FreeArrayForm, ShapeAndDataForm
from dsrecords._arrow.base import Form, Values, restored_each
from dsrecords._arrow.forms import CompressedForm
from dsrecords._arrow.nested import ListForm, MapForm, StructForm, listed
from dsrecords._arrow.payloads import JsonForm, MessageForm, StoredFileForm
from dsrecords._arrow.scalars import CategoryForm, ComplexForm, NumberForm
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._export.stream import Export
from dsrecords._optional import import_optional

# What pandas has no type for.
_OF_OBJECTS = (
    AnyArrayForm,
    FixedArrayForm,
    FreeArrayForm,
    ShapeAndDataForm,
    ComplexForm,
    JsonForm,
    MessageForm,
    StoredFileForm,
    ListForm,
    StructForm,
    MapForm,
)


def arrow_table(reading: Reading, pass_over: PassOver) -> Any:
    """Return a table of pyarrow."""
    return Export(reading, pass_over).reader().read_all()


def arrow_stream(reading: Reading, pass_over: PassOver, requested_schema: Any) -> Any:
    """Return a capsule of a stream of Arrow."""
    reader = Export(reading, pass_over).reader()
    return reader.__arrow_c_stream__(requested_schema)


def polars_frame(reading: Reading, pass_over: PassOver) -> Any:
    """Return a DataFrame of Polars, in which categories are enums: these keep all their names."""
    polars = import_optional("polars", "polars")
    export = Export(reading, pass_over)
    table = export.reader().read_all()
    frame = polars.from_arrow(table)
    enums = []
    for name, form in zip(table.column_names, export.forms.values()):
        if isinstance(form, CategoryForm):
            enum = polars.Enum(form.names)
            column = polars.col(name)
            enums.append(column.cast(enum))
    return frame.with_columns(enums)


def pandas_frame(reading: Reading, pass_over: PassOver) -> Any:
    """Return a DataFrame of pandas.

    Numbers, times, strings and categories have pandas' types: integers and bools that may be None
    those that can be missing, so that none becomes a float. All else are the objects that samples
    have.
    """
    pandas = import_optional("pandas", "pandas")
    export = Export(reading, pass_over)
    table = export.reader().read_all()
    names = table.column_names
    others = {}
    for name, form in zip(names, export.forms.values()):
        column = table.column(name)
        series = _series(column, form, pandas)
        if series is not None:
            others[name] = series
    # All at once, so that pandas need not put columns of one type together again.
    usual = table.drop_columns(list(others))
    frame = usual.to_pandas(date_as_object=False)
    for position, name in enumerate(names):
        if name in others:
            frame.insert(position, name, others[name])
    frame.columns = list(export.forms)
    return frame


def _series(column: Any, form: Form, pandas: Any) -> Any:
    """Return a column of which pyarrow alone would make something else; None for any other."""
    if isinstance(form, CompressedForm):
        form = form.inner
    if isinstance(form, _OF_OBJECTS):
        values = _restored(column, form)
        return pandas.Series(values)
    if form.kind.nullable and isinstance(form, NumberForm):
        dtype = _nullable_dtype(form.dtype, pandas)
        mapper = {column.type: dtype}.get
        return column.to_pandas(types_mapper=mapper)
    return None


def _nullable_dtype(dtype: np.dtype[Any], pandas: Any) -> Any:
    """Return the type of pandas in which numbers can be missing; None for floats: they are NaN."""
    if dtype.kind == "b":
        return pandas.BooleanDtype()
    if dtype.kind not in "iu":
        return None
    name = dtype.name.replace("uint", "UInt").replace("int", "Int")
    make = getattr(pandas, f"{name}Dtype")
    return make()


def _restored(column: Any, form: Form) -> Values:
    """Return the values of a column as samples have them."""
    values: list[Any] = []
    for chunk in column.chunks:
        restored = form.restore(chunk)
        values.extend(listed(restored))
    if isinstance(form, ListForm):
        return restored_each(values, listed)
    if isinstance(form, ComplexForm) and not column.null_count:
        return np.array(values, form.dtype)
    return values
