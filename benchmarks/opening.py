"""How long opening a dataset takes and what memory it needs: 10 million small records beside 1,000, in fresh processes.

python benchmarks/opening.py [--records 10000000] [--rounds 7] [--data FOLDER]

Opening must not depend on the number of records: the index is mapped, not read. Measured are the time to open, the time
to open and read one record, and by how much resident memory grew. The large dataset is written first (about 0.6 GB,
removed at the end).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
FEW = 1000

CHILD = """
import json, sys, time
sys.path.insert(0, {here!r})
import numpy
import dsrecords
from measure import memory
path, position = sys.argv[1], int(sys.argv[2])
before = memory()
start = time.perf_counter()
data = dsrecords.open(path)
opened = time.perf_counter() - start
record = data[position]
read = time.perf_counter() - start
after = memory()
assert record["z"] == position % (1 << 31), record
print(json.dumps(dict(opened=opened, read=read, count=len(data),
    **{{name: after[name] - before[name] for name in after if name in before}})))
"""


def write(path: Path, count: int, step: int = 500_000) -> float:
    """A dataset of `count` records (two float32, one int32) whose z is the position: seconds that it took."""
    import numpy as np

    import dsrecords

    start = time.perf_counter()
    schema = {"x": "float32", "y": "float32", "z": "int32"}
    with dsrecords.IndexedRecordDataset(path, schema=schema, create=True) as data:
        for first in range(0, count, step):
            z = np.arange(first, min(first + step, count), dtype=np.int32)
            x = z.astype(np.float32)
            data.extend_columns({"x": x, "y": -x, "z": z})
    return time.perf_counter() - start


def look(path: Path, position: int) -> dict[str, float]:
    """What a fresh process measures."""
    code = CHILD.format(here=str(HERE))
    command = [sys.executable, "-c", code, str(path), str(position)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Write both datasets, open them in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, default=HERE / ".data")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE.parent / "src"))
    os.environ["PYTHONPATH"] = str(HERE.parent / "src")
    folder = options.data / "opening"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for count in (FEW, options.records):
            seconds = write(folder / f"{count}.rec", count)
            size = sum(file.stat().st_size for file in folder.glob(f"{count}.*"))
            print(
                f"wrote {count:,} records in {seconds:.1f} s: {count / seconds:,.0f}/s, {size / 1e6:,.0f} MB"
            )
        found: dict[int, list[dict[str, float]]] = {FEW: [], options.records: []}
        for number in range(options.rounds):
            for count, rounds in found.items():
                rounds.append(
                    look(folder / f"{count}.rec", count * (2 * number + 1) // (2 * options.rounds))
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for count, rounds in found.items():

        def middle(name: str, rounds: list[dict[str, float]] = rounds) -> float:
            return statistics.median(entry[name] for entry in rounds)

        print(
            f"{count:>12,} records: opened in {middle('opened') * 1e3:.2f} ms, with one record read "
            f"{middle('read') * 1e3:.2f} ms (slowest {max(entry['read'] for entry in rounds) * 1e3:.2f}); "
            f"resident memory +{middle('VmRSS') / 1e6:.2f} MB, without files +{middle('RssAnon') / 1e6:.2f} MB"
        )


if __name__ == "__main__":
    main()
