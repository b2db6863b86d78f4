"""A schema from samples. Knows types, and nothing of the files of a dataset.

The types that are chosen hold the values unchanged: Python's integers and floats have 64 bits,
Pillow images become PNG. Where the values of a field have several types, none is chosen.
"""

from __future__ import annotations

import datetime
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format.signatures import image_format, is_audio
from dsrecords._schema.notation import is_type_name, list_of, nullable
from dsrecords._schema.samples import named_fields
from dsrecords._types.base import describe
from dsrecords._types.strings import Json
from dsrecords.errors import SchemaError

LIMIT = 256  # samples that are read, by default
_LONGEST_SHOWN = 60  # characters of a value in a message
_SNIFFED = 32  # bytes of a file that tell its format
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_ARRAY_OF = "array of "
_OTHER_DTYPES = "other dtypes"

# The kind of a value is what all values of a field must have in common: the name of a type, or one
# of the words for which `_INFER_BY_KIND` has a function that looks at the values again.
_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "bool"),  # before int, of which it is a subclass
    (int, "int"),
    (float, "float64"),
    (str, "str"),
    ((bytes, bytearray, memoryview), "bytes"),
    (os.PathLike, "path"),
    (datetime.datetime, "datetime64[us]"),  # before date, of which it is a subclass
    (datetime.date, "datetime64[D]"),
    (datetime.timedelta, "timedelta64[us]"),
)


class _Example(NamedTuple):
    """One value of a field."""

    value: Any
    sample: int  # position of the sample that has it


_Examples = Sequence[_Example]


def infer_schema(samples: Iterable[Any], limit: int = LIMIT) -> dict[str, Any] | list[Any]:
    """Return the schema that fits samples. Print it, paste it into a script, change it.

    Args:
        samples: dicts, dataclasses or named tuples; or tuples, lists or rows of an array.
        limit: how many samples are read.

    Returns:
        Names of fields to types; a list of types for samples whose fields have no names.

    Raises:
        SchemaError: there are no samples, the values of a field have several types (two of them
            are shown), or a value has no type.
        FileNotFoundError: a value is a path, and there is no such file.
    """
    if isinstance(samples, (str, bytes, Mapping)):
        expected = "samples must be a list or another iterable of samples"
        raise SchemaError(f"{expected}, not {describe(samples)}")
    some = itertools.islice(samples, limit)
    rows = []
    for position, sample in enumerate(some):
        row = _fields(sample, position)
        rows.append(row)
    if not rows:
        raise SchemaError("there are no samples to infer the schema from: give a schema")
    _require_same_fields(rows)
    schema = {}
    for key in rows[0]:
        schema[key] = _infer_field(rows, key)
    first_key = next(iter(schema), None)
    if isinstance(first_key, str):
        return schema
    return list(schema.values())


def _fields(sample: Any, position: int) -> Mapping[Any, Any]:
    """Return the fields of a sample by their names, or by their positions."""
    fields = named_fields(sample)
    if fields is not None:
        return fields
    if not _is_row(sample):
        given = describe(sample)
        expected = "a sample must be a dict, a dataclass or a tuple"
        raise SchemaError(f"sample {position} is {given}; {expected}")
    return dict(enumerate(sample))


def _is_row(sample: Any) -> bool:
    """Return whether a sample has values in an order, without names."""
    if isinstance(sample, np.ndarray):
        return sample.ndim == 1
    return isinstance(sample, (tuple, list))


def _require_same_fields(rows: Sequence[Mapping[Any, Any]]) -> None:
    first = rows[0].keys()
    for position, row in enumerate(rows):
        if row.keys() == first:
            continue
        first_names = ", ".join(map(repr, first))
        names = ", ".join(map(repr, row))
        raise SchemaError(
            f"samples have different fields: sample 0 has {first_names}, "
            f"sample {position} has {names}; a missing value must be given as None"
        )


def _infer_field(rows: Sequence[Mapping[Any, Any]], key: Any) -> Any:
    examples = []
    for position, row in enumerate(rows):
        example = _Example(row[key], position)
        examples.append(example)
    try:
        return _infer_type(examples)
    except SchemaError as error:
        raise SchemaError(error.message, field=key) from None


