"""make_dataset: samples that are left out, work that is gone on with, and what is tried first."""

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, SOURCE, row, rows

import dsrecords
from dsrecords import CorruptError, DSRecordsError, LockedError, SchemaError, make_dataset
from dsrecords._storage import files
from dsrecords._write import dictionaries, pool, threads

ID = bytes(range(16))


def listed(folder):
    return sorted(os.listdir(folder))


# Bad samples


def bad_at(*positions, count=300):
    for i in range(count):
        yield {**row(i), "label": "x" if i in positions else i}


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_bad_samples_are_left_out_and_reported(path, num_workers):
    samples = bad_at(0, 70, 299)
    with pytest.warns(UserWarning, match=r"3 samples were left out: record 0, field 'label'"):
        make_dataset(
            samples, path, SCHEMA, metadata={"a": 1}, on_error="skip", num_workers=num_workers
        )
    ds = dsrecords.open(path)
    assert list(ds) == [row(i) for i in range(300) if i not in (0, 70, 299)]
    report = ds.metadata["skipped_samples"]
    assert ds.metadata["a"] == 1 and report["count"] == 3
    assert [bad["sample"] for bad in report["first"]] == [0, 70, 299]
    assert "record 70, field 'label'" in report["first"][1]["error"]
    assert ds.check() == []


@pytest.mark.parametrize(
    "given",
    [[(1,), ("x",), (3,)], iter([(1,), ("x",), (3,)]), {"0": [1, "x", 3]}],
    ids=["list", "iterator", "table"],
)
def test_samples_of_numbers_alone(path, given):
    schema = {"0": "int8"} if isinstance(given, dict) else ["int8"]
    with pytest.warns(UserWarning, match="1 sample was left out"):
        make_dataset(given, path, schema, on_error="skip")
    assert dsrecords.open(path).column(0 if schema == ["int8"] else "0").tolist() == [1, 3]


def test_without_bad_samples_nothing_is_told(path):
    make_dataset(rows(9), path, SCHEMA, metadata={"a": 1}, on_error="skip")
    assert dsrecords.open(path).metadata == {"a": 1}


def test_a_function_gets_each_error_and_may_raise(path, tmp_path):
    errors = []
    with pytest.warns(UserWarning, match="left out"):
        make_dataset(bad_at(3, 5), path, SCHEMA, on_error=errors.append)
    assert [(type(error), error.record) for error in errors] == [(SchemaError, 3), (SchemaError, 5)]

    def stop(error):
        raise RuntimeError("enough") from error

    with pytest.raises(RuntimeError, match="enough"):
        make_dataset(bad_at(3), path, SCHEMA, on_error=stop, overwrite=True)
    assert listed(tmp_path) == ["data.idx", "data.rec"]


def save_odd(number):
    if number == 7:
        raise KeyError("seven")
    return b"%d" % number


class StrangeError(Exception):
    def __init__(self, one, other):
        super().__init__(one)


def save_strangely(number):
    if number == 7:
        raise StrangeError("seven", None)
    return b"%d" % number


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("save", [save_odd, save_strangely])
def test_what_a_function_of_the_users_raises_is_of_the_sample(path, num_workers, save):
    with pytest.warns(UserWarning, match="seven"):
        make_dataset(
            [[i] for i in range(9)], path, [save], on_error="skip", num_workers=num_workers
        )
    assert len(dsrecords.open(path)) == 8


def test_a_file_that_is_not_there_is_of_the_sample_and_a_failing_disk_is_not(path, tmp_path):
    image = tmp_path / "a.txt"
    image.write_bytes(b"a")
    with pytest.warns(UserWarning, match="FileNotFoundError"):
        make_dataset([[str(image)], ["missing.txt"]], path, ["file"], on_error="skip")
    assert len(dsrecords.open(path)) == 1

    def failing(value):
        raise OSError(errno.EIO, "the disk")

    with pytest.raises(OSError, match="the disk"):
        make_dataset([[1]], path, [failing], on_error="skip", overwrite=True)


