"""Batches of a loader: what they have, in which order, whatever threads, processes and parts do."""

import collections
import itertools
import threading

import numpy as np
import pytest
from loaders import check_batch, make_everything, make_numbers, plain, sample

import dsrecords
from dsrecords import Loader, MaxTokens, Pad, Sampler, SchemaError


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return make_everything(str(tmp_path_factory.mktemp("loader") / "everything.rec"))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("loader") / "numbers.rec")
    return make_numbers(path, 100, ["x"])


def with_noise(sample, rng):
    return {**sample, "noise": rng.random(), "many": rng.random(3)}


def check_epoch(loader, dataset, fields=None):
    """Every batch of an epoch is that of its indices; returns all indices."""
    seen = []
    for step, batch in enumerate(loader):
        indices = loader.indices(step)
        wanted = dataset.batch(indices) if fields is None else dataset.batch(indices, fields)
        check_batch(batch, wanted)
        seen += indices.tolist()
    return seen


# What batches have


@pytest.mark.parametrize("num_threads", [0, 2])
def test_a_batch_of_every_type_is_that_of_its_indices(everything, num_threads):
    loader = Loader(everything, 7, shuffle=True, num_threads=num_threads)
    assert sorted(check_epoch(loader, everything)) == list(range(60))
    check_epoch(loader, everything)  # with what was learned from the first epoch


@pytest.mark.parametrize("name", list(sample(0)))
def test_a_field_alone_is_that_of_a_batch(everything, name):
    loader = Loader(everything, 16, fields=[name], num_threads=1)
    check_epoch(loader, everything.select_fields([name]))


def test_pictures_are_decoded_as_rgb_where_nobody_says_how(everything):
    undecided = dsrecords.open(everything.path)
    check_epoch(Loader(undecided, 7), everything)


def test_fields_come_in_the_order_in_which_they_are_asked_for(everything):
    names = ["text", "picture", "number"]
    loader = Loader(everything, 16, fields=names)
    batch = next(iter(loader))
    assert list(batch) == names
    check_epoch(loader, everything.select_fields(names))


def test_tuples_give_tuples(path):
    rows = [(i, np.full(2, i, np.float32), f"t{i}", np.arange(i % 3)) for i in range(30)]
    dsrecords.make_dataset(rows, path, ["int64", "float32[2]", "str", "int64[*]"])
    dataset = dsrecords.open(path)
    assert sorted(check_epoch(Loader(dataset, 4, shuffle=True), dataset)) == list(range(30))
    check_epoch(Loader(dataset, 4, fields=[2, 0]), dataset.select_fields([2, 0]))


def test_views_files_mixtures_and_zips_give_their_own_batches(tmp_path, everything):
    one = make_numbers(str(tmp_path / "one.rec"), 20)
    two = make_numbers(str(tmp_path / "two.rec"), 31)
    dsrecords.make_dataset(
        [{"other": i} for i in range(20)],
        str(tmp_path / "o.rec"),
        {"other": "str"} | {"other": "int32"},
    )
    other = dsrecords.open(str(tmp_path / "o.rec"))
    shown = [
        everything[::-3],
        everything[[5, 5, 1, 59]],
        everything.shuffle(3),
        dsrecords.open([one.path, two.path]),
        dsrecords.concat([one, two]),
        dsrecords.mix([one, two], [1, 3], seed=2),
        dsrecords.mix([one, two], stop="all_exhausted"),
        dsrecords.zip([one, other]),
        dsrecords.zip([one, other])[3:9],
        dsrecords.mix([one, two])[5:20],
    ]
    for dataset in shown:
        for num_threads in (0, 2):
            seen = check_epoch(Loader(dataset, 3, num_threads=num_threads), dataset)
            assert seen == list(range(len(dataset)))


def test_fields_and_pictures_of_datasets_that_are_made_of_others(everything, tmp_path):
    other = make_numbers(str(tmp_path / "one.rec"), 60)
    together = dsrecords.zip([everything, other])
    undecided = dsrecords.zip([dsrecords.open(everything.path), other])
    names = ["label", "picture", "number"]
    check_epoch(Loader(undecided, 8, fields=names, num_threads=2), together, names)
    check_epoch(Loader(undecided, 8), together)
    mixed = dsrecords.mix([dsrecords.open(everything.path), everything])
    check_epoch(Loader(mixed, 8), dsrecords.mix([everything, everything]))


