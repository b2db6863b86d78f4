"""The label column of 100,000 records of 4 KB: the first reading and the second, of warm files and of cold ones, beside peers.

python benchmarks/labels.py [--records 100000] [--rounds 5] [--data FOLDER] [--only ours,h5py]

Each number is of a fresh process, which opens the dataset before the clock starts; peers have environments of their own, made when
first needed. Ours reads from Python with every row verified the first time. 0.4 GB for each peer, removed at the end.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import environments
import measure

HERE = Path(__file__).parent
CHILD = """
import json, sys, time
from pathlib import Path

import numpy as np

folder, count, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
labels = np.arange(count) % 1000
blob = bytes(4000)
{code}
if what == "write":
    write()
else:
    source = open_()
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        column = read(source)
        seconds.append(time.perf_counter() - start)
        assert (np.asarray(column) == labels).all()
    print(json.dumps(seconds))
"""
PEERS = {
    "ours": """
import dsrecords
def write():
    rows = ({"image": blob, "label": label} for label in labels.tolist())
    dsrecords.make_dataset(rows, folder / "a.rec", {"image": "bytes", "label": "int64"})
def open_():
    return dsrecords.open(folder / "a.rec")
def read(source):
    return source.column("label")
""",
    "h5py": """
import h5py
def write():
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("image", data=np.zeros((count, 4000), np.uint8))
        file.create_dataset("label", data=labels)
def open_():
    return h5py.File(folder / "a.h5", "r")
def read(source):
    return source["label"][:]
""",
    "hf": """
import datasets
import pyarrow as pa
datasets.disable_progress_bars()
def write():
    images = pa.array([blob] * count, pa.large_binary())
    table = pa.table({"image": images, "label": pa.array(labels)})
    datasets.Dataset(table).save_to_disk(str(folder / "data"))
def open_():
    return datasets.load_from_disk(str(folder / "data"))
def read(source):
    return source.data.table.column("label").to_numpy()
""",
    "lance": """
import lance
import pyarrow as pa
def write():
    images = pa.array([blob] * count, pa.large_binary())
    lance.write_dataset(pa.table({"image": images, "label": pa.array(labels)}), str(folder / "data"))
def open_():
    return lance.dataset(str(folder / "data"))
def read(source):
    return source.to_table(columns=["label"]).column(0).to_numpy()
""",
}


def run(python: Path, peer: str, folder: Path, count: int, what: str) -> str:
    """Run the child of a peer, and return what it prints."""
    code = CHILD.replace("{code}", PEERS[peer])
    command = [str(python), "-c", code, str(folder), str(count), what]
    environment = {"PYTHONPATH": str(HERE.parent / "src")} if peer == "ours" else {}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{peer}: {done.stderr}")
    return done.stdout


def ask(python: Path, peer: str, folder: Path, count: int, cold: bool) -> list[float]:
    """Millions of records a second, the first time and again."""
    if cold:
        measure.evict(folder)
    else:
        measure.warm(folder)
    return [
        count / seconds / 1e6 for seconds in json.loads(run(python, peer, folder, count, "read"))
    ]


def main() -> None:
    """Write the dataset of each peer, read it in turn, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default=",".join(PEERS))
    options = parser.parse_args()
    print(
        "| million records/s | warm, first | warm, again | cold, first |\n| --- | --- | --- | --- |"
    )
    kept = options.data or Path(tempfile.gettempdir())
    for peer in options.only.split(","):
        python = Path(sys.executable)
        if peer != "ours":
            python = environments.python_of(peer, kept / "environments")
        with tempfile.TemporaryDirectory(dir=options.data) as name:
            folder = Path(name)
            run(python, peer, folder, options.records, "write")
            warm, cold = [], []
            for _ in range(options.rounds):
                warm.append(ask(python, peer, folder, options.records, cold=False))
                cold.append(ask(python, peer, folder, options.records, cold=True))
        first = statistics.median(answer[0] for answer in warm)
        again = statistics.median(answer[1] for answer in warm)
        cold_first = statistics.median(answer[0] for answer in cold)
        print(f"| {peer} | {first:.1f} | {again:.1f} | {cold_first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
