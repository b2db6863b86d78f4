"""Types that only a later version knows: such a field is kept as it is, and all others are read and written."""

import json
import pickle
import struct
from pathlib import Path

import pytest
from bytes_by_hand import Log

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    SchemaError,
    UnsupportedVersionError,
    io,
)

PICTURE = {"name": "picture", "type": "jpegxl?", "payload": 0, "dict": "AA==", "planes": [1, {}]}
FIELDS = [PICTURE, {"name": "n", "type": "int64", "at": 32}]
PICTURES = [b"a picture", None, b""]


def write(path, fields=FIELDS, head=40, pictures=PICTURES):
    log = Log({"fields": fields, "head": head})
    for n, picture in enumerate(pictures):
        log.record(bytes(4) + struct.pack("<q", n), [picture])
    Path(path).write_bytes(log.data)
    return path


@pytest.fixture
def ds(path):
    with dsrecords.open(write(path)) as opened:
        yield opened


def stored(path):
    """The payloads of the pictures, and what the header says of the field."""
    header = Path(path).read_bytes()[40:]
    said = json.loads(header[: int.from_bytes(Path(path).read_bytes()[20:24], "little")])
    with IndexedRecordDataset(path, deserializers={"picture": io.identity}) as opened:
        return [sample["picture"] for sample in opened], said["fields"][0]


def test_all_other_fields_are_read(ds):
    assert ds.schema == {"picture": "jpegxl?", "n": "int64"}
    assert ds[1, "n"] == 1
    assert ds[-1, ["n"]] == {"n": 2}
    assert ds.column("n").tolist() == [0, 1, 2]
    assert ds.batch([2, 0], ["n"])["n"].tolist() == [2, 0]
    assert ds.check() == []


@pytest.mark.parametrize(
    "read",
    [
        lambda ds: ds[0],
        lambda ds: ds[0, "picture"],
        lambda ds: ds[0, ["n", "picture"]],
        lambda ds: list(ds),
        lambda ds: ds.column("picture"),
        lambda ds: ds.batch([0, 1]),
        lambda ds: ds.__getitems__([0]),
        lambda ds: ds[[0]][0],
        lambda ds: pickle.loads(pickle.dumps(ds))[0],
    ],
)
def test_who_asks_for_it_is_told_of_the_other_fields(ds, read):
    with pytest.raises(UnsupportedVersionError, match=r"the type 'jpegxl.?'.*ds.batch") as raised:
        read(ds)
    error = raised.value
    assert (error.file, error.record, error.field) == (ds.path, 0, "picture")


def test_none_is_none_whatever_the_type_is(ds):
    assert ds[1] == {"picture": None, "n": 1}


def test_who_knows_more_may_read_the_bytes(path):
    assert stored(write(path)) == (PICTURES, PICTURE)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.append({"picture": b"", "n": 5}),
        lambda ds: ds.append({"picture": None, "n": 5}),
        lambda ds: ds.extend([{"picture": None, "n": 5}] * 2),
        lambda ds: ds.extend_columns({"picture": [None], "n": [5]}),
        lambda ds: ds.update({0: {"picture": None, "n": 5}}),
        lambda ds: ds.__setitem__(0, {"picture": b"", "n": 5}),
        lambda ds: ds.__setitem__((0, "picture"), b""),
        lambda ds: ds.update({0: {"picture": None}}, partial=True),
    ],
)
def test_samples_cannot_be_written(ds, change):
    before = Path(ds.path).read_bytes()
    with pytest.raises(UnsupportedVersionError, match="must write") as raised:
        change(ds)
    assert raised.value.field == "picture"
    assert Path(ds.path).read_bytes() == before


def test_other_fields_are_corrected_and_records_deleted(ds):
    ds[0, "n"] = 7
    ds.update({2: {"n": 9}}, partial=True)
    del ds[1]
    assert ds.column("n").tolist() == [7, 9]
    ds.close()
    assert stored(ds.path)[0] == [b"a picture", b""]


def test_copies_keep_the_payloads_and_all_that_the_header_says_of_the_field(ds, tmp_path):
    ds.compact(tmp_path / "copy.rec")
    ds[[2, 0]].compact(tmp_path / "view.rec")
    dsrecords.repair(ds.path, tmp_path / "saved.rec")
    ds.compact()
    ds.close()
    assert stored(tmp_path / "view.rec") == ([b"", b"a picture"], PICTURE)
    for path in (tmp_path / "copy.rec", tmp_path / "saved.rec", ds.path):
        assert stored(path) == (PICTURES, PICTURE)


def test_a_view_file_shows_the_other_fields(ds, tmp_path):
    view = ds[[2, 0]].save_view(tmp_path / "view.idx")
    shown = dsrecords.open(ds.path, index_path=view)
    assert shown.column("n").tolist() == [2, 0]
    with pytest.raises(UnsupportedVersionError):
        shown[1]


def test_the_schema_may_change_around_it(ds):
    ds.rename_fields({"picture": "image"})
    ds.add_field("m", "str", ["x", "y", "z"])
    ds.drop_fields("n")
    assert ds.column("m") == ["x", "y", "z"]
    ds.rename_fields({"image": "picture"})
    ds.close()
    assert stored(ds.path) == (PICTURES, PICTURE)


def test_it_cannot_be_cast(ds):
    with pytest.raises(UnsupportedVersionError) as raised:
        ds.cast({"picture": "bytes?"})
    assert raised.value.field == "picture"


@pytest.mark.parametrize("kind", ["zstd(jpegxl)", "list[jpegxl]", "category[a,a]", "[", "int64[2"])
def test_whatever_cannot_be_parsed_is_a_type_of_a_later_version(path, kind):
    ds = dsrecords.open(write(path, [{**PICTURE, "type": kind}, FIELDS[1]]))
    assert ds.column("n").tolist() == [0, 1, 2]
    with pytest.raises(UnsupportedVersionError):
        ds[0, "picture"]


@pytest.mark.parametrize("where", [{"at": 16}, {"at": 16, "present": 24}, {}])
def test_numbers_of_an_unknown_type_cannot_be_passed_over(path, where):
    write(path, [{"name": "x", "type": "int128", **where}], 32, [])
    with pytest.raises(UnsupportedVersionError, match=r"'int128'.*must read the file") as raised:
        dsrecords.open(path)
    assert (raised.value.file, raised.value.field) == (path, "x")


@pytest.mark.parametrize("kind", [64, None, [], "", "\ud800", "x" * (2**20 + 1)])
def test_what_is_no_name_is_corrupt(path, kind):
    write(path, [{**PICTURE, "type": kind}, FIELDS[1]], pictures=[])
    with pytest.raises(CorruptError):
        dsrecords.open(path)


@pytest.mark.parametrize("place", [{"payload": 1}, {"payload": 0.0}, {"payload": None}])
def test_a_field_that_is_elsewhere_than_its_order_says_is_corrupt(path, place):
    write(path, [{**PICTURE, **place}, FIELDS[1]], pictures=[])
    with pytest.raises(CorruptError, match="offsets"):
        dsrecords.open(path)


def test_a_new_dataset_cannot_have_it(ds, tmp_path):
    with pytest.raises(SchemaError, match="not a type"):
        dsrecords.make_dataset([], tmp_path / "new.rec", ds.schema)
