"""zstd(T): what a dictionary saves, when there is one, and what is not believed."""

import base64
import importlib
import json
import os
import random
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bytes_by_hand as by_hand
import numpy as np
import pytest
from conftest import SOURCE

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, SchemaError, io, make_dataset
from dsrecords._types import compressed, zstd_backends

pytestmark = pytest.mark.slow


def texts(count):
    words = random.Random(0)
    names = ["Ada", "Bob", "Cleo", "Dan"]
    return [
        f"{words.choice(names)} wrote to {words.choice(names)} on day {words.randrange(999)}: it will rain."
        for _ in range(count)
    ]


def header(path):
    data = Path(path).read_bytes()
    return json.loads(data[40 : 40 + int.from_bytes(data[20:24], "little")])


def log_size(path):
    data = Path(path).read_bytes()
    return len(data) - int.from_bytes(data[16:20], "little")


def made(folder, kind, values, name="a.rec"):
    return make_dataset(({"x": value} for value in values), folder / name, {"x": kind})[0]


def test_dictionary_makes_short_texts_smaller(tmp_path):
    values = texts(2000)
    plain, alone, together = (
        made(tmp_path, kind, values, f"{i}.rec")
        for i, kind in enumerate(["str", "zstd(str,dict=0)", "zstd(str)"])
    )
    assert log_size(together) < 0.8 * log_size(alone)
    assert log_size(together) < 0.8 * log_size(plain)
    assert [dsrecords.open(path).column("x") for path in (plain, alone, together)] == [values] * 3
    assert "dict" not in header(plain)["fields"][0]
    assert "dict" not in header(alone)["fields"][0]
    dictionary = base64.b64decode(header(together)["fields"][0]["dict"], validate=True)
    assert 256 <= len(dictionary) <= sum(map(len, values)) // 16


def test_dictionary_is_at_most_as_large_as_asked_for(tmp_path):
    path = made(tmp_path, "zstd(str,dict=1000)", texts(2000))
    assert len(base64.b64decode(header(path)["fields"][0]["dict"])) <= 1000


@pytest.mark.parametrize(
    "values",
    [[], texts(3), [os.urandom(100).hex()[:100] for _ in range(300)], ["the same"] * 5000],
    ids=["none", "few", "noise", "tiny"],
)
def test_there_is_no_dictionary_where_it_saves_less_than_it_takes(tmp_path, values):
    path = made(tmp_path, "zstd(str)", values)
    fields = header(path)["fields"][0]
    if "dict" in fields:
        without = made(tmp_path, "zstd(str,dict=0)", values, "b.rec")
        assert log_size(path) + len(fields["dict"]) < log_size(without)
    assert dsrecords.open(path).column("x") == values


def test_noise_has_no_dictionary(tmp_path):
    assert (
        "dict"
        not in header(made(tmp_path, "zstd(bytes)", [os.urandom(100) for _ in range(500)]))[
            "fields"
        ][0]
    )


def test_what_is_appended_uses_the_dictionary(tmp_path):
    path = made(tmp_path, "zstd(str)", texts(2000))
    before, text = log_size(path), texts(2001)[-1]
    for ds in (dsrecords.open(path), IndexedRecordDataset(path, schema={"x": "zstd(str)"})):
        with ds:
            ds.append({"x": text})
            assert ds[-1, "x"] == text
    grown = (log_size(path) - before) // 2
    alone = len(compressed.Zstd(dsrecords._types.parse.parse("str"), size=0).dump(text))
    assert grown < 32 + alone - 8


def test_compact_makes_a_dictionary_of_what_is_there(tmp_path):
    path = made(tmp_path, "zstd(str)?", [])
    values = [*texts(2000), None]
    with dsrecords.open(path) as ds:
        ds.extend({"x": value} for value in values)
        before = log_size(path)
        ds.compact()
        assert log_size(path) < 0.8 * before
        assert "dict" in header(path)["fields"][0]
        ds.append({"x": "after"})
        assert ds.column("x") == [*values, "after"]
        assert ds.check() == []
        first = header(path)["fields"][0]["dict"]
        ds.update({i: {"x": f"{i} {text}"[::-1]} for i, text in enumerate(values[:-1])})
        ds.compact()
        assert header(path)["fields"][0]["dict"] != first
        assert ds[5, "x"] == f"5 {values[5]}"[::-1]
    assert dsrecords.open(path)[-1, "x"] == "after"


def test_compact_keeps_what_has_no_dictionary_byte_for_byte(tmp_path):
    path = made(tmp_path, "zstd(str,dict=0)", texts(50))
    before = Path(path).read_bytes()
    with dsrecords.open(path) as ds:
        ds.compact(tmp_path / "b.rec")
    assert (tmp_path / "b.rec").stat().st_size == len(before)


def test_payload_that_cannot_be_read_stops_a_compaction_and_is_named(tmp_path):
    log = by_hand.Log({"fields": [{"name": "x", "type": "zstd(str)", "payload": 0}], "head": 32})
    log.record(payloads=[b"no zstd"])
    (tmp_path / "a.rec").write_bytes(log.data)
    with (
        dsrecords.open(tmp_path / "a.rec") as ds,
        pytest.raises(CorruptError, match="record 0, field 'x': not zstd"),
    ):
        ds.compact()
    assert (tmp_path / "a.rec").read_bytes() == log.data


