"""Schemas from what is there: from samples, and from the annotations of a class."""

import ast
import dataclasses
import datetime
import decimal
import enum
import fractions
import logging
import uuid
from collections import namedtuple
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, TypedDict

import numpy as np
import pytest
from conftest import SCHEMA, shown
from numpy.typing import NDArray
from PIL import Image

import dsrecords
from dsrecords import IndexedRecordDataset, SchemaError, infer_schema, make_dataset

PICTURES = Path(__file__).parents[1] / "golden" / "pictures"
F4 = np.float32


def of(*values):
    """The type that these values of one field have."""
    return infer_schema([{"x": value} for value in values])["x"]


# From samples


CASES = [
    ("bool", [True, False, np.True_]),
    ("int64", [0, -(2**63), 2**63 - 1]),
    ("uint64", [0, 2**64 - 1]),
    ("int64", [1, np.int64(2)]),
    ("uint64", [2**63, np.int64(2)]),
    ("uint8", [np.uint8(3)]),
    ("float64", [0.5, float("nan"), np.float64(1)]),
    ("float64", [1, 0.5, 2**53, F4(0.5), np.int8(3)]),
    ("float64", [F4(1), 1.0]),
    ("int64", [np.uint8(3), np.int32(-1), 2]),
    ("list[float64]", [[1, 2], [0.5]]),
    ("float32", [F4(0.5)]),
    ("int16", [np.array(3, np.int16)]),
    ("str", ["a", "", np.str_("b")]),
    ("bytes", [b"a", bytearray(b"b"), memoryview(b"c")]),
    ("str?", ["a", None]),
    ("float32[2,3]", [np.zeros((2, 3), F4)] * 2),
    ("float32[*,3]", [np.zeros((2, 3), F4), np.zeros((5, 3), F4)]),
    ("float32[*,3]", [np.zeros((0, 3), F4)]),
    ("uint8[*,*,3]", [np.zeros((4, 5, 3), np.uint8), np.zeros((6, 7, 3), np.uint8), None][:2]),
    ("int16[3]", [np.zeros(3, ">i2")]),
    ("array", [np.zeros(2, np.longdouble)]),
    ("array", [np.array("a"), np.array("bc")]),
    ("bool[3]?", [None, np.zeros(3, bool)]),
    ("array", [np.array(["a", "bc"]), np.array(["abc"])]),
    ("array", [np.zeros(2, [("a", "i4")])]),
    ("complex128[2]", [np.zeros(2, complex)]),
    ("list[int64]", [[1, 2], (), [3]]),
    ("list[list[int64]]", [[[0, 0, 9, 9]], []]),
    ("list[str?]", [["a", None], ["b"]]),
    ("list[float32[2]]?", [[np.zeros(2, F4)], None]),
    ("json", [{"a": 1}, {"b": [None, "x"]}]),
    ("json", [{}, {"a": 1}]),
    ("json", [{"": 1}]),
    ({"a": "int64", "b": "str?"}, [{"a": 1, "b": None}, {"b": "x", "a": 2}]),
    ("{a:int64}?", [{"a": 1}, None]),
    ([{"box": "float32[4]", "tags": "list[str]"}], [[{"box": np.zeros(4, F4), "tags": ["a"]}], []]),
    ([{"inner": {"x": "float64"}}], [[{"inner": {"x": 0.5}}]]),
    ("datetime64[D]", [np.datetime64("2026-11-22")]),
    ("datetime64[us]", [datetime.datetime(2026, 11, 22, 1, 2, 3, 4)]),
    ("datetime64[D]?", [datetime.date(2026, 11, 22), None]),
    ("timedelta64[us]", [datetime.timedelta(microseconds=5)]),
    ("png", [Image.new("RGB", (2, 2))]),
    ("jpeg", [Image.open(PICTURES / "red.jpg")]),
    ("png", [Image.open(PICTURES / "red.jpg").copy()]),
    ("image", [Image.open(PICTURES / "red.gif")]),
    ("image", [Image.open(PICTURES / "red.jpg"), PICTURES / "red.png", Image.new("L", (2, 2))]),
    ("map[bytes?]", [{"a": b"x"}, {"b": None}]),
    ("jpeg", [PICTURES / "red.jpg", PICTURES / "grey.jpg"]),
    ("image", [PICTURES / "red.jpg", PICTURES / "red.png"]),
    ("image", [PICTURES / "red.gif"]),
    ("list[png]", [[PICTURES / "red.png"]]),
]


