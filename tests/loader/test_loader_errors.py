"""What a loader does at what is wrong: arguments, records, functions, formats."""

import contextlib
import re
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import flip
from loaders import descriptors, loader_threads, make_numbers, plain, take_all, wait_for_threads

import dsrecords
from dsrecords import (
    CorruptError,
    DecodeError,
    Loader,
    MaxTokens,
    Pad,
    Sampler,
    SchemaError,
    vision,
)
from dsrecords._loader.assembly import Stop
from dsrecords._loader.threads import Threads

COUNT = 48


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return make_numbers(str(tmp_path_factory.mktemp("loader") / "numbers.rec"), 100, ["x"])


def text_of(i):
    return f"text of {i:02} "


@pytest.fixture
def texts(path):
    rows = [{"label": i, "text": text_of(i) * 3, "x": np.full(3, i)} for i in range(COUNT)]
    dsrecords.make_dataset(rows, path, {"label": "int64", "text": "str", "x": "int64[3]"})
    return path


def damage(path, *numbers):
    data = Path(path).read_bytes()
    for number in numbers:
        flip(path, data.index(text_of(number).encode()))
    return dsrecords.open(path)


# Arguments


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size is at least 1"),
        ({"batch_size": 1.5}, TypeError, "batch_size is an integer"),
        ({"batch_size": "8"}, TypeError, "batch_size is an integer"),
        ({"batch_size": 4, "global_batch_size": 8}, ValueError, "give one of them"),
        ({"global_batch_size": 1, "world_size": 2}, ValueError, "without samples"),
        ({"rank": 1}, ValueError, "rank is 0 to 0"),
        ({"seed": -1}, ValueError, "seed is"),
        ({"num_threads": -1}, ValueError, "num_threads is at least 0"),
        ({"num_threads": 1.0}, TypeError, "num_threads is an integer"),
        ({"num_processes": -2}, ValueError, "num_processes is at least 0"),
        ({"num_processes": None}, TypeError, "num_processes is an integer"),
        ({"prefetch": -1}, ValueError, "prefetch is at least 0"),
        ({"prefetch": "2"}, TypeError, "prefetch is an integer"),
        ({"format": "tf"}, ValueError, "'numpy', 'torch' or 'jax', not 'tf'"),
        ({"format": None}, ValueError, "'numpy', 'torch' or 'jax'"),
        ({"device": "cuda"}, ValueError, "is for format='torch' or 'jax'"),
        ({"layout": "CHW"}, ValueError, "'NHWC' or 'NCHW', not 'CHW'"),
        ({"layout": None}, ValueError, "'NHWC' or 'NCHW'"),
        ({"on_error": "ignore"}, ValueError, "on_error"),
        ({"fields": "label"}, TypeError, "fields is a list"),
        ({"fields": ["label", "label"]}, SchemaError, "label"),
        ({"fields": ["other"]}, SchemaError, "other"),
        ({"decode": "rgb"}, TypeError, "decode"),
        ({"decode": {"other": "rgb"}}, SchemaError, "no field 'other'"),
        ({"decode": {"label": vision.Decode("rgb")}}, SchemaError, "label"),
        ({"transform": 5}, TypeError, "transform"),
        ({"batch_size": 2, "batch_transform": "f"}, TypeError, "transform"),
        ({"batch_transform": dict}, ValueError, "give a batch_size"),
        ({"pad": {"label": Pad(0)}}, ValueError, "give a batch_size"),
        ({"batch_size": 2, "pad": {"label": 0}}, TypeError, "is a dsrecords.Pad"),
        ({"batch_size": 2, "pad": Pad(0)}, TypeError, "pad is a dict"),
        ({"batch_size": 2, "pad": 0}, TypeError, "pad is a dict"),
        ({"batch_size": 2, "decode": 0}, TypeError, "decode"),
        ({"sampler": 5}, TypeError, "iterable of batches"),
        ({"sampler": [[1]], "batch_size": 2}, ValueError, "batch_size"),
        ({"sampler": [[1]], "global_batch_size": 2}, ValueError, "global_batch_size"),
        ({"sampler": [[1]], "shuffle": True}, ValueError, "shuffle"),
        ({"sampler": [[1]], "drop_last": True}, ValueError, "drop_last"),
        ({"sampler": [[1]], "pad_last": False}, ValueError, "pad_last"),
        ({"sampler": [[1]], "rank": 1}, ValueError, "rank"),
        ({"sampler": [[1]], "world_size": 2}, ValueError, "world_size"),
        ({"sampler": Sampler(100, 4, seed=3), "seed": 4}, ValueError, "give it to the sampler"),
        ({"batch_size": MaxTokens(8, [1, 2])}, ValueError, "2 lengths for 100 samples"),
    ],
)  # fmt: skip
def test_arguments_that_are_wrong_are_errors_at_once(numbers, options, kind, words):
    with pytest.raises(kind, match=words):
        Loader(numbers, **options)


