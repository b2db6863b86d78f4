"""Payloads in the formats of others: MessagePack, protobuf, audio, and types that a program registers.

What understands the bytes is imported where they are written or read. Knows nothing of files of ours or samples.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._types.base import Load, Type, describe, wrong
from dsrecords._types.binary import Bytes
from dsrecords._types.sniff import is_sound, kind_of
from dsrecords.errors import CorruptError, SchemaError, optional

_MOST_SOUND = 2**31  # bytes of samples as float32: three quarters of an hour of 96 kHz stereo
_SUBTYPES = {"int16": "PCM_16", "int32": "PCM_32", "float32": "FLOAT", "float64": "DOUBLE"}


class File(Type):
    """A file of another format, stored as it is: given by its path or its bytes, or encoded from a value."""

    expected = ""  # what such a file is, in words

    def is_one(self, data: bytes | memoryview) -> bool:
        """Whether these bytes begin as such a file does."""
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        """The file that is made of a value."""
        raise NotImplementedError

    def dump(self, value: Any) -> bytes:
        if isinstance(value, (str, os.PathLike)):
            with open(value, "rb") as file:
                return self.accept(file.read(), f"the file {os.fspath(value)}")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.accept(bytes(value))
        return self.encode(value)

    def accept(self, data: bytes, what: str = "what is given") -> bytes:
        if self.is_one(data):
            return data
        kind = kind_of(data)
        raise SchemaError(f"{what} is not {self.expected}" + (f": it seems to be {kind}" if kind else ""))

    def check(self, data: memoryview) -> None:
        """Raises CorruptError."""
        if not self.is_one(data):
            raise CorruptError(f"{kind_of(data) or 'the bytes of no known format'}, not {self.expected}")

    def decode_bytes(self, data: memoryview, copy: bool) -> Any:
        """The file as it is."""
        return bytes(data) if copy else data


class MsgPack(Type):
    """Whatever MessagePack holds; tuples come back as lists."""

    name = "msgpack"
    unreadable = (*Type.unreadable, MemoryError)  # a list of a few bytes may claim to be long

    def dump(self, value: Any) -> bytes:
        return bytes(optional("msgpack", "msgpack").packb(value))

    def load(self, data: memoryview, copy: bool) -> Any:
        return optional("msgpack", "msgpack").unpackb(data, strict_map_key=False)


class Protobuf(Type):
    """A message of protobuf. The file has its full name; the class is the reader's to give, and its bytes are read without."""

    def __init__(self, message: str) -> None:
        if not re.fullmatch(r"\w+(\.\w+)*", message):
            raise SchemaError(f"protobuf[package.Message] takes the full name of a message, not {message!r}")
        self.message, self.name = message, f"protobuf[{message}]"

    def dump(self, value: Any) -> bytes:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Bytes().dump(value)
        self._check(value, SchemaError(f"a message {self.message}, or its bytes, expected, not {describe(value)}"))
        try:
            return bytes(value.SerializeToString(deterministic=True))
        except optional("google.protobuf.message", "protobuf").EncodeError as error:
            raise SchemaError(f"{self.message}: {error}") from None

    def _check(self, value: Any, error: SchemaError) -> None:
        if getattr(getattr(value, "DESCRIPTOR", None), "full_name", None) != self.message:
            raise error

    def load(self, data: memoryview, copy: bool) -> Any:
        return bytes(data) if copy else data

    def decoder(self, decoding: Any, field: Any) -> Load:
        self._check(decoding, SchemaError(f"decode of {self.name} is the class of that message, not {decoding!r}", field=field))
        broken = optional("google.protobuf.message", "protobuf").DecodeError

        def load(data: memoryview, copy: bool) -> Any:
            try:
                return decoding.FromString(bytes(data))
            except broken as error:
                raise CorruptError(f"not {self.name}: {error}") from None

        return load


class Audio(File):
    """An audio file; read as its samples, float32 (frames,) or (frames, channels), and their rate in Hz."""

    name = "audio"
    expected = "WAV, FLAC, Ogg, AU, AIFF or MP3"
    unreadable = (*Type.unreadable, RuntimeError)  # as soundfile's errors are

    def encode(self, value: Any) -> bytes:
        if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], np.ndarray)):
            raise SchemaError(f"audio takes a path, bytes, or (array, rate in Hz), not {describe(value)}")
        samples, rate = value
        if samples.ndim not in (1, 2) or samples.dtype.name not in _SUBTYPES:
            raise SchemaError(f"audio takes (frames,) or (frames, channels) of {', '.join(_SUBTYPES)}, not {describe(samples)}")
        buffer = io.BytesIO()
        kind = _SUBTYPES[samples.dtype.name]
        # Both keep each bit. A WAV of floats would have the time of day in it, so that no two files were the same.
        container = "WAV" if kind.startswith("PCM") else "AU"
        optional("soundfile", "soundfile").write(buffer, samples, int(rate), format=container, subtype=kind)
        return buffer.getvalue()

    def is_one(self, data: bytes | memoryview) -> bool:
        return is_sound(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        self.check(data)
        with optional("soundfile", "soundfile").SoundFile(io.BytesIO(data)) as file:
            if not 0 <= file.frames * file.channels * 4 <= _MOST_SOUND:
                raise CorruptError(
                    f"{file.frames} frames of {file.channels} channels are too many; decode as bytes to look at it"
                )
            return file.read(dtype="float32"), file.samplerate

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding not in ("array", "bytes"):
            raise SchemaError(f"decode of audio can be 'array' or 'bytes', not {decoding!r}", field=field)
        return self.load if decoding == "array" else self.decode_bytes


class Registered(Type):
    """A type that a program has given a name and functions by `register_type`. Without them it is bytes."""

    def __init__(self, title: str) -> None:
        if not _TITLE.fullmatch(title):
            raise SchemaError(f"{title!r} cannot be the name of a type: letters, digits, _ and dots")
        self.title, self.name, self._warned = title, f"ext({title})", False

    def _missing(self) -> str:
        return f"the type {self.title} is not known here: call dsrecords.register_type({self.title!r}, dump, load) first"

    def dump(self, value: Any) -> bytes:
        if self.title not in registry:
            raise SchemaError(self._missing())
        data = registry[self.title][0](value)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise wrong(Bytes(), data)
        return bytes(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        if self.title in registry:
            return registry[self.title][1](bytes(data))
        if not self._warned:
            self._warned = True
            warnings.warn(f"{self._missing()}; until then its values are bytes", stacklevel=6)
        return bytes(data) if copy else data


_TITLE = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
registry: dict[str, tuple[Callable[[Any], Any], Callable[[bytes], Any]]] = {}