@pytest.mark.parametrize(
    ("wanted", "values"), CASES, ids=[f"{number} {name}" for number, (name, _) in enumerate(CASES)]
)
def test_values_have_a_type_which_holds_them(path, wanted, values):
    assert of(*values) == wanted
    make_dataset(
        [{"x": value} for value in values], path, {"x": wanted}
    )  # what was chosen can be written
    assert len(dsrecords.open(path)) == len(values)


def test_an_image_that_was_changed_since_it_was_opened_keeps_its_pixels(path):
    image = Image.open(PICTURES / "red.jpg")
    image.putpixel((0, 0), (9, 200, 3))
    make_dataset([{"x": image}], path, {"x": of(image)})
    assert dsrecords.open(path)[0, "x"].getpixel((0, 0)) == (9, 200, 3)


def test_the_result_prints_as_text_that_can_be_pasted():
    samples = [
        {"image": PICTURES / "red.jpg", "label": 3, "boxes": np.zeros((1, 4), F4)},
        {"image": PICTURES / "grey.jpg", "label": 1, "boxes": np.zeros((2, 4), F4)},
    ]
    schema = infer_schema(samples)
    assert repr(schema) == "{'image': 'jpeg', 'label': 'int64', 'boxes': 'float32[*,4]'}"
    assert ast.literal_eval(repr(schema)) == schema
    assert repr(infer_schema([(1, "a")])) == "['int64', 'str']"


class Hue(enum.Enum):
    RED = 1


Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Sample:
    text: str
    label: int


def test_samples_can_be_dicts_tuples_rows_dataclasses_and_named_tuples():
    assert infer_schema([{"a": 1}]) == {"a": "int64"}
    assert infer_schema([(1, "a"), [2, "b"]]) == ["int64", "str"]
    assert infer_schema(np.zeros((3, 2), F4)) == ["float32", "float32"]
    assert infer_schema([Sample("a", 1)]) == {"text": "str", "label": "int64"}
    assert infer_schema([Point(1, 0.5)]) == {"x": "int64", "y": "float64"}
    assert infer_schema(iter([{"a": 1}])) == {"a": "int64"}


@dataclasses.dataclass
class Thing:
    name: Literal["cat", "a, b"]
    box: Annotated[tuple[float, ...], "float32[4]"]


@dataclasses.dataclass
class Scene:
    first: Thing
    things: list[Thing]
    best: Thing | None


def test_dataclasses_hold_others(path):
    one, other = Thing("cat", (0, 1, 2, 3)), Thing("a, b", (4, 5, 6, 7))
    scenes = [Scene(one, [one, other], None), Scene(other, [], one)]
    make_dataset(scenes, path, Scene)
    ds = dsrecords.open(path)
    thing = '{name:category[cat,"a, b"],box:float32[4]}'
    assert ds.schema == {"first": thing, "things": f"list[{thing}]", "best": f"{thing}?"}
    assert [sample["name"] for sample in ds[0, "things"]] == ["cat", "a, b"]
    assert ds[1, "best"]["box"].tolist() == [0, 1, 2, 3] and ds[0, "best"] is None
    inner = {"name": "str", "box": "list[int64]"}
    assert infer_schema(scenes) == {
        "first": inner,
        "things": [inner],
        "best": "{name:str,box:list[int64]}?",
    }
    make_dataset(scenes, path, infer_schema(scenes), overwrite=True)
    assert dsrecords.open(path)[0, "things"][1] == {"name": "a, b", "box": [4, 5, 6, 7]}


