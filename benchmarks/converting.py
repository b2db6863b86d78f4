"""Conversions from and to each format: equal values counted, processor time, peak memory; beside plain ways of doing the same.

Usage: converting.py [--records N] [--images N] [--csv-rows N] [--rounds N] [--peers FOLDER] [--out FILE]

Each step runs in a process of its own, which measures itself: the time that importing takes is not
counted. The libraries of MDS and LitData have environments of their own (`--peers`, as
environments.py makes them); without these, their rows are left out.
"""

import argparse
import contextlib
import csv
import importlib
import importlib.metadata
import io
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

HERE = Path(__file__).parent
OUT = HERE / "CONVERTING.md"
SOURCE = str(HERE.parent / "src")
ROUNDS = 3  # of each step
sys.path.insert(0, SOURCE)


def picture(i, size=256):
    """A JPEG of some 15 to 30 KB, which differs from the others."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(i).integers(0, 255, (size // 4, size // 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((size, size)).save(file, "JPEG", quality=90)
    return file.getvalue()


# Steps, each in a process of its own: NAME(arguments…), which may print JSON


MODULES = (
    *("numpy", "PIL.Image", "sqlite3", "dsrecords._convert.convert", "dsrecords._convert.registry"),
    *(
        "pyarrow.compute",
        "pyarrow.csv",
        "pyarrow.parquet",
        "h5py",
        "lmdb",
        "google_crc32c",
        "pandas",  # pyarrow imports it where it makes arrays
        "av",
    ),
)


def convert(source, target, more="{}"):
    """Import first what is there of what a conversion may need; the time of that is not counted."""
    import logging

    import dsrecords
    from dsrecords._convert import registry

    modules = MODULES
    if not source.endswith(OF_PACKAGES) and not target.endswith(OF_PACKAGES):
        modules = MODULES[:5]
    if source.endswith(".hf") or target.endswith(".hf"):
        modules = (*MODULES, "datasets")
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    registry.all_formats()
    logging.disable()
    before = Spent()
    made = dsrecords.convert(source, target, **json.loads(more))
    before.report(records=made.records)


OF_PACKAGES = (
    ".csv",
    ".parquet",
    ".feather",
    ".hf",
    ".h5",
    ".lmdb",
    ".tfrecord",
    ".lerobot",
    ".array_record",
)


def extend_columns(table, target):
    """What a user writes who has the columns already."""
    import pyarrow.csv

    import dsrecords

    read = pyarrow.csv.read_csv(table)
    schema = {
        name: str(kind).replace("double", "float64").replace("string", "str")
        for name, kind in zip(read.column_names, read.schema.types)
    }
    columns = {
        name: read.column(name).to_pylist()
        if schema[name] == "str"
        else read.column(name).to_numpy()
        for name in schema
    }
    before = Spent()
    with dsrecords.IndexedRecordDataset(target, schema=schema) as ds:
        ds.extend_columns(columns)
    before.report()


class Spent:
    """What this process, and its children that have ended, have spent since it was made."""

    def __init__(self):
        self.wall = time.perf_counter()
        self.cpu = self.so_far()

    @staticmethod
    def so_far():
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    def report(self, **more):
        """Print seconds of time and of processor time, for `run`."""
        cpu = self.so_far() - self.cpu
        print(json.dumps({**more, "wall": time.perf_counter() - self.wall, "cpu": cpu}))


def parse_csv(table, _):
    """What parsing alone costs, by as many threads as `convert` takes: one."""
    import pyarrow.csv

    before = Spent()
    types = {"id": "int64", "x": "float64", "y": "float64", "label": "int64", "name": "string"}
    with pyarrow.csv.open_csv(
        table,
        pyarrow.csv.ReadOptions(use_threads=False, block_size=2**22),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types),
    ) as batches:
        for _batch in batches:
            pass
    before.report()


def copy_folder(source, target):
    before = Spent()
    shutil.copytree(source, target)
    before.report()


def read_tar(source, _):
    import webdataset

    before = Spent()
    for _sample in webdataset.WebDataset(source, shardshuffle=False):
        pass
    before.report()


def read_ours(source, target):
    """Read each record of what a conversion reads, without writing: as `convert` does."""
    from dsrecords._convert import registry
    from dsrecords._convert.damage import Damage

    before = Spent()
    opened = registry.format_of_source(source).open(source, {})
    schema = opened.types()
    for _row in opened.rows(schema, Damage()):
        pass
    before.report()


def read_mds(source, _):
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from streaming import LocalDataset

    before = Spent()
    dataset = LocalDataset(source)
    for i in range(len(dataset)):
        dataset[i]
    before.report()


def make_mds(folder, target):
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from streaming import MDSWriter

    with MDSWriter(out=target, columns={"image": "bytes", "label": "int"}) as writer:
        for number, path in enumerate(sorted(Path(folder).rglob("*.jpg"))):
            writer.write({"image": path.read_bytes(), "label": number})


def optimize_litdata(folder, target):
    from litdata import optimize

    before = Spent()
    sample = LitDataSample(folder)
    numbers = list(range(len(sample.paths)))
    optimize(sample, numbers, output_dir=target, chunk_bytes="64MB", num_workers=1)
    before.report()


class LitDataSample:
    """Reads a picture by its number: of paths, LitData would copy the files first."""

    def __init__(self, folder):
        self.paths = sorted(map(str, Path(folder).rglob("*.jpg")))

    def __call__(self, number):
        path = self.paths[number]
        return {"image": Path(path).read_bytes(), "name": os.path.basename(path)}


# Sources of formats that are only read: by their libraries where they can be here, else by hand


def images_of(given):
    """The pictures of our dataset, as bytes, with labels and names."""
    import dsrecords

    return dsrecords.open(given, decode={"image": "bytes"})


def make_coco(given, target):
    """By hand, as COCO's page says."""
    folder = Path(target)
    folder.mkdir()
    said = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    for number, row in enumerate(images_of(given)):
        (folder / row["name"]).write_bytes(row["image"])
        said["images"].append({"id": number, "file_name": row["name"]})
        said["annotations"].append(
            {"id": number, "image_id": number, "category_id": 1 + number % 2, "bbox": [0, 1, 2, 3]}
        )
    (folder / "annotations.json").write_text(json.dumps(said))


