"""Random events around one dataset, and a Python list kept beside it as the truth.

Several handles, one of them in a second process, change the dataset by turns. Between two
instructions of a change comes a signal handler, an exception or a fork; code of the user's runs
amid it; files are exchanged, cut and removed; the process goes to another folder. After each event,
each handle must show what the model says, a new reader the truth, and the lock must be held by
whom the model knows to have it. At the end no descriptor is left.

A run depends on its seed alone: `python tests/reliability/events.py SEED` repeats one, event by event.
"""

import contextlib
import fcntl
import gc
import itertools
import math
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

from handles import (
    EXCEPTIONS,
    REMEMBERED,
    DifferenceError,
    Here,
    Order,
    Report,
    There,
    change,
    look,
    quiet,
    require,
)
from interruptions import Between, descriptors

import dsrecords
from dsrecords import (
    CorruptError,
    LockedError,
    ReadOnlyError,
    SchemaError,
    StaleViewError,
)
from dsrecords._format.header import ID_OFFSET

ENDINGS = (".rec", ".idx")
STEPS = 25  # events in a run
ID_SIZE = 16  # bytes of what identifies a dataset
RIGHT = "right"  # what a forked child tells of what it has found
PIPE = 4096  # bytes that it can tell at once
MOST = 3000  # of the opcodes of a change, up to which one an event comes


class Truth(NamedTuple):
    """What a dataset holds.

    Attributes:
        samples: the list.
        metadata: a dict.
        fields: names to types.
        history: what has been done to the list since its file was made: numbers, negative ones of
            edits. Positions in an earlier list mean the same here if only appends came after it.
    """

    samples: tuple
    metadata: dict
    fields: tuple
    history: tuple

    def follows(self, earlier):
        """Whether positions in an earlier list mean the same in this one."""
        known = len(earlier.history)
        if self.history[:known] != earlier.history:
            return False
        return all(number > 0 for number in self.history[known:])


_numbers = itertools.count(1)
EDITS = ("replace", "field", "delete", "quick_remove_at")
REWRITES = ("compact", "add_field", "rename_fields", "drop_fields")


def place(index, count):
    if not -count <= index < count:
        raise IndexError(index)
    return index % count


def after(truth, order, seen):
    """The truth after an operation, whose positions are in the list that was seen.

    Raises IndexError or SchemaError where the operation must.
    """
    name, arguments = order.name, order.arguments
    samples, number = list(truth.samples), next(_numbers)
    history = (*truth.history, -number if name in EDITS else number)
    count = len(seen.samples)
    if name in ("append", "extend"):
        new = [arguments[0]] if name == "append" else list(arguments[0])
        if any(tuple(sample) != truth.fields for sample in new):
            raise SchemaError("other fields")
        samples += new
        return truth._replace(samples=tuple(samples), history=history) if new else truth
    if name == "replace":
        at = place(arguments[0], count)
        if tuple(arguments[1]) != truth.fields:
            raise SchemaError("other fields")
        samples[at] = arguments[1]
    elif name == "field":
        at = place(arguments[0], count)
        if arguments[1] not in truth.fields:
            raise SchemaError("other fields")
        samples[at] = {**samples[at], arguments[1]: arguments[2]}
    elif name == "delete":
        key = arguments[0]
        is_slice = isinstance(key, slice)
        gone = set(range(*key.indices(count))) if is_slice else {place(key, count)}
        if not gone:
            return truth
        samples = [sample for i, sample in enumerate(samples) if i not in gone]
    elif name == "quick_remove_at":
        at = place(arguments[0], count)
        last = samples.pop()
        if at < len(samples):
            samples[at] = last
    elif name == "set_metadata":
        return truth._replace(metadata=arguments[0], history=history)
    elif name in REWRITES:
        return _rewritten(truth, name, arguments)._replace(history=(number,))
    else:
        return truth
    return truth._replace(samples=tuple(samples), history=history)


def _rewritten(truth, name, arguments):
    fields, samples = list(truth.fields), truth.samples
    if name == "add_field":
        key, value = arguments
        fields.append(key)
        samples = [{**sample, key: value} for sample in samples]
    elif name == "rename_fields":
        ((old, new),) = arguments[0].items()
        fields[fields.index(old)] = new
        samples = [
            {new if key == old else key: value for key, value in sample.items()}
            for sample in samples
        ]
    elif name == "drop_fields":
        fields.remove(arguments[0])
        samples = [
            {key: value for key, value in sample.items() if key != arguments[0]}
            for sample in samples
        ]
    return truth._replace(samples=tuple(samples), fields=tuple(fields))


class Handle:
    """What the model knows of a handle.

    Attributes:
        name: of the handle.
        process: Here or There.
        seen: what it must show; None where it may only refuse, as its schema does not fit.
        given: the fields that it was opened with, or None.
        lost: what the file without a name holds that it still writes to; else None.
        stopped: whether it has learned that its file was replaced.
        unsure: whether a change of it was interrupted, so that what it knows may be of before.
    """

    def __init__(self, name, process):
        self.name = name
        self.process = process
        self.seen = None
        self.given = None
        self.lost = None
        self.stopped = False
        self.unsure = False