def test_datasets_that_are_none():
    for wrong in (object(), iter([1]), None):
        with pytest.raises((TypeError, ValueError)):
            Loader(wrong, 2)
    with pytest.raises(TypeError, match="fields is for datasets, not for list"):
        Loader([1, 2], 2, fields=["a"])
    with pytest.raises(SchemaError, match="no field 'a'"):
        Loader([1, 2], 2, decode={"a": "rgb"})


@pytest.mark.parametrize("sampler", [[1, 2], [[0.5]], [["a"]], [[True]], [[[1]]], [None]], ids=str)
def test_samplers_that_yield_no_batches_of_indices(numbers, sampler):
    with pytest.raises((TypeError, ValueError)) as caught:
        list(Loader(numbers, sampler=sampler))
    assert "list of indices" in str(caught.value)


def test_samplers_without_length_or_state(numbers):
    loader = Loader(numbers, sampler=iter([[1]]))
    for ask in (loader.state_dict, lambda: loader.indices(0), lambda: loader.load_state_dict({})):
        with pytest.raises(TypeError, match="no position"):
            ask()
    with pytest.raises(TypeError, match="how many batches"):
        len(Loader(numbers, sampler=([i] for i in range(3))))


def test_an_index_that_is_out_of_range(numbers):
    for num_threads in (0, 2):
        loader = Loader(numbers, sampler=[[1], [100], [2]], num_threads=num_threads)
        iterator = iter(loader)
        assert next(iterator)["label"].tolist() == [1]
        with pytest.raises(IndexError):
            next(iterator)
    wait_for_threads()


def test_keys_that_no_sample_has(numbers):
    for options in ({"pad": {"other": Pad(0)}}, {"fill_null": {"other": 0}}):
        name = next(iter(options))
        with pytest.raises(SchemaError, match=f"{name}: samples have no 'other'"):
            list(Loader(numbers, 4, **options))


def test_a_column_that_the_loader_adds_is_there_already(path):
    dsrecords.make_dataset(
        [{"index": 1, "t": [1], "t_length": 1}],
        path,
        {"index": "int64", "t": "list[int64]", "t_length": "int64"},
    )
    dataset = dsrecords.open(path)
    with pytest.raises(SchemaError, match="adds 'index'"):
        list(Loader(dataset, 1, with_index=True))
    with pytest.raises(SchemaError, match="adds 't_length'"):
        list(Loader(dataset, 1, pad={"t": Pad(0)}))


def test_a_package_that_is_missing_is_named(numbers, monkeypatch):
    import sys

    for name in ("torch", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=rf"pip install 'dsrecords\[{name}\]'"):
            Loader(numbers, 4, format=name)


# Records that cannot be read


def with_noise(sample, rng):
    return {**sample, "noise": rng.random()}


@pytest.mark.parametrize("num_threads", [0, 2])
@pytest.mark.parametrize("transform", [None, dict])
def test_a_damaged_record_is_raised_in_its_step(texts, num_threads, transform):
    dataset = damage(texts, 30, 21)
    for _ in range(3):
        loader = Loader(dataset, 8, num_threads=num_threads, prefetch=6, transform=transform)
        got = []
        with pytest.raises(CorruptError) as caught:
            take_all(loader, got)
        assert got == list(range(16))
        assert caught.value.record == 21
        assert caught.value.field == "text"
        assert caught.value.file == texts
        assert loader.state_dict()["position"] == 16
    wait_for_threads()


