"""Schemas: how types are named, what a schema may be, and what its fields are called."""

import functools

import numpy as np
import pytest

import dsrecords
from dsrecords import IndexedRecordDataset, SchemaError, io, make_dataset

SCALARS = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
)  # fmt: skip


@pytest.fixture
def schema_of(tmp_path):
    """The schema that a dataset made with this one has, when it is opened again."""

    def schema_of(schema):
        path, _ = make_dataset([], tmp_path / "schema.rec", schema, overwrite=True)
        return dsrecords.open(path).schema

    return schema_of


NAMES = [
    *SCALARS, "str", "bytes", "json", "array", "jpeg", "png", "webp", "image", "float32[3,224,224]", "float32[*,4]", "bool[0]",
    "list[int8]", "list[str?]", "list[list[float32[*]]]", "list[png]?", "int64?", "json?", "uint8[*]?", "custom(my_function)",
    "custom(<lambda>)", "custom(odd]?)?", "bfloat16", "bfloat16[*,2]", "datetime64[s]", "timedelta64[ns]?", "datetime64[D][3]",
    "category[cat,dog]",
    'category["traffic light","a,b]",\u00e9,1]', "msgpack", "audio", "video?", "file", "map[list[int8]?]?", "protobuf[package.Message]", "ext(lab.point)", "zstd(str)",
    "zstd(json,level=19)?", "zstd(list[str?],dict=0)", "zstd(str,level=1,dict=4096)", "list[zstd(bytes)]",
    "list[{box:float32[4],label:int32,name:str?}]", "{a:{b:int8?,\"c d\":str}?}", "list[{a:int8}?]",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_name_of_a_type_is_kept(schema_of, name):
    assert schema_of({"x": name}) == {"x": name}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" int8 ", "int8"), ("float32[ 3, * ]", "float32[3,*]"), ("uint8[007]", "uint8[7]"), ("list[ str ]", "list[str]"),
        ("{ a : int8 , b: list[ str ] }?", "{a:int8,b:list[str]}?"),
        ('category[ "cat", traffic light ]', 'category[cat,"traffic light"]'),
        ("zstd( str , level = 3 )", "zstd(str)"), ("zstd(str, dict=0, level=9)", "zstd(str,level=9,dict=0)"),
        ("msgpack ?", "msgpack?"),
        ({"a": "int8", "b c": ["str ?"]}, '{a:int8,"b c":list[str?]}'), ([{"box": "float32[4]"}], "list[{box:float32[4]}]"),
        ([["int8"]], "list[list[int8]]"), ("int8 ?", "int8?"), ("list[ int8? ] ?", "list[int8?]?"),
    ],
)  # fmt: skip
def test_spaces_and_zeros_in_names_are_dropped(schema_of, given, kept):
    assert schema_of([given]) == [kept]


UNKNOWN = [
    "", "int", "float", "int24", "float128", "complex32", "object", "Int8", "int8[", "int8[]", "int8[-1]", "int8[3,]", "int8[a]",
    "int8[1.5]", "str[3]", "array[3]", "list", "list[]", "list[int]", "list[int8", "?", "int8??", "list[int8]??", "list[int8??]",
    "png[3]", "string", "jpg", "double", "custom", "zstd", "int8,int8", "int8[3]]", "uint8[99999999999999999999]",
    "uint8[4000000000,4000000000]", "{}", "{a}", "{a:int8,a:int8}", "{a:int8", "{:int8}", "{a:int8,}", "{a:int8:int8}", "{a b c:",
    "category[]", "category[a,a]", "category[a,]", 'category["a]', 'category["a\\u0000"]', 'category["\\ud800"]',
    'category["' + "a" * 256 + '"]',
    "category", "category[a][3]", "datetime64", "datetime64[]", "datetime64[x]", "datetime64[2s]", "timedelta64[s", "protobuf[]",
    "protobuf[a b]", "ext()", "ext(a b)", "point", "zstd()", "zstd(int8)", "zstd(str?)", "zstd(str,level=0)",
    "zstd(str,level=23)",
    "zstd(str,dict=5)", "zstd(str,dict=9999999)", "zstd(str,size=5)", "zstd(str,5)", "list[zstd(str,dict=1000)]",
    "uint8" + "[1" + ",1" * 100 + "]", "list[" * 300 + "int8" + "]" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_name_that_is_no_type_is_refused_and_the_field_named(tmp_path, name):
    path = tmp_path / "a.rec"
    with pytest.raises(SchemaError, match=r"^field 'x': ") as caught:
        make_dataset([], path, {"ok": "int8", "x": name})
    assert caught.value.field == "x"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "entry", [None, 5, b"int8", [5], {"a": None}, bytes, object, print.__class__]
)
def test_what_is_no_name_is_refused(tmp_path, entry):
    with pytest.raises(SchemaError, match="field 'x': a type must be a string"):
        make_dataset([], tmp_path / "a.rec", {"x": entry})


