"""Parquet, Arrow and Feather, by pyarrow: a batch of rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from dsrecords._convert import compressed
from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._optional import import_optional
from dsrecords._schema.infer import infer_schema
from dsrecords._schema.notation import nullable

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_PARQUET = b"PAR1"
_FILE = b"ARROW1"
_STREAM = b"\xff\xff\xff\xff"
_ENDINGS = (".parquet", ".arrow", ".feather", ".arrows")
_ROWS = 16_384  # that are read together, if they have no more bytes than a batch
_BATCH = 2**24  # bytes


class ColumnarSource(Source):
    """Files of Parquet or Arrow with one schema, one behind the other.

    Args:
        path: of the file or the folder.
        files: of which it consists.
    """

    def __init__(
        self,
        path: str,
        files: list[str],
    ) -> None:
        super().__init__(path)
        self._files = files
        counts = [self._guarded(file, _count) for file in files]
        if None not in counts:
            self.count = sum(count for count in counts if count is not None)
        self._schema = self._guarded(files[0], _schema)
        from dsrecords._arrow.table import origin_of

        self.metadata = origin_of(self._schema).metadata

    def _guarded(
        self,
        file: str,
        function: Any,
    ) -> Any:
        try:
            return function(file)
        except _problems() as error:
            raise unreadable(file, error) from None

    def types(self) -> dict[str, Any]:
        """Return the types of the columns.

        Which of them can be null is what the footers say, or, where these do not, the values.
        """
        arrow = import_optional("pyarrow", "pyarrow")
        batches = self._batches(None)
        first = next(batches, None)
        batches.close()
        if first is None:
            first = arrow.RecordBatch.from_pylist([], self._schema)
        schema = infer_schema(arrow.Table.from_batches([first]))
        types = schema if isinstance(schema, dict) else {str(i): t for i, t in enumerate(schema)}
        for name in self._with_nulls(list(types)):
            kind = types[name]
            if not (isinstance(kind, str) and kind.endswith("?")):
                types[name] = nullable(kind)
        return types

    def _with_nulls(self, names: list[str]) -> set[str]:
        """Return the columns that have nulls."""
        found: set[str] = set()
        unsure = False
        for file in self._files:
            known = self._guarded(file, _nulls)
            if known is None:
                unsure = True
            else:
                found |= known
        if unsure:
            for batch in self._batches(None):
                for name, column in zip(batch.schema.names, batch.columns):
                    if column.null_count:
                        found.add(name)
        return found & set(names)

    def table(self, schema: Mapping[str, Any]) -> Any:
        """Return a stream of the columns."""
        arrow = import_optional("pyarrow", "pyarrow")
        chosen = [self._schema.field(name) for name in schema]
        stated = arrow.schema(chosen, self._schema.metadata)
        return arrow.RecordBatchReader.from_batches(stated, self._batches(list(schema)))

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows; of what cannot be read the rest of its file is left out."""
        from dsrecords._schema.tabular import as_tabular

        arrow = import_optional("pyarrow", "pyarrow")
        for file in self._files:
            try:
                for batch in self._batches_of(file, list(schema)):
                    table = as_tabular(arrow.Table.from_batches([batch]))
                    assert table is not None
                    yield from table.samples(named=True)
            except _problems() as error:
                damage.leave_out(unreadable(file, error))

    def _batches(self, names: list[str] | None) -> Any:
        for file in self._files:
            try:
                yield from self._batches_of(file, names)
            except _problems() as error:
                self.failure = unreadable(file, error)
                raise self.failure from None

    def _batches_of(
        self,
        file: str,
        names: list[str] | None,
    ) -> Iterator[Any]:
        expected = self._schema
        for batch in _read(file, names):
            if names is not None:
                batch = batch.select(names)
                expected = import_optional("pyarrow", "pyarrow").schema(
                    [self._schema.field(name) for name in names]
                )
            if not batch.schema.equals(expected):
                raise ValueError(f"its columns are others than those of {self._files[0]}")
            yield batch


def _problems() -> tuple[type[Exception], ...]:
    arrow = import_optional(
        "pyarrow",
        "pyarrow",
        extra="arrow",
    )
    return (arrow.ArrowException, OSError, ValueError, KeyError)


def _kind(path: str) -> bytes:
    with open(path, "rb") as file:
        head = file.read(6)
    for kind in (_PARQUET, _FILE, _STREAM):
        if head.startswith(kind):
            return kind
    if head.startswith(b"FEA1"):
        raise ValueError("it is of the first version of Feather: write it anew with pyarrow")
    raise ValueError("it is neither Parquet nor Arrow")


