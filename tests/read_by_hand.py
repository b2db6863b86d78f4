"""The format read a second time, from docs/records-format.md alone: nothing of the library is imported.

Slow and plain: whole files in memory, and each rule in the order of the page. It reads what is stored (level 1 of
tests/golden/): numbers, and the bytes of payloads.
"""

import json
import struct
from typing import NamedTuple
from zlib import crc32

from bytes_by_hand import (
    COMMIT,
    DELETE,
    INDEX_MAGIC,
    LOW,
    MAGIC,
    MARK,
    METADATA,
    NONE,
    PENDING,
    RECORD,
    REVISION,
    SHORT_ROW,
    SKIPPED,
    TAKE_LAST,
    VERSION,
    VIEW,
    frame_check,
    is_pending,
    mixed,
    table_checksum,
)

CODES = {
    "bool": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d", "bfloat16": "H", "category": "H", "datetime64": "q", "timedelta64": "q",
    "complex64": "8s", "complex128": "16s",
}  # fmt: skip
LARGEST_HEADER = LARGEST_METADATA = 16 * 2**20
LARGEST_COMMIT = 256 * 2**20


class FormatError(Exception):
    """What is wrong, and where: `offset`, of a payload where it is one, else of the frame, which `frame` always is."""

    def __init__(self, message, offset=None, frame=None, field=None):
        super().__init__(message)
        self.offset = offset
        self.frame = offset if frame is None else frame
        self.field = field


class CorruptError(FormatError):
    pass


class TornError(CorruptError):
    """Damage, or what a writer did not finish: that depends on what lies behind."""


class UnsupportedVersionError(FormatError):
    pass


class StaleViewError(FormatError):
    pass


def need(condition, message, offset=None, error=CorruptError, **where):
    if not condition:
        raise error(message, offset, **where)


class Header:
    """The header of a `.rec`."""

    def __init__(self, data):
        need(data[:8] == MAGIC, "magic", 0)
        need(len(data) >= 40, "cut short", len(data))
        self.check, version, read_flags, self.size, length = struct.unpack("<IHBxII", data[8:24])
        self.id = data[24:40]
        need(version == VERSION, "version", 12, UnsupportedVersionError)
        need(read_flags == 0, "read flags", 14, UnsupportedVersionError)
        possible = self.size % 4096 == 0 and 40 + length <= self.size <= LARGEST_HEADER
        need(possible, "an impossible size", 16)
        need(self.size <= len(data), "cut short", len(data))
        need(crc32(data[12 : self.size]) == self.check, "check", 8)
        try:
            contents = json.loads(data[40 : 40 + length])
        except ValueError as error:
            raise CorruptError(str(error), 40) from None
        self.fields = contents["fields"]
        self.head_size = contents["head"]
        self.metadata = contents.get("metadata", {})
        self.payload_count = sum("payload" in field for field in self.fields)
        self._check_layout()

    def _check_layout(self):
        scalars = [field for field in self.fields if "payload" not in field]
        for field in scalars:
            need(scalar_of(field) in CODES, "an unknown scalar", 40, UnsupportedVersionError)
        end = 16 + 12 * self.payload_count
        for field in sorted(scalars, key=lambda field: -width_of(field)):
            end += -end % width_of(field)
            need(field["at"] == end, "layout", 40)
            end += width_of(field)
        for field in scalars:
            if field["type"].endswith("?"):
                need(field["present"] == end, "layout", 40)
                end += 1
        need(self.head_size == end + -end % 8, "layout", 40)


def scalar_of(field):
    return field["type"].rstrip("?").split("[")[0]


def width_of(field):
    return struct.calcsize(CODES[scalar_of(field)])


class Frame(NamedTuple):
    offset: int
    kind: int
    size: int
    check: int
    prev: int
    head: bytes


class Slot(NamedTuple):
    version: int
    flags: int
    id: bytes
    seq: int
    count: int
    covered: int
    last: int
    check: int
    base: int
    row: int
    salt: int
    edits: int
    metadata: int
    end: int


def slots_of(idx):
    """The slots whose magic and checksum are right, the one with the highest seq first."""
    found = []
    for at in (0, 4096):
        data = idx[at : at + 128]
        if len(data) == 128 and data[:8] == INDEX_MAGIC and crc32(data[12:]) == number(data[8:12]):
            found.append(Slot(*struct.unpack("<HH16sQQQQIIIIQQQ", data[12:104])))
    return sorted(found, key=lambda slot: -slot.seq)


def number(data):
    return int.from_bytes(data, "little")


