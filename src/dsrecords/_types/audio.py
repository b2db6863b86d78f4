"""Audio: stored as encoded files, decoded when they are read. Knows nothing of our own files.

soundfile is imported only where audio is encoded or decoded: bytes go in and out without it.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from dsrecords._format.signatures import is_audio
from dsrecords._optional import import_optional
from dsrecords._types.base import Load, Type, describe
from dsrecords._types.external_file import File
from dsrecords.errors import CorruptError, SchemaError

_LARGEST_DECODED = 2**31  # bytes of float32: three quarters of an hour of 96 kHz stereo
_SUBTYPES = {
    "int16": "PCM_16",
    "int32": "PCM_32",
    "float32": "FLOAT",
    "float64": "DOUBLE",
}


class Audio(File):
    """An audio file.

    It is read as its samples, float32 (frames,) or (frames, channels), and their rate in Hz.
    """

    name = "audio"
    expected = "WAV, FLAC, Ogg, AU, AIFF or MP3"
    unreadable = (*Type.unreadable, RuntimeError)  # of which soundfile's errors are

    def encode(self, value: Any) -> bytes:
        samples, rate = self._split(value)
        dtype = samples.dtype.name
        if samples.ndim not in (1, 2) or dtype not in _SUBTYPES:
            given = describe(samples)
            dtypes = ", ".join(_SUBTYPES)
            expected = f"audio takes (frames,) or (frames, channels) of {dtypes}"
            message = f"{expected}, not {given}"
            raise SchemaError(message)
        subtype = _SUBTYPES[dtype]
        format = "WAV"
        if samples.dtype.kind == "f":
            # A WAV file of floats would have the time of day in it: no two would be the same.
            format = "AU"
        buffer = io.BytesIO()
        soundfile = import_optional("soundfile", "soundfile")
        soundfile.write(
            buffer,
            samples,
            int(rate),
            format=format,
            subtype=subtype,
        )
        return buffer.getvalue()

    def _split(self, value: Any) -> tuple[np.ndarray, Any]:
        """The samples and the rate that a value consists of. Raises SchemaError."""
        if isinstance(value, tuple) and len(value) == 2:
            samples, rate = value
            if isinstance(samples, np.ndarray):
                return samples, rate
        given = describe(value)
        message = f"audio takes a path, bytes, or (array, rate in Hz), not {given}"
        raise SchemaError(message)

    def recognizes(self, data: bytes | memoryview) -> bool:
        return is_audio(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        self.validate(data)
        soundfile = import_optional("soundfile", "soundfile")
        buffer = io.BytesIO(data)
        with soundfile.SoundFile(buffer) as file:
            frames = file.frames
            channels = file.channels
            decoded_size = frames * channels * 4
            if not 0 <= decoded_size <= _LARGEST_DECODED:
                claim = f"{frames} frames of {channels} channels are too many"
                message = f"{claim}; decode as bytes to look at it"
                raise CorruptError(message)
            samples = file.read(dtype="float32")
            return samples, file.samplerate

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "array":
            return self.load
        if decoding == "bytes":
            return self.decode_bytes
        message = f"decode of audio can be 'array' or 'bytes', not {decoding!r}"
        raise SchemaError(message, field=field)
