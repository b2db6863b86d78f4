"""View files: records of a dataset, in an order, saved as an index of its own; frozen, read-only, never more than it says."""

import os
import pickle
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, flip, python, row, rows, shown

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    LockedError,
    ReadOnlyError,
    StaleViewError,
    UnsupportedVersionError,
    make_dataset,
)  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture
def view(tmp_path):
    """Where a view can be saved."""
    return str(tmp_path / "val.idx")


def saved(made, view, key):
    """The records of `rows(10)` at a key, saved as a view and opened."""
    with dsrecords.open(made) as ds:
        assert ds[key].save_view(view) == view
    return dsrecords.open(made, index_path=view)


def labels(ds):
    return ds.column("label").tolist()


def slot_of(view):
    """The offset of the slot of a view."""
    with open(view, "rb") as file:
        return 0 if file.read(4) == b"\x89DSX" else 4096


# What is saved is what is shown


@pytest.mark.parametrize(
    "key",
    [slice(2, 5), slice(None), slice(None, None, -1), slice(0, 0), [5, 1, 9], [3, 3, 3], [], [-1]],
    ids=shown,
)
def test_a_view_file_shows_the_records_in_their_order(made, view, key):
    wanted = [
        row(i) for i in (range(10)[key] if isinstance(key, slice) else [range(10)[i] for i in key])
    ]
    ds = saved(made, view, key)
    assert list(ds) == wanted
    assert len(ds) == len(wanted)
    assert labels(ds) == [sample["label"] for sample in wanted]
    assert ds.check() == []
    assert ds.index_path == view and ds.path == made and ds.schema == SCHEMA


def test_a_mask_can_be_saved(made, view):
    with dsrecords.open(made) as ds:
        ds[ds.column("label") % 3 == 0].save_view(view)
    assert labels(dsrecords.open(made, index_path=view)) == [0, 3, 6, 9]


def test_a_whole_dataset_can_be_saved_and_does_not_grow_with_it(made, view):
    with dsrecords.open(made) as ds:
        ds.save_view(view)
        ds.append(row(10))
    assert list(dsrecords.open(made, index_path=view)) == rows(10)
    assert list(dsrecords.open(made)) == rows(11)


def test_it_says_that_it_is_a_view(made, view):
    assert "3 records (view)" in repr(saved(made, view, [1, 2, 3]))


ROWS = pytest.mark.parametrize(
    ("schema", "row_size"),
    [
        (SCHEMA, 72),
        ({"label": "int64"}, 16),
        (SCHEMA | {f"n{i}": "int64" for i in range(40)}, 16),
    ],
    ids=["rows with heads", "records of numbers", "wide heads"],
)


def made_of(schema, path):
    """A dataset of `rows(10)`, with zeros in the fields that these do not have. Returns what its samples are."""
    samples = [{key: sample.get(key, 0) for key in schema} for sample in rows(10)]
    make_dataset(samples, path, schema)
    return samples


@ROWS
def test_it_is_as_large_as_its_rows_and_copies_no_data(path, view, schema, row_size):
    samples = made_of(schema, path)
    before = Path(path).read_bytes()
    ds = saved(path, view, [1, 2, 3])
    header = int.from_bytes(before[16:20], "little")
    assert os.path.getsize(view) == 8192 + header + 3 * row_size
    assert Path(path).read_bytes() == before
    assert list(ds) == samples[1:4]


def test_views_of_views(made, view, tmp_path):
    evens = saved(made, view, slice(0, None, 2))
    assert labels(evens[::-1]) == [8, 6, 4, 2, 0]
    evens[[3, 1]].save_view(tmp_path / "two.idx")
    two = dsrecords.open(made, index_path=tmp_path / "two.idx")
    assert labels(two) == [6, 2]
    two.save_view(tmp_path / "same.idx")
    assert labels(dsrecords.open(made, index_path=tmp_path / "same.idx")) == [6, 2]


def test_records_that_were_just_appended_can_be_in_a_view(path, view):
    ds = IndexedRecordDataset(path, schema=SCHEMA)
    ds.extend(rows(5))
    ds[[4, 0]].save_view(view)
    ds.extend(rows(5, 9))
    assert labels(dsrecords.open(path, index_path=view)) == [4, 0]
    ds.close()
    assert labels(dsrecords.open(path, index_path=view)) == [4, 0]


