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
from dsrecords._format.entries import ENTRY, Entries
from dsrecords._format.frame import FRAME
from dsrecords._format.header import VERSION
from dsrecords._format.index import Slot
from dsrecords._format.layout import PAGE
from dsrecords._format.log import FrameRef, LogScanner, ScannedFrame, find_frame
from dsrecords._read import views as _views
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.header import Header, read_header
from dsrecords._storage.base import Storage
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.registry import open_storage, version_at
from dsrecords._warning import warn_user
from dsrecords.errors import CorruptError, UnsupportedVersionError

# A reader that opens while a writer recovers may see what looks like damage: it looks again.
_TRIES = 4
_PATIENCE = 7  # tries, while the files are being replaced and the pair does not fit
_PAUSE = 0.005  # seconds before the second try, doubled for each further one
_MOST_SEQ = 2**63  # no writer counts that far: the next number must fit, too
_DAMAGED = "damaged, or no index of ours"


def default_index(path: str) -> str:
    """`my_data.rec` → `my_data.idx`. Raises ValueError where that is the same file."""
    index = _beside(path)
    if index == path:
        raise ValueError(f"{path}: the data file cannot have the index's ending; use .rec")
    return index


def _beside(path: str) -> str:
    root, _ = os.path.splitext(path)
    return root + ".idx"


