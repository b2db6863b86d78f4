"""The type of many values of a field. Knows nothing of samples or their fields.

The types that are chosen hold the values unchanged: Python's integers and floats have 64 bits,
Pillow images keep their file or become PNG. Where no type does, none is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._schema.examples import Example, Examples, several_types, shown
from dsrecords._schema.infer_files import infer_file, refuse_path
from dsrecords._schema.kinds import (
    ARRAY_OF,
    DICT,
    FILE,
    FLOATS,
    INT,
    INTEGERS,
    LIST,
    can_have_shape,
    is_missing,
    kind_of,
    plain,
)
from dsrecords._schema.notation import is_type_name, list_of, nullable
from dsrecords._types.parse import parse, type_text
from dsrecords._types.strings import Json
from dsrecords.errors import SchemaError

_NUMBER = "number"  # the kind of integers and floats together
_LARGEST_EXACT = 2**53  # up to which float64 has every integer
# Kinds of which a type holds every value.
_ALWAYS_FIT = frozenset(("bool", "bytes")) | INTEGERS | FLOATS


def infer_type(examples: Examples) -> Any:
    """Return the type of all these values, as it is written in a schema.

    Raises:
        SchemaError: there is none, or there are several; shows the values.
        FileNotFoundError: a value is a path, and there is no such file.
    """
    try:
        return _infer_type(examples)
    except RecursionError:  # a list that contains itself, or a UserString, which is its own item
        message = f"{shown(examples[0])} is nested without an end, or too deeply: give a schema"
        raise SchemaError(message) from None


def _infer_type(examples: Examples) -> Any:
    present = []
    for value, sample in examples:
        if not is_missing(value):
            example = Example(plain(value), sample)
            present.append(example)
    if not present:
        raise SchemaError("all values are None: specify the type, such as 'str?'")
    found = _infer_present(present)
    if len(present) < len(examples):
        return nullable(found)
    return found


def _infer_present(examples: Examples) -> Any:
    kind = _common_kind(examples)
    if kind in _INFER_BY_KIND:
        return _INFER_BY_KIND[kind](examples)
    if kind.startswith(ARRAY_OF):
        return _infer_array(examples)
    if kind not in _ALWAYS_FIT:
        _require_fit(kind, examples)
    return kind


def _common_kind(examples: Examples) -> str:
    first_of_kind: dict[str, Example] = {}
    for example in examples:
        kind = kind_of(example.value)
        first_of_kind.setdefault(kind, example)
    if len(first_of_kind) == 1:
        return next(iter(first_of_kind))
    kinds = first_of_kind.keys()
    if kinds <= INTEGERS:
        return INT
    if kinds <= FLOATS:
        return "float64"
    if kinds <= INTEGERS | FLOATS:
        return _NUMBER
    one, other, *_ = first_of_kind.values()
    raise several_types(one, other)


def _require_fit(name: str, examples: Examples) -> None:
    """Raise SchemaError if a type does not hold a value, such as a time that is out of its range.

    Args:
        name: the type that the values seem to have.
        examples: the values.
    """
    type = parse(name)
    for example in examples:
        try:
            type.dump(example.value)
        except type.unreadable as error:
            problem = getattr(error, "message", error)
            message = f"{shown(example)} is no {name} ({problem}): give a schema"
            raise SchemaError(message) from None


def _infer_int(examples: Examples) -> str:
    values = [int(example.value) for example in examples]
    smallest = min(values)
    largest = max(values)
    for name in ("int64", "uint64"):
        limits = np.iinfo(name)
        fits = limits.min <= smallest and largest <= limits.max
        if fits:
            return name
    advice = "give float(value) to round them, or str(value) to keep every digit"
    raise SchemaError(f"no type holds integers from {smallest} to {largest}: {advice}")


def _infer_number(examples: Examples) -> str:
    """Return float64 for integers and floats, if it has each of the integers."""
    first_float = _first(examples, is_integer=False)
    for example in examples:
        if not _is_integer(example):
            continue
        if abs(int(example.value)) > _LARGEST_EXACT:
            values = f"{shown(example)} and {shown(first_float)}"
            problem = "float64, which floats need, does not have this integer"
            advice = "give a schema with 'float64' to round it"
            raise SchemaError(f"values of several types, such as {values}: {problem}; {advice}")
    return "float64"


def _first(examples: Examples, is_integer: bool) -> Example:
    return next(example for example in examples if _is_integer(example) == is_integer)


def _is_integer(example: Example) -> bool:
    return kind_of(example.value) in INTEGERS


def _infer_string(examples: Examples) -> str:
    for example in examples:
        refuse_path(example.value)
    _require_fit("str", examples)
    return "str"


def _infer_array(examples: Examples) -> str:
    first = examples[0]
    dimensions = np.ndim(first.value)
    for example in examples:
        array = example.value
        if array.dtype.hasobject:
            advice = "give a list of its values, array.tolist()"
            raise SchemaError(
                f"no type holds an array of objects, such as {shown(example)}: {advice}"
            )
        if array.ndim != dimensions:
            raise several_types(first, example, ", such as 'array'")
    dtype = first.value.dtype.name
    if dimensions == 0 or not can_have_shape(dtype):
        _require_fit("array", examples[:1])
        return "array"
    lengths = [_common_length(examples, axis) for axis in range(dimensions)]
    shape = ",".join(lengths)
    return f"{dtype}[{shape}]"


def _common_length(examples: Examples, axis: int) -> str:
    """Return the length that all arrays have along an axis, or `*`."""
    lengths: set[int] = set()
    for example in examples:
        shape = example.value.shape
        lengths.add(shape[axis])
    if len(lengths) > 1 or 0 in lengths:  # an axis that can be empty can have other lengths, too
        return "*"
    length = lengths.pop()
    return str(length)


def _infer_list(examples: Examples) -> Any:
    items: list[Example] = []
    for values, sample in examples:
        typical = _typical_items(values)
        items.extend(Example(value, sample) for value in typical)
    if not items:
        raise SchemaError("all lists are empty: specify the type, such as 'list[str]'")
    try:
        return list_of(_infer_type(items))
    except SchemaError as error:
        raise SchemaError(f"in a list: {error.message}") from None


def _typical_items(values: Sequence[Any]) -> Sequence[Any]:
    """Return those items of a list that have the type of all: few of many numbers."""
    classes = set(map(type, values))
    if classes == {int}:
        return min(values), max(values)
    if classes == {float}:
        return values[:1]
    return values


def _infer_dict(examples: Examples) -> Any:
    """Return a struct for dicts with the same names; for others "json", or a map of one type."""
    if _have_same_names(examples):
        first = examples[0].value
        struct = {}
        for name in first:
            struct[name] = _infer_part(examples, name)
        return struct
    try:
        return _infer_json(examples)
    except SchemaError:
        found = _infer_map(examples)
        if found is None:
            raise
        return found


def _have_same_names(examples: Examples) -> bool:
    """Return whether dicts have the same keys, and these can be the names of a struct's parts."""
    first = examples[0].value
    if not first:
        return False
    if not all(isinstance(key, str) and key for key in first):
        return False
    names = first.keys()
    return all(example.value.keys() == names for example in examples)


