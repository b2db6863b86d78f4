"""How numbers are distributed: range, mean, standard deviation and a histogram, block by block.

Numbers are looked at twice: the range is known when the histogram is begun.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

_MOST_INTEGERS = 2**16  # as many neighbouring integers are counted one by one


@dataclasses.dataclass(frozen=True)
class Distribution:
    """How some numbers or times are distributed. Those that are NaN or infinite do not count.

    Attributes:
        count: how many they are.
        minimum: the least: int, float, or NumPy's time.
        maximum: the greatest.
        mean: a float; of times a time.
        std: the standard deviation of all of them (not of a sample); None of times.
        edges: of the histogram, one more than `counts`: bin k has the numbers from `edges[k]` up to
            `edges[k + 1]`, which the last bin has, too, if these are not integers.
        counts: how many numbers each bin has.
    """

    count: int
    minimum: Any
    maximum: Any
    mean: Any
    std: float | None
    edges: tuple[Any, ...]
    counts: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, times as strings."""
        facts = dataclasses.asdict(self)
        for name in ("minimum", "maximum", "mean"):
            facts[name] = _plain(facts[name])
        facts["edges"] = [_plain(edge) for edge in self.edges]
        facts["counts"] = list(self.counts)
        return facts


def _plain(value: Any) -> Any:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return str(value)
    return value


class Numbers:
    """Counts numbers: all blocks with `add`, then, after `begin_histogram`, with `add_again`.

    Args:
        bins: of the histogram, at most.

    Attributes:
        count: how many finite ones there are.
        nans: how many are NaN (or NaT).
        infinities: how many are infinite.
        exact_counts: how often there is each integer, as an array that begins at the minimum; None
            unless all are integers that lie close together.
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self.count = 0
        self.nans = 0
        self.infinities = 0
        self._minimum: Any = None
        self._maximum: Any = None
        self._mean = 0.0
        self._squares = 0.0  # sum of the squared distances from the mean
        self._dtype: np.dtype | None = None
        self._edges: list[Any] = []
        self._counts = np.zeros(0, np.int64)
        self._width: Any = 0
        self.exact_counts: np.ndarray | None = None

    def add(self, array: np.ndarray) -> None:
        """Count an array (n,) of one dtype, always the same: integers, floats, bools or times."""
        self._dtype = array.dtype
        self.nans += _count_nans(array)
        finite = self._finite(array)
        if array.dtype.kind == "f":
            self.infinities += int(np.isinf(array).sum())
        count = len(finite)
        if not count:
            return
        least = finite.min().item()
        greatest = finite.max().item()
        if self.count == 0:
            self._minimum = least
            self._maximum = greatest
        self._minimum = min(self._minimum, least)
        self._maximum = max(self._maximum, greatest)
        self._merge_moments(finite, count)

    def _merge_moments(self, finite: np.ndarray, count: int) -> None:
        """Merge the mean and variance of a block, by Chan's formula (Chan, Golub, LeVeque 1979)."""
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = finite.astype(np.float64)
            mean = float(numbers.mean())
            squares = float(np.square(numbers - mean).sum())
        total = self.count + count
        difference = mean - self._mean
        self._mean += difference * (count / total)
        self._squares += squares + difference * difference * (self.count * count / total)
        self.count = total

    def _finite(self, array: np.ndarray) -> np.ndarray:
        """Return the finite numbers; of times, and of bools, as integers."""
        kind = array.dtype.kind
        if kind in "mM":
            is_known: np.ndarray = array == array
            known: np.ndarray = array[is_known]
            return known.astype(np.int64)
        if kind == "b":
            return array.view(np.uint8)
        if kind == "f":
            finite: np.ndarray = array[np.isfinite(array)]
            return finite
        return array

    def begin_histogram(self) -> None:
        """Choose the bins: whole numbers of integers, else equal parts of the range."""
        if not self.count:
            return
        assert self._dtype is not None
        if self._dtype.kind == "f":
            self._begin_bins_of_floats()
            return
        span = self._maximum - self._minimum + 1
        self._width = -(-span // self._bins)
        count = -(-span // self._width)
        self._edges = [self._minimum + self._width * k for k in range(count + 1)]
        self._counts = np.zeros(count, np.int64)
        if span <= _MOST_INTEGERS:
            self.exact_counts = np.zeros(span, np.int64)

    def _begin_bins_of_floats(self) -> None:
        low = self._minimum
        high = self._maximum
        count = self._bins
        if low == high:
            count = 1
        # Halves, as the difference of two large numbers may be infinite.
        self._width = high / count / 2 - low / count / 2
        self._edges = [low * (1 - k / count) + high * (k / count) for k in range(count + 1)]
        self._counts = np.zeros(count, np.int64)

    def add_again(self, array: np.ndarray) -> None:
        """Count the same array for the histogram."""
        finite = self._finite(array)
        if not len(finite):
            return
        if array.dtype.kind == "f":
            numbers = self._bins_of_floats(finite)
        else:
            # Modulo 2**64, in which differences of integers of any width come out right.
            distances = finite.astype(np.uint64)
            distances -= np.uint64(self._minimum % 2**64)
            if self.exact_counts is not None:
                small = distances.astype(np.int64)
                self.exact_counts += np.bincount(small, minlength=len(self.exact_counts))
            numbers = (distances // np.uint64(self._width)).astype(np.int64)
        self._counts += np.bincount(numbers, minlength=len(self._counts))

    def _bins_of_floats(self, finite: np.ndarray) -> np.ndarray:
        last = len(self._counts) - 1
        if last == 0 or self._width == 0:
            return np.zeros(len(finite), np.int64)
        halves = finite.astype(np.float64) / 2 - self._minimum / 2
        widths = halves / self._width
        numbers = widths.astype(np.int64)
        clipped: np.ndarray = numbers.clip(0, last)
        return clipped

    @property
    def minimum(self) -> Any:
        """The least finite number; of times, and of bools, as an integer."""
        return self._minimum

    def distribution(self) -> Distribution | None:
        """Return what was found; None if there is no finite number."""
        if not self.count:
            return None
        assert self._dtype is not None
        counts = tuple(self._counts.tolist())
        if self._dtype.kind in "mM":
            return self._of_times(counts)
        return Distribution(
            self.count,
            self._minimum,
            self._maximum,
            self._mean,
            math.sqrt(self._squares / self.count),
            tuple(self._edges),
            counts,
        )

    def _of_times(self, counts: tuple[int, ...]) -> Distribution:
        edges = [self._time(edge) for edge in self._edges]
        return Distribution(
            self.count,
            self._time(self._minimum),
            self._time(self._maximum),
            self._time(round(self._mean)),
            None,
            tuple(edges),
            counts,
        )

    def _time(self, number: int) -> Any:
        bounded = min(max(number, -(2**63) + 1), 2**63 - 1)  # the lowest would be NaT
        assert self._dtype is not None
        stored = np.array(bounded, np.int64)
        return stored.view(self._dtype)[()]


def _count_nans(array: np.ndarray) -> int:
    if array.dtype.kind not in "fmM":
        return 0
    return int((array != array).sum())
