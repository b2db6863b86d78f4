"""Several datasets as one: in memory, as a manifest that names them, or copied into one file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsrecords._dataset.options import Options
from dsrecords._dataset.reading import Reading
from dsrecords._read.batch import as_array
from dsrecords._read.extents import check_extents
from dsrecords._read.open import State, default_index
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.schema import Schema
from dsrecords._shards import manifest as _manifest
from dsrecords._shards.manifest import ENDING, Manifest, Shard
from dsrecords._shards.names import in_words, many
from dsrecords._shards.pool import require_same_schema
from dsrecords._shards.snapshot import ShardsSnapshot
from dsrecords._shards.source import ShardsSource, open_many
from dsrecords._storage.registry import absolute
from dsrecords._write.compact import compact


class _Joined:
    """Files that follow each other, and which of their records are shown."""

    def __init__(self) -> None:
        self.shards: list[Shard] = []
        self.held: dict[int, Snapshot] = {}
        self.positions: list[Any] = []
        self.count = 0
        self.is_selection = False

    def add(self, reading: Reading) -> None:
        """Add the records that a dataset or a view shows."""
        source = reading.opened()
        snapshot = reading.snapshot()
        positions = reading.positions(slice(None), snapshot)
        if reading.selection is not None:
            self.is_selection = True
        start = self.count
        if isinstance(snapshot, ShardsSnapshot):
            self._add_shards(snapshot)
            if snapshot.order is not None:
                positions = snapshot.order[positions]
                self.is_selection = True
        elif isinstance(source, State):
            self._add_file(
                source,
                snapshot,
                reading,
            )
        else:
            source.need_log()
        self.positions.append((start, positions))

    def _add_shards(self, snapshot: ShardsSnapshot) -> None:
        for number, shard in enumerate(snapshot.pool.shards):
            held = snapshot.pool.parts[number]
            if held is not None and number in snapshot.pool.held:
                self.held[len(self.shards)] = held.snapshot
            self.shards.append(shard)
            self.count += shard.length

    def _add_file(
        self,
        source: State,
        snapshot: Snapshot,
        reading: Reading,
    ) -> None:
        version = reading.version()
        count = len(snapshot.entries)
        index_path = None
        if source.view or source.index_path != default_index(source.path):
            index_path = source.index_path
        shard = Shard(
            source.path,
            version.id,
            count,
            version.mark,
            index_path,
            version.view,
        )
        self.held[len(self.shards)] = snapshot
        self.shards.append(shard)
        self.count += count

    def order(self) -> np.ndarray | None:
        """Return the positions of the records through all files; None if it is all of them."""
        if not self.is_selection:
            return None
        moved = [as_array(positions) + start for start, positions in self.positions]
        return np.concatenate(moved)


def joined(readings: Sequence[Reading], options: Options) -> ShardsSource:
    """Return the records of several datasets, one behind the other, as one list.

    Raises:
        ValueError: there are none.
        SchemaError: one has another schema than the first.
        ReadOnlyError: one is of dsrecords 0.4.
    """
    if not readings:
        raise ValueError("give at least one dataset")
    first = readings[0]
    schema = first.opened().header.schema
    together = _Joined()
    for reading in readings:
        own = reading.opened().header.schema
        require_same_schema(
            schema,
            first.path,
            own,
            reading.path,
        )
        together.add(reading)
    name = in_words([reading.path for reading in readings])
    manifest = Manifest(
        _twin(schema),
        first.metadata(),
        tuple(together.shards),
    )
    return ShardsSource(
        manifest,
        name,
        options.verify,
        held=together.held,
        order=together.order(),
    )


def _twin(schema: Schema) -> Schema:
    return Schema.from_json(schema.to_json())


def merge(
    paths: Sequence[Any],
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    overwrite: bool = False,
) -> str:
    """Join files that were written apart, such as by several machines, into one dataset.

    Args:
        paths: of data files; patterns, folders and manifests stand for the files that they mean.
        path: of the result. Ending in `.json`: a manifest, which names the files; no record is
            copied, and the files must be in its folder, or in folders within it. Ending in `.rec`:
            one new file, into which the records are copied as they are stored, each verified.
        overwrite: whether a manifest that is there gives way. A dataset does not.

    Returns:
        The path of the result, which can be opened.

    Raises:
        ValueError: the path has another ending, or a file is outside of the manifest's folder.
        FileExistsError: there is a file.
        ShardError: a file is missing, or given twice.
        SchemaError: a file has another schema than the first.
        CorruptError: a file is damaged.
    """
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"merge takes a list of paths, not {paths!r}")
    target = os.fsdecode(path)
    found = []
    for one in paths:
        found += _files_of(one)
    source = open_many(
        found,
        None,
        True,
    )
    if target.endswith(ENDING):
        if overwrite and not _manifest.may_be_replaced(target):
            raise FileExistsError(f"{target} exists and is no manifest: give another path")
        _manifest.write(
            target,
            source.manifest,
            overwrite,
        )
    elif target.endswith(".rec"):
        _copy(source, target)
    else:
        raise ValueError(f"{target}: a manifest ends in .json, a dataset in .rec")
    return target


def _files_of(path: Any) -> list[str]:
    if not many(path):
        return [absolute(os.fsdecode(path))]
    source = open_many(
        path,
        None,
        True,
    )
    return [shard.path for shard in source.manifest.shards]


def _copy(source: ShardsSource, path: str) -> None:
    """Write all records to one new file, as they are stored."""
    snapshot = source.snapshot
    for number in range(len(snapshot.pool.shards)):
        check_extents(snapshot.pool.part(number).snapshot)
    everything = range(len(snapshot.entries))
    compact(
        path,
        default_index(path),
        snapshot,
        everything,
        snapshot.metadata(),
    )
