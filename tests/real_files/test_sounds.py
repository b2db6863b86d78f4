"""Sounds that soundfile and SciPy write: kept to the byte, and decoded to what these libraries read themselves."""

import io

import numpy as np
import pytest
from conftest import large
from storing import back, read, refused, store

import dsrecords
from dsrecords import DecodeError, SchemaError

soundfile = large("soundfile")
wavfile = large("scipy.io.wavfile")

pytestmark = pytest.mark.large

RATE = 16_000
KNOWN = ("WAV", "WAVEX", "FLAC", "OGG", "MP3", "AIFF", "AU")
FILES = [
    (format, subtype)
    for format in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(format)
    if format not in ("RAW", "SD2")  # which no file says of itself
]
# What holds samples of a subtype as they are; other integers may be refused.
LOSSLESS = {
    **dict.fromkeys(("PCM_S8", "PCM_U8", "PCM_16", "ULAW", "ALAW"), ("int16", "int32", "float64")),
    **dict.fromkeys(("PCM_24", "PCM_32"), ("int32", "float64")),
}
DTYPES = ("int16", "int32", "float32", "float64")
FRAMES = 2000


def tone(channels=1):
    angles = np.linspace(0, 200, FRAMES)
    samples = np.stack([np.sin(angles * (1 + n)) * 0.5 for n in range(channels)], axis=1)
    return samples[:, 0] if channels == 1 else samples


def file_of(format, subtype, channels):
    """A file, or None where the format has not so many channels, or no encoder here."""
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, tone(channels), RATE, format=format, subtype=subtype)
    except (RuntimeError, ValueError):
        return None
    return buffer.getvalue()


def same(got, wanted):
    return got.dtype == wanted.dtype and np.array_equal(got, wanted)


def samples_of(data, dtype="float32"):
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return file.read(file.frames, dtype=dtype), file.samplerate


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 24_000, 44_100, 48_000])
def test_mp3_of_any_rate_is_taken(tmp_path, rate):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(), rate, format="MP3")
    data = buffer.getvalue()
    samples, read_rate = back(tmp_path, "audio", data)
    wanted, _ = samples_of(data)
    assert same(samples, wanted)
    assert read_rate == rate


@pytest.mark.parametrize(("format", "subtype"), FILES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_kept_and_read_as_soundfile_reads_it(tmp_path, format, subtype, channels):
    data = file_of(format, subtype, channels)
    if data is None:
        return
    if format not in KNOWN and refused(store, tmp_path, "audio", data):
        return
    path = store(tmp_path, "audio", data)
    assert read(path, "bytes") == data
    if subtype.startswith("DWVW"):  # which libsndfile writes, and does not read again here
        with pytest.raises(DecodeError):
            read(path)
        return
    wanted, rate = samples_of(data)
    for decoding in (None, "array"):
        got, got_rate = read(path, decoding)
        assert same(got, wanted) and (got_rate, type(got_rate)) == (rate, int)
    for dtype in DTYPES:
        if dtype in LOSSLESS.get(subtype, ("float64",)) or not refused(read, path, dtype):
            got, _ = read(path, dtype)
            wanted, _ = samples_of(data, dtype)
            assert same(got, wanted), dtype


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_file_of_scipy(tmp_path, dtype, channels):
    samples = tone(channels)
    if dtype == "uint8":
        samples = samples * 100 + 128
    elif dtype.startswith("int"):
        samples = samples * np.iinfo(dtype).max
    file = tmp_path / "tone.wav"
    wavfile.write(file, RATE, samples.astype(dtype))
    rate, wanted = wavfile.read(file)
    path = store(tmp_path, "audio", file)
    assert read(path, "bytes") == file.read_bytes()
    decoding = "int16" if dtype == "uint8" else dtype
    got, got_rate = read(path, decoding)
    assert got_rate == rate
    if dtype == "uint8":  # soundfile has no unsigned numbers
        wanted = (wanted.astype("<i2") - 128) * 256
    assert same(got, wanted)


# Samples


@pytest.mark.parametrize("shape", [(FRAMES,), (FRAMES, 1), (FRAMES, 2), (0,), (1,), (FRAMES, 6)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_samples_come_back_to_the_bit(tmp_path, shape, dtype, order):
    size = int(np.prod(shape))
    if dtype.startswith("int"):
        limits = np.iinfo(dtype)
        numbers = np.linspace(limits.min, limits.max, size)
    else:
        numbers = np.linspace(-1, 1, size)
    samples = numbers.reshape(shape).astype(np.dtype(dtype).newbyteorder(order))
    if size:
        got, rate = back(tmp_path, "audio", (samples, RATE), dtype)
        assert (got.dtype, got.shape, rate) == (np.dtype(dtype), shape, RATE)
        assert np.array_equal(got, samples)
    elif not refused(store, tmp_path, "audio", (samples, RATE)):
        assert back(tmp_path, "audio", (samples, RATE), dtype)[0].shape == shape


@pytest.mark.parametrize("kind", ["uint8", "int8", "int64", "float16", "complex64", "bool"])
def test_samples_of_other_dtypes_are_refused(tmp_path, kind):
    with pytest.raises(SchemaError):
        store(tmp_path, "audio", (np.zeros(5, kind), RATE))


def test_channels_first_are_noticed(tmp_path):
    with pytest.raises(SchemaError, match="channel"):
        store(tmp_path, "audio", (tone(2).T.astype("<f4"), RATE))


@pytest.mark.parametrize(
    "rate", [16_000.5, 0, -1, float("nan"), float("inf"), "16000", None, True, 2**40]
)
def test_a_rate_that_is_none_is_refused(tmp_path, rate):
    with pytest.raises(SchemaError):
        store(tmp_path, "audio", (tone().astype("<f4"), rate))


@pytest.mark.parametrize("rate", [16_000, 16_000.0, np.int32(16_000), np.float64(16_000)])
def test_a_rate_is_an_integer_or_refused(tmp_path, rate):
    samples = tone().astype("<f4")
    if not refused(store, tmp_path, "audio", (samples, rate)):
        got = back(tmp_path, "audio", (samples, rate))[1]
        assert (got, type(got)) == (16_000, int)


@pytest.mark.parametrize("peak", [1.5, -3.0, float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_beyond_one_are_kept(tmp_path, peak, dtype):
    samples = np.array([0, peak, 0.5], dtype)
    got, _ = back(tmp_path, "audio", (samples, RATE), dtype)
    assert np.array_equal(got, samples, equal_nan=True)


def test_a_column_and_a_list_of_sounds(tmp_path):
    data = file_of("FLAC", "PCM_16", 2)
    wanted, _ = samples_of(data, "int16")
    path, _ = dsrecords.make_dataset(
        [{"v": data, "w": [data, data]}], tmp_path / "a.rec", {"v": "audio", "w": "list[audio]"}
    )
    ds = dsrecords.open(path, decode={"v": "int16", "w": "int16"})
    assert same(ds.column("v")[0][0], wanted)
    assert [rate for _, rate in ds[0, "w"]] == [RATE, RATE] and same(ds[0, "w"][1][0], wanted)
