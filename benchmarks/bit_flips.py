"""One flipped bit: what eleven formats say to it. Writes its table into docs/reliability.md.

    python benchmarks/bit_flips.py [--trials 60] [--envs .envs] [PEER …]

200 records of 500 random bytes are written with each format's defaults, where it has a choice without compression. In each trial
one random bit of the largest data file is flipped (at the same fraction of the file for all), and a new process reads everything
back. "Wrong": a record came back other than it was written, or did not come back, without an error. An interpreter that crashes
counts as an error.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
COUNT, SIZE, SEED = 200, 500, 20_261_122


def records():
    """What is written: `bytes` of one length."""
    rng = random.Random(SEED)
    return [rng.randbytes(SIZE) for _ in range(COUNT)]


def _ours(path, rows):
    import dsrecords

    if rows is None:
        return [sample["data"] for sample in dsrecords.open(path)]
    return dsrecords.make_dataset([{"data": row} for row in rows], path, {"data": "bytes"})


def _npy(path, rows):
    import numpy as np

    if rows is None:
        return [row.tobytes() for row in np.load(path)]
    return np.save(path, np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1))


def _bagz(path, rows):
    import bagz

    if rows is None:
        return list(bagz.Reader(path, bagz.Reader.Options(compression=bagz.CompressionNone())))
    with bagz.Writer(path, bagz.Writer.Options(compression=bagz.CompressionNone())) as writer:
        for row in rows:
            writer.write(row)
    return None


def _parquet(path, rows):
    import pyarrow
    import pyarrow.parquet

    if rows is None:
        return pyarrow.parquet.read_table(path)["data"].to_pylist()
    return pyarrow.parquet.write_table(pyarrow.table({"data": rows}), path)


def _h5py(path, rows):
    import h5py
    import numpy as np

    if rows is None:
        with h5py.File(path) as file:
            return [row.tobytes() for row in file["data"][:]]
    with h5py.File(path, "w") as file:
        file["data"] = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    return None


def _tfrecord(path, rows):
    from tfrecord.reader import tfrecord_loader
    from tfrecord.writer import TFRecordWriter

    if rows is None:
        return [bytes(row["data"]) for row in tfrecord_loader(path, None, {"data": "byte"})]
    writer = TFRecordWriter(path)
    for row in rows:
        writer.write({"data": (row, "byte")})
    return writer.close()


def _safetensors(path, rows):
    import numpy as np
    from safetensors.numpy import load_file, save_file

    if rows is None:
        found = load_file(path)
        return [found[f"{i:03}"].tobytes() for i in range(COUNT)]
    return save_file({f"{i:03}": np.frombuffer(row, np.uint8) for i, row in enumerate(rows)}, path)


def _lmdb(path, rows):
    import lmdb

    if rows is None:
        with lmdb.open(path, readonly=True, lock=False) as env, env.begin() as transaction:
            return [bytes(value) for _, value in transaction.cursor()]
    with lmdb.open(path, map_size=2**26) as env, env.begin(write=True) as transaction:
        for i, row in enumerate(rows):
            transaction.put(b"%08d" % i, row)
    return None


def _webdataset(path, rows):
    import webdataset

    if rows is None:
        return [
            sample["bin"]
            for sample in webdataset.WebDataset(path, shardshuffle=False, empty_check=False)
        ]
    with webdataset.TarWriter(path) as tar:
        for i, row in enumerate(rows):
            tar.write({"__key__": f"{i:08d}", "bin": row})
    return None


def _arrayrecord(path, rows):
    from array_record.python import array_record_module as module

    if rows is None:
        reader = module.ArrayRecordReader(path)
        return reader.read(0, reader.num_records()) if reader.num_records() else []
    writer = module.ArrayRecordWriter(path, "group_size:1,uncompressed")
    for row in rows:
        writer.write(row)
    return writer.close()


PEERS = {  # name: how it is shown, its environment, the name of what is written, what writes and reads it
    "ours": ("**DSRecords**", "ours", "data.rec", _ours),
    "arrayrecord": ("ArrayRecord", "arrayrecord", "data.arrayrecord", _arrayrecord),
    "webdataset": ("WebDataset", "webdataset", "data.tar", _webdataset),
    "lmdb": ("LMDB", "lmdb", "data.lmdb", _lmdb),
    "safetensors": ("safetensors", "safetensors", "data.safetensors", _safetensors),
    "tfrecord": ("tfrecord (pure Python)", "tfrecord", "data.tfrecord", _tfrecord),
    "parquet": ("Parquet (pyarrow's defaults)", "parquet", "data.parquet", _parquet),
    "h5py": ("HDF5 (h5py)", "h5py", "data.h5", _h5py),
    "bagz": ("Bagz", "bagz", "data.bagz", _bagz),
    "npy": ("npy", "ours", "data.npy", _npy),
}


def worker(name, verb, path):
    """In the peer's own environment: write the records, or read them all and say how many are right."""
    function, rows = PEERS[name][3], records()
    if verb == "write":
        function(path, rows)
        return
    found = function(path, None)
    right = sum(a == b for a, b in zip(found, rows, strict=False))
    print(json.dumps({"right": right, "count": len(found)}))


