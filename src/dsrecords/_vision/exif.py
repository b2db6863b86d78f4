"""The orientation of usual EXIF data, in a tenth of the time that Pillow takes for all of it."""

from __future__ import annotations

import struct

EXIF = b"Exif\0\0"
"""What a segment of a JPEG with EXIF data begins with (EXIF 2.32, 4.7.2.1)."""

_TIFF_HEADERS = {b"II*\0\x08\0\0\0": "<", b"MM\0*\0\0\0\x08": ">"}  # the first directory follows
_HEADER_SIZE = 8
_ENTRY_SIZE = 12
_ORIENTATION = 0x0112
_SHORT = 3
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)  # in bytes, by type
_INLINE = 4  # bytes: what is larger is elsewhere


def stated_orientation(exif: memoryview) -> int | None:
    """Return the orientation that EXIF data states.

    Args:
        exif: a TIFF file, without `EXIF` in front.

    Returns:
        The number; None if there is none, or the data is built unusually: then Pillow decides.
    """
    order = _TIFF_HEADERS.get(bytes(exif[:_HEADER_SIZE]))
    start = _HEADER_SIZE + 2
    if order is None or len(exif) < start:
        return None
    (count,) = struct.unpack_from(f"{order}H", exif, _HEADER_SIZE)
    stop = start + count * _ENTRY_SIZE
    if stop > len(exif):
        return None
    entries = struct.iter_unpack(f"{order}HHII", exif[start:stop])
    values = []
    for tag, kind, length, value in entries:
        if not _is_whole(kind, length, value, len(exif)):
            return None  # Pillow reads nothing of what follows
        if tag == _ORIENTATION:
            values.append((kind, length, value))
    if len(values) != 1:
        return None
    kind, length, value = values[0]
    if kind != _SHORT or length != 1:
        return None
    found: int = value & 0xFFFF
    if order == ">":
        found = value >> 16
    return found


def _is_whole(
    kind: int,
    length: int,
    value: int,
    end: int,
) -> bool:
    """Whether the values of an entry are within the data, if they are not in the entry itself."""
    if kind >= len(_SIZES):
        return False
    size = _SIZES[kind] * length
    return size <= _INLINE or value + size <= end
