"""Memory of batches: it is used again, but never while anyone can see it."""

import gc
import pickle
import subprocess
import sys
import tracemalloc
import weakref

import numpy as np
import pytest
from conftest import SOURCE, python
from loaders import descriptors, loader_threads, make_numbers, plain, wait_for_threads

from dsrecords import Loader, Pad
from dsrecords._loader.buffers import ALIGNMENT, Buffers


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    return make_numbers(str(tmp_path_factory.mktemp("loader") / "arrays.rec"), 640, ["x"])


class Counted:
    """Makes the memory of buffers, and counts it."""

    def __init__(self):
        self.sizes = []

    def __call__(self, size):
        self.sizes.append(size)
        return np.empty(size, np.uint8)


def address(array):
    return array.__array_interface__["data"][0]


def counted(loader):
    """Let a loader take its memory from a counter."""
    count = Counted()
    loader._buffers = Buffers(loader._buffers._most, count)
    return count


def test_memory_is_used_again_when_the_last_view_is_gone():
    allocate = Counted()
    buffers = Buffers(2, allocate)
    first = buffers.array(np.dtype(np.float32), (100, 100))
    begin = address(first)
    view = first[5:, ::2].T
    del first
    other = buffers.array(np.dtype(np.float32), (100, 100))
    assert address(other) != begin
    del view
    third = buffers.array(np.dtype(np.int8), (200, 200))
    assert address(third) == begin
    assert third.shape == (200, 200) and third.flags.writeable
    assert allocate.sizes == [40_000, 40_000]


def test_few_blocks_are_kept():
    buffers = Buffers(2)
    held = [buffers.array(np.dtype(np.uint8), (2**15,)) for _ in range(9)]
    begins = {address(array) for array in held}
    del held
    buffers.array(np.dtype(np.uint8), (2**15,))
    assert len(begins) == 9
    assert sum(len(free) for free in buffers._free.values()) <= 2
    assert len(buffers._lent) <= 2


def test_an_array_in_a_cycle_gives_its_memory_back():
    allocate = Counted()
    buffers = Buffers(4, allocate)
    for _ in range(5):
        cycle = [buffers.array(np.dtype(np.uint8), (2**15,))]
        cycle.append(cycle)
        del cycle
        gc.collect()
    assert len(allocate.sizes) == 1


def test_buffers_end_before_their_arrays():
    buffers = Buffers(4)
    array = buffers.array(np.dtype(np.uint8), (2**15,))
    array[:] = 7
    gone = weakref.ref(buffers)
    del buffers
    gc.collect()
    assert gone() is None
    assert (array == 7).all()


@pytest.mark.parametrize("shape", [(1,), (3, 5), (256,), (64, 64), (1000, 77), (0,), (5, 0)])
@pytest.mark.parametrize("dtype", ["int8", "float32", "complex128", "datetime64[s]", "O", "U3"])
def test_arrays_begin_at_a_cache_line(shape, dtype):
    buffers = Buffers(4)
    held = [buffers.array(np.dtype(dtype), shape) for _ in range(3)]
    for array in held:
        assert array.shape == shape and array.dtype == np.dtype(dtype)
        assert array.flags.c_contiguous and array.flags.writeable
        if array.size and dtype != "O":
            assert address(array) % ALIGNMENT == 0


def test_columns_of_batches_begin_at_a_cache_line(arrays):
    for options in ({}, {"transform": lambda s: s}, {"num_threads": 0}):
        for batch in Loader(arrays, 32, **options):
            assert address(batch["x"]) % ALIGNMENT == 0
            if "transform" not in options:
                assert address(batch["label"]) % ALIGNMENT == 0


@pytest.mark.parametrize("num_threads", [0, 2])
def test_a_batch_that_is_held_never_changes(arrays, num_threads):
    loader = Loader(arrays, 64, shuffle=True, num_threads=num_threads, prefetch=0)
    kept = [batch["x"][1:3, 5] for batch in loader]
    wanted = [loader.indices(step)[1:3].tolist() for step in range(10)]
    assert [rows.tolist() for rows in kept] == wanted
    whole = list(loader)
    for _ in range(2):
        list(loader)
    loader.set_epoch(1)
    for step, batch in enumerate(whole):
        assert batch["label"].tolist() == loader.indices(step).tolist()
        assert batch["x"][:, 63].tolist() == loader.indices(step).tolist()


