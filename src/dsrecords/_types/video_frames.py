"""The frames of a video, decoded by PyAV when they are asked for. Knows nothing of types.

A frame is found by its time: the packets of a file state the times of all frames, so that they can
be counted without being decoded. To decode one, the decoder begins at the keyframe before it. What
it returns is compared with what was counted. Where the two differ, all frames are decoded once, and
counted as they come.
"""

from __future__ import annotations

import bisect
import io
import operator
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.array_likes import as_array
from dsrecords._types.base import LIST_TYPES
from dsrecords._types.budget import OF_FRAMES, claim
from dsrecords.errors import DecodeError

_MOST_PIXELS = 178_956_970  # of a frame: the limit for images, too
# Decoders of codecs whose frames do not need each other.
_WITHOUT_REFERENCES = frozenset({"ffv1", "mjpeg", "prores", "rawvideo"})
# Decoders of codecs of which each packet is one frame. VP8, for one, has some that are never shown.
_ONE_FRAME_IN_A_PACKET = _WITHOUT_REFERENCES | {
    "av1",
    "h264",
    "hevc",
    "libdav1d",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "vp9",
}


class VideoFrames:
    """The frames of a video, in the order in which they are shown: uint8, (height, width, 3), RGB.

    `video[10]` is a frame, `video[10:20:2]` an array (frames, height, width, 3), and
    `video.between(1.0, 2.5)` such an array of the frames of a range of time.

    Args:
        data: the file.

    Attributes:
        data: the file.
        width, height: of frames, in pixels, as they are stored: a rotation is not applied.
        fps: frames per second, on average, as the file states it; NaN if it does not.

    Raises:
        DecodeError: PyAV cannot read the file, or it has no video.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._lock = threading.Lock()
        self._index: _Index | None = None  # made when it is first needed
        self._container, self._stream = _open(data)
        self.width: int = self._stream.codec_context.width
        self.height: int = self._stream.codec_context.height
        self.fps = float(self._stream.average_rate or "nan")
        # Frames that the decoder is about to return, and the position of the next one.
        self._coming: Iterator[Any] = iter(())
        self._next = 0

    def __len__(self) -> int:
        return len(self._known_index().stamps)

    @property
    def times(self) -> np.ndarray:
        """When each frame is shown, in seconds: float64, (frames,).

        That is what the file states, and may begin anywhere. Where it states nothing, as in AVI,
        frames follow each other at `fps` from 0 on.
        """
        stamps = self._known_index().stamps
        if None in stamps:
            return np.arange(len(stamps)) / self.fps
        return np.array(stamps, np.float64) * float(self._stream.time_base)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a frame; the frames of a slice, or of a list of positions, as one array.

        Raises:
            IndexError: there is no such frame.
            DecodeError: PyAV cannot decode it.
        """
        count = len(self)
        if isinstance(key, slice):
            return self._stacked(range(*key.indices(count)))
        positions = as_array(key)
        if positions is not None and positions.ndim > 0:
            key = list(positions)
        if isinstance(key, LIST_TYPES):
            return self._stacked([_position(one, count) for one in key])
        position = _position(key, count)
        (frame,) = self._frames([position])
        return frame

    def between(self, start: float, stop: float) -> np.ndarray:
        """Return the frames that are shown at start ≤ time < stop, in seconds, as one array."""
        first, last = np.searchsorted(self.times, [start, stop])
        return self._stacked(range(first, last))

    def __repr__(self) -> str:
        size = f"{self.width} × {self.height}"
        return f"<VideoFrames {size}, {self.fps:.4g} fps, {len(self.data)} bytes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return VideoFrames, (self.data,)

    def _stacked(self, positions: Sequence[int]) -> np.ndarray:
        if not positions:
            return np.zeros((0, self.height, self.width, 3), np.uint8)
        size = len(positions) * self.height * self.width * 3
        claim(size, OF_FRAMES * len(self.data), 2 * size)
        frames = self._frames(positions)
        shapes = {frame.shape for frame in frames}
        if len(shapes) > 1:
            raise DecodeError(f"frames of different shapes, {sorted(shapes)}: read them one by one")
        return np.stack(frames)

    def _frames(self, positions: Sequence[int]) -> list[np.ndarray]:
        """The frames at positions, in any order; each is decoded once."""
        found = {}
        with self._lock:
            for position in sorted(set(positions)):
                found[position] = self._decoded(position)
        return [found[position] for position in positions]

    # Counting

    def _known_index(self) -> _Index:
        with self._lock:
            if self._index is None:
                self._index = _count_packets(self.data) or _count_frames(self.data)
            return self._index

    # Decoding

    def _decoded(self, position: int) -> np.ndarray:
        """A frame. Raises DecodeError."""
        try:
            return self._decode_to(position)
        except _WrongCountError:
            index = _count_frames(self.data)
        # From now on from the first frame, one by one: the times of this file say nothing.
        self._index = index.without_keys()
        self._coming = iter(())
        if position < len(index.stamps):
            try:
                return self._decode_to(position)
            except _WrongCountError:
                pass
        raise DecodeError(f"frame {position} cannot be decoded")

    def _decode_to(self, position: int) -> np.ndarray:
        """Decode up to a frame, from where the decoder is or from the keyframe before it.

        Raises:
            DecodeError: PyAV cannot decode it.
            _WrongCountError: the decoder returns other frames than were counted.
        """
        index = self._index
        assert index is not None
        key = index.keyframe_before(position)
        with _decode_errors():
            frame = None
            if key <= self._next <= position:
                frame = next(self._coming, None)
            if frame is None:
                frame = self._frame_at_key(key, index)
            while True:
                stamp = index.stamps[self._next]
                if frame is None or (index.has_stamps and frame.pts != stamp):
                    self._coming = iter(())
                    raise _WrongCountError
                self._next += 1
                if self._next > position:
                    pixels: np.ndarray = frame.to_ndarray(format="rgb24")
                    return pixels
                frame = next(self._coming, None)

    def _frame_at_key(self, key: int, index: _Index) -> Any:
        """The first frame of a decoder that begins at a keyframe; None if it is not found.

        Some formats are sought inexactly: then it begins earlier.
        """
        self._next = key
        for start in index.keyframes_down_from(key):
            if start == 0:
                self._container, self._stream = _open(self.data)
            else:
                offset = index.seek_stamps[start]
                self._container.seek(offset, stream=self._stream)
            self._coming = self._container.decode(self._stream)
            if not index.has_stamps:
                return next(self._coming, None)
            frame = self._next_from(index.stamps[key])
            if frame is not None and frame.pts == index.stamps[key]:
                return frame
        return None

    def _next_from(self, stamp: int) -> Any:
        """The next frame of the decoder that is not before a time; None if there is none."""
        for frame in self._coming:
            # What comes before a keyframe may be broken: it can need frames before that.
            if frame.pts is not None and frame.pts >= stamp:
                return frame
        return None


