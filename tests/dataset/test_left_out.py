"""Records that cannot be read: left out as `on_error` says, counted, and found by `check(decode=True)`."""

import copy
import gc
import multiprocessing
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import flip
from make_golden import picture

import dsrecords
from dsrecords import CorruptError, DecodeError, make_dataset
from dsrecords._dataset import skipping
from dsrecords._types import registered

SCHEMA = {"text": "str", "own": "lab.int", "n": "int32"}
DAMAGED = 7
UNDECODABLE = 3


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setitem(registered.registry, "lab.int", (bytes, int))
    monkeypatch.setattr(skipping, "_warned", set())


@pytest.fixture
def made(path):
    rows = [{"text": f"text {i}", "own": b"%d" % i, "n": i} for i in range(12)]
    rows[UNDECODABLE]["own"] = b"three"
    make_dataset(rows, path, SCHEMA)
    flip(path, Path(path).read_bytes().index(b"text 7"))
    return path


@pytest.fixture
def skipping_ds(made):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield dsrecords.open(made, on_error="skip")


def records(ds):
    return sorted(error.record for error in ds.skipped)


def test_what_is_damaged_or_cannot_be_decoded_is_left_out_and_listed(made):
    ds = dsrecords.open(made, on_error="skip")
    with pytest.warns(
        UserWarning, match="record 3, field 'own'.*cannot be decoded here: ValueError"
    ):
        assert [sample["n"] for sample in ds] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert [(type(error), error.record, error.field) for error in ds.skipped] == [
        (DecodeError, UNDECODABLE, "own"),
        (CorruptError, DAMAGED, "text"),
    ]


def test_each_field_is_warned_of_once_in_a_process(made):
    ds = dsrecords.open(made, on_error="skip")
    with pytest.warns(UserWarning, match="left out") as seen:
        [list(ds) for _ in range(3)]
    assert len(seen) == 1 and seen[0].filename == __file__
    assert len(ds.skipped) == 6


def test_nothing_is_left_out_where_that_was_not_asked_for(made):
    ds = dsrecords.open(made)
    with pytest.raises(DecodeError, match="record 3"):
        list(ds)
    with pytest.raises(CorruptError, match="record 7"):
        ds.batch(range(4, 12))
    assert ds.skipped == []


def test_a_function_gets_both_kinds_and_may_raise(made):
    seen = []
    ds = dsrecords.open(made, on_error=seen.append)
    assert len(list(ds)) == 10 and len(ds.batch(range(12))["n"]) == 10
    assert [error.record for error in seen] == [3, 7] * 2 and ds.skipped == []

    def refuse(error):
        raise KeyError(error.record)

    for use in (list, lambda ds: ds.batch([1, 7])):
        with pytest.raises(KeyError):
            use(dsrecords.open(made, on_error=refuse))


def test_a_lack_of_memory_that_is_not_a_decoders_is_raised(made):
    def transform(sample):
        raise MemoryError

    with pytest.raises(MemoryError):
        list(dsrecords.open(made, on_error="skip", transform=transform))


# Batches


def test_all_columns_of_a_batch_are_shorter_by_the_same_records(skipping_ds):
    ds = skipping_ds
    batch = ds.batch([9, 7, 3, 0])
    assert (batch["text"], batch["own"], batch["n"].tolist()) == (
        ["text 9", "text 0"],
        [9, 0],
        [9, 0],
    )
    assert records(ds) == [3, 7]
    assert ds.batch([3, 7], "n").tolist() == [3, 7]  # of which nothing is damaged
    assert ds.batch([7, 7])["n"].shape == (0,) and ds.batch([7])["text"] == []
    assert ds.batch(np.arange(12) > 5, ["text"])["text"] == [f"text {i}" for i in (6, 8, 9, 10, 11)]


def test_a_column_is_shorter_and_of_a_view_as_well(skipping_ds):
    ds = skipping_ds
    assert len(ds.column("text")) == 11 and len(ds.column("n")) == 12
    assert ds[5:9].column("text") == ["text 5", "text 6", "text 8"]
    assert [sample["n"] for sample in ds.__getitems__([7, 1, 3])] == [1]


def test_arrays_to_read_into_are_filled_from_the_front(skipping_ds):
    out = {"n": np.full(4, -1, np.int32)}
    batch = skipping_ds.batch([6, 7, 8, 9], out=out)
    assert batch["n"].tolist() == [6, 8, 9] and np.shares_memory(batch["n"], out["n"])


