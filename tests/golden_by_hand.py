"""The files of tests/golden/by_hand/: what version 2 of the format means, and what a reader must refuse, byte by byte.

Each function makes a file (or a pair of files) and says what a reader finds. Its name is the file's. `make_golden.py` writes
them, together with the manifest.
"""

import struct
from typing import Any, NamedTuple

from bytes_by_hand import (
    COMMIT,
    DELETE,
    ID,
    NO_EDIT,
    NONE,
    NUMBER,
    PENDING,
    RECORD,
    REVISION,
    SKIPPED,
    TAKE_LAST,
    TEXT,
    Log,
    header,
    index,
    padded,
    view,
)

PAIR = {
    "fields": [
        {"name": "a", "type": "str", "payload": 0},
        {"name": "b", "type": "bytes?", "payload": 1},
        {"name": "n", "type": "int64", "at": 40},
    ],
    "head": 48,
    "metadata": {},
}
CORRUPT, UNSUPPORTED, STALE = "corrupt", "unsupported", "stale"


class Error(NamedTuple):
    """What a reader raises; None where the format does not determine it."""

    kind: str
    offset: int | None = None
    frame: int | None = None
    field: str | None = None


class Case(NamedTuple):
    """A file, and what a reader finds in it.

    Attributes:
        log: the bytes of the `.rec`.
        records: for each record its stored values, or an `Error`.
        error: of the whole file; then `records` is None.
        index, view: the bytes of an `.idx`, if the case has one.
        warns: whether a reader tells that the end of the log is torn, or that the index cannot be used.
        metadata: of the user, or an `Error`.
        unknown: the names of fields whose type is unknown.
    """

    log: bytes
    records: list[Any] | None = None
    error: Error | None = None
    index: bytes | None = None
    view: bytes | None = None
    warns: bool = False
    metadata: dict[str, Any] | Error | None = None
    unknown: tuple[str, ...] = ()


class Made(NamedTuple):
    name: str
    about: str
    crafted: bool
    make: Any


CASES: list[Made] = []


def case(about, crafted=False):
    """Register a case. `crafted`: all checksums are right, but no writer makes such a file."""

    def register(make):
        CASES.append(Made(make.__name__.replace("_", "-"), about, crafted, make))
        return make

    return register


def crafted(about):
    return case(about, crafted=True)


def read(log, *records, **more):
    data = log.data if isinstance(log, Log) else log
    return Case(data, records=list(records), metadata=more.pop("metadata", {}), **more)


def refused(log, kind, offset=None, frame=None, field=None, **more):
    data = log.data if isinstance(log, Log) else log
    return Case(data, error=Error(kind, offset, frame, field), **more)


def flipped(data, at, mask=0x10):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def numbers(*values, log=None):
    log = log or Log()
    for n in values:
        log.number(n)
    return log


def texts(*values):
    log = Log(TEXT)
    for n, text in enumerate(values):
        log.text(text, n)
    return log


def pair(log, a, b, n, kind=RECORD):
    """A record of the schema `PAIR`, or a revision of one."""
    head = struct.pack("<q", n)
    if kind == REVISION:
        return log.revision(head, [a, b])
    return log.record(head, [a, b], kind=kind)


# Revisions


