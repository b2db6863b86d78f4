"""`list[T]`: a list of values of one type. Knows nothing of files or records.

Scalars are stored as one array of numbers; if they may be None, a byte for each follows, its
presence: 0 if it is None. Values of any other type are stored as their sizes, then their payloads.
A list of structs is a `Table`, and stored column by column.
"""

from __future__ import annotations

import contextlib
import struct
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dsrecords._format.layout import NONE, padded_size
from dsrecords._types.array_likes import as_column
from dsrecords._types.base import LIST_TYPES, Load, Path, Type, describe
from dsrecords._types.nested import (
    Dumped,
    Nested,
    is_list,
    none_of,
    pad_payloads,
    picked,
    raise_in_reading,
    raise_in_writing,
)
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Str
from dsrecords.errors import CorruptError, SchemaError

_COUNT = struct.Struct("<Q")
_NUMBER_SIZE = 40  # bytes of memory: an object, and a pointer to it
_POINTER_SIZE = 8
_NO_SIZE = -1  # which no item has

Payloads = list[memoryview | None]  # of items, None where an item is None


class List(Nested):
    """A list of values of one type.

    Attributes:
        item: the type of the values.
    """

    def __init__(self, item: Type) -> None:
        self.item = item
        self.name = f"list[{item.name}]"
        self.unreadable = item.unreadable
        self.amplifies = item.amplifies
        if isinstance(item, Scalar):
            self.objects_in_byte = _NUMBER_SIZE / item.width
        else:
            of_item = (item.object_size + _POINTER_SIZE) / _COUNT.size
            self.objects_in_byte = max(of_item, item.objects_in_byte)

    def weight(self, data: memoryview) -> int:
        item = self.item
        count = int.from_bytes(data[:8], "little")
        if isinstance(item, Scalar):
            most = len(data) // item.width
            return _NUMBER_SIZE * min(count, most)
        most = len(data) // _COUNT.size
        count = min(count, most)
        size_of_payloads = len(data) - _COUNT.size * count
        of_payloads = item.objects_in_byte * size_of_payloads
        of_items = (item.object_size + _POINTER_SIZE) * count
        return of_items + int(of_payloads)

    def dump(self, value: Any) -> bytes:
        item = self.item
        value = self._items(value)
        if not isinstance(item, Scalar):
            dumped = self._dump_items(value)
            return _join_payloads(dumped)
        if not item.nullable:
            # Where this fails, the items are dumped one by one, to name the one that does not fit.
            with contextlib.suppress(SchemaError):
                numbers = item.column(value)
                if numbers.ndim == 1:
                    count = _COUNT.pack(len(numbers))
                    return count + numbers.tobytes()
        dumped = self._dump_items(value)
        return _join_numbers(dumped, item)

    def _items(self, value: Any) -> Any:
        """Return a list or an array of the items. Raises SchemaError if a value is no list."""
        if isinstance(value, LIST_TYPES):
            return value
        array = as_column(value)
        if array is None and is_list(value):
            return value
        if array is None or array.ndim == 0:
            given = describe(value)
            raise SchemaError(f"{self.name} takes a list or a tuple, not {given}")
        if not isinstance(array, np.ma.MaskedArray):
            return array
        if not self.item.nullable:
            raise SchemaError(f"{self.name} takes no missing values, as {describe(value)} has")
        return [None if value is np.ma.masked else value for value in array]

    def _dump_items(self, values: Iterable[Any]) -> Dumped:
        item = self.item
        nullable = item.nullable
        present = item.present
        dumped: Dumped = []
        for position, value in enumerate(values):
            if nullable and value.__class__ not in present and item.is_missing(value):
                dumped.append(None)
                continue
            try:
                dumped.append(item.dump(value))
            except Exception as error:
                raise_in_writing(error, f"item {position}", item)
                raise
        return dumped

    def load(self, data: memoryview, copy: bool) -> list[Any]:
        item = self.item
        if not isinstance(item, Scalar):
            return self._load_payloads(data, copy, item.load)
        numbers, presence = _split_numbers(data, item)
        values = item.each(numbers)
        if presence is not None:
            for position, present in enumerate(presence):
                if not present:
                    values[position] = None
        return values

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        """An array (n,) of scalars, masked if they may be None; a list of values of other types."""
        item = self.item
        if not isinstance(item, Scalar):
            return self._load_payloads(data, copy, item.load_columns)
        numbers, presence = _split_numbers(data, item)
        values = item.shown(numbers)
        is_view = values.base is not None
        if copy and is_view:
            values = values.copy()
        if presence is None:
            return values
        present = np.frombuffer(presence, np.uint8)
        missing = present == 0
        return np.ma.MaskedArray(values, missing)

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "columns":
            return self.load_columns
        decode = self.item.decoder(decoding, field)

        def load(self: List, data: memoryview, copy: bool) -> list[Any]:
            if isinstance(self.item, Scalar):
                return self._load_numbers(data, copy, self.item, decode)
            return self._load_payloads(data, copy, decode)

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
        key = path[0]
        item = self.item
        if isinstance(item, Scalar):
            numbers, presence = _split_numbers(data, item)
            payloads: Payloads = _each_number(data, item, len(numbers), presence)
        else:
            payloads = self._located(data)

        def pick(position: int) -> Any:
            label = f"item {position}"
            payload = payloads[position]
            if payload is None:
                return none_of(path[1:], label)
            try:
                return item.pick(payload, copy, path[1:], decoding)
            except Exception as error:
                raise_in_reading(error, label, item)
                raise

        return picked(key, len(payloads), pick)

    def _load_numbers(
        self,
        data: memoryview,
        copy: bool,
        item: Scalar,
        load: Load,
    ) -> list[Any]:
        """The values that a decoder makes of numbers."""
        numbers, presence = _split_numbers(data, item)
        payloads = _each_number(data, item, len(numbers), presence)
        values: list[Any] = []
        for payload in payloads:
            value = None
            if payload is not None:
                value = load(payload, copy)
            values.append(value)
        return values

    def _load_payloads(
        self,
        data: memoryview,
        copy: bool,
        load: Load,
    ) -> list[Any]:
        item = self.item
        if isinstance(item, Str):
            # If the sizes do not fit, the strings are loaded one by one, to name the wrong one.
            sizes, payloads = _split_payloads(data)
            strings = _load_strings(sizes, bytes(payloads), self._size_of_none())
            if strings is not None:
                return strings
        values: list[Any] = []
        for payload in self._each_located(data):
            value = None
            if payload is not None:
                try:
                    value = load(payload, copy)
                except Exception as error:
                    raise_in_reading(error, f"item {len(values)}", item)
                    raise
            values.append(value)
        return values

    def _located(self, data: memoryview) -> Payloads:
        """The payloads of the items, None where an item is None. Raises CorruptError."""
        return list(self._each_located(data))

    def _each_located(self, data: memoryview) -> Iterator[memoryview | None]:
        """The same one by one: all of them would take more memory than many values do."""
        sizes, payloads = _split_payloads(data)
        size_of_none = self._size_of_none()
        offset = 0
        payloads_size = len(payloads)
        for position, size in enumerate(sizes):
            if size == size_of_none:
                yield None
                continue
            end = offset + size
            if end > payloads_size:
                left = payloads_size - offset
                message = f"item {position} of a list claims {size} bytes, {left} are left"
                raise CorruptError(message)
            yield payloads[offset:end]
            offset = padded_size(end)
        if offset != payloads_size:
            data_size = len(data)
            end = data_size - payloads_size + offset
            message = f"a list ends at byte {end}, its payload at byte {data_size}"
            raise CorruptError(message)

    def _size_of_none(self) -> int:
        if self.item.nullable:
            return NONE
        return _NO_SIZE


