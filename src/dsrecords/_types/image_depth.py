"""Image files whose samples have more bits than Pillow keeps. Knows nothing of types.

Pillow has 16 bits for greyscale alone: it decodes others to the 8 highest bits, and says nothing.
"""

from __future__ import annotations

import re
from typing import Any

_BITS_PER_SAMPLE = 258  # the tags of TIFF 6.0
_SAMPLES_PER_PIXEL = 277
_SAMPLE_FORMAT = 339
_SIGNED = 2
_MODES_OF_8_BITS = (
    *("L", "LA", "P", "PA"),
    *("RGB", "RGBA", "RGBX", "RGBa"),
    *("CMYK", "LAB", "YCbCr"),
)
# Netpbm: P3 or P6, then width, height and the largest sample, between which are comments.
_PPM = re.compile(rb"P[36](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)")
_J2K_SIZES = b"\xff\x4f\xff\x51"  # the start of a codestream, and of the segment of its sizes
_J2K_DEPTH = 42  # offset of the first component's depth


def stored_bits(image: Any, data: memoryview) -> int:
    """Return how many bits a sample has in the file: 8 where Pillow keeps what it has.

    Args:
        image: what Pillow has opened, not loaded.
        data: the file.
    """
    format = image.format
    if format == "PNG":
        return data[24]
    if format == "TIFF":
        return int(max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))))
    if format == "PPM":
        found = _PPM.match(data)
        if found is not None and int(found[3]) > 255:
            return 16
    elif format == "SGI":
        return 8 * data[3]
    elif format == "JPEG2000":
        start = bytes(data[:4096]).find(_J2K_SIZES)
        if start >= 0:
            return (data[start + _J2K_DEPTH] & 0x7F) + 1
    return 8


def lost_bits(image: Any, data: memoryview) -> str:
    """Say what Pillow would not keep of the samples of a file; empty if it keeps them."""
    bits = stored_bits(image, data)
    mode = image.mode
    if mode in _MODES_OF_8_BITS and bits > 8:
        return f"samples of {bits} bits, of which Pillow would keep 8"
    if mode == "F" and bits > 32:
        return f"floats of {bits} bits, of which Pillow would keep 32"
    if image.format != "TIFF":
        return ""
    channels = image.tag_v2.get(_SAMPLES_PER_PIXEL, 1)
    kept = len(image.getbands())
    if channels > kept:
        return f"{channels} channels, of which Pillow would keep {kept}"
    if bits == 8 and _is_signed(image):
        return "signed samples of 8 bits, which Pillow would take for unsigned"
    return ""


def dtype_of_integers(image: Any, data: memoryview) -> str:
    """Return the dtype of the samples of a file that Pillow decodes to its mode I, of int32."""
    bits = stored_bits(image, data)
    if image.format != "TIFF":
        return "uint16"
    width = 32
    if bits <= 16:
        width = 16
    if _is_signed(image):
        return f"int{width}"
    return f"uint{width}"


def _is_signed(image: Any) -> bool:
    """Whether the samples of a TIFF are signed integers."""
    return _SIGNED in image.tag_v2.get(_SAMPLE_FORMAT, ())