@pytest.mark.parametrize(
    ("entry", "say"),
    [
        (int, "int32 or int64"), (float, "float32 or float64"), ("int", "int32 or int64"), ("jpg", "jpeg"),
        ("flaot32", "float32"), ("Int64", "int64"), ("Image", "image"), ("tensor", "array"),
        ("list", r"list\[T\]"), ("list[int]", "int32 or int64"), ("List[int]", r"list\[T\]"),
        ("float32[None,4]", r"float32\[\*,4\]"), ("uint8[-1]", r"uint8\[\*\]"), ("int64[n]", r"int64\[\*\]"), ("int64[]", r"int64\[\*\]"), ("datetime64", r"datetime64\[us\]"),
        ("category", r"category\[cat,dog\]"), ("wav", "audio"), ("mp4", "video"), ("pdf", "file"), ("bf16", "bfloat16"),
        (str, "str"), (dict, "json"), (np.float32, "float32"), (np.dtype("uint8"), "uint8"), (np.ndarray, "array"),
    ],
)  # fmt: skip
def test_message_says_which_type_is_meant(tmp_path, entry, say):
    with pytest.raises(SchemaError, match=f"; did you mean {say}[^T]*$"):
        make_dataset([], tmp_path / "a.rec", [entry])


def test_keys_of_maps_have_no_type(tmp_path):
    with pytest.raises(SchemaError, match=r"keys of a map are strings, .* map\[T\]"):
        make_dataset([], tmp_path / "a.rec", {"x": "map[str,int64]"})


@pytest.mark.parametrize("name", ["", "what", "int128", "float32(3)", "float32[3", "dict[str,int]"])
def test_message_lists_the_types_where_it_cannot_tell(tmp_path, name):
    with pytest.raises(SchemaError) as caught:
        make_dataset([], tmp_path / "a.rec", [name])
    for name in (*SCALARS, "str", "bytes", "json", "array", "jpeg", "list[T]", "T?"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        "int8",
        b"int8",
        5,
        {"int8"},
        iter(["int8"]),
        {},
        [],
        {"": "int8"},
        {5: "int8"},
        {("a",): "int8"},
    ],
)
def test_schema_is_a_dict_of_names_or_a_list(tmp_path, schema):
    with pytest.raises(SchemaError):
        make_dataset([], tmp_path / "a.rec", schema)
    assert list(tmp_path.iterdir()) == []


def test_schema_may_be_a_tuple(schema_of):
    assert schema_of(("int8", "str")) == ["int8", "str"]


def test_names_may_be_any_text(tmp_path):
    names = ["a b", "é\U0001f600", "0", " ", "\0", "fields", "x" * 500]
    path, _ = make_dataset(
        [dict.fromkeys(names, 1)], tmp_path / "a.rec", dict.fromkeys(names, "int8")
    )
    assert list(dsrecords.open(path)[0]) == names
    assert dsrecords.open(path).fields == tuple(names)


def test_name_that_is_no_unicode_is_refused(tmp_path):
    with pytest.raises(SchemaError):
        make_dataset([], tmp_path / "a.rec", {"\ud800": "int8"})
    assert list(tmp_path.iterdir()) == []


def test_4096_fields_are_allowed_and_one_more_is_not(tmp_path):
    path, _ = make_dataset(
        [], tmp_path / "a.rec", [kind for _ in range(2048) for kind in ("bool?", "str")]
    )
    with dsrecords.open(path) as ds:
        ds.append([value for i in range(2048) for value in (None if i % 3 else True, str(i))])
        ds.extend_columns([column for i in range(2048) for column in ([i % 2 == 0], [str(i)])])
    ds = dsrecords.open(path)
    assert ds[0][:4] == (True, "0", None, "1")
    assert ds[1, [0, 4095]] == (True, "2047")
    assert ds.batch([0, 1], [4094])[0].tolist() == [None, False]
    with pytest.raises(SchemaError, match="4096"):
        make_dataset([], tmp_path / "b.rec", ["bool"] * 4097)


def test_fields_without_names_are_their_positions(tmp_path):
    path, _ = make_dataset([(1, "a"), (2, "b")], tmp_path / "a.rec", ["int8", "str"])
    ds = dsrecords.open(path)
    assert ds.fields == (0, 1)
    assert ds[1] == (2, "b")
    assert ds[1, 1] == ds[1, -1] == "b"
    assert ds[1, [1, 0]] == ("b", 2)
    assert ds.column(0).tolist() == [1, 2]