def test_single_samples_before_a_damaged_one_are_delivered(texts):
    dataset = damage(texts, 21)
    for num_threads in (0, 2):
        loader = Loader(dataset, num_threads=num_threads)
        got = []
        with pytest.raises(CorruptError, match="record 21"):
            take_all(loader, got)
        assert got == list(range(21))
        assert loader.state_dict()["position"] == 21


@pytest.mark.parametrize(
    "places",
    [[8], [15], [11], [8, 15], [9, 10, 11], [8, 9, 10, 11, 12, 13, 14, 15], [0, 47], range(48)],
    ids=str,
)
@pytest.mark.parametrize("transform", [None, with_noise], ids=["plain", "transform"])
def test_skipped_samples_make_their_batch_smaller_and_no_other(texts, places, transform):
    def epoch(dataset, **options):
        loader = Loader(
            dataset,
            8,
            with_index=True,
            batch_transform=lambda b, rng: {**b, "r": rng.random()},
            **options,
        )
        return loader, list(loader)

    _, whole = epoch(dsrecords.open(texts), transform=transform)
    wanted = []
    for batch in whole:
        kept = [row for row, index in enumerate(batch["index"].tolist()) if index not in places]
        chosen = {key: [batch[key][row] for row in kept] for key in set(batch) - {"r"}}
        if kept:
            wanted.append((batch["r"], chosen))
    damaged = damage(texts, *places)
    for num_threads in (0, 2, 5):
        loader, got = epoch(damaged, transform=transform, on_error="skip", num_threads=num_threads)
        assert [batch["r"] for batch in got] == [number for number, _ in wanted]
        for batch, (_, chosen) in zip(got, wanted, strict=True):
            assert set(batch) - {"r"} == set(chosen)
            assert isinstance(batch["x"], np.ndarray)
            for key, rows in chosen.items():
                assert plain(list(batch[key])) == plain(rows)
        assert [error.record for error in loader.skipped] == sorted(places)
        assert loader.state_dict()["position"] == COUNT


def test_a_function_is_told_of_each_sample_that_is_left_out(texts):
    damaged = damage(texts, 3, 20, 22)
    told = []
    loader = Loader(damaged, 8, on_error=told.append, num_threads=2)
    sizes = [(len(batch["label"]), len(told)) for batch in loader]
    assert sizes == [(7, 1), (8, 1), (6, 3), (8, 3), (8, 3), (8, 3)]
    assert [error.record for error in told] == [3, 20, 22]
    assert {threading.current_thread().name} == {"MainThread"}
    assert loader.skipped == []

    def refuse(error):
        if error.record == 20:
            raise LookupError("enough")

    loader = Loader(damaged, 8, on_error=refuse, num_threads=2)
    got = []
    with pytest.raises(LookupError, match="enough"):
        take_all(loader, got)
    assert got == [0, 1, 2, 4, 5, 6, 7, *range(8, 16)]


def test_a_dataset_says_what_happens_at_a_damaged_record(texts):
    damage(texts, 9)
    dataset = dsrecords.open(texts, on_error="skip")
    loader = Loader(dataset, 8, num_threads=2)
    assert [len(batch["label"]) for batch in loader] == [8, 7, 8, 8, 8, 8]
    assert [error.record for error in loader.skipped] == [9]
    assert [len(b["label"]) for b in Loader(dataset, 8, transform=dict)] == [8, 7, 8, 8, 8, 8]
    told = []
    list(Loader(dataset, 8, on_error=told.append))
    assert len(told) == 1
    assert dataset.on_error == "skip"


def test_single_samples_that_are_left_out(texts):
    damaged = damage(texts, 0, 31, 32, 47)
    for num_threads in (0, 2):
        loader = Loader(damaged, on_error="skip", num_threads=num_threads)
        positions = []
        got = []
        for one in loader:
            got.append(int(one["label"]))
            positions.append(loader.state_dict()["position"])
        assert got == [i for i in range(COUNT) if i not in (0, 31, 32, 47)]
        assert positions == [label + 1 for label in got]
        assert [error.record for error in loader.skipped] == [0, 31, 32, 47]
        assert loader.state_dict()["position"] == COUNT


