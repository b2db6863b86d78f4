"""Each format becomes a dataset, value by value; what the standard library or NumPy can write."""

import builtins
import importlib.util
import json
import logging
import os
import tarfile

import numpy as np
import pytest
from sources import SHORT, of_csv, of_image_folder, of_json_lines, of_sqlite, of_tar, picture

import dsrecords
from dsrecords import convert
from dsrecords._cli.main import main


def undecoded(path):
    """The samples of a dataset, images as they are stored."""
    ds = dsrecords.open(path)
    media = ("image", "jpeg", "png", "audio", "video")
    decode = {name: "bytes" for name, kind in ds.schema.items() if kind.rstrip("?") in media}
    return list(ds.with_decode(decode))


def plain(value):
    """A value that can be compared by ==."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value


@pytest.mark.parametrize("name", SHORT)
def test_each_value_of_a_source_is_that_of_the_dataset(tmp_path, name):
    source = SHORT[name](tmp_path)
    target = tmp_path / "out.rec"
    found = convert(source.path)
    assert found.path is None and not target.exists()
    made = convert(source.path, target)
    assert made == found._replace(
        path=str(target), target_format="dsrecords", records=len(source.rows)
    )
    assert made.source_format == name
    assert plain(undecoded(target)) == plain(source.rows)


@pytest.mark.parametrize("name", SHORT)
def test_a_field_can_be_left_out_and_a_type_given(tmp_path, name):
    source = SHORT[name](tmp_path)
    schema = convert(source.path).schema
    first, *others = schema
    if others:
        made = convert(source.path, tmp_path / "out.rec", schema={first: None})
        assert list(made.schema) == others
        assert plain(undecoded(tmp_path / "out.rec")) == [
            {key: plain(row[key]) for key in others} for row in source.rows
        ]
    with pytest.raises(dsrecords.SchemaError, match="no such field"):
        convert(source.path, tmp_path / "other.rec", schema={"nothing": "str"})
    with pytest.raises(TypeError, match="no option"):
        convert(source.path, tmp_path / "other.rec", nothing=1)
    assert not (tmp_path / "other.rec").exists()


def test_the_schema_is_said_before_anything_is_written(tmp_path, caplog):
    source = of_csv(tmp_path)
    with caplog.at_level(logging.WARNING, "dsrecords"):
        convert(source.path, tmp_path / "out.rec")
    assert "'id': 'int64', 'score': 'float64?'" in caplog.text


# CSV


TRICKY = [
    ("007", "008"), ("1", "2.5"), ("1", ""), ("", ""), ("true", "False"), ("1e3", "-.5"), ("nan", "inf"), ("-0", "1"),
    ("+5", "6"), ("9223372036854775807", "1"), ("9223372036854775808", "1"), ("1_0", "2"), (" 1", "2"), ("0x1", "2"),
    ("2026-01-01", "2026-01-02"), ("a", "1"), ("1.", "2"), ("yes", "no"), ("T", "F"), ("NA", "1"), ("null", "2"), ("0", "00"),
]  # fmt: skip


def without_pyarrow(monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "pyarrow" else known(name, *more),
    )


def written(path, columns):
    names = [f"c{number}" for number in range(len(columns))]
    lines = [",".join(names), *(",".join(row) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines) + "\n")


EXPECTED = [
    "str",
    "float64",
    "int64?",
    "str",
    "bool",
    "float64",
    "float64",
    "float64",
    "float64",
    "int64",
    "float64",
    "str",
    "str",
    "str",
    "str",
    "str",
    "float64",
    "str",
    "str",
    "str",
    "str",
    "str",
]


def test_the_types_of_tricky_cells(tmp_path, monkeypatch):
    without_pyarrow(monkeypatch)
    written(tmp_path / "a.csv", TRICKY)
    assert list(convert(tmp_path / "a.csv").schema.values()) == EXPECTED


@pytest.mark.large
def test_pyarrow_gives_the_same_types_and_values(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    written(tmp_path / "a.csv", TRICKY)
    fast = convert(tmp_path / "a.csv", tmp_path / "fast.rec")
    assert list(fast.schema.values()) == EXPECTED
    without_pyarrow(monkeypatch)
    slow = convert(tmp_path / "a.csv", tmp_path / "slow.rec")
    assert slow.schema == fast.schema
    assert str(list(dsrecords.open(slow.path))) == str(list(dsrecords.open(fast.path)))


def test_the_index_of_pandas_has_a_name(tmp_path):
    (tmp_path / "a.csv").write_text(",x\n0,1\n1,2\n")
    made = convert(tmp_path / "a.csv", tmp_path / "a.rec")
    assert list(dsrecords.open(made.path)) == [{"unnamed_0": 0, "x": 1}, {"unnamed_0": 1, "x": 2}]
    (tmp_path / "b.csv").write_text("x,x\n0,1\n")
    with pytest.raises(dsrecords.CorruptError, match="'x' is there twice"):
        convert(tmp_path / "b.csv")


def test_separators_nulls_and_compression(tmp_path):
    import gzip

    (tmp_path / "a.tsv").write_text("x\ty\n1\tNA\n2\tb\n")
    made = convert(tmp_path / "a.tsv", tmp_path / "a.rec", null="NA")
    assert made.schema == {"x": "int64", "y": "str?"}
    assert list(dsrecords.open(made.path)) == [{"x": 1, "y": None}, {"x": 2, "y": "b"}]
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"x;y\n1;2,5\n"))
    assert convert(tmp_path / "b.csv.gz").schema == {"x": "int64", "y": "str"}


def test_a_bad_row_names_its_line_or_is_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3\n4,5\n")
    with pytest.raises(dsrecords.CorruptError, match=r"a\.csv.*(line 3|Row #3)"):
        convert(tmp_path / "a.csv", tmp_path / "a.rec")
    assert sorted(os.listdir(tmp_path)) == ["a.csv"]
    with pytest.warns(UserWarning, match="1 place of the source was left out: .*line 3"):
        made = convert(tmp_path / "a.csv", tmp_path / "a.rec", on_error="skip")
    assert (made.records, made.skipped) == (2, 1)
    assert dsrecords.open(made.path).metadata["skipped_samples"]["count"] == 1


def test_what_is_read_and_what_is_encoded_are_counted_together(tmp_path):
    source = of_image_folder(tmp_path)
    (source.path / "train" / "cat" / "0.jpg").write_bytes(b"")
    (source.path / "train" / "dog" / "1.txt").write_bytes(b"\xff")
    with pytest.raises(dsrecords.DSRecordsError):
        convert(source.path, tmp_path / "a.rec")
    seen = []
    with pytest.warns(UserWarning, match="left out"):
        made = convert(source.path, tmp_path / "a.rec", on_error=seen.append)
    assert (made.records, made.skipped, len(seen)) == (10, 2, 2)
    report = dsrecords.open(made.path).metadata["skipped_samples"]
    assert report["count"] == 2 and len(report["first"]) == 2


def test_if_nothing_can_be_read_it_is_an_error_all_the_same(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "b.jsonl").write_text("[1]\n[2]\n")
    with pytest.raises((dsrecords.DSRecordsError, ValueError)):
        convert(
            tmp_path / "b.jsonl", tmp_path / "b.rec", source_format="json-lines", on_error="skip"
        )
    with pytest.raises(ValueError, match="on_error"):
        convert(tmp_path / "a.jsonl", tmp_path / "a.rec", on_error="ignore")


# JSON Lines


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int64"), ([1, 2.5], "float64"), ([1, None], "int64?"), ([2**63, 1], "uint64"), ([2**64, 1], "json"),
        ([2**60, 0.5], "json"), ([[1], [2, 3]], "list[int64]"), ([[], [1.5]], "list[float64]"), ([[], []], "json"),
        ([{"a": 1}, {"a": 2}], {"a": "int64"}), ([{"a": 1}, {"b": 2}], "json"), (["x", 1], "json"), ([True, False], "bool"),
        ([True, 1], "json"), ([None, None], "str?"), ([[[1]], [[2]]], "list[list[int64]]"), ([{}, {}], "json"),
        ([[{"a": None}], [{"a": "x"}]], [{"a": "str?"}]), ([[1, None], [2]], "list[int64?]"),
    ],
)  # fmt: skip
def test_the_types_of_json(tmp_path, values, kind):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"v": value}) + "\n" for value in values))
    made = convert(path, tmp_path / "a.rec")
    assert made.schema == {"v": kind}
    assert [row["v"] for row in dsrecords.open(made.path)] == values


def test_an_object_of_base64_is_bytes_if_it_is_base64(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": {"base64": "AAE="}, "b": {"base64": "no!"}}')
    made = convert(tmp_path / "a.jsonl", tmp_path / "a.rec")
    assert list(dsrecords.open(made.path)) == [{"a": b"\0\1", "b": {"base64": "no!"}}]


def test_a_key_that_some_lines_lack_is_none_there(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": 2, "b": "x"}\n')
    made = convert(tmp_path / "a.jsonl", tmp_path / "a.rec")
    assert list(dsrecords.open(made.path)) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


# SQLite


def test_of_several_tables_one_is_named_and_a_query_is_one_too(tmp_path):
    import sqlite3

    source = of_sqlite(tmp_path)
    connection = sqlite3.connect(source.path)
    with connection:
        connection.execute("CREATE TABLE other (a)")
        connection.execute("INSERT INTO other VALUES (1), ('x'), (NULL)")
    connection.close()
    with pytest.raises(ValueError, match="'my rows', 'other'"):
        convert(source.path)
    assert convert(source.path, table="other").schema == {"a": "json?"}
    made = convert(
        source.path, tmp_path / "a.rec", query='SELECT id * 2 AS twice FROM "my rows" WHERE id > 9'
    )
    assert list(dsrecords.open(made.path)) == [{"twice": 20}, {"twice": 22}]


# Pictures


def test_metadata_beside_pictures(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    lines = []
    for i in range(4):
        (root / f"{i}.png").write_bytes(picture(i, "PNG"))
        lines.append(
            json.dumps({"file_name": f"{i}.png", "text": f"text {i}", "boxes": [[1, 2]] * i})
        )
    (root / "metadata.jsonl").write_text("\n".join(lines))
    made = convert(root, tmp_path / "a.rec")
    assert made.schema == {
        "image": "image",
        "name": "str",
        "text": "str",
        "boxes": "list[list[int64]]",
    }
    assert [row["boxes"] for row in dsrecords.open(made.path)] == [[[1, 2]] * i for i in range(4)]
    (root / "metadata.jsonl").write_text('{"file_name": "../secret.png"}')
    with pytest.raises(dsrecords.CorruptError, match="leads out of the folder"):
        convert(root, tmp_path / "b.rec")


def test_a_link_that_leads_to_a_folder_above_it(tmp_path):
    source = of_image_folder(tmp_path)
    (source.path / "train" / "cat" / "loop").symlink_to(source.path, target_is_directory=True)
    assert convert(source.path).records == len(source.rows)


def test_the_split_of_voc(tmp_path):
    source = SHORT["voc"](tmp_path)
    lists = source.path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("3\n1\n")
    made = convert(source.path, tmp_path / "a.rec", split="val")
    assert [row["name"] for row in dsrecords.open(made.path)] == ["3.jpg", "1.jpg"]
    with pytest.raises(ValueError, match="there are: val"):
        convert(source.path, split="train")


# WebDataset


def test_names_of_fields_in_archives(tmp_path):
    import io

    def archive(*samples):
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as file:
            for key, endings in enumerate(samples):
                for ending in endings:
                    info = tarfile.TarInfo(f"{key}.{ending}")
                    info.size = 1
                    file.addfile(info, io.BytesIO(b"1"))
        return list(convert(path).schema.items())[1:]

    assert archive(["jpg", "mask.png"], ["jpg"]) == [("jpg", "image"), ("mask", "image?")]
    assert archive(["jpg"], ["png"]) == [("image", "image")]
    assert archive(["jpg", "png"]) == [("jpg", "image"), ("png", "image")]
    assert archive(["a.txt", "a.json"]) == [("a.json", "json"), ("a.txt", "str")]
    assert archive(["pyd", "x.pth"]) == [("pyd", "bytes"), ("x.pth", "bytes")]


def test_an_archive_that_was_cut_short_between_two_files_is_noticed(tmp_path):
    source = of_tar(tmp_path)
    with tarfile.open(source.path) as archive:
        middle = archive.getmembers()[15].offset
    source.path.write_bytes(source.path.read_bytes()[:middle])
    with pytest.raises(dsrecords.CorruptError, match="cut short"):
        convert(source.path, tmp_path / "a.rec")
    with pytest.warns(UserWarning, match="cut short"):
        made = convert(source.path, tmp_path / "b.rec", on_error="skip")
    assert made.records >= 4


def test_a_pattern_means_all_files(tmp_path):
    for part in range(3):
        (tmp_path / f"{part}").mkdir()
        source = of_tar(tmp_path / f"{part}")
        source.path.rename(tmp_path / f"part-{part}.tar")
    made = convert(tmp_path / "part-*.tar", tmp_path / "a.rec")
    assert made.records == 3 * len(source.rows)
    assert plain(undecoded(made.path)) == 3 * plain(source.rows)
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "other-*.tar")
    for part in range(2):
        (tmp_path / f"{part}.csv").write_text("a\n1\n")
    with pytest.raises(ValueError, match="means 2 files, and CSV is read from one"):
        convert(tmp_path / "?.csv", source_format="csv")


def test_what_is_at_the_target_is_said_before_the_source_is_read(tmp_path, monkeypatch):
    source = of_csv(tmp_path)
    (tmp_path / "a.rec").write_text("mine")
    monkeypatch.setattr("dsrecords._convert.csv.CsvSource.types", None)  # is not called
    with pytest.raises(FileExistsError):
        convert(source.path, tmp_path / "a.rec")
    with pytest.raises(FileNotFoundError):
        convert(source.path, tmp_path / "nothing" / "a.rec")


def test_what_is_said_of_a_source_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.csv does not exist$"):
        convert(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match=r"a pattern as 'train-\*\.tar'"):
        convert(tmp_path / "train-{000..009}.tar")
    with pytest.raises(FileNotFoundError, match="only files of this machine are converted"):
        convert("s3://bucket/train.tar")


def test_a_dataset_is_not_converted_to_a_dataset(tmp_path):
    convert(of_csv(tmp_path).path, tmp_path / "a.rec")
    with pytest.raises(ValueError, match="copy its two files, or make one by dsrecords compact"):
        convert(tmp_path / "a.rec", tmp_path / "b.rec")


# Objects


class Vision:
    """As torchvision's datasets are."""

    classes = ("cat", "dog")

    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i > 2:
            raise IndexError(i)
        from PIL import Image

        return Image.new("RGB", (4, 4), (i, 0, 0)), i % 2


