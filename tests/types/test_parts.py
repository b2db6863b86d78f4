"""Parts of values: what `decode` says of each, and reading one of them alone."""

import numpy as np
import pytest
from make_golden import picture
from sameness import same

import dsrecords
from dsrecords import CorruptError, SchemaError, make_dataset
from dsrecords._types import registered

STEP = "{image: png, n: int32?, tag: category[a,b], meta: {who: str?, pic: png?}, boxes: list[float32], v: float32[2], deep: list[list[int8]]}"
SCHEMA = {
    "steps": f"list[{STEP}]",
    "one": f"{STEP}?",
    "frames": "list[png?]",
    "numbers": "list[int16?]",
    "tags": "list[category[p,q]]",
    "texts": "zstd(list[str])",
    "boxes": "float32[*,2]",
    "any": "array",
    "text": "str",
    "n": "int8",
}


def pixels(i):
    return np.full((4, 5, 3), i, np.uint8)


def step(i, image=pixels, frames=list):
    """The values of a step; `image` makes one of a number, and `frames` what a list is read as."""
    return {
        "image": image(i),
        "n": None if i == 1 else i,
        "tag": "ab"[i % 2],
        "meta": {"who": None if i == 1 else "me", "pic": None if i == 2 else image(i + 1)},
        "boxes": [float(i), 2.0],
        "v": np.array([i, 1], np.float32),
        "deep": [frames([i]), frames([1, 2])],
    }


FULL = {
    "steps": [step(i) for i in range(3)],
    "one": step(5),
    "frames": [pixels(1), None, pixels(2)],
    "numbers": [1, None, 3],
    "tags": ["p", "q"],
    "texts": ["a", "é"],
    "boxes": np.array([[1, 2], [3, 4]], np.float32),
    "any": np.arange(6).reshape(2, 3),
    "text": "some",
    "n": 1,
}
EMPTY = {
    "steps": [], "one": None, "frames": [], "numbers": [], "tags": [], "texts": [],
    "boxes": np.zeros((0, 2), np.float32), "any": np.zeros(0), "text": "", "n": 2,
}  # fmt: skip
ARRAYS = {"image": "array", "meta": {"pic": "array"}}
DECODE = {"steps": ARRAYS, "one": ARRAYS, "frames": "array"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_dataset([FULL, EMPTY], tmp_path_factory.mktemp("parts") / "a.rec", SCHEMA)[0]


@pytest.fixture
def ds(path):
    return dsrecords.open(path, decode=DECODE)


# What `decode` says of parts


def test_each_part_is_decoded_as_asked(ds):
    assert same(ds[0], FULL)
    assert same(ds[1], EMPTY)
    assert same(list(ds), [FULL, EMPTY])
    assert same(ds.batch([0, 1], ["steps", "one", "frames"])["one"], [FULL["one"], None])


def test_parts_that_are_not_named_are_decoded_as_ever(path):
    decode = {"steps": {"image": "bytes", "tag": "number", "meta": None}}
    first = dsrecords.open(path, decode=decode)[0, "steps"][0]
    assert first["image"].startswith(b"\x89PNG") and first["tag"] == 0
    assert first["meta"]["pic"].size == (5, 4) and first["boxes"] == [0, 2]


def test_parts_are_columns_where_that_is_asked(path):
    decode = {"steps": {"meta": "columns", "boxes": "columns", "deep": "columns", **ARRAYS}}
    first = dsrecords.open(path, decode=decode)[0, "steps"][1]
    wanted = step(1, frames=lambda numbers: np.array(numbers, np.int8))
    assert same(first, {**wanted, "boxes": np.array([1, 2], np.float32)})
    assert same(
        dsrecords.open(path, decode={"steps": {"meta": "columns"}})[0, "steps", 0, "meta", "who"],
        "me",
    )


def test_numbers_of_a_list_are_decoded_as_asked(path):
    ds = dsrecords.open(path, decode={"tags": "number"})
    assert (ds[0, "tags"], ds[0, "tags", 1], ds[0, "tags", 0:1]) == ([0, 1], 1, [0])


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        ({"steps": {"imag": "bytes"}}, "field 'steps': no part 'imag': there are 'image', 'n', "),
        ({"steps": {"image": "foo"}}, "field 'steps': 'image': decode can be"),
        ({"steps": {"n": "bytes"}}, "field 'steps': 'n': decode is for .* this is int32"),
        ({"one": {"meta": {"x": "bytes"}}}, "'one': 'meta': no part 'x': there are 'who', 'pic'"),
        ({"one": "bytes"}, "'columns', or a dict"),
        ({"frames": {"image": "bytes"}}, "field 'frames': decode can be"),
        ({"text": {"x": "bytes"}}, "field 'text': decode is for"),
    ],
)
def test_a_wrong_part_or_decoding_is_refused(path, decode, message):
    with pytest.raises(SchemaError, match=message):
        dsrecords.open(path, decode=decode)


