"""`{name: T, other: T}`: values with named parts. Knows nothing of files or records.

A struct is stored as a head, and the payloads of those parts that are not scalars. The head has the
sizes of the payloads, the numbers, and for each number that may be None a byte, its presence: 0 if
it is None.
"""

from __future__ import annotations

import struct
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._format.layout import NONE, lay_out_numbers, padded_size
from dsrecords._types.base import Load, Path, Type, describe, unexpected
from dsrecords._types.category import Category
from dsrecords._types.names import quote
from dsrecords._types.nested import (
    Dumped,
    Nested,
    none_of,
    pad_payloads,
    raise_in_reading,
    raise_in_writing,
    within,
)
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

_DICT_SIZE = 232  # bytes of memory, of a dict of up to five keys
_PART_SIZE = 40

Values = dict[str, Any]  # of the parts, by name
ScalarPart = tuple[
    str,  # name
    Any,  # `from_number` of its type
    int,  # the position of its number among the numbers of the head
    int,  # the position of its presence there; -1: it is never None
]
WrittenScalar = tuple[
    str,  # name
    Any,  # `to_number` of its type
    int,  # the two positions of `ScalarPart`
    int,
    frozenset[Any],  # `present` of its type
    Any,  # `is_missing` of its type
]
PayloadPart = tuple[
    str,  # name
    bool,  # whether it may be None
    Load,
]


