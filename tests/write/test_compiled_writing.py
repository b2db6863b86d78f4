"""Writing by the compiled twin: the same bytes as Python's, and whatever is unusual left to Python."""

import hashlib
import itertools
import os
import signal
import threading

import numpy as np
import pytest

import dsrecords
from dsrecords import LockedError, ReadOnlyError, SchemaError, make_dataset
from dsrecords._native import core
from dsrecords._storage import files
from dsrecords._write import compiled
from dsrecords._write.writer import Writer

compiled_only = pytest.mark.skipif(core is None, reason="without the compiled part")

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


class Other(dict):
    """A mapping that is no plain dict."""


NUMBERS = {
    "d": "float64",
    "f": "float32",
    "h": "int16",
    "b": "bool",
    "e": "float16",
    "q": "uint64",
}
SAMPLES_OF_NUMBERS = [
    {"d": 1.5, "f": 0.1, "h": -7, "b": True, "e": 1e-7, "q": 2**64 - 1},
    {"d": 3, "f": 2**30, "h": np.int64(9), "b": np.bool_(False), "e": 65504.0, "q": 1},
    {"d": np.float64(2), "f": np.float32(0.3), "h": 2**15 - 1, "b": False, "e": 0.1, "q": 0},
    Other(d=float("nan"), f=float("nan"), h=1, b=True, e=float("nan"), q=3),
    {"d": float("inf"), "f": float("-inf"), "h": True, "b": True, "e": float("inf"), "q": 3},
    {"q": 3, "e": 6.1e-5, "b": False, "h": -(2**15), "f": 1e-40, "d": -0.0},
    {"q": 3, "e": -0.0, "b": False, "h": 2, "f": 1e-46, "d": 5e-324},
]
MIXED = {
    "s": "str",
    "n": "int32?",
    "c": "category[cat,dog]",
    "x": "bytes?",
    "arr": "float32[3,4]",
    "any": "array",
    "j": "json",
    "f": "float32?",
    "k": "str?",
    "v": "float32[*,2]",
    "u": "uint8[2]?",
    "z": "complex64",
    "t": "datetime64[s]",
    "bf": "bfloat16",
}
SAMPLES_OF_ALL = [
    {
        "s": "héllo",
        "n": None,
        "c": "dog",
        "x": b"",
        "arr": ARRAY,
        "any": ARRAY,
        "j": {"a": [1]},
        "f": 1.5,
        "k": None,
        "v": np.ones((2, 2), np.float32),
        "u": None,
        "z": 1 + 2j,
        "t": np.datetime64(5, "s"),
        "bf": 1.5,
    },
    {
        "s": np.str_("x"),
        "n": np.int32(4),
        "c": np.str_("cat"),
        "x": bytearray(b"12345678"),
        "arr": ARRAY.T.copy().T,
        "any": [1, 2],
        "j": None,
        "f": float("nan"),
        "k": "",
        "v": [[1, 2]],
        "u": np.array([1, 2], np.uint8),
        "z": 1,
        "t": np.datetime64(5, "m"),
        "bf": 1,
    },
    {
        "s": "",
        "n": 5,
        "c": "cat",
        "x": b"z" * 100_000,
        "arr": ARRAY.tolist(),
        "any": np.arange(10_000.0),
        "j": [1, "x"],
        "f": None,
        "k": "k" * 70_000,
        "v": [],
        "u": [3, 4],
        "z": 2j,
        "t": np.datetime64("NaT", "s"),
        "bf": 0,
    },
    {  # fields that may be None are left out
        "s": "\0",
        "c": "cat",
        "arr": ARRAY.astype(">f4"),
        "any": 1,
        "j": "s",
        "v": ARRAY[:2, :2],
        "z": 0,
        "t": np.datetime64(1, "s"),
        "bf": 2,
    },
]
CASES = {
    "numbers": (NUMBERS, SAMPLES_OF_NUMBERS),
    "all types": (MIXED, SAMPLES_OF_ALL),
    "tuples": (["int64", "str"], [(1, "a"), [2, "b"], (np.int8(3), "c")]),
    "70 payloads": (
        {f"f{i}": "bytes" for i in range(70)},
        [{f"f{i}": bytes([i]) * i for i in range(70)}] * 3,
    ),
}