def _infer_type(examples: _Examples) -> Any:
    """Return the type of all these values, as it is written in a schema."""
    not_none = [example for example in examples if example.value is not None]
    if not not_none:
        raise SchemaError("all values are None: specify the type, such as 'str?'")
    kind = _common_kind(not_none)
    if kind in _INFER_BY_KIND:
        found = _INFER_BY_KIND[kind](not_none)
    elif kind.startswith(_ARRAY_OF):
        found = _infer_array(not_none)
    else:
        found = kind
    if len(not_none) < len(examples):
        return nullable(found)
    return found


def _common_kind(examples: _Examples) -> str:
    first_of_kind: dict[str, _Example] = {}
    for example in examples:
        kind = _kind(example.value)
        first_of_kind.setdefault(kind, example)
    if first_of_kind.keys() == {"int", "int64"}:
        return "int"  # Python's integers may still need uint64
    if len(first_of_kind) > 1:
        one, other, *_ = first_of_kind.values()
        raise _several_types(one, other)
    return next(iter(first_of_kind))


def _kind(value: Any) -> str:
    if isinstance(value, (np.ndarray, np.generic)):
        kind = _kind_of_numpy(value)
        if kind is not None:
            return kind
    for classes, kind in _KINDS:
        if isinstance(value, classes):
            return kind
    pillow = sys.modules.get("PIL.Image")  # who has an image of Pillow has imported it
    if pillow is not None and isinstance(value, pillow.Image):
        return "png"  # which keeps the pixels, also of what was read from a JPEG file
    if isinstance(value, Mapping):
        return "dict"
    if isinstance(value, Sequence):
        return "list"
    advice = "convert it, or give a schema with a serializer for it"
    raise SchemaError(f"no type holds {describe(value)}: {advice}")


def _kind_of_numpy(value: np.ndarray | np.generic) -> str | None:
    """Return the kind of an array or of a scalar; None if NumPy's dtype does not determine it."""
    if isinstance(value, np.ma.MaskedArray):
        raise SchemaError("no type holds a masked array: fill it first")
    dtype = value.dtype.name
    if isinstance(value, np.ndarray) and value.ndim > 0:
        if _can_have_shape(dtype):
            return _ARRAY_OF + dtype
        return _ARRAY_OF + _OTHER_DTYPES
    if value.dtype.kind in "SUO":  # bytes and strings are judged as those of Python
        return None
    if is_type_name(dtype):
        return dtype
    return None


def _can_have_shape(dtype: str) -> bool:
    """Return whether there are types of arrays of this dtype, such as float32[3]."""
    return is_type_name(f"{dtype}[1]")


def _infer_int(examples: _Examples) -> str:
    values = [example.value for example in examples]
    smallest = min(values)
    largest = max(values)
    for name in ("int64", "uint64"):
        limits = np.iinfo(name)
        fits = limits.min <= smallest and largest <= limits.max
        if fits:
            return name
    raise SchemaError(f"no type holds integers from {smallest} to {largest}")


def _infer_string(examples: _Examples) -> str:
    for example in examples:
        string = example.value
        if not string.lower().endswith(_IMAGE_ENDINGS):
            continue
        if not os.path.isfile(string):
            continue
        format = image_format(_first_bytes(string))
        if format is not None:
            image = _image_type(format)
            advice = f"specify 'str' or '{image}', or give images as pathlib.Path"
            raise SchemaError(f"{string!r} is a string, and the path of an image: {advice}")
    return "str"


def _infer_path(examples: _Examples) -> str:
    first_of_type: dict[str, _Example] = {}
    for example in examples:
        type_of_file = _type_of_file(example.value)
        first_of_type.setdefault(type_of_file, example)
    if len(first_of_type) == 1:
        return next(iter(first_of_type))
    if "audio" in first_of_type:
        one, other, *_ = first_of_type.values()
        raise _several_types(one, other)
    return "image"