class Struct(Nested):
    """A value with named parts, read as a dict.

    Attributes:
        parts: the type of each part, by name.
    """

    def __init__(self, parts: Mapping[str, Type]) -> None:
        self.parts = dict(parts)
        names = []
        for key, part in self.parts.items():
            quoted = quote(key)
            names.append(f"{quoted}:{part.name}")
        joined = ",".join(names)
        self.name = "{" + joined + "}"
        self.amplifies = any(part.amplifies for part in self.parts.values())
        self.object_size = _DICT_SIZE + _PART_SIZE * len(self.parts)
        self.objects_in_byte = max(part.objects_in_byte for part in self.parts.values())
        self._lay_out()

    def weights(self, data: memoryview) -> dict[str, int]:
        """Return the weight of each part that is no number. Raises CorruptError."""
        loads: list[PayloadPart] = []
        for key, part in self._payloads:
            loads.append((key, part.nullable, _weigher(part)))
        values = self._load(data, False, loads, [])
        return {key: values[key] or 0 for key, _ in self._payloads}

    def weight(self, data: memoryview) -> int:
        return self.object_size + sum(self.weights(data).values())

    def _lay_out(self) -> None:
        names = []
        scalars = []
        self._payloads: list[tuple[str, Type]] = []
        self._loads: list[PayloadPart] = []
        self._loads_of_columns: list[PayloadPart] = []
        for key, part in self.parts.items():
            if isinstance(part, Scalar):
                names.append(key)
                scalars.append(part)
                continue
            nullable = part.nullable
            self._payloads.append((key, part))
            self._loads.append((key, nullable, part.load))
            self._loads_of_columns.append((key, nullable, part.load_columns))
        count = len(self._payloads)
        end_of_sizes = 8 * count
        layout = lay_out_numbers(scalars, end_of_sizes)
        self._head = struct.Struct(f"<{count}Q{layout.codes}")
        next_presence = len(scalars)
        total = next_presence + len(layout.presence_offsets)
        self._zeros = [0] * total
        self._scalars: list[ScalarPart] = []
        self._written_scalars: list[WrittenScalar] = []
        for key, scalar, slot in zip(names, scalars, layout.slots):
            presence = -1
            if scalar.nullable:
                presence = next_presence
                next_presence += 1
            written = (
                key,
                scalar.to_number,
                slot,
                presence,
                scalar.present,
                scalar.is_missing,
            )
            self._zeros[slot] = scalar.blank
            self._scalars.append((key, scalar.from_number, slot, presence))
            self._written_scalars.append(written)

    def dump(self, value: Any) -> bytes:
        if not self.has_parts(value):
            message = self.mismatch(value)
            raise SchemaError(message)
        numbers = self._zeros.copy()
        dumped: Dumped = []
        try:
            for key, check, slot, presence, present, is_missing in self._written_scalars:
                part_value = value[key]
                can_be_missing = presence >= 0 and part_value.__class__ not in present
                if can_be_missing and is_missing(part_value):
                    continue
                numbers[slot] = check(part_value)
                if presence >= 0:
                    numbers[presence] = 1
            for key, part in self._payloads:
                part_value = value[key]
                payload = None
                if not (part.nullable and part.is_missing(part_value)):
                    payload = part.dump(part_value)
                dumped.append(payload)
        except Exception as error:
            raise_in_writing(error, repr(key), self.parts[key])
            raise
        if not dumped:
            return self._head.pack(*numbers)
        sizes, payloads = pad_payloads(dumped)
        head = self._head.pack(*sizes, *numbers)
        return b"".join([head, *payloads])

    def has_parts(self, value: Any) -> bool:
        """Whether a value is a dict with the names of the parts."""
        if not isinstance(value, Mapping):
            return False
        return value.keys() == self.parts.keys()

    def count_rows(self, columns: Mapping[Any, Any]) -> int:
        """The number of structs that columns, one for each part, consist of.

        The column of a part that is a struct itself may be a dict of columns: its rows count, not
        its keys.

        Raises:
            SchemaError: columns differ in length, a part has no column, or one is no column.
        """
        if not self.has_parts(columns):
            message = self.mismatch(columns)
            raise SchemaError(message)
        counted: dict[str, int] = {}
        for key, part in self.parts.items():
            try:
                counted[key] = _length_of_column(columns[key], part)
            except SchemaError as error:
                raise within(repr(key), error) from None
        lengths = set(counted.values())
        if len(lengths) > 1:
            shown = ", ".join(f"{count} of {key!r}" for key, count in counted.items())
            raise SchemaError(f"columns of different lengths: {shown}")
        return lengths.pop()

    def rows_of(self, columns: Mapping[Any, Any]) -> list[Values]:
        """The structs that columns, one for each part, consist of. Raises as `count_rows` does."""
        count = self.count_rows(columns)
        rows: list[Values] = [{} for _ in range(count)]
        for key, part in self.parts.items():
            column = plain_column(columns[key], part)
            if isinstance(part, Struct) and isinstance(column, Mapping):
                column = part.rows_of(column)
            for row, value in zip(rows, column):
                row[key] = value
        return rows

    def mismatch(self, value: Any) -> str:
        """In words, how a value differs from a dict with the names of the parts."""
        names = ", ".join(map(repr, self.parts))
        expected = f"a dict with {names} expected"
        if not isinstance(value, Mapping):
            given = describe(value)
            return f"{expected}, not {given}"
        for key in self.parts:
            if key not in value:
                return f"{expected}, {key!r} is missing"
        unknown = next(key for key in value if key not in self.parts)
        return f"{expected}, not {unknown!r}"

    def load(self, data: memoryview, copy: bool) -> Values:
        return self._load(data, copy, self._loads, self._scalars)

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        return self._load(data, copy, self._loads_of_columns, self._scalars)

    def decoder(self, decoding: Any, field: Any) -> Load:
        if not isinstance(decoding, Mapping):
            return super().decoder(decoding, field)
        decoders = self._decoders(decoding, field)
        loads = []
        for key, nullable, load in self._loads:
            loads.append((key, nullable, decoders.get(key, load)))
        scalars = []
        for key, from_number, slot, presence in self._scalars:
            if key in decoders:
                from_number = _decoding_number(self.parts[key], decoders[key])
            scalars.append((key, from_number, slot, presence))

        def load_decoded(self: Struct, data: memoryview, copy: bool) -> Values:
            return self._load(data, copy, loads, scalars)

        # Readers know the library's own decoders by their `__self__`: it is this type.
        return types.MethodType(load_decoded, self)

    def _decoders(self, decoding: Mapping[Any, Any], field: Any) -> dict[str, Load]:
        """What reads the parts that `decode` names. Raises SchemaError."""
        decoders = {}
        for key, decoding_of_part in decoding.items():
            part = self.part(key, field)
            if decoding_of_part is None:
                continue
            try:
                decoders[key] = part.decoder(decoding_of_part, field)
            except SchemaError as error:
                error.message = f"{key!r}: {error.message}"
                raise
        return decoders

    def part(self, key: Any, field: Any = None) -> Type:
        """The type of a part. Raises SchemaError if there is none of this name."""
        if isinstance(key, str) and key in self.parts:
            return self.parts[key]
        names = ", ".join(map(repr, self.parts))
        raise SchemaError(f"no part {key!r}: there are {names}", field=field)

    def pick(
        self,
        data: memoryview,
        copy: bool,
        path: Path,
        decoding: Any,
    ) -> Any:
        if not path:
            return super().pick(data, copy, path, decoding)
        name, *inside = path
        part = self.part(name)
        decoding = decoding_of(name, decoding)

        def pick(data: memoryview, copy: bool) -> Any:
            return part.pick(data, copy, inside, decoding)

        loads: list[PayloadPart] = []
        for key, nullable, _ in self._loads:
            loads.append((key, nullable, pick if key == name else _pass_over))
        scalars = []
        for key, _, slot, presence in self._scalars:
            from_number = None  # of the others, not to decode them
            if key == name:
                from_number = _decoding_number(part, pick)
            scalars.append((key, from_number, slot, presence))
        value = self._load(data, copy, loads, scalars)[name]
        if value is None and part.nullable:
            return none_of(inside, repr(name))
        return value

    def _load(
        self,
        data: memoryview,
        copy: bool,
        loads: list[PayloadPart],
        scalars: list[ScalarPart],
    ) -> Values:
        data_size = len(data)
        head_size = self._head.size
        if data_size < head_size:
            message = f"a struct of {head_size} bytes and more does not fit into {data_size}"
            raise CorruptError(message)
        head = self._head.unpack_from(data)
        numbers = head[len(loads) :]
        values: Values = dict.fromkeys(self.parts)
        if scalars:
            self._load_scalars(numbers, scalars, values)
        offset = head_size
        for size, (key, nullable, load) in zip(head, loads):
            if size == NONE and nullable:
                continue
            end = offset + size
            if end > data_size:
                left = data_size - offset
                message = f"{key!r} of a struct claims {size} bytes, {left} are left"
                raise CorruptError(message)
            payload = data[offset:end]
            try:
                values[key] = load(payload, copy)
            except Exception as error:
                raise_in_reading(error, repr(key), self.parts[key])
                raise
            offset = padded_size(end)
        if offset != data_size:
            message = f"a struct ends at byte {offset}, its payload at byte {data_size}"
            raise CorruptError(message)
        return values

    def _load_scalars(
        self,
        numbers: Sequence[Any],
        scalars: list[ScalarPart],
        values: Values,
    ) -> None:
        """Put the scalars, whose numbers and presence the head has, among the values."""
        for key, from_number, slot, presence in scalars:
            if presence >= 0 and not numbers[presence]:
                continue
            number = numbers[slot]
            if from_number is not None:
                try:
                    number = from_number(number)
                except Exception as error:
                    raise_in_reading(error, repr(key), self.parts[key])
                    raise
            values[key] = number