def make_voc(given, target):
    """By hand, as the page of Pascal VOC says."""
    folder = Path(target)
    for name in ("Annotations", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    for row in images_of(given):
        (folder / "JPEGImages" / row["name"]).write_bytes(row["image"])
        said = (
            f"<annotation><filename>{row['name']}</filename><object><name>{row['label']}</name><bndbox>"
            "<xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"
        )
        (folder / "Annotations" / row["name"]).with_suffix(".xml").write_text(said)


def make_mxnet(given, target):
    """By hand, as `mxnet.recordio` writes it: the magic does not occur in these pictures."""
    magic = 0xCED7230A
    with open(target, "wb") as file:
        for number, row in enumerate(images_of(given)):
            data = struct.pack("<IfQQ", 0, number, number, 0) + row["image"]
            assert struct.pack("<I", magic) not in data
            file.write(struct.pack("<II", magic, len(data)) + data + bytes(-len(data) % 4))


def make_array_record(given, target):
    from array_record.python import array_record_module

    writer = array_record_module.ArrayRecordWriter(target, "group_size:1")
    for row in images_of(given):
        writer.write(row["image"])
    writer.close()


def make_lerobot(given, target):
    """By hand, as the page of LeRobot says: an episode, without videos."""
    import pyarrow
    import pyarrow.parquet

    folder = Path(target)
    for name in ("data/chunk-000", "meta"):
        (folder / name).mkdir(parents=True)
    rows = [
        {"camera": {"bytes": row["image"], "path": None}, "episode_index": 0, "index": number}
        for number, row in enumerate(images_of(given))
    ]
    features = {name: {"dtype": "int64", "shape": [1]} for name in ("episode_index", "index")}
    info = {
        "codebase_version": "v3.0",
        "fps": 30,
        "total_frames": len(rows),
        "features": {"camera": {"dtype": "image", "shape": [256, 256, 3]}, **features},
    }
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, folder / "data" / "chunk-000" / "file-000.parquet")


# Running them


