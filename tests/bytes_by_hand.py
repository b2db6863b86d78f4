"""The format written a second time, from docs/records-format.md alone: nothing of the library is imported.

`Log` builds a `.rec` frame by frame, right or wrong; `index` builds an `.idx`. Arguments that default to None become what the
page says; a test that wants a wrong file gives another value.
"""

import json
import struct
from zlib import crc32

ID = bytes(range(16))
NONE = 2**64 - 1
MAGIC = b"\x89DSR\r\n\x1a\n"
INDEX_MAGIC = b"\x89DSX\r\n\x1a\n"
RECORD, PENDING, COMMIT = 1, 2, 3
NO_EDIT, TAKE_LAST, DELETE = 0, 1, 2
NUMBER = {"fields": [{"name": "n", "type": "int64", "at": 16}], "head": 24, "metadata": {}}
TEXT = {
    "fields": [
        {"name": "text", "type": "str", "payload": 0},
        {"name": "n", "type": "int64", "at": 32},
    ],
    "head": 40,
    "metadata": {},
}


def padded(data, to=8):
    return data + bytes(-len(data) % to)


def header(
    contents, id=ID, magic=MAGIC, checksum=None, version=1, flags=0, size=None, json_size=None
):
    """A header; `contents` is what its JSON says, or the bytes of it."""
    text = contents if isinstance(contents, bytes) else json.dumps(contents).encode()
    length = 40 + len(text)
    real = length + -length % 4096
    rest = struct.pack(
        "<HHII",
        version,
        flags,
        real if size is None else size,
        len(text) if json_size is None else json_size,
    )
    rest = (rest + id + text).ljust(real - 12, b"\0")
    return magic + struct.pack("<I", crc32(rest) if checksum is None else checksum) + rest


class Log:
    """The bytes of a `.rec`. Each method adds a frame and returns its offset."""

    def __init__(self, contents=NUMBER, id=ID, **wrong):
        self.id, self.data, self.pending = id, header(contents, id, **wrong), []
        self.frames = []  # of records: offset, size, check

    def frame(self, kind, rest, covered=None, size=None, check=None):
        """`covered`: how many bytes of the frame its check covers, by default all."""
        at = len(self.data)
        body = struct.pack("<IQ", kind, 16 + len(rest) if size is None else size) + rest
        right = crc32(self.id + body[: None if covered is None else covered - 4]) ^ (
            at // 8 & 0xFFFFFFFF
        )
        self.data += struct.pack("<I", right if check is None else check) + body
        return at

    def record(self, numbers=b"", payloads=(), kind=RECORD, sizes=None, checksums=None, **wrong):
        """`numbers`: the bytes of the head behind the payloads' checksums."""
        if sizes is None:
            sizes = [NONE if payload is None else len(payload) for payload in payloads]
        if checksums is None:
            checksums = [0 if payload is None else crc32(payload) for payload in payloads]
        head = struct.pack(f"<{len(sizes)}Q{len(sizes)}I", *sizes, *checksums)
        head = padded(head + numbers)
        body = b"".join(padded(payload) for payload in payloads if payload is not None)
        at = self.frame(kind, head + body, covered=16 + len(head), **wrong)
        place = at, len(self.data) - at, int.from_bytes(self.data[at : at + 4], "little")
        self.frames.append(place)
        if kind == PENDING:
            self.pending.append(place)
        return at

    def number(self, n, kind=RECORD, **wrong):
        """A record of the schema `NUMBER`."""
        return self.record(struct.pack("<q", n), kind=kind, **wrong)

    def text(self, text, n, kind=RECORD, **wrong):
        """A record of the schema `TEXT`."""
        payload = text if text is None or isinstance(text, bytes) else text.encode()
        return self.record(bytes(4) + struct.pack("<q", n), [payload], kind=kind, **wrong)

    def commit(self, op=NO_EDIT, positions=(), start=None, count=None, total=None, **wrong):
        """The commit of the pending records before it."""
        first = self.pending[0][0] if self.pending else len(self.data)
        checks = b"".join(struct.pack("<I", check) for _, _, check in self.pending)
        rest = struct.pack(
            f"<QQII{len(positions)}Q",
            first if start is None else start,
            len(self.pending) if count is None else count,
            crc32(checks) if total is None else total,
            op,
            *positions,
        )
        self.pending = []
        return self.frame(COMMIT, rest, **wrong)

    @property
    def last(self):
        """Offset of the last frame and its check; 0 and 0 if there is none."""
        at = int.from_bytes(self.data[16:20], "little")
        found = 0, 0
        while at < len(self.data):
            check, _, size = struct.unpack_from("<IIQ", self.data, at)
            found, at = (at, check), at + size
        return found


def slot(
    id=ID,
    seq=1,
    count=0,
    covered=0,
    edits=0,
    last=0,
    check=0,
    base=12288,
    version=1,
    flags=0,
    magic=INDEX_MAGIC,
    checksum=None,
):
    rest = struct.pack(
        "<HH16sQQQQQII", version, flags, id, seq, count, covered, edits, last, check, base
    )
    return magic + struct.pack("<I", crc32(rest) if checksum is None else checksum) + rest


def entry(i, place):
    """The entry of the record at position i, whose frame has this (offset, size, check)."""
    offset, size, check = place
    return struct.pack(
        "<QII", offset, min(size // 8, 2**32 - 1), check ^ (i * 0x9E3779B1 & 0xFFFFFFFF)
    )


def index(log, places=None, edits=0, other_slot=b"", **wrong):
    """An `.idx` of a whole log. `places`: of the records in the list's order, by default all frames of the log."""
    places = log.frames if places is None else places
    size = int.from_bytes(log.data[16:20], "little")
    last, check = log.last
    right = {
        "id": log.id,
        "count": len(places),
        "covered": len(log.data),
        "edits": edits,
        "last": last,
        "check": check,
    }
    given = {**right, "seq": 1, "base": 8192 + size, **wrong}
    slots = [slot(**given), other_slot][
        :: -1 if given["seq"] % 2 else 1
    ]  # even ones in A, odd ones in B
    front = b"".join(one.ljust(4096, b"\0") for one in slots)
    return front + log.data[:size] + b"".join(entry(i, place) for i, place in enumerate(places))
