"""MessagePack, protobuf, audio, simplejpeg, and types that a program registers, beyond what every type does."""

import io as std_io
import subprocess
import sys

import bytes_by_hand as by_hand
import numpy as np
import pytest
import soundfile
from conftest import SOURCE
from google.protobuf import duration_pb2, timestamp_pb2
from PIL import Image

import dsrecords
from dsrecords import CorruptError, SchemaError, make_dataset
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


# Sound


def sound(samples, form, subtype):
    buffer = std_io.BytesIO()
    soundfile.write(buffer, samples, 8000, format=form, subtype=subtype)
    return buffer.getvalue()


WAVE = np.sin(np.arange(800) / 9).astype("f4")


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_16")],
)
def test_audio_file_is_kept_as_it_is_and_read_as_samples(tmp_path, form, subtype):
    data = sound(WAVE, form, subtype)
    (tmp_path / "file").write_bytes(data)
    path = made(tmp_path, "audio", data, tmp_path / "file", str(tmp_path / "file"))
    assert [row["x"] for row in dsrecords.open(path, decode={"x": "bytes"})] == [data] * 3
    samples, rate = dsrecords.open(path)[1, "x"]
    assert (rate, samples.dtype, samples.shape) == (8000, np.float32, (800,))
    assert np.abs(samples - WAVE).max() < 0.1


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_samples_are_written_without_loss_and_the_same_each_time(tmp_path, dtype):
    samples = (
        np.stack([WAVE, -WAVE], axis=1) * (1 if dtype[0] == "f" else np.iinfo(dtype).max)
    ).astype(dtype)
    path = made(tmp_path, "audio", (samples, 16_000))
    found, rate = dsrecords.open(path)[0, "x"]
    scale = 1 if dtype[0] == "f" else 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    assert rate == 16_000
    assert np.array_equal(found, (samples / scale).astype("f4"))
    data = dsrecords.open(path, decode={"x": "bytes"})[0, "x"]
    exact, _ = soundfile.read(std_io.BytesIO(data), dtype=dtype)
    assert np.array_equal(exact, samples)
    assert b"PEAK" not in data  # which has the time of day in it


def test_audio_that_claims_days_is_corrupt_before_it_is_read(tmp_path):
    data = bytearray(sound(np.zeros(100), "FLAC", "PCM_16"))
    data[21] |= 0x0F  # the highest of the 36 bits of the number of samples
    data[22:26] = b"\xff" * 4
    ds = dsrecords.open(by_hand_of(tmp_path, "audio", bytes(data)))
    with pytest.raises(CorruptError, match="68719476735 frames of 1 channels are too many"):
        ds[0]


def test_wrong_decoding_of_audio_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="'array' or 'bytes', not 'pil'"):
        dsrecords.open(made(tmp_path, "audio", sound(WAVE, "WAV", "PCM_16")), decode={"x": "pil"})


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


def test_jpeg_of_absurd_size_is_corrupt_and_takes_no_memory(tmp_path):
    data = bytearray(encoded("RGB"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xf0\x00\xf0\x00"
    ds = dsrecords.open(by_hand_of(tmp_path, "jpeg", bytes(data)), decode={"x": "simplejpeg"})
    with pytest.raises(CorruptError, match="61440 × 61440 pixels are more than"):
        ds[0]


@pytest.mark.parametrize(
    "payload", [b"\xff\xd8\xff", b"\xff\xd8\xff" + bytes(100), b"\x89PNG\r\n\x1a\n"]
)
def test_broken_jpeg_is_corrupt(tmp_path, payload):
    with pytest.raises(CorruptError, match="field 'x'"):
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


def test_bytes_that_the_functions_cannot_read_are_corrupt(tmp_path, point):
    with pytest.raises(CorruptError, match="record 0, field 'x', byte 4128: not ext"):
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
    "soundfile": ("audio", (WAVE, 8000), "soundfile"),
    "simplejpeg": ("jpeg", encoded("RGB"), "simplejpeg"),
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
