"""Records of numbers, read in thousands: what is verified together, and what is still said of a single damaged one."""

import decimal
import fractions

import numpy as np
import pytest
from conftest import flip

import dsrecords
from dsrecords import CorruptError, DSRecordsError, IndexedRecordDataset, _reader, make_dataset
from dsrecords._schema import make_schema

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
    few = shuffled()[: COUNT // 128].tolist()
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


# Numbers, written in three ways that must agree

VALUES = [
    0, 1, -1, True, False, np.True_, 127, 128, 255, 256, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0,
    1e-320, 1e39, 65504.0, 65520.0, float("inf"), -float("inf"), float("nan"), np.float32(0.1), np.float64(1e39), np.int8(-5),
    np.uint64(2**63), np.array(3), np.array(2.5), np.array([1]), np.ma.masked, np.complex64(1), 1j, "1", b"1", None, [],
    decimal.Decimal("0.5"), fractions.Fraction(1, 2), np.datetime64(1, "s"),
]  # fmt: skip
NUMBERS = ["bool", "int8", "uint8", "int32", "int64", "uint64", "float16", "float32", "float64", "int16?", "float32?"]


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
    schema, one = types if named else list(types.values()), make_schema(types if named else list(types.values()))
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
