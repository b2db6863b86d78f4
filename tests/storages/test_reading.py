"""From every storage the same is read of a dataset, and the same is said of a damaged one."""

import copy
import os
import pickle
import shutil
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import ways
from conftest import SCHEMA, flip, frames, row, rows
from memory import MemoryFile, MemoryStorage

import dsrecords
from dsrecords import IndexedRecordDataset, io, make_dataset
from dsrecords._read import snapshot
from dsrecords._storage import registry
from dsrecords._storage.local import LocalStorage
from dsrecords.errors import CorruptError, ReadOnlyError, StaleViewError

EVERYTHING = SCHEMA | {"array": "float32[2,3]", "tokens": "uint16[*]"}
WIDE = EVERYTHING | {f"n{i}": "int64" for i in range(40)}  # of which rows have no heads
NUMBERS = {"a": "int32", "b": "float64"}
VERIFY = [True, False, "always"]


def wide_row(i):
    array = np.arange(6, dtype=np.float32).reshape(2, 3) + i
    return row(i) | {"array": array, "tokens": np.arange(i % 5, dtype=np.uint16)}


def row_of(i, schema):
    return dict.fromkeys(schema, i) | wide_row(i)


def numbers_row(i):
    return {"a": i, "b": i / 2}


class Local:
    """Where datasets are: beside those that are made, in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder / "published"
        self.folder.mkdir()

    def name(self, path):
        return str(self.folder / os.path.basename(path))

    def put(self, path):
        """Put a file, or a new version of it, where it is read."""
        new = f"{self.name(path)}.new"
        shutil.copy(path, new)
        os.replace(new, self.name(path))

    def change(self, path):
        """Bring a file up to date in place."""
        with open(path, "rb") as source, open(self.name(path), "r+b") as target:
            target.write(source.read())


class Memory:
    """Where datasets are: in memory, beneath names that are no paths."""

    def __init__(self):
        self.files = {}

    def name(self, path):
        return f"memory://{os.path.basename(path)}"

    def put(self, path):
        with open(path, "rb") as file:
            self.files[self.name(path)] = MemoryFile(file.read())

    def change(self, path):
        with open(path, "rb") as file:
            self.files[self.name(path)].data[:] = file.read()

    def open(self, name):
        return MemoryStorage(self.files, name)


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path, monkeypatch):
    if request.param == "local":
        return Local(tmp_path)
    memory = Memory()
    monkeypatch.setattr(registry, "_openers", {})
    registry.register("memory", memory.open)
    return memory


@pytest.fixture
def made(path):
    make_dataset(map(wide_row, range(40)), path, EVERYTHING)
    return path


@pytest.fixture(params=[EVERYTHING, WIDE], ids=["heads in rows", "heads in the log"])
def schema(request):
    return request.param


@pytest.fixture
def made_of(path, schema):
    """The same, with rows of either kind in its index."""
    make_dataset((row_of(i, schema) for i in range(40)), path, schema)
    return path


class Counting(Memory):
    """The same, which counts how often storages are asked to ensure something."""

    def __init__(self):
        super().__init__()
        self.opened = []

    def open(self, name):
        storage = super().open(name)
        self.opened.append(storage)
        return storage

    def calls(self):
        return sum(storage.calls for storage in self.opened)


def index_of(path):
    return path.removesuffix(".rec") + ".idx"


def publish(place, path):
    """Put a dataset where it is read. Returns its name there."""
    place.put(path)
    if os.path.exists(index_of(path)):
        place.put(index_of(path))
    return place.name(path)


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        equal = np.array_equal(np.ma.getdata(a), np.ma.getdata(b))
        masks = np.array_equal(np.ma.getmaskarray(a), np.ma.getmaskarray(b))
        return a.dtype == b.dtype and masks and (equal or np.ma.is_masked(a))
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b and type(a) is type(b)


# What is read


@pytest.mark.parametrize("verify", VERIFY)
def test_samples_one_by_one(place, made, verify):
    ds = dsrecords.open(publish(place, made), verify=verify)
    assert len(ds) == 40
    for i in [7, 39, 0, -1, -40, *range(40)]:
        assert same(ds[i], wide_row(i % 40))
    for i in (40, -41):
        with pytest.raises(IndexError):
            ds[i]


@pytest.mark.parametrize("verify", VERIFY)
def test_parts_of_samples(place, made, verify):
    ds = dsrecords.open(publish(place, made), verify=verify)
    for i in (3, 39, 3):
        for key in EVERYTHING:
            assert same(ds[i, key], wide_row(i)[key])
        assert same(ds[i, ["text", "label"]], {key: wide_row(i)[key] for key in ("text", "label")})
        assert same(ds[i], wide_row(i))  # of which some parts are verified already


@pytest.mark.parametrize("verify", VERIFY)
def test_batches_and_columns(place, made, verify):
    ds = dsrecords.open(publish(place, made), verify=verify)
    own = dsrecords.open(made)
    for indices in ([5, 1, 1, 39, -2], [7], [], slice(None), range(3, 30, 4)):
        assert same(ds.batch(indices), own.batch(indices))
        assert same(ds.batch(indices, ["text"]), own.batch(indices, ["text"]))
    ds = dsrecords.open(publish(place, made), verify=verify)
    for key in EVERYTHING:
        assert same(ds.column(key), own.column(key))
    out = np.empty((3, 2, 3), np.float32)
    assert ds.batch([1, 2, 3], ["array"], out={"array": out})["array"] is out
    assert same(out, own.batch([1, 2, 3], ["array"])["array"])


@pytest.mark.parametrize("verify", VERIFY)
def test_iteration_and_what_a_loader_asks_for(place, made, verify):
    ds = dsrecords.open(publish(place, made), verify=verify)
    assert same(ds.__getitems__([9, 8, 30]), [wide_row(i) for i in (9, 8, 30)])
    assert same(list(ds), list(map(wide_row, range(40))))


@pytest.mark.parametrize("verify", VERIFY)
@pytest.mark.parametrize("schema", [NUMBERS, list(NUMBERS.values())])
def test_records_of_numbers(place, path, verify, schema):
    samples = list(map(numbers_row, range(3000)))
    if isinstance(schema, list):
        samples = [tuple(sample.values()) for sample in samples]
    make_dataset(samples, path, schema)
    ds = dsrecords.open(publish(place, path), verify=verify)
    assert [ds[i] for i in (2999, 0, 1500)] == [samples[i] for i in (2999, 0, 1500)]
    assert list(ds) == samples
    assert [ds[i] for i in range(3000)] == samples
    key = 0 if isinstance(schema, list) else "a"
    assert ds.column(key).tolist() == list(range(3000))
    assert ds[17, key] == 17


@pytest.mark.parametrize("schema", [NUMBERS, NUMBERS | {"text": "str"}])
def test_heads_that_are_verified_together(place, path, schema):
    samples = [numbers_row(i) | {"text": "x" * (i % 9)} for i in range(5000)]
    samples = [{key: sample[key] for key in schema} for sample in samples]
    make_dataset(samples, path, schema)
    ds = dsrecords.open(publish(place, path))
    order = np.random.default_rng(3).permutation(5000).tolist()
    assert [ds[i] for i in order] == [samples[i] for i in order]


def test_views_in_memory(place, made):
    ds = dsrecords.open(publish(place, made))
    view = ds[[5, 1, 39, 5]][::-1]
    assert len(view) == 4
    assert same(list(view), [wide_row(i) for i in (5, 39, 1, 5)])
    assert same(view[1], wide_row(39))
    assert view.column("label").tolist() == [5, 39, 1, 5]
    assert same(ds[np.arange(40) > 37].batch([1, 0])["text"], [row(39)["text"], row(38)["text"]])


def test_views_without_copies_are_read_only(place, made):
    ds = dsrecords.open(publish(place, made), copy=False)
    array = ds[7]["array"]
    assert same(array, wide_row(7)["array"])
    assert not array.flags.writeable


def test_a_record_that_is_larger_than_what_is_read_ahead(place, path, monkeypatch):
    monkeypatch.setattr(snapshot, "LARGEST_AHEAD", 100)
    samples = [{"a": bytes([i]) * 5000, "b": bytes([i]) * 3} for i in range(5)]
    make_dataset(samples, path, {"a": "bytes", "b": "bytes"})
    name = publish(place, path)
    assert [dsrecords.open(name)[i] for i in range(5)] == samples
    assert list(dsrecords.open(name)) == samples
    assert dsrecords.open(name).batch([4, 2])["b"] == [b"\4" * 3, b"\2" * 3]
    assert dsrecords.open(name).column("a")[3] == b"\3" * 5000


def test_threads_share_what_is_open(place, made):
    ds = dsrecords.open(publish(place, made))
    wrong = []

    def reads(seed):
        for i in np.random.default_rng(seed).permutation(40).tolist() * 3:
            one = same(ds[i], wide_row(i))
            if not one or ds.batch([i])["label"].tolist() != [i]:
                wrong.append(seed)

    threads = [threading.Thread(target=reads, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_copies_open_the_same_files(place, made):
    name = publish(place, made)
    ds = dsrecords.open(name)
    assert ds.path == name
    for twin in (pickle.loads(pickle.dumps(ds)), copy.copy(ds), copy.deepcopy(ds[[3, 4]])):
        assert same(twin[-1], wide_row(4 if len(twin) == 2 else 39))
        assert twin.path == name


@pytest.mark.parametrize("verify", VERIFY)
def test_many_records_are_asked_for_together(path, monkeypatch, verify, schema):
    memory = Counting()
    monkeypatch.setattr(registry, "_openers", {"memory": memory.open})
    make_dataset((row_of(i, schema) for i in range(1000)), path, schema)
    name = publish(memory, path)

    def calls_of(read):
        ds = dsrecords.open(name, verify=verify)
        before = memory.calls()
        read(ds)
        return memory.calls() - before

    of_heads = int(schema is WIDE)  # they are in the index, or must be asked for
    of_payloads = 1
    assert calls_of(lambda ds: ds.batch(range(1000))) == of_heads + of_payloads
    assert calls_of(lambda ds: ds.batch([5])) == of_heads + of_payloads
    assert calls_of(lambda ds: ds.column("label")) == of_heads
    assert calls_of(lambda ds: ds.batch([7, 900], ["label", "score"])) == of_heads
    assert calls_of(lambda ds: ds[5, "label"]) == of_heads


# Revisions


def revise(path, schema):
    """Let most records of a dataset of 40 be revisions, some of revisions. Returns what its samples are."""
    samples = [row_of(i, schema) for i in range(40)]
    keys = [key for key in EVERYTHING if key not in ("label", "array")]
    with dsrecords.open(path) as ds:
        for i in range(2, 40):
            other = row_of(i + 7, schema)
            parts = {j: {keys[i % len(keys)]: other[keys[i % len(keys)]]} for j in (i - 2, i)}
            ds.update(parts, partial=True)
            for j, part in parts.items():
                samples[j] = samples[j] | part
        ds.update({i: {"label": 100 + i} for i in range(30)}, partial=True)
    return [sample | {"label": 100 + i} if i < 30 else sample for i, sample in enumerate(samples)]


REVISED = {}  # files and samples of each schema: made once


def revised(path, schema):
    """Put such a dataset in the place of another one. Returns what its samples are."""
    if len(schema) not in REVISED:
        samples = revise(path, schema)
        REVISED[len(schema)] = Path(path).read_bytes(), Path(index_of(path)).read_bytes(), samples
    log, index, samples = REVISED[len(schema)]
    Path(path).write_bytes(log)
    Path(index_of(path)).write_bytes(index)
    return [dict(sample) for sample in samples]


@pytest.mark.exhaustive
@pytest.mark.parametrize("verify", VERIFY)
@pytest.mark.parametrize("way", ways.WAYS)
def test_revisions(place, made_of, schema, verify, way):
    samples = ways.plain_records(revised(made_of, schema))
    name = publish(place, made_of)
    ds = dsrecords.open(name, verify=verify)
    for _ in range(2):
        ways.check(way, ds, samples, list(EVERYTHING))


@pytest.mark.parametrize("verify", VERIFY)
def test_parts_of_revisions(place, made_of, schema, verify):
    samples = ways.plain_records(revised(made_of, schema))
    ds = dsrecords.open(publish(place, made_of), verify=verify)
    for i in (30, 7, 30, 39):
        for key in EVERYTHING:
            assert ways.plain(ds[i, key]) == samples[i][key]
            assert ways.records(ds.batch([i, 5], [key]))[0][key] == samples[i][key]
    ways.check_all(ds, samples, list(EVERYTHING))


@pytest.mark.parametrize("verify", VERIFY)
def test_revisions_are_asked_for_together(made_of, schema, monkeypatch, verify):
    memory = Counting()
    monkeypatch.setattr(registry, "_openers", {"memory": memory.open})
    revised(made_of, schema)
    ds = dsrecords.open(publish(memory, made_of), verify=verify)
    of_heads = int(schema is WIDE)
    for fields in (["text"], ["text", "tokens", "blob"]):
        before = memory.calls()
        ds.batch(slice(None), fields)
        assert memory.calls() - before == of_heads + 1 + 1  # records, tables, payloads


@pytest.mark.parametrize("without", ["a slot for the edits", "an index"])
def test_revisions_that_the_index_does_not_know(place, made_of, schema, without):
    shutil.copy(index_of(made_of), f"{index_of(made_of)}.old")
    samples = ways.plain_records(revise(made_of, schema))
    os.replace(f"{index_of(made_of)}.old", index_of(made_of))
    if without == "an index":
        os.remove(index_of(made_of))
    ds = dsrecords.open(publish(place, made_of))
    ways.check_all(ds, samples, list(EVERYTHING))


def test_heads_that_are_verified_together_are_asked_for_together(path, monkeypatch):
    memory = Counting()
    monkeypatch.setattr(registry, "_openers", {"memory": memory.open})
    make_dataset(map(numbers_row, range(3000)), path, NUMBERS)
    ds = dsrecords.open(publish(memory, path))
    for i in np.random.default_rng(3).permutation(3000).tolist():
        assert ds[i] == numbers_row(i)
    assert memory.calls() < 20


# Files as writers leave them


def edited(path):
    """A dataset with edits that its index does not know, and what is in it."""
    ds = IndexedRecordDataset(path, schema=SCHEMA)
    ds.extend(rows(20))
    ds.flush()
    place = index_of(path)
    shutil.copy(place, f"{place}.old")
    ds[3] = row(30)
    ds[17] = row(31)
    ds.append(row(32))
    ds.quick_remove_at(5)
    del ds[9]
    samples = list(ds)
    ds.close()
    os.replace(f"{place}.old", place)
    return samples


def test_edits_that_the_index_does_not_know(place, path):
    samples = edited(path)
    name = publish(place, path)
    ds = dsrecords.open(name)
    another = dsrecords.open(name)  # the entries that an edit changed are this process's alone
    assert list(ds) == list(another) == samples
    assert ds.check() == []


def test_a_dataset_without_an_index(place, path):
    samples = edited(path)
    os.remove(index_of(path))
    name = publish(place, path)
    ds = dsrecords.open(name)
    assert list(ds) == samples
    assert ds.check() == []
    with pytest.raises(FileNotFoundError):
        dsrecords.open(name, index_path=index_of(name))


def test_an_empty_dataset(place, path):
    make_dataset([], path, SCHEMA)
    ds = dsrecords.open(publish(place, path))
    assert len(ds) == 0
    assert list(ds) == ds.check() == []


def test_a_dataset_that_is_not_there(place, made):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        dsrecords.open(place.name(made))


def test_a_dataset_that_is_there_is_not_created(place, made):
    name = publish(place, made)
    ds = IndexedRecordDataset(name, schema=EVERYTHING)
    assert same(list(ds), list(map(wide_row, range(40))))
    with pytest.raises(dsrecords.SchemaError):
        IndexedRecordDataset(name, schema=SCHEMA)


def test_a_file_that_is_no_dataset(place, path):
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + bytes(range(200)))
    with pytest.raises(CorruptError, match="not a DSRecords file: it seems to be"):
        dsrecords.open(publish(place, path))


def test_what_is_appended_is_seen_after_a_refresh(place, path):
    with IndexedRecordDataset(path, schema=SCHEMA) as writer:
        writer.extend(rows(5))
        writer.flush()
        ds = dsrecords.open(publish(place, path))
        assert list(ds) == rows(5)
        writer.extend(rows(5, 9))
        writer[2] = row(11)
        place.change(path)
        assert list(ds) == rows(5)
        ds.refresh()
        assert list(ds) == [row(i) for i in (0, 1, 11, 3, 4, 5, 6, 7, 8)]


def test_a_dataset_that_is_replaced_is_seen_after_a_refresh(place, made, tmp_path):
    name = publish(place, made)
    ds = dsrecords.open(name)
    assert same(ds[1], wide_row(1))
    make_dataset([wide_row(8)], made, EVERYTHING, overwrite=True)
    publish(place, made)
    assert same(ds[2], wide_row(2))
    ds.refresh()
    assert same(list(ds), [wide_row(8)])
    view = dsrecords.open(name)
    publish(place, made)
    with pytest.raises(StaleViewError):
        view.save_view(str(tmp_path / "stale.idx"))


def test_a_view_file(place, made, tmp_path):
    saved = str(tmp_path / "view.idx")
    dsrecords.open(made)[[7, 3]].save_view(saved)
    name = publish(place, made)
    place.put(saved)
    view = dsrecords.open(name, index_path=place.name(saved))
    assert same(list(view), [wide_row(7), wide_row(3)])
    dsrecords.open(name)[[1, 2]].save_view(saved, overwrite=True)  # a local view of any file
    assert same(list(dsrecords.open(name, index_path=saved)), [wide_row(1), wide_row(2)])


# Damage


@pytest.mark.parametrize("verify", [True, "always"])
def test_a_damaged_record(place, made_of, verify, schema):
    damaged = frames(made_of)[34]
    flip(made_of, damaged.offset + damaged.size - 4)  # in its last payload
    name = publish(place, made_of)
    ds = dsrecords.open(name, verify=verify)
    for read in (
        lambda: ds[34],
        lambda: ds[34, "tokens"],
        lambda: ds.batch([1, 34]),
        lambda: ds.column("tokens"),
        lambda: list(ds),
    ):
        with pytest.raises(CorruptError) as caught:
            read()
        error = caught.value
        assert (error.record, error.field) == (34, "tokens")
        assert error.file == name
        assert damaged.offset < error.offset < damaged.offset + damaged.size
    assert same(ds[34, "text"], wide_row(34)["text"])
    skipping = dsrecords.open(name, verify=verify, on_error="skip")
    assert len(list(skipping)) == 39
    assert [error.record for error in skipping.skipped] == [34]


@pytest.mark.parametrize("at", [0, 4, 8, 17, 30])
def test_a_damaged_head(place, made_of, at, schema):
    flip(made_of, frames(made_of)[30].offset + at)
    ds = dsrecords.open(publish(place, made_of))
    for read in (
        lambda: ds[30]["label"],
        lambda: ds.batch([30])["label"],
        lambda: ds.column("label")[30],
    ):
        if schema is EVERYTHING:  # what is read is the copy of it in the index
            assert read() == 30
            continue
        with pytest.raises(CorruptError) as caught:
            read()
        assert caught.value.record == 30
    assert [problem.record for problem in ds.check()] == [30]
    assert same(ds[29], row_of(29, schema))


@pytest.mark.exhaustive
@pytest.mark.parametrize("at", range(0, 96, 5))
def test_a_damaged_row_of_the_index(place, made_of, at, schema):
    row_size = 96 if schema is EVERYTHING else 16
    size = os.path.getsize(index_of(made_of))
    flip(index_of(made_of), size - row_size * 10 + at % row_size)
    ds = dsrecords.open(publish(place, made_of))
    for read in (
        lambda: ds[30],
        lambda: ds[30, "label"],
        lambda: ds.batch([1, 30]),
        lambda: ds.column("label"),
        lambda: list(ds),
    ):
        with pytest.raises(CorruptError) as caught:
            read()
        assert caught.value.record == 30
    assert [problem.record for problem in ds.check()] == [30]
    assert same(ds[29], row_of(29, schema))


def test_check_finds_nothing_or_says_where(place, made):
    assert dsrecords.open(publish(place, made)).check() == []
    damaged = frames(made)[12].offset
    flip(made, damaged + 20)
    flip(index_of(made), 30)  # in a slot that was never written
    name = publish(place, made)
    problems = dsrecords.open(name).check()
    own = dsrecords.open(made).check()
    assert [str(problem) for problem in problems] == [
        str(problem).replace(made, name).replace(index_of(made), index_of(name)) for problem in own
    ]
    assert problems[0].record == 12
    assert len(problems) == 2


def test_a_dataset_that_was_cut_short(place, made):
    name = publish(place, made)
    ds = dsrecords.open(name)
    os.truncate(made, frames(made)[39].offset + 8)
    publish(place, made)
    with pytest.raises(CorruptError):
        dsrecords.open(name)
    assert same(ds[39], wide_row(39))  # of the version that was opened
    report = dsrecords.repair(name)
    assert (report.records, report.lost) == (39, [39])


def test_a_damaged_dataset_is_saved_to_a_local_file(place, made_of, tmp_path, schema):
    damaged = frames(made_of)[12]
    flip(made_of, damaged.offset + damaged.size - 8)
    report = dsrecords.repair(publish(place, made_of), tmp_path / "saved.rec")
    assert (report.records, report.lost) == (39, [12])
    assert same(dsrecords.open(report.output)[12], row_of(13, schema))


# Files of dsrecords 0.4


@pytest.fixture
def old(path):
    """A file of 0.4 with five records: a number and a string."""
    data, offsets = bytearray(1024), []
    for i in range(5):
        offsets.append(len(data))
        payloads = [struct.pack("<i", i), f"text {i}".encode()]
        data += struct.pack("<2Q", *map(len, payloads)) + b"".join(payloads)
    with open(path, "wb") as file:
        file.write(data)
    with open(index_of(path), "wb") as file:
        file.write(struct.pack("<6Q", 5, *offsets))
    return path


def test_a_file_of_0_4(place, old):
    functions = [io.load_int, io.load_str]
    name = publish(place, old)
    ds = IndexedRecordDataset(name, functions, create=False)
    expected = [(i, f"text {i}") for i in range(5)]
    assert list(ds) == [ds[i] for i in range(5)] == expected
    assert list(ds.batch([4, 0])[1]) == ["text 4", "text 0"]
    assert ds.check() == []
    with pytest.raises(ReadOnlyError):
        ds.append((1, "x"))
    os.truncate(old, os.path.getsize(old) - 1)
    publish(place, old)
    with pytest.raises(CorruptError, match="does not fit"):
        IndexedRecordDataset(name, functions, create=False)


def test_a_file_of_0_4_is_upgraded_to_a_local_one(place, old, tmp_path):
    schema = ["int32", "str"]
    new, _ = dsrecords.upgrade(publish(place, old), tmp_path / "new.rec", schema)
    assert list(dsrecords.open(new)) == [(i, f"text {i}") for i in range(5)]


def test_a_file_of_0_4_without_its_index(place, old):
    os.remove(index_of(old))
    with pytest.raises(CorruptError, match="without its index"):
        IndexedRecordDataset(publish(place, old), [io.load_int, io.load_str], create=False)


# What only a local file can do


CHANGES = [
    lambda ds: ds.append(wide_row(1)),
    lambda ds: ds.extend([wide_row(1)]),
    lambda ds: ds.__setitem__(3, wide_row(1)),
    lambda ds: ds.__delitem__(3),
    lambda ds: ds.compact(),
    lambda ds: ds.drop_fields(["text"]),
]


@pytest.mark.parametrize("change", CHANGES)
def test_only_local_files_are_written_to(tmp_path, made, monkeypatch, change):
    memory = Memory()
    monkeypatch.setattr(registry, "_openers", {"memory": memory.open})
    ds = dsrecords.open(publish(memory, made))
    with pytest.raises(ReadOnlyError, match="this machine"):
        change(ds)
    assert len(ds) == 40
    assert same(ds[3], wide_row(3))
    ds.close()


def test_a_copy_without_dead_bytes_is_written_beside(made, tmp_path, monkeypatch):
    memory = Memory()
    monkeypatch.setattr(registry, "_openers", {"memory": memory.open})
    ds = dsrecords.open(publish(memory, made))
    new, _ = ds[[4, 2]].compact(tmp_path / "new.rec")
    assert same(list(dsrecords.open(new)), [wide_row(4), wide_row(2)])


# Which storage reads a path


def test_a_path_of_a_scheme_that_nobody_registered_is_a_local_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert registry.absolute("other://data.rec") == os.path.abspath("other://data.rec")
    with pytest.raises(FileNotFoundError):
        registry.open_storage("other://data.rec")
    (tmp_path / "other:").mkdir()
    (tmp_path / "other:" / "data.rec").write_bytes(b"bytes")
    storage = registry.open_storage("other://data.rec")
    assert isinstance(storage, LocalStorage)
    assert storage.read(0, 9) == b"bytes"
    assert registry.version_at("other://data.rec") == storage.version()


def test_names_of_a_scheme_stay_as_they_are(monkeypatch):
    memory = Memory()
    monkeypatch.setattr(registry, "_openers", {"memory": memory.open})
    assert registry.absolute("memory://a/../data.rec") == "memory://a/../data.rec"
    assert registry.version_at("memory://data.rec") is None
    assert not registry.exists("memory://data.rec")
    memory.files["memory://data.rec"] = MemoryFile(b"")
    assert registry.version_at("memory://data.rec") is not None
    assert registry.exists("memory://data.rec")
    assert isinstance(registry.open_storage("memory://data.rec"), MemoryStorage)
