"""What each type becomes in tables of other packages, and which come back: the table in docs/tables.md.

Usage: python tests/tables/mappings.py    write the table

Each dataset has three records of a type, and three of the type that may be None, of which the second is. A cell says
what the column is in the package, and what `make_dataset` makes of that: `=` if it is the same type and the same values.
"""

import contextlib
import functools
import io
import logging
import re
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image
from sameness import same

import dsrecords
from dsrecords import SchemaError, StoredFile

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
BEGIN = "<!-- mappings -->\n"
END = "<!-- end of mappings -->\n"
BACK = ("Arrow", "pandas", "Polars", "DuckDB")
PACKAGES = (*BACK, "Hugging Face")
EQUAL = "="
REFUSED = "refused"
NOT_TAKEN = "not taken"


def image_file(format, size=(6, 4)):
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 90)).save(file, format)
    return file.getvalue()


def wav():
    """A WAV of four samples, written by hand."""
    samples = np.array([0, 1000, -1000, 0], "<i2").tobytes()
    form = (
        np.array([1, 1], "<u2").tobytes()
        + np.array([8000, 16000], "<u4").tobytes()
        + np.array([2, 16], "<u2").tobytes()
    )
    chunks = b"fmt " + np.array([16], "<u4").tobytes() + form
    chunks += b"data" + np.array([len(samples)], "<u4").tobytes() + samples
    return b"RIFF" + np.array([4 + len(chunks)], "<u4").tobytes() + b"WAVE" + chunks


CLIP = Path(__file__).parents[1] / "golden" / "pictures" / "three.mp4"
MOMENTS = np.array(["2026-11-26T13:57:14", "1969-12-31T23:59:59", "2000-01-01"], "M8[s]")


def times(unit):
    return list(MOMENTS.astype(f"M8[{unit}]"))


def durations(unit):
    return list(np.array([90, -1, 0]).astype(f"m8[{unit}]"))


