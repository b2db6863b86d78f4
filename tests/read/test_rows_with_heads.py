"""Rows of an index that have heads: numbers are read from them alone, each verified, and the log is not touched."""

import os
import shutil

import bytes_by_hand as hand
import numpy as np
import pytest
import ways
from bytes_by_hand import PENDING, REVISION, TAKE_LAST, TEXT, Log
from conftest import SCHEMA, flip, frames, row, rows

import dsrecords
from dsrecords import CorruptError, make_dataset
from dsrecords._storage import files

pytestmark = pytest.mark.slow

COUNT = 3000
WIDE = SCHEMA | {f"n{i}": "int64" for i in range(40)}  # too wide for rows
VERIFY = pytest.mark.parametrize("verify", [True, False, "always"])


def zero_records(path):
    """Overwrite all frames but the last one, which proves that the index is of this log."""
    start = frames(path)[0].offset
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(bytes(frames(path)[-1].offset - start))


@pytest.fixture
def zeroed(path):
    """The path of a dataset of whose log only the header, the last frame and the index are left."""
    make_dataset(map(row, range(COUNT)), path, SCHEMA)
    zero_records(path)
    return path


LABELS = list(range(COUNT))
SCORES = [row(i)["score"] for i in LABELS]


@VERIFY
def test_columns_of_numbers_do_not_need_the_log(zeroed, verify):
    ds = dsrecords.open(zeroed, verify=verify)
    order = np.random.default_rng(0).permutation(COUNT)
    for _ in range(2):
        assert ds.column("label").tolist() == LABELS
        assert ds.column("score").tolist() == SCORES
        found = ds.batch(order, ["score", "label"])
        assert found["label"].tolist() == order.tolist()
        assert found["score"].tolist() == [SCORES[i] for i in order]
        assert ds.batch([-1, 5, 5], ["label"])["label"].tolist() == [COUNT - 1, 5, 5]
        assert ds.batch(range(COUNT - 1, 0, -7), ["label"])["label"].tolist() == LABELS[:0:-7]
        out = np.empty(3, np.int64)
        assert ds.batch([4, 2, 9], ["label"], out={"label": out})["label"] is out
        assert out.tolist() == [4, 2, 9]
        view = ds[ds.column("label") % 2 == 0]
        assert view.column("label").tolist() == LABELS[::2]


@VERIFY
def test_a_number_of_a_sample_does_not_need_the_log(zeroed, verify):
    ds = dsrecords.open(zeroed, verify=verify)
    for i in np.random.default_rng(1).permutation(COUNT).tolist() * 2:
        assert ds[i, "label"] == i
        assert ds[i, ["label", "score"]] == {"label": i, "score": SCORES[i]}


def test_what_needs_the_log_is_told_of(zeroed):
    ds = dsrecords.open(zeroed)
    for i in (1, 7, COUNT - 1):
        ds[i, "label"]
        for read in (lambda i=i: ds[i], lambda i=i: ds.batch([i])):
            with pytest.raises(CorruptError, match=f"record {i}, field '(text|blob)'"):
                read()
    with pytest.raises(CorruptError, match="field 'text'"):
        ds.column("text")
    assert len(ds.check()) >= 1


def test_wide_heads_are_in_the_log_alone(path):
    samples = [dict.fromkeys(WIDE, 0) | row(i) for i in range(50)]
    make_dataset(samples, path, WIDE)
    zero_records(path)
    ds = dsrecords.open(path)
    for read in (
        lambda: ds[7, "label"],
        lambda: ds.column("label"),
        lambda: ds.batch([7], "label"),
    ):
        with pytest.raises(CorruptError, match=r"record [07]"):
            read()


def test_an_edited_list_does_not_need_the_log_either(path, tmp_path):
    make_dataset(map(row, range(200)), path, SCHEMA)
    with dsrecords.open(path) as ds:
        del ds[3:7]
        ds[0, "label"] = 1000
        ds[5] = row(2001)
        ds.quick_remove_at(9)
        expected = ds.column("label").tolist()
        ds[::-2].save_view(tmp_path / "view.idx")
    zero_records(path)
    ds = dsrecords.open(path)
    assert ds.column("label").tolist() == expected
    assert [ds[i, "label"] for i in range(len(ds))] == expected
    view = dsrecords.open(path, index_path=tmp_path / "view.idx")
    assert view.column("label").tolist() == expected[::-2]
    assert view[-1, "label"] == expected[::-2][-1]


