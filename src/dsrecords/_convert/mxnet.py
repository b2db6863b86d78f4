"""RecordIO of MXNet: labels and image files, by the standard library."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from dsrecords._convert.base import Format, Look, Options, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.feature_types import kind_of_bytes

_MAGIC = 0xCED7230A
_HEAD = struct.Struct("<II")  # magic, and the length of a part with what part it is
_LABEL = struct.Struct("<IfQQ")  # flag, label, id, second id: `IRHeader` of mxnet.recordio
_LENGTH_BITS = 29
_WHOLE = 0  # parts of a record: where its bytes contain the magic, it is cut there
_FIRST = 1
_MIDDLE = 2
_LAST = 3
_LOOKED_AT = 1000
_MOST_LABELS = 2**20


class RecordIoSource(Source):
    """A file of RecordIO whose records begin with a label, as `mxnet.recordio.pack` makes them."""

    def types(self) -> dict[str, Any]:
        """Return the types of the first thousand records: label, id, and what is behind them."""
        kinds = set()
        widths = set()
        for position, row in enumerate(self._packed(Damage("skip"))):
            if position == _LOOKED_AT:
                break
            kinds.add(kind_of_bytes(row["data"]))
            widths.add(row["label"].size if isinstance(row["label"], np.ndarray) else 0)
        if not kinds:
            for _ in self._packed(Damage()):
                pass
            raise unreadable(self.path, "there is no record in it")
        label = "float32[*]"
        if len(widths) == 1:
            width = widths.pop()
            label = f"float32[{width}]" if width else "float32"
        kind = kinds.pop() if len(kinds) == 1 else "bytes"
        return {
            "data": kind,
            "label": label,
            "id": "uint64",
        }

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the records, of which one is in memory."""
        is_text = str(schema.get("data")).startswith("str")
        is_list = "[" in str(schema.get("label"))
        for row in self._packed(damage):
            if is_text:
                row["data"] = row["data"].decode()
            if is_list:
                row["label"] = np.atleast_1d(np.asarray(row["label"], np.float32))
            yield row

    def _packed(self, damage: Damage) -> Iterator[dict[str, Any]]:
        for position, data in self._records(damage):
            try:
                yield _unpacked(data)
            except ValueError as error:
                damage.leave_out(unreadable(self.path, f"record {position}: {error}"))

    def _records(self, damage: Damage) -> Iterator[tuple[int, bytes]]:
        position = 0
        size = os.path.getsize(self.path)
        with open(self.path, "rb") as file:
            while file.tell() < size:
                offset = file.tell()
                try:
                    data = _record(file, size)
                except ValueError as error:
                    problem = f"record {position}: {error}; what follows cannot be found"
                    damage.leave_out(unreadable(self.path, problem, offset=offset))
                    return
                yield position, data
                position += 1


def _record(file: IO[bytes], size: int) -> bytes:
    """Return the next record, put together of its parts. Raises ValueError."""
    parts: list[bytes] = []
    while True:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise ValueError("it is cut short")
        magic, word = _HEAD.unpack(head)
        length = word & ((1 << _LENGTH_BITS) - 1)
        part = word >> _LENGTH_BITS
        padded = -(-length // 4) * 4
        expected = (_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)
        if magic != _MAGIC or part not in expected:
            raise ValueError("it does not begin as a record does")
        if length > size - file.tell():
            raise ValueError("it is cut short")
        parts.append(file.read(padded)[:length])
        if part in (_WHOLE, _LAST):
            return _MAGIC.to_bytes(4, "little").join(parts)


def _unpacked(data: bytes) -> dict[str, Any]:
    """Return label, id and contents of a record. Raises ValueError."""
    if len(data) < _LABEL.size:
        raise ValueError("it has no label")
    flag, label, id, _ = _LABEL.unpack_from(data)
    content = data[_LABEL.size :]
    if not flag:
        return {
            "data": content,
            "label": label,
            "id": id,
        }
    if flag > _MOST_LABELS or 4 * flag > len(content):
        raise ValueError(f"it says that it has {flag} labels")
    labels = np.frombuffer(content[: 4 * flag], "<f4")
    return {
        "data": content[4 * flag :],
        "label": labels,
        "id": id,
    }


class RecordIo(Format):
    """RecordIO of MXNet."""

    name = "mxnet"
    title = "MXNet RecordIO"

    def recognizes(self, look: Look) -> bool:
        """Return whether it begins as a record does."""
        return look.head.startswith(_MAGIC.to_bytes(4, "little"))

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file."""
        return RecordIoSource(path)


FORMAT = RecordIo()
