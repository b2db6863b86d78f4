"""`zstd(T)`: payloads of another type, compressed by zstd. Knows nothing of files or records.

Each payload is a frame of zstd (RFC 8878) by itself, and states its size. A field may have a
dictionary, which is kept in the header: `dictionaries` makes it.
"""

from __future__ import annotations

import threading
import types
from typing import Any

import numpy as np

from dsrecords._types import zstd_backends
from dsrecords._types.base import Load, Path, Type
from dsrecords._types.budget import OF_OBJECTS, claim
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError

DEFAULT_LEVEL = 3  # those of zstd itself
DEFAULT_DICTIONARY = 112_640
SMALLEST_DICTIONARY = 256  # bytes
_LARGEST_DICTIONARY = 2**20
_HIGHEST_LEVEL = 22

# How many bytes a payload may have when it is decompressed, so that a small file cannot fill the
# memory: so many whatever its own size, and so many times its own size.
_ALWAYS_ALLOWED = 64 * 2**20
_ALWAYS_ALLOWED_WITHIN = 2**16  # within another type: a list may have many
_LARGEST_RATIO = 1000
# What a record takes besides, at least, in both files. So little payloads need not be weighed.
_STORED_BESIDES = 96  # bytes
_SKIPPABLE = 0x184D2A50.to_bytes(4, "little")  # begins a frame that readers of zstd pass over


class _OfThread(threading.local):
    """What each thread has for itself: codecs cannot be shared."""

    codec: zstd_backends.Codec | None = None


class Zstd(Type):
    """Another type, whose payloads are compressed.

    Attributes:
        inner: that type.
        level: of compression, 1 to 22.
        size: bytes that a dictionary may have at most; 0: there is none.
        dictionary: the bytes of the dictionary in use, or None.
    """

    def __init__(
        self,
        inner: Type,
        level: int = DEFAULT_LEVEL,
        size: int = DEFAULT_DICTIONARY,
        nested: bool = False,
    ) -> None:
        _validate_inner(inner)
        _validate_options(level, size)
        self.inner = inner
        self.amplifies = True
        self.objects_in_byte = inner.objects_in_byte
        self.level = level
        self.unreadable = inner.unreadable
        self.undecodable = (*inner.undecodable, MemoryError)
        self.present = inner.present
        options = ""
        if level != DEFAULT_LEVEL:
            options += f",level={level}"
        if size != DEFAULT_DICTIONARY:
            options += f",dict={size}"
        self.name = f"zstd({inner.name}{options})"
        self.size = size
        self._always_allowed = _ALWAYS_ALLOWED
        self._stored_besides = _STORED_BESIDES
        if nested:
            self.size = 0  # a dictionary is of a whole field
            self._always_allowed = _ALWAYS_ALLOWED_WITHIN
            self._stored_besides = 0
        self.use(None)

    def use(self, dictionary: bytes | None) -> None:
        """Compress and decompress with this dictionary from now on."""
        self.dictionary = dictionary
        self._of_thread = _OfThread()

    def _codec(self) -> zstd_backends.Codec:
        codec = self._of_thread.codec
        if codec is None:
            make_codec = zstd_backends.choose_codec()
            codec = make_codec(self.level, self.dictionary)
            self._of_thread.codec = codec
        return codec

    def compress(self, data: bytes) -> bytes:
        """A frame of zstd; behind it a skippable one, if it would be too small to be believed."""
        codec = self._codec()
        frame: bytes = codec.compress(data)
        if len(data) <= self._always_allowed:
            return frame
        smallest_size = len(data) // _LARGEST_RATIO + 1
        missing = smallest_size - len(frame)
        if missing <= 0:
            return frame
        skippable = _SKIPPABLE + missing.to_bytes(4, "little")
        padding = bytes(missing)
        return frame + skippable + padding

    def plain_size(self, data: memoryview) -> int:
        """How many bytes the inner type's payload takes, as the frame of zstd claims.

        Raises CorruptError.
        """
        codec = self._codec()
        try:
            size: int = codec.content_size(data)
        except codec.error as error:
            raise CorruptError(f"not zstd: {error}") from None
        return size

    def plain(self, data: memoryview) -> memoryview:
        """The inner type's payload. Raises CorruptError."""
        codec = self._codec()
        try:
            size = codec.content_size(data)
            if not 0 <= size <= self._always_allowed:
                _validate_size(size, len(data))
            usual = _LARGEST_RATIO * len(data)
            if size > usual:
                claim(size, usual)
            payload = codec.decompress(data, size)
        except codec.error as error:
            message = f"not zstd, or of another dictionary: {error}"
            raise CorruptError(message) from None
        found = len(payload)
        if found != size:
            message = f"{size} bytes claimed by zstd, {found} found"
            raise CorruptError(message)
        return memoryview(payload)

    def _opened(self, data: memoryview) -> memoryview:
        """The same, if the objects that it becomes are not too many for the call."""
        payload = self.plain(data)
        stored = len(data) + self._stored_besides
        free = OF_OBJECTS * stored
        weight = int(self.inner.objects_in_byte * len(payload))
        if weight > free:
            weight = self.inner.weight(payload)
            claim(weight, free)
        return payload

    def dump(self, value: Any) -> bytes:
        payload = self.inner.dump(value)
        return self.compress(payload)

    def load(self, data: memoryview, copy: bool) -> Any:
        payload = self._opened(data)
        return self.inner.load(payload, copy)

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        payload = self._opened(data)
        return self.inner.load_columns(payload, copy)

    def decoder(self, decoding: Any, field: Any) -> Load:
        decode = self.inner.decoder(decoding, field)

        def load(self: Zstd, data: memoryview, copy: bool) -> Any:
            payload = self._opened(data)
            return decode(payload, copy)

        # Readers know the library's own decoders by their `__self__`: it is this type.
        return types.MethodType(load, self)

    def pick(
        self,
        data: memoryview,
        copy: bool,
        path: Path,
        decoding: Any,
    ) -> Any:
        payload = self._opened(data)
        return self.inner.pick(payload, copy, path, decoding)

    def row(self) -> np.ndarray | None:
        if self.nullable:
            return None
        return self.inner.row()

    def stored_row(self) -> np.ndarray | None:
        return None  # what is stored is compressed