class _WrongCountError(Exception):
    """The decoder returns other frames than were counted."""


class _Index(NamedTuple):
    """Which frames a video has.

    Attributes:
        stamps: when each is shown, in units of the stream; None where that is not stated.
        has_stamps: whether all are stated, and different.
        keys: the positions of keyframes, ascending, from 0 on.
        seek_stamps: by the position of a keyframe, where to seek it.
    """

    stamps: list[Any]
    has_stamps: bool
    keys: list[int]
    seek_stamps: dict[int, int]

    def without_keys(self) -> _Index:
        """The same, with the first frame as the only one to begin at."""
        return _Index(self.stamps, False, [0], {})

    def keyframe_before(self, position: int) -> int:
        """The position of the last keyframe at or before a position."""
        return self.keys[bisect.bisect_right(self.keys, position) - 1]

    def keyframes_down_from(self, key: int) -> list[int]:
        """Where to begin, to decode a keyframe: there, at the one before it, or at the start."""
        at = bisect.bisect_right(self.keys, key) - 1
        before = self.keys[max(at - 1, 0)]
        return sorted({key, before, 0}, reverse=True)


class _decode_errors:  # noqa: N801  (a context manager, used as a function)
    """Turns PyAV's errors into DecodeError."""

    def __enter__(self) -> None:
        self._error = import_optional("av", "av").error.FFmpegError

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, self._error):
            raise DecodeError(f"PyAV cannot decode this video: {error}") from error


