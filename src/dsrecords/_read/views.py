"""View files: an index of some records, in some order, that is saved once and never changes.

A view is an `.idx` whose slot has the flag VIEW. It is not a cache: what it leaves out cannot be
found by reading the log. So it is never made again, never brought up to date, and never taken for
an index of all records.
"""

from __future__ import annotations

import os
from typing import Any

from dsrecords._format import index as _index
from dsrecords._format.checksums import crc32
from dsrecords._format.header import VERSION
from dsrecords._format.index import Slot
from dsrecords._format.log import LogScanner
from dsrecords._read.batch import as_array
from dsrecords._read.index_path import index_beside
from dsrecords._read.mark import has_header, is_past, mark_of
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.header import Header
from dsrecords._storage import files
from dsrecords._storage.base import Storage
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.registry import open_storage, require_local, version_at
from dsrecords._warning import warn_user
from dsrecords.errors import CorruptError, StaleViewError, UnsupportedVersionError

_CHUNK = 2**16  # entries that are made together: so many stay in the processor's cache


def save(
    snapshot: Snapshot,
    positions: Any,
    path: str,
    own: list[str],
    overwrite: bool,
) -> None:
    """Write a view of the records at these positions.

    Args:
        snapshot: the list.
        positions: in the list: a range or int64, (n,).
        path: of the view.
        own: paths of the dataset's own index.
        overwrite: whether a view that is there is replaced.

    Raises:
        ValueError: the path is where the dataset's own index belongs.
        FileExistsError: there is a file, and `overwrite` is not given, or it is not a view.
        StaleViewError: the data file was replaced since these records were found in it.
    """
    require_local(path)
    _check_target(path, own, overwrite)
    storage = snapshot.storage
    header = snapshot.header
    is_same_file = version_at(storage.path) == storage.version() and has_header(storage, header)
    if not is_same_file or not is_past(snapshot.mark, storage, header):
        raise StaleViewError(
            "the dataset was compacted or replaced since: make the view of what it is now",
            file=snapshot.file,
        )
    count = len(positions)
    parts = []
    checksum = 0
    for start in range(0, count, _CHUNK):
        chunk = as_array(positions[start : start + _CHUNK])
        part = snapshot.entries.remixed(chunk, start, 0)
        checksum = crc32(memoryview(part).cast("B"), checksum)
        parts.append(part)
    slot = _make_slot(snapshot, count, checksum)
    for part in parts:
        snapshot.entries.mix_salt(part, checksum)
    rows = (memoryview(part).cast("B") for part in parts)
    # An index never vouches for bytes that are not on the disk.
    if isinstance(storage, LocalStorage):
        files.sync(storage.descriptor.number)
    written = _index.write_whole(
        path,
        storage.path,
        header.raw,
        slot,
        rows,
    )
    try:
        if overwrite:
            files.rename(written.path, path)
        else:
            files.link(written.path, path)
    except BaseException:
        files.unlink(written.path)
        raise
    finally:
        written.file.close()
    files.sync_directory(path)


def _check_target(
    path: str,
    own: list[str],
    overwrite: bool,
) -> None:
    for index in own:
        is_same_path = os.path.realpath(path) == os.path.realpath(index)
        if is_same_path or _is_same_file(path, index):
            text = f"{path} is the index of the dataset itself: give the view another path"
            raise ValueError(text)
    kind = _index.kind_of(path)
    if not kind:
        return
    if kind != "view":
        text = f"{path} exists and is not a view: remove it, or give another path"
        raise FileExistsError(text)
    if not overwrite:
        raise FileExistsError(f"{path} exists; overwrite=True would replace it")


def _is_same_file(path: str, other: str) -> bool:
    identity = files.identity(path)
    return identity is not None and identity == files.identity(other)


def _make_slot(
    snapshot: Snapshot,
    count: int,
    checksum: int,
) -> Slot:
    """The slot of a view; the checksum of its rows tells it from one that is saved in its place."""
    header = snapshot.header
    mark = snapshot.mark
    return Slot(
        version=VERSION,
        flags=_index.VIEW,
        id=header.id,
        seq=checksum,
        count=count,
        covered=mark.end,
        last=mark.last,
        check=mark.check,
        base=_index.rows_offset(header.raw),
        row=snapshot.entries.row_size,
        salt=checksum,
        edits=mark.edits,
        metadata=mark.metadata,
        end=mark.end,
    )


def validate(
    slot: Slot,
    fits_file: bool,
    header: Header,
    log: Storage,
    index_path: str,
) -> None:
    """Check that a view can be shown; warn if the list that it was made from was edited since.

    Args:
        slot: of the view.
        fits_file: whether the slot fits the file that it is in.
        header: of the `.rec`.
        log: the `.rec`.
        index_path: of the view.

    Raises:
        StaleViewError: it is of another dataset or history, or of this one before it was compacted.
        CorruptError: it is damaged.
    """
    path = log.path
    if slot.id != header.id:
        raise StaleViewError(
            f"a view of another dataset, or of {path} before it was compacted or replaced: "
            "make it anew",
            file=index_path,
        )
    if not fits_file:
        raise CorruptError("the view is damaged: make it anew", file=index_path)
    if not is_past(mark_of(slot), log, header):
        raise StaleViewError(
            f"a view of a copy of {path} that was changed apart from it: make it anew",
            file=index_path,
        )
    edits = _edits_now(slot, header, log, index_path) - slot.edits
    if edits <= 0:
        return
    times = "once"
    if edits > 1:
        times = f"{edits} times"
    warn_user(
        f"{index_path}: {path} was edited {times} since this view was made of it: "
        "the view shows the records of then"
    )


def _edits_now(
    slot: Slot,
    header: Header,
    log: Storage,
    index_path: str,
) -> int:
    """How many edits the log has: what the dataset's own index says, and what came after that."""
    mark = mark_of(slot)
    own = index_beside(log.path)
    if own != index_path and _index.kind_of(own) == "index":
        newest = _newest_slot(own)
        if newest is not None and _is_later(newest, slot, header, log):
            mark = mark_of(newest)
    edits = mark.edits
    stop = log.size()
    walk = LogScanner(
        log,
        header.frames,
        mark.end,
        stop,
        mark.check,
        slot.row,
        payloads_from=stop,
    )
    try:
        for batch in walk:
            edits += batch.op != 0
    except UnsupportedVersionError:  # an edit of a kind that only a later version knows
        edits += 1
    return edits


def _newest_slot(path: str) -> Slot | None:
    storage = open_storage(path)
    slots = _index.read_slots(storage)
    if not slots:
        return None
    return slots[0]


def _is_later(
    newest: Slot,
    slot: Slot,
    header: Header,
    log: Storage,
) -> bool:
    """Whether a slot of the dataset's own index covers as much of the log as the slot of a view."""
    if newest.id != header.id or newest.version != VERSION or newest.flags:
        return False
    return newest.covered >= slot.covered and is_past(mark_of(newest), log, header)
