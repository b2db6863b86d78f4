"""Sequences of integers that are formulas: nothing is stored, and blocks are computed by NumPy."""

from __future__ import annotations

import abc
import operator
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np

CHUNK = 2**15  # positions that are computed together: their arrays fit the processor's cache
_FIRST_BLOCK = 2**8  # positions that a loop computes at first: it may end early

Formula_ = TypeVar("Formula_", bound="Formula")


class Formula(Sequence[int]):
    """A sequence of integers, none of which is stored. It never changes.

    What a subclass computes is a whole sequence; `span` says which positions of that are shown. So
    a slice is an object of the same class with another span, which takes no memory.

    Args:
        span: the positions of the whole sequence that are shown.

    Attributes:
        span: the same.
    """

    __slots__ = ("span",)

    def __init__(self, span: range) -> None:
        self.span = span

    # What subclasses define

    @abc.abstractmethod
    def value(self, position: int) -> int:
        """Compute the value at one position of the whole sequence."""

    @abc.abstractmethod
    def fill(
        self,
        positions: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Compute the values at some positions of the whole sequence.

        Args:
            positions: at most `CHUNK`: int64, (n,).
            out: where the values are put: int64, (n,).
        """

    @abc.abstractmethod
    def find(self, value: int) -> int | None:
        """Return where a value is in the whole sequence; None if it is not there."""

    @property
    @abc.abstractmethod
    def limit(self) -> int:
        """A number that all values are below."""

    @abc.abstractmethod
    def sliced(self: Formula_, span: range) -> Formula_:
        """Return the same whole sequence, of which other positions are shown."""

    @abc.abstractmethod
    def identity(self) -> tuple[Any, ...]:
        """Return what makes two whole sequences of this class the same."""

    # One value

    def __len__(self) -> int:
        return len(self.span)

    @overload
    def __getitem__(self, key: int) -> int: ...

    @overload
    def __getitem__(self: Formula_, key: slice) -> Formula_: ...

    def __getitem__(self: Formula_, key: int | slice) -> int | Formula_:
        if isinstance(key, slice):
            return self.sliced(self.span[key])
        try:
            index = operator.index(key)
        except TypeError:
            kind = type(key).__name__
            text = f"an index is an integer or a slice, not {kind}; for many at once call array"
            raise TypeError(text) from None
        try:
            position = self.span[index]
        except IndexError:
            raise _out_of_range(index, len(self)) from None
        return self.value(position)

    # Many values

    def block(self, start: int, stop: int) -> np.ndarray:
        """Compute the values from `start` to `stop`, which count as those of a slice.

        Returns:
            int64, (n,).
        """
        span = self.span[start:stop]
        count = len(span)
        values = np.empty(count, np.int64)
        for first in range(0, count, CHUNK):
            stop = first + CHUNK
            part = span[first:stop]
            positions = np.arange(part.start, part.stop, part.step)
            self.fill(positions, values[first:stop])
        return values

    def array(self, positions: Any = None) -> np.ndarray:
        """Compute many values.

        Args:
            positions: of the values, integers, (n,); negative ones count from the end. By default
                all.

        Returns:
            int64, (n,).

        Raises:
            IndexError: a position is out of range.
            TypeError: these are no integers.
        """
        if positions is None:
            return self.block(0, len(self))
        given = self._checked(positions)
        count = len(given)
        values = np.empty(count, np.int64)
        for first in range(0, count, CHUNK):
            stop = first + CHUNK
            part = given[first:stop].copy()
            part[part < 0] += len(self)
            self.fill_shown(part, values[first:stop])
        return values

    def fill_shown(
        self,
        indices: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Do what `fill` does at indices of what is shown, none negative; they are overwritten."""
        indices *= self.span.step
        indices += self.span.start
        self.fill(indices, out)

    def _checked(self, positions: Any) -> np.ndarray:
        """Return positions in range, of which some may be negative: int64, (n,)."""
        given = np.asarray(positions)
        if given.shape == (0,):
            return given.astype(np.int64)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            what = f"{given.dtype} with shape {given.shape}"
            raise TypeError(f"positions are integers, one-dimensional, not {what}")
        count = len(self)
        extremes = (given.min(), given.max())
        for extreme in extremes:
            if not -count <= extreme < count:
                raise _out_of_range(extreme, count)
        return given.astype(np.int64, copy=False)

    def blocks(self, size: int = CHUNK) -> Iterator[np.ndarray]:
        """Yield all values in arrays of `size`, of which the last may be smaller: int64, (n,)."""
        for start in range(0, len(self), size):
            yield self.block(start, start + size)

    def __iter__(self) -> Iterator[int]:
        start = 0
        size = _FIRST_BLOCK
        while start < len(self):
            block = self.block(start, start + size)
            yield from block.tolist()
            start += size
            size = min(2 * size, CHUNK)

    def __reversed__(self) -> Iterator[int]:
        return iter(self[::-1])

    def __array__(
        self,
        dtype: Any = None,
        copy: bool | None = None,
    ) -> np.ndarray:
        if copy is False:
            raise ValueError("the values of a formula are computed: they cannot be had uncopied")
        values = self.array()
        if dtype is None:
            return values
        return values.astype(dtype, copy=False)

    # Where a value is

    def __contains__(self, value: object) -> bool:
        return self._index(value) is not None

    def index(
        self,
        value: Any,
        start: int = 0,
        stop: int | None = None,
    ) -> int:
        """Return the index of a value, within a slice if one is given. Raises ValueError."""
        index = self._index(value)
        allowed = range(len(self))[start:stop]
        if index is None or index not in allowed:
            raise ValueError(f"{value!r} is not in it")
        return index

    def _index(self, value: Any) -> int | None:
        try:
            wanted = operator.index(value)
        except TypeError:
            return None
        position = self.find(wanted)
        if position is None or position not in self.span:
            return None
        return self.span.index(position)

    # As a value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Formula) or type(self) is not type(other):
            return NotImplemented
        if self.span != other.span:
            return False
        return self.identity() == other.identity()

    def __hash__(self) -> int:
        identity = (
            type(self),
            self.span,
            self.identity(),
        )
        return hash(identity)


def slice_in_words(span: range, count: int) -> str:
    """Return how a span of `count` positions is written behind a sequence: `[2:10:2]`."""
    if span == range(count):
        return ""
    if not span:
        return "[0:0]"
    stop = str(span.stop)
    if span.stop < 0:
        stop = ""
    step = ""
    if span.step != 1:
        step = f":{span.step}"
    return f"[{span.start}:{stop}{step}]"


def _out_of_range(index: Any, count: int) -> IndexError:
    return IndexError(f"index {index} is out of range: {count} values")
