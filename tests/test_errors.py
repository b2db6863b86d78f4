"""The errors: a small tree, each also of the built-in kind that fits, each saying where something is wrong."""

import io
import os
import pickle
import struct
import sys
import traceback
import zlib
from pathlib import Path

import bytes_by_hand as hand
import pytest
from conftest import SCHEMA, flip, frames, row, rows
from make_golden import picture

import dsrecords
from dsrecords import (
    CorruptError,
    DSRecordsError,
    IndexedRecordDataset,
    UnsupportedVersionError,
    make_dataset,
)
from dsrecords._types import lists, registered
from dsrecords._types.strings import Str

KINDS = {
    dsrecords.SchemaError: ValueError,
    dsrecords.CorruptError: ValueError,
    dsrecords.DecodeError: ValueError,
    dsrecords.UnsupportedVersionError: ValueError,
    dsrecords.LockedError: BlockingIOError,
    dsrecords.ReadOnlyError: io.UnsupportedOperation,
    dsrecords.RemoteError: OSError,
    dsrecords.ShardError: ValueError,
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


@pytest.mark.parametrize("field", ["label", "it's", 'a "b"', "é\n: x", 3, None])
@pytest.mark.parametrize("file", ["a.rec", "/a, b: c/d.rec", None])
def test_an_error_that_is_raised_anew_from_its_text_still_says_where(field, file):
    """As PyTorch does with what a worker process has raised."""
    one = CorruptError("it: is so", file=file, record=3, field=field, offset=4096)
    try:
        raise one from KeyError("record 9, field 'other': ")
    except CorruptError as error:
        lines = "".join(traceback.format_exception(error))
    anew = CorruptError(f"Caught CorruptError in DataLoader worker process 0.\nOriginal {lines}")
    assert (anew.file, anew.record, anew.field, anew.offset) == (file, 3, field, 4096)
    assert vars(pickle.loads(pickle.dumps(anew))) == vars(anew)


def test_an_error_without_a_record_is_raised_anew_without_one():
    for text in ("Caught in the act", "Caught SchemaError\ndsrecords.errors.SchemaError: no"):
        assert (dsrecords.SchemaError(text).record, str(dsrecords.SchemaError(text))) == (
            None,
            text,
        )


# What functions of the user's raise


class OwnError(Exception):
    """An error of a class of the user's, which takes more than a text."""

    def __init__(self, code, *, why):
        super().__init__(code, why)


def refuse(value):
    raise OwnError(7, why="so")


def noted(use):
    with pytest.raises(OwnError) as caught:
        use()
    assert caught.value.args == (7, "so")
    return caught.value.__notes__


def test_what_writes_a_value_keeps_its_error_which_says_which(path, monkeypatch):
    ds = IndexedRecordDataset(path, schema={"a": "int8", "b": refuse})
    for use in (
        lambda: ds.append({"a": 1, "b": 2}), lambda: ds.extend([{"a": 1, "b": 2}]),
        lambda: ds.extend_columns({"a": [1], "b": [2]}),
    ):  # fmt: skip
        assert noted(use) == ["record 0, field 'b'"]
    monkeypatch.setitem(registered.registry, "own", (refuse, refuse))
    notes = noted(
        lambda: make_dataset([{"x": [{"y": 1}]}], f"{path}.other.rec", {"x": "list[{y: own}]"})
    )
    assert notes[-1] == "record 0, field 'x'"


def test_what_reads_a_value_keeps_its_error_which_says_which(path, monkeypatch):
    monkeypatch.setitem(registered.registry, "own", (str.encode, refuse))
    schema = {"n": "int8", "b": "bytes", "l": "list[own]", "s": "{x: own}"}
    make_dataset([{"n": i, "b": b"", "l": ["a"], "s": {"x": "a"}} for i in (0, 1)], path, schema)
    ds = IndexedRecordDataset(path, {"n": refuse, "b": refuse})
    for field, within in {"n": [], "b": [], "l": ["item 0"], "s": ["'x'"]}.items():
        expected = [*within, f"{path}, record 1, field {field!r}"]
        assert noted(lambda field=field: ds[1, field]) == expected
        assert noted(lambda field=field: ds.batch([1], field)) == expected
    assert noted(lambda: ds[1, "l", 0]) == ["item 0", f"{path}, record 1, field 'l'"]


def test_what_a_transform_raises_says_of_which_record(path):
    make_dataset([{"n": i} for i in range(3)], path, {"n": "int8"})
    ds = dsrecords.open(path, transform=lambda sample: sample["n"] == 2 and refuse(0))
    expected = [f"{path}, record 2, in transform"]
    for use in (
        lambda: ds[2], lambda: ds[-1], lambda: ds[1:][1], lambda: list(ds),
        lambda: ds.__getitems__([2]),
    ):  # fmt: skip
        assert noted(use) == expected


def test_a_file_that_a_value_names_and_is_not_there_says_for_which_field(path):
    with pytest.raises(FileNotFoundError) as caught:
        make_dataset([{"x": ["nowhere.png"]}], path, {"x": "list[png]"})
    assert caught.value.__notes__ == ["item 0", "record 0, field 'x'"]


# Bytes that are right, and cannot be decoded here


@pytest.mark.usefixtures("by_python")
def test_a_lack_of_memory_is_what_it_is_where_nothing_is_decoded(path, monkeypatch):
    def load(self, data, copy):
        raise MemoryError

    make_dataset(
        [{"x": "a", "l": ["a"], "s": {"x": ["a"]}}],
        path,
        {"x": "str", "l": "list[str?]", "s": "{x: list[str]}"},
    )
    monkeypatch.setattr(Str, "load", load)
    monkeypatch.setattr(lists, "_load_strings", lambda *_: None)
    for field in ("x", "l", "s"):
        with pytest.raises(MemoryError) as caught:
            list(dsrecords.open(path, on_error="skip").batch([0], field))
        assert caught.value.__notes__[-1] == f"{path}, record 0, field {field!r}"


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError])
def test_what_cannot_be_decoded_is_not_called_corrupt(path, monkeypatch, error):
    def load(data):
        raise error

    monkeypatch.setitem(registered.registry, "own", (bytes, load))
    make_dataset([{"x": b"a", "l": [{"y": b"a"}]}], path, {"x": "zstd(own)", "l": "list[{y: own}]"})
    ds = dsrecords.open(path)
    for field, within in {"x": "", "l": "'y': item 0: "}.items():
        place = f"record 0, field '{field}', byte .*: {within}"
        with pytest.raises(
            dsrecords.DecodeError, match=f"{place}.*here: {error.__name__}$"
        ) as found:
            ds[0, field]
        assert isinstance(found.value.__cause__, error)


def test_a_package_that_is_missing_is_an_import_error_and_never_left_out(path, monkeypatch):
    make_dataset([{"x": [picture("red.png")]}], path, {"x": "list[image]"})
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    ds = dsrecords.open(path, on_error="skip")
    for use in (lambda: list(ds), lambda: ds.batch([0]), lambda: ds.check(decode=True)):
        with pytest.raises(ImportError, match="pip install pillow"):
            use()


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