class World:
    """A dataset, its handles, and what each must show.

    Args:
        seed: of all that is random.
        there: the second process; None: all handles are of this one.
        tell: called with each event, as words.
        only: names of the kinds of events that may come; all by default.
    """

    def __init__(self, seed, there=None, tell=None, only=()):
        self.only = only
        self.rng = random.Random(seed)
        self.folder = os.path.realpath(tempfile.mkdtemp())
        os.mkdir(os.path.join(self.folder, "sub"))
        self.path = os.path.join(self.folder, "d.rec")
        self.index = os.path.join(self.folder, "d.idx")
        self.tell = tell or (lambda *words: None)
        self.fresh = itertools.count(1000)
        self.here = Here()
        self.there = there
        fields = ("text", "y") if self.rng.random() < 0.7 else ("y",)
        samples = tuple(self.row(fields) for _ in range(self.rng.randrange(1, 9)))
        self.truth = Truth(samples, {}, fields, (next(_numbers),))
        self.make(self.path, self.truth)
        self.past = []  # what it has been
        self.owner = None  # the handle that has the lock of the file at the path
        self.views = []
        self.pickles = []
        names = [("a", self.here), ("b", self.here), ("c", self.here), ("far", there)]
        self.handles = [Handle(name, process) for name, process in names if process]
        for handle in self.handles:
            self.open(handle)

    # Values

    def row(self, fields):
        number = next(self.fresh)
        values = {"text": f"{number} " * (number % 3), "y": number}
        return {key: values.get(key, number) for key in fields}

    def schema(self, fields):
        return {key: "str" if key == "text" else "int64" for key in fields}

    def make(self, path, truth, overwrite=False):
        dsrecords.make_dataset(
            list(truth.samples),
            path,
            self.schema(truth.fields),
            metadata=truth.metadata,
            overwrite=overwrite,
        )

    def order(self, handle, names=None):
        """A random change, as a user would ask for it who sees what the handle shows."""
        seen = handle.seen or self.truth
        count, rng = len(seen.samples), self.rng
        name = rng.choice(
            names
            or (
                "append", "append", "append", "extend", "replace", "field", "field", "delete", "delete",
                "quick_remove_at", "set_metadata", "flush", "flush", "refresh", "compact", "schema", "read",
            )
        )  # fmt: skip
        at = (
            rng.randrange(-count - 1, count + 1)
            if rng.random() < 0.2
            else rng.randrange(-count, max(count, 1))
        )
        if name == "append":
            return Order(name, (self.row(seen.fields),))
        if name == "extend":
            return Order(name, ([self.row(seen.fields) for _ in range(rng.randrange(5))],))
        if name == "replace":
            return Order(name, (at, self.row(seen.fields)))
        if name == "field":
            return Order(name, (at, "y", next(self.fresh)))
        if name == "delete":
            ends = [rng.choice((None, rng.randrange(-count - 1, count + 2))) for _ in range(2)]
            few = slice(*ends, rng.choice((None, 2, 3, -2)))
            return Order(name, (few if count > 6 and rng.random() < 0.5 else at,))
        if name == "quick_remove_at":
            return Order(name, (at,))
        if name == "set_metadata":
            return Order(name, ({"n": next(self.fresh)},))
        if name == "schema":
            return self.schema_change(seen)
        return Order(name)

    def schema_change(self, seen):
        more = [key for key in seen.fields if key not in ("text", "y")]
        new = f"f{next(self.fresh)}"
        if not more or (len(more) < 3 and self.rng.random() < 0.4):
            return Order("add_field", (new, self.rng.randrange(100)))
        key = self.rng.choice(more)
        if self.rng.random() < 0.5:
            return Order("rename_fields", ({key: new},))
        return Order("drop_fields", (key,))

    # What is looked at

    def reader(self, path=None):
        with contextlib.closing(dsrecords.open(path or self.path)) as ds:
            rows, metadata = list(ds), ds.metadata
            return tuple(rows), metadata, tuple(ds.fields)

    def identity(self):
        with open(self.path, "rb") as file:
            file.seek(ID_OFFSET)
            return file.read(ID_SIZE)

    def check(self, is_read=False):
        """Everything that must hold between two events.

        Args:
            is_read: whether the files have just been compared with the truth.
        """
        if not is_read:
            self.check_truth()
        self.check_lock()
        for handle in self.handles:
            if handle.process is self.here or self.rng.random() < 0.4:
                self.check_handle(handle)
        if self.views:
            view, rows = self.rng.choice(self.views)
            require(tuple(view) == rows, "a view:", list(view), rows)
        if self.pickles:
            self.check_pickle(*self.rng.choice(self.pickles))

    def check_truth(self):
        samples, metadata, fields = self.reader()
        truth = self.truth
        require(samples == truth.samples, "truth:", samples, "expected:", truth.samples)
        require(metadata == truth.metadata, "metadata:", metadata, truth.metadata)
        require(fields == truth.fields, "fields:", fields, truth.fields)

    def check_lock(self):
        is_locked = self.is_locked()
        require(is_locked == (self.owner is not None), "the lock is held:", is_locked)

    def check_handle(self, handle):
        found = handle.process.do("look", handle.name)
        if handle.seen is None:
            require(isinstance(found, (StaleViewError, SchemaError)), handle.name, found)
            return
        wanted = (list(handle.seen.samples), handle.seen.metadata)
        require(found == wanted, handle.name, "shows:", found, "expected:", wanted)

    def check_pickle(self, data, key, seen, unsure):
        rows = list(seen.samples)
        if key is not None:
            rows = rows[key]
        follows = self.truth.follows(seen)
        try:
            copy = pickle.loads(data)
        except StaleViewError:
            require(unsure or not follows, "a pickle was refused")
            return
        except SchemaError:
            require(not follows, "a pickle was refused")
            return
        require(follows, "a pickle of another list was opened:", list(copy))
        require(list(copy) == rows, "a pickle:", list(copy), rows)

    def is_locked(self):
        with open(self.path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    # Handles

    def open(self, handle):
        handle.given = self.truth.fields if self.rng.random() < 0.4 else None
        schema = self.schema(handle.given) if handle.given else None
        path = self.path
        if handle.process is self.here and self.rng.random() < 0.5:
            path = os.path.relpath(path)
        error = handle.process.do("open", handle.name, path, schema)
        require(error is None, "it does not open:", error)
        handle.seen = self.truth
        handle.lost = None
        handle.stopped = handle.unsure = False

    def close(self, handle):
        error = handle.process.do("close", handle.name)
        if error is not None:
            require(handle.lost and isinstance(error, ReadOnlyError), "close:", repr(error))
        if self.owner is handle:
            self.owner = None

    # Changes

    def allowed(self, handle, order, truth):
        """What one order may do: a list of (error or None, truth after it, list seen after it)."""
        name = order.name
        if name == "read":
            if handle.seen is None:
                return [(StaleViewError, truth, None)]
            return [(None, truth, handle.seen)]
        seen = handle.seen or truth
        is_owner = self.owner is handle
        if name == "refresh":
            if is_owner:
                return [(None, truth, truth)]
            if handle.given and handle.given != truth.fields:
                return [(SchemaError, truth, None)]
            return [(None, truth, truth)]
        if name == "flush" and not is_owner:
            unchanged = [(None, truth, handle.seen)]
            more = [(LockedError, truth, handle.seen)] if self.owner else [(None, truth, truth)]
            if handle.given and handle.given != truth.fields:
                more.append((SchemaError, truth, None))
            return unchanged + more  # it writes an index where there was none
        if self.owner not in (None, handle):
            return [(LockedError, truth, handle.seen)]
        if not is_owner and handle.given and handle.given != truth.fields:
            return [(SchemaError, truth, None)]
        results = []
        follows = truth.follows(seen)
        # A handle that shows nothing has no positions that an edit could be of.
        if name in EDITS and (handle.unsure or handle.seen is None or not follows):
            results.append((StaleViewError, truth, truth))
        if name not in EDITS or follows:
            try:
                then = after(truth, order, seen if name in EDITS else truth)
                results.append((None, then, then))
            except (IndexError, SchemaError, ValueError) as error:
                results.append((type(error), truth, truth))
        return results

    def change(self, handle, order=None):
        """A change without an event."""
        order = order or self.order(handle)
        self.tell(handle.name, *order)
        if handle.lost:
            self.change_lost(handle, order)
            return
        report = handle.process.do("perform", handle.name, order)
        self.match(
            handle, report, [(*case, None) for case in self.allowed(handle, order, self.truth)]
        )
        if order.name in REWRITES and report.error is None and handle.given:
            handle.given = self.truth.fields

    def match(self, handle, report, cases):
        """Find the case that happened: (error, truth, list seen, error of the handler's order)."""
        require(isinstance(report, Report), "unexpected:", repr(report))
        fitting = [
            case
            for case in cases
            if _is_a(report.error, case[0])
            and (not report.happened or _is_a(report.inner, case[3]))
        ]
        require(
            fitting, "outcome:", repr(report), "expected:", [(case[0], case[3]) for case in cases]
        )
        samples, metadata, fields = self.reader()
        found = handle.process.do("look", handle.name)
        for _, truth, seen, _ in fitting:
            if (samples, metadata, fields) != truth[:3]:
                continue
            if seen is None and isinstance(found, (StaleViewError, SchemaError)):
                break
            if seen is not None and found == (list(seen.samples), seen.metadata):
                break
        else:
            raise DifferenceError(
                f"{report}: the truth {samples}, {metadata}, {fields}; shown {found}; expected one of {fitting}"
            )
        is_refused = seen is None and report.error is not None
        require(not (is_refused and report.writes), "a refused change keeps the writer")
        if report.happened:
            self.past += [case[1] for case in cases]
        self.truth = truth
        handle.seen = seen
        self.note_owner(handle, report)
        if report.error is None and self.owner is handle:
            handle.unsure = False

    def note_owner(self, handle, report):
        if report.writes:
            require(self.owner in (None, handle), handle.name, "writes, too")
            self.owner = handle
        elif self.owner is handle:
            self.owner = None

    def change_lost(self, handle, order):
        """A change by a writer whose file has no name any more."""
        report = handle.process.do("perform", handle.name, order)
        require(isinstance(report, Report), "unexpected:", repr(report))
        if order.name == "refresh":
            handle.lost = None
            handle.stopped = handle.unsure = False
            if handle.given and handle.given != self.truth.fields:
                require(isinstance(report.error, SchemaError), repr(report))
                handle.seen = None
            else:
                require(report.error is None, repr(report))
                handle.seen = self.truth
            return
        if order.name == "read":
            require(report.error is None, repr(report))
            return
        if isinstance(report.error, IndexError):
            return
        if isinstance(report.error, ReadOnlyError):
            handle.stopped = True
            return
        require(not handle.stopped, order.name, "by a writer that has stopped:", repr(report))
        require(order.name not in REWRITES, order.name, "of a file that was replaced")
        try:
            then = after(handle.lost, order, handle.seen)
            require(report.error is None, repr(report))
            handle.lost = handle.seen = then
            handle.unsure = False
        except (IndexError, SchemaError) as error:
            require(_is_a(report.error, type(error)), repr(report))

    # Events amid a change

    def number(self):
        """Of an opcode, small ones more often."""
        return int(math.exp(self.rng.uniform(0, math.log(MOST))))

    def not_lost(self):
        return self.rng.choice([handle for handle in self.handles if not handle.lost] or [None])

    def raised(self):
        """An exception before a random opcode of a change."""
        handle = self.not_lost()
        if handle is not None:
            kind = self.rng.choice(EXCEPTIONS)
            order = self.order(handle)
            self.interrupt(handle, order._replace(event="raise", number=self.number(), detail=kind))

    def interrupt(self, handle, order):
        """Follow an order amid which an exception is raised."""
        self.tell(handle.name, *order)
        before, known, identity = self.truth, handle.seen, self.identity()
        report = handle.process.do("perform", handle.name, order)
        require(isinstance(report, Report), "unexpected:", repr(report))
        cases = self.allowed(handle, order, before)
        if not isinstance(report.error, order.detail):  # it was not reached, or came in `__del__`
            self.match(handle, report, [(*case, None) for case in cases])
            if order.name in REWRITES and report.error is None and handle.given:
                handle.given = self.truth.fields
            return
        states = [before, *(case[1] for case in cases)]
        if order.name == "extend":
            parts = [order._replace(arguments=(order.arguments[0][:n],)) for n in range(1, 5)]
            states += [case[1] for part in parts for case in self.allowed(handle, part, before)]
        samples, metadata, fields = self.reader()
        fitting = [state for state in states if state[:3] == (samples, metadata, fields)]
        require(fitting, "interrupted:", samples, metadata, fields, "expected one of", states)
        self.truth = fitting[0]
        if order.name == "compact" and self.identity() != identity:
            self.truth = fitting[-1]
        self.note_owner(handle, report)
        self.note_interrupted(handle, order, known, before)

    def note_interrupted(self, handle, order, known, before):
        """See what a handle shows whose change was interrupted: the list of before or after."""
        found = handle.process.do("look", handle.name)
        handle.unsure = True
        is_rewritten = handle.given and order.name in REWRITES
        if is_rewritten and self.owner is handle:
            handle.given = self.truth.fields
        for seen in (self.truth, before, known, *self.past[::-1]):
            if seen is not None and found == (list(seen.samples), seen.metadata):
                handle.seen = seen
                if (
                    is_rewritten and seen is self.truth and seen is not before
                ):  # it has gone on with its own new files
                    handle.given = seen.fields
                return
        is_new = isinstance(found, (StaleViewError, SchemaError))
        others = known is None or self.truth.fields != known.fields
        require(is_new and others, handle.name, "shows:", found, "after an interruption")
        handle.seen = None

    def handled(self):
        """A signal handler that reads, flushes or changes the list amid a change."""
        handle = self.not_lost()
        if handle is None:
            return
        inner = self.order(
            handle, ("read", "flush", "flush", "append", "field", "delete", "compact")
        )
        self.reentrant(handle, self.order(handle), "call", inner)

    def called(self):
        """Code of the user's, called by a change, that changes the list."""
        handle = self.not_lost()
        if handle is None:
            return
        inner = self.order(handle, ("read", "flush", "append", "field", "delete"))
        if self.rng.random() < 0.5:
            self.reentrant(handle, self.order(handle, ("extend",)), "samples", inner)
        else:
            outer = self.order(handle, ("replace", "field", "quick_remove_at"))
            self.reentrant(handle, outer, "index", inner)

    def reentrant(self, handle, outer, event, inner):
        if handle.seen is None or handle.unsure:
            return
        order = outer._replace(event=event, number=self.number(), detail=inner)
        self.tell(handle.name, *order)
        report = handle.process.do("perform", handle.name, order)
        if report.happened:
            cases = self.cases_of_both(handle, outer, inner)
        else:
            cases = [(*case, None) for case in self.allowed(handle, outer, self.truth)]
        self.match(handle, report, cases)
        if outer.name in REWRITES and report.error is None and handle.given:
            handle.given = self.truth.fields

    def cases_of_both(self, handle, outer, inner):
        """What an order and one amid it may do: one after the other, or one of them alone."""
        truth, known, owner = self.truth, handle.seen, self.owner
        alone = self.allowed(handle, outer, truth)
        refused = (LockedError, StaleViewError, IndexError, SchemaError)
        cases = [(error, then, seen, one) for error, then, seen in alone for one in refused]
        for first, second in ((outer, inner), (inner, outer)):
            for seen_first in (known, truth):  # to begin the first is to see the truth
                handle.seen = seen_first
                for error, then, seen in self.allowed(handle, first, truth):
                    if first.name not in ("read", "refresh", "flush") and error is not LockedError:
                        self.owner = owner or handle
                    for seen_second in (seen, known):
                        handle.seen = seen_second
                        for more, last, shown in self.allowed(handle, second, then):
                            is_outer = first is outer
                            both = (
                                (error, last, shown, more)
                                if is_outer
                                else (more, last, shown, error)
                            )
                            cases.append(both)
                    if first is inner and error is None:
                        stopped = (StaleViewError, ReadOnlyError, LockedError)
                        cases += [(one, then, then, None) for one in stopped]
                    self.owner = owner
        handle.seen = known
        return cases

    def forked(self):
        """A fork amid a change: the child shows a whole list, and keeps no lock."""
        handle = self.not_lost()
        if (
            handle is None
            or handle.process is not self.here
            or handle.seen is None
            or handle.unsure
        ):
            return
        order = self.order(handle)
        states = [self.truth, *(case[1] for case in self.allowed(handle, order, self.truth))]
        lists = [(list(state.samples), state.metadata) for state in states]
        read, write = os.pipe()
        children = []
        fits = handle.given is None or handle.given == self.truth.fields
        rewrites = order.name in REWRITES

        def fork(ds):
            child = os.fork()
            if child:
                told = os.read(read, PIPE)  # so that the parent goes on once the child has looked
                children.append((child, told.decode("utf-8", "replace")))
                return
            told = RIGHT
            try:
                sys.settrace(None)
                if fits and not rewrites:
                    ds.refresh()
                    found = look(ds)
                    if found not in lists or found[0] != list(self.reader()[0]):
                        told = f"{found}, expected one of {lists}"
            except BaseException:
                told = traceback.format_exc()
                raise
            finally:
                os.write(write, told.encode()[:PIPE])
                os.close(write)
                os.read(wait, 1)  # it outlives the change, and the handle
                os._exit(0)

        wait, go = os.pipe()
        os.set_inheritable(go, False)
        self.tell(handle.name, *order, "fork")
        try:
            self._fork_and_close(handle, order, fork, children)
        finally:
            for child, _ in children:
                os.write(go, b"x")
                os.waitpid(child, 0)
            for number in (read, write, wait, go):
                os.close(number)

    def _fork_and_close(self, handle, order, fork, children):
        forking = order._replace(event="fork", number=self.number(), detail=fork)
        report = handle.process.do("perform", handle.name, forking)
        self.match(
            handle, report, [(*case, None) for case in self.allowed(handle, order, self.truth)]
        )
        if order.name in REWRITES and report.error is None and handle.given:
            handle.given = self.truth.fields
        for _, told in children:
            require(told == RIGHT, "a forked child shows another list:", told)
        self.close(handle)
        require(self.is_locked() == (self.owner is not None), "a forked child keeps the lock")
        self.open(handle)

    # Events between changes

    def reopened(self):
        handle = self.rng.choice(self.handles)
        self.tell(handle.name, "close and open")
        self.close(handle)
        self.open(handle)

    def refreshed(self):
        self.change(self.rng.choice(self.handles), Order("refresh"))

    def shown(self):
        """A view, and a pickle, to be looked at later."""
        handle = self.rng.choice(self.handles)
        if handle.seen is None:
            return
        key = slice(self.rng.randrange(3), None, self.rng.choice((1, 2)))
        rows = list(handle.seen.samples)
        if handle.process is self.here:
            self.views.append((self.here.do("view", handle.name, key), tuple(rows[key])))
        if not handle.lost:
            whole = None if self.rng.random() < 0.5 else key
            data = handle.process.do("pickle", handle.name, whole)
            self.pickles.append((data, whole, handle.seen, handle.unsure))

    def went(self):
        """The process goes to another folder; a view does not take the place of a missing index."""
        folder = self.rng.choice((self.folder, os.path.join(self.folder, "sub")))
        self.tell("chdir", folder)
        os.chdir(folder)
        handle = self.rng.choice(self.handles)
        if handle.process is not self.here or handle.seen is None or self.rng.random() < 0.5:
            return
        view = self.here.do("view", handle.name, slice(0, 1))
        if os.path.exists(self.index):
            os.remove(self.index)
        for name in (os.path.relpath(self.index), self.index):
            try:
                view.save_view(name)
            except ValueError:
                continue
            raise DifferenceError("a view took the place of the index")

    def exchanged(self):
        """A copy of the files, changed apart, takes their place; sometimes another dataset."""
        other = os.path.join(self.folder, "copy.rec")
        truth = self.truth
        if self.rng.random() < 0.7:
            for ending in ENDINGS:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(self.path[:-4] + ending, other[:-4] + ending)
            guest = Handle("copy", self.here)
            guest.seen = truth
            with dsrecords.open(other) as ds:
                for _ in range(self.rng.randrange(4)):
                    order = self.order(guest, ("append", "field", "delete", "extend"))
                    with contextlib.suppress(IndexError):
                        truth = after(truth, order, truth)
                        change(ds, order.name, order.arguments)
                    guest.seen = truth
        else:
            samples = tuple(self.row(truth.fields) for _ in range(self.rng.randrange(5)))
            truth = Truth(samples, {}, truth.fields, (next(_numbers),))
            self.make(other, truth)
        self.tell("exchanged", len(truth.samples))
        for ending in ENDINGS:
            if os.path.exists(other[:-4] + ending):
                os.replace(other[:-4] + ending, self.path[:-4] + ending)
        if self.owner is not None:
            self.owner.lost = self.truth
            self.owner = None
        self.truth = truth

    def overwritten(self):
        """Other bytes are written into the same file, as `cp` does; then all look again."""
        if self.owner is not None or any(handle.lost for handle in self.handles):
            return
        self.tell("overwritten")
        samples = (*(self.row(self.truth.fields) for _ in range(20)), *self.truth.samples)
        truth = Truth(samples, {}, self.truth.fields, (next(_numbers),))
        other = os.path.join(self.folder, "copy.rec")
        self.make(other, truth)
        if os.path.getsize(other) < os.path.getsize(self.path):  # it would be cut under a mapping
            os.remove(other)
            os.remove(other[:-4] + ".idx")
            return
        for ending in ENDINGS:
            shutil.copyfile(other[:-4] + ending, self.path[:-4] + ending)
            os.remove(other[:-4] + ending)
        self.views.clear()
        self.truth = truth
        for handle in self.handles:
            self.change(handle, Order("refresh"))

    def cut(self):
        """The data file is cut short, and whole again: what looks meanwhile is told of it."""
        if self.owner is not None or not os.path.exists(self.index):
            return
        with dsrecords.open(self.path) as ds:
            ds.extend([])  # so that the index vouches for all
        size = os.path.getsize(self.path)
        whole = Path(self.path).read_bytes()
        at = self.rng.randrange(size)
        self.tell("cut at", at)
        lists = [handle.process.do("look", handle.name) for handle in self.handles]
        os.truncate(self.path, at)
        try:
            for handle in self.handles:
                if handle.lost or (handle.given and handle.given != self.truth.fields):
                    continue
                report = handle.process.do("perform", handle.name, Order("refresh"))
                require(
                    _is_a(report.error, CorruptError), handle.name, "was not told:", repr(report)
                )
            try:
                self.reader()
            except CorruptError:
                pass
            else:
                raise DifferenceError("a file that was cut was opened")
        finally:
            with open(self.path, "r+b") as file:
                file.write(whole)
        after_it = [handle.process.do("look", handle.name) for handle in self.handles]
        for before, then in zip(lists, after_it, strict=True):
            require(before == then or isinstance(before, Exception), before, then)

    def unindexed(self):
        """The index is removed, cut, or a file of somebody else's put in its place."""
        how = self.rng.choice(("removed", "cut", "foreign"))
        self.tell("index", how)
        if how == "foreign":
            letter = b"a letter of somebody else's"
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.index)
            Path(self.index).write_bytes(letter)
            handle = self.owner
            if handle is not None:
                report = handle.process.do(
                    "perform", handle.name, Order("append", (self.row(self.truth.fields),))
                )
                if report.error is None:
                    self.truth = handle.seen = self.truth._replace(
                        samples=self.reader()[0], history=(*self.truth.history, next(_numbers))
                    )
                report = handle.process.do("perform", handle.name, Order("flush"))
                require(
                    _is_a(report.error, ReadOnlyError), "not told of a foreign file:", repr(report)
                )
                error = handle.process.do("close", handle.name)
                require(error is None or isinstance(error, ReadOnlyError), "close:", repr(error))
                self.owner = None
            else:
                handle = None
                with contextlib.suppress(ReadOnlyError), dsrecords.open(self.path) as ds:
                    ds.extend([])
            require(Path(self.index).read_bytes() == letter, "a foreign file was written over")
        elif how == "cut" and os.path.exists(self.index) and self.owner is None:
            # By a new file: the rows of this one are mapped.
            data = Path(self.index).read_bytes()
            os.remove(self.index)
            Path(self.index).write_bytes(data[: self.rng.randrange(len(data))])
            self.reader()
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.index)
        if how == "foreign" and handle is not None:
            self.open(handle)

    def raced(self):
        """Several processes make one dataset at once; the remains of a killed maker lie about."""
        self.tell("race")
        race(os.path.join(self.folder, "race.rec"), 3, self.rng.random() < 0.3)

    # A run

    def step(self):
        kinds = {
            self.change: 30, self.raised: 14, self.handled: 10, self.called: 5, self.forked: 3,
            self.reopened: 6, self.refreshed: 8, self.shown: 5, self.went: 3, self.exchanged: 4,
            self.overwritten: 2, self.cut: 2, self.unindexed: 3, self.raced: 1,
        }  # fmt: skip
        if self.only:
            kinds = {event: kinds[event] for event in kinds if event.__name__ in self.only}
        (event,) = self.rng.choices(list(kinds), kinds.values())
        self.past.append(self.truth)
        if event == self.change:
            self.change(self.rng.choice(self.handles))
        else:
            event()
        self.check()
        return event.__name__

    def end(self):
        for handle in self.handles:
            self.close(handle)
        self.check_ended()

    def check_ended(self):
        require(not self.is_locked(), "the lock is kept after all have closed")
        with dsrecords.open(self.path) as ds:
            ds.extend([])
            ds.flush()
            require(ds.check() == [], "check:", ds.check())
        self.views.clear()
        left = {name for name in os.listdir(self.folder) if not name.startswith(("d.", "sub"))}
        require(not left, "left:", left)


