"""`check` and `repair` of much damage: what they read and hold is counted, not how long they take."""

import tracemalloc
from pathlib import Path

import pytest
from conftest import flip

import dsrecords
from dsrecords import repair
from dsrecords._format.log import LogScanner
from dsrecords._native import core
from dsrecords._read.open import State
from dsrecords._storage.local import LocalStorage
from dsrecords._write import writer


def damaged(folder, count, at):
    """A dataset of `count` records, of which the byte `at` of every second frame is wrong."""
    path = str(folder / f"{count}.rec")
    samples = ({"text": f"sample {i:08d}", "n": i} for i in range(count))
    dsrecords.make_dataset(samples, path, {"text": "str", "n": "int64"})
    entries = State(path, path.replace(".rec", ".idx"), True).snapshot.entries
    offsets = [entries.ref(entries.row(i)).offset for i in range(count)]
    with open(path, "r+b") as file:
        for offset in offsets[::2]:
            file.seek(offset + at)
            byte = file.read(1)[0]
            file.seek(offset + at)
            file.write(bytes([byte ^ 1]))
    return path


def bytes_read(monkeypatch, function):
    total = 0
    read = LocalStorage.read

    def counted(storage, offset, length):
        nonlocal total
        data = read(storage, offset, length)
        total += len(data)
        return data

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "read", counted)
        function()
    return total


@pytest.mark.exhaustive
@pytest.mark.parametrize("at", [0, 8, 20, 48])
@pytest.mark.parametrize("work", [lambda path: dsrecords.open(path).check(), repair])
def test_what_is_read_grows_as_the_damaged_records_do(work, at, tmp_path, monkeypatch):
    """The first bytes of a frame, its size, the rest of its head, its payload."""
    few, many = damaged(tmp_path, 1000, at), damaged(tmp_path, 4000, at)
    read_of_few = bytes_read(monkeypatch, lambda: work(few))
    read_of_many = bytes_read(monkeypatch, lambda: work(many))
    assert read_of_many < 6 * read_of_few  # of four times as many


def test_check_finds_all_damaged_payloads_of_many_records_of_all_sizes(tmp_path):
    path = str(tmp_path / "data.rec")
    mark = b"payload!"
    sizes = [9 + 37 * i for i in range(300)]
    sizes[100] = 3 * 2**19  # more than is read at once
    samples = [{"data": mark.ljust(size, b".")} for size in sizes]
    dsrecords.make_dataset(samples, path, {"data": "bytes"})
    data = Path(path).read_bytes()
    starts = [at for at in range(0, len(data), 8) if data[at : at + 8] == mark]
    assert len(starts) == len(sizes)
    wrong = [(i, starts[i]) for i in (0, 7, 8, 99, 100, 101, 298)]
    padding = starts[200] + sizes[200]
    wrong.append((None, padding))
    for _, at in wrong:
        flip(path, at)
    found = [(problem.record, problem.offset) for problem in dsrecords.open(path).check()]
    assert found == wrong


@pytest.mark.skipif(core is None, reason="NumPy's form goes through the heads first")
@pytest.mark.parametrize("size", [1_000, 100_000])
def test_check_reads_the_log_once(size, tmp_path, monkeypatch):
    path = str(tmp_path / "data.rec")
    count = 8_000_000 // size
    dsrecords.make_dataset([{"data": bytes(size)}] * count, path, {"data": "bytes"})
    read = bytes_read(monkeypatch, lambda: dsrecords.open(path).check())
    assert read < 1.25 * count * size  # a frame that a piece cuts off is read again


@pytest.mark.skipif(core is None, reason="NumPy's form goes through the heads first")
def test_check_looks_by_themselves_at_large_records_alone(tmp_path, monkeypatch):
    path = str(tmp_path / "data.rec")
    large = 2**20 + 1  # more than is read at once
    samples = [{"data": bytes(large if i % 40 == 20 else 100)} for i in range(400)]
    dsrecords.make_dataset(samples, path, {"data": "bytes"})
    looked_at = set()
    frame = LogScanner.frame
    with monkeypatch.context() as patch:
        patch.setattr(
            LogScanner,
            "frame",
            lambda walk, offset, *rest: looked_at.add(offset) or frame(walk, offset, *rest),
        )
        assert dsrecords.open(path).check() == []
    assert 10 <= len(looked_at) < 30  # the large ones, what ends each batch, a metadata frame


@pytest.mark.long
@pytest.mark.exhaustive
def test_check_of_a_commit_of_many_rows_does_not_hold_them_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "BATCH_RECORDS", 10**9)
    monkeypatch.setattr(writer, "BATCH_BYTES", 10**12)
    path, count = str(tmp_path / "data.rec"), 200_000
    dsrecords.make_dataset([], path, {"n": "int64", "text": "str"})
    with dsrecords.open(path) as ds:
        ds.extend_columns({"n": range(count), "text": ["abc"] * count})
    ds = dsrecords.open(path)
    len(ds)
    tracemalloc.start()
    try:
        assert ds.check() == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 16 bytes a row, of which a part is being moved; and what is read and compared at once.
    assert peak < 32 * count + 12 * 2**20
