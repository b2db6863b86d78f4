"""Every way of reading a dataset, as records of plain values: whatever was verified before, all give the same."""

import pickle
import random

import numpy as np


def plain(value):
    """A value without what NumPy makes of it."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return bytes(value) if isinstance(value, memoryview) else value


def plain_records(samples):
    return [{key: plain(value) for key, value in sample.items()} for sample in samples]


def records(columns):
    """Columns as records."""
    lists = [plain(column) for column in columns.values()]
    rows = zip(*lists, strict=True)
    return plain_records(dict(zip(columns, row, strict=True)) for row in rows)


def parts_of(keys):
    """Several fields, some of them twice in different company."""
    return [keys[:2], keys[1:4], [keys[-1], keys[0]], keys[2:]]


def _in_parts(ds, keys):
    for i in range(len(ds)):
        yield {key: value for part in parts_of(keys) for key, value in ds[i, part].items()}


def _batches(ds, keys):
    columns = {}
    for part in parts_of(keys):
        columns |= ds.batch(range(len(ds)), part)
    return columns


def _in_another_order(ds, keys):
    order = random.Random(len(ds)).sample(range(len(ds)), len(ds))
    found = dict(zip(order, records(ds.batch(order)), strict=True))
    return [found[i] for i in range(len(ds))]


WAYS = {
    "single samples": lambda ds, keys: plain_records(ds[i] for i in range(len(ds))),
    "single samples from the end": lambda ds, keys: plain_records(
        ds[-i] for i in range(len(ds), 0, -1)
    ),
    "single fields": lambda ds, keys: plain_records(
        {key: ds[i, key] for key in keys} for i in range(len(ds))
    ),
    "some fields": lambda ds, keys: plain_records(_in_parts(ds, keys)),
    "a loop": lambda ds, keys: plain_records(ds),
    "a batch": lambda ds, keys: records(ds.batch(slice(None))),
    "a batch in another order": _in_another_order,
    "batches of some fields": lambda ds, keys: records(_batches(ds, keys)),
    "columns": lambda ds, keys: records({key: ds.column(key) for key in keys}),
    "what a loader asks for": lambda ds, keys: plain_records(ds.__getitems__(range(len(ds)))),
    "a view": lambda ds, keys: plain_records(ds[::-1])[::-1],
    "batches of a view": lambda ds, keys: records(ds[::-1].batch(slice(None, None, -1))),
    "a copy for another process": lambda ds, keys: plain_records(pickle.loads(pickle.dumps(ds))),
}


def of_fields(samples, keys):
    return [{key: sample[key] for key in keys} for sample in samples]


def check(way, ds, samples, keys):
    """Read some fields of a dataset, and compare them with what they are to be."""
    found = WAYS[way](ds, keys)
    assert of_fields(found, keys) == of_fields(samples, keys), way


def check_all(ds, samples, keys, without=()):
    """In an order in which each way finds something verified, and something not."""
    for way in sorted(WAYS.keys() - without, key=lambda way: random.Random(way).random()):
        check(way, ds, samples, keys)
