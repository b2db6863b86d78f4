"""Make the files of tests/golden/: python tests/make_golden.py. Their ids are fixed, so the same bytes come out each time.

The library makes those of the types and of the edits; golden_by_hand.py has the others, byte by byte. The manifest says what a
reader finds in each (golden/README.md). The pictures in golden/pictures/ were made once and are kept (--pictures makes them), as
is compressed.rec (--compressed): what Pillow and zstd encode may change with their versions.
"""

import sys
from unittest import mock

import conformance
import numpy as np
from conformance import GOLDEN

import dsrecords
from dsrecords import io, make_dataset

PICTURES = GOLDEN / "pictures"
ID = bytes.fromhex("00112233445566778899aabbccddeeff")
NOTES = {"text": "str", "label": "int64"}
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
WITH_INDEX = ("update",)  # whose .idx is kept as well


def picture(name):
    return (PICTURES / name).read_bytes()


def notes(*labels):
    return [{"text": f"note {label}", "label": label} for label in labels]


def reverse(text):
    """A serializer of one's own."""
    return text[::-1].encode()


def back(data):
    return data.decode()[::-1]


def scalars():
    def row(flag, end, value):
        limits = {name: int(getattr(np.iinfo(name), end)) if end else 0 for name in INTEGERS}
        return {"bool": flag, **limits, **dict.fromkeys(FLOATS, value)}

    largest = {name: float(np.finfo(name).max) for name in FLOATS}
    smallest = {name: float(np.finfo(name).smallest_subnormal) for name in FLOATS}
    rows = [row(False, None, 0.0), row(True, "min", -0.0), row(True, "max", float("nan"))]
    rows += [row(False, None, float("inf")), row(False, None, float("-inf"))]
    rows += [{**row(False, None, 0), **largest}, {**row(False, None, 0), **smallest}]
    return {name: name for name in ("bool", *INTEGERS, *FLOATS)}, rows


def texts():
    rows = [
        {"str": "", "bytes": b"", "json": None},
        {
            "str": "été 漢字 😀\0\n",
            "bytes": bytes(range(256)),
            "json": {"a": [1, 2.5, "é"], "b": {"c": None, "d": True}},
        },
        {"str": "eight by", "bytes": b"12345678", "json": "only a text"},
    ]
    return {"str": "str", "bytes": "bytes", "json": "json"}, rows


def shaped_arrays():
    schema = {
        "fixed": "float32[2,3]", "row": "int16[*]", "boxes": "float64[*,4]", "ends": "uint8[*,2,*]", "mask": "bool[3]",
        "nothing": "float16[0]",
    }  # fmt: skip
    rows = [
        {
            "fixed": np.arange(6).reshape(2, 3) / 2, "row": [1, -2, 300], "boxes": [[0.5, 1, 2, 3], [4, 5, 6, 7]],
            "ends": np.arange(12).reshape(3, 2, 2), "mask": [True, False, True], "nothing": [],
        },
        {
            "fixed": np.full((2, 3), np.nan), "row": np.zeros(0, np.int16), "boxes": np.zeros((0, 4)),
            "ends": np.zeros((2, 2, 0), np.uint8), "mask": [False, False, False], "nothing": [],
        },
    ]  # fmt: skip
    return schema, rows


def any_arrays():
    person = np.dtype([("name", "<U4"), ("age", "u1"), ("position", "<f4", (2,))])
    arrays = [
        np.array([1.5, -2.5], "<f4"),
        np.array([[1, 2], [3, 4]], ">i2"),
        np.array(7, "<i8"),
        np.zeros((0, 3), "<f8"),
        np.array(["a", "épée"]),
        np.array([b"ab", b"c"]),
        np.array(["2026-11-22", "NaT"], "M8[D]"),
        np.array([90], "m8[s]"),
        np.array([True, False]),
        np.array([1 + 2j], "<c8"),
        np.array([("Ada", 36, (1, 2)), ("Bob", 41, (3, 4))], person),
    ]
    return {"array": "array"}, [{"array": array} for array in arrays]


def images():
    names = [
        ("red.jpg", "red.png", "red.webp", "red.gif"),
        ("grey.jpg", "alpha.png", "red.webp", "red.bmp"),
    ]
    schema = {"jpeg": "jpeg", "png": "png", "webp": "webp", "image": "image"}
    return schema, [dict(zip(schema, map(picture, row), strict=True)) for row in names]


