"""`MaxTokens`: batches by length, as many samples as fit into a number of tokens."""

from __future__ import annotations

import functools
import hashlib
import operator
from typing import Any

import numpy as np

_POOL = 2**14  # samples
_SHOWN = 8  # bytes of a checksum


class MaxTokens:
    """Batches of about one length: `Sampler(ds, MaxTokens(8192, lengths))`.

    Args:
        max_tokens: at most so many are in a batch of a rank.
        lengths: of all samples, integers, (n,); or the field of the dataset that has them in the
            index: `dataset.lengths(field)`.
        padded: True: a sample counts as long as the longest of its batch, as it takes memory once
            padded. False: it counts as long as it is, as in batches that are packed.
        pool: samples that are sorted together. More of them spare more padding, and mix less.

    Attributes:
        max_tokens: the same.
        lengths: int64, (n,); empty if a field was given.
        padded: the same.
        pool: the same.

    Raises:
        ValueError: a sample is longer than `max_tokens`, or a number is out of range.
    """

    def __init__(
        self,
        max_tokens: int,
        lengths: Any,
        *,
        padded: bool = True,
        pool: int = _POOL,
    ) -> None:
        self.max_tokens = operator.index(max_tokens)
        self.padded = padded
        self.pool = operator.index(pool)
        if self.pool < 1:
            raise ValueError(f"a pool has at least one sample, not {pool}")
        self._field: str | None = None
        if isinstance(lengths, str):
            self._field = lengths
            lengths = ()
        self.lengths = _as_lengths(lengths)
        self._check()

    def of(self, dataset: Any) -> MaxTokens:
        """Return the same for a dataset: with its lengths, if a field was given.

        Raises:
            TypeError: the dataset does not know the lengths of fields.
        """
        if self._field is None:
            return self
        if not hasattr(dataset, "lengths"):
            kind = type(dataset).__name__
            raise TypeError(f"{kind} does not know lengths: give MaxTokens an array of them")
        lengths = dataset.lengths(self._field)
        return MaxTokens(self.max_tokens, lengths, padded=self.padded, pool=self.pool)

    @functools.cached_property
    def words(self) -> str:
        """What states say of it, with a few letters that other lengths do not have."""
        digest = hashlib.blake2b(self.lengths.data, digest_size=_SHOWN)
        digest.update(b"%d %d" % (self.padded, self.pool))
        checksum = digest.hexdigest()
        return f"tokens {self.max_tokens} {checksum}"

    def _check(self) -> None:
        negative = np.flatnonzero(self.lengths < 0)
        if len(negative):
            raise ValueError(f"a length is at least 0: sample {negative[0]} has a negative one")
        too_long = np.flatnonzero(self.lengths > self.max_tokens)
        if len(too_long):
            first = too_long[0]
            raise ValueError(
                f"{len(too_long)} samples are longer than {self.max_tokens} tokens, first sample "
                f"{first} with {self.lengths[first]}: give a larger max_tokens, or a view without "
                "them, such as ds[lengths <= max_tokens]"
            )

    def cuts(self, lengths: np.ndarray) -> np.ndarray:
        """Cut sorted lengths into batches.

        Args:
            lengths: rising: int64, (n,).

        Returns:
            int64, (batches + 1,): where each batch begins, and at last n.
        """
        cuts = [0]
        count = len(lengths)
        sums = np.zeros(count + 1, np.int64)
        np.cumsum(lengths, out=sums[1:])
        while cuts[-1] < count:
            end = self._end(
                cuts[-1],
                lengths,
                sums,
            )
            cuts.append(end)
        return np.array(cuts, np.int64)

    def _end(
        self,
        start: int,
        lengths: np.ndarray,
        sums: np.ndarray,
    ) -> int:
        """Return where the batch ends that begins at `start`; it has at least one sample."""
        if not self.padded:
            most = sums[start] + self.max_tokens
            behind = sums.searchsorted(most, "right")
            return max(int(behind) - 1, start + 1)
        # So many fit that are as long as the shortest; the longest of them decides, by bisection.
        low = start + 1
        shortest = max(int(lengths[start]), 1)
        most_samples = self.max_tokens // shortest
        high = min(start + most_samples, len(lengths))
        while low < high:
            middle = (low + high + 1) // 2
            longest = max(int(lengths[middle - 1]), 1)
            taken = longest * (middle - start)
            if taken <= self.max_tokens:
                low = middle
            else:
                high = middle - 1
        return low


def _as_lengths(given: Any) -> np.ndarray:
    """Return lengths as int64, (n,). Raises ValueError if they are no integers, one a sample."""
    lengths = np.array(given)
    kind = lengths.dtype.kind
    if lengths.shape == (0,):
        return np.empty(0, np.int64)
    if lengths.ndim != 1 or kind not in "iu":
        what = f"{lengths.dtype} with shape {lengths.shape}"
        raise ValueError(f"lengths are integers, one a sample, not {what}")
    return lengths.astype(np.int64)
