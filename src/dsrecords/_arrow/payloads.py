"""Strings, bytes, files and messages in Arrow."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._arrow.base import Form, Values, built, pyarrow, restored_each
from dsrecords._types.base import Type
from dsrecords._types.binary import Bytes
from dsrecords._types.registered import Registered, registry
from dsrecords._types.stored_file import StoredFile
from dsrecords._types.strings import Str


class StringForm(Form):
    """`str`, and `json` as it is stored."""

    def __init__(self, kind: Type) -> None:
        super().__init__(kind, Str(), pyarrow().string())

    def build(self, values: Values) -> Any:
        return built(values, self.arrow_type)

    def restore(self, array: Any) -> Values:
        return _objects(array)


class JsonForm(StringForm):
    """`json`."""

    def restore(self, array: Any) -> Values:
        return restored_each(_objects(array), self._decoded)

    def _decoded(self, text: str) -> Any:
        data = text.encode()
        return self.kind.load(memoryview(data), True)


class BytesForm(Form):
    """`bytes`, and files of images, sounds and videos as they are stored."""

    def __init__(self, kind: Type) -> None:
        super().__init__(kind, Bytes(), pyarrow().binary())

    def build(self, values: Values) -> Any:
        return built(values, self.arrow_type)

    def restore(self, array: Any) -> Values:
        return _objects(array)


class OpaqueForm(BytesForm):
    """Payloads that only the functions of a user understand: bytes, also when they come back."""

    def written(self) -> str:
        return "bytes"


class MessageForm(BytesForm):
    """`msgpack` and registered types: bytes, which are decoded when they come back."""

    def restore(self, array: Any) -> Values:
        if self.written() == "bytes":
            return _objects(array)
        return restored_each(_objects(array), self._decoded)

    def _decoded(self, data: bytes) -> Any:
        return self.kind.load(memoryview(data), True)

    def written(self) -> str:
        if isinstance(self.kind, Registered) and self.kind.title not in registry:
            return "bytes"
        return super().written()


class _Parts(Type):
    """What a `file` is read as: a dict. It is no struct, of which lists are stored as columns."""

    def __init__(self, parts: Type) -> None:
        self.name = parts.name
        self._parts = parts

    def load(self, data: memoryview, copy: bool) -> Any:
        return self._parts.load(data, copy)


class StoredFileForm(Form):
    """`file`: a struct of its suffix and its contents.

    Args:
        kind: the type.
        parts: the form of the struct.
    """

    def __init__(self, kind: Type, parts: Form) -> None:
        super().__init__(kind, _Parts(parts.raw), parts.arrow_type)
        self._parts = parts

    def build(self, values: Values) -> Any:
        return self._parts.build(values)

    def restore(self, array: Any) -> Values:
        return restored_each(self._parts.restore(array), _stored_file)


def _stored_file(parts: dict[str, Any]) -> StoredFile:
    return StoredFile(parts["data"], parts["suffix"])


def _objects(array: Any) -> list[Any]:
    """Return strings or bytes as a list, None where they are null."""
    objects: np.ndarray = array.to_numpy(zero_copy_only=False)
    listed: list[Any] = objects.tolist()
    return listed
