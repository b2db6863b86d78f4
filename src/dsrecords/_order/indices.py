"""The values of a formula one at a time, for whoever asks for single ones again and again."""

from __future__ import annotations

from typing import NamedTuple

from dsrecords._order.formula import Formula

_BLOCK = 2**10  # values that are computed together where indices ascend
_MOST_KEPT = 2**20  # values of a formula of which all are kept, 8 bytes each
_AT_ONCE = 2**8  # values that are computed at once in the time that one alone takes


class _Block(NamedTuple):
    """Some values of a sequence.

    Attributes:
        start: the index of the first.
        values: int64.
    """

    start: int
    values: memoryview


class Indices:
    """The values of a formula one at a time, as `int`.

    One alone takes microseconds. So where indices ascend one by one, a block is computed at a time;
    and all values of a short formula are kept once as many were asked for as would have paid for
    that.

    Args:
        formula: the sequence.
    """

    def __init__(self, formula: Formula) -> None:
        self._formula = formula
        # One attribute has both the values and where they are, as threads may share this.
        self._block = _Block(0, memoryview(b""))
        self._expected = -1  # the index that a loop would ask for next
        self._asked_alone = 0

    def __len__(self) -> int:
        return len(self._formula)

    def __getitem__(self, index: int) -> int:
        start, values = self._block
        place = index - start
        if 0 <= place < len(values):
            value: int = values[place]
            return value
        return self._computed(index)

    def _computed(self, index: int) -> int:
        """Return a value that is not among those that are kept."""
        formula = self._formula
        count = len(formula)
        self._asked_alone += 1
        if count <= _MOST_KEPT and self._asked_alone * _AT_ONCE > count:
            return self._keep(0, count, index)
        if index == self._expected:
            self._expected = index + _BLOCK
            return self._keep(index, index + _BLOCK, index)
        self._expected = index + 1
        return formula[index]

    def _keep(self, start: int, stop: int, index: int) -> int:
        """Compute the values from `start` to `stop`, and return that at an index among them."""
        values = self._formula.block(start, stop)
        self._block = _Block(start, memoryview(values))
        return int(values[index - start])
