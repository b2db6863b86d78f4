"""What the forms of all types in Arrow have in common."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.base import Type

Values = Any
"""Of some records: an array (n, …), masked where values are missing; a list with None there; or, of
structs, a dict of such columns."""

_MOST_IN_A_LIST = 2**31 - 1  # bytes or items of all values of an array of Arrow: offsets are int32


class TooLargeError(Exception):
    """Values that together do not fit into one array of Arrow."""


class Form(abc.ABC):
    """How the values of a type are written in Arrow.

    Args:
        kind: the type.

    Attributes:
        raw: the type that payloads are read as: one that is stored in the same way, but does not
            decode what Arrow takes as it is stored. Of numbers, what is read are those of the head.
        arrow_type: Arrow's type.
    """

    def __init__(self, kind: Type, raw: Type, arrow_type: Any) -> None:
        self.kind = kind
        self.raw = raw
        self.arrow_type = arrow_type

    @abc.abstractmethod
    def build(self, values: Values) -> Any:
        """Return values as an array of Arrow.

        Raises:
            TooLargeError: they are too many for one.
            CorruptError, SchemaError: one cannot be written in Arrow.
        """

    @abc.abstractmethod
    def restore(self, array: Any) -> Values:
        """Return the values of an array of `arrow_type`, as a field of the type takes them.

        Raises whatever reading a value raises that is none of the type.
        """

    def has_null_of_its_own(self) -> bool:
        """Return whether null is a value of the type, also where this does not take None: NaT."""
        return False

    def written(self) -> str:
        """Return the type that restored values can be written as, without its `?`."""
        return self.kind.name.removesuffix("?")

    def written_name(self) -> str:
        """Return the same with its `?`, if values may be None."""
        name = self.written()
        if self.kind.nullable:
            name += "?"
        return name


def pyarrow() -> Any:
    """Return the module. Raises ImportError if it is not installed."""
    return import_optional("pyarrow", "pyarrow")


def built(values: Sequence[Any], arrow_type: Any) -> Any:
    """Return Python's values, None among them, as an array. Raises TooLargeError."""
    array = pyarrow().array(values, arrow_type, from_pandas=False)
    if isinstance(array, pyarrow().ChunkedArray):
        raise TooLargeError
    return array


def array_of_numbers(numbers: np.ndarray, arrow_type: Any) -> Any:
    """Return an array of NumPy as one of Arrow: what it masks is null, NaN is not."""
    mask = None
    if isinstance(numbers, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(numbers)
        numbers = numbers.data
    return pyarrow().array(numbers, arrow_type, mask=mask, from_pandas=False)


def masked_numbers(array: Any) -> np.ndarray:
    """Return an array of Arrow's numbers as one of NumPy, masked where it has nulls."""
    if array.null_count == 0:
        numbers: np.ndarray = array.to_numpy(zero_copy_only=False)
        return numbers
    zero: Any = 0
    if pyarrow().types.is_boolean(array.type):
        zero = False
    filled = array.fill_null(zero)
    return masked(filled.to_numpy(zero_copy_only=False), array)


def masked(values: np.ndarray, array: Any) -> np.ndarray:
    """Return values, masked where an array of Arrow of the same length has nulls."""
    if array.null_count == 0:
        return values
    mask = array.is_null().to_numpy(zero_copy_only=False)
    return np.ma.MaskedArray(values, mask)


def missing(values: Sequence[Any]) -> np.ndarray | None:
    """Return which values of a list are None: bool, (n,); None if there is none."""
    is_missing = np.fromiter((value is None for value in values), bool, len(values))
    if not is_missing.any():
        return None
    return is_missing


def mask_array(is_missing: np.ndarray | None) -> Any:
    """Return a mask as Arrow takes it."""
    if is_missing is None:
        return None
    return pyarrow().array(is_missing)


def offsets_of(lengths: np.ndarray) -> Any:
    """Return where lists of these lengths begin, and where the last one ends: int32, (n + 1,).

    Raises:
        TooLargeError: together they are too long.
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > _MOST_IN_A_LIST:
        raise TooLargeError
    return pyarrow().array(offsets.astype(np.int32))


def length_of(value: Any) -> int:
    """Return the number of items of a list, or of rows of a dict of columns."""
    if value is None:
        return 0
    if isinstance(value, dict):
        first = next(iter(value.values()))
        return length_of(first)
    return len(value)


def joined(pieces: Iterable[Any]) -> Values:
    """Return the values of several pieces as those of one: arrays, lists or dicts of columns."""
    pieces = list(pieces)
    if not pieces:
        return []
    first = pieces[0]
    if isinstance(first, dict):
        return {key: joined(piece[key] for piece in pieces) for key in first}
    if all(isinstance(piece, np.ndarray) for piece in pieces):
        if any(isinstance(piece, np.ma.MaskedArray) for piece in pieces):
            return np.ma.concatenate(pieces)  # type: ignore[no-untyped-call]
        return np.concatenate(pieces)
    return list(itertools.chain.from_iterable(pieces))


def restored_lists(array: Any, offsets: np.ndarray, items: Values) -> list[Any]:
    """Return for each list of an array those of its items; None where it is null.

    Args:
        array: the lists.
        offsets: where they begin among the items, and where the last one ends: (n + 1,).
        items: of all lists.
    """
    lists: list[Any] = []
    is_valid = array.is_valid().to_pylist()
    starts = offsets.tolist()
    for position, present in enumerate(is_valid):
        if not present:
            lists.append(None)
            continue
        some = items[starts[position] : starts[position + 1]]
        lists.append(some)
    return lists


def restored_each(values: Iterable[Any], restore: Callable[[Any], Any]) -> list[Any]:
    """Return what a function makes of each value that is not None."""
    found: list[Any] = []
    for value in values:
        if value is not None:
            value = restore(value)
        found.append(value)
    return found
