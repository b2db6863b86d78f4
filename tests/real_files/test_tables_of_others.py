"""Tables of pandas, Arrow, Polars and NumPy, annotations and chats: every cell as these libraries have it."""

import datetime
import json

import numpy as np
import pytest
from conftest import large
from storing import back

import dsrecords
from dsrecords import SchemaError, infer_schema

pd = large("pandas")
pa = large("pyarrow")
pl = large("polars")
jnp = large("jax.numpy")
torch = large("torch")

pytestmark = [pytest.mark.large, pytest.mark.filterwarnings("ignore:the schema was guessed")]

ROWS = [
    {
        "n": 1,
        "x": 0.5,
        "s": "a",
        "flag": True,
        "when": datetime.datetime(2024, 1, 1, 12, 0, 0, 250),
    },
    {"n": -2, "x": -1.5, "s": "grün", "flag": False, "when": datetime.datetime(1969, 12, 31)},
    {"n": 2**40, "x": 2.0, "s": "", "flag": True, "when": datetime.datetime(2100, 2, 28, 23, 59)},
]
NAMES = list(ROWS[0])
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}


def structured():
    dtype = [("n", ">i8"), ("x", "<f8"), ("s", "<U4"), ("flag", "?"), ("when", "<M8[us]")]
    return np.array([tuple(row.values()) for row in ROWS], dtype)


def of_arrays():
    return {name: structured()[name] for name in NAMES}


def saved_archive(tmp_path):
    np.savez(tmp_path / "a.npz", **of_arrays())
    return np.load(tmp_path / "a.npz")


TABLES = {
    "pandas": lambda folder: pd.DataFrame(COLUMNS),
    "pandas, nullable": lambda folder: pd.DataFrame(COLUMNS).convert_dtypes(),
    "pandas, Arrow-backed": lambda folder: pd.DataFrame(COLUMNS).convert_dtypes(dtype_backend="pyarrow"),
    "pandas, an index of its own": lambda folder: pd.DataFrame(COLUMNS, index=[7, 3, 5]),
    "pandas, every second row": lambda folder: pd.DataFrame(COLUMNS).loc[[0, 0, 1, 1, 2]].iloc[::2].assign(**COLUMNS),
    "Arrow": lambda folder: pa.table(COLUMNS),
    "Arrow, in chunks": lambda folder: pa.concat_tables([pa.Table.from_pylist([row]) for row in ROWS]),
    "Arrow, a batch": lambda folder: pa.RecordBatch.from_pylist(ROWS),
    "Arrow, a reader": lambda folder: pa.table(COLUMNS).to_reader(),
    "Polars": lambda folder: pl.DataFrame(COLUMNS),
    "lists": lambda folder: COLUMNS,
    "arrays": lambda folder: of_arrays(),
    "a structured array": lambda folder: structured(),
    "an archive": saved_archive,
}  # fmt: skip


def plain(value):
    """Times as Python's, to compare; all else as it is."""
    if isinstance(value, np.datetime64):
        return value.astype("M8[us]").item()
    return value


def rows_of(path):
    return [{name: plain(value) for name, value in row.items()} for row in dsrecords.open(path)]


def exactly(rows, wanted):
    assert rows == wanted
    for row, wanted_row in zip(rows, wanted, strict=True):
        assert [type(value) for value in row.values()] == [
            type(value) for value in wanted_row.values()
        ]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_makes_a_dataset(tmp_path, name):
    path, _ = dsrecords.make_dataset(TABLES[name](tmp_path), tmp_path / "a.rec")
    exactly(rows_of(path), ROWS)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_extends_a_dataset(tmp_path, name):
    path, _ = dsrecords.make_dataset(ROWS, tmp_path / "a.rec")
    with dsrecords.open(path) as ds:
        ds.extend(TABLES[name](tmp_path))
    exactly(rows_of(path), ROWS + ROWS)


