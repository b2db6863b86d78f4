"""A schema from what is there: from samples, or from the annotations of a class. Knows types, and nothing of files of ours.

What it chooses holds the values as they are: Python's integers and floats have 64 bits, pictures become PNG. Where two values of
a field do not have one type, it does not choose.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._format.signatures import is_sound, sniff
from dsrecords._types.base import Json, describe
from dsrecords._types.parse import parse, type_text
from dsrecords._types.scalars import quote
from dsrecords.errors import SchemaError

LIMIT = 256  # samples that are looked at, if nothing else is said
_EXAMPLE = 60  # characters of a value in a message
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
Examples = list[tuple[int, Any]]  # values, each with the number of its sample


def infer_schema(samples: Iterable[Any], limit: int = LIMIT) -> dict[str, Any] | list[Any]:
    """The schema that fits samples: a dict for samples with names, else a list. Print it, look at it, paste it, change it.

    Args:
        samples: dicts, dataclasses or named tuples; or tuples, lists or rows of an array.
        limit: how many are looked at.

    Raises:
        SchemaError: there are no samples; or a field has values of several types, of which two are shown; or of none.
        FileNotFoundError: a path of a picture that is not there.
    """
    if isinstance(samples, (str, bytes, Mapping)):
        raise SchemaError(f"samples are a list or another iterable of them, not {describe(samples)}")
    rows = [_row(sample, number) for number, sample in enumerate(itertools.islice(samples, limit))]
    if not rows:
        raise SchemaError("there are no samples to tell the schema from: give a schema")
    keys = rows[0].keys()
    for number, row in enumerate(rows):
        if row.keys() != keys:
            shown = [", ".join(map(repr, each)) for each in (keys, row)]
            text = f"samples have different fields: sample 0 has {shown[0]}, sample {number} has {shown[1]}"
            raise SchemaError(text + "; what is not there is given as None")
    schema = {}
    for key in keys:
        try:
            schema[key] = _type([(number, row[key]) for number, row in enumerate(rows)])
        except SchemaError as error:
            raise SchemaError(error.message, field=key) from None
    return schema if isinstance(next(iter(schema), None), str) else list(schema.values())


def named(sample: Any) -> Mapping[Any, Any] | None:
    """The fields of a dict, a dataclass or a named tuple (in which others of the latter two become dicts), else None."""
    if isinstance(sample, Mapping):
        return sample
    if dataclasses.is_dataclass(sample) and not isinstance(sample, type):
        return {field.name: _plain(getattr(sample, field.name)) for field in dataclasses.fields(sample)}
    if isinstance(sample, tuple) and hasattr(sample, "_asdict"):
        return {key: _plain(value) for key, value in sample._asdict().items()}
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and not hasattr(value, "_asdict"):
        return [_plain(item) for item in value] if value and _plain(value[0]) is not value[0] else value
    fields = None if isinstance(value, Mapping) else named(value)
    return value if fields is None else fields


def _row(sample: Any, number: int) -> Mapping[Any, Any]:
    if (fields := named(sample)) is not None:
        return fields
    if isinstance(sample, (tuple, list)) or (isinstance(sample, np.ndarray) and sample.ndim == 1):
        return dict(enumerate(sample))
    raise SchemaError(f"sample {number} is {describe(sample)}; a sample is a dict, a dataclass or a tuple")


def _type(examples: Examples) -> Any:
    """The type of values, None among them or not."""
    there = [(number, value) for number, value in examples if value is not None]
    if not there:
        raise SchemaError("there are only Nones: say the type, such as 'str?'")
    kinds: dict[str, tuple[int, Any]] = {}
    for number, value in there:
        kinds.setdefault(_kind(value), (number, value))
    if kinds.keys() == {"int", "int64"}:
        del kinds["int"]
    if len(kinds) > 1:
        one, other, *_ = kinds.values()
        raise _mixed(one, other)
    kind = next(iter(kinds))
    found = _CHOICES[kind](there) if kind in _CHOICES else _array(there) if kind.startswith("array of ") else kind
    return f"{type_text(found)}?" if len(there) < len(examples) else found


def _mixed(one: tuple[int, Any], other: tuple[int, Any], hint: str = "") -> SchemaError:
    shown = [f"{_shown(value)} (sample {number})" for number, value in (one, other)]
    return SchemaError(f"values of several types, such as {shown[0]} and {shown[1]}: give a schema that says which{hint}")


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return describe(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    text = repr(value)
    return f"{text[:_EXAMPLE]}… , {describe(value)}" if len(text) > _EXAMPLE else text


def _kind(value: Any) -> str:
    """What values must have in common to have one type: a type's name, or a key of `_CHOICES`."""
    if isinstance(value, np.ma.MaskedArray):
        raise SchemaError("no type holds a masked array: fill it first")
    if isinstance(value, np.ndarray) and value.ndim:
        return f"array of {value.dtype.name if _parses(f'{value.dtype.name}[1]') else 'other things'}"
    if isinstance(value, (np.generic, np.ndarray)) and value.dtype.kind not in "SUO":
        if _parses(name := value.dtype.name):
            return name
    elif isinstance(value, (bool, float)):
        return "bool" if isinstance(value, bool) else "float64"
    for kinds, name in _KINDS:
        if isinstance(value, kinds):
            return name
    image = sys.modules.get("PIL.Image")
    if image is not None and isinstance(value, image.Image):
        return "png"  # which has the same pixels; that it was read from a JPEG file does not make it one
    if isinstance(value, Mapping):
        return "dict"
    if isinstance(value, Sequence):
        return "list"
    raise SchemaError(f"no type holds {describe(value)}: give a schema, or a value that is of one")


