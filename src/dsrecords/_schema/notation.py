"""How types are written in a schema: names, dicts for structs, lists of one item for lists."""

from __future__ import annotations

from typing import Any

from dsrecords._types.parse import parse, type_text
from dsrecords.errors import SchemaError


def is_type_name(name: str) -> bool:
    """Return whether a string is the name of a type."""
    try:
        parse(name)
    except SchemaError:
        return False
    return True


def nullable(written: Any) -> str:
    """Return the type whose values are those of a written type, or None."""
    name = type_text(written)
    return f"{name}?"


def list_of(written: Any) -> Any:
    """Return the type of lists of a written type; a struct stays readable, as a list of a dict."""
    if isinstance(written, str):
        return f"list[{written}]"
    return [written]
