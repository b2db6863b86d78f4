"""The `.idx` file: its slots and rows, and how it is published.

Knows nothing of what a record holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.entries import Entries, RowMemory, no_entries
from dsrecords._format.header import MAGIC as LOG_MAGIC
from dsrecords._format.header import RawHeader
from dsrecords._format.layout import PAGE
from dsrecords._storage import files
from dsrecords._storage.base import Storage
from dsrecords._storage.registry import open_storage

MAGIC = b"\x89DSX\r\n\x1a\n"

VIEW = 1
"""The flag of a slot in a view file: an index of some records, saved once (`_read.views`)."""

_SLOT = struct.Struct("<HH16sQQQQIIIIQQQ")  # from byte 12 on, where what its checksum covers begins
_SLOT_START = 12  # bytes: the magic and the checksum
_SLOT_SIZE = 128  # bytes, the last of which are zeros
_SLOT_OFFSETS = (0, PAGE)
_FLAGS_OFFSET = 14  # in a slot
_HEADER_OFFSET = 2 * PAGE  # of the copy of the log's header
_CHUNK = 2**16  # rows written at once
# What is said of what is no index, or may not be read; None of what is no regular file.
_NO_FILE_OF_OURS = {None, errno.EISDIR, errno.EACCES, errno.EPERM}


class Slot(NamedTuple):
    """What one of the two slots of an index says: which part of the log its rows are of.

    Attributes:
        version: of the format.
        flags: 0 or VIEW.
        id: of the dataset.
        seq: the number of the publication; of a view, the CRC-32 of its rows with no salt.
        count: how many rows the index has.
        covered: the rows are the list that the log before this offset means.
        last: offset of the last frame before `covered` that is not pending; 0 if there is none.
        check: of that frame; of the header if there is none.
        base: offset of the first row in the index.
        row: size of a row in bytes.
        salt: what the checks in the rows are mixed with, besides the number of the row.
        edits: how many edits the log has before `covered`.
        metadata: offset of the last frame of metadata before `covered`; 0 if there is none.
        end: up to where the log was known to be whole and on the disk, `covered` or more.
    """

    version: int
    flags: int
    id: bytes
    seq: int
    count: int  # type: ignore[assignment]  # the standard term, rather than tuple's method
    covered: int
    last: int
    check: int
    base: int
    row: int
    salt: int
    edits: int
    metadata: int
    end: int


def rows_offset(header: RawHeader) -> int:
    """Where the rows of an index begin, in bytes."""
    return _HEADER_OFFSET + header.size


def read_slots(storage: Storage) -> list[Slot]:
    """Read the slots whose checksum is right, the newest first."""
    slots = []
    for offset in _SLOT_OFFSETS:
        data = storage.read(offset, _SLOT_SIZE)
        if len(data) < _SLOT_SIZE or not data.startswith(MAGIC):
            continue
        checksum = int.from_bytes(data[len(MAGIC) : _SLOT_START], "little")
        body = data[_SLOT_START:]
        if crc32(body) == checksum:
            fields = _SLOT.unpack_from(body)
            slots.append(Slot(*fields))
    slots.sort(key=lambda slot: slot.seq, reverse=True)
    return slots


def kind_of(path: str) -> str:
    """What kind of file is at a path.

    Returns:
        "" if there is none; "index" for an index of a dataset, damaged or not, or zeros; "view" for
        a view file, damaged or not; "other" for any other file, a folder, and what may not be read.
    """
    try:
        storage = open_storage(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno in _NO_FILE_OF_OURS:
            return "other"
        raise
    start = storage.read(0, _HEADER_OFFSET + len(LOG_MAGIC))
    first = start[:PAGE]
    second = start[PAGE:_HEADER_OFFSET]
    if _is_view(first) or _is_view(second):
        return "view"
    begins_as_index = MAGIC.startswith(start[: len(MAGIC)])  # a file cut within its magic as well
    has_slot = begins_as_index or second.startswith(MAGIC)
    has_header = start[_HEADER_OFFSET:] == LOG_MAGIC
    is_zeros = not any(start)
    if has_slot or has_header or is_zeros:
        return "index"
    return "other"


def _is_view(slot: bytes) -> bool:
    """Whether these are the bytes of a slot with the flag VIEW."""
    flags = slot[_FLAGS_OFFSET : _FLAGS_OFFSET + 1]
    return slot.startswith(MAGIC) and flags == bytes([VIEW])


def may_be_replaced(path: str) -> bool:
    """Whether an index may be written to this path.

    It may if there is no file, or an index, which can be made again from the log. No other file is
    ever overwritten.
    """
    return kind_of(path) in ("", "index")


def map_entries(storage: Storage, slot: Slot) -> Entries:
    """The rows of an index, in memory of this process.

    Args:
        storage: of the index.
        slot: which says how many rows there are.
    """
    if not slot.count:
        return no_entries(slot.row)
    end = slot.base + slot.row * slot.count
    window = storage.writable_window(end)
    words = window[slot.base : end].cast("Q")
    memory = RowMemory(words, slot.row // 8)
    return Entries(memory, slot.count, salt=slot.salt)


def publish_slot(path: str, slot: Slot) -> None:
    """Publish how far the log is on the disk, with the rows that the index has."""
    file = files.open_write(path)
    try:
        _write_slot(file.number, slot)
        files.sync(file.number)
    finally:
        file.close()


def publish_appended(path: str, old: Slot, slot: Slot, entries: Entries) -> None:
    """Publish in place, if records were only appended since the last time.

    The new rows are on the disk before the slot that counts them is written. The other slot stays
    valid until then.

    Args:
        path: of the index.
        old: the slot that it has now.
        slot: the new slot.
        entries: of the whole list.
    """
    file = files.open_write(path)
    fd = file.number
    try:
        offset = slot.base + slot.row * old.count
        for part in parts(entries, slot, old.count):
            files.pwrite(fd, part, offset)
            offset += len(part)
        files.sync(fd)
        _write_slot(fd, slot)
        files.sync(fd)
    finally:
        file.close()


class Written(NamedTuple):
    """A whole index under another name than its own.

    Attributes:
        path: of the file, beside the one whose place it is to take.
        file: open, and locked until it has its own name, so that others see that its writer lives.
    """

    path: str
    file: files.Descriptor


def publish_whole(
    path: str,
    log_path: str,
    header: RawHeader,
    slot: Slot,
    entries: Entries,
) -> None:
    """Publish a new index.

    Args:
        path: of the index, or of a link that leads to it.
        log_path: of the log.
        header: of the log.
        slot: of the new index.
        entries: of the whole list.
    """
    rows = parts(entries, slot, 0)
    written = write_whole(path, log_path, header, slot, rows)
    try:
        files.rename(written.path, files.target(path))
    finally:
        written.file.close()


def write_whole(
    path: str,
    log_path: str,
    header: RawHeader,
    slot: Slot,
    rows: Iterable[bytes | memoryview],
) -> Written:
    """Write an index beside the file that `path` leads to, and wait until it is on the disk.

    It may be read by whoever may read the one that is there, or else the log: there are heads of
    records in it. It is locked before there is a byte in it.

    Args:
        path: where it is to go. Nothing happens there.
        log_path: of the log.
        header: of the log.
        slot: of the index.
        rows: as bytes.

    Returns:
        The new file, which the caller closes once it has its name.
    """
    suffix = os.urandom(4).hex()
    temporary = f"{files.target(path)}.{suffix}.tmp"
    file = files.create(temporary, like=[log_path], replaces=path)
    fd = file.number
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            files.lock(fd)
        _write_slot(fd, slot)
        files.pwrite(fd, header.data, _HEADER_OFFSET)
        offset = slot.base
        for part in rows:
            files.pwrite(fd, part, offset)
            offset += len(part)
        files.sync(fd, metadata=True)
    except BaseException:
        file.close()
        files.unlink(temporary)
        raise
    return Written(temporary, file)


def _write_slot(fd: int, slot: Slot) -> None:
    """Write a slot over the older of the two."""
    body = _SLOT.pack(*slot)
    body = body.ljust(_SLOT_SIZE - _SLOT_START, b"\0")
    checksum = struct.pack("<I", crc32(body))
    offset = _SLOT_OFFSETS[slot.seq % 2]
    files.pwrite(fd, MAGIC + checksum + body, offset)


def parts(entries: Entries, slot: Slot, start: int) -> Iterator[bytes]:
    """The rows of a list from a position on, as they are to be in the file: some at a time."""
    count = len(entries)
    for first in range(start, count, _CHUNK):
        stop = min(first + _CHUNK, count)
        positions = np.arange(first, stop)
        rows = entries.remixed(positions, first, slot.salt)
        yield rows.tobytes()
