"""Datasets in other formats, and back: the same values."""

import csv
import json
import os
import sqlite3
import tarfile

import numpy as np
import pytest
from sources import COUNT, picture
from test_importing import plain, undecoded

import dsrecords
from dsrecords import convert

SCHEMA = {
    "image": "jpeg", "id": "int64", "score": "float64?", "name": "str", "tags": "list[str]", "kind": "category[cat,dog]",
    "flag": "bool", "meta": "json", "vector": "float32[3]",
}  # fmt: skip


def row(i):
    return {
        "image": picture(i), "id": i, "score": None if i % 3 == 0 else i / 8, "name": f'a "{i}", é\n', "tags": ["x", "y"] * (i % 2),
        "kind": ("cat", "dog")[i % 2], "flag": i % 2 == 0, "meta": {"k": [i, None]}, "vector": np.arange(3, dtype=np.float32) / 2,
    }  # fmt: skip


ROWS = [row(i) for i in range(COUNT)]


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "data.rec"
    dsrecords.make_dataset(ROWS, path, SCHEMA)
    return path


def through(made, name, dropped=(), **schema):
    """The samples of a dataset that was written in another format, and made again."""
    target = made.parent / name
    written = convert(made, target, schema=dict.fromkeys(dropped))
    assert written.records == COUNT and os.path.exists(target)
    again = made.parent / "again.rec"
    convert(target, again, schema=schema, overwrite=True)
    return undecoded(again)


def expected(*dropped):
    return plain([{key: value for key, value in row.items() if key not in dropped} for row in ROWS])


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz"])
def test_csv(made, name):
    found = through(
        made,
        name,
        ["image"],
        tags="list[str]",
        meta="json",
        vector="float32[3]",
        kind="category[cat,dog]",
    )
    assert plain(found) == expected("image")


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson.xz"])
def test_json_lines(made, name):
    found = through(made, name, image="jpeg", vector="float32[3]")
    assert plain(found) == expected()
    opener = __import__("lzma").open if name.endswith("xz") else open
    with opener(made.parent / name, "rt", encoding="utf-8") as file:
        first = json.loads(next(file))
    assert first["name"] == ROWS[0]["name"] and list(first["image"]) == ["base64"]


def test_sqlite(made):
    found = through(
        made,
        "a.sqlite",
        image="jpeg",
        flag="int64",
        tags="str",
        meta="str",
        vector="str",
        kind="category[cat,dog]",
    )
    for one, wanted in zip(found, expected(), strict=True):
        for name in ("tags", "meta", "vector"):
            one[name] = json.loads(one[name])
        assert plain(one) == {**wanted, "flag": int(wanted["flag"])}


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_numpy(made, name):
    dropped = ("image", "score", "name", "tags", "kind", "meta")
    assert plain(through(made, name, dropped)) == expected(*dropped)
    with pytest.raises(dsrecords.SchemaError, match="does not hold"):
        convert(made, made.parent / "b.npz")
    assert not list(made.parent.glob("b.npz*"))


def test_a_single_field_as_npy_is_an_array_that_numpy_maps(made):
    convert(made, made.parent / "v.npy", schema=dict.fromkeys(set(SCHEMA) - {"vector"}))
    assert np.load(made.parent / "v.npy", mmap_mode="r").shape == (COUNT, 3)


def test_a_folder_of_pictures(made):
    convert(made, made.parent / "photos", target_format="image-folder")
    assert (
        made.parent / "photos" / "cat"
    ).is_dir() is False  # `kind` is no label unless it is said
    convert(made, made.parent / "by_kind", target_format="image-folder", label="kind")
    assert sorted(os.listdir(made.parent / "by_kind")) == ["cat", "dog", "metadata.jsonl"]
    again = convert(made.parent / "by_kind", made.parent / "again.rec")
    found = undecoded(again.path)
    assert sorted(row["image"] for row in found) == sorted(row["image"] for row in ROWS)
    for name in ("kind", "name"):
        assert {row["id"]: row[name] for row in found} == {row["id"]: row[name] for row in ROWS}


