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
_SMALLEST_ROOM = 16  # entries
_FEW = 16  # records up to which they are appended one by one
_EIGHTH = np.uint64(3)  # bits to shift to divide by eight
_HALF = np.uint64(32)  # bits of a word


class EntryRows:
    """Entries side by side in memory, as they are in the file: the one owner of that memory.

    Lists of one history look at the same rows, each at as many as it has (see `Entries`). What is
    replaced is replaced for all of them; who must not see that copies the rows first.

    Attributes:
        words: memoryview of u64, two for each entry: its offset, and its word, in which the check
            is mixed with the position. There may be room for more entries than any list has.
    """

    def __init__(self, words: memoryview) -> None:
        self.words = words

    def read(self, row: int) -> tuple[int, int]:
        """The offset and the word of an entry."""
        entry: tuple[int, int] = ENTRY.unpack_from(self.words, ENTRY.size * row)
        return entry

    def replace(self, row: int, offset: int, word: int) -> None:
        """Put an entry in the place of another.

        In one call, while this thread holds the interpreter's lock: nobody sees half an entry.
        """
        ENTRY.pack_into(self.words, ENTRY.size * row, offset, word)

    def array(self) -> np.ndarray:
        """All rows, not copied: uint64, (n, 2)."""
        words = np.frombuffer(self.words, np.uint64)
        return words.reshape(-1, 2)

    def make_room(self, count: int) -> None:
        """Make room for `count` entries, in new memory: who reads the old one may go on."""
        old = self.words
        old_count = len(old) // 2
        if count <= old_count:
            return
        room = max(
            _SMALLEST_ROOM,
            count,
            2 * old_count,
        )
        words = np.empty(2 * room, np.uint64)
        words[: len(old)] = old
        self.words = memoryview(words)

    def copy(self, count: int) -> EntryRows:
        """Copy the first rows."""
        in_use = self.words[: 2 * count]
        words = np.array(in_use)
        return EntryRows(memoryview(words))


class Entries:
    """Where each record of the list is: the file's entries (mapped, privately), then newer ones.

    What an edit changes in place, it changes in one call: another thread that reads meanwhile finds
    the old entry or the new one, never half of each.

    Attributes:
        mapped: the file's entries.
        mapped_words: their words, in reach of each read: they are never others, as only `appended`
            grows.
        kept: how many of them, counted from the first, are in use.
        appended: the entries behind those.
        used: how many of these are in use.
    """

    def __init__(
        self,
        mapped: EntryRows,
        kept: int,
        appended: EntryRows | None = None,
        used: int = 0,
    ) -> None:
        self.mapped = mapped
        self.mapped_words = mapped.words
        self.kept = kept
        if appended is None:
            no_words = np.empty(0, np.uint64)
            appended = EntryRows(memoryview(no_words))
        self.appended = appended
        self.used = used

    def __len__(self) -> int:
        return self.kept + self.used

    # Reading

    def stored(self, i: int) -> tuple[int, int]:
        """The entry at position i as it is stored: the offset, and the word."""
        if i < self.kept:
            return self.mapped.read(i)
        return self.appended.read(i - self.kept)

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
        mapped_stop = min(stop, self.kept)
        mapped = self.mapped.array()[start:mapped_stop]
        if stop <= self.kept:
            return mapped
        first = max(start - self.kept, 0)
        last = stop - self.kept
        appended = self.appended.array()[first:last]
        if not len(mapped):
            return appended
        return np.concatenate([mapped, appended])

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """Copy the entries at these positions (int64, (n,)), as in the file: uint64, (n, 2)."""
        mapped = self.mapped.array()
        if not self.used:
            return mapped.take(positions, axis=0)
        appended = self.appended.array()
        if not self.kept:
            return appended.take(positions, axis=0)
        is_appended = positions >= self.kept
        mapped_positions = np.where(is_appended, 0, positions)
        rows = mapped.take(mapped_positions, axis=0)
        appended_positions = positions[is_appended] - self.kept
        rows[is_appended] = appended[appended_positions]
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
        appended = self.appended
        if start == appended.words.nbytes:
            appended.make_room(used + 1)
        ENTRY.pack_into(appended.words, start, offset, word)
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
        self.appended.make_room(stop)
        rows = self.appended.array()
        rows[start:stop, 0] = offsets
        rows[start:stop, 1] = words
        self.used = stop  # last, as in `append`

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
        edited = self._first(len(self))  # so that what is appended is not visible before the edit
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
        if target < self.kept:
            self.mapped.replace(target, offset, word)
        else:
            self.appended.replace(target - self.kept, offset, word)

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
        shorter.appended = self.appended.copy(self.used)
        shorter._extend_stored(rows[:, 0], words)
        return shorter

    # Others of the same records

    def copy(self) -> Entries:
        """Copy the entries, so that edits of the copy do not change these."""
        mapped = self.mapped.copy(self.kept)
        appended = self.appended.copy(self.used)
        return Entries(mapped, self.kept, appended, self.used)

    def _first(self, count: int) -> Entries:
        """A list of the first records, which looks at the same rows."""
        kept = min(self.kept, count)
        used = max(count - self.kept, 0)
        return Entries(self.mapped, kept, self.appended, used)


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
