"""How fast `check()` verifies a whole dataset, beside a bare CRC of the same file: 5 GB of 110 KB records, warm.

python benchmarks/checking.py [--gigabytes 5] [--rounds 3] [--data FOLDER]
"""

import argparse
import json
import shutil
import sys
import time
import zlib
from pathlib import Path

HERE = Path(__file__).parent
BLOCK = 4 << 20


def bare(path: Path) -> tuple[float, float]:
    """Seconds and processor seconds of one CRC over the file, read in blocks: isal's where there is one."""
    try:
        from isal.isal_zlib import crc32
    except ImportError:
        crc32 = zlib.crc32
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    began, spent, value = time.perf_counter(), time.process_time(), 0
    with open(path, "rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            value = crc32(view[:count], value)
    return time.perf_counter() - began, time.process_time() - spent


def whole(path: Path) -> tuple[float, float]:
    """Seconds and processor seconds of `check()`, which must find nothing."""
    import dsrecords

    with dsrecords.open(path) as data:
        began, spent = time.perf_counter(), time.process_time()
        wrong = data.check()
        costs = time.perf_counter() - began, time.process_time() - spent
    assert not wrong, wrong[:3]
    return costs


def write(path: Path, size: float) -> None:
    """A dataset of so many bytes."""
    from workloads import Images

    import dsrecords

    rows = Images(2000).dicts
    schema = {"image": "bytes", "label": "int64"}
    with dsrecords.IndexedRecordDataset(path, schema=schema, create=True) as data:
        while path.stat().st_size < size:
            data.extend(rows)


def measured(options: argparse.Namespace) -> dict[str, object]:
    """Both in rounds, by turns: the size of the file, and of each round its seconds and processor seconds."""
    from measure import warm

    folder = options.data / "checking"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / "images.rec"
    try:
        write(path, options.gigabytes * 1e9)
        warm(folder)
        rounds = [(whole(path), bare(path)) for _ in range(options.rounds)]
        checks, bares = zip(*rounds, strict=True)
        return {"bytes": path.stat().st_size, "check": checks, "bare": bares}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Write, warm, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=HERE / ".data")
    parser.add_argument("--json", action="store_true", help="print figures for run.py")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE.parent / "src"))
    found = measured(options)
    if options.json:
        print(json.dumps(found))
        return
    gigabytes = found["bytes"] / 1e9
    for (check, cpu), (least, least_cpu) in zip(found["check"], found["bare"], strict=True):
        print(
            f"check() of {gigabytes:.2f} GB: {gigabytes / check:.2f} GB/s ({cpu:.2f} s of processor time); "
            f"read in blocks with one CRC: {gigabytes / least:.2f} GB/s ({least_cpu:.2f} s)"
        )


if __name__ == "__main__":
    main()
