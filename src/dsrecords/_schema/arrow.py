"""Tables and columns of Arrow, and of all packages that export theirs to it. Knows no files.

Arrow's own types decide the types of fields; whether any value is missing, its values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._schema.column import Column, Values
from dsrecords._schema.notation import is_type_name, list_of, nullable
from dsrecords._types.parse import type_text
from dsrecords.errors import SchemaError

# Imported where a table is read: few programs have one.
if TYPE_CHECKING:
    from dsrecords._arrow.base import Form
    from dsrecords._arrow.table import Origin

_EXPORTS = (  # methods of the Arrow PyCapsule interface
    "__arrow_c_stream__",
    "__arrow_c_array__",
)
_NUMBERS = {  # Arrow's name of a type, and ours
    **{name: name for name in ("int8", "int16", "int32", "int64", "bool")},
    **{name: name for name in ("uint8", "uint16", "uint32", "uint64")},
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
}
_STRINGS = {
    **dict.fromkeys(("string", "large_string", "string_view"), "str"),
    **dict.fromkeys(("binary", "large_binary", "binary_view"), "bytes"),
}
_DATES = {
    "date32[day]": "datetime64[D]",
    "date64[ms]": "datetime64[D]",
}
_MOST_CATEGORIES = 1024  # names; more are stored as strings
_LONGEST_CATEGORY = 255  # characters of a name
_ADVICE = (  # the beginning of Arrow's name of a type, and the way out
    ("null", "drop the column, or give a schema with a type such as 'str?'"),
    ("decimal", "cast it to float64, or to string to keep every digit"),
    ("time", "cast it to an integer, or to duration by way of int64"),
    ("month_interval", "cast it to an integer"),
    ("day_time_interval", "cast it to duration"),
    ("month_day_nano", "cast it to duration"),
    ("extension", "give its storage: column.cast(column.type.storage_type)"),
)
_OTHER_ADVICE = "cast it to another type"


class ArrowTable(NamedTuple):
    """A table of Arrow as columns.

    Attributes:
        names: of the columns.
        columns: of the first part.
        others: the columns of the other parts, which may come from a stream.
        length: the number of all rows; None if only the end of the stream tells.
        origin: what the table says of the dataset that it was made of.
    """

    names: list[str]
    columns: list[Column]
    others: Iterator[list[Column]]
    length: int | None
    origin: Origin


def exports_arrow(value: Any) -> bool:
    """Return whether a value can be read as Arrow: a table, a stream or a column."""
    if isinstance(value, type):
        return False
    return any(hasattr(value, name) for name in _EXPORTS)


def arrow_table(value: Any) -> ArrowTable | None:
    """Return what exports Arrow as columns; None if it is one column, which has no names.

    Raises:
        SchemaError: there is no type for a column, or two have the same name.
        ImportError: pyarrow is not installed.
    """
    pyarrow = import_optional("pyarrow", "pyarrow")
    if isinstance(value, (pyarrow.Array, pyarrow.ChunkedArray)):
        if not pyarrow.types.is_struct(value.type):
            return None
        return _whole(pyarrow.Table.from_struct_array(value), pyarrow)
    if _is_whole(value, pyarrow):
        return _whole(pyarrow.table(value), pyarrow)
    if not hasattr(value, "__arrow_c_stream__"):
        return arrow_table(pyarrow.array(value))
    try:
        reader = pyarrow.RecordBatchReader.from_stream(value)
    except pyarrow.ArrowException:  # the stream of a column
        return arrow_table(pyarrow.chunked_array(value))
    return _stream(reader, pyarrow)


def _is_whole(value: Any, pyarrow: Any) -> bool:
    """Return whether all of a table is in memory, so that all of its values can be asked."""
    if isinstance(value, (pyarrow.Table, pyarrow.RecordBatch)):
        return True
    is_polars = type(value).__module__.startswith("polars.")
    return is_polars and type(value).__name__ == "DataFrame"


def _whole(table: Any, pyarrow: Any) -> ArrowTable:
    from dsrecords._arrow.table import origin_of

    table = table.unify_dictionaries()
    names = table.column_names
    _require_distinct(names)
    columns = _columns(table.schema, table.columns, pyarrow, is_whole=True)
    origin = origin_of(table.schema)
    return ArrowTable(names, columns, iter(()), table.num_rows, origin)


def _stream(reader: Any, pyarrow: Any) -> ArrowTable:
    from dsrecords._arrow.table import origin_of

    names = reader.schema.names
    _require_distinct(names)
    parts = _parts(reader, pyarrow)
    first = next(parts, None)
    if first is None:
        first = [pyarrow.chunked_array([], field.type) for field in reader.schema]
    schema = reader.schema
    columns = _columns(schema, first, pyarrow, is_whole=False)
    others = (_columns(schema, part, pyarrow, is_whole=False) for part in parts)
    return ArrowTable(names, columns, others, None, origin_of(schema))


def _parts(reader: Any, pyarrow: Any) -> Iterator[list[Any]]:
    for batch in reader:
        if batch.num_rows > 0:
            yield [pyarrow.chunked_array([column]) for column in batch.columns]


def _require_distinct(names: Sequence[str]) -> None:
    known = set()
    for name in names:
        if name in known:
            raise SchemaError("two columns have this name", field=name)
        known.add(name)


def _columns(
    schema: Any,
    columns: Sequence[Any],
    pyarrow: Any,
    is_whole: bool,
) -> list[Column]:
    from dsrecords._arrow.table import stated_form

    found = []
    for field, column in zip(schema, columns):
        form = stated_form(field)
        try:
            if form is not None:
                found.append(_column_of_dataset(column, form, pyarrow))
            else:
                found.append(_column(column, pyarrow, is_whole))
        except SchemaError as error:
            raise SchemaError(error.message, field=field.name) from None
    return found


def _column_of_dataset(column: Any, form: Form, pyarrow: Any) -> Column:
    """Return a column that was made of a field of a dataset as what it was."""

    def values(first: int, last: int) -> Values:
        some = column.slice(first, last - first)
        array = pyarrow.concat_arrays(some.chunks)
        try:
            return form.restore(array)
        except form.kind.unreadable as error:
            rows = f"rows {first} to {last - 1}"
            problem = f"{rows} have values that are not {form.kind.name}: {error}"
            raise SchemaError(problem) from error

    return Column(
        length=len(column),
        values=values,
        type=form.written_name,
        has_missing=column.null_count > 0 and not form.has_null_of_its_own(),
    )


def arrow_column(value: Any) -> Column:
    """Return an array or a chunked array of Arrow, or what exports one, as a column.

    Raises:
        SchemaError: there is no type for its values.
        ImportError: pyarrow is not installed.
    """
    pyarrow = import_optional("pyarrow", "pyarrow")
    if isinstance(value, pyarrow.Array):
        value = pyarrow.chunked_array([value])
    elif not isinstance(value, pyarrow.ChunkedArray):
        value = pyarrow.chunked_array(value)
    return _column(value, pyarrow, is_whole=True)


def _column(column: Any, pyarrow: Any, is_whole: bool) -> Column:
    if str(column.type).startswith("run_end_encoded"):
        compute = import_optional("pyarrow.compute", "pyarrow")
        column = compute.run_end_decode(column)

    def values(first: int, last: int) -> Values:
        some = column.slice(first, last - first)
        return _values_of(pyarrow.concat_arrays(some.chunks))

    def type_of_values() -> Any:
        return _type_of(_without_nulls(column), is_whole)

    return Column(
        length=len(column),
        values=values,
        type=type_of_values,
        has_missing=column.null_count > 0,
    )


# Types


def _type_of(column: Any, is_whole: bool = True) -> Any:
    """Return the type of the values of a chunked array, of which none is null.

    Args:
        column: the values.
        is_whole: whether there are no others, so that the names of a category are all known.
    """
    arrow_type = column.type
    name = str(arrow_type)
    for names in (_NUMBERS, _STRINGS, _DATES):
        if name in names:
            return names[name]
    if name.startswith("fixed_size_binary"):
        return "bytes"
    if name.startswith("timestamp"):
        return _type_of_timestamps(arrow_type)
    if name.startswith("duration"):
        return f"timedelta64[{arrow_type.unit}]"
    if name.startswith("dictionary"):
        return _type_of_dictionary(column, is_whole)
    if name.startswith("struct"):
        return _type_of_structs(column)
    if name.startswith("map"):
        return _type_of_maps(column)
    shape = _shape_of(column)
    if shape is not None:
        sizes = ",".join(map(str, shape.sizes))
        return f"{shape.number}[{sizes}]"
    if _is_list(arrow_type):
        return list_of(_type_of_nullable(_items(column)))
    raise _no_type(name)


def _type_of_nullable(column: Any) -> Any:
    found = _type_of(_without_nulls(column))
    if column.null_count > 0:
        return nullable(found)
    return found


def _without_nulls(column: Any) -> Any:
    """Return the values that are not null: what lies below a null counts for nothing.

    A column of a type from which Arrow cannot drop nulls, such as string_view, is returned as it
    is. So a part of a struct may be taken for one that can be None, which it can then be.
    """
    pyarrow = import_optional("pyarrow", "pyarrow")
    try:
        return column.drop_null()
    except pyarrow.ArrowNotImplementedError:
        return column


def _type_of_timestamps(arrow_type: Any) -> str:
    unit = arrow_type.unit
    if arrow_type.tz is None:
        return f"datetime64[{unit}]"
    return f"datetime64[{unit},UTC]"


def _type_of_dictionary(column: Any, is_whole: bool) -> Any:
    """Return a category for strings of which there are few; else the type of the values."""
    arrow_type = column.type.value_type
    if str(arrow_type) in _STRINGS:
        category = None
        if is_whole and column.num_chunks > 0:
            names = column.chunk(0).dictionary.to_pylist()
            category = category_of(names)
        return category or _STRINGS[str(arrow_type)]
    decoded = [chunk.dictionary_decode() for chunk in column.chunks]
    return _type_of(_chunked(decoded, arrow_type))


def category_of(names: Sequence[Any]) -> str | None:
    """Return the category of these names; None if they cannot be, or are too many to be printed."""
    if not 0 < len(names) <= _MOST_CATEGORIES:
        return None
    for name in names:
        if not isinstance(name, str):
            return None
    text = f"category{json.dumps(list(names))}"
    if not is_type_name(text):
        return None
    return text


def _type_of_structs(column: Any) -> Any:
    compute = import_optional("pyarrow.compute", "pyarrow")
    struct = {}
    for position, field in enumerate(column.type):
        part = compute.struct_field(column, [position])
        try:
            struct[field.name] = _type_of_nullable(part)
        except SchemaError as error:
            raise SchemaError(f"{field.name!r} of a struct: {error.message}") from None
    return struct


def _type_of_maps(column: Any) -> str:
    key_type = str(column.type.key_type)
    if _STRINGS.get(key_type) != "str":
        advice = "cast the keys to string, or give a list of structs"
        raise SchemaError(
            f"no type holds Arrow's {column.type}, whose keys are no strings: {advice}"
        )
    items = [chunk.items for chunk in column.chunks]
    values = _chunked(items, column.type.item_type)
    name = f"map[{type_text(_type_of_nullable(values))}]"
    if not is_type_name(name):
        raise _no_type(str(column.type))
    return name


class _Shape(NamedTuple):
    """What all values of a column are, that are arrays of one shape.

    Attributes:
        number: the type of their numbers.
        sizes: their shape.
    """

    number: str
    sizes: list[int]


def _shape_of(column: Any) -> _Shape | None:
    """Return the shape of lists of a fixed size, or of tensors; None if not all have one."""
    arrow_type = column.type
    sizes: list[int] = []
    if _is_tensor(arrow_type):
        sizes.extend(arrow_type.shape)
        arrow_type = arrow_type.value_type
    while str(arrow_type).startswith("fixed_size_list"):
        sizes.append(arrow_type.list_size)
        column = _items(column)
        if column.null_count > 0:
            return None
        arrow_type = column.type
    number = _NUMBERS.get(str(arrow_type))
    if number is None or not sizes or 0 in sizes:
        return None
    return _Shape(number, sizes)


def _is_tensor(arrow_type: Any) -> bool:
    return getattr(arrow_type, "extension_name", "") == "arrow.fixed_shape_tensor"


def _is_list(arrow_type: Any) -> bool:
    name = str(arrow_type)
    return name.startswith(("list", "large_list", "fixed_size_list"))


def _items(column: Any) -> Any:
    """Return the items of all lists of a chunked array, as a chunked array."""
    items = [chunk.flatten() for chunk in column.chunks]
    return _chunked(items, column.type.value_type)


def _chunked(arrays: Sequence[Any], arrow_type: Any) -> Any:
    pyarrow = import_optional("pyarrow", "pyarrow")
    return pyarrow.chunked_array(arrays, arrow_type)


def _no_type(name: str) -> SchemaError:
    advice = _OTHER_ADVICE
    for beginning, way_out in _ADVICE:
        if name.startswith(beginning):
            advice = way_out
            break
    return SchemaError(f"no type holds Arrow's {name}: {advice}")


# Values


def _values_of(array: Any) -> Values:
    """Return the values of an array of Arrow: as an array of NumPy, or as a list."""
    arrow_type = array.type
    name = str(arrow_type)
    if name in _NUMBERS:
        return _numbers(array)
    if name in _DATES or name.startswith(("timestamp", "duration")):
        times = array.to_numpy(zero_copy_only=False)
        return _masked(times, array)
    if name in _STRINGS:
        return array.to_numpy(zero_copy_only=False).tolist()
    if name.startswith("dictionary"):
        return _values_of_dictionary(array)
    if name.startswith("fixed_size_list") or _is_tensor(arrow_type):
        present = array.drop_null()
        shape = _shape_of(_chunked([present], arrow_type))
        if shape is not None:
            return _arrays(array, shape)
    if name.startswith(("list<", "large_list<")):
        items = array.flatten()
        if str(items.type) in _NUMBERS and items.null_count == 0:
            return array.to_numpy(zero_copy_only=False).tolist()
    return array.to_pylist(maps_as_pydicts="strict")


def _values_of_dictionary(array: Any) -> Values:
    if str(array.type.value_type) not in _STRINGS:
        return _values_of(array.dictionary_decode())
    strings = array.dictionary.to_pylist()
    positions = array.indices.to_pylist()
    return [None if position is None else strings[position] for position in positions]


def _arrays(array: Any, shape: _Shape) -> Values:
    """Return arrays of one shape as one array (n, …), or as a list if some are null."""
    present = array.drop_null()
    if _is_tensor(present.type):
        present = present.storage
    while str(present.type).startswith("fixed_size_list"):
        present = present.flatten()
    numbers = present.to_numpy(zero_copy_only=False)
    arrays = numbers.reshape(-1, *shape.sizes)
    if array.null_count == 0:
        return arrays
    each = iter(arrays)
    return [next(each) if is_present else None for is_present in array.is_valid().to_pylist()]


def _numbers(array: Any) -> np.ndarray:
    if array.null_count == 0:
        numbers: np.ndarray = array.to_numpy(zero_copy_only=False)
        return numbers
    zero: Any = 0
    if str(array.type) == "bool":
        zero = False
    filled = array.fill_null(zero)
    return _masked(filled.to_numpy(zero_copy_only=False), array)


def _masked(values: np.ndarray, array: Any) -> np.ndarray:
    if array.null_count == 0:
        return values
    mask = array.is_null().to_numpy(zero_copy_only=False)
    return np.ma.MaskedArray(values, mask)
