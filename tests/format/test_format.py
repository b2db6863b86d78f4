"""The format, case by case: what is said of each. Each file is written by hand (bytes_by_hand.py), not by the library.

What a reader finds in a file at all is in the suite of tests/golden/ (test_conformance.py).
"""

import json
import os
import re
import struct
import warnings
from pathlib import Path
from zlib import crc32

import bytes_by_hand as by_hand
import make_golden
import pytest
from bytes_by_hand import (
    COMMIT,
    DELETE,
    ID,
    METADATA,
    NO_EDIT,
    NONE,
    NUMBER,
    PENDING,
    RECORD,
    REVISION,
    TAKE_LAST,
    TEXT,
    Log,
    header,
    index,
    slot,
    view,
)
from conftest import python

import dsrecords
from dsrecords import (
    CorruptError,
    DecodeError,
    ReadOnlyError,
    StaleViewError,
    UnsupportedVersionError,
)

PAGE = Path(__file__).parents[2] / "docs" / "records-format.md"
MESSAGES = PAGE.with_name("records-messages.md")


@pytest.fixture
def write(tmp_path):
    """Write a log (and an index) as by-hand.rec; gives the path."""

    def write(log, idx=None):
        path = tmp_path / "by-hand.rec"
        path.write_bytes(log if isinstance(log, bytes) else log.data)
        if idx is not None:
            path.with_suffix(".idx").write_bytes(idx)
        return str(path)

    return write


def numbers(path):
    return dsrecords.open(path).column("n").tolist()


def counted(*values):
    """A log with these numbers, each appended."""
    log = Log()
    for n in values:
        log.number(n)
    return log


def batch(*values, log=None):
    """A log with these numbers as pending records, whose commit is still missing."""
    log = log or Log()
    for n in values:
        log.number(n, PENDING)
    return log


def flipped(data, at, mask=0x01):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def corrupt(path, message, offset=None, **where):
    """What `open` raises on a path: a CorruptError that says this and names the file."""
    with pytest.raises(CorruptError, match=message) as caught:
        dsrecords.open(path)
    found = caught.value
    assert found.file == path
    assert os.path.basename(path) in str(found)
    if offset is not None:
        assert found.offset == offset
    for name, value in where.items():
        assert getattr(found, name) == value
    return found


# What the page says


def test_dump_of_the_page_is_the_golden_file():
    data = (make_golden.GOLDEN / "correct_label.rec").read_bytes()
    text = PAGE.read_text(encoding="utf-8")
    lines = re.findall(r"^([0-9a-f]{4})    ((?:[0-9a-f]{2} )+)", text, re.MULTILINE)
    shown = bytearray(len(data))  # what the dump leaves out is zero
    for offset, bytes_ in lines:
        piece = bytes.fromhex(bytes_)
        shown[int(offset, 16) : int(offset, 16) + len(piece)] = piece
    assert bytes(shown) == data


def test_every_message_of_the_page_has_a_test_of_its_own():
    table = MESSAGES.read_text(encoding="utf-8").partition("## Errors")[2]
    cells = [line.rsplit("|", 2)[1] for line in table.splitlines() if line.startswith("| ")]
    messages = [
        text.strip("… ")
        for cell in cells
        for text in re.findall("`([^`]+)`", cell)
        if "Error" not in text
    ]
    assert len(messages) > 30
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [message for message in messages if f'"{message}' not in tests] == []


def test_magic_bytes_of_the_page():
    text = PAGE.read_text(encoding="utf-8")
    for magic in (by_hand.MAGIC, by_hand.INDEX_MAGIC):
        assert f"`{magic.hex(' ').upper()}`" in text


def test_crc32_of_the_page():
    assert crc32(b"123456789") == 0xCBF43926
    assert '`crc32(b"123456789") = 0xCBF43926`' in PAGE.read_text(encoding="utf-8")


def test_header_of_the_page_has_the_places_that_it_states(tmp_path):
    example = json.loads(
        re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    )
    schema = {field["name"]: field["type"] for field in example["fields"]}
    path, _ = dsrecords.make_dataset([], tmp_path / "example.rec", schema, id=ID)
    data = Path(path).read_bytes()
    assert len(data) == 4096
    size, length = struct.unpack_from("<II", data, 16)
    assert (size, data[24:40]) == (4096, ID)
    assert json.loads(data[40 : 40 + length]) == example
    assert not any(data[40 + length :])
    by_name = {field["name"]: field for field in example["fields"]}
    # One payload: its size at 16, its crc32 at 24; then, at multiples of their width, 8 bytes, 4 bytes, and the presence byte.
    assert by_name["label"]["at"] == 32
    assert (by_name["score"]["at"], by_name["score"]["present"]) == (40, 44)
    assert example["head"] == 48


def test_frame_of_the_page_has_its_values_where_the_header_says(tmp_path):
    schema = {"image": "png", "label": "int64", "score": "float32?"}
    rows = [{"image": make_golden.picture("red.png"), "label": -2, "score": 0.5}]
    path, _ = dsrecords.make_dataset(rows, tmp_path / "example.rec", schema, id=ID)
    example = json.loads(
        re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    )
    log = Log(example)
    log.record(bytes(4) + struct.pack("<qfB", -2, 0.5, 1), [make_golden.picture("red.png")])
    assert Path(path).read_bytes()[4096:] == log.data[4096:]


def test_scalars_lie_by_width_then_in_field_order(tmp_path):
    schema = {
        "a": "bool",
        "b": "float16",
        "c": "int8?",
        "d": "float64",
        "e": "uint32",
        "f": "int64",
        "g": "uint16?",
        "t": "str",
    }
    path, _ = dsrecords.make_dataset([], tmp_path / "widths.rec", schema)
    data = Path(path).read_bytes()
    header = json.loads(data[40 : 40 + int.from_bytes(data[20:24], "little")])
    places = {field["name"]: (field.get("at"), field.get("present")) for field in header["fields"]}
    # One payload, so 28 bytes before them: 8 bytes wide from 32 on, then 4, 2 and 1, then the presence bytes of c and g.
    assert places == {
        "d": (32, None), "f": (40, None), "e": (48, None), "b": (52, None), "g": (54, 59), "a": (56, None), "c": (57, 58),
        "t": (None, None),
    }  # fmt: skip
    assert header["head"] == 64


# Whole files


def test_log_without_an_index_is_read(write):
    assert numbers(write(counted(1, 2, 3))) == [1, 2, 3]


def test_log_with_its_index_is_read(write):
    log = counted(1, 2, 3)
    assert numbers(write(log, index(log))) == [1, 2, 3]


def test_log_is_read_from_where_its_index_ends(write):
    log = counted(1, 2)
    idx = index(log)
    log.number(3)
    assert numbers(write(log, idx)) == [1, 2, 3]


def test_index_is_believed_without_walking_the_log_that_it_covers(write):
    log = counted(1, 2, 3)
    idx = index(log, places=[log.frames[2], log.frames[0]])
    assert numbers(write(log, idx)) == [3, 1]


def test_header_alone_is_an_empty_dataset(write):
    path = write(Log(), index(Log()))
    assert len(dsrecords.open(path)) == 0


def test_texts_and_none(write):
    log = Log({**TEXT, "fields": [{**TEXT["fields"][0], "type": "str?"}, TEXT["fields"][1]]})
    log.text("été", 1)
    log.text(None, 2)
    log.text("", 3)
    log.text("eight by", 4)
    assert [tuple(row.values()) for row in dsrecords.open(write(log))] == [
        ("été", 1),
        (None, 2),
        ("", 3),
        ("eight by", 4),
    ]


def test_batch_is_there_as_a_whole_with_its_commit(write):
    log = batch(2, 3, log=counted(1))
    log.commit()
    assert numbers(write(log)) == [1, 2, 3]


