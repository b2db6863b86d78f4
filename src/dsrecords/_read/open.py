"""Opening a dataset: the header, the newest usable index, and what the log says after it.

The `.rec` is the truth, the `.idx` a cache. Damage is not a torn tail: only bytes behind the last
whole batch may be unfinished work. Writes nothing; knows no samples.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Hashable, Sequence
from typing import Any

from dsrecords._format import index as _index
from dsrecords._format.entries import Entries, no_entries
from dsrecords._format.header import VERSION
from dsrecords._format.index import Slot
from dsrecords._format.layout import PAGE, SHORT_ROW
from dsrecords._format.log import Batch, LogScanner, ScannedFrame, find_frame
from dsrecords._read import views as _views
from dsrecords._read.index_path import index_beside
from dsrecords._read.mark import Mark, beginning, has_header, is_past, mark_of
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Version
from dsrecords._schema.header import Header, read_header
from dsrecords._storage.base import Storage
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.registry import open_storage, version_at
from dsrecords._warning import warn_user
from dsrecords.errors import CorruptError, RemoteError, UnsupportedVersionError

# A reader that opens while a writer recovers may see what looks like damage: it looks again.
_TRIES = 4
_PATIENCE = 7  # tries, while the files are being replaced and the pair does not fit
_PAUSE = 0.005  # seconds before the second try, doubled for each further one
_MOST_SEQ = 2**63  # no writer counts that far: the next number must fit, too
_DAMAGED = "damaged, or no index of ours"
_OTHER_DATASET = "of another dataset"
_OTHER_HISTORY = "of a copy that was changed apart from this one"


def default_index(path: str) -> str:
    """`my_data.rec` → `my_data.idx`. Raises ValueError where that is the same file."""
    root, ending = os.path.splitext(path)
    if ending == ".idx":
        raise ValueError(f"{path}: this is the ending of an index; the data file is {root}.rec")
    return index_beside(path)


class State:
    """A dataset's files, read as far as their last whole batch.

    Attributes:
        storage: of the `.rec`; closed with the last snapshot of it.
        header: of the `.rec`.
        snapshot: the list, which knows the moment of the log that it is of: its mark.
        slot: of the index file, the slot that was used; None where the list was made again.
        slot_file: the version of the file that it was in.
        frames_behind: how many frames of the log are behind those that the rows of the index are
            of.
        view: of a view file (see `views`) what tells it from others, else 0.
        fault: what is wrong where the log stops being whole before the end of the file; None if it
            does not.
        beyond: offset of a frame behind the fault that verifies: then it is damage, or a lost
            write, and not a torn tail.
        unfinished: whether anything follows the last whole batch.
        half_slot: for a writer, whether one of the index's two slots is half written.
        refuses: why nobody may write to these files any more by way of this object; empty if that
            is not so.
        locks: whether a writer locks the files.
    """

    refuses = ""
    _ignores_index = False
    half_slot = False
    _faulty_record = 0  # the position that the record at the fault would have had
    _was_interrupted = False  # amid a `refresh` or a change
    _vouched = 0  # up to where the index that was read vouches for the log

    header: Header
    snapshot: Snapshot
    slot: Slot | None
    slot_file: Hashable
    fault: ScannedFrame | None
    beyond: int | None
    unfinished: bool

    def __init__(
        self,
        path: str,
        index_path: str,
        verify: bool | str,
        *,
        index_must_exist: bool = False,
        torn: bool = False,
        new: bool = False,
        locks: bool = True,
    ) -> None:
        """Open the files.

        Args:
            path: of the `.rec`.
            index_path: of the index.
            verify: see `Snapshot`.
            index_must_exist: whether the index was named.
            torn: see `reopen`.
            new: whether the dataset is just being made, so that it has no index yet.
            locks: whether a writer is to lock the files, which not all file systems can.
        """
        self.path = path
        self.index_path = index_path
        self._verify = verify
        self._index_must_exist = index_must_exist
        self._new = new
        self.locks = locks
        self._told = ""  # what was told of the index, which is not repeated
        # What somebody names may be a view: only where a dataset's own index belongs does the log
        # stand in for what is damaged.
        self._may_be_remade = not index_must_exist or index_path == index_beside(path)
        self.reopen(torn)

    # Opening

    def reopen(self, torn: bool = False) -> None:
        """Read the files anew, as if nothing were known of them.

        Args:
            torn: whether to allow damage behind the last whole batch, if an index says what was
                whole before: the writer deals with it.

        Raises:
            CorruptError: the header or the log is damaged.
        """
        for attempt in range(max(_TRIES, _PATIENCE)):
            fresh = copy.copy(self)  # so that nothing changes if it fails
            fresh._open_log()  # not tried again: a header never changes in place
            try:
                if fresh._open_list(torn, is_last_try=attempt >= _PATIENCE - 1):
                    self.__dict__.update(fresh.__dict__)
                    return
            except CorruptError:
                if attempt >= _TRIES - 1:
                    raise
            time.sleep(_PAUSE * 2**attempt)

    def remake(self) -> None:
        """Make the list again from the log alone: another program has written into the index.

        Raises:
            CorruptError: the header or the log is damaged.
        """
        self._ignores_index = True
        try:
            self.reopen()
        finally:
            self._ignores_index = False

    def _open_log(self) -> None:
        self.storage = open_storage(self.path)
        header = read_header(self.storage)
        if not isinstance(self.storage, LocalStorage):
            self.refuses = (
                "only files of this machine are written to: write what is new to another file "
                "with make_dataset, and open both as one, by a list or a pattern"
            )
        elif header.raw.write_flags:
            self.refuses = (
                f"write flags {header.raw.write_flags:#04x}, which this library does not know: "
                "a later one has written the file, and only such a one may change it"
            )
        known = getattr(self, "header", header)
        # An equal header stays the object that it was: plans are compared with it by identity.
        if known.raw.data == header.raw.data:
            header = known
        self.header = header

    def _open_list(self, torn: bool, is_last_try: bool) -> bool:
        """One try to read the index, and what the log says after it.

        Returns:
            False if the index is of another dataset, which is how a replacement in progress looks.
        """
        self.fault = None
        self.beyond = None
        self.unfinished = False
        self.slot = None
        self.slot_file = None
        self.view = 0
        self.frames_behind = 0
        index = self._open_index()
        if index.is_of_another_dataset and not is_last_try:
            return False
        self._vouched = index.end
        if index.storage is not None:
            self.slot_file = index.storage.version()
        self.half_slot = torn and index.has_half_slot()
        if self.storage.size() < index.end:
            raise self._too_short(index, self.storage.size())
        self._choose_slot(index)
        self._require_index(index)
        self._begin(self._entries_of(index))
        if self.view:
            return True
        self._follow(torn and self.slot is not None, self.slot is None, index.end)
        self.snapshot.entries.settle()
        if self.snapshot.end < index.end:
            raise self._not_vouched(index)
        self._warn_of_remade_list(index)
        return True

    def _open_index(self) -> _IndexFile:
        """Open the index. One that cannot be read is as one that is not there, unless it was named.

        Raises:
            OSError: it was named.
        """
        if self._ignores_index:
            return _IndexFile(None, self.header.id, "no longer what was written")
        try:
            return _IndexFile(open_storage(self.index_path), self.header.id)
        except FileNotFoundError:
            if self._index_must_exist:
                raise
            return _IndexFile(None, self.header.id, "missing")
        except RemoteError:  # it may be there, and to make it again would take all of the log
            raise
        except OSError as error:
            if not self._may_be_remade:
                raise
            return _IndexFile(None, self.header.id, f"unreadable ({error.strerror or error})")

    def _choose_slot(self, index: _IndexFile) -> None:
        """Set `slot` to the newest that can be used, and `view`.

        Raises an error that says why none can be, if the list cannot be made again either.
        """
        if index.storage is None:
            return
        view = index.view
        if view is not None:
            if view.version != VERSION or view.flags != _index.VIEW:
                raise self._unsupported("a view", view)
            fits_file = self._fits_file(view, index.storage)
            _views.validate(view, fits_file, self.header, self.storage, self.index_path)
            self.slot = view
            self.view = view.seq + 1
            return
        for slot in index.own:
            if self._is_usable(slot, index.storage):
                self.slot = slot
                return
        if not self._may_be_remade:
            raise self._useless(index)

    def _useless(self, index: _IndexFile) -> CorruptError | UnsupportedVersionError:
        """The error of an index that was named, and is of no use."""
        for slot in index.own:
            if slot.version != VERSION or slot.flags:
                return self._unsupported("an index", slot)
        problem = index.problem()
        if index.slots:
            problem = f"the index {problem}"
        return CorruptError(
            f"{problem}: as it may have been a view, nothing is shown; "
            "without index_path the list is made again",
            file=self.index_path,
        )

    def _require_index(self, index: _IndexFile) -> None:
        """Raise CorruptError if the list of a file elsewhere could only be had from all of it."""
        if self.slot is not None or not self.storage.forgets:
            return
        raise CorruptError(
            f"{self.index_path} is {index.problem()}, as of an upload that did not end: to make it "
            "again, download the data file, open it, call flush(), and upload the index",
            file=self.path,
        )

    def _unsupported(self, what: str, slot: Slot) -> UnsupportedVersionError:
        return UnsupportedVersionError(
            f"{what} of version {slot.version}, flags {slot.flags}: "
            f"this library reads version {VERSION}",
            file=self.index_path,
        )

    def _entries_of(self, index: _IndexFile) -> Entries:
        """The rows that the chosen slot says, or none."""
        if self.slot is None or index.storage is None:
            return no_entries(self.header.schema.layout.row_size)
        return _index.map_entries(index.storage, self.slot)

    def _is_usable(self, slot: Slot, index: Storage) -> bool:
        """Whether a slot fits the index file that it is in, and the log."""
        if slot.version != VERSION or slot.flags:
            return False
        if not self._fits_file(slot, index):
            return False
        return is_past(mark_of(slot), self.storage, self.header)

    def _fits_file(self, slot: Slot, index: Storage) -> bool:
        if slot.base != _index.rows_offset(self.header.raw):
            return False
        if slot.row not in (SHORT_ROW, self.header.schema.layout.long_row_size):
            return False
        if index.size() < slot.base + slot.row * slot.count:
            return False
        if max(slot.seq, slot.edits) >= _MOST_SEQ or slot.end < slot.covered:
            return False
        return slot.last > 0 or slot.count == 0

    def _begin(self, entries: Entries) -> None:
        """Begin with the list that the slot says, or an empty one."""
        mark = beginning(self.header)
        if self.slot is not None:
            mark = mark_of(self.slot)
        self.snapshot = Snapshot(
            self.storage,
            self.header,
            entries,
            mark.end,
            self._verify,
        )
        self.snapshot.mark = mark

    def _not_vouched(self, index: _IndexFile) -> CorruptError:
        """The error of a list that does not reach as far as the index vouches for the log."""
        if self.fault is None:
            return self._too_short(index, self.snapshot.end)
        text = f"its index vouches for the log up to {index.end}: damage"
        return self._damage(self.fault, text)

    def _too_short(self, index: _IndexFile, end: int) -> CorruptError:
        """The error of a log that is not as long as its index says."""
        witness = "its index"
        remedy = f"remove {self.index_path}"
        if index.view is not None:
            witness = f"the view {self.index_path}"
            remedy = "make the view anew"
        return CorruptError(
            f"the log ends at {end}, {witness} vouches for {index.end}: it was cut short, or it is "
            f"an older copy (then {remedy})",
            file=self.path,
            offset=end,
        )

    def _warn_of_remade_list(self, index: _IndexFile) -> None:
        """Warn if the list was made again, unless that was told already."""
        problem = ""
        if self.slot is None:
            problem = index.problem()
        was_told = problem == self._told
        self._told = problem
        if was_told or not problem or self._new:
            return
        rest = ""
        if self.unfinished:
            rest = (
                f"; what follows byte {self.snapshot.end} is not whole: a write that did not end, "
                "or a file that was cut short"
            )
        warn_user(
            f"{self.index_path} is {problem}: the list was made again from {self.path}, "
            f"in memory; dsrecords.open(path).flush() writes the index{rest}"
        )

    @property
    def edits(self) -> int:
        """How many edits the log has."""
        return self.snapshot.mark.edits

    # Following the log

    def follow(self) -> None:
        """Read what the log has gained.

        Raises:
            CorruptError: the log is damaged.
        """
        self._follow(False, False, self.snapshot.end)

    def _follow(
        self,
        torn: bool,
        only_last_payloads: bool,
        payloads_from: int,
    ) -> None:
        """Read the log behind what is known of it.

        Args:
            torn: as in `reopen`.
            only_last_payloads: as of `LogScanner`.
            payloads_from: the same.
        """
        start = self.snapshot.end
        stop = self.storage.size()
        if stop < start:
            text = f"the file was cut short: it had {start} bytes"
            raise CorruptError(text, file=self.path, offset=stop)
        walk = LogScanner(
            self.storage,
            self.header.frames,
            start,
            stop,
            self.snapshot.mark.check,
            self.snapshot.entries.row_size,
            payloads_from,
            only_last_payloads,
        )
        self._apply_all(walk)
        self.snapshot.end = max(self.snapshot.end, walk.end)
        self.unfinished = walk.end < stop
        fault = walk.fault
        self.fault = fault
        self._faulty_record = len(self.snapshot.entries) + walk.records_before_fault
        self.beyond = None
        if fault is not None:
            self.beyond = self._find_beyond(walk, fault, stop)
            if self.beyond is not None and not torn:
                text = (
                    f"whole frames follow (at {self.beyond}): damage, or writes that a crash lost"
                )
                raise self._damage(fault, text)

    def _apply_all(self, walk: LogScanner) -> None:
        try:
            for batch in walk:
                self.apply(batch)
        except (CorruptError, UnsupportedVersionError) as error:
            error.file = self.path
            error.offset = error.offset or walk.last
            raise

    def _find_beyond(
        self,
        walk: LogScanner,
        fault: ScannedFrame,
        stop: int,
    ) -> int | None:
        """Offset of the first frame behind a fault that somebody may rely on; None if none is."""
        start = fault.offset
        if not walk.misplaced:
            start += 8
        try:
            return find_frame(self.storage, self.header.frames, start, stop)
        except CorruptError as error:
            error.file = self.path
            raise

    def _damage(self, fault: ScannedFrame, evidence: str) -> CorruptError:
        return CorruptError(
            f"{fault.problem}, and {evidence}; dsrecords.repair can help",
            file=self.path,
            record=self._faulty_record,
            field=self.header.schema.payload_key(fault.payload),
            offset=fault.problem_offset,
        )

    def apply(self, batch: Batch, shared_parts: Sequence[int] = ()) -> None:
        """Take a whole batch into the list.

        Args:
            batch: what it does.
            shared_parts: as of `Snapshot.edited`.
        """
        snapshot = self.snapshot
        before = snapshot.mark
        is_edit = batch.op != 0
        mark = Mark(
            batch.end,
            batch.last,
            batch.check,
            before.edits + is_edit,
            batch.metadata or before.metadata,
        )
        snapshot.end = batch.end  # first, as in `Snapshot.append`
        if is_edit:
            edited = snapshot.edited(batch.rows, batch.op, batch.positions, shared_parts)
            edited.mark = mark
            self.snapshot = edited
        else:
            snapshot.mark = mark
            snapshot.extend(batch.rows)
        self.frames_behind += len(batch.rows) + 1

    def refresh(self) -> None:
        """See what others have written, or the file that a compaction has put in its place."""
        if self._was_interrupted or not self.is_what_it_was():
            self._was_interrupted = False
            self.reopen()
            return
        self._was_interrupted = True  # if that raises, a batch may have been read in part
        vouched = self._vouched_now()  # first: the log is longer than its index ever said
        if self.storage.size() < vouched:
            self.reopen()  # which says so, unless both files were just replaced
        try:
            self.follow()
        except CorruptError:  # or a writer is just cutting off what a killed one left
            self.reopen()
        self._was_interrupted = False

    def _vouched_now(self) -> int:
        """Up to where the index vouches for the log by now; 0 where there is none.

        Files elsewhere never change in place: of one whose version is the same it is known.

        Raises:
            RemoteError: the index is elsewhere, and may be there.
        """
        try:
            if self.storage.forgets and version_at(self.index_path) == self.slot_file:
                return self._vouched
            return self._open_index().end
        except RemoteError:
            raise
        except OSError:  # it was named, and is gone
            return 0

    def distrust(self) -> None:
        """Let the next `refresh` read the files anew: a change of this object did not end."""
        self._was_interrupted = True

    def is_what_it_was(self) -> bool:
        """Whether the file at the path is the one that was read, and still begins as it did."""
        if version_at(self.path) != self.storage.version():
            return False
        if not has_header(self.storage, self.header):
            return False
        return is_past(self.snapshot.mark, self.storage, self.header)

    def shows(self, version: Version) -> bool:
        """Whether positions mean what they meant in a list: see `Source`."""
        is_same = version.id == self.header.id and version.view == self.view
        mark = version.mark
        if not is_same or mark.edits != self.edits:
            return False
        return is_past(mark, self.storage, self.header)

    # What differs in files of dsrecords 0.4, see `_v04.reader`

    def need_log(self) -> None:
        """Nothing: it is a log, so that it can be changed, compacted and viewed."""

    def deserializers(self, given: Any) -> Any:
        """The deserializers that were given, as they are."""
        return given


class _IndexFile:
    """An index file, and what its slots say. It is closed with the last reference to it.

    Args:
        storage: of the index; None if it cannot be read.
        id: of the dataset.
        reason: why it cannot be read.

    Attributes:
        storage: of the index.
        slots: those that are valid, the newest first.
        own: of these, those of the dataset, other than views.
        view: of these, the newest that is a view, of this dataset or another; None if there is
            none.
        end: up to where they vouch for the log.
        is_of_another_dataset: whether there are slots, and none of them is of the dataset.
    """

    def __init__(
        self,
        storage: Storage | None,
        id: bytes,
        reason: str = "",
    ) -> None:
        self.storage = storage
        self._reason = reason
        self.slots: list[Slot] = []
        if storage is not None:
            self.slots = _index.read_slots(storage)
        self.own: list[Slot] = []
        self.view: Slot | None = None
        self.end = 0
        self.is_of_another_dataset = bool(self.slots)
        for slot in self.slots:
            is_view = bool(slot.flags & _index.VIEW)
            if is_view and self.view is None:
                self.view = slot
            if slot.id != id:
                continue
            self.is_of_another_dataset = False
            if slot.version == VERSION:
                self.end = max(self.end, slot.covered, slot.end)
            if not is_view:
                self.own.append(slot)

    def problem(self) -> str:
        """Why it is of no use, where it is not."""
        if self._reason:
            return self._reason
        if self.is_of_another_dataset:
            return _OTHER_DATASET
        if any(slot.version != VERSION or slot.flags for slot in self.own):
            return "of another version of the format"
        if self.own:
            return f"{_OTHER_HISTORY}, or damaged"
        return _DAMAGED

    def has_half_slot(self) -> bool:
        """Whether one slot is valid, and where the other belongs is something that is none.

        A writer that was killed while it wrote a slot leaves that; the next checkpoint writes it
        anew.
        """
        if len(self.slots) != 1 or self.storage is None:
            return False
        (slot,) = self.slots
        other_offset = PAGE * (1 - slot.seq % 2)
        other = self.storage.read(other_offset, PAGE)
        return any(other)
