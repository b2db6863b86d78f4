"""The checksum of the format, CRC-32."""

from __future__ import annotations

from collections.abc import Callable

from dsrecords._native import core
from dsrecords._storage.crc import crc32

_SLOWEST = "tables"  # the way of the compiled twin that knows nothing of the processor


def _fastest() -> Callable[..., int]:
    if core is None or core.crc32_ways()[-1] == _SLOWEST:
        return crc32
    found: Callable[..., int] = core.crc32
    return found


crc32_of_payload = _fastest()
"""The same of many bytes, up to twice as fast; of some ten bytes a call takes longer."""

__all__ = ["crc32", "crc32_of_payload"]
