"""Random numbers of a sample: by seed, epoch and sample alone, so threads and ranks change nothing.

Where a sample may come again in an epoch, as it does when samples are drawn with replacement, its
place in the order of the epoch, its draw, counts as well.

Numbers of many samples are made together, by the finalizer of SplitMix64 (G. Steele, D. Lea and
C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) over counters.
"""

from __future__ import annotations

import numpy as np

from dsrecords._order.permutation import derived_seed

_WEYL = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: the increment of SplitMix64
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHIFTS = np.array([30, 27, 31], np.uint64)
_BITS = np.uint64(11)  # that a float64 in [0, 1) cannot hold of 64
_SCALE = 2.0**-53
_WORD = 2**64


class Randomness:
    """The random numbers of one epoch.

    Args:
        seed: of the training, 0 to 2**64 - 1.
        epoch: its number.
    """

    def __init__(self, seed: int, epoch: int) -> None:
        self._seed = derived_seed(seed, epoch)

    def uniform(
        self,
        samples: np.ndarray,
        draws: np.ndarray | None,
        count: int,
    ) -> np.ndarray:
        """Return numbers in [0, 1) for samples.

        Args:
            samples: their indices: int64, (n,).
            draws: where in the epoch they were drawn: int64, (n,); None: each comes once.
            count: how many numbers each sample has; with a greater count, the first are the same.

        Returns:
            float64, (n, count).
        """
        key = np.uint64(self._seed)
        steps = samples.astype(np.uint64) * _WEYL
        own = _mixed(steps + key)
        if draws is not None:
            steps = draws.astype(np.uint64) * _WEYL
            own = _mixed(own + steps)
        counters = np.arange(1, count + 1, dtype=np.uint64)
        counters *= _WEYL
        words = _mixed(own[:, None] + counters)
        numbers: np.ndarray = (words >> _BITS) * _SCALE
        return numbers

    def generator(
        self,
        number: int,
        draw: int | None = None,
    ) -> np.random.Generator:
        """Return a generator of NumPy's.

        Args:
            number: of a sample; -1 - step for a step.
            draw: where in the epoch the sample was drawn; None: it comes once.
        """
        high = number % _WORD
        key = self._seed + (high << 64)
        counter = 0
        if draw is not None:
            counter = (draw + 1) << 192  # of 256 bits: no stream reaches the next one
        bits = np.random.Philox(counter=counter, key=key)
        return np.random.Generator(bits)


def _mixed(words: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64: each bit of the result depends on all of a word."""
    words = words ^ (words >> _SHIFTS[0])
    words = words * _FIRST
    words = words ^ (words >> _SHIFTS[1])
    words = words * _SECOND
    mixed: np.ndarray = words ^ (words >> _SHIFTS[2])
    return mixed
