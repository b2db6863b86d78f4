"""Whole columns into frames: the heads of thousands of records are built, and their checks computed, together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.frame import PENDING, Frames
from dsrecords._format.layout import NONE, padded_sizes, padding
from dsrecords._schema.schema import Field, Schema
from dsrecords._types.base import describe
from dsrecords._types.scalars import Scalar
from dsrecords.errors import SchemaError

_CHUNK = 4096  # records packed together
Packed = tuple[
    list[bytes], np.ndarray
]  # buffers to write; uint64 (n, 3): offset, size and check of each frame


class Columns:
    """Columns that fit the schema, ready to be packed wherever the log ends.

    Raises:
        SchemaError: a column is missing, unknown, of another length, or a value does not fit (names record and field).
    """

    def __init__(self, schema: Schema, columns: Any, start: int) -> None:
        self._schema, self._start = schema, start
        if schema.named != isinstance(columns, Mapping):
            raise SchemaError(
                f"columns are a {'dict' if schema.named else 'list'} here, not {describe(columns)}"
            )
        given = dict(columns) if schema.named else dict(enumerate(columns))
        for key in (*schema.keys, *given):
            if key not in given or key not in schema.by_key:
                raise SchemaError(
                    "this column is missing" if key not in given else "there is no such field",
                    field=key,
                )
        lengths = {key: _length(key, column) for key, column in given.items()}
        self.count = lengths[schema.keys[0]]
        for key, length in lengths.items():
            if length != self.count:
                raise SchemaError(
                    f"{length} values, but {self.count} of {schema.keys[0]!r}", field=key
                )
        self._numbers: list[
            tuple[int, Scalar, np.ndarray]
        ] = []  # where in the head, its type, the values
        self._presence: list[tuple[int, np.ndarray]] = []
        self._payloads: list[list[bytes | None]] = []
        for field in schema.fields:
            column, absent = _absent(given[field.key], field)
            if isinstance(field.type, Scalar):
                self._numbers.append(
                    (field.at, field.type, self._scalars(field, field.type, column))
                )
                if field.present >= 0:
                    self._presence.append((field.present, ~absent))
            else:
                self._payloads.append(
                    [
                        None if gone else self._dump(field, i, v)
                        for i, (v, gone) in enumerate(zip(column, absent))
                    ]
                )

    def _scalars(self, field: Field, kind: Scalar, column: Any) -> np.ndarray:
        try:
            array = kind.column(column)
        except (
            SchemaError,
            ValueError,
            TypeError,
        ):  # value by value, to name the one that does not fit
            array = np.array(
                [self._dump(field, i, value) for i, value in enumerate(column)], kind.dtype
            )
        if array.ndim != 1:
            raise SchemaError(
                f"a column of {kind.name} has one dimension, not {array.ndim}", field=field.key
            )
        return array

    def _dump(self, field: Field, number: int, value: Any) -> Any:
        try:
            return field.dump(value)
        except field.type.unreadable as error:
            if isinstance(error, OSError):
                raise
            text = (
                error.message if isinstance(error, SchemaError) else f"{field.type.name}: {error}"
            )
            raise SchemaError(
                f"row {number} of those given: {text}", record=self._start + number, field=field.key
            ) from error

    def pack(self, frames: Frames, end: int) -> Iterator[Packed]:
        """Pending frames, chunk by chunk, for a log that ends at `end`."""
        head, dtype = self._schema.layout.size, self._schema.layout.dtype
        for first in range(0, self.count, _CHUNK):
            rows = slice(first, min(first + _CHUNK, self.count))
            heads = np.zeros(rows.stop - first, dtype)
            sizes = np.full(len(heads), head, np.uint64)
            heads["kind"] = PENDING
            for at, _, numbers in self._numbers:
                heads[f"at {at}"] = numbers[rows]
            for at, present in self._presence:
                heads[f"at {at}"] = present[rows]
            for number, payloads in enumerate(self._payloads):
                lengths = np.array(
                    [NONE if data is None else len(data) for data in payloads[rows]], np.uint64
                )
                heads["sizes"][:, number] = lengths
                heads["checksums"][:, number] = [
                    0 if data is None else crc32(data) for data in payloads[rows]
                ]
                sizes += padded_sizes(lengths)
            heads["size"] = sizes
            places = np.empty((len(heads), 3), np.uint64)
            places[:, 0], places[:, 1] = np.uint64(end) + sizes.cumsum() - sizes, sizes
            heads["check"] = places[:, 2] = frames.checks_of(heads, places[:, 0])
            yield self._buffers(heads, rows), places
            end = int(places[-1, 0] + places[-1, 1])

    def _buffers(self, heads: np.ndarray, rows: slice) -> list[bytes]:
        raw = heads.tobytes()
        if not self._payloads:
            return [raw]
        buffers, size = [], self._schema.layout.size
        for i, payloads in enumerate(zip(*(payloads[rows] for payloads in self._payloads))):
            buffers.append(raw[i * size : (i + 1) * size])
            for data in payloads:
                if data is not None:
                    buffers += (data, padding(len(data)))
        return buffers


class Rows:
    """Samples whose fields are all scalars, to be written many at a time: several times faster than one by one.

    Whatever does not fit is left to the way of single samples, which writes those before it and says what is wrong.
    """

    def __init__(self, schema: Schema, samples: Iterable[Any], start: int) -> None:
        self._schema, self._samples, self._start = schema, samples, start

    def write(self, writer: Any) -> None:
        """Add all samples. If the iterator or a sample raises, those before it are written first."""
        if isinstance(self._samples, (list, tuple)):
            for first in range(0, len(self._samples), _CHUNK):
                samples = self._samples[first : first + _CHUNK]
                if (columns := self._schema.columns(samples)) is None:
                    self._one_by_one(writer, samples)
                else:
                    self._add(writer, columns)
        else:
            self._one_by_one(writer, self._samples)

    def _one_by_one(self, writer: Any, samples: Iterable[Any]) -> None:
        rows: list[tuple[Any, ...]] = []
        try:
            for sample in samples:
                rows.append(
                    tuple(self._schema.values(sample, self._start + len(rows)))
                )  # a generator may reuse the sample
                if len(rows) == _CHUNK:
                    full, rows = rows, []
                    self._add(writer, list(zip(*full)))
        finally:
            if rows:
                self._add(writer, list(zip(*rows)))

    def _add(self, writer: Any, columns: list[Sequence[Any]]) -> None:
        schema, start, count = self._schema, self._start, len(columns[0])
        if count == 1:
            writer.append(schema.encode_values([column[0] for column in columns], start))
            return
        try:
            packed = Columns(
                schema, dict(zip(schema.keys, columns)) if schema.named else columns, start
            )
        except Exception:  # noqa: BLE001 - values of any kind: one by one they are written, or it is said what is wrong
            writer.extend(
                schema.encode_values(row, start + i) for i, row in enumerate(zip(*columns))
            )
        else:
            writer.packed_batch(packed.pack)
        self._start += count


def _length(key: Any, column: Any) -> int:
    try:
        return len(column)
    except TypeError:
        raise SchemaError(
            f"a column is an array or a list, not {describe(column)}", field=key
        ) from None


def _absent(column: Any, field: Field) -> tuple[Any, np.ndarray]:
    """A column without its Nones (zeros in the place of scalars), and which they were: bool, (n,)."""
    if not field.type.nullable:
        return column, np.zeros(len(column), bool)
    if isinstance(column, np.ma.MaskedArray):
        masks = np.ma.getmaskarray(column).reshape(len(column), math.prod(column.shape[1:]))
        absent = np.asarray(masks.all(axis=1)) & bool(masks.size)
        if (masks.any(axis=1) & ~absent).any():
            raise SchemaError("a row is masked in part", field=field.key)
        return (
            column.filled(field.type.zero) if isinstance(field.type, Scalar) else column.data
        ), absent
    if isinstance(column, np.ndarray) and column.dtype != object:
        return column, np.zeros(len(column), bool)
    absent = np.array([value is None for value in column], bool)
    if isinstance(field.type, Scalar):
        zero = field.type.zero
        return [zero if value is None else value for value in column], absent
    return column, absent
