"""`Sampler`: what each rank reads at each step, and its states, against plain Python."""

import collections
import json
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import large

import dsrecords

EVERY_LAST = [{}, {"drop_last": True}, {"pad_last": False}]


def ranks(dataset, world_size, *arguments, **options):
    return [
        dsrecords.Sampler(dataset, *arguments, rank=rank, world_size=world_size, **options)
        for rank in range(world_size)
    ]


def as_lists(batches):
    return [batch.tolist() for batch in batches]


# Which samples


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 7, 48, 100])
@pytest.mark.parametrize("last", range(3))
def test_a_step_of_all_ranks_is_a_slice_of_the_order(world_size, count, last):
    samplers = ranks(count, world_size, 6, seed=3, **EVERY_LAST[last])
    order = samplers[0].order.block(0, count).tolist()
    assert sorted(order) == list(range(count))
    size = 6 * world_size
    expected = [order[start : start + size] for start in range(0, count, size)]
    if last == 1:
        expected = [batch for batch in expected if len(batch) == size]
    steps = [list(sampler) for sampler in samplers]
    assert {len(made) for made in steps} == {len(expected)} == {len(samplers[0])}
    for step, batch in enumerate(expected):
        parts = np.concatenate([made[step] for made in steps])
        marks = np.concatenate([sampler.repeats(step) for sampler in samplers])
        assert parts.dtype == np.int64
        assert parts[~marks].tolist() == batch == samplers[0].global_indices(step).tolist()
        sizes = {len(made[step]) for made in steps}
        if last == 2:
            assert not marks.any()
            assert max(sizes) - min(sizes) <= 1
        else:
            assert len(sizes) == 1
            assert marks.sum() < world_size


def test_repeats_are_the_first_samples_of_the_epoch():
    samplers = ranks(10, 4, 2, shuffle=False)
    assert as_lists(sampler.indices(1) for sampler in samplers) == [[8], [9], [0], [1]]
    assert as_lists(sampler.repeats(1) for sampler in samplers) == [
        [False],
        [False],
        [True],
        [True],
    ]
    assert as_lists(s.indices(0) for s in ranks(2, 5, 1, shuffle=False)) == [
        [0],
        [1],
        [0],
        [1],
        [0],
    ]


def test_single_indices_are_what_arrays_of_one_are():
    for last in EVERY_LAST:
        for sampler in ranks(10, 3, seed=5, **last):
            alone = dsrecords.Sampler(10, 1, seed=5, rank=sampler.rank, world_size=3, **last)
            indices = list(sampler)
            assert indices == [index for batch in alone for index in batch.tolist()]
            assert all(type(index) is int for index in indices)


def test_each_epoch_has_an_order_of_its_own():
    sampler = dsrecords.Sampler(100, 10, seed=1)
    epochs = [as_lists(sampler) for _ in range(3)]
    assert sampler.epoch == 2
    assert epochs[0] != epochs[1] != epochs[2]
    again = dsrecords.Sampler(100, 10, seed=1)
    again.set_epoch(2)
    assert as_lists(again) == epochs[2]
    again.set_epoch(2)
    assert as_lists(again) == epochs[2]
    assert as_lists(dsrecords.Sampler(100, 10, seed=2)) != epochs[0]


def test_a_loop_that_is_broken_off_begins_anew():
    sampler = dsrecords.Sampler(100, 10)
    first = next(iter(sampler)).tolist()
    assert sampler.step == 1
    assert next(iter(sampler)).tolist() == first
    assert len(list(sampler)) == 10


def test_another_number_of_ranks_with_the_same_global_batch():
    alone = as_lists(dsrecords.Sampler(100, 24, seed=4))
    for world_size in (2, 3, 8):
        samplers = ranks(100, world_size, global_batch_size=24, seed=4, pad_last=False)
        together = [np.concatenate(parts).tolist() for parts in zip(*samplers, strict=True)]
        assert together == alone


