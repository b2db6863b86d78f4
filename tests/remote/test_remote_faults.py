"""A service that fails at random: no wrong value, no wait without an end, errors of our own."""

import pytest
import random_faults
from conftest import large
from faults import KINDS, Faults
from test_remote_reading import SCHEMA, row, same

import dsrecords
from dsrecords._storage import requests
from dsrecords.errors import RemoteError

pytestmark = pytest.mark.large
pytest_plugins = ["servers"]

FAULTS = 200
"""More of them: python tests/reliability/torture.py remote."""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(requests, "PAUSE", 0.0001)


@pytest.mark.slow
def test_random_faults_give_no_wrong_value():
    large("obstore")
    large("moto")
    tally = random_faults.trial(1, FAULTS)
    assert tally["faults"] >= FAULTS
    assert tally["reads"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_is_survived_or_told(path, publish, options, proxy, quick, kind):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    name = publish(path)
    ds = dsrecords.open(name, storage_options=options)
    proxy.faults = Faults(seed=2, share=1.0, kinds=(kind,))
    if kind == "slow":
        assert same(ds[250], row(250))
        return
    with pytest.raises(RemoteError, match="failed 8 times") as caught:
        ds[250]
    assert caught.value.file == name
    with pytest.raises(RemoteError, match="failed 8 times"):
        dsrecords.open(name, storage_options=options)
    proxy.faults.share = 0.0
    assert same(ds[250], row(250))


def test_what_is_refused_is_told_at_once(path, publish, options, proxy):
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    ds = dsrecords.open(publish(path), storage_options=options)
    proxy.faults = Faults(seed=2, share=1.0, kinds=("403",))
    proxy.forget()
    with pytest.raises(RemoteError, match="refused"):
        ds[250]
    assert len(proxy.requests) == 1


def test_who_never_answers_is_not_waited_for(path, publish, options, proxy, quick, monkeypatch):
    monkeypatch.setattr(requests, "ATTEMPTS", 3)
    dsrecords.make_dataset(map(row, range(300)), path, SCHEMA)
    name = publish(path)
    patient = dsrecords.open(name, storage_options=options)
    hasty = {**options, "timeout": "100ms"}
    proxy.faults = Faults(seed=2, share=1.0, kinds=("hang",))
    proxy.forget()
    with pytest.raises(RemoteError, match="failed 3 times"):
        dsrecords.open(name, storage_options=hasty)
    assert len(proxy.requests) == 3
    proxy.faults.share = 0.0
    assert same(patient[250], row(250))
