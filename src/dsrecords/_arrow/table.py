"""The schema of a table of Arrow: its columns, and what it says of the dataset that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dsrecords._arrow.base import Form, pyarrow
from dsrecords._arrow.forms import form_of
from dsrecords._types.parse import parse
from dsrecords.errors import SchemaError

_TYPE = b"dsrecords.type"  # key of a column's metadata: the name of its type
_DATASET = b"dsrecords.dataset"  # key of a table's metadata
_NAMED = "named"  # in the JSON of the latter: whether fields have names
_METADATA = "metadata"  # those of the dataset


class Origin(NamedTuple):
    """What a table says of the dataset that it was made of.

    Attributes:
        named: whether its fields had names.
        metadata: of the dataset.
    """

    named: bool
    metadata: dict[str, Any]


NO_ORIGIN = Origin(True, {})


def arrow_schema(forms: Mapping[Any, Form], origin: Origin) -> Any:
    """Return the schema of the table that a dataset becomes.

    Args:
        forms: of the fields, by name or position.
        origin: the dataset.
    """
    arrow = pyarrow()
    fields = []
    for key, form in forms.items():
        stated = {_TYPE: form.kind.name.encode()}
        field = arrow.field(
            str(key),
            form.arrow_type,
            nullable=form.kind.nullable or form.has_null_of_its_own(),
            metadata=stated,
        )
        fields.append(field)
    text = json.dumps({_NAMED: origin.named, _METADATA: origin.metadata})
    return arrow.schema(fields, {_DATASET: text.encode()})


def stated_form(field: Any) -> Form | None:
    """Return the form of a column that was made of a field; None if it was not, or was changed."""
    stated = (field.metadata or {}).get(_TYPE)
    if stated is None:
        return None
    try:
        form = form_of(parse(stated.decode()))
    except (SchemaError, UnicodeDecodeError):
        return None
    if form.arrow_type != field.type:
        return None
    return form


def origin_of(schema: Any) -> Origin:
    """Return what the metadata of a table's schema say; what is no such JSON says nothing."""
    text = (schema.metadata or {}).get(_DATASET)
    if text is None:
        return NO_ORIGIN
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return NO_ORIGIN
    if not isinstance(said, dict):
        return NO_ORIGIN
    metadata = said.get(_METADATA)
    if not isinstance(metadata, dict):
        metadata = {}
    named = said.get(_NAMED) is not False or not _are_positions(schema.names)
    return Origin(named, metadata)


def _are_positions(names: Sequence[str]) -> bool:
    return list(names) == [str(position) for position in range(len(names))]
