"""A batch that is put together from parts, which threads make in any order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._loader.buffers import Buffers
from dsrecords._loader.keys import Key
from dsrecords._loader.stacking import as_array, chosen, common_shape, stacked


class Stop:
    """Whether nobody waits for batches any more.

    Attributes:
        is_set: the same.
    """

    def __init__(self) -> None:
        self.is_set = False

    def check(self) -> None:
        """Raise `StoppedError` if it is so."""
        if self.is_set:
            raise StoppedError


class StoppedError(Exception):
    """Work was given up: nobody is told of it."""


class Part:
    """Some rows of a batch, which one thread makes: rows `start` to `stop`.

    Attributes:
        kept: which of the rows there are: bool, (stop - start,). Others were left out.
        stopped: to be looked at between rows.
    """

    def __init__(self, assembly: Assembly, start: int, stop: int) -> None:
        self._assembly = assembly
        self.stopped = assembly.stopped
        self.start = start
        self.stop = stop
        self.kept = assembly.kept[start:stop]

    def __len__(self) -> int:
        return self.stop - self.start

    def within(self, start: int, stop: int) -> Part:
        """Return some of these rows."""
        return Part(self._assembly, self.start + start, self.start + stop)

    def target(
        self,
        key: Key,
        dtype: np.dtype[Any],
        row_shape: tuple[int, ...],
    ) -> np.ndarray | None:
        """Return an array for these rows of a column, to be filled; None if it cannot be one.

        It is (stop - start, *row_shape), a part of the batch's own array.
        """
        return self._assembly.rows(
            key,
            dtype,
            row_shape,
            self.start,
            self.stop,
        )

    def put(self, key: Key, values: Any) -> None:
        """Give the values of all rows of a column: an array or a list.

        An array that is the target of these rows is in its place already.
        """
        if isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray):
            target = self.target(key, values.dtype, values.shape[1:])
            if target is not None:
                if not np.may_share_memory(target, values):
                    target[...] = values
                return
        self._assembly.put_apart(key, self.start, values)

    def put_rows(self, key: Key, values: Sequence[Any]) -> None:
        """Give the values of a column row by row: arrays of one dtype and shape get one array.

        Numbers stay as they are until all rows are there, so that it does not matter which rows
        are one part.
        """
        values = [as_array(value) for value in values]
        shape = common_shape(values)
        target = None
        if shape is not None:
            target = self.target(key, *shape)
        if target is None:
            self._assembly.put_apart(key, self.start, values)
        else:
            np.stack(values, out=target)


class Assembly:
    """The columns of a batch.

    Args:
        count: rows.
        buffers: where the memory of arrays comes from.
        stopped: set when nobody wants it any more.

    Attributes:
        kept: which of the rows there are: bool, (count,).
        stopped: the same.
    """

    def __init__(self, count: int, buffers: Buffers, stopped: Stop) -> None:
        self.count = count
        self.stopped = stopped
        self.kept = np.ones(count, bool)
        self._buffers = buffers
        self._lock = threading.Lock()
        self._arrays: dict[Key, np.ndarray] = {}
        self._apart: dict[Key, list[_Piece]] = {}
        self._keys: dict[Key, None] = {}  # in the order in which they came

    def part(self, start: int, stop: int) -> Part:
        """Return some rows."""
        return Part(self, start, stop)

    def rows(
        self,
        key: Key,
        dtype: np.dtype[Any],
        row_shape: tuple[int, ...],
        start: int,
        stop: int,
    ) -> np.ndarray | None:
        """Return some rows of the array of a column; None if it is of another dtype or shape."""
        shape = (self.count, *row_shape)
        with self._lock:
            array = self._arrays.get(key)
            if array is None:
                array = self._buffers.array(dtype, shape)
                self._arrays[key] = array
                self._keys.setdefault(key)
        if array.dtype != dtype or array.shape != shape:
            return None
        return array[start:stop]

    def arrays(self) -> dict[Key, np.ndarray]:
        """Return the columns that are one array, by key."""
        whole = [key for key in self._arrays if key not in self._apart]
        return {key: self._arrays[key] for key in whole}

    def put_apart(self, key: Key, start: int, values: Any) -> None:
        """Keep a part that does not fit into one array with the others."""
        with self._lock:
            self._keys.setdefault(key)
            pieces = self._apart.setdefault(key, [])
            pieces.append(_Piece(start, values))

    def columns(self) -> dict[Key, Any]:
        """Return the columns of the rows that there are, once all parts are made.

        What they are does not depend on how the rows were cut into parts.
        """
        columns = self.unstacked()
        for key, column in columns.items():
            if isinstance(column, list):
                columns[key] = stacked(column, self._buffers)
        return columns

    def unstacked(self) -> dict[Key, Any]:
        """Return the same before lists of numbers and of arrays become arrays."""
        columns = {}
        keeps_all = bool(self.kept.all())
        for key in self._keys:
            column = self._column(key)
            if not keeps_all:
                column = chosen(column, self.kept)
            columns[key] = column
        return columns

    def _column(self, key: Key) -> Any:
        pieces = self._apart.get(key)
        array = self._arrays.get(key)
        if pieces is None:
            return array
        kinds = {type(piece.values) for piece in pieces}
        if array is None and kinds == {np.ma.MaskedArray}:
            return self._masked(pieces)
        rows: list[Any] = [None] * self.count
        if array is not None:
            rows = list(array)
        for piece in pieces:
            values = _listed(piece.values)
            stop = piece.start + len(values)
            rows[piece.start : stop] = values
        return rows

    def _masked(self, pieces: list[_Piece]) -> Any:
        """A column of masked arrays of one dtype and shape."""
        first = pieces[0].values
        if len(first) == self.count:
            return first
        shape = (self.count, *first.shape[1:])
        column: Any = np.ma.masked_all(shape, first.dtype)  # type: ignore[no-untyped-call]
        for piece in pieces:
            stop = piece.start + len(piece.values)
            column[piece.start : stop] = piece.values
        return column


class _Piece(NamedTuple):
    """Some rows of a column that are in no array with the others.

    Attributes:
        start: the first of them.
        values: an array or a list.
    """

    start: int
    values: Any


def _listed(values: Any) -> list[Any]:
    """The rows of a part, None for what is masked."""
    return [None if value is np.ma.masked else value for value in values]