def test_a_batch_can_be_written_to(arrays):
    loader = Loader(arrays, 64)
    for batch in loader:
        batch["x"][:] = -1
        batch["label"][:] = -1
    for step, batch in enumerate(loader):
        assert batch["x"][:, 0].tolist() == loader.indices(step).tolist()


@pytest.mark.parametrize(
    "options", [{}, {"transform": dict}, {"pad": {"x": Pad(0, length=70)}}], ids=str
)
@pytest.mark.parametrize("num_threads", [0, 2])
def test_memory_stays_what_it_is_over_ten_epochs(arrays, num_threads, options):
    loader = Loader(arrays, 64, shuffle=True, num_threads=num_threads, **options)
    count = counted(loader)
    list(loader)  # all batches at once: as many blocks as ever
    most = len(count.sizes)
    assert most <= 20
    for _ in range(10):
        for batch in loader:
            assert batch["x"].shape[0] == 64
        del batch
    assert len(count.sizes) <= most + 10
    blocks = sum(len(free) for free in loader._buffers._free.values())
    assert blocks <= 2 * loader._buffers._most


@pytest.mark.slow
def test_objects_and_memory_stay_what_they_are_over_ten_epochs(arrays):
    loader = Loader(arrays, 64, shuffle=True, num_threads=2, batch_transform=lambda b, rng: b)
    for _ in range(3):
        list(loader)
    wait_for_threads()
    objects = len(gc.get_objects())
    files = descriptors()
    tracemalloc.start()
    for epoch in range(10):
        for batch in loader:
            del batch
        if epoch == 1:
            wait_for_threads()
            before, _ = tracemalloc.get_traced_memory()
    wait_for_threads()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(gc.get_objects()) - objects < 500
    assert after - before < 2**17
    assert descriptors() == files


_MEASURED = """
import re
import dsrecords

def pss():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"Pss: +(\\d+)", file.read())[1]) / 1024

loader = dsrecords.Loader(dsrecords.open(sys.argv[1]), 64, shuffle=True, num_threads=8)
for epoch in range(12):
    for batch in loader:
        pass
    if epoch == 1:
        before = pss()
print(pss() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much memory is a process's own")
def test_the_memory_of_the_process_is_flat_with_eight_threads(arrays):
    grown = float(python(_MEASURED, arrays.path))
    assert grown < 32  # MiB: an epoch of batches has 2


def test_an_exception_leaves_no_memory_behind(arrays):
    """The frames of an error refer to what was being made: nothing may refer back to the error."""

    def transform(sample):
        if sample["label"] == 200:
            raise LookupError("as planned")
        return sample

    gc.collect()
    gc.disable()
    try:
        for options in ({"transform": transform}, {"batch_transform": lambda b: {}[0]}):
            loader = Loader(arrays, 64, num_threads=2, **options)
            count = counted(loader)
            with pytest.raises(LookupError) as caught:
                list(loader)
            buffers = weakref.ref(loader._buffers)
            running = loader._running
            del caught, loader
            wait_for_threads_without_collecting()
            assert running() is None
            assert buffers() is None
            assert count.sizes
    finally:
        gc.enable()


def wait_for_threads_without_collecting():
    for thread in loader_threads():
        thread.join(60)


def test_what_is_lent_is_no_noise_at_the_end_of_the_interpreter(arrays):
    code = """
import dsrecords
loader = dsrecords.Loader(dsrecords.open(sys.argv[1]), 64, num_threads=2)
kept = []
cycle = [kept]
cycle.append(cycle)
for batch in loader:
    kept.append(batch)
iterator = iter(loader)
next(iterator)
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}", arrays.path],
        capture_output=True, text=True, timeout=3000, check=True,
    )  # fmt: skip
    assert done.stdout == "done\n"
    assert done.stderr == ""


def test_a_batch_pickles_alone(arrays):
    batch = next(iter(Loader(arrays, 64)))
    assert len(pickle.dumps(batch)) < 2 * 64 * (64 * 4 + 8)
    assert plain(pickle.loads(pickle.dumps(batch))) == plain(batch)


def test_a_batch_outlives_its_loader_and_its_dataset(tmp_path):
    dataset = make_numbers(str(tmp_path / "a.rec"), 64, ["x"])
    batch = next(iter(Loader(dataset, 64)))
    dataset.close()
    (tmp_path / "a.rec").unlink()
    del dataset
    wait_for_threads()
    assert batch["x"][:, 1].tolist() == list(range(64))
