"""`str` and `json`: payloads in UTF-8. Knows nothing of files, fields or records."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from dsrecords._types.array_likes import item_of
from dsrecords._types.base import Type, wrong
from dsrecords._types.survival import FAILURES, is_same, python_number, refusal
from dsrecords.errors import SchemaError


class Str(Type):
    """A string, stored in UTF-8."""

    name = "str"
    objects_in_byte = 4.0  # of a string with one character beyond the basic plane
    present = Type.present - {np.ndarray}

    def dump(self, value: Any) -> bytes:
        if isinstance(value, str):
            return value.encode()
        item = item_of(value)
        if isinstance(item, str):
            return item.encode()
        raise wrong(self, value)

    def load(self, data: memoryview, copy: bool) -> str:
        return str(data, "utf-8")


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


# Bytes of memory, with a pointer to it, of what each of these marks begins in JSON.
_SIZES = (
    (b"[", 184),
    (b"{", 184),
    (b",", 72),
    (b":", 72),
)


class Json(Type):
    """What JSON holds, and gives back: keys are strings; NaN and infinities do not exist.

    Scalars of NumPy are taken as Python's numbers. A tuple is read as a list.
    """

    name = "json"
    objects_in_byte = 36.0  # of `[{},{},…`
    undecodable = (*Type.undecodable, MemoryError)
    # Made once, because `json.dumps` and `json.loads` with options make new ones on each call.
    _encode = json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=python_number,
    ).encode
    _decode = json.JSONDecoder(parse_constant=_refuse_constant).decode

    def dump(self, value: Any) -> bytes:
        # To read what was written is faster than to look at each value in Python.
        try:
            text = self._encode(value)
            data = text.encode()
            read = self._decode(text)
            comes_back = read == value or is_same(value, read)
        except FAILURES as error:
            raise self._refusal(value) from error
        if not comes_back:
            raise self._refusal(value)
        return data

    def _refusal(self, value: Any) -> SchemaError:
        return refusal(self.name, value, self._round_trip, "strings")

    def _round_trip(self, value: Any) -> Any:
        data = self._encode(value).encode()
        return self.load(memoryview(data), True)

    def weight(self, data: memoryview) -> int:
        text = bytes(data)
        weight = 4 * len(text)
        for mark, size in _SIZES:
            weight += size * text.count(mark)
        return weight

    def load(self, data: memoryview, copy: bool) -> Any:
        return self._decode(str(data, "utf-8"))
