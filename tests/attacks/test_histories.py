"""Attacks on the format itself: files that are right by themselves and do not belong together, and the past that a check proves."""

import itertools
import os
import pickle
import random
import shutil
import struct
import zlib
from pathlib import Path

import bytes_by_hand as hand
import numpy as np
import pytest
from bytes_by_hand import NUMBER, Log

import dsrecords
from dsrecords import CorruptError, DSRecordsError, StaleViewError
from dsrecords._format import index as index_file
from dsrecords._format.log import LogScanner
from dsrecords._storage.local import LocalStorage

# Rows of 16 bytes, and rows with heads.
SCHEMAS = ({"y": "int64"}, {"text": "str", "y": "int64"})
EDITS = {
    "delete the first": lambda ds: ds.__delitem__(0),
    "delete the third": lambda ds: ds.__delitem__(2),
    "delete two": lambda ds: ds.__delitem__(slice(1, 3)),
    "take the last": lambda ds: ds.quick_remove_at(1),
    "replace": lambda ds: ds.__setitem__(1, {**ds[1], "y": 100}),
    "correct a field": lambda ds: ds.__setitem__((1, "y"), 200),
    "append": lambda ds: ds.append({**ds[0], "y": 300}),
    "metadata": lambda ds: ds.set_metadata({"a": 1}),
}


def samples(schema, count):
    return [{key: f"text {i}" if key == "text" else i for key in schema} for i in range(count)]


def make(path, schema, count=6, **options):
    dsrecords.make_dataset(samples(schema, count), path, schema, **options)
    return Path(path)


def copied(path, name):
    """A copy of both files under another name."""
    other = path.with_name(name)
    shutil.copy(path, other)
    shutil.copy(path.with_suffix(".idx"), other.with_suffix(".idx"))
    return other


def edit(path, *names):
    with dsrecords.open(path) as ds:
        for name in names:
            EDITS[name](ds)


def shown(path, **options):
    """The list and the metadata."""
    ds = dsrecords.open(path, **options)
    return ds.column("y").tolist(), ds.metadata


def truth(path):
    """The same as the log alone tells it."""
    alone = path.with_name("alone.rec")
    shutil.copy(path, alone)
    return shown(alone)


@pytest.mark.exhaustive
@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("last", EDITS)
@pytest.mark.filterwarnings("ignore:.*changed apart")
def test_the_index_of_a_copy_that_was_edited_apart_is_of_no_use(tmp_path, schema, last):
    """Whatever was done to the two, and though both end with the same edit."""
    first = make(tmp_path / "a.rec", schema)
    # Behind two kinds of edits in either order, and two different ones, comes the same last one.
    for mine, its in itertools.permutations(
        ["replace", "delete two", "append", "correct a field"], 2
    ):
        a = copied(first, "one.rec")
        b = copied(first, "other.rec")
        edit(a, mine, last)
        edit(b, its, last)
        expected = truth(b)
        index_of_a = a.with_suffix(".idx").read_bytes()
        b.with_suffix(".idx").write_bytes(index_of_a)
        try:
            assert shown(b) == expected
        except CorruptError as error:  # of the longer log, whose index vouches for more
            assert "older copy" in str(error)
            assert a.stat().st_size > b.stat().st_size


