"""`mix` and `zip`: datasets as one."""

import collections
import pickle
import random
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, rows

import dsrecords
from dsrecords._order.ratios import MOST_WEIGHT, whole_weights
from dsrecords._order.shares import Shares


class Numbers:
    """A list of so many samples, each of which says where it comes from."""

    def __init__(self, name, count):
        self.name = name
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.name, index


def lists(*counts):
    return [Numbers(name, count) for name, count in enumerate(counts)]


@pytest.fixture
def pair(tmp_path):
    """Two datasets of one schema, with 10 and 7 records."""
    paths = [str(tmp_path / f"{name}.rec") for name in "ab"]
    dsrecords.make_dataset(rows(10), paths[0], SCHEMA)
    dsrecords.make_dataset(rows(100, 107), paths[1], SCHEMA)
    return [dsrecords.open(path) for path in paths]


# Shares


@pytest.mark.parametrize("seed", range(10))
def test_each_source_has_its_share_of_every_beginning(seed):
    rng = random.Random(seed)
    for _ in range(20):
        weights = [
            rng.choice((0, 1, rng.randint(1, 9), rng.randint(1, 10**6)))
            for _ in range(rng.randint(1, 12))
        ]
        weights[rng.randrange(len(weights))] += 1
        shares = Shares(weights)
        sources, numbers = shares.at_many(np.arange(1000))
        is_of = sources[:, None] == np.arange(len(weights))
        counts = is_of.cumsum(axis=0)
        expected = np.arange(1, 1001)[:, None] * np.array(weights) / sum(weights)
        off = np.abs(counts - expected).max()
        assert off < 2
        if np.count_nonzero(weights) <= 2:
            assert off <= 0.5 + 1e-9
        for source in range(len(weights)):
            assert numbers[sources == source].tolist() == list(range(counts[-1, source]))
            if weights[source]:
                places = shares.positions(source, np.arange(counts[-1, source]))
                assert places.tolist() == np.flatnonzero(sources == source).tolist()
        for position in rng.sample(range(1000), 10):
            assert shares.at(position) == (sources[position], numbers[position])
            assert shares.counts(position + 1) == counts[position].tolist()


def test_positions_far_out_are_found_without_overflow():
    shares = Shares([MOST_WEIGHT - 3, 1, 2])
    positions = np.array([2**62 + 5, 2**62 + MOST_WEIGHT, 2**61], np.int64)
    sources, numbers = shares.at_many(positions)
    for number, position in enumerate(positions.tolist()):
        assert shares.at(position) == (sources[number], numbers[number])
        back = shares.positions(int(sources[number]), numbers[number : number + 1])
        assert back.tolist() == [position]