class Items:
    """A dataset as PyTorch knows it."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        if i == 2:
            raise ValueError("a broken image")
        return row(i)


def test_what_cannot_be_read_at_its_position_is_left_out(path):
    with pytest.warns(UserWarning, match="a broken image"):
        make_dataset(Items(), path, SCHEMA, on_error="skip")
    assert list(dsrecords.open(path)) == [row(i) for i in (0, 1, 3, 4)]


@pytest.mark.parametrize("count", [5, 2000])
def test_a_schema_that_fits_no_sample_is_an_error(path, tmp_path, count):
    asked = []
    samples = (asked.append(i) or ["x"] for i in range(count))
    with pytest.raises(SchemaError, match=r"record 0, .* none of the first \d+ samples"):
        make_dataset(samples, path, ["int8"], on_error="skip")
    assert len(asked) <= 1000
    assert listed(tmp_path) == []


def test_on_error_is_one_of_three(path):
    with pytest.raises(ValueError, match="'raise', 'skip' or a function, not 'ignore'"):
        make_dataset([], path, SCHEMA, on_error="ignore")


def test_bad_samples_are_left_out_before_dictionaries_are_trained(path):
    samples = [{"a": i if i < 100 else f"text {i}" * 9} for i in range(500)]
    with pytest.warns(UserWarning, match="100 samples were left out"):
        make_dataset(samples, path, {"a": "zstd(str, dict=4096)"}, on_error="skip")
    assert dsrecords.open(path).column("a")[0] == samples[100]["a"]


# Going on


def failing(count, error, start=rows):
    yield from start(count)
    raise error


def interrupted(path, count=5000, schema=SCHEMA, **options):
    with pytest.raises(ZeroDivisionError) as told:
        make_dataset(failing(count, ZeroDivisionError()), path, schema, resume=True, **options)
    assert any("resume=True" in note for note in told.value.__notes__)


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_after_an_exception_the_same_call_goes_on(path, tmp_path, caplog, num_workers):
    interrupted(path)
    assert listed(tmp_path) == ["data.rec.partial"]
    inode = os.stat(path + ".partial").st_ino
    with caplog.at_level(logging.WARNING):
        make_dataset(rows(6000), path, SCHEMA, resume=True, num_workers=num_workers)
    assert "5000 samples were there already" in caplog.text
    assert os.stat(path).st_ino == inode
    assert list(dsrecords.open(path)) == rows(6000)
    assert dsrecords.open(path).check() == []
    assert listed(tmp_path) == ["data.idx", "data.rec"]


def test_what_is_gone_on_with_is_what_would_have_been_made(path, tmp_path):
    interrupted(path, 4096, id=ID, metadata={"k": 1})
    make_dataset(rows(6000), path, SCHEMA, resume=True, id=ID, metadata={"k": 1})
    other = tmp_path / "other.rec"
    make_dataset(rows(6000), other, SCHEMA, id=ID, metadata={"k": 1})
    assert Path(path).read_bytes() == other.read_bytes()


def test_resume_without_anything_to_go_on_with_begins(path, tmp_path):
    make_dataset(rows(3), path, SCHEMA, resume=True)
    assert list(dsrecords.open(path)) == rows(3)
    with pytest.raises(ZeroDivisionError):
        make_dataset(failing(0, ZeroDivisionError()), path, SCHEMA, resume=True, overwrite=True)
    assert listed(tmp_path) == ["data.idx", "data.rec"]


def test_without_resume_what_was_left_is_removed(path, tmp_path):
    interrupted(path)
    make_dataset(rows(3), path, SCHEMA)
    assert list(dsrecords.open(path)) == rows(3)
    assert listed(tmp_path) == ["data.idx", "data.rec"]


NUMBERS = {"a": "int64", "b": "float32?"}


def number(i):
    return {"a": i, "b": [None, float("nan"), 0.1][i % 3]}


def test_numbers_alone_go_on_as_well(path):
    samples = [number(i) for i in range(9000)]
    with pytest.raises(ZeroDivisionError):
        make_dataset(
            failing(5000, ZeroDivisionError(), lambda n: samples[:n]), path, NUMBERS, resume=True
        )
    make_dataset(samples, path, NUMBERS, resume=True)
    assert dsrecords.open(path).column("a").tolist() == list(range(9000))


OTHERS = {
    "a string": (lambda: [{**row(i), "text": "?"} if i == 7 else row(i) for i in range(60)], "record 7, field 'text'"),
    "a number": (lambda: [{**row(i), "label": -1} if i == 8 else row(i) for i in range(60)], "record 8, field 'label'"),
    "a None": (lambda: [{**row(i), "score": 0.0} if i == 9 else row(i) for i in range(60)], "record 9, field 'score'"),
    "the order": (lambda: rows(60)[::-1], "record 0"),
    "fewer": (lambda: rows(20), "it has 50 records, and only 20 samples are given"),
}  # fmt: skip


@pytest.mark.parametrize(("samples", "says"), OTHERS.values(), ids=OTHERS)
def test_other_samples_are_an_error_and_what_was_left_stays(path, samples, says):
    interrupted(path, 50)
    before = Path(path + ".partial").read_bytes()
    with pytest.raises(SchemaError, match=says) as told:
        make_dataset(samples(), path, SCHEMA, resume=True)
    assert "without resume=True" in str(told.value)
    assert Path(path + ".partial").read_bytes() == before
    make_dataset(rows(60), path, SCHEMA, resume=True)
    assert list(dsrecords.open(path)) == rows(60)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"schema": {**SCHEMA, "label": "int32"}}, "another schema.*label"),
        ({"metadata": {"k": 2}}, r"other metadata \(\{'k': 1\}\)"),
        ({"id": bytes(16)}, "another id"),
    ],
)
def test_schema_metadata_and_id_must_agree(path, options, says):
    interrupted(path, 50, metadata={"k": 1}, id=ID)
    before = Path(path + ".partial").read_bytes()
    with pytest.raises(SchemaError, match=says):
        make_dataset(
            rows(60), path, **{"schema": SCHEMA, "metadata": {"k": 1}, "resume": True, **options}
        )
    assert Path(path + ".partial").read_bytes() == before


def test_damage_in_what_was_left_is_an_error(path):
    interrupted(path, 5000)
    with open(path + ".partial", "r+b") as file:
        file.seek(20_000)
        file.write(b"\xff" * 8)
    with pytest.raises(CorruptError, match="without resume=True"):
        make_dataset(rows(6000), path, SCHEMA, resume=True)
    make_dataset(rows(60), path, SCHEMA)
    assert list(dsrecords.open(path)) == rows(60)


def test_bad_samples_and_dictionaries_of_zstd(path, monkeypatch):
    monkeypatch.setattr(dictionaries, "_SAMPLE_RECORDS", 256)
    schema = {"a": "zstd(str, dict=4096)"}
    samples = [{"a": i if i % 50 == 3 else f"text {i}" * 9} for i in range(900)]
    with pytest.raises(ZeroDivisionError):
        make_dataset(
            failing(600, ZeroDivisionError(), lambda n: samples[:n]),
            path, schema, on_error="skip", resume=True,
        )  # fmt: skip
    for end in (700, 900):  # the second time the metadata are there already
        with pytest.warns(UserWarning, match="left out"):
            make_dataset(samples[:end], path, schema, on_error="skip", resume=True, overwrite=True)
        shutil.copy(path, path + ".partial")  # as if it was killed right before the end
    ds = dsrecords.open(path)
    assert list(ds.column("a")) == [s["a"] for s in samples if isinstance(s["a"], str)]
    assert ds.metadata["skipped_samples"]["count"] == 18


MAKER = f"""
import os, sys, time; sys.path[:0] = {[str(SOURCE), str(Path(__file__).parents[1])]!r}
from conftest import SCHEMA, row
from dsrecords import make_dataset
path, num_workers = sys.argv[1], int(sys.argv[2])
def samples():
    for i in range(5000):
        yield row(i)
    children = open(f"/proc/self/task/{{os.getpid()}}/children").read()
    print("ready", children, flush=True)
    time.sleep(600)
