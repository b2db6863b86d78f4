"""Image files as Pillow opens them, and what is said of those that it cannot read here.

Knows nothing of types. Pillow and its plug-ins are imported only where a file is opened.
"""

from __future__ import annotations

import functools
import io
from typing import Any

from dsrecords._format.signatures import image_format
from dsrecords._optional import import_optional
from dsrecords._types.budget import OF_PIXELS, claim
from dsrecords.errors import DecodeError, DSRecordsError

_PILLOW_WITH_AVIF = "11.3"
_LOOK = "decode as 'bytes' to look at it"
_RAISE_LIMIT = f"raise PIL.Image.MAX_IMAGE_PIXELS, or {_LOOK}"


def raise_decode_error(error: BaseException, format: str) -> None:
    """Raise a DecodeError for what a decoder has raised, unless that says itself what is wrong.

    Pillow's plug-ins raise errors of some twenty classes for broken files, and its C code others.
    """
    if isinstance(error, (DSRecordsError, ImportError)) or not isinstance(error, Exception):
        return
    if isinstance(error, MemoryError):
        raise DecodeError(f"no memory to decode this {format} image; {_LOOK}") from None
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    raise DecodeError(f"cannot decode this {format} image ({reason}); {_LOOK}") from error


class Opened:
    """A context in which an image file is open as a Pillow image, of which the header is read.

    What goes wrong within it is a DecodeError. It is a class because a generator would take a
    tenth of the time that a small image takes.

    Args:
        data: the file.
    """

    def __init__(self, data: memoryview | bytes) -> None:
        self._data = data
        self._format = ""

    def __enter__(self) -> Any:
        format = image_format(self._data)
        if format is None:
            raise DecodeError(f"not an image of a known format; {_LOOK}")
        self._format = format
        pillow = import_optional("PIL.Image", "pillow")
        if format == "HEIF":
            plugin = import_optional("pillow_heif", "pillow-heif")
            plugin.register_heif_opener()
        try:
            image = _open(self._data, format, pillow)
            width, height = image.size
            _check_pixels(width * height, pillow)
        except Exception as error:
            raise_decode_error(error, format)
            raise
        return image

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None:
            raise_decode_error(error, self._format)


def _open(data: memoryview | bytes, format: str, pillow: Any) -> Any:
    """The Pillow image of a file. Raises DecodeError, or what its plug-in raises."""
    if format not in pillow.OPEN:
        pillow.init()
    if format not in pillow.OPEN:
        raise DecodeError(_unidentified(format, pillow))
    file = io.BytesIO(data)
    try:
        return pillow.open(file, formats=[format])
    except pillow.UnidentifiedImageError:
        raise DecodeError(_unidentified(format, pillow)) from None
    except pillow.DecompressionBombError as error:
        raise DecodeError(f"{error}; {_RAISE_LIMIT}") from None


def _unidentified(format: str, pillow: Any) -> str:
    """Say that Pillow does not find in a file what its signature promises."""
    reason = f"Pillow {pillow.__version__} cannot read this {format} image here"
    if format not in pillow.OPEN:
        reason += ": it was built without that format"
        if format == "AVIF":
            reason += f" (Pillow has it from {_PILLOW_WITH_AVIF} on: pip install -U pillow)"
    else:
        reason += ": it is broken, or Pillow was built without that format"
    return f"{reason}; {_LOOK}"


def check_pixels(count: int) -> None:
    """Raise DecodeError if an image claims more pixels than Pillow allows.

    Pillow warns of more than `PIL.Image.MAX_IMAGE_PIXELS`, and refuses twice as many.
    """
    _check_pixels(count, _pillow())


@functools.cache
def _pillow() -> Any:
    """Pillow, once it is imported: to look again takes longer than to compare."""
    return import_optional("PIL.Image", "pillow")


def _check_pixels(count: int, pillow: Any) -> None:
    limit = pillow.MAX_IMAGE_PIXELS
    if limit is None or count <= 2 * limit:
        return
    claim = f"{count:,} pixels are more than Pillow allows ({2 * limit:,})"
    raise DecodeError(f"{claim}; {_RAISE_LIMIT}")


def claim_pixels(image: Any, frames: int, data: memoryview) -> None:
    """Take memory for the pixels of an image that is open. Raises DecodeError."""
    width, height = image.size
    count = frames * width * height
    bands = len(image.getbands())
    if image.mode[0] in "PIF":  # a palette, or numbers of up to four bytes
        bands = 4
    # Pillow's own pixels, others of a palette's colours, and two copies until an array is made.
    at_once = (8 + bands) * count
    claim(bands * count, OF_PIXELS * len(data), at_once)


def image_size(data: memoryview) -> tuple[int, int]:
    """Return (height, width) in pixels, from the header of an image file. Raises DecodeError."""
    with Opened(data) as image:
        width, height = image.size
    return height, width
