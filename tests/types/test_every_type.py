"""Every type has what a type must have. Who adds one is told here what is missing.

That is: a section of docs/formats.md with an example, a golden file, a round trip of many values (in test_types.py), a round trip
within other types, a sentence for bytes that are not of the type, and a stated cost in bytes.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import bytes_by_hand as by_hand
import make_golden
import numpy as np
import pytest
from conftest import IN_FULL
from google.protobuf import timestamp_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sameness import same
from test_types import KINDS, absent, column_of, lists, optional, plain, structs

import dsrecords
from dsrecords import CorruptError, DecodeError, make_dataset
from dsrecords._types import base as _values
from dsrecords._types import parse as _types

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
MESSAGE = "protobuf[google.protobuf.Timestamp]"


class Row(NamedTuple):
    """What a type has. A payload of None: the type is a number of the head."""

    section: str  # of docs/formats.md
    value: Any
    head: int  # bytes in the head
    payload: int | None  # bytes of that value's payload, as the page counts them
    wrong: (
        bytes | None
    )  # a payload that no writer writes; None: any bytes (of its length) are a value
    message: str = ""


def number(size, value=1):
    return Row("Numbers", value, size, None, None)


def picture(name, wrong, message):
    data = make_golden.picture(name)
    return Row("Images", data, 12, len(data), wrong, message)


CUSTOM = "custom(reverse)"
TYPES = {
    "bool": number(1, True),
    "int8": number(1), "int16": number(2), "int32": number(4), "int64": number(8),
    "uint8": number(1), "uint16": number(2), "uint32": number(4), "uint64": number(8),
    "float16": number(2), "float32": number(4), "float64": number(8),
    "complex64": number(8, 1j), "complex128": number(16, 1j),
    "bfloat16": Row("`bfloat16`", 0.5, 2, None, None),
    "category[cat,dog]": Row("Categories", "dog", 2, None, b"\2\0", "a category of 2 names has no number 2"),
    "datetime64[s]": Row("Times", np.datetime64(0, "s"), 8, None, None),
    "datetime64[s,UTC]": Row("Times", np.datetime64(0, "s"), 8, None, None),
    "timedelta64[s]": Row("Times", np.timedelta64(5, "s"), 8, None, None),
    "str": Row("`str`, `bytes`, `json`", "été", 12, 5, b"\xff", "not str"),
    "bytes": Row("`str`, `bytes`, `json`", b"abc", 12, 3, None),
    "json": Row("`str`, `bytes`, `json`", [1, "é"], 12, 8, b"{", "not json"),
    "float32[3,4]": Row("Arrays", np.zeros((3, 4)), 12, 48, bytes(5), "does not take 5 bytes"),
    "float32[*,4]": Row("Arrays", np.zeros((3, 4)), 12, 8 + 48, bytes(5), "takes more than 5 bytes"),
    "array": Row("Arrays", np.zeros((3, 4), "f4"), 12, 32 + 48, bytes(5), "takes more than 5 bytes"),
    "jpeg": picture("red.jpg", b"GIF89a", "a GIF image, not JPEG"),
    "png": picture("red.png", b"\xff\xd8\xff", "a JPEG image, not PNG"),
    "webp": picture("red.webp", b"text", "not WEBP"),
    "image": picture("red.gif", b"text", "not an image of a known format"),
    "list[int16]": Row("Lists", [1, 2, 3], 12, 8 + 6, bytes(5), "does not take 5 bytes"),
    "list[int16?]": Row("Lists", [1, None, 3], 12, 8 + 6 + 3, bytes(5), "does not take 5 bytes"),
    "list[str]": Row("Lists", ["a", "b"], 12, 8 + 2 * (8 + 8), bytes(5), "does not fit into 5 bytes"),
    "{x:float32,name:str}": Row("Structs", {"x": 1, "name": "a"}, 12, 8 + 8 + 8, bytes(5), "does not fit into 5"),
    "list[{box:float32[4],label:int32}]": Row(
        "Structs", [{"box": [0, 0, 1, 1], "label": 1}] * 3, 12, (8 + 8 + 48) + (8 + 8 + 12 + 4), bytes(5), "does not fit into 5"
    ),
    "map[int16]": Row("Maps", {"a": 1, "b": 2}, 12, (8 + 8) + (8 + 2 * (8 + 8)) + (8 + 4 + 4), bytes(5), "does not fit into 5"),
    "file": Row("`file`", dsrecords.StoredFile(b"abc", ".txt"), 12, 8 + 8 + 8 + 8, bytes(5), "does not fit into 5"),
    "video": Row("`video`", make_golden.picture("three.mp4"), 12, 930, b"text", "not MP4, MOV"),
    "zstd(str,dict=0)": Row("`zstd(T)`", "a" * 1000, 12, 18, b"text", "not zstd"),
    "zstd(str)": Row("`zstd(T)`", "a" * 1000, 12, 18, b"text", "not zstd"),
    "msgpack": Row("`msgpack`, `protobuf[…]`", {"a": 1}, 12, 4, b"\xc1", "not msgpack"),
    MESSAGE: Row("`msgpack`, `protobuf[…]`", timestamp_pb2.Timestamp(seconds=5), 12, 2, None),  # bytes, until a class is given
    "audio": Row("`audio`", (np.zeros(4, np.int16), 8000), 12, 52, b"text", "not WAV, FLAC"),
    "ext(golden.own)": Row("A type of your own", "abc", 12, 3, b"\xff", "ext.* cannot be decoded here"),
    CUSTOM: Row("Your own", "abc", 12, 3, None),  # its own function's to judge
}  # fmt: skip


@pytest.fixture(autouse=True)
def known():
    dsrecords.register_type("golden.own", make_golden.reverse, make_golden.back)


def entry(kind):
    """What stands for a type in a schema that is written with."""
    return make_golden.reverse if kind == CUSTOM else kind


def forms_of(kind):
    """Each form that is found in a type: of which class, and what else tells it from others."""
    name = kind.name.rstrip("?")
    word = (
        re.match(r"\w*", name)[0] if not hasattr(kind, "shape") else "*" if kind.free else "fixed"
    )
    if isinstance(kind, _types.Zstd):
        word = "zstd with a dictionary" if kind.size else "zstd"
    if type(kind).__name__ == "List":
        word = "payloads" if not kind.item.code else "scalars?" if kind.item.nullable else "scalars"
    return {(type(kind).__name__, word)}.union(*map(forms_of, parts_of(kind)))


def parts_of(kind):
    several = getattr(kind, "parts", {}).values()
    return [
        getattr(kind, key) for key in ("item", "inner", "row_type") if hasattr(kind, key)
    ] + list(several)


def form(kind):
    (found,) = forms_of(kind).difference(*map(forms_of, parts_of(kind)))
    return found


BASES = {"Type", "Scalar", "File", "Nested"}  # of others, and none themselves
LATER = {"Unknown"}  # what stands for a type of a later version
FORMS = {form(_types.parse(kind)) for kind in TYPES}


def test_the_table_has_every_type_that_there_is():
    def below(cls):
        return {cls}.union(*map(below, cls.__subclasses__()))

    # Those of MDS are read in place, and stand in no schema.
    own = [
        cls
        for cls in below(_values.Type)
        if cls.__module__.startswith("dsrecords.")
        and not cls.__module__.startswith("dsrecords._mds.")
    ]
    # Those of one module alone are no types of fields.
    names = {cls.__name__ for cls in own if not cls.__name__.startswith("_")}
    classes = names - BASES - LATER
    assert {cls for cls, _ in FORMS} == classes
    assert _types._WORDS.keys() <= TYPES.keys()
    begun = {re.sub(r"(?s)^(\w+)([\[(]).*(.)$", r"\1\2\3", kind) for kind in TYPES}
    assert begun >= _types._WITH_ARGUMENTS.keys()


@pytest.mark.parametrize("kind", TYPES)
def test_the_page_has_a_section_with_an_example(kind):
    _, heading, rest = re.split(rf"(?m)^(##+ {re.escape(TYPES[kind].section)})$", PAGE)
    section = re.split(r"(?m)^##+ ", rest)[0]
    assert "```python" in section, heading
    word = (
        re.match(r"\W*(\w+)", kind)[1]
        if kind not in ("ext(golden.own)", CUSTOM, "{x:float32,name:str}")
        else ""
    )
    assert word in section


@pytest.mark.parametrize("found", sorted(FORMS), ids=" ".join)
def test_a_golden_file_has_it(found, there):
    assert found in there


@pytest.fixture(scope="module")
def there():
    schemas = [dsrecords.open(path).schema for path in make_golden.GOLDEN.glob("*.rec")]
    kinds = [
        kind
        for schema in schemas
        for kind in (schema.values() if isinstance(schema, dict) else schema)
    ]
    return set().union(*(forms_of(_types.parse(kind)) for kind in kinds))


def test_the_round_trips_of_many_values_have_it():
    assert FORMS - set().union(*(forms_of(_types.parse(kind)) for kind in KINDS)) == {
        ("Custom", "custom")
    }  # which is below


@pytest.mark.parametrize("kind", TYPES)
def test_bytes_that_are_not_of_the_type_are_corrupt(tmp_path, kind):
    row = TYPES[kind]
    if row.wrong is None:
        return
    place = {"at": 16} if row.payload is None else {"payload": 0}
    log = by_hand.Log(
        {
            "fields": [{"name": "x", "type": kind, **place}],
            "head": 24 if row.payload is None else 32,
        }
    )
    log.record(row.wrong) if row.payload is None else log.record(payloads=[row.wrong])
    (tmp_path / "a.rec").write_bytes(log.data)
    error = DecodeError if "decoded" in row.message else CorruptError
    with pytest.raises(error, match=f"record 0, field 'x', byte .*{row.message}"):
        dsrecords.open(tmp_path / "a.rec")[0]


@pytest.mark.parametrize("kind", TYPES)
def test_cost_in_bytes(tmp_path, kind):
    row = TYPES[kind]

    def grow_by(schema, sample):
        path, index_path = make_dataset([], tmp_path / "a.rec", schema, overwrite=True)
        before = os.path.getsize(path), os.path.getsize(index_path)
        with dsrecords.IndexedRecordDataset(path, serializers=schema) as ds:
            ds.append(sample)
        return os.path.getsize(path) - before[0], os.path.getsize(index_path) - before[1]

    def rounded(size):
        return -(-size // 8) * 8

    def row_size(head):
        return 16 if row.payload is None else 8 + head  # where there is a payload, of the head too

    payload = 0 if row.payload is None else rounded(row.payload)
    head = rounded(16 + row.head)
    assert grow_by([entry(kind)], [row.value]) == (head + payload, row_size(head))
    # Behind 8 bytes that leave no room, the head of a number that may be None has a byte more; a payload's has not.
    if kind != CUSTOM:
        maybe = rounded(16 + 8 + row.head + (row.payload is None))
        of_index = row_size(maybe)
        assert grow_by(["int64", f"{kind}?"], [1, row.value]) == (maybe + payload, of_index)
        assert grow_by(["int64", f"{kind}?"], [1, None]) == (maybe, of_index)


@settings(max_examples=10, deadline=None)
@given(texts=st.lists(st.text(), max_size=5))
def test_round_trip_of_what_functions_of_ones_own_write(texts):
    with tempfile.TemporaryDirectory() as folder:
        path, _ = make_dataset(
            [(text,) for text in texts], f"{folder}/a.rec", [make_golden.reverse]
        )
        for copy in (True, False):
            ds = dsrecords.IndexedRecordDataset(path, [make_golden.back], copy=copy)
            assert list(ds) == [(text,) for text in texts]
            assert ds.column(0) == texts


# Within each other


# A dictionary is of a whole field, so that a type which says one cannot be part of another.
ALONE = {
    kind: strategy
    for kind, strategy in KINDS.items()
    if not kind.endswith("?") and "dict=" not in kind
}


def within(kind):
    """A schema of all that can hold a type, and (what is given, what is to come back) of it."""
    one = ALONE[kind]
    parts = {"a": one, "b": optional(one)}
    fields = {
        "x": (kind, one),
        "maybe": (f"{kind}?", optional(one)),
        "list": (f"list[{kind}]", lists(one)),
        "some": (f"list[{kind}?]?", optional(lists(optional(one)))),
        "struct": (f"{{a:{kind},b:{kind}?}}", structs(**parts)),
        "table": (f"list[{{a:{kind},b:{kind}?}}]", lists(structs(**parts))),
        "deep": (
            f"list[{{s:{{a:{kind}}},t:list[{kind}]}}]",
            lists(structs(s=structs(a=one), t=lists(one))),
        ),
    }
    if "zstd" not in kind:
        fields["packed"] = (f"zstd(list[{{a:{kind},b:{kind}?}}])", lists(structs(**parts)))
        if not _types.parse(kind).code:
            fields["zstd"] = (f"zstd({kind})?", optional(one))
    return {name: field for name, (field, _) in fields.items()}, structs(
        **{name: each for name, (_, each) in fields.items()}
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ALONE)
@settings(max_examples=20 if IN_FULL else 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_round_trip_within_other_types(kind, data):
    schema, strategy = within(kind)
    pairs = data.draw(st.lists(strategy, min_size=1, max_size=2))
    rows = [back for _, back in pairs]
    with tempfile.TemporaryDirectory() as folder:
        path, _ = make_dataset([pairs[0][0]], f"{folder}/a.rec", schema)
        with dsrecords.open(path) as ds:
            ds.extend(given for given, _ in pairs[1:])
            assert_reads(ds, kind, rows)
        assert_reads(dsrecords.open(path, copy=False), kind, rows)
        with dsrecords.open(path) as ds:
            ds.compact()
            assert_reads(ds, kind, rows)
            ds.cast({"x": f"{kind}?"})
            rows = [{**row, "x": absent(row["x"])} for row in rows]
            assert_reads(ds, f"{kind}?", rows)
        assert_reads(dsrecords.open(path, copy=False, verify="always"), f"{kind}?", rows)


def assert_reads(ds, kind, rows):
    assert same([plain(row) for row in ds], rows)
    batch = ds.batch(slice(None))
    for name in rows[0]:
        values = [row[name] for row in rows]
        assert same([plain(ds[i, name]) for i in range(len(rows))], values), name
        wanted = column_of({"x": kind, "maybe": f"{kind.rstrip('?')}?"}.get(name, ""), values)
        assert same(plain(batch[name]), wanted), name
        assert same(plain(ds.column(name)), wanted), name