make_dataset(samples(), path, SCHEMA, num_workers=num_workers)
"""


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_after_a_kill_the_next_one_goes_on(path, num_workers):
    """The killed one need not have said that it could be: what it left is the same."""
    command = [sys.executable, "-c", MAKER, path, str(num_workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as maker:
        ready, *children = maker.stdout.readline().split()
        assert ready == "ready"
        with pytest.raises(LockedError, match="another process is making it"):
            make_dataset(rows(1), path, SCHEMA, resume=True)
        maker.kill()
    for child in children:  # it ends with its parent
        wait_for_end(int(child))
    kept = len(dsrecords.open(path + ".partial"))
    assert kept > 3000
    make_dataset(rows(5500), path, SCHEMA, resume=True)
    assert list(dsrecords.open(path)) == rows(5500)


def wait_for_end(process):
    for _ in range(3000):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        threading.Event().wait(0.01)
    pytest.fail("a worker outlives its parent")


def test_after_a_full_disk_the_next_one_goes_on(path):
    code = f"""
import resource, signal, sys; sys.path[:0] = {[str(SOURCE), str(Path(__file__).parents[1])]!r}
from conftest import SCHEMA, rows
from dsrecords import make_dataset
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
try:
    make_dataset(rows(9000), sys.argv[1], SCHEMA, resume=True)