def run(python, name, verb, path):
    environment = {"PYTHONPATH": str(ROOT / "src")} if name == "ours" else {}
    command = [str(python), str(Path(__file__)), "--worker", name, verb, str(path)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment or None
    )


def trials(name, python, count):
    """How often a flipped bit gave wrong values, an error, nothing."""
    tally = {"wrong": 0, "error": 0, "harmless": 0}
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole", PEERS[name][2])
        path.parent.mkdir()
        written = run(python, name, "write", path)
        if written.returncode:
            raise SystemExit(f"{name}: {written.stderr}")
        whole = run(python, name, "read", path)
        if whole.returncode or json.loads(whole.stdout) != {"right": COUNT, "count": COUNT}:
            raise SystemExit(
                f"{name} does not read back what it wrote: {whole.stdout}{whole.stderr}"
            )
        largest = max(
            (file for file in path.parent.rglob("*") if file.is_file()),
            key=lambda file: file.stat().st_size,
        )
        for _ in range(count):
            place, bit = rng.random(), rng.randrange(8)
            copy = Path(folder, "damaged")
            shutil.copytree(path.parent, copy)
            file = copy / largest.relative_to(path.parent)
            data = bytearray(file.read_bytes())
            data[int(place * len(data))] ^= 1 << bit
            file.write_bytes(data)
            done = run(python, name, "read", copy / path.relative_to(path.parent))
            shutil.rmtree(copy)
            if done.returncode:
                tally["error"] += 1
            else:
                same = json.loads(done.stdout.splitlines()[-1]) == {"right": COUNT, "count": COUNT}
                tally["harmless" if same else "wrong"] += 1
    return tally


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peers", nargs="*", help="by default all")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--envs", type=Path, default=ROOT / ".envs")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker)
        return
    from environments import EnvironmentFailedError, python_of

    rows = []
    for name in options.peers or PEERS:
        title, environment, _, _ = PEERS[name]
        try:
            tally = trials(name, python_of(environment, options.envs), options.trials)
        except EnvironmentFailedError as failure:
            print(f"{name} is left out: {failure}")
            continue
        print(f"{name}: {tally}", flush=True)
        bold = "**" if name == "ours" else ""
        rows.append(
            (
                tally["wrong"],
                f"| {title} | {bold}{tally['wrong']}{bold} | {tally['error']} | {tally['harmless']} |",
            )
        )
    if len(rows) == len(PEERS):
        head = [
            f"| {options.trials} trials each | wrong, silently | error | harmless |",
            "| --- | --- | --- | --- |",
        ]
        table = "\n".join([*head, *(row for _, row in sorted(rows, key=lambda pair: pair[0]))])
        text = PAGE.read_text(encoding="utf-8")
        begin, end = "<!-- bit flips -->\n", "\n<!-- end of bit flips -->"
        PAGE.write_text(
            re.sub(f"{begin}.*?{end}", lambda match: begin + table + end, text, flags=re.DOTALL),
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
