"""Hostile files: each entry of `ATTACKS` writes one, with all checksums right, and says how it is answered.

CRC-32 keeps accidents out, not attackers: whoever makes a file can make its checksums. So each size, count and offset is looked
at before it is used.
"""

import base64
import io
import json
import os
import struct
import time
import zlib
from pathlib import Path

import bytes_by_hand as hand
import numpy as np
import PIL.Image
import soundfile
import zstandard
from bytes_by_hand import COMMIT, DELETE, NUMBER, PENDING, REVISION, TAKE_LAST, TEXT, Log, Old

import dsrecords
from dsrecords import (
    CorruptError,
    DecodeError,
    DSRecordsError,
    ReadOnlyError,
    StaleViewError,
    UnsupportedVersionError,
)

NONE = 2**64 - 1
NAMED = "named.idx"
ATTACKS = {}


def attack(error=None, match="", decode=None):
    """Enter a function (folder, path) into the gallery. `error` None: it is harmless, and every record can be read."""

    def enter(make):
        name = make.__name__.replace("_", " ").strip()
        ATTACKS[name] = make, error, match, decode
        return make

    return enter


def write(path, log, index=None, named=None):
    """`named`: an index that is opened by its name, as a view is."""
    Path(path).write_bytes(log.data if isinstance(log, Log) else log)
    if index is not None:
        Path(path).with_suffix(".idx").write_bytes(index)
    if named is not None:
        Path(path).with_name(NAMED).write_bytes(named)


def contents(*types, **others):
    """A header's JSON for unnamed fields of these types, its places computed by the library."""
    from dsrecords._schema.resolve import make_schema

    return {**make_schema(list(types)).to_json(), "metadata": {}, **others}


def one_payload(kind, payload):
    log = Log(contents(kind))
    log.record(b"", [payload])
    return log


def in_use(log, places=None, **wrong):
    """The files of a log whose index is believed: the frames before `covered` are not walked when it is opened."""
    return log, hand.index(log, places, **wrong)


# The header


@attack(CorruptError, "the header claims")
def header_of_100_megabytes(path):
    write(path, hand.header(NUMBER, size=100 * 2**20))


@attack(CorruptError, "the header claims")
def json_of_100_megabytes(path):
    text = json.dumps({**NUMBER, "metadata": {"a": "a" * 99_900_000}}).encode()
    write(path, hand.header(text))


@attack(CorruptError, "the header claims")
def json_longer_than_its_header(path):
    write(path, hand.header(NUMBER, json_size=2**32 - 1))


@attack(CorruptError, "the header's JSON")
def json_nested_100_000_deep(path):
    write(path, hand.header(b'{"fields": ' + b"[" * 100_000))


@attack(CorruptError, "the header's JSON")
def json_with_a_key_that_stands_twice(path):
    text = json.dumps(NUMBER)
    write(path, hand.header((text[:-1] + ', "head": 24}').encode()))


@attack(CorruptError, "the header's JSON")
def json_with_nan(path):
    write(path, hand.header(json.dumps({**NUMBER, "metadata": {"a": float("nan")}}).encode()))


@attack(CorruptError, "the header's JSON")
def json_with_an_integer_of_a_million_digits(path):
    write(path, hand.header(b'{"fields": ' + b"9" * 1_000_000 + b"}"))


@attack(CorruptError, "the header's JSON")
def json_that_is_not_utf_8(path):
    write(path, hand.header(b'{"fields": [{"name": "\xff"}]}'))


@attack()
def metadata_of_300_000_lists(path):
    write(path, Log({**NUMBER, "metadata": {"a": [[]] * 300_000}}))


@attack()
def metadata_nested_as_deep_as_json_goes(path):
    text = json.dumps(NUMBER)
    write(path, Log((text[: -len("{}}")] + '{"a": ' + "[" * 600 + "]" * 600 + "}}").encode()))


@attack(CorruptError, "fields, more than 4096")
def a_million_fields(path):
    write(path, hand.header({"fields": [{}] * 1_000_000, "head": 16}))


@attack()
def names_that_mean_something_to_python_or_the_system(path):
    names = (
        "__class__",
        "__dict__",
        "../x",
        "/etc/passwd",
        "\0",
        "a" * 10_000,
        "{0.__class__}",
        "%s",
        "\u202e",
        "_state",
    )
    fields = [{"name": name, "type": "int64", "at": 16 + 8 * i} for i, name in enumerate(names)]
    log = Log(
        {"fields": fields, "head": 16 + 8 * len(names), "metadata": {"__class__": "os.system"}}
    )
    log.record(struct.pack(f"<{len(names)}q", *range(len(names))))
    write(path, log)