def test_dictionary_goes_with_its_field_when_the_schema_changes(tmp_path):
    values = texts(1000)
    path, _ = make_dataset(
        [{"x": text, "n": i} for i, text in enumerate(values)],
        tmp_path / "a.rec",
        {"x": "zstd(str)", "n": "int16"},
    )
    kept = header(path)["fields"][0]["dict"]
    with dsrecords.open(path) as ds:
        ds.rename_fields({"x": "text"})
        ds.drop_fields("n")
        assert header(path)["fields"] == [
            {"name": "text", "type": "zstd(str)", "payload": 0, "dict": kept}
        ]
        assert ds.column("text") == values
        ds.cast({"text": "str"})
        assert ds.column("text") == values
        ds.cast({"text": "zstd(str)"})
        ds.compact()
        assert "dict" in header(path)["fields"][0]
        assert ds.column("text") == values


def test_the_same_samples_and_id_give_the_same_bytes(tmp_path):
    for name in ("a.rec", "b.rec"):
        make_dataset(
            [{"x": text} for text in texts(1000)], tmp_path / name, {"x": "zstd(str)"}, id=bytes(16)
        )
    assert (tmp_path / "a.rec").read_bytes() == (tmp_path / "b.rec").read_bytes()


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_sample_is_the_beginning_and_the_rest_follows(tmp_path, num_workers, monkeypatch):
    monkeypatch.setattr(dsrecords._write.dictionaries, "_SAMPLE_RECORDS", 500)
    values = texts(1500)
    path, _ = make_dataset(
        [(text,) for text in values], tmp_path / "a.rec", ["zstd(str)"], num_workers=num_workers
    )
    assert dsrecords.open(path).column(0) == values
    assert "dict" in header(path)["fields"][0]


def test_wrong_sample_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(SchemaError, match="record 70, field 0: str expected"):
        make_dataset([("a",)] * 70 + [(5,)], tmp_path / "a.rec", ["zstd(str)"])
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_one_shape_stack_all_the_same(tmp_path):
    path = made(tmp_path, "zstd(int16[2])", [[i, i + 1] for i in range(5)])
    assert dsrecords.open(path).column("x").tolist() == [[i, i + 1] for i in range(5)]
    assert dsrecords.open(path)[0, "x"].flags.writeable
    assert not dsrecords.open(path, copy=False)[0, "x"].flags.writeable


def test_functions_and_decodings_get_what_was_compressed(tmp_path):
    path = made(tmp_path, "zstd(str)", texts(500))
    for function in (io.load_str, bytes.decode, lambda data: str(data, "utf-8")):
        assert IndexedRecordDataset(path, {"x": function}).column("x") == texts(500)
    assert IndexedRecordDataset(path, {"x": io.identity})[0, "x"] == texts(1)[0].encode()
    with pytest.raises(SchemaError, match=r"io\.load_int does not read"):
        IndexedRecordDataset(path, {"x": io.load_int})
    path = made(tmp_path, "zstd(list[{a:int8}])", [[{"a": 1}]], "b.rec")
    assert dsrecords.open(path, decode={"x": "columns"})[0, "x"]["a"].tolist() == [1]


# Claims


def frame(size, rest=b""):
    """The beginning of a zstd frame that claims to be this large (RFC 8878: one segment, 8 bytes of content size)."""
    return bytes.fromhex("28b52ffde0") + struct.pack("<Q", size) + rest


@pytest.mark.parametrize("size", [2**62, 2**64 - 3, 2**40, 64 * 2**20 + 1])
def test_claim_is_not_believed_before_it_is_looked_at(tmp_path, size):
    log = by_hand.Log({"fields": [{"name": "x", "type": "zstd(bytes)", "payload": 0}], "head": 32})
    log.record(payloads=[frame(size, bytes(1000))])
    (tmp_path / "a.rec").write_bytes(log.data)
    ds = dsrecords.open(tmp_path / "a.rec")
    for read in (lambda: ds[0], lambda: ds.column("x")):
        with pytest.raises(CorruptError, match=f"1013 bytes of zstd claim to be {size}"):
            read()


def test_what_shrinks_more_than_is_believed_is_padded_so_that_it_is(tmp_path):
    zeros = np.zeros(70_000_000, np.uint8)
    path = made(tmp_path, "zstd(uint8[*])", [zeros])
    assert zeros.size / 1000 < log_size(path) < zeros.size / 900
    assert np.array_equal(dsrecords.open(path)[0, "x"], zeros)


