"""Going on with a dataset whose maker has ended before it was whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.header import Header, make_header
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords.errors import SchemaError

ADVICE = "without resume=True it is removed, and all is written anew"

_NO_FIELD = object()


def require_same_header(
    left: Header,
    schema: Schema,
    metadata: dict[str, Any],
    id: bytes | None,
    path: str,
) -> None:
    """Raise SchemaError if what is left is of another schema, or has other metadata or another id.

    Args:
        left: the header of what is left.
        schema: of the dataset that is to be made.
        metadata: the same.
        id: the same; None: any.
        path: of what is left, for the message.
    """
    difference = schema.difference(left.schema, "the schema", "what is there")
    if difference is not None:
        raise SchemaError(f"it is of another schema ({difference}): {ADVICE}", file=path)
    if id is not None and id != left.id:
        raise SchemaError(f"it has another id ({left.id.hex()}): {ADVICE}", file=path)
    expected = make_header(schema, metadata, left.id)
    if expected.raw.json.get("metadata") != left.raw.json.get("metadata"):
        raise SchemaError(f"it has other metadata ({left.metadata!r}): {ADVICE}", file=path)
    if expected.raw.data != left.raw.data:
        raise SchemaError(f"its header is another one: {ADVICE}", file=path)


def rest_of(records: Iterable[Encoded], snapshot: Snapshot) -> Iterator[Encoded]:
    """Return the records behind those that are there, which are proved to be the first ones.

    Each is compared, number by number and byte by byte, with what is stored, whose checksums are
    verified.

    Args:
        records: all of them, in their order.
        snapshot: the list that is there.

    Raises:
        SchemaError: they are others; names the record and the field.
        CorruptError: what is stored is damaged.
    """
    iterator = iter(records)
    header = snapshot.header
    fields = [(field, field.type.load) for field in header.schema.fields]
    plan = Plan(header, fields, True, tuple)
    count = len(snapshot.entries)
    for position in range(count):
        stored = snapshot.encoded(position, plan)
        record = next(iterator, None)
        if record is None:
            raise SchemaError(
                f"it has {count} records, and only {position} samples are given: {ADVICE}",
                file=snapshot.file,
            )
        key = _first_difference(header, stored, record)
        if key is not _NO_FIELD:
            raise SchemaError(
                "this is not what the sample is encoded to now: the samples are others, or they "
                f"are not encoded to the same bytes each time; {ADVICE}",
                file=snapshot.file,
                record=position,
                field=key,
            )
    return iterator


def _first_difference(header: Header, stored: Encoded, given: Encoded) -> Key:
    """Return the key of the first field in which two records differ; _NO_FIELD if they do not."""
    _, stored_payloads = stored
    _, given_payloads = given
    for field in header.schema.payloads:
        if stored_payloads[field.payload] != given_payloads[field.payload]:
            return field.key
    if _packed(header, stored) == _packed(header, given):
        return _NO_FIELD
    for field in header.schema.fields:
        if field.number_slot >= 0 and _differs(header, field, stored, given):
            return field.key
    return None


def _differs(header: Header, field: Field, stored: Encoded, given: Encoded) -> bool:
    """Whether two records differ in a scalar."""
    stored_numbers, payloads = stored
    given_numbers, _ = given
    numbers = list(stored_numbers)
    for slot in (field.number_slot, field.presence_slot):
        if slot >= 0:
            numbers[slot] = given_numbers[slot]
    mixed = (numbers, payloads)
    return _packed(header, stored) != _packed(header, mixed)


def _packed(header: Header, record: Encoded) -> bytes:
    """Return the numbers of a record as a head has them: NaN is NaN, and a float32 is rounded."""
    layout = header.schema.layout
    numbers, _ = record
    no_sizes = [0] * (2 * layout.payload_count)
    return layout.pack(0, 0, *no_sizes, *numbers)


def use_dictionaries(schema: Schema, left: Schema) -> None:
    """Compress with the dictionaries of what is left, if the schemas are the same."""
    if schema.types() == left.types():
        schema.use_dictionaries(left)
