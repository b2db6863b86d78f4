"""Audio: stored as encoded files, decoded when they are read. Knows nothing of our own files.

soundfile is imported only where audio is encoded or decoded: bytes go in and out without it.
"""

from __future__ import annotations

import io
import math
import operator
import types
from typing import Any

import numpy as np

from dsrecords._format.signatures import is_audio
from dsrecords._optional import import_optional
from dsrecords._types.array_likes import as_array
from dsrecords._types.base import Load, describe
from dsrecords._types.budget import OF_SAMPLES, claim
from dsrecords._types.external_file import File
from dsrecords.errors import DecodeError, SchemaError

_MOST_SAMPLES = 2**29  # 2 GiB of float32: three quarters of an hour of 96 kHz stereo
_MOST_CHANNELS = 1024  # that libsndfile reads
_HIGHEST_RATE = 2**31 - 1  # that libsndfile reads
# More channels than these, and than frames: the array has its channels first.
_PLAUSIBLE_CHANNELS = 16
# By kind and size of a dtype, in bytes, libsndfile's name of the samples that hold it as it is.
_SUBTYPES = {
    "i2": "PCM_16",
    "i4": "PCM_32",
    "f4": "FLOAT",
    "f8": "DOUBLE",
}
_DTYPES = "int16, int32, float32 or float64"
# The bits of integer samples, by libsndfile's names of them: those of G.711 stand for 14 and 13.
_BITS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "ULAW": 14,
    "ALAW": 13,
}
_DECODINGS = ("int16", "int32", "float32", "float64")
# What a file says of samples (frames, 1), since one channel alone would be read as (frames,).
_ONE_CHANNEL = "shape (frames, 1)"
_AU_HEADER_SIZE = 24  # bytes, before the annotation
_AU_ANNOTATION = _ONE_CHANNEL.encode().ljust(24, b"\0")
_LONGEST_HEADER = 128  # bytes, in which our files say their shape


