"""Loaders of datasets in a bucket beside each other: requests, bytes, processor time, first batch, speed.

    python benchmarks/remote_peers.py --make                   # the environments, below .envs/: 5 GB
    .envs/remote/bin/python benchmarks/remote_peers.py
    COUNT=8000 .envs/remote/bin/python benchmarks/remote_peers.py --peers plain,obstore,ours --rounds 5

Each peer writes the same records of 110 KB, and reads one shuffled epoch of them from nginx on this machine, which answers as late as it
is told to (by its module `echo`: apt install nginx-light libnginx-mod-http-echo), and whose log is counted. Only Lance lists its bucket,
which the package localbucket answers. Each epoch is a process of its own, by turns. "name+2" is that peer with two workers.
Any order of all samples is what ours, Lance and "mds-naive" give, and the two plain downloads: `plain`, Python's own client in 64 threads, and
`obstore`, the client that ours uses, in 64 threads. The others shuffle within chunks, or within a buffer of a thousand samples.
LitData and MDS have no row with workers: with two of them one did not end, and the other raised an IndexError in most runs.
"""

import argparse
import contextlib
import importlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import environments

COUNT = int(os.environ.get("COUNT", 2000))
SIZE = 110_000  # bytes of an image
BATCH = 256
THREADS = 64
BUFFER = 1000  # samples that those who shuffle within a buffer hold
CHUNK = 2**26  # bytes of a chunk, a shard or a tar file of those who have such
BUCKET = "bench"
ENVIRONMENTS = {
    "plain": "remote",
    "obstore": "remote",
    "ours": "remote",
    "ours-files": "remote",
    "lance": "lance",
    "mds-naive": "loading-mds",
    "mds": "loading-mds",
    "litdata": "loading-litdata",
    "webdataset": "loading",
    "webdataset+2": "loading",
    "hf": "remote-hf",
}


# The server

_CONFIG = """
load_module {module};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 2048; }}
http {{
    log_format counts '$request_method $status $body_bytes_sent $request_uri';
    access_log {folder}/access.log counts;
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 1000000;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        root {root};
        location = /{bucket} {{ echo_sleep {latency}; echo_exec @listed; }}
        location = /{bucket}/ {{ echo_sleep {latency}; echo_exec @listed; }}
        location / {{ echo_sleep {latency}; echo_exec @file; }}
        location @file {{ }}
        location @listed {{ proxy_pass http://127.0.0.1:{lists}; }}
    }}
}}
"""


class Server:
    """Files of a folder, served as late as it is said. It counts.

    Args:
        root: the folder, with the bucket in it.
        latency: seconds before each answer.
        module: path of nginx's module `echo`.
    """

    def __init__(self, root, latency, module):
        self._folder = tempfile.mkdtemp()
        os.chmod(self._folder, 0o755)
        port = free_port()
        lists = free_port()
        config = _CONFIG.format(
            module=module,
            folder=self._folder,
            port=port,
            root=root,
            bucket=BUCKET,
            latency=latency,
            lists=lists,
        )
        Path(self._folder, "nginx.conf").write_text("user root;\n" + config)
        nginx = ["nginx", "-p", self._folder, "-c", f"{self._folder}/nginx.conf"]
        lister = [sys.executable, "-m", "localbucket", "--port", str(lists), root]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._processes = [subprocess.Popen(nginx), subprocess.Popen(lister, **quiet)]
        self.url = f"http://127.0.0.1:{port}"
        self._read = 0
        wait_for(port)
        wait_for(lists)

    def counts(self):
        """Requests and bytes since the last call."""
        time.sleep(0.1)  # nginx notes a request behind its last byte
        with open(f"{self._folder}/access.log") as log:
            log.seek(self._read)
            lines = log.read().splitlines()
            self._read = log.tell()
        return len(lines), sum(int(line.split()[2]) for line in lines)

    def close(self):
        """Serve no more."""
        for process in self._processes:
            process.terminate()
            process.wait()
        shutil.rmtree(self._folder)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise RuntimeError("a server did not start: are nginx, its module echo and localbucket there?")


# The peers: each writes into a folder, and yields batches of bytes from the bucket


def image(number):
    import random

    return random.Random(number).randbytes(SIZE)