except OSError as error:
    print(error.errno, *error.__notes__)
"""
    told = subprocess.run(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert told.startswith(f"{errno.EFBIG} ") and "resume=True" in told
    assert len(dsrecords.open(path + ".partial")) > 0
    make_dataset(rows(9000), path, SCHEMA, resume=True)
    assert list(dsrecords.open(path)) == rows(9000)


# What is tried first


def never():
    pytest.fail("a sample was asked for")
    yield


def test_a_name_that_is_too_long_is_told_of_first(tmp_path):
    with pytest.raises(OSError, match="the name is too long"):
        make_dataset(never(), tmp_path / ("a" * 245 + ".rec"), SCHEMA)
    with pytest.raises(OSError, match="the name is too long"):
        make_dataset(never(), tmp_path / "a.rec", SCHEMA, tmp_path / ("b" * 250))
    assert listed(tmp_path) == []


@pytest.mark.parametrize("schema", [SCHEMA, None], ids=["schema", "inferred"])
@pytest.mark.parametrize("target", ["data.rec.partial", "data.idx", "a folder"])
def test_a_target_that_cannot_be_written_is_told_of_first(
    path, tmp_path, monkeypatch, target, schema
):
    create = files.create

    def refuses(name, like=()):
        if name.startswith(str(tmp_path / target)):
            raise PermissionError(errno.EACCES, "no permission", name)
        return create(name, like)

    monkeypatch.setattr(files, "create", refuses)
    index = None
    if target == "a folder":
        (tmp_path / target).mkdir()
        index = tmp_path / target / "data.idx"
    with pytest.raises(PermissionError, match=target):
        make_dataset(never(), path, schema, index)
    assert listed(tmp_path) == (["a folder"] if index else [])


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_of_others_at_the_name_of_the_partial_stays(path, resume):
    Path(path + ".partial").write_text("half of a download")
    with pytest.raises(FileExistsError, match="is not ours"):
        make_dataset(never(), path, SCHEMA, resume=resume)
    assert Path(path + ".partial").read_text() == "half of a download"


def test_the_index_needs_a_path_of_its_own(path):
    with pytest.raises(ValueError, match="a path of its own"):
        make_dataset(never(), path, SCHEMA, path)


def test_the_working_directory_may_change_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def samples():
        yield row(0)
        os.chdir(tmp_path / "elsewhere")
        yield row(1)

    for schema in (SCHEMA, None):
        os.chdir(tmp_path)
        assert make_dataset(samples(), "a.rec", schema, overwrite=True) == ("a.rec", "a.idx")
        assert listed(tmp_path) == ["a.idx", "a.rec", "elsewhere"]
    assert listed(tmp_path / "elsewhere") == []


# An index that cannot be written


@pytest.mark.parametrize("call", ["create", "rename"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_index_that_cannot_be_written_is_a_warning(path, tmp_path, monkeypatch, call, overwrite):
    if overwrite:
        make_dataset(rows(3), path, SCHEMA)
    real, is_full = getattr(files, call), []

    def fails(name, *others, **options):
        is_index = name.startswith(path.removesuffix(".rec") + ".idx")
        if is_index and is_full:
            raise OSError(errno.ENOSPC, "No space left on device", name)
        return real(name, *others, **options)

    def samples():
        yield from rows(9)
        is_full.append(True)

    monkeypatch.setattr(files, call, fails)
    with pytest.warns(UserWarning, match=r"data\.idx could not be written .*is made again"):
        make_dataset(samples(), path, SCHEMA, overwrite=overwrite)
    monkeypatch.undo()
    with dsrecords.open(path) as ds:
        assert list(ds) == rows(9)
        ds.flush()
    assert [name for name in listed(tmp_path) if not name.endswith(".tmp")] == [
        "data.idx",
        "data.rec",
    ]


def test_an_old_index_that_cannot_give_way_leaves_what_was_written(path, monkeypatch):
    make_dataset(rows(3), path, SCHEMA, id=ID)
    real = files.unlink

    def fails(name):
        if name.endswith("data.idx"):
            raise PermissionError(errno.EPERM, "not permitted", name)
        real(name)

    monkeypatch.setattr(files, "unlink", fails)
    with pytest.raises(PermissionError) as told:
        make_dataset(rows(9), path, SCHEMA, id=ID, overwrite=True)
    assert "resume=True" in told.value.__notes__[0]
    monkeypatch.undo()
    assert list(dsrecords.open(path)) == rows(3)
    make_dataset(rows(9), path, SCHEMA, id=ID, overwrite=True, resume=True)
    assert list(dsrecords.open(path)) == rows(9)


# Workers beside threads


def test_threads_are_noticed():
    run = """
