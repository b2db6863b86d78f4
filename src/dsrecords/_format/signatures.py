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
    ("JPEG2000", ((3, b"\x0cjP  \r\n\x87\n"),)),
    ("AVIF", ((4, b"ftypavi"),)),
)
# WAV, FLAC, Ogg, AU, AIFF, MP3 with and without tags.
_SOUND = re.compile(
    rb"RIFF....WAVE|fLaC|OggS|\.snd|FORM....AIF|ID3|\xff[\xfb\xfa\xf3\xf2]",
    re.DOTALL,
)
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
    (0, b"\x89DSX", "the index of a dataset: give the .rec file"),
)


def image_format(data: Data) -> str | None:
    """Pillow's name of the image format that these bytes begin with; None if it is no known one."""
    for name, signature in _IMAGES:
        if _has_signature(data, signature):
            return name
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


def kind_of(data: Data) -> str | None:
    """In words, what these bytes are the beginning of; None if they have no known signature."""
    image = image_format(data)
    if image and image != "BMP":  # whose signature is two letters, with which a text may begin
        article = "an" if image == "AVIF" else "a"
        return f"{article} {image} image"
    if is_audio(data):
        return "an audio file"
    for offset, signature, kind in _OTHERS:
        end = offset + len(signature)
        if data[offset:end] == signature:
            return kind
    return None
