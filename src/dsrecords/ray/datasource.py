"""Reading with Ray: each task reads a range of the records, block by block."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords.dataset import IndexedRecordDataset, Path, open
from dsrecords.ray.ranges import Sizes, at_files, files_of, sizes_of
from dsrecords.ray.tensors import tensors_of, with_tensors

ray_data = import_optional("ray.data", "ray", extra="ray")
ray_block = import_optional("ray.data.block", "ray", extra="ray")
ray_datasource = import_optional("ray.data.datasource", "ray", extra="ray")

_RayDatasource: Any = ray_datasource.Datasource
_BLOCK_BYTES = 2**25  # that are read at once, about; Ray joins them to the blocks that it wants
_FIRST = 4  # records that are read at first, where only reading tells how large values become
_NOT_ARRAYS = ("pil", "bytes")  # decodings of which no array comes


def read(
    path: Path | Sequence[Path] | IndexedRecordDataset,
    *,
    fields: Sequence[Any] | None = None,
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
    ray_remote_args: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Return a dataset of Ray, which reads the records when they are needed.

    Columns are what `to_arrow` gives, but arrays are tensors of Ray, which its functions get as
    arrays of NumPy or tensors of PyTorch. Images are their files, unless `decode` says otherwise.

    Args:
        path: as of `dsrecords.open`; or a dataset that is open, or a view of one, such as
            `ds.shuffle(seed=0)`: then tasks read its records in its order.
        fields: which to read, a list; by default all. Those that only Ray selects, as by
            `select_columns`, are not read either, but for functions in between.
        override_num_blocks: how many tasks read. By default Ray decides, by the size that the index
            tells.
        concurrency: how many of them run at once, at most. By default Ray decides.
        ray_remote_args: of each task, as `ray.data.read_datasource` takes them: `{"num_cpus": 2}`.
        options: of `dsrecords.open`, such as `decode={"image": "rgb"}`, of which images become
            tensors, or `on_error="skip"`.

    Returns:
        A `ray.data.Dataset`.

    Raises:
        TypeError: it is no dataset with a schema, as `mix` and `zip` make one; or it is open, and
            options are given, which are for opening; or Ray has no such argument.
        ValueError: it has a `transform`, or a decoding of which no array comes.
        SchemaError: there is no such field, or it is a file of dsrecords 0.4.
    """
    arguments = dict(ray_remote_args or {})
    known = inspect.signature(ray_data.read_datasource).parameters
    for name in arguments:
        if name not in known:  # Ray would pass over it
            raise TypeError(f"ray_remote_args: ray.data.read_datasource has no {name!r}")
    return ray_data.read_datasource(
        Datasource(path, fields=fields, **options),
        override_num_blocks=override_num_blocks,
        concurrency=concurrency,
        **arguments,
    )