@attack(CorruptError, "the header's JSON")
def a_name_that_is_a_list(path):
    write(path, hand.header({"fields": [{"name": [], "type": "int64", "at": 16}], "head": 24}))


@attack(CorruptError, "the header's JSON")
def a_name_that_is_an_object(path):
    write(
        path, hand.header({"fields": [{"name": {"a": 1}, "type": "int64", "at": 16}], "head": 24})
    )


@attack(CorruptError, "the header's JSON")
def two_fields_of_one_name(path):
    fields = [{"name": "n", "type": "int64", "at": 16}, {"name": "n", "type": "int64", "at": 24}]
    write(path, hand.header({"fields": fields, "head": 32}))


@attack(CorruptError, "the header's JSON")
def a_field_inside_of_the_checks(path):
    write(path, hand.header({"fields": [{"name": "n", "type": "int64", "at": 0}], "head": 24}))


@attack(CorruptError, "the header's JSON")
def a_field_before_the_file(path):
    write(
        path, hand.header({"fields": [{"name": "n", "type": "int64", "at": -(2**63)}], "head": 24})
    )


@attack(CorruptError, "the header's JSON")
def a_head_of_no_bytes(path):
    write(path, hand.header({**NUMBER, "head": 0}))


def _types():
    wrong = {
        "a negative shape": "float32[-1]",
        "a shape that overflows": "uint8[4611686018427387904,4]",
        "a shape of 20 digits": "uint8[99999999999999999999]",
        "objects": "object",
        "an object dtype": "O",
        "an array of objects": "object[3]",
        "a shape of 64 dimensions": "uint8[" + ",".join(["1"] * 64) + "]",
        "lists 100 000 deep": "list[" * 100_000 + "int8" + "]" * 100_000,
        "code": "__import__('os').system('true')",
        "a list of scalars without an end": "list[int8",
        "question marks": "int8" + "?" * 900,
    }
    for name, kind in wrong.items():

        def make(path, kind=kind):
            log = hand.Log({"fields": [{"type": kind, "payload": 0}], "head": 32})
            log.record(payloads=[bytes(8)])
            return write(path, log.data)

        ATTACKS[f"a type of {name}"] = make, UnsupportedVersionError, "is not known", None


@attack(CorruptError, "the header's JSON")
def a_type_of_no_text(path):
    contents = {"fields": [{"type": 7, "payload": 0}], "head": 32}
    return write(path, hand.header(contents))


_types()


@attack(CorruptError, "the header's JSON")
def a_dictionary_of_zstd_that_is_none(path):
    field = {**contents("zstd(bytes)")["fields"][0], "dict": "not base64!"}
    write(path, hand.header(contents("zstd(bytes)", fields=[field])))


@attack(CorruptError, "")
def a_dictionary_of_zstd_that_claims_what_it_has_not(path):
    magic = struct.pack("<II", 0xEC30A437, 1) + b"\xff" * 100
    log = Log(
        contents(
            "zstd(bytes)",
            fields=[
                {**contents("zstd(bytes)")["fields"][0], "dict": base64.b64encode(magic).decode()}
            ],
        )
    )
    log.record(b"", [zstd(100)])
    write(path, log)


@attack(UnsupportedVersionError, "read flags 0x01")
def a_header_with_a_flag_that_readers_must_know(path):
    log = Log(read_flags=1)
    log.number(1)
    write(path, log)


@attack(ReadOnlyError, "write flags 0x80")
def a_header_with_a_flag_that_writers_must_know(path):
    log = Log(write_flags=0x80)
    log.number(1)
    write(path, log)


# The log


@attack()
def a_frame_of_2_to_the_48_bytes(path):
    """At the end of the file, where it can only be what a writer did not finish."""
    log = Log()
    log.number(1)
    log.frame(1, struct.pack("<q", 2), size=2**48 - 8)
    write(path, log)


@attack(CorruptError, "no frame has kind|cut short")
def a_frame_of_2_to_the_48_bytes_before_others(path):
    log = Log()
    log.frame(1, struct.pack("<q", 2), size=2**48 - 8)
    log.number(1)
    write(path, log)


@attack(CorruptError, "a frame of")
def payloads_whose_sizes_add_up_to_more_than_2_to_the_64(path):
    log = Log(contents("bytes", "bytes"))
    log.record(b"", [b"", b""], sizes=[2**63, 2**63])
    log.record(b"", [b"", b""])
    write(path, log)


