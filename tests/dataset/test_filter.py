"""`filter`, `sort`, `shard` and `select_fields`: against plain lists."""

import copy
import functools
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, rows

import dsrecords
from dsrecords import CorruptError, DecodeError, IndexedRecordDataset, SchemaError, io

BASES = {
    "whole": lambda ds: ds,
    "view": lambda ds: ds[[7, 3, 3, 9, 0, 1]],
    "reversed": lambda ds: ds[::-1],
    "empty": lambda ds: ds[:0],
}
every_base = pytest.mark.parametrize("base", BASES.values(), ids=BASES)


def damage_text_of_record_2(path):
    flip(path, Path(path).read_bytes().index(b"text 2"))


def edited(path):
    """An open dataset with a replaced, a corrected, a deleted and an added record."""
    ds = dsrecords.open(path)
    ds[2] = rows(40)[30]
    ds[4, "label"] = 99
    del ds[6]
    ds.extend(rows(20, 23))
    return ds


@pytest.fixture(params=[dsrecords.open, edited], ids=["as made", "edited"])
def ds(request, made):
    with request.param(made) as ds:
        yield ds


# filter


@every_base
def test_filter_keeps_what_the_function_says(ds, base):
    shown = base(ds)
    kept = shown.filter(lambda sample: sample["score"] is None)
    assert list(kept) == [sample for sample in shown if sample["score"] is None]


@every_base
def test_the_function_gets_the_fields_alone(ds, base):
    shown = base(ds)
    seen = []
    kept = shown.filter(
        lambda sample: seen.append(sample) or sample["label"] % 2, ["label", "text"]
    )
    assert seen == [{"label": s["label"], "text": s["text"]} for s in shown]
    assert list(kept) == [sample for sample in shown if sample["label"] % 2]


@every_base
def test_one_field_alone_is_its_value(ds, base):
    shown = base(ds)
    kept = shown.filter(lambda label: label > 3, "label")
    assert kept.column("label").tolist() == [s["label"] for s in shown if s["label"] > 3]


@every_base
def test_a_batched_function_gets_columns_and_returns_a_mask(ds, base):
    shown = base(ds)
    kept = shown.filter(lambda columns: columns["label"] % 2 == 0, ["label", "text"], batched=True)
    assert list(kept) == [sample for sample in shown if sample["label"] % 2 == 0]


def test_what_a_mask_masks_is_not_kept(made):
    kept = dsrecords.open(made).filter(lambda scores: scores < 3, "score", batched=True)
    assert [sample["label"] for sample in kept] == [1, 2, 4, 5]


def test_a_list_of_bools_is_a_mask(made):
    kept = dsrecords.open(made).filter(
        lambda texts: ["2" in x for x in texts], "text", batched=True
    )
    assert [sample["label"] for sample in kept] == [2]


@pytest.mark.parametrize(
    ("mask", "error", "text"),
    [
        (lambda labels: labels[:2] > 0, ValueError, "a mask of 2 for 10 records"),
        (lambda labels: labels, TypeError, r"not int64 with shape \(10,\)"),
        (lambda labels: True, TypeError, r"not bool with shape \(\)"),
    ],
    ids=["short", "numbers", "one"],
)
def test_what_is_no_mask_is_refused(made, mask, error, text):
    with pytest.raises(error, match=text):
        dsrecords.open(made).filter(mask, "label", batched=True)


def test_numbers_alone_are_read_in_blocks_and_are_what_samples_have(path):
    dsrecords.make_dataset({"n": np.arange(10_000), "m": np.zeros(10_000, bool)}, path)
    ds = dsrecords.open(path)
    assert (
        len(ds.filter(lambda sample: type(sample["n"]) is int and sample["m"] is False)) == 10_000
    )
    assert ds.filter(lambda n: n % 1000 == 7, "n").column("n").tolist() == list(
        range(7, 10_000, 1000)
    )


def test_samples_come_before_the_transform_and_the_view_has_it(made):
    ds = dsrecords.open(made, transform=lambda sample: sample["label"] * 10)
    assert list(ds.filter(lambda sample: sample["label"] > 7)) == [80, 90]


@pytest.mark.parametrize("batched", [False, True])
def test_what_the_function_raises_says_at_which_record(made, batched):
    def fail(_):
        raise KeyError("mine")

    with pytest.raises(KeyError) as raised:
        dsrecords.open(made)[4:].filter(fail, "label", batched=batched)
    assert "record 4" in raised.value.__notes__[0] and "filter" in raised.value.__notes__[0]


@pytest.mark.parametrize("batched", [False, True])
def test_what_cannot_be_read_is_left_out_where_on_error_says_so(made, batched):
    damage_text_of_record_2(made)

    def keep(given):
        return [True] * len(given) if batched else True

    with pytest.raises(CorruptError, match="record 2, field 'text'"):
        dsrecords.open(made).filter(keep, "text", batched=batched)
    ds = dsrecords.open(made, on_error="skip")
    kept = ds.filter(keep, "text", batched=batched)
    assert kept.column("label").tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert [error.record for error in ds.skipped] == [2]
    assert ds.sort("text").column("label").tolist() == [0, 3, 6, 9, 1, 4, 5, 7, 8]
    assert sum(ds.value_counts("text").values()) == 9


