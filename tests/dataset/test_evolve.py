"""Changing the schema: fields are added, dropped, renamed and cast; the dataset is written beside and put in its own place."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, SOURCE, flip, row, rows, shown
from PIL import Image

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    LockedError,
    ReadOnlyError,
    SchemaError,
    StaleViewError,
    io,
    make_dataset,
)

pytestmark = pytest.mark.slow

PICTURES = Path(__file__).parents[1] / "golden" / "pictures"


@pytest.fixture
def ds(made):
    """A dataset of `rows(10)`, one of which was replaced and one deleted."""
    with dsrecords.open(made) as ds:
        ds.append(row(20))
        ds[3] = row(30)
        del ds[0]
        yield ds


ROWS = [row(1), row(2), row(30), *rows(4, 10), row(20)]


def assert_is(ds, schema, samples):
    """What the object shows, what whoever opens it sees, and that both can be changed."""
    assert ds.schema == schema and ds.fields == tuple(
        schema if isinstance(schema, dict) else range(len(schema))
    )
    assert list(ds) == samples
    assert ds.check() == []
    with dsrecords.open(ds.path) as other:
        assert other.schema == schema and list(other) == samples and other.check() == []
    ds.append(samples[0])
    assert ds[-1] == samples[0] == dsrecords.open(ds.path)[-1]
    del ds[-1]
    assert (
        sorted(
            name
            for name in os.listdir(os.path.dirname(ds.path))
            if ".partial" in name or ".tmp" in name
        )
        == []
    )


# Adding


def test_add_field_with_a_function_of_the_sample(ds):
    ds.add_field("length", "int32", lambda sample: len(sample["text"]))
    assert_is(
        ds,
        {**SCHEMA, "length": "int32"},
        [{**sample, "length": len(sample["text"])} for sample in ROWS],
    )


@pytest.mark.parametrize(
    "values",
    [list(range(10)), tuple(range(10)), np.arange(10), (i for i in range(10)), range(10)],
    ids=["list", "tuple", "array", "generator", "range"],
)
def test_add_field_with_a_value_for_each_record(ds, values):
    ds.add_field("n", "int64", values)
    assert_is(ds, {**SCHEMA, "n": "int64"}, [{**sample, "n": i} for i, sample in enumerate(ROWS)])


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("str?", None, [None] * 10),
        ("int8?", [None, 1] * 5, [None, 1] * 5),
        (
            "int8?",
            np.ma.masked_array(np.arange(10), np.arange(10) % 2 == 0),
            [None, 1, None, 3, None, 5, None, 7, None, 9],
        ),
        ("json", [{"a": i} for i in range(10)], [{"a": i} for i in range(10)]),
        (io.save_int(bits=8), range(10), list(range(10))),
    ],
    ids=["nothing", "some", "masked", "json", "serializer"],
)
def test_add_field_of_other_types(ds, kind, values, wanted):
    ds.add_field("new", kind, values)
    assert [sample["new"] for sample in ds] == wanted
    assert ds[2] == {**ROWS[2], "new": wanted[2]}


def test_add_field_of_arrays(ds):
    features = np.random.default_rng(0).random((10, 4), np.float32)
    ds.add_field("features", "float32[4]", features, progress=True)
    assert (ds.column("features") == features).all()


def test_add_field_without_names(path):
    make_dataset([(1, "a"), (2, "b")], path, ["int8", "str"])
    with dsrecords.open(path) as ds:
        ds.add_field(None, "float64", lambda sample: sample[0] / 2)
        assert_is(ds, ["int8", "str", "float64"], [(1, "a", 0.5), (2, "b", 1.0)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("label", "int8", range(10)), "field 'label': there is such a field already"),
        ((None, "int8", range(10)), "a name must be a string"),
        ((5, "int8", range(10)), "a name must be a string"),
        (("new", "int33", range(10)), "not a type"),
        (("new", "int8", range(9)), "field 'new': 9 values for 10 records"),
        (("new", "int8", np.arange(11)), "field 'new': 11 values for 10 records"),
        (("new", "int8", iter(range(9))), "field 'new': 9 values for 10 records"),
        (("new", "int8", iter(range(11))), "field 'new': there are more values than records"),
        (
            ("new", "int8", range(120, 130)),
            "record 8, field 'new': 128 is out of the range of int8",
        ),
        (("new", "int8"), "field 'new': values are needed, or a type that may be None: 'int8\\?'"),
        (("new", "str", "texts"), "one for each record, not a str"),
        (("new", "int8", 5), "one for each record, not an int"),
    ],
    ids=shown,
)
def test_what_cannot_be_added_leaves_all_as_it_was(ds, arguments, message):
    before = Path(ds.path).read_bytes()
    with pytest.raises(SchemaError, match=message):
        ds.add_field(*arguments)
    assert Path(ds.path).read_bytes() == before
    assert_is(ds, SCHEMA, ROWS)


def test_an_exception_of_the_users_function_leaves_all_as_it_was(ds):
    def function(sample):
        return 1 if sample["label"] < 5 else 1 // 0

    with pytest.raises(ZeroDivisionError):
        ds.add_field("new", "int8", function)
    assert_is(ds, SCHEMA, ROWS)


def test_a_function_that_changes_the_dataset_meanwhile_is_refused(ds):
    def function(sample):
        ds.append(row(99))
        return 1

    with pytest.raises(dsrecords.LockedError, match="is called from"):
        ds.add_field("new", "int8", function)
    assert_is(ds, SCHEMA, ROWS)


# Dropping and renaming


def test_drop_fields(ds):
    ds.drop_fields(["blob", "score"])
    assert_is(
        ds,
        {"label": "int64", "text": "str"},
        [{"label": sample["label"], "text": sample["text"]} for sample in ROWS],
    )
    ds.drop_fields("text")
    assert_is(ds, {"label": "int64"}, [{"label": sample["label"]} for sample in ROWS])


def test_drop_fields_without_names(path):
    make_dataset([(1, "a", 2.5), (2, "b", 3.5)], path, ["int8", "str", "float64"])
    with dsrecords.open(path) as ds:
        ds.drop_fields([0, -1])
        assert_is(ds, ["str"], [("a",), ("b",)])


def test_rename_fields_keeps_the_order_and_can_swap(ds):
    ds.rename_fields({"label": "class", "text": "blob", "blob": "text"})
    schema = {"class": "int64", "score": "float64?", "blob": "str", "text": "bytes?"}
    assert_is(ds, schema, [dict(zip(schema, sample.values(), strict=True)) for sample in ROWS])


def test_fields_without_names_can_get_some(path):
    make_dataset([(1, "a"), (2, "b")], path, ["int8", "str"])
    with dsrecords.open(path) as ds:
        with pytest.raises(SchemaError, match="name"):
            ds.rename_fields({0: "n"})
        ds.rename_fields({0: "n", 1: "t"})
        assert_is(ds, {"n": "int8", "t": "str"}, [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.drop_fields(["none"]), "no field 'none'"),
        (lambda ds: ds.drop_fields(list(SCHEMA)), "1 to 4096 fields"),
        (lambda ds: ds.rename_fields({"none": "a"}), "no field 'none'"),
        (lambda ds: ds.rename_fields({"label": "text"}), "field 'text': two fields have this name"),
        (lambda ds: ds.rename_fields({"label": ""}), "non-empty"),
        (lambda ds: ds.rename_fields({"label": 5}), "not 5"),
        (lambda ds: ds.cast({"none": "int8"}), "no field 'none'"),
        (lambda ds: ds.cast({"label": "int33"}), "not a type"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_leaves_all_as_it_was(ds, change, message):
    with pytest.raises(SchemaError, match=message):
        change(ds)
    assert_is(ds, SCHEMA, ROWS)


@pytest.mark.parametrize("change", [lambda ds: ds.rename_fields(["a"]), lambda ds: ds.cast("int8")])
def test_what_is_no_dict_by_field_is_a_type_error(ds, change):
    with pytest.raises(TypeError, match="expected a dict by field"):
        change(ds)


# Casting


@pytest.mark.parametrize(
    ("old", "new", "values", "wanted"),
    [
        ("int64", "int8", [1, -2], [1, -2]),
        ("int8", "float32", [1, -2], [1.0, -2.0]),
        ("float64", "float16", [0.5, float("inf")], [0.5, float("inf")]),
        ("int8", "int8?", [1, 0], [1, 0]),
        ("int8?", "int64", [1, 0], [1, 0]),
        ("str", "json", ["a", ""], ["a", ""]),
        ("str", "str?", ["a", ""], ["a", ""]),
        ("list[int8]", "list[int64?]", [[1], []], [[1], []]),
        ("float32[*]", "float64[2]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("array", "int16[*]", [np.array([1]), np.array([1, 2])], [[1], [1, 2]]),
        ("bytes", "bytes?", [b"a", b""], [b"a", b""]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_cast_writes_values_as_the_new_type_does(path, old, new, values, wanted):
    make_dataset(
        [{"k": i, "x": value} for i, value in enumerate(values)], path, {"k": "int8", "x": old}
    )
    with dsrecords.open(path) as ds:
        ds.cast({"x": new})
        assert ds.schema == {"k": "int8", "x": new}
        assert [
            sample["x"].tolist() if isinstance(sample["x"], np.ndarray) else sample["x"]
            for sample in ds
        ] == wanted
        assert ds.column("k").tolist() == [0, 1] and ds.check() == []


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ({"label": "int8"}, "record 1, field 'label': 300 is out of the range of int8"),
        ({"label": "str"}, "record 0, field 'label': str expected, not an int"),
        ({"score": "int64"}, r"record 0, field 'score': int64 expected, not a float \(0\.5\)"),
        ({"score": "float64"}, "record 2, field 'score': float64 expected, not None"),
        ({"text": "bytes"}, "record 0, field 'text': bytes expected, not a str"),
    ],
)
def test_a_value_that_the_new_type_does_not_take_is_named_and_all_is_as_it_was(path, new, message):
    schema = {"label": "int64", "score": "float64?", "text": "str"}
    samples = [
        {"label": 1, "score": 0.5, "text": "a"}, {"label": 300, "score": 2.0, "text": "b"},
        {"label": 3, "score": None, "text": ""},
    ]  # fmt: skip
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        with pytest.raises(SchemaError, match=message):
            ds.cast(new)
        assert_is(ds, schema, samples)


def test_images_keep_their_bytes_wherever_they_are_of_the_format(path):
    names = ["red.jpg", "grey.jpg"]
    make_dataset([{"x": PICTURES / name} for name in names], path, {"x": "jpeg"})
    encoded = [(PICTURES / name).read_bytes() for name in names]
    with dsrecords.open(path) as ds:
        for kind in ("image", "jpeg", "bytes", "image?", "bytes?", "jpeg"):
            ds.cast({"x": kind})
            assert (
                dsrecords.open(path, decode={"x": "bytes"} if "bytes" not in kind else None).column(
                    "x"
                )
                == encoded
            )
        pixels = [np.asarray(image).tolist() for image in ds.column("x")]
        ds.cast({"x": "png"})
        assert [(image.format, np.asarray(image).tolist()) for image in ds.column("x")] == list(
            zip(["PNG"] * 2, pixels, strict=True)
        )


def test_bytes_that_are_no_image_are_not_cast_to_one(path):
    make_dataset([{"x": (PICTURES / "red.png").read_bytes()}, {"x": b"none"}], path, {"x": "bytes"})
    with (
        dsrecords.open(path) as ds,
        pytest.raises(SchemaError, match="record 1, field 'x': the data is not"),
    ):
        ds.cast({"x": "image"})


def test_images_that_are_not_cast_are_not_decoded(path, monkeypatch):
    make_dataset([{"x": PICTURES / "red.jpg", "n": 1}], path, {"x": "jpeg", "n": "int8"})
    with dsrecords.open(path) as ds:
        monkeypatch.setattr(Image, "open", None)
        ds.cast({"n": "int64"})
        ds.rename_fields({"x": "y"})
        ds.drop_fields("n")
    assert dsrecords.open(path, decode={"y": "bytes"})[0] == {
        "y": (PICTURES / "red.jpg").read_bytes()
    }


def test_what_was_compressed_with_a_dictionary_keeps_it(path):
    texts = [f"a text that has much in common with the others, number {i}" for i in range(3000)]
    make_dataset(
        [{"t": text, "n": i} for i, text in enumerate(texts)],
        path,
        {"t": "zstd(str)", "n": "int64"},
    )
    assert b'"dict"' in Path(path).read_bytes()[:200_000]
    with dsrecords.open(path) as ds:
        ds.rename_fields({"t": "text"})
        ds.cast({"n": "int16"})
        ds.append({"text": texts[5], "n": 5})
        assert ds.column("text") == [*texts, texts[5]]
        ds.cast({"text": "str"})
        ds.cast({"text": "zstd(str)"})
        assert ds.column("text") == [*texts, texts[5]] and ds.check() == []


def test_structs_categories_and_times_are_copied_and_cast(path):
    samples = [
        {
            "o": [{"a": i}],
            "c": "ab"[i % 2],
            "d": np.datetime64("2026-11-22") + np.timedelta64(i, "D"),
        }
        for i in range(10)
    ]
    make_dataset(samples, path, {"o": [{"a": "int8"}], "c": "category[a,b]", "d": "datetime64[D]"})
    with dsrecords.open(path) as ds:
        ds.rename_fields({"o": "objects"})
        ds.cast({"objects": [{"a": "int64"}], "c": "str"})
        assert [list(sample.values()) for sample in ds] == [
            list(sample.values()) for sample in samples
        ]
        ds.cast({"c": "category[b,a]?"})
        assert [list(sample.values()) for sample in ds] == [
            list(sample.values()) for sample in samples
        ]


# What stays, what becomes stale


def test_metadata_stay_and_the_id_is_another(made):
    make_dataset(rows(2), made, SCHEMA, metadata={"a": 1}, overwrite=True)
    before = Path(made).read_bytes()[24:40]
    with dsrecords.open(made) as ds:
        ds.drop_fields("blob")
        assert ds.metadata == {"a": 1}
    assert dsrecords.open(made).metadata == {"a": 1} and Path(made).read_bytes()[24:40] != before


def test_views_go_on_and_copies_and_view_files_become_stale(ds, tmp_path):
    view, pickled = ds[2:4], pickle.dumps(ds)
    view.save_view(tmp_path / "view.idx")
    ds.rename_fields({"label": "class"})
    assert list(view) == ROWS[2:4] and view.schema == SCHEMA
    with pytest.raises(StaleViewError):
        pickle.loads(pickled)
    with pytest.raises(StaleViewError):
        dsrecords.open(ds.path, index_path=tmp_path / "view.idx")
    for change in (
        lambda: view.drop_fields("text"),
        lambda: view.add_field("n", "int8", [1, 2]),
        lambda: view.cast({"label": "int8"}),
    ):
        with pytest.raises(ReadOnlyError, match="view"):
            change()


def test_a_reader_goes_on_with_the_old_one_until_it_is_refreshed(ds):
    reader = dsrecords.open(ds.path)
    ds.flush()
    ds.drop_fields(["score", "blob", "text"])
    assert list(reader) == ROWS
    reader.refresh()
    assert reader.schema == {"label": "int64"} and reader[0] == {"label": 1}


def test_another_writer_is_locked_out(ds):
    with pytest.raises(LockedError):
        dsrecords.open(ds.path).drop_fields("text")


def reverse(text):
    return text[::-1].encode()


def unreverse(data):
    return data.decode()[::-1]


def test_functions_and_decodings_follow_their_fields(path):
    make_dataset(
        [{"w": "abc", "x": PICTURES / "red.jpg", "n": 1}],
        path,
        {"w": reverse, "x": "jpeg", "n": "int8"},
    )
    with IndexedRecordDataset(
        path,
        deserializers={"w": unreverse, "n": io.load_int},
        decode={"x": "bytes"},
        schema={"w": reverse, "x": "jpeg", "n": "int8"},
    ) as ds:
        picture = (PICTURES / "red.jpg").read_bytes()
        ds.rename_fields({"w": "word", "x": "image"})
        assert ds[0] == {"word": "abc", "image": picture, "n": 1}
        ds.append({"word": "de", "image": picture, "n": 2})
        ds.drop_fields("image")
        assert list(ds) == [{"word": "abc", "n": 1}, {"word": "de", "n": 2}]
        ds.add_field("upper", "str", lambda sample: sample["word"].upper())
        ds.cast({"word": "str", "n": "int64"})
        assert list(ds) == [
            {"word": "abc", "n": 1, "upper": "ABC"},
            {"word": "de", "n": 2, "upper": "DE"},
        ]
        ds.cast({"word": reverse})
        with pytest.raises(SchemaError, match="deserializer"):
            ds[0]
        ds.append({"word": "fg", "n": 3, "upper": "FG"})
    assert IndexedRecordDataset(path, deserializers=[unreverse, None, None]).column("word") == [
        "abc",
        "de",
        "fg",
    ]


def test_functions_in_a_list_follow_their_fields_too(path):
    make_dataset([(1, "abc", 2)], path, ["int8", reverse, "int8"])
    with IndexedRecordDataset(path, deserializers=[None, unreverse, io.load_int]) as ds:
        ds.drop_fields(0)
        assert list(ds) == [("abc", 2)]


def test_a_damaged_record_is_an_error_and_all_is_as_it_was(made):
    flip(made, Path(made).read_bytes().index(row(5)["text"].encode()))
    with dsrecords.open(made) as ds:
        with pytest.raises(CorruptError, match="record 5, field 'text'"):
            ds.rename_fields({"label": "class"})
        assert ds.schema == SCHEMA and ds[4] == row(4)


def test_a_kill_amid_a_change_leaves_the_old_dataset(made):
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import dsrecords\n"
        "ds = dsrecords.open(sys.argv[1])\n"
        "ds.add_field('n', 'int8', lambda sample: print(sample['label'], flush=True) or input())"
    )
    command = [sys.executable, "-c", code, made]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "0\n"  # and now it waits for an answer
        process.kill()
    with dsrecords.open(made) as ds:
        assert list(ds) == rows(10)
        ds.drop_fields(["score", "blob"])  # over what the killed one left
        assert ds[1] == {"label": 1, "text": row(1)["text"]}


@pytest.mark.parametrize("call", ["rename", "sync", "pwrite", "pwritev"])
def test_a_failing_disk_leaves_the_old_schema_or_the_new_one(made, monkeypatch, call):
    real = getattr(dsrecords._storage.files, call)
    for number in range(6):
        ds = dsrecords.open(made)
        first, *others = ds.fields
        calls = iter(range(100))

        def failing(*arguments, number=number, calls=calls, **options):
            if next(calls) == number:
                raise OSError(5, "Input/output error")
            return real(*arguments, **options)

        failed = False
        with monkeypatch.context() as patched:
            patched.setattr(f"dsrecords._storage.files.{call}", failing)
            try:
                ds.rename_fields({first: f"{call}{number}"})
            except OSError:
                failed = True
        there = dsrecords.open(made)
        assert there.fields in ([(f"{call}{number}", *others)] + [(first, *others)] * failed)
        assert there.fields == ds.fields
        for each in (ds, there):
            assert [list(sample.values()) for sample in each] == [
                list(sample.values()) for sample in rows(10)
            ]
        ds.close()
        with dsrecords.open(made) as again:
            again.rename_fields({again.fields[0]: "label"})


# Comparing


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (SCHEMA, ""),
        ({**SCHEMA, "label": "int32"}, "data.rec has label: int64, the other has label: int32"),
        ({**SCHEMA, "more": "str"}, "the other has more: str, data.rec does not"),
        ({key: kind for key, kind in SCHEMA.items() if key != "text"}, "data.rec has text: str, the other does not"),
        ({**SCHEMA, "label": "int32", "more": "str"},
         "data.rec has label: int64, the other has label: int32; the other has more: str, data.rec does not"),
        (dict(reversed(SCHEMA.items())),
         "data.rec has its fields in the order label, score, text, blob, the other in the order blob, text, score, label"),
        (list(SCHEMA.values()), "data.rec has fields with names, the other has fields without names"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_schemas_are_compared_in_words(made, other, words):
    ds = dsrecords.open(made)
    assert ds.compare_schema(other) == words
    if words:
        with pytest.raises(SchemaError) as caught:
            IndexedRecordDataset(made, schema=other)
        assert caught.value.message == f"the schema given is not that of the file: {words}".replace(
            "the other", "this"
        )


def test_datasets_are_compared_by_name(made, tmp_path):
    make_dataset([(1, 2)], tmp_path / "one.rec", ["int8", "int16"])
    make_dataset([(1,)], tmp_path / "two.rec", ["int64"])
    one, two = dsrecords.open(tmp_path / "one.rec"), dsrecords.open(tmp_path / "two.rec")
    assert one.compare_schema(one[:1]) == ""
    assert one.compare_schema(two) == (
        "one.rec has field 0: int8, two.rec has field 0: int64; one.rec has field 1: int16, two.rec does not"
    )


def test_many_differences_are_told_in_part(path):
    make_dataset([], path, {f"a{i}": "int8" for i in range(100)})
    words = dsrecords.open(path).compare_schema({f"b{i}": "int8" for i in range(100)})
    assert words.count(";") == 8 and words.endswith("; and 192 more")


def test_a_type_that_is_none_is_an_error_that_names_the_field_to_be_cast(ds):
    with pytest.raises(SchemaError, match=r"field 'text'.*is not a type") as caught:
        ds.cast({"text": "strng"})
    assert caught.value.field == "text" and ds.schema == SCHEMA