def _type_of_file(path: os.PathLike[str]) -> str:
    start = _first_bytes(path)
    format = image_format(start)
    if format is not None:
        return _image_type(format)
    if is_audio(start):
        return "audio"
    problem = "is not an image or a sound of a known format"
    advice = "give the contents as bytes, or the path as a string"
    raise SchemaError(f"{os.fspath(path)} {problem}: {advice}")


def _image_type(format: str) -> str:
    """Return the type of images of a format, by Pillow's name of it."""
    if format in ("JPEG", "PNG", "WEBP"):
        return format.lower()
    return "image"


def _first_bytes(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as file:
        return file.read(_SNIFFED)


def _infer_array(examples: _Examples) -> str:
    first = examples[0]
    dimensions = first.value.ndim
    for example in examples:
        array = example.value
        if array.dtype.hasobject:
            raise SchemaError(f"no type holds an array of objects, such as {_shown(example)}")
        if array.ndim != dimensions:
            raise _several_types(first, example, ", such as 'array'")
    dtype = first.value.dtype.name
    if not _can_have_shape(dtype):
        return "array"
    lengths = [_common_length(examples, axis) for axis in range(dimensions)]
    shape = ",".join(lengths)
    return f"{dtype}[{shape}]"


def _common_length(examples: _Examples, axis: int) -> str:
    """Return the length that all arrays have along an axis, or `*`."""
    lengths: set[int] = set()
    for example in examples:
        shape = example.value.shape
        lengths.add(shape[axis])
    if len(lengths) > 1 or 0 in lengths:  # an axis that can be empty can have other lengths, too
        return "*"
    length = lengths.pop()
    return str(length)


def _infer_list(examples: _Examples) -> Any:
    items: list[_Example] = []
    for values, sample in examples:
        items.extend(_Example(value, sample) for value in values)
    if not items:
        raise SchemaError("all lists are empty: specify the type, such as 'list[str]'")
    try:
        return list_of(_infer_type(items))
    except SchemaError as error:
        raise SchemaError(f"in a list: {error.message}") from None


def _infer_dict(examples: _Examples) -> Any:
    """Return a struct for dicts with the same names, "json" for others."""
    if not _have_same_names(examples):
        return _infer_json(examples)
    first = examples[0].value
    struct = {}
    for name in first:
        struct[name] = _infer_part(examples, name)
    return struct


def _have_same_names(examples: _Examples) -> bool:
    """Return whether dicts have the same keys, and these can be the names of a struct's parts."""
    first = examples[0].value
    if not first:
        return False
    for key in first:
        if not isinstance(key, str) or not key:
            return False
    names = first.keys()
    return all(example.value.keys() == names for example in examples)


def _infer_part(examples: _Examples, name: str) -> Any:
    """Return the type of the values that dicts have for one of their keys."""
    parts = []
    for value, sample in examples:
        part = _Example(value[name], sample)
        parts.append(part)
    try:
        return _infer_type(parts)
    except SchemaError as error:
        message = f"{name!r} of a dict: {error.message}; or specify 'json' for the dict"
        raise SchemaError(message) from None


def _infer_json(examples: _Examples) -> str:
    for example in examples:
        try:
            Json().dump(example.value)
        except (TypeError, ValueError, RecursionError) as error:
            message = f"{_shown(example)} is not JSON ({error}): give a schema"
            raise SchemaError(message) from None
    return "json"


_INFER_BY_KIND: dict[str, Callable[[_Examples], Any]] = {
    "int": _infer_int,
    "str": _infer_string,
    "path": _infer_path,
    "list": _infer_list,
    "dict": _infer_dict,
}


def _several_types(
    one: _Example,
    other: _Example,
    hint: str = "",
) -> SchemaError:
    shown = f"{_shown(one)} and {_shown(other)}"
    advice = f"give a schema that says which{hint}"
    return SchemaError(f"values of several types, such as {shown}: {advice}")


def _shown(example: _Example) -> str:
    """Return a value and its sample, as messages show them."""
    value = _shown_value(example.value)
    return f"{value} (sample {example.sample})"


def _shown_value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return describe(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    full = repr(value)
    if len(full) <= _LONGEST_SHOWN:
        return full
    start = full[:_LONGEST_SHOWN]
    return f"{start}… ({describe(value)})"
