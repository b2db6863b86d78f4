"""Which record of one list is which of another, where each record is a number of 64 bits."""

from __future__ import annotations

import bisect

import numpy as np

from dsrecords._diff.digests import mixed

_MOST_IN_A_GAP = 2**31


def matched(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return pairs of indices of equal records, each in one pair at most: int64, (n, 2), ascending.

    Those at the beginning, at the end and, in lists of one length, at the same place come first. Of
    the others, the k-th of equal ones in the one list is the k-th of them in the other.
    """
    placed = _in_place(one, other)
    left = without(len(one), placed[:, 0])
    right = without(len(other), placed[:, 1])
    elsewhere = _pairs(
        _numbered(one[left]),
        _numbered(other[right]),
        left,
        right,
    )
    pairs = np.concatenate([placed, elsewhere])
    order = np.argsort(pairs[:, 0], kind="stable")
    return pairs[order]


def _in_place(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the pairs of equal records that an edit elsewhere has left where they were."""
    if len(one) == len(other):
        same = np.flatnonzero(one == other)
        return np.column_stack([same, same])
    shorter = min(len(one), len(other))
    forwards = one[:shorter] == other[:shorter]
    prefix = _leading(forwards)
    from_end = one[::-1]
    other_from_end = other[::-1]
    backwards = from_end[:shorter] == other_from_end[:shorter]
    suffix = _leading(backwards)
    suffix = min(suffix, shorter - prefix)
    beginning = np.arange(prefix)
    end = np.arange(-suffix, 0)
    left = np.concatenate(
        [
            beginning,
            end + len(one),
        ]
    )
    right = np.concatenate(
        [
            beginning,
            end + len(other),
        ]
    )
    return np.column_stack([left, right])


def _leading(flags: np.ndarray) -> int:
    """Return how many are true before the first that is not."""
    if flags.all():
        return len(flags)
    return int(flags.argmin())


def _numbered(digests: np.ndarray) -> np.ndarray:
    """Return numbers of which no two are equal: that of the k-th of equal ones depends on k."""
    count = len(digests)
    order = np.argsort(digests, kind="stable")
    ascending = digests[order]
    begins = np.ones(count, bool)
    begins[1:] = ascending[1:] != ascending[:-1]
    places = np.arange(count)
    places_of_beginnings = np.where(begins, places, 0)
    starts = np.maximum.accumulate(places_of_beginnings)
    which = np.zeros(count, np.uint64)
    which[order] = places - starts
    keys = mixed(which)
    keys ^= digests
    return mixed(keys)


def _pairs(
    numbers: np.ndarray,
    other_numbers: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> np.ndarray:
    """Return pairs of the indices of which the numbers are equal; none occurs twice."""
    _, which, which_other = np.intersect1d(
        numbers,
        other_numbers,
        assume_unique=True,
        return_indices=True,
    )
    paired = left[which]
    other_paired = right[which_other]
    return np.column_stack([paired, other_paired])


def without(count: int, taken: np.ndarray) -> np.ndarray:
    """Return the indices below `count` that are not taken: int64, (n,), ascending."""
    is_left = np.ones(count, bool)
    is_left[taken] = False
    return np.flatnonzero(is_left)


def between_equal_ones(
    pairs: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> np.ndarray:
    """Return pairs of records that have no equal, in the gaps between those that have.

    In a gap, the k-th record of the one list is paired with the k-th of the other: it was changed.

    Args:
        pairs: of equal records, ascending.
        left: the indices in the one list of those without: int64, (n,), ascending.
        right: the same of the other list.
    """
    after = np.sort(pairs[:, 1])
    before = pairs[:, 0]
    gaps = np.searchsorted(before, left)
    other_gaps = np.searchsorted(after, right)
    return _pairs(
        _numbered_in_gaps(gaps),
        _numbered_in_gaps(other_gaps),
        left,
        right,
    )


def _numbered_in_gaps(gaps: np.ndarray) -> np.ndarray:
    """Return a number of its own for the k-th record of each gap, as k and the gap say."""
    places = np.arange(len(gaps))
    starts = np.searchsorted(gaps, gaps)
    which = places - starts
    numbers: np.ndarray = gaps * _MOST_IN_A_GAP + which
    return numbers


def longest_increasing(numbers: np.ndarray) -> int:
    """Return how many are in order if as few as possible are taken out (Fredman 1975)."""
    is_increasing = numbers[1:] > numbers[:-1]
    if is_increasing.all():
        return len(numbers)
    ends: list[int] = []
    for number in numbers.tolist():
        place = bisect.bisect_left(ends, number)
        if place == len(ends):
            ends.append(number)
        else:
            ends[place] = number
    return len(ends)
