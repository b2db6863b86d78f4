"""The values of our datasets as plain ones, for formats that have few types."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dsrecords._types.base import Type
from dsrecords._types.compressed import Zstd
from dsrecords._types.external_file import File
from dsrecords._types.lists import List
from dsrecords._types.maps import Map
from dsrecords._types.stored_file import StoredFile
from dsrecords._types.structs import Struct
from dsrecords._types.tables import Table

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

IMAGES = ("image", "jpeg", "png", "webp")
SOUNDS = ("audio",)
VIDEOS = ("video",)
FILES = (*IMAGES, *SOUNDS, *VIDEOS)
_ENDINGS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "JPEG2000": ".jp2",
}


def plain_name(kind: str) -> str:
    """Return the name of a type without `?` and `zstd(…)`."""
    kind = kind.removesuffix("?")
    if kind.startswith("zstd("):
        return plain_name(kind[5:-1])
    return kind


def types_by_name(dataset: IndexedRecordDataset) -> dict[str, str]:
    """Return the types of a dataset's fields; where these have no names, "0", "1" and so on."""
    schema = dataset.schema
    if isinstance(schema, dict):
        return schema
    return {str(position): kind for position, kind in enumerate(schema)}


def types_by_key(dataset: IndexedRecordDataset) -> dict[Any, str]:
    """Return the types of a dataset's fields, by what they are called in it."""
    return dict(zip(dataset.fields, types_by_name(dataset).values()))


def decoding_of(kind: Type) -> Any:
    """Return the `decode` by which the files within values are read as they are stored, or None."""
    if isinstance(kind, File):
        return "bytes"
    if isinstance(kind, Zstd):
        return decoding_of(kind.inner)
    if isinstance(kind, (List, Map)):
        return decoding_of(kind.item)
    parts: Mapping[str, Type] = {}
    if isinstance(kind, Table):
        parts = kind.row_type.parts
    elif isinstance(kind, Struct):
        parts = kind.parts
    found = {}
    for key, part in parts.items():
        decoding = decoding_of(part)
        if decoding is not None:
            found[key] = decoding
    return found or None


def named(row: Any) -> Mapping[str, Any]:
    """Return a sample as a dict, whose keys are "0", "1" and so on where fields have no names."""
    if isinstance(row, Mapping):
        return row
    return {str(position): value for position, value in enumerate(row)}


def json_value(value: Any) -> Any:
    """Return a value as JSON has it: bytes as their base64, times as strings of ISO 8601."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, StoredFile):
        value = value.data
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return time_text(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return json_value(value.tolist())
    return _other_json_value(value)


def _other_json_value(value: Any) -> Any:
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, Sequence):
        return [json_value(item) for item in value]
    return str(value)


def time_text(value: np.datetime64 | np.timedelta64) -> str | int | None:
    """Return a time as a string of ISO 8601, a duration as the number of its units."""
    if np.isnat(value):
        return None
    if isinstance(value, np.timedelta64):
        return int(value.astype(np.int64))
    return str(value)


def ending_of(data: bytes | memoryview, kind: str) -> str:
    """Return the ending of the name of a file: that of the format which its bytes are in."""
    from dsrecords._format.signatures import image_format

    if kind in IMAGES:
        format = image_format(data) or "PNG"
        return _ENDINGS.get(format, f".{format.lower()}")
    head = bytes(data[:12])
    if kind == "audio":
        return _audio_ending(head)
    if kind == "video":
        return _video_ending(head)
    return ".bin"


def _audio_ending(head: bytes) -> str:
    for signature, ending in ((b"fLaC", ".flac"), (b"OggS", ".ogg"), (b".snd", ".au")):
        if head.startswith(signature):
            return ending
    if head.startswith(b"RIFF"):
        return ".wav"
    if head.startswith(b"FORM"):
        return ".aiff"
    return ".mp3"


def _video_ending(head: bytes) -> str:
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return ".mkv"
    if head.startswith(b"RIFF"):
        return ".avi"
    return ".mp4"
