"""Where training is: what was delivered counts, and any loader goes on from there."""

import json
import pickle
import time

import loader_resumptions
import numpy as np
import pytest
from loaders import flat, make_numbers, plain, wait_for_threads

from dsrecords import Loader, Sampler


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return make_numbers(str(tmp_path_factory.mktemp("loader") / "numbers.rec"), 100)


def with_noise(sample, rng):
    return {**sample, "noise": rng.random()}


@pytest.mark.parametrize("num_threads", [0, 1, 2])
@pytest.mark.parametrize("prefetch", [0, 2, 16])
def test_what_was_delivered_counts(numbers, num_threads, prefetch):
    loader = Loader(numbers, 8, shuffle=True, num_threads=num_threads, prefetch=prefetch)
    sampler = Sampler(numbers, 8)
    assert loader.state_dict() == sampler.state_dict()
    for step, _ in enumerate(loader):
        assert loader.state_dict() == sampler.state_dict(step + 1)
    assert loader.state_dict()["position"] == 100
    assert len(json.dumps(loader.state_dict())) < 200
    assert len(pickle.dumps(loader.state_dict())) < 200
    iterator = iter(loader)
    assert loader.epoch == 1
    assert loader.state_dict()["position"] == 0
    next(iterator)
    assert loader.state_dict()["position"] == 8


@pytest.mark.parametrize("step", [0, 1, 6, 12, 13])
@pytest.mark.parametrize(
    "options", [{"num_threads": 0}, {"num_threads": 2, "prefetch": 16}], ids=str
)
def test_training_goes_on_where_it_was(numbers, step, options):
    def make(**more):
        return Loader(
            numbers,
            8,
            shuffle=True,
            seed=3,
            transform=with_noise,
            batch_transform=lambda b, rng: {**b, "r": rng.random()},
            **more,
        )

    whole = [plain(batch) for batch in make()]
    loader = make()
    second = [plain(batch) for _ in range(2) for batch in loader][len(whole) :]
    stopped = make(num_threads=2, prefetch=5)
    iterator = iter(stopped)
    for number in range(step):
        assert plain(next(iterator)) == whole[number]
    state = json.loads(json.dumps(stopped.state_dict()))
    resumed = make(**options)
    resumed.load_state_dict(state)
    rest = [plain(batch) for batch in resumed]
    if step < len(whole):
        assert rest == whole[step:]
        assert resumed.epoch == 0
        rest = [plain(batch) for batch in resumed]
    assert rest == second
    assert resumed.epoch == 1


def test_other_batches_and_ranks_go_on_with_the_next_sample(numbers):
    loader = Loader(numbers, 8, shuffle=True, num_threads=2)
    iterator = iter(loader)
    got = flat(next(iterator) for _ in range(3))
    state = loader.state_dict()
    order = [label for step in range(len(loader)) for label in loader.indices(step).tolist()]
    assert got == order[:24]
    for options in ({"batch_size": 10}, {"batch_size": 1}, {}, {"global_batch_size": 30}):
        other = Loader(numbers, shuffle=True, num_threads=2, **options)
        other.load_state_dict(state)
        assert flat(other) == order[24:]
    ranks = []
    for rank in range(3):
        other = Loader(numbers, global_batch_size=12, shuffle=True, rank=rank, world_size=3)
        other.load_state_dict(state)
        ranks.append([batch["label"].tolist() for batch in other])
    together = [label for step in range(len(ranks[0])) for part in ranks for label in part[step]]
    assert together[:76] == order[24:]


def test_states_of_single_samples(numbers):
    for stop in (0, 1, 31, 32, 33, 99, 100):
        loader = Loader(numbers, shuffle=True, num_threads=2)
        iterator = iter(loader)
        got = [int(next(iterator)["label"]) for _ in range(stop)]
        assert loader.state_dict()["position"] == stop
        other = Loader(numbers, shuffle=True, num_threads=0)
        other.load_state_dict(loader.state_dict())
        if stop < 100:
            got += [int(one["label"]) for one in other]
        assert sorted(got) == list(range(100))


