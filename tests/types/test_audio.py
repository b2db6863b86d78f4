"""Audio: files as they are, samples that come back as they were given, and what is refused."""

import io

import bytes_by_hand as by_hand
import numpy as np
import pytest
import soundfile
from conftest import large

import dsrecords
from dsrecords import DecodeError, SchemaError, make_dataset

WAVE = np.sin(np.arange(800) / 9).astype("f4")
DTYPES = ["int16", "int32", "float32", "float64"]


def made(folder, *values):
    rows = [{"x": value} for value in values]
    return make_dataset(rows, folder / "a.rec", {"x": "audio"}, overwrite=True)[0]


def back(folder, value, decoding="array"):
    return dsrecords.open(made(folder, value), decode={"x": decoding})[0, "x"]


def by_hand_of(folder, payload):
    log = by_hand.Log({"fields": [{"name": "x", "type": "audio", "payload": 0}], "head": 32})
    log.record(payloads=[payload])
    (folder / "hand.rec").write_bytes(log.data)
    return folder / "hand.rec"


def sound(samples, form, subtype):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8000, format=form, subtype=subtype)
    return buffer.getvalue()


def scaled(dtype):
    """WAVE in two channels, as loud as the dtype allows."""
    stereo = np.stack([WAVE, -WAVE], axis=1)
    if dtype.startswith("float"):
        return stereo.astype(dtype)
    return (stereo * np.iinfo(dtype).max).astype(dtype)


# Files


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_16")],
)
def test_audio_file_is_kept_as_it_is_and_read_as_samples(tmp_path, form, subtype):
    data = sound(WAVE, form, subtype)
    (tmp_path / "file").write_bytes(data)
    path = made(tmp_path, data, tmp_path / "file", str(tmp_path / "file"))
    assert [row["x"] for row in dsrecords.open(path, decode={"x": "bytes"})] == [data] * 3
    samples, rate = dsrecords.open(path)[1, "x"]
    assert (rate, samples.dtype, samples.shape) == (8000, np.float32, (800,))
    assert np.abs(samples - WAVE).max() < 0.1


# Samples


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", "<>")
def test_samples_come_back_as_they_were_given(tmp_path, dtype, order):
    samples = scaled(dtype)
    given = samples.astype(samples.dtype.newbyteorder(order))
    found, rate = back(tmp_path, (given, 16_000), dtype)
    assert (rate, found.dtype, found.shape) == (16_000, samples.dtype, (800, 2))
    assert found.tobytes() == samples.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (5,), (5, 1), (0, 1), (0, 2), (1, 2), (5, 3), (1, 16)])
def test_shape_comes_back(tmp_path, dtype, shape):
    samples = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    for decoding in (dtype, "array"):
        assert back(tmp_path, (samples, 8000), decoding)[0].shape == shape
    assert np.array_equal(back(tmp_path, (samples, 8000), dtype)[0], samples)


@pytest.mark.parametrize("dtype", DTYPES)
def test_array_is_float32_of_full_scale(tmp_path, dtype):
    samples = scaled(dtype)
    scale = 1 if dtype.startswith("float") else 2.0 ** (8 * samples.itemsize - 1)
    for decoding in ("array", "float32"):
        found, _ = back(tmp_path, (samples, 8000), decoding)
        assert found.dtype == np.float32
        assert np.array_equal(found, (samples / scale).astype("f4"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_samples_are_the_same_bytes(tmp_path, dtype):
    data = back(tmp_path, (scaled(dtype), 8000), "bytes")
    assert data == back(tmp_path, (scaled(dtype), 8000), "bytes")
    assert b"PEAK" not in data  # which has the time of day in it


def test_floats_beyond_full_scale_and_nan_are_kept(tmp_path):
    samples = np.array([np.nan, np.inf, -np.inf, 1.5, -0.0, 1e-40], "f4")
    assert back(tmp_path, (samples, 8000))[0].tobytes() == samples.tobytes()


def test_views_of_any_layout_are_taken(tmp_path):
    samples = scaled("int16")
    for given in (np.asfortranarray(samples), samples[::-1, ::-1], samples[::3]):
        assert np.array_equal(back(tmp_path, (given, 8000), "int16")[0], given)


def test_integers_of_fewer_bits_are_read_at_full_scale(tmp_path):
    data = sound(np.array([0, 2**15 - 1, -(2**15)], "i2"), "WAV", "PCM_16")
    assert back(tmp_path, data, "int32")[0].tolist() == [0, (2**15 - 1) << 16, -(2**31)]
    for subtype in ("PCM_U8", "ULAW", "ALAW"):
        data = sound(WAVE, "WAV", subtype)
        found = back(tmp_path, data, "int16")[0]
        assert np.array_equal(found / 2.0**15, back(tmp_path, data, "float64")[0])


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "GSM610"), ("AU", "G721_32")])
def test_encodings_that_are_not_sought_in_are_read(tmp_path, form, subtype):
    data = sound(WAVE, form, subtype)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        wanted = file.read(file.frames, "float32")
    assert len(wanted) >= 800
    assert np.array_equal(back(tmp_path, data)[0], wanted)


@pytest.mark.large
def test_tensors_are_taken(tmp_path):
    torch = large("torch")
    samples = scaled("int16")
    for given in (torch.from_numpy(samples), torch.from_numpy(samples.T.copy()).T):
        assert np.array_equal(back(tmp_path, (given, 8000), "int16")[0], samples)


# What is refused


