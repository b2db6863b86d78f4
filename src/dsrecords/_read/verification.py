"""What this process has verified of the records of a list: the one owner of this state.

Knows records by their positions, payloads by their numbers, and nothing of bytes or files.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

HEAD = 1
"""The part of a record that is its head; parts are bits, of which several may be set."""

_UNTRACKED = 1 << 63  # a part that is never remembered, so it is verified at each reading
_TRACKED_PAYLOADS = 62

BLOCK = 2048
"""Positions whose heads may be verified together when one of them is read."""

MANY_SINGLES = 8
"""Heads of a block that are verified one by one, before the others are, together."""

_ATOMIC = 500  # items up to which NumPy changes an array without releasing the interpreter's lock


def payload_part(number: int) -> int:
    """The part of a record that is its payload with this number."""
    if number >= _TRACKED_PAYLOADS:
        return _UNTRACKED
    return 2 << number


def block_around(position: int, count: int) -> range:
    """The positions of the block that a position belongs to, in a list of `count` records."""
    start = position - position % BLOCK
    stop = min(start + BLOCK, count)
    return range(start, stop)


class Verified:
    """Which parts of each record have been verified.

    Threads may read, verify and remember while another one edits the list. What keeps them apart:

    - Before an edit changes entries in place, `hand_over` makes a successor for the edited list.
      The one that hands over then knows nothing and learns nothing. So a thread that verified a
      record which was replaced meanwhile cannot say so of the new one.
    - Whoever reads an entry reads it before it asks what has been verified. If an edit began in
      between, the answer is: nothing.
    - What is remembered is written to `bits` or `_array` as they are at that moment, with no call
      between looking the attribute up and writing: Python lets other threads run only at calls and
      jumps.

    Args:
        count: of the records in the list.
        payload_count: of a record.

    Attributes:
        bits: a memoryview of a number for each position, and perhaps some more: the parts that have
            been verified. Only to be read: `remember` writes. The zeros that it begins with take no
            memory until they are touched.
    """

    def __init__(self, count: int, payload_count: int) -> None:
        width = min(1 + payload_count, 64)
        all_parts = 2**width - 1
        dtype = np.min_scalar_type(all_parts)
        array = np.zeros(count, dtype)
        singles = bytearray(_block_count(count))
        self._use(array, singles)

    def _use(self, array: np.ndarray, singles: bytearray) -> None:
        bits = memoryview(array)
        self._singles = singles  # of each block: heads verified one by one, MANY_SINGLES at most
        self._array = array
        self.bits = bits

    # Asking

    def has_all_heads(self, positions: np.ndarray) -> bool:
        """Whether the heads at these positions (int64, (n,), n > 0) have been verified."""
        known = self._array.take(positions)
        common = np.bitwise_and.reduce(known)
        return bool(common & HEAD)

    def lacking(self, positions: np.ndarray, part: int) -> np.ndarray:
        """Of which positions (int64, (n,)) a part has not been verified: bool, (n,)."""
        known = self._array.take(positions)
        lacking: np.ndarray = known & known.dtype.type(part) == 0
        return lacking

    # Remembering

    def remember(self, position: int, parts: int) -> None:
        """Remember that parts of a record have been verified."""
        tracked = parts & ~_UNTRACKED
        known = self.bits[position] | tracked
        try:
            self.bits[position] = known
        except TypeError:  # they are read-only since `hand_over`
            return

    def remember_many(self, positions: np.ndarray, parts: int) -> None:
        """Remember that parts of many records (positions: int64, (n,)) have been verified."""
        tracked = parts & ~_UNTRACKED
        added = self._array.dtype.type(tracked)
        for first in range(0, len(positions), _ATOMIC):
            some = positions[first : first + _ATOMIC]
            known = self._array.take(some)
            known |= added
            try:
                self._array[some] = known
            except ValueError:  # it is read-only since `hand_over`
                return

    def count_single(self, position: int) -> bool:
        """Count a head that is to be verified on its own.

        Returns:
            Whether the heads of its block are to be verified together now. Of each block this is
            True once: whatever comes of it, nothing is tried twice.
        """
        block = position // BLOCK
        count = self._singles[block]
        if count == MANY_SINGLES:
            return False
        count += 1
        self._singles[block] = count
        return count == MANY_SINGLES

    # Edits of the list

    def make_room(self, count: int) -> None:
        """Make room for a list of `count` records, before those that are new can be seen."""
        known_count = len(self.bits)
        if count <= known_count:
            return
        room = max(count, 2 * known_count)
        if self.bits.readonly:
            self._know_nothing(room)
            return
        array = np.zeros(room, self._array.dtype)
        array[:known_count] = self._array
        blocks = _block_count(room) - len(self._singles)
        singles = self._singles + bytes(blocks)
        self._use(array, singles)

    def copy(self) -> Verified:
        """One for a list of the same records, which can be edited without this one."""
        array = np.array(self._array)
        singles = bytearray(self._singles)
        return _made_of(array, singles)

    def hand_over(self) -> Verified:
        """Make a successor that knows what this one knew, and know nothing from now on."""
        successor = _made_of(self._array, self._singles)
        self._know_nothing(len(self.bits))
        return successor

    def _know_nothing(self, room: int) -> None:
        # A zero for each position without memory for each; read-only, as memory of `bytes` is.
        nothing = np.ndarray(
            shape=(room,),
            dtype=self._array.dtype,
            buffer=bytes(8),
            strides=(0,),
        )
        all_tried = bytes([MANY_SINGLES]) * _block_count(room)
        self._use(nothing, bytearray(all_tried))

    def forget(self, positions: Iterable[int]) -> None:
        """Forget records that were replaced. To be called before others have this successor."""
        for position in positions:
            self.bits[position] = 0

    def forget_from(self, first: int, count: int) -> None:
        """Forget the records from a position on, of `count`, which have moved; as `forget`."""
        self._array[first:count] = 0
        first_block = first // BLOCK
        blocks = len(self._singles) - first_block
        self._singles[first_block:] = bytes(blocks)


def _made_of(array: np.ndarray, singles: bytearray) -> Verified:
    verified = object.__new__(Verified)
    verified._use(array, singles)
    return verified


def _block_count(room: int) -> int:
    return -(-room // BLOCK)