import threading
from dsrecords._write.threads import has_other_threads
print(has_other_threads())
event = threading.Event()
thread = threading.Thread(target=event.wait)
thread.start()
print(has_other_threads())
event.set()
"""
    told = subprocess.run(
        [sys.executable, "-c", run],
        stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert told.stdout.split() == ["False", "True"]


def test_a_library_whose_threads_have_names_is_noticed(monkeypatch):
    names = iter(["python\n", "python\n", "tf_XLAEigen\n"] * 2)
    monkeypatch.setattr(threads.os, "listdir", lambda path: ["1", "2"])
    monkeypatch.setattr(threads, "_name", lambda number: next(names))
    monkeypatch.setattr(threads, "_threads_of_openblas", lambda: 5)
    assert not threads._has_only_allowed_threads()


@pytest.fixture
def thread():
    event = threading.Event()
    other = threading.Thread(target=event.wait)
    other.start()
    yield
    event.set()
    other.join()


def test_beside_threads_workers_are_spawned(path, thread, monkeypatch):
    methods = []
    monkeypatch.setattr(pool, "has_other_threads", lambda: methods.append(1) or True)
    schema = {
        **SCHEMA,
        "kind": "category[a,b]",
        "shape": "float32[*,2]",
        "zip": "zstd(json, dict=0)",
    }
    samples = [
        {**row(i), "kind": "ab"[i % 2], "shape": np.ones((i % 5, 2), np.float32), "zip": [i]}
        for i in range(150)
    ]
    make_dataset(samples, path, schema, num_workers=2)
    ds = dsrecords.open(path)
    assert methods and len(ds) == 150
    assert ds[149]["zip"] == [149] and ds[149]["shape"].shape == (4, 2)


def test_functions_go_to_spawned_workers_by_name(path, thread):
    make_dataset([[i] for i in range(5)], path, [save_odd], num_workers=1)
    assert list(dsrecords.IndexedRecordDataset(path, deserializers=[int])) == [
        (i,) for i in range(5)
    ]


def test_a_function_that_does_not_pickle_is_an_error_beside_threads(path, thread, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)  # as if it was not installed
    lock = threading.Lock()

    def save(value):
        with lock:
            return b""

    with pytest.raises(SchemaError, match=r"does not pickle.*num_workers=0"):
        make_dataset([[1]], path, [save], num_workers=1)


def test_a_sample_that_does_not_pickle_is_named(path):
    samples = [[1], [threading.Lock()]]
    with pytest.raises(SchemaError, match=r"record 1: .*does not pickle.*num_workers=0"):
        make_dataset(samples, path, ["int8"], num_workers=1)


def die(value):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_an_error_that_says_so(path, tmp_path):
    with pytest.raises(DSRecordsError, match="a worker process ended before its work was done"):
        make_dataset([[1]], path, [die], num_workers=1)
    assert listed(tmp_path) == []


def test_the_report_is_short(path):
    long = "x" * 10**6
    samples = [{"a": 1}, *({long: 1} for _ in range(1200))]
    with pytest.warns(UserWarning, match="1200 samples"):
        make_dataset(samples, path, {"a": "int8"}, on_error="skip")
    assert len(json.dumps(dsrecords.open(path).metadata)) < 40_000