TAKEN_AS_RATES = [16_000, np.int32(16_000), 16_000.0, np.float64(16_000), np.array(16_000)]


@pytest.mark.parametrize("rate", TAKEN_AS_RATES, ids=repr)
def test_rate_is_a_whole_number(tmp_path, rate):
    found = back(tmp_path, (WAVE, rate))[1]
    assert found == 16_000
    assert type(found) is int


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
@pytest.mark.parametrize("samples", [WAVE, WAVE.astype("i2")])
def test_lowest_and_highest_rate(tmp_path, rate, samples):
    assert back(tmp_path, (samples, rate))[1] == rate


REFUSED = {
    "a rate of half a Hz": ((WAVE, 22_050.5), "a whole number of Hz, not a float .22050.5"),
    "NaN": ((WAVE, float("nan")), "a whole number of Hz, not a float"),
    "a bool": ((WAVE, True), "a whole number of Hz, not a bool"),
    "a string": ((WAVE, "16000"), "a whole number of Hz, not a str"),
    "no rate": ((WAVE, None), "a whole number of Hz, not None"),
    "0 Hz": ((WAVE, 0), "the rate of audio is 1 to 2147483647 Hz, not 0"),
    "-1 Hz": ((WAVE, -1), "the rate of audio is 1 to 2147483647 Hz, not -1"),
    "2 GHz": ((WAVE, 2**31), "the rate of audio is 1 to 2147483647 Hz, not 2147483648"),
    "the rate first": ((16_000, WAVE), r"\(array, rate in Hz\), not a tuple of 2"),
    "no rate at all": (WAVE, r"\(array, rate in Hz\), not an array"),
    "channels first": ((np.zeros((2, 16_000), "f4"), 8000), "2 frames of 16000 channels, .*: where channels come first, give array.T"),
    "one channel first": ((np.zeros((1, 17), "i2"), 8000), "1 frames of 17 channels, .*array.T"),
    "too many channels": ((np.zeros((2000, 1025), "i2"), 8000), "2000 frames of 1025 channels"),
    "no channels": ((np.zeros((5, 0), "f4"), 8000), r"\(frames, channels\), not an array"),
    "three dimensions": ((np.zeros((1, 2, 3)), 8000), r"\(frames, channels\), not an array"),
    "no dimensions": ((np.zeros(()), 8000), r"\(frames, channels\), not an array"),
    "int8": ((np.zeros(5, "i1"), 8000), "int16, int32, float32 or float64, not an array of int8"),
    "uint16": ((np.zeros(5, "u2"), 8000), "int16, .* or float64, not an array of uint16"),
    "int64": ((np.zeros(5, "i8"), 8000), "int16, .* or float64, not an array of int64"),
    "float16": ((np.zeros(5, "f2"), 8000), "int16, .* or float64, not an array of float16"),
    "complex": ((np.zeros(5, "c8"), 8000), "int16, .* or float64, not an array of complex64"),
    "too many samples": ((np.broadcast_to(np.float32(0), 2**29 + 1), 8000), "at most 536870912 samples"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_not_come_back_is_refused(tmp_path, case):
    value, message = REFUSED[case]
    with pytest.raises(SchemaError, match=f"record 0, field 'x': .*{message}"):
        made(tmp_path, value)


# What cannot be decoded


LOSSY = {
    "floats as integers": (WAVE, "FLAC", "PCM_24", "int16", "24 bits do not fit int16"),
    "32 bits as 16": (WAVE, "WAV", "PCM_32", "int16", "32 bits do not fit int16; decode as 'int32'"),
    "floats": (WAVE, "WAV", "FLOAT", "int16", "samples of FLOAT are no integers; decode as 'float32'"),
    "float64": (WAVE, "AU", "DOUBLE", "int32", "samples of DOUBLE are no integers"),
    "Vorbis": (WAVE, "OGG", "VORBIS", "int16", "samples of VORBIS are no integers"),
}  # fmt: skip


@pytest.mark.parametrize("case", LOSSY)
def test_integers_are_not_made_of_what_they_do_not_hold(tmp_path, case):
    samples, form, subtype, decoding, message = LOSSY[case]
    with pytest.raises(DecodeError, match=f"record 0, field 'x', byte 4128: .*{message}"):
        back(tmp_path, sound(samples, form, subtype), decoding)


def test_audio_that_claims_days_is_refused_before_it_is_read(tmp_path):
    data = bytearray(sound(np.zeros(100), "FLAC", "PCM_16"))
    data[21] |= 0x0F  # the highest of the 36 bits of the number of samples
    data[22:26] = b"\xff" * 4
    with pytest.raises(DecodeError, match="68719476735 frames of 1 channels are too many"):
        back(tmp_path, bytes(data))


@pytest.mark.parametrize("data", [b"fLaC", b"RIFF\0\0\0\0WAVE", b"ID3" + bytes(50), b".snd"])
def test_file_that_soundfile_cannot_decode_is_not_corrupt(tmp_path, data):
    with pytest.raises(DecodeError, match="record 0, field 'x', byte 4128: soundfile cannot"):
        back(tmp_path, data)


def test_bytes_of_no_audio_are_corrupt(tmp_path):
    with pytest.raises(
        dsrecords.CorruptError, match=r"record 0, field 'x', byte 4128: .*, not WAV"
    ):
        dsrecords.open(by_hand_of(tmp_path, b"text"))[0]


def test_wrong_decoding_of_audio_is_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"'array', 'bytes', 'int16', .*, not 'pil'"):
        back(tmp_path, (WAVE, 8000), "pil")