def test_commit_may_have_no_pending_records_and_no_edit(write):
    log = counted(1)
    log.commit()
    assert numbers(write(log)) == [1]


def test_take_last_without_pending_records_removes_and_swaps(write):
    log = counted(1, 2, 3, 4)
    log.commit(TAKE_LAST, [0])
    assert numbers(write(log)) == [4, 2, 3]


def test_take_last_of_the_last_position_only_removes(write):
    log = counted(1, 2, 3)
    log.commit(TAKE_LAST, [2])
    assert numbers(write(log)) == [1, 2]


def test_take_last_of_several_positions_goes_one_by_one(write):
    log = counted(1, 2, 3, 4)
    log.commit(TAKE_LAST, [0, 0, 1])
    assert numbers(write(log)) == [3]


def test_replacement_is_a_pending_record_and_take_last(write):
    log = batch(20, 10, log=counted(1, 2, 3))
    log.commit(TAKE_LAST, [0, 1])
    assert numbers(write(log)) == [10, 20, 3]


def test_delete_keeps_the_order(write):
    log = counted(1, 2, 3, 4, 5)
    log.commit(DELETE, [(0, 1), (2, 4)])
    assert numbers(write(log)) == [2, 5]


def test_delete_may_refer_to_the_records_of_its_own_batch(write):
    log = batch(3, 4, log=counted(1, 2))
    log.commit(DELETE, [(1, 3)])
    assert numbers(write(log)) == [1, 4]


def test_positions_without_an_edit_have_no_meaning(write):
    log = batch(2, log=counted(1))
    log.commit(NO_EDIT, [7, 0])
    assert numbers(write(log)) == [1, 2]


def test_kinds_from_128_on_are_skipped(write):
    log = counted(1)
    log.frame(128, bytes(16))
    log.frame(255, b"12345678" * 10)
    log.number(2)
    path = write(log)
    assert numbers(path) == [1, 2]
    assert dsrecords.open(path).check() == []


def test_kind_that_is_skipped_at_the_end_is_covered_by_an_index(write):
    log = counted(1)
    log.frame(200, bytes(16))
    assert numbers(write(log, index(log))) == [1]


def test_correction_is_a_pending_revision_and_take_last(write):
    log = text_log("a", "b")
    log.text(log.old(log.frames[0].offset), 5, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    for idx in (None, index(log, [log.frames[2], log.frames[1]])):
        ds = dsrecords.open(write(log, idx))
        assert [tuple(row.values()) for row in ds] == [("a", 5), ("b", 1)]
        assert ds.column("n").tolist() == [5, 1]
        assert ds.check() == []


def test_metadata_of_the_log_take_the_place_of_those_before(write):
    log = Log({**NUMBER, "metadata": {"a": 1}})
    log.metadata({"b": 2})
    idx = index(log)
    assert dsrecords.open(write(log, idx)).metadata == {"b": 2}
    log.metadata({"c": 3})
    assert dsrecords.open(write(log, idx)).metadata == {"c": 3}
    assert dsrecords.open(write(log)).metadata == {"c": 3}


def test_frame_of_an_index_that_does_not_know_its_size_is_read(write):
    log = counted(1)
    offset, _, check = log.frames[0]
    assert numbers(write(log, index(log, [(offset, 2**40, check)]))) == [1]


# The header


def test_empty_file_is_corrupt(write):
    corrupt(write(b""), "empty")


def test_file_with_other_magic_bytes_is_not_ours(write):
    corrupt(write(b"PK\3\4" + bytes(5000)), "not a DSRecords file")


def test_zeroed_header_is_not_ours(write):
    corrupt(write(bytes(4096)), "not a DSRecords file")


def test_magic_bytes_that_text_mode_has_damaged_are_not_ours(write):
    corrupt(write(header(NUMBER).replace(b"\r\n", b"\n")), "not a DSRecords file")


@pytest.mark.parametrize("length", [8, 12, 39])
def test_header_cut_within_its_first_40_bytes_is_corrupt(write, length):
    corrupt(write(header(NUMBER)[:length]), "the header is cut short", offset=length)


@pytest.mark.parametrize("length", [40, 200, 4095])
def test_header_cut_before_its_end_is_corrupt(write, length):
    corrupt(write(header(NUMBER)[:length]), "the header is cut short", offset=length)


def unsupported(path, message, offset=None):
    """What `open` raises on a path: an UnsupportedVersionError that says this and names the file."""
    with pytest.raises(UnsupportedVersionError, match=message) as caught:
        dsrecords.open(path)
    found = caught.value
    assert found.file == path
    if offset is not None:
        assert found.offset == offset
    return found


@pytest.mark.parametrize("wrong", [{"version": 1}, {"version": 3}, {"version": 3, "checksum": 0}])
def test_header_of_another_version_is_unsupported(write, wrong):
    unsupported(write(header(NUMBER, **wrong)), "format version", offset=12)


def test_read_flag_that_is_not_known_is_unsupported(write):
    unsupported(write(header(NUMBER, read_flags=1, checksum=0)), "read flags", offset=14)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 4095},
        {"size": 2**24 + 4096},
        {"size": 2**32 - 4096},
        {"json_size": 4057},
    ],
)
def test_header_of_an_impossible_size_is_corrupt(write, wrong):
    corrupt(write(header(NUMBER, **wrong)), "the header claims", offset=16)


@pytest.mark.parametrize("at", [8, 11, 24, 39, 40, 100, 1000, 4095])
def test_header_with_wrong_checksum_is_corrupt(write, at):
    corrupt(write(flipped(header(NUMBER), at)), "the header's checksum is wrong", offset=8)


def test_header_may_be_longer_than_its_json_needs(write):
    assert numbers(write(Log({**NUMBER, "metadata": {"x": "y" * 5000}}))) == []


@pytest.mark.parametrize(
    "contents",
    [{**NUMBER, "later": 1}, {"fields": [{**NUMBER["fields"][0], "later": 1}], "head": 24}],
)
def test_keys_that_a_reader_does_not_know_are_passed_over(write, contents):
    log = Log(contents)
    log.number(5)
    assert numbers(write(log)) == [5]


def test_fields_without_names_are_known_by_position(write):
    log = Log({"fields": [{"type": "int64", "at": 16}], "head": 24})
    log.number(5)
    assert tuple(dsrecords.open(write(log))[0]) == (5,)


def fields(*specs, head=24, **more):
    return {"fields": list(specs), "head": head, **more}


N = NUMBER["fields"][0]
WRONG_JSON = {
    "no JSON": b"fields",
    "nothing": b"",
    "cut short": json.dumps(NUMBER).encode()[:-1],
    "not UTF-8": json.dumps(NUMBER).encode().replace(b'"n"', b'"\xff"'),
    "UTF-16": json.dumps(NUMBER).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(NUMBER).encode(),
    "an encoded surrogate": json.dumps(NUMBER).encode().replace(b'"n"', b'"\xed\xa0\x80"'),
    "NaN": json.dumps({**NUMBER, "x": float("nan")}).encode(),
    "a key twice": b'{"head": 24, ' + json.dumps(NUMBER).encode()[1:],
    "too deep": b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b", " + json.dumps(NUMBER).encode()[1:],
    "not an object": b"[]",
    "no fields": {"head": 24},
    "fields that are no list": {"fields": {}, "head": 24},
    "an empty list of fields": fields(head=16),
    "a field that is no object": fields("int64"),
    "more than 4096 fields": fields(
        *({"type": "bool", "at": 16 + i} for i in range(4097)), head=4120
    ),
    "a name for one of two": fields(N, {"type": "int64", "at": 24}, head=32),
    "one name twice": fields(N, {**N, "at": 24}, head=32),
    "an empty name": fields({**N, "name": ""}),
    "a name that is no text": fields({**N, "name": 5}),
    "a type that is no text": fields({**N, "type": 64}),
    "a type with spaces": fields({**N, "type": " int64"}),
    "no type": fields({"name": "n", "at": 16}),
    "a value elsewhere": fields({**N, "at": 24}, head=32),
    "a value at no integer": fields({**N, "at": 16.0}),
    "no place": fields({"name": "n", "type": "int64"}),
    "another size of the head": fields(N, head=32),
    "no size of the head": {"fields": [N]},
    "a number as a payload": fields({**N, "payload": 0}),
    "another payload": fields({"name": "t", "type": "str", "payload": 1}, head=32),
    "a presence byte without a ?": fields({**N, "present": 24}, head=32),
    "a ? without a presence byte": fields({**N, "type": "int64?"}, head=32),
    "metadata that are no object": {**NUMBER, "metadata": [1]},
}


