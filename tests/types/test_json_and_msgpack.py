"""`json` and `msgpack`: what is accepted can be read again, equal; the rest is refused, and the part that is to blame is named."""

import collections
import datetime
import enum
import math

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrecords import SchemaError
from dsrecords._types.parse import parse

KEYS = (
    st.text(max_size=2)
    | st.integers(-2, 2)
    | st.integers()
    | st.booleans()
    | st.none()
    | st.floats(-2, 2)
    | st.sampled_from([math.nan, 1.0, "1", "1.0", "null", "true", b"1", (1, 2), np.int8(1), np.str_("1")])
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=3)
    | st.sampled_from(["\ud800", 2**63, 2**64, -(2**63) - 1, {1}, 1j, datetime.date(2026, 1, 1)])
    | st.sampled_from([np.float32(0.1), np.float64(-0.0), np.int16(3), np.bool_(True), np.float16("nan")])
    | st.sampled_from([np.zeros(2), np.datetime64(1, "s"), np.longdouble(1), np.complex64(1)]),
    lambda inner: st.lists(inner, max_size=3)
    | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def normal(value):
    """What can be compared, type by type: NumPy's scalars as Python's, tuples as lists, floats by their digits."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [normal(item) for item in value]
    if isinstance(value, dict):
        return [(normal(key), normal(item)) for key, item in value.items()]
    return type(value).__name__, repr(value)


@pytest.mark.parametrize("kind", ["json", "msgpack"])
@given(value=VALUES)
def test_what_is_accepted_can_be_read_again_and_is_equal(kind, value):
    type_of_field = parse(kind)
    try:
        data = type_of_field.dump(value)
    except SchemaError:
        return
    assert normal(type_of_field.load(memoryview(data), True)) == normal(value)


class Number(enum.IntEnum):
    ONE = 1


class Word(str, enum.Enum):
    ONE = "one"


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def itself():
    value = {}
    value["a"] = [value]
    return value


TAKEN = {
    "scalars of NumPy": ("json", [np.float32(0.5), np.int64(5), np.bool_(True)], [0.5, 5, True]),
    "NumPy in MessagePack": ("msgpack", {np.int64(5): np.uint64(2**64 - 1)}, {5: 2**64 - 1}),
    "a string of NumPy": ("json", {np.str_("a"): np.str_("b")}, {"a": "b"}),
    "enumerations": ("json", {Word.ONE: [Number.ONE, Word.ONE]}, {"one": [1, "one"]}),
    "dicts of other classes": ("json", collections.OrderedDict(a=collections.Counter("b")), {"a": {"b": 1}}),
    "integers of any size": ("json", [2**200], [2**200]),
    "keys of several types": ("msgpack", {1: "a", "1": "b", b"1": "c", None: "d"}, {1: "a", "1": "b", b"1": "c", None: "d"}),
    "bytes of other classes": ("msgpack", [bytearray(b"a"), memoryview(b"b")], [b"a", b"b"]),
    "extensions": ("msgpack", [msgpack.ExtType(5, b"x"), msgpack.Timestamp(5, 3)], [msgpack.ExtType(5, b"x"), msgpack.Timestamp(5, 3)]),
    "400 lists in each other": ("json", nested(400), nested(400)),
    "NaN": ("msgpack", {"a": [-math.inf]}, {"a": [-math.inf]}),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_value_is_taken(case):
    kind, value, wanted = TAKEN[case]
    data = parse(kind).dump(value)
    assert normal(parse(kind).load(memoryview(data), True)) == normal(wanted)


NOW = datetime.datetime.now(datetime.timezone.utc)
REFUSED = {
    "keys that fall together": ("json", {"1": "uno", 1: "one"}, "^keys of json are strings, not an int .1.$"),
    "a key that is no string": ("json", {"a": [0, {True: 1}]}, r"^\['a'\]\[1\]: keys of json are strings, not a bool"),
    "None as a key": ("json", {None: 1}, "keys of json are strings, not None"),
    "a tuple as a key": ("msgpack", {"a": {(1, 2): 3}}, r"^\['a'\]: keys of msgpack are .*, not a tuple of 2$"),
    "NaN as a key": ("msgpack", {math.nan: 3}, "but not NaN, not a float"),
    "NaN": ("json", {"a": [1, math.nan]}, r"^\['a'\]\[1\]: json does not hold a float \(nan\)"),
    "infinity of NumPy": ("json", [np.float32("inf")], r"^\[0\]: json does not hold a float32"),
    "an array": ("json", {"a": np.zeros(3)}, r"^\['a'\]: json does not hold an array of float64 .*; give array.tolist\(\)"),
    "an array in MessagePack": ("msgpack", [np.zeros(())], "give array.tolist"),
    "bytes": ("json", {"a": b"b"}, "does not hold bytes .*; msgpack does"),
    "a set": ("json", [{1}], "a set of 1: .*; give a list"),
    "a time": ("msgpack", {"a": NOW}, "a datetime: .*; give a string, or use a field of type datetime64"),
    "a duration": ("json", [np.timedelta64(5, "ns")], r"^\[0\]: json does not hold a timedelta64 .*; give a number, or use a field of type timedelta64"),
    "a duration in MessagePack": ("msgpack", {"a": np.timedelta64(5, "Y")}, r"^\['a'\]: msgpack does not hold a timedelta64"),
    "bytes with gaps": ("msgpack", [memoryview(b"abcd")[::2]], r"^\[0\]: msgpack does not hold a memoryview of 2: .*contiguous"),
    "half of a surrogate pair": ("json", {"a": "\ud800"}, r"^\['a'\]: json does not hold a str .*surrogates"),
    "65 bits": ("msgpack", {"a": [2**64]}, r"^\['a'\]\[0\]: msgpack does not hold an int .*more than 64 bits"),
    "more digits than Python reads": ("json", [10**5000], r"^\[0\]: json does not hold an int: .*4300 digits"),
    "what contains itself": ("json", itself(), "json does not hold a dict of 1: Circular reference"),
    "what contains itself in MessagePack": ("msgpack", itself(), "msgpack does not hold a dict of 1: recursion"),
    "100,000 lists in each other": ("json", nested(100_000), "json does not hold a list of 1: .*recursion"),
    "100,000 lists in MessagePack": ("msgpack", nested(100_000), "msgpack does not hold a list of 1: recursion"),
    "more digits than a float": ("json", [np.longdouble(1)], "does not hold a longdouble"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_value_is_refused_and_the_part_is_named(case):
    kind, value, message = REFUSED[case]
    with pytest.raises(SchemaError, match=message):
        parse(kind).dump(value)
