"""`Rows`: samples whose fields are all scalars, written many at a time, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dsrecords._schema.encoded import Encoded
from dsrecords._schema.schema import Schema
from dsrecords._write.columns import Columns
from dsrecords._write.writer import Writer

_CHUNK = 4096  # samples written together


class Rows:
    """Samples whose fields are all scalars. Together they are written several times faster.

    What does not fit is left to the way of single samples, which writes those before it and says
    what is wrong.

    Args:
        schema: of the dataset.
        samples: any iterable.
        start: position that the first record will have.
    """

    def __init__(self, schema: Schema, samples: Iterable[Any], start: int) -> None:
        self._schema = schema
        self._samples = samples
        self._start = start

    def write(self, writer: Writer) -> None:
        """Add all samples. If the iterator or a sample raises, those before are written first.

        Raises:
            SchemaError: a sample does not fit; names record and field.
        """
        if not isinstance(self._samples, (list, tuple)):
            self._write_each(writer, self._samples)
            return
        for first in range(0, len(self._samples), _CHUNK):
            samples = self._samples[first : first + _CHUNK]
            columns = self._schema.columns(samples)
            if columns is None:
                self._write_each(writer, samples)
            else:
                self._write_columns(writer, columns)

    def _write_each(self, writer: Writer, samples: Iterable[Any]) -> None:
        """Take the values of each sample as it comes: a generator may use one object for all."""
        rows: list[tuple[Any, ...]] = []
        try:
            for sample in samples:
                values = self._schema.values(sample, self._start + len(rows))
                rows.append(tuple(values))
                if len(rows) == _CHUNK:
                    full = rows
                    rows = []  # before writing, which may raise
                    self._write_columns(writer, list(zip(*full)))
        finally:
            if rows:
                self._write_columns(writer, list(zip(*rows)))

    def _write_columns(self, writer: Writer, columns: list[Sequence[Any]]) -> None:
        """Add the records with these values, field by field."""
        count = len(columns[0])
        if count == 1:
            values = [column[0] for column in columns]
            writer.append(self._schema.encode_values(values, self._start))
        else:
            self._write_together(writer, columns)
        self._start += count

    def _write_together(self, writer: Writer, columns: list[Sequence[Any]]) -> None:
        schema = self._schema
        given: Any = columns
        if schema.named:
            given = dict(zip(schema.keys, columns))
        try:
            prepared = Columns(schema, given, self._start)
        except Exception:  # noqa: BLE001 - whatever it is: one by one, the error names the sample
            rows = zip(*columns)
            writer.extend(self._encoded(rows))
        else:
            writer.packed_batch(prepared.pack)

    def _encoded(self, rows: Iterable[Sequence[Any]]) -> Iterator[Encoded]:
        """Encode records one by one."""
        for position, values in enumerate(rows, self._start):
            yield self._schema.encode_values(values, position)
