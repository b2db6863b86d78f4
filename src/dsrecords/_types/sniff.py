"""What a file that is not ours is, or seems to be, by its first bytes alone."""

from __future__ import annotations

import re
import struct

from dsrecords._storage import files

_START = 512  # bytes that are looked at
_INDEX = b"\x89DSX"  # the beginning of an index of ours
# The first bytes of each format (its own specification), and Pillow's name of it.
_SIGNATURES: dict[str, tuple[tuple[bytes, int], ...]] = {
    "JPEG": ((b"\xff\xd8\xff", 0),),
    "PNG": ((b"\x89PNG\r\n\x1a\n", 0),),
    "WEBP": ((b"WEBP", 8), (b"RIFF", 0)),
    "GIF": ((b"GIF8", 0),),
    "BMP": ((b"BM", 0),),
    "TIFF": ((b"II*\0", 0),),
    "TIFF ": ((b"MM\0*", 0),),
    "JPEG2000": ((b"\x0cjP  \r\n\x87\n", 3),),
    "AVIF": ((b"ftypavi", 4),),
}
# How sounds begin: WAV, FLAC, Ogg, AU, AIFF, MP3 with and without tags.
_SOUND = re.compile(rb"RIFF....WAVE|fLaC|OggS|\.snd|FORM....AIF|ID3|\xff[\xfb\xfa\xf3\xf2]", re.DOTALL)
# Where a mark stands, what it is, what has it.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
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
    (0, _INDEX, "the index of a dataset: give the .rec file"),
)  # fmt: skip


def sniff(data: bytes | memoryview) -> str | None:
    """Pillow's name of the format of images that these bytes begin with, None if it is none of those that are known."""
    for name, marks in _SIGNATURES.items():
        if all(data[at : at + len(mark)] == mark for mark, at in marks):
            return name.strip()
    return None


def is_sound(data: bytes | memoryview) -> bool:
    """Whether these bytes begin as an audio file of a known format does."""
    return _SOUND.match(data) is not None


def kind_of(data: bytes | memoryview) -> str | None:
    """What begins with these bytes, if they have a mark that tells."""
    name = sniff(data)
    if name and name != "BMP":  # two letters, with which a text may begin
        return f"a{'n' * (name[0] == 'A')} {name} image"
    if is_sound(data):
        return "a sound"
    return next((what for at, mark, what in _MARKS if data[at : at + len(mark)] == mark), None)


def seems(fd: int) -> str:
    """A few words for a file whose first bytes are not our magic."""
    start = files.pread(fd, _START, 0)
    if not start:
        return "it is empty"
    if kind := kind_of(start):
        return f"it seems to be {kind}"
    if _is_tfrecord(start):
        return "it seems to be a TFRecord file"
    if start[8:9] == b"{" and 1 < int.from_bytes(start[:8], "little") < files.size(fd):  # a JSON object has two brackets
        return "it seems to be a safetensors file"
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "it seems to be a pickle, which is never loaded"
    if not any(start):
        return "it begins with zeros"
    if start[40:50] == b'{"fields":':
        return "it seems to be a DSRecords file whose first bytes were overwritten"
    return f"it seems to be {_text(start)}" if _text(start) else "it does not begin with the magic bytes"


def _text(start: bytes) -> str:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else a character was cut in two
            return ""
        text = start[: error.start].decode("utf-8")
    if not all(letter.isprintable() or letter in "\t\r\n\f" for letter in text):
        return ""
    if text.lstrip()[:1] in ("{", "["):
        return "JSON"
    lines = [line.split("\t") for line in text.splitlines()[:3]]
    if all(len(line) == 2 and all(part.isdigit() for part in line) for line in lines):
        return "the index of an MXNet RecordIO file"
    return "text"


def _is_tfrecord(start: bytes) -> bool:
    """Whether the length that a TFRecord begins with has its checksum behind it: CRC-32C, rotated and shifted."""
    if len(start) < 12:
        return False
    crc = 0xFFFFFFFF
    for byte in start[:8]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return bool(struct.unpack_from("<I", start, 8)[0] == masked)
