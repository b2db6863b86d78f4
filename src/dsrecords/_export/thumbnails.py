"""Small images for a notebook, as data URIs. Work is bounded, whatever the images claim to be."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import numpy as np

from dsrecords._format.signatures import image_format
from dsrecords._types.image_files import image_size
from dsrecords.errors import DecodeError
from dsrecords.vision import Decode

_LONGEST_SIDE = 96  # pixels
_QUALITY = 80  # of JPEG
_MOST_PIXELS = 2**25  # decoded for all images of a table
_JPEG_IS_CHEAPER = 16  # it is decoded at a fraction of its size
_STYLE = "max-width:96px;max-height:96px;min-width:24px"


class Thumbnails:
    """Makes thumbnails, until so many pixels were decoded that it would take too long.

    Attributes:
        left: pixels that may still be decoded.
    """

    def __init__(self) -> None:
        self.left = _MOST_PIXELS

    def of(self, data: memoryview, type_name: str) -> str:
        """Return HTML of an encoded image: a thumbnail, or what it is in words.

        It is words where Pillow is not installed, or the image is broken or too large.
        """
        size = f"{type_name}, {bytes_in_words(len(data))}"
        try:
            height, width = image_size(data)
        except (DecodeError, ImportError):
            return html.escape(size)
        words = html.escape(f"{type_name}, {width} × {height}")
        cost = height * width
        if image_format(data) == "JPEG":
            cost //= _JPEG_IS_CHEAPER
        if cost > self.left:
            return words
        self.left -= cost
        try:
            pixels = Decode("rgb", max_size=_LONGEST_SIDE).decode_image(data)
        except (DecodeError, ImportError):
            return words
        is_small = max(height, width) <= _LONGEST_SIDE
        source = _data_uri(pixels, is_small)
        return f'<img src="{source}" alt="{words}" title="{words}" style="{_STYLE}">'


def _data_uri(pixels: np.ndarray, is_small: bool) -> str:
    """Return an image as a data URI: one that was small before as PNG, which keeps each pixel."""
    import PIL.Image  # Pillow has decoded the image

    image = PIL.Image.fromarray(pixels)
    file = io.BytesIO()
    kind = "jpeg"
    if is_small:
        kind = "png"
    options: dict[str, Any] = {"quality": _QUALITY}
    image.save(file, kind, **options)
    encoded = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind};base64,{encoded}"


def bytes_in_words(count: int) -> str:
    """Return a number of bytes as people read it: "12.3 kB"."""
    if count < 1000:
        return counted(count, "byte")
    size = count / 1000
    units = ["kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.1f} {units[0]}"


def counted(count: int, name: str) -> str:
    """Return how many there are of a thing: "1 byte", "1,234 bytes"."""
    if count == 1:
        return f"1 {name}"
    return f"{count:,} {name}s"
