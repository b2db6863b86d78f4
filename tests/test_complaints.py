"""What was complained of about other formats and loaders, tried here: the table of docs/complaints.md.

Most of its rows are shown by tests that stand beside their subject. Those here are of what no other test is about. The last tests compare
the table with the tests that it names.
"""

import ast
import gc
import io as memory
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, frames, python, row, rows
from PIL import Image

import dsrecords
from dsrecords import CorruptError, SchemaError, make_dataset

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "complaints.md"


def stored(path, kind, *values):
    """What is read of values that were written, as samples and then as a column."""
    make_dataset([{"v": value} for value in values], path, {"v": kind})
    with dsrecords.open(path) as ds:
        ds.extend_columns({"v": list(values)})
    return [sample["v"] for sample in dsrecords.open(path)]


# files


def test_a_writer_that_is_never_closed_has_written_all(path):
    python(
        "import dsrecords, os\n"
        "dsrecords.make_dataset([], sys.argv[1], {'n': 'int64', 's': 'str'})\n"
        "ds = dsrecords.open(sys.argv[1])\n"
        "for n in range(100): ds.append({'n': n, 's': str(n)})\n"
        "os._exit(0)",
        path,
    )
    assert list(dsrecords.open(path)) == [{"n": n, "s": str(n)} for n in range(100)]


PARTS = {"beginning": (0, 0.4), "middle": (0.3, 0.6), "end": (0.7, 1)}


def arrived_without(path, part):
    """A dataset of 100 records, of which a part has not arrived: where it would be, there are zeros."""
    with dsrecords.open(path) as ds:
        for n in range(100):
            ds.append({"s": f"sample {n}" * 20})
    data = bytearray(Path(path).read_bytes())
    first = frames(path)[0].offset
    start, stop = (first + int((len(data) - first) * share) for share in PARTS[part])
    data[start:stop] = bytes(stop - start)
    Path(path).write_bytes(data)


@pytest.mark.parametrize("part", PARTS)
def test_what_has_not_arrived_of_a_copy_is_an_error_and_no_value(path, part):
    make_dataset([], path, {"s": "str"})
    arrived_without(path, part)
    if part == "end":
        with pytest.raises(CorruptError, match="its index vouches"):
            dsrecords.open(path)
        return
    ds = dsrecords.open(path, on_error="skip")
    right = [int(sample["s"].split()[1].removesuffix("sample")) for sample in ds]
    missing = [error.record for error in ds.skipped]
    assert len(right) > 50 and len(missing) > 20
    assert sorted(right + missing) == list(range(100))
    assert {problem.record for problem in ds.check()} >= set(missing)


@pytest.mark.parametrize("part", PARTS)
def test_without_an_index_what_has_not_arrived_is_an_error_or_the_end(path, part):
    make_dataset([], path, {"s": "str"})
    arrived_without(path, part)
    Path(path).with_suffix(".idx").unlink()
    if part != "end":
        with pytest.raises(CorruptError):
            dsrecords.open(path)
        return
    with pytest.warns(UserWarning, match="missing"):
        ds = dsrecords.open(path)
    assert 50 < len(ds) < 100
    assert [sample["s"] for sample in ds] == [f"sample {n}" * 20 for n in range(len(ds))]


def test_an_index_without_a_byte_is_made_again(made):
    os.truncate(Path(made).with_suffix(".idx"), 0)
    with pytest.warns(UserWarning, match="the list was made again"):
        ds = dsrecords.open(made)
    assert list(ds) == rows(10)
    ds.append(row(10))
    ds.close()
    assert list(dsrecords.open(made)) == rows(11)


def test_a_data_file_without_a_byte_is_named(made):
    os.truncate(made, 0)
    with pytest.raises(CorruptError, match=f"{re.escape(made)}: empty"):
        dsrecords.open(made)


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("key", [slice(None), slice(None, None, -1), [3, 3, 7]], ids=str)
def test_saving_over_the_file_that_is_read_keeps_every_value(path, copy, key):
    arrays = [np.arange(1000.0) + i for i in range(10)]
    make_dataset([{"a": array} for array in arrays], path, {"a": "float64[*]"})
    ds = dsrecords.open(path, copy=copy)
    numbers = np.arange(10)[key]
    read = ds[5, "a"]
    make_dataset(ds[key], path, overwrite=True)
    assert np.array_equal(read, arrays[5])
    again = dsrecords.open(path)
    assert all(np.array_equal(again[i, "a"], arrays[n]) for i, n in enumerate(numbers))
    assert len(again) == len(numbers)


