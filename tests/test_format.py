"""The format, version 1, case by case. Each file is written by hand (bytes_by_hand.py), not by the library."""

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
from bytes_by_hand import COMMIT, DELETE, ID, NO_EDIT, NONE, NUMBER, PENDING, RECORD, TAKE_LAST, TEXT, Log, header, index, slot

import dsrecords
from dsrecords import CorruptError, UnsupportedVersionError

PAGE = Path(__file__).parents[1] / "docs" / "records-format.md"


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
    data = (make_golden.GOLDEN / "replace.rec").read_bytes()
    text = PAGE.read_text(encoding="utf-8")
    lines = re.findall(r"^([0-9a-f]{4})    ((?:[0-9a-f]{2} )+)", text, re.MULTILINE)
    shown = bytearray(len(data))  # what the dump leaves out is zero
    for offset, bytes_ in lines:
        piece = bytes.fromhex(bytes_)
        shown[int(offset, 16) : int(offset, 16) + len(piece)] = piece
    assert bytes(shown) == data


def test_every_message_of_the_page_has_a_test_of_its_own():
    table = PAGE.read_text(encoding="utf-8").partition("## What is wrong is called")[2]
    cells = [line.rsplit("|", 2)[1] for line in table.splitlines() if line.startswith("| ")][2:]
    messages = [text.strip("… ") for cell in cells for text in re.findall("`([^`]+)`", cell) if "Error" not in text]
    assert len(messages) > 20
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [message for message in messages if f'"{message}' not in tests] == []


def test_magic_bytes_of_the_page():
    text = PAGE.read_text(encoding="utf-8")
    for magic in (by_hand.MAGIC, by_hand.INDEX_MAGIC):
        assert f"`{magic.hex(' ').upper()}`" in text


def test_crc32_of_the_page():
    assert crc32(b"123456789") == 0xCBF43926
    assert "`crc32(b\"123456789\") = 0xCBF43926`" in PAGE.read_text(encoding="utf-8")


def test_header_of_the_page_has_the_places_that_it_states(tmp_path):
    example = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
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
    example = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
    log = Log(example)
    log.record(bytes(4) + struct.pack("<qfB", -2, 0.5, 1), [make_golden.picture("red.png")])
    assert Path(path).read_bytes()[4096:] == log.data[4096:]


def test_scalars_lie_by_width_then_in_field_order(tmp_path):
    schema = {"a": "bool", "b": "float16", "c": "int8?", "d": "float64", "e": "uint32", "f": "int64", "g": "uint16?", "t": "str"}
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
    assert [tuple(row.values()) for row in dsrecords.open(write(log))] == [("été", 1), (None, 2), ("", 3), ("eight by", 4)]


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
    log.commit(DELETE, [0, 2, 3])
    assert numbers(write(log)) == [2, 5]


def test_delete_may_refer_to_the_records_of_its_own_batch(write):
    log = batch(3, 4, log=counted(1, 2))
    log.commit(DELETE, [1, 2])
    assert numbers(write(log)) == [1, 4]


def test_positions_without_an_edit_have_no_meaning(write):
    log = batch(2, log=counted(1))
    log.commit(NO_EDIT, [7, 0])
    assert numbers(write(log)) == [1, 2]


def test_unknown_frame_kinds_are_skipped(write):
    log = counted(1)
    log.frame(4, b"")
    log.frame(2**32 - 1, b"12345678" * 10)
    log.number(2)
    path = write(log)
    assert numbers(path) == [1, 2]
    assert dsrecords.open(path).check() == []


def test_unknown_frame_kind_at_the_end_is_skipped(write):
    log = counted(1)
    log.frame(9, b"12345678")
    assert numbers(write(log, index(log))) == [1]


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


@pytest.mark.parametrize("wrong", [{"version": 0}, {"version": 2}, {"flags": 1}, {"version": 2, "checksum": 0}])
def test_header_of_another_version_is_unsupported(write, wrong):
    path = write(header(NUMBER, **wrong))
    with pytest.raises(UnsupportedVersionError, match="format version") as caught:
        dsrecords.open(path)
    assert caught.value.file == path


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 4095}, {"size": 2**24 + 4096}, {"size": 2**32 - 4096}, {"json_size": 4057}])
def test_header_of_an_impossible_size_is_corrupt(write, wrong):
    corrupt(write(header(NUMBER, **wrong)), "the header claims", offset=16)


@pytest.mark.parametrize("at", [8, 11, 24, 39, 40, 100, 1000, 4095])
def test_header_with_wrong_checksum_is_corrupt(write, at):
    corrupt(write(flipped(header(NUMBER), at)), "the header's checksum is wrong", offset=8)


def test_header_may_be_longer_than_its_json_needs(write):
    assert numbers(write(Log({**NUMBER, "metadata": {"x": "y" * 5000}}))) == []


@pytest.mark.parametrize("contents", [{**NUMBER, "later": 1}, {"fields": [{**NUMBER["fields"][0], "later": 1}], "head": 24}])
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
    "more than 4096 fields": fields(*({"type": "bool", "at": 16 + i} for i in range(4097)), head=4120),
    "a name for one of two": fields(N, {"type": "int64", "at": 24}, head=32),
    "one name twice": fields(N, {**N, "at": 24}, head=32),
    "an empty name": fields({**N, "name": ""}),
    "a name that is no text": fields({**N, "name": 5}),
    "an unknown type": fields({**N, "type": "int24"}),
    "a type that is no text": fields({**N, "type": 64}),
    "a type with spaces": fields({**N, "type": " int64"}),
    "a type that nests too deep": fields({"type": "list[" * 300 + "int8" + "]" * 300, "payload": 0}, head=32),
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


# The log: damage is not a torn tail


def damaged(write, log, message, offset, **where):
    """With a whole record behind it, the frame at this offset is damage; at the end of the file it is unfinished work."""
    found = numbers(write(log)) if "n" in str(log.data[40:400]) else None
    log.pending = []
    log.record(bytes(len(log.data) and 0) + struct.pack("<q", 99))
    corrupt(write(log), message, offset=offset, **where)
    return found
