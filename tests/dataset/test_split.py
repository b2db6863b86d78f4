"""`split`: no record is lost, sizes are as stated, and what a record's part depends on."""

import collections
import fractions
import pickle

import numpy as np
import pytest

import dsrecords
from dsrecords import IndexedRecordDataset, SchemaError, io

LABELS = ["a"] * 50 + ["b"] * 30 + ["c"] * 19 + [None]
PARTS = {"train": 0.7, "val": 0.2, "test": 0.1}


@pytest.fixture
def labelled(path):
    """100 records, of which record i has the id i and a label."""
    samples = [{"id": i, "label": label, "user": i // 7} for i, label in enumerate(LABELS)]
    dsrecords.make_dataset(samples, path, {"id": "int64", "label": "str?", "user": "int32"})
    return dsrecords.open(path)


def ids(ds):
    return ds.column("id").tolist()


def assert_whole(parts, ds):
    """Each record of the dataset is in one part, once."""
    if isinstance(parts, dict):
        parts = parts.values()
    assert sorted(i for part in parts for i in ids(part)) == sorted(ids(ds))


SPECS = {
    "fractions": (PARTS, [70, 20, 10]),
    "counts": ({"train": 90, "val": 4, "test": 6}, [90, 4, 6]),
    "one": ({"all": 1.0}, [100]),
    "thirds": (dict.fromkeys("abc", 1 / 3), [34, 33, 33]),
    "exact": ({"a": fractions.Fraction(1, 3), "b": fractions.Fraction(2, 3)}, [33, 67]),
    "ties": ({"a": 0.125, "b": 0.125, "c": 0.75}, [13, 12, 75]),
    "decimal ties": ({"a": 0.335, "b": 0.665}, [34, 66]),
    "NumPy": ({"a": np.float32(0.1), "b": np.float64(0.9)}, [10, 90]),
}


@pytest.mark.parametrize("seed", [0, 5, None])
@pytest.mark.parametrize("spec", SPECS)
def test_sizes_are_rounded_by_largest_remainders(labelled, spec, seed):
    parts, sizes = SPECS[spec]
    found = labelled.split(parts, seed=seed)
    assert list(found) == list(parts) and [len(part) for part in found.values()] == sizes
    assert_whole(found, labelled)


def test_a_list_gives_a_list_and_seeds_other_orders(labelled):
    first, second = labelled.split([0.9, 0.1])
    assert ids(first) == ids(labelled.split({"x": 0.9, "y": 0.1})["x"])
    assert ids(first) != sorted(ids(first))
    assert ids(second) != ids(labelled.split([0.9, 0.1], seed=1)[1])
    assert ids(first) + ids(second) == ids(labelled.shuffle(0))


def test_without_a_seed_parts_are_runs_of_the_list(labelled):
    first, second = labelled[::-1].split([40, 60], seed=None)
    assert ids(first) == list(range(99, 59, -1)) and ids(second) == list(range(59, -1, -1))


def test_a_split_of_millions_costs_no_memory(path):
    dsrecords.make_dataset({"id": np.arange(300_000)}, path)
    for part in dsrecords.open(path).split({"train": 0.9, "test": 0.1}).values():
        assert len(pickle.dumps(part)) < 1000


BASES = {"view": lambda ds: ds[10:90:2], "repeated": lambda ds: ds[[3, 3, 4, 90, 5, 3, 60, 70]]}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize(
    "rule", [{}, {"stratify": "label"}, {"group": "user"}, {"key": "id"}], ids=str
)
def test_splits_of_views(labelled, base, rule):
    shown = base(labelled)
    parts = shown.split([0.5, 0.5], **rule)
    assert_whole(parts, shown)
    assert_whole([nested for part in parts for nested in part.split([0.5, 0.5], key="id")], shown)


# stratify


@pytest.mark.parametrize("seed", [0, 1, None])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.85, 0.01])
def test_two_parts_have_the_share_of_each_value_rounded_up_or_down(labelled, share, seed):
    parts = labelled.split([share, 1 - share], stratify="label", seed=seed)
    assert [len(part) for part in parts] == [round(100 * share), 100 - round(100 * share)]
    assert_whole(parts, labelled)
    counts = parts[0].value_counts("label")
    for value, count in collections.Counter(LABELS).items():
        assert abs(counts.get(value, 0) - share * count) < 1