@pytest.mark.parametrize("umask", [0o002, 0o007, 0o027, 0o077], ids=oct)
def test_new_files_have_the_mode_of_the_umask(path, umask):
    before = os.umask(umask)
    try:
        make_dataset(rows(3), path, SCHEMA)
    finally:
        os.umask(before)
    for file in (Path(path), Path(path).with_suffix(".idx")):
        assert file.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_dataset_takes_one_descriptor_until_it_is_forgotten(made):
    def count():
        return len(os.listdir("/proc/self/fd"))

    gc.collect()  # what other tests have left is not closed meanwhile
    before = count()
    held = [dsrecords.open(made) for _ in range(50)]
    for ds in held:
        assert list(ds) == rows(10) and ds.column("label").tolist() == list(range(10))
    assert count() <= before + 50
    del ds, held
    assert count() == before


def test_more_datasets_than_descriptors_are_read_one_after_the_other(made):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/proc/self/fd")) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
    try:
        for _ in range(2 * few):
            assert dsrecords.open(made)[3] == row(3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_no_size_is_given_before_writing(path):
    make_dataset([{"b": b"x"}], path, {"b": "bytes"})
    payload = bytes(2**20)
    with dsrecords.open(path) as ds:
        for _ in range(24):
            ds.append({"b": payload})
        assert len(ds[24, "b"]) == 2**20
    assert os.path.getsize(path) > 24 * 2**20
    assert dsrecords.open(path).check() == []


@pytest.mark.parametrize("position", [0, 5, 9], ids=["first", "middle", "last"])
def test_a_damaged_record_ends_no_loop_where_it_is_to_be_skipped(path, position):
    texts = [f"sample {i}" for i in range(10)]
    make_dataset([{"s": text} for text in texts], path, {"s": "str"})
    flip(path, Path(path).read_bytes().index(texts[position].encode()))
    with pytest.raises(CorruptError, match=f"record {position}, field 's'"):
        list(dsrecords.open(path))
    ds = dsrecords.open(path, on_error="skip")
    assert [sample["s"] for sample in ds] == [*texts[:position], *texts[position + 1 :]]
    assert [error.record for error in ds.skipped] == [position]


def test_damage_names_its_file_among_many(tmp_path):
    paths = [str(tmp_path / f"train-{i}.rec") for i in range(3)]
    for path in paths:
        make_dataset(rows(10), path, SCHEMA)
    flip(paths[1], Path(paths[1]).read_bytes().index(b"text 5"))
    datasets = [dsrecords.open(path) for path in paths]
    with pytest.raises(CorruptError, match=re.escape(paths[1])) as caught:
        [sample for ds in datasets for sample in ds]
    assert (caught.value.file, caught.value.record, caught.value.field) == (paths[1], 5, "text")


# values

PLAIN = np.arange(6, dtype="float64").reshape(2, 3)
LAYOUTS = {
    "big-endian": PLAIN.astype(">f8"),
    "Fortran": np.asfortranarray(PLAIN),
    "broadcast": np.broadcast_to(PLAIN[0], (2, 3)),
    "backwards": PLAIN[::-1, ::-1],
    "every other": np.repeat(PLAIN, 2, axis=1)[:, ::2],
    "transposed": PLAIN.reshape(3, 2).T,
    "unaligned": np.frombuffer(b"\0" + PLAIN.tobytes(), "float64", offset=1).reshape(2, 3),
}


@pytest.mark.parametrize("kind", ["float64[2,3]", "float64[*,*]", "array", "zstd(float64[*,3])"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_of_any_layout_comes_back(path, kind, layout):
    given = LAYOUTS[layout]
    expected = given.tolist()
    assert [value.tolist() for value in stored(path, kind, given, given)] == [expected] * 4


@pytest.mark.parametrize("text", ["a\0b", "\0", "a\0", "\0\0a", "a\0\0", ""], ids=ascii)
def test_zeros_in_strings_are_kept(path, text):
    assert stored(path, "str", text, "end") == [text, "end"] * 2
    with dsrecords.open(path) as ds:
        ds.set_metadata({"name": text})
    assert dsrecords.open(path).metadata == {"name": text}


@pytest.mark.parametrize("data", [b"a\0b", b"\0", b"a\0", b""], ids=ascii)
def test_zeros_in_bytes_are_kept(path, data):
    assert stored(path, "bytes", data, b"end") == [data, b"end"] * 2


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_an_integer_beyond_its_type_is_refused_and_named(path, kind):
    limits = np.iinfo(kind)
    assert stored(path, kind, limits.min, limits.max) == [limits.min, limits.max] * 2
    for value in (limits.min - 1, limits.max + 1):
        with pytest.raises(SchemaError, match=rf"record 1, field 'v': .*{value}"):
            make_dataset([{"v": 0}, {"v": value}], path, {"v": kind}, overwrite=True)
    assert len(dsrecords.open(path)) == 4


@pytest.mark.parametrize("unit", ["D", "s", "ms", "us", "ns"])
@pytest.mark.parametrize("sign", [1, -1], ids=["after 1970", "before 1970"])
def test_times_keep_their_unit_and_their_last_digit(path, unit, sign):
    times = np.array([sign * 1487780650586 % 10**15, sign * 19_001], f"datetime64[{unit}]")
    read = stored(path, f"datetime64[{unit}]", *times)
    assert read == [*times, *times]
    column = dsrecords.open(path).column("v")
    assert column.dtype == times.dtype and np.array_equal(column[:2], times)


def test_none_within_lists_is_no_empty_list(path):
    values = [[None, [0]], [[], None], [], [[]]]
    assert stored(path, "list[list[int64]?]", *values) == values * 2
    with dsrecords.open(path) as ds:
        ds.cast({"v": "list[list[int32]?]"})
    assert [sample["v"] for sample in dsrecords.open(path)] == values * 2


def test_not_a_number_is_not_none(path):
    read = stored(path, "float64?", float("nan"), None, 0.0)
    assert [value is None for value in read] == [False, True, False] * 2
    assert np.isnan(read[0]) and read[2] == 0
    column = dsrecords.open(path).column("v")
    assert np.ma.getmaskarray(column).tolist() == [False, True, False] * 2


def test_a_sample_that_lacks_a_field_is_refused(path):
    with pytest.raises(SchemaError, match="record 1, field 'text': missing"):
        make_dataset([{"id": 0, "text": "a"}, {"id": 1}], path, {"id": "int64", "text": "str"})
    assert not os.path.exists(path)


# images


def test_class_numbers_of_a_palette_are_kept(path):
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90] + [0] * 759)
    image.putdata([0, 1, 2, 1] * 4)
    file = memory.BytesIO()
    image.save(file, "PNG")
    for mask in stored(path, "png", file.getvalue(), image):
        assert mask.mode == "P"
        assert np.array_equal(np.asarray(mask), np.asarray(image))
        assert mask.getpalette()[:9] == image.getpalette()[:9]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGB", "RGBA"])
def test_an_image_that_was_never_in_a_file_keeps_its_pixels(path, mode):
    random = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (9, 7)).astype(np.uint16))
    else:
        data = random.integers(0, 256, (9, 7, 4)).astype(np.uint8)
        image = Image.fromarray(data, "RGBA").convert(mode)
    make_dataset([{"image": image}], path)
    read = dsrecords.open(path)[0]["image"]
    assert np.array_equal(np.asarray(read), np.asarray(image))


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<!DOCTYPE html><html>"], ids=len)
def test_what_is_no_image_is_refused_when_it_is_written(path, data):
    with pytest.raises(SchemaError, match="record 1, field 'image'"):
        make_dataset([{"image": Image.new("L", (2, 2))}, {"image": data}], path, {"image": "image"})
    assert not os.path.exists(path)