def test_hostile_names_stay_in_the_folder(tmp_path):
    names = ["../../evil", "/etc/passwd", "a/../../b", "..", "x" * 500, "same", "same", "nul\0l"]
    rows = [{"image": picture(i), "name": name} for i, name in enumerate(names)]
    dsrecords.make_dataset(rows, tmp_path / "a.rec", {"image": "jpeg", "name": "str"})
    (tmp_path / "in").mkdir()
    convert(tmp_path / "a.rec", tmp_path / "in" / "out", target_format="image-folder")
    assert sorted(os.listdir(tmp_path)) == ["a.idx", "a.rec", "in"]
    assert os.listdir(tmp_path / "in") == ["out"]
    found = list((tmp_path / "in" / "out").rglob("*.jpg"))
    assert len(found) == len(names)


def test_webdataset(made):
    found = through(made, "a.tar", kind="category[cat,dog]", flag="json")
    for i, one in enumerate(found):
        assert one.pop("__key__") == f"{i:09}"
    wanted = expected()
    assert plain([{key: one[key] for key in SCHEMA} for one in found]) == wanted
    with tarfile.open(made.parent / "a.tar") as archive:
        assert archive.getnames()[:4] == [
            f"000000000.{ending}" for ending in ("image.jpg", "id", "name.txt", "tags.json")
        ]


@pytest.mark.parametrize("name", ["a.bag"])
def test_bagz(made, name):
    found = through(made, name, image="json", vector="float32[3]", kind="category[cat,dog]")
    for one in found:
        del one["image"]
    assert plain(found) == expected("image")
    dsrecords.make_dataset(
        [{"image": picture(i)} for i in range(3)], made.parent / "p.rec", {"image": "jpeg"}
    )
    convert(made.parent / "p.rec", made.parent / "p.bag")
    made_again = convert(made.parent / "p.bag", made.parent / "p2.rec")
    assert made_again.schema == {"data": "image"}
    assert [row["data"] for row in undecoded(made_again.path)] == [picture(i) for i in range(3)]


def test_fields_without_names_and_an_open_dataset(tmp_path):
    dsrecords.make_dataset([(1, "a"), (2, "b")], tmp_path / "a.rec", ["int64", "str"])
    with dsrecords.open(tmp_path / "a.rec") as ds:
        convert(ds[::-1], tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        assert list(csv.reader(file)) == [["0", "1"], ["2", "b"], ["1", "a"]]


def test_what_is_there_stays_unless_it_may_go(made):
    target = made.parent / "a.jsonl"
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        convert(made, target)
    assert target.read_text() == "mine"
    convert(made, target, overwrite=True)
    assert len(target.read_text().splitlines()) == COUNT
    folder = made.parent / "folder"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    with pytest.raises(FileExistsError):
        convert(made, folder, target_format="image-folder", overwrite=True)
    assert os.listdir(folder) == ["mine"]


@pytest.mark.parametrize("name", ["a-%06d.tar", "a-*.tar", "a-{0..3}.jsonl", "%d.csv"])
def test_a_pattern_is_no_name_of_a_file(made, name):
    with pytest.raises(ValueError, match=r"not a pattern: for several, convert ds\.shard"):
        convert(made, made.parent / name)
    convert(made, made.parent / "100% done.jsonl")


def test_a_failure_leaves_nothing(made):
    ds = dsrecords.open(made)
    with pytest.raises(dsrecords.SchemaError, match="no place"):
        convert(made, made.parent / "a.csv")
    with pytest.raises(dsrecords.SchemaError, match="only None"):
        convert(made, made.parent / "a.jsonl", schema={"id": "str"})
    with pytest.raises(FileNotFoundError):
        convert(made, made.parent / "nothing" / "a.jsonl")
    with pytest.raises(ValueError, match="read only"):
        convert(ds, made.parent / "a", target_format="coco")
    with pytest.raises(ValueError, match="name does not say"):
        convert(ds, made.parent / "a.unknown")
    dsrecords.make_dataset([{"n": 2**64 - 1}], made.parent / "big.rec", {"n": "uint64"})
    with pytest.raises(dsrecords.SchemaError, match="no integer as large"):
        convert(made.parent / "big.rec", made.parent / "a.sqlite")
    assert sorted(os.listdir(made.parent)) == ["big.idx", "big.rec", "data.idx", "data.rec"]


def test_a_table_has_the_name_that_is_given(made):
    convert(made, made.parent / "a.db", schema={"image": None}, table='my "table"')
    connection = sqlite3.connect(made.parent / "a.db")
    assert connection.execute('SELECT count(*) FROM "my ""table"""').fetchone() == (COUNT,)
    connection.close()
