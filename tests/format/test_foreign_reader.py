"""The files of tests/golden/: made again byte for byte, read by the library, and by a short program that knows nothing of it."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import bytes_by_hand as by_hand
import make_golden
import ml_dtypes
import numpy as np
import pytest
from sameness import same

import dsrecords
from dsrecords import IndexedRecordDataset, io

pytestmark = pytest.mark.slow

READER = Path(__file__).parents[2] / "examples" / "read_dsrecords.py"
GOLDEN = sorted(make_golden.GOLDEN.glob("*.rec"))
NAMES = [path.stem for path in GOLDEN]
NAN, INF = float("nan"), float("inf")


def notes(*pairs):
    return [{"text": text, "label": label} for text, label in pairs]


ZEROS = {
    "bool": False,
    "int8": 0,
    "int16": 0,
    "int32": 0,
    "int64": 0,
    "uint8": 0,
    "uint16": 0,
    "uint32": 0,
    "uint64": 0,
}
NOTHING = {
    "bool": None, "int8": None, "int16": None, "int32": None, "int64": None, "uint8": None, "uint16": None, "uint32": None,
    "uint64": None, "float16": None, "float32": None, "float64": None, "str": None, "bytes": None, "json": None,
    "float32[2]": None, "int8[*]": None, "array": None, "png": None, "list[int8]": None, "list[str]": None,
}  # fmt: skip
SOMETHING = {
    "bool": False, "int8": 0, "int16": -1, "int32": 2, "int64": 3, "uint8": 4, "uint16": 5, "uint32": 6, "uint64": 7,
    "float16": 0.5, "float32": 1.5, "float64": -0.0, "str": "", "bytes": b"x", "json": [1],
    "float32[2]": np.array([1, 2], "<f4"), "int8[*]": np.array([1], "i1"), "array": np.array([1], "u1"),
    "png": make_golden.picture("red.png"), "list[int8]": [1], "list[str]": ["a"],
}  # fmt: skip
EXPECTED = {
    "append": notes(("note 0", 0), ("note 1", 1), ("note 2", 2)),
    "extend": notes(("note 0", 0), ("note 1", 1), ("note 2", 2)),
    "extend_columns": notes(("note 0", 0), ("note 1", 1), ("note 2", 2)),
    "replace": notes(("hello", -1)),
    "update": notes(("new 0", 10), ("note 1", 1), ("new 2", 20), ("note 3", 3)),
    "delete": notes(("note 0", 0), ("note 2", 2), ("note 3", 3)),
    "delete_several": notes(("note 1", 1), ("note 3", 3), ("note 5", 5)),
    "quick_remove_at": notes(("note 0", 0), ("note 3", 3)),
    "correct_label": notes(("hi", -1)),
    "correct_text": notes(("another text", 5), ("note 1", 1)),
    "change_metadata": notes(("note", 0)),
    "compacted": notes(("note 1", 1), ("note 2", 2), ("new 3", 30)),
    "empty": [],
    "metadata": [{"n": 1}],
    "unnamed": [(1, "abc", ["de", "f"]), (2, "", [])],
    "scalars": [
        {**ZEROS, "float16": 0.0, "float32": 0.0, "float64": 0.0},
        {
            "bool": True, "int8": -128, "int16": -32768, "int32": -2147483648, "int64": -9223372036854775808,
            "uint8": 0, "uint16": 0, "uint32": 0, "uint64": 0, "float16": -0.0, "float32": -0.0, "float64": -0.0,
        },
        {
            "bool": True, "int8": 127, "int16": 32767, "int32": 2147483647, "int64": 9223372036854775807,
            "uint8": 255, "uint16": 65535, "uint32": 4294967295, "uint64": 18446744073709551615,
            "float16": NAN, "float32": NAN, "float64": NAN,
        },
        {**ZEROS, "float16": INF, "float32": INF, "float64": INF},
        {**ZEROS, "float16": -INF, "float32": -INF, "float64": -INF},
        {**ZEROS, "float16": 65504.0, "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308},
        {**ZEROS, "float16": 5.960464477539063e-08, "float32": 1.401298464324817e-45, "float64": 5e-324},
    ],
    "texts": [
        {"str": "", "bytes": b"", "json": None},
        {
            "str": "\u00e9t\u00e9 \u6f22\u5b57 \U0001f600\0\n", "bytes": bytes(range(256)),
            "json": {"a": [1, 2.5, "\u00e9"], "b": {"c": None, "d": True}},
        },
        {"str": "eight by", "bytes": b"12345678", "json": "only a text"},
    ],
    "shaped_arrays": [
        {
            "fixed": np.array([[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]], "<f4"), "row": np.array([1, -2, 300], "<i2"),
            "boxes": np.array([[0.5, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]], "<f8"),
            "ends": np.array([[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]], "u1"),
            "mask": np.array([True, False, True]), "nothing": np.zeros(0, "<f2"),
        },
        {
            "fixed": np.array([[NAN, NAN, NAN], [NAN, NAN, NAN]], "<f4"), "row": np.zeros(0, "<i2"),
            "boxes": np.zeros((0, 4), "<f8"), "ends": np.zeros((2, 2, 0), "u1"), "mask": np.zeros(3, "?"),
            "nothing": np.zeros(0, "<f2"),
        },
    ],
    "any_arrays": [
        {"array": array}
        for array in (
            np.array([1.5, -2.5], "<f4"), np.array([[1, 2], [3, 4]], ">i2"), np.array(7, "<i8"), np.zeros((0, 3), "<f8"),
            np.array(["a", "\u00e9p\u00e9e"], "<U4"), np.array([b"ab", b"c"], "S2"), np.array(["2026-11-22", "NaT"], "<M8[D]"),
            np.array([90], "<m8[s]"), np.array([True, False]), np.array([1 + 2j], "<c8"),
            np.array(
                [("Ada", 36, (1, 2)), ("Bob", 41, (3, 4))], [("name", "<U4"), ("age", "u1"), ("position", "<f4", (2,))]
            ),
        )
    ],
    "images": [
        {name: make_golden.picture(file) for name, file in row.items()}
        for row in (
            {"jpeg": "red.jpg", "png": "red.png", "webp": "red.webp", "image": "red.gif"},
            {"jpeg": "grey.jpg", "png": "alpha.png", "webp": "red.webp", "image": "red.bmp"},
        )
    ],
    "lists": [
        {
            "list[int32]": [1, -2, 2147483647], "list[float16]": [0.5, INF], "list[bool?]": [True, None, False],
            "list[int64?]": [None, 4611686018427387904], "list[str]": ["", "\u00e9", "eight by"], "list[str?]": [None, "", "b"],
            "list[bytes]": [b"", b"abc"], "list[json]": [[None], {"a": 1}],
            "list[float32[2]]": [np.array([1, 2], "<f4"), np.array([3, 4], "<f4")],
            "list[list[uint8]]": [[1, 2, 3], [], [4]], "list[list[str?]?]": [["a", None], None, []],
            "list[array]": [np.array([1, 2], "<i2")],
        },
        {
            "list[int32]": [], "list[float16]": [], "list[bool?]": [], "list[int64?]": [], "list[str]": [], "list[str?]": [],
            "list[bytes]": [], "list[json]": [], "list[float32[2]]": [], "list[list[uint8]]": [], "list[list[str?]?]": [],
            "list[array]": [],
        },
    ],
    "numbers": [
        {
            "category": "traffic light", "category?": None, "time": np.datetime64("2026-11-22T01:02:03.000004"), "span": None,
            "bfloat16": -1.5, "bfloats": np.array([0.10009765625, INF], ml_dtypes.bfloat16), "times": [np.datetime64(1, "s")],
            "categories": ["y", None, "x"],
        },
        {
            "category": "cat", "category?": "a", "time": np.datetime64("NaT", "us"), "span": np.timedelta64(-3, "D"),
            "bfloat16": 0.10009765625, "bfloats": np.array([0.0, -0.0], ml_dtypes.bfloat16), "times": [], "categories": [],
        },
    ],
    "complex_numbers": [
        {
            "complex64": 1.5 - 2j, "complex128": 0.1 + 1e300j, "pair": np.array([1j, -0.0], "<c8"), "list": [1j, None],
            "struct": {"z": 2j, "n": 3}, "time": np.datetime64("2026-11-22T01:02:03.000004"),
        },
        {
            "complex64": complex(INF, 0), "complex128": None, "pair": np.array([0, 1], "<c8"), "list": [],
            "struct": {"z": None, "n": -1}, "time": np.datetime64("NaT", "us"),
        },
    ],
    "structs": [
        {
            "point": {"x": 1.0, "y": None, "name": "here"},
            "objects": [
                {"box": np.array([0, 1, 2, 3], "<f4"), "label": 7, "score": None, "name": "cat"},
                {"box": np.array([0, 1, 2, 3], "<f4"), "label": 8, "score": 0.5, "name": None},
            ],
            "lines": [
                {
                    "words": [{"text": "hi", "at": np.array([0, 2], "<i4")}, {"text": "there", "at": np.array([3, 8], "<i4")}],
                    "first": {"text": "hi", "at": np.array([0, 2], "<i4")},
                },
                {"words": [], "first": {"text": "there", "at": np.array([3, 8], "<i4")}},
            ],
            "some": [{"a": 1}, None],
        },
        {"point": {"x": 0.0, "y": 2.0, "name": None}, "objects": [], "lines": [], "some": None},
    ],
    "formats": [
        {"msgpack": {"a": [1, b"b", None]}, "message": b"\x08\x05\x10\x07", "audio": (np.array([0.5], "f4"), 8000), "own": "abc"},
        {"msgpack": None, "message": b"", "audio": (np.array([0.5], "f4"), 8000), "own": None},
    ],
    "media": [
        {
            "numbers": {"b": 1, "a": -2, "é": 3}, "structs": {"x": {"a": 1, "b": None}, "y": {"a": 2, "b": "z"}},
            "some": {"a": None, "b": 0.5}, "file": (b"%PDF-1.7", ".pdf"), "video": make_golden.picture("three.mp4"),
            "one": (np.array([[0], [0.5]], "f4"), 8000),
        },
        {
            "numbers": {}, "structs": None, "some": {}, "file": (b"", ""), "video": None,
            "one": (np.array([[0], [0.5]], "f4"), 8000),
        },
    ],
    "compressed": [
        {"text": text, "alone": [text, 9 * turn + i]}
        for turn in range(30)
        for i, text in enumerate(
            f"{name} wrote to {other} that it will rain" for name in ("Ada", "Bob", "Cy") for other in ("Di", "Ed", "Flo")
        )
    ],
    "optional": [
        SOMETHING, NOTHING, {**NOTHING, "int8": 1, "str": "b"}, {**SOMETHING, "int8": None, "str": None},
    ],
}  # fmt: skip


def back(data):
    """A deserializer of one's own."""
    return data.decode()[::-1]


