"""`dsrecords.ray` without a cluster: which tasks there are, what they read, and how blocks are written."""

import io
import os
import pickle
import types

import numpy as np
import pytest
from conftest import large

import dsrecords

ray = large("ray")
pa = large("pyarrow")

pytestmark = [pytest.mark.large, pytest.mark.filterwarnings("ignore")]

TYPES = {
    "fixed": "float32[2,3]",
    "bools": "bool[4]",
    "half": "bfloat16[2]",
    "ragged": "int64[*]",
    "rows": "float32[*,4]",
    "columns": "float32[2,*]",
    "free": "uint8[*,*,3]",
    "empty": "float32[0,3]",
    "complex": "complex64[2]",
    "maybe_array": "float32[3]?",
    "maybe_int": "int32?",
    "maybe_str": "str?",
    "time": "datetime64[us]",
    "duration": "timedelta64[ms]",
    "category": "category[cat,dog]",
    "struct": "{a:int64,b:str?}",
    "structs": "list[{a:int64,b:str}]",
    "arrays": "list[float32[2]]",
    "json": "json",
    "bytes": "bytes",
    "image": "png",
    "text": "zstd(str)",
    "float16": "float16",
}
TENSORS = ("fixed", "bools", "half", "rows", "columns", "free", "empty")


