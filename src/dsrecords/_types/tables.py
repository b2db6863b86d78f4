"""`list[{name: T, other: T}]`: a list of structs. Knows nothing of files or records.

A table is stored column by column, as a struct of columns. A column is a list, or one array where
all values of a part have the same shape.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from dsrecords._types.arrays import ShapedArray
from dsrecords._types.base import Load, NoPartError, Path, Type, describe
from dsrecords._types.lists import List
from dsrecords._types.nested import Nested, is_list, within
from dsrecords._types.scalars import Scalar
from dsrecords._types.structs import Struct, plain_column
from dsrecords.errors import CorruptError, SchemaError

_SIZE_OF_SIZE = 8  # bytes, of the size of a payload; so many has a pointer in memory
_SMALLEST_ITEM = 40  # bytes of memory, as `List.weight` counts them

Columns = dict[str, Any]
Rows = list[dict[str, Any]]


class Table(Nested):
    """A list of structs, read as a list of dicts, or as a dict of columns.

    Attributes:
        row_type: the struct.
    """

    def __init__(self, row: Struct) -> None:
        self.row_type = row
        self.name = f"list[{row.name}]"
        self.unreadable = row.unreadable
        columns = {}
        for key, part in row.parts.items():
            columns[key] = _column_of(part)
        self._stored = Struct(columns)
        self.amplifies = row.amplifies
        self.objects_in_byte = _objects_in_byte(row)

    def weight(self, data: memoryview) -> int:
        # The items of a column are counted as objects already: so many rows there are at most.
        of_columns = self._stored.weights(data)
        of_items = max(of_columns.values())
        rows = min(of_items // _SMALLEST_ITEM, len(data))
        return sum(of_columns.values()) + rows * self.row_type.object_size

    def dump(self, value: Any) -> bytes:
        if isinstance(value, Mapping):
            return self._dump_columns(value)
        if isinstance(value, np.ndarray) or not is_list(value):
            given = describe(value)
            message = f"a list of dicts expected, or a dict of columns, not {given}"
            raise SchemaError(message)
        row_type = self.row_type
        for position, row in enumerate(value):
            if not row_type.has_parts(row):
                mismatch = row_type.mismatch(row)
                message = f"item {position}: {mismatch}"
                raise SchemaError(message)
        columns = {}
        for key in row_type.parts:
            columns[key] = [row[key] for row in value]
        try:
            return self._stored.dump(columns)
        except SchemaError as error:
            self._raise_for_row(value, error)

    def _dump_columns(self, columns: Mapping[Any, Any]) -> bytes:
        self.row_type.count_rows(columns)  # raises SchemaError if they differ in length
        plain = {}
        for key, part in self.row_type.parts.items():
            plain[key] = plain_column(columns[key], part)
        return self._stored.dump(plain)

    def _raise_for_row(self, rows: Iterable[Any], error: SchemaError) -> NoReturn:
        """Raise SchemaError that names the first row which does not fit; else `error`."""
        for position, row in enumerate(rows):
            try:
                self.row_type.dump(row)
            except SchemaError as error_of_row:
                named = within(f"item {position}", error_of_row)
                raise named from error_of_row.__cause__
        raise error

    def load(self, data: memoryview, copy: bool) -> Rows:
        columns = self._stored.load(data, copy)
        return _rows_of(columns)

    def load_columns(self, data: memoryview, copy: bool) -> Columns:
        """A column for each part.

        It is an array (n, …), masked if its numbers may be None; a dict of columns if the part is a
        struct; else a list.
        """
        columns: Columns = self._stored.load_columns(data, copy)
        _number_of_rows(columns)
        return columns

    def decoder(self, decoding: Any, field: Any) -> Load:
        if not isinstance(decoding, Mapping):
            return super().decoder(decoding, field)
        self.row_type.decoder(decoding, field)  # raises what is wrong, in the words of the struct
        load_columns = self._stored.decoder(_of_columns(self.row_type, decoding), field)

        def load(self: Table, data: memoryview, copy: bool) -> Rows:
            columns = load_columns(data, copy)
            return _rows_of(columns)

        # Readers know the library's own decoders by their `__self__`: it is this type.
        return types.MethodType(load, self)

    def pick(
        self,
        data: memoryview,
        copy: bool,
        path: Path,
        decoding: Any,
    ) -> Any:
        if not path:
            return super().pick(data, copy, path, decoding)
        key, *inside = path
        if decoding == "columns":
            decoding = dict.fromkeys(self.row_type.parts, decoding)
        if inside:
            name, *inside = inside
            self.row_type.part(name)
            path = (name, key, *inside)
            return self._stored.pick(data, copy, path, decoding)
        parts = {}
        for name in self.row_type.parts:
            try:
                parts[name] = self._stored.pick(data, copy, (name, key), decoding)
            except NoPartError as error:  # of the first column, where a row was asked for
                message = error.message.removeprefix(f"{name!r}: ")
                raise NoPartError(message, error.kind) from None
        if isinstance(key, slice):
            return _rows_of(parts)
        return parts


def _objects_in_byte(row: Struct) -> float:
    """How many bytes of objects a byte of rows becomes, at most: where all payloads are empty."""
    stored = 0
    made = row.object_size
    within = 0.0
    for part in row.parts.values():
        within = max(within, part.objects_in_byte)
        if isinstance(part, Scalar):
            stored += part.width
            made += _SMALLEST_ITEM
        elif not isinstance(part, (ShapedArray, Struct)):  # of these a row may have no byte
            stored += _SIZE_OF_SIZE
            made += part.object_size + _SIZE_OF_SIZE
    return made / max(stored, 1) + within


def _rows_of(columns: Columns) -> Rows:
    """The rows of columns. Raises CorruptError if they are not of one length."""
    count = _number_of_rows(columns)
    # Copies of one dict, filled column by column, take half the time of a new dict for each.
    empty_row = dict.fromkeys(columns)
    empty_rows = itertools.repeat(empty_row, count)
    rows = list(map(dict.copy, empty_rows))
    for key, column in columns.items():
        for row, value in zip(rows, column):
            row[key] = value
    return rows


def _of_columns(row_type: Struct, decoding: Mapping[str, Any]) -> dict[str, Any]:
    """What the columns of parts are decoded as, so that each value is as `decoding` says.

    A column of structs, decoded as columns, would be one dict of them.
    """
    decodings = {}
    for key, wanted in decoding.items():
        part = row_type.parts[key]
        if isinstance(part, Struct) and wanted == "columns":
            nested = {}
            for name, inner in part.parts.items():
                if isinstance(inner, Nested):
                    nested[name] = "columns"
            wanted = _of_columns(part, nested)
        decodings[key] = wanted
    return decodings


def _number_of_rows(columns: Columns) -> int:
    """The length of all columns. Raises CorruptError if they differ."""
    lengths = set()
    for column in columns.values():
        length = len(column)
        if column.__class__ is dict:
            length = _length_of_structs(column)
        lengths.add(length)
    if len(lengths) > 1:
        shown = sorted(lengths)
        raise CorruptError(f"a list of structs whose columns have the lengths {shown}")
    return lengths.pop()


def _length_of_structs(columns: Columns) -> int:
    """The length of a column of structs, which is a dict of columns of equal lengths."""
    first, *_ = columns.values()
    if isinstance(first, dict):
        return _length_of_structs(first)
    return len(first)


def _column_of(part: Type) -> Type:
    """The type that many values of a part are stored as."""
    if isinstance(part, ShapedArray):
        has_one_size = not part.free and not part.nullable
        takes_bytes = 0 not in part.shape
        if has_one_size and takes_bytes:
            shape = (None, *part.shape)
            return ShapedArray(part.scalar, shape)
    return list_of(part)


def list_of(item: Type) -> Type:
    """The type `list[item]`."""
    if isinstance(item, Struct) and not item.nullable:
        return Table(item)
    return List(item)
