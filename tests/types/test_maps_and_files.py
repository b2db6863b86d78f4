"""`map[T]` and `file`, beyond what every type does."""

import pickle
import struct
from pathlib import Path

import bytes_by_hand as by_hand
import numpy as np
import pytest
from sameness import same

import dsrecords
from dsrecords import CorruptError, SchemaError, StoredFile, make_dataset


def back(folder, kind, value, **options):
    make_dataset([{"x": value}], folder / "a.rec", {"x": kind}, overwrite=True)
    return dsrecords.open(folder / "a.rec", **options)[0, "x"]


def read(folder, kind, payload):
    log = by_hand.Log({"fields": [{"name": "x", "type": kind, "payload": 0}], "head": 32})
    log.record(payloads=[payload])
    (folder / "hand.rec").write_bytes(log.data)
    return dsrecords.open(folder / "hand.rec")[0, "x"]


# Maps


MAPS = {
    "numbers": ("map[int64]", {"b": 1, "a": -(2**63), "": 3, "é 😀": 4}),
    "none of them": ("map[int64]", {}),
    "None as values": ("map[float32?]", {"a": None, "b": 0.5}),
    "strings": ("map[str?]", {"a": "b", "c": None}),
    "arrays": ("map[float32[2]]", {"a": np.ones(2, "<f4"), "b": np.zeros(2, "<f4")}),
    "arrays of free shapes": ("map[uint8[*]]", {"a": np.ones(2, "u1"), "b": np.zeros(0, "u1")}),
    "structs": ("map[{x:int8,y:str?}]", {"a": {"x": 1, "y": None}, "b": {"x": 2, "y": "z"}}),
    "lists": ("map[list[int8]]", {"a": [1, 2], "b": []}),
    "maps": ("map[map[bool]?]", {"a": {"b": True}, "c": None, "d": {}}),
    "categories": ("map[category[a,b]]", {"x": "b", "y": "a"}),
    "JSON": ("map[json]", {"x": [1, {}], "y": None}),
    "in a list": ("list[map[int8]]", [{"a": 1}, {}, {"b": 2}]),
    "in a list of structs": ("list[{m:map[int8],n:int8}]", [{"m": {"a": 1}, "n": 2}]),
    "compressed": ("zstd(map[str])", {"a": "b" * 100}),
}


@pytest.mark.parametrize("case", MAPS)
def test_map_comes_back_in_its_order(tmp_path, case):
    kind, value = MAPS[case]
    assert same(back(tmp_path, kind, value), value)
    assert same(back(tmp_path, kind, value, copy=False), value)


def test_bytes_of_a_map_are_those_of_a_list_of_structs(tmp_path):
    value = {"b": 1, "a": 2}
    pairs = [{"key": key, "value": number} for key, number in value.items()]
    back(tmp_path, "map[int16]", value)
    of_map = Path(tmp_path / "a.rec").read_bytes()[4096 + 32 :]
    back(tmp_path, "list[{key:str,value:int16}]", pairs)
    assert of_map == Path(tmp_path / "a.rec").read_bytes()[4096 + 32 :]


def test_maps_of_a_batch_are_a_list(tmp_path):
    rows = [{"x": {"a": i}} for i in range(3)]
    path, _ = make_dataset(rows, tmp_path / "a.rec", {"x": "map[int8]"})
    assert dsrecords.open(path).batch([2, 0])["x"] == [{"a": 2}, {"a": 0}]
    with dsrecords.open(path) as ds:
        ds.extend_columns({"x": [{"b": 5}]})
        assert ds.column("x")[3] == {"b": 5}


WRONG_MAPS = {
    "a key that is no string": ({1: 2}, "keys of map.int8. are strings, not an int .1."),
    "None as a key": ({None: 2}, "keys of map.int8. are strings, not None"),
    "a value that does not fit": ({"a": 1, "b": 200}, "'b': 200 is out of the range of int8"),
    "None": ({"a": None}, "'a': int8 expected, not None"),
    "a list": ([("a", 1)], "map.int8. takes a dict, not a list"),
    "half of a surrogate pair": ({"\ud800": 1}, "surrogates"),
}


