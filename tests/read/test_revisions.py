"""Records of which some fields were replaced alone: their payloads lie in several frames, and all is read as ever."""

import os
import random
import warnings

import pytest
import ways
from conftest import flip, frames

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, make_dataset
from dsrecords._read.verification import HEAD, REVISED, Verified, payload_part

pytestmark = pytest.mark.slow

COUNT = 60
SCHEMA = {
    "n": "int64",
    "image": "bytes",
    "text": "str?",
    "array": "float32[2]",
    "score": "float64?",
}
WIDE = SCHEMA | {f"n{i}": "int32" for i in range(60)}  # of which rows have no heads
REVISION = 4  # the kind of a frame


@pytest.fixture(params=[SCHEMA, WIDE], ids=["heads in rows", "heads in the log"])
def schema(request):
    return request.param


def a_sample(rng, schema):
    sample = {key: rng.randrange(2**31) for key in schema}
    return sample | {key: a_value(rng, key) for key in SCHEMA}


def a_value(rng, key):
    size = rng.choice([0, 1, 8, 13, 40])
    return {
        "n": rng.randrange(2**40),
        "image": rng.randbytes(size),
        "text": rng.choice([None, "", "é" * size]),
        "array": [float(rng.randrange(100)), 0.5],
        "score": rng.choice([None, 0.25]),
    }[key]


def revise(ds, samples, rng, count):
    """Replace fields of some samples, alone or several at once, and whole ones now and then."""
    for _ in range(count):
        chosen = rng.sample(range(len(samples)), rng.choice([1, 1, 5]))
        if rng.random() < 0.1:
            samples[chosen[0]] = a_sample(rng, samples[0])
            ds[chosen[0]] = samples[chosen[0]]
            continue
        parts = {}
        for i in chosen:
            keys = rng.sample(list(SCHEMA), rng.randrange(1, len(SCHEMA)))
            parts[i] = {key: a_value(rng, key) for key in keys}
            samples[i] = samples[i] | parts[i]
        ds.update(parts, partial=True)


