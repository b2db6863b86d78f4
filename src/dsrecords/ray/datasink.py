"""Writing with Ray: each task writes a file; the manifest that makes them a dataset comes last."""

from __future__ import annotations

import dataclasses
import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dsrecords._optional import import_optional
from dsrecords._schema.infer import infer_schema
from dsrecords._shards.manifest import Shard
from dsrecords._storage.locations import access_of, local_path, located, make_access
from dsrecords._storage.registry import is_local
from dsrecords._write.create import make_dataset
from dsrecords._write.gathering import Gathering
from dsrecords._write.gathering_elsewhere import GatheringElsewhere
from dsrecords.dataset import IndexedRecordDataset, Path, open
from dsrecords.errors import DSRecordsError, SchemaError
from dsrecords.ray.tables import without_tensors
from dsrecords.ray.unify import unified

pyarrow = import_optional("pyarrow", "pyarrow", extra="ray")
ray = import_optional("ray", "ray", extra="ray")
ray_block = import_optional("ray.data.block", "ray", extra="ray")
ray_datasource = import_optional("ray.data.datasource", "ray", extra="ray")

_RayDatasink: Any = ray_datasource.Datasink


def write(
    ds: Any,
    path: Path,
    schema: Any = None,
    *,
    metadata: dict[str, Any] | None = None,
    overwrite: bool = False,
    min_rows_per_shard: int | None = None,
    lock: bool = True,
    storage_options: Mapping[str, Any] | None = None,
    concurrency: int | None = None,
    ray_remote_args: Mapping[str, Any] | None = None,
) -> tuple[str, str]:
    """Write a dataset of Ray: a file a task, and a manifest, by which they are opened as one.

    All machines must have the folder. The files are in a folder beside the dataset's own files,
    out of sight, until the last one is whole; then they get their names, and the manifest comes
    last. If anything fails, nothing of it is left, and the dataset that was to be replaced is still
    there. What Ray tries again, as after the loss of a machine, is there once.

    In a bucket, each file is made in a temporary folder of its machine, and copied. There the files
    stay in a folder of their own, as objects cannot be renamed, and the manifest that names them
    comes last.

    Args:
        ds: a `ray.data.Dataset`. It is executed now.
        path: of the dataset, as of `make_dataset`: `train.rec` becomes `train-00000-of-00008.rec`
            and so on, and `train.json`. In a bucket the files are in a folder beside that.
        schema: as of `make_dataset`. By default the columns say it: those of a dataset of ours have
            its types, tensors are arrays, and what Arrow has is as in docs/tables.md. A field can
            be None if a value is.
        metadata: anything that JSON can hold; by default those of the dataset that was read, if
            Ray still has them.
        overwrite: whether a dataset that is there gives way.
        min_rows_per_shard: Ray joins blocks until they have as many rows. By default each block,
            of up to 128 MiB, becomes a file.
        lock: as of `make_dataset`. In a bucket nothing is locked: of two that write the same
            dataset, the second one to end gets a FileExistsError; with `overwrite`, its dataset
            stays.
        storage_options: how a bucket is reached: see `dsrecords.open`.
        concurrency: how many tasks write at once, at most. By default Ray decides.
        ray_remote_args: of each task.

    Returns:
        A pattern of the data files, and the path of the manifest. Either can be opened.

    Raises:
        FileExistsError: there is such a dataset, and `overwrite` is not given.
        LockedError: another process is writing it.
        SchemaError: a value does not fit, or there is no type for a column. If a task raises it, it
            is an error of Ray as well.
        TypeError: `ds` is no dataset of Ray.
        RemoteError: nothing can be written to the bucket.
    """
    if not hasattr(ds, "write_datasink"):
        raise TypeError(f"a ray.data.Dataset is expected, not {type(ds).__name__}")
    sink = Datasink(
        path,
        schema,
        metadata=metadata,
        overwrite=overwrite,
        min_rows_per_shard=min_rows_per_shard,
        lock=lock,
        storage_options=storage_options,
    )
    arguments = dict(ray_remote_args or {})
    try:
        sink.on_write_start()  # now, and not when Ray has made the first block
        ds.write_datasink(
            sink,
            concurrency=concurrency,
            ray_remote_args=arguments,
        )
    except BaseException as error:
        sink.on_write_failed(error)  # Ray does not say so of an interruption
        raise
    return sink.written()


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A file that a task has written.

    Attributes:
        number: of the task.
        file: what the manifest is to say of it.
        types: of its fields, by name or position; None where all values are None.
    """

    number: int
    file: Shard
    types: dict[Any, str | None]


class Datasink(_RayDatasink):  # type: ignore[misc]
    """A dataset as a `ray.data.Datasink`, for `write_datasink`. It writes once.

    Args:
        path, schema, metadata, overwrite, min_rows_per_shard, lock, storage_options: as of `write`,
            and the same errors.
    """

    def __init__(
        self,
        path: Path,
        schema: Any = None,
        *,
        metadata: dict[str, Any] | None = None,
        overwrite: bool = False,
        min_rows_per_shard: int | None = None,
        lock: bool = True,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        if min_rows_per_shard is not None and min_rows_per_shard < 1:
            raise ValueError(f"min_rows_per_shard is at least 1, not {min_rows_per_shard!r}")
        self._schema = schema
        self._metadata = metadata
        self._min_rows = min_rows_per_shard
        self._gathering = _gathering_at(
            local_path(os.fsdecode(path)),
            overwrite,
            lock,
            storage_options,
        )
        self._written: tuple[str, str] | None = None

    def written(self) -> tuple[str, str]:
        """Return a pattern of the data files, and the path of the manifest.

        Raises:
            ValueError: they are not written yet.
        """
        if self._written is None:
            raise ValueError("nothing is written yet")
        return self._written

    def get_name(self) -> str:
        """Return what Ray calls the tasks."""
        return "DSRecords"

    @property
    def min_rows_per_write(self) -> int | None:
        """How many rows Ray is to give to a task, at least."""
        return self._min_rows

    def on_write_start(self, schema: Any = None) -> None:
        """Take the lock, and make the folder; what it does is done once.

        Args:
            schema: of the first block, which says nothing of the others.

        Raises:
            ValueError: it has written.
        """
        if self._written is not None:
            raise ValueError("a Datasink writes once: make another")
        if not self._gathering.has_begun():
            self._gathering.begin()

    def write(self, blocks: Iterable[Any], ctx: Any) -> _Shard | None:
        """Write blocks as a file. Ray calls this in a task, and again if the task was lost.

        Args:
            blocks: of Ray, which holds all of them in memory.
            ctx: says which task it is.

        Returns:
            What `on_write_complete` needs; None if there are no rows.
        """
        tables = []
        for block in blocks:
            table = ray_block.BlockAccessor.for_block(block).to_arrow()
            if table.num_rows:
                tables.append(table)
        if not tables:
            return None
        table = without_tensors(tables)
        unknown = _columns_of_nothing(table)
        schema = self._schema
        if schema is None:
            for name in unknown:
                table = _with_bools(table, name)
            schema = infer_schema(table, limit=None)
        shard = _written(
            self._gathering,
            ctx.task_idx,
            table,
            schema,
            self._metadata,
        )
        if self._schema is None:
            shard.types.update(dict.fromkeys(unknown))
        return shard

    def on_write_complete(self, write_result: Any) -> None:
        """Give the files one schema and their names, and write the manifest.

        Args:
            write_result: of Ray: what the tasks have returned.

        Raises:
            SchemaError: there are no records, and no schema is given; or the files have types that
                do not go together.
        """
        shards = [shard for shard in write_result.write_returns if shard is not None]
        shards.sort(key=operator.attrgetter("number"))
        schema = self._schema
        if schema is None:
            if not shards:
                raise SchemaError("there are no records: give a schema, or write nothing")
            types = unified([shard.types for shard in shards])
            schema = _noted(types)
            shards = self._with_types(shards, types)
        found = {shard.number: shard for shard in shards}
        if len(found) < len(shards):
            raise DSRecordsError("Ray has given one number to two tasks: nothing is written")
        last = max(found, default=0)
        metadata = self._metadata
        if metadata is None and shards:
            with _opened(shards[0]) as first:
                metadata = first.metadata
        # Where a task had no rows, there is an empty file: numbers without gaps are what the ids of
        # the files prove.
        for number in range(last + 1):
            if number not in found:
                found[number] = _written(self._gathering, number, [], schema, metadata)
        ordered = [found[number].file for number in range(last + 1)]
        self._written = self._gathering.finish(ordered)

    def _with_types(
        self,
        shards: Sequence[_Shard],
        types: Mapping[Any, str],
    ) -> list[_Shard]:
        """Return files that all have these types: those that have others are written again."""
        rewrite = ray.remote(_rewritten)
        found = []
        running = []
        for shard in shards:
            if list(shard.types.items()) == list(types.items()):
                found.append(shard)
            else:
                running.append(rewrite.remote(shard, types, self._gathering))
        if running:
            found.extend(ray.get(running))
        return found

    def on_write_failed(self, error: BaseException) -> None:
        """Remove what was written."""
        self._gathering.abandon()


def _gathering_at(
    path: str,
    overwrite: bool,
    locks: bool,
    storage_options: Mapping[str, Any] | None,
) -> Gathering | GatheringElsewhere:
    """Return what gathers the files of a dataset, where it is to be."""
    access = make_access(storage_options, None, None)
    if is_local(path):
        return Gathering(path, overwrite, locks)
    return GatheringElsewhere(located(path, access), overwrite, locks)


def _written(
    gathering: Gathering | GatheringElsewhere,
    number: int,
    samples: Any,
    schema: Any,
    metadata: dict[str, Any] | None,
) -> _Shard:
    """Write samples as a file with a number."""
    types: dict[Any, str | None] = {}

    def write_to(path: str) -> None:
        make_dataset(
            samples,
            path,
            schema,
            metadata=metadata,
            id=gathering.id(number),
            lock=gathering.locks,
        )
        types.update(_types_of(path))

    file = gathering.add(number, write_to)
    return _Shard(number, file, types)


def _opened(shard: _Shard) -> IndexedRecordDataset:
    """Open a file that was written, as it was reached then."""
    path = shard.file.path
    options = dict(access_of(path).options)
    return open(path, storage_options=options)


def _columns_of_nothing(table: Any) -> list[str]:
    """Return the columns of Arrow's type null, which have no values."""
    is_null = pyarrow.types.is_null
    return [field.name for field in table.schema if is_null(field.type)]


