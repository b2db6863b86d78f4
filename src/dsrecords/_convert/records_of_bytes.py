"""Records that are bytes of any kind, as Bagz and ArrayRecord have them: what is in them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from dsrecords._convert.base import Row
from dsrecords._convert.example import features_of
from dsrecords._convert.feature_types import FeatureType, kind_of_bytes, value_of
from dsrecords._convert.plain_types import PlainType

LOOKED_AT = 1000  # records of which the types are inferred
FIELD = "data"  # of records that are one value

EXAMPLE = "example"
JSON = "json"
BYTES = "bytes"
CONTENTS = (EXAMPLE, JSON, BYTES)


def content_of(records: Iterable[bytes]) -> tuple[str, dict[str, Any]]:
    """Return what is in records, and the types of their fields.

    That is `tf.train.Example`, or objects of JSON, if the first thousand all are; else bytes, which
    may all be images, sounds or UTF-8.
    """
    some = list(itertools.islice(records, LOOKED_AT))
    for content, learn in ((EXAMPLE, _of_examples), (JSON, _of_json)):
        types = learn(some)
        if types:
            return content, types
    kinds = set(map(kind_of_bytes, some))
    kind = BYTES
    if len(kinds) == 1:
        kind = kinds.pop()
    return BYTES, {FIELD: kind}


def _of_examples(records: list[bytes]) -> dict[str, Any]:
    known: dict[str, FeatureType] = {}
    for data in records:
        try:
            features = features_of(data)
        except ValueError:
            return {}
        if not features:
            return {}
        for name, feature in features.items():
            known.setdefault(name, FeatureType()).learn(feature)
    return {name: kind.type(len(records)) for name, kind in sorted(known.items())}


def _of_json(records: list[bytes]) -> dict[str, Any]:
    known: dict[str, PlainType] = {}
    for data in records:
        try:
            row = json.loads(data)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(row, dict):
            return {}
        for name, value in row.items():
            known.setdefault(name, PlainType()).learn(value)
    return {name: kind.type(len(records)) for name, kind in known.items()}


def row_of(
    data: bytes,
    content: str,
    schema: Mapping[str, Any],
) -> Row:
    """Return a record as a row. Raises ValueError if it is not of this content."""
    if content == EXAMPLE:
        features = features_of(data)
        row = {}
        for name, kind in schema.items():
            feature = features.get(name)
            row[name] = None if feature is None else value_of(feature, kind)
        return row
    if content == JSON:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError("it is no object of JSON")
        return found
    kind = schema[FIELD]
    if isinstance(kind, str) and kind.startswith("str"):
        return {FIELD: data.decode()}
    return {FIELD: data}
