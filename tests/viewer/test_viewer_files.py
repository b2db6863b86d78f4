"""What the viewer's server hands out, and the page: without a server or a browser."""

import json

import pytest
import viewer_page
from storages.memory import MemoryFile, MemoryStorage

from dsrecords._storage.registry import register
from dsrecords.viewer.bytes_of_files import Bytes
from dsrecords.viewer.served import served


def test_the_page_is_made_of_the_sources():
    assert viewer_page.PAGE.read_text(encoding="utf-8") == viewer_page.build(), (
        "run tools/viewer_page.py"
    )


def test_the_page_names_no_other_host_and_runs_one_script_alone():
    page = viewer_page.build()
    assert page.count("<script") == 2  # the script, and the bytes of zstd
    assert "src=" not in page.split("<script", 1)[0]
    assert "innerHTML" not in page
    assert "eval(" not in page
    policy = page.split('Content-Security-Policy" content="', 1)[1].split('"', 1)[0]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy


def made(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def test_a_file_is_handed_out_with_its_index_and_nothing_else(tmp_path):
    made(tmp_path, "a.rec", "a.idx", "b.rec", "secret.txt")
    found = served([str(tmp_path / "a.rec")])
    assert found.paths == {
        "0/a.rec": str(tmp_path / "a.rec"),
        "0/a.idx": str(tmp_path / "a.idx"),
    }
    assert found.shown == [{"name": "a.rec", "parts": ["data/0/a.rec"], "editable": True}]


def test_a_pattern_and_a_folder_are_the_data_files_in_their_order(tmp_path):
    made(tmp_path, "s-10.rec", "s-2.rec", "s-2.idx", "other.txt")
    for name in (f"{tmp_path}/s-*.rec", f"{tmp_path}/s-*", str(tmp_path)):
        (shown,) = served([name]).shown
        assert shown["parts"] == ["data/0/s-2.rec", "data/0/s-10.rec"]


def test_a_name_with_brackets_that_is_there_is_no_pattern(tmp_path):
    made(tmp_path, "a[1].rec")
    found = served([str(tmp_path / "a[1].rec")])
    assert found.shown[0]["parts"] == ["data/0/a%5B1%5D.rec"]
    assert found.paths["0/a[1].rec"] == str(tmp_path / "a[1].rec")


def test_a_manifest_brings_its_files_and_none_outside_of_its_folder(tmp_path):
    made(tmp_path, "in/x-0.rec", "in/sub/x-1.rec", "secret.rec")
    names = ["x-0.rec", "sub/x-1.rec", "../secret.rec", "/etc/passwd", "sub/../../secret.rec", 7]
    manifest = tmp_path / "in" / "x.json"
    manifest.write_text(json.dumps({"shards": [{"file": name} for name in names]}))
    found = served([str(manifest)])
    wanted = {"x.json", "x-0.rec", "x-0.idx", "sub/x-1.rec", "sub/x-1.idx"}
    assert {name.removeprefix("0/") for name in found.paths} == wanted
    assert all(path.startswith(str(tmp_path / "in")) for path in found.paths.values())
    assert found.shown[0]["parts"] == ["data/0/x.json"]


@pytest.mark.parametrize("text", ["", "[1", '{"shards": 3}', '{"shards": [3]}', "[" * 10**5])
def test_a_manifest_that_is_none_brings_nothing(tmp_path, text):
    manifest = tmp_path / "x.json"
    manifest.write_text(text)
    assert list(served([str(manifest)]).paths) == ["0/x.json"]


def test_a_url_is_for_the_page_to_ask(tmp_path):
    found = served(["https://example.org/a/train.rec"])
    assert found.origins == ["https://example.org"]
    assert found.paths == {}
    assert found.shown == [
        {
            "name": "train.rec",
            "parts": ["https://example.org/a/train.rec"],
            "editable": False,
        }
    ]


def test_what_is_not_there_is_named(tmp_path):
    for name in ("none.rec", "none-*.rec"):
        with pytest.raises(FileNotFoundError, match=r"no file matches .*none"):
            served([str(tmp_path / name)])
    with pytest.raises(FileNotFoundError):
        served([str(made(tmp_path, "empty/other.txt") / "empty")])


def test_files_of_a_bucket_are_handed_out_by_the_server():
    found = served(["s3://bucket/folder/train.rec"])
    assert found.paths == {
        "0/train.rec": "s3://bucket/folder/train.rec",
        "0/train.idx": "s3://bucket/folder/train.idx",
    }
    assert found.origins == []
    assert found.shown[0]["editable"] is False


def test_a_manifest_elsewhere_brings_exactly_its_files():
    names = ["x-0.rec", "sub/x-1.rec", "../secret.rec", "s3://other/x-2.rec"]
    stated = json.dumps({"shards": [{"file": name} for name in names]})
    files = {"manifests://in/x.json": MemoryFile(stated.encode())}
    register("manifests", lambda path: MemoryStorage(files, path))
    found = served(["manifests://in/x.json"])
    wanted = {"x.json", "x-0.rec", "x-0.idx", "sub/x-1.rec", "sub/x-1.idx"}
    assert found.paths == {f"0/{name}": f"manifests://in/{name}" for name in wanted}
    assert found.origins == []
    assert found.shown[0] == {"name": "x.json", "parts": ["data/0/x.json"], "editable": False}
    with pytest.raises(FileNotFoundError):
        served(["manifests://in/none.json"])


def test_bytes_elsewhere_are_read_by_ranges_and_opened_once():
    files = {"elsewhere://x.rec": MemoryFile(bytes(range(100)))}
    opened = []

    def open_it(path):
        opened.append(path)
        return MemoryStorage(files, path)

    register("elsewhere", open_it)
    source = Bytes()
    for start, stop in ((0, 100), (7, 9)):
        file = source.opened("elsewhere://x.rec")
        assert file.size == 100
        assert b"".join(file.pieces(start, stop)) == bytes(range(start, stop))
    assert opened == ["elsewhere://x.rec"]
    before = file.version
    files["elsewhere://x.rec"] = MemoryFile(b"another")
    assert Bytes().opened("elsewhere://x.rec").version != before
    with pytest.raises(FileNotFoundError):
        source.opened("elsewhere://none.rec")


def test_bytes_of_a_folder_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        Bytes().opened(str(tmp_path))
    made(tmp_path, "a.rec")
    file = Bytes().opened(str(tmp_path / "a.rec"))
    assert (file.size, list(file.pieces(0, 10))) == (0, [])
