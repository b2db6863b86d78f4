"""LMDB: keys and values of bytes, by the package `lmdb`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import FILES, json_value, named, plain_name, types_by_name
from dsrecords._convert.records_of_bytes import content_of, row_of
from dsrecords._optional import import_optional
from dsrecords.errors import SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_DATA = "data.mdb"
_MAGIC = (0xBEEFC0DE).to_bytes(4, "little")
_MAGIC_OFFSET = 16
_KEY = "key"
_FEWEST_BYTES = 2**24  # of address space that a new database gets
_AT_ONCE = 1000  # records of a transaction, at most
_MOST_BYTES = 2**24  # of their values, about


class LmdbSource(Source):
    """A database, in the order of its keys."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._lmdb = import_optional(
            "lmdb",
            "lmdb",
            extra="lmdb",
        )
        self._content = ""
        self._has_text_keys = True
        try:
            self._environment = self._lmdb.open(
                path,
                subdir=os.path.isdir(path),
                readonly=True,
                lock=False,
                readahead=True,
            )
            self.count = self._environment.stat()["entries"]
        except self._lmdb.Error as error:
            raise unreadable(path, f"LMDB cannot read it: {error}") from None

    def types(self) -> dict[str, Any]:
        """Return the types of the keys, and of what is in the first thousand values."""
        self._content, types = content_of(self._values())
        if _KEY in types:
            raise SchemaError("the values have a field of this name", field=_KEY)
        return {_KEY: "str" if self._has_text_keys else "bytes", **types}

    def _values(self) -> Iterator[bytes]:
        for key, value in self._pairs(Damage("skip")):
            try:
                key.decode()
            except UnicodeDecodeError:
                self._has_text_keys = False
            yield value

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the pairs, of which one is in memory."""
        is_text = schema.get(_KEY) == "str"
        for key, value in self._pairs(damage):
            try:
                row = dict(row_of(value, self._content, schema))
                row[_KEY] = key.decode() if is_text else key
            except (ValueError, RecursionError) as error:
                damage.leave_out(unreadable(self.path, f"key {key[:80]!r}: {error}"))
            else:
                yield row

    def _pairs(self, damage: Damage) -> Iterator[tuple[bytes, bytes]]:
        last = b""
        try:
            with self._environment.begin() as transaction:
                for key, value in transaction.cursor():
                    yield key, value
                    last = key
        except self._lmdb.Error as error:
            damage.leave_out(unreadable(self.path, f"behind key {last[:80]!r}: {error}"))

    def close(self) -> None:
        """Close the database."""
        self._environment.close()


class Lmdb(Format):
    """LMDB."""

    name = "lmdb"
    title = "LMDB"
    endings = (".lmdb", ".mdb")
    is_folder = True
    writes: ClassVar[Mapping[str, str]] = {
        "key": "the field with the keys; by default 'key', if there is one, else the number of the "
        "record, in nine digits",
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it is the file or the folder of a database."""
        if look.is_folder:
            return _DATA in look.names
        return look.head[_MAGIC_OFFSET : _MAGIC_OFFSET + 4] == _MAGIC

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a database."""
        return LmdbSource(path)

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a pair for each record: of one field its bytes, else the record as JSON."""
        lmdb = import_optional(
            "lmdb",
            "lmdb",
            extra="lmdb",
        )
        types = types_by_name(dataset)
        key_field = options.get("key", _KEY if types.get(_KEY) in ("str", "bytes") else None)
        if key_field is not None and key_field not in types:
            raise SchemaError("there is no such field", field=key_field)
        others = {name: kind for name, kind in types.items() if name != key_field}
        environment = lmdb.open(path, map_size=_FEWEST_BYTES)
        waiting = []
        size = 0
        try:
            for position, row in enumerate(progress.of(dataset, len(dataset))):
                waiting.append(_pair_of(dict(named(row)), position, key_field, others))
                size += len(waiting[-1][1])
                if len(waiting) == _AT_ONCE or size > _MOST_BYTES:
                    _put(
                        environment,
                        waiting,
                        lmdb,
                    )
                    waiting = []
                    size = 0
            _put(
                environment,
                waiting,
                lmdb,
            )
            environment.sync(True)
        finally:
            environment.close()


def _pair_of(
    row: dict[str, Any],
    position: int,
    key_field: str | None,
    others: Mapping[str, str],
) -> tuple[bytes, bytes]:
    key: Any = f"{position:09}"
    if key_field is not None:
        key = row.pop(key_field)
    if isinstance(key, str):
        key = key.encode()
    if not key:
        raise SchemaError(
            "LMDB has no empty keys",
            record=position,
            field=key_field,
        )
    names = list(others)
    if len(names) == 1 and plain_name(others[names[0]]) in ("bytes", "str", *FILES):
        value = row[names[0]]
        return bytes(key), value.encode() if isinstance(value, str) else bytes(value or b"")
    import json

    return bytes(key), json.dumps(json_value(row), ensure_ascii=False).encode()


def _put(
    environment: Any,
    pairs: list[tuple[bytes, bytes]],
    lmdb: Any,
) -> None:
    """Write pairs in one transaction, in more address space if they need it."""
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in pairs:
                    if not transaction.put(key, value, overwrite=False):
                        raise SchemaError(f"two records have the key {key[:80]!r}")
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])
        except lmdb.BadValsizeError:
            longest = environment.max_key_size()
            raise SchemaError(f"a key has more than the {longest} bytes that LMDB takes") from None


FORMAT = Lmdb()
