"""What an adapter of a loader is, and what those that leave decoding to their user share."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .samples import Row, Samples

SIZE = 224
_SCALE = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)
_TRIES = 10
_SHRINKS = 1.5


@dataclass(frozen=True)
class Settings:
    """How a loader is to load.

    Attributes:
        batch_size: samples.
        workers: threads or processes that decode.
        cold: the pages of the files are dropped before the measured epoch, so no process may live
            from one epoch to the next that has them mapped.
        epochs: how many are measured together.
    """

    batch_size: int
    workers: int
    cold: bool
    epochs: int


class LoaderAdapter:
    """One loader and its files of one row.

    A subclass has `write(samples)`, `open()`, and `epoch(number)`, which iterates over all samples
    once, in random order: dicts with the row's field and `label`, as arrays or tensors (texts as a
    list). `reopen()` is called between the epoch that warms up and the measured ones.
    """

    title = ""
    modules: tuple[str, ...] = ()

    def __init__(self, row: Row, folder: Path, settings: Settings):
        self.row = row
        self.folder = folder
        self.settings = settings

    def write(self, samples: Samples) -> None:
        """Store all samples in the empty folder."""
        raise NotImplementedError

    def open(self) -> None:
        """Open the dataset."""
        raise NotImplementedError

    def epoch(self, number: int) -> Iterable[dict[str, Any]]:
        """The batches of one epoch."""
        raise NotImplementedError

    def epochs(self, first: int, count: int) -> Iterator[dict[str, Any]]:
        """The batches of several epochs."""
        for number in range(first, first + count):
            yield from self.epoch(number)

    def give(self, samples: Samples) -> None:
        """The samples themselves, before `open`: for those that read no file."""

    def reopen(self) -> None:
        """What a new process would do again: by default nothing."""

    def close(self) -> None:
        """Let go of everything."""


class Transform:
    """What a user's own code makes of one stored value: simplejpeg and OpenCV, the same for all peers.

    A random part (area and ratio as torchvision's `RandomResizedCrop`), resized to 224 × 224 by
    OpenCV's linear filter, or by its mean of the area where it becomes 1.5 times smaller, mirrored
    every other time. What is no image stays as it is.
    """

    def __init__(self, row: Row):
        self.row = row

    def __call__(self, value: Any) -> Any:
        """From what is stored (bytes, an array, a string) to what a batch is made of."""
        if self.row.kind == "jpeg":
            return _part(_decoded(value))
        if self.row.kind == "pixels":
            return _part(self.array(value))
        if self.row.kind == "text":
            return value if isinstance(value, str) else bytes(value).decode()
        return self.array(value)

    def array(self, value: Any) -> np.ndarray:
        """An array that was stored as bytes or as itself."""
        if isinstance(value, np.ndarray):
            return value
        return np.frombuffer(value, self.row.dtype).reshape(self.row.shape)


def _decoded(data: Any) -> np.ndarray:
    import simplejpeg

    return simplejpeg.decode_jpeg(data, "RGB")


def _part(pixels: np.ndarray) -> np.ndarray:
    import cv2

    top, left, height, width = box(*pixels.shape[:2])
    part = pixels[top : top + height, left : left + width]
    shrinks = height >= _SHRINKS * SIZE or width >= _SHRINKS * SIZE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(part, (SIZE, SIZE), interpolation=method)
    return cv2.flip(resized, 1) if random.random() < 0.5 else resized


def box(height: int, width: int) -> tuple[int, int, int, int]:
    """A random part: top, left, height, width."""
    for _ in range(_TRIES):
        area = random.uniform(*_SCALE) * height * width
        ratio = np.exp(random.uniform(np.log(_RATIO[0]), np.log(_RATIO[1])))
        box_width = round((area * ratio) ** 0.5)
        box_height = round((area / ratio) ** 0.5)
        if 0 < box_width <= width and 0 < box_height <= height:
            top = random.randint(0, height - box_height)
            left = random.randint(0, width - box_width)
            return top, left, box_height, box_width
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def packed(samples: Samples) -> Iterator[bytes]:
    """Records of formats that store bytes: the label (8 bytes), then the value."""
    for index in range(len(samples)):
        yield index.to_bytes(8, "little") + samples.encoded(index)


def unpacked(record: Any) -> tuple[memoryview, int]:
    """The value and the label of such a record."""
    view = memoryview(record)
    return view[8:], int.from_bytes(view[:8], "little")


def one_thread() -> None:
    """OpenCV starts no threads of its own: the loader has as many as there are cores."""
    import cv2

    cv2.setNumThreads(1)
