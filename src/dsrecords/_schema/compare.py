"""How the types of two schemas differ, in words. Knows the names of types, and no schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_MOST_SHOWN = 8

Types = dict[str, str] | list[str]
"""Names of fields to names of types, or a list of names of types: what `Schema.types` returns."""


class _Side(NamedTuple):
    """One of the two schemas.

    Attributes:
        name: what it is called in the words.
        types: the names of the types, by what the words call their fields.
    """

    name: str
    types: dict[str, str]

    def field(self, label: str) -> str:
        type = self.types[label]
        return f"{self.name} has {label}: {type}"


def difference(
    mine: Types,
    other: Types,
    my_name: str,
    its_name: str,
) -> str | None:
    """Return, in words, how other types differ from mine; None where they agree."""
    if isinstance(mine, dict) != isinstance(other, dict):
        its_kind = _kind_of(other)
        my_kind = _kind_of(mine)
        return f"{its_name} has {its_kind}, {my_name} has {my_kind}"
    my_side = _Side(my_name, _by_label(mine))
    its_side = _Side(its_name, _by_label(other))
    found = list(_different_fields(my_side, its_side))
    if found:
        return _joined(found)
    return _different_order(my_side, its_side)


def _kind_of(types: Types) -> str:
    if isinstance(types, dict):
        return "fields with names"
    return "fields without names"


def _by_label(types: Types) -> dict[str, str]:
    if isinstance(types, dict):
        return types
    return {f"field {position}": name for position, name in enumerate(types)}


def _different_fields(mine: _Side, other: _Side) -> Iterator[str]:
    """Yield what differs, in the order of the other's fields, and then what only mine has."""
    labels = {**other.types, **mine.types}
    for label in labels:
        my_type = mine.types.get(label)
        its_type = other.types.get(label)
        if my_type == its_type:
            continue
        if my_type is None:
            yield f"{other.field(label)}, {mine.name} does not"
        elif its_type is None:
            yield f"{mine.field(label)}, {other.name} does not"
        else:
            yield f"{other.field(label)}, {mine.field(label)}"


def _different_order(mine: _Side, other: _Side) -> str | None:
    my_labels = list(mine.types)
    its_labels = list(other.types)
    if my_labels == its_labels:
        return None
    my_order = ", ".join(my_labels)
    its_order = ", ".join(its_labels)
    its_fields = f"{other.name} has its fields in the order {its_order}"
    return f"{its_fields}, {mine.name} in the order {my_order}"


def _joined(found: list[str]) -> str:
    words = "; ".join(found[:_MOST_SHOWN])
    more = len(found) - _MOST_SHOWN
    if more > 0:
        words += f"; and {more} more"
    return words
