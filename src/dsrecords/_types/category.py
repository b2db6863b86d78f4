"""`category[names]`. Knows nothing of files, fields or records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._types.base import Load, unexpected
from dsrecords._types.names import quote, shorten
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

_MOST_NAMES = 2**16  # numbers of a uint16
_LONGEST_NAME = 255  # characters; a column is an array of strings, each as wide as the longest name
_NAMES_SHOWN = 5  # in a message


class Category(Scalar):
    """One of a fixed sequence of names, stored as its position in it, a uint16."""

    def __init__(self, names: Sequence[str]) -> None:
        quoted = [quote(name) for name in names]
        joined = ",".join(quoted)
        super().__init__(f"category[{joined}]", "H")
        _validate(names)
        self.names = tuple(names)
        self._numbers: dict[str, int] = {}
        for number, name in enumerate(names):
            self._numbers[name] = number
        self.zero = self.names[0]
        self._names_array: np.ndarray | None = None  # made when it is first needed

    def to_number(self, value: Any) -> int:
        if isinstance(value, str):
            number = self._numbers.get(value)
            if number is not None:
                return number
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
        if numbers.size > 0:
            largest = numbers.max()
            self.from_number(int(largest))  # raises CorruptError if it has no name
        if self._names_array is None:
            self._names_array = np.array(self.names)
        found: np.ndarray = self._names_array[numbers]
        return found

    def load_number(self, data: memoryview, copy: bool) -> int:
        """Return the number, for `decode="number"`. Raises CorruptError if it has no name."""
        self.load(data, copy)
        return int.from_bytes(data, "little")

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding != "number":
            raise SchemaError(
                f"decode of a category must be 'number', not {decoding!r}",
                field=field,
            )
        return self.load_number


def _validate(names: Sequence[str]) -> None:
    if not names:
        raise SchemaError("a category must have one or more names")
    if len(names) > _MOST_NAMES:
        raise SchemaError(f"a category has at most {_MOST_NAMES} names, not {len(names)}")
    for name in names:
        if len(name) > _LONGEST_NAME:
            raise SchemaError(f"{shorten(name)} has more than {_LONGEST_NAME} characters")
        if "\0" in name:  # which NumPy would drop at the end of a string
            raise SchemaError(f"{shorten(name)} must not contain zero characters")
    distinct = set(names)
    if len(distinct) < len(names):
        raise SchemaError("the names of a category must be different")
