"""Resizing and mirroring pixels: by OpenCV where it is installed, else by Pillow."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._vision.plans import Box, Plan

PILLOW_BILINEAR = "bilinear of Pillow"
"""Not one of the user's names: the filter of `vision.Decode`, whatever is installed."""

NEAREST = "nearest"
INTERPOLATIONS = ("bilinear", "bicubic", NEAREST)

_OF_PILLOW = {
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    NEAREST: "NEAREST",
    PILLOW_BILINEAR: "BILINEAR",
}
_OF_BOTH = ("bilinear", NEAREST)
# OpenCV's linear filter looks at two pixels by two. Where a side shrinks by more than this, it
# would leave out so many that it shows. Pixels are then blurred 1:2:1 with their neighbours first:
# the result is all but that of Pillow's bilinear filter (44 to 56 dB; 38 to 43 without the blur),
# at a fifth of its time, and of that of OpenCV's mean of the area.
_BLURRED = 4 / 3
# From here on, even that leaves out pixels: the mean of them makes it twice the size first.
_AVERAGED = 3


_OPENCV = "cv2"


@functools.cache
def installed(module: str) -> Any:
    """An optional module, or None if it is not installed: then Pillow does its work."""
    was_inherited = module in _inherited
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    if module == _OPENCV and not was_inherited:
        # Whoever decodes many images has threads of his own. OpenCV's would only compete with them;
        # and a process that is forked, as loaders do it, can wait for ever for a lock that one of
        # them held.
        found.setNumThreads(1)
    return found


def prepare() -> None:
    """Let an OpenCV that is there already work without threads: before this process is forked."""
    if _OPENCV in sys.modules:
        installed(_OPENCV)


# What this process had imported when it was forked: threads of it are gone, and cannot be ended.
_inherited: set[str] = set()


def _remember_inherited() -> None:
    if _OPENCV in sys.modules:
        _inherited.add(_OPENCV)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_inherited)


def render(
    pixels: np.ndarray,
    plan: Plan,
    out: np.ndarray,
    interpolation: str,
) -> None:
    """Write the result of a plan.

    Args:
        pixels: those of the plan's box: uint8, (h, w) or (h, w, channels).
        plan: what is made of them.
        out: for the result: uint8, of the window's size, C-contiguous, with as many channels.
        interpolation: one of `INTERPOLATIONS`, or `PILLOW_BILINEAR`.
    """
    window = plan.window
    if (plan.height, plan.width) == (window.height, window.width):
        _resize_into(pixels, out, interpolation)
    else:
        resized = pixels
        shape = (plan.height, plan.width, *pixels.shape[2:])
        if shape != pixels.shape:
            resized = np.empty(shape, np.uint8)
            _resize_into(pixels, resized, interpolation)
        _place(resized, window, out)
    if plan.flip:
        _flip(out)


def _resize_into(
    pixels: np.ndarray,
    out: np.ndarray,
    interpolation: str,
) -> None:
    if pixels.shape == out.shape:
        np.copyto(out, pixels)
        return
    cv2 = installed("cv2")
    # Pillow weighs colours by how opaque they are, OpenCV does not.
    has_transparency = pixels.shape[2:] == (4,)
    if cv2 is None or has_transparency or interpolation not in _OF_BOTH:
        _resize_by_pillow(pixels, out, interpolation)
        return
    height, width = out.shape[:2]
    method = cv2.INTER_LINEAR
    if interpolation == NEAREST:
        method = cv2.INTER_NEAREST_EXACT
    elif pixels.shape[0] > _BLURRED * height or pixels.shape[1] > _BLURRED * width:
        pixels = _smoothed(pixels, height, width)
    made = cv2.resize(
        pixels,
        (width, height),
        dst=out,
        interpolation=method,
    )
    if made is not out:
        np.copyto(out, made)


def _smoothed(
    pixels: np.ndarray,
    height: int,
    width: int,
) -> np.ndarray:
    """An image that the linear filter can make as small as that."""
    cv2 = installed("cv2")
    rows, columns = pixels.shape[:2]
    if rows >= _AVERAGED * height or columns >= _AVERAGED * width:
        rows = min(rows, 2 * height)
        columns = min(columns, 2 * width)
        pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    kernel = (_kernel_size(columns / width), _kernel_size(rows / height))
    smoothed: np.ndarray = cv2.GaussianBlur(pixels, kernel, 0)
    return smoothed


def _kernel_size(shrinks: float) -> int:
    """How many pixels are blurred to one, of a side that shrinks so many times."""
    if shrinks > _BLURRED:
        return 3
    return 1


def _resize_by_pillow(
    pixels: np.ndarray,
    out: np.ndarray,
    interpolation: str,
) -> None:
    pillow = import_optional("PIL.Image", "pillow")
    height, width = out.shape[:2]
    image = pillow.fromarray(np.ascontiguousarray(pixels))
    method = pillow.Resampling[_OF_PILLOW[interpolation]]
    resized = image.resize((width, height), method)
    np.copyto(out, np.asarray(resized))


def _place(
    image: np.ndarray,
    window: Box,
    out: np.ndarray,
) -> None:
    """Write the part of an image that is seen through a window, and 0 around it."""
    height, width = image.shape[:2]
    top = max(window.top, 0)
    left = max(window.left, 0)
    bottom = min(window.top + window.height, height)
    right = min(window.left + window.width, width)
    if (bottom - top, right - left) != out.shape[:2]:
        out[...] = 0
    rows = slice(top - window.top, bottom - window.top)
    columns = slice(left - window.left, right - window.left)
    out[rows, columns] = image[top:bottom, left:right]


def _flip(pixels: np.ndarray) -> None:
    """Mirror an image in place: OpenCV does it six times faster than NumPy."""
    cv2 = installed("cv2")
    if cv2 is None:
        pixels[...] = pixels[:, ::-1].copy()
        return
    made = cv2.flip(pixels, 1, dst=pixels)
    if made is not pixels:
        np.copyto(pixels, made)
