"""Datasets read and written by Ray Data, beside Ray's own Parquet and TFRecord files of the same records.

    python benchmarks/ray_datasets.py [--records 200000] [--rounds 3] [--folder FOLDER]
    python benchmarks/ray_datasets.py --copy 1000000        read and write so many, and compare them

Needs ray[data], psutil and, for TFRecord, tensorflow and crc32c: without these two it is left out. Starts a cluster of two processors of this machine.

A record has a label, a score, 16 float32 and a text of 20 to 60 letters, some 150 bytes. Each kind of file is written by Ray from the same blocks
and read with as many tasks:

    columns   every column, as blocks of Arrow
    arrays    the 16 float32 of all records, as arrays of NumPy (n, 16) in batches of 1,024
    labels    the labels alone
    write     all of it, from blocks that are in memory

What is written as TFRecord has lists in the place of tensors, of which Ray would make strings there. Numbers are processor time of the driver, the raylet and all workers, as the system counts it, in
microseconds a record: medians of rounds by turns, after one that does not count. By the author of one of them.
"""

import argparse
import contextlib
import importlib.util
import itertools
import json
import logging
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import ray
import ray.data
from ray.data.extensions import ArrowTensorArray

import dsrecords

BLOCKS = 8
WAYS = ("write", "columns", "arrays", "labels")
FIELDS = {"label": "int64", "score": "float32", "x": "float32[16]", "text": "str"}
IDLE = ("gcs_server", "dashboard", "log_monitor", "runtime_env", "monitor.py")


def start_cluster():
    for _ in range(10):
        try:
            ray.init(
                "local",
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=2**30,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            break
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)


_known = {}  # by process, seconds; what has died keeps those that were seen last


def look():
    """Note the processor time of this process, and of those that work for it."""
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            command = " ".join(process.cmdline()[:3])
            if any(name in command for name in IDLE):
                continue
            times = process.cpu_times()
            _known[process.pid, process.create_time()] = times.user + times.system


def keep_looking():
    while True:
        look()
        time.sleep(0.2)


def processor_time():
    """Seconds of this process, and of those that have worked for it."""
    look()
    return sum(list(_known.values()))


def block(start, stop):
    random = np.random.default_rng(start)
    count = stop - start
    letters = "abcdefghij" * 6
    lengths = random.integers(20, 61, count)
    return pa.table(
        {
            "label": np.arange(start, stop),
            "score": random.random(count, np.float32),
            "x": ArrowTensorArray.from_numpy(random.random((count, 16), np.float32)),
            "text": [letters[:length] for length in lengths],
        }
    )


def with_lists(table):
    tensors = table["x"].combine_chunks()
    return table.set_column(2, "x", tensors.storage.cast(pa.list_(pa.float32())))


