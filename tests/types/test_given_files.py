"""What is given as a file and is none: the error says what it seems to be, and what to do."""

import base64
from pathlib import Path

import pytest
from make_golden import picture

import dsrecords
from dsrecords import SchemaError, io, make_dataset

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
WRONG = [
    ("https://example.org/a.png", "is a URL: download it"),
    (Path("https://example.org/a.png"), "is a URL: download it"),
    ("s3://bucket/a.png", "is a URL: download it"),
    ("data:image/png;base64,iVBORw0KGgo=", r"base64\.b64decode"),
    (base64.b64encode(bytes(9000)).decode(), r"too long for a path.*base64\.b64decode"),
    (LFS, "a Git LFS pointer: run git lfs pull"),
    (b"\n<!DOCTYPE html>\n<html><title>404", "a web page, .*download the file anew"),
    (b"<HTML lang=en>", "a web page"),
    (b"", "it is empty; .*say None, which types with a [?] take"),
    (b"hello", r"the type 'file' keeps a file of any kind, and io\.save_raw_file its bytes"),
    (b"%PDF-1.4", "a PDF document"),
    (None, "not None, which types with a [?] take"),
]


@pytest.mark.parametrize("kind", ["image", "png", "audio"])
@pytest.mark.parametrize(("value", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_no_file_of_the_kind(path, kind, value, message):
    with pytest.raises(SchemaError, match=f"record 0, field 'x': .*{message}"):
        make_dataset([{"x": value}], path, {"x": kind})


def test_a_pointer_in_a_file_and_in_the_place_of_a_dataset(tmp_path):
    (tmp_path / "a.png").write_bytes(LFS)
    with pytest.raises(SchemaError, match=r"the file .*a\.png is not PNG: .*run git lfs pull"):
        make_dataset([{"x": tmp_path / "a.png"}], tmp_path / "a.rec", {"x": "png"})
    (tmp_path / "b.rec").write_bytes(LFS)
    with pytest.raises(dsrecords.CorruptError, match="run git lfs pull"):
        dsrecords.open(tmp_path / "b.rec")


@pytest.mark.parametrize("kind", ["file", io.save_raw_file])
def test_a_url_is_no_missing_file(path, kind):
    with pytest.raises(SchemaError, match=r"record 0, field 'x': .*is a URL: download it"):
        make_dataset([{"x": "https://example.org/a.bin"}], path, {"x": kind})
    with pytest.raises(FileNotFoundError, match="a URL: download both files"):
        dsrecords.open("gopher://example.org/a.rec")


def test_a_file_that_is_one_is_taken(tmp_path):
    (tmp_path / "a:b.png").write_bytes(picture("red.png"))
    path, _ = make_dataset([{"x": str(tmp_path / "a:b.png")}], tmp_path / "a.rec", {"x": "png"})
    assert dsrecords.open(path, decode={"x": "bytes"})[0, "x"] == picture("red.png")
