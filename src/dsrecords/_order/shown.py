"""Which samples a list of samples shows: from indices to positions among all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._order.formula import Formula

EXPECTED = "an index is an integer, a slice, a list of integers or a mask"
"""What a key is, as errors say it."""


def as_indices(key: Any, count: int) -> np.ndarray:
    """Return the indices that a list, an array or a mask means: int64, (n,), none negative.

    Raises:
        TypeError: it is none of these.
        IndexError: one is out of range, or a mask has another length.
    """
    given = np.asarray(key)
    kind = given.dtype.kind
    if given.shape == (0,):
        return np.empty(0, np.int64)
    if given.ndim != 1 or kind not in "iub":
        what = f"{given.dtype} with shape {given.shape}"
        raise TypeError(f"{EXPECTED}, not {what}")
    if kind == "b":
        length = len(given)
        if length != count:
            raise IndexError(f"a mask of {length} for {count} samples")
        return np.flatnonzero(given)
    is_wrong = (given < -count) | (given >= count)
    if is_wrong.any():
        first = is_wrong.argmax()
        raise out_of_range(given[first], count)
    indices = given.astype(np.int64)
    indices[indices < 0] += count
    return indices


def positions_at(shown: Any, indices: np.ndarray) -> np.ndarray:
    """Return the positions at some indices.

    Args:
        shown: all positions: a range, a formula, or int64, (m,).
        indices: int64, (n,), none negative or out of range.

    Returns:
        int64, (n,).
    """
    if isinstance(shown, Formula):
        return shown.array(indices)
    positions: np.ndarray
    if isinstance(shown, range):
        positions = indices * shown.step
        positions += shown.start
        return positions
    positions = shown[indices]
    return positions


def positions_in(shown: Any) -> np.ndarray:
    """Return all of the positions, as an array: int64, (n,)."""
    if isinstance(shown, range):
        return np.arange(
            shown.start,
            shown.stop,
            shown.step,
            dtype=np.int64,
        )
    return np.asarray(shown, np.int64)


def out_of_range(index: Any, count: int) -> IndexError:
    """Make the error of an index."""
    return IndexError(f"index {index} is out of range: {count} samples")
