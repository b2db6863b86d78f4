"""The arithmetic of an epoch: which of its positions a step has, and which of those a rank.

An epoch is the positions 0 to n - 1 of an order. Step t has the positions from o + t·G to
o + (t + 1)·G, where G is the global batch; o is 0, unless the epoch was resumed amid a step of
another G. Rank r of W has the r-th of W parts of a step, which differ by at most one position. What
is left for the last step is filled up, dropped or divided; where it is filled up, it goes on beyond
n: position p there is the sample at p modulo n once more, and marked.
"""

from __future__ import annotations

from typing import NamedTuple

FILL = "fill"
DROP = "drop"
DIVIDE = "divide"


class Steps(NamedTuple):
    """How an epoch is cut into steps, and steps into ranks.

    Attributes:
        positions: how many the epoch has.
        size: of a global batch, in positions.
        world_size: the number of ranks; at most `size`.
        last: what happens to a last step of fewer positions: `FILL`, `DROP` or `DIVIDE`.
        offset: where the steps begin, less than `size`.
    """

    positions: int
    size: int
    world_size: int
    last: str
    offset: int = 0

    def total(self) -> int:
        """Return how many steps there are."""
        available = max(self.positions - self.offset, 0)
        whole = available // self.size
        rest = available % self.size
        if rest and self.last != DROP:
            return whole + 1
        return whole

    def whole(self, stop: int) -> int:
        """Return how many of the steps before `stop` are no smaller than the others."""
        available = self.positions - self.offset
        whole = available // self.size
        return min(whole, stop)

    def start(self, step: int) -> int:
        """Return the first position of a step; the number of positions for a step beyond them."""
        start = self.offset + step * self.size
        return min(start, self.positions)

    def stop(self, step: int) -> int:
        """Return the position behind a step, without what fills it up."""
        return self.start(step + 1)

    def part(self, step: int, rank: int) -> range:
        """Return the positions that a rank has of a step; those from `positions` on are marked."""
        start = self.start(step)
        size = self.stop(step) - start
        is_smaller = size < self.size
        if is_smaller and self.last == FILL:
            missing = -size % self.world_size
            size = min(size + missing, self.size)
        before = size * rank // self.world_size
        behind = size * (rank + 1) // self.world_size
        return range(start + before, start + behind)

    def resumed(self, position: int) -> Steps:
        """Return the steps of which one begins at a position."""
        offset = position % self.size
        return self._replace(offset=offset)

    def step_at(self, position: int) -> int:
        """Return the step that begins at a position, or which has it."""
        since = position - self.offset
        step = since // self.size
        if since % self.size:
            return step + 1
        return step
