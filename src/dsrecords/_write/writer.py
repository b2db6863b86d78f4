"""Writing: the lock, the log's growth, the index's publication. Knows nothing of samples: they come as numbers and payloads.

The order of every change: the frames, in one call; then what this process knows; at a checkpoint the log is synced, then the
index's entries, then its slot. So the index never vouches for bytes that a power loss could still take.
"""

from __future__ import annotations

import itertools
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dsrecords._format import index as _index
from dsrecords._format.entries import Entries
from dsrecords._format.frame import COMMIT_HEAD, PENDING, RECORD, Frames
from dsrecords._format.index import Slot
from dsrecords._format.log import LARGEST_COMMIT
from dsrecords._read.open import State
from dsrecords._storage import files
from dsrecords._write.columns import Packed
from dsrecords.errors import DSRecordsError, LockedError, ReadOnlyError

Encoded = tuple[list[Any], list[bytes | None]]  # the numbers and the payloads of a record

_CHECKPOINT_FRAMES = (
    16_384  # a checkpoint after so many frames or bytes bounds what opening has to replay
)
_CHECKPOINT_NUMBERS = (
    4  # times as many of records without payloads, of which opening replays thousands together
)
_CHECKPOINT_BYTES = 64 * 2**20
_BATCH_RECORDS = 4096  # of an `extend`: one commit for so many records or bytes
_BATCH_BYTES = 4 * 2**20
_JOINED = 2**16  # bytes: up to here, joining buffers costs less than writing them one by one