@pytest.mark.parametrize("boundaries", [False, True])
def test_windows(everything, boundaries):
    windows = everything.windows("tokens", 5, stride=3, boundaries=boundaries)
    loader = Loader(windows, 4, shuffle=True, num_threads=2)
    count = 0
    for step, batch in enumerate(loader):
        indices = loader.indices(step)
        if boundaries:
            wanted = [windows[i] for i in indices.tolist()]
            values, starts = batch
            np.testing.assert_array_equal(values, [each.values for each in wanted])
            assert [each.tolist() for each in starts] == [each.starts.tolist() for each in wanted]
            assert type(batch) is type(wanted[0])
        else:
            np.testing.assert_array_equal(batch, [windows[i] for i in indices.tolist()])
        count += len(indices)
    assert count == len(windows)


class Squares:
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index * index


def test_any_sequence_of_samples():
    for num_threads in (0, 2):
        batches = list(Loader(Squares(), 4, num_threads=num_threads))
        assert [batch.tolist() for batch in batches] == [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]
    words = list(Loader([("a", 1), ("b", 2), ("c", 3)], 2))
    assert [(names, counts.tolist()) for names, counts in words] == [
        (["a", "b"], [1, 2]),
        (["c"], [3]),
    ]
    assert list(Loader(["x", "y"], 2)) == [["x", "y"]]
    mixed = dsrecords.mix([[1, 2, 3], [10, 20, 30]])
    assert np.concatenate(list(Loader(mixed, 2))).tolist() == list(mixed)


def test_a_sequence_with_getitems_reads_together():
    class Together(Squares):
        def __getitems__(self, indices):
            assert type(indices) is list  # as PyTorch gives them
            return [index + 100 for index in indices]

    (batch,) = Loader(Together(), 10)
    assert batch.tolist() == list(range(100, 110))


def test_samples_one_by_one(everything, numbers):
    loader = Loader(numbers, shuffle=True, num_threads=2)
    got = [(int(one["label"]), one["x"].tolist()) for one in loader]
    order = [int(loader.indices(step)[0]) for step in range(100)]
    assert got == [(i, [float(i)] * 64) for i in order]
    assert len(loader) == 100
    for index, one in enumerate(Loader(everything)):
        wanted = everything[index]
        assert list(one) == list(wanted)
        assert one["text"] == wanted["text"]
        assert (one["maybe"] is None) == (wanted["maybe"] is None)
        np.testing.assert_array_equal(one["picture"], wanted["picture"])
        np.testing.assert_array_equal(one["boxes"], wanted["boxes"])


def test_one_sample_in_a_batch_and_no_sample_at_all(numbers, path):
    batches = list(Loader(numbers, 1))
    assert [batch["label"].tolist() for batch in batches] == [[i] for i in range(100)]
    dsrecords.make_dataset([], path, {"label": "int64"})
    for batch_size in (None, 4):
        loader = Loader(dsrecords.open(path), batch_size)
        assert len(loader) == 0
        assert list(loader) == []
        assert list(loader) == []


def test_the_index_is_a_column(numbers, path):
    loader = Loader(numbers, 8, shuffle=True, with_index=True)
    for step, batch in enumerate(loader):
        assert list(batch) == ["label", "x", "index"]
        assert batch["index"].dtype == np.int64
        assert batch["index"].tolist() == batch["label"].tolist() == loader.indices(step).tolist()
    for one in Loader(numbers, with_index=True):
        assert one["index"] == one["label"]
    dsrecords.make_dataset([(i, f"t{i}") for i in range(5)], path, ["int64", "str"])
    (labels, names, index), _ = Loader(dsrecords.open(path), 3, with_index=True)
    assert (labels.tolist(), names, index.tolist()) == ([0, 1, 2], ["t0", "t1", "t2"], [0, 1, 2])


# Order


def test_ranks_have_together_what_one_rank_has(numbers):
    whole = [
        b["label"].tolist() for b in Loader(numbers, global_batch_size=12, shuffle=True, seed=7)
    ]
    for world_size in (2, 3, 4):
        parts = [
            list(
                Loader(
                    numbers,
                    global_batch_size=12,
                    shuffle=True,
                    seed=7,
                    rank=rank,
                    world_size=world_size,
                )
            )
            for rank in range(world_size)
        ]
        for step, wanted in enumerate(whole):
            together = [label for part in parts for label in part[step]["label"].tolist()]
            assert together[: len(wanted)] == wanted


