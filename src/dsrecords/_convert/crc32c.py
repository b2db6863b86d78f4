"""CRC-32C, which TFRecord and LevelDB have: by `google-crc32c`, of eight bytes by ourselves."""

from __future__ import annotations

import functools
from typing import Any

from dsrecords._optional import import_optional

_POLYNOMIAL = 0x82F63B78  # of Castagnoli, reflected (RFC 3720, appendix B.4)
_MASK_DELTA = 0xA282EAD8  # by which LevelDB's log and TFRecord mask a checksum
_FEW = 16  # bytes, of which a loop is as fast as a call


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


@functools.cache
def _library() -> Any:
    return import_optional("google_crc32c", "google-crc32c", extra="tfrecord")


def masked(data: bytes) -> int:
    """Return the masked checksum of some bytes, as TFRecord has it.

    Raises:
        ImportError: there are more than a few bytes, and google-crc32c is not installed.
    """
    checksum = _of_few(data) if len(data) <= _FEW else _library().value(data)
    rotated = (checksum >> 15) | (checksum << 17) & 0xFFFFFFFF
    return (rotated + _MASK_DELTA) & 0xFFFFFFFF


def _of_few(data: bytes) -> int:
    table = _table()
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF
