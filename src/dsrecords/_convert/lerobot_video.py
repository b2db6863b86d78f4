"""The frames of the videos of a LeRobot dataset, decoded in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dsrecords._convert.base import unreadable
from dsrecords._optional import import_optional

_MOST_PIXELS = 178_956_970  # of a frame: the limit for images, too


class FrameReader:
    """Reads frames of one camera, one behind the other: what is in memory is one of them.

    Args:
        fps: frames per second, by which it is told whether a frame is the one that is wanted.
    """

    def __init__(self, fps: float) -> None:
        self._tolerance = 0.5 / fps
        self._path = ""
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._current: Any = None

    def frame(self, path: str, time: float) -> np.ndarray:
        """Return a frame: uint8, (height, width, 3), RGB.

        Args:
            path: of the file.
            time: when it is shown, in seconds.

        Raises:
            CorruptError: there is no such frame, or it cannot be decoded.
        """
        av = import_optional("av", "av", extra="video")
        try:
            if path != self._path or self._is_behind(time):
                self._open(path)
            while self._is_before(time):
                self._current = next(self._frames, None)
                if self._current is None:
                    raise unreadable(path, f"it ends before the frame at {time:.3f} s")
                if self._current.time is None:
                    raise unreadable(path, "its frames have no times")
            if self._is_behind(time):
                raise unreadable(path, f"there is no frame at {time:.3f} s")
            pixels: np.ndarray = self._current.to_ndarray(format="rgb24")
        except (av.error.FFmpegError, OSError) as error:
            self.close()
            raise unreadable(path, error) from None
        return pixels

    def close(self) -> None:
        """Close the file that is open."""
        if self._container is not None:
            self._container.close()
        self._path = ""
        self._container = None
        self._current = None
        self._frames = iter(())

    def _is_before(self, time: float) -> bool:
        """Return whether the frame at a time is one of those to come."""
        if self._current is None:
            return True
        return bool(self._current.time < time - self._tolerance)

    def _is_behind(self, time: float) -> bool:
        """Return whether the frame at a time was one of those before."""
        if self._current is None:
            return False
        return bool(self._current.time > time + self._tolerance)

    def _open(self, path: str) -> None:
        av = import_optional("av", "av", extra="video")
        self.close()
        self._container = av.open(path)
        streams = self._container.streams.video
        if not streams:
            raise unreadable(path, "it has no video")
        context = streams[0].codec_context
        if context is None:
            raise unreadable(path, "PyAV has no decoder for it")
        if context.width * context.height > _MOST_PIXELS:
            raise unreadable(path, f"its frames have {context.width} × {context.height} pixels")
        context.thread_count = 1  # a fork would wait for ever for other threads
        self._frames = self._container.decode(streams[0])
        self._path = path