def test_a_list_in_a_dataclass_may_begin_with_none(path):
    scenes = [Scene(Thing("cat", [1]), [None, Thing("cat", [2])], Thing("cat", [3]))]
    schema = infer_schema(scenes)
    assert schema["things"] == "list[{name:str,box:list[int64]}?]"
    make_dataset(scenes, path, schema)
    assert dsrecords.open(path)[0, "things"] == [None, {"name": "cat", "box": [2]}]


def test_a_dataset_has_the_schema_that_it_has(made):
    assert infer_schema(dsrecords.open(made)) == SCHEMA


def test_only_the_first_samples_are_looked_at():
    taken = []
    infer_schema(({"n": taken.append(i) or i} for i in range(10_000)), limit=7)
    assert len(taken) == 7
    infer_schema({"n": taken.append(i) or i} for i in range(10_000))
    assert len(taken) == 7 + 256


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([3, "cat"], r"such as 3 \(sample 0\) and 'cat' \(sample 1\)"),
        ([2**53 + 1, 0.5], r"9007199254740993 \(sample 0\) and 0\.5 .*float64.*does not have"),
        (["a", float("nan")], "'a' .* and nan .*: a value that is missing must be given as None"),
        ([1, 0.5, True], r"such as 1 \(sample 0\) and 0\.5 \(sample 1\)"),
        ([True, 1], r"True \(sample 0\) and 1 \(sample 1\)"),
        (["a", b"a"], "'a' .* and b'a'"),
        ([[1], 2], r"\[1\].* and 2"),
        ([[1, "a"]], r"in a list: values of several types, such as 1 \(sample 0\) and 'a'"),
        (
            [np.zeros(2, F4), np.zeros(2)],
            r"an array of float32 with shape \(2,\) \(sample 0\) and an array of float64",
        ),
        ([np.zeros(2), np.zeros((2, 2))], r"with shape \(2,\).* with shape \(2, 2\).*'array'"),
        ([PICTURES / "red.jpg", "red.jpg"], "red.jpg.* and 'red.jpg'"),
        ([2**64], "no type holds integers"),
        ([np.int64(-1), 2**63], "no type holds integers from -1 to 9223372036854775808"),
        ([-1, 2**63], "no type holds integers from -1 to 9223372036854775808"),
        ([None, None], r"all values are None.*'str\?'"),
        ([[], []], r"all lists are empty.*'list\[str\]'"),
        ([decimal.Decimal("1.5")], "no type holds a Decimal"),
        ([{1, 2}], "no type holds a set"),
        ([Hue.RED], r"no type holds a Hue: give value\.name"),
        ([uuid.UUID(int=5)], r"no type holds an? UUID: give value\.bytes"),
        ([fractions.Fraction(1, 3)], r"no type holds a Fraction: give float\(value\)"),
        ([datetime.time(1)], "no type holds a time: give the duration"),
        ([np.longdouble(1)], r"no type holds a longdouble .*: give float\(value\)"),
        (["\ud800"], r"is no str \(.*surrogates not allowed\)"),
        ([datetime.datetime(2026, 11, 22), datetime.date(2026, 11, 22)], "such as datetime"),
        ([{5: "a"}], "is not JSON .*: give a schema"),
        (
            [np.array([object()])],
            r"an array of objects, such as an array of object with shape \(1,\) \(sample 0\)",
        ),
        ([np.array([], object)], "an array of objects"),
        ([np.ma.masked_array([1], [True])], "masked array"),
        ([{"a": {1}}], "'a' of a dict: no type holds a set of 1.*; or specify 'json' for the dict"),
        (
            [{"a": 1}, {"a": "b"}],
            r"'a' of a dict: .*such as 1 \(sample 0\) and 'b' \(sample 1\).*; or specify 'json'",
        ),
        ([{"a": {1}}, {}], "is not JSON"),
        ([PICTURES.parent / "update.rec"], "is not an image, .* of a known format: specify 'file'"),
        (
            [str(PICTURES / "red.jpg")],
            "is a string, and the path of an image: specify 'str' or 'jpeg'",
        ),
    ],
    ids=shown,
)
def test_what_is_ambiguous_or_of_no_type_is_an_error_that_shows_it(values, message):
    with pytest.raises(SchemaError, match=f"field 'x': .*{message}"):
        of(*values)