def lists():
    kinds = (
        "int32",
        "float16",
        "bool?",
        "int64?",
        "str",
        "str?",
        "bytes",
        "json",
        "float32[2]",
        "list[uint8]",
        "list[str?]?",
    )
    schema = {f"list[{kind}]": f"list[{kind}]" for kind in kinds} | {
        "list[png]": "list[png]",
        "list[array]": "list[array]",
    }
    full = [
        [1, -2, 2**31 - 1], [0.5, float("inf")], [True, None, False], [None, 2**62], ["", "é", "eight by"], [None, "", "b"],
        [b"", b"abc"], [[None], {"a": 1}], [[1, 2], [3, 4]], [[1, 2, 3], [], [4]], [["a", None], None, []],
        [picture("red.png")], [np.array([1, 2], "<i2")],
    ]  # fmt: skip
    return schema, [dict(zip(schema, full, strict=True)), {name: [] for name in schema}]


def optional():
    values = {
        "bool": False, "int8": 0, "int16": -1, "int32": 2, "int64": 3, "uint8": 4, "uint16": 5, "uint32": 6, "uint64": 7,
        "float16": 0.5, "float32": 1.5, "float64": -0.0, "str": "", "bytes": b"x", "json": [1], "float32[2]": [1, 2],
        "int8[*]": [1], "array": np.array([1], "u1"), "png": picture("red.png"), "list[int8]": [1], "list[str]": ["a"],
    }  # fmt: skip
    schema = {name: f"{name}?" for name in values}
    there = dict.fromkeys(values)
    return schema, [
        values,
        there,
        {**there, "int8": 1, "str": "b"},
        {**values, "int8": None, "str": None},
    ]


def unnamed():
    return ["int32", reverse, io.save_list(save_fn=reverse)], [(1, "abc", ["de", "f"]), (2, "", [])]


def metadata():
    return {"n": "int8"}, [{"n": 1}]


def numbers():
    schema = {
        "category": 'category[cat,"traffic light"]', "category?": "category[a]?", "time": "datetime64[us]",
        "span": "timedelta64[D]?", "bfloat16": "bfloat16", "bfloats": "bfloat16[2]", "times": "list[datetime64[s]]",
        "categories": "list[category[x,y]?]",
    }  # fmt: skip
    rows = [
        {
            "category": "traffic light", "category?": None, "time": np.datetime64("2026-11-22T01:02:03.000004"), "span": None,
            "bfloat16": -1.5, "bfloats": [0.1, float("inf")], "times": [np.datetime64(1, "s")], "categories": ["y", None, "x"],
        },
        {
            "category": "cat", "category?": "a", "time": np.datetime64("NaT", "s"), "span": np.timedelta64(-3, "D"), "bfloat16": 0.1,
            "bfloats": [0, -0.0], "times": [], "categories": [],
        },
    ]  # fmt: skip
    return schema, rows


def complex_numbers():
    schema = {
        "complex64": "complex64",
        "complex128": "complex128?",
        "pair": "complex64[2]",
        "list": "list[complex128?]",
        "struct": {"z": "complex64?", "n": "int8"},
        "time": "datetime64[us,UTC]",
    }
    time = np.datetime64("2026-11-22T01:02:03.000004")
    rows = [
        {
            "complex64": 1.5 - 2j, "complex128": 0.1 + 1e300j, "pair": [1j, -0.0], "list": [1j, None],
            "struct": {"z": 2j, "n": 3}, "time": time,
        },
        {
            "complex64": complex("inf"), "complex128": None, "pair": [0, 1], "list": [],
            "struct": {"z": None, "n": -1}, "time": np.datetime64("NaT", "s"),
        },
    ]  # fmt: skip
    return schema, rows


def structs():
    word = {"text": "str", "at": "int32[2]"}
    schema = {
        "point": {"x": "float32", "y": "float32?", "name": "str?"},
        "objects": [{"box": "float32[4]", "label": "int32", "score": "float64?", "name": "str?"}],
        "lines": [{"words": [word], "first": word}],
        "some": "list[{a: int8}?]?",
    }
    hi, there = {"text": "hi", "at": [0, 2]}, {"text": "there", "at": [3, 8]}
    cat = {"box": [0, 1, 2, 3], "label": 7, "score": None, "name": "cat"}
    rows = [
        {
            "point": {"x": 1, "y": None, "name": "here"}, "objects": [cat, {**cat, "label": 8, "score": 0.5, "name": None}],
            "lines": [{"words": [hi, there], "first": hi}, {"words": [], "first": there}], "some": [{"a": 1}, None],
        },
        {"point": {"x": 0, "y": 2, "name": None}, "objects": [], "lines": [], "some": None},
    ]  # fmt: skip
    return schema, rows


