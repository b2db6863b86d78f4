"""What the tests of the loader share: a dataset of every kind of column, and how batches are compared."""

import gc
import os
import threading

import make_golden
import numpy as np
from sameness import same

import dsrecords

SCHEMA = {
    "number": "int64", "half": "bfloat16", "maybe": "float64?", "flag": "bool?", "small": "uint16",
    "fixed": "float32[3,4]", "absent": "int16[2]?", "tokens": "int32[*]", "boxes": "float32[*,4]",
    "any": "array", "text": "str", "blob": "bytes?", "document": "json", "items": "list[int16]",
    "parts": "{x:float32,name:str}", "many": "list[{x:float32,name:str}]", "map": "map[int16]",
    "kind": "category[cat,dog]", "when": "datetime64[s]", "later": "datetime64[ms]?",
    "took": "timedelta64[s]", "picture": "png", "packed": "zstd(str)", "complex": "complex64",
}  # fmt: skip


def sample(i):
    """Sample number i: values that differ between samples, and None where it may be."""
    return {
        "number": i * 2**40, "half": i / 2, "maybe": None if i % 3 == 0 else i / 3, "flag": None if i % 5 == 4 else i % 2 == 0,
        "small": i % 2**16, "fixed": np.full((3, 4), i, np.float32), "absent": None if i % 4 == 1 else [i, -i],
        "tokens": np.arange(i % 7, dtype=np.int32), "boxes": np.full((i % 3, 4), i, np.float32),
        "any": np.full(2, i, np.int8) if i % 2 else np.full((2, 1), i, np.float64), "text": f"text {i}",
        "blob": None if i % 4 == 3 else bytes([i % 256]) * (i % 5), "document": {"a": [i, None]},
        "items": list(range(i % 4)), "parts": {"x": float(i), "name": str(i)},
        "many": [{"x": float(k), "name": str(k)} for k in range(i % 3)], "map": {"a": i % 100}, "kind": "cat" if i % 2 else "dog",
        "when": np.datetime64(i, "s"), "later": None if i % 6 == 5 else np.datetime64(i, "ms"), "took": np.timedelta64(i, "s"),
        "picture": make_golden.picture("red.png"), "packed": f"{i} " * 40, "complex": complex(i, -i),
    }  # fmt: skip


def make_everything(path, count=60):
    """A dataset with a field of every kind."""
    samples = (sample(i) for i in range(count))
    dsrecords.make_dataset(samples, path, SCHEMA)
    return dsrecords.open(path, decode={"picture": "rgb"})


def make_numbers(path, count, extra=()):
    """A dataset of samples `{"label": i}`, and of fixed arrays for the names in `extra`."""
    schema = {"label": "int64"}
    for name in extra:
        schema[name] = "float32[64]"
    arrays = [np.full(64, i, np.float32) for i in range(count)] if extra else []
    rows = []
    for i in range(count):
        row = {"label": i}
        for name in extra:
            row[name] = arrays[i]
        rows.append(row)
    dsrecords.make_dataset(rows, path, schema)
    return dsrecords.open(path)


def rows_of(column):
    """The rows of a column, each as an array or a value of Python's; None for what is masked."""
    if isinstance(column, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(column)
        values = np.ma.getdata(column)
        return [None if absent else value for value, absent in zip(values, mask, strict=True)]
    return list(column)


def check_batch(got, wanted):
    """A batch has the values of `dataset.batch`; what that gives as a list may be one array."""
    if isinstance(wanted, dict):
        assert list(got) == list(wanted)
    elif isinstance(wanted, tuple):
        assert type(got) is tuple and len(got) == len(wanted)
        got = dict(enumerate(got))
        wanted = dict(enumerate(wanted))
    else:
        got = {None: got}
        wanted = {None: wanted}
    for key, column in wanted.items():
        if isinstance(column, np.ma.MaskedArray):
            assert isinstance(got[key], np.ma.MaskedArray), key
        elif isinstance(column, np.ndarray):
            assert type(got[key]) is np.ndarray and got[key].dtype == column.dtype, key
        mine = rows_of(got[key])
        theirs = rows_of(column)
        assert len(mine) == len(theirs), key
        for one, other in zip(mine, theirs, strict=True):
            is_number = isinstance(other, (bool, int, float)) and isinstance(one, np.generic)
            assert same(one, other) or (is_number and one == other), (key, one, other)


def plain(batch):
    """A batch as something that compares with `==`, dtypes included."""
    if isinstance(batch, dict):
        return {key: plain(column) for key, column in batch.items()}
    if isinstance(batch, tuple):
        return tuple(plain(column) for column in batch)
    if isinstance(batch, np.ma.MaskedArray):
        return ("masked", str(batch.dtype), rows_of(batch))
    if isinstance(batch, np.ndarray):
        return (str(batch.dtype), batch.shape, batch.tobytes())
    if isinstance(batch, list):
        return [plain(value) for value in batch]
    return (type(batch).__name__, batch)


def flat(batches):
    """The labels of batches, one behind the other."""
    return [label for batch in batches for label in np.ravel(batch["label"]).tolist()]


def take_all(loader, got):
    """Put the labels of all batches into a list, also if an exception comes amid them."""
    for batch in loader:
        got.extend(np.ravel(batch["label"]).tolist())


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("dsrecords-loader")]


def wait_for_threads():
    """Wait for the threads of loaders to end; fail if they do not."""
    gc.collect()
    for thread in loader_threads():
        thread.join(60)
        assert not thread.is_alive()


def descriptors():
    return len(os.listdir("/proc/self/fd"))