class Audio(File):
    """An audio file.

    It is read as its samples, float32 (frames,) or (frames, channels), and their rate in Hz.
    """

    name = "audio"
    expected = "WAV, FLAC, Ogg, AU, AIFF or MP3"

    def encode(self, value: Any) -> bytes:
        samples, rate = _split(value)
        _validate_shape(samples)
        dtype = samples.dtype
        subtype = _SUBTYPES.get(f"{dtype.kind}{dtype.itemsize}")
        if subtype is None:
            raise SchemaError(f"audio takes samples of {_DTYPES}, not {describe(samples)}")
        format = "WAV"
        if dtype.kind == "f":
            # A WAV file of floats would have the time of day in it: no two would be the same.
            format = "AU"
        buffer = io.BytesIO()
        soundfile = import_optional("soundfile", "soundfile")
        channels = math.prod(samples.shape[1:])
        with soundfile.SoundFile(
            buffer,
            "w",
            rate,
            channels,
            format=format,
            subtype=subtype,
        ) as file:
            has_one_channel = samples.shape[1:] == (1,)
            if has_one_channel and format == "WAV":
                file.comment = _ONE_CHANNEL
            file.write(samples.astype(dtype.newbyteorder("="), copy=False))
        data = buffer.getvalue()
        if has_one_channel and format == "AU":
            return _annotated(data)
        return data

    def recognizes(self, data: bytes | memoryview) -> bool:
        return is_audio(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        return self._decode(data, "float32")

    def _decode(self, data: memoryview, dtype: str) -> tuple[np.ndarray, int]:
        """The samples and the rate of a file. Raises CorruptError, DecodeError."""
        self.validate(data)
        soundfile = import_optional("soundfile", "soundfile")
        buffer = io.BytesIO(data)
        try:
            with soundfile.SoundFile(buffer) as file:
                _validate_claims(file)
                size = np.dtype(dtype).itemsize * file.frames * file.channels
                claim(size, OF_SAMPLES * len(data))
                _validate_decoding(file, dtype)
                # By their number, since some encodings cannot be read "to the end".
                samples = file.read(file.frames, dtype)
                rate: int = file.samplerate
        except soundfile.LibsndfileError as error:
            raise DecodeError(f"soundfile cannot decode this audio: {error}") from error
        header = bytes(data[:_LONGEST_HEADER])
        if samples.ndim == 1 and _ONE_CHANNEL.encode() in header:
            samples = samples[:, np.newaxis]
        return samples, rate

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "array":
            return self.load
        if decoding == "bytes":
            return self.decode_bytes
        if decoding not in _DECODINGS:
            decodings = ", ".join(repr(name) for name in ("array", "bytes", *_DECODINGS))
            message = f"decode of audio can be {decodings}, not {decoding!r}"
            raise SchemaError(message, field=field)

        def load(self: Audio, data: memoryview, copy: bool) -> Any:
            return self._decode(data, decoding)

        # Readers know the library's own decoders by their `__self__`: it is this type.
        return types.MethodType(load, self)


# What is written


def _split(value: Any) -> tuple[np.ndarray, int]:
    """The samples and the rate that a value consists of. Raises SchemaError."""
    if isinstance(value, tuple) and len(value) == 2:
        given_samples, given_rate = value
        samples = as_array(given_samples)
        if samples is not None:
            return samples, _rate_of(given_rate)
    given = describe(value)
    message = f"audio takes a path, bytes, or (array, rate in Hz), not {given}"
    raise SchemaError(message)


def _rate_of(value: Any) -> int:
    """A rate as an integer. Raises SchemaError if it is none, or none that a file can have."""
    rate = value
    if isinstance(value, float) and value.is_integer():
        rate = int(value)
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(rate)
    except TypeError:
        message = f"the rate of audio is a whole number of Hz, not {describe(value)}"
        raise SchemaError(message) from None
    if not 0 < number <= _HIGHEST_RATE:
        raise SchemaError(f"the rate of audio is 1 to {_HIGHEST_RATE} Hz, not {number}")
    return number


def _validate_shape(samples: np.ndarray) -> None:
    if samples.ndim not in (1, 2) or 0 in samples.shape[1:]:
        expected = "samples of audio are (frames,) or (frames, channels)"
        raise SchemaError(f"{expected}, not {describe(samples)}")
    if samples.size > _MOST_SAMPLES:
        raise SchemaError(f"audio has at most {_MOST_SAMPLES} samples, not {samples.size}")
    if samples.ndim == 1:
        return
    frames, channels = samples.shape
    is_transposed = channels > _PLAUSIBLE_CHANNELS and 0 < frames < channels
    if is_transposed or channels > _MOST_CHANNELS:
        shape = f"{frames} frames of {channels} channels, by their shape {samples.shape}"
        raise SchemaError(f"{shape}: where channels come first, give array.T")


def _annotated(data: bytes) -> bytes:
    """An AU file that says its shape between the header and the samples."""
    offset = _AU_HEADER_SIZE + len(_AU_ANNOTATION)  # of the samples; big-endian, as all in AU
    start = data[:4] + offset.to_bytes(4, "big") + data[8:_AU_HEADER_SIZE]
    return start + _AU_ANNOTATION + data[_AU_HEADER_SIZE:]


# What is read


def _validate_claims(file: Any) -> None:
    """Raise DecodeError if a file claims more samples than would be good for the memory."""
    frames = file.frames
    channels = file.channels
    if not 0 <= frames * channels <= _MOST_SAMPLES:
        claim = f"{frames} frames of {channels} channels are too many"
        raise DecodeError(f"{claim}; decode as bytes to look at it")


def _validate_decoding(file: Any, dtype: str) -> None:
    """Raise DecodeError if samples do not fit into integers without loss."""
    if dtype.startswith("float"):
        return
    subtype = file.subtype
    bits = _BITS.get(subtype)
    if bits is None:
        raise DecodeError(f"samples of {subtype} are no integers; decode as 'float32'")
    if bits > 8 * np.dtype(dtype).itemsize:
        raise DecodeError(f"samples of {bits} bits do not fit {dtype}; decode as 'int32'")