def test_a_view_of_an_empty_dataset_is_empty(path, view):
    make_dataset([], path, SCHEMA)
    with dsrecords.open(path) as ds:
        ds.save_view(view)
        ds.append(row(0))
    assert list(dsrecords.open(path, index_path=view)) == []


def test_the_same_view_has_the_same_bytes(made, tmp_path):
    ds = dsrecords.open(made)
    one, two = (
        Path(ds[[3, 1]].save_view(tmp_path / name)).read_bytes() for name in ("one.idx", "two.idx")
    )
    assert one == two


def test_partial_reads_batches_and_options_work(made, view):
    with dsrecords.open(made) as ds:
        ds[[7, 5]].save_view(view)
    ds = dsrecords.open(
        made, index_path=view, copy=False, verify="always", transform=lambda sample: sample["blob"]
    )
    assert isinstance(ds[0], memoryview)
    assert ds[1, "label"] == 5 and ds.batch([1, 0], "text") == [row(5)["text"], row(7)["text"]]


def test_a_view_can_be_written_as_a_dataset_of_its_own(made, view, tmp_path):
    saved(made, view, [7, 0, 0]).compact(tmp_path / "part.rec")
    assert list(dsrecords.open(tmp_path / "part.rec")) == [row(7), row(0), row(0)]


def test_pickled_copies_show_the_same_view(made, view):
    ds = saved(made, view, [7, 5, 3])
    assert labels(pickle.loads(pickle.dumps(ds))) == [7, 5, 3]
    assert labels(pickle.loads(pickle.dumps(ds[1:]))) == [5, 3]
    assert len(pickle.dumps(ds)) < 700


def test_a_pickled_copy_of_a_view_that_was_saved_anew_is_stale(made, view):
    pickled = pickle.dumps(saved(made, view, [7, 5, 3]))
    dsrecords.open(made)[[7, 5, 4]].save_view(view, overwrite=True)
    with pytest.raises(StaleViewError):
        pickle.loads(pickled)


def test_another_process_reads_it(made, view):
    saved(made, view, [7, 5, 3])
    code = "import dsrecords; print(dsrecords.open(sys.argv[1], index_path=sys.argv[2]).column('label'))"
    assert python(code, made, view) == "[7 5 3]\n"


# Views over datasets that are edited


EDITS = [
    pytest.param(lambda ds: ds.__setitem__(3, row(30)), id="replace"),
    pytest.param(lambda ds: ds.__delitem__(slice(0, 4)), id="delete"),
    pytest.param(lambda ds: ds.quick_remove_at(0), id="quick_remove_at"),
]


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("published", [True, False], ids=["published", "only in the log"])
def test_opening_a_view_of_records_that_were_edited_since_warns_and_shows_what_they_were(
    made, view, edit, published
):
    saved(made, view, [0, 3, 9])
    with dsrecords.open(made) as ds:
        edit(ds)
        if published:
            ds.flush()
        with pytest.warns(UserWarning, match=r"val\.idx: .*data\.rec was edited once since"):
            older = dsrecords.open(made, index_path=view)
        assert list(older) == [row(0), row(3), row(9)]
        assert older.check() == []


def test_the_warning_comes_without_the_index_of_the_dataset_too(made, view):
    saved(made, view, [0, 3, 9])
    with dsrecords.open(made) as ds:
        ds[0] = row(1)
        ds[1] = row(2)
    os.remove(made.removesuffix(".rec") + ".idx")
    with pytest.warns(UserWarning, match="edited 2 times"):
        dsrecords.open(made, index_path=view)


def test_appending_does_not_warn(made, view):
    saved(made, view, [0, 3, 9])
    with dsrecords.open(made) as ds:
        ds.extend(rows(5))
        assert labels(dsrecords.open(made, index_path=view)) == [0, 3, 9]
    assert labels(dsrecords.open(made, index_path=view)) == [0, 3, 9]


def test_a_view_that_is_made_after_edits_shows_them_and_does_not_warn(made, view):
    with dsrecords.open(made) as ds:
        ds[2] = row(20)
        del ds[0]
        ds[:2].save_view(view)
        assert labels(dsrecords.open(made, index_path=view)) == [1, 20]
    assert labels(dsrecords.open(made, index_path=view)) == [1, 20]


def test_a_view_in_memory_of_before_an_edit_is_saved_as_it_was_and_warns(made, view):
    with dsrecords.open(made) as ds:
        older = ds[2:4]
        ds[2] = row(20)
        ds.append(row(10))
        older.save_view(view)
    with pytest.warns(UserWarning, match="edited once"):
        assert labels(dsrecords.open(made, index_path=view)) == [2, 3]


