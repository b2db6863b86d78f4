"""Records of which some fields are replaced: what stays is not written again.

Knows records as they are stored, and nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dsrecords._format.frame import Kept
from dsrecords._format.layout import NONE
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.verification import REVISED
from dsrecords._schema.encoded import Encoded, Numbers, Revised
from dsrecords._schema.schema import EncodedField, Field

_NOTHING_VERIFIED = 0


class Replacement(NamedTuple):
    """What takes the place of a record.

    Attributes:
        record: the new one.
        shared_parts: what is known of it: see `Snapshot.edited`.
    """

    record: Encoded | Revised
    shared_parts: int


class Reviser:
    """Replaces fields of the records of a list.

    Args:
        snapshot: the list.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._heads_only = Plan(
            snapshot.header,
            [],
            copy=True,
            shape=tuple,
        )

    def revised(self, i: int, part: Sequence[EncodedField]) -> Replacement:
        """The record at position i with other values in some fields.

        Raises:
            CorruptError: its head is damaged.
        """
        snapshot = self._snapshot
        numbers, kept = snapshot.kept(i, self._heads_only)
        payloads: list[bytes | Kept | None] = [*kept]
        for field, value in part:
            if field.number_slot < 0:
                payloads[field.payload] = value
            else:
                self._set_number(numbers, field, value)
        staying = []
        for number, payload in enumerate(payloads):
            if isinstance(payload, Kept) and payload.offset:
                staying.append(number)
        if not staying:
            whole = [_alone(payload) for payload in payloads]
            return Replacement((numbers, whole), _NOTHING_VERIFIED)
        row = snapshot.entries.row(i)
        parts = snapshot.verified.known(row, staying)
        return Replacement(Revised(numbers, payloads), parts | REVISED)

    def _set_number(self, numbers: Numbers, field: Field, value: Any) -> None:
        slot = field.number_slot
        if field.presence_slot >= 0:
            numbers[field.presence_slot] = int(value is not None)
        if value is None:
            value = self._snapshot.header.schema.layout.zeros[slot]
        numbers[slot] = value


def _alone(payload: bytes | Kept | None) -> bytes | None:
    """A payload that no other record has: a new one, or one that is None or empty."""
    if not isinstance(payload, Kept):
        return payload
    if payload.size == NONE:
        return None
    return b""
