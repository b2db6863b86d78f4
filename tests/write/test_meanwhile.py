"""What others do while a dataset is made, and files of others that have a name which is needed: nothing of theirs is lost."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from conftest import SOURCE

import dsrecords
from dsrecords import DSRecordsError, LockedError, make_dataset, repair
from dsrecords._storage import files
from dsrecords._types import budget
from dsrecords._write import create, sharded

SCHEMA = {"a": "int64"}
OTHERS = b"somebody else's"


def rows(*numbers):
    return [{"a": number} for number in numbers]


def shown(path):
    return [sample["a"] for sample in dsrecords.open(path)]


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# While samples come


def test_a_writer_that_came_meanwhile_is_not_replaced():
    writers = []

    def samples():
        yield {"a": 1}
        make_dataset(rows(7), "b.rec", SCHEMA)
        os.rename("b.rec", "a.rec")
        writers.append(dsrecords.open("a.rec"))
        writers[0].append({"a": 99})
        writers[0].flush()
        yield {"a": 2}

    with pytest.raises(LockedError):
        make_dataset(samples(), "a.rec", SCHEMA, overwrite=True)
    writers[0].append({"a": 100})
    writers[0].close()
    assert shown("a.rec") == [7, 99, 100]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["a.rec", "a.idx"])
def test_a_file_of_others_that_came_meanwhile_stays(name, overwrite):
    def samples():
        yield {"a": 1}
        Path(name).write_bytes(OTHERS)

    with pytest.raises(FileExistsError, match=name):
        make_dataset(samples(), "a.rec", SCHEMA, overwrite=overwrite)
    assert Path(name).read_bytes() == OTHERS
    assert os.listdir() == [name]


def test_a_second_maker_of_shards_does_not_replace_the_first(monkeypatch):
    real = sharded.Making._take_lock

    def locked_late(making):
        monkeypatch.setattr(sharded.Making, "_take_lock", real)
        make_dataset(rows(1, 2, 3, 4), "s.rec", SCHEMA, shards=2)
        real(making)

    monkeypatch.setattr(sharded.Making, "_take_lock", locked_late)
    with pytest.raises(FileExistsError, match=r"s\.json"):
        make_dataset(rows(5, 6), "s.rec", SCHEMA, shards=2)
    assert shown("s.json") == [1, 2, 3, 4]
    assert not list(Path().glob("*.making"))


LIVES_ON = """
import os, signal, sys, dsrecords
def samples():
    yield {"a": 1}
    if not os.fork():  # a child, such as a worker, that lives longer than the maker
        print("lives", flush=True)
        sys.stdin.read()
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
dsrecords.make_dataset(samples(), "s.rec", {"a": "int64"}, shard_size=4096)
"""


def test_a_child_of_a_maker_of_shards_that_was_killed_does_not_keep_the_lock():
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r}){LIVES_ON}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout.readline() == "lives\n"
        maker.wait()
        make_dataset(rows(1), "s.rec", SCHEMA, shard_size=4096)
    assert shown("s.json") == [1]


def test_a_child_of_a_maker_of_shards_that_failed_does_not_keep_the_lock():
    end, live = os.pipe()
    children = []

    def samples():
        yield {"a": 1}
        child = os.fork()
        if not child:
            os.close(live)
            os.read(end, 1)
            os._exit(0)
        children.append(child)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        make_dataset(samples(), "s.rec", SCHEMA, shard_size=4096)
    try:
        make_dataset(rows(1), "s.rec", SCHEMA, shard_size=4096)
    finally:
        os.close(live)
        os.waitpid(children[0], 0)
        os.close(end)
    assert shown("s.json") == [1]


def test_what_another_maker_has_left_meanwhile_is_not_removed(monkeypatch):
    real = create.Builder

    def late(*arguments, **options):
        monkeypatch.setattr(create, "Builder", real)

        def broken():
            yield from rows(1, 2, 3)
            raise RuntimeError("no more")

        with pytest.raises(RuntimeError, match="no more"):
            make_dataset(broken(), path, SCHEMA, resume=True)
        return real(*arguments, **options)

    path = "a.rec"
    monkeypatch.setattr(create, "Builder", late)
    with pytest.raises(LockedError, match="call again"):
        make_dataset(rows(1, 2, 3, 4), path, SCHEMA, resume=True)
    make_dataset(rows(1, 2, 3, 4), path, SCHEMA, resume=True)
    assert shown(path) == [1, 2, 3, 4]


# Names that are needed


def test_a_partial_of_others_stays_whoever_makes_a_dataset():
    make_dataset(rows(1, 2), "a.rec", SCHEMA)
    Path("b.rec.partial").write_bytes(OTHERS)
    for make in (
        lambda: dsrecords.open("a.rec").compact("b.rec"),
        lambda: repair("a.rec", "b.rec"),
        lambda: make_dataset(rows(1), "b.rec", SCHEMA),
    ):
        with pytest.raises(FileExistsError, match="partial"):
            make()
        assert Path("b.rec.partial").read_bytes() == OTHERS
    os.symlink("nowhere", "c.rec.partial")
    with pytest.raises(OSError, match="partial"):
        dsrecords.open("a.rec").compact("c.rec")


@pytest.mark.parametrize("resume", [False, True])
def test_the_name_of_before_of_a_dataset_that_is_whole_is_no_other_maker(resume):
    make_dataset(rows(1, 2), "a.rec", SCHEMA)
    os.link("a.rec", "a.rec.partial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_dataset(rows(3), "a.rec", SCHEMA, overwrite=True, resume=resume)
    assert shown("a.rec") == [3]
    assert sorted(os.listdir()) == ["a.idx", "a.rec"]


@pytest.mark.parametrize(
    ("name", "overwrite"),
    [
        ("s.json.making", False),
        ("s.json.making", True),
        ("s-00000-of-00002.idx", False),
        ("s-00000-of-00002.idx", True),
        ("s-00001-of-00003.rec", True),
        ("s-00001-of-00003.rec", False),
    ],
)
def test_files_of_others_stay_where_shards_are_made(name, overwrite):
    Path(name).write_bytes(OTHERS)
    with pytest.raises(FileExistsError, match=name):
        make_dataset(rows(1, 2), "s.rec", SCHEMA, shards=2, overwrite=overwrite)
    assert os.listdir() == [name]
    assert Path(name).read_bytes() == OTHERS


def test_only_what_makers_add_to_a_name_is_what_they_have_left():
    Path("s-00001.shard.txt").write_bytes(OTHERS)
    make_dataset(rows(1, 2), "s.rec", SCHEMA, shards=2)
    assert Path("s-00001.shard.txt").read_bytes() == OTHERS


def test_when_a_name_cannot_be_given_the_new_files_stay(monkeypatch):
    make_dataset(rows(1, 2), "s.rec", SCHEMA, shards=2)
    real = files.rename

    def rename(source, target):
        if target.endswith("00001-of-00002.rec"):
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(files, "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        make_dataset(rows(3, 4), "s.rec", SCHEMA, shards=2, overwrite=True)
    monkeypatch.setattr(files, "rename", real)
    assert [shown(path) for path in Path().glob("*.shard")] == [[4]]


# Errors


def test_a_picture_that_cannot_be_opened_is_a_bad_sample_and_not_a_failing_disk():
    class Pictures:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index == 1:
                return {"i": PIL.Image.open(io.BytesIO(b"no picture"))}
            return {"i": np.zeros((2, 2, 3), np.uint8)}

    with pytest.warns(UserWarning, match="1 sample was left out: UnidentifiedImageError"):
        make_dataset(Pictures(), "a.rec", {"i": "png"}, on_error="skip")
    assert len(dsrecords.open("a.rec")) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DSRecordsError("no")], ids=repr)
def test_a_call_that_is_interrupted_is_over(error):
    def fails():
        budget.claim(2**29, 0)
        raise error

    for _ in range(5):  # together they would be too much
        with pytest.raises(type(error)):
            budget.in_call(fails)
    assert budget.in_call(budget.spent) == 0


@pytest.mark.parametrize("name", ["run:1.rec", "a\\b.rec", "a\udcff.rec"])
def test_a_name_that_a_manifest_cannot_state_is_refused_at_once(name):
    with pytest.raises(ValueError, match="a manifest cannot name such a file"):
        make_dataset(rows(1, 2), name, SCHEMA, shards=2)
    assert os.listdir() == []


def test_the_size_of_a_shard_includes_its_metadata():
    metadata = {"k": "z" * 6000}
    make_dataset(rows(*range(2000)), "s.rec", SCHEMA, shard_size=12_000, metadata=metadata)
    sizes = [path.stat().st_size for path in Path().glob("*.rec")]
    assert len(sizes) > 3
    assert max(sizes) <= 12_000


def test_a_manifest_that_a_killed_maker_was_writing_is_removed():
    Path("s.json.0123abcd.tmp").write_bytes(b"{")
    Path("s.json.0123abc.tmp").write_bytes(OTHERS)
    make_dataset(rows(1, 2), "s.rec", SCHEMA, shards=2)
    assert [str(path) for path in Path().glob("*.tmp")] == ["s.json.0123abc.tmp"]