def formats():
    """What other libraries read: their bytes, stated, so that no version of them changes the file."""
    wave = b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\2\0\0\0\0\x40"
    schema = {
        "msgpack": "msgpack",
        "message": "protobuf[google.protobuf.Timestamp]",
        "audio": "audio",
        "own": "ext(golden.own)?",
    }
    rows = [
        {
            "msgpack": {"a": [1, b"b", None]},
            "message": b"\x08\x05\x10\x07",
            "audio": wave,
            "own": "abc",
        }
    ]
    rows += [{"msgpack": None, "message": b"", "audio": wave, "own": None}]
    return schema, rows


def media():
    """A map, files, a video; and sounds that say that they have one channel."""
    schema = {
        "numbers": "map[int64]",
        "structs": "map[{a:int8,b:str?}]?",
        "some": "map[float32?]",
        "file": "file",
        "video": "video?",
        "one": "audio",
    }
    wave = picture("one_channel.wav")
    rows = [
        {
            "numbers": {"b": 1, "a": -2, "é": 3}, "structs": {"x": {"a": 1, "b": None}, "y": {"a": 2, "b": "z"}},
            "some": {"a": None, "b": 0.5}, "file": dsrecords.StoredFile(b"%PDF-1.7", ".pdf"), "video": picture("three.mp4"),
            "one": wave,
        },
        {"numbers": {}, "structs": None, "some": {}, "file": dsrecords.StoredFile(b""), "video": None, "one": wave},
    ]  # fmt: skip
    return schema, rows


def compressed():
    texts = [
        f"{name} wrote to {other} that it will rain"
        for name in ("Ada", "Bob", "Cy")
        for other in ("Di", "Ed", "Flo")
    ]
    rows = [{"text": text, "alone": [text, i]} for i, text in enumerate(texts * 30)]
    return {"text": "zstd(str)", "alone": "zstd(json,dict=0)?"}, rows


KEPT = {"compressed": compressed}  # made once, since what zstd writes may change with its version
SAMPLES = {
    "scalars": scalars, "texts": texts, "shaped_arrays": shaped_arrays, "any_arrays": any_arrays, "images": images,
    "lists": lists, "optional": optional, "unnamed": unnamed, "metadata": metadata,
    "numbers": numbers, "complex_numbers": complex_numbers, "structs": structs, "formats": formats,
    "media": media,
}  # fmt: skip
METADATA = {
    "metadata": {"about": "é" * 3000, "classes": ["cat", "dog"]}
}  # longer than one page: H is 8192


def append(ds):
    for row in notes(0, 1, 2):
        ds.append(row)


def extend(ds):
    ds.extend(notes(0, 1, 2))


def extend_columns(ds):
    ds.extend_columns({"text": ["note 0", "note 1", "note 2"], "label": np.arange(3)})


def replace(ds):
    ds.append({"text": "hi", "label": 1})
    ds[0] = {"text": "hello", "label": -1}


def update(ds):
    ds.extend(notes(0, 1, 2, 3))
    ds.flush()
    ds.update({2: {"text": "new 2", "label": 20}, 0: {"text": "new 0", "label": 10}})


def delete(ds):
    ds.extend(notes(0, 1, 2, 3))
    del ds[1]


def delete_several(ds):
    ds.extend(notes(0, 1, 2, 3, 4, 5))
    del ds[[4, 0, 2]]


def quick_remove_at(ds):
    ds.extend(notes(0, 1, 2, 3))
    ds.quick_remove_at(1)
    ds.quick_remove_at(2)


def correct_label(ds):
    """One field alone: the text is not written again."""
    ds.append({"text": "hi", "label": 1})
    ds[0, "label"] = -1


def correct_text(ds):
    ds.extend(notes(0, 1))
    ds[0, "text"] = "another text"
    ds[0, "label"] = 5


def change_metadata(ds):
    ds.append({"text": "note", "label": 0})
    ds.set_metadata({"classes": ["a", "b"]})
    ds.set_metadata({"classes": ["a", "b", "c"]})


def compacted(ds):
    ds.extend(notes(0, 1, 2, 3))
    ds[3] = {"text": "new 3", "label": 30}
    del ds[0]
    ds.compact()


def empty(ds):
    pass


EDITS = (
    append,
    extend,
    extend_columns,
    replace,
    update,
    delete,
    delete_several,
    quick_remove_at,
    correct_label,
    correct_text,
    change_metadata,
    compacted,
    empty,
)