@pytest.mark.parametrize("field", ["y", "", 0, -1])
def test_unknown_field_is_named_with_those_that_there_are(tmp_path, field):
    path, _ = make_dataset([{"x": 1}], tmp_path / "a.rec", {"x": "int8"})
    ds = dsrecords.open(path)
    with pytest.raises(SchemaError, match=r"no field .*'x'"):
        ds[0, field]
    with pytest.raises(SchemaError, match=r"no field .*'x'"):
        ds.column(field)


@pytest.mark.parametrize("field", [2, -3, "0", None])
def test_unknown_position_is_named(tmp_path, field):
    path, _ = make_dataset([(1, 2)], tmp_path / "a.rec", ["int8", "int8"])
    with pytest.raises(SchemaError, match="no field"):
        dsrecords.open(path).column(field)


def custom(value):
    return bytes(value)


FUNCTIONS = {
    "bool": io.save_bool, "int32": io.save_int, "uint8": io.save_int(bits=8, signed=False), "int64": io.save_int(bits=64),
    "float32": io.save_float, "float16": io.save_float(bits=16), "str": io.save_str, "bytes": io.identity, "array": io.save_np,
    "jpeg": io.save_pil, "png": io.save_pil(format="PNG"), "webp": io.save_pil(format="webp", quality=50),
    "image": io.save_pil(format="TIFF"), "list[int32]": io.save_list(save_fn=io.save_int),
    "list[list[str]]": io.save_list(save_fn=io.save_list(save_fn=io.save_str)), "custom(custom)": custom,
    "custom(<lambda>)": lambda value: custom(value), "custom(save_list)": io.save_list(save_fn=custom),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_stands_for_its_type(schema_of, name):
    if name == "custom(save_list)":
        assert schema_of([FUNCTIONS[name]])[0].startswith("custom(")
    else:
        assert schema_of([FUNCTIONS[name]]) == [name]


def test_partial_of_a_function_has_its_name(schema_of):
    assert schema_of([functools.partial(custom)]) == ["custom(custom)"]


def test_object_that_can_be_called_has_the_name_of_its_class(schema_of):
    class Shout:
        def __call__(self, value):
            return value.upper().encode()

    assert schema_of([Shout()]) == ["custom(Shout)"]


def test_function_of_an_absurd_name_is_known_by_the_beginning_of_it(schema_of):
    def function(value):
        return value

    function.__name__ = "f" * 2000
    (name,) = schema_of([function])
    assert name.startswith("custom(fff")
    assert len(name) <= 1000


def test_deserializer_in_the_place_of_a_serializer_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="load_int is a deserializer"):
        make_dataset([], tmp_path / "a.rec", [io.load_int])


@pytest.mark.parametrize(
    "metadata",
    [
        [1],
        "text",
        5,
        {"a": {1, 2}},
        {"a": float("nan")},
        {"a": b""},
        {"1": 1, 1: 2},
        {"a": "\ud800"},
    ],
)
def test_metadata_that_are_no_json_object_are_refused(tmp_path, metadata):
    with pytest.raises(SchemaError, match="metadata"):
        make_dataset([], tmp_path / "a.rec", ["int8"], metadata=metadata)
    assert list(tmp_path.iterdir()) == []


def test_metadata_larger_than_a_header_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="metadata take"):
        make_dataset([], tmp_path / "a.rec", ["int8"], metadata={"a": "x" * 2**24})
    assert list(tmp_path.iterdir()) == []


def test_metadata_come_back(tmp_path):
    metadata = {"classes": ["cat", "dog"], "é": {"mean": [0.5, 1e-300], "n": 2**70, "none": None}}
    path, _ = make_dataset([], tmp_path / "a.rec", ["int8"], metadata=metadata)
    assert dsrecords.open(path).metadata == metadata


DIFFERENT = {
    "another type": {"x": "int16", "y": "str"},
    "a ?": {"x": "int8?", "y": "str"},
    "another order": {"y": "str", "x": "int8"},
    "another name": {"x": "int8", "z": "str"},
    "a field less": {"x": "int8"},
    "a field more": {"x": "int8", "y": "str", "z": "str"},
    "no names": ["int8", "str"],
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_schema_that_is_not_that_of_the_file_is_refused_with(tmp_path, case):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "int8", "y": "str"})
    with pytest.raises(SchemaError, match="the schema given is not that of the file"):
        IndexedRecordDataset(path, schema=DIFFERENT[case])


def test_schema_of_the_file_may_be_given(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "int32", "y": "str"})
    ds = IndexedRecordDataset(path, schema={"x": io.save_int, "y": " str "})
    ds.append({"x": 1, "y": "a"})
    assert ds[0] == {"x": 1, "y": "a"}
    ds.close()
