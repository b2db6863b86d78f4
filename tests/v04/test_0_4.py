"""Files of dsrecords 0.4: read as its own reader reads them, upgraded, never written; and other files that are no dataset."""

import functools
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import SCHEMA, python, rows, shown

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    ReadOnlyError,
    SchemaError,
    StaleViewError,
    io,
    make_dataset,
)

GOLDEN = Path(__file__).parents[1] / "golden_0_4"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
NOTES = [io.load_int, io.load_str]


def function_of(spec):
    """The deserializer of a field, as one writes it today."""
    name, options = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    if name in ("identity", "file"):
        return {"identity": io.identity, "file": io.load_raw_file}[name]
    if "item" in options:
        return io.load_list(load_fn=function_of(options["item"]))
    options = {
        key: value for key, value in options.items() if key in ("bits", "signed", "encoding")
    }
    if options.get("bits") == 128:  # 8 bytes, in 0.4
        options["bits"] = 64
    function = getattr(io, f"load_{name}")
    return function(**options) if options else function


def functions_of(name):
    return [function_of(spec) for spec in EXPECTED[name]["fields"]]


def opened(name, **options):
    noted = EXPECTED[name]
    path = GOLDEN / name.split(" with ")[0]
    return IndexedRecordDataset(
        path, deserializers=functions_of(name), index_path=GOLDEN / noted["index"], **options
    )


def assert_same(value, noted):
    if isinstance(noted, dict) and "bytes" in noted:
        assert value == bytes.fromhex(noted["bytes"])
    elif isinstance(noted, dict) and "image" in noted:
        assert value.mode == noted["image"]
        assert (
            np.abs(np.asarray(value, int) - noted["pixels"]).max() <= 2
        )  # decoders of JPEG differ
    elif isinstance(noted, dict):
        assert value.dtype.str == noted["array"]
        assert value.tolist() == noted["values"]
    else:
        assert value == noted
        assert type(value) is type(noted)


# Reading


@pytest.mark.parametrize("name", EXPECTED)
def test_each_record_is_what_the_reader_of_0_4_reads(name):
    ds, noted = opened(name), EXPECTED[name]["rows"]
    assert len(ds) == len(noted)
    for i, row in enumerate(noted):
        if isinstance(row, dict):
            with pytest.raises(
                CorruptError,
                match=rf"record {i}, field 0, byte \d+: an integer of 0 bytes; after a removal",
            ):
                ds[i]
            continue
        assert type(ds[i]) is tuple
        for value, wanted in zip(ds[i], row, strict=True):
            assert_same(value, wanted)
    assert ds.check() == []


def test_what_0_4_called_64_bits_are_4_bytes_and_128_bits_are_8():
    ds = opened("serializers.rec")
    assert [ds[i, [4, 5, 6, 7]] for i in range(2)] == [
        (2_000_000_000, 4_000_000_000, 2**62, 2**63),
        (-2_000_000_000, 4_000_000_000, -(2**62), 2**63),
    ]


def test_it_reads_like_any_other_dataset():
    ds = opened("removed.rec")
    assert ds[-1] == (3, "note 3") and ds[0, 1] == "note 0" and ds[1, [1]] == ("note 5",)
    assert [sample[0] for sample in ds] == [0, 5, 2, 3] == ds.column(0)
    assert ds.batch([2, 0]) == ([2, 0], ["note 2", "note 0"])
    assert (
        list(ds[1:3]) == [(5, "note 5"), (2, "note 2")] and len(ds[[True, False, False, True]]) == 2
    )
    assert ds.batch([]) == ([], [])
    for index in (4, -5):
        with pytest.raises(IndexError):
            ds[index]


def test_names_can_be_given_with_the_deserializers():
    ds = IndexedRecordDataset(
        GOLDEN / "updated.rec", deserializers={"id": io.load_int, "text": io.load_str}
    )
    assert ds[0] == {"id": 10, "text": "n"}
    assert ds.column("id") == [10, 12, 2, 13]


