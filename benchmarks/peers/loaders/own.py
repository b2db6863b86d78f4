"""What is asked of DSRecords alone: `python -m peers.loaders.own QUESTION ARGUMENTS`, which prints JSON.

    small FOLDER COUNT          make a dataset of COUNT records of 12 bytes
    first FOLDER                processor time of opening, of importing the loader, of the first batch
    resume FOLDER SHARE         processor time from a loaded state, at this share of an epoch, to the next batch
    memory FOLDER KIND EPOCHS   bytes (PSS) of all processes after each epoch

KIND is what loads: `threads-2`, `threads-8`, `processes-2`, or `dataloader-8` (torch's, with 8 workers).
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import dsrecords
from dsrecords import vision

from .worker import memory

BATCH = 256
_CHUNK = 1_000_000


def small(folder: str, count: str) -> int:
    """Make the dataset, unless it is there."""
    path = Path(folder) / "small.rec"
    if path.exists():
        return len(dsrecords.open(path))
    schema = {"x": "float32", "y": "float32", "label": "int32"}
    with dsrecords.IndexedRecordDataset(path, schema=schema, create=True) as data:
        for start in range(0, int(count), _CHUNK):
            labels = np.arange(start, min(start + _CHUNK, int(count)), dtype=np.int32)
            values = labels.astype(np.float32)
            data.extend_columns({"x": values, "y": -values, "label": labels})
    return int(count)


def first(folder: str) -> dict[str, float]:
    """The first batch of a shuffled epoch, in a process that has done nothing before."""
    start = time.process_time()
    data = dsrecords.open(Path(folder) / "small.rec")
    opened = time.process_time()
    kind = dsrecords.Loader  # imported when it is first asked for
    imported = time.process_time()
    loader = kind(data, BATCH, shuffle=True)
    batch = next(iter(loader))
    end = time.process_time()
    assert (batch["x"] == batch["label"].astype(np.float32)).all()
    return {"open": opened - start, "import": imported - opened, "batch": end - imported}


def resume(folder: str, share: str) -> dict[str, float]:
    """The next batch after a state, which is compared with the one that comes there."""
    data = dsrecords.open(Path(folder) / "small.rec")
    loader = dsrecords.Loader(data, BATCH, shuffle=True)
    step = int(float(share) * (len(loader) - 1))
    state = loader.sampler.state_dict(step)
    expected = np.asarray(loader.indices(step))
    start = time.process_time()
    loader.load_state_dict(state)
    batch = next(iter(loader))
    end = time.process_time()
    assert (batch["label"] == expected).all()
    return {"step": step, "resumed": end - start}


def memory_of(folder: str, kind: str, epochs: str) -> list[int]:
    """Epoch after epoch of the JPEGs of `jpeg256`."""
    loads, number = kind.split("-")
    data = dsrecords.open(Path(folder) / "jpeg256" / "ours" / "data.rec")
    decode = {"image": vision.RandomResizedCrop(224, flip=0.5)}
    iterate = LOADS[loads](data, decode, int(number))
    found = []
    for epoch in range(int(epochs)):
        for _ in iterate(epoch):
            pass
        found.append(memory())
    return found


def _loader(data: Any, decode: dict[str, Any], **options: int) -> Callable[[int], Any]:
    loader = dsrecords.Loader(data, 128, shuffle=True, decode=decode, **options)

    def iterate(epoch: int) -> Any:
        loader.set_epoch(epoch)
        return loader

    return iterate


def _threads(data: Any, decode: dict[str, Any], number: int) -> Callable[[int], Any]:
    return _loader(data, decode, num_threads=number)


def _processes(data: Any, decode: dict[str, Any], number: int) -> Callable[[int], Any]:
    return _loader(data, decode, num_processes=number)


def _dataloader(data: Any, decode: dict[str, Any], number: int) -> Callable[[int], Any]:
    from torch.utils.data import DataLoader

    loader = DataLoader(
        dsrecords.torch.Dataset(data.with_decode(decode)),
        batch_size=128,
        shuffle=True,
        num_workers=number,
        persistent_workers=True,
        collate_fn=dsrecords.torch.collate,
    )
    return lambda epoch: loader


LOADS = {"threads": _threads, "processes": _processes, "dataloader": _dataloader}
QUESTIONS = {"small": small, "first": first, "resume": resume, "memory": memory_of}

if __name__ == "__main__":
    print(json.dumps(QUESTIONS[sys.argv[1]](*sys.argv[2:])))
