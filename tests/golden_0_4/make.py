"""Make the files of this folder with dsrecords 0.4.18, and `expected.json`: what its own reader reads from them.

In an environment of its own (the names of the package are those of this project):

    python3 -m venv old && old/bin/pip install dsrecords==0.4.18 numpy pillow opencv-python-headless
    old/bin/python tests/golden_0_4/make.py

They were made once and are kept. `expected.json` says for each file: its index, its fields (the 0.4 function and its options),
and for each record the values, or the error that the old reader raised.
"""

import json
import os
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from dsrecords import IndexedRecordDataset, io

FOLDER = Path(__file__).parent
expected = {}


def value_of(value):
    """As JSON."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Image.Image):
        return {"image": value.mode, "pixels": np.asarray(value).tolist()}
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.str, "values": value.tolist()}
    return [value_of(item) for item in value] if isinstance(value, list) else value


def function_of(spec, prefix):
    name, options = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    if "item" in options:
        options = {"dumper" if prefix == "dump" else "loader": function_of(options["item"], prefix)}
    if prefix == "load":
        options = {
            key: value
            for key, value in options.items()
            if key in ("bits", "signed", "encoding", "loader")
        }
    if name == "identity":
        return io.identity
    if name == "file":
        return io.dump_file if prefix == "dump" else io.identity
    function = getattr(io, f"{prefix}_{name}")
    return function(**options) if options else function


def note(name, fields, index=None):
    """Write down what the old reader reads."""
    index = index or os.path.splitext(name)[0] + ".idx"
    ds = IndexedRecordDataset(
        str(FOLDER / name),
        loaders=[function_of(f, "load") for f in fields],
        index_path=str(FOLDER / index),
    )
    rows = []
    for i in range(len(ds)):
        try:
            rows.append(value_of(ds[i]))
        except (struct.error, ValueError, EOFError) as error:
            rows.append({"error": f"{type(error).__name__}: {error}"})
    expected[name] = {"index": index, "fields": fields, "rows": rows}


def new(name, fields, rows, index=None):
    for path in (name, index or os.path.splitext(name)[0] + ".idx"):
        (FOLDER / path).unlink(missing_ok=True)
    # Without loaders its update does not know how many fields there are.
    loaders, dumpers = ([function_of(f, prefix) for f in fields] for prefix in ("load", "dump"))
    # Its make_dataset does not pass the path of an index on.
    ds = IndexedRecordDataset(
        str(FOLDER / name), loaders, dumpers, str(FOLDER / index) if index else None, create=True
    )
    for row in rows:
        ds.append(row)
    return ds


def serializers():
    fields = [
        ["bool"], ["int"], ["int", {"bits": 8}], ["int", {"bits": 16, "signed": False}], ["int", {"bits": 64}],
        ["int", {"bits": 64, "signed": False}], ["int", {"bits": 128}], ["int", {"bits": 128, "signed": False}],
        ["float", {"bits": 16}], ["float"], ["float", {"bits": 64}], ["str"], ["str", {"encoding": "latin-1"}],
        ["identity"], ["file"], ["np"], ["pil", {"format": "PNG"}], ["pil"], ["cv2", {"ext": ".png"}],
        ["list", {"item": ["int"]}], ["list", {"item": ["list", {"item": ["str"]}]}],
    ]  # fmt: skip
    picture = np.arange(27, dtype=np.uint8).reshape(3, 3, 3) * 9

    def row(sign, text, array):
        red = Image.new("RGB", (3, 2), (200, 10, 20))
        top = [100 * sign, 60_000, 2_000_000_000 * sign, 4_000_000_000, 2**62 * sign, 2**63]
        return [
            sign > 0, 70_000 * sign, *top, 0.5 * sign, 1.5 * sign, 1e300 * sign, text, "é" * 3, b"\0\1" * (2 + sign),
            str(FOLDER / "picture.txt"), array, Image.fromarray(picture), red, picture, [1, sign, 3], [["a", text], [], ["b"]],
        ]  # fmt: skip

    rows = [
        row(1, "漢字", np.arange(6, dtype="<f4").reshape(2, 3)),
        row(-1, "", np.array([[True]])),
        row(1, "x", np.array(7, ">i2")),
    ]
    new("serializers.rec", fields, rows)
    note("serializers.rec", fields)


NOTES = [["int"], ["str"]]
TEXTS = [["str"], ["identity"]]


def notes(*numbers):
    return [[n, f"note {n}"] for n in numbers]


def removals():
    new("empty.rec", NOTES, [])
    note("empty.rec", NOTES)

    new("emptied.rec", NOTES, notes(0)).quick_remove_at(0)
    note("emptied.rec", NOTES)

    ds = new("removed.rec", NOTES, notes(0, 1, 2, 3, 4, 5))
    ds.quick_remove_at(1)  # the last one takes its place, and stays behind the count
    ds.quick_remove_at(4)  # the last one: its entry becomes 0
    note("removed.rec", NOTES)
    (FOLDER / "trimmed.idx").unlink(missing_ok=True)
    ds.index.trim(str(FOLDER / "trimmed.idx"))
    note("removed.rec", NOTES, "trimmed.idx")
    expected["removed.rec with trimmed.idx"] = expected.pop("removed.rec")
    note("removed.rec", NOTES)

    ds = new("appended.rec", NOTES, notes(0, 1, 2, 3))
    ds.quick_remove_at(1)
    ds.append(
        notes(9)[0]
    )  # goes behind what was left there: the new last record is the one that took the place
    note("appended.rec", NOTES)

    for name, fields, rows in (
        ("zero.rec", NOTES, notes(0, 1, 2, 9)),
        ("zero_texts.rec", TEXTS, [["a", b"1"], ["b", b"2"], ["c", b""], ["z", b"9"]]),
    ):
        ds = new(name, fields, rows[:3])
        ds.quick_remove_at(2)
        ds.append(rows[3])  # the new last record is at offset 0: no bytes for any field
        note(name, fields)


def updates():
    ds = new("updated.rec", NOTES, notes(0, 1, 2, 3))
    ds[0] = [10, "n"]  # shorter: in its place
    ds[1] = [11, "a note that is longer than it was"]  # at the end
    ds[1] = [12, "a note at the end, which is longer again"]  # at the end: cut off and written anew
    ds[3] = [13, "note 3"]
    note("updated.rec", NOTES)

    ds = new("all.rec", NOTES, notes(*range(8)))
    ds[2] = [20, "much longer than it was before"]
    ds.quick_remove_at(0)
    ds[6] = [60, "short"]
    ds.quick_remove_at(3)
    ds.append(notes(9)[0])
    ds[1] = [15, "1"]
    note("all.rec", NOTES)


def names():
    new("no_ending", NOTES, notes(0, 1))
    note("no_ending", NOTES)
    new("train.data", NOTES, notes(2, 3), index="train_positions.bin")
    note("train.data", NOTES, "train_positions.bin")


def one_field():
    new("one.rec", [["str"]], [["a"], [""], ["bcd"]])
    note("one.rec", [["str"]])


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    for make in (serializers, removals, updates, names, one_field):
        make()
    (FOLDER / "expected.json").write_text(
        json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"{len(expected)} datasets")
