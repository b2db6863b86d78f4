"""`dsrecords.stats`: what it says of values is what NumPy says of them."""

import json

import numpy as np
import pytest

import dsrecords
from dsrecords._stats.distribution import Numbers
from dsrecords._stats.text import byte_count, number, sparkline

NAN = float("nan")


def stats_of(tmp_path, values, type_name, **options):
    path = tmp_path / "data.rec"
    rows = [{"f": value} for value in values]
    dsrecords.make_dataset(rows, path, {"f": type_name}, overwrite=True)
    return dsrecords.stats(dsrecords.open(path), **options)["f"]


def test_integers_have_range_mean_counts_and_a_histogram_of_whole_numbers(tmp_path):
    values = [3, 1, 1, 7, 1, 12, 3]
    found = stats_of(tmp_path, values, "int32", bins=4)
    assert (found.records, found.nulls, found.distinct) == (7, 0, 4)
    assert found.top == ((1, 3), (3, 2), (7, 1), (12, 1))
    assert (found.values.minimum, found.values.maximum) == (1, 12)
    assert found.values.mean == pytest.approx(np.mean(values))
    assert found.values.std == pytest.approx(np.std(values))
    assert found.values.edges == (1, 4, 7, 10, 13)
    assert found.values.counts == (5, 0, 1, 1)
    assert found.sizes is None


@pytest.mark.parametrize("type_name", ["float64", "float32", "float16", "bfloat16"])
def test_floats_leave_out_nan_and_infinities_and_count_them(tmp_path, type_name):
    if type_name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    values = [0.5, NAN, 2.0, float("inf"), -1.0, NAN, float("-inf"), 4.0]
    found = stats_of(tmp_path, values, type_name, bins=5)
    finite = [0.5, 2.0, -1.0, 4.0]
    assert (found.nans, found.infinities, found.values.count) == (2, 2, 4)
    assert (found.values.minimum, found.values.maximum) == (-1, 4)
    assert found.values.mean == pytest.approx(np.mean(finite))
    assert found.values.counts == tuple(np.histogram(finite, 5)[0])
    assert found.values.edges == pytest.approx(np.histogram(finite, 5)[1])
    assert found.distinct is None


def test_none_is_counted_and_is_no_number(tmp_path):
    found = stats_of(tmp_path, [None, 3, None, 5], "int64?")
    assert (found.records, found.nulls, found.values.count, found.values.mean) == (4, 2, 2, 4)
    found = stats_of(tmp_path, [None, "ab", "ab"], "str?")
    assert (found.nulls, found.lengths.count, found.top) == (1, 2, (("ab", 2),))
    found = stats_of(tmp_path, [None, None], "float32?")
    assert (found.nulls, found.values) == (2, None)


def test_the_widest_integers_are_exact(tmp_path):
    values = [0, 2**64 - 1, 2**63]
    found = stats_of(tmp_path, values, "uint64", bins=2)
    assert (found.values.minimum, found.values.maximum) == (0, 2**64 - 1)
    assert found.values.counts == (1, 2)
    values = [-(2**63), 2**63 - 1]
    found = stats_of(tmp_path, values, "int64", bins=2)
    assert found.values.edges == (-(2**63), 0, 2**63)
    assert found.values.counts == (1, 1)


def test_floats_at_the_end_of_their_range_have_a_histogram(tmp_path):
    largest = float(np.finfo(np.float64).max)
    found = stats_of(tmp_path, [-largest, 0.0, largest], "float64", bins=2)
    assert found.values.counts == (1, 2)
    found = stats_of(tmp_path, [2.5, 2.5], "float64")
    assert found.values.counts == (2,)


def test_times_are_times(tmp_path):
    days = np.array(["2026-01-01", "2026-01-05", "NaT", "2026-01-03"], "datetime64[D]")
    found = stats_of(tmp_path, list(days), "datetime64[D]", bins=2)
    assert found.nans == 1
    assert (found.values.minimum, found.values.maximum) == (days[0], days[1])
    assert found.values.mean == days[3]
    assert found.values.counts == (2, 1)
    found = stats_of(tmp_path, [np.timedelta64(90, "s")], "timedelta64[s]")
    assert found.values.maximum == np.timedelta64(90, "s")
    assert found.to_dict()["values"]["minimum"] == "90 seconds"


def test_categories_and_bools_are_counted_by_name(tmp_path):
    found = stats_of(tmp_path, ["dog", "cat", "dog"], "category[cat,dog,cow]")
    assert (found.top, found.distinct, found.values) == ((("dog", 2), ("cat", 1)), 2, None)
    found = stats_of(tmp_path, [True, False, True], "bool")
    assert found.top == ((True, 2), (False, 1))


def test_strings_have_lengths_in_characters_and_counts(tmp_path):
    values = ["é", "日本", "é", ""]
    found = stats_of(tmp_path, values, "str", top=1)
    assert (found.length_unit, found.lengths.maximum, found.lengths.mean) == ("characters", 2, 1)
    assert (found.distinct, found.top) == (3, (("é", 2),))
    assert found.sizes.maximum == 6
    assert stats_of(tmp_path, values, "zstd(str)").top[0] == ("é", 2)


