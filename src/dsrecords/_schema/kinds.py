"""What one value is: the name of a type, or a word for what is decided by all values of a field.

Values of other packages are looked up in the packages that the program has imported.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._schema.notation import is_type_name
from dsrecords._types.array_likes import as_array
from dsrecords._types.base import describe
from dsrecords._types.stored_file import StoredFile
from dsrecords.errors import SchemaError

# Words that are no names of types.
INT = "int"  # of Python, whatever its size
FILE = "file on disk"  # a path, or an image of Pillow
LIST = "list"
DICT = "dict"
ARRAY_OF = "array of "  # and the name of a dtype
_OTHER_DTYPES = "other dtypes"

INTEGERS = frozenset(
    (INT, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
)
FLOATS = frozenset(("float16", "float32", "float64"))

_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "bool"),  # before int, of which it is a subclass
    (int, INT),
    (float, "float64"),
    (str, "str"),
    ((bytes, bytearray, memoryview), "bytes"),
    (os.PathLike, FILE),
    (StoredFile, "file"),
    (datetime.date, "datetime64[D]"),
    (datetime.timedelta, "timedelta64[us]"),
)
_ADVICE = {  # by the name of a class
    "Decimal": "give float(value), or str(value) to keep every digit",
    "Fraction": "give float(value), or str(value) to keep it exactly",
    "UUID": "give value.bytes or str(value)",
    "Enum": "give value.name (for a type such as 'category[cat,dog]') or value.value",
    "Set": "give sorted(value) or list(value)",
    "set": "give sorted(value) or list(value)",
    "frozenset": "give sorted(value) or list(value)",
    "time": "give the duration since midnight, a datetime.timedelta, or value.isoformat()",
    "longdouble": "give float(value), or a type such as 'array'",
    "Period": "give value.to_timestamp()",
    "Interval": "give (value.left, value.right)",
    "DataFrame": "give a list of dicts, frame.to_dict('records'), or frame.to_numpy()",
}
_MISSING = ("NAType", "NaTType")  # classes of pandas
_OTHER_ADVICE = "convert it, or give a schema with a serializer for it"


def is_missing(value: Any) -> bool:
    """Return whether a value stands for none: None, pandas' NA and NaT, a NaT without a unit."""
    if value is None:
        return True
    if isinstance(value, (np.datetime64, np.timedelta64)):
        unit, _ = np.datetime_data(value.dtype)
        return unit == "generic" and bool(np.isnat(value))
    return stands_for_none(type(value))


def stands_for_none(cls: type) -> bool:
    """Return whether all values of a class stand for none: None's own, pandas' NA and NaT."""
    if cls is type(None):
        return True
    return cls.__name__ in _MISSING and cls.__module__.startswith("pandas.")


def is_pillow_image(value: Any) -> bool:
    """Return whether a value is an image of Pillow."""
    pillow = sys.modules.get("PIL.Image")  # who has an image of Pillow has imported it
    return pillow is not None and isinstance(value, pillow.Image)


def plain(value: Any) -> Any:
    """Return a tensor or another array-like as an array of NumPy, any other value as it is.

    Raises:
        SchemaError: it means more than its values.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise SchemaError("no type holds a masked array: fill it first")
    if isinstance(value, (np.ndarray, np.generic, str, bytes, int, float)):
        return value
    if isinstance(value, complex):
        return np.complex128(value)
    if is_pillow_image(value):
        return value
    array = as_array(value)
    if array is None:
        return value
    return array


def kind_of(value: Any) -> str:
    """Return what a value, which is `plain` and not missing, has in common with others of a field.

    Raises:
        SchemaError: there is no type for it; says the way out.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        kind = _kind_of_numpy(value)
        if kind is not None:
            return kind
    if isinstance(value, (datetime.datetime, datetime.timedelta)):
        return _kind_of_time(value)
    if _is_enum(value):
        raise _no_type(value)
    for classes, kind in _KINDS:
        if isinstance(value, classes):
            return kind
    if is_pillow_image(value):
        return FILE
    if isinstance(value, Mapping):
        return DICT
    if isinstance(value, Sequence):
        return LIST
    raise _no_type(value)


def _kind_of_numpy(value: np.ndarray | np.generic) -> str | None:
    """Return the kind of an array or of a scalar; None if NumPy's dtype does not determine it."""
    dtype = value.dtype.name  # which does not tell byte orders apart
    if isinstance(value, np.ndarray) and value.ndim > 0:
        if can_have_shape(dtype):
            return ARRAY_OF + dtype
        return ARRAY_OF + _OTHER_DTYPES
    if value.dtype.kind in "SUOV" and isinstance(value, (np.ndarray, np.void)):
        if is_type_name(dtype):  # bfloat16, which has the kind V
            return dtype
        return ARRAY_OF + _OTHER_DTYPES
    if value.dtype.kind in "SUO":  # bytes and strings are judged as those of Python
        return None
    if is_type_name(dtype):
        return dtype
    raise _no_type(value)


def can_have_shape(dtype: str) -> bool:
    """Return whether there are types of arrays of this dtype, such as float32[3]."""
    return is_type_name(f"{dtype}[1]")


def _kind_of_time(value: datetime.datetime | datetime.timedelta) -> str:
    """Return the type of a time: pandas' own have nanoseconds, those of Python microseconds."""
    if isinstance(value, datetime.timedelta):
        if hasattr(value, "nanoseconds"):
            return "timedelta64[ns]"
        return "timedelta64[us]"
    unit = "us"
    if hasattr(value, "nanosecond"):
        unit = "ns"
    if value.tzinfo is None:
        return f"datetime64[{unit}]"
    kind = f"datetime64[{unit},UTC]"
    if not is_type_name(kind):
        advice = "give value.astimezone(datetime.timezone.utc).replace(tzinfo=None)"
        raise SchemaError(f"no type holds a time with a time zone, such as {value}: {advice}")
    return kind


def _is_enum(value: Any) -> bool:
    """Return whether a value is of an enumeration that is neither of integers nor of strings."""
    names = _names_of_classes(value)
    return "Enum" in names and not isinstance(value, (int, str, float, bytes))


def _names_of_classes(value: Any) -> list[str]:
    return [cls.__name__ for cls in type(value).__mro__]


def _no_type(value: Any) -> SchemaError:
    advice = _OTHER_ADVICE
    for name in _names_of_classes(value):
        if name in _ADVICE:
            advice = _ADVICE[name]
            break
    return SchemaError(f"no type holds {describe(value)}: {advice}")