def test_the_last_batch_is_dropped_filled_up_or_divided(numbers):
    def sizes(**options):
        return [len(batch["label"]) for batch in Loader(numbers, 8, world_size=3, **options)]

    assert sizes(drop_last=True) == [8] * 4
    assert sizes(rank=2) == [8] * 4 + [2]
    assert sizes(pad_last=False, rank=0) == [8] * 4 + [1]
    assert [
        len(list(Loader(numbers[:5], 1, world_size=4, pad_last=False, rank=r))) for r in range(4)
    ] == [1, 1, 1, 2]


def test_a_rank_without_a_sample_in_the_last_step_waits_for_nothing(numbers):
    for num_threads in (0, 2):
        loader = Loader(
            numbers[:5], 1, world_size=4, pad_last=False, rank=0, num_threads=num_threads
        )
        assert [batch["label"].tolist() for batch in loader] == [[0]]
        assert loader.state_dict()["position"] == 5
        single = Loader(numbers[:5], world_size=4, pad_last=False, rank=0, num_threads=num_threads)
        assert [int(one["label"]) for one in single] == [0]
        assert single.state_dict()["position"] == 5


def test_batches_by_length(everything):
    lengths = everything.lengths("tokens")
    loader = Loader(
        everything, MaxTokens(20, "tokens"), shuffle=True, pad={"tokens": Pad(-1)}, num_threads=2
    )
    seen = []
    for step, batch in enumerate(loader):
        indices = loader.indices(step)
        assert batch["tokens"].size <= 20
        assert batch["tokens_length"].tolist() == lengths[indices].tolist()
        seen += indices.tolist()
    assert sorted(seen) == list(range(60))


def test_samplers_of_others(numbers):
    given = [[3, 1], [2], np.array([7, 7, 7], np.int32), range(4, 6)]
    loader = Loader(numbers, sampler=given, with_index=True, num_threads=2)
    assert len(loader) == 4
    for _ in range(2):
        got = [batch["index"].tolist() for batch in loader]
        assert got == [[3, 1], [2], [7, 7, 7], [4, 5]]
    assert loader.epoch == 1
    empty = Loader(numbers, sampler=[[], [1]], num_threads=2)
    assert [batch["label"].tolist() for batch in empty] == [[1]]
    endless = Loader(numbers, sampler=([n % 100] for n in itertools.count()))
    assert [b["label"].tolist() for b in itertools.islice(endless, 3)] == [[0], [1], [2]]


def test_a_sampler_says_how_the_epochs_are_ordered(numbers):
    sampler = Sampler(numbers, 10, seed=5)
    loader = Loader(numbers, sampler=sampler)
    again = Sampler(numbers, 10, seed=5)
    for _ in range(3):
        assert [b["label"].tolist() for b in loader] == [i.tolist() for i in again]


# Randomness


def noise(loader):
    """By sample, its random numbers; batches are joined."""
    return {
        int(label): (value, many.tobytes())
        for batch in loader
        for label, value, many in zip(
            batch["label"], batch["noise"].tolist(), batch["many"], strict=True
        )
    }


def test_random_numbers_depend_on_seed_epoch_and_sample_alone(numbers):
    wanted = noise(Loader(numbers, 10, transform=with_noise, num_threads=0))
    assert len({value for value, _ in wanted.values()}) == 100
    for options in (
        {"batch_size": 7}, {"batch_size": 100, "num_threads": 5}, {"batch_size": 33, "shuffle": True}, {"batch_size": 1, "num_threads": 2},
    ):  # fmt: skip
        assert noise(Loader(numbers, transform=with_noise, **options)) == wanted
    halves = [noise(Loader(numbers, 9, transform=with_noise, rank=r, world_size=2)) for r in (0, 1)]
    assert {**halves[0], **halves[1]} == wanted
    assert noise(Loader(numbers, 10, transform=with_noise, seed=1)) != wanted
    loader = Loader(numbers, 10, transform=with_noise)
    epochs = [noise(loader) for _ in range(3)]
    assert epochs[0] == wanted
    assert epochs[1] != wanted != epochs[2]
    loader.set_epoch(1)
    assert noise(loader) == epochs[1]


