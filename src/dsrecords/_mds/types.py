"""What the columns of MDS hold: a type for each of its encodings. Nothing is ever unpickled."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.base import Load, Type
from dsrecords._types.binary import Bytes
from dsrecords._types.budget import claim
from dsrecords._types.images import Image
from dsrecords._types.parse import parse
from dsrecords._types.strings import Json, Str
from dsrecords.errors import CorruptError, SchemaError

_NUMBERS = {"int": "int64"}
for _kind in ("int", "uint"):
    for _bits in (8, 16, 32, 64):
        _NUMBERS[f"{_kind}{_bits}"] = f"{_kind}{_bits}"
for _bits in (16, 32, 64):
    _NUMBERS[f"float{_bits}"] = f"float{_bits}"

# Numbers that stand for dtypes, in arrays that say theirs.
_DTYPES = {
    8: "uint8",
    9: "int8",
    16: "uint16",
    17: "int16",
    18: "float16",
    32: "uint32",
    33: "int32",
    34: "float32",
    64: "uint64",
    65: "int64",
    66: "float64",
}
_PIXELS = {
    "L": 1,
    "P": 1,
    "RGB": 3,
    "RGBA": 4,
    "CMYK": 4,
    "YCbCr": 3,
    "I": 4,
    "F": 4,
    "1": 0.125,
}
"""Bytes of a pixel in the modes of Pillow."""
_U32 = struct.Struct("<I")


def type_of(encoding: str) -> Type:
    """Return the type of the values of an encoding. Raises ValueError if there is none."""
    if encoding in _NUMBERS:
        return Number(_NUMBERS[encoding])
    if encoding == "ndarray" or encoding.startswith("ndarray:"):
        return Array(*_stated(encoding))
    if encoding in ("jpeg", "png"):
        return Image(encoding)
    if encoding in ("jpeg_array", "jpegarray"):
        return Images("jpeg", 0)
    if encoding in ("list[jpeg]", "list[png]"):
        return Images(encoding[5:-1], 4)
    plain: dict[str, Any] = {
        "bytes": Bytes,
        "pkl": Bytes,
        "str": Str,
        "str_decimal": Str,
        "str_int": WrittenInteger,
        "str_float": WrittenFloat,
        "json": Json,
        "pil": Pixels,
    }
    if encoding in plain:
        found: Type = plain[encoding]()
        return found
    raise ValueError(f"it has a column of the encoding {encoding!r}, which is not known")


def _stated(encoding: str) -> tuple[str, tuple[int, ...]]:
    """Return the dtype and the shape that an encoding of arrays states, as far as it does."""
    _, _, rest = encoding.partition(":")
    dtype, _, sizes = rest.partition(":")
    if dtype and dtype not in _DTYPES.values():
        raise ValueError(f"it has an array of {dtype!r}")
    shape = tuple(int(size) for size in sizes.split(",") if size)
    if any(size < 1 for size in shape):
        raise ValueError(f"it has an array of the shape {shape}")
    return dtype, shape


class Number(Type):
    """A number, in its bytes.

    Args:
        name: of its type.

    Attributes:
        dtype: of NumPy.
        scalar: the type of ours that has the same values.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dtype = np.dtype(name)
        self.scalar = parse(name)

    def load(
        self,
        data: memoryview,
        copy: bool,
    ) -> Any:
        if len(data) != self.dtype.itemsize:
            raise CorruptError(f"{len(data)} bytes, not {self.dtype.itemsize}")
        return np.frombuffer(data, self.dtype)[0].item()

    def row(self) -> np.ndarray | None:
        return np.zeros(0, self.dtype)


class WrittenInteger(Type):
    """An integer in decimal digits."""

    name = "int64"

    def load(
        self,
        data: memoryview,
        copy: bool,
    ) -> int:
        if len(data) > 40:
            raise CorruptError("a number of more than 40 digits")
        return int(bytes(data))


