"""The entries of an index: where each record of the list is.

Knows nothing of files, of what a record holds, or of what has been verified.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from dsrecords._format.frame import DELETE, TAKE_LAST
from dsrecords._format.layout import LOW_32_BITS, position_mix, position_mixes
from dsrecords._format.log import FrameRef
from dsrecords.errors import CorruptError

ENTRY = struct.Struct("<QQ")
"""An entry in the file: the offset; and a word of size / 8 and, above it, 32 bits of check."""

_SIZE_UNKNOWN = LOW_32_BITS  # the stored size of a frame that is too large to store its size
_SMALLEST_TAIL = 16  # entries
_FEW = 16  # records up to which they are appended one by one
_EIGHTH = np.uint64(3)  # bits to shift to divide by eight
_HALF = np.uint64(32)  # bits of a word


class Entries:
    """Where each record of the list is: the file's entries (mapped, privately), then newer ones.

    What an edit changes in place, it changes in one call: another thread that reads meanwhile finds
    the old entry or the new one, never half of each.

    Attributes:
        base: the file's entries, a memoryview of u64, two for each entry: its offset, and its word,
            in which the check is mixed with the position.
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

    # Reading

    def stored(self, i: int) -> tuple[int, int]:
        """The entry at position i as it is stored: the offset, and the word."""
        part = self.base
        row = i
        if i >= self.kept:
            part = self.tail
            row = i - self.kept
        entry: tuple[int, int] = ENTRY.unpack_from(part, ENTRY.size * row)
        return entry

    def get(self, i: int) -> FrameRef:
        """Offset, size and check of the record at position i; size 0 where only the frame knows."""
        offset, word = self.stored(i)
        check = word >> 32 ^ position_mix(i)
        eighths = word & LOW_32_BITS
        if eighths == _SIZE_UNKNOWN:
            return offset, 0, check
        return offset, 8 * eighths, check

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The entries from `start` to `stop` as in the file: uint64, (n, 2).

        They are a view of the entries in use, or a copy where they lie in both parts.
        """
        base_stop = min(stop, self.kept)
        base = _as_rows(self.base)[start:base_stop]
        if stop <= self.kept:
            return base
        tail_start = max(start - self.kept, 0)
        tail_stop = stop - self.kept
        tail = _as_rows(self.tail)[tail_start:tail_stop]
        if not len(base):
            return tail
        return np.concatenate([base, tail])

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """Copy the entries at these positions (int64, (n,)), as in the file: uint64, (n, 2)."""
        base = _as_rows(self.base)
        if not self.used:
            return base.take(positions, axis=0)
        tail = _as_rows(self.tail)
        if not self.kept:
            return tail.take(positions, axis=0)
        in_tail = positions >= self.kept
        base_positions = np.where(in_tail, 0, positions)
        rows = base.take(base_positions, axis=0)
        tail_positions = positions[in_tail] - self.kept
        rows[in_tail] = tail[tail_positions]
        return rows

    # Appending

    def append(self, ref: FrameRef) -> None:
        """Append the entry of one record."""
        used = self.used
        position = self.kept + used
        offset, size, check = ref
        eighths = min(size >> 3, _SIZE_UNKNOWN)
        mixed = check ^ position_mix(position)
        word = eighths | mixed << 32
        start = ENTRY.size * used
        if start == self.tail.nbytes:
            self._grow(1)
        ENTRY.pack_into(self.tail, start, offset, word)
        self.used = used + 1  # last: only now can another thread see it

    def extend(
        self,
        offsets: np.ndarray,
        sizes: np.ndarray,
        checks: np.ndarray,
    ) -> None:
        """Append the entries of many records, whose refs are arrays of uint64."""
        start = len(self)
        stop = start + len(offsets)
        positions = np.arange(start, stop, dtype=np.uint64)
        eighths = sizes >> _EIGHTH
        eighths = np.minimum(eighths, np.uint64(_SIZE_UNKNOWN))
        mixed = checks ^ position_mixes(positions)
        words = eighths | mixed << _HALF
        self._extend_stored(offsets, words)

    def _extend_stored(self, offsets: np.ndarray, words: np.ndarray) -> None:
        count = len(offsets)
        start = self.used
        stop = start + count
        if ENTRY.size * stop > self.tail.nbytes:
            self._grow(count)
        rows = _as_rows(self.tail)
        rows[start:stop, 0] = offsets
        rows[start:stop, 1] = words
        self.used = stop  # last, as in `append`

    def _grow(self, count: int) -> None:
        """Make room for `count` more entries, in new memory: who reads the old one may go on."""
        room = max(
            _SMALLEST_TAIL,
            2 * self.used,
            self.used + count,
        )
        tail = np.empty(2 * room, np.uint64)
        in_use = 2 * self.used
        tail[:in_use] = self.tail[:in_use]
        self.tail = memoryview(tail)

    # Batches

    def apply(
        self,
        refs: Sequence[FrameRef] | np.ndarray,
        op: int,
        positions: Sequence[int],
    ) -> Entries:
        """Do what a batch does to the list.

        Args:
            refs: of the records to append; may be an array: uint64, (n, 3).
            op: what the batch does besides: TAKE_LAST, DELETE, or 0 for nothing.
            positions: of the records that it does this to.

        Returns:
            The list to use from now on: this one, unless records were edited. It may share memory
            with this one, in which nothing moves, and only what is replaced changes: a thread that
            goes on reading this one finds the old record or the new one.

        Raises:
            CorruptError: the list does not have these positions; nothing was edited.
        """
        if not op:
            self._add(refs)
            return self
        edited = self._twin()  # so that what is appended is not visible before the edit
        edited._add(refs)
        array = np.asarray(positions, np.uint64)
        if op == TAKE_LAST:
            return edited._take_last(array)
        if op == DELETE and len(array):
            return edited._delete(array)
        return edited

    def _add(self, refs: Sequence[FrameRef] | np.ndarray) -> None:
        if isinstance(refs, np.ndarray):
            array = refs
        elif len(refs) > _FEW:
            array = np.array(refs, np.uint64)
        else:
            for ref in refs:
                self.append(ref)
            return
        self.extend(array[:, 0], array[:, 1], array[:, 2])

    def _take_last(self, positions: np.ndarray) -> Entries:
        """Let the last record, which is removed, take the place of each of these in turn."""
        count = len(self)
        last_positions = count - 1 - np.arange(len(positions))  # of the list before each step
        highest = np.maximum(last_positions, 0)
        is_wrong = positions > highest.astype(np.uint64)
        is_wrong |= last_positions < 0
        if is_wrong.any():
            step = int(is_wrong.argmax())
            position = int(positions[step])
            remaining = max(count - step, 0)
            raise CorruptError(f"an edit takes position {position} of {remaining}")
        for position in positions.tolist():
            count -= 1
            if position < count:
                self._move(count, position)
        return self._first(count)

    def _move(self, source: int, target: int) -> None:
        """Put the entry at one position in the place of another."""
        offset, word = self.stored(source)
        mix = position_mix(source) ^ position_mix(target)
        word ^= mix << 32
        part = self.base
        row = target
        if target >= self.kept:
            part = self.tail
            row = target - self.kept
        # In one call, while this thread holds the interpreter's lock: nobody sees half an entry.
        ENTRY.pack_into(part, ENTRY.size * row, offset, word)

    def _delete(self, positions: np.ndarray) -> Entries:
        """The list without these records: what is behind the first moves up, in new memory."""
        count = len(self)
        ascend = (positions[1:] > positions[:-1]).all()
        if int(positions[-1]) >= count or not ascend:
            raise CorruptError(f"an edit deletes positions that do not ascend within {count}")
        first = int(positions[0])
        deleted = positions.astype(np.int64)
        deleted -= first
        remains = np.ones(count - first, bool)
        remains[deleted] = False
        old = np.arange(first, count)
        old = old[remains]
        new = np.arange(first, first + len(old))
        rows = self.rows(first, count)
        rows = rows[remains]
        words = moved_words(rows[:, 1], old, new)
        shorter = self._first(first)
        shorter.tail = _copied(self.tail)
        shorter._extend_stored(rows[:, 0], words)
        return shorter

    # Others of the same records

    def copy(self) -> Entries:
        """Copy the entries, so that edits of the copy do not change these."""
        in_use = self.base[: 2 * self.kept]
        twin = Entries(_copied(in_use), self.kept)
        twin.tail = _copied(self.tail)
        twin.used = self.used
        return twin

    def _twin(self) -> Entries:
        """The same entries, in the same memory."""
        twin = Entries(self.base, self.kept)
        twin.tail = self.tail
        twin.used = self.used
        return twin

    def _first(self, count: int) -> Entries:
        """The entries of the first records, in the same memory."""
        kept = self.kept
        shorter = self._twin()
        shorter.kept = min(kept, count)
        shorter.used = max(count - kept, 0)
        return shorter


def _as_rows(part: memoryview) -> np.ndarray:
    words = np.frombuffer(part, np.uint64)
    return words.reshape(-1, 2)


def _copied(part: memoryview) -> memoryview:
    return memoryview(np.array(part))


def moved_words(
    words: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
) -> np.ndarray:
    """The words of entries that move from old to new positions.

    All are arrays of integers, (n,); words are uint64.
    """
    mixes = position_mixes(old) ^ position_mixes(new)
    moved: np.ndarray = words ^ mixes << _HALF
    return moved
