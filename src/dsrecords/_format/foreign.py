"""What a file that is not ours seems to be, for the error that refuses it."""

from __future__ import annotations

import struct

from dsrecords._format.signatures import kind_of
from dsrecords._storage.base import Storage

_START_SIZE = 512  # bytes that are looked at
_PICKLE_PROTOCOLS = (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")
_HEADER_SIZE = 40  # of our files, before their JSON
_LONGEST_CHARACTER = 4  # bytes of UTF-8
_CRC32C = 0x82F63B78  # the polynomial of CRC-32C, its bits reversed


def describe_foreign_file(storage: Storage) -> str:
    """In a few words, what a file seems to be whose first bytes are not our magic."""
    start = storage.read(0, _START_SIZE)
    if not start:
        return "it is empty"
    kind = kind_of(start)
    if kind is not None:
        return f"it seems to be {kind}"
    if _is_tfrecord(start):
        return "it seems to be a TFRecord file"
    if _is_safetensors(start, storage.size()):
        return "it seems to be a safetensors file"
    if start.startswith(_PICKLE_PROTOCOLS):
        return "it seems to be a pickle, which is never loaded"
    if not any(start):
        return "it begins with zeros"
    if start[_HEADER_SIZE:].startswith(b'{"fields":'):
        return "it seems to be a DSRecords file whose first bytes were overwritten"
    text = _kind_of_text(start)
    if text is not None:
        return f"it seems to be {text}"
    return "it does not begin with the magic bytes"


def _kind_of_text(start: bytes) -> str | None:
    """Which text a file begins with; None if it is no text."""
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        end = error.start
        undecoded = len(start) - end
        if undecoded >= _LONGEST_CHARACTER:
            return None  # else a character was cut in two
        text = start[:end].decode("utf-8")
    if not all(map(_is_of_text, text)):
        return None
    if text.lstrip().startswith(("{", "[")):
        return "JSON"
    lines = text.splitlines()
    if all(map(_is_line_of_recordio_index, lines[:3])):
        return "the index of an MXNet RecordIO file"
    return "text"


def _is_of_text(letter: str) -> bool:
    return letter.isprintable() or letter in "\t\r\n\f"


def _is_line_of_recordio_index(line: str) -> bool:
    """Whether a line is a key and an offset, as MXNet writes them."""
    parts = line.split("\t")
    if len(parts) != 2:
        return False
    key, offset = parts
    return key.isdigit() and offset.isdigit()


def _is_safetensors(start: bytes, file_size: int) -> bool:
    """Whether a file begins with the size of a JSON object, and the object follows."""
    json_size = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{":
        return False
    has_both_braces = json_size >= 2
    return has_both_braces and json_size < file_size


def _is_tfrecord(start: bytes) -> bool:
    """Whether a file begins with a length and its checksum: CRC-32C, masked as TFRecord does."""
    if len(start) < 12:
        return False
    crc = 0xFFFFFFFF
    for byte in start[:8]:
        crc ^= byte
        for _ in range(8):
            lowest_bit = crc & 1
            crc >>= 1
            if lowest_bit:
                crc ^= _CRC32C
    crc ^= 0xFFFFFFFF
    rotated = crc >> 15 | crc << 17
    masked = (rotated + 0xA282EAD8) & 0xFFFFFFFF
    (stored,) = struct.unpack_from("<I", start, 8)
    return bool(stored == masked)
