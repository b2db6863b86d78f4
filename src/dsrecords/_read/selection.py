"""Which records an index, a slice, a list or a mask means. Knows only how many there are."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._order.chain import chosen
from dsrecords._order.formula import Formula
from dsrecords._types.array_likes import as_array
from dsrecords._types.casting import to_array
from dsrecords.errors import SchemaError


def several(key: Any) -> bool:
    """Whether a key means some records, and not one.

    Arrays of other libraries, such as PyTorch's, are as NumPy's.
    """
    if isinstance(key, (slice, list, range, Formula)):
        return True
    array = _given_array(key)
    return array is not None and array.ndim > 0


def position(key: Any, count: int) -> int:
    """The position that an index means, 0 to count - 1.

    Raises:
        TypeError: it is not one index.
        IndexError: it is out of range.
    """
    if key.__class__ is not int and not isinstance(key, np.integer):
        key = _single(key)
    try:
        index = operator.index(key)
    except TypeError:
        raise TypeError(_hint(key)) from None
    if not -count <= index < count:
        raise _out_of_range(index, count)
    if index < 0:
        return index + count
    return index


def _single(key: Any) -> Any:
    """One index as NumPy's or Python's integer, if an array-like of no dimensions holds it."""
    array = _given_array(key)
    if isinstance(key, (slice, list, range, tuple, Formula)) or (
        array is not None and array.ndim > 0
    ):
        raise TypeError(f"one index is asked for here, not {key!r}")
    if array is None:
        return key
    if array.dtype.kind == "b":
        raise TypeError(_hint(key))
    return array[()]


def _given_array(key: Any) -> np.ndarray | None:
    """The array that a key is, of whichever package; None if it is none."""
    if isinstance(key, (int, np.generic, str)):
        return None
    try:
        return as_array(key)
    except SchemaError as error:
        raise TypeError(f"an index is an integer: {error.message}") from None


def positions(key: Any, base: Any) -> Any:
    """The items of `base` at many indices.

    Args:
        key: a slice, integers, a formula, or a mask of `base`.
        base: a range, a formula, or int64, (n,).

    Returns:
        A range; a formula, if the key or the base is one and no array is needed; or int64, (m,),
        which may share memory with the key.

    Raises:
        TypeError: these are no indices.
        IndexError: one is out of range, or the mask has another length.
    """
    if isinstance(key, slice):
        return base[key]
    count = len(base)
    is_whole = isinstance(base, range) and base == range(count)
    if is_whole and type(key) is np.ndarray and key.ndim == 1 and _are_positions(key, count):
        return key
    if type(key) is not np.ndarray and isinstance(key, Formula):
        if key.limit <= count and not isinstance(base, np.ndarray):
            return chosen(base, key)
        key = _values_within(key, count)
    array = _index_array(key, count)
    if is_whole and _are_positions(array, count):
        return array
    is_wrong = (array < -count) | (array >= count)
    if is_wrong.any():
        first = is_wrong.argmax()
        raise _out_of_range(array[first], count)
    array = array.astype(np.int64)
    array[array < 0] += count
    if is_whole:
        return array
    if isinstance(base, Formula):
        return base.array(array)
    items = np.asarray(base, np.int64)
    return items[array]


def _values_within(formula: Formula, count: int) -> np.ndarray:
    """The values of a formula: int64, (n,). Raises IndexError at the first that is out of range."""
    blocks = []
    for block in formula.blocks():
        highest = block.max()
        if highest >= count:
            raise _out_of_range(highest, count)
        blocks.append(block)
    if not blocks:
        return np.empty(0, np.int64)
    return np.concatenate(blocks)


def _index_array(key: Any, count: int) -> np.ndarray:
    """The indices that a key means: integers, (n,), which may be out of range."""
    array = _array_of_sequence(key)
    if array.ndim == 0:
        raise TypeError(_hint(key))
    if array.shape == (0,):
        return array.astype(np.int64)
    kind = array.dtype.kind
    if array.ndim == 1 and kind == "b":
        if len(array) != count:
            raise IndexError(f"a mask of {len(array)} for {count} records")
        return np.flatnonzero(array)
    if array.ndim != 1 or kind not in "iu":
        what = f"{array.dtype} with shape {array.shape}"
        if kind == "U":
            what += "; fields come second: ds.batch([0, 1], ['label'])"
        raise TypeError(f"indices are integers or a mask, one-dimensional, not {what}")
    return array


def _array_of_sequence(key: Any) -> np.ndarray:
    """A list or another sequence, or an array of whichever package, as an array."""
    if not isinstance(key, (list, range)):
        given = _given_array(key)
        if given is not None:
            return given
        if not _is_sequence(key):
            raise TypeError(_hint(key))
    array = np.asarray(key)
    if array.dtype == object:  # scalars of Arrow, for example
        return to_array(key, "indices")
    return array


def _is_sequence(key: Any) -> bool:
    if isinstance(key, str):
        return False
    if hasattr(key, "column"):  # another dataset
        return False
    return isinstance(key, Sequence)


def _are_positions(array: np.ndarray, count: int) -> bool:
    """Whether indices are positions in range already, as they usually are."""
    if not len(array):
        return False
    if array.dtype != np.int64:
        return False
    unsigned = array.view(np.uint64)  # in which negative ones are large
    return bool(unsigned.max() < count)


def _out_of_range(index: Any, count: int) -> IndexError:
    return IndexError(f"index {index} is out of range: {count} records")


def _hint(key: Any) -> str:
    if isinstance(key, str):
        return (
            f"an index is an integer: for a field of all samples call ds.column({key!r}), "
            f"for one ds[0, {key!r}]"
        )
    if isinstance(key, (int, np.integer)):
        return f"a batch takes several indices, such as ds.batch([{key}]); for one sample ds[{key}]"
    kind = type(key).__name__
    return f"an index is an integer, a slice, a list of integers or a mask, not {kind}"
