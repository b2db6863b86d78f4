"""Annotations that nest: bytes per record and read speed as structs, as JSON fields, in MDS and in Parquet.

    python benchmarks/annotations.py

Two synthetic datasets, the same in each run. "detection": 10,000 images of 1 to 60 objects with a box, a label, an area, a crowd
flag and, for some, a name, as COCO has them. "ocr": 10,000 pages of 1 to 60 lines with a text of 1 to 8 words, four corners and a
confidence. Each peer is measured in a process of its own, one after another in each round, from a warm cache; in the first round
what is read is compared with what was written. Single records are read in an order that is the same for all, and given as a list
of dicts or as columns.

By the author of one of them. MDS has no nested type: its `json` encoding is what there is. Parquet has nested columns, but no
random access to rows: a row costs its row group, here of 100 rows.
"""

import argparse
import functools
import json
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).parent
DETECTION = {
    "box": "float32[4]",
    "label": "int32",
    "area": "float32",
    "crowd": "bool",
    "name": "str?",
}
OCR = {"text": "str", "corners": "float32[4,2]", "confidence": "float32"}
FIELDS = {"detection": DETECTION, "ocr": OCR}
WORDS = "the of a to in is was for on that with as it at by from his this which or had an are be one not but were their"


def quarters(random, limit):
    """A number that float32 holds exactly, so that all peers can be compared."""
    return random.randrange(4 * limit) / 4


def one_object(random):
    x, y, w, h = (quarters(random, 640) for _ in range(4))
    name = random.choice(["person", "traffic light", "dog", None, None])
    return {
        "box": [x, y, w, h],
        "label": random.randrange(80),
        "area": quarters(random, 9000),
        "crowd": random.random() < 0.02,
        "name": name,
    }


def one_line(random):
    text = " ".join(random.choices(WORDS.split(), k=random.randint(1, 8)))
    corners = [[quarters(random, 2000), quarters(random, 3000)] for _ in range(4)]
    return {"text": text, "corners": corners, "confidence": random.randrange(256) / 256}


def samples(dataset, count):
    source = random.Random(0)
    one = {"detection": one_object, "ocr": one_line}[dataset]
    return [
        {"id": i, "objects": [one(source) for _ in range(source.randint(1, 60))]}
        for i in range(count)
    ]


def plain(objects):
    """Objects as lists and dicts, whatever gave them."""
    if isinstance(objects, dict):
        objects = [
            dict(zip(objects, row, strict=True)) for row in zip(*objects.values(), strict=True)
        ]
    return [
        {key: value.tolist() if hasattr(value, "tolist") else value for key, value in row.items()}
        for row in objects
    ]


def dsrecords(kind, decode=None):
    def write(rows, dataset, folder):
        import dsrecords

        objects = (
            [FIELDS[dataset]]
            if kind == "struct"
            else kind.replace("struct", json.dumps([FIELDS[dataset]]))
        )
        if kind == "zstd":
            text = ",".join(f"{key}:{part}" for key, part in FIELDS[dataset].items())
            objects = f"zstd(list[{{{text}}}])"
        dsrecords.make_dataset(rows, folder / "data.rec", {"id": "int64", "objects": objects})

    def read(folder):
        import dsrecords

        dataset = dsrecords.open(folder / "data.rec", decode=decode and {"objects": decode})
        return lambda i: dataset[i, "objects"]

    return write, read


