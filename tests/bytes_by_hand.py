"""The format written a second time, from docs/records-format.md alone: nothing of the library is imported.

`Log` builds a `.rec` frame by frame, right or wrong; `index` and `view` build an `.idx`. Arguments that default to None become
what the page says; a test that wants a wrong file gives another value.
"""

import json
import struct
from typing import NamedTuple
from zlib import crc32

ID = bytes(range(16))
NONE = 2**64 - 1
LOW = 2**32 - 1
VERSION = 2
MAGIC = b"\x89DSR\r\n\x1a\n"
INDEX_MAGIC = b"\x89DSX\r\n\x1a\n"
MARK = 0xD5  # the last byte of a frame's first 16
RECORD, PENDING, COMMIT, REVISION, METADATA = 1, 2, 3, 4, 5
SKIPPED = 128  # the first of the kinds that a reader may skip
NO_EDIT, TAKE_LAST, DELETE = 0, 1, 2
VIEW = 1  # flags of a slot
SLOT_SIZE = 128
SHORT_ROW = 16
NUMBER = {"fields": [{"name": "n", "type": "int64", "at": 16}], "head": 24, "metadata": {}}
TEXT = {
    "fields": [
        {"name": "text", "type": "str", "payload": 0},
        {"name": "n", "type": "int64", "at": 32},
    ],
    "head": 40,
    "metadata": {},
}


class Place(NamedTuple):
    """Where the frame of a record lies."""

    offset: int
    size: int
    check: int


class Old(NamedTuple):
    """A payload that a revision keeps: where it lies, and what the head says of it."""

    offset: int
    size: int
    checksum: int


def padded(data, to=8):
    return data + bytes(-len(data) % to)


def header(
    contents,
    id=ID,
    magic=MAGIC,
    checksum=None,
    version=VERSION,
    read_flags=0,
    write_flags=0,
    size=None,
    json_size=None,
):
    """A header; `contents` is what its JSON says, or the bytes of it."""
    text = contents if isinstance(contents, bytes) else json.dumps(contents).encode()
    length = 40 + len(text)
    real = length + -length % 4096
    rest = struct.pack(
        "<HBBII",
        version,
        read_flags,
        write_flags,
        real if size is None else size,
        len(text) if json_size is None else json_size,
    )
    rest = (rest + id + text).ljust(real - 12, b"\0")
    return magic + struct.pack("<I", crc32(rest) if checksum is None else checksum) + rest


