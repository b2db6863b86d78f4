"""A bucket on a server of this machine, with a proxy before it that counts and fails."""

import itertools

import pytest
from buckets import make_bucket, serving, store_of
from buckets import options as options_of
from conftest import large
from faults import Faults, Proxy

_numbers = itertools.count()


@pytest.fixture(scope="session")
def moto_port():
    """The port of an S3 server."""
    large("obstore")
    large("moto")
    with serving() as port:
        yield port


@pytest.fixture(scope="session")
def session_proxy(moto_port):
    proxy = Proxy(moto_port)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(session_proxy, monkeypatch):
    """The proxy, which does not fail until it is told to; clients do not wait for long."""
    from dsrecords._storage import requests

    monkeypatch.setattr(requests, "PAUSE", 0.001)
    session_proxy.faults = Faults()
    session_proxy.forget()
    yield session_proxy
    session_proxy.faults = Faults()


@pytest.fixture
def options(proxy):
    """What `storage_options` says of the server."""
    return options_of(proxy.url)


@pytest.fixture
def bucket(moto_port):
    """The path of an empty bucket."""
    return make_bucket(moto_port, f"bucket-{next(_numbers)}")


@pytest.fixture
def past_the_proxy(bucket, moto_port):
    """The bucket, as obstore reaches it past the proxy."""
    return store_of(bucket, moto_port)


@pytest.fixture
def put(bucket, past_the_proxy):
    """A function that puts bytes into the bucket, and tells the path."""

    def put(name, data):
        past_the_proxy.put(name, data)
        return f"{bucket}/{name}"

    return put


@pytest.fixture
def get(past_the_proxy):
    """A function that tells the bytes of an object of the bucket; None if there is none."""

    def get(name):
        try:
            return bytes(past_the_proxy.get(name).bytes())
        except FileNotFoundError:
            return None

    return get


@pytest.fixture
def publish(put):
    """A function that puts the two files of a local dataset into the bucket, and tells the path."""

    def publish(path, name="data.rec"):
        with open(path, "rb") as file:
            data = file.read()
        with open(path.removesuffix(".rec") + ".idx", "rb") as file:
            index = file.read()
        found = put(name, data)
        put(name.removesuffix(".rec") + ".idx", index)
        return found

    return publish