REPLACED = [
    pytest.param(lambda path: dsrecords.open(path).compact(), id="compact"),
    pytest.param(
        lambda path: make_dataset(rows(10), path, SCHEMA, overwrite=True), id="make_dataset"
    ),
]


@pytest.mark.parametrize("replace", REPLACED)
def test_a_view_of_a_dataset_that_was_compacted_or_made_anew_is_stale(made, view, replace):
    saved(made, view, [0, 3, 9])
    replace(made)
    with pytest.raises(
        StaleViewError,
        match=r"val\.idx: a view of another dataset, or of .*data\.rec before it was compacted",
    ):
        dsrecords.open(made, index_path=view)


def test_a_view_that_is_open_outlives_a_compaction(made, view):
    ds = saved(made, view, [0, 3, 9])
    dsrecords.open(made).compact()
    assert labels(ds) == [0, 3, 9]
    with pytest.raises(StaleViewError, match="compacted or replaced since"):
        ds.save_view(view, overwrite=True)


# What is refused


def test_a_view_file_is_read_only(made, view):
    ds = saved(made, view, [0, 3, 9])
    for change in (
        lambda: ds.append(row(0)), lambda: ds.extend(rows(2)), lambda: ds.extend_columns({}), lambda: ds.__setitem__(0, row(1)),
        lambda: ds.update({0: row(1)}), lambda: ds.__delitem__(0), lambda: ds.quick_remove_at(0), lambda: ds.compact(),
        lambda: ds.refresh(),
    ):  # fmt: skip
        with pytest.raises(ReadOnlyError, match="view"):
            change()
    ds.flush()
    ds.close()
    assert labels(dsrecords.open(made, index_path=view)) == [0, 3, 9]


def test_changing_a_view_takes_no_lock(made, view):
    ds = saved(made, view, [0, 3, 9])
    with pytest.raises(ReadOnlyError):
        ds.append(row(0))
    with dsrecords.open(made) as writer:
        writer.append(row(10))


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_index_of_the_dataset_itself_is_refused(made, view, tmp_path, monkeypatch, overwrite):
    own = made.removesuffix(".rec") + ".idx"
    before = Path(own).read_bytes()
    os.symlink(own, tmp_path / "link.idx")
    os.link(own, tmp_path / "hard.idx")
    monkeypatch.chdir(tmp_path)
    for name in (own, "data.idx", "./data.idx", tmp_path / "link.idx", tmp_path / "hard.idx"):
        with pytest.raises(ValueError, match="the index of the dataset itself"):
            dsrecords.open(made)[:3].save_view(name, overwrite=overwrite)
    assert Path(own).read_bytes() == before
    view_of = saved(made, view, [1])
    os.remove(own)
    for ds in (view_of, dsrecords.open(made)):  # nor where it belongs
        with pytest.raises(ValueError, match="the index of the dataset itself"):
            ds.save_view(own, overwrite=overwrite)
    assert not os.path.exists(own)


def test_an_index_elsewhere_is_refused_as_well(path, tmp_path):
    make_dataset(rows(3), path, SCHEMA, index_path=tmp_path / "elsewhere.idx")
    with pytest.raises(ValueError, match="the index of the dataset itself"):
        dsrecords.open(path, index_path=tmp_path / "elsewhere.idx")[:1].save_view(
            tmp_path / "elsewhere.idx", overwrite=True
        )


def test_a_view_that_is_there_stays_unless_overwrite_is_given(made, view, tmp_path):
    saved(made, view, [1])
    with pytest.raises(FileExistsError, match=r"val\.idx exists; overwrite=True would replace it"):
        dsrecords.open(made)[:3].save_view(view)
    assert labels(dsrecords.open(made, index_path=view)) == [1]
    dsrecords.open(made)[:3].save_view(view, overwrite=True)
    assert labels(dsrecords.open(made, index_path=view)) == [0, 1, 2]
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec", "val.idx"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("what", ["text", "data", "index"])
def test_what_is_not_a_view_is_never_written_over(made, tmp_path, overwrite, what):
    other = tmp_path / "other.rec"
    make_dataset(rows(2), other, SCHEMA)
    target = {"text": tmp_path / "notes.txt", "data": other, "index": other.with_suffix(".idx")}[
        what
    ]
    (tmp_path / "notes.txt").write_text("mine")
    before = target.read_bytes()
    with pytest.raises(FileExistsError, match="exists"):
        dsrecords.open(made)[:3].save_view(target, overwrite=overwrite)
    assert target.read_bytes() == before


