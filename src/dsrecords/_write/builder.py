"""`Builder`: a new dataset, written beside what is there and renamed into place at the end.

Knows nothing of samples.
"""

from __future__ import annotations

import os
from typing import Any

from dsrecords._format import index as _index
from dsrecords._format.header import ID_OFFSET, MAGIC
from dsrecords._read.open import State
from dsrecords._schema.header import Header, make_header
from dsrecords._schema.schema import Schema
from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage
from dsrecords._write.lock import create, lock
from dsrecords._write.writer import Writer
from dsrecords.errors import LockedError


class Builder:
    """A new dataset, written under another name until it is whole: a failure leaves what was there.

    Args:
        path: where the data file is to be.
        index_path: where the index is to be.
        partial: path of the data file until then.
        schema: of its records.
        metadata: kept in the header.
        id: 16 bytes that identify the dataset; by default random.
        overwrite: whether a dataset that is there gives way.
        held: whether the lock of that dataset is held already; else it is taken until the end.

    Attributes:
        writer: of the new dataset.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given, or the file is not ours.
        FileNotFoundError: a folder does not exist.
        LockedError: another process is making it, or writing to the one that is there.
        SchemaError: the metadata is not JSON.
    """

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
    ) -> None:
        self._path = path
        self._index_path = index_path
        self._partial = partial
        if id is None:
            id = os.urandom(16)
        header = make_header(schema, metadata, id)
        self._require_free_paths(overwrite)
        # The dataset that gives way, with its lock; None if there is none or the lock is held.
        self._replaced: files.Descriptor | None = None
        try:
            if overwrite and not held and files.exists(path):
                lock(path, self._keep_replaced)
            self.writer = self._begin(header)
        except BaseException:  # the lock is not to last for as long as the exception is remembered
            self._release_replaced()
            raise

    def _keep_replaced(self, descriptor: files.Descriptor) -> None:
        self._replaced = descriptor

    def _require_free_paths(self, overwrite: bool) -> None:
        ours = {self._path: _is_log, self._index_path: _index.may_be_replaced}
        for path, is_ours in ours.items():
            if not files.exists(path):
                continue
            if not overwrite:
                raise FileExistsError(
                    f"{path} exists; make_dataset(..., overwrite=True) would replace a dataset"
                )
            if not is_ours(path):
                raise FileExistsError(
                    f"{path} exists and is not ours: remove it, or give another path"
                )

    def _begin(self, header: Header) -> Writer:
        """Create the data file under its other name, with the header alone.

        It is born under a name that nobody else has, and has its lock before it gets that other
        name: of several makers at one path, each sees that another one is at work.
        """
        suffix = os.urandom(4).hex()
        born = f"{self._partial}.{suffix}.tmp"
        file = self._create(born)
        try:
            if not files.lock(file.number):
                raise LockedError("another process has locked it", file=born)
            files.pwrite(file.number, header.raw.data, 0)
            self._name_partial(born)
            state = State(self._partial, f"{self._partial}.idx", True, new=True)
            writer = Writer(state, file, checkpoints=False)
            writer.open()
            return writer
        except BaseException:
            self._remove_partial(file)
            if files.exists(born):
                files.unlink(born)
            file.close()
            raise

    def _create(self, born: str) -> files.Descriptor:
        folder = os.path.dirname(self._path)
        index_folder = os.path.dirname(self._index_path)
        try:
            if index_folder != folder:
                # To learn now, not when all is written, whether it exists.
                files.sync_directory(self._index_path)
            return create(born, like=[self._path])
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
            lock(self._partial, left.append)
            files.unlink(self._partial)
        except FileNotFoundError:  # another maker was faster
            return
        except LockedError:
            raise LockedError("another process is making it", file=self._partial) from None
        finally:
            for file in left:
                file.close()

    def _remove_partial(self, file: files.Descriptor) -> None:
        """Remove the new file under its other name, if that is its name."""
        if files.identity(self._partial) == files.identity(file.number):
            files.unlink(self._partial)

    def finish(self, replace: bool) -> files.Descriptor:
        """Put both files in place, durably.

        A crash between the two renames can leave either log with the index of the other, which is
        then made again from the log: so what is replaced must be whole on the disk as well.

        Args:
            replace: whether files that are there give way.

        Returns:
            The descriptor of the `.rec`, which holds its lock.

        Raises:
            FileExistsError: there is a file by now, and `replace` is not given.
        """
        writer = self.writer
        state = writer.state
        writer.sync()
        if self._replaced is not None:
            files.sync(self._replaced.number)
        index = _index.publish_whole(
            self._index_path,
            self._partial,
            state.header.raw,
            writer.next_slot(),
            state.snapshot.entries,
            rename=False,
        )
        try:
            self._put_in_place(index, replace)
        except BaseException:  # the first rename decides: once it is done, the index is to follow
            if files.exists(self._partial):
                files.unlink(index)
            elif files.exists(index):
                files.rename(index, self._index_path)
            raise
        files.sync_directory(self._path)
        files.sync_directory(self._index_path)
        self._release_replaced()
        return writer.hand_over()

    def _put_in_place(self, index: str, replace: bool) -> None:
        has_id_of_replaced = self._has_id_of_replaced()
        if has_id_of_replaced and files.exists(self._index_path):
            # The old index would vouch for more of the new log than there is.
            files.unlink(self._index_path)
            files.sync_directory(self._index_path)
        if replace:
            files.rename(self._partial, self._path)
        else:
            files.link(self._partial, self._path)
        if has_id_of_replaced:
            # Or a crash could bring back the old log, with the index of the new one.
            files.sync_directory(self._path)
        files.rename(index, self._index_path)

    def _has_id_of_replaced(self) -> bool:
        if self._replaced is None:
            return False
        id = self.writer.state.header.id
        return files.pread(self._replaced.number, len(id), ID_OFFSET) == id

    def abandon(self) -> None:
        """Remove what was written so far, unless it is in place already, and release all locks."""
        self.writer.remove_file(self._partial)
        self.writer.let_go("it was abandoned")
        self._release_replaced()

    def _release_replaced(self) -> None:
        if self._replaced is not None:
            self._replaced.close()


def _is_log(path: str) -> bool:
    storage = LocalStorage(path)
    return storage.read(0, len(MAGIC)) == MAGIC
