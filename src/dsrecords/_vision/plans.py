"""Plans: which part of an image is kept, what it is resized to, whether it is mirrored.

Arithmetic alone: nothing here sees a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

TRIES = 10
"""How many boxes are tried before the one in the middle is taken, as torchvision does."""

NUMBERS_OF_BOX = 2 * TRIES + 2
"""What `random_box` takes: an area and a ratio for each try, and a position."""

_OF_TOP = 2 * TRIES
_OF_LEFT = _OF_TOP + 1

# libjpeg decodes at 1/2, 1/4 and 1/8 of the size as fast as their fewer pixels promise. It knows
# fractions between them too, but has no vector instructions for those.
_REDUCTIONS = (8, 4, 2)


class Box(NamedTuple):
    """A rectangle of pixels.

    Attributes:
        top: the first row.
        left: the first column.
        height: in rows.
        width: in columns.
    """

    top: int
    left: int
    height: int
    width: int


class Plan(NamedTuple):
    """What is made of an image that is upright.

    Attributes:
        box: the part of the image that is kept.
        height: what that part is resized to, in rows.
        width: the same in columns.
        window: the part of the resized one that is the result. What lies beyond its edges is 0.
        flip: whether the result is mirrored: left becomes right.
    """

    box: Box
    height: int
    width: int
    window: Box
    flip: bool


Planner = Callable[[int, int], Plan]
"""From the height and the width of an upright image to what is made of it."""


def resize_all(
    height: int,
    width: int,
    new_height: int,
    new_width: int,
    flip: bool,
) -> Plan:
    """The plan of a whole image that is resized."""
    return Plan(
        Box(0, 0, height, width),
        new_height,
        new_width,
        Box(0, 0, new_height, new_width),
        flip,
    )


def random_box(
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    numbers: Sequence[float],
) -> Box:
    """Return a random part of an image.

    The method is that of torchvision's `RandomResizedCrop.get_params` (0.24): an area and, on a
    logarithmic scale, a ratio are drawn until a box of these fits into the image. After `TRIES`
    boxes that do not, it is the largest one in the middle whose ratio is allowed.

    Args:
        height: of the image.
        width: of the image.
        scale: from which to which share of the image's area.
        ratio: from which to which ratio of width to height.
        numbers: in [0, 1), of which the first `NUMBERS_OF_BOX` alone decide.
    """
    least_ratio = math.log(ratio[0])
    ratios = math.log(ratio[1]) - least_ratio
    whole = height * width
    least_area = scale[0] * whole
    areas = scale[1] * whole - least_area
    for i in range(0, 2 * TRIES, 2):
        area = least_area + numbers[i] * areas
        proportion = math.exp(least_ratio + numbers[i + 1] * ratios)
        box_width = round(math.sqrt(area * proportion))
        box_height = round(math.sqrt(area / proportion))
        if 0 < box_width <= width and 0 < box_height <= height:
            lowest = height - box_height
            rightmost = width - box_width
            top = int(numbers[_OF_TOP] * (lowest + 1))
            left = int(numbers[_OF_LEFT] * (rightmost + 1))
            return Box(
                min(top, lowest),
                min(left, rightmost),
                box_height,
                box_width,
            )
    return _middle_box(height, width, ratio)


def _middle_box(
    height: int,
    width: int,
    ratio: tuple[float, float],
) -> Box:
    box_height = height
    box_width = width
    if width < ratio[0] * height:
        box_height = max(1, round(width / ratio[0]))
    elif width > ratio[1] * height:
        box_width = max(1, round(height * ratio[1]))
    top = (height - box_height) // 2
    left = (width - box_width) // 2
    return Box(
        top,
        left,
        box_height,
        box_width,
    )


def middle_window(
    height: int,
    width: int,
    window: Box,
) -> Box:
    """A window of that size in the middle of an image; it reaches beyond one that is smaller.

    The arithmetic is that of torchvision's `center_crop`.
    """
    top = _middle(height, window.height)
    left = _middle(width, window.width)
    return Box(
        top,
        left,
        window.height,
        window.width,
    )


def _middle(length: int, window: int) -> int:
    if length < window:
        return -((window - length) // 2)
    return round((length - window) / 2)


def reduction(plan: Plan) -> int:
    """At which fraction of its size, 1 over this, a JPEG may be decoded: 1, 2, 4 or 8.

    It is the smallest at which the box still has the pixels that it is resized to.
    """
    rows = plan.box.height // plan.height
    if rows < 2:
        return 1
    columns = plan.box.width // plan.width
    for factor in _REDUCTIONS:
        if rows >= factor and columns >= factor:
            return factor
    return 1


def reduced(
    box: Box,
    image: tuple[int, int],
    decoded: tuple[int, ...],
) -> Box:
    """The same part of an image that was decoded at a fraction of its size.

    Args:
        box: in pixels of the image.
        image: (height, width) of it.
        decoded: (height, width) that it was decoded at.
    """
    if image == decoded:
        return box
    top, height = _reduced(box.top, box.height, image[0], decoded[0])
    left, width = _reduced(box.left, box.width, image[1], decoded[1])
    return Box(top, left, height, width)


def _reduced(
    start: int,
    length: int,
    of: int,
    decoded: int,
) -> tuple[int, int]:
    new_length = max(1, round(length * decoded / of))
    new_start = round(start * decoded / of)
    return min(new_start, decoded - new_length), new_length
