"""Pictures of 256 × 256 for training: what the library adds to the decoder, the filter and the mirror alone.

Of JPEGs (quality 90) and of raw pixels, a random part becomes 224 × 224 and is mirrored by chance. "alone" are calls of
simplejpeg and OpenCV for the same boxes, decided beforehand. Processor time in µs an image, of one thread and of two,
each the best of some rounds in turn; and how many times as fast two threads are by the clock.

python benchmarks/pictures.py [--images 200] [--rounds 7] [--side 256]
"""

import argparse
import concurrent.futures
import io
import time

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from dsrecords import vision
from dsrecords._vision.plans import random_box

SIZE = 224
CROP = vision.RandomResizedCrop(SIZE)


def photograph(side: int, rng: np.random.Generator) -> np.ndarray:
    """Pixels that compress as a photograph does: gradients, shapes and noise."""
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    gradients = np.stack([x * 255, y * 255, (x + y) * 127], -1)
    spots = rng.integers(0, 255, (side // 8, side // 8, 3), np.uint8)
    shapes = Image.fromarray(spots).resize((side, side), Image.Resampling.BICUBIC)
    noise = rng.normal(0, 6, (side, side, 3))
    pixels = 0.5 * gradients + 0.45 * np.asarray(shapes) + noise
    return pixels.clip(0, 255).astype(np.uint8)


def as_jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def box_of(side: int, random: np.ndarray) -> tuple[slice, slice, bool]:
    """The part of an image that these numbers choose, and whether it is mirrored."""
    top, left, height, width = random_box(side, side, CROP.scale, CROP.ratio, random.tolist())
    rows = slice(top, top + height)
    columns = slice(left, left + width)
    return rows, columns, random[-1] < CROP.flip


class Ways:
    """What is compared: each takes the number of an image and an array for the result."""

    def __init__(self, count: int, side: int) -> None:
        rng = np.random.default_rng(0)
        self.pixels = [photograph(side, rng) for _ in range(count)]
        self.files = [as_jpeg(pixels) for pixels in self.pixels]
        self.random = rng.random((count, CROP.num_random))
        self.boxes = [box_of(side, numbers) for numbers in self.random]

    def decode_alone(self, i: int, out: np.ndarray) -> None:
        simplejpeg.decode_jpeg(self.files[i])

    def jpeg_alone(self, i: int, out: np.ndarray) -> None:
        self._resize(simplejpeg.decode_jpeg(self.files[i]), i, out)

    def jpeg(self, i: int, out: np.ndarray) -> None:
        CROP.decode_image_into(self.files[i], out, self.random[i])

    def raw_alone(self, i: int, out: np.ndarray) -> None:
        self._resize(self.pixels[i], i, out)

    def raw(self, i: int, out: np.ndarray) -> None:
        CROP.convert_into(self.pixels[i], out, self.random[i])

    def _resize(self, pixels: np.ndarray, i: int, out: np.ndarray) -> None:
        rows, columns, flip = self.boxes[i]
        cv2.resize(pixels[rows, columns], (SIZE, SIZE), dst=out, interpolation=cv2.INTER_LINEAR)
        if flip:
            cv2.flip(out, 1, dst=out)


NAMES = {
    "decode_alone": "JPEG, decoder alone",
    "jpeg_alone": "JPEG, decoder, filter and mirror alone",
    "jpeg": "JPEG, RandomResizedCrop",
    "raw_alone": "raw, filter and mirror alone",
    "raw": "raw, RandomResizedCrop",
}


def seconds(way, count: int, num_threads: int) -> tuple[float, float]:
    """Processor and wall time an image, where each thread has all images."""
    outs = np.empty((num_threads, SIZE, SIZE, 3), np.uint8)

    def work(k: int) -> None:
        for i in range(count):
            way(i, outs[k])

    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        wall = time.perf_counter()
        processor = time.process_time()
        list(pool.map(work, range(num_threads)))
        total = count * num_threads
        return (time.process_time() - processor) / total, (time.perf_counter() - wall) / total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="how many different ones (200)")
    parser.add_argument("--rounds", type=int, default=7, help="how many times each way runs (7)")
    parser.add_argument("--side", type=int, default=256, help="of each image, in pixels (256)")
    arguments = parser.parse_args()
    ways = Ways(arguments.images, arguments.side)
    mean = sum(len(file) for file in ways.files) / len(ways.files)
    print(f"{arguments.images} images, {mean:,.0f} bytes a JPEG; µs an image")
    print(f"{'':<40} 1 thread   2 threads   faster by")
    times = {}
    for _ in range(arguments.rounds):
        for name in NAMES:
            for num_threads in (1, 2):
                measured = seconds(getattr(ways, name), arguments.images, num_threads)
                times.setdefault((name, num_threads), []).append(measured)
    for name, title in NAMES.items():
        one = np.min(times[name, 1], axis=0) * 1e6
        two = np.min(times[name, 2], axis=0) * 1e6
        print(f"{title:<40} {one[0]:8.1f}   {two[0]:9.1f}   {one[1] / two[1]:9.2f}")


if __name__ == "__main__":
    main()
