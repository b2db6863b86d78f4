"""The samples of each row: the same for all peers, made once and kept in a folder.

Images are sums of smooth noise of many sizes, as the spectra of photographs are, with a tint of
their own, so that a batch can be checked. Made by `python -m peers.loaders.samples FOLDER ROW SHARE`
in the environment `loading`, which has an encoder of JPEG; read by all with NumPy alone.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_DISTINCT = 1024  # images at most, each of which several records have a copy of
_DISTINCT_PIXELS = 70_000_000  # of all of them
_PIXELS = 300_000_000  # of the images of a row of another size
_NUMBERS = 30_000_000  # of the arrays of such a row


@dataclass(frozen=True)
class Row:
    """What is stored and asked for.

    Attributes:
        name: on the command line.
        count: how many samples the dataset has: a multiple of 1,024.
        epochs: how many of them are measured together.
        field: the name of the field beside `label`.
        kind: "jpeg", "pixels", "array", "tokens" or "text".
        shape: of one stored value; of images (height, width, 3).
        quality: of JPEGs, with 4:2:0 subsampling.
        detail: the exponent by which details are weaker: a smaller one makes larger JPEGs.
        title: in the table.
    """

    name: str
    count: int
    epochs: int
    field: str
    kind: str
    shape: tuple[int, ...]
    title: str
    quality: int = 0
    detail: float = 0.5

    @property
    def is_image(self) -> bool:
        """Whether a random part of it is resized to 224 × 224."""
        return self.kind in ("jpeg", "pixels")

    @property
    def dtype(self) -> str:
        """Of stored values that are arrays."""
        return {"pixels": "uint8", "array": "float32", "tokens": "int32"}[self.kind]


ROWS = {
    row.name: row
    for row in (
        Row("jpeg256", 8192, 1, "image", "jpeg", (256, 256, 3), "JPEG 256 × 256", 92),
        Row("jpeg110k", 4096, 1, "image", "jpeg", (400, 500, 3), "JPEG 500 × 400", 96, 0.35),
        Row("raw256", 3072, 4, "image", "pixels", (256, 256, 3), "raw 256 × 256 × 3"),
        Row("arrays", 32768, 4, "array", "array", (512,), "arrays, float32 × 512"),
        Row("tokens", 16384, 4, "tokens", "tokens", (2048,), "tokens, int32 × 2,048"),
        Row("texts", 32768, 4, "text", "text", (), "texts of 100 to 1,100 letters"),
    )
}


def row_of(name: str) -> Row:
    """A row by its name, or one of another size: "jpeg-384", "raw-384" (pixels), "arrays-65536" (numbers)."""
    if name in ROWS:
        return ROWS[name]
    kind, _, number = name.partition("-")
    if kind not in ("jpeg", "raw", "arrays") or not number.isdigit():
        known = ", ".join(ROWS)
        raise ValueError(f"{name!r} is no row: expected {known}, jpeg-N, raw-N or arrays-N")
    size = int(number)
    if kind == "arrays":
        count = _multiple(_NUMBERS / size)
        return Row(name, count, 4, "array", "array", (size,), f"arrays, float32 × {size:,}")
    kinds = {"jpeg": "jpeg", "raw": "pixels"}
    count = _multiple(_PIXELS / size**2)
    title = f"{kind} {size} × {size}"
    return Row(name, count, 1, "image", kinds[kind], (size, size, 3), title, 92)


def _multiple(count: float) -> int:
    """So many samples, rounded to the thousand that every batch size divides: 1,024 to 32,768."""
    return min(32, max(1, round(count / 1024))) * 1024


class Samples:
    """The samples of one row, read from where they were made.

    Attributes:
        row: which one.
        labels: int64 (count,): the positions themselves.
        means: float64 (count,): the mean of each value; of a text, its length.
    """

    def __init__(self, row: Row, folder: Path):
        self.row = row
        self._bytes = np.load(folder / f"{row.name}.bytes.npy", mmap_mode="r")
        self._ends = np.load(folder / f"{row.name}.ends.npy")
        self.means = np.load(folder / f"{row.name}.means.npy")
        self.labels = np.arange(len(self.means))

    def __len__(self) -> int:
        return len(self.labels)

    def encoded(self, index: int) -> bytes:
        """What is stored, as bytes."""
        distinct = index % len(self._ends)
        start = self._ends[distinct - 1] if distinct else 0
        return self._bytes[start : self._ends[distinct]].tobytes()

    def value(self, index: int) -> Any:
        """What is stored: the bytes of a JPEG, an array, or a string."""
        data = self.encoded(index)
        if self.row.kind == "jpeg":
            return data
        if self.row.kind == "text":
            return data.decode()
        return np.frombuffer(data, self.row.dtype).reshape(self.row.shape)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """A value and its label."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.value(index), int(index)


def make(folder: Path, row: Row, share: float) -> None:
    """Make the samples of a row, `share` of as many as it has."""
    count = max(1024, round(row.count * share) // 1024 * 1024)
    distinct = count
    if row.is_image:
        most = _DISTINCT_PIXELS // (row.shape[0] * row.shape[1])
        distinct = min(count, _DISTINCT, most)
    generator = np.random.default_rng(0)
    values = [_value(row, generator) for _ in range(distinct)]
    encoded = [_encoded(row, value) for value in values]
    means = [len(value) if row.kind == "text" else float(np.mean(value)) for value in values]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{row.name}.bytes.npy", np.frombuffer(b"".join(encoded), np.uint8))
    np.save(folder / f"{row.name}.ends.npy", np.cumsum([len(data) for data in encoded]))
    np.save(folder / f"{row.name}.means.npy", np.resize(means, count))
    size = sum(map(len, encoded)) / distinct
    print(f"{row.name}: {count:,} samples, {size:,.0f} bytes each")


def _value(row: Row, generator: np.random.Generator) -> Any:
    if row.kind == "text":
        letters = generator.integers(97, 123, generator.integers(100, 1100), np.uint8)
        letters[generator.random(len(letters)) < 0.17] = 32
        return letters.tobytes().decode()
    if row.kind == "tokens":
        return generator.integers(0, 50257, row.shape, np.int32)
    if row.kind == "array":
        return generator.random(row.shape, np.float32)
    return _image(row, generator)


def _image(row: Row, generator: np.random.Generator) -> np.ndarray:
    import cv2  # the environments of peers that only read have none

    height, width, _ = row.shape
    image = np.zeros(row.shape, np.float32)
    size = 2
    while size <= 2 * max(height, width):
        grid = generator.standard_normal((min(size, height), min(size, width), 3))
        grid = 1.4 * grid.mean(2, keepdims=True) + 0.35 * grid
        grown = cv2.resize(grid.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        image += grown * size**-row.detail
        size *= 2
    image -= image.mean()
    image /= image.std()
    tint = generator.uniform(70, 186)
    return np.clip(tint + 45 * image, 0, 255).astype(np.uint8)


def _encoded(row: Row, value: Any) -> bytes:
    if row.kind == "text":
        return value.encode()
    if row.kind != "jpeg":
        return value.tobytes()
    import simplejpeg

    return simplejpeg.encode_jpeg(value, row.quality, "RGB", colorsubsampling="420")


if __name__ == "__main__":
    make(Path(sys.argv[1]), row_of(sys.argv[2]), float(sys.argv[3]))
