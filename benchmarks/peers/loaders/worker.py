"""The process of one measurement: `python -m peers.loaders.worker JSON`, which prints JSON.

An epoch warms up (imports, compilation, worker processes), and is checked: every sample is there once,
its mean is what was stored. Then come the measured epochs. Processor time is that of all threads of
this process and of all its descendants, dead and alive.
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.metadata
import json
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import evict, resident, warm

from . import LOADERS
from .base import SIZE, LoaderAdapter, Settings
from .samples import Samples, row_of

_DONTNEED = 4  # MADV_DONTNEED: pages of a file are only unmapped, and can then be dropped
_LEAST_CORRELATION = 0.8  # of the mean of a random part of an image with that of the whole


def descendants() -> list[int]:
    """The processes that this one has started, and theirs."""
    parents = parents_of_all()
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        parent = waiting.pop()
        children = [process for process, other in parents.items() if other == parent]
        found += children
        waiting += children
    return found


def parents_of_all() -> dict[int, int]:
    """By process: which one has started it."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = path.read_text().rpartition(")")[2]
            found[int(path.parent.name)] = int(after_name.split()[1])
    return found


def own_time() -> float:
    """Seconds of user and system time of all threads of this process, and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def time_of(processes: list[int]) -> float:
    """The same of processes that live."""
    total = 0.0
    for process in processes:
        try:
            total += time.clock_gettime(~process << 3 | 2)  # as clock_getcpuclockid names its clock
        except OSError:
            continue
    return total


def memory() -> int:
    """Bytes of this process and its descendants, shared pages divided among those that share them (PSS)."""
    total = 0
    for process in [os.getpid(), *descendants()]:
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) * 1024
    return total


def busy() -> float:
    """Seconds that all processors of this machine have worked, for whomever."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    ticks = dict(zip(names, Path("/proc/stat").read_text().split()[1:9], strict=True))
    worked = sum(int(value) for name, value in ticks.items() if name not in ("idle", "iowait"))
    return worked / os.sysconf("SC_CLK_TCK")


def drop(folder: Path) -> float:
    """Drop the cached pages of the files, also those that this process has mapped: the share that is left."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        if str(folder) in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            libc.madvise(start, end - start, _DONTNEED)
    evict(folder)
    return resident(folder)


def checked(batches: Iterator[dict[str, Any]], row: Any, samples: Samples) -> int:
    """Iterate over an epoch and compare it with what was stored: how many samples it had."""
    labels, means = [], []
    for batch in batches:
        values = batch[row.field]
        labels.append(np.asarray(batch["label"]).copy())
        if row.is_image:
            assert tuple(values.shape[1:]) == (SIZE, SIZE, 3), values.shape
        if row.kind == "text":
            means += [len(value) for value in values]
        else:
            means += np.asarray(values).reshape(len(values), -1).mean(1, dtype=float).tolist()
    labels = np.concatenate(labels)
    counts = np.bincount(labels, minlength=len(samples))
    assert counts.min() == counts.max() > 0, f"samples came {counts.min()} to {counts.max()} times"
    expected = samples.means[labels]
    if row.is_image:
        correlation = np.corrcoef(means, expected)[0, 1]
        assert correlation > _LEAST_CORRELATION, f"other images: correlation {correlation:.2f}"
    else:
        assert np.allclose(means, expected, rtol=1e-5), "other values than were stored"
    assert (np.diff(labels) != 1).any(), "the order is not random"
    return len(labels)


def measured(adapter: LoaderAdapter, epochs: int) -> dict[str, Any]:
    """The costs of these epochs; `others` is the share of all cores that other processes took meanwhile."""
    gc.collect()
    busy_before = busy()
    # Looking for processes costs some milliseconds: it is done outside of what is counted.
    before = time_of(descendants())
    before += own_time()
    start = time.perf_counter()
    count = 0
    first = 0.0
    for batch in adapter.epochs(1, epochs):
        count += len(batch["label"])
        first = first or time.perf_counter() - start
    seconds = time.perf_counter() - start
    spent = own_time() - before
    spent += time_of(descendants())
    others = max(0.0, busy() - busy_before - spent)
    return {
        "count": count,
        "seconds": seconds,
        "cpu": spent,
        "others": others / (seconds * os.cpu_count()),
        "first": first,
        "memory": memory(),
    }


def version(module: str) -> str:
    """Of an installed module."""
    try:
        return importlib.metadata.version(module.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(module), "__version__", "?"))


def adapter_of(request: dict[str, Any]) -> tuple[LoaderAdapter, Samples]:
    """The adapter that a request names."""
    row = row_of(request["row"])
    peer = LOADERS[request["peer"]]
    settings = Settings(
        request["batch_size"],
        request["workers"],
        request["cold"],
        1 if request["cold"] else row.epochs,
    )
    module = importlib.import_module(f"peers.loaders.{peer.name}")
    folder = Path(request["folder"]) / row.name / peer.data
    return module.Adapter(row, folder, settings), Samples(row, Path(request["samples"]))


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Store the samples."""
    adapter, samples = adapter_of(request)
    adapter.folder.mkdir(parents=True)
    adapter.write(samples)
    return {"title": adapter.title}


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Warm up, check, measure."""
    adapter, samples = adapter_of(request)
    adapter.give(samples)
    warm(adapter.folder)
    adapter.open()
    epochs = adapter.settings.epochs
    checked(adapter.epochs(0, 1), adapter.row, samples)
    adapter.reopen()
    left = drop(adapter.folder) if request["cold"] else 1.0
    result = measured(adapter, epochs)
    adapter.close()
    versions = {module: version(module) for module in adapter.modules}
    return {"title": adapter.title, "versions": versions, "resident": left, **result}


def main() -> None:
    """Answer one request; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.loads(sys.argv[1])
    answer = {"write": write, "read": read}[request["do"]](request)
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    os._exit(0)  # some peers' threads would keep the process for ever


if __name__ == "__main__":
    main()