def write_ours(folder):
    import dsrecords

    rows = [{"image": image(i), "label": i % 10} for i in range(COUNT)]
    dsrecords.make_dataset(rows, f"{folder}/one.rec", {"image": "bytes", "label": "int64"})
    with open(f"{folder}/one.rec", "rb") as file:
        data = file.read()
    starts = []
    place = 0
    for row in rows:
        place = data.index(row["image"], place)
        starts.append(place)
    Path(folder, "starts.json").write_text(json.dumps(starts))


def ranges(url):
    """Where the images lie, in a random order."""
    import random
    import urllib.request

    with urllib.request.urlopen(f"{url}/{BUCKET}/ours/starts.json") as answer:
        starts = json.load(answer)
    random.Random(1).shuffle(starts)
    return starts


def read_plain(url, scratch):
    """Download the images by Python's own client: each thread has a connection."""
    import http.client

    address = urlsplit(url)
    threads = threading.local()

    def fetch(start):
        if not hasattr(threads, "connection"):
            threads.connection = http.client.HTTPConnection(address.hostname, address.port)
        headers = {"Range": f"bytes={start}-{start + SIZE - 1}"}
        threads.connection.request("GET", f"/{BUCKET}/ours/one.rec", headers=headers)
        return threads.connection.getresponse().read()

    return in_batches(fetch, ranges(url))


def read_obstore(url, scratch):
    """Download the images by the client that ours uses."""
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(f"{url}/{BUCKET}/ours", client_options={"allow_http": True})

    def fetch(start):
        return bytes(store.get_range("one.rec", start=start, length=SIZE))

    return in_batches(fetch, ranges(url))


def in_batches(fetch, starts):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(THREADS) as threads:
        images = threads.map(fetch, starts)
        for first in range(0, len(starts), BATCH):
            yield [next(images) for _ in starts[first : first + BATCH]]


def read_ours(url, scratch, name="ours/one.rec"):
    import dsrecords

    options = {
        "endpoint": url,
        "region": "us-east-1",
        "access_key_id": "x",
        "secret_access_key": "x",
    }
    ds = dsrecords.open(f"s3://{BUCKET}/{name}", storage_options=options)
    for batch in dsrecords.Loader(ds, BATCH, shuffle=True, seed=1):
        yield batch["image"]


def write_ours_in_files(folder):
    import dsrecords

    rows = [{"image": image(i), "label": i % 10} for i in range(COUNT)]
    schema = {"image": "bytes", "label": "int64"}
    dsrecords.make_dataset(rows, f"{folder}/four.rec", schema, shards=4)


def read_ours_in_files(url, scratch):
    return read_ours(url, scratch, "ours-files/four.json")


def prepare_mds():
    """Declare operators of torchvision, whose CUDA build MDS imports: it calls none of them."""
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators


def write_mds(folder):
    operators = prepare_mds()
    assert operators is not None
    from streaming import MDSWriter

    columns = {"image": "bytes", "label": "int"}
    with MDSWriter(out=folder, columns=columns, size_limit=CHUNK) as writer:
        for i in range(COUNT):
            writer.write({"image": image(i), "label": i % 10})


def read_mds(url, scratch, algorithm="py1e"):
    os.environ["S3_ENDPOINT_URL"] = url
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    dataset = StreamingDataset(
        remote=f"s3://{BUCKET}/mds",
        local=scratch,
        shuffle=True,
        shuffle_algo=algorithm,
        batch_size=BATCH,
        shuffle_seed=1,
    )
    for batch in DataLoader(dataset, batch_size=BATCH, collate_fn=list, num_workers=workers()):
        yield [sample["image"] for sample in batch]


def read_mds_naive(url, scratch):
    return read_mds(url, scratch, "naive")


def write_litdata(folder):
    from litdata.streaming.cache import Cache

    cache = Cache(folder, chunk_bytes=CHUNK)
    for i in range(COUNT):
        cache[i] = {"image": image(i), "label": i % 10}
    cache.done()
    cache.merge()


