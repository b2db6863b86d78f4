"""The cells of a dataset's table in a notebook: values as HTML that is safe, whatever they are."""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._export.thumbnails import Thumbnails, bytes_in_words, counted
from dsrecords._types.arrays import AnyArray, ShapedArray
from dsrecords._types.base import Load, Type
from dsrecords._types.compressed import Zstd
from dsrecords._types.external_file import File
from dsrecords._types.images import Image
from dsrecords._types.lists import List
from dsrecords._types.maps import Map
from dsrecords._types.scalars import Scalar
from dsrecords._types.stored_file import AnyFile
from dsrecords._types.strings import Json, Str
from dsrecords._types.structs import Struct
from dsrecords._types.tables import Table

_LONGEST_TEXT = 120  # characters of a cell
_MOST_ITEMS = 4  # of a list, a struct or an array that are shown
_MOST_PARTS = 20  # of a list or a dict of JSON
_DEEPEST = 3  # lists within each other
_MORE = "…"

_READABLE = (
    Scalar,
    Str,
    Json,
    ShapedArray,
    AnyArray,
    Image,
)


class Cells:
    """Renders values, of which images share one bound of work."""

    def __init__(self) -> None:
        self._thumbnails = Thumbnails()

    def render(self, kind: Type, value: Any, depth: int = 0) -> str:
        """Return HTML of a value that `loader` has read.

        Args:
            kind: its type.
            value: the value; files are bytes.
            depth: in how many others it lies.
        """
        if isinstance(kind, Zstd):
            kind = kind.inner
        if value is None:
            return '<span style="opacity:0.5">None</span>'
        if isinstance(kind, Image):
            return self._thumbnails.of(value, _plain_name(kind))
        if isinstance(kind, List):
            return self._list(kind.item, value, depth)
        if isinstance(kind, Table):
            return self._list(kind.row_type, value, depth)
        if isinstance(kind, Map):
            kinds = dict.fromkeys(value, kind.item)
            return self._pairs(kinds, value, depth)
        if isinstance(kind, Struct):
            return self._pairs(kind.parts, value, depth)
        if isinstance(value, np.ndarray):
            return _array(value)
        if isinstance(kind, (Scalar, Str)):
            return safe(_number(value))
        if isinstance(kind, Json):
            return safe(_shown(value))
        return described(kind, len(value))

    def _list(self, kind: Type, values: Sequence[Any], depth: int) -> str:
        count = counted(len(values), "item")
        if depth >= _DEEPEST:
            return f"[{count}]"
        shown = []
        for value in values[:_MOST_ITEMS]:
            cell = self.render(kind, value, depth + 1)
            shown.append(cell)
        if len(values) > _MOST_ITEMS:
            shown.append(f"{_MORE} {count}")
        listed = ", ".join(shown)
        return f"[{listed}]"

    def _pairs(
        self,
        kinds: Mapping[str, Type],
        values: Mapping[str, Any],
        depth: int,
    ) -> str:
        count = counted(len(values), "item")
        if depth >= _DEEPEST:
            return f"{{{count}}}"
        shown = []
        for key, kind in itertools.islice(kinds.items(), _MOST_ITEMS):
            cell = self.render(kind, values[key], depth + 1)
            shown.append(f"{safe(key)}: {cell}")
        if len(values) > _MOST_ITEMS:
            shown.append(f"{_MORE} {count}")
        listed = ", ".join(shown)
        return f"{{{listed}}}"


def described(kind: Type, size: int) -> str:
    """Return HTML of what a value is, without its bytes."""
    name = _plain_name(kind)
    size_in_words = bytes_in_words(size)
    return safe(f"{name}, {size_in_words}")


def is_readable(kind: Type) -> bool:
    """Return whether values are shown, and not only how many bytes they have.

    What is compressed is, if it is a whole field: of that it can be told how large it becomes.
    """
    if isinstance(kind, Zstd):
        return _is_readable(kind.inner)
    return _is_readable(kind)


def _is_readable(kind: Type) -> bool:
    if isinstance(kind, (List, Map)):
        return _is_readable(kind.item)
    if isinstance(kind, Table):
        return _is_readable(kind.row_type)
    if isinstance(kind, Struct):
        return all(map(_is_readable, kind.parts.values()))
    return isinstance(kind, _READABLE)


def loader(kind: Type) -> Load:
    """Return what reads values as `Cells.render` takes them: files as bytes, all else decoded."""
    decoding = _decoding(kind)
    if decoding is None:
        return kind.load
    return kind.decoder(decoding, None)


def _decoding(kind: Type) -> Any:
    """Return the `decode` by which files are read as bytes; None if there are none."""
    if isinstance(kind, (File, AnyFile)):
        return "bytes"
    if isinstance(kind, Zstd):
        return _decoding(kind.inner)
    if isinstance(kind, (List, Map)):
        return _decoding(kind.item)
    parts: Mapping[str, Type] = {}
    if isinstance(kind, Table):
        parts = kind.row_type.parts
    elif isinstance(kind, Struct):
        parts = kind.parts
    found = {key: _decoding(part) for key, part in parts.items()}
    return {key: decoding for key, decoding in found.items() if decoding is not None} or None


def _plain_name(kind: Type) -> str:
    return kind.name.removesuffix("?")


def _array(array: np.ndarray) -> str:
    """Return HTML of an array: its values if they are few, else the first of them and its shape."""
    described_array = f"{array.dtype} {array.shape}"
    first = array.reshape(-1)[:_MOST_ITEMS]
    values = [_number(value) for value in first.tolist()]
    if array.size > _MOST_ITEMS:
        values.append(_MORE)
    listed = ", ".join(values)
    if array.ndim == 1:
        return safe(f"[{listed}]", described_array)
    return safe(described_array, f"[{listed}]")


def _number(value: Any) -> str:
    """Return a value as a string: of a float as many digits as a float32 has."""
    if isinstance(value, float):
        return f"{value:.7g}"
    return str(value)


def _shown(value: Any, depth: int = 0) -> str:
    """Return JSON as Python writes it, of which not much more is written than is shown."""
    if isinstance(value, str):
        return repr(value[:_LONGEST_TEXT])
    if not isinstance(value, (dict, list)):
        return str(value)
    if depth > _DEEPEST:
        return _MORE
    parts = []
    for item in list(value)[:_MOST_PARTS]:
        if isinstance(value, dict):
            parts.append(f"{_shown(item)}: {_shown(value[item], depth + 1)}")
        else:
            parts.append(_shown(item, depth + 1))
    if len(value) > _MOST_PARTS:
        parts.append(_MORE)
    listed = ", ".join(parts)
    if isinstance(value, dict):
        return "{" + listed + "}"
    return "[" + listed + "]"


def safe(text: str, title: str = "") -> str:
    """Return a string as HTML: cut, with what has no shape (or turns what follows) written out.

    Args:
        text: the string.
        title: what is shown while the pointer is on it.
    """
    cut = text[:_LONGEST_TEXT]
    if len(text) > _LONGEST_TEXT:
        cut += _MORE
    shown = html.escape(_printable(cut))
    if not title:
        return shown
    return f'<span title="{html.escape(_printable(title[:_LONGEST_TEXT]))}">{shown}</span>'


def _printable(text: str) -> str:
    characters = []
    for character in text:
        if not character.isprintable():
            character = repr(character)[1:-1]
        characters.append(character)
    return "".join(characters)
