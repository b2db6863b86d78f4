"""What is verified when, and what is remembered of it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import flip

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, make_dataset
from dsrecords._format.frame import TAKE_LAST
from dsrecords._format.log import Batch
from dsrecords._read.batch import columns
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.verification import (
    BLOCK,
    HEAD,
    MANY_SINGLES,
    REST,
    REVISED,
    Verified,
    block_around,
    payload_part,
    proven,
)
from dsrecords._storage import files

pytestmark = pytest.mark.slow

COUNT = 5 * BLOCK + 100
SCHEMA = {"x": "float64", "n": "int32"}
has_strings = False  # whether samples have one besides: then rows of the index have heads


def sample(n):
    string = {"s": "x" * (n % 3)} if has_strings else {}
    return {"x": n / 2, "n": n} | string


@pytest.fixture(params=[False, True], ids=["heads in the log", "heads in rows"])
def path(tmp_path, request, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "has_strings", request.param)
    path = str(tmp_path / "numbers.rec")
    schema = SCHEMA | ({"s": "str"} if has_strings else {})
    make_dataset(map(sample, range(COUNT)), path, schema)
    return path


@pytest.fixture
def together(monkeypatch):
    """The rows of heads that were verified together, one list for each call."""
    calls = []
    verify_heads = Snapshot.verify_heads

    def noted(snapshot, numbers, rows):
        calls.append(numbers.tolist())
        return verify_heads(snapshot, numbers, rows)

    monkeypatch.setattr(Snapshot, "verify_heads", noted)
    return calls


@pytest.fixture
def alone(monkeypatch):
    """The rows of heads that were verified one by one."""
    numbers = []
    wrong_head = Snapshot._wrong_head

    def noted(snapshot, found, *others):
        numbers.append(found.row)
        return wrong_head(snapshot, found, *others)

    monkeypatch.setattr(Snapshot, "_wrong_head", noted)
    return numbers


def shuffled(seed=0):
    return np.random.default_rng(seed).permutation(COUNT).tolist()


def writer(path):
    """A dataset that is open for writing: a writer begins by reading the files anew."""
    ds = dsrecords.open(path)
    ds.extend([])
    return ds


def damage(ds, i, at=20):
    """Damage a byte of a head, where it is read: in the log, or in the row, which is memory of this process."""
    entries = ds._reading.snapshot().entries
    row = entries.row(i)
    if not entries.has_heads:
        flip(ds.path, entries.ref(row).offset + at)
        return
    memory = entries.mapped
    if row >= entries.kept:
        memory = entries.appended
        row -= entries.kept
    memory.data[row * memory.size + 8 + at] ^= 0xFF


def known(ds, i):
    """What is known of the record at a position, payloads aside."""
    snapshot = ds._reading.snapshot()
    return snapshot.verified.bits[snapshot.entries.row(i)] & (HEAD | REVISED)


# Blocks


@pytest.mark.usefixtures("by_python")
def test_each_block_is_verified_together_once_and_each_head_alone_at_most_once(
    path, together, alone
):
    ds = dsrecords.open(path)
    for _ in range(2):
        for i in shuffled():
            assert ds[i] == sample(i)
    assert sorted(i for positions in together for i in positions) == list(range(COUNT))
    assert (
        len(alone) == len(set(alone)) <= MANY_SINGLES * 6
    )  # of each block a few, before it was verified


@pytest.mark.usefixtures("by_python")
def test_no_call_verifies_more_than_a_block(path, together):
    ds = dsrecords.open(path)
    for i in shuffled():
        before = len(together)
        ds[i]
        assert len(together) <= before + 1
        assert together[before:] in ([], [list(block_around(i, COUNT))])
    assert max(map(len, together)) == BLOCK


@pytest.mark.usefixtures("by_python")
def test_a_few_records_of_each_block_are_verified_alone(path, together, alone):
    ds = dsrecords.open(path)
    few = [start + 3 * k for start in range(0, COUNT, BLOCK) for k in range(7)]
    for i in few + few:
        assert ds[i] == sample(i)
    assert together == []
    assert alone == few


@pytest.mark.usefixtures("by_python")
def test_a_batch_verifies_what_it_was_asked_for(path, together, alone):
    ds = dsrecords.open(path)
    order = shuffled()
    batches = [order[start : start + 64] for start in range(0, 640, 64)]
    for batch in batches + batches:
        assert ds.batch(batch)["n"].tolist() == batch
    assert together == batches
    assert alone == []


@pytest.mark.usefixtures("by_python")
def test_a_block_with_damage_is_not_tried_again_and_its_record_is_named_each_time(path, together):
    ds = dsrecords.open(path)
    damage(ds, 700)
    for _ in range(2):
        for i in range(BLOCK):
            if i == 700:
                with pytest.raises(CorruptError, match="record 700"):
                    ds[i]
            else:
                assert ds[i] == sample(i)
    assert together == [list(range(BLOCK))]
    assert [i for i in range(BLOCK) if not known(ds, i) & HEAD] == [700]


def test_a_block_that_is_all_damaged_is_tried_once(path, together):
    ds = dsrecords.open(path)
    for i in range(BLOCK):
        damage(ds, i)
    for i in [*range(BLOCK), *range(BLOCK)]:
        with pytest.raises(CorruptError, match=f"record {i}"):
            ds[i]
    assert len(together) == 1
    assert ds[BLOCK] == sample(BLOCK)


@pytest.mark.usefixtures("by_python")
@pytest.mark.parametrize("verify", [False, "always"])
def test_blocks_are_for_what_is_verified_once(path, verify, together, alone):
    ds = dsrecords.open(path, verify=verify)
    order = shuffled()[:500]
    for i in order + order:
        assert ds[i] == sample(i)
    assert together == []
    assert alone == (order + order if verify else order)


def test_always_verifies_a_record_that_is_damaged_after_it_was_read(path):
    ds = dsrecords.open(path, verify="always")
    assert ds[5] == sample(5)
    damage(ds, 5)
    with pytest.raises(CorruptError, match="record 5"):
        ds[5]
    with pytest.raises(CorruptError, match="record 5"):
        ds.batch([4, 5])


def test_without_verification_damaged_numbers_are_read(path):
    ds = dsrecords.open(path, verify=False)
    damage(ds, 5, ds._reading.fields.header.schema.field("x").number_offset)
    assert ds[5]["x"] != sample(5)["x"]
    assert ds[5]["n"] == ds.batch([5])["n"][0] == 5
    assert known(ds, 5) == HEAD


@pytest.mark.usefixtures("by_python")
@pytest.mark.parametrize("numbers", [1, 40], ids=["heads in rows", "heads in the log"])
def test_heads_that_lie_far_from_each_other_are_verified_alone(numbers, tmp_path, together, alone):
    path = tmp_path / "large.rec"
    labels = [f"label{i}" for i in range(numbers)]
    # Of records that are some ten times as large as their heads.
    image = np.zeros((numbers, 1000), np.uint8)
    make_dataset(
        ({"image": image} | dict.fromkeys(labels, i) for i in range(1000)),
        path,
        {"image": f"uint8[{numbers},1000]"} | dict.fromkeys(labels, "int64"),
    )
    ds = dsrecords.open(path)
    order = np.random.default_rng(1).permutation(1000).tolist()
    for i in order + order:
        assert ds[i]["label0"] == i
    if numbers > 1:
        assert together == []
        assert alone == order
    else:  # in rows they always lie near each other
        assert together == [list(range(1000))]
        assert alone == order[: MANY_SINGLES - 1]


@pytest.mark.usefixtures("by_python")
def test_a_few_replaced_records_do_not_keep_others_from_being_verified_together(path, together):
    replaced = range(0, BLOCK, 16)
    with dsrecords.open(path) as ds:
        ds.update({i: sample(-i) for i in replaced})
    ds = dsrecords.open(path)
    for i in range(1, 100, 3):
        assert ds[i]["n"] in (i, -i)
    if has_strings:  # their heads are in their rows, like those of all others
        assert together == [list(range(BLOCK))]
        return
    assert together == [[i for i in range(BLOCK) if i not in replaced]]
    assert not any(known(ds, i) for i in replaced if i % 3 != 1)


@pytest.mark.usefixtures("by_python")
def test_a_block_of_replaced_records_is_verified_one_by_one(path, together, alone):
    with dsrecords.open(path) as ds:
        ds.update({i: sample(-i) for i in range(0, BLOCK, 3)})
    ds = dsrecords.open(path)
    for i in range(300):
        ds[i]
    if has_strings:
        assert together == [list(range(BLOCK))]
        assert alone == list(range(MANY_SINGLES - 1))
    else:
        assert together == []
        assert alone == list(range(300))


def test_records_that_are_appended_and_read_are_verified_alone(path, together, alone):
    with dsrecords.open(path) as ds:
        for n in range(COUNT, COUNT + 2 * BLOCK):
            ds.append(sample(n))
            assert ds[n] == sample(n)
    assert len(together) <= 4
    assert max(map(len, together)) <= BLOCK
    # A block is verified when some of its records are there; the others are verified when read.
    assert len(alone) == len(set(alone)) == 2 * BLOCK - len(together)


def test_a_compaction_verifies_each_record_itself(path, alone, tmp_path):
    ds = dsrecords.open(path)
    ds.compact(tmp_path / "other.rec")
    assert alone == list(range(COUNT))  # whatever was verified together before


def test_deleting_forgets_nothing(path):
    with writer(path) as ds:
        ds.column("n")
        del ds[2000]
        assert [known(ds, i) for i in (0, 1999, 2000, 2001, COUNT - 2)] == [1] * 5
        ds.flush()
        assert [known(ds, i) for i in (0, 1999, 2000, 2001, COUNT - 2)] == [1] * 5
        assert [ds[i]["n"] for i in (1999, 2000, COUNT - 2)] == [1999, 2001, COUNT - 1]
        ds.append(sample(7))
        del ds[[0, 3000]]
        assert [known(ds, i) for i in (1998, 2999, COUNT - 4, COUNT - 3)] == [1, 1, 1, 0]


def test_rows_that_are_joined_are_not_taken_for_others_that_were_verified(path, monkeypatch):
    monkeypatch.setattr("dsrecords._format.entries._MOST_EDITED", 10)
    with writer(path) as ds:
        ds.column("n")
        ds[200] = sample(-200)
        damage(ds, 200)
        left = [*range(200), -200, *range(201, COUNT)]
        for _ in range(3):
            for i in range(0, 24, 2):
                del ds[i]
                del left[i]
                assert not known(ds, left.index(-200))
        damaged = left.index(-200)
        with pytest.raises(CorruptError, match=f"record {damaged}"):
            ds[damaged]
        left[damaged : damaged + 1] = []
        del ds[damaged]
        assert [ds[i] for i in range(60)] == [sample(n) for n in left[:60]]
        assert ds.column("n").tolist() == left


def test_replacing_forgets_the_one_that_was_replaced(path):
    with writer(path) as ds:
        ds.column("n")
        ds[7] = sample(-7)
        assert [known(ds, i) for i in (6, 7, 8, COUNT - 1)] == [1, 0, 1, 1]
        ds.quick_remove_at(3)  # the record that takes its place is the one that was verified
        assert [known(ds, i) for i in (2, 3, 4, COUNT - 2)] == [1, 1, 1, 1]
        ds.append(sample(5))
        assert known(ds, COUNT - 1) == 0
        ds.flush()
        assert [known(ds, i) for i in (2, 3, 4, 7, COUNT - 1)] == [1, 1, 1, 0, 0]


def test_what_is_appended_is_not_known_where_a_record_that_was_removed_was(path):
    with writer(path) as ds:
        ds.column("n")
        for remove in (lambda: ds.__delitem__(-1), lambda: ds.quick_remove_at(-1)):
            remove()
            ds.append(sample(-5))
            assert known(ds, COUNT - 1) == 0
            damage(ds, COUNT - 1)
            for read in (lambda: ds[-1], lambda: ds.batch([COUNT - 1])):
                with pytest.raises(CorruptError, match=f"record {COUNT - 1}"):
                    read()
            assert ds[COUNT - 2] == sample(COUNT - 2)


def test_a_view_and_the_dataset_that_is_edited_beside_it_know_what_was_verified_before(path):
    with writer(path) as ds:
        ds.column("n")
        view = ds[10:20]
        ds[12] = sample(-12)
        assert [known(ds, i) for i in (11, 12, 13)] == [1, 0, 1]
        assert [view._reading.snapshot().verified.bits[i] for i in (11, 12, 13)] == [1, 1, 1]
        assert [view[2], ds[12]] == [sample(12), sample(-12)]


def without_size(path, i):
    """Let a row of the index not say how large its frame is, as that of a huge one does not."""
    with open(f"{path[:-4]}.idx", "r+b") as file:
        file.seek(-16 * (200 - i) + 8, 2)
        file.write(b"\xff" * 4)


@pytest.mark.usefixtures("by_python")
@pytest.mark.parametrize("strings", [False, True])
def test_a_row_that_does_not_say_how_large_its_frame_is_is_right(strings, tmp_path, together):
    path = str(tmp_path / "data.rec")
    schema = {f"n{k}": "int64" for k in range(40)} if strings else {"n0": "int32"}
    samples = [
        dict.fromkeys(schema, n) | ({"s": "x" * (n % 5)} if strings else {}) for n in range(200)
    ]
    make_dataset(samples, path, schema | ({"s": "str"} if strings else {}))
    for i in (3, 7, 199):
        without_size(path, i)
    assert [dsrecords.open(path)[i] for i in (3, 7, 8)] == [samples[i] for i in (3, 7, 8)]
    assert dsrecords.open(path).batch([7, 3, 199])["n0"].tolist() == [7, 3, 199]
    ds = dsrecords.open(path)
    assert [ds[i] for i in range(20)] == samples[:20]
    assert all(known(ds, i) & HEAD for i in range(200))
    with dsrecords.open(path) as ds:
        ds.quick_remove_at(0)  # which moves one of them
        del ds[1]
        assert [ds[i] for i in (0, 2, 6, 1)] == [samples[i] for i in (199, 3, 7, 2)]
        entries = ds._reading.snapshot().entries
        assert [entries.ref(entries.row(i)).size for i in (0, 2, 6)] == [0, 0, 0]


# Edits while others read


def edit_before_remembering(monkeypatch, name, edit):
    """Let another thread edit the list between verifying something and remembering it."""
    original = getattr(Verified, name)

    def interrupted(verified, *what):
        monkeypatch.setattr(Verified, name, original)
        edit()
        original(verified, *what)

    monkeypatch.setattr(Verified, name, interrupted)


READS = {
    "remember": lambda ds: ds[3],
    "remember_many": lambda ds: ds.batch([2, 3, 4]),
}


@pytest.mark.usefixtures("by_python")
@pytest.mark.parametrize("name", READS)
def test_a_record_that_is_replaced_while_the_old_one_is_verified_is_not_taken_for_verified(
    name, path, monkeypatch
):
    ds = writer(path)

    def edit():
        ds[3] = sample(-3)
        damage(ds, 3)

    edit_before_remembering(monkeypatch, name, edit)
    READS[name](ds)
    assert known(ds, 3) == 0
    with pytest.raises(CorruptError, match="record 3"):
        ds[3]
    with pytest.raises(CorruptError, match="record 3"):
        ds.batch([3, 4])


@pytest.mark.usefixtures("by_python")
def test_a_block_that_is_edited_while_it_is_verified_is_not_taken_for_verified(path, monkeypatch):
    ds = writer(path)
    for i in range(10, 10 + MANY_SINGLES - 1):
        ds[i]

    def edit():
        ds.quick_remove_at(3)
        damage(ds, 3)

    edit_before_remembering(monkeypatch, "remember_many", edit)
    ds[10 + MANY_SINGLES - 1]
    assert known(ds, 3) == 0
    with pytest.raises(CorruptError, match="record 3"):
        ds[3]


def test_whoever_reads_on_with_the_old_list_reads_what_it_was(path):
    ds = writer(path)
    ds.column("n")
    old = ds._reading.snapshot()
    ds[3] = sample(-3)
    ds.quick_remove_at(5)
    del ds[0]
    damage(ds, 2)
    read = ds._reading.fields.all.read
    assert [read(old, i) for i in (0, 3, 5, COUNT - 1)] == [sample(i) for i in (0, 3, 5, COUNT - 1)]
    with pytest.raises(CorruptError, match="record 2"):
        ds[2]


def test_an_edit_that_fails_leaves_the_list_that_was_there(path):
    ds = dsrecords.open(path)
    state = ds._reading.source
    ds[3]
    mark = state.snapshot.mark
    record = np.array(state.snapshot.entries.rows(3, 4))
    before = known(ds, 3)
    with pytest.raises(CorruptError, match="takes position"):
        state.apply(Batch(record, TAKE_LAST, [COUNT + 5], mark.end, mark.last, mark.check, 0))
    assert (len(ds), ds[3], ds[-1]) == (COUNT, sample(3), sample(COUNT - 1))
    assert known(ds, 3) == before == HEAD
    assert state.snapshot.mark == mark


# The owner of the state


def test_growing_keeps_what_is_known():
    verified = Verified(3, 0)
    verified.remember_many(np.arange(3), HEAD)
    verified.make_room(3 * BLOCK)
    assert len(verified.bits) >= 3 * BLOCK
    assert [verified.bits[i] for i in (0, 2, 3, 3 * BLOCK - 1)] == [1, 1, 0, 0]
    assert [verified.count_single(3 * BLOCK - 1) for _ in range(MANY_SINGLES + 1)].count(True) == 1


def test_of_each_block_one_call_says_that_it_is_to_be_verified():
    verified = Verified(2 * BLOCK, 0)
    answers = [verified.count_single(i % BLOCK) for i in range(3 * BLOCK)]
    assert answers.index(True) == MANY_SINGLES - 1
    assert answers.count(True) == 1
    moved = verified.picked(np.arange(5, 2 * BLOCK))  # what moved may be tried
    assert [moved.count_single(0) for _ in range(300)].count(True) == 1


def test_what_is_known_of_rows_that_moved_is_known_of_each_where_it_is():
    verified = Verified(6, 1)
    verified.remember(1, HEAD)
    verified.remember_many(np.array([4]), HEAD | REVISED | payload_part(0))
    picked = verified.picked(np.array([4, 0, 1]))
    assert list(picked.bits[:4]) == [HEAD | REVISED | payload_part(0), 0, HEAD, 0]
    picked.remember(1, HEAD)
    assert verified.bits[0] == 0


@pytest.mark.parametrize(
    ("payloads", "width"), [(0, 1), (6, 1), (7, 2), (30, 4), (31, 8), (61, 8), (62, 8), (500, 8)]
)
def test_parts_fit_and_the_payloads_beyond_are_one_part(payloads, width):
    verified = Verified(3, payloads)
    assert verified.bits.itemsize == width
    parts = [HEAD, *map(payload_part, range(payloads))]
    for part in parts:
        verified.remember(1, part)
    assert verified.bits[1] == 2 ** min(payloads + 2, 64) - 1 - REVISED
    verified.remember_many(np.array([2]), parts[-1])
    assert verified.bits[2] == parts[-1]
    assert verified.lacking(np.array([0, 1]), parts[-1]).tolist() == [True, False]
    verified.remember(0, REVISED | parts[-1])
    assert verified.bits[0] == REVISED | parts[-1]
    assert verified.known(1, range(payloads)) == verified.bits[1] & ~HEAD & ~REST


def test_of_the_payloads_beyond_all_must_have_been_verified():
    parts = HEAD | payload_part(3) | REST
    assert proven(parts, range(100), 100) == parts
    assert proven(parts, [3, *range(61, 100)], 100) == parts
    assert proven(parts, [3, 61], 62) == parts
    assert proven(parts, [3, *range(62, 100)], 100) == HEAD | payload_part(3)
    assert proven(HEAD | payload_part(3), [3], 100) == HEAD | payload_part(3)


MANY = {f"s{k}": "str" for k in range(70)}


def damaged_after(path, look, key):
    """Whether damage to a field of record 1 is noticed, after `look` has read something of it."""
    sample = {name: f"the value of {name}" for name in MANY}
    make_dataset([sample, sample, sample], path, MANY)
    ds = dsrecords.open(path)
    look(ds)
    data = Path(path).read_bytes()
    at = -1
    for _ in range(2):  # that of record 1
        at = data.index(f"value of {key}".encode(), at + 1)
    flip(path, at, 1)
    try:
        value = ds[1][key]
    except CorruptError:
        return True
    assert value != sample[key]
    return False


@pytest.mark.parametrize("key", ["s0", "s60", "s61", "s69"])
@pytest.mark.parametrize(
    ("look", "known"),
    [
        (lambda ds: ds[1], MANY),
        (lambda ds: ds.batch([0, 1, 2]), MANY),
        (list, MANY),
        (lambda ds: ds[1, [f"s{k}" for k in range(61, 70)]], [f"s{k}" for k in range(61, 70)]),
        (lambda ds: ds[1, ["s60", "s61", "s69"]], ["s60"]),
        (lambda ds: ds.column("s61"), []),
        (len, []),
    ],
    ids=["a sample", "a batch", "a loop", "the rest", "some of the rest", "one of it", "nothing"],
)
def test_samples_of_many_payloads_are_verified_once(tmp_path, look, known, key):
    """However many there are: what was read again used to be verified again, from the 62nd on."""
    assert damaged_after(str(tmp_path / "many.rec"), look, key) == (key not in known)


def test_a_revision_is_not_known_by_what_it_shares(tmp_path):
    path = str(tmp_path / "many.rec")
    sample = {name: f"the value of {name}" for name in MANY}
    make_dataset([sample] * 3, path, MANY)
    with dsrecords.open(path) as ds:
        assert ds[1] == sample
        ds[1, "s65"] = "another"
        data = Path(path).read_bytes()
        flip(path, data.index(b"another"), 1)
        with pytest.raises(CorruptError, match="s65"):
            ds[1]


# Plans and headers


def test_after_an_interrupted_change_plans_are_still_those_of_the_header(path, monkeypatch):
    ds = dsrecords.open(path)
    ds.append(sample(COUNT))
    header = ds._reading.source.header
    pwrite = files.pwrite

    def interrupted(*arguments):
        monkeypatch.setattr(files, "pwrite", pwrite)
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "pwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ds.append(sample(0))
    ds.append(sample(COUNT + 1))
    assert (
        ds._reading.source.header
        is ds._reading.snapshot().header
        is ds._reading.fields.all.header
        is header
    )
    assert ds[-1] == sample(COUNT + 1)
    ds.close()


def test_a_plan_is_compared_once_with_another_header_of_its_schema(path, monkeypatch):
    ds, other = dsrecords.open(path), dsrecords.open(path)
    compared = []
    to_json = type(ds._reading.fields.header.schema).to_json
    monkeypatch.setattr(
        type(ds._reading.fields.header.schema),
        "to_json",
        lambda schema: compared.append(1) or to_json(schema),
    )
    snapshot = other._reading.snapshot()
    assert [ds._reading.fields.all.read(snapshot, i) for i in range(20)] == [
        sample(i) for i in range(20)
    ]
    plan = ds._reading.fields.all
    assert plan.assemble(columns(snapshot, np.array([1]), plan, {}))["n"] == [1]
    assert len(compared) == 2


def test_a_plan_of_another_schema_is_stale_also_for_records_that_are_verified(path):
    ds = dsrecords.open(path)
    plan = ds._reading.fields.all
    with IndexedRecordDataset(path) as other:
        other.rename_fields({"x": "y"})
        snapshot = other._reading.snapshot()
        snapshot.verified.remember_many(np.arange(COUNT), HEAD)
        assert len(snapshot.mapped()) == snapshot.end
        with pytest.raises(dsrecords.StaleViewError, match="read again"):
            plan.read(snapshot, 3)