def test_of_copies_that_ended_with_equal_edits_each_knows_its_own_index(tmp_path):
    """Two deletions each, of other records: the last frames are alike, and the numbers of edits."""
    a = make(tmp_path / "a.rec", {"y": "int64"})
    b = copied(a, "b.rec")
    for path, position in ((a, 1), (b, 4)):
        with dsrecords.open(path) as ds:
            del ds[position]
            del ds[0]
    shutil.copy(b, a)
    with pytest.warns(UserWarning, match="changed apart"):
        assert shown(a) == shown(b)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_views_and_pickles_of_a_copy_that_was_edited_apart_are_stale(tmp_path, schema):
    a = make(tmp_path / "a.rec", schema)
    b = copied(a, "b.rec")
    edit(a, "delete the first", "append")
    edit(b, "delete the third", "append")
    opened = dsrecords.open(a)
    opened[::-1].save_view(tmp_path / "view.idx")
    pickled = [pickle.dumps(each) for each in (opened, opened[1:3])]
    right = shown(tmp_path / "a.rec", index_path=tmp_path / "view.idx")
    assert right[0] == opened.column("y").tolist()[::-1]
    for ending in (".rec", ".idx"):
        shutil.copy(b.with_suffix(ending), a.with_suffix(ending))
    with pytest.raises(StaleViewError, match="changed apart"):
        dsrecords.open(a, index_path=tmp_path / "view.idx")
    for data in pickled:
        with pytest.raises(StaleViewError):
            pickle.loads(data)


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("other", ["a copy edited apart", "another dataset", "the same, shorter"])
def test_a_log_that_is_overwritten_in_place_is_noticed(tmp_path, schema, other):
    """By whoever has it open: the file, its device and inode stay the same."""
    a = make(tmp_path / "a.rec", schema)
    if other == "another dataset":
        b = make(tmp_path / "b.rec", schema, count=9)
    else:
        b = copied(a, "b.rec")
    edit(a, "delete the first", "append")
    if other == "a copy edited apart":
        edit(b, "delete the third", "append")
    reader = dsrecords.open(a)
    assert reader.column("y").tolist() == shown(a)[0]
    view = reader[1:]
    writer = dsrecords.open(a)
    writer.append(samples(schema, 8)[7])
    for ending in (".rec", ".idx"):
        with open(a.with_suffix(ending), "r+b") as file:
            file.write(b.with_suffix(ending).read_bytes())
            file.truncate()
    expected = b.read_bytes()
    with pytest.raises(DSRecordsError, match="overwritten"):
        writer.append(samples(schema, 8)[7])
    with pytest.raises(DSRecordsError):
        writer.flush()
    writer.close()
    assert a.read_bytes() == expected
    with pytest.raises(StaleViewError):
        view.save_view(tmp_path / "view.idx")
    reader.refresh()
    assert reader.column("y").tolist() == shown(b)[0]


def test_two_datasets_of_one_id_and_other_schemas_do_not_share_an_index(tmp_path):
    """The header is what the first frame names: an empty index, too, knows it."""
    for name, schema in (("a", {"y": "int64"}), ("b", {"y": "int32", "z": "int32"})):
        dsrecords.make_dataset([], tmp_path / f"{name}.rec", schema, id=bytes(16))
    shutil.copy(tmp_path / "a.idx", tmp_path / "b.idx")
    with pytest.warns(UserWarning, match="changed apart"):
        assert len(dsrecords.open(tmp_path / "b.rec")) == 0


# Mixtures


