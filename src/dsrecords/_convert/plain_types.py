"""The types of plain values (of JSON, SQLite and others), learnt one value after another.

What is remembered does not grow with the number of values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsrecords._schema.notation import list_of, nullable

_SMALLEST = -(2**63)
_LARGEST = 2**63 - 1
_LARGEST_UNSIGNED = 2**64 - 1
_LARGEST_EXACT = 2**53  # up to which float64 has every integer
_MOST_KEYS = 200  # of dicts; those with more are maps of anything
_DEEPEST = 8  # lists and dicts within each other
_NUMBERS = frozenset(("int", "float"))


class PlainType:
    """What is known of the values of a field."""

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._kinds: set[str] = set()
        self._has_none = False
        self._smallest = 0
        self._largest = 0
        self._item: PlainType | None = None
        self._parts: dict[str, PlainType] = {}
        self._dicts = 0  # how many dicts there were
        self._is_irregular = False  # whether dicts differ in their keys, or it is nested too deeply
        self.count = 0

    def learn(self, value: Any) -> None:
        """Take a value into account."""
        self.count += 1
        if value is None:
            self._has_none = True
        elif value is True or value is False:
            self._kinds.add("bool")
        elif isinstance(value, int):
            self._kinds.add("int")
            self._smallest = min(self._smallest, value)
            self._largest = max(self._largest, value)
        elif isinstance(value, float):
            self._kinds.add("float")
        elif isinstance(value, str):
            self._kinds.add("str")
        elif isinstance(value, bytes):
            self._kinds.add("bytes")
        else:
            self._learn_nested(value)

    def _learn_nested(self, value: Any) -> None:
        if isinstance(value, Mapping):
            self._kinds.add("dict")
            self._learn_dict(value)
            return
        self._kinds.add("list")
        if self._depth >= _DEEPEST:
            self._is_irregular = True
            return
        if self._item is None:
            self._item = PlainType(self._depth + 1)
        for item in value:
            self._item.learn(item)

    def _learn_dict(self, value: Mapping[str, Any]) -> None:
        self._dicts += 1
        if self._is_irregular:
            return
        if not value or "" in value or len(value) > _MOST_KEYS or self._depth >= _DEEPEST:
            self._forget_parts()
            return
        if self._dicts == 1:
            self._parts = {key: PlainType(self._depth + 1) for key in value}
        if value.keys() != self._parts.keys():
            self._forget_parts()
            return
        for key, part in value.items():
            self._parts[key].learn(part)

    def _forget_parts(self) -> None:
        self._is_irregular = True
        self._parts = {}

    def type(self, rows: int | None = None) -> Any:
        """Return the type that holds all values, as it is written in a schema.

        Args:
            rows: how many there are; those that have no value are missing. None: as many as there
                were values.
        """
        found = self._type()
        has_none = self._has_none or (rows is not None and self.count < rows)
        if not has_none:
            return found
        return nullable(found)

    def _type(self) -> Any:
        kinds = self._kinds
        if not kinds:
            return "str"
        if kinds == {"int"}:
            return self._type_of_integers()
        if kinds <= _NUMBERS:
            fits = max(self._largest, -self._smallest) <= _LARGEST_EXACT
            return "float64" if fits else "json"
        if len(kinds) > 1 or self._is_irregular:
            return "json"
        kind = next(iter(kinds))
        if kind == "list":
            return self._type_of_lists()
        if kind == "dict":
            parts = {key: part.type() for key, part in self._parts.items()}
            if _has_json(parts):
                return "json"
            return parts
        return kind

    def _type_of_integers(self) -> str:
        if self._smallest >= _SMALLEST and self._largest <= _LARGEST:
            return "int64"
        if self._smallest >= 0 and self._largest <= _LARGEST_UNSIGNED:
            return "uint64"
        return "json"

    def _type_of_lists(self) -> Any:
        item = self._item
        assert item is not None
        if not item.count:
            return "json"
        found = item.type()
        if _has_json(found):
            return "json"
        return list_of(found)


def _has_json(found: Any) -> bool:
    """Return whether a type has JSON within it: then all of it is better JSON."""
    if isinstance(found, dict):
        return any(map(_has_json, found.values()))
    if isinstance(found, list):
        return _has_json(found[0])
    return isinstance(found, str) and found.startswith("json")
