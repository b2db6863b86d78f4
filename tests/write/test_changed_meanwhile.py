"""What is given is changed while it is being written: each record is whole, or an error."""

import contextlib
import sys
import threading

import numpy as np
import pytest

import dsrecords
from dsrecords import IndexedRecordDataset, SchemaError

LARGE = 2**16  # bytes of a payload from which on other threads run while its checksum is made
ROUNDS = 100


@contextlib.contextmanager
def meanwhile(work):
    """Let another thread do something again and again, and be heard often."""
    is_over = threading.Event()

    def run():
        while not is_over.is_set():
            work()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        sys.setswitchinterval(before)


def require_whole(path, shapes):
    """Every record can be verified and decoded."""
    with dsrecords.open(path, verify="always") as ds:
        ds.check(decode=True)
        for sample in ds:
            assert {key: sample[key].shape for key in shapes} == shapes


class ResizesAnArray(dict):
    """A dict that changes an array as it is encoded."""

    def __init__(self, array):
        super().__init__(key=1)
        self.array = array

    def items(self):
        self.array.resize((2,), refcheck=False)
        return super().items()


@pytest.mark.parametrize("way", ["append", "extend"])
def test_an_array_that_a_later_field_makes_smaller(tmp_path, way):
    schema = {"a": "int32[4]", "j": "json"}
    path = tmp_path / "x.rec"
    with IndexedRecordDataset(path, schema=schema, create=True) as ds:
        ds.append({"a": np.arange(4, dtype=np.int32), "j": {}})
        array = np.arange(4, dtype=np.int32)
        sample = {"a": array, "j": ResizesAnArray(array)}
        with contextlib.suppress(SchemaError):
            if way == "append":
                ds.append(sample)
            else:
                ds.extend([sample, {"a": np.arange(4, dtype=np.int32), "j": {}}])
    require_whole(path, {"a": (4,)})


@pytest.mark.parametrize("way", ["append", "extend"])
def test_arrays_that_another_thread_resizes(tmp_path, way):
    shape = (LARGE // 4,)
    schema = {"a": f"int32[{shape[0]}]", "b": f"int32[{shape[0]}]"}
    arrays = [np.zeros(shape, np.int32) for _ in range(2)]
    sizes = [shape[0], 2 * shape[0], 16]

    def resize():
        for size in sizes:
            for array in arrays:
                array.resize((size,), refcheck=False)
        for array in arrays:
            array.resize(shape, refcheck=False)

    path = tmp_path / "x.rec"
    sample = dict(zip("ab", arrays, strict=True))
    with IndexedRecordDataset(path, schema=schema, create=True) as ds, meanwhile(resize):
        for _ in range(ROUNDS):
            with contextlib.suppress(SchemaError):
                if way == "append":
                    ds.append(sample)
                else:
                    ds.extend([sample, sample])
    require_whole(path, {"a": shape, "b": shape})


def test_values_that_another_thread_changes(tmp_path):
    """The checksum is of what is written, and not of what the array was a moment before or after."""
    shape = (4 * LARGE,)
    array = np.zeros(shape, np.uint8)

    def change():
        np.add(array, 1, out=array)  # without Python's lock, as the array is large

    path = tmp_path / "x.rec"
    schema = {"a": f"uint8[{shape[0]}]"}
    with IndexedRecordDataset(path, schema=schema, create=True) as ds, meanwhile(change):
        for _ in range(ROUNDS // 4):
            ds.append({"a": array})
        ds.extend([{"a": array}] * 4)
        ds.extend_columns({"a": np.broadcast_to(array, (3, *shape))})
        ds.extend_columns({"a": array.reshape(1, -1)})
    require_whole(path, {"a": shape})


def test_memory_that_grows_while_its_column_is_written(tmp_path):
    """Whoever would move the memory is told so by Python, as an array has it."""
    width = LARGE // 4
    memory = bytearray(16 * LARGE)
    column = np.frombuffer(memory, np.int32).reshape(-1, width)
    outcomes = set()

    def grow():
        try:
            memory.extend(bytes(64))
        except BufferError:
            outcomes.add("refused")
        else:
            outcomes.add("moved")

    path = tmp_path / "x.rec"
    schema = {"a": f"int32[{width}]"}
    with IndexedRecordDataset(path, schema=schema, create=True) as ds, meanwhile(grow):
        for _ in range(ROUNDS // 4):
            ds.extend_columns({"a": column})
    require_whole(path, {"a": (width,)})
    assert "moved" not in outcomes


def test_bytes_that_grow_while_they_are_written(tmp_path):
    memory = bytearray(LARGE)

    def grow():
        if len(memory) > 8 * LARGE:
            del memory[LARGE:]
        memory.extend(bytes(4096))

    path = tmp_path / "x.rec"
    with IndexedRecordDataset(path, schema={"a": "bytes"}, create=True) as ds, meanwhile(grow):
        for _ in range(ROUNDS):
            with contextlib.suppress(BufferError):
                ds.append({"a": memory})
    with dsrecords.open(path, verify="always") as ds:
        ds.check()
        assert all(len(sample["a"]) % 4096 == 0 for sample in ds)
