"""The arrays of one field, seen as one long array: how long each is, and the items of some."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from dsrecords._dataset.blocks import BLOCK, blocks, read_one
from dsrecords._dataset.lengths import items_in
from dsrecords._dataset.reading import Reading
from dsrecords._read.lengths import knows_sizes, payload_sizes
from dsrecords._read.plan import Plan
from dsrecords._schema.schema import Field
from dsrecords._types.arrays import AnyArray, ShapedArray
from dsrecords._types.base import DType, Load, Type, describe
from dsrecords._types.compressed import Zstd
from dsrecords._types.lists import List
from dsrecords._types.scalars import Scalar
from dsrecords.errors import SchemaError

_FEW = 16  # records that are read faster one by one
_EXPECTED = "windows are of 1-D arrays or lists of numbers"


class ArrayField:
    """The items of the arrays of one field, one record behind the other.

    Args:
        reading: the list, a view.
        field: name or position of the field.

    Raises:
        SchemaError: there is no such field, or its values are no 1-D arrays.
    """

    def __init__(
        self,
        reading: Reading,
        field: Any,
    ) -> None:
        self.reading = reading
        if isinstance(field, (list, tuple)):
            raise TypeError(f"windows are of one field, not {field!r}")
        (item,) = reading.fields.plan_for(field).items
        self._field = item.field
        load = reading.fields.loads[item.field.key]
        self._scalar: Scalar | None = None
        if item.is_builtin:
            load, self._scalar = _load_of(item.field)
        header = reading.fields.header
        self._plan = Plan(header, [(item.field, load)], False, None)
        self._dtypes: set[DType] = set()

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """Where the items of each record begin, and where the last ones end: int64, (n + 1,).

        Raises:
            CorruptError, DecodeError: a record cannot be read.
            SchemaError: a value is no 1-D array, or of another dtype than those before it.
        """
        count = self.reading.count()
        starts = np.zeros(count + 1, np.int64)
        lengths = starts[1:]
        if self._says_lengths():
            self._lengths_of_index(lengths)
        else:
            self._lengths_by_reading(lengths)
        np.cumsum(lengths, out=lengths)
        return starts

    def _says_lengths(self) -> bool:
        is_stored_plainly = isinstance(self._field.type, (ShapedArray, List))
        if self._scalar is None or not is_stored_plainly:
            return False
        return knows_sizes(self.reading.snapshot())

    def _lengths_of_index(self, lengths: np.ndarray) -> None:
        """Compute lengths, int64 (n,), from the sizes of payloads."""
        reading = self.reading
        snapshot = reading.snapshot()
        scalar: Any = self._scalar
        for start in range(0, len(lengths), BLOCK):
            stop = min(start + BLOCK, len(lengths))
            positions = reading.positions(slice(start, stop), snapshot)
            sizes = payload_sizes(snapshot, positions, self._field)
            lengths[start:stop] = items_in(
                sizes, self._field, scalar.width, positions, snapshot.file
            )

    def _lengths_by_reading(self, lengths: np.ndarray) -> None:
        for block in blocks(self.reading, self._plan, None):
            (column,) = block.columns
            for index, value in zip(block.indices.tolist(), column):
                lengths[index] = len(self._array(value, index))

    def _array(
        self,
        value: Any,
        index: int,
    ) -> np.ndarray:
        """Return the array of a record; an empty one in the place of None. Raises SchemaError."""
        if value is None:
            return np.zeros(0, self._known_dtype())
        if not isinstance(value, np.ndarray) or value.ndim != 1:
            raise SchemaError(
                f"{_EXPECTED}, not {describe(value)}",
                file=self.reading.path,
                record=index,
                field=self._field.key,
            )
        if self._scalar is None and len(value):
            self._dtypes.add(value.dtype)
            if len(self._dtypes) > 1:
                raise SchemaError(
                    f"windows are of one dtype: {value.dtype} is not that of the records before",
                    file=self.reading.path,
                    record=index,
                    field=self._field.key,
                )
        return value

    @property
    def dtype(self) -> DType:
        """The dtype of the items; float64 where nothing says it, as there are none."""
        if self._scalar is None:
            _ = self.starts  # reads all arrays
        return self._known_dtype()

    def _known_dtype(self) -> DType:
        if self._scalar is not None:
            empty = np.zeros(0, self._scalar.dtype)
            return self._scalar.shown(empty).dtype
        for dtype in self._dtypes:
            return dtype
        return np.dtype(np.float64)

    def prefetch(self, records: np.ndarray) -> None:
        """Let files elsewhere be asked for the arrays of records: their indices, int64, (n,)."""
        self.reading.announce(records, self._plan)

    def read(self, indices: np.ndarray) -> list[np.ndarray]:
        """Return the arrays of some records, which may be views of the file.

        Raises:
            CorruptError, DecodeError: one cannot be read.
        """
        column: Any
        if len(indices) <= _FEW:
            column = [read_one(self.reading, self._plan, index) for index in indices.tolist()]
        else:
            (column,) = self.reading.columns(self._plan, indices)
        arrays = []
        for value, index in zip(column, indices.tolist()):
            array = self._array(value, index)
            arrays.append(array)
        return arrays


def _load_of(field: Field) -> tuple[Load, Scalar | None]:
    """Return what reads the arrays of a field, and the type of the items; None: each says it.

    Raises SchemaError if its values are no 1-D arrays.
    """
    kind = field.type
    plain: Type = kind
    if isinstance(kind, Zstd):
        plain = kind.inner
    if isinstance(plain, AnyArray):
        return kind.load, None
    if isinstance(plain, ShapedArray) and len(plain.shape) == 1:
        return kind.load, plain.scalar
    if isinstance(plain, List):
        item = plain.item
        if isinstance(item, Scalar) and not item.nullable:
            return kind.load_columns, item
    raise SchemaError(f"{_EXPECTED}: this is {kind.name}", field=field.key)
