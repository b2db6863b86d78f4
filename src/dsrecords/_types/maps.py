"""`map[T]`: a dict with any strings as keys. Knows nothing of files or records.

A map is stored as a list of structs would be, each with a key and a value.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from dsrecords._types.base import Load, NoPartError, Path, Type, describe
from dsrecords._types.nested import raise_in_writing
from dsrecords._types.strings import Str
from dsrecords._types.structs import Struct
from dsrecords._types.tables import Table
from dsrecords.errors import CorruptError, SchemaError


class Map(Type):
    """A dict whose keys are strings and whose values have one type. It keeps their order.

    Attributes:
        item: the type of the values.
    """

    def __init__(self, item: Type) -> None:
        self.item = item
        self.name = f"map[{item.name}]"
        pair = Struct({"key": Str(), "value": item})
        self._pairs = Table(pair)
        self.amplifies = item.amplifies
        self.objects_in_byte = self._pairs.objects_in_byte

    def weight(self, data: memoryview) -> int:
        return self._pairs.weight(data)

    def dump(self, value: Any) -> bytes:
        if not isinstance(value, Mapping):
            raise SchemaError(f"{self.name} takes a dict, not {describe(value)}")
        pairs = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise SchemaError(f"keys of {self.name} are strings, not {describe(key)}")
            pairs.append({"key": key, "value": item})
        try:
            return self._pairs.dump(pairs)
        except Exception:
            self._raise_for_key(value)
            raise

    def _raise_for_key(self, value: Mapping[str, Any]) -> None:
        """Raise an error that names the first key whose value does not fit, if one does not."""
        for key, item in value.items():
            if item is None and self.item.nullable:
                continue
            try:
                self.item.dump(item)
            except Exception as error:
                raise_in_writing(error, repr(key), self.item)
                raise

    def load(self, data: memoryview, copy: bool) -> dict[str, Any]:
        pairs = self._pairs.load(data, copy)
        return _joined(pairs)

    def decoder(self, decoding: Any, field: Any) -> Load:
        self.item.decoder(decoding, field)  # raises what is wrong, in the words of the item
        load_pairs = self._pairs.decoder({"value": decoding}, field)

        def load(self: Map, data: memoryview, copy: bool) -> dict[str, Any]:
            pairs = load_pairs(data, copy)
            return _joined(pairs)

        # Readers know the library's own decoders by their `__self__`: it is this type.
        return types.MethodType(load, self)

    def pick(
        self,
        data: memoryview,
        copy: bool,
        path: Path,
        decoding: Any,
    ) -> Any:
        if not path:
            return super().pick(data, copy, path, decoding)
        key, *inside = path
        keys = self._pairs.pick(data, copy, (slice(None), "key"), None)
        if key not in keys:
            raise NoPartError(f"no key {key!r} in a map of {len(keys)}", KeyError)
        path_of_pair = (keys.index(key), "value", *inside)
        return self._pairs.pick(data, copy, path_of_pair, {"value": decoding})


def _joined(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """The map of these pairs. Raises CorruptError if two have the same key."""
    values = {}
    for pair in pairs:
        values[pair["key"]] = pair["value"]
    if len(values) < len(pairs):
        raise CorruptError(f"{len(pairs)} keys of a map, of which {len(values)} are different")
    return values
