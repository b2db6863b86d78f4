"""`diff`: how two datasets differ, record by record, by checksums where there are some.

Each record becomes a number, made of its numbers and of the sizes and checksums of its payloads: so
nothing is read but the index. Records are then matched by these numbers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dsrecords._diff.digests import BLOCK, digests_of, digests_of_field, types_of
from dsrecords._diff.matching import between_equal_ones, longest_increasing, matched, without

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset


@dataclasses.dataclass(frozen=True)
class Diff:
    """What `dsrecords.diff` found. It is true if the datasets differ in anything.

    Attributes:
        schema: how the schemas differ, in words; empty if they do not.
        metadata: the keys of the metadata whose values differ, or that one of them lacks.
        records: how many the two have.
        compared: the fields that both have with the same type, which alone are compared.
        same: how many records are equal, wherever they are.
        moved: how many of these are in another order than the others.
        changed: pairs of indices, in the first and in the second, of records between equal
            neighbours that differ: int64, (n, 2).
        changed_fields: by field, in how many of these it differs.
        removed: indices in the first of records that the second lacks: int64, (n,).
        added: indices in the second of records that the first lacks: int64, (n,).
    """

    schema: str
    metadata: tuple[str, ...]
    records: tuple[int, int]
    compared: tuple[Any, ...]
    same: int
    moved: int
    changed: np.ndarray
    changed_fields: Mapping[Any, int]
    removed: np.ndarray
    added: np.ndarray

    def __bool__(self) -> bool:
        records_differ = bool(len(self.changed) or len(self.removed) or len(self.added))
        return bool(self.schema or self.metadata or self.moved or records_differ)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "differs": bool(self),
            "schema": self.schema,
            "metadata": list(self.metadata),
            "records": list(self.records),
            "compared": list(self.compared),
            "same": self.same,
            "moved": self.moved,
            "changed": self.changed.tolist(),
            "changed_fields": {str(key): count for key, count in self.changed_fields.items()},
            "removed": self.removed.tolist(),
            "added": self.added.tolist(),
        }

    def __repr__(self) -> str:
        facts = [f"{self.same:,} the same"]
        if self.moved:
            facts.append(f"{self.moved:,} of them moved")
        facts.append(f"{len(self.changed):,} changed")
        facts.append(f"{len(self.removed):,} removed")
        facts.append(f"{len(self.added):,} added")
        if self.metadata:
            facts.append("other metadata")
        if self.schema:
            facts.append(self.schema)
        return f"<Diff: {', '.join(facts)}>"


def diff(
    first: IndexedRecordDataset,
    second: IndexedRecordDataset,
) -> Diff:
    """Say how two datasets, or views of them, differ.

    Records are equal if all fields that both have with the same type are stored as the same bytes:
    numbers are compared themselves, payloads by their sizes and checksums, which takes two
    different ones for equal once in four thousand million times. Values of `zstd(…)` are read, as
    the same ones may be compressed in different ways.

    Returns:
        What differs. It is false if nothing does.

    Raises:
        SchemaError: a file of dsrecords 0.4, or a field that a function of one's own reads.
        CorruptError: a record is not what was written.
    """
    one = first[:]
    other = second[:]
    compared = _common_fields(one, other)
    digests = digests_of(one, compared)
    other_digests = digests_of(other, compared)
    pairs = matched(digests, other_digests)
    left = without(len(one), pairs[:, 0])
    right = without(len(other), pairs[:, 1])
    changed = between_equal_ones(pairs, left, right)
    in_order = longest_increasing(pairs[:, 1])
    return Diff(
        schema=one.compare_schema(other),
        metadata=_differing_keys(one.metadata, other.metadata),
        records=(len(one), len(other)),
        compared=compared,
        same=len(pairs),
        moved=len(pairs) - in_order,
        changed=changed,
        changed_fields=_changed_fields(one, other, compared, changed),
        removed=np.setdiff1d(left, changed[:, 0], assume_unique=True),
        added=np.setdiff1d(right, changed[:, 1], assume_unique=True),
    )


def _common_fields(one: IndexedRecordDataset, other: IndexedRecordDataset) -> tuple[Any, ...]:
    types = types_of(one)
    other_types = types_of(other)
    common = []
    for key, type_name in types.items():
        if other_types.get(key) == type_name:
            common.append(key)
    return tuple(common)


def _differing_keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    keys = dict.fromkeys([*one, *other])
    differing = [key for key in keys if _canonical(one, key) != _canonical(other, key)]
    return tuple(differing)


def _canonical(metadata: Mapping[str, Any], key: str) -> str | None:
    if key not in metadata:
        return None
    return json.dumps(metadata[key], sort_keys=True)


def _changed_fields(
    one: IndexedRecordDataset,
    other: IndexedRecordDataset,
    compared: Sequence[Any],
    changed: np.ndarray,
) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for start in range(0, len(changed), BLOCK):
        part = changed[start : start + BLOCK]
        block = one[part[:, 0]]
        other_block = other[part[:, 1]]
        for field in compared:
            digests = digests_of_field(block, field)
            differs = digests != digests_of_field(other_block, field)
            count = int(differs.sum())
            if count:
                found[field] = found.get(field, 0) + count
    return found
