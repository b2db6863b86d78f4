"""make_dataset: it writes beside, and puts the whole in place at the end."""

import concurrent.futures
import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, SOURCE, row, rows, shown, spin_until

import dsrecords
from dsrecords import IndexedRecordDataset, LockedError, SchemaError, io, make_dataset
from dsrecords._storage import files
from dsrecords._write import pool

pytestmark = pytest.mark.usefixtures("forks")


def test_it_returns_both_paths(path):
    assert make_dataset(rows(3), path, SCHEMA) == (path, path.removesuffix(".rec") + ".idx")
    assert list(dsrecords.open(path)) == rows(3)


def test_samples_can_be_any_iterable(path):
    make_dataset((row(i) for i in range(3)), path, SCHEMA)
    make_dataset(iter(dsrecords.open(path)), path, SCHEMA, overwrite=True)
    assert list(dsrecords.open(path)) == rows(3)
    make_dataset({7: "a", 8: "b"}.items(), path, ["int8", "str"], overwrite=True)
    assert list(dsrecords.open(path)) == [(7, "a"), (8, "b")]
    make_dataset(np.arange(6).reshape(3, 2), path, ["int64", "int64"], overwrite=True)
    assert dsrecords.open(path)[2] == (4, 5)


def test_a_dataset_can_be_made_of_itself(path):
    make_dataset(rows(5), path, SCHEMA)
    make_dataset(dsrecords.open(path)[::-1], path, SCHEMA, overwrite=True)
    assert list(dsrecords.open(path)) == rows(5)[::-1]


def test_no_samples_are_an_empty_dataset(path):
    make_dataset([], path, SCHEMA)
    with dsrecords.open(path) as ds:
        assert list(ds) == []
        ds.append(row(0))
    assert list(dsrecords.open(path)) == [row(0)]


def test_what_was_made_can_be_changed(path):
    make_dataset(rows(3), path, SCHEMA)
    with IndexedRecordDataset(path, schema=SCHEMA) as ds:
        ds.append(row(3))
        del ds[0]
    assert list(dsrecords.open(path)) == rows(1, 4)


def test_only_the_two_files_are_left(path, tmp_path):
    make_dataset(rows(3), path, SCHEMA)
    make_dataset(rows(4), path, SCHEMA, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]


def test_the_index_says_all_when_it_is_done(path):
    make_dataset(rows(100), path, SCHEMA)
    index = Path(path).with_suffix(".idx").read_bytes()
    slot = max((index[at : at + 128] for at in (0, 4096)), key=lambda slot: slot[32:40])
    count, covered, end = (int.from_bytes(slot[at : at + 8], "little") for at in (40, 48, 96))
    assert count == 100
    assert covered == end == os.path.getsize(path)


# Metadata and identity


def test_metadata_are_kept(path):
    metadata = {"names": ["zero", "één"], "deep": {"a": [1, None, True, 2.5]}, "": ""}
    make_dataset(rows(1), path, SCHEMA, metadata=metadata)
    assert dsrecords.open(path).metadata == metadata


@pytest.mark.parametrize(
    "metadata",
    [{"a": object()}, {"a": float("nan")}, {"a": b"bytes"}, {"a": "x" * 2**24}],
    ids=["object", "nan", "bytes", "long"],
)
def test_metadata_that_json_cannot_hold_are_a_schema_error(path, tmp_path, metadata):
    with pytest.raises(SchemaError, match="metadata"):
        make_dataset(rows(1), path, SCHEMA, metadata=metadata)
    assert not os.listdir(tmp_path)


def test_one_id_and_the_same_samples_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        make_dataset(
            rows(50), tmp_path / f"{name}.rec", SCHEMA, id=bytes(range(16)), metadata={"k": 1}
        )
    for ending in ("rec", "idx"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    make_dataset(
        rows(50), tmp_path / "c.rec", SCHEMA, id=bytes(range(16)), metadata={"k": 1}, num_workers=2
    )
    assert (tmp_path / "a.rec").read_bytes() == (tmp_path / "c.rec").read_bytes()


def test_without_an_id_each_dataset_has_its_own(tmp_path):
    for name in ("a", "b"):
        make_dataset(rows(5), tmp_path / f"{name}.rec", SCHEMA)
    assert (tmp_path / "a.rec").read_bytes()[24:40] != (tmp_path / "b.rec").read_bytes()[24:40]


@pytest.mark.parametrize("id", [b"short", b"", bytes(17), "sixteen letters!"])
def test_an_id_is_16_bytes(path, id, tmp_path):
    with pytest.raises(ValueError, match="16 bytes"):
        make_dataset(rows(1), path, SCHEMA, id=id)
    assert not os.listdir(tmp_path)


# Schemas


def test_functions_of_io_may_stand_for_types(path):
    make_dataset([{"a": 1, "b": "x"}], path, {"a": io.save_int(bits=8), "b": "str"})
    assert dsrecords.open(path).schema == {"a": "int8", "b": "str"}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"a": "int"}, "int32 or int64"), ({"a": int}, "int32 or int64"), ({"a": float}, "float32 or float64"),
        ({"a": "flaot32"}, "is not a type"), ({}, "fields"), ([], "fields"), ("int64", "schema"), ({"": "int8"}, "name"),
        ({3: "int8"}, "name"), ([io.load_int], "deserializer"), ({"a": "int8??"}, r"\?"),
    ],
    ids=shown,
)  # fmt: skip
def test_a_schema_that_is_none_is_an_error_before_anything_is_written(path, tmp_path, schema, says):
    with pytest.raises(SchemaError, match=says):
        make_dataset([], path, schema)
    assert not os.listdir(tmp_path)


