"""MessagePack, protobuf, simplejpeg, and types that a program registers, beyond what every type does."""

import io as std_io
import subprocess
import sys

import bytes_by_hand as by_hand
import make_golden
import numpy as np
import pytest
from conftest import SOURCE
from google.protobuf import duration_pb2, timestamp_pb2
from PIL import Image
from sameness import same

import dsrecords
from dsrecords import CorruptError, DecodeError, SchemaError, make_dataset
from dsrecords._types import registered

STAMP = "protobuf[google.protobuf.Timestamp]"


def made(folder, kind, *values):
    return make_dataset([{"x": value} for value in values], folder / "a.rec", {"x": kind})[0]


def by_hand_of(folder, kind, payload):
    log = by_hand.Log({"fields": [{"name": "x", "type": kind, "payload": 0}], "head": 32})
    log.record(payloads=[payload])
    (folder / "hand.rec").write_bytes(log.data)
    return folder / "hand.rec"


# Messages


def test_message_is_read_by_its_class_and_else_as_bytes(tmp_path):
    stamp = timestamp_pb2.Timestamp(seconds=5, nanos=7)
    path = made(tmp_path, STAMP, stamp, stamp.SerializeToString())
    assert dsrecords.open(path)[0, "x"] == stamp.SerializeToString()
    ds = dsrecords.open(path, decode={"x": timestamp_pb2.Timestamp})
    assert [row["x"] for row in ds] == [stamp, stamp]
    assert ds.column("x") == [stamp, stamp]


def test_class_of_another_message_is_refused(tmp_path):
    path = made(tmp_path, STAMP, timestamp_pb2.Timestamp())
    for decode in (duration_pb2.Duration, "array", object):
        with pytest.raises(SchemaError, match="the class of that message"):
            dsrecords.open(path, decode={"x": decode})
    with pytest.raises(
        SchemaError, match=r"a message google\.protobuf\.Timestamp, or its bytes, expected"
    ):
        dsrecords.open(path).append({"x": duration_pb2.Duration()})


def test_bytes_of_no_message_are_corrupt_and_named(tmp_path):
    ds = dsrecords.open(
        by_hand_of(tmp_path, STAMP, b"\xff\xff"), decode={"x": timestamp_pb2.Timestamp}
    )
    with pytest.raises(CorruptError, match="record 0, field 'x', byte 4128: not protobuf"):
        ds[0]


def test_msgpack_keeps_bytes_and_keys_of_any_kind(tmp_path):
    value = {"a": b"\0", 1: [1.5, None, True], b"k": 2**64 - 1}
    assert dsrecords.open(made(tmp_path, "msgpack", value))[0, "x"] == value


# JPEG by simplejpeg


def encoded(mode, form="JPEG"):
    buffer = std_io.BytesIO()
    Image.linear_gradient("L").resize((40, 24)).convert(mode).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "image"])
@pytest.mark.parametrize(("mode", "shape"), [("RGB", (24, 40, 3)), ("L", (24, 40))])
def test_simplejpeg_gives_what_pillow_gives(tmp_path, kind, mode, shape):
    path = made(tmp_path, kind, encoded(mode))
    fast = dsrecords.open(path, decode={"x": "simplejpeg"})[0, "x"]
    slow = dsrecords.open(path, decode={"x": "array"})[0, "x"]
    assert (fast.dtype, fast.shape) == (np.uint8, shape)
    assert np.abs(fast.astype(int) - slow).max() <= 2
    assert fast.flags.writeable


def test_simplejpeg_leaves_other_formats_to_pillow(tmp_path):
    path = made(tmp_path, "image", encoded("RGB", "PNG"))
    assert dsrecords.open(path, decode={"x": "simplejpeg"})[0, "x"].shape == (24, 40, 3)
    with pytest.raises(SchemaError, match="simplejpeg is for jpeg, this is png"):
        dsrecords.open(by_hand_of(tmp_path, "png", b""), decode={"x": "simplejpeg"})


def test_simplejpeg_leaves_jpegs_that_it_cannot_read_to_pillow(tmp_path):
    cut = encoded("RGB")[:-20]
    for data in (encoded("CMYK"), cut + b"\xff\xd9"):
        path = by_hand_of(tmp_path, "jpeg", data)
        fast = dsrecords.open(path, decode={"x": "simplejpeg"})[0, "x"]
        assert same(fast, dsrecords.open(path, decode={"x": "array"})[0, "x"])


def test_simplejpeg_that_is_not_installed_is_named_when_the_dataset_is_opened(
    tmp_path, monkeypatch
):
    path = made(tmp_path, "jpeg", encoded("RGB"))
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with pytest.raises(ImportError, match="pip install simplejpeg"):
        dsrecords.open(path, decode={"x": "simplejpeg"})


