"""A schema from samples, or from a table. Knows types, and nothing of the files of a dataset."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._schema.column import Column
from dsrecords._schema.examples import Example
from dsrecords._schema.infer_values import infer_type
from dsrecords._schema.notation import nullable
from dsrecords._schema.resolve import make_schema
from dsrecords._schema.samples import kept, named_fields
from dsrecords._schema.tabular import ExportsArrow, Tabular, as_tabular, iterable
from dsrecords._types.array_likes import as_array
from dsrecords._types.base import describe
from dsrecords.errors import SchemaError

LIMIT = 256  # samples that are read, by default


def infer_schema(
    samples: Iterable[Any] | ExportsArrow,
    limit: int | None = LIMIT,
) -> dict[str, Any] | list[Any]:
    """Return the schema that fits samples. Print it, paste it into a script, change it.

    Args:
        samples: dicts, dataclasses or named tuples; or tuples, lists or rows of an array. Or a
            table, whose columns become the fields: a DataFrame of pandas or Polars, a table of
            Arrow, a structured array, an open `.npz` file, or a dict of columns of equal lengths.
        limit: how many samples are read; None: all. Of a table, so many values of those columns
            whose own type does not tell what they hold.

    Returns:
        Names of fields to types; a list of types for samples whose fields have no names. A field
        that some samples do not have, or have as None, has a `?` behind its type.

    Raises:
        SchemaError: there are no samples, the values of a field have several types (two of them
            are shown), or a value has no type.
        FileNotFoundError: a value is a path, and there is no such file.
    """
    table = as_tabular(samples)
    if table is not None:
        return infer_table(table, limit)
    some = itertools.islice(iterable(samples), limit)
    rows = []
    for position, sample in enumerate(some):
        if not isinstance(samples, (list, tuple)):
            sample = kept(sample)
        row = _fields(sample, position)
        rows.append(row)
    if not rows:
        raise SchemaError("there are no samples to infer the schema from: give a schema")
    keys = _all_keys(rows)
    schema = {}
    for key in keys:
        schema[key] = _infer_field(rows, key)
    return _checked(schema)


def infer_table(table: Tabular, limit: int | None = LIMIT) -> dict[str, Any] | list[Any]:
    """Return the schema that fits a table: what `infer_schema` does, which says more."""
    schema = {}
    for key, column in zip(table.keys, table.columns):
        try:
            schema[key] = _infer_column(column, limit)
        except SchemaError as error:
            raise SchemaError(error.message, field=key) from None
    return _checked(schema)


def _checked(schema: dict[Any, Any]) -> dict[str, Any] | list[Any]:
    """Return the types by name, or as a list. Raises SchemaError if a name can be none."""
    found: dict[str, Any] | list[Any] = schema
    positions = list(range(len(schema)))
    if list(schema) == positions:
        found = list(schema.values())
    make_schema(found)
    return found


# Samples


def _fields(sample: Any, position: int) -> Mapping[Any, Any]:
    """Return the fields of a sample by their names, or by their positions."""
    fields = named_fields(sample)
    if fields is not None:
        return fields
    if not isinstance(sample, (tuple, list, str, bytes)):
        array = as_array(sample)
        if array is not None and array.ndim == 1:
            sample = list(array)
    if not isinstance(sample, (tuple, list)):
        given = describe(sample)
        expected = "a sample must be a dict, a dataclass or a tuple; for one value give (value,)"
        raise SchemaError(f"sample {position} is {given}; {expected}")
    return dict(enumerate(sample))


def _all_keys(rows: Sequence[Mapping[Any, Any]]) -> list[Any]:
    """Return the fields of all samples: all that any has, where they have names.

    Raises:
        SchemaError: samples without names have different numbers of fields, or names as well.
    """
    first = rows[0].keys()
    keys = dict.fromkeys(first)
    are_named = _are_names(first)
    for position, row in enumerate(rows):
        if row.keys() == first:
            continue
        if not are_named or not _are_names(row):
            raise _different_fields(rows, position)
        keys.update(dict.fromkeys(row))
    return list(keys)


def _are_names(keys: Iterable[Any]) -> bool:
    return all(isinstance(key, str) for key in keys)


def _different_fields(rows: Sequence[Mapping[Any, Any]], position: int) -> SchemaError:
    first_keys = ", ".join(map(repr, rows[0]))
    keys = ", ".join(map(repr, rows[position]))
    return SchemaError(
        f"samples have different fields: sample 0 has {first_keys}, "
        f"sample {position} has {keys}; a missing value must be given as None"
    )


def _infer_field(rows: Sequence[Mapping[Any, Any]], key: Any) -> Any:
    examples = []
    for position, row in enumerate(rows):
        example = Example(row.get(key), position)
        examples.append(example)
    try:
        return infer_type(examples)
    except SchemaError as error:
        raise SchemaError(error.message, field=key) from None


# Tables


def _infer_column(column: Column, limit: int | None) -> Any:
    found = _type_of_column(column, limit)
    if not column.has_missing:
        return found
    if isinstance(found, str) and found.endswith("?"):
        return found
    return nullable(found)


def _type_of_column(column: Column, limit: int | None) -> Any:
    """Return the type of a column, or of its values, of which the first `limit` are looked at."""
    if column.type is not None:
        return column.type()
    count = column.length
    if limit is not None:
        count = min(count, limit)
    values = column.values(0, count)
    if isinstance(values, np.ndarray) and not values.dtype.hasobject:
        values = _typical_rows(values)
    elif not len(values):
        raise SchemaError("there are no values to infer the type from: give a schema")
    examples = []
    for row, value in enumerate(values):
        example = Example(value, row)
        examples.append(example)
    return infer_type(examples)


def _typical_rows(values: np.ndarray) -> np.ndarray:
    """Return rows of an array that have the type of all of them; also where it has none."""
    values = np.ma.getdata(values)
    if values.dtype.kind in "SU" and len(values):  # each can be a path
        return values
    return np.zeros((1, *values.shape[1:]), values.dtype)
