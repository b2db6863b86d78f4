"""Which records an index, a slice, a list or a mask means. Knows only how many there are."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np


def several(key: Any) -> bool:
    """Whether it means some records, and not one. Arrays of other libraries, such as PyTorch's, are as NumPy's."""
    return isinstance(key, (slice, list, range)) or bool(getattr(key, "ndim", 0))


def position(key: Any, count: int) -> int:
    """The place of one index in 0 … count - 1. Raises IndexError, TypeError."""
    try:
        index = operator.index(key)
    except TypeError:
        text = f"one index is asked for here, not {key!r}"
        raise TypeError(text if several(key) or isinstance(key, tuple) else _hint(key)) from None
    if not -count <= index < count:
        raise IndexError(f"index {index} is out of range: {count} records")
    return index + count if index < 0 else index


def positions(key: Any, base: Any) -> Any:
    """The items of `base` (a range or int64, (n,)) at many indices: a range or int64. Raises IndexError, TypeError."""
    if isinstance(key, slice):
        return base[key]
    if (
        isinstance(key, str)
        or not (several(key) or isinstance(key, Sequence))
        or hasattr(key, "column")
    ):
        raise TypeError(_hint(key))
    array, count = np.asarray(key), len(base)
    if array.ndim == 1 and not array.size:
        array = array.astype(np.int64)
    if array.ndim == 1 and array.dtype.kind == "b":
        if len(array) != count:
            raise IndexError(f"a mask of {len(array)} for {count} records")
        array = np.flatnonzero(array)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        names = (
            "; fields come second: ds.batch([0, 1], ['label'])" if array.dtype.kind == "U" else ""
        )
        raise TypeError(
            f"indices are integers or a mask, one-dimensional, not {array.dtype} with shape {array.shape}{names}"
        )
    whole = isinstance(base, range) and base == range(count)
    if (
        whole and len(array) and array.dtype == np.int64 and array.view(np.uint64).max() < count
    ):  # the usual: none is negative
        return array
    wrong = (array < -count) | (array >= count)
    if wrong.any():
        raise IndexError(f"index {array[wrong][0]} is out of range: {count} records")
    array = array.astype(np.int64)
    array[array < 0] += count
    return array if whole else np.asarray(base, np.int64)[array]


def _hint(key: Any) -> str:
    if isinstance(key, str):
        return f"an index is an integer: for a field of all samples call ds.column({key!r}), for one ds[0, {key!r}]"
    if isinstance(key, (int, np.integer)):
        return f"a batch takes several indices, such as ds.batch([{key}]); for one sample ds[{key}]"
    return (
        f"an index is an integer, a slice, a list of integers or a mask, not {type(key).__name__}"
    )
