"""`Windows`: the arrays of a field as fixed windows, across the borders of records."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.array_fields import ArrayField
from dsrecords._dataset.copies import origin_of, reopened
from dsrecords._dataset.reading import Reading
from dsrecords._order.fingerprints import fingerprint, spread
from dsrecords._read.batch import as_array
from dsrecords._read.selection import position, positions, several

Held = dict[int, np.ndarray]  # by record, its array

_GROUP_ITEMS = 2**16  # items of windows that a loop reads together
_LARGEST_GROUP = 256  # windows of them


class Window(NamedTuple):
    """A window, and where records begin in it.

    Attributes:
        values: the items, (length,).
        starts: of the records that begin in it and are not empty: int64, (n,), ascending.
    """

    values: np.ndarray
    starts: np.ndarray


class _Pieces(NamedTuple):
    """What some windows consist of: each piece is of one window and one record.

    Attributes:
        windows: numbers of the windows, counted from the first of them: int64, (n,), ascending.
        records: of the list: int64, (n,).
        sources: where the pieces begin in the arrays of the records: int64, (n,).
        targets: where they begin in the windows: int64, (n,).
        lengths: of the pieces, above 0: int64, (n,).
    """

    windows: np.ndarray
    records: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray


class Windows(Sequence[Any]):
    """Windows of the arrays of a field, as `IndexedRecordDataset.windows` makes them.

    It has no thread and no lock, and pickles small: what it knows of lengths is worked out anew
    where it is opened. What cannot be read is an error, whatever the dataset's `on_error` says: a
    window has no gaps.

    Args:
        reading: the records.
        field: name or position of the field.
        length: items of a window.
        stride: items from one window's start to the next; None: `length`.
        drop_last: whether what is left over behind the last window is dropped.
        boundaries: whether windows come as `Window`.

    Attributes:
        length, stride, drop_last, boundaries: the same.
        field: the same.
    """

    def __init__(
        self,
        reading: Reading,
        field: Any,
        length: int,
        stride: int | None,
        drop_last: bool,
        boundaries: bool,
    ) -> None:
        self.field = field
        self.length = _at_least_one(length, "length")
        self.stride = self.length
        if stride is not None:
            self.stride = _at_least_one(stride, "stride")
        self.drop_last = drop_last
        self.boundaries = boundaries
        self._arrays = ArrayField(reading.selected(slice(None)), field)
        self._selected: range | np.ndarray | None = None

    # Which windows

    @property
    def num_items(self) -> int:
        """How many items the arrays of all records have together."""
        return int(self._arrays.starts[-1])

    @property
    def path(self) -> str:
        """Of the data file, as a dataset's."""
        return self._arrays.reading.path

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the windows."""
        return self._arrays.dtype

    @property
    def fingerprint(self) -> str:
        """16 letters that say which windows these are, and in which order; see a dataset's."""
        count = len(self)
        some = np.array(spread(count), np.int64)
        shown = self._numbers_at(some)
        return fingerprint(
            "windows",
            self._arrays.reading.fingerprint(),
            self.field,
            self.length,
            self.stride,
            count,
            shown.tolist(),
        )

    def _numbers(self) -> range | np.ndarray:
        """Return which windows are shown: a range or int64, (n,)."""
        if self._selected is None:
            self._selected = range(self._count())
        return self._selected

    def _numbers_at(self, indices: Any) -> np.ndarray:
        """Return which windows are at some indices: int64, (n,)."""
        return as_array(positions(indices, self._numbers()))

    def _count(self) -> int:
        """Return how many windows there are in all."""
        total = self.num_items
        full = 0
        if total >= self.length:
            full = (total - self.length) // self.stride + 1
        if self.drop_last:
            return full
        covered = 0
        if full:
            covered = (full - 1) * self.stride + self.length
        is_left = max(covered, full * self.stride) < total
        return full + int(is_left)

    def __len__(self) -> int:
        return len(self._numbers())

    def __repr__(self) -> str:
        path = self._arrays.reading.path
        count = f"{len(self):,}"
        shown = f"{self.field!r} of {path!r}: {count} windows of {self.length}"
        if self.stride != self.length:
            shown += f", every {self.stride}"
        return f"<Windows {shown}>"

    # Reading

    def __getitem__(self, key: Any) -> Any:
        """Return one window, or those of a slice, a list or a mask as another `Windows`.

        Raises:
            IndexError, TypeError: as of a dataset.
            CorruptError, DecodeError: a record cannot be read.
        """
        if not isinstance(key, int) and several(key):
            return self._with(positions(key, self._numbers()))
        (window,) = self.__getitems__([position(key, len(self))])
        return window

    def batch(self, indices: Any) -> Any:
        """Read many windows.

        Args:
            indices: integers, a mask, a slice or a range.

        Returns:
            An array (n, length); with `boundaries` a `Window` of it and a list of n arrays. A list
            of arrays in its place if one of them, the last, is shorter.

        Raises:
            As `[]`.
        """
        numbers = self._numbers_at(indices)
        pieces = self._pieces(numbers)
        values: Any = self._filled(pieces, len(numbers), {})
        sizes = self._sizes(numbers)
        if (sizes != self.length).any():
            values = _cut(values, sizes)
        if not self.boundaries:
            return values
        starts: Any = _starts_in(pieces, len(numbers))
        return Window(values, starts)

    def prefetch(self, indices: Any) -> None:
        """Begin to fetch the arrays of windows elsewhere, as `IndexedRecordDataset.prefetch` does.

        Args:
            indices: as of `batch`.
        """
        numbers = self._numbers_at(indices)
        pieces = self._pieces(numbers)
        self._arrays.prefetch(np.unique(pieces.records))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return windows for PyTorch's fetcher: `[windows[i] for i in indices]`, read together."""
        return self._read(self._numbers_at(indices), {})

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the windows. Each record is read once, unless windows are in disorder."""
        numbers = self._numbers()
        size = max(_GROUP_ITEMS // self.length, 1)
        size = min(size, _LARGEST_GROUP)
        held: Held = {}
        for start in range(0, len(numbers), size):
            group = numbers[start : start + size]
            yield from self._read(as_array(group), held)

    def _read(
        self,
        numbers: np.ndarray,
        held: Held,
    ) -> list[Any]:
        """Return some windows; `held` as of `_filled`."""
        count = len(numbers)
        pieces = self._pieces(numbers)
        rows = self._filled(pieces, count, held)
        windows = _cut(rows, self._sizes(numbers))
        if not self.boundaries:
            return windows
        starts = _starts_in(pieces, count)
        return list(map(Window, windows, starts))

    def _sizes(self, numbers: np.ndarray) -> np.ndarray:
        """Return how many items some windows have: int64, (n,)."""
        left = self.num_items - numbers * self.stride
        sizes: np.ndarray = np.minimum(left, self.length)
        return sizes

    def _pieces(self, numbers: np.ndarray) -> _Pieces:
        """Return what some windows consist of; `numbers` is int64, (n,)."""
        starts = self._arrays.starts
        begins = numbers * self.stride
        ends = begins + self._sizes(numbers)
        firsts = np.searchsorted(starts, begins, side="right") - 1
        stops = np.searchsorted(starts, ends, side="left")
        counts = stops - firsts
        windows = np.repeat(np.arange(len(numbers)), counts)
        # Counted from the first record of each window on: the others follow it.
        skipped = np.cumsum(counts) - counts - firsts
        records = np.arange(len(windows)) - skipped[windows]
        lower = np.maximum(starts[records], begins[windows])
        upper = np.minimum(starts[records + 1], ends[windows])
        lengths = upper - lower
        pieces = _Pieces(
            windows,
            records,
            lower - starts[records],
            lower - begins[windows],
            lengths,
        )
        has_items = lengths > 0
        return _Pieces(*(column[has_items] for column in pieces))

    def _filled(
        self,
        pieces: _Pieces,
        count: int,
        held: Held,
    ) -> np.ndarray:
        """Copy pieces to where they belong.

        Args:
            pieces: the pieces.
            count: of the windows, that many rows.
            held: by record, arrays that were read for the windows before, which need not be read
                again; afterwards, those that were read for these.

        Returns:
            An array (count, length). Behind the items of a shorter window it is not set.
        """
        records = np.unique(pieces.records)
        arrays = self._read_records(records, held)
        rows = np.empty((count, self.length), self.dtype)
        columns = [column.tolist() for column in pieces]
        for window, record, source, target, length in zip(*columns):
            array = arrays[record]
            piece = array[source : source + length]
            rows[window, target : target + length] = piece
        held.clear()
        held.update(arrays)
        return rows

    def _read_records(
        self,
        records: np.ndarray,
        held: Held,
    ) -> Held:
        wanted = records.tolist()
        missing = [record for record in wanted if record not in held]
        read = self._arrays.read(np.array(missing, np.int64))
        arrays = dict(zip(missing, read))
        for record in wanted:
            if record in held:
                arrays[record] = held[record]
        return arrays

    # Copies

    def _with(self, selected: range | np.ndarray) -> Windows:
        """Return an object that shows some of the same windows: a range or int64, (n,)."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        if isinstance(selected, np.ndarray):
            selected = selected.copy()  # it may be the caller's
        other._selected = selected
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes; in the place of what is open, from what it is opened again."""
        state = dict(vars(self))
        state["_arrays"] = origin_of(self._arrays.reading)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        reading = reopened(state["_arrays"])
        self._arrays = ArrayField(reading.selected(slice(None)), self.field)


def _cut(rows: np.ndarray, sizes: np.ndarray) -> list[Any]:
    """Return the first items of each of some rows, as many as `sizes` says."""
    cut = []
    for row, size in zip(rows, sizes.tolist()):
        cut.append(row[:size])
    return cut


def _starts_in(pieces: _Pieces, count: int) -> list[np.ndarray]:
    """Return where records begin in each of some windows: int64, (m,), for each."""
    is_begin = pieces.sources == 0
    windows = pieces.windows[is_begin]
    borders = np.searchsorted(windows, np.arange(1, count))
    return np.split(pieces.targets[is_begin], borders)[:count]


def _at_least_one(number: Any, name: str) -> int:
    found = operator.index(number)
    if found < 1:
        raise ValueError(f"{name} must be 1 or more, not {found}")
    return found