def test_objects(tmp_path):
    made = convert([{"a": 1}, {"a": 2}], tmp_path / "a.rec")
    assert made.source_format == "objects" and list(dsrecords.open(made.path)) == [
        {"a": 1},
        {"a": 2},
    ]
    made = convert(({"a": i} for i in range(2000)), tmp_path / "b.rec")
    assert made.records == 2000
    made = convert({"x": np.arange(5)}, tmp_path / "c.rec")
    assert dsrecords.open(made.path).column("x").tolist() == [0, 1, 2, 3, 4]
    made = convert(Vision(), tmp_path / "d.rec")
    assert made.schema == {"image": "image", "label": 'category["cat", "dog"]'}
    assert [row["label"] for row in dsrecords.open(made.path)] == ["cat", "dog", "cat"]


# What cannot be


def test_what_is_neither_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 \0\1\2")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "nothing", tmp_path / "a.rec")
    with pytest.raises(ValueError, match="an empty folder"):
        convert(tmp_path / "empty", tmp_path / "a.rec")
    with pytest.raises(ValueError, match="PDF"):
        convert(tmp_path / "a.pdf", tmp_path / "a.rec")
    source = of_csv(tmp_path)
    with pytest.raises(ValueError, match=r"to a \.rec first"):
        convert(source.path, tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="no format 'avro'"):
        convert(source.path, source_format="avro")
    convert(source.path, tmp_path / "a.rec")
    with pytest.raises(FileExistsError):
        convert(source.path, tmp_path / "a.rec")
    convert(source.path, tmp_path / "a.rec", overwrite=True)


