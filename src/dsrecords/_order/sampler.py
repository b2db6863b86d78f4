"""`Sampler`: the samples that a rank reads at each step, and how training goes on where it ended.

An epoch is an order of the samples, which depends on the seed and the number of the epoch alone
(`orders`). Steps and ranks are parts of it by arithmetic (`steps`); so nothing has to be agreed on
between processes, and a position in the order is all that a state needs.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from dsrecords._order.batches import Batches, Order
from dsrecords._order.fingerprints import fingerprint, known_by
from dsrecords._order.lengths import MaxTokens
from dsrecords._order.mixing import Mixture
from dsrecords._order.orders import Shuffling
from dsrecords._order.permutation import derived_seed
from dsrecords._order.steps import DIVIDE, DROP, FILL, Steps
from dsrecords._order.weights import Weights
from dsrecords._order.windowed import as_window
from dsrecords._warning import warn_user

_SEEDS = 2**64
_SINGLES = 4096  # single indices that are computed together
_KEYS = ("seed", "epoch", "position", "samples", "dataset", "order")


class _Plan(NamedTuple):
    """One epoch.

    Attributes:
        order: its samples.
        batches: by length; None where batches have a size.
        steps: of its samples; of its batches, where those are by length.
    """

    order: Order
    batches: Batches | None
    steps: Steps

    def samples(self, start: int, stop: int) -> np.ndarray:
        """Return the samples of some positions of the steps: int64, (n,)."""
        if self.batches is None:
            return self.order.block(start, stop)
        pieces = []
        for number in range(start, stop):
            batch = self.batches.batch(number)
            pieces.append(batch)
        return np.concatenate(pieces)

    def number(self, position: int) -> int:
        """Return the position of the steps that begins behind so many samples."""
        if self.batches is None:
            return position
        return self.batches.behind(position)

    def step_at(self, position: int) -> int:
        """Return the step that comes behind so many samples."""
        number = self.number(position)
        return self.steps.step_at(number)

    def position_at(self, step: int) -> int:
        """Return how many samples there are before a step; all of them behind the last one."""
        if step >= self.steps.total():
            return len(self.order)
        start = self.steps.start(step)
        if self.batches is None:
            return start
        return self.batches.start(start)


class Sampler:
    """The indices of the samples that one rank reads, step by step, in another order each epoch.

    It is what PyTorch's `DataLoader` takes as `batch_sampler`; without a batch size, as `sampler`.

    Step t of an epoch reads the samples from t·G to (t + 1)·G of the epoch's order, whatever the
    number of ranks and workers; G is the global batch. A rank reads a part of them, in order. All
    ranks make the same number of steps.

    An iteration goes through one epoch. The next one goes through the next epoch, unless
    `set_epoch` says which. One that is broken off is begun anew by the next.

    Args:
        dataset: what is sampled, or the number of its samples. The steps of a mixture keep their
            sources: samples are shuffled within those.
        batch_size: samples a rank reads in a step; or `MaxTokens`, for batches by length. None:
            single indices instead of arrays.
        global_batch_size: samples all ranks read in a step; in the place of `batch_size`. If the
            number of ranks does not divide it, their batches differ by one sample, and a warning
            says so.
        shuffle: whether each epoch has another order, by `seed`; or the dataset's own.
        seed: 0 to 2⁶⁴ - 1; the same one on all ranks.
        drop_last: whether the last step is left out if it has fewer samples than the others.
        pad_last: whether such a last step is filled up until all ranks have equally many, by
            repeats of the first samples of the epoch, which `repeats` marks. False: it is divided,
            so that each sample is read once; some ranks may have one sample less, or none.
        rank: 0 to `world_size` - 1.
        world_size: how many ranks there are.
        weights: of the samples, (n,), by which they are drawn with replacement; or `Weights`.
        window: shuffle within so many samples, for cold disks and buckets: blocks of neighbours
            come in any order, and 16 of them are mixed at a time. Or (size of a block, size of a
            window).

    Attributes:
        batch_size, seed, rank, world_size: as they were given.
        global_batch_size: samples in a step, None with `MaxTokens`.
        num_samples: in an epoch.

    Raises:
        ValueError: an argument is out of range, or two do not go together.
        TypeError: one is of another type.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | MaxTokens | None = None,
        *,
        global_batch_size: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        pad_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
        weights: Any = None,
        window: int | tuple[int, int] | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.seed = _in_range("seed", seed, 0, _SEEDS)
        self.world_size = _in_range("world_size", world_size, 1)
        self.rank = _in_range("rank", rank, 0, self.world_size)
        self._shuffling = _shuffling(dataset, shuffle, weights, window)
        self._dataset = _identity(dataset, self._shuffling.available)
        self._budget: MaxTokens | None = None
        if isinstance(batch_size, MaxTokens):
            self._budget = batch_size.of(dataset)
            _check_lengths(self._budget, self._shuffling.available)
        self._is_single = batch_size is None and global_batch_size is None
        self.global_batch_size = self._global_size(global_batch_size)
        self.num_samples = self._shuffling.length()
        self._last = _last(drop_last, pad_last)
        self._epoch = 0
        self._start = 0  # where an iteration of this epoch begins, in samples
        self._position = 0  # where the running one is
        self._is_done = False  # whether the next iteration is of the next epoch
        self._plan: _Plan | None = None  # of the epoch; made when it is needed

    def _global_size(self, given: int | None) -> int | None:
        """Return how many samples a step has; None if that depends on their length."""
        batch_size = self.batch_size
        if given is None:
            if isinstance(batch_size, MaxTokens):
                return None
            if batch_size is None:
                return self.world_size
            size = _in_range("batch_size", batch_size, 1)
            return size * self.world_size
        if batch_size is not None:
            raise ValueError("batch_size is of a rank, global_batch_size of all: give one of them")
        size = _in_range("global_batch_size", given, 1)
        if size < self.world_size:
            raise ValueError(
                f"a global_batch_size of {size} leaves some of {self.world_size} ranks without "
                f"samples: give at least {self.world_size}"
            )
        if size % self.world_size:
            small = size // self.world_size
            warn_user(
                f"a global batch of {size} samples does not divide by {self.world_size} ranks: "
                f"they get {small} or {small + 1} each, so a mean over ranks of their means is not "
                "quite the mean over samples"
            )
        return size

    # The epoch

    @property
    def epoch(self) -> int:
        """The epoch of the running iteration, or of the last one until another begins."""
        return self._epoch

    @property
    def order(self) -> Order:
        """The samples of the epoch by position: `order.block(start, stop)` returns an array."""
        return self._planned().order

    @property
    def step(self) -> int:
        """The step that comes next: the number of steps of the epoch that were made."""
        return self._planned().step_at(self._position)

    @property
    def yields_batches(self) -> bool:
        """Whether an iteration yields arrays of indices, or single ones."""
        return not self._is_single

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration goes through.

        If it is the one that a state was loaded of, the iteration goes on where that says.
        """
        epoch = _in_range("epoch", epoch, 0, _SEEDS)
        start = 0
        if epoch == self._epoch:
            start = self._start
        self._begin(epoch, start)

    def _begin(self, epoch: int, position: int) -> None:
        """Go to a position of an epoch."""
        self._epoch = epoch
        self._start = position
        self._position = position
        self._is_done = False
        self._plan = None

    def _planned(self) -> _Plan:
        """Return the plan of the epoch, in which a step begins where the iteration does."""
        if self._plan is not None:
            return self._plan
        order = self._shuffling.order(self.seed, self._epoch)
        batches = None
        length = self.num_samples
        size = self.global_batch_size
        if self._budget is not None:
            seed = self._batch_seed()
            batches = Batches(order, self._budget, seed)
            length = len(batches)
        if size is None:  # a step is a batch for each rank
            size = self.world_size
        steps = Steps(
            length,
            size,
            self.world_size,
            self._last,
        )
        plan = _Plan(order, batches, steps)
        offset = plan.number(self._start)
        self._plan = _Plan(
            order,
            batches,
            steps.resumed(offset),
        )
        return self._plan

    def _batch_seed(self) -> int | None:
        is_shuffled = self._shuffling.shuffle
        is_drawn = self._shuffling.weights is not None
        if not is_shuffled and not is_drawn:
            return None
        return derived_seed(self.seed, self._epoch)

    # The steps

    def __len__(self) -> int:
        """Return the number of steps of the epoch, from its beginning."""
        plan = self._planned()
        return plan.steps.total()

    def __iter__(self) -> Iterator[Any]:
        """Go through the epoch, from its beginning or where a state that was loaded says."""
        step = self.begin()
        if self._is_single:
            return self._singles(step)
        return self._arrays(step)

    def begin(self) -> int:
        """Begin an iteration, as `iter` does; return its first step.

        For loaders, which read ahead: they take the steps from `steps_from`, and say with
        `advance` which of them were delivered.
        """
        if self._is_done:
            self._begin(self._epoch + 1, 0)
        self._position = self._start
        plan = self._planned()
        step = plan.step_at(self._start)
        self.advance(step)
        return step

    def _arrays(self, step: int) -> Iterator[np.ndarray]:
        epoch = self._epoch
        for number, indices in self.steps_from(step):
            if self._epoch != epoch:  # it is told of another one meanwhile
                return
            self.advance(number + 1)
            yield indices

    def steps_from(self, step: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the steps of the epoch from one on, each with `indices(step)`.

        Steps are computed many at a time, which takes a fraction of the time.
        """
        plan = self._planned()
        total = plan.steps.total()
        whole = plan.steps.whole(total)
        together = _SINGLES // plan.steps.size
        while step < total:
            stop = min(step + together, whole)
            if plan.batches is not None or stop <= step:
                yield step, self._indices_of(plan, step, self.rank)
                step += 1
                continue
            yield from self._whole_steps(plan, step, stop)
            step = stop

    def _whole_steps(self, plan: _Plan, step: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield some steps that are no smaller than the others."""
        first = plan.steps.start(step)
        behind = plan.steps.start(stop)
        samples = plan.order.block(first, behind)
        for number in range(step, stop):
            part = plan.steps.part(number, self.rank)
            yield number, samples[part.start - first : part.stop - first]

    def _singles(self, step: int) -> Iterator[int]:
        epoch = self._epoch
        total = len(self)
        for start in range(step, total, _SINGLES):
            stop = min(start + _SINGLES, total)
            for number, index in self._single_indices(start, stop):
                if self._epoch != epoch:
                    return
                self.advance(number + 1)
                yield index
        if self._epoch == epoch:
            self.advance(total)

    def _single_indices(self, step: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield some steps, each with the index that this rank has; a last one may have none."""
        plan = self._planned()
        steps = plan.steps
        whole = steps.whole(stop)
        if whole > step:  # evaluated at once, which takes a hundredth of the time
            first = steps.start(step)
            behind = steps.start(whole)
            together = plan.order.block(first, behind)
            indices = together[self.rank :: self.world_size]
            yield from enumerate(indices.tolist(), step)
            step = whole
        for number in range(step, stop):
            rest = self.indices(number)
            for index in rest.tolist():
                yield number, index

    def advance(self, step: int) -> None:
        """Count the steps before this one as made; after the last one comes another epoch."""
        plan = self._planned()
        self._position = plan.position_at(step)
        if self._position >= self.num_samples:
            self._start = 0
            self._is_done = True

    def indices(self, step: int, rank: int | None = None) -> np.ndarray:
        """Return what a rank reads at a step of the epoch.

        Args:
            step: 0 to `len(sampler)` - 1.
            rank: by default this one.

        Returns:
            int64, (n,): indices of the dataset, with repeats.
        """
        self._part(step, rank)
        if rank is None:
            rank = self.rank
        return self._indices_of(self._planned(), step, rank)

    @staticmethod
    def _indices_of(plan: _Plan, step: int, rank: int) -> np.ndarray:
        part = plan.steps.part(step, rank)
        count = plan.steps.positions
        nothing = np.empty(0, np.int64)
        pieces = [nothing]
        for first, last in _wrapped(part, count):
            samples = plan.samples(first, last)
            pieces.append(samples)
        return np.concatenate(pieces)

    def repeats(self, step: int, rank: int | None = None) -> np.ndarray:
        """Return which samples of a rank's batch fill it up, and were or will be read besides.

        Args:
            step: 0 to `len(sampler)` - 1.
            rank: by default this one.

        Returns:
            bool, (n,), for each of `indices(step, rank)`.
        """
        part = self._part(step, rank)
        plan = self._planned()
        count = plan.steps.positions
        positions = np.arange(part.start, part.stop)
        marks = positions >= count
        if plan.batches is None:
            return marks
        sizes = []
        for number in part:
            size = plan.batches.size(number % count)
            sizes.append(size)
        return np.repeat(marks, sizes)

    def draws(self, step: int) -> np.ndarray | None:
        """Return what tells apart the times that one sample comes in an epoch.

        Args:
            step: 0 to `len(sampler)` - 1.

        Returns:
            None where each sample comes once. Where samples are drawn with replacement: the
            position in the epoch's order of each of `indices(step)`, int64, (n,).
        """
        weights = self._shuffling.weights
        if weights is None or not weights.replacement:
            return None
        part = self._part(step, None)
        batches = self._planned().batches
        if batches is None:
            return np.arange(part.start, part.stop)
        pieces = [np.empty(0, np.int64)]
        for number in part:
            turn, batch = divmod(number, len(batches))
            start = turn * self.num_samples + batches.start(batch)
            pieces.append(np.arange(start, start + batches.size(batch)))
        return np.concatenate(pieces)

    def global_indices(self, step: int) -> np.ndarray:
        """Return what all ranks together read at a step, without repeats: int64, (n,).

        It is the part of `order` that belongs to the step.
        """
        self._part(step, None)
        plan = self._planned()
        start = plan.steps.start(step)
        stop = plan.steps.stop(step)
        return plan.samples(start, stop)

    def _part(self, step: int, rank: int | None) -> range:
        """Return the positions, or batches, of a step that are a rank's."""
        if rank is None:
            rank = self.rank
        steps = len(self)
        if not 0 <= operator.index(step) < steps:
            raise IndexError(f"step {step} is out of range: the epoch has {steps} steps")
        if not 0 <= operator.index(rank) < self.world_size:
            raise IndexError(f"rank {rank} is out of range: there are {self.world_size}")
        plan = self._planned()
        return plan.steps.part(step, rank)

    # States

    def state_dict(self, step: int | None = None) -> dict[str, int | str]:
        """Return where training is: less than 200 bytes of integers and strings.

        Args:
            step: how many steps of the epoch were made. By default, as many as were yielded. A
                loader with workers is ahead of the training: it needs to be told.
        """
        position = self._position
        if step is not None:
            step = _in_range("step", step, 0)
            plan = self._planned()
            position = plan.position_at(step)
        return {
            "seed": self.seed,
            "epoch": self._epoch,
            "position": position,
            "samples": self.num_samples,
            "dataset": self._dataset,
            "order": self._order_in_words(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state says, with its seed.

        Batches and ranks may be others than they were. Where the global batch is the same, so are
        those that follow; else the first begins with the sample that comes next.

        Raises:
            ValueError: it is a state of another dataset or another order, or none of a sampler.
        """
        for key in _KEYS:
            if key not in state:
                raise ValueError(f"this is no state of a Sampler: it has no {key!r}")
        count = state["samples"]
        if state["dataset"] != self._dataset or count != self.num_samples:
            raise ValueError(
                f"this is a state of another dataset: {count} samples of {state['dataset']}, and "
                f"here are {self.num_samples} of {self._dataset}; open the one that was trained "
                "on, with as many records, or begin anew"
            )
        order = self._order_in_words()
        if state["order"] != order:
            raise ValueError(
                f"the state is of the order {state['order']!r}, and this sampler has {order!r}: "
                "give it the same shuffle, weights, window and lengths"
            )
        seed = _in_range("seed", state["seed"], 0, _SEEDS)
        epoch = _in_range("epoch", state["epoch"], 0, _SEEDS)
        position = _in_range("position", state["position"], 0, count + 1)
        self.seed = seed
        self._begin(epoch, position)
        self._is_done = position >= count

    def _order_in_words(self) -> str:
        words = self._shuffling.in_words()
        if self._budget is None:
            return words
        return f"{words}, {self._budget.words}"

    def __repr__(self) -> str:
        batch = f"{self.global_batch_size} a step"
        if self._budget is not None:
            batch = f"{self._budget.max_tokens} tokens a batch"
        return (
            f"<Sampler: {self.num_samples:,} samples, {batch}, {self._order_in_words()}, rank "
            f"{self.rank} of {self.world_size}, epoch {self._epoch}, step {self.step} of "
            f"{len(self)}>"
        )


def _shuffling(
    dataset: Any,
    shuffle: bool,
    weights: Any,
    window: Any,
) -> Shuffling:
    """Return how the samples of each epoch are ordered."""
    schedule = None
    if isinstance(dataset, Mixture):
        schedule = dataset.own_schedule()
    count = _count(dataset)
    if weights is not None:
        if not isinstance(weights, Weights):
            weights = Weights(weights)
        if len(weights.values) != count:
            raise ValueError(f"{len(weights.values)} weights for {count} samples")
        if window is not None or not shuffle:
            raise ValueError("weights draw samples: they go with neither window nor shuffle=False")
        if schedule is not None:
            raise ValueError("a mixture has weights of its own: give those to dsrecords.mix")
    if window is not None:
        window = as_window(window)
        if not shuffle:
            raise ValueError("a window says how to shuffle: it does not go with shuffle=False")
    return Shuffling(count, shuffle, weights, window, schedule)


def _count(dataset: Any) -> int:
    if isinstance(dataset, (str, bytes, os.PathLike)):
        raise TypeError(f"a dataset is expected, not a path: dsrecords.open({dataset!r})")
    if not hasattr(dataset, "__len__"):
        return _in_range("the number of samples", dataset, 0)
    return len(dataset)


def _identity(dataset: Any, count: int) -> str:
    """Return what a dataset is known by; of a number of samples, that number."""
    if hasattr(dataset, "__len__"):
        return known_by(dataset)
    return fingerprint(count)


def _last(drop_last: bool, pad_last: bool) -> str:
    if drop_last:
        return DROP
    if pad_last:
        return FILL
    return DIVIDE


def _check_lengths(budget: MaxTokens, count: int) -> None:
    if len(budget.lengths) != count:
        raise ValueError(f"{len(budget.lengths)} lengths for {count} samples")


def _wrapped(part: range, count: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches of an epoch that a part has; behind the last position comes the first."""
    start = part.start
    while start < part.stop:
        turn = start // count
        before = turn * count
        stop = min(part.stop, before + count)
        yield start - before, stop - before
        start = stop


def _in_range(
    name: str,
    value: Any,
    first: int,
    stop: int | None = None,
) -> int:
    """Return an integer. Raises ValueError if it is out of range, TypeError if it is none."""
    try:
        number = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name} is an integer, not {kind}") from None
    if number < first or (stop is not None and number >= stop):
        allowed = f"at least {first}"
        if stop is not None:
            allowed = f"{first} to {stop - 1}"
        raise ValueError(f"{name} is {allowed}, not {number}")
    return number
