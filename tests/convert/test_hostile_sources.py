"""Damaged and hostile sources: an error of ours that names the place, no memory, nothing left behind."""

import contextlib
import gzip
import importlib
import io
import json
import os
import struct
import tarfile
import tracemalloc
import zipfile

import pytest
from sources import SHORT, picture

import dsrecords
from dsrecords import convert
from dsrecords._convert import json_lines

MOST = 32 * 2**20  # bytes of memory


@pytest.fixture(autouse=True, scope="module")
def packages_are_imported():
    """What is imported at a first conversion is memory, too, and none of a source's."""
    for name in ("pandas", "pyarrow.csv", "pyarrow.parquet", "h5py", "lmdb"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def cut(share):
    return lambda data: data[: int(len(data) * share)]


def flipped(share):
    def damage(data):
        place = min(int(len(data) * share), len(data) - 1)
        return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]

    return damage


DAMAGES = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "cut at 1/3": cut(1 / 3),
    "cut at 2/3": cut(2 / 3),
    "without the last byte": lambda data: data[:-1],
    "first flipped": flipped(0),
    "flipped at 1/10": flipped(0.1),
    "flipped in the middle": flipped(0.5),
    "last flipped": flipped(1),
    "garbage behind": lambda data: data + b"\0\xff garbage" * 99,
    "zeros": lambda data: bytes(len(data)),
}
OF_ONE_FILE = ("csv", "json-lines", "npy", "npz", "sqlite", "coco", "webdataset", "mxnet")


def attempt(path, target, name=None, **more):
    """Convert; True if that is an error of ours. Anything else is either a dataset that is whole, or a failure."""
    before = set(os.listdir(target.parent))
    tracemalloc.start()
    try:
        made = convert(path, target, source_format=name, **more)
    except (dsrecords.DSRecordsError, ValueError, FileNotFoundError) as error:
        assert str(error)
        return True
    else:
        assert len(dsrecords.open(made.path).check()) == 0
        return False
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MOST
        left = set(os.listdir(target.parent)) - before
        assert left <= {"out.rec", "out.idx"}, left


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", OF_ONE_FILE)
def test_damaged(tmp_path, name, damage):
    source = SHORT[name](tmp_path)
    data = DAMAGES[damage](source.path.read_bytes())
    source.path.write_bytes(data)
    target = tmp_path / "out.rec"
    refused = attempt(source.path, target, name)
    if damage in ("empty", "one byte", "zeros"):
        assert refused
    if not refused:
        target.unlink()
        (tmp_path / "out.idx").unlink()
    attempt(source.path, target, name, on_error="skip")


def deep(path):
    path.write_bytes(b'{"a": ' + b"[" * 100_000)


def wide(path):
    path.write_bytes(b'{"a": 1}\n{"a": "' + b"x" * 1000 + b'"\n')


def long_npy(path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }"
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


def pickled_npy(path):
    import numpy as np

    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)


def zip_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(10_000))
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 0xFFFFFFFE)  # the size that it says it has
    path.write_bytes(bytes(data))


def gzip_bomb(path):
    path.write_bytes(gzip.compress(b'{"a": "' + bytes(20) * 10**6))


def huge_member(path):
    info = tarfile.TarInfo("a.txt")
    info.size = 2**60
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 600)


def huge_name(path):
    info = tarfile.TarInfo("a")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 2**40
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))


def negative_pax(path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("0.txt")
        info.pax_headers = {"size": "-5"}
        archive.addfile(info)
    path.write_bytes(buffer.getvalue())


def loop_in_mxnet(path):
    path.write_bytes(struct.pack("<II", 0xCED7230A, 1 << 29 | 0x1FFFFFFF) + b"x" * 99)


def many_labels(path):
    content = struct.pack("<IfQQ", 0xFFFFFFFF, 0, 0, 0)
    path.write_bytes(struct.pack("<II", 0xCED7230A, len(content)) + content)


def coco_outside(path):
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "../../etc/passwd"}],
                "annotations": [],
                "categories": [],
            }
        )
    )


def coco_unhashable(path):
    path.write_text(
        json.dumps({"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": {}}]})
    )


def no_table(path):
    import sqlite3

    connection = sqlite3.connect(path)
    connection.executescript("CREATE VIEW loop AS SELECT * FROM missing")
    connection.close()


def long_cell(path):
    path.write_bytes(b'a,b\n1,"' + b"x" * 10_000 + b"\n" * 10)


HOSTILE = {
    "deep.jsonl": deep, "wide.jsonl": wide, "huge.npy": long_npy, "pickled.npy": pickled_npy, "bomb.npz": zip_bomb,
    "bomb.jsonl.gz": gzip_bomb, "huge.tar": huge_member, "name.tar": huge_name, "pax.tar": negative_pax,
    "loop.mx": loop_in_mxnet, "labels.mx": many_labels, "outside.json": coco_outside, "unhashable.json": coco_unhashable,
    "view.sqlite": no_table, "cell.csv": long_cell,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path, name, monkeypatch):
    monkeypatch.setattr(json_lines, "_LONGEST", 2**20)
    path = tmp_path / name
    HOSTILE[name](path)
    form = {".mx": "mxnet", ".json": "coco", ".gz": "json-lines"}.get(path.suffix)
    assert attempt(path, tmp_path / "out.rec", form)


ENTITY = '<!DOCTYPE a [<!ENTITY x "y">]><annotation><filename>&x;</filename></annotation>'


@pytest.mark.parametrize(
    "text",
    [ENTITY, "<annotation>", "", "<annotation><object/></annotation>", "\0", "x" * 5_000_000],
)
def test_hostile_xml(tmp_path, text):
    source = SHORT["voc"](tmp_path)
    (source.path / "Annotations" / "3.xml").write_text(text)
    assert attempt(source.path, tmp_path / "out.rec")
    with pytest.warns(UserWarning, match="left out"):
        made = convert(source.path, tmp_path / "out.rec", on_error="skip")
    assert (made.records, made.skipped) == (len(source.rows) - 1, 1)


def test_a_picture_that_is_none_names_its_file(tmp_path):
    source = SHORT["image-folder"](tmp_path)
    (source.path / "train" / "dog" / "3.jpg").write_bytes(b"no picture")
    with pytest.raises(dsrecords.SchemaError, match=r"dog/3\.jpg"):
        convert(source.path, tmp_path / "out.rec")
    (source.path / "train" / "dog" / "3.jpg").write_bytes(
        picture(1)[:100]
    )  # it begins well: images are not decoded
    assert convert(source.path, tmp_path / "out.rec").records == len(source.rows)
