"""An S3 server of this machine, its buckets, and how they are reached. For tests."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request

_SIGNED = "AWS4-HMAC-SHA256 Credential=testing/20261126/us-east-1/s3/aws4_request, Signature=0"


@contextlib.contextmanager
def serving():
    """A server, for as long as the context lasts: its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait()


def _wait_for(port, server):
    while server.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise RuntimeError("moto_server did not start")


def options(url):
    """What `storage_options` says of a server."""
    return {
        "endpoint": url,
        "region": "us-east-1",
        "access_key_id": "testing",
        "secret_access_key": "testing",
        "allow_http": True,
    }


def make_bucket(port, name):
    """Make an empty bucket: its path."""
    url = f"http://127.0.0.1:{port}/{name}"
    request = urllib.request.Request(url, b"", {"Authorization": _SIGNED}, method="PUT")
    urllib.request.urlopen(request, timeout=60).close()
    return f"s3://{name}"


def make_public(port, path):
    """Let everybody read an object: its path is `s3://bucket/key`."""
    url = f"http://127.0.0.1:{port}/{path.removeprefix('s3://')}?acl"
    headers = {"Authorization": _SIGNED, "x-amz-acl": "public-read"}
    request = urllib.request.Request(url, b"", headers, method="PUT")
    urllib.request.urlopen(request, timeout=60).close()


def store_of(bucket, port):
    """A bucket, as obstore reaches it."""
    from obstore.store import from_url

    config = options(f"http://127.0.0.1:{port}")
    del config["allow_http"]
    return from_url(bucket, config=config, client_options={"allow_http": True})
