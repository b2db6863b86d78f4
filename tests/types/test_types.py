"""Every type: what is written comes back the same, whatever the way in and the way out; what does not fit is refused, whole."""

import datetime
import decimal
import math
import os
import tempfile
import warnings
from pathlib import Path

import hypothesis.extra.numpy as nps
import make_golden
import ml_dtypes
import numpy as np
import pytest
from conftest import IN_FULL
from google.protobuf import timestamp_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sameness import same

import dsrecords
from dsrecords import SchemaError, make_dataset
from dsrecords._types.video_frames import VideoFrames

pytestmark = pytest.mark.slow

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")


def no_time_of_a_unit():
    """Not-a-time without a unit, which NumPy 2.5 advises against."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.datetime64("NaT")


def integers(name):
    limits = np.iinfo(name)
    low, high = int(limits.min), int(limits.max)
    return st.integers(low, high) | st.sampled_from([low, high, 0])


def floats(name):
    return st.floats(width=8 * np.dtype(name).itemsize)


def laid_out(array, draw):
    """The same values, otherwise in memory: in the other byte order, transposed, with gaps, backwards, or read-only."""
    how = draw(st.sampled_from(["plain", "swapped", "fortran", "gaps", "backwards", "read-only"]))
    if how == "swapped":
        return array.astype(array.dtype.newbyteorder("S"))
    if how == "fortran":
        return np.asfortranarray(array)
    if how == "gaps" and array.ndim:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if how == "backwards" and array.ndim:
        return np.ascontiguousarray(array[::-1])[::-1]
    if how == "read-only":
        array.setflags(write=False)
    return array


@st.composite
def arrays(draw, dtype, *shape):
    """(what is given, what is to come back): lists or arrays of this dtype; a * in the shape is of any length."""
    sizes = tuple(draw(st.integers(0, 4)) if n == "*" else n for n in shape)
    array = draw(nps.arrays(np.dtype(dtype).newbyteorder("<"), sizes))
    given = laid_out(array.copy(), draw)
    if array.size and draw(st.booleans()):
        given = array.tolist()
    return given, array


@st.composite
def any_arrays(draw):
    dtype = draw(
        nps.scalar_dtypes()
        | nps.byte_string_dtypes(min_len=1)
        | nps.unicode_string_dtypes(min_len=1)
        | nps.nested_dtypes(
            nps.integer_dtypes() | nps.datetime64_dtypes() | nps.byte_string_dtypes(min_len=1),
            max_itemsize=200,
        )
    )
    array = draw(
        nps.arrays(dtype, nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    )
    given = array if array.dtype.names else laid_out(array.copy(), draw)
    return given, np.array(given, order="C")


def twice(strategy):
    """For values that come back as they were given."""
    return strategy.map(lambda value: (value, value))


def lists(strategy):
    return st.lists(strategy, max_size=4).map(
        lambda pairs: ([given for given, _ in pairs], [back for _, back in pairs])
    )


def absent(back):
    """What comes back where a value may be None: None for NaT too, which means the same."""
    is_time = isinstance(back, np.datetime64 | np.timedelta64)
    return None if is_time and np.isnat(back) else back


def optional(strategy):
    return st.just((None, None)) | strategy.map(lambda pair: (pair[0], absent(pair[1])))


def structs(**parts):
    def halves(pairs):
        return {key: given for key, (given, _) in pairs.items()}, {
            key: pairs[key][1] for key in parts
        }

    return st.fixed_dictionaries(parts).map(halves)


def fits_msgpack(value):
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return all(
        map(
            fits_msgpack,
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else (),
        )
    )


def stamp(seconds):
    return timestamp_pb2.Timestamp(seconds=seconds)


def pictures(*names):
    """Files, which come back as Pillow images; see `plain`."""
    paths = [make_golden.PICTURES / name for name in names]
    return st.sampled_from([(path.read_bytes(), np.asarray(Image.open(path))) for path in paths])


dsrecords.register_type("test.back", make_golden.reverse, make_golden.back)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SCALARS = {
    "bool": twice(st.booleans()),
    **{name: twice(integers(name)) for name in INTEGERS},
    **{name: twice(floats(name)) for name in FLOATS},
}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def complex_numbers(width):
    return twice(st.complex_numbers(width=width))


NUMBERS = {  # in the head, too, but not as they are
    "category[cat,dog]": twice(st.sampled_from(["cat", "dog"])),
    "bfloat16": twice(st.integers(-(2**8), 2**8).map(lambda n: n / 2**6)),
    "datetime64[us]": twice(nps.from_dtype(np.dtype("M8[us]"))),
    "timedelta64[D]": twice(nps.from_dtype(np.dtype("m8[D]"))),
    "datetime64[us,UTC]": twice(nps.from_dtype(np.dtype("M8[us]"))),
    "complex64": complex_numbers(64),
    "complex128": complex_numbers(128),
}
OTHERS = {
    "str": twice(st.text()),
    "bytes": twice(st.binary()),
    "json": twice(JSON),
    "float32[2,3]": arrays("float32", 2, 3),
    "bool[3]": arrays("bool", 3),
    "uint64[0]": arrays("uint64", 0),
    "int16[*]": arrays("int16", "*"),
    "float16[*,2,*]": arrays("float16", "*", 2, "*"),
    "array": any_arrays(),
    "list[int32]": lists(SCALARS["int32"]),
    "list[bool]": lists(SCALARS["bool"]),
    "list[float16?]": lists(optional(SCALARS["float16"])),
    "list[str]": lists(twice(st.text())),
    "list[bytes?]": lists(optional(twice(st.binary()))),
    "list[float32[*]]": lists(arrays("float32", "*")),
    "list[array]": lists(any_arrays()),
    "list[list[uint8]?]": lists(optional(lists(SCALARS["uint8"]))),
    **NUMBERS,
    "bfloat16[*,2]": st.integers(0, 3).map(
        lambda n: (np.full((n, 2), 0.1), np.full((n, 2), 0.1, BFLOAT16))
    ),
    "complex64[2]": arrays("complex64", 2),
    "complex128[*,2]": arrays("complex128", "*", 2),
    "list[complex64?]": lists(optional(complex_numbers(64))),
    "datetime64[s,UTC][2]": twice(nps.arrays("<M8[s]", 2)),
    "datetime64[s][2]": twice(nps.arrays("<M8[s]", 2)),
    "list[category[cat,dog]]": lists(NUMBERS["category[cat,dog]"]),
    "list[datetime64[us]?]": lists(optional(NUMBERS["datetime64[us]"])),
    "{a:int16?,b:str?,c:float32[2]}": structs(
        a=optional(SCALARS["int16"]), b=optional(twice(st.text())), c=arrays("<f4", 2)
    ),
    "{a:{b:list[str]}}": structs(a=structs(b=lists(twice(st.text())))),
    "list[{box:float32[2],label:int32,name:str?}]": lists(
        structs(box=arrays("<f4", 2), label=SCALARS["int32"], name=optional(twice(st.text())))
    ),
    "list[{a:bool?,b:list[{c:bytes}],d:int8[*],e:{f:uint8}}]": lists(
        structs(
            a=optional(SCALARS["bool"]),
            b=lists(structs(c=twice(st.binary()))),
            d=arrays("i1", "*"),
            e=structs(f=SCALARS["uint8"]),
        )
    ),
    "list[{a:float64}?]": lists(optional(structs(a=SCALARS["float64"]))),
    "zstd(str)": twice(st.text()),
    "zstd(str,level=19,dict=0)": twice(st.text()),
    "zstd(list[{a:int8}])": lists(structs(a=SCALARS["int8"])),
    "list[zstd(bytes)]": lists(twice(st.binary())),
    "msgpack": twice(
        JSON.filter(fits_msgpack) | st.binary() | st.dictionaries(st.integers(-5, 5), st.text())
    ),
    "png": nps.arrays(np.uint8, (2, 3, 3)).map(lambda array: (array, array)),
    "jpeg": pictures("red.jpg", "grey.jpg"),
    "webp": pictures("red.webp"),
    "image": pictures("red.jpg", "red.bmp"),
    "audio": nps.arrays("<i2", 4).map(
        lambda array: ((array, 8000), (array.astype("<f4") / 2**15, 8000))
    ),
    "video": st.just((make_golden.picture("three.mp4"), make_golden.picture("three.mp4"))),
    "file": st.binary().map(lambda data: (data, (data, "")))
    | st.binary().map(lambda data: (dsrecords.StoredFile(data, ".é"), (data, ".é"))),
    "map[int16]": twice(st.dictionaries(st.text(), integers("int16"), max_size=3)),
    "map[str?]": twice(st.dictionaries(st.text(), st.none() | st.text(), max_size=3)),
    "ext(test.back)": twice(st.text()),
    "protobuf[google.protobuf.Timestamp]": st.integers(0, 2**30).map(
        lambda n: (stamp(n), stamp(n).SerializeToString())
    ),
}
KINDS = {**SCALARS, **OTHERS}
AS_FILES = (
    "png",
    "jpeg",
    "webp",
    "image",
    "audio",
    "video",
)  # slow to decode: None instead of one is in test_every_type.py
KINDS.update(
    {f"{kind}?": optional(strategy) for kind, strategy in KINDS.items() if kind not in AS_FILES}
)


FIXED = (
    "float32[2,3]",
    "bool[3]",
    "uint64[0]",
    "datetime64[s][2]",
    "datetime64[s,UTC][2]",
    "complex64[2]",
)


def column_of(kind, values):
    """What `column` is to give."""
    name = kind.rstrip("?")
    if name in NUMBERS:
        absent = np.array([value is None for value in values])
        if name == "category[cat,dog]":  # columns are of numbers
            values = [None if value is None else ["cat", "dog"].index(value) for value in values]
        zeros = {"timedelta64[D]": np.array(0, "m8[D]")}
        some = zeros.get(name, np.array(0, "M8[us]") if name[0] == "d" else 0)
        given = [some if value is None else value for value in values]
        dtypes = {"category[cat,dog]": "<u2", "bfloat16": BFLOAT16, "timedelta64[D]": "<m8[D]"}
        array = np.array(given, dtypes.get(name, "<M8[us]" if name[0] == "d" else name))
        return np.ma.MaskedArray(array, absent) if kind.endswith("?") else array
    if name in SCALARS:
        absent = [value is None for value in values]
        array = np.array(
            [0 if value is None else value for value in values], np.dtype(name).newbyteorder("<")
        )
        return np.ma.MaskedArray(array, absent) if kind.endswith("?") else array
    if name in FIXED and name == kind and values:
        return np.stack(values)
    return values


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100 if IN_FULL else 6, deadline=None)
@given(data=st.data())
def test_round_trip(kind, data):
    pairs = data.draw(st.lists(KINDS[kind], min_size=1, max_size=4))
    given, back = [one for one, _ in pairs], [one for _, one in pairs]
    with tempfile.TemporaryDirectory() as folder:
        path, index_path = make_dataset(
            [{"n": 7, "x": value} for value in given], f"{folder}/a.rec", {"n": "int8", "x": kind}
        )
        with dsrecords.open(path) as ds:
            for value in given:
                ds.append({"n": 7, "x": value})
            ds.extend({"n": 7, "x": value} for value in given)
            ds.extend_columns({"n": [7] * len(given), "x": given})
            ds[0] = {"n": 7, "x": given[-1]}
            wanted = [back[-1], *back[1:], *back, *back, *back]
            assert_reads(ds, kind, wanted)
        assert_reads(dsrecords.open(path), kind, wanted)
        assert_reads(dsrecords.open(path, copy=False), kind, wanted)
        with dsrecords.open(path) as ds:
            ds.compact()
            assert_reads(ds, kind, wanted)
        os.unlink(index_path)
        assert_reads(dsrecords.open(path, verify="always"), kind, wanted)


def plain(value):
    """What can be compared of a value that was read: with copy=False bytes are views, and images are Pillow's."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, VideoFrames):
        return value.data
    if isinstance(value, dsrecords.StoredFile):
        return bytes(value.data), value.suffix
    if isinstance(value, Image.Image):
        return np.asarray(value)
    return bytes(value) if isinstance(value, memoryview) else value