def test_states_of_others_are_refused(numbers):
    loader = Loader(numbers, 8, shuffle=True)
    state = loader.state_dict()
    for wrong in (
        {},
        {**state, "samples": 5},
        {**state, "order": "other"},
        {**state, "position": 101},
    ):
        with pytest.raises(ValueError, match=r"state|position"):
            loader.load_state_dict(wrong)
    with pytest.raises(ValueError, match="another dataset"):
        Loader(numbers[:50], 8, shuffle=True).load_state_dict(state)
    with pytest.raises(ValueError, match="order"):
        Loader(numbers, 8).load_state_dict(state)


def test_what_is_seen_of_an_epoch_that_is_told_of_another(numbers):
    for num_threads in (0, 2):
        for batch_size in (8, None):
            loader = Loader(numbers, batch_size, shuffle=True, num_threads=num_threads)
            got = []
            for step, batch in enumerate(loader):
                got.append(batch)
                if step == 2:
                    loader.set_epoch(7)
            assert len(got) == 3
            assert loader.epoch == 7
            assert loader.state_dict()["position"] == 0
            assert flat(loader) == [
                i for s in range(len(loader)) for i in loader.indices(s).tolist()
            ]
            assert loader.epoch == 7


def test_a_state_that_is_loaded_ends_the_running_iteration(numbers):
    for batch_size in (8, None):
        loader = Loader(numbers, batch_size, shuffle=True, num_threads=2)
        iterator = iter(loader)
        first = next(iterator)
        state = loader.state_dict()
        next(iterator)
        loader.load_state_dict(state)
        with pytest.raises(RuntimeError, match="a state was loaded"):
            next(iterator)
        assert loader.state_dict() == state
        rest = list(loader)
        labels = np.concatenate([np.ravel(batch["label"]) for batch in [first, *rest]])
        assert sorted(labels.tolist()) == list(range(100))
        unused = iter(loader)
        loader.load_state_dict(state)
        with pytest.raises(RuntimeError, match="a state was loaded"):
            next(unused)
    wait_for_threads()


def test_a_later_iteration_ends_the_one_before(numbers):
    for batch_size in (8, None):
        loader = Loader(numbers, batch_size, shuffle=True, num_threads=2)
        first = iter(loader)
        next(first)
        second = iter(loader)
        one = next(second)
        with pytest.raises(RuntimeError, match="make two loaders"):
            next(first)
        assert sorted(flat([one, *second])) == list(range(100))


def test_two_loaders_at_once(numbers):
    def make(seed):
        return Loader(numbers, 8, shuffle=True, seed=seed, transform=with_noise, num_threads=2)

    wanted = [[plain(batch) for batch in make(seed)] for seed in (1, 2)]
    together = [(plain(a), plain(b)) for a, b in zip(make(1), make(2), strict=True)]
    assert [list(part) for part in zip(*together, strict=True)] == wanted


@pytest.mark.parametrize("seed", range(30))
def test_trainings_that_are_resumed_anywhere(seed):
    tally = loader_resumptions.trial(500 + seed)
    assert tally["epochs"] == 3
    wait_for_threads()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_trainings_with_processes_that_are_resumed_anywhere(numbers, seed):
    tally = loader_resumptions.trial_with_processes(numbers, seed)
    assert tally["loaders"] > 2


@pytest.mark.slow
def test_resuming_anywhere_takes_no_time(tmp_path):
    """At any position of ten million samples: a first batch in well under the time of reading the indices."""

    class Many:
        def __len__(self):
            return 10**7

        def __getitem__(self, index):
            return index

    loader = Loader(Many(), 256, shuffle=True, num_threads=0)
    next(iter(loader))
    before = time.process_time()
    for position in (1, 5_000_000, 9_999_000):
        state = {**loader.state_dict(), "position": position}
        loader.load_state_dict(state)
        next(iter(loader))
    assert time.process_time() - before < 3 * 0.05  # measured: 3 ms each
