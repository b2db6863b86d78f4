"""Cells of text: which type holds all of a column, and the value of one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

INTEGER = r"-?(0|[1-9][0-9]{0,18})"
FLOAT = (
    r"[+-]?(([0-9]|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
    r"|[+-]?([nN][aA][nN]|[iI][nN][fF]([iI][nN][iI][tT][yY])?)"
)
"""Not 007, of which the zeros would be lost."""
BOOL = r"true|false|True|False"

_PATTERNS = (
    ("int64", re.compile(INTEGER)),
    ("float64", re.compile(FLOAT)),
    ("bool", re.compile(BOOL)),
)
_LARGEST = 2**63 - 1
_TEXT = "str"
_TRUE = ("true", "True", "1")
_FALSE = ("false", "False", "0")


class CellType:
    """What is known of the cells of a column.

    Args:
        null: what a cell says that has no value.
    """

    def __init__(self, null: str) -> None:
        self._null = null
        self._possible = [name for name, _ in _PATTERNS]
        self._has_null = False
        self._has_value = False

    def learn(self, cells: Iterable[str]) -> None:
        """Take cells into account."""
        distinct = set(cells)
        if self._null in distinct:
            self._has_null = True
            distinct.discard(self._null)
        if not distinct:
            return
        self._has_value = True
        for name, pattern in _PATTERNS:
            if name in self._possible and not _all_fit(distinct, name, pattern):
                self._possible.remove(name)

    def type(self) -> str:
        """Return the type that holds all cells."""
        return type_of(self._possible, self._has_value, self._has_null, self._null)


def type_of(possible: list[str], has_value: bool, has_null: bool, null: str) -> str:
    """Return the type of a column.

    Args:
        possible: the types that hold all of its cells, beside `str`; the first is the best.
        has_value: whether any cell has a value.
        has_null: whether any has none.
        null: what a cell says that has none.
    """
    found = _TEXT
    if possible and has_value:
        found = possible[0]
    if not has_null or (found == _TEXT and not null):
        return found
    return f"{found}?"


def _all_fit(cells: set[str], name: str, pattern: re.Pattern[str]) -> bool:
    for cell in cells:
        if pattern.fullmatch(cell) is None:
            return False
        if name == "int64" and (cell == "-0" or not -_LARGEST - 1 <= int(cell) <= _LARGEST):
            return False
    return True


def converted(cell: str, kind: Any, null: str) -> Any:
    """Return the value of a cell.

    Args:
        cell: what it says.
        kind: a type, as it is written in a schema.
        null: what a cell says that has no value.

    Raises:
        ValueError: it is no value of this type.
    """
    if not isinstance(kind, str):
        return json.loads(cell)
    plain = kind.removesuffix("?")
    is_text = plain.startswith(("str", "category", "zstd(str"))
    if cell == null and (null or not is_text):
        return None
    if is_text:
        return cell
    if plain.startswith(("int", "uint")) and "[" not in plain:
        return int(cell)
    if plain.startswith(("float", "bfloat")) and "[" not in plain:
        return float(cell)
    if plain == "bool":
        return _bool_of(cell)
    if plain.startswith("datetime64"):
        return _time_of(cell)
    if plain in ("image", "jpeg", "png", "webp", "audio", "video", "file"):
        return cell
    return json.loads(cell)


def _bool_of(cell: str) -> bool:
    if cell in _TRUE:
        return True
    if cell in _FALSE:
        return False
    raise ValueError(f"{cell!r} is neither true nor false")


def _time_of(cell: str) -> Any:
    import datetime

    import numpy as np

    time = datetime.datetime.fromisoformat(cell.replace("Z", "+00:00"))
    if time.tzinfo is not None:
        return time
    return np.datetime64(cell)