# Failures leave what was there


def failing(count, error):
    yield from rows(count)
    raise error


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError(), KeyboardInterrupt(), OSError("disk")],
    ids=lambda e: type(e).__name__,
)
def test_a_failure_of_the_samples_leaves_no_trace(path, tmp_path, overwrite, num_workers, error):
    with pytest.raises(type(error)):
        make_dataset(
            failing(2000, error), path, SCHEMA, overwrite=overwrite, num_workers=num_workers
        )
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("num_workers", [0, 3])
def test_a_wrong_sample_names_its_position_and_field_and_leaves_what_was_there(
    path, tmp_path, num_workers
):
    make_dataset(rows(10), path, SCHEMA)
    before = Path(path).read_bytes()
    with pytest.raises(SchemaError, match="record 150, field 'label'"):
        make_dataset(
            ({**row(i), "label": "x" if i in (150, 300) else i} for i in range(400)),
            path, SCHEMA, overwrite=True, num_workers=num_workers,
        )  # fmt: skip
    assert Path(path).read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]
    assert list(dsrecords.open(path)) == rows(10)
    dsrecords.open(path).append(row(10))  # nobody holds the lock


def test_what_exists_is_not_overwritten_unless_asked_for(path):
    make_dataset(rows(3), path, SCHEMA)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        make_dataset(failing(0, AssertionError("samples were asked for")), path, SCHEMA)
    assert list(dsrecords.open(path)) == rows(3)
    make_dataset(rows(4), path, SCHEMA, overwrite=True)
    assert list(dsrecords.open(path)) == rows(4)


def test_an_index_alone_is_not_overwritten_unless_asked_for(path):
    make_dataset(rows(3), path, SCHEMA)
    os.remove(path)
    with pytest.raises(FileExistsError, match=r"data\.idx"):
        make_dataset(rows(4), path, SCHEMA)
    make_dataset(rows(4), path, SCHEMA, overwrite=True)
    assert list(dsrecords.open(path)) == rows(4)


@pytest.mark.parametrize("name", ["data.rec", "data.idx"])
def test_a_file_that_is_not_ours_is_never_overwritten(path, tmp_path, name):
    (tmp_path / name).write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=name):
            make_dataset(rows(3), path, SCHEMA, overwrite=overwrite)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_who_has_the_old_one_open_goes_on_reading_it(path):
    make_dataset(rows(3), path, SCHEMA)
    old, untouched = dsrecords.open(path), dsrecords.open(path)
    assert list(old) == rows(3)
    make_dataset(rows(20, 24), path, SCHEMA, overwrite=True)
    assert list(old) == rows(3) and list(untouched) == rows(3)
    old.refresh()
    assert list(old) == rows(20, 24)


def test_overwriting_takes_the_lock_of_what_is_there(path):
    make_dataset(rows(3), path, SCHEMA)
    with dsrecords.open(path) as ds:
        ds.append(row(3))
        with pytest.raises(LockedError):
            make_dataset(rows(1), path, SCHEMA, overwrite=True)
        assert list(ds) == rows(4)

    def samples():
        with pytest.raises(LockedError):
            dsrecords.open(path).append(row(9))
        yield row(0)

    make_dataset(samples(), path, SCHEMA, overwrite=True)
    assert list(dsrecords.open(path)) == [row(0)]


def test_of_two_makers_at_once_the_second_is_told_at_once(path):
    def samples():
        yield row(0)
        with pytest.raises(LockedError):
            make_dataset(rows(5), path, SCHEMA)
        yield row(1)

    make_dataset(samples(), path, SCHEMA)
    assert list(dsrecords.open(path)) == rows(2)


def test_what_was_created_meanwhile_is_not_overwritten(path, tmp_path):
    def samples():
        yield row(7)
        with IndexedRecordDataset(path, schema=SCHEMA) as ds:
            ds.append(row(0))

    with pytest.raises(FileExistsError, match=r"data\.rec"):
        make_dataset(samples(), path, SCHEMA)
    assert list(dsrecords.open(path)) == [row(0)]
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]


