"""`bytes`, and `custom(function)`: payloads that are stored as they are.

Knows nothing of files, fields or records.
"""

from __future__ import annotations

from typing import Any

from dsrecords._types.array_likes import item_of
from dsrecords._types.base import Type, as_bytes
from dsrecords.errors import SchemaError


class Bytes(Type):
    """Bytes; read as bytes, or as a read-only memoryview where no copy is asked for."""

    name = "bytes"

    def dump(self, value: Any) -> bytes:
        if isinstance(
            value, bytes
        ):  # as in `as_bytes`; here it saves a call for almost every value
            return value
        item = item_of(value)
        if isinstance(item, bytes):
            return item
        return as_bytes(value)

    def load(self, data: memoryview, copy: bool) -> Any:
        if copy:
            return bytes(data)
        return data


class Custom(Type):
    """Bytes made by a user's serializer. Only the user's own functions can write and read them."""

    present = Type.present | {float}

    def __init__(self, function: str) -> None:
        self.function = function
        self.name = f"custom({function})"

    def dump(self, value: Any) -> bytes:
        raise SchemaError(f"{self._origin()}: give serializers=[...]")

    def load(self, data: memoryview, copy: bool) -> Any:
        raise SchemaError(
            f"{self._origin()}: give its deserializer, as in "
            "IndexedRecordDataset(path, deserializers=[...]); io.identity gives the bytes"
        )

    def _origin(self) -> str:
        return f"written by the serializer {self.function}, which is not in the file"