def appended(ds, schema, samples):
    for sample in samples:
        ds.append(sample)


def extended(ds, schema, samples):
    ds.extend(samples * 40)


def extended_by_few(ds, schema, samples):
    for count in range(len(samples)):
        ds.extend(samples[:count])


def extended_by_a_generator(ds, schema, samples):
    ds.extend(sample for sample in samples * 3)


def by_columns(ds, schema, samples):
    if isinstance(schema, dict):
        columns = {key: [sample.get(key) for sample in samples] for key in schema}
    else:
        columns = [[sample[i] for sample in samples] for i in range(len(schema))]
    ds.extend_columns(columns)


def among_edits(ds, schema, samples):
    for i, sample in enumerate(samples):
        ds.append(sample)
        ds.extend(samples)
        ds[i] = sample
        del ds[0]
        ds.append(sample)
        ds.flush()
        assert len(list(ds)) == len(ds)


WAYS = [appended, extended, extended_by_few, extended_by_a_generator, by_columns, among_edits]


@compiled_only
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES)
def test_both_write_the_same_bytes(case, way, tmp_path, monkeypatch):
    schema, samples = CASES[case]
    written = []
    for packs in (core, None):
        monkeypatch.setattr(compiled, "core", packs)
        count = itertools.count()
        numbers = lambda size: hashlib.sha512(b"%d" % next(count)).digest()[:size]  # noqa: E731, B023
        monkeypatch.setattr(os, "urandom", numbers)
        path = tmp_path / f"{packs is None}.rec"
        make_dataset([], path, schema)
        with dsrecords.open(path) as ds:
            way(ds, schema, samples)
        assert not dsrecords.open(path).check()
        written.append((path.read_bytes(), path.with_suffix(".idx").read_bytes()))
    assert written[0] == written[1]


@compiled_only
def test_an_append_is_left_to_c_where_nothing_is_unusual(path, monkeypatch):
    make_dataset([], path, MIXED)
    with dsrecords.open(path) as ds:
        ds.append(SAMPLES_OF_ALL[0])  # makes room
        for name in ("append", "append_numbers", "add"):
            monkeypatch.setattr(Writer, name, None)
        for _ in range(10):
            ds.append(SAMPLES_OF_ALL[0])
        monkeypatch.undo()
    assert len(dsrecords.open(path)) == 11


@compiled_only
def test_a_few_samples_are_left_to_c_where_nothing_is_unusual(path, monkeypatch):
    samples = [{"n": 1, "s": "a"}, {"n": 2, "s": "bc"}]
    make_dataset(samples, path, {"n": "int64", "s": "str"})
    with dsrecords.open(path) as ds:
        ds.extend(samples * 9)
        ds.extend(samples)  # makes room
        monkeypatch.setattr(Writer, "add", None)
        ds.extend(samples[:1])
        ds.extend(samples[1:] * 3)
        ds.extend([])
        monkeypatch.undo()
        assert list(ds) == samples * 12 + samples[1:] * 2
    with dsrecords.open(path) as ds:
        assert not ds.check()
        assert list(ds) == samples * 12 + samples[1:] * 2


@compiled_only
def test_a_block_is_written_by_its_own_encoder(path):
    make_dataset([], path, {"n": "int64"})
    with dsrecords.open(path) as ds:
        ds.extend([{"n": 1}] * 3)
        encoder = ds._editing._encoder
        writer = ds._editing.writer
        other = compiled.compiled_encoder(ds._reading.fields.schema)
        block = encoder.block()
        assert not encoder.write(writer, block)  # there is nothing in it
        block.fill(iter([{"n": 2}] * 2), 10, 1000)
        for given in ((writer, 3), (3, block), (writer, other.block())):
            with pytest.raises(TypeError, match="a block of this encoder"):
                encoder.write(*given)
        assert encoder.write(writer, block)
        assert not encoder.write(writer, block)  # it was written
        assert ds.column("n").tolist() == [1, 1, 1, 2, 2]


