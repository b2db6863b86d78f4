"""Trainings by loaders that are stopped anywhere and go on with other ranks, threads and processes.

The plans, the stops and the proof that no sample is lost or comes twice are those of tests/order/resumptions.py. What comes in
addition: batches come from loaders, which are ahead of the training; and random numbers of a sample are the same in all runs.
"""

import collections
import itertools
import random
import sys
from pathlib import Path

import numpy as np
from loaders import plain

from dsrecords import Loader

sys.path.append(str(Path(__file__).parents[1] / "order"))

import resumptions


def noisy(sample, rng):
    return {"sample": sample, "noise": rng.random()}


class Rank:
    """A loader that looks like the sampler of its rank: it yields the indices of its batches."""

    def __init__(self, loader, known):
        self.loader = loader
        self.sampler = loader.sampler
        self._known = known

    def __getattr__(self, name):
        return getattr(self.sampler, name)

    def state_dict(self):
        return self.loader.state_dict()

    def __iter__(self):
        return self._steps(iter(self.loader), self.sampler.step)

    def _steps(self, batches, first):
        for step in range(first, len(self.sampler)):
            indices = self.sampler.indices(step)
            batch = next(batches, None)
            if batch is None:  # of a last step that other ranks have samples of
                assert not len(indices)
                yield indices
                return
            assert batch["index"].tolist() == indices.tolist()
            self._check_noise(batch)
            yield batch["index"]
        assert next(batches, None) is None

    def _check_noise(self, batch):
        """Random numbers depend on the epoch and the sample alone."""
        for index, noise in zip(batch["index"].tolist(), batch["noise"].tolist(), strict=True):
            key = (self.sampler.epoch, index)
            assert self._known.setdefault(key, noise) == noise


def trial(seed):
    """One training; returns a tally of what was tried."""
    rng = random.Random(f"loader {seed}")
    known = {}
    made = []

    def loaders(plan, world_size, global_batch, state=None):
        ranks = []
        dataset = plan.make()
        for sampler in resumptions.samplers(plan, world_size, global_batch):
            loader = Loader(
                dataset, sampler=sampler, transform=noisy, with_index=True, num_threads=rng.randint(0, 2), prefetch=rng.choice((0, 2, 16)),
            )  # fmt: skip
            if state is not None:
                loader.load_state_dict(state)
            ranks.append(Rank(loader, known))
            made.append(loader)
        return ranks

    tally = resumptions.trial(seed, loaders)
    for loader in made:
        loader.close()
    assert len(set(known.values())) > 0.9 * len(known) - 1
    assert np.all(np.fromiter(known.values(), float) < 1)
    tally["loaders"] += len(made)
    return tally


def with_noise(sample, rng):
    return {**sample, "noise": rng.random()}


def trial_with_processes(dataset, seed):
    """Two epochs of one rank, stopped at random, now with threads and now with a process; returns a tally."""
    rng = random.Random(f"processes {seed}")

    def make(**options):
        return Loader(dataset, 8, shuffle=True, seed=seed, transform=with_noise, **options)

    loader = make(num_threads=0)
    wanted = [plain(batch) for _ in range(2) for batch in loader]
    got = []
    state = None
    tally = collections.Counter({"trials with processes": 1})
    while len(got) < len(wanted):
        with make(num_processes=rng.choice((0, 1)), prefetch=rng.choice((0, 3))) as loader:
            if state is not None:
                loader.load_state_dict(state)
            stop = rng.randint(1, 10)
            got.extend(map(plain, itertools.islice(loader, stop)))
            state = loader.state_dict()
        tally["loaders"] += 1
    assert got == wanted
    return tally
