"""Every byte counts: whichever one is flipped, check() says where, and nothing that is read is silently wrong."""

import io
import json
import pickle
import shutil
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from bytes_by_hand import (
    DELETE,
    PENDING,
    REVISION,
    SHORT_ROW,
    SKIPPED,
    TAKE_LAST,
    TEXT,
    Log,
    Old,
    index,
    view,
)
from conftest import IN_FULL, flip, frames
from PIL import Image

import dsrecords
from dsrecords import (
    CorruptError,
    DSRecordsError,
    IndexedRecordDataset,
    UnsupportedVersionError,
    make_dataset,
)
from dsrecords._storage import files

pytestmark = pytest.mark.slow

TYPES = {
    "flag": "bool", "small": "int8?", "half": "float16", "wide": "float64?", "long": "uint64",
    "text": "str", "raw": "bytes?", "tree": "json", "fixed": "int16[2,2]", "free": "float32[*,2]",
    "any": "array", "image": "png", "names": "list[str?]", "numbers": "list[int32?]?",
}  # fmt: skip


def png(i):
    buffer = io.BytesIO()
    Image.new("L", (2, 2), 40 * i).save(buffer, "PNG")
    return buffer.getvalue()


def sample(i):
    """A sample of every kind of field."""
    return {
        "flag": i % 2 == 0, "small": None if i == 1 else -i, "half": i / 4, "wide": None if i == 2 else i / 3,
        "long": 2**64 - 1 - i, "text": f"text {i}", "raw": None if i == 1 else b"raw" * i, "tree": {"i": [i, None]},
        "fixed": np.full((2, 2), i, np.int16), "free": np.full((i, 2), i, np.float32), "any": np.arange(i, dtype=np.int64),
        "image": png(i), "names": ["a", None, "b" * i], "numbers": None if i == 0 else [i, None],
    }  # fmt: skip


def plain(value):
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return (
        (value.dtype.str, value.shape, value.tolist()) if isinstance(value, np.ndarray) else value
    )


