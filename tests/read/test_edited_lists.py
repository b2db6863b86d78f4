"""Lists after many edits: rows stay where they are, and every way of reading equals a Python list to which the same was done."""

import contextlib
import random
import threading

import numpy as np
import pytest
import ways
from conftest import IN_FULL

import dsrecords
from dsrecords import CorruptError, make_dataset
from dsrecords._format import entries as _entries
from dsrecords._format.entries import Entries, RowMemory, memory_of
from dsrecords._format.frame import DELETE, TAKE_LAST
from dsrecords._read import batch as _batch
from dsrecords._write import writer as _writer

pytestmark = pytest.mark.slow

NUMBERS = {"n": "int64", "x": "float32?", "y": "uint8"}
STRINGS = NUMBERS | {"text": "str?", "blob": "bytes"}
WIDE = STRINGS | {f"n{i}": "int64" for i in range(40)}
SCHEMAS = pytest.mark.parametrize(
    "schema", [NUMBERS, STRINGS, WIDE], ids=["numbers", "heads in rows", "wide heads"]
)
JOINED = (
    pytest.mark.parametrize(  # how many rows may be edited before those that are left are joined
        "most_edited", [7, 16_384], ids=["joined often", "never joined"]
    )
)


def a_sample(rng, schema):
    sample = dict.fromkeys(schema, rng.randrange(100))
    sample |= {"n": rng.randrange(2**40), "x": rng.choice([None, 0.5, 2.0])}
    if "text" in schema:
        size = rng.randrange(12)
        sample |= {"text": rng.choice([None, "", "t" * size]), "blob": rng.randbytes(size)}
    return sample


# What is done to a list, and to a Python list


def delete_one(ds, samples, rng):
    i = rng.randrange(-len(samples), len(samples))
    del ds[i]
    del samples[i]


def delete_a_range(ds, samples, rng):
    start = rng.randrange(len(samples))
    del ds[start : start + 5]
    del samples[start : start + 5]


def delete_some(ds, samples, rng):
    chosen = rng.sample(range(len(samples)), min(len(samples), 6))
    del ds[chosen]
    samples[:] = [sample for i, sample in enumerate(samples) if i not in chosen]


def delete_by_a_mask(ds, samples, rng):
    mask = [rng.random() < 0.1 for _ in samples]
    del ds[mask]
    samples[:] = [sample for sample, is_gone in zip(samples, mask, strict=True) if not is_gone]


def remove_quickly(ds, samples, rng):
    i = rng.randrange(len(samples))
    ds.quick_remove_at(i)
    samples[i] = samples[-1]
    del samples[-1]


def replace_one(ds, samples, rng):
    i = rng.randrange(len(samples))
    samples[i] = a_sample(rng, samples[0])
    ds[i] = samples[i]


def replace_some(ds, samples, rng):
    chosen = rng.sample(range(len(samples)), min(len(samples), 5))
    new = {i: a_sample(rng, samples[0]) for i in chosen}
    ds.update(new)
    for i in chosen:
        samples[i] = new[i]


def replace_fields(ds, samples, rng):
    i = rng.randrange(len(samples))
    new = a_sample(rng, samples[0])
    key = rng.choice(list(new))
    samples[i] = samples[i] | {key: new[key]}
    ds[i, key] = new[key]


def append_one(ds, samples, rng):
    samples.append(a_sample(rng, samples[0]))
    ds.append(samples[-1])


def extend(ds, samples, rng):
    new = [a_sample(rng, samples[0]) for _ in range(5)]
    ds.extend(new)
    samples += new


EDITS = [
    delete_one,
    delete_one,
    delete_a_range,
    delete_some,
    delete_by_a_mask,
    remove_quickly,
    replace_one,
    replace_some,
    replace_fields,
    append_one,
    extend,
    extend,
    extend,
]


