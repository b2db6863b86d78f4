"""The `.idx` file: where each record is; its slots, its entries, its publication. Knows nothing of what a record holds."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

from dsrecords._format.checksums import crc32
from dsrecords._format.entries import Entries
from dsrecords._format.header import MAGIC as LOG_MAGIC
from dsrecords._format.header import VERSION, RawHeader
from dsrecords._format.layout import PAGE
from dsrecords._storage import files

MAGIC = b"\x89DSX\r\n\x1a\n"
_SLOT = struct.Struct("<HH16sQQQQQII")  # from byte 12 on
_SLOT_SIZE = 12 + _SLOT.size
_CHUNK = 2**16  # entries written at once
VIEW = 1  # a slot's flag: an index of some records that was saved once, see `_views`


class Slot(NamedTuple):
    version: int
    flags: int
    id: bytes
    seq: int
    count: int  # type: ignore[assignment]  # the standard term, rather than tuple's method
    covered: int
    edits: int
    last: int
    check: int
    base: int


def read_slots(fd: int) -> list[Slot]:
    """The valid slots, the newest first."""
    slots = []
    for at in (0, PAGE):
        raw = files.pread(fd, _SLOT_SIZE, at)
        if (
            len(raw) == _SLOT_SIZE
            and raw[:8] == MAGIC
            and crc32(raw[12:]) == int.from_bytes(raw[8:12], "little")
        ):
            slots.append(Slot(*_SLOT.unpack(raw[12:])))
    return sorted(slots, key=lambda slot: -slot.seq)


def kind_of(path: str) -> str:
    """What is there: "" no file, "index" or "view" of ours, damaged or not, or zeros, "other" any other file."""
    try:
        file = files.Descriptor(files.open_read(path))
    except FileNotFoundError:
        return ""
    raw = files.pread(file.number, 2 * PAGE + len(MAGIC), 0)
    if any(
        raw[at : at + 8] == MAGIC and raw[at + 14 : at + 15] == bytes([VIEW]) for at in (0, PAGE)
    ):
        return "view"
    ours = (
        MAGIC.startswith(raw[:8])
        or raw[PAGE : PAGE + 8] == MAGIC
        or raw[2 * PAGE :] == LOG_MAGIC
        or not any(raw)
    )
    return "index" if ours else "other"


def may_be_replaced(path: str) -> bool:
    """Whether there is no file, or an index of ours that can be made again: no other file is ever written over."""
    return kind_of(path) in ("", "index")


def map_entries(fd: int, slot: Slot | None) -> Entries:
    if slot is None or not slot.count:
        return Entries(memoryview(b"").cast("Q"), 0)
    mapping = files.map_private(fd, slot.base + 16 * slot.count)
    return Entries(memoryview(mapping)[slot.base :].cast("Q"), slot.count)


def _write_slot(fd: int, slot: Slot) -> None:
    body = _SLOT.pack(*slot)
    files.pwrite(fd, MAGIC + struct.pack("<I", crc32(body)) + body, PAGE * (slot.seq % 2))


def _chunks(entries: Entries, start: int) -> list[tuple[int, int]]:
    return [(i, min(i + _CHUNK, len(entries))) for i in range(start, len(entries), _CHUNK)]


def publish_appended(path: str, old: Slot, slot: Slot, entries: Entries) -> None:
    """Publish in place: only records were appended since `old`, the slot that this file now has.

    The entries are on the disk before the slot that counts them is written; the other slot stays valid until then.
    """
    fd = files.open_write(path)
    try:
        for start, stop in _chunks(entries, old.count):
            files.pwrite(fd, entries.rows(start, stop).tobytes(), slot.base + 16 * start)
        files.sync(fd)
        _write_slot(fd, slot)
    finally:
        files.close(fd)


def publish_whole(
    path: str, header: RawHeader, slot: Slot, entries: Entries, rename: bool = True
) -> str:
    """Write a new index and put it in the place of what is there (or leave it beside: the path it then has)."""
    temporary = write_whole(
        path,
        header,
        slot,
        (entries.rows(start, stop).tobytes() for start, stop in _chunks(entries, 0)),
    )
    if rename:
        files.rename(temporary, path)
    return temporary


def write_whole(
    path: str, header: RawHeader, slot: Slot, parts: Iterable[bytes | memoryview]
) -> str:
    """Write an index beside `path`, durably: the slot, the copy of the header, the entries in parts. The path it has."""
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    fd = files.create(temporary)
    try:
        _write_slot(fd, slot)
        files.pwrite(fd, header.data, 2 * PAGE)
        at = slot.base
        for part in parts:
            files.pwrite(fd, part, at)
            at += len(part)
        files.sync(fd, metadata=True)
    except BaseException:
        files.unlink(temporary)
        raise
    finally:
        files.close(fd)
    return temporary


def make_slot(
    header: RawHeader, seq: int, count: int, covered: int, edits: int, last: int, check: int
) -> Slot:
    return Slot(
        VERSION, 0, header.id, seq, count, covered, edits, last, check, 2 * PAGE + header.size
    )
