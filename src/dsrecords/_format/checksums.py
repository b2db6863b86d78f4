"""The checksum of the format, CRC-32."""

from dsrecords._storage.crc import crc32

__all__ = ["crc32"]
