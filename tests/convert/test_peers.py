"""Sources that other libraries wrote in the test, and what these libraries read of what is written for them."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import flip, large
from sources import COUNT, picture
from test_exporting import ROWS, SCHEMA, expected
from test_importing import plain, undecoded

import dsrecords
from dsrecords import convert

GOLDEN = Path(__file__).parents[1] / "golden_convert"


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "data.rec"
    dsrecords.make_dataset(ROWS, path, SCHEMA)
    return path


# Those of which golden files are here: their packages do not install beside ours


def golden_picture(i):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8 + i, 8), (i * 9, 0, 0)).save(file, "JPEG")
    return file.getvalue()


def size_of(data):
    from PIL import Image

    return Image.open(io.BytesIO(data)).size


@pytest.mark.parametrize("name", ["mds", "mds-zstd"])
def test_mds_in_place_and_converted(tmp_path, name):
    if name == "mds-zstd":
        pytest.importorskip("zstandard")
    ds = dsrecords.open(GOLDEN / name)
    made = convert(GOLDEN / name, tmp_path / "a.rec")
    assert made.schema == ds.schema
    copy = dsrecords.open(made.path, decode={"image": "bytes", "jl": "bytes"})
    for i in (0, 7, 19):
        row = ds.with_decode({"image": "bytes", "jl": "bytes"})[i]
        assert size_of(row["image"]) == (8 + i, 8)
        assert [size_of(one) for one in row["jl"]] == [(8 + i, 8), (9 + i, 8)]
        assert (row["label"], row["name"], row["raw"], row["u"]) == (i, f"n{i}", bytes([i]), i)
        assert row["x"] == np.float32(i / 3) and row["si"] == i * 10**10 and row["m"] == {"k": [i]}
        assert row["a"].tolist() == list(range(i + 1)) and row["a"].dtype == np.int16
        assert row["b"].tolist() == [[i, i], [i, i]] and row["p"].getpixel((0, 0)) == (i, 0, 0)
        again = copy[i]
        assert np.array_equal(np.asarray(row.pop("p")), np.asarray(again.pop("p")))
        assert plain(row) == plain(again)
    assert ds.column("label").tolist() == list(range(20))
    assert ds.batch([3, 1], ["b"])["b"].shape == (2, 2, 2)
    assert ds[::-1][0, "label"] == 19 and ds.shard_of(19)[0].endswith(".mds")
    assert ds.check() == [] and dsrecords.info(ds).version == "MDS"
    assert next(iter(dsrecords.Loader(ds, 5, fields=["label"])))["label"].tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert ds.filter("label >= 18 and name == 'n19'").column("label").tolist() == [19]
    assert ds.sort("label", reverse=True)[0, "name"] == "n19"
    assert ds.value_counts("label") == dict.fromkeys(range(20), 1)
    with pytest.raises(dsrecords.SchemaError, match="MDS"):
        ds.filter("name is None")
    import pickle

    assert pickle.loads(pickle.dumps(ds))[4, "name"] == "n4"
    with pytest.raises(dsrecords.ReadOnlyError, match="convert"):
        ds.append({})
    for refused in (ds.to_arrow, lambda: ds.stored_sizes("name"), lambda: ds.lengths("name")):
        with pytest.raises(dsrecords.SchemaError, match=r"MDS.*convert"):
            refused()


def copied(tmp_path, name):
    import shutil

    shutil.copytree(GOLDEN / name, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("name", ["mds", "litdata"])
def test_damaged_shards(tmp_path, name):
    folder = copied(tmp_path, name)
    first, second, *_ = sorted(folder.glob("*.mds" if name == "mds" else "*.bin"))
    second.write_bytes(second.read_bytes()[:-9])
    with pytest.raises(dsrecords.CorruptError, match=second.name):
        convert(folder, tmp_path / "a.rec")
    with pytest.warns(UserWarning, match="left out"):
        made = convert(folder, tmp_path / "a.rec", on_error="skip")
    assert 0 < made.records < 20 and made.records + made.skipped >= 14
    second.unlink()
    with pytest.raises((dsrecords.CorruptError, FileNotFoundError), match=second.name):
        convert(folder, tmp_path / "b.rec")
    flip(first, 5)
    with pytest.raises(dsrecords.CorruptError, match=first.name):
        convert(folder, tmp_path / "c.rec")
    if name == "mds":
        assert len(dsrecords.open(folder).check()) >= 2


def edited(said, path, value):
    *path, last = path
    for key in path:
        said = said[key]
    said[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["shards"], []), (["shards", 0, "samples"], -1), (["shards", 0, "samples"], 10**12), (["shards", 0, "format"], "json"),
        (["shards", 0, "raw_data", "basename"], "../../etc/passwd"), (["shards", 0, "raw_data", "basename"], "/etc/passwd"),
        (["shards", 0, "column_sizes"], [1]), (["shards", 0, "column_sizes", 0], -4), (["shards", 0, "column_sizes", 0], 2**40),
        (["shards", 0, "column_encodings", 0], "os.system"), (["shards", 0, "column_encodings", 1], "ndarray:object:2"),
        (["shards", 1, "column_names", 0], "other"), (["shards", 0, "version"], 9), (["shards", 0, "raw_data"], None),
        (["shards", 0, "column_names", 0], "label"), (["shards", 0, "raw_data", "bytes"], 10**15),
    ],
)  # fmt: skip
def test_hostile_indexes_of_mds(tmp_path, path, value):
    folder = copied(tmp_path, "mds")
    index = folder / "index.json"
    said = json.loads(index.read_text())
    edited(said, path, value)
    index.write_text(json.dumps(said))
    with pytest.raises((dsrecords.DSRecordsError, FileNotFoundError)):
        [dsrecords.open(folder)[i] for i in range(20)]


def test_litdata(tmp_path):
    made = convert(GOLDEN / "litdata", tmp_path / "a.rec")
    ds = dsrecords.open(made.path, decode={"image": "bytes"})
    assert len(ds) == 20
    for i in (0, 7, 19):
        row = ds[i]
        assert size_of(row["image"]) == (8 + i, 8)
        assert (row["label"], row["x"], row["name"], row["raw"], row["f"]) == (
            i,
            i / 3,
            f"n{i}",
            bytes([i]),
            i % 2 == 0,
        )
        assert (
            row["a"].tolist() == [[i] * 3] * 2
            and row["t"].tolist() == [i, i]
            and len(row["v"]) == i + 1
        )
        assert row["p"].getpixel((0, 0)) == (i, 0, 0)


# Hugging Face


def features(datasets):
    label = datasets.ClassLabel(names=["cat", "dog"])
    return datasets.Features(
        {
            "image": datasets.Image(), "label": label, "x": datasets.Value("float32"), "text": datasets.Value("string"),
            "labels": datasets.List(label), "objects": datasets.List({"bbox": datasets.List(datasets.Value("float32"), length=4), "kind": label}),
            "grid": datasets.Array2D((2, 2), "float32"), "inner": {"image": datasets.Image(), "n": datasets.Value("int8")},
            "sound": datasets.Audio(sampling_rate=8000), "ids": datasets.List(datasets.Value("int32")),
        }
    )  # fmt: skip


def sound(i):
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes([i]) * 20)
    return file.getvalue()


def hugging_row(i):
    return {
        "image": {"bytes": picture(i), "path": None}, "label": -1 if i == 3 else i % 2, "x": 0.1 * i, "text": None if i == 2 else str(i),
        "labels": [0, 1][: i % 3], "objects": [{"bbox": [1, 2, 3, i], "kind": 1}] * (i % 3), "grid": [[1, 2], [3, i]],
        "inner": {"image": {"bytes": picture(i + 1), "path": None}, "n": i}, "sound": {"bytes": sound(i), "path": None}, "ids": [i] * i,
    }  # fmt: skip


@pytest.fixture
def hugging():
    datasets = large("datasets")
    wanted = features(datasets)
    sounds = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    stored = datasets.Features({**wanted, "sound": sounds})
    made = datasets.Dataset.from_list([hugging_row(i) for i in range(8)], features=stored)
    return made.cast_column(
        "sound", wanted["sound"]
    )  # to encode sounds it would need more packages


@pytest.mark.large
@pytest.mark.filterwarnings("ignore")
class TestHuggingFace:
    def check(self, path, order=range(8)):
        ds = dsrecords.open(
            path, decode={"image": "bytes", "inner": {"image": "bytes"}, "sound": "bytes"}
        )
        names = ["cat", "dog"]
        for row, i in zip(ds, order, strict=True):
            given = hugging_row(i)
            assert row["image"] == picture(i) and row["inner"] == {"image": picture(i + 1), "n": i}
            assert row["sound"] == sound(i)
            assert row["label"] == (None if i == 3 else names[i % 2])
            assert row["labels"] == [names[k] for k in given["labels"]]
            assert plain(row["objects"]) == [{"bbox": [1, 2, 3, i], "kind": "dog"}] * (i % 3)
            assert row["x"] == np.float32(0.1 * i) and row["text"] == given["text"]
            assert row["grid"].tolist() == given["grid"] and row["ids"] == given["ids"]

    def test_make_dataset_keeps_files_and_names(self, tmp_path, hugging):
        dsrecords.make_dataset(hugging, tmp_path / "a.rec")
        self.check(tmp_path / "a.rec")
        dsrecords.make_dataset(hugging.select([5, 1, 3]), tmp_path / "b.rec")
        self.check(tmp_path / "b.rec", [5, 1, 3])
        dsrecords.make_dataset(hugging.to_iterable_dataset(), tmp_path / "c.rec")
        self.check(tmp_path / "c.rec")
        assert dsrecords.open(tmp_path / "a.rec").schema["x"] == "float32"

    def test_there_and_back(self, tmp_path, hugging):
        import datasets

        hugging.save_to_disk(str(tmp_path / "in"))
        convert(tmp_path / "in", tmp_path / "a.rec")
        self.check(tmp_path / "a.rec")
        convert(tmp_path / "a.rec", tmp_path / "out.hf")
        back = datasets.load_from_disk(str(tmp_path / "out.hf"))
        assert back.features == hugging.features
        raw = back.cast_column("image", datasets.Image(decode=False))
        assert [row["image"]["bytes"] for row in raw.select_columns("image")] == [
            picture(i) for i in range(8)
        ]
        assert back["x"][:] == hugging["x"][:] and back["objects"][:] == hugging["objects"][:]

    def test_splits(self, tmp_path, hugging):
        import datasets

        both = datasets.DatasetDict({"train": hugging, "test": hugging.select([1])})
        both.save_to_disk(str(tmp_path / "in"))
        for given in (tmp_path / "in", both):
            made = convert(given, tmp_path / "a.rec", overwrite=True)
            assert made.schema["split"] == 'category["test", "train"]' and made.records == 9
        assert convert(tmp_path / "in", split="test").records == 1
        with pytest.raises(ValueError, match="train, test"):
            convert(tmp_path / "in", split="val")
        convert(tmp_path / "a.rec", tmp_path / "out.hf")
        back = datasets.load_from_disk(str(tmp_path / "out.hf"))
        assert {name: len(part) for name, part in back.items()} == {"train": 8, "test": 1}

    def test_a_transform_of_the_users_counts(self, tmp_path, hugging):
        hugging = hugging.select_columns(["ids"])
        hugging.set_transform(lambda batch: {"n": [len(x) for x in batch["ids"]]})
        dsrecords.make_dataset(hugging, tmp_path / "a.rec")
        assert dsrecords.open(tmp_path / "a.rec").column("n").tolist() == list(range(8))

    def test_damaged(self, tmp_path, hugging):
        hugging.save_to_disk(str(tmp_path / "in"))
        (file,) = (tmp_path / "in").glob("*.arrow")
        file.write_bytes(file.read_bytes()[:200])
        with pytest.raises(dsrecords.CorruptError):
            convert(tmp_path / "in", tmp_path / "a.rec")


# Arrow


@pytest.mark.large
@pytest.mark.parametrize("ending", ["parquet", "feather", "arrow", "arrows"])
def test_arrow(tmp_path, made, ending):
    arrow = large("pyarrow")

    convert(made, tmp_path / f"a.{ending}")
    again = convert(tmp_path / f"a.{ending}", tmp_path / "again.rec")
    assert again.schema == SCHEMA
    assert plain(undecoded(again.path)) == expected()
    table = arrow.table(
        {"a": [1, None, 3], "b": ["x", "y", None], "c": [[1.5], [], [2.0]], "d": [{"e": 1}] * 3}
    )
    path = tmp_path / f"theirs.{ending}"
    if ending == "parquet":
        arrow.parquet.write_table(table, path)
    else:
        new = arrow.ipc.new_stream if ending == "arrows" else arrow.ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table)
    found = convert(path, tmp_path / "theirs.rec")
    assert found.schema == {"a": "int64?", "b": "str?", "c": "list[float64]", "d": {"e": "int64"}}
    assert list(dsrecords.open(found.path)) == table.to_pylist()
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], data[:7], data[:60] + b"\xff" * 40 + data[100:]):
        path.write_bytes(damaged)
        try:
            convert(path, tmp_path / "damaged.rec", overwrite=True)
        except (dsrecords.DSRecordsError, ValueError) as error:
            assert str(error)


# Records of bytes


@pytest.mark.large
def test_tfrecord(tmp_path, made):
    large("google_crc32c")
    tfrecord = large("tfrecord")
    path = tmp_path / "theirs.tfrecord"
    writer = tfrecord.TFRecordWriter(str(path))
    for i in range(COUNT):
        writer.write(
            {
                "image": (picture(i), "byte"), "label": (i, "int"), "x": ([i / 2, 0.1], "float"), "name": (f"é{i}".encode(), "byte"),
                "ids": (list(range(-1, i % 3)), "int"),
            }
        )  # fmt: skip
    writer.close()
    found = convert(path, tmp_path / "a.rec")
    assert found.schema == {
        "ids": "int64[*]",
        "image": "image",
        "label": "int64",
        "name": "str",
        "x": "float32[2]",
    }
    for i, row in enumerate(undecoded(found.path)):
        assert (row["image"], row["label"], row["name"]) == (picture(i), i, f"é{i}")
        assert row["x"].tolist() == [i / 2, np.float32(0.1)] and row["ids"].tolist() == list(
            range(-1, i % 3)
        )
    data = bytearray(path.read_bytes())
    data[data.index(picture(5)) + 30] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(dsrecords.CorruptError, match=r"record \d+: the checksum"):
        convert(path, tmp_path / "b.rec")
    with pytest.warns(UserWarning, match="checksum"):
        assert convert(path, tmp_path / "b.rec", on_error="skip").records == COUNT - 1
    path.write_bytes(bytes(data[:-100]))
    with pytest.raises(dsrecords.CorruptError):
        convert(path, tmp_path / "c.rec")
    # and what they read of ours
    convert(made, tmp_path / "ours.tfrecord", schema={"score": None})
    read = list(
        tfrecord.tfrecord_loader(
            str(tmp_path / "ours.tfrecord"), None, {"id": "int", "image": "byte", "vector": "float"}
        )
    )
    assert [int(row["id"][0]) for row in read] == list(range(COUNT))
    assert bytes(read[3]["image"]) == picture(3) and read[3]["vector"].tolist() == [0, 0.5, 1]


@pytest.mark.large
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of theirs
def test_webdataset(tmp_path, made):
    wds = large("webdataset")
    path = tmp_path / "theirs.tar"
    with wds.TarWriter(str(path)) as sink:
        for i in range(COUNT):
            sink.write(
                {
                    "__key__": f"{i:03}",
                    "jpg": picture(i),
                    "cls": i,
                    "json": {"a": i},
                    "npy": np.arange(i),
                }
            )
    found = convert(path, tmp_path / "a.rec")
    assert found.schema == {
        "__key__": "str",
        "cls": "int64",
        "jpg": "image",
        "json": "json",
        "npy": "array",
    }
    for i, row in enumerate(undecoded(found.path)):
        assert (row["__key__"], row["jpg"], row["cls"], row["json"]) == (
            f"{i:03}",
            picture(i),
            i,
            {"a": i},
        )
        assert row["npy"].tolist() == list(range(i))
    convert(made, tmp_path / "ours.tar")
    read = list(wds.WebDataset(str(tmp_path / "ours.tar"), shardshuffle=False))
    assert [row["image.jpg"] for row in read] == [picture(i) for i in range(COUNT)]
    assert [int(row["id"]) for row in read] == list(range(COUNT))


@pytest.mark.large
def test_bagz(tmp_path):
    bagz = large("bagz")
    pytest.importorskip("zstandard")
    for name in ("a.bagz", "a.bag"):
        with bagz.Writer(str(tmp_path / name)) as writer:
            for i in range(COUNT):
                writer.write(json.dumps({"i": i, "t": "x" * i}).encode())
        found = convert(tmp_path / name, tmp_path / "a.rec", overwrite=True)
        assert list(dsrecords.open(found.path)) == [{"i": i, "t": "x" * i} for i in range(COUNT)]
        convert(tmp_path / "a.rec", tmp_path / f"ours-{name}")
        assert [json.loads(data) for data in bagz.Reader(str(tmp_path / f"ours-{name}"))] == list(
            dsrecords.open(found.path)
        )
    data = (tmp_path / "a.bag").read_bytes()
    (tmp_path / "a.bag").write_bytes(data[:-3])
    with pytest.raises(dsrecords.CorruptError):
        convert(tmp_path / "a.bag", tmp_path / "b.rec")


@pytest.mark.large
def test_array_record(tmp_path):
    module = large("array_record.python.array_record_module")
    path = tmp_path / "a.array_record"
    writer = module.ArrayRecordWriter(str(path), "group_size:4")
    for i in range(COUNT):
        writer.write(picture(i))
    writer.close()
    found = convert(path, tmp_path / "a.rec")
    assert found.schema == {"data": "image"}
    assert [row["data"] for row in undecoded(found.path)] == [picture(i) for i in range(COUNT)]


@pytest.mark.large
def test_lmdb(tmp_path, made):
    lmdb = large("lmdb")
    environment = lmdb.open(str(tmp_path / "theirs"), map_size=2**24)
    with environment.begin(write=True) as transaction:
        for i in range(COUNT):
            transaction.put(f"{i:04}".encode(), picture(i))
    environment.close()
    found = convert(tmp_path / "theirs", tmp_path / "a.rec")
    assert undecoded(found.path) == [{"key": f"{i:04}", "data": picture(i)} for i in range(COUNT)]
    convert(tmp_path / "a.rec", tmp_path / "ours.lmdb")
    environment = lmdb.open(str(tmp_path / "ours.lmdb"), readonly=True, lock=False)
    with environment.begin() as transaction:
        assert transaction.get(b"0003") == picture(3) and transaction.stat()["entries"] == COUNT
    environment.close()
    convert(made, tmp_path / "json.lmdb")
    assert convert(tmp_path / "json.lmdb", tmp_path / "json.rec").records == COUNT
    data = (tmp_path / "theirs" / "data.mdb").read_bytes()
    (tmp_path / "theirs" / "data.mdb").write_bytes(data[:100])
    with pytest.raises(dsrecords.CorruptError):
        convert(tmp_path / "theirs", tmp_path / "b.rec")


@pytest.mark.large
def test_hdf5(tmp_path, made):
    h5py = large("h5py")
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(COUNT * 6, dtype=np.float32).reshape(COUNT, 2, 3)
        file["g/label"] = np.arange(COUNT, dtype=np.int16)
        file.create_dataset("name", data=[f"é{i}" for i in range(COUNT)], dtype=h5py.string_dtype())
        ragged = file.create_dataset("ids", (COUNT,), h5py.vlen_dtype(np.int32))
        for i in range(COUNT):
            ragged[i] = np.arange(i)
    found = convert(path, tmp_path / "a.rec")
    assert found.schema == {
        "g/label": "int16",
        "ids": "int32[*]",
        "name": "str",
        "x": "float32[2,3]",
    }
    for i, row in enumerate(dsrecords.open(found.path)):
        assert (row["g/label"], row["name"], len(row["ids"])) == (i, f"é{i}", i)
        assert row["x"].tolist() == (np.arange(6).reshape(2, 3) + 6 * i).tolist()
    assert convert(path, group="g").schema == {"label": "int16"}
    convert(made, tmp_path / "ours.h5", schema=dict.fromkeys(("score", "tags", "kind", "meta")))
    with h5py.File(tmp_path / "ours.h5") as file:
        assert bytes(file["image"][3]) == picture(3) and file["vector"].shape == (COUNT, 3)
    again = convert(tmp_path / "ours.h5", tmp_path / "b.rec")
    assert plain(list(dsrecords.open(again.path)))[2]["name"] == ROWS[2]["name"]
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(dsrecords.CorruptError):
        convert(path, tmp_path / "c.rec")
