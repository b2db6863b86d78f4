"""What a dataset is split into: fractions or counts, and the numbers of records they mean."""

from __future__ import annotations

import fractions
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_TOLERANCE = fractions.Fraction(1, 10**6)  # by which fractions may add up to more or less than 1


class Parts(NamedTuple):
    """What a dataset is to be split into.

    Attributes:
        names: of the parts; their positions where they have none.
        shares: of the parts: exact, they add up to 1.
        counts: how many records each is to have; None where shares were given.
        named: whether they have names.
    """

    names: list[Any]
    shares: list[fractions.Fraction]
    counts: list[int] | None
    named: bool


def parts_of(spec: Any) -> Parts:
    """Return the parts that a spec asks for. Raises TypeError, ValueError."""
    if isinstance(spec, Mapping):
        names = list(spec)
        amounts = list(spec.values())
    elif isinstance(spec, Sequence) and not isinstance(spec, str):
        names = list(range(len(spec)))
        amounts = list(spec)
    else:
        raise TypeError(f"split takes a dict or a list of fractions or counts, not {spec!r}")
    if not names:
        raise ValueError("split takes one or more parts: none are given")
    for name, amount in zip(names, amounts):
        _check_amount(name, amount)
    named = isinstance(spec, Mapping)
    are_counts = [isinstance(amount, numbers.Integral) for amount in amounts]
    if not all(are_counts):
        shares = _shares_of(amounts)
        return Parts(
            names,
            shares,
            None,
            named,
        )
    counts = list(map(int, amounts))
    total = sum(counts)
    shares = [fractions.Fraction(count, total) for count in counts]
    return Parts(
        names,
        shares,
        counts,
        named,
    )


def _shares_of(amounts: list[Any]) -> list[fractions.Fraction]:
    """Return fractions as exact ones that add up to 1. Raises ValueError if they do not nearly."""
    exact = []
    for amount in amounts:
        share = _as_written(amount, amounts)
        exact.append(share)
    total = sum(exact, fractions.Fraction(0))
    if abs(total - 1) > _TOLERANCE:
        shown = f"{float(total):g}"
        advice = "give what is left over a part of its own"
        raise ValueError(f"the fractions add up to {shown}, not to 1: {advice}")
    return [share / total for share in exact]


def _check_amount(name: Any, amount: Any) -> None:
    is_number = isinstance(amount, numbers.Real)
    if not is_number or isinstance(amount, bool):
        raise TypeError(f"part {name!r}: a fraction or a count expected, not {amount!r}")
    number = float(amount)
    if not math.isfinite(number) or number <= 0:
        raise ValueError(f"part {name!r}: {amount!r} is not above 0; leave out what is empty")


def _as_written(amount: Any, amounts: list[Any]) -> fractions.Fraction:
    """Return a fraction exactly as it is written: 0.1 is a tenth, not the nearest double."""
    if isinstance(amount, numbers.Integral):
        raise ValueError(f"either fractions or counts are given, not both: {amounts}")
    if isinstance(amount, numbers.Rational):
        return fractions.Fraction(amount)
    return fractions.Fraction(str(amount))


def counts_of(parts: Parts, count: int) -> list[int]:
    """Return how many of some records each part gets; they add up to all.

    By the method of the largest remainder: each gets its share, rounded down; what is left over
    goes, one by one, to those of which most was cut off, of equals to the first.

    Raises:
        ValueError: counts were given, and are not of so many records.
    """
    if parts.counts is not None:
        total = sum(parts.counts)
        if total != count:
            raise ValueError(f"the counts add up to {total}: there are {count} records to split")
    counts = []
    added = []  # by rounding down, below 0
    for share in parts.shares:
        quota = share * count
        rounded = math.floor(quota)
        counts.append(rounded)
        added.append(rounded - quota)
    left = count - sum(counts)
    numbers_of_parts = range(len(counts))
    by_remainder = sorted(numbers_of_parts, key=added.__getitem__)
    for number in by_remainder[:left]:
        counts[number] += 1
    return counts
