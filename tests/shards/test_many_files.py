"""Many files as one dataset, against one file of the same records."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import frames, python

import dsrecords
from dsrecords import IndexedRecordDataset
from dsrecords._shards import pool, snapshot
from dsrecords._storage import files
from dsrecords._storage.memory import place_of

COUNT = 120
SHARDS = 6
SCHEMA = {"points": "float32[4]", "label": "int64", "name": "str?", "level": "uint8?"}


def sample(i):
    return {
        "points": np.arange(4, dtype="f4") + i,
        "label": i,
        "name": None if i % 7 == 0 else f"record {i}" * (i % 3),
        "level": None if i % 5 == 0 else i % 256,
    }


def write(folder, schema=SCHEMA, make=sample):
    rows = [make(i) for i in range(COUNT)]
    dsrecords.make_dataset(rows, folder / "one.rec", schema)
    for number in range(SHARDS):
        part = rows[number * COUNT // SHARDS : (number + 1) * COUNT // SHARDS]
        dsrecords.make_dataset(part, folder / f"part-{number + 7}.rec", schema)


@pytest.fixture(params=["records", "numbers"])
def both(request, tmp_path):
    """One file, and many with the same records."""
    if request.param == "numbers":
        write(tmp_path, {"x": "float64", "label": "int32"}, lambda i: {"x": i / 3, "label": i})
    else:
        write(tmp_path)
    one = dsrecords.open(tmp_path / "one.rec")
    return one, dsrecords.open(tmp_path / "part-*.rec")


def test_lengths_windows_and_samplers_are_those_of_one_file(tmp_path):
    def tokens(i):
        return {"tokens": None if i % 9 == 0 else np.arange(i % 5, dtype=np.int32) + i, "label": i}

    write(tmp_path, {"tokens": "int32[*]?", "label": "int64"}, tokens)
    one, many = dsrecords.open(tmp_path / "one.rec"), dsrecords.open(tmp_path / "part-*.rec")
    for order in (slice(None), slice(None, None, -3), dsrecords.Permutation(COUNT, 1)):
        a, b = one[order], many[order]
        assert b.lengths("tokens").tolist() == a.lengths("tokens").tolist()
        assert np.array_equal(
            b.windows("tokens", 7).batch(slice(None)), a.windows("tokens", 7).batch(slice(None))
        )
    for options in (
        {"batch_size": 7},
        {"batch_size": dsrecords.MaxTokens(20, "tokens")},
        {"batch_size": 5, "window": 20},
    ):
        steps = [list(dsrecords.Sampler(ds, seed=3, **options)) for ds in (one, many)]
        assert len(steps[0]) == len(steps[1]) > 10
        assert all(np.array_equal(a, b) for a, b in zip(*steps))
    sampler = dsrecords.Sampler(many, 8, seed=2)
    state = sampler.state_dict(step=3)
    dsrecords.Sampler(dsrecords.open(tmp_path / "part-*.rec"), 8).load_state_dict(state)
    with pytest.raises(ValueError, match="dataset"):
        dsrecords.Sampler(many[1:], 8).load_state_dict(state)


def test_windows_of_many_files_read_no_payload_to_know_where_they_are(tmp_path, monkeypatch):
    write(tmp_path, {"tokens": "int32[*]"}, lambda i: {"tokens": np.arange(i % 5, dtype=np.int32)})
    many = dsrecords.open(tmp_path / "part-*.rec")
    monkeypatch.setattr("dsrecords._types.arrays.view", None)
    assert len(many.windows("tokens", 7)) == sum(i % 5 for i in range(COUNT)) // 7


@pytest.mark.parametrize(
    "schema", [{"x": "float64", "label": "int32?"}, {"label": "int32?", "name": "str"}]
)
def test_numbers_here_and_there_are_those_of_one_file_however_often_one_asks(
    tmp_path, monkeypatch, schema
):
    def make(i):
        return {"x": i / 3, "label": None if i % 5 == 0 else i, "name": str(i)}

    write(tmp_path, schema, lambda i: {key: make(i)[key] for key in schema})
    one, many = dsrecords.open(tmp_path / "one.rec"), dsrecords.open(tmp_path / "part-*.rec")
    scattered = []
    real = snapshot.numbers_scattered
    monkeypatch.setattr(
        snapshot,
        "numbers_scattered",
        lambda *given: scattered.append(real(*given)) or scattered[-1],
    )
    rng = np.random.default_rng(1)
    for _ in range(30):
        indices = rng.integers(-COUNT, COUNT, 30)
        a, b = one.batch(indices, ["label"]), many.batch(indices, ["label"])
        assert same(a, b)
    assert scattered[0] is None
    assert scattered[-1] is not None
    monkeypatch.setattr(pool, "MOST_MAPPED", 2)
    few = dsrecords.open(tmp_path / "part-*.rec")
    for _ in range(30):
        indices = rng.integers(-COUNT, COUNT, 30)
        assert same(one.batch(indices, ["label"]), few.batch(indices, ["label"]))


def test_a_record_that_is_damaged_is_told_of_when_it_is_asked_for(tmp_path):
    write(tmp_path, {"x": "float64"}, lambda i: {"x": i / 3})
    path = tmp_path / "part-9.rec"
    frame = [frame for frame in frames(path) if frame.kind in (1, 2)][7]
    flip(path, frame.offset + frame.size - 8)
    many = dsrecords.open(tmp_path / "part-*.rec")
    damaged = 2 * COUNT // SHARDS + 7
    others = np.delete(np.arange(COUNT), damaged)
    for _ in range(5):
        np.random.default_rng(0).shuffle(others)
        assert np.array_equal(many.batch(others)["x"], others / 3)
        with pytest.raises(dsrecords.CorruptError, match=r"part-9\.rec, record 7"):
            many.batch([3, damaged, 5])
    with pytest.raises(dsrecords.CorruptError, match=r"part-9\.rec, record 7"):
        many.column("x")


def test_threads_that_open_one_file_at_once_read_the_same_mapping(tmp_path, monkeypatch):
    """Two mappings of one file, of which the first is given back while somebody reads in it, would end the process."""
    write(tmp_path, {"x": "float64"}, lambda i: {"x": i / 3})
    many = dsrecords.open(tmp_path / "part-*.rec")
    gate = threading.Barrier(2)
    opened, real = [], pool.Pool._opened

    def late(self, number):
        part = real(self, number)
        opened.append(part)
        gate.wait(60)
        return part

    monkeypatch.setattr(pool.Pool, "_opened", late)
    threads = [threading.Thread(target=many.batch, args=([3],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared = many._reading.snapshot().pool
    assert len(opened) == 2
    assert shared.parts[0] in opened
    assert int(shared.data_places[0]) == place_of(shared.parts[0].data)
    assert len(shared._mapped) == 1


def test_numbers_of_a_file_that_is_being_edited_are_those_of_its_list(tmp_path):
    for name in ("a", "b"):
        columns = {"n": np.arange(302)}
        with IndexedRecordDataset(
            tmp_path / f"{name}.rec", schema={"n": "int64"}, create=True
        ) as ds:
            ds.extend_columns(columns)
    writer = IndexedRecordDataset(tmp_path / "a.rec")
    del writer[1]
    many = dsrecords.open([tmp_path / "a.rec", tmp_path / "b.rec"])
    wanted = [0, *range(2, 302), *range(302)]
    assert many.column("n").tolist() == wanted
    assert many.batch(range(0, 603, 7))["n"].tolist() == wanted[::7]
    writer[3] = {"n": 1000}
    del writer[10]
    both = dsrecords.concat([writer, dsrecords.open(tmp_path / "b.rec")])
    assert (
        both.column("n").tolist()
        == [sample["n"] for sample in both]
        == [*writer.column("n"), *range(302)]
    )


@pytest.mark.parametrize("verify", [True, False, "always"])
def test_an_offset_of_an_index_that_was_changed_meanwhile_leads_nowhere(tmp_path, verify):
    write(tmp_path, {"t": "str", "n": "int64"}, lambda i: {"t": str(i), "n": i})
    code = f"""
