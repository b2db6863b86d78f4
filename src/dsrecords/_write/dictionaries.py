"""Dictionaries of zstd: trained on a sample of the records that are to be compressed with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.schema import Field, Schema
from dsrecords._types.budget import in_call
from dsrecords._types.compressed import Zstd
from dsrecords._types.dictionaries import train_dictionary
from dsrecords._write.bad_samples import BadSamples
from dsrecords._write.pool import Numbered, encoded

# A sample is of so many records, or ends earlier, at so many bytes of their payloads.
_SAMPLE_RECORDS = 2**17
_SAMPLE_BYTES = 16 * 2**20
_CHUNK = 64  # samples that are encoded before the size of the sample is looked at again

Positions = Sequence[int] | np.ndarray


def encoded_with_dictionaries(
    schema: Schema,
    samples: Numbered,
    num_workers: int,
    bad: BadSamples | None = None,
) -> Iterator[Encoded]:
    """As `encoded`, once the schema has dictionaries for the first samples.

    Args:
        schema: of the dataset; it gets the dictionaries before this returns.
        samples: with their positions.
        num_workers: as in `encoded`, for all but the first samples.
        bad: as in `encoded`.
    """
    first = _first_records(_without_compression(schema), samples, bad)
    _train(schema, first)
    compressed = (_compressed(schema, record) for record in first)
    return itertools.chain(compressed, encoded(schema, samples, num_workers, bad))


def _without_compression(schema: Schema) -> Schema:
    """The same schema, but what can have a dictionary is not compressed yet."""
    fields = []
    for field in schema.fields:
        dump = field.dump
        if isinstance(field.type, Zstd) and field.type.size:
            dump = field.type.inner.dump
        fields.append(Field(field.key, field.type, dump))
    return Schema(fields, schema.named)


def _first_records(
    schema: Schema,
    samples: Numbered,
    bad: BadSamples | None,
) -> list[Encoded]:
    records: list[Encoded] = []
    size = 0
    while size < _SAMPLE_BYTES and len(records) < _SAMPLE_RECORDS:
        first = next(samples, None)
        if first is None:
            break
        others = itertools.islice(samples, _CHUNK - 1)
        some = itertools.chain((first,), others)
        chunk = list(encoded(schema, some, 0, bad))
        size += sum(map(_payload_bytes, chunk))
        records += chunk
    return records


def retrained(
    snapshot: Snapshot,
    positions: Positions,
    plan: Plan,
) -> tuple[Schema, Iterator[Encoded]]:
    """Train new dictionaries for records of a dataset.

    Args:
        snapshot: the list.
        positions: of the records.
        plan: of all fields.

    Returns:
        The schema with the dictionaries, and the records as it compresses them.
    """
    schema = Schema.from_json(snapshot.header.schema.to_json())

    def plain(position: int) -> Encoded:
        return _plain(snapshot, position, plan)

    _train(schema, _spread_records(positions, plain))
    records = (_compressed(schema, plain(int(position))) for position in positions)
    return schema, records


def _plain(snapshot: Snapshot, position: int, plan: Plan) -> Encoded:
    """A record; what can have a dictionary is not compressed."""
    numbers, payloads = snapshot.encoded(position, plan)
    in_call(_decompress, snapshot, position, payloads)
    return numbers, payloads


def _decompress(snapshot: Snapshot, position: int, payloads: list[Any]) -> None:
    for field, _ in snapshot.header.schema.trainable():
        payload = payloads[field.payload]
        if payload is not None:
            payloads[field.payload] = snapshot.plain(position, field, payload)


def _spread_records(positions: Positions, plain: Callable[[int], Encoded]) -> list[Encoded]:
    """Records from all over the list. Which ones, and in which order, is always the same."""
    count = min(len(positions), _SAMPLE_RECORDS)
    evenly = np.linspace(0, len(positions) - 1, count)
    generator = np.random.default_rng(0)
    shuffled = generator.permutation(evenly.astype(np.int64))
    records = []
    size = 0
    for i in shuffled.tolist():
        record = plain(int(positions[i]))
        records.append(record)
        size += _payload_bytes(record)
        if size >= _SAMPLE_BYTES:
            break
    return records


def _payload_bytes(record: Encoded) -> int:
    return sum(len(payload) for payload in record[1] if payload is not None)


def _train(schema: Schema, records: Sequence[Encoded]) -> None:
    for field, zstd in schema.trainable():
        samples = []
        for _, payloads in records:
            payload = payloads[field.payload]
            if payload is not None:
                samples.append(payload)
        train_dictionary(zstd, samples)


def _compressed(schema: Schema, record: Encoded) -> Encoded:
    """The same record; what can have a dictionary is compressed, in place."""
    payloads = record[1]
    for field, zstd in schema.trainable():
        payload = payloads[field.payload]
        if payload is not None:
            payloads[field.payload] = zstd.compress(payload)
    return record