def assert_reads(ds, kind, wanted):
    rows = [plain(row["x"]) for row in ds]
    assert same(rows, wanted), (rows, wanted)
    assert same([plain(ds[i, "x"]) for i in range(len(ds))], wanted)
    assert same(plain(ds.column("x")), column_of(kind, wanted))
    order = [*range(len(wanted) - 1, -1, -1), 0]
    batch = ds.batch(order)
    assert same(plain(batch["x"]), column_of(kind, [wanted[i] for i in order]))
    assert batch["n"].tolist() == [7] * len(order)


@pytest.mark.parametrize("name", SCALARS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_columns_of_scalars_may_be_arrays(name, data):
    values = data.draw(nps.arrays(np.dtype(name).newbyteorder("<"), st.integers(1, 20)))
    absent = data.draw(nps.arrays("?", len(values)))
    with tempfile.TemporaryDirectory() as folder:
        path, _ = make_dataset([], f"{folder}/a.rec", {"x": name, "y": f"{name}?"})
        with dsrecords.open(path) as ds:
            given = laid_out(values.copy(), data.draw)
            ds.extend_columns({"x": given, "y": np.ma.MaskedArray(given, absent)})
            ds.extend(
                {"x": x, "y": None if gone else x} for x, gone in zip(given, absent, strict=True)
            )
            again = np.concatenate([values, values])
            assert same(ds.column("x"), again)
            assert same(ds.column("y"), np.ma.MaskedArray(again, [*absent, *absent]))


def written(folder, kind, *values):
    path, _ = make_dataset(
        [{"x": value} for value in values], os.path.join(folder, "w.rec"), {"x": kind}
    )
    return [row["x"] for row in dsrecords.open(path)]


# Bytes, stated


BYTES = {
    "bool": (True, "01"),
    "int8": (-2, "fe"),
    "uint16": (0x0102, "0201"),
    "int32": (-2, "feffffff"),
    "uint64": (2**64 - 1, "ffffffffffffffff"),
    "float16": (1.0, "003c"),
    "float32": (-0.0, "00000080"),
    "float64": (math.inf, "000000000000f07f"),
    "str": ("\u00e9\U0001f600", "c3a9f09f9880"),
    "bytes": (b"\0\xff", "00ff"),
    "json": ({"\u00e9": [1, None, True]}, b'{"\xc3\xa9":[1,null,true]}'.hex()),
    "int16[2,2]": ([[1, 2], [3, 4]], "0100020003000400"),
    "int16[*,2]": ([[1, 2]], "0100000000000000 01000200"),
    "uint8[*,1,*]": ([[[5, 6]]], "0100000000000000 0200000000000000 0506"),
    "array": (np.array([258], ">u2"), b'\5\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0">u2"\0\0\0\1\2'.hex()),
    "list[int16]": ([1, -1], "0200000000000000 0100ffff"),
    "list[int16?]": ([1, None], "0200000000000000 01000000 0100"),
    "list[str]": (
        ["a", "eight by", ""],
        "03" + "00" * 7 + "01" + "00" * 7 + "08" + "00" * 15 + "61" + "00" * 7 + b"eight by".hex(),
    ),
    "list[str?]": ([None, ""], "0200000000000000 ffffffffffffffff 0000000000000000"),
    "{a:uint8,b:str,c:int16?}": (
        {"a": 5, "b": "x", "c": None},
        "0100000000000000 0000 05 00 00000000 7800000000000000",
    ),
    "list[{a:uint8,b:uint8[2]}]": (
        [{"a": 5, "b": [1, 2]}],
        "0900000000000000 0a00000000000000 0100000000000000 0500000000000000 0100000000000000 0102000000000000",
    ),
    "list[category[a,b]]": (["b", "a"], "0200000000000000 01000000"),
    "datetime64[s][1]": (np.array([1], "M8[s]"), "0100000000000000"),
    "bfloat16[2]": ([1, -2], "803f00c0"),
    "complex64[2]": ([1, complex(0, -2)], "0000803f00000000 00000000000000c0"),
    "datetime64[s,UTC][1]": (np.array([1], "M8[s]"), "0100000000000000"),
    "msgpack": ({"a": 1}, "81a16101"),
    "map[uint8]": (
        {"a": 5},
        "1800000000000000 0900000000000000 0100000000000000 0100000000000000 6100000000000000 0100000000000000 0500000000000000",
    ),
    "file": (
        dsrecords.StoredFile(b"data", ".txt"),
        "0400000000000000 0400000000000000 2e74787400000000 6461746100000000",
    ),
    "list[list[uint8]]": (
        [[7]],
        "0100000000000000 0900000000000000 0100000000000000 07 00000000000000",
    ),
}


@pytest.mark.parametrize("kind", BYTES)
def test_bytes_of_a_value(tmp_path, kind):
    value, wanted = BYTES[kind]
    path, _ = make_dataset([{"x": value}], tmp_path / "a.rec", {"x": kind})
    wanted = bytes.fromhex(wanted)
    data = Path(path).read_bytes()
    if kind in SCALARS:
        assert data[4096 + 16 : 4096 + 16 + len(wanted)] == wanted
        assert data[4096 + 16 + len(wanted) :] == bytes(8 - len(wanted))
    else:
        assert int.from_bytes(data[4096 + 16 :][:8], "little") == len(wanted)
        assert data[4096 + 32 :] == wanted + bytes(-len(wanted) % 8)


# What is taken, and what for


TAKEN = {
    "an integer of NumPy": ("int64", np.uint8(5), 5),
    "a bool as an integer": ("int8", True, 1),
    "an array without dimensions as an integer": ("int64", np.array(5), 5),
    "a bool of NumPy": ("bool", np.True_, True),
    "an integer as a float": ("float64", 3, 3.0),
    "a float of NumPy": ("float32", np.float16(0.5), 0.5),
    "a float that is rounded": ("float32", 0.1, 0.10000000149011612),
    "a float that is rounded down to the largest": ("float16", 65519.9, 65504.0),
    "a float that is rounded to zero": ("float32", 1e-60, 0.0),
    "a text of NumPy": ("str", np.str_("é"), "é"),
    "a bytearray": ("bytes", bytearray(b"ab"), b"ab"),
    "a memoryview with gaps": ("bytes", memoryview(b"abcdef")[::2], b"ace"),
    "a tuple as JSON": ("json", (1, 2), [1, 2]),
    "None as JSON": ("json", None, None),
    "integers as an array of floats": ("float32[2]", [1, 2], np.array([1, 2], "<f4")),
    "bools as an array of integers": ("int8[2]", [True, False], np.array([1, 0], "i1")),
    "an empty list as an array": ("int8[*]", [], np.zeros(0, "i1")),
    "an empty list as a table": ("float32[*,4]", [], np.zeros((0, 4), "<f4")),
    "a number as an array": ("array", 3, np.array(3)),
    "an array in Fortran order": (
        "array",
        np.array([[1, 2], [3, 4]], "<i4", order="F"),
        np.array([[1, 2], [3, 4]], "<i4"),
    ),
    "a tuple as a list": ("list[int8]", (1, 2), [1, 2]),
    "an array as a list": ("list[int8]", np.array([1, 2]), [1, 2]),
    "a range as a list": ("list[int8]", range(2), [0, 1]),
    "a date as a time": (
        "datetime64[s]",
        datetime.date(2026, 11, 22),
        np.datetime64("2026-11-22T00:00:00"),
    ),
    "a datetime as a time": (
        "datetime64[ms]",
        datetime.datetime(2026, 11, 22, 1),
        np.datetime64("2026-11-22T01:00:00.000"),
    ),
    "a timedelta as a duration": (
        "timedelta64[s]",
        datetime.timedelta(minutes=2),
        np.timedelta64(120, "s"),
    ),
    "no time of any unit": ("datetime64[s]", no_time_of_a_unit(), np.datetime64("NaT", "s")),
    "a bfloat16 of ml_dtypes": ("bfloat16", ml_dtypes.bfloat16(0.5), 0.5),
    "a float that is rounded to a bfloat16": ("bfloat16", 0.1, 0.10009765625),
    "columns as a list of structs": (
        "list[{a:int8,b:str}]",
        {"a": np.arange(2), "b": ["x", "y"]},
        [{"a": 0, "b": "x"}, {"a": 1, "b": "y"}],
    ),
    "a tuple of structs": ("list[{a:int8}]", ({"a": 1},), [{"a": 1}]),
    "bytes of a message": ("protobuf[a.B]", b"abc", b"abc"),
    "None in a list of JSON": ("list[json]", [None], [None]),
}


@pytest.mark.parametrize("case", TAKEN)
def test_type_takes(tmp_path, case):
    kind, value, wanted = TAKEN[case]
    (got,) = written(tmp_path, kind, value)
    assert same(got, wanted), got


def test_values_are_copied_when_they_are_written(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "bytes", "y": "int8[*]"})
    with dsrecords.open(path) as ds:
        x, y = bytearray(b"abc"), np.array([1, 2], "i1")

        def rows():
            yield {"x": x, "y": y}
            x[0], y[0] = 0, 0
            yield {"x": x, "y": y}

        ds.extend(rows())
        assert ds[0, "x"] == b"abc"
        assert ds[0, "y"].tolist() == [1, 2]
        assert ds[1, "x"] == b"\0bc"