def _is_a(error, kind):
    if kind is None or error is None:
        return kind is error
    return isinstance(error, kind)


def race(path, makers, killed=False):
    """Let several processes make a dataset. One of them has made it, or an error says why none has.

    Args:
        path: of the dataset.
        makers: how many.
        killed: whether a maker was killed there before.
    """
    if killed:
        shutil.copy(
            dsrecords.make_dataset([{"y": 1}], f"{path}.rec", {"y": "int64"})[0], f"{path}.partial"
        )
        os.remove(f"{path}.rec")
        os.remove(f"{path}.idx")
    codes, told = _raced(path, makers)
    require(sorted(codes) == [0] + [1] * (makers - 1), "makers:", codes, told)
    winner = codes.index(0)
    with contextlib.closing(dsrecords.open(path)) as ds:
        require(ds.column("y").tolist() == [winner] * (50 + winner), "another one's data is there")
    folder, name = os.path.split(path[:-4])
    found = {entry for entry in os.listdir(folder) if entry.startswith(f"{name}.")}
    require(found == {f"{name}.rec", f"{name}.idx"}, "makers left", found)
    for entry in found:
        os.remove(os.path.join(folder, entry))


def _raced(path, makers):
    """What became of processes that make a dataset at once: their codes, and what they were told.

    A code is 0 for the one that has made it, 1 where another one was faster, and 9 for an error
    that none of them may have; the text is the tracebacks of such errors.
    """
    ready, start = os.pipe()
    children = []
    with tempfile.TemporaryFile() as told:  # of which all have one position
        for k in range(makers):
            child = os.fork()
            if not child:
                code = 9
                try:
                    os.close(start)
                    os.read(ready, 1)  # ends when the parent closes its end: for all at once
                    code = _make(path, k)
                except BaseException:
                    os.write(told.fileno(), traceback.format_exc().encode())
                    raise
                finally:
                    os._exit(code)
            children.append(child)
        os.close(ready)
        os.close(start)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        told.seek(0)
        return codes, told.read().decode()


