"""The n-th call to the system fails, once or for good, for every n of a run: the error is raised, and nothing committed is lost.

What is looked at when an operation has failed:

- The files hold a state from the last one that was acknowledged to the one that was begun; the dataset that is still open shows
  what the files hold, or raises.
- Where a write or a sync of the dataset's own files failed, each further change and flush is refused: nobody knows what is on
  the disk, and a second fsync that succeeds would say nothing.
- Once the fault is gone, the dataset opens again, has the lock to give, and takes a record.
"""

import errno
import gc
import itertools
import warnings

from operations import PATH, SCHEMA, SMALL_INDEX, State, World, beginning, small_writers, state_of
from power_loss import MARK, LostError, with_mark
from simulation import Fault, Machine

import dsrecords
from dsrecords import DSRecordsError, IndexedRecordDataset, ReadOnlyError

KINDS = (errno.ENOSPC, errno.EIO, errno.EINTR, "short")
OWN = (
    "append",
    "extend",
    "extend_columns",
    "replace",
    "update",
    "revise",
    "revise_several",
    "describe",
    "delete",
    "delete_ranges",
    "remove",
    "publish",
    "sync",
)  # not making new files


def _read_files(machine):
    """What another process finds, on a machine without the fault."""
    other = Machine(machine.contents())
    with other.running():
        return state_of(dsrecords.open(PATH)) if PATH in other.names else None


def _demand(condition, what):
    if not condition:
        raise LostError(what)


def _after_failure(world, name, machine, low):
    allowed = world.states[low:]
    held = _read_files(machine)
    _demand(held in allowed, "the files hold what the list never was")
    if world.ds is None:
        return held
    fault = machine.fault
    if fault.kind in ("short", errno.ENOSPC):
        try:
            _demand(state_of(world.ds) in allowed, "the open dataset shows another list")
        except DSRecordsError as broken:
            raise LostError("a full disk cannot be read") from broken
        except ValueError as closed:
            _demand("closed" in str(closed), "the dataset cannot be read")
    wrote = machine.failed[-1] in ("pwrite", "fsync", "ftruncate")
    machine.fault = None
    if wrote and name in OWN:
        for change in (lambda: world.ds.append(MARK), world.ds.flush, world.ds.compact):
            if change == world.ds.flush and world.ds._editing.writer is None:
                continue  # it failed before it had written anything: nothing is to be made durable
            try:
                change()
            except ReadOnlyError:
                continue
            raise LostError(f"after a failed {machine.failed[-1]} it goes on")
    machine.fault = fault
    return held


def trial(operations, start, fault):
    """One run with one fault. Returns whether an operation failed."""
    files, known = start
    machine = Machine(files, fault)
    world = World(machine, known)
    low, failed = 0, False
    with machine.running(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for name in ("open" if PATH in machine.names else "create", *operations):
            before = len(machine.failed)
            told_before = len(told)
            try:
                getattr(world, name)()
                low = len(world.states) - 1
                if fault.kind != "short" and not _told_of_index(told[told_before:]):
                    _demand(
                        not {"pwrite", "fsync"} & set(machine.failed[before:]),
                        f"{name}: a failed {machine.failed[-1:]} is not told of",
                    )
            except (OSError, DSRecordsError) as error:
                if failed and isinstance(error, ReadOnlyError):
                    break
                failed = True
                error.__traceback__ = None
                _demand(machine.failed, f"{error!r} without a fault")
                held = _after_failure(world, name, machine, low)
                if fault.for_good or name in ("open", "create", "reopen"):
                    break
                world.states.append(held)  # and on, from what is there now
                low = len(world.states) - 1
        if world.ds is not None:
            try:
                world.ds.close()
            except OSError as error:
                _demand(machine.failed, f"{error!r} without a fault")
                failed = True
        machine.fault = None
        world.ds = None
        if PATH not in machine.names:
            _demand(world.states[low] is None, "the dataset is gone")
            ds = IndexedRecordDataset(PATH, schema=SCHEMA)
        else:
            ds = dsrecords.open(PATH)
        held = state_of(ds)
        _demand(
            held in world.states[low:] or (held == State([], {}) and None in world.states[low:]),
            f"opened again, there are {len(held.samples)} records",
        )
        ds.append(MARK)
        ds.close()
        with dsrecords.open(PATH) as ds:
            _demand(state_of(ds) == with_mark(held), "what was appended afterwards is not there")
            _demand(not ds.check(), "check finds damage")
    gc.collect(0)
    # An index that cannot be read is made again, with a warning.
    return (
        failed
        or _told_of_index(told)
        or any("is unreadable" in str(warning.message) for warning in told)
    )


def _told_of_index(told):
    """Whether a dataset that was closed has said that its index alone could not be written."""
    messages = [str(warning.message) for warning in told]
    return any("cannot be written" in text or "could not be written" in text for text in messages)


def survey(operations, start, tally, kinds=KINDS, every=1, small_index=SMALL_INDEX):
    """Each call of a run fails in each way; or of these faults, one in `every`."""
    with small_writers(5, small_index):
        machine = Machine(start[0])
        world = World(machine, start[1])
        with machine.running():
            for name in ("open" if start[0] else "create", *operations):
                getattr(world, name)()
            world.ds.close()
        calls = list(machine.calls)
        turn = itertools.cycle(range(every))
        for n in range(1, len(calls) + 1):
            for kind in kinds:
                if kind in ("short", errno.ENOSPC) and calls[n - 1] not in (
                    ("pwrite",) if kind == "short" else _CHANGES
                ):
                    continue
                for for_good in (False, True):
                    if next(turn):
                        continue
                    tally["faults"] += 1
                    tally["short"] += kind == "short"
                    try:
                        tally["raised"] += trial(operations, start, Fault(n, kind, for_good))
                    except Exception as error:
                        how = "for good" if for_good else "once"
                        raise LostError(
                            f"{operations}, call {n} ({calls[n - 1]}) fails {how} with {kind}: {error!r}"
                        ) from error


_CHANGES = ("create", "pwrite", "ftruncate", "fsync", "rename", "link", "unlink")


def torn():
    """A dataset behind which a killed writer left half a record: the first change of each run cuts that off."""
    files, known = beginning()
    return {**files, PATH: files[PATH] + files[PATH][-40:-8]}, known


STARTS = {"a dataset": beginning, "a torn dataset": torn, "nothing": lambda: ({}, None)}
WORKLOADS = (
    ("append", "append"),
    ("extend", "publish"),
    ("replace", "delete", "sync"),
    ("extend_columns", "update", "remove"),
    ("revise", "describe", "publish"),
    ("revise_several", "delete_ranges", "reopen"),
    ("describe", "compact", "revise"),
    ("append", "compact", "append"),
    ("append", "reopen", "append"),
    ("extend", "extend", "extend"),
    ("remake", "remake"),
    (),
)
