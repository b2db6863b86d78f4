"""What `.npy`, `.npz` and HDF5 have in common: columns that are arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dsrecords._convert.base import Progress, Row, Source, no_place, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import types_by_key
from dsrecords._schema.notation import is_type_name

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

BLOCK = 2**22  # bytes of a column that are read together
_ADVICE = "leave the field out, schema={field: None}, or convert to Parquet"


class ColumnsSource(Source):
    """Columns that are arrays (n, …), read a block at a time.

    Args:
        path: of the source.
        columns: what has `shape`, `dtype` and slices, by name.
    """

    def __init__(
        self,
        path: str,
        columns: Mapping[str, Any],
    ) -> None:
        super().__init__(path)
        self.columns = columns
        self.count = self._common_length()

    def _common_length(self) -> int:
        lengths = {name: column.shape[0] for name, column in self.columns.items() if column.shape}
        if len(lengths) < len(self.columns) or len(set(lengths.values())) != 1:
            shapes = ", ".join(f"{name} {column.shape}" for name, column in self.columns.items())
            raise unreadable(self.path, f"these are no columns of one length: {shapes}")
        count: int = next(iter(lengths.values()))
        return count

    def types(self) -> dict[str, Any]:
        """Return the types of the arrays' rows."""
        types: dict[str, Any] = {}
        for name, column in self.columns.items():
            types[name] = type_of_rows(
                self.path,
                name,
                column.dtype,
                column.shape[1:],
            )
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows, of which a block is in memory."""
        for block in self.blocks(list(schema)):
            columns = [_listed(column) for column in block.values()]
            for values in zip(*columns):
                yield dict(zip(block, values))

    def table(self, schema: Mapping[str, Any]) -> Any:
        """Return the columns, where they are arrays of memory or of a mapped file."""
        chosen = {name: self.columns[name] for name in schema}
        if all(isinstance(column, np.ndarray) for column in chosen.values()):
            return chosen
        return None

    def blocks(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """Return some rows of all columns, then the next ones."""
        widths = [_row_size(self.columns[name]) for name in names]
        step = max(1, BLOCK // max(1, sum(widths)))
        assert self.count is not None
        for first in range(0, self.count, step):
            last = min(first + step, self.count)
            yield {name: self.columns[name][first:last] for name in names}


def _row_size(column: Any) -> int:
    elements = math.prod(column.shape[1:])
    size: int = elements * max(1, column.dtype.itemsize)
    return size


def _listed(column: np.ndarray) -> Any:
    if column.dtype.kind == "S":
        return column.tolist()
    return column


def type_of_rows(
    path: str,
    name: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
) -> str:
    """Return the type of the rows of an array. Raises CorruptError if there is none."""
    if dtype.kind in "UTO" and not shape:
        return "str"
    if dtype.kind == "S" and not shape:
        return "bytes"
    base = dtype.newbyteorder("=").name
    if not is_type_name(base):
        if dtype.hasobject:
            raise unreadable(path, f"{name} has objects of Python, which are never unpickled")
        return "array"
    if not shape:
        return base
    sizes = ",".join(map(str, shape))
    return f"{base}[{sizes}]"


def dtype_of(
    title: str,
    name: Any,
    kind: str,
) -> tuple[np.dtype, tuple[int, ...]]:
    """Return the dtype and the shape of a field's values.

    Raises:
        SchemaError: they have no common one.
    """
    base, bracket, sizes = kind.partition("[")
    if base in ("datetime64", "timedelta64"):
        unit, _, rest = sizes.partition("]")
        if unit.endswith(",UTC") or "?" in rest:
            raise no_place(
                title,
                name,
                kind,
                _ADVICE,
            )
        base = f"{base}[{unit}]"
        bracket, sizes = rest[:1], rest[1:]
    try:
        dtype = np.dtype(base)
        shape = tuple(int(size) for size in sizes.removesuffix("]").split(",") if bracket)
    except (TypeError, ValueError):
        raise no_place(
            title,
            name,
            kind,
            _ADVICE,
        ) from None
    if dtype.kind not in "biufcmM":
        raise no_place(
            title,
            name,
            kind,
            _ADVICE,
        )
    return dtype, shape


def columns_of(dataset: IndexedRecordDataset, title: str) -> dict[str, Any]:
    """Return dtype and shape of each field. Raises SchemaError if a field has none."""
    found = {}
    for key, kind in types_by_key(dataset).items():
        found[key] = dtype_of(
            title,
            key,
            kind,
        )
    return found


def written_blocks(
    dataset: IndexedRecordDataset,
    size: int,
    progress: Progress,
) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Return the position of some rows and all of their columns, then the next.

    Args:
        dataset: whose fields are read.
        size: how many rows are read together.
        progress: is shown by rows.
    """
    total = len(dataset)
    keys = list(dataset.fields)
    for first in progress.of(range(0, total, size), -(-total // size)):
        indices = range(first, min(first + size, total))
        batch = dataset.batch(indices, keys)
        if not isinstance(batch, dict):
            batch = dict(zip(keys, batch))
        yield first, batch