def _validate_inner(inner: Type) -> None:
    if isinstance(inner, Scalar):
        message = f"{inner.name} is a number, which zstd does not make smaller"
        raise SchemaError(f"{message}: zstd is for payloads")
    if inner.nullable:
        name = inner.name.removesuffix("?")
        raise SchemaError(f"the ? goes behind the bracket: zstd({name})?")
    if "zstd(" in inner.name:
        message = f"zstd within zstd: {inner.name} is compressed already"
        raise SchemaError(message)


def _validate_options(level: int, size: int) -> None:
    if not 1 <= level <= _HIGHEST_LEVEL:
        message = f"zstd has the levels 1 to {_HIGHEST_LEVEL}, not {level}"
        raise SchemaError(message)
    if size == 0:
        return
    if not SMALLEST_DICTIONARY <= size <= _LARGEST_DICTIONARY:
        sizes = f"{SMALLEST_DICTIONARY} to {_LARGEST_DICTIONARY} bytes, or 0 for none"
        message = f"a dictionary of zstd has {sizes}, not {size}"
        raise SchemaError(message)


def _validate_size(size: int, compressed_size: int) -> None:
    """Raise CorruptError if the size of a payload is not stated, or too large to be believed."""
    payload = f"{compressed_size} bytes of zstd"
    if size == zstd_backends.UNKNOWN_SIZE:
        message = f"{payload} do not state their decompressed size"
        raise CorruptError(message)
    if size > _LARGEST_RATIO * compressed_size:
        message = f"{payload} claim to be {size}, more than {_LARGEST_RATIO} times as many"
        raise CorruptError(message)
