"""The errors: a small tree, each also of the built-in kind that fits, each saying where something is wrong."""

import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import bytes_by_hand as hand
import pytest
from conftest import SCHEMA, flip, frames, row, rows

import dsrecords
from dsrecords import (
    CorruptError,
    DSRecordsError,
    IndexedRecordDataset,
    UnsupportedVersionError,
    make_dataset,
)

KINDS = {
    dsrecords.SchemaError: ValueError,
    dsrecords.CorruptError: ValueError,
    dsrecords.UnsupportedVersionError: ValueError,
    dsrecords.LockedError: BlockingIOError,
    dsrecords.ReadOnlyError: io.UnsupportedOperation,
    dsrecords.StaleViewError: RuntimeError,
}


@pytest.mark.parametrize(("error", "kind"), KINDS.items(), ids=lambda kind: kind.__name__)
def test_each_error_has_the_one_base_and_a_built_in_kind(error, kind):
    assert issubclass(error, DSRecordsError)
    assert issubclass(error, kind)


def test_these_are_all_the_errors():
    public = {getattr(dsrecords, name) for name in dsrecords.__all__ if name.endswith("Error")}
    assert public == {*KINDS, DSRecordsError}


@pytest.mark.parametrize("error", [DSRecordsError, *KINDS], ids=lambda kind: kind.__name__)
def test_an_error_says_file_record_field_and_byte_and_keeps_them_as_attributes(error):
    one = error("it is so", file="a.rec", record=3, field="label", offset=4096)
    assert str(one) == "a.rec, record 3, field 'label', byte 4096: it is so"
    assert (one.message, one.file, one.record, one.field, one.offset) == (
        "it is so",
        "a.rec",
        3,
        "label",
        4096,
    )
    assert str(error("it is so")) == "it is so"
    assert str(error("it is so", record=0, field=0)) == "record 0, field 0: it is so"


@pytest.mark.parametrize("error", [DSRecordsError, *KINDS], ids=lambda kind: kind.__name__)
def test_an_error_comes_back_from_another_process_as_it_was(error):
    one = error("it is so", file="a.rec", record=3, field="label", offset=4096)
    copy = pickle.loads(pickle.dumps(one))
    assert type(copy) is error
    assert str(copy) == str(one)
    assert vars(copy) == vars(one)


# Files that are not ours


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\0" * 10_000,
        b"\x89PNG\r\n\x1a\n" + bytes(5000),
        b"\x89DSR\n\x1a\n" + bytes(5000),
    ],
    ids=["empty", "text", "zeros", "png", "after text-mode damage"],
)
def test_a_file_that_is_not_a_dataset_is_corrupt_and_stays_as_it_is(path, content):
    Path(path).write_bytes(content)
    for use in (
        lambda: dsrecords.open(path),
        lambda: IndexedRecordDataset(path, schema=SCHEMA),
        lambda: IndexedRecordDataset(path, serializers=list(SCHEMA.values())),
    ):
        with pytest.raises(CorruptError, match=r"data\.rec"):
            use()
    with pytest.raises(FileExistsError):
        IndexedRecordDataset(path, schema=SCHEMA, create=True)
    with pytest.raises(FileExistsError):
        make_dataset(rows(1), path, SCHEMA, overwrite=True)
    assert Path(path).read_bytes() == content


