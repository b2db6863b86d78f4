"""Files that others write to a bucket are one dataset when the manifest is there, not before."""

import pickle

import pytest
from faults import Faults

import dsrecords
from dsrecords._storage.locations import located, make_access
from dsrecords._write.gathering_elsewhere import GatheringElsewhere
from dsrecords.errors import DSRecordsError, RemoteError

pytestmark = pytest.mark.large
pytest_plugins = ["servers"]

SCHEMA = {"label": "int64"}


def write(gathering, number, labels):
    """A file, as a process anywhere writes it."""
    samples = [{"label": label} for label in labels]

    def write_to(path):
        dsrecords.make_dataset(
            samples, path, SCHEMA, metadata={"a": 1}, id=gathering.id(number), lock=gathering.locks
        )

    return gathering.add(number, write_to)


@pytest.fixture
def names(past_the_proxy):
    """A function that tells which objects the bucket has."""

    def names():
        return sorted(each["path"] for batch in past_the_proxy.list() for each in batch)

    return names


@pytest.fixture
def begin(bucket, options):
    """A function that begins a dataset."""

    def begin(overwrite=False):
        path = located(f"{bucket}/a/train.rec", make_access(options, None, None))
        found = GatheringElsewhere(path, overwrite, locks=True)
        found.begin()
        return found

    return begin


@pytest.fixture
def labels(bucket, options):
    """A function that tells the labels of a dataset of the bucket."""

    def labels(path=None):
        ds = dsrecords.open(path or f"{bucket}/a/train.json", storage_options=options)
        assert ds.check() == []
        assert ds.metadata == {"a": 1}
        return ds.column("label").tolist()

    return labels


def test_nothing_is_seen_before_it_is_finished(begin, labels, bucket, names, options):
    gathering = begin()
    files = [write(gathering, 0, [1, 2]), write(gathering, 1, [3])]
    for path in (f"{bucket}/a/", f"{bucket}/a/*.rec", f"{bucket}/a/train.json"):
        with pytest.raises(FileNotFoundError):
            dsrecords.open(path, storage_options=options)
    pattern, manifest = gathering.finish(files)
    assert manifest == f"{bucket}/a/train.json"
    assert labels() == labels(pattern) == labels(f"{bucket}/a/") == [1, 2, 3]
    assert len(names()) == 2 * 2 + 1


def test_of_two_attempts_one_counts(begin, labels, names):
    gathering = begin()
    write(gathering, 0, [1, 2])
    pattern, _ = gathering.finish([write(gathering, 0, [1, 2])])
    assert labels() == labels(pattern) == [1, 2]
    assert len(names()) == 3


def test_what_is_abandoned_leaves_nothing_and_who_is_late_gets_an_error(begin, names):
    gathering = begin()
    writer = pickle.loads(pickle.dumps(gathering))
    write(writer, 0, [1])
    writer.abandon()  # not its own
    assert len(names()) == 3
    gathering.abandon()
    assert names() == []
    with pytest.raises(DSRecordsError, match="its writing has ended"):
        write(writer, 1, [1])
    assert names() == []
    with pytest.raises(ValueError, match="has not begun"):
        writer.finish([])


def test_who_is_late_while_it_copies_removes_what_it_has_copied(begin, names):
    gathering = begin()
    writer = pickle.loads(pickle.dumps(gathering))

    def write_late(path):
        dsrecords.make_dataset([{"label": 1}], path, SCHEMA)
        gathering.abandon()

    with pytest.raises(DSRecordsError, match="its writing has ended"):
        writer.add(0, write_late)
    assert names() == []


def test_a_dataset_that_is_there_gives_way_only_when_asked(begin, labels, names, bucket, options):
    dsrecords.make_dataset(
        [{"label": 7}] * 3,
        f"{bucket}/a/train.rec",
        SCHEMA,
        metadata={"a": 1},
        shards=3,
        storage_options=options,
    )
    with pytest.raises(FileExistsError, match="overwrite=True"):
        begin()
    gathering = begin(overwrite=True)
    file = write(gathering, 0, [1])
    assert labels() == [7, 7, 7]
    gathering.finish([file])
    assert labels() == [1]
    assert len(names()) == 3
    again = begin(overwrite=True)
    again.finish([write(again, 0, [2]), write(again, 1, [3])])
    assert labels() == [2, 3]
    assert len(names()) == 5


def test_what_is_not_ours_does_not_give_way(begin, put, names):
    put("a/train.json", b"{}")
    with pytest.raises(FileExistsError, match="not ours"):
        begin(overwrite=True)
    assert names() == ["a/train.json"]


def test_of_two_at_once_the_second_to_end_is_refused(begin, labels, names):
    first = begin()
    second = begin()
    files = [write(second, 0, [2])]
    first.finish([write(first, 0, [1])])
    with pytest.raises(FileExistsError):
        second.finish(files)
    assert labels() == [1]
    assert len(names()) == 3


def test_a_bucket_that_refuses_is_told_of_at_once(begin, proxy, names):
    proxy.faults = Faults(share=1.0, kinds=("503",))
    with pytest.raises(RemoteError):
        begin()
    assert names() == []


def test_a_service_that_fails_now_and_then_changes_nothing(begin, labels, proxy, names):
    proxy.faults = Faults(seed=3, share=0.2)
    gathering = begin()
    files = [write(gathering, number, [number]) for number in range(8)]
    gathering.finish(files)
    proxy.faults.share = 0.0
    assert proxy.faults.planted > 5
    assert labels() == list(range(8))
    assert len(names()) == 2 * 8 + 1


def test_a_manifest_that_cannot_be_copied_leaves_nothing(begin, names, monkeypatch):
    from dsrecords._storage.obstore_client import ObstoreClient

    gathering = begin()
    files = [write(gathering, 0, [1])]
    put = ObstoreClient.put

    def fails(self, local, path, overwrite):
        if path.endswith(".json"):
            raise RemoteError("for a reason", file=path)
        put(self, local, path, overwrite)

    monkeypatch.setattr(ObstoreClient, "put", fails)
    with pytest.raises(RemoteError, match="for a reason"):
        gathering.finish(files)
    assert names() == []