@pytest.mark.exhaustive
def test_a_column_that_is_read_in_chunks(path):
    make_dataset([{"t": "some"} for _ in range(70_000)], path, {"t": "str"})
    data = bytearray(Path(path).read_bytes())
    first = data.index(b"some", 4096)
    for offset in (first, data.rindex(b"some")):
        data[offset] ^= 1
    Path(path).write_bytes(data)
    ds = dsrecords.open(path, on_error="skip")
    assert ds.column("t") == ["some"] * 69_998 and records(ds) == [0, 69_999]


# What workers leave out


def read_all(ds):
    warnings.simplefilter("ignore")
    registered.registry["lab.int"] = (bytes, int)
    list(ds)


def read_and_die(ds):
    read_all(ds)
    os.kill(os.getpid(), 9)


def in_workers(method, function, ds, count=1):
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=function, args=(ds,)) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode for worker in workers]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_the_parent_sees_what_its_workers_left_out(made, method):
    ds = dsrecords.open(made, on_error="skip")
    assert in_workers(method, read_all, ds[2:], 2) == [0, 0]
    assert records(ds) == [3, 3, 7, 7]
    assert in_workers(method, read_and_die, ds) == [-9]
    assert records(ds) == [3, 3, 3, 7, 7, 7]
    (first, *_) = ds.skipped
    assert (first.file, type(first), first.field) == (made, DecodeError, "own")
    ds.skipped.clear()
    assert ds.skipped == []


def test_what_a_killed_worker_left_half_written_is_passed_over(made):
    ds = dsrecords.open(made, on_error="skip")
    in_workers("fork", read_all, ds)
    (report,) = Path(ds._skipped._folder).iterdir()
    with open(report, "ab") as file:
        file.write(b'{"kind": "Corr\n{"kind": "CorruptErr')
    assert records(ds) == [3, 7]
    assert records(ds) == [3, 7]


def test_the_files_of_workers_are_removed_with_the_dataset(made):
    ds = dsrecords.open(made, on_error="skip")
    in_workers("fork", read_all, ds)
    folder = ds._skipped._folder
    assert os.listdir(folder)
    del ds
    gc.collect()
    assert not os.path.exists(folder)


def test_a_copy_in_the_same_process_counts_for_itself(skipping_ds):
    ds = skipping_ds
    for other in (pickle.loads(pickle.dumps(ds)), copy.copy(ds), copy.deepcopy(ds)):
        list(other)
        assert len(other.skipped) == 2 and ds.skipped == []
    assert ds[1:].skipped is ds.skipped


def test_a_worker_whose_parent_is_gone_goes_on(skipping_ds):
    ds = skipping_ds
    copied = skipping.Skipped(
        "skip", os.path.join(os.path.dirname(ds.path), "removed"), os.getpid() + 1
    )
    copied.add(CorruptError("it is so", record=1))
    assert len(copied.errors()) == 1
    assert not os.path.exists(copied._folder)


# Found before training


def test_check_decodes_each_value_and_says_what_fails(made):
    ds = dsrecords.open(made)
    assert [error.record for error in ds.check()] == [DAMAGED]
    found = {error.record: error for error in ds.check(decode=True)}
    assert found.keys() == {DAMAGED, UNDECODABLE}
    assert isinstance(found[UNDECODABLE], DecodeError) and found[UNDECODABLE].field == "own"
    assert len(ds[4:].check(decode=True)) == 1  # a view is decoded as far as it shows


def test_check_decodes_as_it_is_read_but_never_leaves_bytes(tmp_path):
    broken = picture("red.png")[:40]
    rows = [{"a": broken, "l": [picture("red.png"), broken]}, {"a": picture("red.png"), "l": []}]
    path, _ = make_dataset(rows, tmp_path / "a.rec", {"a": "image", "l": "list[png]"})
    for decode in (None, {"a": "bytes", "l": "bytes"}, {"a": "array"}):
        problems = dsrecords.open(path, decode=decode).check(decode=True)
        assert [(error.record, error.field) for error in problems] == [(0, "a"), (0, "l")]
    ds = dsrecords.IndexedRecordDataset(path, {"a": lambda data: 1 / 0})
    messages = [error.message for error in ds.check(decode=True) if error.field == "a"]
    assert messages == ["ZeroDivisionError: division by zero"] * 2


def test_check_shows_its_progress(made, capsys):
    dsrecords.open(made).check(decode=True, progress=True)
    assert "12/12" in capsys.readouterr().err