def test_what_is_no_fault_of_a_record_is_never_left_out(texts):
    def transform(sample):
        if sample["label"] == 5:
            raise ValueError("as planned")
        return sample

    with pytest.raises(ValueError, match="as planned"):
        list(Loader(dsrecords.open(texts), 8, transform=transform, on_error="skip"))
    for left_out in (CorruptError("mine"), DecodeError("mine")):

        def judge(sample, error=left_out):
            if sample["label"] == 5:
                raise error
            return sample

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = next(iter(Loader(dsrecords.open(texts), 8, transform=judge, on_error="skip")))
        assert batch["label"].tolist() == [0, 1, 2, 3, 4, 6, 7]


def test_pictures_that_cannot_be_decoded(path):
    import make_golden

    good = make_golden.picture("red.png")
    cut = good[: len(good) // 2]
    rows = [{"picture": cut if i in (3, 9) else good, "label": i} for i in range(12)]
    dsrecords.make_dataset(rows, path, {"picture": "png", "label": "int64"})
    dataset = dsrecords.open(path)
    for num_threads in (0, 2):
        for options in ({}, {"transform": dict}):
            with pytest.raises(DecodeError) as caught:
                list(Loader(dataset, 6, num_threads=num_threads, **options))
            assert (caught.value.record, caught.value.field) == (3, "picture")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loader = Loader(dataset, 6, num_threads=num_threads, on_error="skip", **options)
                got = [batch["label"].tolist() for batch in loader]
            assert got == [[0, 1, 2, 4, 5], [6, 7, 8, 10, 11]]


# Functions of the user's


@pytest.mark.parametrize("num_threads", [0, 2])
def test_an_error_of_a_transform_has_a_note_that_names_the_record(texts, num_threads):
    def transform(sample):
        raise KeyError(int(sample["label"]))

    dataset = dsrecords.open(texts)[10:]
    loader = Loader(dataset, 8, transform=transform, num_threads=num_threads)
    with pytest.raises(KeyError) as caught:
        list(loader)
    assert caught.value.args == (10,)
    (note,) = caught.value.__notes__
    assert texts in note and "record 10" in note and "transform" in note
    lines = [entry.name for entry in caught.traceback]
    assert lines[-1] == "transform"
    wait_for_threads()


def test_the_first_of_many_errors_is_raised_whichever_comes_first(numbers):
    late = threading.Event()

    def transform(sample):
        label = int(sample["label"])
        if label == 3:
            late.wait(60)
            raise LookupError(label)
        if label in (30, 31):
            late.set()
            raise LookupError(label)
        return sample

    for _ in range(3):
        late.clear()
        with pytest.raises(LookupError) as caught:
            list(Loader(numbers, 50, transform=transform, num_threads=2))
        assert caught.value.args == (3,)
    wait_for_threads()


def test_an_error_of_a_batch_transform_has_a_note_that_names_the_step(numbers):
    def transform(batch):
        if batch["label"][0] == 20:
            raise RuntimeError("as planned")
        return batch

    loader = Loader(numbers, 10, batch_transform=transform, num_threads=2)
    got = []
    with pytest.raises(RuntimeError, match="as planned") as caught:
        take_all(loader, got)
    assert got == list(range(20))
    (note,) = caught.value.__notes__
    assert "step 2" in note
    assert "step 2" in caught.value.__notes__[0]


class Worse(BaseException):
    pass


@pytest.mark.parametrize("kind", [Worse, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit])
def test_any_exception_reaches_the_caller(numbers, kind):
    def transform(sample):
        raise kind("as planned")

    for num_threads in (0, 2):
        with pytest.raises(kind, match="as planned"):
            list(Loader(numbers, 10, transform=transform, num_threads=num_threads))
    wait_for_threads()


def test_stopiteration_does_not_end_an_epoch_quietly(numbers):
    def transform(sample):
        raise StopIteration

    for options in ({"transform": transform}, {"batch_transform": transform}):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(Loader(numbers, 10, num_threads=2, **options))


def test_what_takes_a_generator():
    from dsrecords._loader.reader import takes_rng

    class Method:
        def __call__(self, sample, rng=None):
            return sample

        def other(self, sample):
            return sample

    assert takes_rng(lambda s, rng: s)
    assert takes_rng(lambda s, generator: s)
    assert takes_rng(lambda s, rng=None: s)
    assert takes_rng(Method())
    assert not takes_rng(Method().other)
    assert not takes_rng(lambda s, scale=2: s)
    assert not takes_rng(lambda s, *rest: s)
    assert not takes_rng(lambda s, *, rng: s)
    assert not takes_rng(dict)
    assert not takes_rng(len)


# Nulls


@pytest.fixture(scope="module")
def nulls(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("loader") / "nulls.rec")
    kinds = {
        "number": "int64?", "real": "float32?", "flag": "bool?", "when": "datetime64[s]?", "text": "str?",
        "pair": "float32[2]?", "tokens": "int32[*]?",
    }  # fmt: skip
    rows = []
    for i in range(12):
        values = {
            "number": i, "real": i / 2, "flag": i % 2 == 0, "when": np.datetime64(i, "s"), "text": str(i),
            "pair": [i, -i], "tokens": np.arange(i % 4),
        }  # fmt: skip
        rows.append({key: None if i % 3 == 1 else value for key, value in values.items()})
    dsrecords.make_dataset(rows, path, kinds)
    return dsrecords.open(path)


def test_none_is_masked_or_none_unless_something_stands_for_it(nulls):
    batch = next(iter(Loader(nulls, 6)))
    for key in ("number", "real", "flag", "when"):
        assert batch[key].mask.tolist() == [False, True, False, False, True, False]
    for key in ("text", "pair", "tokens"):
        assert [value is None for value in batch[key]] == [False, True, False, False, True, False]


def test_what_stands_for_none(nulls):
    fills = {
        "number": -1,
        "real": np.nan,
        "flag": True,
        "when": np.datetime64("NaT", "s"),
        "text": "",
        "pair": 0,
        "tokens": [],
    }
    batch = next(iter(Loader(nulls, 6, fill_null=fills)))
    assert type(batch["number"]) is np.ndarray and batch["number"].tolist() == [0, -1, 2, 3, -1, 5]
    assert batch["real"].dtype == np.float32 and np.isnan(batch["real"]).tolist() == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    assert batch["flag"].tolist() == [True, True, True, False, True, False]
    assert np.isnat(batch["when"]).tolist() == [False, True, False, False, True, False]
    assert batch["text"] == ["0", "", "2", "3", "", "5"]
    assert batch["pair"].dtype == np.float32
    assert batch["pair"].tolist() == [[0, 0], [0, 0], [2, -2], [3, -3], [0, 0], [5, -5]]
    assert [list(value) for value in batch["tokens"]] == [[], [], [0, 1], [0, 1, 2], [], [0]]
    one = next(iter(Loader(nulls, 6, fill_null=7, fields=["number", "real"])))
    assert one["number"].tolist() == [0, 7, 2, 3, 7, 5]
    padded = next(iter(Loader(nulls, 6, fill_null={"tokens": []}, pad={"tokens": Pad(-1)})))
    assert padded["tokens"].dtype == np.int32
    assert padded["tokens_length"].tolist() == [0, 0, 2, 3, 0, 1]
    for one in Loader(nulls, fill_null={"number": 9}):
        assert one["number"] is not None


@pytest.mark.parametrize(
    "fill",
    [
        {"number": 0.5},
        {"number": "a"},
        {"number": 2**70},
        {"flag": 2},
        {"when": "soon"},
        {"number": [1, 2]},
    ],
    ids=str,
)
def test_what_cannot_stand_for_none(nulls, fill):
    (key,) = fill
    with pytest.raises(SchemaError, match=rf"field '{key}'.*fill_null"):
        list(Loader(nulls, 6, fill_null=fill))


def test_an_array_of_no_certain_shape_cannot_be_filled_with_a_number(nulls):
    with pytest.raises(SchemaError, match=r"field 'tokens'.*fill_null"):
        list(Loader(nulls, 6, fill_null={"tokens": 0}))


# Padding


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("loader") / "ragged.rec")
    rows = [
        {
            "tokens": np.arange(i % 4, dtype=np.uint16), "boxes": np.full((i % 3, 4), i, np.float32), "maybe": None if i == 4 else [1] * i,
            "items": [1.5] * (i % 5), "any": np.zeros(2, np.int8) if i % 2 else np.zeros(2, np.int16), "text": "a", "number": i,
            "words": ["a"] * i, "fixed": np.full((2, 3), i, np.int64),
        }
        for i in range(9)
    ]  # fmt: skip
    kinds = {
        "tokens": "uint16[*]", "boxes": "float32[*,4]", "maybe": "list[int64]?", "items": "list[float64]", "any": "array", "text": "str",
        "number": "int64", "words": "list[str]", "fixed": "int64[2,3]",
    }  # fmt: skip
    dsrecords.make_dataset(rows, path, kinds)
    return dsrecords.open(path)


