"""`str` and `json`: payloads in UTF-8. Knows nothing of files, fields or records."""

from __future__ import annotations

import json
from typing import Any

from dsrecords._types.base import Type, wrong


class Str(Type):
    """A string, stored in UTF-8."""

    name = "str"

    def dump(self, value: Any) -> bytes:
        if isinstance(value, str):
            return value.encode()
        raise wrong(self, value)

    def load(self, data: memoryview, copy: bool) -> str:
        return str(data, "utf-8")


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


class Json(Type):
    """Whatever the module `json` can write, but NaN and infinities, which JSON does not have."""

    name = "json"
    # Made once, because `json.dumps` and `json.loads` with options make new ones on each call.
    _encode = json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    ).encode
    _decode = json.JSONDecoder(parse_constant=_refuse_constant).decode

    def dump(self, value: Any) -> bytes:
        return self._encode(value).encode()

    def load(self, data: memoryview, copy: bool) -> Any:
        return self._decode(str(data, "utf-8"))
