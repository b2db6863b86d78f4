"""The work of one part of a batch, done by a thread of this process or by another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dsrecords._dataset.skipping import UNREADABLE, Unreadable
from dsrecords._loader.assembly import Assembly, Part, Stop
from dsrecords._loader.buffers import Buffers
from dsrecords._loader.keys import Key
from dsrecords._loader.reader import Reader, Samples, Target
from dsrecords._loader.structure import Columns, Structure, common
from dsrecords._loader.times import Times

Errors = list[Unreadable]


class Task(NamedTuple):
    """What is to be read.

    Attributes:
        samples: which.
        leaves_out: whether samples that cannot be read are left out, or raised.
    """

    samples: Samples
    leaves_out: bool


class Done(NamedTuple):
    """What was read of a part.

    Attributes:
        structure: what a batch of these samples is; None if all were left out.
        errors: of those that were left out.
    """

    structure: Structure | None
    errors: Errors


class Returned(NamedTuple):
    """What another process has read.

    Attributes:
        done: as above.
        kept: which of the samples there are: bool, (n,).
        columns: of these.
        times: what it took.
    """

    done: Done
    kept: np.ndarray
    columns: Columns
    times: Times


def do(
    reader: Reader,
    task: Task,
    part: Part,
    targets: Mapping[Key, Target],
    times: Times,
) -> Done:
    """Read a part of a batch; one sample after the other if one of them cannot be read."""
    try:
        structure = reader.read(part, task.samples, targets, times)
    except UNREADABLE:
        if not task.leaves_out:
            raise
        return _one_by_one(reader, task, part, targets, times)
    return Done(structure, [])


def _one_by_one(
    reader: Reader,
    task: Task,
    part: Part,
    targets: Mapping[Key, Target],
    times: Times,
) -> Done:
    structures = []
    errors: Errors = []
    for row in range(len(part)):
        alone = part.within(row, row + 1)
        sample = task.samples.within(row, row + 1)
        try:
            structure = reader.read(alone, sample, targets, times)
        except UNREADABLE as error:
            alone.kept[:] = False
            errors.append(error)
        else:
            structures.append(structure)
    return Done(common(structures), errors)


def do_elsewhere(reader: Reader, task: Task) -> Returned:
    """Do the same in a process of its own, which returns the columns."""
    count = len(task.samples.indices)
    assembly = Assembly(count, Buffers(0), Stop())
    times = Times()
    done = do(reader, task, assembly.part(0, count), {}, times)
    return Returned(done, assembly.kept, assembly.unstacked(), times)


def put_returned(part: Part, returned: Returned) -> None:
    """Put what another process has read into a part."""
    part.kept[:] = returned.kept
    for key, column in returned.columns.items():
        if len(column) == len(part):
            part.put(key, column)
            continue
        rows = np.flatnonzero(returned.kept).tolist()
        for number, row in enumerate(rows):
            alone = part.within(row, row + 1)
            alone.put(key, column[number : number + 1])
