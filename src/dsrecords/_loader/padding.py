"""`Pad`: arrays of different lengths as one, filled up to the longest."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._loader.buffers import Buffers
from dsrecords._loader.keys import Key
from dsrecords._loader.nulls import as_one_of
from dsrecords.errors import SchemaError


@dataclasses.dataclass(frozen=True)
class Pad:
    """How the arrays of a field become one array in a batch.

    Arrays are filled up along their first axis: n arrays (length, …) become (n, longest, …).

    Args:
        value: what they are filled up with. It must be one of the arrays' dtype.
        length: to which length; None: that of the longest in the batch.
        multiple_of: lengths are rounded up to a multiple of this; None: they are not.

    Raises:
        ValueError: `length` or `multiple_of` is below 1, or both are given and do not fit.
    """

    value: Any = 0
    length: int | None = None
    multiple_of: int | None = None

    def __post_init__(self) -> None:
        for name in ("length", "multiple_of"):
            number = getattr(self, name)
            if number is None:
                continue
            is_number = isinstance(number, int) and not isinstance(number, bool)
            if not is_number or number < 1:
                raise ValueError(f"{name} must be an int above 0, not {number!r}")
        if self.length and self.multiple_of and self.length % self.multiple_of:
            raise ValueError(
                f"a length of {self.length} is no multiple of {self.multiple_of}: give one of them"
            )

    def padded(
        self,
        values: Any,
        field: Key,
        buffers: Buffers,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return arrays as one, and their lengths.

        Args:
            values: arrays (length, …) whose other axes are equal, or lists of numbers; of one
                dtype.
            field: which they are of, for messages.
            buffers: where the memory comes from.

        Returns:
            (n, longest, …), and int64, (n,).

        Raises:
            SchemaError: they are no such arrays, one is longer than `length`, or the value is none
                of their dtype.
        """
        arrays = [_as_array(value, row, field) for row, value in enumerate(values)]
        lengths = np.array([len(array) for array in arrays], np.int64)
        dtype, shape = _common(arrays, values, field)
        fill = _fill_of(self.value, dtype, field)
        longest = self._longest(lengths, field)
        padded = buffers.array(dtype, (len(arrays), longest, *shape))
        for row, array in zip(padded, arrays):
            length = len(array)
            row[:length] = array
            row[length:] = fill
        return padded, lengths

    def _longest(self, lengths: np.ndarray, field: Key) -> int:
        longest = int(lengths.max(initial=0))
        if self.length is not None:
            if longest > self.length:
                raise SchemaError(
                    f"an array has {longest} items, and Pad has length={self.length}: give Pad a "
                    "greater length, or cut arrays in a transform",
                    field=field,
                )
            return self.length
        if self.multiple_of is not None:
            return -(-longest // self.multiple_of) * self.multiple_of
        return longest


def _as_array(value: Any, row: int, field: Key) -> np.ndarray:
    if value is None:
        raise SchemaError(
            f"row {row} of the batch is None: fill_null={{{field!r}: []}} makes it an empty array",
            field=field,
        )
    if isinstance(value, (str, bytes)):
        raise SchemaError("strings and bytes cannot be padded: tokenize them first", field=field)
    if np.ma.is_masked(value):
        raise SchemaError(f"row {row} of the batch has masked values: fill them first", field=field)
    array = np.asarray(value)
    if array.ndim == 0 or array.dtype.kind in "OSU":
        kind = type(value).__name__
        raise SchemaError(f"Pad is for arrays and lists of numbers, not {kind}", field=field)
    return array


def _common(
    arrays: Sequence[np.ndarray], values: Any, field: Key
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The dtype and the shape of an item that all have; empty lists have those of the others."""
    if isinstance(values, np.ndarray):
        return values.dtype, values.shape[2:]
    known = [array for array, value in zip(arrays, values) if _says_its_dtype(value)]
    kinds = {(array.dtype, array.shape[1:]) for array in known}
    if len(kinds) > 1:
        described = " and ".join(sorted(f"{dtype} {list(shape)}" for dtype, shape in kinds))
        raise SchemaError(
            f"arrays of one batch have items of {described}: a transform can make them alike",
            field=field,
        )
    for dtype, shape in kinds:
        return dtype, shape
    return np.dtype(np.float64), ()


def _says_its_dtype(value: Any) -> bool:
    return isinstance(value, np.ndarray) or len(value) > 0


def _fill_of(value: Any, dtype: np.dtype[Any], field: Key) -> Any:
    """The value that fills up, as one of a dtype. Raises SchemaError if it is another there."""
    fill = as_one_of(value, dtype)
    if fill is None:
        raise SchemaError(
            f"Pad({value!r}) is for arrays of {dtype}: not a value there", field=field
        )
    return fill
