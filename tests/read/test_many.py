"""Records of numbers, read in thousands: what is verified together, and what is still said of a single damaged one."""

import decimal
import fractions
import os

import bytes_by_hand as hand
import numpy as np
import pytest
from bytes_by_hand import NUMBER, PENDING, RECORD, REVISION, TEXT, Log
from conftest import flip

import dsrecords
from dsrecords import CorruptError, DSRecordsError, IndexedRecordDataset, make_dataset
from dsrecords._format import log as _log
from dsrecords._read import verification
from dsrecords._schema.header import read_header
from dsrecords._schema.resolve import make_schema
from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage

pytestmark = pytest.mark.slow

COUNT = 10_000
HEAD = 32  # of these records: 16, three numbers of 4 bytes, padded to 8
SCHEMA = {"x": "float32", "y": "float32", "z": "int32"}


def sample(i):
    return {"x": i / 2, "y": -float(i), "z": i}


@pytest.fixture
def numbers(tmp_path):
    path = str(tmp_path / "numbers.rec")
    make_dataset(map(sample, range(COUNT)), path, SCHEMA)
    return path


def offset_of(path, i):
    return dsrecords.open(path)._reading.snapshot().entries.ref(i).offset


def shuffled():
    return np.random.default_rng(0).permutation(COUNT)


def verified_count(ds):
    """Of how many records of the list something is verified."""
    snapshot = ds._reading.snapshot()
    rows = snapshot.entries.live_rows(0, len(ds))
    return int(np.count_nonzero(np.asarray(snapshot.verified.bits)[rows]))


def test_single_records_in_random_order(numbers):
    ds = dsrecords.open(numbers)
    for i in shuffled().tolist():
        assert ds[i] == sample(i)


def test_a_few_single_records_verify_no_others(numbers):
    ds = dsrecords.open(numbers)
    few = [first + 3 * i for first in range(0, COUNT - 100, verification.BLOCK) for i in range(7)]
    assert [ds[i] for i in few] == [sample(i) for i in few]
    assert verified_count(ds) == len(few)


