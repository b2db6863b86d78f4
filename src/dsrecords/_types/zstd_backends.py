"""The two modules that zstd comes from: the package zstandard, and Python's own from 3.14 on.

Each has a codec here, both with the same methods; `choose_codec` returns the one that is installed.
Knows nothing of types.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Any

from dsrecords._optional import import_optional
from dsrecords.errors import CorruptError

UNKNOWN_SIZE = -1

Samples = Sequence[bytes]


class PackageCodec:
    """The package zstandard. A codec must not be shared by threads.

    Attributes:
        error: what is raised for data that cannot be decompressed.
        compress: from bytes to one frame, which states the size of the data.
        content_size: the size of the data, as a frame states it; UNKNOWN_SIZE if it does not.
        decompress: from a frame and that size to bytes.
    """

    module = "zstandard"

    def __init__(self, level: int, dictionary: bytes | None) -> None:
        zstd = importlib.import_module(self.module)
        options = {}
        try:
            if dictionary is not None:
                kind = zstd.DICT_TYPE_FULLDICT
                options["dict_data"] = zstd.ZstdCompressionDict(dictionary, dict_type=kind)
            compressor = zstd.ZstdCompressor(
                level=level,
                write_dict_id=False,
                **options,
            )
            decompressor = zstd.ZstdDecompressor(**options)
        except zstd.ZstdError as error:
            raise CorruptError(f"the dictionary of zstd: {error}") from None
        self.error: type[Exception] = zstd.ZstdError
        # The package's own functions, since a call more for each value would be slower.
        self.compress: Any = compressor.compress
        self.content_size: Any = zstd.frame_content_size
        self.decompress: Any = decompressor.decompress

    @classmethod
    def train(cls, samples: Samples, size: int) -> bytes | None:
        """A dictionary of at most `size` bytes.

        None if there are too few samples, or they have nothing in common.
        """
        zstd = importlib.import_module(cls.module)
        try:
            dictionary = zstd.train_dictionary(size, samples)
        except zstd.ZstdError:
            return None
        return bytes(dictionary.as_bytes())


class StandardLibraryCodec:
    """The same by Python's own module."""

    module = "compression.zstd"

    def __init__(self, level: int, dictionary: bytes | None) -> None:
        zstd = importlib.import_module(self.module)
        self._zstd = zstd
        self._dictionary = None
        self._digested_dictionary = None
        if dictionary is not None:
            try:
                self._dictionary = zstd.ZstdDict(dictionary)
            except (zstd.ZstdError, ValueError) as error:
                raise CorruptError(f"the dictionary of zstd: {error}") from None
            self._digested_dictionary = self._dictionary.as_digested_dict
        parameters = zstd.CompressionParameter
        self._options = {
            parameters.compression_level: level,
            parameters.dict_id_flag: 0,
        }
        self.error: type[Exception] = zstd.ZstdError

    def compress(self, data: bytes) -> bytes:
        frame = self._zstd.compress(
            data,
            options=self._options,
            zstd_dict=self._digested_dictionary,
        )
        return bytes(frame)

    def content_size(self, data: memoryview) -> int:
        frame = self._zstd.get_frame_info(data)
        size = frame.decompressed_size
        if size is None:
            return UNKNOWN_SIZE
        return int(size)

    def decompress(self, data: memoryview, size: int) -> bytes:
        decompressor = self._zstd.ZstdDecompressor(zstd_dict=self._dictionary)
        # One byte more than the frame states, so that a frame which holds more is noticed.
        found = decompressor.decompress(data, max_length=size + 1)
        return bytes(found)

    @classmethod
    def train(cls, samples: Samples, size: int) -> bytes | None:
        zstd = importlib.import_module(cls.module)
        try:
            dictionary = zstd.train_dict(samples, size)
        except zstd.ZstdError:
            return None
        return bytes(dictionary.dict_content)


Codec = PackageCodec | StandardLibraryCodec


@functools.cache
def choose_codec() -> type[Codec]:
    """The codec of the package if that is installed, else Python's.

    Raises ImportError, which says what to install, if there is neither.
    """
    try:
        import_optional(PackageCodec.module, "zstandard")
    except ImportError:
        if not _is_installed(StandardLibraryCodec.module):
            raise
        return StandardLibraryCodec
    return PackageCodec


def _is_installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
