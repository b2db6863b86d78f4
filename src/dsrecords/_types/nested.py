"""Types made of others: lists, structs, and lists of structs, which are stored column by column. Knows nothing of files."""

from __future__ import annotations

import contextlib
import itertools
import struct
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._types.arrays import ShapedArray
from dsrecords._types.base import NONE, PAD, Load, Type, describe
from dsrecords._types.names import quote
from dsrecords._types.scalars import Scalar, lay_out
from dsrecords._types.strings import Str
from dsrecords.errors import CorruptError, SchemaError


class Nested(Type):
    """What can be read as columns."""

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding != "columns":
            raise SchemaError(f"decode of {self.name} can be 'columns', not {decoding!r}", field=field)
        return self.load_columns


class List(Nested):
    """A list of values of one type."""

    def __init__(self, item: Type) -> None:
        self.item, self.name, self.unreadable = item, f"list[{item.name}]", item.unreadable

    def dump(self, value: Any) -> bytes:
        if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, (str, bytes, bytearray, memoryview)):
            raise SchemaError(f"{self.name} takes a list or a tuple, not {describe(value)}")
        if isinstance(self.item, Scalar) and not self.item.nullable:
            with contextlib.suppress(SchemaError):  # else one by one, to name the item that does not fit
                if (numbers := self.item.column(value)).ndim == 1:
                    return struct.pack("<Q", len(numbers)) + numbers.tobytes()
        items = []
        for position, item in enumerate(value):
            try:
                items.append(self._dump_item(item))
            except SchemaError as error:
                raise SchemaError(f"item {position}: {error.message}") from None
        count = struct.pack("<Q", len(items))
        if isinstance(self.item, Scalar):
            zero = bytes(self.item.width)
            present = [bytes([item is not None]) for item in items] if self.item.nullable else []
            return b"".join([count, *(zero if item is None else item for item in items), *present])
        parts = [count, *(struct.pack("<Q", NONE if item is None else len(item)) for item in items)]
        for item in items:
            if item is not None:
                parts += [item, PAD[len(item) & 7]]
        return b"".join(parts)

    def _dump_item(self, item: Any) -> bytes | None:
        return None if item is None and self.item.nullable else self.item.dump(item)

    def load(self, data: memoryview, copy: bool) -> list[Any]:
        if not isinstance(self.item, Scalar):
            return self._items(data, copy, self.item.load)
        numbers, present = self._numbers(data, self.item)
        values = self.item.each(numbers)
        return values if present is None else [value if there else None for value, there in zip(values, present)]

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        if not isinstance(self.item, Scalar):
            return self._items(data, copy, self.item.load_columns)
        numbers, present = self._numbers(data, self.item)
        values = self.item.shown(numbers)
        if copy and values.base is not None:
            values = values.copy()
        return values if present is None else np.ma.MaskedArray(values, np.frombuffer(present, np.uint8) == 0)

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "columns" or isinstance(self.item, Scalar):
            return super().decoder(decoding, field)
        decode = self.item.decoder(decoding, field)
        return types.MethodType(lambda self, data, copy: self._items(data, copy, decode), self)

    def _numbers(self, data: memoryview, item: Scalar) -> tuple[np.ndarray, memoryview | None]:
        """The numbers of a list of scalars, and which of them are there (None: all)."""
        count = int.from_bytes(data[:8], "little")
        end = 8 + count * item.width
        if len(data) < 8 or len(data) != end + (count if item.nullable else 0):
            raise CorruptError(f"a list of {count} {item.name} does not take {len(data)} bytes")
        return np.frombuffer(data, item.dtype, count, 8), data[end:] if item.nullable else None

    def _items(self, data: memoryview, copy: bool, load: Load) -> list[Any]:
        count = int.from_bytes(data[:8], "little")
        if len(data) < 8 or count > len(data) // 8 - 1:
            raise CorruptError(f"a list of {count} items does not fit into {len(data)} bytes")
        sizes, rest = struct.unpack_from(f"<{count}Q", data, 8), data[8 + 8 * count :]
        absent, at = NONE if self.item.nullable else -1, 0
        if isinstance(self.item, Str) and (texts := _texts(sizes, bytes(rest), absent)) is not None:
            return texts
        values: list[Any] = []
        for size in sizes:
            if size == absent:
                values.append(None)
                continue
            if size > len(rest) - at:
                raise CorruptError(f"item {len(values)} of a list claims {size} bytes, {len(rest) - at} are left")
            values.append(load(rest[at : at + size], copy))
            at += (size + 7) & -8
        if at != len(rest):
            raise CorruptError(f"a list ends at byte {len(data) - len(rest) + at}, its payload at byte {len(data)}")
        return values


