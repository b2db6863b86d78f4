"""What is known of a dataset without reading it: from its header, its index and a few of its rows.

It takes the same time for ten records and for ten million.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np

from dsrecords._dataset.blocks import BLOCK
from dsrecords._dataset.reading import Reading
from dsrecords._dataset.stored_values import stored_sizes
from dsrecords._format.header import VERSION
from dsrecords._mds.reader import MdsState
from dsrecords._read.lengths import knows_sizes
from dsrecords._read.open import State
from dsrecords._read.source import Source
from dsrecords._shards.source import ShardsSource
from dsrecords._storage.registry import open_storage
from dsrecords._types.scalars import Scalar

_SPOTS = 64  # places of a large dataset that are looked at, evenly spread
_RUN = 64  # records that are looked at there


@dataclasses.dataclass(frozen=True)
class FieldInfo:
    """What is known of a field.

    Attributes:
        name: its name; its position where fields have no names.
        type: the name of its type.
        bytes: how many bytes all its values take; None if the files do not say.
        is_exact: whether these were counted, and not estimated from some records.
    """

    name: Any
    type: str
    bytes: int | None
    is_exact: bool


@dataclasses.dataclass(frozen=True)
class Info:
    """What `dsrecords.info` found.

    Attributes:
        path: of the data file, or what stands for many.
        files: the paths of the data files.
        records: how many are shown.
        is_view: whether they are a selection.
        fields: in their order.
        metadata: of the dataset.
        id: of the dataset, which its copies share, in hexadecimal.
        version: of the format: "2", "0.4", or "MDS" of a folder that is read in place.
        data_bytes: the size of the data files.
        index_bytes: the size of the index; None if there is none, or many files.
        dead_bytes: by how many bytes `compact` would make the data smaller, 0 or more; None if that
            was not counted.
        edits: how many edits the data file has had; None of many files.
        notes: what is out of the ordinary, in words; empty if nothing is.
    """

    path: str
    files: tuple[str, ...]
    records: int
    is_view: bool
    fields: tuple[FieldInfo, ...]
    metadata: dict[str, Any]
    id: str
    version: str
    data_bytes: int
    index_bytes: int | None
    dead_bytes: int | None
    edits: int | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, which JSON can hold."""
        return dataclasses.asdict(self)


def info_of(reading: Reading, exact: bool) -> Info:
    """Return what is known of a dataset: see `dsrecords.info`."""
    source = reading.opened()
    count = reading.count()
    counts_all = exact or count <= BLOCK
    is_view = reading.is_view()
    state = source if isinstance(source, State) else None
    edits = None
    index_bytes = None
    dead_bytes = None
    if state is not None:
        edits = state.snapshot.mark.edits
        index_bytes = _size_of(state.index_path)
    if not is_view and knows_sizes(reading.snapshot()):
        dead_bytes = _dead_bytes(reading, state, counts_all)
    fields = _fields(reading, counts_all)
    return Info(
        path=reading.path,
        files=tuple(reading.files()),
        records=count,
        is_view=is_view,
        fields=fields,
        metadata=reading.metadata(),
        id=source.header.id.hex(),
        version=_version(source),
        data_bytes=_data_bytes(source),
        index_bytes=index_bytes,
        dead_bytes=dead_bytes,
        edits=edits,
        notes=_notes(state),
    )


def _version(source: Source) -> str:
    if isinstance(source, (State, ShardsSource)):
        return str(VERSION)
    if isinstance(source, MdsState):
        return "MDS"
    return "0.4"


def _size_of(path: str) -> int | None:
    with contextlib.suppress(OSError):
        return open_storage(path).size()
    return None


def _data_bytes(source: Source) -> int:
    if isinstance(source, ShardsSource):
        return sum(shard.mark.end for shard in source.manifest.shards)
    if isinstance(source, MdsState):
        return source.data_bytes()
    return open_storage(source.path).size()


def _dead_bytes(
    reading: Reading,
    state: State | None,
    counts_all: bool,
) -> int | None:
    if state is not None:
        mark = state.snapshot.mark
        if mark.edits == 0 and mark.metadata == 0:
            return 0
    if counts_all:
        return max(0, reading.dead_bytes())
    return None


def _fields(reading: Reading, counts_all: bool) -> tuple[FieldInfo, ...]:
    count = reading.count()
    looked_at = reading
    if not counts_all:
        looked_at = reading.selected(_spread(count))
    said = knows_sizes(reading.snapshot())
    found = []
    for key in reading.fields.schema.keys:
        kind = reading.fields.plan_for(key).fields[0].type
        size = None
        if said:
            size = _bytes(looked_at, key, count)
        is_exact = counts_all or isinstance(kind, Scalar)
        found.append(FieldInfo(key, kind.name, size, is_exact))
    return tuple(found)


def _bytes(looked_at: Reading, key: Any, count: int) -> int:
    """Return how many bytes a field of so many records takes, as those that are looked at say."""
    sizes = stored_sizes(looked_at, key)
    total = int(sizes[sizes > 0].sum())
    if len(sizes) == count:
        return total
    return round(total * count / len(sizes))


def _spread(count: int) -> np.ndarray:
    """Return the indices of some of many records: runs, which lie side by side, evenly spread."""
    starts = np.linspace(0, count - _RUN, _SPOTS).astype(np.int64)
    runs = starts[:, np.newaxis] + np.arange(_RUN)
    return runs.ravel()


def _notes(state: State | None) -> tuple[str, ...]:
    if state is None:
        return ()
    notes = []
    if state.slot is None:
        notes.append(
            "there is no index that can be used: the list was made from the log; "
            "repairing in place writes one, and so does flush"
        )
    if state.fault is not None:
        notes.append(
            f"{state.fault.problem} at byte {state.fault.offset}, behind the last whole batch: "
            "what a killed writer left; the next one cuts it off"
        )
    if state.refuses:
        notes.append(f"it is only read: {state.refuses}")
    return tuple(notes)
