"""The types of the fields whose columns make a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dsrecords._schema.schema import Key
from dsrecords._types.category import Category
from dsrecords._types.parse import parse
from dsrecords.errors import SchemaError


def schema_by_key(dataset: Any) -> dict[Key, str]:
    """Return the types of a dataset's fields; nothing of one that does not state them."""
    try:
        schema = getattr(dataset, "schema", {})
    except SchemaError:  # of datasets that are read as one, and have different schemas
        return {}
    if isinstance(schema, Mapping):
        return dict(schema)
    return dict(enumerate(schema))


def category_columns(dataset: Any, fields: Sequence[Key] | None = None) -> list[Key]:
    """Return the keys of the columns of a batch that are numbers of categories.

    Args:
        dataset: with or without a schema.
        fields: that are read; None: all.
    """
    schema = schema_by_key(dataset)
    if fields is None:
        fields = list(schema)
    found: list[Key] = []
    for position, field in enumerate(fields):
        is_category = field in schema and isinstance(parse(schema[field]), Category)
        if is_category:
            found.append(field if isinstance(field, str) else position)
    return found
