"""Many samples that the compiled twin encodes and packs, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dsrecords._read.extents import BATCH_BYTES, BATCH_RECORDS
from dsrecords._schema.schema import Schema
from dsrecords._write.writer import Writer

# What `Block.fill` returns where a sample is left to Python, and where the iterator ends.
_LEFT = 1
_END = 2

_NO_LIMIT = 2**63


def extend(
    writer: Writer,
    schema: Schema,
    encoder: Any,
    samples: Iterable[Any],
    start: int,
) -> None:
    """Add samples, in batches. If the iterator or a sample raises, those before are written first.

    Args:
        writer: of the dataset.
        schema: of the samples.
        encoder: what `compiled_encoder` made of it.
        samples: any iterable. Each is encoded as it comes: a generator may use one object for all.
        start: position that the first record will have.

    Raises:
        SchemaError: a sample does not fit; names record and field.
    """
    iterator = iter(samples)
    most_bytes = BATCH_BYTES
    if not schema.payloads:
        most_bytes = _NO_LIMIT
    block = encoder.block()
    try:
        while True:
            state, sample = block.fill(iterator, BATCH_RECORDS, most_bytes)
            if state == _LEFT:
                numbers, payloads = schema.encode(sample, start + len(block))
                block.add(numbers, payloads)
                continue
            if state == _END:
                return
            full = block
            block = encoder.block()  # before writing, which may raise
            start += len(full)
            _write(writer, encoder, full)
    finally:
        if len(block):
            _write(writer, encoder, block)


def _write(writer: Writer, encoder: Any, block: Any) -> None:
    """Write the records of a block: a few by C, where nothing is in the way."""
    if not encoder.write(writer, block):
        writer.add(block)