def run(step, *arguments, python=sys.executable):
    """Run a step in a process of its own: what it printed, and its peak memory in bytes."""
    code = (
        f"import sys; sys.path.insert(0, {SOURCE!r}); sys.path.insert(0, {str(HERE)!r})\n"
        f"import converting, resource, json\n"
        f"if __name__ == '__main__':\n"
        f"    converting.{step}(*sys.argv[1:])\n"
        f"    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        f"    print(json.dumps({{'peak': peak}}))"
    )
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles all modules
    with tempfile.TemporaryDirectory() as folder:  # of its own: what lies beside is imported
        script = Path(folder) / "step.py"
        script.write_text(code)
        command = [python, "-W", "ignore", script, *map(str, arguments)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
        )
    if done.returncode:
        raise RuntimeError(f"{step}: {done.stderr[-2000:]}")
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found.update(json.loads(line))
    return found


class Measured(NamedTuple):
    """Of several rounds the least time and the most memory: seconds and bytes."""

    wall: float
    cpu: float
    peak: int

    def __str__(self):
        return f"{self.wall:.2f} | {self.cpu:.2f} | {self.peak / 1e6:.0f}"


def measured(step, *arguments, rounds=None, clean=None, python=sys.executable):
    """Run a step several times."""
    found = []
    for _ in range(rounds or ROUNDS):
        if clean is not None:
            clean()
        found.append(run(step, *arguments, python=python))
    return Measured(
        min(one["wall"] for one in found),
        max(0.001, min(one["cpu"] for one in found)),
        max(one["peak"] for one in found),
    )


def remover(*paths):
    """A function that removes what steps have made."""

    def remove():
        for path in map(Path, paths):
            index = path.with_suffix(".idx") if path.suffix == ".rec" else path
            for one in (path, index):
                if one.is_dir():
                    shutil.rmtree(one)
                else:
                    one.unlink(missing_ok=True)

    return remove


def undecoded(path):
    import dsrecords

    ds = dsrecords.open(path)
    media = ("image", "jpeg")
    files = [name for name, kind in ds.schema.items() if str(kind).rstrip("?") in media]
    return ds.with_decode(dict.fromkeys(files, "bytes"))


def equal_values(one, other, names):
    """How many values are equal in two datasets, and how many there are.

    Args:
        one: a path.
        other: another one.
        names: of fields of the first to those of the second.
    """
    import numpy as np

    equal = total = 0
    for a, b in zip(undecoded(one), undecoded(other), strict=True):
        for name, known in names.items():
            total += 1
            left, right = a[name], b[known]
            if isinstance(left, np.ndarray):
                equal += np.array_equal(left, right)
            else:
                equal += left == right
    return equal, total


