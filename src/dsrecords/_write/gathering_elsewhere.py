"""Files that processes anywhere write for one dataset elsewhere, which a manifest makes one.

Objects cannot be renamed. So the files stay in a folder of their own, beside the manifest, which
comes last: by it alone they are a dataset.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dsrecords._read.open import State, default_index
from dsrecords._shards import manifest as _manifest
from dsrecords._shards.manifest import ENDING, Manifest, Shard, new_run, shard_id
from dsrecords._storage.locations import alike
from dsrecords._storage.registry import copied_to, exists, listed, removed
from dsrecords._write.sharded import shard_at
from dsrecords.errors import CorruptError, DSRecordsError, UnsupportedVersionError

_SIGN = "writing"  # the name of a file that is there as long as files are written
_AT_ONCE = 16  # files that are removed at once


class GatheringElsewhere:
    """A dataset of many files elsewhere while others write them: see `Gathering`.

    Nothing is locked there. Of two that make the same dataset, the second one to end gets a
    FileExistsError; with `overwrite` its dataset takes the place of the first one's.

    Args:
        path: of the dataset, as `make_dataset` takes it, which says how it is reached.
        overwrite: whether a dataset that is there gives way.
        locks: whether files are locked while they are made, each on its machine.

    Attributes:
        folder: where files are written, with a slash at its end.
        locks: whether files are locked while they are made.

    Raises:
        ValueError: the path cannot be the name of a manifest.
    """

    def __init__(
        self,
        path: str,
        overwrite: bool,
        locks: bool,
    ) -> None:
        root, ending = os.path.splitext(path)
        if ending not in (".rec", ENDING):
            root = path
        _manifest.require_nameable(root)
        self._run = new_run(None)
        self._overwrite = overwrite
        self._manifest = alike(root + ENDING, path)
        self.folder = alike(f"{root}.{self._run.hex()}/", path)
        self.locks = locks
        self._has_begun = False

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        state["_has_begun"] = False  # who has a copy writes, and does not end it
        return state

    def _at(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return alike(self.folder + name, self.folder)

    def has_begun(self) -> bool:
        """Return whether this process has begun, and neither finished nor abandoned it."""
        return self._has_begun

    def begin(self) -> None:
        """Try whether files can be written.

        Raises:
            FileExistsError: there is such a dataset, and `overwrite` is not given, or the file is
                not ours.
            RemoteError: nothing can be written there.
        """
        self._require_free()
        with tempfile.TemporaryDirectory(prefix="dsrecords-") as temporary:
            sign = os.path.join(temporary, _SIGN)
            with open(sign, "xb") as file:
                file.write(self._run)
            copied_to(sign, self._at(_SIGN), overwrite=False)
        self._has_begun = True

    def _require_free(self) -> None:
        path = self._manifest
        if not exists(path):
            return
        if not self._overwrite:
            raise FileExistsError(17, "there is a file already: overwrite=True replaces it", path)
        if not _manifest.may_be_replaced(path):
            raise FileExistsError(17, "it is not ours: remove it, or give another path", path)

    def id(self, number: int) -> bytes:
        """Return the id that the file with a number gets."""
        return shard_id(self._run, number)

    def add(self, number: int, write: Callable[[str], object]) -> Shard:
        """Let a function write the file with a number on this machine, and copy it.

        Args:
            number: of the file. No two attempts get one path.
            write: is called with a path of this machine.

        Returns:
            What the manifest is to say of it.

        Raises:
            DSRecordsError: the writing has ended.
            RemoteError: it cannot be copied.
        """
        self._require_sign()
        name = f"{number:05d}-{os.urandom(8).hex()}.rec"
        path = self._at(name)
        with tempfile.TemporaryDirectory(prefix="dsrecords-") as temporary:
            local = os.path.join(temporary, name)
            write(local)
            shard = shard_at(local)
            try:
                copied_to(local, path, overwrite=False)
                copied_to(default_index(local), default_index(path), overwrite=False)
                self._require_sign()  # whoever has removed the others has not seen these
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is what is told
                    self.remove(path)
                raise
        return shard._replace(path=path)

    def _require_sign(self) -> None:
        if not exists(self._at(_SIGN)):
            raise DSRecordsError("its writing has ended", file=self.folder)

    def remove(self, path: str) -> None:
        """Remove a file that was written, and its index."""
        removed(default_index(path))
        removed(path)

    def finish(self, shards: Sequence[Shard]) -> tuple[str, str]:
        """Make the files the dataset: all at once.

        Args:
            shards: what `add` has returned, at least one, in their order.

        Returns:
            A pattern of the data files, and the path of the manifest.
        """
        if not self._has_begun:
            raise ValueError("it has not begun, or has ended")
        try:
            old = self._replaced()
            self._put_manifest(shards)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is what is told
                self.abandon()
            raise
        self._has_begun = False
        kept = {shard.path for shard in shards}
        kept.update(default_index(path) for path in list(kept))
        with contextlib.suppress(Exception):  # the dataset is whole: what is left harms nobody
            self._remove_all(path for path in listed(self.folder) if path not in kept)
            self._remove_all(old)
        return self._at("*.rec"), self._manifest

    def _replaced(self) -> list[str]:
        """Return the files of the dataset that gives way."""
        self._require_free()
        try:
            old = _manifest.read(self._manifest)
        except (FileNotFoundError, CorruptError, UnsupportedVersionError):
            return []
        found = []
        for shard in old.shards:
            found.append(shard.path)
            found.append(default_index(shard.path))
        return found

    def _put_manifest(self, shards: Sequence[Shard]) -> None:
        first = shards[0].path
        state = State(
            first,
            default_index(first),
            True,
        )
        folder, _, name = self._manifest.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="dsrecords-") as temporary:
            local = os.path.join(temporary, name)
            beside = []
            for shard in shards:
                within = shard.path[len(folder) + 1 :]
                beside.append(shard._replace(path=os.path.join(temporary, within)))
            manifest = Manifest(
                state.header.schema,
                state.snapshot.metadata(),
                tuple(beside),
            )
            _manifest.write(local, manifest, overwrite=False)
            copied_to(local, self._manifest, self._overwrite)

    def abandon(self) -> None:
        """Remove what was written. Those who still write get errors."""
        if not self._has_begun:
            return
        self._has_begun = False
        removed(self._at(_SIGN))  # first, so that who sees it gone has seen no list
        self._remove_all(listed(self.folder))

    def _remove_all(self, paths: Iterable[str]) -> None:
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in threads.map(removed, paths):
                pass