# One part alone

PATHS = [
    *[("steps", i) for i in (0, 2, -1, -3, np.int64(1))],
    *[("steps", 1, part) for part in FULL["steps"][1]],
    ("steps", 0, "meta", "who"), ("steps", 2, "meta", "pic"), ("steps", 0, "boxes", -2), ("steps", 2, "v", 0),
    ("steps", 2, "deep", 1, 0), ("one", "image"), ("one", "n"), ("one", "tag"), ("one", "meta", "pic"),
    ("one", "deep", 1), ("one", "boxes", 1), ("frames", 0), ("frames", 1), ("numbers", 1), ("numbers", -1), ("tags", 1),
    ("texts", 1), ("boxes", 1), ("boxes", 1, 0), ("any", 1, 2), ("any", -1),
]  # fmt: skip


@pytest.mark.parametrize("part", PATHS, ids=repr)
def test_a_part_alone_is_what_it_is_in_the_whole(ds, part):
    field, *keys = part
    wanted = FULL[field]
    for key in keys:
        wanted = wanted[key]
    assert same(ds[(0, *part)], wanted)


SLICES = [slice(1, 3), slice(None, None, -1), slice(-2, None), slice(5, 9), slice(0, 3, 2)]


@pytest.mark.parametrize("key", SLICES, ids=str)
def test_a_slice_is_a_list_of_parts(ds, key):
    steps = FULL["steps"][key]
    assert same(ds[0, "steps", key], steps)
    assert same(ds[0, "steps", key, "image"], [one["image"] for one in steps])
    assert same(ds[0, "steps", key, "meta", "who"], [one["meta"]["who"] for one in steps])
    for field in ("frames", "numbers", "tags", "texts", "boxes"):
        assert same(ds[0, field, key], FULL[field][key])


def test_a_part_of_a_part_in_columns(path):
    ds = dsrecords.open(path, decode={"steps": "columns", "frames": "columns"})
    assert same(ds[0, "steps", 1, "boxes"], np.array([1, 2], np.float32))
    assert ds[0, "frames", 0].size == (5, 4)


def test_only_the_part_that_is_asked_for_is_decoded(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setitem(registered.registry, "own", (bytes, lambda data: loaded.append(data)))
    schema = {"l": "list[own]", "t": "list[{x: own, y: own}]", "s": "{x: own, y: own}"}
    rows = [{"x": b"%d" % i, "y": b"y%d" % i} for i in range(9)]
    sample = {"l": [b"l%d" % i for i in range(9)], "t": rows, "s": {"x": b"sx", "y": b"sy"}}
    ds = dsrecords.open(make_dataset([sample], tmp_path / "a.rec", schema)[0])
    for part in (("l", 3), ("t", 4, "y"), ("s", "x"), ("t", 5), ("l", slice(1, 3))):
        ds[(0, *part)]
    assert loaded == [b"l3", b"y4", b"sx", b"5", b"y5", b"l1", b"l2"]


def test_all_of_the_payload_is_verified_first(tmp_path):
    path, _ = make_dataset([{"l": ["one", "two"]}], tmp_path / "a.rec", {"l": "list[str]"})
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(data.index(b"two"))
        file.write(b"T")
    with pytest.raises(CorruptError, match="record 0, field 'l', byte"):
        dsrecords.open(path)[0, "l", 0]


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ((0, "steps", 3), IndexError, "record 0, field 'steps': no item 3 in a list of 3"),
        ((0, "steps", -4), IndexError, "record 0, field 'steps': no item -4 in a list of 3"),
        ((-1, "steps", 0), IndexError, "record 1, field 'steps': no item 0 in a list of 0"),
        ((0, "frames", 1, 2), IndexError, "record 0, field 'frames': item 1 is None"),
        ((0, "boxes", 2), IndexError, "record 0, field 'boxes': index 2 is out of bounds"),
        ((1, "one", "image"), KeyError, "record 1, field 'one': the value is None"),
        ((0, "steps", 0, "x"), SchemaError, "record 0, field 'steps', .*no part 'x': there are"),
        ((0, "one", "x"), SchemaError, "record 0, field 'one', .*no part 'x': there are"),
        ((0, "steps", "image"), SchemaError, "by its position, or several by a slice, not 'image'"),
        ((0, "text", 1), SchemaError, "record 0, field 'text', .*str has no items"),
        ((0, "texts", 0, 1), SchemaError, "record 0, field 'texts', .*item 0: str has no items"),
        ((0, "n", 0), SchemaError, "field 'n': int8 has no items"),
        ((0, "nn", 0), SchemaError, "no field 'nn'"),
        ((2, "steps", 0), IndexError, "index 2 is out of range"),
        ((0, ["steps"], 0), TypeError, "a part is of one field"),
        (([0, 1], "steps", 0), TypeError, r"of many: ds\.batch"),
    ],
)
def test_a_part_that_is_not_there_is_an_error_that_says_where(ds, key, error, message):
    with pytest.raises(error, match=message):
        ds[key]