def look(ds, rng):
    """Read something, so that some records are known to be right, and others are not."""
    if not len(ds):
        return
    ds[rng.randrange(len(ds))]
    ds[rng.randrange(len(ds)), "n"]
    ds.batch(rng.choices(range(len(ds)), k=5), [rng.choice(list(ds.schema))])


@pytest.mark.exhaustive
@SCHEMAS
@JOINED
@pytest.mark.parametrize("is_large", [False, True], ids=["index written anew", "slots alone"])
def test_random_edits(schema, most_edited, is_large, path, monkeypatch):
    monkeypatch.setattr(_entries, "_MOST_EDITED", most_edited)
    if is_large:  # whose index is left behind the log
        monkeypatch.setattr(_writer, "_BYTES_A_FRAME", 1)
    rng = random.Random(3)
    samples = [a_sample(rng, schema) for _ in range(60)]
    make_dataset(samples, path, schema)
    keys = list(schema)[:5]
    reader = dsrecords.open(path)
    views = []
    with dsrecords.open(path) as ds:
        for step in range(1000 if IN_FULL else 150):
            look(ds, rng)
            if not samples:
                samples.append(a_sample(rng, schema))
                ds.append(samples[0])
            rng.choice(EDITS)(ds, samples, rng)
            assert len(ds) == len(samples)
            if step % 37 == 0:
                ds.flush()
            if step % 20 == 0:
                ways.check_all(ds, samples, keys)
                views.append((ds[:], list(samples)))
            if step % 50 == 0:
                look(reader, rng)
                reader.refresh()
                ways.check_all(reader, samples, keys)
                ways.check_all(dsrecords.open(path), samples, keys)
        assert ds.check() == []
        for view, before in views:  # whatever was done since
            ways.check_all(view, before, keys, without={"a copy for another process"})
    reopened = dsrecords.open(path)
    ways.check_all(reopened, samples, keys)
    assert reopened.check() == []


@SCHEMAS
def test_a_view_file_of_an_edited_list(schema, path, tmp_path):
    rng = random.Random(4)
    samples = [a_sample(rng, schema) for _ in range(60)]
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        for edit in EDITS * 2:
            edit(ds, samples, rng)
        view = ds[::-2].save_view(tmp_path / "view.idx")
        expected = samples[::-2]
        ways.check_all(dsrecords.open(path, index_path=view), expected, list(schema)[:5])


@pytest.mark.exhaustive
def test_a_column_that_is_read_in_pieces(path, monkeypatch):
    monkeypatch.setattr("dsrecords._dataset.reading._COLUMN_CHUNK", 50)
    monkeypatch.setattr(_batch, "_CHUNK", 30)
    rng = random.Random(5)
    samples = [a_sample(rng, STRINGS) for _ in range(400)]
    make_dataset(samples, path, STRINGS)
    with dsrecords.open(path) as ds:
        ways.check_all(ds, samples, list(STRINGS))
        for i in (5, 120, 121, 300):
            delete_one(ds, samples, rng)
            replace_one(ds, samples, rng)
            ways.check_all(ds, samples, list(STRINGS))
            assert ds.batch(range(0, 300, 3), ["n"])["n"].tolist() == [
                sample["n"] for sample in samples[:300:3]
            ], i


def test_everything_is_deleted_and_more_is_added(path):
    rng = random.Random(6)
    samples = [a_sample(rng, STRINGS) for _ in range(20)]
    make_dataset(samples, path, STRINGS)
    with dsrecords.open(path) as ds:
        for key in (slice(None), slice(None, None, -1), [True] * 20):
            del ds[key]
            assert (len(ds), list(ds), ds.column("n").tolist()) == (0, [], [])
            with pytest.raises(IndexError):
                ds[0]
            ds.extend(samples)
            ways.check_all(ds, samples, list(STRINGS))
    ways.check_all(dsrecords.open(path), samples, list(STRINGS))


# The rows alone


