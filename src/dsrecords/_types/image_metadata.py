"""What a Pillow image says beside its pixels: EXIF, the ICC profile and XMP, as `save` takes them.

Pillow keeps them where an image is read, resized or cropped, and drops them where it is saved.
"""

from __future__ import annotations

from typing import Any

from dsrecords._optional import import_optional

_EXIF_PREFIX = b"Exif\0\0"
_XMP_KEYWORD = "XML:com.adobe.xmp"  # of the text chunk that PNG has it in
# Of a TIFF, the tags that describe the picture and not the file. EXIF 2.32, 4.6.4.
_DESCRIBING_TAGS = (
    *(0x010E, 0x010F, 0x0110),  # description, make and model
    *(0x0112, 0x0131, 0x0132),  # orientation, software, time
    *(0x013B, 0x8298),  # artist, copyright
    *(0x8769, 0x8825),  # the tables of EXIF and of GPS
)
# The colour space that a profile is for (ICC.1:2022, 7.2, bytes 16 to 19), by Pillow's mode.
_PROFILE_SPACES = {
    "1": b"GRAY",
    "L": b"GRAY",
    "LA": b"GRAY",
    "I;16": b"GRAY",
    "I;16B": b"GRAY",
    "P": b"RGB ",
    "RGB": b"RGB ",
    "RGBA": b"RGB ",
    "CMYK": b"CMYK",
}


def metadata_options(image: Any, format: str) -> dict[str, Any]:
    """Return the options of `save` that keep the metadata of an image as JPEG, PNG or WebP."""
    options: dict[str, Any] = {"icc_profile": _profile(image)}
    exif = _exif(image)
    if exif:
        options["exif"] = exif
    xmp = _xmp(image)
    if not xmp:
        return options
    if format == "PNG":
        plugin = import_optional("PIL.PngImagePlugin", "pillow")
        texts = plugin.PngInfo()
        texts.add_itxt(_XMP_KEYWORD, xmp.decode("utf-8", "replace"))
        options["pnginfo"] = texts
    else:
        options["xmp"] = xmp
    return options


def _profile(image: Any) -> bytes:
    """The ICC profile of an image; empty if it is for other colours.

    Pillow's `convert` leaves the profile of the old colours with the new ones.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes):
        return b""
    if profile[16:20] != _PROFILE_SPACES.get(image.mode):
        return b""
    return profile


def _exif(image: Any) -> bytes:
    """The EXIF data of an image, with what the program has changed of it; empty if there is none.

    What was not changed stays byte for byte: to pack it again would break notes of the makers.
    """
    stored = image.info.get("exif") or b""
    try:
        current = image.getexif()
        packed: bytes = b""
        if hasattr(image, "tag_v2"):
            current = _of_tiff(current)
        if len(current):
            packed = current.tobytes()
        if stored:
            pillow = import_optional("PIL.Image", "pillow")
            original = pillow.Exif()
            original.load(stored)
            if original.tobytes() == packed:
                packed = stored
    except Exception:  # noqa: BLE001 - what Pillow cannot read or pack is kept as it is
        packed = stored
    if packed and not packed.startswith(_EXIF_PREFIX):
        packed = _EXIF_PREFIX + packed
    return packed


def _of_tiff(exif: Any) -> Any:
    """What describes the picture among the tags of a TIFF, without those that describe the file."""
    pillow = import_optional("PIL.Image", "pillow")
    kept = pillow.Exif()
    for tag, value in exif.items():
        if tag in _DESCRIBING_TAGS:
            kept[tag] = value
    for tag in (0x8769, 0x8825):
        table = exif.get_ifd(tag)
        if table:
            kept[tag] = dict(table)
    return kept


def _xmp(image: Any) -> bytes:
    xmp = image.info.get("xmp") or image.info.get(_XMP_KEYWORD) or b""
    if isinstance(xmp, str):
        return xmp.encode()
    if isinstance(xmp, bytes):
        return xmp
    return b""
