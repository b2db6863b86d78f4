"""JSON Lines: an object on each line."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dsrecords._convert import compressed
from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.compressed import PROBLEMS
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import json_value, named
from dsrecords._convert.plain_types import PlainType

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_LONGEST = 2**26  # bytes of a line
_BASE64 = "base64"  # key of an object that stands for bytes, as `dsrecords head --json` has it


class JsonLinesSource(Source):
    """A file of JSON Lines."""

    def types(self) -> dict[str, Any]:
        """Return the types that hold the values of all lines: each is looked at."""
        known: dict[str, PlainType] = {}
        count = 0
        for _, row in self._lines(Damage("skip")):
            count += 1
            for key, value in row.items():
                if key not in known:
                    known[key] = PlainType()
                known[key].learn(value)
        if not known:
            for _ in self._lines(Damage()):  # which raises what is wrong, if anything is
                pass
        return {key: kind.type(count) for key, kind in known.items()}

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        for _, row in self._lines(damage):
            yield row

    def _lines(self, damage: Damage) -> Iterator[tuple[int, dict[str, Any]]]:
        """Return the number of each line, from 1, and its object."""
        number = 0
        with compressed.open_binary(self.path) as file:
            while True:
                try:
                    line = file.readline(_LONGEST)
                except PROBLEMS as error:
                    damage.leave_out(unreadable(self.path, f"behind line {number}: {error}"))
                    return
                if not line:
                    return
                number += 1
                if len(line) == _LONGEST:
                    problem = f"line {number} has more than {_LONGEST} bytes"
                    damage.leave_out(unreadable(self.path, problem))
                    return
                if line.isspace():
                    continue
                try:
                    row = _object_of(line)
                except (ValueError, RecursionError) as error:
                    problem = f"line {number} is no JSON object: {error}"
                    damage.leave_out(unreadable(self.path, problem))
                else:
                    yield number, row


def _object_of(line: bytes) -> dict[str, Any]:
    found = json.loads(line, object_hook=_bytes_for_base64)
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}")
    return found


def _bytes_for_base64(found: dict[str, Any]) -> Any:
    """Return the bytes that an object stands for; any other object as it is."""
    if len(found) != 1 or not isinstance(found.get(_BASE64), str):
        return found
    try:
        return base64.b64decode(found[_BASE64], validate=True)
    except ValueError:  # it only has such a key
        return found


class JsonLines(Format):
    """JSON Lines."""

    name = "json-lines"
    title = "JSON Lines"
    endings = (".jsonl", ".ndjson")
    writes: ClassVar[Mapping[str, str]] = {}

    def recognizes(self, look: Look) -> bool:
        """Return whether the first line is an object, as far as it can be seen."""
        head = look.head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not head.startswith(b"{"):
            return False
        line, newline, rest = head.partition(b"\n")
        if not newline:
            return look.path.endswith(self.endings) or _is_object(line)
        return _is_object(line) and not rest.lstrip().startswith((b'"', b"}"))

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file."""
        return JsonLinesSource(path)

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a line for each record; bytes as an object with their base64."""
        with compressed.create_binary(path, progress.name) as file:
            for row in progress.of(dataset, len(dataset)):
                line = json.dumps(json_value(named(row)), ensure_ascii=False)
                file.write(line.encode() + b"\n")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


FORMAT = JsonLines()