def test_no_dataset_is_made_over_a_view(made, view, tmp_path):
    saved(made, view, [1])
    with pytest.raises(FileExistsError, match="exists"):
        make_dataset(rows(2), tmp_path / "val.rec", SCHEMA, overwrite=True)
    assert labels(dsrecords.open(made, index_path=view)) == [1]
    assert not os.path.exists(tmp_path / "val.rec")


def test_a_view_in_the_place_of_the_datasets_own_index_is_a_view_still(made, view):
    # Somebody renamed it: it shows what it is, and no writer takes it for a cache that may be made again.
    saved(made, view, [1, 2])
    shutil.copy(view, made.removesuffix(".rec") + ".idx")
    ds = dsrecords.open(made)
    assert labels(ds) == [1, 2]
    with pytest.raises(ReadOnlyError):
        ds.append(row(0))


def test_a_writer_never_publishes_over_a_view_that_was_put_in_the_place_of_its_index(made, view):
    saved(made, view, [1, 2])
    ds = dsrecords.open(made)
    ds.append(row(10))
    shutil.copy(view, ds.index_path + ".new")
    os.replace(ds.index_path + ".new", ds.index_path)
    with pytest.raises(ReadOnlyError, match="no index of this dataset"):
        ds.flush()
    assert Path(ds.index_path).read_bytes() == Path(view).read_bytes()


# Damaged, mistyped: never all records


def test_a_view_that_does_not_exist_is_file_not_found(made, view):
    with pytest.raises(FileNotFoundError):
        dsrecords.open(made, index_path=view)
    with pytest.raises(FileNotFoundError):
        IndexedRecordDataset(made, schema=SCHEMA, index_path=view)
    assert not os.path.exists(view)


def test_a_view_of_another_dataset_is_refused(made, view, tmp_path):
    make_dataset(rows(4), tmp_path / "other.rec", SCHEMA)
    dsrecords.open(tmp_path / "other.rec")[:2].save_view(view)
    with pytest.raises(StaleViewError, match="another dataset"):
        dsrecords.open(made, index_path=view)


def test_the_index_of_another_dataset_is_refused(made, tmp_path):
    make_dataset(rows(4), tmp_path / "other.rec", SCHEMA)
    with pytest.raises(
        CorruptError, match=r"other\.idx: the index of another dataset.*nothing is shown"
    ):
        dsrecords.open(made, index_path=tmp_path / "other.idx")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", bytes(20_000), b"\x89DSX\r\n\x1a\n"],
    ids=["empty", "text", "zeros", "magic"],
)
def test_a_file_that_is_no_index_is_refused(made, view, content):
    Path(view).write_bytes(content)
    with pytest.raises(CorruptError, match="damaged, or no index of ours"):
        dsrecords.open(made, index_path=view)


@pytest.mark.long
@pytest.mark.exhaustive
def test_each_flipped_byte_of_the_slot_is_an_error(made, view):
    saved(made, view, [1, 2, 3])
    at = slot_of(view)
    for byte in range(128):
        flip(view, at + byte)
        with pytest.raises((CorruptError, StaleViewError, UnsupportedVersionError)):
            dsrecords.open(made, index_path=view)
        flip(view, at + byte)
    assert labels(dsrecords.open(made, index_path=view)) == [1, 2, 3]


@ROWS
def test_each_flipped_byte_of_a_row_is_an_error_when_the_record_is_read(
    path, view, schema, row_size
):
    samples = made_of(schema, path)
    saved(path, view, [1, 2, 3])
    second = os.path.getsize(view) - 2 * row_size
    for byte in range(second, second + row_size):
        flip(view, byte)
        ds = dsrecords.open(path, index_path=view)
        assert ds[0] == samples[1] and ds[2] == samples[3]
        for read in (lambda ds=ds: ds[1], lambda ds=ds: ds[1, "label"], lambda ds=ds: labels(ds)):
            with pytest.raises(CorruptError, match="record 1"):
                read()
        assert [problem.record for problem in ds.check()] == [1]
        flip(view, byte)


