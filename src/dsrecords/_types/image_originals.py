"""The file that a Pillow image was opened from, if the image is still what the file holds.

Nothing is taken on trust: Pillow does not tell whether an image was changed in place, nor whether
the file behind a path is still the one that was opened.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from typing import Any

from dsrecords._format.signatures import image_format
from dsrecords._optional import import_optional

Recognizes = Callable[[bytes], bool]

_KEPT = "dsrecords_file"  # the attribute of an image that was read from a dataset


def keep_file(image: Any, data: bytes) -> None:
    """Let a Pillow image that was read from a dataset know the file that was stored.

    Pillow lets go of it as soon as the image is loaded; then the image, given to another dataset,
    would be encoded anew.
    """
    setattr(image, _KEPT, data)


def original_file(image: Any, recognizes: Recognizes) -> bytes | None:
    """Return the file that holds exactly what a Pillow image shows; None if that is not certain.

    Args:
        image: of Pillow. It may become loaded.
        recognizes: whether a file is of a format that is wanted.
    """
    plugin = import_optional("PIL.ImageFile", "pillow")
    if not isinstance(image, plugin.ImageFile):
        return None
    for data in _candidates(image):
        if recognizes(data) and _holds(data, image):
            return data
    return None


def _candidates(image: Any) -> Iterator[bytes]:
    """The contents of files that an image may be from."""
    kept = getattr(image, _KEPT, None)
    if kept is not None:
        yield kept
    for name in ("fp", "_fp"):
        data = _contents(getattr(image, name, None))
        if data:
            yield data
    path = getattr(image, "filename", None)
    if path and not _waits_for_file(image) and os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                yield file.read()
        except OSError:  # it is gone, or may not be read: then it is no candidate
            return


def _contents(file: Any) -> bytes | None:
    """All of an open file, whose position stays as it is; None if it cannot be read."""
    try:
        position = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(position)
        if isinstance(file, io.BufferedReader) and not _is_on_disk(data, file):
            return None
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    if isinstance(data, bytes):
        return data
    return None


def _is_on_disk(data: bytes, file: io.BufferedReader) -> bool:
    """Whether this is what an open file has now.

    Where it was written over in place, its buffer still had what was there before.
    """
    raw: Any = file.raw
    position = raw.tell()
    raw.seek(0)
    on_disk = raw.readall()
    raw.seek(position)
    return bool(data == on_disk)


def _waits_for_file(image: Any) -> bool:
    """Whether the pixels of an image are still to be read from its open file.

    Whatever changes pixels loads them first. Formats without tiles are decoded from memory.
    """
    return bool(getattr(image, "tile", None))


def _holds(data: bytes, image: Any) -> bool:
    """Whether opening this file gives the image as it is now: pixels, colours and metadata."""
    pillow = import_optional("PIL.Image", "pillow")
    file = io.BytesIO(data)
    try:
        with pillow.open(file, formats=[image_format(data)]) as fresh:
            if type(fresh) is not type(image) or _frame(image) != 0:
                return False
            if _waits_for_file(image) and _setup(image) == _setup(fresh):
                return _looks_like(image, fresh)
            image.load()
            fresh.load()
            if not _looks_like(image, fresh):
                return False
            return bool(image.tobytes() == fresh.tobytes())
    except Exception:  # noqa: BLE001 - whatever cannot be compared is not proved to be the same
        return False


def _frame(image: Any) -> int:
    """Which of its frames an image shows."""
    return int(image.tell())


def _setup(image: Any) -> tuple[Any, ...]:
    """How the pixels of an image that is not loaded will be decoded, `draft` included."""
    return (image.tile, getattr(image, "decoderconfig", ()))


def _looks_like(image: Any, fresh: Any) -> bool:
    """Whether two images have the same mode, size, palette and metadata."""
    return (
        image.mode == fresh.mode
        and image.size == fresh.size
        and _palette(image) == _palette(fresh)
        and image.info == fresh.info
        and _tags(image) == _tags(fresh)
        and _has_same_exif(image, fresh)
    )


def _palette(image: Any) -> Any:
    if image.palette is None:
        return None
    mode, colours = image.palette.getdata()
    return mode, bytes(colours)


def _tags(image: Any) -> Any:
    """The tags of a TIFF."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return None
    return dict(tags)


def _has_same_exif(image: Any, fresh: Any) -> bool:
    """Whether the EXIF data of an image, which a program may have changed, is that of the file."""
    if getattr(image, "_exif", None) is None:
        return True  # nobody has looked at it
    ours = image.getexif()
    theirs = fresh.getexif()
    return dict(ours) == dict(theirs) and ours.tobytes() == theirs.tobytes()