def test_a_global_batch_that_does_not_divide_is_told_of():
    with pytest.warns(UserWarning, match="does not divide by 3 ranks: they get 5 or 6 each"):
        samplers = ranks(64, 3, global_batch_size=16)
    assert sorted(len(sampler.indices(0)) for sampler in samplers) == [5, 5, 6]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is at least 1"),
        ({"batch_size": 4, "global_batch_size": 8}, "give one of them"),
        ({"global_batch_size": 2, "world_size": 3}, "leaves some of 3 ranks without"),
        ({"rank": 2, "world_size": 2}, "rank is 0 to 1, not 2"),
        ({"seed": -1}, "seed is 0 to"),
        ({"weights": [1.0, 2.0]}, "2 weights for 10 samples"),
        ({"weights": np.ones(10), "window": 4}, "neither window"),
        ({"weights": -np.ones(10)}, "weight 0: it is at least 0"),
        ({"weights": np.zeros(10)}, "at least one weight is above 0"),
        ({"window": 4, "shuffle": False}, "does not go with shuffle=False"),
        ({"window": (4, 10)}, "a whole number of blocks"),
        ({"batch_size": dsrecords.MaxTokens(9, [1] * 9)}, "9 lengths for 10 samples"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        dsrecords.Sampler(10, **options)


def test_steps_and_ranks_out_of_range():
    sampler = dsrecords.Sampler(10, 5)
    for call in (sampler.indices, sampler.repeats, sampler.global_indices):
        with pytest.raises(IndexError, match="step 2 is out of range: the epoch has 2 steps"):
            call(2)
    with pytest.raises(IndexError, match="rank 1 is out of range: there are 1"):
        sampler.indices(0, rank=1)
    with pytest.raises(TypeError, match="batch_size is an integer, not str"):
        dsrecords.Sampler(10, "5")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_no_dataset(kind):
    for make in (dsrecords.Sampler, dsrecords.Loader):
        with pytest.raises(TypeError, match=r"not a path: dsrecords.open\(.*train.rec"):
            make(kind("train.rec"), 4)


# States


def test_a_state_is_small_and_plain(made):
    dataset = dsrecords.open(made)
    options = [{}, {"window": (2**20, 2**30)}, {"weights": np.ones(10)}, {"shuffle": False}]
    for option in options:
        for batch_size in (4, dsrecords.MaxTokens(2**40, np.ones(10, int))):
            sampler = dsrecords.Sampler(dataset, batch_size, seed=2**64 - 1, **option)
            state = sampler.state_dict()
            assert {type(value) for value in state.values()} <= {int, str}
            largest = {**state, "epoch": 10**6, "position": 10**12, "samples": 10**12}
            assert len(json.dumps(state)) < 200
            assert max(len(json.dumps(largest)), len(pickle.dumps(largest))) < 230


def test_a_state_of_another_dataset_is_refused(made, tmp_path):
    dataset = dsrecords.open(made)
    state = dsrecords.Sampler(dataset, 2).state_dict()
    other = str(tmp_path / "other.rec")
    dsrecords.make_dataset(dataset, other, dataset.schema)
    for wrong in (dsrecords.open(other), dataset[:9], dataset[::-1], list(range(10))):
        with pytest.raises(ValueError, match="a state of another dataset"):
            dsrecords.Sampler(wrong, 2).load_state_dict(state)
    with pytest.raises(ValueError, match="the state is of the order 'shuffle'"):
        dsrecords.Sampler(dataset, 2, shuffle=False).load_state_dict(state)
    with pytest.raises(ValueError, match="it has no 'seed'"):
        dsrecords.Sampler(dataset, 2).load_state_dict({})
    dsrecords.Sampler(dataset[:], 2).load_state_dict(state)


def test_a_corrected_record_leaves_states_as_they_are_and_a_new_one_does_not(made):
    with dsrecords.open(made) as dataset:
        state = dsrecords.Sampler(dataset, 2).state_dict()
        dataset[3, "label"] = 77
        dsrecords.Sampler(dataset, 2).load_state_dict(state)
        dataset.append(dataset[0])
        with pytest.raises(ValueError, match="a state of another dataset"):
            dsrecords.Sampler(dataset, 2).load_state_dict(state)


def test_a_loader_that_is_ahead_says_which_step_was_made():
    sampler = dsrecords.Sampler(100, 10)
    batches = as_lists(sampler)  # as a loader with workers does
    state = sampler.state_dict(step=7)
    resumed = dsrecords.Sampler(100, 10)
    resumed.load_state_dict(state)
    assert resumed.step == 7
    assert as_lists(resumed) == batches[7:]
    assert resumed.state_dict() == sampler.state_dict()
    assert resumed.epoch == 0
    assert len(list(resumed)) == 10
    assert resumed.epoch == 1


def test_setting_the_epoch_that_was_resumed_goes_on_in_it():
    sampler = dsrecords.Sampler(100, 10, seed=9)
    sampler.set_epoch(4)
    batches = as_lists(sampler)
    resumed = dsrecords.Sampler(100, 10)
    resumed.load_state_dict(sampler.state_dict(step=3))
    resumed.set_epoch(4)
    assert as_lists(resumed) == batches[3:]
    resumed.set_epoch(4)
    assert as_lists(resumed) == batches
    ended = dsrecords.Sampler(100, 10)
    ended.load_state_dict(sampler.state_dict())
    ended.set_epoch(4)
    assert list(ended) == []


def test_after_resuming_with_another_batch_the_epoch_can_be_gone_through_whole():
    sampler = dsrecords.Sampler(100, 10, seed=9)
    resumed = dsrecords.Sampler(100, 7)
    resumed.load_state_dict(sampler.state_dict(step=3))
    rest = [index for batch in resumed for index in batch.tolist()]
    assert rest == sampler.order.block(30, 100).tolist()
    resumed.set_epoch(0)
    assert [index for batch in resumed for index in batch.tolist()] == sampler.order.block(
        0, 100
    ).tolist()


def test_resuming_takes_no_time_however_long_the_epoch_is():
    count = 10**7
    state = dsrecords.Sampler(count, 256, world_size=8).state_dict(step=4000)
    for option in ({}, {"window": 2**16}):
        state = dsrecords.Sampler(count, 256, world_size=8, **option).state_dict(step=4000)
        started = time.process_time()
        sampler = dsrecords.Sampler(count, 256, world_size=8, **option)
        sampler.load_state_dict(state)
        assert len(next(iter(sampler))) == 256
        assert time.process_time() - started < 0.05  # five times 10 ms


def test_a_sampler_pickles():
    for batch_size in (7, None, dsrecords.MaxTokens(20, [3] * 50)):
        sampler = dsrecords.Sampler(50, batch_size, seed=3)
        batches = iter(sampler)
        next(batches)
        copied = pickle.loads(pickle.dumps(sampler))
        assert copied.state_dict() == sampler.state_dict()
        assert np.array_equal(copied.indices(2), sampler.indices(2))
    assert "50 samples" in repr(sampler)


# Windows


@pytest.mark.parametrize("window", [1, 5, 64, (4, 32), (10, 10)])
def test_a_window_is_of_few_blocks_and_nothing_is_lost(window):
    count = 1003
    sampler = dsrecords.Sampler(count, 8, window=window, seed=6)
    order = np.concatenate(list(sampler))
    assert sorted(order.tolist()) == list(range(count))
    block, size = window if isinstance(window, tuple) else (max(window // 16, 1), window)
    windows = [order[start : start + size] for start in range(0, count, size)]
    for part in windows[:-2]:
        # Blocks begin anywhere: those that a window has are told apart by gaps between them.
        runs = 1 + int((np.diff(np.sort(part)) > 1).sum())
        assert runs <= size // block + 1
    assert order.tolist() != np.concatenate(list(sampler)).tolist()


# Weights


def test_weights_are_what_samples_are_drawn_by():
    weights = np.array([0.0, 1, 2, 5, 0, 2])
    drawn = dsrecords.Weights(weights, num_samples=100_000)
    samples = np.concatenate(list(dsrecords.Sampler(6, 100, weights=drawn, seed=2)))
    counts = np.bincount(samples, minlength=6)
    expected = weights / 10 * 100_000
    spread = np.sqrt(expected)
    assert counts[weights == 0].tolist() == [0, 0]
    assert (np.abs(counts - expected) <= 5 * spread).all()


def test_without_replacement_heavy_samples_come_first_and_none_twice():
    weights = np.r_[np.full(500, 9.0), np.full(500, 1.0), np.zeros(10)]
    for options, length in (({}, 1000), ({"num_samples": 100}, 100)):
        drawn = dsrecords.Weights(weights, replacement=False, **options)
        sampler = dsrecords.Sampler(1010, 50, weights=drawn, seed=3)
        samples = np.concatenate(list(sampler))
        assert len(set(samples.tolist())) == len(samples) == length
        assert samples.max() < 1000
        assert 75 <= (samples[:100] < 500).sum() <= 99  # nine of ten are expected
    with pytest.raises(ValueError, match="and 1000 have a weight above 0"):
        dsrecords.Weights(weights, replacement=False, num_samples=1001)


def test_the_first_two_draws_without_replacement_have_the_chances_of_draws_one_by_one():
    weights = np.array([1.0, 2, 3])
    pairs = collections.Counter()
    for seed in range(3000):
        drawn = dsrecords.Weights(weights, replacement=False).order(seed)
        pairs[tuple(drawn.block(0, 2).tolist())] += 1
    for first in range(3):
        for second in {0, 1, 2} - {first}:
            chance = weights[first] / 6 * weights[second] / (6 - weights[first])
            assert abs(pairs[first, second] - 3000 * chance) < 5 * np.sqrt(3000 * chance)


def test_draws_are_the_same_from_any_position():
    weights = np.arange(1.0, 51)
    order = dsrecords.Weights(weights).order(7)
    whole = order.block(0, 50)
    for start in range(50):
        assert order.block(start, 50).tolist() == whole[start:].tolist()


def test_the_logarithm_is_that_of_numpy_within_its_last_bits():
    from dsrecords._order.weights import logarithm, uniform

    numbers = np.r_[uniform(1, 0, 10_000) + 2.0**-54, 2.0**-54, 1 - 2.0**-53, 0.5, 0.75]
    expected = np.log(numbers)
    assert np.allclose(logarithm(numbers), expected, rtol=1e-15, atol=0)


# By length


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("world_size", [1, 3])
def test_batches_by_length_fill_their_tokens(padded, world_size):
    lengths = np.random.default_rng(0).integers(0, 100, 1000)
    budget = dsrecords.MaxTokens(800, lengths, padded=padded, pool=250)
    samplers = ranks(1000, world_size, budget, seed=8)
    steps = list(zip(*samplers, strict=True))
    assert len(steps) == len(samplers[0])
    seen = []
    for step, parts in enumerate(steps):
        for sampler, batch in zip(samplers, parts, strict=True):
            marks = sampler.repeats(step)
            assert marks.shape == batch.shape
            seen += batch[~marks].tolist()
            here = lengths[batch]
            taken = here.max() * len(here) if padded else here.sum()
            assert taken <= 800
    assert sorted(seen) == list(range(1000))
    batches = [batch for parts in steps for batch in parts]
    used = sum(lengths[batch].sum() for batch in batches)
    room = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert used / room > 0.9  # by chance it would be a half


def test_lengths_come_from_a_field(path):
    texts = ["", "é", "three", None]
    rows = [
        {"tokens": np.arange(n), "list": list(range(n)), "text": texts[n % 4], "fixed": [n] * 3}
        for n in range(12)
    ]
    schema = {"tokens": "int64[*]", "list": "list[int16]", "text": "str?", "fixed": "uint8[3]"}
    dsrecords.make_dataset(rows, path, schema)
    with dsrecords.open(path) as dataset:
        dataset[5, "tokens"] = np.arange(40)
        expected = [*range(5), 40, *range(6, 12)]
        assert dataset.lengths("tokens").tolist() == expected
        assert dataset[::-1].lengths("list").tolist() == list(range(12))[::-1]
        assert dataset.lengths("text").tolist() == [0, 2, 5, 0] * 3
        assert dataset.lengths("fixed").tolist() == [3] * 12
        sampler = dsrecords.Sampler(dataset, dsrecords.MaxTokens(40, "tokens"))
        for batch in sampler:
            assert max(expected[index] for index in batch) * len(batch) <= 40
    with pytest.raises(TypeError, match="int does not know lengths"):
        dsrecords.Sampler(12, dsrecords.MaxTokens(40, "tokens"))
    with pytest.raises(ValueError, match="1 samples are longer than 39 tokens, first sample 5"):
        dsrecords.MaxTokens(39, expected)


def test_lengths_of_what_has_none(made):
    with pytest.raises(dsrecords.SchemaError, match="lengths are of 1-D arrays"):
        dsrecords.open(made).lengths("label")


# PyTorch


@pytest.mark.large
@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_loader_of_pytorch_takes_it(made, num_workers):
    data = large("torch.utils.data")
    dataset = dsrecords.open(made)
    seen = []
    for rank in range(2):
        sampler = dsrecords.Sampler(dataset, 2, rank=rank, world_size=2, pad_last=False)
        loader = data.DataLoader(
            dataset, batch_sampler=sampler, num_workers=num_workers, collate_fn=list
        )
        assert len(loader) == 3
        batches = list(loader)
        assert len(batches) == 3
        seen += [sample["label"] for batch in batches for sample in batch]
    assert sorted(seen) == list(range(10))
    single = dsrecords.Sampler(dataset, seed=1)
    loader = data.DataLoader(
        dataset, batch_size=3, sampler=single, num_workers=num_workers, collate_fn=list
    )
    labels = [sample["label"] for batch in loader for sample in batch]
    assert labels == single.order.block(0, 10).tolist()
    mixed = dsrecords.mix([dataset, dataset[:3]], [3, 1])
    loader = data.DataLoader(
        mixed,
        batch_sampler=dsrecords.Sampler(mixed, 4),
        num_workers=num_workers,
        collate_fn=list,
    )
    assert sum(len(batch) for batch in loader) == len(mixed)