@pytest.mark.parametrize("name", TABLES)
def test_the_schema_of_a_table(tmp_path, name):
    schema = infer_schema(TABLES[name](tmp_path))
    assert list(schema) == NAMES
    kinds = {key: kind.rstrip("?") for key, kind in schema.items()}
    assert (kinds["n"], kinds["x"], kinds["s"], kinds["flag"]) == (
        "int64",
        "float64",
        "str",
        "bool",
    )
    assert kinds["when"].startswith("datetime64[")


GAPS = {"n": [1, None, 3], "x": [0.5, None, 2.0], "s": ["a", None, ""], "flag": [True, None, False]}
GAPPY = {
    "pandas": lambda: pd.DataFrame(GAPS).convert_dtypes(),
    "pandas, objects": lambda: pd.DataFrame(GAPS, dtype=object),
    "Arrow": lambda: pa.table(GAPS),
    "Polars": lambda: pl.DataFrame(GAPS),
    "lists": lambda: GAPS,
}


@pytest.mark.parametrize("name", GAPPY)
def test_gaps_in_a_table_are_none(tmp_path, name):
    path, _ = dsrecords.make_dataset(GAPPY[name](), tmp_path / "a.rec")
    wanted = [dict(zip(GAPS, values, strict=True)) for values in zip(*GAPS.values(), strict=True)]
    exactly(rows_of(path), wanted)


def test_times_of_a_table_with_gaps_and_zones(tmp_path):
    stamps = pd.to_datetime(["2024-01-01 12:00:00.123456789", None]).as_unit("ns")
    zoned = stamps.tz_localize("Europe/Oslo")
    frame = pd.DataFrame({"when": stamps, "zoned": zoned, "took": stamps - stamps[0]})
    for table in (frame, pa.Table.from_pandas(frame), pl.from_pandas(frame)):
        path, _ = dsrecords.make_dataset(table, tmp_path / "a.rec", overwrite=True)
        first, second = dsrecords.open(path)
        assert first["when"] == stamps[0].to_datetime64() and second["when"] is None
        assert second["zoned"] is None and second["took"] is None
        assert first["took"] == np.timedelta64(0, "ns")
        assert "UTC" in dsrecords.open(path).schema["zoned"]
        instant = pd.Timestamp(first["zoned"])
        if instant.tzinfo is None:  # NumPy's own times are UTC
            instant = instant.tz_localize("UTC")
        assert instant == zoned[0]


def test_categories_nested_lists_and_structs_of_a_table(tmp_path):
    nested = [[{"box": [0.5, 1.0], "name": "cat"}], []]
    table = pa.table(
        {
            "kind": pa.array(["cat", "dog"]).dictionary_encode(),
            "ids": [[1, 2], []],
            "objects": nested,
            "blob": [b"\0", b""],
        }
    )
    path, _ = dsrecords.make_dataset(table, tmp_path / "a.rec")
    for row, wanted in zip(dsrecords.open(path), table.to_pylist(), strict=True):
        assert row["kind"] == wanted["kind"] and row["blob"] == wanted["blob"]
        assert list(row["ids"]) == wanted["ids"]
        assert json.loads(json.dumps(row["objects"], default=list)) == wanted["objects"]


def test_a_column_that_no_type_holds_is_named():
    for frame in (
        pd.DataFrame({"a": [1], "p": [pd.Period("2024-01")]}),
        pd.DataFrame({"a": [1], "p": [{1, 2}]}),
    ):
        with pytest.raises(SchemaError, match="'p'"):
            infer_schema(frame)


def test_columns_of_two_names_or_lengths_are_refused(tmp_path):
    doubled = pd.DataFrame([[1, 2]], columns=["a", "a"])
    for table in (doubled, {"a": [1, 2], "b": [1]}, pa.table([[1], [2]], names=["a", "a"])):
        with pytest.raises(SchemaError):
            dsrecords.make_dataset(table, tmp_path / "a.rec")


# Annotations and chats