class Datasource(_RayDatasource):  # type: ignore[misc]
    """A dataset as a `ray.data.Datasource`, for `ray.data.read_datasource`.

    Args:
        path, fields, options: as of `read`, and the same errors.
    """

    def __init__(
        self,
        path: Path | Sequence[Path] | IndexedRecordDataset,
        *,
        fields: Sequence[Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        dataset = _opened(path, options)
        if fields is not None:
            dataset = dataset.select_fields(fields)
        self._dataset = dataset
        self._projection_map: dict[str, str] | None = None  # the name is Ray's
        self._decoded = _decoded(dataset)
        self.estimate_inmemory_data_size()  # so that what cannot be read is told of now

    def get_name(self) -> str:
        """Return what Ray calls the tasks."""
        return "DSRecords"

    def supports_projection_pushdown(self) -> bool:
        """Return True: columns that nobody asks for are not read."""
        return True

    def estimate_inmemory_data_size(self) -> int | None:
        """Return how many bytes all records take, from the index and a few that are decoded."""
        reader, selected = self._selected()
        return round(Sizes(selected).total() * reader.expansion(selected))

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[Any]:
        """Return tasks, of which each reads a range of the records.

        The ranges are of about equal bytes, and begin with a file where one begins nearby.

        Args:
            parallelism: how many tasks there are to be; of fewer records there are fewer.
            per_task_row_limit: how many records of its range a task reads, at most.
            data_context: of Ray.
        """
        reader, selected = self._selected()
        if not len(selected):
            return []
        sizes = Sizes(selected)
        expansion = reader.expansion(selected)
        bounds = at_files(selected, sizes.bounds(max(parallelism, 1)))
        schema = reader.schema(selected)
        tasks = []
        for start, stop in itertools.pairwise(bounds):
            if per_task_row_limit is not None:
                stop = min(stop, start + per_task_row_limit)
            part = selected[start:stop]
            read_blocks = functools.partial(reader.blocks, part)
            count = None
            if part.on_error == "raise":  # else only reading tells how many records there are
                count = len(part)
            metadata = ray_block.BlockMetadata(
                num_rows=count,
                size_bytes=round(sizes.between(start, stop) * expansion),
                input_files=files_of(selected, start, stop),
                exec_stats=None,
            )
            tasks.append(
                ray_datasource.ReadTask(
                    read_blocks,
                    metadata,
                    schema=schema,
                    per_task_row_limit=per_task_row_limit,
                )
            )
        return tasks

    def _selected(self) -> tuple[_Reader, IndexedRecordDataset]:
        """Return the fields that Ray asks for, and what reads them."""
        keys = {str(key): key for key in self._dataset.fields}
        names = list(keys)
        if self._projection_map is not None:
            names = list(self._projection_map)
        decoded = [name for name in names if keys.get(name) in self._decoded]
        reader = _Reader(tuple(names), tuple(decoded))
        selected = [keys.get(name, name) for name in names]
        if not selected:  # how many records there are is told by any field
            selected.append(self._dataset.fields[0])
        return reader, self._dataset.select_fields(selected)


def _opened(path: Any, options: Mapping[str, Any]) -> IndexedRecordDataset:
    dataset: IndexedRecordDataset = path
    if not isinstance(path, IndexedRecordDataset):
        if hasattr(path, "__getitems__"):  # what `mix`, `zip` or `windows` have made
            kind = type(path).__name__
            raise TypeError(f"a path, a dataset or a view is expected, not {kind}")
        dataset = open(path, **options)
    elif options:
        names = ", ".join(options)
        raise TypeError(f"{names}: these are for opening a dataset, and this one is open")
    if dataset.transform is not None:
        raise ValueError(
            "Ray reads fields, and no samples for a transform: read without it, and give the "
            "function to the map or map_batches of Ray's dataset"
        )
    return dataset


def _decoded(dataset: IndexedRecordDataset) -> set[Any]:
    """Return the fields of which Ray gets decoded arrays. Raises ValueError."""
    found = set()
    for field, decoding in dataset.decode.items():
        if isinstance(decoding, str) and decoding in _NOT_ARRAYS:
            if decoding == "pil":
                raise ValueError(f"field {field!r}: Arrow has no Pillow images; 'rgb' gives arrays")
            continue
        if isinstance(decoding, (Mapping, list)) or _is_list(dataset, field):
            raise ValueError(
                f"field {field!r}: images within lists and structs stay their files; decode them "
                "in a function that Ray's map_batches calls"
            )
        found.add(field)
    return found


def _is_list(dataset: IndexedRecordDataset, field: Any) -> bool:
    types: Any = dataset.schema
    return not isinstance(types[field], str) or types[field].startswith("list[")


class _Reader:
    """What reads the records of a task. It is sent to whoever does.

    Datasets that it is given have the fields that are read, and no others.

    Args:
        names: of the columns, in the order of the fields.
        decoded: those of which the values are decoded.
    """

    def __init__(self, names: tuple[str, ...], decoded: tuple[str, ...]) -> None:
        self._names = names
        self._decoded = decoded

    def schema(self, dataset: IndexedRecordDataset) -> Any:
        """Return the schema of the blocks; None if only decoding tells."""
        if self._decoded:
            return None
        return self._stored(dataset[:0]).schema

    def expansion(self, dataset: IndexedRecordDataset) -> float:
        """Return how much larger values are than they are stored, as a few of them tell."""
        if not self._expands(dataset) or not len(dataset):
            return 1.0
        spots = np.unique(np.linspace(0, len(dataset) - 1, _FIRST).astype(int))
        some = dataset[spots]
        return _expansion(self._tables(some), int(sizes_of(some).sum()))

    def _expands(self, dataset: IndexedRecordDataset) -> bool:
        return bool(self._decoded) or "zstd(" in str(dataset.schema)

    def blocks(self, dataset: IndexedRecordDataset) -> Iterator[Any]:
        """Yield the records as tables of about 32 MiB; a record that is larger is one alone."""
        up_to = np.concatenate([[0], np.cumsum(sizes_of(dataset))])
        expansion = 1.0
        most = len(dataset)
        if self._expands(dataset):
            most = _FIRST
        start = 0
        while start < len(dataset):
            end = up_to[start] + _BLOCK_BYTES / expansion
            stop = int(np.searchsorted(up_to, end, "right")) - 1
            stop = min(max(stop, start + 1), start + most)
            tables = list(self._tables(dataset[start:stop]))
            if self._expands(dataset):
                known = _expansion(tables, int(up_to[stop] - up_to[start]))
                expansion = max(known, expansion / 2)
            yield from tables
            most = len(dataset)
            start = stop

    def _tables(self, dataset: IndexedRecordDataset) -> Iterator[Any]:
        """Yield records as a table; as several, if some are left out that cannot be read."""
        table = self._stored(dataset)
        if not self._decoded:
            yield table
            return
        columns = self._decoded_columns(dataset)
        count = len(dataset)
        if all(len(column) == count for column in (table, *columns.values())):
            yield self._joined(table, columns)
        elif count > 1:  # others may be left out of one column than of another
            middle = count // 2
            yield from self._tables(dataset[:middle])
            yield from self._tables(dataset[middle:])

    def _stored(self, dataset: IndexedRecordDataset) -> Any:
        """Return the columns that are not decoded; no column has as many rows, too."""
        pairs = list(zip(self._names, dataset.fields))
        stored = [(name, key) for name, key in pairs if name not in self._decoded]
        if not stored:
            counted = dataset.select_fields(dataset.fields[:1]).to_arrow()
            return counted.select([])
        names, keys = zip(*stored)
        table = dataset.select_fields(list(keys)).to_arrow()
        metadata = table.schema.metadata  # which renaming would drop
        renamed = table.rename_columns(list(names))
        return with_tensors(renamed.replace_schema_metadata(metadata))

    def _decoded_columns(self, dataset: IndexedRecordDataset) -> dict[str, Any]:
        columns = {}
        for name, key in zip(self._names, dataset.fields):
            if name in self._decoded:
                columns[name] = dataset.column(key)
        return columns

    def _joined(self, table: Any, columns: Mapping[str, Any]) -> Any:
        """Return a table with decoded columns as well, in the order of the names."""
        for position, name in enumerate(self._names):
            if name in columns:
                table = table.add_column(position, name, _as_tensors(columns[name], name))
        return table


def _expansion(tables: Iterable[Any], stored: int) -> float:
    size: int = sum(table.nbytes for table in tables)
    return max(size / max(stored, 1), 1.0)


def _as_tensors(values: Any, name: str) -> Any:
    """Return decoded values, an array (n, …) or a list of arrays, as tensors of Ray."""
    if isinstance(values, np.ndarray):
        return tensors_of(values)
    shapes = set()
    for value in values:
        if value is None:
            raise ValueError(
                f"field {name!r}: tensors of Ray have no None: leave such records out with filter, "
                "or read files, without decode, and decode them in a function of map_batches"
            )
        if not isinstance(value, np.ndarray):
            raise ValueError(f"field {name!r}: decoded values are arrays, not {type(value)}")
        shapes.add(value.shape)
    if len(shapes) == 1:
        return tensors_of(np.stack(values))
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(
            f"field {name!r}: some arrays have more dimensions than others: 'rgb' and 'gray' give "
            "all the same"
        )
    return tensors_of(values)