@pytest.mark.usefixtures("by_python")
def test_many_single_records_verify_their_neighbours(numbers):
    ds = dsrecords.open(numbers)
    for i in shuffled()[: COUNT // 10].tolist():
        ds[i]
    assert verified_count(ds) == COUNT


def test_batches_verify_the_records_that_they_were_asked_for(numbers):
    ds = dsrecords.open(numbers)
    for start in range(0, 512, 128):
        chosen = shuffled()[start : start + 128]
        assert (ds.batch(chosen)["z"] == chosen).all()
        assert verified_count(ds) == start + 128


@pytest.mark.parametrize("verify", [False, "always"])
def test_nothing_is_remembered_of_what_is_verified_never_or_always(numbers, verify):
    ds = dsrecords.open(numbers, verify=verify)
    for i in shuffled()[:500].tolist():
        assert ds[i] == sample(i)
    assert (verified_count(ds) > 0) == (verify is False)


def numbers_in_a_wide_head(i):
    return {f"x{k}": i + k for k in range(32)}  # so that rows of the index have no heads


@pytest.mark.usefixtures("by_python")
@pytest.mark.parametrize(
    ("more", "count"),
    [(lambda i: {}, 1000), (numbers_in_a_wide_head, 100)],
    ids=["heads in rows", "heads in the log"],
)
def test_heads_that_lie_far_away_are_left_alone(more, count, tmp_path):
    path = str(tmp_path / "large.rec")
    make_dataset(
        ({"image": bytes(2000), "label": i} | more(i) for i in range(1000)),
        path,
        {"image": "bytes", "label": "int32"} | dict.fromkeys(more(0), "int64"),
    )
    ds = dsrecords.open(path)
    for i in range(0, 1000, 10):
        assert ds[i, "label"] == i
    assert verified_count(ds) == count


@pytest.mark.exhaustive
@pytest.mark.parametrize("read", ["single", "batch", "loop"])
def test_a_damaged_record_among_many_is_named_and_all_others_are_read(numbers, read):
    flip(numbers, offset_of(numbers, 4321) + 20)
    ds, found = dsrecords.open(numbers, on_error="skip" if read == "loop" else "raise"), []
    if read == "loop":
        found = list(ds)
        assert [error.record for error in ds.skipped] == [4321]
    else:
        for i in shuffled().tolist():
            try:
                found.append(
                    ds[i]
                    if read == "single"
                    else {name: column[0] for name, column in ds.batch([i]).items()}
                )
            except CorruptError as error:
                assert (i, error.record, error.offset) == (4321, 4321, offset_of(numbers, 4321))
    assert sorted(one["z"] for one in found) == [i for i in range(COUNT) if i != 4321]
    assert all(one == sample(one["z"]) for one in found)


def test_a_zeroed_block_of_the_file_damages_the_records_in_it_alone(numbers):
    at = offset_of(numbers, 5000)
    with open(numbers, "r+b") as file:
        file.seek(at)
        file.write(bytes(100 * HEAD))
    ds = dsrecords.open(numbers, on_error="skip")
    assert [one["z"] for one in ds] == [*range(5000), *range(5100, COUNT)]
    assert [error.record for error in ds.skipped] == list(range(5000, 5100))


def test_a_loop_gives_the_types_that_single_records_have(numbers, tmp_path):
    types = ("bool", "int8", "uint64", "float16", "float64")
    make_dataset([(True, -1, 2**64 - 1, 0.5, 0.1)] * 3, tmp_path / "types.rec", list(types))
    ds = dsrecords.open(tmp_path / "types.rec")
    assert list(ds) == [ds[0]] * 3
    assert [type(value) for value in next(iter(ds))] == [type(value) for value in ds[0]]
    assert all(
        type(value) is not np.float32 for value in next(iter(dsrecords.open(numbers))).values()
    )


def test_a_loop_over_a_view_with_a_transform(numbers):
    ds = dsrecords.open(numbers, transform=lambda sample: sample["z"])
    assert list(ds[9000:100:-7]) == list(range(9000, 100, -7))


def test_a_damaged_record_is_told_of_when_the_loop_comes_to_it(numbers):
    flip(numbers, offset_of(numbers, 300) + 20)
    loop = iter(dsrecords.open(numbers))
    assert [next(loop)["z"] for _ in range(300)] == list(range(300))
    with pytest.raises(CorruptError, match="record 300"):
        next(loop)


def test_a_loop_that_an_error_has_ended_is_at_its_end(numbers):
    flip(numbers, offset_of(numbers, 300) + 20)
    loop = iter(dsrecords.open(numbers))
    for _ in range(300):
        next(loop)
    with pytest.raises(CorruptError, match="record 300"):
        next(loop)
    assert list(loop) == []


def test_a_loop_over_every_other_record_of_a_selection(numbers):
    view = dsrecords.open(numbers)[shuffled()][::2]
    assert [one["z"] for one in view] == shuffled()[::2].tolist()


MANY = {"text": "str", "blob": "bytes", "n": "int32?"}
MANY_COUNT = 700  # more than two windows


def sample_of_many(i):
    return {"text": f"text {i}", "blob": bytes(i % 50), "n": None if i % 3 else i}


@pytest.fixture(params=[False, True], ids=["as written", "edited"])
def many(tmp_path, request):
    """A dataset with payloads, of which some records may have been replaced or corrected."""
    path = str(tmp_path / "many.rec")
    make_dataset(map(sample_of_many, range(MANY_COUNT)), path, MANY)
    if request.param:
        with dsrecords.open(path) as ds:
            for i in range(0, MANY_COUNT, 40):
                ds[i, "n"] = sample_of_many(i)["n"]
            ds[5] = sample_of_many(5)
    return path


@pytest.mark.parametrize("verify", [True, False, "always"])
@pytest.mark.parametrize("copy", [True, False])
def test_a_loop_over_strings_and_bytes(many, verify, copy):
    ds = dsrecords.open(many, verify=verify, copy=copy)
    samples = [{**one, "blob": bytes(one["blob"])} for one in ds]
    assert samples == list(map(sample_of_many, range(MANY_COUNT)))
    texts = [one["text"] for one in ds[::-3]]
    assert texts == [f"text {i}" for i in range(MANY_COUNT)][::-3]
    assert [one["n"] for one in ds.__getitems__([4, 3, 3])] == [None, 3, 3]


def test_a_loop_over_strings_leaves_out_what_is_damaged(many):
    damaged = [3, 4, 290, 291, MANY_COUNT - 1]
    head_size = dsrecords.open(many)._reading.snapshot().header.schema.layout.size
    for i in damaged:
        flip(many, offset_of(many, i) + head_size)
    ds = dsrecords.open(many, on_error="skip")
    kept = [i for i in range(MANY_COUNT) if i not in damaged]
    assert [one["text"] for one in ds] == [f"text {i}" for i in kept]
    assert [error.record for error in ds.skipped] == damaged
    loop = iter(dsrecords.open(many))
    assert [next(loop)["text"] for _ in range(3)] == ["text 0", "text 1", "text 2"]
    with pytest.raises(CorruptError, match="record 3"):
        next(loop)
    assert list(loop) == []


def test_a_loop_goes_on_whatever_is_changed_meanwhile(many):
    with dsrecords.open(many) as ds:
        loop = iter(ds)
        next(loop)
        for _ in range(10):
            ds.append(sample_of_many(0))
        ds[1] = sample_of_many(0)
        del ds[2]
        texts = [one["text"] for one in loop]
    assert texts == [f"text {i}" for i in range(1, MANY_COUNT)]


def test_what_a_writer_replaces_is_verified_anew(numbers):
    ds = dsrecords.open(numbers)
    list(ds)
    with dsrecords.open(numbers) as writer:
        writer[7] = sample(70_000)
        del writer[0]
    ds.refresh()
    assert verified_count(ds) == COUNT - 2  # all but the one that was replaced
    assert [ds[6], ds[-1]] == [sample(70_000), sample(COUNT - 1)]
    assert verified_count(ds) == COUNT - 1
    assert ds.column("z")[5:8].tolist() == [6, 70_000, 8]


def test_neighbours_at_the_end_of_the_list(numbers, monkeypatch):
    monkeypatch.setattr(verification, "BLOCK", 7)
    monkeypatch.setattr(verification, "MANY_SINGLES", 2)
    ds = dsrecords.open(numbers)[-20:]
    assert [ds[i]["z"] for i in range(20)] == list(range(COUNT - 20, COUNT))


# Numbers, written in three ways that must agree

VALUES = [
    0, 1, -1, True, False, np.True_, 127, 128, 255, 256, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0,
    1e-320, 1e39, 65504.0, 65520.0, float("inf"), -float("inf"), float("nan"), np.float32(0.1), np.float64(1e39), np.int8(-5),
    np.uint64(2**63), np.array(3), np.array(2.5), np.array([1]), np.ma.masked, np.complex64(1), 1j, "1", b"1", None, [],
    decimal.Decimal("0.5"), fractions.Fraction(1, 2), np.datetime64(1, "s"),
]  # fmt: skip
NUMBERS = [
    "bool",
    "int8",
    "uint8",
    "int32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
    "int16?",
    "float32?",
]


def outcome(function):
    """What it returns, as text (NaN is itself then), or the error it raises, without where."""
    try:
        return repr(function())
    except DSRecordsError as error:
        return type(error), error.message.rpartition("of those given: ")[2]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:Warning. converting a masked element")
def test_single_samples_many_and_columns_of_numbers_are_written_alike(kind, named, tmp_path):
    types = {"value": kind, "other": "int8"}
    schema, one = (
        types if named else list(types.values()),
        make_schema(types if named else list(types.values())),
    )
    with IndexedRecordDataset(tmp_path / "data.rec", schema=schema, create=True) as ds:

        def last(write):
            count = len(ds)
            write()
            assert len(ds) > count
            return ds[-1]

        for value in VALUES:
            row = {"value": value, "other": 1} if named else (value, 1)
            kept = outcome(lambda row=row: last(lambda: ds.append(row)))
            assert outcome(lambda row=row: last(lambda: ds.extend([row, row]))) == kept, value
            assert outcome(lambda row=row: last(lambda: ds.extend(iter([row, row])))) == kept, value
            encoded = outcome(lambda row=row: one.encode(row, None))
            assert (encoded == kept) if isinstance(kept, tuple) else isinstance(encoded, str), value
        assert not ds.check()


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": 1, "b": 2}, {"a": 1}], [{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}], [{"a": 1, "b": 2}, {"a": 1, "c": 2}],
        [{"a": 1, "b": 2}, (1, 2)], [{"a": 1, "b": 2}, None], [{"a": 1, "b": 2}, {}],
    ],
)  # fmt: skip
def test_the_rows_before_one_of_other_fields_are_written(rows, tmp_path):
    with IndexedRecordDataset(tmp_path / "data.rec", schema={"a": "int8", "b": "float32"}) as ds:
        with pytest.raises(dsrecords.SchemaError, match=r"row 1|record 1"):
            ds.extend(rows)
        assert list(ds) == [{"a": 1, "b": 2.0}]


