"""Weights as integers: what shares are counted with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

MOST_WEIGHT = 2**31
"""The sum of weights, up to which products of them fit into 64 bits."""

_ROUNDED = 2**30  # the sum of weights that are rounded
_SIMPLE = 2**16  # the largest denominator of a float that is taken for a fraction


def whole_weights(weights: Sequence[Any]) -> list[int]:
    """Return weights as integers of the same ratios, whose sum is at most `MOST_WEIGHT`.

    A float is taken for the simplest fraction that it is nearest to: 0.7 is 7/10, and 1 / 3 is 1/3.
    Only where there are no such integers are ratios rounded, to 1 / 2³⁰ of the whole.

    Raises:
        ValueError: one is negative or not finite, or none is above 0.
        TypeError: one is no number.
    """
    fractions = [_fraction(weight) for weight in weights]
    total = sum(fractions)
    if not total:
        raise ValueError("at least one weight is above 0")
    whole = _integers(fractions)
    if sum(whole) <= MOST_WEIGHT:
        return whole
    return [_rounded(fraction / total) for fraction in fractions]


def _integers(fractions: list[Fraction]) -> list[int]:
    """Return the smallest integers of these ratios."""
    denominators = [fraction.denominator for fraction in fractions]
    multiple = math.lcm(*denominators)
    whole = [int(fraction * multiple) for fraction in fractions]
    divisor = math.gcd(*whole)
    return [weight // divisor for weight in whole]


def _rounded(share: Fraction) -> int:
    weight = round(share * _ROUNDED)
    if share:  # what has a weight keeps one
        return max(weight, 1)
    return weight


def _fraction(weight: Any) -> Fraction:
    if isinstance(weight, (np.integer, np.floating)):
        weight = weight.item()
    is_number = isinstance(weight, (int, float, Fraction))
    if not is_number or isinstance(weight, bool):
        raise TypeError(f"a weight is a number, not {weight!r}")
    if weight < 0 or not math.isfinite(weight):
        raise ValueError(f"a weight is at least 0 and finite, not {weight!r}")
    exact = Fraction(weight)
    simple = exact.limit_denominator(_SIMPLE)
    if isinstance(weight, float) and float(simple) == weight:
        return simple
    return exact