def blocks(count):
    bounds = [count * number // BLOCKS for number in range(BLOCKS + 1)]
    return [block(start, stop) for start, stop in itertools.pairwise(bounds)]


# What is measured: of each kind of file, a function that writes and one that reads


def write_dsrecords(data, folder):
    dsrecords.ray.write(data, folder / "data.rec", FIELDS, overwrite=True)


def write_parquet(data, folder):
    data.write_parquet(str(folder), mode="overwrite")


def write_tfrecords(data, folder):
    data.write_tfrecords(str(folder), mode="overwrite")


def read_dsrecords(folder, columns):
    return dsrecords.ray.read(folder / "data.json", fields=columns, override_num_blocks=BLOCKS)


def read_parquet(folder, columns):
    return selected(ray.data.read_parquet(str(folder), override_num_blocks=BLOCKS), columns)


def read_tfrecords(folder, columns):
    return selected(ray.data.read_tfrecords(str(folder), override_num_blocks=BLOCKS), columns)


def selected(data, columns):
    return data if columns is None else data.select_columns(columns)


def kinds():
    found = {
        "dsrecords": (write_dsrecords, read_dsrecords),
        "Parquet": (write_parquet, read_parquet),
    }
    if importlib.util.find_spec("tensorflow") and importlib.util.find_spec("crc32c"):
        found["TFRecord"] = (write_tfrecords, read_tfrecords)
    return found


def total_of_table(table):
    return pa.table({"count": [len(table)], "bytes": [table.nbytes]})


def total_of_labels(table):
    return pa.table({"count": [len(table)], "sum": [sum(table["label"].to_numpy().tolist())]})


def total_of_arrays(batch):
    arrays = batch["x"]
    if arrays.dtype == object:
        arrays = np.stack(arrays)
    return {"count": [len(arrays)], "sum": [float(arrays.sum())]}


def read_all(read, folder):
    found = read(folder, None).map_batches(total_of_table, batch_format="pyarrow", batch_size=None)
    return sum(row["count"] for row in found.take_all())


def read_labels(read, folder):
    found = read(folder, ["label"]).map_batches(
        total_of_labels, batch_format="pyarrow", batch_size=None
    )
    rows = found.take_all()
    count = sum(row["count"] for row in rows)
    assert sum(row["sum"] for row in rows) == count * (count - 1) // 2
    return count


def read_arrays(read, folder):
    found = read(folder, ["x"]).map_batches(total_of_arrays, batch_size=1024)
    return sum(row["count"] for row in found.take_all())


def measured(work):
    before = processor_time()
    result = work()
    time.sleep(0.5)  # so that workers have said what they used
    return result, processor_time() - before


def ways_of(write, read, given, folder):
    return {
        "write": lambda: write(given, folder),
        "columns": lambda: read_all(read, folder),
        "arrays": lambda: read_arrays(read, folder),
        "labels": lambda: read_labels(read, folder),
    }


def compare(count, rounds, folder):
    tensors = ray.data.from_arrow(blocks(count)).materialize()
    lists = ray.data.from_arrow([with_lists(table) for table in blocks(count)]).materialize()
    found = kinds()
    ways = {}
    for name, (write, read) in found.items():
        given = lists if name == "TFRecord" else tensors
        (folder / name).mkdir()
        ways[name] = ways_of(write, read, given, folder / name)
    costs = {way: {name: [] for name in found} for way in WAYS}
    for turn in range(rounds + 1):
        for name, way in itertools.product(found, WAYS):
            done, seconds = measured(ways[name][way])
            assert done in (None, count), (name, way, done)
            cost = seconds / count * 1e6
            print(f"round {turn}: {name} {way} {cost:.2f} µs", flush=True)
            if turn:
                costs[way][name].append(cost)
    print_costs(costs)
    sizes = [bytes_of(folder / name) / count for name in found]
    print(f"{'bytes':10}" + "".join(f"{size:22.0f}  " for size in sizes))
    print(json.dumps(costs))


def print_costs(costs):
    names = costs[WAYS[0]]
    print(f"{'':10}" + "".join(f"{name:>24}" for name in names))
    for way, by_name in costs.items():
        ours = statistics.median(by_name["dsrecords"])
        medians = [statistics.median(by_name[name]) for name in names]
        cells = [f"{cost:10.2f} µs {cost / ours:7.2f} ×" for cost in medians]
        print(f"{way:10}" + "".join(f"{cell:>24}" for cell in cells))


def bytes_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def copy(count, folder):
    """Write so many records, read and write them with Ray, and compare all of them."""
    path = folder / "source.rec"
    tables = pa.concat_tables(blocks(count))
    plain = with_lists(tables)
    dsrecords.make_dataset(plain, path, FIELDS)
    del tables, plain
    read = dsrecords.ray.read(path, override_num_blocks=BLOCKS)
    made, seconds = measured(lambda: dsrecords.ray.write(read, folder / "copy.rec"))
    ours = dsrecords.open(path)
    theirs = dsrecords.open(made[1])
    assert len(ours) == len(theirs) == count
    assert ours.schema == theirs.schema
    for start in range(0, count, 50_000):
        part = slice(start, start + 50_000)
        assert ours[part].to_arrow().equals(theirs[part].to_arrow()), start
    assert theirs.check() == []
    print(f"{count:,} records, read and written by Ray in {len(theirs.files)} files, are equal")
    print(f"{seconds / count * 1e6:.2f} µs of processor time a record")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copy", type=int)
    parser.add_argument("--folder", help="by default a temporary one")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    start_cluster()
    threading.Thread(target=keep_looking, daemon=True).start()
    try:
        if arguments.copy:
            copy(arguments.copy, folder)
        else:
            compare(arguments.records, arguments.rounds, folder)
    finally:
        ray.shutdown()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