def test_large_values(tmp_path):
    text, array = "\U0001f600" * 500_000, np.arange(1_000_000, dtype="<i8")
    path, _ = make_dataset(
        [{"s": text, "a": array, "l": ["x"] * 10_000}],
        tmp_path / "a.rec",
        {"s": "str", "a": "int64[*]", "l": "list[str]"},
    )
    row = dsrecords.open(path)[0]
    assert row["s"] == text
    assert same(row["a"], array)
    assert row["l"] == ["x"] * 10_000


def test_copies_are_owned_and_views_are_read_only(tmp_path):
    path, _ = make_dataset(
        [{"x": [1, 2], "b": b"abc"}] * 2, tmp_path / "a.rec", {"x": "int8[2]", "b": "bytes"}
    )
    row, view = dsrecords.open(path)[0], dsrecords.open(path, copy=False)[0]
    row["x"][0] = 9
    assert row["x"].flags.owndata
    assert dsrecords.open(path)[0, "x"].tolist() == [1, 2]
    assert bytes(view["b"]) == b"abc"
    with pytest.raises(ValueError, match="read-only"):
        view["x"][0] = 9


# What does not fit


class Unfloatable:
    def __float__(self):
        raise ValueError("no")


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def itself():
    value = []
    value.append(value)
    return value


