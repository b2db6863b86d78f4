"""A dataset as a stream of Arrow, and as tables of the packages that take one."""

import io
import itertools
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import flip, large
from PIL import Image
from test_documents import ROOT, blocks_of

import dsrecords
from dsrecords import CorruptError, SchemaError, make_dataset
from dsrecords._arrow import base
from dsrecords._arrow.forms import form_of
from dsrecords._export import stream
from dsrecords._types.unknown import Unknown

pa = large("pyarrow")
pq = large("pyarrow.parquet")
pd = large("pandas")
pl = large("polars")
duckdb = large("duckdb")
datasets = large("datasets")

pytestmark = [pytest.mark.large, pytest.mark.filterwarnings("error")]


@pytest.fixture(autouse=True)
def _is_quiet(caplog):
    caplog.set_level(logging.ERROR)


def png(shade, size=(8, 6)):
    file = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def sample(i):
    return {
        "n": i,
        "score": i / 2 if i % 3 else None,
        "name": f"name {i}" * (i % 4),
        "photo": png(i % 256),
        "kind": ["cat", "dog"][i % 2],
    }


SCHEMA = {
    "n": "int64",
    "score": "float32?",
    "name": "str",
    "photo": "png",
    "kind": "category[cat,dog]",
}
METADATA = {"version": [1, {"by": "grün"}]}


@pytest.fixture
def ds(tmp_path):
    path, _ = make_dataset(
        [sample(i) for i in range(10)], tmp_path / "a.rec", SCHEMA, metadata=METADATA
    )
    return dsrecords.open(path)


def expected(ds):
    """What a table of a dataset has, as Python's values."""
    stored = dsrecords.open(ds.path, decode={"photo": "bytes"})
    return [stored[i] for i in range(len(stored))]


def test_packages_take_a_dataset_as_it_is(ds):
    wanted = expected(ds)
    assert pa.table(ds).to_pylist() == wanted
    assert pa.RecordBatchReader.from_stream(ds).read_all().to_pylist() == wanted
    assert ds.to_arrow().to_pylist() == wanted
    assert duckdb.sql("SELECT * FROM ds").to_arrow_table().to_pylist() == wanted
    assert duckdb.sql("SELECT sum(n) FROM ds WHERE kind = 'dog'").fetchall() == [
        (1 + 3 + 5 + 7 + 9,)
    ]
    assert ds.to_polars().to_dicts() == wanted
    frame = pd.DataFrame.from_arrow(ds)
    assert frame["n"].tolist() == [row["n"] for row in wanted]
    assert frame["photo"].tolist() == [row["photo"] for row in wanted]
    assert frame["kind"].tolist() == [row["kind"] for row in wanted]


def test_pandas_keeps_integers_that_are_missing(tmp_path):
    samples = [{"n": 2**62 + 1, "b": True}, {"n": None, "b": None}]
    path, _ = make_dataset(samples, tmp_path / "a.rec", {"n": "int64?", "b": "bool?"})
    frame = dsrecords.open(path).to_pandas()
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "boolean"]
    assert frame["n"][0] == 2**62 + 1 and frame["n"][1] is pd.NA


def test_nan_is_not_null(tmp_path):
    nan = float("nan")
    kinds = {
        "f": "float32?",
        "l": "list[float64?]",
        "s": "{x:float16?}",
        "a": "float32[2]",
        "c": "complex64?",
    }
    samples = [
        {"f": nan, "l": [nan, None], "s": {"x": nan}, "a": [nan, 1], "c": complex(nan, 1)},
        {"f": None, "l": [], "s": {"x": None}, "a": [1, 2], "c": None},
    ]
    path, _ = make_dataset(samples, tmp_path / "a.rec", kinds)
    found = repr(pa.table(dsrecords.open(path)).to_pylist())
    assert found == repr(
        [{**samples[0], "a": [nan, 1.0], "c": [nan, 1.0]}, {**samples[1], "a": [1.0, 2.0]}]
    )
    make_dataset(dsrecords.open(path).to_arrow(), tmp_path / "b.rec")
    assert repr(list(dsrecords.open(tmp_path / "b.rec"))) == repr(list(dsrecords.open(path)))


