"""ArrayRecord, read by its own package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsrecords._convert.base import Format, Look, Options, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.records_of_bytes import content_of, row_of
from dsrecords._optional import import_optional

_ENDINGS = (".array_record", ".arrayrecord")
_RIEGELI = bytes((0x83, 0xAF, 0x70, 0xD1, 0x0D, 0x88, 0x4A, 0x3F))
"""What follows the first 16 bytes of a file of Riegeli, of which ArrayRecord is one."""
_AT_ONCE = 64  # records
_PROBLEMS = (ValueError, RuntimeError, IndexError, OSError)


class ArrayRecordSource(Source):
    """Files of ArrayRecord, one behind the other."""

    def __init__(
        self,
        path: str,
        files: list[str],
    ) -> None:
        super().__init__(path)
        self._files = files
        self._content = ""
        self.count = sum(map(_count, files))

    def types(self) -> dict[str, Any]:
        """Return the types of what is in the first thousand records."""
        records = (data for _, _, data in self._records(Damage("skip")))
        self._content, types = content_of(records)
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the records, of which a few are in memory."""
        for path, position, data in self._records(damage):
            try:
                yield row_of(
                    data,
                    self._content,
                    schema,
                )
            except (ValueError, RecursionError) as error:
                damage.leave_out(unreadable(path, f"record {position}: {error}"))

    def _records(self, damage: Damage) -> Iterator[tuple[str, int, bytes]]:
        for path in self._files:
            reader = _reader(path)
            total = reader.num_records()
            for first in range(0, total, _AT_ONCE):
                last = min(first + _AT_ONCE, total)
                try:
                    records = reader.read(first, last)
                except _PROBLEMS as error:
                    problem = f"records {first} to {last - 1}: {error}"
                    damage.leave_out(unreadable(path, problem))
                    continue
                for position, data in enumerate(records, first):
                    yield path, position, data


def _reader(path: str) -> Any:
    module = import_optional(
        "array_record.python.array_record_module", "array-record", extra="array_record"
    )
    try:
        return module.ArrayRecordReader(path)
    except _PROBLEMS as error:
        raise unreadable(path, f"ArrayRecord cannot read it: {error}") from None


def _count(path: str) -> int:
    count: int = _reader(path).num_records()
    return count


class ArrayRecord(Format):
    """ArrayRecord."""

    name = "array-record"
    title = "ArrayRecord"

    def recognizes(self, look: Look) -> bool:
        """Return whether it begins as files of Riegeli do, or is a folder of files named so."""
        if look.is_folder:
            return bool(_files_in(look.path, look.names))
        return _RIEGELI in look.head[:64]

    def open_many(
        self,
        path: str,
        files: Sequence[str],
        options: Options,
    ) -> Source:
        """Open several files."""
        return ArrayRecordSource(path, list(files))

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file, or a folder of files."""
        if not os.path.isdir(path):
            return ArrayRecordSource(path, [path])
        return ArrayRecordSource(path, _files_in(path, sorted(os.listdir(path))))


def _files_in(folder: str, names: Any) -> list[str]:
    found = [name for name in names if name.endswith(_ENDINGS) or ".array_record-" in name]
    return [os.path.join(folder, name) for name in found]


FORMAT = ArrayRecord()