def test_functions_of_ones_own_get_the_bytes_and_none_gives_them():
    ds = IndexedRecordDataset(GOLDEN / "removed.rec", deserializers=[lambda data: data.hex(), None])
    assert ds[1] == ("05000000", b"note 5")


def test_transform_and_copies_in_other_processes(tmp_path):
    ds = opened("removed.rec", transform=functools.partial(sorted, key=str))
    assert ds[1] == [5, "note 5"]
    assert pickle.loads(pickle.dumps(ds))[1] == [5, "note 5"]
    assert list(pickle.loads(pickle.dumps(ds[2:]))) == [[2, "note 2"], [3, "note 3"]]
    (tmp_path / "pickled").write_bytes(pickle.dumps(opened("removed.rec")[1:]))
    assert (
        python("import pickle; print(len(pickle.load(open('pickled', 'rb'))))", cwd=tmp_path)
        == "3\n"
    )


@pytest.fixture
def old(tmp_path):
    """A copy of `removed.rec`."""
    for name in ("removed.rec", "removed.idx"):
        shutil.copy(GOLDEN / name, tmp_path / name)
    return tmp_path / "removed.rec"


def test_a_pickled_copy_of_a_file_that_was_changed_is_stale(old):
    pickled = pickle.dumps(IndexedRecordDataset(old, deserializers=NOTES))
    numbers = np.frombuffer(old.with_suffix(".idx").read_bytes(), "<u8")[[0, 2, 1, *range(3, 7)]]
    old.with_suffix(".idx").write_bytes(numbers.tobytes())
    with pytest.raises(StaleViewError):
        pickle.loads(pickled)


def test_without_deserializers_the_error_says_what_to_give(old):
    for use in (dsrecords.open, IndexedRecordDataset):
        with pytest.raises(
            SchemaError,
            match=r"removed\.rec: a file of dsrecords 0\.4.*deserializers=.*have 2 fields.*upgrade",
        ):
            use(old)


# Never written


def test_it_is_only_read(old):
    before = {path.name: path.read_bytes() for path in old.parent.iterdir()}
    ds = IndexedRecordDataset(old, deserializers=NOTES)
    for change in (
        lambda: ds.append((1, "a")), lambda: ds.extend([(1, "a")]), lambda: ds.__setitem__(0, (1, "a")),
        lambda: ds.__delitem__(0), lambda: ds.quick_remove_at(0), lambda: ds.compact(),
        lambda: ds.compact(old.parent / "new.rec"), lambda: ds.save_view(old.parent / "view.idx"),
    ):  # fmt: skip
        with pytest.raises(ReadOnlyError, match="upgrade"):
            change()
    with pytest.raises(SchemaError, match="never written"):
        IndexedRecordDataset(old, serializers=[io.save_int, io.save_str])
    with pytest.raises(FileExistsError):
        make_dataset([(1, "a")], old, ["int32", "str"], overwrite=True)
    with pytest.raises(FileExistsError):
        make_dataset(
            [(1, "a")], old.with_suffix(""), ["int32", "str"], overwrite=True
        )  # whose index would be the same file
    ds.flush()
    ds.refresh()
    ds.close()
    assert {path.name: path.read_bytes() for path in old.parent.iterdir()} == before


# Upgrading


TYPES = [
    "bool", "int32", "int8", "uint16", "int64", "uint64", "int64", "uint64", "float16", "float32", "float64", "str", "bytes",
    "bytes", "bytes", "array", "png", "jpeg", "png", "list[int32]", "list[list[str]]",
]  # fmt: skip


