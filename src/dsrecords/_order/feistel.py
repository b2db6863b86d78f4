"""A Feistel network: a permutation of the cells of a rectangle, one cell or many at a time.

`docs/order-permutation.md` specifies it. Both forms give the same numbers; NumPy's works in place
on arrays of 32 bits, and so takes some 15 ns a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dsrecords._native import core

_ROUNDS = 12
_SMALL = 2**16  # cells, up to which there are more rounds
_SMALL_ROUNDS = 24

_WORD = 32  # bits
_LOW = 2**32 - 1
# The multipliers and shifts of "lowbias32", by Chris Wellons: github.com/skeeto/hash-prospector.
_FIRST_FACTOR = 0x7FEB352D
_SECOND_FACTOR = 0x846CA68B
_SHIFT = 15
_HALF_SHIFT = 16
_GOLDEN = 0x9E3779B9  # 2**32 divided by the golden ratio: counts keys so that many bits differ

_FIRST_FACTOR_ARRAY = np.array(_FIRST_FACTOR, np.uint32)
_SHIFT_ARRAY = np.array(_SHIFT, np.uint32)
_WORD_ARRAY = np.array(_WORD, np.uint64)


class _Keys(NamedTuple):
    """The keys of one round.

    Attributes:
        key: what the one half is mixed with.
        factor: what it is multiplied by; odd.
    """

    key: int
    factor: int


class _KeyArrays(NamedTuple):
    """The same as arrays without dimensions, which NumPy takes faster than numbers: uint32."""

    key: np.ndarray
    factor: np.ndarray


class _Pair(NamedTuple):
    """The keys of two rounds.

    Attributes:
        add: of the round that adds to the high half.
        flip: of the round that flips bits of the low half.
    """

    add: _Keys
    flip: _Keys


class _PairOfArrays(NamedTuple):
    """The same for many cells at a time."""

    add: _KeyArrays
    flip: _KeyArrays


class Network:
    """A permutation of the numbers below `cells`: those of a rectangle of at least `n`.

    The low half of a number says in which row it is, the high half in which column. There are
    2**low_bits rows, about as many columns, and less than one column more than `n` needs.

    Args:
        n: how many cells are asked for, at most 2**53.
        seed: 64 bits.
    """

    def __init__(self, n: int, seed: int) -> None:
        bits = max(n - 1, 0).bit_length()
        low_bits = bits // 2
        columns = -(-n >> low_bits)
        pairs = _make_pairs(n, seed)
        self._low_bits = low_bits
        self._low_mask = (1 << low_bits) - 1
        self._flip_shift = _WORD - low_bits
        self._columns = columns
        self._pairs = pairs
        # The same for many cells at a time.
        self._low_mask_array = np.array(self._low_mask, np.uint32)
        self._flip_shift_array = np.array(self._flip_shift, np.uint32)
        self._columns_array = np.array(columns, np.uint32)
        self._wide_columns_array = np.array(columns, np.uint64)
        self._pairs_of_arrays = _as_arrays(pairs)
        self._keys = np.array(pairs, np.uint32)

    def encrypt(self, cell: int) -> int:
        """Return where one cell goes."""
        columns = self._columns
        shift = self._flip_shift
        high = cell >> self._low_bits
        low = cell & self._low_mask
        for add, flip in self._pairs:
            added = _mixed(low, add) * columns
            high += added >> _WORD
            high %= columns
            low ^= _mixed(high, flip) >> shift
        return high << self._low_bits | low

    def decrypt(self, cell: int) -> int:
        """Return which cell goes there."""
        columns = self._columns
        shift = self._flip_shift
        high = cell >> self._low_bits
        low = cell & self._low_mask
        for add, flip in reversed(self._pairs):
            low ^= _mixed(high, flip) >> shift
            added = _mixed(low, add) * columns
            high -= added >> _WORD
            high %= columns
        return high << self._low_bits | low

    def encrypt_all(self, cells: np.ndarray, out: np.ndarray) -> None:
        """Do what `encrypt` does to many cells.

        Args:
            cells: int64, (n,).
            out: where they go: int64, (n,); it may be `cells`.
        """
        is_plain = self._keys.ndim == 3  # and not of many seeds together
        if core is not None and is_plain and out.flags.c_contiguous:
            cells = np.ascontiguousarray(cells, np.int64)
            core.permute(cells, len(cells), self._low_bits, self._columns, self._keys, out)
            return
        self._encrypt_all_by_numpy(cells, out)

    def _encrypt_all_by_numpy(self, cells: np.ndarray, out: np.ndarray) -> None:
        high_cells = cells >> self._low_bits
        high = high_cells.astype(np.uint32)
        low = cells.astype(np.uint32)
        low &= self._low_mask_array
        columns = self._columns_array
        mixed = np.empty_like(low)
        spare = np.empty_like(low)
        product = np.empty(low.shape, np.uint64)
        for add, flip in self._pairs_of_arrays:
            _mix(low, add, mixed, spare)
            product[:] = mixed
            product *= self._wide_columns_array
            product >>= _WORD_ARRAY
            mixed[:] = product
            high += mixed
            # Modulo the columns: where the difference is negative, it is a large unsigned number.
            np.subtract(high, columns, out=spare)
            np.minimum(high, spare, out=high)
            if self._low_bits:
                _mix(high, flip, mixed, spare)
                mixed >>= self._flip_shift_array
                low ^= mixed
        out[:] = high
        out <<= self._low_bits
        out |= low


def _mixed(half: int, keys: _Keys) -> int:
    """Return 32 bits that depend on one half and the keys; the high ones depend the most."""
    key, factor = keys
    mixed = half ^ key
    mixed *= _FIRST_FACTOR
    mixed &= _LOW
    mixed ^= mixed >> _SHIFT
    mixed *= factor
    return mixed & _LOW


def _mix(
    half: np.ndarray,
    keys: _KeyArrays,
    out: np.ndarray,
    spare: np.ndarray,
) -> None:
    """Do what `_mixed` does to many: uint32, (n,)."""
    key, factor = keys
    np.bitwise_xor(half, key, out=out)
    np.multiply(out, _FIRST_FACTOR_ARRAY, out=out)
    np.right_shift(out, _SHIFT_ARRAY, out=spare)
    np.bitwise_xor(out, spare, out=out)
    np.multiply(out, factor, out=out)


# Keys


def words_of(number: int) -> tuple[int, int]:
    """Return the low and the high 32 bits of a number."""
    low = number & _LOW
    high = number >> _WORD
    return low, high


def hash_words(number: int, words: list[int]) -> int:
    """Make hash number `number` of some words: all of 32 bits."""
    mixed = number * _GOLDEN
    mixed &= _LOW
    for word in words:
        mixed ^= word
        mixed ^= mixed >> _HALF_SHIFT
        mixed *= _FIRST_FACTOR
        mixed &= _LOW
        mixed ^= mixed >> _SHIFT
        mixed *= _SECOND_FACTOR
        mixed &= _LOW
        mixed ^= mixed >> _HALF_SHIFT
    return mixed


def _make_pairs(n: int, seed: int) -> list[_Pair]:
    """Make the keys of all rounds."""
    words = [*words_of(n), *words_of(seed)]
    count = _ROUNDS
    if n <= _SMALL:
        count = _SMALL_ROUNDS
    hashes = [hash_words(number, words) for number in range(2 * count)]
    pairs = []
    for start in range(0, 2 * count, 4):
        key, factor, flip_key, flip_factor = hashes[start : start + 4]
        add = _Keys(key, factor | 1)
        flip = _Keys(flip_key, flip_factor | 1)
        pair = _Pair(add, flip)
        pairs.append(pair)
    return pairs


def _as_arrays(pairs: list[_Pair]) -> list[_PairOfArrays]:
    made = []
    for add, flip in pairs:
        add_arrays = _keys_as_arrays(add)
        flip_arrays = _keys_as_arrays(flip)
        pair = _PairOfArrays(add_arrays, flip_arrays)
        made.append(pair)
    return made


def _keys_as_arrays(keys: _Keys) -> _KeyArrays:
    key = np.array(keys.key, np.uint32)
    factor = np.array(keys.factor, np.uint32)
    return _KeyArrays(key, factor)