class WrittenFloat(Type):
    """A float in decimal digits."""

    name = "float64"

    def load(
        self,
        data: memoryview,
        copy: bool,
    ) -> float:
        return float(bytes(data))


class Array(Type):
    """An array, of which the encoding or the value itself says dtype and shape.

    Args:
        dtype: that all have; empty: each says its own.
        shape: that all have; empty: each says its own.
    """

    def __init__(
        self,
        dtype: str,
        shape: tuple[int, ...],
    ) -> None:
        self.name = "array"
        self.dtype = dtype
        self.shape = shape
        if dtype and shape:
            sizes = ",".join(map(str, shape))
            self.name = f"{dtype}[{sizes}]"

    def load(
        self,
        data: memoryview,
        copy: bool,
    ) -> np.ndarray:
        dtype = self.dtype
        shape: tuple[int, ...] = self.shape
        if not dtype:
            dtype = _DTYPES[data[0]]
            data = data[1:]
        if not shape:
            dimensions = data[0] >> 2
            width = 2 ** (data[0] & 3)
            end = 1 + dimensions * width
            sizes = np.frombuffer(data[1:end], f"<u{width}")
            shape = tuple(sizes.tolist())
            if len(shape) != dimensions:
                raise CorruptError("the shape of an array is cut short")
            data = data[end:]
        array = np.frombuffer(data, dtype).reshape(shape)
        if copy:
            return array.copy()
        return array


class Images(Type):
    """A list of image files.

    Args:
        kind: "jpeg" or "png".
        skipped: bytes before the count that say nothing.
    """

    def __init__(
        self,
        kind: str,
        skipped: int,
    ) -> None:
        self.name = f"list[{kind}]"
        self._item = Image(kind)
        self._skipped = skipped
        self.undecodable = self._item.undecodable

    def _files(self, data: memoryview) -> list[memoryview]:
        data = data[self._skipped :]
        (count,) = _U32.unpack(data[:4])
        start = 4 + 4 * count
        if start > len(data):
            raise CorruptError(f"a list of {count} images in {len(data)} bytes")
        found = []
        for size in np.frombuffer(data[4:start], "<u4").tolist():
            if start + size > len(data):
                raise CorruptError("a list of images is cut short")
            found.append(data[start : start + size])
            start += size
        return found

    def load(
        self,
        data: memoryview,
        copy: bool,
    ) -> list[Any]:
        return [self._item.load(file, copy) for file in self._files(data)]

    def decoder(
        self,
        decoding: Any,
        field: Any,
    ) -> Load:
        load = self._item.decoder(decoding, field)

        def load_all(data: memoryview, copy: bool) -> list[Any]:
            return [load(file, copy) for file in self._files(data)]

        return load_all


class Pixels(Type):
    """An image of Pillow as its pixels: width, height, mode, and the bytes of all rows."""

    name = "image"

    def load(
        self,
        data: memoryview,
        copy: bool,
    ) -> Any:
        width, height, length = struct.unpack("<III", data[:12])
        mode = str(data[12 : 12 + length], "ascii")
        pixels = data[12 + length :]
        if mode not in _PIXELS or width * height * _PIXELS[mode] > len(pixels):
            raise CorruptError(f"an image of {width} × {height} pixels in {len(pixels)} bytes")
        claim(len(pixels), len(data))
        pillow = import_optional(
            "PIL.Image",
            "pillow",
            extra="image",
        )
        return pillow.frombytes(
            mode,
            (width, height),
            bytes(pixels),
        )

    def decoder(
        self,
        decoding: Any,
        field: Any,
    ) -> Load:
        if decoding == "pil":
            return self.load
        if decoding != "array":
            text = f"images that MDS has as pixels are read as 'pil' or 'array', not {decoding!r}"
            raise SchemaError(text, field=field)

        def load(data: memoryview, copy: bool) -> np.ndarray:
            return np.array(self.load(data, copy))

        return load