def test_two_transforms_of_one_sample_have_different_numbers(numbers):
    dataset = dsrecords.open(numbers.path)
    dataset.transform = lambda sample, rng: {"first": rng.random()}
    loader = Loader(dataset, 50, transform=lambda sample, rng: {**sample, "second": rng.random()})
    for batch in loader:
        assert not (batch["first"] == batch["second"]).any()


def test_a_sample_that_is_drawn_twice_has_other_numbers_the_second_time(numbers):
    weights = np.zeros(100)
    weights[:3] = 1

    def drawn(batch_size, rank=0, world_size=1, state=None):
        sampler = Sampler(
            numbers, global_batch_size=batch_size, weights=weights, rank=rank, world_size=world_size
        )
        loader = Loader(numbers, sampler=sampler, transform=with_noise, num_threads=2)
        if state is not None:
            loader.load_state_dict(state)
        return loader, np.concatenate([batch["noise"] for batch in loader])

    _, wanted = drawn(20)
    assert len(set(wanted.tolist())) == 100
    assert drawn(50)[1].tolist() == wanted.tolist()
    halves = [drawn(20, rank, 2)[1].reshape(5, 10) for rank in (0, 1)]
    assert np.hstack(halves).ravel().tolist() == wanted.tolist()
    loader, _ = drawn(20)
    loader.set_epoch(0)
    next(iter(loader))
    assert drawn(10, state=loader.state_dict())[1].tolist() == wanted[20:].tolist()
    once = dsrecords.Weights(np.ones(100), replacement=False)
    apart = noise(Loader(numbers, sampler=Sampler(numbers, 10, weights=once), transform=with_noise))
    assert apart == noise(Loader(numbers, 10, transform=with_noise))


def test_a_sampler_of_others_may_repeat_samples(numbers):
    given = [[4, 4, 4], [4, 5]]
    loader = Loader(numbers, sampler=given, transform=with_noise)
    values = [value for batch in loader for value in batch["noise"].tolist()]
    assert len(set(values)) == 5
    loader.set_epoch(0)
    assert [value for batch in loader for value in batch["noise"].tolist()] == values
    other = Loader(numbers, sampler=given, transform=with_noise, seed=1)
    assert [value for batch in other for value in batch["noise"].tolist()] != values


# However it is made


def jumbled(sample, rng):
    """What differs in kind from sample to sample, so that parts of a batch differ from the whole."""
    label = int(sample["label"])
    return {
        "label": label,
        "kind": rng.random() if label % 13 == 3 else label,
        "maybe": None if label % 17 == 5 else label,
        "shape": np.full(1 + (label % 29 == 7), label),
        "dtype": np.float32(label) if label % 31 == 9 else np.float64(label),
        "scalar": np.array(label) if label % 2 else label,
        "word": str(label),
        "equal": np.full((2, 3), label, np.int16),
        "pair": (label, "x"),
    }


def scaled(batch, rng):
    return {**batch, "scale": rng.random(), "rows": len(batch["label"])}


def epoch_of(numbers, **options):
    loader = Loader(numbers, 40, shuffle=True, with_index=True, **options)
    return [plain(batch) for batch in loader]


def test_results_do_not_depend_on_threads_and_parts(numbers):
    for transform in (None, with_noise, jumbled):
        options = {"transform": transform, "batch_transform": scaled}
        wanted = epoch_of(numbers, num_threads=0, **options)
        for num_threads in (1, 2, 5, 16):
            for prefetch in (0, 2, 16):
                got = epoch_of(numbers, num_threads=num_threads, prefetch=prefetch, **options)
                assert got == wanted


def test_results_do_not_depend_on_which_thread_is_first(numbers):
    wanted = epoch_of(numbers, num_threads=0, transform=jumbled, batch_transform=scaled)
    turn = threading.Semaphore(0)
    order = []

    def late(sample, rng):
        """The thread with the first sample of the epoch goes on only when others have come far."""
        label = int(sample["label"])
        if label == first:
            turn.acquire(timeout=600)
        order.append(label)
        if len(order) >= 30:
            turn.release()
        return jumbled(sample, rng)

    loader = Loader(numbers, 40, shuffle=True)
    first = int(loader.indices(0)[0])
    got = epoch_of(numbers, num_threads=3, transform=late, batch_transform=scaled)
    assert got == wanted
    assert order.index(first) >= 20