def test_a_column_of_numbers_does_not_even_map_the_log(zeroed, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the log was mapped")

    ds = dsrecords.open(zeroed)
    monkeypatch.setattr(files, "map_read", refuse)
    assert ds.column("label").tolist() == LABELS
    assert ds.batch([9, 3], ["score"])["score"].tolist() == [SCORES[9], SCORES[3]]
    assert ds[::-1].column("label").tolist() == LABELS[::-1]
    with pytest.raises(AssertionError, match="was mapped"):
        ds.column("text")


# Each row is verified


def row_at(path, count, i):
    """The offset of row i of an index, and its size."""
    index = path.replace(".rec", ".idx")
    start = 8192 + 4096
    size = (os.path.getsize(index) - start) // count
    return index, start + size * i, size


@pytest.mark.parametrize("verify", [True, "always"])
def test_each_damaged_byte_of_a_row_is_told_of_by_each_way_of_reading(path, verify):
    make_dataset(rows(10), path, SCHEMA)
    index, start, size = row_at(path, 10, 4)
    assert size == 72
    for byte in range(start, start + size):
        flip(index, byte)
        ds = dsrecords.open(path, verify=verify)
        for read in (
            lambda ds=ds: ds.column("label"),
            lambda ds=ds: ds[4, "label"],
            lambda ds=ds: ds[4],
            lambda ds=ds: ds.batch([3, 4], ["score"]),
            lambda ds=ds: ds.batch(slice(None)),
            lambda ds=ds: list(ds),
            lambda ds=ds: ds[::-1].column("score"),
        ):
            with pytest.raises(CorruptError, match="the index's row"):
                read()
        assert [ds[i] for i in (3, 5)] == [row(3), row(5)]
        flip(index, byte)
    ways.check_all(dsrecords.open(path), rows(10), list(SCHEMA))


def test_a_damaged_row_among_thousands_is_told_of_and_all_others_are_read(path):
    make_dataset(map(row, range(COUNT)), path, SCHEMA)
    index, start, _ = row_at(path, COUNT, 2100)
    flip(index, start + 30)
    ds = dsrecords.open(path, on_error="skip")
    assert len(list(ds)) == COUNT - 1
    assert [error.record for error in ds.skipped] == [2100]
    ds = dsrecords.open(path)
    for read in (lambda: ds.column("label"), lambda: ds.batch(range(2000, 2500), ["label"])):
        with pytest.raises(CorruptError, match="record 2100"):
            read()
    for i in np.random.default_rng(2).permutation(COUNT).tolist():
        if i != 2100:
            assert ds[i, "label"] == i


def test_rows_of_an_older_index_are_not_believed(path):
    make_dataset(rows(40), path, SCHEMA)
    index = path.replace(".rec", ".idx")
    shutil.copy(index, f"{index}.old")
    with dsrecords.open(path) as ds:
        ds.update({i: {"label": i + 100} for i in range(40)}, partial=True)
    with open(f"{index}.old", "rb") as old, open(index, "r+b") as new:
        middle = 12288 + 72 * 20
        old.seek(middle)
        new.seek(middle)
        new.write(old.read())
    ds = dsrecords.open(path)
    assert [ds[i, "label"] for i in range(20)] == list(range(100, 120))
    for i in range(20, 40):
        for read in (lambda i=i: ds[i, "label"], lambda i=i: ds.batch([i], ["label"])):
            with pytest.raises(CorruptError, match=f"record {i}"):
                read()


def test_a_head_that_is_damaged_in_the_log_is_read_from_its_row_and_found_by_a_check(path):
    make_dataset(rows(10), path, SCHEMA)
    flip(path, frames(path)[4].offset + 20)
    ds = dsrecords.open(path)
    ways.check_all(ds, rows(10), list(SCHEMA))
    assert [problem.record for problem in ds.check()] == [4]


# Either kind of rows is read, whatever the schema


def by_hand():
    """A log with an old text, a new one, none and an empty one, each in a record and in a revision."""
    log = Log(TEXT)
    log.text("first", 0)
    log.text("second", 1)
    places = list(log.frames)
    texts = ["first", "second"]
    for number, text in enumerate(["new", "", log.old(places[0].offset), "first"], 2):
        log.text(text, number, kind=REVISION)
        texts.append(text if isinstance(text, str) else "first")
    log.text("pending", 6, kind=PENDING)
    texts.append("pending")
    log.commit(TAKE_LAST, [])
    return log, [{"text": text, "n": n} for n, text in enumerate(texts)]


@VERIFY
@pytest.mark.parametrize("row_size", [16, 48])
def test_an_index_of_either_kind_is_read(path, row_size, verify):
    log, samples = by_hand()
    with open(path, "wb") as file:
        file.write(log.data)
    with open(path.replace(".rec", ".idx"), "wb") as file:
        file.write(hand.index(log, row_size=row_size))
    ds = dsrecords.open(path, verify=verify)
    ways.check_all(ds, samples, ["text", "n"])
    with dsrecords.open(path) as writer:  # which goes on as the index is
        writer.append({"text": "more", "n": 7})
        writer[1, "n"] = 100
        writer[3] = {"text": "other", "n": 8}
        del writer[0]
        samples.append({"text": "more", "n": 7})
        samples[1] = {"text": "second", "n": 100}
        samples[3] = {"text": "other", "n": 8}
        del samples[0]
        ways.check_all(writer, samples, ["text", "n"])
        ds.refresh()
        ways.check_all(ds, samples, ["text", "n"])
    ways.check_all(dsrecords.open(path, verify=verify), samples, ["text", "n"])
    assert dsrecords.open(path).check() == []


@VERIFY
@pytest.mark.parametrize("row_size", [16, 32])
def test_an_index_of_numbers_may_have_heads(path, row_size, verify):
    log = Log()
    for n in range(30):
        log.number(n)
    with open(path, "wb") as file:
        file.write(log.data)
    with open(path.replace(".rec", ".idx"), "wb") as file:
        file.write(hand.index(log, row_size=row_size))
    ds = dsrecords.open(path, verify=verify)
    samples = [{"n": n} for n in range(30)]
    ways.check_all(ds, samples, ["n"])
    with dsrecords.open(path) as writer:
        del writer[3]
        writer[7] = {"n": 70}
        writer.append({"n": 30})
        del samples[3]
        samples[7] = {"n": 70}
        samples.append({"n": 30})
        ways.check_all(writer, samples, ["n"])
    ways.check_all(dsrecords.open(path, verify=verify), samples, ["n"])