import struct, sys, dsrecords
many = dsrecords.open({str(tmp_path / "part-*.rec")!r}, verify={verify!r})
many.batch(range(120))
with open({str(tmp_path / "part-8.idx")!r}, "r+b") as file:
    data = file.read()
    start = data.index(struct.pack("<Q", int(sys.argv[1])))
    file.seek(start)
    file.write(struct.pack("<Q", 2**64 - 65536))
try:
    many.batch([25, 26, 45], ["t"])
except dsrecords.CorruptError:
    pass
print("alive")
"""
    frame = [frame for frame in frames(tmp_path / "part-8.rec") if frame.kind in (1, 2)][5]
    assert python(code, str(frame.offset)) == "alive\n"


def test_a_state_of_other_records_of_the_same_files_is_refused(tmp_path):
    write(tmp_path, {"x": "float64"}, lambda i: {"x": i / 3})
    many = dsrecords.open(tmp_path / "part-*.rec")
    first, second = dsrecords.concat([many[:50]]), dsrecords.concat([many[50:100]])
    assert first.fingerprint != second.fingerprint
    state = dsrecords.Sampler(first, 8).state_dict()
    with pytest.raises(ValueError, match="another dataset"):
        dsrecords.Sampler(second, 8).load_state_dict(state)


def test_a_list_of_relative_paths_can_be_looked_at_again_elsewhere(tmp_path, monkeypatch):
    write(tmp_path, {"x": "float64"}, lambda i: {"x": i / 3})
    monkeypatch.chdir(tmp_path)
    many = dsrecords.open(["part-7.rec", "part-8.rec"])
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    many.refresh()
    assert len(many) == 2 * COUNT // SHARDS


def test_a_loop_lets_go_of_each_file_where_one_asks(both, monkeypatch):
    one, many = both
    places = []
    monkeypatch.setattr(files, "let_go", lambda *place: places.append(place))
    loose = dsrecords.open(many.path, drop_behind=True)
    assert [row["label"] for row in loose] == [row["label"] for row in one]
    assert len(places) >= SHARDS


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        return all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ma.MaskedArray):
        return a.dtype == b.dtype and a.tolist() == b.tolist()
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


KEYS = {
    "all": slice(None),
    "some": slice(5, 100, 3),
    "backwards": slice(110, 3, -7),
    "list": [3, -1, 119, 0, 3],
    "random": np.random.default_rng(0).integers(0, COUNT, 300),
    "mask": np.arange(COUNT) % 3 == 1,
    "none": [],
    "range": range(18, 23),
}


def test_numbers_in_names_are_sorted_as_numbers(tmp_path):
    write(tmp_path)
    names = [os.path.basename(path) for path in dsrecords.open(tmp_path / "part-*.rec").files]
    assert names == [f"part-{number}.rec" for number in (7, 8, 9, 10, 11, 12)]


def test_samples(both):
    one, many = both
    assert len(many) == COUNT
    assert many.schema == one.schema
    assert isinstance(many, dsrecords.IndexedRecordDataset)
    for i in (*range(COUNT), -1, -COUNT):
        assert same(one[i], many[i])
        assert one[i, "label"] == many[i, "label"]
    for wrong in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError):
            many[wrong]


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
@pytest.mark.parametrize("verify", [True, False, "always"])
def test_views_and_batches(both, key, verify):
    one, many = both
    many = dsrecords.open(many.path, verify=verify)
    assert same(one.batch(key), many.batch(key))
    assert same(one.batch(key), many.batch(key))  # once more, when it is verified
    assert same(one.batch(key, ["label"]), many.batch(key, ["label"]))
    view = many[key]
    assert all(same(a, b) for a, b in zip(one[key], view, strict=True))
    assert same(one[key][::2].batch(slice(None)), view[::2].batch(slice(None)))


def test_columns_and_iteration(both):
    one, many = both
    for field in one.fields:
        assert same(one.column(field), many.column(field))
        assert same(one.column(field), many.column(field))
    assert all(same(a, b) for a, b in zip(one, many, strict=True))
    assert all(same(a, b) for a, b in zip(one.__getitems__([5, 90]), many.__getitems__([5, 90])))


def test_a_batch_into_arrays_of_ones_own(both):
    one, many = both
    out = {"label": np.empty(50, one.column("label").dtype)}
    for indices in (np.arange(50) * 2, range(10, 60)):
        batch = many.batch(indices, ["label"], out=out)
        assert batch["label"] is out["label"]
        assert out["label"].tolist() == one.column("label")[list(indices)].tolist()


def test_views_of_memory_outlive_the_pool(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "MOST_MAPPED", 2)
    write(tmp_path)
    one = dsrecords.open(tmp_path / "one.rec")
    many = dsrecords.open(tmp_path / "part-*.rec", copy=False)
    kept = [many[i]["points"] for i in range(COUNT)]
    batch = many.batch(KEYS["random"])
    assert same(one.batch(KEYS["random"])["points"], batch["points"])
    for _ in range(20):
        assert many.column("label").tolist() == list(range(COUNT))
    parts = many._reading.snapshot().pool.parts
    assert sum(part is not None for part in parts) <= 2
    assert [points[0] for points in kept] == list(range(COUNT))


def test_threads_share_it_while_files_are_let_go_of(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "MOST_MAPPED", 2)
    write(tmp_path)
    many = dsrecords.open(tmp_path / "part-*.rec")
    wrong = []

    def read(seed):
        generator = np.random.default_rng(seed)
        for _ in range(10):
            indices = generator.integers(0, COUNT, 40)
            if many.batch(indices, ["label"])["label"].tolist() != indices.tolist():
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def labels_of(ds):
    return ds.column("label").tolist()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers(tmp_path, method):
    write(tmp_path)
    many = dsrecords.open(tmp_path / "part-*.rec")[::-1]
    context = multiprocessing.get_context(method)
    with context.Pool(1) as workers:
        assert workers.apply(labels_of, (many,)) == list(range(COUNT))[::-1]


def test_pickles_are_small_and_open_nothing(tmp_path):
    write(tmp_path)
    many = dsrecords.open(tmp_path / "part-*.rec")
    data = pickle.dumps(many[10:])
    assert len(data) < 3000
    again = pickle.loads(data)
    assert not any(again._reading.snapshot().pool.parts)
    assert same(again[0], many[10])
    assert same(copy.deepcopy(many)[7], many[7])
    path = dsrecords.merge([tmp_path / "part-*.rec"], tmp_path / "all.json")
    assert len(pickle.dumps(dsrecords.open(path))) < 1000


def test_a_file_that_was_edited_is_named_by_its_pickled_copy(tmp_path):
    write(tmp_path)
    data = pickle.dumps(dsrecords.open(tmp_path / "part-*.rec"))
    with dsrecords.open(tmp_path / "part-9.rec") as ds:
        ds.append(sample(1))
    assert labels_of(pickle.loads(data)) == list(range(COUNT))  # what is appended does not count
    with dsrecords.open(tmp_path / "part-9.rec") as ds:
        del ds[0]
    with pytest.raises(dsrecords.StaleViewError, match=r"part-9\.rec"):
        labels_of(pickle.loads(data))


def test_edits_are_refused_and_name_the_file(both):
    _, many = both
    for edit in (
        lambda: many.__setitem__(45, many[0]),
        lambda: many.__setitem__((45, "label"), 3),
        lambda: many.__delitem__(45),
        lambda: many.update({45: many[0]}),
        lambda: many.quick_remove_at(45),
    ):
        with pytest.raises(dsrecords.ReadOnlyError, match=r"record 5 of .*part-9\.rec"):
            edit()
    for edit in (
        lambda: many.append(many[0]),
        lambda: many.extend([many[0]]),
        lambda: many.set_metadata({}),
        many.compact,
        lambda: many.drop_fields("label"),
    ):
        with pytest.raises(dsrecords.ReadOnlyError, match="many files"):
            edit()
    path, position = many.shard_of(-1)
    assert (os.path.basename(path), position) == ("part-12.rec", 19)


def test_compact_makes_one_file_of_what_is_shown(both, tmp_path):
    one, many = both
    many[::-2].compact(tmp_path / "less.rec")
    assert same(
        one[::-2].batch(slice(None)), dsrecords.open(tmp_path / "less.rec").batch(slice(None))
    )


def test_refresh_and_close(tmp_path):
    write(tmp_path)
    with dsrecords.open(tmp_path / "part-*.rec") as many:
        assert many.dead_bytes == sum(dsrecords.open(path).dead_bytes for path in many.files)
        with dsrecords.open(tmp_path / "part-12.rec") as ds:
            ds.append(sample(120))
        assert len(many) == COUNT
        many.refresh()
        assert labels_of(many) == list(range(COUNT + 1))
    with pytest.raises(ValueError, match="closed"):
        many[0]


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_damage_is_of_a_file_and_of_a_position_in_it(tmp_path):
    write(tmp_path)
    path = tmp_path / "part-8.rec"
    flip(path, path.read_bytes().index(b"record 26record 26"))
    many = dsrecords.open(tmp_path / "part-*.rec")
    (problem,) = many.check(decode=True)
    assert problem.file.endswith("part-8.rec")
    i = 20 + problem.record
    for read in (lambda: many[i], lambda: many.batch(range(COUNT)), lambda: list(many)):
        with pytest.raises(dsrecords.CorruptError, match=r"part-8\.rec") as caught:
            read()
        assert caught.value.record == problem.record
    skipping = dsrecords.open(tmp_path / "part-*.rec", on_error="skip")
    assert len(skipping.batch(slice(None))["points"]) == COUNT - 1
    assert len(list(skipping)) == COUNT - 1


def test_edited_files_are_read_as_they_are_now(tmp_path):
    write(tmp_path)
    with dsrecords.open(tmp_path / "part-8.rec") as ds:
        ds[3, "label"] = 1000
        ds[5, "name"] = "another"
        del ds[0]
        ds.append(sample(7))
    many = dsrecords.open(tmp_path / "part-*.rec")
    one = [row for path in many.files for row in dsrecords.open(path)]
    assert all(same(a, b) for a, b in zip(one, many, strict=True))
    assert many.batch(slice(None), ["name"])["name"] == [row["name"] for row in one]
    assert many.batch([90, 21, 22])["label"].tolist() == [one[i]["label"] for i in (90, 21, 22)]


def test_dictionaries_of_their_own(tmp_path):
    pytest.importorskip("zstandard")
    rows = [{"text": f"a sentence that is nearly the same, number {i}" * 3} for i in range(400)]
    for number in range(2):
        part = rows[200 * number : 200 * (number + 1)]
        dsrecords.make_dataset(part, tmp_path / f"z-{number}.rec", {"text": "zstd(str)"})
    many = dsrecords.open(tmp_path / "z-*.rec")
    assert many.column("text") == [row["text"] for row in rows]
    assert many[399] == rows[399]
    path = dsrecords.merge([tmp_path / "z-*.rec"], tmp_path / "z.rec")
    assert dsrecords.open(path).column("text") == many.column("text")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import dsrecords
many = dsrecords.open(sys.argv[1])
assert many.column("label").tolist() == [i % 2 for i in range(160)]
assert len(many.batch(range(159, -1, -2))["label"]) == 80
"""