def test_numbers_stay_what_they_are_in_every_cut(numbers):
    (batch,) = Loader(numbers, 100, transform=jumbled, num_threads=5)
    assert batch["kind"].dtype == np.float64
    assert [type(value) for value in batch["maybe"][:6]] == [int, int, int, int, int, type(None)]
    assert isinstance(batch["shape"], list)
    assert batch["scalar"].dtype == np.int64
    assert batch["equal"].shape == (100, 2, 3) and batch["equal"].dtype == np.int16
    assert batch["pair"][7] == (7, "x")


def test_samples_of_other_keys_are_an_error_in_every_part(numbers):
    def transform(sample):
        if sample["label"] == 77:
            return {"other": 1}
        return sample

    for num_threads in (0, 2, 5):
        with pytest.raises(SchemaError, match=r"'label'.* another 'other'"):
            list(Loader(numbers, 100, transform=transform, num_threads=num_threads))
    with pytest.raises(SchemaError, match="a single value"):
        list(Loader(numbers, 100, transform=lambda s: s if s["label"] % 100 else 5))
    with pytest.raises(SchemaError):
        list(Loader(numbers, 100, transform=lambda s: s if s["label"] == 99 else (1, 2)))


def test_what_transforms_return(numbers):
    Point = collections.namedtuple("Point", "x y")
    transforms = [
        (lambda s: int(s["label"]), lambda b: b.tolist() == list(range(10))),
        (lambda s: str(s["label"]), lambda b: b == [str(i) for i in range(10)]),
        (lambda s: (s["x"], "a"), lambda b: b[0].shape == (10, 64) and b[1] == ["a"] * 10),
        (
            lambda s: Point(s["label"], 0.5),
            lambda b: type(b) is Point and b.y.tolist() == [0.5] * 10,
        ),
        (lambda s: None, lambda b: b == [None] * 10),
        (lambda s: [1, 2], lambda b: b == [[1, 2]] * 10),
        (lambda s: 2**80, lambda b: b == [2**80] * 10),
        (
            lambda s: np.uint64(2**63 + s["label"]),
            lambda b: b.dtype == np.uint64 and int(b[9]) == 2**63 + 9,
        ),
        (lambda s: np.str_("a"), lambda b: b == ["a"] * 10),
        (lambda s: {}, lambda b: b == {}),
    ]
    for transform, is_right in transforms:
        for num_threads in (0, 2):
            (batch, *_) = Loader(numbers, 10, transform=transform, num_threads=num_threads)
            assert is_right(batch), batch


def test_a_masked_array_of_a_transform_keeps_its_mask(numbers):
    def transform(sample):
        return np.ma.masked_array([1, 2], [sample["label"] % 2 == 0, False])

    batch = next(iter(Loader(numbers, 4, transform=transform)))
    assert [each.tolist() for each in batch] == [[None, 2], [1, 2], [None, 2], [1, 2]]


def test_the_second_iteration_is_the_next_epoch(numbers):
    loader = Loader(numbers, 10, shuffle=True)
    sampler = Sampler(numbers, 10)
    for epoch in range(3):
        assert [b["label"].tolist() for b in loader] == [i.tolist() for i in sampler]
        assert loader.epoch == epoch
    next(iter(loader))
    assert loader.epoch == 3
    again = [b["label"].tolist() for b in loader]  # what was broken off is begun anew
    assert loader.epoch == 3
    assert again == [i.tolist() for i in sampler]
    loader.set_epoch(1)
    sampler.set_epoch(1)
    assert [b["label"].tolist() for b in loader] == [i.tolist() for i in sampler]


def test_progress_counts_samples(numbers, capsys):
    loader = Loader(numbers, 32, progress=True)
    list(loader)
    assert "100/100" in capsys.readouterr().err
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    del iterator
    capsys.readouterr()
    resumed = Loader(numbers, 32, progress=True)
    resumed.load_state_dict(state)
    list(resumed)
    shown = capsys.readouterr().err
    assert " 32/100" in shown
    assert " 0/100" not in shown
    list(Loader(numbers, sampler=[[1, 2], [3]], progress=True))
    assert "3 samples" in capsys.readouterr().err