class State:
    """A dataset's files, read as far as their last whole batch.

    Attributes:
        storage: of the `.rec`; closed with the last snapshot of it.
        header: of the `.rec`.
        snapshot: the list.
        edits: how many edits the log has.
        last: offset of the last frame, and `check`, its check; 0 and 0 if there is none.
        slot: of the index file, the slot that was used; None where the list was made again.
        slot_file: the version of the file that it was in.
        view: of a view file (see `views`) what tells it from others, else 0.
        fault: what is wrong where the log stops being whole before the end of the file; None if it
            does not.
        beyond: offset of a frame behind the fault that verifies: then it is damage, or a lost
            write, and not a torn tail.
        half_slot: for a writer, whether one of the index's two slots is half written.
        editing: how often an edit of the list was begun or ended: odd while one is under way.
        refuses: why nobody may write to these files any more by way of this object; empty if that
            is not so.
    """

    refuses = ""
    editing = 0
    half_slot = False

    header: Header
    slot: Slot | None
    slot_file: Hashable
    fault: ScannedFrame | None
    beyond: int | None

    def __init__(
        self,
        path: str,
        index_path: str,
        verify: bool | str,
        *,
        index_must_exist: bool = False,
        torn: bool = False,
    ) -> None:
        self.path = path
        self.index_path = index_path
        self._verify = verify
        self._index_must_exist = index_must_exist
        # What somebody names may be a view: only where a dataset's own index belongs does the log
        # stand in for what is damaged.
        self._may_be_remade = not index_must_exist or index_path == _beside(path)
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

    def _open_log(self) -> None:
        self.storage = open_storage(self.path)
        if not isinstance(self.storage, LocalStorage):
            self.refuses = "only files of this machine are written to"
        header = read_header(self.storage)
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
        self.slot = None
        self.slot_file = None
        self.view = 0
        index = self._open_index()
        if index is None:
            self._begin(_index.no_entries())
            self.follow()
            return True
        if index.is_of_another_dataset and not is_last_try:
            return False
        self.slot_file = index.storage.version()
        self.half_slot = torn and index.has_half_slot()
        self._choose_slot(index)
        self._begin(self._entries_of(index))
        if self.view:
            return True
        self.follow(torn and self.slot is not None)
        if self.snapshot.end < index.covered:
            raise self._cut_short(index)
        if self.slot is None:
            what = _DAMAGED
            if index.is_of_another_dataset:
                what = "of another dataset"
            warn_user(f"{self.index_path} is {what}: the list is made again from {self.path}")
        return True

    def _open_index(self) -> _IndexFile | None:
        try:
            storage = open_storage(self.index_path)
        except FileNotFoundError:
            if self._index_must_exist:
                raise
            return None
        return _IndexFile(storage, self.header.id)

    def _choose_slot(self, index: _IndexFile) -> None:
        """Set `slot` to the newest that can be used, and `view`.

        Raises an error that says why none can be, if the list cannot be made again either.
        """
        view = index.view
        if view is not None:
            is_usable = self._usable(view, index.storage)
            _views.validate(view, is_usable, self.header, self.storage, self.index_path)
            self.slot = view
            self.view = view.seq + 1
            return
        for slot in index.own:
            if self._usable(slot, index.storage):
                self.slot = slot
                return
        if not self._may_be_remade:
            what = _DAMAGED
            if index.is_of_another_dataset:
                what = "the index of another dataset"
            raise CorruptError(
                f"{what}: as it may have been a view, nothing is shown; "
                "without index_path the list is made again",
                file=self.index_path,
            )

    def _entries_of(self, index: _IndexFile) -> Entries:
        """The entries that the chosen slot says, or none."""
        if self.slot is None:
            return _index.no_entries()
        return _index.map_entries(index.storage, self.slot)

    def _usable(self, slot: Slot, index: Storage) -> bool:
        """Whether a slot fits the index file that it is in, and the log."""
        if slot.version != VERSION or slot.flags & ~_index.VIEW:
            raise UnsupportedVersionError(
                f"index version {slot.version}, flags {slot.flags}: "
                f"this library reads version {VERSION}",
                file=self.index_path,
            )
        if slot.base != 2 * PAGE + self.header.size:
            return False
        if index.size() < slot.base + ENTRY.size * slot.count:
            return False
        if max(slot.seq, slot.edits) >= _MOST_SEQ:
            return False
        if slot.covered == self.header.size:
            return slot.count == slot.last == 0
        return self._is_last_frame(slot)

    def _is_last_frame(self, slot: Slot) -> bool:
        """Whether the log has the last frame that a slot speaks of, where it says."""
        size = self.storage.size()
        offset = min(slot.last, slot.covered, size)
        beginning = self.storage.read(offset, FRAME.size)
        if len(beginning) < FRAME.size:
            return False
        check, _, frame_size = FRAME.unpack(beginning)
        end = slot.last + frame_size
        if check != slot.check or end != slot.covered:
            return False
        return bool(end <= size)

    def _begin(self, entries: Entries) -> None:
        """Begin with the list that the slot says, or an empty one."""
        end = self.header.size
        self.edits = 0
        self.last = 0
        self.check = 0
        if self.slot is not None:
            end = self.slot.covered
            self.edits = self.slot.edits
            self.last = self.slot.last
            self.check = self.slot.check
        self.snapshot = Snapshot(
            self.storage,
            self.header,
            entries,
            end,
            self._verify,
        )
        self.snapshot.mark = (end, self.edits, self.last, self.check)

    def _cut_short(self, index: _IndexFile) -> CorruptError:
        why = "the file was cut short"
        if self.fault is not None:
            why = self.fault.problem
        return CorruptError(
            f"the index vouches for {index.covered} bytes of the log, "
            f"which is whole only up to here: {why}",
            file=self.path,
            offset=self.snapshot.end,
        )

    # Following the log

    def follow(self, torn: bool = False) -> None:
        """Read what the log has gained; `torn` as in `reopen`.

        Raises:
            CorruptError: the log is damaged.
        """
        start = self.snapshot.end
        stop = self.storage.size()
        if stop < start:
            text = f"the file was cut short: it had {start} bytes"
            raise CorruptError(text, file=self.path, offset=stop)
        walk = LogScanner(self.storage, self.header.frames, start, stop)
        self._apply_all(walk)
        self.snapshot.end = max(self.snapshot.end, walk.end)
        fault = walk.fault
        self.fault = fault
        self.beyond = None
        if fault is not None:
            self.beyond = self._find_beyond(walk, fault, stop)
            if self.beyond is not None and not torn:
                raise self._damage(fault, self.beyond)

    def _apply_all(self, walk: LogScanner) -> None:
        try:
            for refs, op, positions in walk:
                assert walk.last is not None
                self.apply(
                    refs,
                    op,
                    positions,
                    walk.end,
                    walk.last,
                    walk.check,
                )
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

    def _damage(self, fault: ScannedFrame, beyond: int) -> CorruptError:
        return CorruptError(
            f"{fault.problem}, and whole frames follow (at {beyond}): damage, or writes that a "
            "crash lost; dsrecords.repair can help",
            file=self.path,
            record=len(self.snapshot.entries),
            field=self.header.schema.payload_key(fault.payload),
            offset=fault.problem_offset,
        )

    def append(self, ref: FrameRef) -> None:
        """Take one record into the list."""
        offset, size, check = ref
        end = offset + size
        snapshot = self.snapshot
        snapshot.log.end = end  # first: another thread may read the record once it is in the list
        snapshot.append(ref)
        self.last = offset
        self.check = check
        snapshot.mark = (end, self.edits, offset, check)

    def apply(
        self,
        refs: Any,
        op: int,
        positions: Sequence[int],
        end: int,
        last: int,
        check: int,
    ) -> None:
        """Take a whole batch into the list.

        Args:
            refs: as for `Entries.apply`.
            op: the same.
            positions: the same.
            end: of the log, behind the batch.
            last: offset of its last frame.
            check: that frame's check.
        """
        is_edit = op != 0
        self.editing += is_edit  # odd, so that a view that is made meanwhile is made again
        try:
            snapshot = self.snapshot
            snapshot.end = end  # first, as in `append`
            if (
                is_edit
            ):  # in another one: who has looked at the length of the old one reads that one
                snapshot = snapshot.edited(refs, op, positions)
            else:
                snapshot.extend(refs)
            self.edits += is_edit
            self.last = last
            self.check = check
            snapshot.mark = (end, self.edits, last, check)
            self.snapshot = snapshot
        finally:
            self.editing += is_edit

    def refresh(self) -> None:
        """See what others have written, or the file that a compaction has put in its place."""
        if version_at(self.path) != self.storage.version():
            self.reopen()
            return
        try:
            self.follow()
        except CorruptError:  # or a writer is just cutting off what a killed one left
            self.reopen()

    # What differs in files of dsrecords 0.4, see `_v04.reader`

    def need_log(self) -> None:
        """Nothing: it is a log, so that it can be changed, compacted and viewed."""

    def deserializers(self, given: Any) -> Any:
        """The deserializers that were given, as they are."""
        return given


