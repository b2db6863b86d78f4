"""The types of the features of `tf.train.Example`, learnt one after another, and their values."""

from __future__ import annotations

import json
from typing import Any

from dsrecords._convert.example import BYTES, FLOATS, INTEGERS, Feature
from dsrecords._format.signatures import image_format, is_audio


class FeatureType:
    """What is known of the values of a feature."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._lengths: set[int] = set()
        self._count = 0
        self._contents: set[str] = set()

    def learn(self, feature: Feature) -> None:
        """Take a feature into account."""
        if feature.kind:
            self._kinds.add(feature.kind)
        self._lengths.add(len(feature.values))
        self._count += 1
        if feature.kind == BYTES:
            self._contents.update(map(kind_of_bytes, feature.values))

    def type(self, count: int) -> Any:
        """Return the type that holds all, of `count` records."""
        kind = "str"
        if len(self._kinds) > 1:
            kind = BYTES
        elif self._kinds:
            kind = next(iter(self._kinds))
        if kind == BYTES:
            kind = self._type_of_contents()
        if self._lengths <= {0, 1}:
            is_missing = 0 in self._lengths or self._count < count
            return f"{kind}?" if is_missing else kind
        found = f"list[{kind}]"
        if kind in (FLOATS, INTEGERS):
            size = str(next(iter(self._lengths))) if len(self._lengths) == 1 else "*"
            found = f"{kind}[{size}]"
        return f"{found}?" if self._count < count else found

    def _type_of_contents(self) -> str:
        if len(self._contents) == 1:
            return next(iter(self._contents))
        return BYTES


def value_of(feature: Feature, kind: Any) -> Any:
    """Return the value of a feature as a type has it."""
    text = kind if isinstance(kind, str) else ""
    plain = text.removesuffix("?")
    is_list = plain.startswith("list[") or ("[" in plain and not plain.startswith("category"))
    values = feature.values
    if "str" in plain or plain.startswith("category") or plain == "json":
        values = [value.decode() for value in values] if feature.kind == BYTES else values
    if is_list:
        return values
    if not len(values):
        return None
    value = values[0]
    if plain == "json":
        return json.loads(value)
    return value


def kind_of_bytes(data: bytes) -> str:
    """Return the type of some bytes: an image, a sound, a string, or bytes."""
    if image_format(data) is not None:
        return "image"
    if is_audio(data):
        return "audio"
    try:
        data.decode()
    except UnicodeDecodeError:
        return BYTES
    return "str"
