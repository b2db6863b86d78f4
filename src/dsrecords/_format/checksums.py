"""CRC-32, by isal where it has a wheel, else by the standard library."""

try:
    from isal.isal_zlib import crc32 as crc32  # 16 times zlib's speed on long payloads
except ImportError:  # no wheel for this system
    from zlib import crc32 as crc32

__all__ = ["crc32"]