def test_paths_of_sounds_are_audio_and_not_mixed_with_pictures(tmp_path):
    sound = tmp_path / "sound.wav"
    sound.write_bytes(b"RIFF\x26\0\0\0WAVEfmt ")
    assert of(sound, None) == "audio?"
    with pytest.raises(
        SchemaError, match=r"such as '.*sound\.wav' \(sample 0\) and '.*red\.jpg' \(sample 1\)"
    ):
        of(sound, PICTURES / "red.jpg")


@pytest.mark.parametrize("samples", [{"x": 1}, "text", b"text"])
def test_one_sample_in_the_place_of_samples_is_an_error(samples):
    with pytest.raises(
        SchemaError, match="samples must be a list or another iterable of samples, not"
    ):
        infer_schema(samples)


def test_long_values_are_shown_in_part():
    with pytest.raises(SchemaError) as caught:
        of("x" * 10_000, 1)
    assert len(str(caught.value)) < 400


def test_samples_that_are_none_or_do_not_agree_are_errors(tmp_path):
    with pytest.raises(SchemaError, match="there are no samples"):
        infer_schema([])
    for sample in (1, "text", None, np.float32(1)):
        with pytest.raises(
            SchemaError, match=r"sample 1 is .*; a sample must be a dict, a dataclass or a tuple"
        ):
            infer_schema([(1,), sample])
    with pytest.raises(
        SchemaError,
        match="sample 0 has 0, 1, sample 2 has 0; a missing value must be given as None",
    ):
        infer_schema([(1, 2), (3, 4), (5,)])
    with pytest.raises(SchemaError, match="different fields"):
        infer_schema([{"a": 1}, (1,)])
    with pytest.raises(FileNotFoundError):
        of(tmp_path / "none.jpg")


# make_dataset without a schema


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.WARNING, "dsrecords")
    return caplog


ITERABLES = {
    "list": list,
    "iterator": iter,
    "generator": lambda samples: (sample for sample in samples),
}


@pytest.mark.parametrize("iterable", ITERABLES.values(), ids=ITERABLES)
@pytest.mark.parametrize("count", [1, 3, 256, 257, 600])
def test_make_dataset_without_a_schema_infers_one_and_loses_no_sample(
    path, logged, iterable, count
):
    samples = [{"n": i, "t": str(i)} for i in range(count)]
    make_dataset(iterable(samples), path, progress=True)
    assert list(dsrecords.open(path)) == samples
    assert dsrecords.open(path).schema == {"n": "int64", "t": "str"}


def test_it_says_what_it_chose(path, logged):
    make_dataset([(1, "a")], path)
    (record,) = logged.records
    assert (record.name, record.levelname) == ("dsrecords", "WARNING")
    assert (
        record.getMessage()
        == f"{path}: no schema was given; from the first samples: ['int64', 'str']"
    )


def test_it_says_nothing_where_a_schema_is_given(path, logged):
    make_dataset([(1, "a")], path, ["int64", "str"])
    assert not logged.records


def test_a_later_sample_that_does_not_fit_is_an_error_and_leaves_nothing(tmp_path, logged):
    samples = ({"n": i if i < 300 else None} for i in range(400))
    with pytest.raises(SchemaError, match="record 300, field 'n': int64 expected, not None"):
        make_dataset(samples, tmp_path / "new.rec")
    assert not list(tmp_path.iterdir())


