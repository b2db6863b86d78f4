"""Whole columns to frames: thousands of records are encoded and checksummed together.

Knows nothing of files: what is packed here, the writer writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import kernels
from dsrecords._format.checksums import crc32
from dsrecords._format.frame import NO_PREV, Frames
from dsrecords._format.layout import NONE, PENDING, padding, size_of_word
from dsrecords._schema.schema import Field, Key, Schema
from dsrecords._types.array_likes import as_column
from dsrecords._types.arrays import ShapedArray
from dsrecords._types.base import LIST_TYPES, Type, cause_of, describe, writing_error
from dsrecords._types.binary import Bytes
from dsrecords._types.category import Category
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Str
from dsrecords._types.structs import Struct
from dsrecords._write.compiled import (
    compiled_encoder,
    encode_strings,
    is_compiled,
    is_stored_as_given,
)
from dsrecords.errors import SchemaError, annotate, in_words

_CHUNK = 4096  # records packed together
_CHUNK_BYTES = 4 * 2**20  # of heads and payloads that are enough for a chunk
_NO_COLUMNS = (  # what has a length and items, but is one value, or has no order
    str,
    bytes,
    bytearray,
    Mapping,
    Set,
)

Payloads = list[bytes | None]  # of one field, one a record
_Rows = np.ndarray  # the same for the compiled twin, where all are of one size: uint8, (n, size)


class PackedRecords(NamedTuple):
    """Frames that are ready to be written.

    Attributes:
        buffers: their bytes.
        rows: of the index, mixed with nothing: uint64, (n, width).
        end: offset behind the last one.
    """

    buffers: list[bytes]
    rows: np.ndarray
    end: int


class Columns:
    """Columns that fit the schema, ready to be packed wherever the log ends.

    Args:
        schema: of the dataset.
        columns: a dict of one sequence a field; a list of them where fields have no names.
        start: position that the first record will have, for errors.

    Attributes:
        count: how many records they are.

    Raises:
        SchemaError: a column is missing, unknown, of another length, or a value does not fit (names
            record and field).
        UnsupportedVersionError: this version does not know the type of a field.
    """

    def __init__(self, schema: Schema, columns: Any, start: int) -> None:
        schema.require_known_types()
        self._schema = schema
        self._layout = schema.layout
        self._start = start
        given = _by_key(schema, columns)
        for key, column in given.items():
            given[key] = _given(column, schema.by_key[key])
        self.count = _common_length(schema, given)
        # Numbers and presence bytes, by the names that they have in the dtype of a head.
        self._numbers: dict[str, np.ndarray] = {}
        # In the order of the fields that are payloads.
        self._payloads: list[Payloads | _Rows] = []
        for field in schema.fields:
            self._add(field, given[field.key])

    def _add(self, field: Field, column: Any) -> None:
        """Encode the column of the next field."""
        values, is_missing = _split_missing(column, field)
        if not isinstance(field.type, Scalar):
            payloads: Payloads | _Rows | None = None
            if is_compiled() and not is_missing.any():
                payloads = _payloads_as_given(field, values)
            if payloads is None:
                payloads = self._encode_payloads(field, values, is_missing)
            self._payloads.append(payloads)
            return
        numbers = self._encode_numbers(field, field.type, values)
        self._numbers[f"at {field.number_offset}"] = numbers
        if field.presence_offset >= 0:
            self._numbers[f"at {field.presence_offset}"] = ~is_missing

    def _encode_numbers(self, field: Field, scalar: Scalar, column: Any) -> np.ndarray:
        try:
            numbers = scalar.column(column)
        except (SchemaError, ValueError, TypeError):
            # One by one, to name the value that does not fit.
            packed = []
            for row, value in enumerate(column):
                number = self._encode_value(field, row, value)
                packed.append(scalar.pack(number))
            numbers = np.frombuffer(b"".join(packed), scalar.dtype)
        if numbers.ndim != 1:
            raise SchemaError(
                f"a column of {scalar.name} must have one dimension, not {numbers.ndim}",
                field=field.key,
            )
        return numbers

    def _encode_payloads(self, field: Field, column: Any, is_missing: np.ndarray) -> Payloads:
        payloads: Payloads = []
        missing = is_missing.tolist()
        for row, value in enumerate(column):
            if missing[row]:
                payloads.append(None)
            else:
                payload = self._encode_value(field, row, value)
                payloads.append(payload)
        return payloads

    def _encode_value(self, field: Field, row: int, value: Any) -> Any:
        try:
            return field.dump(value)
        except Exception as error:
            record = self._start + row
            found = writing_error(error, field.type)
            if found is None:
                annotate(error, in_words(record=record, field=field.key))
                raise
            raise SchemaError(
                f"row {row} of those given: {found.message}",
                record=record,
                field=field.key,
            ) from cause_of(error, found)

    def pack(self, frames: Frames, end: int, width: int) -> Iterator[PackedRecords]:
        """Pack pending frames, chunk by chunk.

        Args:
            frames: how they are packed.
            end: where the log ends.
            width: of a row of the index, in words of eight bytes.
        """
        encoder = compiled_encoder(self._schema)
        if encoder is not None:
            yield from self._pack_compiled(encoder, frames, end, width)
            return
        for first in range(0, self.count, _CHUNK):
            stop = min(first + _CHUNK, self.count)
            chunk = slice(first, stop)
            payloads: Any = [column[chunk] for column in self._payloads]
            heads = self._heads(chunk, payloads)
            offsets = frames.pack(heads, end)
            buffers = _buffers(heads, payloads)
            end = int(offsets[-1]) + size_of_word(int(heads["word"][-1]))
            yield PackedRecords(buffers, kernels.make_rows(heads, offsets, width), end)

    def _pack_compiled(
        self,
        encoder: Any,
        frames: Frames,
        end: int,
        width: int,
    ) -> Iterator[PackedRecords]:
        """As `pack`, by C."""
        numbers = []
        of_head: Any = self._layout.dtype.fields
        for name, column in self._numbers.items():
            dtype, offset = of_head[name]
            whole = np.ascontiguousarray(column, dtype)
            numbers.append((offset, dtype.itemsize, whole.view(np.uint8)))
        payloads = []
        for values in self._payloads:
            size = 0
            if isinstance(values, np.ndarray):
                size = values.shape[1]
            payloads.append((0, size, values))
        first = 0
        while first < self.count:
            block = encoder.block()
            stop = min(first + _CHUNK, self.count)
            first = block.add_columns(first, stop, _CHUNK_BYTES, tuple(numbers), tuple(payloads))
            size = block.size
            buffers, rows, _ = block.finish(PENDING, NO_PREV, frames.seed, end, 8 * width)
            end += size
            yield PackedRecords(buffers, np.frombuffer(rows, np.uint64).reshape(-1, width), end)

    def _heads(self, chunk: slice, payloads: Sequence[Payloads]) -> np.ndarray:
        """The heads of a chunk of records, but for what they say of their frames."""
        count = chunk.stop - chunk.start
        heads = np.zeros(count, self._layout.dtype)
        for name, numbers in self._numbers.items():
            heads[name] = numbers[chunk]
        for number, column in enumerate(payloads):
            _describe_payloads(heads, number, column)
        return heads


def _payloads_as_given(field: Field, column: Any) -> Payloads | _Rows | None:
    """The payloads of a column that is encoded as a whole; None if it is to be value by value."""
    kind = field.type
    if field.dump != kind.dump:
        return None
    if type(kind) is Str and type(column) is list:
        encoded: Payloads | None = encode_strings(column)
        return encoded
    if type(kind) is Bytes and isinstance(column, LIST_TYPES):
        if set(map(type, column)) == {bytes}:
            return list(column)
        return None
    is_array = type(column) is np.ndarray and column.flags.c_contiguous and column.size > 0
    if not isinstance(kind, ShapedArray) or not is_array or not is_stored_as_given(kind):
        return None
    if column.dtype != kind.dtype or column.shape[1:] != kind.shape:
        return None
    rows: _Rows = column.reshape(len(column), -1).view(np.uint8)
    return rows


def _describe_payloads(heads: np.ndarray, number: int, payloads: Payloads) -> None:
    """Fill in the sizes and checksums of one payload of each record."""
    sizes = []
    checksums = []
    for payload in payloads:
        if payload is None:
            sizes.append(NONE)
            checksums.append(0)
        else:
            sizes.append(len(payload))
            checksums.append(crc32(payload))
    heads["sizes"][:, number] = sizes
    heads["checksums"][:, number] = checksums


def _buffers(heads: np.ndarray, payloads: Sequence[Payloads]) -> list[bytes]:
    """The bytes of frames, in their order."""
    raw = heads.tobytes()
    if not payloads:
        return [raw]
    buffers = []
    start = 0
    for payloads_of_frame in zip(*payloads):
        stop = start + heads.itemsize
        head = raw[start:stop]
        buffers.append(head)
        start = stop
        for payload in payloads_of_frame:
            if payload is not None:
                buffers.append(payload)
                buffers.append(padding(len(payload)))
    return buffers


def _by_key(schema: Schema, columns: Any) -> dict[Key, Any]:
    """The columns by the keys of the schema's fields."""
    if schema.named != isinstance(columns, Mapping):
        expected = "dict" if schema.named else "list"
        given_type = describe(columns)
        raise SchemaError(f"columns must be a {expected} here, not {given_type}")
    if not schema.named:
        columns = enumerate(columns)
    given = dict(columns)
    for key in schema.keys:
        if key not in given:
            raise SchemaError("this column is missing", field=key)
    for key in given:
        if key not in schema.by_key:
            raise SchemaError("there is no such field", field=key)
    return given


