"""Manifests, names of files, and saved views of many files: also hostile and broken ones."""

import json
import os
import pickle

import pytest

import dsrecords

SCHEMA = {"label": "int64"}


def write(path, labels):
    dsrecords.make_dataset({"label": labels}, path, SCHEMA)


@pytest.fixture
def folder(tmp_path):
    """A folder of two files, and a manifest of them."""
    write(tmp_path / "a.rec", [0, 1, 2])
    write(tmp_path / "b.rec", [3, 4])
    dsrecords.merge([tmp_path / "a.rec", tmp_path / "b.rec"], tmp_path / "all.json")
    return tmp_path


def labels(path, **options):
    return dsrecords.open(path, **options).column("label").tolist()


def test_ways_to_open(folder, monkeypatch):
    for path in (
        folder / "all.json",
        folder,
        folder / "?.rec",
        [folder / "b.rec", folder / "a.rec"],
    ):
        expected = [3, 4, 0, 1, 2] if isinstance(path, list) else [0, 1, 2, 3, 4]
        assert labels(path) == expected
    monkeypatch.chdir(folder)
    ds = dsrecords.open("all.json")
    monkeypatch.chdir("/")
    assert labels(folder / "all.json") == ds.column("label").tolist()
    assert len(pickle.loads(pickle.dumps(ds))) == 5


def test_a_manifest_opens_without_its_files(folder):
    for name in ("a.rec", "b.rec"):
        os.rename(folder / name, folder / f"{name}.away")
    ds = dsrecords.open(folder / "all.json")
    assert len(ds) == 5
    assert ds.schema == SCHEMA
    with pytest.raises(dsrecords.ShardError, match=r"b\.rec is missing"):
        ds[4]


def test_what_is_appended_does_not_count_and_an_edit_is_told(folder):
    with dsrecords.open(folder / "a.rec") as ds:
        ds.append({"label": 9})
    assert labels(folder / "all.json") == [0, 1, 2, 3, 4]
    with dsrecords.open(folder / "a.rec") as ds:
        ds[0] = {"label": 9}
    with pytest.raises(dsrecords.StaleViewError, match=r"a\.rec.*edited since"):
        labels(folder / "all.json")
    dsrecords.merge([folder / "a.rec", folder / "b.rec"], folder / "all.json", overwrite=True)
    assert labels(folder / "all.json") == [9, 1, 2, 9, 3, 4]


def test_a_file_of_another_run_is_named(folder):
    os.remove(folder / "a.rec")
    os.remove(folder / "a.idx")
    write(folder / "a.rec", [7, 8, 9])
    with pytest.raises(dsrecords.ShardError, match=r"a\.rec: it is of another run"):
        labels(folder / "all.json")
    assert any(
        "another run" in str(problem) for problem in dsrecords.open(folder / "all.json").check()
    )


def test_files_that_are_missing_doubled_or_of_another_schema(tmp_path):
    for number in (0, 1, 3):
        write(tmp_path / f"t-{number:05d}-of-00004.rec", [number])
    with pytest.raises(dsrecords.ShardError, match=r"1 of 4 files are missing: .*t-00002-of-00004"):
        dsrecords.open(tmp_path / "t-*.rec")
    with pytest.raises(dsrecords.ShardError, match="t-00002-of-00004"):
        dsrecords.open(tmp_path)
    write(tmp_path / "t-00002-of-00004.rec", [2])
    assert labels(tmp_path) == [0, 1, 2, 3]
    write(tmp_path / "t-00000-of-00001.rec", [5])
    with pytest.raises(dsrecords.ShardError, match="several datasets"):
        dsrecords.open(tmp_path)
    one = tmp_path / "t-00000-of-00001.rec"
    os.symlink(one, tmp_path / "link.rec")
    with pytest.raises(dsrecords.ShardError, match="given twice"):
        dsrecords.open([one, tmp_path / "link.rec"])
    (tmp_path / "copy.rec").write_bytes(one.read_bytes())
    (tmp_path / "copy.idx").write_bytes((tmp_path / "t-00000-of-00001.idx").read_bytes())
    with pytest.raises(dsrecords.ShardError, match="a copy of it"):
        dsrecords.open([one, tmp_path / "copy.rec"])
    dsrecords.make_dataset([{"label": "x"}], tmp_path / "other.rec", {"label": "str"})
    with pytest.raises(dsrecords.SchemaError, match=r"other\.rec has label: str"):
        dsrecords.open([one, tmp_path / "other.rec"])