@attack(CorruptError, "payloads|bytes with such")
def payloads_of_2_to_the_64_bytes_behind_an_index(path):
    """Rounded up to a multiple of 8, the size is 0 in 64 bits: as if the frame were right."""
    log = Log(TEXT)
    log.record(
        bytes(4) + struct.pack("<q", 1), [b""], sizes=[2**64 - 2], checksums=[zlib.crc32(b"")]
    )
    write(path, *in_use(log))


@attack(CorruptError, "payloads|bytes with such")
def payloads_whose_sizes_wrap_around_behind_an_index(path):
    log = Log(contents("bytes", "bytes"))
    log.record(b"", [b"", b""], sizes=[2**63, 2**63])
    write(path, *in_use(log))


@attack(CorruptError, "beyond|cut short|payloads|bytes with such")
def a_payload_larger_than_the_file(path):
    log = Log(TEXT)
    log.record(bytes(4) + struct.pack("<q", 1), [b""], sizes=[2**40], size=40 + 2**40)
    write(path, *in_use(log))


@attack(CorruptError, "an edit takes position")
def take_last_of_position_2_to_the_63(path):
    log = Log()
    log.number(1)
    log.commit(TAKE_LAST, [2**63])
    write(path, log)


@attack(CorruptError, "an edit deletes")
def delete_of_positions_2_to_the_64(path):
    log = Log()
    log.number(1)
    log.commit(DELETE, [(0, 2**64 - 1)])
    write(path, log)


@attack(CorruptError, "an edit deletes")
def delete_of_a_million_ranges_that_overlap(path):
    log = Log()
    for n in range(100):
        log.number(n)
    log.commit(DELETE, [(0, 100)] * 1_000_000)
    write(path, log)


@attack(CorruptError, "a commit that is not of the pending")
def a_commit_of_2_to_the_63_records(path):
    log = Log()
    log.number(1, kind=PENDING)
    log.commit(count=2**63)
    write(path, log)


@attack(CorruptError, "a commit that is not of the pending")
def a_commit_that_starts_in_the_header(path):
    log = Log()
    log.number(1, kind=PENDING)
    log.commit(start=0)
    write(path, log)


@attack(UnsupportedVersionError, "an edit of the unknown kind")
def an_edit_of_a_kind_that_nobody_knows(path):
    log = Log()
    log.number(1)
    log.commit(2**32 - 1)
    write(path, log)


@attack(CorruptError)
def a_tail_of_beginnings_of_commits(path):
    """Each looks like a commit to the end of the file: verifying each of them would take hours."""
    log, count = Log(), 400_000
    log.number(1)
    at = len(log.data)
    end = at + 40 * count
    tag = COMMIT << 48 | hand.MARK << 56
    tail = b"".join(
        struct.pack("<IIQQQII", 0, 0, tag | end - at - 40 * i, 4096, 1, 0, 0) for i in range(count)
    )
    write(path, log.data + bytes(8) + tail)


# Revisions, metadata, kinds of later versions


