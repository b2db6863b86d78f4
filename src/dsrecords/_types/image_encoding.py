"""How images of Pillow and arrays become image files. What a format does not keep is refused.

Knows nothing of types. JPEG and WebP are lossy: what they keep is the kind of the pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.base import describe
from dsrecords._types.image_metadata import metadata_options
from dsrecords.errors import SchemaError

# Of JPEG and WebP made from pixels: the usual choice where compression should not show.
_QUALITY = 95
# The modes of Pillow that each format gives back. Pillow converts others without a word, or
# refuses them.
_KEPT_MODES: dict[str, tuple[str, ...]] = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": _QUALITY},
    # Else the colours of transparent pixels would be lost.
    "WEBP": {"quality": _QUALITY, "exact": True},
}
_BOOL = np.dtype(np.bool_)
_UINT8 = np.dtype(np.uint8)
_UINT16 = np.dtype(np.uint16)
_LOSSY_FORMATS = ("JPEG2000", "AVIF", "HEIF", "HEIC", "MPO")
# By dtype and channels, Pillow's mode of an array; 0 channels: it has no third dimension.
_MODES_OF_ARRAYS = {
    (_BOOL, 0): "1",
    (_UINT8, 0): "L",
    (_UINT8, 2): "LA",
    (_UINT8, 3): "RGB",
    (_UINT8, 4): "RGBA",
    (_UINT16, 0): "I;16",
    (_UINT16, 3): "RGB of 16 bits",
    (_UINT16, 4): "RGBA of 16 bits",
}
_MODES_OF_OPENCV = {  # which only OpenCV writes, as PNG, and the order of channels it expects
    "RGB of 16 bits": [2, 1, 0],
    "RGBA of 16 bits": [2, 1, 0, 3],
}
_FEWEST_PIXELS = 5  # of a side, for a first dimension to be taken for channels
_CHANNELS = (1, 2, 3, 4)


def encode_array(
    array: np.ndarray,
    format: str,
    name: str,
) -> bytes:
    """Return an array as an image file, which `decode="array"` reads as the same array.

    But for (height, width, 1), which is read as (height, width), and for what JPEG and WebP lose.

    Args:
        array: (height, width) or (height, width, channels).
        format: "PNG", "JPEG" or "WEBP".
        name: of the type, for messages.

    Raises:
        SchemaError: the format cannot hold it.
        ImportError: OpenCV is needed and not installed.
    """
    _check_shape(array, name)
    if array.shape[2:] == (1,):
        array = array[:, :, 0]
    channels = 0
    if array.ndim == 3:
        channels = array.shape[2]
    native_dtype = array.dtype.newbyteorder("=")
    mode = _MODES_OF_ARRAYS.get((native_dtype, channels))
    if mode is None:
        raise _wrong_array(array, name)
    order = _MODES_OF_OPENCV.get(mode)
    if order and format == "PNG":
        return _encode_by_opencv(array, order)
    if mode not in _KEPT_MODES[format]:
        message = f"{name} does not keep {describe(array)} as it is"
        raise SchemaError(f"{message}{_advice(mode)}")
    native = np.ascontiguousarray(array, native_dtype)
    pillow = import_optional("PIL.Image", "pillow")
    image = pillow.fromarray(native)
    return _save(image, format, name, _OPTIONS[format])


def _check_shape(array: np.ndarray, name: str) -> None:
    """Raise SchemaError if an array is no height × width, or height × width × channels."""
    shape = array.shape
    if len(shape) not in (2, 3) or 0 in shape:
        raise _wrong_array(array, name)
    if len(shape) == 2 or shape[2] in _CHANNELS:
        return
    if shape[0] in _CHANNELS and min(shape[1:]) >= _FEWEST_PIXELS:
        given = describe(array)
        problem = f"{given} seems to be channels × height × width"
        advice = "give height × width × channels, as array.transpose(1, 2, 0) has it"
        raise SchemaError(f"{name}: {problem}: {advice}")


def _wrong_array(array: np.ndarray, name: str) -> SchemaError:
    given = describe(array)
    shapes = "height × width or height × width × channel"
    expected = f"an array of uint8, {shapes}"
    if name in ("png", "image"):
        expected = f"an array of uint8, uint16 or bool, {shapes}"
    message = f"{name} takes {expected}, not {given}"
    if array.ndim in (2, 3) and array.size:
        channels = "".join(f",{size}" for size in array.shape[2:])
        message += f"; the type {array.dtype.name}[*,*{channels}] would keep it"
    return SchemaError(message)


def _advice(mode: str) -> str:
    """The types that keep what has this mode, as the end of a message."""
    names = []
    for format, modes in _KEPT_MODES.items():
        if mode in modes:
            names.append(format.lower())
    if mode in _MODES_OF_OPENCV:
        names.append("png")
    if not names:
        return ": convert it, as image.convert('RGB') does, or give the pixels to the type array"
    kept_by = " and ".join(names)
    return f": {kept_by} would"


def _encode_by_opencv(array: np.ndarray, order: list[int]) -> bytes:
    cv2 = import_optional("cv2", "opencv-python-headless")
    native = array.astype(np.uint16)
    ordered = np.ascontiguousarray(native[:, :, order])
    _, encoded = cv2.imencode(".png", ordered)
    return bytes(encoded.tobytes())


def encode_pillow(
    image: Any,
    format: str,
    name: str,
    options: Mapping[str, Any],
) -> bytes:
    """Return a Pillow image as an image file, with its EXIF data, ICC profile and XMP.

    Args:
        image: of Pillow.
        format: Pillow's name of one.
        name: of the type, for messages.
        options: of `PIL.Image.Image.save`, before those that are chosen here.

    Raises:
        SchemaError: the format cannot hold it, or Pillow cannot write it.
    """
    chosen: dict[str, Any] = {}
    try:
        if not options.get("save_all"):
            _check_frames(image, name)
        if format in _KEPT_MODES:
            _check_mode(image, format, name)
            chosen.update(_OPTIONS[format])
            chosen.update(metadata_options(image, format))
    except (SchemaError, ImportError):
        raise
    except Exception as error:  # an image that cannot be loaded
        raise _failed(image, name, error) from error
    chosen.update(options)
    data = _save(image, format, name, chosen)
    if format not in _KEPT_MODES and not options.get("save_all"):
        _check_kept(image, data, format, name)
    return data


def _check_kept(
    image: Any,
    data: bytes,
    format: str,
    name: str,
) -> None:
    """Raise SchemaError if a file of a format that Pillow alone knows is another image."""
    pillow = import_optional("PIL.Image", "pillow")
    try:
        written = pillow.open(io.BytesIO(data))
        written.load()
    except OSError:  # Pillow writes this format, and does not read it
        return
    if not _is_kept(image, written, format):
        given = f"a Pillow image of mode {image.mode}"
        raise SchemaError(f"{name} does not keep {given} as it is{_advice(image.mode)}")


def _is_kept(
    image: Any,
    written: Any,
    format: str,
) -> bool:
    if written.size != image.size:
        return False
    if format in _LOSSY_FORMATS:
        return bool(written.mode == image.mode)
    try:
        same_mode = written.convert(image.mode)
    except ValueError:  # no pixels of the one become pixels of the other
        return False
    return bool(same_mode.tobytes() == image.tobytes())


def _save(
    image: Any,
    format: str,
    name: str,
    options: Mapping[str, Any],
) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **options)
    except Exception as error:  # Pillow's encoders raise errors of many classes
        raise _failed(image, name, error) from error
    return buffer.getvalue()


def _failed(
    image: Any,
    name: str,
    error: Exception,
) -> SchemaError:
    failure = f"Pillow cannot write this image (mode {image.mode}) as {name}"
    return SchemaError(f"{failure}: {error}")


def _check_frames(image: Any, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        problem = f"{name} would keep one of the {frames} frames of this image"
        raise SchemaError(f"{problem}: give the file it is from, or one frame, as image.copy()")


def _check_mode(image: Any, format: str, name: str) -> None:
    mode = image.mode
    if mode not in _KEPT_MODES[format]:
        given = f"a Pillow image of mode {mode}"
        raise SchemaError(f"{name} does not keep {given} as it is{_advice(mode)}")
    if mode == "P":
        _check_palette(image, name)
    if format != "PNG" and "transparency" in image.info:
        advice = "png keeps it, or convert the image, as image.convert('RGBA') does"
        raise SchemaError(f"{name} does not keep a colour that is transparent: {advice}")


def _check_palette(image: Any, name: str) -> None:
    """Raise SchemaError if pixels refer to colours that are not in the palette.

    Pillow writes as few bits a pixel as the colours need, and would cut such pixels.
    """
    colours = len(image.getpalette() or ()) // 3
    _, highest = image.getextrema()
    if highest >= colours:
        problem = f"the palette of this image has {colours} colours, a pixel the number {highest}"
        raise SchemaError(f"{name}: {problem}: give the numbers as an array")