_KINDS: tuple[tuple[Any, str], ...] = (
    (int, "int"), (str, "str"), ((bytes, bytearray, memoryview), "bytes"), (os.PathLike, "path"),
    (datetime.datetime, "datetime64[us]"), (datetime.date, "datetime64[D]"), (datetime.timedelta, "timedelta64[us]"),
)  # fmt: skip


def _parses(name: str) -> bool:
    try:
        parse(name)
    except SchemaError:
        return False
    return True


def _int(examples: Examples) -> str:
    values = [value for _, value in examples]
    for name in ("int64", "uint64"):
        info = np.iinfo(name)
        if info.min <= min(values) and max(values) <= info.max:
            return name
    raise SchemaError(f"no type holds integers from {min(values)} to {max(values)}")


def _str(examples: Examples) -> str:
    for _, text in examples:
        if text.lower().endswith(_PICTURES) and os.path.isfile(text):
            with open(text, "rb") as file:
                found = sniff(file.read(32))
            if found:
                name = _named_type(found)
                text = f"{text!r} is a text, and the path of a picture: say 'str' or '{name}', or give pictures as pathlib.Path"
                raise SchemaError(text)
    return "str"


def _named_type(format: str) -> str:
    return format.lower() if format in ("JPEG", "PNG", "WEBP") else "image"


def _path(examples: Examples) -> str:
    names: dict[str, tuple[int, Any]] = {}
    for number, path in examples:
        with open(path, "rb") as file:
            start = file.read(32)
        if not (found := sniff(start)) and not is_sound(start):
            raise SchemaError(f"{os.fspath(path)} is no picture or sound of a known format: give its bytes or its text")
        names.setdefault(_named_type(found) if found else "audio", (number, path))
    if len(names) == 1:
        return next(iter(names))
    if "audio" in names:
        one, other, *_ = names.values()
        raise _mixed(one, other)
    return "image"


def _array(examples: Examples) -> str:
    """The dtype, and the shape with a `*` where lengths differ or are 0."""
    first_number, first = examples[0]
    for number, value in examples:
        if value.dtype.hasobject:
            raise SchemaError(f"no type holds an array of objects, such as {_shown(value.flat[0])} (sample {number})")
        if value.ndim != first.ndim:
            raise _mixed((first_number, first), (number, value), ", such as 'array'")
    if not _parses(f"{first.dtype.name}[1]"):
        return "array"
    lengths = [{value.shape[axis] for _, value in examples} for axis in range(first.ndim)]
    shape = [str(length.copy().pop()) if len(length) == 1 and 0 not in length else "*" for length in lengths]
    return f"{first.dtype.name}[{','.join(shape)}]"