@pytest.mark.parametrize("case", WRONG_MAPS)
def test_what_is_no_map_is_refused(tmp_path, case):
    value, message = WRONG_MAPS[case]
    with pytest.raises(SchemaError, match=f"record 0, field 'x': .*{message}"):
        back(tmp_path, "map[int8]", value)


def test_key_that_stands_twice_is_corrupt(tmp_path):
    back(tmp_path, "list[{key:str,value:int8}]", [{"key": "a", "value": 1}] * 2)
    payload = Path(tmp_path / "a.rec").read_bytes()[4096 + 32 :]
    size = struct.unpack_from("<Q", Path(tmp_path / "a.rec").read_bytes(), 4096 + 16)[0]
    with pytest.raises(CorruptError, match=r"field 'x'.*2 keys of a map, of which 1 are different"):
        read(tmp_path, "map[int8]", payload[:size])


# Files


def test_file_keeps_its_bytes_and_its_suffix(tmp_path):
    (tmp_path / "page.PDF").write_bytes(b"%PDF-1.7")
    (tmp_path / "none").write_bytes(b"")
    for path in (tmp_path / "page.PDF", str(tmp_path / "page.PDF")):
        assert back(tmp_path, "file", path) == StoredFile(b"%PDF-1.7", ".PDF")
    assert back(tmp_path, "file", tmp_path / "none") == StoredFile(b"", "")


@pytest.mark.parametrize("value", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_have_a_suffix_if_it_is_given(tmp_path, value):
    assert back(tmp_path, "file", value) == StoredFile(b"ab")
    assert back(tmp_path, "file", StoredFile(value, ".tar.gz")) == StoredFile(b"ab", ".tar.gz")
    assert back(tmp_path, "file", StoredFile(b"ab", ".é"), decode={"x": "bytes"}) == b"ab"


def test_a_file_that_was_read_is_a_value(tmp_path):
    found = back(tmp_path, "list[file?]", [StoredFile(b"one\ntwo", ".txt"), None])[0]
    assert bytes(found) == found.data == b"one\ntwo"
    assert len(found) == 7
    assert found.open().readlines() == [b"one\n", b"two"]
    assert pickle.loads(pickle.dumps(found)) == found
    assert repr(found) == "StoredFile(7 bytes, suffix='.txt')"
    with pytest.raises(AttributeError):
        found.suffix = ".exe"
    view = back(tmp_path, "file", found, copy=False)
    assert isinstance(view.data, memoryview)
    assert view.open().read() == b"one\ntwo"
    assert back(tmp_path, "file", view) == found


@pytest.mark.parametrize("suffix", ["pdf", "./../a", ".a\\b", ".\0", ".a/b", "." + "a" * 255, 5])
def test_suffix_must_be_one(tmp_path, suffix):
    with pytest.raises(SchemaError, match="suffix"):
        back(tmp_path, "file", StoredFile(b"", suffix))


def test_suffix_of_a_file_is_not_trusted(tmp_path):
    sizes = struct.pack("<QQ", 5, 0)
    with pytest.raises(CorruptError, match=r"'/\.\./a' is not a suffix"):
        read(tmp_path, "file", sizes + b"/../a\0\0\0")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(
        SchemaError, match=r"a dsrecords.StoredFile\(data, suffix\), or bytes, not an int"
    ):
        back(tmp_path, "file", 5)
    with pytest.raises(FileNotFoundError):
        back(tmp_path, "file", tmp_path / "missing.txt")
    with pytest.raises(SchemaError, match="can be 'bytes', not 'str'"):
        back(tmp_path, "file", b"", decode={"x": "str"})


def test_the_key_of_what_cannot_be_written_is_named(tmp_path):
    for kind, value in [("map[int8]", 300), ("map[str]", "\ud800"), ("map[list[str]]", ["\ud800"])]:
        with pytest.raises(SchemaError, match="field 'x': 'second': "):
            make_dataset([{"x": {"second": value}}], tmp_path / "a.rec", {"x": kind})
    with pytest.raises(FileNotFoundError) as caught:
        make_dataset([{"x": {"second": "missing.bin"}}], tmp_path / "a.rec", {"x": "map[file]"})
    assert caught.value.__notes__ == ["'second'", "record 0, field 'x'"]