MASKED = np.ma.array([1.0, 2.0], mask=[False, True])
WRONG = [
    ("bool", 1), ("bool", None), ("bool", "yes"), ("bool", np.int8(1)),
    ("int8", 128), ("int8", -129), ("int8", np.int64(128)), ("int64", 2**63), ("uint8", -1), ("uint64", 2**64), ("uint64", -1),
    ("int32", 1.0), ("int32", np.float64(1)), ("int32", "1"), ("int32", None), ("int32", [1]), ("int32", np.array([1])),
    ("int64", np.datetime64("2026-11-22", "s")), ("int64", np.timedelta64(1, "s")), ("int64", 1j),
    ("float16", 65520), ("float32", 1e39), ("float32", -1e39), ("float64", 10**400), ("float64", np.longdouble("1e400")),
    ("float64", decimal.Decimal("1e400")), ("float32", "1"), ("float32", b"1"), ("float32", None), ("float32", 1j),
    ("float32", np.complex64(1)), ("float32", np.array([1.0])), ("float64", Unfloatable()), ("float64", no_time_of_a_unit()),
    ("float32", np.ma.masked), ("int8", np.ma.masked),
    ("str", b"a"), ("str", None), ("str", 1), ("str", "\ud800"), ("str", "a\udfffb"),
    ("bytes", "a"), ("bytes", None), ("bytes", 5), ("bytes", np.zeros(3, "u1")), ("bytes", [1, 2]),
    ("json", float("nan")), ("json", [math.inf]), ("json", {1, 2}), ("json", b"a"), ("json", "\ud800"), ("json", nested(100_000)),
    ("json", itself()), ("json", {(1, 2): 3}), ("json", {1: 2}), ("msgpack", {(1, 2): 3}),
    ("float32[2]", [1, 2, 3]), ("float32[2]", [[1, 2]]), ("float32[2]", 1.0), ("float32[2]", None), ("float32[2]", "ab"),
    ("float32[2]", ["a", "b"]), ("float32[2]", [1e39, 0]), ("float32[2]", [1j, 0]), ("float32[2]", MASKED),
    ("float32[2]", np.zeros(2, "m8[s]")), ("float32[2]", []), ("float32[2]", [[1], [1, 2]]), ("float32[2,0]", np.zeros((0, 2))),
    ("int8[*]", [128]), ("int8[*]", [1.0]), ("int8[*]", np.zeros(0)), ("uint8[*]", [-1]), ("int64[*]", [2**63]),
    ("uint64[1]", [2**64]), ("bool[1]", [1]), ("bool[1]", ["yes"]),
    ("int8[*,2]", [1, 2]), ("int8[*,2]", [[1]]), ("int8[*,*]", [[1], [1, 2]]),
    ("array", None), ("array", object()), ("array", [None]), ("array", "text"), ("array", b"bytes"), ("array", MASKED),
    ("array", [[1], [1, 2]]), ("array", np.zeros(1, [("a", object)])), ("array", {1, 2}),
    ("list[int8]", 1), ("list[int8]", None), ("list[int8]", "12"), ("list[int8]", b"12"), ("list[int8]", {1}),
    ("list[int8]", [None]), ("list[int8]", [1, 200]), ("list[int8]", iter([1])), ("list[int8]", np.array(1)),
    ("list[float32]", MASKED),
    ("list[str]", ["a", None]), ("list[str]", ["\ud800"]), ("list[list[int8]]", [[1], [1.5]]), ("list[float32[2]]", [[1]]),
    ("datetime64[s]", "2026"), ("datetime64[s]", 5), ("datetime64[s]", np.timedelta64(1, "s")),
    ("timedelta64[s]", no_time_of_a_unit()),
    ("datetime64[s]", np.datetime64(1, "ms")), ("datetime64[ns]", np.datetime64("9999")),
    ("datetime64[D]", datetime.datetime(2026, 1, 1, 5)),
    ("datetime64[s]", datetime.datetime.now(datetime.timezone.utc)), ("timedelta64[D]", np.timedelta64(1, "M")),
    ("datetime64[s]", None),
    ("datetime64[s]", [np.datetime64(1, "s")]), ("datetime64[s]", np.ma.masked), ("timedelta64[s]", 1.5),
    ("category[a,b]", "c"), ("category[a,b]", 0), ("category[a,b]", None), ("category[a,b]", b"a"),
    ("bfloat16", 1e39), ("bfloat16", "1"), ("bfloat16", None), ("bfloat16[2]", [1e39, 0]), ("bfloat16[2]", ["a", "b"]),
    ("{a:int8}", None), ("{a:int8}", {}), ("{a:int8}", {"a": 1, "b": 2}), ("{a:int8}", {"a": None}), ("{a:int8}", {"a": 200}),
    ("{a:int8}", [1]),
    ("list[{a:int8}]", [{"a": 1}, {"a": 200}]), ("list[{a:int8}]", [{"a": 1}, {}]), ("list[{a:int8}]", [None]),
    ("list[{a:int8}]", "ab"),
    ("list[{a:int8[2]}]", [{"a": [1, 2]}, {"a": [1]}]), ("list[{a:int8,b:int8}]", {"a": [1, 2], "b": [1]}),
    ("list[{a:int8}]", {"a": 5}),
    ("zstd(str)", 5), ("zstd(str)", None), ("list[zstd(str)]", [5]),
    ("msgpack", object()), ("msgpack", 2**64), ("msgpack", nested(100_000)), ("protobuf[a.B]", "text"),
    ("protobuf[a.B]", stamp(1)),
    ("audio", b"text"), ("audio", np.zeros(5)), ("audio", (np.zeros(5, "i8"), 8000)), ("audio", (np.zeros((1, 2, 3)), 8000)),
    ("png", None), ("png", 5), ("png", b"SIMPLE  =                    T"), ("png", b""), ("png", b"\xff\xd8\xff"),
    ("jpeg", np.zeros((2, 2, 3))), ("image", b"text"),
]  # fmt: skip


