"""Reading the values that the functions of dsrecords 0.4 wrote. Knows nothing of its files.

The functions of today's `io` have the names of those of 0.4, but read other bytes.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dsrecords._schema.functions import is_deserializer, way_of_reading
from dsrecords._types.arrays import view
from dsrecords._types.dtypes import dtype_of
from dsrecords._types.parse import parse
from dsrecords.errors import CorruptError

Function = Callable[[bytes], Any]

_LONGEST_NPY_HEADER = 10_000  # characters, as NumPy itself has it
_NPY_MAGIC = b"\x93NUMPY"
_FLOAT_CODES = {2: "<e", 4: "<f", 8: "<d"}


def reader_of_function(function: Any) -> Any:
    """Return the function that reads what the function of 0.4 with the same name wrote.

    Args:
        function: a deserializer of `io`, perhaps with options; any other is returned as it is.
    """
    options: dict[str, Any] = {}
    inner = function
    if isinstance(function, functools.partial):
        options = dict(function.keywords)
        inner = function.func
    name = getattr(inner, "__name__", "")
    reader = _READERS.get(name)
    if reader is None or not is_deserializer(function):
        return function
    if reader is not read_list:
        return functools.partial(reader, **options)
    way_of_reading(function, "")  # raises if there is no function for the items
    item_function = options.get("load_fn") or options.get("loader")
    item = reader_of_function(item_function)
    return functools.partial(read_list, item=item)


def reader_of_type(name: str) -> Function:
    """Return the function that reads a field of 0.4 as a value of the type with this name.

    Images and other bytes stay bytes.
    """
    name = name.rstrip("?")
    simple = _READERS_OF_TYPES.get(name)
    if simple is not None:
        return simple
    if re.fullmatch(r"u?int\d+", name):
        signed = name[0] == "i"
        return functools.partial(read_int, signed=signed)
    if re.fullmatch(r"float\d+", name):
        return read_float
    if name.startswith("list["):
        item_name = name[len("list[") : -1]
        item = reader_of_type(item_name)
        return functools.partial(read_list, item=item)
    if name.startswith("zstd("):
        arguments = name[len("zstd(") : -1]
        inner_name = re.split(",level=|,dict=", arguments)[0]
        return reader_of_type(inner_name)
    if re.fullmatch(r"\w+\[[\d*, ]+\]", name):  # such as float32[*,4]
        return read_np
    if name.startswith("category["):
        return read_str
    if name.startswith("custom("):
        return bytes
    field_type = parse(name)
    return lambda data: field_type.load(memoryview(data), True)


def _require_size(data: bytes, what: str, sizes: tuple[int, ...]) -> None:
    if len(data) in sizes:
        return
    text = f"{what} of {len(data)} bytes"
    if not data:
        text += "; after a removal, an append of dsrecords 0.4 may leave a record without a byte"
    raise CorruptError(text)


def read_bool(data: bytes) -> bool:
    """Read one byte."""
    _require_size(data, "a bool", (1,))
    return data != b"\0"


def read_int(data: bytes, bits: int = 32, signed: bool = True) -> int:
    """Read an integer of 1, 2, 4 or 8 bytes.

    `bits` does not matter: in 0.4, `bits=64` wrote 4 bytes, and `bits=128` wrote 8.
    """
    _require_size(data, "an integer", (1, 2, 4, 8))
    return int.from_bytes(data, "little", signed=signed)


def read_float(data: bytes, bits: int = 32) -> float:
    """Read a float of 2, 4 or 8 bytes, whatever `bits` says."""
    _require_size(data, "a float", (2, 4, 8))
    code = _FLOAT_CODES[len(data)]
    (value,) = struct.unpack(code, data)
    return float(value)


def read_str(data: bytes, encoding: str = "utf-8") -> str:
    """Read a string."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise CorruptError(f"not a string: {error}") from None


def read_np(data: bytes) -> np.ndarray:
    """Read an array that `numpy.save` wrote. Arrays of objects, which are pickles, are refused."""
    try:
        header = _parse_npy_header(data)
    except (
        ValueError,
        SyntaxError,
        TypeError,
        KeyError,
        IndexError,
        MemoryError,
        RecursionError,
    ) as error:
        raise CorruptError(f"not an array of numpy.save: {error}") from None
    values = memoryview(data)[header.size :]
    if header.fortran_order:
        reversed_shape = header.shape[::-1]
        return view(values, header.dtype, reversed_shape, True).T
    return view(values, header.dtype, header.shape, True)


class _NpyHeader(NamedTuple):
    """What the header of a file of `numpy.save` states, and its own size in bytes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    size: int


def _parse_npy_header(data: bytes) -> _NpyHeader:
    if data[:6] != _NPY_MAGIC:
        raise ValueError("it does not begin as one")
    version = data[6]
    start = 10 if version == 1 else 12
    length = int.from_bytes(data[8:start], "little")
    if length > _LONGEST_NPY_HEADER:
        raise ValueError(f"a header of {length} characters")
    size = start + length
    encoding = "utf-8" if version > 2 else "latin-1"
    text = data[start:size].decode(encoding)
    stated = ast.literal_eval(text)
    dtype = dtype_of(stated["descr"])
    shape = stated["shape"]
    for n in shape:
        if type(n) is not int or n < 0:
            raise ValueError(f"a shape of {shape}")
    fortran_order = bool(stated.get("fortran_order"))
    return _NpyHeader(
        dtype,
        shape,
        fortran_order,
        size,
    )


def read_list(data: bytes, item: Function) -> list[Any]:
    """Read a list: a u32 count, then for each item a u32 size and its bytes."""
    values = []
    count = _u32(data, 0)
    end = 4
    for number in range(count):
        size = _u32(data, end)
        start = end + 4
        end = start + size
        if end > len(data):
            raise CorruptError(f"item {number} of a list ends at byte {end} of {len(data)}")
        value = item(data[start:end])
        values.append(value)
    if len(data) < 4 or end != len(data):
        text = f"a list of {count} items in {len(data)} bytes ends at byte {end}"
        raise CorruptError(text)
    return values


def _u32(data: bytes, offset: int) -> int:
    four_bytes = data[offset : offset + 4]
    return int.from_bytes(four_bytes, "little")


_READERS: dict[str, Callable[..., Any]] = {
    "load_bool": read_bool,
    "load_float": read_float,
    "load_int": read_int,
    "load_list": read_list,
    "load_np": read_np,
    "load_str": read_str,
}
_READERS_OF_TYPES: dict[str, Function] = {
    "array": read_np,
    "bool": read_bool,
    "bytes": bytes,
    "image": bytes,
    "jpeg": bytes,
    "json": json.loads,
    "png": bytes,
    "str": read_str,
    "webp": bytes,
}
