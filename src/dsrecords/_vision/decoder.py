"""What all decoders of images have in common: from a plan to an array."""

from __future__ import annotations

import abc
import functools
import os
from collections.abc import Sequence

import numpy as np

from dsrecords._types.image_files import check_pixels
from dsrecords._vision.filters import NEAREST, render
from dsrecords._vision.plans import Plan, Planner
from dsrecords._vision.regions import Region, encoded_region, pixel_region

_UINT8 = np.dtype(np.uint8)
CHANNELS: dict[str, tuple[int, ...]] = {"rgb": (3,), "gray": (), "rgba": (4,)}
"""By mode, what the shape of a result has behind (height, width)."""


class Decoder(abc.ABC):
    """A decoder of images that keeps a part of each, resizes it and may mirror it.

    It is stateless: any number of threads may use one at a time.

    Attributes:
        size: of the result: (height, width), a length, or None.
        mode: "rgb", "gray" or "rgba".
    """

    size: int | tuple[int, int] | None
    mode: str

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of every result; None where it depends on the image."""
        if not isinstance(self.size, tuple):
            return None
        return (*self.size, *CHANNELS[self.mode])

    @property
    def num_random(self) -> int:
        """How many random numbers in [0, 1) each image takes."""
        return 0

    @property
    @abc.abstractmethod
    def _filter(self) -> str:
        """What it resizes with: see `filters.render`."""

    def decode_image(
        self,
        data: bytes | memoryview,
        random: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the array of an encoded image.

        Args:
            data: the image file.
            random: `num_random` numbers in [0, 1), on which alone the result depends; None: new
                ones, which are others in each thread and process.

        Raises:
            DecodeError: the image cannot be decoded.
            ValueError: these are not `num_random` numbers.
        """
        pixels, plan = self._encoded(data, random)
        if pixels.flags.writeable and _is_result(pixels, plan):
            return pixels
        return self._new((pixels, plan))

    def decode_image_into(
        self,
        data: bytes | memoryview,
        out: np.ndarray,
        random: np.ndarray | None = None,
    ) -> None:
        """The same, into an array: uint8, C-contiguous, of the shape of the result."""
        region = self._encoded(data, random)
        self._render(region, out)

    def convert(
        self,
        pixels: np.ndarray,
        random: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the same of an image that is an array.

        Args:
            pixels: uint8, (height, width) or (height, width, channels), of 1 to 4 channels.
            random: as `decode_image` takes them.

        Raises:
            TypeError, ValueError: pixels or random are none.
        """
        region = pixel_region(pixels, self.mode, self._planner(random))
        return self._new(region)

    def convert_into(
        self,
        pixels: np.ndarray,
        out: np.ndarray,
        random: np.ndarray | None = None,
    ) -> None:
        """The same, into an array: uint8, C-contiguous, of the shape of the result."""
        region = pixel_region(pixels, self.mode, self._planner(random))
        self._render(region, out)

    @abc.abstractmethod
    def _plan(
        self,
        random: Sequence[float],
        height: int,
        width: int,
    ) -> Plan:
        """What is made of an image of this size. Raises DecodeError if that is too large."""

    def _planner(self, random: np.ndarray | None) -> Planner:
        """The plan as a function of the size alone. Raises ValueError."""
        return functools.partial(self._plan, self._numbers(random))

    def _numbers(self, random: np.ndarray | None) -> Sequence[float]:
        """As Python's floats, which are faster one by one."""
        count = self.num_random
        if count == 0:
            return ()
        if random is None:
            random = _fresh(count)
        if random.shape != (count,):
            raise ValueError(f"random must have the shape ({count},), not {random.shape}")
        numbers: list[float] = random.tolist()
        return numbers

    def _encoded(
        self,
        data: bytes | memoryview,
        random: np.ndarray | None,
    ) -> Region:
        # Of labels, which "nearest" keeps, no mean may be taken.
        return encoded_region(
            memoryview(data),
            self.mode,
            self._planner(random),
            reduce=self._filter != NEAREST,
        )

    def _new(self, region: Region) -> np.ndarray:
        window = region[1].window
        out = np.empty((window.height, window.width, *CHANNELS[self.mode]), np.uint8)
        self._render(region, out)
        return out

    def _render(
        self,
        region: Region,
        out: np.ndarray,
    ) -> None:
        pixels, plan = region
        shape = (plan.window.height, plan.window.width, *CHANNELS[self.mode])
        check_out(out, shape)
        render(pixels, plan, out, self._filter)


def check_out(out: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless an array can take a result of this shape."""
    if out.shape == shape and out.dtype == _UINT8 and out.flags.c_contiguous:
        return
    given = f"{out.dtype} of the shape {out.shape}"
    raise ValueError(f"out must be uint8 of the shape {shape}, C-contiguous, not {given}")


def _is_result(pixels: np.ndarray, plan: Plan) -> bool:
    """Whether nothing is left to do with the pixels of a plan."""
    sizes = {pixels.shape[:2], (plan.height, plan.width), plan.window[2:]}
    return len(sizes) == 1 and not plan.flip and pixels.flags.c_contiguous


def check_resized(height: int, width: int) -> None:
    """Raise DecodeError if what an image is resized to has more pixels than images may have."""
    check_pixels(height * width)


def _fresh(count: int) -> np.ndarray:
    """Random numbers in [0, 1) from the operating system: no state that a fork would copy."""
    words = np.frombuffer(os.urandom(8 * count), np.uint64)
    numbers: np.ndarray = (words >> np.uint64(11)) * 2.0**-53
    return numbers
