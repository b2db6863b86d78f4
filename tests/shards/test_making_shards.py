"""`make_dataset` of several files: their order and sizes, and what an interruption leaves."""

import mmap
import os
import threading

import numpy as np
import pytest
from conftest import spin_until

import dsrecords
from dsrecords._write import shard_pool, sharded

SCHEMA = {"text": "str", "label": "int64"}
ROWS = [{"text": "x" * (i % 90), "label": i} for i in range(100)]


def labels(path):
    return dsrecords.open(path).column("label").tolist()


def names(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_number_of_files(tmp_path, num_workers):
    options = {"shards": 3, "num_workers": num_workers, "metadata": {"made": "here"}}
    pattern, manifest = dsrecords.make_dataset(ROWS, tmp_path / "train.rec", SCHEMA, **options)
    assert names(tmp_path) == [
        *[f"train-0000{i}-of-00003.{end}" for i in range(3) for end in ("idx", "rec")],
        "train.json",
    ]
    for path in (pattern, manifest, tmp_path):
        ds = dsrecords.open(path)
        assert labels(path) == list(range(100))
        assert ds.metadata == {"made": "here"}
        assert ds.check() == []
    assert [len(dsrecords.open(path)) for path in ds.files] == [33, 33, 34]


def test_beside_another_thread(tmp_path):
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2, num_workers=1)
    finally:
        done.set()
        thread.join()
    assert labels(tmp_path / "t.json") == list(range(100))


@pytest.mark.parametrize("size", [5000, "5kB", "5KiB"])
def test_a_size(tmp_path, size):
    dsrecords.make_dataset(iter(ROWS), tmp_path / "t", SCHEMA, shard_size=size)
    files = dsrecords.open(tmp_path / "t.json").files
    assert len(files) > 5
    assert max(map(os.path.getsize, files)) <= 5120
    assert labels(tmp_path / "t.json") == list(range(100))


def test_sizes_in_words():
    assert sharded.bytes_of("1GB") == 10**9
    assert sharded.bytes_of("1.5 MB") == 1_500_000
    assert sharded.bytes_of("1GiB") == 2**30
    assert sharded.bytes_of(2**20) == 2**20
    for wrong in ("1 gigabyte", "GB", -1, 4, 1.5, True, "1B"):
        with pytest.raises(ValueError, match="shard_size"):
            sharded.bytes_of(wrong)


def test_more_files_than_samples(tmp_path):
    dsrecords.make_dataset(ROWS[:2], tmp_path / "t", SCHEMA, shards=4)
    assert labels(tmp_path / "t.json") == [0, 1]
    assert len(dsrecords.open(tmp_path).files) == 4
    dsrecords.make_dataset(iter(()), tmp_path / "e", SCHEMA, shard_size="1MB")
    assert labels(tmp_path / "e.json") == []


def test_tables_and_inferred_schemas(tmp_path):
    dsrecords.make_dataset({"label": np.arange(10)}, tmp_path / "t", shards=3)
    assert labels(tmp_path / "t.json") == list(range(10))


def test_samples_that_are_left_out(tmp_path):
    rows = [*ROWS[:5], {"text": 3, "label": 0}, *ROWS[5:]]
    with pytest.warns(UserWarning, match="1 sample was left out"):
        dsrecords.make_dataset(rows, tmp_path / "t", SCHEMA, shards=3, on_error="skip")
    assert labels(tmp_path / "t.json") == list(range(100))
    assert (
        dsrecords.open(tmp_path / "t.json").metadata["skipped_samples"]["first"][0]["sample"] == 5
    )