ABOUT = {
    "scalars": "Numbers of each type: zeros, the least, the largest, not a number, infinite.",
    "texts": "Strings, bytes, JSON.",
    "shaped_arrays": "Arrays of fixed and of free shapes, also empty ones.",
    "any_arrays": "Arrays that state their own dtype and shape.",
    "images": "Encoded images, as they were given.",
    "lists": "Lists of numbers, of payloads, of lists; then empty ones.",
    "optional": "Types with a ?: values, None, and both by turns.",
    "unnamed": "Fields without names, two of them of types of one's own.",
    "metadata": "Metadata in a header that is longer than one page.",
    "numbers": "Categories, times, bfloat16.",
    "complex_numbers": "Complex numbers, and times in UTC.",
    "structs": "Structs, lists of structs, structs in structs.",
    "formats": "MessagePack, a protobuf message, audio, a type of one's own.",
    "media": "Maps, files of any kind, a video, samples of one channel.",
    "compressed": "Strings in zstd with a dictionary, JSON in zstd without one.",
    "append": "Three records, each appended.",
    "extend": "Three records in one batch.",
    "extend_columns": "The same from columns.",
    "replace": "A record is replaced as a whole.",
    "update": "Two records are replaced in one batch, with an index.",
    "delete": "One record is deleted.",
    "delete_several": "Three records that are not neighbours are deleted.",
    "quick_remove_at": "Two records are removed; the last one takes the place of each.",
    "correct_label": "A number is corrected: a revision that keeps the text.",
    "correct_text": "A text is corrected, then the number: a whole record, as no payload stays, and a revision.",
    "change_metadata": "Metadata are changed twice.",
    "compacted": "A dataset that was edited and then written anew.",
    "empty": "No records.",
    "view": "A view of update.rec.",
}  # fmt: skip


def make(folder):
    """All files that can be made again, in a folder that exists."""
    paths = []
    dsrecords.register_type("golden.own", reverse, back)
    for name, samples in SAMPLES.items():
        schema, rows = samples()
        make_dataset(rows, folder / f"{name}.rec", schema, metadata=METADATA.get(name), id=ID)
        paths.append(folder / f"{name}.rec")
    for edit in EDITS:
        path = folder / f"{edit.__name__}.rec"
        make_dataset([], path, NOTES, id=ID)
        # A compacted dataset has an id of its own, which is random.
        with dsrecords.open(path) as ds, mock.patch("os.urandom", lambda count: ID[::-1][:count]):
            edit(ds)
        paths.append(path)
    for path in paths:
        if path.stem not in WITH_INDEX:
            path.with_suffix(".idx").unlink()
    with dsrecords.open(folder / "update.rec") as ds:
        ds[[3, 0, 3]].save_view(folder / "view.idx")
    make_by_hand(folder)


def make_by_hand(folder):
    """The files that are made by hand, and the manifest of all, in a folder that has those of the library."""
    entries = []
    for name in [*SAMPLES, *KEPT, *(edit.__name__ for edit in EDITS)]:
        path = (GOLDEN if name in KEPT else folder) / f"{name}.rec"
        samples = {**SAMPLES, **KEPT}.get(name)
        rows = samples and samples()[1]
        index = f"{name}.idx" if name in WITH_INDEX else None
        entries.append(conformance.golden_entry(path, ABOUT[name], rows, index))
    view = conformance.golden_entry(folder / "update.rec", ABOUT["view"], view="view.idx")
    entries += [view, *conformance.write_by_hand(folder)]
    text = conformance.manifest_text(entries)
    (folder / conformance.MANIFEST).write_text(text, encoding="utf-8")


def make_pictures():
    """Small pictures of one colour, as the installed version of Pillow encodes them."""
    from PIL import Image

    PICTURES.mkdir(exist_ok=True)
    red = Image.new("RGB", (3, 2), (200, 10, 20))
    for ending in ("jpg", "png", "webp", "gif", "bmp"):
        red.save(PICTURES / f"red.{ending}", **({"lossless": True} if ending == "webp" else {}))
    Image.new("L", (3, 2), 77).save(PICTURES / "grey.jpg", quality=100)
    Image.new("RGBA", (2, 2), (1, 2, 3, 128)).save(PICTURES / "alpha.png")


if __name__ == "__main__":
    if "--pictures" in sys.argv[1:]:
        make_pictures()
    if "--compressed" in sys.argv[1:]:
        for name, samples in KEPT.items():
            schema, rows = samples()
            make_dataset(rows, GOLDEN / f"{name}.rec", schema, overwrite=True, id=ID)
    old = [
        *GOLDEN.glob("*.rec"),
        *GOLDEN.glob("**/*.idx"),
        *GOLDEN.glob(f"{conformance.BY_HAND}/*"),
    ]
    for path in old:
        if path.stem not in KEPT or path.suffix == ".idx":
            path.unlink(missing_ok=True)
    make(GOLDEN)
