"""Opening a dataset: the header, the newest usable index, and what the log says after it. Writes nothing; knows no samples.

The `.rec` is the truth, the `.idx` a cache. Damage is not a torn tail: only bytes behind the last whole batch may be unfinished
work.
"""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Sequence
from typing import Any

from dsrecords._format import index as _index
from dsrecords._format.frame import FRAME
from dsrecords._format.header import VERSION
from dsrecords._format.index import Slot
from dsrecords._format.layout import PAGE
from dsrecords._format.log import Found, Place, Walk, find_frame
from dsrecords._read import views as _views
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.header import read_header
from dsrecords._storage import files
from dsrecords.errors import CorruptError, UnsupportedVersionError

_TRIES = (
    4  # a reader that opens while a writer recovers may see what looks like damage: it looks again
)
_PATIENCE = 7  # tries, while the files are being replaced and the pair does not fit
_PAUSE = 0.005  # seconds before the second try, doubled for each further one


def default_index(path: str) -> str:
    """`my_data.rec` → `my_data.idx`. Raises ValueError where that is the same file."""
    index = os.path.splitext(path)[0] + ".idx"
    if index == path:
        raise ValueError(f"{path}: the data file cannot have the index's ending; use .rec")
    return index


class State:
    """A dataset's files, read as far as their last whole batch.

    Attributes:
        file, fd: descriptor of the `.rec`, for reading; closed with the last snapshot of it.
        header: of the `.rec`.
        snapshot: the list.
        edits: how many edits the log has.
        last: offset of the last frame, and `check`, its check; 0 and 0 if there is none.
        slot: of the index file, the slot that was used; None where the list was made again from the log.
        slot_file: which file that was (device and inode).
        view: of a view file (see `_views`) what tells it from others, else 0.
        fault: what is wrong where the log stops being whole before the end of the file; None if it does not.
        beyond: offset of a frame behind the fault that verifies: then it is damage, or a lost write, and not a torn tail.
        half_slot: for a writer, whether one of the index's two slots is half written.
        editing: how often an edit of the list was begun or ended: odd while one is under way.
        refuses: why nobody may write to these files any more by way of this object; empty if that is not so.
    """

    refuses = ""
    editing = 0
    half_slot = False

    def __init__(
        self,
        path: str,
        index_path: str,
        verify: bool | str,
        *,
        index_must_exist: bool = False,
        torn: bool = False,
    ) -> None:
        self.path, self.index_path = path, index_path
        self._verify, self._index_must_exist = verify, index_must_exist
        # What somebody names may be a view: only where a dataset's own index belongs does the log stand in for what is damaged.
        self._may_be_remade = (
            not index_must_exist or index_path == os.path.splitext(path)[0] + ".idx"
        )
        self.reopen(torn)

    def reopen(self, torn: bool = False) -> None:
        """Read the files anew, as if nothing were known of them.

        Args:
            torn: whether to allow damage behind the last whole batch, if an index says what was whole before: the writer deals
                with it.

        Raises:
            CorruptError: the header or the log is damaged.
        """
        self.fault: Found | None = None
        self.beyond: int | None = None
        for attempt in range(max(_TRIES, _PATIENCE)):
            fresh = copy.copy(self)  # so that nothing changes if it fails
            fresh.__dict__.pop("header", None)
            try:
                if fresh._open(torn, attempt >= _PATIENCE - 1):
                    self.__dict__.update(fresh.__dict__)
                    return
            except CorruptError:
                if (
                    attempt >= _TRIES - 1 or "header" not in fresh.__dict__
                ):  # which never changes in place
                    raise
            time.sleep(_PAUSE * 2**attempt)

    def _open(self, torn: bool, last: bool) -> bool:
        """One try; False if the index is of another dataset, which is how a replacement in progress looks."""
        self.file = files.Descriptor(files.open_read(self.path))
        self.fd = self.file.number
        self.header = read_header(self.fd, self.path)
        self.slot: Slot | None = None
        self.slot_file: tuple[int, int] | None = None
        bits = len(self.header.schema.payloads) + 1
        slots: list[Slot] = []
        mine: list[Slot] = []
        covered = self.view = 0  # `covered`: up to where the index vouches for the log
        try:
            index = files.open_read(self.index_path)
        except FileNotFoundError:
            if self._index_must_exist:
                raise
            entries = _index.map_entries(-1, None, bits)
        else:
            try:
                slots = _index.read_slots(index)
                mine = [slot for slot in slots if slot.id == self.header.id]
                # A writer that was killed while it wrote a slot left it half written: the next checkpoint writes it anew.
                self.half_slot = (
                    torn
                    and len(slots) == 1
                    and any(files.pread(index, PAGE, PAGE * (1 - slots[0].seq % 2)))
                )
                covered = max((slot.covered for slot in mine), default=0)
                if slots and not mine and not last:
                    return False
                self.slot = next(
                    (
                        slot
                        for slot in mine
                        if not slot.flags & _index.VIEW and self._usable(slot, index)
                    ),
                    None,
                )
                self.slot_file = files.identity(index)
                if view := next((slot for slot in slots if slot.flags & _index.VIEW), None):
                    _views.admit(
                        view,
                        self._usable(view, index),
                        self.header,
                        self.fd,
                        self.path,
                        self.index_path,
                    )
                    self.slot, self.view = view, view.seq + 1
                elif self.slot is None and not self._may_be_remade:
                    what = (
                        "the index of another dataset"
                        if slots and not mine
                        else "damaged, or no index of ours"
                    )
                    text = f"{what}: as it may have been a view, nothing is shown; without index_path the list is made again"
                    raise CorruptError(text, file=self.index_path)
                entries = _index.map_entries(index, self.slot, bits)
            finally:
                files.close(index)
        self.edits, self.last, self.check = (
            (self.slot.edits, self.slot.last, self.slot.check) if self.slot else (0, 0, 0)
        )
        start = self.slot.covered if self.slot else self.header.size
        self.snapshot = Snapshot(self.path, self.file, self.header, entries, start, self._verify)
        self.snapshot.mark = start, self.edits, self.last, self.check
        if self.view:
            return True
        self.follow(torn and self.slot is not None)
        if self.snapshot.end < covered:
            raise CorruptError(
                f"the index vouches for {covered} bytes of the log, which is whole only up to here"
                + (f": {self.fault.wrong}" if self.fault else ": the file was cut short"),
                file=self.path,
                offset=self.snapshot.end,
            )
        if self.slot is None and self.slot_file is not None:
            what = "of another dataset" if slots and not mine else "damaged, or no index of ours"
            warnings.warn(
                f"{self.index_path} is {what}: the list is made again from {self.path}",
                stacklevel=5,
            )
        return True

    def _usable(self, slot: Slot, index: int) -> bool:
        if slot.version != VERSION or slot.flags & ~_index.VIEW:
            raise UnsupportedVersionError(
                f"index version {slot.version}, flags {slot.flags}: this library reads version {VERSION}",
                file=self.index_path,
            )
        if (
            slot.base != 2 * PAGE + self.header.size
            or files.size(index) < slot.base + 16 * slot.count
        ):
            return False
        if (
            max(slot.seq, slot.edits) >= 2**63
        ):  # no writer counts that far: the next number must fit, too
            return False
        if slot.covered == self.header.size:
            return slot.count == slot.last == 0
        raw = files.pread(self.fd, FRAME.size, min(slot.last, slot.covered, files.size(self.fd)))
        check, _, size = FRAME.unpack(raw) if len(raw) == FRAME.size else (0, 0, 0)
        return bool(check == slot.check and slot.last + size == slot.covered <= files.size(self.fd))

    def follow(self, torn: bool = False) -> None:
        """Read what the log has gained; `torn` as in `reopen`.

        Raises:
            CorruptError: the log is damaged.
        """
        snapshot, stop = self.snapshot, files.size(self.fd)
        if stop < snapshot.end:
            raise CorruptError(
                f"the file was cut short: it had {snapshot.end} bytes", file=self.path, offset=stop
            )
        walk = Walk(self.fd, self.header.frames, snapshot.end, stop)
        try:
            for places, op, positions in walk:
                assert walk.last is not None
                self.apply(places, op, positions, walk.end, walk.last, walk.check)
        except (CorruptError, UnsupportedVersionError) as error:
            error.file, error.offset = self.path, error.offset or walk.last
            raise
        snapshot = self.snapshot
        snapshot.end = max(snapshot.end, walk.end)
        self.fault, self.beyond = walk.fault, None
        if (fault := walk.fault) is not None:
            start = fault.at if walk.misplaced else fault.at + 8
            try:
                self.beyond = find_frame(self.fd, self.header.frames, start, stop)
            except CorruptError as error:
                error.file = self.path
                raise
            if self.beyond is not None and not torn:
                text = f"{fault.wrong}, and whole frames follow (at {self.beyond}): damage, or writes that a crash lost"
                text += "; dsrecords.repair can help"
                record = len(snapshot.entries)
                raise CorruptError(
                    text,
                    file=self.path,
                    record=record,
                    field=self.header.schema.payload_key(fault.payload),
                    offset=fault.where,
                )

    def append(self, place: Place) -> None:
        """Take one record into the list."""
        end = place[0] + place[1]
        self.snapshot.end = (
            end  # first: another thread may read the record as soon as it is in the list
        )
        self.snapshot.entries.append(place)
        self.last, self.check = place[0], place[2]
        self.snapshot.mark = end, self.edits, place[0], place[2]

    def apply(
        self, places: Any, op: int, positions: Sequence[int], end: int, last: int, check: int
    ) -> None:
        """Take a whole batch into the list."""
        self.editing += op != 0  # odd, so that a view that is made meanwhile is made again
        try:
            entries, snapshot = self.snapshot.entries, self.snapshot
            if op and snapshot.shared:  # views go on showing what they showed
                entries = entries.copy()
            snapshot.end = (
                end  # first: another thread may read the records as soon as they are in the list
            )
            if op:  # another one for another list: who has looked at the length of the old one reads that one
                snapshot = snapshot.with_entries(entries)
            snapshot.entries = entries.apply(places, op, positions)
            self.edits += op != 0
            self.last, self.check = last, check
            snapshot.mark = end, self.edits, last, check
            self.snapshot = snapshot
        finally:
            self.editing += op != 0

    def need_log(self) -> None:
        """Nothing: it is a log, so that it can be changed, compacted and viewed (see `_legacy` for what cannot)."""

    def deserializers(self, given: Any) -> Any:
        """Those that were given, as they are."""
        return given

    def refresh(self) -> None:
        """See what others have written, or the file that a compaction has put into the place of this one."""
        if files.identity(self.path) != files.identity(self.fd):
            self.reopen()
            return
        try:
            self.follow()
        except CorruptError:  # or a writer is just cutting off what a killed one left
            self.reopen()
