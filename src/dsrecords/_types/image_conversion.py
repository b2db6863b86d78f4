"""Images as arrays of one kind: upright, of one mode and size. Knows nothing of types."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.image_arrays import has_transparent_palette
from dsrecords._types.image_depth import dtype_of_integers
from dsrecords._types.image_files import Opened, check_pixels, claim_pixels
from dsrecords.errors import DecodeError

MODES = {"rgb": "RGB", "gray": "L", "rgba": "RGBA"}  # our names, and Pillow's
Size = int | tuple[int, int] | None

# A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, if that is still so many times the size
# that it is resized to: then the filter has enough pixels to choose from.
_ROOM = 2
# EXIF 2.32, 4.6.4: of these orientations, rows and columns are exchanged.
LYING = (5, 6, 7, 8)
_ORIENTATION = 0x0112
# By orientation, Pillow's name of what makes an image upright.
_OPERATIONS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def converted(
    data: memoryview,
    mode: str,
    size: Size,
    max_size: int | None,
) -> np.ndarray:
    """Decode the first frame of an image file as it is meant to be seen.

    Args:
        data: the file.
        mode: "rgb", "gray" or "rgba".
        size: (height, width), or the length of the shorter side; None: as it is.
        max_size: the most that the longer side may have; None: no bound.

    Returns:
        uint8, (height, width, 3), (height, width) or (height, width, 4).

    Raises:
        DecodeError: the file cannot be decoded, or its pixels do not have 8 or 16 bits.
    """
    with Opened(data) as image:
        integers = dtype_of_integers(image, data)
        orientation = orientation_of(image)
        target = None
        if image.format in ("JPEG", "MPO"):
            target = _draft(image, orientation, size, max_size)
        claim_pixels(image, 1, data)
        image.load()
        image = upright(image, orientation)
        if target is None:
            target = _target(image.height, image.width, size, max_size)
        image = in_mode(image, MODES[mode], integers)
        if image.size != target:
            resampling = import_optional("PIL.Image", "pillow").Resampling
            image = image.resize(target, resampling.BILINEAR)
        return np.array(image)


def resized(
    height: int,
    width: int,
    size: Size,
    max_size: int | None,
) -> tuple[int, int]:
    """Return (height, width) of an image once it is resized.

    The arithmetic is that of torchvision's `Resize`: the other side is rounded down.
    """
    if isinstance(size, tuple):
        return size
    shorter = min(height, width)
    longer = max(height, width)
    new_shorter = shorter
    new_longer = longer
    if size is not None:
        new_shorter = size
        new_longer = size * longer // shorter
    if max_size is not None and new_longer > max_size:
        new_shorter = max(1, max_size * new_shorter // new_longer)
        new_longer = max_size
    if height <= width:
        return new_shorter, new_longer
    return new_longer, new_shorter


def _target(
    height: int,
    width: int,
    size: Size,
    max_size: int | None,
) -> tuple[int, int]:
    """The size, (width, height), to resize an image to that is upright."""
    new_height, new_width = resized(height, width, size, max_size)
    check_pixels(new_height * new_width)
    return new_width, new_height


def _draft(
    image: Any,
    orientation: int,
    size: Size,
    max_size: int | None,
) -> tuple[int, int]:
    """Set a JPEG to be decoded smaller, if it will be much smaller; return its target."""
    width, height = image.size
    lies = orientation in LYING
    if lies:
        height, width = image.size
    target = _target(height, width, size, max_size)
    enough = [_ROOM * side for side in target]
    if lies:
        enough.reverse()
    image.draft(None, tuple(enough))
    return target


def orientation_of(image: Any) -> int:
    """The EXIF orientation of an image; 1 if it has none, or none that can be read."""
    if image.format == "TIFF":
        return 1  # Pillow turns it itself
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - cameras write EXIF data that Pillow cannot read
        return 1


def upright(image: Any, orientation: int) -> Any:
    """A loaded image, turned as its EXIF orientation says."""
    operation = _OPERATIONS.get(orientation)
    if operation is None:
        return image
    operations = import_optional("PIL.Image", "pillow").Transpose
    return image.transpose(operations[operation])


def in_mode(image: Any, mode: str, integers: str) -> Any:
    """A loaded image, converted to one of 8 bits.

    Args:
        image: of Pillow.
        mode: Pillow's name of one.
        integers: the dtype of the file's samples, if they are integers of more than 8 bits.
    """
    if image.mode.startswith("I"):
        image = _of_16_bits(image, integers)
    elif image.mode == "F":
        raise DecodeError("floats have no scale as colours: decode as 'array'")
    elif image.mode == "La":
        image = image.convert("LA")
    elif image.mode in ("P", "LAB"):
        # Pillow does not convert from these to all others.
        colours = "RGB"
        if image.mode == "P" and has_transparent_palette(image):
            colours = "RGBA"
        image = image.convert(colours)
    if image.mode == mode:
        return image
    return image.convert(mode)


def _of_16_bits(image: Any, integers: str) -> Any:
    """The 8 highest of 16 bits, which Pillow takes of colours as well. Raises DecodeError."""
    pillow = import_optional("PIL.Image", "pillow")
    pixels = np.array(image)
    if image.mode == "I" and integers != "uint16":
        raise DecodeError(f"{integers} has no scale as colours: decode as 'array'")
    native = pixels.astype(np.uint16)
    highest = native >> 8
    return pillow.fromarray(highest.astype(np.uint8))
