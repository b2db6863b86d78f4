"""Size and random-read speed of 100,000 short texts: zstd(str) with and without a dictionary, beside Bagz, Parquet and LMDB.

    python benchmarks/compression.py

The texts are real: the paragraphs (20 to 1000 characters) of the docstrings of SymPy, SciPy, pandas, NumPy, NetworkX and
scikit-learn, each once, shuffled. All are written and read by one process, one after another in each round, from a warm cache;
what is read is first compared with what was written. Single texts are read as `str`, in an order that is the same for all.

By the author of one of them. Bagz and LMDB give bytes, which are decoded here. LMDB is opened without a lock and read within one
transaction. Parquet has no random access to rows: a row costs its row group, here of 1,000 rows; larger ones are smaller and
slower.
"""

import argparse
import ast
import importlib.util
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("sympy", "scipy", "pandas", "numpy", "networkx", "sklearn")
WITH_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def paragraphs(package):
    """The paragraphs of all docstrings of an installed package."""
    root = Path(importlib.util.find_spec(package).origin).parent
    for path in sorted(root.rglob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, WITH_DOCSTRINGS) and (text := ast.get_docstring(node)):
                yield from filter(
                    lambda part: 20 <= len(part) <= 1000, map(str.strip, re.split(r"\n\s*\n", text))
                )


def corpus(count):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in other people's sources
        texts = list(dict.fromkeys(text for package in SOURCES for text in paragraphs(package)))
    random.Random(0).shuffle(texts)
    if len(texts) < count:
        raise SystemExit(f"only {len(texts)} texts")
    return texts[:count]


def ours(kind):
    def make(texts, folder):
        import dsrecords

        path, index = dsrecords.make_dataset(
            ({"text": text} for text in texts), folder / "data.rec", {"text": kind}
        )
        dataset = dsrecords.open(path)
        return (path, index), lambda i: dataset[i, "text"], len(texts)

    return make


def bagz(compressed):
    def make(texts, folder):
        import bagz

        path = str(folder / "data.bagz")
        compression = bagz.CompressionZstd() if compressed else bagz.CompressionNone()
        with bagz.Writer(path, bagz.Writer.Options(compression=compression)) as writer:
            for text in texts:
                writer.write(text.encode())
        options = bagz.Reader.Options(
            compression=compression, limits_storage=bagz.LimitsStorage.IN_MEMORY
        )
        reader = bagz.Reader(path, options)
        return (path,), lambda i: reader[i].decode(), len(texts)

    return make


def parquet(texts, folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, group = str(folder / "data.parquet"), 1000
    table = pa.table({"text": texts})
    pq.write_table(
        table,
        path,
        row_group_size=group,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
    )
    file = pq.ParquetFile(path, memory_map=True)
    return (
        (path,),
        lambda i: file.read_row_group(i // group, use_threads=False)["text"][i % group].as_py(),
        500,
    )


def lmdb(texts, folder):
    import lmdb

    path = str(folder / "lmdb")
    with (
        lmdb.open(path, map_size=2**32) as environment,
        environment.begin(write=True) as transaction,
    ):
        for i, text in enumerate(texts):
            transaction.put(i.to_bytes(8, "big"), text.encode(), append=True)
    environment = lmdb.open(path, readonly=True, lock=False, readahead=False)
    get = environment.begin(buffers=True).get
    return (f"{path}/data.mdb",), lambda i: str(get(i.to_bytes(8, "big")), "utf-8"), len(texts)


PEERS = {
    "DSRecords, str": ours("str"),
    "DSRecords, zstd(str, dict=0)": ours("zstd(str, dict=0)"),
    "DSRecords, zstd(str)": ours("zstd(str)"),
    "DSRecords, zstd(str, level=19)": ours("zstd(str, level=19)"),
    "Bagz": bagz(False),
    "Bagz with zstd": bagz(True),
    "Parquet with zstd": parquet,
    "LMDB": lmdb,
}


def measure(options):
    texts = corpus(options.count)
    sizes = sorted(len(text.encode()) for text in texts)
    print(
        f"{len(texts)} texts of {sum(sizes)} bytes, half of them shorter than {sizes[len(sizes) // 2]}\n"
    )
    order = random.Random(1).choices(range(len(texts)), k=options.reads)
    made, times = {}, {name: [] for name in PEERS}
    for name, make in PEERS.items():
        folder = options.data / name.replace(" ", "-")
        folder.mkdir(parents=True)
        start = time.perf_counter()
        paths, read, enough = make(texts, folder)
        made[name] = (
            sum(map(os.path.getsize, paths)),
            read,
            order[:enough],
            time.perf_counter() - start,
        )
        for i in range(len(texts)) if enough == len(texts) else made[name][2]:
            assert read(i) == texts[i], (name, i)
    for _ in range(options.rounds):
        for name, (_, read, indices, _) in made.items():
            start = time.perf_counter()
            for i in indices:
                read(i)
            times[name].append((time.perf_counter() - start) / len(indices))
    print("| | bytes | of the texts | written in | one text, median of rounds | fastest round |")
    print("| --- | --: | --: | --: | --: | --: |")
    for name, (size, _, _, seconds) in made.items():
        middle, best = (
            f"{1e6 * value:,.1f} µs" for value in (statistics.median(times[name]), min(times[name]))
        )
        print(
            f"| {name} | {size:,} | {100 * size / sum(sizes):.0f} % | {seconds:.1f} s | {middle} | {best} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="how many texts")
    parser.add_argument(
        "--reads", type=int, default=20_000, help="how many single texts are read in a round"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--envs", type=Path, default=HERE / ".envs", help="where the environment is kept"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=HERE / ".data" / "compression",
        help="where files are written; removed",
    )
    parser.add_argument(
        "--here", action="store_true", help="measure by this interpreter, which has the packages"
    )
    options = parser.parse_args()
    if not options.here:
        from environments import python_of

        source = os.environ | {"PYTHONPATH": str(HERE.parent / "src")}
        sys.exit(
            subprocess.run(
                [python_of("compression", options.envs), *sys.argv, "--here"],
                env=source,
                check=False,
            ).returncode
        )
    shutil.rmtree(options.data, ignore_errors=True)
    try:
        measure(options)
    finally:
        shutil.rmtree(options.data, ignore_errors=True)


if __name__ == "__main__":
    main()