def test_dictionary_that_is_none_is_corrupt_when_it_is_used(tmp_path):
    fields = {
        "fields": [
            {
                "name": "x",
                "type": "zstd(str)",
                "payload": 0,
                "dict": base64.b64encode(b"no" * 200).decode(),
            }
        ],
        "head": 32,
    }
    log = by_hand.Log(fields)
    log.record(payloads=[b"text"])
    (tmp_path / "a.rec").write_bytes(log.data)
    with pytest.raises(
        CorruptError, match=r"record 0, field 'x', byte 4128: (the dictionary of zstd|not zstd)"
    ):
        dsrecords.open(tmp_path / "a.rec")[0]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("zstd(str)", "?"),
        ("zstd(str)", 5),
        ("zstd(str)", "YWI"),
        ("str", "YWJj"),
        ("zstd(str,dict=0)", "YWJj"),
    ],
)
def test_dictionary_in_the_wrong_place_or_not_base64_is_corrupt(tmp_path, kind, value):
    log = by_hand.Log(
        {"fields": [{"name": "x", "type": kind, "payload": 0, "dict": value}], "head": 32}
    )
    (tmp_path / "a.rec").write_bytes(log.data)
    with pytest.raises(CorruptError, match="the header's JSON"):
        dsrecords.open(tmp_path / "a.rec")


def test_without_its_dictionary_a_text_is_corrupt(tmp_path):
    path = made(tmp_path, "zstd(str)", texts(2000))
    contents, data = header(path), Path(path).read_bytes()
    del contents["fields"][0]["dict"]
    log = data[int.from_bytes(data[16:20], "little") :]
    other = by_hand.Log(contents)
    for at, kind, _size in frames_of(log):
        if kind != by_hand.COMMIT:
            payload = int.from_bytes(log[at + 16 : at + 24], "little")
            other.record(payloads=[log[at + 32 : at + 32 + payload]])
    (tmp_path / "b.rec").write_bytes(other.data)
    with pytest.raises(CorruptError, match="not zstd, or of another dictionary"):
        dsrecords.open(tmp_path / "b.rec").column("x")


def frames_of(log):
    at = 0
    while at < len(log):
        kind, size = struct.unpack_from("<IQ", log, at + 4)
        yield at, kind, size
        at += size


# Threads, processes, and what is installed


def test_threads_read_and_write_one_dataset(tmp_path):
    values = texts(2000)
    path = made(tmp_path, "zstd(str)", values)
    with dsrecords.open(path) as ds, ThreadPoolExecutor(8) as pool:
        started = threading.Barrier(8)

        def work(number):
            started.wait()
            for i in range(number, len(values), 8):
                assert ds[i, "x"] == values[i]
                if i % 100 == number:
                    ds.append({"x": values[i]})

        list(pool.map(work, range(8)))
        assert ds.check() == []
        assert set(ds.column("x")) == set(values)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_process_goes_on_reading(tmp_path):
    values = texts(500)
    ds = dsrecords.open(made(tmp_path, "zstd(str)", values))
    assert ds[0, "x"] == values[0]  # contexts are there before the fork
    child = os.fork()
    if child == 0:
        os._exit(0 if ds.column("x") == values else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ds.column("x") == values


def standard():
    for module in ("compression.zstd", "backports.zstd"):
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return module
    return None


@pytest.mark.skipif(standard() is None, reason="Python before 3.14")
@pytest.mark.skipif(
    importlib.util.find_spec("zstandard") is None, reason="the package is not installed"
)
def test_package_and_standard_library_read_each_other(tmp_path, monkeypatch):
    values = texts(2000)
    by_package = made(tmp_path, "zstd(str)", values, "a.rec")
    monkeypatch.setattr(zstd_backends.StandardLibraryCodec, "module", standard())
    monkeypatch.setattr(zstd_backends, "choose_codec", lambda: zstd_backends.StandardLibraryCodec)
    assert dsrecords.open(by_package).column("x") == values
    by_standard = made(tmp_path, "zstd(str)", values, "b.rec")
    assert "dict" in header(by_standard)["fields"][0]
    with dsrecords.open(by_standard) as ds:
        ds.compact()
        ds.append({"x": "after"})
        assert ds.column("x") == [*values, "after"]
    hostile = by_hand.Log(
        {"fields": [{"name": "x", "type": "zstd(str)", "payload": 0}], "head": 32}
    )
    for payload in (b"no zstd", frame(2**62), frame(5, b"\1\0\0")):
        hostile.record(payloads=[payload])
    (tmp_path / "c.rec").write_bytes(hostile.data)
    for i in range(3):
        with pytest.raises(CorruptError, match="field 'x'"):
            dsrecords.open(tmp_path / "c.rec")[i]
    monkeypatch.undo()
    assert dsrecords.open(by_standard).column("x") == [*values, "after"]


def test_without_zstd_files_open_and_the_message_says_what_to_install(tmp_path):
    path, _ = make_dataset(
        [{"x": text, "n": i} for i, text in enumerate(texts(500))],
        tmp_path / "a.rec",
        {"x": "zstd(str)", "n": "int16"},
    )
    code = f"""import sys; sys.path.insert(0, {str(SOURCE)!r}); sys.modules["zstandard"] = sys.modules["compression.zstd"] = None
import dsrecords
ds = dsrecords.open({str(path)!r})
print(ds[3, "n"])
try: ds[3]
except ImportError as error: print(error)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3\nthis needs the package zstandard: pip install zstandard\n"