def test_a_part_is_not_replaced(path):
    with dsrecords.open(path) as ds, pytest.raises(TypeError, match=r"ds\[7, 'steps'\] = value"):
        ds[0, "steps", 1] = step(1)


def test_a_part_of_what_a_function_of_ones_own_returns(tmp_path):
    path, _ = make_dataset([(b"a,b",)], tmp_path / "a.rec", ["bytes"])
    ds = dsrecords.IndexedRecordDataset(path, [lambda data: data.decode().split(",")])
    assert (ds[0, 0], ds[0, 0, 1]) == (["a", "b"], "b")


def test_a_part_that_cannot_be_decoded_is_named(tmp_path):
    broken = picture("red.png")[:40]
    sample = {"steps": [{"image": pixels(0)}, {"image": broken}], "one": {"image": broken}}
    schema = {"steps": "list[{image: png}]", "one": "{image: png}"}
    ds = dsrecords.open(make_dataset([sample], tmp_path / "a.rec", schema)[0])
    for key in ((0, "steps"), (0, "steps", 1), (0, "steps", slice(None), "image")):
        with pytest.raises(dsrecords.DecodeError, match=r"record 0, field 'steps', .*item 1: "):
            ds[key]
    with pytest.raises(dsrecords.DecodeError, match=r"record 0, field 'one', .*'image': "):
        ds[0, "one"]
    assert ds[0, "steps", 0, "image"].size == (5, 4)


class Broken:
    def decode_image(self, data):
        raise ValueError("of mine")


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("kind", ["png", "list[png]", "{x:png}", "list[{x:png?}]", "map[png]"])
def test_an_error_of_a_decoder_of_ones_own_is_raised_as_it_is(tmp_path, kind, on_error):
    value = pixels(1)
    if "{" in kind or "map" in kind:
        value = {"x": value}
    if "list" in kind:
        value = [value]
    path, _ = make_dataset([{"v": value}], tmp_path / "a.rec", {"v": kind})
    decode = {"x": Broken()} if "{" in kind else Broken()
    ds = dsrecords.open(path, decode={"v": decode}, on_error=on_error)
    parts = {"list": [0], "{x:p": ["x"], "map[": ["x"]}.get(kind[:4], [])
    for read in (lambda: ds[0], lambda: list(ds), lambda: ds[(0, "v", *parts)]):
        with pytest.raises(ValueError, match=r"^of mine\n") as caught:
            read()
        assert "record 0, field 'v'" in str(caught.value.__notes__)


def test_what_a_map_is_not_decoded_as_is_said_of_its_values(tmp_path):
    path, _ = make_dataset([{"v": {}}], tmp_path / "a.rec", {"v": "map[audio]"})
    with pytest.raises(SchemaError, match="field 'v': decode of audio can be"):
        dsrecords.open(path, decode={"v": "name"})
