"""`Report`: where the time of a loader goes, and the one change that would help most."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._loader.keys import Key
from dsrecords._loader.limits import Limits
from dsrecords._loader.probes import LARGER, SMALLER, Probes
from dsrecords._loader.times import COLLATE, COPY, DECODE, READ, TRANSFORM, Spent, Times

# The rows of a report.
DISK = "disk"
VERIFY = "verify"
SENDING = "processes"
LOCK = "lock or core"
TRAINING = "training"
ELSE = "all else"
ROWS = (DISK, VERIFY, READ, DECODE, TRANSFORM, COLLATE, COPY, SENDING, LOCK, TRAINING, ELSE)

# Causes that are no rows.
THREADS = "threads"
FIELDS = "fields"
BATCH_SIZE = "batch size"
CORES = "cores"

_WAITED = 0.1  # of the caller's time that it waits, from which the loader is the bottleneck
_WORTH = 1.1  # a gain from which a change is named
_MOST_THREADS = 32
_USED = 0.5  # of the cores' time, below which something else has them
_HELD = 0.7  # of its time, from which a transform is one that holds Python's lock
_ELSEWHERE = 8  # times longer than any lock explains: a stage waits for something else
_SENDS = 4  # how often the bytes of a batch are copied on their way from a process
_OPENCV = 0.37  # of Pillow's time: OpenCV's for a crop that is resized (281 of 765 µs)


class Setup(NamedTuple):
    """How the loader was made.

    Attributes:
        num_threads, num_processes: as the loader has them.
        verify: as the dataset has it; None where it has no such thing.
        lacks_vision: whether packages that decode and resize faster are not installed.
        sizes: fields whose decoder makes pictures of one size.
        is_remote: whether the files are read through another storage than this machine's.
    """

    num_threads: int
    num_processes: int = 0
    verify: bool | str | None = True
    lacks_vision: bool = False
    sizes: tuple[Key, ...] = ()
    is_remote: bool = False

    @property
    def workers(self) -> int:
        """How many parts are made at a time."""
        return max(self.num_threads, self.num_processes, 1)


@dataclasses.dataclass(frozen=True)
class Share:
    """What one row of a report has.

    Attributes:
        ms: milliseconds a batch, of one thread.
        percent: of the time of all threads.
        note: how that compares with what the machine can do; empty where there is no such limit.
    """

    ms: float
    percent: float
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """Where the time of an iteration went; `print` it.

    The threads' time is the time of the iteration, times their number (1 without threads). Of its
    rows, "disk", "read", "decode", "transform", "collate" and "copy" are measured around what
    threads do. "verify" is worked out: see `docs/slow.md`.

    Attributes:
        rows: by name, a `Share` with `ms`, `percent` and `note`. "disk": waiting for the disk;
            "verify": comparing checksums; "read": finding records and copying what they have;
            "decode": pictures; "transform": the functions `transform` and `batch_transform`;
            "collate": stacking and padding; "copy": to the format and the device; "processes":
            sending samples between processes; "lock or core": waiting for Python's lock or for a
            core; "training": threads had nothing to do, as the training took its time; "all else":
            what is not measured, such as handing batches over.
        batches, samples: how many were delivered.
        rate: samples/s, as they were delivered.
        waited: which part of the caller's time it waited for batches, from 0 to 1.
        limits: of this machine: `cores`, `verify_rate` and `copy_rate` (bytes/s, of one core).
        cause: what holds the loader up: a row, or "threads", "fields", "batch size", "cores".
        change: the one change that would help most, in words.
        predicted_rate: samples/s after it, where nothing else changes.
        gain: `predicted_rate` as a multiple of `rate`: 1 where no change would help.
    """

    rows: dict[str, Share]
    batches: int
    samples: int
    rate: float
    waited: float
    setup: Setup
    limits: Limits
    cause: str
    change: str
    predicted_rate: float
    gain: float

    def as_dict(self) -> dict[str, Any]:
        """Return everything as dicts, strings and numbers, as JSON can hold them."""
        values = dataclasses.asdict(self)
        for name in ("setup", "limits"):
            values[name] = getattr(self, name)._asdict()
        values["setup"]["sizes"] = list(self.setup.sizes)
        return values

    def __repr__(self) -> str:
        return f"<Report: {self.cause}, {self.rate:,.0f} samples/s, {self.gain:.2f} × possible>"

    def __str__(self) -> str:
        each = self.samples / self.batches
        lines = [f"{'':14}{'ms a batch':>10}{'%':>7}"]
        for name, share in self.rows.items():
            line = f"{name:14}{share.ms:10.2f}{share.percent:7.1f}   {share.note}"
            lines.append(line.rstrip())
        workers = f"{self.setup.num_threads} threads"
        if self.setup.num_processes:
            workers = f"{self.setup.num_processes} processes"
        lines.append(
            f"{self.batches:,} batches of {each:,.0f}: {self.rate:,.0f} samples/s by {workers} on "
            f"{self.limits.cores} cores; the training waited {self.waited:.0%} of the time."
        )
        lines.append(self.change)
        return "\n".join(lines)


# What a sample takes


@dataclasses.dataclass(frozen=True)
class Costs:
    """Seconds that a sample takes, of one thread.

    Attributes:
        disk: waiting for the disk.
        verify, read, decode, transform, collate, copy: work. A copy to a device waits as well.
        other: work besides, such as handing batches over.
        elsewhere: waiting of a transform that is not for the lock.
        sending: between processes.
        idle: waiting for the lock, or for a core.
        held: of the work, what holds Python's lock, so that only one thread at a time does it.
    """

    disk: float = 0.0
    verify: float = 0.0
    read: float = 0.0
    decode: float = 0.0
    transform: float = 0.0
    collate: float = 0.0
    copy: float = 0.0
    other: float = 0.0
    elsewhere: float = 0.0
    sending: float = 0.0
    idle: float = 0.0
    held: float = 0.0

    @property
    def work(self) -> float:
        """What keeps a core busy."""
        reading = self.verify + self.read
        making = self.decode + self.transform + self.collate + self.copy
        return reading + making + self.other

    @property
    def waits(self) -> float:
        """What keeps a thread from going on, and no core busy."""
        return self.disk + self.elsewhere + self.sending

    def rate(self, workers: int, cores: int) -> float:
        """Return how many samples/s so many threads, or processes, can make."""
        rates = [
            cores / max(self.work, 1e-12),
            workers / max(self.work + self.waits, 1e-12),
        ]
        if self.held:
            rates.append(1 / self.held)
        return min(rates)


def costs_of(times: Times, setup: Setup, probes: Probes, limits: Limits) -> Costs:
    """Return what a sample took."""
    stages = times.stages
    rows = max(times.rows, 1)
    workers = setup.workers
    read = stages[READ]
    transform = stages[TRANSFORM]
    copy = stages[COPY]
    disk = _fetching(times, setup)
    waiting = _elsewhere(transform, workers)
    idle = read.disk - disk - waiting - copy.idle
    for spent in stages.values():
        idle += spent.idle
    verify = _verifying(times, setup, probes, limits)
    held = 0.0
    if not setup.num_processes and (probes.held or 0.0) >= _HELD:
        held = transform.processor / rows
    worked = sum(spent.processor for spent in stages.values())
    return Costs(
        disk=(disk + stages[DECODE].disk) / rows,
        verify=verify,
        read=read.processor / rows - verify,
        decode=stages[DECODE].processor / rows,
        transform=transform.processor / rows,
        collate=stages[COLLATE].processor / rows,
        copy=copy.wall / rows,
        other=max(times.processor - worked, 0.0) / rows,
        elsewhere=(transform.disk + waiting) / rows,
        sending=max(times.sent, 0.0) / rows,
        idle=max(idle, 0.0) / rows,
        held=held,
    )


def _elsewhere(spent: Spent, workers: int) -> float:
    """How long a stage waited for something that is neither a disk of this machine nor the lock.

    The lock makes n threads wait n times as long as they work, and other processes on the same
    cores some times more. What waits much longer waits for a network, or sleeps.
    """
    if spent.idle > _elsewhere_from(spent, workers):
        return spent.idle
    return 0.0


def _elsewhere_from(spent: Spent, workers: int) -> float:
    return _ELSEWHERE * workers * spent.processor


def _fetching(times: Times, setup: Setup) -> float:
    """How long reading waited for the disk, or for files that come from elsewhere.

    Not for the lock and for cores: for these, other work had to wait as well.
    """
    read = times.stages[READ]
    others = [times.stages[name] for name in (DECODE, TRANSFORM, COLLATE)]
    work = sum(spent.processor for spent in others)
    explained = 0.0
    if work > read.processor / 2:  # else it tells too little
        explained = sum(spent.idle for spent in others) / work * read.processor
        explained = min(explained, _elsewhere_from(read, setup.workers))
    waited = read.disk
    if setup.is_remote:
        waited += read.idle
    return max(waited - explained, 0.0)


def _verifying(times: Times, setup: Setup, probes: Probes, limits: Limits) -> float:
    """Seconds of processor time in which a sample was verified."""
    if not setup.verify:
        return 0.0
    reading = times.stages[READ].processor / max(times.rows, 1)
    verify = probes.verify
    if verify is None or probes.read is None:
        bytes_read = (times.stored_bytes + times.batch_bytes) / max(times.rows, 1)
        verify = bytes_read / limits.verify_rate
        return min(verify, reading) if setup.verify == "always" else 0.0
    # As a part, since what else the machine does makes all of it slower.
    both = max(verify + probes.read, 1e-12)
    verify = reading * verify / both
    if setup.verify == "always":
        return verify
    # Once in a process: then reading took longer than it does again.
    return max(min(verify, reading - probes.read), 0.0)


# What would help


class Change(NamedTuple):
    """Something that can be changed.

    Attributes:
        cause: what it is about.
        words: what is to be done.
        costs: of a sample, then.
        workers: threads, or processes, then.
    """

    cause: str
    words: str
    costs: Costs
    workers: int


def report_of(
    times: Times,
    setup: Setup,
    limits: Limits,
    probes: Probes,
) -> Report:
    """Return the report of what was measured.

    Args:
        times: of an iteration that has delivered a batch.
        setup: of its loader.
        limits: of this machine.
        probes: what some of the samples have told.
    """
    costs = costs_of(times, setup, probes, limits)
    total = max(times.waited + times.consumed, 1e-9)
    rate = times.samples / total
    waited = times.waited / total
    cause, change, gain = _advice(times, costs, setup, limits, probes, waited)
    predicted = rate * gain
    return Report(
        rows=_rows(times, costs, setup, limits, probes),
        batches=times.batches,
        samples=times.samples,
        rate=rate,
        waited=waited,
        setup=setup,
        limits=limits,
        cause=cause,
        change=_in_words(change, predicted, gain),
        predicted_rate=predicted,
        gain=gain,
    )


def _advice(
    times: Times,
    costs: Costs,
    setup: Setup,
    limits: Limits,
    probes: Probes,
    waited: float,
) -> tuple[str, str, float]:
    """Return what holds the loader up, what would help most, and how much faster it would be."""
    if waited < _WAITED:
        return TRAINING, _NOTHING, 1.0
    consumed = times.consumed / max(times.samples, 1)
    now = _delivered(costs.rate(setup.workers, limits.cores), consumed, setup.num_threads)
    best: Change | None = None
    most = _WORTH
    for change in _changes(times, costs, setup, limits, probes):
        made = change.costs.rate(max(change.workers, 1), limits.cores)
        gain = _delivered(made, consumed, change.workers) / now
        if gain > most:
            best = change
            most = gain
    if best is None and _cores_are_taken(times, costs, setup, limits):
        stage = _largest(costs)
        words = _TAKEN.format(cores=limits.cores, stage=stage)
        if stage == TRANSFORM and not setup.num_processes:
            words += _PERHAPS_PROCESSES.format(number=limits.cores)
        return LOCK, words, 1.0
    if best is None:
        return CORES, _BUSY.format(cores=limits.cores, stage=_largest(costs)), 1.0
    return best.cause, best.words, most


def _cores_are_taken(times: Times, costs: Costs, setup: Setup, limits: Limits) -> bool:
    """Whether threads wait for a core, or the lock, though cores have little of their work to do.

    More threads than cores wait for each other: that is no sign of it.
    """
    seconds = max(times.waited + times.consumed, 1e-9)
    used = times.samples * costs.work / (seconds * limits.cores)
    for_each_other = costs.work * max(setup.workers / limits.cores - 1, 0)
    return used < _USED and costs.idle > costs.work + for_each_other


def _delivered(made: float, consumed: float, workers: int) -> float:
    """Samples/s that the training gets: it takes `consumed` seconds for each."""
    if not workers:  # one after the other
        return 1 / (1 / made + consumed)
    if not consumed:
        return made
    return min(made, 1 / consumed)


def _changes(
    times: Times,
    costs: Costs,
    setup: Setup,
    limits: Limits,
    probes: Probes,
) -> Iterator[Change]:
    """Yield all that could be changed. Of two that help as much, the first is the better one."""
    # What there are workers for now: 0 without threads.
    workers = max(setup.num_threads, setup.num_processes)
    if setup.verify == "always":
        yield Change(VERIFY, _VERIFY, dataclasses.replace(costs, verify=0.0), workers)
    if probes.unused:
        yield _fewer_fields(costs, probes, workers)
    if costs.held:
        yield _in_processes(times, costs, limits)
    yield from _smaller(costs, probes, workers)
    yield from _faster_packages(costs, setup, probes, workers)
    if costs.disk:
        yield Change(DISK, _disk(times), dataclasses.replace(costs, disk=0.0), workers)
    if probes.larger is not None:
        reading = costs.read * probes.larger
        yield Change(BATCH_SIZE, _BATCH, dataclasses.replace(costs, read=reading), workers)
    if not setup.num_processes:
        number = _threads(costs, limits.cores)
        if number > workers:
            words = _THREADS.format(number=number, workers=workers)
            yield Change(THREADS, words, costs, number)


def _threads(costs: Costs, cores: int) -> int:
    """How many threads keep all cores busy."""
    if costs.held:
        return 0
    waiting = costs.elsewhere + costs.disk
    needed = math.ceil(cores * (costs.work + waiting) / max(costs.work, 1e-12))
    return max(min(needed, _MOST_THREADS), cores)


def _in_processes(times: Times, costs: Costs, limits: Limits) -> Change:
    size = times.batch_bytes / max(times.rows, 1)
    sending = _SENDS * size / limits.copy_rate
    words = _PROCESSES.format(number=limits.cores)
    return Change(
        TRANSFORM,
        words,
        dataclasses.replace(costs, held=0.0, sending=sending),
        limits.cores,
    )


def _fewer_fields(costs: Costs, probes: Probes, workers: int) -> Change:
    unused = probes.unused
    alone = sum(decoding.alone for decoding in probes.decodings)
    saved = sum(decoding.alone for decoding in probes.decodings if decoding.key in unused)
    decode = costs.decode * (1 - saved / max(alone, 1e-12))
    names = ", ".join(repr(key) for key in unused)
    words = _FIELDS.format(names=names)
    return Change(FIELDS, words, dataclasses.replace(costs, decode=decode), workers)


def _smaller(costs: Costs, probes: Probes, workers: int) -> Iterator[Change]:
    """Pictures that are decoded at a smaller size, where that is a choice."""
    smaller = [decoding for decoding in probes.decodings if decoding.smaller is not None]
    if not smaller:
        return
    alone = 0.0
    pixels = 0.0
    for decoding in probes.decodings:
        alone += decoding.alone
        pixels += decoding.pixels
    saved = 0.0
    fewer = 0.0
    for decoding in smaller:
        saved += decoding.alone - (decoding.smaller or 0.0)
        fewer += decoding.pixels - decoding.smaller_pixels
    less = dataclasses.replace(
        costs,
        decode=costs.decode * max(1 - saved / alone, 0.0),
        collate=costs.collate * (1 - fewer / pixels),
    )
    names = ", ".join(repr(decoding.key) for decoding in smaller)
    side = math.sqrt(smaller[0].pixels)
    words = _SMALLER.format(names=names, key=smaller[0].key, side=side, size=SMALLER)
    yield Change(DECODE, words, less, workers)


def _faster_packages(
    costs: Costs,
    setup: Setup,
    probes: Probes,
    workers: int,
) -> Iterator[Change]:
    """OpenCV in the place of Pillow, where pictures are resized."""
    alone = sum(decoding.alone for decoding in probes.decodings)
    resized = sum(decoding.alone for decoding in probes.decodings if decoding.key in setup.sizes)
    if not setup.lacks_vision or not resized:
        return
    decode = costs.decode * (1 - (1 - _OPENCV) * resized / alone)
    yield Change(DECODE, _VISION, dataclasses.replace(costs, decode=decode), workers)


def _disk(times: Times) -> str:
    if _is_scattered(list(times.recent)):
        return _SCATTERED
    return _COLD


def _is_scattered(parts: Sequence[np.ndarray]) -> bool:
    """Whether samples that are read together lie apart from each other."""
    steps = [np.diff(np.sort(indices)) for indices in parts if len(indices) > 1]
    if not steps:
        return False
    return bool(np.median(np.concatenate(steps)) > 1)


def _largest(costs: Costs) -> str:
    stages = (READ, DECODE, TRANSFORM, COLLATE, COPY, VERIFY)
    return max(stages, key=lambda name: float(getattr(costs, name)))


# In words

_NOTHING = "Nothing to change: the loader is ahead of the training, which is the bottleneck"
_BUSY = (
    "Nothing to change: most of the time goes to {stage}, and the loader does that as fast as "
    "{cores} cores can"
)
_TAKEN = (
    "Threads wait for one of the {cores} cores, or for Python's lock, most of the time. Of their "
    "own work most is {stage}, and the cores could do twice as much of it: other programs use them "
    "(`top` shows which), or Python code holds the lock"
)
_PERHAPS_PROCESSES = (
    ". If the transform is such code, num_processes={number} helps; how much cannot be told as "
    "long as other programs use the cores"
)
_VERIFY = (
    'Comparing checksums again at each reading takes most: with verify=True, in place of "always", '
    "each byte is verified once"
)
_PROCESSES = (
    "The transform holds Python's lock, so that one thread at a time does it: with "
    "num_processes={number}, processes do"
)
_FIELDS = (
    "The transform does not ask for {names}, and it is read and decoded all the same: with "
    "fields=[…], only the fields that it needs are"
)
_SMALLER = (
    "Decoding takes most, of pictures of some {side:.0f} pixels ({names}): decode={{{key!r}: "
    "vision.Resize({size})}} decodes them at a smaller size"
)
_VISION = (
    "Decoding takes most, by Pillow: with pip install 'dsrecords[vision]', simplejpeg and OpenCV "
    "decode and resize pictures"
)
_COLD = (
    "Threads wait for the disk: a faster one, or enough memory to keep the files in, would help; "
    "so does a higher num_threads, where the disk can serve more at a time"
)
_SCATTERED = (
    "Threads wait for the disk, which reads samples here and there: "
    "sampler=dsrecords.Sampler(ds, batch_size, window=…) shuffles among neighbours; a faster disk, "
    "or enough memory to keep the files in, would do as well"
)
_BATCH = (
    f"Each batch has few samples, and takes its time however few: with a batch_size of {LARGER}, "
    "each sample takes less"
)
_THREADS = "There are too few threads: num_threads={number}, in place of {workers}"


def _in_words(change: str, predicted: float, gain: float) -> str:
    if gain <= 1:
        return f"{change}."
    return f"{change}: about {predicted:,.0f} samples/s, {gain:.1f} × as many."


def _rows(
    times: Times,
    costs: Costs,
    setup: Setup,
    limits: Limits,
    probes: Probes,
) -> dict[str, Share]:
    """Return what each row has taken."""
    seconds = {
        DISK: costs.disk,
        VERIFY: costs.verify,
        READ: costs.read,
        DECODE: costs.decode,
        TRANSFORM: costs.transform + costs.elsewhere,
        COLLATE: costs.collate,
        COPY: costs.copy,
        SENDING: costs.sending,
        LOCK: costs.idle,
    }
    samples = max(times.samples, 1)
    total = setup.workers * (times.waited + times.consumed) / samples
    busy = sum(seconds.values())
    rest = max(total - busy, 0.0)
    seconds[TRAINING] = min(rest, setup.workers * times.consumed / samples)
    seconds[ELSE] = rest - seconds[TRAINING]
    # More than that where batches were made that are not delivered yet.
    whole = max(total, busy, 1e-12)
    each = times.samples / max(times.batches, 1)
    notes = _notes(times, costs, limits, probes)
    rows = {}
    for name in ROWS:
        taken = seconds[name]
        rows[name] = Share(1e3 * taken * each, 100 * taken / whole, notes.get(name, ""))
    return rows


def _notes(times: Times, costs: Costs, limits: Limits, probes: Probes) -> dict[str, str]:
    """How rows compare with what the machine can do."""
    notes = {}
    rows = max(times.rows, 1)
    from_disk = sum(spent.disk_bytes for spent in times.stages.values())
    if from_disk and costs.disk:
        notes[DISK] = f"{_bytes(from_disk / rows / costs.disk)}/s a thread"
    if probes.bytes and costs.verify:
        notes[VERIFY] = (
            f"{_bytes(probes.bytes / costs.verify)}/s, of {_bytes(limits.verify_rate)}/s"
        )
    if probes.bytes and costs.read:
        notes[READ] = f"{_bytes(probes.bytes / costs.read)}/s, of {_bytes(limits.copy_rate)}/s"
    pixels = sum(decoding.pixels for decoding in probes.decodings)
    if pixels:
        alone = sum(decoding.alone for decoding in probes.decodings)
        taken = 1e9 * costs.decode / pixels
        notes[DECODE] = f"{taken:.1f} ns a pixel, of {1e9 * alone / pixels:.1f} alone"
    return notes


def _bytes(number: float) -> str:
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