def test_of_more_parts_each_has_the_whole_size_and_nearly_the_share_of_each_value(labelled):
    parts = labelled.split(PARTS, stratify="label")
    assert [len(part) for part in parts.values()] == [70, 20, 10]
    assert_whole(parts, labelled)
    for name, part in parts.items():
        counts = part.value_counts("label")
        for value, count in collections.Counter(LABELS).items():
            assert abs(counts.get(value, 0) - PARTS[name] * count) < 2
    assert ids(parts["train"]) != sorted(ids(parts["train"]))


def test_values_that_are_rare_are_divided_by_the_shares_in_all(path):
    dsrecords.make_dataset({"id": np.arange(1000), "x": np.arange(1000) // 2 * 10**9}, path)
    train, test = dsrecords.open(path).split([0.9, 0.1], stratify="x")
    assert (len(train), len(test)) == (900, 100)
    assert max(test.value_counts("x").values()) == 1


def test_a_corrected_value_moves_few_records_to_another_part(tmp_path):
    labels = np.arange(600) % 3
    path, _ = dsrecords.make_dataset({"label": labels, "id": np.arange(600)}, tmp_path / "l.rec")
    ds = dsrecords.open(path)
    seen = [set(part.column("id")) for part in ds.split(PARTS, stratify="label").values()]
    ds.update({17: {"label": 0}}, partial=True)
    now = [set(part.column("id")) for part in ds.split(PARTS, stratify="label").values()]
    moved = sum(len(before - after) for before, after in zip(seen, now, strict=True))
    assert moved <= 2 * 3 * len(PARTS)  # of each of three values, on each side of a part


def test_stratify_takes_counts(labelled):
    first, second = labelled.split([10, 90], stratify="label")
    assert len(first) == 10 and first.value_counts("label")["a"] == 5
    assert_whole([first, second], labelled)


# group


@pytest.mark.parametrize("seed", [0, 1, 2, None])
def test_equal_values_stay_together(labelled, seed):
    parts = labelled.split(PARTS, group="user", seed=seed)
    assert_whole(parts, labelled)
    users = [set(part.unique("user")) for part in parts.values()]
    assert sum(map(len, users)) == len(set.union(*users)) == 15
    for name, part in parts.items():
        assert abs(len(part) - 100 * PARTS[name]) <= 7  # a group


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_large_group_does_not_spoil_the_sizes(path, seed):
    groups = [0] * 500 + list(range(1, 501))
    dsrecords.make_dataset({"id": np.arange(1000), "group": np.array(groups)}, path)
    train, test = dsrecords.open(path).split([0.9, 0.1], group="group", seed=seed)
    assert (len(train), len(test)) == (900, 100)
    assert 0 not in test.unique("group")


def test_another_seed_makes_other_groups(labelled):
    found = {
        tuple(labelled.split([0.5, 0.5], group="user", seed=s)[0].unique("user")) for s in range(9)
    }
    assert len(found) > 5


def test_too_few_groups_are_an_error(labelled):
    with pytest.raises(ValueError, match="part 'val' would be empty: 14 records"):
        labelled[:14].split(PARTS, group="user")


# key


def test_a_record_stays_in_its_part_when_others_come_and_go(path):
    dsrecords.make_dataset({"id": np.arange(1000)}, path)
    with dsrecords.open(path) as ds:
        before = {name: ids(part) for name, part in ds.split(PARTS, key="id").items()}
        assert all(part == sorted(part) for part in before.values())
        ds.extend({"id": i} for i in range(1000, 1500))
        after = {name: ids(part) for name, part in ds.split(PARTS, key="id").items()}
        assert all(after[name][: len(part)] == part for name, part in before.items())
        shuffled = ds.shuffle(3).split(PARTS, key="id")
        assert {name: sorted(ids(part)) for name, part in shuffled.items()} == after
        other = ds.split(PARTS, key="id", seed=1)
        assert_whole(other, ds)
        assert ids(other["test"]) != after["test"]


@pytest.mark.parametrize(
    "kind", ["int64", "uint8", "float32", "str", "bytes", "datetime64[s]", "category"]
)
def test_parts_by_a_key_are_about_as_large_as_was_asked_for(path, kind):
    count = 256 if kind in ("uint8", "category") else 4000
    values = {
        "float32": np.arange(count, dtype=np.float32) / 8,
        "str": [f"user {i}" for i in range(count)],
        "bytes": [bytes([i % 256, i // 256]) for i in range(count)],
        "datetime64[s]": np.arange(count).astype("M8[s]"),
        "category": [f"c{i}" for i in range(count)],
    }.get(kind, np.arange(count))
    if kind == "category":
        kind = "category[" + ",".join(values) + "]"
    dsrecords.make_dataset({"x": values}, path, {"x": kind})
    train, test = dsrecords.open(path).split([0.8, 0.2], key="x")
    assert len(train) + len(test) == count
    assert abs(len(test) - 0.2 * count) < 4 * (0.16 * count) ** 0.5  # standard deviations


def test_the_hash_is_the_one_that_is_stated(path):
    """The parts of some values, as computed by plain integers: they may never change."""
    mask = 2**64 - 1

    def mixed(word):
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & mask
        word = (word ^ word >> 27) * 0x94D049BB133111EB & mask
        return word ^ word >> 31

    values = [0, 1, -1, 2**62, None]
    dsrecords.make_dataset([{"x": x} for x in values], path, {"x": "int64?"})
    halves = dsrecords.open(path).split([0.5, 0.5], key="x", seed=7)
    for x in values:
        word = 0 if x is None else mixed(x & mask)
        is_second = mixed(word + 8 * 0x9E3779B97F4A7C15 & mask) >= 2**63
        assert x in halves[is_second].unique("x")


def test_the_part_of_a_value_does_not_depend_on_how_its_type_stores_it(tmp_path):
    names = [f"n{i}" for i in range(60)]
    schemas = [{"x": "str"}, {"x": f"category[{','.join(reversed(names))}]"}, {"x": "str?"}]
    found = []
    for i, schema in enumerate(schemas):
        dsrecords.make_dataset([{"x": name} for name in names], tmp_path / f"{i}.rec", schema)
        part = dsrecords.open(tmp_path / f"{i}.rec").split([0.5, 0.5], key="x")[0]
        found.append([sample["x"] for sample in part])
    numbers = list(range(-50, 50))
    for i, kind in enumerate(["int8", "int64", "int32?"], 9):
        dsrecords.make_dataset([(n,) for n in numbers], tmp_path / f"{i}.rec", [kind])
        found.append(
            dsrecords.open(tmp_path / f"{i}.rec").split([0.5, 0.5], key=0)[0].column(0).tolist()
        )
    assert found[0] == found[1] == found[2] and found[3] == found[4] == found[5]


def test_of_functions_of_the_user(path):
    dsrecords.make_dataset([(b"%d" % i,) for i in range(200)], path, ["bytes"])
    numbers = IndexedRecordDataset(path, [lambda data: int(bytes(data))]).split([0.5, 0.5], key=0)
    dsrecords.make_dataset([(i,) for i in range(200)], path, ["int64"], overwrite=True)
    same = dsrecords.open(path).split([0.5, 0.5], key=0)
    assert [list(part) for part in numbers] == [list(part) for part in same]


# All of them


def test_an_empty_dataset_has_empty_parts(labelled):
    for rule in ({}, {"stratify": "label"}, {"group": "user"}, {"key": "id"}):
        parts = labelled[:0].split(PARTS, **rule)
        assert [len(part) for part in parts.values()] == [0, 0, 0]


def test_parts_are_views_that_are_saved_and_do_not_change(labelled, tmp_path):
    for name, part in labelled.split(PARTS, stratify="label").items():
        saved = dsrecords.open(labelled.path, index_path=part.save_view(tmp_path / f"{name}.idx"))
        copied = pickle.loads(pickle.dumps(part))
        assert list(saved) == list(copied) == list(part)


def test_a_file_of_0_4_is_split(tmp_path):
    from test_filter import opened_0_4

    ds, rows = opened_0_4()
    for rule in ({}, {"stratify": 1}, {"group": 0}, {"key": 0}):
        parts = ds.split([0.5, 0.5], **rule)
        assert sorted(sample for part in parts for sample in part) == sorted(rows)


WRONG = {
    "less": ({"a": 0.9, "b": 0.05}, ValueError, "add up to 0.95, not to 1"),
    "more": ([0.9, 0.2], ValueError, "add up to 1.1, not to 1"),
    "counts": ([50, 49], ValueError, "add up to 99: there are 100 records"),
    "negative": ({"a": 1.5, "b": -0.5}, ValueError, "part 'b': -0.5 is not above 0"),
    "zero": ([1.0, 0.0], ValueError, "part 1: 0.0 is not above 0"),
    "zero count": ([100, 0], ValueError, "part 1: 0 is not above 0"),
    "NaN": ([float("nan")], ValueError, "not above 0"),
    "infinite": ([float("inf")], ValueError, "not above 0"),
    "mixed": ([0.5, 50], ValueError, "either fractions or counts"),
    "none": ({}, ValueError, "none are given"),
    "no numbers": (["a", "b"], TypeError, "a fraction or a count expected, not 'a'"),
    "bools": ([True], TypeError, "a fraction or a count expected, not True"),
    "pairs": ([("a", 0.5)], TypeError, "a fraction or a count expected"),
    "one number": (0.9, TypeError, "a dict or a list"),
    "a string": ("0.9", TypeError, "a dict or a list"),
    "empty part": ([0.999, 0.001], ValueError, "part 1 would be empty: 100 records"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_done_is_said(labelled, case):
    spec, error, text = WRONG[case]
    with pytest.raises(error, match=text):
        labelled.split(spec)


def test_a_millionth_is_no_error(labelled):
    assert [len(part) for part in labelled.split([0.333333, 0.333333, 0.333333])] == [34, 33, 33]


def test_rules_exclude_each_other_and_fields_must_fit(labelled, path):
    with pytest.raises(ValueError, match="stratify= and key= exclude each other"):
        labelled.split([0.5, 0.5], stratify="label", key="id")
    for rule in ("group", "key"):
        with pytest.raises(ValueError, match=f"{rule}= takes fractions"):
            labelled.split([50, 50], **{rule: "id"})
        with pytest.raises(SchemaError, match="no field 'x'"):
            labelled.split([0.5, 0.5], **{rule: "x"})
    with pytest.raises(ValueError, match="seed is 0 to"):
        labelled.split([0.5, 0.5], seed=-1)


def test_values_without_a_hash_are_refused(path):
    samples = [{"a": [1], "c": 1j, "j": {}}]
    dsrecords.make_dataset(samples, path, {"a": "list[int8]", "c": "complex64", "j": "json"})
    ds = dsrecords.open(path)
    for rule in ({"stratify": "a"}, {"stratify": "j"}, {"key": "c"}, {"key": "j"}):
        with pytest.raises(SchemaError, match=f"field '{next(iter(rule.values()))}'"):
            ds.split([1.0], **rule)


def test_serializers_of_a_dataset_that_is_written(path):
    ds = IndexedRecordDataset(path, serializers=[io.save_int(bits=64)])
    ds.extend([(i,) for i in range(10)])
    parts = ds.split([0.5, 0.5])
    ds.append((10,))
    assert sorted(sample for part in parts for sample in part) == [(i,) for i in range(10)]
