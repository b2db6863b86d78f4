"""How fast `check()` verifies a whole dataset, beside a bare CRC of the same file: 5 GB of 110 KB records, warm.

python benchmarks/checking.py [--gigabytes 5] [--rounds 3] [--data FOLDER]
"""

import argparse
import shutil
import sys
import time
import zlib
from pathlib import Path

HERE = Path(__file__).parent
BLOCK = 4 << 20


def bare(path: Path) -> float:
    """Bytes a second of one CRC over the file, read in blocks: isal's where there is one."""
    try:
        from isal.isal_zlib import crc32
    except ImportError:
        crc32 = zlib.crc32
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    start, size, value = time.perf_counter(), 0, 0
    with open(path, "rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            value = crc32(view[:count], value)
            size += count
    return size / (time.perf_counter() - start)


def main() -> None:
    """Write, warm, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=HERE / ".data")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE.parent / "src"))
    from measure import warm
    from workloads import Images

    import dsrecords

    folder = options.data / "checking"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / "images.rec"
    rows = Images(2000).dicts
    try:
        with dsrecords.IndexedRecordDataset(
            path, schema={"image": "bytes", "label": "int64"}, create=True
        ) as data:
            while path.stat().st_size < options.gigabytes * 1e9:
                data.extend(rows)
        size = path.stat().st_size
        warm(folder)
        for _ in range(options.rounds):
            with dsrecords.open(path) as data:
                start = time.perf_counter()
                wrong = data.check()
                seconds = time.perf_counter() - start
                count = len(data)
            assert not wrong, wrong[:3]
            print(
                f"check() of {count:,} records, {size / 1e9:.2f} GB: {seconds:.2f} s, {size / seconds / 1e9:.2f} GB/s; "
                f"read in blocks with one CRC: {bare(path) / 1e9:.2f} GB/s"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
