"""From the columns of a step to what the caller gets: nulls, padding, format, device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dsrecords._loader.buffers import Buffers
from dsrecords._loader.formats import Format
from dsrecords._loader.keys import Key
from dsrecords._loader.nulls import fill_of, filled
from dsrecords._loader.padding import Pad
from dsrecords._loader.pictures import column_channels_first
from dsrecords._loader.randomness import Randomness
from dsrecords._loader.reader import Called
from dsrecords._loader.stacking import stacked
from dsrecords._loader.steps import Batch, Step
from dsrecords._loader.structure import Columns, Structure
from dsrecords._loader.times import COLLATE, COPY, TRANSFORM, Times
from dsrecords.errors import SchemaError, annotate

INDEX = "index"  # the name of the column that `with_index` adds
LENGTH = "{}_length"  # and of those that `pad` adds


class Finisher:
    """What is done with a batch once its columns are there.

    Args:
        format: of the batches.
        pad: by field, how arrays of several lengths become one.
        fill_null: what stands in the place of None: for all fields, or by field; None: nothing.
        channels_first_of: fields of pictures whose channels come before height and width.
        with_index: whether the indices of the samples are a column.
        batch_transform: called with each batch, or None.
        singles: whether the caller gets samples, and not batches.
    """

    def __init__(
        self,
        format: Format,
        pad: Mapping[Key, Pad],
        fill_null: Any,
        channels_first_of: list[Key],
        with_index: bool,
        batch_transform: Callable[..., Any] | None,
        singles: bool,
    ) -> None:
        self._format = format
        self._pad = pad
        self._fill_null = fill_null
        self._channels_first = channels_first_of
        self._with_index = with_index
        self._singles = singles
        self._batch_transform: Called | None = None
        if batch_transform is not None:
            self._batch_transform = Called(batch_transform)

    def finished(self, step: Step, randomness: Randomness, buffers: Buffers, times: Times) -> Batch:
        """Return the batch of a step, all of whose parts are made.

        Raises:
            SchemaError: a column cannot be padded, or has None where the format has no such thing.
            Exception: what `batch_transform` raises.
        """
        left_out = step.left_out()
        structure = step.structure()
        if structure is None:
            return Batch(None, 0, left_out)
        kept = step.indices[step.assembly.kept]
        with times.stage(COLLATE):
            columns = self._columns(step, structure, kept, buffers)
        times.batch_bytes += sum(_size_of(column) for column in columns.values())
        with times.stage(COPY):
            columns = self._format.converted(columns)
        if self._singles:
            value: Any = _rows(structure, columns, len(kept))
        else:
            value = structure.assembled(columns)
            if self._batch_transform is not None:
                with times.stage(TRANSFORM):
                    value = self._transformed(value, step.number, randomness)
        with times.stage(COPY):
            value = self._format.moved(value)
        return Batch(value, len(kept), left_out)

    def _columns(
        self,
        step: Step,
        structure: Structure,
        kept: np.ndarray,
        buffers: Buffers,
    ) -> Columns:
        columns = dict(step.assembly.columns())
        self._check_keys("pad", self._pad, columns)
        if isinstance(self._fill_null, Mapping):
            self._check_keys("fill_null", self._fill_null, columns)
        for key, column in columns.items():
            is_given, fill = fill_of(self._fill_null, key)
            if is_given:
                columns[key] = _restacked(filled(column, fill, key), buffers)
        for key in self._channels_first:
            if key in columns:
                columns[key] = column_channels_first(columns[key])
        for key, pad in self._pad.items():
            padded, lengths = pad.padded(columns[key], key, buffers)
            columns[key] = padded
            structure.add(columns, LENGTH.format(key), lengths)
        if self._with_index:
            structure.add(columns, INDEX, kept)
        return columns

    @staticmethod
    def _check_keys(name: str, given: Mapping[Key, Any], columns: Columns) -> None:
        for key in given:
            if key not in columns:
                raise SchemaError(f"{name}: samples have no {key!r}: they have {list(columns)}")

    def _transformed(self, batch: Any, number: int, randomness: Randomness) -> Any:
        assert self._batch_transform is not None
        rng = None
        if self._batch_transform.takes_rng:
            rng = randomness.generator(-1 - number)
        try:
            return self._batch_transform(batch, rng)
        except Exception as error:
            annotate(error, f"step {number}, in batch_transform")
            raise


def _restacked(column: Any, buffers: Buffers) -> Any:
    if isinstance(column, list):
        return stacked(column, buffers)
    return column


def _rows(structure: Structure, columns: Columns, count: int) -> list[Any]:
    """The samples of a group, one by one."""
    samples = []
    for row in range(count):
        values = {key: _item(column, row) for key, column in columns.items()}
        samples.append(structure.assembled(values))
    return samples


def _item(column: Any, row: int) -> Any:
    value = column[row]
    if value is np.ma.masked:
        return None
    return value


def _size_of(column: Any) -> int:
    return int(getattr(column, "nbytes", 0))
