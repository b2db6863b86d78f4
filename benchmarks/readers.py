"""Processor time of the reader in JavaScript, under Node, beside Python's: single records, batches, a column.

`python benchmarks/readers.py` makes a dataset of a million records of a string and two numbers in a
temporary folder (`--records` of others), and prints a table. Both readers verify all that they read.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import dsrecords

ROOT = Path(__file__).parents[1]
SINGLE = 2000  # records that are read one by one
BATCHES = 20
BATCH = 256
STRIDE = 7919  # between the records that are read: far apart

SCRIPT = """
import { open } from "ROOT/js/dsrecords.js";
const [path, single, batches, batch, stride] = JSON.parse(process.argv[2]);
const dataset = await open(path);
const spent = async (work) => {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
};
const column = await spent(() => dataset.column("label"));
const records = await spent(async () => {
  for (let i = 0; i < single; i++) await dataset.get((i * stride) % dataset.count);
});
const positions = (k) => Array.from({ length: batch }, (_, i) => ((k * batch + i) * stride) % dataset.count);
const inBatches = await spent(async () => {
  for (let k = 0; k < batches; k++) await dataset.batch(positions(k));
});
await dataset.close();
console.log(JSON.stringify({ column, records, batches: inBatches }));
"""


def make(path, count):
    numbers = np.arange(count)
    columns = {
        "text": [f"text {i}" for i in range(count)],
        "label": numbers % 1000,
        "score": numbers / 8,
    }
    schema = {"text": "str", "label": "int64", "score": "float64"}
    dsrecords.make_dataset(columns, path, schema)


def of_node(path):
    given = json.dumps([str(path), SINGLE, BATCHES, BATCH, STRIDE])
    script = path.with_suffix(".mjs")
    script.write_text(SCRIPT.replace("ROOT", ROOT.as_posix()))
    done = subprocess.run(["node", script, given], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def of_python(path):
    dataset = dsrecords.open(path)
    count = len(dataset)
    found = {}
    start = time.process_time()
    dataset.column("label")
    found["column"] = time.process_time() - start
    start = time.process_time()
    for i in range(SINGLE):
        dataset[i * STRIDE % count]
    found["records"] = time.process_time() - start
    start = time.process_time()
    for k in range(BATCHES):
        dataset.batch([(k * BATCH + i) * STRIDE % count for i in range(BATCH)])
    found["batches"] = time.process_time() - start
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10**6)
    count = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.rec"
        make(path, count)
        node, python = of_node(path), of_python(path)
    amounts = {"column": count, "records": SINGLE, "batches": BATCHES * BATCH}
    print("| µs of processor time a record | JavaScript | Python |\n| --- | --- | --- |")
    for name, amount in amounts.items():
        per_record = [1e6 * found[name] / amount for found in (node, python)]
        print(f"| {name} | {per_record[0]:.2f} | {per_record[1]:.2f} |")


if __name__ == "__main__":
    main()