def test_weights_are_the_simplest_integers_of_their_ratios():
    assert whole_weights([0.7, 0.2, 0.1]) == [7, 2, 1]
    assert whole_weights([1 / 3, 2 / 3]) == [1, 2]
    assert whole_weights([10**10, 3 * 10**10]) == [1, 3]
    assert whole_weights(np.array([4, 0, 2], np.float32)) == [2, 0, 1]
    rounded = whole_weights([np.pi, 1e-15])
    assert rounded[1] == 1
    assert sum(rounded) <= MOST_WEIGHT
    for wrong, message in (
        ([0, 0], "above 0"),
        ([1, -1], "at least 0"),
        ([float("nan")], "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            whole_weights(wrong)
    with pytest.raises(TypeError, match="a weight is a number, not 'a'"):
        whole_weights(["a"])


# Mixtures


def test_a_mixture_has_the_samples_that_its_sources_say():
    for seed in (None, 0, 5):
        mixed = dsrecords.mix(lists(10, 4), [3, 1], seed=seed, stop=40)
        samples = list(mixed)
        assert len(mixed) == len(samples) == 40
        datasets, records = mixed.sources(slice(None))
        for index, sample in enumerate(samples):
            assert mixed[index] == sample == mixed.source(index)
            assert (datasets[index], records[index]) == sample
        assert mixed.counts() == [30, 10]
        turns = [record for name, record in samples if name == 0]
        parts = [turns[start : start + 10] for start in range(0, 30, 10)]
        assert all(sorted(part) == list(range(10)) for part in parts)
        if seed is None:
            assert parts[0] == parts[1] == list(range(10))
        else:
            assert parts[0] != parts[1] != parts[2]


@pytest.mark.parametrize(
    ("stop", "ends"),
    [
        ("first_exhausted", {0: 3, 1: 1}),  # the last of 3 samples of the first comes at 0, 1, 0, 0
        ("all_exhausted", {0: 12, 1: 4}),
    ],
)
def test_a_mixture_ends_with_the_last_sample_that_its_rule_names(stop, ends):
    mixed = dsrecords.mix(lists(3, 4), [3, 1], stop=stop)
    counts = collections.Counter(name for name, _ in mixed)
    longest = max(ends.values())
    exhausted = [counts[0] >= 3, counts[1] >= 4]
    before = collections.Counter(name for name, _ in list(mixed)[:-1])
    exhausted_before = [before[0] >= 3, before[1] >= 4]
    if stop == "first_exhausted":
        assert any(exhausted)
        assert not any(exhausted_before)
    else:
        assert all(exhausted)
        assert not all(exhausted_before)
    assert abs(max(counts.values()) - longest) <= 2


def test_a_schedule_changes_weights_at_its_steps():
    mixed = dsrecords.mix(
        lists(50, 50, 50), [1, 1, 0], stop=400, schedule=[(100, [0, 1, 1]), (300, [8, 1, 1])]
    )
    names = [name for name, _ in mixed]
    assert [names[:100].count(name) for name in range(3)] == [50, 50, 0]
    assert [names[100:300].count(name) for name in range(3)] == [0, 100, 100]
    assert [names[300:].count(name) for name in range(3)] == [80, 10, 10]
    assert mixed.counts() == [130, 160, 110]
    by_record = collections.Counter(mixed)
    assert set(by_record.values()) <= {2, 3, 4}


def test_a_sampler_keeps_the_sources_of_the_steps():
    mixed = dsrecords.mix(lists(50, 20), [3, 1], stop=200, schedule=[(80, [1, 1])])
    names = [name for name, _ in mixed]
    sampler = dsrecords.Sampler(mixed, 16, seed=2)
    epochs = [np.concatenate(list(sampler)).tolist() for _ in range(2)]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert sorted(epoch) == list(range(200))
        assert [mixed[index][0] for index in epoch] == names
    view = dsrecords.Sampler(mixed[:100], 10)
    assert sorted(np.concatenate(list(view)).tolist()) == list(range(100))


def test_a_mixture_of_datasets_reads_batches_and_columns(pair):
    mixed = dsrecords.mix(pair, [2, 1], stop=40)
    samples = list(mixed)
    assert samples == [pair[source][record] for source, record in map(mixed.source, range(40))]
    assert mixed.__getitems__([5, 1, 1]) == [samples[5], samples[1], samples[1]]
    columns = mixed.batch([7, 3, 39])
    assert columns["label"].tolist() == [samples[index]["label"] for index in (7, 3, 39)]
    assert columns["text"] == [samples[index]["text"] for index in (7, 3, 39)]
    scores = mixed.column("score")
    assert scores.tolist() == [sample["score"] for sample in samples]
    assert isinstance(scores, np.ma.MaskedArray)
    assert type(mixed.column("label")) is np.ndarray
    assert mixed.batch([]).keys() == SCHEMA.keys()
    assert mixed[4, "label"] == samples[4]["label"]
    assert mixed[4, ["label", "text"]] == {key: samples[4][key] for key in ("label", "text")}
    assert mixed.schema == pair[0].schema
    copied = pickle.loads(pickle.dumps(mixed))
    assert list(copied) == samples
    assert copied.fingerprint == mixed.fingerprint
    assert len(pickle.dumps(mixed)) < 4000


def test_views_of_a_mixture(pair):
    mixed = dsrecords.mix(pair, [2, 1], stop=40)
    samples = list(mixed)
    mask = np.arange(40) % 3 == 0
    for key, expected in (
        (slice(2, 30, 4), samples[2:30:4]),
        ([5, -1], [samples[5], samples[-1]]),
        (mask, samples[::3]),
        (dsrecords.Permutation(40, 1), [samples[i] for i in dsrecords.Permutation(40, 1)]),
    ):
        view = mixed[key]
        assert list(view) == expected == [view[index] for index in range(len(view))]
        assert view[1:][0] == expected[1]
        assert view.column("label").tolist() == [sample["label"] for sample in expected]
        assert view.fingerprint != mixed.fingerprint
    assert mixed[:].fingerprint == mixed.fingerprint
    assert mixed[-1] == samples[-1]
    for wrong in (40, -41, [3, 40]):
        with pytest.raises(IndexError, match=f"{np.ravel(wrong)[-1]} is out of range: 40 samples"):
            mixed[wrong]
    with pytest.raises(TypeError, match="an index is an integer"):
        mixed["label"]
    with pytest.raises(IndexError, match="a mask of 3 for 40"):
        mixed[np.ones(3, bool)]


def test_what_cannot_be_read_is_left_out_of_a_mixture_as_of_its_dataset(pair):
    for text in (b"text 2", b"text 4"):
        flip(pair[0].path, Path(pair[0].path).read_bytes().index(text))
    skipping = [dsrecords.open(ds.path, on_error="skip") for ds in pair]
    mixed = dsrecords.mix(skipping, [1, 1], stop=14, seed=None)
    there = [sample["label"] for sample in mixed]
    expected = [label for pairs in zip(range(7), range(100, 107), strict=True) for label in pairs]
    readable = {sample["label"] for dataset in skipping for sample in dataset}
    assert len(readable) == 15
    assert sorted(there) == sorted(label for label in expected if label in readable)
    assert mixed.batch(slice(None))["label"].tolist() == there
    assert len(mixed.column("label")) == 14


def test_datasets_that_do_not_go_together(pair, tmp_path):
    path = str(tmp_path / "c.rec")
    dsrecords.make_dataset([{"label": 1, "text": b"x"}], path, {"label": "int64", "text": "bytes"})
    other = dsrecords.open(path)
    mixed = dsrecords.mix([pair[0], other], stop=8)
    assert {len(sample) for sample in mixed} == {2, 4}
    assert len(mixed.column("label")) == 8
    with pytest.raises(dsrecords.SchemaError, match=r"'text' is str in dataset 0 .* bytes in dat"):
        mixed.column("text")
    with pytest.raises(
        dsrecords.SchemaError, match="dataset 1 of the mixture has no field 'score'"
    ):
        mixed.batch([0], ["score"])
    with pytest.raises(dsrecords.SchemaError, match="different schemas"):
        mixed.batch([0])
    with pytest.raises(dsrecords.SchemaError, match="dataset 0, of type Numbers, has no schema"):
        dsrecords.mix(lists(3, 3)).column("x")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], []), {}, "0 weights for 0 datasets"),
        ((lists(3), [1, 2]), {}, "2 weights for 1 datasets"),
        ((lists(3, 0),), {}, "dataset 1 has no samples, and a weight"),
        ((lists(3, 3), [1, 0]), {"stop": "all_exhausted"}, "dataset 1 is never exhausted"),
        ((lists(3),), {"stop": "exhausted"}, "stop is 'first_exhausted'"),
        ((lists(3),), {"stop": -1}, "after 0 steps or more"),
        ((lists(3),), {"schedule": [(0, [1])]}, "rising steps above 0, and 0 comes after 0"),
        ((lists(3),), {"schedule": [(4, [1, 1])]}, "2 weights from step 4 on, for 1 datasets"),
    ],
)
def test_mixtures_that_cannot_be_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dsrecords.mix(*arguments, **options)


