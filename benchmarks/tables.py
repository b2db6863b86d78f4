"""1,000,000 records of three numbers as tables of pyarrow, Polars, DuckDB and pandas, beside the same from Parquet in memory.

    python benchmarks/tables.py [--records 1000000] [--rounds 15]

Needs pyarrow, Polars, DuckDB and pandas in the environment that it runs in. Each package makes a table of its own of all values: of a
dataset that was opened and read once ("again"), of one that is opened anew, so that each record's checksum is compared first ("first"),
and of a Parquet file, as pyarrow writes it by default, in memory (for DuckDB, which reads files: in the page cache, or in /dev/shm).
Parquet's reader is given one thread, as ours has, and then all. What is read is compared with what was written. Rounds alternate,
each way is run twice in a row, of which the second counts; numbers are medians, of wall time and of processor time (of all threads). By the author of one of them.
"""

import argparse
import io
import statistics
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import dsrecords

FIELDS = {"label": "int32", "score": "float64", "weight": "float32"}


def columns(count):
    random = np.random.default_rng(0)
    return {
        "label": random.integers(0, 1000, count).astype(np.int32),
        "score": random.random(count),
        "weight": random.random(count).astype(np.float32),
    }


def ways(path, parquet, parquet_path, connection):
    """By package, the ways to make its table: a name, and a function."""
    opened = dsrecords.open(path)

    def duckdb_of(threads, source):
        connection.execute(f"SET threads = {threads}")
        return connection.sql(f"CREATE OR REPLACE TABLE t AS FROM {source}")

    def duckdb_of_dataset(ds):  # DuckDB finds it by its name
        connection.execute("SET threads = 1")
        connection.execute("CREATE OR REPLACE TABLE t AS FROM ds")

    def with_threads(read):
        return lambda: read(True)

    def with_one(read):
        return lambda: read(False)

    def of_pyarrow(threads):
        return pq.read_table(io.BytesIO(parquet), use_threads=threads)

    def of_pandas(threads):
        return of_pyarrow(threads).to_pandas(use_threads=threads)

    return {
        "pyarrow": {
            "again": lambda: pa.table(opened),
            "first": lambda: pa.table(dsrecords.open(path)),
            "Parquet, one thread": with_one(of_pyarrow),
            "Parquet": with_threads(of_pyarrow),
        },
        "Polars": {
            "again": lambda: opened.to_polars(),
            "first": lambda: dsrecords.open(path).to_polars(),
            "Parquet, one thread": lambda: pl.from_arrow(of_pyarrow(False)),
            "Parquet": lambda: pl.read_parquet(io.BytesIO(parquet)),
        },
        "DuckDB": {
            "again": lambda: duckdb_of_dataset(opened),
            "first": lambda: duckdb_of_dataset(dsrecords.open(path)),
            "Parquet, one thread": lambda: duckdb_of(1, f"'{parquet_path}'"),
            "Parquet": lambda: duckdb_of(8, f"'{parquet_path}'"),
        },
        "pandas": {
            "again": lambda: opened.to_pandas(),
            "first": lambda: dsrecords.open(path).to_pandas(),
            "Parquet, one thread": with_one(of_pandas),
            "Parquet": with_threads(of_pandas),
        },
    }


def require_equal(package, table, wanted, connection):
    """What a package made is what was written."""
    if package == "DuckDB":
        table = connection.sql("FROM t").to_arrow_table()
    for name, values in wanted.items():
        assert (np.asarray(table[name]) == values).all(), (package, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    wanted = columns(options.records)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path, _ = dsrecords.make_dataset(wanted, Path(folder) / "a.rec", FIELDS)
        parquet_path = Path(folder) / "a.parquet"
        pq.write_table(pa.table(wanted), parquet_path)
        connection = duckdb.connect()
        found = ways(path, parquet_path.read_bytes(), parquet_path, connection)
        spent = {(package, way): [] for package, some in found.items() for way in some}
        for _ in range(options.rounds + 1):  # the first one is not counted
            for package, some in found.items():
                for way, make in some.items():
                    make()  # so that no way pays for what the one before it has left in caches
                    wall, processor = time.perf_counter(), time.process_time()
                    table = make()
                    seconds = time.perf_counter() - wall, time.process_time() - processor
                    spent[package, way].append(seconds)
                    require_equal(package, table, wanted, connection)
                    del table
    print(f"{options.records:,} records; milliseconds: wall (processor)")
    print("| | again | first | Parquet, one thread | Parquet | again ÷ Parquet, processor |")
    print("| --- | --- | --- | --- | --- | --- |")
    for package, some in found.items():
        medians = {}
        for way in some:
            walls, processors = zip(*spent[package, way][1:], strict=True)
            medians[way] = (statistics.median(walls) * 1e3, statistics.median(processors) * 1e3)
        cells = [f"{wall:.0f} ({processor:.0f})" for wall, processor in medians.values()]
        ratio = medians["again"][1] / medians["Parquet, one thread"][1]
        print(f"| {package} | {' | '.join(cells)} | {ratio:.2f} |")
    print(
        f"pyarrow {pa.__version__}, Polars {pl.__version__}, DuckDB {duckdb.__version__}, pandas {pd.__version__}"
    )


if __name__ == "__main__":
    main()
