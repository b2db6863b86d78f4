"""The entries of an index: where each record of the list is. Knows nothing of files, or of what a record holds."""

from __future__ import annotations

import copy
import struct
from collections.abc import Sequence

import numpy as np

from dsrecords._format.frame import DELETE, TAKE_LAST
from dsrecords._format.layout import position_mix, position_mixes
from dsrecords._format.log import Place
from dsrecords.errors import CorruptError

_LOW = 2**32 - 1
ENTRY = struct.Struct("<QQ")


class Entries:
    """Where each record of the list is: the file's entries (mapped, privately), then those that came since.

    `base` and `tail` are memoryviews of u64, two for each entry, as in the file: the offset; size / 8 and the mixed check. Of
    `base`, the first `kept` entries are in use, of `tail` the first `used`. `seen` is a memoryview of a number for each
    position: which parts of the record there this process has verified; the reader gives the bits their meaning, here they are
    set back to 0 when another record comes to the position. It is allocated as zeros, which take no memory until they are
    touched. `changes`, of one item, counts how often a record was replaced in place: who reads many entries can tell whether
    they still are what they were.
    """

    def __init__(self, base: memoryview, kept: int, bits: int) -> None:
        self.base, self.kept, self.bits = base, kept, bits
        self.tail, self.used = memoryview(np.empty(0, np.uint64)), 0
        self.seen, self.changes = self._unseen(kept), [0]

    def _unseen(self, count: int) -> memoryview:
        return memoryview(np.zeros(count, np.min_scalar_type(2 ** min(self.bits, 64) - 1)))

    def __len__(self) -> int:
        return self.kept + self.used

    def copy(self) -> Entries:
        """One that edits can change without this one changing."""
        twin = Entries(memoryview(np.array(self.base[: 2 * self.kept])), self.kept, self.bits)
        twin.tail, twin.used = memoryview(np.array(self.tail)), self.used
        twin.seen = self._unseen(len(self.seen))
        return twin

    def get(self, i: int) -> Place:
        """Offset, size (0 if only the frame knows) and check of the record at i."""
        part, at = (self.base, i) if i < self.kept else (self.tail, i - self.kept)
        offset, word = ENTRY.unpack_from(part, 16 * at)
        size = word & _LOW
        return offset, size * 8 if size != _LOW else 0, word >> 32 ^ position_mix(i)

    def _set(self, i: int, place: Place) -> None:
        part, at = (self.base, i) if i < self.kept else (self.tail, i - self.kept)
        self.changes[0] += 1
        self.seen[i] = 0
        # In one call, under Python's lock: another thread finds the old entry or the new one, never half of each
        ENTRY.pack_into(
            part, 16 * at, place[0], min(place[1] >> 3, _LOW) | (place[2] ^ position_mix(i)) << 32
        )
        self.seen[i] = 0  # again: it may have noted in between what it had verified of the old one

    def append(self, place: Place) -> None:
        at, (offset, size, check) = self.used, place
        if 2 * at == len(self.tail):
            self._grow(1)
        i = self.kept + at
        self.seen[i] = 0
        ENTRY.pack_into(
            self.tail, 16 * at, offset, min(size >> 3, _LOW) | (check ^ position_mix(i)) << 32
        )
        self.used = at + 1

    def _grow(self, count: int) -> None:
        room = max(16, 2 * self.used, self.used + count)
        tail, seen = np.empty(2 * room, np.uint64), self._unseen(self.kept + room)
        tail[: 2 * self.used] = self.tail[: 2 * self.used]
        np.asarray(seen)[: len(self)] = np.asarray(self.seen)[: len(self)]
        self.tail, self.seen = (
            memoryview(tail),
            seen,
        )  # new ones: whoever reads the old ones may go on

    def extend(self, offsets: np.ndarray, sizes: np.ndarray, checks: np.ndarray) -> None:
        """Many at once; all are arrays of uint64."""
        count, start = len(offsets), len(self)
        if 2 * (self.used + count) > len(self.tail):
            self._grow(count)
        rows = np.frombuffer(self.tail, np.uint64).reshape(-1, 2)[self.used : self.used + count]
        rows[:, 0] = offsets
        rows[:, 1] = pack(start + np.arange(count, dtype=np.uint64), sizes, checks)
        np.asarray(self.seen)[start : start + count] = 0
        self.used += count

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The entries start … stop as in the file: uint64, (n, 2), a copy where they lie in both parts."""
        base: np.ndarray = np.frombuffer(self.base, np.uint64).reshape(-1, 2)[
            start : min(stop, self.kept)
        ]
        if stop <= self.kept:
            return base
        tail: np.ndarray = np.frombuffer(self.tail, np.uint64).reshape(-1, 2)[
            max(start - self.kept, 0) : stop - self.kept
        ]
        return np.concatenate([base, tail]) if len(base) else tail

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """The entries at these positions (int64, (n,)), as in the file: uint64, (n, 2), a copy."""
        base, tail = (
            np.frombuffer(part, np.uint64).reshape(-1, 2) for part in (self.base, self.tail)
        )
        if not self.used or not self.kept:
            rows: np.ndarray = (tail if self.used else base).take(positions, axis=0)
            return rows
        late = positions >= self.kept
        rows = base.take(np.where(late, 0, positions), axis=0)
        rows[late] = tail[positions[late] - self.kept]
        return rows

    def apply(
        self, places: Sequence[Place] | np.ndarray, op: int, positions: Sequence[int]
    ) -> Entries:
        """What a batch does to the list. `places` may be an array: uint64, (n, 3).

        Returns the list to use from then on. It may share memory with this one, in which nothing moves but what is replaced: a
        thread that goes on reading this one finds the old record or the new one.

        Raises:
            CorruptError: positions that the list does not have.
        """
        if op:  # what comes with an edit is not to be seen without it
            return (
                copy.copy(self).apply(places, 0, ())._edited(op, np.asarray(positions, np.uint64))
            )
        if len(places) > 16 and not isinstance(places, np.ndarray):
            places = np.array(places, np.uint64)
        if isinstance(places, np.ndarray):
            self.extend(places[:, 0], places[:, 1], places[:, 2])
        else:
            for place in places:
                self.append(place)
        return self

    def _edited(self, op: int, positions: np.ndarray) -> Entries:
        count = len(self)
        if op == TAKE_LAST:
            left = count - 1 - np.arange(len(positions))
            if (wrong := (left < 0) | (positions > np.maximum(left, 0).astype(np.uint64))).any():
                raise CorruptError(
                    f"an edit takes position {positions[wrong][0]} of {max(int(left[wrong][0]), -1) + 1}"
                )
            for p in positions.tolist():
                count -= 1
                if p < count:
                    self._set(p, self.get(count))
            return self._first(count)
        if op == DELETE and len(positions):
            if int(positions[-1]) >= count or (positions[1:] <= positions[:-1]).any():
                raise CorruptError(f"an edit deletes positions that do not ascend within {count}")
            return self._without(positions.astype(np.int64))
        return self

    def _first(self, count: int) -> Entries:
        twin = copy.copy(self)
        twin.kept, twin.used = min(self.kept, count), max(count - self.kept, 0)
        return twin

    def _without(self, gone: np.ndarray) -> Entries:
        first, count = int(gone[0]), len(self)
        rows = np.array(self.rows(first, count))
        old = np.arange(first, count, dtype=np.uint64)
        keep = np.ones(count - first, bool)
        keep[gone - first] = False
        rows, old = rows[keep], old[keep]
        offsets, words = rows[:, 0], rows[:, 1]
        sizes, checks = words & np.uint64(_LOW), words >> np.uint64(32) ^ position_mixes(old)
        twin = self._first(first)
        twin.tail, twin.seen = memoryview(np.array(self.tail)), memoryview(np.array(self.seen))
        twin.extend(offsets, sizes * np.uint64(8), checks)
        return twin


def pack(positions: np.ndarray, sizes: np.ndarray, checks: np.ndarray) -> np.ndarray:
    """The second words of entries, from arrays of uint64."""
    words: np.ndarray = np.minimum(sizes >> np.uint64(3), np.uint64(_LOW)) | (
        checks ^ position_mixes(positions)
    ) << np.uint64(32)
    return words