def png(size, value=7):
    image = large("PIL.Image").new("RGB", size, (value, 2, 3))
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def sample(i):
    return {
        "fixed": np.arange(6, dtype="f4").reshape(2, 3) * i,
        "bools": np.array([i % 2, 1, 0, i % 3], bool),
        "half": np.array([i % 16, 2], "f4"),
        "ragged": np.arange(i % 5),
        "rows": np.full((i % 3, 4), i, "f4"),
        "columns": np.arange(2 * (i % 4), dtype="f4").reshape(2, -1),
        "free": np.full((i % 3 + 1, i % 2 + 1, 3), i, "u1"),
        "empty": np.zeros((0, 3), "f4"),
        "complex": np.array([i, 1j], "c8"),
        "maybe_array": None if i % 7 == 0 else np.full(3, i, "f4"),
        "maybe_int": None if i % 5 == 0 else i,
        "maybe_str": None if i % 11 == 0 else f"text {i}",
        "time": np.datetime64(i, "us"),
        "duration": np.timedelta64(i, "ms"),
        "category": ["cat", "dog"][i % 2],
        "struct": {"a": i, "b": None if i % 2 else "x"},
        "structs": [{"a": i, "b": "y"}] * (i % 3),
        "arrays": [np.full(2, i, "f4")] * (i % 2),
        "json": {"k": [i]},
        "bytes": bytes([i % 256]) * i,
        "image": png((i % 3 + 1, 2)),
        "text": "long " * i,
        "float16": np.float16(i),
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    def start():
        raise AssertionError("Ray would start a cluster, which nothing here needs")

    monkeypatch.setattr(ray, "init", start)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def labels(count, path="labels.rec", **arguments):
    dsrecords.make_dataset(
        {"label": np.arange(count)}, path, {"label": "int64"}, overwrite=True, **arguments
    )
    return path


def read_all(source, parallelism=4, **arguments):
    """The blocks of all tasks, each of them sent to where it runs."""
    cloudpickle = large("cloudpickle")
    tasks = source.get_read_tasks(parallelism, **arguments)
    return [block for task in tasks for block in pickle.loads(cloudpickle.dumps(task))()]


def column(blocks, name):
    return [value for block in blocks for value in block.column(name).to_pylist()]


def arrays(block, name):
    return block.column(name).combine_chunks().to_numpy(zero_copy_only=False)


def write(blocks, path, schema=None, numbers=None, **arguments):
    """Write each list of blocks as Ray's tasks do."""
    sink = dsrecords.ray.Datasink(path, schema, **arguments)
    sink.on_write_start()
    sent = pickle.loads(pickle.dumps(sink))
    found = []
    for number, some in zip(numbers or range(len(blocks)), blocks):
        found.append(sent.write(some, types.SimpleNamespace(task_idx=number)))
    try:
        sink.on_write_complete(types.SimpleNamespace(write_returns=found))
    except Exception as error:
        sink.on_write_failed(error)
        raise
    return dsrecords.open(sink.written()[1])


# Types


def test_each_type_goes_to_ray_and_back(folder):
    dsrecords.make_dataset(map(sample, range(60)), "all.rec", TYPES, metadata={"of": "mine"})
    ds = dsrecords.open("all.rec")
    blocks = read_all(dsrecords.ray.Datasource("all.rec"))
    assert sum(len(block) for block in blocks) == 60
    start = 0
    for block in blocks:
        for name in TENSORS:
            found = arrays(block, name)
            for position, array in enumerate(found):
                expected = np.asarray(ds[start + position, name])
                assert np.array_equal(array, expected), name
                assert array.shape == expected.shape, name
        start += len(block)
    assert arrays(blocks[0], "fixed").shape[1:] == (2, 3)
    assert column(blocks, "maybe_int")[:6] == [None, 1, 2, 3, 4, None]
    copy = write([[block] for block in blocks], "copy.rec")
    assert copy.schema == ds.schema and copy.metadata == {"of": "mine"}
    assert copy.to_arrow().equals(ds.to_arrow())


def test_samples_without_names_keep_none(folder):
    dsrecords.make_dataset([(i, f"{i}") for i in range(9)], "pairs.rec", ["int64", "str"])
    blocks = read_all(dsrecords.ray.Datasource("pairs.rec"))
    assert blocks[0].column_names == ["0", "1"]
    copy = write([[block] for block in blocks], "copy.rec")
    assert copy.schema == ["int64", "str"] and copy[8] == (8, "8")
    only = read_all(dsrecords.ray.Datasource("pairs.rec", fields=[1]))
    assert column(only, "0") == [str(i) for i in range(9)]
    source = dsrecords.ray.Datasource("pairs.rec").apply_projection({"1": "1"})
    assert read_all(source)[0].column_names == ["1"]


def test_tensors_of_ray_have_types_of_arrays(folder):
    from ray.data.extensions import ArrowTensorArray, ArrowVariableShapedTensorArray

    fixed = np.arange(12, dtype="i2").reshape(2, 2, 3)
    lengths = [np.arange(2.0), np.arange(3.0)]
    images = [np.zeros((2, 2, 3), "u1"), np.ones((3, 1, 3), "u1")]
    block = pa.table(
        {
            "fixed": ArrowTensorArray.from_numpy(fixed),
            "native": pa.FixedShapeTensorArray.from_numpy_ndarray(fixed),
            "lengths": ArrowVariableShapedTensorArray.from_numpy(lengths),
            "images": ArrowVariableShapedTensorArray.from_numpy(images),
        }
    )
    copy = write([[block]], "copy.rec")
    assert copy.schema == {
        "fixed": "int16[2,3]",
        "native": "int16[2,3]",
        "lengths": "float64[*]",
        "images": "uint8[*,*,*]",
    }
    assert np.array_equal(copy.column("native"), fixed)
    assert np.array_equal(copy[1, "images"], images[1])
    assert np.array_equal(copy[0, "lengths"], lengths[0])
    as_images = write([[block.select(["images"])]], "images.rec", {"images": "png"})
    assert as_images.image_size(1, "images") == (3, 1)


def test_blocks_of_one_task_need_not_be_alike(folder):
    from ray.data.extensions import ArrowTensorArray

    def tensors(shape):
        return ArrowTensorArray.from_numpy(np.ones((2, *shape), "u1"))

    first = pa.table({"x": tensors((2, 2)), "i": [1, 2], "n": pa.nulls(2)})
    second = pa.table({"x": tensors((1, 3)), "i": [0.5, 2], "n": ["a", None]})
    third = pa.table({"x": tensors((2, 2)), "i": [1, 1]})
    copy = write([[first, second, third.slice(0, 0), third]], "copy.rec")
    assert copy.schema == {"x": "uint8[*,*]", "i": "float64", "n": "str?"}
    assert copy[2, "x"].shape == (1, 3) and copy.column("n")[2:4] == ["a", None]


def test_blocks_of_pandas_are_written(folder):
    pandas = large("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "s": ["x", "y"]})
    assert write([[frame]], "copy.rec").schema == {"a": "int64", "s": "str"}


def test_missing_tensors_are_none(folder):
    from ray.data.extensions import ArrowTensorArray, ArrowTensorTypeV2

    present = ArrowTensorArray.from_numpy(np.ones((2, 3), "f4"))
    missing = pa.nulls(1, present.type.storage_type)
    assert isinstance(present.type, ArrowTensorTypeV2)
    absent = pa.ExtensionArray.from_storage(present.type, missing)
    blocks = [pa.table({"x": present}), pa.table({"x": absent})]
    copy = write([blocks], "copy.rec")
    assert copy.schema == {"x": "float32[3]?"} and copy[2, "x"] is None
    assert copy[1, "x"].tolist() == [1, 1, 1]


def test_pickled_objects_are_refused_and_named(folder):
    from ray.data.extensions import ArrowPythonObjectArray

    block = pa.table({"odd": ArrowPythonObjectArray.from_objects([{1}, {2}])})
    with pytest.raises(dsrecords.SchemaError, match=r"'odd'.*Python objects.*not unpickled"):
        write([[block]], "copy.rec")


# Reading


def test_ranges_are_of_equal_bytes(folder):
    texts = [{"text": "x" * (4000 if i < 100 else 40)} for i in range(1000)]
    dsrecords.make_dataset(texts, "texts.rec", {"text": "str"})
    source = dsrecords.ray.Datasource("texts.rec")
    tasks = source.get_read_tasks(4)
    sizes = [task.metadata.size_bytes for task in tasks]
    assert max(sizes) < 1.2 * min(sizes)
    assert tasks[0].metadata.num_rows < 50 < 500 < tasks[3].metadata.num_rows
    assert abs(sum(sizes) - source.estimate_inmemory_data_size()) <= 4
    assert sum(sizes) == pytest.approx(100 * 4004 + 900 * 44, abs=4)


def test_sizes_of_many_records_are_estimated_from_some(folder):
    source = dsrecords.ray.Datasource(labels(200_000))
    assert source.estimate_inmemory_data_size() == 200_000 * 12
    tasks = source.get_read_tasks(7)
    assert sum(task.metadata.num_rows for task in tasks) == 200_000
    assert len(tasks) == 7


def test_ranges_end_with_files_that_are_near(folder):
    labels(1003, "many.rec", shards=8)
    ds = dsrecords.open("many.json")
    tasks = dsrecords.ray.Datasource("many.json").get_read_tasks(8)
    assert [list(task.metadata.input_files) for task in tasks] == [[file] for file in ds.files]
    tasks = dsrecords.ray.Datasource("many.json").get_read_tasks(3)
    assert len(tasks) == 3 and tasks[1].metadata.input_files is None
    blocks = read_all(dsrecords.ray.Datasource("many.json"), 3)
    assert column(blocks, "label") == list(range(1003))


def test_there_are_as_many_tasks_as_records_at_most(folder):
    source = dsrecords.ray.Datasource(labels(3))
    assert column(read_all(source, 200), "label") == [0, 1, 2]
    assert dsrecords.ray.Datasource(labels(0)).get_read_tasks(5) == []


def test_views_are_read_in_their_order(folder):
    ds = dsrecords.open(labels(1000))
    shuffled = ds.shuffle(seed=3)
    blocks = read_all(dsrecords.ray.Datasource(shuffled))
    assert column(blocks, "label") == shuffled.column("label").tolist()
    chosen = ds[[5, 5, 0]]
    assert column(read_all(dsrecords.ray.Datasource(chosen)), "label") == [5, 5, 0]


def test_a_task_of_a_view_has_its_own_part_alone(folder):
    cloudpickle = large("cloudpickle")
    ds = dsrecords.open(labels(100_000))
    view = ds[np.random.default_rng(0).permutation(100_000)]
    tasks = dsrecords.ray.Datasource(view).get_read_tasks(100)
    assert len(cloudpickle.dumps(tasks[50])) < 8 * 1000 + 10_000


def test_a_limit_is_read_and_no_more(folder):
    source = dsrecords.ray.Datasource(labels(1000))
    tasks = source.get_read_tasks(4, per_task_row_limit=3)
    assert [task.metadata.num_rows for task in tasks] == [3, 3, 3, 3]
    assert column(read_all(source, 1, per_task_row_limit=3), "label") == [0, 1, 2]


def test_columns_that_are_not_asked_for_are_not_read(folder):
    dsrecords.make_dataset(
        [{"label": i, "text": "x" * 100} for i in range(50)],
        "damaged.rec",
        {"label": "int64", "text": "str"},
    )
    data = bytearray((folder / "damaged.rec").read_bytes())
    data[data.rindex(b"x" * 100)] ^= 1
    (folder / "damaged.rec").write_bytes(data)
    whole = dsrecords.ray.Datasource("damaged.rec")
    with pytest.raises(dsrecords.CorruptError) as caught:
        read_all(whole)
    assert caught.value.record == 49 and caught.value.field == "text"
    selected = whole.apply_projection({"label": "label"})
    assert column(read_all(selected), "label") == list(range(50))
    assert selected.estimate_inmemory_data_size() < whole.estimate_inmemory_data_size() / 5
    named = dsrecords.ray.Datasource("damaged.rec", fields=["label"])
    assert read_all(named)[0].column_names == ["label"]
    nothing = read_all(whole.apply_projection({}))
    assert sum(block.num_rows for block in nothing) == 50 and nothing[0].column_names == []
    skipping = dsrecords.ray.Datasource("damaged.rec", on_error="skip")
    assert column(read_all(skipping), "label") == list(range(49))
    assert skipping.get_read_tasks(1)[0].metadata.num_rows is None


def test_blocks_are_bounded_in_bytes(folder, monkeypatch):
    from dsrecords.ray import datasource

    monkeypatch.setattr(datasource, "_BLOCK_BYTES", 10_000)
    sizes = np.random.default_rng(0).integers(0, 3000, 200)
    sizes[7] = 50_000
    dsrecords.make_dataset([{"text": "x" * size} for size in sizes], "texts.rec", {"text": "str"})
    blocks = read_all(dsrecords.ray.Datasource("texts.rec"), 2)
    assert [len(text) for text in column(blocks, "text")] == sizes.tolist()
    large_ones = [block for block in blocks if block.nbytes > 10_100]
    assert [len(block) for block in large_ones] == [1]
    assert len(blocks) < 60


def test_what_is_compressed_is_bounded_as_it_is_read(folder, monkeypatch):
    from dsrecords.ray import datasource

    monkeypatch.setattr(datasource, "_BLOCK_BYTES", 100_000)
    texts = [{"text": "x" * 10_000} for _ in range(200)]
    dsrecords.make_dataset(texts, "texts.rec", {"text": "zstd(str)"})
    source = dsrecords.ray.Datasource("texts.rec")
    assert source.estimate_inmemory_data_size() == pytest.approx(2_000_000, rel=0.1)
    blocks = read_all(source, 2)
    assert max(block.nbytes for block in blocks) < 2 * 100_000
    assert sum(len(block) for block in blocks) == 200


# Images


def image_dataset(encoded, type="png"):
    rows = [{"image": image, "label": i} for i, image in enumerate(encoded)]
    dsrecords.make_dataset(rows, "images.rec", {"image": type, "label": "int64"}, overwrite=True)
    return "images.rec"


def test_images_are_files_unless_they_are_decoded(folder):
    path = image_dataset([png((4, 2)) for _ in range(10)])
    files = column(read_all(dsrecords.ray.Datasource(path)), "image")
    assert files[0] == png((4, 2))
    source = dsrecords.ray.Datasource(path, decode={"image": "rgb"})
    blocks = read_all(source)
    assert blocks[0].column_names == ["image", "label"]
    found = np.concatenate([arrays(block, "image") for block in blocks])
    assert found.shape == (10, 2, 4, 3) and found[3, 0, 0].tolist() == [7, 2, 3]
    assert source.estimate_inmemory_data_size() > 10 * 2 * 4 * 3
    assert column(blocks, "label") == list(range(10))


def test_images_of_several_sizes_are_tensors_too(folder):
    path = image_dataset([png((i % 3 + 1, 2)) for i in range(9)])
    blocks = read_all(dsrecords.ray.Datasource(path, decode={"image": "rgb"}), 1)
    shapes = [image.shape for block in blocks for image in arrays(block, "image")]
    assert shapes == [(2, i % 3 + 1, 3) for i in range(9)]
    copy = write([blocks], "copy.rec")
    assert copy.schema["image"] == "uint8[*,*,*]"


def test_images_that_are_broken_are_left_out_with_their_labels(folder):
    encoded = [png((2, 2), i) for i in range(20)]
    encoded[3] = encoded[3][:40]
    encoded[17] = encoded[17][:40]
    path = image_dataset(encoded, "png")
    source = dsrecords.ray.Datasource(path, decode={"image": "rgb"}, on_error="skip")
    blocks = read_all(source, 1)
    assert column(blocks, "label") == [i for i in range(20) if i not in (3, 17)]
    reds = [image[0, 0, 0] for block in blocks for image in arrays(block, "image")]
    assert reds == column(blocks, "label")
    with pytest.raises(dsrecords.DecodeError):
        read_all(dsrecords.ray.Datasource(path, decode={"image": "rgb"}))


def test_a_damaged_row_of_the_index_is_left_out(folder):
    rows = [{"label": i, "text": "x" * 50} for i in range(300)]
    dsrecords.make_dataset(rows, "texts.rec", {"label": "int64", "text": "str"})
    index = bytearray((folder / "texts.idx").read_bytes())
    index[len(index) // 2] ^= 255
    (folder / "texts.idx").write_bytes(index)
    with pytest.raises(dsrecords.CorruptError, match="the index's row"):
        dsrecords.ray.Datasource("texts.rec")
    source = dsrecords.ray.Datasource("texts.rec", on_error="skip")
    found = column(read_all(source), "label")
    assert len(found) == 299
    assert sorted(set(range(300)) - set(found)) == [error.record for error in _skipped("texts.rec")]


def _skipped(path):
    ds = dsrecords.open(path, on_error="skip")
    ds.column("text")
    return ds.skipped


def test_a_missing_image_is_no_tensor(folder):
    path = image_dataset([png((2, 2)), None], "png?")
    assert column(read_all(dsrecords.ray.Datasource(path)), "image")[1] is None
    with pytest.raises(ValueError, match=r"'image'.*no None.*filter"):
        read_all(dsrecords.ray.Datasource(path, decode={"image": "rgb"}))


# What is refused


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda ds: (dsrecords.open(ds.path, transform=len),), ValueError, "map_batches"),
        (lambda ds: (dsrecords.mix([ds], [1]),), TypeError, "a path, a dataset or a view"),
        (lambda ds: (ds, {"verify": False}), TypeError, "verify: these are for opening"),
        (lambda ds: (ds.path, {"decode": {"image": "pil"}}), ValueError, "no Pillow images"),
        (lambda ds: (ds.path, {"fields": ["lable"]}), dsrecords.SchemaError, "lable"),
        (lambda ds: ("nowhere.rec",), FileNotFoundError, "nowhere"),
    ],
    ids=["transform", "mix", "options", "pillow", "field", "missing"],
)
def test_what_cannot_be_read_is_told_of_at_once(folder, make, kind, says):
    path, *options = make(dsrecords.open(image_dataset([png((2, 2))])))
    with pytest.raises(kind, match=says):
        dsrecords.ray.Datasource(path, **(options[0] if options else {}))


