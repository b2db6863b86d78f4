"""Fingerprints: what a state of a sampler knows a dataset by, in constant time."""

from __future__ import annotations

import hashlib
from typing import Any

_CHECKED = 1024  # positions of a list that are part of what it is known by
_SIZE = 8  # bytes


def fingerprint(*parts: object) -> str:
    """Return 16 letters that depend on some values, by what they are written as."""
    written = repr(parts).encode()
    digest = hashlib.blake2b(written, digest_size=_SIZE)
    return digest.hexdigest()


def spread(count: int) -> list[int]:
    """Return positions that are spread over a list: of a short one all, and always the last."""
    if count <= _CHECKED:
        return list(range(count))
    positions = []
    for number in range(1, _CHECKED + 1):
        behind = number * count // _CHECKED
        positions.append(behind - 1)
    return positions


def known_by(dataset: Any) -> str:
    """Return the fingerprint of a dataset; of a list or another sequence, that of its length."""
    known = getattr(dataset, "fingerprint", None)
    if isinstance(known, str):
        return known
    return fingerprint(len(dataset))