def test_a_filtered_view_is_saved_and_pickled_and_does_not_change(made, tmp_path):
    with dsrecords.open(made) as ds:
        kept = ds.filter(lambda label: label % 2, "label")
        ds.append(rows(12)[11])
        assert kept.column("label").tolist() == [1, 3, 5, 7, 9]
        view = kept.save_view(tmp_path / "odd.idx")
        assert dsrecords.open(made, index_path=view).column("label").tolist() == [1, 3, 5, 7, 9]
        ds.flush()
        assert list(pickle.loads(pickle.dumps(kept))) == list(kept)


# sort


@every_base
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("field", ["label", "text", "score", "blob"])
def test_sort_is_stable_and_has_none_last(ds, base, field, reverse):
    shown = base(ds)
    samples = list(shown)
    given = [sample for sample in samples if sample[field] is not None]
    given.sort(key=lambda sample: sample[field], reverse=reverse)
    missing = [sample for sample in samples if sample[field] is None]
    assert list(shown.sort(field, reverse=reverse)) == given + missing


SORTED = {
    "bool": [True, False, True, False],
    "int8": [127, -128, 5, -128],
    "uint64": [2**64 - 1, 0, 2**63],
    "int64": [2**62, -(2**62), 0, 7, 7],
    "datetime64[s]": list(np.array([5, -3, 5, 0], "M8[s]")),
    "zstd(str)": ["b", "a", "b"],
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", SORTED)
def test_sort_of_other_types(path, kind, reverse):
    if kind.startswith("zstd"):
        pytest.importorskip("zstandard")
    samples = [{"x": x, "i": i} for i, x in enumerate(SORTED[kind])]
    dsrecords.make_dataset(samples, path, {"x": kind, "i": "int64"})
    expected = sorted(samples, key=lambda sample: sample["x"], reverse=reverse)
    assert list(dsrecords.open(path).sort("x", reverse=reverse)) == expected


@pytest.mark.parametrize("reverse", [False, True])
def test_nan_comes_behind_all_others_in_both_directions(path, reverse):
    values = [2.0, math.nan, None, 1.0, math.nan]
    dsrecords.make_dataset([(x, i) for i, x in enumerate(values)], path, ["float32?", "int8"])
    order = dsrecords.open(path).sort(0, reverse).column(1).tolist()
    assert order == ([0, 3] if reverse else [3, 0]) + [1, 4, 2]


def test_categories_are_in_the_order_of_their_names_in_the_schema(path):
    names = ["low", "high", "middle", "low"]
    dsrecords.make_dataset([{"x": x} for x in names], path, {"x": "category[low,middle,high]"})
    ds = dsrecords.open(path)
    assert [sample["x"] for sample in ds.sort("x")] == ["low", "low", "middle", "high"]


def test_what_has_no_order_is_refused(path):
    samples = [{"a": [1, 2], "j": 1, "c": 1j}, {"a": [3, 4], "j": "x", "c": 2j}]
    dsrecords.make_dataset(samples, path, {"a": "int8[2]", "j": "json", "c": "complex64"})
    ds = dsrecords.open(path)
    for field in ("a", "j", "c"):
        with pytest.raises(SchemaError, match=f"field '{field}'"):
            ds.sort(field)


# shard


@pytest.mark.parametrize("num_shards", [1, 2, 3, 10, 13])
def test_shards_are_runs_of_nearly_equal_sizes_that_make_the_list(ds, num_shards):
    shards = [ds.shard(num_shards, index) for index in range(num_shards)]
    sizes = [len(shard) for shard in shards]
    assert [sample for shard in shards for sample in shard] == list(ds)
    assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)


def test_a_shard_of_a_shard_and_of_a_view(made):
    ds = dsrecords.open(made)[::-1].shard(2, 1).shard(2, 0)
    assert ds.column("label").tolist() == [4, 3, 2]


@pytest.mark.parametrize(("num_shards", "index"), [(0, 0), (-1, 0), (2, 2), (2, -1)])
def test_no_such_shard(made, num_shards, index):
    with pytest.raises(ValueError, match="must be"):
        dsrecords.open(made).shard(num_shards, index)


# select_fields


def reopened(ds):
    return pickle.loads(pickle.dumps(ds))


COPIES = {
    "itself": lambda ds: ds,
    "pickle": reopened,
    "deepcopy": copy.deepcopy,
    "view": lambda ds: ds[:],
}


