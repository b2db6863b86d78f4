"""`list[T]`: a list of values of one type. Knows nothing of files or records.

Scalars are stored as one array of numbers; if they may be None, a byte for each follows, its
presence: 0 if it is None. Values of any other type are stored as their sizes, then their payloads.
A list of structs is a `Table`, and stored column by column.
"""

from __future__ import annotations

import contextlib
import struct
import types
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dsrecords._format.layout import NONE, padded_size
from dsrecords._types.base import Load, Type, describe
from dsrecords._types.nested import Dumped, Nested, is_list, pad_payloads, within
from dsrecords._types.scalars import Scalar
from dsrecords._types.strings import Str
from dsrecords.errors import CorruptError, SchemaError

_COUNT = struct.Struct("<Q")
_NO_SIZE = -1  # which no item has


class List(Nested):
    """A list of values of one type.

    Attributes:
        item: the type of the values.
    """

    def __init__(self, item: Type) -> None:
        self.item = item
        self.name = f"list[{item.name}]"
        self.unreadable = item.unreadable

    def dump(self, value: Any) -> bytes:
        if not is_list(value):
            given = describe(value)
            message = f"{self.name} takes a list or a tuple, not {given}"
            raise SchemaError(message)
        item = self.item
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

    def _dump_items(self, values: Iterable[Any]) -> Dumped:
        item = self.item
        dumped: Dumped = []
        for position, value in enumerate(values):
            if value is None and item.nullable:
                dumped.append(None)
                continue
            try:
                dumped.append(item.dump(value))
            except SchemaError as error:
                raise within(f"item {position}", error) from None
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
        if decoding == "columns" or isinstance(self.item, Scalar):
            return super().decoder(decoding, field)
        decode = self.item.decoder(decoding, field)

        def load(self: List, data: memoryview, copy: bool) -> list[Any]:
            return self._load_payloads(data, copy, decode)

        # Readers know the library's own decoders by their `__self__`: it is this type.
        return types.MethodType(load, self)

    def _load_payloads(
        self,
        data: memoryview,
        copy: bool,
        load: Load,
    ) -> list[Any]:
        data_size = len(data)
        count = int.from_bytes(data[:8], "little")
        start = 8 + 8 * count
        if start > data_size:
            message = f"a list of {count} items does not fit into {data_size} bytes"
            raise CorruptError(message)
        sizes = struct.unpack_from(f"<{count}Q", data, 8)
        payloads = data[start:]
        size_of_none = _NO_SIZE
        if self.item.nullable:
            size_of_none = NONE
        if isinstance(self.item, Str):
            # If the sizes do not fit, the strings are loaded one by one, to name the wrong one.
            strings = _load_strings(sizes, bytes(payloads), size_of_none)
            if strings is not None:
                return strings
        values: list[Any] = []
        offset = 0
        payloads_size = data_size - start
        for size in sizes:
            if size == size_of_none:
                values.append(None)
                continue
            end = offset + size
            if end > payloads_size:
                position = len(values)
                left = payloads_size - offset
                message = f"item {position} of a list claims {size} bytes, {left} are left"
                raise CorruptError(message)
            payload = payloads[offset:end]
            values.append(load(payload, copy))
            offset = padded_size(end)
        if offset != payloads_size:
            end = start + offset
            message = f"a list ends at byte {end}, its payload at byte {data_size}"
            raise CorruptError(message)
        return values


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


def _join_payloads(dumped: Dumped) -> bytes:
    """A list of other values as it is stored: the count, the sizes, then the padded payloads."""
    sizes, payloads = pad_payloads(dumped)
    count = len(sizes)
    head = struct.pack(f"<Q{count}Q", count, *sizes)
    return b"".join([head, *payloads])


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