# loops


def stop_at_two(sample):
    if sample["label"] == 2:
        raise StopIteration
    return sample


def test_a_stop_iteration_of_a_transform_ends_no_loop_silently(made):
    ds = dsrecords.open(made, transform=stop_at_two)
    for read in (lambda: list(ds), lambda: ds.__getitems__([1, 2, 3]), lambda: list(ds[1:5])):
        with pytest.raises(RuntimeError, match="StopIteration"):
            read()


def test_a_stop_iteration_of_a_generator_of_samples_makes_no_short_dataset(path):
    def samples():
        for i in range(10):
            if i == 7:
                next(iter([]))
            yield row(i)

    with pytest.raises(RuntimeError, match="StopIteration"):
        make_dataset(samples(), path, SCHEMA)
    assert not os.path.exists(path)


# hostile files

PICKLED = """
import dsrecords, os, pickle, warnings
class Attack:
    def __reduce__(self):
        return os.mkdir, ("run",)
attack = pickle.dumps(Attack())
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event == "pickle.find_class" else None)
text = attack.decode("latin-1")
sample = {"b": attack, "s": text, "j": {"__reduce__": text}, "f": dsrecords.StoredFile(attack, ".pkl"), "z": attack}
dsrecords.make_dataset([sample], "a.rec", {"b": "bytes", "s": "str", "j": "json", "f": "file", "z": "zstd(bytes)"}, metadata={"m": text})
ds = dsrecords.open("a.rec")
sample, column = ds[0], ds.batch([0])
assert sample["b"] == attack and sample["s"] == text and ds.metadata == {"m": text}
assert ds.check(decode=True) == []
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    try:
        for sample in dsrecords.open(path, on_error="skip"): pass
    except dsrecords.SchemaError:  # a field that only functions of the user's can read
        dsrecords.open(path).check()
assert seen == [] and not os.path.exists("run"), seen
pickle.loads(attack)
assert seen and os.path.exists("run")
"""