class Log:
    """A `.rec`, and what it means together with an index or a view.

    Attributes:
        header: of the file.
        places: for each record, the offset of its frame, or its row: its number and bytes.
        metadata_offset: of the last frame of metadata, or 0.
        warns: whether there is an index that could not be used, or a torn tail that no index vouched for.
    """

    def __init__(self, data, idx=None, view=None):
        self.data = data
        self.header = Header(data)
        self.places = []
        self.check = self.header.check
        self.metadata_offset = 0
        self.salt = 0
        self.end = self.header.size
        self.warns = False
        slots = [] if idx is None else slots_of(idx)
        if any(slot.flags & VIEW for slot in slots):
            view = idx
        if view is not None:
            slots = slots_of(view)
        own = [slot for slot in slots if slot.id == self.header.id]
        ends = [max(slot.covered, slot.end) for slot in own if slot.version == VERSION]
        vouched = max(ends, default=0)
        need(vouched <= len(data), "the index vouches for more", len(data))
        if view is not None:
            self._use_view(slots, view)
            return
        slots = own
        usable = [slot for slot in slots if self.problem_of(slot, idx) is None]
        if usable:
            self._use(usable[0], idx)
        self.warns = idx is not None and not usable
        self._walk(vouched, has_index=bool(usable))
        if self.end < len(data) and not slots:
            self.warns = True

    # The index

    def problem_of(self, slot, idx):
        """Why a slot cannot be used: the error that it is in a view; None if it can."""
        header = self.header
        if slot.version != VERSION or slot.flags not in (0, VIEW):
            return UnsupportedVersionError("another version of the index")
        right_row = slot.row in (SHORT_ROW, 8 + header.head_size)
        if slot.base != 8192 + header.size or not right_row:
            return CorruptError("base or row")
        if slot.end < slot.covered or max(slot.seq, slot.edits) >= 2**63:
            return CorruptError("impossible numbers")
        if slot.base + slot.row * slot.count > len(idx):
            return CorruptError("rows are missing")
        if slot.last == 0:
            right = (header.size, 0, header.check)
            is_ours = (slot.covered, slot.count, slot.check) == right
            return None if is_ours else StaleViewError("an index of an empty log that is none")
        if not header.size <= slot.last <= len(self.data) - 16:
            return StaleViewError("last")
        check, _, word = struct.unpack_from("<IIQ", self.data, slot.last)
        if check != slot.check:
            return StaleViewError("of another history")
        size, kind, mark = word & 2**48 - 1, word >> 48 & 0xFF, word >> 56
        is_link = mark == MARK and kind != 0 and not is_pending(kind)
        if not is_link or slot.last + size != slot.covered:
            return StaleViewError("covered")
        return None

    def _use(self, slot, idx):
        first = slot.base
        for i in range(slot.count):
            self.places.append((i, idx[first : first + slot.row]))
            first += slot.row
        self.check = slot.check
        self.salt = slot.salt
        self.metadata_offset = slot.metadata
        self.end = slot.covered

    def _use_view(self, slots, view):
        views = [slot for slot in slots if slot.flags & VIEW]
        need(views, "no view")
        slot = views[0]
        is_known = slot.version == VERSION and slot.flags == VIEW
        need(is_known, "another version of a view", error=UnsupportedVersionError)
        need(slot.id == self.header.id, "a view of another dataset", error=StaleViewError)
        problem = self.problem_of(slot, view)
        if problem is not None:
            raise problem
        self._use(slot, view)

    # Frames

    def _frame(self, at):
        """The frame at this offset; its head is verified."""
        header, data = self.header, self.data
        start = data[at : at + 16]
        need(len(start) == 16, "cut short", at, TornError)
        check, prev, word = struct.unpack("<IIQ", start)
        size, kind, mark = word & 2**48 - 1, word >> 48 & 0xFF, word >> 56
        has_kind = mark == MARK and kind != 0 and (kind != REVISION or header.payload_count)
        need(has_kind and size % 8 == 0, "no frame", at, TornError)
        head_size = size
        least = {COMMIT: 40, METADATA: 24}.get(kind, 16)
        if kind in (RECORD, PENDING, REVISION):
            head_size = header.head_size
            least = head_size
        if kind == REVISION:
            least += 8 * header.payload_count + 8
        if kind >= SKIPPED:
            head_size = least = 32
        most = {COMMIT: LARGEST_COMMIT, METADATA: LARGEST_METADATA}.get(kind, size)
        need(size >= least, "an impossible size", at, TornError)
        need(at + size <= len(data), "cut short", at, TornError)
        head = data[at : at + head_size]
        need(frame_check(header.id, head[4:], at) == check, "check", at, TornError)
        need(size <= most, "too large", at)
        return Frame(at, kind, size, check, prev, head)

    def _sizes(self, head):
        count = self.header.payload_count
        sizes = struct.unpack_from(f"<{count}Q", head, 16)
        checksums = struct.unpack_from(f"<{count}I", head, 16 + 8 * count)
        return list(zip(sizes, checksums, strict=True))

    def _payloads(self, frame):
        """For each payload of a record or revision: offset, size, checksum; None if it is None."""
        at = frame.offset
        stated = self._sizes(frame.head)
        free = at + len(frame.head)
        offsets = None
        if frame.kind == REVISION:
            offsets = self._table(frame, free)
            free += 8 * len(stated) + 8
        found = []
        for i, (size, checksum) in enumerate(stated):
            takes_none = size in (0, NONE)
            if offsets is None:
                offset = free
            else:
                offset = offsets[i]
                is_right = offset == 0 if takes_none else self._is_right(offset, size, at, free)
                table = at + len(frame.head)
                need(is_right, "the offset of a payload", table, TornError, frame=at)
            if not takes_none and offset == free:
                free += size + -size % 8
            found.append(None if size == NONE else (offset, size, checksum))
        problem = "the payloads do not fill the frame"
        where = at if offsets is None else at + len(frame.head)
        need(free == at + frame.size, problem, where, TornError, frame=at)
        return found

    def _table(self, frame, at):
        count = self.header.payload_count
        table = self.data[at : at + 8 * count]
        checksum, zeros = struct.unpack_from("<II", self.data, at + 8 * count)
        right = table_checksum(frame.check, table)
        need((checksum, zeros) == (right, 0), "the table", at, TornError, frame=frame.offset)
        return struct.unpack(f"<{count}Q", table)

    def _is_right(self, offset, size, at, free):
        """Whether a payload of a revision at `at` can lie at this offset."""
        if offset >= at:
            return offset == free
        return offset % 8 == 0 and self.header.size <= offset and offset + size <= at

    def _verify_payloads(self, frame):
        """Verify the payloads that lie in this frame: those that a revision keeps are of frames before it."""
        for i, place in enumerate(self._payloads(frame)):
            if place is not None and place[0] >= frame.offset:
                self._payload(place, frame.offset, i)

    def _payload(self, place, at, i):
        offset, size, checksum = place
        data = self.data[offset : offset + size]
        is_right = len(data) == size and crc32(data) == checksum
        need(is_right, "the checksum", offset, TornError, frame=at, field=self._name(i))
        return data

    def _name(self, payload):
        for i, field in enumerate(self.header.fields):
            if field.get("payload") == payload:
                return field.get("name", i)
        return None

    # The log

    def _walk(self, vouched, has_index):
        """Read on from the end of the index, and apply what is there."""
        batches, fault = self._batches(vouched if has_index else len(self.data))
        if not has_index and batches:
            try:
                self._verify_batch(batches[-1])
            except TornError as error:
                fault = error
                batches.pop()
        for batch in batches:
            self._apply(batch)
        if self.end < len(self.data):
            self._tell_damage(fault)
        if self.end < vouched:
            raise fault or CorruptError("the list ends before what is vouched for", self.end)

    def _batches(self, durable):
        """The frames from `end` on, in lists that each end with one that is not pending; and what ended the reading."""
        at, check, batches, pending = self.end, self.check, [], []
        try:
            while at < len(self.data):
                frame = self._frame(at)
                if is_pending(frame.kind):
                    need(frame.prev == 0, "prev of a pending frame", at, TornError)
                else:
                    if METADATA < frame.kind < SKIPPED and frame.prev in (check, 0):
                        raise UnsupportedVersionError("an unknown kind", at)
                    need(frame.prev == check, "prev", at)
                    need(frame.kind == COMMIT or not pending, "no commit", at)
                    check = frame.check
                if frame.kind in (RECORD, PENDING, REVISION):
                    self._payloads(frame)
                    if at >= durable:
                        self._verify_payloads(frame)
                pending.append(frame)
                at += frame.size
                if not is_pending(frame.kind):
                    batches.append(pending)
                    pending = []
        except TornError as fault:
            return batches, fault
        return batches, None

    def _verify_batch(self, batch):
        for frame in batch:
            if frame.kind in (RECORD, PENDING, REVISION):
                self._verify_payloads(frame)

    def _apply(self, batch):
        *pending, last = batch
        if last.kind == RECORD:
            self.places.append(last.offset)
        elif last.kind == METADATA:
            self.metadata_offset = last.offset
        elif last.kind == COMMIT:
            self._commit(pending, last)
        self.end = last.offset + last.size

    def _commit(self, pending, commit):
        at = commit.offset
        start, count, total, op = struct.unpack_from("<QQII", commit.head, 16)
        checks = b"".join(struct.pack("<I", frame.check) for frame in pending)
        first = pending[0].offset if pending else at
        is_ours = (start, count, total) == (first, len(pending), crc32(checks))
        need(is_ours, "a commit of other frames", at)
        need(op in (0, TAKE_LAST, DELETE), "an unknown edit", at, UnsupportedVersionError)
        self.places += [frame.offset for frame in pending]
        numbers = struct.unpack_from(f"<{(commit.size - 40) // 8}Q", commit.head, 40)
        if op == TAKE_LAST:
            self._take_last(numbers, at)
        if op == DELETE:
            self._delete(numbers, at)

    def _take_last(self, positions, at):
        for position in positions:
            need(position < len(self.places), "the position of an edit", at)
            self.places[position] = self.places[-1]
            self.places.pop()

    def _delete(self, numbers, at):
        need(len(numbers) % 2 == 0, "half a range", at)
        ranges = list(zip(numbers[::2], numbers[1::2], strict=True))
        limit = len(self.places)
        for start, stop in reversed(ranges):
            need(start < stop <= limit, "the ranges of a deletion", at)
            del self.places[start:stop]
            limit = start

    def _tell_damage(self, fault):
        """Raise what ended the reading if something whole lies behind."""
        for at in range(self.end + 8, len(self.data) - 15, 8):
            try:
                is_whole = not is_pending(self._frame(at).kind)
            except TornError:
                continue
            except CorruptError:  # larger than it may be, but whole
                is_whole = True
            if is_whole:
                raise fault

    # Records

    def _record_frame(self, i):
        """The frame of record i; its head is from the row if that holds it."""
        place = self.places[i]
        if isinstance(place, int):
            return self._frame(place)
        number_of_row, row = place
        offset = number(row[:8])
        size = self.header.head_size
        if len(row) == SHORT_ROW:
            head = self.data[offset : offset + size]
            check = mixed(number(row[12:16]), number_of_row, self.salt)
        else:
            check = mixed(number(row[8:12]), number_of_row, self.salt)
            head = struct.pack("<I", check) + row[12:]
        inside = offset % 8 == 0 and self.header.size <= offset <= self.end - size
        need(inside, "the row points outside of the log")
        stored, prev, word = struct.unpack_from("<IIQ", head)
        frame = Frame(offset, word >> 48 & 0xFF, word & 2**48 - 1, stored, prev, head)
        right = frame_check(self.header.id, head[4:], offset)
        need(stored == right, "check", offset)
        need(stored == check, "the row is of another record", offset)
        need(frame.kind in (RECORD, PENDING, REVISION), "no record", offset)
        need(offset + frame.size <= self.end, "the record ends behind the log", offset)
        if len(row) == SHORT_ROW:
            eighths = number(row[8:12])
            need(eighths in (LOW, frame.size // 8), "the size in the row", offset)
        return frame

    def record(self, i):
        """The stored values of record i, in the order of the fields: numbers, bytes, None."""
        frame = self._record_frame(i)
        places = self._payloads(frame)
        values = []
        for field in self.header.fields:
            if "payload" in field:
                place = places[field["payload"]]
                values.append(place and self._payload(place, frame.offset, field["payload"]))
            elif "present" in field and not frame.head[field["present"]]:
                values.append(None)
            else:
                code = "<" + CODES[scalar_of(field)]
                values.append(struct.unpack_from(code, frame.head, field["at"])[0])
        return values

    def metadata(self):
        """The object that belongs to the user."""
        if self.metadata_offset == 0:
            return self.header.metadata
        frame = self._frame(self.metadata_offset)
        need(frame.kind == METADATA, "no metadata", frame.offset)
        (length,) = struct.unpack_from("<Q", frame.head, 16)
        is_right = frame.size == 24 + length + -length % 8
        need(is_right, "metadata that do not fill their frame", frame.offset)
        try:
            found = json.loads(frame.head[24 : 24 + length])
        except ValueError as error:
            raise CorruptError(str(error), frame.offset) from None
        need(isinstance(found, dict), "metadata that are no object", frame.offset)
        return found
