"""What a transform tells when it is called a few times more: what it asks for, what it holds."""

from __future__ import annotations

import copy
import functools
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from dsrecords._loader.keys import Key
from dsrecords._loader.pictures import Picture, channels_first
from dsrecords._loader.randomness import Randomness
from dsrecords._loader.reader import Reader
from dsrecords._loader.times import usage

_LONG_ENOUGH = 5e-3  # seconds that a transform is watched
_MOST_CALLS = 64  # of one round
_ROUNDS = 7
_LONGEST = 0.8  # seconds, of all rounds
_HELD_UP = 1e-4  # seconds: who waits so long for Python's lock is kept from it
_FREE = bytes(2**14)  # zlib computes the checksum of so much without the lock, in some 10 µs


def random_of(picture: Picture) -> np.ndarray | None:
    """Return random numbers for a picture; None where it takes none."""
    if not picture.num_random:
        return None
    return np.full(picture.num_random, 0.5)


def sample_of(reader: Reader, index: int) -> Any:
    """Return a sample as the transform gets it."""
    sample = reader.stored[index]
    for picture in reader.pictures:
        key: Any = picture.key
        if sample[key] is None:
            continue
        decoded: Any = picture.decode(sample[key], random_of(picture))
        if reader.gets_channels_first:
            decoded = channels_first(decoded)
        if isinstance(sample, tuple):
            sample = (*sample[:key], decoded, *sample[key + 1 :])
        else:
            sample[key] = decoded
    return sample


# What it asks for


class _Watched(dict[Any, Any]):
    """A sample that remembers what it was asked for.

    Attributes:
        asked: keys of the values that somebody has seen.
    """

    def __init__(self, sample: dict[Any, Any]) -> None:
        super().__init__(sample)
        self.asked: set[Any] = set()

    def __getitem__(self, key: Any) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        self.asked.add(key)
        return super().pop(key, *default)

    def _all(self) -> None:
        self.asked.update(super().keys())

    def __iter__(self) -> Any:
        self._all()
        return super().__iter__()

    def keys(self) -> Any:
        self._all()
        return super().keys()

    def values(self) -> Any:
        self._all()
        return super().values()

    def items(self) -> Any:
        self._all()
        return super().items()

    def copy(self) -> Any:
        self._all()
        return super().copy()

    def __or__(self, other: Any) -> Any:
        self._all()
        return super().__or__(other)


def unused_fields(reader: Reader, sample: Any, index: int) -> tuple[Key, ...]:
    """Return the fields that the first transform does not ask for; nothing if it fails."""
    if not isinstance(sample, dict):
        return ()
    watched = _Watched(sample)
    try:
        result = reader.transforms[0](watched, Randomness(0, 0).generator(index))
    except Exception:  # noqa: BLE001 - it is the user's, and was called in another way
        return ()
    if result is watched:
        return ()
    return tuple(key for key in sample if key not in watched.asked)


# What it holds


def held_part(reader: Reader, sample: Any, index: int) -> float | None:
    """Return in which part of its time the transform keeps others from Python's lock.

    It is called in a thread of its own, while this thread asks for the lock over and over. On a
    busy machine a thread that may go on does not always do so at once: of some rounds, the one
    counts that is above a third of them.

    Returns:
        0 to 1; None if the transform fails, or the machine is too busy to tell.
    """
    parts: list[float] = []
    began = time.perf_counter()
    while len(parts) < _ROUNDS and time.perf_counter() - began < _LONGEST:
        calls = _Calls(reader, sample, index)
        held = _watched(calls)
        if calls.has_failed:
            return None
        if held is not None:
            parts.append(held)
    if not parts:
        return None
    parts.sort()
    return parts[len(parts) // 3]


def _watched(calls: _Calls) -> float | None:
    """Return in which part of the work of some calls this thread was kept from the lock.

    None if this thread had no core for most of it.
    """
    thread = threading.Thread(target=calls.run, name="dsrecords-report")
    thread.start()
    clock = _clock_of(thread)
    free = 0.0
    held = 0.0
    unknown = 0.0
    calls.may_begin.set()
    while not calls.is_done:
        given_up = _times_given_up()
        worked = clock()
        before = time.perf_counter()
        zlib.crc32(_FREE)
        waited = time.perf_counter() - before
        worked = clock() - worked
        if waited < _HELD_UP:
            free += worked
        elif _times_given_up() > given_up or not given_up:
            held += worked
        else:  # another process was let in
            unknown += worked
    calls.may_end.set()
    thread.join()
    if unknown > held + free:
        return None
    return held / max(held + free, 1e-9)


def _clock_of(thread: threading.Thread) -> Callable[[], float]:
    """Return a clock of the processor time of a thread that runs; else of all time."""
    id_of = getattr(time, "pthread_getcpuclockid", None)
    if id_of is None or thread.ident is None:
        return time.perf_counter
    return functools.partial(time.clock_gettime, id_of(thread.ident))


def _times_given_up() -> int:
    """How often this thread has given up its core to wait; 0 where that is not counted."""
    now = usage()
    return now.ru_nvcsw if now is not None else 0


class _Calls:
    """Calls of a transform, until they have taken a while.

    Attributes:
        may_begin, may_end: set when somebody watches, and does not any more.
        is_done: whether they have been made.
        has_failed: whether one of them has raised.
    """

    def __init__(self, reader: Reader, sample: Any, index: int) -> None:
        self.may_begin = threading.Event()
        self.may_end = threading.Event()
        self.is_done = False
        self.has_failed = False
        self._reader = reader
        self._sample = sample
        self._index = index

    def run(self) -> None:
        """Make them."""
        self.may_begin.wait()
        began = time.perf_counter()
        try:
            for _ in range(_MOST_CALLS):
                self._call()
                if time.perf_counter() - began > _LONG_ENOUGH:
                    break
        except Exception:  # noqa: BLE001 - it is the user's
            self.has_failed = True
        self.is_done = True
        self.may_end.wait()  # its clock ends with it

    def _call(self) -> None:
        value = copy.copy(self._sample)
        for transform in self._reader.transforms:
            value = transform(value, Randomness(0, 0).generator(self._index))
