"""Making a dataset of several files, which is opened by its manifest. Knows nothing of samples.

The files are written under other names, and renamed when all of them are whole; the manifest comes
last. So what is interrupted leaves either the old dataset, or files without a manifest, which are
refused where they do not fit together, and removed by the next run.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from dsrecords._format.frame import COMMIT_HEAD
from dsrecords._read.extents import BATCH_BYTES, BATCH_RECORDS
from dsrecords._read.open import State, default_index
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.header import make_header
from dsrecords._schema.schema import Schema
from dsrecords._shards import manifest as _manifest
from dsrecords._shards.manifest import ENDING, Manifest, Shard, new_run, shard_id
from dsrecords._storage import files
from dsrecords._write.builder import require_free_paths
from dsrecords._write.lock import create, lock, locked_from_birth
from dsrecords.errors import LockedError, annotate

Build = Callable[..., None]

MANY = 2**17
"""So many files at most: a typing mistake is not to fill a disk with files."""

_UNFINISHED = ".shard"  # what a data file is called instead of `.rec` until all are whole
_TEMPORARY = r"\.[0-9a-f]{8}\.tmp"  # what is behind the name of a file while it is written
_ADDED = rf"(\.idx)?(\.partial)?({_TEMPORARY}){{0,2}}"
_MAKING = ".making"  # behind the name of the manifest: who makes the dataset has it locked
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B\s*")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_SMALLEST = 4096  # bytes of a shard


class Target(NamedTuple):
    """Where the files of a dataset go.

    Attributes:
        root: what all their names begin with, `train` in train-00000-of-00008.rec; absolute.
        given: the same, as it was given.
        overwrite: whether a dataset that is there gives way.
        locks: whether files are locked.
        run: 8 bytes, of which the ids of the files are made.
    """

    root: str
    given: str
    overwrite: bool
    locks: bool
    run: bytes

    def manifest(self) -> str:
        """Return the path of the manifest."""
        return self.root + ENDING

    def shard(
        self,
        number: int,
        total: int,
    ) -> str:
        """Return the path of a data file."""
        return f"{self.root}-{number:05d}-of-{total:05d}.rec"

    def unfinished(self, number: int) -> str:
        """Return the path that a data file has until all are whole."""
        return f"{self.root}-{number:05d}{_UNFINISHED}"

    def unfinished_index(self, number: int) -> str:
        """Return the path of its index until then."""
        return f"{self.root}-{number:05d}{_UNFINISHED}.idx"


def target_of(
    path: str,
    overwrite: bool,
    locks: bool,
    id: bytes | None,
) -> Target:
    """Return where the files go that are made at a path, with or without an ending."""
    root, ending = os.path.splitext(path)
    if ending not in (".rec", ENDING):
        root = path
    _manifest.require_nameable(root)
    return Target(
        os.path.abspath(root),
        root,
        overwrite,
        locks,
        new_run(id),
    )


def bytes_of(size: Any) -> int:
    """Return a number of bytes that is given as such, or as "500MB" (10⁶) or "1GiB" (2³⁰).

    Raises:
        ValueError: it is none, or less than 4096.
    """
    number = size
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is None:
            raise ValueError(f"shard_size is bytes, '500MB', '1GB' or '1GiB', not {size!r}")
        digits, power, binary = match.groups()
        base = 1024 if binary else 1000
        number = int(float(digits) * base ** _POWERS[power])
    if type(number) is not int or number < _SMALLEST:
        raise ValueError(f"shard_size is at least {_SMALLEST} bytes, not {size!r}")
    return number


def require_valid_shards(
    shards: Any,
    shard_size: Any,
    resume: bool,
    index_path: Any,
) -> None:
    """Raise ValueError if this is nothing that a dataset can be divided by."""
    if shards is not None and shard_size is not None:
        raise ValueError("give shards or shard_size, not both")
    is_count = type(shards) is int and 1 <= shards <= MANY
    if shards is not None and not is_count:
        raise ValueError(f"shards is a number from 1 to {MANY}, not {shards!r}")
    if shard_size is not None:
        bytes_of(shard_size)
    if index_path is not None:
        raise ValueError("each of several files has an index of its own: give no index_path")
    if resume:
        raise ValueError(
            "resume=True goes on with one file, not with shards: make each of them by a call of "
            "its own, and join them with dsrecords.merge"
        )


# Where one file ends


def by_count(records: Iterator[Encoded], bounds: Sequence[int]) -> Iterator[Iterator[Encoded]]:
    """Divide records: each file gets as many as lie between two bounds, the last one the rest."""
    for number in range(len(bounds) - 1):
        count = bounds[number + 1] - bounds[number]
        is_last = number == len(bounds) - 2
        yield _first(records, None if is_last else count)


def _first(records: Iterator[Encoded], count: int | None) -> Iterator[Encoded]:
    taken = 0
    while count is None or taken < count:
        record = next(records, None)
        if record is None:
            return
        yield record
        taken += 1


def by_size(
    records: Iterator[Encoded],
    schema: Schema,
    metadata: dict[str, Any],
    size: int,
) -> Iterator[Iterator[Encoded]]:
    """Divide records: each file gets as many as fit into a size, and at least one."""
    size -= make_header(schema, metadata, bytes(16)).size
    waiting = list(_first(records, 1))
    if not waiting:
        yield iter(())
    while waiting:
        yield _up_to(
            records,
            schema,
            size,
            waiting,
        )


def _up_to(
    records: Iterator[Encoded],
    schema: Schema,
    size: int,
    waiting: list[Encoded],
) -> Iterator[Encoded]:
    """Yield what is waiting, then records until one does not fit, which waits for the next file."""
    total = 0
    yielded = 0
    while waiting:
        record = waiting.pop()
        frame = schema.layout.size
        for payload in record[1]:
            frame += 8 * -(-len(payload or b"") // 8)
        commits = 1 + yielded // BATCH_RECORDS + total // BATCH_BYTES
        if yielded and total + frame + commits * COMMIT_HEAD > size:
            waiting.append(record)
            return
        yield record
        yielded += 1
        total += frame
        waiting.extend(_first(records, 1))


def even_bounds(total: int, count: int) -> list[int]:
    """Return where each of some files begins and ends, of which the sizes differ by one at most."""
    return [total * number // count for number in range(count + 1)]


# Making


class Making:
    """The files of a dataset while they are made; a context manager, which removes what is left.

    Args:
        target: where they go.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._written: list[Shard] = []
        self._is_done = False
        self._has_lock = False
        self._files: list[files.Descriptor] = []  # the last one has the lock, or is to get it

    def __enter__(self) -> Making:
        return self

    def __exit__(self, *exception: object) -> None:
        error = exception[1]
        try:
            if self._has_lock:
                self._leave(error)
        finally:
            self.close()

    def begin(self) -> None:
        """Take the lock, and remove what makers have left that were killed.

        Raises:
            FileExistsError: there is such a dataset, and `overwrite` is not given.
            LockedError: another process is making it.
        """
        self._require_free()
        self._take_lock()
        self._has_lock = True
        self._require_free()  # once more: another maker may have ended meanwhile
        self._remove_unfinished()

    def _leave(self, error: object) -> None:
        if not self._is_done:
            self._remove_unfinished()
        elif isinstance(error, Exception):
            left = f"{self.target.root}-*{_UNFINISHED}"
            annotate(error, f"files that are whole, and have not got their names, are {left}")
        path = self._lock_path()
        if files.identity(path) == files.identity(self._files[-1].number):
            files.unlink(path)
        self.close()

    def close(self) -> None:
        """Let go of the lock, and leave all files as they are. Closing again does nothing."""
        for file in self._files:
            file.close()

    def _lock_path(self) -> str:
        return self.target.manifest() + _MAKING

    def _require_free(self) -> None:
        target = self.target
        if target.overwrite:
            self._require_ours()
            return
        for path in [target.manifest(), *_shards_of(target.root)]:
            if files.exists(path):
                raise FileExistsError(
                    f"{path} exists; make_dataset(..., overwrite=True) would replace the dataset"
                )

    def _require_ours(self) -> None:
        """Raise FileExistsError if what is to give way is no manifest."""
        path = self.target.manifest()
        if not _manifest.may_be_replaced(path):
            raise FileExistsError(f"{path} exists and is not ours: remove it, or give another path")
        for path in _shards_of(self.target.root):
            require_free_paths(path, default_index(path), overwrite=True)

    def _take_lock(self) -> None:
        path = self._lock_path()
        while not self._is_locked(path):  # another maker has removed it meanwhile
            self.close()

    def _is_locked(self, path: str) -> bool:
        try:
            self._files.append(create(path, replaces=""))
        except FileExistsError:
            return self._is_locked_again(path)
        except FileNotFoundError as error:
            folder = os.path.dirname(path)
            raise FileNotFoundError(
                error.errno,
                "there is no such folder",
                folder,
            ) from None
        if not locked_from_birth(self._files[-1], path, self.target.locks):
            raise LockedError("another process is making it", file=self.target.manifest())
        return files.identity(path) == files.identity(self._files[-1].number)

    def _is_locked_again(self, path: str) -> bool:
        """Take the lock that a maker has left, or has."""
        try:
            lock(path, self._files.append, self.target.locks)
        except FileNotFoundError:  # its maker has ended meanwhile
            return False
        except LockedError:
            text = "another process is making it"
            raise LockedError(text, file=self.target.manifest()) from None
        if files.size(self._files[-1].number):
            raise FileExistsError(f"{path} exists and is not ours: remove it")
        return True

    def _remove_unfinished(self) -> None:
        for path in _unfinished_of(self.target.root):
            files.unlink(path)

    def write(
        self,
        number: int,
        schema: Schema,
        metadata: dict[str, Any],
        build: Build,
        records: Any,
    ) -> None:
        """Write one of the files, under its name of now."""
        self._written.append(
            write_shard(
                self.target,
                number,
                schema,
                metadata,
                build,
                records,
            )
        )

    def add(self, shard: Shard) -> None:
        """Note a file that another process has written."""
        self._written.append(shard)

    def count(self) -> int:
        """Return how many records were written."""
        return sum(shard.length for shard in self._written)

    def finish(
        self,
        schema: Schema,
        metadata: dict[str, Any],
    ) -> tuple[str, str]:
        """Give all files their names, and write the manifest.

        Returns:
            A pattern of the data files, and the path of the manifest.
        """
        target = self.target
        total = len(self._written)
        manifest = target.manifest()
        old = set(_shards_of(target.root))
        shards = []
        for number, shard in enumerate(self._written):
            path = target.shard(number, total)
            require_free_paths(path, default_index(path), target.overwrite)
            shards.append(shard._replace(path=path))
        # All that can be an error is one before anything of the old dataset goes.
        content = _manifest.encoded(manifest, Manifest(schema, metadata, tuple(shards)))
        self._require_free()
        self._is_done = True  # from here on the new files are all that there is of either dataset
        if files.exists(manifest):  # or it would name files of which some are others
            files.discard(manifest)
            files.sync_directory(manifest)
        for number, shard in enumerate(shards):
            path = shard.path
            index = default_index(path)
            files.discard(index)
            files.rename(target.unfinished(number), path)
            if files.exists(target.unfinished_index(number)):
                files.rename(target.unfinished_index(number), index)
        for path in old - {shard.path for shard in shards}:
            files.discard(path)
            files.discard(default_index(path))
        files.sync_directory(manifest)
        _manifest.put_in_place(manifest, [content], target.overwrite)
        return f"{target.given}-*-of-{total:05d}.rec", target.given + ENDING


