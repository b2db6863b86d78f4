"""Files that processes anywhere write for one dataset: out of sight until all of them are whole.

They are written into a folder of their own, under names that no two attempts share, so that what is
tried twice is not there twice. The files of `sharded` that are made in one go need no such folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dsrecords._read.open import State, default_index
from dsrecords._shards.manifest import Shard, shard_id
from dsrecords._storage import files
from dsrecords._write.sharded import Making, shard_at, target_of
from dsrecords.errors import DSRecordsError

_FOLDER = re.compile(r"\.[0-9a-f]{16}\.writing")  # behind the name that all files begin with
_GONE = ".gone"  # behind the name of a folder that is being removed


class _Begun(NamedTuple):
    """What the process has that has begun.

    Attributes:
        making: makes the dataset of the files.
        lock: keeps others away until it is closed.
    """

    making: Making
    lock: contextlib.ExitStack


class Gathering:
    """A dataset of many files while others write them.

    It pickles, for those who write. Whoever has called `begin` calls `finish` or `abandon`.

    Args:
        path: of the dataset, as `make_dataset` takes it.
        overwrite: whether a dataset that is there gives way.
        locks: whether files are locked.

    Attributes:
        folder: where files are written.
        locks: whether they are locked.

    Raises:
        ValueError: the path cannot be the name of a manifest.
    """

    def __init__(
        self,
        path: str,
        overwrite: bool,
        locks: bool,
    ) -> None:
        self.target = target_of(
            path,
            overwrite,
            locks,
            None,
        )
        run = self.target.run.hex()
        self.folder = f"{self.target.root}.{run}.writing"
        self.locks = locks
        self._begun: _Begun | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        state["_begun"] = None  # the lock stays with its process
        return state

    def has_begun(self) -> bool:
        """Return whether this process has begun, and neither finished nor abandoned it."""
        return self._begun is not None

    def begin(self) -> None:
        """Take the lock, remove what killed writers have left, and make the folder.

        Raises:
            FileExistsError: there is such a dataset, and `overwrite` is not given.
            LockedError: another process is making it.
            FileNotFoundError: there is no folder for the dataset.
        """
        with contextlib.ExitStack() as stack:
            making = stack.enter_context(Making(self.target))
            making.begin()
            self._remove_left()
            os.mkdir(self.folder)
            self._begun = _Begun(making, stack.pop_all())

    def _remove_left(self) -> None:
        folder, name = os.path.split(self.target.root)
        for other in os.listdir(folder):
            added = other.removeprefix(name).removesuffix(_GONE)
            if other.startswith(name) and _FOLDER.fullmatch(added):
                left = os.path.join(folder, other)
                shutil.rmtree(left, ignore_errors=True)

    def add(self, number: int, write: Callable[[str], object]) -> Shard:
        """Let a function write the file with a number.

        Args:
            number: of the file.
            write: is called with a path that no other attempt to write it has.

        Returns:
            What the manifest is to say of it.

        Raises:
            DSRecordsError: there is no folder: the writing has ended, or it is of another machine.
        """
        if not files.exists(self.folder):
            raise DSRecordsError(
                "there is no such folder here: its writing has ended, or this machine does not "
                "share the folder of the dataset with the one that began it",
                file=self.folder,
            )
        attempt = os.urandom(8).hex()
        path = os.path.join(self.folder, f"{number:05d}-{attempt}.rec")
        write(path)
        return shard_at(path)

    def remove(self, path: str) -> None:
        """Remove a file that was written, and its index."""
        files.unlink(path)
        files.discard(default_index(path))

    def id(self, number: int) -> bytes:
        """Return the id that the file with a number gets."""
        return shard_id(self.target.run, number)

    def finish(self, shards: Sequence[Shard]) -> tuple[str, str]:
        """Make the files the dataset: all at once, as those who read by the manifest see it.

        Args:
            shards: what `add` has returned, at least one, in their order.

        Returns:
            A pattern of the data files, and the path of the manifest.
        """
        begun = self._begun
        if begun is None:
            raise ValueError("it has not begun, or has ended")
        self._begun = None
        try:
            with begun.lock:
                return self._finish(begun.making, shards)
        finally:
            self._remove_folder()

    def _finish(self, making: Making, shards: Sequence[Shard]) -> tuple[str, str]:
        path = shards[0].path
        first = State(
            path,
            default_index(path),
            True,
        )
        schema = first.header.schema
        metadata = first.snapshot.metadata()
        for number, shard in enumerate(shards):
            self._take(making, number, shard)
        return making.finish(schema, metadata)

    def _take(
        self,
        making: Making,
        number: int,
        shard: Shard,
    ) -> None:
        path = shard.path
        data = self.target.unfinished(number)
        index = self.target.unfinished_index(number)
        files.rename(path, data)
        if files.exists(default_index(path)):
            files.rename(default_index(path), index)
        making.add(shard._replace(path=data))

    def abandon(self) -> None:
        """Remove what was written. Those who still write get errors."""
        begun = self._begun
        if begun is None:
            return
        self._begun = None
        with begun.lock:
            self._remove_folder()

    def _remove_folder(self) -> None:
        gone = self.folder + _GONE
        with contextlib.suppress(OSError):
            os.rename(self.folder, gone)  # so that nobody makes a file in it meanwhile
        shutil.rmtree(gone, ignore_errors=True)