@pytest.mark.parametrize("case", WRONG_JSON)
def test_json_of_the_header_is_corrupt_if_it_has(write, case):
    corrupt(write(header(WRONG_JSON[case])), "the header's JSON", offset=40)


def test_scalar_of_an_unknown_type_is_unsupported(write):
    path = write(header(fields({**N, "type": "int24"})))
    found = unsupported(path, "the type 'int24' is not known")
    assert found.field == "n"


UNKNOWN_TYPES = {
    "another name": "tensor4d",
    "more levels than there may be": "list[" * 300 + "int8" + "]" * 300,
    "more dimensions than there may be": f"uint8[{'1,' * 100}1]",
}


@pytest.mark.parametrize("case", UNKNOWN_TYPES)
def test_payload_of_an_unknown_type_is_unsupported_when_it_is_asked_for(write, case):
    x = {"name": "x", "type": UNKNOWN_TYPES[case], "payload": 0}
    log = Log(fields(x, {**N, "at": 32}, head=40))
    log.record(bytes(4) + struct.pack("<q", 5), [b"some bytes"])
    ds = dsrecords.open(write(log))
    assert ds[0, "n"] == 5
    assert ds.column("n").tolist() == [5]
    for read in (lambda: ds[0], lambda: ds[0, "x"], lambda: ds.column("x"), lambda: ds.batch([0])):
        with pytest.raises(UnsupportedVersionError, match=r"the type .* is not known") as caught:
            read()
        assert caught.value.field == "x"


def test_write_flag_that_is_not_known_lets_a_file_be_read_and_not_changed(write):
    log = Log(write_flags=2)
    log.number(1)
    path = write(log)
    with dsrecords.open(path) as ds:
        assert ds.column("n").tolist() == [1]
        with pytest.raises(ReadOnlyError, match="write flags"):
            ds.append({"n": 2})
    assert Path(path).read_bytes() == log.data


# The log. Behind the last whole batch there may be unfinished work; with anything whole behind it, it is damage.


def damaged(write, log, message, offset, **where):
    """The frame at this offset is wrong, and a whole record follows."""
    log.pending = []
    log.number(99)
    found = corrupt(write(log), message, offset=offset, **where)
    assert "whole frames follow" in str(found)


TORN = "is missing: the list was made again.*what follows byte .* is not whole"


def torn(path):
    """The numbers of a file whose end is not there, which is told of."""
    with pytest.warns(UserWarning, match=TORN):
        return numbers(path)


def test_unfinished_record_at_the_end_is_not_there(write):
    log = counted(1, 2, 3)
    for length in range(log.frames[2].offset + 1, len(log.data)):
        assert torn(write(log.data[:length])) == [1, 2]


def test_unfinished_batch_at_the_end_is_not_there(write):
    log = counted(1)
    start = len(log.data)
    batch(2, 3, log=log).commit()
    for length in range(start + 4, len(log.data), 4):
        assert torn(write(log.data[:length])) == [1]


def test_pending_records_without_a_commit_at_the_end_are_not_there(write):
    assert torn(write(batch(2, 3, log=counted(1)))) == [1]


def test_zeros_at_the_end_are_not_there(write):
    assert torn(write(counted(1).data + bytes(4096))) == [1]


def test_frames_of_another_dataset_at_the_end_are_not_there(write):
    log, other = counted(1), Log(id=ID[::-1])
    other.number(5)
    other.number(6)
    assert torn(write(log.data + other.data[4096:])) == [1]


def test_payload_of_the_last_record_that_is_damaged_is_not_there(write):
    log = text_log("a", "some text")
    path = write(flipped(log.data, log.frames[1].offset + 40))
    with pytest.warns(UserWarning, match=TORN):
        assert list(dsrecords.open(path)) == [{"text": "a", "n": 0}]


def test_what_is_unfinished_behind_the_end_of_an_index_is_not_told_of(write):
    log = counted(1, 2)
    idx = index(log)
    log.number(3)
    assert numbers(write(log.data[:-3], idx)) == [1, 2]


def test_reader_leaves_what_is_unfinished_alone(write, tmp_path):
    data = counted(1, 2).data[:-3]
    path = write(data)
    assert torn(path) == [1]
    assert Path(path).read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["by-hand.rec"]


def test_writer_cuts_off_what_is_unfinished(write):
    log = counted(1, 2)
    path = write(log.data[:-3])
    with (
        pytest.warns(UserWarning, match=TORN),
        dsrecords.open(path) as ds,
    ):
        ds.append({"n": 7})
    log = counted(1, 7)
    assert Path(path).read_bytes() == log.data


def test_frame_of_kind_0_is_damage(write):
    log = counted(1)
    damaged(write, log, "no frame has kind", log.frame(0, bytes(8)), record=1)


def test_zeros_between_frames_are_damage(write):
    log = counted(1)
    log.data += bytes(64)
    damaged(write, log, "no frame has kind", len(log.data) - 64, record=1)


def test_record_smaller_than_its_head_is_damage(write):
    log = counted(1)
    damaged(write, log, "no frame has kind", log.number(2, size=16), record=1)


def test_commit_smaller_than_its_head_is_damage(write):
    log = counted(1)
    damaged(write, log, "no frame has kind", log.frame(COMMIT, bytes(16)), record=1)


def test_frame_whose_size_is_no_multiple_of_8_is_damage(write):
    log = counted(1)
    damaged(write, log, "no frame has kind", log.number(2, size=25), record=1)


def test_frame_that_claims_more_than_the_file_has_is_damage(write):
    log = counted(1)
    damaged(write, log, "the frame is cut short", log.number(2, size=2**40), record=1)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 16, 20, 23])
def test_flip_in_a_head_is_damage(write, at):
    log = counted(1, 2)
    offset = log.frames[1][0]
    log.data = flipped(log.data, offset + at, 0x80)
    damaged(write, log, "the frame's check is wrong", offset, record=1)


def test_frame_of_another_dataset_is_damage(write):
    log, other = counted(1), Log(id=ID[::-1])
    other.number(1)
    other.number(2)
    log.data += other.data[-24:]
    damaged(write, log, "the frame's check is wrong", len(log.data) - 24, record=1)


def test_frame_at_another_offset_is_damage(write):
    log = counted(1, 2)
    offset = len(log.data)
    log.data += log.data[-24:]
    damaged(write, log, "the frame's check is wrong", offset, record=2)


