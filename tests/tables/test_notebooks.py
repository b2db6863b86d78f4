"""What notebooks show of a dataset: safe, and bounded in work, whatever is in the file. And bars, and completed names."""

import base64
import io
import re
import struct
import sys
import warnings
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import flip, python
from PIL import Image

import dsrecords
from dsrecords import make_dataset
from dsrecords._export import thumbnails
from dsrecords._types.compressed import Zstd

ALLOWED = {
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "br",
    "small",
    "span",
    "em",
    "img",
    "pre",
}
VOID = {"br", "img"}


class Page(HTMLParser):
    """The cells of a table of HTML; AssertionError if it has other tags than ours, or one is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.images, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag in ALLOWED
        assert {name for name, _ in attributes} <= {"style", "title", "src", "alt"}
        if tag == "img":
            self.images.append(dict(attributes)["src"])
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data


def page_of(ds):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Page(ds._repr_html_())


def only_cell(ds):
    """The cell of a dataset of one record and one field."""
    return page_of(ds).cells[-1]


def one(tmp_path, kind, value, **options):
    path, _ = make_dataset([{"x": value}], tmp_path / "one.rec", {"x": kind}, overwrite=True)
    return dsrecords.open(path, **options)


def image_file(format="PNG", size=(40, 20), color=(200, 30, 90)):
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, format)
    return file.getvalue()


def huge_png(width=100_000, height=100_000):
    """A PNG whose header claims so many pixels, of which there are none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 10) + b"IDAT" + bytes(14)


