"""Arrays as Ray's tensors: columns that Ray gives to functions as arrays of NumPy.

Which columns are arrays is said by the name of the type that each column of a dataset has as
metadata. Ray keeps them as long as a column is not changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._optional import import_optional

TYPE = b"dsrecords.type"
"""Key of a column's metadata: the name of its type (docs/tables.md)."""

FREE = "*"
"""What stands for any size in the name of a type of arrays."""

_ARRAY = re.compile(r"\w+\[([\d*,]+)\]")  # the name of a type of arrays that are never None


def pyarrow() -> Any:
    """Return the module."""
    return import_optional("pyarrow", "pyarrow", extra="ray")


def extensions() -> Any:
    """Return the module with Ray's types of Arrow."""
    return import_optional("ray.data.extensions", "ray", extra="ray")


def stated_sizes(field: Any) -> list[str] | None:
    """Return the sizes of a column's arrays, as its metadata say; None if it has no arrays."""
    metadata = field.metadata or {}
    name = metadata.get(TYPE, b"")
    match = _ARRAY.fullmatch(name.decode(errors="replace"))
    if match is None:
        return None
    return match[1].split(",")


def is_number(arrow_type: Any) -> bool:
    """Return whether values of a type of Arrow are numbers or bools."""
    types = pyarrow().types
    kinds = (
        types.is_integer,
        types.is_floating,
        types.is_boolean,
    )
    return any(is_kind(arrow_type) for is_kind in kinds)


def in_one(column: Any) -> Any:
    """Return the chunks of a column as one array."""
    combined = column.combine_chunks()
    if isinstance(combined, pyarrow().ChunkedArray):
        return pyarrow().concat_arrays(combined.chunks)
    return combined


def numpy_of(array: Any) -> np.ndarray:
    """Return an array of Arrow without nulls as one of NumPy."""
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    return values


def with_tensors(table: Any) -> Any:
    """Return a table of a dataset, of which the columns of arrays are tensors.

    Arrays of one dimension and any length stay lists, and so do arrays that may be None: tensors
    of Ray have no None. The metadata stay.
    """
    fields = []
    columns = []
    for field, column in zip(table.schema, table.columns):
        array = _tensors(field, column)
        if array is not None:
            column = array
            field = field.with_type(array.type)
        fields.append(field)
        columns.append(column)
    schema = pyarrow().schema(fields, table.schema.metadata)
    return pyarrow().Table.from_arrays(columns, schema=schema)


def _tensors(field: Any, column: Any) -> Any:
    """Return a column of arrays as tensors; None if it is none, or stays what it is."""
    sizes = stated_sizes(field)
    if sizes is None or sizes == [FREE]:
        return None
    array = in_one(column)
    types = pyarrow().types
    if types.is_struct(array.type):
        return _of_structs(array)
    if types.is_list(array.type) or types.is_fixed_size_list(array.type):
        return _of_lists(array, sizes)
    return None


def _of_lists(array: Any, sizes: Sequence[str]) -> Any:
    """Return tensors of lists within lists; None if what is in them are no numbers."""
    numbers = array
    lengths = None
    for size in sizes:
        if size == FREE:
            lengths = numpy_of(numbers.value_lengths())
        numbers = numbers.flatten()
    if not is_number(numbers.type):
        return None
    values = numpy_of(numbers)
    count = len(array)
    if lengths is None:
        shape = [int(size) for size in sizes]
        return tensors_of(values.reshape(count, *shape))
    shapes = np.zeros((count, len(sizes)), np.int64)
    for axis, size in enumerate(sizes):
        if size != FREE:
            shapes[:, axis] = int(size)
        elif count:  # of the lists within one array, all are as long
            shapes[:, axis] = lengths.reshape(count, -1)[:, 0]
    return _of_shapes(values, shapes)


def _of_structs(array: Any) -> Any:
    """Return tensors of structs of a shape and numbers; None if the values are no numbers."""
    lists = array.field("data")
    if not is_number(lists.type.value_type):
        return None
    sizes = array.field("shape")
    shapes = numpy_of(sizes.flatten())
    dimensions = sizes.type.list_size
    values = numpy_of(lists.flatten())
    return _of_shapes(values, shapes.reshape(-1, dimensions))


def tensors_of(arrays: np.ndarray | list[np.ndarray]) -> Any:
    """Return arrays as tensors: (n, …) of one shape, or a list of n with as many dimensions."""
    if isinstance(arrays, np.ndarray):
        contiguous = np.ascontiguousarray(arrays)
        return extensions().ArrowTensorArray.from_numpy(contiguous)
    shapes = [array.shape for array in arrays]
    flat = [array.reshape(-1) for array in arrays]
    return _of_shapes(np.concatenate(flat), np.array(shapes))


def _of_shapes(values: np.ndarray, shapes: np.ndarray) -> Any:
    """Return tensors of several shapes.

    Args:
        values: of all of them, behind each other.
        shapes: (n, dimensions).
    """
    arrow = pyarrow()
    dimensions = shapes.shape[1]
    # Ray takes the buffer of the numbers from its beginning: no slice of another array.
    numbers = arrow.array(np.ascontiguousarray(values))
    ends = np.cumsum(shapes.prod(axis=1))
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    data = arrow.LargeListArray.from_arrays(
        arrow.array(offsets),
        numbers,
    )
    starts = np.arange(len(shapes) + 1) * dimensions
    sizes = shapes.astype(np.int64).ravel()
    of_shapes = arrow.ListArray.from_arrays(
        arrow.array(starts.astype(np.int32)),
        arrow.array(sizes),
    )
    storage = arrow.StructArray.from_arrays(
        [data, of_shapes],
        ["data", "shape"],
    )
    kind = extensions().ArrowVariableShapedTensorType(numbers.type, dimensions)
    return arrow.ExtensionArray.from_storage(kind, storage)