def _texts(sizes: Sequence[int], data: bytes, absent: int) -> list[str | None] | None:
    """Texts of these sizes, decoded together if they are ASCII: there are many of few bytes. None if the sizes do not fit."""
    pieces = data.decode("ascii") if data.isascii() else data
    at, values = 0, list[Any]()
    for size in sizes:
        if size == absent:
            values.append(None)
        else:
            values.append(pieces[at : (end := at + size)])
            at = (end + 7) & -8
    if at != len(data):
        return None
    return values if isinstance(pieces, str) else [value if value is None else value.decode() for value in values]


class Struct(Nested):
    """A value with named parts, read as a dict."""

    def __init__(self, parts: Mapping[str, Type]) -> None:
        self.parts = dict(parts)
        self.name = "{" + ",".join(f"{quote(key)}:{part.name}" for key, part in self.parts.items()) + "}"
        self.unreadable = tuple({error for part in self.parts.values() for error in part.unreadable})
        self._payloads = [(key, part) for key, part in self.parts.items() if not isinstance(part, Scalar)]
        numbers = [(key, part) for key, part in self.parts.items() if isinstance(part, Scalar)]
        codes, _, slots, presences, self._head = lay_out([scalar for _, scalar in numbers], 8 * len(self._payloads))
        nullable = iter(range(len(numbers), len(numbers) + len(presences)))
        self._numbers = [(k, part, slot, next(nullable) if part.nullable else -1) for (k, part), slot in zip(numbers, slots)]
        self._zeros = [0] * (len(numbers) + len(presences))
        self._struct = struct.Struct(f"<{len(self._payloads)}Q{codes}")
        self._loads = {key: part.load for key, part in self._payloads}
        self._loads_of_columns = {key: part.load_columns for key, part in self._payloads}

    def dump(self, value: Any) -> bytes:
        if not isinstance(value, Mapping) or value.keys() != self.parts.keys():
            raise SchemaError(self.unlike(value))
        numbers, sizes = self._zeros.copy(), []
        payloads: list[bytes] = []
        for key, scalar, slot, presence in self._numbers:
            if value[key] is not None or not scalar.nullable:
                numbers[slot] = _within(key, scalar.check, value[key])
                if presence >= 0:
                    numbers[presence] = 1
        for key, part in self._payloads:
            if value[key] is None and part.nullable:
                sizes.append(NONE)
                continue
            data = _within(key, part.dump, value[key])
            sizes.append(len(data))
            payloads += (data, PAD[len(data) & 7])
        return b"".join([self._struct.pack(*sizes, *numbers), *payloads])

    def unlike(self, value: Any) -> str:
        """How a value differs from what is expected, in words."""
        there = f"a dict with {', '.join(map(repr, self.parts))} expected, "
        if not isinstance(value, Mapping):
            return there + f"not {describe(value)}"
        lacking = [key for key in self.parts if key not in value]
        return there + (f"{lacking[0]!r} is missing" if lacking else "not " + repr(next(k for k in value if k not in self.parts)))

    def load(self, data: memoryview, copy: bool) -> dict[str, Any]:
        return self._load(data, copy, self._loads)

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        return self._load(data, copy, self._loads_of_columns)

    def _load(self, data: memoryview, copy: bool, loads: Mapping[str, Load]) -> dict[str, Any]:
        if len(data) < self._head:
            raise CorruptError(f"a struct of {self._head} bytes and more does not fit into {len(data)}")
        found, at = self._struct.unpack_from(data), self._head
        numbers, values = found[len(self._payloads) :], dict.fromkeys(self.parts)
        for key, scalar, slot, presence in self._numbers:
            if presence < 0 or numbers[presence]:
                values[key] = numbers[slot] if scalar.give is None else scalar.give(numbers[slot])
        for size, (key, part) in zip(found, self._payloads):
            if size == NONE and part.nullable:
                continue
            if size > len(data) - at:
                raise CorruptError(f"{key!r} of a struct claims {size} bytes, {len(data) - at} are left")
            values[key] = loads[key](data[at : at + size], copy)
            at += (size + 7) & -8
        if at != len(data):
            raise CorruptError(f"a struct ends at byte {at}, its payload at byte {len(data)}")
        return values


