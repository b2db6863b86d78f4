"""`unique` and `value_counts`: against plain lists and `collections.Counter`."""

import collections
import math
import time

import numpy as np
import pytest

import dsrecords
from dsrecords import SchemaError

TIMES = np.array(["2020-01-02", "NaT", "1970-01-01", "2020-01-02", "NaT"], "M8[s]")
VALUES = {
    "bool": ([True, False, True], [False, True]),
    "int8": ([-128, 127, -128, 0], [-128, 0, 127]),
    "int64": ([2**62, -(2**63), 5, 5], [-(2**63), 5, 2**62]),
    "uint64": ([2**64 - 1, 2**64 - 2, 2**64 - 1], [2**64 - 2, 2**64 - 1]),
    "float32": ([0.5, -1.5, 0.5, 0.0, -0.0], [-1.5, 0.0, 0.5]),
    "complex64": ([1j, 2, 1j], [1j, 2]),
    "str": (["b", "é", "a", "b", ""], ["", "a", "b", "é"]),
    "bytes": ([b"b", b"", b"b"], [b"", b"b"]),
    "zstd(str)": (["b", "a", "b"], ["a", "b"]),
    "category[dog,cat]": (["cat", "dog", "cat"], ["dog", "cat"]),
    "json": (["b", "a", "b"], ["a", "b"]),
    "timedelta64[ms]": (list(np.array([3, -1, 3], "m8[ms]")), list(np.array([-1, 3], "m8[ms]"))),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_those_of_samples_in_ascending_order(path, kind):
    values, distinct = VALUES[kind]
    if kind.startswith("zstd"):
        pytest.importorskip("zstandard")
    dsrecords.make_dataset([{"x": value} for value in values], path, {"x": kind})
    ds = dsrecords.open(path)
    found = ds.unique("x")
    assert found == distinct and list(map(type, found)) == [type(ds[0]["x"])] * len(found)
    counts = ds.value_counts("x")
    assert counts == collections.Counter(sample["x"] for sample in ds)
    assert list(counts.values()) == sorted(counts.values(), reverse=True)


@pytest.mark.parametrize("kind", ["int32?", "str?", "category[a,b]?", "float64?", "bool?"])
def test_none_is_counted_and_comes_last(path, kind):
    value = {"int32?": 7, "str?": "a", "category[a,b]?": "a", "float64?": 0.5, "bool?": False}[kind]
    dsrecords.make_dataset([{"x": x} for x in [None, value, None]], path, {"x": kind})
    ds = dsrecords.open(path)
    assert ds.unique("x") == [value, None]
    assert list(ds.value_counts("x").items()) == [(None, 2), (value, 1)]


def test_all_nans_are_one_value_behind_the_others(path):
    columns = {"x": np.array([math.nan, 2, math.nan, 1, math.nan]), "t": TIMES}
    dsrecords.make_dataset(columns, path)
    ds = dsrecords.open(path)
    first, second, nan = ds.unique("x")
    assert (first, second) == (1, 2) and math.isnan(nan)
    assert list(ds.value_counts("x").values()) == [3, 1, 1]
    early, late, nat = ds.unique("t")
    assert (early, late) == (TIMES[2], TIMES[0]) and np.isnat(nat)


def test_equal_counts_are_in_ascending_order(path):
    dsrecords.make_dataset([{"x": x} for x in [3, 1, 2, 2, 3, 9]], path, {"x": "int64"})
    assert list(dsrecords.open(path).value_counts("x").items()) == [(2, 2), (3, 2), (1, 1), (9, 1)]


@pytest.mark.parametrize("spread", [1, 2**40], ids=["dense", "sparse"])
def test_many_values_in_many_blocks_are_exact(path, spread):
    values = np.random.default_rng(0).integers(-300, 100_000, 300_000) * spread
    dsrecords.make_dataset({"x": values}, path)
    ds = dsrecords.open(path)
    expected, counts = np.unique(values, return_counts=True)
    assert ds.unique("x") == expected.tolist()
    assert ds.value_counts("x") == dict(zip(expected.tolist(), counts.tolist(), strict=True))


def test_of_views_edited_and_empty_datasets_and_fields_without_names(path):
    dsrecords.make_dataset([("a", 1), ("b", 2), ("b", 3)], path, ["str", "int64"])
    with dsrecords.open(path) as ds:
        assert ds[[1, 1, 0]].value_counts(0) == {"b": 2, "a": 1}
        ds[0] = ("c", 1)
        del ds[2]
        assert ds.unique(-2) == ["b", "c"]
        assert ds[:0].unique(0) == [] and ds[:0].value_counts(1) == {}


def test_values_that_a_function_of_the_user_makes_need_only_be_hashable(path):
    dsrecords.make_dataset([{"x": x} for x in [b"ab", b"c", b"ab"]], path, {"x": "bytes"})
    pairs = dsrecords.IndexedRecordDataset(path, {"x": lambda data: (len(data), bytes(data))})
    assert pairs.unique("x") == [(1, b"c"), (2, b"ab")]
    lists = dsrecords.IndexedRecordDataset(path, {"x": list})
    with pytest.raises(SchemaError, match="field 'x': values that cannot be told apart"):
        lists.unique("x")


@pytest.mark.parametrize("kind", ["float32[2]", "list[int8]", "{a: int8}", "array"])
def test_other_types_are_refused_at_once(path, kind):
    with dsrecords.IndexedRecordDataset(path, schema={"x": kind}) as ds:
        with pytest.raises(SchemaError, match=r"value_counts takes numbers, strings"):
            ds.value_counts("x")
        with pytest.raises(SchemaError, match="no field"):
            ds.unique("y")
        with pytest.raises(TypeError, match="one field"):
            ds.unique(["x"])


def test_what_takes_memory_is_read_where_copies_are_not_asked_for(path):
    dsrecords.make_dataset([{"x": x} for x in [b"b", b"a", b"b"]], path, {"x": "bytes"})
    assert dsrecords.open(path, copy=False).unique("x") == [b"a", b"b"]


def test_a_million_labels_are_counted_in_a_fraction_of_a_second(path):
    values = np.random.default_rng(0).integers(0, 1000, 10**6)
    dsrecords.make_dataset({"x": values}, path)
    ds = dsrecords.open(path)
    ds.column("x")  # verifies
    start = time.process_time()
    counts = ds.value_counts("x")
    assert time.process_time() - start < 0.1  # 0.01 s here
    assert sum(counts.values()) == 10**6
