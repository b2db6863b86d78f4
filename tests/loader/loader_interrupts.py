"""Ctrl-C in a process that loads batches: it ends, nothing is left of it, and the next iteration works.

As a script it is that process: loader_interrupts.py WAY PATH.
"""

import atexit
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
SAMPLES = 2000  # of the dataset
THREADS = 2

seen = []  # the samples that a slow transform was called with


def slow(sample):
    seen.append(1)
    time.sleep(0.02)
    return sample


def stuck(sample):
    """Returns at once for the first batch alone."""
    if sample["label"] >= 16:
        time.sleep(1000)
    return sample


def dataset_at(path):
    import dsrecords

    return dsrecords.open(path)


def loader_of(way, dataset):
    """What is iterated over, and how many samples it has."""
    import numpy as np

    from dsrecords import Loader

    if way == "numbers":
        many = dataset[np.arange(2_000_000) % SAMPLES]  # an epoch takes longer than the trial
        return Loader(many, 256, shuffle=True, num_threads=THREADS)
    if way == "transform":
        return Loader(dataset[:64], 64, transform=slow, num_threads=THREADS)
    if way == "processes":
        return Loader(dataset[:64], 16, transform=slow, num_processes=THREADS)
    if way == "stuck":
        return Loader(dataset[:64], 16, transform=stuck, num_processes=1, num_threads=1)
    if way == "stuck in a thread":
        return Loader(dataset[:64], 16, transform=stuck, num_threads=2)
    from torch.utils.data import DataLoader

    method = way.removeprefix("torch ")
    return DataLoader(dataset, 16, num_workers=2, multiprocessing_context=method)


def main(way, path):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's jobs behind `&` ignore it
    loader = loader_of(way, dataset_at(path))
    is_ready = False
    try:
        while True:
            for _ in loader:
                if not is_ready:
                    print("ready", flush=True)
                    is_ready = True
    except (KeyboardInterrupt, RuntimeError) as error:
        is_of_torch = way.startswith("torch") and is_about_a_worker(error)
        if isinstance(error, RuntimeError) and not is_of_torch:
            raise
        at = len(seen)
        atexit.register(lambda: print("more", len(seen) - at, flush=True))
        if way in ("numbers", "transform", "processes"):
            batch = next(iter(loader))
            print("again", len(batch["label"]), flush=True)
            at = len(seen)
        elif not way.startswith("stuck"):
            print("again", epoch_of_torch(loader), flush=True)
        raise


def is_about_a_worker(error):
    """Whether it is how PyTorch's loader tells that the keys have ended a worker of its, too."""
    return any(words in str(error) for words in ("exited unexpectedly", "killed by signal"))


def epoch_of_torch(loader):
    """How many samples an epoch has. Its first tries may be told of workers of the epoch that was interrupted."""
    for _ in range(10):
        try:
            return sum(len(batch["label"]) for batch in loader)
        except RuntimeError as error:
            if not is_about_a_worker(error):
                raise
    raise AssertionError("workers of the interrupted epoch end without an end")


# The trial


def members(session):
    """The processes of a session that are there; zombies are not."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{name}/stat").read_text(encoding="utf-8")
            state, _, _, number, *_ = text.rpartition(")")[2].split()
            if int(number) == session and state != "Z":
                found.append(int(name))
    return found


def shared_memory(processes):
    """What of the shared memory has the id of one of some processes in its name."""
    words = {str(process) for process in processes}
    return [
        name for name in os.listdir("/dev/shm") if words & set(name.replace(".", "_").split("_"))
    ]


def ended(process, way):
    """Wait for the end of a process that was interrupted; returns what it printed, and complained.

    Python drops an exception amid the hooks of a fork, also that of Ctrl-C. PyTorch's loader forks
    for each epoch, so that it may go on: whoever sees that presses the keys again.
    """
    presses = 20 if way.startswith("torch") else 0
    for _ in range(presses):
        try:
            return process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=1200)


def trial(way, path, seed):
    """Interrupt one process at a moment that depends on a seed; returns a tally."""
    rng = random.Random(f"{way} {seed}")
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "TMPDIR": folder,
            "PYTHONPATH": str(SOURCE),
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, way, path], env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        watch = threading.Timer(1200, process.kill)  # if it never begins
        watch.start()
        try:
            first = process.stdout.readline()
            assert first == "ready\n", (first, process.communicate()[1])
            time.sleep(rng.random() * 0.2)
            everyone = members(process.pid)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            output, complaints = ended(process, way)
            left = members(process.pid)
            deadline = time.monotonic() + 600
            while left and time.monotonic() < deadline:  # they end when they see that it has
                time.sleep(0.01)
                left = members(process.pid)
        finally:
            watch.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        lines = dict(line.rsplit(" ", 1) for line in output.splitlines())
        # Python drops an exception amid the hooks of a fork, also that of Ctrl-C; then PyTorch's
        # loader ends because its workers have.
        is_dropped = way.startswith("torch") and "exited unexpectedly" in complaints
        allowed = [-signal.SIGINT] + [1] * is_dropped
        assert process.returncode in allowed, (process.returncode, complaints)
        assert not left, left
        assert not shared_memory(everyone)
        # A folder of Python's own multiprocessing stays where its process is interrupted amid its end.
        files = [name for name in os.listdir(folder) if not name.startswith("pymp-")]
        assert not files, files
        if not way.startswith("torch"):
            assert complaints.count("Traceback") == 1, complaints
            assert "ignored" not in complaints, complaints
            assert int(lines["more"]) <= (64 if way == "transform" else 0) + THREADS, output
        if not way.startswith("stuck"):
            wanted = {"numbers": 256, "transform": 64, "processes": 16}.get(way, SAMPLES)
            assert int(lines["again"]) == wanted, output
    return collections.Counter({"interrupts": 1, way: 1})


if __name__ == "__main__":
    sys.path[:0] = [str(SOURCE)]
    main(*sys.argv[1:])