def _make(path, k):
    try:
        dsrecords.make_dataset([{"y": k}] * (50 + k), path, {"y": "int64"})
    except (FileExistsError, LockedError):
        return 1
    return 0


def run(seed, there=None, tell=None, only=()):
    """One run. Returns how often each kind of event came. Raises DifferenceError."""
    counts = {}
    folder = os.getcwd()
    step = None
    hook = sys.unraisablehook
    processes = [Here(), *([there] if there else [])]
    gc.freeze()  # so that looking for what is left takes no time
    open_before = [process.do("descriptors", "") for process in processes]
    try:
        with warnings.catch_warnings():
            quiet()
            world = World(seed, there, tell, only)
            try:
                for step in range(STEPS):  # noqa: B007
                    name = world.step()
                    counts[name] = counts.get(name, 0) + 1
                world.end()
            finally:
                shutil.rmtree(world.folder)
                REMEMBERED.clear()
        del world
        open_after = [process.do("descriptors", "") for process in processes]
        require(open_after == open_before, "descriptors:", open_before, "then:", open_after)
    except Exception as error:
        raise DifferenceError(f"seed {seed}, step {step}: {error}") from error
    finally:
        os.chdir(folder)
        sys.unraisablehook = hook
        gc.unfreeze()
    return counts