@pytest.mark.parametrize(("module", "name"), [(files, "pwrite"), (files, "holds"), (os, "pread")])
def test_whoever_replaces_a_function_of_the_system_sees_each_append(
    module, name, path, monkeypatch
):
    make_dataset([{"n": 1}] * 2, path, {"n": "int64"})
    calls = []
    function = getattr(module, name)
    with dsrecords.open(path) as ds:
        ds.append({"n": 3})
        monkeypatch.setattr(module, name, lambda *given: calls.append(name) or function(*given))
        ds.append({"n": 4})
        monkeypatch.undo()
    assert name in calls
    assert dsrecords.open(path).column("n").tolist() == [1, 1, 3, 4]


@pytest.mark.parametrize("way", ["append", "extend"])
def test_a_disk_that_takes_half_a_write_is_an_error_and_loses_nothing(way, path):
    """The limit of the size of a file stands for a disk that is full amid a write."""
    resource = pytest.importorskip("resource")
    sample = {"n": 1, "s": "some text"}
    make_dataset([sample], path, {"n": "int64", "s": "str"})
    ds = dsrecords.open(path)
    ds.append(sample)
    ds.append(sample)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = os.path.getsize(path) + 20  # less than a frame
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            ds.append(sample) if way == "append" else ds.extend([sample] * 3)
        with pytest.raises(ReadOnlyError, match="writing failed"):
            ds.append(sample)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    ds.close()
    with dsrecords.open(path) as ds:
        ds.append(sample)
        assert list(ds) == [sample] * 4
    assert not dsrecords.open(path).check()


def test_a_value_may_append_while_it_is_encoded(path):
    class Number:
        def __array__(self, dtype=None, copy=None):
            ds.append({"n": 1, "s": "within"})
            return np.array(2)

    make_dataset([], path, {"n": "int64", "s": "str"})
    with dsrecords.open(path) as ds:
        ds.append({"n": 0, "s": "first"})
        ds.append({"n": Number(), "s": "outside"})
        ds.extend([{"n": 5, "s": "before"}, {"n": Number(), "s": "behind"}])
        texts = ds.column("s")
        assert sorted(texts) == ["before", "behind", "first", "outside", "within", "within"]
    assert not dsrecords.open(path).check()


def test_threads_append_and_extend_at_once(path):
    make_dataset([], path, {"n": "int64", "x": "bytes"})
    with dsrecords.open(path) as ds:

        def work(number):
            for i in range(300):
                if i % 50 == 49:
                    ds.extend([{"n": number, "x": b"1" * i}] * 3)
                else:
                    ds.append({"n": number, "x": b"%d" % i})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert np.bincount(ds.column("n")).tolist() == [294 + 18] * 4
    assert not dsrecords.open(path).check()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_a_signal_handler_appends_between_appends(path):
    make_dataset([], path, {"n": "int64"})
    done = []

    def handler(*given):
        try:
            ds.append({"n": 1})
            done.append(1)
        except LockedError:
            pass

    with dsrecords.open(path) as ds:
        before = signal.signal(signal.SIGVTALRM, handler)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005, 0.0005)
        try:
            for _ in range(2000):
                ds.append({"n": 0})
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
        counts = np.bincount(ds.column("n"), minlength=2).tolist()
        assert counts == [2000, len(done)]
    assert not dsrecords.open(path).check()