@ROWS
def test_swapped_rows_are_an_error(path, view, schema, row_size):
    made_of(schema, path)
    saved(path, view, [1, 2, 3])
    data = Path(view).read_bytes()
    start = len(data) - 3 * row_size
    first, second, third = (
        data[start + row_size * i : start + row_size * (i + 1)] for i in range(3)
    )
    Path(view).write_bytes(data[:start] + second + first + third)
    ds = dsrecords.open(path, index_path=view)
    for i in (0, 1):
        for read in (lambda i=i: ds[i], lambda i=i: ds.batch([i], ["label"])):
            with pytest.raises(CorruptError, match=f"record {i}.*the index's row is "):
                read()
    assert ds[2, "label"] == 3


@pytest.mark.parametrize("kept", [0, 127, 4096, 4223, 8191, 12287, 12288, 12288 + 215])
def test_a_view_that_was_cut_short_is_an_error(made, view, kept):
    saved(made, view, [1, 2, 3])
    os.truncate(view, kept)
    with pytest.raises(CorruptError):
        dsrecords.open(made, index_path=view)


def test_a_log_that_is_shorter_than_the_view_says_is_an_error(made, view):
    saved(made, view, [1, 2, 3])
    os.truncate(made, os.path.getsize(made) - 8)
    with pytest.raises(CorruptError, match=r"the view .*val\.idx vouches for"):
        dsrecords.open(made, index_path=view)


def test_damage_behind_what_the_view_shows_does_not_hide_it(made, view):
    saved(made, view, [1, 2, 3])
    with open(made, "ab") as file:
        file.write(b"\1" * 64)
    assert labels(dsrecords.open(made, index_path=view)) == [1, 2, 3]


def test_a_view_of_a_later_version_is_an_unsupported_version(made, view):
    saved(made, view, [1, 2, 3])
    at = slot_of(view)
    for version, flags, what in (
        (3, 1, "a view"),
        (1, 1, "a view"),
        (2, 3, "a view"),
        (2, 2, "an index"),
        (3, 0, "an index"),
    ):
        with open(view, "r+b") as file:
            file.seek(at + 12)
            body = struct.pack("<HH", version, flags) + file.read(116)[4:]
            file.seek(at + 8)
            file.write(struct.pack("<I", zlib.crc32(body)) + body)
        with pytest.raises(
            UnsupportedVersionError, match=f"{what} of version {version}, flags {flags}"
        ):
            dsrecords.open(made, index_path=view)


# What is left when saving fails


def test_a_view_that_cannot_be_written_leaves_nothing(made, view, tmp_path, monkeypatch):
    ds = dsrecords.open(made)
    saved(made, view, [1])
    before = sorted(os.listdir(tmp_path))

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("dsrecords._storage.files.pwrite", full)
        with pytest.raises(OSError, match="No space"):
            ds[:3].save_view(tmp_path / "new.idx")
    assert sorted(os.listdir(tmp_path)) == before
    with monkeypatch.context() as patched:
        patched.setattr("dsrecords._storage.files.rename", full)
        with pytest.raises(OSError, match="No space"):
            ds[:3].save_view(view, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == before
    assert labels(dsrecords.open(made, index_path=view)) == [1]


def test_saving_while_another_process_writes_takes_no_lock(made, view):
    with dsrecords.open(made) as writer:
        writer.append(row(10))
        reader = dsrecords.open(made)
        reader[-1:].save_view(view)
        with pytest.raises(LockedError):
            reader.append(row(11))
    assert labels(dsrecords.open(made, index_path=view)) == [10]


def test_many_records_in_random_order(path, view):
    with IndexedRecordDataset(path, schema={"n": "int64"}) as ds:
        ds.extend_columns({"n": np.arange(100_000)})
        chosen = np.random.default_rng(0).permutation(100_000)[:70_000]
        ds[chosen].save_view(view)
    shown = dsrecords.open(path, index_path=view)
    assert (shown.column("n") == chosen).all()
    assert shown[69_999]["n"] == chosen[-1]


def test_repair_does_not_take_a_view_for_the_list(made, view, tmp_path):
    saved(made, view, [1, 2, 3])
    flip(made, Path(made).read_bytes().index(row(5)["text"].encode()))
    os.remove(made.removesuffix(".rec") + ".idx")
    before = Path(view).read_bytes()
    report = dsrecords.repair(made, tmp_path / "saved.rec", index_path=view)
    assert report.problems
    assert report.records == 9
    assert list(dsrecords.open(tmp_path / "saved.rec")) == [*rows(5), *rows(6, 10)]
    with pytest.raises((CorruptError, ReadOnlyError)):
        dsrecords.repair(made, index_path=view, in_place=True)
    assert Path(view).read_bytes() == before