def test_a_generator_may_give_the_same_dict_again(tmp_path):
    def reused():
        row = {}
        for i in range(10):
            row.update(a=i, b=i / 2)
            yield row

    with IndexedRecordDataset(tmp_path / "data.rec", schema={"a": "int8", "b": "float32"}) as ds:
        ds.extend(reused())
        assert ds.column("a").tolist() == list(range(10))


# What an edit, a loop and a log of numbers must not do


def test_a_view_of_what_was_just_appended_can_be_read(numbers, tmp_path):
    with dsrecords.open(numbers) as ds:
        ds.append(sample(COUNT))
        ds[COUNT - 10 :].save_view(tmp_path / "view.idx")
    view = dsrecords.open(numbers, index_path=tmp_path / "view.idx")
    assert [one["z"] for one in view] == list(range(COUNT - 10, COUNT + 1))
    assert not view.check()


def test_a_compaction_verifies_what_a_reader_does_not(numbers, tmp_path):
    flip(numbers, offset_of(numbers, 7) + 20)
    ds = dsrecords.open(numbers, verify=False)
    assert len(list(ds)) == COUNT
    for change in (
        ds.compact,
        lambda: ds.compact(tmp_path / "other.rec"),
        lambda: ds.drop_fields("x"),
    ):
        with pytest.raises(CorruptError, match="record 7"):
            change()


