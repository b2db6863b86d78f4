"""The values of LitData: their types, and how each is read. What is pickled stays bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._mds.types import Pixels

_TORCH = {
    **dict.fromkeys(
        (0, 1),
        "float32",
    ),
    **dict.fromkeys(
        (2, 3),
        "float64",
    ),
    **dict.fromkeys(
        (4, 5),
        "complex64",
    ),
    **dict.fromkeys(
        (6, 7),
        "complex128",
    ),
    **dict.fromkeys(
        (8, 9),
        "float16",
    ),
    11: "uint8",
    12: "int8",
    19: "bool",
    20: "uint16",
    **dict.fromkeys(
        (13, 14),
        "int16",
    ),
    **dict.fromkeys(
        (15, 16),
        "int32",
    ),
    **dict.fromkeys(
        (17, 18),
        "int64",
    ),
}
"""Numbers that stand for dtypes of PyTorch. 10 is bfloat16, which NumPy does not have."""
_NUMPY = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
)


def type_of(format: str) -> str:
    """Return the type of what is serialized so. Raises ValueError if it is not known."""
    name, _, rest = format.partition(":")
    if name in _TYPES:
        return _TYPES[name]
    if name == "no_header_tensor":
        return f"{_TORCH[int(rest)]}[*]"
    if name == "no_header_numpy":
        return f"{_NUMPY[int(rest)]}[*]"
    raise ValueError(f"samples have a part in the format {format!r}, which is not read")


def value_of(format: str, data: memoryview) -> Any:
    """Return a value. Raises ValueError, KeyError or IndexError if it is damaged."""
    name, _, rest = format.partition(":")
    if name == "no_header_tensor":
        return np.frombuffer(
            data,
            _TORCH[int(rest)],
        )
    if name == "no_header_numpy":
        return np.frombuffer(
            data,
            _NUMPY[int(rest)],
        )
    return _VALUES.get(name, bytes)(data)


def _integer(data: memoryview) -> int:
    return int.from_bytes(
        data,
        "little",
        signed=True,
    )


def _float(data: memoryview) -> float:
    return float(np.frombuffer(data, "<f8")[0])


def _text(data: memoryview) -> str:
    return str(
        data,
        "utf-8",
    )


def _boolean(data: memoryview) -> bool:
    return bool(data[0])


def _numpy(data: memoryview) -> np.ndarray:
    kind, dimensions = struct.unpack(
        "<II",
        data[:8],
    )
    start = 8 + 4 * dimensions
    shape = np.frombuffer(data[8:start], "<u4").tolist()
    return np.frombuffer(data[start:], _NUMPY[kind]).reshape(shape)


def _tensor(data: memoryview) -> np.ndarray:
    kind, dimensions = struct.unpack(
        ">II",
        data[:8],
    )
    start = 8 + 4 * dimensions
    shape = np.frombuffer(data[8:start], ">u4").tolist()
    return np.frombuffer(data[start:], _TORCH[kind]).reshape(shape)


def _pil(data: memoryview) -> Any:
    return Pixels().load(
        data,
        True,
    )


_TYPES = {
    **dict.fromkeys(
        ("int", "integer"),
        "int64",
    ),
    **dict.fromkeys(
        ("str", "string", "text"),
        "str",
    ),
    **dict.fromkeys(
        ("jpeg", "pil", "image"),
        "image",
    ),
    **dict.fromkeys(
        ("tensor", "numpy"),
        "array",
    ),
    **dict.fromkeys(
        ("bytes", "pickle", "file", "tifffile"),
        "bytes",
    ),
    "bool": "bool",
    "float": "float64",
    "audio": "audio",
    "video": "video",
}
_VALUES: dict[str, Callable[[memoryview], Any]] = {
    **dict.fromkeys(
        ("int", "integer"),
        _integer,
    ),
    **dict.fromkeys(
        ("str", "string", "text"),
        _text,
    ),
    "bool": _boolean,
    "float": _float,
    "numpy": _numpy,
    "tensor": _tensor,
    "pil": _pil,
}