def test_nothing_that_is_read_is_unpickled(tmp_path):
    golden = sorted(map(str, (ROOT / "tests" / "golden").glob("*.rec")))
    assert golden
    python(PICKLED, *golden, cwd=tmp_path)


# the table


def table():
    """The rows of the page: the reports, what was done there, what happens here, the tests."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in lines
        if line.startswith("| ")
    ]
    return [row for row in cells if row[0] not in ("report", "---")]


def functions_of(file):
    """The names of the functions of a file, without importing it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_table_has_forty_complaints_and_each_a_test():
    rows_of_page = table()
    assert len(rows_of_page) >= 40
    for cells in rows_of_page:
        assert len(cells) == 4, cells
        assert re.search(r"\[[\w.-]+/[\w.-]+#\d+\]\(https://github\.com/", cells[0]), cells[0]
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", cells[3]), cells[3]


def test_each_test_that_the_table_names_exists():
    missing = [
        name
        for cells in table()
        for name in re.findall(r"`([^`]+)`", cells[3])
        if not named_test_exists(name)
    ]
    assert missing == []


def named_test_exists(name):
    path, _, function = name.partition("::")
    file = ROOT / path
    return function.startswith("test_") and file.is_file() and function in functions_of(file)


def test_a_test_that_does_not_exist_is_noticed():
    here = "tests/test_complaints.py"
    assert named_test_exists(f"{here}::test_a_test_that_does_not_exist_is_noticed")
    assert not named_test_exists(f"{here}::test_of_nothing")
    assert not named_test_exists(f"{here}::table")
    assert not named_test_exists("tests/test_nothing.py::test_of_nothing")


def test_each_link_of_the_table_leads_where_it_says():
    for cells in table():
        for repository, number, target in re.findall(r"\[([^\]#]+)#(\d+)\]\(([^)]+)\)", cells[0]):
            kinds = [f"https://github.com/{repository}/{kind}/{number}" for kind in KINDS]
            assert target in kinds


KINDS = ("issues", "pull")
