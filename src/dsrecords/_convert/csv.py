"""CSV and TSV: a header, and a row on each line. Parsed by pyarrow where it is installed."""

from __future__ import annotations

import csv
import functools
import importlib.util
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from dsrecords._convert import compressed
from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.cells import CellType, converted
from dsrecords._convert.compressed import PROBLEMS
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import json_value, named, plain_name, types_by_name
from dsrecords.errors import SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_TAB = "\t"
_SEPARATORS = (",", _TAB, ";", "|")
_LONGEST_CELL = 2**27  # characters
_CHUNK = 2**16  # bytes
_TEXT_ROWS = 4096  # that are looked at together
_NO_CELLS = ("image", "jpeg", "png", "webp", "audio", "video", "bytes", "file", "msgpack", "array")
_PROBLEMS = (csv.Error, UnicodeDecodeError, *PROBLEMS)


class CsvSource(Source):
    """A file of CSV.

    Args:
        path: of the file.
        separator: between cells.
        null: what a cell says that has no value.
    """

    def __init__(
        self,
        path: str,
        separator: str,
        null: str,
    ) -> None:
        super().__init__(path)
        self.separator = separator
        self.null = null
        self.kept: list[Any] | None = None  # see `csv_arrow.CsvFile`
        self.names = self._header()
        is_of_one_line = not any("\n" in name or "\r" in name for name in self.names)
        is_plain = not compressed.is_compressed(path)
        self._by_pyarrow = is_of_one_line and is_plain and _has_pyarrow()

    def _header(self) -> list[str]:
        lines = self._lines(Damage("skip"))
        names = next(lines, (0, []))[1]
        if not names or any("\0" in name for name in names):
            raise unreadable(self.path, "it has no header")
        if next(lines, None) is None:
            self._require_whole_line()
        for number, name in enumerate(names):
            if not name:  # of the index of pandas
                names[number] = f"unnamed_{number}"
        for name in names:
            if names.count(name) > 1:
                raise unreadable(self.path, f"line 1 is no header: {name!r} is there twice")
        return names

    def _require_whole_line(self) -> None:
        """Raise CorruptError if the file, which has one line, was cut off within it."""
        last = b""
        with compressed.open_binary(self.path) as file:
            for chunk in iter(functools.partial(file.read, _CHUNK), b""):
                last = chunk[-1:]
        if last not in (b"\n", b"\r"):
            raise unreadable(self.path, "it ends within its header")

    def types(self) -> dict[str, Any]:
        """Return the types that hold all cells: each is looked at."""
        if self._by_pyarrow:
            from dsrecords._convert.csv_arrow import quick_types_of, types_of

            quick = quick_types_of(self)
            if quick is not None:
                return quick
            types = types_of(self)
            if types is not None:
                return types
            self._by_pyarrow = False
        known = [CellType(self.null) for _ in self.names]
        cells: list[list[str]] = []
        for row in self._cells(Damage("skip")):
            cells.append(row)
            if len(cells) == _TEXT_ROWS:
                _learn(known, cells)
                cells = []
        _learn(known, cells)
        return {name: kind.type() for name, kind in zip(self.names, known)}

    def table(self, schema: Mapping[str, Any]) -> Any:
        """Return the columns, where pyarrow is installed."""
        if not self._by_pyarrow:
            return None
        from dsrecords._convert.csv_arrow import table_of

        return table_of(self, schema)

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows, with cells as values of their types."""
        columns = []
        for position, name in enumerate(self.names):
            if name in schema:
                columns.append((position, name, schema[name]))
        for number, cells in enumerate(self._cells(damage), 1):
            row = {}
            try:
                for position, name, kind in columns:
                    row[name] = converted(
                        cells[position],
                        kind,
                        self.null,
                    )
            except ValueError as error:
                problem = f"row {number}, {name!r}: {error}"
                damage.leave_out(unreadable(self.path, problem))
            else:
                yield row

    def _cells(self, damage: Damage) -> Iterator[list[str]]:
        """Return the cells of each row below the header; empty lines are none."""
        lines = self._lines(damage)
        next(lines, None)
        width = len(self.names)
        for number, cells in lines:
            if not cells:
                continue
            if len(cells) != width:
                problem = f"line {number} has {len(cells)} cells, the header {width}"
                damage.leave_out(unreadable(self.path, problem))
                continue
            yield cells

    def _lines(self, damage: Damage) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(_LONGEST_CELL)
        with compressed.open_binary(self.path) as file:
            text = io.TextIOWrapper(
                file,
                "utf-8-sig",
                newline="",
            )
            reader = csv.reader(
                text,
                delimiter=self.separator,
                strict=True,
            )
            while True:
                try:
                    cells = next(reader, None)
                except _PROBLEMS as error:
                    line = f"line {reader.line_num} cannot be read: {error}"
                    damage.leave_out(unreadable(self.path, line))
                    if not isinstance(error, csv.Error):
                        return
                    continue
                if cells is None:
                    return
                yield reader.line_num, cells


def _learn(known: Sequence[CellType], rows: Sequence[Sequence[str]]) -> None:
    for kind, cells in zip(known, zip(*rows)):
        kind.learn(cells)


def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


class Csv(Format):
    """CSV and TSV."""

    name = "csv"
    title = "CSV"
    endings = (".csv", ".tsv")
    reads: ClassVar[Mapping[str, str]] = {
        "separator": "between cells; by default what separates most in the first line",
        "null": "what a cell says that has no value; an empty one by default, of columns that are "
        "no strings",
    }
    writes: ClassVar[Mapping[str, str]] = {
        "separator": "between cells; by default a comma, and a tab where the name ends in .tsv",
        "null": "what is written for None; by default nothing",
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it is text with a separator in its first line."""
        if look.is_folder or not look.head or b"\0" in look.head:
            return False
        text = look.head.decode("utf-8", "ignore")
        first = text.splitlines()[0]
        if len(text.encode()) < len(look.head) - 3 or first.startswith(("{", "[", "<")):
            return False
        name = compressed.without_compression(look.path)
        return name.endswith(self.endings) or any(mark in first for mark in _SEPARATORS)

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file."""
        separator = options.get("separator") or _separator_of(path)
        return CsvSource(
            path,
            separator,
            options.get("null", ""),
        )

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a row for each record. Lists, arrays and structs are written as JSON."""
        types = types_by_name(dataset)
        for name, kind in types.items():
            if plain_name(kind) in _NO_CELLS:
                raise SchemaError(
                    f"CSV has no place for {kind}: leave the field out, schema={{{name!r}: None}}, "
                    "or convert to an image folder, Parquet or WebDataset",
                    field=name,
                )
        is_tsv = compressed.without_compression(progress.name).endswith(".tsv")
        separator = options.get("separator") or (_TAB if is_tsv else ",")
        null = options.get("null", "")
        with compressed.create_binary(path, progress.name) as file:
            text = io.TextIOWrapper(
                file,
                "utf-8",
                newline="",
            )
            writer = csv.writer(
                text,
                delimiter=separator,
                lineterminator="\n",
            )
            writer.writerow(types)
            for row in progress.of(dataset, len(dataset)):
                cells = [_cell(value, null) for value in named(row).values()]
                writer.writerow(cells)
            text.flush()


def _cell(value: Any, null: str) -> str:
    import json

    if value is None:
        return null
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    plain = json_value(value)
    if isinstance(plain, (list, dict)):
        return json.dumps(plain, ensure_ascii=False)
    return str(plain)


def _separator_of(path: str) -> str:
    """Return what separates most in the first line."""
    head = compressed.head_of(path, 2**16)
    first = head.decode("utf-8", "replace").partition("\n")[0]
    counts = {mark: first.count(mark) for mark in _SEPARATORS}
    best = max(_SEPARATORS, key=lambda mark: counts[mark])
    if counts[best]:
        return best
    return ","


FORMAT = Csv()
