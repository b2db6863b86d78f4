"""A dataset is a list: opening, reading and changing one."""

import collections.abc
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, frames, row, rows, shown

import dsrecords
from dsrecords import (
    CorruptError,
    DSRecordsError,
    IndexedRecordDataset,
    LockedError,
    SchemaError,
    StaleViewError,
    io,
    make_dataset,
)
from dsrecords._format import kernels
from dsrecords._storage import files


def numbered(path, count):
    """A dataset of one number a record, for tests of many records."""
    make_dataset(({"n": i} for i in range(count)), path, {"n": "int64"})
    return path


def there(path):
    """What a reader that opens the dataset now sees."""
    with dsrecords.open(path) as ds:
        return list(ds)


# Opening and creating


def test_open_takes_the_schema_from_the_file(made):
    ds = dsrecords.open(made)
    assert isinstance(ds, IndexedRecordDataset)
    assert ds.schema == SCHEMA
    assert ds.fields == tuple(SCHEMA)
    assert ds.path == made
    assert ds.index_path == made.removesuffix(".rec") + ".idx"
    assert ds.metadata == {}


def test_open_never_creates(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.rec"):
        dsrecords.open(path)
    assert not os.listdir(tmp_path)


def test_a_schema_creates_what_is_not_there(path, tmp_path):
    ds = IndexedRecordDataset(path, schema=SCHEMA)
    assert len(ds) == 0
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]
    assert dsrecords.open(path).schema == SCHEMA


def test_a_schema_opens_what_is_there(made):
    assert list(IndexedRecordDataset(made, schema=SCHEMA)) == rows(10)


def test_without_a_schema_nothing_is_created_and_the_error_says_what_to_give(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"serializers=\[...\]"):
        IndexedRecordDataset(path)
    assert not os.listdir(tmp_path)


def test_create_true_creates(path):
    assert len(IndexedRecordDataset(path, schema=SCHEMA, create=True)) == 0


def test_create_true_refuses_what_is_there(made):
    with pytest.raises(FileExistsError):
        IndexedRecordDataset(made, schema=SCHEMA, create=True)
    assert there(made) == rows(10)


def test_create_true_needs_a_schema(path, tmp_path):
    with pytest.raises(SchemaError, match="schema"):
        IndexedRecordDataset(path, create=True)
    assert not os.listdir(tmp_path)


def test_create_false_never_creates(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        IndexedRecordDataset(path, schema=SCHEMA, create=False)
    assert not os.listdir(tmp_path)


def test_a_schema_that_is_not_the_files_is_refused_at_opening(made):
    with pytest.raises(SchemaError, match=r"data\.rec has label: int64, this has label: int32"):
        IndexedRecordDataset(made, schema={**SCHEMA, "label": "int32"})
    with pytest.raises(SchemaError, match=r"data\.rec has text: str, this does not"):
        IndexedRecordDataset(made, schema={"label": "int64"})
    with pytest.raises(SchemaError, match="without names"):
        IndexedRecordDataset(made, serializers=[io.save_int])
    assert there(made) == rows(10)


def test_an_index_path_that_does_not_exist_is_file_not_found(made, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"other\.idx"):
        dsrecords.open(made, index_path=tmp_path / "other.idx")


def test_the_index_can_lie_elsewhere(path, tmp_path):
    index_path = tmp_path / "index" / "data.idx"
    index_path.parent.mkdir()
    with IndexedRecordDataset(path, schema=SCHEMA, index_path=index_path) as ds:
        ds.append(row(1))
    assert sorted(os.listdir(tmp_path)) == ["data.rec", "index"]
    assert dsrecords.open(path, index_path=index_path).index_path == str(index_path)
    assert list(dsrecords.open(path, index_path=index_path)) == [row(1)]


def test_a_data_file_cannot_have_the_ending_of_the_index(tmp_path):
    with pytest.raises(ValueError, match=r"\.rec"):
        IndexedRecordDataset(tmp_path / "data.idx", schema=SCHEMA)
    assert not os.listdir(tmp_path)


def test_paths_can_be_pathlib_paths(tmp_path):
    data, index = make_dataset(rows(2), tmp_path / "p.rec", SCHEMA, tmp_path / "q.idx")
    assert (data, index) == (str(tmp_path / "p.rec"), str(tmp_path / "q.idx"))
    with dsrecords.open(Path(data), index_path=Path(index)) as ds:
        assert list(ds) == rows(2)
        assert ds.compact(tmp_path / "r.rec") == (str(tmp_path / "r.rec"), str(tmp_path / "r.idx"))


def test_a_relative_path_goes_on_working_after_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_dataset(rows(3), "data.rec", SCHEMA)
    ds = dsrecords.open("data.rec")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ds.append(row(3))
    ds.refresh()
    ds.close()
    assert not os.listdir(elsewhere)
    assert there(tmp_path / "data.rec") == rows(4)


def test_loaders_and_dumpers_are_other_names_of_deserializers_and_serializers(path):
    with IndexedRecordDataset(path, dumpers=[io.dump_int, io.dump_str]) as ds:
        ds.append([1, "one"])
    assert list(IndexedRecordDataset(path, loaders=[io.load_int, io.load_str])) == [(1, "one")]


def test_verify_has_three_values(made):
    for verify in (True, False, "always"):
        assert list(dsrecords.open(made, verify=verify)) == rows(10)
    with pytest.raises(ValueError, match="'always'"):
        dsrecords.open(made, verify="never")


def test_opening_writes_nothing(made, tmp_path):
    before = {
        entry.name: (entry.stat().st_mtime_ns, entry.stat().st_size)
        for entry in os.scandir(tmp_path)
    }
    with dsrecords.open(made) as ds:
        (
            list(ds),
            ds.batch([1, 2]),
            ds.column("label"),
            ds.check(),
            ds.refresh(),
            ds.flush(sync=True),
        )
    assert {
        entry.name: (entry.stat().st_mtime_ns, entry.stat().st_size)
        for entry in os.scandir(tmp_path)
    } == before


def test_a_dataset_in_a_folder_that_cannot_be_written_to_is_read(made, tmp_path):
    os.chmod(made, 0o444)
    os.chmod(tmp_path, 0o555)
    try:
        assert there(made) == rows(10)
    finally:
        os.chmod(tmp_path, 0o755)


def test_repr_says_path_count_and_schema(made):
    ds = dsrecords.open(made)
    text = repr(ds)
    assert (
        "data.rec" in text
        and "10 records" in text
        and "label: int64" in text
        and "blob: bytes?" in text
    )
    assert "view" in repr(ds[:3]) and "3 records" in repr(ds[:3])
    ds.close()
    assert "closed" in repr(ds)


def test_metadata_are_a_copy(path):
    make_dataset(rows(1), path, SCHEMA, metadata={"source": {"url": "here"}})
    ds = dsrecords.open(path)
    assert ds.metadata == {"source": {"url": "here"}}
    ds.metadata["source"]["url"] = "there"
    ds.metadata["more"] = 1
    assert ds.metadata == {"source": {"url": "here"}}


# Reading single samples


def test_it_is_a_sequence(made):
    ds = dsrecords.open(made)
    assert isinstance(ds, collections.abc.Sequence)
    assert len(ds) == 10 and bool(ds)
    assert row(3) in ds and row(10) not in ds
    assert ds.index(row(4)) == 4
    assert ds.count(row(5)) == 1
    assert list(reversed(ds)) == rows(10)[::-1]
    with pytest.raises(ValueError, match=r"^$"):
        ds.index(row(10))


def test_an_empty_dataset_is_an_empty_sequence(path):
    ds = IndexedRecordDataset(path, schema=SCHEMA)
    assert not ds and len(ds) == 0 and list(ds) == [] and list(ds[:]) == []
    assert ds.column("label").shape == (0,) and ds.column("text") == []
    assert ds.batch([])["label"].shape == (0,)
    with pytest.raises(IndexError, match="0 records"):
        ds[0]
    with pytest.raises(IndexError):
        ds[-1]


def test_a_sample_with_names_is_a_dict_in_the_order_of_the_schema(made):
    sample = dsrecords.open(made)[7]
    assert sample == row(7)
    assert list(sample) == list(SCHEMA)


def test_a_sample_without_names_is_a_tuple(path):
    make_dataset([(1, "a"), [2, "b"]], path, ["int64", "str"])
    ds = dsrecords.open(path)
    assert list(ds) == [(1, "a"), (2, "b")]
    assert ds.schema == ["int64", "str"] and ds.fields == (0, 1)
    assert (
        ds[1, 1] == "b" and ds[1, -1] == "b" and ds[1, [1]] == ("b",) and ds[1, [1, 0]] == ("b", 2)
    )
    assert ds.column(0).tolist() == [1, 2]
    numbers, texts = ds.batch([1, 0])
    assert numbers.tolist() == [2, 1] and texts == ["b", "a"]


def test_negative_indices_count_from_the_end(made):
    ds = dsrecords.open(made)
    assert ds[-1] == row(9) and ds[-10] == row(0)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8, np.uint64])
