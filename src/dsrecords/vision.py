"""Decoders of images: what `decode` takes for a field, beside the names "pil", "array", "rgb" ….

    decode={"photo": vision.RandomResizedCrop(224)}

A decoder is any object with a method `decode_image(data)`. It is called with the encoded image, a
read-only memoryview that is valid during the call, and returns what a sample is to have. To be
sent to workers it must pickle.

Those of this module can also write straight into a batch, and have besides:

- `shape`: of every result: (height, width, channels), or (height, width) of "gray"; None where it
  depends on the image.
- `num_random`: how many random numbers in [0, 1) each image takes; 0 where nothing is random.
- `decode_image_into(data, out, random)`: an encoded image, into an array of that shape.
- `convert_into(pixels, out, random)`: the same of pixels, as a field of type `uint8[256,256,3]`
  has them.

They use simplejpeg and OpenCV where these are installed (`pip install 'dsrecords[vision]'`), and
Pillow without them. While they decode and resize, other threads run. OpenCV's own threads are
turned off in the whole process (`cv2.setNumThreads(1)`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from dsrecords._types.image_conversion import converted, resized
from dsrecords._vision.arguments import (
    check_flip,
    check_interpolation,
    check_length,
    check_max_size,
    check_mode,
    check_range,
    check_size,
)
from dsrecords._vision.decoder import CHANNELS, Decoder, check_out, check_resized
from dsrecords._vision.filters import PILLOW_BILINEAR, prepare
from dsrecords._vision.plans import (
    NUMBERS_OF_BOX,
    Box,
    Plan,
    middle_window,
    random_box,
    resize_all,
)

__all__ = ["CenterCrop", "Decode", "RandomResizedCrop", "Resize"]


@dataclasses.dataclass(frozen=True)
class Decode(Decoder):
    """Images as arrays of one kind: upright, with one number of channels, of one size.

    The image is turned as its EXIF orientation says, converted by Pillow, and resized with
    Pillow's bilinear filter, which averages where it makes an image smaller. A JPEG that is more
    than four times as large as its result is decoded at 1/2, 1/4 or 1/8 of its size first. Of
    several frames, the first is decoded. `Resize` is faster.

    Args:
        mode: "rgb": (height, width, 3). Transparency is left out. "gray": (height, width), the
            luma of ITU-R BT.601. "rgba": (height, width, 4). All are uint8: of 16 bits, the 8
            highest.
        size: (height, width), or the length of the shorter side, where the proportions stay, the
            longer side being rounded down; None: the image's own.
        max_size: the most that the longer side may have; if it would have more, the image is made
            smaller. None: no bound.

    Raises:
        ValueError: an argument is none of these.
    """

    mode: str = "rgb"
    size: int | tuple[int, int] | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        prepare()
        check_mode(self.mode)
        if self.size is not None:
            check_size(self.size)
        check_max_size(self.max_size, self.size)

    @property
    def _filter(self) -> str:
        return PILLOW_BILINEAR

    def decode_image(
        self,
        data: bytes | memoryview,
        random: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the array of an encoded image. Nothing is random. Raises DecodeError."""
        if self.size is None and self.max_size is None:
            return super().decode_image(data)
        return converted(
            memoryview(data),
            self.mode,
            self.size,
            self.max_size,
        )

    def decode_image_into(
        self,
        data: bytes | memoryview,
        out: np.ndarray,
        random: np.ndarray | None = None,
    ) -> None:
        """The same, into an array: uint8, C-contiguous, of the shape of the result."""
        pixels = self.decode_image(data)
        check_out(out, pixels.shape)
        np.copyto(out, pixels)

    def _plan(self, random: Sequence[float], height: int, width: int) -> Plan:
        new_height, new_width = resized(height, width, self.size, self.max_size)
        check_resized(new_height, new_width)
        return resize_all(height, width, new_height, new_width, flip=False)


class _FlipDecoder(Decoder):
    """A decoder that mirrors images by chance.

    Attributes:
        flip: how often.
        interpolation: the name of its filter.
    """

    size: int | tuple[int, int]
    flip: float
    interpolation: str

    @property
    def num_random(self) -> int:
        """How many random numbers in [0, 1) each image takes."""
        return int(0 < self.flip < 1)

    @property
    def _filter(self) -> str:
        return self.interpolation

    def _is_flipped(self, random: Sequence[float]) -> bool:
        if 0 < self.flip < 1:
            return random[-1] < self.flip
        return self.flip == 1

    def _check(self) -> None:
        prepare()
        check_size(self.size)
        check_flip(self.flip)
        check_mode(self.mode)
        check_interpolation(self.interpolation)


