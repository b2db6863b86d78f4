"""Records of numbers, read in thousands: what is verified together, and what is still said of a single damaged one."""

import numpy as np
import pytest
from conftest import flip

import dsrecords
from dsrecords import CorruptError, _reader, make_dataset

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
    return dsrecords.open(path)._state.snapshot.entries.get(i)[0]


def shuffled():
    return np.random.default_rng(0).permutation(COUNT)


def seen(ds):
    return int(np.count_nonzero(np.asarray(ds._state.snapshot.entries.seen)))


def test_single_records_in_random_order(numbers):
    ds = dsrecords.open(numbers)
    for i in shuffled().tolist():
        assert ds[i] == sample(i)


def test_a_few_single_records_verify_no_others(numbers):
    ds = dsrecords.open(numbers)
    few = shuffled()[: COUNT // 64].tolist()
    assert [ds[i] for i in few] == [sample(i) for i in few]
    assert seen(ds) == len(few)


def test_many_single_records_verify_their_neighbours(numbers):
    ds = dsrecords.open(numbers)
    for i in shuffled()[: COUNT // 10].tolist():
        ds[i]
    assert seen(ds) == COUNT


def test_many_batches_verify_their_neighbours(numbers):
    ds = dsrecords.open(numbers)
    for start in range(0, 512, 128):
        chosen = shuffled()[start : start + 128]
        assert (ds.batch(chosen)["z"] == chosen).all()
    assert seen(ds) == COUNT


@pytest.mark.parametrize("verify", [False, "always"])
def test_nothing_is_remembered_of_what_is_verified_never_or_always(numbers, verify):
    ds = dsrecords.open(numbers, verify=verify)
    for i in shuffled()[:500].tolist():
        assert ds[i] == sample(i)
    assert (seen(ds) > 0) == (verify is False)


def test_neighbours_that_lie_far_away_are_left_alone(tmp_path):
    path = str(tmp_path / "large.rec")
    make_dataset(({"image": bytes(2000), "label": i} for i in range(1000)), path, {"image": "bytes", "label": "int32"})
    ds = dsrecords.open(path)
    for i in range(0, 1000, 10):
        assert ds[i, "label"] == i
    assert seen(ds) == 100


@pytest.mark.parametrize("read", ["single", "batch", "loop"])
def test_a_damaged_record_among_many_is_named_and_all_others_are_read(numbers, read):
    flip(numbers, offset_of(numbers, 4321) + 20)
    ds, found = dsrecords.open(numbers, on_error="skip"), []
    if read == "loop":
        found = list(ds)
        assert [error.record for error in ds.skipped] == [4321]
    else:
        for i in shuffled().tolist():
            try:
                found.append(ds[i] if read == "single" else {name: column[0] for name, column in ds.batch([i]).items()})
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
    assert all(type(value) is not np.float32 for value in next(iter(dsrecords.open(numbers))).values())


def test_a_loop_over_a_view_with_a_transform(numbers):
    ds = dsrecords.open(numbers, transform=lambda sample: sample["z"])
    assert list(ds[9000:100:-7]) == list(range(9000, 100, -7))


def test_a_damaged_record_is_told_of_when_the_loop_comes_to_it(numbers):
    flip(numbers, offset_of(numbers, 300) + 20)
    loop = iter(dsrecords.open(numbers))
    assert [next(loop)["z"] for _ in range(300)] == list(range(300))
    with pytest.raises(CorruptError, match="record 300"):
        next(loop)


def test_what_a_writer_replaces_is_verified_anew(numbers):
    ds = dsrecords.open(numbers)
    list(ds)
    with dsrecords.open(numbers) as writer:
        writer[7] = sample(70_000)
        del writer[0]
    ds.refresh()
    assert [ds[6], ds[-1]] == [sample(70_000), sample(COUNT - 1)]
    assert seen(ds) == 2
    assert ds.column("z")[5:8].tolist() == [6, 70_000, 8]


def test_neighbours_at_the_end_of_the_list(numbers, monkeypatch):
    monkeypatch.setattr(_reader, "_NEIGHBOURS", 7)
    ds = dsrecords.open(numbers)[-20:]
    assert [ds[i]["z"] for i in range(20)] == list(range(COUNT - 20, COUNT))
