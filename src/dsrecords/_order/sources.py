"""Reading the datasets that others are made of.

Only what lists have is asked of them: a length and samples by index. What datasets have besides
(`batch`, `__getitems__`, `schema`) is used where it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords.errors import SchemaError


def check_source(source: Any, number: int) -> None:
    """Raise TypeError if a dataset has no length, or no samples by index."""
    if hasattr(source, "__len__") and hasattr(source, "__getitem__"):
        return
    kind = type(source).__name__
    raise TypeError(f"dataset {number}: one with a length and indices is expected, not {kind}")


def passes_over(source: Any) -> bool:
    """Return whether a dataset leaves out what it cannot read."""
    on_error = getattr(source, "on_error", "raise")
    return bool(on_error != "raise")


def read_samples(source: Any, indices: np.ndarray) -> list[Any]:
    """Return samples of a dataset, read together if it can."""
    together = getattr(source, "__getitems__", None)
    if together is not None:
        return list(together(indices))
    samples = []
    for index in indices.tolist():
        sample = source[index]
        samples.append(sample)
    return samples


def read_columns(
    source: Any,
    number: int,
    indices: np.ndarray,
    fields: Any,
) -> Any:
    """Return samples of a dataset field by field. Raises TypeError if it has no `batch`."""
    batch = getattr(source, "batch", None)
    if batch is None:
        kind = type(source).__name__
        raise TypeError(f"dataset {number}, of type {kind}, has no method batch: read samples")
    if fields is None:
        return batch(indices)
    return batch(indices, fields)


def prefetch(source: Any, indices: np.ndarray, fields: Any) -> None:
    """Let a dataset begin to fetch samples, if it is one whose samples are elsewhere."""
    begin = getattr(source, "prefetch", None)
    if begin is None:
        return
    if fields is None:
        begin(indices)
    else:
        begin(indices, fields)


def with_decode(
    source: Any,
    number: int,
    decode: dict[Any, Any],
    copy: bool | None,
) -> Any:
    """Return a dataset some of whose fields are decoded in another way.

    Raises TypeError if it cannot do that.
    """
    change = getattr(source, "with_decode", None)
    if change is None:
        if not decode:
            return source
        kind = type(source).__name__
        raise TypeError(f"dataset {number}, of type {kind}, has no method with_decode")
    return change(decode, copy=copy)


def joined(chunks: Sequence[Any], order: np.ndarray | None) -> Any:
    """Join what several calls of `batch` have returned.

    Args:
        chunks: dicts or tuples of columns, or columns.
        order: int64, (n,): which of the joined samples comes first, and so on; None: as they are.
    """
    first = chunks[0]
    if isinstance(first, dict):
        columns = {}
        for key in first:
            pieces = [chunk[key] for chunk in chunks]
            columns[key] = _joined_column(pieces, order)
        return columns
    if isinstance(first, tuple):
        joined_columns = [_joined_column(pieces, order) for pieces in zip(*chunks)]
        if hasattr(first, "_fields"):  # a named tuple
            return type(first)(*joined_columns)
        return tuple(joined_columns)
    return _joined_column(chunks, order)


def _joined_column(chunks: Sequence[Any], order: np.ndarray | None) -> Any:
    if _are_alike(chunks):
        join: Any = np.ma.concatenate
        column = join(chunks)
        if not _has_mask(chunks):
            column = column.data
        if order is None:
            return column
        return column[order]
    values: list[Any] = []
    for chunk in chunks:
        values += chunk
    if order is None:
        return values
    return [values[place] for place in order.tolist()]


def _has_mask(columns: Sequence[Any]) -> bool:
    return any(isinstance(column, np.ma.MaskedArray) for column in columns)


def _are_alike(columns: Sequence[Any]) -> bool:
    """Return whether columns are arrays whose values are of one dtype and shape."""
    kinds = set()
    for column in columns:
        if not isinstance(column, np.ndarray):
            return False
        kind = (column.dtype, column.shape[1:])
        kinds.add(kind)
    return len(kinds) == 1


def schema_of(source: Any, number: int) -> Any:
    """Return the schema of a dataset. Raises SchemaError if it has none."""
    schema = getattr(source, "schema", None)
    if schema is None:
        kind = type(source).__name__
        raise SchemaError(f"dataset {number}, of type {kind}, has no schema")
    return schema
