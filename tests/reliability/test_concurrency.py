"""One writer at work, and readers in threads, forked and spawned processes; workers as a loader has them."""

import multiprocessing
import random
import threading

import concurrency
import pytest
from conftest import row, rows
from power_loss import LostError

import dsrecords
from dsrecords._format.layout import RECORD
from dsrecords._storage import files
from dsrecords._write import writer as _writer

pytestmark = pytest.mark.slow


@pytest.mark.exhaustive
def test_readers_in_threads_forks_and_spawned_processes_see_whole_changes():
    tally = concurrency.trial(1, seed=1, least=200)
    assert tally["second writers refused"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("verify", [True, "always"])
def test_eight_threads_read_one_dataset(made, verify):
    ds, failed = dsrecords.open(made, verify=verify), []
    gate = threading.Barrier(8)

    def read(seed):
        chance = random.Random(seed)
        try:
            gate.wait()
            for _ in range(100):
                order = chance.sample(range(10), 5)
                assert [ds[i] for i in order] == [row(i) for i in order]
                assert ds.batch(order)["label"].tolist() == order
                assert ds.__getitems__(order) == [row(i) for i in order]
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def _work(ds, asked, answers):
    """A worker as PyTorch's loader has them: batches of indices come in, and batches of samples go out."""
    while (order := asked.get()) is not None:
        answers.put((order, ds.__getitems__(order)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("shown", ["all", "a view"])
def test_workers_of_a_loader_are_given_a_dataset_that_was_read_already(made, method, shown):
    ds = dsrecords.open(made)
    ds = ds if shown == "all" else ds[::-1]
    wanted = list(ds)
    context = multiprocessing.get_context(method)
    asked, answers = context.Queue(), context.Queue()
    workers = [context.Process(target=_work, args=(ds, asked, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    orders = [random.Random(seed).sample(range(10), 4) for seed in range(20)]
    for order in [*orders, None, None]:
        asked.put(order)
    found = [answers.get(timeout=600) for _ in orders]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(order for order, _ in found) == sorted(orders)
    assert all(samples == [wanted[i] for i in order] for order, samples in found)
    assert list(ds) == wanted
    assert sorted(sample["label"] for sample in wanted) == [sample["label"] for sample in rows(10)]


DEFECTS = {
    "the lock is not asked for": [(files, "lock", lambda fd: True)],
    "records of a batch count without their commit": [(_writer, "PENDING", RECORD)],
}


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    for patch in DEFECTS[defect]:
        monkeypatch.setattr(*patch)
    with pytest.raises((LostError, dsrecords.CorruptError)):
        concurrency.trial(1, seed=1, threads=1, processes=1, least=200)
