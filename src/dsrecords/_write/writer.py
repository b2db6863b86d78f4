"""`Writer`: the one writer of a dataset, and the order in which it writes.

The order of every change: the frames, in one call; then what this process knows. At a checkpoint
the log is synced, then the index's entries, then its slot. So the index never vouches for bytes
that a power loss could still take. Knows nothing of samples.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._format import index as _index
from dsrecords._format.entries import Entries, FrameRef, row_checks, row_of
from dsrecords._format.frame import COMMIT_HEAD, NO_PREV, Frames, Packed, PackedRows
from dsrecords._format.header import CHECK_OFFSET, VERSION
from dsrecords._format.index import Slot
from dsrecords._format.layout import PENDING, RECORD
from dsrecords._format.log import LARGEST_COMMIT, Batch
from dsrecords._native import WriterBase
from dsrecords._read.extents import BATCH_BYTES, BATCH_RECORDS
from dsrecords._read.open import State
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.encoded import Encoded, Revised
from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage
from dsrecords._warning import warn_user
from dsrecords._write.columns import PackedRecords
from dsrecords._write.compiled import compiled_encoder
from dsrecords._write.gate import Gate
from dsrecords._write.lock import lock, release_after_fork
from dsrecords._write.recovery import recover
from dsrecords.errors import DSRecordsError, ReadOnlyError

# After edits a whole index is written once there are so many frames to replay as it has times these
# bytes, which take about as long to write as a frame to replay; or if there are many frames.
_BYTES_A_FRAME = 2**16
_MANY_FRAMES = 1000

# A checkpoint after so many frames or bytes bounds what opening has to replay.
_CHECKPOINT_FRAMES = 16_384
_CHECKPOINT_BYTES = 64 * 2**20
# Opening replays thousands of records without payloads together: so many times as many of those.
_CHECKPOINT_NUMBERS = 4

_JOINED = 2**16  # bytes: up to here, joining buffers costs less than writing them one by one
_EARLY = 2**22  # bytes behind which the system is told to begin writing them to the disk
_MOST_POSITIONS = (LARGEST_COMMIT - COMMIT_HEAD) // 8  # in one edit


CLOSED = "this dataset is closed"


class ListChangedError(Exception):
    """The list was edited since the positions of a change were computed. Never shown to users."""


class _Edit(NamedTuple):
    """What a commit does besides adding records: see `Writer.batch`."""

    op: int
    positions: Sequence[int]
    shared_parts: Sequence[int]


_NO_EDIT = _Edit(0, (), ())


class Writer(WriterBase):
    """The one writer of a dataset: it changes the files once `open` has taken their lock.

    What the files hold is known to `state` alone, which only the writer changes from then on. How
    far the index is behind the log, and whether and why nothing more can be written, is known to
    the writer alone. Where nobody may write any more by way of this `state`, whichever writer asks,
    it is `state.refuses` that says why.

    Args:
        state: of the dataset; brought up to date.
        descriptor: of the `.rec`, for writing, if its lock is held already.
        checkpoints: whether to publish the index every now and then; else only when asked to.
        gate: of the dataset, if it has one.

    Attributes:
        state: the same.
        gate: held during each change.

    Raises:
        ReadOnlyError: nobody may write to these files.
    """

    state: State
    gate: Gate
    _file: files.Descriptor | None

    def __init__(
        self,
        state: State,
        descriptor: files.Descriptor | None = None,
        checkpoints: bool = True,
        gate: Gate | None = None,
    ) -> None:
        # Of the `.rec`, with the lock; None before, and once this writer has let go of it.
        self._file = descriptor
        if state.refuses:
            raise ReadOnlyError(state.refuses, file=state.path)
        # Why this writer does not go on; empty while it does.
        self._why_stopped = ""
        self.state = state
        self.gate = gate or Gate(state.path)
        self._last_editor = 0  # the thread that made the last edit
        # Whether all that was written is on the disk, as far as the index is not concerned.
        self._is_log_durable = False
        # Whether an exception came amid a change: the files are the truth, not what is in memory.
        self._interrupted = False
        # Up to where in the log the system was told to begin writing to the disk.
        self._begun = 0
        # What was written since the last checkpoint.
        self._unpublished_frames = 0
        self._unpublished_bytes = 0
        # Whether there is something to publish even where nothing was written since.
        self._index_is_behind = False
        # Whether the published rows are no longer the beginning of the list.
        self._rows_differ = False
        # Whether the index is to be written as a whole, whatever is in it.
        self._must_rewrite_index = False
        self._checkpoints = checkpoints
        self._most_unpublished_frames = _CHECKPOINT_FRAMES
        if not state.header.schema.payloads:
            self._most_unpublished_frames *= _CHECKPOINT_NUMBERS
        self._most_unpublished_bytes = _CHECKPOINT_BYTES

    def open(self) -> None:
        """Take the lock, if it is not held already, and recover the files.

        Whatever is raised, the caller lets go of this writer: no lock is to last for as long as an
        exception is remembered.

        Raises:
            LockedError: another writer has the dataset.
            CorruptError: the log is damaged, other than by a write that did not end.
        """
        release_after_fork(self)  # before there is a lock
        if self._file is None:
            lock(self.state.path, self._keep, self.state.locks)
        self._recover()

    def _keep(self, descriptor: files.Descriptor) -> None:
        self._file = descriptor

    def _recover(self) -> None:
        """Read the files anew, and see how far the index is behind."""
        assert self._file is not None
        recover(self.state, self._file)
        slot = self.state.slot
        if slot is None:
            self._index_is_behind = True
            self._rows_differ = False  # there are none
        else:
            vouches_for_all = slot.end == self.state.snapshot.end
            self._index_is_behind = not vouches_for_all or self.state.half_slot
            self._rows_differ = slot.edits != self.state.edits
        self._unpublished_frames = 0
        self._begun = self.state.snapshot.end
        self._interrupted = False

    def require_going_on(self) -> None:
        """Raise ReadOnlyError if this writer was forked or closed, or a write of it failed."""
        reason = self._why_stopped or self.state.refuses
        if reason:
            raise ReadOnlyError(reason, file=self.state.path)

    def be_ready(self) -> None:
        """Recover from an interrupted change.

        Raises:
            ReadOnlyError: as of `require_going_on`.
        """
        self.require_going_on()
        if self._interrupted:
            self.require_in_place()  # or another file would be cut to the length of this one
            self._recover()

    def in_place(self) -> bool:
        """Whether the path still leads to the file that is being written; else let go of that."""
        file = self._file
        if file is None:
            return False
        try:
            is_named = files.identity(self.state.path) == files.identity(file.number)
        except OSError:
            if self._file is not file:  # a signal handler has compacted meanwhile
                return False
            raise
        if not is_named:
            self.let_go(
                "the file was replaced or removed while it was open for writing: open it again"
            )
        return self._file is not None

    def require_in_place(self) -> None:
        """Raise ReadOnlyError, and let go of the file, if the path leads to another one."""
        if not self.in_place():
            raise ReadOnlyError(self._why_stopped, file=self.state.path)

    # Changes

    def append(self, encoded: Encoded) -> None:
        """Add one record, which is there when this returns."""
        with self.gate:
            self._append(encoded)

    def _append(self, encoded: Encoded) -> None:
        if self._why_stopped or self._interrupted:
            self.be_ready()
        state = self.state
        snapshot = state.snapshot
        end = snapshot.log.end
        frames = state.header.frames
        packed = frames.single(snapshot.check, encoded, end)
        if packed is not None:
            frame, check = packed
            size = len(frame)
            self._write((frame,), end, size)
            snapshot.append(end, size, check, frame[4 : frames.layout.size])
        else:
            buffers, size, check = frames.record(RECORD, snapshot.check, *encoded, end)
            self._write(buffers, end, size)
            snapshot.append(end, size, check, buffers[1])
        state.frames_behind += 1
        self._written(1, size)

    def append_numbers(self, numbers: Sequence[Any]) -> bool:
        """Add one record without payloads: its numbers, as `HeadLayout.pack` takes them.

        Returns:
            False if one of them does not fit; then nothing was done.
        """
        with self.gate:
            if self._why_stopped or self._interrupted:
                self.be_ready()
            state = self.state
            frames = state.header.frames
            snapshot = state.snapshot
            end = snapshot.log.end
            try:
                head = frames.layout.pack(snapshot.check, frames.alone_word, *numbers)
            except (struct.error, OverflowError):
                return False
            frame, check = frames.alone(head, end)
            size = len(frame)
            self._write((frame,), end, size)
            snapshot.append(end, size, check, head)
            state.frames_behind += 1
            self._written(1, size)
            return True

    def add(self, block: Any) -> None:
        """Add the records that the compiled twin has packed: one as `append` does, more as a batch.

        Args:
            block: a `Block` that was not finished yet, of one record or more.
        """
        with self.gate:
            self.be_ready()
            seed = self.state.header.frames.seed
            snapshot = self.state.snapshot
            start = snapshot.end
            size = block.size
            row_size = snapshot.entries.row_size
            if len(block) > 1:
                buffers, raw_rows, _ = block.finish(PENDING, NO_PREV, seed, start, row_size)
                rows = np.frombuffer(raw_rows, np.uint64).reshape(-1, self._width)
                self._commit(buffers, rows, _NO_EDIT, start, start + size)
                return
            buffers, _, check = block.finish(RECORD, snapshot.check, seed, start, row_size)
            head_size = self.state.header.frames.layout.size
            self._write(buffers, start, size)
            snapshot.append(start, size, check, buffers[0][4:head_size])
            self.state.frames_behind += 1
            self._written(1, size)

    def set_metadata(self, json: bytes) -> None:
        """Put other metadata in the place of what there is: JSON, as it is stored."""
        with self.gate:
            self.be_ready()
            snapshot = self.state.snapshot
            start = snapshot.end
            frame, check = self.state.header.frames.metadata(snapshot.mark.check, json, start)
            end = start + len(frame)
            self._write((frame,), start, len(frame))
            nothing = self._no_rows()
            self.state.apply(Batch(nothing, 0, (), end, start, check, start))
            self._written(1, len(frame))

    def extend(self, records: Iterable[Encoded]) -> None:
        """Add many records, in batches. If the iterator raises, those before are written first."""
        encoder = compiled_encoder(self.state.header.schema)
        if encoder is not None:
            self._extend_compiled(encoder, records)
            return
        head_size = self.state.header.schema.layout.size
        batch: list[Encoded] = []
        size = 0
        try:
            for record in records:
                batch.append(record)
                size += head_size
                for payload in record[1]:
                    if payload is not None:
                        size += len(payload)
                if len(batch) == BATCH_RECORDS or size >= BATCH_BYTES:
                    full = batch
                    batch = []  # before writing, which may raise
                    size = 0
                    self.batch(full)
        finally:
            if batch:
                self.batch(batch)

    def _extend_compiled(self, encoder: Any, records: Iterable[Encoded]) -> None:
        """As `extend`, packed by C."""
        block = encoder.block()
        try:
            for numbers, payloads in records:
                block.add(numbers, payloads)
                if len(block) == BATCH_RECORDS or block.given >= BATCH_BYTES:
                    full = block
                    block = encoder.block()  # before writing, which may raise
                    self.add(full)
        finally:
            if len(block):
                self.add(block)

    def batch(
        self,
        records: Sequence[Encoded | Revised],
        op: int = 0,
        positions: Sequence[int] = (),
        shared_parts: Sequence[int] = (),
        seen: Snapshot | None = None,
    ) -> None:
        """Add records and edit the list, all at once or not at all.

        Args:
            records: to be added; revisions share payloads with records that are there.
            op: the kind of edit, TAKE_LAST or DELETE; 0: none.
            positions: of the edit; of DELETE start, stop, start, stop, ….
            shared_parts: as of `Snapshot.edited`.
            seen: the list that the positions are of; by default that of now.

        Raises:
            ListChangedError: it was edited since.
        """
        with self.gate:
            self.be_ready()
            if seen is not None:
                self._require_unedited(seen)
            if len(records) == 1 and not op:
                (record,) = records
                assert isinstance(record, tuple)
                self._append(record)
                return
            frames = self.state.header.frames
            start = self.state.snapshot.end
            end = start
            edit = _Edit(op, positions, shared_parts)
            packed_rows = self._packed(records, start)
            if packed_rows is not None:
                stop = start + len(packed_rows.frames)
                self._commit([packed_rows.frames], packed_rows.rows, edit, start, stop)
                return
            buffers: list[bytes] = []
            rows = [self._no_rows()]
            for record in records:
                if isinstance(record, Revised):
                    packed = frames.revision(record.numbers, record.payloads, end)
                else:
                    packed = Packed(*frames.record(PENDING, NO_PREV, *record, end))
                buffers += packed.buffers
                ref = FrameRef(end, packed.size, packed.check, packed.head)
                rows.append(row_of(ref, self._width))
                end += packed.size
            self._commit(buffers, np.concatenate(rows), edit, start, end)

    def _packed(
        self,
        records: Sequence[Encoded | Revised],
        start: int,
    ) -> PackedRows | None:
        """The pending frames of many records, packed together; None if not all of them can be."""
        frames = self.state.header.frames
        if len(records) < 2 or not frames.packs_many:
            return None
        if any(isinstance(record, Revised) for record in records):
            return None
        encoded: Any = list(records)
        return frames.records(PENDING, NO_PREV, encoded, start, self._width)

    def was_changed_here(self) -> bool:
        """Whether the last edit was made by this thread."""
        return self._last_editor == threading.get_ident()

    def recover_if_interrupted(self) -> bool:
        """Read the files anew if a change was interrupted: they may have it, or not.

        Returns:
            Whether one was.
        """
        if not self._interrupted:
            return False
        with self.gate:  # another thread may be amid a change
            was_interrupted = self._interrupted
            if was_interrupted:
                self.be_ready()
            return was_interrupted

    def _require_unedited(self, seen: Snapshot) -> None:
        snapshot = self.state.snapshot
        is_same = snapshot.header.id == seen.header.id
        if not is_same or snapshot.mark.edits != seen.mark.edits:
            raise ListChangedError

    def packed_batch(self, pack: Callable[[Frames, int, int], Iterable[PackedRecords]]) -> None:
        """Add pending frames as one batch.

        Args:
            pack: makes the frames, part by part, for a log that ends at the given offset; and their
                rows, of the given number of words of eight bytes.
        """
        with self.gate:
            self.be_ready()
            start = self.state.snapshot.end
            end = start
            unwritten: list[bytes] = []  # of the last part, with which the commit is written
            unwritten_offset = start
            parts = []
            for part in pack(self.state.header.frames, start, self._width):
                if unwritten:
                    self._write(unwritten, unwritten_offset, end - unwritten_offset)
                unwritten = part.buffers
                unwritten_offset = end
                parts.append(part.rows)
                end = part.end
            self._commit(unwritten, np.concatenate(parts), _NO_EDIT, start, end)

    @property
    def _width(self) -> int:
        """Of a row, in words of eight bytes."""
        return self.state.snapshot.entries.width

    def _no_rows(self) -> np.ndarray:
        return np.empty((0, self._width), np.uint64)

    def _commit(
        self,
        buffers: list[bytes],
        rows: np.ndarray,
        edit: _Edit,
        start: int,
        end: int,
    ) -> None:
        """Write the last frames of a batch and its commit, then let the list have it.

        Args:
            buffers: what is not written yet of the pending frames.
            rows: of the pending frames: uint64, (n, width).
            edit: what is done besides adding them.
            start: offset of the first pending frame.
            end: offset behind the last one.
        """
        count = len(edit.positions)
        if count > _MOST_POSITIONS:
            raise DSRecordsError(f"{count} positions in one edit; at most {_MOST_POSITIONS}")
        commit, check = self.state.header.frames.commit(
            self.state.snapshot.mark.check,
            start,
            row_checks(rows),
            edit.op,
            edit.positions,
            end,
        )
        size = sum(map(len, buffers)) + len(commit)
        new_end = end + len(commit)
        self._write([*buffers, commit], new_end - size, size)
        batch = Batch(rows, edit.op, edit.positions, new_end, end, check, 0)
        self.state.apply(batch, edit.shared_parts)
        if edit.op:
            self._rows_differ = True
            self._last_editor = threading.get_ident()
        self._written(len(rows) + 1, new_end - start)

    def clear(self, parts: Iterable[tuple[int, int]]) -> None:
        """Write zeros over parts of the log that mean nothing. To be followed by `republish`.

        Args:
            parts: the offsets where each starts and stops.
        """
        for start, stop in parts:
            self._write([bytes(stop - start)], start, stop - start)
        self._interrupted = False  # the list is what it was

    def _write(self, buffers: Sequence[bytes], offset: int, size: int) -> None:
        assert self._file is not None
        if not self._interrupted:
            self.require_own_log()
        self._interrupted = True
        self._is_log_durable = False
        try:
            if size <= _JOINED:
                files.pwrite(self._file.number, b"".join(buffers), offset)
            else:
                files.pwritev(self._file.number, buffers, offset)
                self._begin_early(offset + size)
        except OSError as error:
            self._why_stopped = f"writing failed ({error}): close this dataset and open it again"
            if self._checkpoints and files.is_full(error):  # a dataset, and not one in the making
                self._say_what_is_missing(error, size)
            raise

    def _begin_early(self, end: int) -> None:
        """Let the disk begin with what was written up to `end`, long before it is waited for.

        Whole pages only, since the last one is still to be written to.
        """
        assert self._file is not None
        end -= end % files.PAGE_SIZE
        length = end - self._begun
        if length >= _EARLY:
            files.begin_writing(self._file.number, self._begun, length)
            self._begun = end

    def _say_what_is_missing(self, error: OSError, size: int) -> None:
        """Add to the error of a disk that is full what can be done."""
        error.filename = self.state.path
        error.strerror = (
            f"{error.strerror}: {size} bytes were to be added to the log, as for each change, also "
            "a deletion; make room and open it again, or write the records to another disk by "
            "ds.compact(output)"
        )

    def require_own_log(self) -> None:
        """Raise ReadOnlyError if another program has put other bytes into the file.

        What is written would otherwise land amid them, an index beside them, and a compaction would
        take their place.
        """
        assert self._file is not None
        snapshot = self.state.snapshot
        check = snapshot.check.to_bytes(4, "little")
        if files.holds(self._file.number, check, snapshot.last or CHECK_OFFSET):
            return
        self._why_stopped = (
            "the file was overwritten while it was open for writing: nothing more is written to "
            "it; open it again"
        )
        raise ReadOnlyError(self._why_stopped, file=self.state.path)

    def _written(self, frames: int, size: int) -> None:
        """Note that a change is complete, and make a checkpoint if one is due."""
        self._interrupted = False
        self._unpublished_frames += frames
        self._unpublished_bytes += size
        if not self._checkpoints:
            return
        is_due = self._unpublished_frames >= self._most_unpublished_frames
        is_due |= self._unpublished_bytes >= self._most_unpublished_bytes
        if is_due:
            self._make_checkpoint(sync=False)

    # Checkpoints

    def checkpoint(self, sync: bool = False) -> None:
        """Make what the log holds durable, and publish the index of it.

        Amid a change, as where a signal handler asks for it, it is made right after the change.

        Args:
            sync: whether to make the names of the files durable as well.
        """
        if self.gate.is_held_here():
            self.gate.after = self._make_up
            return
        with self.gate:
            self.be_ready()
            self._make_checkpoint(sync)

    def _make_up(self) -> None:
        """Make the checkpoint that was asked for amid a change, unless that was the last one."""
        if self.is_open:
            self.checkpoint()

    def _make_checkpoint(self, sync: bool) -> None:
        self.require_in_place()
        self.gate.after = None
        self.require_own_log()
        try:
            if self._index_is_behind or self._unpublished_frames:
                self._publish_durably()
            if sync:
                self.sync()
                files.sync_directory(self.state.path)
                files.sync_directory(self.state.index_path)
        except ReadOnlyError:  # another file is in the way: nothing failed, and the log is durable
            raise
        except OSError as error:
            # After a failed sync nobody knows what is on the disk: it is never tried again.
            self._why_stopped = (
                f"a checkpoint failed ({error}): close this dataset and open it again"
            )
            raise

    def sync(self) -> None:
        """Wait until the log is on the disk, its length as well."""
        assert self._file is not None
        try:
            files.sync(self._file.number, metadata=True)
        except OSError as error:
            # After a failed sync nobody knows what is on the disk: it is never tried again.
            self._why_stopped = f"a sync failed ({error}): close this dataset and open it again"
            raise

    def _publish_durably(self) -> None:
        assert self._file is not None
        files.sync(self._file.number)
        self._is_log_durable = True
        if not self._is_same_index():
            self._require_replaceable_index()
        self._interrupted = True
        self._publish()
        self._interrupted = False
        self._unpublished_frames = 0
        self._unpublished_bytes = 0
        self._index_is_behind = False

    def _publish(self) -> None:
        state = self.state
        old = state.slot
        if old is not None and not self._must_rewrite_index and self._is_same_index():
            if self._is_as_published(old):
                self._publish_in_place(old)
                return
            self._require_replaceable_index()
            state.remake()  # for rows of it are mapped, and may be others by now
        self._require_replaceable_index()
        self._publish_whole()

    def _require_replaceable_index(self) -> None:
        """Raise ReadOnlyError if something that is no index has the index's path."""
        path = self.state.index_path
        if not _index.may_be_replaced(path):
            raise ReadOnlyError(
                "a file that is no index of this dataset was put here: move it away",
                file=path,
            )

    def _is_same_index(self) -> bool:
        """Whether the file at the index's path is the one whose rows are mapped."""
        return self.state.slot_file == files.identity(self.state.index_path)

    def _is_as_published(self, old: Slot) -> bool:
        """Whether the newest slot of the index is this one, so that it can be added to."""
        slots = _index.read_slots(LocalStorage(self.state.index_path))
        return bool(slots) and slots[0] == old

    def _publish_in_place(self, old: Slot) -> None:
        """Add to the index what it does not say yet, or write it anew after many edits."""
        state = self.state
        path = state.index_path
        size = old.base + old.row * old.count
        if not self._rows_differ:
            slot = self._slot_in_place(old)
            _index.publish_appended(path, old, slot, state.snapshot.entries)
            self._map(slot)
        elif state.frames_behind < min(size // _BYTES_A_FRAME, _MANY_FRAMES):
            state.slot = old._replace(seq=old.seq + 1, end=state.snapshot.end)
            _index.publish_slot(path, state.slot)
        else:
            self._publish_whole()

    def _publish_whole(self) -> None:
        """Put another index in the place of what there is."""
        state = self.state
        slot = self.next_slot()
        _index.publish_whole(
            state.index_path,
            state.path,
            state.header.raw,
            slot,
            state.snapshot.entries,
        )
        self._map(slot)

    def _map(self, slot: Slot) -> None:
        """Go on with the rows that were published, all of them."""
        state = self.state
        index = LocalStorage(state.index_path)
        mapped = _index.map_entries(index, slot)
        mark = state.snapshot.mark
        state.snapshot = state.snapshot.with_same_records(mapped)
        state.snapshot.mark = mark
        state.slot = slot
        state.slot_file = index.version()
        state.frames_behind = 0
        self._rows_differ = False
        self._must_rewrite_index = False

    def republish(self, entries: Entries) -> None:
        """Write the index anew, with these entries instead of those that it has."""
        with self.gate:
            self.state.snapshot = self.state.snapshot.with_entries(entries)
            self._must_rewrite_index = True
            self._index_is_behind = True
            self._make_checkpoint(sync=False)

    def next_slot(self) -> Slot:
        """The slot of the whole index that is to be published next."""
        state = self.state
        mark = state.snapshot.mark
        header = state.header
        return Slot(
            version=VERSION,
            flags=0,
            id=header.id,
            seq=self._next_seq(),
            count=len(state.snapshot.entries),
            covered=mark.end,
            last=mark.last,
            check=mark.check,
            base=_index.rows_offset(header.raw),
            row=state.snapshot.entries.row_size,
            salt=mark.check,
            edits=mark.edits,
            metadata=mark.metadata,
            end=mark.end,
        )

    def _slot_in_place(self, old: Slot) -> Slot:
        """The slot for rows that are added to those of a file: the salt stays what it is."""
        return self.next_slot()._replace(salt=old.salt, row=old.row)

    def _next_seq(self) -> int:
        slot = self.state.slot
        if slot is None:
            return 1
        return slot.seq + 1

    # The end

    def close(self) -> None:
        """Publish, and let go of the lock.

        An index that cannot be written is a warning, once the log is whole and on the disk.
        """
        try:
            if not self._why_stopped and not self.state.refuses:
                self._checkpoint_or_warn()
        finally:
            self.let_go(CLOSED)

    def _checkpoint_or_warn(self) -> None:
        self._is_log_durable = False
        try:
            self.checkpoint()
        except (OSError, ReadOnlyError) as error:
            if not self._is_log_durable:
                raise
            warn_user(
                f"{self.state.index_path} cannot be written ({error}): all records are in "
                f"{self.state.path}, and on the disk; the next to open it make the list again "
                "from there"
            )

    @property
    def is_open(self) -> bool:
        """Whether it has the lock, so that what this process knows of the files is all there is."""
        return self._file is not None

    def let_go(self, reason: str) -> None:
        """Release the lock. From now on nothing is written, for this reason if none came before."""
        self._why_stopped = self._why_stopped or reason
        if self._file is not None:
            self._file.close()
            self._file = None

    def hand_over(self) -> files.Descriptor:
        """The descriptor with the lock, by which another writer goes on."""
        assert self._file is not None
        self._why_stopped = "another writer has taken over"
        return self._file

    def forked(self) -> None:
        """In a forked child: leave the lock to the parent."""
        self.gate = Gate(self.state.path)  # another thread of the parent may have held it
        if self._interrupted:  # amid a change, which ends in the parent only
            self.state.distrust()
        self.let_go(
            "this process was forked from the writer: only the parent writes; "
            "open the dataset anew to write here"
        )