@functools.cache
def streaming():
    """MDS, whose vision datasets import torchvision, whose operators the CPU build of torch lacks: declared, never called."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import streaming

    streaming.torchvision_operators = library  # they go when this does
    return streaming


def mds_write(rows, dataset, folder):
    with streaming().MDSWriter(out=str(folder), columns={"id": "int64", "objects": "json"}) as out:
        for row in rows:
            out.write(row)


def mds_read(folder):
    dataset = streaming().LocalDataset(str(folder))
    return lambda i: dataset[i]["objects"]


def parquet_write(rows, dataset, folder, compression="none"):
    import pyarrow as pa
    import pyarrow.parquet as pq

    boxes = {
        "float32[4]": pa.list_(pa.float32(), 4),
        "float32[4,2]": pa.list_(pa.list_(pa.float32(), 2), 4),
        "int32": pa.int32(),
    }
    kinds = {
        **boxes,
        "float32": pa.float32(),
        "bool": pa.bool_(),
        "str": pa.string(),
        "str?": pa.string(),
    }
    parts = pa.struct([(key, kinds[part]) for key, part in FIELDS[dataset].items()])
    table = pa.Table.from_pylist(
        rows, pa.schema([("id", pa.int64()), ("objects", pa.list_(parts))])
    )
    pq.write_table(table, folder / "data.parquet", row_group_size=100, compression=compression)


def parquet_read(folder):
    import pyarrow.parquet as pq

    file = pq.ParquetFile(folder / "data.parquet", memory_map=True)
    return lambda i: file.read_row_group(i // 100, columns=["objects"], use_threads=False)[
        "objects"
    ][i % 100].as_py()


STRUCT, COLUMNS, ZSTD, JSON = (
    dsrecords("struct"),
    dsrecords("struct", "columns"),
    dsrecords("zstd", "columns"),
    dsrecords("json"),
)
PEERS = {  # environment, how it is written, how it is read, records read in a round
    "DSRecords, list of structs, as dicts": ("compression", *STRUCT, 5000),
    "DSRecords, list of structs, as columns": ("compression", *COLUMNS, 5000),
    "DSRecords, the same within zstd, as columns": ("compression", *ZSTD, 5000),
    "DSRecords, json": ("compression", *JSON, 5000),
    "MDS, json": ("mds", mds_write, mds_read, 2000),
    "Parquet, list of structs": ("compression", parquet_write, parquet_read, 300),
}


def work(name, dataset, folder, count, first):
    """In the peer's environment: write and compare in the first round; print bytes and seconds per record."""
    _, write, read, reads = PEERS[name]
    if first:
        rows = samples(dataset, count)
        folder.mkdir(parents=True)
        write(rows, dataset, folder)
    get = read(folder)
    if first:
        for i in range(0, count, 1 if reads == 5000 else 50):
            assert plain(get(i)) == rows[i]["objects"], (name, i)
    order = random.Random(1).choices(range(count), k=reads)
    for i in order[: reads // 4]:
        get(i)
    start = time.perf_counter()
    for i in order:
        get(i)
    seconds = (time.perf_counter() - start) / reads
    print(
        json.dumps(
            [sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), seconds]
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="how many records")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=list(PEERS), metavar="PEER"
    )
    parser.add_argument(
        "--envs", type=Path, default=HERE / ".envs", help="where the environments are kept"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=HERE / ".data" / "annotations",
        help="where files are written; removed",
    )
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, dataset, folder, first = options.worker
        work(name, dataset, Path(folder), options.count, first == "True")
        return
    from environments import python_of

    shutil.rmtree(options.data, ignore_errors=True)
    try:
        for dataset in FIELDS:
            rows = samples(dataset, options.count)
            total = sum(len(row["objects"]) for row in rows)
            print(f"\n{dataset}: {len(rows):,} records, {total:,} objects\n")
            found = {name: [] for name in options.peers}
            for round in range(options.rounds):
                for name in options.peers:
                    folder = options.data / dataset / name.replace(" ", "-")
                    arguments = [
                        "--count",
                        str(options.count),
                        "--worker",
                        name,
                        dataset,
                        str(folder),
                        str(round == 0),
                    ]
                    command = [python_of(PEERS[name][0], options.envs), __file__, *arguments]
                    source = os.environ | {"PYTHONPATH": str(HERE.parent / "src")}
                    done = subprocess.run(
                        command, env=source, check=True, stdout=subprocess.PIPE, text=True
                    )
                    found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print("| | bytes per record | one record, median of rounds | fastest round |")
            print("| --- | --: | --: | --: |")
            for name, results in found.items():
                times = [1e6 * seconds for _, seconds in results]
                size = results[0][0] / len(rows)
                print(
                    f"| {name} | {size:,.0f} | {statistics.median(times):,.1f} µs | {min(times):,.1f} µs |"
                )
    finally:
        shutil.rmtree(options.data, ignore_errors=True)


if __name__ == "__main__":
    main()