def opened(name):
    path = make_golden.GOLDEN / f"{name}.rec"
    if name == "unnamed":
        return IndexedRecordDataset(path, [None, back, io.load_list(load_fn=back)])
    dsrecords.register_type("golden.own", make_golden.reverse, make_golden.back)
    ds = dsrecords.open(path)
    images = {
        field: "bytes"
        for field, kind in ds.schema.items()
        if kind.rstrip("?") in ("jpeg", "png", "webp", "image")
    }
    return dsrecords.open(path, decode=images)


def printed_by_the_reader(path):
    command = [sys.executable, "-I", "-X", "utf8", READER, path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=3000)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def run_reader(path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(READER), str(path)])
    runpy.run_path(str(READER))


def test_every_golden_file_has_its_expectation():
    assert (
        NAMES
        == sorted(EXPECTED)
        == sorted(
            [
                *make_golden.SAMPLES,
                *make_golden.KEPT,
                *(edit.__name__ for edit in make_golden.EDITS),
            ]
        )
    )


def test_golden_files_come_out_the_same_when_made_again(tmp_path):
    make_golden.make(tmp_path)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    for name in made:
        assert (tmp_path / name).read_bytes() == (make_golden.GOLDEN / name).read_bytes(), name
    kept = {Path(f"{name}.rec") for name in make_golden.KEPT} | {Path("README.md")}
    there = {path.relative_to(make_golden.GOLDEN) for path in make_golden.GOLDEN.rglob("*.*")}
    assert made | kept == {path for path in there if path.parent.name != "pictures"}