def _given(column: Any, field: Field) -> Any:
    """A column as a list or an array, whichever package gives it.

    A column of structs may be a dict of columns, and one of categories may be their numbers.
    """
    kind = field.type
    try:
        if isinstance(kind, Struct) and isinstance(column, Mapping):
            return kind.rows_of(column)
        if isinstance(column, _NO_COLUMNS):
            raise _no_column(column)
        if isinstance(kind, Scalar):
            column = kind.given(column)
            if isinstance(kind, Category):
                column = kind.named(column)
            return column
        if isinstance(column, LIST_TYPES):
            return column
        array = as_column(column)
    except SchemaError as error:
        raise SchemaError(error.message, field=field.key) from error
    if array is None:
        return column
    return array


def _no_column(column: Any) -> SchemaError:
    return SchemaError(f"a column must be an array or a list, not {describe(column)}")


def _common_length(schema: Schema, columns: Mapping[Key, Any]) -> int:
    lengths = {}
    for key, column in columns.items():
        try:
            lengths[key] = len(column)
        except TypeError:
            error = _no_column(column)
            raise SchemaError(error.message, field=key) from None
    first = schema.keys[0]
    expected = lengths[first]
    for key, length in lengths.items():
        if length != expected:
            text = f"{length} values, but {expected} of {first!r}"
            raise SchemaError(text, field=key)
    return expected


