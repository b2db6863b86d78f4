"""The heads of many records: gathered and verified together, several times faster than one by one. Knows nothing of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsrecords._format.entries import Entries
from dsrecords._format.frame import PENDING, RECORD
from dsrecords._format.layout import padded_sizes, position_mixes

if TYPE_CHECKING:
    from dsrecords._read.snapshot import Snapshot
    from dsrecords._schema.schema import Field

_LOW = np.uint64(2**32 - 1)
HEAD_SEEN = 1
_NEIGHBOURS = 4000  # records whose heads are verified together
_AT_ONCE = 500  # up to here NumPy changes an array without giving Python's lock away
FEW = 7  # so many bits less than there are records: whoever reads more than that at random will read more
_FAR = 16  # heads are not near each other where there are so many times their bytes between them
NEVER_SEEN = 1 << 63  # beyond 62 payloads there is no bit left: those are verified at each reading
_MANY = 1000  # heads for which it pays to ask whether they are one behind the other
_EIGHTH, _SEVEN = (
    np.uint64(3),
    np.uint64(7),
)  # to divide by eight, and to round up to a multiple of it


def seen_bit(field: Field) -> int:
    """Which bit of `Entries.seen` says that this field has been verified."""
    return HEAD_SEEN if field.payload < 0 else min(2 << field.payload, NEVER_SEEN)


def take(snapshot: Snapshot, offsets: np.ndarray) -> np.ndarray:
    """The heads at these offsets, not to be changed. NumPy copies each as one item: five times faster than as a row of words."""
    dtype, first = snapshot.header.schema.layout.dtype, int(offsets[0])
    data = snapshot.mapped()
    if (
        len(offsets) > _MANY and (np.diff(offsets) == dtype.itemsize).all()
    ):  # one behind the other, as they were appended
        return np.frombuffer(data, dtype, len(offsets), first)
    room = (len(data) - dtype.itemsize) // 8 + 1
    everywhere = np.ndarray((room,), f"V{dtype.itemsize}", data, strides=(8,))
    heads: np.ndarray = everywhere[(offsets >> _EIGHTH).view(np.int64)].view(dtype)
    return heads


def verified(
    snapshot: Snapshot, positions: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The heads of many records, and which of them are right.

    Args:
        snapshot: the list.
        positions: int64, (n,), n > 0.
        rows: the entries at these positions: uint64, (n, 2).

    Returns:
        The heads, structured, (n,), of which those that are not right may be anything; and bool, (n,).
    """
    header, offsets, words = snapshot.header, rows[:, 0], rows[:, 1]
    size = header.schema.layout.size
    low, high = int(offsets.min()), int(offsets.max())
    if low < header.size or high + size > snapshot.end or np.bitwise_or.reduce(offsets) & _SEVEN:
        inside = (
            (offsets >= header.size)
            & (offsets <= max(snapshot.end - size, 0))
            & (offsets & _SEVEN == 0)
        )
        heads = np.zeros(len(rows), header.schema.layout.dtype)
        if inside.any():
            heads[inside], inside[inside] = verified(snapshot, positions[inside], rows[inside])
        return heads, inside
    heads = take(snapshot, offsets)
    checks, extents = heads["check"], np.uint64(size)
    right = (checks == (words >> np.uint64(32) ^ position_mixes(positions))) & (
        heads["kind"] - np.uint32(RECORD) <= PENDING - RECORD
    )
    if header.schema.payloads:
        sizes = padded_sizes(heads["sizes"])
        right &= sizes.max(axis=1) <= np.uint64(snapshot.end)  # so that their sum does not overflow
        extents = extents + sizes.sum(axis=1, dtype=np.uint64)
    eighths = words & _LOW
    right &= (heads["size"] == extents) & ((eighths == extents >> _EIGHTH) | (eighths == _LOW))
    right &= offsets + extents <= np.uint64(snapshot.end)
    if snapshot.verify:
        right &= header.frames.checks_of(heads, offsets) == checks
    return heads, right


def heads_seen(snapshot: Snapshot, entries: Entries, positions: np.ndarray) -> bool:
    """Whether the heads of many records have been verified."""
    seen = np.asarray(entries.seen)
    if np.bitwise_and.reduce(seen.take(positions)) & HEAD_SEEN:
        return True
    unseen = positions[seen.take(positions) & HEAD_SEEN == 0]
    snapshot.alone += len(unseen)
    if snapshot.alone <= len(entries) >> FEW or not looks_around(snapshot, entries, unseen):
        return False
    return bool(np.bitwise_and.reduce(seen.take(unseen)) & HEAD_SEEN)


def unverified(
    snapshot: Snapshot, entries: Entries, positions: np.ndarray, field: Field, changes: int
) -> list[bool] | None:
    """Of many records, whether a payload's checksum must still be compared; None if of none.

    `changes`: what `Entries.changes` counted before their entries were read.
    """
    if not snapshot.verify:
        return None
    seen = np.asarray(entries.seen)
    unseen = seen.take(positions) & seen.dtype.type(seen_bit(field)) == 0
    if (
        snapshot.verify == "always"
        or seen_bit(field) == NEVER_SEEN
        or entries.changes[0] != changes
    ):
        return [True] * len(positions)
    return unseen.tolist() if unseen.any() else None


def remember(entries: Entries, positions: np.ndarray, changes: int, bits: int) -> None:
    """Note which parts (`bits`) of many records have been verified, unless a record was replaced since (`changes`)."""
    seen = np.asarray(entries.seen)
    for first in range(0, len(positions), _AT_ONCE):
        if entries.changes[0] != changes:
            return
        some = positions[first : first + _AT_ONCE]
        seen[some] |= seen.dtype.type(bits)
        if entries.changes[0] != changes:
            seen[some] = 0


def looks_around(snapshot: Snapshot, entries: Entries, positions: np.ndarray) -> bool:
    """Verify the heads around some, if they lie near each other. Those that are wrong are left to whoever asks for them."""
    if snapshot.verify is not True:
        return False
    for start in np.unique(positions // _NEIGHBOURS * _NEIGHBOURS).tolist():
        around = np.arange(start, min(start + _NEIGHBOURS, len(entries)))
        changes, places = entries.changes[0], entries.gather(around)
        offsets, most = (
            places[:, 0].astype(np.int64),
            _FAR * snapshot.header.schema.layout.size * len(places) // 2,
        )
        for middle in (
            len(offsets) // 2,
            len(offsets) // 4,
        ):  # one of the two may have been replaced, and lie elsewhere
            near = np.abs(offsets - offsets[middle]) <= most
            if enough := near.sum() > 0.75 * len(near):
                break
        if not enough:
            snapshot.alone = -len(
                entries
            )  # nor will others lie near each other: it would read much that nobody asked for
            return False
        if not near.all():  # a few were replaced, and lie elsewhere
            around, places = around[near], places[near]
        right = verified(snapshot, around, places)[1]
        if not right.all():
            around = around[right]
            snapshot.alone -= len(right) - len(
                around
            )  # what is damaged is not to make all others be looked at once more
        remember(entries, around, changes, HEAD_SEEN)
    return True
