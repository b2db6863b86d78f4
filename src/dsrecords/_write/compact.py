"""Compaction: the records of a list as a new dataset, without what was replaced and deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.encoded import Encoded
from dsrecords._write.create import build
from dsrecords._write.dictionaries import retrained
from dsrecords._write.lock import Keep


def compact(
    path: str,
    index_path: str,
    snapshot: Snapshot,
    positions: Sequence[int] | np.ndarray,
    metadata: dict[str, Any],
    replace: bool = False,
    locks: bool = True,
    keep: Keep | None = None,
) -> None:
    """Write records of a dataset to a new one. They are verified, and copied as they are stored.

    Args:
        path: of the new data file.
        index_path: of its index.
        snapshot: the list.
        positions: of the records.
        metadata: of the new dataset.
        replace: whether the new dataset takes the place of this one, whose lock is held.
        locks: whether files are locked.
        keep: as of `build`.

    Raises:
        CorruptError: a record is not what was written.
        FileExistsError: there is a file, and `replace` is not given.
    """
    header = snapshot.header
    schema = header.schema
    fields = [(field, field.type.load) for field in schema.fields]
    plan = Plan(header, fields, True, tuple)
    records: Iterator[Encoded]
    if schema.trainable():
        schema, records = retrained(snapshot, positions, plan)
    else:
        records = (snapshot.encoded(int(position), plan) for position in positions)
    build(
        path,
        index_path,
        schema,
        metadata,
        records,
        overwrite=replace,
        held=replace,
        locks=locks,
        keep=keep,
    )