@pytest.mark.parametrize("error", [StopIteration, KeyError])
def test_what_a_transform_raises_ends_the_loop_behind_the_samples_before(error, numbers):
    def transform(sample):
        if sample["z"] == 2:
            raise error
        return sample["z"]

    given = []
    with pytest.raises(RuntimeError if error is StopIteration else error):
        given.extend(one for one in dsrecords.open(numbers, transform=transform))
    loop = iter(dsrecords.open(numbers, transform=transform))
    assert [next(loop), next(loop)] == [0, 1]


def test_an_error_of_a_transform_is_not_damage(numbers):
    def transform(sample):
        raise CorruptError("of another file")

    ds = dsrecords.open(numbers, transform=transform, on_error="skip")
    for read in (lambda: list(ds), lambda: ds.__getitems__([1])):
        with pytest.raises(CorruptError, match="of another file"):
            read()
    assert ds.skipped == []


def test_a_view_keeps_its_records_when_memory_that_looks_like_an_array_is_changed(numbers):
    given = np.array([5, 3]).view(np.memmap)
    view = dsrecords.open(numbers)[given]
    given[:] = 0
    assert view.column("z").tolist() == [5, 3]


@pytest.mark.parametrize("row_size", [16, 40])
@pytest.mark.parametrize("size", [2**64 - 2, 2**64 - 7, 2**63])
def test_sizes_that_wrap_around_are_refused_by_batches_as_well(size, row_size, tmp_path):
    numbers = Log(
        {"fields": [{"name": "a", "type": "bytes", "payload": 0}], "head": 32, "metadata": {}}
    )
    for _ in range(300):
        numbers.record(bytes(4), [b""], sizes=[size])
    path = tmp_path / "data.rec"
    path.write_bytes(numbers.data)
    path.with_suffix(".idx").write_bytes(hand.index(numbers, row_size=row_size))
    for read in (lambda ds: ds[0], lambda ds: ds.batch(slice(None)), lambda ds: list(ds)):
        with pytest.raises(CorruptError):
            read(dsrecords.open(path))


def test_a_category_that_is_a_list_is_refused_behind_the_rows_before(tmp_path):
    with IndexedRecordDataset(tmp_path / "data.rec", schema={"c": "category[a,b]"}) as ds:
        with pytest.raises(dsrecords.SchemaError, match=r"row 1|record 1"):
            ds.extend([{"c": "a"}, {"c": [1]}, {"c": [1, 2]}])
        with pytest.raises(dsrecords.SchemaError):
            ds.extend_columns({"c": [[1], [1, 2]]})
        assert list(ds) == [{"c": "a"}]


def test_integers_become_float32_in_one_way(tmp_path):
    number = 2**60 + 2**36 + 1
    with IndexedRecordDataset(tmp_path / "data.rec", schema={"x": "float32", "y": "int8"}) as ds:
        ds.append({"x": number, "y": 0})
        ds.append({"x": np.int64(number), "y": 0})
        ds.extend([{"x": number, "y": 0}] * 2)
        ds.extend([{"x": np.int64(number), "y": 0}] * 2)
        ds.extend_columns({"x": np.array([number]), "y": [0]})
        assert len(set(ds.column("x").tolist())) == 1


