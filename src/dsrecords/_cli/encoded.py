"""Values that are encoded files: which fields have them, and what can be said of one undecoded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dsrecords._stats.text import byte_count

_PICTURE = re.compile(r"(zstd\()?(image|jpeg|png|webp)\??\)?\??")
_MEDIA = re.compile(r"(zstd\(|list\[)*(image|jpeg|png|webp|audio|video)[\]\)?]*")
_PIXELS = re.compile(r"uint8\[(\d+|\*),(\d+|\*)(,[134])?\]\??")

# What files of these formats begin with: bytes, where they are, and the usual ending.
_SIGNATURES = (
    (b"\xff\xd8\xff", 0, "JPEG", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG", ".png"),
    (b"WEBP", 8, "WebP", ".webp"),
    (b"WAVE", 8, "WAV", ".wav"),
    (b"GIF8", 0, "GIF", ".gif"),
    (b"II*\x00", 0, "TIFF", ".tiff"),
    (b"MM\x00*", 0, "TIFF", ".tiff"),
    (b"BM", 0, "BMP", ".bmp"),
    (b"ftyp", 4, "MP4", ".mp4"),
    (b"fLaC", 0, "FLAC", ".flac"),
    (b"OggS", 0, "Ogg", ".ogg"),
    (b"ID3", 0, "MP3", ".mp3"),
    (b"\xff\xfb", 0, "MP3", ".mp3"),
    (b"\x1aE\xdf\xa3", 0, "Matroska", ".mkv"),
    (b"%PDF", 0, "PDF", ".pdf"),
)


def types_of(schema: Mapping[Any, str] | Sequence[str]) -> dict[Any, str]:
    """Return the names of types by field; without names by position."""
    if isinstance(schema, Mapping):
        return dict(schema)
    return dict(enumerate(schema))


def as_bytes(types: Mapping[Any, str]) -> dict[Any, str]:
    """Return the `decode` of `dsrecords.open` with which nothing is decoded that is a file."""
    decode = {}
    for key, name in types.items():
        if _MEDIA.fullmatch(name):
            decode[key] = "bytes"
    return decode


def is_picture(type_name: str) -> bool:
    """Return whether values of a type are image files."""
    return _PICTURE.fullmatch(type_name) is not None


def is_pixels(type_name: str) -> bool:
    """Return whether values of a type are arrays that can be shown as pictures."""
    return _PIXELS.fullmatch(type_name) is not None


def format_of(data: bytes | memoryview) -> tuple[str, str]:
    """Return the name of a file's format and its usual ending; both empty if it is not known."""
    start = data[:16]
    beginning = bytes(start)
    for signature, offset, name, ending in _SIGNATURES:
        if beginning.startswith(signature, offset):
            return name, ending
    return "", ""


def described(data: bytes | memoryview, size: tuple[int, int] | None = None) -> str:
    """Return what is said of an encoded file: its format, its height and width, its size."""
    words = []
    name, _ = format_of(data)
    if name:
        words.append(name)
    if size is not None:
        height, width = size
        words.append(f"{width}×{height}")
    length = len(data)
    words.append(byte_count(length))
    return " ".join(words)