def test_more_files_than_descriptors(tmp_path):
    columns = {"label": [0, 1]}
    for number in range(80):
        dsrecords.make_dataset(columns, tmp_path / f"{number}.rec", {"label": "int64"})
    pattern = str(tmp_path / "*.rec")
    subprocess.run([sys.executable, "-c", LIMITED, pattern], check=True)


def test_concat(both):
    one, many = both
    whole = dsrecords.concat([many[30:50], one, one[::-1]])
    expected = [*range(30, 50), *range(COUNT), *reversed(range(COUNT))]
    assert labels_of(whole) == expected
    assert same(whole[25], one[5])
    assert labels_of(pickle.loads(pickle.dumps(whole))) == expected
    assert labels_of(dsrecords.concat([whole, whole[:2]])) == [*expected, 30, 31]
    assert whole.shard_of(0)[1] == 10
    assert len(dsrecords.concat([many[[]]])) == 0


def test_concat_names_the_first_difference(both, tmp_path):
    one, _ = both
    dsrecords.make_dataset([{"label": 1.5}], tmp_path / "other.rec", {"label": "float32"})
    with pytest.raises(dsrecords.SchemaError, match=r"other\.rec has label: float32"):
        dsrecords.concat([one, dsrecords.open(tmp_path / "other.rec")])
    with pytest.raises(ValueError, match="at least one"):
        dsrecords.concat([])
    with pytest.raises(TypeError, match="list of datasets"):
        dsrecords.concat([[1, 2]])


def test_what_was_joined_stays_what_it_was(tmp_path):
    write(tmp_path)
    with dsrecords.open(tmp_path / "part-7.rec") as ds:
        whole = dsrecords.concat([ds, ds[:3]])
        ds[0, "label"] = 77
        ds.append(sample(5))
        assert labels_of(whole) == [*range(20), 0, 1, 2]
        del ds[1]
        assert labels_of(whole) == [*range(20), 0, 1, 2]
    with pytest.raises(dsrecords.StaleViewError):
        labels_of(pickle.loads(pickle.dumps(whole)))


@pytest.mark.large
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_torch(tmp_path, method):
    torch_data = pytest.importorskip("torch.utils.data")
    write(tmp_path, {"label": "int64"}, lambda i: {"label": i})
    many = dsrecords.open(tmp_path / "part-*.rec")
    loader = torch_data.DataLoader(many, 16, num_workers=2, multiprocessing_context=method)
    assert [i for batch in loader for i in batch["label"].tolist()] == list(range(COUNT))
