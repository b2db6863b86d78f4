"""`deserializers`, `serializers`, `loaders`, `dumpers`: attributes of a dataset, as in 0.4."""

from pathlib import Path

import pytest
from conftest import SCHEMA, rows

import dsrecords
from dsrecords import IndexedRecordDataset, io, make_dataset

GOLDEN = Path(__file__).parents[1] / "golden_0_4"


def reverse(text):
    return text[::-1].encode()


def unreverse(data):
    return data.decode()[::-1]


@pytest.mark.parametrize("attribute", ["deserializers", "loaders"])
def test_a_second_dataset_is_opened_with_the_functions_of_the_first(tmp_path, attribute):
    # As two tests of 0.4 do, after a defragmentation.
    make_dataset([[float(i)] for i in range(100)], tmp_path / "first.rec", [io.save_float])
    data = IndexedRecordDataset(
        tmp_path / "first.rec", serializers=[io.save_float], deserializers=[io.load_float]
    )
    for i in range(50):
        data.quick_remove_at(i)
    data.defrag(tmp_path / "second.rec")
    defragmented = IndexedRecordDataset(tmp_path / "second.rec", getattr(data, attribute))
    assert list(defragmented) == list(data)


def test_they_are_the_functions_given_in_the_order_of_the_fields(path):
    save = [io.save_int(bits=64), reverse]
    ds = IndexedRecordDataset(path, loaders=[io.load_int, unreverse], dumpers=save)
    assert ds.deserializers == ds.loaders == [io.load_int, unreverse]
    assert ds.serializers == ds.dumpers == save


def test_of_a_dict_they_are_in_the_order_of_the_fields_too(path):
    schema = {"n": "int64", "word": reverse, "blob": io.identity}
    ds = IndexedRecordDataset(path, {"blob": bytes.hex, "word": unreverse}, schema=schema)
    assert ds.deserializers == [None, unreverse, bytes.hex]
    assert ds.serializers == ["int64", reverse, io.identity]


def test_a_field_without_a_function_has_none_to_read_it_and_its_type_to_write_it(made):
    ds = dsrecords.open(made)
    assert ds.deserializers == [None] * 4
    assert ds.serializers == list(SCHEMA.values())


def test_of_a_schema_that_is_a_list_of_types_they_are_the_types(path):
    ds = IndexedRecordDataset(path, schema=["int8", ["float32"], {"a": "str"}, "int8?"])
    assert ds.serializers == ["int8", "list[float32]", "{a:str}", "int8?"]


def test_another_dataset_takes_them(made, tmp_path):
    ds = dsrecords.open(made)
    with IndexedRecordDataset(tmp_path / "other.rec", ds.deserializers, ds.serializers) as other:
        other.extend(tuple(sample.values()) for sample in ds)
    path, _ = make_dataset(
        other_samples := [tuple(sample.values()) for sample in rows(10)],
        tmp_path / "third.rec",
        ds.serializers,
    )
    assert (
        list(dsrecords.open(tmp_path / "other.rec")) == list(dsrecords.open(path)) == other_samples
    )


def test_they_stay_when_a_dataset_is_closed_and_are_those_of_its_views(path):
    ds = IndexedRecordDataset(path, [unreverse], [reverse])
    view = ds[:]
    ds.close()
    for one in (ds, view):
        assert (one.deserializers, one.serializers) == ([unreverse], [reverse])


def test_of_files_of_0_4_they_are_the_functions_given(path):
    functions = [io.load_int, io.load_str]
    ds = IndexedRecordDataset(GOLDEN / "removed.rec", deserializers=functions)
    assert ds.deserializers == ds.loaders == functions
    assert ds.serializers == ["bytes", "bytes"]  # what is known of them without a function
    named = IndexedRecordDataset(
        GOLDEN / "removed.rec", deserializers={"n": io.load_int, "text": None}
    )
    assert named.deserializers == [io.load_int, None]


def test_a_list_of_them_is_the_callers_own(path):
    ds = IndexedRecordDataset(path, [unreverse], [reverse])
    ds.deserializers.clear()
    ds.serializers.clear()
    assert (ds.deserializers, ds.serializers) == ([unreverse], [reverse])
