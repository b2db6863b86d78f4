"""What a measurement counts besides time: CPU seconds, page faults, memory, and how much of a file lies in RAM."""

import contextlib
import ctypes
import dataclasses
import gc
import mmap
import os
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PAGE = mmap.PAGESIZE


@dataclass
class Cost:
    """What one measured stretch cost."""

    seconds: float = 0.0
    cpu: float = 0.0  # seconds of all threads, user and system
    faults: int = 0  # page faults, minor and major
    peak: int = 0  # bytes by which resident memory grew at its peak; pages of mapped files count
    own: int = 0  # bytes by which memory that belongs to no file had grown at the end
    extra: dict = field(default_factory=dict)

    def as_dict(self) -> dict:
        """For JSON."""
        values = dataclasses.asdict(self)
        return {**values, **values.pop("extra")}


def memory() -> dict[str, int]:
    """This process's memory in bytes: VmRSS now, VmHWM at its peak, RssAnon without files. Empty without /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    values = {}
    for line in lines:
        name, _, rest = line.partition(":")
        if name in ("VmRSS", "VmHWM", "RssAnon"):
            values[name] = int(rest.split()[0]) * 1024
    return values


def reset_peak() -> None:
    """Make VmHWM start again from what is resident now (Linux; silently nothing elsewhere)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


class Watch:
    """`with Watch() as cost:` measures its body into `cost`."""

    def __enter__(self) -> Cost:
        gc.collect()
        self.cost = Cost()
        reset_peak()
        self._memory = memory()
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._start = time.perf_counter()
        return self.cost

    def __exit__(self, *_: object) -> None:
        self.cost.seconds = time.perf_counter() - self._start
        usage, before = resource.getrusage(resource.RUSAGE_SELF), self._usage
        self.cost.cpu = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
        self.cost.faults = usage.ru_minflt + usage.ru_majflt - before.ru_minflt - before.ru_majflt
        now = memory()
        if now:
            self.cost.peak = max(0, now["VmHWM"] - self._memory["VmRSS"])
            self.cost.own = max(0, now["RssAnon"] - self._memory["RssAnon"])


def run_for(call: Callable[[Sequence], object], chunks: Iterable[Sequence], budget: float) -> int:
    """Call `call` on one chunk after another, for `budget` seconds at most: how many indices were served."""
    done = 0
    stop = time.perf_counter() + budget
    for chunk in chunks:
        call(chunk)
        done += len(chunk)
        if time.perf_counter() > stop:
            break
    return done


def files_under(path: Path) -> list[Path]:
    """The regular files of a dataset: those of a folder, or the files that share the path's stem."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else []


def size_on_disk(path: Path) -> int:
    """Bytes that the dataset's files occupy (blocks, so that a sparse file counts as what it takes)."""
    return sum(file.stat().st_blocks * 512 for file in files_under(path))


def sync_files(path: Path) -> None:
    """Wait until everything under `path` is on the disk."""
    for file in files_under(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def evict(path: Path) -> None:
    """Ask the system to forget the cached pages of these files.

    posix_fadvise DONTNEED: it needs no privilege and spares other files. `resident` says whether it was obeyed.
    """
    for file in files_under(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def warm(path: Path) -> None:
    """Read every byte once, so that the files lie in the page cache."""
    buffer = bytearray(4 << 20)
    for file in files_under(path):
        with open(file, "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def resident(path: Path) -> float:
    """Which share of the files' pages is in RAM, 0.0 to 1.0 (mincore); NaN where the system cannot tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    pages = held = 0
    for file in files_under(path):
        size = file.stat().st_size
        if not size:
            continue
        with (
            open(file, "rb") as stream,
            mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_COPY) as mapped,
        ):
            count = -(-size // PAGE)
            flags = np.zeros(count, np.uint8)
            view = (ctypes.c_char * size).from_buffer(mapped)
            failed = libc.mincore(
                ctypes.c_void_p(ctypes.addressof(view)),
                ctypes.c_size_t(size),
                flags.ctypes.data_as(ctypes.c_void_p),
            )
            del view
            if failed:
                return float("nan")
            pages += count
            held += int((flags & 1).sum())
    return held / pages if pages else float("nan")
