"""A schema from the annotations of a dataclass, a TypedDict or a NamedTuple. Knows no samples.

Python's `int` and `float` become 64-bit types, so that no value is changed.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._schema.notation import is_type_name, list_of, nullable
from dsrecords._types.names import quote
from dsrecords.errors import SchemaError

_TYPES: dict[Any, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    complex: "complex128",
    str: "str",
    bytes: "bytes",
    datetime.datetime: "datetime64[us]",
    datetime.date: "datetime64[D]",
    datetime.timedelta: "timedelta64[us]",
    Any: "json",
}
_ALIAS: Any = getattr(typing, "TypeAliasType", ())


def is_annotated(schema: Any) -> bool:
    """Return whether this is a class that annotates its fields."""
    if not isinstance(schema, type):
        return False
    if dataclasses.is_dataclass(schema) or typing.is_typeddict(schema):
        return True
    return hasattr(schema, "_fields")  # a NamedTuple


def annotated_schema(cls: type) -> dict[str, Any]:
    """Return the schema that the annotations of a class state: names of fields to types.

    Raises:
        SchemaError: an annotation does not determine a type, a field is not required, or the class
            contains itself.
    """
    try:
        return _fields(cls)
    except RecursionError:
        raise SchemaError(f"{cls.__name__} contains itself: types cannot be recursive") from None


def _fields(cls: type) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, SyntaxError, TypeError) as error:
        advice = "write the name of a type as Annotated[..., 'float32[3]']"
        raise SchemaError(f"the annotations of {cls.__name__}: {error}; {advice}") from None
    not_required = getattr(cls, "__optional_keys__", None)
    if not_required:
        message = "it may be missing, but every field is required; use T | None instead"
        raise SchemaError(message, field=min(not_required))
    names = list(hints)
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]  # without class variables
    schema = {}
    for name in names:
        try:
            schema[name] = _type_of(hints[name])
        except SchemaError as error:
            raise SchemaError(error.message, field=name) from None
    return schema


def _type_of(hint: Any) -> Any:
    """Return the type that an annotation stands for, as it is written in a schema."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if isinstance(hint, _ALIAS):  # type Name = …, of Python 3.12
        return _type_of(hint.__value__)
    if isinstance(origin, _ALIAS):  # as numpy.typing.NDArray is since NumPy 2.5
        return _type_of(origin.__value__[arguments])
    if origin is typing.Annotated:
        return _type_of_annotated(arguments[0], arguments[1:])
    if origin is typing.Union or origin is types.UnionType:
        return _type_of_union(hint, arguments)
    if origin is typing.Literal and all(isinstance(name, str) for name in arguments):
        categories = ",".join(quote(name) for name in arguments)
        return f"category[{categories}]"
    if hint in _TYPES:
        return _TYPES[hint]
    cls = origin or hint
    found = None
    if isinstance(cls, type):
        found = _type_of_class(cls, arguments)
    if found is None:
        name = getattr(hint, "__name__", hint)
        advice = f"specify one, as in Annotated[{name}, 'float32[3]']"
        raise SchemaError(f"{hint} does not determine a type: {advice}")
    return found


def _type_of_annotated(hint: Any, metadata: tuple[Any, ...]) -> Any:
    names = [each for each in metadata if isinstance(each, str)]
    if not names:
        return _type_of(hint)
    name = names[0]
    members = typing.get_args(hint)
    is_nullable = type(None) in members
    if is_nullable and not name.endswith("?"):
        return f"{name}?"
    return name


def _type_of_union(hint: Any, members: tuple[Any, ...]) -> Any:
    not_none = [member for member in members if member is not type(None)]
    if len(not_none) > 1:
        advice = "specify one, as in Annotated[..., 'json']"
        raise SchemaError(f"{hint} is several types: {advice}")
    found = _type_of(not_none[0])
    if len(not_none) < len(members):
        return nullable(found)
    return found


def _type_of_class(cls: type, arguments: tuple[Any, ...]) -> Any:
    """Return the type of a class with these arguments, as in list[int]; None if it has none."""
    if issubclass(cls, np.generic):
        return _type_of_numpy_scalar(cls)
    if issubclass(cls, np.ndarray):
        return "array"
    if issubclass(cls, os.PathLike):
        return "image"
    if cls.__module__.startswith("PIL.") and cls.__name__ == "Image":
        return "png"
    if is_annotated(cls):
        return _fields(cls)
    if issubclass(cls, Mapping):
        return "json"
    if issubclass(cls, Sequence):
        items = [argument for argument in arguments if argument is not ...]  # of tuple[int, ...]
        if len(items) == 1:
            return list_of(_type_of(items[0]))
    return None


def _type_of_numpy_scalar(cls: type[np.generic]) -> str | None:
    try:
        name = np.dtype(cls).name
    except TypeError:  # an abstract class, such as np.floating
        return None
    if is_type_name(name):
        return name
    return None
