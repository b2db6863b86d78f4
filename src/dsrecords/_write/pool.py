"""Encoding samples, here or in a pool of processes. Knows nothing of files.

The processes are forked where this one has a single thread, beside those of NumPy's linear
algebra, which are made for it. Then they start at once, and nothing but the samples has to pickle.
Beside other threads, as JAX, PyTorch and notebooks have them, a forked process can wait for ever
for a lock that one of them held: there they are new processes, as of the start method "spawn".
"""

from __future__ import annotations

import collections
import importlib
import itertools
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dsrecords._interrupts import ignore_interrupts, without_interrupts
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.schema import Key, Schema
from dsrecords._write.bad_samples import BadSamples
from dsrecords._write.stop import Stop, Stopped, stop_of_processes, stop_of_threads
from dsrecords._write.threads import has_other_threads
from dsrecords.errors import DSRecordsError, SchemaError

if TYPE_CHECKING:  # importing it takes long, and few need it
    from concurrent.futures import Executor, Future

_CHUNK = 64  # samples that one worker encodes at once
_CHUNKS_PER_WORKER = 2  # that wait for it, or for their turn to be written

Numbered = Iterator[tuple[int, Any]]  # samples and their positions
Results = list[Encoded | tuple[int, Exception]]
"""Records, and the errors of samples that cannot be encoded, with their positions."""

_PR_SET_PDEATHSIG = 1  # of Linux: see prctl(2)

ENDED = (
    "a worker process ended before its work was done: the system has killed it, as for lack of "
    "memory, or the script has no `if __name__ == '__main__':` around what it does, which worker "
    "processes need beside other threads; num_workers=0 encodes the samples here"
)

_worker = (
    threading.local()
)  # of a process or a thread of the pool: the schema, or why there is none; and what stops it


def encoded(
    schema: Schema,
    samples: Numbered,
    num_workers: int,
    bad: BadSamples | None = None,
) -> Iterator[Encoded]:
    """Encode samples, in their order.

    Args:
        schema: of the dataset.
        samples: with their positions.
        num_workers: processes that encode them; 0: this one does.
        bad: takes the errors of samples that are left out; None: they are raised.

    Raises:
        SchemaError: a sample does not fit; names record and field. Those before it come first.
        DSRecordsError: a worker process was killed.
    """
    if num_workers > 0:
        yield from _encoded_in_pool(schema, samples, num_workers, bad)
        return
    for position, sample in samples:
        try:
            record = schema.encode(sample, position)
        except Exception as error:
            if bad is None:
                raise
            bad.leave_out(position, error)
        else:
            yield record


def _encoded_in_pool(
    schema: Schema,
    samples: Numbered,
    num_workers: int,
    bad: BadSamples | None,
) -> Iterator[Encoded]:
    chunks = _chunks(samples)
    first = next(chunks, None)
    if first is None:
        return
    from concurrent.futures import BrokenExecutor

    most = _CHUNKS_PER_WORKER * num_workers
    waiting: collections.deque[Future[Results]] = collections.deque()
    # Now, as the samples may have started threads before the first of them came.
    pool, stop, sendable = _pool(schema, num_workers)
    with pool:
        try:
            for chunk in itertools.chain((first,), chunks):
                given = sendable(chunk)
                with without_interrupts():  # it may start processes
                    future = pool.submit(_encode, given, bad is not None)
                waiting.append(future)
                if len(waiting) == most:
                    yield from _records(waiting.popleft(), bad)
            while waiting:
                yield from _records(waiting.popleft(), bad)
        except BrokenExecutor as error:
            raise DSRecordsError(ENDED) from error
        finally:
            stop.set()


def _chunks(samples: Numbered) -> Iterator[list[tuple[int, Any]]]:
    chunk = list(itertools.islice(samples, _CHUNK))
    while chunk:
        yield chunk
        chunk = list(itertools.islice(samples, _CHUNK))


def _records(future: Future[Results], bad: BadSamples | None) -> Iterator[Encoded]:
    for result in future.result():
        if not isinstance(result[1], Exception):
            yield result
            continue
        if bad is None:
            raise result[1]
        bad.leave_out(result[0], result[1])


def _pool(schema: Schema, num_workers: int) -> tuple[Executor, Stop, Callable[[Any], Any]]:
    """Return a pool of workers, what stops them, and what makes of a chunk what is sent to one.

    Raises:
        SchemaError: the schema does not pickle, where it has to.
    """
    import multiprocessing
    import platform
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    # Elsewhere forking is missing, or unsafe with the system's libraries.
    if platform.system() != "Linux":
        flag = stop_of_threads()
        threads = ThreadPoolExecutor(num_workers, initializer=_begin, initargs=(schema, flag))
        return threads, flag, _as_it_is
    method = "fork"
    given: Any = schema
    if has_other_threads():
        method = "spawn"
        given = pickled_schema(schema)
    context = multiprocessing.get_context(method)
    stop = stop_of_processes(context)
    pool = ProcessPoolExecutor(
        num_workers,
        context,
        initializer=_begin_process,
        initargs=(given, stop, os.getpid()),
    )
    return pool, stop, _pickled_chunk