# Each opcode of each change


STARTING = Truth(tuple({"text": f"{y}", "y": y} for y in range(4)), {}, ("text", "y"), (0,))
CHANGES = {
    "append": Order("append", ({"text": "a", "y": 100},)),
    "extend": Order("extend", ([{"text": "a", "y": 100}, {"text": "b", "y": 101}],)),
    "replace": Order("replace", (1, {"text": "a", "y": 100})),
    "field": Order("field", (1, "y", 100)),
    "delete": Order("delete", (0,)),
    "quick_remove_at": Order("quick_remove_at", (0,)),
    "set_metadata": Order("set_metadata", ({"n": 1},)),
    "flush": Order("flush"),
    "refresh": Order("refresh"),
    "compact": Order("compact"),
    "add_field": Order("add_field", ("z", 5)),
}


class Interrupted(World):
    """The same world again and again, for one change that is interrupted at one opcode after the other.

    Args:
        name: of the change.
        is_later: whether it is the second one of its handle, which has the lock already.
    """

    def __init__(self, name, is_later):
        super().__init__(0)
        self.wanted = CHANGES[name]
        self.is_later = is_later
        self.kept = os.path.join(self.folder, "kept.rec")
        self.make(self.kept, STARTING)

    def begin(self):
        """Anew, from the same files."""
        for handle in self.handles:
            self.close(handle)
        for ending in ENDINGS:
            shutil.copyfile(self.kept[:-4] + ending, self.path[:-4] + ending + ".new")
            os.replace(self.path[:-4] + ending + ".new", self.path[:-4] + ending)
        self.truth = STARTING
        self.handles = [Handle("a", self.here), Handle("b", self.here)]
        for handle in self.handles:
            self.open(handle)
        if self.is_later:
            self.change(self.handles[0], Order("append", ({"text": "c", "y": 50},)))

    def count(self):
        """How many opcodes it has."""
        self.begin()
        between = Between(10**9)
        with between:
            change(self.here.handles["a"], self.wanted.name, self.wanted.arguments)
        return 10**9 - between.left

    def at(self, number):
        """Interrupt it, then change what is shown, by the same handle and by another one."""
        self.begin()
        first, second = self.handles
        kind = EXCEPTIONS[number % 3]
        self.interrupt(first, self.wanted._replace(event="raise", number=number, detail=kind))
        self.check(is_read=True)
        if first.seen is not None:
            self.change(first, Order("field", (-1, "y", 777)))
        self.check(is_read=True)
        self.close(first)  # the exception is still remembered
        self.check_lock()
        self.change(second, Order("refresh"))
        self.change(second, Order("field", (0, "y", 778)))
        self.open(first)

    def end(self):
        for handle in self.handles:
            self.close(handle)
        shutil.rmtree(self.folder)
        REMEMBERED.clear()