class _CropDecoder(_FlipDecoder):
    """A decoder whose results have one size, a square if that is a length."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of every result: of "gray", (height, width), else with channels."""
        return (*self._window[2:], *CHANNELS[self.mode])

    @functools.cached_property
    def _window(self) -> Box:
        """What is seen of an image that is as large as a result."""
        if isinstance(self.size, tuple):
            return Box(0, 0, *self.size)
        return Box(0, 0, self.size, self.size)


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop(_CropDecoder):
    """A random part of each image, resized to one size and mirrored by chance: for training.

    The part is chosen as torchvision's `RandomResizedCrop` chooses it: up to ten times an area and
    a ratio are drawn until they fit into the image, else it is the middle. It is a part of the
    upright image: EXIF orientation, colours and 16 bits are treated as `Decode` treats them. A
    JPEG is decoded at 1/2, 1/4 or 1/8 of its size where the part then still has the pixels of the
    result; that can move its edges by half of such a pixel.

    Two decoders that differ in mode and interpolation alone cut and mirror alike when they are
    given the same random numbers: an image and its mask.

    Args:
        size: (height, width) of the result, or the length of both sides.
        scale: (least, greatest): which share of the image's area the part has.
        ratio: (least, greatest): its width over its height, before it is resized.
        flip: how probable it is that left becomes right, from 0 to 1.
        mode: as `Decode` has it.
        interpolation: "bilinear": OpenCV's linear filter, of an image that is blurred a little
            where it shrinks to less than 3/4, and averaged from 1/3 on: within some 1 in 255 of
            Pillow's bilinear filter, which is used without OpenCV and for "rgba". "nearest":
            for masks, whose values are labels. "bicubic": Pillow's, several times slower.

    Raises:
        ValueError: an argument is none of these.
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    mode: str = "rgb"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        self._check()
        check_range("scale", self.scale, most=1)
        check_range("ratio", self.ratio, most=math.inf)

    @property
    def num_random(self) -> int:
        """How many random numbers in [0, 1) each image takes."""
        if 0 < self.flip < 1:
            return NUMBERS_OF_BOX + 1
        return NUMBERS_OF_BOX

    def _plan(self, random: Sequence[float], height: int, width: int) -> Plan:
        box = random_box(height, width, self.scale, self.ratio, random)
        window = self._window
        return Plan(box, window.height, window.width, window, self._is_flipped(random))


@dataclasses.dataclass(frozen=True)
class CenterCrop(_CropDecoder):
    """The middle of each image, as it is or of the image resized: for evaluation.

        decode={"photo": vision.CenterCrop(224, resize=256)}

    As torchvision's `CenterCrop`, it resizes nothing by itself, and an image that is smaller than
    the result gets a black edge. With `resize`, it is torchvision's `Resize` followed by its
    `CenterCrop`.

    Args:
        size: (height, width) of the result, or the length of both sides.
        flip: how probable it is that left becomes right, from 0 to 1.
        mode: as `Decode` has it.
        resize: what the image's shorter side is resized to first; None: nothing is resized.
        interpolation: as `RandomResizedCrop` has it.

    Raises:
        ValueError: an argument is none of these.
    """

    size: int | tuple[int, int]
    flip: float = 0.0
    mode: str = "rgb"
    resize: int | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        self._check()
        check_length("resize", self.resize)

    def _plan(self, random: Sequence[float], height: int, width: int) -> Plan:
        new_height, new_width = resized(height, width, self.resize, None)
        check_resized(new_height, new_width)
        return Plan(
            Box(0, 0, height, width),
            new_height,
            new_width,
            middle_window(new_height, new_width, self._window),
            self._is_flipped(random),
        )


@dataclasses.dataclass(frozen=True)
class Resize(_FlipDecoder):
    """Whole images of another size.

    Args:
        size: (height, width), or the length of the shorter side, where the proportions stay, the
            longer side being rounded down, as torchvision's `Resize` does.
        flip: how probable it is that left becomes right, from 0 to 1.
        mode: as `Decode` has it.
        max_size: of a size that is an int: the most that the longer side may have; if it would
            have more, the image is made smaller. None: no bound.
        interpolation: as `RandomResizedCrop` has it.

    Raises:
        ValueError: an argument is none of these.
    """

    size: int | tuple[int, int]
    flip: float = 0.0
    mode: str = "rgb"
    max_size: int | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        self._check()
        check_max_size(self.max_size, self.size)

    def _plan(self, random: Sequence[float], height: int, width: int) -> Plan:
        new_height, new_width = resized(height, width, self.size, self.max_size)
        check_resized(new_height, new_width)
        flip = self._is_flipped(random)
        return resize_all(height, width, new_height, new_width, flip)


def __dir__() -> list[str]:
    return __all__