def test_a_type_of_a_later_version_is_its_bytes():
    form = form_of(Unknown("future[3]?", {}))
    assert form.arrow_type == pa.binary() and form.written() == "bytes"


def test_a_dataset_without_records_is_a_table_without_rows(tmp_path):
    path, _ = make_dataset(
        [], tmp_path / "a.rec", {**SCHEMA, "a": "array", "m": "map[{x:complex64[2]}]", "f": "file"}
    )
    ds = dsrecords.open(path)
    assert (
        ds.to_arrow().num_rows
        == len(ds.to_pandas())
        == len(ds.to_polars())
        == len(ds.to_huggingface())
        == 0
    )
    make_dataset(ds.to_arrow(), tmp_path / "b.rec")
    assert dsrecords.open(tmp_path / "b.rec").schema == ds.schema


def test_options_of_reading_do_not_count(ds):
    other = dsrecords.IndexedRecordDataset(
        ds.path,
        {"name": len},
        decode={"photo": "array", "kind": "number"},
        transform=lambda sample: 1 / 0,
        copy=False,
    )
    assert pa.table(other).equals(pa.table(ds), check_metadata=True)


class TestBatches:
    def batches(self, ds):
        return list(pa.RecordBatchReader.from_stream(ds))

    def test_have_so_many_records(self, tmp_path):
        path, _ = make_dataset({"n": np.arange(2 * 2**16 + 5)}, tmp_path / "a.rec")
        batches = self.batches(dsrecords.open(path))
        assert [batch.num_rows for batch in batches] == [2**16, 2**16, 5]
        assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(2 * 2**16 + 5))

    def test_have_so_many_bytes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(stream, "BATCH_BYTES", 1000)
        sizes = [10, 900, 50, 2000, 300, 300, 300, 0]
        path, _ = make_dataset(
            [(i, bytes(size)) for i, size in enumerate(sizes)],
            tmp_path / "a.rec",
            ["int64", "bytes"],
        )
        batches = self.batches(dsrecords.open(path))
        assert [batch.num_rows for batch in batches] == [3, 1, 4]
        assert [len(value) for batch in batches for value in batch["1"].to_pylist()] == sizes

    def test_are_read_when_they_are_asked_for(self, ds, monkeypatch):
        monkeypatch.setattr(stream, "BATCH", 3)
        flip(ds.path, Path(ds.path).read_bytes().index(png(7)) + 40)
        reader = pa.RecordBatchReader.from_stream(ds)
        assert [reader.read_next_batch().num_rows for _ in range(2)] == [3, 3]
        with pytest.raises(
            pa.ArrowInvalid, match="record 7, field 'photo'"
        ):  # in Arrow's own class
            reader.read_next_batch()

    def test_have_so_many_bytes_of_numbers(self, tmp_path, monkeypatch):
        monkeypatch.setattr(stream, "BATCH_BYTES", 1000)
        path, _ = make_dataset([tuple(range(50))] * 7, tmp_path / "a.rec", ["int64"] * 50)
        assert [batch.num_rows for batch in self.batches(dsrecords.open(path))] == [2, 2, 2, 1]

    def test_are_small_where_sizes_cannot_be_told(self, ds, monkeypatch):
        def raise_error(*arguments):
            raise CorruptError("a head is damaged")

        monkeypatch.setattr(stream, "payload_sizes", raise_error)
        monkeypatch.setattr(stream, "_SMALL_BATCH", 4)
        batches = self.batches(ds)
        assert [batch.num_rows for batch in batches] == [4, 4, 2]
        assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(10))

    def test_become_smaller_where_values_become_larger(self, tmp_path, monkeypatch):
        monkeypatch.setattr(stream, "BATCH_BYTES", 100_000)
        path, _ = make_dataset([("a" * 50_000,)] * 40, tmp_path / "a.rec", ["zstd(str, dict=0)"])
        rows = [batch.num_rows for batch in self.batches(dsrecords.open(path))]
        assert sum(rows) == 40
        assert rows[0] == 40  # all that are stored in few bytes
        monkeypatch.setattr(stream, "BATCH", 10)
        rows = [batch.num_rows for batch in self.batches(dsrecords.open(path))]
        assert rows[0] == 10 and max(rows[1:]) <= 3 and sum(rows) == 40

    def test_are_divided_where_arrow_cannot_hold_them(self, tmp_path, monkeypatch):
        monkeypatch.setattr(base, "_MOST_IN_A_LIST", 5)
        lists = [[1, 2], [3], [4, 5, 6], [], [7, 8]]
        path, _ = make_dataset(
            [(numbers,) for numbers in lists], tmp_path / "a.rec", ["list[int64]"]
        )
        batches = self.batches(dsrecords.open(path))
        assert [value for batch in batches for value in batch["0"].to_pylist()] == lists
        assert len(batches) > 1
        dsrecords.open(path).extend([([0] * 6,)])
        with pytest.raises(SchemaError, match=r"record 5: .*ds\.select_fields"):
            dsrecords.open(path).to_arrow()

    def test_show_the_list_of_the_moment_when_they_were_asked_for(self, ds):
        reader = pa.RecordBatchReader.from_stream(ds)
        ds.append(sample(10))
        del ds[0]
        assert reader.read_all()["n"].to_pylist() == list(range(10))
        assert pa.table(ds)["n"].to_pylist() == list(range(1, 11))
        ds.close()

    def test_are_cast_to_a_requested_schema(self, ds):
        some = ds.select_fields(["n"])
        wanted = pa.schema([("n", pa.int32())])
        capsule = some.__arrow_c_stream__(wanted.__arrow_c_schema__())
        reader = pa.RecordBatchReader._import_from_c_capsule(capsule)
        assert reader.read_all().schema.field("n").type == pa.int32()


