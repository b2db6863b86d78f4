"""Trainings that are interrupted at any step and go on with another number of ranks, against a model in plain Python.

What a trial knows of the library is what a training sees: the indices of each rank, which of them are marked, and states. From
that it proves, by the ids of samples, that none is lost and none comes twice.
"""

import collections
import functools
import json
import os
import pickle
import random
import tempfile
import warnings
from typing import NamedTuple

import numpy as np

import dsrecords

RANKS = (1, 2, 3, 8, 16)
EPOCHS = 3


class Plan(NamedTuple):
    """What is trained on, and how; `make` makes the dataset anew, as a restarted process does.

    `ids(indices)` are the records that samples are of.
    """

    make: object
    ids: object
    options: dict
    by_tokens: bool = False


class Part:
    """A file of so many records, of which a record is its number and that of the file."""

    def __init__(self, number, count):
        self.number = number
        self.count = count
        self.fingerprint = f"part {number} of {count}"

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.number, int(index)


@functools.cache
def folder():
    return tempfile.TemporaryDirectory()


@functools.cache
def file_of(number, count):
    """The path of a real file of so many records, made once."""
    path = os.path.join(folder().name, f"{number}-{count}.rec")
    rows = [{"file": number, "record": i} for i in range(count)]
    dsrecords.make_dataset(rows, path, {"file": "int64", "record": "int64"})
    return path


def files_of(counts):
    """Many files as one."""
    paths = [file_of(number, count) for number, count in enumerate(counts)]
    return dsrecords.open(paths, transform=lambda sample: (sample["file"], sample["record"]))


def drawn(seed):
    """A plan by a seed: one file, many files, or a mixture; shuffled whole, by windows, or not at all; or by length."""
    rng = random.Random(seed)
    counts = [rng.randint(1, 20) for _ in range(rng.choice((1, 2, 4, 7)))]
    kind = rng.choice(("one", "files", "mixture", "scheduled"))
    if kind == "one":
        count = rng.choice((1, 7, 64, rng.randint(1, 200)))

        def make():
            return Part(0, count)
    elif kind == "files":

        def make():
            return files_of(counts)
    else:
        weights = [rng.randint(1, 9) for _ in counts]
        mixing = {"seed": rng.choice((None, rng.randrange(100)))}
        mixing["stop"] = rng.choice(("first_exhausted", "all_exhausted", rng.randint(1, 150)))
        if kind == "scheduled":
            changed = [rng.randint(1, 9) for _ in counts]
            mixing["schedule"] = [(rng.randint(1, 60), changed)]

        def make():
            parts = [Part(number, count) for number, count in enumerate(counts)]
            return dsrecords.mix(parts, weights, **mixing)

    made = make()
    if len(made) > 200:
        return drawn(seed + 1_000_003)
    options = {"seed": rng.randrange(2**64)}
    order = rng.choice(("shuffled", "shuffled", "window", "window", "in order"))
    if order == "window":
        block = rng.randint(1, 6)
        options["window"] = rng.choice((rng.randint(1, 70), (block, block * rng.randint(1, 5))))
    elif order == "in order":
        options["shuffle"] = False
    options["last"] = rng.choice(({}, {"drop_last": True}, {"pad_last": False}))
    by_tokens = rng.random() < 0.2
    if by_tokens:
        lengths = [rng.randint(1, 30) for _ in range(len(made))]
        options["batch_size"] = dsrecords.MaxTokens(
            rng.randint(30, 200), lengths, padded=rng.random() < 0.5, pool=rng.choice((40, 2**14))
        )
    return Plan(make, lambda indices: [made[i] for i in indices], options, by_tokens)


def samplers(plan, world_size, global_batch, state=None):
    """The samplers of all ranks, as the processes of a training make them."""
    options = dict(plan.options)
    last = options.pop("last")
    if not plan.by_tokens:
        options["global_batch_size"] = global_batch
    dataset = plan.make()
    made = []
    for rank in range(world_size):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = dsrecords.Sampler(
                dataset, rank=rank, world_size=world_size, **last, **options
            )
        if state is not None:
            sampler.load_state_dict(json.loads(json.dumps(state)))
        made.append(sampler)
    return made


def go_on(ranks, steps, seen, batches):
    """Train for some steps, or until the epoch ends; whether it has ended, and the state that is saved."""
    iterators = [iter(sampler) for sampler in ranks]
    made = ranks[0].step
    while steps:
        parts = [next(iterator, None) for iterator in iterators]
        absent = [part is None for part in parts]
        assert all(absent) or not any(absent), "all ranks make the same number of steps"
        if all(absent):
            break
        marks = [sampler.repeats(made) for sampler in ranks]
        together = np.concatenate(parts)
        marked = np.concatenate(marks)
        first = [
            index
            for index, mark in zip(together.tolist(), marked.tolist(), strict=True)
            if not mark
        ]
        assert first == ranks[-1].global_indices(made).tolist()
        seen.extend(first)
        batches.append((ranks[0].epoch, tuple(first)))
        made += 1
        steps -= 1
    states = [sampler.state_dict() for sampler in ranks]
    assert all(state == states[0] for state in states)
    assert len(json.dumps(states[0])) < 200
    assert len(pickle.dumps(states[0])) < 200
    return states[0]["position"] == states[0]["samples"], states[0]


def trial(seed, samplers=samplers):
    """One training of some epochs with random stops; returns a tally of what was tried.

    `samplers` makes what ranks read from, as the function of this name does.
    """
    rng = random.Random(f"stops {seed}")
    plan = drawn(seed)
    same = rng.random() < 0.6
    global_batch = rng.choice((16, 48)) if same else None
    tally = collections.Counter(trials=1)
    seen, batches, state = [], [], None
    whole = len(plan.make())
    epochs = 0
    while epochs < EPOCHS:
        world_size = rng.choice(RANKS)
        size = global_batch or world_size * rng.randint(1, 12)
        ranks = samplers(plan, world_size, size, state)
        ended = False
        while not ended and epochs < EPOCHS:
            steps = rng.choice((0, 1, 2, rng.randint(1, 40), 1000))
            if epochs == EPOCHS - 1 and rng.random() < 0.5:
                steps = 1000
            ended, state = go_on(ranks, steps, seen, batches)
            if not ended:
                tally["stops"] += 1
                break
            check_epoch(plan, seen, whole, ranks)
            tally["epochs"] += 1
            epochs += 1
            seen = []
            ended = rng.random() < 0.5  # another process, or the next epoch in the same one
        tally[f"{world_size} ranks"] += 1
    if same and not plan.by_tokens:
        alone = []
        ranks = samplers(plan, 1, global_batch)
        for _ in range(EPOCHS):
            go_on(ranks, -1, [], alone)
        assert batches == alone
        tally["equal batches"] += len(alone)
    tally["mixtures"] += isinstance(plan.make(), dsrecords.mix([[0]]).__class__)
    tally["windows"] += "window" in plan.options
    tally["by length"] += plan.by_tokens
    return tally


def check_epoch(plan, seen, whole, ranks):
    """Each sample of the dataset was read once, by its id; with `drop_last` those of the last step are left out."""
    assert len(set(seen)) == len(seen), "a sample came twice"
    if plan.options["last"].get("drop_last"):
        most = ranks[0].global_batch_size or ranks[0].world_size * 200
        assert len(seen) > whole - most
    else:
        assert sorted(seen) == list(range(whole)), "a sample was lost"
        everything = plan.ids(range(whole))
        assert collections.Counter(plan.ids(seen)) == collections.Counter(everything)
