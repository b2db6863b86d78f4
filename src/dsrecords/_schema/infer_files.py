"""The type of files: of paths, and of images that Pillow has opened."""

from __future__ import annotations

import os
from typing import Any

from dsrecords._format.signatures import image_format, is_audio, is_video
from dsrecords._schema.examples import Example, Examples, several_types
from dsrecords._schema.kinds import is_pillow_image
from dsrecords._types.base import describe
from dsrecords._types.image_originals import original_file
from dsrecords._types.parse import parse
from dsrecords.errors import SchemaError

_FIRST = 4096  # bytes of a file that tell its format
_LAST = 32  # bytes that tell it where the first do not, as of TGA
_OF_ONE_FORMAT = ("JPEG", "PNG", "WEBP")  # formats of which a type has the name
_ENCODED_AS_PNG = ("1", "L", "LA", "RGB", "RGBA", "I;16")  # modes that PNG keeps
_ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jp2", ".avif"),
    *(".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au"),
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"),
)


def infer_file(examples: Examples) -> str:
    """Return the type of files; `image` where images have several formats.

    Args:
        examples: paths, and images of Pillow.

    Raises:
        SchemaError: some are images and others are not, or one has no known format.
        FileNotFoundError: there is no such file.
    """
    first_of_type: dict[str, Example] = {}
    for example in examples:
        name = _type_of_file(example.value)
        first_of_type.setdefault(name, example)
    if len(first_of_type) == 1:
        return next(iter(first_of_type))
    for name in ("audio", "video"):
        if name in first_of_type:
            one, other, *_ = first_of_type.values()
            raise several_types(one, other)
    return "image"


def _type_of_file(value: Any) -> str:
    if is_pillow_image(value):
        return _type_of_image(value)
    name = _type_of_path(value)
    if name is None:
        problem = "is not an image, a sound or a video of a known format"
        advice = "specify 'file' to store it as it is, or give the contents as bytes"
        raise SchemaError(f"{os.fspath(value)} {problem}: {advice}")
    return name


def _type_of_image(image: Any) -> str:
    """Return the type that keeps an image of Pillow: that of its file, if it is still the same."""
    original = original_file(image, _is_image)
    if original is not None:
        return _image_type(str(image_format(original)))
    if image.mode not in _ENCODED_AS_PNG:
        _require_png(image)
    return "png"


def _is_image(data: bytes) -> bool:
    return image_format(data) is not None


def _require_png(image: Any) -> None:
    """Raise SchemaError if an image of an unusual mode cannot be stored as PNG."""
    png = parse("png")
    try:
        png.dump(image)
    except (ValueError, OSError) as error:
        advice = 'give image.convert("RGB"), or its pixels as an array: np.asarray(image)'
        message = f"{describe(image)} of mode {image.mode} cannot be stored as PNG: {advice}"
        raise SchemaError(message) from error


def _type_of_path(path: str | os.PathLike[str]) -> str | None:
    """Return the type of a file by its bytes; None if they are of no known format."""
    with open(path, "rb") as file:
        start = file.read(_FIRST)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _LAST, len(start)))
        end = file.read()
    format = image_format(start + end)
    if format is not None:
        return _image_type(format)
    if is_audio(start):
        return "audio"
    if is_video(start):
        return "video"
    return None


def _image_type(format: str) -> str:
    """Return the type of images of a format, by Pillow's name of it."""
    if format in _OF_ONE_FORMAT:
        return format.lower()
    return "image"


def refuse_path(string: str) -> None:
    """Raise SchemaError if a string is the path of an image, a sound or a video that is there."""
    if not string.lower().endswith(_ENDINGS):
        return
    if not os.path.isfile(string):
        return
    name = _type_of_path(string)
    if name is None:
        return
    what = {"audio": "a sound", "video": "a video"}.get(name, "an image")
    advice = f"specify 'str' or '{name}', or give paths as pathlib.Path"
    raise SchemaError(f"{string!r} is a string, and the path of {what}: {advice}")