class TestWhatIsShown:
    def test_views_give_their_records_in_their_order(self, ds):
        numbers = lambda view: pa.table(view)["n"].to_pylist()  # noqa: E731
        assert numbers(ds[7:2:-2]) == [7, 5, 3]
        assert numbers(ds[[9, 0, 9]]) == [9, 0, 9]
        assert numbers(ds.shuffle(1)) == [row["n"] for row in ds.shuffle(1)]
        assert numbers(ds.filter(lambda row: row["kind"] == "dog")) == [1, 3, 5, 7, 9]
        assert pa.table(ds.select_fields(["kind", "n"])).column_names == ["kind", "n"]

    def test_fields_without_names_have_positions(self, tmp_path):
        path, _ = make_dataset([(1, "a"), (2, "b")], tmp_path / "a.rec", ["int8", "str"])
        ds = dsrecords.open(path)
        assert pa.table(ds.select_fields([1, 0])).to_pydict() == {"0": ["a", "b"], "1": [1, 2]}
        make_dataset(ds.to_arrow(), tmp_path / "b.rec")
        back = dsrecords.open(tmp_path / "b.rec")
        assert back.schema == ["int8", "str"] and back[1] == (2, "b")
        make_dataset(ds.to_arrow().select(["1"]), tmp_path / "c.rec")  # whose name is no position
        assert dsrecords.open(tmp_path / "c.rec").schema == {"1": "str"}

    def test_many_files_are_one_table(self, tmp_path):
        samples = [{**sample(i), "text": "much the same " * 20 + str(i)} for i in range(40)]
        schema = {**SCHEMA, "text": "zstd(str)"}
        paths, _ = make_dataset(samples, tmp_path / "s.rec", schema, shards=3)
        many = dsrecords.open(paths)
        assert pa.table(many)["n"].to_pylist() == list(range(40))
        assert pa.table(many)["text"].to_pylist() == [row["text"] for row in samples]
        one = dsrecords.open(many.files[1])
        assert pa.table(dsrecords.concat([one, many[:2]]))["n"].num_chunks >= 1
        assert len(pa.table(dsrecords.concat([one, many[:2]]))) == len(one) + 2

    def test_files_with_dictionaries_of_their_own_are_one_table(self, tmp_path):
        texts = {}
        for name in ("a", "b"):
            texts[name] = [
                f"In file {name} the cat number {i} sat on the mat and looked at the moon."
                for i in range(1500)
            ]
            make_dataset(
                [(text, [{"k": text}]) for text in texts[name]],
                tmp_path / f"{name}.rec",
                ["zstd(str)", "zstd(list[json])"],
            )
        both = dsrecords.open([tmp_path / "a.rec", tmp_path / "b.rec"])
        table = pa.table(both)
        assert table["0"].to_pylist() == texts["a"] + texts["b"]
        assert table["1"][1600].as_py() == ['{"k":"' + texts["b"][100] + '"}']

    def test_records_that_cannot_be_read_are_left_out_if_that_was_said(self, ds):
        flip(ds.path, Path(ds.path).read_bytes().index(png(4)) + 40)
        with pytest.raises(CorruptError, match="record 4, field 'photo'"):
            ds.to_arrow()
        skipping = dsrecords.open(ds.path, on_error="skip")
        assert pa.table(skipping)["n"].to_pylist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        assert {error.record for error in skipping.skipped} == {4}
        assert skipping.select_fields(["n"]).to_arrow().num_rows == 10

    def test_a_file_of_0_4_says_why_not(self):
        golden = ROOT / "tests" / "golden_0_4"
        path = min(golden.rglob("*.rec"))
        counts = range(1, 8)
        for count in counts:
            try:
                old = (
                    dsrecords.open(path)
                    if count == 0
                    else dsrecords.IndexedRecordDataset(
                        path, deserializers=[dsrecords.io.identity] * count
                    )
                )
            except (CorruptError, SchemaError):
                continue
            with pytest.raises(SchemaError, match="upgrade"):
                old.to_arrow()
            assert old._repr_html_().startswith("<pre>")
            return
        raise AssertionError(path)

    def test_mixtures_have_no_schema(self, ds):
        mixture = dsrecords.mix([ds, ds], [1, 1], seed=0)
        with pytest.raises(TypeError):
            pa.table(mixture)

    def test_a_closed_dataset_says_so(self, ds):
        ds.close()
        with pytest.raises(ValueError, match="closed"):
            ds.to_arrow()

    def test_a_time_that_arrow_cannot_hold_names_its_field(self, tmp_path):
        path, _ = make_dataset(
            [(np.datetime64(2**40, "D"),)], tmp_path / "a.rec", ["datetime64[D]"]
        )
        with pytest.raises(SchemaError, match=r"field 0: .* out of the range of date32"):
            dsrecords.open(path).to_arrow()
        path, _ = make_dataset(
            [(np.datetime64(2**62, "h"),)], tmp_path / "b.rec", ["datetime64[h]"]
        )
        with pytest.raises(SchemaError, match=r"out of the range of timestamp"):
            dsrecords.open(path).to_arrow()