def test_upgrade_makes_a_dataset_with_a_schema(tmp_path):
    new = tmp_path / "new.rec"
    paths = dsrecords.upgrade(GOLDEN / "serializers.rec", new, TYPES, metadata={"from": "0.4"})
    assert paths == (str(new), str(tmp_path / "new.idx"))
    ds, old = dsrecords.open(new), opened("serializers.rec")
    assert ds.schema == TYPES and ds.metadata == {"from": "0.4"} and ds.check() == []
    for i, row in enumerate(EXPECTED["serializers.rec"]["rows"]):
        for k, (value, wanted) in enumerate(zip(ds[i], row, strict=True)):
            if TYPES[k] == "bytes":
                assert (
                    value
                    == IndexedRecordDataset(GOLDEN / "serializers.rec", deserializers=[None] * 21)[
                        i, k
                    ]
                )
            elif k != 18:  # OpenCV has blue before red
                assert_same(value, wanted)
    images = [16, 17, 18]
    raw = IndexedRecordDataset(GOLDEN / "serializers.rec", deserializers=[None] * 21)
    kept = dsrecords.open(new, decode=dict.fromkeys(images, "bytes"))
    assert [kept[0, k] for k in images] == [raw[0, k] for k in images]  # never encoded again
    assert old[0, 19] == [1, 1, 3]


@pytest.mark.parametrize(
    "name",
    [
        "removed.rec",
        "updated.rec",
        "all.rec",
        "appended.rec",
        "no_ending",
        "emptied.rec",
        "empty.rec",
    ],
)
def test_upgrade_takes_names_and_serializers(tmp_path, name):
    wanted = EXPECTED[name]["rows"]
    dsrecords.upgrade(
        GOLDEN / name, tmp_path / "named.rec", {"id": "int64", "text": "str"}, progress=True
    )
    assert [list(sample.values()) for sample in dsrecords.open(tmp_path / "named.rec")] == wanted
    dsrecords.upgrade(GOLDEN / name, tmp_path / "plain.rec", [io.save_int, io.save_str])
    assert [list(sample) for sample in dsrecords.open(tmp_path / "plain.rec")] == wanted


CATEGORY = 'category["n","a note at the end, which is longer again","note 2","note 3"]'


@pytest.mark.parametrize(
    "kind", ["zstd(str)", "zstd(str,level=9,dict=0)?", CATEGORY, "str?", "bytes"]
)
def test_upgrade_to_types_that_0_4_did_not_have(tmp_path, kind):
    dsrecords.upgrade(GOLDEN / "updated.rec", tmp_path / "new.rec", ["int8?", kind])
    wanted = [
        row[1].encode() if kind == "bytes" else row[1] for row in EXPECTED["updated.rec"]["rows"]
    ]
    assert [row[1] for row in dsrecords.open(tmp_path / "new.rec")] == wanted


def test_upgrade_of_an_index_of_another_name(tmp_path):
    dsrecords.upgrade(
        GOLDEN / "train.data",
        tmp_path / "new.rec",
        ["int8", "str"],
        old_index_path=GOLDEN / "train_positions.bin",
    )
    assert list(dsrecords.open(tmp_path / "new.rec")) == [(2, "note 2"), (3, "note 3")]


def reverse(text):
    return text[::-1].encode()


def test_upgrade_with_functions_of_ones_own(tmp_path):
    one = GOLDEN / "one.rec"
    dsrecords.upgrade(one, tmp_path / "copied.rec", [reverse])  # the bytes, whatever they mean
    assert list(IndexedRecordDataset(tmp_path / "copied.rec", deserializers=[bytes.decode])) == [
        ("a",),
        ("",),
        ("bcd",),
    ]
    dsrecords.upgrade(
        GOLDEN / "one.rec",
        tmp_path / "read.rec",
        {"word": "str"},
        deserializers=[lambda data: data.decode().upper()],
    )
    assert dsrecords.open(tmp_path / "read.rec").column("word") == ["A", "", "BCD"]
    dsrecords.upgrade(
        one, tmp_path / "written.rec", {"word": reverse}, deserializers={"word": bytes.decode}
    )
    assert IndexedRecordDataset(tmp_path / "written.rec", deserializers=[bytes]).column("word") == [
        b"a",
        b"",
        b"dcb",
    ]


