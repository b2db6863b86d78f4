"""What is inferred fits: samples that a schema was inferred from are written with it, and read equal."""

import datetime
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dsrecords
from dsrecords import SchemaError, infer_schema, make_dataset

SCALARS = [
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.integers(-5, 5),
    st.floats(),
    st.text(st.characters(codec=None), max_size=3),
    st.binary(max_size=3),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    hnp.from_dtype(np.dtype("int8")),
    hnp.from_dtype(np.dtype(">f4")),
    hnp.from_dtype(np.dtype("bool")),
    st.sampled_from([np.datetime64("2026-11-22"), np.datetime64("2026-11-22", "ns")]),
]
ARRAYS = hnp.arrays(
    st.sampled_from([">i2", "<f4", "?", "<U2", "<M8[s]"]), hnp.array_shapes(min_dims=0, min_side=0)
)
KEYS = st.sampled_from(["a", "b", "", "c d", 5])


def nested(inner):
    several = st.lists(inner, max_size=3)
    return several | several.map(tuple) | st.dictionaries(KEYS, inner, max_size=3)


def values_of_a_field(draw):
    """Values of one to three strategies, so that many fields have one type, and some have several."""
    chosen = draw(st.lists(st.sampled_from([*SCALARS, ARRAYS]), min_size=1, max_size=2))
    alike = st.one_of(*chosen)
    return draw(st.sampled_from([alike, st.lists(alike, max_size=3), st.recursive(alike, nested, max_leaves=4)]))  # fmt: skip


@st.composite
def given_samples(draw):
    fields = {name: values_of_a_field(draw) for name in draw(st.sets(st.sampled_from("xyz"), min_size=1))}  # fmt: skip
    optional = draw(st.booleans())
    one = st.fixed_dictionaries({}, optional=fields) if optional else st.fixed_dictionaries(fields)
    return draw(st.lists(one, min_size=1, max_size=4))


def is_same(given, read):
    """Whether what was read is what was given, but for what the page says: tuples are read as lists, times as NumPy's."""
    if given is None or read is None:
        return given is read
    if isinstance(given, dict):
        return given.keys() == read.keys() and all(is_same(given[key], read[key]) for key in given)
    if isinstance(given, (list, tuple)):
        return len(given) == len(read) and all(map(is_same, given, read))
    if isinstance(given, (datetime.date, datetime.timedelta)):
        return np.asarray(given, read.dtype) == read
    given, read = np.asarray(given), np.asarray(read)
    is_number = given.dtype.kind in "fmM" and read.dtype.kind in "fmM"
    return given.shape == read.shape and np.array_equal(given, read, equal_nan=is_number)


@pytest.mark.exhaustive
@settings(deadline=None, max_examples=300)
@given(samples=given_samples())
@pytest.mark.exhaustive
def test_samples_fit_the_schema_that_was_inferred_from_them(tmp_path_factory, samples):
    try:
        schema = infer_schema(samples)
    except SchemaError:
        return
    path = tmp_path_factory.mktemp("fits") / "data.rec"
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        for sample, read in zip(samples, ds, strict=True):
            whole = {name: sample.get(name) for name in schema}
            assert is_same(whole, read), (schema, whole, read)


def test_a_field_that_some_samples_lack_may_be_none(path):
    samples = [{"a": 1, "b": "x"}, {"b": "y"}, {"a": 2, "c": 0.5, "b": "z"}]
    schema = infer_schema(samples)
    assert schema == {"a": "int64?", "b": "str", "c": "float64?"}
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        ds.append({"b": "w"})
        ds.extend([{"b": "v", "c": 1.5}])
        ds[0] = {"b": "u"}
        assert ds.column("b") == ["u", "y", "z", "w", "v"]
        assert ds.column("a").tolist() == [None, None, 2, None, None]
        with pytest.raises(SchemaError, match="field 'b': missing"):
            ds.append({"a": 1})
        with pytest.raises(SchemaError, match="field 'd': unknown"):
            ds.append({"b": "w", "d": 1})


def test_all_samples_are_looked_at_without_a_limit():
    samples = [{"n": 1}] * 300 + [{"n": None}]
    assert infer_schema(samples) == {"n": "int64"}
    assert infer_schema(iter(samples), limit=None) == {"n": "int64?"}


def test_a_later_sample_that_does_not_fit_says_that_the_schema_was_inferred(path, caplog):
    samples = ({"n": i if i < 300 else None} for i in range(400))
    with pytest.raises(SchemaError, match=r"inferred from the first 256 samples: .*limit=None"):
        make_dataset(samples, path)
    with pytest.raises(SchemaError) as caught:
        make_dataset([{"n": 1}] * 300 + [{"n": None}], path, {"n": "int64"})
    assert "inferred" not in str(caught.value)


def one_object_again_and_again(count):
    sample = {"n": 0, "x": np.zeros(2)}
    for i in range(count):
        sample["n"] = i
        sample["x"][:] = i
        yield sample


def filled_again_and_again(values):
    sample = {}
    for value in reversed(values):
        sample["n"] = value
        yield sample


def test_a_generator_may_yield_one_object_again_and_again(path, caplog):
    caplog.set_level(logging.ERROR)
    assert infer_schema(filled_again_and_again([1, None])) == {"n": "int64?"}
    make_dataset(one_object_again_and_again(300), path)
    ds = dsrecords.open(path)
    assert ds.column("n").tolist() == list(range(300))
    assert ds.column("x")[:, 1].tolist() == list(range(300))
