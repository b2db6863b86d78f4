"""What the samples themselves tell: a few of them are read and decoded again, when it is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords import vision
from dsrecords._loader.keys import Key
from dsrecords._loader.limits import least_time
from dsrecords._loader.pictures import Picture
from dsrecords._loader.reader import Reader
from dsrecords._loader.transforms import held_part, random_of, sample_of, unused_fields
from dsrecords.dataset import IndexedRecordDataset
from dsrecords.errors import DSRecordsError

SMALLER = 256  # pixels: the shorter side of pictures that would do for most trainings
LARGER = 256  # samples of a batch that would do

_PICTURES = 8  # that are decoded again, at most
_DECODING = 0.05  # seconds in which they are
_BYTES = 2**26  # that are read again, at most
_SAMPLES = 1024
_WORD = 8  # bytes of a value that is not looked at
_SMALL = 2**14  # bytes of a sample, up to which the size of a batch matters


class Decoding(NamedTuple):
    """What decoding takes for one field of pictures.

    Attributes:
        key: of the field.
        alone: seconds of processor time a picture.
        pixels: of a picture, as it is stored.
        smaller: seconds where the shorter side becomes 256; None where that is no choice.
        smaller_pixels: of a picture then.
    """

    key: Key
    alone: float
    pixels: float
    smaller: float | None
    smaller_pixels: float


class Probes(NamedTuple):
    """What samples have told. None: it is not known.

    Attributes:
        bytes: of a sample, as far as it is read.
        read: seconds of processor time in which a sample is read that was verified before.
        verify: seconds that verifying adds to that.
        decodings: of the fields of pictures.
        unused: fields that the transform does not ask for.
        larger: which part of its time a sample takes when 256 are read at once.
        held: which part of its time the transform holds Python's lock.
    """

    bytes: float | None = None
    read: float | None = None
    verify: float | None = None
    decodings: tuple[Decoding, ...] = ()
    unused: tuple[Key, ...] = ()
    larger: float | None = None
    held: float | None = None


def probed(reader: Reader, recent: Sequence[np.ndarray]) -> Probes:
    """Return what samples tell that were read lately.

    Args:
        reader: of the samples.
        recent: their indices, as they were read together: each int64, (n,).
    """
    if not recent:
        return Probes()
    reading = _Reading()
    if not reader.is_remote:  # else it would be fetched once more
        reading = _Reading.of(reader, recent)
    indices = recent[-1].tolist()
    decodings = []
    for picture in reader.pictures:
        decoding = _decoding(reader.stored, picture, indices)
        if decoding is not None:
            decodings.append(decoding)
    unused: tuple[Key, ...] = ()
    held = None
    if reader.transforms:
        sample = sample_of(reader, indices[0])
        unused = unused_fields(reader, sample, indices[0])
        held = held_part(reader, sample, indices[0])
    return Probes(
        reading.bytes,
        reading.read,
        reading.verify,
        tuple(decodings),
        unused,
        _larger(reader, recent[-1], reading.bytes),
        held,
    )


# Reading


class _Reading(NamedTuple):
    """What reading and verifying take: see `Probes`."""

    bytes: float | None = None
    read: float | None = None
    verify: float | None = None

    @classmethod
    def of(cls, reader: Reader, recent: Sequence[np.ndarray]) -> _Reading:
        """Read samples again, from datasets of their own: with and without verifying."""
        stored = reader.stored
        if not isinstance(stored, IndexedRecordDataset) or any(stored.deserializers):
            return cls()
        try:
            return cls._measured(reader, stored, recent)
        except (DSRecordsError, OSError):  # the files have changed meanwhile
            return cls()

    @classmethod
    def _measured(
        cls,
        reader: Reader,
        stored: IndexedRecordDataset,
        recent: Sequence[np.ndarray],
    ) -> _Reading:
        file, groups = _positions(stored, recent)
        seconds = {}
        size = 0.0
        for verify in (True, "always"):
            # Of their own, since nobody else has verified what they read.
            dataset = IndexedRecordDataset(
                file,
                create=False,
                decode=stored.decode,
                copy=not reader.pictures,
                verify=verify,
            )
            with dataset:
                shown = dataset
                if stored.fields:
                    shown = dataset.select_fields(stored.fields)
                size = _size_of(shown.batch(groups[0][:1]))
                some = _first(groups, size)
                seconds[verify] = _seconds_of(shown, some)
        read = seconds[True]
        return cls(size, read, max(seconds["always"] - read, 0.0))


def _seconds_of(dataset: IndexedRecordDataset, groups: list[list[int]]) -> float:
    """Seconds of processor time in which a sample is read, once it was read before."""
    # Into memory of their own, as batches have it: a cache does not keep what is written.
    outs = [_arrays(dataset.batch(group)) for group in groups]
    taken = least_time(lambda: _read(dataset, groups, outs))
    return taken / sum(len(group) for group in groups)


def _first(groups: list[list[int]], size: int) -> list[list[int]]:
    """Return as many of some groups as may be read, of samples that have so many bytes."""
    room = max(_BYTES // max(size, 1), 1)
    found = []
    for group in groups:
        some = group[:room]
        room -= len(some)
        if some:
            found.append(some)
    return found


def _positions(
    stored: IndexedRecordDataset,
    recent: Sequence[np.ndarray],
) -> tuple[str, list[list[int]]]:
    """Return a file, and the positions there of samples that were read together."""
    file, _ = stored.shard_of(int(recent[-1][0]))
    groups = []
    count = 0
    for indices in reversed(recent):
        places = [stored.shard_of(index) for index in indices.tolist()]
        group = [position for path, position in places if path == file]
        if group and count < _SAMPLES:
            groups.append(group)
            count += len(group)
    return file, groups


def _read(
    dataset: IndexedRecordDataset,
    groups: list[list[int]],
    outs: list[dict[Any, np.ndarray]],
) -> None:
    for group, out in zip(groups, outs):
        dataset.batch(group, out=out)


def _arrays(batch: Any) -> dict[Any, np.ndarray]:
    """Return the columns that are arrays of values that cannot be None: they are read into."""
    items = batch.items() if isinstance(batch, dict) else enumerate(batch)
    return {key: column for key, column in items if _is_array(column)}


def _is_array(column: Any) -> bool:
    return type(column) is np.ndarray and bool(column.flags.writeable)


def _size_of(batch: Any) -> int:
    columns = batch.values() if isinstance(batch, dict) else batch
    return sum(_bytes_in(column) for column in columns)


def _bytes_in(value: Any) -> int:
    if isinstance(value, list):
        return sum(_bytes_in(each) for each in value)
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, (str, bytes)):
        return len(value)
    return _WORD


def _larger(reader: Reader, indices: np.ndarray, size: float | None) -> float | None:
    """What a sample takes in a batch of 256, as a part of what it takes now."""
    batch = getattr(reader.stored, "batch", None)
    count = len(indices)
    if batch is None or reader.is_costly or count >= LARGER:
        return None
    if size is None or size > _SMALL:
        return None
    many = np.resize(indices, LARGER)
    now = least_time(lambda: batch(indices)) / count
    then = least_time(lambda: batch(many)) / LARGER
    return min(then / now, 1.0)


# Pictures


def _decoding(stored: Any, picture: Picture, indices: list[int]) -> Decoding | None:
    """Decode some pictures again; None where there are none, or where that fails."""
    decoder = _smaller_decoder(picture)
    alone = []
    smaller = []
    pixels = []
    smaller_pixels = []
    began = time.thread_time()
    for index in indices[:_PICTURES]:
        value = stored[index, picture.key]
        if value is None:
            continue
        array, seconds = _timed(picture, value)
        alone.append(seconds)
        pixels.append(_pixels_of(stored, picture, index, array))
        if decoder is not None:
            array, seconds = _timed(picture._replace(decoder=decoder), value)
            smaller.append(seconds)
            smaller_pixels.append(array.shape[0] * array.shape[1])
        if time.thread_time() - began > _DECODING:
            break
    if not alone:
        return None
    mean_pixels = float(np.mean(pixels))
    if not smaller or mean_pixels < 2 * SMALLER**2:
        return Decoding(picture.key, float(np.mean(alone)), mean_pixels, None, mean_pixels)
    return Decoding(
        picture.key,
        float(np.mean(alone)),
        mean_pixels,
        float(np.mean(smaller)),
        float(np.mean(smaller_pixels)),
    )


def _timed(picture: Picture, value: Any) -> tuple[np.ndarray, float]:
    random = random_of(picture)
    array = picture.decode(value, random)
    return array, least_time(lambda: picture.decode(value, random), rounds=2)


def _pixels_of(stored: Any, picture: Picture, index: int, array: np.ndarray) -> int:
    size_of = getattr(stored, "image_size", None)
    if picture.shape is None or picture.is_raw or size_of is None:
        return int(array.shape[0] * array.shape[1])
    height, width = size_of(index, picture.key)
    return int(height * width)


def _smaller_decoder(picture: Picture) -> Any:
    """Return a decoder that makes pictures smaller; None where they have their size already."""
    decoder = picture.decoder
    is_whole = getattr(decoder, "size", None) is None and getattr(decoder, "max_size", None) is None
    if picture.is_raw or not is_whole or picture.shape is not None:
        return None
    return vision.Resize(SMALLER, mode=getattr(decoder, "mode", "rgb"))