def write_shard(
    target: Target,
    number: int,
    schema: Schema,
    metadata: dict[str, Any],
    build: Build,
    records: Iterable[Encoded],
) -> Shard:
    """Write one file of a dataset, and return what a manifest says of it."""
    path = target.unfinished(number)
    index = target.unfinished_index(number)
    id = shard_id(target.run, number)
    build(
        path,
        index,
        schema,
        metadata,
        records,
        overwrite=True,
        id=id,
        locks=target.locks,
    )
    return shard_at(path, index)


def shard_at(path: str, index_path: str | None = None) -> Shard:
    """Return what a manifest says of a file."""
    state = State(
        path,
        index_path or default_index(path),
        True,
    )
    snapshot = state.snapshot
    return Shard(
        path,
        state.header.id,
        len(snapshot.entries),
        snapshot.mark,
    )


def _shards_of(root: str) -> list[str]:
    """The data files of a dataset with this root, of any number of files."""
    pattern = f"{glob.escape(root)}-*-of-*.rec"
    name = re.compile(re.escape(os.path.basename(root)) + r"-\d{5,}-of-\d{5,}\.rec")
    return [path for path in glob.glob(pattern) if name.fullmatch(os.path.basename(path))]


def _unfinished_of(root: str) -> list[str]:
    """What makers have left that were killed, or will rename."""
    pattern = f"{glob.escape(root)}[-.]*"
    shard = r"-\d{5,}" + re.escape(_UNFINISHED) + _ADDED
    manifest = re.escape(ENDING) + _TEMPORARY
    name = re.compile(f"{re.escape(os.path.basename(root))}({shard}|{manifest})")
    return [path for path in glob.glob(pattern) if name.fullmatch(os.path.basename(path))]
