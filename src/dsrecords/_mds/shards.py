"""The shards of an MDS folder: mapped when they are first read, decompressed if they have to be."""

from __future__ import annotations

import bz2
import collections
import gzip
import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._mds.index import MdsShard
from dsrecords._optional import import_optional
from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage
from dsrecords.errors import CorruptError

_MOST_MAPPED = 1024
_MOST_DECOMPRESSED = 2
_HEAD = 4  # bytes: the count of samples


class Shard:
    """A shard that can be read.

    Args:
        shard: which one.
        data: its bytes.

    Attributes:
        data: the same.
        offsets: where each sample begins, and where the last ends: uint32, (samples + 1,).
    """

    def __init__(
        self,
        shard: MdsShard,
        data: memoryview,
    ) -> None:
        self.data = data
        self.offsets = np.frombuffer(data[_HEAD : _HEAD + 4 * (shard.samples + 1)], "<u4")
        count = int.from_bytes(data[:_HEAD], "little")
        if count != shard.samples or len(self.offsets) <= shard.samples:
            raise CorruptError(
                f"it has {count} samples, by the index {shard.samples}",
                file=shard.path,
            )
        # Behind the offsets, a writer of MDS repeats what the index says of the columns.
        first = _HEAD + 4 * (count + 1)
        is_ascending = bool((self.offsets[1:] >= self.offsets[:-1]).all())
        if self.offsets[0] < first or not is_ascending or self.offsets[-1] > len(data):
            raise CorruptError("its samples do not lie one behind the other", file=shard.path)


class Shards:
    """The shards of a folder, of which those that were read last are kept.

    Args:
        shards: all of them.
    """

    def __init__(self, shards: tuple[MdsShard, ...]) -> None:
        self.shards = shards
        self._lock = threading.Lock()
        self._mapped: collections.OrderedDict[int, Shard] = collections.OrderedDict()
        self._decompressed: collections.OrderedDict[int, Shard] = collections.OrderedDict()

    def shard(self, number: int) -> Shard:
        """Return a shard. Raises FileNotFoundError, CorruptError, ImportError."""
        found = self._mapped.get(number) or self._decompressed.get(number)
        if found is not None:
            return found
        shard = self.shards[number]
        if files.exists(shard.path) or not shard.compressed:
            return self._keep(
                self._mapped,
                _MOST_MAPPED,
                number,
                _mapped(shard),
            )
        data = _decompressed(shard)
        return self._keep(
            self._decompressed,
            _MOST_DECOMPRESSED,
            number,
            Shard(shard, data),
        )

    def _keep(
        self,
        kept: collections.OrderedDict[int, Shard],
        most: int,
        number: int,
        shard: Shard,
    ) -> Shard:
        with self._lock:
            kept[number] = shard
            while len(kept) > most:
                kept.popitem(last=False)
        return shard


def _mapped(shard: MdsShard) -> Shard:
    storage = LocalStorage(shard.path)
    size = storage.size()
    if size != shard.size:
        problem = f"it has {size} bytes, by the index {shard.size}"
        raise CorruptError(problem, file=shard.path)
    return Shard(shard, storage.window(size))


def _decompressed(shard: MdsShard) -> memoryview:
    """Return the bytes of a shard that is there compressed alone: at most as many as it states."""
    storage = LocalStorage(shard.compressed)
    packed = storage.read(0, storage.size())
    name = shard.compression.partition(":")[0]
    opener = _OPENERS.get(name)
    if opener is None:
        known = ", ".join(_OPENERS)
        problem = f"it is compressed by {name!r}, which is not read here; {known} are"
        raise CorruptError(problem, file=shard.compressed)
    file: Any = opener(packed)
    try:
        data = file.read(shard.size + 1)
    except Exception as error:
        if isinstance(error, (ImportError, MemoryError)):
            raise
        raise CorruptError(f"{name} cannot read it: {error}", file=shard.compressed) from None
    if len(data) != shard.size:
        problem = f"it does not become {shard.size} bytes, as the index says"
        raise CorruptError(problem, file=shard.compressed)
    return memoryview(data)


def _zstd(packed: bytes) -> Any:
    zstd = import_optional(
        "zstandard",
        "zstandard",
        extra="zstd",
    )
    return zstd.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True)


_OPENERS: dict[str, Callable[[bytes], Any]] = {
    "zstd": _zstd,
    "gz": lambda packed: gzip.GzipFile(fileobj=io.BytesIO(packed)),
    "bz2": lambda packed: bz2.BZ2File(io.BytesIO(packed)),
}