def test_arrays_have_lengths_and_the_range_of_their_items(tmp_path):
    values = [np.arange(3), np.arange(0), np.array([7])]
    found = stats_of(tmp_path, values, "int64[*]")
    assert (found.length_unit, found.lengths.maximum, found.lengths.minimum) == ("items", 3, 0)
    assert (found.values.count, found.values.maximum) == (4, 7)
    found = stats_of(tmp_path, [np.ones((2, 3)), np.zeros((2, 3))], "float32[2,3]")
    assert (found.values.count, found.values.mean, found.lengths) == (12, 0.5, None)


def test_bytes_and_lists_are_known_from_the_index(tmp_path):
    found = stats_of(tmp_path, [b"abc", b"", None], "bytes?")
    assert (found.length_unit, found.lengths.count, found.lengths.maximum) == ("bytes", 2, 3)
    found = stats_of(tmp_path, [["a"], ["b", "c"]], "list[str]")
    assert (found.lengths, found.sizes.count) == (None, 2)
    found = stats_of(tmp_path, [[1], [2, 3]], "list[int32]")
    assert found.lengths.maximum == 2


def test_images_have_sizes_in_pixels(tmp_path):
    pixels = [np.zeros((4, 6, 3), np.uint8), None, np.zeros((8, 2, 3), np.uint8)]
    found = stats_of(tmp_path, pixels, "png?")
    assert (found.heights.minimum, found.heights.maximum) == (4, 8)
    assert (found.widths.minimum, found.widths.maximum) == (2, 6)
    assert (found.nulls, found.sizes.count) == (1, 2)


def test_an_empty_dataset_has_nothing_to_say(tmp_path):
    for type_name in ("int64", "str", "float32[*]", "png", "category[a]", "datetime64[s]", "json"):
        found = stats_of(tmp_path, [], type_name)
        assert (found.records, found.values, found.lengths, found.top) == (0, None, None, ())


def test_all_of_it_is_plain_data_and_a_table(tmp_path):
    path = tmp_path / "data.rec"
    rows = [{"x": i % 3, "t": f"{i}\x1b[31m", "d": np.datetime64("2026-01-01")} for i in range(9)]
    dsrecords.make_dataset(rows, path, {"x": "int8", "t": "str", "d": "datetime64[D]"})
    found = dsrecords.stats(dsrecords.open(path))
    assert json.loads(json.dumps(found.to_dict()))["records"] == 9
    assert list(found) == ["x", "t", "d"]
    lines = repr(found).splitlines()
    assert len(lines) == 5
    assert lines[0] == "9 records"
    assert all(line.isprintable() for line in lines)
    assert "0 × 3, 1 × 3, 2 × 3" in lines[2]


def test_fields_views_and_a_progress_bar(tmp_path, capsys):
    path = tmp_path / "data.rec"
    rows = [{"x": i, "y": -i} for i in range(10)]
    dsrecords.make_dataset(rows, path, {"x": "int64", "y": "int64"})
    dataset = dsrecords.open(path)
    found = dsrecords.stats(dataset[2:5], ["y"], progress=True)
    assert list(found) == ["y"]
    assert (found["y"].values.minimum, found["y"].values.maximum) == (-4, -2)
    assert "values" in capsys.readouterr().err
    with pytest.raises(dsrecords.SchemaError, match="no field 'z'"):
        dsrecords.stats(dataset, ["z"])
    with pytest.raises(ValueError, match="1 or more"):
        dsrecords.stats(dataset, bins=0)


def test_a_field_that_a_function_reads_is_refused(tmp_path):
    path = tmp_path / "data.rec"
    dsrecords.make_dataset([{"c": "a"}], path, {"c": "category[a]"})
    dataset = dsrecords.open(path, decode={"c": "name"})
    with pytest.raises(dsrecords.SchemaError, match="open the dataset without it"):
        dsrecords.stats(dataset)


def test_blocks_make_no_difference():
    rng = np.random.default_rng(0)
    values = rng.normal(100, 3, 1000)
    whole = Numbers(20)
    parts = Numbers(20)
    whole.add(values)
    for part in np.array_split(values, 13):
        parts.add(part)
    whole.begin_histogram()
    parts.begin_histogram()
    whole.add_again(values)
    for part in np.array_split(values, 13):
        parts.add_again(part)
    one = whole.distribution()
    other = parts.distribution()
    assert one.counts == other.counts
    assert one.mean == pytest.approx(other.mean)
    assert one.std == pytest.approx(np.std(values))
    assert other.std == pytest.approx(np.std(values))


def test_numbers_and_bytes_as_a_person_reads_them():
    assert [byte_count(size) for size in (0, 999, 1000, 999_499, 999_600, 1.5e9)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "999 kB",
        "1 MB",
        "1.5 GB",
    ]
    assert [number(value) for value in (12345, 0.00012345, 3.0, 9999.5, 1234567.8, True, None)] == [
        "12,345",
        "0.0001234",
        "3",
        "9,999.5",
        "1,234,568",
        "True",
        "",
    ]
    assert sparkline([0, 1, 50, 100]) == " ▁▄█"
    assert sparkline([]) == ""