@pytest.mark.parametrize("num_threads", [0, 2])
def test_padded_arrays(ragged, num_threads):
    pads = {
        "tokens": Pad(9),
        "boxes": Pad(-1.0, length=5),
        "items": Pad(np.nan, multiple_of=4),
        "fixed": Pad(0, length=3),
    }
    loader = Loader(ragged, 3, pad=pads, num_threads=num_threads)
    for step, batch in enumerate(loader):
        rows = [ragged[i] for i in loader.indices(step).tolist()]
        assert list(batch)[-4:] == ["tokens_length", "boxes_length", "items_length", "fixed_length"]
        for key, pad in pads.items():
            arrays = [np.asarray(row[key]) for row in rows]
            lengths = [len(array) for array in arrays]
            assert batch[key + "_length"].tolist() == lengths
            assert batch[key + "_length"].dtype == np.int64
            assert address_is_aligned(batch[key])
            longest = {
                "tokens": max(lengths),
                "boxes": 5,
                "items": -(-max(lengths) // 4) * 4,
                "fixed": 3,
            }[key]
            assert batch[key].shape[:2] == (3, longest)
            for row, array in zip(batch[key], arrays, strict=True):
                np.testing.assert_array_equal(row[: len(array)], array)
                np.testing.assert_array_equal(
                    row[len(array) :], np.full_like(row[len(array) :], pad.value)
                )
        assert batch["tokens"].dtype == np.uint16
        assert batch["boxes"].shape == (3, 5, 4)
        assert batch["items"].dtype == np.float64


def address_is_aligned(array):
    return not array.size or array.__array_interface__["data"][0] % 64 == 0


def test_arrays_without_items(ragged, path):
    dsrecords.make_dataset([{"t": np.zeros(0, np.int8)}] * 3, path, {"t": "int8[*]"})
    (batch,) = Loader(dsrecords.open(path), 3, pad={"t": Pad(0)})
    assert batch["t"].shape == (3, 0) and batch["t"].dtype == np.int8
    assert batch["t_length"].tolist() == [0, 0, 0]
    (rounded,) = Loader(dsrecords.open(path), 3, pad={"t": Pad(0, multiple_of=8)})
    assert rounded["t"].shape == (3, 0)


@pytest.mark.parametrize(
    ("pad", "words"),
    [
        ({"tokens": Pad(-1)}, "Pad(-1) is for arrays of uint16"),
        ({"tokens": Pad(0.5)}, "Pad(0.5) is for arrays of uint16"),
        ({"tokens": Pad("a")}, "Pad('a')"),
        ({"tokens": Pad(None)}, "Pad(None)"),
        ({"tokens": Pad([1, 2])}, "Pad([1, 2])"),
        ({"tokens": Pad(0, length=2)}, "length=2"),
        ({"boxes": Pad(1e60)}, "Pad(1e+60)"),
        ({"maybe": Pad(0)}, "is None: fill_null"),
        ({"any": Pad(0)}, "int16"),
        ({"text": Pad(0)}, "strings"),
        ({"number": Pad(0)}, "not int64"),
        ({"words": Pad("")}, "Pad"),
    ],
    ids=str,
)
def test_what_cannot_be_padded(ragged, pad, words):
    (key,) = pad
    with pytest.raises(SchemaError, match=f"field '{key}'.*{re.escape(words)}"):
        list(Loader(ragged, 9, pad=pad))


@pytest.mark.parametrize(
    "options",
    [
        {"length": 0},
        {"length": -1},
        {"length": 2.0},
        {"multiple_of": 0},
        {"multiple_of": True},
        {"length": 6, "multiple_of": 4},
    ],
    ids=str,
)
def test_pads_that_are_none(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Pad(0, **options)


def test_masked_rows_are_not_padded_as_if_they_were_numbers(numbers):
    def transform(sample):
        return {"t": np.ma.masked_array([1, 2, 3], [False, sample["label"] == 2, False])}

    with pytest.raises(SchemaError, match="field 't'"):
        list(Loader(numbers, 4, transform=transform, pad={"t": Pad(0)}))


# What ends


@pytest.mark.parametrize("num_threads", [1, 2])
def test_an_iterator_that_is_left_ends_its_threads(numbers, num_threads):
    files = descriptors()
    loader = Loader(numbers, 2, num_threads=num_threads, prefetch=5)

    def broken_off():
        for _ in loader:
            break

    def dropped():
        next(iter(loader))

    def failed():
        for _ in loader:
            raise LookupError

    def in_a_cycle():
        cycle = [iter(loader)]
        next(cycle[0])
        cycle.append(cycle)

    def never_begun():
        iter(loader)

    def closed():
        iterator = iter(loader)
        next(iterator)
        iterator.close()

    def whole():
        list(loader)

    def with_bar():
        for _ in Loader(numbers, 2, num_threads=num_threads, progress=True):
            break

    for leave in (broken_off, dropped, failed, in_a_cycle, never_begun, closed, whole, with_bar):
        for _ in range(3):
            with contextlib.suppress(LookupError):
                leave()
        wait_for_threads()
        assert not loader_threads(), leave
    assert descriptors() <= files


def test_closing_ends_a_running_iteration_and_its_threads(numbers):
    with Loader(numbers, 2, num_threads=2) as loader:
        iterator = iter(loader)
        next(iterator)
    wait_for_threads()
    with pytest.raises(RuntimeError, match="later iteration"):
        next(iterator)
    assert len(list(loader)) == 50


def test_who_waits_for_a_batch_is_told_that_the_loader_was_closed(numbers):
    begun = threading.Event()
    end = threading.Event()

    def transform(sample):
        begun.set()
        end.wait(60)
        return sample

    loader = Loader(numbers, 50, transform=transform, num_threads=2)
    caught = []

    def wait():
        try:
            next(iter(loader))
        except RuntimeError as error:
            caught.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(60)
    loader.close()
    end.set()
    waiting.join(60)
    assert not waiting.is_alive()
    assert "later iteration" in caught[0]


def test_work_that_comes_when_the_threads_have_ended_is_done_all_the_same():
    for count in (1, 3):
        for is_begun in (False, True):
            threads = Threads(count, Stop())
            done = []
            if is_begun:
                threads.start()
            threads.end()
            threads.submit(done.append, 1)
            if not is_begun:
                threads.start()
            wait_for_threads()
            assert done == [1]


def test_work_that_nobody_waits_for_is_given_up_between_samples(numbers):
    begun = threading.Event()
    end = threading.Event()
    seen = []

    def transform(sample):
        seen.append(int(sample["label"]))
        begun.set()
        if len(seen) > 5:
            end.wait(60)
        return sample

    loader = Loader(numbers, 100, transform=transform, num_threads=1)

    def ended():
        with contextlib.suppress(RuntimeError):
            list(loader)

    running = threading.Thread(target=ended)
    running.start()
    assert begun.wait(60)
    while len(seen) <= 5:
        end.wait(0.001)
    loader.close()
    end.set()
    running.join(60)
    wait_for_threads()
    assert len(seen) < 20


# Datasets that change


def test_a_dataset_that_is_closed_or_edited_meanwhile(tmp_path):
    path = str(tmp_path / "a.rec")
    make_numbers(path, 40).close()

    def epoch(change):
        """The labels of an epoch; after the first batch something changes."""
        dataset = dsrecords.open(path)
        loader = Loader(dataset, 4, num_threads=2, prefetch=0)
        iterator = iter(loader)
        got = next(iterator)["label"].tolist()
        change(dataset)
        for batch in iterator:
            got += batch["label"].tolist()
        again = [label for batch in loader for label in batch["label"].tolist()]
        assert again == got
        return got

    def edit_elsewhere(dataset):
        with dsrecords.open(path) as other:
            other.append({"label": 1000})
            other[39] = {"label": -39}

    assert epoch(lambda dataset: dataset.close()) == list(range(40))
    assert epoch(edit_elsewhere) == list(range(40))
