"""A dataset as a stream of Arrow: batches of records, of which one at a time is in memory."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from dsrecords._arrow.base import Form, TooLargeError, pyarrow
from dsrecords._arrow.forms import form_of
from dsrecords._arrow.table import Origin, arrow_schema
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._format.layout import NONE
from dsrecords._read.lengths import knows_sizes, payload_sizes
from dsrecords._read.plan import Plan
from dsrecords._schema.schema import Field
from dsrecords._types.base import Load, Type
from dsrecords._types.bfloat16 import BFloat16
from dsrecords._types.compressed import Zstd
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

BATCH = 2**16
"""Records of a batch, at most."""

BATCH_BYTES = 2**26
"""Bytes that a batch takes, about at most; a record that is larger is one alone."""

_SMALL_BATCH = 256  # records of a batch of which sizes cannot be told, as a head is damaged
_OF_ZSTD = 4  # how much larger than compressed values are, until a batch tells


class Export:
    """A dataset as Arrow.

    What `decode` and functions of the user's say does not count: fields are as they are stored.

    Args:
        reading: the dataset, as it is now.
        pass_over: called with the error of a record that cannot be read, which is left out; None:
            the error is raised.

    Attributes:
        forms: of the fields, by name or position.
        schema: of the table.

    Raises:
        SchemaError: it is a file of dsrecords 0.4, which does not say what its fields are.
        ImportError: pyarrow is not installed.
    """

    def __init__(self, reading: Reading, pass_over: PassOver) -> None:
        reading = reading.selected(slice(None))
        _require_types(reading)
        self._reading = reading
        self._pass_over = pass_over
        schema = reading.fields.schema
        fields = dict(zip(schema.keys, reading.fields.selected()))
        self.forms = {key: form_of(field.type) for key, field in fields.items()}
        items = [(field, _loader(field, self.forms[key])) for key, field in fields.items()]
        self._plan = Plan(
            reading.fields.header,
            items,
            copy=False,
            shape=None,
        )
        self.schema = arrow_schema(self.forms, Origin(schema.named, reading.metadata()))
        scalars = [field.type for field in fields.values() if isinstance(field.type, Scalar)]
        self._width = sum(scalar.width for scalar in scalars)
        self._expansion = 1.0
        if any(field.type.name.startswith("zstd(") for field in fields.values()):
            self._expansion = float(_OF_ZSTD)

    def reader(self) -> Any:
        """Return a reader of the batches, from the first one on."""
        return pyarrow().RecordBatchReader.from_batches(self.schema, self.batches())

    def batches(self) -> Iterator[Any]:
        """Yield the batches, in the order of the records; an empty one if there are none."""
        count = self._reading.count()
        for start in range(0, max(count, 1), BATCH):
            stop = min(start + BATCH, count)
            yield from self._batches_of(start, stop)

    def _batches_of(self, start: int, stop: int) -> Iterator[Any]:
        sizes = self._sizes(start, stop)
        if start == stop:
            yield self._batch(self._columns(start, stop))
        while start < stop:
            if sizes is None:
                end = min(start + _SMALL_BATCH, stop)
                yield from self._built(start, end)
            else:
                count = self._fitting(sizes)
                end = start + count
                for batch in self._built(start, end):
                    self._learn_from(batch, sizes[:count])
                    yield batch
                sizes = sizes[count:]
            start = end

    def _fitting(self, sizes: np.ndarray) -> int:
        """Return how many records of these sizes are one batch: at least one."""
        limit = BATCH_BYTES / self._expansion
        if not self._plan.wanted:
            fitting = int(limit) // max(self._width, 1)
        else:
            fitting = int(np.searchsorted(np.cumsum(sizes), limit, "right"))
        return min(max(fitting, 1), len(sizes))

    def _sizes(self, start: int, stop: int) -> np.ndarray | None:
        """Return how many bytes the values of each record take; None if a head is damaged."""
        sizes = np.full(stop - start, self._width, np.int64)
        snapshot = self._reading.snapshot()
        positions = self._reading.positions(slice(start, stop), snapshot)
        for number, _ in self._plan.wanted:
            field = self._plan.schema.payloads[number]
            try:
                of_payload = payload_sizes(snapshot, positions, field)
            except CorruptError:  # reading the record says so, or passes it over
                return None
            of_payload[of_payload == NONE] = 0
            sizes += of_payload.astype(np.int64)
        return sizes

    def _learn_from(self, batch: Any, sizes: np.ndarray) -> None:
        """Make the next batches smaller, if this one became larger than what is stored of it."""
        if batch.nbytes > BATCH_BYTES:
            expansion = batch.nbytes / max(int(sizes.sum()), 1)
            self._expansion = max(self._expansion, expansion)

    def _columns(self, start: int, stop: int) -> list[Any]:
        return self._reading.columns(self._plan, slice(start, stop), self._pass_over)

    def _built(self, start: int, stop: int) -> Iterator[Any]:
        """Yield some records as one batch, or as more if they do not fit into one."""
        try:
            batch = self._batch(self._columns(start, stop))
        except TooLargeError:
            if stop - start == 1:
                raise self._too_large(start) from None
        else:
            yield batch
            return
        middle = (start + stop) // 2
        yield from self._built(start, middle)
        yield from self._built(middle, stop)

    def _batch(self, columns: list[Any]) -> Any:
        arrays = []
        for (key, form), column in zip(self.forms.items(), columns):
            try:
                arrays.append(form.build(column))
            except (CorruptError, SchemaError) as error:
                error.file = self._reading.path
                error.field = key
                raise
        return pyarrow().RecordBatch.from_arrays(arrays, schema=self.schema)

    def _too_large(self, index: int) -> SchemaError:
        record = self._reading.position(index, self._reading.snapshot())
        return SchemaError(
            "a value has more bytes or items than an array of Arrow takes (2**31 - 1); "
            "ds.select_fields([...]) leaves out its field",
            file=self._reading.path,
            record=record,
        )


def _require_types(reading: Reading) -> None:
    if not knows_sizes(reading.snapshot()):
        raise SchemaError(
            "files of dsrecords 0.4 do not say what their fields are, and MDS is not exported: "
            "dsrecords.upgrade, or of MDS dsrecords.convert, makes a dataset that is",
            file=reading.path,
        )


def _loader(field: Field, form: Form) -> Load:
    """Return what reads a field as its form takes it.

    Readers know the library's own functions by their `__self__`: it is the field's type.
    """
    kind = field.type
    if isinstance(kind, Scalar) and not isinstance(kind, BFloat16):
        return kind.load

    def load(self: Type, data: memoryview, copy: bool) -> Any:
        return _raw_of(self, form).load_columns(data, copy)

    return types.MethodType(load, kind)


def _raw_of(kind: Type, form: Form) -> Type:
    """Return `form.raw`, for a type of another file of the dataset with its own dictionary."""
    if kind is form.kind or not isinstance(kind, Zstd):
        return form.raw
    raw = copy.copy(kind)
    raw.inner = form.raw.inner  # type: ignore[attr-defined]  # of a Zstd it is one
    return raw