@every_base
@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_samples_have_the_selected_fields_alone_in_their_order(made, base, make):
    whole = base(dsrecords.open(made))
    expected = [{"text": sample["text"], "label": sample["label"]} for sample in whole]
    ds = make(whole.select_fields(["text", "label"]))
    assert ds.fields == ("text", "label") and ds.schema == {"text": "str", "label": "int64"}
    assert list(ds) == expected == [ds[i] for i in range(len(ds))]
    assert [list(sample) for sample in ds] == [["text", "label"]] * len(ds)
    assert ds.__getitems__(range(len(ds))) == expected
    assert list(ds.batch(slice(None))) == ["text", "label"]
    assert ds.column("label").tolist() == [sample["label"] for sample in expected]
    assert list(ds.sort("label")) == sorted(expected, key=lambda sample: sample["label"])
    for use in (ds.column, ds.sort, ds.unique, lambda key: ds.batch([], [key])):
        with pytest.raises(SchemaError, match="no field 'blob'"):
            use("blob")


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_fields_without_names_are_counted_anew(path, make):
    dsrecords.make_dataset([(1, "a", 0.5), (2, "b", 1.5)], path, ["int64", "str", "float32"])
    ds = make(dsrecords.open(path).select_fields([2, 0]))
    assert list(ds) == [(0.5, 1), (1.5, 2)] and ds.schema == ["float32", "int64"]
    assert ds.column(0).tolist() == [0.5, 1.5] and ds[1, -1] == 2
    out = np.zeros(2, np.int64)
    assert ds.batch([1, 0], out={1: out})[1] is out and out.tolist() == [2, 1]
    nested = make(ds.select_fields([1]))
    assert list(nested) == [(1,), (2,)] and nested.fields == (0,)
    with pytest.raises(SchemaError, match="no field 2"):
        ds.column(2)


def test_payloads_of_other_fields_are_not_touched(made):
    damage_text_of_record_2(made)
    with pytest.raises(CorruptError):
        list(dsrecords.open(made))
    assert len(list(dsrecords.open(made).select_fields(["label", "score"]))) == 10


def test_functions_and_decodings_follow_their_fields(path):
    save = [io.save_int(bits=64), lambda text: text.encode()]
    made = IndexedRecordDataset(path, [None, lambda data: data.decode().upper()], save)
    made.extend([(1, "a"), (2, "b")])
    ds = made.select_fields([1])
    assert list(ds) == [("A",), ("B",)]
    assert ds.deserializers == made.deserializers[1:] and ds.serializers == save[1:]


def test_the_transform_gets_the_selected_fields(made):
    ds = dsrecords.open(made, transform=functools.partial(sorted))
    assert ds.select_fields(["text", "label"])[0] == ["label", "text"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("label", TypeError),
        ([], SchemaError),
        (["label", "label"], SchemaError),
        (["x"], SchemaError),
    ],
)
def test_no_such_selection(made, fields, error):
    with pytest.raises(error):
        dsrecords.open(made).select_fields(fields)


@every_base
def test_compacted_to_other_files_it_has_the_selected_fields_alone(made, base, tmp_path):
    ds = base(dsrecords.open(made)).select_fields(["blob", "label"])
    path, _ = ds.compact(tmp_path / "some.rec")
    with dsrecords.open(path) as compacted:
        assert compacted.schema == {"blob": "bytes?", "label": "int64"}
        assert list(compacted) == list(ds) and compacted.check() == []


def test_it_is_read_only(made):
    with pytest.raises(dsrecords.ReadOnlyError):
        dsrecords.open(made).select_fields(["label"]).append({"label": 1})


def test_what_cannot_be_decoded_is_no_matter_of_other_fields(path):
    dsrecords.make_dataset([{"p": b"no picture", "n": 1}], path, {"p": "bytes", "n": "int8"})
    ds = IndexedRecordDataset(path, {"p": fail})
    with pytest.raises(DecodeError):
        ds[0]
    assert ds.select_fields(["n"])[0] == {"n": 1}


def fail(data):
    raise DecodeError("no picture")


def test_in_the_order_of_the_schema_all_fields_are_the_dataset(made):
    ds = dsrecords.open(made)
    assert list(ds.select_fields(list(SCHEMA))) == list(ds)
    assert ds.compare_schema(ds.select_fields(list(SCHEMA))) == ""


# Files of dsrecords 0.4


def opened_0_4():
    """A file of 0.4 of seven numbers and texts, and its samples."""
    path = Path(__file__).parents[1] / "golden_0_4" / "all.rec"
    ds = IndexedRecordDataset(path, deserializers=[io.load_int, io.load_str])
    return ds, list(ds)


def test_a_file_of_0_4_is_filtered_sorted_counted_and_cut():
    ds, samples = opened_0_4()
    assert list(ds.filter(lambda sample: sample[0] > 7)) == [s for s in samples if s[0] > 7]
    masked = ds.filter(lambda numbers: [n > 7 for n in numbers], 0, batched=True)
    assert list(masked) == [s for s in samples if s[0] > 7]
    assert list(ds.sort(1, reverse=True)) == sorted(samples, key=lambda s: s[1], reverse=True)
    assert ds.value_counts(0)[60] == 2 and ds.unique(1) == sorted({s[1] for s in samples})
    assert list(ds.shard(3, 0)) == samples[:3]
    assert list(reopened(ds.select_fields([1]))) == [s[1:] for s in samples]
