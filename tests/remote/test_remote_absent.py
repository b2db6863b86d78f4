"""What is said where the packages for files elsewhere are not installed, and of file:// URLs."""

import sys

import pytest

import dsrecords


def test_without_obstore_the_error_says_what_to_install(monkeypatch):
    from dsrecords._storage import object_store

    monkeypatch.setattr(object_store, "_clients", {})
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ImportError, match="pip install obstore"):
        dsrecords.open("s3://bucket/a.rec")


def test_without_fsspec_the_error_says_what_to_install(monkeypatch):
    from dsrecords._storage import object_store

    monkeypatch.setattr(object_store, "_clients", {})
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match="pip install fsspec"):
        dsrecords.open("hf://datasets/a/b.rec")


def test_a_file_url_is_a_path(made, tmp_path):
    url = "file://" + made
    assert dsrecords.open(url).path == made
    assert len(dsrecords.open([url])) == 10
    with dsrecords.open(url) as ds:
        ds.append(ds[0])
    assert len(dsrecords.open(made)) == 11
    data, _ = dsrecords.make_dataset([{"x": 1}], f"file://{tmp_path}/new%20one.rec")
    assert data == str(tmp_path / "new one.rec")
    with pytest.raises(ValueError, match="this machine"):
        dsrecords.open("file://elsewhere/a.rec")


def test_options_do_no_harm_to_files_of_this_machine(made, tmp_path):
    ds = dsrecords.open(made, storage_options={"region": "x"}, cache=tmp_path / "c", cache_limit=5)
    assert len(list(ds)) == 10
    assert not (tmp_path / "c").exists()


def test_prefetch_of_files_of_this_machine_does_nothing(made):
    ds = dsrecords.open(made)
    ds.prefetch([1, 2])
    ds[2:5].prefetch(range(2))


def test_what_is_written_by_something_else_than_make_dataset_is_refused(path, tmp_path):
    dsrecords.make_dataset([{"a": 1}], path)
    ds = dsrecords.open(path)
    for write in (
        lambda: ds.compact("s3://bucket/a.rec"),
        lambda: ds[:1].save_view("s3://bucket/a.idx"),
        lambda: dsrecords.repair(path, "s3://bucket/a.rec"),
        lambda: dsrecords.repair("s3://bucket/a.rec", in_place=True),
        lambda: dsrecords.merge([path], "s3://bucket/a.rec"),
    ):
        with pytest.raises(ValueError, match="elsewhere only make_dataset writes"):
            write()
    assert [file.name for file in tmp_path.iterdir() if file.is_dir()] == []
