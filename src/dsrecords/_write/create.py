"""Making whole datasets: from samples, and from another dataset."""

from __future__ import annotations

import collections
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from dsrecords._read.open import default_index
from dsrecords._read.snapshot import Plan, Snapshot
from dsrecords._schema.infer import LIMIT, infer_schema
from dsrecords._schema.schema import Field, Schema, make_schema
from dsrecords._storage.files import Descriptor
from dsrecords._types.compressed import Zstd
from dsrecords._types.dictionaries import train_dictionary
from dsrecords._write.builder import Builder
from dsrecords._write.columns import Rows
from dsrecords._write.writer import Encoded
from dsrecords.errors import SchemaError

_CHUNK = 64  # samples that one thread encodes at once
_SAMPLE, _SAMPLE_BYTES = 2**17, 16 * 2**20  # records, and bytes of their payloads, of which dictionaries are made


def make_dataset(
    samples: Iterable[Any],
    path: str | os.PathLike[str],
    schema: Any = None,
    index_path: str | os.PathLike[str] | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    num_workers: int = 0,
    id: bytes | None = None,
) -> tuple[str, str]:
    """Write samples to a new dataset.

    It is written as `path` + ".partial" and renamed at the end: a failure leaves what was there, and a kill leaves a `.partial`
    that opens as a dataset of all that was written so far.

    Args:
        samples: dicts (or dataclasses, named tuples) for a schema with names, else tuples or lists. Any iterable.
        path: of the data file; by custom it ends in `.rec`.
        schema: names to types, such as `{"image": "jpeg", "label": "int64"}`, or a list of types; functions of `dsrecords.io` may
            stand for types, and a dataclass or TypedDict for a dict. Without one, `infer_schema` looks at the first samples, and
            what it chose is logged as a warning of the logger "dsrecords".
        index_path: of the index; by default `path` with the ending `.idx`.
        metadata: anything that JSON can hold, kept in the header.
        overwrite: whether a dataset that is there gives way. Who has it open goes on reading the old one.
        progress: whether to show a progress bar.
        num_workers: processes that encode samples. They help where encoding one takes longer than sending it to another process,
            as PNG and WebP do. They are forked, so that samples must pickle, but not serializers. On other systems than Linux
            they are threads.
        id: 16 bytes that identify the dataset; by default random. The same id and samples give the same bytes.

    Returns:
        (data path, index path)

    Raises:
        FileExistsError: there is a file at either path, and `overwrite` is not given, or the file is not a dataset.
        SchemaError: a type that is none, or a sample that does not fit: names its position and field.
        LockedError: somebody else writes to the dataset, or makes it.
    """
    data_path = os.fspath(path)
    index = default_index(data_path) if index_path is None else os.fspath(index_path)
    total = len(samples) if isinstance(samples, Sized) else None
    if schema is None:
        samples, schema = _with_schema(samples, data_path)
    fields, wrapped = make_schema(schema), shown(samples, total, data_path, progress)
    records: Any = Rows(fields, wrapped, 0)
    if fields.payloads or num_workers:
        records = (_trained if fields.trainable() else _encoded)(fields, iter(enumerate(wrapped)), num_workers)
    build(data_path, index, fields, metadata or {}, records, overwrite, id)
    return data_path, index


def build(
    path: str,
    index_path: str,
    schema: Schema,
    metadata: dict[str, Any],
    records: Iterable[Encoded] | Rows,
    overwrite: bool = False,
    id: bytes | None = None,
    temporary: str = ".partial",
    held: bool = False,
) -> Descriptor:
    """A new dataset of encoded records; without any trace if they raise. `held`: the lock of what is replaced is held already.

    Returns the descriptor of the new `.rec`, which holds its lock.
    """
    if id is not None and (type(id) is not bytes or len(id) != 16):
        raise ValueError("an id is 16 bytes")
    builder = Builder(path, index_path, path + temporary, schema, metadata, id, overwrite, held)
    try:
        if isinstance(records, Rows):
            records.write(builder.writer)
        else:
            builder.writer.extend(records)
        return builder.finish(replace=overwrite)
    except BaseException:
        builder.abandon()
        raise


def create(path: str, index_path: str, schema: Schema) -> None:
    """Empty files. Raises FileExistsError if another process was faster."""
    build(path, index_path, schema, {}, (), temporary=f".{os.urandom(4).hex()}.tmp")


def compact(path: str, index_path: str, snapshot: Snapshot, positions: Any, replace: bool = False) -> Descriptor:
    """The records at these positions as a new dataset; `replace`: in the place of their own, whose lock is held."""
    header = snapshot.header
    everything = Plan(header, [(field, field.type.load) for field in header.schema.fields], True, tuple)
    schema = header.schema
    records: Iterator[Encoded] = (snapshot.encoded(int(i), everything) for i in positions)
    if schema.trainable():
        schema, records = _retrained(snapshot, positions, everything)
    return build(path, index_path, schema, header.metadata, records, overwrite=replace, held=replace)