def _join_numbers(dumped: Dumped, scalar: Scalar) -> bytes:
    """A list of scalars as it is stored: the count, the numbers, then their presence."""
    count = len(dumped)
    zero = bytes(scalar.width)
    presence = bytearray()
    parts = [_COUNT.pack(count)]
    for number in dumped:
        if number is None:
            parts.append(zero)
            presence.append(0)
        else:
            parts.append(number)
            presence.append(1)
    if scalar.nullable:
        parts.append(bytes(presence))
    return b"".join(parts)


def _split_numbers(
    data: memoryview,
    scalar: Scalar,
) -> tuple[np.ndarray, memoryview | None]:
    """The numbers of a list, (n,), and their presence: n bytes, or None if numbers are never None.

    Raises CorruptError.
    """
    data_size = len(data)
    count = int.from_bytes(data[:8], "little")
    end = 8 + count * scalar.width
    expected_size = end
    if scalar.nullable:
        expected_size += count
    if data_size != expected_size:
        claim = f"a list of {count} {scalar.name}"
        message = f"{claim} does not take {data_size} bytes"
        raise CorruptError(message)
    numbers = np.frombuffer(data, scalar.dtype, count, 8)
    if scalar.nullable:
        return numbers, data[end:]
    return numbers, None


def _each_number(
    data: memoryview,
    scalar: Scalar,
    count: int,
    presence: memoryview | None,
) -> Payloads:
    """The bytes of each number of a list, whose size is verified; None where it is None."""
    payloads: Payloads = []
    for position in range(count):
        start = 8 + position * scalar.width
        payload = data[start : start + scalar.width]
        is_none = presence is not None and not presence[position]
        payloads.append(None if is_none else payload)
    return payloads


def _join_payloads(dumped: Dumped) -> bytes:
    """A list of other values as it is stored: the count, the sizes, then the padded payloads."""
    sizes, payloads = pad_payloads(dumped)
    count = len(sizes)
    head = struct.pack(f"<Q{count}Q", count, *sizes)
    return b"".join([head, *payloads])


def _split_payloads(data: memoryview) -> tuple[Sequence[int], memoryview]:
    """The sizes of the items of a list, and all that is behind them. Raises CorruptError."""
    data_size = len(data)
    count = int.from_bytes(data[:8], "little")
    start = 8 + 8 * count
    if start > data_size:
        message = f"a list of {count} items does not fit into {data_size} bytes"
        raise CorruptError(message)
    sizes = struct.unpack_from(f"<{count}Q", data, 8)
    return sizes, data[start:]


def _load_strings(
    sizes: Sequence[int],
    payloads: bytes,
    size_of_none: int,
) -> list[str | None] | None:
    """The strings of these sizes; None if the sizes do not fit the payloads.

    Lists have many short strings: what is ASCII is decoded in one go, then cut into strings.
    """
    is_ascii = payloads.isascii()
    uncut: Any = payloads
    if is_ascii:
        uncut = payloads.decode("ascii")
    strings: list[Any] = []
    offset = 0
    for size in sizes:
        if size == size_of_none:
            strings.append(None)
        else:
            end = offset + size
            strings.append(uncut[offset:end])
            offset = (end + 7) & -8  # `padded_size`, whose call would take as long as the rest
    if offset != len(payloads):
        return None
    if not is_ascii:
        for position, encoded in enumerate(strings):
            if encoded is not None:
                strings[position] = encoded.decode()
    return strings