def test_numpy_integers_index(made, kind):
    ds = dsrecords.open(made)
    assert ds[kind(7)] == row(7)
    assert ds[kind(7), "label"] == 7
    assert ds[np.array(7, kind)] == row(7)


@pytest.mark.parametrize("index", [10, -11, 2**40, np.int64(10)])
def test_out_of_range_is_index_error_that_says_how_many_there_are(made, index):
    ds = dsrecords.open(made)
    for read in (
        lambda: ds[index],
        lambda: ds[index, "label"],
        lambda: ds.batch([0, index]),
        lambda: ds[[index]],
    ):
        with pytest.raises(IndexError, match="10 records"):
            read()


def test_one_field_of_a_sample_is_read_alone(made):
    ds = dsrecords.open(made)
    assert ds[7, "label"] == 7
    assert ds[7, "text"] == row(7)["text"]
    assert ds[3, "score"] is None
    assert ds[5, "blob"] is None


def test_several_fields_of_a_sample_come_in_the_order_they_are_asked_for(made):
    part = dsrecords.open(made)[7, ["text", "label"]]
    assert part == {"text": row(7)["text"], "label": 7}
    assert list(part) == ["text", "label"]


def test_of_the_fields_that_are_not_asked_for_nothing_is_read(made):
    text = row(7)["text"].encode()
    flip(made, Path(made).read_bytes().index(text))
    ds = dsrecords.open(made)
    assert ds[7, "label"] == 7 and ds[7, ["blob", "score"]] == {
        "blob": row(7)["blob"],
        "score": 3.5,
    }
    assert ds.batch([7], ["blob"]) == {"blob": [row(7)["blob"]]}
    assert ds.column("label").tolist() == list(range(10))
    with pytest.raises(CorruptError, match="record 7, field 'text', byte"):
        ds[7, "text"]


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda ds: ds["label"], r"ds\.column\('label'\)"),
        (lambda ds: ds[[1, 2], "label"], r"ds\.batch\(.*fields=\['label'\]\)"),
        (lambda ds: ds[1:3, "label"], r"ds\.batch"),
        (lambda ds: ds.batch(32), r"ds\.batch\(\[32\]\)"),
        (lambda ds: ds.batch("label"), r"ds\.column\('label'\)"),
        (lambda ds: ds.batch(ds), "integer"),
        (lambda ds: ds[1.0], "float"),
        (lambda ds: ds[None], "NoneType"),
        (lambda ds: ds[[0.5]], "float64"),
        (lambda ds: ds[[[1, 2]]], "one-dimensional"),
        (lambda ds: ds.__setitem__(slice(0, 2), []), r"ds\.update"),
        (lambda ds: ds.__setitem__([0, 1], []), r"ds\.update"),
        (lambda ds: ds.__setitem__(([0, 1], "label"), 3), r"ds\.update\(.*partial=True"),
        (lambda ds: ds.__setitem__((slice(0, 2), "label"), 3), r"ds\.update\(.*partial=True"),
        (lambda ds: ds.__setitem__((0, "label", "text"), 3), r"ds\[7, 'label'\] = value"),
        (lambda ds: ds.__delitem__("label"), "integer"),
        (lambda ds: ds.__delitem__((0, "label")), r"deleted whole.*ds\.drop_fields"),
        (lambda ds: ds.quick_remove_at([1, 2]), r"one index is asked for here, not \[1, 2\]"),
        (lambda ds: ds[[1, 2], ["label"]], r"ds\.batch"),
        (lambda ds: ds.batch(["label"]), "fields come second"),
        (lambda ds: ds.update([row(1)]), r"ds\.update\(\{"),
    ],
)
def test_a_wrong_kind_of_index_is_a_type_error_that_says_what_to_call(made, use, says):
    with pytest.raises(TypeError, match=says):
        use(dsrecords.open(made))


