"""What is asked of handles of one dataset, in this process and in a second one."""

import contextlib
import gc
import os
import pickle
import subprocess
import sys
import warnings
from typing import Any, NamedTuple

from interruptions import Between, Interrupt, descriptors

import dsrecords
from dsrecords import DSRecordsError, IndexedRecordDataset

EXCEPTIONS = (KeyboardInterrupt, MemoryError, Interrupt)


class DifferenceError(AssertionError):
    """A list is not what the model says."""


def require(fact, *words):
    if not fact:
        raise DifferenceError(" ".join(str(word) for word in words))


class Order(NamedTuple):
    """One operation on a handle.

    Attributes:
        name: of the operation.
        arguments: of it.
        event: what comes amid it: "", "raise", "call", "fork", or "index" and "samples", where
            the operation calls code of the user's.
        number: of the opcode before which it comes.
        detail: the class of an exception, or the Order that a handler follows.
    """

    name: str
    arguments: tuple = ()
    event: str = ""
    number: int = 0
    detail: Any = None


class Report(NamedTuple):
    """What became of an order: the error, that of the handler's order, and whether they ran."""

    error: Any
    inner: Any
    happened: bool
    writes: bool


class Calling:
    """An index that does something when it is asked for its number."""

    def __init__(self, number, call):
        self.number = number
        self.call = call

    def __index__(self):
        self.call()
        return self.number


def change(ds, name, arguments):
    """The operations, by their names."""
    if name == "replace":
        index, sample = arguments
        ds[index] = sample
    elif name == "field":
        index, key, value = arguments
        ds[index, key] = value
    elif name == "delete":
        del ds[arguments[0]]
    elif name == "add_field":
        key, value = arguments
        ds.add_field(key, "int64", lambda sample: value)
    elif name == "read":
        view = ds[:]  # so that a handler may change the list in between
        rows = list(view)
        column = view.batch(slice(None), "y").tolist()
        require(column == [row["y"] for row in rows], "two ways of reading:", rows, column)
    else:
        getattr(ds, name)(*arguments)


def aside(ds, name, arguments):
    """A change, by a generator: which exceptions are being handled ends with it.

    Python raises nothing of its own while it leaves an `except` clause. Where a trace function
    does, the exception that was handled there stays "being handled" as long as its thread.
    """
    yield change(ds, name, arguments)


REMEMBERED = []  # as a notebook remembers exceptions, their frames included


def perform(ds, order):
    """Follow an order. Returns a Report."""
    inner = []

    def attempt(one):
        try:
            change(ds, one.name, one.arguments)
            inner.append(None)
        except (DSRecordsError, IndexError) as error:
            inner.append(error.with_traceback(None))

    def stop():
        raise order.detail("amid a change")

    calls = {
        "raise": stop,
        "call": lambda: attempt(order.detail),
        "fork": lambda: order.detail(ds),
    }
    arguments = order.arguments
    if order.event == "index":
        arguments = (Calling(arguments[0], lambda: attempt(order.detail)), *arguments[1:])
    if order.event == "samples":
        arguments = (_calling(arguments[0], lambda: attempt(order.detail)),)
    between = contextlib.nullcontext()
    if order.event in calls:
        between = Between(order.number, calls[order.event])
    error = None
    try:
        with between:
            list(aside(ds, order.name, arguments))
    except (DSRecordsError, IndexError, ValueError, *EXCEPTIONS) as raised:
        REMEMBERED[:] = [raised]
        error = type(raised)(*raised.args)
    return Report(error, inner[0] if inner else None, bool(inner), ds._editing.writer is not None)


def _calling(samples, call):
    for number, sample in enumerate(samples):
        if number == 1:
            call()
        yield sample


def look(ds):
    """What a handle shows: its samples and metadata, or an error."""
    try:
        rows = list(ds)
        assert ds.column("y").tolist() == [row["y"] for row in rows]
        assert len(ds) == len(rows)
        return rows, ds.metadata
    except DSRecordsError as error:
        return error.with_traceback(None)


def opened(path, schema):
    if schema is None:
        return dsrecords.open(path)
    return IndexedRecordDataset(path, schema=schema, create=False)


class Here:
    """Handles of this process."""

    def __init__(self):
        self.handles = {}

    def do(self, what, name, *arguments):
        try:
            return getattr(self, what)(name, *arguments)
        except (DSRecordsError, IndexError, ValueError) as error:
            return error.with_traceback(None)

    def open(self, name, path, schema):
        self.handles[name] = opened(path, schema)

    def close(self, name):
        self.handles.pop(name).close()

    def perform(self, name, order):
        return perform(self.handles[name], order)

    def look(self, name):
        return look(self.handles[name])

    def view(self, name, key):
        return self.handles[name][key]

    def pickle(self, name, key):
        ds = self.handles[name]
        return pickle.dumps(ds if key is None else ds[key])

    def descriptors(self, name):
        REMEMBERED.clear()
        return descriptors()


class There:
    """Handles of a second process, which lives as long as this object."""

    def __init__(self):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import handles; handles.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def do(self, *words):
        pickle.dump(words, self.process.stdin)
        self.process.stdin.flush()
        answer = pickle.load(self.process.stdout)
        if isinstance(answer, BaseException) and not isinstance(
            answer, (DSRecordsError, IndexError, ValueError)
        ):
            raise answer
        return answer

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def serve():
    """What the second process does until its input ends."""
    quiet()
    gc.freeze()  # so that looking for what is left takes no time
    here = Here()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            words = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = here.do(*words)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other process shall see it
            answer = error
        pickle.dump(answer, answers)
        answers.flush()


def quiet():
    """An exception within `__del__` is only told of; whoever tells must not remember it."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