def test_upgrade_that_fails_leaves_nothing_and_says_where(tmp_path):
    with pytest.raises(CorruptError, match=r"zero\.rec, record 2, field 0"):
        dsrecords.upgrade(GOLDEN / "zero.rec", tmp_path / "new.rec", ["int32", "str"])
    with pytest.raises(SchemaError, match="record 0, field 'a': 70000 is out of the range of int8"):
        dsrecords.upgrade(
            GOLDEN / "serializers.rec",
            tmp_path / "new.rec",
            {"x": "bool", "a": "int8", **{str(i): "bytes" for i in range(19)}},
        )
    with pytest.raises(CorruptError, match="with 3 fields"):
        dsrecords.upgrade(GOLDEN / "removed.rec", tmp_path / "new.rec", ["int32", "str", "str"])
    assert not os.listdir(tmp_path)


def test_upgrade_refuses_functions_for_fields_that_are_not_there(tmp_path):
    for functions, message in (
        ({"wrod": bytes.decode}, "no field 'wrod'"),
        ([bytes.decode] * 2, "2 deserializers for 1 field"),
        ([io.save_str], r"one\.rec, field 'word': io\.save_str is a serializer"),
    ):
        with pytest.raises(SchemaError, match=message):
            dsrecords.upgrade(
                GOLDEN / "one.rec", tmp_path / "new.rec", {"word": "str"}, deserializers=functions
            )
    assert not os.listdir(tmp_path)


def test_upgrade_refuses_what_is_there_and_what_is_new_already(old, made, tmp_path):
    with pytest.raises(FileExistsError):
        dsrecords.upgrade(old, old, ["int32", "str"])
    with pytest.raises(FileExistsError):
        dsrecords.upgrade(old, made, ["int32", "str"])
    for schema in (SCHEMA, ["int8"]):
        with pytest.raises(ValueError, match="version 1 already: it needs no upgrade"):
            dsrecords.upgrade(made, tmp_path / "new.rec", schema)
    assert list(dsrecords.open(made)) == rows(10)


# What is not one


@pytest.mark.parametrize("count", [1, 3, 4, 8])
def test_the_wrong_number_of_fields_is_an_error(count):
    for name in ("removed.rec", "updated.rec", "all.rec", "appended.rec"):
        with pytest.raises(CorruptError, match=f"nor one of dsrecords 0.4 with {count} fields"):
            IndexedRecordDataset(GOLDEN / name, deserializers=[io.identity] * count)


def test_without_its_index_it_cannot_be_read(old):
    os.remove(old.with_suffix(".idx"))
    with pytest.raises(CorruptError, match="cannot be read without its index"):
        IndexedRecordDataset(old, deserializers=NOTES)
    with pytest.raises(FileNotFoundError):
        IndexedRecordDataset(old, deserializers=NOTES, index_path=old.parent / "other.idx")


def changed(old, at, number):
    data = bytearray(old.with_suffix(".idx").read_bytes())
    struct.pack_into("<Q", data, at, number)
    old.with_suffix(".idx").write_bytes(data)


@pytest.mark.parametrize(
    ("at", "number", "message"),
    [(0, 7, "no index of that"), (0, 2**63, "no index of that"), (8, 8, "record 0, at byte 8, does not fit"),
     (16, 10**6, "record 1"), (24, 2**64 - 1, "record 2"), (24, 1025, "record 2")],
)  # fmt: skip
def test_an_index_that_does_not_fit_is_an_error(old, at, number, message):
    changed(old, at, number)
    with pytest.raises(CorruptError, match=message):
        IndexedRecordDataset(old, deserializers=NOTES)


def test_a_file_that_was_cut_short_is_an_error(old):
    os.truncate(old, os.path.getsize(old) - 100)
    with pytest.raises(CorruptError, match=r"record \d"):
        IndexedRecordDataset(old, deserializers=NOTES)


def zeroed(path):
    """The header of a dataset becomes zeros."""
    size = struct.unpack_from("<I", Path(path).read_bytes(), 16)[0]
    with open(path, "r+b") as file:
        file.write(bytes(size))


OLD_INDICES = {
    "its own": None,
    "none": b"",
    "of an empty file of 0.4": bytes(8),
    "zeros": bytes(16_384),
    "of a file of 0.4": struct.pack("<2Q", 1, 1024),
    "with zeros": struct.pack("<3Q", 2, 0, 0),
}


