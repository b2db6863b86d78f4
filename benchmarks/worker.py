"""A process that measures one peer: one JSON request a line on standard input, one JSON answer a line on its output.

The driver starts it under the peer's own environment. What is timed, and how, stands here and is the same for all.
"""

import importlib
import importlib.metadata
import itertools
import json
import os
import shutil
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import Watch, run_for, size_on_disk, sync_files
from peers.base import NotSupportedError, Store
from questions import READS
from workloads import WORKLOADS, Records

_SCAN_STEP = 1000


class Worker:
    """Answers the driver's requests for one peer."""

    def __init__(self, peer: str):
        start = time.perf_counter()
        self.kind: type[Store] = importlib.import_module(f"peers.{peer}").Adapter
        self.import_seconds = time.perf_counter() - start
        self._records: dict[tuple[str, int], Records] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        return getattr(self, f"do_{request.pop('do')}")(**request)

    def do_hello(self) -> dict[str, Any]:
        """Who this is."""
        return {
            "title": self.kind.title,
            "typed": self.kind.typed,
            "versions": {name: _version(name) for name in (*self.kind.modules, "numpy")},
            "native": getattr(sys.modules.get("dsrecords"), "native", None),
            "python": sys.version.split()[0],
            "import_seconds": self.import_seconds,
        }

    def do_write(self, workload: str, count: int, verb: str, folder: str) -> dict[str, Any]:
        """Write a dataset anew, until it is on the disk; what was in the folder goes."""
        store = self._store(workload, folder)
        write = _verb(store, verb)
        records = self._prepared(workload, count)
        shutil.rmtree(store.folder, ignore_errors=True)
        store.folder.mkdir(parents=True)
        os.sync()  # so that what others left to be written does not slow this one down
        with Watch() as cost:
            write(records)
            sync_files(
                store.folder
            )  # for those that leave it to the system, as all must get to the disk
        return {
            **cost.as_dict(),
            "records": count,
            "payload": records.nbytes,
            "size": size_on_disk(store.folder),
        }

    def do_check(self, workload: str, count: int, folder: str) -> dict[str, Any]:
        """Compare what every reading verb returns with what was stored. Nothing is timed."""
        store = self._store(workload, folder)
        records = self._prepared(workload, count)
        store.open()
        try:
            checked = _check(store, records)
        finally:
            store.close()
        self._records.clear()  # free the expected values
        return {"checked": checked}

    def do_read(
        self,
        workload: str,
        verb: str,
        folder: str,
        count: int,
        size: int,
        least: int,
        seed: int,
        share: tuple[float, float],
        most: int,
        budget: float,
        cold: bool,
        again: bool,
    ) -> dict[str, Any]:
        """Open the dataset anew and ask one question.

        The positions are a random permutation's part from share[0] to share[1]: each question of a process reads
        records that no other has read. Where files are warm, one call comes before, untimed, with records that are not
        asked for again.
        """
        store = self._store(workload, folder)
        call = _verb(store, verb)
        start = time.perf_counter()
        store.open(cold=cold)
        opened = time.perf_counter() - start
        try:
            if not size:
                result = _whole(store, verb, call, budget, again)
            else:
                chunks = _chunks(store, count, (least or size, size), seed, share, most)
                if verb == "batch_into":
                    call = _into(store, size)
                if not cold:  # there, it would read ahead much of what is asked for later
                    call(chunks[0][:64])
                result = _timed(call, chunks[1:], budget, again)
        finally:
            store.close()
        result.update(opened=opened, views=verb in store.views)
        if (
            cold and store.opening_counts
        ):  # some read much of the file, or its whole index, when they open it
            result["seconds"] += opened
        return result

    def _store(self, workload: str, folder: str) -> Store:
        return self.kind(workload, WORKLOADS[workload].fields, Path(folder))

    def _prepared(self, workload: str, count: int) -> Records:
        """The records, with everything made that a writer may ask for."""
        key = (workload, count)
        if key not in self._records:
            self._records.clear()
            records = WORKLOADS[workload].records(count)
            for made in (
                records.columns(),
                records.tuples,
                records.dicts,
            ):  # now, so that no writer pays for them
                assert made
            self._records[key] = records
        return self._records[key]


def _version(name: str) -> str:
    module = sys.modules.get(name)
    try:
        return importlib.metadata.version(name.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(module, "__version__", "?"))


def _verb(store: Store, verb: str) -> Any:
    method = getattr(store, verb, None)
    if method is None:
        raise NotSupportedError("")
    return method