def entries_of(count, width, salt=0x1234):
    """A list of so many rows, whose offsets are 8 times their numbers, half of them appended."""
    half = count // 2
    mapped = Entries(memory_of(np.zeros((0, width), np.uint64)), 0, salt=salt)
    mapped.extend(rows_of(range(half), width))
    found = Entries(memory_of(mapped.rows(0, half).copy()), half, salt=salt)
    found.extend(rows_of(range(half, count), width))
    return found


def rows_of(labels, width):
    rows = np.zeros((len(labels), width), np.uint64)
    rows[:, 0] = np.array(labels, np.uint64) * np.uint64(8)
    check = rows[:, 0] // np.uint64(8) * np.uint64(7)
    rows[:, 1] = check << np.uint64(32) | np.uint64(3) if width == 2 else check
    return rows


def labels_of(found):
    """What a list consists of, by each way of asking."""
    positions = range(len(found))
    refs = [found.ref(found.row(i)) for i in positions]
    assert [ref.check for ref in refs] == [ref.offset // 8 * 7 for ref in refs]
    labels = [ref.offset // 8 for ref in refs]
    everything = np.arange(len(found))
    numbers = found.row_numbers(everything)
    assert numbers.tolist() == [found.row(i) for i in positions]
    assert found.gather(numbers)[:, 0].tolist() == [8 * label for label in labels]
    assert found.live_rows(0, len(found)).tolist() == numbers.tolist()
    remixed = found.remixed(everything, 5, 77)
    again = Entries(memory_of(np.vstack([remixed[:0], remixed])), len(found))
    for i in positions:
        offset, check = (int(word) for word in again.rows(i, i + 1)[0][:2])
        mix = ((i + 5) * 0x9E3779B1 & 0xFFFFFFFF) ^ 77
        assert (check >> 32 if found.width == 2 else check) ^ mix == offset // 8 * 7
    assert labels[: found.direct] == [
        int(found.mapped.array()[i, 0]) // 8 for i in range(found.direct)
    ]
    return labels


@pytest.mark.exhaustive
@pytest.mark.parametrize("width", [2, 6])
@JOINED
def test_lists_of_rows_are_as_lists(width, most_edited, monkeypatch):
    monkeypatch.setattr(_entries, "_MOST_EDITED", most_edited)
    for seed in range(15):
        rng = random.Random(seed)
        labels = list(range(rng.randrange(1, 40)))
        found = entries_of(len(labels), width)
        older = []
        for new in range(100, 140):
            older.append((found, list(labels)))
            count = rng.randrange(1, 4)
            added = list(range(1000 * new, 1000 * new + rng.randrange(3)))
            labels += added
            kind = rng.randrange(3)
            if kind == 0:
                found = found.apply(rows_of(added, width), 0, ())
                older = [(one, known) for one, known in older if one is not found]  # it has grown
            elif kind == 1:
                positions = []
                for _ in range(min(count, len(labels))):
                    positions.append(rng.randrange(len(labels)))
                    labels[positions[-1]] = labels[-1]
                    del labels[-1]
                found = found.apply(rows_of(added, width), TAKE_LAST, positions)
            else:
                edges = sorted(rng.sample(range(len(labels) + 1), 2 * min(count, len(labels) // 2)))
                pairs = list(zip(edges[::2], edges[1::2], strict=True))
                for start, stop in reversed(pairs):
                    del labels[start:stop]
                found = found.apply(rows_of(added, width), DELETE, edges)
            assert labels_of(found) == labels
        for before, expected in older:
            assert labels_of(before) == expected
        found.settle()
        assert not len(found.replaced)
        assert labels_of(found) == labels


@pytest.mark.parametrize(
    ("positions", "problem"),
    [
        ([3], "ranges that do not ascend"),
        ([3, 2], "ranges that do not ascend"),
        ([0, 2, 1, 3], "ranges that do not ascend"),
        ([0, 11], "ranges that do not ascend"),
        ([0, 2**64 - 1], "ranges that do not ascend"),
        ([2, 2], "an empty range"),
        ([0, 1, 4, 4], "an empty range"),
    ],
)
@pytest.mark.parametrize("appended", [0, 3])
def test_ranges_that_the_list_does_not_have_are_refused(positions, problem, appended):
    found = entries_of(10 - appended, 2)
    before = labels_of(found)
    with pytest.raises(CorruptError, match=problem):
        found.apply(rows_of(range(100, 100 + appended), 2), DELETE, positions)
    assert labels_of(found) == before


@pytest.mark.parametrize(
    ("positions", "problem"),
    [([10], "position 10 of 10"), ([0, 9], "position 9 of 9"), ([2**64 - 1], "of 10")],
)
def test_positions_that_the_list_does_not_have_are_refused(positions, problem):
    found = entries_of(9, 2)
    before = labels_of(found)
    with pytest.raises(CorruptError, match=problem):
        found.apply(rows_of([100], 2), TAKE_LAST, positions)
    assert labels_of(found) == before


# While others edit


@pytest.mark.parametrize("edit", [extend, append_one, replace_one, delete_one, replace_fields])
@pytest.mark.parametrize("at", ["make_room", "_use"])
def test_a_refresh_that_was_interrupted_is_made_up_for_by_the_next(edit, at, path, monkeypatch):
    rng = random.Random(7)
    samples = [a_sample(rng, STRINGS) for _ in range(20)]
    make_dataset(samples, path, STRINGS)
    reader = dsrecords.open(path)
    reader.column("n")
    with dsrecords.open(path) as ds:
        for _ in range(3):
            edit(ds, samples, rng)
            with monkeypatch.context() as patch:
                patch.setattr(RowMemory if at == "make_room" else Entries, at, interrupt)
                with contextlib.suppress(KeyboardInterrupt):
                    reader.refresh()
            reader.refresh()
            ways.check_all(reader, samples, list(STRINGS))


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.long
@pytest.mark.exhaustive
@SCHEMAS
def test_who_reads_while_the_list_is_edited_reads_what_it_was_or_is(schema, path, monkeypatch):
    """Each sample says what it is: its text and its other fields follow from its number."""
    monkeypatch.setattr(_entries, "_MOST_EDITED", 40)

    def sample(n):
        of_text = {"text": f"{n}", "blob": f"{n}".encode()} if "text" in schema else {}
        return dict.fromkeys(schema, n % 256) | {"n": n, "x": n / 2, "y": n % 256} | of_text

    make_dataset(map(sample, range(300)), path, schema)
    ds = dsrecords.open(path)
    ds.extend([])
    wrong, rounds, is_over = [], [0] * 3, threading.Event()

    def read(which):
        rng = random.Random(which)
        while not is_over.is_set() or rounds[which] < 3:
            rounds[which] += 1
            try:
                found = [ds[rng.randrange(150)] for _ in range(20)]
                columns = ds.batch(rng.sample(range(150), 20))
                found += ways.records(columns)
                view = ds[20:60]
                one, two = list(view), list(view)
                if one != two or view.column("n").tolist() != [each["n"] for each in one]:
                    wrong.append((one, two))
                found += one
                wrong.extend(each for each in found if each != sample(each["n"]))
            except Exception as error:
                wrong.append(error)
                raise

    readers = [threading.Thread(target=read, args=(which,)) for which in range(3)]
    for thread in readers:
        thread.start()
    rng, fresh = random.Random(9), 10_000
    for _ in range(150):
        del ds[rng.randrange(len(ds))]
        ds.quick_remove_at(rng.randrange(len(ds)))
        chosen = rng.sample(range(len(ds)), 3)
        ds.update({i: sample(fresh + i) for i in chosen})
        fresh += 1000
        n = rng.randrange(1000)
        ds[chosen[0]] = sample(n)
        ds.update({chosen[0]: sample(n + 256)}, partial=True)
        ds.extend([sample(fresh + 998), sample(fresh + 999)])
        if rng.random() < 0.1:
            ds.flush()
    is_over.set()
    for thread in readers:
        thread.join()
    ds.close()
    assert wrong == []