@case("A label is corrected alone: the text stays where it is.")
def revision_of_a_label():
    log = Log(TEXT)
    at = log.text("first", 1)
    log.text("second", 2)
    log.text(log.old(at), 10, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    return read(log, (b"first", 10), (b"second", 2))


@case("One of two payloads is replaced; the other stays where it is.")
def revision_of_a_payload():
    log = Log(PAIR)
    at = pair(log, b"one", b"\x01\x02\x03", 1)
    pair(log, log.old(at, 0), b"a longer payload", 1, REVISION)
    log.commit(TAKE_LAST, [0])
    return read(log, (b"one", b"a longer payload", 1))


@case("A revision of a record whose frame has other payloads before the one that stays.")
def revision_that_keeps_the_second_payload():
    log = Log(PAIR)
    at = pair(log, b"eleven byte", b"stays", 1)
    pair(log, b"new", log.old(at, 1), 2, REVISION)
    log.commit(TAKE_LAST, [0])
    return read(log, (b"new", b"stays", 2))


@case(
    "Payloads that are None or empty have no place: their offset is 0, whether they are old or new."
)
def revision_of_none_and_empty():
    log = Log(PAIR)
    keeps = pair(log, b"", None, 1)
    pair(log, b"x", b"y", 2)
    pair(log, b"x", b"y", 3)
    pair(log, log.old(keeps, 0), log.old(keeps, 1), 10, REVISION)
    pair(log, b"", None, 20, REVISION)
    pair(log, b"", b"", 30, REVISION)
    log.commit(TAKE_LAST, [2, 1, 0])
    return read(log, (b"", None, 10), (b"", None, 20), (b"", b"", 30))


@case("A revision of a revision points to the payload itself, not to the revision before it.")
def revision_of_a_revision():
    log = Log(PAIR)
    first = pair(log, b"one", b"first", 1)
    second = pair(log, log.old(first, 0), b"second", 2, REVISION)
    log.commit(TAKE_LAST, [0])
    pair(log, log.old(second, 0), log.old(second, 1), 3, REVISION)
    log.commit(TAKE_LAST, [0])
    return read(log, (b"one", b"second", 3))


@case("A record that was revised is replaced as a whole, and what replaced it is revised.")
def revision_replaced_and_revised():
    log = Log(TEXT)
    at = log.text("first", 1)
    log.text(log.old(at), 2, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    at = log.text("other", 3, kind=PENDING)
    log.commit(TAKE_LAST, [0])
    log.text(log.old(at), 4, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    return read(log, (b"other", 4))


@case("One commit of several revisions and a whole record.")
def revisions_in_one_batch():
    log = texts("a", "b", "c", "d")
    frames = list(log.frames)
    log.text(log.old(frames[0].offset), 10, kind=REVISION)
    log.text("B", 11, kind=PENDING)
    log.text(log.old(frames[3].offset), 13, kind=REVISION)
    log.commit(TAKE_LAST, [3, 1, 0])
    return read(log, (b"a", 10), (b"B", 11), (b"c", 2), (b"d", 13))


@case("A revision may keep the payload of a frame of its own batch.")
def revision_within_its_batch():
    log = Log(TEXT)
    at = log.text("text", 1, kind=PENDING)
    log.text(log.old(at), 2, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    return read(log, (b"text", 2))


@case("A revision appended without an edit is one more record, which shares its payload.")
def revision_appended():
    log = Log(TEXT)
    at = log.text("shared", 1)
    log.text(log.old(at), 2, kind=REVISION)
    log.commit()
    return read(log, (b"shared", 1), (b"shared", 2))


@case("The record that a revision was made from is deleted; its payload lives on.")
def revision_of_a_deleted_record():
    log = texts("gone", "stays")
    log.text(log.old(log.frames[0].offset), 5, kind=REVISION)
    log.commit(DELETE, [(0, 1)])
    return read(log, (b"stays", 1), (b"gone", 5))


# Metadata


@case(
    "Metadata are changed twice: the last ones take the place of all before, those of the header included."
)
def metadata_changed_twice():
    log = Log({**NUMBER, "metadata": {"a": 1, "b": 2}})
    log.number(1)
    log.metadata({"a": 3})
    log.number(2)
    log.metadata({"classes": ["cat", "été"], "nested": {"x": None}})
    return read(log, (1,), (2,), metadata={"classes": ["cat", "été"], "nested": {"x": None}})


@case("Metadata that became empty.")
def metadata_removed():
    log = Log({**NUMBER, "metadata": {"a": 1}})
    log.metadata({})
    return read(log, metadata={})


def wrong_metadata(contents, **wrong):
    """A record and metadata: the list can be read, and the metadata cannot."""
    log = numbers(1)
    at = log.metadata(contents, **wrong)
    return read(log, (1,), metadata=Error(CORRUPT, at))


@crafted("The JSON of metadata is none. That is found when they are asked for.")
def metadata_without_json():
    return wrong_metadata(b"{")


@crafted("Metadata are an object.")
def metadata_that_are_no_object():
    return wrong_metadata(b"[1]")


@crafted("Metadata that are longer than their frame.")
def metadata_beyond_their_frame():
    return wrong_metadata({}, json_size=100)


# Edits


@case("A deletion of several ranges, of one record and of many.")
def delete_of_several_ranges():
    log = numbers(*range(10))
    log.commit(DELETE, [(0, 1), (2, 5), (8, 10)])
    return read(log, (1,), (5,), (6,), (7,))


@case("Ranges may touch, and a deletion may leave nothing.")
def delete_of_everything():
    log = numbers(0, 1, 2)
    log.commit(DELETE, [(0, 1), (1, 3)])
    return read(log)


@case("A deletion may refer to the records of its own batch.")
def delete_within_its_batch():
    log = numbers(0, 1)
    log.number(2, PENDING)
    log.number(3, PENDING)
    log.commit(DELETE, [(1, 3)])
    return read(log, (0,), (3,))


@case("Two deletions: the second one's positions are those of the list after the first.")
def delete_twice():
    log = numbers(*range(6))
    log.commit(DELETE, [(1, 3)])
    log.commit(DELETE, [(1, 2), (3, 4)])
    return read(log, (0,), (4,))


@case(
    "take_last without a pending record removes a record and moves the last one there, one position after the other."
)
def take_last_of_several():
    log = numbers(0, 1, 2, 3, 4)
    log.commit(TAKE_LAST, [1, 0, 2])
    return read(log, (3,), (4,))


@case("A commit may have no pending record and no edit.")
def commit_of_nothing():
    log = numbers(1)
    log.commit()
    log.number(2)
    return read(log, (1,), (2,))


# What comes later


@case(
    "Frames of kinds from 128 on are skipped; they are links of the chain, also as the last frame."
)
def skipped_kinds():
    log = numbers(1)
    log.frame(SKIPPED, bytes(range(16)))
    log.number(2)
    log.frame(255, b"of a later version, not checked!" * 2)
    return read(log, (1,), (2,))


@case(
    "Of a kind that is skipped, the check covers the first 32 bytes alone: what lies behind is its own matter."
)
def skipped_kind_with_other_bytes():
    log = Log()
    at = log.frame(200, bytes(40))
    log.number(1)
    return read(flipped(log.data, at + 40), (1,))


@case("A write flag that is not known: such a file is read, and not written.")
def write_flag():
    log = numbers(1, log=Log(write_flags=0x80))
    return read(log, (1,))


@case("Keys of the JSON that are not known are ignored.")
def unknown_keys():
    field = {**NUMBER["fields"][0], "later": {"n": 1}}
    log = numbers(1, log=Log({**NUMBER, "fields": [field], "later": [1]}))
    return read(log, (1,))


@case("A payload of an unknown type: its field is refused, the others are read. None is None.")
def unknown_type_of_a_payload():
    fields = [
        {"name": "text", "type": "str", "payload": 0},
        {"name": "cloud", "type": "pointcloud(int12)?", "payload": 1},
        {"name": "n", "type": "int64", "at": 40},
    ]
    log = Log({"fields": fields, "head": 48, "metadata": {}})
    log.record(struct.pack("<q", 1), [b"one", b"\x01\x02"])
    log.record(struct.pack("<q", 2), [b"two", None])
    return read(log, (b"one", b"\x01\x02", 1), (b"two", None, 2), unknown=("cloud",))


@case("A scalar of an unknown type: its width is unknown, so nothing can be read.")
def unknown_type_of_a_scalar():
    field = {"name": "n", "type": "int128", "at": 16}
    log = Log({"fields": [field], "head": 32, "metadata": {}})
    log.record(bytes(16))
    return refused(log, UNSUPPORTED)


@case("A version that is not known.")
def another_version():
    return refused(numbers(1, log=Log(version=3)), UNSUPPORTED)


@case("Version 1, which was never published.")
def version_1():
    return refused(numbers(1, log=Log(version=1)), UNSUPPORTED)


@case("A read flag that is not known.")
def read_flag():
    return refused(numbers(1, log=Log(read_flags=1)), UNSUPPORTED)


@case(
    "The read flag is looked at before the checksum, which a later version may define in another way."
)
def read_flag_and_another_checksum():
    return refused(numbers(1, log=Log(read_flags=0x40, checksum=0)), UNSUPPORTED)


@case("A frame of a kind below 128 that is not known.")
def unknown_kind():
    log = numbers(1)
    at = log.frame(6, bytes(16))
    log.number(2)
    return refused(log, UNSUPPORTED, at)


@case("The last of the kinds that must be refused, as the last frame.")
def unknown_kind_at_the_end():
    log = numbers(1)
    return refused(log, UNSUPPORTED, log.frame(127, bytes(64)))


@case("A frame of an unknown kind behind pending frames: it may be one that commits them.")
def unknown_kind_behind_pending_frames():
    log = numbers(1)
    log.number(2, PENDING)
    return refused(log, UNSUPPORTED, log.frame(6, bytes(16)))


@case("A frame of an unknown kind whose prev is 0: it may be one that waits for a commit.")
def unknown_kind_that_may_be_pending():
    log = numbers(1)
    at = log.frame(6, bytes(16), prev=0)
    log.prev = numbers(1).prev
    log.commit()
    return refused(log, UNSUPPORTED, at)


@case("A frame of an unknown kind whose check is wrong is no frame: here it is a torn tail.")
def unknown_kind_with_a_wrong_check():
    log = numbers(1)
    log.frame(6, bytes(16), check=0)
    return read(log, (1,), warns=True)


@case("An edit that is not known.")
def unknown_edit():
    log = numbers(1)
    return refused(log, UNSUPPORTED, log.commit(3, [0]))


# Torn tails: what a writer did not finish is not there


@case("The last record is cut within its first 16 bytes.")
def torn_in_the_first_16_bytes():
    return read(numbers(1, 2).data[:-13], (1,), warns=True)


@case("The last record is cut within its head.")
def torn_in_a_head():
    return read(texts("a", "b").data[:-16], (b"a", 0), warns=True)


@case("The last record is cut within its payload.")
def torn_in_a_payload():
    return read(texts("a", "twelve bytes").data[:-8], (b"a", 0), warns=True)


@case("The payload of the last record did not reach the disk: there are zeros in its place.")
def torn_payload_of_zeros():
    return read(texts("a", "12345678").data[:-8] + bytes(8), (b"a", 0), warns=True)


@case("A batch without its commit.")
def torn_before_a_commit():
    log = numbers(1)
    log.number(2, PENDING)
    log.number(3, PENDING)
    return read(log, (1,), warns=True)


@case("A batch whose commit is cut.")
def torn_in_a_commit():
    log = numbers(1)
    log.number(2, PENDING)
    log.commit(TAKE_LAST, [0])
    return read(log.data[:-8], (1,), warns=True)


@case("A revision without its commit.")
def torn_behind_a_revision():
    log = texts("a")
    log.text(log.old(log.frames[0].offset), 5, kind=REVISION)
    return read(log, (b"a", 0), warns=True)


@case("A revision that is cut within its table.")
def torn_in_a_table():
    log = texts("a")
    log.text(log.old(log.frames[0].offset), 5, kind=REVISION)
    return read(log.data[:-4], (b"a", 0), warns=True)


@case("Metadata that are cut: those before count.")
def torn_in_metadata():
    log = Log({**NUMBER, "metadata": {"a": 1}})
    log.number(1)
    log.metadata({"a": 2})
    return read(log.data[:-8], (1,), metadata={"a": 1}, warns=True)


@case("A frame that is skipped, cut.")
def torn_in_a_skipped_kind():
    log = numbers(1)
    log.frame(SKIPPED, bytes(48))
    return read(log.data[:-8], (1,), warns=True)


@case("Zeros, which a file system may leave at the end of a file.")
def torn_zeros():
    return read(numbers(1).data + bytes(256), (1,), warns=True)


@case("Bytes of another file.")
def torn_bytes_of_another_file():
    return read(numbers(1).data + b"PNG and other bytes " * 13, (1,), warns=True)


@case("Frames of another dataset, which lay on the disk before: their checks are of another id.")
def torn_frames_of_another_dataset():
    other = numbers(1, 7, 8, log=Log(id=ID[::-1]))
    return read(numbers(1).data + other.data[4120:], (1,), warns=True)


@case("A pending frame that names a frame before it, which none does; nothing follows.")
def torn_prev_of_a_pending_frame():
    log = numbers(1)
    log.number(2, PENDING, prev=log.prev)
    return read(log, (1,), warns=True)


@case("The header alone: an empty list.")
def header_alone():
    return read(Log())


@case(
    "Bytes between a payload and the next multiple of 8 are zeros, but a reader does not look at them."
)
def padding_that_is_not_zero():
    log = texts("abc")
    return read(flipped(log.data, 4096 + 40 + 3), (b"abc", 0))


# Damage: something whole follows, or stands where it cannot be


@case("A bit of the head of a record has flipped; another record follows.")
def damaged_head():
    return refused(flipped(numbers(1, 2, 3).data, 4120 + 16), CORRUPT, 4120)


@case("A bit of the check of a record has flipped.")
def damaged_check():
    return refused(flipped(numbers(1, 2, 3).data, 4120), CORRUPT, 4120)


@case("A bit of the prev of a record has flipped.")
def damaged_prev():
    return refused(flipped(numbers(1, 2, 3).data, 4120 + 4), CORRUPT, 4120)


@case("A bit of the size of a record has flipped.")
def damaged_size():
    return refused(flipped(numbers(1, 2, 3).data, 4120 + 8, 0x08), CORRUPT, 4120)


@case("The size of a record is larger than the file.")
def damaged_size_beyond_the_file():
    return refused(flipped(numbers(1, 2, 3).data, 4120 + 12), CORRUPT, 4120)


@case("A bit of the kind of a record has flipped.")
def damaged_kind():
    return refused(flipped(numbers(1, 2, 3).data, 4120 + 14), CORRUPT, 4120)


@case("A bit of the constant byte 0xD5 has flipped.")
def damaged_mark():
    return refused(flipped(numbers(1, 2, 3).data, 4120 + 15), CORRUPT, 4120)


@case("Zeros in the place of a record.")
def damaged_by_zeros():
    data = numbers(1, 2, 3).data
    return refused(data[:4120] + bytes(24) + data[4144:], CORRUPT, 4120)


@case("A frame is missing: the one behind it has another offset.")
def damaged_by_a_missing_frame():
    data = numbers(1, 2, 3, 4).data
    log = numbers(1, 2, 3, 4, 5)
    return refused(data[:4120] + data[4144:] + log.data[-48:], CORRUPT, 4120)


@case("A bit of the table of a revision has flipped; its commit follows.")
def damaged_table():
    log = texts("a")
    at = log.text(log.old(log.frames[0].offset), 5, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    return refused(flipped(log.data, at + 40), CORRUPT, at + 40, at)


@case("A bit of a commit has flipped; a record follows.")
def damaged_commit():
    log = numbers(1)
    log.number(2, PENDING)
    at = log.commit()
    log.number(3)
    return refused(flipped(log.data, at + 36), CORRUPT, at)


@case("A bit of metadata has flipped; a record follows.")
def damaged_metadata():
    log = Log()
    at = log.metadata({"a": 1})
    log.number(3)
    return refused(flipped(log.data, at + 30), CORRUPT, at)


@case("A bit of the first 32 bytes of a frame that is skipped has flipped; a record follows.")
def damaged_skipped_kind():
    log = Log()
    at = log.frame(SKIPPED, bytes(48))
    log.number(3)
    return refused(flipped(log.data, at + 20), CORRUPT, at)


@case("Only a frame that is skipped follows the damage: that is enough.")
def damage_before_a_skipped_kind():
    log = numbers(1, 2)
    log.frame(SKIPPED, bytes(48))
    return refused(flipped(log.data, 4120 + 16), CORRUPT, 4120)


@case("Only metadata follow the damage: that is enough.")
def damage_before_metadata():
    log = numbers(1, 2)
    log.metadata({})
    return refused(flipped(log.data, 4120 + 16), CORRUPT, 4120)


@case("Only a frame of an unknown kind below 128 follows the damage: that is enough.")
def damage_before_an_unknown_kind():
    log = numbers(1, 2)
    log.frame(6, bytes(16))
    return refused(flipped(log.data, 4120 + 16), CORRUPT, 4120)


@case("Only pending frames follow the damage, whose commit is missing: a torn tail.")
def damage_before_pending_frames():
    log = numbers(1, 2)
    log.number(3, PENDING)
    return read(flipped(log.data, 4120 + 16), (1,), warns=True)


@case("A payload is damaged: its record cannot be read, the others can.")
def damaged_payload():
    log = texts("first", "second", "third")
    at = log.frames[1].offset
    error = Error(CORRUPT, at + 40, at, "text")
    return read(flipped(log.data, at + 40), (b"first", 0), error, (b"third", 2))


@case("A payload that a revision shares with the record before it is damaged.")
def damaged_payload_of_a_revision():
    log = texts("a", "b", "c")
    at = log.frames[0].offset
    log.text(log.old(at), 9, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    error = Error(CORRUPT, at + 40, field="text")
    return read(flipped(log.data, at + 40), error, (b"b", 1), (b"c", 2))


@case("A payload of the last batch is damaged. Its commit follows, so that it is no torn tail.")
def damaged_payload_of_the_last_batch():
    log = texts("a")
    at = log.text("b", 1, kind=PENDING)
    log.text("c", 2, kind=PENDING)
    log.commit()
    return refused(flipped(log.data, at + 40), CORRUPT, at + 40, at, "text")


def histories():
    """Two copies of one dataset that were edited apart: the same frames, but for the label of the first record."""
    logs = []
    for first in (1, 2):
        log = numbers(first, 5)
        log.number(6, PENDING)
        log.commit()
        log.number(7)
        logs.append(log)
    return logs


@case(
    "The end of a log was overwritten by that of a copy that was edited apart: a record names another past."
)
def record_of_another_history():
    one, other = histories()
    return refused(one.data[:-24] + other.data[-24:], CORRUPT, len(one.data) - 24)


@case("The same with a commit.")
def commit_of_another_history():
    one, other = histories()
    at = 4096 + 3 * 24
    return refused(one.data[:at] + other.data[at : at + 40], CORRUPT, at)


@case("The same with metadata.")
def metadata_of_another_history():
    one, other = (numbers(first) for first in (1, 2))
    one.metadata({})
    at = other.metadata({})
    return refused(one.data[:at] + other.data[at:], CORRUPT, at)


@case("The same with a frame that is skipped.")
def skipped_kind_of_another_history():
    one, other = (numbers(first) for first in (1, 2))
    one.frame(SKIPPED, bytes(16))
    at = other.frame(SKIPPED, bytes(16))
    return refused(one.data[:at] + other.data[at:], CORRUPT, at)


@case("The same with a frame of an unknown kind below 128.")
def unknown_kind_of_another_history():
    one, other = (numbers(first) for first in (1, 2))
    one.frame(6, bytes(16))
    at = other.frame(6, bytes(16))
    return refused(one.data[:at] + other.data[at:], CORRUPT, at)


@case(
    "The first frame names the header: one that was written behind another header of the same id is refused."
)
def first_frame_of_another_header():
    other = numbers(1, log=Log({**NUMBER, "metadata": {"a": 1}}))
    return refused(Log().data + other.data[4096:], CORRUPT, 4096)


@case("A pending frame of a copy that was edited apart: the commit is of other frames.")
def pending_frame_of_another_history():
    logs = []
    for n in (1, 2):
        log = Log()
        log.number(n, PENDING)
        log.commit()
        logs.append(log)
    one, other = logs
    return refused(one.data[:4120] + other.data[4120:], CORRUPT, 4120)


@crafted("A record behind pending frames that have no commit.")
def record_behind_pending_frames():
    log = numbers(1)
    log.number(2, PENDING)
    return refused(log, CORRUPT, log.number(3))


@crafted("Metadata behind pending frames that have no commit.")
def metadata_behind_pending_frames():
    log = numbers(1)
    log.number(2, PENDING)
    return refused(log, CORRUPT, log.metadata({}))


@crafted("A frame that is skipped between a pending frame and its commit.")
def skipped_kind_within_a_batch():
    log = numbers(1)
    log.number(2, PENDING)
    at = log.frame(SKIPPED, bytes(16))
    log.commit()
    return refused(log, CORRUPT, at)


# The header


@case("An empty file.")
def empty_file():
    return refused(b"", CORRUPT)


@case("The first bytes of another file.")
def another_magic():
    return refused(b"PK\3\4" + Log().data[4:], CORRUPT)


@case("A file that passed through a program that changes the ends of lines.")
def magic_with_other_ends_of_lines():
    return refused(Log().data.replace(b"\r\n", b"\n"), CORRUPT)


@case("A header that is cut within its first 40 bytes.")
def header_cut_in_its_first_bytes():
    return refused(Log().data[:30], CORRUPT)


@case("A header that is cut.")
def header_cut():
    return refused(Log().data[:4000], CORRUPT)


@case("A bit of the JSON of the header has flipped.")
def damaged_header():
    return refused(flipped(numbers(1).data, 60), CORRUPT)


@case("A bit of the zeros behind the JSON has flipped.")
def damaged_header_behind_its_json():
    return refused(flipped(numbers(1).data, 4000), CORRUPT)


@crafted("The size of the header is no multiple of 4096.")
def header_of_another_size():
    return refused(header(NUMBER, size=4095), CORRUPT)


@crafted("The JSON is longer than the header.")
def header_shorter_than_its_json():
    return refused(header(NUMBER, json_size=4057), CORRUPT)


@crafted("The header's JSON is none.")
def header_without_json():
    return refused(header(b'{"fields": ['), CORRUPT)


@crafted("A scalar is not where the layout of the types has it.")
def header_with_another_layout():
    field = {**NUMBER["fields"][0], "at": 24}
    return refused(header({"fields": [field], "head": 32}), CORRUPT)


# Crafted frames


@crafted("A frame of kind 0.")
def kind_0():
    log = numbers(1)
    at = log.frame(0, bytes(8))
    return refused(numbers(2, log=log), CORRUPT, at)


@crafted("A size that is no multiple of 8.")
def size_that_is_no_multiple_of_8():
    log = numbers(1)
    at = log.frame(COMMIT, struct.pack("<QQII", 4120, 0, 0, 0) + bytes(1))
    log.data += bytes(7)
    return refused(numbers(2, log=log), CORRUPT, at)


@crafted("A commit that is smaller than a commit is.")
def commit_without_its_end():
    log = numbers(1)
    at = log.frame(COMMIT, bytes(16))
    return refused(numbers(2, log=log), CORRUPT, at)


@crafted("A frame that is skipped has at least 32 bytes.")
def skipped_kind_of_24_bytes():
    log = numbers(1)
    at = log.frame(SKIPPED, bytes(8))
    return refused(numbers(2, log=log), CORRUPT, at)


@crafted("A frame that is larger than its head and its payloads.")
def record_larger_than_its_payloads():
    log = texts("a")
    head = log.data[4096 + 16 : 4096 + 40]
    at = log.frame(RECORD, head + padded(b"a") + bytes(8), covered=40)
    log.text("c", 2)
    return refused(log, CORRUPT, at)


@crafted("Payloads that reach into the next frame.")
def record_smaller_than_its_payloads():
    log = texts("a")
    at = log.text("b", 1, sizes=[100])
    log.text("c", 2)
    return refused(log, CORRUPT, at)


@crafted("A payload whose size, rounded up, is 2⁶⁴.")
def payload_of_2_to_the_64_bytes():
    log = texts("a")
    at = log.text(b"", 1, sizes=[NONE - 1])
    log.text("c", 2)
    return refused(log, CORRUPT, at)


@crafted("A revision where there are no payloads.")
def revision_without_payloads():
    log = numbers(1)
    at = log.revision(struct.pack("<q", 2))
    log.commit(TAKE_LAST, [0])
    return refused(log, CORRUPT, at)


def revised(**wrong):
    """A record and a revision of it whose second payload is new, with something wrong."""
    log = Log(PAIR)
    pair(log, b"one", b"two", 1)
    at = log.revision(struct.pack("<q", 2), [log.old(4096, 0), b"new"], **wrong)
    log.commit(TAKE_LAST, [0])
    return refused(log, CORRUPT, at + 48, at)


OLD, NEW = 4096 + 48, 4096 + 64 + 48 + 24  # where the payloads of `revised` lie


@crafted("The checksum of a revision's table is wrong.")
def table_with_a_wrong_checksum():
    return revised(table=0)


@crafted("The four bytes behind the checksum of a revision's table are zeros.")
def table_without_its_zeros():
    return revised(zeros=1)


@crafted("An old payload lies at a multiple of 8.")
def old_payload_between():
    return revised(offsets=[OLD + 4, NEW])


@crafted("An old payload lies behind the header.")
def old_payload_in_the_header():
    return revised(offsets=[4088, NEW])


@crafted("An old payload ends before the revision.")
def old_payload_that_reaches_into_the_revision():
    return revised(offsets=[4096 + 56, NEW], sizes=[9, 3])


@crafted("A payload that is there has an offset.")
def payload_without_an_offset():
    return revised(offsets=[0, NEW])


@crafted("A new payload lies right behind the table, or behind the new ones before it.")
def new_payload_elsewhere():
    return revised(offsets=[OLD, NEW - 8])


@crafted("No payload lies behind the revision.")
def new_payload_behind_the_revision():
    return revised(offsets=[OLD, NEW + 8])


@crafted("A payload that is None has the offset 0.")
def none_with_an_offset():
    log = Log(PAIR)
    pair(log, b"one", b"two", 1)
    at = log.revision(struct.pack("<q", 2), [log.old(4096, 0), None], offsets=[OLD, NEW])
    log.commit(TAKE_LAST, [0])
    return refused(log, CORRUPT, at + 48, at)


@crafted("An empty payload has the offset 0.")
def empty_payload_with_an_offset():
    log = Log(PAIR)
    pair(log, b"one", b"two", 1)
    at = log.revision(struct.pack("<q", 2), [log.old(4096, 0), b""], offsets=[OLD, NEW])
    log.commit(TAKE_LAST, [0])
    return refused(log, CORRUPT, at + 48, at)


@crafted("A revision is exactly as large as its head, its table and its new payloads.")
def revision_of_another_size():
    log = Log(PAIR)
    pair(log, b"one", b"two", 1)
    at = len(log.data)
    head_and_table = 48 + 8 * 2 + 8
    log.revision(struct.pack("<q", 2), [log.old(4096, 0), None], size=head_and_table + 8)
    log.data += bytes(8)
    log.commit(TAKE_LAST, [0])
    return refused(log, CORRUPT, at + 48, at)


def committed(op=0, positions=(), **wrong):
    """Two records, and a commit of a third with something wrong."""
    log = numbers(1, 2)
    log.number(3, PENDING)
    return refused(log, CORRUPT, log.commit(op, positions, **wrong))


@crafted("A commit states where its first pending frame is.")
def commit_with_another_start():
    return committed(start=4096)


@crafted("A commit without pending frames states its own offset as their start.")
def commit_of_nothing_with_another_start():
    log = numbers(1)
    return refused(log, CORRUPT, log.commit(start=4096))


@crafted("A commit states how many pending frames it has.")
def commit_of_another_count():
    return committed(count=2)


@crafted("A commit states the crc32 of the checks of its pending frames.")
def commit_with_another_checksum():
    return committed(total=0)


@crafted("Without an edit, what follows in a commit has no meaning.")
def commit_of_nothing_with_positions():
    log = numbers(1)
    log.number(2, PENDING)
    log.commit(NO_EDIT, [7, 0])
    return read(log, (1,), (2,))


@crafted("take_last of a position that is not there when the last element was taken.")
def take_last_beyond_the_list():
    return committed(TAKE_LAST, [3])


@crafted("take_last of more elements than there are.")
def take_last_of_too_many():
    return committed(TAKE_LAST, [0, 0, 0, 0])


@crafted("A deletion beyond the end of the list.")
def delete_beyond_the_list():
    return committed(DELETE, [(2, 4)])


@crafted("A deletion of an empty range.")
def delete_of_an_empty_range():
    return committed(DELETE, [(1, 1)])


@crafted("The ranges of a deletion ascend.")
def delete_of_descending_ranges():
    return committed(DELETE, [(1, 2), (0, 1)])


@crafted("The ranges of a deletion do not overlap.")
def delete_of_overlapping_ranges():
    return committed(DELETE, [(0, 2), (1, 3)])


@crafted("A range has a start and a stop.")
def delete_of_half_a_range():
    return committed(DELETE, [0])


# The index


@case("Rows of 16 bytes, in a schema whose rows usually hold the heads. A reader reads both.")
def index_of_short_rows():
    log = texts("a", "b", "c")
    return read(log, (b"a", 0), (b"b", 1), (b"c", 2), index=index(log, row_size=16))


@case("Rows that hold heads, in a schema without payloads. A reader reads both.")
def index_of_long_rows():
    log = numbers(1, 2)
    return read(log, (1,), (2,), index=index(log, row_size=8 + 24))


@case("Rows of records, of pending ones and of revisions; the list is what the log means.")
def index_after_edits():
    log = texts("a", "b")
    log.text("c", 2, kind=PENDING)
    log.commit()
    log.text(log.old(log.frames[1].offset), 10, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    log.commit(DELETE, [(1, 2)])
    rows = [log.frames[3], log.frames[2]]
    return read(log, (b"b", 10), (b"c", 2), index=index(log, rows))


@case("The index of an empty list: last is 0, and its check is the header's.")
def index_of_nothing():
    return read(Log(), index=index(Log()))


@case("An index of an empty list, and records that were appended since.")
def index_of_nothing_and_records():
    idx = index(Log())
    return read(numbers(1, 2), (1,), (2,), index=idx)


@case("The log is read on from where the index ends.")
def index_behind():
    log = texts("a", "b")
    idx = index(log)
    log.text("c", 2)
    log.text(log.old(log.frames[0].offset), 10, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    return read(log, (b"a", 10), (b"b", 1), (b"c", 2), index=idx)


def with_end_further(log, covered_log, frames, **wrong):
    """An index whose rows are of an earlier log, and whose `end` is that of the whole one, in slot A."""
    older = slot_of(covered_log, seq=1, count=len(frames))
    salt = covered_log.prev
    newer = {"seq": 2, "end": len(log.data), "salt": salt, **wrong}
    return index(covered_log, frames, other_slot=older, **newer)


def slot_of(log, **wrong):
    """The slot that `index` makes."""
    data = index(log, **wrong)
    at = 4096 if wrong.get("seq", 1) % 2 else 0
    return data[at : at + 128]


def edited_behind_the_index():
    """A log of two texts, its index, and a revision behind it, whose durability a second slot states."""
    log = texts("a", "b")
    covered, frames = Log(TEXT), list(log.frames)
    covered.text("a", 0)
    covered.text("b", 1)
    log.text(log.old(frames[0].offset), 10, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    return log, with_end_further(log, covered, frames)


@case("After an edit only a slot was written: the same rows, the same covered, a further end.")
def index_with_a_further_end():
    log, idx = edited_behind_the_index()
    return read(log, (b"a", 10), (b"b", 1), index=idx)


@case("Damage between covered and end is no torn tail, even at the end of the file.")
def index_with_a_further_end_and_damage():
    log, idx = edited_behind_the_index()
    at = log.last[0]
    return refused(flipped(log.data, at + 40), CORRUPT, at, index=idx)


@case("The log was cut between covered and end, at the end of a frame.")
def index_with_a_further_end_and_a_cut():
    log, idx = edited_behind_the_index()
    cut = log.data[: log.frames[0].offset + 96]
    return refused(cut, CORRUPT, len(cut), index=idx)


@case("The log is shorter than the index says: it was cut, or it is an older copy.")
def index_of_a_longer_log():
    log = numbers(1, 2, 3)
    return refused(log.data[:-24], CORRUPT, len(log.data) - 24, index=index(log))


@case("The slot with the highest seq counts.")
def index_with_two_slots():
    log = numbers(1, 2, 3)
    older = numbers(1)
    one = slot_of(older, seq=4)
    return read(log, (1,), (2,), (3,), index=index(log, seq=5, other_slot=one, salt=older.prev))


@case("The newer slot was not finished: the older one counts, and the log is read on from there.")
def index_with_a_damaged_slot():
    log = numbers(1, 2, 3)
    older = numbers(1)
    one = slot_of(older, seq=4)
    idx = index(log, seq=5, other_slot=one, salt=older.prev)
    return read(log, (1,), (2,), (3,), index=flipped(idx, 4096 + 40))


@case("The newer slot is not usable, as its rows are not in the file: the older one counts.")
def index_with_a_slot_without_its_rows():
    log = numbers(1, 2, 3)
    older = numbers(1)
    one = slot_of(older, seq=4)
    idx = index(log, seq=5, other_slot=one, salt=older.prev)
    return read(log, (1,), (2,), (3,), index=idx[:-16])


@case("The rows of an index without a usable slot are made again, with a warning.")
def index_damaged():
    log = numbers(1, 2)
    return read(log, (1,), (2,), index=flipped(index(log), 4096 + 40), warns=True)


@case("An index of another version is not used. It never is a reason to refuse.")
def index_of_another_version():
    log = numbers(1, 2)
    return read(log, (1,), (2,), index=index(log, version=3), warns=True)


@case("Where another version has its `end` is not known: such a slot does not vouch for anything.")
def index_of_another_version_and_a_longer_log():
    log = numbers(1, 2, 3)
    idx = index(log, version=3)
    return read(log.data[:-24], (1,), (2,), index=idx, warns=True)


@case("An index with an unknown flag is not used.")
def index_with_an_unknown_flag():
    log = numbers(1, 2)
    return read(log, (1,), (2,), index=index(log, flags=2), warns=True)


@case("An index whose rows have a size that the schema does not have is not used.")
def index_of_other_rows():
    log = texts("a", "b")
    return read(log, (b"a", 0), (b"b", 1), index=index(log, row=40), warns=True)


@case("A file that is no index.")
def index_that_is_none():
    return read(numbers(1, 2), (1,), (2,), index=b"no index" * 100, warns=True)


@case("The index of another dataset.")
def index_of_another_dataset():
    other = numbers(7, 8, 9, log=Log(id=ID[::-1]))
    return read(numbers(1, 2), (1,), (2,), index=index(other), warns=True)


@case(
    "The index of a copy that was edited apart, whose log is as long and ends alike: the log wins."
)
def index_of_another_history():
    one, other = (numbers(first, 5, 6) for first in (1, 2))
    return read(one, (1,), (5,), (6,), index=index(other), warns=True)


@case("The index of a copy whose log was shorter: the log wins.")
def index_of_another_history_that_is_shorter():
    one, other = numbers(1, 5, 6), numbers(2, 5)
    return read(one, (1,), (5,), (6,), index=index(other), warns=True)


def with_another_row(log, i, change, row_size=16):
    """An index of a log, whose row i is changed."""
    idx = index(log, row_size=row_size)
    at = 12288 + i * row_size
    return idx[:at] + change(idx[at : at + row_size]) + idx[at + row_size :]


@case("A bit of the check in a row has flipped: its record cannot be read, the others can.")
def row_with_another_check():
    log = numbers(1, 2, 3)
    idx = with_another_row(log, 1, lambda row: flipped(row, 12))
    return read(log, (1,), Error(CORRUPT), (3,), index=idx)


@case("A row that points outside of the log.")
def row_that_points_outside():
    log = numbers(1, 2, 3)
    idx = with_another_row(log, 1, lambda row: flipped(row, 5))
    return read(log, (1,), Error(CORRUPT), (3,), index=idx)


@case("A row with another size than its frame's.")
def row_with_another_size():
    log = numbers(1, 2, 3)
    idx = with_another_row(log, 1, lambda row: flipped(row, 8))
    return read(log, (1,), Error(CORRUPT), (3,), index=idx)


@crafted("A row that leaves the size to the frame.")
def row_without_a_size():
    log = numbers(1, 2)
    idx = with_another_row(log, 1, lambda row: row[:8] + b"\xff" * 4 + row[12:])
    return read(log, (1,), (2,), index=idx)


@case("A bit of a head in a row has flipped. The record is in the log, but the row is what counts.")
def row_with_another_head():
    log = texts("a", "b", "c")
    idx = with_another_row(log, 1, lambda row: flipped(row, 8 + 32), row_size=48)
    return read(log, (b"a", 0), Error(CORRUPT), (b"c", 2), index=idx)


@case("Two rows have changed places.")
def rows_that_changed_places():
    log = numbers(1, 2, 3)
    idx = index(log)
    rows = idx[12288 + 16 : 12288 + 32] + idx[12288:][:16] + idx[12288 + 32 :]
    return read(log, Error(CORRUPT), Error(CORRUPT), (3,), index=idx[:12288] + rows)


@case("The second row is of an older index of the same dataset, which had another salt.")
def row_of_an_older_index():
    log = texts("a", "b")
    older = index(log, row_size=48)[12288 + 48 : 12288 + 96]
    log.text("c", 2)
    idx = with_another_row(log, 1, lambda row: older, row_size=48)
    return read(log, (b"a", 0), Error(CORRUPT), (b"c", 2), index=idx)


@case("A head in the log is damaged, and the rows are short: its record cannot be read.")
def damaged_head_and_short_rows():
    log = texts("a", "b", "c")
    at = log.frames[1].offset
    data = flipped(log.data, at + 32)
    records = (b"a", 0), Error(CORRUPT, at), (b"c", 2)
    return read(data, *records, index=index(log, row_size=16))


@case("A head in the log is damaged, and the row holds it: nothing is lost.")
def damaged_head_and_long_rows():
    log = texts("a", "b", "c")
    data = flipped(log.data, log.frames[1].offset + 32)
    return read(data, (b"a", 0), (b"b", 1), (b"c", 2), index=index(log))


@case("A payload is damaged, in a log that the index covers.")
def damaged_payload_and_an_index():
    log = texts("a", "b", "c")
    at = log.frames[1].offset
    error = Error(CORRUPT, at + 40, at, "text")
    data = flipped(log.data, at + 40)
    return read(data, (b"a", 0), error, (b"c", 2), index=index(log))


@case(
    "The head of the last frame is damaged behind its first 16 bytes: the index is used, the others can be read."
)
def damaged_last_frame_and_an_index():
    log = numbers(1, 2, 3)
    at = log.frames[2].offset
    data = flipped(log.data, at + 16)
    return read(data, (1,), (2,), Error(CORRUPT, at), index=index(log))


@case(
    "The check of the last frame is damaged: the index is not used, and the log is not whole up to its end."
)
def damaged_check_of_the_last_frame_and_an_index():
    log = numbers(1, 2, 3)
    at = log.frames[2].offset
    return refused(flipped(log.data, at), CORRUPT, at, index=index(log))


@case("The metadata before covered are found by the slot.")
def index_and_metadata():
    log = Log({**NUMBER, "metadata": {"a": 1}})
    log.metadata({"a": 2})
    log.number(1)
    idx = index(log)
    log.number(2)
    return read(log, (1,), (2,), index=idx, metadata={"a": 2})


@case("The metadata behind covered take the place of those before.")
def index_and_later_metadata():
    log = Log({**NUMBER, "metadata": {"a": 1}})
    log.metadata({"a": 2})
    idx = index(log)
    log.metadata({"a": 3})
    return read(log, index=idx, metadata={"a": 3})


@case("The last frame before covered is one that is skipped.")
def index_behind_a_skipped_kind():
    log = numbers(1)
    log.frame(SKIPPED, bytes(16))
    idx = index(log)
    log.number(2)
    return read(log, (1,), (2,), index=idx)


# Views


@case("A view shows some records, in any order, each any number of times.")
def view_of_some_records():
    log = texts("a", "b", "c")
    one, _, three = log.frames
    saved = view(log, [three, one, three])
    return read(log, (b"c", 2), (b"a", 0), (b"c", 2), view=saved)


@case("A view with rows of 16 bytes.")
def view_of_short_rows():
    log = texts("a", "b", "c")
    saved = view(log, [log.frames[2], log.frames[0]], row_size=16)
    return read(log, (b"c", 2), (b"a", 0), view=saved)


@case("A view of nothing.")
def view_of_nothing():
    log = numbers(1)
    return read(log, view=view(log, []))


@case("A view is one by its flag, wherever it lies: here it has the name of the index.")
def view_in_the_place_of_the_index():
    log = numbers(1, 2, 3)
    return read(log, (2,), index=view(log, [log.frames[1]]))


@case("What follows in the log is not added to a view, be it records or edits.")
def view_of_an_older_log():
    log = numbers(1, 2)
    saved = view(log, [log.frames[1]])
    log.number(3)
    log.commit(DELETE, [(0, 2)])
    return read(log, (2,), view=saved)


@case("A view of another dataset.")
def view_of_another_dataset():
    other = numbers(1, 2, log=Log(id=ID[::-1]))
    return refused(numbers(1, 2), STALE, view=view(other, other.frames))


@case("A view of a copy that was edited apart.")
def view_of_another_history():
    one, other = numbers(1, 5), numbers(2, 5)
    return refused(one, STALE, view=view(other, other.frames))


@case("A view of a longer log.")
def view_of_a_longer_log():
    log = numbers(1, 2)
    return refused(log.data[:-24], CORRUPT, view=view(log, log.frames))


@case("A bit of the slot of a view has flipped.")
def view_with_a_damaged_slot():
    log = numbers(1, 2)
    saved = view(log, log.frames)
    at = 4096 if saved[4096:4104] != bytes(8) else 0
    return refused(log, CORRUPT, view=flipped(saved, at + 40))


@case("A view whose rows are not all there.")
def view_without_its_rows():
    log = numbers(1, 2)
    return refused(log, CORRUPT, view=view(log, log.frames)[:-8])


@case("A bit of a row of a view has flipped.")
def view_with_a_damaged_row():
    log = numbers(1, 2)
    saved = view(log, log.frames)
    return read(log, (1,), Error(CORRUPT), view=flipped(saved, 12288 + 16 + 12))


@case("A view of another version.")
def view_of_another_version():
    log = numbers(1, 2)
    return refused(log, UNSUPPORTED, view=view(log, log.frames, version=3))


@case("A view with a flag that is not known.")
def view_with_an_unknown_flag():
    log = numbers(1, 2)
    return refused(log, UNSUPPORTED, view=view(log, log.frames, flags=3))
