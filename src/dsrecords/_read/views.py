"""View files: an index of some records of a dataset, in some order, that is saved once and never changes.

A view is an `.idx` whose slot has the flag 1. It is not a cache: what it leaves out cannot be found by reading the log. So it is
never made again, never brought up to date, and never taken for an index of all records.
"""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any

import numpy as np

from dsrecords._format import index as _index
from dsrecords._format.checksums import crc32
from dsrecords._format.entries import Entries
from dsrecords._format.header import VERSION
from dsrecords._format.index import Slot
from dsrecords._format.layout import PAGE, position_mixes
from dsrecords._format.log import Walk
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.header import Header
from dsrecords._storage import files
from dsrecords.errors import CorruptError, StaleViewError, UnsupportedVersionError

_CHUNK = 2**16  # entries that are made together: so many stay in the processor's cache


def save(snapshot: Snapshot, positions: Any, path: str, own: list[str], overwrite: bool) -> None:
    """Write a view of the records at these positions. `own`: paths of the dataset's own index.

    Raises:
        ValueError: it would lie where the dataset's own index belongs.
        FileExistsError: there is a file, and `overwrite` is not given, or it is not a view.
        StaleViewError: the data file was replaced since these records were found in it.
    """
    for index in own:
        same = os.path.realpath(path) == os.path.realpath(index)
        if same or (files.identity(path) or "") == files.identity(index):
            raise ValueError(
                f"{path} is the index of the dataset itself: give the view another path"
            )
    if (kind := _index.kind_of(path)) and not (overwrite and kind == "view"):
        hint = (
            "overwrite=True would replace it"
            if kind == "view"
            else "and is not a view: remove it, or give another path"
        )
        raise FileExistsError(
            f"{path} exists; {hint}" if kind == "view" else f"{path} exists {hint}"
        )
    if files.identity(snapshot.file) != files.identity(snapshot.descriptor.number):
        raise StaleViewError(
            "the dataset was compacted or replaced since: make the view of what it is now",
            file=snapshot.file,
        )
    end, edits, last, check = snapshot.mark
    parts = [
        _rows(snapshot.entries, positions, start) for start in range(0, len(positions), _CHUNK)
    ]
    base, seq = (
        2 * PAGE + snapshot.header.size,
        functools.reduce(lambda seed, part: crc32(part, seed), parts, 0),
    )
    slot = Slot(
        VERSION, _index.VIEW, snapshot.header.id, seq, len(positions), end, edits, last, check, base
    )
    files.sync(
        snapshot.descriptor.number
    )  # an index never vouches for bytes that are not on the disk
    temporary = _index.write_whole(path, snapshot.header.raw, slot, parts)
    try:
        (files.rename if overwrite else files.link)(temporary, path)
    except BaseException:
        files.unlink(temporary)
        raise
    files.sync_directory(path)


def _rows(entries: Entries, positions: Any, start: int) -> memoryview:
    """The bytes of the entries at some of the positions, as they are at start, start + 1, …."""
    old = np.asarray(positions[start : start + _CHUNK], np.int64)
    rows = entries.gather(old)
    rows[:, 1] ^= (
        position_mixes(old) ^ position_mixes(np.arange(start, start + len(rows)))
    ) << np.uint64(32)
    return memoryview(rows).cast("B")


def admit(slot: Slot, usable: bool, header: Header, fd: int, path: str, index_path: str) -> None:
    """Whether a view can be shown of this `.rec`. Warns where the list that it was made from was edited since.

    `usable`: whether the slot fits the file that it is in, and the log. `header`, `fd` and `path` are of the `.rec`.

    Raises:
        StaleViewError: it is of another dataset, or of this one before it was compacted.
        CorruptError: it is damaged.
    """
    if slot.id != header.id:
        text = f"a view of another dataset, or of {path} before it was compacted or replaced: make it anew"
        raise StaleViewError(text, file=index_path)
    if not usable:
        raise CorruptError(
            f"the view is damaged, or {path} is not the log that it was saved from", file=index_path
        )
    edits = _edits_now(slot, header, fd, path, index_path) - slot.edits
    if edits > 0:
        times = "once" if edits == 1 else f"{edits} times"
        text = f"{index_path}: {path} was edited {times} since this view was made of it: the view shows the records of then"
        warnings.warn(text, stacklevel=7)


def _edits_now(slot: Slot, header: Header, fd: int, path: str, index_path: str) -> int:
    """How many edits the log has: what the dataset's own index says, and what came after that."""
    start, edits = slot.covered, slot.edits
    index = os.path.splitext(path)[0] + ".idx"
    if index != index_path and _index.kind_of(index) == "index":
        own = files.Descriptor(files.open_read(index))
        for newest in _index.read_slots(own.number)[:1]:
            if newest.id == header.id and not newest.flags and newest.covered >= start:
                start, edits = newest.covered, newest.edits
    try:
        return edits + sum(op != 0 for _, op, _ in Walk(fd, header.frames, start, files.size(fd)))
    except UnsupportedVersionError:  # an edit of a kind that only a later version knows
        return edits + 1