def _list(examples: Examples) -> Any:
    items = [(number, item) for number, value in examples for item in value]
    if not items:
        raise SchemaError("there are only empty lists: say the type, such as 'list[str]'")
    try:
        return _list_of(_type(items))
    except SchemaError as error:
        raise SchemaError(f"in a list: {error.message}") from None


def _list_of(item: Any) -> Any:
    return f"list[{item}]" if isinstance(item, str) else [item]


def _dict(examples: Examples) -> Any:
    """A struct where all have the same keys, else JSON."""
    keys = examples[0][1].keys()
    if not keys or any(value.keys() != keys for _, value in examples) or not all(isinstance(key, str) and key for key in keys):
        return _json(examples)
    found = {}
    for key in keys:
        try:
            found[key] = _type([(number, value[key]) for number, value in examples])
        except SchemaError as error:
            raise SchemaError(f"{key!r} of a dict: {error.message}; or 'json' for the dict") from None
    return found


def _json(examples: Examples) -> str:
    for number, value in examples:
        try:
            Json().dump(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise SchemaError(f"{_shown(value)} (sample {number}) is not JSON ({error}): give a schema") from None
    return "json"


_CHOICES: dict[str, Callable[[Examples], Any]] = {
    "int": _int, "str": _str, "path": _path, "list": _list, "dict": _dict,
}  # fmt: skip


# Annotations


def is_annotated(schema: Any) -> bool:
    """Whether a class says of its fields what they are: a dataclass, a TypedDict, a NamedTuple."""
    if not isinstance(schema, type):
        return False
    return dataclasses.is_dataclass(schema) or typing.is_typeddict(schema) or hasattr(schema, "_fields")


def annotated_schema(cls: type) -> dict[str, Any]:
    """The schema that a class's annotations state. Raises SchemaError where one of them is no type."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, SyntaxError, TypeError) as error:
        text = f"the annotations of {cls.__name__}: {error}; a type's name stands in Annotated[..., 'float32[3]']"
        raise SchemaError(text) from None
    keys = [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else list(hints)
    if missing := getattr(cls, "__optional_keys__", None):
        raise SchemaError("it may be missing, but a sample has every field; say T | None instead", field=min(missing))
    schema = {}
    for key in keys:
        try:
            schema[key] = _annotation(hints[key])
        except SchemaError as error:
            raise SchemaError(error.message, field=key) from None
    return schema


def _annotation(hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        name = next((text for text in arguments[1:] if isinstance(text, str)), None)
        if name is None:
            return _annotation(arguments[0])
        inner = typing.get_args(arguments[0])
        return f"{name}?" if type(None) in inner and not name.endswith("?") else name
    if origin in (typing.Union, types.UnionType):
        several = [each for each in arguments if each is not type(None)]
        if len(several) > 1:
            raise SchemaError(f"{hint} are several types: say one, as in Annotated[..., 'json']")
        found = _annotation(several[0])
        return f"{type_text(found)}?" if len(several) < len(arguments) else found
    if origin is typing.Literal and all(isinstance(name, str) for name in arguments):
        return f"category[{','.join(map(quote, arguments))}]"
    if (name := _SIMPLE.get(hint)) is not None:
        return name
    if isinstance(origin or hint, type):
        cls = origin or hint
        if issubclass(cls, np.generic) and _parses(np.dtype(cls).name):
            return np.dtype(cls).name
        if issubclass(cls, np.ndarray):
            return "array"
        if issubclass(cls, os.PathLike):
            return "image"
        if cls.__module__.startswith("PIL.") and cls.__name__ == "Image":
            return "png"
        if is_annotated(cls):
            return annotated_schema(cls)
        if issubclass(cls, Mapping):
            return "json"
        if issubclass(cls, Sequence) and [each for each in arguments if each is not ...][1:] == [] and arguments:
            return _list_of(_annotation(arguments[0]))
    raise SchemaError(f"{hint} does not say the type: say it, as in Annotated[{getattr(hint, '__name__', hint)}, 'float32[3]']")


_SIMPLE: dict[Any, str] = {
    bool: "bool", int: "int64", float: "float64", str: "str", bytes: "bytes", Any: "json",
    datetime.datetime: "datetime64[us]", datetime.date: "datetime64[D]", datetime.timedelta: "timedelta64[us]",
}  # fmt: skip
