"""The pixels of a part of an image: of a file, or of an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.image_conversion import (
    LYING,
    MODES,
    in_mode,
    orientation_of,
    upright,
)
from dsrecords._types.image_depth import dtype_of_integers
from dsrecords._types.image_files import Opened, claim_pixels, raise_decode_error
from dsrecords._vision.jpeg import jpeg_region
from dsrecords._vision.plans import Box, Plan, Planner, reduced, reduction

Region = tuple[np.ndarray, Plan]
"""The pixels of a plan's box, uint8, (h, w) or (h, w, channels), and the plan."""

_MODES_OF_SHAPES = {(): "L", (2,): "LA", (3,): "RGB", (4,): "RGBA"}
_UINT8 = np.dtype(np.uint8)
_MOST_CHANNELS = (4,)
_SHAPES = "(height, width) or (height, width, channels), of 1 to 4 channels"


def encoded_region(
    data: memoryview,
    mode: str,
    planner: Planner,
    reduce: bool,
) -> Region:
    """Decode the part of an image file that a plan keeps.

    Args:
        data: the file.
        mode: "rgb", "gray" or "rgba".
        planner: makes a plan for an image of its size.
        reduce: whether a JPEG may be decoded at a fraction of its size.

    Raises:
        DecodeError: the file cannot be decoded, or is too large.
    """
    try:
        region = jpeg_region(data, mode, planner, reduce)
    except MemoryError as error:
        raise_decode_error(error, "JPEG")
        raise
    if region is None:
        return _region_by_pillow(data, mode, planner, reduce)
    if mode != "gray":
        return region
    pixels, plan = region
    return _array_in_mode(pixels, mode), plan


def pixel_region(
    pixels: np.ndarray,
    mode: str,
    planner: Planner,
) -> Region:
    """The part of an array that a plan keeps.

    Args:
        pixels: uint8, (h, w) or (h, w, channels), of 1 to 4 channels.
        mode: "rgb", "gray" or "rgba".
        planner: makes a plan for an image of its size.

    Raises:
        TypeError: it is not an array of uint8.
        ValueError: it has another shape.
    """
    if getattr(pixels, "dtype", None) != _UINT8:
        name = type(pixels).__name__
        given = getattr(pixels, "dtype", name)
        raise TypeError(f"pixels must be an array of uint8, not {given}")
    is_image = pixels.ndim in (2, 3) and pixels.size > 0
    if not is_image or pixels.shape[2:] > _MOST_CHANNELS:
        raise ValueError(f"pixels must have the shape {_SHAPES}, not {pixels.shape}")
    height, width = pixels.shape[:2]
    plan = planner(height, width)
    top, left, height, width = plan.box
    part = pixels[top : top + height, left : left + width]
    return _array_in_mode(part, mode), plan


def _array_in_mode(pixels: np.ndarray, mode: str) -> np.ndarray:
    """Pixels of any number of channels in a mode, by Pillow where they are not of it."""
    if pixels.shape[2:] == (1,):
        pixels = pixels[:, :, 0]
    given = _MODES_OF_SHAPES[pixels.shape[2:]]
    if given == MODES[mode]:
        return pixels
    pillow = import_optional("PIL.Image", "pillow")
    image = pillow.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.convert(MODES[mode]))


def _region_by_pillow(
    data: memoryview,
    mode: str,
    planner: Planner,
    reduce: bool,
) -> Region:
    with Opened(data) as image:
        integers = dtype_of_integers(image, data)
        orientation = orientation_of(image)
        if reduce and image.format in ("JPEG", "MPO"):
            return _reduced_by_pillow(image, data, mode, planner, orientation)
        claim_pixels(image, 1, data)
        image.load()
        image = upright(image, orientation)
        plan = planner(image.height, image.width)
        part = _part(image, plan.box)
        return np.asarray(in_mode(part, MODES[mode], integers)), plan


def _reduced_by_pillow(
    image: Any,
    data: memoryview,
    mode: str,
    planner: Planner,
    orientation: int,
) -> Region:
    """The same of a JPEG, whose plan must be known before it is decoded."""
    width, height = image.size
    size = (height, width)
    if orientation in LYING:
        size = (width, height)
    plan = planner(*size)
    factor = reduction(plan)
    if factor > 1:
        image.draft(None, (width // factor, height // factor))
    claim_pixels(image, 1, data)
    image.load()
    image = upright(image, orientation)
    part = _part(image, reduced(plan.box, size, (image.height, image.width)))
    return np.asarray(in_mode(part, MODES[mode], "")), plan


def _part(image: Any, box: Box) -> Any:
    top, left, height, width = box
    if (width, height) == image.size:
        return image
    return image.crop((left, top, left + width, top + height))