def _as_it_is(chunk: Any) -> Any:
    return chunk


def _own_functions(schema: Schema) -> dict[Key, Any]:
    """Return what encodes the fields that their types do not encode themselves."""
    functions = {}
    for field in schema.payloads:
        if field.dump != field.type.dump:
            functions[field.key] = field.dump
    return functions


def pickled_schema(schema: Schema) -> bytes:
    """Pickle what a header states of a schema, and the functions that were given."""
    try:
        # Where it is installed: it also takes functions that are in no module.
        pickler = importlib.import_module("cloudpickle")
    except ImportError:
        pickler = pickle
    try:
        pickled: bytes = pickler.dumps((schema.to_json(), _own_functions(schema)))
    except Exception as error:
        raise SchemaError(
            "the schema cannot be sent to worker processes, as a function that was given does "
            f"not pickle ({_reason(error)}). They are forked where this process has one thread, "
            "and then nothing of it has to; beside other threads that is not safe. Define the "
            "function in a module, install cloudpickle, or give num_workers=0"
        ) from error
    return pickled


def _pickled_chunk(chunk: list[tuple[int, Any]]) -> bytes:
    """Pickle samples here, and not in a thread of the pool: so the error names the sample."""
    try:
        return pickle.dumps(chunk, pickle.HIGHEST_PROTOCOL)
    except Exception:
        for position, sample in chunk:
            _require_picklable(sample, position)
        raise


def _require_picklable(sample: Any, position: int) -> None:
    try:
        pickle.dumps(sample, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise SchemaError(
            f"the sample cannot be sent to a worker process, as it does not pickle "
            f"({_reason(error)}): num_workers=0 encodes it here",
            record=position,
        ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# In a worker


def _begin(schema: Schema, stop: Stop) -> None:
    _worker.schema = schema
    _worker.stop = stop
    _worker.problem = None


def begin_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, which ends its workers: no worker is to print a traceback.

    And end with the parent, also where that is killed: a worker would wait for it for ever.
    """
    import ctypes
    import signal

    ignore_interrupts()
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)


def unpickled_schema(pickled: bytes) -> Schema:
    """Return the schema that `pickled_schema` has pickled."""
    stated, functions = pickle.loads(pickled)  # noqa: S301 - it comes from the parent
    schema = Schema.from_json(stated)
    schema.require_known_types()
    for key, dump in functions.items():
        schema.by_key[key].dump = dump
    return schema


def _begin_process(given: Schema | bytes, stop: Stop, parent: int) -> None:
    """Begin as a worker that encodes samples of a schema."""
    begin_worker(parent)
    if isinstance(given, Schema):
        _begin(given, stop)
        return
    _worker.problem = None
    try:
        _begin(unpickled_schema(given), stop)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where users see it
        _worker.problem = SchemaError(
            f"a worker process cannot use the schema ({_reason(error)}): define its functions, "
            "and register its types, in a module that the script imports, install cloudpickle, "
            "or give num_workers=0"
        )


def _encode(given: bytes | list[tuple[int, Any]], goes_on: bool) -> Results:
    """Encode a chunk.

    Args:
        given: samples and their positions, pickled or as they are.
        goes_on: whether to go on behind a sample that cannot be encoded. If not, its error is the
            last result, or is raised if it is that of a function of the user's.

    Raises:
        Stopped: nobody wants the results.
    """
    if _worker.problem is not None:
        raise _worker.problem
    chunk: Any = given
    if isinstance(given, bytes):
        chunk = pickle.loads(given)  # noqa: S301 - it comes from the parent
    results: Results = []
    for position, sample in chunk:
        if _worker.stop.is_set():
            raise Stopped
        try:
            results.append(_worker.schema.encode(sample, position))
        except Exception as error:
            is_known = isinstance(error, (SchemaError, OSError))
            if not goes_on and not is_known:
                raise
            results.append((position, _portable(error, position)))
            if not goes_on:
                break
    return results


def _portable(error: Exception, position: int) -> Exception:
    """Return an error as it can be sent to the parent; in words if it does not pickle."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - it was made right here
    except Exception:  # noqa: BLE001 - a class of the user's may raise anything
        return SchemaError(_reason(error), record=position)
    return error
