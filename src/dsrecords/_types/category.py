"""`category[names]`. Knows nothing of files, fields or records."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._types.array_likes import item_of
from dsrecords._types.base import Load, unexpected
from dsrecords._types.names import quote_all, shorten
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

_MOST_NAMES = 2**16  # numbers of a uint16
_LONGEST_NAME = 255  # characters
_NAMES_SHOWN = 5  # in a message


class Category(Scalar):
    """One of a fixed sequence of names, stored as its position in it, a uint16.

    Args:
        names: the names.
        written: what `quote_all` writes of them, if it is known.
    """

    def __init__(self, names: Sequence[str], written: str | None = None) -> None:
        joined = written or quote_all(names)
        super().__init__(f"category[{joined}]", "H")
        _validate(names)
        self.names = tuple(names)
        count = len(self.names)
        numbers = range(count)
        self.numbers_by_name = dict(zip(self.names, numbers))
        if len(self.numbers_by_name) < count:
            raise SchemaError("the names of a category must be different")
        self.zero = self.names[0]

    def to_number(self, value: Any) -> int:
        if isinstance(value, str):
            number = self.numbers_by_name.get(value)
            if number is not None:
                return number
        item = item_of(value)
        if item is not value:
            return self.to_number(item)
        count = len(self.names)
        first_names = self.names[:_NAMES_SHOWN]
        shown = ", ".join(first_names)
        if count > _NAMES_SHOWN:
            shown += ", …"
        raise unexpected(f"one of the {count} names {shown}", value)

    def from_number(self, number: int) -> str:
        names = self.names
        if number >= len(names):
            raise CorruptError(f"a category of {len(names)} names has no number {number}")
        return names[number]

    def array(self, values: Any, name: str) -> np.ndarray:
        if np.ndim(values) != 1:
            raise unexpected("a list of names", values)
        numbers = [self.to_number(value) for value in values]
        return np.array(numbers, self.dtype)

    def shown(self, numbers: np.ndarray) -> np.ndarray:
        """Return the numbers themselves: arrays of names would be as wide as the longest name."""
        if numbers.size > 0:
            largest = numbers.max()
            self.from_number(int(largest))  # raises CorruptError if it has no name
        return numbers

    def named(self, column: Any) -> Any:
        """Return a column that is an array (n,) as a list: of names in the place of their numbers.

        It is None where the array is masked. Any other column is returned as it is. Raises
        SchemaError if a number has no name.
        """
        if not isinstance(column, np.ndarray) or column.ndim != 1:
            return column
        if column.dtype.kind not in "iu":
            return column.tolist()
        count = len(self.names)
        names: list[str | None] = []
        for number in column.tolist():
            if number is None:  # it is masked
                names.append(None)
                continue
            if not 0 <= number < count:
                raise SchemaError(f"a category of {count} names has no number {number}")
            name = self.names[number]
            names.append(name)
        return names

    def load_number(self, data: memoryview, copy: bool) -> int:
        """Return the number, for `decode="number"`. Raises CorruptError if it has no name."""
        self.load(data, copy)
        return int.from_bytes(data, "little")

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "number":
            return self.load_number
        if decoding == "name":
            # Not a method of this type: then columns are made value by value, of names.
            return functools.partial(Category.load, self)
        message = f"decode of a category can be 'number' or 'name', not {decoding!r}"
        raise SchemaError(message, field=field)


def _validate(names: Sequence[str]) -> None:
    if not names:
        raise SchemaError("a category must have one or more names")
    if len(names) > _MOST_NAMES:
        raise SchemaError(f"a category has at most {_MOST_NAMES} names, not {len(names)}")
    longest = max(names, key=len)
    if len(longest) > _LONGEST_NAME:
        raise SchemaError(f"{shorten(longest)} has more than {_LONGEST_NAME} characters")
    if "\0" in "".join(names):  # which arrays of NumPy would drop at the end of a string
        raise SchemaError("the names of a category must not contain zero characters")