def opcodes(name, is_later):
    """How many opcodes a change has."""
    world = Interrupted(name, is_later)
    try:
        return world.count()
    finally:
        world.end()


def interruptions(name, is_later, numbers):
    """Interrupt a change at each of these opcodes."""
    hook = sys.unraisablehook
    gc.freeze()
    open_before = descriptors()
    try:
        with warnings.catch_warnings():
            quiet()
            world = Interrupted(name, is_later)
            try:
                for number in numbers:
                    world.at(number)
            finally:
                world.end()
        del world
        require(descriptors() == open_before, "descriptors are left")
    except Exception as error:
        raise DifferenceError(f"{name}, later: {is_later}, opcode {number}: {error}") from error
    finally:
        sys.unraisablehook = hook
        gc.unfreeze()
    return {"interruptions": len(numbers)}


# Signals


MOST_NESTED = 3  # handlers, of which each interrupts another one


def signals(seconds, seed, least=0):
    """So long, and until there were so many signals, a timer saves, reads and syncs amid appends.

    Returns counts.
    """
    rng = random.Random(seed)
    counts = {"appends": 0, "signals": 0}
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until or counts["signals"] < least:
            path = os.path.join(folder, f"{counts['appends']}.rec")
            fields = {"text": "str", "y": "int64"} if rng.random() < 0.5 else {"y": "int64"}
            dsrecords.make_dataset([], path, fields)
            _with_signals(path, fields, rng, min(until, time.monotonic() + 5), least, counts)
            for ending in ENDINGS:
                os.remove(path[:-4] + ending)
    return counts


