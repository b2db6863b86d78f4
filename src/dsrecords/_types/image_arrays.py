"""Images as arrays: the pixels as they are stored, of all frames. Knows nothing of types."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._format.signatures import image_format
from dsrecords._optional import import_optional
from dsrecords._types.budget import OF_PIXELS, claim
from dsrecords._types.image_depth import dtype_of_integers, lost_bits, stored_bits
from dsrecords._types.image_files import (
    Opened,
    check_pixels,
    claim_pixels,
    raise_decode_error,
)
from dsrecords.errors import DecodeError

# The modes of Pillow whose pixels an array has as they are.
_ARRAY_MODES = ("L", "LA", "RGB", "RGBA", "F")
_MODES_OF_16_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
# What images of other modes are converted to.
_CONVERTED = {
    "La": "LA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}
_COLOURS_OF_SIMPLEJPEG = ("RGB", "YCBCR")
# Formats whose frames are one picture in time, or pages. The pictures of the others (MPO, HEIF,
# ICO, PSD) are previews, other sizes and layers of the first.
_FORMATS_WITH_FRAMES = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")


def as_pixels(data: memoryview) -> np.ndarray:
    """Decode an image file to an array of its own dtype.

    Returns:
        (height, width) if grey, (height, width, 2) if grey with transparency, (height, width, 3)
        of RGB or (height, width, 4) of RGBA; with the number of frames in front if there are
        several.

    Raises:
        DecodeError: the file cannot be decoded, or not without changing what it holds.
    """
    with Opened(data) as image:
        lost = lost_bits(image, data)
        if lost:
            return _by_another_reader(image, data, lost)
        frames = 1
        if image.format in _FORMATS_WITH_FRAMES:
            frames = getattr(image, "n_frames", 1)
        claim_pixels(image, frames, data)
        if frames > 1:
            return _all_frames(image, data, frames)
        image.load()
        return _pixels(image, data)


def _pixels(image: Any, data: memoryview) -> np.ndarray:
    """The pixels of a loaded Pillow image."""
    mode = image.mode
    if mode == "P":
        mode = "RGB"
        if has_transparent_palette(image):
            mode = "RGBA"
    mode = _CONVERTED.get(mode, mode)
    if mode != image.mode:
        image = image.convert(mode)
    if mode in _ARRAY_MODES:
        return np.array(image)
    if mode == "1":
        # Pillow's own array of bool has bytes of 255 for True, of which NumPy's sums are wrong.
        grey: np.ndarray = np.array(image.convert("L"))
        return grey.astype(bool)
    if mode in _MODES_OF_16_BITS:
        return np.array(image, np.uint16)
    if mode == "I":
        dtype = dtype_of_integers(image, data)
        return np.array(image).astype(dtype)
    raise DecodeError(f"an image of Pillow's mode {mode} is no array: decode as 'pil' or 'bytes'")


def has_transparent_palette(image: Any) -> bool:
    """Whether colours of an image's palette are transparent."""
    if "transparency" in image.info:
        return True
    palette = image.palette
    return palette is not None and palette.mode.endswith("A")


def _all_frames(image: Any, data: memoryview, count: int) -> np.ndarray:
    """The pixels of several frames: (count, height, width, …)."""
    width, height = image.size
    check_pixels(count * width * height)
    frames = []
    for i in range(count):
        image.seek(i)
        image.load()
        lost = lost_bits(image, data)
        if lost:
            raise DecodeError(f"frame {i} has {lost}: decode as 'bytes'")
        frames.append(_pixels(image, data))
    shapes = {frame.shape[:2] for frame in frames}
    if len(shapes) > 1:
        text = f"{count} frames of different sizes are no array"
        raise DecodeError(f"{text}: decode as 'pil' and use seek(), or as 'bytes'")
    kinds = {(frame.dtype, frame.shape) for frame in frames}
    if len(kinds) > 1:
        frames = _as_one_kind(frames)
    return np.stack(frames)


def _as_one_kind(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Frames of 8 bits, of which some have colours or transparency, and others have not."""
    if any(frame.dtype != np.uint8 for frame in frames):
        kinds = ", ".join(sorted({frame.dtype.name for frame in frames}))
        text = f"frames of several dtypes ({kinds}) are no array"
        raise DecodeError(f"{text}: decode as 'pil' and use seek(), or as 'bytes'")
    pillow = import_optional("PIL.Image", "pillow")
    mode = "RGB"
    if any(frame.shape[2:] in ((2,), (4,)) for frame in frames):
        mode = "RGBA"
    images = [pillow.fromarray(frame) for frame in frames]
    return [np.array(image.convert(mode)) for image in images]


def _by_another_reader(image: Any, data: memoryview, lost: str) -> np.ndarray:
    """The pixels of a file of which Pillow does not keep all bits: PNG by OpenCV, others not."""
    if image.format != "PNG":
        advice = "decode as 'bytes', and read them with another package"
        if image.format == "TIFF":
            advice += ", such as tifffile"
        raise DecodeError(f"a {image.format} image with {lost}: {advice}")
    if getattr(image, "n_frames", 1) > 1:
        raise DecodeError(f"an animated PNG image with {lost}: decode as 'bytes'")
    cv2 = import_optional("cv2", "opencv-python-headless")
    encoded = np.frombuffer(data, np.uint8)
    pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or stored_bits(image, data) != 16:
        raise DecodeError(f"OpenCV cannot decode this PNG image with {lost}: decode as 'bytes'")
    channels = pixels.shape[-1]
    order = [2, 1, 0, 3][:channels]  # of BGR(A), as RGB(A)
    rgb: np.ndarray = np.ascontiguousarray(pixels[:, :, order])
    is_grey = data[25] == 4  # the colour type of the header: grey with transparency
    if is_grey:
        return np.ascontiguousarray(rgb[:, :, [0, 3]])
    return rgb


def as_pixels_by_simplejpeg(data: memoryview) -> np.ndarray:
    """The same as `as_pixels`, but what simplejpeg reads of JPEG is decoded by it, faster.

    It reads grey and coloured files without a fault. All others are left to Pillow.
    """
    if image_format(data) != "JPEG":
        return as_pixels(data)
    try:
        pixels = _decode_by_simplejpeg(data)
    except DecodeError:
        raise
    except ValueError:  # of simplejpeg: it does not read this file
        pixels = None
    except MemoryError as error:
        raise_decode_error(error, "JPEG")
    if pixels is None:
        return as_pixels(data)
    return pixels


def _decode_by_simplejpeg(data: memoryview) -> np.ndarray | None:
    """The pixels of a JPEG; None if it is neither grey nor RGB. Raises ValueError."""
    simplejpeg = import_optional("simplejpeg", "simplejpeg")
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    check_pixels(height * width)
    claim(3 * height * width, OF_PIXELS * len(data))
    if colorspace.upper() == "GRAY":
        grey: np.ndarray = simplejpeg.decode_jpeg(data, colorspace="GRAY")
        return grey[:, :, 0]
    if colorspace.upper() not in _COLOURS_OF_SIMPLEJPEG:
        return None
    colours: np.ndarray = simplejpeg.decode_jpeg(data, colorspace="RGB")
    return colours
