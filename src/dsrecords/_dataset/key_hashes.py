"""Parts of a list by a hash of a field's values, which stay what they are when records are added.

The hash of a value is a number of 64 bits, the same on all machines and in all versions:

- of a bool, an integer or a time: the integer modulo 2**64; of a float: the bits of the float64 of
  that value (of 0.0 for -0.0, one NaN for all). Mixed by the finalizer of SplitMix64.
- of a string (a category is its name), of bytes: the first 8 bytes of its BLAKE2b, little-endian,
  of the UTF-8 of a string.
- of None: 0.

To it (seed + 1) times 0x9E3779B97F4A7C15 is added, and it is mixed once more.
"""

from __future__ import annotations

import fractions
import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dsrecords._dataset.field_values import plain_type, plan_for_values, values_in_blocks
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._types.base import describe
from dsrecords._types.category import Category
from dsrecords.errors import SchemaError

_ALL = 2**64
_GOLDEN = 0x9E3779B97F4A7C15  # as in SplitMix64: 2**64 divided by the golden ratio
# The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014; the variant 13 of Stafford).
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_BYTES = 8
_FLOAT = struct.Struct("<d")


def parts_by_key(
    now: Reading,
    field: Any,
    seed: int,
    shares: Sequence[fractions.Fraction],
    pass_over: PassOver,
) -> list[np.ndarray]:
    """Return the records of each part, as the hash of a field says: int64, (n,), ascending.

    Args:
        now: the list, a view.
        field: whose values are hashed.
        seed: another one makes other parts.
        shares: of the parts, which add up to 1.
        pass_over: as of `blocks`.

    Raises:
        SchemaError: there is no such field, or its values have no hash.
    """
    plan = plan_for_values(now, field, "split")
    kind = plain_type(plan.fields[0])
    limits = _limits(shares)
    to_add = np.uint64((seed + 1) * _GOLDEN % _ALL)
    nothing = np.zeros(0, np.int64)
    found = [[nothing] for _ in shares]
    for values in values_in_blocks(now, plan, pass_over):
        column = values.column
        if isinstance(kind, Category):
            column = kind.named(column)
        hashes = _hashes(column, field)
        mixed = _mixed(hashes + to_add)
        part_of = np.searchsorted(limits, mixed, side="right")
        for number, chosen in enumerate(found):
            is_in_part = part_of == number
            chosen.append(values.indices[is_in_part])
    return [np.concatenate(chosen) for chosen in found]


def _limits(shares: Sequence[fractions.Fraction]) -> np.ndarray:
    """Return the lowest hash that is not of a part any more, of all but the last: uint64, (n,)."""
    limits = []
    total = fractions.Fraction(0)
    for share in shares[:-1]:
        total += share
        limit = math.floor(total * _ALL)
        limits.append(limit)
    return np.array(limits, np.uint64)


def _mixed(words: np.ndarray) -> np.ndarray:
    """Return 64-bit numbers of which each bit depends on each bit of the given ones."""
    words = words ^ (words >> np.uint64(30))
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words


def _hashes(column: Any, field: Any) -> np.ndarray:
    """Return the hashes of values: uint64, (n,). Raises SchemaError if they have none."""
    if isinstance(column, list):
        one_by_one = _hashes_one_by_one(column, field)
        return np.fromiter(one_by_one, np.uint64, len(column))
    data = np.ma.getdata(column)
    kind = data.dtype.kind
    if kind in "mM":
        words = data.view(np.uint64)
    elif kind in "biu":
        words = data.astype(np.uint64)
    elif kind == "f":
        # The sum makes 0.0 of -0.0.
        numbers = data.astype(np.float64) + 0.0
        numbers[np.isnan(numbers)] = np.nan
        words = numbers.view(np.uint64)
    else:
        raise SchemaError("complex numbers have no hash here", field=field)
    hashes = _mixed(words)
    hashes[np.ma.getmaskarray(column)] = 0
    return hashes


def _hashes_one_by_one(values: list[Any], field: Any) -> Iterable[int]:
    known: dict[Any, int] = {}  # of strings and bytes, which often come again
    for value in values:
        if not isinstance(value, (str, bytes)):
            yield _hash_of_number(value, field)
            continue
        found = known.get(value)
        if found is None:
            found = _hash_of_bytes(value)
            known[value] = found
        yield found


def _hash_of_bytes(value: str | bytes) -> int:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(value, digest_size=_BYTES).digest()
    return int.from_bytes(digest, "little")


def _hash_of_number(value: Any, field: Any) -> int:
    """Return the hash of None or of one of Python's numbers. Raises SchemaError of others."""
    if value is None:
        return 0
    if isinstance(value, float):
        packed = _FLOAT.pack(value + 0.0)
        if math.isnan(value):
            packed = _FLOAT.pack(math.nan)
        word = int.from_bytes(packed, "little")
    elif isinstance(value, int):
        word = value % _ALL
    else:
        raise SchemaError(f"split by a key takes no {describe(value)}", field=field)
    words = np.array([word], np.uint64)
    return int(_mixed(words)[0])