VALUES = {
    "int64": (-5, "-5"),
    "bool?": (None, "None"),
    "float32": (0.1, "0.1"),
    "float64": (float("nan"), "nan"),
    "complex64": (1 + 2j, "(1+2j)"),
    "datetime64[s,UTC]": (np.datetime64("2026-11-26T13:57:14"), "2026-11-26T13:57:14"),
    "category[cat,dog]": ("dog", "dog"),
    "str": ("grün", "grün"),
    "zstd(str)": ("grün", "grün"),
    "json": ({"a": [1, None, {"b": "c"}]}, "{'a': [1, None, {'b': 'c'}]}"),
    "bytes": (b"12345", "bytes, 5 bytes"),
    "msgpack": (5, "msgpack, 1 byte"),
    "file": (dsrecords.StoredFile(b"x" * 2000, ".pdf"), "file, 2.0 kB"),
    "int16[2]": ([1, 2], "[1, 2]"),
    "int16[2,3]": ([[1, 2, 3]] * 2, "int16 (2, 3)"),
    "float32[*]?": (np.arange(6), "[0, 1, 2, 3, …]"),
    "array": (np.array(["a", "b"]), "[a, b]"),
    "list[str]": (["a", "b"], "[a, b]"),
    "list[int8]": (list(range(9)), "[0, 1, 2, 3, … 9 items]"),
    "list[list[list[list[int8]]]]": ([[[[1]]]], "[[[[1 item]]]]"),
    "{a:int8,b:str?}": ({"a": 1, "b": None}, "{a: 1, b: None}"),
    "list[{a:int8,b:{c:json}}]": ([{"a": 1, "b": {"c": []}}], "[{a: 1, b: {c: []}}]"),
    "map[int8]": ({"k": 1}, "{k: 1}"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_shown(kind, tmp_path):
    value, shown = VALUES[kind]
    assert only_cell(one(tmp_path, kind, value)) == shown


def test_a_table_has_the_first_records_and_says_how_many_there_are(tmp_path):
    samples = [{f"f{number}": record for number in range(15)} for record in range(1234)]
    path, _ = make_dataset(samples, tmp_path / "a.rec", dict.fromkeys(samples[0], "int64"))
    page = page_of(dsrecords.open(path))
    assert page.text.startswith("a.rec: 1,234 records")
    assert page.text.endswith("… 1,229 more records and 3 more fields")
    assert len(page.cells) == 13 * 6
    assert page.cells[13 * 5 :] == ["4"] * 13
    view = page_of(dsrecords.open(path)[[7, 3]].select_fields(["f1"]))
    assert view.cells[2:] == ["0", "7", "1", "3"]
    assert "more" not in view.text


def test_a_dataset_without_records_shows_its_fields(tmp_path):
    path, _ = make_dataset([], tmp_path / "a.rec", {"x": "int64"})
    assert page_of(dsrecords.open(path)).cells == ["", "xint64"]


HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table></div><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' style='position:fixed",
    "&lt;b&gt;",
    "\x00\x1b[31m\x07\x7f\x9f",
    "\u202eturned\u2066\u200b",
    "<!-- ",
    "]]>",
    "a" * 100_000,
    "<" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_strings_are_safe_wherever_they_are(text, tmp_path):
    kinds = {
        "str": text,
        "json": {text: [text]},
        "list[str]": [text],
        "map[str]": {text: text},
        "array": np.array([text.replace("\0", "")]),
        "file": dsrecords.StoredFile(text.encode(), ".a"),
    }
    path, _ = make_dataset([kinds], tmp_path / "a.rec", {kind: kind for kind in kinds})
    page = page_of(dsrecords.open(path))  # which has no tag and no attribute but ours
    assert page.text.isprintable()
    assert max(map(len, page.cells)) < 3000
    assert page.images == []


def test_names_are_safe_as_well(tmp_path):
    name = '<b onclick="alert(1)">&\x1b\u202e'
    folder = tmp_path / "a"
    folder.mkdir()
    path, _ = make_dataset([{name: {name: 1}}], folder / "<i>.rec", {name: {name: "int8"}})
    page = page_of(dsrecords.open(path))
    assert page.text.isprintable()
    assert page.text.startswith("<i>.rec: 1 record")
    categories = one(tmp_path, 'category["</th><script>","b"]', "</th><script>")
    assert only_cell(categories) == "</th><script>"


class TestImages:
    def thumbnail(self, uri):
        match = re.fullmatch(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)", uri)
        return Image.open(io.BytesIO(base64.b64decode(match[2])))

    def test_are_thumbnails(self, tmp_path):
        for format, kind in (("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "image")):
            ds = one(tmp_path, kind, image_file(format, (400, 200)), decode={"x": "array"})
            (uri,) = page_of(ds).images
            small = self.thumbnail(uri)
            assert small.size == (96, 48) and small.format == "JPEG"
            assert (
                max(abs(a - b) for a, b in zip(small.getpixel((5, 5)), (200, 30, 90), strict=True))
                < 30
            )

    def test_that_are_small_keep_each_pixel(self, tmp_path):
        (uri,) = page_of(one(tmp_path, "png", image_file())).images
        small = self.thumbnail(uri)
        assert (
            small.format == "PNG"
            and small.size == (40, 20)
            and small.getpixel((0, 0)) == (200, 30, 90)
        )

    def test_are_shown_within_lists_and_structs(self, tmp_path):
        ds = one(
            tmp_path,
            "list[{a:png?,b:zstd(str)}]",
            [{"a": image_file(), "b": ""}, {"a": None, "b": ""}],
        )
        assert (
            only_cell(ds) == "list[{a:png?,b:zstd(str)}], " + only_cell(ds).rpartition(", ")[2]
        )  # zstd within is not opened
        ds = one(tmp_path, "list[{a:png?}]", [{"a": image_file()}, {"a": None}] * 5)
        page = page_of(ds)
        assert len(page.images) == 2 and "None" in page.cells[-1] and "… 10 items" in page.cells[-1]
        assert len(page_of(one(tmp_path, "zstd(list[png])", [image_file()])).images) == 1

    def test_that_claim_many_pixels_are_not_decoded(self, tmp_path, monkeypatch):
        def raise_error(*arguments):
            raise AssertionError("it was decoded")

        monkeypatch.setattr(thumbnails.Decode, "decode_image", raise_error)
        assert only_cell(one(tmp_path, "png", huge_png(6000, 6000))) == "png, 6000 × 6000"
        assert (
            only_cell(one(tmp_path, "png", huge_png())) == "png, 55 bytes"
        )  # more than Pillow opens
        assert (
            only_cell(one(tmp_path, "list[png]", [huge_png(12_000, 12_000)]))
            == "[png, 12000 × 12000]"
        )

    def test_together_are_bounded(self, tmp_path, monkeypatch):
        decoded = []
        decode_image = thumbnails.Decode.decode_image

        def counted(self, data):
            decoded.append(data)
            return decode_image(self, data)

        monkeypatch.setattr(thumbnails.Decode, "decode_image", counted)
        monkeypatch.setattr(thumbnails, "_MOST_PIXELS", 40 * 20 * 3)
        path, _ = make_dataset(
            [{"x": image_file(), "y": image_file()}] * 5,
            tmp_path / "a.rec",
            {"x": "png", "y": "png"},
        )
        page = page_of(dsrecords.open(path))
        assert len(decoded) == len(page.images) == 3
        assert page.text.count("png, 40 × 20") == 7

    def test_that_are_broken_are_words(self, tmp_path):
        cut = image_file("JPEG", (300, 200))[:700]
        assert only_cell(one(tmp_path, "jpeg", cut)) in ("jpeg, 300 × 200", "jpeg, 700 bytes")
        assert only_cell(one(tmp_path, "jpeg", cut[:4])) == "jpeg, 4 bytes"

    def test_are_words_without_pillow(self, tmp_path, monkeypatch):
        ds = one(tmp_path, "jpeg", image_file("JPEG"))
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
        assert re.fullmatch(r"jpeg, \d+ bytes", only_cell(ds))


class TestWork:
    def test_large_values_are_not_read(self, tmp_path):
        values = {  # each of a byte of its own
            "str": "a" * 2**21,
            "uint8[2000,1000]": np.full((2000, 1000), 5, "u1"),
            "png": image_file() + b"\6" * 2**24,
            "bytes": b"\7" * 2**21,
            "audio": b"RIFF\0\0\0\0WAVE" + b"\10" * 100,
        }
        path, _ = make_dataset([values], tmp_path / "a.rec", {kind: kind for kind in values})
        data = Path(path).read_bytes()
        for byte in b"a\5\6\7\10":  # whoever reads one of them finds the damage
            flip(path, data.index(bytes([byte]) * 90) + 50)
        cells = page_of(dsrecords.open(path)).cells
        assert cells[len(values) + 2 :] == [
            "str, 2.1 MB",
            "uint8[2000,1000], 2.0 MB",
            "png, 16.8 MB",
            "bytes, 2.1 MB",
            "audio, 112 bytes",
        ]

    def test_what_zstd_would_make_too_large_is_not_decompressed(self, tmp_path, monkeypatch):
        def raise_error(*arguments):
            raise AssertionError("it was decompressed")

        ds = one(tmp_path, "zstd(str)", "a" * 2**24)
        monkeypatch.setattr(Zstd, "plain", raise_error)
        assert only_cell(ds) == "zstd(str), 16.8 MB"

    def test_functions_of_the_users_are_not_called(self, tmp_path):
        def raise_error(data):
            raise AssertionError("it was called")

        dsrecords.register_type("tests.never_loaded", lambda value: b"abc", raise_error)
        ds = one(tmp_path, "tests.never_loaded", 5)
        assert only_cell(ds) == "ext(tests.never_loaded), 3 bytes"
        functions = dsrecords.IndexedRecordDataset(
            ds.path, {"x": raise_error}, transform=raise_error
        )
        assert only_cell(functions) == "ext(tests.never_loaded), 3 bytes"
        assert only_cell(one(tmp_path, "list[tests.never_loaded]", [5])).startswith(
            "list[ext(tests.never_loaded)], "
        )

    def test_json_is_written_no_further_than_it_is_shown(self, tmp_path):
        deep = "leaf"
        for _ in range(400):
            deep = [deep]
        assert only_cell(one(tmp_path, "json", deep)) == "[[[[…]]]]"
        wide = {str(number): list(range(200)) for number in range(200)}
        assert len(only_cell(one(tmp_path, "json", wide))) < 200


class TestDamage:
    def test_is_said_in_its_cell(self, tmp_path):
        path, _ = make_dataset(
            [{"x": "abc" * 20, "y": i} for i in range(3)],
            tmp_path / "a.rec",
            {"x": "str", "y": "int8"},
        )
        data = Path(path).read_bytes()
        flip(path, data.index(b"abcabc") + 30)
        cells = page_of(dsrecords.open(path)).cells
        assert cells[3:6] == ["0", "the checksum is wrong", "0"]
        assert cells[6:9] == ["1", "abc" * 20, "1"]

    def test_of_a_head_is_said_in_the_cells_of_its_record(self, tmp_path):
        path, index = make_dataset(
            [{"x": "abc" * 20, "y": i} for i in range(3)],
            tmp_path / "a.rec",
            {"x": "str", "y": "int8"},
        )
        ds = dsrecords.open(path)
        size = Path(index).stat().st_size
        flip(index, size - 10)
        cells = page_of(ds).cells
        assert cells[3:6] == ["0", "abc" * 20, "0"]
        assert cells[9] == "2"

    def test_a_closed_dataset_says_so(self, tmp_path):
        ds = one(tmp_path, "int64", 5)
        ds.close()
        page = page_of(ds)
        assert "closed" in page.text and page.cells == []


class TestNames:
    def complete(self, keys, typed):
        """What IPython does with what a method returns: keys that begin with what was typed."""
        return [
            key[-1]
            for key in keys
            if len(key) > len(typed) and not any(k != t for k, t in zip(key, typed))
        ]

    def test_of_fields_are_completed_behind_an_index(self, tmp_path):
        path, _ = make_dataset(
            [{"label": 1, "text": "a"}], tmp_path / "a.rec", {"label": "int8", "text": "str"}
        )
        keys = dsrecords.open(path)._ipython_key_completions_()
        for index in (0, 17, -1):
            assert self.complete(keys, (index,)) == ["label", "text"]
        assert self.complete(keys, ("label",)) == []
        for key in keys:
            assert all(isinstance(part, (str, int)) for part in key)  # IPython leaves others out
            assert key[0] == 3 and key[0] != "label" and hash(key[0]) == hash(0)
        assert {repr(key[0]) for key in keys} == {"0"}

    def test_that_do_not_exist_are_not(self, tmp_path):
        path, _ = make_dataset([(1,)], tmp_path / "a.rec", ["int8"])
        assert dsrecords.open(path)._ipython_key_completions_() == []


NOTEBOOK = """
import sys, types, warnings

class Shell:
    config = {"IPKernelApp": {}}

ipython = types.ModuleType("IPython")
ipython.get_ipython = Shell
ipython.version_info = (9, 0)
core = types.ModuleType("IPython.core")
display = types.ModuleType("IPython.display")
display.display = print
display.clear_output = print
display.HTML = str
sys.modules.update({"IPython": ipython, "IPython.core": core, "IPython.display": display})
for missing in ("ipywidgets", "IPython.html", "IPython.html.widgets"):
    sys.modules[missing] = None

from dsrecords import make_dataset
make_dataset([(i,) for i in range(10)], sys.argv[1], ["int64"], progress=True)
print("tqdm.auto" in sys.modules)
"""


@pytest.mark.slow
def test_a_notebook_without_widgets_has_bars_of_text_and_no_warning(tmp_path):
    assert python(NOTEBOOK, tmp_path / "a.rec") == "True\n"  # warnings are errors there


def test_bars_say_how_far_it_is(tmp_path, capsys):
    make_dataset([(i,) for i in range(10)], tmp_path / "a.rec", ["int64"], progress=True)
    assert "10/10" in capsys.readouterr().err