def test_the_same_id_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "t"
        dsrecords.make_dataset(ROWS, path, SCHEMA, shards=2, id=bytes(16))
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_second_run(tmp_path):
    dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2)
    with pytest.raises(FileExistsError):
        dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=3)
    old = dsrecords.open(tmp_path / "t.json")
    assert old[0] == ROWS[0]
    dsrecords.make_dataset(ROWS[::-1], tmp_path / "t", SCHEMA, shards=3, overwrite=True)
    assert len(names(tmp_path)) == 7
    assert labels(tmp_path / "t.json") == list(range(100))[::-1]
    assert old[1] == ROWS[1]  # of the file that is open; the other one is gone
    with pytest.raises(dsrecords.ShardError):
        old[99]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_failure_leaves_nothing(tmp_path, num_workers):
    rows = [*ROWS, {"text": 7, "label": 1}]
    dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2)
    before = names(tmp_path)
    options = {"shards": 2, "overwrite": True, "num_workers": num_workers}
    with pytest.raises(dsrecords.SchemaError, match="record 100, field 'text'"):
        dsrecords.make_dataset(rows, tmp_path / "t", SCHEMA, **options)
    assert names(tmp_path) == before
    assert labels(tmp_path / "t.json") == list(range(100))


@pytest.mark.usefixtures("forks")
def test_a_failure_stops_files_that_are_being_written(tmp_path):
    read = mmap.mmap(-1, 200)  # in memory that forked workers share

    class Rows(list):
        def __getitem__(self, position):
            if position == 0:
                spin_until(lambda: read[100])
                return {"text": 7, "label": 1}
            read[position] = 1
            if position == 100:
                ((_, stop),) = shard_pool._work
                spin_until(stop.is_set)
            return super().__getitem__(position)

    rows = Rows([{"text": "a", "label": 1}] * 200)
    with pytest.raises(dsrecords.SchemaError, match="record 0, field 'text'"):
        dsrecords.make_dataset(rows, tmp_path / "t", SCHEMA, shards=2, num_workers=2)
    assert sum(read[100:]) == 1
    assert names(tmp_path) == []


def test_an_interruption_as_the_end_begins_locks_nobody_out(tmp_path, monkeypatch):
    def interrupted(self, *exception):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sharded.Making, "__exit__", interrupted)
        with pytest.raises(KeyboardInterrupt) as remembered:  # and with it all that has a name
            dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2)
    dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2, overwrite=True)
    assert labels(tmp_path / "t.json") == list(range(100))
    assert remembered.value.__traceback__ is not None


def test_a_kill_leaves_what_the_next_run_removes(tmp_path, monkeypatch):
    dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2)
    renamed = []

    class Killed(BaseException):
        pass

    rename = sharded.files.rename

    def dying(source, target):
        if target.endswith("t-00001-of-00002.rec"):
            raise Killed
        renamed.append(target)
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(sharded.files, "rename", dying)
        patched.setattr(sharded.Making, "_remove_unfinished", lambda self: None)
        with pytest.raises(Killed):
            dsrecords.make_dataset(ROWS[::-1], tmp_path / "t", SCHEMA, shards=2, overwrite=True)
    assert any(path.endswith("t-00000-of-00002.rec") for path in renamed)
    assert not (tmp_path / "t.json").exists()
    with pytest.raises(dsrecords.ShardError, match="another run"):
        dsrecords.open(tmp_path)
    dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2, overwrite=True)
    assert len(names(tmp_path)) == 5
    assert labels(tmp_path / "t.json") == list(range(100))


def test_two_makers_at_once(tmp_path):
    def rows():
        yield ROWS[0]
        with pytest.raises(dsrecords.LockedError):
            dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2)
        yield ROWS[1]

    dsrecords.make_dataset(rows(), tmp_path / "t", SCHEMA, shard_size="1MB")
    assert labels(tmp_path / "t.json") == [0, 1]


def test_what_is_not_ours_stays(tmp_path):
    (tmp_path / "t.json").write_text('{"mine": 1}')
    with pytest.raises(FileExistsError, match="not ours"):
        dsrecords.make_dataset(ROWS, tmp_path / "t", SCHEMA, shards=2, overwrite=True)


REFUSED = {
    "both": {"shards": 2, "shard_size": "1MB"},
    "none": {"shards": 0},
    "true": {"shards": True},
    "many": {"shards": 10**9},
    "resume": {"shards": 2, "resume": True},
    "index": {"shards": 2, "index_path": "t.idx"},
    "iterator": {"shards": 2},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path, name):
    rows = iter(ROWS) if name == "iterator" else ROWS
    with pytest.raises(ValueError, match=r"shard|resume|index_path"):
        dsrecords.make_dataset(rows, tmp_path / "t", SCHEMA, **REFUSED[name])
    assert names(tmp_path) == []