@pytest.mark.parametrize("name", NAMES)
def test_library_reads_the_golden_file(name):
    ds = opened(name)
    wanted = EXPECTED[name]
    assert len(ds) == len(wanted)
    for got, expected in zip(ds, wanted, strict=True):
        if name == "lists":
            got.pop("list[png]")
        if name == "media":
            file = got["file"]
            got["file"] = (file.data, file.suffix)
            got["video"] = got["video"] and got["video"].data
        assert same(got, expected), (got, expected)
    assert ds.check() == []


def test_metadata_of_the_golden_file():
    ds = opened("metadata")
    assert ds.metadata == {"about": "\u00e9" * 3000, "classes": ["cat", "dog"]}
    assert int.from_bytes(Path(ds.path).read_bytes()[16:20], "little") == 8192


def test_pictures_of_the_golden_file_decode():
    ds = dsrecords.open(make_golden.GOLDEN / "images.rec")
    first, second = ds
    assert [first[name].format for name in first] == ["JPEG", "PNG", "WEBP", "GIF"]
    assert [second[name].format for name in second] == ["JPEG", "PNG", "WEBP", "BMP"]
    assert {image.size for image in first.values()} == {(3, 2)}
    assert first["png"].getpixel((2, 1)) == (200, 10, 20)
    assert second["png"].getpixel((1, 1)) == (1, 2, 3, 128)
    pictures = dsrecords.open(make_golden.GOLDEN / "lists.rec")[0, "list[png]"]
    assert [picture.getpixel((0, 0)) for picture in pictures] == [(200, 10, 20)]