def test_a_column_of_arrays_without_bytes_within_zstd(tmp_path):
    make_dataset(
        [{"a": np.zeros((0, 4), np.float32)}] * 3,
        tmp_path / "data.rec",
        {"a": "zstd(float32[0,4])"},
    )
    assert dsrecords.open(tmp_path / "data.rec").column("a").shape == (3, 0, 4)


def test_a_log_of_updates_is_read_once_however_wide_its_heads(tmp_path, monkeypatch):
    path = str(tmp_path / "wide.rec")
    schema = {f"x{i}": "float64" for i in range(100)}
    row = dict.fromkeys(schema, 0.5)
    with IndexedRecordDataset(path, schema=schema) as ds:
        ds.extend([row] * 2000)
        for i in range(300):
            ds[i] = row
    os.remove(path[:-4] + ".idx")
    read, pread = [], files.pread
    monkeypatch.setattr(
        files, "pread", lambda fd, count, offset: read.append(count) or pread(fd, count, offset)
    )
    with dsrecords.open(path) as ds:
        assert len(ds) == 2000
    assert sum(read) < 3 * os.path.getsize(path)


def add_record(log, kind, rng):
    """A record, in a log of either schema."""
    if not log.payload_count:
        log.number(7, kind=kind)
        return
    places = [place.offset for place in log.frames]
    if kind == PENDING and places and rng.random() < 0.3:
        log.text(log.old(int(rng.choice(places))), 8, kind=REVISION)
        return
    log.text("x" * int(rng.integers(0, 20)), 7, kind=kind)


def logs(schema):
    """Logs in which runs of frames end in all ways."""
    rng, cut = np.random.default_rng(5), []
    for _ in range(300):
        log = Log(schema)
        for _ in range(rng.integers(1, 6)):
            for _ in range(rng.integers(0, 5)):
                add_record(log, PENDING, rng)
            if rng.random() < 0.7:
                log.commit()
            for _ in range(rng.integers(0, 5)):
                add_record(log, RECORD, rng)
            if rng.random() < 0.1:
                log.metadata({"a": 1})
            if rng.random() < 0.1:
                log.frame(200, bytes(40))
        data = bytearray(log.data)
        damage = rng.integers(0, 5)
        if damage == 1:
            data = data[: rng.integers(4096, len(data) + 1)]
        elif damage == 2 and len(data) > 4096:
            data[rng.integers(4096, len(data))] ^= 1 << int(rng.integers(0, 8))
        elif damage == 3:
            data += bytes(rng.integers(0, 200))
        elif damage == 4:
            data += rng.bytes(rng.integers(0, 200))
        cut.append(bytes(data))
    return cut


def walked(path, patience, row_size, monkeypatch):
    monkeypatch.setattr(_log, "_PATIENCE", patience)
    storage = LocalStorage(str(path))
    header = read_header(storage)
    stop = storage.size()
    walk = _log.LogScanner(
        storage, header.frames, header.size, stop, header.raw.check, row_size, payloads_from=stop
    )
    if patience > 100:
        monkeypatch.setattr(walk, "_run", lambda at: None)
    found = []
    for batch in walk:
        found += batch.rows.tolist()
        if batch.op or batch.metadata or not len(batch.rows):
            found.append((batch.op, list(batch.positions), batch.metadata))
    return found, walk.end, walk.last, walk.check, walk.fault, walk.misplaced


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("schema", "row_size"),
    [(NUMBER, 16), (TEXT, 48), (TEXT, 16)],
    ids=["numbers", "heads in rows", "short rows"],
)
def test_a_walk_in_runs_finds_what_a_walk_frame_by_frame_finds(
    schema, row_size, tmp_path, monkeypatch
):
    path = tmp_path / "data.rec"
    longest = 0
    for data in logs(schema):
        path.write_bytes(data)
        one_by_one = walked(path, 10**9, row_size, monkeypatch)
        assert walked(path, 1, row_size, monkeypatch) == one_by_one
        assert walked(path, 32, row_size, monkeypatch) == one_by_one
        longest = max(longest, len(one_by_one[0]))
    assert longest > 15