class Writer:
    """The one writer of a dataset. Takes the lock, reads the files anew, and cuts off what a killed writer left unfinished.

    Args:
        state: of the dataset; brought up to date.
        descriptor: of the `.rec`, for writing, if its lock is held already.
        checkpoints: whether to publish the index every now and then; without, only when asked to.

    Attributes:
        mutex: held during each change; to be held by whoever computes positions for one.

    Raises:
        LockedError: another writer has the dataset.
        CorruptError: the log is damaged, other than by a write that did not end.
    """

    def __init__(
        self, state: State, descriptor: files.Descriptor | None = None, checkpoints: bool = True
    ) -> None:
        if state.refuses:
            raise ReadOnlyError(state.refuses, file=state.path)
        self.state, self._checkpoints = state, checkpoints
        self._file: files.Descriptor | None = descriptor or lock(state.path)
        self.mutex = threading.RLock()
        self._interrupted = (
            False  # an exception came amid a change: the files are the truth, not what is in memory
        )
        self._refuses = ""  # why this writer does not go on
        self._frames = self._bytes = 0  # since the last checkpoint
        self._most_frames = _CHECKPOINT_FRAMES * (
            1 if state.header.schema.payloads else _CHECKPOINT_NUMBERS
        )
        self._recover()
        _writers.add(self)

    def _recover(self) -> None:
        state = self.state
        state.reopen(torn=True)
        if state.view or (state.slot is None and not _index.may_be_replaced(state.index_path)):
            what = "a view" if state.view else "not an index of ours"
            raise ReadOnlyError(
                f"this file is {what}, and is never written over", file=state.index_path
            )
        assert self._file is not None
        self._edited = (
            False  # whether the published entries are no longer the beginning of the list
        )
        end, size = state.snapshot.end, files.size(self._file.number)
        if size > end:
            # A head that verifies before a payload that does not: no killed writer leaves that, it may be damage.
            if state.beyond is not None or (state.fault is not None and state.fault.size):
                self._save_tail(end, size)
            try:
                files.truncate(self._file.number, end)
                files.sync(
                    self._file.number, metadata=True
                )  # or old frames could come back behind new ones
            except OSError as error:  # the next look would find the file cut, and nothing to sync
                state.refuses = f"cutting off an unfinished write failed ({error}): close this dataset and open it again"
                raise
        self._edited = state.slot is not None and state.edits != state.slot.edits
        self._frames = int(state.slot is None or state.slot.covered != end or state.half_slot)
        self._interrupted = False

    def _save_tail(self, end: int, size: int) -> None:
        """Keep what is cut off, where some of it verifies: only a person can say what it is worth."""
        names = (
            f"{self.state.path}.tail-{end}" + (f"-{number}" if number else "")
            for number in itertools.count()
        )
        path = next(name for name in names if not files.exists(name))
        copy = files.Descriptor(files.create(path))
        for at in range(end, size, _BATCH_BYTES):
            files.pwrite(
                copy.number, files.pread(self.state.fd, min(_BATCH_BYTES, size - at), at), at - end
            )
        files.sync(copy.number, metadata=True)
        files.sync_directory(path)
        warnings.warn(
            f"{self.state.path}: the log is damaged from byte {end} on; what follows was moved to {path}",
            stacklevel=8,
        )

    def be_ready(self) -> None:
        """Recover from an interrupted change. Raises ReadOnlyError: forked, closed, or after a failed write."""
        if refuses := self._refuses or self.state.refuses:
            raise ReadOnlyError(refuses, file=self.state.path)
        if self._interrupted:
            self._recover()

    def in_place(self) -> bool:
        """Whether the path still leads to the file that is being written. If not, nothing more is."""
        if self._file is not None and files.identity(self.state.path) != files.identity(
            self._file.number
        ):
            self.let_go(
                "the file was replaced or removed while it was open for writing: open it again"
            )
        return self._file is not None

    def append(self, encoded: Encoded) -> None:
        """One record, there when this returns."""
        with self.mutex:
            if self._refuses or self._interrupted:
                self.be_ready()
            end = self.state.snapshot.end
            buffers, size, check = self.state.header.frames.record(RECORD, *encoded, end)
            self._write(buffers, end, size)
            self.state.append((end, size, check))
            self._written(1, size)

    def append_packed(self, head: bytes) -> None:
        """The same of one without payloads, whose head is packed already."""
        with self.mutex:
            if self._refuses or self._interrupted:
                self.be_ready()
            state = self.state
            end = state.snapshot.end
            frame, check = state.header.frames.alone(head, end)
            self._write((frame,), end, len(frame))
            state.append((end, len(frame), check))
            self._written(1, len(frame))

    def extend(self, records: Iterable[Encoded]) -> None:
        """Many records, in batches. If the iterator raises, what it gave before is written first."""
        batch: list[Encoded] = []
        size = 0
        try:
            for record in records:
                batch.append(record)
                size += self.state.header.schema.layout.size + sum(
                    len(payload) for payload in record[1] if payload is not None
                )
                if len(batch) == _BATCH_RECORDS or size >= _BATCH_BYTES:
                    full, batch, size = batch, [], 0
                    self.batch(full)
        finally:
            if batch:
                self.batch(batch)

    def batch(self, records: Sequence[Encoded], op: int = 0, positions: Sequence[int] = ()) -> None:
        """Records and an edit, all at once or not at all."""
        with self.mutex:
            self.be_ready()
            if len(records) == 1 and not op:
                self.append(records[0])
                return
            frames, start = self.state.header.frames, self.state.snapshot.end
            end, buffers, places = start, [], np.empty((len(records), 3), np.uint64)
            for number, (numbers, payloads) in enumerate(records):
                frame, size, check = frames.record(PENDING, numbers, payloads, end)
                buffers += frame
                places[number] = end, size, check
                end += size
            self._finish(buffers, places, op, positions, start, end)

    def packed_batch(self, pack: Callable[[Frames, int], Iterable[Packed]]) -> None:
        """Pending frames that are packed already for where the log ends, as one batch."""
        with self.mutex:
            self.be_ready()
            start = end = self.state.snapshot.end
            parts = []
            for buffers, places in pack(self.state.header.frames, end):
                self._write(buffers, end, sum(map(len, buffers)))
                parts.append(places)
                end = int(places[-1, 0] + places[-1, 1])
            self._finish([], np.concatenate(parts), 0, (), start, end)

    def _finish(
        self,
        buffers: list[bytes],
        places: np.ndarray,
        op: int,
        positions: Sequence[int],
        start: int,
        end: int,
    ) -> None:
        if COMMIT_HEAD + 8 * len(positions) > LARGEST_COMMIT:
            raise DSRecordsError(
                f"{len(positions)} positions in one edit; at most {(LARGEST_COMMIT - COMMIT_HEAD) // 8}"
            )
        frame, check = self.state.header.frames.commit(start, places[:, 2], op, positions, end)
        self._commit([*buffers, frame], places, op, positions, end + len(frame), end, check)

    def _commit(
        self,
        buffers: list[bytes],
        places: Any,
        op: int,
        positions: Sequence[int],
        end: int,
        last: int,
        check: int,
    ) -> None:
        """Write the last buffers of a batch, then let the list have it."""
        size = sum(map(len, buffers))
        self._write(buffers, end - size, size)
        self.state.apply(places, op, positions, end, last, check)
        self._edited |= op != 0
        self._written(len(places) + 1, end - (int(places[0][0]) if len(places) else last))

    def _written(self, frames: int, size: int) -> None:
        self._interrupted = False
        self._frames += frames
        self._bytes += size
        if self._checkpoints and (
            self._frames >= self._most_frames or self._bytes >= _CHECKPOINT_BYTES
        ):
            self.checkpoint()

    def _write(self, buffers: Sequence[bytes], offset: int, size: int) -> None:
        assert self._file is not None
        self._interrupted = True
        try:
            if size <= _JOINED:
                files.pwrite(
                    self._file.number,
                    buffers[0] if len(buffers) == 1 else b"".join(buffers),
                    offset,
                )
            else:
                files.pwritev(self._file.number, buffers, offset)
        except OSError as error:
            self._refuses = f"writing failed ({error}): close this dataset and open it again"
            raise

    def checkpoint(self, sync: bool = False) -> None:
        """Make what the log holds durable, and publish the index of it; `sync` the names of the files as well."""
        with self.mutex:
            self.be_ready()
            assert self._file is not None
            if not self.in_place():
                raise ReadOnlyError(self._refuses, file=self.state.path)
            try:
                if self._frames:
                    self._interrupted = True
                    files.sync(self._file.number)
                    self._publish()
                    self._interrupted, self._frames, self._bytes = False, 0, 0
                if sync:
                    self.sync()
                    files.sync_directory(self.state.path)
                    files.sync_directory(self.state.index_path)
            except (
                OSError
            ) as error:  # after a failed sync nobody knows what is on the disk: never try it again
                self._refuses = (
                    f"a checkpoint failed ({error}): close this dataset and open it again"
                )
                raise

    def sync(self) -> None:
        """Wait until the log is on the disk, its length as well."""
        assert self._file is not None
        try:
            files.sync(self._file.number, metadata=True)
        except (
            OSError
        ) as error:  # after a failed sync nobody knows what is on the disk: never try it again
            self._refuses = f"a sync failed ({error}): close this dataset and open it again"
            raise

    def _publish(self) -> None:
        state, old = self.state, self.state.slot
        slot = self.next_slot()
        entries = state.snapshot.entries
        if (
            old is not None
            and not self._edited
            and state.slot_file == files.identity(state.index_path)
        ):
            _index.publish_appended(state.index_path, old, slot, entries)
        else:
            if not _index.may_be_replaced(state.index_path):
                raise ReadOnlyError(
                    "a file that is no index of this dataset was put here: move it away",
                    file=state.index_path,
                )
            _index.publish_whole(state.index_path, state.header.raw, slot, entries)
        index = files.Descriptor(files.open_read(state.index_path))
        mapped = _index.map_entries(index.number, slot)
        state.snapshot = state.snapshot.with_same_records(mapped)
        state.slot, state.slot_file, self._edited = slot, files.identity(index.number), False

    def clear(self, parts: Iterable[tuple[int, int]]) -> None:
        """Write zeros over parts of the log that mean nothing: (start, stop) of each. To be followed by `republish`."""
        for start, stop in parts:
            self._write([bytes(stop - start)], start, stop - start)
        self._interrupted = False  # the list is what it was

    def republish(self, entries: Entries) -> None:
        """Write the index anew, with these entries in the place of its own."""
        with self.mutex:
            self.state.snapshot = self.state.snapshot.with_entries(entries)
            self._edited, self._frames = True, 1
            self.checkpoint()

    def next_slot(self) -> Slot:
        """What the index is to say next."""
        state = self.state
        seq, end = (state.slot.seq if state.slot else 0) + 1, state.snapshot.end
        return _index.make_slot(
            state.header.raw,
            seq,
            len(state.snapshot.entries),
            end,
            state.edits,
            state.last,
            state.check,
        )

    def close(self) -> None:
        """Publish, and let go of the lock."""
        try:
            if not self._refuses and not self.state.refuses:
                self.checkpoint()
        finally:
            self.let_go("this dataset is closed")

    def let_go(self, refuses: str) -> None:
        """Release the lock, and say from now on why nothing is written."""
        self._refuses = self._refuses or refuses
        if self._file is not None:
            self._file.close()
            self._file = None

    def hand_over(self) -> files.Descriptor:
        """The descriptor with the lock, which this writer no longer has."""
        file, self._file = self._file, None
        assert file is not None
        self._refuses = "another writer has taken over"
        return file

    def forked(self) -> None:
        """In a forked child: the lock is the parent's. Its descriptor is closed here, or the lock would outlive the parent."""
        self.mutex = threading.RLock()  # another thread of the parent may have held it
        self.let_go(
            "this process was forked from the writer: only the parent writes; open the dataset anew to write here"
        )


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()
_beginning = (
    threading.Lock()
)  # of two threads that make a dataset's first change, one takes the file's lock


def writer_of(holder: Any, state: State) -> Writer:
    """The writer that `holder._writer` is, or becomes by this call. Raises LockedError."""
    with _beginning:
        if holder._writer is None:
            holder._writer = Writer(state)
        return holder._writer  # type: ignore[no-any-return]


def _after_fork() -> None:
    global _beginning
    _beginning = threading.Lock()
    for writer in list(_writers):
        writer.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def lock(path: str) -> files.Descriptor:
    """Take the writer's lock of the file that has this path now. Raises LockedError."""
    while True:
        file = files.Descriptor(files.open_write(path))
        if not files.lock(file.number):
            raise LockedError("another writer has it: close that one first", file=path)
        if files.identity(path) == files.identity(file.number):
            return file  # else it was replaced between opening and locking: a lock on a file without a name