@pytest.mark.parametrize("count", [0, 1, 10])
@pytest.mark.parametrize("index", OLD_INDICES, ids=shown)
@pytest.mark.parametrize("fields", [1, 2, 3])
def test_a_dataset_whose_header_was_zeroed_is_not_taken_for_one(path, count, index, fields):
    make_dataset(rows(count), path, SCHEMA)
    zeroed(path)
    if OLD_INDICES[index] is not None:
        Path(path).with_suffix(".idx").write_bytes(OLD_INDICES[index])
    before = Path(path).read_bytes()
    with pytest.raises(CorruptError, match=r"data\.rec"):
        IndexedRecordDataset(path, deserializers=[io.identity] * fields)
    with pytest.raises(CorruptError):
        dsrecords.open(path)
    assert Path(path).read_bytes() == before


def test_zeros_that_nobody_wrote_are_not_taken_for_one(path):
    for size in (1023, 1025, 5000, 8192):
        Path(path).write_bytes(bytes(size))
        Path(path).with_suffix(".idx").write_bytes(bytes(8))
        with pytest.raises(CorruptError):
            IndexedRecordDataset(path, deserializers=[io.identity] * 800)


def test_random_bytes_behind_the_zeros_are_not_taken_for_one(path):
    random = np.random.default_rng(0)
    for _ in range(200):
        Path(path).write_bytes(bytes(1024) + random.bytes(4000))
        offsets = random.integers(1024, 5000, 5)
        Path(path).with_suffix(".idx").write_bytes(struct.pack("<6Q", 5, *offsets.tolist()))
        with pytest.raises(CorruptError):
            IndexedRecordDataset(path, deserializers=[io.identity] * 3)


# Payloads that 0.4 did not write


def npy(header):
    """A file of `numpy.save` with this header and 8 bytes of values."""
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + bytes(8)


@pytest.mark.parametrize(
    ("function", "payload", "message"),
    [
        (io.load_bool, b"", "a bool of 0 bytes"),
        (io.load_int, b"123", "an integer of 3 bytes"),
        (io.load_float, b"1", "a float of 1 bytes"),
        (io.load_str, b"\xff", "not a string"),
        (io.load_np, b"", "not an array"),
        (io.load_np, npy("{'descr': '|O', "), "not an array"),
        (io.load_np, npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "dtype"),
        (io.load_np, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}"), "does not take"),
        (io.load_np, npy("{'descr': 'M8[s/0]', 'fortran_order': False, 'shape': (1,)}"), "dtype"),
        (io.load_np, npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "shape"),
        (io.load_np, npy("(" * 9000), "not an array"),
        (io.load_np, npy("(" * 60000), "header of 60000"),
        (io.load_list(load_fn=io.load_int), b"", "a list"),
        (io.load_list(load_fn=io.load_int), struct.pack("<LL", 2, 99), "item 0 of a list"),
        (io.load_list(load_fn=io.load_int), struct.pack("<L", 2**32 - 1), "item 0 of a list"),
        (io.load_list(load_fn=io.load_int), struct.pack("<LLL", 1, 4, 7) + b"x", "a list of 1 items"),
    ],
    ids=shown,
)  # fmt: skip
def test_a_payload_that_is_not_of_its_function_is_corrupt(path, function, payload, message):
    Path(path).write_bytes(bytes(1024) + struct.pack("<Q", len(payload)) + payload)
    Path(path).with_suffix(".idx").write_bytes(struct.pack("<2Q", 1, 1024))
    ds = IndexedRecordDataset(path, deserializers=[function])
    with pytest.raises(CorruptError, match=rf"record 0, field 0, byte 1032: .*{message}"):
        ds[0]