def test_what_is_created_right_after_the_first_look_is_a_file_that_exists(path, monkeypatch):
    exists, others = files.exists, []

    def looks(name):
        found = exists(name)
        if name.endswith("data.idx") and not others:  # the last of both files to be looked at
            others.append(None)
            others.append(IndexedRecordDataset(path, schema=SCHEMA))
            others[1].append(row(0))  # so that it holds the lock
        return found

    monkeypatch.setattr(files, "exists", looks)
    with pytest.raises(FileExistsError, match=r"data\.rec"):
        make_dataset(rows(3), path, SCHEMA)
    assert list(dsrecords.open(path)) == [row(0)]


def test_a_kill_leaves_a_partial_that_opens_and_the_next_one_replaces_it(path, tmp_path):
    make_dataset(rows(2), path, SCHEMA)
    code = f"""
import sys, time; sys.path[:0] = {[str(SOURCE), str(Path(__file__).parents[1])]!r}
from conftest import SCHEMA, row
from dsrecords import make_dataset
def samples():
    for i in range(5000):
        yield row(i)
    print("ready", flush=True)
    time.sleep(60)
make_dataset(samples(), {path!r}, SCHEMA, overwrite=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout.readline() == "ready\n"
        with pytest.raises(LockedError):
            make_dataset(rows(1), path, SCHEMA, overwrite=True)
        maker.kill()
    assert maker.returncode == -signal.SIGKILL
    assert list(dsrecords.open(path)) == rows(2)
    partial = dsrecords.open(path + ".partial")
    assert len(partial) > 3000  # all but the last batch, which was not yet written
    assert list(partial) == rows(len(partial))
    make_dataset(rows(4), path, SCHEMA, overwrite=True)
    assert list(dsrecords.open(path)) == rows(4)
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]


@pytest.mark.parametrize(
    ("path", "index_path"),
    [("missing/a.rec", None), ("missing/a.rec", "a.idx"), ("a.rec", "missing/a.idx")],
)
def test_a_folder_that_is_not_there_is_named_before_any_sample_is_asked_for(
    tmp_path, monkeypatch, path, index_path
):
    def samples():
        pytest.fail("a sample was asked for")
        yield

    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such folder: 'missing'"):
        make_dataset(samples(), path, SCHEMA, index_path)
    with pytest.raises(FileNotFoundError, match="there is no such folder: 'missing'"):
        IndexedRecordDataset(path, schema=SCHEMA, index_path=index_path)
    assert os.listdir(tmp_path) == []


# Progress and workers


def test_progress_shows_a_bar_with_the_name_and_the_count(path, capsys):
    make_dataset(rows(10), path, SCHEMA, progress=True)
    out, err = capsys.readouterr()
    assert "data.rec" in err and "10/10" in err
    assert out == ""


def test_without_progress_nothing_is_printed(path, capsys):
    make_dataset(rows(10), path, SCHEMA)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("num_workers", [1, 4])
def test_workers_keep_the_order(path, num_workers):
    def save_slowly(i):
        time.sleep(0.002 * (i % 64 == 0))
        return b"%d" % i

    make_dataset(([i] for i in range(1000)), path, [save_slowly], num_workers=num_workers)
    ds = IndexedRecordDataset(path, deserializers=[int])
    assert [value for (value,) in ds] == list(range(1000))


def test_ctrl_c_prints_one_traceback_and_leaves_nothing(path, tmp_path):
    code = f"""