def files(path):
    folder = Path(path).parent
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("kind", "value"), WRONG, ids=[f"{n}-{kind}" for n, (kind, _) in enumerate(WRONG)]
)
def test_wrong_value_is_refused_and_leaves_the_dataset_as_it_was(tmp_path, kind, value):
    good = {"n": 1, "x": None}
    wrong = {"n": 2, "x": value}
    path, _ = make_dataset([], tmp_path / "a.rec", {"n": "int64", "x": f"{kind}?"})
    kinds = {"n": "int64", "x": kind}
    before = files(path)
    with pytest.raises(SchemaError, match=r"^record 0, field 'x': ") as caught:
        make_dataset([wrong], tmp_path / "b.rec", kinds)
    assert (caught.value.record, caught.value.field) == (0, "x")
    assert files(path) == before
    is_nan = isinstance(value, (float, np.datetime64)) and value != value
    if value is None or is_nan or kind.endswith("?"):  # which means None
        return
    # The same type, but with ?, so that there is a record that fits.
    with dsrecords.open(path) as ds:
        ds.append(good)
        ds.flush()
        before = files(path)

        def refused(record, change):
            with pytest.raises(SchemaError) as caught:
                change()
            assert (caught.value.record, caught.value.field) == (record, "x")
            assert f"record {record}, field 'x'" in str(caught.value)
            assert files(path) == before
            assert len(ds) == 1

        refused(1, lambda: ds.append(wrong))
        refused(1, lambda: ds.extend([wrong, good]))
        refused(0, lambda: ds.__setitem__(0, wrong))
        refused(0, lambda: ds.update({0: wrong}))
        refused(2, lambda: ds.extend_columns({"n": [1, 2], "x": [None, value]}))
        ds.append(good)
        assert [row["n"] for row in ds] == [1, 1]
    assert dsrecords.open(path).check() == []


