"""`video`: stored as encoded files, decoded frame by frame. Knows nothing of our own files.

PyAV is imported only where a video is opened: bytes go in and out without it.
"""

from __future__ import annotations

from typing import Any

from dsrecords._format.signatures import is_video
from dsrecords._types.base import Load, describe
from dsrecords._types.external_file import File
from dsrecords._types.video_frames import VideoFrames
from dsrecords.errors import SchemaError


class Video(File):
    """A video file, read as `VideoFrames`."""

    name = "video"
    expected = "MP4, MOV, Matroska, WebM, AVI, MPEG or another video"

    def encode(self, value: Any) -> bytes:
        if isinstance(value, VideoFrames):
            return value.data
        frames = "frames are for list[jpeg], list[png] or uint8[*,*,*,3]"
        raise SchemaError(f"video takes a path or bytes, not {describe(value)}; {frames}")

    def recognizes(self, data: bytes | memoryview) -> bool:
        return is_video(data)

    def load(self, data: memoryview, copy: bool) -> VideoFrames:
        self.validate(data)
        return VideoFrames(bytes(data))

    def decoder(self, decoding: Any, field: Any) -> Load:
        if decoding == "frames":
            return self.load
        if decoding == "bytes":
            return self.decode_bytes
        message = f"decode of a video can be 'frames' or 'bytes', not {decoding!r}"
        raise SchemaError(message, field=field)
