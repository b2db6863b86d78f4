"""JPEG files by simplejpeg: decoded at a fraction of their size where that is enough."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from dsrecords._types.budget import OF_PIXELS, claim
from dsrecords._types.image_conversion import LYING, orientation_of
from dsrecords._types.image_files import Opened, check_pixels
from dsrecords._vision.exif import EXIF, stated_orientation
from dsrecords._vision.filters import installed
from dsrecords._vision.plans import Plan, Planner, reduced, reduction

_CHANNELS = {"GRAY": 1, "RGB": 3, "RGBA": 4}
_COMPONENTS = (1, 3)  # grey, or colours
# JPEG (ITU-T T.81, B.1.1.4): a segment has 0xFF, its kind, and its length without these two. That
# of a frame (B.2.2) goes on with the bits of a sample, its size, and how many components it has.
_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHHB")
_FRAMES = frozenset((0xC0, 0xC1, 0xC2))  # of Huffman coding: baseline, extended, progressive
_APP1 = 0xE1  # EXIF and XMP
# APP0 to APP15, comments, and tables of several kinds. Whatever else there is, Pillow looks at it.
_BEFORE_FRAMES = frozenset((*range(0xE0, 0xF0), 0xFE, 0xC4, 0xDB, 0xDD))
_START = b"\xff\xd8"
# By orientation, which axes are flipped once rows and columns are exchanged, in OpenCV's numbers.
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
_AXES = {0: (0,), 1: (1,), -1: (0, 1)}
_MOST_SEGMENTS = 1000


class _Header(NamedTuple):
    """What the header of a JPEG says.

    Attributes:
        height: as it is stored.
        width: as it is stored.
        components: 1 of grey, 3 of colours.
        orientation: of EXIF, 1 to 8.
    """

    height: int
    width: int
    components: int
    orientation: int

    def upright_size(self) -> tuple[int, int]:
        """(height, width) as the image is meant to be seen."""
        if self.orientation in LYING:
            return self.width, self.height
        return self.height, self.width


def jpeg_region(
    data: memoryview,
    mode: str,
    planner: Planner,
    reduce: bool,
) -> tuple[np.ndarray, Plan] | None:
    """Decode the part of a JPEG that a plan keeps.

    Args:
        data: a file of any format.
        mode: "rgb", "gray" or "rgba". Of colours, "gray" is left to the caller.
        planner: makes a plan for an image of its size.
        reduce: whether it may be decoded at a fraction of its size.

    Returns:
        The pixels of the plan's box, uint8, (h, w, channels), and the plan; None if simplejpeg is
        not installed, or does not read this file, which may be no JPEG.

    Raises:
        DecodeError: the image is too large.
    """
    simplejpeg = installed("simplejpeg")
    if simplejpeg is None:
        return None
    header = _header(data)
    if header is None:
        return None
    check_pixels(header.height * header.width)
    height, width = header.upright_size()
    plan = planner(height, width)
    factor = 1
    if reduce:
        factor = reduction(plan)
    try:
        pixels = _decode(simplejpeg, data, header, mode, factor)
    except ValueError:
        return None
    if pixels is None:
        return None
    if header.orientation != 1:
        pixels = _turned(pixels, header.orientation)
    box = plan.box
    if factor > 1:
        box = reduced(box, (height, width), pixels.shape[:2])
    part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    return part, plan


def _header(data: memoryview) -> _Header | None:
    """The header of a JPEG of 8 bits, grey or coloured; None if it is none of these."""
    exif: list[memoryview] = []
    position = _frame_position(data, exif)
    if position is None:
        return None
    bits, height, width, components = _FRAME.unpack_from(data, position + _SEGMENT.size)
    if bits != 8 or components not in _COMPONENTS or not height or not width:
        return None
    orientation = 1
    if exif:
        orientation = _orientation(data, exif)
    return _Header(height, width, components, orientation)


def _frame_position(data: memoryview, exif: list[memoryview]) -> int | None:
    """Where a JPEG's frame is; None if there is none, or unusual segments are before it.

    A header is read as far as its frame: EXIF data is before that (EXIF 2.32, 4.5.5). Only segments
    are taken whose length is known, as libjpeg takes it: so it finds the same frame, and its memory
    is what was checked.

    Args:
        data: a file of any format.
        exif: for the segments that can have EXIF data, or XMP.
    """
    position = 2
    last = len(data) - _SEGMENT.size - _FRAME.size
    if last < position or data[:2] != _START:
        return None
    for _ in range(_MOST_SEGMENTS):
        if position > last:
            return None
        mark, kind, length = _SEGMENT.unpack_from(data, position)
        if mark != 0xFF or length < 2:
            return None
        if kind in _FRAMES:
            return position
        if kind not in _BEFORE_FRAMES:
            return None
        end = position + 2 + length
        if kind == _APP1:
            exif.append(data[position + _SEGMENT.size : end])
        position = end
    return None


def _orientation(data: memoryview, segments: list[memoryview]) -> int:
    """The orientation that a JPEG states, as Pillow reads it. Raises DecodeError.

    Args:
        data: the file.
        segments: those that can have it: EXIF data, or XMP.
    """
    start = len(EXIF)
    exif = [segment[start:] for segment in segments if segment[:start] == EXIF]
    if len(exif) == 1:
        stated = stated_orientation(exif[0])
        if stated is not None:
            return stated
    with Opened(data) as image:
        return orientation_of(image)


def _decode(
    simplejpeg: Any,
    data: memoryview,
    header: _Header,
    mode: str,
    factor: int,
) -> np.ndarray | None:
    """Decode a JPEG at 1/factor of its size: (h, w, channels). Raises ValueError, DecodeError.

    Returns None if simplejpeg finds another size than we do.
    """
    height = -(-header.height // factor)
    width = -(-header.width // factor)
    colours = _target(mode, header.components)
    channels = _CHANNELS[colours]
    claim(channels * height * width, OF_PIXELS * len(data))
    if factor == 1:
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, colorspace=colours)
    else:
        pixels = simplejpeg.decode_jpeg(
            data,
            colorspace=colours,
            min_height=height,
            min_width=width,
        )
    if pixels.shape != (height, width, channels):
        return None
    return pixels


def _target(mode: str, components: int) -> str:
    """What simplejpeg makes of a JPEG."""
    if mode == "rgba":
        return "RGBA"
    if mode == "gray" and components == 1:
        return "GRAY"
    return "RGB"


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """An image, turned as its EXIF orientation says (EXIF 2.32, 4.6.4).

    OpenCV does it four times faster than NumPy copies pixels in another order.
    """
    cv2 = installed("cv2")
    if cv2 is not None:
        if orientation in LYING:
            pixels = cv2.transpose(pixels)
        if orientation in _FLIPS:
            pixels = cv2.flip(pixels, _FLIPS[orientation])
        return pixels
    if orientation in LYING:
        pixels = pixels.swapaxes(0, 1)
    if orientation in _FLIPS:
        pixels = np.flip(pixels, _AXES[_FLIPS[orientation]])
    return np.ascontiguousarray(pixels)
