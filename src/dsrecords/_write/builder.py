"""`Builder`: a new dataset, written beside what is there and renamed into place at the end.

Knows nothing of samples.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any

from dsrecords._format import index as _index
from dsrecords._format.header import ID_OFFSET, MAGIC
from dsrecords._read.open import State
from dsrecords._schema.header import Header, make_header
from dsrecords._schema.schema import Schema
from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.registry import require_local
from dsrecords._write.lock import Keep, create, lock, locked_from_birth
from dsrecords._write.resume import ADVICE, require_same_header
from dsrecords._write.writer import Writer
from dsrecords.errors import CorruptError, LockedError, annotate

PARTIAL = ".partial"
"""What the path of a data file has behind it until the dataset is whole."""


def require_targets(path: str, index_path: str, overwrite: bool) -> None:
    """Find out what would otherwise fail when all is written: whether files can be made there.

    A file is made, and removed again, under the longest name that each of them has meanwhile.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given, or the file is not ours.
        FileNotFoundError: a folder does not exist.
        OSError: no file can be made there, as the folder may not be written to, or a name is too
            long.
        ValueError: both are one file, or one is not of this machine.
    """
    if os.path.abspath(path) == os.path.abspath(index_path):
        raise ValueError(f"{path}: the index needs a path of its own")
    require_free_paths(path, index_path, overwrite)
    partial = path + PARTIAL
    if files.exists(partial) and not _may_be_left(partial):
        raise FileExistsError(f"{partial} exists and is not ours: remove it, or give another path")
    for target in (partial, index_path):
        suffix = os.urandom(4).hex()
        _try_name(f"{target}.{suffix}.tmp", os.path.dirname(target))


def _try_name(name: str, folder: str) -> None:
    try:
        file = files.create(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, "there is no such folder", folder) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            message = "the name is too long, with what is added to it while it is written"
            raise OSError(error.errno, message, name) from None
        raise
    file.close()
    files.unlink(name)


def require_free_paths(path: str, index_path: str, overwrite: bool) -> None:
    """Raise FileExistsError if a dataset may not be put in place there.

    Either file exists, and `overwrite` is not given, or it is not ours.

    Raises:
        ValueError: a path is not of this machine.
    """
    require_local(path)
    require_local(index_path)
    ours = {path: _is_log, index_path: _index.may_be_replaced}
    for target, is_ours in ours.items():
        if not files.exists(target):
            continue
        if not overwrite:
            raise FileExistsError(
                f"{target} exists; make_dataset(..., overwrite=True) would replace a dataset"
            )
        if not is_ours(target):
            raise FileExistsError(
                f"{target} exists and is not ours: remove it, or give another path"
            )


class Builder:
    """A new dataset, written under another name until it is whole: a failure leaves what was there.

    Nothing happens before `begin`. Whatever that or a later call raises, the caller calls
    `abandon`: no lock is to last for as long as an exception is remembered.

    Args:
        path: where the data file is to be.
        index_path: where the index is to be.
        partial: path of the data file until then.
        schema: of its records.
        metadata: kept in the header.
        id: 16 bytes that identify the dataset; by default random.
        overwrite: whether a dataset that is there gives way.
        held: whether the lock of that dataset is held already; else it is taken until the end.
        resume: whether to go on with what a maker has left at `partial`, if there is something.
        locks: whether files are locked, which not all file systems can.
        keeps: whether what others have left stays as well.

    Attributes:
        writer: of the new dataset.
        kept: how many records were there when it began.
        index_problem: why the index could not be written, where that was no error; else empty.
    """

    writer: Writer

    def __init__(
        self,
        path: str,
        index_path: str,
        partial: str,
        schema: Schema,
        metadata: dict[str, Any],
        id: bytes | None,
        overwrite: bool,
        held: bool,
        locks: bool,
        resume: bool = False,
        keeps: bool = False,
    ) -> None:
        self._path = path
        self._index_path = index_path
        self._partial = partial
        self._schema = schema
        self._metadata = metadata
        self._id = id
        self._overwrite = overwrite
        self._held = held
        self._locks = locks
        self._resume = resume
        self._keeps = keeps
        self.kept = 0
        self.index_problem = ""
        self._index: _index.Written | None = None
        self._is_to_stay = False  # what is written, whatever comes
        self._has_begun = False
        # The dataset that gives way, with its lock; None if there is none or the lock is held.
        self._replaced: files.Descriptor | None = None
        self._new: files.Descriptor | None = None  # the data file, if nothing was left
        self._left: list[files.Descriptor] = []  # the data file that is gone on with

    def begin(self) -> None:
        """Create the data file, or open what was left, and lock it.

        Raises:
            FileExistsError: there is a file, and `overwrite` is not given, or the file is not ours.
            FileNotFoundError: a folder does not exist.
            LockedError: another process is making it, or writing to the one that is there.
            SchemaError: the metadata is not JSON; or what was left has another header.
            CorruptError: what was left is damaged.
        """
        header = make_header(self._schema, self._metadata, self._id or os.urandom(16))
        require_free_paths(self._path, self._index_path, self._overwrite)
        if self._overwrite and not self._held and files.exists(self._path):
            self._lock_replaced()
            self._remove_second_name()
        writer = None
        if self._resume:
            writer = self._go_on()
        self.writer = writer or self._begin(header)
        self._has_begun = True

    def _lock_replaced(self) -> None:
        """Take the lock of the dataset that gives way, unless somebody has just removed it."""
        try:
            lock(self._path, self._keep_replaced, self._locks)
        except FileNotFoundError:
            self._release_replaced()
            self._replaced = None

    def _keep_replaced(self, descriptor: files.Descriptor) -> None:
        self._replaced = descriptor

    def _remove_second_name(self) -> None:
        """Remove the name of before of a dataset that is whole: its maker was killed in `link`."""
        if self._replaced is None:
            return
        if files.identity(self._partial) == files.identity(self._replaced.number):
            files.unlink(self._partial)

    def _go_on(self) -> Writer | None:
        """Return a writer of what was left, cut behind its last whole batch; None if nothing was.

        Nothing of it is cut before its header has proved to be the same.
        """
        try:
            self._lock_left(self._left)
            state = self._state()
            require_same_header(
                state.header,
                self._schema,
                self._metadata,
                self._id,
                self._partial,
            )
            writer = Writer(state, self._left[-1], checkpoints=False)
            writer.open()
        except FileNotFoundError:
            self._close_left()
            return None
        except CorruptError as error:
            error.message += f"; {ADVICE}"
            raise
        self.kept = len(state.snapshot.entries)
        return writer

    def _close_left(self) -> None:
        for file in self._left:
            file.close()
        self._left.clear()

    def _state(self) -> State:
        return State(
            self._partial,
            f"{self._partial}.idx",
            True,
            new=True,
            locks=self._locks,
        )

    def _lock_left(self, left: list[files.Descriptor]) -> None:
        try:
            lock(self._partial, left.append, self._locks)
        except LockedError:
            raise LockedError("another process is making it", file=self._partial) from None

    def _begin(self, header: Header) -> Writer:
        """Create the data file under its other name, with the header alone.

        It is born under a name that nobody else has, and has its lock before it gets that other
        name: of several makers at one path, each sees that another one is at work.
        """
        suffix = os.urandom(4).hex()
        born = f"{self._partial}.{suffix}.tmp"
        self._new = self._create(born)
        try:
            if not locked_from_birth(self._new, self._path, self._locks):
                raise LockedError("another process has locked it", file=born)
            files.pwrite(self._new.number, header.raw.data, 0)
            self._name_partial(born)
            writer = Writer(self._state(), self._new, checkpoints=False)
            writer.open()
            return writer
        except BaseException:
            files.discard(born)
            raise

    def _create(self, born: str) -> files.Descriptor:
        folder = os.path.dirname(self._path)
        index_folder = os.path.dirname(self._index_path)
        try:
            if index_folder != folder:
                # To learn now, not when all is written, whether it exists.
                files.sync_directory(self._index_path)
            return create(born, replaces=self._path)
        except FileNotFoundError as error:
            missing = index_folder
            if error.filename == born:
                missing = folder
            raise FileNotFoundError(error.errno, "there is no such folder", missing) from None

    def _name_partial(self, born: str) -> None:
        """Give the new file the name that it has until the end.

        Raises:
            LockedError: another process is making the dataset.
        """
        while True:
            try:
                files.link(born, self._partial)
                return
            except FileExistsError:
                self._remove_what_was_left()

    def _remove_what_was_left(self) -> None:
        """Remove the file of a maker that was killed, whose lock is not held any more."""
        left: list[files.Descriptor] = []
        try:
            self._lock_left(left)
            if self._keeps:
                text = "another maker has left it meanwhile: call again, and it is gone on with"
                raise LockedError(text, file=self._partial)
            if not _may_be_left(self._partial):
                raise FileExistsError(f"{self._partial} exists and is not ours: remove it")
            files.unlink(self._partial)
        except FileNotFoundError:  # another maker was faster
            if os.path.islink(self._partial):  # which leads nowhere
                raise
            return
        finally:
            for file in left:
                file.close()

    def finish(self, replace: bool, index_may_fail: bool = False) -> None:
        """Put both files in place, durably.

        A crash between the two renames can leave either log with the index of the other, which is
        then made again from the log: so what is replaced must be whole on the disk as well.

        Args:
            replace: whether files that are there give way.
            index_may_fail: whether the log is put in place also where its index cannot be: see
                `index_problem`.

        Raises:
            FileExistsError: there is a file by now, and `replace` is not given.
        """
        writer = self.writer
        writer.sync()
        if not self._held:
            self._require_same_targets(replace)
        if self._replaced is not None:
            files.sync(self._replaced.number)
        index = self._write_index(index_may_fail)
        try:
            self._put_in_place(index, replace)
            self._put_index_in_place(index, replace, index_may_fail)
        except BaseException:  # the first rename decides: once it is done, the index is to follow
            if index and files.exists(self._partial):
                files.unlink(index)
            elif index and files.exists(index):
                files.rename(index, self._index_path)
            raise
        finally:
            if self._index is not None:
                self._index.file.close()
        files.sync_directory(self._path)
        self._sync_index(index_may_fail)
        self._release_replaced()

    def leave(self, keep: Keep | None) -> None:
        """Release the lock of the finished `.rec`, or hand over the descriptor that holds it."""
        if keep is None:
            self.writer.let_go("the dataset is made")
        else:
            keep(self.writer.hand_over())

    def _require_same_targets(self, replace: bool) -> None:
        """Look once more at what gives way: samples may have come for hours."""
        require_free_paths(self._path, self._index_path, replace)
        replaced = self._replaced
        known = None if replaced is None else files.identity(replaced.number)
        if replace and files.exists(self._path) and files.identity(self._path) != known:
            self._release_replaced()
            self._lock_replaced()

    def _write_index(self, may_fail: bool) -> str:
        """Write the index beside where it belongs; return its path, empty if that failed."""
        state = self.writer.state
        try:
            slot = self.writer.next_slot()
            self._index = _index.write_whole(
                self._index_path,
                self._partial,
                state.header.raw,
                slot,
                _index.parts(state.snapshot.entries, slot, 0),
            )
            return self._index.path
        except OSError as error:
            if not may_fail:
                raise
            self.index_problem = str(error)  # not itself: it would keep the lock, by its traceback
            return ""

    def _put_in_place(self, index: str, replace: bool) -> None:
        has_id_of_replaced = self._has_id_of_replaced()
        if has_id_of_replaced and files.exists(self._index_path):
            # The old index would vouch for more of the new log than there is.
            try:
                files.discard(self._index_path)
                files.sync_directory(self._index_path)
            except OSError:
                self._is_to_stay = True
                raise
        if replace:
            files.rename(self._partial, self._path)
        else:
            files.link(self._partial, self._path)
        if has_id_of_replaced or not index:
            # Or a crash could bring back the old log, with the index of the new one.
            files.sync_directory(self._path)

    def _put_index_in_place(self, index: str, replace: bool, may_fail: bool) -> None:
        """Give the index its name, or else remove that of the dataset which gave way.

        That would be passed over, since it is of another dataset, but only after looking twice.
        """
        try:
            if index:
                files.rename(index, self._index_path)
                return
        except OSError as error:
            if not may_fail:
                raise
            self.index_problem = str(error)
            with contextlib.suppress(OSError):
                files.unlink(index)
        if replace and files.exists(self._index_path):
            with contextlib.suppress(OSError):
                files.unlink(self._index_path)

    def _sync_index(self, may_fail: bool) -> None:
        try:
            files.sync_directory(self._index_path)
        except OSError as error:
            if not may_fail:
                raise
            self.index_problem = self.index_problem or str(error)

    def _has_id_of_replaced(self) -> bool:
        if self._replaced is None:
            return False
        id = self.writer.state.header.id
        return files.pread(self._replaced.number, len(id), ID_OFFSET) == id

    def abandon(self, error: BaseException, keeps: bool) -> None:
        """Remove what was written so far, unless it is in place already, and release all locks.

        Args:
            error: because of which.
            keeps: whether records that were written stay. Then the error says so.
        """
        has_records = self._has_begun and len(self.writer.state.snapshot.entries) > 0
        if self._is_to_stay or (keeps and has_records):
            self._keep(error)
        else:
            self._remove_new()
        if self._has_begun:
            self.writer.let_go("it was abandoned")
        if self._new is not None:
            self._new.close()
        self._close_left()
        self._release_replaced()

    def _remove_new(self) -> None:
        """Remove what was begun, if the data file has still its other name."""
        file = self._new
        if self._has_begun and self._left:
            file = self._left[-1]
        if file is None or file.number < 0:  # it is the parent's, in a forked child
            return
        if files.identity(self._partial) == files.identity(file.number):
            files.unlink(self._partial)

    def _keep(self, error: BaseException) -> None:
        if files.exists(self._partial):
            note = f"what was written so far is {self._partial}: resume=True goes on with it"
            annotate(error, note)

    def _release_replaced(self) -> None:
        if self._replaced is not None:
            self._replaced.close()


def _is_log(path: str) -> bool:
    """Whether a file may be replaced as it is a log; also if it has just gone."""
    start = _start_of(path)
    return start is None or start == MAGIC


def _may_be_left(path: str) -> bool:
    """Whether a maker may have left a file: its blocks may be zeros, after a loss of power.

    Also if it has just gone: its maker may be alive, and have given it its final name.
    """
    start = _start_of(path)
    return start is None or start == MAGIC or not any(start)


def _start_of(path: str) -> bytes | None:
    """The first bytes of a file; None if there is none any more."""
    try:
        storage = LocalStorage(path)
    except FileNotFoundError:
        if os.path.islink(path):  # which leads nowhere
            raise
        return None
    return storage.read(0, len(MAGIC))
