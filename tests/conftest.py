"""What several test modules share: a small schema, samples that fit it, and a reader of frames that is not the library's."""

import gc
import importlib
import os
import re
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import dsrecords
from dsrecords._format import frame, kernels, log
from dsrecords._read import compiled
from dsrecords._write import pool, shard_pool

SOURCE = Path(dsrecords.__file__).parents[
    1
]  # for processes of their own: the library that is being tested
SYNCS = {name: getattr(os, name) for name in ("fsync", "fdatasync") if hasattr(os, name)}
IN_FULL = bool(os.environ.get("DSRECORDS_TEST_FULL"))  # as `make torture` asks for
# A field of each storage: a number, a number that may be None, a payload, a payload that may be None.
SCHEMA = {"label": "int64", "score": "float64?", "text": "str", "blob": "bytes?"}


def large(module):
    """A module of a package that only `make test-all` installs. There its absence is a failure, elsewhere a skip."""
    if os.environ.get("DSRECORDS_TEST_LARGE"):
        return importlib.import_module(module)
    return pytest.importorskip(module)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Do not measure the coverage of exhaustive tests (pytest-cov's own mark has no effect in workers of pytest-xdist)."""
    if item.get_closest_marker("exhaustive") is None:
        return (yield)
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        threading.settrace(of_threads)


# What another test has left behind is not collected in a forked child: the decoder of a video waits there for ever for its
# threads, which only the parent has.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=gc.freeze)


@pytest.fixture(autouse=True, scope="session")
def quick_syncs():
    """Nobody cuts the power: the disk is waited for in processes of their own alone. The simulations have a sync of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SYNCS:
            patch.setattr(os, name, os.fstat)  # which refuses a closed descriptor as well
        yield


def row(i):
    """Sample number i: values that differ between samples, with every combination of None."""
    return {
        "label": i,
        "score": None if i % 3 == 0 else i / 2,
        "text": f"text {i} é" * (i % 3),
        "blob": None if i % 4 == 1 else bytes([i % 256]) * (i % 11),
    }


def rows(*numbers):
    """`rows(5)`: samples 0 … 4; `rows(5, 9)`: samples 5 … 8."""
    return [row(i) for i in range(*numbers)]


class Frame(NamedTuple):
    """A frame of a `.rec`: where it lies, its kind (1 record, 2 pending, 3 commit, 4 revision, 5 metadata), its size."""

    offset: int
    kind: int
    size: int


def frames(path):
    """The frames of a whole `.rec`, as docs/records-format.md says."""
    data = Path(path).read_bytes()
    at, found = struct.unpack_from("<I", data, 16)[0], []
    while at < len(data):
        (word,) = struct.unpack_from("<Q", data, at + 8)
        size = word & 2**48 - 1
        found.append(Frame(at, word >> 48 & 0xFF, size))
        at += size
    return found


def flip(path, offset, mask=0xFF):
    """Damage one byte of a file, in place: who has it open or mapped sees it too."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


MISSING_INDEX_IS_FINE = (
    'import warnings; warnings.filterwarnings("ignore", ".* is missing: the list was made again")'
)


def python(code, *arguments, cwd=None, **options):
    """Run a script in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{MISSING_INDEX_IS_FINE}\n{code}", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=3000, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def path(tmp_path):
    """Where a dataset can be made: in a folder of its own."""
    return str(tmp_path / "data.rec")


@pytest.fixture
def made(path):
    """The path of a dataset of the ten samples `rows(10)`."""
    dsrecords.make_dataset(rows(10), path, SCHEMA)
    return path


@pytest.fixture
def by_python(monkeypatch):
    """Let Python do what the compiled twin would do otherwise: for tests of how Python does it."""
    for module in (compiled, kernels, log, frame):
        monkeypatch.setattr(module, "core", None)


@pytest.fixture
def forks(monkeypatch):
    """Let worker processes be forked, although pytest's own workers have a second thread, which waits for orders."""
    monkeypatch.setattr(pool, "has_other_threads", lambda: False)
    monkeypatch.setattr(shard_pool, "has_other_threads", lambda: False)


def spin_until(condition):
    """Wait for what comes soon; a guard against waiting for ever."""
    end = time.monotonic() + 3000
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def shown(value):
    """A parameter in the name of its test: without its address in memory, which differs between parallel workers."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))


def in_thread_of_its_own(function, *arguments, **options):
    """Call a function in a thread that ends with it. SVT-AV1 gives the thread that encodes real-time priority, for ever."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments, **options).result()
