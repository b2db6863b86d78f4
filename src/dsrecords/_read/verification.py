"""What this process has verified of the records of a list: the one owner of this state.

Knows records by the numbers of their rows, payloads by their numbers, and nothing of bytes or
files.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dsrecords._native import VerifiedBase

HEAD = 1
"""The part of a record that is its head; parts are bits, of which several may be set."""

REVISED = 2
"""Not a part: that the record is a revision, whose payloads lie where its table says.

It is remembered with the first payload of a revision, if not before: in one step, or the payload
would be looked for behind the head by a thread that comes between, or if one of two steps is
forgotten.
"""

_SINGLE_PAYLOADS = 61  # those before this number are parts of their own

REST = 1 << 63
"""The part of a record that is all of its payloads for which there is no part of their own.

It is remembered where all of them were verified, as when a whole sample was read. One of them that
is read alone is verified each time.
"""

ALL_PARTS = 2**64 - 1
"""All parts that can be remembered."""

BLOCK = 2048
"""Rows whose heads may be verified together when one of them is read."""

MANY_SINGLES = 8
"""Heads of a block that are verified one by one, before the others are, together."""

_SPARE = 1024  # rows for which there is room besides those of the list
_ATOMIC = 500  # items up to which NumPy changes an array without releasing the interpreter's lock


def payload_part(number: int) -> int:
    """The part of a record that its payload with this number is, or is in."""
    if number >= _SINGLE_PAYLOADS:
        return REST
    return 4 << number


def proven(parts: int, payloads: Iterable[int], payload_count: int) -> int:
    """What to remember of a record of which these payloads have been verified.

    Args:
        parts: those that the payloads are, or are in, and others.
        payloads: their numbers.
        payload_count: how many payloads a record has.
    """
    rest = range(_SINGLE_PAYLOADS, payload_count)
    if parts & REST and not set(rest) <= set(payloads):
        return parts & ~REST
    return parts


def block_around(row: int, count: int) -> range:
    """The numbers of the rows of the block that a row belongs to, of `count` rows."""
    start = row - row % BLOCK
    stop = min(start + BLOCK, count)
    return range(start, stop)


class Verified(VerifiedBase):
    """Which parts of each record have been verified.

    Rows never change, and no number of a row is used twice: what was verified once remains so, and
    the lists of one history share what they know. What is remembered is written to `bits` or
    `_array` as they are at that moment; it is lost if another thread makes room meanwhile.

    Args:
        count: of the rows.
        payload_count: of a record.
        lasting: the parts that are remembered; of the others nothing stays in memory.

    Attributes:
        bits: a memoryview of a number for each row, and perhaps some more: the parts that have
            been verified. Only to be read: `remember` writes. The zeros that it begins with take no
            memory until they are touched.
    """

    def __init__(
        self,
        count: int,
        payload_count: int,
        lasting: int = ALL_PARTS,
    ) -> None:
        width = min(2 + payload_count, 64)
        all_parts = 2**width - 1
        dtype = np.min_scalar_type(all_parts)
        # With room for more, which takes no memory, so that the first append need not copy all.
        room = count + count // 4 + _SPARE
        array = np.zeros(room, dtype)
        singles = bytearray(_block_count(room))
        self._lasting = lasting
        self._use(array, singles)

    def _use(self, array: np.ndarray, singles: bytearray) -> None:
        bits = memoryview(array)
        self._singles = singles  # of each block: heads verified one by one, MANY_SINGLES at most
        self._array = array
        self.bits = bits

    # Asking

    def has_all_heads(self, rows: np.ndarray | slice) -> bool:
        """Whether the heads of these rows (int64, (n,), n > 0, or a slice) have been verified."""
        if isinstance(rows, slice):
            common = np.bitwise_and.reduce(self._array[rows])
        else:
            common = np.bitwise_and.reduce(self._array.take(rows))
        return bool(common & HEAD)

    def lacking(self, rows: np.ndarray, part: int) -> np.ndarray:
        """Of which rows (int64, (n,)) a part has not been verified: bool, (n,)."""
        known = self._array.take(rows)
        lacking: np.ndarray = known & known.dtype.type(part) == 0
        return lacking

    # Remembering

    def remember(self, row: int, parts: int) -> None:
        """Remember that parts of a record have been verified."""
        self.bits[row] |= parts & self._lasting

    def remember_many(self, rows: np.ndarray, parts: int) -> None:
        """Remember that parts of many records (rows: int64, (n,)) have been verified."""
        added = self._array.dtype.type(parts & self._lasting)
        for first in range(0, len(rows), _ATOMIC):
            some = rows[first : first + _ATOMIC]
            known = self._array.take(some)
            known |= added
            self._array[some] = known

    def count_single(self, row: int) -> bool:
        """Count a head that is to be verified on its own.

        Returns:
            Whether the heads of its block are to be verified together now. Of each block this is
            True once: whatever comes of it, nothing is tried twice.
        """
        block = row // BLOCK
        count = self._singles[block]
        if count == MANY_SINGLES:
            return False
        count += 1
        self._singles[block] = count
        return count == MANY_SINGLES

    # Edits of the list

    def make_room(self, count: int) -> None:
        """Make room for `count` rows, before those that are new can be seen."""
        known_count = len(self.bits)
        if count <= known_count:
            return
        room = max(count, 2 * known_count)
        array = np.zeros(room, self._array.dtype)
        array[:known_count] = self._array
        blocks = _block_count(room) - len(self._singles)
        singles = self._singles + bytes(blocks)
        self._use(array, singles)

    def known(self, row: int, payloads: Iterable[int]) -> int:
        """The parts that are these payloads of a record, as far as they have been verified.

        That is without REST, in which others may be as well.
        """
        known = self.bits[row] & ~REST
        parts = 0
        for number in payloads:
            parts |= known & payload_part(number)
        return parts

    def picked(self, rows: np.ndarray) -> Verified:
        """One for a list whose rows are these of this one (int64, (n,)), in another memory."""
        array = self._array.take(rows)
        room = len(rows) + _SPARE
        picked = np.zeros(room, self._array.dtype)
        picked[: len(rows)] = array
        verified = object.__new__(Verified)
        verified._lasting = self._lasting
        verified._use(picked, bytearray(_block_count(room)))
        return verified


def _block_count(room: int) -> int:
    return -(-room // BLOCK)
