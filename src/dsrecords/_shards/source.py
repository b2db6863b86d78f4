"""Many files as the `Source` of one dataset. They are only read."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import zlib
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._read.mark import Mark
from dsrecords._read.open import State
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Version
from dsrecords._schema.header import Header, make_header
from dsrecords._schema.schema import Schema
from dsrecords._shards import manifest as _manifest
from dsrecords._shards import views as _views
from dsrecords._shards.manifest import Manifest, Shard, run_of
from dsrecords._shards.names import Named, in_words, number_of, resolved
from dsrecords._shards.pool import Pool, open_shard, require_same_schema
from dsrecords._shards.snapshot import ShardsSnapshot
from dsrecords._storage.locations import Access, access_of, located
from dsrecords._storage.registry import absolute, is_local, version_at
from dsrecords._storage.requests import awaited, submit_opening
from dsrecords.errors import ReadOnlyError, ShardError

Versions = dict[str, Hashable]


class Packed(NamedTuple):
    """From what many files are opened in another process: it is small, and opens none of them.

    Attributes:
        name: what messages call them.
        manifest: path of the manifest; None if there is none.
        data: what the manifest would say, compressed; empty if there is one.
        accesses: how files elsewhere are reached, each way once.
    """

    name: str
    manifest: str | None
    data: bytes
    accesses: tuple[Access, ...] = ()


class ShardsSource:
    """Many files, which are opened when they are first read.

    Args:
        manifest: which files.
        name: what messages call all of them.
        verify: as of any dataset.
        given: what was opened, to be looked at again by `refresh`; None of what was joined.
        manifest_path: of the manifest, where it was read from a file.
        index_path: of a saved view.
        held: by their numbers, files that are open already.
        order: of the records, as of `ShardsSnapshot`.
        versions: by their paths, of files elsewhere that were looked at: see `Storage.version`.

    Attributes:
        path: what messages call all of them.
        index_path: of a saved view, else of the manifest; empty if there is neither.
        manifest: which files.
        header: made up, with the schema and metadata of the dataset.
        snapshot: the list.
        view: what tells a saved view from others; 0 if this is none.
    """

    def __init__(
        self,
        manifest: Manifest,
        name: str,
        verify: bool | str,
        *,
        given: Any = None,
        manifest_path: str | None = None,
        index_path: str | None = None,
        held: dict[int, Snapshot] | None = None,
        order: np.ndarray | None = None,
        versions: Versions | None = None,
    ) -> None:
        self.path = name
        self.given = given
        self._versions = versions or {}
        self.verify = verify
        self.manifest_path = manifest_path
        self.index_path = index_path or manifest_path or ""
        self.view = 0
        self._use(
            manifest,
            order,
            held,
        )
        if index_path is not None:
            self._show_view(index_path)

    def _use(
        self,
        manifest: Manifest,
        order: np.ndarray | None,
        held: dict[int, Snapshot] | None,
    ) -> None:
        self.manifest = manifest
        id = manifest.id()
        if order is not None:
            id = hashlib.blake2b(id + order.tobytes(), digest_size=len(id)).digest()
        self.header: Header = make_header(
            manifest.schema,
            manifest.metadata,
            id,
        )
        pool = Pool(
            manifest.shards,
            manifest.schema,
            self.verify,
            self.path,
            held,
        )
        self.snapshot: ShardsSnapshot = ShardsSnapshot(
            pool,
            self.header,
            order,
        )

    def _show_view(self, path: str) -> None:
        view = _views.read(
            path,
            self.manifest,
            self.snapshot.pool,
        )
        self.view = view.number
        self.snapshot = ShardsSnapshot(
            self.snapshot.pool,
            self.header,
            view.order,
        )

    def need_log(self) -> None:
        """Refuse what needs one log. Raises ReadOnlyError."""
        raise ReadOnlyError(
            "many files as one are only read: to change a record, open the file that has it "
            "(ds.shard_of(i) says which, and where it is in it); to append, write another file; "
            "dsrecords.merge makes one file of all",
            file=self.path,
        )

    def read_only_at(self, i: int) -> ReadOnlyError:
        """Return the error of an edit of one record, which says where it can be done."""
        path, position = self.snapshot.where(i)
        return ReadOnlyError(
            f"many files as one are only read: record {i} is record {position} of {path}, which "
            "can be opened and changed alone",
            file=self.path,
        )

    def deserializers(self, given: Any) -> Any:
        """The deserializers that were given, as they are."""
        return given

    def shows(self, version: Version) -> bool:
        """Whether positions mean what they meant in a list: see `Source`."""
        return version.id == self.header.id and version.view == self.view

    def refresh(self) -> None:
        """Look again which files there are, and how many records each has.

        Files elsewhere never change in place: where none was replaced, those that are open stay so.
        """
        if self.given is None:
            return
        named = resolved(self.given)
        manifest = None
        if named.manifest is not None:
            manifest = _manifest.read(named.manifest)
        if self._is_what_it_was(named, manifest):
            return
        versions: Versions = {}
        if manifest is None:
            manifest = _looked_at(named, versions)
        self._versions = versions
        self._use(
            manifest,
            None,
            None,
        )

    def _is_what_it_was(self, named: Named, manifest: Manifest | None) -> bool:
        """Whether the same files are meant, all of them elsewhere, and none was replaced.

        Args:
            named: what is meant now.
            manifest: what it says now, if that is a manifest.
        """
        shards = self.manifest.shards
        if any(is_local(shard.path) for shard in shards):
            return False
        if manifest is not None and not _are_alike(manifest, self.manifest):
            return False
        if manifest is None and named.files != [shard.path for shard in shards]:
            return False
        versions = dict(self._versions)
        for shard, part in zip(shards, self.snapshot.pool.parts):
            if part is not None:
                versions[shard.path] = part.snapshot.storage.version()
        return _are_current(versions)

    def states(self) -> Iterator[State]:
        """Open one file after the other, each by itself."""
        pool = self.snapshot.pool
        for number in range(len(pool.shards)):
            yield pool.state(number)

    def packed(self) -> Packed:
        """Return from what this is opened again."""
        if self.manifest_path is not None:
            return Packed(
                self.path,
                self.manifest_path,
                b"",
            )
        accesses = tuple(dict.fromkeys(access_of(shard.path) for shard in self.manifest.shards))
        return Packed(
            self.path,
            None,
            _packed(self.manifest, self.snapshot.order, accesses),
            accesses,
        )


def open_many(
    path: Any,
    index_path: str | None,
    verify: bool | str,
) -> ShardsSource:
    """Open the files that a list, a pattern, a folder or a manifest means.

    A manifest is the only file that is read; else each file is looked at once.

    Args:
        path: what was given.
        index_path: of a view that was saved of them; None: all records.
        verify: as of any dataset.

    Raises:
        FileNotFoundError: there are none.
        ShardError: one is missing, or given twice, or of another run.
        SchemaError: one has another schema than the first.
        CorruptError: one is damaged, or the manifest is.
        StaleViewError: the view is of files as they are no more.
    """
    named = resolved(path)
    versions: Versions = {}
    if named.manifest is not None:
        manifest = _manifest.read(named.manifest)
    else:
        manifest = _looked_at(named, versions)
    return ShardsSource(
        manifest,
        in_words(path),
        verify,
        given=_absolute(path),
        manifest_path=named.manifest,
        index_path=index_path,
        versions=versions,
    )


def _are_alike(manifest: Manifest, other: Manifest) -> bool:
    """Whether two manifests say the same."""
    if manifest.shards != other.shards or manifest.metadata != other.metadata:
        return False
    return bool(manifest.schema.to_json() == other.schema.to_json())


def _are_current(versions: Versions) -> bool:
    """Whether files elsewhere have these versions: many are looked at at once."""
    looks = {path: submit_opening(functools.partial(version_at, path)) for path in versions}
    try:
        return all(awaited(look, path) == versions[path] for path, look in looks.items())
    finally:
        for look in looks.values():  # what nobody waits for any more
            look.cancel()


def _absolute(path: Any) -> Any:
    """What was given, so that it means the same in another folder."""
    if isinstance(path, (list, tuple)):
        return [absolute(os.fsdecode(one)) for one in path]
    return absolute(in_words(path))


def _looked_at(named: Named, versions: Versions) -> Manifest:
    """Return what a manifest of these files would say: each is opened, and closed again.

    Args:
        named: the files.
        versions: takes those of files elsewhere, by their paths.

    Raises:
        ShardError, SchemaError, CorruptError: as of `open_many`.
    """
    shards: list[Shard] = []
    schema: Schema | None = None
    metadata: dict[str, Any] = {}
    for path, state in zip(named.files, _opened(named)):
        if schema is None:
            schema = state.header.schema
            metadata = state.snapshot.metadata()
        require_same_schema(
            schema,
            named.files[0],
            state.header.schema,
            path,
        )
        if not is_local(path):
            versions[path] = state.storage.version()
        snapshot = state.snapshot
        shards.append(
            Shard(
                path,
                state.header.id,
                len(snapshot.entries),
                snapshot.mark,
            )
        )
    assert schema is not None  # there is a file
    _manifest.require_different(shards, named.name)
    _require_one_run(shards, named.name)
    return Manifest(
        schema,
        metadata,
        tuple(shards),
    )


def _opened(named: Named) -> Iterator[State]:
    """Open one file after the other; of files elsewhere many at once, as each is waited for."""

    def opened(path: str) -> State:
        return open_shard(path, None, True, named.name)

    if all(map(is_local, named.files)):
        yield from map(opened, named.files)
        return
    openings = [submit_opening(functools.partial(opened, path)) for path in named.files]
    try:
        for path, opening in zip(named.files, openings):
            yield awaited(opening, path)
    finally:
        for opening in openings:  # what nobody waits for any more
            opening.cancel()


def _require_one_run(shards: Sequence[Shard], name: str) -> None:
    """Raise ShardError if files that were written together are mixed with others of their kind."""
    first: tuple[bytes | None, str] | None = None
    for shard in shards:
        number = number_of(shard.path)
        if number is None:
            continue
        run = run_of(shard.id, number)
        if first is None:
            first = (run, shard.path)
        if run != first[0]:
            raise ShardError(
                f"{shard.path} is of another run of make_dataset than {first[1]}: one of them is "
                "left of an earlier dataset",
                file=name,
            )


# Pickles


def _packed(
    manifest: Manifest,
    order: np.ndarray | None,
    accesses: tuple[Access, ...],
) -> bytes:
    content = {
        "schema": manifest.schema.to_json(),
        "metadata": manifest.metadata,
        "paths": [shard.path for shard in manifest.shards],
        "accesses": [accesses.index(access_of(shard.path)) for shard in manifest.shards],
        "ids": [shard.id.hex() for shard in manifest.shards],
        "counts": [shard.length for shard in manifest.shards],
        "marks": [shard.mark for shard in manifest.shards],
        "indices": [shard.index_path for shard in manifest.shards],
        "views": [shard.view for shard in manifest.shards],
        "ordered": order is not None,
    }
    text = json.dumps(content).encode()
    parts = [len(text).to_bytes(8, "little"), text]
    if order is not None:
        parts.append(order.tobytes())
    return zlib.compress(b"".join(parts), 1)


def unpacked(
    packed: Packed,
    index_path: str | None,
    verify: bool | str,
) -> ShardsSource:
    """Open many files again, as `ShardsSource.packed` has described them."""
    if packed.manifest is not None:
        manifest = _manifest.read(packed.manifest)
        return ShardsSource(
            manifest,
            packed.name,
            verify,
            given=packed.manifest,
            manifest_path=packed.manifest,
            index_path=index_path,
        )
    data = zlib.decompress(packed.data)
    size = int.from_bytes(data[:8], "little")
    content = json.loads(data[8 : 8 + size])
    shards = []
    keys = ("paths", "accesses", "ids", "counts", "marks", "indices", "views")
    columns = [content[key] for key in keys]
    for path, access, id, count, mark, own_index, view in zip(*columns):
        shards.append(
            Shard(
                located(path, packed.accesses[access]),
                bytes.fromhex(id),
                count,
                Mark(*mark),
                own_index,
                view,
            )
        )
    order = None
    if content["ordered"]:
        order = np.frombuffer(
            data,
            np.int64,
            offset=8 + size,
        ).copy()
    schema = Schema.from_json(content["schema"])
    manifest = Manifest(
        schema,
        content["metadata"],
        tuple(shards),
    )
    return ShardsSource(
        manifest,
        packed.name,
        verify,
        index_path=index_path,
        order=order,
    )
