"""New datasets: written beside what is there, and renamed into place at the end. Knows nothing of samples."""

from __future__ import annotations

import os
from typing import Any

from dsrecords._format import index as _index
from dsrecords._format.header import ID_OFFSET, MAGIC
from dsrecords._read.open import State
from dsrecords._schema.header import Header, make_header
from dsrecords._schema.schema import Schema
from dsrecords._storage import files
from dsrecords._write.writer import Writer, lock
from dsrecords.errors import LockedError


def _is_log(path: str) -> bool:
    file = files.Descriptor(files.open_read(path))
    return files.pread(file.number, len(MAGIC), 0) == MAGIC


class Builder:
    """A new dataset, written beside and renamed into place at the end, so that a failure leaves what was there.

    Args:
        path, index_path: where it is to be.
        partial: what it is called until then.
        overwrite: whether a dataset of ours that is there gives way. It is locked meanwhile, unless `held`.

    Raises:
        FileExistsError: there is one, or a file that is not ours.
        LockedError: another process is making it, or writing to the one that is there.
    """

    def __init__(
        self, path: str, index_path: str, partial: str, schema: Schema, metadata: dict[str, Any], id: bytes | None,
        overwrite: bool, held: bool,
    ) -> None:  # fmt: skip
        self.path, self.index_path, self._partial = path, index_path, partial
        header = make_header(schema, metadata, os.urandom(16) if id is None else id)
        self._replaced = self._check_target(overwrite, held)
        try:
            self.writer = self._begin(header)
        except BaseException:  # the lock is not to wait until nobody remembers the exception
            self._release()
            raise

    def _begin(self, header: Header) -> Writer:
        if files.exists(self._partial):  # left by a killed process, unless its lock is held
            lock(self._partial).close()
            files.unlink(self._partial)
        try:
            if os.path.dirname(self.index_path) != os.path.dirname(self.path):
                files.sync_directory(
                    self.index_path
                )  # to learn now, not when all is written, that it is not there
            file = files.Descriptor(files.create(self._partial))
        except FileNotFoundError as error:
            folder = os.path.dirname(
                self.path if error.filename == self._partial else self.index_path
            )
            raise FileNotFoundError(error.errno, "there is no such folder", folder) from None
        try:
            if not files.lock(file.number):
                raise LockedError("another process is making it", file=self._partial)
            files.pwrite(file.number, header.raw.data, 0)
            return Writer(
                State(self._partial, f"{self._partial}.idx", True), file, checkpoints=False
            )
        except BaseException:
            file.close()
            raise

    def _release(self) -> None:
        if self._replaced is not None:
            self._replaced.close()

    def _check_target(self, overwrite: bool, held: bool) -> files.Descriptor | None:
        for path in filter(files.exists, (self.path, self.index_path)):
            if not overwrite:
                raise FileExistsError(
                    f"{path} exists; make_dataset(..., overwrite=True) would replace a dataset"
                )
            if not (_index.may_be_replaced if path == self.index_path else _is_log)(path):
                raise FileExistsError(
                    f"{path} exists and is not ours: remove it, or give another path"
                )
        return lock(self.path) if files.exists(self.path) and not held else None

    def finish(self, replace: bool) -> files.Descriptor:
        """Put both files in place, durably. Returns the descriptor of the `.rec`, which holds its lock.

        A crash between the two renames can leave either log with the index of the other, which is made again: so what is replaced
        must be whole on the disk as well.
        """
        writer, state = self.writer, self.writer.state
        writer.sync()
        if self._replaced is not None:
            files.sync(self._replaced.number)
        index = _index.publish_whole(
            self.index_path,
            state.header.raw,
            writer.next_slot(),
            state.snapshot.entries,
            rename=False,
        )
        try:
            same_id = (
                self._replaced is not None
                and files.pread(self._replaced.number, 16, ID_OFFSET) == state.header.id
            )
            if same_id and files.exists(
                self.index_path
            ):  # it would vouch for more of the new log than there is
                files.unlink(self.index_path)
                files.sync_directory(self.index_path)
            (files.rename if replace else files.link)(self._partial, self.path)
            if same_id:
                files.sync_directory(
                    self.path
                )  # or a crash could bring back the old log, with the index of the new one
            files.rename(index, self.index_path)
        except BaseException:  # the first rename decides: once it is done, the index is to follow
            if files.exists(self._partial):
                files.unlink(index)
            elif files.exists(index):
                files.rename(index, self.index_path)
            raise
        files.sync_directory(self.path)
        files.sync_directory(self.index_path)
        self._release()
        return writer.hand_over()

    def abandon(self) -> None:
        """Remove what was written so far, unless it is in place already, and let go of all locks."""
        self.writer.let_go("it was given up")
        self._release()
        if files.exists(self._partial):
            files.unlink(self._partial)