@pytest.fixture
def revised(path, schema):
    """The path of a dataset of which most records are revisions, and its samples."""
    rng = random.Random(11)
    samples = [a_sample(rng, schema) for _ in range(COUNT)]
    with IndexedRecordDataset(path, schema=schema) as ds:
        ds.extend(samples[: COUNT // 2])
        ds.flush()
        ds.extend(samples[COUNT // 2 :])
        revise(ds, samples, rng, 60)
    assert sum(frame.kind == REVISION for frame in frames(path)) > COUNT
    return path, samples


def check_all_ways(ds, samples, without=()):
    ways.check_all(ds, samples, list(SCHEMA), without)


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", ways.WAYS)
@pytest.mark.parametrize("verify", [True, False, "always"])
def test_each_way_of_reading_gives_what_was_written(way, verify, revised):
    path, samples = revised
    ds = dsrecords.open(path, verify=verify)
    for _ in range(2):  # then they are verified
        ways.check(way, ds, samples, list(SCHEMA))


@pytest.mark.parametrize("verify", [True, False, "always"])
def test_what_was_read_one_way_is_read_the_others(verify, revised):
    path, samples = revised
    ds = dsrecords.open(path, verify=verify, copy=False)
    for i in range(0, COUNT, 7):
        ds[i, "image"]
    ds.batch(range(0, COUNT, 5), ["text"])
    check_all_ways(ds, samples)


def test_who_replaced_fields_reads_them(path, schema):
    rng = random.Random(5)
    samples = [a_sample(rng, schema) for _ in range(COUNT)]
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        for step in range(4):
            ds.column(list(schema)[step])  # so that some are verified, which is handed on
            view, before = ds[3:20], samples[3:20]
            revise(ds, samples, rng, 8)
            if step == 2:
                ds.flush()
            check_all_ways(ds, samples)
            check_all_ways(view, before, without={"a copy for another process"})
            reader = dsrecords.open(path)
            check_all_ways(reader, samples)
    check_all_ways(dsrecords.open(path), samples)


def test_who_is_refreshed_reads_them(path, schema):
    rng = random.Random(6)
    samples = [a_sample(rng, schema) for _ in range(COUNT)]
    make_dataset(samples, path, schema)
    reader = dsrecords.open(path)
    with dsrecords.open(path) as ds:
        for _ in range(3):
            check_all_ways(reader, samples)
            revise(ds, samples, rng, 8)
            reader.refresh()
        check_all_ways(reader, samples)


def test_without_an_index(revised):
    path, samples = revised
    os.remove(path.replace(".rec", ".idx"))
    with pytest.warns(UserWarning, match="made again"):
        ds = dsrecords.open(path)
    check_all_ways(ds, samples)


def test_in_a_view_file(revised, tmp_path):
    path, samples = revised
    order = random.Random(1).sample(range(COUNT), 30)
    view = dsrecords.open(path)[order].save_view(tmp_path / "view.idx")
    check_all_ways(dsrecords.open(path, index_path=view), [samples[i] for i in order])


def test_compacted(revised, tmp_path):
    path, samples = revised
    dsrecords.open(path).compact(tmp_path / "compact.rec")
    check_all_ways(dsrecords.open(tmp_path / "compact.rec"), samples)
    assert {frame.kind for frame in frames(tmp_path / "compact.rec")} <= {1, 2, 3}


def test_moved_in_the_list(revised):
    path, samples = revised
    with dsrecords.open(path) as ds:
        for i in (3, 30, 8):
            ds.quick_remove_at(i)
            samples[i] = samples[-1]
            del samples[-1]
            del ds[i + 1]
            del samples[i + 1]
        check_all_ways(ds, samples)
    check_all_ways(dsrecords.open(path), samples)


# What is remembered


def row_and_verified(ds, i):
    snapshot = ds._reading.snapshot()
    return snapshot.entries.row(i), snapshot.verified


@pytest.mark.parametrize(
    "read",
    [lambda ds: ds[0, "text"], lambda ds: ds.batch([1, 0, 2], ["text"])],
    ids=["single", "batch"],
)
def test_that_it_is_a_revision_is_remembered_with_its_first_payload(read, path, schema):
    rng = random.Random(7)
    make_dataset([a_sample(rng, schema) for _ in range(3)], path, schema)
    with dsrecords.open(path) as ds:
        ds[0, "n"] = 5
    ds = dsrecords.open(path)
    assert (ds[0, "n"], ds.column("n")[0]) == (5, 5)
    row, verified = row_and_verified(ds, 0)
    assert verified.bits[row] == HEAD
    read(ds)
    assert verified.bits[row] == HEAD | REVISED | payload_part(1)


def test_what_is_forgotten_of_a_batch_does_not_mislead(revised, monkeypatch):
    # As if, between two steps, another thread had made room for more records.
    path, samples = revised
    images = [sample["image"] for sample in samples]
    remember_many = Verified.remember_many
    for remembered in range(4):
        steps = []

        def remember(verified, rows, parts, steps=steps, remembered=remembered):
            steps.append(parts)
            if len(steps) == remembered:
                remember_many(verified, rows, parts)

        ds = dsrecords.open(path)
        with monkeypatch.context() as patch:
            patch.setattr(Verified, "remember_many", remember)
            ds.batch(slice(None), ["image"])
        assert [ds[i, "image"] for i in range(COUNT)] == images
        assert ds.batch(slice(None), ["image"])["image"] == images


def test_payloads_that_stay_are_not_verified_again_by_who_replaced_the_others(path, schema):
    rng = random.Random(8)
    samples = [a_sample(rng, schema) | {"image": b"stays here", "text": "new"} for _ in range(3)]
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        ds.extend([])  # a writer begins by reading the files anew
        ds[0, "image"]
        for i in (0, 1):
            ds[i, "text"] = "newer"
        ds.flush()
        row, verified = row_and_verified(ds, 0)
        assert verified.bits[row] == REVISED | payload_part(0)
        row, verified = row_and_verified(ds, 1)
        assert verified.bits[row] == REVISED
        with open(path, "rb") as file:
            data = file.read()
        for i in (0, 1):  # what was verified before it was damaged is shown, as of any record
            flip(path, frames(path)[i].offset + data[frames(path)[i].offset :].index(b"stays"))
        assert ds[0, "image"] != b"stays here"
        for read in (lambda: ds[1], lambda: ds[1, "image"], lambda: ds.column("image")):
            with pytest.raises(CorruptError, match="record 1, field 'image'"):
                read()
    with pytest.raises(CorruptError, match="record 0, field 'image'"):
        dsrecords.open(path)[0]


# Damage


@pytest.fixture
def one(path, schema):
    """A dataset of three records, of which the second is a revision with an old and a new payload."""
    rng = random.Random(9)
    samples = [
        a_sample(rng, schema) | {"image": bytes([i]) * 20, "text": f"text {i}"} for i in range(3)
    ]
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        ds.update({1: {"text": "newer", "n": 5}}, partial=True)
    samples[1] = samples[1] | {"text": "newer", "n": 5}
    return path, samples


def reads_of(ds, field):
    """How a field of record 1 is read alone, and with others."""
    return [
        lambda: ds[1, field],
        lambda: ds[1],
        lambda: ds.batch([0, 1], [field]),
        lambda: ds.column(field),
        lambda: ds.batch(slice(None)),
        lambda: list(ds),
        lambda: ds[[1]][0],
    ]


def assert_damaged(ds, field, error_field, offset):
    for position, read in enumerate(reads_of(ds, field)):
        with pytest.raises(CorruptError) as caught:
            read()
        error = caught.value
        assert error.record == (0 if position == 6 and error.record == 0 else 1)
        assert (error.field, error.offset) == (error_field, offset)


def test_a_damaged_new_payload_is_named(one, schema):
    path, samples = one
    (frame,) = (frame for frame in frames(path) if frame.kind == REVISION)
    start = frame.offset + frame.size - 8  # "newer", padded
    flip(path, start + 2)
    ds = dsrecords.open(path)
    assert_damaged(ds, "text", "text", start)
    assert ds[1, "image"] == samples[1]["image"]
    assert ds[1, "n"] == ds.column("n")[1] == 5


def test_a_damaged_old_payload_is_named_where_it_is(one, schema):
    path, samples = one
    with open(path, "rb") as file:
        start = file.read().index(samples[1]["image"])
    flip(path, start + 2)
    ds = dsrecords.open(path)
    assert_damaged(ds, "image", "image", start)
    assert ds[1, "text"] == "newer"


@pytest.mark.exhaustive
@pytest.mark.parametrize("verify", [True, False, "always"])
def test_each_damaged_byte_of_the_table_is_told_of(one, schema, verify):
    path, _ = one
    (frame,) = (frame for frame in frames(path) if frame.kind == REVISION)
    table = frame.offset + frame.size - 8 - (3 * 8 + 8)
    for byte in range(3 * 8 + 8):
        flip(path, table + byte)
        ds = dsrecords.open(path, verify=verify)
        for field in ("text", "image", "array"):
            assert_damaged(ds, field, None, table)
        assert ds[1, "n"] == ds.column("n")[1] == 5  # which needs no table
        flip(path, table + byte)


@pytest.mark.exhaustive
@pytest.mark.parametrize("verify", [True, "always"])
def test_each_damaged_byte_of_its_head_or_row_is_told_of(one, schema, verify):
    path, _ = one
    (frame,) = (frame for frame in frames(path) if frame.kind == REVISION)
    head = frame.size - 8 - (3 * 8 + 8)
    index = path.replace(".rec", ".idx")
    row_size = 8 + head if schema is SCHEMA else 16
    places = [(index, os.path.getsize(index) - 2 * row_size + byte) for byte in range(row_size)]
    if schema is WIDE:
        places += [(path, frame.offset + byte) for byte in range(0, head, 3)]
    for place in places:
        flip(*place)
        ds = dsrecords.open(path, verify=verify)
        for read in (*reads_of(ds, "n"), *reads_of(ds, "image")):
            with pytest.raises(CorruptError, match=r"record [01]"):
                read()
        assert ds[0]["text"] == "text 0"
        flip(*place)


def test_a_damaged_head_of_which_the_row_has_a_copy_is_not_read(one, schema):
    path, samples = one
    (frame,) = (frame for frame in frames(path) if frame.kind == REVISION)
    if schema is WIDE:
        return
    flip(path, frame.offset + 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = dsrecords.open(path)
    check_all_ways(ds, samples)
    assert [problem.record for problem in ds.check()] == [1]
