"""`Gathering`: files that others write are one dataset when the last one is whole, and nothing before."""

import os
import pickle

import pytest

import dsrecords
from dsrecords._write.gathering import Gathering

SCHEMA = {"label": "int64"}


def write(gathering, number, labels):
    """A file, as a process anywhere writes it."""
    samples = [{"label": label} for label in labels]

    def write_to(path):
        dsrecords.make_dataset(samples, path, SCHEMA, id=gathering.id(number))

    return gathering.add(number, write_to)


def names(folder):
    return sorted(os.listdir(folder))


@pytest.fixture
def gathering(tmp_path):
    found = Gathering(str(tmp_path / "train.rec"), overwrite=False, locks=True)
    found.begin()
    yield found
    found.abandon()


def test_nothing_is_seen_before_it_is_finished(gathering, tmp_path):
    first = write(gathering, 0, [1, 2])
    with pytest.raises(FileNotFoundError):
        dsrecords.open(tmp_path / "train-*.rec")
    with pytest.raises(FileNotFoundError):
        dsrecords.open(tmp_path)
    second = write(gathering, 1, [3])
    pattern, manifest = gathering.finish([first, second])
    assert list(dsrecords.open(manifest).column("label")) == [1, 2, 3]
    assert list(dsrecords.open(pattern).column("label")) == [1, 2, 3]  # their ids are of one run
    assert names(tmp_path) == [
        "train-00000-of-00002.idx",
        "train-00000-of-00002.rec",
        "train-00001-of-00002.idx",
        "train-00001-of-00002.rec",
        "train.json",
    ]


def test_of_two_attempts_one_counts(gathering, tmp_path):
    lost = write(gathering, 0, [1, 2])
    kept = write(gathering, 0, [1, 2])
    assert lost.path != kept.path
    _, manifest = gathering.finish([kept])
    assert len(dsrecords.open(manifest)) == 2
    assert len(names(tmp_path)) == 3


def test_what_is_abandoned_leaves_nothing(gathering, tmp_path):
    write(gathering, 0, [1])
    gathering.abandon()
    assert names(tmp_path) == []


def test_who_is_late_gets_an_error(gathering):
    writer = pickle.loads(pickle.dumps(gathering))
    write(writer, 0, [1])
    gathering.abandon()
    with pytest.raises(dsrecords.DSRecordsError, match="its writing has ended, or this machine"):
        write(writer, 1, [2])


def test_a_copy_for_writers_holds_no_lock(gathering):
    writer = pickle.loads(pickle.dumps(gathering))
    assert gathering.has_begun() and not writer.has_begun()
    writer.abandon()
    assert os.path.exists(gathering.folder)
    with pytest.raises(ValueError, match="has not begun"):
        writer.finish([])


def test_two_at_once_are_refused(gathering, tmp_path):
    other = Gathering(str(tmp_path / "train.rec"), overwrite=True, locks=True)
    with pytest.raises(dsrecords.LockedError):
        other.begin()
    assert os.path.exists(gathering.folder)


def test_a_dataset_that_is_there_gives_way_only_when_asked(tmp_path):
    dsrecords.make_dataset([{"label": 7}] * 3, tmp_path / "train.rec", SCHEMA, shards=3)
    path = str(tmp_path / "train.rec")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        Gathering(path, overwrite=False, locks=True).begin()
    replacing = Gathering(path, overwrite=True, locks=True)
    replacing.begin()
    file = write(replacing, 0, [1])
    assert list(dsrecords.open(tmp_path / "train.json").column("label")) == [7, 7, 7]
    _, manifest = replacing.finish([file])
    assert list(dsrecords.open(manifest).column("label")) == [1]
    assert len(names(tmp_path)) == 3


def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path):
    path = str(tmp_path / "train.rec")
    killed = Gathering(path, overwrite=False, locks=True)
    os.mkdir(killed.folder)
    write(killed, 0, [1])
    others = tmp_path / "train.of-somebody.writing"
    others.mkdir()
    following = Gathering(path, overwrite=False, locks=True)
    following.begin()
    assert not os.path.exists(killed.folder) and others.exists()
    following.abandon()


def test_a_file_that_is_gone_is_an_error_that_leaves_nothing(gathering, tmp_path):
    first = write(gathering, 0, [1])
    with pytest.raises(FileNotFoundError):
        gathering.finish([first, first._replace(path=first.path + "-of-another-machine")])
    assert names(tmp_path) == []
