"""`{name: T, other: T}`: values with named parts. Knows nothing of files or records.

A struct is stored as a head, and the payloads of those parts that are not scalars. The head has the
sizes of the payloads, the numbers, and for each number that may be None a byte, its presence: 0 if
it is None.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from dsrecords._format.layout import NONE, lay_out_numbers, padded_size
from dsrecords._types.base import Load, Type, describe
from dsrecords._types.names import quote
from dsrecords._types.nested import Dumped, Nested, pad_payloads, within
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

Values = dict[str, Any]  # of the parts, by name
ScalarPart = tuple[
    str,  # name
    Any,  # `to_number` of its type
    Any,  # `from_number` of its type
    int,  # the position of its number among the numbers of the head
    int,  # the position of its presence there; -1: it is never None
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
        unreadable: set[type[Exception]] = set()
        for key, part in self.parts.items():
            quoted = quote(key)
            names.append(f"{quoted}:{part.name}")
            unreadable.update(part.unreadable)
        joined = ",".join(names)
        self.name = "{" + joined + "}"
        self.unreadable = tuple(unreadable)
        self._lay_out()

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
        for key, scalar, slot in zip(names, scalars, layout.slots):
            presence = -1
            if scalar.nullable:
                presence = next_presence
                next_presence += 1
            scalar_part = (
                key,
                scalar.to_number,
                scalar.from_number,
                slot,
                presence,
            )
            self._scalars.append(scalar_part)

    def dump(self, value: Any) -> bytes:
        if not self.has_parts(value):
            message = self.mismatch(value)
            raise SchemaError(message)
        numbers = self._zeros.copy()
        dumped: Dumped = []
        try:
            for key, check, _, slot, presence in self._scalars:
                part_value = value[key]
                if part_value is None and presence >= 0:
                    continue
                numbers[slot] = check(part_value)
                if presence >= 0:
                    numbers[presence] = 1
            for key, part in self._payloads:
                part_value = value[key]
                payload = None
                if part_value is not None or not part.nullable:
                    payload = part.dump(part_value)
                dumped.append(payload)
        except SchemaError as error:
            raise within(repr(key), error) from error.__cause__
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
        return self._load(data, copy, self._loads)

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        return self._load(data, copy, self._loads_of_columns)

    def _load(
        self,
        data: memoryview,
        copy: bool,
        loads: list[PayloadPart],
    ) -> Values:
        data_size = len(data)
        head_size = self._head.size
        if data_size < head_size:
            message = f"a struct of {head_size} bytes and more does not fit into {data_size}"
            raise CorruptError(message)
        head = self._head.unpack_from(data)
        numbers = head[len(loads) :]
        values: Values = dict.fromkeys(self.parts)
        for key, _, from_number, slot, presence in self._scalars:
            if presence < 0 or numbers[presence]:
                number = numbers[slot]
                if from_number is not None:
                    number = from_number(number)
                values[key] = number
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
            values[key] = load(payload, copy)
            offset = padded_size(end)
        if offset != data_size:
            message = f"a struct ends at byte {offset}, its payload at byte {data_size}"
            raise CorruptError(message)
        return values
