"""Samples that are written many at a time, as columns.

`Rows` are samples whose fields are all scalars, `TableRows` the rows of a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dsrecords._schema.column import listed
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.schema import Schema
from dsrecords._schema.tabular import Tabular
from dsrecords._write.columns import Columns
from dsrecords._write.compiled import compiled_encoder
from dsrecords._write.samples import extend
from dsrecords._write.writer import Writer

_CHUNK = 4096  # samples written together
_FEW = 8  # samples that take less time one after the other than as columns


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
        encoder = compiled_encoder(self._schema)
        if encoder is not None:
            extend(writer, self._schema, encoder, self._samples, self._start)
            return
        if not isinstance(self._samples, (list, tuple)):
            self._write_each(writer, self._samples)
            return
        if len(self._samples) <= _FEW:
            numbered = enumerate(self._samples, self._start)
            writer.extend(self._schema.encode(sample, number) for number, sample in numbered)
            return
        for first in range(0, len(self._samples), _CHUNK):
            samples = self._samples[first : first + _CHUNK]
            columns = self._schema.columns(samples)
            if columns is None:
                self._write_each(writer, samples)
            else:
                self.write_columns(writer, columns)

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
                    self.write_columns(writer, list(zip(*full)))
        finally:
            if rows:
                self.write_columns(writer, list(zip(*rows)))

    def write_columns(self, writer: Writer, columns: list[Sequence[Any]]) -> None:
        """Add the records with these values, field by field."""
        count = len(columns[0])
        if count == 1:
            values = [listed(column)[0] for column in columns]
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
            rows = zip(*map(listed, columns))
            writer.extend(self._encoded(rows))
        else:
            writer.packed_batch(prepared.pack)

    def _encoded(self, rows: Iterable[Sequence[Any]]) -> Iterator[Encoded]:
        """Encode records one by one."""
        for position, values in enumerate(rows, self._start):
            yield self._schema.encode_values(values, position)


class TableRows:
    """The rows of a table. Its columns are encoded as they are, without a sample for each row.

    Args:
        schema: of the dataset.
        table: its columns are the fields, by name; by position if the fields have no names.
        batches: those of the table.
        start: position that the first record will have.
    """

    def __init__(
        self,
        schema: Schema,
        table: Tabular,
        batches: Iterable[list[Any]],
        start: int,
    ) -> None:
        self._schema = schema
        self._keys = table.keys
        self._batches = batches
        self._rows = Rows(schema, (), start)

    def write(self, writer: Writer) -> None:
        """Add all rows, batch by batch.

        Raises:
            SchemaError: the table has other columns than the schema has fields, or a value does not
                fit; names record and field. The rows before it are written.
        """
        for batch in self._batches:
            columns = self._columns(batch)
            self._rows.write_columns(writer, columns)

    def _columns(self, batch: list[Any]) -> list[Sequence[Any]]:
        """Return the values of a batch in the order of the schema's fields."""
        count = len(batch[0])
        given: Any = batch
        if self._schema.named:
            given = dict(zip(self._keys, batch))
        columns: list[Any] = []
        for column in self._schema.values(given, None):
            if column is None:  # no such column, and the field may be None
                column = [None] * count
            columns.append(column)
        return columns