def frame_check(id, covered, offset):
    """The check of a frame: `covered` are its bytes from 4 to the end of its head."""
    return crc32(id + covered) ^ (offset // 8 & LOW)


def table_checksum(check, table):
    """The checksum of a revision's offsets; `check` is the one of its frame."""
    return crc32(struct.pack("<I", check) + table)


def is_pending(kind):
    return kind in (PENDING, REVISION)


def flattened(numbers):
    """Positions, or pairs of them, one behind the other."""
    flat = []
    for number in numbers:
        flat += number if isinstance(number, tuple) else [number]
    return flat


class Log:
    """The bytes of a `.rec`. Each method adds a frame and returns its offset.

    Attributes:
        data: all bytes.
        frames: of records, pending ones and revisions included: offset, size, check.
        pending: the frames that wait for their commit.
        prev: the check of the last frame that is not pending, or the header's.
        last_metadata: the offset of the last frame of metadata, or 0.
        edits: how many commits had an op.
    """

    def __init__(self, contents=NUMBER, id=ID, **wrong):
        self.id = id
        self.data = header(contents, id, **wrong)
        self.prev = self.header_check
        self.frames = []
        self.pending = []
        self.last_metadata = 0
        self.edits = 0
        readable = isinstance(contents, dict) and "fields" in contents
        self.head_size = contents.get("head", 16) if readable else 16
        fields = contents["fields"] if readable else []
        self.payload_count = sum("payload" in field for field in fields)

    @property
    def size(self):
        """H, the size of the header."""
        return int.from_bytes(self.data[16:20], "little")

    @property
    def header_check(self):
        return int.from_bytes(self.data[8:12], "little")

    def frame(self, kind, rest, covered=None, size=None, check=None, prev=None, mark=MARK):
        """A frame; `rest` are its bytes from 16 on.

        `covered` says how many bytes its check covers: by default all, of a kind from 128 on the first 32.
        """
        at = len(self.data)
        size = 16 + len(rest) if size is None else size
        if prev is None:
            prev = 0 if is_pending(kind) else self.prev
        if covered is None and kind >= SKIPPED:
            covered = 32
        body = struct.pack("<IQ", prev, size | kind << 48 | mark << 56) + rest
        if check is None:
            check = frame_check(self.id, body[: None if covered is None else covered - 4], at)
        self.data += struct.pack("<I", check) + body
        if not is_pending(kind):
            self.prev = check
        return at

    def _place(self, at):
        """Remember the frame of a record that was just added."""
        check, _, word = struct.unpack_from("<IIQ", self.data, at)
        place = Place(at, len(self.data) - at, check)
        self.frames.append(place)
        if is_pending(word >> 48 & 0xFF):
            self.pending.append(place)
        return at

    def record(self, numbers=b"", payloads=(), kind=RECORD, sizes=None, checksums=None, **wrong):
        """`numbers`: the bytes of the head behind the payloads' checksums."""
        if sizes is None:
            sizes = [NONE if payload is None else len(payload) for payload in payloads]
        if checksums is None:
            checksums = [0 if payload is None else crc32(payload) for payload in payloads]
        head = head_behind_16(sizes, checksums, numbers)
        body = b"".join(padded(payload) for payload in payloads if payload is not None)
        given = {"covered": 16 + len(head), **wrong}
        return self._place(self.frame(kind, head + body, **given))

    def revision(
        self,
        numbers=b"",
        payloads=(),
        sizes=None,
        checksums=None,
        offsets=None,
        table=None,
        zeros=0,
        size=None,
        check=None,
        prev=None,
        mark=MARK,
    ):
        """A pending revision. Each payload is bytes (a new one), None, or `Old` (of another frame).

        `offsets` and `table` (their checksum) are the ones of its table, `zeros` the u32 behind them.
        """
        at = len(self.data)
        new = [payload for payload in payloads if isinstance(payload, bytes)]
        if sizes is None:
            sizes = [size_of(payload) for payload in payloads]
        if checksums is None:
            checksums = [checksum_of(payload) for payload in payloads]
        head = head_behind_16(sizes, checksums, numbers)
        head_size = 16 + len(head)
        if offsets is None:
            offsets = offsets_of(payloads, at + head_size + 8 * len(payloads) + 8)
        body = b"".join(padded(payload) for payload in new)
        if size is None:
            size = head_size + 8 * len(offsets) + 8 + len(body)
        word = size | REVISION << 48 | mark << 56
        covered = struct.pack("<IQ", prev or 0, word) + head
        own_check = frame_check(self.id, covered, at) if check is None else check
        places = struct.pack(f"<{len(offsets)}Q", *offsets)
        if table is None:
            table = table_checksum(own_check, places)
        rest = head + places + struct.pack("<II", table, zeros) + body
        self.frame(REVISION, rest, size=size, check=own_check, prev=prev, mark=mark)
        return self._place(at)

    def number(self, n, kind=RECORD, **wrong):
        """A record of the schema `NUMBER`."""
        return self.record(struct.pack("<q", n), kind=kind, **wrong)

    def text(self, text, n, kind=RECORD, **wrong):
        """A record of the schema `TEXT`, or a revision of one, whose text may be an old one."""
        payload = text.encode() if isinstance(text, str) else text
        numbers = bytes(4) + struct.pack("<q", n)
        if kind == REVISION:
            return self.revision(numbers, [payload], **wrong)
        return self.record(numbers, [payload], kind=kind, **wrong)

    def old(self, at, number=0):
        """Payload `number` of the record or revision at this offset, for a revision that keeps it: None if it is None."""
        count = self.payload_count
        word = struct.unpack_from("<Q", self.data, at + 8)[0]
        sizes = struct.unpack_from(f"<{count}Q", self.data, at + 16)
        checksums = struct.unpack_from(f"<{count}I", self.data, at + 16 + 8 * count)
        if sizes[number] == NONE:
            return None
        if word >> 48 & 0xFF == REVISION:
            offset = struct.unpack_from("<Q", self.data, at + self.head_size + 8 * number)[0]
        else:
            before = [size for size in sizes[:number] if size != NONE]
            offset = at + self.head_size + sum(size + 7 & -8 for size in before)
        return Old(offset, sizes[number], checksums[number])

    def commit(self, op=NO_EDIT, positions=(), start=None, count=None, total=None, **wrong):
        """The commit of the pending frames before it. `positions` may be pairs, as those of a deletion are."""
        first = self.pending[0].offset if self.pending else len(self.data)
        checks = b"".join(struct.pack("<I", place.check) for place in self.pending)
        arguments = flattened(positions)
        rest = struct.pack(
            f"<QQII{len(arguments)}Q",
            first if start is None else start,
            len(self.pending) if count is None else count,
            crc32(checks) if total is None else total,
            op,
            *arguments,
        )
        self.pending = []
        self.edits += op != NO_EDIT
        return self.frame(COMMIT, rest, **wrong)

    def metadata(self, contents, json_size=None, **wrong):
        """Metadata: an object, or the bytes of its JSON."""
        text = contents if isinstance(contents, bytes) else json.dumps(contents).encode()
        length = len(text) if json_size is None else json_size
        self.last_metadata = self.frame(METADATA, struct.pack("<Q", length) + padded(text), **wrong)
        return self.last_metadata

    @property
    def last(self):
        """Offset and check of the last frame that is not pending; 0 and the header's check if there is none."""
        at = self.size
        found = 0, self.header_check
        while at < len(self.data):
            check, _, word = struct.unpack_from("<IIQ", self.data, at)
            if not is_pending(word >> 48 & 0xFF):
                found = at, check
            at += word & 2**48 - 1
        return found


def head_behind_16(sizes, checksums, numbers):
    """The head of a record from byte 16 on."""
    return padded(struct.pack(f"<{len(sizes)}Q{len(sizes)}I", *sizes, *checksums) + numbers)


def size_of(payload):
    if payload is None:
        return NONE
    return payload.size if isinstance(payload, Old) else len(payload)


def checksum_of(payload):
    if payload is None:
        return 0
    return payload.checksum if isinstance(payload, Old) else crc32(payload)


def offsets_of(payloads, next_new):
    """Where the payloads of a revision lie; the first new one at `next_new`."""
    offsets = []
    for payload in payloads:
        if payload is None or size_of(payload) == 0:
            offsets.append(0)
        elif isinstance(payload, Old):
            offsets.append(payload.offset)
        else:
            offsets.append(next_new)
            next_new += len(padded(payload))
    return offsets


def slot(
    id=ID,
    seq=1,
    count=0,
    covered=0,
    last=0,
    check=0,
    base=12288,
    row=SHORT_ROW,
    salt=0,
    edits=0,
    metadata=0,
    end=0,
    version=VERSION,
    flags=0,
    magic=INDEX_MAGIC,
    checksum=None,
    zeros=bytes(24),
):
    numbers = struct.pack("<QQQQ", seq, count, covered, last)
    words = struct.pack("<IIII", check, base, row, salt)
    more = struct.pack("<QQQ", edits, metadata, end)
    rest = struct.pack("<HH16s", version, flags, id) + numbers + words + more + zeros
    return magic + struct.pack("<I", crc32(rest) if checksum is None else checksum) + rest


def mixed(check, i, salt):
    """The check in row i."""
    return check ^ (i * 0x9E3779B1 & LOW) ^ salt


def row(i, place, salt=0):
    """The short row of the record at position i, whose frame has this offset, size and check."""
    offset, size, check = place
    return struct.pack("<QII", offset, min(size // 8, LOW), mixed(check, i, salt))


def long_row(i, place, head, salt=0):
    """The long row of the same record; `head` is the one of its frame, whose first 4 bytes `place` states."""
    offset, _, check = place
    return struct.pack("<QI", offset, mixed(check, i, salt)) + head[4:]


def right_row_size(log):
    """How large the rows are that a writer makes for this log."""
    long = log.payload_count > 0 and log.head_size <= 256
    return 8 + log.head_size if long else SHORT_ROW


def rows(log, places, size, salt=0):
    """The rows of these places, one behind the other."""
    if size == SHORT_ROW:
        return b"".join(row(i, place, salt) for i, place in enumerate(places))
    made = []
    for i, place in enumerate(places):
        head = log.data[place[0] : place[0] + size - 8].ljust(size - 8, b"\0")
        made.append(long_row(i, place, head, salt))
    return b"".join(made)


def index(log, places=None, other_slot=b"", row_size=None, **wrong):
    """An `.idx` of a whole log, as one that was just written as a whole.

    `places`: of the records in the list's order, by default all frames of the log. `row_size`: of the rows that are in the file;
    `row` is what the slot says of it.
    """
    places = log.frames if places is None else places
    row_size = right_row_size(log) if row_size is None else row_size
    last, check = log.last
    right = {
        "id": log.id,
        "seq": 1,
        "count": len(places),
        "covered": len(log.data),
        "last": last,
        "check": check,
        "base": 8192 + log.size,
        "row": row_size,
        "salt": check,
        "edits": log.edits,
        "metadata": log.last_metadata,
        "end": len(log.data),
    }
    given = {**right, **wrong}
    slots = [slot(**given), other_slot]
    if given["seq"] % 2:  # even ones in A, odd ones in B
        slots.reverse()
    front = b"".join(one.ljust(4096, b"\0") for one in slots)
    return front + log.data[: log.size] + rows(log, places, row_size, given["salt"])


def view(log, places, row_size=None, **wrong):
    """A view of these places."""
    size = right_row_size(log) if row_size is None else row_size
    unsalted = crc32(rows(log, places, size))
    given = {"flags": VIEW, "seq": unsalted, "salt": unsalted, **wrong}
    return index(log, places, row_size=size, **given)