class TestAndBack:
    def back(self, table, tmp_path, **options):
        make_dataset(table, tmp_path / "back.rec", overwrite=True, **options)
        return dsrecords.open(
            tmp_path / "back.rec",
            decode={"photo": "bytes"} if "photo" in table.schema.names else None,
        )

    def test_types_values_and_metadata_come_back(self, ds, tmp_path):
        for table in (ds.to_arrow(), pa.RecordBatchReader.from_stream(ds)):
            back = self.back(table, tmp_path)
            assert back.schema == ds.schema
            assert back.metadata == METADATA
            assert list(back) == expected(ds)

    def test_also_of_a_part_and_by_way_of_parquet(self, ds, tmp_path):
        table = ds.to_arrow().filter(pa.compute.field("kind") == "dog").drop_columns(["name"])
        pq.write_table(table, tmp_path / "a.parquet")
        for some in (table, pq.read_table(tmp_path / "a.parquet"), table.slice(1, 3)):
            back = self.back(some, tmp_path)
            assert back.schema == {key: kind for key, kind in SCHEMA.items() if key != "name"}
            assert back.metadata == METADATA
            assert [row["n"] for row in back] == some["n"].to_pylist()

    def test_also_into_many_files(self, ds, tmp_path):
        paths, _ = make_dataset(ds.to_arrow(), tmp_path / "s.rec", shards=2)
        assert dsrecords.open(paths).metadata == METADATA

    def test_other_metadata_can_be_given(self, ds, tmp_path):
        assert self.back(ds.to_arrow(), tmp_path, metadata={}).metadata == {}

    def test_a_dataset_is_extended_by_a_table_of_one(self, ds, tmp_path):
        path, _ = make_dataset([], tmp_path / "b.rec", SCHEMA)
        with dsrecords.open(path, decode={"photo": "bytes"}) as other:
            other.extend(ds.to_arrow())
            assert list(other) == expected(ds)

    def test_nulls_of_a_changed_table_make_a_type_nullable(self, ds, tmp_path):
        table = ds.to_arrow().select(["n"])
        nulls = pa.array([None] * 10, pa.int64())
        changed = table.set_column(0, table.schema.field("n"), nulls)
        assert self.back(changed, tmp_path).schema == {"n": "int64?"}

    def test_a_changed_column_is_read_by_its_own_type(self, ds, tmp_path):
        table = ds.to_arrow().select(["photo"])
        strings = pa.array(["a"] * 10)
        changed = table.set_column(
            0,
            pa.field("photo", pa.string(), metadata=table.schema.field("photo").metadata),
            strings,
        )
        make_dataset(changed, tmp_path / "b.rec")
        assert dsrecords.open(tmp_path / "b.rec").schema == {"photo": "str"}

    @pytest.mark.parametrize(
        "kind", ["no type", "list[", "\udcff", "x" * 3_000_000, "[" * 1000, ""], ids=range(6)
    )
    def test_a_false_type_says_nothing(self, kind, tmp_path):
        field = pa.field(
            "n", pa.int64(), metadata={b"dsrecords.type": kind.encode("utf-8", "surrogatepass")}
        )
        table = pa.table({"n": [1, 2]}).cast(pa.schema([field]))
        assert self.back(table, tmp_path).schema == {"n": "int64"}

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"no JSON",
            b"[" * 100_000,
            b"\xff",
            b"[1]",
            b"{}",
            b'{"metadata": 5}',
            b'{"named": false}',
            b'{"named": 0, "metadata": null}',
        ],
        ids=range(9),
    )
    def test_false_metadata_say_nothing(self, text, tmp_path):
        table = pa.table({"n": [1]}).replace_schema_metadata({b"dsrecords.dataset": text})
        back = self.back(table, tmp_path)
        assert back.metadata == {} and back.schema == {"n": "int64"}

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("json", "{"),
            ("array", {"dtype": '"M8[s/0]"', "shape": [1], "data": b"12345678"}),
            ("array", {"dtype": '"<f4"', "shape": [2**40], "data": b"1234"}),
            ("array", {"dtype": '"<f4"', "shape": [-1], "data": b"1234"}),
            ("array", {"dtype": '"|O"', "shape": [1], "data": b"12345678"}),
            ("array", {"dtype": None, "shape": [1], "data": b"12345678"}),
            ("float32[*,*]", {"shape": [2, 2], "data": [1.0]}),
            ("float32[*,*]", {"shape": [-1, -1], "data": [1.0]}),
            ("float32[*,*]", {"shape": None, "data": [1.0]}),
            ("float32[2]", [1.0, None]),
            ("float32[*]", [1.0, None]),
            ("float32[2,*]", [[1.0], [1.0, 2.0]]),
            ("float32[2,*]", [[1.0], None]),
            ("complex64", [1.0, None]),
            ("map[int8]", [("a", 1), ("a", 2)]),
            ("category[cat,dog]", "mouse"),
            ("msgpack", b"\xc1"),
            ("file", {"suffix": "no suffix", "data": b""}),
            ("png", b"no image"),
        ],
        ids=range(19),
    )
    def test_false_values_are_refused(self, kind, value, tmp_path):
        path, _ = make_dataset([], tmp_path / "a.rec", {"x": kind})
        schema = pa.schema([dsrecords.open(path).to_arrow().schema.field("x").with_nullable(True)])
        table = pa.Table.from_pylist([{"x": value}], schema)
        with pytest.raises(SchemaError):
            make_dataset(table, tmp_path / "b.rec")

    def test_functions_decode_what_they_wrote(self, ds, tmp_path):
        dsrecords.register_type(
            "tests.reversed", lambda text: text[::-1].encode(), lambda data: data.decode()[::-1]
        )
        path, _ = make_dataset([{"x": "abc"}], tmp_path / "r.rec", {"x": "tests.reversed"})
        table = dsrecords.open(path).to_arrow()
        assert table["x"].to_pylist() == [b"cba"]
        back = self.back(table, tmp_path)
        assert back.schema == {"x": "ext(tests.reversed)"} and back[0, "x"] == "abc"

    def test_bytes_of_functions_stay_bytes(self, tmp_path):
        make_dataset([{"x": 5}], tmp_path / "a.rec", {"x": lambda value: bytes([value])})
        back = self.back(
            dsrecords.IndexedRecordDataset(tmp_path / "a.rec", {"x": len}).to_arrow(), tmp_path
        )
        assert back.schema == {"x": "bytes"} and back[0, "x"] == b"\5"