@pytest.mark.parametrize(
    "sample",
    [
        {"n": 2**31, "s": "x"},
        {"n": 1, "s": "\ud800"},
        {"n": 1, "s": b"x"},
        {"n": 1.5, "s": "x"},
        {"n": 1},
        {"n": 1, "s": "x", "t": 2},
        {"n": 1, "t": "x"},
        {"n": None, "s": "x"},
        7,
    ],
)
def test_what_does_not_fit_is_the_same_error(sample, tmp_path, monkeypatch):
    errors = []
    for packs in (core, None):
        monkeypatch.setattr(compiled, "core", packs)
        path = tmp_path / f"{packs is None}.rec"
        make_dataset([{"n": 0, "s": "a"}], path, {"n": "int32", "s": "str"}, overwrite=True)
        with dsrecords.open(path) as ds:
            ds.append({"n": 3, "s": "b"})
            for change in (ds.append, lambda bad: ds.extend([{"n": 4, "s": "c"}, bad])):
                with pytest.raises(SchemaError) as caught:
                    change(sample)
                errors.append((str(caught.value).replace(str(path), ""), caught.value.record))
            assert ds.column("n").tolist() == [0, 3, 4]
    half = len(errors) // 2
    assert errors[:half] == errors[half:]


def test_a_generator_may_use_one_object_for_all(path):
    def samples():
        sample = {"n": 0, "a": np.zeros(3, np.uint8)}
        for i in range(5000):
            sample["n"] = i
            sample["a"][:] = i % 256
            yield sample

    make_dataset([], path, {"n": "int64", "a": "uint8[3]"})
    with dsrecords.open(path) as ds:
        ds.extend(samples())
        assert ds.column("n").tolist() == list(range(5000))
        assert (ds.column("a") == np.arange(5000)[:, None] % 256).all()


def test_halves_are_rounded_as_numpy_rounds_them(path):
    rng = np.random.default_rng(3)
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    some = halves[np.isfinite(halves)][::7].astype(np.float64)
    near = np.nextafter(some, rng.choice([-1.0, 1.0], len(some)))
    middle = (some[1:] + some[:-1]) / 2
    values = np.concatenate([some, near, middle, rng.normal(0, 1e-6, 1000)])
    values = values[np.abs(values) < 65504]
    make_dataset([], path, {"e": "float16"})
    with dsrecords.open(path) as ds:
        ds.extend([{"e": value} for value in values.tolist()])
        stored = ds.column("e")
    assert (stored.view(np.uint16) == values.astype(np.float16).view(np.uint16)).all()


@pytest.mark.parametrize("name", ["bfloat16[2]", "uint16[2]", "float32[2]", "bool[2]", "int8[2]?"])
@pytest.mark.parametrize("dtype", ["u2", "f4", "?", "i1", ">f4"])
def test_columns_of_arrays_are_stored_as_their_rows(name, dtype, tmp_path):
    column = np.ones((5, 2), dtype)
    for array in (column, np.asfortranarray(column), column[::-1]):
        stored = []
        for way in ("rows", "columns"):
            path = tmp_path / f"{way}.rec"
            make_dataset([], path, {"a": name}, overwrite=True)
            try:
                with dsrecords.open(path) as ds:
                    if way == "rows":
                        ds.extend([{"a": row} for row in array])
                    else:
                        ds.extend_columns({"a": array})
                    stored.append([row["a"].tobytes() for row in ds])
            except SchemaError as error:
                stored.append(error.message.partition("given: ")[2])
        assert stored[0] == stored[1]


@compiled_only
def test_a_block_is_finished_once(path):
    make_dataset([], path, {"n": "int64"})
    schema = dsrecords.open(path)._reading.fields.schema
    encoder = compiled.compiled_encoder(schema)
    block = encoder.block()
    assert block.fill(iter([{"n": 1}, 7]), 10, 1000) == (1, 7)
    assert len(block) == 1
    block.finish(2, 0, 0, 4096, 16)
    for call in (lambda: block.finish(2, 0, 0, 4096, 16), lambda: block.add([1], [])):
        with pytest.raises(RuntimeError, match="finished"):
            call()
    for given in ((9, 0, 0, 0, 16), (2, 0, 0, 0, 17)):
        with pytest.raises(ValueError, match="no such frames"):
            encoder.block().finish(*given)