def _with_bools(table: Any, name: str) -> Any:
    """Return a table in which a column of type null has another one, which fields can have."""
    position = table.column_names.index(name)
    nulls = pyarrow.nulls(len(table), pyarrow.bool_())
    return table.set_column(position, name, nulls)


def _types_of(path: str) -> dict[Any, str]:
    """Return the types of the fields of a file, by name or position."""
    with open(path) as dataset:
        schema = dataset.schema
        names = dataset.fields
    if isinstance(schema, dict):
        return schema
    return dict(zip(names, schema))


def _noted(types: Mapping[Any, str]) -> Any:
    """Return types as `make_dataset` takes them: as a list where fields have no names."""
    if all(isinstance(name, int) for name in types):
        return list(types.values())
    return dict(types)


def _rewritten(
    shard: _Shard,
    types: Mapping[Any, str],
    gathering: Gathering | GatheringElsewhere,
) -> _Shard:
    """Write a file again, with other types."""
    with _opened(shard) as dataset:
        reader = pyarrow.RecordBatchReader.from_stream(dataset)
        missing = [name for name in types if name not in shard.types]
        found = _written(
            gathering,
            shard.number,
            _with_missing(reader, missing),
            _noted(types),
            dataset.metadata,
        )
    gathering.remove(shard.file.path)
    return found


def _with_missing(reader: Any, names: Sequence[str]) -> Any:
    """Return a stream of Arrow that has further columns, of which all values are null."""
    schema = reader.schema
    for name in names:
        field = pyarrow.field(name, pyarrow.null())
        schema = schema.append(field)

    def batches() -> Iterator[Any]:
        for batch in reader:
            columns = list(batch.columns)
            columns.extend(pyarrow.nulls(len(batch)) for _ in names)
            yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)

    return pyarrow.RecordBatchReader.from_batches(schema, batches())
