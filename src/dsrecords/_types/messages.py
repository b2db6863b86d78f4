"""Serialized messages: MessagePack and protobuf. Knows nothing of files or records.

The packages that understand the bytes are imported only where a value is written or read.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.base import Load, Type, describe
from dsrecords._types.binary import Bytes
from dsrecords._types.survival import FAILURES, is_same, python_number, refusal
from dsrecords.errors import CorruptError, SchemaError

# The first bytes of dicts and lists in MessagePack: short ones, then those that state a length.
_SHORT_CONTAINERS = slice(0x80, 0xA0)
_LONG_CONTAINERS = slice(0xDC, 0xE0)
# Bytes of memory, with a pointer to it: an empty dict; what else a byte becomes, at most.
_CONTAINER_SIZE = 72
_OTHER_SIZE = 21
_FULL_NAME = re.compile(r"\w+(\.\w+)*")


class MsgPack(Type):
    """What MessagePack holds, and gives back; tuples come back as lists.

    Scalars of NumPy are taken as Python's numbers.
    """

    present = Type.present | {float}

    name = "msgpack"
    objects_in_byte = float(_CONTAINER_SIZE)
    undecodable = (*Type.undecodable, MemoryError)  # a few bytes may claim to be a long list

    def dump(self, value: Any) -> bytes:
        # To read what was written is faster than to look at each value in Python.
        try:
            data = _pack(value)
            read = _unpack(data)
            comes_back = read == value or is_same(value, read)
        except FAILURES as error:
            raise _refusal(value) from error
        if not comes_back:
            raise _refusal(value)
        return data

    def weight(self, data: memoryview) -> int:
        # What begins a list or a dict: other bytes of these values only make it seem more.
        values = np.frombuffer(data, np.uint8)
        counts = np.bincount(values, minlength=256)
        containers = int(counts[_SHORT_CONTAINERS].sum())
        containers += int(counts[_LONG_CONTAINERS].sum())
        others = len(data) - containers
        return _CONTAINER_SIZE * containers + _OTHER_SIZE * others

    def load(self, data: memoryview, copy: bool) -> Any:
        return _unpack(data)


def _pack(value: Any) -> bytes:
    msgpack = import_optional("msgpack", "msgpack")
    return bytes(msgpack.packb(value, default=python_number))


def _unpack(data: bytes | memoryview) -> Any:
    msgpack = import_optional("msgpack", "msgpack")
    return msgpack.unpackb(data, strict_map_key=False)


def _refusal(value: Any) -> SchemaError:
    def round_trip(part: Any) -> Any:
        return _unpack(_pack(part))

    keys = "strings, bytes, numbers, bools and None, but not NaN"
    return refusal("msgpack", value, round_trip, keys)


class Protobuf(Type):
    """A protobuf message: read as its bytes, or by the class that a reader passes as `decode`.

    Attributes:
        message: its full name, such as `package.Message`, all that a file says of the class.
    """

    def __init__(self, message: str) -> None:
        if not _FULL_NAME.fullmatch(message):
            expected = "protobuf[package.Message] takes the full name of a message"
            raise SchemaError(f"{expected}, not {message!r}")
        self.message = message
        self.name = f"protobuf[{message}]"

    def dump(self, value: Any) -> bytes:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Bytes().dump(value)
        if not self._is_message(value):
            given = describe(value)
            expected = f"a message {self.message}, or its bytes, expected"
            message = f"{expected}, not {given}"
            raise SchemaError(message)
        protobuf = import_optional("google.protobuf.message", "protobuf")
        try:
            data = value.SerializeToString(deterministic=True)
        except protobuf.EncodeError as error:
            message = f"{self.message}: {error}"
            raise SchemaError(message) from None
        return bytes(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        if copy:
            return bytes(data)
        return data

    def decoder(self, decoding: Any, field: Any) -> Load:
        if not self._is_message(decoding):
            expected = f"decode of {self.name} is the class of that message"
            message = f"{expected}, not {decoding!r}"
            raise SchemaError(message, field=field)
        protobuf = import_optional("google.protobuf.message", "protobuf")
        decode_error = protobuf.DecodeError

        def load(data: memoryview, copy: bool) -> Any:
            owned = bytes(data)
            try:
                return decoding.FromString(owned)
            except decode_error as error:
                message = f"not {self.name}: {error}"
                raise CorruptError(message) from None

        return load

    def _is_message(self, candidate: Any) -> bool:
        """Whether this is an instance of the message, or its class."""
        descriptor = getattr(candidate, "DESCRIPTOR", None)
        full_name: object = getattr(descriptor, "full_name", None)
        return full_name == self.message