def _split_missing(column: Any, field: Field) -> tuple[Any, np.ndarray]:
    """Find out which values of a column are missing.

    Returns:
        The column, with zeros for missing scalars (for missing payloads it may have anything); and
        which values are missing: bool, (n,).
    """
    kind = field.type
    is_missing = np.zeros(len(column), bool)
    if not kind.nullable:
        return column, is_missing
    if isinstance(column, np.ma.MaskedArray):
        return _split_masked(column, field)
    if isinstance(column, np.ndarray) and column.dtype != object:
        is_missing = kind.missing(column)
        if isinstance(kind, Scalar):
            column = _filled(column, kind, is_missing)
        return column, is_missing
    return _split_list(column, kind)


def _split_list(column: Sequence[Any], kind: Type) -> tuple[Any, np.ndarray]:
    """As `_split_missing`, of a list or an array of objects."""
    is_missing = np.zeros(len(column), bool)
    classes = set(map(type, column))
    if classes <= kind.present:
        return column, is_missing
    if not classes <= kind.present | {type(None)}:
        column = [None if kind.is_missing(value) else value for value in column]
    is_missing[:] = [value is None for value in column]
    if isinstance(kind, Scalar):
        zero = kind.zero
        column = [zero if value is None else value for value in column]
    return column, is_missing


def _filled(column: np.ndarray, kind: Scalar, is_missing: np.ndarray) -> np.ndarray:
    """An array with zeros where values are missing."""
    if not is_missing.any():
        return column
    if is_missing.all():  # and of a dtype that may say nothing, such as that of NaN
        return np.full(len(column), kind.zero, kind.dtype)
    filled = column.copy()
    filled[is_missing] = kind.zero
    if filled.dtype.kind == "f" and kind.dtype.kind in "iu":
        # pandas makes floats of integers where one is missing.
        with np.errstate(invalid="ignore"):
            whole = filled.astype(kind.dtype)
        if (whole == filled).all():
            return whole
    return filled


def _split_masked(column: np.ma.MaskedArray, field: Field) -> tuple[Any, np.ndarray]:
    """As `_split_missing`. A value that is an array is missing where all of it is masked."""
    count, *shape = column.shape
    elements = math.prod(shape)  # of one value
    masks = np.ma.getmaskarray(column)
    masks = masks.reshape(count, elements)
    masked_elements = np.count_nonzero(masks, axis=1)
    is_missing = masked_elements > 0
    if (masked_elements[is_missing] < elements).any():
        raise SchemaError("a row is masked in part", field=field.key)
    kind = field.type
    if not isinstance(kind, Scalar):
        return column.data, is_missing
    filled = np.asarray(column.filled(kind.zero))
    is_missing |= kind.missing(filled)
    return _filled(filled, kind, is_missing), is_missing
