"""What can be saved of damaged files. A record is taken only where it verifies; nothing is written unless told to."""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Sequence

from dsrecords._format import index as _index
from dsrecords._format.entries import Entries
from dsrecords._format.frame import COMMIT, COMMIT_HEAD, FRAME, PENDING, RECORD
from dsrecords._format.layout import NONE, PAGE, padded_size
from dsrecords._format.log import Found, Place, Walk, find_frame
from dsrecords._read.open import State, default_index
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.header import Header, read_header
from dsrecords._storage import files
from dsrecords._tools.check import check, padding
from dsrecords._write.create import build
from dsrecords._write.lock import lock
from dsrecords._write.writer import Writer
from dsrecords.errors import CorruptError, DSRecordsError, UnsupportedVersionError

Path = str | os.PathLike[str]


@dataclasses.dataclass
class Repair:
    """What `repair` found and did.

    Attributes:
        problems: what is wrong; empty if nothing is.
        records: how many records can be saved.
        lost: positions in the list of records that cannot. Of a log that is damaged where no index tells what it held, what was
            there is not known, and not in this list.
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
) -> Repair:
    """Say what is wrong with a dataset, and save what can be saved. By default nothing is written.

    Args:
        path: of the data file.
        output: of a new dataset, to which the records that verify are copied, in their order. The original stays as it is.
        index_path: of the index; by default `path` with the ending `.idx`.
        in_place: whether to mend the original, which can be done where no record that an index vouches for is lost: what a crash
            left behind the last whole batch is cut off (and kept as `path` + ".tail-…", if some of it verifies), and the index
            is written anew.

    Raises:
        CorruptError: the headers in both files are damaged; with `in_place`, there is damage that cannot be mended in place.
        LockedError: with `in_place`, another writer has the dataset.
        FileExistsError: `output` exists.
    """
    data = os.path.abspath(os.fspath(path))
    index = default_index(data) if index_path is None else os.path.abspath(os.fspath(index_path))
    salvage = _Salvage(data, index)
    report = Repair(_problems(data, index))
    good = []
    for i in range(len(salvage.entries)):
        try:
            salvage.encoded(i)
            good.append(i)
        except CorruptError as error:
            report.lost.append(i)
            if not any(problem.record == i for problem in report.problems):
                report.problems.append(error)
    report.records = len(good)
    if output is not None:
        report.output = os.fspath(output)
        records = (salvage.encoded(i) for i in good)
        header = salvage.header
        build(report.output, default_index(report.output), header.schema, header.metadata, records)
    if in_place and report.problems:
        _mend(data, index)
    return report


def _problems(path: str, index_path: str) -> list[DSRecordsError]:
    try:
        state = State(path, index_path, True)
    except DSRecordsError as error:
        return [error]
    found: list[DSRecordsError] = [*check(state)]
    if state.fault:
        text = f"{state.fault.wrong}: what a writer left that was killed; the next one cuts it off"
        found.append(CorruptError(text, file=path, offset=state.fault.at))
    if state.slot is None:
        found.append(
            CorruptError(
                "there is no index that can be used: the list is made again from the log",
                file=index_path,
            )
        )
    return found


def _mend(path: str, index_path: str) -> None:
    file = lock(path)
    # All is looked at before the writer recovers: what cannot be mended is not to be touched at all.
    state = State(path, index_path, True, torn=True)
    walk, entries = (
        Walk(state.fd, state.header.frames, state.header.size, state.snapshot.end),
        _index.map_entries(-1, None, len(state.header.schema.payloads) + 1),
    )
    schema = state.header.schema
    padded: list[tuple[int, int]] = []
    for places, op, positions in walk:
        entries = entries.apply(places, op, positions)
        for place in places if schema.payloads else ():
            padded += padding(walk, schema, place[0])
    if walk.fault:
        text = f"{walk.fault.wrong}: this cannot be mended in place; give an output"
        raise CorruptError(text, file=path, offset=walk.fault.where)
    writer = Writer(state, file)
    try:
        writer.clear(padded)
        writer.republish(entries)
    finally:
        writer.close()


class _Salvage:
    """The list as far as it can be known: from the log; where that is damaged, from the newest index and what comes after it."""

    def __init__(self, path: str, index_path: str) -> None:
        file = files.Descriptor(files.open_read(path))
        index = files.Descriptor(files.open_read(index_path)) if files.exists(index_path) else None
        self.header = self._find_header(file.number, path, index, index_path)
        size, bits = files.size(file.number), len(self.header.schema.payloads) + 1
        self._fd, self._size = file.number, size
        entries, fault = self._follow(_index.map_entries(-1, None, bits), self.header.size)
        if fault and index is not None:
            for slot in _index.read_slots(index.number):
                room = files.size(index.number) - slot.base - 16 * slot.count
                if (
                    not slot.flags
                    and slot.id == self.header.id
                    and slot.base == 2 * PAGE + self.header.size
                    and room >= 0
                ):
                    entries, _ = self._follow(
                        _index.map_entries(index.number, slot, bits), slot.covered
                    )
                    break
        self.entries, self._path, self._file = entries, path, file
        self._walk = Walk(file.number, self.header.frames, self.header.size, size)

    def encoded(self, i: int) -> Encoded:
        """The numbers and payloads of a record, verified. Read with `pread`: a file that is cut meanwhile is an error here."""
        offset, size, check = self.entries.get(i)
        schema, inside = (
            self.header.schema,
            offset & 7 == 0 and self.header.size <= offset < self._size,
        )
        outside = "the index's entry points outside of the log"
        found = (
            self._walk.frame(offset) if inside else Found(offset, 0, 0, 0, outside, None, offset)
        )
        wrong = found.wrong
        if not wrong and (
            found.kind not in (RECORD, PENDING)
            or found.check != check
            or size not in (0, found.size)
        ):
            wrong = "the index's entry is of another record"
        frame = b"" if wrong else files.pread(self._fd, found.size, offset)
        if wrong or len(frame) < found.size:
            raise CorruptError(
                wrong or "the file was cut short",
                file=self._path,
                record=i,
                field=schema.payload_key(found.payload),
                offset=found.where,
            )
        unpacked, start, payloads = (
            schema.layout.unpack(frame),
            schema.layout.size,
            list[bytes | None](),
        )
        for length in unpacked[: len(schema.payloads)]:
            payloads.append(None if length == NONE else frame[start : start + length])
            start += padded_size(length) if length != NONE else 0
        return list(unpacked[len(schema.payloads) :]), payloads

    @staticmethod
    def _find_header(fd: int, path: str, index: files.Descriptor | None, index_path: str) -> Header:
        try:
            return read_header(fd, path)
        except (
            CorruptError,
            UnsupportedVersionError,
        ) as error:  # a damaged version looks like a later one
            if index is None:
                raise
            try:
                return read_header(
                    index.number, index_path, 2 * PAGE
                )  # the copy that is there for this
            except (CorruptError, UnsupportedVersionError):
                raise error from None

    def _follow(self, entries: Entries, at: int) -> tuple[Entries, bool]:
        """What the log does to a list from an offset on, and whether it is damaged.

        Behind damage, records are taken that verify, and of a batch those that are left if its commit verifies. An edit there
        speaks of positions that nobody knows any more: the list ends where it comes.
        """
        walk, pending, damaged = (
            Walk(self._fd, self.header.frames, at, self._size),
            list[Place](),
            False,
        )
        while at < self._size:
            _, kind, size, check, wrong, *_ = walk.frame(at)
            places, op = [(at, size, check)], 0
            positions: Sequence[int] = ()
            if not wrong and kind == COMMIT:
                start, _, _, op = struct.unpack_from(
                    "<QQII", files.pread(self._fd, COMMIT_HEAD, at), FRAME.size
                )
                places = [place for place in pending if place[0] >= start]
                if not damaged:
                    wrong, op, positions = walk.commit(at, size, pending)
                elif op:
                    break
            if wrong:
                damaged = True
            elif kind in (RECORD, COMMIT):
                try:
                    entries = entries.apply(places, op, positions)
                except DSRecordsError:  # an edit of positions that this list does not have
                    break
                pending = []
            elif kind == PENDING:
                pending += places
            found = (
                at + size
                if size
                else find_frame(
                    self._fd, self.header.frames, at + 8, self._size, (RECORD, PENDING, COMMIT)
                )
            )
            at = self._size if found is None else found
        return entries, damaged