# Writing


def block_of(*values):
    return pa.table({"label": list(values)})


def test_files_have_the_order_of_the_tasks(folder):
    blocks = [[block_of(5, 6)], [block_of(1, 2), block_of(3)], [block_of(9)]]
    copy = write(blocks, "copy.rec", numbers=[1, 0, 2])
    assert copy.column("label").tolist() == [1, 2, 3, 5, 6, 9]
    assert dsrecords.open("copy-*.rec").column("label").tolist() == [1, 2, 3, 5, 6, 9]
    assert copy.check() == []


def test_a_task_without_rows_leaves_an_empty_file_between_others(folder):
    nothing = block_of(1).slice(0, 0)
    labelled = block_of(2).replace_schema_metadata({"dsrecords.dataset": '{"metadata": {"a": 1}}'})
    copy = write(
        [[nothing], [block_of(1).cast(labelled.schema)], [nothing], [labelled]], "copy.rec"
    )
    assert len(copy.files) == 4 and copy.column("label").tolist() == [1, 2]
    assert copy.metadata == {"a": 1}
    assert len(dsrecords.open("copy-*.rec")) == 2


def test_no_records_need_a_schema(folder):
    with pytest.raises(dsrecords.SchemaError, match="there are no records: give a schema"):
        write([], "copy.rec")
    assert os.listdir(".") == []
    assert len(write([], "copy.rec", {"label": "int64"})) == 0