class _IndexFile:
    """An index file, and what its slots say. It is closed with the last reference to it.

    Args:
        storage: of the index.
        id: of the dataset.

    Attributes:
        storage: of the index.
        slots: those that are valid, the newest first.
        own: of these, those of the dataset, other than views.
        view: of these, the newest that is a view, of this dataset or another; None if there is
            none.
        covered: up to where they vouch for the log.
        is_of_another_dataset: whether there are slots, and none of them is of the dataset.
    """

    def __init__(self, storage: Storage, id: bytes) -> None:
        self.storage = storage
        self.slots = _index.read_slots(storage)
        self.own: list[Slot] = []
        self.view: Slot | None = None
        self.covered = 0
        self.is_of_another_dataset = bool(self.slots)
        for slot in self.slots:
            is_view = bool(slot.flags & _index.VIEW)
            if is_view and self.view is None:
                self.view = slot
            if slot.id != id:
                continue
            self.is_of_another_dataset = False
            self.covered = max(self.covered, slot.covered)
            if not is_view:
                self.own.append(slot)

    def has_half_slot(self) -> bool:
        """Whether one slot is valid, and where the other belongs is something that is none.

        A writer that was killed while it wrote a slot leaves that; the next checkpoint writes it
        anew.
        """
        if len(self.slots) != 1:
            return False
        (slot,) = self.slots
        other_offset = PAGE * (1 - slot.seq % 2)
        other = self.storage.read(other_offset, PAGE)
        return any(other)