def test_jpeg_of_absurd_size_is_refused_and_takes_no_memory(tmp_path):
    data = bytearray(encoded("RGB"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xf0\x00\xf0\x00"
    ds = dsrecords.open(by_hand_of(tmp_path, "jpeg", bytes(data)), decode={"x": "simplejpeg"})
    with pytest.raises(DecodeError, match="3,774,873,600 pixels are more than"):
        ds[0]


@pytest.mark.parametrize(
    "payload", [b"\xff\xd8\xff", b"\xff\xd8\xff" + bytes(100), b"\x89PNG\r\n\x1a\n"]
)
def test_broken_jpeg_names_its_field(tmp_path, payload):
    error = DecodeError
    if payload[:1] == b"\x89":
        error = CorruptError  # the writer would not have taken it
    with pytest.raises(error, match="field 'x'"):
        dsrecords.open(by_hand_of(tmp_path, "jpeg", payload), decode={"x": "simplejpeg"})[0]


# Types of one's own


@pytest.fixture
def point():
    dsrecords.register_type("lab.point", dump_point, load_point)
    yield "lab.point"
    del registered.registry["lab.point"]


def dump_point(value):
    return f"{value[0]} {value[1]}".encode()


def load_point(data):
    x, y = data.split()
    return int(x), int(y)


def test_registered_type_is_written_and_read_by_its_functions(tmp_path, point):
    path, _ = make_dataset(
        [{"x": (1, 2), "y": [(3, 4), None], "z": {"p": None}}],
        tmp_path / "a.rec",
        {"x": point, "y": "list[lab.point?]", "z": {"p": "lab.point?"}},
    )
    assert dsrecords.open(path).schema == {
        "x": "ext(lab.point)",
        "y": "list[ext(lab.point)?]",
        "z": "{p:ext(lab.point)?}",
    }
    assert dsrecords.open(path)[0] == {"x": (1, 2), "y": [(3, 4), None], "z": {"p": None}}
    assert dsrecords.IndexedRecordDataset(
        path, schema={"x": point, "y": ["lab.point?"], "z": "{p:lab.point?}"}
    )[0, "x"] == (1, 2)


def test_reader_that_does_not_know_the_type_gets_bytes_and_one_warning(tmp_path, point):
    path = made(tmp_path, point, (1, 2), (3, 4))
    held = registered.registry.pop(point)
    ds = dsrecords.open(path)
    with pytest.warns(
        UserWarning,
        match=r"register_type\('lab.point', dump, load\) first; until then its values are bytes",
    ) as seen:
        assert [row["x"] for row in ds] == [b"1 2", b"3 4"]
    assert len(seen) == 1
    with pytest.raises(SchemaError, match="register_type"):
        ds.append({"x": (5, 6)})
    registered.registry[point] = held
    assert ds[1, "x"] == (3, 4)


def test_bytes_that_the_functions_cannot_read_are_not_called_corrupt(tmp_path, point):
    with pytest.raises(dsrecords.DecodeError, match="record 0, field 'x', byte 4128: ext"):
        dsrecords.open(by_hand_of(tmp_path, f"ext({point})", b"one two"))[0]


def test_what_the_function_writes_must_be_bytes(tmp_path, monkeypatch):
    monkeypatch.setitem(registered.registry, "wrong", (str, str))
    with pytest.raises(SchemaError, match="bytes expected, not a str"):
        made(tmp_path, "wrong", 5)


@pytest.mark.parametrize(
    "name",
    ["int64", "str", "jpeg", "list[int8]", "int8?", "a b", "", "1st", "category[a]", "custom(f)"],
)
def test_name_that_is_taken_or_none_is_refused(name):
    with pytest.raises(ValueError, match=r"is a type already|cannot be the name"):
        dsrecords.register_type(name, dump_point, load_point)
    assert name not in registered.registry


def test_name_is_registered_once_but_the_same_again_is_fine(point):
    dsrecords.register_type(point, dump_point, load_point)
    with pytest.raises(ValueError, match="registered with other functions"):
        dsrecords.register_type(point, dump_point, bytes.decode)


def test_functions_that_were_defined_again_take_the_place_of_the_old_ones(tmp_path):
    def register(separator):  # as when the cell of a notebook is run again
        def dump(value):
            return separator.join(value).encode()

        dsrecords.register_type("lab.again", dump, lambda data: data.decode().split(separator))

    try:
        register(" ")
        register("/")
        path = made(tmp_path, "lab.again", ["a", "b"])
        assert dsrecords.open(path)[0, "x"] == ["a", "b"]
        assert dsrecords.IndexedRecordDataset(path, deserializers={"x": bytes})[0, "x"] == b"a/b"
    finally:
        registered.registry.pop("lab.again", None)


# What is not installed

NEEDS = {
    "msgpack": ("msgpack", {"a": 1}, "msgpack"),
    "soundfile": ("audio", (np.zeros(8, "f4"), 8000), "soundfile"),
    "simplejpeg": ("jpeg", encoded("RGB"), "simplejpeg"),
    "av": ("video", make_golden.picture("three.mp4"), "av"),
}


@pytest.mark.parametrize("module", NEEDS)
def test_message_says_what_to_install(tmp_path, module):
    kind, value, package = NEEDS[module]
    path = made(tmp_path, kind, value)
    decode = {"x": "simplejpeg"} if kind == "jpeg" else None
    code = f"""import sys; sys.path.insert(0, {str(SOURCE)!r}); sys.modules[{module!r}] = None
import dsrecords
try: dsrecords.open({str(path)!r}, decode={decode!r})[0]
except ImportError as error: print(error)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"this needs the package {package}: pip install {package}\n"