def read_litdata(url, scratch):
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming import downloader

    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True  # this server has no certificate
    options = {
        "endpoint_url": url,
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
        "region_name": "us-east-1",
    }
    dataset = StreamingDataset(
        f"s3://{BUCKET}/litdata", cache_dir=scratch, shuffle=True, seed=1, storage_options=options
    )
    for batch in StreamingDataLoader(dataset, batch_size=BATCH, collate_fn=list):
        yield [sample["image"] for sample in batch]


def write_webdataset(folder):
    import webdataset

    with webdataset.ShardWriter(f"{folder}/%03d.tar", maxsize=CHUNK, verbose=0) as writer:
        for i in range(COUNT):
            writer.write({"__key__": f"{i:06}", "jpg": image(i), "cls": i % 10})


def read_webdataset(url, scratch):
    import webdataset

    count = -(-COUNT * SIZE // CHUNK)
    names = [f"{url}/{BUCKET}/webdataset/{number:03}.tar" for number in range(count)]
    dataset = webdataset.WebDataset(names, shardshuffle=count, seed=1).shuffle(BUFFER)
    dataset = dataset.to_tuple("jpg", "cls").batched(BATCH, partial=True)
    for batch in webdataset.WebLoader(dataset, batch_size=None, num_workers=workers()):
        yield batch[0]


def write_lance(folder):
    import lance
    import pyarrow

    images = pyarrow.array([image(i) for i in range(COUNT)], pyarrow.binary())
    labels = pyarrow.array([i % 10 for i in range(COUNT)])
    lance.write_dataset(pyarrow.table({"image": images, "label": labels}), f"{folder}/a.lance")


def read_lance(url, scratch):
    from concurrent.futures import ThreadPoolExecutor

    import lance
    import numpy as np

    options = {
        "aws_endpoint": url,
        "aws_region": "us-east-1",
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
        "allow_http": "true",
        "aws_virtual_hosted_style_request": "false",
    }
    dataset = lance.dataset(f"s3://{BUCKET}/lance/a.lance", storage_options=options)
    order = np.random.default_rng(1).permutation(COUNT)
    parts = [order[first : first + BATCH] for first in range(0, COUNT, BATCH)]
    with ThreadPoolExecutor(2) as threads:  # so that the next batch is on its way
        for table in threads.map(lambda part: dataset.take(part, ["image", "label"]), parts):
            yield table["image"].to_pylist()


def write_hf(folder):
    import pyarrow
    import pyarrow.parquet

    part = COUNT // 4
    for number in range(4):
        numbers = range(number * part, number * part + part)
        images = pyarrow.array([image(i) for i in numbers], pyarrow.binary())
        table = pyarrow.table({"image": images, "label": [i % 10 for i in numbers]})
        # As many rows in a group as the package itself writes of images.
        pyarrow.parquet.write_table(table, f"{folder}/{number}.parquet", row_group_size=100)


def read_hf(url, scratch):
    import datasets

    names = [f"{url}/{BUCKET}/hf/{number}.parquet" for number in range(4)]
    dataset = datasets.load_dataset("parquet", data_files=names, streaming=True, split="train")
    for batch in dataset.shuffle(seed=1, buffer_size=BUFFER).batch(BATCH):
        yield batch["image"]


def workers():
    """How many a peer is to have: two if its name says so."""
    return int(sys.argv[2].partition("+")[2] or 0)


WRITERS = {
    "ours": write_ours,
    "ours-files": write_ours_in_files,
    "lance": write_lance,
    "mds": write_mds,
    "litdata": write_litdata,
    "webdataset": write_webdataset,
    "hf": write_hf,
}
WRITTEN_BY = {"plain": "ours", "obstore": "ours", "mds-naive": "mds"}
READERS = {
    "plain": read_plain,
    "obstore": read_obstore,
    "ours": read_ours,
    "ours-files": read_ours_in_files,
    "lance": read_lance,
    "mds-naive": read_mds_naive,
    "mds": read_mds,
    "litdata": read_litdata,
    "webdataset": read_webdataset,
    "hf": read_hf,
}


MODULES = {  # imported before anything is measured
    "plain": ("http.client", "urllib.request"),
    "obstore": ("obstore.store", "urllib.request"),
    "ours": ("dsrecords", "dsrecords._loader.loader", "obstore.store"),
    "ours-files": ("dsrecords", "dsrecords._loader.loader", "obstore.store"),
    "lance": ("lance", "numpy"),
    "mds-naive": ("streaming", "torch.utils.data", "boto3"),
    "mds": ("streaming", "torch.utils.data", "boto3"),
    "litdata": ("litdata", "obstore.store"),
    "webdataset": ("webdataset", "torch.utils.data"),
    "hf": ("datasets", "fsspec.implementations.http", "pyarrow.parquet"),
}


def processor():
    """Seconds of this process and of the children that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def work(name, url):
    """Read an epoch in this process, and print what it took."""
    scratch = tempfile.mkdtemp()
    name, _, _ = name.partition("+")
    kept = [prepare_mds()] if name.startswith("mds") else []
    kept += [importlib.import_module(module) for module in MODULES[name]]
    try:
        began = time.monotonic()
        used = processor()
        first = None
        images = 0
        size = 0
        for batch in READERS[name](url, scratch):
            if first is None:
                first = time.monotonic() - began
            images += len(batch)
            size += sum(map(len, batch))
        seconds = time.monotonic() - began
        found = {
            "images": images,
            "size": size,
            "first": first,
            "seconds": seconds,
            "processor": processor() - used,
        }
        print(json.dumps(found))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


# The driver


def environment(name):
    found = dict(os.environ, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
    found["AWS_DEFAULT_REGION"] = "us-east-1"
    found["HF_HOME"] = tempfile.gettempdir() + "/hf-home"
    found.pop("PYTHONPATH", None)
    if name.startswith("ours"):
        found["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")
    return found


def run(python, name, *arguments):
    command = [python, __file__, *arguments]
    for attempt in range(3):
        done = subprocess.run(command, capture_output=True, text=True, env=environment(name))
        if not done.returncode:
            return done.stdout
        print(f"{name}, attempt {attempt + 1}: {done.stderr[-2000:]}", file=sys.stderr)
    raise RuntimeError(f"{name} failed three times")


def measure(options, folder):
    pythons = dict(pair.split("=") for pair in options.python)
    for name in options.peers:
        python = Path(options.envs, ENVIRONMENTS[name], "bin", "python")
        pythons.setdefault(name, str(python))
        source, _, _ = name.partition("+")
        source = WRITTEN_BY.get(source, source)
        target = f"{folder}/{BUCKET}/{source}"
        if not os.path.exists(target):
            os.makedirs(target)
            run(pythons.get(source, pythons[name]), source, "--write", source, target)
    os.chmod(folder, 0o755)
    server = Server(folder, options.latency, options.echo)
    try:
        found = {name: [] for name in options.peers}
        for _ in range(options.rounds):
            for name in options.peers:
                server.counts()
                lines = run(pythons[name], name, "--work", name, server.url).splitlines()
                result = json.loads(lines[-1])
                result["requests"], result["sent"] = server.counts()
                found[name].append(result)
                print(name, result, file=sys.stderr, flush=True)
    finally:
        server.close()
    return found


def report(found, latency):
    print(f"\n{COUNT:,} images of {SIZE:,} bytes, batches of {BATCH}, {latency * 1000:.0f} ms\n")
    print("| | requests | bytes | processor time an image | first batch | images a second |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, results in found.items():
        middle = {key: statistics.median(each[key] for each in results) for key in results[0]}
        used = middle["processor"] / middle["images"] * 1e6
        speed = middle["images"] / middle["seconds"]
        print(
            f"| {name} | {middle['requests']:,.0f} | {middle['sent'] / 1e6:,.0f} MB | {used:,.0f} µs |"
            f" {middle['first']:.2f} s | {speed:,.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--envs", default=".envs")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PYTHON")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(ENVIRONMENTS))
    parser.add_argument(
        "--make", action="store_true", help="make the environments, and measure nothing"
    )
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="for the files; by default a temporary one")
    parser.add_argument("--echo", default="/usr/lib/nginx/modules/ngx_http_echo_module.so")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
    elif options.write:
        WRITERS[options.write[0]](options.write[1])
    elif options.make:
        for name in {ENVIRONMENTS[peer]: None for peer in options.peers}:
            environments.python_of(name, Path(options.envs))
    else:
        folder = tempfile.mkdtemp(dir=options.folder)
        try:
            report(measure(options, folder), options.latency)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