def test_custom_fields_of_the_golden_file_need_their_functions():
    ds = dsrecords.open(make_golden.GOLDEN / "unnamed.rec")
    assert ds.schema == ["int32", "custom(reverse)", "custom(save_list)"]
    with pytest.raises(
        dsrecords.SchemaError,
        match=r"record 0, field 1.*written by the serializer reverse.*deserializers=",
    ):
        ds[0]
    assert ds[1, 0] == 2


def test_golden_view_shows_records_of_its_dataset():
    ds = dsrecords.open(
        make_golden.GOLDEN / "update.rec", index_path=make_golden.GOLDEN / "view.idx"
    )
    assert [ds[i] for i in range(len(ds))] == [EXPECTED["update"][i] for i in (3, 0, 3)]
    assert ds.check() == []


def test_golden_index_is_what_the_page_says():
    data = (make_golden.GOLDEN / "update.rec").read_bytes()
    idx = (make_golden.GOLDEN / "update.idx").read_bytes()
    log = by_hand.Log(by_hand.TEXT, make_golden.ID)
    log.data = data[:4096]
    log.prev = log.header_check
    for i in range(4):
        log.text(f"note {i}", i, by_hand.PENDING)
    log.commit()
    log.text("new 2", 20, by_hand.PENDING)
    log.text("new 0", 10, by_hand.PENDING)
    log.commit(by_hand.TAKE_LAST, [0, 2])
    assert log.data == data
    _, one, _, three, new_2, new_0 = log.frames
    slots = [idx[:128], idx[4096:4224]]
    newest = max(slots, key=lambda slot: slot[32:40])
    seq = int.from_bytes(newest[32:40], "little")
    assert slots[seq % 2] == newest
    rows = [new_0, one, new_2, three]
    assert idx == by_hand.index(log, rows, seq=seq, other_slot=slots[1 - seq % 2])


def test_reader_is_short_and_imports_only_the_standard_library():
    source = READER.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 80
    assert max(map(len, source.splitlines())) <= 120
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported <= sys.stdlib_module_names


def test_reader_prints_texts_numbers_and_json_as_they_are():
    assert printed_by_the_reader(make_golden.GOLDEN / "replace.rec") == [
        "(0, {'text': 'hello', 'label': -1})"
    ]
    assert "'json': '\"only a text\"'" in printed_by_the_reader(make_golden.GOLDEN / "texts.rec")[2]


def damaged(data, at):
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def test_reader_shows_a_state_of_the_list_or_fails_with_a_sentence_on_every_damaged_byte(
    tmp_path, monkeypatch, capsys
):
    right = (make_golden.GOLDEN / "correct_text.rec").read_bytes()
    path = tmp_path / "damaged.rec"
    shown, refused = set(), 0
    for at in [*range(0xB0), 0xB8, 0x800, *range(0xFFE, len(right))]:
        path.write_bytes(damaged(right, at))
        try:
            run_reader(path, monkeypatch)
        except SystemExit as error:
            assert re.search(r"damaged\.rec, byte \d+: \w+ \w+", str(error))
            refused += 1
        shown.add(capsys.readouterr().out)
    # The last edit is a batch of its own, which nothing vouches for: damaged, it is not there.
    texts = "(0, {'text': 'another text', 'label': %d})\n(1, {'text': 'note 1', 'label': 1})\n"
    assert shown == {"", texts % 0, texts % 5}
    assert refused > 400


def test_reader_shows_a_state_of_the_list_wherever_a_file_is_cut(tmp_path, monkeypatch, capsys):
    right = (make_golden.GOLDEN / "replace.rec").read_bytes()
    path = tmp_path / "cut.rec"
    for length in (0, 7, 39, 40, 4095):
        path.write_bytes(right[:length])
        with pytest.raises(SystemExit, match=r"cut\.rec, byte \d+: \w+ \w+"):
            run_reader(path, monkeypatch)
    for length in range(4096, len(right)):
        path.write_bytes(right[:length])
        run_reader(path, monkeypatch)
        first_is_whole = length >= 0x1030
        wanted = "(0, {'text': 'hi', 'label': 1})\n" if first_is_whole else "\n"
        assert capsys.readouterr().out == wanted
