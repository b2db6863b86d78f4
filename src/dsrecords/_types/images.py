"""Images: stored as their encoded bytes, decoded when they are asked for. Knows nothing of files of ours or samples.

Pillow is imported only where an image is encoded or decoded: bytes go in and out without it.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from dsrecords._types.base import Load, describe
from dsrecords._types.encoded import File
from dsrecords._types.sniff import sniff
from dsrecords.errors import CorruptError, SchemaError, optional

_QUALITY = 95  # of JPEG and WebP made from pixels: the usual choice where a dataset should not show its compression
DECODINGS = ("pil", "array", "bytes", "simplejpeg")
_MOST_PIXELS = 178_956_970  # where Pillow stops, too


class Image(File):
    """An encoded image; `image` is one of any format that is known."""

    # Pillow's decoders raise OSError and SyntaxError for broken files, and a class of their own for bombs
    unreadable: tuple[type[Exception], ...] = (*File.unreadable, OSError, SyntaxError, EOFError, IndexError, AttributeError)

    def __init__(self, name: str) -> None:
        self.name = name
        self.format = None if name == "image" else name.upper()
        self.expected = self.format or "an image of a known format"

    def encode(self, value: Any) -> bytes:
        image = optional("PIL.Image", "pillow")
        if isinstance(value, np.ndarray):
            if value.dtype != np.uint8 or value.ndim not in (2, 3) or 0 in value.shape:
                raise SchemaError(
                    f"{self.name} takes an array of uint8, height × width or height × width × channel, not {describe(value)}"
                )
            value = image.fromarray(value[:, :, 0] if value.ndim == 3 and value.shape[2] == 1 else value)
        if not isinstance(value, image.Image):
            raise SchemaError(f"{self.name} takes a path, bytes, a Pillow image or an array, not {describe(value)}")
        buffer = io.BytesIO()
        options = {} if self.format in (None, "PNG") else {"quality": _QUALITY}
        try:
            value.save(buffer, self.format or "PNG", **options)
        except (OSError, KeyError) as error:
            raise SchemaError(f"Pillow cannot write this image (mode {value.mode}) as {self.name}: {error}") from None
        return buffer.getvalue()

    def is_one(self, data: bytes | memoryview) -> bool:
        found = sniff(data)
        return found is not None and self.format in (None, found)

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "simplejpeg" and self.format not in (None, "JPEG"):
            raise SchemaError(f"simplejpeg is for jpeg, this is {self.name}", field=field)
        if decoding not in DECODINGS:
            raise SchemaError(f"decode can be {', '.join(map(repr, DECODINGS))}, not {decoding!r}", field=field)
        return getattr(self, f"decode_{decoding}")  # type: ignore[no-any-return]

    def decode_pil(self, data: memoryview, copy: bool) -> Any:
        """A loaded Pillow image."""
        self.check(data)
        module = optional("PIL.Image", "pillow")
        try:
            image = module.open(io.BytesIO(data), formats=[sniff(data) or ""])
            image.load()
        except module.DecompressionBombError as error:
            raise CorruptError(f"{error}; decode as bytes to look at it") from None
        return image

    load = decode_pil

    def decode_array(self, data: memoryview, copy: bool) -> np.ndarray:
        """uint8, height × width × channel (RGB, RGBA); height × width where the image is grey; other dtypes as stored."""
        image = self.decode_pil(data, copy)
        if image.mode not in ("L", "RGB", "RGBA", "I", "I;16", "F"):
            grey, alpha = image.mode in ("1", "LA"), "A" in image.mode or "transparency" in image.info
            image = image.convert("RGBA" if alpha else "L" if grey else "RGB")
        return np.array(image)

    def decode_simplejpeg(self, data: memoryview, copy: bool) -> np.ndarray:
        """As `decode_array`, by simplejpeg where it is JPEG: faster."""
        self.check(data)
        if sniff(data) != "JPEG":
            return self.decode_array(data, copy)
        simplejpeg = optional("simplejpeg", "simplejpeg")
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > _MOST_PIXELS:
            raise CorruptError(f"{height} × {width} pixels are more than {_MOST_PIXELS}; decode as bytes to look at it")
        if colors.upper() == "GRAY":
            return np.asarray(simplejpeg.decode_jpeg(data, colorspace="GRAY"))[:, :, 0]
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB"))