def test_samples_that_are_dataclasses_or_named_tuples_are_written(path, logged):
    make_dataset([Sample("a", 1), Sample("b", 2)], path)
    with dsrecords.open(path) as ds:
        ds.append(Sample("c", 3))
        ds[0] = {"text": "A", "label": 10}
        with pytest.raises(SchemaError, match="label"):
            ds.append(Point(1, 2))
        assert list(ds) == [
            {"text": "A", "label": 10},
            {"text": "b", "label": 2},
            {"text": "c", "label": 3},
        ]
    make_dataset([Point(1, 2)], path, {"x": "int8", "y": "int8"}, overwrite=True)
    assert dsrecords.open(path)[0] == {"x": 1, "y": 2}
    make_dataset([Point(1, 2)], path, ["int8", "int8"], overwrite=True)
    assert dsrecords.open(path)[0] == (1, 2)


# From annotations


class Everything(TypedDict):
    flag: bool
    count: int
    score: float | None
    text: str
    other: Optional[str]  # noqa: UP045  as older code has it
    data: bytes
    small: np.uint8
    image: Image.Image
    file: Path
    points: NDArray[np.float32]
    boxes: Annotated[np.ndarray, "float32[*,4]"]
    maybe: Annotated[np.ndarray | None, "float32[2]"]
    words: list[str]
    pairs: tuple[int, ...]
    nested: list[list[float]] | None
    more: dict[str, Any]
    anything: Any
    noted: Annotated[int, 5]
    at: datetime.datetime
    day: datetime.date
    span: datetime.timedelta | None


EVERYTHING = {
    "flag": "bool", "count": "int64", "score": "float64?", "text": "str", "other": "str?", "data": "bytes", "small": "uint8",
    "image": "png", "file": "image", "points": "array", "boxes": "float32[*,4]", "maybe": "float32[2]?", "words": "list[str]",
    "pairs": "list[int64]", "nested": "list[list[float64]]?", "more": "json", "anything": "json", "noted": "int64",
    "at": "datetime64[us]", "day": "datetime64[D]", "span": "timedelta64[us]?",
}  # fmt: skip


class Pair(NamedTuple):
    left: int
    right: Annotated[float, "float32"]


@pytest.mark.parametrize(
    ("cls", "wanted"),
    [
        (Everything, EVERYTHING),
        (Sample, {"text": "str", "label": "int64"}),
        (Pair, {"left": "int64", "right": "float32"}),
    ],
)
def test_a_class_with_annotations_is_a_schema(path, cls, wanted):
    make_dataset([], path, cls)
    assert dsrecords.open(path).schema == wanted
    with IndexedRecordDataset(path, schema=cls) as ds:
        assert len(ds) == 0


def test_a_dataset_is_created_and_compared_with_a_class(path):
    with IndexedRecordDataset(path, schema=Sample) as ds:
        ds.append(Sample("a", 1))
    with pytest.raises(SchemaError, match="schema"):
        IndexedRecordDataset(path, schema=Pair)


class Partial(TypedDict):
    there: int
    perhaps: NotRequired[int]


class Loose(TypedDict, total=False):
    perhaps: int


@dataclasses.dataclass
class Forward:
    boxes: "float32[*,4]"  # noqa: F722  the name of a type is no annotation


@dataclasses.dataclass
class Several:
    x: int | str


@dataclasses.dataclass
class Bare:
    x: list


@dataclasses.dataclass
class Unknown:
    x: decimal.Decimal


@dataclasses.dataclass
class Abstract:
    x: np.floating


@dataclasses.dataclass
class Recursive:
    children: list["Recursive"]


@dataclasses.dataclass
class Wrong:
    x: Annotated[int, "int33"]


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Partial, "field 'perhaps': it may be missing"),
        (Loose, "field 'perhaps': it may be missing"),
        (Forward, "annotations of Forward.*Annotated"),
        (Several, "field 'x': .*several types"),
        (Bare, "field 'x': .*does not determine a type"),
        (Unknown, "field 'x': .*does not determine a type.*Annotated"),
        (Abstract, "field 'x': .*floating.* does not determine a type"),
        (Recursive, "Recursive contains itself"),
        (Wrong, "field 'x': 'int33' is not a type"),
    ],
)
def test_annotations_that_are_no_schema_are_errors(path, cls, message):
    with pytest.raises(SchemaError, match=message):
        make_dataset([], path, cls)