def block_mixtures(old, new, block):
    """Files of which some blocks are old and some new, as an interrupted copy in place leaves them."""
    length = max(len(old), len(new))
    old = old.ljust(length, b"\0")
    new = new.ljust(length, b"\0")
    count = -(-length // block)
    chooser = random.Random(block)
    choices = [[k < half for k in range(count)] for half in range(0, count, max(1, count // 6))]
    choices += [[chooser.random() < 0.5 for _ in range(count)] for _ in range(20)]
    for choice in choices:
        parts = []
        for k, is_new in enumerate(choice):
            source = new if is_new else old
            parts.append(source[block * k : block * (k + 1)])
        yield b"".join(parts)


def read_or_refused(path, allowed):
    """Read all records one by one and as a column: what is shown must be one of the lists that there were."""
    try:
        ds = dsrecords.open(path)
        column = ds.column("y").tolist()
        one_by_one = [ds[i, "y"] for i in range(len(ds))]
    except DSRecordsError:
        return False
    assert column == one_by_one
    assert column in allowed
    return True


@pytest.mark.exhaustive
@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("block", [64, 512, 4096])
@pytest.mark.filterwarnings("ignore:.*list was made again")
def test_an_index_that_is_a_mixture_of_an_older_and_a_newer_one_shows_no_list_that_never_was(
    tmp_path, schema, block
):
    """Rows of an older index are of the same dataset and of the same positions: only their salt tells them."""
    path = make(tmp_path / "a.rec", schema, count=600)
    before = path.with_suffix(".idx").read_bytes()
    with dsrecords.open(path) as ds:
        ds.update({i: {"y": -i} for i in range(0, 600, 2)}, partial=True)
    after = path.with_suffix(".idx").read_bytes()
    allowed = [dsrecords.open(path).column("y").tolist()]
    refused = 0
    for mixture in block_mixtures(before, after, block):
        path.with_suffix(".idx").write_bytes(mixture)
        refused += not read_or_refused(path, allowed)
    assert refused > 10


@pytest.mark.long
@pytest.mark.exhaustive
@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("index", ["of the first", "of the second", "of before", "none"])
@pytest.mark.filterwarnings("ignore:.*list was made again")
def test_a_log_that_is_a_mixture_of_two_copies_shows_no_list_that_never_was(
    tmp_path, schema, index
):
    before = make(tmp_path / "before.rec", schema, count=20)
    one = copied(before, "one.rec")
    other = copied(before, "other.rec")
    edit(one, "correct a field", "delete two", "append", "append")
    edit(other, "replace", "append", "delete the first", "append")
    with dsrecords.open(other) as ds:
        ds.extend(samples(schema, 5))
    lists = [shown(path)[0] for path in (before, one, other)]
    # Each change of either one is a list that there was, as is what a torn tail leaves of it.
    allowed = lists + prefixes(one) + prefixes(other)
    indexes = {"of the first": one, "of the second": other, "of before": before}
    mixed = tmp_path / "mixed.rec"
    if index != "none":
        shutil.copy(indexes[index].with_suffix(".idx"), mixed.with_suffix(".idx"))
    for block in (8, 48, 512, 4096):
        for mixture in block_mixtures(one.read_bytes(), other.read_bytes(), block):
            mixed.write_bytes(mixture)
            read_or_refused(mixed, allowed)


def prefixes(path):
    """The lists that a log meant when it ended earlier: at each of its frames."""
    data = path.read_bytes()
    cut = path.with_name("cut.rec")
    lists = []
    at = int.from_bytes(data[16:20], "little")
    while at < len(data):
        at += int.from_bytes(data[at + 8 : at + 14], "little")
        cut.write_bytes(data[:at])
        lists.append(shown(cut)[0])
    return lists


# What a check proves


def test_a_pending_frame_names_no_frame_before_it():
    """If all frames of a batch named it, some batches would prove nothing: the next test says which."""
    log = Log(NUMBER)
    log.number(1, kind=hand.PENDING)
    frame = bytearray(log.data[4096:])
    assert struct.unpack_from("<I", frame, 4) == (0,)


def multiplied(a, b):
    """The product of two polynomials modulo that of CRC-32, as zlib keeps them: the lowest bit is the highest power."""
    product = 0
    for _ in range(32):
        if a & 1 << 31:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (0xEDB88320 if b & 1 else 0)
    return product


ONE = 1 << 31


def power(exponent):
    """X to this power."""
    result = ONE
    square = ONE >> 1
    while exponent:
        if exponent & 1:
            result = multiplied(result, square)
        square = multiplied(square, square)
        exponent >>= 1
    return result


def geometric_sum(ratio, count):
    """1 + ratio + … of `count` terms."""
    total, factor = 0, ONE
    step_total, step = ONE, ratio
    while count:
        if count & 1:
            total = total ^ multiplied(factor, step_total)
            factor = multiplied(factor, step)
        step_total = step_total ^ multiplied(step_total, step)
        step = multiplied(step, step)
        count >>= 1
    return total


def test_a_batch_whose_frames_all_named_their_past_could_forget_it():
    """The change of a commit's check with `prev` cancels for heads of 320 bytes and 7,829,229 frames; with ours it never does.

    A frame's check changes with its prev by prev · x^(8 · bytes behind the prev + 32); those of n frames go into the crc of the
    checks, 4 bytes each, which goes into the commit's.
    """
    count, head = 7_829_229, 320
    through_own_prev = power(8 * (40 - 8) + 32)
    in_frame = power(8 * (head - 8) + 32)
    in_crc_of_checks = multiplied(geometric_sum(power(32), count), power(32))
    behind_the_crc = power(8 * (40 - 36) + 32)
    through_frames = multiplied(multiplied(in_frame, in_crc_of_checks), behind_the_crc)
    assert through_own_prev ^ through_frames == 0
    assert through_own_prev != 0
    # The same with numbers, for a small batch: a frame's check changes just so.
    frame = bytes(range(4, 40))
    changed = bytes(a ^ b for a, b in zip(frame, b"\x05\0\0\0".ljust(36, b"\0")))
    predicted = multiplied(5, power(8 * (len(frame) - 4) + 32))
    assert zlib.crc32(frame) ^ zlib.crc32(changed) == predicted


@pytest.mark.parametrize("schema", SCHEMAS)
def test_whatever_differs_in_the_past_the_last_check_differs(tmp_path, schema):
    """All orders of four edits, and the same append behind each: no two logs of one length end alike."""
    first = make(tmp_path / "a.rec", schema)
    ends = {}
    orders = itertools.permutations(
        ["replace", "correct a field", "delete the first", "delete two"]
    )
    for number, names in enumerate(orders):
        path = copied(first, f"{number}.rec")
        edit(path, *names, "append")
        ds = dsrecords.open(path)
        check = ds._reading.snapshot().mark.check
        ends.setdefault(check, set()).add(path.read_bytes())
    assert all(len(logs) == 1 for logs in ends.values())
    assert len(ends) == 24


# Costs that were attacks


def test_an_index_is_made_again_without_reading_payloads(tmp_path, monkeypatch):
    """But for those of the last batch, which alone can be torn."""
    path = tmp_path / "a.rec"
    dsrecords.make_dataset(
        ({"x": bytes(300_000), "y": i} for i in range(100)), path, {"x": "bytes", "y": "int64"}
    )
    with dsrecords.open(path) as ds:
        ds.append({"x": b"last", "y": 100})
    os.remove(path.with_suffix(".idx"))
    read = []
    real = LocalStorage.read

    def counted(self, offset, length):
        data = real(self, offset, length)
        read.append(len(data))
        return data

    monkeypatch.setattr(LocalStorage, "read", counted)
    assert len(dsrecords.open(path)) == 101
    assert sum(read) < 3_000_000


@pytest.mark.parametrize("dtype", ["int64", "uint16", "uint8"])
def test_ordinary_payloads_do_not_look_like_frames(tmp_path, dtype, monkeypatch):
    """What follows damage is searched for whole frames; of integers none is worth a checksum."""
    path = tmp_path / "a.rec"
    tokens = np.arange(100_000).astype(dtype)
    dsrecords.make_dataset([{"tokens": tokens}] * 3, path, {"tokens": f"{dtype}[*]"})
    data = bytearray(path.read_bytes())
    data[4096 + 20] ^= 1
    path.write_bytes(data)
    tried = []
    real = LogScanner._verifies

    def counted(self, offset, covered):
        tried.append(covered)
        return real(self, offset, covered)

    monkeypatch.setattr(LogScanner, "_verifies", counted)
    os.remove(path.with_suffix(".idx"))
    with pytest.raises(CorruptError, match="whole frames follow"):
        dsrecords.open(path)
    assert len(tried) < 10


def test_a_deletion_of_many_takes_as_many_bytes_as_one_of_one(tmp_path):
    path = make(tmp_path / "a.rec", {"y": "int64"}, count=5000)
    grown = []
    for key in (0, slice(1, 2000), slice(None, None, -1)):
        with dsrecords.open(path) as ds:
            before = path.stat().st_size
            del ds[key]
            grown.append(path.stat().st_size - before)
    assert grown == [56, 56, 56]
    assert len(dsrecords.open(path)) == 0


def test_wide_heads_are_not_copied_into_the_index(tmp_path):
    """A thousand numbers and a string: the index would be as large as the log."""
    wide = {"text": "str"} | {f"n{i}": "float32" for i in range(1000)}
    narrow = {"text": "str", "n": "float32"}
    for schema, size in ((wide, 16), (narrow, 8 + 32), ({"n": "float32"}, 16)):
        path = tmp_path / f"{len(schema)}.rec"
        dsrecords.make_dataset([], path, schema)
        (slot,) = index_file.read_slots(LocalStorage(str(path.with_suffix(".idx"))))
        assert slot.row == size


def test_an_older_log_beside_its_index_is_an_error_that_names_both_causes(tmp_path):
    """It cannot be told from a log that was cut short."""
    path = make(tmp_path / "a.rec", {"y": "int64"})
    older = path.read_bytes()
    edit(path, "append", "append")
    path.write_bytes(older)
    with pytest.raises(
        CorruptError, match=r"cut short, or it is an older copy \(then remove .*a\.idx\)"
    ):
        dsrecords.open(path)
    os.remove(path.with_suffix(".idx"))
    assert shown(path)[0] == list(range(6))


def test_an_index_larger_than_memory_opens(tmp_path):
    """32 GiB of rows, none of which is there; a file system that has no holes is left out."""
    path = make(tmp_path / "a.rec", {"y": "int64"})
    index = path.with_suffix(".idx")
    (slot,) = index_file.read_slots(LocalStorage(str(index)))
    large = slot._replace(count=2**31)
    with open(index, "r+b") as file:
        index_file._write_slot(file.fileno(), large)
        file.truncate(large.base + large.row * large.count)
    if index.stat().st_blocks * 512 > 2**20:
        pytest.skip("this file system has no holes")
    ds = dsrecords.open(path)
    assert len(ds) == 2**31
    assert ds[5] == {"y": 5}
    with dsrecords.open(path) as ds:
        ds[5] = {"y": -5}
    assert dsrecords.open(path)[5] == {"y": -5}