def test_nothing_is_there(tmp_path):
    for path in (tmp_path / "*.rec", tmp_path, [], tmp_path / "no.json"):
        with pytest.raises(FileNotFoundError):
            dsrecords.open(path)
    with pytest.raises(ValueError, match="one file is created"):
        dsrecords.IndexedRecordDataset(tmp_path / "*.rec", schema=SCHEMA, create=True)


def test_a_name_may_look_like_a_pattern(tmp_path):
    write(tmp_path / "a[1].rec", [1])
    assert labels(tmp_path / "a[1].rec") == [1]


def test_a_folder_of_mosaicml(tmp_path):
    index = {"version": 2, "shards": [{"format": "mds", "samples": 3}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    for path in (tmp_path, tmp_path / "index.json"):
        with pytest.raises(dsrecords.CorruptError, match="MDS"):
            dsrecords.open(path)


def change(folder, edit):
    path = folder / "all.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


HOSTILE = {
    "outside": lambda content: content["shards"][0].update(file="../a.rec"),
    "absolute": lambda content: content["shards"][0].update(file="/etc/passwd"),
    "inner dots": lambda content: content["shards"][0].update(file="b/../../a.rec"),
    "scheme": lambda content: content["shards"][0].update(file="http://host/a.rec"),
    "backslash": lambda content: content["shards"][0].update(file="..\\a.rec"),
    "no name": lambda content: content["shards"][0].pop("file"),
    "huge count": lambda content: content["shards"][0].update(count=2**61),
    "negative count": lambda content: content["shards"][0].update(count=-1),
    "true count": lambda content: content["shards"][0].update(count=True),
    "huge integer": lambda content: content["shards"][0].update(end=10**40),
    "float": lambda content: content["shards"][0].update(end=4096.0),
    "sum": lambda content: content.update(count=6),
    "id": lambda content: content["shards"][0].update(id="zz"),
    "short id": lambda content: content["shards"][0].update(id="00"),
    "no shards": lambda content: content.pop("shards"),
    "shards": lambda content: content.update(shards=[[]]),
    "fields": lambda content: content.update(fields=3),
    "metadata": lambda content: content.update(metadata=[]),
    "format": lambda content: content.update(format="other"),
}


@pytest.mark.parametrize("edit", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_manifests(folder, edit):
    change(folder, edit)
    with pytest.raises(dsrecords.CorruptError, match=r"all\.json"):
        dsrecords.open(folder / "all.json")


TEXTS = {
    "nothing": "",
    "text": "nothing of the kind",
    "deep": "[" * 200_000,
    "nan": '{"format": "dsrecords-manifest", "version": 1, "count": NaN}',
    "twice": '{"format": "dsrecords-manifest", "format": "dsrecords-manifest"}',
    "list": "[]",
    "bytes": "\ufffe\ud83d",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_files_that_are_no_manifests(tmp_path, text):
    (tmp_path / "all.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(dsrecords.CorruptError, match="not a manifest"):
        dsrecords.open(tmp_path / "all.json")


def test_a_later_version(folder):
    change(folder, lambda content: content.update(version=2))
    with pytest.raises(dsrecords.UnsupportedVersionError):
        dsrecords.open(folder / "all.json")


WRONG = {
    "more": lambda content: (content["shards"][0].update(count=4), content.update(count=6)),
    "less": lambda content: (content["shards"][0].update(count=2), content.update(count=4)),
}


@pytest.mark.parametrize("edit", WRONG.values(), ids=list(WRONG))
def test_counts_that_are_not_those_of_the_files(folder, edit):
    change(folder, edit)
    ds = dsrecords.open(folder / "all.json")
    with pytest.raises(dsrecords.CorruptError, match=r"a\.rec: it has 3 records"):
        ds.column("label")


def test_a_manifest_that_states_another_schema(folder):
    change(folder, lambda content: content["fields"][0].update(type="uint64"))
    with pytest.raises(dsrecords.SchemaError, match=r"a\.rec has label: int64"):
        labels(folder / "all.json")


def test_a_shard_that_is_in_it_twice(folder):
    change(folder, lambda content: content["shards"].append(content["shards"][0]))
    change(folder, lambda content: content.update(count=8))
    with pytest.raises(dsrecords.ShardError, match="the same file"):
        dsrecords.open(folder / "all.json")


def test_links_within_the_folder_are_followed(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    os.rename(folder / "a.rec", elsewhere / "a.rec")
    os.symlink(elsewhere / "a.rec", folder / "a.rec")
    assert labels(folder / "all.json") == [0, 1, 2, 3, 4]


def test_merge(folder):
    with pytest.raises(FileExistsError):
        dsrecords.merge([folder / "a.rec"], folder / "all.json")
    os.mkdir(folder / "inner")
    with pytest.raises(ValueError, match="outside"):
        dsrecords.merge([folder / "a.rec"], folder / "inner" / "x.json")
    with pytest.raises(ValueError, match=r"ends in \.json"):
        dsrecords.merge([folder / "a.rec"], folder / "x")
    with pytest.raises(TypeError):
        dsrecords.merge(folder / "a.rec", folder / "x.json")
    path = dsrecords.merge([folder / "all.json"], folder / "one.rec")
    assert labels(path) == [0, 1, 2, 3, 4]
    with pytest.raises(FileExistsError):
        dsrecords.merge([folder / "all.json"], folder / "one.rec")


def test_merge_finds_damage(folder):
    data = bytearray((folder / "a.rec").read_bytes())
    data[4096 + 20] ^= 1
    (folder / "a.rec").write_bytes(data)
    with pytest.raises(dsrecords.CorruptError):
        dsrecords.merge([folder / "a.rec", folder / "b.rec"], folder / "one.rec")
    assert not (folder / "one.rec").exists()


# Views


def test_a_saved_view(folder):
    view = folder / "some.view"
    ds = dsrecords.open(folder / "all.json")
    ds[[4, 0, 2]].save_view(view)
    with pytest.raises(FileExistsError):
        ds[[1]].save_view(view)
    assert labels(folder / "all.json", index_path=view) == [4, 0, 2]
    shown = dsrecords.open(folder / "all.json", index_path=view)
    assert labels_again(shown[::-1]) == [2, 0, 4]
    assert labels_again(pickle.loads(pickle.dumps(shown))) == [4, 0, 2]
    # Other files may come before, and files may be renamed.
    write(folder / "A.rec", [9])
    os.rename(folder / "b.rec", folder / "c.rec")
    os.rename(folder / "b.idx", folder / "c.idx")
    assert labels(folder / "?.rec", index_path=view) == [4, 0, 2]
    shown[:1].save_view(view, overwrite=True)
    with pytest.raises(FileExistsError, match="no view"):
        shown.save_view(folder / "a.rec", overwrite=True)


def labels_again(ds):
    return ds.column("label").tolist()


def test_a_view_of_files_that_are_others_now(folder):
    view = folder / "some.view"
    dsrecords.open(folder / "all.json")[1:].save_view(view)
    with pytest.raises(dsrecords.StaleViewError, match=r"b\.rec"):
        dsrecords.open([folder / "a.rec"], index_path=view)
    with dsrecords.open(folder / "a.rec") as ds:
        ds.append({"label": 5})
    assert labels(folder / "?.rec", index_path=view) == [1, 2, 3, 4]
    with dsrecords.open(folder / "a.rec") as ds:
        del ds[0]
    with pytest.raises(dsrecords.StaleViewError, match=r"a\.rec was edited"):
        dsrecords.open(folder / "?.rec", index_path=view)


def test_damaged_views(folder):
    view = folder / "some.view"
    dsrecords.open(folder / "all.json")[1:].save_view(view)
    data = view.read_bytes()
    for offset in range(0, len(data), 7):
        changed = bytearray(data)
        changed[offset] ^= 1
        view.write_bytes(changed)
        with pytest.raises(dsrecords.DSRecordsError):
            dsrecords.open(folder / "all.json", index_path=view)
    for length in range(0, len(data), 11):
        view.write_bytes(data[:length])
        with pytest.raises(dsrecords.CorruptError):
            dsrecords.open(folder / "all.json", index_path=view)