def test_check_of_a_frame_is_mixed_with_its_offset_divided_by_8():
    first, second = batch(5, 5).frames
    assert first.check ^ second.check == (4096 // 8) ^ (4120 // 8)


def test_frame_larger_than_its_payloads_is_damage(write):
    log = counted(1)
    damaged(write, log, "a frame of", log.frame(RECORD, bytes(16), covered=24), record=1)


def text_log(*texts):
    log = Log(TEXT)
    for number, text in enumerate(texts):
        log.text(text, number)
    return log


def test_payload_larger_than_its_frame_is_damage(write):
    log = text_log("a")
    offset = log.text("b", 1, sizes=[2**62])
    log.text("c", 2)
    corrupt(write(log), "a frame of", offset=offset, record=1)


def test_payload_flip_in_the_last_batch_before_its_commit_is_damage(write):
    log = text_log("a")
    payload = log.text("some text", 1, kind=PENDING) + 40
    log.commit()
    corrupt(
        write(flipped(log.data, payload)),
        "the checksum is wrong",
        offset=payload,
        record=1,
        field="text",
    )


def test_payload_flip_before_the_last_batch_is_found_when_it_is_read(write):
    log = text_log("a", "some text", "c")
    payload = log.frames[1].offset + 40
    path = write(flipped(log.data, payload))
    assert wrong_when_read(path, "the checksum is wrong").offset == payload
    assert dsrecords.open(path)[2] == {"text": "c", "n": 2}


def without_prev(log):
    return log.number(2, prev=0)


def with_another_commit(log):
    log.number(2, PENDING)
    return log.commit(prev=5)


NO_CHAIN = {
    "record": without_prev,
    "commit": with_another_commit,
    "metadata": lambda log: log.metadata({}, prev=5),
    "a kind that is skipped": lambda log: log.frame(200, bytes(16), prev=5),
}


@pytest.mark.parametrize("case", NO_CHAIN)
def test_frame_that_names_another_one_before_it_is_damage_even_at_the_end(write, case):
    log = counted(1)
    offset = NO_CHAIN[case](log)
    corrupt(write(log), "the frame names another one", offset=offset)


def test_first_frame_that_names_another_header_is_damage(write):
    log = Log()
    offset = log.number(1, prev=0)
    corrupt(write(log), "the frame names another one", offset=offset)


def test_pending_frame_that_names_one_before_it_is_damage_before_its_commit(write):
    log = counted(1)
    offset = log.number(2, PENDING, prev=log.prev)
    log.commit()
    corrupt(write(log), "a pending frame that names a frame before it", offset=offset)


@pytest.mark.parametrize("kind", [6, 127])
def test_kind_below_128_that_is_not_known_is_unsupported(write, kind):
    log = counted(1)
    offset = log.frame(kind, bytes(16))
    log.number(2)
    unsupported(write(log), "a frame of the unknown kind", offset)


WRONG_TABLES = {
    "another checksum": {"table": 0},
    "no zeros": {"zeros": 1},
    "an offset that is no multiple of 8": {"offsets": [4096 + 44]},
    "an offset in the header": {"offsets": [4088]},
    "an offset behind the frame": {"offsets": [2**40]},
    "an offset of no payload": {"offsets": [0]},
    "an old payload that reaches into the frame": {"sizes": [50]},
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_revision_is_damage_with(write, case):
    log = text_log("a")
    table = 40 + log.text(log.old(4096), 5, kind=REVISION, **WRONG_TABLES[case])
    log.commit(TAKE_LAST, [0])
    corrupt(write(log), "the table of a revision", offset=table, record=1)


def test_revision_without_payloads_is_damage(write):
    log = counted(1)
    offset = log.revision(struct.pack("<q", 2))
    log.commit(TAKE_LAST, [0])
    corrupt(write(log), "no frame has kind", offset=offset)


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_table_of_a_revision_that_an_index_covers_is_verified_when_it_is_read(write, case):
    log = text_log("a")
    table = 40 + log.text(log.old(4096), 5, kind=REVISION, **WRONG_TABLES[case])
    log.commit(TAKE_LAST, [0])
    ds = dsrecords.open(write(log, index(log, [log.frames[1]])))
    assert ds[0, "n"] == 5
    with pytest.raises(CorruptError, match="the table of a revision") as caught:
        ds[0, "text"]
    assert (caught.value.record, caught.value.offset) == (0, table)


WRONG_METADATA = {
    "no JSON": {"contents": b"{"},
    "no object": {"contents": b"[1]"},
    "a key twice": {"contents": b'{"a": 1, "a": 2}'},
    "more than their frame": {"contents": {}, "json_size": 100},
}


@pytest.mark.parametrize("case", WRONG_METADATA)
def test_metadata_are_corrupt_if_they_are(write, case):
    log = counted(1)
    offset = log.metadata(**WRONG_METADATA[case])
    with pytest.raises(CorruptError, match="the metadata") as caught:
        dsrecords.open(write(log, index(log))).metadata  # noqa: B018
    assert caught.value.offset == offset


@pytest.mark.parametrize("offset", [8, 4096, 2**40, 2**64 - 8])
def test_metadata_are_corrupt_if_they_are_not_where_the_index_says(write, offset):
    log = counted(1)
    log.metadata({"a": 1})
    ds = dsrecords.open(write(log, index(log, metadata=offset)))
    with pytest.raises(CorruptError, match="the index says that metadata is here") as caught:
        ds.metadata  # noqa: B018
    assert caught.value.offset == offset


def test_payloads_that_many_revisions_share_are_not_copied_without_end(write):
    log = text_log("a text of some length " * 100)
    for n in range(50):
        log.text(log.old(4096), n, kind=REVISION)
    log.commit()
    path = write(log)
    with dsrecords.open(path) as ds:
        assert len({row["text"] for row in ds}) == 1
        with pytest.raises(CorruptError, match="its records would take"):
            ds.compact()
    assert Path(path).read_bytes() == log.data


def test_record_behind_pending_records_without_a_commit_is_damage(write):
    log = batch(2, 3, log=counted(1))
    offset = log.number(4)
    log.pending = []
    log.number(5)
    corrupt(write(log), "the pending records before it have no commit", offset=offset, record=1)


def test_kind_that_is_skipped_between_pending_records_and_their_commit_is_damage(write):
    log = batch(2, log=counted(1))
    offset = log.frame(200, bytes(16))
    log.commit()
    corrupt(write(log), "the pending records before it have no commit", offset=offset, record=1)


@pytest.mark.parametrize(
    "wrong", [{"start": 4096}, {"start": 2**64 - 8}, {"count": 1}, {"count": 3}, {"total": 0}]
)
def test_commit_of_other_records_is_damage(write, wrong):
    log = batch(2, 3, log=counted(1))
    damaged(
        write,
        log,
        "a commit that is not of the pending records before it",
        log.commit(**wrong),
        record=1,
    )


def test_commit_that_claims_pending_records_that_are_missing_is_damage(write):
    log = counted(1)
    damaged(
        write,
        log,
        "a commit that is not of the pending records before it",
        log.commit(start=4096, count=1),
        record=1,
    )


def test_whole_record_that_cannot_be_where_it_is_is_damage_even_at_the_end(write):
    log = batch(2, log=counted(1))
    offset = log.number(3)
    corrupt(write(log), "the pending records before it have no commit", offset=offset)


def test_whole_commit_that_cannot_be_where_it_is_is_damage_even_at_the_end(write):
    log = batch(2, log=counted(1))
    offset = log.commit(count=2)
    corrupt(write(log), "a commit that is not of the pending records before it", offset=offset)


def with_a_large_frame(write, kind, body, size):
    """A record, and a whole frame of a kind: so it is no unfinished write."""
    log, zeros = counted(1), bytes(2**20)
    offset = len(log.data)
    body = struct.pack("<IQ", log.prev, size | kind << 48 | by_hand.MARK << 56) + body
    check, left = crc32(ID + body), size - 4 - len(body)
    while left:
        check, left = crc32(zeros[:left], check), left - len(zeros[:left])
    path = write(log.data + struct.pack("<I", check ^ offset // 8) + body)
    os.truncate(path, offset + size)  # zeros that take no room on the disk
    return path


def test_commit_larger_than_256_mib_is_damage(write):
    body = struct.pack("<QQII", 4120, 0, 0, NO_EDIT)
    path = with_a_large_frame(write, COMMIT, body, 2**28 + 8)
    corrupt(path, "a commit of", offset=4120)


def test_metadata_larger_than_16_mib_are_damage(write):
    path = with_a_large_frame(write, METADATA, struct.pack("<Q", 2**24 - 16), 2**24 + 8)
    corrupt(path, "metadata of", offset=4120)


def test_search_behind_damage_ends_where_a_file_was_made_to_be_slow(write):
    log = counted(1)
    word = 2**19 | COMMIT << 48 | by_hand.MARK << 56
    corrupt(write(log.data + struct.pack("<IIQ", 1, 2, word) * 2**16), "too many beginnings")


def test_unknown_op_is_unsupported_version_error(write):
    log = batch(2, log=counted(1))
    offset = log.commit(op=3)
    unsupported(write(log), "an edit of the unknown kind", offset)


@pytest.mark.parametrize("positions", [[2], [0, 0, 0], [1, 1], [2**63], [2**64 - 1]])
def test_take_last_of_a_position_that_is_not_there_is_corrupt(write, positions):
    log = counted(1, 2)
    offset = log.commit(TAKE_LAST, positions)
    corrupt(write(log), "an edit takes position", offset=offset)


WRONG_RANGES = {
    "that is not there": [(1, 3)],
    "that is empty": [(1, 1)],
    "of no length that there is": [(0, 2**63)],
    "that begins behind the list": [(2**64 - 2, 2**64 - 1)],
    "that lies before the one before it": [(1, 2), (0, 1)],
    "that overlaps another one": [(0, 2), (1, 2)],
    "of which one half is missing": [0],
}


@pytest.mark.parametrize("case", WRONG_RANGES)
def test_delete_is_corrupt_of_a_range(write, case):
    log = counted(1, 2)
    offset = log.commit(DELETE, WRONG_RANGES[case])
    corrupt(write(log), "an edit deletes", offset=offset)


@pytest.mark.parametrize("wrong", [{}, {"last": 16}, {"flags": 2}, {"count": 2**60}])
def test_log_shorter_than_its_index_says_is_corrupt_whether_the_index_is_usable_or_not(
    write, wrong
):
    log = counted(1, 2, 3)
    path = write(log.data[:-24], index(log, **wrong))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = corrupt(path, "the log ends at", offset=len(log.data) - 24)
    assert f"an older copy (then remove {path[:-4]}.idx)" in str(found)


def behind(log, idx_log):
    """An index of an earlier log, whose `end` is that of this one."""
    return index(idx_log, end=len(log.data))


def test_damage_between_covered_and_end_is_no_torn_tail(write):
    log = counted(1, 2, 3)
    idx = behind(log, counted(1))
    assert numbers(write(log, idx)) == [1, 2, 3]
    path = write(flipped(log.data, log.frames[2].offset + 16), idx)
    found = corrupt(path, "the frame's check is wrong", offset=log.frames[2].offset, record=2)
    assert f"its index vouches for the log up to {len(log.data)}" in str(found)
    corrupt(write(log.data[:-24], idx), "the log ends at", offset=len(log.data) - 24)


def test_damage_to_the_last_frame_that_the_index_covers_is_no_torn_tail(write):
    log = counted(1, 2, 3)
    path = write(flipped(log.data, log.frames[2].offset), index(log))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        corrupt(path, "the frame's check is wrong", offset=log.frames[2].offset)


# Records, when they are read


def wrong_when_read(path, message, i=1, key=None, error=CorruptError):
    """The error that reading record i raises, one by one and in a batch; `key`: only this field."""
    ds = dsrecords.open(path)
    with pytest.raises(error, match=message) as caught:
        ds[i] if key is None else ds[i, key]
    with pytest.raises(error, match=message) as again:
        dsrecords.open(path).batch([0, i] if i else [i], None if key is None else [key])
    found, again = caught.value, again.value
    assert (found.file, found.record, found.offset, found.field) == (
        again.file,
        again.record,
        again.offset,
        again.field,
    )
    assert (found.file, found.record) == (path, i)
    return found


@pytest.mark.parametrize("at", [0, 4, 8, 16, 24, 32, 39])
def test_head_flip_names_record_and_offset(write, at):
    log = text_log("a", "some text", "c")
    offset = log.frames[1].offset
    path = write(flipped(log.data, offset + at), index(log, row_size=16))
    assert wrong_when_read(path, "the frame's check is wrong").offset == offset
    assert wrong_when_read(path, "the frame's check is wrong", key="n").offset == offset
    assert dsrecords.open(path)[2] == {"text": "c", "n": 2}


@pytest.mark.parametrize("at", [0, 4, 8, 16, 24, 32, 39])
def test_head_flip_does_no_harm_where_the_row_holds_the_head(write, at):
    log = text_log("a", "some text", "c")
    path = write(flipped(log.data, log.frames[1].offset + at), index(log))
    assert dsrecords.open(path)[1] == {"text": "some text", "n": 1}
    assert dsrecords.open(path).column("n").tolist() == [0, 1, 2]
    assert [problem.record for problem in dsrecords.open(path).check()] == [1]


@pytest.mark.parametrize("at", [8, 11, 12, 20, 30, 40, 47])
def test_flip_in_the_head_of_a_row_is_corrupt(write, at):
    log = text_log("a", "some text", "c")
    path = write(log, flipped(index(log), 12288 + 48 + at))
    wrong_when_read(path, "the index's row is damaged")
    assert dsrecords.open(path)[2] == {"text": "c", "n": 2}


def test_row_of_an_older_index_of_the_same_dataset_is_corrupt(write):
    log = text_log("a", "b")
    older = index(log)
    log.text(log.old(4096), 5, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    newer = index(log, [log.frames[2], log.frames[1]])
    path = write(log, newer[:12288] + older[12288 : 12288 + 48] + newer[12288 + 48 :])
    wrong_when_read(path, "the index's row is damaged", 0)


def test_payload_flip_names_record_field_and_offset(write):
    log = text_log("a", "some text", "c")
    offset = log.frames[1][0] + 40
    path = write(flipped(log.data, offset + 8), index(log))
    found = wrong_when_read(path, "the checksum is wrong")
    assert (found.record, found.field, found.offset) == (1, "text", offset)
    assert str(found) == f"{path}, record 1, field 'text', byte {offset}: the checksum is wrong"


def test_payload_flip_leaves_the_other_fields_readable(write):
    log = text_log("a", "some text", "c")
    ds = dsrecords.open(write(flipped(log.data, log.frames[1][0] + 40), index(log)))
    assert ds[1, "n"] == 1
    assert ds.column("n").tolist() == [0, 1, 2]


def test_flip_in_any_of_100_payloads_is_found(write):
    """There are more payloads than bits to remember in which ones were verified."""
    count = 100
    log = Log(
        {
            "fields": [{"name": f"p{i}", "type": "bytes", "payload": i} for i in range(count)],
            "head": 16 + 12 * count,
        }
    )
    log.record(payloads=[b"12345678"] * count)
    for i in (0, 61, 62, 63, 64, 99):
        path = write(flipped(log.data, log.frames[0][0] + 16 + 12 * count + 8 * i + 7), index(log))
        ds = dsrecords.open(path)
        for name in ("p98", f"p{i}"):
            if name != f"p{i}":
                assert ds[0, name] == b"12345678"
        assert wrong_when_read(path, "the checksum is wrong", 0).field == f"p{i}"
        assert wrong_when_read(path, "the checksum is wrong", 0, f"p{i}").field == f"p{i}"
        with pytest.raises(CorruptError, match="the checksum is wrong"):
            ds[0, f"p{i}"]


def test_padding_is_not_checked(write):
    log = text_log("abc")
    path = write(flipped(log.data, 4096 + 40 + 3), index(log))
    assert dsrecords.open(path)[0, "text"] == "abc"


def test_without_verify_a_flip_is_not_found(write):
    log = text_log("abc")
    ds = dsrecords.open(write(flipped(log.data, 4096 + 40), index(log)), verify=False)
    assert ds[0, "text"] == "`bc"


def test_none_where_the_type_has_no_question_mark_is_corrupt(write):
    log = text_log("a", None)
    found = wrong_when_read(write(log, index(log)), "None, but the type is")
    assert found.field == "text"


def test_text_that_is_not_utf_8_is_corrupt(write):
    log = text_log("a", b"\xff\xfe")
    found = wrong_when_read(write(log, index(log)), "not str")
    assert (found.field, found.offset) == ("text", log.frames[1][0] + 40)


UNREADABLE = {
    "json that is none": ("json", b"{", "not json"),
    "json with NaN": ("json", b"NaN", "not json"),
    "json that is not UTF-8": ("json", b'"\xff"', "not json"),
    "a fixed array too short": ("float32[2]", bytes(4), "float32 with shape"),
    "a fixed array too long": ("float32[2]", bytes(12), "float32 with shape"),
    "a free array without its shape": ("float32[*]", bytes(7), "float32.* takes more than 7 bytes"),
    "a free array too short": ("float32[*]", struct.pack("<Q", 2) + bytes(4), "float32 with shape"),
    "a free array of an absurd shape": (
        "uint8[*,*]",
        struct.pack("<QQ", 2**63, 2) + bytes(8),
        "uint8 with shape",
    ),
    "an empty array of an absurd shape": (
        "uint8[*,*]",
        struct.pack("<QQ", 2**63, 0),
        "uint8 with shape",
    ),
    "an array without its head": ("array", bytes(7), "an array takes more than 7 bytes"),
    "an array of too many dimensions": (
        "array",
        struct.pack("<II", 5, 65) + bytes(600),
        "an array of 65 dimensions",
    ),
    "an array whose dtype is cut short": (
        "array",
        struct.pack("<II", 100, 0) + b'"<f4"',
        "an array of 0 dimensions",
    ),
    "an array of objects": (
        "array",
        by_hand.padded(struct.pack("<II", 4, 0) + b'"|O"') + bytes(8),
        "array|dtype",
    ),
    "an array of an unknown dtype": (
        "array",
        by_hand.padded(struct.pack("<II", 5, 0) + b'"<x4"') + bytes(4),
        "array|dtype",
    ),
    "an array whose dtype is a syntax error": (
        "array",
        by_hand.padded(struct.pack("<II", 3, 0) + b'","'),
        "array|dtype",
    ),
    "an array that takes no bytes but memory": (
        "array",
        by_hand.padded(struct.pack("<IIQ", 5, 1, 2**45) + b'"<U0"'),
        "array|dtype|shape",
    ),
    "a list without its count": ("list[int8]", bytes(7), "a list of"),
    "a list too short": ("list[int16]", struct.pack("<Q", 2) + bytes(3), "a list of 2 int16"),
    "a list of an absurd count": ("list[int64]", struct.pack("<Q", 2**61) + bytes(16), "a list of"),
    "a list of texts of an absurd count": (
        "list[str]",
        struct.pack("<Q", 2**61) + bytes(16),
        "a list of",
    ),
    "a list whose item is too long": (
        "list[str]",
        struct.pack("<QQ", 1, 9) + bytes(8),
        "item 0 of a list claims 9 bytes",
    ),
    "a list whose item is None": ("list[str]", struct.pack("<QQ", 1, NONE), "item 0 of a list"),
    "a list with bytes behind it": (
        "list[str]",
        struct.pack("<QQ", 1, 1) + bytes(16),
        "a list ends at byte",
    ),
    "a list in a list too short": (
        "list[list[int8]]",
        struct.pack("<QQQ", 1, 8, 3),
        "a list of 3 int8",
    ),
    "a struct that is cut short": ("{a:int64,b:str}", bytes(15), "a struct of 16 bytes and more"),
    "a struct whose part is too long": (
        "{b:str}",
        struct.pack("<Q", 9) + bytes(8),
        "'b' of a struct claims 9 bytes",
    ),
    "a struct whose part is None": ("{b:str}", struct.pack("<Q", NONE), "'b' of a struct claims"),
    "a struct with bytes behind it": (
        "{b:str}",
        struct.pack("<Q", 0) + bytes(8),
        "a struct ends at byte 8",
    ),
    "a struct whose category is none": (
        "{c:category[a,b]}",
        b"\2" + bytes(7),
        "a category of 2 names has no number 2",
    ),
    "a table of columns of different lengths": (
        "list[{a:int8,b:int8}]",
        struct.pack("<QQQbQ", 9, 8, 1, 5, 0).replace(b"\5", b"\5" + bytes(7)),
        "whose columns have the lengths",
    ),
    "a table whose column is of an absurd length": (
        "list[{a:float32[2]}]",
        struct.pack("<QQ", 8, 2**61),
        "float32 with shape",
    ),
    "a list of categories that are none": (
        "list[category[a]]",
        struct.pack("<QH", 1, 1),
        "a category of 1 names has no number 1",
    ),
    "zstd that is none": ("zstd(str)", b"text", "not zstd"),
    "zstd that is cut short": ("zstd(str)", bytes.fromhex("28b52ffd2005290000"), "not zstd"),
    "zstd that claims 2^62 bytes": (
        "zstd(str)",
        bytes.fromhex("28b52ffde0") + struct.pack("<Q", 2**62),
        "bytes of zstd claim to be",
    ),
    "zstd of 100,000:1": (
        "zstd(str)",
        bytes.fromhex("28b52ffda0") + struct.pack("<I", 100_000_000) + bytes(1000),
        "bytes of zstd claim to be",
    ),
    "zstd of unknown size": (
        "zstd(str)",
        bytes.fromhex("28b52ffd00580100" + "0061"),
        "bytes of zstd do not state their decompressed size",
    ),
    "zstd of what is not of the type": (
        "zstd(float32[2])",
        bytes.fromhex("28b52ffd2003190000616263"),
        "float32 with shape",
    ),
    "msgpack that is none": ("msgpack", b"\xc1", "not msgpack"),
    "msgpack of an absurd length": ("msgpack", b"\xdd\xff\xff\xff\xff", "not msgpack"),
    "msgpack too deep": ("msgpack", b"\x91" * 100_000, "not msgpack"),
    "a map with a key that stands twice": (
        "map[int8]",
        struct.pack("<2Q 3Q 8s8s Q2b6x", 40, 10, 2, 1, 1, b"a", b"a", 2, 5, 6),
        "keys of a map",
    ),
    "a file without a suffix": (
        "file",
        struct.pack("<2Q8s", 3, 0, b"a/b"),
        "is not a suffix",
    ),
    "audio that is none": ("audio", b"text", "the bytes of no known format, not WAV"),
    "an image of another format": ("png", b"\xff\xd8\xff" + bytes(9), "a JPEG image, not PNG"),
    "an image that is none": ("image", b"GIF7", "the bytes of no known format"),
}


# What the right checksum is of, but no decoder reads.
UNDECODABLE = {
    "json too deep": ("json", b"[" * 100_000, "json that cannot be decoded"),
    "an image that is cut short": ("png", b"\x89PNG\r\n\x1a\n", "cannot read this PNG"),
    "an image in a list that is cut short": (
        "list[png]",
        struct.pack("<QQ", 1, 8) + b"\x89PNG\r\n\x1a\n",
        "item 0: Pillow",
    ),
}


@pytest.mark.parametrize("case", [*UNREADABLE, *UNDECODABLE])
def test_payload_cannot_be_read_if_it_is(write, case):
    kind, payload, message = {**UNREADABLE, **UNDECODABLE}[case]
    expected = DecodeError if case in UNDECODABLE else CorruptError
    log = Log({"fields": [{"name": "x", "type": kind, "payload": 0}], "head": 32})
    log.record(payloads=[payload])
    path = write(log, index(log))
    found = wrong_when_read(path, message, 0, error=expected)
    assert (found.field, found.offset) == ("x", 4128)


def test_array_whose_dtype_numpy_divides_by_zero_for_is_corrupt(write):
    log = Log({"fields": [{"name": "x", "type": "array", "payload": 0}], "head": 32})
    log.record(payloads=[by_hand.padded(struct.pack("<II", 9, 0) + b'"M8[s/0]"')])
    code = "import dsrecords\ntry: dsrecords.open(sys.argv[1])[0]\nexcept dsrecords.CorruptError: print('corrupt')"
    assert python(code, write(log)) == "corrupt\n"  # in a process of its own, which it could end


def test_shape_that_no_memory_holds_is_corrupt(write):
    shaped = {"name": "x", "type": "uint8[4000000000000]", "payload": 0}
    log = Log({"fields": [shaped], "head": 32})
    log.record(payloads=[b"abc"])
    with pytest.raises(CorruptError):
        dsrecords.open(write(log, index(log))).batch([0])


def test_any_byte_but_0_is_true(write):
    log = Log({"fields": [{"type": "bool", "at": 16}], "head": 24})
    log.record(b"\2")
    assert dsrecords.open(write(log))[0] == (True,)


# The index


def rebuilt(path, message, wanted):
    """The list is made again, with a warning that says why; nothing is written."""
    before = Path(path).with_suffix(".idx").read_bytes()
    with pytest.warns(UserWarning, match=f"{message}.*: the list was made again"):
        ds = dsrecords.open(path)
    assert ds.column("n").tolist() == wanted
    assert Path(path).with_suffix(".idx").read_bytes() == before


@pytest.mark.parametrize("idx", [b"", b"\x89DSX", bytes(12288), b"not an index" * 2000])
def test_file_that_is_no_index_is_rebuilt_with_a_warning(write, idx):
    rebuilt(write(counted(1, 2), idx), "is damaged, or no index of ours", [1, 2])


def test_index_of_another_dataset_is_rebuilt_with_a_warning(write):
    log, other = counted(1, 2), Log(id=ID[::-1])
    other.number(5)
    rebuilt(write(log, index(other)), "is of another dataset", [1, 2])


@pytest.mark.parametrize("at", [0, 8, 12, 16, 32, 40, 48, 56, 64, 72, 79, 96, 103, 104, 127])
def test_index_whose_only_slot_is_damaged_is_rebuilt_with_a_warning(write, at):
    log = counted(1, 2)
    rebuilt(write(log, flipped(index(log), 4096 + at)), "is damaged, or no index of ours", [1, 2])


def older_slot(log, salt):
    """Of the first record of a log alone."""
    first = log.frames[0]
    end = first.offset + first.size
    where = {"count": 1, "covered": end, "end": end}
    return slot(seq=6, last=first.offset, check=first.check, salt=salt, **where)


def test_slot_with_the_highest_seq_counts(write):
    log = counted(1, 2)
    older = older_slot(log, salt=log.prev)
    path = write(log, index(log, [log.frames[1], log.frames[0]], seq=7, other_slot=older))
    assert numbers(path) == [2, 1]  # of the older one it would be [1, 2]


def test_older_slot_counts_where_the_newer_one_is_damaged(write):
    log = counted(1, 2)
    older = older_slot(log, salt=log.prev)
    path = write(log, flipped(index(log, seq=7, other_slot=older), 4096 + 40))
    assert numbers(path) == [1, 2]


UNUSABLE = {
    "base elsewhere": {"base": 16384},
    "more rows than there are": {"count": 3},
    "absurdly many rows": {"count": 2**60},
    "another last frame": {"last": 4096},
    "a last frame behind the file": {"last": 2**40},
    "a last frame that no file has": {"last": 2**64 - 8},
    "another check": {"check": 5},
    "a covered that is no frame's end": {"covered": 4136},
    "a covered before the log": {"covered": 0},
    "rows of another size": {"row": 24},
    "rows of an empty log": {"covered": 4096, "last": 0},
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_index_is_not_used_if_its_slot_has(write, case):
    log = counted(1, 2)
    why = "is of a copy that was changed apart from this one, or damaged"
    rebuilt(write(log, index(log, **UNUSABLE[case])), why, [1, 2])


@pytest.mark.parametrize("wrong", [{"version": 3}, {"flags": 2}])
def test_index_of_another_version_is_rebuilt_with_a_warning(write, wrong):
    log = counted(1, 2)
    rebuilt(write(log, index(log, **wrong)), "is of another version of the format", [1, 2])


def test_index_that_cannot_be_opened_is_rebuilt_with_a_warning(write):
    path = write(counted(1, 2))
    Path(path).with_suffix(".idx").mkdir()
    with pytest.warns(UserWarning, match=r"is unreadable .*: the list was made again"):
        assert numbers(path) == [1, 2]


def test_index_of_a_copy_that_was_edited_apart_is_rebuilt_with_a_warning(write):
    one, other = counted(1, 5, 6), counted(2, 5, 6)  # they end alike
    rebuilt(write(one, index(other)), "is of a copy that was changed apart", [1, 5, 6])


@pytest.mark.parametrize("wrong", [{"version": 3}, {"flags": 3}])
def test_view_of_another_version_is_unsupported(write, wrong):
    log = counted(1)
    path = write(log, index(log))
    arguments = named(path, view(log, log.frames, **wrong))
    with pytest.raises(UnsupportedVersionError, match="a view of version") as caught:
        dsrecords.open(path, **arguments)
    assert caught.value.file == str(arguments["index_path"])


def named(path, idx):
    """An index elsewhere, which is named when the dataset is opened."""
    other = Path(path).with_name("named.idx")
    other.write_bytes(idx)
    return {"index_path": other}


def test_view_shows_the_records_of_its_rows(write):
    log = counted(1, 2, 3)
    path = write(log, index(log))
    one, two, three = log.frames
    for frames, wanted in (([three, one], [3, 1]), ([two, two], [2, 2]), ([], [])):
        assert dsrecords.open(path, **named(path, view(log, frames))).column("n").tolist() == wanted


def test_a_view_has_the_bytes_that_the_page_describes(write):
    log = counted(1, 2, 3)
    path = write(log, index(log))
    saved = dsrecords.open(path)[[2, 0]].save_view(Path(path).with_name("saved.idx"))
    assert Path(saved).read_bytes() == view(log, [log.frames[2], log.frames[0]])


def test_view_in_the_place_of_the_index_is_a_view(write):
    log = counted(1, 2, 3)
    assert numbers(write(log, view(log, [log.frames[1]]))) == [2]


def test_what_follows_in_the_log_is_not_added_to_a_view(write):
    log = counted(1, 2)
    idx = view(log, [log.frames[1]])
    log.number(3)
    path = write(log)
    assert dsrecords.open(path, **named(path, idx)).column("n").tolist() == [2]


VIEWS = {  # the frame at `last` would otherwise be right
    "an end before covered": {"end": 4096 + 24},
    "rows that are not there": {"count": 3},
    "another base": {"base": 16_384},
}


@pytest.mark.parametrize("case", VIEWS)
def test_view_that_is_not_usable_is_corrupt(write, case):
    log = counted(1, 2)
    path = write(log, index(log))
    with pytest.raises(CorruptError, match="the view is damaged"):
        dsrecords.open(path, **named(path, view(log, log.frames[:1], **VIEWS[case])))


def test_view_of_another_dataset_is_stale(write):
    log = counted(1, 2)
    path = write(log, index(log))
    with pytest.raises(StaleViewError, match="a view of another dataset"):
        dsrecords.open(path, **named(path, view(log, log.frames[:1], id=bytes(16))))


def test_view_of_a_copy_that_was_edited_apart_is_stale(write):
    one, other = counted(1, 5), counted(2, 5)
    path = write(one, index(one))
    with pytest.raises(StaleViewError, match=r"a view of a copy of .* that was changed apart"):
        dsrecords.open(path, **named(path, view(other, other.frames[:1])))


def test_view_of_records_that_were_edited_since_warns(write):
    log = counted(1, 2)
    idx = view(log, log.frames[:1])
    log.commit(DELETE, [(0, 1)])
    path = write(log)
    with pytest.warns(UserWarning, match="was edited once"):
        assert dsrecords.open(path, **named(path, idx)).column("n").tolist() == [1]


@pytest.mark.parametrize("idx", [b"", b"\x89DSX", bytes(12288), b"not an index" * 2000])
def test_named_file_that_is_no_index_is_corrupt(write, idx):
    path = write(counted(1, 2))
    with pytest.raises(CorruptError, match="damaged, or no index of ours"):
        dsrecords.open(path, **named(path, idx))


def test_named_index_of_another_dataset_is_corrupt(write):
    log = counted(1, 2)
    path = write(log)
    with pytest.raises(CorruptError, match="the index of another dataset: as it may have"):
        dsrecords.open(path, **named(path, index(log, id=bytes(16))))


@pytest.mark.parametrize("wrong", [{"version": 3}, {"flags": 2}])
def test_named_index_of_another_version_is_unsupported(write, wrong):
    log = counted(1, 2)
    path = write(log)
    with pytest.raises(UnsupportedVersionError, match="an index of version"):
        dsrecords.open(path, **named(path, index(log, **wrong)))


@pytest.mark.parametrize("offset", [0, 4088, 4100, 2**40, 2**64 - 8])
def test_row_that_points_outside_of_the_log_is_corrupt(write, offset):
    log = counted(1, 2)
    path = write(log, index(log, [log.frames[0], (offset, 24, log.frames[1][2])]))
    wrong_when_read(path, "the index's row points outside of the log")


def test_rows_that_changed_places_are_corrupt(write):
    log = counted(1, 2)
    idx = index(log)
    path = write(log, idx[:12288] + idx[12304:] + idx[12288:12304])
    wrong_when_read(path, "the index's row is of another record", 0)


def test_row_of_a_frame_that_ends_behind_the_log_is_corrupt(write):
    log, other = text_log("a"), text_log("a text that is longer than the other one")
    row = index(other, salt=log.prev)[12288:]
    wrong_when_read(write(log, index(log)[:12288] + row), "the frame reaches beyond the log", 0)


@pytest.mark.parametrize("at", [12, 13, 14, 15])
def test_flip_in_the_check_of_a_row_is_corrupt(write, at):
    log = counted(1, 2)
    wrong_when_read(
        write(log, flipped(index(log), 12304 + at)), "the index's row is of another record"
    )


def test_flip_in_the_size_of_a_row_is_corrupt(write):
    log = counted(1, 2)
    path = write(log, flipped(index(log), 12304 + 8))
    wrong_when_read(path, "the index's row is of another record")


@pytest.mark.parametrize("row_size", [16, 48])
def test_row_of_a_commit_is_corrupt(write, row_size):
    log = text_log("a")
    at = log.commit()  # which is as long as a head, so that its check is right
    place = by_hand.Place(at, 40, log.prev)
    path = write(log, index(log, [log.frames[0], place], row_size=row_size))
    wrong_when_read(path, "no record has a frame of kind")


def test_check_finds_what_is_wrong_in_the_copy_of_the_header(write):
    log = counted(1)
    path = write(log, flipped(index(log), 8192 + 50))
    assert [str(problem) for problem in dsrecords.open(path).check()] == [
        f"{path.replace('.rec', '.idx')}, byte 8192: the copy of the header differs"
    ]


@pytest.mark.parametrize("at", range(0, 40 + 16 + 24, 7))
def test_check_finds_every_flip_in_a_frame_that_the_index_covers(write, at):
    log = text_log("abcdefgh", "12345678", "c")
    path = write(flipped(log.data, log.frames[0][0] + at), index(log))
    problems = dsrecords.open(path).check()
    assert [problem.record for problem in problems] == [0 if at < 48 else 1]


# What the library writes


def test_library_writes_what_is_written_by_hand(tmp_path):
    path = tmp_path / "by-library.rec"
    dsrecords.make_dataset([], path, {"text": "str", "n": "int64"}, id=ID)
    log = Log(TEXT)
    with dsrecords.open(path) as ds:
        ds.append({"text": "a", "n": 1})
        log.text("a", 1)
        ds.extend([{"text": "b", "n": 2}, {"text": "eight by", "n": 3}])
        log.text("b", 2, PENDING)
        log.text("eight by", 3, PENDING)
        log.commit()
        ds[1] = {"text": "", "n": 4}
        log.text("", 4, PENDING)
        log.commit(TAKE_LAST, [1])
        ds.update({0: {"text": "x", "n": 5}, 2: {"text": "y", "n": 6}})
        log.text("x", 5, PENDING)
        log.text("y", 6, PENDING)
        log.commit(TAKE_LAST, [2, 0])
        ds.quick_remove_at(0)
        log.commit(TAKE_LAST, [0])
        ds.extend_columns({"text": ["p", "q"], "n": [7, 8]})
        log.text("p", 7, PENDING)
        log.text("q", 8, PENDING)
        log.commit()
        del ds[[3, 0]]
        log.commit(DELETE, [(0, 1), (3, 4)])
        ds[1, "n"] = 9
        seven = log.frames[6]
        log.text(log.old(seven.offset), 9, REVISION)
        log.commit(TAKE_LAST, [1])
        ds[0, "n"] = 10  # whose text is empty, so that no payload stays
        log.text("", 10, PENDING)
        log.commit(TAKE_LAST, [0])
        ds.set_metadata({"a": "é"})
        log.metadata('{"a": "é"}'.encode())
        assert ds.column("n").tolist() == [10, 9]
    assert path.read_bytes() == log.data
    nine, ten = log.frames[8:]
    idx = path.with_suffix(".idx").read_bytes()
    seq = max(int.from_bytes(idx[at + 32 : at + 40], "little") for at in (0, 4096))
    wanted = index(log, [ten, nine], seq=seq)
    assert idx[4096 * (seq % 2) :][:128] == wanted[4096 * (seq % 2) :][:128]
    assert idx[8192:] == wanted[8192:]


def test_slots_alternate_and_rows_are_added(tmp_path):
    path = tmp_path / "slots.rec"
    dsrecords.make_dataset([], path, {"n": "int64"}, id=ID)
    log, idx = Log(), path.with_suffix(".idx")
    salt = log.header_check  # of when the file was written as a whole
    first = max(int.from_bytes(idx.read_bytes()[at + 32 : at + 40], "little") for at in (0, 4096))
    with dsrecords.open(path) as ds:
        for seq in (first + 1, first + 2, first + 3):
            ds.append({"n": seq})
            ds.flush()
            log.number(seq)
            data = idx.read_bytes()
            wanted = index(log, seq=seq, salt=salt)
            assert data[4096 * (seq % 2) :][:128] == wanted[4096 * (seq % 2) :][:128]
            assert data[8192:] == wanted[8192:]
            if seq > first + 1:
                assert int.from_bytes(data[4096 * (1 - seq % 2) + 32 :][:8], "little") == seq - 1


def test_check_in_a_row_is_mixed_with_its_number_and_the_salt():
    place = by_hand.Place(4096, 24, 0x12345678)
    assert by_hand.row(0, place) == struct.pack("<QII", 4096, 3, 0x12345678)
    assert by_hand.row(0, place, salt=5) == struct.pack("<QII", 4096, 3, 0x12345678 ^ 5)
    mixed = 0x12345678 ^ 0x9E3779B1
    assert by_hand.row(1, place) == struct.pack("<QII", 4096, 3, mixed)
    assert by_hand.long_row(1, place, bytes(16)) == struct.pack("<QI12x", 4096, mixed)
    large = place._replace(size=2**36, check=0)
    mixed = 3 * 0x9E3779B1 % 2**32
    assert by_hand.row(3, large) == struct.pack("<QII", 4096, 2**32 - 1, mixed)