def _chunks(
    store: Store,
    count: int,
    sizes: tuple[int, int],
    seed: int,
    share: tuple[float, float],
    most: int,
) -> list[Any]:
    generator = np.random.default_rng(seed)
    order = generator.permutation(count)
    low, high = sizes
    part = order[int(share[0] * count) : int(share[1] * count)][: most + high]
    stops = np.cumsum(generator.integers(low, high + 1, len(part) // low + 1))
    stops = stops[stops <= len(part)].tolist()
    chunks = [part[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]
    return chunks if store.indices == "array" else [chunk.tolist() for chunk in chunks]


def _into(store: Store, size: int) -> Any:
    field = store.fields[0]
    out = np.zeros((size, *field.shape), field.dtype)
    return lambda chunk: store.batch_into(chunk, out)


def _timed(call: Any, chunks: list[Any], budget: float, again: bool) -> dict[str, Any]:
    """Time `call` on chunks that were not read before, then (`again`) on the same ones."""
    with Watch() as cost:
        cost.extra["records"] = run_for(call, chunks, budget)
    result = cost.as_dict()
    if again:
        calls = _as_many(chunks, result["records"])
        with Watch() as cost:
            cost.extra["records"] = run_for(call, calls, budget)
        result["again"] = cost.as_dict()
    return result


def _as_many(chunks: list[Any], records: int) -> Iterator[Any]:
    """The first chunks, until there are so many records."""
    for chunk in chunks:
        if records <= 0:
            return
        records -= len(chunk)
        yield chunk


def _whole(store: Store, verb: str, call: Any, budget: float, again: bool) -> dict[str, Any]:
    """Time a verb that takes no positions: a scan (until the budget is spent) or a column (to its end)."""
    with Watch() as cost:
        if verb == "scan":
            cost.extra["records"] = _scan(call(), budget)
        else:
            cost.extra["records"] = len(call(store.names[-1]))
    result = cost.as_dict()
    if again:
        with Watch() as cost:
            cost.extra["records"] = len(call(store.names[-1]))
        result["again"] = cost.as_dict()
    return result


def _scan(iterator: Any, budget: float) -> int:
    stop = time.perf_counter() + budget
    done = 0
    while time.perf_counter() < stop:
        taken = _consume(itertools.islice(iterator, _SCAN_STEP))
        done += taken
        if taken < _SCAN_STEP:
            break
    return done


def _consume(iterator: Any) -> int:
    """Count what an iterator gives, at C speed, keeping only the last."""
    counter = itertools.count()
    deque(zip(iterator, counter, strict=False), maxlen=1)
    return next(counter)


def _same(got: Any, expected: Any) -> bool:
    if isinstance(expected, bytes):
        return bytes(got) == expected
    if isinstance(expected, str):
        return got == expected
    if isinstance(expected, (list, tuple)):
        return len(got) == len(expected) and all(map(_same, got, expected))
    if np.ndim(expected) == 0:
        return bool(got == expected)
    got = np.asarray(got)
    return got.shape == expected.shape and bool((got == expected).all())


def _owned(column: Any) -> bool:
    """Whether what claims to be the caller's own is: encoded bytes must be `bytes`, not views; a text is `str`."""
    return not isinstance(column, list) or all(type(value) in (bytes, str) for value in column)


def _record(value: Any, names: list[str]) -> tuple:
    return tuple(value[name] for name in names) if isinstance(value, dict) else tuple(value)


def _check(store: Store, records: Records) -> list[str]:
    """The verbs that returned exactly what was stored; a difference is an error."""
    checked = []
    for verb in sorted(
        {question.verb for question in READS if question.workload == store.workload}
    ):
        call = getattr(store, verb, None)
        if call is None:
            continue
        try:
            right = _right(store, verb, call, records)
        except NotSupportedError:
            continue
        if not right:
            raise AssertionError(
                f"{store.title}: {verb} returned other values than were stored in {store.workload}"
            )
        checked.append(verb)
    return checked


def _right(store: Store, verb: str, call: Any, records: Records) -> bool:
    """Whether one verb returns what was stored: everything for scans and columns, 64 random records for the others."""
    order = np.random.default_rng(1).permutation(records.count)[:64]
    chunk = order if store.indices == "array" else order.tolist()
    if verb == "scan":
        pairs = zip(call(), records.tuples, strict=True)
        return all(_same(_record(value, store.names), row) for value, row in pairs)
    if verb == "column":
        name = store.names[-1]
        return _same(call(name), records.column(name))
    if verb == "get_each":
        got = [_record(call(chunk[k : k + 1]), store.names) for k in range(len(chunk))]
        return all(_same(value, records.tuples[i]) for value, i in zip(got, order, strict=True))
    expected = {
        name: [column[i] for i in order] if isinstance(column, list) else column[order]
        for name, column in records.columns().items()
    }
    if verb == "batch_into":
        field = store.fields[0]
        out = np.zeros((len(chunk), *field.shape), field.dtype)
        call(chunk, out)
        return _same(out, expected[field.name])
    got = call(chunk)
    right = all(_same(got[name], expected[name]) for name in store.names)
    return right and (verb in store.views or all(map(_owned, got.values())))


def _settle_allocator() -> None:
    """Free one block of 31 MiB, as every training process has done before long.

    From then on the C library keeps freed blocks of that size instead of handing them back to the system. Without this,
    a peer that returns bytes is four times faster or slower by what its import happened to free.
    """
    del [bytearray(31 << 20)][:]


def main() -> None:
    """Serve requests until standard input ends."""
    _settle_allocator()
    # Libraries print what they like; the protocol keeps a descriptor of its own.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        try:
            worker = worker or Worker(sys.argv[1])
            answer = worker.answer(json.loads(line))
        except NotSupportedError as reason:
            answer = {"unsupported": str(reason)}
        except Exception as error:  # noqa: BLE001 - a peer may fail in any way: the driver prints it and goes on
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        replies.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
