"""One schema for files that were written apart, each with that of its own values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords.errors import SchemaError

Types = Mapping[Any, str | None]
"""Fields to names of types; None where all values are None, so that any type fits."""

_ARRAY = re.compile(r"(\w+)\[([\d*,]+)\]")
_FREE = "*"
_MARK = "?"  # behind a type of which values may be None
_NUMBERS = (
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


def unified(schemas: Sequence[Types]) -> dict[Any, str]:
    """Return the types that the values of all files have.

    A field may be None where it may in any of them, or is missing in one. Arrays of different sizes
    have a free one, numbers have the type that NumPy promotes them to, and categories with
    different names are strings.

    Raises:
        SchemaError: the types of a field do not go together, or none of its values is known.
    """
    fields: dict[Any, None] = {}
    for schema in schemas:
        fields.update(dict.fromkeys(schema))
    found = {}
    for field in fields:
        types = [schema.get(field) for schema in schemas]
        found[field] = _of_field(types, field)
    return found


def _of_field(types: Sequence[str | None], field: Any) -> str:
    found: str | None = None
    for one in types:
        if found is None:
            found = one
        elif one is not None:
            found = _of_both(found, one, field)
    if found is None:
        raise SchemaError(
            "all its values are None: leave it out, or give a schema",
            field=field,
        )
    if None in types:
        return found.removesuffix(_MARK) + _MARK
    return found


def _of_both(
    first: str,
    second: str,
    field: Any,
) -> str:
    """Return the type of the values of two types. Raises SchemaError if there is none."""
    found = _with_all_marks(first, second)
    if found is not None:
        return found
    mark = ""
    if first.endswith(_MARK) or second.endswith(_MARK):
        mark = _MARK
    own = first.removesuffix(_MARK)
    other = second.removesuffix(_MARK)
    for together in (_number, _category, _array):
        found = together(own, other)
        if found is not None:
            return found + mark
    raise SchemaError(
        f"some blocks of Ray have {first}, and others {second}: give a schema",
        field=field,
    )


def _with_all_marks(first: str, second: str) -> str | None:
    """Return what is in either name, if they differ in question marks alone."""
    if first.replace(_MARK, "") != second.replace(_MARK, ""):
        return None
    letters = []
    rest = list(reversed(second))
    for letter in first:
        if letter == _MARK:
            if rest[-1:] == [_MARK]:
                rest.pop()
            letters.append(_MARK)
            continue
        if rest[-1] == _MARK:
            letters.append(rest.pop())
        letters.append(rest.pop())
    letters.extend(rest)
    return "".join(letters)


def _number(first: str, second: str) -> str | None:
    if first not in _NUMBERS or second not in _NUMBERS:
        return None
    return np.promote_types(first, second).name


def _category(first: str, second: str) -> str | None:
    if first.startswith("category[") and second.startswith("category["):
        return "str"
    return None


def _array(first: str, second: str) -> str | None:
    """Return arrays of the sizes that two types share, with "*" for the others."""
    own = _ARRAY.fullmatch(first)
    other = _ARRAY.fullmatch(second)
    if own is None or other is None or own[1] != other[1]:
        return None
    own_sizes = own[2].split(",")
    other_sizes = other[2].split(",")
    if len(own_sizes) != len(other_sizes):
        return None
    sizes = []
    for one, two in zip(own_sizes, other_sizes):
        if one != two:
            one = _FREE
        sizes.append(one)
    shape = ",".join(sizes)
    return f"{own[1]}[{shape}]"
