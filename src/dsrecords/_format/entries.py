"""The entries of an index: where each record of the list is.

Knows nothing of files, of what a record holds, or of what has been verified.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from dsrecords._format.frame import DELETE, TAKE_LAST
from dsrecords._format.layout import LOW_32_BITS, position_mix, position_mixes
from dsrecords._format.log import Place
from dsrecords.errors import CorruptError

ENTRY = struct.Struct("<QQ")  # offset; size / 8, and above it 32 bits of check

_SIZE_UNKNOWN = LOW_32_BITS  # the stored size of a record whose frame is larger than can be stored
_SMALLEST_TAIL = 16  # entries
_FEW = 16  # records up to which they are appended one by one
_HALF = np.uint64(32)  # bits of a word
_EIGHTH = np.uint64(3)  # bits to shift to divide by eight


class Entries:
    """Where each record of the list is: the file's entries (mapped, privately), then newer ones.

    What an edit changes in place, it changes in one call: another thread that reads meanwhile finds
    the old entry or the new one, never half of each.

    Attributes:
        base: the file's entries, a memoryview of u64, two for each entry: the offset; and a word that
            holds size / 8 and the check, mixed with the position.
        kept: how many entries of `base`, counted from the first, are in use.
        tail: the entries behind those, in the same form, with room for more.
        used: how many entries of `tail` are in use.
    """

    def __init__(self, base: memoryview, kept: int) -> None:
        self.base = base
        self.kept = kept
        self.tail = memoryview(np.empty(0, np.uint64))
        self.used = 0

    def __len__(self) -> int:
        return self.kept + self.used

    def copy(self) -> Entries:
        """Copy the entries, so that edits of the copy do not change these."""
        twin = Entries(memoryview(np.array(self.base[: 2 * self.kept])), self.kept)
        twin.tail = memoryview(np.array(self.tail))
        twin.used = self.used
        return twin

    def stored(self, i: int) -> tuple[int, int]:
        """The entry at position i as it is stored: the offset, and the word."""
        part = self.base
        if i >= self.kept:
            part = self.tail
            i -= self.kept
        entry: tuple[int, int] = ENTRY.unpack_from(part, ENTRY.size * i)
        return entry

    def get(self, i: int) -> Place:
        """Offset, size and check of the record at position i; size 0 where only the frame knows."""
        offset, word = self.stored(i)
        eighths = word & LOW_32_BITS
        size = 0
        if eighths != _SIZE_UNKNOWN:
            size = 8 * eighths
        return offset, size, word >> 32 ^ position_mix(i)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The entries from `start` to `stop` as in the file: uint64, (n, 2).

        They are a view of the entries in use, or a copy where they lie in both parts.
        """
        base = _as_rows(self.base)[start : min(stop, self.kept)]
        if stop <= self.kept:
            return base
        tail = _as_rows(self.tail)[max(start - self.kept, 0) : stop - self.kept]
        if not len(base):
            return tail
        return np.concatenate([base, tail])

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """Copy the entries at these positions (int64, (n,)), as in the file: uint64, (n, 2)."""
        base = _as_rows(self.base)
        tail = _as_rows(self.tail)
        if not self.used:
            return base.take(positions, axis=0)
        if not self.kept:
            return tail.take(positions, axis=0)
        in_tail = positions >= self.kept
        rows = base.take(np.where(in_tail, 0, positions), axis=0)
        rows[in_tail] = tail[positions[in_tail] - self.kept]
        return rows

    def append(self, place: Place) -> None:
        """Append the entry of one record."""
        if ENTRY.size * self.used == self.tail.nbytes:
            self._grow(1)
        word = _word(self.kept + self.used, place)
        ENTRY.pack_into(self.tail, ENTRY.size * self.used, place[0], word)
        self.used += 1  # last: only now can another thread see it

    def extend(self, offsets: np.ndarray, sizes: np.ndarray, checks: np.ndarray) -> None:
        """Append the entries of many records, whose places are arrays of uint64."""
        start = len(self)
        positions = np.arange(start, start + len(offsets), dtype=np.uint64)
        eighths = np.minimum(sizes >> _EIGHTH, np.uint64(_SIZE_UNKNOWN))
        words = eighths | (checks ^ position_mixes(positions)) << _HALF
        self._extend_stored(offsets, words)

    def _extend_stored(self, offsets: np.ndarray, words: np.ndarray) -> None:
        count = len(offsets)
        if ENTRY.size * (self.used + count) > self.tail.nbytes:
            self._grow(count)
        rows = _as_rows(self.tail)[self.used : self.used + count]
        rows[:, 0] = offsets
        rows[:, 1] = words
        self.used += count  # last: only now can another thread see them

    def apply(
        self,
        places: Sequence[Place] | np.ndarray,
        op: int,
        positions: Sequence[int],
    ) -> Entries:
        """Do what a batch does to the list.

        Args:
            places: of the records to append; may be an array: uint64, (n, 3).
            op: what the batch does besides: TAKE_LAST, DELETE, or 0 for nothing.
            positions: of the records that it does this to.

        Returns:
            The list to use from now on: this one, unless records were edited. It may share memory with
            this one, in which nothing moves, and only what is replaced changes: a thread that goes on
            reading this one finds the old record or the new one.

        Raises:
            CorruptError: the list does not have these positions; nothing was edited.
        """
        if not op:
            self._add(places)
            return self
        edited = self._twin()  # so that what is appended is not visible before the edit
        edited._add(places)
        if op == TAKE_LAST:
            return edited._take_last(np.asarray(positions, np.uint64))
        if op == DELETE and len(positions):
            return edited._delete(np.asarray(positions, np.uint64))
        return edited

    def _add(self, places: Sequence[Place] | np.ndarray) -> None:
        if not isinstance(places, np.ndarray):
            if len(places) <= _FEW:
                for place in places:
                    self.append(place)
                return
            places = np.array(places, np.uint64)
        self.extend(places[:, 0], places[:, 1], places[:, 2])

    def _take_last(self, positions: np.ndarray) -> Entries:
        """Let the last record take the place of each of these in turn; the list gets that much shorter."""
        last_positions = len(self) - 1 - np.arange(len(positions))  # of the list, before each step
        highest = np.maximum(last_positions, 0).astype(np.uint64)
        wrong = (last_positions < 0) | (positions > highest)
        if wrong.any():
            first = int(wrong.argmax())
            count = max(int(last_positions[first]) + 1, 0)
            raise CorruptError(f"an edit takes position {positions[first]} of {count}")
        for position, last in zip(positions.tolist(), last_positions.tolist()):
            if position < last:
                self._move(last, position)
        return self._first(len(self) - len(positions))

    def _move(self, source: int, target: int) -> None:
        """Put the entry at one position in the place of another."""
        offset, word = self.stored(source)
        word ^= (position_mix(source) ^ position_mix(target)) << 32
        part = self.base
        row = target
        if target >= self.kept:
            part = self.tail
            row = target - self.kept
        # In one call, while this thread holds the interpreter's lock: nobody sees half an entry.
        ENTRY.pack_into(part, ENTRY.size * row, offset, word)

    def _delete(self, positions: np.ndarray) -> Entries:
        """The list without these records: the others behind the first of them move up, in new memory."""
        count = len(self)
        if int(positions[-1]) >= count or (positions[1:] <= positions[:-1]).any():
            raise CorruptError(f"an edit deletes positions that do not ascend within {count}")
        first = int(positions[0])
        remains = np.ones(count - first, bool)
        remains[positions.astype(np.int64) - first] = False
        rows = self.rows(first, count)[remains]
        old_positions = np.arange(first, count)[remains]
        new_positions = np.arange(first, first + len(rows))
        shorter = self._first(first)
        shorter.tail = memoryview(np.array(self.tail))
        shorter._extend_stored(rows[:, 0], moved_words(rows[:, 1], old_positions, new_positions))
        return shorter

    def _first(self, count: int) -> Entries:
        """The first records of this list, in the same memory."""
        shorter = self._twin()
        shorter.kept = min(self.kept, count)
        shorter.used = max(count - self.kept, 0)
        return shorter

    def _twin(self) -> Entries:
        twin = Entries(self.base, self.kept)
        twin.tail = self.tail
        twin.used = self.used
        return twin

    def _grow(self, count: int) -> None:
        """Make room for `count` more entries, in new memory: whoever reads the old one may go on."""
        room = max(_SMALLEST_TAIL, 2 * self.used, self.used + count)
        tail = np.empty(2 * room, np.uint64)
        tail[: 2 * self.used] = self.tail[: 2 * self.used]
        self.tail = memoryview(tail)


def _as_rows(part: memoryview) -> np.ndarray:
    rows: np.ndarray = np.frombuffer(part, np.uint64).reshape(-1, 2)
    return rows


def _word(position: int, place: Place) -> int:
    """The second word of an entry."""
    _, size, check = place
    return min(size >> 3, _SIZE_UNKNOWN) | (check ^ position_mix(position)) << 32


def moved_words(words: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The second words of entries that move from old to new positions.

    All are arrays of integers, (n,); words are uint64, of which the lower half, the size, stays.
    """
    moved: np.ndarray = words ^ (position_mixes(old) ^ position_mixes(new)) << _HALF
    return moved