def test_a_task_that_is_tried_again_is_there_once(folder):
    sink = dsrecords.ray.Datasink("copy.rec")
    sink.on_write_start()
    context = types.SimpleNamespace(task_idx=0)
    sink.write([block_of(1, 2)], context)  # its worker was lost, and so is what it returned
    again = sink.write([block_of(1, 2)], context)
    sink.on_write_complete(types.SimpleNamespace(write_returns=[again]))
    assert dsrecords.open("copy.json").column("label").tolist() == [1, 2]
    assert len(os.listdir(".")) == 3
    with pytest.raises(ValueError, match="writes once"):
        sink.on_write_start()


def test_an_interruption_leaves_nothing(folder):
    class Interrupted:
        """A dataset of Ray whose user loses patience."""

        def write_datasink(self, sink, **_):
            sink.write([block_of(1)], types.SimpleNamespace(task_idx=0))
            assert os.listdir(".") != []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dsrecords.ray.write(Interrupted(), "copy.rec")
    assert os.listdir(".") == []


def test_a_given_schema_is_kept_to(folder):
    copy = write([[block_of(1)], [block_of(2)]], "copy.rec", {"label": "int8?"}, metadata={"a": 1})
    assert copy.schema == {"label": "int8?"} and copy.metadata == {"a": 1}
    with pytest.raises(dsrecords.SchemaError, match="label"):
        write([[block_of(1000)]], "other.rec", {"label": "int8"})


