"""Samplers of others: any iterable of batches of indices, as a loader uses a `Sampler`."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from dsrecords._order.sampler import Sampler

_LARGEST_BATCH = 2**32  # samples: more than any has
_NO_STATE = (
    "a {kind} has no position that a loader could return to: give dsrecords.Sampler, which has"
)


class GivenBatches:
    """Batches of indices from an iterable, which is gone through once an epoch.

    Args:
        batches: such as a `torch.utils.data.BatchSampler`.
        seed: of transforms.

    Attributes:
        epoch: how many were gone through before.
        seed: the same.
        yields_batches: as of a `Sampler`.
    """

    yields_batches = True

    def __init__(self, batches: Iterable[Any], seed: int) -> None:
        if not hasattr(batches, "__iter__"):
            kind = type(batches).__name__
            raise TypeError(
                f"sampler is a Sampler or an iterable of batches of indices, not {kind}"
            )
        self._batches = batches
        self.seed = seed
        self.epoch = 0
        self._has_begun = False

    def __len__(self) -> int:
        length: int = operator.length_hint(self._batches, -1)
        if length < 0:
            kind = type(self._batches).__name__
            raise TypeError(f"a {kind} does not say how many batches it has")
        return length

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration goes through: to the iterable too, if it listens."""
        self.epoch = operator.index(epoch)
        self._has_begun = False
        for each in (self._batches, getattr(self._batches, "sampler", None)):
            listener = getattr(each, "set_epoch", None)
            if listener is not None:
                listener(epoch)

    def begin(self) -> int:
        """Begin an epoch."""
        if self._has_begun:
            self.epoch += 1
        self._has_begun = True
        return 0

    def steps_from(self, step: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the steps, each with its indices.

        Raises:
            TypeError: the iterable yields single indices, or no indices at all.
        """
        for number, batch in enumerate(self._batches, step):
            indices = np.asarray(batch)
            is_index = indices.dtype.kind in "iu" or not indices.size
            if indices.ndim != 1 or not is_index:
                raise TypeError(
                    f"the sampler yields {batch!r}, and a batch is a list of indices: around "
                    "single ones goes torch.utils.data.BatchSampler, or dsrecords.Sampler"
                )
            yield number, indices.astype(np.int64)

    def draws(self, step: int) -> range:
        """Return what tells apart the times that one sample comes in an epoch, as `Sampler.draws`.

        They are of any number of samples: nobody knows whether an iterable repeats some.
        """
        start = step * _LARGEST_BATCH
        return range(start, start + _LARGEST_BATCH)

    def advance(self, step: int) -> None:
        """Do nothing: there is no state."""

    def indices(self, step: int) -> NoReturn:
        """Raise TypeError: what comes is known when it comes."""
        raise TypeError(_NO_STATE.format(kind=type(self._batches).__name__))

    def state_dict(self) -> NoReturn:
        """Raise TypeError."""
        raise TypeError(_NO_STATE.format(kind=type(self._batches).__name__))

    def load_state_dict(self, state: Mapping[str, Any]) -> NoReturn:
        """Raise TypeError."""
        raise TypeError(_NO_STATE.format(kind=type(self._batches).__name__))

    def __repr__(self) -> str:
        return f"<batches of {type(self._batches).__name__}, epoch {self.epoch}>"


def as_sampler(sampler: Any, seed: int) -> Sampler | GivenBatches:
    """Return what says the indices of each step.

    Args:
        sampler: what was given.
        seed: of transforms, if it has none.

    Raises:
        TypeError: it is no such thing.
        ValueError: it has another seed.
    """
    if not isinstance(sampler, Sampler):
        return GivenBatches(sampler, seed)
    if seed not in (0, sampler.seed):
        raise ValueError(f"seed={seed}, and the sampler has {sampler.seed}: give it to the sampler")
    return sampler


class Steps(NamedTuple):
    """Steps of an epoch that are made together: one, or many of single samples.

    Attributes:
        numbers: of the steps.
        indices: of their samples: int64, (n,).
        draws: where in the epoch they were drawn: int64, (n,); None: each sample comes once.
    """

    numbers: list[int]
    indices: np.ndarray
    draws: np.ndarray | None

    def alone(self, row: int) -> Steps:
        """Return one of many steps of single samples."""
        draws = self.draws
        if draws is not None:
            draws = draws[row : row + 1]
        return Steps(self.numbers[row : row + 1], self.indices[row : row + 1], draws)


def steps_from(sampler: Sampler | GivenBatches, step: int, together: int) -> Iterator[Steps]:
    """Yield the steps of an epoch from one on.

    Args:
        sampler: says what they have.
        step: the first one.
        together: how many steps of single samples are made together.
    """
    waiting: list[Steps] = []
    most = 1
    if not sampler.yields_batches:
        most = together
    for number, indices in sampler.steps_from(step):
        if not sampler.yields_batches and not len(indices):
            continue  # of a last step that has samples for other ranks alone
        draws = sampler.draws(number)
        if draws is not None:
            draws = np.asarray(draws[: len(indices)])
        waiting.append(Steps([number], indices, draws))
        if len(waiting) == most:
            yield _together(waiting)
            waiting = []
    if waiting:
        yield _together(waiting)


def _together(steps: list[Steps]) -> Steps:
    """Return many steps as one."""
    first = steps[0]
    if len(steps) == 1:
        return first
    numbers = [each.numbers[0] for each in steps]
    indices = np.concatenate([each.indices for each in steps])
    if first.draws is None:
        return Steps(numbers, indices, None)
    draws = [each.draws for each in steps if each.draws is not None]
    return Steps(numbers, indices, np.concatenate(draws))
