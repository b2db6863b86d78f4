"""Datasets at gs://, on a server of this machine that speaks the part of the protocol that is S3's."""

import contextlib
import json
import socket
import subprocess
import sys
import time

import pytest
from conftest import large
from test_remote_reading import SCHEMA, row, same

import dsrecords
from dsrecords.errors import StaleViewError

pytestmark = pytest.mark.large


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The options of a server that has an empty bucket, `gs://box`."""
    large("obstore")
    large("localbucket")
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "box").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "localbucket", "--port", str(port), str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.05)
        yield options(port)
    finally:
        server.terminate()
        server.wait()


def options(port):
    """What `storage_options` says of the server."""
    account = {
        "gcs_base_url": f"http://127.0.0.1:{port}",
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    return {
        "service_account_key": json.dumps(account),
        "skip_signature": True,
        "allow_http": True,
    }


def test_a_dataset_is_made_listed_and_read(service):
    rows = [row(i) for i in range(100)]
    path = "gs://box/made/a.rec"
    dsrecords.make_dataset(rows, path, SCHEMA, shards=2, storage_options=service)
    for name in ("made/a-*.rec", "made/", "made/a.json"):
        ds = dsrecords.open(f"gs://box/{name}", storage_options=service)
        assert all(map(same, ds, rows))
        assert same(ds.batch([77, 3])["blob"], [rows[77]["blob"], rows[3]["blob"]])
    with pytest.raises(FileExistsError):
        dsrecords.make_dataset(rows, path, SCHEMA, shards=2, storage_options=service)
    with pytest.raises(FileNotFoundError):
        dsrecords.open("gs://box/none.rec", storage_options=service)


def test_a_replaced_object_is_noticed(service):
    path = "gs://box/replaced.rec"
    dsrecords.make_dataset(map(row, range(100)), path, SCHEMA, storage_options=service)
    ds = dsrecords.open(path, storage_options=service, cache_limit=1000)
    others = [row(i + 1) for i in range(100)]
    dsrecords.make_dataset(others, path, SCHEMA, overwrite=True, storage_options=service)
    with pytest.raises(StaleViewError, match="replaced"):
        ds.batch(range(100), "blob")
    ds.refresh()
    assert same(ds[50], others[50])
