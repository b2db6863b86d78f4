"""`zstd(T)`: payloads compressed one by one, with a dictionary that the header keeps. Knows nothing of files or samples.

Short texts have little in them to refer back to. A dictionary is what they have in common, so that each can refer to that and
still be read alone.
"""

from __future__ import annotations

import importlib
import threading
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._types.base import Load, Type
from dsrecords._types.scalars import Scalar
from dsrecords.errors import CorruptError, SchemaError, optional

LEVEL, DICT = 3, 112_640  # what zstd itself uses where nothing is said
_HIGHEST_LEVEL, _LARGEST_DICT, _SMALLEST_DICT = 22, 2**20, 256
_FREE = 64 * 2**20  # what a payload may always become, however few bytes it has
_FREE_WITHIN = 2**16  # the same within another type: a list may have many
_RATIO = 1000  # beyond that: times its own size
_SKIPPED = 0x184D2A50.to_bytes(4, "little")  # begins a frame that readers of zstd pass over
_JUDGED = 4096  # samples by which a dictionary is judged
_SHARE = 16  # a dictionary takes at most this part of the sample that it is made of


class Zstd(Type):
    """Another type's payload, compressed.

    Attributes:
        inner: that type.
        size: how large a dictionary may be; 0: there is none.
        dictionary: bytes, or None.
    """

    def __init__(self, inner: Type, level: int = LEVEL, size: int = DICT, nested: bool = False) -> None:
        if isinstance(inner, Scalar):
            raise SchemaError(f"{inner.name} is a number, which zstd does not make smaller: zstd is for payloads")
        if inner.nullable:
            raise SchemaError(f"the ? goes behind the bracket: zstd({inner.name[:-1]})?")
        if not 1 <= level <= _HIGHEST_LEVEL or not (size == 0 or _SMALLEST_DICT <= size <= _LARGEST_DICT):
            sizes = f"{_SMALLEST_DICT} to {_LARGEST_DICT} bytes, or 0"
            raise SchemaError(f"zstd has the levels 1 to {_HIGHEST_LEVEL}, and dictionaries of {sizes}")
        options = (f",level={level}" if level != LEVEL else "") + (f",dict={size}" if size != DICT else "")
        self.name = f"zstd({inner.name}{options})"
        self.inner, self.level, self.unreadable = inner, level, inner.unreadable
        if "zstd(" in inner.name:
            raise SchemaError(f"zstd within zstd: {inner.name} is compressed already")
        self._free = _FREE_WITHIN if nested else _FREE
        self.size = 0 if nested else size  # there is one for each field, which what lies deeper cannot have
        self.use(None)

    def use(self, dictionary: bytes | None) -> None:
        """Compress and read with this dictionary from now on."""
        self.dictionary = dictionary
        self._local = threading.local()  # zstd's contexts are not to be shared by threads

    def _codec(self) -> Any:
        codec = getattr(self._local, "codec", None)
        if codec is None:
            codec = self._local.codec = _backend()(self.level, self.dictionary)
        return codec

    def compress(self, data: bytes) -> bytes:
        """One frame of zstd, which says its size, without the dictionary's id."""
        packed: bytes = self._codec().compress(data)
        lacking = len(data) // _RATIO + 1 - len(packed)
        if len(data) <= self._free or lacking <= 0:
            return packed
        return packed + _SKIPPED + lacking.to_bytes(4, "little") + bytes(lacking)  # so that no reader takes it for a bomb

    def plain(self, data: memoryview) -> memoryview:
        codec = self._codec()
        try:
            size: int = codec.size(data)
            if size < 0 or (size > self._free and size > _RATIO * len(data)):
                claimed = "of unknown size" if size < 0 else size
                raise CorruptError(f"{len(data)} bytes of zstd claim to be {claimed}: more than is believed")
            found: bytes = codec.decompress(data, size)
        except codec.error as error:
            raise CorruptError(f"not zstd, or of another dictionary: {error}") from None
        if len(found) != size:
            raise CorruptError(f"{size} bytes claimed by zstd, {len(found)} found")
        return memoryview(found)

    def dump(self, value: Any) -> bytes:
        return self.compress(self.inner.dump(value))

    def load(self, data: memoryview, copy: bool) -> Any:
        return self.inner.load(self.plain(data), copy)

    def load_columns(self, data: memoryview, copy: bool) -> Any:
        return self.inner.load_columns(self.plain(data), copy)

    def decoder(self, decoding: Any, field: Any) -> Load:
        decode = self.inner.decoder(decoding, field)
        return types.MethodType(lambda self, data, copy: decode(self.plain(data), copy), self)

    def row(self) -> np.ndarray | None:
        return None if self.nullable else self.inner.row()

    def stored_row(self) -> np.ndarray | None:
        return None

    def train(self, samples: Sequence[bytes]) -> None:
        """Use a dictionary made of samples of what is to be compressed, if that saves more than it takes."""
        self.use(None)
        size = min(self.size, sum(map(len, samples)) // _SHARE)
        if size < _SMALLEST_DICT:
            return
        part = samples[:: len(samples) // _JUDGED + 1]
        alone = sum(len(self.compress(sample)) for sample in part)
        try:
            dictionary = _backend().train(samples, size)
            self.use(dictionary)
            together = sum(len(self.compress(sample)) for sample in part)
        except _backend().error:  # too few samples, or nothing that they have in common
            self.use(None)
            return
        if (alone - together) * len(samples) < 3 * len(dictionary) * len(part):  # base64 in two headers
            self.use(None)


class _Package:
    """The package zstandard, for one thread."""

    error: Any = None

    def __init__(self, level: int, dictionary: bytes | None) -> None:
        zstd = importlib.import_module("zstandard")
        options: dict[str, Any] = {}
        try:
            if dictionary is not None:
                options["dict_data"] = zstd.ZstdCompressionDict(dictionary, dict_type=zstd.DICT_TYPE_FULLDICT)
            self.compress = zstd.ZstdCompressor(level=level, write_dict_id=False, **options).compress
            self.decompress = zstd.ZstdDecompressor(**options).decompress
        except zstd.ZstdError as error:
            raise CorruptError(f"the dictionary of zstd: {error}") from None
        self.size = zstd.frame_content_size  # -1 if it is not said

    @staticmethod
    def train(samples: Sequence[bytes], size: int) -> bytes:
        return bytes(importlib.import_module("zstandard").train_dictionary(size, samples).as_bytes())


class _Standard:
    """The standard library's module, from Python 3.14 on."""

    error: Any = None
    module = "compression.zstd"

    def __init__(self, level: int, dictionary: bytes | None) -> None:
        self._zstd = zstd = importlib.import_module(self.module)
        try:
            self._dictionary = None if dictionary is None else zstd.ZstdDict(dictionary)
        except (zstd.ZstdError, ValueError) as error:
            raise CorruptError(f"the dictionary of zstd: {error}") from None
        names = zstd.CompressionParameter
        self._options = {names.compression_level: level, names.dict_id_flag: 0}
        self._digested = None if self._dictionary is None else self._dictionary.as_digested_dict

    def compress(self, data: bytes) -> bytes:
        return bytes(self._zstd.compress(data, options=self._options, zstd_dict=self._digested))

    def size(self, data: memoryview) -> int:
        size = self._zstd.get_frame_info(data).decompressed_size
        return -1 if size is None else int(size)

    def decompress(self, data: memoryview, size: int) -> bytes:
        decompressor = self._zstd.ZstdDecompressor(zstd_dict=self._dictionary)
        return bytes(decompressor.decompress(data, max_length=size + 1))

    @staticmethod
    def train(samples: Sequence[bytes], size: int) -> bytes:
        return bytes(importlib.import_module(_Standard.module).train_dict(samples, size).dict_content)


def _backend() -> Any:
    """What there is: the package, else the standard library's. Raises ImportError that says how to get one."""
    for backend, module in ((_Package, "zstandard"), (_Standard, _Standard.module)):
        if backend.error is not None:
            return backend
        try:
            backend.error = importlib.import_module(module).ZstdError
        except ImportError:
            continue
        return backend
    return optional("zstandard", "zstandard")