def _retrained(snapshot: Snapshot, positions: Any, everything: Plan) -> tuple[Schema, Iterator[Encoded]]:
    """A schema with dictionaries for these records, and the records as it compresses them."""
    old = snapshot.header.schema
    new = Schema.from_json(old.to_json())

    def plain(i: int) -> Encoded:
        numbers, payloads = snapshot.encoded(i, everything)
        for field, _ in old.trainable():
            data = payloads[field.payload]
            payloads[field.payload] = None if data is None else snapshot.plain(i, field, data)
        return numbers, payloads

    count = min(len(positions), _SAMPLE)
    spread = np.random.default_rng(0).permutation(np.linspace(0, len(positions) - 1, count).astype(np.int64))
    sample, taken = [], 0
    for number in spread.tolist():
        record = plain(int(positions[number]))
        taken += sum(map(len, filter(None, record[1])))
        sample.append(record)
        if taken >= _SAMPLE_BYTES:
            break
    _train(new, sample)
    return new, (_compressed(new, plain(int(i))) for i in positions)


def _trained(schema: Schema, numbered: Iterator[tuple[int, Any]], num_workers: int) -> Iterator[Encoded]:
    """As `_encoded`, once the schema has dictionaries for the first samples."""
    writes = {
        field: field.type.inner.dump if isinstance(field.type, Zstd) and field.type.size else field.dump
        for field in schema.fields
    }
    plain = Schema([Field(field.key, field.type, dump) for field, dump in writes.items()], schema.named)
    sample: list[Encoded] = []
    taken = 0
    while taken < _SAMPLE_BYTES and len(sample) < _SAMPLE:
        chunk = list(_encoded(plain, itertools.islice(numbered, _CHUNK), 0))
        if not chunk:
            break
        taken += sum(len(payload) for _, payloads in chunk for payload in payloads if payload is not None)
        sample += chunk
    _train(schema, sample)
    return itertools.chain((_compressed(schema, record) for record in sample), _encoded(schema, numbered, num_workers))


def _train(schema: Schema, sample: list[Encoded]) -> None:
    for field, kind in schema.trainable():
        train_dictionary(kind, [data for _, payloads in sample if (data := payloads[field.payload]) is not None])


def _compressed(schema: Schema, record: Encoded) -> Encoded:
    for field, kind in schema.trainable():
        if (data := record[1][field.payload]) is not None:
            record[1][field.payload] = kind.compress(data)
    return record


def _with_schema(samples: Iterable[Any], path: str) -> tuple[Iterable[Any], Any]:
    """Samples from which none is missing, and the schema that the first ones have."""
    samples = iter(samples)  # once only: some can be iterated over once, whatever they look like
    first = list(itertools.islice(samples, LIMIT))
    schema = infer_schema(first)
    import logging  # here, as few need it

    logging.getLogger("dsrecords").warning("%s: no schema was given; from the first samples: %r", path, schema)
    return itertools.chain(first, samples), schema


def shown(samples: Iterable[Any], total: int | None, path: str, progress: bool) -> Iterable[Any]:
    """The same samples, with a progress bar if one is wanted."""
    if not progress:
        return samples
    from tqdm import tqdm

    return tqdm(samples, total=total, desc=os.path.basename(path), unit=" samples", dynamic_ncols=True)


def _encoded(schema: Schema, numbered: Iterator[tuple[int, Any]], num_workers: int) -> Iterator[Encoded]:
    if num_workers <= 0:
        for number, sample in numbered:
            yield schema.encode(sample, number)
        return
    with _pool(schema, num_workers) as pool:
        waiting: collections.deque[Any] = collections.deque()
        try:
            while True:
                while len(waiting) < 2 * num_workers and (chunk := list(itertools.islice(numbered, _CHUNK))):
                    waiting.append(pool.submit(_encode, chunk))
                if not waiting:
                    return
                for result in waiting.popleft().result():
                    if isinstance(result, BaseException):
                        raise result
                    yield result
        finally:
            for future in waiting:
                future.cancel()


_worker = threading.local()  # of a process or a thread of the pool: the schema


def _pool(schema: Schema, num_workers: int) -> Any:
    import multiprocessing
    import platform
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    if platform.system() == "Linux":  # elsewhere forking is missing, or unsafe with the system's libraries
        context = multiprocessing.get_context("fork")
        return ProcessPoolExecutor(num_workers, context, initializer=_begin_process, initargs=(schema,))
    return ThreadPoolExecutor(num_workers, initializer=_begin, initargs=(schema,))


def _begin(schema: Schema) -> None:
    _worker.schema = schema


def _begin_process(schema: Schema) -> None:
    """Ctrl-C is for the parent, which ends its workers: they are not to print a traceback each."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _begin(schema)


def _encode(chunk: list[tuple[int, Any]]) -> list[Encoded | BaseException]:
    """The samples of a chunk; if one does not fit, those before it and the error, to be raised in its turn."""
    results: list[Encoded | BaseException] = []
    for number, sample in chunk:
        try:
            results.append(_worker.schema.encode(sample, number))
        except (SchemaError, OSError) as error:
            return [*results, error]
    return results