def _infer_part(examples: Examples, name: str) -> Any:
    """Return the type of the values that dicts have for one of their keys."""
    parts = []
    for value, sample in examples:
        part = Example(value[name], sample)
        parts.append(part)
    try:
        return _infer_type(parts)
    except SchemaError as error:
        message = f"{name!r} of a dict: {error.message}; or specify 'json' for the dict"
        raise SchemaError(message) from None


def _infer_json(examples: Examples) -> str:
    for example in examples:
        try:
            Json().dump(example.value)
            _require_names(example.value)
        except (TypeError, ValueError, RecursionError) as error:
            message = f"{shown(example)} is not JSON ({error}): give a schema"
            raise SchemaError(message) from None
    return "json"


def _require_names(value: Any) -> None:
    """Raise TypeError if a dict in a value has a key that JSON would make a string of."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"its keys are strings, not {key!r}; 'msgpack' keeps them")
            _require_names(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _require_names(item)


def _infer_map(examples: Examples) -> str | None:
    """Return the type of dicts with any strings as keys; None if their values have no one type."""
    items: list[Example] = []
    for values, sample in examples:
        if not all(isinstance(key, str) for key in values):
            return None
        items.extend(Example(value, sample) for value in values.values())
    try:
        found = _infer_type(items)
    except SchemaError:
        return None
    name = f"map[{type_text(found)}]"
    if not is_type_name(name):
        return None
    return name


_INFER_BY_KIND: dict[str, Callable[[Examples], Any]] = {
    INT: _infer_int,
    _NUMBER: _infer_number,
    "str": _infer_string,
    FILE: infer_file,
    LIST: _infer_list,
    DICT: _infer_dict,
}