def test_arrays_in_the_order_of_fortran(path):
    import io as standard

    for array in (
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([(1, 2.5)], [("a", "<i4"), ("b", "<f8")]),
        np.zeros((0, 3)),
    ):
        buffer = standard.BytesIO()
        np.save(buffer, array)
        Path(path).write_bytes(
            bytes(1024) + struct.pack("<Q", len(buffer.getvalue())) + buffer.getvalue()
        )
        Path(path).with_suffix(".idx").write_bytes(struct.pack("<2Q", 1, 1024))
        found = IndexedRecordDataset(path, deserializers=[io.load_np])[0, 0]
        assert (
            found.dtype == array.dtype
            and found.shape == array.shape
            and found.tolist() == array.tolist()
        )


# Other files


def mxnet(path):
    """Two records as MXNet's RecordIO has them: magic, flag and length, the bytes, padding; and the index, lines of text."""
    path.write_bytes(b"".join(struct.pack("<II", 0xCED7230A, 5) + b"hello\0\0\0" for _ in range(2)))
    path.with_suffix(".idx").write_text("0\t0\n1\t16\n")


def tfrecord(path):
    """The first bytes of an event file of TensorBoard: the length 24, and its checksum."""
    path.write_bytes(bytes.fromhex("1800000000000000a37f4b22") + bytes(28))


def lmdb(path):
    path.write_bytes(
        bytes(8)
        + struct.pack("<HHHH", 0, 8, 0, 0)
        + struct.pack("<II", 0xBEEFC0DE, 1)
        + bytes(8192)
    )


def saved(path):
    with path.open("wb") as file:
        np.save(file, np.arange(3))


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")


def torn(path):
    make_dataset(rows(3), path, SCHEMA)
    with open(path, "r+b") as file:
        file.write(b"\0" * 8 + b"{")  # of its checksum, which may begin like anything


FOREIGN = {
    "an MXNet RecordIO file": mxnet,
    "a TFRecord file": tfrecord,
    "an LMDB database": lmdb,
    "a zip archive": zipped,
    "a NumPy array": saved,
    "an HDF5 file": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
    "an SQLite database": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(100)),
    "a Parquet file": lambda path: path.write_bytes(b"PAR1" + bytes(100)),
    "a gzip file": lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(100)),
    "a tar archive": lambda path: path.write_bytes(
        b"a.txt".ljust(257, b"\0") + b"ustar\0" + bytes(249)
    ),
    "a JPEG image": lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(100)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "a safetensors file": lambda path: path.write_bytes(
        struct.pack("<Q", 20) + b'{"__metadata__":{}  }' + bytes(9)
    ),
    "JSON": lambda path: path.write_text('{"a": 1}'),
    "text": lambda path: path.write_text("été\n" * 200, encoding="utf-8"),
    "the index of an MXNet RecordIO file": lambda path: path.write_text("0\t0\n1\t16\n"),
    "the index of a dataset": lambda path: path.write_bytes(b"\x89DSX\r\n\x1a\n" + bytes(9000)),
    "whose first bytes were overwritten": torn,
    "by a transfer as text": lambda path: path.write_bytes(b"\x89DSR\n\x1a\n" + bytes(9000)),
    "does not begin with the magic bytes": lambda path: path.write_bytes(
        np.random.default_rng(0).bytes(5000)
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_another_file_is_refused_with_what_it_seems_to_be_and_stays_as_it_is(tmp_path, what):
    path = tmp_path / "data.rec"
    FOREIGN[what](path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for use in (
        lambda: dsrecords.open(path), lambda: IndexedRecordDataset(path, deserializers=[io.load_int] * 2),
        lambda: dsrecords.upgrade(path, tmp_path / "new.rec", ["int32", "int32"]),
    ):  # fmt: skip
        with pytest.raises(CorruptError, match=rf"data\.rec: not a DSRecords file: .*{what}"):
            use()
    with pytest.raises(FileExistsError):
        make_dataset(rows(1), path, SCHEMA, overwrite=True)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_random_files_are_refused(path):
    random = np.random.default_rng(1)
    for size in [*range(1, 40), 1000, 5000, 100_000]:
        Path(path).write_bytes(random.bytes(size))
        with pytest.raises(CorruptError, match="not a DSRecords file"):
            dsrecords.open(path)