def _schema(path: str) -> Any:
    if _kind(path) == _PARQUET:
        parquet = import_optional("pyarrow.parquet", "pyarrow")
        with parquet.ParquetFile(path) as file:
            return file.schema_arrow
    with _opened(path) as reader:
        return reader.schema


def _opened(path: str) -> Any:
    arrow = import_optional("pyarrow", "pyarrow")
    if _kind(path) == _FILE:
        return arrow.ipc.open_file(arrow.memory_map(path))
    return arrow.ipc.open_stream(arrow.memory_map(path))


def _count(path: str) -> int | None:
    """Return how many rows a file has; None if only reading it tells."""
    kind = _kind(path)
    if kind == _PARQUET:
        parquet = import_optional("pyarrow.parquet", "pyarrow")
        with parquet.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    return None


def _nulls(path: str) -> set[str] | None:
    """Return the columns that have nulls; None if the file does not say it of all."""
    if _kind(path) != _PARQUET:
        return None
    parquet = import_optional("pyarrow.parquet", "pyarrow")
    found: set[str] = set()
    with parquet.ParquetFile(path) as file:
        metadata = file.metadata
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                statistics = column.statistics
                if "." in column.path_in_schema:
                    return None
                if statistics is None or not statistics.has_null_count:
                    return None
                if statistics.null_count:
                    found.add(column.path_in_schema)
    return found


def _read(path: str, names: list[str] | None) -> Iterator[Any]:
    if _kind(path) == _PARQUET:
        parquet = import_optional("pyarrow.parquet", "pyarrow")
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(_rows_of_batch(file), columns=names)
        return
    with _opened(path) as reader:
        if hasattr(reader, "num_record_batches"):
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        else:
            yield from reader


def _rows_of_batch(file: Any) -> int:
    """Return how many rows of a file of Parquet are read together: of images fewer."""
    metadata = file.metadata
    rows = _ROWS
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        size_of_row = group.total_byte_size / max(1, group.num_rows)
        rows = min(rows, int(_BATCH / max(1, size_of_row)))
    return max(1, rows)


class Columnar(Format):
    """Parquet, Arrow and Feather."""

    name = "columnar"
    title = "Parquet or Arrow"
    endings = _ENDINGS
    writes: ClassVar[Mapping[str, str]] = {
        "compression": "of Parquet: 'snappy' (the default), 'zstd', 'none'; of Arrow and Feather "
        "'lz4', 'zstd' or, by default, none",
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it is such a file, or a folder of such files alone."""
        if look.is_folder:
            return bool(_files_in(look))
        if look.path.endswith(compressed.ENDINGS):
            return False
        return look.head.startswith((_PARQUET, _FILE)) or (
            look.head.startswith(_STREAM) and len(look.head) > 8
        )

    def open_many(
        self,
        path: str,
        files: Sequence[str],
        options: Options,
    ) -> Source:
        """Open several files."""
        return ColumnarSource(path, list(files))

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file, or a folder of files."""
        if not os.path.isdir(path):
            return ColumnarSource(path, [path])
        names = tuple(sorted(os.listdir(path)))
        return ColumnarSource(path, _files_in(Look(path, True, b"", names)))

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write batches of rows. Each column says its type of ours, so nothing is lost."""
        arrow = import_optional(
            "pyarrow",
            "pyarrow",
            extra="arrow",
        )
        reader = arrow.RecordBatchReader.from_stream(dataset)
        compression = options.get("compression")
        if progress.name.endswith(".parquet"):
            parquet = import_optional("pyarrow.parquet", "pyarrow")
            writer: Any = parquet.ParquetWriter(
                path, reader.schema, compression=compression or "snappy"
            )
        else:
            new = arrow.ipc.new_file
            if progress.name.endswith(".arrows"):
                new = arrow.ipc.new_stream
            writer = new(
                path, reader.schema, options=arrow.ipc.IpcWriteOptions(compression=compression)
            )
        with writer:
            for batch in progress.of(reader):
                writer.write_batch(batch)


def _files_in(look: Look) -> list[str]:
    """Return the files of a folder that has such files alone; none if it has others."""
    names = [name for name in look.names if not name.startswith((".", "_"))]
    if not names or not all(name.endswith(_ENDINGS) for name in names):
        return []
    return [os.path.join(look.path, name) for name in names]


FORMAT = Columnar()
