"""Each hostile file is answered with the error that it deserves, quickly, and without the memory that it asks for."""

import gc
import os
import pickle
import re
import resource
import sys
import tempfile
import traceback
import warnings
import zlib
from pathlib import Path

import gallery
import numpy as np
import pytest
from gallery import ATTACKS

from dsrecords._format import frame as _frame
from dsrecords._format import header as _header
from dsrecords._format import log as _log
from dsrecords._types import arrays as _arrays

pytestmark = pytest.mark.slow

SECONDS = 2  # of processor time, on a machine that does nothing else
BUSY = 5  # so many times as long it may take on one that does
MEMORY = 2**30  # bytes on top of what the process has


def in_a_child(function):
    """What a function returns in a forked child that may not take more than MEMORY."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            sys.settrace(
                None
            )  # coverage cannot see into this child, and would only be measured with it
            gc.freeze()  # nor is it measured how long the collector takes to look through what the tests hold
            with open("/proc/self/statm") as file:
                now = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_CPU, (10 * SECONDS, 10 * SECONDS))
            with open(writer, "wb") as file:
                pickle.dump(function(), file)
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as file:
        told = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"the child ended with {status}"
    return pickle.loads(told)


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_file(name, tmp_path):
    answered(name, tmp_path)


def answered(name, tmp_path, most=BUSY * SECONDS):
    """AssertionError if it is answered in another way than the gallery says, or in more seconds."""
    make, error, match, decode = ATTACKS[name]
    path = str(tmp_path / "data.rec")
    make(path)
    warnings.simplefilter("ignore")
    raised, seconds = in_a_child(lambda: gallery.use(path, decode))
    for ours, systems, kinds, text in raised:
        assert ours or (error is OSError and systems), f"{kinds[0].__name__}: {text}"
    if error is None:
        assert not raised, raised
    else:
        assert any(error in kinds and re.search(match, text) for _, _, kinds, text in raised), (
            raised
        )
    assert seconds < most
    assert (
        sum(
            file.stat().st_size
            for file in tmp_path.iterdir()
            if file.is_file() and not file.is_symlink()
        )
        < 100 * 2**20
        or "sparse" in name  # the length that it has, and not what it takes of the disk
    )


def measured(name):
    """For the trials in full: the seconds of the longest step of a case, and the bytes that it took on top of what there were."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        answered(name, Path(folder), SECONDS)
        make, _, _, decode = ATTACKS[name]
        path = os.path.join(folder, "again", "data.rec")
        os.mkdir(os.path.dirname(path))
        make(path)

        def look():
            gc.collect()
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
            before = _memory("VmRSS")
            seconds = gallery.use(path, decode)[1]
            return seconds, _memory("VmHWM") - before

        return in_a_child(look)


def _memory(what):
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return 1024 * int(found[1])


def allocate_first(data, dtype, shape, copy, view=_arrays.view):
    np.ones(shape, dtype)
    return view(data, dtype, shape, copy)


class Passing:
    """How a header is unpacked, but for one of its numbers, which is taken for 0."""

    def __init__(self, number, real=_header._START):
        self.number, self.real, self.size = number, real, real.size

    def unpack(self, data):
        fields = list(self.real.unpack(data))
        fields[self.number] = 0
        return fields


# Of each what is put in its place, and the file that it would not be noticed without.
DEFECTS = {
    "the size of a frame is not compared with its payloads": (
        [
            (
                _frame.Frames,
                "extent",
                lambda frames, sizes: (
                    frames.layout.size + sum(size + 7 & -8 for size in sizes) % 2**64
                ),
            )
        ],
        "payloads of 2 to the 64 bytes behind an index",
    ),
    "memory is taken before a shape is compared with its payload": (
        [(_arrays, "view", allocate_first)],
        "a free shape larger than its payload",
    ),
    "a flag that readers must know is passed over": (
        [(_header, "_START", Passing(3))],
        "a header with a flag that readers must know",
    ),
    "a flag that writers must know is passed over": (
        [(_header, "_START", Passing(4))],
        "a header with a flag that writers must know",
    ),
    "frames of any unknown kind are passed over": (
        [(_frame, "FIRST_SKIPPED", 6), (_log, "FIRST_SKIPPED", 6)],
        "a frame of a kind that must not be passed over",
    ),
    "an unknown edit is passed over": (
        [(_log, "DELETE", 2**32)],
        "an edit of a kind that nobody knows",
    ),
    "an old payload may be anywhere": (
        [(_frame, "_is_old", lambda offset, size, first_offset, stop: True)],
        "a revision whose old payload is in the header",
    ),
    "the table of a revision may be that of any other": (
        [(_frame, "_table_crc", lambda offsets, check: zlib.crc32(offsets))],
        "a revision whose table may be of any frame",
    ),
}


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, tmp_path, monkeypatch):
    patches, name = DEFECTS[defect]
    for patch in patches:
        monkeypatch.setattr(*patch)
    with pytest.raises(AssertionError):
        answered(name, tmp_path)
