"""`Permutation`: the numbers below n in an order that depends on a seed, by a formula.

The specification, with test vectors, is `docs/order-permutation.md`. All arithmetic is of 32 bits,
but for two products of 59 bits at most, so that other languages give the same numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._order.feistel import Network, hash_words, words_of
from dsrecords._order.formula import Formula, slice_in_words

LARGEST = 2**53  # values: what JavaScript's numbers count exactly
SEEDS = 2**64

_LOW_OF_SEED = 2**16  # numbers of hashes that no round has
_HIGH_OF_SEED = 2**16 + 1


class Permutation(Formula):
    """The integers from 0 to n - 1, each once, in an order that the seed decides.

    Nothing is stored: a Feistel network computes the value at any position, in the same time
    for ten values or 10**12. Slices are permutations too, of a part of the positions. Blocks are
    computed by NumPy (`block`, `array`, `blocks`), some 50 million values a second.

    The order is pseudorandom, for statistics and not for secrecy. It is the same on every machine
    and in every later version: `docs/order-permutation.md` states it exactly.

    Sources: the network of M. Luby and C. Rackoff, "How to construct pseudorandom permutations from
    pseudorandom functions" (1988); on n values by addition modulo one side of a rectangle and by
    walking along a cycle until a value is below n: J. Black and P. Rogaway, "Ciphers with arbitrary
    finite domains" (2002). There are 12 rounds, and 24 for n up to 2**16: the orders of 5 and 6
    values are visibly uneven after 12.

    Args:
        n: how many, at most 2**53.
        seed: 0 to 2**64 - 1. Orders of different seeds, and of different n, are independent.

    Attributes:
        n: of the whole permutation, also where this is a slice of one.
        seed: the same.

    Raises:
        ValueError: `n` or the seed is out of range.
        TypeError: one is no integer.
    """

    __slots__ = ("_network", "n", "seed")

    def __init__(self, n: int, seed: int) -> None:
        self.n = _checked(n, LARGEST, "n")
        self.seed = _checked(seed, SEEDS - 1, "seed")
        self._network = Network(self.n, self.seed)
        super().__init__(range(self.n))

    def value(self, position: int) -> int:
        """Compute the value at one position of the whole permutation."""
        value = self._network.encrypt(position)
        while value >= self.n:
            value = self._network.encrypt(value)
        return value

    def find(self, value: int) -> int | None:
        """Return where a value is in the whole permutation; None if it is not there."""
        if not 0 <= value < self.n:
            return None
        position = self._network.decrypt(value)
        while position >= self.n:
            position = self._network.decrypt(position)
        return position

    def fill(self, positions: np.ndarray, out: np.ndarray) -> None:
        """Compute the values at some positions of the whole permutation, as `Formula.fill`."""
        encrypt = self._network.encrypt_all
        encrypt(positions, out)
        outside = np.flatnonzero(out >= self.n)
        while len(outside):
            values = out[outside]
            encrypt(values, values)
            out[outside] = values
            is_outside = values >= self.n
            outside = outside[is_outside]

    # As a value

    @property
    def limit(self) -> int:
        """A number that all values are below."""
        return self.n

    def sliced(self, span: range) -> Permutation:
        """Return the permutation, of which other positions are shown."""
        part = object.__new__(Permutation)
        part.n = self.n
        part.seed = self.seed
        part.span = span
        part._network = self._network
        return part

    def identity(self) -> tuple[int, int]:
        """Return what makes two permutations the same."""
        return self.n, self.seed

    def __repr__(self) -> str:
        part = slice_in_words(self.span, self.n)
        return f"Permutation({self.n}, seed={self.seed}){part}"

    def __reduce__(self) -> tuple[Callable[..., Permutation], tuple[Any, ...]]:
        return _restored, (self.n, self.seed, self.span)


def derived_seed(seed: int, number: int) -> int:
    """Return a seed that depends on a seed and a number, such as that of an epoch: 64 bits.

    Unlike those of a sum, the seeds of (0, 1) and (1, 0) differ.

    Args:
        seed: 0 to 2**64 - 1.
        number: 0 to 2**64 - 1.
    """
    words = [*words_of(seed), *words_of(number)]
    low = hash_words(_LOW_OF_SEED, words)
    high = hash_words(_HIGH_OF_SEED, words)
    return high << 32 | low


def _restored(
    n: int,
    seed: int,
    span: range,
) -> Permutation:
    """Make a permutation, or a part of one."""
    permutation = Permutation(n, seed)
    return permutation.sliced(span)


def _checked(
    number: Any,
    largest: int,
    name: str,
) -> int:
    try:
        found = operator.index(number)
    except TypeError:
        kind = type(number).__name__
        raise TypeError(f"{name} is an integer, not {kind}") from None
    if not 0 <= found <= largest:
        raise ValueError(f"{name} is 0 to {largest}, not {found}")
    return found