ROWS = {  # by type, three values
    "bool": [True, False, True],
    **{f"int{bits}": [1, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1] for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": [1, 0, 2**bits - 1] for bits in (8, 16, 32, 64)},
    "float16": [0.5, float("nan"), float("inf")],
    "float32": [0.5, float("nan"), -0.0],
    "float64": [0.1, float("nan"), float("-inf")],
    "bfloat16": [0.5, 1.0, -2.0],
    "complex64": [1 + 2j, 0j, -1j],
    "complex128": [0.1 + 2j, 0j, -1j],
    **{
        f"datetime64[{unit}]": times(unit)
        for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps")
    },
    "datetime64[us,UTC]": times("us"),
    **{
        f"timedelta64[{unit}]": durations(unit)
        for unit in ("Y", "D", "h", "s", "ms", "us", "ns", "ps")
    },
    "category[cat,dog]": ["dog", "cat", "dog"],
    "str": ["grün", "", "a\0b"],
    "zstd(str)": ["grün " * 50, "", "x"],
    "json": [{"a": [1, None]}, [], "text"],
    "bytes": [b"\0\xff", b"", b"abc"],
    "msgpack": [{"k": b"v", 5: 1.5}, [], "text"],
    "protobuf[a.Message]": [b"\x08\x05", b"", b"\x08\x06"],
    "jpeg": [image_file("JPEG"), image_file("JPEG", (3, 3)), image_file("JPEG", (9, 9))],
    "png": [image_file("PNG"), image_file("PNG", (3, 3)), image_file("PNG", (9, 9))],
    "webp": [image_file("WEBP"), image_file("WEBP", (3, 3)), image_file("WEBP", (9, 9))],
    "image": [image_file("PNG"), image_file("JPEG"), image_file("GIF")],
    "audio": [wav()] * 3,
    "video": [CLIP.read_bytes()] * 3,
    "file": [StoredFile(b"%PDF", ".pdf"), StoredFile(b"", ""), StoredFile(b"x", ".y")],
    "float32[3]": list(np.arange(9, dtype="f4").reshape(3, 3)),
    "float32[2,3]": list(np.arange(18, dtype="f4").reshape(3, 2, 3)),
    "bool[2]": list(np.array([[True, False], [False, False], [True, True]])),
    "complex64[2]": list(np.array([[1j, 2], [0, 1], [3, 4j]], "c8")),
    "datetime64[us][2]": list(np.array([[1, 2], [3, 4], [5, 6]], "M8[us]")),
    "int64[*]": [np.arange(3), np.arange(0), np.arange(1)],
    "float32[*,4]": [np.ones((2, 4), "f4"), np.zeros((0, 4), "f4"), np.ones((1, 4), "f4")],
    "float32[2,*]": [np.ones((2, 3), "f4"), np.zeros((2, 0), "f4"), np.ones((2, 1), "f4")],
    "uint8[*,*,3]": [np.ones((2, 1, 3), "u1"), np.zeros((0, 5, 3), "u1"), np.ones((1, 2, 3), "u1")],
    "float32[0,3]": [np.zeros((0, 3), "f4")] * 3,
    "array": [np.arange(3), np.array([["a", "bc"]]), np.array(0.5, "f4")],
    "list[int64]": [[1, 2], [], [3]],
    "list[int64?]": [[1, None], [], [3]],
    "list[str]": [["a", ""], [], ["c"]],
    "list[list[float32]]": [[[0.5], []], [], [[1.5, 2.5]]],
    "list[png]": [[image_file("PNG")], [], [image_file("PNG")] * 2],
    "{x:float32,name:str?}": [
        {"x": 0.5, "name": None},
        {"x": 1.5, "name": "a"},
        {"x": 2.5, "name": ""},
    ],
    "list[{box:int16[4],label:category[cat,dog]}]": [
        [{"box": np.arange(4, dtype="i2"), "label": "dog"}],
        [],
        [{"box": np.arange(4, dtype="i2"), "label": "cat"}] * 2,
    ],
    "map[int64]": [{"a": 1, "b": 2}, {}, {"c": 3}],
    "map[{n:int8}?]": [{"a": {"n": 1}, "b": None}, {}, {"c": {"n": 2}}],
}


def dataset_of(kind, values, folder):
    path, _ = dsrecords.make_dataset(
        [{"x": value} for value in values],
        Path(folder) / "given.rec",
        {"x": kind},
        overwrite=True,
    )
    return dsrecords.open(path)


def with_none(values):
    return [values[0], None, values[2]]


def decoded(path):
    """What is compared of a dataset: its type and its values, files as they are stored."""
    found = dsrecords.open(path)
    kind = found.schema["x"]
    if any(word in kind for word in ("jpeg", "png", "webp", "image", "audio", "video")):
        found = dsrecords.open(path, decode={"x": "bytes"})
    return kind, [sample["x"] for sample in found]


def table_in(package, ds):
    """The dataset as a table of a package."""
    if package == "Arrow":
        return pa.table(ds)
    if package == "pandas":
        return ds.to_pandas()
    if package == "Polars":
        return ds.to_polars()
    if package == "DuckDB":
        return duckdb.sql("SELECT * FROM ds")
    return ds.to_huggingface()


def is_taken(package, kind):
    """Whether a package has the type: DuckDB has no floats of 16 bits."""
    return (package, kind.rstrip("?")) != ("DuckDB", "float16")


def type_in(package, table):
    """What a package calls the type of the column."""
    if package == "Arrow":
        return re.sub(r"(item|element|entries): ", "", str(table.schema.field("x").type))
    if package == "pandas":
        return str(table["x"].dtype)
    if package == "Polars":
        return str(table.schema["x"])
    if package == "DuckDB":
        return str(table.types[0])
    return re.sub(r"(Value|Image|Audio|Video)\((.*?)\)", _feature, str(table.features["x"]))


def _feature(match):
    if match[1] == "Value":
        return match[2].strip("'")
    return match[1]


def outcome(package, kind, values, folder):
    """What comes back of a type: `=`, or the type as which it does, or that nothing does."""
    ds = dataset_of(kind, values, folder)
    if not is_taken(package, kind):
        return NOT_TAKEN
    wanted = decoded(Path(folder) / "given.rec")
    table = table_in(package, ds)
    try:
        with _quiet():
            path, _ = dsrecords.make_dataset(table, Path(folder) / "back.rec", overwrite=True)
    except SchemaError:
        return REFUSED
    found = decoded(path)
    if found[0] != wanted[0]:
        return f"`{found[0]}`"
    assert same(found[1], wanted[1]), (
        package,
        found,
        wanted,
    )  # never another value of the same type
    return EQUAL


@contextlib.contextmanager
def _quiet():
    """Without the warning of which schema was chosen."""
    logger = logging.getLogger("dsrecords")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@functools.cache
def outcomes(package, kind):
    """The outcomes of a type, and of the type that may be None."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            outcome(package, kind, ROWS[kind], folder),
            outcome(package, f"{kind}?", with_none(ROWS[kind]), folder),
        ]


def cell(package, kind):
    if not is_taken(package, kind):
        return NOT_TAKEN
    with tempfile.TemporaryDirectory() as folder:
        name = type_in(package, table_in(package, dataset_of(kind, ROWS[kind], folder)))
    name = f"`{name.replace('|', '/')}`"
    if package not in BACK:
        return name
    first, nullable = outcomes(package, kind)
    back = first
    if first == EQUAL and nullable != EQUAL:
        back = f"=, `?` → {nullable}"
    if back.startswith(EQUAL):
        return f"{name} {back}"
    return f"{name} → {back}"


def counts():
    """By package, how many types come back as they were, also where they may be None."""
    return {
        package: sum(outcomes(package, kind) == [EQUAL, EQUAL] for kind in ROWS) for package in BACK
    }


def table():
    head = f"| type | {' | '.join(PACKAGES)} |"
    rule = "| --- |" + " --- |" * len(PACKAGES)
    rows = [
        f"| `{kind}` | {' | '.join(cell(package, kind) for package in PACKAGES)} |" for kind in ROWS
    ]
    counted = [f"{count} from {package}" for package, count in counts().items()]
    said = f"Of these {len(ROWS)} types, so many come back as they were: {', '.join(counted)}."
    return "\n".join(["", head, rule, *rows, "", said, "", ""])


def on_the_page():
    found = re.search(f"{BEGIN}(.*?){END}", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return found[1]


def main():
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