WRONG_COLUMNS = {
    "floats for integers": ("int32", np.array([1.0, 2.0])),
    "a value out of range": ("int8", np.array([1, 200])),
    "a value out of range, in a list": ("int8", [1, 200]),
    "a negative value": ("uint64", np.array([1, -1])),
    "a float that would become infinite": ("float32", np.array([0, 1e39])),
    "a long float that would become infinite": ("float64", np.array(["0", "1e400"], np.longdouble)),
    "times for integers": ("int64", np.array([0, 1], "m8[s]")),
    "texts for floats": ("float32", np.array(["0", "1"])),
    "complex numbers": ("float32", np.array([0, 1j])),
    "masked values where none may be None": ("float32", MASKED),
    "masked integers where none may be None": ("int32", np.ma.array([1, 2], mask=[False, True])),
    "None where none may be": ("int32", [1, None]),
    "two dimensions for scalars": ("int32", np.zeros((2, 1), "i4")),
    "one dimension too few for arrays": ("int32[2]", np.zeros(2, "i4")),
    "another shape": ("int32[2]", np.zeros((2, 3), "i4")),
    "mixed integers that no type holds": ("int64", [2**63, -1]),
    "a number instead of a column": ("int32", 5),
    "an array without dimensions": ("int32", np.array(5)),
    "a generator": ("int32", (n for n in range(2))),
    "too few values": ("int32", [1]),
    "too many values": ("int32", [1, 2, 3]),
}


