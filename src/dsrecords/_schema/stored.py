"""What the JSON of a header states about fields. Knows types, and nothing of schemas or files.

A header may come from anybody: nothing in its JSON is used before it is checked.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from dsrecords._types.base import Type
from dsrecords._types.compressed import Zstd
from dsrecords._types.parse import is_possible_name, parse
from dsrecords._types.unknown import Unknown, unknown_type
from dsrecords.errors import SchemaError

MOST_FIELDS = 4096
"""The most fields that a schema can have."""

_KNOWN = ("name", "type", "payload", "at", "present", "dict")
_OF_EVERY_PAYLOAD = ("name", "type", "payload")
_OF_SCALARS = ("at", "present")


def read_stated_fields(header: Any) -> list[dict[str, Any]]:
    """Return what the JSON of a header states about each field.

    Raises:
        SchemaError: it has no list of fields, or too many fields.
    """
    fields = None
    if isinstance(header, dict):
        fields = header.get("fields")
    if not isinstance(fields, list):
        raise SchemaError("the header's JSON has no list of fields")
    count = len(fields)
    if count > MOST_FIELDS:
        raise SchemaError(f"{count} fields, more than {MOST_FIELDS}")
    for field in fields:
        if not isinstance(field, dict):
            raise SchemaError("a field in the header's JSON is not an object")
    return fields


def read_stated_type(field: dict[str, Any]) -> Type:
    """Return the type that is stated for a field, with its dictionary if it has one.

    Raises:
        SchemaError: what is stated is not the name of a type.
        UnsupportedVersionError: it is a type of scalars that this version does not know, so that
            nobody can say where the other scalars are.
        ValueError: the dictionary is not base64.
    """
    name = field.get("type")
    try:
        type = parse(name)
    except SchemaError:
        if isinstance(name, str) and is_possible_name(name):
            return _unknown_type(name, field)
        raise
    if "dict" in field and isinstance(type, Zstd) and type.size > 0:
        encoded = str(field["dict"])
        dictionary = base64.b64decode(encoded, validate=True)
        type.use(dictionary)
    return type


def _unknown_type(name: str, field: dict[str, Any]) -> Unknown:
    """Return the type of a field of payloads. Raises UnsupportedVersionError for any other."""
    is_scalar = any(key in field for key in _OF_SCALARS)
    if is_scalar or "payload" not in field:
        raise unknown_type(name, "a later one must read the file")
    others = {key: value for key, value in field.items() if key not in _OF_EVERY_PAYLOAD}
    return Unknown(name, others)


def require_stated_layout(header: dict[str, Any], layout: dict[str, Any]) -> None:
    """Check that a header states the layout that follows from its types.

    Args:
        header: the JSON of the header. Members that are not known are ignored.
        layout: what `Schema.to_json` returns for the types that the header states.

    Raises:
        SchemaError: it states another one.
    """
    if _known_members(header) != _known_members(layout):
        raise SchemaError("the offsets that the header states do not follow from its types")


def _known_members(header: dict[str, Any]) -> tuple[list[str], str]:
    """Return what can be compared: the names of types, and the rest as JSON.

    In JSON 16.0 and 16 differ, and so do true and 1. Names of types are strings, and may be long.
    """
    types = []
    fields = []
    for field in header["fields"]:
        known = {name: field[name] for name in _KNOWN if name in field}
        types.append(known.pop("type"))
        fields.append(known)
    members = {
        "fields": fields,
        "head": header.get("head"),
    }
    return types, json.dumps(members, sort_keys=True)
