"""Values as text of one line, and as data for JSON."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from dsrecords._cli.encoded import described, format_of
from dsrecords._cli.printable import shortened
from dsrecords._stats.text import byte_count

_FEW = 8  # items of an array, a list or a dict that are shown
_DEEPEST = 4
_SHOWN_BYTES = 8
_LONGEST_FLOAT = 9  # characters; longer ones are rounded


def cell(value: Any, length: int) -> str:
    """Return a value as printable text of one line, at most so long."""
    return shortened(_cell(value, length, 0), length)


def _cell(value: Any, length: int, depth: int) -> str:
    if isinstance(value, str):
        shown = value[: length + 1]
        if depth or not value:
            return repr(shown)
        return shown
    if isinstance(value, (bytes, memoryview)):
        return _bytes(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, (list, tuple, Mapping)):
        return _container(value, length, depth)
    if isinstance(value, float):
        return _float(value)
    if value is None or isinstance(value, (bool, int, complex, np.generic)):
        return str(value)
    return _other(value)


def _float(value: float) -> str:
    exact = repr(value)
    if len(exact) <= _LONGEST_FLOAT:
        return exact
    return f"{value:.6g}"


def _bytes(value: bytes | memoryview) -> str:
    name, _ = format_of(value)
    if name:
        return described(value)
    start = bytes(value[:_SHOWN_BYTES])
    shown = start.hex(" ")
    count = len(value)
    size = byte_count(count)
    if not count:
        return size
    if count > _SHOWN_BYTES:
        shown += " …"
    return f"{size}: {shown}"


def _array(value: np.ndarray) -> str:
    if value.ndim == 1:
        first = value[:_FEW]
        items = [_item(item) for item in first]
        count = len(value)
        shown = " ".join(items)
        if count > _FEW:
            return f"[{shown} …] {count:,} × {value.dtype}"
        return f"[{shown}]"
    shape = "×".join(map(str, value.shape))
    if value.size > _FEW or not value.ndim:
        return f"{shape} {value.dtype}"
    rows = [_array(row) for row in value]
    shown = " ".join(rows)
    return f"[{shown}]"


def _item(item: Any) -> str:
    if isinstance(item, np.floating):
        return f"{item:.4g}"
    return str(item)


def _container(value: Any, length: int, depth: int) -> str:
    is_mapping = isinstance(value, Mapping)
    items = ["…"]
    if depth < _DEEPEST:
        items = _items(value, length, depth)
    text = ", ".join(items)
    text = f"[{text}]"
    if is_mapping:
        text = "{" + text[1:-1] + "}"
    count = len(value)
    if count > _FEW:
        text += f" {count:,} items"
    return text


def _items(value: Any, length: int, depth: int) -> list[str]:
    """Return the first items of a list, or of a dict with their keys."""
    is_mapping = isinstance(value, Mapping)
    shown: list[str] = []
    for item in value:
        if len(shown) == _FEW:
            shown.append("…")
            break
        if is_mapping:
            inner = _cell(value[item], length, depth + 1)
            shown.append(f"{item}: {inner}")
        else:
            inner = _cell(item, length, depth + 1)
            shown.append(inner)
    return shown


def _other(value: Any) -> str:
    """Return what is said of an image of Pillow, a video, a stored file, or anything else."""
    size = getattr(value, "size", None)
    format_name = getattr(value, "format", None)
    if format_name and isinstance(size, tuple):
        width, height = size
        return f"{format_name} {width}×{height}"
    return str(value)


def _plain_bytes(value: bytes | memoryview, with_bytes: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"bytes": len(value)}
    if with_bytes:
        facts["base64"] = base64.b64encode(value).decode()
    return facts


def _plain_array(value: np.ndarray | np.generic, with_bytes: bool) -> Any:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return str(value)
    if isinstance(value, np.generic):
        return plain(value.item(), with_bytes)
    if value.dtype.kind in "biuf":
        return value.tolist()
    return [plain(item, with_bytes) for item in value]


def plain(value: Any, with_bytes: bool) -> Any:
    """Return a value as data for JSON.

    Bytes are an object with their number and, with `with_bytes`, the bytes in base64.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, memoryview)):
        return _plain_bytes(value, with_bytes)
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain_array(value, with_bytes)
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item, with_bytes) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, with_bytes) for item in value]
    return _other(value)
