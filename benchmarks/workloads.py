"""The synthetic datasets that every peer stores: what their fields are and what each record holds.

Values come from integer formulas, not from a random generator, so that every process, whatever its NumPy, makes the
same records and can check what it reads. This module knows nothing of any peer.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

ARRAY_SHAPE = (3, 64, 64)
TOKENS = 2049  # 2,048 inputs and targets, shifted by one
BLOB_SIZE = 4096
IMAGE_SIZES = (60_000, 160_000)
STRING_SIZES = (16, 64)
TEXT_SIZES = (1_000, 2_000)  # 1.5 KB on average, as the texts that ArrayRecord is measured with
_POOL_SIZE = 32 << 20


def mix(values: np.ndarray) -> np.ndarray:
    """Scatter 64-bit integers (a finaliser of the splitmix64 kind): the same in every version of NumPy."""
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _noise(size: int) -> np.ndarray:
    """Incompressible bytes, as encoded images are."""
    return mix(np.arange(size // 8, dtype=np.uint64)).view(np.uint8)


@dataclass(frozen=True)
class Field:
    """One field: its name, its NumPy dtype, and its shape.

    The dtype is "bytes" for encoded bytes of any length, and "string" for texts.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()


class Records:
    """The values of one dataset of `count` records.

    `column(name)` is an array (count, *shape), or for bytes and strings a list. Everything is made once and kept, so that no
    measurement pays for it.
    """

    fields: tuple[Field, ...] = ()

    def __init__(self, count: int):
        self.count = count
        self._columns: dict[str, Any] = {}

    def column(self, name: str) -> Any:
        """All values of one field."""
        if name not in self._columns:
            self._columns[name] = self.make(name, np.arange(self.count))
        return self._columns[name]

    def columns(self) -> dict[str, Any]:
        """Every field's values, by name."""
        return {field.name: self.column(field.name) for field in self.fields}

    @cached_property
    def tuples(self) -> list[tuple]:
        """The records one by one, as Python values, bytes and arrays."""
        return list(
            zip(*(self._as_list(self.column(field.name)) for field in self.fields), strict=True)
        )

    @cached_property
    def dicts(self) -> list[dict[str, Any]]:
        """As `tuples`, with names."""
        names = [field.name for field in self.fields]
        return [dict(zip(names, values, strict=True)) for values in self.tuples]

    @staticmethod
    def _as_list(column: Any) -> list:
        return (
            column.tolist() if isinstance(column, np.ndarray) and column.ndim == 1 else list(column)
        )

    @cached_property
    def nbytes(self) -> int:
        """The bytes of the values alone, without any format's overhead."""
        columns = self.columns().values()
        return sum(
            column.nbytes if isinstance(column, np.ndarray) else sum(map(len, column))
            for column in columns
        )

    def make(self, name: str, indices: np.ndarray) -> Any:
        """The values of one field at these positions."""
        raise NotImplementedError


class Small(Records):
    """Two float32 and an int32: 12 bytes."""

    fields = (Field("x", "float32"), Field("y", "float32"), Field("z", "int32"))

    def make(self, name, indices):
        bits = mix(indices * 3 + "xyz".index(name))
        if name == "z":
            return (bits >> np.uint64(33)).astype(np.int32)
        return ((bits >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)).astype(np.float32)


class Images(Records):
    """Encoded images, 60 to 160 KB (they cannot be compressed further), with an int64 label."""

    fields = (Field("image", "bytes"), Field("label", "int64"))

    def __init__(self, count):
        super().__init__(count)
        self._pool = memoryview(_noise(_POOL_SIZE))

    def make(self, name, indices):
        bits = mix(indices)
        if name == "label":
            return (bits % np.uint64(1000)).astype(np.int64)
        low, high = self.sizes()
        sizes = low + (bits >> np.uint64(20)) % np.uint64(high - low + 1)
        starts = (bits >> np.uint64(8)) % np.uint64(_POOL_SIZE - high)
        places = zip(starts.tolist(), sizes.tolist(), strict=True)
        return [bytes(self._pool[start : start + size]) for start, size in places]

    def sizes(self) -> tuple[int, int]:
        """The smallest and the largest number of bytes."""
        return IMAGE_SIZES


class Blobs(Images):
    """4,096 bytes with a label: many small reads, for cold disks."""

    def sizes(self):
        return BLOB_SIZE, BLOB_SIZE


class Strings(Records):
    """Short texts, 16 to 64 letters of ASCII, with an int64 label."""

    fields = (Field("text", "string"), Field("label", "int64"))
    sizes = STRING_SIZES

    def make(self, name, indices):
        bits = mix(indices)
        if name == "label":
            return (bits % np.uint64(1000)).astype(np.int64)
        letters = np.frombuffer(b"etaoinshrdlu cm ", np.uint8)
        pool = letters[_noise(1 << 20) & 15].tobytes().decode()
        low, high = self.sizes
        sizes = low + (bits >> np.uint64(20)) % np.uint64(high - low + 1)
        starts = (bits >> np.uint64(8)) % np.uint64(len(pool) - high)
        places = zip(starts.tolist(), sizes.tolist(), strict=True)
        return [pool[start : start + size] for start, size in places]


class Texts(Strings):
    """Texts of 1,000 to 2,000 letters with a label."""

    sizes = TEXT_SIZES


class Arrays(Records):
    """One float32 array of 3 x 64 x 64 (48 KB)."""

    fields = (Field("array", "float32", ARRAY_SHAPE),)

    def make(self, name, indices):
        size = int(np.prod(ARRAY_SHAPE))
        base = (mix(np.arange(size)) >> np.uint64(48)).astype(np.float32) / np.float32(65536)
        shift = (mix(indices) >> np.uint64(48)).astype(np.float32) / np.float32(65536)
        return (base[None, :] + shift[:, None]).reshape(len(indices), *ARRAY_SHAPE)


class Tokens(Records):
    """2,049 token numbers, int32 (8 KB), below 50,257."""

    fields = (Field("tokens", "int32", (TOKENS,)),)

    def make(self, name, indices):
        ring = (mix(np.arange(65_536 + TOKENS)) % np.uint64(50_257)).astype(np.int32)
        tokens = np.empty((len(indices), TOKENS), np.int32)
        for row, start in zip(tokens, (mix(indices) >> np.uint64(48)).tolist(), strict=True):
            row[:] = ring[start : start + TOKENS]
        return tokens


@dataclass(frozen=True)
class Workload:
    """A dataset and how many records of it the full and the quick run store."""

    name: str
    records: type[Records]
    full: int
    quick: int
    title: str

    @property
    def fields(self) -> tuple[Field, ...]:
        """The dataset's fields."""
        return self.records.fields


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("small", Small, 200_000, 12_000, "Small records: float32, float32, int32"),
        Workload("strings", Strings, 200_000, 12_000, "A string of 16 to 64 letters and a label"),
        Workload("texts", Texts, 100_000, 6_000, "Texts of 1.5 KB and a label"),
        Workload("images", Images, 8_000, 320, "Images: 60 to 160 KB of encoded bytes and a label"),
        Workload("arrays", Arrays, 8_000, 600, "Arrays: float32, 3 × 64 × 64"),
        Workload("tokens", Tokens, 100_000, 3_000, "Tokens: int32 × 2,049"),
        Workload("blobs", Blobs, 200_000, 12_000, "Records of 4 KB and a label, on a cold disk"),
    )
}
