"""Decoders of images: what `decode` takes for a field, beside the names "pil", "array", "rgb" ….

    decode={"photo": vision.Decode("rgb", size=(224, 224))}

A decoder is any object with a method `decode_image(data)`. It is called with the encoded image, a
read-only memoryview that is valid during the call, and returns what a sample is to have. To be
sent to workers it must pickle.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dsrecords._types.image_conversion import MODES, converted

__all__ = ["Decode"]


@dataclasses.dataclass(frozen=True)
class Decode:
    """Images as arrays of one kind: upright, with one number of channels, of one size.

    The image is turned as its EXIF orientation says, converted by Pillow, and resized with
    Pillow's bilinear filter, which averages where it makes an image smaller. A JPEG that is more
    than four times as large as its result is decoded at 1/2, 1/4 or 1/8 of its size first. Of
    several frames, the first is decoded.

    Args:
        mode: "rgb": (height, width, 3). Transparency is left out. "gray": (height, width), the
            luma of ITU-R BT.601. "rgba": (height, width, 4). All are uint8: of 16 bits, the 8
            highest.
        size: (height, width), or the length of the shorter side, where the proportions stay, the
            longer side being rounded down; None: the image's own.
        max_size: the most that the longer side may have; if it would have more, the image is made
            smaller. None: no bound.

    Raises:
        ValueError: an argument is none of these.
    """

    mode: str = "rgb"
    size: int | tuple[int, int] | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            modes = ", ".join(MODES)
            raise ValueError(f"mode must be one of {modes}, not {self.mode!r}")
        if self.size is not None and not _is_size(self.size):
            expected = "(height, width) or an int, above 0"
            raise ValueError(f"size must be {expected}, not {self.size!r}")
        if self.max_size is None:
            return
        if not _is_length(self.max_size):
            raise ValueError(f"max_size must be an int above 0, not {self.max_size!r}")
        if isinstance(self.size, tuple):
            raise ValueError("max_size is for a size that is an int or None")

    def decode_image(self, data: bytes | memoryview) -> np.ndarray:
        """Return the array of an encoded image. Raises DecodeError."""
        return converted(
            memoryview(data),
            self.mode,
            self.size,
            self.max_size,
        )


def _is_size(value: Any) -> bool:
    if not isinstance(value, tuple):
        return _is_length(value)
    if len(value) != 2:
        return False
    height, width = value
    return _is_length(height) and _is_length(width)


def _is_length(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value > 0


def __dir__() -> list[str]:
    return __all__
