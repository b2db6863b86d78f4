"""Pictures in a terminal of 24-bit colours: each character is two pixels, one above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

LONGEST_SIDE = 24
"""Pixels of the longer side of a picture; a character has one pixel across, and two down."""

_UPPER_HALF = "▀"


def half_blocks(pixels: np.ndarray) -> Text:
    """Return a picture as text.

    Args:
        pixels: uint8, (height, width), (height, width, 1), of grey values, or (height, width, 3).
            A fourth channel is left out. It is made as small as needed, by leaving out pixels.
    """
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    small = _rgb(_small(pixels))
    height, width, _ = small.shape
    drawn = Text(no_wrap=True)
    for y in range(0, height, 2):
        if y:
            drawn.append("\n")
        for x in range(width):
            upper = Color.from_rgb(*small[y, x].tolist())
            lower = None
            if y + 1 < height:
                lower = Color.from_rgb(*small[y + 1, x].tolist())
            drawn.append(_UPPER_HALF, Style(color=upper, bgcolor=lower))
    return drawn


def _small(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    step = -(-max(height, width) // LONGEST_SIDE)
    return pixels[::step, ::step]


def _rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, :3]