def _with_signals(path, fields, rng, until, least, counts):
    ds = dsrecords.open(path)
    lengths = []
    at_work = []  # handlers

    def wind_up():
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0005, 0.003))

    def autosave(*arguments):
        # A slow machine must not spend all its time in handlers, each within the one before.
        at_work.append(None)
        if len(at_work) < MOST_NESTED:
            wind_up()
        lengths.append(len(ds))
        shown = ds[-3:].column("y").tolist()
        require(shown == list(range(lengths[-1]))[-3:] or len(ds) > lengths[-1], "shown:", shown)
        ds.flush(sync=rng.random() < 0.02)
        at_work.pop()
        if len(at_work) == MOST_NESTED - 1:
            wind_up()

    before = signal.signal(signal.SIGALRM, autosave)
    wind_up()
    count = 0
    try:
        while time.monotonic() < until or len(lengths) < least:
            for _ in range(500):
                ds.append({key: f"{count}" if key == "text" else count for key in fields})
                count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    require(lengths == sorted(lengths), "a list that grows became shorter")
    ds.close()
    with contextlib.closing(dsrecords.open(path)) as ds:
        found = ds.column("y").tolist()
    require(found == list(range(count)), "of", count, "appends", len(found), "are there")
    counts["appends"] += count
    counts["signals"] += len(lengths)


def races(count, makers=6):
    """So many races of makers."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            race(os.path.join(folder, "race.rec"), makers, number % 4 == 3)
    return {"races": count}


def runs(first, count):
    """So many runs, with a second process. Returns how many there were of each kind of event."""
    total = {"runs": 0}
    there = There()
    try:
        for seed in range(first, first + count):
            for name, number in run(seed, there).items():
                total[name] = total.get(name, 0) + number
            total["runs"] += 1
    finally:
        there.end()
    return total


if __name__ == "__main__":
    helper = There()
    print(run(int(sys.argv[1]), helper, print))
    helper.end()