class Tensor:
    """An array of another library, as PyTorch's are to NumPy."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.ndim = self.values.ndim

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __index__(self):
        return int(self.values)


def test_arrays_of_other_libraries_are_indices(made):
    ds = dsrecords.open(made)
    assert list(ds[Tensor([3, -1])]) == [row(3), row(9)]
    assert list(ds[Tensor(np.arange(10) > 7)]) == [row(8), row(9)]
    assert ds.batch(Tensor([2, 0]), "label").tolist() == [2, 0]
    assert ds[Tensor(3)] == row(3) and ds[Tensor(3), "label"] == ds[np.array(3), "label"] == 3
    with pytest.raises(TypeError, match=r"ds\.batch"):
        ds[Tensor([1, 2]), "label"]
    del ds[Tensor([0, 1])]
    assert list(ds) == rows(2, 10)


def test_repr_of_a_long_schema_is_cut(path):
    ds = IndexedRecordDataset(
        path, schema={f"field number {i}": "category[a,b]" for i in range(1000)}
    )
    assert len(repr(ds)) < 600 and "…" in repr(ds) and "0 records" in repr(ds)
    assert "field number 0: category[a,b], " in repr(ds)


def test_a_transform_that_is_no_function_is_an_error_at_once(made):
    with pytest.raises(TypeError, match="transform must be a function"):
        dsrecords.open(made, transform="normalize")


@pytest.mark.parametrize(
    "read",
    [
        lambda ds: ds[0, "nope"],
        lambda ds: ds[0, ["label", "nope"]],
        lambda ds: ds.batch([0], ["nope"]),
        lambda ds: ds.column("nope"),
        lambda ds: ds.column(0),
    ],
)
def test_a_field_that_there_is_not_is_a_schema_error_that_names_those_there_are(made, read):
    with pytest.raises(SchemaError, match=r"no field .*'label', 'score', 'text', 'blob'"):
        read(dsrecords.open(made))


def test_getitems_serves_many_whole_samples(made):
    seen = []
    ds = dsrecords.open(
        made, transform=lambda sample: seen.append(sample["label"]) or sample["label"]
    )
    assert ds.__getitems__([5, 1, -1]) == [5, 1, 9]
    assert seen == [5, 1, 9]


def test_transform_is_called_with_whole_samples_only(made):
    ds = dsrecords.open(made, transform=lambda sample: ("transformed", sample["label"]))
    assert ds[3] == ("transformed", 3)
    assert ds[[4]][0] == ("transformed", 4)
    assert next(iter(ds)) == ("transformed", 0)
    assert ds[3, "label"] == 3
    assert ds[3, ["label"]] == {"label": 3}
    assert ds.batch([3])["label"].tolist() == [3]
    assert ds.column("label")[3] == 3


def test_copies_are_owned_and_writable(path):
    make_dataset(
        [{"a": np.arange(3, dtype="f4"), "b": b"abc"}], path, {"a": "float32[3]", "b": "bytes"}
    )
    ds = dsrecords.open(path)
    for array in (ds[0]["a"], ds[0, "a"], ds.batch([0])["a"], ds.column("a")):
        array += 1
    assert ds[0]["a"].tolist() == [0, 1, 2]
    assert type(ds[0]["b"]) is bytes
    array = ds[0]["a"]
    ds.close()
    assert array.tolist() == [0, 1, 2]


def test_without_copy_arrays_and_bytes_are_read_only_views_of_the_file(path):
    make_dataset(
        [{"a": np.arange(3, dtype="f4"), "b": b"abc"}], path, {"a": "float32[3]", "b": "bytes"}
    )
    ds = dsrecords.open(path, copy=False)
    sample = ds[0]
    assert (
        sample["a"].tolist() == [0, 1, 2]
        and not sample["a"].flags.writeable
        and not sample["a"].flags.owndata
    )
    assert isinstance(sample["b"], memoryview) and sample["b"].readonly and sample["b"] == b"abc"
    with pytest.raises(ValueError, match="read-only"):
        sample["a"][0] = 7
    ds.append({"a": np.zeros(3, "f4"), "b": b""})
    ds.compact()
    ds.close()
    assert (
        sample["a"].tolist() == [0, 1, 2] and sample["b"] == b"abc"
    )  # what was given stays, whatever becomes of the dataset


# Batches and columns


def test_a_batch_has_one_column_for_each_field(made):
    ds = dsrecords.open(made)
    batch = ds.batch([5, 1, -1, 5])
    assert list(batch) == list(SCHEMA)
    assert isinstance(batch["label"], np.ndarray) and batch["label"].dtype == np.int64
    assert batch["label"].tolist() == [5, 1, 9, 5]
    assert isinstance(batch["score"], np.ma.MaskedArray)
    assert batch["score"].tolist() == [2.5, 0.5, None, 2.5]
    assert batch["text"] == [row(i)["text"] for i in (5, 1, 9, 5)]
    assert batch["blob"] == [row(i)["blob"] for i in (5, 1, 9, 5)]


@pytest.mark.parametrize(
    "indices",
    [
        [5, 1],
        (5, 1),
        np.array([5, 1]),
        np.array([5, 1], np.uint8),
        range(5, 0, -4),
        slice(5, 0, -4),
        [np.int32(5), -9],
    ],
)
def test_a_batch_takes_lists_tuples_arrays_ranges_and_slices(made, indices):
    assert dsrecords.open(made).batch(indices)["label"].tolist() == [5, 1]


def test_a_batch_takes_a_mask(made):
    ds = dsrecords.open(made)
    assert ds.batch(ds.column("label") > 7)["label"].tolist() == [8, 9]


def test_a_batch_of_some_fields_reads_only_these(made):
    ds = dsrecords.open(made)
    batch = ds.batch([5, 1], fields=["text", "label"])
    assert list(batch) == ["text", "label"]
    assert ds.batch([5, 1], fields="label").tolist() == [5, 1]


def test_arrays_of_one_shape_are_stacked_and_others_are_a_list(path):
    schema = {"fixed": "float32[2,3]", "free": "int16[*,2]", "maybe": "float32[2]?"}
    samples = [
        {
            "fixed": np.full((2, 3), i),
            "free": np.full((i, 2), i),
            "maybe": None if i == 1 else [i, i],
        }
        for i in range(4)
    ]
    make_dataset(samples, path, schema)
    ds = dsrecords.open(path)
    batch = ds.batch([3, 0])
    assert batch["fixed"].shape == (2, 2, 3) and batch["fixed"].dtype == np.float32
    assert batch["fixed"][:, 0, 0].tolist() == [3, 0]
    assert [array.shape for array in batch["free"]] == [(3, 2), (0, 2)]
    assert [None if array is None else array.tolist() for array in ds.column("maybe")] == [
        [0, 0],
        None,
        [2, 2],
        [3, 3],
    ]


def test_a_column_is_an_array_where_values_are_numbers(made):
    ds = dsrecords.open(made)
    assert ds.column("label").dtype == np.int64
    assert ds.column("label").tolist() == list(range(10))
    assert ds.column("text") == [row(i)["text"] for i in range(10)]


def test_a_column_is_masked_where_there_is_none(made):
    column = dsrecords.open(made).column("score")
    assert isinstance(column, np.ma.MaskedArray)
    assert column.mask.tolist() == [i % 3 == 0 for i in range(10)]
    assert column.sum() == sum(i / 2 for i in range(10) if i % 3)


def test_a_column_of_many_records_is_in_their_order(path):
    count = 70_000  # more than are looked at together
    ds = dsrecords.open(numbered(path, count))
    assert (ds.column("n") == np.arange(count)).all()
    assert (ds[::-7].column("n") == np.arange(count)[::-7]).all()
    assert ds[count - 1] == {"n": count - 1}


# Appending


def test_what_is_appended_is_read_back(made):
    ds = dsrecords.open(made)
    assert ds.append(row(10)) is None
    assert len(ds) == 11 and ds[10] == row(10) and ds[-1] == row(10)


def test_each_append_is_seen_by_the_next_opener_with_no_flush_or_close(path):
    ds = IndexedRecordDataset(path, schema=SCHEMA)
    for i in range(5):
        ds.append(row(i))
        assert there(path) == rows(i + 1)


@pytest.mark.parametrize(
    ("sample", "field", "says"),
    [
        ({**row(0), "label": "7"}, "label", "int64 expected"),
        ({**row(0), "label": None}, "label", "int64 expected, not None"),
        ({**row(0), "label": 2**63}, "label", "out of the range"),
        ({**row(0), "text": 3}, "text", "str expected"),
        ({**row(0), "text": None}, "text", "str expected, not None"),
        ({**row(0), "more": 3}, "more", "unknown"),
        ({"label": 1, "score": None, "blob": b""}, "text", "missing"),
        ({"label": 1, "text": "", "blop": b""}, "blop", "unknown"),
        ([1, None, "", b""], None, "a sample must be a dict"),
        (3, None, "a sample must be a dict"),
    ],
)
def test_a_wrong_sample_names_field_and_record_and_leaves_all_as_it_was(made, sample, field, says):
    before = Path(made).read_bytes()
    ds = dsrecords.open(made)
    for change, record in (
        (lambda: ds.append(sample), 10),
        (lambda: ds.__setitem__(4, sample), 4),
        (lambda: ds.update({1: row(1), 4: sample}), 4),
        (lambda: ds.extend([sample, row(10)]), 10),
    ):
        with pytest.raises(SchemaError, match=says) as caught:
            change()
        assert (caught.value.field, caught.value.record) == (field, record)
        assert list(ds) == rows(10)
    assert Path(made).read_bytes() == before


def test_extend_adds_any_iterable(made):
    ds = dsrecords.open(made)
    ds.extend(rows(10, 12))
    ds.extend(row(i) for i in range(12, 14))
    ds.extend([])
    ds.extend(ds[:2])
    assert list(ds) == rows(14) + rows(2)
    assert there(made) == list(ds)


def test_a_dataset_can_be_extended_with_itself(made):
    ds = dsrecords.open(made)
    ds.extend(ds)
    assert list(ds) == rows(10) * 2


@pytest.mark.parametrize("schema", [{"n": "int64"}, {"n": "int64", "s": "str"}], ids=len)
def test_a_field_that_is_named_twice_is_read_twice(path, schema):
    sample = {key: {"n": 7, "s": "text"}[key] for key in schema}
    make_dataset([sample] * 3, path, schema)
    with dsrecords.open(path) as ds:
        assert ds.batch([0, 1], ["n", "n"])["n"].tolist() == [7, 7]
        assert ds.batch(slice(None), ["n", "n"])["n"].tolist() == [7, 7, 7]
    with dsrecords.open(path) as ds:
        assert ds[0, ["n", "n"]] == {"n": 7}


@pytest.mark.parametrize("schema", [{"label": "int64"}, SCHEMA], ids=["numbers", "payloads"])
@pytest.mark.parametrize("count", [1, 2, 8, 9, 100])
def test_an_extend_is_one_write_and_few_samples_are_no_columns(path, monkeypatch, schema, count):
    """As an append is: so a few samples take less time together than one by one."""
    calls = []

    def noted(module, name):
        function = getattr(module, name)
        note = lambda *given: calls.append(name) or function(*given)  # noqa: E731
        monkeypatch.setattr(module, name, note)

    samples = [{key: sample[key] for key in schema} for sample in rows(count)]
    with IndexedRecordDataset(path, schema=schema) as ds:
        ds.extend(samples)
        noted(files, "pwrite")
        noted(files, "pwritev")
        noted(files, "holds")
        noted(kernels, "pack_frames")
        ds.extend(samples)
        monkeypatch.undo()
        as_columns = schema != SCHEMA and count > 8 and not dsrecords.native
        assert calls == ["pack_frames"] * as_columns + ["holds", "pwrite"]
        assert list(ds) == samples * 2
    assert there(path) == samples * 2
    assert not dsrecords.open(path).check()


def test_extend_keeps_the_valid_prefix_and_names_the_row(path):
    ds = dsrecords.open(numbered(path, 3))
    samples = [{"n": i} for i in range(3, 1503)]
    samples[1200] = {"n": "no number"}
    with pytest.raises(SchemaError, match="row 1200 of those given") as caught:
        ds.extend(samples)
    assert (caught.value.record, caught.value.field) == (1203, "n")
    assert ds.column("n").tolist() == list(range(1203))
    assert len(there(path)) == 1203
    ds.append({"n": 1203})
    assert ds[-1] == {"n": 1203}


def test_extend_keeps_what_an_iterator_gave_before_it_failed(path):
    ds = dsrecords.open(numbered(path, 0))

    def broken():
        yield {"n": 0}
        yield {"n": 1}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ds.extend(broken())
    assert ds.column("n").tolist() == [0, 1]


def test_extend_columns_adds_field_by_field(made):
    ds = dsrecords.open(made)
    ds.extend_columns(
        {
            "label": np.array([10, 11]),
            "score": np.ma.MaskedArray([5.0, 0.0], [False, True]),
            "text": ["a", "b"],
            "blob": [None, b"x"],
        }
    )
    assert ds[10] == {"label": 10, "score": 5.0, "text": "a", "blob": None}
    assert ds[11] == {"label": 11, "score": None, "text": "b", "blob": b"x"}
    assert there(made) == list(ds)


def test_extend_columns_takes_what_batch_gives(made, tmp_path):
    ds = dsrecords.open(made)
    other = IndexedRecordDataset(tmp_path / "other.rec", schema=SCHEMA)
    other.extend_columns(ds.batch(slice(None)))
    other.extend_columns(ds.batch([]))
    assert list(other) == rows(10)


def test_extend_columns_takes_a_list_where_fields_have_no_names(path):
    ds = IndexedRecordDataset(path, schema=["int8", "str"])
    ds.extend_columns([[1, 2], ["a", "b"]])
    assert list(ds) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"label": [1, 2**63]}, "label", "range"),
        ({"label": [1, "x"]}, "label", "row 1"),
        ({"label": [1]}, "text|label|score|blob", "values, but"),
        ({"text": ["a", 7]}, "text", "row 1"),
        ({"text": ["a", None]}, "text", "row 1"),
        ({"more": [1, 2]}, "more", "no such field"),
        ({"label": [[1], [2]]}, "label", "."),
    ],
)
def test_extend_columns_adds_all_or_nothing(made, change, field, says):
    columns = {
        "label": [1, 2],
        "score": [None, 1.0],
        "text": ["a", "b"],
        "blob": [None, None],
        **change,
    }
    before = Path(made).read_bytes()
    ds = dsrecords.open(made)
    with pytest.raises(SchemaError, match=says) as caught:
        ds.extend_columns(columns)
    assert caught.value.field in field.split("|")
    assert list(ds) == rows(10)
    assert Path(made).read_bytes() == before


def test_extend_columns_needs_every_column(made):
    ds = dsrecords.open(made)
    with pytest.raises(SchemaError, match="missing"):
        ds.extend_columns({"label": [1]})
    assert len(ds) == 10


def test_many_records_are_one_batch_of_extend_columns(path):
    ds = dsrecords.open(numbered(path, 1))
    ds.extend_columns({"n": np.arange(1, 10_001)})
    assert (ds.column("n") == np.arange(10_001)).all()
    assert [frame.kind for frame in frames(path)].count(3) == 1


@pytest.mark.parametrize(("kind", "often"), [("int64", 65_536), ("str?", 16_384)])
def test_the_index_is_published_every_now_and_then(kind, often, path):
    ds = IndexedRecordDataset(path, schema={"n": kind})
    before, published = os.path.getsize(ds.index_path), []
    for start in range(0, often + 2000, 1000):
        ds.extend_columns({"n": [start if kind == "int64" else None] * 1000})
        published.append(os.path.getsize(ds.index_path) > before)
    assert (
        published.index(True) == (often - 1) // 1001
    )  # each batch has a commit, which is a frame as well
    assert len(there(path)) == len(ds)


# Replacing and deleting


def test_a_sample_is_replaced_as_a_whole(made):
    ds = dsrecords.open(made)
    ds[7] = row(70)
    ds[-1] = row(90)
    ds[np.int64(0)] = row(100)
    wanted = [row(100), *rows(1, 7), row(70), row(8), row(90)]
    assert list(ds) == wanted and there(made) == wanted


def test_update_replaces_several_at_once(made):
    ds = dsrecords.open(made)
    ds.update({7: row(70), 0: row(100), -1: row(90)})
    ds.update({})
    wanted = [row(100), *rows(1, 7), row(70), row(8), row(90)]
    assert list(ds) == wanted and there(made) == wanted


def test_update_replaces_all_or_nothing(made):
    ds = dsrecords.open(made)
    with pytest.raises(IndexError, match="10 records"):
        ds.update({0: row(100), 10: row(101)})
    with pytest.raises(IndexError, match="same record"):
        ds.update({9: row(100), -1: row(101)})
    assert list(ds) == rows(10) and there(made) == rows(10)


@pytest.mark.parametrize(
    "key",
    [0, 4, 9, -1, -10, np.int64(3), slice(2, 5), slice(None), slice(None, None, -3), slice(5, 2), [5, 1, -1], [],
     np.array([3, 3, -7]), range(0, 10, 4), [i % 2 == 0 for i in range(10)], np.arange(10) > 6, np.zeros(10, bool)],
    ids=shown,
)  # fmt: skip
def test_del_takes_an_index_a_slice_a_list_or_a_mask_and_keeps_the_order(made, key):
    gone = set(np.atleast_1d(np.arange(10)[key]).tolist())
    wanted = [row(i) for i in range(10) if i not in gone]
    ds = dsrecords.open(made)
    del ds[key]
    assert list(ds) == wanted and there(made) == wanted
    ds.append(row(10))
    assert list(ds) == [*wanted, row(10)]


@pytest.mark.parametrize(
    ("key", "runs"),
    [(3, 1), (slice(4), 1), (slice(None), 1), (slice(6, 2, -1), 1), (slice(None, None, 2), 5), (slice(9, None, -3), 4),
     ([1, 2, 3, 7], 2), ([7, 3, 1, 2, -7], 2), (np.arange(10) > 6, 1), ([i % 3 == 0 for i in range(10)], 4)],
    ids=shown,
)  # fmt: skip
def test_a_deletion_takes_16_bytes_for_each_run_of_records(made, key, runs):
    wanted = [row(i) for i in range(10) if i not in np.atleast_1d(np.arange(10)[key])]
    before = os.path.getsize(made)
    with dsrecords.open(made) as ds:
        del ds[key]
        assert os.path.getsize(made) - before == 40 + 16 * runs
    assert there(made) == wanted


def test_deletions_of_a_long_list_are_those_of_an_array(path):
    ds = dsrecords.open(numbered(path, 100_000))
    wanted = np.arange(100_000)
    for key in (slice(30_000), slice(None, None, 7), wanted % 11 == 3, [5, 50_000, -1], 17):
        key = key[wanted] if isinstance(key, np.ndarray) else key
        view, before = ds[:], wanted
        del ds[key]
        wanted = np.delete(wanted, key)
        assert (ds.column("n") == wanted).all()
        assert (view.column("n") == before).all()
        assert ds[len(wanted) // 2] == {"n": wanted[len(wanted) // 2]}
    assert (dsrecords.open(path).column("n") == wanted).all()
    ds.close()
    assert (dsrecords.open(path).column("n") == wanted).all()


@pytest.mark.parametrize("key", [10, -11, [0, 10], [-11], [True] * 9])
def test_del_of_what_is_not_there_is_an_index_error_and_deletes_nothing(made, key):
    ds = dsrecords.open(made)
    with pytest.raises(IndexError):
        del ds[key]
    assert list(ds) == rows(10) and there(made) == rows(10)


@pytest.mark.parametrize("key", [slice(1, None, 2), [1, 3, 5, 7, 9]])
def test_positions_that_ascend_are_deleted_without_being_sorted(made, monkeypatch, key):
    """Sorting took a hundred times as long as looking whether they ascend."""
    sorts = []
    for name in ("sort", "argsort", "unique"):
        monkeypatch.setattr(np, name, lambda *_, name=name, **__: sorts.append(name))
    with dsrecords.open(made) as ds:
        del ds[key]
        assert sorts == []
        monkeypatch.undo()
        assert list(ds) == rows(10)[::2]


def test_positions_in_any_order_some_of_them_twice_are_deleted_once(made):
    with dsrecords.open(made) as ds:
        del ds[[9, 3, 4, 3, -1, 5]]
        assert list(ds) == [row(i) for i in (0, 1, 2, 6, 7, 8)]
    assert there(made) == [row(i) for i in (0, 1, 2, 6, 7, 8)]


@pytest.mark.parametrize("index", [0, 4, 8, 9, -1, -10])
def test_quick_remove_at_puts_the_last_one_into_the_place(made, index):
    wanted = rows(10)
    last = wanted.pop()
    if index % 10 < 9:
        wanted[index % 10] = last
    ds = dsrecords.open(made)
    ds.quick_remove_at(index)
    assert list(ds) == wanted and there(made) == wanted


def test_quick_remove_at_out_of_range_is_an_index_error(made):
    ds = dsrecords.open(made)
    with pytest.raises(IndexError, match="10 records"):
        ds.quick_remove_at(10)
    assert list(ds) == rows(10)


def test_all_can_be_deleted_and_new_ones_added(made):
    ds = dsrecords.open(made)
    while len(ds):
        ds.quick_remove_at(0)
    assert there(made) == [] and ds.column("label").tolist() == []
    ds.extend(rows(3))
    assert there(made) == rows(3)


def test_an_edit_writes_a_few_bytes_not_the_records(made):
    ds = dsrecords.open(made)
    before = os.path.getsize(made)
    ds.quick_remove_at(0)
    assert os.path.getsize(made) - before == 40 + 8
    del ds[2:5]
    assert os.path.getsize(made) - before == 48 + 40 + 2 * 8


def test_iteration_is_over_the_list_as_it_was_when_it_began(made):
    ds = dsrecords.open(made)
    seen = []
    for sample in ds:
        seen.append(sample)
        if len(ds):
            del ds[0]
        ds.append(row(100))
    assert seen == rows(10)


# Files


def test_flush_publishes_the_index(made):
    ds = dsrecords.open(made)
    ds.append(row(10))
    index = Path(ds.index_path)
    before = index.read_bytes()
    ds.flush()
    after = index.read_bytes()
    assert after != before
    ds.flush(sync=True)  # there is nothing new to publish
    assert index.read_bytes() == after
    assert there(made) == rows(11)


def test_close_publishes_the_index_and_lets_the_next_writer_in(made):
    ds = dsrecords.open(made)
    ds.append(row(10))
    other = dsrecords.open(made)
    with pytest.raises(LockedError):
        other.append(row(11))
    ds.close()
    other.append(row(11))
    assert list(other) == rows(12)


def test_with_closes(made):
    with dsrecords.open(made) as ds:
        ds.append(row(10))
    with pytest.raises(ValueError, match="closed"):
        ds[0]
    with dsrecords.open(made) as ds:
        ds.append(row(11))


def test_a_writer_that_is_forgotten_lets_go_of_the_lock(made):
    ds = dsrecords.open(made)
    ds.append(row(10))
    del ds
    with dsrecords.open(made) as ds:
        ds.append(row(11))
        assert list(ds) == rows(12)


@pytest.mark.parametrize(
    "use",
    [
        lambda ds: ds[0], lambda ds: ds[0, "label"], lambda ds: ds[:2], lambda ds: len(ds), lambda ds: list(ds),
        lambda ds: ds.batch([0]), lambda ds: ds.column("label"), lambda ds: ds.append(row(0)), lambda ds: ds.extend([]),
        lambda ds: ds.extend_columns({}), lambda ds: ds.__setitem__(0, row(0)), lambda ds: ds.update({0: row(0)}),
        lambda ds: ds.__delitem__(0), lambda ds: ds.quick_remove_at(0), lambda ds: ds.flush(), lambda ds: ds.refresh(),
        lambda ds: ds.compact(), lambda ds: ds.compact("elsewhere.rec"), lambda ds: ds.check(),
        lambda ds: ds.__getstate__(),
    ],
)  # fmt: skip
def test_what_comes_after_close_is_a_value_error_that_says_so(made, use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ds = dsrecords.open(made)
    ds.close()
    ds.close()  # twice is once
    with pytest.raises(ValueError, match=r"data\.rec is closed"):
        use(ds)
    assert there(made) == rows(10)


def test_refresh_shows_what_others_have_written(made):
    reader = dsrecords.open(made)
    with dsrecords.open(made) as writer:
        writer.append(row(10))
        assert len(reader) == 10
        reader.refresh()
        assert list(reader) == rows(11)
        del writer[0]
        writer[0] = row(100)
        assert list(reader) == rows(11)
        reader.refresh()
        assert list(reader) == [row(100), *rows(2, 11)]
        writer.flush()
        reader.refresh()
        assert list(reader) == list(writer)
        writer.compact()
        assert list(reader) == list(writer)
        reader.refresh()
        assert list(reader) == list(writer)
        writer.append(row(11))
    reader.refresh()
    assert list(reader) == [row(100), *rows(2, 12)]


def test_refresh_of_the_writer_changes_nothing(made):
    ds = dsrecords.open(made)
    ds.append(row(10))
    ds.refresh()
    assert list(ds) == rows(11)
    ds.append(row(11))
    assert list(ds) == rows(12)


def test_an_edit_of_a_list_that_others_have_edited_since_is_stale(made):
    first, second = dsrecords.open(made), dsrecords.open(made)
    with first:
        del first[0]
    with pytest.raises(StaleViewError, match="look again"):
        del second[0]  # it would be another record than the one that was seen there
    assert list(second) == rows(1, 10)  # now it has looked
    del second[0]
    assert list(second) == rows(2, 10)


def test_appending_to_a_list_that_others_have_edited_since_is_right(made):
    first, second = dsrecords.open(made), dsrecords.open(made)
    with first:
        del first[0]
    second.append(row(10))
    assert list(second) == rows(1, 11)


# Compacting


def edited(path):
    ds = dsrecords.open(path)
    ds[3] = row(30)
    del ds[0]
    ds.append(row(10))
    ds.quick_remove_at(1)
    wanted = [row(1), row(10), row(30), *rows(4, 10)]
    assert list(ds) == wanted
    return ds, wanted


@pytest.mark.parametrize("name", ["compact", "defrag"])
def test_compact_keeps_the_list_and_drops_what_nobody_sees(made, name, tmp_path):
    ds, wanted = edited(made)
    before = os.path.getsize(made)
    assert getattr(ds, name)() == (made, ds.index_path)
    assert os.path.getsize(made) < before
    assert [frame.kind for frame in frames(made)].count(3) <= 1
    assert list(ds) == wanted and there(made) == wanted
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]
    assert ds.check() == []


def test_after_compact_the_writer_goes_on_and_still_holds_the_lock(made):
    ds, wanted = edited(made)
    ds.compact()
    other = dsrecords.open(made)
    with pytest.raises(LockedError):
        other.append(row(0))
    ds.append(row(11))
    del ds[0]
    assert list(ds) == [*wanted[1:], row(11)]
    assert there(made) == list(ds)
    ds.close()
    other.append(row(12))


def test_compact_keeps_the_metadata(path):
    make_dataset(rows(2), path, SCHEMA, metadata={"a": [1]})
    with dsrecords.open(path) as ds:
        ds.compact()
        assert ds.metadata == {"a": [1]}
    assert dsrecords.open(path).metadata == {"a": [1]}


@pytest.mark.parametrize("name", ["compact", "defrag"])
def test_compact_to_an_output_leaves_the_dataset_alone(made, name, tmp_path):
    ds, wanted = edited(made)
    before = Path(made).read_bytes()
    assert getattr(ds, name)(tmp_path / "out.rec") == (
        str(tmp_path / "out.rec"),
        str(tmp_path / "out.idx"),
    )
    assert Path(made).read_bytes() == before
    assert list(ds) == wanted and there(tmp_path / "out.rec") == wanted
    assert dsrecords.open(tmp_path / "out.rec").schema == SCHEMA
    ds.append(row(11))


def test_compact_to_an_output_needs_no_lock(made, tmp_path):
    writer = dsrecords.open(made)
    writer.append(row(10))
    dsrecords.open(made).compact(tmp_path / "out.rec")
    assert there(tmp_path / "out.rec") == rows(11)


def test_compact_never_writes_over_an_output_that_exists(made, tmp_path):
    (tmp_path / "out.rec").write_text("mine")
    with pytest.raises(FileExistsError, match=r"out\.rec"):
        dsrecords.open(made).compact(tmp_path / "out.rec")
    with pytest.raises(FileExistsError):
        dsrecords.open(made).compact(made)
    assert (tmp_path / "out.rec").read_text() == "mine"
    assert there(made) == rows(10)


def test_compact_of_a_damaged_dataset_is_an_error_and_changes_nothing(made, tmp_path):
    flip(made, frames(made)[4].offset + frames(made)[4].size - 8)
    ds = dsrecords.open(made)
    before = Path(made).read_bytes()
    for output in (tmp_path / "out.rec", None):
        with pytest.raises(CorruptError, match="record 4"):
            ds.compact(output)
    assert Path(made).read_bytes() == before
    assert not (tmp_path / "out.rec").exists()
    assert not [name for name in os.listdir(tmp_path) if name.endswith((".partial", ".tmp"))]
    assert ds[5] == row(5)


def test_compact_keeps_custom_payloads_without_their_functions(path):
    def save_reversed(text):
        return text[::-1].encode()

    with IndexedRecordDataset(path, serializers=[save_reversed]) as ds:
        ds.extend([["abc"], ["def"]])
        del ds[0]
    with dsrecords.open(path) as ds:
        ds.compact()
    load = [lambda data: data.decode()[::-1]]
    assert list(IndexedRecordDataset(path, deserializers=load)) == [("def",)]


def test_every_error_of_the_list_is_one_of_ours_or_of_the_language(made):
    ds = dsrecords.open(made)
    for use in (lambda: ds.append({}), lambda: ds.column("x"), lambda: ds[:2].append(row(0))):
        with pytest.raises(DSRecordsError):
            use()


# Reading into arrays that are there already


def test_a_batch_is_read_into_the_arrays_of_out(path):
    make_dataset(
        ({"a": np.full((2, 3), i, "f4"), "n": i} for i in range(10)),
        path,
        {"a": "float32[2,3]", "n": "int16"},
    )
    ds = dsrecords.open(path)
    out = {"a": np.empty((3, 2, 3), "f4"), "n": np.empty(3, "i2")}
    batch = ds.batch([7, 0, 7], out=out)
    assert batch["a"] is out["a"]
    assert batch["n"] is out["n"]
    assert out["a"][:, 0, 0].tolist() == out["n"].tolist() == [7, 0, 7]


def test_an_array_of_out_need_not_be_contiguous(path):
    make_dataset(({"a": np.full(4, i, "u1")} for i in range(5)), path, {"a": "uint8[4]"})
    out = np.zeros((4, 3), "u1").T
    assert dsrecords.open(path).batch([1, 2, 3], "a", out={"a": out}) is out
    assert out.tolist() == [[1] * 4, [2] * 4, [3] * 4]


@pytest.mark.parametrize("wrong", [np.empty((3, 4), "f4"), np.empty((2, 4), "u1"), [[0] * 4] * 3])
def test_an_array_of_out_that_does_not_fit_is_refused(path, wrong):
    make_dataset(({"a": np.full(4, i, "u1")} for i in range(5)), path, {"a": "uint8[4]"})
    with pytest.raises(
        SchemaError, match=r"field 'a'.*out needs an array of uint8 with shape \(3, 4\)"
    ):
        dsrecords.open(path).batch([1, 2, 3], out={"a": wrong})


def test_out_is_not_for_ragged_fields_or_fields_that_are_not_read(path):
    make_dataset([{"text": "a", "n": 1}], path, {"text": "str", "n": "int8"})
    ds = dsrecords.open(path)
    with pytest.raises(SchemaError, match="not read"):
        ds.batch([0], ["n"], out={"text": np.empty(1, "i8")})
    with pytest.raises(SchemaError, match="out is for"):
        ds.batch([0], out={"text": np.empty(1, "i8")})


def test_functions_and_decodings_are_given_by_negative_positions_too(path):
    make_dataset([(1, b"ab", b"cd")], path, ["int8", "bytes", "bytes"])
    ds = IndexedRecordDataset(path, deserializers={-1: bytes.hex, 1: bytes.upper})
    assert ds[0] == (1, b"AB", "6364")
    assert ds.deserializers == [None, bytes.upper, bytes.hex]
    pictures = Path(__file__).parents[1] / "golden" / "pictures"
    make_dataset([(1, pictures / "red.jpg")], path, ["int8", "jpeg"], overwrite=True)
    assert isinstance(dsrecords.open(path, decode={-1: "bytes"})[0, 1], bytes)