def version(*names):
    """The versions of packages; None if one is not installed."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            return None
    return ", ".join(found) or "the standard library"


def version_of_peer(python, name):
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return f"{name} {done.stdout.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--csv-rows", type=int, default=1_000_000)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    global ROUNDS
    ROUNDS = options.rounds
    with (
        tempfile.TemporaryDirectory(prefix="converting-") as name,
        open(options.out, "w", encoding="utf-8") as file,
    ):
        for line in report(Path(name), options):
            file.write(f"{line}\n")
            file.flush()


def report(folder, options):
    yield from (
        "# Conversions",
        "",
        "Made by `converting.py`. Times are the least of several rounds.",
    )
    yield ""
    given = make_given(folder, options)
    yield "| beside | theirs, s of CPU | ours, s of CPU | theirs ÷ ours |"
    yield "| --- | --- | --- | --- |"
    yield from comparisons(folder, options)
    yield ""
    yield from formats(folder, given, options)


def make_given(folder, options):
    """Our datasets of numbers, of rows and of pictures: paths by their names."""
    import numpy as np

    import dsrecords

    n = options.records
    given = {name: folder / f"{name}.rec" for name in ("columns", "rows", "images")}
    values = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    dsrecords.make_dataset(
        {"x": values, "label": np.arange(n)},
        given["columns"],
        {"x": "float32[8]", "label": "int64"},
    )
    rows = ({"id": i, "score": i / 8, "name": f"name {i}", "flag": i % 2 == 0} for i in range(n))
    schema = {"id": "int64", "score": "float64", "name": "str", "flag": "bool"}
    dsrecords.make_dataset(rows, given["rows"], schema)
    images = (
        {"image": picture(i), "label": ("cat", "dog")[i % 2], "name": f"{i:06}.jpg"}
        for i in range(options.images)
    )
    schema = {"image": "jpeg", "label": "category[cat,dog]", "name": "str"}
    dsrecords.make_dataset(images, given["images"], schema)
    return given


class Case(NamedTuple):
    """A format.

    Attributes:
        what: which of our datasets is converted to it.
        name: of the format.
        ending: of the name of what is written.
        packages: which write and read it.
        options: of writing it.
        names: fields to those that come back, if they are others.
        maker: a step that writes it, if we do not.
    """

    what: str
    name: str
    ending: str
    packages: tuple = ()
    options: Mapping = MappingProxyType({})
    names: Mapping = MappingProxyType({})
    maker: str = ""


CASES = (
    Case("columns", "npz", ".npz"),
    Case("columns", "npy", ".npy", options={"schema": {"label": None}}, names={"x": "array"}),
    Case("columns", "hdf5", ".h5", ("h5py",)),
    Case("rows", "csv", ".csv", ("pyarrow",)),
    Case("rows", "json-lines", ".jsonl"),
    Case("rows", "sqlite", ".sqlite"),
    Case("rows", "parquet", ".parquet", ("pyarrow",)),
    Case("rows", "feather", ".feather", ("pyarrow",)),
    Case("images", "image-folder", ".folder", options={"target_format": "image-folder"}),
    Case("images", "webdataset", ".tar"),
    Case("images", "tfrecord", ".tfrecord", ("google-crc32c",)),
    Case("images", "bagz", ".bag", options={"schema": {"label": None, "name": None}}, names={"image": "data"}),
    Case("images", "parquet", ".parquet", ("pyarrow",)),
    Case("images", "huggingface", ".hf", ("datasets",)),
    Case("images", "lmdb", ".lmdb", ("lmdb",), {"key": "name", "schema": {"label": None}}, {"image": "data", "name": "key"}),
    Case("images", "sqlite", ".sqlite"),
    Case("images", "coco", ".coco", names={"image": "image", "name": "name"}, maker="make_coco"),
    Case("images", "voc", ".voc", names={"image": "image", "name": "name"}, maker="make_voc"),
    Case("images", "mxnet", ".mx", names={"image": "data"}, maker="make_mxnet"),
    Case("images", "array-record", ".array_record", ("array_record",), names={"image": "data"}, maker="make_array_record"),
    Case("images", "lerobot", ".lerobot", ("pyarrow",), names={"image": "camera"}, maker="make_lerobot"),
)  # fmt: skip


def formats(folder, given, options):
    """A row for each format: a dataset is written in it, and made again."""
    yield "| what | format | library | records | equal values, there and back | out: s | s of CPU | MB | in: s | s of CPU | MB |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for case in CASES:
        library = version(*case.packages)
        if library is None:
            continue
        target = folder / f"{case.what}{case.ending}"
        if case.maker:
            run(case.maker, given[case.what], target)
            out = "| |"
        else:
            more = json.dumps(dict(case.options))
            out = measured("convert", given[case.what], target, more, clean=remover(target))
        source = target / "annotations.json" if case.name == "coco" else target
        yield back(folder, given, case, library, source, out)
        remover(target)()
    if options.peers is not None:
        yield from formats_of_peers(folder, given, options)


def formats_of_peers(folder, given, options):
    photos = folder / "numbered"
    photos.mkdir()
    for row in images_of(given["images"]):
        (photos / row["name"]).write_bytes(row["image"])
    for name, package, maker in (
        ("mds", "mosaicml-streaming", "make_mds"),
        ("litdata", "litdata", "optimize_litdata"),
    ):
        python = options.peers / f"loading-{name}" / "bin" / "python"
        target = folder / f"images.{name}"
        run(maker, photos, target, python=python)
        case = Case("images", name, "", names={"image": "image"})
        yield back(folder, given, case, version_of_peer(python, package), target, "| |")
        remover(target)()
    remover(photos)()


def back(folder, given, case, library, source, out):
    """A row: what was written is made a dataset again, and compared."""
    import dsrecords

    again = folder / "again.rec"
    into = measured("convert", source, again, clean=remover(again))
    found = dsrecords.open(again)
    one = given[case.what]
    names = case.names or {key: key for key in dsrecords.open(one).schema if key in found.schema}
    if case.name == "image-folder":  # in the order of its folders and names
        one = reordered(one, found, folder / "ordered.rec")
    equal, total = equal_values(one, again, names)
    count = len(found)
    remover(again, folder / "ordered.rec")()
    return (
        f"| {case.what} | {case.name} | {library} | {count:,} | {equal:,} of {total:,} "
        f"| {out} | {into} |"
    )


def reordered(given, found, target):
    """Our dataset in the order of another."""
    import dsrecords

    ds = dsrecords.open(given)
    places = {name: i for i, name in enumerate(ds.column("name"))}
    ds[[places[os.path.basename(row)] for row in found.column("name")]].compact(target)
    return target


TABLES = {
    "numbers": lambda i: {"id": i, "x": i / 7, "y": i * 0.25, "label": i % 10},
    "numbers and a string": lambda i: {"id": i, "x": i / 7, "name": f"name {i}", "label": i % 10},
}


def comparisons(folder, options):
    yield from tables(folder, options)
    yield from pictures(folder, options)
    if options.peers is not None:
        yield from peers(folder, options)


def tables(folder, options):
    """CSV beside `extend_columns` of what was parsed before."""
    ours = folder / "ours.rec"
    for what, row_of in TABLES.items():
        table = folder / "table.csv"
        with open(table, "w", newline="") as file:
            writer = csv.DictWriter(file, row_of(0))
            writer.writeheader()
            writer.writerows(map(row_of, range(options.csv_rows)))
        mine = measured("convert", table, ours, clean=remover(ours))
        theirs = measured("extend_columns", table, ours, clean=remover(ours))
        count = f"{options.csv_rows:,} rows of CSV ({what})"
        yield row(f"{count}: `extend_columns` of the same columns, parsed before", theirs, mine)
        parsed = measured("parse_csv", table, "")
        yield row(f"{count}: parsing alone, by {version('pyarrow')} and one thread", parsed, mine)
        table.unlink()


def pictures(folder, options):
    """A folder of pictures beside copying it; archives beside reading them."""
    import dsrecords

    ours = folder / "ours.rec"
    photos = folder / "photos"
    schema = {"name": None}
    dsrecords.convert(folder / "images.rec", photos, target_format="image-folder", schema=schema)
    (photos / "metadata.jsonl").unlink()
    copied = folder / "copy"
    mine = measured("convert", photos, ours, clean=remover(ours))
    theirs = measured("copy_folder", photos, copied, clean=remover(copied))
    yield row(f"{options.images:,} pictures in folders: copying the folder", theirs, mine)
    if version("webdataset"):
        tar = folder / "photos.tar"
        dsrecords.convert(ours, tar)
        mine = measured("read_ours", tar, "")
        theirs = measured("read_tar", tar, "")
        yield row(f"reading a WebDataset archive: by {version('webdataset')}", theirs, mine)


def peers(folder, options):
    """Libraries that do not install beside ours."""
    ours = folder / "ours.rec"
    photos = folder / "photos"
    mds = folder / "mds"
    python = options.peers / "loading-mds" / "bin" / "python"
    run("make_mds", photos, mds, python=python)
    mine = measured("read_ours", mds, "")
    theirs = measured("read_mds", mds, "", python=python)
    name = version_of_peer(python, "mosaicml-streaming")
    yield row(f"reading a folder of MDS: by `LocalDataset` of {name}", theirs, mine)
    mine = measured("convert", photos, ours, clean=remover(ours))
    python = options.peers / "loading-litdata" / "bin" / "python"
    lit = folder / "lit"
    theirs = measured(
        "optimize_litdata",
        photos,
        lit,
        python=python,
        rounds=1,
        clean=remover(lit),
    )
    name = version_of_peer(python, "litdata")
    yield row(f"the same pictures: `optimize` of {name}, one worker", theirs, mine)


def row(what, theirs, mine):
    return f"| {what} | {theirs.cpu:.2f} | {mine.cpu:.2f} | {theirs.cpu / mine.cpu:.2f} |"


if __name__ == "__main__":
    main()
