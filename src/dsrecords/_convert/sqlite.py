"""SQLite: a table or a query of a database, by the standard library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import json_value, named, types_by_name
from dsrecords._convert.plain_types import PlainType
from dsrecords.errors import SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_ROWS = 1000
_TABLE = "records"
_NUMBERS = ("int", "uint", "float", "bfloat", "bool")


class SqliteSource(Source):
    """A table, or the rows of a query.

    Args:
        path: of the database, which is opened for reading alone.
        table: its name; None: the only one.
        query: that gives the rows instead.
    """

    def __init__(
        self,
        path: str,
        table: str | None,
        query: str | None,
    ) -> None:
        super().__init__(path)
        uri = f"file:{_quoted_path(path)}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True)
        try:
            self._query = query or self._query_of(table)
        except BaseException:
            self._connection.close()
            raise

    def _query_of(self, table: str | None) -> str:
        listing = (
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        try:
            names = [name for (name,) in self._connection.execute(listing)]
        except sqlite3.Error as error:
            raise unreadable(self.path, f"SQLite cannot read it: {error}") from None
        if table is None and len(names) == 1:
            table = names[0]
        if table is None or table not in names:
            listed = ", ".join(map(repr, names)) or "none"
            said = "say which table" if table is None else f"there is no table {table!r}"
            raise ValueError(f"{self.path}: {said}, table=…; there are: {listed}")
        return f"SELECT * FROM {_quoted(table)}"

    def types(self) -> dict[str, Any]:
        """Return the types that hold all values: each is looked at, as SQLite does not check."""
        kinds: list[PlainType] = []
        names: list[str] = []
        for names, values in self._values(Damage("skip")):
            if not kinds:
                kinds = [PlainType() for _ in names]
            for kind, value in zip(kinds, values):
                kind.learn(value)
        if not names:
            raise unreadable(self.path, "the query gives no rows")
        return {name: kind.type() for name, kind in zip(names, kinds)}

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows."""
        for names, values in self._values(damage):
            yield dict(zip(names, values))

    def _values(self, damage: Damage) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
        count = 0
        try:
            cursor = self._connection.execute(self._query)
            names = [column[0] for column in cursor.description]
            if len(set(names)) < len(names):
                raise ValueError(f"{self.path}: two columns have one name: {names}")
            for values in cursor:
                yield names, values
                count += 1
        except sqlite3.Error as error:
            damage.leave_out(unreadable(self.path, f"behind row {count}: {error}"))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _quoted_path(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


class Sqlite(Format):
    """SQLite."""

    name = "sqlite"
    title = "SQLite"
    endings = (".sqlite", ".sqlite3", ".db")
    reads: ClassVar[Mapping[str, str]] = {
        "table": "its name; needed where there are several",
        "query": "a SELECT that gives the rows instead of a table",
    }
    writes: ClassVar[Mapping[str, str]] = {"table": f"the name of the table; by default {_TABLE!r}"}

    def recognizes(self, look: Look) -> bool:
        """Return whether it begins as SQLite's files do."""
        return look.head.startswith(b"SQLite format 3\0")

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a database."""
        return SqliteSource(
            path,
            options.get("table"),
            options.get("query"),
        )

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a table. Files and bytes are BLOBs; lists, arrays and structs are JSON."""
        types = types_by_name(dataset)
        columns = [f"{_quoted(name)} {_declared(kind)}" for name, kind in types.items()]
        table = _quoted(options.get("table", _TABLE))
        marks = ", ".join("?" * len(types))
        connection = sqlite3.connect(path)
        try:
            with connection:
                connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
                insert = f"INSERT INTO {table} VALUES ({marks})"
                connection.executemany(insert, _rows(dataset, progress))
        finally:
            connection.close()


def _rows(dataset: IndexedRecordDataset, progress: Progress) -> Iterator[tuple[Any, ...]]:
    for position, row in enumerate(progress.of(dataset, len(dataset))):
        values = []
        for name, value in named(row).items():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                problem = f"SQLite holds no integer as large as {value}"
                raise SchemaError(
                    problem,
                    record=position,
                    field=name,
                )
            values.append(_sql_value(value))
        yield tuple(values)


def _sql_value(value: Any) -> Any:
    import json

    if value is None or isinstance(value, (int, float, str, bytes)):
        return value
    if isinstance(value, memoryview):
        return bytes(value)
    plain = json_value(value)
    if isinstance(plain, (dict, list)):
        return json.dumps(plain, ensure_ascii=False)
    return plain


def _declared(kind: str) -> str:
    kind = kind.removesuffix("?")
    if "[" in kind and not kind.startswith(("category", "datetime64", "timedelta64")):
        return "TEXT"
    if kind.startswith(("int", "uint", "bool", "timedelta64")):
        return "INTEGER"
    if kind.startswith(("float", "bfloat")):
        return "REAL"
    if kind in ("bytes", "image", "jpeg", "png", "webp", "audio", "video"):
        return "BLOB"
    return "TEXT"


FORMAT = Sqlite()