def test_an_index_that_is_not_ours_is_never_written_over(made):
    index = Path(made).with_suffix(".idx")
    index.write_bytes(b"0\t0\n1\t64\n")  # other libraries use the same endings
    with pytest.warns(UserWarning, match=r"data\.idx"):
        ds = dsrecords.open(made)
    assert list(ds) == rows(10)
    with pytest.raises(dsrecords.ReadOnlyError, match=r"data\.idx"):
        ds.append(row(10))
    with pytest.raises(FileExistsError, match=r"data\.idx"):
        make_dataset(rows(1), made, SCHEMA, overwrite=True)
    os.remove(made)
    for create in (None, True):
        with pytest.raises(FileExistsError, match=r"data\.idx"):
            IndexedRecordDataset(made, schema=SCHEMA, create=create)
    assert index.read_bytes() == b"0\t0\n1\t64\n"


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_not_a_regular_file_is_refused_at_once(path, what):
    os.mkdir(path) if what == "folder" else os.mkfifo(path)
    with pytest.raises(OSError, match=r"data\.rec"):
        dsrecords.open(path)
    with pytest.raises(OSError, match=r"data\.rec"):
        IndexedRecordDataset(path, schema=SCHEMA)
    with pytest.raises(OSError, match=r"data\.rec"):
        make_dataset(rows(1), path, SCHEMA, overwrite=True)


def test_a_file_that_may_not_be_written_is_the_systems_error(made):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    os.chmod(made, 0o444)
    ds = dsrecords.open(made)
    with pytest.raises(PermissionError):
        ds.append(row(10))
    assert list(ds) == rows(10)


# Damage to the header of the data file


@pytest.mark.parametrize("cut", [1, 8, 39, 40, 200, 4095])
def test_a_header_that_is_cut_short_is_corrupt(made, cut):
    Path(made).write_bytes(Path(made).read_bytes()[:cut])
    with pytest.raises(CorruptError, match=r"data\.rec"):
        dsrecords.open(made)


def test_a_flipped_byte_of_the_header_is_an_error_wherever_it_is(made):
    raw = bytearray(Path(made).read_bytes())
    size = struct.unpack_from("<I", raw, 16)[0]
    for at in [*range(40), *range(40, 400, 17), *range(400, size, 499)]:
        raw[at] ^= 0x10
        Path(made).write_bytes(raw)
        with pytest.raises((CorruptError, UnsupportedVersionError), match=r"data\.rec"):
            dsrecords.open(made)
        raw[at] ^= 0x10


def rewritten(path, change):
    """Change the header as a program would that computes its checksum anew."""
    raw = bytearray(Path(path).read_bytes())
    size = struct.unpack_from("<I", raw, 16)[0]
    change(raw)
    struct.pack_into("<I", raw, 8, zlib.crc32(raw[12:size]))
    Path(path).write_bytes(raw)


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [(12, 1, "format version 1:"), (12, 3, "format version 3:"), (14, 4, "read flags 0x04")],
)
def test_another_version_is_named_and_neither_read_nor_written(made, at, value, says):
    rewritten(made, lambda raw: struct.pack_into("<B", raw, at, value))
    before = Path(made).read_bytes()
    with pytest.raises(UnsupportedVersionError, match=says):
        dsrecords.open(made)
    with pytest.raises(FileExistsError):
        make_dataset(rows(1), made, SCHEMA)
    assert Path(made).read_bytes() == before


def test_a_dataset_that_only_a_later_version_may_write_to_is_read(path):
    log = hand.Log(hand.TEXT, write_flags=4)
    log.text("one", 1)
    log.text("two", 2)
    Path(path).write_bytes(log.data)
    ds = dsrecords.open(path)
    assert ds.column("text") == ["one", "two"]
    for change in (
        lambda: ds.append(ds[0]), lambda: ds.__delitem__(0), lambda: ds.__setitem__((0, "n"), 1),
        lambda: ds.set_metadata({}), lambda: ds.compact(), lambda: ds.add_field("new", "int8?"),
    ):  # fmt: skip
        with pytest.raises(dsrecords.ReadOnlyError, match="write flags 0x04"):
            change()
    ds.flush()
    ds.close()
    assert Path(path).read_bytes() == log.data
    assert os.listdir(os.path.dirname(path)) == ["data.rec"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"int64"', b'"int32"'),
        (b'"head"', b'"hard"'),
        (b'"text"', b'"blob"'),
        (b'"payload": 0', b'"payload": 1'),
        (b'"fields"', b'"shield"'),
        (b'{"fields"', b'["fields"'),
        (b'"label"', b'"lab\xffl"'),
    ],
)
def test_a_header_whose_json_does_not_hold_together_is_corrupt(made, old, new):
    def change(raw):
        at = raw.index(old)
        raw[at : at + len(old)] = new

    rewritten(made, change)
    with pytest.raises(CorruptError, match="header"):
        dsrecords.open(made)