def test_what_is_no_dataset_is_refused():
    with pytest.raises(TypeError, match="dataset 1: one with a length and indices"):
        dsrecords.mix([[1], iter([2])])
    with pytest.raises(TypeError, match="dataset 0: one with a length and indices"):
        dsrecords.zip([iter([2])])


# Zipped datasets


def test_zipped_samples_have_the_fields_of_all(pair, tmp_path):
    path = str(tmp_path / "c.rec")
    schema = {"vector": "float32[2]"}
    vectors = [{"vector": np.full(2, i, np.float32)} for i in range(10)]
    dsrecords.make_dataset(vectors, path, schema)
    zipped = dsrecords.zip([pair[0], dsrecords.open(path)])
    assert len(zipped) == 10
    assert zipped.schema == {**pair[0].schema, **schema}
    sample = zipped[3]
    assert sample.keys() == zipped.schema.keys()
    assert (sample["label"], sample["vector"].tolist()) == (3, [3, 3])
    assert [one["label"] for one in zipped] == list(range(10))
    assert zipped[3, "label"] == 3
    assert zipped[3, ["vector", "label"]].keys() == {"vector", "label"}
    assert zipped.column("vector")[:, 0].tolist() == list(range(10))
    batch = zipped.batch([4, 2], ["vector", "label"])
    assert list(batch) == ["vector", "label"]
    assert zipped.batch([4, 2])["label"].tolist() == [4, 2]
    assert [one["label"] for one in zipped[::-3]] == [9, 6, 3, 0]
    assert pickle.loads(pickle.dumps(zipped[2:4]))[1]["label"] == 3
    with pytest.raises(dsrecords.SchemaError, match="there is no field 'x': there are label"):
        zipped.column("x")
    sampler = dsrecords.Sampler(zipped, 4)
    assert sorted(np.concatenate(list(sampler)).tolist()) == list(range(10))


def test_zipped_tuples_and_values(tmp_path):
    path = str(tmp_path / "c.rec")
    dsrecords.make_dataset([(i, f"{i}") for i in range(3)], path, ["int64", "str"])
    dataset = dsrecords.open(path)
    zipped = dsrecords.zip([dataset, "abc", dataset])
    assert list(zipped) == [(0, "0", "a", 0, "0"), (1, "1", "b", 1, "1"), (2, "2", "c", 2, "2")]
    twice = dsrecords.zip([dataset, dataset])
    assert twice.schema == ["int64", "str", "int64", "str"]
    assert [list(column) for column in twice.batch([2, 0])] == [[2, 0], ["2", "0"]] * 2
    with pytest.raises(dsrecords.SchemaError, match="not all of them have names"):
        twice.column(0)


def test_datasets_that_cannot_be_zipped(pair):
    with pytest.raises(ValueError, match="10 and 7 samples: take as many of each, such as ds"):
        dsrecords.zip(pair)
    with pytest.raises(dsrecords.SchemaError, match="0 and 1 both have a field 'label': leave it"):
        dsrecords.zip([pair[0], pair[0]])
    with pytest.raises(dsrecords.SchemaError, match="0 and 1 both have a field 'label'"):
        dsrecords.zip([[{"label": 1}], [{"label": 2}]])[0]
    with pytest.raises(ValueError, match="there are no datasets"):
        dsrecords.zip([])
    skipping = dsrecords.open(pair[0].path, on_error="skip")
    with pytest.raises(ValueError, match="dataset 0 has on_error='skip'"):
        dsrecords.zip([skipping])
