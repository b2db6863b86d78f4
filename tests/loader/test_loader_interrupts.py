"""Ctrl-C amid loading, ten times; `make torture` does it a hundred times in each way."""

import sys

import pytest
from conftest import IN_FULL, large, python
from loader_interrupts import SAMPLES, trial
from loaders import make_numbers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("loader") / "numbers.rec")
    make_numbers(path, SAMPLES).close()
    return path


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_while_batches_are_made_in_threads(numbers, seed):
    trial("numbers", numbers, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_while_a_batch_is_waited_for_and_threads_are_in_a_transform(numbers, seed):
    trial("transform", numbers, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_while_worker_processes_are_in_a_transform(numbers, seed):
    trial("processes", numbers, seed)


@pytest.mark.long
@pytest.mark.parametrize("way", ["stuck", "stuck in a thread"])
def test_while_a_transform_hangs_in_a_process_or_a_thread(numbers, way):
    trial(way, numbers, 0)


_LEFT = """
import atexit, time
seen = []
atexit.register(lambda: print(len(seen) - at))
import dsrecords

def slow(sample):
    seen.append(1)
    time.sleep(0.02)
    return sample

loader = dsrecords.Loader(dsrecords.open(sys.argv[1]), 64, transform=slow, num_threads=2, prefetch=16)
iterator = iter(loader)
next(iterator)
at = len(seen)
"""


def test_a_process_that_ends_does_not_make_what_nobody_will_see(numbers):
    assert int(python(_LEFT, numbers)) < 300  # of a thousand: as many as come while it ends


_LEFT_AT_THEIR_LAST_SAMPLE = """
import atexit, threading, time
at_exit = threading.Event()
is_in_sample = threading.Event()
atexit.register(lambda: print([thread.is_alive() for thread in threads]))
import dsrecords

def slow(sample):
    if sample["label"] >= 8:
        is_in_sample.set()
        at_exit.wait()
    return sample

iterator = iter(dsrecords.Loader(dsrecords.open(sys.argv[1]), 8, transform=slow, num_threads=2))
next(iterator)
is_in_sample.wait()
threads = [thread for thread in threading.enumerate() if thread.name.startswith("dsrecords-loader")]
del iterator
atexit.register(at_exit.set)
"""


def test_threads_of_an_iteration_that_was_left_are_waited_for_at_exit(numbers):
    assert python(_LEFT_AT_THEIR_LAST_SAMPLE, numbers) == "[False, False]\n"


# What PyTorch's own workers leave behind depends on the moment: this is for looking, not for each change.
@pytest.mark.skipif(not IN_FULL, reason="make torture tries it")
@pytest.mark.large
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_while_workers_of_pytorch_read(numbers, method):
    large("torch.utils.data")
    trial(f"torch {method}", numbers, 0)