COCO = {
    "info": {"year": 2024, "description": "made in a test"},
    "images": [{"id": i, "file_name": f"{i:012}.jpg", "height": 480, "width": 640} for i in range(3)],
    "annotations": [
        {"id": 10 * i + k, "image_id": i, "category_id": k, "bbox": [0.5, 1.25, 10.0 + k, 20.0], "area": 10.5, "iscrowd": 0, "segmentation": [[1.5, 2.0, 3.0, 4.0, 5.0, 6.5]] * k}
        for i in range(3)
        for k in range(i)
    ],
    "categories": [{"id": 0, "name": "cat", "supercategory": "animal"}, {"id": 1, "name": "dog", "supercategory": "animal"}],
}  # fmt: skip
OBJECT = "{id:int64,image_id:int64,category_id:int64,bbox:float64[4],area:float64,iscrowd:int64,segmentation:list[list[float64]]}"


def listed(value):
    """Arrays as lists, to compare with what JSON has."""
    return json.loads(json.dumps(value, default=lambda array: array.tolist()))


@pytest.mark.parametrize("kind", ["json", "msgpack", "zstd(json)"])
def test_coco_as_one_value(tmp_path, kind):
    assert back(tmp_path, kind, COCO) == COCO


def test_coco_image_by_image(tmp_path):
    samples = [
        {**image, "objects": [a for a in COCO["annotations"] if a["image_id"] == image["id"]]}
        for image in COCO["images"]
    ]
    schema = {
        "id": "int64",
        "file_name": "str",
        "height": "int32",
        "width": "int32",
        "objects": f"list[{OBJECT}]",
    }
    stated, _ = dsrecords.make_dataset(samples, tmp_path / "a.rec", schema)
    guessed, _ = dsrecords.make_dataset(samples, tmp_path / "b.rec")
    for path in (stated, guessed):
        assert listed(list(dsrecords.open(path))) == samples


CHATS = [
    {"messages": [{"role": "user", "content": "Hello\n\u2028 \U0001f600"}, {"role": "assistant", "content": "Hi!"}], "source": "a"},
    {"messages": [], "source": None},
    {"messages": [{"role": "tool", "content": '{"x": 1}'}], "source": "b"},
]  # fmt: skip


@pytest.mark.parametrize("schema", [None, {"messages": "list[{role:category[user,assistant,tool],content:str}]", "source": "str?"}, {"messages": "json", "source": "json"}, {"messages": "msgpack", "source": "msgpack"}])  # fmt: skip
def test_chats(tmp_path, schema):
    path, _ = dsrecords.make_dataset(CHATS, tmp_path / "a.rec", schema)
    assert list(dsrecords.open(path)) == CHATS


def test_keys_that_some_chats_lack(tmp_path):
    chats = [{"a": 1}, {"a": 2, "b": "x"}, {"a": 3, "nested": [{"k": 1}, {"k": 2, "l": 0.5}]}]
    path, _ = dsrecords.make_dataset(chats, tmp_path / "a.rec")
    got = list(dsrecords.open(path))
    for row, wanted in zip(got, chats, strict=True):
        assert {key: row[key] for key in wanted if key != "nested"} == {
            key: wanted[key] for key in wanted if key != "nested"
        }
        assert all(row[key] is None for key in row.keys() - wanted.keys())
    without_none = [{k: v for k, v in item.items() if v is not None} for item in got[2]["nested"]]
    assert without_none == chats[2]["nested"]


# Tensors as samples


@pytest.mark.parametrize("tensor", [torch.tensor, jnp.asarray, np.asarray])
def test_samples_of_tensors(tmp_path, tensor):
    samples = [{"x": tensor(np.full((2, 3), i, "f4")), "label": tensor(np.int32(i)), "ok": tensor(np.bool_(i % 2))} for i in range(4)]  # fmt: skip
    path, _ = dsrecords.make_dataset(samples, tmp_path / "a.rec")
    ds = dsrecords.open(path)
    assert ds.column("label").tolist() == [0, 1, 2, 3]
    assert [row["ok"] for row in ds] == [False, True, False, True]
    assert ds.column("x").dtype == np.float32 and ds.column("x")[:, 1, 2].tolist() == [0, 1, 2, 3]