import signal, sys; sys.path.insert(0, {str(SOURCE)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in what runs aside
from dsrecords import make_dataset
def samples():
    for i in range(1000):
        yield [i]
    print("ready", flush=True)
    sys.stdin.read()
make_dataset(samples(), {path!r}, ["int64"], num_workers=2)
"""
    pipes = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **pipes) as maker:
        assert maker.stdout.readline() == "ready\n"
        os.killpg(maker.pid, signal.SIGINT)  # as a terminal does: to the workers, too
        told = maker.stderr.read()
    assert told.count("Traceback") == 1 and told.rstrip().endswith("KeyboardInterrupt"), told
    assert os.listdir(tmp_path) == []


def test_workers_ask_for_samples_only_a_little_ahead(path):
    asked = []
    saved = mmap.mmap(-1, 3000)  # in memory that forked workers share

    def samples():
        for i in range(3000):
            asked.append(i)
            assert len(asked) - sum(saved[:]) < 1000
            yield [i]

    def save(i):
        saved[i] = 1
        return b""

    make_dataset(samples(), path, [save], num_workers=2)
    assert sum(saved[:]) == 3000


def test_a_failure_stops_what_workers_have_begun_and_cancels_nothing(path, tmp_path, monkeypatch):
    saved = mmap.mmap(-1, 256)  # in memory that forked workers share

    def save(i):
        if i == 0:
            spin_until(lambda: saved[64])
            raise ZeroDivisionError
        saved[i] = 1
        if i == 64:
            spin_until(lambda: pool._worker.stop.is_set())
        return b""

    def never(future):
        raise AssertionError("early Pythons wait for ever for a pool with a cancelled future")

    monkeypatch.setattr(concurrent.futures.Future, "cancel", never)
    with pytest.raises(ZeroDivisionError):
        make_dataset(([i] for i in range(256)), path, [save], num_workers=2)
    assert sum(saved[64:128]) == 1  # the rest of the chunk that was begun
    assert not os.listdir(tmp_path)


MISTAKES = {
    "a misspelt field": ([{"lable": 1}], {"label": "int8"}, "field 'label': missing, and 'lable' is unknown"),
    "values": ([1, 2], ["int8"], r"not an int \(1\): give \(value,\)"),
    "dicts": ([{"a": 1}], ["int8"], "a schema that is a dict gives fields their names"),
    "the path of a table": ("a.csv", ["int8"], r"open a file first, as by numpy\.load or pandas\.read_csv"),
    "a path for bytes": ([("a.png",)], ["bytes"], "for the path of a file use the type 'file'"),
    "NaN in JSON": ([(float("nan"),)], ["json"], "msgpack does; for a value that is not there say None"),
    "a time as text": ([("2026-01-01",)], ["datetime64[s]"], r"numpy\.datetime64\(value, 's'\) makes one"),
    "a number of seconds": ([(5,)], ["timedelta64[s]"], r"numpy\.timedelta64\(value, 's'\) makes one"),
}  # fmt: skip


@pytest.mark.parametrize(("samples", "schema", "advice"), MISTAKES.values(), ids=MISTAKES)
def test_the_error_says_what_to_do(tmp_path, samples, schema, advice):
    with pytest.raises(SchemaError, match=advice):
        make_dataset(samples, tmp_path / "a.rec", schema)


def test_samples_and_path_exchanged(tmp_path):
    with pytest.raises(TypeError, match=r"make_dataset\(samples, path, schema\)"):
        make_dataset(tmp_path / "a.rec", [{"a": 1}], {"a": "int8"})


def test_the_path_of_an_index(tmp_path):
    with pytest.raises(ValueError, match=r"the data file is .*a\.rec"):
        dsrecords.open(tmp_path / "a.idx")


STORED = {"x": "int32", "kind": "category[a,b]", "tokens": "uint16[*]", "half": "float16?"}


@pytest.fixture
def stored(tmp_path):
    samples = [
        {"x": i, "kind": "ab"[i % 2], "tokens": np.arange(i, dtype=np.uint16), "half": 0.5 * i}
        for i in range(7)
    ]
    metadata = {"licence": "CC0"}
    path, _ = dsrecords.make_dataset(samples, tmp_path / "a.rec", STORED, metadata=metadata)
    return path


@pytest.mark.parametrize("options", [{}, {"shards": 2}, {"shards": 2, "num_workers": 2}], ids=str)
def test_a_dataset_is_written_with_its_own_schema_and_metadata(stored, tmp_path, caplog, options):
    ds = dsrecords.open(stored)
    some = ds[[5, 0, 3]]
    path, _ = dsrecords.make_dataset(some, tmp_path / "b.rec", **options)
    copy = dsrecords.open(path)
    assert copy.schema == ds.schema
    assert copy.metadata == {"licence": "CC0"}
    assert copy.column("x").tolist() == [5, 0, 3]
    assert not caplog.records  # as nothing was guessed
    path, _ = dsrecords.make_dataset(some.select_fields(["kind"]), tmp_path / "c.rec", metadata={})
    assert dsrecords.open(path).schema == {"kind": "category[a,b]"}
    assert dsrecords.open(path).metadata == {}


class Doubled(dsrecords.IndexedRecordDataset):
    def __getitem__(self, key):
        found = super().__getitem__(key)
        return {**found, "x": found["x"] * 2.5} if isinstance(found, dict) else found

    def __iter__(self):
        return (self[i] for i in range(len(self)))


def test_a_dataset_whose_samples_are_made_by_a_user_has_its_schema_inferred(stored, tmp_path):
    def number(sample):
        return {"x": sample["x"] / 2}

    for source, kind in (
        (dsrecords.open(stored, transform=number), "float64"),
        (dsrecords.IndexedRecordDataset(stored, deserializers={"x": lambda data: "text"}), "str"),
        (Doubled(stored), "float64"),
    ):
        path, _ = dsrecords.make_dataset(source, tmp_path / "b.rec", overwrite=True)
        assert dsrecords.open(path).schema["x"] == kind