@attack(CorruptError, "table of a revision")
def a_revision_whose_old_payload_is_in_the_header(path):
    log = Log(TEXT)
    log.text("one", 1)
    log.text(Old(16, 8, 0), 2, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    write(path, *in_use(log, log.frames[1:]))


@attack(CorruptError, "table of a revision")
def a_revision_whose_old_payload_ends_at_2_to_the_64(path):
    log = Log(TEXT)
    log.text("one", 1)
    log.text(Old(4096, 2**64 - 4096, 0), 2, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    write(path, *in_use(log, log.frames[1:]))


@attack(CorruptError, "table of a revision")
def a_revision_whose_payload_is_the_revision(path):
    log = Log(TEXT)
    log.text("one", 1)
    log.text(Old(len(log.data), 48, 0), 2, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    write(path, *in_use(log, log.frames[1:]))


@attack(CorruptError, "table of a revision")
def a_revision_whose_table_is_of_another(path):
    log = Log(TEXT)
    at = log.text("one", 1)
    log.text(log.old(at), 2, kind=REVISION, table=0)
    log.commit(TAKE_LAST, [0])
    write(path, *in_use(log, log.frames[1:]))


@attack(CorruptError, "table of a revision")
def a_revision_whose_table_may_be_of_any_frame(path):
    """Its checksum is right, but does not begin with the check of the frame."""
    log = Log(TEXT)
    old = log.old(log.text("one", 1))
    table = zlib.crc32(struct.pack("<Q", old.offset))
    log.text(old, 2, kind=REVISION, table=table)
    log.commit(TAKE_LAST, [0])
    write(path, *in_use(log, log.frames[1:]))


@attack(CorruptError, "again and again")
def two_hundred_revisions_that_keep_a_payload_of_a_million_bytes(path):
    """Each may be read, but copying all of them would make two hundred times as much of the file."""
    log = Log(TEXT)
    at = log.text("x" * 1_000_000, 0)
    kept = log.old(at)
    for n in range(1, 201):
        log.text(kept, n, kind=REVISION)
    log.commit()
    write(path, log)


@attack(CorruptError, "metadata")
def metadata_of_2_to_the_63_bytes_of_json(path):
    log = Log()
    log.metadata(b"{}", json_size=2**63)
    write(path, log)


@attack(CorruptError, "metadata")
def metadata_behind_others_that_are_nested_100_000_deep(path):
    log = Log()
    log.metadata({"right": 1})
    log.metadata(b'{"a": ' + b"[" * 100_000)
    write(path, log)


@attack(CorruptError, "metadata")
def metadata_that_is_a_list(path):
    log = Log()
    log.metadata(b"[]")
    write(path, *in_use(log))


@attack(CorruptError, "metadata")
def a_slot_whose_metadata_is_a_record(path):
    log = Log()
    at = log.number(1)
    write(path, *in_use(log, metadata=at))


@attack(CorruptError, "")
def a_slot_whose_metadata_is_at_2_to_the_64(path):
    log = Log()
    log.number(1)
    write(path, *in_use(log, metadata=2**64 - 8))


@attack(UnsupportedVersionError, "a frame of the unknown kind 6")
def a_frame_of_a_kind_that_must_not_be_passed_over(path):
    log = Log()
    log.number(1)
    log.frame(6, bytes(24))
    write(path, log)


@attack()
def twenty_thousand_frames_that_are_passed_over(path):
    log, passed = Log(), []
    log.number(1)
    at, word = len(log.data), 32 | hand.SKIPPED << 48 | hand.MARK << 56
    for _ in range(20_000):
        covered = struct.pack("<IQ16x", log.prev, word)
        log.prev = hand.frame_check(hand.ID, covered, at)
        passed.append(struct.pack("<I", log.prev) + covered)
        at += 32
    log.data += b"".join(passed)
    log.number(2)
    write(path, log)


# The index


def _slots():
    wrong = {
        "2 to the 63 rows": {"count": 2**63},
        "rows whose size overflows": {"count": 2**60},
        "rows of no bytes": {"row": 0},
        "rows of 2 to the 32 bytes": {"row": 2**32 - 8},
        "rows at the end of the numbers": {"base": 2**32 - 4096},
        "a last frame at 2 to the 63": {"last": 2**63},
        "a last frame in the header": {"last": 16},
        "2 to the 64 covered": {"covered": 2**64 - 1},
        "an end at 2 to the 64": {"end": 2**64 - 1},
        "an end before what it covers": {"end": 16},
    }
    for name, values in wrong.items():

        def make(path, values=values):
            log = Log()
            log.number(1)
            log.number(2)
            write(path, log, hand.index(log, **values))

        is_too_far = 2**64 - 1 in (values.get("covered"), values.get("end"))
        error = CorruptError if is_too_far else None  # else the list is made again
        ATTACKS[f"an index of {name}"] = make, error, "vouches for", None


_slots()


@attack()
def a_slot_whose_number_is_the_last_there_is(path):
    log = Log()
    log.number(1)
    write(path, log, hand.index(log, seq=2**64 - 1))


@attack()
def a_slot_after_as_many_edits_as_there_are_numbers(path):
    log = Log()
    log.number(1)
    write(path, log, hand.index(log, edits=2**64 - 1))


def _rows_outside():
    for name, offset in {
        "into the header": 16,
        "to the frame that is its own header": 4096 - 24,
        "past the end": 2**40,
        "to 2 to the 64": 2**64 - 8,
        "between two frames": 4096 + 8,
        "to no multiple of 8": 4097,
    }.items():

        def make(path, offset=offset):
            log = Log()
            log.number(1)
            log.number(2)
            write(path, log, hand.index(log, [log.frames[0], (offset, 24, 0)]))

        ATTACKS[f"a row that points {name}"] = make, CorruptError, "row|check", None


_rows_outside()


@attack(CorruptError, "row points outside")
def rows_that_all_point_past_the_end(path):
    log = Log()
    log.number(1)
    log.number(2)
    write(path, log, hand.index(log, [(2**40, 24, 0), (2**41, 24, 0)]))


@attack(CorruptError, "check is wrong")
def rows_that_overlap(path):
    """Two rows of one frame, which attackers can make, and a third that lies half in it, which nobody can."""
    log = Log()
    at = log.number(1)
    write(path, log, hand.index(log, [log.frames[0], (at + 16, 24, 0)]))


@attack()
def the_index_of_another_dataset(path):
    log, other = Log(), Log(id=bytes(16))
    log.number(1)
    other.number(2)
    other.number(3)
    write(path, log, hand.index(other))


def _of_another(path, flags):
    log, other = Log(), Log(id=bytes(16))
    log.number(1)
    other.number(2)
    write(path, log, named=hand.index(other, flags=flags))


@attack(CorruptError, "of another dataset: as it may have been a view, nothing is shown")
def the_index_of_another_dataset_where_a_view_may_be(path):
    _of_another(path, 0)


@attack(StaleViewError, "a view of another dataset")
def the_view_of_another_dataset(path):
    _of_another(path, 1)


@attack(CorruptError, "the view is damaged")
def a_view_of_2_to_the_63_rows(path):
    log = Log()
    log.number(1)
    write(path, log, named=hand.index(log, count=2**63, flags=1))


@attack(CorruptError, "row|check")
def a_view_of_rows_past_the_end(path):
    log = Log()
    log.number(1)
    write(path, log, named=hand.index(log, [(2**40, 24, 0)] * 3, flags=1))


@attack(CorruptError, "row|kind")
def a_row_of_a_commit(path):
    log = Log()
    log.number(1, kind=PENDING)
    at = log.commit()
    place = at, len(log.data) - at, int.from_bytes(log.data[at : at + 4], "little")
    write(path, log, hand.index(log, [place]))


def _rows():
    """Rows with heads that say what no frame in the log says, with a check that is right."""

    def head(kind, size, payload_size, offset):
        word = size | kind << 48 | hand.MARK << 56
        covered = struct.pack("<IQQI4xq", 0, word, payload_size, 0, 7)
        return struct.pack("<I", hand.frame_check(hand.ID, covered, offset)) + covered

    for name, made in {
        "of a payload of 2 to the 63 bytes": lambda at: head(1, 40, 2**63, at),
        "of a frame of 2 to the 48 bytes": lambda at: head(1, 2**48 - 8, 2**48 - 48, at),
        "of a commit": lambda at: head(COMMIT, 40, 0, at),
        "of a revision without a table": lambda at: head(REVISION, 40, NONE, at),
    }.items():

        def make(path, made=made):
            log = Log(TEXT)
            at = log.text("one", 1)
            crafted = made(at)
            check = int.from_bytes(crafted[:4], "little")
            index = hand.index(log, [(at, 48, check)])
            _, of_log = log.last
            whole = index[: -hand.right_row_size(log)]
            write(path, log, whole + hand.long_row(0, (at, 48, check), crafted, of_log))

        ATTACKS[f"a row with the head {name}"] = make, CorruptError, "", None


_rows()


# Payloads


def zstd(size):
    """A frame of zeros, thousands of which take a byte."""
    return zstandard.ZstdCompressor(level=1).compress(bytes(size))


def _list(items):
    sizes = struct.pack(f"<{len(items) + 1}Q", len(items), *map(len, items))
    return sizes + b"".join(item + bytes(-len(item) % 8) for item in items)


def _sound(size, channels=1):
    """A WAV file that claims so many bytes of samples."""
    form = struct.pack("<HHIIHH", 1, channels, 8000, 8000 * channels, channels, 8)
    return (
        b"RIFF"
        + struct.pack("<I", 2**32 - 1)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", size)
        + bytes(64)
    )


def _flac(samples):
    """The beginning of a FLAC file of 44.1 kHz that claims so many samples."""
    form = (
        struct.pack(">HH", 4096, 4096)
        + bytes(6)
        + (44_100 << 44 | 1 << 41 | 15 << 36 | samples).to_bytes(8, "big")
        + bytes(16)
    )
    return b"fLaC" + struct.pack(">I", 1 << 31 | 34) + form + bytes(1000)


def _payloads():
    def array(descr, shape=(), data=b""):
        text = descr if isinstance(descr, bytes) else json.dumps(descr).encode()
        head = struct.pack(f"<II{len(shape)}Q", len(text), len(shape), *shape) + text
        return head + bytes(-len(head) % 8) + data

    wrong = {
        "a free shape larger than its payload": (
            "uint8[*,*]",
            struct.pack("<QQ", 2**40, 2**20) + bytes(8),
        ),
        "a free shape that overflows to the right size": (
            "uint8[*,*]",
            struct.pack("<QQ", 2**63, 2) + bytes(0),
        ),
        "an empty array of 2 to the 63 rows": ("uint8[*,*]", struct.pack("<QQ", 2**63, 0)),
        "a fixed shape larger than its payload": ("float64[100000,100000]", bytes(8)),
        "a list of 2 to the 61 numbers": ("list[float64]", struct.pack("<Q", 2**61)),
        "a list of 2 to the 64 texts": ("list[str]", struct.pack("<Q", 2**64 - 1)),
        "a list whose items are larger than it": ("list[str]", struct.pack("<QQ", 1, 2**63)),
        "a list that says None where there is none": ("list[str]", struct.pack("<QQ", 1, NONE)),
        "an array of objects": ("array", array("|O", (1,), bytes(8))),
        "an array of records with objects": ("array", array([["a", "|O"]], (1,), bytes(8))),
        "an array of 2 to the 40 rows": ("array", array("<f8", (2**40,), bytes(8))),
        "an array of 4 billion dimensions": (
            "array",
            struct.pack("<II", 4, 2**32 - 1) + b'"<f8"'.ljust(16),
        ),
        "an array with a dtype of 4 gigabytes": (
            "array",
            struct.pack("<II", 2**32 - 1, 0) + b'"<f8"'.ljust(16),
        ),
        "an array of 65 dimensions": ("array", array("<f8", (1,) * 65, bytes(8))),
        "an array with a time unit divided by zero": ("array", array("<M8[s/0]", (1,), bytes(8))),
        "an array whose dtype is code": ("array", array("__import__('os')", (1,), bytes(8))),
        "an array of records 10 000 deep": (
            "array",
            array(b'[["a",' * 10_000 + b'"<f8"' + b"]]" * 10_000, (1,), bytes(8)),
        ),
        "an array of records with a subarray of 2 to the 62": (
            "array",
            array([["a", "<f8", [2**62]]], (1,), bytes(8)),
        ),
        "an array of nothing but more of it than there are numbers": (
            "array",
            array("|V0", (2**62, 2**62)),
        ),
        "json nested 100 000 deep": ("json", b"[" * 100_000),
        "json with an integer of a million digits": ("json", b"9" * 1_000_000),
        "json with infinity": ("json", b"Infinity"),
        "a text that is not UTF-8": ("str", b"\xff"),
        "a png that is a FITS file": ("png", b"SIMPLE  =                    T".ljust(2880)),
        "a png that is a TIFF file": ("png", b"II*\0" + bytes(100)),
        "an image that is PostScript": ("image", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        "a jpeg that ends after its signature": ("jpeg", b"\xff\xd8\xff"),
        "a webp of no size": ("webp", b"RIFF\0\0\0\0WEBP"),
        "zstd that claims 2 to the 62 bytes": (
            "zstd(bytes)",
            bytes.fromhex("28b52ffdc0") + struct.pack("<Q", 2**62) + b"\1\0\0",
        ),
        "zstd that is a bomb": ("zstd(bytes)", zstd(2**30)),
        "a list of bombs of zstd": ("list[zstd(bytes)]", _list([zstd(64 * 2**20)] * 1000)),
        "a png of 50 000 by 50 000": ("png", png(50_000, 50_000)),
        "a png of 12 000 by 12 000": ("png", png(12_000, 12_000)),
        "a png of 2 billion by 2 billion": ("png", png(2**31 - 1, 2**31 - 1)),
        "a list of msgpack of 2 to the 32": ("msgpack", b"\xdd\xff\xff\xff\xff"),
        "a map of msgpack of 2 to the 32": ("msgpack", b"\xdf\xff\xff\xff\xff"),
        "a text of msgpack of 2 to the 32 bytes": ("msgpack", b"\xdb\xff\xff\xff\xff"),
        "msgpack nested 100 000 deep": ("msgpack", b"\x91" * 100_000),
        "msgpack whose keys are lists": ("msgpack", b"\x81\x91\x01\x01"),
        "a struct whose payload is larger than it": (
            "{a:str}",
            struct.pack("<Q", 2**63) + bytes(8),
        ),
        "a struct whose payloads' sizes add up to 2 to the 64": (
            "{a:str,b:str}",
            struct.pack("<QQ", 2**63, 2**63) + bytes(8),
        ),
        "a list of structs of lists of different lengths": (
            "list[{a:int8,b:int8}]",
            struct.pack("<QQ", 9, 10)
            + struct.pack("<Q8s", 1, b"\1")
            + struct.pack("<Q8s", 2, b"\1\2"),
        ),
        "a list of 2 to the 63 structs": ("list[{a:float64}]", struct.pack("<QQ", 8, 2**63)),
        "audio of days": ("audio", _flac(2**36 - 1)),
        "audio of 65 535 channels": ("audio", _sound(2**31 - 1, channels=65_535)),
        "audio that ends after its signature": ("audio", b"fLaC"),
        "a png whose text chunk is a bomb": (
            "png",
            png(1, 1, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200 * 2**20), 9))),
        ),
    }
    # They begin as such a file does: that they are none, only its decoder can say.
    undecodable = {
        "json nested 100 000 deep",
        "a jpeg that ends after its signature",
        "a png of 12 000 by 12 000",
        "a png of 2 billion by 2 billion",
        "a png of 50 000 by 50 000",
        "a webp of no size",
        "a png whose text chunk is a bomb",
        "audio of 65 535 channels",
        "audio of days",
        "audio that ends after its signature",
    }
    for name, (kind, payload) in wrong.items():
        make = lambda path, kind=kind, payload=payload: write(path, one_payload(kind, payload))  # noqa: E731
        ATTACKS[name] = (
            make,
            DecodeError if name in undecodable else CorruptError,
            "",
            {0: "array"} if kind in ("png", "jpeg", "webp", "image", "audio") else None,
        )


# What is compressed: a budget for a call, not for a payload


BUDGET = "the budget of a call"


def _bombs():
    def numbers(count, width=8):
        return struct.pack("<Q", count) + bytes(width * count)

    column = numbers(60_000_000, 1)
    structs = struct.pack("<Q", len(column)) + column
    bombs = {
        "zstd of eight million empty structs": ("zstd(list[{a:str}?])", numbers(8 * 2**20 - 1)),
        "zstd of sixty million structs of a byte": ("zstd(list[{a:int8}])", structs),
        "zstd of a map of millions of empty keys": (
            "zstd(map[list[str]])",
            struct.pack("<QQ", 32 * 2**20, 32 * 2**20 - 16)
            + numbers(2**22 - 1)
            + numbers(2**22 - 3),
        ),
        "zstd of sixty million numbers": ("zstd(list[int8])", numbers(60_000_000, 1)),
        "zstd of sixty million empty dicts of msgpack": (
            "zstd(msgpack)",
            b"\xdd" + struct.pack(">I", 60_000_000) + b"\x80" * 60_000_000,
        ),
        "zstd of twenty million empty dicts of json": (
            "zstd(json)",
            b"[" + b"{}," * 20_000_000 + b"{}]",
        ),
    }
    for name, (kind, payload) in bombs.items():

        def make(path, kind=kind, payload=payload):
            compressed = zstandard.ZstdCompressor(level=1).compress(payload)
            write(path, one_payload(kind, compressed))

        ATTACKS[name] = make, DecodeError, BUDGET, None


_bombs()


@attack(DecodeError, BUDGET)
def thirty_two_fields_of_zstd(path):
    log = Log(contents(*["zstd(bytes)"] * 32))
    log.record(b"", [zstd(64 * 2**20)] * 32)
    write(path, log)


@attack(DecodeError, BUDGET)
def fourteen_records_of_zstd(path):
    log = Log(contents("zstd(bytes)"))
    for _ in range(14):
        log.record(b"", [zstd(60 * 2**20)])
    write(path, log)


def palette_png(width, height):
    """A whole PNG of one bit a pixel, whose colours are in a palette."""
    row = bytes(1 + width // 8)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(6))
        + chunk(b"IDAT", zlib.compress(row * height, 9))
        + chunk(b"IEND", b"")
    )


@attack(DecodeError, BUDGET, {0: "array"})
def a_png_of_a_palette_of_12_000_by_12_000(path):
    write(path, one_payload("png", palette_png(12_000, 12_000)))


@attack(DecodeError, BUDGET, {0: "array"})
def a_hundred_pngs_of_a_palette(path):
    log = Log(contents("png"))
    image = palette_png(2000, 2000)
    for _ in range(100):
        log.record(b"", [image])
    write(path, log)


def _frames(format, size, count):
    """An image file of frames of one colour each."""
    image = PIL.Image.new("P", size)
    others = [PIL.Image.new("P", size, i % 200 + 1) for i in range(count - 1)]
    file = io.BytesIO()
    image.save(file, format, save_all=True, append_images=others)
    return file.getvalue()


@attack(DecodeError, BUDGET, {0: "array"})
def a_gif_of_many_frames(path):
    write(path, one_payload("image", _frames("GIF", (1000, 1000), 150)))


@attack(DecodeError, BUDGET, {0: "array"})
def a_tiff_of_many_pages(path):
    file = io.BytesIO()
    pages = [PIL.Image.new("1", (4000, 4000)) for _ in range(11)]
    pages[0].save(
        file, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate"
    )
    write(path, one_payload("image", file.getvalue()))


@attack(DecodeError, BUDGET, {0: "array"})
def hours_of_silence(path):
    """Two hours of a FLAC file, of which each second takes some bytes."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 48_000, 1, format="FLAC", subtype="PCM_16") as sound:
        for _ in range(90):
            sound.write(np.zeros(48_000 * 60, np.int16))
    write(path, one_payload("audio", file.getvalue()))


@attack(CorruptError, "again and again")
def a_batch_of_revisions_that_name_one_payload(path):
    log = Log(TEXT)
    kept = log.old(log.text("x" * 2_000_000, 0))
    for n in range(1, 200):
        log.text(kept, n, kind=REVISION)
    log.commit()
    write(path, log)


@attack()
def four_thousand_categories_with_long_names(path):
    names = ",".join(f"{i:0255}" for i in range(4_000))
    log = Log(contents(f"category[{names}]"))
    log.record(struct.pack("<H", 3_999))
    write(path, log)


@attack(CorruptError, "")
def a_sparse_file_of_half_a_gigabyte_of_zeros(path):
    """As one of dsrecords 0.4: it begins with zeros, and its index says that there is a record."""
    with open(path, "wb") as file:
        file.truncate(2**29)
    index = Path(path).with_suffix(".idx")
    index.write_bytes(struct.pack("<QQ", 1, 2**28))


@attack(CorruptError, "")
def a_category_of_a_number_without_a_name(path):
    log = Log(contents("category[a,b]"))
    log.record(struct.pack("<H", 65_535))
    write(path, log)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, more=b""):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + more
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


_payloads()


# What is no regular file


def _special():
    def pipe(path):
        os.mkfifo(path)

    def device(path):
        os.symlink("/dev/zero", path)

    def folder(path):
        os.mkdir(path)

    for name, make in {"a pipe": pipe, "an endless device": device, "a folder": folder}.items():
        ATTACKS[f"{name} for a data file"] = make, OSError, "", None

        def index(path, make=make):
            write(path, Log())
            make(str(Path(path).with_suffix(".idx")))

        ATTACKS[f"{name} for an index"] = index, OSError, "", None


_special()


def use(path, decode):
    """All that one does with a dataset. Returns what each step raised, and the seconds of the longest step."""
    raised, slowest = [], [0.0]

    def step(function):
        started = time.process_time()
        try:
            return function()
        except Exception as error:  # noqa: BLE001  # whatever comes out of it is what is asked
            # Not the error itself: its traceback would keep alive what was read.
            raised.append(
                (
                    isinstance(error, DSRecordsError),
                    isinstance(error, OSError),
                    type(error).__mro__,
                    str(error),
                )
            )
            return None
        finally:
            slowest[0] = max(slowest[0], time.process_time() - started)

    named = os.path.join(os.path.dirname(path), NAMED)
    ds = step(
        lambda: dsrecords.open(
            path, decode=decode, index_path=named if os.path.exists(named) else None
        )
    )
    if ds is not None:
        step(lambda: ds.metadata)
        for field in ds.fields:
            step(lambda field=field: ds.column(field))
        step(lambda: [ds[i] for i in range(len(ds))])
        step(lambda: ds.batch(range(len(ds))))
        step(ds.check)
        step(lambda: dsrecords.open(path, decode=decode, verify=False).batch(slice(None)))
        step(
            lambda: (
                dsrecords.open(path, decode=decode, verify=False, copy=False)[0]
                if len(ds)
                else None
            )
        )
        if len(ds):
            step(lambda: ds.quick_remove_at(0))
        step(ds.flush)
        step(ds.compact)
        step(ds.close)
    step(lambda: dsrecords.repair(path, os.path.join(os.path.dirname(path), "saved.rec")))
    return raised, slowest[0]
