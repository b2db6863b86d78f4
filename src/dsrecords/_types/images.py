"""Images: stored as encoded files, decoded when they are read. Knows nothing of our own files.

Pillow and simplejpeg are imported only where an image is encoded or decoded: bytes go in and out
without them.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from dsrecords._format.signatures import image_format
from dsrecords._optional import import_optional
from dsrecords._types.base import Load, describe
from dsrecords._types.external_file import File
from dsrecords.errors import CorruptError, SchemaError

# Of JPEG and WebP made from pixels: the usual choice where compression should not show.
_QUALITY = 95
_MOST_PIXELS = 178_956_970  # the limit of Pillow
# Pillow's modes that arrays are made of; images of other modes are converted.
_ARRAY_MODES = (
    "L",  # grey
    "RGB",
    "RGBA",
    "I",  # int32
    "I;16",  # uint16
    "F",  # float32
)


class Image(File):
    """An encoded image.

    Attributes:
        format: Pillow's name of the format; None for the type `image`, which takes all known ones.
    """

    # What Pillow's decoders raise for broken files.
    unreadable = (
        *File.unreadable,
        OSError,
        SyntaxError,
        EOFError,
        IndexError,
        AttributeError,
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.format: str | None = None
        self.expected = "an image of a known format"
        if name != "image":
            self.format = name.upper()
            self.expected = self.format

    def encode(self, value: Any) -> bytes:
        pillow = import_optional("PIL.Image", "pillow")
        if isinstance(value, np.ndarray):
            pixels = self._pixels(value)
            value = pillow.fromarray(pixels)
        if not isinstance(value, pillow.Image):
            given = describe(value)
            expected = f"{self.name} takes a path, bytes, a Pillow image or an array"
            raise SchemaError(f"{expected}, not {given}")
        format = self.format or "PNG"
        options = {}
        if format != "PNG":
            options["quality"] = _QUALITY
        buffer = io.BytesIO()
        try:
            value.save(buffer, format, **options)
        except (OSError, KeyError) as error:
            failure = f"Pillow cannot write this image (mode {value.mode}) as {self.name}"
            message = f"{failure}: {error}"
            raise SchemaError(message) from None
        return buffer.getvalue()

    def _pixels(self, array: np.ndarray) -> np.ndarray:
        """The array as Pillow takes it: a grey image has no third dimension. Raises SchemaError."""
        shape = array.shape
        is_image = len(shape) in (2, 3) and 0 not in shape
        if array.dtype != np.uint8 or not is_image:
            given = describe(array)
            shapes = "height × width or height × width × channel"
            expected = f"{self.name} takes an array of uint8, {shapes}"
            message = f"{expected}, not {given}"
            raise SchemaError(message)
        channels = shape[2:]
        if channels == (1,):
            return array[:, :, 0]
        return array

    def recognizes(self, data: bytes | memoryview) -> bool:
        found = image_format(data)
        if found is None:
            return False
        return self.format in (None, found)

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "pil":
            return self.decode_pil
        if decoding == "array":
            return self.decode_array
        if decoding == "bytes":
            return self.decode_bytes
        if decoding != "simplejpeg":
            message = "decode can be 'pil', 'array', 'bytes', 'simplejpeg'"
            raise SchemaError(f"{message}, not {decoding!r}", field=field)
        if self.format not in (None, "JPEG"):
            message = f"simplejpeg is for jpeg, this is {self.name}"
            raise SchemaError(message, field=field)
        return self.decode_simplejpeg

    def decode_pil(self, data: memoryview, copy: bool) -> Any:
        """A loaded Pillow image. Raises CorruptError, or one of `unreadable`."""
        self.validate(data)
        pillow = import_optional("PIL.Image", "pillow")
        try:
            file = io.BytesIO(data)
            format = image_format(data)
            image = pillow.open(file, formats=[format])
            image.load()
        except pillow.DecompressionBombError as error:
            message = f"{error}; decode as bytes to look at it"
            raise CorruptError(message) from None
        return image

    load = decode_pil

    def decode_array(self, data: memoryview, copy: bool) -> np.ndarray:
        """The pixels: uint8, height × width × channel (RGB or RGBA), or height × width if grey.

        An image of 16 or 32 bits has the dtype that it is stored with.
        """
        image = self.decode_pil(data, copy)
        if image.mode not in _ARRAY_MODES:
            mode = _array_mode(image)
            image = image.convert(mode)
        return np.array(image)

    def decode_simplejpeg(self, data: memoryview, copy: bool) -> np.ndarray:
        """The same as `decode_array`, but JPEG is decoded by simplejpeg, which is faster."""
        self.validate(data)
        if image_format(data) != "JPEG":
            return self.decode_array(data, copy)
        simplejpeg = import_optional("simplejpeg", "simplejpeg")
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > _MOST_PIXELS:
            claim = f"{height} × {width} pixels are more than {_MOST_PIXELS}"
            message = f"{claim}; decode as bytes to look at it"
            raise CorruptError(message)
        is_grey = colorspace.upper() == "GRAY"
        wanted = "GRAY" if is_grey else "RGB"
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, colorspace=wanted)
        if is_grey:
            return pixels[:, :, 0]
        return pixels


def _array_mode(image: Any) -> str:
    """The mode of arrays that an image of another mode is converted to."""
    mode = image.mode
    if "A" in mode or "transparency" in image.info:
        return "RGBA"
    if mode == "1":
        return "L"
    return "RGB"