class Table(Nested):
    """A list of structs, stored as a struct of lists: each part is one list, or one array with a free first dimension."""

    def __init__(self, row: Struct) -> None:
        self.row_type, self.name, self.unreadable = row, f"list[{row.name}]", row.unreadable
        self._stored = Struct({key: column_of(part) for key, part in row.parts.items()})

    def dump(self, value: Any) -> bytes:
        if isinstance(value, Mapping):  # columns already
            if len({len(column) for column in value.values()}) > 1:
                raise SchemaError("columns of different lengths")
            return self._stored.dump(value)
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray, memoryview)):
            raise SchemaError(f"a list of dicts expected, or a dict of columns, not {describe(value)}")
        parts = self.row_type.parts
        for number, row in enumerate(value):
            if not isinstance(row, Mapping) or row.keys() != parts.keys():
                raise SchemaError(f"item {number}: {self.row_type.unlike(row)}")
        try:
            return self._stored.dump({key: [row[key] for row in value] for key in parts})
        except SchemaError:
            for number, row in enumerate(value):  # to name the one that does not fit
                try:
                    self.row_type.dump(row)
                except SchemaError as error:
                    raise SchemaError(f"item {number}: {error.message}") from error.__cause__
            raise

    def load(self, data: memoryview, copy: bool) -> list[dict[str, Any]]:
        columns = self._same_length(self._stored.load(data, copy))
        count = len(next(iter(columns.values())))
        # Copies of one dict, filled column by column, take half of the time of a dict made for each row.
        rows = list(map(dict.copy, itertools.repeat(dict.fromkeys(columns), count)))
        for key, column in columns.items():
            for row, value in zip(rows, column):
                row[key] = value
        return rows

    def load_columns(self, data: memoryview, copy: bool) -> dict[str, Any]:
        """A column for each part: an array (n, …), masked where numbers may be None; a list of what has no one shape."""
        return self._same_length(self._stored.load_columns(data, copy))

    def _same_length(self, columns: dict[str, Any]) -> dict[str, Any]:
        lengths = {len(column) if column.__class__ is not dict else _rows(column) for column in columns.values()}
        if len(lengths) > 1:
            raise CorruptError(f"a list of structs whose columns have the lengths {sorted(lengths)}")
        return columns


def _rows(column: Any) -> int:
    """How many values a column has; one of structs is itself a dict of columns."""
    return _rows(next(iter(column.values()))) if isinstance(column, dict) else len(column)


def _within(key: str, dump: Any, value: Any) -> Any:
    try:
        return dump(value)
    except SchemaError as error:
        raise SchemaError(f"{key!r}: {error.message}") from error.__cause__


def column_of(part: Type) -> Type:
    """What many values of a part are stored as."""
    if isinstance(part, ShapedArray) and not part.free and 0 not in part.shape and not part.nullable:
        return ShapedArray(part.scalar, (None, *part.shape))
    return list_of(part)


def list_of(item: Type) -> Type:
    """`list[item]`."""
    return Table(item) if isinstance(item, Struct) and not item.nullable else List(item)