def _weigher(part: Type) -> Load:
    """What weighs a part, where a value would be loaded."""

    def load(data: memoryview, copy: bool) -> int:
        return part.weight(data)

    return load


def decoding_of(key: str, decoding: Any) -> Any:
    """What the `decode` of a struct says of a part."""
    if isinstance(decoding, Mapping):
        return decoding.get(key)
    return decoding


def _decoding_number(part: Type, load: Load) -> Any:
    """What makes the value of a number that the struct of a head unpacked, by a decoder."""
    assert isinstance(part, Scalar)

    def from_number(number: Any) -> Any:
        payload = part.pack(number)
        return load(memoryview(payload), True)

    return from_number


def _pass_over(data: memoryview, copy: bool) -> None:
    """What reads a part that is not asked for."""


def _length_of_column(column: Any, part: Type) -> int:
    """The number of values in the column of a part. Raises SchemaError if it is no column."""
    if isinstance(part, Struct) and isinstance(column, Mapping) and not part.nullable:
        return part.count_rows(column)
    is_text = isinstance(column, (str, bytes, Mapping))
    if is_text or getattr(column, "ndim", 1) == 0 or not hasattr(column, "__len__"):
        raise unexpected("a column (an array or a list)", column)
    return len(column)


def plain_column(column: Any, part: Type) -> Any:
    """The column of a part as it can be written value by value.

    Numbers of categories become names, and a masked array (n,) a list that has None where it is
    masked. Raises SchemaError if a number has no name.
    """
    if isinstance(part, Category):
        given = part.given(column)
        column = part.named(given)
    if not isinstance(column, np.ma.MaskedArray) or column.ndim != 1:
        return column
    values: list[Any] = list(column.data)
    masks = np.ma.getmaskarray(column)
    for position in np.flatnonzero(masks).tolist():
        values[position] = None
    return values
