"""What an edit costs, from 1,000 to 10 million records: processor time, and bytes given to the system to write.

python benchmarks/edit_costs.py [--largest 10000000] [--rounds 3] [--data FOLDER]

Each number is of a fresh process. "One label" opens the dataset, sets one field of one record, flushes and closes. A deletion is
measured within an open dataset, after a first one. "Left by a kill" opens what a writer left that was killed after 10,000
deletions without a checkpoint. The largest dataset takes 1.3 GB, removed at the end.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STEP = 500_000
PRELUDE = """
import json, os, shutil, sys, time
import numpy as np
import dsrecords

def written():
    with open("/proc/self/io") as file:
        return int(dict(line.split(": ") for line in file)["wchar"])

path, count = sys.argv[1], int(sys.argv[2])
def measured(function, times=1):
    before, start = written(), time.process_time()
    for number in range(times):
        function(number)
    print(json.dumps([(time.process_time() - start) / times * 1e3, (written() - before) / times]))
"""
QUESTIONS = {
    "one label, flush, close": """
def change(_):
    with dsrecords.open(path) as ds:
        ds[count // 2, "label"] = -1
        ds.flush()
measured(change)
""",
    "one record, flush, close": """
def change(_):
    with dsrecords.open(path) as ds:
        ds[count // 2] = {"text": "other", "label": -1}
        ds.flush()
measured(change)
""",
    "a label, within an open dataset": """
ds = dsrecords.open(path)
ds[0, "label"] = 1
places = np.random.default_rng(0).integers(0, count, 500).tolist()
measured(lambda k: ds.__setitem__((places[k], "label"), k), 500)
os._exit(0)
""",
    "del ds[0], within an open dataset": """
ds = dsrecords.open(path)
del ds[0]
measured(lambda _: ds.__delitem__(0), 500)
os._exit(0)
""",
    "del at a random place": """
ds = dsrecords.open(path)
del ds[0]
places = np.random.default_rng(0).integers(0, count - 600, 500).tolist()
measured(lambda k: ds.__delitem__(places[k]), 500)
os._exit(0)
""",
    "del ds[: n // 2]": """
ds = dsrecords.open(path)
measured(lambda _: ds.__delitem__(slice(count // 2)))
os._exit(0)
""",
    "set_metadata, flush, close": """
def change(_):
    with dsrecords.open(path) as ds:
        ds.set_metadata({"about": "x"})
        ds.flush()
measured(change)
""",
    "open, read one": """
measured(lambda _: dsrecords.open(path)[count // 3])
""",
}
KILLED = """
ds = dsrecords.open(path)
ds._editing.begin()._checkpoints = False
measured(lambda _: ds.__delitem__(0), 10_000)
os._exit(0)
"""


def write(path: Path, count: int) -> None:
    """A dataset of `count` short texts with a label, its position."""
    import numpy as np

    import dsrecords

    with dsrecords.IndexedRecordDataset(path, schema={"text": "str", "label": "int64"}) as made:
        for first in range(0, count, STEP):
            labels = np.arange(first, min(first + STEP, count))
            made.extend_columns({"text": [f"text {i}" for i in labels.tolist()], "label": labels})


def ask(code: str, path: Path, count: int) -> tuple[float, float]:
    """Milliseconds of processor time, and bytes written, as a fresh process measures them."""
    command = [sys.executable, "-c", PRELUDE + code, str(path), str(count)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    milliseconds, size = json.loads(printed)
    return milliseconds, size


def copied(path: Path, name: str) -> Path:
    """The dataset under another name, so that a change is of no consequence to the next one."""
    other = path.with_name(f"{name}.rec")
    for ending in (".rec", ".idx"):
        shutil.copy(path.with_suffix(ending), other.with_suffix(ending))
    return other


def row(name: str, count: int, answers: list[tuple[float, float]]) -> None:
    """Print one line of the table."""
    milliseconds = statistics.median(answer[0] for answer in answers)
    size = statistics.median(answer[1] for answer in answers)
    print(f"| {count:,} | {name} | {milliseconds:.3f} | {size:,.0f} |", flush=True)


def main() -> None:
    """Ask each question of each size, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    source = str(Path(__file__).parent.parent / "src")
    sys.path.insert(0, source)
    os.environ["PYTHONPATH"] = source
    print("| records | edit | ms of processor time | bytes written |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        count = 1000
        while count <= options.largest:
            path = Path(folder, "made.rec")
            write(path, count)
            for name, code in QUESTIONS.items():
                answers = [ask(code, copied(path, "copy"), count) for _ in range(options.rounds)]
                row(name, count, answers)
            for ending in (".rec", ".idx"):
                path.with_suffix(ending).unlink()
            count *= 10
        path = Path(folder, "killed.rec")
        write(path, 80_000)
        deleted = ask(KILLED, path, 80_000)
        row("10,000 × del ds[0], each", 80_000, [deleted])
        opened = ask("measured(lambda _: dsrecords.open(path))", path, 80_000)
        row("open what a killed writer left of them", 80_000, [opened])


if __name__ == "__main__":
    main()
