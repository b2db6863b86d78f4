"""`dead_bytes`: how much smaller compaction would make the log. Compaction itself says whether that is right."""

import os
import random

import pytest
from bytes_by_hand import REVISION, SHORT_ROW, TEXT, Log, index
from conftest import SCHEMA, row, rows

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, make_dataset
from dsrecords._read import extents

NUMBERS = {"a": "int64", "b": "float32?"}


def given_back(ds):
    """What compaction gives back, and what was said before and is said afterwards."""
    before, said = os.path.getsize(ds.path), ds.dead_bytes
    ds.compact()
    return before - os.path.getsize(ds.path), said, ds.dead_bytes


def number(i):
    return {"a": i, "b": None if i % 2 else i / 2}


@pytest.mark.parametrize(("schema", "sample"), [(SCHEMA, row), (NUMBERS, number)])
def test_it_is_what_compaction_gives_back(path, schema, sample):
    rng = random.Random(5)
    changes = [
        lambda ds: ds.append(sample(1)),
        lambda ds: ds.extend([sample(i) for i in range(rng.randrange(1, 5))]),
        lambda ds: ds.__setitem__(rng.randrange(len(ds)), sample(3)),
        lambda ds: ds.__delitem__(rng.randrange(len(ds))),
        lambda ds: ds.__delitem__(slice(1, 3)),
        lambda ds: ds.quick_remove_at(0),
        lambda ds: ds.update({0: {next(iter(schema)): 9}}, partial=True),
        lambda ds: ds.set_metadata({"a": "b" * rng.randrange(5000)}),
    ]
    with IndexedRecordDataset(path, schema=schema) as ds:
        ds.extend([sample(i) for i in range(10)])
        for _ in range(12):
            for change in rng.choices(changes, k=6):
                change(ds)
            smaller, said, rest = given_back(ds)
            assert (smaller, rest) == (said, 0)


def test_of_a_dataset_that_was_just_made_nothing_is_dead(made):
    assert dsrecords.open(made).dead_bytes == 0


def test_a_log_of_single_records_would_grow(path):
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        for i in range(3):
            ds.append(row(i))
        assert given_back(ds) == (-40, -40, 0)


def test_payloads_that_a_revision_keeps_are_alive(path):
    make_dataset([{"text": "x" * 800, "n": 0}], path, {"text": "str", "n": "int64"})
    with dsrecords.open(path) as ds:
        ds[0, "n"] = 1
        assert given_back(ds)[0] == 40 + 16 + 48  # the head of the old one, a table, a commit


@pytest.mark.exhaustive
@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_there_is_a_commit_for_each_full_batch(path, monkeypatch, count):
    monkeypatch.setattr(extents, "_CHUNK", 3)
    payloads = [b"x" * (2**20 * (i % 4)) for i in range(count)]
    make_dataset([{"x": payload} for payload in payloads], path, {"x": "bytes"})
    with dsrecords.open(path) as ds:
        smaller, said, rest = given_back(ds)
        assert (smaller, said, rest) == (0, 0, 0)
    with IndexedRecordDataset(path + ".rec", schema=NUMBERS) as ds:
        ds.extend(number(i) for i in range(4096 + count))
        ds.compact()
        assert ds.dead_bytes == 0
        ds.extend(number(i) for i in range(count))
        smaller, said, _ = given_back(ds)
        assert smaller == said


def test_rows_without_heads_say_the_same(path):
    log = Log(TEXT)
    first = log.text("a text", 0)
    log.text(log.old(first), 1, kind=REVISION)
    log.commit(1, [0])
    for size in (48, SHORT_ROW):
        with open(path, "wb") as file:
            file.write(log.data)
        with open(path[:-4] + ".idx", "wb") as file:
            file.write(index(log, log.frames[1:], row_size=size))
        with dsrecords.open(path) as ds:
            smaller, said, _ = given_back(ds)
            assert smaller == said == len(log.data) - 4096 - 48


def test_what_would_be_copied_again_and_again_is_refused(path):
    log = Log(TEXT)
    first = log.text("a text" * 1000, 0)
    for n in range(3):
        log.text(log.old(first), n, kind=REVISION)
    log.commit()
    with open(path, "wb") as file:
        file.write(log.data)
    ds = dsrecords.open(path)
    assert ds.dead_bytes < 0
    snapshot = ds._reading.snapshot()
    with pytest.raises(CorruptError, match="again and again"):
        extents.check_extents(snapshot)
    assert extents.extents(snapshot) == 4 * (40 + 6000)


def test_damaged_records_do_not_count(made):
    with dsrecords.open(made) as ds:
        whole = extents.extents(ds._reading.snapshot())
    at = 12288 + 72 * 4 + 20
    with open(made[:-4] + ".idx", "r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 20)
    ds = dsrecords.open(made)
    size = 64 + 16 + 8  # of its head, its text and its bytes
    assert extents.extents(ds._reading.snapshot()) == whole - size
    assert list(ds[:4]) == rows(4)