@pytest.mark.parametrize("case", WRONG_COLUMNS)
def test_wrong_column_is_refused_and_leaves_the_dataset_as_it_was(tmp_path, case):
    kind, column = WRONG_COLUMNS[case]
    path, _ = make_dataset([], tmp_path / "a.rec", {"n": "int64", "x": kind})
    before = files(path)
    with dsrecords.open(path) as ds:
        with pytest.raises(SchemaError) as caught:
            ds.extend_columns({"n": [1, 2], "x": column})
        assert caught.value.field == "x"
        assert files(path) == before
        assert len(ds) == 0


def test_masked_rows_of_payloads(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "float32[2]?", "s": "str?"})
    rows = np.ma.MaskedArray([[1, 2], [3, 4]], [[False, False], [True, True]])
    with dsrecords.open(path) as ds:
        try:
            ds.extend_columns({"x": rows, "s": np.ma.MaskedArray(["a", "b"], [True, False])})
        except SchemaError as error:  # refusing is right as well: what a partly masked row means is not said anywhere
            assert error.field == "x"
            assert len(ds) == 0
        else:
            assert [row["s"] for row in ds] == [None, "b"]
            assert ds[0, "x"].tolist() == [1, 2]
            assert ds[1, "x"] is None


SAMPLES = {
    "a field is missing": ({"n": 1}, "x"),
    "a field is unknown": ({"n": 1, "x": 1, "y": 1}, "y"),
    "a field is named otherwise": ({"n": 1, "X": 1}, "x"),
    "it is a tuple": ((1, 1), None),
    "it is None": (None, None),
    "it is a text": ("nx", None),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_wrong_sample_is_refused_if(tmp_path, case):
    sample, field = SAMPLES[case]
    path, _ = make_dataset([{"n": 0, "x": 0}], tmp_path / "a.rec", {"n": "int64", "x": "int64"})
    before = files(path)
    with dsrecords.open(path) as ds:
        for change, record in (
            (ds.append, 1),
            (lambda sample: ds.update({0: sample}), 0),
            (lambda sample: ds.extend([sample]), 1),
        ):
            with pytest.raises(SchemaError) as caught:
                change(sample)
            assert (caught.value.field, caught.value.record) == (field, record)
        assert files(path) == before
        assert len(ds) == 1


@pytest.mark.parametrize(
    "sample",
    [(1,), (1, 2, 3), 5, None, "ab", b"ab", {0: 1, 1: 2}, {1, 2}, iter([1, 2]), np.array(1)],
)
def test_wrong_sample_without_names_is_refused(tmp_path, sample):
    path, _ = make_dataset([(1, 2)], tmp_path / "a.rec", ["int64", "int64"])
    before = files(path)
    with dsrecords.open(path) as ds:
        with pytest.raises(SchemaError) as caught:
            ds.append(sample)
        assert caught.value.record == 1
        assert files(path) == before


def test_extend_keeps_the_rows_before_the_wrong_one(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "int8"})
    with dsrecords.open(path) as ds:
        with pytest.raises(SchemaError, match="row 2 of those given") as caught:
            ds.extend([{"x": 1}, {"x": 2}, {"x": 300}, {"x": 4}])
        assert (caught.value.record, caught.value.field) == (2, "x")
        assert ds.column("x").tolist() == [1, 2]


def test_dtype_metadata_are_no_warning(tmp_path):
    array = np.zeros(2, np.dtype("<f4", metadata={"unit": "m"}))
    (got,) = written(tmp_path, "array", array)
    assert same(got, np.zeros(2, "<f4"))


def test_array_that_could_not_be_read_is_not_written(tmp_path):
    wide = np.empty((2**59 + 1, 0), "<f8")
    try:
        (got,) = written(tmp_path, "array", wide)
    except SchemaError:
        return
    assert got.shape == wide.shape


def test_empty_texts_of_no_width_come_back(tmp_path):
    array = np.zeros(3, [("a", "U0")])["a"]
    (got,) = written(tmp_path, "array", array)
    assert got.tolist() == ["", "", ""]
