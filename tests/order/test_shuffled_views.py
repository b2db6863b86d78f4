"""Views whose selection is a formula: as views of the same positions in a list, but for their size."""

import copy
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, python, row, rows

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    Permutation,
    ReadOnlyError,
    StaleViewError,
    make_dataset,
)
from dsrecords._order.chain import Chain

COUNT = 300
SEED = 11


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("shuffled") / "data.rec")
    make_dataset(rows(COUNT), path, SCHEMA)
    return path


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A dataset of records that are numbers only, more than are read together."""
    path = str(tmp_path_factory.mktemp("numbers") / "data.rec")
    make_dataset({"label": np.arange(150_000)}, path, {"label": "int64"})
    return path


def order(n, seed=SEED):
    return Permutation(n, seed).array().tolist()


# Views of views: each with what makes it of a list of the positions.
VIEWS = {
    "shuffle": (lambda ds: ds.shuffle(SEED), lambda p: [p[i] for i in order(len(p))]),
    "permutation": (
        lambda ds: ds[Permutation(len(ds), SEED)],
        lambda p: [p[i] for i in order(len(p))],
    ),
    "part of a permutation": (
        lambda ds: ds[Permutation(len(ds), SEED)[3:-3:2]],
        lambda p: [p[i] for i in order(len(p))[3:-3:2]],
    ),
    "smaller permutation": (
        lambda ds: ds[Permutation(len(ds) // 2, SEED)],
        lambda p: [p[i] for i in order(len(p) // 2)],
    ),
    "slice": (lambda ds: ds[5:-5:3], lambda p: p[5:-5:3]),
    "reversed": (lambda ds: ds[::-1], lambda p: p[::-1]),
    "list": (
        lambda ds: ds[[len(ds) - 1, 0, -1, 3]],
        lambda p: [p[-1], p[0], p[-1], p[3]],
    ),
    "mask": (
        lambda ds: ds[np.arange(len(ds)) % 3 == 1],
        lambda p: p[1::3],
    ),
    "nothing": (lambda ds: ds[4:4], lambda p: []),
}
FORMULAS = ["shuffle", "permutation", "part of a permutation", "smaller permutation"]
PAIRS = [(first, second) for first in FORMULAS for second in VIEWS] + [
    (first, "shuffle") for first in VIEWS if first not in FORMULAS
]


def made_twice(ds, first, second):
    positions = list(range(len(ds)))
    for name in (first, second):
        make, choose = VIEWS[name]
        if name == "list" and len(ds) < 4:
            continue
        ds = make(ds)
        positions = choose(positions)
    return ds, positions


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_it_is_as_a_list_of_the_same_order(stored, first, second):
    view, positions = made_twice(dsrecords.open(stored), first, second)
    expected = [row(i) for i in positions]
    count = len(positions)
    assert len(view) == count
    assert list(view) == expected
    assert list(reversed(view)) == expected[::-1]
    assert [view[i] for i in range(count)] == expected
    assert [view[i - count] for i in range(count)] == expected
    assert [view[i, "text"] for i in range(count)] == [sample["text"] for sample in expected]
    assert view.column("label").tolist() == positions
    some = list(range(0, count, 3))[::-1]
    assert view.__getitems__(some) == [expected[i] for i in some]
    assert view.batch(some, ["label"])["label"].tolist() == [positions[i] for i in some]
    assert view.batch(np.arange(count) % 2 == 0)["label"].tolist() == positions[::2]
    assert view.batch(slice(1, None, 2))["text"] == [sample["text"] for sample in expected[1::2]]
    with pytest.raises(IndexError, match=f"index {count} is out of range: {count} records"):
        view[count]
    for make in (copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))):
        again = make(view)
        assert again.column("label").tolist() == positions
        assert again[:2].column("label").tolist() == positions[:2]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_it_is_saved_and_opened(stored, first, second, tmp_path):
    view, positions = made_twice(dsrecords.open(stored), first, second)
    saved = view.save_view(tmp_path / "view.idx")
    opened = dsrecords.open(stored, index_path=saved)
    assert opened.column("label").tolist() == positions
    shuffled = opened.shuffle(3)
    assert shuffled.column("label").tolist() == [positions[i] for i in order(len(positions), 3)]
    assert (
        pickle.loads(pickle.dumps(shuffled)).column("label").tolist()
        == shuffled.column("label").tolist()
    )


def test_records_of_numbers_are_as_a_list_too(numbers):
    ds = dsrecords.open(numbers)
    expected = order(len(ds))
    view = ds.shuffle(SEED)
    assert view.column("label").tolist() == expected
    assert [sample["label"] for sample in view] == expected
    part = view[70_000:140_000:2]
    out = {"label": np.empty(35_000, np.int64)}
    part.batch(slice(None), out=out)
    assert out["label"].tolist() == expected[70_000:140_000:2]
    generator = np.random.default_rng(0)
    for i in generator.integers(0, len(ds), 1500).tolist():  # more than are computed alone
        assert view[i, "label"] == expected[i]
    assert ds.batch(Permutation(len(ds), SEED)[:256])["label"].tolist() == expected[:256]


def test_the_same_seed_is_the_same_order_and_another_another(numbers):
    ds = dsrecords.open(numbers)
    first = ds.shuffle(1).column("label")
    assert np.array_equal(first, ds.shuffle(1).column("label"))
    assert (first != ds.shuffle(2).column("label")).mean() > 0.99
    with pytest.raises(ValueError, match="seed is 0 to"):
        ds.shuffle(-1)
    with pytest.raises(TypeError, match="seed is an integer"):
        ds.shuffle("a")
    with pytest.raises(TypeError):
        ds.shuffle()


def test_it_pickles_as_a_few_bytes(numbers):
    ds = dsrecords.open(numbers)
    plain = len(pickle.dumps(ds[::2]))
    view = ds.shuffle(1)[10:-10].shuffle(2)[::-3].shuffle(3)
    assert len(pickle.dumps(view)) < 1000
    assert len(pickle.dumps(ds.shuffle(1))) < plain + 200
    assert len(pickle.dumps(view[[3, 4]])) < plain + 500


def test_many_shuffles_of_shuffles_are_no_deep_recursion(stored):
    view = dsrecords.open(stored)[:5]
    positions = list(range(5))
    for seed in range(450):
        view = view.shuffle(seed)
        positions = [positions[i] for i in order(5, seed)]
    assert view.column("label").tolist() == positions
    assert [view[i]["label"] for i in range(5)] == positions
    assert pickle.loads(pickle.dumps(view))[2]["label"] == positions[2]


@pytest.fixture
def computed(monkeypatch):
    """How many values of permutations were computed, call by call; single ones are not among them."""
    counts = []
    fill = Permutation.fill

    def counted(self, positions, out):
        counts.append(len(positions))
        fill(self, positions, out)

    monkeypatch.setattr(Permutation, "fill", counted)
    return counts


def test_only_what_is_asked_for_is_computed(numbers, computed):
    ds = dsrecords.open(numbers)
    view = ds.shuffle(4)[1000:]
    assert len(view) == 149_000
    repr(view)
    pickle.loads(pickle.dumps(view))
    assert not computed
    view.batch(range(256))
    assert sum(computed) == 256
    view[5]
    view[77, "label"]
    assert sum(computed) == 256  # one alone needs no block
    next(iter(view))
    assert sum(computed) < 4096
    computed.clear()
    for i in range(3000):
        view[i]
    assert sum(computed) < 5000
    assert len(computed) < 10


def test_it_takes_no_time_however_long_the_list(numbers, computed, monkeypatch):
    single = []
    value = Permutation.value

    def counted(self, position):
        single.append(position)
        return value(self, position)

    monkeypatch.setattr(Permutation, "value", counted)
    ds = dsrecords.open(numbers)
    for seed in range(100):
        ds.shuffle(seed)[1000:].shuffle(seed)[::2][3]
    assert not computed
    assert len(single) == 200  # one of each of the two orders


def test_a_permutation_of_other_records_is_refused(stored):
    ds = dsrecords.open(stored)
    with pytest.raises(IndexError, match="is out of range: 300 records"):
        ds[Permutation(10**12, 1)]
    with pytest.raises(IndexError, match="is out of range: 300 records"):
        ds[Permutation(301, 1)]
    # A part of a larger one is none of others, if it has only positions that there are.
    larger = Permutation(301, 1)
    missing = larger.index(300)
    view = ds[larger[missing + 1 :]]
    assert view.column("label").tolist() == larger[missing + 1 :].array().tolist()
    assert len(pickle.loads(pickle.dumps(view))) == len(view)
    with pytest.raises(TypeError, match="parts of one sample"):
        ds[larger, "label"]


def test_an_empty_dataset_and_one_of_one(path):
    make_dataset([], path, {"label": "int64"})
    ds = IndexedRecordDataset(path)
    assert list(ds.shuffle(0)) == []
    assert list(ds[Permutation(0, 0)]) == []
    ds.append({"label": 5})
    assert list(ds.shuffle(0)) == [{"label": 5}]
    assert list(ds.shuffle(0).shuffle(1)[::-1]) == [{"label": 5}]
    ds.close()


def test_it_shows_what_the_list_was(path):
    make_dataset(rows(50), path, SCHEMA)
    ds = IndexedRecordDataset(path)
    view = ds.shuffle(SEED)
    ds.append(row(50))
    ds.flush()
    assert len(view) == 50
    pickled = pickle.dumps(view)
    assert pickle.loads(pickled).column("label").tolist() == order(50)
    ds[3] = row(99)
    del ds[10]
    ds.flush()
    assert view.column("label").tolist() == order(50)
    with pytest.raises(StaleViewError):
        pickle.loads(pickled)
    assert sorted(ds.shuffle(0).column("label").tolist()) == sorted(ds.column("label").tolist())
    ds.close()


def test_it_changes_nothing_and_cannot_be_changed(stored):
    ds = dsrecords.open(stored)
    view = ds.shuffle(0)
    assert ds.column("label").tolist() == list(range(COUNT))
    with pytest.raises(ReadOnlyError):
        view[0] = row(1)
    with pytest.raises(ReadOnlyError):
        view.append(row(1))
    assert "(view)" in repr(view)
    assert view.check(decode=True) == []
    view.close()
    with pytest.raises(ValueError, match="closed"):
        view.shuffle(1)
    assert len(ds) == COUNT


def test_records_are_deleted_and_copied_by_a_permutation(path, tmp_path):
    make_dataset(rows(50), path, SCHEMA)
    ds = IndexedRecordDataset(path)
    output = tmp_path / "copy.rec"
    ds.shuffle(2).compact(output)
    assert dsrecords.open(output).column("label").tolist() == order(50, 2)
    del ds[Permutation(50, 3)[:20]]
    assert ds.column("label").tolist() == sorted(order(50, 3)[20:])
    ds.close()


def test_a_damaged_record_is_named_by_its_position_in_the_list_and_left_out(path):
    make_dataset(rows(50), path, SCHEMA)
    flip(path, Path(path).read_bytes().index(b"text 20"))
    expected = [i for i in order(50) if i != 20]
    view = dsrecords.open(path).shuffle(SEED)
    with pytest.raises(CorruptError, match="record 20"):
        list(view)
    lenient = dsrecords.open(path, on_error="skip").shuffle(SEED)
    assert [sample["label"] for sample in lenient] == expected
    assert [error.record for error in lenient.skipped] == [20]
    assert len(lenient.batch(slice(None))["text"]) == 49


def test_transform_is_called_with_each_sample(stored):
    view = dsrecords.open(stored, transform=lambda sample: sample["label"]).shuffle(SEED)
    assert list(view) == order(COUNT)
    assert view[3] == order(COUNT)[3]


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_it_goes_to_other_processes(stored, method):
    view = dsrecords.open(stored).shuffle(SEED)[10:].shuffle(1)
    expected = [order(COUNT)[10:][i] for i in order(COUNT - 10, 1)]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(labels, (view,)) == expected


def labels(view):
    return view.column("label").tolist()


def test_the_order_is_the_same_in_every_process(stored):
    code = "import sys, dsrecords; print(dsrecords.open(sys.argv[1]).shuffle(11).column('label').tolist())"
    assert python(code, stored).strip() == str(order(COUNT))


# The formula of formulas


def test_a_chain_is_a_sequence():
    steps = [range(1000, 100, -3), Permutation(300, 1)[50:250], Permutation(200, 2)]
    chain = Chain(steps)
    expected = [steps[0][steps[1][i]] for i in steps[2]]
    assert list(chain) == expected
    assert [chain[i] for i in range(200)] == expected
    assert chain.array([-1, 5]).tolist() == [expected[-1], expected[5]]
    part = chain[150:10:-7]
    assert list(part) == expected[150:10:-7]
    assert [part.index(value) for value in part] == list(range(len(part)))
    assert expected[0] not in part
    assert 1 not in chain
    assert pickle.loads(pickle.dumps(part)) == part
    assert hash(chain[:]) == hash(chain)
    assert part != chain
    assert chain.limit == 1001
    assert repr(part) == (
        "<Permutation(200, seed=2) of Permutation(300, seed=1)[50:250] "
        "of range(1000, 100, -3)>[150:10:-7]"
    )