def test_a_missing_package_is_named_with_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    known = builtins.__import__

    def fail(name, *more):
        if name.split(".")[0] == "h5py":
            raise ImportError(name)
        return known(name, *more)

    monkeypatch.setattr(builtins, "__import__", fail)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'dsrecords\[hdf5\]'"):
        convert(tmp_path / "a.h5", tmp_path / "a.rec")


# The command


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    of_csv(tmp_path)
    of_json_lines(tmp_path)
    assert main(["convert", "table.csv"]) == 0
    printed = capsys.readouterr().out
    assert "score: float64?" in printed and not os.path.exists("table.rec")
    assert main(["convert", "table.csv", "table.rec", "--type", "id=int32", "--drop", "name"]) == 0
    captured = capsys.readouterr()
    assert "12 records" in captured.out and "'id': 'int32'" in captured.err
    assert dsrecords.open("table.rec").schema == {
        "id": "int32",
        "score": "float64?",
        "is_test": "bool",
    }
    assert main(["convert", "table.rec", "again.tsv", "--option", "null=NA"]) == 0
    assert (tmp_path / "again.tsv").read_text().splitlines()[1] == "0\tNA\ttrue"
    assert main(["convert", "table.csv", "table.rec"]) == 3
    assert main(["convert", "table.csv", "x.rec", "--type", "id"]) == 2
    assert main(["convert", "table.csv", "x.rec", "--option", "tabel=x"]) == 2
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    assert main(["convert", "rows.jsonl", "rows.rec"]) == 3
    assert "line 2" in capsys.readouterr().err
    assert main(["convert", "rows.jsonl", "rows.rec", "--skip-errors"]) == 0
    assert len(dsrecords.open("rows.rec")) == 2