def _open(data: bytes) -> tuple[Any, Any]:
    """A container, and its first video. Raises DecodeError."""
    av = import_optional("av", "av")
    with _decode_errors():
        container = av.open(io.BytesIO(data))
        streams = container.streams.video
        if not streams:
            raise DecodeError("this file has no video")
        stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise DecodeError("PyAV has no decoder for this video")
        if context.width * context.height > _MOST_PIXELS:
            size = f"{context.width} × {context.height} pixels are more than {_MOST_PIXELS}"
            raise DecodeError(f"{size}; decode as bytes to look at it")
        # A decoder with threads, left to the garbage collector of a forked child, waits for ever
        # for those of the parent. Whoever reads several videos decodes them side by side.
        context.thread_count = 1
    return container, stream


def _count_packets(data: bytes) -> _Index | None:
    """The frames that the packets of a file state; None if only the decoder can tell them."""
    container, stream = _open(data)
    is_simple = stream.codec_context.name in _ONE_FRAME_IN_A_PACKET
    if not is_simple or not _states_times(container, stream):
        return None
    stamps = []
    keys = {}
    with _decode_errors():
        for packet in container.demux(stream):
            if not packet.size:  # the last one, which is empty
                continue
            if packet.pts is None or packet.is_discard or packet.is_corrupt:
                return None
            if packet.pos is None:
                return None
            stamps.append(packet.pts)
            if packet.is_keyframe:
                keys[packet.pts] = _seek_stamp(packet)
    index = _index_of(stamps, keys)
    begins_with_key = stamps and stamps[0] == index.stamps[0] and stamps[0] in keys
    if not begins_with_key or not index.has_stamps:
        return None
    return index


def _count_frames(data: bytes) -> _Index:
    """The frames that the decoder returns. Raises DecodeError."""
    container, stream = _open(data)
    stamps = []
    keys = {}
    are_guessed = False
    with _decode_errors():
        for packet in container.demux(stream):
            if packet.size and packet.pos is None:
                # One of several that stand in one place of the file, with one time for all: those
                # of the others are guessed, and otherwise where the decoder begins elsewhere.
                are_guessed = True
            if packet.size and packet.is_keyframe and packet.pts is not None:
                keys[packet.pts] = _seek_stamp(packet)
            stamps += [frame.pts for frame in packet.decode()]
    if not _states_times(container, stream):
        return _index_of([None] * len(stamps), {})
    index = _index_of(stamps, keys)
    if are_guessed:
        return index.without_keys()
    return index


def _states_times(container: Any, stream: Any) -> bool:
    """Whether packets state when their frames are shown: those of AVI only follow each other."""
    is_avi = "avi" in container.format.name.split(",")
    return not is_avi or stream.codec_context.name in _WITHOUT_REFERENCES


def _seek_stamp(packet: Any) -> int:
    """Where to seek a keyframe: formats look for it by the time when it is decoded."""
    stamp: int = packet.pts
    if packet.dts is not None:
        stamp = min(stamp, packet.dts)
    return stamp


def _index_of(stamps: list[Any], keys: dict[int, int]) -> _Index:
    """The index of frames with these stamps, and these keyframes: of each, where to seek it."""
    if None in stamps or len(set(stamps)) < len(stamps):
        return _Index(stamps, False, [0], {})
    ordered = sorted(stamps)
    seek_stamps = {}
    for position, stamp in enumerate(ordered):
        if stamp in keys:
            seek_stamps[position] = keys[stamp]
    positions = sorted({0, *seek_stamps})
    return _Index(ordered, True, positions, seek_stamps)


def _position(key: Any, count: int) -> int:
    """A position from 0 on. Raises TypeError, IndexError."""
    position = operator.index(key)
    if position < 0:
        position += count
    if not 0 <= position < count:
        raise IndexError(f"frame {key} of a video with {count}")
    return position
