"""What the index says of values: their sizes and checksums, and what `info` makes of them. No value is read."""

import zlib

import numpy as np
import pytest
from conftest import SCHEMA, SOURCE, rows

import dsrecords
from dsrecords._dataset import facts


@pytest.fixture(params=["one file", "many files", "a view"])
def dataset(request, tmp_path):
    """The samples `rows(40)`, in three ways."""
    shards = 3 if request.param == "many files" else None
    dsrecords.make_dataset(rows(40), tmp_path / "d.rec", SCHEMA, shards=shards)
    name = "d.json" if shards else "d.rec"
    dataset = dsrecords.open(tmp_path / name)
    if request.param == "a view":
        return dataset[::-1][::-1]
    return dataset


def test_sizes_are_of_what_is_stored(dataset):
    expected = [-1 if row["blob"] is None else len(row["blob"]) for row in rows(40)]
    assert dataset.stored_sizes("blob").tolist() == expected
    assert dataset.stored_sizes("text").tolist() == [len(row["text"].encode()) for row in rows(40)]
    assert dataset.stored_sizes("label").tolist() == [8] * 40
    assert dataset[[3, 1]].stored_sizes("blob").tolist() == [expected[3], expected[1]]


def test_checksums_are_crcs_of_what_is_stored(dataset):
    expected = [zlib.crc32(row["text"].encode()) for row in rows(40)]
    found = dataset.checksums("text")
    assert (found.dtype, found.tolist()) == (np.uint32, expected)
    with pytest.raises(dsrecords.SchemaError, match="no checksum of its own"):
        dataset.checksums("label")
    with pytest.raises(dsrecords.SchemaError, match="no field"):
        dataset.checksums("nope")


def test_equal_values_are_found_by_their_checksums(tmp_path):
    images = [b"one", b"two", b"one", None, b"three"]
    samples = [{"image": image} for image in images]
    dsrecords.make_dataset(samples, tmp_path / "d.rec", {"image": "bytes?"})
    dataset = dsrecords.open(tmp_path / "d.rec")
    keys = list(zip(dataset.checksums("image").tolist(), dataset.stored_sizes("image").tolist()))
    assert keys[0] == keys[2]
    assert len(set(keys)) == 4


def test_files_of_0_4_do_not_say():
    golden = SOURCE.parent / "tests" / "golden_0_4" / "all.rec"
    dataset = dsrecords.IndexedRecordDataset(golden, [bytes, bytes])
    with pytest.raises(dsrecords.SchemaError, match=r"dsrecords 0\.4 does not say"):
        dataset.stored_sizes(1)
    assert [field.bytes for field in dsrecords.info(dataset).fields] == [None, None]
    assert dsrecords.info(dataset).version == "0.4"


def test_info_counts_the_bytes_of_fields(dataset):
    found = dsrecords.info(dataset)
    assert (found.records, found.version, found.metadata) == (40, "2", {})
    sizes = {field.name: field.bytes for field in found.fields}
    assert sizes["label"] == 320
    assert sizes["text"] == sum(len(row["text"].encode()) for row in rows(40))
    assert sizes["blob"] == sum(len(row["blob"] or b"") for row in rows(40))
    assert all(field.is_exact for field in found.fields)
    assert [field.type for field in found.fields] == list(SCHEMA.values())
    assert found.to_dict()["fields"][0]["name"] == "label"


def test_info_of_many_records_looks_at_few(tmp_path, monkeypatch):
    count = 70_000
    path = tmp_path / "d.rec"
    with dsrecords.IndexedRecordDataset(path, schema={"x": "int8", "b": "bytes"}) as made:
        made.extend_columns({"x": np.zeros(count, np.int8), "b": [b"12345"] * count})
    looked_at = []
    real = facts.stored_sizes

    def counted(reading, key):
        looked_at.append(reading.count())
        return real(reading, key)

    monkeypatch.setattr(facts, "stored_sizes", counted)
    dataset = dsrecords.open(path)
    found = dsrecords.info(dataset)
    assert max(looked_at) <= 4096
    assert [field.bytes for field in found.fields] == [count, 5 * count]
    assert [field.is_exact for field in found.fields] == [True, False]
    assert found.dead_bytes == 0
    assert dsrecords.info(dataset, exact=True).fields[1].is_exact
    with dsrecords.open(path) as writer:
        del writer[:1000]
    dataset.refresh()
    assert dsrecords.info(dataset).dead_bytes is None
    assert dsrecords.info(dataset, exact=True).dead_bytes == dataset.dead_bytes > 0


def test_info_notes_what_is_out_of_the_ordinary(tmp_path):
    path = tmp_path / "d.rec"
    dsrecords.make_dataset(rows(10), path, SCHEMA)
    assert dsrecords.info(dsrecords.open(path)).notes == ()
    with open(path, "ab") as file:
        file.write(b"half a frame")
    (note,) = dsrecords.info(dsrecords.open(path)).notes
    assert "what a killed writer left" in note
    (tmp_path / "d.idx").unlink()
    found = dsrecords.info(dsrecords.open(path))
    assert "the list was made from the log" in found.notes[0]
    assert found.index_bytes is None
