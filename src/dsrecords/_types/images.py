"""Images: stored as encoded files, decoded when they are read. Knows nothing of our own files.

Pillow and simplejpeg are imported only where an image is encoded or decoded: bytes go in and out
without them.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from dsrecords._format.signatures import image_format
from dsrecords._optional import import_optional
from dsrecords._types.array_likes import as_array
from dsrecords._types.base import Load, describe, mark_as_users
from dsrecords._types.external_file import File
from dsrecords._types.image_arrays import as_pixels, as_pixels_by_simplejpeg
from dsrecords._types.image_conversion import MODES, converted
from dsrecords._types.image_encoding import encode_array, encode_pillow
from dsrecords._types.image_files import Opened, claim_pixels
from dsrecords._types.image_originals import keep_file, original_file
from dsrecords.errors import SchemaError

_DECODINGS = ("pil", "array", *MODES, "bytes", "simplejpeg")


class Image(File):
    """An encoded image.

    Attributes:
        format: Pillow's name of the format; None for the type `image`, which takes all known ones.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.format: str | None = None
        self.expected = "an image of a known format"
        if name != "image":
            self.format = name.upper()
            self.expected = self.format

    def encode(self, value: Any) -> bytes:
        pillow = import_optional("PIL.Image", "pillow")
        format = self.format or "PNG"
        if isinstance(value, pillow.Image):
            original = original_file(value, self.recognizes)
            if original is not None:
                return original
            return encode_pillow(value, format, self.name, {})
        array = as_array(value)
        if array is None:
            given = describe(value)
            expected = f"{self.name} takes a path, bytes, a Pillow image or an array"
            raise SchemaError(f"{expected}, not {given}")
        return encode_array(array, format, self.name)

    def recognizes(self, data: bytes | memoryview) -> bool:
        found = image_format(data)
        if found is None:
            return False
        return self.format in (None, found)

    def decoder(self, decoding: Any, field: Any) -> Load:
        decode_image = getattr(decoding, "decode_image", None)
        if decode_image is not None and not isinstance(decoding, type):
            return self._decoder_of(decode_image)
        if decoding in ("pil", "array", "bytes"):
            load: Load = getattr(self, f"decode_{decoding}")
            return load
        if decoding in tuple(MODES):
            return self._converter(decoding)
        if decoding != "simplejpeg":
            decodings = ", ".join(repr(each) for each in _DECODINGS)
            expected = f"{decodings} or an object such as dsrecords.vision.Decode('rgb')"
            raise SchemaError(f"decode can be {expected}, not {decoding!r}", field=field)
        if self.format not in (None, "JPEG"):
            message = f"simplejpeg is for jpeg, this is {self.name}"
            raise SchemaError(message, field=field)
        import_optional("simplejpeg", "simplejpeg")
        return self.decode_simplejpeg

    def _decoder_of(self, decode_image: Any) -> Load:
        """What reads a field by an object that decodes images. Whatever it raises is its own."""

        def load(data: memoryview, copy: bool) -> Any:
            self.validate(data)
            try:
                return decode_image(data)
            except Exception as error:
                mark_as_users(error)
                raise

        return load

    def _converter(self, mode: str) -> Load:
        def load(self: Image, data: memoryview, copy: bool) -> np.ndarray:
            self.validate(data)
            return converted(data, mode, None, None)

        # Readers know the library's own decoders by their `__self__`: it is this type.
        return types.MethodType(load, self)

    def decode_pil(self, data: memoryview, copy: bool) -> Any:
        """A loaded Pillow image. Raises CorruptError or DecodeError."""
        self.validate(data)
        stored = bytes(data)
        with Opened(stored) as image:
            claim_pixels(image, 1, data)
            image.load()
        keep_file(image, stored)
        return image

    load = decode_pil

    def decode_array(self, data: memoryview, copy: bool) -> np.ndarray:
        """The pixels as they are stored: see `as_pixels`. Raises CorruptError or DecodeError."""
        self.validate(data)
        return as_pixels(data)

    def decode_simplejpeg(self, data: memoryview, copy: bool) -> np.ndarray:
        """The same as `decode_array`, but JPEG is decoded by simplejpeg, which is faster."""
        self.validate(data)
        return as_pixels_by_simplejpeg(data)
