"""Samples that are drawn by weight, at any position of an epoch, the same on every machine.

With replacement a draw is independent of all others: a random number from a generator with a
counter (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011; NumPy's Philox),
looked up in the cumulated weights (inversion: L. Devroye, "Non-uniform random variate generation",
1986, III.2). The alias method of M. Vose (1991) would draw in constant time, but its table takes a
loop over all records to make; cumulated weights take one pass of NumPy's, and a bisection a draw.

Without replacement it is the order of exponential waiting times, each divided by its weight
(P. Efraimidis and P. Spirakis, "Weighted random sampling with a reservoir", 2006): as if each draw
were by weight among what is left.

Only operations are used whose results IEEE 754 fixes. NumPy's logarithm differs between processors
in the last bit, which would change orders there.
"""

from __future__ import annotations

import functools
import hashlib
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._order.permutation import derived_seed

_SHOWN = 8  # bytes of a checksum
_DRAWN_TOGETHER = 4  # 64-bit numbers of one step of the generator's counter
_DROPPED_BITS = 11  # of 64, so that 53 are left: what a float64 holds
_TERMS = 12  # of the logarithm's series: the next would be below 2**-60


class Weights:
    """How samples are drawn by weight: `Sampler(ds, 64, weights=Weights(values))`.

    Args:
        values: a weight for each sample, at least 0; they need not add up to 1.
        replacement: True: a sample can be drawn several times. False: at most once in an epoch;
            heavy ones come earlier, and those of weight 0 never.
        num_samples: how many are drawn in an epoch. By default as many as there are samples;
            without replacement, as there are samples with a weight above 0.

    Attributes:
        values: float64, (n,).
        replacement: the same.
        num_samples: how many are drawn in an epoch.

    Raises:
        ValueError: a weight is negative or not finite, none is above 0, or there are not so many
            samples to draw.
    """

    def __init__(
        self,
        values: Any,
        *,
        replacement: bool = True,
        num_samples: int | None = None,
    ) -> None:
        self.values = np.array(values, np.float64)
        self.replacement = replacement
        _check(self.values)
        drawable = int(np.count_nonzero(self.values))
        available = len(self.values)
        if not replacement:
            available = drawable
        if num_samples is None:
            num_samples = available
        self.num_samples = operator.index(num_samples)
        if self.num_samples < 0:
            raise ValueError(f"num_samples is at least 0, not {num_samples}")
        if not replacement and self.num_samples > drawable:
            raise ValueError(
                f"{num_samples} samples are to be drawn without replacement, and {drawable} have a "
                "weight above 0"
            )
        if not drawable and self.num_samples:
            raise ValueError("at least one weight is above 0")
        self._cumulated = _cumulated(self.values)

    @functools.cached_property
    def checksum(self) -> str:
        """A few letters that other weights do not have."""
        digest = hashlib.blake2b(self.values.data, digest_size=_SHOWN)
        digest.update(b"%d %d" % (self.replacement, self.num_samples))
        return digest.hexdigest()

    def order(self, seed: int) -> Drawn | Waited:
        """Return what is drawn in an epoch of this seed."""
        if self.replacement:
            return Drawn(self._cumulated, self.num_samples, seed)
        return Waited(self.values, self.num_samples, seed)


class Drawn:
    """Samples that are drawn with replacement; any position at once.

    Args:
        cumulated: the weights up to and with each sample, as parts of the whole: float64, (n,).
        count: how many are drawn.
        seed: of the generator.
    """

    def __init__(
        self,
        cumulated: np.ndarray,
        count: int,
        seed: int,
    ) -> None:
        self._cumulated = cumulated
        self._count = count
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def block(self, start: int, stop: int) -> np.ndarray:
        """Draw the samples from one position to another: int64, (n,)."""
        stop = min(stop, self._count)
        numbers = uniform(self._seed, start, stop)
        drawn: np.ndarray = self._cumulated.searchsorted(numbers, side="right")
        return drawn


class Waited:
    """Samples that are drawn without replacement; the order is made at once, by sorting.

    Args:
        values: the weights: float64, (n,).
        count: how many are drawn.
        seed: of the generator.
    """

    def __init__(
        self,
        values: np.ndarray,
        count: int,
        seed: int,
    ) -> None:
        drawable = np.flatnonzero(values)
        # Never 0, whose logarithm is none.
        numbers = uniform(seed, 0, len(values)) + 2.0**-54
        waits = -logarithm(numbers[drawable]) / values[drawable]
        first = waits.argsort(kind="stable")[:count]
        self._order = drawable[first]

    def __len__(self) -> int:
        return len(self._order)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return the samples from one position to another: int64, (n,)."""
        samples: np.ndarray = self._order[start:stop]
        return samples


def uniform(
    seed: int,
    start: int,
    stop: int,
) -> np.ndarray:
    """Return the random numbers from one position of a sequence to another.

    Returns:
        float64, (n,): multiples of 2⁻⁵³, at least 0 and below 1.
    """
    first = start // _DRAWN_TOGETHER
    skipped = start - first * _DRAWN_TOGETHER
    generator = np.random.Philox(key=derived_seed(seed, 0), counter=first)
    raw: Callable[[int], Any] = generator.random_raw
    words = raw(skipped + max(stop - start, 0))[skipped:]
    numbers: np.ndarray = (words >> np.uint64(_DROPPED_BITS)) * 2.0**-53
    return numbers


def logarithm(numbers: np.ndarray) -> np.ndarray:
    """Return the natural logarithms of positive numbers, the same on every machine.

    With m in [√½, √2) and a number of m · 2ᵉ: e · ln 2 + 2 · (s + s³/3 + s⁵/5 + …), where
    s = (m - 1) / (m + 1).
    """
    mantissas, exponents = np.frexp(numbers)
    is_small = mantissas < np.sqrt(0.5)
    mantissas[is_small] *= 2
    exponents[is_small] -= 1
    quotient = (mantissas - 1) / (mantissas + 1)
    square = quotient * quotient
    series = np.zeros_like(quotient)
    for term in range(_TERMS, -1, -1):
        series *= square
        series += 1 / (2 * term + 1)
    result: np.ndarray = exponents * 0.6931471805599453 + 2 * quotient * series
    return result


def _check(values: np.ndarray) -> None:
    if values.ndim != 1:
        raise ValueError(f"weights are one a sample, not of shape {values.shape}")
    is_wrong = ~np.isfinite(values) | (values < 0)
    if is_wrong.any():
        first = int(is_wrong.argmax())
        value = values[first]
        raise ValueError(f"weight {first}: it is at least 0 and finite, not {value}")


def _cumulated(values: np.ndarray) -> np.ndarray:
    """Return the weights up to and with each sample, as parts of the whole: float64, (n,)."""
    if not values.any():
        return values
    # By the largest, so that no sum is infinite. One after another: other sums differ by machine.
    cumulated = np.cumsum(values / values.max())
    parts: np.ndarray = cumulated / cumulated[-1]
    return parts