def test_a_number_of_an_unknown_type_is_of_a_later_version(made):
    def change(raw):
        at = raw.index(b'"int64"')
        raw[at : at + 7] = b'"int99"'

    rewritten(made, change)
    with pytest.raises(UnsupportedVersionError, match="int99"):
        dsrecords.open(made)


@pytest.mark.parametrize("claim", [0, 39, 40, 4095, 8192, 2**31, 2**32 - 4096])
def test_a_header_that_claims_another_size_is_corrupt(made, claim):
    raw = bytearray(Path(made).read_bytes())
    struct.pack_into("<I", raw, 16, claim)
    Path(made).write_bytes(raw)
    with pytest.raises(CorruptError, match="header"):
        dsrecords.open(made)


# Where a record is damaged


def test_a_damaged_payload_names_file_record_field_and_offset(made):
    raw = Path(made).read_bytes()
    at = raw.index(row(7)["text"].encode())
    flip(made, at + 3)
    ds = dsrecords.open(made)
    for read in (
        lambda: ds[7], lambda: ds[7, "text"], lambda: ds[7, ["text"]], lambda: ds.batch([1, 7]), lambda: ds.column("text"),
        lambda: ds[5:][2], lambda: list(ds),
    ):  # fmt: skip
        with pytest.raises(CorruptError) as caught:
            read()
        error = caught.value
        assert (error.file, error.record, error.field, error.offset) == (made, 7, "text", at)
        assert str(error) == f"{made}, record 7, field 'text', byte {at}: the checksum is wrong"


NUMBERS = [{"label": i, "score": i / 2} for i in range(10)]


def with_a_damaged_head(path, where):
    """A dataset of `NUMBERS` whose record 7 has a damaged head; and the offset of its frame.

    The head is in the log, or, where there are payloads, in the row of the index that is read.
    """
    schema = {"label": "int64", "score": "float64"}
    samples = NUMBERS
    if where == "row":
        schema = {**schema, "text": "str"}
        samples = [{**sample, "text": "some"} for sample in NUMBERS]
    make_dataset(samples, path, schema)
    offset = frames(path)[7].offset
    if where == "log":
        flip(path, offset + 20)
    else:
        index = Path(path).with_suffix(".idx")
        size = (len(index.read_bytes()) - 3 * 4096) // 10
        flip(index, 3 * 4096 + 7 * size + 28)
    return samples, offset


@pytest.mark.parametrize("where", ["log", "row"])
def test_a_damaged_head_names_file_record_and_offset(path, where):
    _, offset = with_a_damaged_head(path, where)
    ds = dsrecords.open(path)
    for read in (
        lambda: ds[7],
        lambda: ds[7, "label"],
        lambda: ds.batch([1, 7]),
        lambda: ds.column("label"),
    ):
        with pytest.raises(CorruptError) as caught:
            read()
        error = caught.value
        assert (error.file, error.record, error.offset) == (path, 7, offset)


@pytest.mark.parametrize("where", ["log", "row"])
def test_damage_is_an_error_each_time_and_other_records_are_read(path, where):
    samples, _ = with_a_damaged_head(path, where)
    ds = dsrecords.open(path)
    for _ in range(3):
        with pytest.raises(CorruptError):
            ds[7]
    others = [i for i in range(10) if i != 7]
    assert [ds[i] for i in others] == [samples[i] for i in others]
    assert ds.batch(others)["label"].tolist() == others


def test_without_names_the_field_is_its_position(path):
    make_dataset([(1, "one")], path, ["int64", "str"])
    flip(path, Path(path).read_bytes().index(b"one", 4096))
    with pytest.raises(CorruptError, match="record 0, field 1, byte"):
        dsrecords.open(path)[0]
