"""`repair`: says what is wrong with a dataset, saves what can be saved, mends what can be mended.

A record is saved only if it verifies. Nothing is written unless it is asked for.
"""

from __future__ import annotations

import dataclasses
import os

from dsrecords._format.entries import Entries, no_entries
from dsrecords._format.log import LogScanner
from dsrecords._read.extents import amplified
from dsrecords._read.mark import Mark
from dsrecords._read.open import State, default_index
from dsrecords._storage.files import Descriptor
from dsrecords._storage.registry import absolute, require_local
from dsrecords._tools.check import check
from dsrecords._tools.salvage import Salvage
from dsrecords._tools.scan import dirty_padding
from dsrecords._write import lock as _lock
from dsrecords._write.create import build
from dsrecords._write.writer import Writer
from dsrecords.errors import CorruptError, DSRecordsError

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@dataclasses.dataclass
class Repair:
    """What `repair` found and did.

    Attributes:
        problems: what is wrong; empty if nothing is.
        records: how many records can be saved.
        lost: positions in the list of the records that cannot be saved. Where the log is damaged
            and neither its other frames nor an index say which records it held, those are not here.
        output: path of the new dataset; None if none was written.
    """

    problems: list[DSRecordsError]
    records: int = 0
    lost: list[int] = dataclasses.field(default_factory=list)
    output: str | None = None


def repair(
    path: Path,
    output: Path | None = None,
    *,
    index_path: Path | None = None,
    in_place: bool = False,
    lock: bool = True,
) -> Repair:
    """Say what is wrong with a dataset, and save what can be saved. By default nothing is written.

    Args:
        path: of the data file.
        output: path of a new dataset, to which the records that verify are copied in their order.
            The original stays as it is.
        index_path: of the index; by default `path` with the ending `.idx`.
        in_place: whether to mend the original. That can be done if no record is lost that the index
            covers: what a crash left behind the last whole batch is cut off (and kept as `path` +
            ".tail-…" if some of it verifies), and the index is written anew.
        lock: False: nothing is locked, for file systems that have no locks.

    Returns:
        What is wrong, and what was saved.

    Raises:
        CorruptError: the headers in both files are damaged, or somebody has made the file to take
            much more space when it is saved; with `in_place`, there is damage that
            cannot be mended in place.
        UnsupportedVersionError: the file is of a later version of the format; with `in_place`, also
            where only a part of it is.
        LockedError: with `in_place`, another writer has the dataset.
        FileExistsError: `output` exists.
        ValueError: with `in_place`, the file is not of this machine.
    """
    data_path = absolute(os.fsdecode(path))
    if index_path is None:
        absolute_index_path = default_index(data_path)
    else:
        absolute_index_path = absolute(os.fsdecode(index_path))
    if in_place:
        require_local(data_path)
    salvage = Salvage(data_path, absolute_index_path)
    report = Repair(_problems(data_path, absolute_index_path))
    readable = _verify(salvage, report)
    report.records = len(readable)
    if output is not None:
        report.output = os.fsdecode(output)
        _save(salvage, readable, report.output, lock)
    if in_place and report.problems:
        _mend(data_path, absolute_index_path, lock)
    return report


def _problems(path: str, index_path: str) -> list[DSRecordsError]:
    try:
        state = State(path, index_path, True)
    except DSRecordsError as error:
        return [error]
    problems: list[DSRecordsError] = [*check(state)]
    if state.fault:
        text = f"{state.fault.problem}: what a killed writer left; the next writer cuts it off"
        problems.append(CorruptError(text, file=path, offset=state.fault.offset))
    if state.slot is None:
        text = "there is no index that can be used: the list is made again from the log"
        problems.append(CorruptError(text, file=index_path))
    return problems


def _verify(salvage: Salvage, report: Repair) -> list[int]:
    """Verify each record of the list; note in the report which are lost.

    Returns:
        The positions of those that can be saved.

    Raises:
        CorruptError: together they would take more bytes than the log has.
    """
    told_of = {problem.record for problem in report.problems}
    offsets = {problem.offset for problem in report.problems}
    readable = []
    total = 0
    for i in range(len(salvage.entries)):
        try:
            _, payloads = salvage.encoded(i)
        except CorruptError as error:
            report.lost.append(i)
            if i not in told_of and error.offset not in offsets:
                report.problems.append(error)
            continue
        readable.append(i)
        total += sum(len(payload) for payload in payloads if payload is not None)
        if total > salvage.size:
            raise amplified(salvage.path, total, salvage.size)
    return readable


def _save(
    salvage: Salvage,
    positions: list[int],
    output: str,
    locks: bool,
) -> None:
    header = salvage.header
    index_path = default_index(output)
    records = (salvage.encoded(i) for i in positions)
    build(
        output,
        index_path,
        header.schema,
        salvage.metadata,
        records,
        locks=locks,
    )


def _mend(path: str, index_path: str, locks: bool) -> None:
    """Cut off what is not whole, zero the padding, and write the index anew."""
    locked: list[Descriptor] = []
    try:
        _lock.lock(path, locked.append, locks)
        state = State(path, index_path, True, torn=True, locks=locks)
        # Before the writer recovers: what cannot be mended must not be touched.
        entries, mark, dirty = _verify_log(state)
        writer = Writer(state, locked[-1])
        writer.open()
        writer.clear(dirty)
        state.snapshot.mark = mark
        writer.republish(entries)
        writer.close()
    finally:
        for descriptor in locked:
            descriptor.close()


def _verify_log(state: State) -> tuple[Entries, Mark, list[tuple[int, int]]]:
    """Verify the whole log.

    Returns:
        The list that it means, the moment that it is of, and the padding that is not zero: (start,
        stop) of each.

    Raises:
        CorruptError: it is damaged.
        UnsupportedVersionError: it is of a later version of the format.
    """
    header = state.header
    schema = header.schema
    entries = no_entries(schema.layout.row_size)
    dirty: list[tuple[int, int]] = []
    walk = LogScanner(
        state.storage,
        header.frames,
        header.size,
        state.snapshot.end,
        header.raw.check,
        schema.layout.row_size,
    )
    edits = 0
    metadata = 0
    for batch in walk:
        entries = entries.apply(batch.rows, batch.op, batch.positions)
        edits += batch.op != 0
        metadata = batch.metadata or metadata
        if not schema.payloads:
            continue
        for offset in batch.rows[:, 0].tolist():
            found = walk.frame(offset, payloads=False)
            dirty += dirty_padding(walk, header, found)
    fault = walk.fault
    if fault is not None:
        text = f"{fault.problem}: this cannot be mended in place; give an output"
        raise CorruptError(text, file=state.path, offset=fault.problem_offset)
    mark = Mark(walk.end, walk.last or 0, walk.check, edits, metadata)
    return entries, mark, dirty
