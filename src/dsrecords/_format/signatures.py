"""What data of other formats begins with, as their specifications say.

Knows nothing of files, of which it is only given the first bytes.
"""

from __future__ import annotations

import re

Data = bytes | memoryview
Signature = tuple[tuple[int, bytes], ...]

# Pillow's name of each image format, and its signature: offsets, and the bytes that are there.
_IMAGES: tuple[tuple[str, Signature], ...] = (
    ("JPEG", ((0, b"\xff\xd8\xff"),)),
    ("PNG", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ("WEBP", ((8, b"WEBP"), (0, b"RIFF"))),
    ("GIF", ((0, b"GIF8"),)),
    ("BMP", ((0, b"BM"),)),
    ("TIFF", ((0, b"II*\0"),)),
    ("TIFF", ((0, b"MM\0*"),)),
    ("TIFF", ((0, b"II+\0"),)),  # BigTIFF
    ("TIFF", ((0, b"MM\0+"),)),
    ("JPEG2000", ((3, b"\x0cjP  \r\n\x87\n"),)),
    ("JPEG2000", ((0, b"\xff\x4f\xff\x51"),)),  # a bare codestream
    ("PSD", ((0, b"8BPS\0\1"),)),
    ("DDS", ((0, b"DDS \x7c\0\0\0"),)),
    ("QOI", ((0, b"qoif"),)),
    ("ICNS", ((0, b"icns\0"),)),
)
# Of formats whose signatures are no fixed bytes.
_IMAGE_PATTERNS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("PPM", re.compile(rb"P[1-6f][\s#]")),
    ("ICO", re.compile(rb"\x00\x00\x01\x00[^\x00]\x00...\x00", re.DOTALL)),
    ("PCX", re.compile(rb"\x0a[\x00\x02\x03\x05]\x01[\x01\x02\x04\x08]")),
    ("SGI", re.compile(rb"\x01\xda[\x00\x01][\x01\x02]\x00[\x01-\x03]")),
)
# What other data may begin with by chance. It is an image only where an image is expected.
_WEAK_SIGNATURES = ("BMP", "PPM", "ICO", "PCX", "SGI", "TGA")
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"  # TGA has no signature at the start; older files have none
# ISO 14496-12: which files of the family are images, by their major or compatible brands.
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (
    *(b"heic", b"heix", b"heim", b"heis"),
    *(b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
)
_LONGEST_BRANDS = 256  # bytes of the box with the brands that are looked at
# WAV, FLAC, Ogg, AU, AIFF, MP3 with and without tags (of MPEG 1, 2 and 2.5).
_SOUND = re.compile(
    rb"RIFF....WAVE|fLaC|OggS|\.snd|FORM....AIF|ID3|\xff[\xfb\xfa\xf3\xf2\xe3\xe2]",
    re.DOTALL,
)
# The brands of ISO media files (ISO/IEC 14496-12) that are images or sound alone.
_BRANDS_OF_OTHERS = rb"avif|avis|heic|heix|heim|heis|hevc|hevx|mif1|msf1|jxl |crx |M4A |M4B |M4P "
# MP4 and MOV, Matroska and WebM, AVI, MPEG-TS (with and without times), MPEG-PS, FLV, ASF, Ogg.
_VIDEO = re.compile(
    rb"....ftyp(?!" + _BRANDS_OF_OTHERS + rb")"
    rb"|....(?:moov|mdat|wide|pnot)"
    rb"|\x1a\x45\xdf\xa3"
    rb"|RIFF....AVI "
    rb"|\x47.{187}\x47"
    rb"|.{4}\x47.{191}\x47"
    rb"|\x00\x00\x01[\xba\xb3]"
    rb"|FLV\x01"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11"
    rb"|OggS",
    re.DOTALL,
)
_WEB_PAGE = re.compile(rb"\s{0,99}<(!doctype\s{1,9}html|html|head)\b", re.IGNORECASE)
# Offset, bytes, what it is.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x0a\x23\xd7\xce", "an MXNet RecordIO file"),
    (16, b"\xde\xc0\xef\xbe", "an LMDB database (data.mdb)"),
    (0, b"\x93NUMPY", "a NumPy array (.npy)"),
    (0, b"PK\x03\x04", "a zip archive (such as .npz, or a PyTorch checkpoint)"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"\xff\xff\xff\xff", "an Arrow stream"),
    (257, b"ustar", "a tar archive (such as WebDataset's)"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"MATLAB 5.0", "a MATLAB file"),
    (0, b"Obj\x01", "an Avro file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x7fELF", "a program"),
    (0, b"\x89DSR", "a DSRecords file that was changed by a transfer as text"),
    (0, b"version https://git-lfs.github.com/spec/", "a Git LFS pointer: run git lfs pull"),
    (0, b"\x89DSX", "the index of a dataset: give the .rec file"),
)


def image_format(data: Data) -> str | None:
    """Pillow's name of the image format that these bytes are in; None if it is no known one.

    All formats but TGA are known by the first bytes.
    """
    for name, signature in _IMAGES:
        if _has_signature(data, signature):
            return name
    if data[4:8] == b"ftyp":
        return _brand_format(data)
    for name, pattern in _IMAGE_PATTERNS:
        if pattern.match(data):
            return name
    if data[-len(_TGA_FOOTER) :] == _TGA_FOOTER:
        return "TGA"
    return None


def _brand_format(data: Data) -> str | None:
    """Which image format a file of the family of ISO 14496-12 is in."""
    box_size = int.from_bytes(data[:4], "big")
    box = bytes(data[8 : min(box_size, _LONGEST_BRANDS)])
    brands = [box[i : i + 4] for i in range(0, len(box), 4)]
    del brands[1:2]  # the version of the major brand
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    if any(brand in _HEIF_BRANDS for brand in brands[:1]):
        return "HEIF"
    return None


def _has_signature(data: Data, signature: Signature) -> bool:
    for offset, expected in signature:
        end = offset + len(expected)
        if data[offset:end] != expected:
            return False
    return True


def is_audio(data: Data) -> bool:
    """Whether these bytes begin as an audio file of a known format does."""
    return _SOUND.match(data) is not None


def is_video(data: Data) -> bool:
    """Whether these bytes begin as a video file of a known format does."""
    return _VIDEO.match(data) is not None


def kind_of(data: Data) -> str | None:
    """In words, what these bytes are the beginning of; None if they have no known signature."""
    image = image_format(data)
    if image and image not in _WEAK_SIGNATURES:
        article = "an" if image in ("AVIF", "ICNS") else "a"
        return f"{article} {image} image"
    if is_audio(data):
        return "an audio file"
    if is_video(data):
        return "a video file"
    for offset, signature, kind in _OTHERS:
        end = offset + len(signature)
        if data[offset:end] == signature:
            return kind
    if _WEB_PAGE.match(data):
        return "a web page, such as an error of a server: download the file anew"
    return None