class TestHuggingFace:
    def test_features_decode_images_and_know_classes(self, ds):
        found = ds.to_huggingface()
        assert found.features["photo"] == datasets.Image()
        assert found.features["kind"].names == ["cat", "dog"]
        assert found[3]["photo"].size == (8, 6) and found[3]["photo"].getpixel((0, 0)) == (3, 0, 0)
        assert found[3]["kind"] == 1 and found[4]["score"] == 2.0 and found[0]["score"] is None
        assert found.cast_column("photo", datasets.Image(decode=False))[3]["photo"] == {
            "bytes": png(3),
            "path": None,
        }

    def test_also_within_lists_structs_and_maps(self, tmp_path):
        kinds = {
            "l": "list[png]",
            "s": "{a:png?,c:category[x,y]}?",
            "m": "map[png]",
            "z": "zstd(list[{b:jpeg}])",
        }
        file = io.BytesIO()
        Image.new("RGB", (3, 3)).save(file, "JPEG")
        full = {
            "l": [png(1), png(2)],
            "s": {"a": png(3), "c": "y"},
            "m": {"k": png(4)},
            "z": [{"b": file.getvalue()}],
        }
        empty = {"l": [], "s": None, "m": {}, "z": []}
        path, _ = make_dataset([full, empty, full], tmp_path / "a.rec", kinds)
        found = dsrecords.open(path).to_huggingface()
        assert [image.getpixel((0, 0))[0] for image in found[2]["l"]] == [1, 2]
        assert (
            found[0]["s"]["a"].getpixel((0, 0))[0] == 3
            and found[0]["s"]["c"] == 1
            and found[1]["s"] is None
        )
        assert found[2]["m"][0]["key"] == "k" and found[2]["m"][0]["value"].getpixel((0, 0))[0] == 4
        assert found[0]["z"][0]["b"].size == (3, 3)

    def test_images_are_in_memory_once(self, tmp_path):
        files = [png(i) + bytes(2**20) for i in range(8)]
        path, _ = make_dataset([(file,) for file in files], tmp_path / "a.rec", ["image"])
        before = pa.total_allocated_bytes()
        found = dsrecords.open(path).to_huggingface()
        assert pa.total_allocated_bytes() - before < 1.5 * sum(map(len, files))
        assert found[7]["0"].getpixel((0, 0))[0] == 7


@pytest.mark.parametrize("package", ["pyarrow", "pandas", "polars", "datasets"])
def test_a_missing_package_says_how_to_install_it(package, ds, monkeypatch):
    methods = {
        "pyarrow": ds.to_arrow,
        "pandas": ds.to_pandas,
        "polars": ds.to_polars,
        "datasets": ds.to_huggingface,
    }
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        methods[package]()


def test_the_examples_of_the_page_print_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "photos" / "cat.jpg")
    blocks = blocks_of((ROOT / "docs" / "tables.md").read_text(encoding="utf-8"))
    printed = []
    for block, after in itertools.pairwise(blocks):
        if block.language == "python" and after.language == "text":
            exec(compile("\n".join(block.lines), "tables.md", "exec"), {})
            printed.append((capsys.readouterr().out.splitlines(), after.lines))
    assert len(printed) == 2
    for out, said in printed:
        assert out == said
    shutil.rmtree(tmp_path / "photos")
