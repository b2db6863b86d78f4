"""Blocks of Ray as a table, as `make_dataset` takes it: in the place of tensors are lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords.errors import SchemaError
from dsrecords.ray.tensors import (
    FREE,
    TYPE,
    extensions,
    in_one,
    is_number,
    numpy_of,
    pyarrow,
    stated_sizes,
)

_MOST_IN_A_LIST = 2**31 - 1  # numbers: offsets are int32


def without_tensors(tables: Sequence[Any]) -> Any:
    """Return the rows of tables of Ray as one table.

    Columns have the type that Arrow promotes those of all tables to. What a table does not have is
    null.

    Raises:
        SchemaError: a column has Python objects that Ray has pickled, or of several types.
    """
    names: dict[str, None] = {}
    for table in tables:
        names.update(dict.fromkeys(table.column_names))
    plain = list(tables)
    for name in names:
        try:
            plain = _with_plain_column(plain, name)
        except (SchemaError, ValueError) as error:
            raise SchemaError(str(error), field=name) from None
    try:
        return pyarrow().concat_tables(plain, promote_options="permissive")
    except pyarrow().ArrowException as error:
        raise SchemaError(f"the blocks of Ray do not fit together: {error}") from None


def _with_plain_column(tables: Sequence[Any], name: str) -> list[Any]:
    """Return tables in which a column has no tensors, but what a dataset exports of such arrays.

    Raises:
        SchemaError: it has pickled objects, or tensors in some of the tables alone.
        ValueError: tensors have different numbers of dimensions.
    """
    fields = [table.schema.field(name) for table in tables if name in table.column_names]
    if not _have_tensors(fields):
        return list(tables)
    first = fields[0]
    arrays = {}
    for position, table in enumerate(tables):
        if name in table.column_names:
            arrays[position] = _arrays_of(table.column(name))
    of_all = list(arrays.values())
    sizes = _common_sizes(of_all, fields)
    metadata = first.metadata
    if sizes != stated_sizes(first):
        number = of_all[0].values.dtype.name
        shape = ",".join(sizes)
        metadata = {TYPE: f"{number}[{shape}]".encode()}
    found = list(tables)
    for position, some in arrays.items():
        array = _as_lists(some, sizes)
        field = pyarrow().field(name, array.type, metadata=metadata)
        column = tables[position].column_names.index(name)
        found[position] = tables[position].set_column(column, field, array)
    return found


def _have_tensors(fields: Sequence[Any]) -> bool:
    """Return whether a column has tensors in all tables; False if it has in none."""
    types = [field.type for field in fields]
    if any(isinstance(kind, extensions().ArrowPythonObjectType) for kind in types):
        raise SchemaError(
            "it has Python objects, which Ray has pickled, and which are not unpickled: give them "
            "to Ray as Arrow, by functions with batch_format='pyarrow', or leave the column out"
        )
    tensors = tuple(extensions().get_arrow_extension_tensor_types())
    are_tensors = [isinstance(kind, tensors) for kind in types]
    if any(are_tensors) and not all(are_tensors):
        words = ", ".join(sorted(set(map(str, types))))
        raise SchemaError(f"some blocks of Ray have arrays, and others not: {words}")
    return all(are_tensors)


class _Arrays(NamedTuple):
    """The arrays of a column of tensors.

    Attributes:
        is_present: which are not null: bool, (n,).
        values: of those that are present, behind each other.
        shapes: of those that are present: int64, (m, dimensions).
    """

    is_present: np.ndarray
    values: np.ndarray
    shapes: np.ndarray


def _arrays_of(column: Any) -> _Arrays:
    array = in_one(column)
    kind = array.type
    present = array.storage.drop_null()
    count = len(present)
    data = present
    if _is_variable(kind):
        data = present.field("data")
        sizes = present.field("shape").flatten()
        shapes = numpy_of(sizes).reshape(count, kind.ndim)
    else:
        shape = np.array(kind.shape, np.int64)
        shapes = np.tile(shape, (count, 1))
    numbers = data.flatten()
    if numbers.null_count or not is_number(numbers.type):
        raise SchemaError(f"tensors of {numbers.type}, or with missing numbers, have no type")
    return _Arrays(
        numpy_of(array.storage.is_valid()),
        numpy_of(numbers),
        shapes,
    )


def _is_variable(arrow_type: Any) -> bool:
    return isinstance(arrow_type, extensions().ArrowVariableShapedTensorType)


def _common_sizes(arrays: Sequence[_Arrays], fields: Sequence[Any]) -> list[str]:
    """Return the sizes that all arrays of a column have, with "*" for those that may be any.

    They are those that the metadata of the column state, if all arrays have them.
    """
    shapes = np.concatenate([some.shapes for some in arrays])
    stated = stated_sizes(fields[0])
    if stated is not None and _have(shapes, stated):
        return stated
    any_size = [FREE] * shapes.shape[1]
    if any(_is_variable(field.type) for field in fields):
        return any_size
    # A size of 0 has no list of a fixed size.
    if not len(shapes) or not shapes.all() or (shapes != shapes[0]).any():
        return any_size
    return [str(size) for size in shapes[0].tolist()]


def _have(shapes: np.ndarray, sizes: Sequence[str]) -> bool:
    """Return whether all arrays have some sizes."""
    if shapes.shape[1] != len(sizes):
        return False
    for own, size in zip(shapes.T, sizes):
        if size != FREE and (own != int(size)).any():
            return False
    return True


def _as_lists(arrays: _Arrays, sizes: Sequence[str]) -> Any:
    """Return arrays as a dataset exports those of a type with some sizes."""
    mask = None
    if not arrays.is_present.all():
        mask = pyarrow().array(~arrays.is_present)
    shapes = _all_shapes(arrays, sizes)
    values = arrays.values
    if FREE not in sizes:
        values = _with_zeros(arrays, math.prod(map(int, sizes)))
    numbers = pyarrow().array(values)
    if sizes.count(FREE) > 1 or "0" in sizes:
        return _as_structs(numbers, shapes, mask)
    array = numbers
    for axis in reversed(range(len(sizes))):
        of_lists = None
        if axis == 0:
            of_lists = mask
        if sizes[axis] == FREE:
            repeats = math.prod(map(int, sizes[:axis]))
            lengths = np.repeat(shapes[:, axis], repeats)
            array = pyarrow().ListArray.from_arrays(
                _offsets(lengths),
                array,
                mask=of_lists,
            )
        else:
            array = pyarrow().FixedSizeListArray.from_arrays(
                array,
                int(sizes[axis]),
                mask=of_lists,
            )
    return array


def _all_shapes(arrays: _Arrays, sizes: Sequence[str]) -> np.ndarray:
    """Return the shapes of all arrays: int64, (n, dimensions). Those that are null have no rows."""
    fixed = []
    for size in sizes:
        if size == FREE:
            fixed.append(0)
        else:
            fixed.append(int(size))
    count = len(arrays.is_present)
    shapes = np.tile(np.array(fixed, np.int64), (count, 1))
    shapes[arrays.is_present] = arrays.shapes
    return shapes


def _with_zeros(arrays: _Arrays, size: int) -> np.ndarray:
    """Return the values of arrays of one size, with zeros in the place of those that are null."""
    values = arrays.values
    whole = np.zeros((len(arrays.is_present), size), values.dtype)
    whole[arrays.is_present] = values.reshape(len(arrays.shapes), size)
    return whole.ravel()


def _as_structs(
    numbers: Any,
    shapes: np.ndarray,
    mask: Any,
) -> Any:
    """Return arrays as structs of a shape and numbers."""
    lists = pyarrow().ListArray.from_arrays(
        _offsets(shapes.prod(axis=1)),
        numbers,
    )
    of_shapes = pyarrow().FixedSizeListArray.from_arrays(
        pyarrow().array(shapes.ravel()),
        shapes.shape[1],
    )
    return pyarrow().StructArray.from_arrays(
        [of_shapes, lists],
        ["shape", "data"],
        mask=mask,
    )


def _offsets(lengths: np.ndarray) -> Any:
    """Return where lists of these lengths begin, and where the last one ends: int32, (n + 1,).

    Raises:
        SchemaError: together they are too long for one array of Arrow.
    """
    ends = np.concatenate([[0], np.cumsum(lengths)])
    if ends[-1] > _MOST_IN_A_LIST:
        raise SchemaError(
            "arrays of different shapes have more than 2**31 - 1 numbers in one block of Ray: "
            "ask for smaller ones, with ray.data.DataContext's target_max_block_size"
        )
    return pyarrow().array(ends.astype(np.int32))