COUNT = 4
STEP = 1 if IN_FULL else 3  # bytes of what matters
WANTED = [plain(sample(i)) for i in range(COUNT)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A dataset with frames of every kind, of `WANTED`; its index has been published twice in place."""
    path = str(tmp_path_factory.mktemp("check") / "data.rec")
    make_dataset([sample(0), sample(3)], path, TYPES)
    with dsrecords.open(path) as ds:
        ds[1] = sample(1)  # pending record and commit
        ds.append({**sample(2), "long": 0, "text": "another text"})
        ds[2, "text"] = "text 2"  # revisions
        ds[2, "long"] = sample(2)["long"]
        ds.append(sample(0))
        del ds[3]
        ds.set_metadata({"a": 1})
        ds.flush()
        ds.append(sample(3))
        ds.flush()
    assert {frame.kind for frame in frames(path)} == {1, 2, 3, 4, 5}
    return path


@pytest.fixture
def copy(original, path):
    shutil.copy(original, path)
    shutil.copy(Path(original).with_suffix(".idx"), Path(path).with_suffix(".idx"))
    return path


def read(path):
    """All that can be read, sample by sample and column by column: each right, or an error of ours. The errors of the samples.

    Raises what opening raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        one, all_ = (dsrecords.open(path, decode={"image": "bytes"}) for _ in range(2))
    errors = []
    assert len(one) == COUNT
    for i in range(COUNT):
        try:
            assert plain(one[i]) == WANTED[i]
        except DSRecordsError as error:
            errors.append(error)
    for name in TYPES:
        try:
            column = all_.column(name)
        except DSRecordsError as error:
            assert errors, f"only the column says: {error}"
        else:
            column = column.tolist() if isinstance(column, np.ma.MaskedArray) else column
            wanted = [value[name] for value in WANTED]
            if isinstance(column, np.ndarray):
                assert [plain(v) if v.ndim else v.item() for v in column] == wanted
            else:
                assert [plain(value) for value in column] == wanted
    return errors


def checked(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return dsrecords.open(path).check()


def header_of(path):
    data = Path(path).read_bytes()
    return json.loads(data[40 : 40 + struct.unpack_from("<I", data, 20)[0]])


def base_of(path):
    """Where the rows of the index begin."""
    return 8192 + struct.unpack_from("<I", Path(path).read_bytes(), 16)[0]


def row_size(path):
    """The size of a row that has a head."""
    return 8 + header_of(path)["head"]


def layout(path):
    """Which bytes of the log are what: (first, last + 1, record or None, field or None, offset that an error names)."""
    data, index, parts = Path(path).read_bytes(), Path(path).with_suffix(".idx").read_bytes(), []
    header = header_of(path)
    payloads = [field["name"] for field in header["fields"] if "payload" in field]
    count = len(payloads)
    rows = [base_of(path) + row_size(path) * i for i in range(COUNT)]
    records = {struct.unpack_from("<Q", index, at)[0]: i for i, at in enumerate(rows)}
    kept = {}  # which record keeps a payload of another frame
    for frame in reversed(frames(path)):
        record, at = records.get(frame.offset), frame.offset + header["head"]
        if frame.kind in (3, 5):
            parts.append((frame.offset, frame.offset + frame.size, None, None, frame.offset))
            continue
        parts.append((frame.offset, at, record, None, frame.offset))
        sizes = struct.unpack_from(f"<{count}Q", data, frame.offset + 16)
        if frame.kind == 4:
            parts.append((at, at + 8 * count + 8, record, None, at))
            offsets = struct.unpack_from(f"<{count}Q", data, at)
            at += 8 * count + 8
            if record is not None:
                kept |= dict.fromkeys(offsets, record)
            sizes = [
                size if start >= at else 2**64 - 1
                for start, size in zip(offsets, sizes, strict=True)
            ]
        for name, size in zip(payloads, sizes, strict=True):
            if size != 2**64 - 1:
                parts.append((at, at + size, kept.get(at, record), name, at))
                at += (size + 7) & -8
    return parts


def test_of_an_undamaged_dataset_check_finds_nothing(copy):
    assert checked(copy) == []
    assert read(copy) == []
    assert [
        plain(value) for value in IndexedRecordDataset(copy, decode={"image": "bytes"})
    ] == WANTED


@pytest.mark.long
@pytest.mark.exhaustive
def test_check_names_record_field_and_offset_of_bytes_of_every_part_of_the_log(copy):
    whole = bytearray(Path(copy).read_bytes())
    parts = layout(copy)
    assert {part[3] for part in parts} >= {
        "text",
        "raw",
        "tree",
        "fixed",
        "free",
        "any",
        "image",
        "names",
        "numbers",
    }
    for first, end, record, field, offset in parts:
        for at in {*range(first, end, 1 if IN_FULL else 7), *range(end - 1, end)[: end - first]}:
            whole[at] ^= 1 << at % 8
            Path(copy).write_bytes(whole)
            try:
                problems = checked(copy)
            except (
                CorruptError,
                UnsupportedVersionError,
            ) as error:  # the last frame: the index vouches for it
                problems = [error]
                assert error.offset is not None
            else:
                assert (record, field, offset) in [
                    (p.record, p.field, p.offset) for p in problems
                ], (at, problems)
            assert problems, at
            whole[at] ^= 1 << at % 8
    Path(copy).write_bytes(whole)
    assert checked(copy) == []


@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_whichever_byte_of_the_log_is_flipped_nothing_read_is_wrong(copy, mask):
    whole = bytearray(Path(copy).read_bytes())
    start, found = frames(copy)[0].offset, 0
    step = 1 if IN_FULL else 11 if mask == 0xFF else 23
    for at in range(start, len(whole), step):
        whole[at] ^= mask
        Path(copy).write_bytes(whole)
        try:
            found += len(read(copy))
        except (CorruptError, UnsupportedVersionError):
            found += 1
        whole[at] ^= mask
    assert found > 30


@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_whichever_byte_of_the_index_is_flipped_nothing_read_is_wrong(copy, mask):
    index_path = Path(copy).with_suffix(".idx")
    whole = bytearray(index_path.read_bytes())
    base = base_of(copy)
    slots = [*range(128), *range(4096, 4096 + 128)]
    quiet = [*range(128, 4096), *range(8192, base)][:: 1 if IN_FULL else 200]
    for at in [*slots[::STEP], *quiet, *range(base, len(whole), STEP)]:
        whole[at] ^= mask
        index_path.write_bytes(whole)
        record = (at - base) // row_size(copy) if at >= base else None
        assert {error.record for error in read(copy)} == ({record} if at >= base else set()), at
        whole[at] ^= mask


@pytest.mark.exhaustive
def test_check_names_the_record_of_a_damaged_row_and_the_copy_of_the_header(copy):
    index_path = Path(copy).with_suffix(".idx")
    whole = bytearray(index_path.read_bytes())
    base = base_of(copy)
    for at in [*range(8192, base, 61 * STEP), *range(base, len(whole), STEP)]:
        whole[at] ^= 0x10
        index_path.write_bytes(whole)
        problems = checked(copy)
        if at < base:
            assert [(p.file, p.offset, "header" in p.message) for p in problems] == [
                (str(index_path), 8192, True)
            ], at
        else:
            assert [p.record for p in problems] == [(at - base) // row_size(copy)], at
            assert "index" in str(problems[0])
        whole[at] ^= 0x10
    index_path.write_bytes(whole)
    assert checked(copy) == []


def test_check_finds_all_records_that_are_damaged_not_only_the_first(copy):
    whole = bytearray(Path(copy).read_bytes())
    parts = [part for part in layout(copy) if part[2] is not None and part[3] == "image"]
    for first, *_ in parts:
        whole[first + 1] ^= 4
    Path(copy).write_bytes(whole)
    found = [(p.record, p.field, p.offset) for p in checked(copy)]
    assert sorted(found) == sorted((record, field, offset) for _, _, record, field, offset in parts)
    assert len(found) == COUNT


def test_check_reads_the_file_anew_whatever_has_been_verified_before(copy):
    ds = dsrecords.open(copy, decode={"image": "bytes"})
    assert [plain(value) for value in ds] == WANTED
    first, _, record, field, offset = next(
        part for part in layout(copy) if part[3] == "text" and part[2] is not None
    )
    with open(copy, "r+b") as file:
        file.seek(first)
        file.write(b"T")
    assert [(p.record, p.field, p.offset) for p in ds.check()] == [(record, field, offset)]


@pytest.mark.parametrize("flushed", [False, True])
def test_a_record_that_comes_to_a_verified_position_is_verified_itself(path, flushed):
    make_dataset([{"text": text} for text in ("first", "second", "third")], path, {"text": "str"})
    with dsrecords.open(path) as ds:
        ds.extend([])
        assert [ds[0, "text"], ds[1, "text"]] == [
            "first",
            "second",
        ]  # no view, which an edit would leave with marks of its own
        flip(path, Path(path).read_bytes().index(b"third"), mask=1)  # it is a text still
        ds.quick_remove_at(0)
        if flushed:
            ds.flush()
        for access in (lambda: ds[0], lambda: ds.column("text")):
            with pytest.raises(CorruptError, match="record 0, field 'text'"):
                access()
        assert ds[1] == {"text": "second"}


def test_what_was_verified_once_is_not_looked_at_again_unless_always(copy):
    once, always, never = (
        dsrecords.open(copy, verify=verify) for verify in (True, "always", False)
    )
    for ds in (once, always, never):
        assert ds[0, "text"] == "text 0"
        assert ds.batch([0], ["text"])["text"] == ["text 0"]
    first = next(part[0] for part in layout(copy) if part[2:4] == (0, "text"))
    with open(copy, "r+b") as file:
        file.seek(first)
        file.write(b"T")
    assert once[0, "text"] == never[0, "text"] == "Text 0"
    assert dsrecords.open(copy, verify=False).batch([0], ["text"])["text"] == ["Text 0"]
    for ds in (always, dsrecords.open(copy)):
        with pytest.raises(CorruptError, match="record 0, field 'text'"):
            ds[0, "text"]
        with pytest.raises(CorruptError, match="record 0, field 'text'"):
            ds.batch([0], ["text"])


@pytest.mark.parametrize("verify", [True, "always", False])
def test_without_verification_sizes_and_places_are_still_checked(copy, verify):
    record, index_path = 2, Path(copy).with_suffix(".idx")
    whole = bytearray(index_path.read_bytes())
    head = base_of(copy) + row_size(copy) * record + 8
    struct.pack_into("<Q", whole, head + 16, 2**40)
    index_path.write_bytes(whole)
    ds = dsrecords.open(copy, verify=verify)
    for access in (lambda: ds[record], lambda: ds[record, "text"], lambda: ds.batch([record])):
        with pytest.raises(CorruptError, match=f"record {record}"):
            access()


def test_check_works_beside_a_writer_and_on_what_is_not_flushed(copy):
    with dsrecords.open(copy) as ds:
        ds.append(sample(1))
        del ds[0]
        assert ds.check() == []
        assert dsrecords.open(copy).check() == []
        ds.compact()
        assert ds.check() == []


def test_the_problems_are_returned_and_not_raised_and_can_be_sent_elsewhere(copy):
    first = next(part[0] for part in layout(copy) if part[2:4] == (0, "text"))
    with open(copy, "r+b") as file:
        file.seek(first)
        file.write(b"T")
    problems = checked(copy)
    assert [type(problem) for problem in problems] == [CorruptError]
    assert [str(problem) for problem in pickle.loads(pickle.dumps(problems))] == [
        str(problem) for problem in problems
    ]


def test_each_time_that_a_view_shows_a_damaged_record_is_told_of(copy, tmp_path):
    view = str(tmp_path / "view.idx")
    dsrecords.open(copy)[[2, 1, 2]].save_view(view)
    first = next(part[0] for part in layout(copy) if part[2:4] == (2, "text"))
    flip(copy, first)
    problems = dsrecords.open(copy, index_path=view).check()
    assert [(p.record, p.field, p.offset) for p in problems] == [
        (0, "text", first),
        (2, "text", first),
    ]
    assert {p.message for p in problems} == {"the checksum is wrong"}


def test_an_edit_of_positions_that_are_not_there_is_told_of_though_the_index_covers_it(path):
    log = Log()
    for n in range(3):
        log.number(n)
    edit = log.commit(DELETE, [(5, 6)])
    Path(path).write_bytes(log.data)
    Path(path).with_suffix(".idx").write_bytes(index(log, edits=1))
    problems = dsrecords.open(path).check()
    assert [(p.record, p.offset) for p in problems] == [(None, edit)]
    assert "an edit deletes ranges" in problems[0].message


def test_a_row_of_a_frame_that_is_no_record_is_told_of_where_the_log_is_damaged(path):
    log = Log()
    first = log.number(0)
    commit = log.commit()
    log.number(1)
    no_record = commit, 40, int.from_bytes(log.data[commit : commit + 4], "little")
    Path(path).write_bytes(log.data)
    places = [log.frames[0], no_record, log.frames[1]]
    Path(path).with_suffix(".idx").write_bytes(index(log, places))
    flip(path, first + 20)
    assert [p.record for p in dsrecords.open(path).check()] == [0, 1]


def test_rows_that_all_point_past_the_end_are_told_of_where_the_system_does_not_say_what_is_in_memory(
    made, monkeypatch
):
    index = Path(made).with_suffix(".idx")
    data = bytearray(index.read_bytes())
    for i in range(10):
        struct.pack_into("<Q", data, 12288 + row_size(made) * i, 2**40 + 8 * i)
    index.write_bytes(data)
    monkeypatch.setattr(files, "page_in_memory", lambda window, start: False)
    with pytest.raises(CorruptError, match=r"record 0.*outside of the log"):
        dsrecords.open(made).batch(slice(None))
    assert list(dsrecords.open(made, on_error="skip")) == []


# What version 2 of the format adds


def write(path, log, places=None, **of_slot):
    """Files of a log and of an index that covers it; what `check` finds in them."""
    Path(path).write_bytes(log.data)
    Path(path).with_suffix(".idx").write_bytes(index(log, places, **of_slot))
    return dsrecords.open(path).check()


def test_kinds_that_may_be_skipped_are_no_problem(path):
    log = Log()
    log.number(0)
    log.frame(SKIPPED, bytes(104))
    log.number(1)
    assert write(path, log) == []


def test_a_frame_or_an_edit_of_a_later_version_is_told_of_and_not_raised(path):
    log = Log()
    log.number(0)
    kind = log.frame(77, bytes(8))
    edit = log.commit(9)
    log.number(1)
    problems = write(path, log)
    assert [(type(p), p.record, p.offset) for p in problems] == [
        (UnsupportedVersionError, None, kind)
    ]
    assert "the unknown kind 77" in str(problems[0])
    log = Log()
    edit = log.commit(9)
    log.number(1)
    problems = write(path, log)
    assert [(type(p), p.record, p.offset) for p in problems] == [
        (UnsupportedVersionError, None, edit)
    ]


def test_behind_a_frame_of_a_later_version_records_are_still_verified(path):
    log = Log()
    log.frame(77, bytes(8))
    second = log.number(1)
    write(path, log)
    flip(path, second + 20)
    found = [(type(p), p.record) for p in dsrecords.open(path).check()]
    assert found == [(CorruptError, 0), (UnsupportedVersionError, None)]


def test_a_frame_that_does_not_name_the_one_before_it_is_told_of(path):
    log = Log()
    log.number(0)
    second = log.number(1, prev=5)
    problems = write(path, log)
    assert [(p.record, p.offset) for p in problems] == [(1, second)]
    assert "names another one" in str(problems[0])


@pytest.mark.parametrize("size", [SHORT_ROW, 48])
def test_the_payload_that_a_revision_keeps_is_verified_with_it(path, size):
    log = Log(TEXT)
    first = log.text("a text", 0)
    log.text(log.old(first), 1, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    last = log.frames[1:]
    assert write(path, log, last, row_size=size) == []
    at = log.data.index(b"a text")
    flip(path, at)
    assert [(p.record, p.field, p.offset) for p in dsrecords.open(path).check()] == [
        (0, "text", at)
    ]
    wrong = Log(TEXT)
    wrong.text("a text", 0)
    wrong.text(Old(at, 6, 5), 1, kind=REVISION)  # whole, but not what the revision says
    wrong.commit(TAKE_LAST, [0])
    found = write(path, wrong, wrong.frames[1:], row_size=size)
    assert [(p.record, p.field, p.offset) for p in found] == [(0, "text", at)]


def test_the_padding_of_a_revision_is_looked_at(path):
    log = Log(TEXT)
    log.text("a text", 0)
    log.text("another", 1, kind=REVISION)
    log.commit(TAKE_LAST, [0])
    assert write(path, log, log.frames[1:]) == []
    at = log.data.index(b"another") + len(b"another")
    flip(path, at)
    assert [(p.record, p.offset) for p in dsrecords.open(path).check()] == [(None, at)]


@pytest.mark.parametrize("size", [SHORT_ROW, 48])
def test_a_list_that_stands_for_more_than_its_log_holds_is_told_of_but_a_view_is_not(path, size):
    log = Log(TEXT)
    first = log.text("a text" * 1000, 0)
    for n in range(3):
        log.text(log.old(first), n, kind=REVISION)
    log.commit()
    problems = write(path, log, row_size=size)
    assert [(p.record, p.offset) for p in problems] == [(None, None)]
    assert "again and again" in str(problems[0])
    folder = Path(path).parent
    (folder / "view.idx").write_bytes(view(log, [log.frames[1]] * 50, row_size=size))
    assert dsrecords.open(path, index_path=folder / "view.idx").check() == []


@pytest.mark.parametrize("wrong", [{"edits": 5}, {"metadata": 0}])
def test_a_slot_that_says_other_things_of_the_log_is_told_of_and_mended(path, wrong):
    log = Log()
    log.metadata({"a": 1})
    log.number(0)
    problems = write(path, log, **wrong)
    assert [(p.file, p.offset) for p in problems] == [(str(Path(path).with_suffix(".idx")), 4096)]
    dsrecords.repair(path, in_place=True)
    assert dsrecords.open(path).check() == []
    assert dsrecords.open(path).metadata == {"a": 1}


def test_metadata_that_is_none_is_told_of(path):
    log = Log()
    bad = log.metadata(b"[1]")
    log.number(0)
    problems = write(path, log)
    assert [(p.record, p.offset) for p in problems] == [(None, bad)]
    assert "the metadata: not an object" in str(problems[0])


def test_records_are_found_again_where_a_batch_has_lost_one(path):
    log = Log()
    for n in range(3):
        log.number(n, kind=PENDING)
    log.commit()
    assert write(path, log) == []
    flip(path, log.frames[1].offset + 20)
    assert [p.record for p in dsrecords.open(path).check()] == [1]