def test_another_dataset_than_one_of_ray_is_refused(folder):
    with pytest.raises(TypeError, match=r"a ray\.data\.Dataset is expected, not list"):
        dsrecords.ray.write([{"label": 1}], "copy.rec")
    assert os.listdir(".") == []


def test_the_minimum_of_rows_is_what_ray_asks_for():
    sink = dsrecords.ray.Datasink("copy.rec", min_rows_per_shard=500)
    assert sink.min_rows_per_write == 500
    with pytest.raises(ValueError, match="at least 1"):
        dsrecords.ray.Datasink("copy.rec", min_rows_per_shard=0)


# Schemas of files that were written apart


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("int64", "int64", "int64"),
        ("int64", "int64?", "int64?"),
        ("int64", None, "int64?"),
        ("str?", None, "str?"),
        ("list[int64]", "list[int64?]?", "list[int64?]?"),
        ("{a:int64?,b:str}", "{a:int64,b:str?}", "{a:int64?,b:str?}"),
        ("int32", "int64?", "int64?"),
        ("int64", "float64", "float64"),
        ("uint8[4,4,3]", "uint8[5,4,3]", "uint8[*,4,3]"),
        ("uint8[4,4,3]?", "uint8[*,*,*]", "uint8[*,*,*]?"),
        ("category[cat,dog]", "category[dog]?", "str?"),
    ],
)
def test_types_of_all_files_are_one(first, second, both):
    from dsrecords.ray.unify import unified

    assert unified([{"x": first}, {"x": second}]) == {"x": both}
    assert unified([{"x": second}, {"x": first}]) == {"x": both}


def test_a_field_that_a_file_does_not_have_can_be_none():
    from dsrecords.ray.unify import unified

    assert unified([{"x": "str"}, {"x": "str", "y": "int8"}]) == {"x": "str", "y": "int8?"}


@pytest.mark.parametrize(
    ("first", "second"),
    [("str", "int64"), ("uint8[3]", "uint8[3,3]"), ("uint8[3]", "int8[3]"), (None, None)],
    ids=["kinds", "dimensions", "dtypes", "unknown"],
)
def test_types_that_do_not_go_together_are_named(first, second):
    from dsrecords.ray.unify import unified

    with pytest.raises(dsrecords.SchemaError, match=r"'x'.*give a schema"):
        unified([{"x": first}, {"x": second}])
